/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/record_layout.h"
#include "sim/liar.h"
#include "sim/record_model.h"
#include "sim/seal_model.h"

#define PLACED_LINKS_MAX 64u /* successors and fingers of a placed peer */
#define KEYS_US 200          /* signing, verifying */
/* What is known of every step, narrated or not: tracing must not change what happens. */
#define TRACES_WANTED \
  (~((uint64_t)1 << TRACE_SIP_IN | (uint64_t)1 << TRACE_SIP_OUT | (uint64_t)1 << TRACE_SIP_BAD))

/* ---- memory of the nodes: counted ---- */

static void *node_take(void *context, size_t bytes) {
  struct sim_peer *peer = context;
  peer->bytes += bytes;
  if (peer->bytes > peer->bytes_max) peer->bytes_max = peer->bytes;
  return malloc(bytes > 0 ? bytes : 1);
}
static void node_give(void *context, void *at, size_t bytes) {
  struct sim_peer *peer = context;
  peer->bytes -= bytes;
  free(at);
}
static void *plain_take(void *context, size_t bytes) {
  (void)context;
  return malloc(bytes > 0 ? bytes : 1);
}
static void plain_give(void *context, void *at, size_t bytes) {
  (void)context;
  (void)bytes;
  free(at);
}

/* ---- the world ---- */

void world_open(struct world *world, struct crypto *crypto, const struct weather *weather,
                uint32_t peers_max, uint64_t seed) {
  *world = (struct world){.weather = *weather, .crypto = crypto, .peers_max = peers_max};
  uint8_t bytes[16] = {'w'};
  for (unsigned i = 0; i < 8; i++) bytes[8 + i] = (uint8_t)(seed >> 8 * i);
  rng_init(&world->rng, bytes);
  world->memory = (struct memory){plain_take, plain_give, NULL};
  world->xml = node_reader_new(&world->memory, rng_u64(&world->rng));
  world->peer = sim_take(peers_max * sizeof *world->peer);
  world->items = sim_take(OUTBOX_STEP_ITEMS * sizeof *world->items);
  world->bytes = sim_take(OUTBOX_STEP_BYTES);
  outbox_init(&world->box, world->items, OUTBOX_STEP_ITEMS, world->bytes, OUTBOX_STEP_BYTES);
  world->box.trace_mask = TRACES_WANTED;
  world->now = SIM_START_US;
  net_open(world);
}

void world_close(struct world *world) {
  for (uint32_t i = 0; i < world->peer_count; i++) {
    if (world->peer[i].node != NULL) node_free(world->peer[i].node);
    disk_wipe(&world->peer[i].disk);
    liar_forgets(&world->peer[i]);
  }
  queue_free(&world->queue);
  net_free(world);
  node_reader_free(world->xml);
  free(world->peer);
  free(world->items);
  free(world->bytes);
}

void world_fail(struct world *world, const char *format, ...) {
  if (world_failed(world)) return;
  va_list list;
  va_start(list, format);
  vsnprintf(world->failure, sizeof world->failure, format, list);
  va_end(list);
  world->failed_at = world->now;
}

/* Nobody attacks the trace hash: one multiplication a word is enough to tell runs apart. */
static uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 32;
}

/* Little-endian, whatever the machine: the compiler makes one load of it. */
static uint64_t word_at(const uint8_t *at) {
  return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
         (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 |
         (uint64_t)at[7] << 56;
}

static uint64_t mix_bytes(const void *bytes, size_t len) {
  const uint8_t *at = bytes;
  uint64_t hash[4] = {len, ~(uint64_t)len, len << 1, len << 2}; /* four at a time */
  for (; len >= 32; len -= 32, at += 32)
    for (unsigned i = 0; i < 4; i++) hash[i] = mix(hash[i], word_at(at + 8 * i));
  for (; len >= 8; len -= 8, at += 8) hash[0] = mix(hash[0], word_at(at));
  for (; len > 0; len--, at++) hash[0] = mix(hash[0], *at);
  return mix(mix(hash[0], hash[1]), mix(hash[2], hash[3]));
}

void world_hash(struct world *world, const uint64_t *words, unsigned count) {
  for (unsigned i = 0; i < count; i++) world->hash = mix(world->hash, words[i]);
}

bool dice(struct world *world, uint32_t of, uint32_t sides) {
  return of > 0 && rng_below(&world->rng, sides) < of;
}

void world_later(struct world *world, usec at, uint32_t peer, struct event *event) {
  event->peer = peer;
  event->life = world->peer[peer].life;
  queue_push(&world->queue, at, peer, event);
}

void world_act(struct world *world, usec at, uint32_t what) {
  struct event *event = event_new(EVENT_ACT, SLICE_EMPTY);
  event->from = what;
  queue_push(&world->queue, at, SIM_NONE, event);
}

/* ---- what nodes ask for ---- */

static bool is_user(struct slice address) {
  return slice_find(address, SLICE(PEER_USER_DOMAIN)) == address.len;
}

struct key world_owner(const struct world *world, uint32_t peer, struct slice address) {
  char text[600];
  struct buf name = buf_over(text, sizeof text);
  buf_put(&name, slice_first(address, 512));
  /* where there are people, their keys are at all peers, as if granted */
  bool people = world->weather.of[MESSAGES] > 0 || world->weather.of[WATCHERS] > 0;
  if (!people || !is_user(address)) buf_put_hex(&name, world->peer[peer].id.byte, KEY_BYTES);
  return crypto_key(world->crypto, buf_slice(&name));
}

static void carry_sign(struct world *world, uint32_t peer, const struct output *out) {
  struct key owner = world_owner(world, peer, out->text);
  size_t room = out->data.len + RECORD_SIGNATURE_ROOM;
  char *text = sim_take(room);
  struct buf record = buf_over(text, room);
  enum err status = record_model_sign(world->crypto, &owner, out->data, &record);
  struct event *event = event_new(EVENT_SIGNED, buf_slice(&record));
  free(text);
  event->ticket = out->ticket;
  event->status = status;
  world_later(world, world->now + KEYS_US, peer, event);
}

static void carry_verify(struct world *world, uint32_t peer, const struct output *out) {
  const char *why;
  struct event *event = event_new(EVENT_VERIFIED, SLICE_EMPTY);
  event->ticket = out->ticket;
  event->status = record_model_verify(world->crypto, out->data, &why);
  world_later(world, world->now + KEYS_US, peer, event);
}

/* The answer is the bytes of the certificates that signing puts in. */
static void carry_user(struct world *world, uint32_t peer, const struct output *out) {
  struct key owner = world_owner(world, peer, out->text);
  struct event *event = event_new(EVENT_USER, slice_of(owner.byte, KEY_BYTES));
  event->ticket = out->ticket;
  world_later(world, world->now + KEYS_US, peer, event);
}

static void carry_seal(struct world *world, uint32_t peer, const struct output *out) {
  bool seal = out->kind == OUT_SEAL;
  size_t room = seal ? SEAL_MODEL_ROOM(out->data.len, 16u) : out->data.len + 1;
  char *text = sim_take(room);
  struct buf result = buf_over(text, room);
  enum err status;
  if (seal) {
    status = seal_model_make(world->crypto, out->text, out->data, &result);
  } else {
    struct key owner = world_owner(world, peer, out->text);
    status = seal_model_open(world->crypto, &owner, out->data, &result);
  }
  struct event *event = event_new(seal ? EVENT_SEALED : EVENT_UNSEALED, buf_slice(&result));
  free(text);
  event->ticket = out->ticket;
  event->status = status;
  world_later(world, world->now + KEYS_US, peer, event);
}

static void carry_trace(struct world *world, uint32_t peer, const struct trace *trace) {
  if (trace->kind == TRACE_RING_JOINED || trace->kind == TRACE_RING_LEFT ||
      trace->kind == TRACE_RING_SUCCESSOR || trace->kind == TRACE_RING_PREDECESSOR)
    world->ring_changes++;
  if (trace->kind == TRACE_PEER_SUSPECT) {
    uint32_t suspect = world_peer_at(world, &trace->peer);
    if (suspect != SIM_NONE && world_is_up(world, suspect)) world->wrong_suspicions++;
  }
  const uint64_t words[] = {(uint64_t)trace->kind, trace->status, trace->n,
                            mix_bytes(&trace->key, sizeof trace->key)};
  world_hash(world, words, sizeof words / sizeof words[0]);
  if (world->watch.trace != NULL) world->watch.trace(world->watch.context, peer, trace);
}

static void carry_out(struct world *world, uint32_t peer) {
  for (uint32_t k = 0; k < world->box.count; k++) {
    const struct output *out = &world->box.item[k];
    switch (out->kind) {
      case OUT_SEND:
        if (!liar_sends(world, peer, out)) net_send(world, peer, out);
        break;
      case OUT_CLOSE:
        net_close(world, peer, out->flow);
        break;
      case OUT_STORE:
      case OUT_ERASE:
        disk_write(world, peer, out);
        break;
      case OUT_SIGN:
        carry_sign(world, peer, out);
        break;
      case OUT_VERIFY:
        carry_verify(world, peer, out);
        break;
      case OUT_USER:
        carry_user(world, peer, out);
        break;
      case OUT_SEAL:
      case OUT_UNSEAL:
        carry_seal(world, peer, out);
        break;
      case OUT_OPEN:    /* keys in sealed values are tried with real keys, not here */
      case OUT_RESOLVE: /* simulated phones are all of the overlay; a question ends by itself */
        break;
      case OUT_REPLY:
        world->watch.reply(world->watch.context, peer, out->ticket, out->reply);
        break;
      case OUT_TRACE:
        carry_trace(world, peer, &out->trace);
        break;
    }
  }
}

/* ---- steps ---- */

static void set_tick(struct world *world, uint32_t i) {
  struct sim_peer *peer = &world->peer[i];
  usec at = node_deadline(peer->node);
  if (at == USEC_NEVER || at >= peer->tick_at) return;
  peer->tick_at = usec_max(at, world->now);
  queue_push(&world->queue, peer->tick_at, i, NULL);
}

void world_step(struct world *world, uint32_t i, const struct input *input) {
  struct sim_peer *peer = &world->peer[i];
  world->steps++;
  if (++world->at_once > SIM_ITEMS_A_TIME_MAX) {
    world_fail(world, "peer %u: something is due for ever", i);
    return;
  }
  outbox_reset(&world->box);
  node_step(peer->node, world->now, input, &world->box);
  carry_out(world, i);
  if (peer->node != NULL) set_tick(world, i);
  if (world->watch.stepped != NULL) world->watch.stepped(world->watch.context, i);
}

uint64_t world_ask(struct world *world, uint32_t peer, const struct node_command *command) {
  uint64_t ticket = ++world->ticket;
  world_step(world, peer,
             &(struct input){.kind = IN_COMMAND, .ticket = ticket, .command = command});
  return ticket;
}

/* ---- events ---- */

static void hash_event(struct world *world, const struct queue_item *item) {
  const struct event *event = item->event;
  const uint64_t words[] = {item->at,
                            item->sequence,
                            item->peer,
                            (uint64_t)event->kind,
                            event->life,
                            (uint64_t)event->from,
                            event->flow,
                            (uint64_t)event->status,
                            event->ticket,
                            event->len,
                            mix_bytes(event->bytes, event->len)};
  world_hash(world, words, sizeof words / sizeof words[0]);
}

static void happen(struct world *world, struct event *event) {
  if (world->watch.event != NULL) world->watch.event(world->watch.context, event->peer, event);
  switch (event->kind) {
    case EVENT_MESSAGE:
      net_on_message(world, event);
      break;
    case EVENT_FLOW:
      net_on_flow(world, event);
      break;
    case EVENT_DISK:
      disk_on_done(world, event->peer);
      break;
    case EVENT_SIGNED:
    case EVENT_SEALED:
    case EVENT_UNSEALED: {
      const struct input input = {.kind = event->kind == EVENT_SIGNED   ? IN_SIGNED
                                          : event->kind == EVENT_SEALED ? IN_SEALED
                                                                        : IN_UNSEALED,
                                  .status = event->status,
                                  .ticket = event->ticket,
                                  .data = slice_of(event->bytes, event->len)};
      world_step(world, event->peer, &input);
      break;
    }
    case EVENT_USER: {
      struct input input = {
          .kind = IN_USER, .ticket = event->ticket, .data = slice_of(event->bytes, event->len)};
      memcpy(&input.record.owner, event->bytes, KEY_BYTES);
      input.record.bytes = input.data;
      world_step(world, event->peer, &input);
      break;
    }
    case EVENT_VERIFIED:
      world_step(
          world, event->peer,
          &(struct input){.kind = IN_VERIFIED, .status = event->status, .ticket = event->ticket});
      break;
    case EVENT_ACT:
    case EVENT_SWEEP:
    case EVENT_TICK:
      break;
  }
}

static void tick(struct world *world, const struct queue_item *item) {
  struct sim_peer *peer = &world->peer[item->peer];
  if (peer->state != PEER_UP || peer->tick_at != item->at) return;
  peer->tick_at = USEC_NEVER;
  usec due = usec_max(node_deadline(peer->node), peer->paused_until);
  if (due <= world->now) {
    const uint64_t words[] = {item->at, item->sequence, item->peer};
    world_hash(world, words, 3);
    world_step(world, item->peer, &(struct input){.kind = IN_TICK});
  } else if (due != USEC_NEVER) {
    peer->tick_at = due;
    queue_push(&world->queue, due, item->peer, NULL);
  }
}

/* A process that stands still finds everything waiting when it goes on. */
static bool is_paused(struct world *world, struct queue_item *item) {
  usec until = world->peer[item->peer].paused_until;
  if (until <= world->now) return false;
  queue_push(&world->queue, until, item->peer, item->event);
  return true;
}

static void take_one(struct world *world, struct queue_item *item) {
  struct event *event = item->event;
  if (event == NULL) {
    tick(world, item);
    return;
  }
  if (event->kind == EVENT_ACT) {
    hash_event(world, item);
    world->watch.act(world->watch.context, event->from);
  } else if (event->kind == EVENT_SWEEP) {
    net_sweep(world);
  } else {
    const struct sim_peer *peer = &world->peer[event->peer];
    if (peer->state == PEER_UP && peer->life == event->life) {
      if (event->kind != EVENT_DISK && is_paused(world, item)) return;
      hash_event(world, item);
      happen(world, event);
    }
  }
  free(event);
}

void world_run(struct world *world, usec until) {
  struct queue_item item;
  while (!world_failed(world) && queue_pop(&world->queue, until, &item)) {
    if (item.at > world->now) {
      world->now = item.at;
      world->at_once = 0;
    }
    take_one(world, &item);
  }
  if (!world_failed(world) && until > world->now) world->now = until;
}

/* ---- lives ---- */

uint32_t world_add(struct world *world) {
  if (world->peer_count == world->peers_max) return SIM_NONE;
  struct sim_peer *peer = &world->peer[world->peer_count];
  peer->memory = (struct memory){node_take, node_give, peer};
  rng_fill(&world->rng, &peer->id, sizeof peer->id);
  uint64_t place = rng_u64(&world->rng);
  peer->x = (uint16_t)(place & 1023);
  peer->y = (uint16_t)(place >> 16 & 1023);
  uint32_t skew = world->weather.of[SKEW_MS];
  peer->skew_ms = (int64_t)rng_below(&world->rng, 2 * (uint64_t)skew + 1) - (int64_t)skew;
  peer->drops = dice(world, world->weather.of[DROPPERS], 1000);
  peer->lies = liar_draw(world);
  world->liar_count += peer->lies != 0;
  return world->peer_count++;
}

static void configure(struct world *world, uint32_t i, struct node_config *config) {
  struct sim_peer *peer = &world->peer[i];
  node_config_defaults(config);
  config->id = peer->id;
  config->incarnation = peer->life;
  config->advertise = config->listen[0] = config->listen[1] = world_address(i);
  config->listen[1].transport = TRANSPORT_UDP;
  config->listen_count = 2;
  config->peer_transport = world_proves(world) ? TRANSPORT_TLS : TRANSPORT_UDP;
  config->successors = world->weather.of[SUCCESSORS];
  config->replicas = world->weather.of[REPLICAS];
  config->stabilize_us = MSEC(world->weather.of[STABILIZE_MS]);
  config->strangers = world_proves(world) && world->weather.of[WARY] != 0;
  config->wary = (enum node_wary)world->weather.of[WARY];
  config->lookup_timeout_us = MSEC(world->weather.of[LOOKUP_MS]);
  config->policy = world->weather.of[PINS] != 0 ? NODE_OPEN : NODE_LABORATORY;
  if (world->weather.of[WATCHERS] > 0) config->limits.subscriptions_max = 4096;
  config->limits.learnt_peers_max = world->weather.of[LEARNT];
  rng_fill(&world->rng, config->seed, sizeof config->seed);
  config->memory = &peer->memory;
  config->crypto = world->crypto;
  config->xml = world->xml;
}

static bool be_born(struct world *world, uint32_t i, const uint32_t *joins, unsigned count) {
  struct sim_peer *peer = &world->peer[i];
  struct node_config config;
  peer->life++;
  configure(world, i, &config);
  for (unsigned k = 0; k < count && k < NODE_JOIN_MAX; k++)
    config.join[config.join_count++] = world_address(joins[k]);
  peer->node = node_new(&config, world->now);
  if (peer->node == NULL) {
    world_fail(world, "peer %u: no memory", i);
    return false;
  }
  peer->state = PEER_UP;
  peer->dark = peer->leaving = peer->left = false;
  peer->tick_at = USEC_NEVER;
  peer->started_at = world->now;
  peer->paused_until = 0;
  world->up_count++;
  world_step(world, i, &(struct input){.kind = IN_CLOCK, .wall = world_wall(world, i)});
  return true;
}

void world_place(struct world *world, uint32_t i, const struct peer *ring, uint32_t count,
                 uint32_t at, uint32_t by) {
  struct endpoint bootstrap = world_address(by);
  if (!be_born(world, i, NULL, 0)) return;
  struct node *node = world->peer[i].node;
  if (!node_place(node, world->now, ring, count, at, &bootstrap)) {
    world_fail(world, "peer %u: no memory", i);
    return;
  }
  struct peer known[PLACED_LINKS_MAX];
  unsigned links = node_peers(node, known, PLACED_LINKS_MAX);
  for (unsigned k = 0; k < links; k++) {
    uint32_t other = world_peer_at(world, &known[k].at);
    usec rtt = net_latency(world, i, other) + net_latency(world, other, i);
    node_place_link(node, world->now, &known[k], rtt);
  }
  set_tick(world, i);
}

void world_start(struct world *world, uint32_t i, const uint32_t *joins, unsigned count) {
  struct sim_peer *peer = &world->peer[i];
  if (!be_born(world, i, joins, count)) return;
  for (uint32_t k = 0; k < peer->disk.count; k++)
    world_step(world, i, &(struct input){.kind = IN_RESTORE, .record = peer->disk.record[k]});
  world_step(world, i, &(struct input){.kind = IN_START});
}

void world_crash(struct world *world, uint32_t i, bool dark) {
  struct sim_peer *peer = &world->peer[i];
  node_free(peer->node);
  peer->node = NULL;
  peer->state = PEER_DOWN;
  peer->ended_at = world->now;
  peer->dark = dark;
  world->up_count--;
  if (peer->bytes != 0)
    world_fail(world, "peer %u kept %llu bytes", i, (unsigned long long)peer->bytes);
  net_on_crash(world, i, dark);
  disk_on_crash(world, i);
  if (world->watch.gone != NULL) world->watch.gone(world->watch.context, i);
}

void world_wipe_disk(struct world *world, uint32_t i) { disk_wipe(&world->peer[i].disk); }

void world_pause(struct world *world, uint32_t i, usec until) {
  world->peer[i].paused_at = world->now;
  world->peer[i].paused_until = until;
}
