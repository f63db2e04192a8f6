/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/hash.h"
#include "base/rng.h"

/* SipHash-2-4, key 00..0f, message 00..n-1: the test vectors of the reference implementation,
 * read as little-endian numbers. */
static const uint64_t vectors[] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
    0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
    0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
    0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
};
static const struct hash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static void test_vectors(void **state) {
  (void)state;
  uint8_t message[64];
  for (uint8_t i = 0; i < sizeof message; i++) message[i] = i;
  for (size_t n = 0; n < sizeof vectors / sizeof *vectors; n++)
    assert_true(hash_bytes(key, message, n) == vectors[n]);
  assert_true(hash_bytes(key, message, 63) == 0x958a324ceb064572);
}

static void test_nocase(void **state) {
  (void)state;
  /* Every byte value at every place of a word: folded like tolower of the C locale. */
  for (size_t len = 1; len <= 17; len++) {
    for (unsigned byte = 0; byte < 256; byte++) {
      char text[17], folded[17];
      memset(text, 'Q', sizeof text);
      memset(folded, 'q', sizeof folded);
      text[len - 1] = (char)byte;
      folded[len - 1] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
      assert_true(hash_slice_nocase(key, slice_of(text, len)) ==
                  hash_slice(key, slice_of(folded, len)));
    }
  }
  assert_true(hash_slice_nocase(key, SLICE_EMPTY) == vectors[0]);
}

static void test_rng(void **state) {
  (void)state;
  uint8_t seed[16];
  for (uint8_t i = 0; i < sizeof seed; i++) seed[i] = i;
  struct rng a, b;
  rng_init(&a, seed);
  rng_init(&b, seed);
  const uint8_t counter[16] = {0, 0, 0, 0, 0, 0, 0, 0, 1};
  assert_true(rng_u64(&a) == hash_bytes(key, counter, 8));
  assert_true(rng_u64(&a) == hash_bytes(key, counter + 8, 8));
  (void)rng_u64(&b);
  (void)rng_u64(&b);
  for (int i = 0; i < 100; i++) assert_true(rng_u64(&a) == rng_u64(&b));
  unsigned seen[7] = {0};
  for (int i = 0; i < 7000; i++) seen[rng_below(&a, 7)]++;
  for (int i = 0; i < 7; i++) assert_in_range(seen[i], 850, 1150);
  assert_int_equal(rng_below(&a, 1), 0);
  for (int i = 0; i < 100; i++) assert_in_range(rng_between(&a, 5, 7), 5, 7);
  assert_int_equal(rng_between(&a, 9, 9), 9);
  (void)rng_between(&a, 0, UINT64_MAX);
  rng_init(&a, seed);
  rng_init(&b, seed);
  uint8_t bytes[11];
  rng_fill(&a, bytes, sizeof bytes);
  uint64_t first = rng_u64(&b);
  for (int i = 0; i < 8; i++) assert_int_equal(bytes[i], (uint8_t)(first >> (8 * i)));
  assert_int_equal(a.counter, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_nocase),
      cmocka_unit_test(test_rng),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
