/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers of one node: SipHash in counter mode, keyed by the seed. A world with the same
 * seeds repeats; outside of it the outputs seen tell nothing about the next (tags and branches
 * must not be guessable). */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct rng {
  struct hash_key key;
  uint64_t counter;
};

void rng_init(struct rng *rng, const uint8_t seed[16]);
uint64_t rng_u64(struct rng *rng);
/* Uniform in [0, n); n > 0. */
uint64_t rng_below(struct rng *rng, uint64_t n);
/* Uniform in [low, high], inclusive. */
uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high);
void rng_fill(struct rng *rng, void *out, size_t len);

#endif
