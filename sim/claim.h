/* SPDX-License-Identifier: BSD-2-Clause */
/* Budgets: sizes of messages in every run; what a scenario demands beyond what all do. */
#ifndef SIM_CLAIM_H
#define SIM_CLAIM_H

#include "sim/figures.h"
#include "sim/script.h"

struct claim_state {
  enum claim claim;
  struct world *world;
  struct ledger *ledger;
  const struct figures *figures;
  usec began_at, ready_at; /* 0: not yet */
  uint64_t copies_before;  /* bytes */
  uint64_t writes_before;
  bool copies_checked;
  usec ready_max_us;
  uint64_t copies_max; /* hundredths of the bytes that peers hold */
};

/* Each message that arrives. */
void claim_on_message(struct world *world, const struct event *event);
/* A phase of faults begins. */
void claim_begin(struct claim_state *state);
/* At each look after that, until it has healed. returning: peers that are still to come back. */
void claim_look(struct claim_state *state, uint32_t returning);
/* It ends. */
void claim_end(struct claim_state *state);

#endif
