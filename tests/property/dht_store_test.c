/* SPDX-License-Identifier: BSD-2-Clause */
/* The ordered store against a sorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dht/store.h"
#include "support/memory.h"

#define IDS 200u

static struct record_id id_of(unsigned n) {
  struct record_id id = {.key = {{(uint8_t)(n / 20)}}, .owner = {{(uint8_t)(n / 5 % 4)}}};
  id.nonce.byte[19] = (uint8_t)(n % 5);
  return id;
}

static struct entry *entries[IDS]; /* by order; NULL: not held */

static void check(const struct store *store) {
  uint32_t rank = 0, live = 0, durable = 0;
  struct entry *next[IDS + 1] = {NULL}, *next_durable[IDS + 1] = {NULL};
  for (unsigned n = IDS; n-- > 0;) {
    next[n] = entries[n] != NULL ? entries[n] : next[n + 1];
    next_durable[n] = entries[n] != NULL && entries[n]->durable ? entries[n] : next_durable[n + 1];
  }
  for (unsigned n = 0; n < IDS; n++) {
    struct record_id id = id_of(n);
    assert_ptr_equal(store_find(store, &id), entries[n]);
    assert_int_equal(store_rank(store, &id, false), rank);
    assert_int_equal(store_rank(store, &id, true), live);
    assert_ptr_equal(store_after(store, &id), next[n + 1]);
    struct record_id end = id_of(n / 20 * 20 + 19);
    struct entry *in = next_durable[n + 1];
    if (in != NULL && key_compare(&in->record.key, &end.key) > 0) in = NULL;
    assert_ptr_equal(store_next_in(store, &id.key, &id.key, &id), in);
    if (entries[n] == NULL) continue;
    assert_ptr_equal(store_at(store, rank), entries[n]);
    rank++;
    live += entries[n]->counts;
    durable += entries[n]->durable;
  }
  assert_null(store_at(store, rank));
  assert_int_equal(store->records, durable);
}

/* Of any part, with any of them left out: sums and counts add up over cuts, and say who is there.
 */
static void check_digests(const struct store *store, struct rng *rng, unsigned rounds) {
  unsigned a = (unsigned)rng_below(rng, IDS), b = (unsigned)rng_below(rng, IDS), budget = 1000;
  msec_wall until = rng_below(rng, 2) == 0 ? 0 : rng_below(rng, rounds + 1);
  struct sync_part part = {.has_after = rng_below(rng, 4) > 0, .after = id_of(a < b ? a : b)};
  part.upto = id_of(a < b ? b : a);
  store_digest(store, &part, until, &budget);
  uint32_t count = 0;
  uint64_t sum = 0;
  for (unsigned n = 0; n < IDS; n++) {
    struct record_id id = id_of(n);
    if (!sync_part_has(&part, &id) || entries[n] == NULL || !entries[n]->durable) continue;
    if (entries[n]->record.floor <= until) continue;
    count++;
    sum += entries[n]->mark;
  }
  assert_true(part.known);
  assert_int_equal(part.count, count);
  assert_true(part.digest == sum);
  budget = 0;
  store_digest(store, &part, until, &budget);
  assert_true(!part.known || store->root == NULL);
}

/* whatever tells two records from each other shows in the mark. */
static void test_marks(void **state) {
  struct test_memory memory;
  struct store store;
  const uint8_t seed[16] = {6};
  struct record r[6] = {0};
  uint64_t mark[6];
  (void)state;
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  store_init(&store, &memory.memory, 150, seed);
  r[1].version = 1;
  r[2].tombstone = true;
  r[3].digest.byte[19] = 1;
  r[4].nonce.byte[19] = 1;
  r[5].key.byte[0] = 1;
  for (unsigned i = 0; i < 6; i++) {
    struct record_id id = record_id_of(&r[i]);
    struct entry *e = store_find(&store, &id);
    if (e == NULL) e = store_insert(&store, &id);
    store_set(&store, e, &r[i]);
    mark[i] = e->mark;
    for (unsigned k = 0; k < i; k++) assert_true(mark[k] != mark[i]);
  }
  r[5].floor = 77; /* may be later at one peer: not in it */
  struct record_id id = record_id_of(&r[5]);
  store_set(&store, store_find(&store, &id), &r[5]);
  assert_true(store_find(&store, &id)->mark == mark[5]);
  store_set_floor(&store, store_find(&store, &id), 99);
  struct sync_part all = {.upto = id};
  unsigned budget = 100;
  store_digest(&store, &all, 98, &budget);
  assert_int_equal(all.count, 1);
  store_digest(&store, &all, 99, &budget);
  assert_int_equal(all.count, 0);
  store_free(&store);
}

static void test_against_array(void **state) {
  struct test_memory memory;
  struct store store;
  struct rng rng;
  const uint8_t seed[16] = {6};
  (void)state;
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  rng_init(&rng, seed);
  store_init(&store, &memory.memory, 150, seed);
  uint64_t bytes = 0;
  unsigned held = 0, refused = 0;
  for (unsigned round = 0; round < 4000; round++) {
    unsigned n = (unsigned)rng_below(&rng, IDS);
    struct record_id id = id_of(n);
    if (entries[n] == NULL) {
      entries[n] = store_insert(&store, &id);
      assert_true((entries[n] == NULL) == (held == 150));
      held += entries[n] != NULL;
      refused += entries[n] == NULL;
    } else if (rng_below(&rng, 3) == 0) {
      if (entries[n]->durable) bytes -= entries[n]->record.bytes.len;
      store_remove(&store, entries[n]);
      entries[n] = NULL;
      held--;
    } else {
      size_t len = (size_t)rng_between(&rng, 1, 50);
      struct record r = {.key = id.key, .owner = id.owner, .nonce = id.nonce, .floor = round};
      r.bytes = slice_of(memory_take(&memory.memory, len), len);
      if (entries[n]->durable) bytes -= entries[n]->record.bytes.len;
      store_set(&store, entries[n], &r);
      store_set_counts(&store, entries[n], rng_below(&rng, 2) == 0);
      bytes += len;
    }
    assert_true(store.bytes == bytes);
    if (round % 20 == 0) check(&store);
    check_digests(&store, &rng, round);
  }
  assert_true(refused > 0);
  store_free(&store);
  assert_int_equal(memory.blocks, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_array),
                                     cmocka_unit_test(test_marks)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
