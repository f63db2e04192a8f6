/* SPDX-License-Identifier: BSD-2-Clause */
/* Whom the simulator's script picks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/ledger.h"

/* A joiner that is told of nobody begins a ring that nothing ever joins to the other: it must be
 * told of a peer that stands still just now, but not of one that is gone or leaves. */
static void test_a_joiner_is_told_of_whoever_is_there(void **state) {
  (void)state;
  const uint8_t seed[16] = {1};
  struct rng rng;
  struct sim_peer peer[3] = {{.state = PEER_UP, .paused_until = SEC(9)},
                             {.state = PEER_UP, .leaving = true}};
  struct world world = {.now = SEC(5), .peer = peer, .peer_count = 3};
  rng_init(&rng, seed);
  for (unsigned i = 0; i < 100; i++) assert_int_equal(truth_random_address(&world, &rng), 0);
  assert_int_equal(truth_random_up(&world, &rng), SIM_NONE);
  world.now = SEC(9);
  assert_int_equal(truth_random_up(&world, &rng), 0);
  peer[0].leaving = true;
  assert_int_equal(truth_random_address(&world, &rng), SIM_NONE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_joiner_is_told_of_whoever_is_there),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
