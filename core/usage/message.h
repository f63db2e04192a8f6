/* SPDX-License-Identifier: BSD-2-Clause */
/* TIER 2, messages for somebody who is away: the three kinds of records
 * under `offline:bob@example.net`, and the letter, which is signed by the sender and sealed for the
 * recipient. Pure. */
#ifndef USAGE_MESSAGE_H
#define USAGE_MESSAGE_H

#include "base/buf.h"
#include "base/crypto.h"
#include "base/key.h"
#include "base/slice.h"
#include "base/usec.h"

#define MESSAGE_LIFE_MS                                                    \
  ((msec_wall)7 * 24 * 3600 * 1000 - 60000) /* within R-4.23, clocks apart \
                                             */
#define MESSAGE_BODY_MAX 4096u              /* */
#define MESSAGE_TYPE_MAX 128u               /* of Content-Type */
#define MESSAGE_LETTER_MAX 12288u           /* an unsigned letter */
#define MESSAGE_ID_BYTES 32u                /* hexadecimal digits */
#define MESSAGE_CLAIM_MS ((msec_wall)65000) /* a little more than asks for */
#define MESSAGE_CLAIM_NONCE "claim"

struct message {
  struct slice from, to; /* Addresses-of-Record: "sip:bob@example.net" */
  struct slice id;       /* MESSAGE_ID_BYTES */
  struct slice type, body;
  msec_wall sent;
};

/* "offline:bob@example.net" for "sip:bob@example.net". */
void message_put_key(struct buf *out, struct slice address);
/* The id of a message: the same for the same sender, Call-ID and CSeq. */
void message_put_id(struct buf *out, const struct crypto *crypto, struct slice from,
                    struct slice call_id, uint64_t cseq);

/* An unsigned letter: a record for the sender's key to sign, that is never stored as it is. */
void message_put_letter(struct buf *out, const struct message *message);
/* Reads the value of a letter. Body and texts are written into `work`, which needs as many bytes as
 * the value. False: not in the layout of. */
bool message_read_value(struct slice value, struct buf *work, struct message *out);

/* Unsigned records under `offline:`: one that holds a sealed letter, for the sender's home to sign;
 * the removal of one and a claim, for the recipient. */
void message_put_record(struct buf *out, struct slice to, struct slice id, struct slice sealed,
                        uint64_t version, msec_wall expires);
/* The value of a claim; its nonce is MESSAGE_CLAIM_NONCE. */
void message_put_claim_value(struct buf *out, const struct key *peer);
struct message_stored {
  struct key owner;
  struct slice nonce, value;
  uint64_t version;
  msec_wall floor;
};
/* own: the remover is the owner. */
void message_put_removal(struct buf *out, const struct crypto *crypto, struct slice to,
                         const struct message_stored *stored, bool own);
bool message_is_claim(struct slice nonce);

#endif
