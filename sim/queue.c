/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/queue.h"

#include <stdio.h>
#include <stdlib.h>

static void out_of_memory(void) {
  fputs("locser-sim: no memory\n", stderr);
  exit(1);
}

void *sim_take(size_t bytes) {
  void *at = calloc(1, bytes > 0 ? bytes : 1);
  if (at == NULL) out_of_memory();
  return at;
}

void *sim_grow(void *at, uint32_t *room, uint32_t used, size_t bytes) {
  if (used < *room) return at;
  *room = *room == 0 ? 16 : *room * 2;
  at = realloc(at, *room * bytes);
  if (at == NULL) out_of_memory();
  return at;
}

struct event *event_new(enum event_kind kind, struct slice bytes) {
  struct event *event = malloc(sizeof *event + bytes.len);
  if (event == NULL) out_of_memory();
  *event = (struct event){.kind = kind, .len = bytes.len};
  if (bytes.len > 0) memcpy(event->bytes, bytes.at, bytes.len);
  return event;
}

#define SLOT_SHIFT 12u /* 4 ms; the wheel goes round in 67 s */

static uint64_t turn_of(usec at) { return at >> SLOT_SHIFT; }

static bool is_before(const struct queue_item *a, const struct queue_item *b) {
  return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

/* ---- what is near: a heap with four children to a node ---- */

static void heap_push(struct queue *queue, const struct queue_item *new) {
  queue->heap = sim_grow(queue->heap, &queue->room, queue->count, sizeof *queue->heap);
  uint32_t i = queue->count++;
  while (i > 0 && is_before(new, &queue->heap[(i - 1) / 4])) {
    queue->heap[i] = queue->heap[(i - 1) / 4];
    i = (i - 1) / 4;
  }
  queue->heap[i] = *new;
}

static void heap_pop(struct queue *queue) {
  struct queue_item last = queue->heap[--queue->count];
  uint32_t i = 0;
  for (uint32_t child; (child = 4 * i + 1) < queue->count;) {
    uint32_t end = child + 4 < queue->count ? child + 4 : queue->count, least = child;
    while (++child < end)
      if (is_before(&queue->heap[child], &queue->heap[least])) least = child;
    if (!is_before(&queue->heap[least], &last)) break;
    queue->heap[i] = queue->heap[least];
    i = least;
  }
  queue->heap[i] = last;
}

/* ---- what is far: the wheel ---- */

static void wheel_push(struct queue *queue, const struct queue_item *new) {
  uint32_t place = queue->later_free;
  if (place != UINT32_MAX) {
    queue->later_free = queue->later[place].next;
  } else {
    queue->later =
        sim_grow(queue->later, &queue->later_room, queue->later_used, sizeof *queue->later);
    place = queue->later_used++;
  }
  uint32_t *slot = &queue->slot[turn_of(new->at) % QUEUE_SLOTS];
  queue->later[place] = *new;
  queue->later[place].next = *slot;
  *slot = place;
}

/* Of the present slot, what is due in this turn of the wheel goes into the heap. */
static void wheel_turn(struct queue *queue) {
  uint32_t *link = &queue->slot[queue->turn % QUEUE_SLOTS];
  while (*link != UINT32_MAX) {
    uint32_t place = *link;
    struct queue_item *item = &queue->later[place];
    if (turn_of(item->at) > queue->turn) {
      link = &item->next;
      continue;
    }
    *link = item->next;
    heap_push(queue, item);
    item->event = NULL;
    item->next = queue->later_free;
    queue->later_free = place;
  }
}

static void wheel_make(struct queue *queue, usec now) {
  queue->slot = sim_take(QUEUE_SLOTS * sizeof *queue->slot);
  for (uint32_t i = 0; i < QUEUE_SLOTS; i++) queue->slot[i] = UINT32_MAX;
  queue->later_free = UINT32_MAX;
  queue->turn = turn_of(now);
}

/* ---- the queue ---- */

void queue_free(struct queue *queue) {
  for (uint32_t i = 0; i < queue->count; i++) free(queue->heap[i].event);
  for (uint32_t i = 0; i < queue->later_used; i++) free(queue->later[i].event);
  free(queue->heap);
  free(queue->later);
  free(queue->slot);
  *queue = (struct queue){0};
}

void queue_push(struct queue *queue, usec at, uint32_t peer, struct event *event) {
  const struct queue_item new = {
      .at = at, .sequence = queue->sequence++, .event = event, .peer = peer};
  if (queue->slot == NULL) wheel_make(queue, at);
  queue->size++;
  if (turn_of(at) <= queue->turn)
    heap_push(queue, &new);
  else
    wheel_push(queue, &new);
}

bool queue_pop(struct queue *queue, usec end, struct queue_item *out) {
  while (queue->count == 0 && queue->size > 0 && queue->turn < turn_of(end)) {
    queue->turn++;
    wheel_turn(queue);
  }
  if (queue->count == 0 || queue->heap[0].at > end) return false;
  *out = queue->heap[0];
  heap_pop(queue);
  queue->size--;
  return true;
}

uint64_t queue_bytes(const struct queue *queue) {
  return (queue->room + queue->later_room) * sizeof(struct queue_item) +
         QUEUE_SLOTS * sizeof *queue->slot;
}
