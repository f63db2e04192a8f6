/* SPDX-License-Identifier: BSD-2-Clause */
/* The Overlay-Key header field: where in the overlay a LOCSER request is going. */
#ifndef LOCSER_TARGET_H
#define LOCSER_TARGET_H

#include "base/buf.h"
#include "base/err.h"
#include "base/key.h"
#include "sip/message.h"

struct locser_target {
  bool has_key; /* false: no header, use between servers */
  struct key key;
  struct slice overlay; /* empty: any */
  bool direct;          /* key is a Peer-ID; never forwarded */
  bool final;           /* the sender believes that the receiver is responsible */
  uint32_t deadline_ms; /* left for the whole lookup; 0: none given */
  struct slice params;  /* as received: those not known are written again */
};

/* ERR_SYNTAX: *why says which part is wrong (a static phrase, fit for a 400). */
enum err locser_target_parse(const struct sip_message *request, struct locser_target *out,
                             const char **why) MUST_USE;
/* The whole header line. */
void locser_target_put(struct buf *out, const struct locser_target *target);

#endif
