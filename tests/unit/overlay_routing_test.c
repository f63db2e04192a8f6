/* SPDX-License-Identifier: BSD-2-Clause */
/* The key-based routing interface, and fingers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/one_overlay.h"
#include "support/ring_world.h"

static struct one_overlay one;
static struct ring_world world;
static const uint8_t far_ring[] = {110, 120, 130};

static void begin(void) {
  one_init(&one, 100, 3);
  one_join(&one, 90, far_ring, 3);
}

static void learn(uint8_t place) {
  struct peer peer = one_peer(place);
  overlay_on_peer_alive(one.overlay, one.now, &peer);
}

static bool is_responsible(uint8_t place, uint8_t tail) {
  struct key key = one_key(place);
  key.byte[KEY_BYTES - 1] = tail;
  return overlay_is_responsible(one.overlay, &key);
}

/* The second successor is in doubt for a moment: it leaves the replica set and comes back. Who
 * makes copies must hear of both, though no pointer changed. */
static void test_return_to_the_replica_set_is_told(void **state) {
  (void)state;
  struct peer peer = one_peer(120), set[3];
  begin();
  one.calls.count = 0;
  overlay_on_peer_silent(one.overlay, one.now, &peer, &one.calls, NULL);
  assert_int_equal(overlay_replica_set(one.overlay, 3, set), 3);
  assert_int_equal(set[2].id.byte[0], 130);
  uint64_t generation = overlay_generation(one.overlay);
  struct overlay_message pong = one_says(OVERLAY_PING, 120, 0, NULL, 0);
  one_answer(&one, one_call(&one, OVERLAY_PING, 120), OVERLAY_OK, &pong);
  assert_int_equal(overlay_replica_set(one.overlay, 3, set), 3);
  assert_int_equal(set[2].id.byte[0], 120);
  assert_true(overlay_generation(one.overlay) > generation);
  one_free(&one);
}

/* Responsible for (predecessor, self]. */
static void test_range_ends(void **state) {
  (void)state;
  struct key from, to;
  begin();
  assert_true(overlay_range(one.overlay, &from, &to));
  assert_int_equal(from.byte[0], 90);
  assert_int_equal(to.byte[0], 100);
  assert_false(is_responsible(90, 0));
  assert_true(is_responsible(90, 1));
  assert_true(is_responsible(100, 0));
  assert_false(is_responsible(100, 1));
  one_free(&one);
}

static void test_ring_of_one_is_responsible_for_all(void **state) {
  (void)state;
  one_init(&one, 100, 8);
  assert_false(is_responsible(100, 0)); /* no member yet */
  overlay_create(one.overlay, one.now, NULL);
  assert_true(is_responsible(100, 0));
  assert_true(is_responsible(100, 1));
  assert_true(is_responsible(3, 0));
  struct peer out[3];
  bool final;
  const struct key key = one_key(3);
  assert_int_equal(overlay_replica_set(one.overlay, 3, out), 1);
  assert_int_equal(overlay_next_hops(one.overlay, &key, NULL, 0, out, 3, &final), 0);
  assert_null(overlay_predecessor(one.overlay));
  one_free(&one);
}

static unsigned hops_to(uint8_t place, uint8_t tail, const uint8_t *avoid, unsigned avoid_count,
                        uint8_t *out, unsigned max, bool *final) {
  struct key key = one_key(place), keys[8];
  key.byte[KEY_BYTES - 1] = tail;
  for (unsigned i = 0; i < avoid_count; i++) keys[i] = one_key(avoid[i]);
  struct peer peers[16];
  unsigned count = overlay_next_hops(one.overlay, &key, keys, avoid_count, peers, max, final);
  for (unsigned i = 0; i < count; i++) out[i] = peers[i].id.byte[0];
  return count;
}

static void test_next_hops_best_first(void **state) {
  (void)state;
  uint8_t out[16];
  bool final;
  begin();
  learn(200);
  learn(150);
  learn(20);
  /* in (self, first successor]: that successor, then who holds copies */
  assert_int_equal(hops_to(110, 0, NULL, 0, out, 16, &final), 3);
  assert_true(final);
  assert_memory_equal(out, ((uint8_t[]){110, 120, 130}), 3);
  assert_int_equal(hops_to(100, 1, NULL, 0, out, 1, &final), 1);
  assert_true(final);
  assert_int_equal(out[0], 110);
  /* within the list: the first at or after the key */
  assert_int_equal(hops_to(110, 1, NULL, 0, out, 16, &final), 2);
  assert_true(final);
  assert_memory_equal(out, ((uint8_t[]){120, 130}), 2);
  assert_int_equal(hops_to(125, 0, (uint8_t[]){130}, 1, out, 16, &final), 2);
  assert_false(final); /* nobody left there: the closest before it may know more */
  assert_memory_equal(out, ((uint8_t[]){120, 110}), 2);
  /* beyond: the closest before the key, from all tables */
  assert_int_equal(hops_to(201, 0, NULL, 0, out, 16, &final), 5);
  assert_false(final);
  assert_memory_equal(out, ((uint8_t[]){200, 150, 130, 120, 110}), 5);
  assert_int_equal(hops_to(60, 0, NULL, 0, out, 2, &final), 2); /* over zero */
  assert_memory_equal(out, ((uint8_t[]){20, 200}), 2);
  assert_int_equal(hops_to(150, 0, NULL, 0, out, 1, &final), 1); /* the peer itself */
  assert_int_equal(out[0], 150);
  /* avoided ones */
  assert_int_equal(hops_to(201, 0, (uint8_t[]){200, 130}, 2, out, 16, &final), 3);
  assert_memory_equal(out, ((uint8_t[]){150, 120, 110}), 3);
  assert_int_equal(hops_to(115, 0, (uint8_t[]){110}, 1, out, 16, &final), 2);
  assert_true(final); /* 120 is now the first live successor */
  assert_memory_equal(out, ((uint8_t[]){120, 130}), 2);
  one_free(&one);
}

static void test_suspects_are_routed_around_probed_and_welcome_again(void **state) {
  (void)state;
  uint8_t out[16];
  bool final;
  begin();
  learn(200);
  struct peer peer = one_peer(200);
  one.calls.count = 0;
  overlay_on_peer_silent(one.overlay, one.now, &peer, &one.calls, NULL);
  const struct overlay_call *ping = one_call(&one, OVERLAY_PING, 200);
  assert_non_null(ping); /* at once */
  assert_int_equal(hops_to(201, 0, NULL, 0, out, 1, &final), 1);
  assert_int_equal(out[0], 130);
  struct overlay_message pong = one_says(OVERLAY_PING, 200, 0, NULL, 0);
  one_answer(&one, ping, OVERLAY_OK, &pong);
  assert_int_equal(hops_to(201, 0, NULL, 0, out, 1, &final), 1);
  assert_int_equal(out[0], 200);

  one.calls.count = 0;
  overlay_on_peer_silent(one.overlay, one.now, &peer, &one.calls, NULL);
  usec last = 0;
  for (unsigned tries = 0; tries < DOUBT_TRIES_LOST; tries++) {
    struct overlay_call call = *one_wait(&one, OVERLAY_PING);
    assert_int_equal(call.to.id.byte[0], 200);
    if (tries > 0) assert_in_range(one.now - last, MSEC(800) << (tries - 1), SEC(3));
    last = one.now;
    one_answer(&one, &call, OVERLAY_FAILED, NULL);
  }
  struct peer known[16]; /* lost after the third silence */
  unsigned count = overlay_known_peers(one.overlay, known, 16);
  for (unsigned i = 0; i < count; i++) assert_int_not_equal(known[i].id.byte[0], 200);
  one_free(&one);
}

static void test_silent_successor_is_stabilised_at_once(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  begin();
  struct overlay_message m = one_says(OVERLAY_NEIGHBORS, 110, 100, list, 3);
  one_answer(&one, one_wait(&one, OVERLAY_NEIGHBORS), OVERLAY_OK, &m);
  struct peer peer = one_peer(110), out[3];
  one.calls.count = 0;
  overlay_on_peer_silent(one.overlay, one.now, &peer, &one.calls, NULL);
  assert_non_null(one_call(&one, OVERLAY_NEIGHBORS, 110));
  assert_int_equal(overlay_replica_set(one.overlay, 3, out), 3); /* self and two live ones */
  assert_int_equal(out[1].id.byte[0], 120);
  one_free(&one);
}

static void test_known_peers_are_distinct_and_by_peer_id(void **state) {
  (void)state;
  struct peer out[16];
  begin();
  learn(200);
  learn(20);
  learn(120); /* a successor already */
  learn(20);
  unsigned count = overlay_known_peers(one.overlay, out, 16);
  assert_int_equal(count, 5);
  const uint8_t want[] = {20, 110, 120, 130, 200};
  for (unsigned i = 0; i < count; i++) assert_int_equal(out[i].id.byte[0], want[i]);
  assert_int_equal(overlay_known_peers(one.overlay, out, 2), 2);
  one_free(&one);
}

/* within the budget, spread out rather than crowded. */
static void test_learnt_peers_keep_to_their_budget(void **state) {
  (void)state;
  one_init(&one, 100, 3);
  one_join(&one, 90, far_ring, 3);
  for (unsigned i = 0; i < 5000; i++) {
    struct peer peer = one_peer((uint8_t)(131 + i * 7 % 120));
    peer.id.byte[1] = (uint8_t)i;
    peer.id.byte[2] = (uint8_t)(i >> 8);
    overlay_on_peer_alive(one.overlay, one.now, &peer);
  }
  assert_int_equal(one.overlay->learnt.count, 16);
  assert_in_range(one.overlay->fingers.count, 1, 8);
  one_free(&one);
}

/* draft-bryan-sipping-p2p-03 section 13: a 4-bit ring with the peers 3, 5 and 10. */
static void test_dsip_example_ring(void **state) {
  (void)state;
  static const uint8_t owner[16] = {3, 3, 3, 3, 5, 5, 10, 10, 10, 10, 10, 3, 3, 3, 3, 3};
  static const uint8_t places[] = {3, 5, 10};
  ring_world_init(&world, 1);
  for (unsigned i = 0; i < 3; i++) {
    struct key id = {.byte = {(uint8_t)(places[i] << 4)}};
    ring_world_add(&world, &id);
  }
  const uint32_t via = 0;
  ring_world_create(&world, 0);
  ring_world_join(&world, 1, &via, 1);
  ring_world_join(&world, 2, &via, 1);
  assert_true(ring_world_settle(&world, SEC(10)));
  for (uint8_t n = 0; n < 16; n++) {
    const struct key key = {.byte = {(uint8_t)(n << 4)}};
    for (uint32_t from = 0; from < 3; from++) {
      unsigned hops;
      uint32_t at = ring_world_lookup(&world, from, &key, &hops);
      assert_int_equal(places[at], owner[n]);
      assert_in_range(hops, 0, 1); /* a small ring is one hop */
    }
  }
  ring_world_free(&world);
}

static uint32_t grow(uint64_t seed, uint32_t peers, unsigned successors) {
  const uint32_t via = 0;
  ring_world_init(&world, seed);
  world.successors = successors;
  world.check_every = 0;
  for (uint32_t i = 0; i < peers; i++) ring_world_add(&world, NULL);
  ring_world_create(&world, 0);
  for (uint32_t i = 1; i < peers; i++) ring_world_join(&world, i, &via, 1);
  return peers;
}

static unsigned wrong_fingers(uint32_t peers) {
  unsigned wrong = 0;
  for (uint32_t i = 0; i < peers; i++) {
    const struct overlay *o = world.node[i].overlay;
    for (unsigned bit = 0; bit < KEY_BITS; bit++) {
      struct key start = key_add_power(&o->self.id, bit);
      const struct peer *first = &world.node[ring_world_owner(&world, &start)].self;
      const struct peer *last = &o->list.at[o->list.count - 1];
      bool beyond = ring_order(&o->self.id, &start, &last->id) > 0;
      if (!beyond || peer_same(first, &o->self)) continue;
      wrong += peers_find(&o->fingers, &o->self.id, &first->id) == NULL;
    }
    for (uint32_t f = 1; f < o->fingers.count; f++) {
      struct key a = key_distance(&o->self.id, &o->fingers.at[f - 1].id);
      struct key b = key_distance(&o->self.id, &o->fingers.at[f].id);
      wrong += key_top_bit(&a) == key_top_bit(&b); /* each interval has one */
    }
  }
  return wrong;
}

/* Every key from every peer: the true owner, in at most log2 n hops and a little. */
static void test_every_key_is_found_from_every_peer(void **state) {
  (void)state;
  uint32_t peers = grow(5, 64, 8);
  assert_true(ring_world_settle(&world, SEC(30)));
  ring_world_run(&world, SEC(120));
  assert_int_equal(wrong_fingers(peers), 0);
  unsigned worst = 0;
  for (unsigned i = 0; i < 300; i++) {
    struct key key = ring_world_random_key(&world);
    if (i < peers) key = world.node[i].self.id; /* the very ends of ranges */
    if (i >= 64 && i < 128) key = key_successor(&world.node[i - 64].self.id);
    uint32_t owner = ring_world_owner(&world, &key);
    for (uint32_t from = 0; from < peers; from++) {
      unsigned hops;
      assert_int_equal(ring_world_lookup(&world, from, &key, &hops), owner);
      if (hops > worst) worst = hops;
    }
  }
  assert_in_range(worst, 1, 6);
  ring_world_free(&world);
}

/* with no repair at all, a newcomer gets into the tables of those who should know it. */
static void test_newcomer_is_injected_into_finger_tables(void **state) {
  (void)state;
  uint32_t peers = grow(7, 100, 4), wanted = 0, have = 0;
  assert_true(ring_world_settle(&world, SEC(60)));
  ring_world_run(&world, SEC(150));
  assert_int_equal(wrong_fingers(peers), 0);
  for (uint32_t i = 0; i < peers; i++) world.node[i].overlay->fingers_us = SEC(100000);
  ring_world_run(&world, SEC(20));
  const uint32_t via = 0;
  for (unsigned n = 0; n < 10; n++) {
    uint32_t newcomer = ring_world_add(&world, NULL);
    ring_world_join(&world, newcomer, &via, 1);
    ring_world_run(&world, SEC(10));
    const struct peer *self = &world.node[newcomer].self;
    for (uint32_t i = 0; i < newcomer; i++) {
      const struct overlay *o = world.node[i].overlay;
      bool should = false;
      for (unsigned bit = 0; bit < KEY_BITS && !should; bit++) {
        struct key start = key_add_power(&o->self.id, bit);
        should = ring_world_owner(&world, &start) == newcomer &&
                 ring_order(&o->self.id, &start, &o->list.at[o->list.count - 1].id) > 0;
      }
      if (!should) continue;
      wanted++;
      have += peers_find(&o->fingers, &o->self.id, &self->id) != NULL;
    }
  }
  assert_true(wanted > 20);
  assert_true(have * 10 >= wanted * 8);
  ring_world_free(&world);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_range_ends),
      cmocka_unit_test(test_ring_of_one_is_responsible_for_all),
      cmocka_unit_test(test_next_hops_best_first),
      cmocka_unit_test(test_suspects_are_routed_around_probed_and_welcome_again),
      cmocka_unit_test(test_silent_successor_is_stabilised_at_once),
      cmocka_unit_test(test_return_to_the_replica_set_is_told),
      cmocka_unit_test(test_known_peers_are_distinct_and_by_peer_id),
      cmocka_unit_test(test_learnt_peers_keep_to_their_budget),
      cmocka_unit_test(test_dsip_example_ring),
      cmocka_unit_test(test_every_key_is_found_from_every_peer),
      cmocka_unit_test(test_newcomer_is_injected_into_finger_tables),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
