/* SPDX-License-Identifier: BSD-2-Clause */
/* Notices of delivery (RFC 5438) in messages of CPIM (RFC 3862): what a message asks for, and the
 * notice that answers it. Pure; `body` is hostile. */
#ifndef USAGE_IMDN_H
#define USAGE_IMDN_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/usec.h"

#define IMDN_TYPE "message/cpim"
#define IMDN_LINES_MAX 64u /* of both heads; a message with more asks for nothing */
#define IMDN_ID_MAX 128u   /* of Message-ID */
#define IMDN_TIME_MAX 40u  /* of DateTime */
#define IMDN_URI_MAX 256u  /* of Original-To */
#define IMDN_DOCUMENT_MAX 3072u

struct imdn_request {
  bool positive, negative; /* positive-delivery, negative-delivery */
  struct slice id;         /* Message-ID: printable, one word */
  struct slice datetime;   /* as it was written; empty: none that is one */
  struct slice original;   /* URI of Original-To, or empty */
};

/* What the message asks for. False: nothing that is answered: it is no CPIM, has no Message-ID, is
 * a notice itself, or wants notices to go through others (IMDN-Record-Route). Slices lie in
 * `body`. */
bool imdn_read(struct slice type, struct slice body, struct imdn_request *out);

/* The body of a notice, whose Content-Type is IMDN_TYPE. It asks for no notice. Overflows, too,
 * when its document has more than IMDN_DOCUMENT_MAX bytes. */
struct imdn_notice {
  const struct imdn_request *of;
  struct slice from, to; /* of the notice: who got the message, and who wrote it */
  struct slice id;       /* its own Message-ID */
  msec_wall sent;        /* the message, where it does not say */
  msec_wall now;
  bool delivered; /* else: failed */
};
void imdn_put(struct buf *out, const struct imdn_notice *notice);

#endif
