/* SPDX-License-Identifier: BSD-2-Clause */
/* A `get` that is known at sight reads as expat reads it; anything that is nearly one is left to
 * expat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/memory.h"
#include "xml/body.h"
#include "xml/query.h"

static struct slice write_get(struct buf *out, struct slice key_text) {
  char text[4096];
  struct buf query = buf_over(text, sizeof text);
  xml_put_query(&query, key_text, NULL);
  struct slice record = buf_slice(&query);
  buf_reset(out);
  xml_put_call(out, XML_GET, &record, 1, NULL);
  assert_false(out->overflow);
  return buf_slice(out);
}

/* The same document with a space where it changes nothing. */
static struct slice loosen(struct buf *out, struct slice body) {
  size_t at = slice_find(body, SLICE("</methodCall>"));
  buf_reset(out);
  buf_put(out, slice_first(body, at));
  buf_put_char(out, ' ');
  buf_put(out, slice_skip(body, at));
  assert_false(out->overflow);
  return buf_slice(out);
}

static void assert_same_slice(struct slice a, struct slice b) {
  assert_int_equal(a.len, b.len);
  assert_memory_equal(a.at, b.at, a.len);
}

static void known_at_sight_reads_as_expat_reads_it(void **state) {
  static const char *const keys[] = {"sip:bob@example.com", "sip:o'neil\"@a.b", "tel:+1-201", "x"};
  (void)state;
  static struct xml_body sight, expat;
  static char a[8192], b[8192];
  struct buf tight_text = buf_over(a, sizeof a), loose_text = buf_over(b, sizeof b);
  struct test_memory memory;
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  struct xml_reader *reader = xml_reader_new(&memory.memory, 1);
  const char *why = NULL;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    struct slice tight = write_get(&tight_text, slice_cstr(keys[i]));
    struct slice loose = loosen(&loose_text, tight);
    memset(&sight, 0xa5, sizeof sight);
    memset(&expat, 0xa5, sizeof expat);
    assert_false(query_read(loose, &expat));
    assert_int_equal(xml_body_read(reader, loose, &expat, &why), OK);
    assert_int_equal(xml_body_read(reader, tight, &sight, &why), OK);
    assert_true(sight.call && expat.call);
    assert_int_equal(sight.method, expat.method);
    assert_same_slice(sight.method_name, expat.method_name);
    assert_int_equal(sight.record_count, expat.record_count);
    assert_same_slice(sight.record[0].bytes, expat.record[0].bytes);
    assert_same_slice(sight.record[0].key_text, expat.record[0].key_text);
    assert_false(sight.record[0].has_owner || sight.record[0].has_value || sight.record[0].removed);
    assert_false(sight.fault || sight.has_boolean || sight.overlay.present ||
                 sight.overlay.has_after || sight.overlay.has_range);
    assert_int_equal(sight.overlay.peer_count, 0);
  }
  xml_reader_free(reader);
}

static void plain_keys_are_known_at_sight(void **state) {
  static struct xml_body body;
  static char a[8192];
  (void)state;
  struct buf text = buf_over(a, sizeof a);
  assert_true(query_read(write_get(&text, SLICE("sip:bob@example.com")), &body));
}

static void what_needs_a_parser_is_left_to_it(void **state) {
  static const char *const keys[] = {"sip:a&b@c", "a<b", "a b",  " a",
                                     "a\n",       "",    "\x7f", "\xc3\xa9"};
  static struct xml_body body;
  static char a[8192], long_key[XML_KEY_BYTES_MAX + 1];
  (void)state;
  struct buf text = buf_over(a, sizeof a);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    assert_false(query_read(write_get(&text, slice_cstr(keys[i])), &body));
  memset(long_key, 'k', sizeof long_key);
  assert_false(query_read(write_get(&text, slice_of(long_key, sizeof long_key)), &body));
  struct slice whole = write_get(&text, SLICE("sip:bob@example.com"));
  for (size_t len = 0; len < whole.len; len++)
    assert_false(query_read(slice_first(whole, len), &body));
  for (size_t i = 0; i < whole.len; i++) { /* a changed byte, but in the key, is another body */
    a[i] ^= 1;
    if (query_read(whole, &body)) assert_non_null(memchr("sip:bob@example.com", a[i] ^ 1, 19));
    a[i] ^= 1;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_at_sight_reads_as_expat_reads_it),
      cmocka_unit_test(plain_keys_are_known_at_sight),
      cmocka_unit_test(what_needs_a_parser_is_left_to_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
