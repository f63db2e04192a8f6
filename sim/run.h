/* SPDX-License-Identifier: BSD-2-Clause */
/* One seed, from an empty world to the verdict: build the ring, then rounds of faults and healing,
 * then rest. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include "sim/buddy.h"
#include "sim/figures.h"
#include "sim/mail.h"
#include "sim/narrate.h"
#include "sim/scale.h"
#include "sim/script.h"

/* How far a run is, each look; and its figures once a virtual second. */
struct sim_progress {
  enum figure_phase phase;
  usec since; /* virtual time */
  uint32_t up;
  uint64_t events;
  uint32_t done; /* of 1000, as far as can be known */
  bool new_second;
  const struct figures *figures;
  const struct ledger_counts *ledger;
};

struct sim_options {
  uint64_t seed;
  uint32_t peers; /* 0: as the scenario or the seed says */
  const struct scenario *scenario;
  struct weather set; /* where given */
  bool is_set[WEATHER_COUNT];
  bool explain, follow;
  uint64_t (*clock_us)(void); /* of the real world, for rates only; or NULL */
  uint64_t (*cpu_us)(void);   /* that this process has used, likewise */
  void (*progress)(void *context, const struct sim_progress *progress); /* or NULL */
  void *context;
};

struct sim_result {
  char failure[400]; /* empty: good */
  usec failed_at, ended_at;
  uint64_t hash;
  uint32_t peers, up;
  struct weather weather;
  struct ledger_counts ledger;
  struct mail_counts mail;
  struct buddy_counts buddies;
  usec buddies_settled_us; /* since all was healed, until each watcher saw the last state */
  uint64_t events, messages, message_bytes, message_max, stores, connections, datagrams_lost;
  uint64_t crashes, leaves, joins, returns, pauses, partitions;
  struct figures figures;
  usec built_us, ideal_max_us, healed_max_us;
  /* CLAIM_READY only: from the restart of all until everybody was ready; bytes of copies sent in
   * that first minute, in hundredths of the bytes that peers hold */
  usec ready_max_us;
  uint64_t copies_max;
  uint64_t memory_mean, memory_max; /* of a node, at the end and at most */
  uint64_t sim_bytes_per_peer;
  uint64_t took_us, cpu_us;
  struct scale_result scale; /* where there were lookups */
};

void sim_run(const struct sim_options *options, struct crypto *crypto, struct sim_result *result);

#endif
