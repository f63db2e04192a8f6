/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/timers.h"

#include <stddef.h>

#include "base/assert.h"

static bool before(const struct timer *a, const struct timer *b) {
  return a->at != b->at ? a->at < b->at : a->order < b->order;
}

/* Joins two heaps; each is a root without siblings. */
static struct timer *meld(struct timer *a, struct timer *b) {
  if (before(b, a)) {
    struct timer *later = a;
    a = b;
    b = later;
  }
  b->previous = a;
  b->next = a->child;
  if (a->child != NULL) a->child->previous = b;
  a->child = b;
  return a;
}

/* Joins a list of siblings into one heap in two passes: pairs from the left, then those pairs
 * from the right. This is what makes a removal O(log n) amortised (Fredman et al. 1986). */
static struct timer *meld_siblings(struct timer *first) {
  struct timer *pairs = NULL; /* a stack through next */
  while (first != NULL) {
    struct timer *a = first;
    struct timer *b = a->next;
    first = b == NULL ? NULL : b->next;
    a->next = NULL;
    a->previous = NULL;
    if (b != NULL) {
      b->next = NULL;
      b->previous = NULL;
      a = meld(a, b);
    }
    a->next = pairs;
    pairs = a;
  }
  struct timer *root = NULL;
  while (pairs != NULL) {
    struct timer *heap = pairs;
    pairs = heap->next;
    heap->next = NULL;
    root = root == NULL ? heap : meld(root, heap);
  }
  return root;
}

static void unlink_timer(struct timer *timer) {
  struct timer *previous = timer->previous;
  if (previous->child == timer)
    previous->child = timer->next;
  else
    previous->next = timer->next;
  if (timer->next != NULL) timer->next->previous = previous;
  timer->next = NULL;
  timer->previous = NULL;
}

void timers_clear(struct timers *timers, struct timer *timer) {
  if (!timer->set) return;
  struct timer *children = meld_siblings(timer->child);
  timer->child = NULL;
  timer->set = false;
  if (timer == timers->root) {
    timers->root = children;
    return;
  }
  ASSERT(timer->previous != NULL); /* else it is set in another heap */
  unlink_timer(timer);
  if (children != NULL) timers->root = meld(timers->root, children);
}

void timers_set(struct timers *timers, struct timer *timer, usec at) {
  timers_clear(timers, timer);
  timer->at = at;
  timer->order = timers->order++;
  timer->child = NULL;
  timer->next = NULL;
  timer->previous = NULL;
  timer->set = true;
  timers->root = timers->root == NULL ? timer : meld(timers->root, timer);
}

usec timers_deadline(const struct timers *timers) {
  return timers->root == NULL ? USEC_NEVER : timers->root->at;
}

struct timer *timers_pop(struct timers *timers, usec now) {
  struct timer *first = timers->root;
  if (first == NULL || first->at > now) return NULL;
  timers_clear(timers, first);
  return first;
}
