/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/hash.h"

struct state {
  uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned bits) { return x << bits | x >> (64 - bits); }

static inline void round_once(struct state *s) {
  s->v0 += s->v1;
  s->v1 = rotate(s->v1, 13) ^ s->v0;
  s->v0 = rotate(s->v0, 32);
  s->v2 += s->v3;
  s->v3 = rotate(s->v3, 16) ^ s->v2;
  s->v0 += s->v3;
  s->v3 = rotate(s->v3, 21) ^ s->v0;
  s->v2 += s->v1;
  s->v1 = rotate(s->v1, 17) ^ s->v2;
  s->v2 = rotate(s->v2, 32);
}

static inline void absorb(struct state *s, uint64_t word) {
  s->v3 ^= word;
  round_once(s);
  round_once(s);
  s->v0 ^= word;
}

static inline uint64_t load_le(const uint8_t *at) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
#else
  uint64_t word = 0;
  for (int i = 7; i >= 0; i--) word = word << 8 | at[i];
  return word;
#endif
}

/* Eight ASCII characters to lower case at once; other bytes stay. */
static inline uint64_t lower_word(uint64_t word) {
  const uint64_t ones = 0x0101010101010101;
  uint64_t low7 = word & 0x7f * ones;
  uint64_t from_a = low7 + (0x80 - 'A') * ones; /* top bit of a byte: it is >= 'A' */
  uint64_t above_z = low7 + (0x7f - 'Z') * ones;
  uint64_t upper = (from_a ^ above_z) & ~word & 0x80 * ones;
  return word | upper >> 2;
}

static inline uint64_t hash_words(struct hash_key key, const uint8_t *at, size_t len, bool fold) {
  struct state s = {key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d,
                    key.k0 ^ 0x6c7967656e657261, key.k1 ^ 0x7465646279746573};
  size_t left = len;
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word = load_le(at);
    absorb(&s, fold ? lower_word(word) : word);
  }
  uint64_t last = 0;
  for (size_t i = 0; i < left; i++) last |= (uint64_t)at[i] << (8 * i);
  if (fold) last = lower_word(last);
  absorb(&s, last | (uint64_t)len << 56);
  s.v2 ^= 0xff;
  for (int i = 0; i < 4; i++) round_once(&s);
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hash_bytes(struct hash_key key, const void *bytes, size_t len) {
  return hash_words(key, bytes, len, false);
}

uint64_t hash_slice_nocase(struct hash_key key, struct slice s) {
  return hash_words(key, (const uint8_t *)s.at, s.len, true);
}
