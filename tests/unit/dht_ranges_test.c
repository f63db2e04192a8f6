/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of keys, against a table of 256 cells: one for each first byte of a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "dht/ranges.h"
#include "support/memory.h"

static struct key low(unsigned cell) { return (struct key){{(uint8_t)cell}}; }
static struct key high(unsigned cell) {
  struct key k;
  memset(&k, 0xFF, sizeof k);
  k.byte[0] = (uint8_t)cell;
  return k;
}

static void assert_same(const struct ranges *set, const bool *cell) {
  for (unsigned c = 0; c < 256; c++) {
    struct key a = low(c), b = high(c);
    assert_true(ranges_has(set, &a) == cell[c] && ranges_has(set, &b) == cell[c]);
  }
  for (unsigned i = 0; i + 1 < set->count; i++) { /* sorted, and apart from each other */
    struct key next = key_successor(&set->item[i].last);
    assert_true(key_compare(&next, &set->item[i + 1].first) < 0);
  }
}

static unsigned runs(const bool *cell) {
  unsigned count = 0;
  for (unsigned c = 0; c < 256; c++) count += cell[c] && (c == 0 || !cell[c - 1]);
  return count;
}

static void test_against_cells(void **state) {
  const uint8_t seed[16] = {4};
  struct rng rng;
  bool cell[256] = {false};
  struct ranges set = {0};
  unsigned refused = 0;
  (void)state;
  rng_init(&rng, seed);
  for (unsigned round = 0; round < 20000; round++) {
    unsigned a = (unsigned)rng_below(&rng, 256), width = (unsigned)rng_below(&rng, 20);
    unsigned b = a + width > 255 ? 255 : a + width;
    bool add = rng_below(&rng, 5) < 3, next[256];
    struct interval interval = {low(a), high(b)};
    memcpy(next, cell, sizeof next);
    for (unsigned c = a; c <= b; c++) next[c] = add;
    bool ok = add ? ranges_add(&set, &interval) : ranges_subtract(&set, &interval);
    assert_true(ok == (runs(next) <= RANGES_MAX));
    if (ok) memcpy(cell, next, sizeof cell);
    refused += !ok;
    assert_same(&set, cell);
    bool covered = true;
    for (unsigned c = a; c <= b; c++) covered = covered && cell[c];
    assert_true(ranges_cover(&set, &interval) == covered);
  }
  assert_true(refused > 0);
}

static void random_set(struct rng *rng, struct ranges *set, bool *cell) {
  set->count = 0;
  memset(cell, 0, 256);
  for (unsigned i = 0; i < 6; i++) {
    unsigned a = (unsigned)rng_below(rng, 256), b = a + (unsigned)rng_below(rng, 256 - a);
    if (i > 2) b = a;
    assert_true(ranges_add(set, &(struct interval){low(a), high(b)}));
    for (unsigned c = a; c <= b; c++) cell[c] = true;
  }
}

static void test_minus_and_both(void **state) {
  const uint8_t seed[16] = {5};
  struct rng rng;
  (void)state;
  rng_init(&rng, seed);
  for (unsigned round = 0; round < 3000; round++) {
    struct ranges a, b, out;
    bool in_a[256], in_b[256], expected[256];
    random_set(&rng, &a, in_a);
    random_set(&rng, &b, in_b);
    ranges_minus(&out, &a, &b);
    for (unsigned c = 0; c < 256; c++) expected[c] = in_a[c] && !in_b[c];
    assert_same(&out, expected);
    ranges_both(&out, &a, &b);
    for (unsigned c = 0; c < 256; c++) expected[c] = in_a[c] && in_b[c];
    assert_same(&out, expected);
    ranges_minus(&a, &a, &a);
    assert_int_equal(a.count, 0);
  }
}

/* What does not fit is left out, never added. */
static void test_minus_too_many(void **state) {
  struct ranges all, holes = {0}, out;
  struct key zero = {{0}};
  (void)state;
  ranges_of(&all, &zero, &zero);
  for (unsigned i = 0; i < RANGES_MAX; i++)
    assert_true(ranges_add(&holes, &(struct interval){low(10 * i + 5), high(10 * i + 5)}));
  ranges_minus(&out, &all, &holes);
  assert_true(out.count <= RANGES_MAX);
  for (unsigned c = 0; c < 256; c++) {
    struct key k = low(c);
    if (ranges_has(&out, &k)) assert_false(ranges_has(&holes, &k));
  }
}

static void test_cut(void **state) {
  struct interval part[2];
  struct key zero = {{0}}, last = high(255), five = low(5), nine = low(9);
  (void)state;
  assert_int_equal(interval_cut(&five, &nine, part), 1);
  assert_false(interval_has(&part[0], &five));
  assert_true(interval_has(&part[0], &nine));
  struct key from = interval_from(&part[0]);
  assert_true(key_equal(&from, &five));
  assert_int_equal(interval_cut(&nine, &five, part), 2); /* through zero */
  assert_true(interval_has(&part[0], &last) && interval_has(&part[1], &zero));
  assert_true(interval_has(&part[1], &five) && !interval_has(&part[0], &nine));
  /* the whole ring, from anywhere */
  const struct key *ends[] = {&zero, &last, &five};
  for (unsigned i = 0; i < 3; i++) {
    struct ranges all;
    ranges_of(&all, ends[i], ends[i]);
    assert_int_equal(all.count, 1);
    assert_true(key_equal(&all.item[0].first, &zero) && key_equal(&all.item[0].last, &last));
  }
  assert_int_equal(interval_cut(&last, &zero, part), 1); /* one key alone */
  assert_true(key_equal(&part[0].first, &zero) && key_equal(&part[0].last, &zero));
  from = interval_from(&part[0]);
  assert_true(key_equal(&from, &last));
}

/* All that was added and not removed is there, with any allocation failing; more only where there
 * were too many intervals or no memory. */
static void test_parts_lose_nothing(void **state) {
  const uint8_t seed[16] = {6};
  struct rng rng;
  (void)state;
  rng_init(&rng, seed);
  for (unsigned round = 0; round < 400; round++) {
    struct test_memory m;
    test_memory_init(&m, TEST_MEMORY_UNLIMITED);
    m.fail_once = round % 4;
    struct parts parts = {0};
    bool cell[256] = {false}, exact = true;
    for (unsigned i = 0; i < 40; i++) {
      if (rng_below(&rng, 3) == 0 && parts.count > 0) {
        const struct interval first = *parts_first(&parts);
        parts_remove_first(&parts, &m.memory);
        for (unsigned c = 0; c < 256; c++) {
          struct key k = low(c);
          if (interval_has(&first, &k)) cell[c] = false;
        }
      } else {
        unsigned c = (unsigned)rng_below(&rng, 256);
        cell[c] = true;
        parts_add(&parts, &m.memory, &(struct interval){low(c), high(c)});
      }
      exact = exact && runs(cell) <= RANGES_MAX && (m.fail_once == 0 || m.asked < m.fail_once);
      if (exact) assert_int_equal(parts.count, runs(cell));
      assert_true(m.bytes <= (parts.count > 1 ? RANGES_MAX * sizeof(struct interval) : 0));
      struct ranges set = {.count = parts.count};
      if (set.count > 0) memcpy(set.item, parts_first(&parts), set.count * sizeof *set.item);
      for (unsigned c2 = 0; c2 < 256; c2++) {
        struct key k = low(c2);
        if (cell[c2]) assert_true(ranges_has(&set, &k));
        if (exact) assert_true(ranges_has(&set, &k) == cell[c2]);
      }
    }
    parts_clear(&parts, &m.memory);
    assert_null(parts_first(&parts));
    assert_int_equal(m.blocks, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_cells),      cmocka_unit_test(test_minus_and_both),
      cmocka_unit_test(test_minus_too_many),     cmocka_unit_test(test_cut),
      cmocka_unit_test(test_parts_lose_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
