/* SPDX-License-Identifier: BSD-2-Clause */
/* SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash whose collisions a stranger cannot choose.
 * Used for tables, loop tags and the generator of base/rng.h. Not a signature. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

struct hash_key {
  uint64_t k0, k1;
};

uint64_t hash_bytes(struct hash_key key, const void *bytes, size_t len);
static inline uint64_t hash_slice(struct hash_key key, struct slice s) {
  return hash_bytes(key, s.at, s.len);
}
/* As hash_slice over the text with ASCII letters in lower case. */
uint64_t hash_slice_nocase(struct hash_key key, struct slice s);

#endif
