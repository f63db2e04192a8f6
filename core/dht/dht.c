/* SPDX-License-Identifier: BSD-2-Clause */
#include "dht/dht.h"

#include "base/assert.h"
#include "dht/merge.h"
#include "dht/state.h"

#define CALLS_PER_PUT 4u

static const struct dht_limits default_limits = {
    .records_max = 1000000,
    .bytes_max = (uint64_t)1 << 30,
    .value_bytes_max = 16384,
    .values_per_owner_max = 32,
    .values_per_key_max = 4096,
    .owner_records_max = 4096,
    .owner_bytes_max = (uint64_t)16 << 20,
    .puts_max = 1024,
    .lifetime_min = 60 * 1000,
    .lifetime_max = (msec_wall)7 * 86400 * 1000,
    .replicas = 3,
};

/* A limit of 0 stands for the default. */
static struct dht_limits filled_in(const struct dht_limits *limits) {
  struct dht_limits l = *limits, d = default_limits;
  if (l.records_max == 0) l.records_max = d.records_max;
  if (l.bytes_max == 0) l.bytes_max = d.bytes_max;
  if (l.value_bytes_max == 0) l.value_bytes_max = d.value_bytes_max;
  if (l.values_per_owner_max == 0) l.values_per_owner_max = d.values_per_owner_max;
  if (l.values_per_key_max == 0) l.values_per_key_max = d.values_per_key_max;
  if (l.owner_records_max == 0) l.owner_records_max = d.owner_records_max;
  if (l.owner_bytes_max == 0) l.owner_bytes_max = d.owner_bytes_max;
  if (l.puts_max == 0) l.puts_max = d.puts_max;
  if (l.lifetime_min == 0) l.lifetime_min = d.lifetime_min;
  if (l.lifetime_max == 0) l.lifetime_max = d.lifetime_max;
  if (l.replicas == 0) l.replicas = d.replicas;
  if (l.replicas > OVERLAY_REPLICAS_MAX) l.replicas = OVERLAY_REPLICAS_MAX;
  if (l.puts_max > 8192) l.puts_max = 8192; /* the index of a call is 16 bits of its ticket */
  return l;
}

static size_t bytes_with(unsigned streams) {
  return sizeof(struct dht) + streams * sizeof(struct stream);
}

struct dht *dht_new(const struct dht_limits *limits, const struct overlay *overlay,
                    const struct memory *memory, const uint8_t seed[16]) {
  struct dht_limits filled = filled_in(limits);
  unsigned streams = SLOT_COPIES + filled.replicas - 1;
  struct dht *dht = memory_take(memory, bytes_with(streams));
  if (dht == NULL) return NULL;
  dht->memory = memory;
  dht->overlay = overlay;
  dht->limits = filled;
  dht->streams = streams;
  store_init(&dht->store, memory, dht->limits.records_max, seed);
  pool_init(&dht->calls, memory, sizeof(struct call), 64,
            CALLS_PER_PUT * dht->limits.puts_max + FINDS_MAX * FIND_SOURCES + STREAMS_MAX + 2);
  pool_init(&dht->puts, memory, sizeof(struct put), 16, 2 * dht->limits.puts_max);
  pool_init(&dht->finds, memory, sizeof(struct find), 8, FINDS_MAX);
  for (unsigned i = 0; i < streams; i++) dht->stream[i].slot = i;
  return dht;
}

void dht_free(struct dht *dht) {
  if (dht == NULL) return;
  uint32_t index = 0;
  for (struct put *put; (put = pool_next(&dht->puts, &index)) != NULL;) put_free(dht, put);
  for (unsigned i = 0; i < dht->streams; i++) stream_stop(dht, &dht->stream[i]);
  sync_stop(dht);
  fetch_free(dht);
  found_forget(dht);
  parts_clear(&dht->complete, dht->memory);
  parts_clear(&dht->ceded, dht->memory);
  parts_clear(&dht->owed, dht->memory);
  parts_clear(&dht->kept, dht->memory);
  parts_clear(&dht->shed_again, dht->memory);
  store_free(&dht->store);
  pool_free(&dht->calls);
  pool_free(&dht->puts);
  pool_free(&dht->finds);
  memory_give(dht->memory, dht, bytes_with(dht->streams));
}

void dht_trim(struct dht *dht) {
  pool_trim(&dht->calls);
  pool_trim(&dht->puts);
  pool_trim(&dht->finds);
  pool_trim(&dht->store.pool);
}

/* ---- what the parts share ---- */

void dht_note_time(struct dht *dht, usec now, const msec_wall *wall) {
  if (now > dht->now) dht->now = now;
  if (wall == NULL) return;
  dht->wall = *wall;
  dht->wall_at = dht->now;
}

msec_wall dht_wall(const struct dht *dht) {
  return dht->wall + (dht->now - dht->wall_at) / USEC_PER_MSEC;
}

bool fx_has(const struct dht_effects *fx, unsigned effects) {
  return fx->count + effects <= DHT_EFFECTS_MAX;
}

struct dht_effect *fx_add(struct dht_effects *fx, enum dht_effect_kind kind) {
  ASSERT(fx->count < DHT_EFFECTS_MAX);
  struct dht_effect *e = &fx->effect[fx->count++];
  memset(e, 0, offsetof(struct dht_effect, record));
  e->kind = kind;
  return e;
}

uint32_t call_open(struct dht *dht, enum call_kind kind, struct handle owner, unsigned slot) {
  struct handle handle;
  struct call *call = pool_take(&dht->calls, &handle);
  if (call == NULL) return 0;
  ASSERT(handle.index <= UINT16_MAX);
  /* The generation of a live handle is odd, so a ticket is never 0. */
  *call = (struct call){.handle = handle,
                        .ticket = (handle.generation & 0xFFFF) << 16 | handle.index,
                        .kind = kind,
                        .owner = owner,
                        .slot = slot};
  return call->ticket;
}

struct call *call_find(const struct dht *dht, uint32_t ticket) {
  uint32_t index = ticket & 0xFFFF, at = index;
  struct call *call = pool_next(&dht->calls, &at);
  return call != NULL && at == index + 1 && call->ticket == ticket ? call : NULL;
}

void call_close(struct dht *dht, uint32_t ticket) {
  struct call *call = ticket == 0 ? NULL : call_find(dht, ticket);
  if (call != NULL) pool_give(&dht->calls, call->handle);
}

void timer_set(struct dht *dht, struct timer *timer, enum timer_kind kind, uint64_t owner,
               usec at) {
  timer->kind = (uint8_t)kind;
  timer->owner = owner;
  timers_set(&dht->timers, timer, at);
}

unsigned dht_live_successors(const struct dht *dht, struct peer *out, unsigned max) {
  struct peer all[OVERLAY_REPLICAS_MAX];
  unsigned count = overlay_replica_set(dht->overlay, OVERLAY_REPLICAS_MAX, all), n = 0;
  const struct peer *self = overlay_self(dht->overlay);
  for (unsigned i = 0; i < count && n < max; i++)
    if (!peer_same(&all[i], self)) out[n++] = all[i];
  return n;
}

bool dht_same_life(const struct peer *a, const struct peer *b) {
  return peer_same(a, b) && a->incarnation == b->incarnation;
}

struct ranges dht_own(const struct dht *dht) {
  struct ranges own = {.count = 0};
  if (dht->own_known) ranges_of(&own, &dht->own_from, &dht->own_to);
  return own;
}

bool dht_is_own(const struct dht *dht, const struct key *key) {
  return dht->own_known && key_in_range_open_closed(key, &dht->own_from, &dht->own_to);
}

struct ranges dht_gaps(const struct dht *dht) {
  struct ranges own = dht_own(dht), complete = parts_get(&dht->complete), gaps;
  ranges_minus(&gaps, &own, &complete);
  return gaps;
}

void dht_forget(struct dht *dht, struct entry *entry, struct dht_effects *fx) {
  struct dht_effect *e = fx_add(fx, DHT_ERASE);
  e->record_count = 1;
  e->record[0] = entry->record;
  e->record[0].bytes = SLICE_EMPTY;
  store_remove(&dht->store, entry);
}

/* ---- answers ---- */

void dht_on_stored(struct dht *dht, usec now, uint32_t ticket, enum err status,
                   struct dht_effects *fx) {
  dht_note_time(dht, now, NULL);
  struct call *call = call_find(dht, ticket);
  if (call == NULL || call->kind != CALL_STORE) return;
  struct put *put = pool_at(&dht->puts, call->owner);
  call_close(dht, ticket);
  if (put != NULL) put_on_stored(dht, put, status, fx);
}

void dht_on_pushed(struct dht *dht, usec now, uint32_t ticket, enum err status,
                   struct dht_effects *fx) {
  dht_note_time(dht, now, NULL);
  struct call *found = call_find(dht, ticket);
  if (found == NULL) return;
  struct call call = *found;
  if (call.kind != CALL_COPY && call.kind != CALL_STREAM && call.kind != CALL_SYNC) return;
  call_close(dht, ticket);
  if (call.kind == CALL_SYNC) {
    sync_on_pushed(dht, status, fx);
    return;
  }
  if (call.kind == CALL_STREAM) {
    stream_on_pushed(dht, &dht->stream[call.slot], status, fx);
    return;
  }
  struct put *put = pool_at(&dht->puts, call.owner);
  if (put != NULL) put_on_pushed(dht, put, call.slot, status, fx);
}

void dht_on_pulled(struct dht *dht, usec now, uint32_t ticket, enum err status, bool owner,
                   bool more, const struct record_id *next_after, struct dht_effects *fx) {
  dht_note_time(dht, now, NULL);
  struct call *found = call_find(dht, ticket);
  if (found == NULL) return;
  struct call call = *found;
  if (call.kind != CALL_FIND && call.kind != CALL_FETCH && call.kind != CALL_SYNC) return;
  call_close(dht, ticket);
  if (call.kind == CALL_SYNC) {
    sync_on_pulled(dht, status, more, next_after, fx);
    return;
  }
  if (call.kind == CALL_FETCH) {
    fetch_on_pulled(dht, status, owner, more, next_after, fx);
    return;
  }
  struct find *find = pool_at(&dht->finds, call.owner);
  if (find != NULL) find_on_pulled(dht, find, call.slot, status, owner, more, next_after, fx);
}

void dht_on_synced(struct dht *dht, usec now, uint32_t ticket, enum err status,
                   struct sync_view *view, struct dht_effects *fx) {
  dht_note_time(dht, now, NULL);
  struct call *call = call_find(dht, ticket);
  if (call == NULL || call->kind != CALL_SYNC) return;
  call_close(dht, ticket);
  sync_on_answer(dht, status, view, fx);
}

/* ---- time ---- */

/* at its floor a record is forgotten, tombstone or not. */
static void forget_lapsed(struct dht *dht, struct dht_effects *fx) {
  msec_wall wall = dht_wall(dht);
  struct timer *timer;
  while (fx_has(fx, 1) && (timer = timers_pop(&dht->store.lapses, wall)) != NULL) {
    struct entry *entry = pool_at(&dht->store.pool, handle_unpack(timer->owner));
    ASSERT(entry != NULL);
    if (entry->writes != NULL)
      timers_set(&dht->store.lapses, timer, wall + 1000); /* a newer one is being stored */
    else
      dht_forget(dht, entry, fx);
  }
}

static void fire(struct dht *dht, const struct timer *timer, struct dht_effects *fx) {
  struct put *put;
  struct find *find;
  switch ((enum timer_kind)timer->kind) {
    case TIMER_PUT:
      put = pool_at(&dht->puts, handle_unpack(timer->owner));
      if (put != NULL) put_on_timer(dht, put, fx);
      break;
    case TIMER_FIND:
      find = pool_at(&dht->finds, handle_unpack(timer->owner));
      if (find != NULL) find_on_timer(dht, find, fx);
      break;
    case TIMER_FETCH:
      fetch_on_timer(dht, fx);
      break;
    case TIMER_STREAM:
      stream_on_timer(dht, &dht->stream[timer->owner], fx);
      break;
    case TIMER_SHED:
      shed_on_timer(dht, fx);
      break;
    case TIMER_CEDED:
      parts_clear(&dht->ceded, dht->memory);
      break;
    case TIMER_OWED:
      shed_owed(dht, fx);
      break;
    case TIMER_SYNC:
      sync_on_timer(dht, fx);
      break;
  }
}

void dht_on_tick(struct dht *dht, usec now, msec_wall wall, struct dht_effects *fx) {
  dht_note_time(dht, now, &wall);
  struct timer *timer;
  /* The largest single piece of work makes a push to each target, and an answer. */
  while (fx_has(fx, TARGETS_MAX + 1) && (timer = timers_pop(&dht->timers, dht->now)) != NULL)
    fire(dht, timer, fx);
  forget_lapsed(dht, fx);
}

usec dht_deadline(const struct dht *dht) {
  usec deadline = timers_deadline(&dht->timers);
  msec_wall floor = timers_deadline(&dht->store.lapses);
  if (floor == USEC_NEVER) return deadline;
  usec lapse = dht->wall_at;
  if (floor > dht->wall) {
    msec_wall left = floor - dht->wall;
    lapse = left > UINT64_MAX / 2000 ? USEC_NEVER : lapse + left * USEC_PER_MSEC;
  }
  return usec_min(deadline, lapse);
}
