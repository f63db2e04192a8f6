/* SPDX-License-Identifier: BSD-2-Clause */
/* The 49 messages of RFC 4475 against the parser: what each must draw before any element looks at
 * it. The messages lie in $LOCSER_TORTURE, or next to the source folder; without them the test is
 * skipped. Proves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sip/message.h"

#ifndef SOURCE_DIR
#define SOURCE_DIR "."
#endif
#define SKIPPED 77

enum want {
  ACCEPT,
  REJECT,      /* with `status`, the reason holding `reason` */
  DROP,        /* a response nobody can use */
  BAD_CONTACT, /* the message parses, its Contact value does not */
};

struct expectation {
  const char *name;
  enum want want;
  uint16_t status;
  const char *reason;
};

/* Where RFC 4475 leaves a choice, the strict side is taken. */
static const struct expectation expectations[] = {
    {"wsinv", ACCEPT, 0, NULL},
    {"intmeth", ACCEPT, 0, NULL},
    {"esc01", ACCEPT, 0, NULL},
    {"escnull", ACCEPT, 0, NULL},
    {"esc02", ACCEPT, 0, NULL},
    {"lwsdisp", ACCEPT, 0, NULL},
    {"longreq", ACCEPT, 0, NULL},
    {"dblreq", ACCEPT, 0, NULL},
    {"semiuri", ACCEPT, 0, NULL},
    {"transports", ACCEPT, 0, NULL},
    {"mpart01", ACCEPT, 0, NULL},
    {"unreason", ACCEPT, 0, NULL},
    {"noreason", ACCEPT, 0, NULL},
    {"badinv01", REJECT, 400, "Via"},
    {"clerr", REJECT, 400, "Content-Length"},
    {"ncl", REJECT, 400, "Content-Length"},
    {"scalar02", REJECT, 400, "CSeq"},
    {"scalarlg", DROP, 0, "CSeq"},
    {"quotbal", REJECT, 400, "To"},
    {"ltgtruri", REJECT, 400, "Request-URI"},
    {"lwsruri", REJECT, 400, "Request-URI"},
    {"lwsstart", REJECT, 400, "Request-Line"},
    {"trws", REJECT, 400, "Request-Line"},
    {"escruri", REJECT, 400, "Request-URI"},
    {"baddate", ACCEPT, 0, NULL},
    {"regbadct", BAD_CONTACT, 0, NULL},
    {"badaspec", REJECT, 400, "To"},
    {"baddn", REJECT, 400, "From"},
    {"badvers", REJECT, 505, "Version"},
    {"mismatch01", REJECT, 400, "CSeq"},
    {"mismatch02", REJECT, 400, "CSeq"},
    {"bigcode", DROP, 0, "Status-Code"},
    {"badbranch", REJECT, 400, "Branch"},
    {"insuf", REJECT, 400, "From"},
    {"unkscm", ACCEPT, 0, NULL},
    {"novelsc", ACCEPT, 0, NULL},
    {"unksm2", ACCEPT, 0, NULL},
    {"bext01", ACCEPT, 0, NULL},
    {"invut", ACCEPT, 0, NULL},
    {"regaut01", ACCEPT, 0, NULL},
    {"multi01", REJECT, 400, "CSeq"},
    {"mcl01", REJECT, 400, "Content-Length"},
    {"bcast", ACCEPT, 0, NULL},
    {"zeromf", ACCEPT, 0, NULL},
    {"cparam01", ACCEPT, 0, NULL},
    {"cparam02", ACCEPT, 0, NULL},
    {"regescrt", ACCEPT, 0, NULL},
    {"sdp01", ACCEPT, 0, NULL},
    {"inv2543", ACCEPT, 0, NULL},
};

static char bytes[SIP_MESSAGE_BYTES_MAX];

static const char *folder(void) {
  const char *given = getenv("LOCSER_TORTURE");
  return given != NULL ? given : SOURCE_DIR "/../shared/torture/rfc4475";
}

/* Empty: no such file. */
static struct slice load(const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s.dat", folder(), name);
  FILE *file = fopen(path, "rb");
  if (file == NULL) return SLICE_EMPTY;
  size_t len = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  return slice_of(bytes, len);
}

static struct slice must_load(const char *name) {
  struct slice text = load(name);
  if (text.len == 0) fail_msg("%s.dat is missing in %s", name, folder());
  return text;
}

static bool contacts_parse(const struct sip_message *m) {
  struct sip_values values = sip_values_of(m, SIP_H_CONTACT);
  struct slice value;
  struct sip_address address;
  while (sip_values_next(&values, &value))
    if (sip_address_parse(value, &address) != OK) return false;
  return true;
}

static void check_refused(const struct expectation *e, enum err err,
                          const struct sip_problem *problem) {
  if (err == OK) fail_msg("%s was accepted", e->name);
  if (problem->status != e->status || strstr(problem->reason, e->reason) == NULL)
    fail_msg("%s drew %u %s", e->name, problem->status, problem->reason);
}

static void check(const struct expectation *e, const struct sip_message *m, enum err err,
                  const struct sip_problem *problem) {
  switch (e->want) {
    case ACCEPT:
    case BAD_CONTACT:
      if (err != OK) fail_msg("%s drew %u %s", e->name, problem->status, problem->reason);
      assert_int_equal(contacts_parse(m), e->want == ACCEPT);
      return;
    case REJECT:
      check_refused(e, err, problem);
      /* Each of them can be answered, as far as the Via goes. */
      assert_true(m->via.host.len > 0);
      return;
    case DROP:
      check_refused(e, err, problem);
      return;
  }
}

static void each_message_draws_what_rfc_4475_expects(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
    struct sip_message m;
    struct sip_problem problem;
    struct slice text = must_load(expectations[i].name);
    enum err err = sip_message_parse(text, SIP_DATAGRAM, &m, &problem);
    check(&expectations[i], &m, err, &problem);
  }
}

static struct sip_message parse(const char *name) {
  struct sip_message m;
  struct sip_problem problem;
  assert_int_equal(sip_message_parse(must_load(name), SIP_DATAGRAM, &m, &problem), OK);
  return m;
}

static void assert_text(struct slice got, const char *want) {
  assert_int_equal(got.len, strlen(want));
  assert_memory_equal(got.at, want, got.len);
}

static void folds_and_odd_case_are_read(void **state) {
  (void)state;
  struct sip_message m = parse("wsinv");
  assert_text(m.from_tag, "98asjd8");
  assert_text(m.to_tag, "1918181833n");
  assert_int_equal(m.max_forwards, 68);
  assert_int_equal(m.cseq, 9);
  assert_text(m.cseq_method, "INVITE");
  assert_text(m.via.transport, "UDP");
  assert_text(m.via.host, "192.0.2.2");
  assert_text(m.via.branch, "390skdjuw");
  assert_int_equal(m.body.len, 150);
  struct sip_values vias = sip_values_of(&m, SIP_H_VIA);
  struct slice value;
  struct sip_via via;
  static const char *const hosts[] = {"192.0.2.2", "spindle.example.com", "192.168.255.111"};
  static const char *const branches[] = {"390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"};
  for (unsigned i = 0; i < 3; i++) {
    assert_true(sip_values_next(&vias, &value));
    assert_int_equal(sip_via_parse(value, &via), OK);
    assert_text(via.host, hosts[i]);
    assert_text(via.branch, branches[i]);
  }
  assert_false(sip_values_next(&vias, &value));
}

static void odd_tokens_are_kept(void **state) {
  (void)state;
  struct sip_message m = parse("intmeth");
  assert_int_equal(m.method, SIP_METHOD_OTHER);
  assert_text(m.method_text, "!interesting-Method0123456789_*+`.%indeed'~");
  struct sip_uri uri;
  assert_int_equal(sip_uri_parse(m.uri_text, &uri), OK);
  assert_text(uri.host, "example.com");
  assert_text(uri.user, "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
  assert_text(uri.password, "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)");
}

static void an_escaped_method_is_another_method(void **state) {
  (void)state;
  struct sip_message m = parse("esc02");
  assert_int_equal(m.method, SIP_METHOD_OTHER);
  assert_text(m.method_text, "RE%47IST%45R");
  assert_int_equal(sip_header_count(&m, SIP_H_CONTACT), 2);
}

static void octets_after_the_body_are_left_out(void **state) {
  (void)state;
  struct sip_message m = parse("dblreq");
  assert_int_equal(m.body.len, 0);
  assert_int_equal(m.method, SIP_REGISTER);
  assert_memory_equal(m.bytes.at + m.bytes.len - 4, "\r\n\r\n", 4);
  assert_int_equal(slice_find(m.bytes, SLICE("INVITE")), m.bytes.len);
}

static void a_semicolon_stays_in_the_user_part(void **state) {
  (void)state;
  struct sip_message m = parse("semiuri");
  struct sip_uri uri;
  assert_int_equal(sip_uri_parse(m.uri_text, &uri), OK);
  assert_text(uri.user, "user;par=u%40example.net");
  assert_text(uri.host, "example.com");
}

static void a_parameter_belongs_where_the_brackets_say(void **state) {
  (void)state;
  struct sip_address address;
  struct sip_message m = parse("cparam01");
  assert_int_equal(sip_address_parse(sip_header_first(&m, SIP_H_CONTACT)->value, &address), OK);
  assert_text(address.params, "unknownparam");
  assert_int_equal(address.uri.params.len, 0);
  m = parse("cparam02");
  assert_int_equal(sip_address_parse(sip_header_first(&m, SIP_H_CONTACT)->value, &address), OK);
  assert_int_equal(address.params.len, 0);
  assert_text(address.uri.params, "unknownparam");
  m = parse("regescrt");
  assert_int_equal(sip_address_parse(sip_header_first(&m, SIP_H_CONTACT)->value, &address), OK);
  assert_text(address.uri.headers, "Route=%3Csip:sip.example.com%3E");
}

static void an_escaped_nul_does_not_end_a_name(void **state) {
  (void)state;
  struct sip_message m = parse("escnull");
  struct sip_values contacts = sip_values_of(&m, SIP_H_CONTACT);
  struct slice value;
  struct sip_address one, two;
  assert_true(sip_values_next(&contacts, &value));
  assert_int_equal(sip_address_parse(value, &one), OK);
  assert_true(sip_values_next(&contacts, &value));
  assert_int_equal(sip_address_parse(value, &two), OK);
  assert_false(sip_uri_equal(&one.uri, &two.uri));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_message_draws_what_rfc_4475_expects),
      cmocka_unit_test(folds_and_odd_case_are_read),
      cmocka_unit_test(odd_tokens_are_kept),
      cmocka_unit_test(an_escaped_method_is_another_method),
      cmocka_unit_test(octets_after_the_body_are_left_out),
      cmocka_unit_test(a_semicolon_stays_in_the_user_part),
      cmocka_unit_test(a_parameter_belongs_where_the_brackets_say),
      cmocka_unit_test(an_escaped_nul_does_not_end_a_name),
  };
  if (load("wsinv").len == 0) {
    printf("skipped: no RFC 4475 messages in %s\n", folder());
    return SKIPPED;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
