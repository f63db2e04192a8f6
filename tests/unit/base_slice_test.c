/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"

static void test_compare(void **state) {
  (void)state;
  assert_true(slice_equal(SLICE("ab"), SLICE("ab")));
  assert_true(slice_equal(SLICE_EMPTY, SLICE("")));
  assert_false(slice_equal(SLICE("ab"), SLICE("abc")));
  assert_false(slice_equal(SLICE("ab"), SLICE("aB")));
  assert_true(slice_equal_nocase(SLICE("Via-[09"), SLICE("vIA-[09")));
  assert_false(slice_equal_nocase(SLICE("@"), SLICE("`")));
  assert_false(slice_equal_nocase(SLICE("["), SLICE("{")));
  assert_false(slice_equal_nocase(SLICE("\xc0"), SLICE("\xe0")));
  assert_true(slice_compare(SLICE("ab"), SLICE("abc")) < 0);
  assert_true(slice_compare(SLICE("b"), SLICE("abc")) > 0);
  assert_true(slice_compare(SLICE("\xff"), SLICE("a")) > 0);
  assert_int_equal(slice_compare(SLICE_EMPTY, SLICE_EMPTY), 0);
  assert_true(slice_starts(SLICE("sip:a"), SLICE("sip:")));
  assert_true(slice_starts(SLICE_EMPTY, SLICE_EMPTY));
  assert_false(slice_starts(SLICE("sip"), SLICE("sip:")));
  assert_true(slice_starts_nocase(SLICE("SIP:a"), SLICE("sip:")));
}

static void test_find_and_cut(void **state) {
  (void)state;
  assert_int_equal(slice_find_byte(SLICE("a:b:"), ':'), 1);
  assert_int_equal(slice_find_byte(SLICE("ab"), ':'), 2);
  assert_int_equal(slice_find_byte(SLICE_EMPTY, ':'), 0);
  assert_int_equal(slice_find(SLICE("aaab"), SLICE("aab")), 1);
  assert_int_equal(slice_find(SLICE("aaab"), SLICE("b")), 3);
  assert_int_equal(slice_find(SLICE("aaab"), SLICE("ba")), 4);
  assert_int_equal(slice_find(SLICE("aa"), SLICE("aaa")), 2);
  assert_int_equal(slice_find(SLICE("aa"), SLICE_EMPTY), 0);
  assert_int_equal(slice_find(SLICE_EMPTY, SLICE("a")), 0);
  assert_true(slice_equal(slice_trim(SLICE(" \t\r\na b\r\n ")), SLICE("a b")));
  assert_int_equal(slice_trim(SLICE(" \t ")).len, 0);
  assert_int_equal(slice_trim(SLICE_EMPTY).len, 0);
  assert_true(slice_equal(slice_skip(SLICE("abc"), 2), SLICE("c")));
  assert_int_equal(slice_skip(SLICE("abc"), 4).len, 0);
  assert_int_equal(slice_skip(SLICE_EMPTY, 4).len, 0);
  assert_true(slice_equal(slice_first(SLICE("abc"), 2), SLICE("ab")));
  assert_true(slice_equal(slice_first(SLICE("abc"), 9), SLICE("abc")));
}

static void test_numbers(void **state) {
  (void)state;
  uint64_t n = 7;
  assert_true(slice_to_u64(SLICE("18446744073709551615"), UINT64_MAX, &n));
  assert_true(n == UINT64_MAX);
  assert_false(slice_to_u64(SLICE("18446744073709551616"), UINT64_MAX, &n));
  assert_true(slice_to_u64(SLICE("000000000000000000000000255"), 255, &n));
  assert_int_equal(n, 255);
  static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "256", "2550"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_false(slice_to_u64(slice_cstr(bad[i]), 255, &n));
  assert_true(slice_to_u64(SLICE("0"), 0, &n));
  assert_false(slice_to_u64(SLICE("1"), 0, &n));
  assert_int_equal(n, 0);
  assert_true(slice_hex_to_u64(SLICE("fEdCbA9876543210"), &n));
  assert_true(n == 0xfedcba9876543210);
  assert_false(slice_hex_to_u64(SLICE("00000000000000001"), &n));
  assert_false(slice_hex_to_u64(SLICE(""), &n));
  assert_false(slice_hex_to_u64(SLICE("g"), &n));
}

static void test_taking(void **state) {
  (void)state;
  struct slice rest = SLICE("key=value;more");
  assert_false(slice_take(&rest, SLICE("value")));
  assert_true(slice_take(&rest, SLICE("key=")));
  assert_true(slice_equal(slice_take_until(&rest, ';'), SLICE("value")));
  assert_true(slice_equal(rest, SLICE(";more")));
  assert_false(slice_take(&rest, SLICE(";more and more")));
  assert_true(slice_equal(slice_take_until(&rest, '='), SLICE(";more")));
  assert_true(rest.len == 0 && slice_take_until(&rest, '=').len == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_compare),
      cmocka_unit_test(test_find_and_cut),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_taking),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
