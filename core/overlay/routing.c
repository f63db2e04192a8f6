/* SPDX-License-Identifier: BSD-2-Clause */
/* The key-based routing interface: pure questions about the state. */
#include "base/plant.h"
#include "overlay/chord.h"

bool overlay_is_member(const struct overlay *overlay) { return overlay->state == OVERLAY_MEMBER; }

bool overlay_is_small(const struct overlay *overlay) { return overlay->small; }

const struct peer *overlay_self(const struct overlay *overlay) { return &overlay->self; }

uint64_t overlay_generation(const struct overlay *overlay) { return overlay->generation; }

static bool is_alone(const struct overlay *overlay) {
  return overlay->state == OVERLAY_MEMBER && overlay->list.count == 0 &&
         !peer_is(&overlay->predecessor);
}

bool overlay_is_cut_off(const struct overlay *overlay) {
  return is_alone(overlay) && overlay->doubt_count >= CUT_OFF_SILENT;
}

/* */
bool overlay_is_responsible(const struct overlay *overlay, const struct key *key) {
  struct key from, to;
  if (PLANTED(21) && overlay_range(overlay, &from, &to)) { /* closed at the wrong end */
    return key_equal(key, &from) || key_in_range_open_open(key, &from, &to);
  }
  return overlay_range(overlay, &from, &to) && key_in_range_open_closed(key, &from, &to);
}

bool overlay_range(const struct overlay *overlay, struct key *from, struct key *to) {
  if (overlay->state != OVERLAY_MEMBER) return false;
  if (!peer_is(&overlay->predecessor) && !is_alone(overlay)) return false;
  *to = overlay->self.id;
  *from = peer_is(&overlay->predecessor) ? overlay->predecessor.id : overlay->self.id;
  return true;
}

const struct peer *overlay_predecessor(const struct overlay *overlay) {
  return overlay->state == OVERLAY_MEMBER && peer_is(&overlay->predecessor) ? &overlay->predecessor
                                                                            : NULL;
}

bool overlay_is_suspect(const struct overlay *overlay, const struct key *id) {
  return doubt_is(overlay, id);
}

unsigned overlay_successors(const struct overlay *overlay, struct peer *out, unsigned max) {
  unsigned count = overlay->list.count < max ? overlay->list.count : max;
  for (unsigned i = 0; i < count; i++) out[i] = overlay->list.at[i];
  return count;
}

unsigned overlay_replica_set(const struct overlay *overlay, unsigned k, struct peer *out) {
  unsigned count = 0;
  if (overlay->state != OVERLAY_MEMBER || k == 0) return 0;
  out[count++] = overlay->self;
  for (uint32_t i = 0; i < overlay->list.count && count < k; i++) {
    if (!doubt_is(overlay, &overlay->list.at[i].id)) out[count++] = overlay->list.at[i];
  }
  return count;
}

bool overlay_waits_for(const struct overlay *overlay, const struct key *id) {
  const struct peers *near = overlay->small ? &overlay->members : &overlay->list;
  return peers_find(near, &overlay->self.id, id) != NULL && !doubt_is_confirmed(overlay, id);
}

/* ---- next hops (R-5.7) ---- */

struct choice {
  const struct overlay *overlay;
  const struct key *avoid;
  unsigned avoid_count;
  struct peer *out;
  unsigned count, max;
};

static bool is_avoided(const struct choice *choice, const struct peer *peer) {
  for (unsigned i = 0; i < choice->avoid_count; i++) {
    if (key_equal(&choice->avoid[i], &peer->id)) return true;
  }
  return false;
}

static void take(struct choice *choice, const struct peer *peer) {
  if (choice->count == choice->max || is_avoided(choice, peer)) return;
  for (unsigned i = 0; i < choice->count; i++) {
    if (peer_same(&choice->out[i], peer)) return;
  }
  choice->out[choice->count++] = *peer;
}

static void choose(struct choice *choice, const struct peer *peer) {
  if (!doubt_is(choice->overlay, &peer->id)) take(choice, peer);
}

/* Who may be responsible is not passed over for one silence. */
static void choose_responsible(struct choice *choice, const struct peer *peer) {
  if (!doubt_is_confirmed(choice->overlay, &peer->id)) take(choice, peer);
}

/* All known peers before key, the closest first: the sets are sorted, so their tails merge. */
static void choose_preceding(struct choice *choice, const struct key *key) {
  const struct overlay *overlay = choice->overlay;
  const struct key *self = &overlay->self.id;
  const struct peers *set[4] = {&overlay->list, &overlay->members, &overlay->fingers,
                                &overlay->learnt};
  uint32_t left[4];
  for (unsigned i = 0; i < 4; i++) {
    bool used = overlay->small ? i < 2 : i != 1;
    left[i] = used ? peers_place(set[i], self, key) : 0;
  }
  while (choice->count < choice->max) {
    int best = -1;
    for (int i = 0; i < 4; i++) {
      if (left[i] == 0) continue;
      if (best < 0 ||
          ring_order(self, &set[best]->at[left[best] - 1].id, &set[i]->at[left[i] - 1].id) < 0) {
        best = i;
      }
    }
    if (best < 0) return;
    choose(choice, &set[best]->at[--left[best]]);
  }
}

/* In a small ring the responsible peer is known: the first live member at or after key. */
static void choose_in_small(struct choice *choice, const struct key *key, bool *final) {
  const struct peers *members = &choice->overlay->members;
  uint32_t at = peers_place(members, &choice->overlay->self.id, key);
  for (uint32_t i = at; i < members->count; i++) choose_responsible(choice, &members->at[i]);
  *final = choice->count > 0;
  choose_preceding(choice, key);
}

static void choose_in_ring(struct choice *choice, const struct key *key, bool *final) {
  const struct overlay *overlay = choice->overlay;
  const struct key *self = &overlay->self.id;
  const struct peers *list = &overlay->list;
  for (uint32_t i = peers_place(list, self, key); i < list->count; i++)
    choose_responsible(choice, &list->at[i]);
  *final = choice->count > 0;
  if (*final) return;
  const struct peer *learnt = learnt_responsible(overlay, key);
  if (learnt != NULL) choose(choice, learnt);
  const struct peer *exact = peers_find(list, self, key);
  if (exact == NULL) exact = peers_find(&overlay->fingers, self, key);
  if (exact == NULL) exact = peers_find(&overlay->learnt, self, key);
  if (exact != NULL) choose(choice, exact);
  choose_preceding(choice, key);
}

unsigned overlay_next_hops(const struct overlay *overlay, const struct key *key,
                           const struct key *avoid, unsigned avoid_count, struct peer *out,
                           unsigned max, bool *final) {
  struct choice choice = {overlay, avoid, avoid_count, out, 0, max};
  *final = false;
  if (overlay->state != OVERLAY_MEMBER || max == 0) return 0;
  if (overlay->small) {
    choose_in_small(&choice, key, final);
  } else {
    choose_in_ring(&choice, key, final);
  }
  return choice.count;
}

/* Those at or after key that have answered this peer themselves, the closest first. Of the list
 * that is the first alone: of the others it was told by that one. */
static void choose_following(struct choice *choice, const struct key *key) {
  const struct overlay *overlay = choice->overlay;
  const struct key *self = &overlay->self.id;
  const struct peers *set[4] = {&overlay->list, &overlay->members, &overlay->fingers,
                                &overlay->learnt};
  uint32_t at[4], end[4];
  for (unsigned i = 0; i < 4; i++) {
    at[i] = peers_place(set[i], self, key);
    end[i] = i == 0 && set[i]->count > 1 ? 1 : set[i]->count;
  }
  const struct peer *last = &overlay->predecessor;
  if (choice->count < choice->max && peer_is(last) && ring_order(self, &last->id, key) >= 0)
    choose(choice, last);
  while (choice->count < choice->max) {
    int best = -1;
    for (int i = 0; i < 4; i++) {
      if (at[i] >= end[i]) continue;
      if (best < 0 || ring_order(self, &set[i]->at[at[i]].id, &set[best]->at[at[best]].id) < 0)
        best = i;
    }
    if (best < 0) return;
    choose(choice, &set[best]->at[at[best]++]);
  }
}

unsigned overlay_around(const struct overlay *overlay, const struct key *key, struct peer *out,
                        unsigned max) {
  struct choice choice = {overlay, NULL, 0, out, 0, 0};
  if (overlay->state != OVERLAY_MEMBER) return 0;
  bool final = false;
  choice.max = max / 4;
  choice.count = overlay_next_hops(overlay, key, NULL, 0, out, choice.max, &final);
  choice.max = choice.count + (max - choice.count) / 2;
  choose_following(&choice, key);
  choice.max = max;
  choose_preceding(&choice, key);
  return choice.count;
}

bool routing_preceding(const struct overlay *overlay, const struct key *key, struct peer *out) {
  struct choice choice = {overlay, NULL, 0, out, 0, 1};
  choose_preceding(&choice, key);
  return choice.count == 1;
}

/* ---- everybody known ---- */

/* Entries of the sorted sets within [from, to) of each, merged, each Peer-ID once. */
static unsigned merge(const struct overlay *overlay, bool wrapped, struct peer *out, unsigned count,
                      unsigned max) {
  const struct key *self = &overlay->self.id;
  const struct peers *set[4] = {&overlay->list, &overlay->members, &overlay->fingers,
                                &overlay->learnt};
  const struct key zero = {{0}};
  uint32_t at[4], end[4];
  for (unsigned i = 0; i < 4; i++) { /* those below self come first by Peer-ID, last clockwise */
    uint32_t turn = peers_place(set[i], self, &zero);
    if (key_is_zero(self)) turn = set[i]->count;
    at[i] = wrapped ? turn : 0;
    end[i] = wrapped ? set[i]->count : turn;
  }
  while (count < max) {
    int best = -1;
    for (int i = 0; i < 4; i++) {
      if (at[i] == end[i]) continue;
      if (best < 0 || key_compare(&set[i]->at[at[i]].id, &set[best]->at[at[best]].id) < 0) best = i;
    }
    if (best < 0) break;
    const struct peer *peer = &set[best]->at[at[best]++];
    bool repeated = count > 0 && peer_same(&out[count - 1], peer);
    if (!repeated && !doubt_is(overlay, &peer->id)) out[count++] = *peer;
  }
  return count;
}

unsigned overlay_known_peers(const struct overlay *overlay, struct peer *out, unsigned max) {
  return merge(overlay, false, out, merge(overlay, true, out, 0, max), max);
}
