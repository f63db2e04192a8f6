/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulator's queue: the order of (time, sequence), whatever was pushed when, near or
 * far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "sim/queue.h"

#define MANY 20000u
#define SLOT_US 4096u
#define ROUND_US ((usec)SLOT_US * QUEUE_SLOTS) /* once round the wheel: 67 s */

static struct queue queue;

static void push(usec at, uint32_t peer) { queue_push(&queue, at, peer, NULL); }

static void expect(usec at, uint32_t peer) {
  struct queue_item item;
  assert_true(queue_pop(&queue, USEC_NEVER / 2, &item));
  assert_int_equal(item.at, at);
  assert_int_equal(item.peer, peer);
  free(item.event);
}

static void expect_none(usec end) {
  struct queue_item item;
  assert_false(queue_pop(&queue, end, &item));
}

static void test_by_time(void **state) {
  (void)state;
  expect_none(SEC(1));
  push(SEC(3), 3);
  push(SEC(1), 1);
  push(SEC(2), 2);
  expect_none(SEC(1) - 1);
  expect(SEC(1), 1);
  expect(SEC(2), 2);
  expect(SEC(3), 3);
  expect_none(SEC(9));
  queue_free(&queue);
}

/* At one time, in the order in which they were pushed: in the heap, in the wheel, and where some
 * went through the wheel and some did not. */
static void test_ties(void **state) {
  (void)state;
  const usec far = SEC(10);
  push(SEC(1), 100);
  for (uint32_t i = 0; i < 50; i++) push(far, i);
  expect(SEC(1), 100);
  expect(far, 0); /* the rest is in the heap by now */
  for (uint32_t i = 50; i < 100; i++) push(far, i);
  for (uint32_t i = 1; i < 100; i++) expect(far, i);
  queue_free(&queue);
}

static void test_far_future(void **state) {
  (void)state;
  push(1, 0);
  push(2 * ROUND_US + 5, 5); /* the same slot of the wheel, in later rounds of it */
  push(ROUND_US + 5, 4);
  push(5, 1);
  push(SLOT_US - 1, 2);
  push(SLOT_US, 3);
  push(300 * ROUND_US, 6);
  expect(1, 0);
  expect(5, 1);
  expect(SLOT_US - 1, 2);
  expect(SLOT_US, 3);
  expect_none(ROUND_US + 4);
  expect(ROUND_US + 5, 4);
  expect(2 * ROUND_US + 5, 5);
  expect(300 * ROUND_US, 6);
  queue_free(&queue);
}

/* What is pushed for a time that has gone by comes next. */
static void test_the_past(void **state) {
  (void)state;
  push(SEC(5), 1);
  push(SEC(50), 4);
  expect(SEC(5), 1);
  push(SEC(6), 3);
  push(SEC(2), 2);
  expect(SEC(2), 2);
  expect(SEC(6), 3);
  expect(SEC(50), 4);
  queue_free(&queue);
}

/* Against a plain rule: never back in time, at one time never back in sequence, all come out. */
static void test_many(void **state) {
  (void)state;
  const uint8_t seed[16] = {7};
  struct rng rng;
  rng_init(&rng, seed);
  static bool seen[MANY];
  uint32_t pushed = 0, popped = 0;
  struct queue_item item, last = {0};
  for (usec now = 0; popped < MANY;) {
    for (unsigned i = 0; i < 40 && pushed < MANY; i++) {
      usec span = rng_below(&rng, 4) == 0 ? 3 * ROUND_US : SEC(1);
      usec at = now + rng_below(&rng, span) / 1000 * 1000; /* many ties */
      queue_push(&queue, at, pushed++, i % 2 == 0 ? event_new(EVENT_ACT, SLICE("x")) : NULL);
    }
    now += rng_below(&rng, SEC(2));
    while (queue_pop(&queue, now, &item)) {
      assert_true(item.at <= now && item.at >= last.at);
      assert_true(item.at > last.at || popped == 0 || item.sequence > last.sequence);
      assert_false(seen[item.peer]);
      seen[item.peer] = true;
      free(item.event);
      last = item;
      popped++;
    }
  }
  assert_int_equal(queue.size, 0);
  queue_free(&queue);
}

/* Events that nobody waited for are given back (found by the sanitizer). */
static void test_what_is_left_is_freed(void **state) {
  (void)state;
  const usec at[] = {0, SEC(1), SEC(60), 2 * ROUND_US};
  for (unsigned i = 0; i < 4; i++)
    queue_push(&queue, at[i], i, event_new(EVENT_MESSAGE, SLICE("bytes")));
  struct queue_item item;
  assert_true(queue_pop(&queue, SEC(1), &item));
  assert_int_equal(item.event->len, 5);
  assert_memory_equal(item.event->bytes, "bytes", 5);
  free(item.event);
  queue_free(&queue);
  assert_int_equal(queue.size, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_time),    cmocka_unit_test(test_ties),
      cmocka_unit_test(test_far_future), cmocka_unit_test(test_the_past),
      cmocka_unit_test(test_many),       cmocka_unit_test(test_what_is_left_is_freed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
