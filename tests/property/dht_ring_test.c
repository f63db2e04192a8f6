/* SPDX-License-Identifier: BSD-2-Clause */
/* Tier 1 of many peers: nothing acknowledged is lost, responsibility moves after the records have,
 * and k copies come back.. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/dht_world.h"

#define KEYS 40u

static struct record kept[256]; /* acknowledged writes, the newest of each key */

static void ring_of(unsigned count) {
  for (unsigned i = 0; i < count; i++) add_node((uint8_t)(10 + i * (240 / count)));
  tell_ring(0);
  run_for(SEC(10));
}

static void fill(void) {
  for (unsigned k = 0; k < KEYS; k++) {
    kept[k] = make_record((uint8_t)(k * 6), 1, 100 + k, false);
    assert_int_equal(put_at(responsible_for((uint8_t)(k * 6)), &kept[k], k), DHT_NEW);
  }
  run_for(SEC(5));
  for (unsigned k = 0; k < KEYS; k++) {
    assert_true(world.put_done[k]);
    assert_int_equal(world.put_status[k], OK);
  }
}

static void assert_all_served(void) {
  for (unsigned k = 0; k < KEYS; k++) {
    unsigned n = responsible_for((uint8_t)(k * 6));
    if (version_at(n, &kept[k]) < kept[k].version)
      fail_msg("key %u is not at the peer responsible for it", k * 6);
    if (!dht_is_complete(world.node[n].dht, &kept[k].key))
      fail_msg("the range of key %u is not complete", k * 6);
  }
}

static void assert_copies(unsigned least) {
  for (unsigned k = 0; k < KEYS; k++)
    if (copies_of(&kept[k]) < least)
      fail_msg("key %u has %u copies, not %u", k * 6, copies_of(&kept[k]), least);
}

static void test_put_makes_three_copies(void **state) {
  (void)state;
  world_open(1);
  ring_of(6);
  fill();
  for (unsigned k = 0; k < KEYS; k++) {
    assert_int_equal(world.put_copies[k], 3);
    assert_int_equal(copies_of(&kept[k]), 3);
  }
  assert_all_served();
  assert_true(world_close());
}

/* a joiner gets its range from the old owner. Until then it is not COMPLETE. */
static void test_join(void **state) {
  (void)state;
  for (unsigned seed = 0; seed < 20; seed++) {
    world_open(seed);
    ring_of(1 + seed % 6);
    fill();
    unsigned n = add_node(125);
    struct key inside = {{120, 1}};
    tell_ring(MSEC(400));
    assert_false(dht_is_complete(world.node[n].dht, &inside));
    run_for(SEC(20));
    assert_all_served();
    assert_copies(world.node_count < 3 ? world.node_count : 3);
    assert_true(dht_stats(world.node[n].dht).complete);
    assert_true(world_close());
  }
}

/* More peers join at once between two old ones than a range has copies: the nearest successors of
 * the first have nothing yet, and no key may be missed, neither then nor later. */
static void test_many_joins_at_once(void **state) {
  (void)state;
  for (unsigned seed = 0; seed < 40; seed++) {
    world_open(seed);
    ring_of(4);
    fill();
    for (uint8_t place = 75; place < 130; place = (uint8_t)(place + 10)) add_node(place);
    tell_ring(seed % 2 == 0 ? MSEC(400) : SEC(2));
    unsigned user = 1;
    for (unsigned i = 0; i < 20; i++) {
      run_for(rng_below(&world.rng, MSEC(300)));
      for (unsigned k = 72; k < 130; k += 6, user++) {
        unsigned n = responsible_for((uint8_t)k);
        world.find_done[user] = false;
        world_fx.count = 0;
        assert_int_equal(dht_find_wait(world.node[n].dht, world.now, &kept[k / 6].key,
                                       world.now + MSEC(100), user, &world_fx),
                         OK);
        carry_out(n, &world_fx);
        run_for(MSEC(101));
        assert_true(world.find_done[user]);
        if (world.find_status[user] == OK && version_at(n, &kept[k / 6]) < kept[k / 6].version)
          fail_msg("seed %u: key %u is said not to be there", seed, k);
      }
    }
    run_for(SEC(20));
    assert_all_served();
    assert_copies(3);
    assert_true(world_close());
  }
}

/* Writes that the old owner takes while the joiner already reads from it are not missed. */
static void test_writes_during_a_join(void **state) {
  (void)state;
  for (unsigned seed = 0; seed < 40; seed++) {
    world_open(seed);
    ring_of(4);
    fill();
    unsigned old = responsible_for(120);
    unsigned n = add_node(125);
    uint8_t places[NODES_MAX];
    unsigned count = sorted_places(places);
    /* the joiner knows the ring at once; the old owner hears of it later */
    fake_view(&world.node[n].overlay, 125, places, count);
    send_event(EVENT_RING, n, n, 0);
    usec until = world.now + rng_below(&world.rng, SEC(2));
    struct record late[8];
    unsigned made = 0;
    while (world.now < until && made < 8) {
      late[made] = make_record((uint8_t)(100 + made), 2, 7, false);
      assert_int_equal(put_at(old, &late[made], 1000 + made), DHT_NEW);
      made++;
      run_for(MSEC(100));
      for (unsigned i = 0; i < made; i++) /* COMPLETE without it would be a wrong 404 */
        if (world.put_done[1000 + i] && dht_is_complete(world.node[n].dht, &late[i].key))
          assert_true(version_at(n, &late[i]) == 7);
    }
    run_until(until);
    tell_ring(MSEC(50));
    run_for(SEC(20));
    assert_all_served();
    for (unsigned i = 0; i < made; i++) assert_true(version_at(n, &late[i]) == 7);
    assert_true(world_close());
  }
}

/* what is not here yet is asked for. */
static void test_find_while_fetching(void **state) {
  (void)state;
  world_open(3);
  ring_of(4);
  fill();
  unsigned n = add_node(125);
  tell_ring(0);
  run_for(100); /* it knows of the ring and has read nothing */
  struct record absent = make_record(119, 9, 1, false);
  assert_int_equal(version_at(n, &kept[20]), 0);
  world_fx.count = 0;
  assert_int_equal(
      dht_find_wait(world.node[n].dht, world.now, &kept[20].key, world.now + SEC(3), 1, &world_fx),
      OK);
  carry_out(n, &world_fx);
  world_fx.count = 0;
  assert_int_equal(
      dht_find_wait(world.node[n].dht, world.now, &absent.key, world.now + SEC(3), 2, &world_fx),
      OK);
  carry_out(n, &world_fx);
  run_for(MSEC(200));
  assert_true(world.find_done[1] && world.find_done[2]);
  assert_int_equal(world.find_status[1], OK);
  assert_int_equal(world.find_status[2], OK);
  assert_true(version_at(n, &kept[20]) == kept[20].version);
  assert_true(world_close());
}

/* Where nobody who may hold it answers, nobody can be sure. */
static void test_find_without_answer(void **state) {
  (void)state;
  world_open(4);
  ring_of(3);
  unsigned n = add_node(125);
  tell_ring(0);
  world.loss_percent = 100;
  run_for(100);
  struct key key = {{119}};
  world_fx.count = 0;
  assert_int_equal(
      dht_find_wait(world.node[n].dht, world.now, &key, world.now + SEC(3), 1, &world_fx), OK);
  carry_out(n, &world_fx);
  run_for(SEC(3));
  assert_true(world.find_done[1]);
  assert_int_equal(world.find_status[1], ERR_BUSY);
  assert_false(dht_is_complete(world.node[n].dht, &key));
  world.loss_percent = 0;
  run_for(SEC(40));
  assert_true(dht_is_complete(world.node[n].dht, &key));
  assert_true(world_close());
}

static void test_death(void **state) {
  (void)state;
  for (unsigned seed = 0; seed < 20; seed++) {
    world_open(seed);
    ring_of(6);
    fill();
    for (unsigned dead = 0; dead < 4; dead++) { /* one after the other, down to two */
      unsigned n;
      do n = (unsigned)rng_below(&world.rng, world.node_count);
      while (!world.node[n].alive);
      kill_node(n);
      tell_ring(MSEC(500));
      run_for(SEC(30));
      assert_all_served();
      assert_copies(5 - dead < 3 ? 5 - dead : 3);
    }
    assert_true(world_close());
  }
}

/* Two of three holders at once. */
static void test_two_deaths_at_once(void **state) {
  (void)state;
  for (unsigned seed = 0; seed < 20; seed++) {
    world_open(seed);
    ring_of(7);
    fill();
    unsigned n = (unsigned)rng_below(&world.rng, 7);
    kill_node(n);
    kill_node((n + 1) % 7);
    tell_ring(MSEC(500));
    run_for(SEC(30));
    assert_all_served();
    assert_copies(3);
    assert_true(world_close());
  }
}

/* */
static void test_hand_over(void **state) {
  (void)state;
  world_open(5);
  ring_of(4);
  world.limits.replicas = 1; /* nothing but the hand-over can save them */
  for (unsigned n = 0; n < 4; n++) {
    kill_node(n);
    start_node(n);
  }
  tell_ring(0);
  run_for(SEC(60));
  fill();
  assert_copies(1);
  unsigned n = responsible_for(120);
  world_fx.count = 0;
  dht_hand_over(world.node[n].dht, world.now, wall_now(), world.now + SEC(10), &world_fx);
  carry_out(n, &world_fx);
  run_for(SEC(5));
  assert_true(world.hand_over_done);
  assert_int_equal(world.handed_over, OK);
  kill_node(n);
  tell_ring(0);
  run_for(SEC(20));
  assert_all_served();
  assert_true(world_close());
}

/* with a leaver goes one of the three copies of its own range and of two others. There are
 * three again before it goes, so that the two other holders may die right after. */
static void test_hand_over_of_copies(void **state) {
  (void)state;
  for (unsigned role = 0; role < 3; role++) {
    world_open(40 + role);
    ring_of(8);
    fill();
    unsigned first = responsible_for(120), leaver = (first + role) % 8;
    world_fx.count = 0;
    dht_hand_over(world.node[leaver].dht, world.now, wall_now(), world.now + SEC(10), &world_fx);
    carry_out(leaver, &world_fx);
    run_for(SEC(3));
    assert_true(world.hand_over_done);
    for (unsigned i = 0; i < 3; i++) kill_node((first + i) % 8);
    tell_ring(MSEC(500));
    run_for(SEC(30));
    assert_all_served();
    assert_true(world_close());
  }
}

/* A copy that nobody takes does not hold the leaver up. */
static void test_hand_over_of_copies_to_the_silent(void **state) {
  (void)state;
  world_open(43);
  ring_of(8);
  fill();
  unsigned leaver = responsible_for(120);
  kill_node((leaver + 2) % 8);
  world_fx.count = 0;
  dht_hand_over(world.node[leaver].dht, world.now, wall_now(), world.now + SEC(10), &world_fx);
  carry_out(leaver, &world_fx);
  run_for(SEC(5));
  assert_true(world.hand_over_done);
  assert_int_equal(world.handed_over, OK);
  assert_true(world_close());
}

static void test_hand_over_to_nobody(void **state) {
  (void)state;
  world_open(6);
  ring_of(3);
  fill();
  world.loss_percent = 100;
  world_fx.count = 0;
  dht_hand_over(world.node[0].dht, world.now, wall_now(), world.now + SEC(10), &world_fx);
  carry_out(0, &world_fx);
  run_for(SEC(9));
  assert_false(world.hand_over_done);
  run_for(SEC(3));
  assert_true(world.hand_over_done);
  assert_int_equal(world.handed_over, ERR_TIMEOUT);
  kill_node(1);
  kill_node(2);
  tell_ring(0);
  run_for(SEC(1));
  world.hand_over_done = false;
  world_fx.count = 0;
  dht_hand_over(world.node[0].dht, world.now, wall_now(), world.now + SEC(10), &world_fx);
  carry_out(0, &world_fx);
  assert_true(world.hand_over_done);
  assert_int_equal(world.handed_over, OK); /* alone: nobody to take anything */
  assert_true(world_close());
}

/* a copy that is not ours goes to its owner first and is dropped later. */
static void test_foreign_copies_go_home(void **state) {
  (void)state;
  world_open(7);
  ring_of(12);
  fill();
  unsigned home = responsible_for(60), far = (home + 6) % 12;
  struct record stray = make_record(60, 5, 9, false);
  world_fx.count = 0; /* as if it had been read from an old journal */
  assert_int_equal(dht_restore(world.node[far].dht, wall_now(), &stray, &world_fx), OK);
  assert_int_equal(version_at(home, &stray), 0);
  run_for(SEC(90));
  assert_int_equal(version_at(home, &stray), 9);
  assert_true(copies_of(&stray) >= 3);
  run_for(SEC(120));
  assert_int_equal(version_at(far, &stray), 0);
  assert_int_equal(copies_of(&stray), 3);
  assert_copies(3);
  assert_true(world_close());
}

/* it was pushed, then its holder was one of k for a while, and then all the others died. */
static void test_foreign_copies_go_home_again(void **state) {
  (void)state;
  world_open(7);
  ring_of(12);
  unsigned home = responsible_for(60), far = (home + 6) % 12;
  struct record stray = make_record(60, 5, 9, false);
  world_fx.count = 0;
  assert_int_equal(dht_restore(world.node[far].dht, wall_now(), &stray, &world_fx), OK);
  run_for(SEC(70));
  assert_int_equal(version_at(home, &stray), 9);
  uint8_t all[NODES_MAX], few[NODES_MAX];
  unsigned count = sorted_places(all), left = 0;
  for (unsigned i = 0; i < count; i++) {
    bool between = false;
    for (unsigned k = 1; k < 5; k++)
      between = between || all[i] == world.node[(home + k) % 12].place;
    if (!between) few[left++] = all[i];
  }
  fake_view(&world.node[far].overlay, world.node[far].place, few, left);
  send_event(EVENT_RING, far, far, 0);
  run_for(SEC(1));
  for (unsigned k = 0; k < 3; k++) kill_node((home + k) % 12);
  tell_ring(0);
  run_for(SEC(130));
  assert_int_equal(version_at(responsible_for(60), &stray), 9);
  assert_int_equal(copies_of(&stray), 3 + 1);
  assert_true(world_close());
}

/* A write that was taken at the wrong peer, as `final` allows. */
static void test_stray_write(void **state) {
  (void)state;
  world_open(8);
  ring_of(6);
  unsigned home = responsible_for(60), other = (home + 1) % 6;
  struct record r = make_record(60, 5, 9, false);
  assert_int_equal(put_at(other, &r, 1), DHT_NEW);
  run_for(SEC(2));
  assert_int_equal(world.put_status[1], OK);
  assert_int_equal(version_at(home, &r), 9);
  assert_true(world_close());
}

/* The way to the owner is the peer before us, not the one before the key, which has no use for it.
 */
static void test_stray_write_far_from_its_route(void **state) {
  (void)state;
  world_open(8);
  ring_of(6);
  unsigned home = responsible_for(60), other = (home + 1) % 6;
  struct overlay *view = &world.node[other].overlay;
  view->successor_count--; /* all but its predecessor */
  view->knows_few = true;
  struct record r = make_record(60, 5, 9, false);
  assert_int_equal(put_at(other, &r, 1), DHT_NEW);
  run_for(SEC(2));
  assert_int_equal(version_at(home, &r), 9);
  assert_true(world_close());
}

/* Each knows the one before it and a few after it: from hand to hand, and no farther. */
static void test_stray_write_is_passed_on(void **state) {
  (void)state;
  world_open(12);
  ring_of(8);
  for (unsigned n = 0; n < 8; n++) {
    world.node[n].overlay.successor_count = 3;
    world.node[n].overlay.knows_few = true;
  }
  unsigned home = responsible_for(60);
  struct record r = make_record(60, 5, 9, false);
  assert_int_equal(put_at((home + 3) % 8, &r, 1), DHT_NEW);
  unsigned pushes = world.pushes;
  run_for(SEC(2));
  assert_int_equal(version_at(home, &r), 9);
  /* two copies, three strays, and two copies by the owner */
  assert_in_range(world.pushes - pushes, 4, 8);
  assert_true(world_close());
}

/* Just beyond the replica set, where nobody compares: it goes to the owner, and stays here
 * (R-5.22).
 */
static void test_newest_is_beyond_the_replicas(void **state) {
  (void)state;
  world_open(11);
  ring_of(6);
  unsigned home = responsible_for(60), beyond = (home + 3) % 6;
  struct record old = make_record(60, 5, 9, false), r = old;
  assert_int_equal(put_at(home, &old, 1), DHT_NEW);
  run_for(SEC(2));
  r.version = 11;
  world_fx.count = 0;
  assert_int_equal(dht_restore(world.node[beyond].dht, wall_now(), &r, &world_fx), OK);
  run_for(SEC(150));
  for (unsigned i = 0; i < 4; i++) assert_int_equal(version_at((home + i) % 6, &r), 11);
  unsigned pushes = world.pushes;
  run_for(SEC(300)); /* once is enough */
  assert_int_equal(world.pushes, pushes);
  assert_true(world_close());
}

/* What a peer took for one that was only believed dead goes there, also when it leaves before the
 * 5 s of are over. */
static void test_hand_over_of_what_is_owed(void **state) {
  (void)state;
  world_open(10);
  ring_of(6);
  unsigned home = responsible_for(60), other = (home + 1) % 6;
  uint8_t all[NODES_MAX], few[NODES_MAX];
  unsigned count = sorted_places(all), left = 0;
  for (unsigned i = 0; i < count; i++)
    if (all[i] != world.node[home].place) few[left++] = all[i];
  fake_view(&world.node[other].overlay, world.node[other].place, few, left);
  send_event(EVENT_RING, other, other, 0);
  run_for(SEC(1));
  struct record r = make_record(60, 5, 9, false);
  assert_int_equal(put_at(other, &r, 1), DHT_NEW);
  run_for(SEC(1));
  assert_int_equal(world.put_status[1], OK);
  assert_int_equal(version_at(home, &r), 0);
  fake_view(&world.node[other].overlay, world.node[other].place, all, count);
  send_event(EVENT_RING, other, other, 0);
  run_for(MSEC(10));
  world_fx.count = 0;
  dht_hand_over(world.node[other].dht, world.now, wall_now(), world.now + SEC(4), &world_fx);
  carry_out(other, &world_fx);
  run_for(SEC(2));
  assert_true(world.hand_over_done);
  assert_int_equal(world.handed_over, OK);
  assert_int_equal(version_at(home, &r), 9);
  assert_true(world_close());
}

/* A peer that was away for a while and comes back with its old records. */
static void test_return_with_old_records(void **state) {
  (void)state;
  world_open(9);
  ring_of(5);
  fill();
  unsigned n = responsible_for(120);
  struct record held[KEYS];
  unsigned count = 0;
  uint32_t cursor = 0;
  struct record r;
  while (dht_each(world.node[n].dht, &cursor, &r)) held[count++] = copy_record(&r);
  kill_node(n);
  tell_ring(0);
  run_for(SEC(20));
  for (unsigned k = 0; k < KEYS; k++) { /* all is removed in the meantime */
    struct record dead = make_record((uint8_t)(k * 6), 1, kept[k].version + 1, true);
    assert_int_equal(put_at(responsible_for((uint8_t)(k * 6)), &dead, 100 + k), DHT_NEW);
    kept[k] = dead;
  }
  run_for(SEC(5));
  start_node(n);
  for (unsigned i = 0; i < count; i++) {
    world_fx.count = 0;
    assert_int_equal(dht_restore(world.node[n].dht, wall_now(), &held[i], &world_fx), OK);
    void *at = NULL;
    memcpy(&at, &held[i].bytes.at, sizeof at);
    free(at);
  }
  tell_ring(MSEC(300));
  run_for(SEC(30));
  assert_all_served(); /* of version + 1: the tombstones */
  for (unsigned k = 0; k < KEYS; k++) {
    cursor = 0;
    unsigned at = responsible_for((uint8_t)(k * 6));
    assert_false(dht_find(world.node[at].dht, wall_now(), &kept[k].key, &cursor, &r));
  }
  assert_true(world_close());
}

/* A batch of more than one page, within one key too. */
static void test_many_records_of_one_key(void **state) {
  (void)state;
  world_open(10);
  world.limits.values_per_owner_max = 500;
  ring_of(3);
  for (unsigned i = 0; i < 200; i++) {
    struct record r = make_record(60, (uint8_t)i, 5, false);
    assert_int_equal(put_at(responsible_for(60), &r, 1000 + i), DHT_NEW);
    if (i % 50 == 49) run_for(SEC(1));
  }
  unsigned n = add_node(65);
  tell_ring(0);
  run_for(SEC(20));
  assert_int_equal(responsible_for(60), n);
  assert_int_equal(dht_stats(world.node[n].dht).records, 200);
  assert_true(world_close());
}

/* Joins, deaths, lost messages and failing journals at random, with writes all the time. What was
 * acknowledged must be there as long as fewer than all its holders die between two rests. */
static void test_weather(void **state) {
  (void)state;
  for (unsigned seed = 0; seed < 60; seed++) {
    world_open(1000 + seed);
    ring_of(5);
    memset(kept, 0, sizeof kept);
    uint64_t version = 10;
    uint64_t user = 2000;
    struct record asked[64];
    for (unsigned round = 0; round < 12; round++) {
      world.loss_percent = (unsigned)rng_below(&world.rng, 20);
      world.journal_percent = (unsigned)rng_below(&world.rng, 10);
      uint64_t first = user;
      for (unsigned i = 0; i < 20; i++) {
        uint8_t key = (uint8_t)rng_below(&world.rng, 256);
        bool tombstone = rng_below(&world.rng, 4) == 0;
        asked[i] = make_record(key, 1, version++, tombstone);
        if (put_at(responsible_for(key), &asked[i], user) != DHT_NEW)
          world.put_status[user] = ERR_FULL;
        user++;
        run_for(rng_below(&world.rng, MSEC(100)));
      }
      run_for(SEC(5));
      for (unsigned i = 0; i < 20; i++)
        if (world.put_done[first + i] && world.put_status[first + i] == OK)
          kept[asked[i].key.byte[0]] = asked[i];
      world.loss_percent = world.journal_percent = 0;
      run_for(SEC(60)); /* rest: copies that could not be made are made */
      uint8_t places[NODES_MAX];
      if (rng_below(&world.rng, 2) == 0 && sorted_places(places) > 4) {
        unsigned n;
        do n = (unsigned)rng_below(&world.rng, world.node_count);
        while (!world.node[n].alive);
        kill_node(n);
      } else if (world.node_count < NODES_MAX) {
        uint8_t place;
        bool taken;
        do {
          place = (uint8_t)rng_between(&world.rng, 1, 255);
          taken = false;
          for (unsigned n = 0; n < world.node_count; n++) taken |= world.node[n].place == place;
        } while (taken);
        add_node(place);
      }
      tell_ring(SEC(1));
      run_for(SEC(2));
    }
    run_for(SEC(120));
    for (unsigned k = 0; k < 256; k++) {
      if (kept[k].version == 0) continue;
      unsigned n = responsible_for((uint8_t)k);
      if (version_at(n, &kept[k]) < kept[k].version)
        fail_msg("seed %u: key %u is lost (%u copies)", seed, k, copies_of(&kept[k]));
      if (copies_of(&kept[k]) < 3) fail_msg("seed %u: key %u has too few copies", seed, k);
    }
    for (unsigned n = 0; n < world.node_count; n++)
      if (world.node[n].alive && !dht_stats(world.node[n].dht).complete)
        fail_msg("seed %u: peer %u is not complete", seed, world.node[n].place);
    assert_true(world_close());
  }
}

/* While a peer new to the set is sent page after page, a write behind the page cannot reach it. */
static void test_write_behind_a_copy(void **state) {
  (void)state;
  for (unsigned seed = 0; seed < 20; seed++) {
    world_open(seed);
    ring_of(3);
    for (unsigned i = 0; i < 200; i++) {
      struct record r = make_record((uint8_t)(12 + i % 70), (uint8_t)i, 5, false);
      assert_int_equal(put_at(responsible_for(r.key.byte[0]), &r, 1000 + i), DHT_NEW);
      if (i % 50 == 49) run_for(SEC(1));
    }
    unsigned n = responsible_for(12), joiner = add_node(130); /* first after n */
    tell_ring(0);
    run_for(MSEC(40 + 10 * seed));
    struct record late = make_record(13, 250, 5, false);
    assert_int_equal(put_at(n, &late, 1), DHT_NEW);
    world.loss_percent = 100;
    run_for(MSEC(10));
    world.loss_percent = 0;
    run_for(SEC(30));
    assert_int_equal(version_at(joiner, &late), 5);
    assert_true(copies_of(&late) >= 3);
    assert_true(world_close());
  }
}

/* At rest nothing is sent. */
static void test_quiet_at_rest(void **state) {
  (void)state;
  world_open(11);
  ring_of(4);
  fill();
  run_for(SEC(60));
  unsigned pushes = world.pushes, pulls = world.pulls;
  run_for(SEC(600));
  assert_int_equal(world.pushes, pushes);
  assert_int_equal(world.pulls, pulls);
  assert_true(world_close());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_put_makes_three_copies),
      cmocka_unit_test(test_join),
      cmocka_unit_test(test_many_joins_at_once),
      cmocka_unit_test(test_writes_during_a_join),
      cmocka_unit_test(test_find_while_fetching),
      cmocka_unit_test(test_find_without_answer),
      cmocka_unit_test(test_death),
      cmocka_unit_test(test_two_deaths_at_once),
      cmocka_unit_test(test_hand_over),
      cmocka_unit_test(test_hand_over_of_copies),
      cmocka_unit_test(test_hand_over_of_copies_to_the_silent),
      cmocka_unit_test(test_hand_over_to_nobody),
      cmocka_unit_test(test_foreign_copies_go_home),
      cmocka_unit_test(test_foreign_copies_go_home_again),
      cmocka_unit_test(test_stray_write),
      cmocka_unit_test(test_stray_write_far_from_its_route),
      cmocka_unit_test(test_hand_over_of_what_is_owed),
      cmocka_unit_test(test_stray_write_is_passed_on),
      cmocka_unit_test(test_newest_is_beyond_the_replicas),
      cmocka_unit_test(test_return_with_old_records),
      cmocka_unit_test(test_many_records_of_one_key),
      cmocka_unit_test(test_weather),
      cmocka_unit_test(test_write_behind_a_copy),
      cmocka_unit_test(test_quiet_at_rest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
