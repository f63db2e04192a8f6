/* SPDX-License-Identifier: BSD-2-Clause */
/* Many peers' tier 1 in one process, over the fake ring: the messages between them, journals that
 * may fail, and time. Include it in one file of a test. */
#ifndef SUPPORT_DHT_WORLD_H
#define SUPPORT_DHT_WORLD_H

#include <stdlib.h>

#include "base/rng.h"
#include "dht/dht.h"
#include "support/fake_ring.h"
#include "support/memory.h"

#define WALL0 ((msec_wall)1777636800000)
#define NODES_MAX 24u
#define EVENTS_MAX 4096u
#define BATCH 16u

enum event_kind {
  EVENT_STORED,
  EVENT_PUSH,
  EVENT_PULL,
  EVENT_SYNC,
  EVENT_PUSHED,
  EVENT_PULLED,
  EVENT_SYNCED,
  EVENT_RING
};

/* What is on its way. Records are copies of their own. */
struct event {
  usec at;
  uint64_t order;
  enum event_kind kind;
  unsigned from, to; /* nodes; `to` is where it happens */
  uint32_t life;     /* of `to`: a node that restarted gets none of its earlier life */
  uint32_t ticket;
  enum err status;
  struct key range_from, range_to;
  bool stray, has_after, more, vouched, owner;
  struct record_id after;
  unsigned limit;
  struct sync_view sync;
  unsigned count;
  struct record record[BATCH];
};

/* Records being taken at a node, and what is to be answered then. */
struct taking {
  bool used, failed;
  unsigned left;
  struct event answer; /* EVENT_PUSHED to the pusher, or EVENT_PULLED here */
};

struct node {
  bool alive;
  uint8_t place;
  uint32_t life;
  struct overlay overlay;
  struct dht *dht;
  struct taking taking[32];
};

struct world {
  struct test_memory memory;
  struct rng rng;
  usec now;
  uint64_t order;
  struct node node[NODES_MAX];
  unsigned node_count;
  struct event *event[EVENTS_MAX];
  unsigned event_count;
  unsigned loss_percent;         /* of pushes and pulls */
  unsigned journal_percent;      /* of stores that fail */
  unsigned pushes, pulls, syncs; /* made so far */
  unsigned moved;                /* records in pushes and answers to pulls */
  unsigned said;                 /* parts and items in syncs and their answers */
  struct dht_limits limits;
  /* PUT_DONE and FIND_DONE of the test's own calls, by user */
  enum err put_status[65536];
  unsigned put_copies[65536];
  bool put_done[65536];
  enum err find_status[256];
  bool find_done[256];
  enum err handed_over;
  bool hand_over_done;
};

#define USER_TAKING ((uint64_t)1 << 32)

static struct world world;

static msec_wall wall_now(void) { return WALL0 + world.now / USEC_PER_MSEC; }

static struct record copy_record(const struct record *r) {
  struct record c = *r;
  char *at = malloc(r->bytes.len == 0 ? 1 : r->bytes.len);
  if (at == NULL) abort();
  if (r->bytes.len > 0) memcpy(at, r->bytes.at, r->bytes.len);
  c.bytes = slice_of(at, r->bytes.len);
  return c;
}

static void free_records(struct event *e) {
  for (unsigned i = 0; i < e->count; i++) {
    void *at = NULL;
    memcpy(&at, &e->record[i].bytes.at, sizeof at);
    free(at);
  }
  e->count = 0;
}

static struct event *send_event(enum event_kind kind, unsigned from, unsigned to, usec delay) {
  struct event *e = calloc(1, sizeof *e);
  if (e == NULL || world.event_count == EVENTS_MAX) abort();
  e->at = world.now + delay;
  e->order = world.order++;
  e->kind = kind;
  e->from = from;
  e->to = to;
  e->life = world.node[to].life;
  world.event[world.event_count++] = e;
  return e;
}

static usec link_delay(void) { return rng_between(&world.rng, 1000, 20000); }

static unsigned node_at(const struct peer *peer) {
  unsigned at = 0;
  while (at < world.node_count && world.node[at].place != peer->id.byte[0]) at++;
  if (at == world.node_count) abort();
  return at;
}

static void send_sync(unsigned n, const struct dht_effect *f) {
  unsigned at = node_at(&f->to);
  struct event *e;
  world.syncs++;
  if (!world.node[at].alive || rng_below(&world.rng, 100) < world.loss_percent) {
    e = send_event(EVENT_SYNCED, at, n, MSEC(500));
    e->status = ERR_TIMEOUT;
  } else {
    e = send_event(EVENT_SYNC, n, at, link_delay());
    e->sync.until = f->until;
    e->sync.part[0] = f->part;
    world.said++;
  }
  e->ticket = f->ticket;
}

/* What a node wants done. */
static void carry_out(unsigned n, const struct dht_effects *fx) {
  for (unsigned i = 0; i < fx->count; i++) {
    const struct dht_effect *f = &fx->effect[i];
    struct event *e;
    switch (f->kind) {
      case DHT_STORE:
        e = send_event(EVENT_STORED, n, n, rng_between(&world.rng, 100, 5000));
        e->ticket = f->ticket;
        e->status = rng_below(&world.rng, 100) < world.journal_percent ? ERR_IO : OK;
        break;
      case DHT_SYNC:
        send_sync(n, f);
        break;
      case DHT_PUSH:
      case DHT_PULL: {
        unsigned at = node_at(&f->to);
        bool push = f->kind == DHT_PUSH;
        if (push)
          world.pushes++;
        else
          world.pulls++;
        if (!world.node[at].alive || rng_below(&world.rng, 100) < world.loss_percent) {
          e = send_event(push ? EVENT_PUSHED : EVENT_PULLED, at, n, MSEC(500));
          e->status = ERR_TIMEOUT;
        } else {
          e = send_event(push ? EVENT_PUSH : EVENT_PULL, n, at, link_delay());
          e->count = f->record_count;
          for (unsigned k = 0; k < f->record_count; k++) e->record[k] = copy_record(&f->record[k]);
        }
        e->ticket = f->ticket;
        e->range_from = f->range_from;
        e->range_to = f->range_to;
        e->has_after = f->has_after;
        e->after = f->after;
        e->limit = f->limit;
        e->stray = f->stray;
        world.moved += f->record_count;
        break;
      }
      case DHT_PUT_DONE:
        if (f->user >= USER_TAKING) {
          struct taking *t = &world.node[n].taking[f->user - USER_TAKING];
          if (f->status != OK) t->failed = true;
          t->left--;
        } else {
          if (world.put_done[f->user]) abort(); /* answered exactly once */
          world.put_done[f->user] = true;
          world.put_status[f->user] = f->status;
          world.put_copies[f->user] = f->copies;
        }
        break;
      case DHT_FIND_DONE:
        world.find_done[f->user] = true;
        world.find_status[f->user] = f->status;
        break;
      case DHT_HANDED_OVER:
        world.hand_over_done = true;
        world.handed_over = f->status;
        break;
      case DHT_ERASE:
        break;
    }
  }
}

static struct dht_effects world_fx;

/* Sends the answers of those whose records are all in. */
static void finish_takings(unsigned n) {
  struct node *node = &world.node[n];
  for (unsigned i = 0; i < 32; i++) {
    struct taking *t = &node->taking[i];
    if (!t->used || t->left > 0) continue;
    struct event answer = t->answer;
    bool failed = t->failed;
    *t = (struct taking){0};
    if (answer.kind == EVENT_PUSHED) {
      struct event *e = send_event(EVENT_PUSHED, n, answer.from, link_delay());
      e->ticket = answer.ticket;
      e->status = failed ? ERR_REFUSED : OK;
      e->life = answer.life;
      for (unsigned k = 0; answer.stray && !failed && k < answer.count; k++) {
        world_fx.count = 0;
        dht_pass_on(node->dht, world.now, &answer.record[k].key, &world_fx);
        carry_out(n, &world_fx);
      }
    } else {
      enum err status = failed ? ERR_REFUSED : answer.vouched ? OK : ERR_BUSY;
      world_fx.count = 0;
      dht_on_pulled(node->dht, world.now, answer.ticket, status, answer.owner, answer.more,
                    &answer.after, &world_fx);
      carry_out(n, &world_fx);
    }
  }
}

static void take_records(unsigned n, struct event *e, enum event_kind answer_kind) {
  struct node *node = &world.node[n];
  unsigned slot = 0;
  while (slot < 32 && node->taking[slot].used) slot++;
  if (slot == 32) abort();
  struct taking *t = &node->taking[slot];
  *t = (struct taking){.used = true, .left = e->count, .answer = *e};
  t->answer.kind = answer_kind;
  if (answer_kind == EVENT_PUSHED) t->answer.life = world.node[e->from].life;
  for (unsigned i = 0; i < e->count; i++) {
    world_fx.count = 0;
    enum dht_verdict v =
        dht_accept(node->dht, world.now, wall_now(), &e->record[i], USER_TAKING + slot, &world_fx);
    if (v == DHT_NO_ROOM || v == DHT_TOO_MANY || v == DHT_TOO_LARGE) t->failed = true;
    if (v != DHT_NEW && v != DHT_SAME) t->left--;
    carry_out(n, &world_fx);
  }
  finish_takings(n);
}

static void answer_pull(unsigned n, const struct event *ask) {
  struct record out[BATCH];
  bool more;
  struct node *node = &world.node[n];
  unsigned count = dht_read_range(node->dht, wall_now(), &ask->range_from, &ask->range_to,
                                  ask->has_after ? &ask->after : NULL, out,
                                  ask->limit > 0 ? ask->limit : BATCH, &more);
  world.moved += count;
  struct event *e = send_event(EVENT_PULLED, n, ask->from, link_delay());
  e->ticket = ask->ticket;
  e->status = OK;
  e->more = more;
  e->owner = dht_takes_writes(node->dht, &ask->range_from, &ask->range_to);
  e->vouched = dht_vouches_for(node->dht, &ask->range_from, &ask->range_to);
  if (e->vouched && !more) dht_was_pulled(node->dht, &ask->range_from, &ask->range_to);
  e->count = count;
  for (unsigned i = 0; i < count; i++) e->record[i] = copy_record(&out[i]);
  if (count > 0) e->after = record_id_of(&out[count - 1]);
}

static void answer_sync(unsigned n, const struct event *ask) {
  struct event *e = send_event(EVENT_SYNCED, n, ask->from, link_delay());
  e->ticket = ask->ticket;
  dht_answer_sync(world.node[n].dht, &ask->sync.part[0], ask->sync.until, &e->sync);
  world.said += e->sync.part_count + e->sync.item_count;
}

static void handle(struct event *e) {
  struct node *node = &world.node[e->to];
  world_fx.count = 0;
  if (!node->alive || e->life != node->life) return;
  switch (e->kind) {
    case EVENT_STORED:
      dht_on_stored(node->dht, world.now, e->ticket, e->status, &world_fx);
      break;
    case EVENT_PUSHED:
      dht_on_pushed(node->dht, world.now, e->ticket, e->status, &world_fx);
      break;
    case EVENT_PUSH:
      take_records(e->to, e, EVENT_PUSHED);
      return;
    case EVENT_PULL:
      answer_pull(e->to, e);
      return;
    case EVENT_SYNC:
      answer_sync(e->to, e);
      return;
    case EVENT_SYNCED:
      dht_on_synced(node->dht, world.now, e->ticket, e->status, &e->sync, &world_fx);
      break;
    case EVENT_PULLED:
      if (e->status == OK) {
        take_records(e->to, e, EVENT_PULLED);
        return;
      }
      dht_on_pulled(node->dht, world.now, e->ticket, e->status, false, false, &e->after, &world_fx);
      break;
    case EVENT_RING:
      dht_on_ring(node->dht, world.now, wall_now(), &world_fx);
      break;
  }
  carry_out(e->to, &world_fx);
  finish_takings(e->to);
}

static usec next_time(unsigned *which) {
  usec at = USEC_NEVER;
  *which = EVENTS_MAX;
  for (unsigned i = 0; i < world.event_count; i++) {
    const struct event *e = world.event[i];
    if (e->at < at ||
        (e->at == at && *which < EVENTS_MAX && e->order < world.event[*which]->order)) {
      at = e->at;
      *which = i;
    }
  }
  return at;
}

static void tick_nodes(void) {
  for (unsigned n = 0; n < world.node_count; n++) {
    struct node *node = &world.node[n];
    for (unsigned round = 0; node->alive && dht_deadline(node->dht) <= world.now; round++) {
      if (round > 10000) abort(); /* a timer that is due for ever */
      world_fx.count = 0;
      dht_on_tick(node->dht, world.now, wall_now(), &world_fx);
      carry_out(n, &world_fx);
      finish_takings(n);
    }
  }
}

/* Until this time, event after event. */
static void run_until(usec end) {
  for (;;) {
    unsigned which;
    usec at = next_time(&which), due = at;
    for (unsigned n = 0; n < world.node_count; n++)
      if (world.node[n].alive) due = usec_min(due, dht_deadline(world.node[n].dht));
    if (due > end) break;
    if (due > world.now) world.now = due;
    if (at <= world.now) {
      struct event *e = world.event[which];
      world.event[which] = world.event[--world.event_count];
      handle(e);
      free_records(e);
      free(e);
    }
    tick_nodes();
  }
  world.now = end;
}
static void run_for(usec span) { run_until(world.now + span); }

/* ---- the ring ---- */

static unsigned sorted_places(uint8_t *out) {
  unsigned count = 0;
  for (unsigned place = 0; place < 256; place++)
    for (unsigned n = 0; n < world.node_count; n++)
      if (world.node[n].alive && world.node[n].place == place) out[count++] = (uint8_t)place;
  return count;
}

/* Everybody alive learns of the ring as it is, each after a delay of its own up to this. */
static void tell_ring(usec delay_max) {
  uint8_t places[NODES_MAX];
  unsigned count = sorted_places(places);
  for (unsigned n = 0; n < world.node_count; n++) {
    if (!world.node[n].alive) continue;
    fake_view(&world.node[n].overlay, world.node[n].place, places, count);
    send_event(EVENT_RING, n, n, delay_max == 0 ? 0 : rng_below(&world.rng, delay_max));
  }
}

static void start_node(unsigned n) {
  uint8_t seed[16];
  struct node *node = &world.node[n];
  rng_fill(&world.rng, seed, sizeof seed);
  node->alive = true;
  node->life++;
  memset(node->taking, 0, sizeof node->taking);
  node->overlay = (struct overlay){.self = fake_peer(node->place)};
  node->overlay.self.incarnation = node->life;
  node->dht = dht_new(&world.limits, &node->overlay, &world.memory.memory, seed);
  if (node->dht == NULL) abort();
}

static unsigned add_node(uint8_t place) {
  unsigned n = world.node_count++;
  world.node[n] = (struct node){.place = place};
  start_node(n);
  return n;
}

static void kill_node(unsigned n) {
  world.node[n].alive = false;
  dht_free(world.node[n].dht);
  world.node[n].dht = NULL;
}

static inline unsigned responsible_for(uint8_t key) {
  uint8_t places[NODES_MAX];
  unsigned count = sorted_places(places), i = 0;
  /* a key of the test is its first byte and something more, so it comes after that place */
  while (i < count && places[i] <= key) i++;
  uint8_t place = places[i % count];
  for (unsigned n = 0; n < world.node_count; n++)
    if (world.node[n].alive && world.node[n].place == place) return n;
  abort();
}

static void world_open(unsigned seed_byte) {
  const uint8_t seed[16] = {(uint8_t)seed_byte, (uint8_t)(seed_byte >> 8)};
  memset(&world, 0, sizeof world);
  test_memory_init(&world.memory, TEST_MEMORY_UNLIMITED);
  rng_init(&world.rng, seed);
  world.now = SEC(1);
  world.limits.puts_max = 256;
}

/* False: something was not given back. */
static bool world_close(void) {
  for (unsigned n = 0; n < world.node_count; n++)
    if (world.node[n].alive) kill_node(n);
  for (unsigned i = 0; i < world.event_count; i++) {
    free_records(world.event[i]);
    free(world.event[i]);
  }
  return world.memory.blocks == 0;
}

/* ---- records ---- */

static struct record make_record(uint8_t key, uint8_t nonce, uint64_t version, bool tombstone) {
  static const char bytes[128] = {1};
  struct record r = {.version = version, .tombstone = tombstone};
  r.key.byte[0] = key;
  r.key.byte[19] = 1;
  r.nonce.byte[0] = nonce;
  r.floor = r.expires = WALL0 + (msec_wall)6 * 86400000;
  rng_fill(&world.rng, &r.digest, sizeof r.digest);
  r.bytes = slice_of(bytes, 100);
  return r;
}

static inline enum dht_verdict put_at(unsigned n, const struct record *r, uint64_t user) {
  world_fx.count = 0;
  enum dht_verdict v =
      dht_put(world.node[n].dht, world.now, wall_now(), r, 1, world.now + SEC(4), user, &world_fx);
  carry_out(n, &world_fx);
  return v;
}

static uint64_t version_at(unsigned n, const struct record *r) {
  return dht_version(world.node[n].dht, &r->key, &r->owner, &r->nonce);
}

/* How many living peers hold at least this version. */
static unsigned copies_of(const struct record *r) {
  unsigned count = 0;
  for (unsigned n = 0; n < world.node_count; n++)
    if (world.node[n].alive && version_at(n, r) >= r->version) count++;
  return count;
}

#endif
