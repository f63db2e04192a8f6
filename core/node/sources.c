/* SPDX-License-Identifier: BSD-2-Clause */
#include "node/sources.h"

#include "base/assert.h"

void sources_free(struct sources *sources) {
  memory_give(sources->memory, sources->row, SOURCE_ROWS * sizeof *sources->row);
  sources->row = NULL;
}

static uint16_t row_of(uint64_t hash) { return (uint16_t)(1 + hash % SOURCE_ROWS); }

struct source sources_of_peer(const struct sources *sources, const struct key *id) {
  return (struct source){row_of(hash_bytes(sources->hash, id, sizeof *id)), true};
}

struct source sources_of_address(const struct sources *sources, const struct endpoint *at) {
  struct prefix prefix = prefix_of(at, SOURCE_BITS4, SOURCE_BITS6);
  return (struct source){row_of(hash_bytes(sources->hash, &prefix, sizeof prefix)), false};
}

static struct source_row *find(struct sources *sources, uint16_t row) {
  ASSERT(row <= SOURCE_ROWS);
  if (sources->row == NULL)
    sources->row = memory_take(sources->memory, SOURCE_ROWS * sizeof *sources->row);
  return sources->row == NULL ? NULL : &sources->row[row - 1];
}

bool sources_take(struct sources *sources, struct source source, enum source_meter meter,
                  uint32_t amount, usec now) {
  if (source.row == 0) return true;
  struct source_row *row = find(sources, source.row);
  if (row == NULL) return false;
  uint64_t per_s = (uint64_t)sources->per_s[meter] * (source.peer ? SOURCE_PEER_FACTOR : 1);
  usec from = row->full[meter] > now ? row->full[meter] : now;
  usec full = from + (uint64_t)amount * USEC_PER_SEC / per_s;
  if (full - now > SEC(SOURCE_BURST_S)) return false;
  row->full[meter] = full;
  return true;
}

bool sources_hold(struct sources *sources, uint16_t row, enum source_table table, uint32_t limit) {
  if (row == 0) return true;
  struct source_row *r = find(sources, row);
  if (r == NULL || r->held[table] >= limit / 2) return false;
  r->held[table]++;
  return true;
}

void sources_release(struct sources *sources, uint16_t row, enum source_table table) {
  if (row == 0) return;
  ASSERT(sources->row != NULL && sources->row[row - 1].held[table] > 0);
  sources->row[row - 1].held[table]--;
}
