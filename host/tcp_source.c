/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may connect: how many connections one address and one prefix have, and how many it makes in a
 * second. */
#include "host/clock.h"
#include "host/tcp_internal.h"

static bool is_trusted(const struct tcp *tcp, const struct endpoint *peer) {
  for (unsigned i = 0; i < tcp->limits.trusted_count; i++)
    if (prefix_has(&tcp->limits.trusted[i], peer)) return true;
  return false;
}

uint64_t tcp_source_hash(const struct tcp *tcp, const struct endpoint *peer) {
  struct prefix prefix = prefix_of(peer, SOURCE_BITS4, SOURCE_BITS6);
  return hash_bytes(tcp->hash, &prefix, sizeof prefix);
}

const char *tcp_source_refuse(struct tcp *tcp, const struct endpoint *peer) {
  if (is_trusted(tcp, peer)) return NULL;
  /* A host has all of a /64, if it wants. */
  struct prefix host = prefix_of(peer, 32, 64);
  struct map_cursor cursor;
  uint32_t all = 0, same = 0;
  uint32_t i = map_first(&tcp->sources, tcp_source_hash(tcp, peer), &cursor);
  for (; i != MAP_END; i = map_next(&tcp->sources, &cursor)) {
    uint32_t index = i;
    const struct conn *conn = pool_next(&tcp->conns, &index);
    all++;
    same += conn != NULL && prefix_has(&host, &conn->peer);
  }
  if (same >= tcp->limits.per_source_max) return "too many from there";
  if (all >= (tcp->limits.accepted_max + 1) / 2) return "half of all are from that network";
  struct source source = sources_of_address(&tcp->connecting, peer);
  if (!sources_take(&tcp->connecting, source, SOURCE_REQUESTS, 1, clock_monotonic()))
    return "too many in a short time from that network";
  return NULL;
}
