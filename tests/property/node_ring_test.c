/* SPDX-License-Identifier: BSD-2-Clause */
/* Rings of whole nodes: they form, every key is found from everywhere, records outlive those who
 * hold them, and nothing acknowledged is lost.. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/world.h"

static struct net net;

static void grow(unsigned seed, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    net_add(&net, NULL, i == 0 ? NET_NONE : (uint32_t)rng_below(&net.rng, i));
    net_run_for(&net, MSEC(200));
  }
  if (!net_run_while(&net, net_is_ready, MSEC(500), SEC(120))) {
    fail_msg("seed %u: no ring of %u within 120 s", seed, count);
  }
}

static void ring_of(unsigned seed, unsigned count) {
  net_open(&net, seed);
  grow(seed, count);
}

static void close_all(void) { assert_true(net_close(&net)); }

static const char *user(unsigned n) {
  static char text[4][64];
  static unsigned turn;
  char *at = text[turn++ % 4];
  snprintf(at, 64, "sip:user%u@example.net", n);
  return at;
}

static const char *contact(unsigned n) {
  static char text[4][64];
  static unsigned turn;
  char *at = text[turn++ % 4];
  snprintf(at, 64, "sip:user%u@192.0.2.%u:5060", n, n % 250 + 1);
  return at;
}

static uint32_t some_node(void) {
  for (;;) {
    uint32_t i = (uint32_t)rng_below(&net.rng, net.count);
    if (net_runs(&net, i) && node_stats(net.at[i].node).member) return i;
  }
}

static void put(unsigned n, uint32_t i, unsigned copies) {
  const struct net_reply *reply = net_put(&net, i, user(n), contact(n));
  if (!reply->done || reply->code != 200) {
    fail_msg("put %u at %u: %u %s", n, i, reply->code, reply->text);
  }
  assert_int_equal(reply->row[0].n, copies);
}

static void assert_found(unsigned n, uint32_t i) {
  const struct net_reply *reply = net_get(&net, i, user(n));
  if (!net_has_contact(reply, contact(n))) {
    fail_msg("get %u at %u: %u %s", n, i, reply->code, reply->text);
  }
}

/* Every node finds the responsible peer of some keys. */
static void assert_lookups(unsigned keys, bool trace) {
  for (uint32_t i = 0; i < net.count; i++) {
    for (unsigned k = 0; k < keys; k++) {
      const struct node_command command = {
          .kind = COMMAND_LOOKUP, .uri = slice_cstr(user(k)), .trace = trace};
      const struct net_reply *reply = net_command(&net, i, &command, SEC(20));
      if (reply->code != 200) fail_msg("lookup %u at %u: %u %s", k, i, reply->code, reply->text);
      struct key key = net_key(&net, user(k));
      uint32_t right = net_responsible(&net, &key);
      const struct node_row *last = &reply->row[reply->row_count - 1];
      assert_true(last->has_key);
      assert_memory_equal(&last->key, &net.at[right].config.id, KEY_BYTES);
    }
  }
}

static void test_rings_form_and_find(void **state) {
  (void)state;
  static const unsigned sizes[] = {1, 2, 3, 20, 64};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    ring_of(100 + (unsigned)s, sizes[s]);
    assert_lookups(sizes[s] > 20 ? 3 : 10, false);
    unsigned copies = sizes[s] < 3 ? sizes[s] : 3;
    for (unsigned n = 0; n < 10; n++) put(n, some_node(), copies);
    for (unsigned n = 0; n < 10; n++) {
      for (uint32_t i = 0; i<net.count; i += sizes[s]> 20 ? 9 : 1) assert_found(n, i);
    }
    assert_int_equal(net_get(&net, some_node(), "sip:nobody@example.net")->code, 404);
    close_all();
  }
}

/* the asker goes from hop to hop by itself. */
static void test_iterative(void **state) {
  (void)state;
  ring_of(7, 20);
  assert_lookups(5, true);
  close_all();
}

static void holders(const struct key *key, uint32_t out[3]) {
  struct key at = *key;
  for (unsigned k = 0; k < 3; k++) {
    out[k] = net_responsible(&net, &at);
    at = key_successor(&net.at[out[k]].config.id);
  }
}

/* any two of the three holders go at once, in any way. */
static void test_two_of_three_holders_die(void **state) {
  (void)state;
  for (unsigned seed = 0; seed < 9; seed++) {
    ring_of(200 + seed, 8);
    for (unsigned n = 0; n < 12; n++) put(n, some_node(), 3);
    struct key key = net_key(&net, user(0));
    uint32_t held_by[3];
    holders(&key, held_by);
    unsigned stays = seed % 3;
    for (unsigned k = 0; k < 3; k++) {
      if (k != stays) net_kill(&net, held_by[k], seed >= 3);
    }
    assert_found(0, some_node()); /* at once, while the ring is still broken */
    if (!net_run_while(&net, net_is_ready, MSEC(500), SEC(60))) fail_msg("seed %u", seed);
    net_run_for(&net, SEC(10));
    for (unsigned n = 0; n < 12; n++) assert_found(n, some_node());
    holders(&key, held_by); /* three copies again: two more may go */
    net_kill(&net, held_by[0], false);
    net_kill(&net, held_by[1], false);
    if (!net_run_while(&net, net_is_ready, MSEC(500), SEC(60))) fail_msg("seed %u", seed);
    for (unsigned n = 0; n < 12; n++) assert_found(n, some_node());
    close_all();
  }
}

static void test_leave_hands_over(void **state) {
  (void)state;
  ring_of(31, 6);
  for (unsigned n = 0; n < 20; n++) put(n, some_node(), 3);
  while (net_running(&net) > 1) {
    uint32_t leaver = some_node();
    const struct node_command command = {.kind = COMMAND_LEAVE};
    const struct net_reply *reply = net_command(&net, leaver, &command, SEC(15));
    assert_true(reply->done);
    assert_int_equal(reply->code, 200);
    net_kill(&net, leaver, false);
    for (unsigned n = 0; n < 20; n++) assert_found(n, some_node());
    if (!net_run_while(&net, net_is_ready, MSEC(500), SEC(60))) {
      fail_msg("%u left", net_running(&net));
    }
  }
  for (unsigned n = 0; n < 20; n++) assert_found(n, some_node());
  close_all();
}

/* all at once lose power and come back. */
static void test_restart_with_journal(void **state) {
  (void)state;
  ring_of(41, 5);
  for (unsigned n = 0; n < 20; n++) put(n, some_node(), 3);
  for (uint32_t i = 0; i < 5; i++) net_kill(&net, i, false);
  net_run_for(&net, SEC(5));
  for (uint32_t i = 0; i < 5; i++) net_restart(&net, i);
  if (!net_run_while(&net, net_is_ready, MSEC(500), SEC(120))) fail_msg("no ring after restart");
  for (unsigned n = 0; n < 20; n++) assert_found(n, some_node());
  close_all();
}

/* the address is the same, the peer is not. */
static void test_another_peer_at_the_address(void **state) {
  (void)state;
  ring_of(71, 6);
  for (unsigned n = 0; n < 12; n++) put(n, some_node(), 3);
  for (uint32_t i = 1; i < 4; i++) {
    net_kill(&net, i, false);
    rng_fill(&net.rng, &net.at[i].config.id, KEY_BYTES);
    net_restart(&net, i);
    if (!net_run_while(&net, net_is_ready, MSEC(500), SEC(120))) {
      net_print(&net);
      fail_msg("no ring with the new peer %u", i);
    }
    net_run_for(&net, SEC(10));
    for (unsigned n = 0; n < 12; n++) assert_found(n, some_node());
  }
  close_all();
}

/* A machine that sleeps for a minute, and wakes. */
static void test_sleep(void **state) {
  (void)state;
  ring_of(81, 6);
  for (unsigned n = 0; n < 12; n++) put(n, some_node(), 3);
  for (unsigned round = 0; round < 4; round++) {
    uint32_t sleeper = some_node();
    net.at[sleeper].paused = true;
    net_run_for(&net, SEC(3));
    for (unsigned n = 0; n < 12; n++) {
      uint32_t by = some_node();
      if (by != sleeper) assert_found(n, by);
    }
    net_run_for(&net, SEC(60));
    net.at[sleeper].paused = false;
    if (!net_run_while(&net, net_is_ready, MSEC(500), SEC(120))) {
      net_print(&net);
      fail_msg("round %u: no ring after peer %u woke", round, sleeper);
    }
    for (unsigned n = 0; n < 12; n++) assert_found(n, some_node());
  }
  close_all();
}

/* A ring that was split in two, each half of which went on. */
static void test_split_and_merge(void **state) {
  (void)state;
  ring_of(91, 8);
  for (unsigned n = 0; n < 12; n++) put(n, some_node(), 3);
  for (uint32_t i = 0; i < 8; i++) net.at[i].side = i % 2;
  net_run_for(&net, SEC(60));
  for (unsigned n = 12; n < 24; n++) put(n, some_node(), 3);
  for (uint32_t i = 0; i < 8; i++) net.at[i].side = 0;
  if (!net_run_while(&net, net_is_ready, MSEC(500), SEC(600))) {
    net_print(&net);
    fail_msg("the halves do not find each other");
  }
  net_run_for(&net, SEC(60)); /* each record is pushed to who is responsible for it now */
  for (unsigned n = 0; n < 24; n++) assert_found(n, some_node());
  close_all();
}

static void test_removal_stays_removed(void **state) {
  (void)state;
  ring_of(51, 6);
  for (unsigned n = 0; n < 10; n++) put(n, n % 6, 3);
  for (unsigned n = 0; n < 10; n++) {
    const struct node_command command = {
        .kind = COMMAND_REMOVE, .uri = slice_cstr(user(n)), .contact = slice_cstr(contact(n))};
    const struct net_reply *reply = net_command(&net, n % 6, &command, SEC(20));
    if (reply->code != 200) fail_msg("remove %u: %u %s", n, reply->code, reply->text);
  }
  struct key key = net_key(&net, user(0));
  net_kill(&net, net_responsible(&net, &key), false);
  if (!net_run_while(&net, net_is_ready, MSEC(500), SEC(60))) fail_msg("no repair");
  for (unsigned n = 0; n < 10; n++) {
    assert_int_equal(net_get(&net, some_node(), user(n))->code, 404);
  }
  close_all();
}

/* When nobody asks for anything, nothing waits for anything: entries are given back. */
static void assert_quiet(unsigned seed) {
  net_run_for(&net, SEC(30));
  for (uint32_t i = 0; i < net.count; i++) {
    if (!net_runs(&net, i)) continue;
    struct node_stats stats = node_stats(net.at[i].node);
    if (stats.hops > 4 || stats.operations > 0) {
      fail_msg("seed %u: peer %u keeps %u requests and %u operations", seed, i, stats.hops,
               stats.operations);
    }
  }
}

/* Peers come, go in every way, and come back, while puts go on. What was acknowledged is found
 * when it has become quiet again. Never are more than two of a record's holders lost at once: a
 * peer dies only when the ring has had time to repair the loss before. */
static void churn(unsigned seed) {
  bool bad_disks = seed % 4 == 1, datagrams = seed % 4 == 2;
  net_open(&net, seed);
  if (datagrams) net.config.peer_transport = TRANSPORT_UDP;
  grow(seed, 6);
  if (datagrams) net.loss_permille = 20;
  if (bad_disks) net.journal_fail_permille = 100;
  bool acknowledged[60] = {false};
  uint32_t gone[64];
  unsigned gone_count = 0;
  for (unsigned n = 0; n < 60; n++) {
    uint32_t by = some_node();
    const struct net_reply *reply = net_put(&net, by, user(n), contact(n));
    acknowledged[n] = reply->done && reply->code == 200;
    unsigned dice = (unsigned)rng_below(&net.rng, 10);
    if (dice < 2 && net_running(&net) > 4) {
      uint32_t i = some_node();
      net_kill(&net, i, dice == 0);
      if (gone_count < 64) gone[gone_count++] = i;
      net_run_for(&net, rng_below(&net.rng, SEC(12)));
      net_run_while(&net, net_is_ready, MSEC(500), SEC(60));
      net_run_for(&net, SEC(2)); /* copies are made after responsibility is clear */
    } else if (dice == 2 && net.count < 20) {
      for (unsigned k = 1; k < 4; k++) net.config.join[k] = net_address(some_node());
      net.config.join_count = 4;
      net_add(&net, NULL, some_node());
    } else if (dice == 3 && gone_count > 0) {
      net_restart(&net, gone[--gone_count]);
    } else if (dice == 4 && net_running(&net) > 4) {
      uint32_t i = some_node();
      const struct node_command command = {.kind = COMMAND_LEAVE};
      net_command(&net, i, &command, SEC(15));
      net_kill(&net, i, false);
      if (gone_count < 64) gone[gone_count++] = i;
    }
    net_run_for(&net, rng_below(&net.rng, SEC(2)));
  }
  if (!net_run_while(&net, net_is_ready, MSEC(500), SEC(120))) {
    net_print(&net);
    fail_msg("seed %u: no ring", seed);
  }
  unsigned lost = 0, stored = 0;
  for (unsigned n = 0; n < 60; n++) {
    if (!acknowledged[n]) continue;
    stored++;
    const struct net_reply *reply = net_get(&net, some_node(), user(n));
    if (net_has_contact(reply, contact(n))) continue;
    lost++;
    print_message("seed %u: %s is lost: %u %s\n", seed, user(n), reply->code, reply->text);
  }
  if (lost > 0) fail_msg("seed %u: %u of %u acknowledged puts are lost", seed, lost, stored);
  if (stored < (bad_disks ? 45u : 55u))
    fail_msg("seed %u: only %u of 60 puts were taken", seed, stored);
  assert_quiet(seed);
  close_all();
}

static void test_churn_loses_nothing(void **state) {
  (void)state;
  const char *only = getenv("SEED");
  if (only != NULL) {
    churn((unsigned)atoi(only));
    return;
  }
  for (unsigned seed = 1000; seed < 1032; seed++) churn(seed);
}

static void test_many_at_once(void **state) {
  (void)state;
  ring_of(101, 9);
  uint64_t ticket[60];
  for (unsigned n = 0; n < 60; n++) {
    /* one address at six peers each: as many records of it */
    const struct node_command command = {
        .kind = COMMAND_PUT, .uri = slice_cstr(user(n / 6)), .contact = slice_cstr(contact(n))};
    ticket[n] = net_ask(&net, n % 9, &command);
  }
  net_run_for(&net, SEC(9));
  for (unsigned n = 0; n < 60; n++) {
    const struct net_reply *reply = net_reply_of(&net, ticket[n]);
    if (!reply->done || reply->code != 200) fail_msg("put %u: %u %s", n, reply->code, reply->text);
  }
  for (unsigned n = 0; n < 60; n++) {
    assert_true(net_has_contact(net_get(&net, some_node(), user(n / 6)), contact(n)));
  }
  /* the same contact by the same peer, again and again: one record, the last one wins */
  for (unsigned n = 0; n < 20; n++) {
    const struct node_command command = {
        .kind = COMMAND_PUT, .uri = SLICE("sip:same@example.net"), .contact = SLICE("sip:s@a.b")};
    ticket[n] = net_ask(&net, 4, &command);
  }
  net_run_for(&net, SEC(9));
  for (unsigned n = 0; n < 20; n++) assert_int_equal(net_reply_of(&net, ticket[n])->code, 200);
  assert_int_equal(net_get(&net, 5, "sip:same@example.net")->row_count, 1);
  close_all();
}

/* Links across the world, through satellites. With the 3 s that such a link may be silent, the wait
 * for a responsible peer that has just died takes most of the default deadline. */
static void test_slow_links(void **state) {
  (void)state;
  net_open(&net, 111);
  net.config.lookup_timeout_us = SEC(12);
  net.latency_min_us = MSEC(150);
  net.latency_max_us = MSEC(450);
  grow(111, 20);
  for (unsigned n = 0; n < 20; n++) put(n, some_node(), 3);
  for (unsigned n = 0; n < 20; n++) assert_found(n, some_node());
  struct key key = net_key(&net, user(0));
  net_kill(&net, net_responsible(&net, &key), true);
  for (unsigned n = 0; n < 20; n++) assert_found(n, some_node());
  assert_quiet(111);
  close_all();
}

/* datagrams between peers, some of which are lost. */
static void test_udp_with_loss(void **state) {
  (void)state;
  for (unsigned loss = 0; loss <= 50; loss += 50) {
    net_open(&net, 61);
    net.config.peer_transport = TRANSPORT_UDP;
    net.loss_permille = loss;
    for (unsigned i = 0; i < 12; i++) {
      net_add(&net, NULL, i == 0 ? NET_NONE : 0);
      net_run_for(&net, MSEC(300));
    }
    if (!net_run_while(&net, net_is_ready, MSEC(500), SEC(120))) fail_msg("no ring, loss %u", loss);
    unsigned good = 0;
    for (unsigned n = 0; n < 30; n++) {
      const struct net_reply *reply = net_put(&net, some_node(), user(n), contact(n));
      if (reply->code != 200) continue;
      if (net_has_contact(net_get(&net, some_node(), user(n)), contact(n))) good++;
    }
    assert_true(good >= (loss == 0 ? 30 : 29));
    close_all();
  }
}

/* SEED=n: only that story of churn. An argument: only tests whose name matches. */
/* who is left alone asks the other address that it was told to join through, where somebody
 * is now who has never heard of it. */
static void test_who_is_alone_asks_where_it_may_join(void **state) {
  (void)state;
  net_open(&net, 1);
  net_add(&net, NULL, NET_NONE);
  net.config.join[1] = net_address(2);
  net.config.join_count = 2;
  net_add(&net, NULL, 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  net_kill(&net, 0, true);
  net_run_for(&net, SEC(60));
  net.config.join_count = 0;
  net_add(&net, NULL, NET_NONE);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  close_all();
}

int main(int argc, char **argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rings_form_and_find),
      cmocka_unit_test(test_iterative),
      cmocka_unit_test(test_two_of_three_holders_die),
      cmocka_unit_test(test_leave_hands_over),
      cmocka_unit_test(test_restart_with_journal),
      cmocka_unit_test(test_removal_stays_removed),
      cmocka_unit_test(test_another_peer_at_the_address),
      cmocka_unit_test(test_sleep),
      cmocka_unit_test(test_split_and_merge),
      cmocka_unit_test(test_churn_loses_nothing),
      cmocka_unit_test(test_udp_with_loss),
      cmocka_unit_test(test_many_at_once),
      cmocka_unit_test(test_slow_links),
      cmocka_unit_test(test_who_is_alone_asks_where_it_may_join),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
