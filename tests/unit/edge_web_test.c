/* SPDX-License-Identifier: BSD-2-Clause */
/* Phones in browsers: RFC 7118, R-7.72. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/edge_world.h"

#define BOB "sip:bob@example.net"

static struct edge_world w; /* opened anew by each test */

static struct phone browser(unsigned edge, uint32_t flow, enum transport transport) {
  struct phone phone = phone_tcp(edge, "192.0.2.9:42000", flow);
  phone.at.port = (uint16_t)(42000 + flow);
  phone.at.transport = (uint8_t)transport;
  return phone;
}

/* The page of one browser: the same instance, and at each load another `.invalid` and Call-ID. */
static struct sent *registers(const struct phone *phone, unsigned load, unsigned cseq) {
  world_send(&w, phone,
             "REGISTER sip:example.net SIP/2.0\n"
             "Via: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bKr%ux%u\n"
             "Max-Forwards: 70\nFrom: <sip:bob@example.net>;tag=a\nTo: <sip:bob@example.net>\n"
             "Call-ID: load%u\nCSeq: %u REGISTER\nSupported: path, outbound\n"
             "Contact: <sip:bob@load%u.invalid;transport=ws>;reg-id=1"
             ";+sip.instance=\"<urn:uuid:1>\";expires=300\nContent-Length: 0\n\n",
             load, cseq, load, cseq, load);
  return world_expect(&w, phone, "SIP/2.0 200 ");
}

static void invites(const struct phone *alice) {
  static unsigned n;
  n++;
  while (world_next(&w, alice) != NULL) { /* earlier answers */
  }
  world_send(&w, alice,
             "INVITE sip:bob@example.net SIP/2.0\n"
             "Via: SIP/2.0/UDP 192.0.2.8:5068;branch=z9hG4bKi%u;rport\n"
             "Max-Forwards: 70\nFrom: <sip:alice@example.net>;tag=al\nTo: <sip:bob@example.net>\n"
             "Call-ID: call%u\nCSeq: 1 INVITE\nContact: <sip:alice@192.0.2.8:5068>\n"
             "Content-Length: 0\n\n",
             n, n);
  world_expect(&w, alice, "SIP/2.0 100 ");
}

static const char *only_contact(void) {
  const char *found = NULL;
  for (unsigned i = 0; i < WORLD_RECORDS_MAX; i++) {
    if (!w.record[i].used) continue;
    assert_null(found);
    found = w.record[i].contact.uri.at;
  }
  return found != NULL ? found : "";
}

/* Its record has the peer's own Path, though nobody could resolve what Via and Contact say, and a
 * call from another peer comes over the flow. */
static void a_flow_is_the_way(void **state) {
  (void)state;
  static const enum transport both[] = {TRANSPORT_WS, TRANSPORT_WSS};
  for (unsigned i = 0; i < 2; i++) {
    world_open(&w, 2);
    struct phone bob = browser(0, 6, both[i]), alice = phone_udp(1, "192.0.2.8:5068");
    registers(&bob, 1, 1);
    assert_int_equal(w.record[0].contact.path_count, 1);
    assert_true(slice_find(w.record[0].contact.path[0], SLICE("@192.0.2.1:5060;transport=tcp")) <
                w.record[0].contact.path[0].len);
    invites(&alice);
    struct sent *invite =
        world_expect(&w, &bob, "INVITE sip:bob@load1.invalid;transport=ws SIP/2.0");
    assert_true(sent_has(invite, i == 0 ? "Via: SIP/2.0/WS " : "Via: SIP/2.0/WSS "));
    assert_true(sent_has(invite, "@192.0.2.1:5060;transport=ws;lr>")); /* of wss too */
    assert_false(sent_has(invite, "transport=wss"));
    assert_int_equal(invite->flow, 6);
    world_close(&w);
  }
}

static void a_reloaded_page_takes_the_place(void **state) {
  (void)state;
  world_open(&w, 2);
  struct phone before = browser(0, 6, TRANSPORT_WS), after = browser(0, 7, TRANSPORT_WS),
               alice = phone_udp(1, "192.0.2.8:5068");
  registers(&before, 1, 5);
  registers(&after, 2, 1);
  assert_int_equal(edge_stats(w.edge[0]).bindings, 1);
  assert_string_equal(only_contact(), "sip:bob@load2.invalid;transport=ws");
  world_close_flow(&w, 0, 6); /* late: nothing is registered by it any more */
  world_advance(&w, SEC(10));
  assert_int_equal(edge_stats(w.edge[0]).bindings, 1);
  invites(&alice);
  world_expect(&w, &after, "INVITE sip:bob@load2.invalid");
  world_expect_nothing(&w, &before);
  world_close(&w);
}

static void the_end_of_the_flow_ends_the_binding(void **state) {
  (void)state;
  world_open(&w, 2);
  struct phone bob = browser(0, 6, TRANSPORT_WS), alice = phone_udp(1, "192.0.2.8:5068");
  registers(&bob, 1, 1);
  assert_int_equal(world_records(&w, BOB), 1);
  world_close_flow(&w, 0, 6);
  world_advance(&w, SEC(1));
  assert_int_equal(edge_stats(w.edge[0]).bindings, 0);
  assert_int_equal(world_records(&w, BOB), 0);
  invites(&alice);
  world_expect(&w, &alice, "SIP/2.0 480 ");
  world_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_flow_is_the_way),
      cmocka_unit_test(a_reloaded_page_takes_the_place),
      cmocka_unit_test(the_end_of_the_flow_ends_the_binding),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
