/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers learnt from traffic: whoever answered us, and whom the answers that pass name as
 * responsible, once it has answered us, too. Of the latter the range is known, so that a request
 * for a key in it goes there in one hop. The ring is correct without any of this: who is asked
 * so decides by its own pointers. */
#include "overlay/chord.h"

#define SAMPLE 8u
#define SWEEP 64u /* entries looked at in a period of finger repair */

static uint32_t seconds(usec now) { return (uint32_t)(now / USEC_PER_SEC); }

/* ---- the two arrays, in step ---- */

static void note_remove(struct overlay *overlay, uint32_t index) {
  struct learnt_note *note = overlay->learnt_note;
  peers_remove(&overlay->learnt, index);
  memmove(&note[index], &note[index + 1], (overlay->learnt.count - index) * sizeof *note);
}

static bool reserve(struct overlay *overlay) {
  struct peers *learnt = &overlay->learnt;
  if (learnt->count < learnt->room) return true;
  uint32_t room = learnt->room < 4 ? 4 : learnt->room + learnt->room / 2;
  if (room > overlay->learnt_max) room = overlay->learnt_max;
  struct learnt_note *note = memory_take(overlay->memory, room * sizeof *note);
  if (note == NULL) return false;
  uint32_t old = learnt->room;
  if (!peers_reserve(learnt, overlay->memory, room)) {
    memory_give(overlay->memory, note, room * sizeof *note);
    return false;
  }
  if (learnt->count > 0) memcpy(note, overlay->learnt_note, learnt->count * sizeof *note);
  memory_give(overlay->memory, overlay->learnt_note, old * sizeof *note);
  overlay->learnt_note = note;
  return true;
}

void learnt_free(struct overlay *overlay) {
  memory_give(overlay->memory, overlay->learnt_note,
              overlay->learnt.room * sizeof *overlay->learnt_note);
  overlay->learnt_note = NULL;
  peers_free(&overlay->learnt, overlay->memory);
}

/* ---- who stays ---- */

static bool is_smaller_gap(const struct overlay *overlay, uint32_t a, uint32_t b) {
  const struct peers *learnt = &overlay->learnt;
  const struct key *self = &overlay->self.id;
  const struct key *after_a = a + 1 < learnt->count ? &learnt->at[a + 1].id : self;
  const struct key *after_b = b + 1 < learnt->count ? &learnt->at[b + 1].id : self;
  struct key gap_a = key_distance(&learnt->at[a].id, after_a);
  struct key gap_b = key_distance(&learnt->at[b].id, after_b);
  return key_compare(&gap_a, &gap_b) < 0;
}

/* A peer shortens the routes to the keys between it and the next one known: of a few drawn at
 * random the one with the smallest such gap goes. */
static void evict(struct overlay *overlay) {
  uint32_t worst = (uint32_t)rng_below(&overlay->rng, overlay->learnt.count);
  for (unsigned i = 1; i < SAMPLE; i++) {
    uint32_t other = (uint32_t)rng_below(&overlay->rng, overlay->learnt.count);
    if (is_smaller_gap(overlay, other, worst)) worst = other;
  }
  note_remove(overlay, worst);
}

void learnt_put(struct overlay *overlay, usec now, const struct peer *peer,
                const struct key *from) {
  const struct key *self = &overlay->self.id;
  if (overlay->learnt_max == 0) return;
  uint32_t i = peers_place(&overlay->learnt, self, &peer->id);
  bool known = i < overlay->learnt.count && peer_same(&overlay->learnt.at[i], peer);
  if (!known) {
    if (prefix_is_full(overlay, peer)) return;
    if (overlay->learnt.count >= overlay->learnt_max) evict(overlay);
    if (!reserve(overlay)) return;
    i = peers_place(&overlay->learnt, self, &peer->id);
    uint32_t behind = overlay->learnt.count - i;
    if (!peers_put(&overlay->learnt, overlay->memory, self, peer, overlay->learnt_max)) return;
    struct learnt_note *note = &overlay->learnt_note[i];
    memmove(note + 1, note, behind * sizeof *note);
    *note = (struct learnt_note){0};
  }
  overlay->learnt.at[i] = *peer;
  overlay->learnt_note[i].heard_s = seconds(now);
  /* who claims much more than others would draw their keys to itself. */
  if (from != NULL && (!overlay->strangers || overlay_is_plausible(overlay, from, &peer->id))) {
    overlay->learnt_note[i].from = *from;
    overlay->learnt_note[i].has_range = true;
  }
}

void learnt_heard(struct overlay *overlay, usec now, const struct peer *peer) {
  if (peers_find(&overlay->learnt, &overlay->self.id, &peer->id) != NULL)
    learnt_put(overlay, now, peer, NULL);
}

bool learnt_forget(struct overlay *overlay, const struct key *id) {
  const struct peer *peer = peers_find(&overlay->learnt, &overlay->self.id, id);
  if (peer == NULL) return false;
  note_remove(overlay, (uint32_t)(peer - overlay->learnt.at));
  return true;
}

void overlay_on_peer_refused(struct overlay *overlay, const struct peer *peer) {
  learnt_forget(overlay, &peer->id);
}

void learnt_sweep(struct overlay *overlay, usec now) {
  for (unsigned i = 0; i < SWEEP && overlay->learnt.count > 0; i++) {
    if (overlay->learnt_turn >= overlay->learnt.count) overlay->learnt_turn = 0;
    if (seconds(now) - overlay->learnt_note[overlay->learnt_turn].heard_s > LEARNT_LIFE_S)
      note_remove(overlay, overlay->learnt_turn);
    else
      overlay->learnt_turn++;
  }
}

/* ---- ranges ---- */

/* No wider than the own successor list: one that says it has more is not believed. */
static bool is_likely(const struct overlay *overlay, const struct key *from, const struct key *to) {
  if (overlay->list.count == 0) return false;
  struct key span = key_distance(&overlay->self.id, &overlay->list.at[overlay->list.count - 1].id);
  struct key width = key_distance(from, to);
  return !key_is_zero(&width) && key_compare(&width, &span) <= 0;
}

const struct peer *learnt_responsible(const struct overlay *overlay, const struct key *key) {
  const struct key *self = &overlay->self.id;
  uint32_t i = peers_place(&overlay->learnt, self, key);
  if (overlay->small || i == overlay->learnt.count) return NULL;
  const struct peer *peer = &overlay->learnt.at[i];
  const struct learnt_note *note = &overlay->learnt_note[i];
  if (!note->has_range || !key_in_range_open_closed(key, &note->from, &peer->id)) return NULL;
  if (!is_likely(overlay, &note->from, &peer->id)) return NULL;
  uint32_t finger = peers_place(&overlay->fingers, self, key);
  bool another = finger < overlay->fingers.count &&
                 ring_order(self, &overlay->fingers.at[finger].id, &peer->id) < 0;
  return another ? NULL : peer;
}

/* ---- learning ---- */

void overlay_on_peer_named(struct overlay *overlay, usec now, const struct peer *peer,
                           struct overlay_calls *calls) {
  const struct step step = {now, calls, NULL};
  const struct key *self = &overlay->self.id;
  if (overlay->state != OVERLAY_MEMBER || overlay->small || overlay->learnt_max == 0) return;
  if (!peer_is(peer) || key_is_zero(&peer->id) || key_equal(&peer->id, self)) return;
  if (peers_find(&overlay->list, self, &peer->id) != NULL) return;
  if (doubt_is(overlay, &peer->id) || call_count(overlay, CALL_LEARN) >= LEARN_CALLS_MAX) return;
  if (call_is_pending(overlay, CALL_LEARN, &peer->id)) return;
  uint32_t i = peers_place(&overlay->learnt, self, &peer->id);
  if (i < overlay->learnt.count && peer_same(&overlay->learnt.at[i], peer) &&
      overlay->learnt_note[i].has_range) {
    return;
  }
  call_ask(overlay, &step, peer, OVERLAY_NEIGHBORS, CALL_LEARN);
}

void learnt_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                     enum overlay_status status, const struct overlay_message *answer) {
  if (status != OVERLAY_OK || overlay->state != OVERLAY_MEMBER) return;
  struct peer peer = call->to;
  peer.incarnation = answer->sender.incarnation;
  chord_proved(overlay, step, &peer);
  if (overlay->small || peers_find(&overlay->list, &overlay->self.id, &peer.id) != NULL) return;
  learnt_put(overlay, step->now, &peer,
             peer_is(&answer->predecessor) ? &answer->predecessor.id : NULL);
}
