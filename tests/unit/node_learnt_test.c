/* SPDX-License-Identifier: BSD-2-Clause */
/* answers name who made them, and those that they pass learn the short way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/world.h"

static struct net net;
static unsigned requests, named, unasked; /* lookups sent; answers with a Contact; of them others */

static void see(struct net *world, uint32_t node, const struct output *send) {
  (void)world;
  (void)node;
  bool contact = slice_find(send->data, SLICE("\r\nContact: <sip:")) < send->data.len;
  bool lookup = slice_find(send->data, SLICE("\r\nTo: <sip:u")) < send->data.len;
  requests += slice_starts(send->data, SLICE("LOCSER sip:u"));
  named += contact && lookup;
  unasked += contact && !lookup;
}

/* Eight nodes, 32 places apart, that keep two successors. */
static void begin(uint32_t learnt) {
  net_open(&net, 3);
  net.config.successors = 2;
  net.config.limits.learnt_peers_max = learnt;
  net.on_send = see;
  unasked = 0;
  for (unsigned i = 0; i < 8; i++) {
    struct key id = {{(uint8_t)(i * 32), 1}};
    net_add(&net, &id, i == 0 ? NET_NONE : 0);
    net_run_for(&net, SEC(1));
  }
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  net_run_for(&net, SEC(60));
}

/* How many requests a lookup by node 0 takes. */
static unsigned look_up(const char *uri, uint32_t owner) {
  const struct node_command command = {.kind = COMMAND_LOOKUP, .uri = slice_cstr(uri)};
  requests = named = 0;
  const struct net_reply *reply = net_command(&net, 0, &command, SEC(9));
  assert_int_equal(reply->code, 200);
  assert_int_equal(reply->row[0].key.byte[0], owner * 32);
  unsigned sent = requests;
  net_run_for(&net, SEC(1));
  return sent;
}

static void owned_by(uint32_t owner, char *uri, size_t room) {
  for (unsigned n = 0;; n++) {
    snprintf(uri, room, "sip:u%u@example.net", n);
    struct key key = net_key(&net, uri);
    if (net_responsible(&net, &key) == owner) return;
  }
}

static void test_the_second_lookup_is_one_hop(void **state) {
  (void)state;
  char uri[40];
  begin(16);
  owned_by(7, uri, sizeof uri);
  unsigned hops = look_up(uri, 7);
  assert_true(hops > 1);
  assert_int_equal(named, hops); /* passed on by each hop */
  assert_int_equal(look_up(uri, 7), 1);
  assert_int_equal(unasked, 0); /* the ring's own questions, all the time */
  assert_true(net_close(&net));
}

static void test_without_a_budget_nothing_is_learnt(void **state) {
  (void)state;
  char uri[40];
  begin(0);
  owned_by(7, uri, sizeof uri);
  unsigned hops = look_up(uri, 7);
  assert_true(hops > 1);
  assert_int_equal(look_up(uri, 7), hops);
  assert_true(net_close(&net));
}

/* Who is responsible has died: the request goes the long way, and ends at the next. */
static void test_a_learnt_peer_that_died(void **state) {
  (void)state;
  char uri[40];
  begin(16);
  owned_by(6, uri, sizeof uri);
  (void)look_up(uri, 6);
  assert_int_equal(look_up(uri, 6), 1);
  net_kill(&net, 6, true);
  (void)look_up(uri, 7);
  assert_true(net_close(&net));
}

/* A newcomer has taken a part of the range: who had it sends the request back into the ring. */
static void test_a_range_that_is_out_of_date(void **state) {
  (void)state;
  char uri[40];
  begin(16);
  owned_by(6, uri, sizeof uri);
  (void)look_up(uri, 6);
  struct key id = net_key(&net, uri);
  id.byte[KEY_BYTES - 1]++; /* right after it */
  uint32_t newcomer = net_add(&net, &id, 3);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  const struct node_command command = {.kind = COMMAND_LOOKUP, .uri = slice_cstr(uri)};
  for (unsigned times = 0; times < 2; times++) {
    requests = 0;
    const struct net_reply *reply = net_command(&net, 0, &command, SEC(9));
    assert_int_equal(reply->code, 200);
    assert_memory_equal(reply->row[0].key.byte, id.byte, KEY_BYTES);
    assert_int_equal(requests, times == 0 ? 3 : 1); /* the second time it is known, too */
    net_run_for(&net, SEC(1));
  }
  assert_int_equal(newcomer, 8);
  assert_true(net_close(&net));
}

/* The same from all sides: where the request is sent back to where it came from, the range is
 * forgotten there. */
static void test_all_find_a_newcomer(void **state) {
  (void)state;
  char uri[40];
  for (uint32_t asker = 0; asker < 8; asker++) {
    begin(1); /* so few that who had the range knows nobody right before it */
    owned_by(6, uri, sizeof uri);
    const struct node_command command = {.kind = COMMAND_LOOKUP, .uri = slice_cstr(uri)};
    assert_int_equal(net_command(&net, asker, &command, SEC(9))->code, 200);
    net_run_for(&net, SEC(1));
    struct key id = net_key(&net, uri);
    id.byte[KEY_BYTES - 1]++;
    net_add(&net, &id, 3);
    assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
    const struct net_reply *reply = net_command(&net, asker, &command, SEC(9));
    assert_int_equal(reply->code, 200);
    assert_memory_equal(reply->row[0].key.byte, id.byte, KEY_BYTES);
    assert_true(net_close(&net));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_second_lookup_is_one_hop),
      cmocka_unit_test(test_without_a_budget_nothing_is_learnt),
      cmocka_unit_test(test_a_learnt_peer_that_died),
      cmocka_unit_test(test_a_range_that_is_out_of_date),
      cmocka_unit_test(test_all_find_a_newcomer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
