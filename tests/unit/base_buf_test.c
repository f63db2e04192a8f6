/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

static void assert_text(const struct buf *b, const char *text) {
  assert_true(slice_equal(buf_slice(b), slice_cstr(text)));
}

static void put_all(struct buf *b) {
  buf_put(b, SLICE("ab"));
  buf_put_char(b, '-');
  buf_put_u64(b, 0);
  buf_put_char(b, '-');
  buf_put_u64(b, UINT64_MAX);
  buf_put_char(b, '-');
  buf_put_hex64(b, 0xabc, 4);
  buf_put_char(b, '-');
  buf_put_hex(b, "\x0f\xa0", 2);
  buf_put_char(b, '-');
  buf_put_base64(b, "xyz!", 4);
  buf_put_cstr(b, "end");
}
static const char all[] = "ab-0-18446744073709551615-0abc-0FA0-eHl6IQ==end";

/* At every capacity: whole appends only, and nothing after the first that did not fit. */
static void test_sticky_overflow(void **state) {
  (void)state;
  for (size_t cap = 0; cap <= sizeof all; cap++) {
    char memory[sizeof all + 8];
    memset(memory, '#', sizeof memory);
    struct buf b = buf_over(memory, cap);
    put_all(&b);
    assert_int_equal(b.overflow, cap < sizeof all - 1);
    assert_true(b.len <= cap);
    assert_memory_equal(memory, all, b.len);
    for (size_t i = b.len; i < sizeof memory; i++) assert_int_equal(memory[i], '#');
    if (!b.overflow) assert_text(&b, all);
    if (cap == 4) assert_text(&b, "ab-0");
    if (cap == 20) assert_text(&b, "ab-0-");
  }
}

static void test_overflow_stays(void **state) {
  (void)state;
  char memory[4];
  struct buf b = buf_over(memory, sizeof memory);
  buf_put(&b, SLICE("abc"));
  buf_put(&b, SLICE("de"));
  buf_put_char(&b, 'f'); /* it would fit */
  assert_true(b.overflow);
  assert_text(&b, "abc");
  buf_truncate(&b, 1);
  assert_true(b.overflow);
  assert_text(&b, "a");
  buf_reset(&b);
  buf_put(&b, SLICE("wxyz"));
  assert_false(b.overflow);
  buf_put(&b, SLICE(""));
  assert_false(b.overflow);
  struct buf none = buf_over(NULL, 0);
  buf_put(&none, SLICE_EMPTY);
  buf_put_hex(&none, NULL, 0);
  buf_put_base64(&none, NULL, 0);
  assert_false(none.overflow);
  buf_put_char(&none, 'x');
  assert_true(none.overflow);
}

/* RFC 4648 section 10. */
static void test_base64_vectors(void **state) {
  (void)state;
  static const char *const vector[][2] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
  };
  for (size_t i = 0; i < sizeof vector / sizeof *vector; i++) {
    char memory[16];
    struct buf b = buf_over(memory, sizeof memory);
    buf_put_base64(&b, vector[i][0], strlen(vector[i][0]));
    assert_text(&b, vector[i][1]);
    uint8_t out[8];
    size_t len = strlen(vector[i][0]); /* just enough */
    assert_true(base64_decode(buf_slice(&b), out, &len));
    assert_int_equal(len, strlen(vector[i][0]));
    assert_memory_equal(out, vector[i][0], len);
    if (len == 0) continue;
    size_t less = len - 1;
    assert_false(base64_decode(buf_slice(&b), out, &less));
    assert_int_equal(less, len - 1);
  }
}

static void test_base64_round_trip(void **state) {
  (void)state;
  uint8_t bytes[256], back[256];
  for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7 + 3);
  for (size_t len = 0; len <= sizeof bytes; len++) {
    char memory[344];
    struct buf b = buf_over(memory, sizeof memory);
    buf_put_base64(&b, bytes, len);
    assert_false(b.overflow);
    size_t got = sizeof back;
    assert_true(base64_decode(buf_slice(&b), back, &got));
    assert_int_equal(got, len);
    assert_memory_equal(back, bytes, len);
  }
}

static void test_base64_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"A",    "AA",   "AAA",      "AAAAA",   "====",    "A===",
                                    "AA=A", "Zh==", "Zm9=",     "AA A",    "AA\nA",   "AAA-",
                                    "AAA_", "=AAA", "AA==AAAA", "Z\x80gg", "AAAA===="};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    uint8_t out[16];
    size_t len = sizeof out;
    assert_false(base64_decode(slice_cstr(bad[i]), out, &len));
    assert_int_equal(len, sizeof out);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sticky_overflow), cmocka_unit_test(test_overflow_stays),
      cmocka_unit_test(test_base64_vectors),  cmocka_unit_test(test_base64_round_trip),
      cmocka_unit_test(test_base64_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
