/* SPDX-License-Identifier: BSD-2-Clause */
/* Zave's invariant and goal, evaluated on the states of all peers of a ring_world. */
#include <stdlib.h>

#include "support/ring_world.h"

static bool is_member(const struct ring_world *w, uint32_t i) {
  return w->node[i].overlay != NULL && overlay_is_member(w->node[i].overlay);
}

/* The index of the live member that this entry means, or RING_WORLD_NONE. */
static uint32_t live(const struct ring_world *w, const struct peer *peer) {
  uint32_t i = (uint32_t)peer->at.addr[2] << 8 | peer->at.addr[3];
  if (i >= w->count || !is_member(w, i) || !peer_same(peer, &w->node[i].self)) {
    return RING_WORLD_NONE;
  }
  return peer->incarnation == w->node[i].self.incarnation ? i : RING_WORLD_NONE;
}

uint32_t ring_world_members(const struct ring_world *w) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < w->count; i++) count += is_member(w, i);
  return count;
}

static const struct ring_world *sorting;
static int by_id(const void *a, const void *b) {
  return key_compare(&sorting->node[*(const uint32_t *)a].self.id,
                     &sorting->node[*(const uint32_t *)b].self.id);
}

static uint32_t sorted_members(const struct ring_world *w, uint32_t *out) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < w->count; i++) {
    if (is_member(w, i)) out[count++] = i;
  }
  sorting = w;
  qsort(out, count, sizeof *out, by_id);
  return count;
}

uint32_t ring_world_owner(const struct ring_world *w, const struct key *key) {
  uint32_t best = RING_WORLD_NONE;
  for (uint32_t i = 0; i < w->count; i++) {
    if (!is_member(w, i)) continue;
    if (best == RING_WORLD_NONE ||
        ring_order(key, &w->node[i].self.id, &w->node[best].self.id) < 0) {
      best = i;
    }
  }
  return best;
}

static const char *check_set(const struct key *self, const struct peers *set) {
  for (uint32_t i = 0; i < set->count; i++) {
    if (key_equal(&set->at[i].id, self)) return "a peer lists itself";
    if (!peer_is(&set->at[i])) return "a list holds an address-less peer";
    if (i > 0 && ring_order(self, &set->at[i - 1].id, &set->at[i].id) >= 0) {
      return "a list is not in order, or names a peer twice";
    }
  }
  return NULL;
}

static const char *check_lists(struct ring_world *w) {
  for (uint32_t i = 0; i < w->count; i++) {
    const struct overlay *o = w->node[i].overlay;
    if (o == NULL) continue;
    w->violation_at = i;
    const char *why = check_set(&o->self.id, &o->list);
    if (why == NULL) why = check_set(&o->self.id, &o->members);
    if (why == NULL) why = check_set(&o->self.id, &o->fingers);
    if (why == NULL) why = check_set(&o->self.id, &o->learnt);
    if (why == NULL && o->list.count > o->r) why = "a successor list is longer than r";
    if (why != NULL) return why;
  }
  return NULL;
}

static uint32_t best_successor(const struct ring_world *w, uint32_t i) {
  const struct overlay *o = w->node[i].overlay;
  const struct peers *known = o->small ? &o->members : &o->list;
  for (uint32_t s = 0; s < known->count; s++) {
    uint32_t j = live(w, &known->at[s]);
    if (j != RING_WORLD_NONE) return j;
  }
  return RING_WORLD_NONE;
}

bool ring_world_has_successor(const struct ring_world *w, uint32_t i) {
  return is_member(w, i) && best_successor(w, i) != RING_WORLD_NONE;
}

/* One ring that is ordered, and everybody's way leads into it. */
static const char *check_ring(struct ring_world *w) {
  static uint32_t best[RING_WORLD_PEERS_MAX];
  static uint8_t mark[RING_WORLD_PEERS_MAX]; /* 1: in the ring; 2: way leads there */
  uint32_t members = ring_world_members(w), first = RING_WORLD_NONE;
  if (members < 2) return NULL;
  memset(mark, 0, sizeof mark);
  for (uint32_t i = 0; i < w->count; i++) {
    if (!is_member(w, i)) continue;
    w->violation_at = i;
    best[i] = best_successor(w, i);
    /* a creator that nobody has reported to yet is a ring of one with appendages */
    if (best[i] == RING_WORLD_NONE) best[i] = i;
    if (first == RING_WORLD_NONE) first = i;
  }
  uint32_t at = first;
  for (uint32_t n = 0; n < members; n++) at = best[at];
  unsigned turns = 0;
  uint32_t start = at;
  do {
    mark[at] = 1;
    w->violation_at = at;
    if (key_compare(&w->node[best[at]].self.id, &w->node[at].self.id) <= 0) turns++;
    at = best[at];
  } while (at != start);
  if (turns != 1) return "the ring goes round more than once";
  for (uint32_t i = 0; i < w->count; i++) {
    if (!is_member(w, i)) continue;
    uint32_t n = 0;
    for (at = i; mark[at] == 0 && n <= members; n++) at = best[at];
    w->violation_at = i;
    if (mark[at] == 0) return "there are two rings";
    if (best[i] == i && mark[i] == 0) return "a member has no live successor";
    for (at = i; mark[at] == 0; at = best[at]) mark[at] = 2;
  }
  return NULL;
}

const char *ring_world_violation(struct ring_world *w, bool lists_only) {
  const char *why = check_lists(w);
  if (why == NULL && !lists_only) why = check_ring(w);
  return why;
}

const char *ring_world_not_ideal(struct ring_world *w) {
  static uint32_t order[RING_WORLD_PEERS_MAX];
  uint32_t n = sorted_members(w, order);
  for (uint32_t i = 0; i < w->count; i++) {
    w->violation_at = i;
    if (w->node[i].overlay != NULL && w->node[i].overlay->state == OVERLAY_JOINING) {
      return "a peer has not joined";
    }
  }
  for (uint32_t at = 0; at < n; at++) {
    const struct overlay *o = w->node[order[at]].overlay;
    w->violation_at = order[at];
    uint32_t others = n - 1;
    if (o->small != (n < 2u * o->r)) return "small is not what the number of members says";
    if (o->list.count != (others < o->r ? others : o->r)) return "a successor list is short";
    for (uint32_t s = 0; s < o->list.count; s++) {
      if (live(w, &o->list.at[s]) != order[(at + 1 + s) % n]) return "a successor is wrong";
    }
    if (o->small && o->members.count != others) return "a membership is not full";
    for (uint32_t s = 0; s < o->members.count; s++) {
      if (live(w, &o->members.at[s]) != order[(at + 1 + s) % n]) return "a member is wrong";
    }
    if (n > 1 && live(w, &o->predecessor) != order[(at + n - 1) % n]) {
      return "a predecessor is wrong";
    }
  }
  return NULL;
}

static bool skips(const struct overlay *o, const struct key *id) {
  const struct key *last = &o->self.id;
  if (key_equal(last, id)) return false;
  const struct peers *known = o->small ? &o->members : &o->list;
  for (uint32_t s = 0; s < known->count; s++) {
    if (key_equal(&known->at[s].id, id)) return false;
    if (ring_between(last, id, &known->at[s].id)) return true;
    last = &known->at[s].id;
  }
  return o->small; /* its list comes round to itself */
}

static uint32_t principals_without(const struct ring_world *w, uint32_t failed) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < w->count; i++) {
    if (i == failed || !is_member(w, i)) continue;
    bool skipped = false;
    for (uint32_t j = 0; j < w->count && !skipped; j++) {
      skipped = j != failed && is_member(w, j) && skips(w->node[j].overlay, &w->node[i].self.id);
    }
    count += !skipped;
  }
  return count;
}

uint32_t ring_world_principals(const struct ring_world *w) {
  return principals_without(w, RING_WORLD_NONE);
}

bool ring_world_answer_is_good(const struct ring_world *w, const struct overlay_message *answer) {
  bool small = answer->member_count > 0 || answer->successor_count == 0;
  bool holds_sender =
      answer->method == OVERLAY_NEIGHBORS || (small && answer->member_count < w->successors);
  bool good = holds_sender && live(w, &answer->sender) != RING_WORLD_NONE;
  unsigned kept = answer->method == OVERLAY_NEIGHBORS ? w->successors - 1 : w->successors;
  if (kept > answer->successor_count) kept = answer->successor_count;
  for (unsigned i = 0; i < kept && !good; i++) {
    good = live(w, &answer->successor[i]) != RING_WORLD_NONE;
  }
  /* a joiner that would be one too many keeps but the list */
  bool keeps_all = answer->member_count + 1 <= 2 * w->successors;
  for (unsigned i = 0; i < answer->member_count && !good && keeps_all; i++) {
    good = live(w, &answer->member[i]) != RING_WORLD_NONE;
  }
  return good;
}

static bool answers_stay_good(const struct ring_world *w) {
  for (uint32_t e = 0; e < w->heap_count; e++) {
    const struct overlay_message *answer = ring_world_answer(w, e);
    if (answer != NULL && !ring_world_answer_is_good(w, answer)) return false;
  }
  return true;
}

bool ring_world_may_fail(struct ring_world *w, uint32_t i) {
  if (!is_member(w, i)) return true;
  uint32_t others = ring_world_members(w) - 1;
  if (others == 0) return false;
  struct overlay *failed = w->node[i].overlay;
  w->node[i].overlay = NULL;
  bool may = true, small = false;
  for (uint32_t j = 0; j < w->count && may; j++) {
    if (!is_member(w, j)) continue;
    small = small || w->node[j].overlay->small;
    if (others > 1) may = best_successor(w, j) != RING_WORLD_NONE;
  }
  may = may && answers_stay_good(w);
  w->node[i].overlay = failed;
  uint32_t needed = small || others < w->successors + 1 ? 1 : w->successors + 1;
  return may && principals_without(w, i) >= needed;
}
