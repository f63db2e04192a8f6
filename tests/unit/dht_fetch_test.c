/* SPDX-License-Identifier: BSD-2-Clause */
/* How a range gets to its new owner, by one peer whose neighbours are the test,
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

struct fixture {
  struct test_memory memory;
  struct overlay overlay;
  struct dht *dht;
  struct dht_effects fx;
  usec now;
};
static struct fixture f;

static int setup(void **state) {
  (void)state;
  const struct dht_limits limits = {0};
  const uint8_t seed[16] = {9};
  memset(&f, 0, sizeof f);
  test_memory_init(&f.memory, TEST_MEMORY_UNLIMITED);
  f.now = SEC(1);
  f.overlay.self = fake_peer(100);
  f.dht = dht_new(&limits, &f.overlay, &f.memory.memory, seed);
  return f.dht == NULL;
}
static int teardown(void **state) {
  (void)state;
  dht_free(f.dht);
  return f.memory.blocks != 0;
}

/* The ring of these places, as the peer at 100 sees it now. */
static void see(const uint8_t *places, unsigned count) {
  fake_view(&f.overlay, 100, places, count);
  f.fx.count = 0;
  dht_on_ring(f.dht, f.now, WALL, &f.fx);
}
#define SEE(...) see((const uint8_t[]){__VA_ARGS__}, sizeof(uint8_t[]){__VA_ARGS__})

static struct key place(uint8_t at) { return fake_peer(at).id; }
static struct key key_at(uint8_t at) { return (struct key){{at, 1}}; }

static const struct dht_effect *effect_to(enum dht_effect_kind kind, uint8_t to) {
  for (unsigned i = 0; i < f.fx.count; i++)
    if (f.fx.effect[i].kind == kind && f.fx.effect[i].to.id.byte[0] == to) return &f.fx.effect[i];
  return NULL;
}

static const struct dht_effect *effect_of(enum dht_effect_kind kind) {
  for (unsigned i = 0; i < f.fx.count; i++)
    if (f.fx.effect[i].kind == kind) return &f.fx.effect[i];
  return NULL;
}

/* The pull of this peer that was just made is answered, with no records. */
static void answer_pull(uint8_t from, enum err status, bool owner) {
  const struct dht_effect *pull = effect_to(DHT_PULL, from);
  assert_non_null(pull);
  uint32_t ticket = pull->ticket;
  f.fx.count = 0;
  dht_on_pulled(f.dht, f.now, ticket, status, owner, false, &(struct record_id){0}, &f.fx);
}

static void pass(usec span) {
  f.now += span;
  f.fx.count = 0;
  dht_on_tick(f.dht, f.now, WALL, &f.fx);
}

static struct record make(uint8_t key, uint64_t version) {
  static const char bytes[100] = {1};
  struct record r = {.version = version, .expires = WALL + 600000, .floor = WALL + 600000};
  r.key = key_at(key);
  r.bytes = slice_of(bytes, sizeof bytes);
  return r;
}

/* A write is begun; its ticket at the journal. */
static uint32_t put(uint8_t key, uint64_t version) {
  struct record r = make(key, version);
  f.fx.count = 0;
  assert_int_equal(dht_put(f.dht, f.now, WALL, &r, 1, f.now + SEC(4), 77, &f.fx), DHT_NEW);
  assert_int_equal(f.fx.effect[0].kind, DHT_STORE);
  return f.fx.effect[0].ticket;
}
static void stored(uint32_t ticket) {
  f.fx.count = 0;
  dht_on_stored(f.dht, f.now, ticket, OK, &f.fx);
}

static bool is_complete(uint8_t key) {
  struct key at = key_at(key);
  return dht_is_complete(f.dht, &at);
}
static bool takes_writes(uint8_t from, uint8_t to) {
  struct key first = place(from), last = place(to);
  return dht_takes_writes(f.dht, &first, &last);
}
static bool vouches(uint8_t from, uint8_t to) {
  struct key first = place(from), last = place(to);
  return dht_vouches_for(f.dht, &first, &last);
}

static void was_pulled(uint8_t from, uint8_t to) {
  struct key first = place(from), last = place(to);
  dht_was_pulled(f.dht, &first, &last);
}

/* 150 took the range over from 200 and does not know of us yet. 200 vouches for what it
 * gave up, but 150 still takes writes: only when it has stopped is all of it here. */
static void test_who_takes_writes_is_read_again(void **state) {
  (void)state;
  SEE(50, 100, 150, 200);
  answer_pull(150, ERR_BUSY, true);
  answer_pull(200, OK, false);
  answer_pull(150, OK, true); /* whoever owns a range vouches for it, too, but not for long */
  assert_false(is_complete(60));
  pass(SEC(1));
  answer_pull(150, ERR_BUSY, false);
  answer_pull(200, OK, false);
  answer_pull(150, ERR_BUSY, false);
  assert_true(is_complete(60));
}

/* The same after a predecessor's death: who believes that it is the owner is asked until it has
 * learnt better. */
static void test_another_owner_after_a_death(void **state) {
  (void)state;
  SEE(100);
  SEE(50, 100, 150, 200);
  assert_true(is_complete(60));
  SEE(20, 100, 150, 200);
  answer_pull(150, ERR_BUSY, true);
  answer_pull(200, ERR_BUSY, false);
  assert_false(is_complete(40));
  pass(SEC(1));
  answer_pull(150, ERR_BUSY, false);
  if (effect_to(DHT_PULL, 200) != NULL) answer_pull(200, ERR_BUSY, false);
  assert_true(is_complete(40));
}

/* What a peer says of a range. */
static void test_owner_and_voucher(void **state) {
  (void)state;
  SEE(100);
  assert_true(takes_writes(10, 60) && vouches(10, 60)); /* alone, all is ours */
  uint32_t ticket = put(40, 5);
  SEE(50, 100, 150);
  assert_true(takes_writes(60, 100) && vouches(60, 100));
  assert_true(takes_writes(49, 51));
  assert_true(vouches(10, 50));      /* it was all here ... */
  assert_true(takes_writes(10, 50)); /* ... but for what the journal has not yet */
  stored(ticket);
  assert_false(takes_writes(10, 50));
  pass(SEC(31));
  assert_false(vouches(10, 50));
}

/* one who vouches for what it gave up does not know what those nearer to us took since. */
static void test_a_search_reads_the_nearer_ones(void **state) {
  (void)state;
  SEE(50, 100, 150, 200);
  struct key key = key_at(60);
  f.fx.count = 0;
  assert_int_equal(dht_find_wait(f.dht, f.now, &key, f.now + SEC(3), 5, &f.fx), OK);
  struct dht_effects asked = f.fx;
  answer_pull(200, OK, false);
  assert_int_equal(f.fx.count, 0);
  f.fx = asked;
  answer_pull(150, ERR_BUSY, true);
  assert_int_equal(f.fx.count, 1);
  assert_int_equal(f.fx.effect[0].kind, DHT_FIND_DONE);
  assert_int_equal(f.fx.effect[0].status, OK);
}

/* ---- what was asked for (R-5.9) ---- */

static void find(const struct key *key, uint64_t user) {
  f.fx.count = 0;
  assert_int_equal(dht_find_wait(f.dht, f.now, key, f.now + SEC(3), user, &f.fx), OK);
}
static void assert_found(uint64_t user, enum err status) {
  assert_int_equal(f.fx.count, 1);
  assert_int_equal(f.fx.effect[0].kind, DHT_FIND_DONE);
  assert_int_equal(f.fx.effect[0].user, user);
  assert_int_equal(f.fx.effect[0].status, status);
}

/* One question for as many as ask for the same key, and none any more when it is answered, but for
 * a ring that changed. */
static void test_a_key_is_asked_for_once(void **state) {
  (void)state;
  struct key key = key_at(60);
  SEE(50, 100, 150, 200);
  find(&key, 5);
  struct dht_effects asked = f.fx;
  find(&key, 6);
  assert_int_equal(f.fx.count, 0);
  f.fx = asked;
  answer_pull(150, OK, false);
  assert_found(5, OK);
  pass(1);
  assert_found(6, OK);
  assert_true(is_complete(60));
  assert_false(is_complete(61));
  find(&key, 7);
  assert_found(7, OK);
  SEE(50, 100, 120, 150, 200);
  assert_false(is_complete(60));
}

/* Who answered still takes writes: that is an answer to one question only. */
static void test_what_may_change_is_asked_for_again(void **state) {
  (void)state;
  struct key key = key_at(60);
  SEE(50, 100, 150, 200);
  find(&key, 5);
  struct dht_effects asked = f.fx;
  find(&key, 6);
  f.fx = asked;
  answer_pull(150, OK, true);
  assert_found(5, OK);
  assert_false(is_complete(60));
  pass(1);
  answer_pull(150, OK, false);
  assert_found(6, OK);
}

/* Of more keys than there is room for the oldest are forgotten. */
static void test_as_many_keys_as_there_is_room_for(void **state) {
  (void)state;
  struct key first = {{60}}, second = {{60, 0, 1}};
  SEE(50, 100, 150, 200);
  for (unsigned i = 0; i <= 256; i++) {
    struct key key = {{60, (uint8_t)(i >> 8), (uint8_t)i}};
    find(&key, i);
    answer_pull(150, OK, false);
    assert_found(i, OK);
  }
  assert_false(dht_is_complete(f.dht, &first));
  assert_true(dht_is_complete(f.dht, &second));
}

/* Nobody vouches, and nobody will: when a range would be filled so, a key is found so. */
static void test_a_key_that_nobody_vouches_for(void **state) {
  (void)state;
  static const uint8_t others[] = {150, 200, 50};
  struct key key = key_at(60);
  SEE(50, 100, 150, 200);
  for (unsigned round = 0; round < 4; round++) {
    for (unsigned i = 0; i < 3; i++) answer_pull(others[i], ERR_BUSY, false);
    if (round < 3) pass(SEC(2));
  }
  assert_false(is_complete(60));
  find(&key, 5);
  struct dht_effects asked = f.fx;
  answer_pull(150, ERR_BUSY, false);
  assert_int_equal(f.fx.count, 1); /* the third, when one of two has answered */
  struct dht_effects third = f.fx;
  f.fx = asked;
  answer_pull(200, ERR_BUSY, false);
  f.fx = third;
  answer_pull(50, ERR_BUSY, false);
  assert_found(5, OK);
  assert_true(is_complete(60));
}

/* Asked while one that vouches was still looked for, only two have answered. */
static void test_two_do_not_settle_it(void **state) {
  (void)state;
  static const uint8_t others[] = {150, 200, 50};
  struct key key = key_at(60);
  struct dht_effects asked;
  SEE(50, 100, 150, 200);
  for (unsigned round = 0; round < 4; round++) {
    for (unsigned i = 0; i < 3; i++) answer_pull(others[i], ERR_BUSY, false);
    if (round < 3) pass(SEC(2));
    if (round != 2) continue;
    struct dht_effects fetch = f.fx;
    find(&key, 5);
    asked = f.fx;
    f.fx = fetch;
  }
  f.fx = asked;
  answer_pull(150, ERR_BUSY, false);
  assert_int_equal(f.fx.count, 0);
  f.fx = asked;
  answer_pull(200, ERR_BUSY, false);
  assert_found(5, ERR_BUSY);
  assert_false(is_complete(60));
}

/* 50 has died, and the first of two sources has been read. */
static void read_half_after_a_death(void) {
  SEE(100);
  SEE(50, 100, 150, 200);
  SEE(20, 100, 150, 200);
  answer_pull(150, ERR_BUSY, false);
}

/* 150 was read through; that 200 is gone, and 180 has come, is no reason to begin again. */
static void test_reading_goes_on_in_another_ring(void **state) {
  (void)state;
  read_half_after_a_death();
  assert_non_null(effect_to(DHT_PULL, 200));
  SEE(20, 100, 150, 180);
  assert_null(effect_to(DHT_PULL, 150));
  answer_pull(180, ERR_BUSY, false);
  assert_true(is_complete(40));
}

/* But not for a range that was another's in between. */
static void test_reading_begins_again_for_another_death(void **state) {
  (void)state;
  read_half_after_a_death();
  SEE(20, 50, 100, 150, 200);
  SEE(20, 100, 150, 200);
  answer_pull(150, ERR_BUSY, false);
  answer_pull(200, ERR_BUSY, false);
  assert_true(is_complete(40));
}

/* Without memory to remember whom it asks it tries again, and takes nothing for COMPLETE. */
static void test_reading_waits_for_memory(void **state) {
  (void)state;
  f.memory.fail_after = 0;
  SEE(50, 100, 150, 200);
  assert_null(effect_to(DHT_PULL, 150));
  assert_false(is_complete(60));
  f.memory.fail_after = TEST_MEMORY_UNLIMITED;
  pass(SEC(1));
  answer_pull(150, OK, false);
  assert_true(is_complete(60));
}

/* 50 was only believed dead. What was written here meanwhile is pushed to it. */
static void test_who_is_back_is_told_what_it_missed(void **state) {
  (void)state;
  SEE(100);
  SEE(20, 50, 100, 150);
  SEE(20, 100, 150);
  stored(put(40, 5));
  SEE(20, 50, 100, 150);
  for (unsigned i = 0; i < 49; i++) {
    pass(MSEC(100));
    assert_null(effect_to(DHT_PUSH, 50)); /* it may pull */
  }
  pass(MSEC(100));
  const struct dht_effect *push = effect_to(DHT_PUSH, 50);
  assert_non_null(push);
  assert_int_equal(push->record_count, 1);
  assert_int_equal(push->record[0].version, 5);
}

/* The same, and we leave before the time is over: nobody else would tell it. */
static void test_a_leaver_tells_it_before(void **state) {
  (void)state;
  SEE(100);
  SEE(20, 50, 100, 150);
  SEE(20, 100, 150);
  stored(put(40, 5));
  SEE(20, 50, 100, 150);
  f.fx.count = 0;
  dht_hand_over(f.dht, f.now, WALL, f.now + SEC(10), &f.fx);
  const struct dht_effect *push = effect_to(DHT_PUSH, 50);
  assert_non_null(push);
  uint32_t ticket = push->ticket;
  for (unsigned i = 0; i < f.fx.count; i++)
    assert_int_not_equal(f.fx.effect[i].kind, DHT_HANDED_OVER);
  pass(SEC(1));
  assert_int_equal(f.fx.count, 0);
  dht_on_pushed(f.dht, f.now, ticket, OK, &f.fx);
  if (f.fx.count == 0) pass(SEC(1));
  assert_int_equal(f.fx.count, 1); /* and what we held as the copy of 50 */
  assert_int_equal(f.fx.effect[0].kind, DHT_PUSH);
  assert_int_equal(f.fx.effect[0].to.id.byte[0], 20);
  ticket = f.fx.effect[0].ticket;
  f.fx.count = 0;
  dht_on_pushed(f.dht, f.now, ticket, OK, &f.fx);
  assert_int_equal(f.fx.count, 1);
  assert_int_equal(f.fx.effect[0].kind, DHT_HANDED_OVER);
  assert_int_equal(f.fx.effect[0].status, OK);
}

static void acknowledge_all(void) {
  uint32_t ticket[16];
  unsigned count = 0;
  for (unsigned i = 0; i < f.fx.count && count < 16; i++)
    if (f.fx.effect[i].kind == DHT_PUSH) ticket[count++] = f.fx.effect[i].ticket;
  f.fx.count = 0;
  for (unsigned i = 0; i < count; i++) dht_on_pushed(f.dht, f.now, ticket[i], OK, &f.fx);
}

/* a replica left meanwhile, and the one in its place has nothing yet. We are the last that
 * sees to it. */
static void test_a_leaver_waits_for_its_copies(void **state) {
  (void)state;
  SEE(100);
  stored(put(90, 5));
  SEE(20, 50, 100, 150, 200);
  was_pulled(100, 50);
  while (f.fx.count > 0) acknowledge_all();
  dht_hand_over(f.dht, f.now, WALL, f.now + SEC(10), &f.fx);
  struct dht_effects handed_over = f.fx;
  SEE(20, 50, 100, 200, 220);
  const struct dht_effect *copy = effect_to(DHT_PUSH, 220);
  assert_non_null(copy);
  uint32_t ticket = copy->ticket;
  f.fx = handed_over;
  for (unsigned i = 0; i < 20; i++) {
    acknowledge_all();
    for (unsigned k = 0; k < f.fx.count; k++)
      assert_int_not_equal(f.fx.effect[k].kind, DHT_HANDED_OVER);
    if (f.fx.count == 0) pass(MSEC(100));
  }
  f.fx.count = 0;
  dht_on_pushed(f.dht, f.now, ticket, OK, &f.fx);
  for (unsigned i = 0; i < 20 && effect_of(DHT_HANDED_OVER) == NULL; i++) {
    acknowledge_all();
    if (f.fx.count == 0) pass(MSEC(100));
  }
  assert_non_null(effect_of(DHT_HANDED_OVER));
}

/* what became ours while we leave is handed over, too. */
static void test_a_leaver_whose_range_grows(void **state) {
  (void)state;
  SEE(100);
  stored(put(40, 5));
  SEE(20, 50, 100, 150);
  assert_true(vouches(100, 50));
  was_pulled(100, 50); /* 50 has it */
  f.fx.count = 0;
  dht_hand_over(f.dht, f.now, WALL, f.now + SEC(10), &f.fx);
  const struct dht_effect *push = effect_to(DHT_PUSH, 20); /* the copy that will be missing */
  assert_non_null(push);
  uint32_t ticket = push->ticket;
  SEE(20, 100, 150);
  f.fx.count = 0;
  dht_on_pushed(f.dht, f.now, ticket, OK, &f.fx);
  push = effect_to(DHT_PUSH, 150); /* the next to be responsible */
  assert_non_null(push);
  assert_int_equal(push->record_count, 1);
}

/* Is there more after the page that is asked for? */
static bool page_has_more(const struct record_id *after, struct record *out, unsigned *count) {
  struct key first = place(100), last = place(50);
  bool more;
  *count = dht_read_range(f.dht, WALL, &first, &last, after, out, 16, &more);
  if (!more) was_pulled(100, 50);
  return more;
}
/* The newcomer at 50 took this range over, and was answered the first page: one record. */
static struct record_id give_up_a_record(void) {
  struct record page[16];
  unsigned count;
  SEE(100);
  stored(put(40, 5));
  SEE(50, 100, 150);
  assert_true(vouches(100, 50));
  assert_true(page_has_more(NULL, page, &count));
  assert_int_equal(count, 1);
  return record_id_of(&page[0]);
}

static void test_who_pulls_is_told_nothing(void **state) {
  (void)state;
  struct record page[16];
  unsigned count;
  struct record_id after = give_up_a_record();
  assert_false(page_has_more(&after, page, &count)); /* it has the first one */
  assert_int_equal(count, 0);
  for (unsigned i = 0; i < 100; i++) {
    pass(MSEC(100));
    assert_null(effect_to(DHT_PUSH, 50));
  }
  assert_false(page_has_more(NULL, page, &count)); /* who pulls it later is asked for nothing */
  assert_int_equal(count, 1);
}

/* A page that was answered may be lost: whoever asked for it may not ask for the next (swarm, seed
 * 6720). */
static void test_who_pulls_one_page_is_told(void **state) {
  (void)state;
  (void)give_up_a_record();
  for (unsigned i = 0; i < 51 && effect_to(DHT_PUSH, 50) == NULL; i++) pass(MSEC(100));
  assert_non_null(effect_to(DHT_PUSH, 50));
}

/* whose records are kept up to date here. */
static bool is_holder(uint8_t key) {
  struct key at = key_at(key);
  return dht_is_holder(f.dht, &at);
}
static void test_holder(void **state) {
  (void)state;
  SEE(100);
  assert_true(is_holder(30));
  SEE(20, 40, 60, 80, 100, 150);
  assert_true(is_holder(90) && is_holder(50));
  assert_false(is_holder(30) || is_holder(120));
}
static void test_a_newcomer_is_no_holder(void **state) {
  (void)state;
  SEE(50, 100, 150);
  assert_false(is_holder(60));
  answer_pull(150, OK, false);
  assert_true(is_holder(60));
}

/* */
static void test_newcomer(void **state) {
  (void)state;
  SEE(50, 100, 150);
  assert_true(dht_is_newcomer(f.dht));
  pass(SEC(20) - 1);
  assert_true(dht_is_newcomer(f.dht));
  pass(1);
  assert_false(dht_is_newcomer(f.dht)); /* or a ring of newcomers would wait for ever */
}
static void test_newcomer_until_complete(void **state) {
  (void)state;
  SEE(50, 100, 150);
  answer_pull(150, OK, false);
  assert_true(is_complete(60));
  assert_false(dht_is_newcomer(f.dht));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_who_takes_writes_is_read_again, setup, teardown),
      cmocka_unit_test_setup_teardown(test_another_owner_after_a_death, setup, teardown),
      cmocka_unit_test_setup_teardown(test_owner_and_voucher, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_search_reads_the_nearer_ones, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_key_is_asked_for_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_may_change_is_asked_for_again, setup, teardown),
      cmocka_unit_test_setup_teardown(test_as_many_keys_as_there_is_room_for, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_key_that_nobody_vouches_for, setup, teardown),
      cmocka_unit_test_setup_teardown(test_two_do_not_settle_it, setup, teardown),
      cmocka_unit_test_setup_teardown(test_reading_goes_on_in_another_ring, setup, teardown),
      cmocka_unit_test_setup_teardown(test_reading_begins_again_for_another_death, setup, teardown),
      cmocka_unit_test_setup_teardown(test_reading_waits_for_memory, setup, teardown),
      cmocka_unit_test_setup_teardown(test_who_is_back_is_told_what_it_missed, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_leaver_tells_it_before, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_leaver_waits_for_its_copies, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_leaver_whose_range_grows, setup, teardown),
      cmocka_unit_test_setup_teardown(test_who_pulls_is_told_nothing, setup, teardown),
      cmocka_unit_test_setup_teardown(test_who_pulls_one_page_is_told, setup, teardown),
      cmocka_unit_test_setup_teardown(test_holder, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_newcomer_is_no_holder, setup, teardown),
      cmocka_unit_test_setup_teardown(test_newcomer, setup, teardown),
      cmocka_unit_test_setup_teardown(test_newcomer_until_complete, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
