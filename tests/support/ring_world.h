/* SPDX-License-Identifier: BSD-2-Clause */
/* Many overlays under virtual time, without SIP: calls are delivered as overlay_on_request and
 * overlay_on_answer, routed calls are walked by overlay_next_hops. Integers only; one seed, one
 * history. The checker states Zave's invariant on the states of all peers. */
#ifndef SUPPORT_RING_WORLD_H
#define SUPPORT_RING_WORLD_H

#include "base/rng.h"
#include "overlay/chord.h"
#include "support/memory.h"

#define RING_WORLD_PEERS_MAX 1024u
#define RING_WORLD_NONE UINT32_MAX

struct ring_node {
  struct overlay *overlay; /* NULL: not running */
  struct peer self;
  usec tick_at;  /* earliest tick queued */
  uint32_t side; /* peers of different sides do not hear each other */
};

struct ring_event;
struct ring_world {
  struct ring_node node[RING_WORLD_PEERS_MAX];
  uint32_t count;
  usec now;
  struct rng rng;
  struct test_memory memory;

  /* may be changed at any time */
  unsigned successors; /* r, of peers started from now on */
  unsigned learnt_max;
  usec stabilize_us, fingers_us;
  usec latency_min_us, latency_max_us, timeout_us;
  unsigned loss_permille;
  uint32_t check_every; /* events between checks of the invariant; 0: never */

  struct ring_event **heap;
  uint32_t heap_count, heap_room;
  uint64_t sequence, events, calls;
  const char *violation; /* the first one found, or NULL */
  uint32_t violation_at; /* index of a peer it is about */
};

void ring_world_init(struct ring_world *world, uint64_t seed);
void ring_world_free(struct ring_world *world);
/* A peer that does not run yet, at a random place, or at `id`. Its index. */
uint32_t ring_world_add(struct ring_world *world, const struct key *id);
void ring_world_create(struct ring_world *world, uint32_t i);
/* Starts peer i (again: in its next life) with these bootstrap peers. */
void ring_world_join(struct ring_world *world, uint32_t i, const uint32_t *via, unsigned count);
void ring_world_kill(struct ring_world *world, uint32_t i);
void ring_world_leave(struct ring_world *world, uint32_t i);
void ring_world_run(struct ring_world *world, usec for_us);
/* Runs until the state is Zave's Ideal; false: not within that time, or a violation. */
bool ring_world_settle(struct ring_world *world, usec within_us);
/* Walks key from peer i as the states are now; RING_WORLD_NONE: no way. */
uint32_t ring_world_lookup(struct ring_world *world, uint32_t i, const struct key *key,
                           unsigned *hops);

uint32_t ring_world_members(const struct ring_world *world);
/* The live member responsible for key by the identifiers alone. */
uint32_t ring_world_owner(const struct ring_world *world, const struct key *key);
struct key ring_world_random_key(struct ring_world *world);
/* Zave's invariant; NULL: holds. With lossy links or partitions only the ordering of lists does. */
const char *ring_world_violation(struct ring_world *world, bool lists_only);
/* Zave's goal: lists, predecessors and, in small rings, memberships are what the live members'
 * identifiers say. NULL: it is so. */
const char *ring_world_not_ideal(struct ring_world *world);
/* The answer to a join or a state query that event e of the queue will deliver, or NULL. */
const struct overlay_message *ring_world_answer(const struct ring_world *world, uint32_t e);
/* Members that no live member's extended successor list skips. */
uint32_t ring_world_principals(const struct ring_world *world);
/* Is peer i a member that knows a live successor? */
bool ring_world_has_successor(const struct ring_world *world, uint32_t i);
/* An answer under way is, for its receiver, as good as adopted: it must name a live peer. */
bool ring_world_answer_is_good(const struct ring_world *world,
                               const struct overlay_message *answer);
/* Would Zave's failure assumption hold if peer i failed now? Every other member keeps a live
 * successor, and r + 1 principals stay (small rings: one). */
bool ring_world_may_fail(struct ring_world *world, uint32_t i);

#endif
