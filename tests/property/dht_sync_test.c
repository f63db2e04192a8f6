/* SPDX-License-Identifier: BSD-2-Clause */
/* Comparing what peers hold: an equal range costs one exchange, a difference what it is worth, and
 * whoever answers nonsense gets nothing.. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/dht_world.h"

#define PERIOD SEC(75) /* a round is over by then, with its jitter */

/* Number i of many, all over the ring. */
static struct record numbered(unsigned i, uint64_t version) {
  struct record r = make_record((uint8_t)(i * 7), 1, version, false);
  r.key.byte[1] = (uint8_t)(i >> 8);
  r.key.byte[2] = (uint8_t)i;
  return r;
}

/* As from the journal: nobody else is told. */
static void hold(unsigned n, const struct record *r) {
  world_fx.count = 0;
  assert_int_equal(dht_restore(world.node[n].dht, wall_now(), r, &world_fx), OK);
  assert_int_equal(world_fx.count, 0);
}

static void ring_of(unsigned count) {
  for (unsigned i = 0; i < count; i++) add_node((uint8_t)(10 + i * (240 / count)));
  tell_ring(0);
  run_for(PERIOD);
}

static void forget_counts(void) {
  world.pushes = world.pulls = world.syncs = world.moved = world.said = 0;
}

/* All three hold all of them, but those of `skip` only where they say. */
static struct record held[6000];
static void hold_everywhere(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    held[i] = numbered(i, 1000 + i);
    for (unsigned n = 0; n < 3; n++) hold(n, &held[i]);
  }
}

static void assert_agreed(unsigned count) {
  for (unsigned i = 0; i < count; i++)
    for (unsigned n = 0; n < 3; n++)
      if (version_at(n, &held[i]) != held[i].version)
        fail_msg("node %u has version %llu of record %u, not %llu", n,
                 (unsigned long long)version_at(n, &held[i]), i,
                 (unsigned long long)held[i].version);
}

static void test_equal_ranges(void **state) {
  (void)state;
  world_open(1);
  ring_of(3);
  hold_everywhere(3000);
  forget_counts();
  run_for(PERIOD);
  /* Each of three asks two replicas, once or (with jitter) twice in that time; one range is cut at
   * zero. */
  assert_in_range(world.syncs, 8, 16);
  assert_int_equal(world.said, world.syncs); /* the answers are empty */
  assert_int_equal(world.pushes + world.pulls + world.moved, 0);
  assert_true(world_close());
}

/* What healing d of n records costs: records moved, and parts and items said. */
static void cost_of(unsigned n, unsigned d, unsigned *moved, unsigned *said) {
  world_open(2 + n + d);
  ring_of(3);
  hold_everywhere(n);
  for (unsigned i = 0; i < d; i++) { /* spread, newer at one node: the owner or a replica */
    struct record *r = &held[i * (n / d)];
    *r = numbered(i * (n / d), 900000);
    hold(i % 3, r);
  }
  forget_counts();
  run_for(2 * PERIOD);
  assert_agreed(n);
  *moved = world.moved;
  *said = world.said - world.syncs;
  assert_true(world_close());
}

/* the gate: what is said grows with d log n, what is moved with d. */
static void test_cost(void **state) {
  unsigned moved, said, said_small, said_large;
  (void)state;
  cost_of(300, 1, &moved, &said_small);
  assert_in_range(moved, 2, 4); /* to two others; one may get it twice */
  cost_of(6000, 1, &moved, &said_large);
  assert_in_range(moved, 2, 4);
  assert_in_range(said_large, 16, 2 * 16 * 4); /* four levels of 16 hold 65536 records */
  cost_of(6000, 20, &moved, &said);
  assert_in_range(moved, 40, 80);
  assert_true(said <= 20 * said_large);
  assert_true(said < 6000 / 2);
}

static void test_all_or_nothing(void **state) {
  (void)state;
  world_open(5);
  ring_of(3);
  for (unsigned i = 0; i < 600; i++) { /* one node holds all, the others nothing */
    held[i] = numbered(i, 7);
    hold(1, &held[i]);
  }
  forget_counts();
  run_for(2 * PERIOD);
  assert_agreed(600);
  /* 1200, and what an owner that got a copy passes on to all of its replicas at once */
  assert_in_range(world.moved, 1200, 3000);
  assert_true(world.said < 600); /* not one by one */
  assert_true(world_close());
}

static void test_tombstones_travel(void **state) {
  (void)state;
  world_open(6);
  ring_of(3);
  hold_everywhere(200);
  for (unsigned i = 0; i < 200; i += 20) {
    held[i].tombstone = true;
    held[i].version++;
    hold(i / 20 % 3, &held[i]);
  }
  /* the same version: a removal wins */
  struct record removed = held[5];
  removed.tombstone = true;
  hold(2, &removed);
  run_for(2 * PERIOD);
  assert_agreed(200);
  for (unsigned n = 0; n < 3; n++) {
    uint32_t cursor = 0;
    struct record r;
    assert_false(dht_find(world.node[n].dht, wall_now(), &removed.key, &cursor, &r));
    assert_int_equal(dht_stats(world.node[n].dht).tombstones, 11);
  }
  assert_true(world_close());
}

/* A key with so many records that it is cut inside. */
static void test_one_key(void **state) {
  (void)state;
  world_open(7);
  ring_of(3);
  for (unsigned i = 0; i < 1000; i++) {
    held[i] = make_record(30, (uint8_t)i, 5, false);
    held[i].owner.byte[3] = (uint8_t)(i >> 8);
    for (unsigned n = 0; n < 3; n++)
      if (i % 100 != 50 || n == i / 100 % 3) hold(n, &held[i]);
  }
  forget_counts();
  run_for(2 * PERIOD);
  assert_agreed(1000);
  /* a copy that comes in takes along, to other replicas, what is under its key: not counted */
  assert_true(world.said < 1000);
  assert_true(world_close());
}

/* What lapses within the margin is left alone, whatever clocks say. */
static void test_soon_to_lapse(void **state) {
  (void)state;
  world_open(8);
  ring_of(3);
  struct record soon = numbered(3, 9), later = numbered(4, 9);
  soon.floor = soon.expires = wall_now() + 300000 + 25000;
  later.floor = later.expires = wall_now() + 900000;
  hold(1, &soon);
  hold(1, &later);
  run_for(2 * PERIOD);
  assert_int_equal(copies_of(&soon), 1);
  assert_int_equal(copies_of(&later), 3);
  assert_true(world_close());
}

static void test_lossy_network(void **state) {
  (void)state;
  for (unsigned seed = 0; seed < 20; seed++) {
    world_open(100 + seed);
    ring_of(3);
    world.loss_percent = 20;
    world.journal_percent = 10;
    for (unsigned i = 0; i < 300; i++) {
      held[i] = numbered(i, 10);
      for (unsigned n = 0; n < 3; n++)
        if (rng_below(&world.rng, 3) > 0 || n == i % 3) hold(n, &held[i]);
    }
    run_for(SEC(300));
    world.loss_percent = world.journal_percent = 0;
    run_for(SEC(200));
    assert_agreed(300);
    assert_true(world_close());
  }
}

/* ---- one peer against anybody ---- */

static struct sync_part whole(void) {
  struct sync_part part = {0};
  memset(&part.upto, 0xFF, sizeof part.upto);
  return part;
}

/* A lone peer with so many records answers. */
static void answer_of(unsigned count, struct sync_part *asked, msec_wall until,
                      struct sync_view *view) {
  world_open(9);
  add_node(100);
  tell_ring(0);
  run_for(SEC(1));
  for (unsigned i = 0; i < count; i++) {
    held[i] = numbered(i, 1 + i);
    hold(0, &held[i]);
  }
  dht_answer_sync(world.node[0].dht, asked, until, view);
  assert_true(world_close());
}

static void test_answers(void **state) {
  struct sync_part all = whole();
  struct sync_view view;
  (void)state;
  answer_of(0, &all, 1, &view); /* nobody said what the asker has: nothing here */
  assert_int_equal(view.part_count, 1);
  assert_int_equal(view.part[0].count, 0);
  all.known = true;
  answer_of(0, &all, 1, &view);
  assert_int_equal(view.part_count + view.item_count, 0);
  all.count = 1;
  answer_of(16, &all, 1, &view); /* as many as are listed */
  assert_int_equal(view.item_count, 16);
  assert_int_equal(view.part_count, 0);
  answer_of(17, &all, 1, &view); /* one more */
  assert_int_equal(view.item_count, 0);
  assert_int_equal(view.part_count, 16);
  uint32_t sum = 0;
  for (unsigned i = 0; i < 16; i++) sum += view.part[i].count;
  assert_int_equal(sum, 17);
  assert_memory_equal(&view.part[15].upto, &all.upto, sizeof all.upto);
  all.count = 0;
  answer_of(17, &all, 1, &view); /* the asker has nothing: all of it */
  assert_int_equal(view.part_count, 1);
  assert_int_equal(view.part[0].count, 17);
}

/* Where all lapses soon there is nothing to sum up; the work stays bounded, and the answer says
 * what it does not know. */
static void test_more_than_the_budget(void **state) {
  struct sync_part all = whole();
  struct sync_view view;
  (void)state;
  all.known = true;
  all.count = 1;
  answer_of(5000, &all, WALL0 + (msec_wall)7 * 86400000, &view);
  assert_true(view.part_count == 1 && view.part[0].known && view.part[0].count == 0);
  static struct record many[20000];
  world_open(10);
  add_node(100);
  tell_ring(0);
  run_for(SEC(1));
  for (unsigned i = 0; i < 20000; i++) {
    many[i] = numbered(i, 1);
    many[i].owner.byte[0] = (uint8_t)(i >> 16);
    hold(0, &many[i]);
  }
  dht_answer_sync(world.node[0].dht, &all, WALL0 + (msec_wall)7 * 86400000, &view);
  assert_int_equal(view.part_count, 16);
  assert_false(view.part[15].known);
  assert_true(world_close());
}

/* The one peer under test is node 0 of two; node 1 answers what the test likes. */
static struct dht_effect *ask_of(struct dht_effects *fx) {
  for (unsigned i = 0; i < fx->count; i++)
    if (fx->effect[i].kind == DHT_SYNC) return &fx->effect[i];
  return NULL;
}

static void start_asking(unsigned records) {
  world_open(11);
  ring_of(2);
  for (unsigned i = 0; i < records; i++) {
    held[i] = numbered(i, 1 + i);
    hold(0, &held[i]);
  }
  do {
    usec due = dht_deadline(world.node[0].dht);
    if (due > world.now) world.now = due;
    world_fx.count = 0;
    dht_on_tick(world.node[0].dht, world.now, wall_now(), &world_fx);
  } while (ask_of(&world_fx) == NULL);
}

static void answer(struct sync_view *view) {
  uint32_t ticket = ask_of(&world_fx)->ticket;
  world_fx.count = 0;
  dht_on_synced(world.node[0].dht, world.now, ticket, OK, view, &world_fx);
}

/* Whatever is wrong with the answer, this peer does not go on with it. */
static void refuses(void (*spoil)(struct sync_view *, const struct sync_part *)) {
  start_asking(40);
  struct sync_part asked = ask_of(&world_fx)->part;
  struct sync_view view = {0};
  for (unsigned i = 0; i < 3; i++) {
    view.part[i] = asked;
    view.part[i].upto.key = numbered(i, 1).key;
    view.part[i].count = 1;
  }
  spoil(&view, &asked);
  answer(&view);
  for (unsigned i = 0; i < world_fx.count; i++) {
    assert_int_equal(world_fx.effect[i].kind, DHT_SYNC); /* the next range, or nothing */
    assert_memory_not_equal(&world_fx.effect[i].part.upto, &asked.upto, sizeof asked.upto);
  }
  assert_true(world_close());
}

static void spoil_same(struct sync_view *v, const struct sync_part *asked) {
  v->part_count = 1; /* asks to be asked for ever */
  v->part[0] = *asked;
  v->part[0].count++;
}
static void spoil_end(struct sync_view *v, const struct sync_part *asked) {
  (void)asked;
  v->part_count = 2; /* does not reach the end */
}
static void spoil_order(struct sync_view *v, const struct sync_part *asked) {
  v->part_count = 3;
  v->part[0].upto = v->part[2].upto = asked->upto;
}
static void spoil_unknown(struct sync_view *v, const struct sync_part *asked) {
  v->part_count = 1;
  v->part[0] = *asked;
  v->part[0].known = false;
}
static void spoil_outside(struct sync_view *v, const struct sync_part *asked) {
  v->item_count = 1;
  v->item[0] = (struct sync_item){.version = 1 << 20};
  v->item[0].id.key = key_successor(&asked->upto.key);
}
static void spoil_items(struct sync_view *v, const struct sync_part *asked) {
  v->item_count = 2; /* twice the same */
  v->item[0] = v->item[1] = (struct sync_item){.id = asked->upto, .version = 1};
}
static void spoil_both(struct sync_view *v, const struct sync_part *asked) {
  v->part_count = v->item_count = 1;
  v->part[0] = *asked;
  v->part[0].count = 0;
  v->item[0] = (struct sync_item){.id = asked->upto, .version = 1};
}

static void test_hostile_answers(void **state) {
  (void)state;
  refuses(spoil_same);
  refuses(spoil_end);
  refuses(spoil_order);
  refuses(spoil_unknown);
  refuses(spoil_outside);
  refuses(spoil_items);
  refuses(spoil_both);
}

/* One that always finds something finer to differ in is left after so many exchanges. */
static void test_endless_answers(void **state) {
  unsigned exchanges = 0;
  (void)state;
  start_asking(2000);
  struct key self = overlay_self(&world.node[0].overlay)->id;
  for (; ask_of(&world_fx) != NULL && exchanges < 5000; exchanges++) {
    struct sync_part asked = ask_of(&world_fx)->part;
    struct sync_view view = {0};
    struct key first = asked.has_after ? asked.after.key : (struct key){{0}};
    struct key span = key_distance(&first, &asked.upto.key);
    for (unsigned i = 0; i < 16; i++) { /* cut from the top: each half of what is left */
      view.part[i] = asked;
      view.part[i].known = true;
      view.part[i].count = 1000;
      view.part[i].digest = exchanges;
      int bit = key_top_bit(&span) - 16 + (int)i;
      if (i < 15 && bit >= 0) view.part[i].upto.key = key_add_power(&first, (unsigned)bit);
    }
    view.part_count = 16;
    answer(&view);
    while (ask_of(&world_fx) == NULL && dht_deadline(world.node[0].dht) <= world.now + SEC(1)) {
      world.now += 1;
      world_fx.count = 0;
      dht_on_tick(world.node[0].dht, world.now, wall_now(), &world_fx);
    }
  }
  assert_in_range(exchanges, 3, 2 * 1024);
  assert_true(key_equal(&self, &overlay_self(&world.node[0].overlay)->id));
  assert_true(world_close());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_equal_ranges),
      cmocka_unit_test(test_cost),
      cmocka_unit_test(test_all_or_nothing),
      cmocka_unit_test(test_tombstones_travel),
      cmocka_unit_test(test_one_key),
      cmocka_unit_test(test_soon_to_lapse),
      cmocka_unit_test(test_lossy_network),
      cmocka_unit_test(test_answers),
      cmocka_unit_test(test_more_than_the_budget),
      cmocka_unit_test(test_hostile_answers),
      cmocka_unit_test(test_endless_answers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
