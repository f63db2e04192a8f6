/* SPDX-License-Identifier: BSD-2-Clause */
/* Coming into the ring: find the place by a routed request, ask the peer before it, and take its
 * lists in one step. And the other side: admitting a joiner. */
#include "overlay/chord.h"

#define JOIN_DELAY_US MSEC(250)
#define JOIN_DELAY_MAX_US SEC(30)
#define JOIN_BUSY_MAX 4u
#define NOT_JOINED_SHIFT_MAX                                           \
  2u /* a bootstrap that is itself joining is asked again within 1.5 s \
      */

static bool is_searching(const struct overlay *overlay) {
  return overlay->state == OVERLAY_JOINING ||
         (overlay->state == OVERLAY_MEMBER && overlay->list.count == 0);
}

void join_begin(struct overlay *overlay, usec at) {
  overlay->join_tries = overlay->join_hops = 0;
  overlay->join_target = (struct peer){0};
  overlay->join_at = at;
}

static uint32_t address_count(const struct overlay *overlay) {
  return (uint32_t)overlay->bootstrap_count + overlay->remembered_count + overlay->fingers.count +
         overlay->learnt.count;
}

/* The pause doubles with each round through the addresses, not with each address. */
static void again(struct overlay *overlay, usec now, unsigned shift_max) {
  uint32_t addresses = address_count(overlay);
  unsigned shift = overlay->join_tries / (addresses > 1 ? addresses : 1);
  if (shift > shift_max) shift = shift_max;
  usec delay = usec_min(JOIN_DELAY_US << shift, JOIN_DELAY_MAX_US);
  if (overlay->join_tries < UINT16_MAX) overlay->join_tries++;
  overlay->join_hops = 0;
  overlay->join_target = (struct peer){0};
  overlay->join_at = pause_between(overlay, now, delay / 2, delay + delay / 2);
}

static void again_soon(struct overlay *overlay, usec now) {
  overlay->join_at = pause_between(overlay, now, BUSY_RETRY_MIN_US, BUSY_RETRY_MAX_US);
}

/* The first `total` of all that was ever learnt, in turn. */
static bool next_address(struct overlay *overlay, uint32_t total, struct peer *out) {
  *out = (struct peer){0};
  for (uint32_t tries = 0; tries < 2 && tries < total; tries++) {
    uint32_t i = overlay->join_turn++ % total;
    if (i < overlay->bootstrap_count) {
      out->at = overlay->bootstrap[i];
    } else if ((i -= overlay->bootstrap_count) < overlay->remembered_count) {
      out->at = overlay->remembered[i];
    } else if ((i -= overlay->remembered_count) < overlay->fingers.count) {
      *out = overlay->fingers.at[i];
    } else {
      *out = overlay->learnt.at[i - overlay->fingers.count];
    }
    if (peer_is(out) && !endpoint_same_address(&out->at, &overlay->self.at)) return true;
  }
  return false;
}

static void ask_route(struct overlay *overlay, const struct step *step) {
  struct peer via;
  if (overlay->join_tries == 0 && overlay->join_turn == 0 && overlay->bootstrap_count > 1) {
    overlay->join_turn = (uint32_t)rng_below(&overlay->rng, overlay->bootstrap_count);
  }
  if (!next_address(overlay, address_count(overlay), &via) ||
      call_route(overlay, step, &via, &overlay->self.id, false, CALL_JOIN_ROUTE, 0) == NULL) {
    again(overlay, step->now, 7);
    return;
  }
  overlay->join_waiting = true;
}

static void ask_join(struct overlay *overlay, const struct step *step) {
  struct overlay_call *call =
      call_ask(overlay, step, &overlay->join_target, OVERLAY_JOIN, CALL_JOIN);
  if (call == NULL) {
    again(overlay, step->now, 7);
    return;
  }
  overlay->operation = call->ticket;
  overlay->join_waiting = true;
}

void join_run(struct overlay *overlay, const struct step *step) {
  if (step->now < overlay->join_at || overlay->join_waiting || overlay->operation != 0) return;
  if (!is_searching(overlay)) { /* somebody found us first */
    overlay->join_at = USEC_NEVER;
  } else if (peer_is(&overlay->join_target)) {
    ask_join(overlay, step);
  } else {
    ask_route(overlay, step);
  }
}

/* The one step of Join: list := m's list, predecessor := m, member. */
static bool enter_ring(struct overlay *overlay, const struct step *step, const struct peer *m,
                       const struct overlay_message *answer) {
  bool small = answer->member_count > 0 || answer->successor_count == 0;
  struct ring_view old = ring_view(overlay);
  if (small) {
    if (!members_take(overlay, step, m, answer)) return false;
  } else {
    const struct peer *next = &answer->successor[0];
    if (!ring_between(&m->id, &overlay->self.id, &next->id)) return false;
    chord_take_list(overlay, NULL, answer);
    if (overlay->list.count == 0) return false;
    peers_free(&overlay->members, overlay->memory);
    overlay->small = false;
    overlay->predecessor = *m;
  }
  overlay->state = OVERLAY_MEMBER;
  overlay->join_at = USEC_NEVER;
  overlay->stabilize_at = USEC_NEVER;
  ring_changed(overlay, step, &old);
  return true;
}

static void joined(struct overlay *overlay, const struct step *step, bool first_time) {
  overlay->stabilize_at = step->now;
  overlay->announce_hint = true;
  overlay->wrap_rounds = WRAP_ROUNDS;
  overlay->merge_at = step->now + jitter(overlay, merge_period(overlay));
  fingers_restart(overlay, step->now);
  fingers_announce(overlay, step->now + ANNOUNCE_AFTER_US, &overlay->self, &overlay->predecessor.id,
                   false);
  if (!first_time || step->trace == NULL || overlay->list.count == 0) return;
  outbox_trace(step->trace, &(struct trace){.kind = TRACE_RING_JOINED,
                                            .at = step->now,
                                            .key = overlay->self.id,
                                            .peer = overlay->list.at[0].at});
}

static void route_answered(struct overlay *overlay, const struct step *step,
                           enum overlay_status status, const struct overlay_message *answer) {
  if (status == OVERLAY_BUSY) {
    again_soon(overlay, step->now);
  } else if (status != OVERLAY_OK) {
    again(overlay, step->now, status == OVERLAY_NOT_JOINED ? NOT_JOINED_SHIFT_MAX : 7);
  } else {
    const struct key *self = &overlay->self.id;
    const struct peer *owner = &answer->sender, *before = &answer->predecessor;
    bool usable = peer_is(before) && !key_equal(&before->id, self);
    overlay->join_target = usable ? *before : *owner;
    overlay->join_hops = 0;
    if (!peer_is(&overlay->join_target) || key_equal(&overlay->join_target.id, self)) {
      again(overlay, step->now, 7); /* our former life, or nobody */
      return;
    }
    overlay->join_at = step->now;
  }
}

static void place_answered(struct overlay *overlay, const struct step *step,
                           const struct pending *call, enum overlay_status status,
                           const struct overlay_message *answer) {
  struct peer m = call->to;
  bool first_time = overlay->state != OVERLAY_MEMBER;
  if (status == OVERLAY_OK) {
    m.incarnation = answer->sender.incarnation;
    if (enter_ring(overlay, step, &m, answer)) {
      joined(overlay, step, first_time);
    } else {
      again(overlay, step->now, 7);
    }
  } else if (status == OVERLAY_BUSY) {
    if (++overlay->join_busy % JOIN_BUSY_MAX == 0) { /* others came in: is the place still here? */
      overlay->join_hops = 0;
      overlay->join_target = (struct peer){0};
    }
    again_soon(overlay, step->now);
  } else if (status == OVERLAY_ELSEWHERE && peer_is(&answer->subject) &&
             !key_equal(&answer->subject.id, &overlay->self.id) &&
             !peer_same(&answer->subject, &m) && overlay->join_hops < JOIN_HOPS_MAX) {
    overlay->join_hops++;
    overlay->join_target = answer->subject;
    overlay->join_at = step->now;
  } else {
    again(overlay, step->now, 7);
  }
}

void join_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                   enum overlay_status status, const struct overlay_message *answer) {
  overlay->join_waiting = false;
  if (!is_searching(overlay)) {
    overlay->join_at = USEC_NEVER;
  } else if (call->purpose == CALL_JOIN_ROUTE) {
    route_answered(overlay, step, status, answer);
  } else {
    place_answered(overlay, step, call, status, answer);
  }
}

/* ---- finding the other part of a split ring (R-5.31) ---- */

void merge_soon(struct overlay *overlay, usec now) {
  overlay->merge_at =
      usec_min(overlay->merge_at, pause_between(overlay, now, MERGE_SOON_US, 3 * MERGE_SOON_US));
}

usec merge_period(const struct overlay *overlay) {
  return usec_max(MERGE_US, MERGE_ROUNDS * overlay->stabilize_us);
}

void merge_run(struct overlay *overlay, const struct step *step) {
  if (step->now < overlay->merge_at) return;
  overlay->merge_at = step->now + jitter(overlay, merge_period(overlay));
  uint32_t outside = (uint32_t)overlay->bootstrap_count + overlay->remembered_count;
  struct peer via;
  if (overlay->list.count == 0 || call_count(overlay, CALL_MERGE) > 0) return;
  if (!next_address(overlay, outside, &via)) return;
  call_route(overlay, step, &via, &overlay->self.id, false, CALL_MERGE, 0);
}

void merge_answered(struct overlay *overlay, const struct step *step, enum overlay_status status,
                    const struct overlay_message *answer) {
  if (overlay->state != OVERLAY_MEMBER || status != OVERLAY_OK) return;
  const struct peer *other = &answer->sender;
  if (!peer_is(other) || key_equal(&other->id, &overlay->self.id)) return; /* one ring */
  if (overlay->small) {
    const struct peer *held = peers_find(&overlay->members, &overlay->self.id, &other->id);
    if (held == NULL) chord_verify(overlay, step, other);
  } else if (overlay->list.count > 0 &&
             ring_between(&overlay->self.id, &other->id, &overlay->list.at[0].id)) {
    overlay->hint = *other;
    overlay->stabilize_at = step->now;
  }
}

/* ---- the other side ---- */

/* One joiner after us at a time: the next finds its place by the first, and rings do not become
 * long queues behind one peer. Not needed for correctness, so a short time bounds it. */
static bool is_admitting_another(const struct overlay *overlay, usec now,
                                 const struct key *joiner) {
  if (now >= overlay->admitted_until || key_equal(&overlay->admitted, joiner)) return false;
  const struct key *self = &overlay->self.id;
  if (overlay->small) return peers_find(&overlay->members, self, &overlay->admitted) == NULL;
  return overlay->list.count > 0 && !key_equal(&overlay->list.at[0].id, &overlay->admitted) &&
         ring_between(self, &overlay->admitted, &overlay->list.at[0].id);
}

/* The joiner's former life is still believed in: ask, and the answer will say that it is over. */
static bool is_former_life(struct overlay *overlay, const struct step *step,
                           const struct key *joiner) {
  const struct peer *member = peers_find(&overlay->members, &overlay->self.id, joiner);
  if (member != NULL) {
    chord_verify(overlay, step, member);
    return true;
  }
  if (overlay->list.count > 0 && key_equal(&overlay->list.at[0].id, joiner)) {
    overlay->stabilize_at = step->now;
    return true;
  }
  return false;
}

enum overlay_status join_request(struct overlay *overlay, const struct step *step,
                                 const struct overlay_message *request,
                                 struct overlay_message *answer) {
  const struct key *self = &overlay->self.id, *joiner = &request->sender.id;
  if (overlay->operation != 0) return OVERLAY_BUSY; /* */
  if (is_former_life(overlay, step, joiner)) return OVERLAY_BUSY;
  const struct key *next = overlay->list.count > 0 ? &overlay->list.at[0].id : self;
  if (!ring_between(self, joiner, next)) {
    return routing_preceding(overlay, joiner, &answer->subject) ? OVERLAY_ELSEWHERE : OVERLAY_BUSY;
  }
  if (is_admitting_another(overlay, step->now, joiner)) return OVERLAY_BUSY;
  overlay->admitted = *joiner;
  overlay->admitted_until = step->now + ADMISSION_US;
  message_add_state(answer, overlay);
  return OVERLAY_OK;
}
