/* SPDX-License-Identifier: BSD-2-Clause */
/* Many peers: they begin as a computed ring, come and go, and look keys
 * up all the while. Each lookup must end, at the peer responsible. */
#ifndef SIM_SCALE_H
#define SIM_SCALE_H

#include "sim/figures.h"
#include "sim/script.h"

#define SCALE_HOPS_MAX 64u

struct scale_result {
  uint64_t lookups, right;                 /* asked; ended at the peer responsible */
  uint64_t excused;                        /* whoever asked crashed or left before the answer */
  uint64_t hops_sum, hops[SCALE_HOPS_MAX]; /* lookups that took so many */
  usec took_sum, took_max;
  /* without lookups, for a while */
  uint64_t upkeep_messages, upkeep_bytes;
  usec upkeep_us;
  uint64_t bytes; /* of the tables of this file */
};

typedef void scale_progress(void *context, enum figure_phase phase);
/* From an empty world to the ideal ring after the churn. progress is called now and then. */
void scale_play(struct script *script, uint32_t peers, scale_progress *progress, void *context,
                struct scale_result *result);
/* Hops that no more than one lookup of a hundred exceeds. */
unsigned scale_hops_p99(const struct scale_result *result);

#endif
