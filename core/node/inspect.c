/* SPDX-License-Identifier: BSD-2-Clause */
#include "node/inspect.h"

#include "node/internal.h"

_Static_assert(NODE_SUCCESSORS_MAX == OVERLAY_SUCCESSORS_MAX, "one bound, named twice");

void node_inspect_ring(const struct node *node, struct node_ring *out) {
  const struct peer *predecessor = overlay_predecessor(node->overlay);
  *out = (struct node_ring){.member = overlay_is_member(node->overlay)};
  out->small = overlay_is_small(node->overlay);
  out->ready = out->member && dht_stats(node->dht).complete;
  if (predecessor != NULL) out->predecessor = *predecessor;
  out->successor_count = overlay_successors(node->overlay, out->successor, NODE_SUCCESSORS_MAX);
}

bool node_place(struct node *node, usec now, const struct peer *ring, uint32_t count, uint32_t at,
                const struct endpoint *bootstrap) {
  if (!overlay_place(node->overlay, now, ring, count, at, bootstrap)) return false;
  dht_place(node->dht, now);
  node->ring_generation = overlay_generation(node->overlay);
  return true;
}

void node_place_link(struct node *node, usec now, const struct peer *peer, usec rtt_us) {
  struct peer to = *peer;
  to.at.transport = (uint8_t)node->config.peer_transport;
  struct link *link = links_get(&node->links, now, &to);
  if (link != NULL) link_measured(&node->links, link, rtt_us);
}

bool node_inspect_each(const struct node *node, uint32_t *cursor, struct record *out) {
  return dht_each(node->dht, cursor, out);
}

struct node_work node_inspect_work(const struct node *node) {
  struct dht_stats dht = dht_stats(node->dht);
  return (struct node_work){.hops = node->hops.pool.used,
                            .operations = node->operations.used,
                            .errands = node->errands.used,
                            .puts = dht.puts,
                            .finds = dht.finds,
                            .pulls = dht.pulls,
                            .pushes = dht.pushes};
}
