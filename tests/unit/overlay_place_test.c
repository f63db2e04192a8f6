/* SPDX-License-Identifier: BSD-2-Clause */
/* A place in a ring that is there already: all pointers are those of the ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/one_overlay.h"

#define PEERS 60u
#define SUCCESSORS 3u

static struct peer ring[PEERS];
static struct one_overlay one;

/* Peers at 4, 8, 12 ... 240; the one at this index of them is placed. */
static bool place(uint32_t at) {
  for (uint32_t i = 0; i < PEERS; i++) ring[i] = one_peer((uint8_t)(4 * (i + 1)));
  one_init(&one, ring[at].id.byte[0], SUCCESSORS);
  return overlay_place(one.overlay, one.now, ring, PEERS, at, &ring[0].at);
}

static void test_neighbours_are_those_of_the_ring(void **state) {
  (void)state;
  const struct {
    uint32_t at;
    uint8_t predecessor;
    const char *list;
  } rows[] = {{0, 240, "8 12 16"}, {30, 120, "128 132 136"}, {59, 236, "4 8 12"}};
  for (unsigned i = 0; i < 3; i++) {
    assert_true(place(rows[i].at));
    assert_true(overlay_is_member(one.overlay));
    assert_int_equal(overlay_predecessor(one.overlay)->id.byte[0], rows[i].predecessor);
    assert_string_equal(one_list(&one), rows[i].list);
    one_free(&one);
  }
}

static void test_fingers_are_the_first_beyond_each_power(void **state) {
  (void)state;
  assert_true(place(0)); /* at 4: beyond 16 those at or after 4 + 16, 4 + 32, 4 + 64, 4 + 128 */
  const uint8_t wanted[] = {20, 36, 68, 132};
  assert_int_equal(one.overlay->fingers.count, 4);
  for (unsigned i = 0; i < 4; i++)
    assert_int_equal(one.overlay->fingers.at[i].id.byte[0], wanted[i]);
  one_free(&one);
}

static void test_work_is_spread_over_the_periods(void **state) {
  (void)state;
  assert_true(place(7));
  usec due = overlay_deadline(one.overlay);
  assert_true(due >= one.now && due < one.now + SEC(5));
  one_free(&one);
}

static void test_no_memory_is_told(void **state) {
  (void)state;
  for (uint32_t i = 0; i < PEERS; i++) ring[i] = one_peer((uint8_t)(4 * (i + 1)));
  one_init(&one, 4, SUCCESSORS);
  one.memory.fail_after = one.memory.taken;
  assert_false(overlay_place(one.overlay, one.now, ring, PEERS, 0, &ring[0].at));
  one_free(&one);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_neighbours_are_those_of_the_ring),
      cmocka_unit_test(test_fingers_are_the_first_beyond_each_power),
      cmocka_unit_test(test_work_is_spread_over_the_periods),
      cmocka_unit_test(test_no_memory_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
