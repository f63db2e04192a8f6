/* SPDX-License-Identifier: BSD-2-Clause */
/* How close together peers are, as seen from here. Peer-IDs are hashes, so they lie about
 * as close everywhere. */
#include "overlay/chord.h"

/* a > times * b, without overflow: b is added up until it reaches a, or comes round. */
static bool is_farther(const struct key *a, const struct key *b, unsigned times) {
  struct key sum = *b;
  for (unsigned i = 1; i < times; i++) {
    struct key zero = {{0}}, negative = key_distance(b, &zero);
    struct key next = key_distance(&negative, &sum); /* sum + b */
    if (key_compare(&next, &sum) < 0) return false;
    sum = next;
  }
  return key_compare(a, &sum) > 0;
}

bool overlay_is_plausible(const struct overlay *overlay, const struct key *key,
                          const struct key *id) {
  const struct peers *list = &overlay->list;
  if (overlay->state != OVERLAY_MEMBER || overlay->small || list->count < 2) return true;
  const struct key *self = &overlay->self.id;
  struct key distance = key_distance(key, id);
  struct key span = key_distance(self, &list->at[list->count - 1].id);
  /* distance / (span / count) > factor: distance > span * factor / count. */
  if (!is_farther(&distance, &span, (OVERLAY_DENSITY_FACTOR + list->count - 1) / list->count))
    return true;
  if (!peer_is(&overlay->predecessor)) return false;
  /* The rest of the list is the first successor's word, who may name peers that crowd right behind
   * it; the pointers to both sides have answered. */
  struct key around = key_distance(&overlay->predecessor.id, &list->at[0].id);
  return !is_farther(&distance, &around, OVERLAY_DENSITY_FACTOR / 2);
}
