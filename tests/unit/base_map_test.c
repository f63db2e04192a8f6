/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/map.h"
#include "base/rng.h"
#include "support/memory.h"

static uint32_t count_pairs(const struct map *map, uint64_t hash, uint32_t value) {
  struct map_cursor c;
  uint32_t count = 0;
  for (uint32_t i = map_first(map, hash, &c); i != MAP_END; i = map_next(map, &c))
    count += i == value;
  return count;
}

static void test_empty(void **state) {
  (void)state;
  struct test_memory m;
  test_memory_init(&m, 0);
  struct map map;
  map_init(&map, &m.memory);
  struct map_cursor c;
  assert_int_equal(map_first(&map, 7, &c), MAP_END);
  assert_int_equal(map_next(&map, &c), MAP_END);
  assert_false(map_remove(&map, 7, 1));
  assert_int_equal(map_put(&map, 7, 1), ERR_MEMORY);
  assert_int_equal(map_first(&map, 7, &c), MAP_END);
  map_free(&map);
}

/* Against a table that is searched from end to end. Few hash values and few low bits make long
 * runs that wrap around the end of the table. */
static void run_model(uint64_t hash_mask, uint8_t seed_byte) {
  enum { MODEL = 400 };
  struct {
    uint64_t hash;
    uint32_t value;
  } model[MODEL];
  uint32_t count = 0;
  uint8_t seed[16] = {seed_byte};
  struct rng rng;
  rng_init(&rng, seed);
  struct test_memory m;
  test_memory_init(&m, TEST_MEMORY_UNLIMITED);
  struct map map;
  map_init(&map, &m.memory);
  for (int step = 0; step < 6000; step++) {
    bool growing = step / 1000 % 2 == 0;
    if (count < MODEL && rng_below(&rng, 3) < (growing ? 2u : 1u)) {
      model[count].hash = rng_u64(&rng) & hash_mask;
      model[count].value = (uint32_t)step;
      assert_int_equal(map_put(&map, model[count].hash, model[count].value), OK);
      count++;
    } else if (count > 0) {
      uint32_t at = (uint32_t)rng_below(&rng, count);
      assert_true(map_remove(&map, model[at].hash, model[at].value));
      assert_false(map_remove(&map, model[at].hash, model[at].value));
      model[at] = model[--count];
    }
    assert_int_equal(map.used, count);
    if (step % 50 != 0) continue;
    for (uint32_t i = 0; i < count; i++)
      assert_int_equal(count_pairs(&map, model[i].hash, model[i].value), 1);
  }
  map_free(&map);
  assert_int_equal(m.blocks, 0);
}

static void test_against_model(void **state) {
  (void)state;
  const uint64_t masks[] = {0, 3, 15, 0xf00000000000000f, 0xff, UINT64_MAX};
  for (uint8_t i = 0; i < sizeof masks / sizeof *masks; i++) run_model(masks[i], i);
}

static void test_growth_with_failing_memory(void **state) {
  (void)state;
  for (uint64_t fail_after = 0; fail_after < 6; fail_after++) {
    struct test_memory m;
    test_memory_init(&m, fail_after);
    struct map map;
    map_init(&map, &m.memory);
    uint32_t count = 0;
    while (map_put(&map, count * 0x9e3779b97f4a7c15, count) == OK) count++;
    assert_int_equal(count, fail_after == 0 ? 0 : 6u << (fail_after - 1));
    assert_int_equal(map.used, count);
    for (uint32_t i = 0; i < count; i++)
      assert_int_equal(count_pairs(&map, i * 0x9e3779b97f4a7c15, i), 1);
    m.fail_after = TEST_MEMORY_UNLIMITED;
    assert_int_equal(map_put(&map, 1, 1), OK);
    map_free(&map);
    assert_int_equal(m.blocks, 0);
  }
}

/* A map of steady size allocates nothing. */
static void test_churn_allocates_nothing(void **state) {
  (void)state;
  struct test_memory m;
  test_memory_init(&m, TEST_MEMORY_UNLIMITED);
  struct map map;
  map_init(&map, &m.memory);
  const uint64_t mix = 0x9e3779b97f4a7c15;
  for (uint32_t i = 0; i < 100; i++) assert_int_equal(map_put(&map, i * mix, i), OK);
  m.fail_after = 0;
  for (uint32_t i = 100; i < 20000; i++) {
    assert_true(map_remove(&map, (i - 100) * mix, i - 100));
    assert_int_equal(map_put(&map, i * mix, i), OK);
  }
  map_free(&map);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_empty),
      cmocka_unit_test(test_against_model),
      cmocka_unit_test(test_growth_with_failing_memory),
      cmocka_unit_test(test_churn_allocates_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
