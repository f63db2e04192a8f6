/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge/binding.h"

#include "base/assert.h"
#include "sip/uri.h"

#define BINDING_CHUNK 32u

void bindings_init(struct bindings *table, const struct memory *memory, struct hash_key hash,
                   uint32_t limit) {
  *table = (struct bindings){.memory = memory, .hash = hash};
  pool_init(&table->pool, memory, sizeof(struct binding), BINDING_CHUNK, limit);
  map_init(&table->flows, memory);
}

void bindings_free(struct bindings *table) {
  uint32_t index = 0;
  struct binding *binding;
  while ((binding = pool_next(&table->pool, &index)) != NULL)
    memory_give(table->memory, (void *)(uintptr_t)binding->text.at, binding->text.len);
  memory_give(table->memory, table->order, table->capacity * sizeof *table->order);
  map_free(&table->flows);
  pool_free(&table->pool);
}

static struct binding *at_index(const struct bindings *table, uint32_t index) {
  uint32_t next = index;
  struct binding *binding = pool_next(&table->pool, &next);
  ASSERT(binding != NULL && next == index + 1);
  return binding;
}

static uint32_t index_of(const struct bindings *table, const struct binding *binding) {
  return pool_handle_of(&table->pool, binding).index;
}

/* First place whose address is not before `aor`, or with `after` the first one after it. */
static uint32_t place_of(const struct bindings *table, struct slice aor, bool after) {
  uint32_t low = 0, high = table->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = slice_compare(at_index(table, table->order[middle])->aor, aor);
    if (order < 0 || (after && order == 0))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static enum err make_place(struct bindings *table) {
  if (table->count < table->capacity) return OK;
  uint32_t capacity = table->capacity == 0 ? BINDING_CHUNK : table->capacity * 2;
  uint32_t *order = memory_take(table->memory, capacity * sizeof *order);
  if (order == NULL) return ERR_MEMORY;
  if (table->count > 0) memcpy(order, table->order, table->count * sizeof *order);
  memory_give(table->memory, table->order, table->capacity * sizeof *order);
  table->order = order;
  table->capacity = capacity;
  return OK;
}

static uint64_t flow_hash(const struct bindings *table, uint32_t flow) {
  return hash_bytes(table->hash, &flow, sizeof flow);
}

static size_t text_bytes(struct slice aor, const struct contact *contact, struct slice call_id) {
  size_t bytes = aor.len + contact->uri.len + contact->instance.len + call_id.len;
  for (unsigned i = 0; i < contact->path_count; i++) bytes += contact->path[i].len;
  return bytes;
}

static struct slice put_slice(struct buf *text, struct slice s) {
  size_t from = text->len;
  buf_put(text, s);
  ASSERT(!text->overflow);
  return slice_of(text->at + from, s.len);
}

/* Lays the texts out in one fresh block; they may come from the binding's old one. */
static enum err set_texts(struct bindings *table, struct binding *binding, struct slice aor,
                          const struct contact *contact, struct slice call_id) {
  size_t bytes = text_bytes(aor, contact, call_id);
  char *block = memory_take(table->memory, bytes);
  if (block == NULL) return ERR_MEMORY;
  struct buf text = buf_over(block, bytes);
  struct contact copy = *contact;
  struct slice own_aor = put_slice(&text, aor);
  copy.uri = put_slice(&text, contact->uri);
  copy.instance = put_slice(&text, contact->instance);
  for (unsigned i = 0; i < copy.path_count; i++) copy.path[i] = put_slice(&text, contact->path[i]);
  struct slice own_call_id = put_slice(&text, call_id);
  memory_give(table->memory, (void *)(uintptr_t)binding->text.at, binding->text.len);
  binding->text = buf_slice(&text);
  binding->aor = own_aor;
  binding->contact = copy;
  binding->call_id = own_call_id;
  return OK;
}

enum err bindings_add(struct bindings *table, struct slice aor, const struct contact *contact,
                      struct slice call_id, uint32_t flow, struct binding **out) {
  if (table->pool.used == table->pool.limit) return ERR_FULL;
  if (make_place(table) != OK) return ERR_MEMORY;
  struct handle handle;
  struct binding *binding = pool_take(&table->pool, &handle);
  if (binding == NULL) return ERR_MEMORY;
  if (set_texts(table, binding, aor, contact, call_id) != OK) {
    pool_give(&table->pool, handle);
    return ERR_MEMORY;
  }
  if (flow != 0 && map_put(&table->flows, flow_hash(table, flow), handle.index) != OK) {
    memory_give(table->memory, (void *)(uintptr_t)binding->text.at, binding->text.len);
    pool_give(&table->pool, handle);
    return ERR_MEMORY;
  }
  binding->flow = flow;
  binding->timer.owner = handle_pack(handle);
  uint32_t place = place_of(table, aor, true);
  memmove(table->order + place + 1, table->order + place,
          (table->count - place) * sizeof *table->order);
  table->order[place] = handle.index;
  table->count++;
  *out = binding;
  return OK;
}

enum err binding_set_call_id(struct bindings *table, struct binding *binding,
                             struct slice call_id) {
  if (slice_equal(binding->call_id, call_id)) return OK;
  return set_texts(table, binding, binding->aor, &binding->contact, call_id);
}

uint64_t binding_address_hash(struct hash_key hash, const struct endpoint *at) {
  uint8_t bytes[18];
  memcpy(bytes, at->addr, 16);
  if (at->family != 6) memset(bytes + 4, 0, 12);
  bytes[16] = (uint8_t)(at->port >> 8);
  bytes[17] = (uint8_t)at->port;
  return hash_bytes(hash, bytes, sizeof bytes);
}

enum err binding_join_address(struct bindings *table, struct binding *binding,
                              const struct endpoint *source) {
  ASSERT(binding->flow == 0 && !binding->by_address);
  enum err err =
      map_put(&table->flows, binding_address_hash(table->hash, source), index_of(table, binding));
  if (err != OK) return err;
  binding->source = *source;
  binding->by_address = true;
  return OK;
}

void binding_leave_flow(struct bindings *table, struct binding *binding) {
  if (binding->by_address)
    map_remove(&table->flows, binding_address_hash(table->hash, &binding->source),
               index_of(table, binding));
  binding->by_address = false;
  if (binding->flow == 0) return;
  map_remove(&table->flows, flow_hash(table, binding->flow), index_of(table, binding));
  binding->flow = 0;
}

void bindings_remove(struct bindings *table, struct binding *binding) {
  ASSERT(!binding->timer.set);
  binding_leave_flow(table, binding);
  uint32_t index = index_of(table, binding);
  uint32_t place = place_of(table, binding->aor, false);
  while (table->order[place] != index) place++;
  table->count--;
  memmove(table->order + place, table->order + place + 1,
          (table->count - place) * sizeof *table->order);
  memory_give(table->memory, (void *)(uintptr_t)binding->text.at, binding->text.len);
  pool_give(&table->pool, pool_handle_of(&table->pool, binding));
}

struct binding *bindings_at(const struct bindings *table, struct handle handle) {
  return pool_at(&table->pool, handle);
}

struct handle bindings_handle(const struct bindings *table, const struct binding *binding) {
  return pool_handle_of(&table->pool, binding);
}

uint32_t bindings_start(const struct bindings *table, struct slice aor) {
  return place_of(table, aor, false);
}

struct binding *bindings_each(const struct bindings *table, uint32_t *at) {
  if (*at >= table->count) return NULL;
  return at_index(table, table->order[(*at)++]);
}

struct binding *bindings_next(const struct bindings *table, struct slice aor, uint32_t *at) {
  struct binding *binding = bindings_each(table, at);
  return binding != NULL && slice_equal(binding->aor, aor) ? binding : NULL;
}

struct binding *bindings_of_flow(const struct bindings *table, uint32_t flow) {
  if (flow == 0) return NULL;
  struct map_cursor cursor;
  uint64_t hash = flow_hash(table, flow);
  for (uint32_t i = map_first(&table->flows, hash, &cursor); i != MAP_END;
       i = map_next(&table->flows, &cursor)) {
    struct binding *binding = at_index(table, i);
    if (binding->flow == flow) return binding;
  }
  return NULL;
}

struct binding *bindings_of_address(const struct bindings *table, const struct endpoint *at) {
  struct map_cursor cursor;
  uint64_t hash = binding_address_hash(table->hash, at);
  for (uint32_t i = map_first(&table->flows, hash, &cursor); i != MAP_END;
       i = map_next(&table->flows, &cursor)) {
    struct binding *binding = at_index(table, i);
    if (binding->by_address && endpoint_same_address(&binding->source, at)) return binding;
  }
  return NULL;
}

bool contact_same_binding(const struct contact *a, const struct contact *b) {
  bool outbound_a = a->instance.len != 0 && a->reg_id != 0;
  bool outbound_b = b->instance.len != 0 && b->reg_id != 0;
  if (outbound_a != outbound_b) return false;
  if (outbound_a) return a->reg_id == b->reg_id && slice_equal(a->instance, b->instance);
  struct sip_uri uri_a, uri_b;
  if (sip_uri_parse(a->uri, &uri_a) != OK || sip_uri_parse(b->uri, &uri_b) != OK)
    return slice_equal(a->uri, b->uri);
  return sip_uri_equal(&uri_a, &uri_b);
}

bool contact_same_record(const struct contact *a, const struct contact *b) {
  if (a->path_count != b->path_count || a->reg_id != b->reg_id || a->q_permille != b->q_permille)
    return false;
  for (unsigned i = 0; i < a->path_count; i++)
    if (!slice_equal(a->path[i], b->path[i])) return false;
  return slice_equal(a->uri, b->uri) && slice_equal(a->instance, b->instance);
}
