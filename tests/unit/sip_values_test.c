/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding headers and stepping through the values of lists: RFC 3261 7.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sip/message.h"

#define HEAD                                   \
  "OPTIONS sip:a@b SIP/2.0\r\n"                \
  "Via: SIP/2.0/UDP c;branch=z9hG4bK1\r\n"     \
  "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n" \
  "Call-ID: x\r\nCSeq: 1 OPTIONS\r\n"

static char bytes[8192];
static struct sip_message m;

static void parse(const char *more) {
  struct sip_problem problem;
  int len = snprintf(bytes, sizeof bytes, HEAD "%s\r\n", more);
  if (sip_message_parse(slice_of(bytes, (size_t)len), SIP_DATAGRAM, &m, &problem) != OK)
    fail_msg("%s", problem.reason);
}

static void assert_values(enum sip_header_id id, const char *const *want, unsigned count) {
  struct sip_values values = sip_values_of(&m, id);
  struct slice value;
  for (unsigned i = 0; i < count; i++) {
    assert_true(sip_values_next(&values, &value));
    if (!slice_equal(value, slice_cstr(want[i])))
      fail_msg("%u: '%.*s', not '%s'", i, SLICE_FMT(value), want[i]);
  }
  assert_false(sip_values_next(&values, &value));
  assert_false(sip_values_next(&values, &value));
}

static void values_come_in_order_over_all_headers(void **state) {
  (void)state;
  static const char *const want[] = {"<sip:p1;lr>", "<sip:p2,x;lr>;a=\",\"", "\"q, \\\"\" <sip:p3>",
                                     "<sip:p4>"};
  parse(
      "Route: <sip:p1;lr> ,\r\n <sip:p2,x;lr>;a=\",\"\r\nX: 1, 2\r\n"
      "rOUTE: \"q, \\\"\" <sip:p3>\r\nRoute:   <sip:p4>  \r\n");
  assert_values(SIP_H_ROUTE, want, 4);
  assert_int_equal(sip_header_count(&m, SIP_H_ROUTE), 3);
  assert_values(SIP_H_PATH, NULL, 0);
}

static void an_empty_header_has_no_values(void **state) {
  (void)state;
  static const char *const want[] = {"path"};
  parse("Supported:\r\nSupported: path\r\nk :  \r\n");
  assert_values(SIP_H_SUPPORTED, want, 1);
}

static void an_empty_element_is_seen(void **state) {
  (void)state;
  static const char *const want[] = {"", "<sip:a>", "", "<sip:b>", ""};
  parse("Contact: , <sip:a>,,<sip:b>,\r\n");
  assert_values(SIP_H_CONTACT, want, 5);
}

/* An open quote or bracket takes the rest: no comma after it can be trusted. */
static void what_is_not_closed_takes_the_rest(void **state) {
  (void)state;
  static const char *const quote[] = {"\"a, <sip:a>, b"};
  static const char *const angle[] = {"x", "<sip:a, <sip:b"};
  parse("Contact: \"a, <sip:a>, b\r\n");
  assert_values(SIP_H_CONTACT, quote, 1);
  parse("Contact: x, <sip:a, <sip:b\r\n");
  assert_values(SIP_H_CONTACT, angle, 2);
}

static void tokens_are_found_without_case(void **state) {
  (void)state;
  parse("Require: path , GRUU;x=1\r\nRequire: outbound\r\n");
  assert_true(sip_values_have(&m, SIP_H_REQUIRE, "Path"));
  assert_true(sip_values_have(&m, SIP_H_REQUIRE, "gruu"));
  assert_true(sip_values_have(&m, SIP_H_REQUIRE, "outbound"));
  assert_false(sip_values_have(&m, SIP_H_REQUIRE, "out"));
  assert_false(sip_values_have(&m, SIP_H_REQUIRE, "x"));
  assert_false(sip_values_have(&m, SIP_H_SUPPORTED, "path"));
}

static void headers_are_found_by_name(void **state) {
  (void)state;
  parse("X-Own: first\r\nx-own: second\r\nm: <sip:a>\r\n");
  assert_memory_equal(sip_header_named(&m, "X-OWN")->value.at, "first", 5);
  assert_null(sip_header_named(&m, "X-Ow"));
  assert_non_null(sip_header_named(&m, "m"));
  assert_ptr_equal(sip_header_named(&m, "M"), sip_header_first(&m, SIP_H_CONTACT));
  assert_null(sip_header_first(&m, SIP_H_EXPIRES));
  assert_int_equal(sip_header_count(&m, SIP_H_EXPIRES), 0);
}

/* Each name of the table is recognised in any case, and by its compact letter. */
static void every_known_name_is_recognised(void **state) {
  (void)state;
  static const struct {
    enum sip_header_id id;
    const char *name;
    char compact;
  } known[] = {
#define KNOWN(id, name, compact) {id, name, compact},
      SIP_HEADER_NAMES(KNOWN)
#undef KNOWN
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    char line[128];
    for (unsigned form = 0; form < 3; form++) {
      char name[64];
      snprintf(name, sizeof name, "%s", known[i].name);
      for (char *c = name; *c != '\0'; c++)
        if (form == 1 && *c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
      if (form == 2 && known[i].compact == 0) continue;
      if (form == 2) snprintf(name, sizeof name, "%c", known[i].compact);
      /* As the last header, after the mandatory ones: some are then there twice. */
      snprintf(line, sizeof line, "%s: 1\r\n", name);
      struct sip_problem problem;
      int len = snprintf(bytes, sizeof bytes, HEAD "%s\r\n", line);
      enum err err = sip_message_parse(slice_of(bytes, (size_t)len), SIP_DATAGRAM, &m, &problem);
      (void)err;
      assert_int_equal(m.header[m.header_count - 1].id, known[i].id);
    }
    assert_string_equal(sip_header_name(known[i].id), known[i].name);
  }
  assert_string_equal(sip_header_name(SIP_H_OTHER), "");
}

static void near_names_are_others(void **state) {
  (void)state;
  static const char *const others[] = {"Toe",
                                       "Tp",
                                       "Vib",
                                       "Call-IE",
                                       "Contacu",
                                       "z",
                                       "Overlay-Kex",
                                       "Proxy-Authorizatiom",
                                       "Content_Length",
                                       "x"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    char line[64];
    snprintf(line, sizeof line, "%s: 1\r\n", others[i]);
    parse(line);
    assert_int_equal(m.header[m.header_count - 1].id, SIP_H_OTHER);
  }
}

static void methods_have_their_case(void **state) {
  (void)state;
  for (unsigned i = SIP_METHOD_OTHER + 1; i <= SIP_LOCSER; i++) {
    const char *name = sip_method_name((enum sip_method)i);
    assert_true(name[0] != '\0');
    assert_int_equal(sip_method_of(slice_cstr(name)), i);
  }
  assert_int_equal(sip_method_of(SLICE("invite")), SIP_METHOD_OTHER);
  assert_int_equal(sip_method_of(SLICE("INVITES")), SIP_METHOD_OTHER);
  assert_int_equal(sip_method_of(SLICE_EMPTY), SIP_METHOD_OTHER);
  assert_string_equal(sip_method_name(SIP_METHOD_OTHER), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_come_in_order_over_all_headers),
      cmocka_unit_test(an_empty_header_has_no_values),
      cmocka_unit_test(an_empty_element_is_seen),
      cmocka_unit_test(what_is_not_closed_takes_the_rest),
      cmocka_unit_test(tokens_are_found_without_case),
      cmocka_unit_test(headers_are_found_by_name),
      cmocka_unit_test(every_known_name_is_recognised),
      cmocka_unit_test(near_names_are_others),
      cmocka_unit_test(methods_have_their_case),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
