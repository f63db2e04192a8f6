/* SPDX-License-Identifier: BSD-2-Clause */
/* Random joins, failures, leaves and returns: Zave's invariant after every event while her failure
 * assumption holds, her Ideal state within a bound afterwards, and every key at its owner
 * (R-5.2, R-5.4, R-5.6, R-5.7, R-5.12 to R-5.16, R-5.19). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/ring_world.h"

#define STEPS 60u
#define SEEDS 40u

static struct ring_world world;

struct weather {
  uint32_t peers;
  unsigned successors;
  unsigned loss_permille;
  bool assume; /* fail only where the failure assumption holds, and then check every event */
};

static void start_again(uint32_t i, const struct weather *weather) {
  uint32_t via[BOOTSTRAPS_MAX];
  unsigned count = 0;
  for (uint32_t v = 0; v < weather->peers && count < BOOTSTRAPS_MAX; v++) {
    if (v != i) via[count++] = v;
  }
  ring_world_join(&world, i, via, count);
}

static void stop(struct rng *rng, uint32_t i, const struct weather *weather) {
  if (ring_world_members(&world) < 3) return;
  if (weather->assume && !ring_world_may_fail(&world, i)) return;
  if (rng_below(rng, 2) == 0) {
    ring_world_leave(&world, i);
    ring_world_run(&world, MSEC(rng_below(rng, 300)));
  }
  ring_world_kill(&world, i);
}

/* Growing, then changing, then shrinking. */
static void change(struct rng *rng, unsigned step, const struct weather *weather) {
  uint32_t i = (uint32_t)rng_below(rng, weather->peers);
  uint64_t dice = rng_below(rng, 10);
  unsigned phase = step / (STEPS / 3);
  bool running = world.node[i].overlay != NULL;
  if (!running && (phase < 2 || dice < 3)) {
    start_again(i, weather);
  } else if (running && overlay_is_member(world.node[i].overlay) && (phase > 0 || dice < 2)) {
    stop(rng, i, weather);
  }
  ring_world_run(&world, MSEC(rng_below(rng, dice < 3 ? 50 : dice < 7 ? 400 : 3000)));
}

static void check_lookups(struct rng *rng, const struct weather *weather) {
  for (unsigned n = 0; n < 100; n++) {
    struct key key = ring_world_random_key(&world);
    uint32_t from;
    do {
      from = (uint32_t)rng_below(rng, weather->peers);
    } while (world.node[from].overlay == NULL);
    unsigned hops;
    assert_int_equal(ring_world_lookup(&world, from, &key, &hops), ring_world_owner(&world, &key));
    assert_in_range(hops, 0, 12);
  }
}

static void live_through(uint64_t seed, const struct weather *weather) {
  struct rng rng;
  uint8_t bytes[16] = {(uint8_t)seed, (uint8_t)(seed >> 8), (uint8_t)weather->peers};
  rng_init(&rng, bytes);
  ring_world_init(&world, seed);
  world.successors = weather->successors;
  world.loss_permille = weather->loss_permille;
  world.learnt_max = seed % 3 == 0 ? 16 : 0;
  world.check_every = weather->assume ? 1 : 0;
  for (uint32_t i = 0; i < weather->peers; i++) ring_world_add(&world, NULL);
  ring_world_create(&world, 0);
  for (unsigned step = 0; step < STEPS && world.violation == NULL; step++) {
    change(&rng, step, weather);
    if (weather->assume) continue;
    world.violation = ring_world_violation(&world, true);
  }
  world.loss_permille = 0;
  bool settled = ring_world_settle(&world, SEC(180));
  if (world.violation != NULL || !settled) {
    print_error("seed %lu, %u peers, r = %u: %s, peer %u\n", (unsigned long)seed, weather->peers,
                weather->successors,
                world.violation != NULL ? world.violation : ring_world_not_ideal(&world),
                world.violation_at);
  }
  assert_null(world.violation);
  assert_true(settled);
  check_lookups(&rng, weather);
  ring_world_free(&world);
}

static void live_through_all(const struct weather *weather) {
  for (uint64_t seed = 0; seed < SEEDS; seed++) live_through(seed, weather);
}

static void test_tiny_rings(void **state) {
  (void)state;
  live_through_all(&(struct weather){4, 2, 0, true});
  live_through_all(&(struct weather){6, 2, 0, true});
}

static void test_through_2r_with_two_successors(void **state) {
  (void)state;
  live_through_all(&(struct weather){9, 2, 0, true});
}

static void test_through_2r_with_three_successors(void **state) {
  (void)state;
  live_through_all(&(struct weather){13, 3, 0, true});
}

static void test_through_2r_with_eight_successors(void **state) {
  (void)state;
  live_through_all(&(struct weather){24, 8, 0, true});
}

static void test_lossy_links(void **state) {
  (void)state;
  live_through_all(&(struct weather){10, 2, 50, false});
  live_through_all(&(struct weather){24, 8, 100, false});
}

/* Beyond what any proof promises: it comes together again all the same. */
static void test_failures_beyond_the_assumption(void **state) {
  (void)state;
  live_through_all(&(struct weather){12, 3, 0, false});
}

static void test_one_seed_is_one_history(void **state) {
  (void)state;
  uint64_t events[2], calls[2];
  for (int i = 0; i < 2; i++) {
    const uint32_t via = 0;
    ring_world_init(&world, 77);
    for (int n = 0; n < 20; n++) ring_world_add(&world, NULL);
    ring_world_create(&world, 0);
    for (uint32_t n = 1; n < 20; n++) ring_world_join(&world, n, &via, 1);
    ring_world_run(&world, SEC(60));
    events[i] = world.events;
    calls[i] = world.calls;
    ring_world_free(&world);
  }
  assert_int_equal(events[0], events[1]);
  assert_int_equal(calls[0], calls[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tiny_rings),
      cmocka_unit_test(test_through_2r_with_two_successors),
      cmocka_unit_test(test_through_2r_with_three_successors),
      cmocka_unit_test(test_through_2r_with_eight_successors),
      cmocka_unit_test(test_lossy_links),
      cmocka_unit_test(test_failures_beyond_the_assumption),
      cmocka_unit_test(test_one_seed_is_one_history),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
