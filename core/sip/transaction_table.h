/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to the transaction_*.c files: one transaction, and the table they share. */
#ifndef SIP_TRANSACTION_TABLE_H
#define SIP_TRANSACTION_TABLE_H

#include "sip/transaction.h"

enum transaction_state {
  STATE_TRYING, /* client INVITE: Calling */
  STATE_PROCEEDING,
  STATE_COMPLETED,
  STATE_CONFIRMED,
  STATE_ACCEPTED,
  STATE_FAILED, /* the transport did; the event waits for transactions_next */
};

struct transaction_id {
  uint64_t place; /* in the map */
  uint64_t check;
};

struct kept {
  char *at;
  uint32_t len;
};

struct transaction {
  struct transaction_id id;
  struct transaction_id ack_id; /* of the ACK to a refused RFC 2543 INVITE; place 0: none */
  struct timer timer;           /* the earlier of the next two; owner: packed handle */
  usec resend_at;               /* Timers A, E, G; server without an answer: its 100 */
  usec end_at;                  /* Timers B, D, F, H, I, J, K, L, M */
  usec interval;                /* between retransmissions */
  struct sip_target to;         /* of what this side sends */
  struct sip_target from;       /* servers: of the request */
  struct kept request, answer;
  uint64_t user;
  struct transaction_timing timing;
  enum sip_method method;
  enum transaction_state state;
  uint16_t share; /* servers: row of transactions.held, and 1; 0: not limited */
  bool client;
  bool quiet;     /* a CANCEL of the table's own: no events */
  bool cancelled; /* its user wants it cancelled */
};

enum transaction_role { ROLE_SERVER, ROLE_CLIENT };

/* Identity of a request as a server sees it; ACK of RFC 3261 is its INVITE's. */
struct transaction_id transaction_id_of_request(const struct transactions *t,
                                                const struct sip_message *msg,
                                                enum sip_method method, struct slice to_tag);
/* Identity of a request sent, from either side of it. */
struct transaction_id transaction_id_of_client(const struct transactions *t, struct slice branch,
                                               struct slice method);
bool transaction_has_cookie(struct slice branch);

struct transaction *transaction_find(const struct transactions *t, const struct transaction_id *id);
/* The live transaction of a handle, or NULL. */
struct transaction *transaction_server(const struct transactions *t, struct handle handle);
struct transaction *transaction_client(const struct transactions *t, struct handle handle);
struct handle transaction_handle(const struct transactions *t, const struct transaction *x);

/* A cleared transaction entered under id. ERR_FULL, ERR_MEMORY. */
enum err transaction_take(struct transactions *t, enum transaction_role role,
                          const struct transaction_id *id, struct transaction **out) MUST_USE;
void transaction_drop(struct transactions *t, struct transaction *x);

/* Copies bytes; what was kept there before is freed first. ERR_FULL, ERR_MEMORY. */
enum err transaction_keep(struct transactions *t, struct kept *kept, struct slice bytes) MUST_USE;
void transaction_forget(struct transactions *t, struct kept *kept);
static inline struct slice kept_slice(const struct kept *kept) {
  return slice_of(kept->at, kept->len);
}

/* Sends to x->to. Bytes that lie in the outbox are not copied. */
void transaction_output(const struct transactions *t, const struct transaction *x,
                        struct slice bytes, struct outbox *out);
/* Parses what was kept of a message that parsed when it came. */
bool transaction_parse(const struct transaction *x, struct slice bytes, struct sip_message *out);

/* Sets the timer after a change of resend_at or end_at. */
void transaction_arm(struct transactions *t, struct transaction *x);
static inline usec transaction_t1_64(const struct transaction *x) {
  return (usec)x->timing.t1_us * 64;
}
/* Made by the user itself: its answers go nowhere. */
static inline bool transaction_is_own(const struct transaction *x) {
  return x->to.flow == 0 && x->to.at.family == 0;
}
static inline bool transaction_is_stream(const struct transaction *x) {
  return endpoint_is_stream(&x->to.at);
}
struct transaction_event transaction_event(const struct transactions *t,
                                           enum transaction_event_kind kind,
                                           const struct transaction *x);

/* resend_at has come. */
void transaction_server_resend(struct transactions *t, usec now, struct transaction *x,
                               struct outbox *out);
void transaction_client_resend(struct transactions *t, usec now, struct transaction *x,
                               struct outbox *out);

#endif
