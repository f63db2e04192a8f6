/* SPDX-License-Identifier: BSD-2-Clause */
#include "node/sources.h"

#include "base/assert.h"

#define SWEEP_AT_LEAST 4u

void sources_init(struct sources *sources, const struct memory *memory, struct hash_key hash,
                  const uint32_t per_s[SOURCE_METERS]) {
  *sources = (struct sources){.hash = hash, .sweep_at = SWEEP_AT_LEAST};
  for (unsigned i = 0; i < SOURCE_METERS; i++) sources->per_s[i] = per_s[i];
  pool_init(&sources->rows, memory, sizeof(struct source_row), 256, SOURCE_ROWS);
  map_init(&sources->places, memory);
}

void sources_free(struct sources *sources) {
  pool_free(&sources->rows);
  map_free(&sources->places);
}

static uint16_t row_of(uint64_t hash) { return (uint16_t)(1 + hash % SOURCE_ROWS); }

struct source sources_of_peer(const struct sources *sources, const struct key *id) {
  return (struct source){row_of(hash_bytes(sources->hash, id, sizeof *id)), true};
}

struct source sources_of_address(const struct sources *sources, const struct endpoint *at) {
  struct prefix prefix = prefix_of(at, SOURCE_BITS4, SOURCE_BITS6);
  return (struct source){row_of(hash_bytes(sources->hash, &prefix, sizeof prefix)), false};
}

/* A map wants hashes that differ in all bits. */
static uint64_t place_of(uint16_t row) { return row * 0x9E3779B97F4A7C15u; }

static struct source_row *find(const struct sources *sources, uint16_t row) {
  struct map_cursor c;
  for (uint32_t i = map_first(&sources->places, place_of(row), &c); i != MAP_END;
       i = map_next(&sources->places, &c)) {
    struct source_row *r = pool_at_index(&sources->rows, i);
    if (r->row == row) return r;
  }
  return NULL;
}

static bool is_idle(const struct source_row *r, usec now) {
  for (unsigned i = 0; i < SOURCE_METERS; i++)
    if (r->full[i] > now) return false;
  for (unsigned i = 0; i < SOURCE_TABLES; i++)
    if (r->held[i] > 0) return false;
  return true;
}

/* Each sweep leaves room for as many new rows as it looked at old ones. */
static void sweep(struct sources *sources, usec now) {
  struct source_row *r;
  for (uint32_t i = 0; (r = pool_next(&sources->rows, &i)) != NULL;) {
    if (!is_idle(r, now)) continue;
    struct handle handle = pool_handle_of(&sources->rows, r);
    (void)map_remove(&sources->places, place_of(r->row), handle.index);
    pool_give(&sources->rows, handle);
  }
  uint32_t twice = 2 * sources->rows.used;
  sources->sweep_at = twice > SWEEP_AT_LEAST ? twice : SWEEP_AT_LEAST;
}

static struct source_row *find_or_make(struct sources *sources, uint16_t row, usec now) {
  ASSERT(row <= SOURCE_ROWS);
  struct source_row *r = find(sources, row);
  if (r != NULL) return r;
  if (sources->rows.used >= sources->sweep_at) sweep(sources, now);
  struct handle handle;
  r = pool_take(&sources->rows, &handle);
  if (r == NULL) return NULL;
  r->row = row;
  if (map_put(&sources->places, place_of(row), handle.index) == OK) return r;
  pool_give(&sources->rows, handle);
  return NULL;
}

bool sources_take(struct sources *sources, struct source source, enum source_meter meter,
                  uint32_t amount, usec now) {
  if (source.row == 0) return true;
  struct source_row *row = find_or_make(sources, source.row, now);
  if (row == NULL) return false;
  uint64_t per_s = (uint64_t)sources->per_s[meter] * (source.peer ? SOURCE_PEER_FACTOR : 1);
  usec from = row->full[meter] > now ? row->full[meter] : now;
  usec full = from + (uint64_t)amount * USEC_PER_SEC / per_s;
  if (full - now > SEC(SOURCE_BURST_S)) return false;
  row->full[meter] = full;
  return true;
}

bool sources_hold(struct sources *sources, uint16_t row, enum source_table table, uint32_t limit,
                  usec now) {
  if (row == 0) return true;
  struct source_row *r = find_or_make(sources, row, now);
  if (r == NULL || r->held[table] >= limit / 2) return false;
  r->held[table]++;
  return true;
}

void sources_release(struct sources *sources, uint16_t row, enum source_table table) {
  if (row == 0) return;
  struct source_row *r = find(sources, row);
  ASSERT(r != NULL && r->held[table] > 0);
  r->held[table]--;
}
