/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers as an intrusive pairing heap: setting one needs no memory and cannot fail. A timer is
 * embedded in the object it belongs to and must be cleared before that object goes. Equal times
 * fire in the order in which they were set. */
#ifndef BASE_TIMERS_H
#define BASE_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/usec.h"

struct timer {
  usec at; /* meaningful while set */
  uint64_t order;
  struct timer *child, *next, *previous; /* previous: sibling, or parent for a first child */
  uint64_t owner;                        /* the caller's: a packed handle, usually */
  uint8_t kind;                          /* the caller's */
  bool set;
};
struct timers {
  struct timer *root;
  uint64_t order;
};

/* (Re)arms the timer for `at`. */
void timers_set(struct timers *timers, struct timer *timer, usec at);
/* Nothing happens if it is not set. */
void timers_clear(struct timers *timers, struct timer *timer);
/* Time of the earliest timer, or USEC_NEVER. */
usec timers_deadline(const struct timers *timers);
/* Takes the earliest timer if it is due (at <= now); NULL otherwise. It is then not set. */
struct timer *timers_pop(struct timers *timers, usec now);

#endif
