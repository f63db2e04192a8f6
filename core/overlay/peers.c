/* SPDX-License-Identifier: BSD-2-Clause */
#include "overlay/peers.h"

#include "base/assert.h"

int ring_order(const struct key *from, const struct key *a, const struct key *b) {
  bool a_wraps = key_compare(a, from) < 0;
  bool b_wraps = key_compare(b, from) < 0;
  if (a_wraps != b_wraps) return a_wraps ? 1 : -1;
  return key_compare(a, b);
}

bool ring_between(const struct key *a, const struct key *x, const struct key *b) {
  return key_in_range_open_open(x, a, b);
}

uint32_t peers_place(const struct peers *peers, const struct key *from, const struct key *id) {
  uint32_t low = 0, high = peers->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (ring_order(from, &peers->at[middle].id, id) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

struct peer *peers_find(const struct peers *peers, const struct key *from, const struct key *id) {
  uint32_t i = peers_place(peers, from, id);
  return i < peers->count && key_equal(&peers->at[i].id, id) ? &peers->at[i] : NULL;
}

bool peers_reserve(struct peers *peers, const struct memory *memory, uint32_t room) {
  if (room <= peers->room) return true;
  struct peer *at = memory_take(memory, room * sizeof *at);
  if (at == NULL) return false;
  if (peers->count > 0) memcpy(at, peers->at, peers->count * sizeof *at);
  memory_give(memory, peers->at, peers->room * sizeof *at);
  peers->at = at;
  peers->room = room;
  return true;
}

bool peers_put(struct peers *peers, const struct memory *memory, const struct key *from,
               const struct peer *peer, uint32_t limit) {
  uint32_t i = peers_place(peers, from, &peer->id);
  if (i < peers->count && peer_same(&peers->at[i], peer)) {
    peers->at[i] = *peer;
    return true;
  }
  if (peers->count >= limit) return false;
  if (peers->count == peers->room) {
    uint32_t room = peers->room < 4 ? 4 : peers->room + peers->room / 2;
    if (!peers_reserve(peers, memory, room < limit ? room : limit)) return false;
  }
  memmove(&peers->at[i + 1], &peers->at[i], (peers->count - i) * sizeof *peers->at);
  peers->at[i] = *peer;
  peers->count++;
  return true;
}

void peers_remove(struct peers *peers, uint32_t index) {
  ASSERT(index < peers->count);
  peers->count--;
  memmove(&peers->at[index], &peers->at[index + 1], (peers->count - index) * sizeof *peers->at);
}

void peers_free(struct peers *peers, const struct memory *memory) {
  memory_give(memory, peers->at, peers->room * sizeof *peers->at);
  *peers = (struct peers){0};
}
