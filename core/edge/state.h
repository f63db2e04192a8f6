/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of an edge, shared by the files of this folder. */
#ifndef EDGE_STATE_H
#define EDGE_STATE_H

#include "base/map.h"
#include "edge/auth.h"
#include "edge/binding.h"
#include "edge/edge.h"
#include "edge/presence.h"
#include "sip/dns_cache.h"
#include "sip/transaction.h"

/* Option tags that registrar and proxy support. */
#define EDGE_SUPPORTED "path, outbound, gruu"
#define EDGE_EVENTS "presence, presence.winfo, message-summary"
#define EDGE_ALLOW                                                                             \
  "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, LOCSER, MESSAGE, SUBSCRIBE, NOTIFY, PUBLISH, " \
  "INFO, PRACK, UPDATE, REFER"

enum edge_timer_kind {
  EDGE_TIMER_BINDING,
  EDGE_TIMER_FORK,
  EDGE_TIMER_BRANCH,
  EDGE_TIMER_KEEP,
  EDGE_TIMER_PUBLICATION,
  EDGE_TIMER_SUBSCRIPTION,
  EDGE_TIMER_REMOTE,
  EDGE_TIMER_HOME,
  EDGE_TIMER_AGAIN,
  EDGE_TIMER_TELL,
  EDGE_TIMER_NOTIFY
};

#define EDGE_FLOWS_MAX 16384u /* stream flows with tokens; more: 503 */

/* What is known of names, made when the first one is asked for: most peers of an overlay never need
 * it. Addresses that a name led to and that failed are tried last for a while: the one
 * whose time ends first makes room for another. */
#define NAMES_AVOIDED_MAX 32u
struct avoided {
  struct endpoint at;
  usec until;
};
struct names {
  struct dns_cache cache;
  struct avoided avoided[NAMES_AVOIDED_MAX];
};

/* What is kept of edge_config. */
struct edge_settings {
  struct edge_limits limits;
  struct slice *domain; /* owned, with their texts in the same block */
  unsigned domain_count;
  size_t domain_bytes;     /* of that block */
  struct endpoint *listen; /* owned */
  unsigned listen_count;
  struct endpoint advertise;
  struct prefix *trusted; /* owned */
  unsigned trusted_count;
  bool digest_off, record_route, redirect;
  unsigned algorithms;
  const struct crypto *crypto;
  uint8_t ticket_tag;
  enum event_decision watchers;
  struct peer self;
  bool alone;
  struct xml_reader *xml;
};

struct edge {
  const struct memory *memory;
  struct edge_settings config;
  uint8_t token_key[32];
  uint8_t token_run[2]; /* tells the tokens of this run from those of another */
  uint8_t gruu_key[32];
  struct rng rng;
  struct hash_key hash;
  struct timers timers;
  struct transactions transactions;
  struct bindings bindings;
  struct auth auth;
  struct pool registrations; /* registrar.c: REGISTERs that wait */
  struct pool forks;         /* fork.c: response contexts */
  struct map flows;          /* stream flows that a token was made for and that are still open */
  struct pool deliveries;    /* messages.c: MESSAGEs that this peer sends itself */
  struct pool keeps;         /* keep.c: UDP addresses of phones with Outbound */
  struct map keeps_by_address;
  uint64_t bytes; /* of messages kept by edge_keep */
  uint64_t bytes_max;
  struct presence *presence; /* NULL: none was needed yet */
  uint32_t calls;            /* forks of an INVITE */
  struct names *names;       /* NULL: none was needed yet */
  uint32_t naming;           /* branches that wait for the DNS */
  struct handle viewed;      /* the transaction whose request, as it is kept, this is: */
  struct sip_message *view;  /* the last to be forwarded, which is looked at again soonest;
                                taken with the first */
};

/* What every function below works on: one call of edge.h. */
struct edge_step {
  struct edge *edge;
  usec now;
  msec_wall wall;
  struct edge_calls *calls;
  struct outbox *out;
};

/* A request being decided on. */
struct edge_request {
  const struct sip_message *message;
  uint32_t flow;
  struct endpoint from;
  struct handle transaction; /* none: an ACK, or there was no room for one */
};

/* Copies bytes into memory counted against limits.bytes_max; at == NULL: no room. */
struct slice edge_keep(struct edge *edge, struct slice bytes);
void edge_drop(struct edge *edge, struct slice *kept);

/* Answers a request: begin writes the head into the outbox (reason NULL: the standard phrase), the
 * caller appends whole header lines to step->out->bytes, end sends it. From 300 on it is traced as
 * refused. */
size_t edge_reply_begin(struct edge_step *step, const struct edge_request *request, uint16_t status,
                        const char *reason);
void edge_reply_end(struct edge_step *step, const struct edge_request *request, uint16_t status,
                    size_t mark);
void edge_reply(struct edge_step *step, const struct edge_request *request, uint16_t status,
                const char *reason);
/* 503 with a Retry-After of 2 to 6 seconds, drawn at random. */
void edge_reply_busy(struct edge_step *step, const struct edge_request *request,
                     const char *reason);
/* There must be room (edge_calls_left). The texts are copied into the outbox. */
void edge_call_add(struct edge_step *step, enum edge_call_kind kind, uint64_t user,
                   struct slice aor, const struct contact *contact, uint32_t granted_s);
unsigned edge_calls_left(const struct edge_step *step);
/* Is this source not limited? */
bool edge_is_trusted(const struct edge *edge, const struct endpoint *at);
/* Does the request come from a phone itself, with no proxy between (RFC 5626 section 5.1)? */
bool edge_is_first_hop(const struct sip_message *message);
bool edge_supports(struct slice tag);

/* registrar.c */
void registrar_init(struct edge *edge);
void registrar_on_request(struct edge_step *step, const struct edge_request *request);
void registrar_on_bound(struct edge_step *step, uint64_t user, enum err status, const char *why);
/* */
void registrar_on_flow_closed(struct edge_step *step, uint32_t flow);
/* Nothing is heard any more from a UDP address that keep-alives came from. */
void registrar_on_address_silent(struct edge_step *step, const struct endpoint *at);
void registrar_on_timer(struct edge_step *step, struct timer *timer);
/* Puts the contacts of an address once more. */
void registrar_renew(struct edge_step *step, struct slice aor);
void registrar_free(struct edge *edge);

/* messages.c */
void messages_init(struct edge *edge);
void messages_free(struct edge *edge);
struct fork;
/* A MESSAGE that no phone could be found for: to be kept. False: it is not one of those.
 */
bool messages_keep(struct edge_step *step, struct fork *fork);
/* A MESSAGE to a phone of this peer reached nobody, and the sender's home may be keeping it now. */
void messages_missed(struct edge_step *step, const struct fork *fork);
/* Is this transaction's user a delivery? */
#define MESSAGES_USER ((uint64_t)1 << 30) /* beside EVENT_USER */
static inline bool messages_is_user(uint64_t user) { return (user & MESSAGES_USER) != 0; }
void messages_on_response(struct edge_step *step, uint64_t user, uint16_t status);
/* A delivery's transaction ended, by silence or otherwise. */
void messages_on_ended(struct edge_step *step, const struct transaction_event *event);

/* proxy.c */
void proxy_on_request(struct edge_step *step, const struct edge_request *request);
void proxy_on_ack(struct edge_step *step, const struct edge_request *request);

#endif
