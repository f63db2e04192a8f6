/* SPDX-License-Identifier: BSD-2-Clause */
/* What this peer knows of the way to each peer it talks to: measured round-trip time, and whether
 * it has fallen silent. Retransmission and suspicion follow the measurement, not SIP's fixed 500
 * ms (R-2.x). Bounded; when full, the link longest unused is forgotten. */
#ifndef LOCSER_LINKS_H
#define LOCSER_LINKS_H

#include "base/hash.h"
#include "base/map.h"
#include "base/peer.h"
#include "base/pool.h"
#include "base/usec.h"

#define LINK_PATIENCE_MIN MSEC(200)      /* a busy machine is not a silent one */
#define LINK_PATIENCE_UNKNOWN MSEC(1500) /* nothing measured yet; includes opening a connection */
#define LINK_PATIENCE_MAX SEC(3)
#define LINK_SAMPLES 8u /* round trips after which a measurement speaks for itself */

/* Round trips, smoothed (RFC 6298 section 2). */
struct round_trips {
  uint32_t srtt_us; /* 0: none measured */
  uint32_t rttvar_us : 28;
  uint32_t samples : 4; /* at most LINK_SAMPLES */
};

struct link {
  struct peer peer; /* Peer-ID all zero: only the address is known (bootstrap) */
  struct round_trips rtt;
  uint32_t waiting : 31; /* hops that wait for this peer */
  bool silent : 1;
  usec used_at;
};
struct links {
  struct pool pool;
  struct map by_address;
  struct hash_key hash;
  struct round_trips rtt; /* of all links */
};

void links_init(struct links *links, const struct memory *memory, struct hash_key hash,
                uint32_t limit);
void links_free(struct links *links);
/* The link to that peer at that address, made if need be. Somebody else who is said to live there
 * has a link of its own: a word about an address must not touch the peer that does. NULL:
 * full of links in use, or no memory. */
struct link *links_get(struct links *links, usec now, const struct peer *peer);
/* NULL: nothing known. */
struct link *links_find(const struct links *links, const struct peer *peer);
struct handle links_handle(const struct links *links, const struct link *link);
struct link *links_at(const struct links *links, struct handle handle);
/* One round trip took rtt. */
void link_measured(struct links *links, struct link *link, usec rtt);
/* How long a first sign of life (100 or a final answer) may take: three smoothed round trips plus
 * six deviations, within LINK_PATIENCE_MIN and LINK_PATIENCE_MAX. A few lucky round trips say
 * little: while they are fewer than LINK_SAMPLES it is no shorter than the part of an unknown
 * link's patience that is missing. That is LINK_PATIENCE_UNKNOWN or, if shorter, the patience of
 * all links taken together and one round trip more. */
usec link_patience(const struct links *links, const struct link *link);

#endif
