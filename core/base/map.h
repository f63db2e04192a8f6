/* SPDX-License-Identifier: BSD-2-Clause */
/* A multimap from a 64-bit hash to a 32-bit number (usually a pool index). It stores no keys: the
 * caller compares candidates. Keyed hashes (base/hash.h) keep strangers from choosing collisions.
 *
 *   struct map_cursor c;
 *   for (uint32_t i = map_first(&m, hash, &c); i != MAP_END; i = map_next(&m, &c)) ...
 *
 * A put or remove ends such a walk: start again with map_first. The table doubles as it fills,
 * never shrinks, and a removal leaves nothing behind, so a map of steady size allocates nothing. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/memory.h"

#define MAP_END UINT32_MAX

struct map_slot {
  uint64_t hash;
  uint32_t value;
  uint32_t taken; /* 0: empty */
};
struct map {
  const struct memory *memory;
  struct map_slot *slot;
  uint32_t capacity; /* a power of two, or 0 */
  uint32_t used;     /* pairs held */
};
struct map_cursor {
  uint64_t hash;
  uint32_t at;
  uint32_t left;
};

void map_init(struct map *map, const struct memory *memory);
void map_free(struct map *map);
/* value must not be MAP_END. ERR_MEMORY leaves the map unchanged. */
enum err map_put(struct map *map, uint64_t hash, uint32_t value) MUST_USE;
uint32_t map_first(const struct map *map, uint64_t hash, struct map_cursor *cursor);
uint32_t map_next(const struct map *map, struct map_cursor *cursor);
/* Removes the pair; false if it is not there. Allocates nothing. */
bool map_remove(struct map *map, uint64_t hash, uint32_t value);

#endif
