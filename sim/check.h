/* SPDX-License-Identifier: BSD-2-Clause */
/* What must be true of the ring (Zave 2017; ), compared with the truth. */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "sim/world.h"

/* Ordered successor lists without duplicates and without oneself: always, everywhere. */
void check_lists(struct world *world);
/* Zave's invariant's consequences: of the members, following each to its first successor that is
 * up, one ordered ring, and every other member leads into it. Holds after every event while no more
 * peers fail at once than a list has entries and nobody who lives is suspected. */
void check_one_ring(struct world *world);
/* Zave's inductive invariant is that everybody has a live successor, which check_one_ring sees, and
 * that there are r + 1 principals: members that nobody's extended successor list (itself, then its
 * list) skips. How many there are, and how many there must be: one where our own rule for small
 * rings is in force somewhere. O(n r log n). */
struct check_principals {
  uint32_t count, needed, members;
};
struct check_principals check_principals(const struct world *world);
/* Zave's Ideal state: everybody is a member and ready, every pointer and list is right. True, or
 * *who is the first that is not. */
bool check_ring_is_ideal(struct world *world, const uint32_t *truth, uint32_t count, uint32_t *who);
bool check_is_ideal(struct world *world, uint32_t *who);

#endif
