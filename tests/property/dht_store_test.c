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
  }
  assert_true(refused > 0);
  store_free(&store);
  assert_int_equal(memory.blocks, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_array)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
