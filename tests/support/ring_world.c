/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/ring_world.h"

#include <stdlib.h>

#include "base/assert.h"

#define HOPS_MAX 70u
#define AVOID_MAX 4u

enum ring_event_kind { EVENT_TICK, EVENT_REQUEST, EVENT_HOP, EVENT_ANSWER, EVENT_SILENT };

/* One thing that will happen at a peer. */
struct ring_event {
  usec at;
  uint64_t sequence;
  enum ring_event_kind kind;
  uint32_t node;        /* where */
  uint32_t incarnation; /* in which life of it; 0: any */
  uint32_t caller;      /* request, hop: who made the call */
  uint32_t caller_life;
  uint32_t ticket;
  enum overlay_status status; /* answer */
  bool answered;
  /* hop */
  struct key key;
  bool final;
  unsigned hops;
  uint32_t previous; /* the hop before, RING_WORLD_NONE at the first */
  struct key avoid[AVOID_MAX];
  unsigned avoid_count;
  struct peer to; /* whom the sender meant */
  struct overlay_message message;
};

/* ---- queue ---- */

static bool is_before(const struct ring_event *a, const struct ring_event *b) {
  return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void push(struct ring_world *w, struct ring_event *event) {
  if (w->heap_count == w->heap_room) {
    w->heap_room = w->heap_room == 0 ? 256 : w->heap_room * 2;
    w->heap = realloc(w->heap, w->heap_room * sizeof(struct ring_event *));
    ASSERT(w->heap != NULL);
  }
  event->sequence = w->sequence++;
  uint32_t i = w->heap_count++;
  while (i > 0 && is_before(event, w->heap[(i - 1) / 2])) {
    w->heap[i] = w->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  w->heap[i] = event;
}

static struct ring_event *pop(struct ring_world *w) {
  struct ring_event *first = w->heap[0], *last = w->heap[--w->heap_count];
  uint32_t i = 0;
  for (;;) {
    uint32_t child = 2 * i + 1;
    if (child >= w->heap_count) break;
    if (child + 1 < w->heap_count && is_before(w->heap[child + 1], w->heap[child])) child++;
    if (!is_before(w->heap[child], last)) break;
    w->heap[i] = w->heap[child];
    i = child;
  }
  w->heap[i] = last;
  return first;
}

static struct ring_event *event_new(enum ring_event_kind kind, usec at, uint32_t node) {
  struct ring_event *event = calloc(1, sizeof *event);
  ASSERT(event != NULL);
  event->kind = kind;
  event->at = at;
  event->node = node;
  return event;
}

/* ---- links ---- */

static usec latency(struct ring_world *w) {
  return rng_between(&w->rng, w->latency_min_us, w->latency_max_us);
}

static bool is_heard(struct ring_world *w, uint32_t from, uint32_t to) {
  if (w->node[from].side != w->node[to].side) return false;
  return w->loss_permille == 0 || rng_below(&w->rng, 1000) >= w->loss_permille;
}

static uint32_t node_at(const struct ring_world *w, const struct endpoint *at) {
  uint32_t i = (uint32_t)at->addr[2] << 8 | at->addr[3];
  return at->family == 4 && i < w->count ? i : RING_WORLD_NONE;
}

static bool is_life(const struct ring_world *w, uint32_t i, uint32_t incarnation) {
  return w->node[i].overlay != NULL && w->node[i].self.incarnation == incarnation;
}

static void answer_at(struct ring_world *w, usec at, const struct ring_event *call,
                      enum overlay_status status, const struct overlay_message *message) {
  if (call->ticket == 0) return;
  struct ring_event *answer = event_new(EVENT_ANSWER, at, call->caller);
  answer->incarnation = call->caller_life;
  answer->ticket = call->ticket;
  answer->status = status;
  answer->answered = message != NULL;
  if (message != NULL) answer->message = *message;
  push(w, answer);
}

static void set_tick(struct ring_world *w, uint32_t i) {
  struct ring_node *node = &w->node[i];
  if (node->overlay == NULL) return;
  usec at = overlay_deadline(node->overlay);
  if (at == USEC_NEVER || at >= node->tick_at) return;
  node->tick_at = usec_max(at, w->now + 1);
  struct ring_event *tick = event_new(EVENT_TICK, node->tick_at, i);
  tick->incarnation = node->self.incarnation;
  push(w, tick);
}

static void start_call(struct ring_world *w, uint32_t from, const struct overlay_call *call) {
  uint32_t to = node_at(w, &call->to.at);
  struct ring_event *event = event_new(call->routed ? EVENT_HOP : EVENT_REQUEST, w->now, to);
  w->calls++;
  event->caller = from;
  event->caller_life = w->node[from].self.incarnation;
  event->ticket = call->ticket;
  event->message = call->message;
  event->key = call->key;
  event->final = call->final;
  event->to = call->to;
  event->previous = RING_WORLD_NONE;
  if (to == RING_WORLD_NONE || !is_heard(w, from, to)) {
    answer_at(w, w->now + w->timeout_us, event, OVERLAY_FAILED, NULL);
    free(event);
    return;
  }
  event->at = w->now + latency(w);
  push(w, event);
}

static void carry_out(struct ring_world *w, uint32_t i, const struct overlay_calls *calls) {
  for (unsigned c = 0; c < calls->count; c++) start_call(w, i, &calls->call[c]);
  set_tick(w, i);
}

static struct overlay_calls *fresh_calls(void) {
  static struct overlay_calls calls;
  calls.count = 0;
  return &calls;
}

/* ---- what happens at a peer ---- */

static void deliver(struct ring_world *w, struct ring_event *event) {
  struct ring_node *node = &w->node[event->node];
  if (node->overlay == NULL) {
    answer_at(w, event->at + w->timeout_us, event, OVERLAY_FAILED, NULL);
    return;
  }
  struct overlay_message answer;
  struct overlay_calls *calls = fresh_calls();
  enum overlay_status status = OVERLAY_NOT_ME;
  bool mine = event->kind == EVENT_HOP || key_equal(&event->to.id, &node->self.id);
  if (mine) {
    status = overlay_on_request(node->overlay, w->now, &event->message, &answer, calls, NULL);
  }
  bool with_body = mine && (status == OVERLAY_OK || status == OVERLAY_ELSEWHERE);
  if (is_heard(w, event->node, event->caller)) {
    answer_at(w, w->now + latency(w), event, status, with_body ? &answer : NULL);
  } else {
    answer_at(w, w->now + w->timeout_us, event, OVERLAY_FAILED, NULL);
  }
  carry_out(w, event->node, calls);
}

/* The hop before tries elsewhere. */
static void hop_is_silent(struct ring_world *w, struct ring_event *event) {
  uint32_t i = event->previous;
  if (i == RING_WORLD_NONE || w->node[i].overlay == NULL) {
    answer_at(w, w->now + latency(w), event, OVERLAY_FAILED, NULL);
    return;
  }
  struct overlay_calls *calls = fresh_calls();
  overlay_on_peer_silent(w->node[i].overlay, w->now, &event->to, calls, NULL);
  carry_out(w, i, calls);
  if (event->avoid_count == AVOID_MAX) {
    answer_at(w, w->now + latency(w), event, OVERLAY_FAILED, NULL);
    return;
  }
  event->avoid[event->avoid_count++] = event->to.id;
  bool final;
  struct peer next;
  if (overlay_next_hops(w->node[i].overlay, &event->key, event->avoid, event->avoid_count, &next, 1,
                        &final) == 0) {
    answer_at(w, w->now + latency(w), event, OVERLAY_FAILED, NULL);
    return;
  }
  struct ring_event *again = event_new(EVENT_HOP, 0, 0);
  *again = *event;
  again->kind = EVENT_HOP;
  again->to = next;
  again->final = final;
  again->node = node_at(w, &next.at);
  again->at = w->now + latency(w);
  push(w, again);
}

static void silence_at(struct ring_world *w, const struct ring_event *event, usec at) {
  struct ring_event *silent = event_new(EVENT_SILENT, at, event->previous);
  *silent = *event;
  silent->kind = EVENT_SILENT;
  silent->at = at;
  silent->node = event->previous;
  push(w, silent);
}

/* a final request goes back only to a nearer predecessor. */
static bool choose_hop(const struct ring_world *w, uint32_t i, const struct ring_event *event,
                       struct peer *next, bool *final, bool *mine) {
  const struct overlay *overlay = w->node[i].overlay;
  const struct peer *predecessor = overlay_predecessor(overlay);
  *mine = overlay_is_responsible(overlay, &event->key);
  if (*mine) return true;
  if (event->final) {
    *mine = predecessor == NULL || doubt_is(overlay, &predecessor->id) ||
            key_equal(&predecessor->id, &event->to.id);
    *final = true;
    if (!*mine) *next = *predecessor;
    return true;
  }
  return overlay_next_hops(overlay, &event->key, NULL, 0, next, 1, final) > 0;
}

static void hop(struct ring_world *w, struct ring_event *event) {
  uint32_t i = event->node;
  bool known = !key_is_zero(&event->to.id);
  bool running = w->node[i].overlay != NULL;
  bool wrong = running && ((known && !key_equal(&event->to.id, &w->node[i].self.id)) ||
                           !overlay_is_member(w->node[i].overlay));
  if (wrong && event->previous == RING_WORLD_NONE) {
    answer_at(w, w->now + latency(w), event, known ? OVERLAY_FAILED : OVERLAY_NOT_JOINED, NULL);
    return;
  }
  if (!running || wrong) {
    silence_at(w, event, w->now + (wrong ? latency(w) : w->timeout_us));
    return;
  }
  struct peer next;
  bool final, mine;
  if (!choose_hop(w, i, event, &next, &final, &mine) || ++event->hops > HOPS_MAX) {
    answer_at(w, w->now + latency(w), event, OVERLAY_FAILED, NULL);
  } else if (mine) {
    deliver(w, event);
  } else {
    struct ring_event *onward = event_new(EVENT_HOP, 0, 0);
    *onward = *event;
    onward->previous = i;
    onward->avoid_count = 0;
    onward->to = next;
    onward->final = final;
    onward->node = node_at(w, &next.at);
    onward->at = w->now + latency(w);
    if (is_heard(w, i, onward->node)) {
      push(w, onward);
    } else {
      silence_at(w, onward, w->now + w->timeout_us);
      free(onward);
    }
  }
}

static void happen(struct ring_world *w, struct ring_event *event) {
  uint32_t i = event->node;
  struct overlay_calls *calls;
  switch (event->kind) {
    case EVENT_TICK:
      if (!is_life(w, i, event->incarnation)) return;
      if (w->node[i].tick_at == event->at) w->node[i].tick_at = USEC_NEVER;
      calls = fresh_calls();
      overlay_on_tick(w->node[i].overlay, w->now, calls, NULL);
      carry_out(w, i, calls);
      return;
    case EVENT_REQUEST:
      deliver(w, event);
      return;
    case EVENT_HOP:
      hop(w, event);
      return;
    case EVENT_SILENT:
      hop_is_silent(w, event);
      return;
    case EVENT_ANSWER:
      if (!is_life(w, i, event->incarnation)) return;
      calls = fresh_calls();
      overlay_on_answer(w->node[i].overlay, w->now, event->ticket, event->status,
                        event->answered ? &event->message : NULL, calls, NULL);
      carry_out(w, i, calls);
      return;
  }
}

const struct overlay_message *ring_world_answer(const struct ring_world *w, uint32_t e) {
  const struct ring_event *event = w->heap[e];
  if (event->kind != EVENT_ANSWER || !event->answered || event->status != OVERLAY_OK) return NULL;
  enum overlay_method method = event->message.method;
  return method == OVERLAY_JOIN || method == OVERLAY_NEIGHBORS ? &event->message : NULL;
}

static void check(struct ring_world *w) {
  if (w->violation != NULL || w->check_every == 0 || w->events % w->check_every != 0) return;
  w->violation = ring_world_violation(w, w->loss_permille > 0);
}

static bool step(struct ring_world *w, usec until) {
  if (w->heap_count == 0 || w->heap[0]->at > until || w->violation != NULL) return false;
  struct ring_event *event = pop(w);
  w->now = event->at;
  w->events++;
  happen(w, event);
  free(event);
  check(w);
  return true;
}

/* ---- the world ---- */

void ring_world_init(struct ring_world *w, uint64_t seed) {
  memset(w, 0, sizeof *w);
  uint8_t bytes[16] = {0};
  for (unsigned i = 0; i < 8; i++) bytes[i] = (uint8_t)(seed >> 8 * i);
  rng_init(&w->rng, bytes);
  test_memory_init(&w->memory, TEST_MEMORY_UNLIMITED);
  w->now = SEC(1);
  w->successors = 8;
  w->learnt_max = 0;
  w->stabilize_us = SEC(5);
  w->fingers_us = SEC(10);
  w->latency_min_us = MSEC(5);
  w->latency_max_us = MSEC(50);
  w->timeout_us = MSEC(500);
  w->check_every = 1;
}

void ring_world_free(struct ring_world *w) {
  for (uint32_t i = 0; i < w->count; i++) overlay_free(w->node[i].overlay);
  while (w->heap_count > 0) free(pop(w));
  free(w->heap);
  ASSERT(w->memory.blocks == 0);
}

uint32_t ring_world_add(struct ring_world *w, const struct key *id) {
  ASSERT(w->count < RING_WORLD_PEERS_MAX);
  uint32_t i = w->count++;
  struct peer *self = &w->node[i].self;
  self->id = id != NULL ? *id : ring_world_random_key(w);
  self->at = (struct endpoint){.addr = {10, 0, (uint8_t)(i >> 8), (uint8_t)i},
                               .port = 5060,
                               .family = 4,
                               .transport = TRANSPORT_TCP};
  return i;
}

static void start(struct ring_world *w, uint32_t i) {
  struct ring_node *node = &w->node[i];
  ASSERT(node->overlay == NULL);
  uint8_t seed[16];
  rng_fill(&w->rng, seed, sizeof seed);
  node->self.incarnation++;
  node->tick_at = USEC_NEVER;
  struct overlay_config config = {.self = node->self,
                                  .successors = w->successors,
                                  .fingers_max = w->learnt_max,
                                  .stabilize_us = w->stabilize_us,
                                  .fingers_us = w->fingers_us,
                                  .memory = &w->memory.memory,
                                  .seed = seed};
  node->overlay = overlay_new(&config);
  ASSERT(node->overlay != NULL);
}

void ring_world_create(struct ring_world *w, uint32_t i) {
  start(w, i);
  overlay_create(w->node[i].overlay, w->now, NULL);
  set_tick(w, i);
}

void ring_world_join(struct ring_world *w, uint32_t i, const uint32_t *via, unsigned count) {
  struct endpoint bootstrap[BOOTSTRAPS_MAX];
  for (unsigned b = 0; b < count; b++) bootstrap[b] = w->node[via[b]].self.at;
  start(w, i);
  struct overlay_calls *calls = fresh_calls();
  overlay_join(w->node[i].overlay, w->now, bootstrap, count, calls);
  carry_out(w, i, calls);
}

void ring_world_kill(struct ring_world *w, uint32_t i) {
  overlay_free(w->node[i].overlay);
  w->node[i].overlay = NULL;
}

void ring_world_leave(struct ring_world *w, uint32_t i) {
  struct overlay_calls *calls = fresh_calls();
  overlay_leave(w->node[i].overlay, w->now, calls, NULL);
  carry_out(w, i, calls);
}

void ring_world_run(struct ring_world *w, usec for_us) {
  usec until = w->now + for_us;
  while (step(w, until)) continue;
  if (w->violation == NULL) w->now = until;
}

bool ring_world_settle(struct ring_world *w, usec within_us) {
  usec until = w->now + within_us;
  while (w->now < until && w->violation == NULL) {
    if (ring_world_not_ideal(w) == NULL) return true;
    ring_world_run(w, MSEC(50));
  }
  return w->violation == NULL && ring_world_not_ideal(w) == NULL;
}

/* A hop that does not answer is avoided by the hop before. */
uint32_t ring_world_lookup(struct ring_world *w, uint32_t i, const struct key *key,
                           unsigned *hops) {
  struct ring_event walk = {.key = *key, .previous = RING_WORLD_NONE, .to = w->node[i].self};
  struct key avoid[AVOID_MAX];
  *hops = 0;
  if (w->node[i].overlay == NULL) return RING_WORLD_NONE;
  while (*hops <= HOPS_MAX) {
    struct peer next;
    bool mine, final = false;
    if (!choose_hop(w, i, &walk, &next, &final, &mine)) return RING_WORLD_NONE;
    if (mine) return i;
    unsigned silent = 0;
    uint32_t to = node_at(w, &next.at);
    while (w->node[to].overlay == NULL || !overlay_is_member(w->node[to].overlay)) {
      if (silent == AVOID_MAX) return RING_WORLD_NONE;
      avoid[silent++] = next.id;
      if (overlay_next_hops(w->node[i].overlay, key, avoid, silent, &next, 1, &final) == 0) {
        return RING_WORLD_NONE;
      }
      to = node_at(w, &next.at);
    }
    ++*hops;
    walk.to = next;
    walk.final = final;
    i = to;
  }
  return RING_WORLD_NONE;
}

struct key ring_world_random_key(struct ring_world *w) {
  struct key key;
  rng_fill(&w->rng, key.byte, sizeof key.byte);
  return key;
}
