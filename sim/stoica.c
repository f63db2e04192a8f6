/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/stoica.h"

#include <stdlib.h>
#include <string.h>

#include "sim/check.h"

#define PEERS 1000u
#define LOOKUPS 10000u
#define RECORDS 1000u
#define DELIVERIES_MAX 6u
#define SLOTS 32768u        /* of the map from keys to lookups */
#define AT_ONCE_US SEC(1)   /* Table II: the lookups begin within that after the failure */
#define HOPS_AT_START 70    /* Max-Forwards of a request at its origin */
#define SETTLE_US SEC(120)  /* once through most fingers */
#define ANSWERED_US SEC(30) /* after the last question */

struct lookup {
  struct key key;
  usec asked_at;
  uint32_t asker, life;
  uint32_t timeouts;
  struct delivery {
    uint32_t peer, hops;
    bool wrong, early;
  } delivery[DELIVERIES_MAX]; /* copies of it may have reached several peers, or one more than once
                               */
  unsigned deliveries;
  bool answered, good;
  struct delivery used; /* whose answer was taken */
};

struct play {
  struct world world;
  struct ledger ledger;
  struct script script;
  struct stoica_cell *cell;
  struct lookup *lookup;
  uint32_t lookup_count;
  uint32_t *slot; /* index + 1 by key */
  uint64_t first_ticket;
};

/* ---- the truth ---- */

/* The first peer at or after the key, of all that are up and members, or of those that are ready.
 */
static uint32_t owner(const struct world *world, const struct key *key, bool ready) {
  uint32_t best = SIM_NONE;
  struct key least = {{0}};
  for (uint32_t i = 0; i < world->peer_count; i++) {
    if (!world_is_up(world, i)) continue;
    struct key distance = key_distance(key, &world->peer[i].id);
    if (best != SIM_NONE && key_compare(&distance, &least) >= 0) continue;
    struct node_stats stats = node_stats(world->peer[i].node);
    if (!stats.member || (ready && !stats.ready)) continue;
    best = i;
    least = distance;
  }
  return best;
}

/* While a newcomer has not fetched its range, the old owner is right, too. */
static struct delivery judge(const struct play *play, const struct lookup *lookup, uint32_t peer,
                             uint32_t hops) {
  struct delivery delivery = {.peer = peer, .hops = hops};
  if (owner(&play->world, &lookup->key, false) == peer) return delivery;
  delivery.early = owner(&play->world, &lookup->key, true) == peer;
  delivery.wrong = !delivery.early;
  return delivery;
}

/* ---- lookups ---- */

static uint32_t *slot_of(struct play *play, const struct key *key) {
  uint32_t at = (uint32_t)key->byte[0] << 16 | (uint32_t)key->byte[1] << 8 | key->byte[2];
  for (at &= SLOTS - 1;; at = (at + 1) & (SLOTS - 1)) {
    uint32_t index = play->slot[at];
    if (index == 0 || key_equal(&play->lookup[index - 1].key, key)) return &play->slot[at];
  }
}

static void ask(struct play *play, bool counted) {
  struct world *world = &play->world;
  char uri[48];
  snprintf(uri, sizeof uri, "sip:%u@%llu.example.net", counted ? play->lookup_count : 0,
           (unsigned long long)rng_u64(&play->script.rng));
  uint32_t asker = truth_random_up(world, &play->script.rng);
  if (asker == SIM_NONE || !node_stats(world->peer[asker].node).member) return;
  if (counted) {
    if (play->lookup_count == 0) play->first_ticket = world->ticket + 1;
    struct lookup *lookup = &play->lookup[play->lookup_count++];
    *lookup = (struct lookup){.key = crypto_key(world->crypto, slice_cstr(uri)),
                              .asked_at = world->now,
                              .asker = asker,
                              .life = world->peer[asker].life};
    *slot_of(play, &lookup->key) = play->lookup_count;
  }
  world_ask(world, asker, &(struct node_command){.kind = COMMAND_LOOKUP, .uri = slice_cstr(uri)});
}

static void on_trace(void *context, uint32_t peer, const struct trace *trace) {
  struct play *play = context;
  bool leaves = trace->kind == TRACE_LOCSER_ORIGIN || trace->kind == TRACE_LOCSER_FORWARD;
  if (!leaves && trace->kind != TRACE_LOCSER_DELIVER) return;
  uint32_t index = *slot_of(play, &trace->key);
  if (index == 0) return;
  struct lookup *lookup = &play->lookup[index - 1];
  if (leaves) {
    uint32_t to = world_peer_at(&play->world, &trace->peer);
    if (to == SIM_NONE || !world_is_up(&play->world, to)) lookup->timeouts++;
    return;
  }
  if (lookup->deliveries == DELIVERIES_MAX) return;
  uint32_t hops = (uint32_t)(HOPS_AT_START + 1 - trace->n);
  lookup->delivery[lookup->deliveries++] = judge(play, lookup, peer, hops);
}

static void on_reply(void *context, uint32_t peer, uint64_t ticket,
                     const struct node_reply *reply) {
  struct play *play = context;
  if (reply->kind != COMMAND_LOOKUP) {
    ledger_on_reply(&play->ledger, peer, ticket, reply);
    return;
  }
  uint64_t index = ticket - play->first_ticket;
  if (play->lookup_count == 0 || ticket < play->first_ticket || index >= play->lookup_count) return;
  struct lookup *lookup = &play->lookup[index];
  lookup->answered = true;
  lookup->good = reply->code == 200;
  uint32_t by = reply->row_count == 1 ? world_peer_at(&play->world, &reply->row[0].at) : SIM_NONE;
  lookup->used = judge(play, lookup, by, 0); /* its own, or it was not seen */
  for (unsigned i = lookup->deliveries; i-- > 0;)
    if (lookup->delivery[i].peer == by) lookup->used = lookup->delivery[i];
  usec took = play->world.now - lookup->asked_at;
  if (took > play->cell->took_longest) play->cell->took_longest = took;
}

static void on_act(void *context, uint32_t what) {
  (void)context;
  (void)what;
}

/* ---- the two experiments ---- */

/* The ring as it should be, fingers and all; then some time for it to be used to itself. */
static void build(struct play *play, uint32_t peers) {
  struct world *world = &play->world;
  uint32_t *order = sim_take(peers * sizeof *order), who = 0;
  struct peer *ring = sim_take(peers * sizeof *ring);
  for (uint32_t i = 0; i < peers; i++) order[i] = world_add(world);
  truth_sort(world, order, peers);
  for (uint32_t k = 0; k < peers; k++)
    ring[k] = (struct peer){world->peer[order[k]].id, world_address(order[k]), 1};
  for (uint32_t k = 0; k < peers && !world_failed(world); k++) {
    uint32_t by = (uint32_t)rng_below(&play->script.rng, peers);
    world_place(world, order[k], ring, peers, k, by);
  }
  free(ring);
  free(order);
  ledger_put_all(&play->ledger);
  world_run(world, world->now + SETTLE_US);
  /* A live peer that was suspected, as happens with such latencies, is back in a few rounds. */
  bool ideal = check_is_ideal(world, &who);
  for (usec end = world->now + SETTLE_US; !ideal && world->now < end && !world_failed(world);) {
    world_run(world, world->now + SEC(5));
    ideal = check_is_ideal(world, &who);
  }
  if (!world_failed(world) && !ideal)
    world_fail(world, "the ring is not ideal; first at peer %u", who);
}

/* Peers learn from traffic. */
static void warm_up(struct play *play) {
  struct world *world = &play->world;
  for (uint32_t i = 0; i < LOOKUPS && !world_failed(world); i++) {
    ask(play, false);
    world_run(world, world->now + MSEC(10));
  }
  world_run(world, world->now + ANSWERED_US);
}

/* Without a word: whoever sends to them hears nothing. */
static void fail_at_once(struct play *play, uint32_t count) {
  while (count > 0) {
    uint32_t peer = truth_random_up(&play->world, &play->script.rng);
    if (peer == SIM_NONE) return;
    script_crash(&play->script, peer, true, USEC_NEVER);
    count--;
  }
}

static void play_table2(struct play *play) {
  struct world *world = &play->world;
  fail_at_once(play, world->up_count * play->cell->failed_of_100 / 100);
  for (uint32_t i = 0; i < LOOKUPS && !world_failed(world); i++) {
    ask(play, true);
    world_run(world, world->now + AT_ONCE_US / LOOKUPS);
  }
}

static void play_table3(struct play *play) {
  struct world *world = &play->world;
  struct rng *rng = &play->script.rng;
  usec mean = SEC(100) / play->cell->churn_of_100;
  usec lookup_at = world->now, join_at = world->now + exponential(rng, mean);
  usec leave_at = world->now + exponential(rng, mean);
  while (play->lookup_count < LOOKUPS && !world_failed(world)) {
    world_run(world, usec_min(lookup_at, usec_min(join_at, leave_at)));
    if (world->now == lookup_at) {
      ask(play, true);
      lookup_at += 1 + exponential(rng, SEC(1));
    } else if (world->now == join_at) {
      script_join(&play->script);
      join_at += 1 + exponential(rng, mean);
    } else {
      fail_at_once(play, 1);
      leave_at += 1 + exponential(rng, mean);
    }
  }
}

/* ---- the outcome ---- */

static void count_records(struct play *play) {
  const struct world *world = &play->world;
  for (uint32_t i = 0; i < play->ledger.count; i++) {
    const struct item *item = &play->ledger.item[i];
    if (item->state != ITEM_LIVE) continue;
    bool held = false;
    for (uint32_t k = 0; k < world->peer_count && !held; k++)
      held = world_is_up(world, k) && disk_find(&world->peer[k].disk, &item->id) != NULL;
    play->cell->records++;
    play->cell->records_lost += !held;
  }
}

static void count_lookups(struct play *play) {
  struct stoica_cell *cell = play->cell;
  for (uint32_t i = 0; i < play->lookup_count; i++) {
    const struct lookup *lookup = &play->lookup[i];
    const struct sim_peer *asker = &play->world.peer[lookup->asker];
    if (!lookup->answered && (asker->state != PEER_UP || asker->life != lookup->life)) {
      cell->orphans++;
      continue;
    }
    cell->lookups++;
    cell->timeouts += lookup->timeouts;
    if (!lookup->good)
      cell->unanswered++;
    else if (lookup->used.wrong)
      cell->wrong++;
    else
      cell->early += lookup->used.early;
    if (lookup->good) cell->hops[lookup->used.hops]++;
  }
}

static void open_play(struct play *play, const struct sim_options *options, struct crypto *crypto,
                      struct stoica_cell *cell) {
  struct weather weather;
  weather_set_calm(&weather);
  weather.of[LATENCY] = 3;
  weather.of[LATENCY_MAX_US] = 50000;
  weather.of[SUCCESSORS] = 20;
  weather.of[STABILIZE_MS] = 30000;
  weather.of[LOOKUP_MS] = 60000; /* the paper has no deadline */
  if (!cell->learnt) weather.of[LEARNT] = 0;
  for (unsigned i = 0; i < WEATHER_COUNT; i++)
    if (options->is_set[i]) weather.of[i] = options->set.of[i];
  uint32_t peers = options->peers > 0 ? options->peers : PEERS;
  play->cell = cell;
  world_open(&play->world, crypto, &weather, peers + 2 * LOOKUPS, options->seed);
  ledger_open(&play->ledger, &play->world, RECORDS, options->seed);
  script_open(&play->script, &play->world, &play->ledger, options->seed);
  play->script.target = peers;
  play->lookup = sim_take(LOOKUPS * sizeof *play->lookup);
  play->slot = sim_take(SLOTS * sizeof *play->slot);
  play->world.watch =
      (struct world_watch){play, on_act, on_reply, on_trace, NULL, NULL, NULL, NULL};
  build(play, peers);
}

void stoica_run(const struct sim_options *options, struct crypto *crypto,
                struct stoica_cell *cell) {
  struct play *play = sim_take(sizeof *play);
  uint64_t began = options->clock_us != NULL ? options->clock_us() : 0;
  open_play(play, options, crypto, cell);
  if (cell->learnt) warm_up(play);
  if (cell->table == 2)
    play_table2(play);
  else
    play_table3(play);
  world_run(&play->world, play->world.now + ANSWERED_US);
  count_lookups(play);
  count_records(play);
  memcpy(cell->failure, play->world.failure, sizeof cell->failure);
  if (options->clock_us != NULL) cell->took_us = options->clock_us() - began;
  ledger_close(&play->ledger);
  world_close(&play->world);
  free(play->lookup);
  free(play->slot);
  free(play);
}
