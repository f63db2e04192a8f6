/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of keys as few intervals. A range (from, to] of the ring is cut at zero, so that what is
 * kept are plain intervals of numbers with both ends in them: sorted, apart from each other. */
#ifndef DHT_RANGES_H
#define DHT_RANGES_H

#include "base/key.h"
#include "base/memory.h"

#define RANGES_MAX 16u

struct interval {
  struct key first, last; /* first <= last */
};
struct ranges {
  unsigned count;
  struct interval item[RANGES_MAX];
};

/* (from, to] as one or two intervals, in ring order from `from`; from == to: the whole ring. */
unsigned interval_cut(const struct key *from, const struct key *to, struct interval out[2]);
/* `from` of the range that the interval is; `to` is its last. */
struct key interval_from(const struct interval *interval);
bool interval_has(const struct interval *interval, const struct key *key);

bool ranges_has(const struct ranges *set, const struct key *key);
/* Is all of the interval in the set? */
bool ranges_cover(const struct ranges *set, const struct interval *interval);
/* False, and nothing changed: it would take more than RANGES_MAX intervals. */
bool ranges_add(struct ranges *set, const struct interval *interval);
bool ranges_subtract(struct ranges *set, const struct interval *interval);

/* All of (from, to]. */
void ranges_of(struct ranges *set, const struct key *from, const struct key *to);
/* a minus b. Where that takes too many intervals, what does not fit is left out. */
void ranges_minus(struct ranges *out, const struct ranges *a, const struct ranges *b);
/* What is in both, likewise. */
void ranges_both(struct ranges *out, const struct ranges *a, const struct ranges *b);

/* A set that is kept: it takes as much memory as it has intervals. Zeroed it is empty; parts_clear
 * gives its memory back. Nothing here fails: where there are too many intervals, or no memory, it
 * holds more than it was given (all keys from the first to the last) or, by parts_keep, less. */
struct parts {
  union {
    struct interval one;   /* as in nearly all peers: a range that does not contain zero */
    struct interval *more; /* instead of it, if `room` is not 0 */
  };
  uint8_t count, room;
};

/* The first interval, or NULL. */
struct interval *parts_first(struct parts *parts);
struct ranges parts_get(const struct parts *parts);
bool parts_has(const struct parts *parts, const struct key *key);
/* Is all of the interval in it? */
bool parts_cover(const struct parts *parts, const struct interval *interval);
void parts_set(struct parts *parts, const struct memory *memory, const struct ranges *set);
/* Without memory for more than one: the first alone. */
void parts_keep(struct parts *parts, const struct memory *memory, const struct ranges *set);
void parts_add(struct parts *parts, const struct memory *memory, const struct interval *interval);
void parts_remove_first(struct parts *parts, const struct memory *memory);
void parts_clear(struct parts *parts, const struct memory *memory);

#endif
