/* SPDX-License-Identifier: BSD-2-Clause */
/* A call to somebody who is not there: 480 where the address is somebody's, 404 where it is
 * nobody's (R-7.14, R-7.87). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/world.h"

#define BOB "sip:bob@example.net"
#define BOB_AT "sip:bob@192.0.2.7"

static struct net net;
static unsigned number;

static void ring_of(unsigned count, enum node_policy policy) {
  net_open(&net, 5);
  net.latency_min_us = net.latency_max_us = MSEC(5);
  net.config.policy = policy;
  net.config.digest_off = true;
  for (unsigned i = 0; i < count; i++) net_add(&net, NULL, i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
}

static void end(void) { assert_true(net_close(&net)); }

/* The final answer to a MESSAGE that a phone sends to node i, by a connection. */
static unsigned message_to_bob(uint32_t i) {
  char text[1024], branch[40];
  struct endpoint from = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  number++;
  int n = snprintf(text, sizeof text,
                   "MESSAGE " BOB
                   " SIP/2.0\r\n"
                   "Via: SIP/2.0/TCP 203.0.113.9:40001;branch=z9hG4bKo%u.\r\n"
                   "From: <sip:a@a.example>;tag=1\r\nTo: <" BOB
                   ">\r\nCall-ID: o%u@a.example\r\n"
                   "CSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
                   number, number);
  net_inject(&net, i, net_connect(&net, i, &from), &from, slice_of(text, (size_t)n));
  snprintf(branch, sizeof branch, "branch=z9hG4bKo%u.", number);
  for (usec stop = net.now + SEC(20); net.now < stop; net_run_for(&net, MSEC(5))) {
    const struct net_letter *letter = net_take(&net, branch, "SIP/2.0 ");
    if (letter != NULL && atoi(letter->text + 8) >= 200) return (unsigned)atoi(letter->text + 8);
  }
  return 0;
}

static void bob_comes_and_goes(uint32_t i) {
  const struct node_command leave = {
      .kind = COMMAND_REMOVE, .uri = SLICE(BOB), .contact = SLICE(BOB_AT)};
  assert_int_equal(net_put(&net, i, BOB, BOB_AT)->code, 200);
  assert_int_equal(net_command(&net, i, &leave, SEC(10))->code, 200);
}

static bool no_certificate_is_told(struct net *world, uint32_t node, const struct input *message) {
  (void)world;
  (void)node;
  return slice_find(message->data, SLICE("certificate:bob@")) < message->data.len;
}

static void test_open(void **state) {
  (void)state;
  ring_of(3, NODE_OPEN);
  for (uint32_t i = 0; i < 3; i++) assert_int_equal(message_to_bob(i), 404);
  bob_comes_and_goes(1);
  for (uint32_t i = 0; i < 3; i++) assert_int_equal(message_to_bob(i), 480);
  end();
}

static void test_closed(void **state) {
  (void)state;
  ring_of(3, NODE_CLOSED);
  net.issued_names = "bob@example.net";
  assert_int_equal(message_to_bob(0), 404);
  bob_comes_and_goes(1);
  for (uint32_t i = 0; i < 3; i++) assert_int_equal(message_to_bob(i), 480);
  end();
}

static void test_laboratory(void **state) {
  (void)state;
  ring_of(2, NODE_LABORATORY);
  assert_int_equal(message_to_bob(0), 480);
  end();
}

/* What cannot be known is not denied; and the caller does not wait for ever. */
static void test_unreachable(void **state) {
  (void)state;
  ring_of(4, NODE_OPEN);
  struct key pin = net_key(&net, "certificate:bob@example.net");
  uint32_t holder = net_responsible(&net, &pin);
  net.on_hear = no_certificate_is_told;
  for (uint32_t i = 0; i < 4; i++) assert_int_equal(message_to_bob(i), i == holder ? 404 : 480);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_open),
      cmocka_unit_test(test_closed),
      cmocka_unit_test(test_laboratory),
      cmocka_unit_test(test_unreachable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
