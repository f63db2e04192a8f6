/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run cost and how it went, as numbers: bytes by purpose and by phase, hops,
 * seconds. It only looks: with or without it the same happens. */
#ifndef SIM_FIGURES_H
#define SIM_FIGURES_H

#include "sim/world.h"

enum figure_class {
  FIGURE_RING,    /* overlay.*, but for copies: the price of being there */
  FIGURE_COPIES,  /* overlay.replicate, overlay.sync: replicas, hand-over, repair */
  FIGURE_CLIENTS, /* what clients asked for */
  FIGURE_CLASSES
};
enum figure_phase {
  PHASE_BUILD,
  PHASE_PUT,
  PHASE_FAULTS,
  PHASE_HEAL,
  PHASE_READ,
  PHASE_REST,
  FIGURE_PHASES
};
#define FIGURE_HOPS_MAX 71u

struct figure_traffic {
  uint64_t messages[FIGURE_CLASSES], bytes[FIGURE_CLASSES];
};
struct figures {
  struct figure_traffic traffic[FIGURE_PHASES];
  uint64_t peer_ms[FIGURE_PHASES]; /* milliseconds that peers were up, summed */
  usec span[FIGURE_PHASES];
  uint64_t hops[FIGURE_HOPS_MAX + 1]; /* of clients' requests that left their peer */
  uint64_t tries_again;               /* a hop was silent, another was taken */
  uint64_t calls[FIGURE_CLASSES];     /* requests executed */

  const struct world *world;
  enum figure_phase phase;
  usec counted_at;
  uint32_t hops_here; /* of the message that is being read in step `step` */
  uint64_t step;
  uint64_t *call; /* hashes of Call-IDs, and in the lowest bits the class + 1 */
  uint32_t call_room;
};

void figures_open(struct figures *figures, const struct world *world);
/* Counts stay. */
void figures_close(struct figures *figures);
/* To be called often: from here on it is this phase. */
void figures_pass(struct figures *figures, enum figure_phase phase);
void figures_on_event(struct figures *figures, const struct event *event);
void figures_on_trace(struct figures *figures, const struct trace *trace);

const char *figure_phase_name(enum figure_phase phase);
/* Of all phases. */
uint64_t figures_bytes(const struct figures *figures, enum figure_class class);
/* Thousandths. */
uint64_t figures_hops_mean(const struct figures *figures);
/* So many of 1000 requests took no more hops. */
uint32_t figures_hops_of(const struct figures *figures, uint32_t of_1000);
/* Bytes or messages a peer and second in a phase; 0: nobody was there. */
uint64_t figures_rate(const struct figures *figures, enum figure_phase phase, uint64_t count);

#endif
