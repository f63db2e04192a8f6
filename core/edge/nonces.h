/* SPDX-License-Identifier: BSD-2-Clause */
/* Nonces of digest authentication that this peer recognises by its key alone: when they
 * were made, a number, and a hash over both and the prefix of the address that they were made for.
 * Only of nonces that were used with a right response something is kept: which counts were used.
 * Where that table is full, the oldest goes, and with it every unused nonce that is as old. */
#ifndef EDGE_NONCES_H
#define EDGE_NONCES_H

#include "base/buf.h"
#include "base/crypto.h"
#include "base/endpoint.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/usec.h"

#define NONCE_BYTES 64u
#define NONCE_LIFE SEC(300)
#define NONCE_COUNTS_WINDOW 64u /* so far apart may requests overtake each other */

struct nonce_use {
  uint64_t number;
  usec made_at;
  uint32_t highest; /* count used */
  uint64_t used;    /* bit n: highest - n was used */
};
struct nonces {
  const struct memory *memory;
  const struct crypto *crypto;
  uint8_t key[32];
  struct hash_key hash;
  uint32_t limit;
  uint64_t number,
      floor; /* the last one made; up to here those not in the table are worth nothing */
  struct nonce_use *use; /* a ring of `limit`; owned; NULL: not needed yet */
  uint32_t first, count;
  struct map map; /* hash of a number -> place in the ring */
};

/* seed: of any length, secret. */
void nonces_init(struct nonces *nonces, const struct memory *memory, const struct crypto *crypto,
                 struct slice seed, struct hash_key hash, uint32_t limit);
void nonces_free(struct nonces *nonces);
/* Appends a new one. */
void nonces_put(struct nonces *nonces, usec now, const struct prefix *source, struct buf *out);
/* Was it made here for that source, whenever? */
bool nonces_is_own(const struct nonces *nonces, const struct prefix *source, struct slice text);
/* And not too long ago? *number and *made_at are written. */
bool nonces_read(const struct nonces *nonces, usec now, const struct prefix *source,
                 struct slice text, uint64_t *number, usec *made_at);
/* May this count of it still be used? Then it is from now on used up. No memory: false. */
bool nonces_use(struct nonces *nonces, usec now, uint64_t number, usec made_at, uint32_t count);

#endif
