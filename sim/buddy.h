/* SPDX-License-Identifier: BSD-2-Clause */
/* People who say how they are, and others who watch them, with phones that go to another peer when
 * theirs is gone: what each watcher is shown in the end, what nobody may be
 * shown, and how long a change takes. All users' keys are at all peers. */
#ifndef SIM_BUDDY_H
#define SIM_BUDDY_H

#include "sim/world.h"

struct buddy_counts {
  uint64_t changes, blocks, notifies;
  uint64_t heard; /* changes, by watchers, in the quiet after all */
  usec took_sum, took_max;
};

/* One phone: first those who are watched, then those who watch one of them each. */
struct buddy {
  uint32_t peer, life; /* where it is registered; SIM_NONE: nowhere yet */
  bool registered;
  uint32_t cseq;
  /* who is watched */
  uint32_t state; /* the last one that was published, or is to be */
  uint32_t sent;  /* to this peer in this life; 0: nothing */
  bool rules_said;
  usec sent_at;
  char etag[17];
  /* who watches */
  uint32_t dialog; /* number of its Call-ID; 0: none */
  char tag[17];    /* of the peer in the dialog; empty: not answered yet */
  usec subscribed_at;
  bool active, rejected;
  uint32_t shown, shown_count; /* the last NOTIFY: a state, and how many there were */
  bool blocked;
  uint32_t blocked_after; /* no later state may be shown */
};
struct buddy_answer {
  uint32_t peer, life, user;
  size_t len;
  char text[1400];
};
#define BUDDY_ANSWERS 1024u

struct buddies {
  struct world *world;
  struct rng rng;
  struct buddy *user;
  uint32_t watched, count;     /* users */
  struct buddy_answer *answer; /* BUDDY_ANSWERS of them, used in turn */
  uint32_t answers, dialogs;
  bool changing, quiet;
  uint64_t asked; /* ticket of the decision being said */
  struct buddy_counts counts;
};

/* Nothing where the weather has no watchers. */
void buddy_open(struct buddies *buddies, struct world *world, uint64_t seed);
void buddy_close(struct buddies *buddies);
/* All register, publish and subscribe, and go on to refresh. */
void buddy_begin(struct buddies *buddies, usec span);
/* States change, and watchers are blocked, until buddy_settle. */
void buddy_change(struct buddies *buddies);
void buddy_settle(struct buddies *buddies);
/* NULL: each sees what he should; else why not. */
const char *buddy_differs(const struct buddies *buddies, uint32_t *who);
/* It is time that all do. */
void buddy_check(struct buddies *buddies);
/* Everybody changes once, where nothing goes wrong. */
void buddy_change_all(struct buddies *buddies);

/* For the watch of the world. False: it is not theirs. */
bool buddy_on_act(struct buddies *buddies, uint32_t what);
bool buddy_on_reply(struct buddies *buddies, uint64_t ticket, const struct node_reply *reply);
void buddy_on_datagram(struct buddies *buddies, uint32_t peer, const struct output *out);

#endif
