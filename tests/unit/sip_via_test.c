/* SPDX-License-Identifier: BSD-2-Clause */
/* Via values: RFC 3261 18.2, 20.42, RFC 3581. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sip/message.h"

static void assert_text(struct slice got, const char *want) {
  if (!slice_equal(got, slice_cstr(want))) fail_msg("%.*s, not %s", SLICE_FMT(got), want);
}

static void every_part_is_found(void **state) {
  (void)state;
  struct sip_via via;
  struct slice text =
      SLICE("SIP/2.0/TLS [2001:db8::1]:5070;x;branch=z9hG4bKab.c;received=2001:db8::2;rport=9");
  assert_int_equal(sip_via_parse(text, &via), OK);
  assert_text(via.transport, "TLS");
  assert_text(via.host, "[2001:db8::1]");
  assert_int_equal(via.port, 5070);
  assert_text(via.branch, "z9hG4bKab.c");
  assert_text(via.received, "2001:db8::2");
  assert_text(via.rport, "9");
  assert_text(via.params, "x;branch=z9hG4bKab.c;received=2001:db8::2;rport=9");
  assert_true(slice_equal(via.text, text));
}

static void white_space_may_stand_between_the_parts(void **state) {
  (void)state;
  struct sip_via via;
  assert_int_equal(sip_via_parse(SLICE("SIP /\r\n 2.0\t/UDP  \r\n\tfirst.example.com : 4000 ; "
                                       "BRANCH\r\n = z9hG4bKx ; RPort ;ttl=16"),
                                 &via),
                   OK);
  assert_text(via.transport, "UDP");
  assert_text(via.host, "first.example.com");
  assert_int_equal(via.port, 4000);
  assert_text(via.branch, "z9hG4bKx");
  assert_non_null(via.rport.at);
  assert_int_equal(via.rport.len, 0);
}

static void what_is_not_there_is_empty(void **state) {
  (void)state;
  struct sip_via via;
  assert_int_equal(sip_via_parse(SLICE("SIP/2.0/X-NEW a"), &via), OK);
  assert_text(via.transport, "X-NEW");
  assert_int_equal(via.port, 0);
  assert_int_equal(via.branch.len, 0);
  assert_null(via.rport.at);
  assert_int_equal(via.received.len, 0);
  assert_null(via.params.at);
}

static void broken_vias_are_refused(void **state) {
  (void)state;
  static const char *const broken[] = {
      "",
      "SIP",
      "SIP/2.0",
      "SIP/2.0/UDP",
      "SIP/2.0/UDP ",
      "SIP/2.0/ a",
      "SIP//UDP a",
      "/2.0/UDP a",
      "SIP/2.0 UDP a",
      "SIP/2.0/UDPa",
      "SIP/2.0/UDP a b",
      "SIP/2.0/UDP a:",
      "SIP/2.0/UDP a:0",
      "SIP/2.0/UDP a:x",
      "SIP/2.0/UDP a:65536",
      "SIP/2.0/UDP sip:a@1.2.3.4",
      "SIP/2.0/UDP a;",
      "SIP/2.0/UDP a;;",
      "SIP/2.0/UDP a;branch",
      "SIP/2.0/UDP a;branch=",
      "SIP/2.0/UDP a;b=1;",
      "SIP/2.0/UDP a;branch=\"x\"",
      "SIP/2.0/UDP a;branch=1;branch=2",
      "SIP/2.0/UDP a;received",
      "SIP/2.0/UDP a;rport;rport=1",
      "SIP/2.0/UDP a;rport=x",
      "SIP/2.0/UDP a;rport=0",
      "SIP/2.0/UDP a,SIP/2.0/UDP b",
      "SIP/2.0/UDP a;branch=z9hG4bK",
      "SIP/2.0/UDP 1.2.3",
      "SIP/2.0/UDP [::1",
      "SIP/2.0/UDP a;x=\"",
      "SIP/2.0/UDP ;branch=z9hG4bKx",
  };
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    struct sip_via via;
    if (sip_via_parse(slice_cstr(broken[i]), &via) == OK) fail_msg("accepted: %s", broken[i]);
  }
}

static void responses_go_to_received_and_rport(void **state) {
  (void)state;
  static const struct {
    const char *via;
    enum transport transport;
    const char *address; /* NULL: a name, or a transport that is not known */
  } cases[] = {
      {"SIP/2.0/UDP 192.0.2.1", TRANSPORT_UDP, "192.0.2.1:5060"},
      {"SIP/2.0/UDP 192.0.2.1:5070;rport", TRANSPORT_UDP, "192.0.2.1:5070"},
      {"SIP/2.0/UDP a.example.com:5070;received=192.0.2.9", TRANSPORT_UDP, "192.0.2.9:5070"},
      {"SIP/2.0/UDP a:5070;received=192.0.2.9;rport=7", TRANSPORT_UDP, "192.0.2.9:7"},
      {"SIP/2.0/TCP [2001:db8::1]", TRANSPORT_TCP, "[2001:db8::1]:5060"},
      {"SIP/2.0/tls a;received=2001:db8::7", TRANSPORT_TLS, "[2001:db8::7]:5061"},
      /* Nobody may aim our responses with maddr. */
      {"SIP/2.0/UDP 192.0.2.1;maddr=203.0.113.5", TRANSPORT_UDP, "192.0.2.1:5060"},
      {"SIP/2.0/UDP a.example.com", TRANSPORT_UDP, NULL},
      {"SIP/2.0/SCTP 192.0.2.1", TRANSPORT_UDP, NULL},
      {"SIP/2.0/UDP 192.0.2.1;received=name", TRANSPORT_UDP, NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct sip_via via;
    struct endpoint got, want;
    assert_int_equal(sip_via_parse(slice_cstr(cases[i].via), &via), OK);
    enum err err = sip_via_endpoint(&via, &got);
    assert_int_equal(err, cases[i].address == NULL ? ERR_UNSUPPORTED : OK);
    if (err != OK) continue;
    assert_true(endpoint_parse(slice_cstr(cases[i].address), cases[i].transport, 0, &want));
    assert_true(endpoint_equal(&got, &want));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_part_is_found),
      cmocka_unit_test(white_space_may_stand_between_the_parts),
      cmocka_unit_test(what_is_not_there_is_empty),
      cmocka_unit_test(broken_vias_are_refused),
      cmocka_unit_test(responses_go_to_received_and_rport),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
