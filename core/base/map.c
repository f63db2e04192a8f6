/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/map.h"

#include <stddef.h>

#include "base/assert.h"

#define CAPACITY_FIRST 8u

/* Linear probing. The hash is keyed and well mixed, so its low bits serve as the place. */
static uint32_t place(const struct map *map, uint64_t hash) {
  return (uint32_t)hash & (map->capacity - 1);
}

void map_init(struct map *map, const struct memory *memory) {
  *map = (struct map){.memory = memory};
}

void map_free(struct map *map) {
  memory_give(map->memory, map->slot, map->capacity * sizeof *map->slot);
  map_init(map, map->memory);
}

/* Puts a pair into a map that has an empty slot. */
static void insert(struct map *map, uint64_t hash, uint32_t value) {
  uint32_t at = place(map, hash);
  while (map->slot[at].taken) at = (at + 1) & (map->capacity - 1);
  map->slot[at] = (struct map_slot){hash, value, 1};
  map->used++;
}

static enum err grow(struct map *map) {
  if (map->capacity > UINT32_MAX / 2) return ERR_MEMORY;
  uint32_t capacity = map->capacity == 0 ? CAPACITY_FIRST : map->capacity * 2;
  struct map_slot *slot = memory_take(map->memory, capacity * sizeof *slot);
  if (slot == NULL) return ERR_MEMORY;
  struct map old = *map;
  map->slot = slot;
  map->capacity = capacity;
  map->used = 0;
  for (uint32_t i = 0; i < old.capacity; i++)
    if (old.slot[i].taken) insert(map, old.slot[i].hash, old.slot[i].value);
  memory_give(old.memory, old.slot, old.capacity * sizeof *old.slot);
  return OK;
}

enum err map_put(struct map *map, uint64_t hash, uint32_t value) {
  ASSERT(value != MAP_END);
  /* One slot in four stays empty, so that every search ends soon. */
  if (map->used >= map->capacity / 4 * 3) {
    enum err err = grow(map);
    if (err != OK) return err;
  }
  insert(map, hash, value);
  return OK;
}

uint32_t map_first(const struct map *map, uint64_t hash, struct map_cursor *cursor) {
  *cursor = (struct map_cursor){.hash = hash, .left = map->capacity};
  if (map->capacity != 0) cursor->at = place(map, hash);
  return map_next(map, cursor);
}

uint32_t map_next(const struct map *map, struct map_cursor *cursor) {
  while (cursor->left > 0) {
    const struct map_slot *slot = &map->slot[cursor->at];
    if (!slot->taken) break;
    cursor->left--;
    cursor->at = (cursor->at + 1) & (map->capacity - 1);
    if (slot->hash == cursor->hash) return slot->value;
  }
  cursor->left = 0;
  return MAP_END;
}

/* Empties the slot, then moves back each later pair of the same run whose search would otherwise
 * stop at the gap. */
static void erase(struct map *map, uint32_t at) {
  uint32_t mask = map->capacity - 1;
  uint32_t gap = at;
  for (;;) {
    at = (at + 1) & mask;
    if (!map->slot[at].taken) break;
    uint32_t from_home = (at - place(map, map->slot[at].hash)) & mask;
    uint32_t from_gap = (at - gap) & mask;
    if (from_home < from_gap) continue;
    map->slot[gap] = map->slot[at];
    gap = at;
  }
  map->slot[gap].taken = 0;
  map->used--;
}

bool map_remove(struct map *map, uint64_t hash, uint32_t value) {
  struct map_cursor cursor;
  uint32_t found = map_first(map, hash, &cursor);
  while (found != MAP_END && found != value) found = map_next(map, &cursor);
  if (found == MAP_END) return false;
  erase(map, (cursor.at - 1) & (map->capacity - 1));
  return true;
}
