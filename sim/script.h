/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens to the peers, drawn from the weather, and what a scenario adds to it. */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include "sim/ledger.h"

struct script {
  struct world *world;
  struct ledger *ledger;
  struct rng rng;
  bool faults;     /* the phase of faults */
  bool clients;    /* they operate */
  uint32_t target; /* peers that there should be */
  uint32_t returning;
  usec parted_until;
  uint64_t crashes, leaves, joins, returns, pauses, partitions;
  uint64_t crashes_at_once;
};

/* What a scenario demands beyond what all do (sim/claim.h). */
enum claim {
  CLAIM_NONE,
  CLAIM_IDLE,  /* */
  CLAIM_READY, /* */
  CLAIM_LIARS  /* */
};
struct scenario {
  const char *name, *text;
  uint32_t peers; /* unless --peers says otherwise */
  void (*weather)(struct weather *weather, struct rng *rng);
  void (*begin)(struct script *script, unsigned round); /* of each phase of faults; or NULL */
  enum claim claim;
};
const struct scenario *scenario_find(const char *name);
/* In order; NULL at the end. */
const struct scenario *scenario_at(unsigned i);

void script_open(struct script *script, struct world *world, struct ledger *ledger, uint64_t seed);
void script_on_act(struct script *script, uint32_t what);
void script_on_reply(struct script *script, uint32_t peer, uint64_t ticket,
                     const struct node_reply *reply);
void script_begin_faults(struct script *script, unsigned round);
void script_end_faults(struct script *script);
void script_begin_clients(struct script *script);
/* A new peer joins now, through some that are up (none are: it begins a ring). */
void script_join(struct script *script);
/* A random peer hands over and leaves. */
void script_leave(struct script *script);
void script_crash(struct script *script, uint32_t peer, bool dark, usec back_us);

#endif
