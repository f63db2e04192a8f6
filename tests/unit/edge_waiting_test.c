/* SPDX-License-Identifier: BSD-2-Clause */
/* Message waiting at one peer: RFC 3842, R-13.20 to. With mailboxes: node_notices_test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/edge_world.h"

#define BOB "sip:bob@example.net"
#define ALICE "sip:alice@example.net"

static struct edge_world w; /* opened anew by each test */
static unsigned branch;
static struct phone bob, alice;

static void subscribe(const struct phone *phone, const char *from, const char *to,
                      const char *to_tag, unsigned cseq, const char *lines) {
  branch++;
  world_send(&w, phone,
             "SUBSCRIBE %s SIP/2.0\n"
             "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKs%u;rport\n"
             "Max-Forwards: 70\nFrom: <%s>;tag=f\nTo: <%s>%s%s\n"
             "Call-ID: mwi\nCSeq: %u SUBSCRIBE\nEvent: message-summary\n"
             "Accept: application/simple-message-summary\n"
             "Contact: <sip:me@192.0.2.9:5070>\n%sContent-Length: 0\n\n",
             to_tag[0] != 0 ? "sip:192.0.2.1:5060;transport=udp" : to, branch, from, to,
             to_tag[0] != 0 ? ";tag=" : "", to_tag, cseq, lines);
}

static struct sent *notified(const struct phone *phone, const char *text) {
  world_advance(&w, MSEC(100));
  struct sent *notify = world_expect(&w, phone, "NOTIFY sip:me@192.0.2.9:5070 SIP/2.0");
  assert_string_equal(sent_header(notify, "Event", 0), "message-summary");
  assert_string_equal(sent_header(notify, "Content-Type", 0), "application/simple-message-summary");
  assert_true(sent_has(notify, text));
  world_answer(&w, phone, notify, 200, "");
  return notify;
}

static void wait_for_bob(unsigned count) {
  edge_on_waiting(w.edge[0], w.now, w.wall, SLICE(BOB), count);
}

static int open_world(void **state) {
  (void)state;
  world_open(&w, 1);
  bob = phone_udp(0, "192.0.2.9:5070");
  alice = phone_udp(0, "192.0.2.8:5080");
  return 0;
}

static int close_world(void **state) {
  (void)state;
  world_close(&w);
  return 0;
}

static void the_lamp_follows_the_mailbox(void **state) {
  (void)state;
  subscribe(&bob, BOB, BOB, "", 1, "Expires: 3600\n");
  struct sent *answer = world_expect(&w, &bob, "SIP/2.0 200");
  char tag[32];
  snprintf(tag, sizeof tag, "%s", strstr(sent_header(answer, "To", 0), ";tag=") + 5);
  assert_int_equal(w.looks, 1);
  struct sent *notify = notified(
      &bob, "\r\n\r\nMessages-Waiting: no\r\nMessage-Account: " BOB "\r\nText-Message: 0/0\r\n");
  assert_string_equal(sent_header(notify, "Subscription-State", 0), "active;expires=600");
  wait_for_bob(2);
  notified(&bob, "Messages-Waiting: yes\r\nMessage-Account: " BOB "\r\nText-Message: 2/0\r\n");
  wait_for_bob(2);
  world_advance(&w, SEC(1));
  world_expect_nothing(&w, &bob);
  wait_for_bob(0);
  notified(&bob, "Messages-Waiting: no\r\n");
  subscribe(&bob, BOB, BOB, tag, 2, "Expires: 3600\n"); /* a refresh asks anew */
  answer = world_expect(&w, &bob, "SIP/2.0 200");
  assert_string_equal(sent_header(answer, "Expires", 0), "600");
  notified(&bob, "Messages-Waiting: no\r\n");
  assert_int_equal(w.looks, 2);
  subscribe(&bob, BOB, BOB, tag, 3, "Expires: 0\n");
  world_expect(&w, &bob, "SIP/2.0 200");
  notify = notified(&bob, "Messages-Waiting: no\r\n");
  assert_string_equal(sent_header(notify, "Subscription-State", 0), "terminated;reason=timeout");
  assert_int_equal(edge_stats(w.edge[0]).subscriptions, 0);
}

/* nobody else is told; his SUBSCRIBE goes to the phone, which may be an answering machine.
 */
static void nobody_else_is_told(void **state) {
  (void)state;
  world_register(&w, &bob, "bob", 1, 600);
  subscribe(&alice, ALICE, BOB, "", 1, "");
  world_expect_nothing(&w, &alice);
  world_expect(&w, &bob, "SUBSCRIBE sip:bob@192.0.2.9:5070 SIP/2.0");
  assert_int_equal(edge_stats(w.edge[0]).subscriptions, 0);
}

/* It is none of presence: no watcher is shown, and no other peer asked. */
static void it_is_no_watcher(void **state) {
  (void)state;
  struct edge_watcher row;
  uint32_t cursor = 0;
  subscribe(&bob, BOB, BOB, "", 1, "");
  world_expect(&w, &bob, "SIP/2.0 200");
  notified(&bob, "Messages-Waiting: no\r\n");
  assert_false(edge_each_watcher(w.edge[0], SLICE(BOB), &cursor, &row));
  world_register(&w, &bob, "bob", 1, 600);
  world_advance(&w, SEC(1));
  world_expect_nothing(&w, &bob); /* nor told of presence */
}

static void message_to_bob(unsigned status) {
  branch++;
  world_send(&w, &alice,
             "MESSAGE " BOB
             " SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKm%u;rport\n"
             "Max-Forwards: 70\nFrom: <" ALICE ">;tag=a\nTo: <" BOB
             ">\nCall-ID: m%u\n"
             "CSeq: 1 MESSAGE\nContent-Type: text/plain\nContent-Length: 2\n\nhi",
             branch, branch);
  world_advance(&w, 0);
  struct sent *message = world_expect(&w, &bob, "MESSAGE ");
  world_answer(&w, &bob, message, status, "");
  world_expect(&w, &alice, "SIP/2.0 ");
}

/* */
static void what_the_phone_missed_may_wait(void **state) {
  (void)state;
  world_register(&w, &bob, "bob", 1, 600);
  message_to_bob(480);
  assert_int_equal(w.missed, 0); /* nobody asked */
  subscribe(&bob, BOB, BOB, "", 1, "");
  world_expect(&w, &bob, "SIP/2.0 200");
  notified(&bob, "Messages-Waiting: no\r\n");
  message_to_bob(200);
  message_to_bob(603);
  assert_int_equal(w.missed, 0);
  message_to_bob(480);
  assert_int_equal(w.missed, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(the_lamp_follows_the_mailbox, open_world, close_world),
      cmocka_unit_test_setup_teardown(nobody_else_is_told, open_world, close_world),
      cmocka_unit_test_setup_teardown(it_is_no_watcher, open_world, close_world),
      cmocka_unit_test_setup_teardown(what_the_phone_missed_may_wait, open_world, close_world),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
