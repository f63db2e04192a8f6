/* SPDX-License-Identifier: BSD-2-Clause */
/* What will happen, in the order of (time, sequence). What is near is in a small heap; all
 * else waits in a wheel, unsorted, until its slot of time comes. A tick of a peer needs no memory
 * of its own; anything else is an event that the queue owns until it is popped. */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

#include "base/endpoint.h"
#include "base/err.h"
#include "base/usec.h"

enum event_kind {
  EVENT_TICK,    /* a peer's deadline */
  EVENT_MESSAGE, /* bytes arrive at a peer */
  EVENT_FLOW,    /* a connection opened or closed, or a send failed */
  EVENT_DISK,    /* the oldest write of a peer's disk is done */
  EVENT_SIGNED,
  EVENT_VERIFIED,
  EVENT_USER,
  EVENT_SEALED,
  EVENT_UNSEALED,
  EVENT_ACT,   /* the script's */
  EVENT_SWEEP, /* idle connections are closed */
};

struct event {
  enum event_kind kind;
  enum err status;
  bool held;           /* back, where the network is parted */
  uint32_t peer, life; /* whom it meets, in which life */
  uint32_t from;       /* the sender, or the script's argument */
  uint32_t flow;       /* at this peer; 0: datagram or none */
  uint64_t ticket;
  struct endpoint at;
  usec sent_at;
  size_t len;
  char bytes[];
};

struct queue_item {
  usec at;
  uint64_t sequence;
  struct event *event; /* NULL: a tick of `peer` */
  uint32_t peer;
  uint32_t next; /* of the same slot of the wheel, the queue's own */
};

#define QUEUE_SLOTS 16384u

struct queue {
  struct queue_item *heap; /* what happens in the wheel's present slot, or before */
  uint32_t count, room;
  struct queue_item *later; /* what is in the wheel, and what is free: lists through `next` */
  uint32_t later_used, later_room, later_free;
  uint32_t *slot; /* QUEUE_SLOTS of them: first in `later`; made when first needed */
  uint64_t turn;  /* the present slot, counted from the beginning of time */
  uint64_t size;  /* of heap and wheel */
  uint64_t sequence;
};

void queue_free(struct queue *queue);
/* The queue takes the event over. */
void queue_push(struct queue *queue, usec at, uint32_t peer, struct event *event);
/* False: it is empty, or the first is after `end`. The caller frees the event. */
bool queue_pop(struct queue *queue, usec end, struct queue_item *out);

/* Bytes that the queue takes itself. */
uint64_t queue_bytes(const struct queue *queue);

/* Memory for the simulator itself: cleared, and the process ends if there is none. */
void *sim_take(size_t bytes);
/* `at` grown to hold `count` more than `used` objects; *room is objects. */
void *sim_grow(void *at, uint32_t *room, uint32_t used, size_t bytes);
/* The bytes are copied. */
struct event *event_new(enum event_kind kind, struct slice bytes);

#endif
