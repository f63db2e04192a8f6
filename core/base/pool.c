/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/pool.h"

#include <stdalign.h>
#include <string.h>

#include "base/assert.h"

/* What precedes each object: its index. */
#define ALIGN alignof(uint64_t)
#define HEADER_BYTES ((sizeof(uint32_t) + ALIGN - 1) / ALIGN * ALIGN)
#define FIRST_CHUNK_BYTES 256u /* about; at least one object */
#define ROOM_FIRST 2u

/* Chunks: `first` objects, as many again, then twice as many each, up to the largest size. So the
 * first ones together hold as much as one of the largest. */
static unsigned doubling(const struct pool *pool) {
  return (unsigned)(pool->chunk_shift - pool->first_shift);
}

static uint32_t chunk_of(const struct pool *pool, uint32_t index) {
  if (index >> pool->chunk_shift != 0) return doubling(pool) + (index >> pool->chunk_shift);
  if (index >> pool->first_shift == 0) return 0;
  return 32u - (unsigned)__builtin_clz(index) - pool->first_shift;
}

static uint32_t chunk_start(const struct pool *pool, uint32_t chunk) {
  if (chunk == 0) return 0;
  if (chunk <= doubling(pool)) return (uint32_t)1 << (pool->first_shift + chunk - 1);
  return (chunk - doubling(pool)) << pool->chunk_shift;
}

static size_t chunk_bytes(const struct pool *pool, uint32_t chunk) {
  uint32_t start = chunk_start(pool, chunk), end = chunk_start(pool, chunk + 1);
  return (size_t)((end < pool->limit ? end : pool->limit) - start) * pool->object_bytes;
}

static char *header_at(const struct pool *pool, uint32_t index) {
  uint32_t chunk = chunk_of(pool, index);
  return pool->chunk[chunk].at + (size_t)(index - chunk_start(pool, chunk)) * pool->object_bytes;
}

static void *object_at(const struct pool *pool, uint32_t index) {
  return header_at(pool, index) + HEADER_BYTES;
}

static bool is_taken(const struct pool *pool, uint32_t index) {
  return (pool->slot[index].generation & 1) != 0;
}

static uint8_t log2_below(uint32_t number) {
  uint8_t shift = 0;
  while (number >> shift > 1) shift++;
  return shift;
}

void pool_init(struct pool *pool, const struct memory *memory, size_t object_bytes,
               uint32_t chunk_objects, uint32_t limit) {
  ASSERT(object_bytes > 0 && object_bytes < UINT32_MAX / 2 && chunk_objects > 0);
  ASSERT(limit <= UINT32_MAX / 2);
  uint32_t bytes = (uint32_t)((object_bytes + ALIGN - 1) / ALIGN * ALIGN + HEADER_BYTES);
  uint8_t largest = log2_below(chunk_objects < limit ? chunk_objects : limit);
  uint8_t first = log2_below(FIRST_CHUNK_BYTES / bytes);
  *pool = (struct pool){
      .memory = memory,
      .object_bytes = bytes,
      .first_shift = first < largest ? first : largest,
      .chunk_shift = largest,
      .limit = limit,
      .free_first = POOL_NO_INDEX,
  };
}

void pool_free(struct pool *pool) {
  for (uint32_t i = 0; i < pool->chunks; i++)
    memory_give(pool->memory, pool->chunk[i].at, chunk_bytes(pool, i));
  memory_give(pool->memory, pool->chunk, pool->chunk_room * sizeof *pool->chunk);
  memory_give(pool->memory, pool->slot, pool->slot_room * sizeof *pool->slot);
  pool->chunk = NULL;
  pool->slot = NULL;
  pool->chunks = pool->chunk_room = pool->slot_room = pool->fresh = pool->used = 0;
  pool->free_first = POOL_NO_INDEX;
}

/* A table of `room` things of `bytes` with room for one more; NULL: no memory. */
static void *with_room(const struct memory *memory, void *table, uint32_t used, uint32_t *room,
                       size_t bytes) {
  if (used < *room) return table;
  uint32_t more = *room == 0 ? ROOM_FIRST : *room * 2;
  void *grown = memory_take(memory, more * bytes);
  if (grown == NULL) return NULL;
  if (used > 0) memcpy(grown, table, used * bytes);
  memory_give(memory, table, *room * bytes);
  *room = more;
  return grown;
}

static bool add_slot(struct pool *pool) {
  void *grown =
      with_room(pool->memory, pool->slot, pool->fresh, &pool->slot_room, sizeof *pool->slot);
  if (grown == NULL) return false;
  pool->slot = grown;
  return true;
}

static bool add_chunk(struct pool *pool) {
  void *grown =
      with_room(pool->memory, pool->chunk, pool->chunks, &pool->chunk_room, sizeof *pool->chunk);
  if (grown == NULL) return false;
  pool->chunk = grown;
  pool->chunk[pool->chunks++] = (struct pool_chunk){.at = NULL};
  return true;
}

/* False: no memory; nothing changed but room. */
static bool make_sure_of(struct pool *pool, uint32_t index) {
  uint32_t chunk = chunk_of(pool, index);
  if (index == pool->fresh && !add_slot(pool)) return false;
  if (chunk == pool->chunks && !add_chunk(pool)) return false;
  struct pool_chunk *of = &pool->chunk[chunk];
  if (of->at == NULL) of->at = pool->memory->take(pool->memory->context, chunk_bytes(pool, chunk));
  return of->at != NULL;
}

void *pool_take_raw(struct pool *pool, struct handle *handle) {
  bool again = pool->free_first != POOL_NO_INDEX;
  uint32_t index = again ? pool->free_first : pool->fresh;
  if (index >= pool->limit || !make_sure_of(pool, index)) return NULL;
  struct pool_slot *slot = &pool->slot[index];
  if (again) {
    pool->free_first = slot->free_next;
  } else {
    slot->generation = pool->generation;
    pool->fresh++;
  }
  slot->generation++;
  struct pool_chunk *chunk = &pool->chunk[chunk_of(pool, index)];
  chunk->used++;
  chunk->wanted = true;
  if (++pool->used > pool->used_max) pool->used_max = pool->used;
  *handle = (struct handle){index, slot->generation};
  char *header = header_at(pool, index);
  memcpy(header, &index, sizeof index);
  return header + HEADER_BYTES;
}

void *pool_take(struct pool *pool, struct handle *handle) {
  void *object = pool_take_raw(pool, handle);
  if (object != NULL) memset(object, 0, pool->object_bytes - HEADER_BYTES);
  return object;
}

void *pool_at(const struct pool *pool, struct handle handle) {
  if ((handle.generation & 1) == 0 || handle.index >= pool->fresh) return NULL;
  if (pool->slot[handle.index].generation != handle.generation) return NULL;
  return object_at(pool, handle.index);
}

void *pool_at_index(const struct pool *pool, uint32_t index) {
  return index < pool->fresh && is_taken(pool, index) ? object_at(pool, index) : NULL;
}

void pool_give(struct pool *pool, struct handle handle) {
  ASSERT(pool_at(pool, handle) != NULL);
  struct pool_slot *slot = &pool->slot[handle.index];
  slot->generation++;
  slot->free_next = pool->free_first;
  pool->free_first = handle.index;
  pool->chunk[chunk_of(pool, handle.index)].used--;
  pool->used--;
}

/* The free slots at the end go; the lowest of the others is next. */
static void put_in_order(struct pool *pool) {
  while (pool->fresh > 0 && !is_taken(pool, pool->fresh - 1)) {
    uint32_t last = pool->slot[--pool->fresh].generation;
    if (last > pool->generation) pool->generation = last;
  }
  pool->free_first = POOL_NO_INDEX;
  for (uint32_t i = pool->fresh; i-- > 0;) {
    if (is_taken(pool, i)) continue;
    pool->slot[i].free_next = pool->free_first;
    pool->free_first = i;
  }
  uint32_t room = pool->slot_room;
  while (room > ROOM_FIRST && room / 2 >= pool->fresh) room /= 2;
  struct pool_slot *fewer =
      room < pool->slot_room ? memory_take(pool->memory, room * sizeof *fewer) : NULL;
  if (fewer == NULL) return;
  if (pool->fresh > 0) memcpy(fewer, pool->slot, pool->fresh * sizeof *fewer);
  memory_give(pool->memory, pool->slot, pool->slot_room * sizeof *pool->slot);
  pool->slot = fewer;
  pool->slot_room = room;
}

void pool_trim(struct pool *pool) {
  if (pool->fresh > POOL_BURST && pool->used < pool->fresh / 2) put_in_order(pool);
  for (uint32_t i = 0; i < pool->chunks; i++) {
    struct pool_chunk *chunk = &pool->chunk[i];
    if (chunk->used == 0 && !chunk->wanted) {
      memory_give(pool->memory, chunk->at, chunk_bytes(pool, i));
      chunk->at = NULL;
    }
    chunk->wanted = chunk->used > 0;
  }
}

struct handle pool_handle_of(const struct pool *pool, const void *object) {
  const char *header = (const char *)object - HEADER_BYTES;
  uint32_t index;
  memcpy(&index, header, sizeof index);
  ASSERT(index < pool->fresh && is_taken(pool, index) && header_at(pool, index) == header);
  return (struct handle){index, pool->slot[index].generation};
}

void *pool_next(const struct pool *pool, uint32_t *index) {
  while (*index < pool->fresh) {
    uint32_t at = (*index)++;
    if (is_taken(pool, at)) return object_at(pool, at);
  }
  return NULL;
}
