/* SPDX-License-Identifier: BSD-2-Clause */
/* A small sorted set of peers: clockwise from one point of the ring (the owner's own place), no
 * two with the same Peer-ID. Sorted so, the peer that comes closest before a key is found by
 * halving, and a list can be cut where it comes round. Memory grows with use. */
#ifndef OVERLAY_PEERS_H
#define OVERLAY_PEERS_H

#include "base/memory.h"
#include "base/peer.h"

struct peers {
  struct peer *at;
  uint32_t count, room;
};

/* Order of a and b as met when walking clockwise from `from`: <0, 0, >0. `from` itself is first. */
int ring_order(const struct key *from, const struct key *a, const struct key *b);
/* Zave's between(a, x, b): x in (a, b), where (a, a) is all but a. */
bool ring_between(const struct key *a, const struct key *x, const struct key *b);

/* Index of the first entry at or after id, clockwise from `from`; count if there is none. */
uint32_t peers_place(const struct peers *peers, const struct key *from, const struct key *id);
/* The entry with this Peer-ID, or NULL. */
struct peer *peers_find(const struct peers *peers, const struct key *from, const struct key *id);
/* Makes room for `room` entries; false: no memory (nothing changes). */
bool peers_reserve(struct peers *peers, const struct memory *memory, uint32_t room);
/* Inserts at its place; at most `limit` entries. False: full or no memory. Present: replaced. */
bool peers_put(struct peers *peers, const struct memory *memory, const struct key *from,
               const struct peer *peer, uint32_t limit);
void peers_remove(struct peers *peers, uint32_t index);
void peers_free(struct peers *peers, const struct memory *memory);

#endif
