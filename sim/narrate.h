/* SPDX-License-Identifier: BSD-2-Clause */
/* Remembers the last things that happened, to tell them when something went wrong. */
#ifndef SIM_NARRATE_H
#define SIM_NARRATE_H

#include <stdio.h>

#include "sim/world.h"

#define NARRATOR_LINES 4096u
struct narrator {
  const struct world *world;
  char (*line)[200];
  uint64_t count;
  bool follow; /* print at once, too */
};

void narrator_open(struct narrator *narrator, const struct world *world);
void narrator_close(struct narrator *narrator);
void narrate(struct narrator *narrator, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void narrate_trace(struct narrator *narrator, uint32_t peer, const struct trace *trace);
void narrate_event(struct narrator *narrator, uint32_t peer, const struct event *event);
/* The last `lines` of them, and what each peer believes of the ring. */
void narrator_print(const struct narrator *narrator, FILE *out, unsigned lines);
void narrator_print_ring(const struct world *world, FILE *out);

#endif
