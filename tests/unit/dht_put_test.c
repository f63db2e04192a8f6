/* SPDX-License-Identifier: BSD-2-Clause */
/* One peer's records: verdicts, limits at their bounds, the journal, copies, reading. to
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dht/dht.h"
#include "support/fake_ring.h"
#include "support/memory.h"

#define WALL ((msec_wall)1777636800000)
#define MINUTE ((msec_wall)60000)
#define DAY ((msec_wall)86400000)

struct fixture {
  struct test_memory memory;
  struct overlay overlay;
  struct dht *dht;
  struct dht_effects fx;
  usec now;
  struct dht_limits limits;
};
static struct fixture f;

static void open_dht(void) {
  const uint8_t seed[16] = {9};
  f.dht = dht_new(&f.limits, &f.overlay, &f.memory.memory, seed);
  assert_non_null(f.dht);
}
static int setup(void **state) {
  (void)state;
  memset(&f, 0, sizeof f);
  test_memory_init(&f.memory, TEST_MEMORY_UNLIMITED);
  f.now = SEC(1);
  fake_view(&f.overlay, 100, (const uint8_t[]){100}, 1);
  open_dht();
  dht_on_ring(f.dht, f.now, WALL, &f.fx);
  return f.fx.count != 0;
}
static int teardown(void **state) {
  (void)state;
  dht_free(f.dht);
  return f.memory.blocks != 0 || f.memory.bytes != 0;
}
/* Again, with other limits. */
static void reopen(void) {
  dht_free(f.dht);
  open_dht();
  f.fx.count = 0;
  dht_on_ring(f.dht, f.now, WALL, &f.fx);
}

static char bytes[32768];

static struct record make(uint8_t key, uint8_t owner, uint8_t nonce, uint64_t version) {
  struct record r = {
      .version = version, .expires = WALL + 10 * MINUTE, .floor = WALL + 10 * MINUTE};
  r.key.byte[0] = key;
  r.owner.byte[0] = owner;
  r.nonce.byte[19] = nonce;
  r.digest.byte[0] = (uint8_t)version;
  r.bytes = slice_of(bytes, 100);
  return r;
}
static struct record make_tombstone(uint8_t key, uint8_t owner, uint8_t nonce, uint64_t version) {
  struct record r = make(key, owner, nonce, version);
  r.tombstone = true;
  return r;
}

static enum dht_verdict put(const struct record *r) {
  f.fx.count = 0;
  return dht_put(f.dht, f.now, WALL, r, 1, f.now + SEC(4), 77, &f.fx);
}
static const struct dht_effect *find_effect(enum dht_effect_kind kind) {
  for (unsigned i = 0; i < f.fx.count; i++)
    if (f.fx.effect[i].kind == kind) return &f.fx.effect[i];
  return NULL;
}
static unsigned count_effects(enum dht_effect_kind kind) {
  unsigned count = 0;
  for (unsigned i = 0; i < f.fx.count; i++) count += f.fx.effect[i].kind == kind;
  return count;
}
/* The journal answers what was just put. */
static void stored(enum err status) {
  const struct dht_effect *e = find_effect(DHT_STORE);
  assert_non_null(e);
  uint32_t ticket = e->ticket;
  f.fx.count = 0;
  dht_on_stored(f.dht, f.now, ticket, status, &f.fx);
}
static void put_durably(const struct record *r) {
  assert_int_equal(put(r), DHT_NEW);
  stored(OK);
  const struct dht_effect *e = find_effect(DHT_PUT_DONE);
  assert_non_null(e);
  assert_int_equal(e->status, OK);
  assert_int_equal(e->user, 77);
}
static unsigned count_found(uint8_t key) {
  struct key k = {{key}};
  struct record r;
  uint32_t cursor = 0;
  unsigned count = 0;
  while (dht_find(f.dht, WALL, &k, &cursor, &r)) count++;
  return count;
}

static void test_put_is_seen_once_durable(void **state) {
  (void)state;
  struct record r = make(1, 1, 1, 5), out;
  assert_int_equal(put(&r), DHT_NEW);
  assert_int_equal(count_effects(DHT_STORE), 1);
  assert_null(find_effect(DHT_PUT_DONE));
  assert_int_equal(count_found(1), 0); /* not before the journal has it */
  assert_int_equal(dht_version(f.dht, &r.key, &r.owner, &r.nonce), 5);
  stored(OK);
  assert_int_equal(find_effect(DHT_PUT_DONE)->copies, 1);
  assert_int_equal(count_found(1), 1);
  uint32_t cursor = 0;
  assert_true(dht_find(f.dht, WALL, &r.key, &cursor, &out));
  assert_int_equal(out.version, 5);
  assert_int_equal(out.bytes.len, 100);
  assert_ptr_not_equal(out.bytes.at, bytes); /* its own copy */
  assert_true(dht_is_complete(f.dht, &r.key));
  assert_true(dht_stats(f.dht).complete);
}

static void test_failed_store_leaves_what_was_there(void **state) {
  (void)state;
  struct record first = make(1, 1, 1, 5), second = make(1, 1, 1, 6), out;
  assert_int_equal(put(&first), DHT_NEW);
  stored(ERR_IO);
  assert_int_equal(find_effect(DHT_PUT_DONE)->status, ERR_IO);
  assert_int_equal(dht_stats(f.dht).records, 0);
  assert_int_equal(dht_version(f.dht, &first.key, &first.owner, &first.nonce), 0);
  put_durably(&first);
  assert_int_equal(put(&second), DHT_NEW);
  stored(ERR_IO);
  assert_int_equal(find_effect(DHT_PUT_DONE)->status, ERR_IO);
  uint32_t cursor = 0;
  assert_true(dht_find(f.dht, WALL, &first.key, &cursor, &out));
  assert_int_equal(out.version, 5);
}

static void test_newer_wins(void **state) {
  (void)state;
  struct record r5 = make(1, 1, 1, 5), r6 = make(1, 1, 1, 6);
  put_durably(&r6);
  assert_int_equal(put(&r5), DHT_OLDER);
  assert_int_equal(f.fx.count, 0);
  assert_int_equal(put(&r6), DHT_SAME); /* 200, at once */
  assert_non_null(find_effect(DHT_PUT_DONE));
  assert_null(find_effect(DHT_STORE));
  struct record other = r6;
  other.digest.byte[0] = 7; /* greater digest */
  put_durably(&other);
  assert_int_equal(put(&r6), DHT_OLDER);
  struct record dead = make_tombstone(1, 1, 1, 6); /* at the same version */
  put_durably(&dead);
  assert_int_equal(count_found(1), 0);
  assert_int_equal(put(&other), DHT_OLDER);
  assert_int_equal(dht_stats(f.dht).tombstones, 1);
  assert_int_equal(dht_stats(f.dht).records, 0);
}

/* Two writes of one identity on their way to the journal at once. */
static void test_writes_overtake(void **state) {
  (void)state;
  struct record r5 = make(1, 1, 1, 5), r6 = make(1, 1, 1, 6);
  assert_int_equal(put(&r5), DHT_NEW);
  uint32_t t5 = find_effect(DHT_STORE)->ticket;
  assert_int_equal(put(&r6), DHT_NEW);
  uint32_t t6 = find_effect(DHT_STORE)->ticket;
  assert_int_equal(put(&r5), DHT_OLDER); /* than what is on its way */
  f.fx.count = 0;
  dht_on_stored(f.dht, f.now, t6, OK, &f.fx);
  dht_on_stored(f.dht, f.now, t5, OK, &f.fx);
  dht_on_stored(f.dht, f.now, t5, OK, &f.fx); /* an answer too many is nothing */
  assert_int_equal(count_effects(DHT_PUT_DONE), 2);
  uint32_t cursor = 0;
  struct record out;
  assert_true(dht_find(f.dht, WALL, &r5.key, &cursor, &out));
  assert_int_equal(out.version, 6);
}

/* each at its bound. */
static void test_lifetimes(void **state) {
  (void)state;
  struct record r = make(1, 1, 1, 5);
#define LIFETIME(expires_in, floor_in, expected) \
  do {                                           \
    r.version++;                                 \
    r.expires = WALL + (expires_in);             \
    r.floor = WALL + (floor_in);                 \
    assert_int_equal(put(&r), expected);         \
    if ((expected) == DHT_NEW) stored(OK);       \
  } while (0)
  LIFETIME(0, 0, DHT_EXPIRED);
  LIFETIME(1, 1, DHT_TOO_BRIEF);
  LIFETIME(MINUTE - 1, MINUTE, DHT_TOO_BRIEF);
  LIFETIME(MINUTE, MINUTE, DHT_NEW);
  LIFETIME(7 * DAY, 7 * DAY, DHT_NEW);
  LIFETIME(7 * DAY + 1, 7 * DAY + 1, DHT_TOO_LONG);
  LIFETIME(MINUTE, 7 * DAY + 1, DHT_TOO_LONG);
  r.tombstone = true; /* a removal of what is about to lapse */
  LIFETIME(1, 1, DHT_NEW);
}

static void test_sizes(void **state) {
  (void)state;
  struct record r = make(1, 1, 1, 5);
  r.bytes.len = 20480;
  put_durably(&r);
  r.version++;
  r.bytes.len = 20481;
  assert_int_equal(put(&r), DHT_TOO_LARGE);
  r.bytes.len = 0;
  assert_int_equal(put(&r), DHT_TOO_LARGE);
}

/* */
static void test_values_per_owner(void **state) {
  (void)state;
  for (uint8_t n = 0; n < 32; n++) {
    struct record r = make(1, 1, n, 5);
    put_durably(&r);
  }
  struct record more = make(1, 1, 32, 5);
  assert_int_equal(put(&more), DHT_TOO_MANY);
  struct record other_owner = make(1, 2, 32, 5), other_key = make(2, 1, 32, 5);
  put_durably(&other_owner);
  put_durably(&other_key);
  struct record newer = make(1, 1, 3, 6), dead = make_tombstone(1, 1, 4, 6);
  put_durably(&newer); /* what is there can be replaced and removed */
  put_durably(&dead);
  put_durably(&more); /* and makes room */
  struct record back = make(1, 1, 4, 7);
  assert_int_equal(put(&back), DHT_TOO_MANY);
}

/* Those whose write is under way count, too. */
static void test_values_under_way_count(void **state) {
  (void)state;
  f.limits.values_per_owner_max = 2;
  reopen();
  struct record a = make(1, 1, 1, 5), b = make(1, 1, 2, 5), c = make(1, 1, 3, 5);
  assert_int_equal(put(&a), DHT_NEW);
  uint32_t ta = find_effect(DHT_STORE)->ticket;
  assert_int_equal(put(&b), DHT_NEW);
  assert_int_equal(put(&c), DHT_TOO_MANY);
  f.fx.count = 0;
  dht_on_stored(f.dht, f.now, ta, ERR_IO, &f.fx);
  assert_int_equal(put(&c), DHT_NEW);
}

static void test_tombstones_are_bounded(void **state) {
  (void)state;
  f.limits.values_per_owner_max = 2;
  reopen();
  for (uint8_t n = 0; n < 8; n++) {
    struct record r = make_tombstone(1, 1, n, 5);
    put_durably(&r);
  }
  struct record more = make_tombstone(1, 1, 8, 5), held = make_tombstone(1, 1, 7, 6);
  assert_int_equal(put(&more), DHT_TOO_MANY);
  put_durably(&held);
}

static void test_values_per_key(void **state) {
  (void)state;
  f.limits.values_per_key_max = 10;
  reopen();
  for (uint8_t n = 0; n < 10; n++) {
    struct record r = make(1, n, 1, 5);
    put_durably(&r);
  }
  struct record more = make(1, 10, 1, 5), elsewhere = make(2, 10, 1, 5);
  assert_int_equal(put(&more), DHT_TOO_MANY);
  put_durably(&elsewhere);
  assert_int_equal(count_found(1), 10);
  assert_int_equal(count_found(2), 1);
  assert_int_equal(count_found(3), 0);
}

static enum dht_verdict copy_of(const struct record *r) {
  f.fx.count = 0;
  return dht_accept(f.dht, f.now, WALL, r, 77, &f.fx);
}

/* over all keys; writes under way and removals count; what is there can be replaced by what
 * is no larger, and removed; it gets room back when the store forgets. */
static void test_records_of_one_owner(void **state) {
  (void)state;
  f.limits.owner_records_max = 4;
  reopen();
  for (uint8_t n = 0; n < 3; n++) {
    struct record r = make(n, 1, 1, 5);
    put_durably(&r);
  }
  struct record last = make(3, 1, 1, 5), more = make(4, 1, 1, 5), other = make(4, 2, 1, 5);
  assert_int_equal(put(&last), DHT_NEW);
  uint32_t ticket = find_effect(DHT_STORE)->ticket;
  assert_int_equal(put(&more), DHT_OVER_QUOTA); /* under way is as good as there */
  f.fx.count = 0;
  dht_on_stored(f.dht, f.now, ticket, ERR_IO, &f.fx);
  put_durably(&more);
  assert_int_equal(put(&last), DHT_OVER_QUOTA);
  put_durably(&other);
  struct record newer = make(0, 1, 1, 6), dead = make_tombstone(1, 1, 1, 6);
  put_durably(&newer);
  put_durably(&dead);
  assert_int_equal(put(&last), DHT_OVER_QUOTA); /* the removal is still kept */
  f.now += SEC(601);
  struct record late = make(3, 1, 1, 5);
  late.expires = late.floor = WALL + 60 * MINUTE;
  f.fx.count = 0;
  dht_on_tick(f.dht, f.now, WALL + 601000, &f.fx);
  f.fx.count = 0;
  assert_int_equal(dht_put(f.dht, f.now, WALL + 601000, &late, 1, f.now + SEC(4), 77, &f.fx),
                   DHT_NEW);
  stored(OK);
}

static void test_bytes_of_one_owner(void **state) {
  (void)state;
  f.limits.owner_bytes_max = 1000;
  reopen();
  struct record a = make(1, 1, 1, 5), b = make(2, 1, 1, 5), c = make(3, 1, 1, 5);
  a.bytes = slice_of(bytes, 600);
  b.bytes = slice_of(bytes, 400);
  c.bytes = slice_of(bytes, 1);
  put_durably(&a);
  put_durably(&b);
  assert_int_equal(put(&c), DHT_OVER_QUOTA);
  b.version = 6;
  put_durably(&b);
  b.version = 7;
  b.bytes.len = 401;
  assert_int_equal(put(&b), DHT_OVER_QUOTA);
  b.bytes.len = 399;
  put_durably(&b);
  put_durably(&c);
  assert_int_equal(dht_stats(f.dht).bytes, 1000);
}

/* what is nobody's has a quarter of the room, and the owners the rest. */
static void test_room_of_immutable_values(void **state) {
  (void)state;
  f.limits.records_max = 8;
  f.limits.owner_records_max = 1;
  f.limits.replicas = 3;
  reopen();
  struct record a = make(1, 0, 0, 5), b = make(2, 0, 0, 5), c = make(3, 0, 0, 5);
  assert_true(record_is_immutable(&a));
  put_durably(&a);
  put_durably(&b);
  assert_int_equal(put(&c), DHT_NO_ROOM);
  a.version++;
  put_durably(&a);
  struct record own = make(3, 1, 1, 5);
  put_durably(&own);
  assert_int_equal(copy_of(&c), DHT_NEW); /* acknowledged by another: kept */
  stored(OK);
}

/* copies are measured by k + 1 times as much. */
static void test_copies_of_one_owner(void **state) {
  (void)state;
  f.limits.owner_records_max = 2;
  f.limits.replicas = 3;
  reopen();
  for (uint8_t n = 0; n < 8; n++) {
    struct record r = make(n, 1, 1, 5);
    assert_int_equal(copy_of(&r), DHT_NEW);
    stored(OK);
    assert_int_equal(put(&r), DHT_SAME);
  }
  struct record more = make(8, 1, 1, 5), held = make(7, 1, 1, 6), other = make(8, 2, 1, 5);
  assert_int_equal(copy_of(&more), DHT_OVER_QUOTA);
  assert_int_equal(put(&more), DHT_OVER_QUOTA);
  assert_int_equal(copy_of(&held), DHT_NEW);
  stored(OK);
  assert_int_equal(copy_of(&other), DHT_NEW);
  stored(OK);
}

/* */
static void test_no_room(void **state) {
  (void)state;
  f.limits.records_max = 3;
  reopen();
  struct record r[4] = {make(1, 1, 1, 5), make(2, 1, 1, 5), make(3, 1, 1, 5), make(4, 1, 1, 5)};
  for (unsigned i = 0; i < 3; i++) put_durably(&r[i]);
  assert_int_equal(put(&r[3]), DHT_NO_ROOM);
  assert_int_equal(count_found(3), 1);
  r[0].version++;
  put_durably(&r[0]);

  f.limits.records_max = 10;
  f.limits.bytes_max = 250;
  reopen();
  put_durably(&r[0]);
  put_durably(&r[1]);
  assert_int_equal(put(&r[2]), DHT_NO_ROOM);
  r[0].version++;
  r[0].bytes.len = 150; /* exactly full */
  put_durably(&r[0]);
  r[0].version++;
  r[0].bytes.len = 151;
  assert_int_equal(put(&r[0]), DHT_NO_ROOM);
  struct record dead = make_tombstone(1, 1, 1, 9);
  dead.bytes.len = 200; /* removing needs no room */
  put_durably(&dead);
  assert_int_equal(dht_stats(f.dht).bytes, 300);

  f.limits.bytes_max = 0;
  f.limits.puts_max = 2;
  reopen();
  assert_int_equal(put(&r[0]), DHT_NEW);
  assert_int_equal(put(&r[1]), DHT_NEW);
  assert_int_equal(put(&r[2]), DHT_NO_ROOM);
}

/* Each allocation fails once: no verdict but NO_ROOM, and nothing is lost or leaked. */
static void test_no_memory(void **state) {
  (void)state;
  struct record a = make(1, 1, 1, 5), b = make(1, 1, 2, 5);
  bool went_through = false;
  for (uint64_t n = 0; !went_through; n++) {
    dht_free(f.dht);
    open_dht();
    f.memory.fail_after = f.memory.taken + n;
    enum dht_verdict verdict = put(&a);
    if (verdict == DHT_NEW) {
      stored(OK);
      assert_int_equal(count_found(1), 1);
      went_through = put(&b) == DHT_NEW;
    } else {
      assert_int_equal(verdict, DHT_NO_ROOM);
      assert_int_equal(count_found(1), 0);
    }
    f.memory.fail_after = TEST_MEMORY_UNLIMITED;
  }
}

/* hidden at its expiry, forgotten at its floor. */
static void test_lapse(void **state) {
  (void)state;
  struct record r = make(1, 1, 1, 5), out;
  r.expires = WALL + 2 * MINUTE;
  r.floor = WALL + 5 * MINUTE;
  put_durably(&r);
  uint32_t cursor = 0;
  assert_true(dht_find(f.dht, r.expires - 1, &r.key, &cursor, &out));
  cursor = 0;
  assert_false(dht_find(f.dht, r.expires, &r.key, &cursor, &out));
  assert_true(dht_deadline(f.dht) == f.now + 5 * 60 * USEC_PER_SEC);
  f.fx.count = 0;
  dht_on_tick(f.dht, f.now + SEC(300) - 1000, r.floor - 1, &f.fx);
  assert_int_equal(f.fx.count, 0);
  dht_on_tick(f.dht, f.now + SEC(300), r.floor, &f.fx);
  assert_int_equal(count_effects(DHT_ERASE), 1);
  assert_true(key_equal(&f.fx.effect[0].record[0].nonce, &r.nonce));
  assert_int_equal(dht_stats(f.dht).records, 0);
  assert_true(dht_deadline(f.dht) == USEC_NEVER);
}

/* More lapse at once than one call may report: the next tick is due at once. */
static void test_many_lapse_at_once(void **state) {
  (void)state;
  for (uint8_t n = 0; n < 60; n++) {
    struct record r = make(n, 1, 1, 5);
    put_durably(&r);
  }
  unsigned erased = 0, ticks = 0;
  f.now += SEC(600);
  while (dht_deadline(f.dht) <= f.now) {
    f.fx.count = 0;
    dht_on_tick(f.dht, f.now, WALL + 10 * MINUTE, &f.fx);
    erased += count_effects(DHT_ERASE);
    assert_true(f.fx.count <= DHT_EFFECTS_MAX && ++ticks < 10);
  }
  assert_int_equal(erased, 60);
}

/* A record that lost but was given a later expiry holds the winner in place until then. */
static void test_floor_of_a_loser(void **state) {
  (void)state;
  struct record dead = make_tombstone(1, 1, 1, 6), late = make(1, 1, 1, 5);
  put_durably(&dead);
  late.expires = late.floor = WALL + 20 * MINUTE;
  assert_int_equal(put(&late), DHT_OLDER);
  const struct dht_effect *e = find_effect(DHT_STORE);
  assert_non_null(e);
  assert_true(e->record[0].floor == late.floor && e->record[0].tombstone);
  f.fx.count = 0;
  dht_on_tick(f.dht, f.now + SEC(600), WALL + 10 * MINUTE, &f.fx);
  assert_int_equal(f.fx.count, 0);
  assert_int_equal(dht_stats(f.dht).tombstones, 1);
}

static void test_restore(void **state) {
  (void)state;
  struct record r = make(1, 1, 1, 5), older = make(1, 1, 1, 4), lapsed = make(2, 1, 1, 5);
  f.fx.count = 0;
  assert_int_equal(dht_restore(f.dht, WALL, &r, &f.fx), OK);
  assert_int_equal(dht_restore(f.dht, WALL, &older, &f.fx), OK); /* */
  assert_int_equal(f.fx.count, 0);
  lapsed.floor = lapsed.expires = WALL;
  assert_int_equal(dht_restore(f.dht, WALL, &lapsed, &f.fx), OK);
  assert_int_equal(count_effects(DHT_ERASE), 1);
  uint32_t cursor = 0;
  struct record out;
  assert_true(dht_each(f.dht, &cursor, &out));
  assert_int_equal(out.version, 5);
  assert_false(dht_each(f.dht, &cursor, &out));
  f.limits.records_max = 1;
  reopen();
  assert_int_equal(dht_restore(f.dht, WALL, &r, &f.fx), OK);
  struct record second = make(2, 1, 1, 5);
  assert_int_equal(dht_restore(f.dht, WALL, &second, &f.fx), ERR_FULL);
  f.memory.fail_after = 0;
  r.version++;
  assert_int_equal(dht_restore(f.dht, WALL, &r, &f.fx), ERR_MEMORY);
  f.memory.fail_after = TEST_MEMORY_UNLIMITED;
}

/* ---- copies ---- */

static void in_ring_of(unsigned count) {
  static const uint8_t places[] = {50, 100, 150, 200, 250};
  fake_view(&f.overlay, 100, places, count);
  f.fx.count = 0;
  dht_on_ring(f.dht, f.now, WALL, &f.fx);
}
/* Answers every push of the last step; whoever's place is `silent` fails. */
static void answer_pushes(uint8_t silent) {
  struct dht_effects asked = f.fx;
  f.fx.count = 0;
  for (unsigned i = 0; i < asked.count; i++)
    if (asked.effect[i].kind == DHT_PUSH)
      dht_on_pushed(f.dht, f.now, asked.effect[i].ticket,
                    asked.effect[i].to.id.byte[0] == silent ? ERR_TIMEOUT : OK, &f.fx);
}

static void test_three_copies(void **state) {
  (void)state;
  in_ring_of(5);
  struct record r = make(60, 1, 1, 5);
  assert_int_equal(put(&r), DHT_NEW);
  assert_int_equal(count_effects(DHT_PUSH), 0); /* durable here first */
  stored(OK);
  assert_int_equal(count_effects(DHT_PUSH), 2);
  assert_int_equal(f.fx.effect[0].to.id.byte[0], 150);
  assert_int_equal(f.fx.effect[1].to.id.byte[0], 200);
  assert_null(find_effect(DHT_PUT_DONE));
  answer_pushes(0);
  assert_int_equal(find_effect(DHT_PUT_DONE)->copies, 3);
  assert_int_equal(find_effect(DHT_PUT_DONE)->status, OK);
}

/* The next of the set takes the place of one that fails. That is a copy to promise only
 * where it is in the set: the other was silent, and not just without a place for it. */
static void test_replacement(void **state) {
  (void)state;
  static const uint8_t without_150[] = {50, 100, 200, 250};
  for (unsigned silent = 0; silent < 2; silent++) {
    in_ring_of(5);
    struct record r = make(60, 1, (uint8_t)(1 + silent), 5);
    assert_int_equal(put(&r), DHT_NEW);
    stored(OK);
    answer_pushes(150);
    assert_int_equal(count_effects(DHT_PUSH), 1);
    assert_int_equal(find_effect(DHT_PUSH)->to.id.byte[0], 250);
    if (silent == 1) fake_view(&f.overlay, 100, without_150, 4);
    answer_pushes(0);
    assert_int_equal(find_effect(DHT_PUT_DONE)->copies, 2 + silent);
  }
}

static void test_all_there_are(void **state) {
  (void)state;
  in_ring_of(2);
  struct record r = make(60, 1, 1, 5);
  assert_int_equal(put(&r), DHT_NEW);
  stored(OK);
  assert_int_equal(count_effects(DHT_PUSH), 1);
  answer_pushes(0);
  assert_int_equal(find_effect(DHT_PUT_DONE)->copies, 2);
  assert_int_equal(find_effect(DHT_PUT_DONE)->status, OK);
}

/* at the deadline with what there is; with fewer than wanted it is a failure. */
static void test_deadline(void **state) {
  (void)state;
  in_ring_of(3);
  for (unsigned wanted = 1; wanted <= 3; wanted++) {
    struct record r = make(60, 1, (uint8_t)wanted, 5);
    f.fx.count = 0;
    assert_int_equal(dht_put(f.dht, f.now, WALL, &r, wanted, f.now + SEC(1), 77, &f.fx), DHT_NEW);
    stored(OK);
    uint32_t first = f.fx.effect[0].ticket;
    f.fx.count = 0;
    dht_on_pushed(f.dht, f.now, first, OK, &f.fx);
    assert_int_equal(f.fx.count, 0);
    f.now += SEC(1);
    dht_on_tick(f.dht, f.now, WALL, &f.fx);
    const struct dht_effect *e = find_effect(DHT_PUT_DONE);
    assert_non_null(e);
    assert_int_equal(e->copies, 2);
    assert_int_equal(e->status, wanted <= 2 ? OK : ERR_TIMEOUT);
    assert_int_equal(dht_stats(f.dht).puts, 0);
  }
}

static void test_nobody_to_ask(void **state) {
  (void)state;
  struct record r = make(60, 1, 1, 5);
  f.fx.count = 0;
  assert_int_equal(dht_put(f.dht, f.now, WALL, &r, 2, f.now + SEC(1), 77, &f.fx), DHT_NEW);
  stored(OK); /* no use to wait for the deadline */
  assert_int_equal(find_effect(DHT_PUT_DONE)->status, ERR_BUSY);
  assert_int_equal(find_effect(DHT_PUT_DONE)->copies, 1);
  assert_int_equal(count_found(60), 1);
}

/* The journal is slower than the deadline: no success, but the record is kept and copied. */
static void test_slow_journal(void **state) {
  (void)state;
  in_ring_of(3);
  answer_pushes(0);
  struct record r = make(60, 1, 1, 5);
  assert_int_equal(put(&r), DHT_NEW);
  uint32_t ticket = find_effect(DHT_STORE)->ticket;
  f.now += SEC(4);
  f.fx.count = 0;
  dht_on_tick(f.dht, f.now, WALL, &f.fx);
  assert_int_equal(find_effect(DHT_PUT_DONE)->status, ERR_TIMEOUT);
  assert_int_equal(find_effect(DHT_PUT_DONE)->copies, 0);
  f.fx.count = 0;
  dht_on_stored(f.dht, f.now, ticket, OK, &f.fx);
  assert_null(find_effect(DHT_PUT_DONE)); /* answered once */
  assert_int_equal(count_effects(DHT_PUSH), 2);
  assert_int_equal(count_found(60), 1);
}

/* */
static void test_accept(void **state) {
  (void)state;
  in_ring_of(5);
  struct record r = make(40, 1, 1, 5); /* another peer's */
  f.fx.count = 0;
  assert_int_equal(dht_accept(f.dht, f.now, WALL, &r, 5, &f.fx), DHT_NEW);
  stored(OK);
  assert_int_equal(f.fx.count, 1);
  assert_int_equal(f.fx.effect[0].kind, DHT_PUT_DONE);
  assert_int_equal(f.fx.effect[0].user, 5);
  f.fx.count = 0;
  assert_int_equal(dht_accept(f.dht, f.now, WALL, &r, 6, &f.fx), DHT_SAME);
  assert_int_equal(f.fx.effect[0].kind, DHT_PUT_DONE);
  struct record older = make(40, 1, 1, 4), lapsed = make(41, 1, 1, 5), brief = make(42, 1, 1, 5);
  struct record hidden = make(43, 1, 1, 5), late = make(44, 1, 1, 5);
  assert_int_equal(dht_accept(f.dht, f.now, WALL, &older, 6, &f.fx), DHT_OLDER);
  lapsed.expires = lapsed.floor = WALL;
  assert_int_equal(dht_accept(f.dht, f.now, WALL, &lapsed, 6, &f.fx), DHT_EXPIRED);
  brief.expires = brief.floor = WALL + 1; /* not measured again */
  assert_int_equal(dht_accept(f.dht, f.now, WALL, &brief, 6, &f.fx), DHT_NEW);
  hidden.expires = WALL - 1; /* may beat an older one that has not lapsed */
  assert_int_equal(dht_accept(f.dht, f.now, WALL, &hidden, 6, &f.fx), DHT_NEW);
  late.floor = late.expires = WALL + 7 * DAY + 5 * MINUTE + 1;
  assert_int_equal(dht_accept(f.dht, f.now, WALL, &late, 6, &f.fx), DHT_TOO_LONG);
}

/* ---- reading ranges ---- */

static void test_read_range(void **state) {
  (void)state;
  for (uint8_t k = 10; k < 50; k++) {
    struct record r = make(k, 1, 1, 5);
    put_durably(&r);
  }
  /* (20, 12] clockwise: 21 to 49, then 10 to 12, in pages of 16 */
  struct key from = {{20}}, to = {{12}};
  struct record out[16];
  struct record_id after;
  bool more;
  unsigned n = dht_read_range(f.dht, WALL, &from, &to, NULL, out, 16, &more);
  assert_int_equal(n, 16);
  assert_true(more);
  assert_int_equal(out[0].key.byte[0], 21);
  after = record_id_of(&out[15]);
  n = dht_read_range(f.dht, WALL, &from, &to, &after, out, 16, &more);
  assert_int_equal(n, 16);
  assert_int_equal(out[12].key.byte[0], 49);
  assert_int_equal(out[13].key.byte[0], 10);
  assert_int_equal(out[15].key.byte[0], 12);
  assert_false(more);
  after = record_id_of(&out[15]);
  assert_int_equal(dht_read_range(f.dht, WALL, &from, &to, &after, out, 16, &more), 0);
  /* the whole ring; a place that is not in the range: from the start */
  n = dht_read_range(f.dht, WALL, &from, &from, NULL, out, 16, &more);
  assert_int_equal(out[0].key.byte[0], 21);
  from.byte[0] = 30;
  to.byte[0] = 33;
  n = dht_read_range(f.dht, WALL, &from, &to, &after, out, 16, &more);
  assert_int_equal(n, 3);
  /* nothing past its floor */
  assert_int_equal(dht_read_range(f.dht, WALL + 10 * MINUTE, &from, &to, NULL, out, 16, &more), 0);
}

static void test_pages_within_one_key_and_by_size(void **state) {
  (void)state;
  for (uint8_t n = 0; n < 20; n++) {
    struct record r = make(7, 1, n, 5);
    r.bytes.len = 20000;
    put_durably(&r);
  }
  struct key from = {{6}}, to = {{8}};
  struct record out[16];
  struct record_id after;
  bool more = true, has_after = false;
  unsigned total = 0;
  while (more) {
    unsigned n = dht_read_range(f.dht, WALL, &from, &to, has_after ? &after : NULL, out, 16, &more);
    assert_int_equal(n, 2); /* 40000 bytes; three are too many for a push */
    for (unsigned i = 0; i < n; i++) assert_int_equal(out[i].nonce.byte[19], total++);
    after = record_id_of(&out[n - 1]);
    has_after = true;
  }
  assert_int_equal(total, 20);
}

/* a record that lost while its winner is on its way into the journal prolongs what is
 * held, and nothing may reach the journal after the winner but the winner. Found by merge_worlds.
 */
static void test_the_winner_is_the_last_row(void **state) {
  (void)state;
  struct record held = make(1, 1, 1, 10), winner = make(1, 1, 1, 30), loser = make(1, 1, 1, 20);
  loser.floor += MINUTE;
  assert_int_equal(put(&held), DHT_NEW);
  uint32_t ticket = find_effect(DHT_STORE)->ticket;
  f.fx.count = 0;
  dht_on_stored(f.dht, f.now, ticket, OK, &f.fx);
  assert_int_equal(put(&winner), DHT_NEW);
  ticket = find_effect(DHT_STORE)->ticket;
  assert_int_equal(put(&loser), DHT_OLDER);
  assert_null(find_effect(DHT_STORE));
  f.fx.count = 0;
  dht_on_stored(f.dht, f.now, ticket, OK, &f.fx);
  const struct dht_effect *last = find_effect(DHT_STORE);
  assert_non_null(last);
  assert_int_equal(last->record[0].version, 30);
  assert_true(last->record[0].floor == loser.floor);
}

/* what was prolonged before stays so in the journal. */
static void test_the_row_has_the_latest_floor(void **state) {
  (void)state;
  struct record held = make(1, 1, 1, 10), winner = make(1, 1, 1, 30);
  held.floor += MINUTE;
  assert_int_equal(put(&held), DHT_NEW);
  uint32_t ticket = find_effect(DHT_STORE)->ticket;
  f.fx.count = 0;
  dht_on_stored(f.dht, f.now, ticket, OK, &f.fx);
  assert_int_equal(put(&winner), DHT_NEW);
  assert_true(find_effect(DHT_STORE)->record[0].floor == held.floor);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_put_is_seen_once_durable),
      TEST(test_failed_store_leaves_what_was_there),
      TEST(test_newer_wins),
      TEST(test_writes_overtake),
      TEST(test_lifetimes),
      TEST(test_sizes),
      TEST(test_values_per_owner),
      TEST(test_values_under_way_count),
      TEST(test_tombstones_are_bounded),
      TEST(test_values_per_key),
      TEST(test_records_of_one_owner),
      TEST(test_bytes_of_one_owner),
      TEST(test_room_of_immutable_values),
      TEST(test_copies_of_one_owner),
      TEST(test_no_room),
      TEST(test_no_memory),
      TEST(test_lapse),
      TEST(test_many_lapse_at_once),
      TEST(test_floor_of_a_loser),
      TEST(test_restore),
      TEST(test_three_copies),
      TEST(test_replacement),
      TEST(test_all_there_are),
      TEST(test_deadline),
      TEST(test_nobody_to_ask),
      TEST(test_slow_journal),
      TEST(test_accept),
      TEST(test_read_range),
      TEST(test_pages_within_one_key_and_by_size),
      TEST(test_the_winner_is_the_last_row),
      TEST(test_the_row_has_the_latest_floor),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
