/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls to domains outside the overlay: to R-7.48 (RFC 3263). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/edge_world.h"

static struct edge_world w; /* opened anew by each test */

static const struct zone two = {{
    "NAPTR example.org 10 10 s SIP+D2U _sip._udp.example.org",
    "SRV _sip._udp.example.org 10 0 5070 one.example.org",
    "SRV _sip._udp.example.org 20 0 5080 two.example.org",
    "A one.example.org 192.0.2.41",
    "A two.example.org 192.0.2.42",
}};

static struct phone alice, one, other;

static void open_world(const struct zone *zone) {
  world_open(&w, 1);
  w.zone = zone;
  alice = phone_udp(0, "192.0.2.8:5068");
  one = phone_udp(0, "192.0.2.41:5070");
  other = phone_udp(0, "192.0.2.42:5080");
}

static void close_world(void) {
  world_advance(&w, SEC(200)); /* everything ends by itself */
  assert_int_equal(edge_stats(w.edge[0]).transactions, 0);
  assert_int_equal(edge_stats(w.edge[0]).calls, 0);
  world_close(&w);
}

static void request(const char *method, const char *uri, const char *branch, const char *to_tag,
                    const char *lines) {
  world_send(&w, &alice,
             "%s %s SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.8:5068;branch=z9hG4bK%s;rport\n"
             "Max-Forwards: 70\n%sFrom: <sip:alice@example.net>;tag=al\n"
             "To: <sip:bob@example.org>%s\nCall-ID: call\nCSeq: 1 %s\n"
             "Contact: <sip:alice@192.0.2.8:5068>\nContent-Length: 0\n\n",
             method, uri, branch, lines, to_tag, method);
}

static void invite(const char *branch) { request("INVITE", "sip:bob@example.org", branch, "", ""); }

static void answers(const struct phone *server, const struct sent *invitation, unsigned status) {
  world_answer(&w, server, invitation, status,
               status < 300 ? "Contact: <sip:b@one.example.org:5070>\n" : "");
}

/* The whole of a call, with an ACK and a BYE to a Contact that is a name. */
static void call_to_another_domain(void **state) {
  (void)state;
  open_world(&two);
  invite("1");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  struct sent *got = world_expect(&w, &one, "INVITE sip:bob@example.org SIP/2.0");
  assert_int_equal(w.locates, 0);
  assert_null(sent_header(got, "Route", 0));
  answers(&one, got, 200);
  struct sent *ok = world_expect(&w, &alice, "SIP/2.0 200 ");
  request("ACK", "sip:b@one.example.org:5070", "ack", ";tag=t5070", sent_routes(ok, true));
  world_expect(&w, &one, "ACK sip:b@one.example.org:5070 ");
  request("BYE", "sip:b@one.example.org:5070", "bye", ";tag=t5070", sent_routes(ok, true));
  got = world_expect(&w, &one, "BYE ");
  answers(&one, got, 200);
  world_expect(&w, &alice, "SIP/2.0 200 ");
  world_expect_nothing(&w, &other);
  close_world();
}

/* An ACK for a name that is not known yet: the next one, for the 2xx that is repeated, finds it. */
static void ack_waits_for_the_next(void **state) {
  (void)state;
  static const struct zone zone = {{"A far.example 192.0.2.41"}};
  open_world(&zone);
  w.zone = NULL;
  request("ACK", "sip:b@far.example:5070", "ack", ";tag=x", "");
  assert_int_equal(w.names, 1);
  world_expect_nothing(&w, &one);
  world_advance(&w, SEC(16)); /* the question is over */
  w.zone = &zone;
  request("ACK", "sip:b@far.example:5070", "ack", ";tag=x", "");
  request("ACK", "sip:b@far.example:5070", "ack", ";tag=x", "");
  world_expect(&w, &one, "ACK sip:b@far.example:5070 ");
  close_world();
}

/* RFC 3263 4.3: after silence, a 503, and where nothing can be delivered. */
static void next_address_after_silence(void **state) {
  (void)state;
  open_world(&two);
  invite("1");
  struct sent *first = world_expect(&w, &one, "INVITE ");
  world_advance(&w, SEC(3));
  while (world_next(&w, &one) != NULL) continue; /* repeated */
  world_expect_nothing(&w, &other);
  world_advance(&w, SEC(2));
  struct sent *second = world_expect(&w, &other, "INVITE sip:bob@example.org ");
  assert_string_not_equal(sent_header(first, "Via", 0), sent_header(second, "Via", 0));
  answers(&other, second, 180);
  answers(&other, second, 200);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 180 ");
  world_expect(&w, &alice, "SIP/2.0 200 ");
  while (world_next(&w, &one) != NULL) continue;
  /* the silent one is tried last for a minute. */
  invite("2");
  second = world_expect(&w, &other, "INVITE ");
  world_expect_nothing(&w, &one);
  answers(&other, second, 486);
  world_advance(&w, SEC(70));
  invite("3");
  answers(&one, world_expect(&w, &one, "INVITE "), 486);
  close_world();
}

static void next_address_after_503(void **state) {
  (void)state;
  open_world(&two);
  invite("1");
  answers(&one, world_expect(&w, &one, "INVITE "), 503);
  world_expect(&w, &one, "ACK ");
  answers(&other, world_expect(&w, &other, "INVITE "), 486);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 486 ");
  close_world();
}

static void next_address_where_nothing_is_delivered(void **state) {
  (void)state;
  static const struct zone zone = {{
      "SRV _sip._tcp.example.org 10 0 5070 one.example.org",
      "SRV _sip._tcp.example.org 20 0 5080 two.example.org",
      "A one.example.org 192.0.2.41 2001:db8::41",
      "A two.example.org 192.0.2.42",
  }};
  open_world(&zone);
  one.at.transport = other.at.transport = TRANSPORT_TCP;
  request("MESSAGE", "sip:bob@example.org", "1", "", "");
  world_fail_ticket(&w, 0, world_expect(&w, &one, "MESSAGE ")->ticket);
  answers(&other, world_expect(&w, &other, "MESSAGE "), 200); /* the peer has no IPv6 */
  world_expect(&w, &alice, "SIP/2.0 200 ");
  close_world();
}

/* The last one's failure is the answer: 503 as 500, silence as 408. */
static void nobody_there_answers(void **state) {
  (void)state;
  open_world(&two);
  invite("1");
  answers(&one, world_expect(&w, &one, "INVITE "), 503);
  world_expect(&w, &one, "ACK ");
  answers(&other, world_expect(&w, &other, "INVITE "), 503);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 500 ");
  close_world();
}

/* A 486 is an answer: no other server is asked. */
static void a_refusal_is_final(void **state) {
  (void)state;
  open_world(&two);
  invite("1");
  answers(&one, world_expect(&w, &one, "INVITE "), 486);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 486 ");
  world_expect_nothing(&w, &other);
  close_world();
}

/* CANCEL ends the search: while the DNS is asked, and while the first server is silent. */
static void cancel_ends_the_search(void **state) {
  (void)state;
  open_world(NULL);
  invite("1");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  request("CANCEL", "sip:bob@example.org", "1", "", "");
  world_expect(&w, &alice, "SIP/2.0 200 ");
  world_expect(&w, &alice, "SIP/2.0 487 ");
  close_world();
  open_world(&two);
  invite("1");
  world_expect(&w, &one, "INVITE ");
  request("CANCEL", "sip:bob@example.org", "1", "", "");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 200 ");
  world_advance(&w, SEC(10));
  world_expect_nothing(&w, &other);
  close_world();
}

/* no such domain 404, a silent DNS 504 after 10 s; answers that come too late do nothing.
 */
static void where_the_dns_fails(void **state) {
  (void)state;
  static const struct zone none = {{NULL}};
  open_world(&none);
  invite("1");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 404 ");
  close_world();
  open_world(NULL);
  invite("1");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_advance(&w, SEC(9));
  world_expect_nothing(&w, &alice);
  world_advance(&w, SEC(2));
  world_expect(&w, &alice, "SIP/2.0 504 ");
  close_world();
}

/* A Route and a registered Contact that are names. */
static void names_in_routes_and_contacts(void **state) {
  (void)state;
  static const struct zone zone = {{
      "SRV _sip._udp.proxy.example 0 0 5070 one.example.org",
      "A one.example.org 192.0.2.41",
      "A phone.example 192.0.2.42",
  }};
  open_world(&zone);
  request("MESSAGE", "sip:bob@x.example", "1", "", "Route: <sip:proxy.example;lr>\n");
  struct sent *got = world_expect(&w, &one, "MESSAGE sip:bob@x.example ");
  assert_string_equal(sent_header(got, "Route", 0), "<sip:proxy.example;lr>");
  answers(&one, got, 200);
  world_expect(&w, &alice, "SIP/2.0 200 ");
  world_send(&w, &other,
             "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.42:5080;branch=z9hG4bKr\n"
             "Max-Forwards: 70\nFrom: <sip:carol@example.net>;tag=a\n"
             "To: <sip:carol@example.net>\nCall-ID: r\nCSeq: 1 REGISTER\n"
             "Path: <sip:phone.example:5080;lr>\nSupported: path\n"
             "Contact: <sip:carol@10.0.0.1>\nContent-Length: 0\n\n");
  world_expect(&w, &other, "SIP/2.0 200 ");
  request("MESSAGE", "sip:carol@example.net", "2", "", "");
  got = world_expect(&w, &other, "MESSAGE sip:carol@10.0.0.1 ");
  assert_string_equal(sent_header(got, "Route", 0), "<sip:phone.example:5080;lr>");
  close_world();
}

/* Many at once share their questions. */
static void one_question_for_many(void **state) {
  (void)state;
  open_world(NULL);
  char branch[16];
  for (unsigned i = 0; i < 20; i++) {
    snprintf(branch, sizeof branch, "m%u", i);
    request("MESSAGE", "sip:bob@example.org:5070", branch, "", "");
  }
  assert_int_equal(w.names, 1);
  world_advance(&w, SEC(200));
  unsigned refused = 0;
  const struct sent *got;
  while ((got = world_next(&w, &alice)) != NULL) refused += sent_has(got, "SIP/2.0 504 ");
  assert_int_equal(refused, 20);
  close_world();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(call_to_another_domain),
      cmocka_unit_test(ack_waits_for_the_next),
      cmocka_unit_test(next_address_after_silence),
      cmocka_unit_test(next_address_after_503),
      cmocka_unit_test(next_address_where_nothing_is_delivered),
      cmocka_unit_test(nobody_there_answers),
      cmocka_unit_test(a_refusal_is_final),
      cmocka_unit_test(cancel_ends_the_search),
      cmocka_unit_test(where_the_dns_fails),
      cmocka_unit_test(names_in_routes_and_contacts),
      cmocka_unit_test(one_question_for_many),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
