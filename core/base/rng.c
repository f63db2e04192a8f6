/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/rng.h"

#include <string.h>

#include "base/assert.h"

void rng_init(struct rng *rng, const uint8_t seed[16]) {
  uint64_t word[2] = {0, 0};
  for (int i = 0; i < 16; i++) word[i / 8] |= (uint64_t)seed[i] << (8 * (i % 8));
  *rng = (struct rng){{word[0], word[1]}, 0};
}

uint64_t rng_u64(struct rng *rng) {
  uint64_t counter = rng->counter++;
  uint8_t block[8]; /* little-endian, so that a seed means the same world on every machine */
  for (int i = 0; i < 8; i++) block[i] = (uint8_t)(counter >> (8 * i));
  return hash_bytes(rng->key, block, sizeof block);
}

uint64_t rng_below(struct rng *rng, uint64_t n) {
  ASSERT(n > 0);
  /* 2^64 modulo n values at the low end would make some results more likely: draw again. */
  uint64_t skip = (0 - n) % n;
  uint64_t x = rng_u64(rng);
  while (x < skip) x = rng_u64(rng);
  return x % n;
}

uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high) {
  ASSERT(low <= high);
  if (low == 0 && high == UINT64_MAX) return rng_u64(rng);
  return low + rng_below(rng, high - low + 1);
}

void rng_fill(struct rng *rng, void *out, size_t len) {
  uint8_t *at = out;
  while (len > 0) {
    uint64_t word = rng_u64(rng);
    for (size_t i = 0; i < sizeof word && len > 0; i++, len--) {
      *at++ = (uint8_t)word;
      word >>= 8;
    }
  }
}
