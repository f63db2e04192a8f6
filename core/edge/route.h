/* SPDX-License-Identifier: BSD-2-Clause */
/* Route, Record-Route and Path: which URIs name this peer, and the tokens in their user parts that
 * say by which flow, or at which UDP address, a phone is reached. A token is made with a key that
 * only this run of the peer has; nobody else can make one (RFC 5626 section 5.2, R-7.59). */
#ifndef EDGE_ROUTE_H
#define EDGE_ROUTE_H

#include "base/buf.h"
#include "edge/state.h"

/* Where a request goes next. */
struct hop {
  uint32_t flow;      /* 0: by address */
  struct endpoint at; /* family 0: no hop */
};

enum route_token {
  ROUTE_TOKEN_NONE,
  ROUTE_TOKEN_GOOD,
  ROUTE_TOKEN_FORGED, /* 403 */
  ROUTE_TOKEN_DEAD,   /* 430: the flow was closed (RFC 5626 5.3.1), maybe in an earlier run */
};

/* "<sip:TOKEN@ADVERTISED;transport=T;lr>"; token NULL: without. The flow of a token was noted by
 * route_note_flow; of a token for a UDP address it is 0, or what keep_note gave. */
void route_put_own(struct buf *out, const struct edge *edge, enum transport transport,
                   const struct hop *token);
/* The same for Record-Route: secure (the request is for a sips URI): as a sips URI too, on the side
 * that has TLS or WSS (RFC 3261 16.6 step 4, RFC 5630 section 3). */
void route_put_record(struct buf *out, const struct edge *edge, enum transport transport,
                      const struct hop *token, bool secure);
/* The same with `ob`: the Path of the first hop of a phone with Outbound (RFC 5626 5.1). */
void route_put_path(struct buf *out, const struct edge *edge, enum transport transport,
                    const struct hop *token);
/* Remembers that a flow is open. ERR_MEMORY. */
enum err route_note_flow(struct edge *edge, uint32_t flow) MUST_USE;
void route_on_flow_closed(struct edge *edge, uint32_t flow);

/* Is this URI an address of this peer? As a route also: a domain of the overlay without user. */
bool route_is_address(const struct edge *edge, const struct sip_uri *uri);
bool route_is_own(const struct edge *edge, const struct sip_uri *uri);
/* What the token of an own URI says; *hop is written when it is good. */
enum route_token route_read_token(const struct edge *edge, const struct sip_uri *uri,
                                  struct hop *hop);

/* What the Route values and the Request-URI of a request ask for, after those that name this peer
 * are taken away (R-7.20, RFC 3261 section 16.4). */
#define ROUTES_MAX 32u
struct route_plan {
  struct slice uri;              /* the Request-URI to act on */
  unsigned drop;                 /* Route values to leave out, from the top */
  bool rewrite;                  /* all are left out: write kept[] anew */
  struct slice kept[ROUTES_MAX]; /* the values that remain */
  unsigned kept_count;
  enum route_token token; /* of the last own value */
  struct hop hop;         /* what that token says */
  unsigned own;           /* how many own values there were */
};
/* False: a Route value or the Request-URI does not parse, or there are more than ROUTES_MAX. With
 * ROUTE_TOKEN_FORGED the rest of the plan is not filled. */
bool route_plan_read(struct route_plan *plan, const struct edge *edge,
                     const struct sip_message *message);

#endif
