/* SPDX-License-Identifier: BSD-2-Clause */
/* What two peers say to each other when they compare what they hold (overlay.sync, R-3.33): parts
 * of the order of record identities, each with the number of its records and a sum over them, or
 * the records of a part, one by one, without their bytes. */
#ifndef BASE_SYNC_H
#define BASE_SYNC_H

#include "base/record.h"

#define SYNC_PARTS_MAX 16u
#define SYNC_ITEMS_MAX 16u

/* The places after `after` (not has_after: from the first) up to `upto`, which is in it. */
struct sync_part {
  bool has_after, known; /* known: count and digest are */
  struct record_id after, upto;
  uint32_t count;  /* of records with a floor after the `until` of the request */
  uint64_t digest; /* sum of their marks modulo 2^64 */
};
struct sync_item {
  struct record_id id;
  uint64_t version;
  struct key digest;
  bool tombstone;
};
/* A request: one part, and `until`. An answer: nothing, parts, or items. */
struct sync_view {
  msec_wall until;
  unsigned part_count, item_count;
  struct sync_part part[SYNC_PARTS_MAX];
  struct sync_item item[SYNC_ITEMS_MAX];
};

static inline bool sync_part_has(const struct sync_part *part, const struct record_id *id) {
  return (!part->has_after || record_id_compare(id, &part->after) > 0) &&
         record_id_compare(id, &part->upto) <= 0;
}

#endif
