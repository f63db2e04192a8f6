/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge/keep.h"

#include "base/assert.h"

struct keep {
  struct endpoint at;
  uint32_t serial;
  bool kept; /* a keep-alive came */
  usec heard_at;
  struct timer timer;
};

void keep_init(struct edge *edge) {
  map_init(&edge->keeps_by_address, edge->memory);
  pool_init(&edge->keeps, edge->memory, sizeof(struct keep), 32, edge->config.limits.bindings_max);
}

void keep_free(struct edge *edge) {
  map_free(&edge->keeps_by_address);
  pool_free(&edge->keeps);
}

static uint64_t address_hash(const struct edge *edge, const struct endpoint *at) {
  return binding_address_hash(edge->hash, at);
}

static struct keep *keep_at(const struct edge *edge, uint32_t index) {
  uint32_t next = index;
  struct keep *keep = pool_next(&edge->keeps, &next);
  ASSERT(keep != NULL && next == index + 1);
  return keep;
}

static struct keep *find(const struct edge *edge, const struct endpoint *at) {
  struct map_cursor cursor;
  uint64_t hash = address_hash(edge, at);
  for (uint32_t i = map_first(&edge->keeps_by_address, hash, &cursor); i != MAP_END;
       i = map_next(&edge->keeps_by_address, &cursor))
    if (endpoint_same_address(&keep_at(edge, i)->at, at)) return keep_at(edge, i);
  return NULL;
}

enum err keep_note(const struct edge_step *step, const struct endpoint *at, uint32_t *serial) {
  struct edge *edge = step->edge;
  struct keep *keep = find(edge, at);
  if (keep == NULL) {
    struct handle handle;
    if (edge->keeps.used == edge->keeps.limit) return ERR_FULL;
    keep = pool_take(&edge->keeps, &handle);
    if (keep == NULL) return ERR_MEMORY;
    if (map_put(&edge->keeps_by_address, address_hash(edge, at), handle.index) != OK) {
      pool_give(&edge->keeps, handle);
      return ERR_MEMORY;
    }
    keep->at = *at;
    do {
      keep->serial = (uint32_t)rng_u64(&edge->rng);
    } while (keep->serial == 0);
    keep->timer.owner = handle_pack(handle);
    keep->timer.kind = EDGE_TIMER_KEEP;
    timers_set(&edge->timers, &keep->timer, step->now + KEEP_SILENCE_MAX);
  }
  *serial = keep->serial;
  return OK;
}

bool keep_is(const struct edge *edge, const struct endpoint *at, uint32_t serial) {
  const struct keep *keep = find(edge, at);
  return keep != NULL && keep->serial == serial;
}

void keep_on_heard(struct edge *edge, usec now, const struct endpoint *from, bool keep_alive) {
  if (edge->keeps.used == 0) return;
  struct keep *keep = find(edge, from);
  if (keep == NULL) return;
  keep->heard_at = now;
  keep->kept = keep->kept || keep_alive;
}

static void forget(struct edge *edge, struct keep *keep) {
  struct handle handle = pool_handle_of(&edge->keeps, keep);
  map_remove(&edge->keeps_by_address, address_hash(edge, &keep->at), handle.index);
  pool_give(&edge->keeps, handle);
}

void keep_on_timer(struct edge_step *step, struct timer *timer) {
  struct edge *edge = step->edge;
  struct keep *keep = pool_at(&edge->keeps, handle_unpack(timer->owner));
  ASSERT(keep != NULL);
  if (keep->kept && keep->heard_at + KEEP_SILENCE_MAX <= step->now)
    registrar_on_address_silent(step, &keep->at);
  if (bindings_of_address(&edge->bindings, &keep->at) == NULL) {
    forget(edge, keep);
    return;
  }
  usec from = keep->kept ? keep->heard_at : step->now;
  timers_set(&edge->timers, &keep->timer, from + KEEP_SILENCE_MAX);
}
