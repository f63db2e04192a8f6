/* SPDX-License-Identifier: BSD-2-Clause */
/* merging is commutative, associative and idempotent, exhaustively over a small
 * universe; and peers that get the same records in any order, with any repetition, end alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dht/dht.h"
#include "dht/merge.h"
#include "support/fake_ring.h"
#include "support/memory.h"

#define WALL ((msec_wall)1777636800000)
#define UNIVERSE 16u

/* Two versions, value or tombstone, two digests, two floors. Bytes decide the digest, and the floor
 * is part of the bytes, so no two of them have the same digest. */
static struct record make(unsigned n) {
  static char bytes[UNIVERSE] = "0123456789ABCDEF";
  struct record r = {.version = 1 + (n & 1), .tombstone = (n & 2) != 0};
  r.floor = WALL + ((n & 4) != 0 ? 100000 : 200000);
  r.expires = r.floor;
  r.digest.byte[0] = (uint8_t)(n * 5 % 16);
  r.key.byte[0] = 1;
  r.bytes = slice_of(bytes + n, 1);
  return r;
}

static bool same(const struct record *a, const struct record *b) {
  return record_compare(a, b) == 0 && a->floor == b->floor && slice_equal(a->bytes, b->bytes);
}

static void test_laws(void **state) {
  (void)state;
  for (unsigned i = 0; i < UNIVERSE; i++) {
    struct record a = make(i), aa = record_merge(&a, &a);
    assert_true(same(&a, &aa));
    for (unsigned j = 0; j < UNIVERSE; j++) {
      struct record b = make(j), ab = record_merge(&a, &b), ba = record_merge(&b, &a);
      assert_true(same(&ab, &ba));
      assert_true((record_compare(&a, &b) > 0) == (record_compare(&b, &a) < 0));
      assert_true((record_compare(&a, &b) == 0) == (i == j));
      struct record again = record_merge(&ab, &b);
      assert_true(same(&again, &ab));
      for (unsigned k = 0; k < UNIVERSE; k++) {
        struct record c = make(k), bc = record_merge(&b, &c);
        struct record left = record_merge(&ab, &c), right = record_merge(&a, &bc);
        assert_true(same(&left, &right));
      }
    }
  }
}

static void test_order_of_precedence(void **state) {
  (void)state;
  struct record a = make(0), b = make(0);
  b.version++;
  a.tombstone = true;
  memset(&a.digest, 0xFF, sizeof a.digest);
  assert_true(record_compare(&b, &a) > 0); /* version before all */
  b.version = a.version;
  assert_true(record_compare(&a, &b) > 0); /* then the tombstone */
  b.tombstone = true;
  assert_true(record_compare(&a, &b) > 0); /* then the digest */
}

/* ---- through the store ---- */

static struct overlay overlay;
static struct test_memory memory;
static struct dht_effects fx;

static void take(struct dht *dht, const struct record *r) {
  fx.count = 0;
  enum dht_verdict verdict = dht_accept(dht, SEC(1), WALL, r, 1, &fx);
  assert_true(verdict == DHT_NEW || verdict == DHT_SAME || verdict == DHT_OLDER);
  for (unsigned i = 0; i < fx.count; i++) {
    if (fx.effect[i].kind != DHT_STORE || fx.effect[i].ticket == 0) continue;
    uint32_t ticket = fx.effect[i].ticket;
    fx.count = 0;
    dht_on_stored(dht, SEC(1), ticket, OK, &fx);
    return;
  }
}

static void assert_holds(const struct dht *dht, const struct record *expected) {
  struct record r;
  uint32_t cursor = 0;
  assert_true(dht_each(dht, &cursor, &r));
  if (!same(&r, expected)) fail_msg("version %d floor %d", (int)r.version, (int)(r.floor - WALL));
  assert_false(dht_each(dht, &cursor, &r));
}

/* Every set of four, in every order; each record twice at one of three peers. */
static void test_any_order_converges(void **state) {
  static const uint8_t order[24][4] = {
      {0, 1, 2, 3}, {0, 1, 3, 2}, {0, 2, 1, 3}, {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 3, 2, 1},
      {1, 0, 2, 3}, {1, 0, 3, 2}, {1, 2, 0, 3}, {1, 2, 3, 0}, {1, 3, 0, 2}, {1, 3, 2, 0},
      {2, 0, 1, 3}, {2, 0, 3, 1}, {2, 1, 0, 3}, {2, 1, 3, 0}, {2, 3, 0, 1}, {2, 3, 1, 0},
      {3, 0, 1, 2}, {3, 0, 2, 1}, {3, 1, 0, 2}, {3, 1, 2, 0}, {3, 2, 0, 1}, {3, 2, 1, 0}};
  const uint8_t seed[16] = {1};
  const struct dht_limits limits = {.records_max = 4, .puts_max = 4};
  (void)state;
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  fake_view(&overlay, 100, (const uint8_t[]){100}, 1);
  unsigned sets = 0;
  for (unsigned bits = 0; bits < 1u << UNIVERSE; bits++) {
    unsigned member[4], count = 0;
    for (unsigned n = 0; n < UNIVERSE; n++) {
      if ((bits >> n & 1) == 0) continue;
      if (count < 4) member[count] = n;
      count++;
    }
    if (count != 4) continue;
    struct record expected = make(member[0]);
    for (unsigned n = 1; n < 4; n++) {
      struct record next = make(member[n]);
      expected = record_merge(&expected, &next);
    }
    /* A different third of the orders for each set: eight orders, each at its own peer. */
    for (unsigned o = sets++ % 3; o < 24; o += 3) {
      struct dht *dht = dht_new(&limits, &overlay, &memory.memory, seed);
      assert_non_null(dht);
      for (unsigned n = 0; n < 4; n++) {
        struct record r = make(member[order[o][n]]), back = make(member[order[o][n / 2]]);
        take(dht, &r);
        take(dht, &back);
      }
      assert_holds(dht, &expected);
      dht_free(dht);
    }
  }
  assert_int_equal(sets, 1820);
  assert_int_equal(memory.blocks, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_laws),
      cmocka_unit_test(test_order_of_precedence),
      cmocka_unit_test(test_any_order_converges),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
