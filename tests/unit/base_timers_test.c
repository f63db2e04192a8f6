/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/rng.h"
#include "base/timers.h"

enum { TIMERS = 64 };

/* The naive model: an array searched for the earliest (at, order of setting). */
struct model {
  bool set;
  usec at;
  uint64_t order;
};

static int model_first(const struct model *model) {
  int best = -1;
  for (int i = 0; i < TIMERS; i++) {
    if (!model[i].set) continue;
    if (best < 0 || model[i].at < model[best].at ||
        (model[i].at == model[best].at && model[i].order < model[best].order))
      best = i;
  }
  return best;
}

static void run_seed(uint8_t seed_byte, usec spread) {
  uint8_t seed[16] = {seed_byte};
  struct rng rng;
  rng_init(&rng, seed);
  struct timers timers = {0};
  struct timer timer[TIMERS];
  memset(timer, 0, sizeof timer);
  for (int i = 0; i < TIMERS; i++) timer[i].owner = (uint64_t)i;
  struct model model[TIMERS] = {0};
  usec now = 0;
  for (uint64_t step = 1; step <= 4000; step++) {
    uint64_t i = rng_below(&rng, TIMERS);
    switch (rng_below(&rng, 4)) {
      case 0:
      case 1:
        model[i] = (struct model){true, now + rng_below(&rng, spread), step};
        timers_set(&timers, &timer[i], model[i].at);
        break;
      case 2:
        model[i].set = false;
        timers_clear(&timers, &timer[i]);
        break;
      default:
        now += rng_below(&rng, spread / 8 + 1);
        for (struct timer *t; (t = timers_pop(&timers, now)) != NULL;) {
          int expected = model_first(model);
          assert_int_equal(t->owner, expected);
          assert_true(model[expected].at <= now);
          assert_false(t->set);
          model[expected].set = false;
        }
        break;
    }
    int first = model_first(model);
    assert_true(timers_deadline(&timers) == (first < 0 ? USEC_NEVER : model[first].at));
    assert_int_equal(timer[i].set, model[i].set);
  }
}

static void test_against_model(void **state) {
  (void)state;
  for (uint8_t seed = 0; seed < 20; seed++) {
    run_seed(seed, 1);
    run_seed(seed, 16);
    run_seed(seed, 100000);
  }
}

static void test_equal_times_in_order_of_setting(void **state) {
  (void)state;
  struct timers timers = {0};
  struct timer timer[5];
  memset(timer, 0, sizeof timer);
  for (int i = 0; i < 5; i++) timers_set(&timers, &timer[i], 10);
  timers_set(&timers, &timer[1], 10); /* set again: now the last */
  assert_null(timers_pop(&timers, 9));
  const int order[] = {0, 2, 3, 4, 1};
  for (int i = 0; i < 5; i++) assert_ptr_equal(timers_pop(&timers, 10), &timer[order[i]]);
  assert_null(timers_pop(&timers, USEC_NEVER));
  assert_true(timers_deadline(&timers) == USEC_NEVER);
  timers_clear(&timers, &timer[0]);
}

/* A heap of a hundred thousand equal children must not exhaust the stack when its root goes. */
static void test_wide_heap(void **state) {
  (void)state;
  enum { MANY = 100000 };
  static struct timer timer[MANY];
  struct timers timers = {0};
  for (usec i = 0; i < MANY; i++) timers_set(&timers, &timer[i], i);
  for (usec i = 0; i < MANY; i++) assert_ptr_equal(timers_pop(&timers, MANY), &timer[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_model),
      cmocka_unit_test(test_equal_times_in_order_of_setting),
      cmocka_unit_test(test_wide_heap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
