/* SPDX-License-Identifier: BSD-2-Clause */
/* OUT_SIGN, OUT_VERIFY, OUT_USER and what seals on the thread pool: a key may have to be made and
 * synced to disk, and signatures take time. Each is answered by IN_SIGNED, IN_VERIFIED or IN_USER.
 * A user whose second key is missing gets it in its turn, and the node is told. */
#ifndef HOST_KEYS_H
#define HOST_KEYS_H

#include "host/loop.h"

#define KEYS_BUSY_MAX 8192u   /* requests in the pool; beyond: ERR_BUSY at once */
#define KEYS_WANTED_MAX 1024u /* users waiting for their second key; beyond: at a later put */

#define KEYS_NAMES_BYTES 512u /* what a certificate is for; longer lists lose their end */

void keys_sign(struct loop *loop, uint64_t ticket, struct slice address, struct slice record);
void keys_verify(struct loop *loop, uint64_t ticket, struct slice record);
/* A record that is known to be good: what keys_verify would have the core be told. names: of
 * KEYS_NAMES_BYTES, borrowed by *out. False: it has to be verified. */
bool keys_recall(struct loop *loop, uint64_t ticket, struct slice record, struct buf *names,
                 struct input *out);
void keys_open(struct loop *loop, uint64_t ticket, struct slice address, const struct key *owner,
               struct slice sealed);
void keys_seal(struct loop *loop, uint64_t ticket, struct slice recipients, struct slice plain);
void keys_unseal(struct loop *loop, uint64_t ticket, struct slice address, struct slice sealed);
void keys_user(struct loop *loop, uint64_t ticket, struct slice address);
/* Begins no more second keys: the loop is about to end. */
void keys_stop(struct loop *loop);

#endif
