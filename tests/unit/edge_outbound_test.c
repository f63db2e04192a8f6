/* SPDX-License-Identifier: BSD-2-Clause */
/* SIP Outbound: RFC 5626, RFC 3608, R-7.56 to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/edge_world.h"

#define BOB "sip:bob@example.net"
#define SUPPORTED "Supported: path, outbound, gruu\n"

static struct edge_world w; /* opened anew by each test */

struct flow_of {
  const char *instance;
  unsigned reg_id;
  const char *lines;
};

static void send_register(const struct phone *phone, const char *vias, const char *lines) {
  static unsigned n;
  n++;
  world_send(&w, phone,
             "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/%s %s;branch=z9hG4bKreg%u;rport\n%s"
             "Max-Forwards: 70\nFrom: <sip:bob@example.net>;tag=a\nTo: <sip:bob@example.net>\n"
             "Call-ID: reg%u\nCSeq: %u REGISTER\n%sContent-Length: 0\n\n",
             phone->flow == 0 ? "UDP" : "TCP", phone_text(phone), n, vias, (unsigned)phone->at.port,
             n, lines);
}

static const char *contact(unsigned instance, unsigned reg_id, const char *more) {
  static char line[300];
  snprintf(line, sizeof line,
           SUPPORTED
           "Contact: <sip:bob@10.0.0.%u:5062;transport=tcp;ob>"
           ";+sip.instance=\"<urn:uuid:%u>\";reg-id=%u%s\n",
           instance, instance, reg_id, more);
  return line;
}

static struct sent *registered(const struct phone *phone, const char *lines, const char *start) {
  send_register(phone, "", lines);
  return world_expect(&w, phone, start);
}

static void invite(const struct phone *alice, const char *uri) {
  static unsigned n;
  n++;
  while (world_next(&w, alice) != NULL) { /* answers that nobody acknowledged are repeated */
  }
  world_send(&w, alice,
             "INVITE %s SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.8:5068;branch=z9hG4bKi%u;rport\n"
             "Max-Forwards: 70\nFrom: <sip:alice@example.net>;tag=al\nTo: <sip:bob@example.net>\n"
             "Call-ID: call%u\nCSeq: 1 INVITE\nContact: <sip:alice@192.0.2.8:5068>\n"
             "Content-Length: 0\n\n",
             uri, n, n);
  world_expect(&w, alice, "SIP/2.0 100 ");
}

/* */
static void says_what_it_did(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone tcp = phone_tcp(0, "192.0.2.9:42000", 6), udp = phone_udp(0, "192.0.2.9:5062");
  struct sent *ok = registered(&tcp, contact(1, 1, ""), "SIP/2.0 200 ");
  assert_string_equal(sent_header(ok, "Require", 0), "outbound");
  assert_string_equal(sent_header(ok, "Flow-Timer", 0), "120");
  assert_string_equal(sent_header(ok, "Supported", 0), "path, outbound, gruu"); /* draft -07 */
  assert_string_equal(sent_header(ok, "Service-Route", 0), "<sip:192.0.2.1:5060;transport=tcp;lr>");
  assert_non_null(strstr(sent_header(ok, "Path", 0), ";lr;ob>"));
  assert_string_equal(w.record[0].contact.path[0].at, sent_header(ok, "Path", 0));
  assert_int_equal(w.record[0].contact.reg_id, 1);
  ok = registered(&udp, contact(1, 2, ""), "SIP/2.0 200 ");
  assert_string_equal(sent_header(ok, "Flow-Timer", 0), "30");
  assert_string_equal(sent_header(ok, "Service-Route", 0), "<sip:192.0.2.1:5060;transport=udp;lr>");
  assert_int_equal(world_records(&w, BOB), 2);
  /* A phone that does not say it supports it is not told that it must. */
  ok = registered(&tcp, "Contact: <sip:bob@10.0.0.1>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\n",
                  "SIP/2.0 200 ");
  assert_null(sent_header(ok, "Require", 0));
  assert_null(sent_header(ok, "Flow-Timer", 0));
  /* Nor one that asks, or has no reg-id, or no instance (RFC 5626 section 6). */
  static const char *const rows[] = {
      SUPPORTED,
      SUPPORTED "Contact: <sip:bob@10.0.0.3>;+sip.instance=\"<urn:uuid:3>\"\n",
      SUPPORTED "Contact: <sip:bob@10.0.0.3>;reg-id=1\n",
      SUPPORTED "Contact: *\nExpires: 0\n",
  };
  for (unsigned i = 0; i < 4; i++)
    assert_null(sent_header(registered(&tcp, rows[i], "SIP/2.0 200 "), "Require", 0));
  world_close(&w);
}

/* RFC 5626 section 6. */
static void needs_the_first_hop(void **state) {
  (void)state;
  static const char via[] = "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKphone\n";
  world_open(&w, 1);
  struct phone proxy = phone_tcp(0, "192.0.2.30:5060", 9);
  char lines[600];
  send_register(&proxy, via, contact(1, 1, ""));
  world_expect(&w, &proxy, "SIP/2.0 439 First Hop Lacks Outbound Support");
  snprintf(lines, sizeof lines, "Path: <sip:192.0.2.30;lr>\n%s", contact(1, 1, ""));
  send_register(&proxy, via, lines);
  world_expect(&w, &proxy, "SIP/2.0 439 ");
  /* An edge proxy that keeps the flow. */
  snprintf(lines, sizeof lines, "Path: <sip:192.0.2.31;lr>, <sip:tok@192.0.2.30;lr;ob>\n%s",
           contact(1, 1, ""));
  send_register(&proxy, via, lines);
  struct sent *ok = world_expect(&w, &proxy, "SIP/2.0 200 ");
  assert_string_equal(sent_header(ok, "Require", 0), "outbound");
  assert_null(sent_header(ok, "Flow-Timer", 0)); /* that is the edge proxy's to say */
  assert_int_equal(w.record[0].contact.path_count, 2);
  /* Its reg-id is left out where the phone does not support it. */
  send_register(&proxy, via,
                "Supported: path\nContact: <sip:bob@10.0.0.2>;+sip.instance=\"<u>\";reg-id=1\n");
  ok = world_expect(&w, &proxy, "SIP/2.0 200 ");
  assert_true(sent_has(ok, "<sip:bob@10.0.0.2>;expires=3600;+sip.instance=\"<u>\"\r\n"));
  /* One flow, one contact. */
  snprintf(lines, sizeof lines, "%sContact: <sip:bob@10.0.0.7>\n", contact(1, 1, ""));
  struct phone tcp = phone_tcp(0, "192.0.2.9:42000", 6);
  registered(&tcp, lines, "SIP/2.0 400 More Than One Contact With reg-id");
  snprintf(lines, sizeof lines, "%sContact: <sip:bob@10.0.0.2>;+sip.instance=\"<u>\";expires=0\n",
           contact(1, 1, ""));
  registered(&tcp, lines, "SIP/2.0 200 ");
  world_close(&w);
}

/* for another's registrar this peer is the edge proxy (RFC 5626 5.1 and 5.3.1). */
static void is_an_edge_proxy(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone tcp = phone_tcp(0, "192.0.2.9:42000", 6);
  struct phone far = phone_udp(0, "198.51.100.1:5060");
  world_send(&w, &tcp,
             "REGISTER sip:198.51.100.1 SIP/2.0\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKr\n"
             "Max-Forwards: 70\nFrom: <sip:b@198.51.100.1>;tag=a\nTo: <sip:b@198.51.100.1>\n"
             "Call-ID: x\nCSeq: 1 REGISTER\n%sContent-Length: 0\n\n",
             contact(1, 1, ""));
  struct sent *got = world_expect(&w, &far, "REGISTER ");
  const char *path = sent_header(got, "Path", 0);
  assert_non_null(strstr(path, "@192.0.2.1:5060;transport=udp;lr;ob>"));
  world_send(&w, &far,
             "INVITE sip:bob@10.0.0.1:5062 SIP/2.0\n"
             "Via: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKi\nRoute: %s\nMax-Forwards: 70\n"
             "From: <sip:c@198.51.100.1>;tag=c\nTo: <sip:b@198.51.100.1>\nCall-ID: y\n"
             "CSeq: 1 INVITE\nContact: <sip:c@198.51.100.1>\nContent-Length: 0\n\n",
             path);
  got = world_expect(&w, &tcp, "INVITE sip:bob@10.0.0.1:5062 ");
  assert_null(sent_header(got, "Route", 0));
  assert_non_null(strstr(sent_header(got, "Record-Route", 0), "<sip:f-"));
  world_close(&w);
}

/* RFC 5626 section 5.3.2: a token of the phone's own flow, in a request that it sends, does not
 * turn the request back; and `ob` in its Contact keeps the dialog on the flow. */
static void sends_out_by_its_own_token(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone udp = phone_udp(0, "192.0.2.9:5062"), far = phone_udp(0, "192.0.2.30:5080");
  struct sent *ok = registered(&udp, contact(1, 1, ""), "SIP/2.0 200 ");
  world_send(&w, &udp,
             "INVITE sip:far@192.0.2.30:5080 SIP/2.0\n"
             "Via: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bKo;rport\nRoute: %s\n"
             "Max-Forwards: 70\nFrom: <sip:bob@example.net>;tag=c\nTo: <sip:far@192.0.2.30>\n"
             "Call-ID: z\nCSeq: 1 INVITE\nContact: <sip:bob@192.0.2.9:5062;ob>\n"
             "Content-Length: 0\n\n",
             sent_header(ok, "Path", 0));
  struct sent *got = world_expect(&w, &far, "INVITE sip:far@192.0.2.30:5080 ");
  assert_non_null(strstr(sent_header(got, "Record-Route", 1), "<sip:f-"));
  world_close(&w);
}

/* one flow of a phone at a time; the next when it failed. */
static void tries_one_flow_after_another(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068");
  struct phone one = phone_tcp(0, "192.0.2.9:42000", 6), two = phone_tcp(0, "192.0.2.9:42001", 7);
  struct phone other = phone_tcp(0, "192.0.2.10:42000", 8);
  registered(&one, contact(1, 1, ""), "SIP/2.0 200 ");
  registered(&two, contact(1, 2, ""), "SIP/2.0 200 ");
  registered(&other, contact(2, 1, ""), "SIP/2.0 200 ");
  invite(&alice, BOB);
  struct sent *got = world_expect(&w, &one, "INVITE "), *far = world_expect(&w, &other, "INVITE ");
  world_expect_nothing(&w, &two);
  /* The other phone's answers make no difference to this one's flows. */
  world_answer(&w, &other, far, 486, "");
  world_expect(&w, &other, "ACK ");
  world_expect_nothing(&w, &two);
  world_answer(&w, &one, got, 430, "");
  world_expect(&w, &one, "ACK ");
  got = world_expect(&w, &two, "INVITE ");
  world_answer(&w, &two, got, 180, "");
  world_expect(&w, &alice, "SIP/2.0 180 ");
  world_answer(&w, &two, got, 200, "Contact: <sip:bob@10.0.0.1>\n");
  world_expect(&w, &alice, "SIP/2.0 200 ");
  world_expect_nothing(&w, &one);
  /* What the phone itself says ends it: its other flow is not tried. */
  invite(&alice, BOB);
  got = world_expect(&w, &one, "INVITE ");
  far = world_expect(&w, &other, "INVITE ");
  world_answer(&w, &one, got, 486, "");
  world_answer(&w, &other, far, 404, "");
  world_expect(&w, &one, "ACK ");
  world_expect(&w, &alice, "SIP/2.0 486 ");
  world_expect_nothing(&w, &two);
  world_close(&w);
}

static void tries_the_next_when_a_flow_dies(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068");
  struct phone one = phone_tcp(0, "192.0.2.9:42000", 6), two = phone_tcp(0, "192.0.2.9:42001", 7);
  registered(&one, contact(1, 1, ""), "SIP/2.0 200 ");
  registered(&two, contact(1, 2, ""), "SIP/2.0 200 ");
  invite(&alice, BOB);
  world_expect(&w, &one, "INVITE ");
  world_close_flow(&w, 0, 6);
  struct sent *got = world_expect(&w, &two, "INVITE ");
  assert_int_equal(world_records(&w, BOB), 1);
  world_answer(&w, &two, got, 486, "");
  world_expect(&w, &alice, "SIP/2.0 486 ");
  /* Both gone. */
  invite(&alice, BOB);
  world_expect(&w, &two, "ACK ");
  world_expect(&w, &two, "INVITE ");
  world_close_flow(&w, 0, 7);
  world_expect(&w, &alice, "SIP/2.0 480 No Phone Can Be Reached");
  world_close(&w);
}

/* a flow on which nothing at all is heard is left for the next; what it says after all is
 * heeded. */
static void does_not_wait_long_for_a_flow(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068");
  struct phone one = phone_tcp(0, "192.0.2.9:42000", 6), two = phone_tcp(0, "192.0.2.9:42001", 7);
  registered(&one, contact(1, 1, ""), "SIP/2.0 200 ");
  registered(&two, contact(1, 2, ""), "SIP/2.0 200 ");
  invite(&alice, BOB);
  struct sent *got = world_expect(&w, &one, "INVITE ");
  world_advance(&w, SEC(3));
  world_expect_nothing(&w, &two);
  world_advance(&w, SEC(2));
  struct sent *second = world_expect(&w, &two, "INVITE ");
  world_answer(&w, &one, got, 180, "");
  world_expect(&w, &one, "CANCEL "); /* it was given up */
  world_answer(&w, &one, got, 487, "");
  world_answer(&w, &two, second, 486, "");
  while (world_next(&w, &one) != NULL) {
  }
  world_expect(&w, &alice, "SIP/2.0 180 ");
  world_expect(&w, &alice, "SIP/2.0 486 ");
  /* Any answer shows that the flow is alive. */
  invite(&alice, BOB);
  got = world_expect(&w, &one, "INVITE ");
  world_answer(&w, &one, got, 100, "");
  world_advance(&w, SEC(100));
  world_expect(&w, &two, "ACK ");
  world_expect_nothing(&w, &two);
  world_close(&w);
}

/* A home that died and came back knows none of the tokens that it made before: 430, so that the
 * other flow of the phone is tried, where a changed token of this run is 403. */
static void a_token_of_an_earlier_run(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone one = phone_tcp(0, "192.0.2.9:42000", 6), alice = phone_udp(0, "192.0.2.8:5068");
  registered(&one, contact(1, 1, ""), "SIP/2.0 200 ");
  char path[200];
  snprintf(path, sizeof path, "%.*s", SLICE_FMT(w.record[0].contact.path[0]));
  for (unsigned run = 0; run < 2; run++) {
    char *digit = run == 0 ? strstr(path, "f-") + 2 : strchr(path, '@') - 1;
    char kept = *digit;
    *digit = kept == '0' ? '1' : '0';
    world_send(&w, &alice,
               "MESSAGE sip:bob@10.0.0.1:5062 SIP/2.0\nMax-Forwards: 70\n"
               "Via: SIP/2.0/UDP 192.0.2.8:5068;branch=z9hG4bKm%u;rport\nRoute: %s\n"
               "From: <sip:alice@example.net>;tag=al\nTo: <sip:bob@example.net>\n"
               "Call-ID: m\nCSeq: 1 MESSAGE\nContent-Length: 0\n\n",
               run, path);
    world_expect(&w, &alice, run == 0 ? "SIP/2.0 430 " : "SIP/2.0 403 ");
    *digit = kept;
  }
  world_close(&w);
}

/* */
static void silence_ends_a_flow(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone udp = phone_udp(0, "192.0.2.9:5062"), alice = phone_udp(0, "192.0.2.8:5068");
  registered(&udp, contact(1, 1, ""), "SIP/2.0 200 ");
  char path[200];
  snprintf(path, sizeof path, "%.*s", SLICE_FMT(w.record[0].contact.path[0]));
  world_advance(&w, SEC(300)); /* it never began to send keep-alives: nothing is concluded */
  assert_int_equal(world_records(&w, BOB), 1);
  for (unsigned i = 0; i < 10; i++) {
    edge_on_keep_alive(w.edge[0], w.now, &udp.at);
    world_advance(&w, SEC(29));
  }
  registered(&udp, SUPPORTED, "SIP/2.0 200 "); /* this too is a sign of life */
  world_advance(&w, SEC(58));
  assert_int_equal(world_records(&w, BOB), 1);
  world_advance(&w, SEC(5));
  assert_int_equal(world_records(&w, BOB), 0);
  assert_int_equal(edge_stats(w.edge[0]).bindings, 0);
  world_send(&w, &alice,
             "MESSAGE sip:bob@10.0.0.1:5062 SIP/2.0\nMax-Forwards: 70\n"
             "Via: SIP/2.0/UDP 192.0.2.8:5068;branch=z9hG4bKm;rport\nRoute: %s\n"
             "From: <sip:alice@example.net>;tag=al\nTo: <sip:bob@example.net>\n"
             "Call-ID: m\nCSeq: 1 MESSAGE\nContent-Length: 0\n\n",
             path);
  world_expect(&w, &alice, "SIP/2.0 430 ");
  /* It comes back at the same address. */
  registered(&udp, contact(1, 1, ""), "SIP/2.0 200 ");
  assert_string_not_equal(w.record[0].contact.path[0].at, path);
  world_advance(&w, SEC(3700)); /* lapses, and leaves nothing behind */
  assert_int_equal(world_records(&w, BOB), 0);
  world_close(&w);
}

/* One address, many bindings: all go, and two phones behind one NAT are told apart. */
static void silence_ends_all_of_an_address(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone one = phone_udp(0, "192.0.2.9:5062"), two = phone_udp(0, "192.0.2.9:5063");
  for (unsigned i = 1; i <= 3; i++) registered(&one, contact(i, 1, ""), "SIP/2.0 200 ");
  registered(&two, contact(9, 1, ""), "SIP/2.0 200 ");
  edge_on_keep_alive(w.edge[0], w.now, &one.at);
  edge_on_keep_alive(w.edge[0], w.now, &two.at);
  world_advance(&w, SEC(40));
  edge_on_keep_alive(w.edge[0], w.now, &two.at);
  world_advance(&w, SEC(30));
  assert_int_equal(world_records(&w, BOB), 1);
  assert_int_equal(edge_stats(w.edge[0]).bindings, 1);
  world_close(&w);
}

/* Through the peer that owns the flow: the record says how. */
static void reaches_the_flow_from_another_peer(void **state) {
  (void)state;
  world_open(&w, 2);
  struct phone alice = phone_udp(0, "192.0.2.8:5068");
  struct phone near = phone_udp(0, "192.0.2.77:33000"), far = phone_tcp(1, "192.0.2.77:33001", 6);
  registered(&near, contact(1, 1, ""), "SIP/2.0 200 ");
  registered(&far, contact(1, 2, ""), "SIP/2.0 200 ");
  edge_on_keep_alive(w.edge[0], w.now, &near.at);
  invite(&alice, BOB);
  struct sent *got = world_expect(&w, &near, "INVITE "); /* its own flow first */
  world_expect_nothing(&w, &far);
  world_answer(&w, &near, got, 486, "");
  world_expect(&w, &alice, "SIP/2.0 486 ");
  w.hold = true; /* the record of the dead flow lingers */
  world_advance(&w, SEC(70));
  w.hold = false;
  invite(&alice, BOB);
  got = world_expect(&w, &far, "INVITE sip:bob@10.0.0.1:5062");
  assert_null(sent_header(got, "Route", 0));
  world_close(&w);
}

static void survives_without_memory(void **state) {
  (void)state;
  for (uint64_t fail = 1; fail < 60; fail++) {
    world_open(&w, 1);
    struct phone udp = phone_udp(0, "192.0.2.9:5062");
    w.memory.fail_after = w.memory.taken + fail;
    send_register(&udp, "", contact(1, 1, ""));
    struct sent *got = world_next(&w, &udp);
    w.memory.fail_after = TEST_MEMORY_UNLIMITED;
    bool bound = got != NULL && strncmp(got->bytes, "SIP/2.0 200 ", 12) == 0;
    assert_int_equal(world_records(&w, BOB), bound ? 1 : 0);
    edge_on_keep_alive(w.edge[0], w.now, &udp.at);
    world_advance(&w, SEC(70));
    assert_int_equal(world_records(&w, BOB), 0);
    world_close(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(says_what_it_did),
      cmocka_unit_test(needs_the_first_hop),
      cmocka_unit_test(is_an_edge_proxy),
      cmocka_unit_test(sends_out_by_its_own_token),
      cmocka_unit_test(tries_one_flow_after_another),
      cmocka_unit_test(tries_the_next_when_a_flow_dies),
      cmocka_unit_test(does_not_wait_long_for_a_flow),
      cmocka_unit_test(a_token_of_an_earlier_run),
      cmocka_unit_test(silence_ends_a_flow),
      cmocka_unit_test(silence_ends_all_of_an_address),
      cmocka_unit_test(reaches_the_flow_from_another_peer),
      cmocka_unit_test(survives_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
