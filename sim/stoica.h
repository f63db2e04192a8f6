/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables II and III of Stoica et al., "Chord: a scalable peer-to-peer lookup protocol for internet
 * applications", IEEE/ACM Transactions on Networking 11(1), 2003, played by the shipping core in
 * the paper's setting. */
#ifndef SIM_STOICA_H
#define SIM_STOICA_H

#include <stdio.h>

#include "sim/run.h"

#define STOICA_HOPS_MAX 71u

struct stoica_cell {
  unsigned table;         /* 2, 3 */
  uint32_t failed_of_100; /* II: of the peers, at once */
  uint32_t churn_of_100;  /* III: joins, and as many leaves, in 100 seconds */
  bool learnt;            /* with learnt peers; else plain Chord */

  /* what came out */
  uint32_t lookups, unanswered, wrong; /* the last two: failed */
  uint32_t orphans;                    /* the asker was gone before the answer: not counted */
  uint32_t early;    /* of those right: by the old owner, a newcomer still fetching */
  uint64_t timeouts; /* tries of peers that were dead */
  uint32_t hops[STOICA_HOPS_MAX + 1];
  uint32_t records, records_lost; /* lost: every copy died */
  usec took_longest;
  uint64_t took_us;  /* of the real world */
  char failure[400]; /* of the simulator's own rules; empty: good */
};

/* Plays one cell. Of the options: seed, peers (0: 1,000), what is set, clock_us. */
void stoica_run(const struct sim_options *options, struct crypto *crypto, struct stoica_cell *cell);
/* Which cells of a table: of its rows all, or the one with this percentage or rate (in 100
 * seconds); in plain Chord, with learnt peers, or both. */
struct stoica_part {
  bool one_row;
  uint32_t row;
  bool without_plain, without_learnt;
};

/* Plays (a part of) a table and prints it beside the paper's figures. False: a lookup failed, or
 * the world did. */
bool stoica_table(const struct sim_options *options, struct crypto *crypto, unsigned table,
                  const struct stoica_part *part, FILE *out);

#endif
