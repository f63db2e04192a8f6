/* SPDX-License-Identifier: BSD-2-Clause */
/* Fingers: the first peer at or after self + 2^i, each peer once, for the i that reach
 * beyond the successor list. Repaired one at a time; and told of by overlay.update, the seed
 * draft's "injecting information about newly joined node to the finger tables of others".
 * The ring is correct without; they only make routes short. */
#include "overlay/chord.h"

static struct key finger_start(const struct overlay *overlay, unsigned bit) {
  return key_add_power(&overlay->self.id, bit);
}

/* k - 2^bit. */
static struct key key_below(const struct key *k, unsigned bit) {
  const struct key zero = {{0}};
  struct key power = key_add_power(&zero, bit);
  return key_distance(&power, k);
}

/* The lowest bit whose finger lies beyond the successor list; KEY_BITS: none does. */
static unsigned first_bit(const struct overlay *overlay) {
  const struct peers *list = &overlay->list;
  if (overlay->small || list->count == 0) return KEY_BITS;
  struct key span = key_distance(&overlay->self.id, &list->at[list->count - 1].id);
  return (unsigned)(key_top_bit(&span) + 1);
}

static unsigned bit_of(const struct overlay *overlay, const struct key *id) {
  struct key distance = key_distance(&overlay->self.id, id);
  int bit = key_top_bit(&distance);
  return bit < 0 ? 0 : (unsigned)bit;
}

/* ---- the table ---- */

bool fingers_want(const struct overlay *overlay, const struct key *id) {
  const struct key *self = &overlay->self.id;
  const struct peers *list = &overlay->list;
  if (overlay->small || list->count == 0 || key_equal(id, self)) return false;
  if (ring_order(self, id, &list->at[list->count - 1].id) <= 0) return false;
  struct key start = finger_start(overlay, bit_of(overlay, id));
  uint32_t i = peers_place(&overlay->fingers, self, &start);
  return i == overlay->fingers.count || ring_order(self, id, &overlay->fingers.at[i].id) < 0;
}

/* No finger: it stays known as a learnt peer. */
static void demote(struct overlay *overlay, usec now, uint32_t i) {
  struct peer peer = overlay->fingers.at[i];
  peers_remove(&overlay->fingers, i);
  learnt_put(overlay, now, &peer, NULL);
}

/* Behind the first of its interval a peer is nobody's first. */
static void keep_first_of(struct overlay *overlay, usec now, const struct key *first) {
  const struct key *self = &overlay->self.id;
  unsigned bit = bit_of(overlay, first);
  uint32_t i = peers_place(&overlay->fingers, self, first);
  if (i < overlay->fingers.count && key_equal(&overlay->fingers.at[i].id, first)) i++;
  while (i < overlay->fingers.count && bit_of(overlay, &overlay->fingers.at[i].id) == bit) {
    demote(overlay, now, i);
  }
}

void fingers_offer(struct overlay *overlay, usec now, const struct peer *peer) {
  const struct key *self = &overlay->self.id;
  if (key_equal(&peer->id, self) || peers_find(&overlay->list, self, &peer->id) != NULL) return;
  struct peer *finger = peers_find(&overlay->fingers, self, &peer->id);
  bool known = finger != NULL || peers_find(&overlay->learnt, self, &peer->id) != NULL;
  if (!known && prefix_is_full(overlay, peer)) return;
  if (finger != NULL) {
    *finger = *peer;
    learnt_heard(overlay, now, peer);
  } else if (fingers_want(overlay, &peer->id) &&
             peers_put(&overlay->fingers, overlay->memory, self, peer, FINGERS_MAX)) {
    keep_first_of(overlay, now, &peer->id);
  } else {
    learnt_put(overlay, now, peer, NULL);
  }
}

void fingers_forget(struct overlay *overlay, const struct key *id) {
  const struct key *self = &overlay->self.id;
  const struct peer *finger = peers_find(&overlay->fingers, self, id);
  if (finger != NULL) {
    peers_remove(&overlay->fingers, (uint32_t)(finger - overlay->fingers.at));
    overlay->finger_bit = (uint8_t)bit_of(overlay, id); /* repaired next */
  }
  learnt_forget(overlay, id);
}

void fingers_restart(struct overlay *overlay, usec now) {
  overlay->fingers_complete = false;
  overlay->finger_bit = 0;
  overlay->fingers_at = now + FINGER_QUICK_US;
}

void fingers_announce(struct overlay *overlay, usec at, const struct peer *subject,
                      const struct key *after, bool lost) {
  if (overlay->small || overlay->announce_bit > 0) return; /* one at a time */
  overlay->subject = *subject;
  overlay->subject_after = *after;
  overlay->subject_lost = lost;
  overlay->announce_bit = KEY_BITS;
  overlay->announce_left = UPDATES_MAX;
  overlay->announce_at = at;
}

/* ---- repair ---- */

/* A newcomer has no fingers to route by: its predecessor's are as good. */
static bool start_of_route(const struct overlay *overlay, const struct key *key, struct peer *first,
                           bool *final) {
  *final = false;
  *first = overlay->predecessor;
  if (!overlay->fingers_complete && peer_is(first) && !doubt_is(overlay, &first->id)) return true;
  return overlay_next_hops(overlay, key, NULL, 0, first, 1, final) > 0;
}

static void repair_next(struct overlay *overlay, const struct step *step) {
  unsigned low = first_bit(overlay);
  if (overlay->finger_bit >= KEY_BITS) {
    overlay->fingers_complete = true;
    overlay->finger_bit = 0;
  }
  usec period = overlay->fingers_complete ? overlay->fingers_us
                                          : usec_min(FINGER_QUICK_US, overlay->fingers_us);
  overlay->fingers_at = step->now + jitter(overlay, period);
  if (call_count(overlay, CALL_FINGER) > 0) return;
  if (overlay->finger_bit < low) overlay->finger_bit = (uint8_t)low;
  if (overlay->finger_bit >= KEY_BITS) return;
  struct key start = finger_start(overlay, overlay->finger_bit);
  const struct key *self = &overlay->self.id;
  if (peer_is(&overlay->predecessor) &&
      key_in_range_open_closed(&start, &overlay->predecessor.id, self)) {
    overlay->finger_bit = KEY_BITS; /* from here on the first peer is self */
    return;
  }
  struct peer first;
  bool final;
  if (!start_of_route(overlay, &start, &first, &final)) return;
  call_route(overlay, step, &first, &start, final, CALL_FINGER, overlay->finger_bit);
}

static void finger_found(struct overlay *overlay, const struct step *step, unsigned bit,
                         const struct overlay_message *answer) {
  const struct key *self = &overlay->self.id;
  const struct peer *found = &answer->sender;
  struct key start = finger_start(overlay, bit);
  if (!peer_is(found) || key_is_zero(&found->id)) return;
  if (key_equal(&found->id, self)) {
    overlay->finger_bit = KEY_BITS;
    return;
  }
  if (ring_order(self, &start, &found->id) > 0) return; /* not what was asked for */
  if (overlay->strangers && !overlay_is_plausible(overlay, &start, &found->id))
    return; /* it would take the place of all fingers before it */
  overlay->finger_bit = (uint8_t)(bit_of(overlay, &found->id) + 1);
  uint32_t i = peers_place(&overlay->fingers, self, &start);
  while (i < overlay->fingers.count &&
         ring_order(self, &overlay->fingers.at[i].id, &found->id) < 0) {
    demote(overlay, step->now, i);
  }
  keep_first_of(overlay, step->now, &found->id);
  const struct peer *known = peers_find(&overlay->fingers, self, &found->id);
  if (known == NULL) known = peers_find(&overlay->list, self, &found->id);
  if (known == NULL || !peer_same_life(known, found))
    chord_verify(overlay, step, found); /* */
}

/* ---- telling others ---- */

static void announce_next(struct overlay *overlay, const struct step *step) {
  unsigned low = first_bit(overlay);
  overlay->announce_at = step->now + jitter(overlay, ANNOUNCE_US);
  if (overlay->announce_bit <= low || overlay->announce_left == 0) {
    overlay->announce_bit = 0;
    return;
  }
  overlay->announce_bit--;
  struct key after = key_below(&overlay->subject_after, overlay->announce_bit);
  struct key start = key_successor(&after);
  struct peer first;
  bool final;
  if (!start_of_route(overlay, &start, &first, &final)) return;
  call_route(overlay, step, &first, &start, final, CALL_ANNOUNCE, overlay->announce_bit);
}

static void tell(struct overlay *overlay, const struct step *step, const struct peer *to) {
  if (overlay->announce_left == 0) return;
  struct overlay_call *call = call_tell(overlay, step, to, OVERLAY_UPDATE);
  if (call == NULL) return;
  overlay->announce_left--;
  call->message.subject = overlay->subject;
  call->message.lost = overlay->subject_lost;
}

/* Those in (after - 2^bit, subject - 2^bit] have subject as their finger 2^bit: the first of them
 * answered, and names those behind it. */
static void announce_to(struct overlay *overlay, const struct step *step, unsigned bit,
                        const struct overlay_message *answer) {
  struct key from = key_below(&overlay->subject_after, bit);
  struct key to = key_below(&overlay->subject.id, bit);
  const struct peer *next = &answer->sender;
  for (unsigned i = 0;; i++) {
    if (!peer_is(next) || key_equal(&next->id, &overlay->self.id)) return;
    if (!key_in_range_open_closed(&next->id, &from, &to)) return;
    tell(overlay, step, next);
    if (i == answer->successor_count) return;
    next = &answer->successor[i];
  }
}

void fingers_run(struct overlay *overlay, const struct step *step) {
  if (overlay->small) return;
  if (step->now >= overlay->fingers_at) {
    learnt_sweep(overlay, step->now);
    repair_next(overlay, step);
  }
  if (overlay->announce_bit > 0 && step->now >= overlay->announce_at) {
    announce_next(overlay, step);
  }
}

void fingers_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                      enum overlay_status status, const struct overlay_message *answer) {
  if (overlay->state != OVERLAY_MEMBER || overlay->small) return;
  if (call->purpose == CALL_ANNOUNCE) {
    if (status == OVERLAY_OK) announce_to(overlay, step, call->bit, answer);
    return;
  }
  bool current = overlay->finger_bit == call->bit;
  if (current) overlay->finger_bit++;
  if (status == OVERLAY_OK) finger_found(overlay, step, call->bit, answer);
}
