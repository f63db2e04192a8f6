/* SPDX-License-Identifier: BSD-2-Clause */
/* Zave's StabilizeFromSuccessor, StabilizeFromPredecessor and Rectify, as operations of
 * which one at a time is under way. Each changes the ring state in one step, at the answer, from
 * that one answer. */
#include "base/plant.h"
#include "overlay/chord.h"

static void schedule(struct overlay *overlay, usec now, bool changed) {
  if (!changed) {
    chord_relax(overlay, now);
  } else {
    overlay->stabilize_at = USEC_NEVER; /* it was due when this operation began */
    chord_hurry(overlay, now);
  }
}

/* 50 to 150 ms; longer, by doubling, where the other never has time. */
static void retry_busy(struct overlay *overlay, usec now) {
  if (overlay->busy_answers < 8) overlay->busy_answers++;
  unsigned shift = overlay->busy_answers > 5 ? overlay->busy_answers - 5u : 0;
  overlay->stabilize_at =
      pause_between(overlay, now, BUSY_RETRY_MIN_US << shift, BUSY_RETRY_MAX_US << shift);
}

static void begin(struct overlay *overlay, const struct step *step, const struct peer *to,
                  enum overlay_method method, enum purpose purpose) {
  struct overlay_call *call = call_ask(overlay, step, to, method, purpose);
  if (call != NULL) {
    overlay->operation = call->ticket;
  } else { /* no room in this step, or no memory: later */
    overlay->stabilize_at =
        usec_max(overlay->stabilize_at, step->now + jitter(overlay, PACE_MIN_US));
  }
}

void stabilize_start(struct overlay *overlay, const struct step *step) {
  overlay->rectified = false;
  if (overlay->list.count == 0) {
    chord_isolated(overlay, step);
    return;
  }
  struct peer head = overlay->list.at[0], hint = overlay->hint;
  overlay->hint = (struct peer){0};
  if (peer_is(&hint) && ring_between(&overlay->self.id, &hint.id, &head.id)) {
    begin(overlay, step, &hint, OVERLAY_NEIGHBORS, CALL_PREDECESSOR);
  } else {
    begin(overlay, step, &head, OVERLAY_NEIGHBORS, CALL_SUCCESSOR);
  }
}

static void notify(struct overlay *overlay, const struct step *step, const struct peer *to) {
  call_tell(overlay, step, to, OVERLAY_NOTIFY);
  if (!overlay->announce_hint) return;
  overlay->announce_hint = false; /* the peer we came after learns of us sooner from ourselves */
  if (peer_is(&overlay->predecessor)) {
    call_tell(overlay, step, &overlay->predecessor, OVERLAY_NOTIFY);
  }
}

/* All but the last of ours are in the list of the peer before us. */
static bool concerns_predecessor(const struct overlay *overlay, const struct peer *old,
                                 uint32_t count) {
  const struct peers *list = &overlay->list;
  uint32_t shared = overlay->r - 1u;
  uint32_t now = list->count < shared ? list->count : shared,
           then = count < shared ? count : shared;
  if (now != then) return true;
  for (uint32_t i = 0; i < now; i++)
    if (!peer_same(&list->at[i], &old[i])) return true;
  return false;
}

/* its list follows from ours. Change by change this goes back through the r lists, and not
 * at the pace of stabilisation: meanwhile all of one list might die, or a request be directed past
 * a newcomer to the peer behind it. */
static void tell_predecessor(struct overlay *overlay, const struct step *step) {
  const struct peer *before = &overlay->predecessor;
  if (!peer_is(before) || doubt_is(overlay, &before->id)) return;
  call_tell(overlay, step, before, OVERLAY_NOTIFY);
}

/* Where r entries span a good part of the ring it may have become smaller than 2r. */
static void look_at_size(struct overlay *overlay) {
  const struct peers *list = &overlay->list;
  if (list->count < overlay->r) return;
  struct key span = key_distance(&overlay->self.id, &list->at[list->count - 1].id);
  if (key_top_bit(&span) >= KEY_BITS - 4) overlay->wrap_rounds = 0;
}

static void successor_alive(struct overlay *overlay, const struct step *step,
                            const struct peer *head, const struct overlay_message *answer) {
  struct ring_view old = ring_view(overlay);
  struct peer had[OVERLAY_SUCCESSORS_MAX];
  uint32_t had_count = overlay->list.count;
  memcpy(had, overlay->list.at, had_count * sizeof *had);
  bool closed = chord_take_list(overlay, head, answer);
  bool changed = ring_changed(overlay, step, &old);
  if (changed && concerns_predecessor(overlay, had, had_count)) tell_predecessor(overlay, step);
  if (changed) look_at_size(overlay);
  if (closed && members_close(overlay, step, NULL)) return;
  const struct peer *between = &answer->predecessor;
  if (PLANTED(2) && peer_is(between) && /* taken unasked, as in Chord as it was published */
      ring_between(&overlay->self.id, &between->id, &head->id)) {
    struct peers *own = &overlay->list;
    if (own->count < overlay->r) own->count++;
    memmove(&own->at[1], &own->at[0], (own->count - 1) * sizeof own->at[0]);
    own->at[0] = *between;
    (void)ring_changed(overlay, step, &old);
    notify(overlay, step, between);
    schedule(overlay, step->now, true);
    return;
  }
  if (peer_is(between) && ring_between(&overlay->self.id, &between->id, &head->id) &&
      !doubt_same_life(overlay, between)) {
    begin(overlay, step, between, OVERLAY_NEIGHBORS, CALL_PREDECESSOR);
    return;
  }
  bool known = peer_is(between) && peer_same(between, &overlay->self) &&
               between->incarnation == overlay->self.incarnation;
  if (!known || overlay->announce_hint) notify(overlay, step, head);
  schedule(overlay, step->now, changed);
  const struct peers *list = &overlay->list;
  if (changed || list->count < overlay->r) return;
  if (overlay->wrap_rounds > 0) {
    overlay->wrap_rounds--;
  } else if (!doubt_is(overlay, &list->at[list->count - 1].id)) {
    overlay->wrap_rounds = WRAP_ROUNDS;
    begin(overlay, step, &list->at[list->count - 1], OVERLAY_NEIGHBORS, CALL_WRAP);
  }
}

static void successor_dead(struct overlay *overlay, const struct step *step, bool silent) {
  struct ring_view old = ring_view(overlay);
  struct peer dead = overlay->list.at[0];
  chord_remember(overlay, &dead.at);
  peers_remove(&overlay->list, 0);
  ring_changed(overlay, step, &old);
  chord_lost(overlay, step, &dead, silent);
  overlay->stabilize_at = step->now; /* the next one at once */
  if (overlay->list.count == 0) return;
  notify(overlay, step, &overlay->list.at[0]);
  tell_predecessor(overlay, step);
  fingers_announce(overlay, step->now + ANNOUNCE_AFTER_US, &dead, &overlay->self.id, true);
}

static void from_successor(struct overlay *overlay, const struct step *step,
                           const struct peer *asked, enum overlay_status status,
                           const struct overlay_message *answer) {
  if (status != OVERLAY_FAILED) overlay->silent_head = (struct key){{0}};
  if (overlay->list.count == 0 || !peer_same(&overlay->list.at[0], asked)) {
    schedule(overlay, step->now, true);
  } else if (status == OVERLAY_BUSY) {
    retry_busy(overlay, step->now);
  } else if (status == OVERLAY_FAILED && !key_equal(&overlay->silent_head, &asked->id)) {
    overlay->silent_head = asked->id; /* */
    overlay->stabilize_at = step->now;
  } else if (status != OVERLAY_OK) {
    successor_dead(overlay, step, status == OVERLAY_FAILED);
  } else {
    struct peer head = *asked;
    head.incarnation = answer->sender.incarnation;
    overlay->busy_answers = 0;
    doubt_clear(overlay, step, &head.id);
    bool alone = answer->successor_count == 0 && overlay->list.count > 1; /* no member */
    if (alone) {
      successor_dead(overlay, step, false);
    } else if (peer_same_life(asked, &answer->sender)) {
      successor_alive(overlay, step, &head, answer);
    } else { /* its former life failed; the new one is a newcomer */
      successor_dead(overlay, step, false);
      overlay->hint = head;
    }
  }
}

/* does it have our first successor after it, or newcomers before that? A peer that was
 * alone, or cut off with a few, has yet to learn of us: with its list ours would lose all the
 * others. */
static bool knows_our_head(const struct overlay *overlay, const struct key *asked,
                           const struct overlay_message *answer) {
  const struct key *head = &overlay->list.at[0].id, *next = &answer->successor[0].id;
  return answer->successor_count > 0 && (key_equal(next, head) || ring_between(asked, next, head));
}

static void from_predecessor(struct overlay *overlay, const struct step *step,
                             const struct peer *asked, enum overlay_status status,
                             const struct overlay_message *answer) {
  if (overlay->list.count == 0 ||
      !ring_between(&overlay->self.id, &asked->id, &overlay->list.at[0].id)) {
    schedule(overlay, step->now, true); /* the first successor is not the same any more */
  } else if (status == OVERLAY_BUSY) {
    overlay->hint = *asked;
    retry_busy(overlay, step->now);
  } else if (status == OVERLAY_OK && !knows_our_head(overlay, &asked->id, answer)) {
    overlay->busy_answers = 0;
    doubt_clear(overlay, step, &asked->id);
    notify(overlay, step, asked); /* so that it asks us */
    schedule(overlay, step->now, false);
  } else if (status == OVERLAY_OK) {
    struct ring_view old = ring_view(overlay);
    struct peer head = *asked;
    head.incarnation = answer->sender.incarnation;
    overlay->busy_answers = 0;
    bool closed = chord_take_list(overlay, &head, answer);
    ring_changed(overlay, step, &old);
    look_at_size(overlay);
    doubt_clear(overlay, step, &head.id);
    if (closed && members_close(overlay, step, NULL)) return;
    notify(overlay, step, &head);
    tell_predecessor(overlay, step);
    overlay->stabilize_at = step->now; /* its predecessor may be nearer still */
  } else {
    chord_lost(overlay, step, asked, status == OVERLAY_FAILED);
    notify(overlay, step, &overlay->list.at[0]);
    schedule(overlay, step->now, false);
  }
}

static void from_last(struct overlay *overlay, const struct step *step, const struct peer *asked,
                      enum overlay_status status, const struct overlay_message *answer) {
  const struct peers *list = &overlay->list;
  if (list->count < overlay->r || !peer_same(&list->at[list->count - 1], asked)) return;
  if (status == OVERLAY_OK) {
    if (peer_same_life(asked, &answer->sender)) members_close(overlay, step, answer);
  } else if (status == OVERLAY_BUSY) {
    overlay->wrap_rounds = 0;
    retry_busy(overlay, step->now);
  } else {
    overlay->wrap_rounds = 1;
    chord_lost(overlay, step, asked, status == OVERLAY_FAILED);
  }
}

void stabilize_answered(struct overlay *overlay, const struct step *step,
                        const struct pending *call, enum overlay_status status,
                        const struct overlay_message *answer) {
  if (overlay->state != OVERLAY_MEMBER || overlay->small) return;
  if (call->purpose == CALL_SUCCESSOR) {
    from_successor(overlay, step, &call->to, status, answer);
  } else if (call->purpose == CALL_PREDECESSOR) {
    from_predecessor(overlay, step, &call->to, status, answer);
  } else {
    from_last(overlay, step, &call->to, status, answer);
  }
}

/* ---- rectify ---- */

void stabilize_notified(struct overlay *overlay, const struct step *step,
                        const struct peer *sender) {
  if (!peer_is(sender)) return;
  if (overlay->small) {
    const struct peer *known = peers_find(&overlay->members, &overlay->self.id, &sender->id);
    if (known == NULL || !peer_same_life(known, sender)) chord_verify(overlay, step, sender);
    return;
  }
  const struct key *self = &overlay->self.id;
  const struct peer *waiting = &overlay->notifier;
  const struct peer *head = overlay->list.count > 0 ? &overlay->list.at[0] : NULL;
  bool comes_next = head != NULL && ring_between(self, &sender->id, &head->id);
  bool is_head = head != NULL && peer_same(sender, head), is_after = comes_next || is_head;
  if (is_head) { /* */
    usec soon = step->now + jitter(overlay, usec_min(PACE_MIN_US, overlay->stabilize_us));
    overlay->stabilize_at = usec_min(overlay->stabilize_at, soon);
  }
  /* A joiner right after us says so too: were our predecessor dead just now, it would be
   * taken for a better one than none, and all of the ring for our range. */
  if (!is_after && (!peer_is(waiting) || peer_same(waiting, sender) ||
                    ring_between(&waiting->id, &sender->id, self))) {
    overlay->notifier = *sender;
  }
  if (comes_next &&
      (!peer_is(&overlay->hint) || ring_between(self, &sender->id, &overlay->hint.id))) {
    overlay->hint = *sender;
    overlay->stabilize_at = step->now;
  }
}

void rectify_start(struct overlay *overlay, const struct step *step) {
  const struct peer *old = &overlay->predecessor;
  struct peer new = overlay->notifier;
  overlay->rectified = true;
  bool same = peer_is(old) && peer_same(old, &new);
  if (same && old->incarnation == new.incarnation) {
    overlay->notifier = (struct peer){0};
  } else if (same || !peer_is(old) || ring_between(&old->id, &new.id, &overlay->self.id)) {
    overlay->notifier = (struct peer){0};
    begin(overlay, step, &new, OVERLAY_PING, CALL_RECTIFY_NEW);
  } else { /* the notifier waits, and a better one may take its place meanwhile */
    begin(overlay, step, old, OVERLAY_PING, CALL_RECTIFY_OLD);
    if (overlay->operation == 0) overlay->notifier = (struct peer){0}; /* it will ask again */
  }
}

static void old_answered(struct overlay *overlay, const struct step *step, const struct peer *asked,
                         bool alive, bool silent) {
  struct peer new = overlay->notifier;
  if (!silent) overlay->silent_predecessor = (struct key){{0}};
  if (!peer_is(&new) || !peer_same(&overlay->predecessor, asked)) return;
  if (silent && !key_equal(&overlay->silent_predecessor, &asked->id)) {
    overlay->silent_predecessor = asked->id; /* the notifier still waits */
    return;
  }
  if (alive) {
    if (!ring_between(&asked->id, &new.id, &overlay->self.id)) {
      overlay->notifier = (struct peer){0};
    }
    return;
  }
  chord_lost(overlay, step, asked, silent);
  overlay->notifier = (struct peer){0};
  begin(overlay, step, &new, OVERLAY_PING, CALL_RECTIFY_NEW);
  if (overlay->operation != 0) overlay->pending[overlay->pending_count - 1].bit = 1;
}

static void new_answered(struct overlay *overlay, const struct step *step, const struct peer *new,
                         bool old_is_dead) {
  const struct peer *old = &overlay->predecessor;
  if (peer_is(old) && !old_is_dead && !peer_same(old, new) &&
      !ring_between(&old->id, &new->id, &overlay->self.id)) {
    return;
  }
  struct ring_view before = ring_view(overlay);
  overlay->predecessor = *new;
  doubt_clear(overlay, step, &new->id);
  ring_changed(overlay, step, &before);
}

void rectify_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                      enum overlay_status status, const struct overlay_message *answer) {
  if (overlay->state != OVERLAY_MEMBER || overlay->small) return;
  bool alive = status == OVERLAY_BUSY || status == OVERLAY_OK;
  if (call->purpose == CALL_RECTIFY_OLD) {
    if (status == OVERLAY_OK) alive = peer_same_life(&call->to, &answer->sender);
    old_answered(overlay, step, &call->to, alive, status == OVERLAY_FAILED);
  } else if (status == OVERLAY_OK) {
    struct peer new = call->to;
    new.incarnation = answer->sender.incarnation;
    new_answered(overlay, step, &new, call->bit == 1);
  } else if (!alive) {
    chord_lost(overlay, step, &call->to, status == OVERLAY_FAILED);
  }
}
