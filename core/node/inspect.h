/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking into a node from beside it, for simulators and tests that compare it with the truth:
 * but for node_place and node_place_link read only, nothing is sent, no XML is read. Everything is
 * copied but the bytes of records, which are borrowed until the node's next step. */
#ifndef NODE_INSPECT_H
#define NODE_INSPECT_H

#include "base/peer.h"
#include "base/record.h"
#include "node/node.h"

#define NODE_SUCCESSORS_MAX 20u

struct node_ring {
  bool member, ready;
  bool small;              /* it holds the full membership */
  struct peer predecessor; /* family 0: none */
  unsigned successor_count;
  struct peer successor[NODE_SUCCESSORS_MAX];
};
void node_inspect_ring(const struct node *node, struct node_ring *out);

/* Instead of IN_START: a member of a ring that is there already, ready, as if it had joined long
 * ago. ring: all members with Peer-IDs growing, more than twice the length of successor lists, and
 * none of them with records; ring[at] is this node. False: no memory. */
bool node_place(struct node *node, usec now, const struct peer *ring, uint32_t count, uint32_t at,
                const struct endpoint *bootstrap) MUST_USE;

/* Then: a round trip to this peer took so long, as the pings of a join would have shown. */
void node_place_link(struct node *node, usec now, const struct peer *peer, usec rtt_us);

/* Every durable record held, tombstones included, in key order; start with cursor 0. */
bool node_inspect_each(const struct node *node, uint32_t *cursor, struct record *out);

/* What is under way. All are 0 in a node that rests. */
struct node_work {
  uint32_t hops, operations, errands; /* requests passing through, executed here, wanted here */
  uint32_t puts, finds, pulls, pushes;
};
struct node_work node_inspect_work(const struct node *node);

#endif
