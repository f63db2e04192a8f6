/* SPDX-License-Identifier: BSD-2-Clause */
#include "locser/links.h"

#include "base/assert.h"

/* A peer of a large ring has some twenty for ever: little is to lie empty. */
#define LINKS_CHUNK 4u

void links_init(struct links *links, const struct memory *memory, struct hash_key hash,
                uint32_t limit) {
  pool_init(&links->pool, memory, sizeof(struct link), LINKS_CHUNK, limit);
  map_init(&links->by_address, memory);
  links->hash = hash;
}

void links_free(struct links *links) {
  pool_free(&links->pool);
  map_free(&links->by_address);
}

static uint64_t address_hash(const struct links *links, const struct endpoint *at) {
  return hash_bytes(links->hash, at, sizeof *at);
}

struct link *links_find(const struct links *links, const struct peer *peer) {
  struct map_cursor cursor;
  uint32_t index = map_first(&links->by_address, address_hash(links, &peer->at), &cursor);
  for (; index != MAP_END; index = map_next(&links->by_address, &cursor)) {
    uint32_t slot = index;
    struct link *link = pool_next(&links->pool, &slot);
    ASSERT(link != NULL && slot == index + 1);
    if (endpoint_equal(&link->peer.at, &peer->at) && key_equal(&link->peer.id, &peer->id))
      return link;
  }
  return NULL;
}

static void forget_oldest(struct links *links) {
  struct link *oldest = NULL;
  uint32_t index = 0;
  for (struct link *link; (link = pool_next(&links->pool, &index)) != NULL;) {
    if (link->waiting == 0 && (oldest == NULL || link->used_at < oldest->used_at)) oldest = link;
  }
  if (oldest == NULL) return;
  struct handle handle = pool_handle_of(&links->pool, oldest);
  map_remove(&links->by_address, address_hash(links, &oldest->peer.at), handle.index);
  pool_give(&links->pool, handle);
}

struct link *links_get(struct links *links, usec now, const struct peer *peer) {
  struct link *link = links_find(links, peer);
  if (link == NULL) {
    if (links->pool.used == links->pool.limit) forget_oldest(links);
    struct handle handle;
    link = pool_take(&links->pool, &handle);
    if (link == NULL) return NULL;
    link->peer = *peer;
    if (map_put(&links->by_address, address_hash(links, &peer->at), handle.index) != OK) {
      pool_give(&links->pool, handle);
      return NULL;
    }
  }
  link->used_at = now;
  return link;
}

struct handle links_handle(const struct links *links, const struct link *link) {
  return pool_handle_of(&links->pool, link);
}

struct link *links_at(const struct links *links, struct handle handle) {
  return pool_at(&links->pool, handle);
}

#define RTTVAR_MASK 0xfffffffu /* never more than a minute: nothing is lost */

static void measured(struct round_trips *of, uint32_t sample) {
  if (of->samples < LINK_SAMPLES) of->samples++;
  if (of->srtt_us == 0) {
    of->srtt_us = sample;
    of->rttvar_us = sample / 2 & RTTVAR_MASK;
    return;
  }
  uint32_t error = sample > of->srtt_us ? sample - of->srtt_us : of->srtt_us - sample;
  uint32_t rttvar = of->rttvar_us;
  of->rttvar_us = (rttvar - rttvar / 4 + error / 4) & RTTVAR_MASK;
  of->srtt_us = of->srtt_us - of->srtt_us / 8 + sample / 8;
  if (of->srtt_us == 0) of->srtt_us = 1;
}

void link_measured(struct links *links, struct link *link, usec rtt) {
  uint32_t sample = rtt > SEC(60) ? (uint32_t)SEC(60) : rtt == 0 ? 1 : (uint32_t)rtt;
  measured(&link->rtt, sample);
  measured(&links->rtt, sample);
}

static usec patience_with(const struct round_trips *of, unsigned trips) {
  return trips * (usec)of->srtt_us + 6 * (usec)of->rttvar_us;
}

usec link_patience(const struct links *links, const struct link *link) {
  usec unknown = LINK_PATIENCE_UNKNOWN;
  if (links->rtt.samples == LINK_SAMPLES)
    unknown = usec_min(unknown, patience_with(&links->rtt, 4));
  usec least = unknown * (LINK_SAMPLES - link->rtt.samples) / LINK_SAMPLES;
  usec patience = usec_max(patience_with(&link->rtt, 3), usec_max(least, LINK_PATIENCE_MIN));
  return usec_min(patience, LINK_PATIENCE_MAX);
}
