/* SPDX-License-Identifier: BSD-2-Clause */
/* A place in a ring that is there already, with all that a join and a calm while after it would
 * have brought: for simulators of many peers, which cannot wait for a million joins. */
#include "base/assert.h"
#include "overlay/chord.h"

/* Index of the first of the ring, sorted by Peer-ID, at or after key. */
static uint32_t first_at(const struct peer *ring, uint32_t count, const struct key *key) {
  uint32_t low = 0, high = count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (key_compare(&ring[middle].id, key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low == count ? 0 : low;
}

/* False: no memory. */
static bool place_fingers(struct overlay *overlay, const struct peer *ring, uint32_t count) {
  const struct key *self = &overlay->self.id;
  const struct key *last = &overlay->list.at[overlay->list.count - 1].id;
  struct key span = key_distance(self, last);
  for (unsigned bit = (unsigned)(key_top_bit(&span) + 1); bit < KEY_BITS; bit++) {
    struct key start = key_add_power(self, bit);
    const struct peer *finger = &ring[first_at(ring, count, &start)];
    if (ring_order(self, &finger->id, &start) < 0) break; /* came round */
    if (!peers_put(&overlay->fingers, overlay->memory, self, finger, FINGERS_MAX)) return false;
  }
  return true;
}

bool overlay_place(struct overlay *overlay, usec now, const struct peer *ring, uint32_t count,
                   uint32_t at, const struct endpoint *bootstrap) {
  ASSERT(overlay->state == OVERLAY_OUT && count > 2u * overlay->r);
  ASSERT(peer_same(&ring[at], &overlay->self));
  overlay->small = false;
  overlay->predecessor = ring[(at + count - 1) % count];
  for (uint32_t i = 0; i < overlay->r; i++) overlay->list.at[i] = ring[(at + 1 + i) % count];
  overlay->list.count = overlay->r;
  if (!place_fingers(overlay, ring, count)) return false;
  chord_remember(overlay, bootstrap);
  overlay->state = OVERLAY_MEMBER;
  overlay->fingers_complete = true;
  overlay->quiet_rounds = PACE_ROUNDS;
  overlay->wrap_rounds = (uint8_t)rng_below(&overlay->rng, WRAP_ROUNDS + 1);
  overlay->pace_us = overlay->stabilize_us;
  overlay->stabilize_at = now + rng_below(&overlay->rng, overlay->stabilize_us);
  overlay->fingers_at = now + rng_below(&overlay->rng, overlay->fingers_us);
  overlay->merge_at = now + rng_below(&overlay->rng, merge_period(overlay));
  return true;
}
