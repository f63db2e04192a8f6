/* SPDX-License-Identifier: BSD-2-Clause */
/* What clients did, what they were promised, and whether the promise was kept. Each item is one
 * contact of one address, written at one home; an operation on it ends before the next begins. */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "sim/world.h"

enum item_state {
  ITEM_NEW,     /* never written */
  ITEM_LIVE,    /* a put was acknowledged */
  ITEM_REMOVED, /* a removal was */
  ITEM_UNKNOWN, /* the last write was not acknowledged: it may have happened, or not */
};
struct item {
  char address[80], contact[40]; /* of an immutable value: its key, and the value */
  bool immutable;                /* anybody puts it, and nobody removes it */
  uint32_t home;
  struct key key;
  struct record_id id;
  enum item_state state;
  uint64_t version;
  msec_wall expires; /* of that version */
  unsigned copies;   /* that were promised */
  unsigned lost;     /* holders that crashed since there were as many as there should be */
  /* The record that pins the key of its address; nonce zero: there is none. It was there
   * when the last write was acknowledged; without it nobody acts on what was written. */
  struct record_id pin;
  unsigned pin_copies, pin_lost;
  bool doubtful;   /* the network was parted, or peers that live were suspected, since */
  bool missed;     /* the last read after healing did not see what it should */
  uint64_t ticket; /* of the operation under way; 0: none */
  enum node_command_kind doing;
  uint32_t asked;
  usec asked_at;
};

struct ledger_counts {
  uint64_t puts, puts_good, gets, gets_good, removes, removes_good, unanswered, excused;
  uint64_t refused, late;
  /* Reads of honest peers while liars lied: an older version than there is; 404, or without it,
   * though it is there; no answer. */
  uint64_t lied, lied_right, lied_old, lied_missed, lied_failed;
};
struct ledger {
  struct world *world;
  struct rng rng;
  struct item *item;
  uint32_t count;
  bool strict; /* it is calm, and who returns has returned: answers must be right, not just true */
  usec healed_at; /* since then the copies agree: an answer to what was asked before may be old */
  struct ledger_counts counts;
};

void ledger_open(struct ledger *ledger, struct world *world, uint32_t items, uint64_t seed);
void ledger_close(struct ledger *ledger);
/* A random operation on a random item by a peer that is up. */
void ledger_operate(struct ledger *ledger);
/* A put of each item. */
void ledger_put_all(struct ledger *ledger);
/* A read of each item whose state is known, each at some peer. */
void ledger_read_all(struct ledger *ledger);
uint32_t ledger_busy(const struct ledger *ledger);
void ledger_on_reply(struct ledger *ledger, uint32_t peer, uint64_t ticket,
                     const struct node_reply *reply);
/* Called when the peer is gone, its disk as it will be found. */
void ledger_on_gone(struct ledger *ledger, uint32_t peer);
/* The weather does not keep what the promises need (a partition, a stopped peer). */
void ledger_doubt(struct ledger *ledger);
/* Commands unanswered for too long. */
void ledger_check_answers(struct ledger *ledger);
/* The replicas of each item agree: k of them hold a live one, and none a removed one. NULL: yes;
 * else the first item that differs. */
const struct item *ledger_differing(struct ledger *ledger);
/* For people: which peers of the replica set hold what of the item, and which others do. */
void ledger_tell(const struct ledger *ledger, const struct item *item, char *text, size_t room);
/* All copies are where they belong: promises count from here. */
void ledger_rebase(struct ledger *ledger);

/* Up peers in the order of their Peer-IDs: the truth. Returns the count; `out` has room for all. */
void truth_sort(const struct world *world, uint32_t *out, uint32_t count);
uint32_t truth_ring(const struct world *world, uint32_t *out);
/* The first of that ring at or after the key. */
uint32_t truth_place(const struct world *world, const uint32_t *ring, uint32_t count,
                     const struct key *key);
uint32_t truth_random_up(struct world *world, struct rng *rng);
/* To join by: it may stand still just now. Who is told of nobody begins a ring of its own. */
uint32_t truth_random_address(struct world *world, struct rng *rng);

#endif
