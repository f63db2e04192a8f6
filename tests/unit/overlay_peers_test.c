/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "overlay/peers.h"
#include "support/memory.h"

static struct key low(uint8_t n) { return (struct key){.byte = {[KEY_BYTES - 1] = n}}; }

static struct peer peer_of(uint8_t n) {
  return (struct peer){.id = low(n), .at = {.addr = {127, 0, 0, n}, .port = 1, .family = 4}};
}

/* */
static void test_between_is_zaves(void **state) {
  (void)state;
  const struct key a = low(3), b = low(7), c = low(5);
  assert_true(ring_between(&a, &c, &b));
  assert_false(ring_between(&b, &c, &a));
  assert_false(ring_between(&a, &a, &b)); /* both ends are open */
  assert_false(ring_between(&a, &b, &b));
  assert_true(ring_between(&b, &a, &c)); /* over zero: 7, 3, 5 */
  assert_true(ring_between(&a, &b, &a)); /* (a, a) is all but a */
  assert_false(ring_between(&a, &a, &a));
}

static void test_order_starts_at_from(void **state) {
  (void)state;
  const struct key from = low(5);
  const uint8_t walk[] = {5, 6, 9, 0, 1, 4};
  for (size_t i = 0; i < sizeof walk; i++) {
    for (size_t j = 0; j < sizeof walk; j++) {
      const struct key a = low(walk[i]), b = low(walk[j]);
      int order = ring_order(&from, &a, &b);
      assert_int_equal(order < 0, i < j);
      assert_int_equal(order > 0, i > j);
    }
  }
}

static void test_put_keeps_order_and_drops_repeats(void **state) {
  (void)state;
  struct test_memory memory;
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  struct peers peers = {0};
  const struct key from = low(5);
  const uint8_t in[] = {1, 9, 6, 200, 4, 9, 1}, sorted[] = {6, 9, 200, 1, 4};
  for (size_t i = 0; i < sizeof in; i++) {
    struct peer peer = peer_of(in[i]);
    peer.incarnation = (uint32_t)i + 1;
    assert_true(peers_put(&peers, &memory.memory, &from, &peer, 5));
  }
  assert_int_equal(peers.count, 5);
  for (uint32_t i = 0; i < 5; i++) assert_int_equal(peers.at[i].id.byte[19], sorted[i]);
  assert_int_equal(peers.at[1].incarnation, 6); /* the later word about 9 */
  struct peer sixth = peer_of(77);
  assert_false(peers_put(&peers, &memory.memory, &from, &sixth, 5));
  const struct key k = low(7), last = low(4), none = low(5);
  assert_int_equal(peers_place(&peers, &from, &k), 1);
  assert_int_equal(peers_place(&peers, &from, &none), 0); /* from itself is first */
  assert_non_null(peers_find(&peers, &from, &last));
  assert_null(peers_find(&peers, &from, &k));
  peers_remove(&peers, 4);
  assert_null(peers_find(&peers, &from, &last));
  peers_free(&peers, &memory.memory);
  assert_int_equal(memory.blocks, 0);
}

static void test_no_memory_changes_nothing(void **state) {
  (void)state;
  struct test_memory memory;
  test_memory_init(&memory, 1);
  struct peers peers = {0};
  const struct key from = low(0);
  uint8_t n = 1;
  struct peer peer = peer_of(n);
  while (peers_put(&peers, &memory.memory, &from, &peer, 100)) peer = peer_of(++n);
  assert_int_equal(peers.count, n - 1);
  for (uint32_t i = 0; i < peers.count; i++) assert_int_equal(peers.at[i].id.byte[19], i + 1);
  peers_free(&peers, &memory.memory);
  assert_int_equal(memory.blocks, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_between_is_zaves),
      cmocka_unit_test(test_order_starts_at_from),
      cmocka_unit_test(test_put_keeps_order_and_drops_repeats),
      cmocka_unit_test(test_no_memory_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
