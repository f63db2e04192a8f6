/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pool.h"
#include "base/rng.h"
#include "support/memory.h"

struct thing {
  uint64_t number;
  char text[20];
};

static void check_all(struct pool *pool, const struct handle *handles, uint32_t count) {
  uint32_t index = 0;
  uint32_t seen = 0;
  for (struct thing *t; (t = pool_next(pool, &index)) != NULL; seen++)
    assert_true(handle_same(pool_handle_of(pool, t), handles[t->number]));
  assert_int_equal(seen, count);
}

/* Fill to the limit, one more is refused, give all back, and again. */
static void test_every_limit(void **state) {
  (void)state;
  for (uint32_t limit = 0; limit <= 20; limit++) {
    for (uint32_t chunk = 1; chunk <= 9; chunk++) {
      struct test_memory m;
      test_memory_init(&m, TEST_MEMORY_UNLIMITED);
      struct pool pool;
      pool_init(&pool, &m.memory, sizeof(struct thing), chunk, limit);
      assert_int_equal(m.blocks, 0);
      struct handle handles[20];
      for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < limit; i++) {
          struct thing *t = pool_take(&pool, &handles[i]);
          assert_non_null(t);
          assert_int_equal(t->number, 0);
          assert_int_equal((uintptr_t)t % _Alignof(uint64_t), 0);
          t->number = i;
        }
        struct handle extra = HANDLE_NONE;
        assert_null(pool_take(&pool, &extra));
        assert_int_equal(pool.used, limit);
        check_all(&pool, handles, limit);
        for (uint32_t i = 0; i < limit; i++) {
          struct thing *t = pool_at(&pool, handles[i]);
          assert_non_null(t);
          assert_int_equal(t->number, i);
          assert_ptr_equal(pool_at_index(&pool, handles[i].index), t);
          pool_give(&pool, handles[i]);
          assert_null(pool_at(&pool, handles[i]));
          assert_null(pool_at_index(&pool, handles[i].index));
        }
        check_all(&pool, handles, 0);
      }
      assert_int_equal(pool.used, 0);
      assert_int_equal(pool.used_max, limit);
      pool_free(&pool);
      assert_int_equal(m.blocks, 0);
    }
  }
}

/* Each allocation fails once: one object is refused, then all can be had. */
static void test_allocation_failure(void **state) {
  (void)state;
  for (uint64_t n = 1;; n++) {
    struct test_memory m;
    test_memory_init(&m, TEST_MEMORY_UNLIMITED);
    m.fail_once = n;
    struct pool pool;
    pool_init(&pool, &m.memory, 100, 8, 20);
    struct handle handles[20];
    uint32_t got = 0, refused = 0;
    while (got < 20) {
      if (pool_take(&pool, &handles[got]) != NULL) {
        assert_int_equal(handles[got].index, got);
        got++;
      } else {
        refused++;
      }
    }
    bool reached = m.asked >= n;
    assert_int_equal(refused, reached);
    for (uint32_t i = 0; i < 20; i++) assert_non_null(pool_at(&pool, handles[i]));
    pool_free(&pool);
    assert_int_equal(m.blocks, 0);
    assert_int_equal(m.bytes, 0);
    if (!reached) break;
  }
}

/* What a pool takes follows what lies in it, and old handles stay dead. */
static void test_chunks_grow_and_are_given_back(void **state) {
  (void)state;
  struct test_memory m;
  test_memory_init(&m, TEST_MEMORY_UNLIMITED);
  struct pool pool;
  pool_init(&pool, &m.memory, 504, 64, 1000);
  struct handle handle[300], one, two;
  assert_non_null(pool_take(&pool, &handle[0]));
  assert_in_range(m.bytes, 512, 512 + 128);
  for (uint32_t i = 1; i < 300; i++) {
    assert_non_null(pool_take(&pool, &handle[i]));
    uint32_t used = i + 1;
    assert_in_range(m.bytes, used * 512, (used < 64 ? 2 * used : used + 64) * 512 + 512 * 16);
  }
  size_t full = m.bytes;
  for (uint32_t i = 0; i < 300; i++)
    if (i != 70) pool_give(&pool, handle[i]);
  pool_trim(&pool);
  assert_in_range(m.bytes, 300 * 512, full); /* they were in use a moment ago */
  assert_non_null(pool_take(&pool, &one));
  assert_int_equal(one.index, 0);
  pool_trim(&pool);
  assert_in_range(m.bytes, 65 * 512, 65 * 512 + 4096); /* the chunks that 0 and 70 lie in */
  assert_non_null(pool_at(&pool, one));
  assert_non_null(pool_at(&pool, handle[70]));
  for (uint32_t i = 0; i < 300; i++)
    if (i != 70) assert_null(pool_at(&pool, handle[i]));
  for (uint32_t i = 1; i < 300; i++) {
    if (i == 70) continue;
    char *object = pool_take(&pool, &two);
    assert_non_null(object);
    assert_int_equal(two.index, i);
    assert_true(two.generation > handle[i].generation);
    assert_null(pool_at(&pool, handle[i]));
    assert_ptr_equal(pool_at(&pool, two), object);
    assert_true(handle_same(pool_handle_of(&pool, object), two));
    for (unsigned k = 0; k < 504; k++) assert_int_equal(object[k], 0);
  }
  assert_in_range(m.bytes, 300 * 512, full);
  pool_free(&pool);
  assert_int_equal(m.blocks, 0);
}

/* Against a list of what was taken, with failures and at random. */
static void test_trimming_at_random(void **state) {
  (void)state;
  const uint8_t seed[16] = {7};
  struct rng rng;
  struct test_memory m;
  struct pool pool;
  static struct handle taken[400], stale[4000];
  uint32_t count = 0, stale_count = 0;
  rng_init(&rng, seed);
  test_memory_init(&m, TEST_MEMORY_UNLIMITED);
  pool_init(&pool, &m.memory, sizeof(struct thing), 16, 400);
  for (unsigned round = 0; round < 20000; round++) {
    bool filling = round / 1000 % 2 == 0;
    if (rng_below(&rng, 50) == 0) m.fail_once = m.asked + 1;
    if (rng_below(&rng, 100) == 0) {
      pool_trim(&pool);
    } else if (rng_below(&rng, 10) < (filling ? 8 : 2)) {
      struct thing *thing = pool_take(&pool, &taken[count]);
      if (thing != NULL) thing->number = round;
      if (thing != NULL) memcpy(thing->text, &taken[count], sizeof taken[count]);
      count += thing != NULL;
    } else if (count > 0) {
      uint32_t i = (uint32_t)rng_below(&rng, count);
      pool_give(&pool, taken[i]);
      stale[stale_count++ % 4000] = taken[i];
      taken[i] = taken[--count];
    }
    assert_int_equal(pool.used, count);
    if (round % 16 != 0) continue;
    for (uint32_t i = 0; i < count; i++) {
      struct thing *thing = pool_at(&pool, taken[i]);
      assert_non_null(thing);
      assert_memory_equal(thing->text, &taken[i], sizeof taken[i]);
    }
    for (uint32_t i = 0; i < stale_count && i < 4000; i++) assert_null(pool_at(&pool, stale[i]));
  }
  pool_free(&pool);
  assert_int_equal(m.blocks, 0);
}

static void test_a_chunk_that_was_given_back_can_fail_to_come_again(void **state) {
  (void)state;
  struct test_memory m;
  test_memory_init(&m, TEST_MEMORY_UNLIMITED);
  struct pool pool;
  pool_init(&pool, &m.memory, 504, 64, 1000);
  struct handle handle;
  assert_non_null(pool_take(&pool, &handle));
  pool_give(&pool, handle);
  pool_trim(&pool);
  pool_trim(&pool);
  assert_null(pool_at_index(&pool, 0));
  m.fail_once = m.asked + 1;
  assert_null(pool_take(&pool, &handle));
  assert_int_equal(pool.used, 0);
  assert_non_null(pool_take(&pool, &handle));
  assert_int_equal(handle.index, 0);
  pool_free(&pool);
  assert_int_equal(m.blocks, 0);
}

static void test_stale_handles(void **state) {
  (void)state;
  struct test_memory m;
  test_memory_init(&m, TEST_MEMORY_UNLIMITED);
  struct pool pool;
  pool_init(&pool, &m.memory, 1, 4, 4);
  assert_null(pool_at(&pool, HANDLE_NONE));
  assert_null(pool_at(&pool, (struct handle){3, 1}));
  assert_null(pool_at(&pool, (struct handle){UINT32_MAX, 1}));
  struct handle old, new;
  void *first = pool_take(&pool, &old);
  /* The next slot of the chunk was never used: what lies there (0xa5) names no object. */
  assert_null(pool_at(&pool, (struct handle){1, 0xa5a5a5a5}));
  assert_null(pool_at_index(&pool, 1));
  pool_give(&pool, old);
  void *second = pool_take(&pool, &new);
  assert_ptr_equal(first, second);
  assert_null(pool_at(&pool, old));
  assert_ptr_equal(pool_at(&pool, new), second);
  assert_true(handle_same(handle_unpack(handle_pack(new)), new));
  assert_null(pool_at(&pool, (struct handle){new.index, new.generation + 1}));
  pool_free(&pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_limit),
      cmocka_unit_test(test_allocation_failure),
      cmocka_unit_test(test_chunks_grow_and_are_given_back),
      cmocka_unit_test(test_trimming_at_random),
      cmocka_unit_test(test_a_chunk_that_was_given_back_can_fail_to_come_again),
      cmocka_unit_test(test_stale_handles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
