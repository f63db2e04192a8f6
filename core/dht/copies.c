/* SPDX-License-Identifier: BSD-2-Clause */
/* Keeping k copies: each other peer of the replica set is sent what it lacks of our own range
 * . A put sends its own record; this is for all that puts do not reach: a peer new
 * to the set, a range that was just filled, a copy that could not be made in time. */
#include "base/plant.h"
#include "dht/state.h"

static bool is_in(const struct peer *set, unsigned count, const struct peer *peer) {
  for (unsigned i = 0; i < count; i++)
    if (dht_same_life(&set[i], peer)) return true;
  return false;
}

static struct stream *stream_to(struct dht *dht, const struct peer *peer) {
  for (unsigned i = SLOT_COPIES; i < dht->streams; i++)
    if (dht->stream[i].kind == STREAM_COPY && dht_same_life(&dht->stream[i].to, peer))
      return &dht->stream[i];
  return NULL;
}

static struct stream *free_stream(struct dht *dht) {
  for (unsigned i = SLOT_COPIES; i < dht->streams; i++)
    if (dht->stream[i].kind == STREAM_NONE) return &dht->stream[i];
  return NULL;
}

unsigned copies_peers(const struct dht *dht, struct peer out[COPIES_MAX]) {
  if (PLANTED(1) || !dht->member || !dht->own_known) return 0; /* 1: lost copies stay lost */
  return dht_live_successors(dht, out, dht->limits.replicas - 1);
}

void copies_on_ring(struct dht *dht, struct dht_effects *fx) {
  struct peer set[COPIES_MAX];
  unsigned count = copies_peers(dht, set);
  for (unsigned i = SLOT_COPIES; i < dht->streams; i++)
    if (dht->stream[i].kind == STREAM_COPY && !is_in(set, count, &dht->stream[i].to))
      stream_stop(dht, &dht->stream[i]);
  for (unsigned i = 0; i < count; i++) {
    struct stream *s = stream_to(dht, &set[i]);
    if (s != NULL) continue;
    s = free_stream(dht);
    if (s == NULL) return; /* cannot be: there is one for each that the set can have */
    s->kind = STREAM_COPY;
    s->to = set[i];
    struct ranges own = dht_own(dht);
    parts_set(&s->todo, dht->memory, &own);
    stream_step(dht, s, fx);
  }
}

void copies_add(struct dht *dht, const struct interval *interval, struct dht_effects *fx) {
  for (unsigned i = SLOT_COPIES; i < dht->streams; i++) {
    if (dht->stream[i].kind != STREAM_COPY) continue;
    stream_add(dht, &dht->stream[i], interval);
    stream_step(dht, &dht->stream[i], fx);
  }
}

void copies_add_key(struct dht *dht, const struct key *key, const struct target *has,
                    unsigned has_count, struct dht_effects *fx) {
  for (unsigned i = SLOT_COPIES; i < dht->streams; i++) {
    struct stream *s = &dht->stream[i];
    bool holds = s->kind != STREAM_COPY;
    for (unsigned k = 0; k < has_count; k++)
      holds = holds || (has[k].state == TARGET_HAS && peer_same(&has[k].peer, &s->to));
    if (holds) continue;
    stream_add_key(dht, s, key);
    stream_step(dht, s, fx);
  }
}

bool copies_lack(const struct dht *dht) {
  for (unsigned i = SLOT_COPIES; i < dht->streams; i++)
    if (dht->stream[i].todo.count > 0 && dht->stream[i].failures < HAND_OVER_TRIES) return true;
  return false;
}
