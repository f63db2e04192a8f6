/* SPDX-License-Identifier: BSD-2-Clause */
/* One seed, from an empty world to the verdict: build the ring, then rounds of faults and healing,
 * then rest. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include "sim/narrate.h"
#include "sim/script.h"

struct sim_options {
  uint64_t seed;
  uint32_t peers; /* 0: as the scenario or the seed says */
  const struct scenario *scenario;
  struct weather set; /* where given */
  bool is_set[WEATHER_COUNT];
  bool explain, follow;
  bool progress;              /* on standard error */
  uint64_t (*clock_us)(void); /* of the real world, for rates only */
};

struct sim_result {
  char failure[400]; /* empty: good */
  usec failed_at, ended_at;
  uint64_t hash;
  uint32_t peers, up;
  struct weather weather;
  struct ledger_counts ledger;
  uint64_t events, messages, message_bytes, message_max, stores, connections, datagrams_lost;
  uint64_t crashes, leaves, joins, returns, pauses, partitions;
  uint64_t forwarded, delivered;
  usec built_us, healed_max_us;
  uint64_t memory_mean, memory_max; /* of a node, at the end and at most */
  uint64_t sim_bytes_per_peer;
  uint64_t took_us;
};

void sim_run(const struct sim_options *options, struct crypto *crypto, struct sim_result *result);

#endif
