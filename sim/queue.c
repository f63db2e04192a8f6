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

void queue_free(struct queue *queue) {
  for (uint32_t i = 0; i < queue->count; i++) free(queue->item[i].event);
  free(queue->item);
  *queue = (struct queue){0};
}

static bool is_before(const struct queue_item *a, const struct queue_item *b) {
  return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

void queue_push(struct queue *queue, usec at, uint32_t peer, struct event *event) {
  const struct queue_item new = {at, queue->sequence++, event, peer};
  queue->item = sim_grow(queue->item, &queue->room, queue->count, sizeof *queue->item);
  uint32_t i = queue->count++;
  while (i > 0 && is_before(&new, &queue->item[(i - 1) / 2])) {
    queue->item[i] = queue->item[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  queue->item[i] = new;
}

bool queue_pop(struct queue *queue, usec end, struct queue_item *out) {
  if (queue->count == 0 || queue->item[0].at > end) return false;
  *out = queue->item[0];
  struct queue_item last = queue->item[--queue->count];
  uint32_t i = 0;
  for (;;) {
    uint32_t child = 2 * i + 1;
    if (child >= queue->count) break;
    if (child + 1 < queue->count && is_before(&queue->item[child + 1], &queue->item[child]))
      child++;
    if (!is_before(&queue->item[child], &last)) break;
    queue->item[i] = queue->item[child];
    i = child;
  }
  queue->item[i] = last;
  return true;
}
