/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pool.h"
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
          assert_int_equal((uintptr_t)t % _Alignof(max_align_t), 0);
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

static void test_allocation_failure(void **state) {
  (void)state;
  for (uint64_t fail_after = 0; fail_after <= 6; fail_after++) {
    struct test_memory m;
    test_memory_init(&m, fail_after);
    struct pool pool;
    pool_init(&pool, &m.memory, sizeof(struct thing), 4, 20);
    /* One block for the table of chunks, then one for each four objects. */
    uint32_t expected = fail_after == 0 ? 0 : 4 * (uint32_t)(fail_after - 1);
    struct handle handles[20];
    uint32_t got = 0;
    while (got < 20 && pool_take(&pool, &handles[got]) != NULL) got++;
    assert_int_equal(got, expected);
    m.fail_after = TEST_MEMORY_UNLIMITED;
    while (got < 20) assert_non_null(pool_take(&pool, &handles[got++]));
    pool_free(&pool);
    assert_int_equal(m.blocks, 0);
    assert_int_equal(m.bytes, 0);
  }
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
      cmocka_unit_test(test_stale_handles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
