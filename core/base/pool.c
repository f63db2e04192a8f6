/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/pool.h"

#include <stdalign.h>
#include <string.h>

#include "base/assert.h"

/* What precedes each object. The generation is odd while the object is taken, so that a live
 * handle never has generation 0 and a free slot matches no handle. */
struct slot {
  uint32_t index;
  uint32_t generation;
  uint32_t free_next;
};

#define ALIGN alignof(max_align_t)
#define HEADER_BYTES ((sizeof(struct slot) + ALIGN - 1) / ALIGN * ALIGN)

static struct slot *slot_at(const struct pool *pool, uint32_t index) {
  char *chunk = pool->chunk[index >> pool->chunk_shift];
  return (void *)(chunk + (size_t)(index & (pool->chunk_objects - 1)) * pool->object_bytes);
}

static void *object_of(struct slot *slot) { return (char *)slot + HEADER_BYTES; }

static const struct slot *slot_of(const void *object) {
  return (const void *)((const char *)object - HEADER_BYTES);
}

static size_t chunk_bytes(const struct pool *pool) {
  return (size_t)pool->chunk_objects * pool->object_bytes;
}

static bool is_taken(const struct slot *slot) { return (slot->generation & 1) != 0; }

void pool_init(struct pool *pool, const struct memory *memory, size_t object_bytes,
               uint32_t chunk_objects, uint32_t limit) {
  ASSERT(object_bytes > 0 && object_bytes < UINT32_MAX / 2 && chunk_objects > 0);
  ASSERT(limit < POOL_NO_INDEX);
  uint32_t shift = 0;
  while (chunk_objects >> shift > 1 && limit >> shift > 1) shift++;
  chunk_objects = (uint32_t)1 << shift;
  *pool = (struct pool){
      .memory = memory,
      .object_bytes = (uint32_t)((object_bytes + ALIGN - 1) / ALIGN * ALIGN + HEADER_BYTES),
      .chunk_objects = chunk_objects,
      .chunk_shift = shift,
      .chunk_limit = limit / chunk_objects + (limit % chunk_objects != 0),
      .limit = limit,
      .free_first = POOL_NO_INDEX,
  };
}

void pool_free(struct pool *pool) {
  for (uint32_t i = 0; i < pool->chunks; i++)
    memory_give(pool->memory, pool->chunk[i], chunk_bytes(pool));
  memory_give(pool->memory, pool->chunk, pool->chunk_limit * sizeof *pool->chunk);
  pool->chunk = NULL;
  pool->chunks = pool->fresh = pool->used = 0;
  pool->free_first = POOL_NO_INDEX;
}

static bool add_chunk(struct pool *pool) {
  if (pool->chunk == NULL) {
    pool->chunk = memory_take(pool->memory, pool->chunk_limit * sizeof *pool->chunk);
    if (pool->chunk == NULL) return false;
  }
  char *chunk = pool->memory->take(pool->memory->context, chunk_bytes(pool));
  if (chunk == NULL) return false;
  pool->chunk[pool->chunks++] = chunk;
  return true;
}

/* A slot that was never used, or NULL when there is no more. */
static struct slot *fresh_slot(struct pool *pool) {
  if (pool->fresh == pool->limit) return NULL;
  if (pool->fresh >> pool->chunk_shift == pool->chunks && !add_chunk(pool)) return NULL;
  struct slot *slot = slot_at(pool, pool->fresh);
  *slot = (struct slot){pool->fresh++, 0, POOL_NO_INDEX};
  return slot;
}

void *pool_take_raw(struct pool *pool, struct handle *handle) {
  struct slot *slot;
  if (pool->free_first != POOL_NO_INDEX) {
    slot = slot_at(pool, pool->free_first);
    pool->free_first = slot->free_next;
  } else {
    slot = fresh_slot(pool);
    if (slot == NULL) return NULL;
  }
  slot->generation++;
  if (++pool->used > pool->used_max) pool->used_max = pool->used;
  *handle = (struct handle){slot->index, slot->generation};
  return object_of(slot);
}

void *pool_take(struct pool *pool, struct handle *handle) {
  void *object = pool_take_raw(pool, handle);
  if (object != NULL) memset(object, 0, pool->object_bytes - HEADER_BYTES);
  return object;
}

void *pool_at(const struct pool *pool, struct handle handle) {
  if ((handle.generation & 1) == 0 || handle.index >= pool->fresh) return NULL;
  struct slot *slot = slot_at(pool, handle.index);
  return slot->generation == handle.generation ? object_of(slot) : NULL;
}

void *pool_at_index(const struct pool *pool, uint32_t index) {
  if (index >= pool->fresh) return NULL;
  struct slot *slot = slot_at(pool, index);
  return is_taken(slot) ? object_of(slot) : NULL;
}

void pool_give(struct pool *pool, struct handle handle) {
  ASSERT(pool_at(pool, handle) != NULL);
  struct slot *slot = slot_at(pool, handle.index);
  slot->generation++;
  slot->free_next = pool->free_first;
  pool->free_first = handle.index;
  pool->used--;
}

struct handle pool_handle_of(const struct pool *pool, const void *object) {
  const struct slot *slot = slot_of(object);
  ASSERT(slot->index < pool->fresh && slot_at(pool, slot->index) == slot && is_taken(slot));
  return (struct handle){slot->index, slot->generation};
}

void *pool_next(const struct pool *pool, uint32_t *index) {
  while (*index < pool->fresh) {
    struct slot *slot = slot_at(pool, (*index)++);
    if (is_taken(slot)) return object_of(slot);
  }
  return NULL;
}
