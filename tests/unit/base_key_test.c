/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/key.h"

static struct key key_of(uint8_t last) {
  struct key k = {{0}};
  k.byte[KEY_BYTES - 1] = last;
  return k;
}

/* Every triple on a ring of eight: walk clockwise from `from` and see what is met before `to`. */
static void test_interval_laws(void **state) {
  (void)state;
  enum { RING = 8 };
  for (uint8_t from = 0; from < RING; from++) {
    for (uint8_t to = 0; to < RING; to++) {
      bool met[RING] = {false};
      uint8_t at = from;
      do {
        at = (uint8_t)((at + 1) % RING);
        met[at] = true;
      } while (at != to);
      for (uint8_t x = 0; x < RING; x++) {
        struct key kx = key_of(x), kf = key_of(from), kt = key_of(to);
        assert_int_equal(key_in_range_open_closed(&kx, &kf, &kt), met[x]);
        assert_int_equal(key_in_range_open_open(&kx, &kf, &kt), met[x] && x != to);
      }
    }
  }
}

/* For from != to: x in (from, to] exactly if its distance from `from` is in (0, to - from]. */
static void test_distance_agrees_with_intervals(void **state) {
  (void)state;
  for (unsigned from = 0; from < 256; from += 5) {
    for (unsigned to = 0; to < 256; to += 3) {
      for (unsigned x = 0; x < 256; x += 7) {
        struct key kx = key_of((uint8_t)x), kf = key_of((uint8_t)from), kt = key_of((uint8_t)to);
        if (from == to) continue;
        struct key dx = key_distance(&kf, &kx), dt = key_distance(&kf, &kt);
        bool inside = !key_is_zero(&dx) && key_compare(&dx, &dt) <= 0;
        assert_int_equal(key_in_range_open_closed(&kx, &kf, &kt), inside);
      }
    }
  }
}

static void test_arithmetic(void **state) {
  (void)state;
  struct key zero = key_of(0), one = key_of(1), max;
  memset(max.byte, 0xff, KEY_BYTES);
  assert_true(key_is_zero(&zero));
  assert_false(key_is_zero(&one));
  struct key next = key_successor(&max);
  assert_true(key_is_zero(&next));
  assert_int_equal(key_top_bit(&zero), -1);
  assert_int_equal(key_top_bit(&max), 159);
  struct key d = key_distance(&zero, &max);
  assert_true(key_equal(&d, &max));
  d = key_distance(&max, &zero);
  assert_true(key_equal(&d, &one));
  for (unsigned bit = 0; bit < KEY_BITS; bit++) {
    struct key power = key_add_power(&zero, bit);
    assert_int_equal(key_top_bit(&power), (int)bit);
    struct key far = key_add_power(&max, bit);
    d = key_distance(&max, &far);
    assert_true(key_equal(&d, &power));
    struct key twice = key_add_power(&power, bit);
    assert_int_equal(key_top_bit(&twice), bit == KEY_BITS - 1 ? -1 : (int)bit + 1);
  }
}

/* read in either case, written in upper case. */
static void test_text(void **state) {
  (void)state;
  const char *text = "125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A9";
  struct key key, lower;
  assert_true(key_parse(slice_cstr(text), &key));
  assert_int_equal(key.byte[0], 0x12);
  assert_int_equal(key.byte[19], 0xa9);
  assert_true(key_parse(SLICE("125f04c6c5bd5e1ca7bbad060dec34c0a38be3a9"), &lower));
  assert_true(key_equal(&key, &lower));
  char out[KEY_HEX];
  struct buf b = buf_over(out, sizeof out);
  key_put(&b, &key);
  assert_false(b.overflow);
  assert_true(slice_equal(buf_slice(&b), slice_cstr(text)));
  assert_false(key_parse(slice_first(slice_cstr(text), 39), &key));
  assert_false(key_parse(SLICE("125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A90"), &key));
  assert_false(key_parse(SLICE("125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3AG"), &key));
  assert_false(key_parse(SLICE("-25F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A9"), &key));
  assert_true(key_equal(&key, &lower)); /* untouched by the failures */
  assert_false(key_parse(SLICE_EMPTY, &key));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_interval_laws),
      cmocka_unit_test(test_distance_agrees_with_intervals),
      cmocka_unit_test(test_arithmetic),
      cmocka_unit_test(test_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
