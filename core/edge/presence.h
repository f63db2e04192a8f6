/* SPDX-License-Identifier: BSD-2-Clause */
/* What the other files of the edge need of presence (events.h is its inside). */
#ifndef EDGE_PRESENCE_H
#define EDGE_PRESENCE_H

#include "base/map.h"
#include "base/pool.h"
#include "base/slice.h"
#include "base/timers.h"

struct edge;
struct edge_step;
struct edge_request;
struct sip_uri;
struct transaction_event;
struct sip_message;

struct presence {
  struct pool presentities, publications, subscriptions, rules, remotes;
  struct map by_aor, by_tag, by_watcher, by_flow;
  struct timer pace;
  uint32_t queue_first, queue_last; /* subscriptions to be told */
  uint32_t notifying;               /* NOTIFYs that wait for their answer */
  struct timer tell;                /* remote.c */
  uint32_t tell_first, tell_last;   /* presentities of which others are to be told */
  uint32_t tells;                   /* that wait for their answer */
  usec tell_next_at;                /* when more may leave */
  usec home_next;                   /* when the next address may be made known */
  uint64_t life;                    /* tells this run from others */
};

void presence_free(struct edge *edge);
void presence_trim(struct edge *edge);

/* A request outside of any dialog for an address of the overlay. False: it is none of presence. */
bool presence_on_request(struct edge_step *step, const struct edge_request *request,
                         const struct sip_uri *uri);
/* A SUBSCRIBE for this peer itself: in a dialog of ours, or 481. */
void presence_on_own(struct edge_step *step, const struct edge_request *request);
/* The answer to a NOTIFY, or its end without one. False: the transaction is not of presence. */
bool presence_on_response(struct edge_step *step, const struct transaction_event *event,
                          const struct sip_message *response);
bool presence_on_ended(struct edge_step *step, const struct transaction_event *event);
void presence_on_timer(struct edge_step *step, struct timer *timer);
void presence_on_flow_closed(struct edge_step *step, uint32_t flow);
/* A contact of the address came or went. */
void presence_on_bindings(struct edge_step *step, struct slice aor);

#endif
