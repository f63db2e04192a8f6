/* SPDX-License-Identifier: BSD-2-Clause */
/* The response context of RFC 3261 section 16: one proxied request, its branches, and the best
 * answer so far. It lives until its server transaction and all its client transactions have
 * ended, so that repeated and further 2xx find their way (RFC 6026). */
#ifndef EDGE_FORK_H
#define EDGE_FORK_H

#include "edge/route.h"
#include "edge/state.h"

#define FORK_BRANCHES_MAX 16u
#define FORK_LOCATE_TIMEOUT SEC(32)
#define FORK_TIMER_C SEC(181) /* */
#define FORK_FLOW_WAIT SEC(4) /* */

/* One place a request is sent to. */
struct fork_target {
  struct slice uri;    /* Request-URI */
  struct slice routes; /* whole Route lines, put before those that remain */
  struct slice next;   /* if not empty: the URI whose host is a name that leads to the hop */
  struct hop hop;
  bool secure;   /* by TLS or WSS alone */
  bool by_peer;  /* the hop is another peer, or proxy, by a Path */
  bool locate;   /* `uri` is an Address-of-Record of the overlay, to be looked up */
  bool by_token; /* Record-Route names the hop by a token */
  uint16_t q_permille;
  uint64_t phone; /* of targets with the same, one is tried at a time; 0: like no other */
};

struct fork;

void fork_init(struct edge *edge);
void fork_free_all(struct edge *edge);

/* A context for the request; NULL when the table is full. `drop`: Route values to leave out. */
struct fork *fork_new(struct edge_step *step, const struct edge_request *request, unsigned drop,
                      struct slice uri, bool secure);
bool fork_is_secure(const struct fork *fork);
/* Copies the texts. ERR_FULL: as many branches as allowed; ERR_MEMORY. */
enum err fork_add(struct edge_step *step, struct fork *fork,
                  const struct fork_target *target) MUST_USE;
/* Sends to the targets of the highest q; with none it answers the best there is. */
void fork_run(struct edge_step *step, struct fork *fork);
/* The location service is asked for `aor`; edge_on_located goes on. instance: only contacts of that
 * one count (a GRUU), or empty. */
void fork_locate(struct edge_step *step, struct fork *fork, struct slice aor,
                 struct slice instance);
/* Ends a context that has sent nothing, with this answer. */
void fork_refuse(struct edge_step *step, struct fork *fork, uint16_t status, const char *reason);

/* Nothing was sent, or found, for this request yet. */
bool fork_is_first_location(const struct fork *fork);
/* The context that waits for its location; NULL: it is over. `aor` and `instance` are good until
 * the context is changed. */
struct fork *fork_located(struct edge *edge, uint64_t user, struct slice *aor,
                          struct slice *instance);

void fork_on_cancel(struct edge_step *step, uint64_t user);
void fork_on_response(struct edge_step *step, const struct transaction_event *event,
                      const struct sip_message *response);
/* TIMEOUT, TRANSPORT_ERROR and TERMINATED of either side. */
void fork_on_ended(struct edge_step *step, const struct transaction_event *event);
void fork_on_timer(struct edge_step *step, struct timer *timer);

/* Names were answered: branches that wait for them look again at the next tick. */
void fork_on_names(struct edge *edge, usec now);
/* The first address of a name, if it is known already: for what has no transaction. What is not
 * known is asked for. `bytes`: how long the request is. */
bool fork_name_hop(struct edge_step *step, struct slice next, size_t bytes, struct hop *hop);

/* Writes a request as it is forwarded (RFC 3261 section 16.6, steps 1 to 8). */
struct fork_print {
  const struct edge_request *request;
  const struct fork_target *target;
  unsigned drop;
  bool record_route;
  uint32_t breadth; /* Max-Breadth; 0: leave the header as it is */
  struct slice branch;
};
void fork_put_request(struct buf *out, const struct edge *edge, const struct fork_print *print);
/* The hash that tells a loop from a spiral (RFC 5393 section 4.2). */
uint64_t fork_loop_tag(const struct edge *edge, const struct sip_message *message);
#define FORK_BRANCH_BEGIN "z9hG4bK"
#define FORK_BRANCH_BYTES 39u /* that, the hash, and what makes it unique */
void fork_put_branch(struct buf *out, const struct edge *edge, const struct sip_message *message,
                     uint64_t unique);

#endif
