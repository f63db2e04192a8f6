/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/scale.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/check.h"

#define PACE_US MSEC(10)         /* of lookups: those that are due are asked together */
#define OVERDUE_US SEC(32)       /* a command is answered within that */
#define LOOK_US SEC(1)           /* how often progress is told */
#define UPKEEP_US SEC(60)        /* before the first lookup: what the ring costs by itself */
#define SETTLED_US SEC(30)       /* a joiner is known to its neighbours by then */
#define HEAL_PERIODS 30u         /* of stabilisation, until the ring must be ideal */
#define RESPONSIBLE_STEPS_MAX 64 /* dead peers and newcomers between a key and its peer */
#define HOPS_AT_START 70         /* Max-Forwards of a request at its origin */

enum scale_act { SCALE_LOOKUP = 128, SCALE_JOIN, SCALE_CRASH, SCALE_LEAVE };

/* One under way. Tickets come in order, so the ticket says where it is. */
struct lookup {
  uint64_t ticket; /* 0: none */
  struct key key;
  usec asked_at;
  uint32_t peer, life;
  uint32_t next; /* of the same bucket by key; SIM_NONE: last */
  uint8_t hops;
};

struct scale {
  struct script *script;
  struct world *world;
  struct world_watch outer; /* hears all that this file does not want */
  struct scale_result *result;
  uint32_t *ring; /* all peers that ever were, by Peer-ID */
  uint32_t ring_count;
  struct lookup *lookup;
  uint32_t *bucket; /* of lookups, by the beginning of their keys */
  uint32_t mask;
  uint64_t wanted; /* lookups in all */
  uint32_t first_peers;
  usec began, span; /* of lookups */
  usec gap[3];      /* mean, between joins, crashes, leaves; 0: none */
  bool churns;
};

/* ---- lookups under way ---- */

static uint32_t *bucket_of(struct scale *scale, const struct key *key) {
  uint32_t start = (uint32_t)key->byte[0] << 24 | (uint32_t)key->byte[1] << 16 |
                   (uint32_t)key->byte[2] << 8 | key->byte[3];
  return &scale->bucket[start & scale->mask];
}

static void lookup_open(struct scale *scale, uint64_t ticket, uint32_t peer,
                        const struct key *key) {
  struct world *world = scale->world;
  uint32_t place = (uint32_t)ticket & scale->mask;
  struct lookup *lookup = &scale->lookup[place];
  if (lookup->ticket != 0) {
    const struct sim_peer *asker = &world->peer[lookup->peer];
    if (world_is_up(world, lookup->peer) && asker->life == lookup->life) {
      world_fail(world, "a lookup of peer %u is not answered", lookup->peer);
      return;
    }
  }
  uint32_t *bucket = bucket_of(scale, key);
  *lookup = (struct lookup){.ticket = ticket,
                            .key = *key,
                            .asked_at = world->now,
                            .peer = peer,
                            .life = world->peer[peer].life,
                            .next = *bucket};
  *bucket = place;
}

static void lookup_close(struct scale *scale, struct lookup *lookup) {
  uint32_t place = (uint32_t)(lookup - scale->lookup);
  uint32_t *at = bucket_of(scale, &lookup->key);
  while (*at != SIM_NONE && *at != place) at = &scale->lookup[*at].next;
  if (*at == place) *at = lookup->next;
  lookup->ticket = 0;
}

static void note_delivered(struct scale *scale, const struct trace *trace) {
  uint32_t place = *bucket_of(scale, &trace->key);
  for (; place != SIM_NONE; place = scale->lookup[place].next) {
    struct lookup *lookup = &scale->lookup[place];
    if (!key_equal(&lookup->key, &trace->key)) continue;
    uint64_t hops = HOPS_AT_START + 1 - trace->n;
    lookup->hops = (uint8_t)(hops < SCALE_HOPS_MAX ? hops : SCALE_HOPS_MAX - 1);
  }
}

/* ---- the truth ---- */

/* May it have been passed over, because it was going, or had just come? */
static bool is_unsettled(const struct world *world, uint32_t i, usec since) {
  const struct sim_peer *peer = &world->peer[i];
  return peer->state != PEER_UP || peer->leaving || peer->ended_at >= since ||
         (peer->started_at > SIM_START_US && peer->started_at + SETTLED_US > world->now);
}

static bool was_up(const struct world *world, uint32_t i, usec since) {
  return world_is_up(world, i) || world->peer[i].ended_at >= since;
}

/* Was it the first at or after the key, at some time since then? If not: who surely was. */
static bool was_responsible(const struct scale *scale, uint32_t peer, const struct key *key,
                            usec since, uint32_t *who) {
  const struct world *world = scale->world;
  uint32_t place = truth_place(world, scale->ring, scale->ring_count, key);
  for (unsigned k = 0; k < RESPONSIBLE_STEPS_MAX; k++) {
    uint32_t at = scale->ring[(place + k) % scale->ring_count];
    *who = at;
    if (at == peer) return was_up(world, peer, since);
    if (!is_unsettled(world, at, since)) return false;
  }
  return false;
}

static void insert_into_ring(struct scale *scale, uint32_t peer) {
  uint32_t low = 0, high = scale->ring_count;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (key_compare(&scale->world->peer[scale->ring[middle]].id, &scale->world->peer[peer].id) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  memmove(&scale->ring[low + 1], &scale->ring[low],
          (scale->ring_count - low) * sizeof *scale->ring);
  scale->ring[low] = peer;
  scale->ring_count++;
}

/* ---- what happens ---- */

static void ask(struct scale *scale) {
  struct world *world = scale->world;
  uint32_t peer = (uint32_t)(scale->result->lookups % scale->first_peers);
  for (unsigned i = 0; i < 100 && is_unsettled(world, peer, world->now); i++)
    peer = (uint32_t)rng_below(&scale->script->rng, scale->first_peers);
  char text[48];
  struct buf uri = buf_over(text, sizeof text);
  buf_put_cstr(&uri, "sip:l");
  buf_put_u64(&uri, scale->result->lookups++);
  buf_put_cstr(&uri, "@example.net");
  struct key key = crypto_key(world->crypto, buf_slice(&uri));
  lookup_open(scale, world->ticket + 1, peer, &key);
  world_ask(world, peer, &(struct node_command){.kind = COMMAND_LOOKUP, .uri = buf_slice(&uri)});
}

static void ask_due(struct scale *scale) {
  struct world *world = scale->world;
  usec past = usec_min(world->now - scale->began + PACE_US, scale->span);
  uint64_t due = scale->wanted * past / scale->span;
  while (scale->result->lookups < due && !world_failed(world)) ask(scale);
  if (due < scale->wanted) world_act(world, world->now + PACE_US, SCALE_LOOKUP);
}

static void act_again(struct scale *scale, enum scale_act act) {
  usec mean = scale->gap[act - SCALE_JOIN];
  if (mean == 0 || !scale->churns) return;
  world_act(scale->world, scale->world->now + rng_between(&scale->script->rng, 1, 2 * mean), act);
}

static void join_one(struct scale *scale) {
  uint32_t peer = scale->world->peer_count;
  if (scale->ring_count == scale->world->peers_max) return;
  script_join(scale->script);
  insert_into_ring(scale, peer);
}

static void crash_one(struct scale *scale) {
  uint32_t peer = truth_random_up(scale->world, &scale->script->rng);
  bool dark = rng_below(&scale->script->rng, 1000) < scale->world->weather.of[DARK];
  if (peer != SIM_NONE) script_crash(scale->script, peer, dark, USEC_NEVER);
}

static void on_act(void *context, uint32_t what) {
  struct scale *scale = context;
  bool churns = scale->churns;
  switch (what) {
    case SCALE_LOOKUP:
      ask_due(scale);
      return;
    case SCALE_JOIN:
      if (churns) join_one(scale);
      break;
    case SCALE_CRASH:
      if (churns) crash_one(scale);
      break;
    case SCALE_LEAVE:
      if (churns) script_leave(scale->script);
      break;
    default:
      script_on_act(scale->script, what);
      return;
  }
  act_again(scale, (enum scale_act)what);
}

static void judge(struct scale *scale, struct lookup *lookup, const struct node_reply *reply) {
  struct world *world = scale->world;
  struct scale_result *result = scale->result;
  uint32_t found = SIM_NONE, wanted = SIM_NONE;
  if (reply->code == 200 && reply->row_count == 1) found = world_peer_at(world, &reply->row[0].at);
  if (reply->code != 200) {
    world_fail(world, "a lookup of peer %u failed: %u %.*s", lookup->peer, reply->code,
               SLICE_FMT(reply->text));
  } else if (found == SIM_NONE ||
             !was_responsible(scale, found, &lookup->key, lookup->asked_at, &wanted)) {
    char text[KEY_HEX + 1] = {0};
    struct buf key = buf_over(text, KEY_HEX);
    key_put(&key, &lookup->key);
    world_fail(world, "a lookup of peer %u for %s ended at peer %u; peer %u is responsible",
               lookup->peer, text, found, wanted);
  }
  usec took = world->now - lookup->asked_at;
  result->right++;
  result->hops[lookup->hops]++;
  result->hops_sum += lookup->hops;
  result->took_sum += took;
  result->took_max = usec_max(result->took_max, took);
}

static void on_reply(void *context, uint32_t peer, uint64_t ticket,
                     const struct node_reply *reply) {
  struct scale *scale = context;
  struct lookup *lookup = &scale->lookup[(uint32_t)ticket & scale->mask];
  if (reply->kind != COMMAND_LOOKUP) {
    script_on_reply(scale->script, peer, ticket, reply);
  } else if (lookup->ticket == ticket) {
    judge(scale, lookup, reply);
    lookup_close(scale, lookup);
  }
}

static void on_trace(void *context, uint32_t peer, const struct trace *trace) {
  struct scale *scale = context;
  if (trace->kind == TRACE_LOCSER_DELIVER) note_delivered(scale, trace);
  if (scale->outer.trace != NULL) scale->outer.trace(scale->outer.context, peer, trace);
}

static void on_event(void *context, uint32_t peer, const struct event *event) {
  struct scale *scale = context;
  scale->outer.event(scale->outer.context, peer, event);
}

static void on_gone(void *context, uint32_t peer) {
  struct scale *scale = context;
  scale->outer.gone(scale->outer.context, peer);
}

/* ---- phases ---- */

static void place_all(struct scale *scale, uint32_t peers) {
  struct world *world = scale->world;
  struct peer *ring = sim_take(peers * sizeof *ring);
  for (uint32_t i = 0; i < peers; i++) {
    world_add(world);
    scale->ring[i] = i;
  }
  truth_sort(world, scale->ring, peers);
  scale->ring_count = peers;
  for (uint32_t k = 0; k < peers; k++)
    ring[k] = (struct peer){world->peer[scale->ring[k]].id, world_address(scale->ring[k]), 1};
  for (uint32_t k = 0; k < peers && !world_failed(world); k++) {
    uint32_t by = (uint32_t)rng_below(&scale->script->rng, peers);
    world_place(world, scale->ring[k], ring, peers, k, by);
  }
  free(ring);
}

static void pass(struct world *world, usec span, enum figure_phase phase, scale_progress *progress,
                 void *context) {
  for (usec end = world->now + span; world->now < end && !world_failed(world);) {
    world_run(world, usec_min(end, world->now + LOOK_US));
    progress(context, phase);
  }
}

static bool is_ideal(struct scale *scale, uint32_t *who) {
  struct world *world = scale->world;
  uint32_t *up = sim_take((world->up_count + 1) * sizeof *up), count = 0;
  for (uint32_t k = 0; k < scale->ring_count; k++) {
    uint32_t i = scale->ring[k];
    if (world_is_up(world, i) && !world->peer[i].leaving) up[count++] = i;
  }
  bool ideal = check_ring_is_ideal(world, up, count, who);
  free(up);
  return ideal;
}

static void wait_for_ideal(struct scale *scale, scale_progress *progress, void *context) {
  struct world *world = scale->world;
  uint32_t who = 0;
  usec period = MSEC(world->weather.of[STABILIZE_MS]);
  usec end = world->now + HEAL_PERIODS * period;
  while (!world_failed(world) && !is_ideal(scale, &who)) {
    if (world->now >= end)
      world_fail(world, "the ring is not ideal after %llu s; first at peer %u",
                 (unsigned long long)(HEAL_PERIODS * period / USEC_PER_SEC), who);
    pass(world, period, PHASE_HEAL, progress, context);
  }
}

static void begin_churn(struct scale *scale, uint32_t peers, usec span) {
  uint64_t come = (uint64_t)peers * scale->world->weather.of[TURNOVER] / 1000;
  scale->churns = come > 0;
  if (come > 0) scale->gap[0] = span / come;
  if (come > 1) scale->gap[1] = scale->gap[2] = span / (come / 2);
  for (enum scale_act act = SCALE_JOIN; act <= SCALE_LEAVE; act++) act_again(scale, act);
}

/* The tables hold what can be under way at once. */
static void make_tables(struct scale *scale) {
  uint64_t at_once = scale->wanted * OVERDUE_US / scale->span + 1024;
  uint32_t room = 1024;
  while (room < 2 * at_once && room < (uint32_t)1 << 30) room *= 2;
  scale->mask = room - 1;
  scale->lookup = sim_take(room * sizeof *scale->lookup);
  scale->bucket = sim_take(room * sizeof *scale->bucket);
  for (uint32_t i = 0; i < room; i++) scale->bucket[i] = SIM_NONE;
  scale->ring = sim_take(scale->world->peers_max * sizeof *scale->ring);
  scale->result->bytes = room * (sizeof *scale->lookup + sizeof *scale->bucket) +
                         scale->world->peers_max * sizeof *scale->ring;
}

static void finish_lookups(struct scale *scale) {
  struct world *world = scale->world;
  for (uint32_t i = 0; i <= scale->mask && !world_failed(world); i++) {
    const struct lookup *lookup = &scale->lookup[i];
    if (lookup->ticket == 0) continue;
    const struct sim_peer *asker = &world->peer[lookup->peer];
    if (asker->state == PEER_UP && asker->life == lookup->life)
      world_fail(world, "a lookup of peer %u is not answered", lookup->peer);
  }
  scale->result->excused = scale->result->lookups - scale->result->right;
}

void scale_play(struct script *script, uint32_t peers, scale_progress *progress, void *context,
                struct scale_result *result) {
  struct world *world = script->world;
  usec all = SEC(world->weather.of[FAULTS_S]);
  usec upkeep = usec_min(UPKEEP_US, all / 4);
  struct scale scale = {.script = script,
                        .world = world,
                        .outer = world->watch,
                        .result = result,
                        .wanted = (uint64_t)peers * world->weather.of[LOOKUPS],
                        .first_peers = peers,
                        .span = usec_max(all - upkeep, 1)};
  make_tables(&scale);
  world->watch =
      (struct world_watch){&scale, on_act, on_reply, on_trace, on_event, on_gone, NULL, NULL};
  if (scale.outer.event == NULL) world->watch.event = NULL;
  place_all(&scale, peers);
  begin_churn(&scale, peers, all);
  uint64_t messages = world->messages, bytes = world->message_bytes;
  pass(world, upkeep, PHASE_PUT, progress, context);
  result->upkeep_messages = world->messages - messages;
  result->upkeep_bytes = world->message_bytes - bytes;
  result->upkeep_us = upkeep;
  scale.began = world->now;
  ask_due(&scale);
  pass(world, scale.span, PHASE_FAULTS, progress, context);
  scale.churns = false;
  pass(world, OVERDUE_US, PHASE_HEAL, progress, context);
  finish_lookups(&scale);
  wait_for_ideal(&scale, progress, context);
  if (!world_failed(world)) check_lists(world);
  world->watch = scale.outer;
  free(scale.lookup);
  free(scale.bucket);
  free(scale.ring);
}

unsigned scale_hops_p99(const struct scale_result *result) {
  uint64_t seen = 0;
  for (unsigned i = 0; i < SCALE_HOPS_MAX; i++) {
    seen += result->hops[i];
    if (seen * 100 >= result->right * 99) return i;
  }
  return SCALE_HOPS_MAX;
}
