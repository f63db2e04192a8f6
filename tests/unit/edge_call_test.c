/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls through one and two edges: RFC 3261 section 16, R-7.13 to R-7.25. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/edge_world.h"

static void register_phone(struct edge_world *w, const struct phone *phone, const char *user,
                           const char *params) {
  static unsigned n;
  const char *at = phone_text(phone);
  const char *transport = phone->flow == 0 ? "" : ";transport=tcp";
  world_send(w, phone,
             "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/%s %s;branch=z9hG4bKreg%u;rport\n"
             "Max-Forwards: 70\nFrom: <sip:%s@example.net>;tag=a\nTo: <sip:%s@example.net>\n"
             "Call-ID: reg%u\nCSeq: 1 REGISTER\nContact: <sip:%s@%s%s>%s\nContent-Length: 0\n\n",
             phone->flow == 0 ? "UDP" : "TCP", at, n, user, user, n, user, at, transport, params);
  n++;
  world_expect(w, phone, "SIP/2.0 200 ");
}

static const char *contact_of(const struct phone *phone, const char *user) {
  static char line[160];
  const char *at = phone_text(phone);
  snprintf(line, sizeof line, "Contact: <sip:%s@%s%s>\n", user, at,
           phone->flow == 0 ? "" : ";transport=tcp");
  return line;
}

/* A request of alice; `lines` go after Max-Forwards. */
static void request(struct edge_world *w, const struct phone *phone, const char *method,
                    const char *uri, const char *branch, unsigned cseq, const char *to_tag,
                    const char *lines) {
  const char *at = phone_text(phone);
  world_send(w, phone,
             "%s %s SIP/2.0\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\n"
             "%s%s"
             "From: <sip:alice@example.net>;tag=al\nTo: <sip:bob@example.net>%s\n"
             "Call-ID: call\nCSeq: %u %s\n%sContent-Length: 3\n\nabc",
             method, uri, phone->flow == 0 ? "UDP" : "TCP", at, branch,
             strstr(lines, "Max-Forwards") != NULL ? "" : "Max-Forwards: 70\n", lines, to_tag, cseq,
             strcmp(method, "ACK") == 0 ? "ACK" : method, contact_of(phone, "alice"));
}

static void invite(struct edge_world *w, const struct phone *alice) {
  request(w, alice, "INVITE", "sip:bob@example.net", "inv", 1, "", "");
}

static void cancel(struct edge_world *w, const struct phone *alice) {
  request(w, alice, "CANCEL", "sip:bob@example.net", "inv", 1, "", "");
}

/* The whole of a call: INVITE, 180, 200, ACK, BYE from either side. R-7.16: the 100 comes at once
 * from the peer itself, that of the next one does not. */
static void call(struct edge_world *w, const struct phone *alice, const struct phone *bob,
                 bool bob_hangs_up) {
  register_phone(w, alice, "alice", "");
  register_phone(w, bob, "bob", "");
  /* baresip preloads a Route to its own proxy and keeps ;transport in the URI. */
  char lines[2400], uri[160], to_tag[24];
  snprintf(lines, sizeof lines, "Route: <sip:192.0.2.1:5060;transport=%s;lr>\n",
           alice->flow == 0 ? "udp" : "tcp");
  snprintf(uri, sizeof uri, "sip:bob@example.net;transport=%s", alice->flow == 0 ? "udp" : "tcp");
  request(w, alice, "INVITE", uri, "inv", 1, "", lines);
  world_expect(w, alice, "SIP/2.0 100 ");
  struct sent *got = world_expect(w, bob, "INVITE sip:bob@");
  const char *bob_at = phone_text(bob);
  assert_true(sent_has(got, bob_at)); /* the Request-URI is the Contact */
  assert_null(sent_header(got, "Route", 0));
  assert_true(sent_has(got, "\r\n\r\nabc"));
  /* Tokens name phones, never the link between two peers. */
  unsigned tokens = 0, wanted = (alice->flow != 0 ? 1u : 0u) +
                                (bob->flow != 0 || endpoint_is_loopback(&bob->at) ? 1u : 0u);
  for (const char *at = got->bytes; (at = strstr(at, "Record-Route: <sip:f-")) != NULL; at++)
    tokens++;
  assert_int_equal(tokens, wanted);
  unsigned hops = alice->edge == got->edge ? 1 : 2;
  assert_int_equal((int)strtol(sent_header(got, "Max-Forwards", 0), NULL, 10), 70 - (int)hops);
  world_answer(w, bob, got, 180, contact_of(bob, "bob"));
  world_expect(w, alice, "SIP/2.0 180 ");
  world_answer(w, bob, got, 200, contact_of(bob, "bob"));
  struct sent *ok = world_expect(w, alice, "SIP/2.0 200 ");
  assert_null(sent_header(ok, "Via", 1));
  /* ACK along the route set. */
  const char *contact = sent_header(ok, "Contact", 0);
  snprintf(uri, sizeof uri, "%.*s", (int)strcspn(contact + 1, ">"), contact + 1);
  snprintf(to_tag, sizeof to_tag, ";tag=t%u", (unsigned)bob->at.port);
  request(w, alice, "ACK", uri, "ack", 1, to_tag, sent_routes(ok, true));
  struct sent *ack = world_expect(w, bob, "ACK sip:bob@");
  assert_null(sent_header(ack, "Route", 0));
  if (!bob_hangs_up) {
    request(w, alice, "BYE", uri, "bye", 2, to_tag, sent_routes(ok, true));
    struct sent *bye = world_expect(w, bob, "BYE sip:bob@");
    world_answer(w, bob, bye, 200, "");
    world_expect(w, alice, "SIP/2.0 200 ");
    assert_int_equal(w->locates, 1);
    return;
  }
  const char *at = phone_text(bob);
  char alice_uri[128];
  const char *alice_at = phone_text(alice);
  snprintf(alice_uri, sizeof alice_uri, "sip:alice@%s%s", alice_at,
           alice->flow == 0 ? "" : ";transport=tcp");
  struct phone bob_there = *bob; /* a UDP phone follows its Route, wherever it registered */
  if (bob->flow == 0) bob_there.edge = got->edge;
  world_send(w, &bob_there,
             "BYE %s SIP/2.0\nVia: SIP/2.0/%s %s;branch=z9hG4bKbobbye;rport\n%s"
             "Max-Forwards: 70\nFrom: <sip:bob@example.net>%s\n"
             "To: <sip:alice@example.net>;tag=al\nCall-ID: call\nCSeq: 1 BYE\n"
             "Content-Length: 0\n\n",
             alice_uri, bob->flow == 0 ? "UDP" : "TCP", at, sent_routes(got, false), to_tag);
  struct sent *bye = world_expect(w, alice, "BYE sip:alice@");
  assert_null(sent_header(bye, "Route", 0));
  world_answer(w, alice, bye, 200, "");
  world_expect(w, bob, "SIP/2.0 200 ");
  assert_int_equal(w->locates, 1);
}

static struct edge_world w; /* opened anew by each test */

/* Every mix of transports and edges, hung up by either side. */
static void calls_through_every_pair(void **state) {
  (void)state;
  for (unsigned mix = 0; mix < 32; mix++) {
    world_open(&w, 2);
    struct phone alice =
        mix & 1 ? phone_tcp(0, "192.0.2.8:41000", 5) : phone_udp(0, "192.0.2.8:5068");
    unsigned edge = mix & 4 ? 1 : 0;
    struct phone bob = mix & 2 ? phone_tcp(edge, "192.0.2.9:42000", 6)
                               : phone_udp(edge, mix & 16 ? "127.0.0.1:5069" : "192.0.2.9:5069");
    call(&w, &alice, &bob, (mix & 8) != 0);
    world_advance(&w, SEC(120)); /* everything ends by itself */
    assert_int_equal(edge_stats(w.edge[0]).transactions, 0);
    assert_int_equal(edge_stats(w.edge[1]).transactions, 0);
    assert_int_equal(edge_stats(w.edge[0]).calls, 0);
    world_close(&w);
  }
}

/* A UDP phone behind NAT is called where it registered from, not at its Contact. */
static void reaches_a_phone_behind_nat(void **state) {
  (void)state;
  world_open(&w, 2);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(1, "192.0.2.70:33000");
  world_send(&w, &bob,
             "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKn;rport\n"
             "Max-Forwards: 70\nFrom: <sip:bob@example.net>;tag=a\nTo: <sip:bob@example.net>\n"
             "Call-ID: n\nCSeq: 1 REGISTER\nContact: <sip:bob@10.0.0.5>\nContent-Length: 0\n\n");
  world_expect(&w, &bob, "SIP/2.0 200 ");
  invite(&w, &alice);
  struct sent *got = world_expect(&w, &bob, "INVITE sip:bob@10.0.0.5 ");
  /* In-dialog requests come back by a token for that address. */
  assert_true(sent_has(got, "Record-Route: <sip:f-"));
  world_answer(&w, &bob, got, 200, "Contact: <sip:bob@10.0.0.5>\n");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  struct sent *ok = world_expect(&w, &alice, "SIP/2.0 200 ");
  request(&w, &alice, "ACK", "sip:bob@10.0.0.5", "ack", 1, ";tag=t33000", sent_routes(ok, true));
  world_expect(&w, &bob, "ACK sip:bob@10.0.0.5 ");
  world_close(&w);
}

static void record_route_can_be_off(void **state) {
  (void)state;
  struct edge_config config;
  world_begin(&w, &config);
  config.record_route = false;
  world_open_config(&w, 1, &config);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(0, "192.0.2.9:5069");
  register_phone(&w, &bob, "bob", "");
  invite(&w, &alice);
  assert_false(sent_has(world_expect(&w, &bob, "INVITE "), "Record-Route"));
  world_close(&w);
}

/* R-7.14, R-7.87 */
static void nobody_and_not_sure(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(0, "192.0.2.9:5069");
  invite(&w, &alice);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 480 ");
  w.locate_status = ERR_NOT_FOUND;
  request(&w, &alice, "MESSAGE", "sip:bob@example.net", "m1", 1, "", "");
  world_expect(&w, &alice, "SIP/2.0 404 Nobody Has This Address");
  w.locate_status = ERR_BUSY;
  request(&w, &alice, "INVITE", "sip:bob@example.net", "i2", 2, "", "");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  struct sent *busy = world_expect(&w, &alice, "SIP/2.0 503 ");
  assert_true(sent_has(busy, "Retry-After: "));
  /* A peer cut off from the ring still serves the phones it holds itself. */
  register_phone(&w, &bob, "bob", "");
  request(&w, &alice, "INVITE", "sip:bob@example.net", "i3", 3, "", "");
  world_expect(&w, &bob, "INVITE ");
  assert_int_equal(w.traces[TRACE_LOCATED], 4);
  /* The location service that never answers. */
  w.hold = true;
  request(&w, &alice, "INVITE", "sip:carol@example.net", "i4", 4, "", "");
  world_advance(&w, SEC(33));
  unsigned refused = 0;
  while ((busy = world_next(&w, &alice)) != NULL)
    refused += sent_has(busy, "SIP/2.0 503 ") && sent_has(busy, "CSeq: 4 INVITE");
  assert_true(refused > 0);
  world_release(&w, w.held_count - 1, OK); /* too late: nothing happens */
  world_close(&w);
}

/* R-7.15: the one who answers first ends the other; every 2xx goes up. */
static void forks_to_two(void **state) {
  (void)state;
  world_open(&w, 2);
  struct phone alice = phone_udp(0, "192.0.2.8:5068");
  struct phone b1 = phone_udp(0, "192.0.2.9:5069"), b2 = phone_tcp(1, "192.0.2.10:42000", 6);
  register_phone(&w, &b1, "bob", "");
  register_phone(&w, &b2, "bob", "");
  request(&w, &alice, "INVITE", "sip:bob@example.net", "inv", 1, "", "Max-Breadth: 5\n");
  struct sent *i1 = world_expect(&w, &b1, "INVITE sip:bob@192.0.2.9");
  struct sent *i2 = world_expect(&w, &b2, "INVITE sip:bob@192.0.2.10");
  assert_string_equal(sent_header(i1, "Max-Breadth", 0), "2"); /* R-7.22 */
  assert_string_not_equal(sent_header(i1, "Via", 0), sent_header(i2, "Via", 0));
  world_answer(&w, &b1, i1, 180, "");
  world_answer(&w, &b2, i2, 180, "");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 180 ");
  world_expect(&w, &alice, "SIP/2.0 180 ");
  world_answer(&w, &b1, i1, 200, contact_of(&b1, "bob"));
  world_expect(&w, &alice, "SIP/2.0 200 ");
  struct sent *c2 = world_expect(&w, &b2, "CANCEL sip:bob@192.0.2.10");
  world_answer(&w, &b2, c2, 200, "");
  /* Both picked up at once: the second 200 reaches alice too. */
  world_answer(&w, &b2, i2, 200, contact_of(&b2, "bob"));
  struct sent *late = world_expect(&w, &alice, "SIP/2.0 200 ");
  assert_true(sent_has(late, "tag=t42000"));
  /* A repeated 200 of the first goes up again (RFC 6026). */
  world_answer(&w, &b1, i1, 200, contact_of(&b1, "bob"));
  assert_true(sent_has(world_expect(&w, &alice, "SIP/2.0 200 "), "tag=t5069"));
  world_advance(&w, SEC(100));
  assert_int_equal(edge_stats(w.edge[0]).calls, 0);
  world_close(&w);
}

/* RFC 3261 16.7 step 6, row by row: two final answers, and what alice gets. */
static void picks_the_best_answer(void **state) {
  (void)state;
  static const struct {
    unsigned first, second;
    const char *want;
  } rows[] = {
      {486, 404, "SIP/2.0 486 "}, {404, 486, "SIP/2.0 404 "}, {500, 486, "SIP/2.0 486 "},
      {486, 302, "SIP/2.0 302 "}, {486, 603, "SIP/2.0 603 "}, {503, 503, "SIP/2.0 500 "},
      {503, 501, "SIP/2.0 501 "}, {486, 407, "SIP/2.0 407 "}, {430, 430, "SIP/2.0 480 "},
      {408, 486, "SIP/2.0 486 "}, {480, 484, "SIP/2.0 484 "},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_open(&w, 1);
    struct phone alice = phone_udp(0, "192.0.2.8:5068");
    struct phone b1 = phone_udp(0, "192.0.2.9:5069"), b2 = phone_udp(0, "192.0.2.10:5070");
    register_phone(&w, &b1, "bob", "");
    register_phone(&w, &b2, "bob", "");
    invite(&w, &alice);
    world_expect(&w, &alice, "SIP/2.0 100 ");
    struct sent *i1 = world_expect(&w, &b1, "INVITE "), *i2 = world_expect(&w, &b2, "INVITE ");
    world_answer(&w, &b1, i1, rows[i].first, "");
    world_expect(&w, &b1, "ACK ");
    world_expect_nothing(&w, &alice);
    world_answer(&w, &b2, i2, rows[i].second, "");
    world_expect(&w, &alice, rows[i].want);
    world_close(&w);
  }
}

/* RFC 3261 16.7 step 7. */
static void collects_challenges(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068");
  struct phone b1 = phone_udp(0, "192.0.2.9:5069"), b2 = phone_udp(0, "192.0.2.10:5070");
  register_phone(&w, &b1, "bob", "");
  register_phone(&w, &b2, "bob", "");
  invite(&w, &alice);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  struct sent *i1 = world_expect(&w, &b1, "INVITE "), *i2 = world_expect(&w, &b2, "INVITE ");
  world_answer(&w, &b1, i1, 401, "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\"\n");
  world_answer(&w, &b2, i2, 407, "Proxy-Authenticate: Digest realm=\"b\", nonce=\"2\"\n");
  struct sent *no = world_expect(&w, &alice, "SIP/2.0 401 ");
  assert_true(sent_has(no, "realm=\"a\""));
  assert_true(sent_has(no, "Proxy-Authenticate: Digest realm=\"b\""));
  world_close(&w);
}

/* A 6xx ends the others at once, and is passed on when they have ended. */
static void a_decline_ends_the_others(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068");
  struct phone b1 = phone_udp(0, "192.0.2.9:5069"), b2 = phone_udp(0, "192.0.2.10:5070");
  register_phone(&w, &b1, "bob", "");
  register_phone(&w, &b2, "bob", "");
  invite(&w, &alice);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  struct sent *i1 = world_expect(&w, &b1, "INVITE "), *i2 = world_expect(&w, &b2, "INVITE ");
  world_answer(&w, &b2, i2, 100, "");
  world_answer(&w, &b1, i1, 603, "");
  struct sent *c2 = world_expect(&w, &b2, "CANCEL ");
  world_answer(&w, &b2, c2, 200, "");
  world_expect_nothing(&w, &alice);
  world_answer(&w, &b2, i2, 487, "");
  world_expect(&w, &alice, "SIP/2.0 603 ");
  world_close(&w);
}

/* R-7.15: from the highest q down. */
static void tries_the_preferred_first(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068");
  struct phone b1 = phone_udp(0, "192.0.2.9:5069"), b2 = phone_udp(0, "192.0.2.10:5070");
  register_phone(&w, &b1, "bob", ";q=0.2");
  register_phone(&w, &b2, "bob", ";q=0.7");
  invite(&w, &alice);
  struct sent *i2 = world_expect(&w, &b2, "INVITE ");
  world_expect_nothing(&w, &b1);
  world_answer(&w, &b2, i2, 486, "");
  struct sent *i1 = world_expect(&w, &b1, "INVITE ");
  world_answer(&w, &b1, i1, 200, "");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 200 ");
  world_close(&w);
}

/* R-7.17 */
static void cancels(void **state) {
  (void)state;
  world_open(&w, 2);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_tcp(1, "192.0.2.9:42000", 6);
  register_phone(&w, &bob, "bob", "");
  cancel(&w, &alice);
  world_expect(&w, &alice, "SIP/2.0 481 ");
  request(&w, &alice, "INVITE", "sip:bob@example.net", "i2", 1, "", "");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  struct sent *got = world_expect(&w, &bob, "INVITE ");
  /* Before a provisional answer of the phone: its CANCEL has to wait (RFC 3261 9.1). */
  request(&w, &alice, "CANCEL", "sip:bob@example.net", "i2", 1, "", "");
  world_expect(&w, &alice, "SIP/2.0 200 ");
  world_expect_nothing(&w, &bob);
  world_answer(&w, &bob, got, 180, "");
  struct sent *c = world_expect(&w, &bob, "CANCEL ");
  world_answer(&w, &bob, c, 200, "");
  world_answer(&w, &bob, got, 487, "");
  world_expect(&w, &bob, "ACK ");
  struct sent *s = world_next(&w, &alice);
  if (s != NULL && sent_has(s, "SIP/2.0 180 ")) s = world_next(&w, &alice);
  assert_non_null(s);
  assert_true(sent_has(s, "SIP/2.0 487 "));
  world_close(&w);
}

static void cancels_while_looking_up(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068");
  w.hold = true;
  invite(&w, &alice);
  cancel(&w, &alice);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 200 ");
  world_expect(&w, &alice, "SIP/2.0 487 ");
  world_release(&w, 0, OK);
  world_expect_nothing(&w, &alice);
  world_close(&w);
}

/* R-7.18; silence is a 408 (RFC 3261 16.8). */
static void silence_ends(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(0, "192.0.2.9:5069");
  register_phone(&w, &bob, "bob", "");
  invite(&w, &alice);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &bob, "INVITE ");
  world_advance(&w, SEC(31));
  unsigned repeats = 0;
  while (world_next(&w, &bob) != NULL) repeats++;
  assert_int_equal(repeats, 5); /* at 0.5, 1.5, 3.5, 7.5, 15.5 s */
  world_expect_nothing(&w, &alice);
  world_advance(&w, SEC(2));
  world_expect(&w, &alice, "SIP/2.0 408 ");
  while (world_next(&w, &bob) != NULL) {
  }
  world_advance(&w, SEC(60));
  while (world_next(&w, &alice) != NULL) {
  }
  /* Rings for ever: Timer C, restarted by each 1xx, cancels. */
  request(&w, &alice, "INVITE", "sip:bob@example.net", "i2", 2, "", "");
  struct sent *got = world_expect(&w, &bob, "INVITE ");
  world_answer(&w, &bob, got, 180, "");
  world_advance(&w, SEC(100));
  world_answer(&w, &bob, got, 180, "");
  world_advance(&w, SEC(180));
  world_expect_nothing(&w, &bob);
  world_advance(&w, SEC(2));
  world_expect(&w, &bob, "CANCEL ");
  world_advance(&w, SEC(40));
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 180 ");
  world_expect(&w, &alice, "SIP/2.0 180 ");
  world_expect(&w, &alice, "SIP/2.0 408 ");
  world_close(&w);
}

/* R-7.24, RFC 4320: a silent phone draws no 408 for a non-INVITE. */
static void messages_pass(void **state) {
  (void)state;
  world_open(&w, 2);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(1, "192.0.2.9:5069");
  register_phone(&w, &bob, "bob", "");
  request(&w, &alice, "MESSAGE", "sip:bob@example.net", "m1", 1, "", "");
  struct sent *got = world_expect(&w, &bob, "MESSAGE sip:bob@192.0.2.9");
  assert_false(sent_has(got, "Record-Route"));
  world_expect_nothing(&w, &alice);
  world_answer(&w, &bob, got, 202, "");
  world_expect(&w, &alice, "SIP/2.0 202 ");
  request(&w, &alice, "FOO", "sip:bob@example.net", "m2", 2, "", "X-Unknown: {raw}  kept\n");
  got = world_expect(&w, &bob, "FOO sip:bob@192.0.2.9");
  assert_true(sent_has(got, "X-Unknown: {raw}  kept\r\n"));
  world_advance(&w, SEC(120));
  struct sent *s;
  while ((s = world_next(&w, &alice)) != NULL) assert_true(sent_has(s, "SIP/2.0 100 "));
  assert_int_equal(edge_stats(w.edge[0]).transactions, 0);
  world_close(&w);
}

static void a_dead_flow(void **state) {
  (void)state;
  world_open(&w, 2);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_tcp(1, "192.0.2.9:42000", 6);
  register_phone(&w, &bob, "bob", "");
  /* The overlay still has the record when the flow has gone. */
  struct contact stale = w.record[0].contact;
  (void)stale;
  w.hold = true; /* the removal is not carried out */
  world_close_flow(&w, 1, 6);
  w.hold = false;
  assert_int_equal(world_records(&w, "sip:bob@example.net"), 1);
  invite(&w, &alice);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 480 "); /* from a 430 of the other edge (RFC 5626) */
  world_close(&w);
}

static void a_send_that_fails(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_tcp(0, "192.0.2.9:42000", 6);
  register_phone(&w, &bob, "bob", "");
  invite(&w, &alice);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  struct sent *got = world_expect(&w, &bob, "INVITE ");
  world_fail_ticket(&w, 0, got->ticket);
  world_expect(&w, &alice, "SIP/2.0 480 "); /* the flow failed (R-7.62) */
  request(&w, &alice, "INVITE", "sip:bob@example.net", "i2", 2, "", "");
  world_expect(&w, &bob, "INVITE ");
  world_close_flow(&w, 0, 6);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 480 ");
  world_close(&w);
}

static void busy_when_full(void **state) {
  (void)state;
  struct edge_config config;
  world_begin(&w, &config);
  config.limits.transactions_max = 4;
  world_open_config(&w, 1, &config);
  struct phone alice = phone_udp(0, "192.0.2.8:5068");
  w.hold = true;
  char branch[8];
  for (unsigned i = 0; i < 5; i++) {
    snprintf(branch, sizeof branch, "f%u", i);
    request(&w, &alice, "INVITE", "sip:bob@example.net", branch, i + 1, "", "");
  }
  unsigned busy = 0;
  struct sent *s;
  while ((s = world_next(&w, &alice)) != NULL)
    if (sent_has(s, "SIP/2.0 503 ")) {
      assert_true(sent_has(s, "Retry-After: "));
      assert_true(sent_has(s, ";tag="));
      busy++;
    }
  assert_int_equal(busy, 3);
  world_close(&w);
}

/* More to send than one step's outbox holds: the rest follows at once. */
static void forks_a_large_request(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_tcp(0, "192.0.2.8:41000", 5), bob[10];
  for (unsigned i = 0; i < 10; i++) {
    char at[32];
    snprintf(at, sizeof at, "192.0.2.9:%u", 42000 + i);
    bob[i] = phone_tcp(0, at, 10 + i);
    register_phone(&w, &bob[i], "bob", "");
  }
  static char body[60000];
  memset(body, 'x', sizeof body - 1);
  world_send(&w, &alice,
             "INVITE sip:bob@example.net SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.8;branch=z9hG4bKl\n"
             "Max-Forwards: 70\nFrom: <sip:alice@example.net>;tag=a\nTo: <sip:bob@example.net>\n"
             "Call-ID: l\nCSeq: 1 INVITE\nContact: <sip:alice@192.0.2.8:41000;transport=tcp>\n"
             "Content-Length: %zu\n\n%s",
             sizeof body - 1, body);
  world_advance(&w, 0);
  for (unsigned i = 0; i < 10; i++) {
    struct sent *got = world_expect(&w, &bob[i], "INVITE ");
    assert_string_equal(sent_header(got, "Max-Breadth", 0), "6");
    world_answer(&w, &bob[i], got, 486, "");
  }
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 486 ");
  world_close(&w);
}

/* Every allocation of a call fails once. */
static void survives_without_memory(void **state) {
  (void)state;
  for (uint64_t after = 0; after < 40; after++) {
    world_open(&w, 1);
    struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(0, "192.0.2.9:5069");
    register_phone(&w, &bob, "bob", "");
    w.memory.fail_after = w.memory.taken + after;
    invite(&w, &alice);
    struct sent *got = world_next(&w, &bob);
    if (got != NULL) world_answer(&w, &bob, got, 486, "");
    const struct sent *last = NULL, *s;
    while ((s = world_next(&w, &alice)) != NULL) last = s;
    assert_non_null(last);
    assert_true(sent_has(last, "SIP/2.0 503") || sent_has(last, "SIP/2.0 500") ||
                sent_has(last, "SIP/2.0 480") || sent_has(last, "SIP/2.0 486"));
    world_advance(&w, SEC(60));
    assert_int_equal(edge_stats(w.edge[0]).calls, 0);
    world_close(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(calls_through_every_pair),
      cmocka_unit_test(reaches_a_phone_behind_nat),
      cmocka_unit_test(record_route_can_be_off),
      cmocka_unit_test(nobody_and_not_sure),
      cmocka_unit_test(forks_to_two),
      cmocka_unit_test(picks_the_best_answer),
      cmocka_unit_test(collects_challenges),
      cmocka_unit_test(a_decline_ends_the_others),
      cmocka_unit_test(tries_the_preferred_first),
      cmocka_unit_test(cancels),
      cmocka_unit_test(cancels_while_looking_up),
      cmocka_unit_test(silence_ends),
      cmocka_unit_test(messages_pass),
      cmocka_unit_test(a_dead_flow),
      cmocka_unit_test(a_send_that_fails),
      cmocka_unit_test(busy_when_full),
      cmocka_unit_test(forks_a_large_request),
      cmocka_unit_test(survives_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
