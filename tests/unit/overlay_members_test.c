/* SPDX-License-Identifier: BSD-2-Clause */
/* Small rings, both ways through 2r, and the lives of peers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/one_overlay.h"
#include "support/ring_world.h"

static struct ring_world world;
static struct one_overlay one;

static void begin(uint64_t seed, unsigned successors, uint32_t peers) {
  ring_world_init(&world, seed);
  world.successors = successors;
  for (uint32_t i = 0; i < peers; i++) ring_world_add(&world, NULL);
  ring_world_create(&world, 0);
}

static void settle(usec within_us) {
  bool settled = ring_world_settle(&world, within_us);
  if (world.violation != NULL) print_error("%s\n", world.violation);
  if (!settled) print_error("%s\n", ring_world_not_ideal(&world));
  assert_true(settled);
}

static void join_all(uint32_t from, uint32_t to) {
  const uint32_t via = 0;
  for (uint32_t i = from; i < to; i++) ring_world_join(&world, i, &via, 1);
}

static void test_rings_of_one_two_and_three(void **state) {
  (void)state;
  for (uint32_t n = 1; n <= 3; n++) {
    for (uint64_t seed = 0; seed < 20; seed++) {
      begin(seed, 8, n);
      join_all(1, n); /* at once */
      settle(SEC(3));
      assert_int_equal(ring_world_members(&world), n);
      ring_world_run(&world, SEC(60));
      assert_null(ring_world_not_ideal(&world));
      ring_world_free(&world);
    }
  }
}

static void test_two_peers_started_at_once(void **state) {
  (void)state;
  const uint32_t first = 0, second = 1;
  ring_world_init(&world, 3);
  ring_world_add(&world, NULL);
  ring_world_add(&world, NULL);
  ring_world_join(&world, 1, &first, 1); /* its bootstrap does not run yet */
  ring_world_run(&world, MSEC(700));
  ring_world_join(&world, 0, &second, 1); /* and when it runs it is no member */
  ring_world_run(&world, SEC(5));
  assert_int_equal(ring_world_members(&world), 0);
  ring_world_kill(&world, 0);
  ring_world_create(&world, 0);
  settle(SEC(5));
  assert_int_equal(ring_world_members(&world), 2);
  ring_world_free(&world);
}

static void test_join_through_a_bootstrap_that_is_joining(void **state) {
  (void)state;
  begin(4, 8, 6);
  for (uint32_t i = 5; i > 0; i--) {
    const uint32_t via = i - 1; /* a chain, its far end first */
    ring_world_join(&world, i, &via, 1);
  }
  settle(SEC(15));
  assert_int_equal(ring_world_members(&world), 6);
  ring_world_free(&world);
}

static void test_64_and_200_peers_through_one_bootstrap(void **state) {
  (void)state;
  const uint32_t sizes[] = {64, 200};
  for (unsigned i = 0; i < 2; i++) {
    begin(11 + i, 8, sizes[i]);
    world.check_every = 32;
    join_all(1, sizes[i]);
    usec start = world.now;
    while (ring_world_members(&world) < sizes[i] && world.now - start < SEC(60)) {
      ring_world_run(&world, MSEC(100));
    }
    assert_in_range(world.now - start, 0, SEC(12));
    settle(SEC(30));
    ring_world_free(&world);
  }
}

/* One by one up through 2r and down again, r = 2 and r = 8. */
static void test_growing_and_shrinking_through_2r(void **state) {
  (void)state;
  const unsigned successors[] = {2, 3, 8};
  for (unsigned i = 0; i < 3; i++) {
    unsigned r = successors[i];
    uint32_t peers = 2 * r + 3;
    begin(20 + i, r, peers);
    for (uint32_t n = 1; n < peers; n++) {
      join_all(n, n + 1);
      settle(SEC(60));
      assert_int_equal(world.node[0].overlay->small, n + 1 < 2 * r);
    }
    for (uint32_t n = peers - 1; n > 0; n--) {
      if (n % 2 == 0) {
        ring_world_kill(&world, n);
      } else {
        ring_world_leave(&world, n);
      }
      settle(SEC(200));
      assert_int_equal(ring_world_members(&world), n);
    }
    ring_world_free(&world);
  }
}

static void test_many_join_a_small_ring_at_once(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 10; seed++) {
    begin(seed, 2, 12);
    join_all(1, 3);
    settle(SEC(5));
    join_all(3, 12);
    settle(SEC(30));
    ring_world_free(&world);
  }
}

/* All but one at once: everybody holds everybody, so nobody is left without a successor. */
static void test_small_ring_survives_the_loss_of_all_but_two(void **state) {
  (void)state;
  begin(31, 8, 12);
  join_all(1, 12);
  settle(SEC(10));
  for (uint32_t i = 0; i < 10; i++) ring_world_kill(&world, i);
  settle(SEC(60));
  assert_int_equal(ring_world_members(&world), 2);
  ring_world_free(&world);
}

static void by_place(uint32_t *order, uint32_t peers) {
  for (uint32_t i = 0; i < peers; i++) order[i] = i;
  for (uint32_t i = 1; i < peers; i++) {
    for (uint32_t j = i;
         j > 0 && key_compare(&world.node[order[j]].self.id, &world.node[order[j - 1]].self.id) < 0;
         j--) {
      uint32_t swap = order[j];
      order[j] = order[j - 1];
      order[j - 1] = swap;
    }
  }
}

/* Up to r - 1 neighbours at once are no loss. */
static void test_adjacent_peers_fail_at_once(void **state) {
  (void)state;
  uint32_t order[40];
  for (unsigned dead = 1; dead < 8; dead++) {
    begin(40 + dead, 8, 40);
    join_all(1, 40);
    settle(SEC(30));
    by_place(order, 40);
    for (unsigned i = 0; i < dead; i++) ring_world_kill(&world, order[(7 * dead + i) % 40]);
    settle(SEC(60));
    assert_int_equal(ring_world_members(&world), 40 - dead);
    ring_world_free(&world);
  }
}

static void test_restart_is_a_new_life(void **state) {
  (void)state;
  const unsigned sizes[] = {5, 30};
  for (unsigned i = 0; i < 2; i++) {
    begin(50 + i, 8, sizes[i]);
    join_all(1, sizes[i]);
    settle(SEC(30));
    for (uint32_t n = 1; n < 5; n++) {
      ring_world_kill(&world, n); /* and back before anybody noticed */
      ring_world_run(&world, MSEC(20));
      const uint32_t via = 0;
      ring_world_join(&world, n, &via, 1);
      settle(SEC(60));
      assert_int_equal(ring_world_members(&world), sizes[i]);
    }
    ring_world_free(&world);
  }
}

/* cut off from all, it goes on alone and comes back by itself. */
static void test_isolated_peer_returns(void **state) {
  (void)state;
  const unsigned sizes[] = {6, 30};
  for (unsigned i = 0; i < 2; i++) {
    begin(60 + i, 8, sizes[i]);
    world.check_every = 0;
    join_all(1, sizes[i]);
    settle(SEC(30));
    world.node[3].side = 1;
    ring_world_run(&world, SEC(120));
    const struct overlay *o = world.node[3].overlay;
    assert_true(overlay_is_member(o));
    assert_true(overlay_is_responsible(o, &world.node[0].self.id));
    world.node[3].side = 0;
    settle(SEC(180));
    assert_int_equal(ring_world_members(&world), sizes[i]);
    ring_world_free(&world);
  }
}

/* Both parts of a ring live on and find each other, whatever their sizes. */
static void test_split_ring_merges(void **state) {
  (void)state;
  const uint32_t sizes[] = {6, 20, 40};
  for (unsigned i = 0; i < 3; i++) {
    begin(90 + i, 4, sizes[i]);
    join_all(1, sizes[i]);
    settle(SEC(30));
    world.check_every = 0;
    for (uint32_t n = 0; n < sizes[i] / 2; n++) world.node[n].side = 1;
    ring_world_run(&world, SEC(400));
    for (uint32_t n = 0; n < sizes[i]; n++) world.node[n].side = 0;
    settle(SEC(300));
    assert_int_equal(ring_world_members(&world), sizes[i]);
    ring_world_free(&world);
  }
}

static void test_lossy_links(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 5; seed++) {
    begin(70 + seed, 4, 20);
    world.loss_permille = 100;
    join_all(1, 20);
    ring_world_run(&world, SEC(60));
    assert_null(world.violation); /* lists stay ordered whatever is lost */
    world.loss_permille = 0;
    world.check_every = 0;
    settle(SEC(120));
    assert_int_equal(ring_world_members(&world), 20);
    ring_world_free(&world);
  }
}

static void test_memory_runs_out_for_a_while(void **state) {
  (void)state;
  for (uint64_t more = 0; more < 60; more += 3) {
    begin(80, 3, 14);
    world.check_every = 0;
    join_all(1, 14);
    ring_world_run(&world, MSEC(300 + 40 * more));
    world.memory.fail_after = world.memory.taken + more;
    ring_world_run(&world, SEC(20));
    world.memory.fail_after = TEST_MEMORY_UNLIMITED;
    settle(SEC(200));
    assert_int_equal(ring_world_members(&world), 14);
    ring_world_free(&world);
  }
}

/* entered only after that peer answered. */
static void test_members_are_entered_by_their_own_answer(void **state) {
  (void)state;
  one_init(&one, 100, 4);
  overlay_create(one.overlay, one.now, NULL);
  assert_int_equal(one_request(&one, OVERLAY_NOTIFY, 50), OVERLAY_OK);
  assert_string_equal(one_list(&one), "");
  struct overlay_call ping = *one_call(&one, OVERLAY_PING, 50);
  one_request(&one, OVERLAY_PING, 50);
  assert_null(one_call(&one, OVERLAY_PING, 50)); /* is being asked already */
  struct overlay_message m = one_says(OVERLAY_PING, 50, 0, NULL, 0);
  one_answer(&one, &ping, OVERLAY_OK, &m);
  assert_string_equal(one_list(&one), "50");

  struct overlay_call gossip = *one_wait(&one, OVERLAY_NEIGHBORS);
  m = one_says(OVERLAY_NEIGHBORS, 50, 100, (const uint8_t[]){70, 100}, 2);
  m.member_count = 2;
  m.member[0] = one_peer(70);
  m.member[1] = one_peer(100);
  one_answer(&one, &gossip, OVERLAY_OK, &m);
  assert_string_equal(one_list(&one), "50");
  ping = *one_call(&one, OVERLAY_PING, 70);
  one_answer(&one, &ping, OVERLAY_NOT_JOINED, NULL);
  assert_string_equal(one_list(&one), "50");
  one_free(&one);
}

/* The peer was started again and has answered: what its earlier life said, or was asked, comes too
 * late. Both found by ring_worlds. */
static void test_late_answers_of_an_earlier_life(void **state) {
  (void)state;
  one_init(&one, 100, 4);
  overlay_create(one.overlay, one.now, NULL);
  one_request(&one, OVERLAY_NOTIFY, 50);
  struct overlay_call ping = *one_call(&one, OVERLAY_PING, 50);
  struct overlay_message m = one_says(OVERLAY_PING, 50, 0, NULL, 0);
  one_answer(&one, &ping, OVERLAY_OK, &m);
  struct overlay_call old_gossip = *one_wait(&one, OVERLAY_NEIGHBORS);
  one_request(&one, OVERLAY_LEAVE, 50);
  struct overlay_call old_ping = *one_call(&one, OVERLAY_PING, 50);
  one_answer(&one, &old_ping, OVERLAY_OK, &(struct overlay_message){.sender = m.sender});
  one_request(&one, OVERLAY_LEAVE, 50);
  old_ping = *one_call(&one, OVERLAY_PING, 50);

  struct peer later = one_peer(50);
  later.incarnation = 2;
  one.now += MSEC(1);
  struct step step = {.now = one.now, .calls = &one.calls};
  chord_proved(one.overlay, &step, &later);
  assert_int_equal(one.overlay->members.at[0].incarnation, 2);
  m = one_says(OVERLAY_NEIGHBORS, 50, 100, (const uint8_t[]){100}, 1);
  one_answer(&one, &old_gossip, OVERLAY_OK, &m);
  assert_int_equal(one.overlay->members.at[0].incarnation, 2);
  one_answer(&one, &old_ping, OVERLAY_NOT_JOINED, NULL);
  assert_string_equal(one_list(&one), "50");
  one_free(&one);
}

/* A joiner takes the membership of the peer before it, and pings all of it. */
static void test_joiner_takes_and_proves_the_membership(void **state) {
  (void)state;
  one_init(&one, 100, 4);
  struct endpoint bootstrap = one_peer(50).at;
  overlay_join(one.overlay, one.now, &bootstrap, 1, &one.calls);
  struct overlay_message m = one_says(OVERLAY_ROUTE, 150, 50, NULL, 0);
  one_answer(&one, one_wait(&one, OVERLAY_ROUTE), OVERLAY_OK, &m);
  m = one_says(OVERLAY_JOIN, 50, 20, (const uint8_t[]){150, 200, 20}, 3);
  m.member_count = 5;
  const uint8_t members[] = {150, 200, 20, 100, 150}; /* ourselves, and one twice */
  for (unsigned i = 0; i < 5; i++) m.member[i] = one_peer(members[i]);
  one_answer(&one, one_wait(&one, OVERLAY_JOIN), OVERLAY_OK, &m);
  assert_string_equal(one_list(&one), "150 200 20 50");
  assert_int_equal(overlay_predecessor(one.overlay)->id.byte[0], 50);
  assert_non_null(one_call(&one, OVERLAY_PING, 150));
  assert_non_null(one_call(&one, OVERLAY_PING, 200));
  struct overlay_call ping = *one_call(&one, OVERLAY_PING, 20);
  one_answer(&one, &ping, OVERLAY_FAILED, NULL); /* it is pinged again, at once */
  assert_string_equal(one_list(&one), "150 200 20 50");
  ping = *one_call(&one, OVERLAY_PING, 20);
  one_answer(&one, &ping, OVERLAY_FAILED, NULL);
  assert_string_equal(one_list(&one), "150 200 50");
  one_free(&one);
}

static void test_a_membership_that_is_too_large_makes_a_ring(void **state) {
  (void)state;
  one_init(&one, 100, 2);
  struct endpoint bootstrap = one_peer(50).at;
  overlay_join(one.overlay, one.now, &bootstrap, 1, &one.calls);
  struct overlay_message m = one_says(OVERLAY_ROUTE, 150, 50, NULL, 0);
  one_answer(&one, one_wait(&one, OVERLAY_ROUTE), OVERLAY_OK, &m);
  m = one_says(OVERLAY_JOIN, 50, 20, (const uint8_t[]){110, 111}, 2);
  m.member_count = OVERLAY_MEMBERS_MAX;
  for (unsigned i = 0; i < m.member_count; i++) m.member[i] = one_peer((uint8_t)(110 + i));
  one_answer(&one, one_wait(&one, OVERLAY_JOIN), OVERLAY_OK, &m);
  assert_false(one.overlay->small);
  assert_string_equal(one_list(&one), "110 111");
  one_free(&one);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rings_of_one_two_and_three),
      cmocka_unit_test(test_two_peers_started_at_once),
      cmocka_unit_test(test_join_through_a_bootstrap_that_is_joining),
      cmocka_unit_test(test_64_and_200_peers_through_one_bootstrap),
      cmocka_unit_test(test_growing_and_shrinking_through_2r),
      cmocka_unit_test(test_many_join_a_small_ring_at_once),
      cmocka_unit_test(test_small_ring_survives_the_loss_of_all_but_two),
      cmocka_unit_test(test_adjacent_peers_fail_at_once),
      cmocka_unit_test(test_restart_is_a_new_life),
      cmocka_unit_test(test_isolated_peer_returns),
      cmocka_unit_test(test_split_ring_merges),
      cmocka_unit_test(test_lossy_links),
      cmocka_unit_test(test_memory_runs_out_for_a_while),
      cmocka_unit_test(test_members_are_entered_by_their_own_answer),
      cmocka_unit_test(test_late_answers_of_an_earlier_life),
      cmocka_unit_test(test_joiner_takes_and_proves_the_membership),
      cmocka_unit_test(test_a_membership_that_is_too_large_makes_a_ring),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
