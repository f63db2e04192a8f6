/* SPDX-License-Identifier: BSD-2-Clause */
/* A pool of equal objects that grows in chunks up to its limit and never moves an object.
 * Objects are named by (index, generation) handles: a handle kept too long finds nothing instead
 * of somebody else's object. Full (limit reached, or no memory) is an answer, never an error
 * state: the caller states its policy.
 *
 * The first chunk is small and the later ones double, so that a pool hardly used costs little;
 * pool_trim gives back those that nothing lies in any more. Objects are aligned to eight bytes. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"

struct handle {
  uint32_t index;
  uint32_t generation; /* 0: no object */
};

#define HANDLE_NONE ((struct handle){0, 0})

static inline uint64_t handle_pack(struct handle h) {
  return (uint64_t)h.generation << 32 | h.index;
}
static inline struct handle handle_unpack(uint64_t packed) {
  return (struct handle){(uint32_t)packed, (uint32_t)(packed >> 32)};
}
static inline bool handle_is(struct handle h) { return h.generation != 0; }
static inline bool handle_same(struct handle a, struct handle b) {
  return a.index == b.index && a.generation == b.generation;
}

struct pool_slot {
  uint32_t generation; /* odd while the object is taken */
  uint32_t free_next;
};
struct pool_chunk {
  char *at;      /* NULL: given back */
  uint32_t used; /* objects taken in it now */
  bool wanted;   /* one was taken since the last pool_trim */
};
struct pool {
  const struct memory *memory;
  struct pool_chunk *chunk;
  struct pool_slot *slot; /* of the objects below `fresh`; outlives their chunks */
  uint32_t object_bytes;  /* as rounded up, header included */
  uint8_t first_shift;    /* the first chunk has 1 << first_shift objects */
  uint8_t chunk_shift;    /* no chunk has more than 1 << chunk_shift */
  uint32_t chunks, chunk_room;
  uint32_t slot_room;
  uint32_t limit;      /* objects at most */
  uint32_t used;       /* objects taken now */
  uint32_t used_max;   /* high-water mark */
  uint32_t free_first; /* index of the first free slot, or POOL_NO_INDEX */
  uint32_t fresh;      /* slots below this index were used at least once */
  uint32_t generation; /* no slot from `fresh` on was used at a later one; even */
};

#define POOL_NO_INDEX UINT32_MAX
#define POOL_BURST 64u

/* Allocates nothing yet. `memory` must outlive the pool. chunk_objects is of the largest chunks: it
 * is rounded down to a power of two, and a chunk is never larger than the limit needs. */
void pool_init(struct pool *pool, const struct memory *memory, size_t object_bytes,
               uint32_t chunk_objects, uint32_t limit);
/* Gives all memory back; objects still taken are gone. */
void pool_free(struct pool *pool);
/* A cleared object and its handle, or NULL when full. */
void *pool_take(struct pool *pool, struct handle *handle);
/* The same, not cleared: for large objects whose taker writes what is read. */
void *pool_take_raw(struct pool *pool, struct handle *handle);
/* The object, or NULL if the handle is stale or none. */
void *pool_at(const struct pool *pool, struct handle handle);
/* The object now at this index whatever its generation, or NULL if none is: for indexes kept beside
 * the pool in step with it, as in a map. */
void *pool_at_index(const struct pool *pool, uint32_t index);
/* Returns the object; the handle must be live. Frees no memory (chunks are kept). */
void pool_give(struct pool *pool, struct handle handle);
/* Gives back the chunks that nothing lay in since the last time. To be called now and then: what a
 * steady load needs stays. After a burst (of more than POOL_BURST objects) the free slots are put
 * in order, so that what is taken next lies close together. */
void pool_trim(struct pool *pool);
/* The handle of an object obtained from this pool. */
struct handle pool_handle_of(const struct pool *pool, const void *object);
/* Iteration by index, in index order: start with index 0, stop at NULL. On return *index is one
 * past the object returned. */
void *pool_next(const struct pool *pool, uint32_t *index);

#endif
