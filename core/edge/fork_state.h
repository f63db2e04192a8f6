/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of a response context, shared by fork.c (its life, and what comes) and fork_send.c
 * (what goes out, and where to). */
#ifndef EDGE_FORK_STATE_H
#define EDGE_FORK_STATE_H

#include "edge/best.h"
#include "edge/fork.h"

enum branch_state {
  BRANCH_WAITING,  /* not sent yet */
  BRANCH_NAMING,   /* the DNS is asked where to */
  BRANCH_LOCATING, /* the overlay is asked for its contacts */
  BRANCH_SENT,
  BRANCH_DONE, /* its final answer is known */
};

struct branch {
  struct fork_target target; /* texts owned */
  struct slice texts;
  struct handle client;
  struct timer timer; /* Timer C; BRANCH_NAMING: look again, or give up */
  usec naming_until;
  struct slice hops; /* owned: the endpoints its name led to, to be tried in this order */
  unsigned hop;      /* the one under way */
  enum branch_state state;
  bool alive;     /* its client transaction has not ended */
  bool hurried;   /* another flow of the same phone waits: `timer` is FORK_FLOW_WAIT */
  bool ringing;   /* it drew a provisional answer other than 100 */
  bool abandoned; /* another flow was tried instead */
};

struct fork {
  struct handle server;
  uint32_t flow;
  struct endpoint from;
  unsigned drop;
  struct slice uri;      /* owned: the Request-URI to look up or to follow */
  struct slice instance; /* owned: of the GRUU asked for, or empty */
  bool invite;
  bool own; /* this peer's own MESSAGE (messages.c) */
  bool locating, located;
  bool keeping; /* `locating`, but a MESSAGE is being kept (messages.c) */
  usec locating_until;
  struct slice first_aor; /* owned: what was looked up first */
  uint16_t q_scale; /* contacts of an address that a 3xx named: by its own q, in thousandths */
  bool secure;      /* the Request-URI is sips */
  bool finished;    /* a final answer went out, or nobody waits for one */
  bool cancelled;   /* by the caller */
  bool ending;      /* nothing new is sent: there was a 2xx or 6xx, or it was cancelled */
  bool server_alive;
  uint16_t q;           /* of the group that is being tried */
  uint32_t breadth_all; /* Max-Breadth of the request */
  uint32_t breadth;     /* for each branch of the group */
  unsigned count;
  struct best best;
  struct timer timer; /* the location service is silent, or there is more to send */
  struct branch branch[FORK_BRANCHES_MAX]; /* beyond `count` not cleared */
};

/* The request, as long as it has no final answer. Its message may lie in `memory`, or not. */
bool fork_view_request(const struct edge *edge, const struct fork *fork, struct sip_message *memory,
                       struct edge_request *request);
uint64_t fork_user(const struct edge *edge, const struct fork *fork);
/* How many branches wait for somebody else. */
unsigned fork_busy(const struct fork *fork);
bool fork_same_phone(const struct branch *a, const struct branch *b);
/* The branch is over with this answer, which nobody sent. reason: static, or NULL. */
void fork_branch_failed(struct edge_step *step, struct fork *fork, struct branch *branch,
                        uint16_t status, const char *reason);
/* A final answer went out. */
void fork_finished(struct edge_step *step, struct fork *fork);
/* What was not sent will not be. */
void fork_stop_waiting(struct edge_step *step, struct fork *fork);

/* fork_send.c: how many branches are ready: those of the highest q, or, while some of it
 * are out, what else of the same q came to be. */
unsigned fork_next_group(const struct fork *fork, uint16_t *q);
/* Sends to them. False: the outbox is full, the rest goes at the next tick. */
bool fork_send_group(struct edge_step *step, struct fork *fork, const struct edge_request *request,
                     unsigned size);
#define FORK_BREADTH_DEFAULT 60u /* RFC 5393 section 5.3.3.1 */
uint32_t fork_breadth_of(const struct sip_message *message);
/* The next address that the branch's name led to (RFC 3263 4.3). False: there is none. */
bool fork_send_next(struct edge_step *step, struct fork *fork, struct branch *branch);
/* The DNS answered, or was silent for too long. */
void fork_name_again(struct edge_step *step, struct fork *fork, struct branch *branch);
/* Where a branch went is tried last for so long, if a name led there. */
void fork_avoid(struct edge_step *step, const struct branch *branch, uint32_t seconds);
#define FORK_AVOIDED_S 60u

#endif
