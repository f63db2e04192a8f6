/* SPDX-License-Identifier: BSD-2-Clause */
#include "dht/ranges.h"

#include "base/plant.h"

static struct key key_zero(void) { return (struct key){{0}}; }
static struct key key_last(void) {
  struct key k;
  memset(&k, 0xFF, sizeof k);
  return k;
}
static struct key key_predecessor(const struct key *k) {
  struct key p = *k;
  for (unsigned i = KEY_BYTES; i-- > 0;)
    if (p.byte[i]-- != 0) break;
  return p;
}

unsigned interval_cut(const struct key *from, const struct key *to, struct interval out[2]) {
  /* 6: closed at the wrong end */
  struct key first = PLANTED(6) ? *from : key_successor(from), zero = key_zero(), last = key_last();
  if (key_equal(from, to) && key_equal(from, &last)) {
    out[0] = (struct interval){zero, last};
    return 1;
  }
  if (key_compare(&first, to) <= 0) {
    out[0] = (struct interval){first, *to};
    return 1;
  }
  out[0] = (struct interval){first, last};
  out[1] = (struct interval){zero, *to};
  return 2;
}

struct key interval_from(const struct interval *interval) {
  return key_predecessor(&interval->first);
}

bool interval_has(const struct interval *interval, const struct key *key) {
  return key_compare(&interval->first, key) <= 0 && key_compare(key, &interval->last) <= 0;
}

bool ranges_has(const struct ranges *set, const struct key *key) {
  for (unsigned i = 0; i < set->count; i++)
    if (interval_has(&set->item[i], key)) return true;
  return false;
}

bool ranges_cover(const struct ranges *set, const struct interval *interval) {
  for (unsigned i = 0; i < set->count; i++) /* neighbours were joined, so it is one or none */
    if (interval_has(&set->item[i], &interval->first) &&
        interval_has(&set->item[i], &interval->last))
      return true;
  return false;
}

/* a ends before b begins, with at least one key between them. */
static bool is_apart(const struct interval *a, const struct interval *b) {
  if (key_compare(&a->last, &b->first) >= 0) return false;
  struct key next = key_successor(&a->last);
  return !key_equal(&next, &b->first);
}

bool ranges_add(struct ranges *set, const struct interval *interval) {
  struct interval sum = *interval;
  unsigned i = 0, j;
  while (i < set->count && is_apart(&set->item[i], &sum)) i++;
  for (j = i; j < set->count && !is_apart(&sum, &set->item[j]); j++) {
    if (key_compare(&set->item[j].first, &sum.first) < 0) sum.first = set->item[j].first;
    if (key_compare(&set->item[j].last, &sum.last) > 0) sum.last = set->item[j].last;
  }
  if (i == j && set->count == RANGES_MAX) return false;
  memmove(&set->item[i + 1], &set->item[j], (set->count - j) * sizeof *set->item);
  set->item[i] = sum;
  set->count = set->count - (j - i) + 1;
  return true;
}

/* What is left of a without b: up to two intervals. */
static unsigned difference(const struct interval *a, const struct interval *b,
                           struct interval out[2]) {
  unsigned count = 0;
  if (key_compare(&a->last, &b->first) < 0 || key_compare(&b->last, &a->first) < 0) {
    out[0] = *a;
    return 1;
  }
  if (key_compare(&a->first, &b->first) < 0)
    out[count++] = (struct interval){a->first, key_predecessor(&b->first)};
  if (key_compare(&b->last, &a->last) < 0)
    out[count++] = (struct interval){key_successor(&b->last), a->last};
  return count;
}

bool ranges_subtract(struct ranges *set, const struct interval *interval) {
  struct ranges out = {0};
  for (unsigned i = 0; i < set->count; i++) {
    struct interval rest[2];
    unsigned count = difference(&set->item[i], interval, rest);
    if (out.count + count > RANGES_MAX) return false;
    for (unsigned k = 0; k < count; k++) out.item[out.count++] = rest[k];
  }
  *set = out;
  return true;
}

void ranges_of(struct ranges *set, const struct key *from, const struct key *to) {
  struct interval part[2];
  unsigned count = interval_cut(from, to, part);
  set->count = 0;
  for (unsigned i = 0; i < count; i++) (void)ranges_add(set, &part[i]); /* two always fit */
}

void ranges_minus(struct ranges *out, const struct ranges *a, const struct ranges *b) {
  struct ranges rest = *a;
  for (unsigned i = 0; i < b->count; i++) {
    if (ranges_subtract(&rest, &b->item[i])) continue;
    /* One interval too many: give up the last, and what is right of the cut is the last. */
    rest.count--;
    i--;
  }
  *out = rest;
}

void ranges_both(struct ranges *out, const struct ranges *a, const struct ranges *b) {
  struct ranges sum = {0};
  for (unsigned i = 0; i < a->count; i++) {
    for (unsigned k = 0; k < b->count; k++) {
      const struct interval *x = &a->item[i], *y = &b->item[k];
      struct interval both = {
          key_compare(&x->first, &y->first) > 0 ? x->first : y->first,
          key_compare(&x->last, &y->last) < 0 ? x->last : y->last,
      };
      if (key_compare(&both.first, &both.last) <= 0) (void)ranges_add(&sum, &both);
    }
  }
  *out = sum;
}

/* ---- what waits ---- */

static const struct interval *items_of(const struct parts *parts) {
  return parts->room > 0 ? parts->more : &parts->one;
}

struct interval *parts_first(struct parts *parts) {
  if (parts->count == 0) return NULL;
  return parts->room > 0 ? parts->more : &parts->one;
}

struct ranges parts_get(const struct parts *parts) {
  struct ranges set = {.count = parts->count};
  memcpy(set.item, items_of(parts), set.count * sizeof *set.item);
  return set;
}

/* All from the first to the last. */
static void join_all(struct ranges *set, const struct interval *interval) {
  struct interval all = {set->item[0].first, set->item[set->count - 1].last};
  if (key_compare(&interval->first, &all.first) < 0) all.first = interval->first;
  if (key_compare(&interval->last, &all.last) > 0) all.last = interval->last;
  *set = (struct ranges){1, {all}};
}

static void give_more(struct parts *parts, const struct memory *memory) {
  if (parts->room > 0) memory_give(memory, parts->more, parts->room * sizeof *parts->more);
  parts->room = 0;
}

bool parts_has(const struct parts *parts, const struct key *key) {
  const struct interval *item = items_of(parts);
  for (unsigned i = 0; i < parts->count; i++)
    if (interval_has(&item[i], key)) return true;
  return false;
}

bool parts_cover(const struct parts *parts, const struct interval *interval) {
  struct ranges set = parts_get(parts);
  return ranges_cover(&set, interval);
}

/* False: no memory for so many, the set stays as it was. */
static bool put(struct parts *parts, const struct memory *memory, const struct ranges *set) {
  if (set->count > 1 && set->count > parts->room) {
    unsigned room = 2;
    while (room < set->count) room *= 2;
    struct interval *more = memory_take(memory, room * sizeof *more);
    if (more == NULL) return false;
    give_more(parts, memory);
    parts->more = more;
    parts->room = (uint8_t)room;
  }
  if (set->count <= 1) give_more(parts, memory);
  memcpy(parts->room > 0 ? parts->more : &parts->one, set->item, set->count * sizeof *set->item);
  parts->count = (uint8_t)set->count;
  return true;
}

void parts_set(struct parts *parts, const struct memory *memory, const struct ranges *set) {
  if (put(parts, memory, set)) return;
  struct ranges all = *set;
  join_all(&all, &all.item[0]);
  (void)put(parts, memory, &all); /* one fits */
}

void parts_keep(struct parts *parts, const struct memory *memory, const struct ranges *set) {
  if (put(parts, memory, set)) return;
  (void)put(parts, memory, &(struct ranges){1, {set->item[0]}}); /* one fits */
}

void parts_add(struct parts *parts, const struct memory *memory, const struct interval *interval) {
  struct ranges set = parts_get(parts);
  if (!ranges_add(&set, interval)) join_all(&set, interval);
  parts_set(parts, memory, &set);
}

void parts_remove_first(struct parts *parts, const struct memory *memory) {
  struct ranges set = parts_get(parts);
  if (set.count == 0) return;
  set.count--;
  memmove(&set.item[0], &set.item[1], set.count * sizeof *set.item);
  parts_set(parts, memory, &set);
}

void parts_clear(struct parts *parts, const struct memory *memory) {
  give_more(parts, memory);
  parts->count = 0;
}
