/* SPDX-License-Identifier: BSD-2-Clause */
/* One peer's overlay: its life, and the door for requests, answers and time. */
#include "overlay/chord.h"

#include "base/assert.h"
#include "base/plant.h"

struct overlay *overlay_new(const struct overlay_config *config) {
  ASSERT(config->successors >= 2 && config->successors <= OVERLAY_SUCCESSORS_MAX);
  struct overlay *overlay = memory_take(config->memory, sizeof *overlay);
  if (overlay == NULL) return NULL;
  overlay->memory = config->memory;
  overlay->self = config->self;
  overlay->r = (uint8_t)config->successors;
  overlay->stabilize_us = config->stabilize_us;
  overlay->fingers_us = config->fingers_us;
  overlay->learnt_max = config->fingers_max;
  overlay->strangers = config->strangers;
  rng_init(&overlay->rng, config->seed);
  if (!peers_reserve(&overlay->list, overlay->memory, overlay->r)) {
    overlay_free(overlay);
    return NULL;
  }
  members_alone(overlay);
  overlay->join_at = overlay->merge_at = overlay->doubt_at = USEC_NEVER;
  return overlay;
}

static void forget_calls(struct overlay *overlay) {
  memory_give(overlay->memory, overlay->pending, overlay->pending_room * sizeof *overlay->pending);
  overlay->pending = NULL;
  overlay->pending_count = overlay->pending_room = 0;
  overlay->operation = 0;
  overlay->join_waiting = false;
}

static void forget_doubts(struct overlay *overlay) {
  memory_give(overlay->memory, overlay->doubts, overlay->doubt_room * sizeof *overlay->doubts);
  overlay->doubts = NULL;
  overlay->doubt_count = overlay->doubt_room = 0;
  overlay->doubt_at = USEC_NEVER;
}

void overlay_free(struct overlay *overlay) {
  if (overlay == NULL) return;
  const struct memory *memory = overlay->memory;
  forget_calls(overlay);
  forget_doubts(overlay);
  peers_free(&overlay->list, memory);
  peers_free(&overlay->members, memory);
  peers_free(&overlay->fingers, memory);
  learnt_free(overlay);
  memory_give(memory, overlay->bootstrap, overlay->bootstrap_count * sizeof *overlay->bootstrap);
  memory_give(memory, overlay, sizeof *overlay);
}

/* ---- what changed ---- */

bool peer_same_life(const struct peer *a, const struct peer *b) {
  return a->incarnation == 0 || b->incarnation == 0 || a->incarnation == b->incarnation;
}

static uint64_t digest_peers(uint64_t digest, const struct peers *peers) {
  const struct hash_key key = {digest, peers->count};
  for (uint32_t i = 0; i < peers->count; i++) {
    struct hash_key chained = {key.k0 ^ digest, key.k1 ^ peers->at[i].incarnation};
    digest = hash_bytes(chained, peers->at[i].id.byte, KEY_BYTES);
  }
  return digest;
}

struct ring_view ring_view(const struct overlay *overlay) {
  struct ring_view view = {.predecessor = overlay->predecessor};
  if (overlay->list.count > 0) view.head = overlay->list.at[0];
  view.digest = digest_peers(digest_peers(overlay->small, &overlay->list), &overlay->members);
  return view;
}

static void trace_ring(const struct step *step, enum trace_kind kind, const struct peer *peer) {
  if (step->trace == NULL) return;
  outbox_trace(step->trace,
               &(struct trace){.kind = kind, .at = step->now, .key = peer->id, .peer = peer->at});
}

static bool is_other(const struct peer *a, const struct peer *b) {
  return peer_is(a) != peer_is(b) || !peer_same(a, b) || a->incarnation != b->incarnation;
}

bool ring_changed(struct overlay *overlay, const struct step *step, const struct ring_view *old) {
  struct ring_view new = ring_view(overlay);
  bool predecessor = is_other(&old->predecessor, &new.predecessor);
  if (!predecessor && old->digest == new.digest) return false;
  overlay->generation++;
  if (is_other(&old->head, &new.head) && peer_is(&new.head)) {
    trace_ring(step, TRACE_RING_SUCCESSOR, &new.head);
  }
  if (predecessor && peer_is(&new.predecessor)) {
    trace_ring(step, TRACE_RING_PREDECESSOR, &new.predecessor);
  }
  chord_hurry(overlay, step->now);
  return true;
}

usec jitter(struct overlay *overlay, usec period) {
  return rng_between(&overlay->rng, period - period / 5, period + period / 5);
}

void chord_hurry(struct overlay *overlay, usec now) {
  overlay->pace_us = usec_min(PACE_MIN_US, overlay->stabilize_us);
  overlay->quiet_rounds = 0;
  usec soon = now + jitter(overlay, overlay->pace_us);
  overlay->stabilize_at = usec_min(overlay->stabilize_at, soon);
}

void chord_relax(struct overlay *overlay, usec now) {
  if (overlay->quiet_rounds < PACE_ROUNDS) {
    overlay->quiet_rounds++;
  } else {
    overlay->pace_us = usec_min(overlay->pace_us * 2, overlay->stabilize_us);
  }
  overlay->stabilize_at = now + jitter(overlay, overlay->pace_us);
}

bool chord_take_list(struct overlay *overlay, const struct peer *head,
                     const struct overlay_message *answer) {
  const struct key *self = &overlay->self.id;
  struct peer *at = overlay->list.at;
  uint32_t count = 0;
  struct key first = answer->sender.id;
  if (head != NULL) at[count++] = *head;
  struct key last = head != NULL ? head->id : *self;
  bool closed = false;
  for (unsigned i = 0; i < answer->successor_count; i++) {
    const struct peer *next = &answer->successor[i];
    if (!peer_is(next)) break;
    if (key_equal(&next->id, self) || ring_order(self, &last, &next->id) >= 0) {
      /* back at self, or past it without disorder as the answerer sees it */
      closed = key_equal(&next->id, self) || ring_order(&first, &last, &next->id) < 0;
      break;
    }
    if (count == overlay->r) break;
    if (PLANTED(15) && i == 0 && answer->successor_count > 1) continue; /* one is skipped */
    at[count++] = *next;
    last = next->id;
  }
  overlay->list.count = count;
  return closed && head != NULL;
}

void chord_remember(struct overlay *overlay, const struct endpoint *at) {
  if (endpoint_equal(at, &overlay->self.at)) return;
  for (unsigned i = 0; i < overlay->remembered_count; i++) {
    if (endpoint_equal(at, &overlay->remembered[i])) return;
  }
  overlay->remembered[overlay->remembered_next] = *at;
  overlay->remembered_next = (uint8_t)((overlay->remembered_next + 1) % REMEMBERED_MAX);
  if (overlay->remembered_count < REMEMBERED_MAX) overlay->remembered_count++;
}

/* ---- life ---- */

void overlay_create(struct overlay *overlay, usec now, struct outbox *trace) {
  if (overlay->state == OVERLAY_MEMBER) return;
  members_alone(overlay);
  overlay->state = OVERLAY_MEMBER;
  overlay->join_at = overlay->stabilize_at = USEC_NEVER;
  overlay->merge_at = now + jitter(overlay, merge_period(overlay));
  overlay->generation++;
  chord_hurry(overlay, now);
  trace_ring(&(struct step){now, NULL, trace}, TRACE_RING_JOINED, &overlay->self);
}

void overlay_join(struct overlay *overlay, usec now, const struct endpoint *bootstrap,
                  unsigned count, struct overlay_calls *calls) {
  struct step step = {now, calls, NULL};
  if (count > BOOTSTRAPS_MAX) count = BOOTSTRAPS_MAX;
  struct endpoint *copy =
      count == 0 ? NULL : memory_take(overlay->memory, count * sizeof *overlay->bootstrap);
  if (copy != NULL) {
    memcpy(copy, bootstrap, count * sizeof *copy);
    memory_give(overlay->memory, overlay->bootstrap,
                overlay->bootstrap_count * sizeof *overlay->bootstrap);
    overlay->bootstrap = copy;
    overlay->bootstrap_count = (uint8_t)count;
  } else if (count > 0) { /* no memory: what can be remembered must do */
    for (unsigned i = 0; i < count && i < REMEMBERED_MAX; i++) {
      chord_remember(overlay, &bootstrap[i]);
    }
  }
  if (overlay->state == OVERLAY_OUT) {
    overlay->state = OVERLAY_JOINING;
    join_begin(overlay, now);
  }
  chord_run(overlay, &step);
}

void overlay_leave(struct overlay *overlay, usec now, struct overlay_calls *calls,
                   struct outbox *trace) {
  struct step step = {now, calls, trace};
  if (overlay->state == OVERLAY_MEMBER) {
    const struct peers *told = overlay->small ? &overlay->members : &overlay->list;
    for (uint32_t i = 0; i <= told->count; i++) {
      const struct peer *to = i < told->count ? &told->at[i] : &overlay->predecessor;
      bool again = i == told->count &&
                   (!peer_is(to) || peers_find(told, &overlay->self.id, &to->id) != NULL);
      struct overlay_call *call = again ? NULL : call_tell(overlay, &step, to, OVERLAY_LEAVE);
      if (call == NULL) continue;
      message_add_state(&call->message, overlay);
      call->message.member_count = 0;
    }
    trace_ring(&step, TRACE_RING_LEFT, &overlay->self);
    overlay->generation++;
  }
  forget_calls(overlay);
  forget_doubts(overlay);
  members_alone(overlay);
  peers_free(&overlay->fingers, overlay->memory);
  learnt_free(overlay);
  overlay->subject = (struct peer){0};
  overlay->state = OVERLAY_OUT;
  overlay->join_at = USEC_NEVER;
  overlay->admitted_until = 0;
}

void chord_isolated(struct overlay *overlay, const struct step *step) {
  struct ring_view old = ring_view(overlay);
  members_alone(overlay);
  ring_changed(overlay, step, &old);
  join_begin(overlay, step->now);
}

/* ---- what is learnt of peers ---- */

void chord_verify(struct overlay *overlay, const struct step *step, const struct peer *peer) {
  if (overlay->state != OVERLAY_MEMBER || !peer_is(peer)) return;
  if (key_equal(&peer->id, &overlay->self.id) || key_is_zero(&peer->id)) return;
  if (call_is_pending(overlay, CALL_VERIFY, &peer->id)) return;
  call_ask(overlay, step, peer, OVERLAY_PING, CALL_VERIFY);
}

void chord_proved(struct overlay *overlay, const struct step *step, const struct peer *peer) {
  doubt_clear(overlay, step, &peer->id);
  if (overlay->state != OVERLAY_MEMBER) return;
  if (overlay->small) {
    members_enter(overlay, step, peer);
    return;
  }
  fingers_offer(overlay, step->now, peer);
  if (overlay->list.count > 0 &&
      ring_between(&overlay->self.id, &peer->id, &overlay->list.at[0].id)) {
    overlay->hint = *peer;
    overlay->stabilize_at = step->now;
  }
}

static bool is_held(const struct overlay *overlay, const struct key *id) {
  const struct key *self = &overlay->self.id;
  return peers_find(&overlay->list, self, id) != NULL ||
         peers_find(&overlay->members, self, id) != NULL ||
         peers_find(&overlay->fingers, self, id) != NULL ||
         peers_find(&overlay->learnt, self, id) != NULL ||
         (peer_is(&overlay->predecessor) && key_equal(&overlay->predecessor.id, id));
}

void chord_lost(struct overlay *overlay, const struct step *step, const struct peer *peer,
                bool silent) {
  struct peer gone = *peer; /* it may lie in a table that changes now */
  if (members_hold_later_life(overlay, &gone)) return;
  if (silent && overlay->small && !doubt_is_confirmed(overlay, &gone.id) &&
      peers_find(&overlay->members, &overlay->self.id, &gone.id) != NULL) {
    if (!doubt_is(overlay, &gone.id)) doubt_add(overlay, step, &gone, step->now);
    if (doubt_is(overlay, &gone.id)) return; /* pinged first */
  }
  if (is_held(overlay, &gone.id)) chord_remember(overlay, &gone.at);
  fingers_forget(overlay, &gone.id);
  if (silent) {
    merge_soon(overlay, step->now);
    doubt_add(overlay, step, &gone, step->now + SEC(1));
  } else {
    doubt_clear(overlay, step, &gone.id);
  }
  if (overlay->state != OVERLAY_MEMBER) return;
  if (overlay->small) {
    members_drop(overlay, step, &gone.id);
  } else if (overlay->list.count > 0 && peer_same(&overlay->list.at[0], &gone)) {
    overlay->stabilize_at = step->now;
  }
}

void overlay_on_peer_alive(struct overlay *overlay, usec now, const struct peer *peer) {
  struct step step = {now, NULL, NULL};
  if (overlay->state != OVERLAY_MEMBER || !peer_is(peer) || key_is_zero(&peer->id)) return;
  if (key_equal(&peer->id, &overlay->self.id)) return;
  doubt_clear(overlay, &step, &peer->id);
  if (!overlay->small) fingers_offer(overlay, now, peer);
}

void overlay_on_peer_silent(struct overlay *overlay, usec now, const struct peer *peer,
                            struct overlay_calls *calls, struct outbox *trace) {
  struct step step = {now, calls, trace};
  if (overlay->state != OVERLAY_MEMBER) return;
  bool learnt = learnt_forget(overlay, &peer->id);
  if (!is_held(overlay, &peer->id)) { /* learnt again as easily: no probes are spent on it */
    if (learnt) chord_run(overlay, &step);
    return;
  }
  if (!doubt_is(overlay, &peer->id)) doubt_add(overlay, &step, peer, now);
  if (overlay->list.count > 0 && peer_same(&overlay->list.at[0], peer)) {
    overlay->stabilize_at = now;
  }
  chord_run(overlay, &step);
}

/* ---- requests ---- */

/* In a small ring whoever speaks to us and is not known, or not in this life, is asked itself. */
static void note_sender(struct overlay *overlay, const struct step *step,
                        const struct peer *sender) {
  if (!overlay->small) return;
  if (PLANTED(20)) members_enter(overlay, step, sender); /* before it has answered */
  const struct peer *known = peers_find(&overlay->members, &overlay->self.id, &sender->id);
  if (known == NULL || !peer_same_life(known, sender)) chord_verify(overlay, step, sender);
}

static void on_update(struct overlay *overlay, const struct step *step,
                      const struct overlay_message *request) {
  const struct peer *subject = &request->subject;
  if (!peer_is(subject)) return;
  const struct key *self = &overlay->self.id;
  if (!request->lost) {
    if (overlay->small ? peers_find(&overlay->members, self, &subject->id) == NULL
                       : fingers_want(overlay, &subject->id)) {
      chord_verify(overlay, step, subject);
    }
    return;
  }
  const struct peer *finger = peers_find(&overlay->fingers, self, &subject->id);
  if (finger == NULL) finger = peers_find(&overlay->learnt, self, &subject->id);
  if (finger == NULL) finger = peers_find(&overlay->members, self, &subject->id);
  if (finger != NULL) chord_verify(overlay, step, finger);
}

/* A hint, never an order: the leaver itself is asked, and says that it is no member. */
static void on_leave(struct overlay *overlay, const struct step *step, const struct peer *sender) {
  const struct key *self = &overlay->self.id;
  if (!overlay->small && overlay->list.count > 0 && peer_same(&overlay->list.at[0], sender)) {
    overlay->stabilize_at = step->now;
    return;
  }
  const struct peer *known = peers_find(&overlay->members, self, &sender->id);
  if (known == NULL) known = peers_find(&overlay->fingers, self, &sender->id);
  if (known == NULL) known = peers_find(&overlay->learnt, self, &sender->id);
  if (known != NULL) chord_verify(overlay, step, known);
}

static enum overlay_status respond(struct overlay *overlay, const struct step *step,
                                   const struct overlay_message *request,
                                   struct overlay_message *answer) {
  const struct peer *sender = &request->sender;
  bool own = key_equal(&sender->id, &overlay->self.id) && request->method != OVERLAY_ROUTE;
  if (own || key_is_zero(&sender->id)) return OVERLAY_FAILED;
  if (overlay->state != OVERLAY_MEMBER) return OVERLAY_NOT_JOINED;
  switch (request->method) {
    case OVERLAY_JOIN:
      return join_request(overlay, step, request, answer);
    case OVERLAY_NEIGHBORS:
      note_sender(overlay, step, sender);
      if (overlay->operation != 0) return OVERLAY_BUSY; /* */
      message_add_state(answer, overlay);
      return OVERLAY_OK;
    case OVERLAY_ROUTE:
      message_add_state(answer, overlay);
      return OVERLAY_OK;
    case OVERLAY_NOTIFY:
      stabilize_notified(overlay, step, sender);
      return OVERLAY_OK;
    case OVERLAY_PING:
      note_sender(overlay, step, sender);
      return OVERLAY_OK;
    case OVERLAY_UPDATE:
      on_update(overlay, step, request);
      return OVERLAY_OK;
    case OVERLAY_LEAVE:
      on_leave(overlay, step, sender);
      return OVERLAY_OK;
  }
  return OVERLAY_FAILED;
}

enum overlay_status overlay_on_request(struct overlay *overlay, usec now,
                                       const struct overlay_message *request,
                                       struct overlay_message *answer, struct overlay_calls *calls,
                                       struct outbox *trace) {
  struct step step = {now, calls, trace};
  message_begin(answer, request->method, &overlay->self);
  enum overlay_status status = respond(overlay, &step, request, answer);
  chord_run(overlay, &step);
  return status;
}

/* ---- answers and time ---- */

static bool is_operation(uint8_t purpose) {
  return purpose == CALL_JOIN || purpose == CALL_SUCCESSOR || purpose == CALL_PREDECESSOR ||
         purpose == CALL_RECTIFY_OLD || purpose == CALL_RECTIFY_NEW || purpose == CALL_WRAP;
}

static void on_verified(struct overlay *overlay, const struct step *step,
                        const struct pending *call, enum overlay_status status,
                        const struct overlay_message *answer) {
  if (status == OVERLAY_OK) {
    struct peer peer = call->to;
    peer.incarnation = answer->sender.incarnation;
    chord_proved(overlay, step, &peer);
  } else if (status != OVERLAY_BUSY) {
    chord_lost(overlay, step, &call->to, status == OVERLAY_FAILED);
  }
}

static void dispatch(struct overlay *overlay, const struct step *step, const struct pending *call,
                     enum overlay_status status, const struct overlay_message *answer) {
  if (is_operation(call->purpose)) overlay->operation = 0;
  switch ((enum purpose)call->purpose) {
    case CALL_JOIN_ROUTE:
    case CALL_JOIN:
      join_answered(overlay, step, call, status, answer);
      break;
    case CALL_SUCCESSOR:
    case CALL_PREDECESSOR:
    case CALL_WRAP:
      stabilize_answered(overlay, step, call, status, answer);
      break;
    case CALL_RECTIFY_OLD:
    case CALL_RECTIFY_NEW:
      rectify_answered(overlay, step, call, status, answer);
      break;
    case CALL_GOSSIP:
      members_answered(overlay, step, call, status, answer);
      break;
    case CALL_VERIFY:
      on_verified(overlay, step, call, status, answer);
      break;
    case CALL_PROBE:
      doubt_answered(overlay, step, call, status, answer);
      break;
    case CALL_MERGE:
      merge_answered(overlay, step, status, answer);
      break;
    case CALL_LEARN:
      learnt_answered(overlay, step, call, status, answer);
      break;
    case CALL_FINGER:
    case CALL_ANNOUNCE:
      fingers_answered(overlay, step, call, status, answer);
      break;
  }
}

void overlay_on_answer(struct overlay *overlay, usec now, uint32_t ticket,
                       enum overlay_status status, const struct overlay_message *answer,
                       struct overlay_calls *calls, struct outbox *trace) {
  struct step step = {now, calls, trace};
  struct pending call;
  if (ticket == 0 || !call_take(overlay, ticket, &call)) return;
  bool needs_answer = status == OVERLAY_OK || status == OVERLAY_ELSEWHERE;
  if (needs_answer && answer == NULL) status = OVERLAY_FAILED;
  if (status == OVERLAY_OK && !key_is_zero(&call.to.id) &&
      !key_equal(&call.to.id, &answer->sender.id)) {
    status = OVERLAY_NOT_ME; /* somebody else answered at that address */
  }
  dispatch(overlay, &step, &call, status, answer);
  chord_run(overlay, &step);
}

void chord_run(struct overlay *overlay, const struct step *step) {
  if (overlay->state == OVERLAY_OUT) return;
  join_run(overlay, step);
  if (overlay->state != OVERLAY_MEMBER) return;
  bool stabilize = step->now >= overlay->stabilize_at;
  if (overlay->operation == 0 && peer_is(&overlay->notifier) &&
      !(stabilize && overlay->rectified)) {
    rectify_start(overlay, step);
  }
  if (overlay->operation == 0 && step->now >= overlay->stabilize_at) {
    if (overlay->small) {
      members_gossip(overlay, step);
    } else {
      stabilize_start(overlay, step);
    }
  }
  doubt_run(overlay, step);
  fingers_run(overlay, step);
  merge_run(overlay, step);
}

void overlay_on_tick(struct overlay *overlay, usec now, struct overlay_calls *calls,
                     struct outbox *trace) {
  struct step step = {now, calls, trace};
  while (overlay->pending_count > 0 && now - overlay->pending[0].since >= ANSWER_LOST_US) {
    struct pending call;
    if (!call_take(overlay, overlay->pending[0].ticket, &call)) break;
    dispatch(overlay, &step, &call, OVERLAY_FAILED, NULL);
  }
  chord_run(overlay, &step);
}

usec overlay_deadline(const struct overlay *overlay) {
  usec at = USEC_NEVER;
  if (overlay->state == OVERLAY_OUT) return at;
  if (overlay->pending_count > 0) at = overlay->pending[0].since + ANSWER_LOST_US;
  if (!overlay->join_waiting && overlay->operation == 0) at = usec_min(at, overlay->join_at);
  if (overlay->state != OVERLAY_MEMBER) return at;
  if (overlay->operation == 0) at = usec_min(at, overlay->stabilize_at);
  at = usec_min(at, usec_min(overlay->doubt_at, overlay->merge_at));
  if (overlay->small) return at;
  at = usec_min(at, overlay->fingers_at);
  return overlay->announce_bit > 0 ? usec_min(at, overlay->announce_at) : at;
}
