/* SPDX-License-Identifier: BSD-2-Clause */
/* Small rings. Zave's proof needs r + 1 peers that nobody skips; a ring of two has not
 * so many. The rule below 2r peers:
 *
 * Everybody holds everybody. `members` are the others; a member is entered when it has answered
 * us itself, or, when a whole membership is taken over at once (joining, or closing below), on
 * the word of the one peer that answered, as in Zave's Join; those are then pinged at once.
 * A member that does not answer is dropped. The successor list is the first r of the members
 * clockwise, the predecessor the last that answered us. Whoever speaks to us and is not held is
 * pinged, so a joiner that pings all is soon held by all.
 *
 * Why this is safe: call a peer principal when every small peer holds it and no successor list
 * skips it. Entering a live peer or dropping a dead one makes nobody skip a principal, and a
 * joiner takes over at least the principals from the peer that admits it. As long as one
 * principal lives, every walk from first successor to first successor meets all principals in
 * order: one ordered ring.
 *
 * Growing: with 2r - 1 others (2r peers), all of whom answered, the peer keeps its successor list
 * and its predecessor and forgets the membership. That only skips less, so it is safe at any time;
 * and at 2r peers up to r - 1 newcomers may be known to few and there are still r + 1 principals.
 *
 * Shrinking: a peer sees the whole ring when its first successor's list comes round to itself
 * (at most r + 1 peers), or its own list followed by its last successor's does (looked at
 * whenever r entries span a good part of the ring, and every WRAP_ROUNDS rounds). If that makes
 * less than 2r peers, they are its membership from that answer on: two lists that skip no
 * principal, joined at a peer that both hold, skip none. */
#include "base/assert.h"
#include "base/plant.h"
#include "overlay/chord.h"

/* Others that make a ring of 2r. */
static unsigned others_of_ring(const struct overlay *overlay) { return 2u * overlay->r - 1; }

/* One more, so that a joiner of a ring of 2r - 1, some of whom may be dead, need not choose. */
static unsigned members_max(const struct overlay *overlay) { return 2u * overlay->r; }

void members_alone(struct overlay *overlay) {
  overlay->small = true;
  overlay->members.count = 0;
  overlay->answered = 0;
  overlay->list.count = 0;
  overlay->predecessor = (struct peer){0};
  overlay->notifier = overlay->hint = (struct peer){0};
  overlay->announce_hint = false;
  overlay->busy_answers = 0;
}

static bool has_answered(const struct overlay *overlay, uint32_t i) {
  return (overlay->answered >> i & 1) != 0;
}

static bool put(struct overlay *overlay, const struct peer *peer, bool answered) {
  struct peers *members = &overlay->members;
  uint32_t i = peers_place(members, &overlay->self.id, &peer->id);
  bool known = i < members->count && peer_same(&members->at[i], peer);
  if (!peers_put(members, overlay->memory, &overlay->self.id, peer, members_max(overlay))) {
    return false;
  }
  uint64_t below = ((uint64_t)1 << i) - 1;
  if (!known) {
    overlay->answered = (overlay->answered & below) | (overlay->answered & ~below) << 1;
  }
  if (answered) overlay->answered |= (uint64_t)1 << i;
  return true;
}

static void take_out(struct overlay *overlay, uint32_t i) {
  ASSERT(i < overlay->members.count);
  uint64_t below = ((uint64_t)1 << i) - 1;
  overlay->answered = (overlay->answered & below) | (overlay->answered >> 1 & ~below);
  peers_remove(&overlay->members, i);
}

/* list and predecessor follow from the members. A predecessor from before counts as having
 * answered, until it turns out to be gone. */
static void derive(struct overlay *overlay) {
  const struct peers *members = &overlay->members;
  struct peers *list = &overlay->list;
  struct peer old = overlay->predecessor;
  list->count = members->count < overlay->r ? members->count : overlay->r;
  for (uint32_t i = 0; i < list->count; i++) list->at[i] = members->at[i];
  overlay->predecessor = (struct peer){0};
  for (uint32_t i = members->count; i-- > 0;) {
    const struct peer *member = &members->at[i];
    bool was = peer_is(&old) && peer_same(&old, member) && peer_same_life(&old, member);
    if (!was && !has_answered(overlay, i)) continue;
    overlay->predecessor = *member;
    break;
  }
}

/* Growing. */
static void open_ring(struct overlay *overlay, const struct step *step) {
  overlay->small = false;
  overlay->answered = 0;
  peers_free(&overlay->members, overlay->memory);
  overlay->wrap_rounds = WRAP_ROUNDS;
  fingers_restart(overlay, step->now);
}

/* Only with all of them proved: the first r that are kept should not be the dead ones. */
static void grow_if_full(struct overlay *overlay, const struct step *step) {
  uint32_t count = overlay->members.count;
  uint64_t all = ((uint64_t)1 << count) - 1;
  bool proved = overlay->answered == all || PLANTED(24); /* 24: whether they live or not */
  if (count >= others_of_ring(overlay) && proved) open_ring(overlay, step);
}

bool members_take(struct overlay *overlay, const struct step *step, const struct peer *head,
                  const struct overlay_message *answer) {
  const struct key *self = &overlay->self.id;
  if (!peers_reserve(&overlay->members, overlay->memory, members_max(overlay))) {
    return false;
  }
  overlay->members.count = 0;
  overlay->answered = 0;
  bool all = true;
  unsigned taken = PLANTED(22) ? 0 : answer->member_count; /* 22: nobody but the one that admits */
  for (unsigned i = 0; i < taken; i++) {
    const struct peer *member = &answer->member[i];
    if (!peer_is(member) || key_equal(&member->id, self) || key_is_zero(&member->id)) continue;
    if (key_equal(&member->id, &head->id)) continue;
    all = put(overlay, member, false) && all;
  }
  if (overlay->members.count == members_max(overlay)) {
    all = false;
    take_out(overlay, overlay->members.count - 1);
  }
  put(overlay, head, true);
  overlay->small = true;
  derive(overlay);
  members_prove(overlay, step);
  if (!all) open_ring(overlay, step); /* its idea of small is larger than ours */
  return true;
}

/* The first r from the list, what follows from the last one's list. False: never comes round, or
 * to 2r peers or more. */
static bool gather(struct overlay *overlay, const struct overlay_message *last_answer) {
  const struct key *self = &overlay->self.id;
  for (uint32_t i = 0; i < overlay->list.count; i++) put(overlay, &overlay->list.at[i], i == 0);
  if (last_answer == NULL) return true;
  struct key last = overlay->list.at[overlay->list.count - 1].id;
  for (unsigned i = 0; i < last_answer->successor_count; i++) {
    const struct peer *next = &last_answer->successor[i];
    if (!peer_is(next)) return false;
    if (key_equal(&next->id, self) || ring_order(self, &last, &next->id) >= 0) {
      return key_equal(&next->id, self) ||
             ring_order(&last_answer->sender.id, &last, &next->id) < 0;
    }
    if (overlay->members.count + 1 >= others_of_ring(overlay)) return false;
    put(overlay, next, false);
    last = next->id;
  }
  return false;
}

bool members_close(struct overlay *overlay, const struct step *step,
                   const struct overlay_message *last_answer) {
  if (!peers_reserve(&overlay->members, overlay->memory, members_max(overlay))) {
    return false;
  }
  struct ring_view old = ring_view(overlay);
  const struct peer predecessor = overlay->predecessor;
  overlay->members.count = 0;
  overlay->answered = 0;
  if (overlay->list.count == 0 || !gather(overlay, last_answer)) {
    peers_free(&overlay->members, overlay->memory);
    overlay->answered = 0;
    return false;
  }
  if (last_answer != NULL) overlay->answered |= (uint64_t)1 << (overlay->list.count - 1);
  if (peer_is(&predecessor)) put(overlay, &predecessor, false);
  overlay->small = true;
  struct peer notifier = overlay->notifier, hint = overlay->hint;
  overlay->notifier = overlay->hint = (struct peer){0};
  chord_verify(overlay, step, &notifier);
  chord_verify(overlay, step, &hint);
  peers_free(&overlay->fingers, overlay->memory);
  derive(overlay);
  ring_changed(overlay, step, &old);
  members_prove(overlay, step);
  return true;
}

bool members_hold_later_life(const struct overlay *overlay, const struct peer *peer) {
  const struct peer *member = peers_find(&overlay->members, &overlay->self.id, &peer->id);
  return member != NULL && peer->incarnation != 0 && member->incarnation > peer->incarnation;
}

void members_enter(struct overlay *overlay, const struct step *step, const struct peer *peer) {
  if (key_equal(&peer->id, &overlay->self.id)) return;
  if (members_hold_later_life(overlay, peer)) return; /* an answer that was long on its way */
  struct ring_view old = ring_view(overlay);
  bool fits = put(overlay, peer, true);
  if (fits) {
    derive(overlay);
    ring_changed(overlay, step, &old);
    grow_if_full(overlay, step);
  } else if (overlay->members.count == members_max(overlay)) {
    open_ring(overlay, step);
    chord_hurry(overlay, step->now);
    chord_proved(overlay, step, peer);
  } /* no memory: it is heard of again at the next gossip */
}

void members_drop(struct overlay *overlay, const struct step *step, const struct key *id) {
  const struct peer *member = peers_find(&overlay->members, &overlay->self.id, id);
  if (member == NULL) return;
  struct ring_view old = ring_view(overlay);
  take_out(overlay, (uint32_t)(member - overlay->members.at));
  derive(overlay);
  ring_changed(overlay, step, &old);
  if (overlay->members.count == 0) {
    chord_isolated(overlay, step);
  } else {
    grow_if_full(overlay, step);
  }
}

void members_prove(struct overlay *overlay, const struct step *step) {
  for (uint32_t i = 0; i < overlay->members.count; i++) {
    if (!has_answered(overlay, i)) chord_verify(overlay, step, &overlay->members.at[i]);
  }
}

static void ask(struct overlay *overlay, const struct step *step, const struct peer *peer) {
  if (call_is_pending(overlay, CALL_GOSSIP, &peer->id)) return;
  call_ask(overlay, step, peer, OVERLAY_NEIGHBORS, CALL_GOSSIP);
}

/* Each round asks the first successor and, in turn, one of the others. */
void members_gossip(struct overlay *overlay, const struct step *step) {
  chord_relax(overlay, step->now);
  uint32_t count = overlay->members.count;
  if (count == 0) return;
  members_prove(overlay, step);
  ask(overlay, step, &overlay->members.at[0]);
  if (count == 1) return;
  overlay->gossip_turn = (uint8_t)(overlay->gossip_turn % (count - 1) + 1);
  ask(overlay, step, &overlay->members.at[overlay->gossip_turn]);
}

static bool is_named(const struct overlay_message *answer, const struct key *id) {
  if (key_equal(&answer->sender.id, id)) return true;
  for (unsigned i = 0; i < answer->member_count; i++) {
    if (key_equal(&answer->member[i].id, id)) return true;
  }
  return false;
}

static void consider(struct overlay *overlay, const struct step *step, const struct peer *peer) {
  if (!peer_is(peer) || doubt_same_life(overlay, peer)) return;
  const struct peer *known = peers_find(&overlay->members, &overlay->self.id, &peer->id);
  if (known == NULL || !peer_same_life(known, peer)) chord_verify(overlay, step, peer);
}

/* Pings whoever the answer names and we do not hold, and whom we hold but it does not name. */
static void compare(struct overlay *overlay, const struct step *step,
                    const struct overlay_message *answer) {
  consider(overlay, step, &answer->predecessor);
  for (unsigned i = 0; i < answer->successor_count; i++) {
    consider(overlay, step, &answer->successor[i]);
  }
  for (unsigned i = 0; i < answer->member_count; i++) {
    consider(overlay, step, &answer->member[i]);
  }
  if (answer->member_count == 0) return; /* not small: it names only its neighbours */
  for (uint32_t i = 0; i < overlay->members.count; i++) {
    if (!is_named(answer, &overlay->members.at[i].id)) {
      chord_verify(overlay, step, &overlay->members.at[i]);
    }
  }
}

/* It may not hold us yet, or be in a ring that it believes to be larger. */
static void tell_head(struct overlay *overlay, const struct step *step,
                      const struct overlay_message *answer) {
  const struct peer *before = &answer->predecessor;
  if (overlay->list.count == 0 || !peer_same(&overlay->list.at[0], &answer->sender)) return;
  if (peer_is(before) && peer_same(before, &overlay->self) &&
      before->incarnation == overlay->self.incarnation) {
    return;
  }
  call_tell(overlay, step, &overlay->list.at[0], OVERLAY_NOTIFY);
}

void members_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                      enum overlay_status status, const struct overlay_message *answer) {
  if (overlay->state != OVERLAY_MEMBER || !overlay->small) return;
  if (status == OVERLAY_OK) {
    struct peer peer = call->to;
    peer.incarnation = answer->sender.incarnation;
    chord_proved(overlay, step, &peer);
    if (overlay->small) compare(overlay, step, answer);
    tell_head(overlay, step, answer);
  } else if (status == OVERLAY_BUSY) { /* alive */
    overlay->stabilize_at =
        usec_min(overlay->stabilize_at,
                 pause_between(overlay, step->now, BUSY_RETRY_MIN_US, BUSY_RETRY_MAX_US));
  } else {
    chord_lost(overlay, step, &call->to, status == OVERLAY_FAILED);
  }
}
