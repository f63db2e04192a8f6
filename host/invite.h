/* SPDX-License-Identifier: BSD-2-Clause */
/* An invitation into a closed overlay, as the one line that is handed over:
 *   locser://HOST:PORT[,HOST:PORT]/OVERLAY?ca=64HEX&key=40HEX&until=SECONDS
 * Whoever has the line may join until it is used or has run out: it is a secret. */
#ifndef HOST_INVITE_H
#define HOST_INVITE_H

#include "base/buf.h"
#include "host/why.h"

#define INVITE_ADDRESSES_MAX 4u
#define INVITE_CA_BYTES 32u     /* SHA-256 of the CA's certificate in DER */
#define INVITE_SECRET_BYTES 20u /* 160 random bits */
#define INVITE_TEXT_BYTES 80u   /* an address or a name, with NUL */
#define INVITE_LINE_BYTES 640u  /* holds any line, with NUL */

struct invite {
  char address[INVITE_ADDRESSES_MAX][INVITE_TEXT_BYTES]; /* HOST:PORT; HOST may be a name */
  unsigned count;
  char overlay[INVITE_TEXT_BYTES];
  uint8_t ca[INVITE_CA_BYTES];
  uint8_t secret[INVITE_SECRET_BYTES];
  uint64_t until_s; /* since 1970 */
};

void invite_put(struct buf *out, const struct invite *invite);
/* ERR_SYNTAX: not such a line; *why says what to do. */
enum err invite_parse(struct slice line, struct invite *out, struct why *why) MUST_USE;

#endif
