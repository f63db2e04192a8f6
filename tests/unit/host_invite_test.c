/* SPDX-License-Identifier: BSD-2-Clause */
/* the line of an invitation, written and read. What is done with it is in
 * tests/system/invite_test.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/invite.h"

#define CA "0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20"
#define KEY "F102030405060708090A0B0C0D0E0F1011121314"
#define GOOD \
  "locser://192.0.2.4:5062,[2001:db8::1]:5062/home?ca=" CA "&key=" KEY "&until=1777636800"

static enum err parse(const char *line, struct invite *out) {
  struct why why = {""};
  enum err err = invite_parse(slice_cstr(line), out, &why);
  assert_int_equal(err == OK, why.text[0] == '\0');
  return err;
}

static void a_line_is_read_and_written(void **state) {
  (void)state;
  struct invite invite;
  char line[INVITE_LINE_BYTES];
  struct buf out = buf_over(line, sizeof line);
  assert_int_equal(parse(" " GOOD "\r\n", &invite), OK);
  assert_int_equal(invite.count, 2);
  assert_string_equal(invite.address[1], "[2001:db8::1]:5062");
  assert_string_equal(invite.overlay, "home");
  assert_int_equal(invite.ca[31], 0x20);
  assert_int_equal(invite.secret[0], 0xF1);
  assert_int_equal(invite.until_s, 1777636800);
  invite_put(&out, &invite);
  assert_true(slice_equal(buf_slice(&out), SLICE(GOOD)));
}

static void names_are_addresses_too(void **state) {
  (void)state;
  struct invite invite;
  assert_int_equal(
      parse("locser://peer.example.net:5062/locser?ca=" CA "&key=" KEY "&until=1", &invite), OK);
  assert_string_equal(invite.address[0], "peer.example.net:5062");
}

static void other_lines_are_refused(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "locser://",
      "http://192.0.2.4:5062/home?ca=" CA "&key=" KEY "&until=1",
      "locser:///home?ca=" CA "&key=" KEY "&until=1",
      "locser://192.0.2.4/home?ca=" CA "&key=" KEY "&until=1",
      "locser://192.0.2.4:99999/home?ca=" CA "&key=" KEY "&until=1",
      "locser://a:1,b:2,c:3,d:4,e:5/home?ca=" CA "&key=" KEY "&until=1",
      "locser://192.0.2.4:5062/?ca=" CA "&key=" KEY "&until=1",
      "locser://192.0.2.4:5062/a;b?ca=" CA "&key=" KEY "&until=1",
      "locser://192.0.2.4:5062/home?ca=" CA "00&key=" KEY "&until=1",
      "locser://192.0.2.4:5062/home?ca=" CA "&key=" KEY "0&until=1",
      "locser://192.0.2.4:5062/home?ca=" CA "&key=X" KEY "&until=1",
      "locser://192.0.2.4:5062/home?key=" KEY "&ca=" CA "&until=1",
      "locser://192.0.2.4:5062/home?ca=" CA "&key=" KEY "&until=",
      "locser://192.0.2.4:5062/home?ca=" CA "&key=" KEY "&until=1&more=2",
      "locser://192.0.2.4:5062/home?ca=" CA "&key=" KEY,
      "locser://192.0.2.4:5062/"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "?ca=" CA "&key=" KEY "&until=1",
  };
  struct invite invite;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(parse(bad[i], &invite), ERR_SYNTAX);
  for (size_t len = 0; len + 1 < sizeof GOOD - 9; len++) { /* every cut but in the number */
    struct why why;
    assert_int_equal(invite_parse(slice_first(SLICE(GOOD), len), &invite, &why), ERR_SYNTAX);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_line_is_read_and_written),
      cmocka_unit_test(names_are_addresses_too),
      cmocka_unit_test(other_lines_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
