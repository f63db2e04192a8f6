/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/small_world.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "support/ring_world.h"

#define NOW SEC(1000)
#define LATER (NOW + SEC(1)) /* where every timer stands that is set and not due */
#define NONE 0xFFu
#define HOPS_MAX 20u
#define ARENA_BYTES (SMALL_COPY_MAX - 8192u)

struct small_world small_world;
static struct small_flight flight[SMALL_FLIGHTS_MAX];
static _Alignas(16) uint8_t arena[ARENA_BYTES];
static struct ring_world checked; /* what the checkers look at */
static struct overlay_calls calls;

/* ---- memory that is copied as a whole ---- */

struct small_block {
  struct small_block *next;
};

static size_t class_of(size_t bytes) { return (bytes + 15) / 16; }

static void *take(void *context, size_t bytes) {
  struct small_world *w = context;
  size_t class = class_of(bytes);
  ASSERT(class < SMALL_CLASSES);
  struct small_block *block = w->free[class];
  if (block != NULL) {
    w->free[class] = block->next;
    return block;
  }
  ASSERT(w->used + class * 16 <= ARENA_BYTES);
  w->used += class * 16;
  return arena + w->used - class * 16;
}

static void give(void *context, void *at, size_t bytes) {
  struct small_world *w = context;
  struct small_block *block = at;
  block->next = w->free[class_of(bytes)];
  w->free[class_of(bytes)] = block;
}

size_t small_world_save(uint8_t *copy) {
  size_t flights = small_world.flight_count * sizeof *flight;
  memcpy(copy, &small_world, sizeof small_world);
  memcpy(copy + sizeof small_world, flight, flights);
  memcpy(copy + sizeof small_world + flights, arena, small_world.used);
  return sizeof small_world + flights + small_world.used;
}

void small_world_restore(const uint8_t *copy) {
  memcpy(&small_world, copy, sizeof small_world);
  size_t flights = small_world.flight_count * sizeof *flight;
  memcpy(flight, copy + sizeof small_world, flights);
  memcpy(arena, copy + sizeof small_world + flights, small_world.used);
}

/* ---- names ---- */

static struct key place_of(unsigned i) {
  struct key id = {{0}};
  id.byte[0] = (uint8_t)(0x10 + 0x33 * i);
  id.byte[19] = 1;
  return id;
}

static struct endpoint address_of(unsigned i) {
  return (struct endpoint){
      .addr = {10, 0, 0, (uint8_t)i}, .port = 5060, .family = 4, .transport = TRANSPORT_TCP};
}

/* 0: nobody. Life and number, or 0xF0 and the number where only the address is known. */
static uint8_t small_name(const struct peer *peer) {
  if (!peer_is(peer)) return 0;
  unsigned i = peer->at.addr[3];
  if (key_is_zero(&peer->id)) return (uint8_t)(0xF0 + i);
  ASSERT(peer->incarnation < 29 && i < SMALL_PEERS_MAX);
  return (uint8_t)(1 + i + peer->incarnation * 8);
}

static struct peer peer_of(uint8_t name) {
  struct peer peer = {0};
  if (name == 0) return peer;
  bool known = name < 0xF0;
  unsigned i = known ? (name - 1u) % 8 : name - 0xF0u;
  peer.at = address_of(i);
  if (!known) return peer;
  peer.id = place_of(i);
  peer.incarnation = (name - 1u) / 8;
  return peer;
}

static struct small_message pack(const struct overlay_message *m) {
  struct small_message s = {.method = (uint8_t)m->method,
                            .sender = small_name(&m->sender),
                            .subject = small_name(&m->subject),
                            .lost = m->lost,
                            .predecessor = small_name(&m->predecessor)};
  ASSERT(m->successor_count <= SMALL_R_MAX && m->member_count <= 2 * SMALL_R_MAX);
  s.successor_count = (uint8_t)m->successor_count;
  for (unsigned i = 0; i < m->successor_count; i++) s.successor[i] = small_name(&m->successor[i]);
  s.member_count = (uint8_t)m->member_count;
  for (unsigned i = 0; i < m->member_count; i++) s.member[i] = small_name(&m->member[i]);
  return s;
}

static const struct overlay_message *unpack(const struct small_message *s) {
  static struct overlay_message m;
  m.method = (enum overlay_method)s->method;
  m.sender = peer_of(s->sender);
  m.subject = peer_of(s->subject);
  m.lost = s->lost;
  m.predecessor = peer_of(s->predecessor);
  m.successor_count = s->successor_count;
  for (unsigned i = 0; i < m.successor_count; i++) m.successor[i] = peer_of(s->successor[i]);
  m.member_count = s->member_count;
  for (unsigned i = 0; i < m.member_count; i++) m.member[i] = peer_of(s->member[i]);
  return &m;
}

/* ---- calls ---- */

static struct small_flight *flight_new(void) {
  ASSERT(small_world.flight_count < SMALL_FLIGHTS_MAX);
  struct small_flight *f = &flight[small_world.flight_count++];
  memset(f, 0, sizeof *f);
  return f;
}

static void flight_end(unsigned i) {
  small_world.flight_count--;
  memmove(&flight[i], &flight[i + 1], (small_world.flight_count - i) * sizeof *flight);
}

static bool is_awaited(const struct small_flight *f) {
  const struct small_node *caller = &small_world.node[f->caller];
  if (f->ticket == 0 || caller->overlay == NULL || caller->life != f->life) return false;
  for (unsigned i = 0; i < caller->overlay->pending_count; i++) {
    if (caller->overlay->pending[i].ticket == f->ticket) return true;
  }
  return false;
}

static void timer_normal(usec *timer) {
  if (*timer != USEC_NEVER) *timer = *timer <= small_world.now ? NOW : LATER;
}

/* Timers are set or due, no more; what only counts towards a pace is cut. The time between two
 * looks at the size of the ring is one quiet round, and the window of an admission is empty. */
static void normalise(struct overlay *o) {
  timer_normal(&o->stabilize_at);
  timer_normal(&o->join_at);
  timer_normal(&o->merge_at);
  timer_normal(&o->fingers_at);
  timer_normal(&o->announce_at);
  timer_normal(&o->doubt_at);
  for (unsigned i = 0; i < o->doubt_count; i++) timer_normal(&o->doubts[i].probe_at);
  for (unsigned i = 0; i < o->pending_count; i++) o->pending[i].since = NOW;
  o->admitted_until = 0;
  if (o->wrap_rounds > 1) o->wrap_rounds = 1;
}

/* Nobody waits for an answer any more, and no peer will be started that could get the request. */
static void sweep(void) {
  for (unsigned i = small_world.flight_count; i-- > 0;) {
    struct small_flight *f = &flight[i];
    if (is_awaited(f)) continue;
    f->ticket = 0;
    if (f->phase == PHASE_ANSWER) flight_end(i);
  }
}

static void after_step(unsigned i) {
  for (unsigned c = 0; c < calls.count; c++) {
    const struct overlay_call *call = &calls.call[c];
    struct small_flight *f = flight_new();
    f->ticket = call->ticket;
    f->phase = call->routed ? PHASE_HOP : PHASE_REQUEST;
    f->caller = (uint8_t)i;
    f->life = small_world.node[i].life;
    f->node = call->to.at.addr[3];
    f->to = small_name(&call->to);
    f->final = call->final;
    f->previous = NONE;
    if (call->routed) f->key = call->key;
    f->message = pack(&call->message);
  }
  calls.count = 0;
}

static void answer(struct small_flight *f, enum overlay_status status,
                   const struct overlay_message *message) {
  f->phase = PHASE_ANSWER;
  f->status = (uint8_t)status;
  f->answered = message != NULL;
  f->node = f->caller;
  f->key = (struct key){{0}};
  f->final = f->hops = f->avoid_count = 0;
  f->previous = NONE;
  memset(f->avoid, 0, sizeof f->avoid);
  struct small_message none = {0};
  f->message = message != NULL ? pack(message) : none;
}

/* ---- what happens ---- */

static void arrive(unsigned i, bool addressed) {
  static struct overlay_message reply;
  struct small_flight *f = &flight[i];
  struct small_node *node = &small_world.node[f->node];
  struct peer to = peer_of(f->to);
  unsigned n = f->node;
  if (node->overlay == NULL) {
    answer(f, OVERLAY_FAILED, NULL);
    return;
  }
  if (!addressed && !key_equal(&to.id, &node->overlay->self.id)) {
    answer(f, OVERLAY_NOT_ME, NULL);
    return;
  }
  enum overlay_status status =
      overlay_on_request(node->overlay, small_world.now, unpack(&f->message), &reply, &calls, NULL);
  bool with_body = status == OVERLAY_OK || status == OVERLAY_ELSEWHERE;
  answer(f, status, with_body ? &reply : NULL);
  after_step(n);
}

/* The hop before tries elsewhere. */
static void hop_silent(unsigned i) {
  struct small_flight *f = &flight[i];
  unsigned before = f->previous;
  struct peer meant = peer_of(f->to), next;
  if (before == NONE || small_world.node[before].overlay == NULL || f->avoid_count == 4) {
    answer(f, OVERLAY_FAILED, NULL);
    return;
  }
  struct overlay *o = small_world.node[before].overlay;
  overlay_on_peer_silent(o, small_world.now, &meant, &calls, NULL);
  f->avoid[f->avoid_count++] = f->to;
  struct key avoid[4];
  for (unsigned a = 0; a < f->avoid_count; a++) avoid[a] = peer_of(f->avoid[a]).id;
  bool final;
  if (overlay_next_hops(o, &f->key, avoid, f->avoid_count, &next, 1, &final) == 0) {
    answer(f, OVERLAY_FAILED, NULL);
  } else {
    f->to = small_name(&next);
    f->node = next.at.addr[3];
    f->final = final;
  }
  after_step(before);
}

/* a final request goes back only to a nearer predecessor. */
static bool choose_hop(const struct overlay *o, const struct small_flight *f, struct peer *next,
                       bool *final, bool *mine) {
  const struct peer *predecessor = overlay_predecessor(o);
  struct peer meant = peer_of(f->to);
  *mine = overlay_is_responsible(o, &f->key);
  if (*mine) return true;
  if (f->final) {
    *mine = predecessor == NULL || doubt_is(o, &predecessor->id) ||
            key_equal(&predecessor->id, &meant.id);
    *final = true;
    if (!*mine) *next = *predecessor;
    return true;
  }
  return overlay_next_hops(o, &f->key, NULL, 0, next, 1, final) > 0;
}

static void hop(unsigned i) {
  struct small_flight *f = &flight[i];
  struct overlay *o = small_world.node[f->node].overlay;
  struct peer meant = peer_of(f->to), next = {0};
  bool known = !key_is_zero(&meant.id), final = false, mine;
  bool wrong =
      o != NULL && ((known && !key_equal(&meant.id, &o->self.id)) || !overlay_is_member(o));
  if (wrong && f->previous == NONE) {
    answer(f, known ? OVERLAY_FAILED : OVERLAY_NOT_JOINED, NULL);
  } else if (o == NULL || wrong) {
    hop_silent(i);
  } else if (!choose_hop(o, f, &next, &final, &mine) || ++f->hops > HOPS_MAX) {
    answer(f, OVERLAY_FAILED, NULL);
  } else if (mine) {
    arrive(i, true);
  } else {
    f->previous = f->node;
    f->avoid_count = 0;
    memset(f->avoid, 0, sizeof f->avoid);
    f->to = small_name(&next);
    f->final = final;
    f->node = next.at.addr[3];
  }
}

static void deliver(unsigned i) {
  struct small_flight f = flight[i];
  switch ((enum small_phase)f.phase) {
    case PHASE_REQUEST:
      arrive(i, false);
      return;
    case PHASE_HOP:
      hop(i);
      return;
    case PHASE_ANSWER:
      flight_end(i);
      overlay_on_answer(small_world.node[f.caller].overlay, small_world.now, f.ticket,
                        (enum overlay_status)f.status, f.answered ? unpack(&f.message) : NULL,
                        &calls, NULL);
      after_step(f.caller);
      return;
  }
}

static void fire(unsigned i, unsigned timer) {
  struct overlay *o = small_world.node[i].overlay;
  switch (timer) {
    case TIMER_STABILIZE:
      o->stabilize_at = NOW;
      break;
    case TIMER_JOIN:
      o->join_at = NOW;
      break;
    case TIMER_MERGE:
      o->merge_at = NOW;
      break;
    case TIMER_FINGERS:
      o->fingers_at = NOW;
      break;
    case TIMER_ANNOUNCE:
      o->announce_at = NOW;
      break;
    default:
      o->doubts[timer - TIMER_DOUBT].probe_at = o->doubt_at = NOW;
      break;
  }
  overlay_on_tick(o, small_world.now, &calls, NULL);
  after_step(i);
}

static void start(unsigned i, const uint8_t seed[16]) {
  struct small_node *node = &small_world.node[i];
  struct overlay_config config = {
      .self = {.id = place_of(i), .at = address_of(i), .incarnation = ++node->life},
      .successors = small_world.r,
      .stabilize_us = SEC(5),
      .fingers_us = SEC(10),
      .memory = &small_world.memory,
      .seed = seed};
  node->overlay = overlay_new(&config);
  ASSERT(node->overlay != NULL);
}

/* The seed is one that begins with the address wanted. */
static void join(unsigned i, unsigned via) {
  struct endpoint bootstrap[SMALL_PEERS_MAX];
  unsigned count = 0, wanted = 0;
  for (unsigned b = 0; b < small_world.count; b++) {
    if (b == via) wanted = count;
    if (b != i) bootstrap[count++] = address_of(b);
  }
  uint8_t seed[16] = {0};
  for (uint64_t drawn = count; drawn != wanted; seed[0]++) {
    struct rng rng;
    rng_init(&rng, seed);
    drawn = count > 1 ? rng_below(&rng, count) : 0;
    if (drawn == wanted) break;
  }
  start(i, seed);
  overlay_join(small_world.node[i].overlay, small_world.now, bootstrap, count, &calls);
  after_step(i);
}

static void perform(const struct small_action *action) {
  bool about_call = action->kind == ACT_DELIVER || action->kind == ACT_SUSPECT;
  struct small_node *node = &small_world.node[about_call ? 0 : action->a];
  switch ((enum small_kind)action->kind) {
    case ACT_DELIVER:
      deliver(action->a);
      return;
    case ACT_SUSPECT:
      small_world.left.suspicions--;
      answer(&flight[action->a], OVERLAY_FAILED, NULL);
      return;
    case ACT_TIMER:
      if (action->b == TIMER_MERGE) {
        small_world.left.merges--;
      } else {
        small_world.left.timers--;
      }
      fire(action->a, action->b);
      return;
    case ACT_JOIN:
      small_world.left.joins--;
      overlay_free(node->overlay);
      join(action->a, action->b);
      return;
    case ACT_FAIL:
      small_world.left.fails--;
      overlay_free(node->overlay);
      node->overlay = NULL;
      return;
    case ACT_LEAVE:
      small_world.left.leaves--;
      overlay_leave(node->overlay, small_world.now, &calls, NULL);
      after_step(action->a);
      return;
  }
}

void small_world_act(const struct small_action *action) {
  perform(action);
  sweep();
  for (unsigned i = 0; i < small_world.count; i++) {
    if (small_world.node[i].overlay != NULL) normalise(small_world.node[i].overlay);
  }
}

/* ---- what may happen ---- */

static const struct ring_world *look(void) {
  checked.count = small_world.count;
  checked.successors = small_world.r;
  for (unsigned i = 0; i < small_world.count; i++) {
    struct ring_node *node = &checked.node[i];
    node->overlay = small_world.node[i].overlay;
    if (node->overlay != NULL) node->self = node->overlay->self;
  }
  return &checked;
}

static bool is_live_now(const struct peer *peer) {
  const struct overlay *o = small_world.node[peer->at.addr[3]].overlay;
  return o != NULL && overlay_is_member(o) && o->self.incarnation == peer->incarnation;
}

/* With an answer that is on its way a small ring may grow at j, which then keeps but its first r
 * others: one of them must live, i left out. */
static bool may_grow_without(unsigned j, unsigned i) {
  const struct overlay *o = small_world.node[j].overlay;
  if (o == NULL || !overlay_is_member(o) || !o->small) return true;
  struct peer at[2 * SMALL_PEERS_MAX];
  struct peers others = {at, 0, 2 * SMALL_PEERS_MAX};
  for (uint32_t m = 0; m < o->members.count; m++) {
    peers_put(&others, NULL, &o->self.id, &o->members.at[m], others.room);
  }
  for (unsigned f = 0; f < small_world.flight_count; f++) {
    if (flight[f].phase != PHASE_ANSWER || flight[f].caller != j || !flight[f].answered) continue;
    struct peer sender = peer_of(flight[f].message.sender);
    peers_put(&others, NULL, &o->self.id, &sender, others.room);
  }
  if (others.count + 1 < 2 * small_world.r) return true;
  for (unsigned n = 0; n < small_world.r; n++) {
    if (at[n].at.addr[3] != i && is_live_now(&at[n])) return true;
  }
  return false;
}

/* Zave's assumption, for the states and for the answers that are as good as adopted. */
static bool may_fail(unsigned i) {
  look();
  if (!ring_world_may_fail(&checked, i)) return false;
  struct overlay *failed = checked.node[i].overlay;
  bool good = true;
  if (!overlay_is_member(failed)) return true;
  checked.node[i].overlay = NULL;
  for (unsigned f = 0; f < small_world.flight_count && good; f++) {
    if (flight[f].phase != PHASE_ANSWER || flight[f].status != OVERLAY_OK) continue;
    enum overlay_method method = (enum overlay_method)flight[f].message.method;
    if (method != OVERLAY_JOIN && method != OVERLAY_NEIGHBORS) continue;
    good = ring_world_answer_is_good(&checked, unpack(&flight[f].message));
  }
  checked.node[i].overlay = failed;
  for (unsigned j = 0; j < small_world.count && good; j++) good = j == i || may_grow_without(j, i);
  return good;
}

static void add(struct small_action *out, unsigned *count, enum small_kind kind, unsigned a,
                unsigned b) {
  ASSERT(*count < SMALL_ACTIONS_MAX);
  out[(*count)++] = (struct small_action){(uint8_t)kind, (uint8_t)a, (uint8_t)b};
}

static bool is_set(usec timer) { return timer != USEC_NEVER; }

static void timers_of(unsigned i, struct small_action *out, unsigned *count) {
  const struct overlay *o = small_world.node[i].overlay;
  if (o->state == OVERLAY_OUT) return;
  if (small_world.left.merges > 0 && o->list.count > 0 && is_set(o->merge_at)) {
    add(out, count, ACT_TIMER, i, TIMER_MERGE);
  }
  if (small_world.left.timers == 0) return;
  if (is_set(o->join_at) && !o->join_waiting && o->operation == 0) {
    add(out, count, ACT_TIMER, i, TIMER_JOIN);
  }
  if (o->state != OVERLAY_MEMBER) return;
  if (is_set(o->stabilize_at) && o->operation == 0) add(out, count, ACT_TIMER, i, TIMER_STABILIZE);
  for (unsigned d = 0; d < o->doubt_count; d++) {
    if (!o->doubts[d].waiting) add(out, count, ACT_TIMER, i, TIMER_DOUBT + d);
  }
  if (o->small || !small_world.fingers) return;
  if (is_set(o->fingers_at)) add(out, count, ACT_TIMER, i, TIMER_FINGERS);
  if (o->announce_bit > 0) add(out, count, ACT_TIMER, i, TIMER_ANNOUNCE);
}

/* Most routed calls look for the caller's own place. */
static bool is_own_key(const struct small_flight *f) {
  struct key own = place_of(f->caller);
  return f->phase != PHASE_HOP || key_equal(&f->key, &own);
}

static bool is_same_flight(const struct small_flight *a, const struct small_flight *b) {
  return a->ticket == 0 && memcmp(a, b, sizeof *a) == 0;
}

unsigned small_world_actions(struct small_action *out) {
  unsigned count = 0;
  const struct small_budget *left = &small_world.left;
  for (unsigned i = 0; i < small_world.flight_count; i++) {
    bool again = false;
    for (unsigned j = 0; j < i && !again; j++) again = is_same_flight(&flight[i], &flight[j]);
    if (again) continue;
    add(out, &count, ACT_DELIVER, i, 0);
    bool lives = flight[i].phase == PHASE_REQUEST && flight[i].ticket != 0 &&
                 small_world.node[flight[i].node].overlay != NULL;
    if (left->suspicions > 0 && lives) add(out, &count, ACT_SUSPECT, i, 0);
  }
  for (unsigned i = 0; i < small_world.count; i++) {
    const struct overlay *o = small_world.node[i].overlay;
    if (o != NULL) timers_of(i, out, &count);
    if (o == NULL || o->state == OVERLAY_OUT) {
      for (unsigned via = 0; via < small_world.count && left->joins > 0; via++) {
        if (via != i && small_world.node[via].overlay != NULL) add(out, &count, ACT_JOIN, i, via);
      }
    } else if ((left->fails > 0 || left->leaves > 0) && may_fail(i)) {
      if (left->fails > 0) add(out, &count, ACT_FAIL, i, 0);
      if (left->leaves > 0) add(out, &count, ACT_LEAVE, i, 0);
    }
  }
  return count;
}

/* ---- the code of a state ---- */

static uint8_t *put(uint8_t *at, const void *from, size_t bytes) {
  memcpy(at, from, bytes);
  return at + bytes;
}

static uint8_t timer_code(usec timer) {
  return timer == USEC_NEVER ? 0 : timer <= small_world.now ? 1 : 2;
}

static uint8_t *put_peers(uint8_t *at, const struct peers *peers) {
  *at++ = (uint8_t)peers->count;
  for (uint32_t i = 0; i < peers->count; i++) *at++ = small_name(&peers->at[i]);
  return at;
}

static uint8_t *put_doubts(uint8_t *at, const struct overlay *o) {
  *at++ = o->doubt_count;
  for (unsigned i = 0; i < o->doubt_count; i++) {
    const struct doubt *doubt = &o->doubts[i];
    *at++ = small_name(&doubt->peer);
    *at++ = doubt->tries;
    *at++ = (uint8_t)(doubt->waiting << 2 | timer_code(doubt->probe_at));
  }
  return at;
}

static uint8_t *put_overlay(uint8_t *at, const struct overlay *o) {
  *at++ = o->state;
  *at++ = (uint8_t)((o->small ? 1 : 0) | (o->operation != 0 ? 2 : 0) | (o->rectified ? 4 : 0) |
                    (o->announce_hint ? 8 : 0) | (o->join_waiting ? 16 : 0) |
                    (o->fingers_complete ? 32 : 0) | (o->subject_lost ? 64 : 0));
  *at++ = small_name(&o->predecessor);
  at = put_peers(at, &o->list);
  at = put_peers(at, &o->members);
  at = put_peers(at, &o->fingers);
  at = put_peers(at, &o->learnt);
  at = put(at, &o->answered, sizeof o->answered);
  *at++ = o->wrap_rounds;
  *at++ = o->gossip_turn;
  *at++ = small_name(&o->notifier);
  *at++ = small_name(&o->hint);
  *at++ = o->silent_head.byte[0];
  *at++ = o->silent_predecessor.byte[0];
  *at++ = (uint8_t)(timer_code(o->stabilize_at) | timer_code(o->join_at) << 2 |
                    timer_code(o->merge_at) << 4 | timer_code(o->doubt_at) << 6);
  *at++ = o->join_hops;
  *at++ = o->join_busy % 4; /* JOIN_BUSY_MAX */
  *at++ = (uint8_t)(o->join_turn % 60);
  *at++ = small_name(&o->join_target);
  *at++ = (uint8_t)(o->remembered_count << 4 | o->remembered_next);
  for (unsigned i = 0; i < o->remembered_count; i++) *at++ = o->remembered[i].addr[3];
  *at++ = o->finger_bit;
  *at++ = o->announce_bit;
  *at++ = o->announce_left;
  *at++ = small_name(&o->subject);
  at = put(at, &o->subject_after, sizeof o->subject_after);
  *at++ = (uint8_t)(timer_code(o->fingers_at) | timer_code(o->announce_at) << 2);
  return put_doubts(at, o);
}

#define FLIGHT_CODE 40u

/* A ticket is a name: what it stands for is the entry in the caller's table. */
static void put_flight(uint8_t *at, const struct small_flight *f) {
  const uint8_t head[] = {f->phase,    f->caller, f->life,        f->node,
                          f->to,       f->status, f->answered,    f->final,
                          f->previous, f->hops,   f->avoid_count, is_own_key(f)};
  memset(at, 0, FLIGHT_CODE);
  at = put(at, head, sizeof head);
  at = put(at, f->avoid, sizeof f->avoid);
  at = put(at, &f->message, sizeof f->message);
  if (f->ticket == 0) return;
  const struct overlay *o = small_world.node[f->caller].overlay;
  for (unsigned i = 0; i < o->pending_count; i++) {
    const struct pending *p = &o->pending[i];
    if (p->ticket != f->ticket) continue;
    *at++ = (uint8_t)(p->purpose << 2 | (o->operation == p->ticket ? 2 : 0) | 1);
    *at++ = p->bit;
    *at = small_name(&p->to);
    return;
  }
}

static uint8_t *put_flights(uint8_t *at) {
  uint8_t *first = at;
  for (unsigned i = 0; i < small_world.flight_count; i++) {
    uint8_t code[FLIGHT_CODE];
    put_flight(code, &flight[i]);
    uint8_t *place = at;
    while (place > first && memcmp(place - FLIGHT_CODE, code, FLIGHT_CODE) > 0) {
      memcpy(place, place - FLIGHT_CODE, FLIGHT_CODE);
      place -= FLIGHT_CODE;
    }
    memcpy(place, code, FLIGHT_CODE);
    at += FLIGHT_CODE;
  }
  for (unsigned i = 0; i < small_world.flight_count; i++) {
    if (!is_own_key(&flight[i])) at = put(at, &flight[i].key, sizeof flight[i].key);
  }
  return at;
}

size_t small_world_encode(uint8_t *out) {
  uint8_t *at = put(out, &small_world.left, sizeof small_world.left);
  for (unsigned i = 0; i < small_world.count; i++) {
    *at++ = small_world.node[i].life;
    if (small_world.node[i].overlay != NULL) {
      at = put_overlay(at, small_world.node[i].overlay);
    } else {
      *at++ = NONE;
    }
  }
  at = put_flights(at);
  ASSERT((size_t)(at - out) <= SMALL_CODE_MAX);
  return (size_t)(at - out);
}

/* ---- checks ---- */

const char *small_world_violation(bool lists_only) {
  look();
  return ring_world_violation(&checked, lists_only);
}

unsigned small_world_connected(void) {
  unsigned bits = 0;
  look();
  for (unsigned i = 0; i < small_world.count; i++) {
    if (ring_world_has_successor(&checked, i)) bits |= 1u << i;
  }
  return bits;
}

/* every member's own place belongs to it, and to nobody else. */
static const char *not_responsible(void) {
  for (unsigned i = 0; i < small_world.count; i++) {
    struct key place = place_of(i);
    struct overlay *o = small_world.node[i].overlay;
    if (o == NULL || !overlay_is_member(o)) continue;
    for (unsigned j = 0; j < small_world.count; j++) {
      const struct overlay *other = small_world.node[j].overlay;
      if (other == NULL || !overlay_is_member(other)) continue;
      if (overlay_is_responsible(other, &place) != (i == j)) return "responsible is somebody else";
    }
  }
  return NULL;
}

/* The next timer of all; false: none. */
static bool wait_for_timer(void) {
  unsigned who = 0;
  usec at = USEC_NEVER;
  for (unsigned i = 0; i < small_world.count; i++) {
    if (small_world.node[i].overlay == NULL) continue;
    usec deadline = overlay_deadline(small_world.node[i].overlay);
    if (deadline < at) {
      at = deadline;
      who = i;
    }
  }
  if (at == USEC_NEVER) return false;
  small_world.now = usec_max(at, small_world.now);
  overlay_on_tick(small_world.node[who].overlay, small_world.now, &calls, NULL);
  after_step(who);
  return true;
}

static void fair_step(void) {
  small_world.now += MSEC(1);
  if (small_world.flight_count > 0) {
    deliver(0);
    /* an answer now begins its way at the end of the queue */
    if (small_world.flight_count > 1 && flight[0].phase == PHASE_ANSWER) {
      struct small_flight f = flight[0];
      flight_end(0);
      *flight_new() = f;
    }
    sweep();
  } else if (!wait_for_timer()) {
    small_world.now += SEC(1);
  }
}

const char *small_world_fair_run(void) {
  usec until = small_world.now + SEC(180);
  for (;;) {
    look();
    const char *why = ring_world_not_ideal(&checked);
    if (why == NULL) why = not_responsible();
    if (why == NULL) return NULL;
    if (small_world.now >= until) return why;
    fair_step();
  }
}

/* ---- the beginning ---- */

static const char *rest(void) {
  const char *why = small_world_fair_run();
  usec until = small_world.now + SEC(30);
  while (small_world.now < until || small_world.flight_count > 0) fair_step();
  return why;
}

static void begin_abstract(const struct small_budget *budget) {
  for (unsigned i = 0; i < small_world.count; i++) {
    if (small_world.node[i].overlay != NULL) normalise(small_world.node[i].overlay);
  }
  small_world.now = NOW;
  small_world.left = *budget;
}

const char *small_world_begin(unsigned peers, unsigned ring, unsigned r, bool fingers,
                              const struct small_budget *budget) {
  const uint8_t seed[16] = {0};
  const char *why = NULL;
  ASSERT(peers <= SMALL_PEERS_MAX && ring >= 1 && ring <= peers && r <= SMALL_R_MAX);
  memset(&small_world, 0, sizeof small_world);
  small_world.memory = (struct memory){take, give, &small_world};
  small_world.count = peers;
  small_world.r = r;
  small_world.fingers = fingers;
  small_world.now = SEC(1);
  memset(&checked, 0, sizeof checked);
  start(0, seed);
  overlay_create(small_world.node[0].overlay, small_world.now, NULL);
  after_step(0);
  for (unsigned i = 1; i < ring && why == NULL; i++) {
    join(i, 0);
    why = rest();
  }
  if (why == NULL) why = rest();
  if (why != NULL) return why;
  begin_abstract(budget);
  return NULL;
}

bool small_world_join_until(unsigned i, unsigned steps, const struct small_budget *budget) {
  join(i, 0);
  for (unsigned n = 0; n < steps; n++) {
    look();
    if (ring_world_not_ideal(&checked) == NULL && small_world.flight_count == 0) return false;
    fair_step();
  }
  begin_abstract(budget);
  return true;
}

/* ---- words ---- */

static const char *name_text(uint8_t name, char out[16]) {
  if (name == 0) return "-";
  struct peer peer = peer_of(name);
  snprintf(out, 16, peer.incarnation > 1 ? "%u'%u" : "%u", peer.at.addr[3], peer.incarnation);
  return out;
}

static size_t say_peers(char *out, size_t room, const char *what, const uint8_t *name,
                        unsigned count) {
  char text[16];
  size_t len = (size_t)snprintf(out, room, ", %s", what);
  for (unsigned i = 0; i < count && len < room; i++) {
    len += (size_t)snprintf(out + len, room - len, " %s", name_text(name[i], text));
  }
  return len;
}

static void say_flight(const struct small_flight *f, char *out, size_t room) {
  static const char *method[] = {"join", "leave", "neighbors", "notify", "update", "ping", "route"};
  static const char *status[] = {"OK", "BUSY", "ELSEWHERE", "NOT JOINED", "NOT ME", "FAILED"};
  const struct small_message *m = &f->message;
  char to[16], text[16];
  if (f->phase != PHASE_ANSWER) {
    snprintf(out, room, "%s of %u'%u reaches %u", method[m->method], f->caller, f->life, f->node);
    return;
  }
  size_t len = (size_t)snprintf(out, room, "%u hears of %s: %s", f->caller, name_text(f->to, to),
                                status[f->status]);
  if (!f->answered || len >= room) return;
  len += (size_t)snprintf(out + len, room - len, " to %s, before it %s", method[m->method],
                          name_text(m->predecessor, text));
  if (len < room && m->successor_count > 0) {
    len += say_peers(out + len, room - len, "successors", m->successor, m->successor_count);
  }
  if (len < room && m->member_count > 0) {
    say_peers(out + len, room - len, "members", m->member, m->member_count);
  }
}

void small_world_describe(const struct small_action *action, char *out, size_t room) {
  static const char *timer[] = {"stabilises",       "tries to join", "looks for another ring",
                                "repairs a finger", "announces",     "probes a doubtful peer"};
  switch ((enum small_kind)action->kind) {
    case ACT_DELIVER:
      say_flight(&flight[action->a], out, room);
      return;
    case ACT_SUSPECT:
      snprintf(out, room, "the request of %u to %u is lost", flight[action->a].caller,
               flight[action->a].node);
      return;
    case ACT_TIMER:
      snprintf(out, room, "%u %s", action->a,
               timer[action->b < TIMER_DOUBT ? action->b : (uint8_t)TIMER_DOUBT]);
      return;
    case ACT_JOIN:
      snprintf(out, room, "%u begins to join by way of %u", action->a, action->b);
      return;
    case ACT_FAIL:
      snprintf(out, room, "%u fails", action->a);
      return;
    case ACT_LEAVE:
      snprintf(out, room, "%u leaves", action->a);
      return;
  }
}
