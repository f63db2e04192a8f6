/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring as it should be, by the Peer-IDs of all that are up. */
#include <stdlib.h>

#include "sim/ledger.h"

/* Heap sort: qsort has no context, and the simulator no global. */
static void sift(const struct world *world, uint32_t *at, uint32_t from, uint32_t count) {
  uint32_t value = at[from];
  for (;;) {
    uint32_t child = 2 * from + 1;
    if (child >= count) break;
    if (child + 1 < count &&
        key_compare(&world->peer[at[child + 1]].id, &world->peer[at[child]].id) > 0)
      child++;
    if (key_compare(&world->peer[at[child]].id, &world->peer[value].id) <= 0) break;
    at[from] = at[child];
    from = child;
  }
  at[from] = value;
}

void truth_sort(const struct world *world, uint32_t *out, uint32_t count) {
  for (uint32_t i = count / 2; i-- > 0;) sift(world, out, i, count);
  for (uint32_t last = count; last-- > 1;) {
    uint32_t greatest = out[0];
    out[0] = out[last];
    out[last] = greatest;
    sift(world, out, 0, last);
  }
}

uint32_t truth_ring(const struct world *world, uint32_t *out) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < world->peer_count; i++)
    if (world_is_up(world, i) && !world->peer[i].leaving) out[count++] = i;
  truth_sort(world, out, count);
  return count;
}

uint32_t truth_place(const struct world *world, const uint32_t *ring, uint32_t count,
                     const struct key *key) {
  uint32_t low = 0, high = count;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (key_compare(&world->peer[ring[middle]].id, key) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low == count ? 0 : low;
}

static uint32_t random_up(struct world *world, struct rng *rng, bool paused_too) {
  for (unsigned tries = 0; tries < 1000; tries++) {
    uint32_t i = (uint32_t)rng_below(rng, world->peer_count);
    const struct sim_peer *peer = &world->peer[i];
    bool stands = !paused_too && peer->paused_until > world->now;
    if (peer->state == PEER_UP && !peer->leaving && !stands) return i;
  }
  return SIM_NONE;
}

uint32_t truth_random_up(struct world *world, struct rng *rng) {
  return random_up(world, rng, false);
}

uint32_t truth_random_address(struct world *world, struct rng *rng) {
  return random_up(world, rng, true);
}
