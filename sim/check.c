/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/check.h"

#include <stdlib.h>

#include "sim/ledger.h"

static void check_list(struct world *world, uint32_t i) {
  struct node_ring ring;
  node_inspect_ring(world->peer[i].node, &ring);
  struct key last = {0}; /* distances grow */
  for (unsigned k = 0; k < ring.successor_count; k++) {
    struct key distance = key_distance(&world->peer[i].id, &ring.successor[k].id);
    if (key_compare(&distance, &last) <= 0) {
      world_fail(world, "peer %u: successor %u is out of order, twice there, or itself", i, k);
      return;
    }
    last = distance;
  }
}

void check_lists(struct world *world) {
  for (uint32_t i = 0; i < world->peer_count; i++)
    if (world_is_up(world, i)) check_list(world, i);
}

/* The first successor that is up and a member; SIM_NONE: none is left. */
static uint32_t best_successor(const struct world *world, uint32_t i) {
  struct node_ring ring;
  node_inspect_ring(world->peer[i].node, &ring);
  if (ring.successor_count == 0) return i;
  for (unsigned k = 0; k < ring.successor_count; k++) {
    uint32_t next = world_peer_at(world, &ring.successor[k].at);
    if (next != SIM_NONE && world_is_member(world, next)) return next;
  }
  return SIM_NONE;
}

/* Goes round from `start`, marking; true: it came back having passed zero once. */
static bool go_round(const struct world *world, const uint32_t *next, uint32_t start,
                     uint8_t *mark) {
  uint32_t at = start;
  unsigned passed_zero = 0;
  do {
    mark[at] = 1;
    if (key_compare(&world->peer[next[at]].id, &world->peer[at].id) <= 0) passed_zero++;
    at = next[at];
  } while (at != start);
  return passed_zero == 1;
}

static void check_graph(struct world *world, const uint32_t *next, uint8_t *mark, uint32_t member) {
  uint32_t at = member;
  for (uint32_t i = 0; i < world->up_count; i++) at = next[at]; /* on some ring by now */
  if (!go_round(world, next, at, mark)) {
    world_fail(world, "the ring through peer %u is not in order", at);
    return;
  }
  for (uint32_t i = 0; i < world->peer_count; i++) {
    if (next[i] == SIM_NONE) continue;
    at = i;
    for (uint32_t k = 0; k < world->up_count; k++) at = next[at];
    if (mark[at] == 0)
      world_fail(world, "two rings: one through peer %u, one through peer %u", member, at);
  }
}

/* Of whoever is left alone all successors may be dead: it will find that out. */
static bool has_others(const struct world *world) {
  uint32_t members = 0;
  for (uint32_t i = 0; i < world->peer_count && members < 2; i++)
    members += world_is_member(world, i);
  return members == 2;
}

void check_one_ring(struct world *world) {
  if (!has_others(world)) return;
  uint32_t *next = sim_take(world->peer_count * sizeof *next), member = SIM_NONE;
  uint8_t *mark = sim_take(world->peer_count);
  bool whole = true;
  for (uint32_t i = 0; i < world->peer_count; i++) {
    next[i] = SIM_NONE;
    if (!world_is_member(world, i)) continue;
    next[i] = best_successor(world, i);
    if (next[i] == SIM_NONE) {
      whole = false;
      world_fail(world, "peer %u has no successor that lives", i);
    }
    member = i;
  }
  if (whole) check_graph(world, next, mark, member);
  free(next);
  free(mark);
}

/* ---- principals ---- */

struct skipped {
  const struct world *world;
  const uint32_t *member; /* by Peer-ID */
  uint32_t count;
  int64_t *change; /* of how many skip the members from here on; count + 1 of them */
};

/* Members whose Peer-ID is less than key, or not greater. */
static uint32_t below(const struct skipped *skipped, const struct key *key, bool or_equal) {
  uint32_t low = 0, high = skipped->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = key_compare(&skipped->world->peer[skipped->member[middle]].id, key);
    if (order < 0 || (or_equal && order == 0))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void skip_places(struct skipped *skipped, uint32_t from, uint32_t to) {
  skipped->change[from]++;
  skipped->change[to]--;
}

/* Those in (a, b), clockwise. */
static void skip(struct skipped *skipped, const struct key *a, const struct key *b) {
  uint32_t from = below(skipped, a, true), to = below(skipped, b, false);
  if (key_compare(a, b) < 0) {
    skip_places(skipped, from, to);
  } else {
    skip_places(skipped, from, skipped->count);
    skip_places(skipped, 0, to);
  }
}

struct check_principals check_principals(const struct world *world) {
  uint32_t r = world->weather.of[SUCCESSORS], count = 0;
  uint32_t *member = sim_take((world->peer_count + 1) * sizeof *member);
  bool small = false;
  for (uint32_t i = 0; i < world->peer_count; i++)
    if (world_is_member(world, i)) member[count++] = i;
  truth_sort(world, member, count);
  struct skipped skipped = {world, member, count, sim_take((count + 1) * sizeof(int64_t))};
  for (uint32_t i = 0; i < count; i++) {
    struct node_ring ring;
    node_inspect_ring(world->peer[member[i]].node, &ring);
    const struct key *self = &world->peer[member[i]].id, *last = self;
    for (unsigned k = 0; k < ring.successor_count; k++) {
      skip(&skipped, last, &ring.successor[k].id);
      last = &ring.successor[k].id;
    }
    small = small || ring.small;
    if (ring.small && ring.successor_count < r) skip(&skipped, last, self); /* all there are */
  }
  struct check_principals found = {.needed = small || count < r + 1 ? 1 : r + 1, .members = count};
  int64_t by = 0;
  for (uint32_t i = 0; i < count; i++) found.count += (by += skipped.change[i]) == 0;
  free(skipped.change);
  free(member);
  return found;
}

/* ---- the ideal ring ---- */

static bool is_ideal(const struct world *world, const uint32_t *truth, uint32_t count,
                     uint32_t place) {
  struct node_ring ring;
  node_inspect_ring(world->peer[truth[place]].node, &ring);
  if (!ring.ready) return false;
  if (count == 1) return ring.successor_count == 0;
  uint32_t r = world->weather.of[SUCCESSORS];
  uint32_t wanted = count - 1 < r ? count - 1 : r;
  if (ring.successor_count < wanted) return false;
  if (!key_equal(&ring.predecessor.id, &world->peer[truth[(place + count - 1) % count]].id))
    return false;
  for (uint32_t k = 0; k < wanted; k++)
    if (!key_equal(&ring.successor[k].id, &world->peer[truth[(place + k + 1) % count]].id))
      return false;
  return true;
}

bool check_ring_is_ideal(struct world *world, const uint32_t *truth, uint32_t count,
                         uint32_t *who) {
  for (uint32_t place = 0; place < count; place++) {
    if (is_ideal(world, truth, count, place)) continue;
    *who = truth[place];
    return false;
  }
  return true;
}

bool check_is_ideal(struct world *world, uint32_t *who) {
  uint32_t *truth = sim_take((world->up_count + 1) * sizeof *truth);
  uint32_t count = truth_ring(world, truth);
  bool ideal = check_ring_is_ideal(world, truth, count, who);
  free(truth);
  return ideal;
}
