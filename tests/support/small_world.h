/* SPDX-License-Identifier: BSD-2-Clause */
/* A few overlays and the messages between them, as one block of memory that can be copied and put
 * back, and of which nothing happens until an action is chosen. Time is abstract: whatever
 * timer is set may fire next, however far away it was set. So the jitter and the pace of timers
 * are no part of a state, and the one other random choice, the address where a joiner begins, is
 * an action's parameter. */
#ifndef SUPPORT_SMALL_WORLD_H
#define SUPPORT_SMALL_WORLD_H

#include "overlay/chord.h"

#define SMALL_PEERS_MAX 5u
#define SMALL_R_MAX 3u
#define SMALL_FLIGHTS_MAX 48u
#define SMALL_ACTIONS_MAX 128u
#define SMALL_CODE_MAX 8192u
#define SMALL_CLASSES 160u

enum small_phase {
  PHASE_REQUEST, /* on its way to a peer */
  PHASE_HOP,     /* the same, routed by key */
  PHASE_ANSWER,  /* on its way back; or nothing will come back, which the caller will notice */
};

/* overlay_message in 16 bytes: peers are named by small_name. */
struct small_message {
  uint8_t method, sender, subject, lost, predecessor;
  uint8_t successor_count, successor[SMALL_R_MAX];
  uint8_t member_count, member[2 * SMALL_R_MAX];
};

/* One call under way. */
struct small_flight {
  uint32_t ticket; /* 0: nobody waits for an answer */
  uint8_t phase;   /* enum small_phase */
  uint8_t caller, life, node;
  uint8_t to; /* whom the sender meant */
  uint8_t status, answered;
  uint8_t final, previous, hops, avoid_count, avoid[4]; /* of a hop */
  struct key key;
  struct small_message message;
};

struct small_node {
  struct overlay *overlay; /* NULL: not running */
  uint8_t life;            /* times started */
};

/* How much may still happen besides messages that arrive. */
struct small_budget {
  uint8_t joins, fails, leaves, timers; /* timers: of stabilising, joining, probing */
  uint8_t merges;                       /* looks for another ring */
  uint8_t suspicions;                   /* requests that are lost though the peer lives */
};

struct small_world {
  unsigned count, r;
  bool fingers; /* finger repair and announcements fire, too */
  usec now;
  struct small_budget left;
  struct small_node node[SMALL_PEERS_MAX];
  unsigned flight_count;
  size_t used;                             /* of the arena */
  struct small_block *free[SMALL_CLASSES]; /* by size in units of 16 bytes */
  struct memory memory;
};

enum small_kind { ACT_DELIVER, ACT_SUSPECT, ACT_TIMER, ACT_JOIN, ACT_FAIL, ACT_LEAVE };
enum small_timer {
  TIMER_STABILIZE,
  TIMER_JOIN,
  TIMER_MERGE,
  TIMER_FINGERS,
  TIMER_ANNOUNCE,
  TIMER_DOUBT /* and the index of the doubt */
};
struct small_action {
  uint8_t kind; /* enum small_kind */
  uint8_t a;    /* flight; or peer */
  uint8_t b;    /* timer; or the address where a joiner begins */
};

/* There is one world, at a fixed address. */
extern struct small_world small_world;

/* The first `ring` of `peers` are an ideal ring at rest. Not NULL: they do not become one. */
const char *small_world_begin(unsigned peers, unsigned ring, unsigned r, bool fingers,
                              const struct small_budget *budget);
/* Peer i joins by way of peer 0 while nothing else happens, up to so many steps. False: it was
 * ideal before. */
bool small_world_join_until(unsigned i, unsigned steps, const struct small_budget *budget);
/* Bytes of a copy of the world as it is now; at most SMALL_COPY_MAX. */
#define SMALL_COPY_MAX 65536u
size_t small_world_save(uint8_t *copy);
void small_world_restore(const uint8_t *copy);

/* All that may happen now. */
unsigned small_world_actions(struct small_action *out);
void small_world_act(const struct small_action *action);
/* One line of text, before the action happens. */
void small_world_describe(const struct small_action *action, char *out, size_t room);
/* What decides the future, in an order that does not depend on the past. */
size_t small_world_encode(uint8_t *out);
/* Zave's invariant; NULL: holds. After a suspicion only the order of lists is demanded. */
const char *small_world_violation(bool lists_only);
/* A bit for each member that knows a live successor. Only a failure or a leave may take one away.
 */
unsigned small_world_connected(void);
/* Lets everything happen in turn and in its time, nothing fail, until the ring is ideal. NULL: it
 * became so within 180 s. */
const char *small_world_fair_run(void);

#endif
