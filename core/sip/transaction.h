/* SPDX-License-Identifier: BSD-2-Clause */
/* Transactions: RFC 3261 section 17 with RFC 6026 (an INVITE that got a 2xx lives on as Accepted)
 * and RFC 4320 (non-INVITE: no 408, and 100 only when it helps)..
 *
 * The table absorbs retransmissions, retransmits over UDP, ACKs refusals of an INVITE and sends
 * CANCEL. It knows nothing of routing: its user says where requests go. Time is a parameter; what
 * is sent goes to the outbox.
 *
 * Handles name transactions. Each transaction ends with exactly one event of transactions_next:
 * TRANSACTION_TERMINATED, _TIMEOUT or _TRANSPORT_ERROR; after it the handle finds nothing.
 * Using a stale handle is harmless.
 *
 * Two waits have no timer here, as RFC 3261 has none, and are the user's to end: a client INVITE
 * that rings (Timer C, then transactions_cancel; ), and a server INVITE without a final
 * answer. */
#ifndef SIP_TRANSACTION_H
#define SIP_TRANSACTION_H

#include "base/endpoint.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/timers.h"
#include "base/usec.h"
#include "sip/message.h"

/* Where messages go to or came from. flow 0: no kept connection is meant. */
struct sip_target {
  uint32_t flow;
  struct endpoint at;
  bool limited; /* as a source: its address prefix has at most half of the server transactions */
};

/* Where the answer to `request` goes: over the same flow, else to the source address, with the
 * source port if there is an rport or the Via's own port (RFC 3261 18.2.2, RFC 3581, R-7.25). */
struct sip_target sip_reply_target(const struct sip_message *request,
                                   const struct sip_target *from);

/* RFC 3261 17.1.1.1. Timers B, D, F, H, J, L and M are 64 * T1. */
struct transaction_timing {
  uint32_t t1_us, t2_us, t4_us;
  uint32_t timeout_us; /* Timers B and F of a client transaction if not 0 */
};
#define TRANSACTION_TIMING_RFC3261 ((struct transaction_timing){500000, 4000000, 5000000, 0})

#define TRANSACTIONS_MAX ((uint32_t)1 << 24)
#define TRANSACTION_SOURCES 1024u /* rows of `held` */
#define TRANSACTION_SOURCE_BITS4 24u
#define TRANSACTION_SOURCE_BITS6 48u

struct transactions_config {
  const struct memory *memory;      /* must outlive the table */
  struct transaction_timing timing; /* t1_us == 0: as RFC 3261 */
  uint32_t servers_max;             /* when full: TRANSACTION_FULL */
  uint32_t clients_max;             /* when full: ERR_FULL */
  size_t bytes_max;                 /* of kept messages */
  uint8_t ticket_tag; /* 0 to 127: bits 24 to 30 of the tickets of its OUT_SENDs, for a node that
                         must tell them from others */
};

struct transactions {
  const struct memory *memory;
  struct transaction_timing timing;
  struct pool server, client;
  struct map map;
  uint32_t *held; /* owned: server transactions of limited sources, by a hash; NULL: none yet */
  struct timers timers;
  struct hash_key place_key, check_key;
  size_t bytes_max, bytes_used;
  uint64_t refused_full, refused_share; /* TRANSACTION_FULL: no room; a source has its half */
  uint64_t unkept; /* answers that could not be kept, so that they are sent only once */
  uint8_t ticket_tag;
};

enum transaction_event_kind {
  /* of transactions_on_request */
  TRANSACTION_NEW,       /* a new server transaction: handle. The user answers it */
  TRANSACTION_CANCEL,    /* the same for a CANCEL; invite, invite_user: the server transaction it
                            is about, none if there is none (then it is a 481) */
  TRANSACTION_ABSORBED,  /* a retransmission, or an ACK or answer that needs no more */
  TRANSACTION_STRAY_ACK, /* an ACK of no transaction, or of a 2xx: forward it */
  TRANSACTION_FULL,      /* no room for a new one, or its source has half of them: answer
                            503 without a transaction */
  /* of transactions_on_response */
  TRANSACTION_RESPONSE,       /* for handle, user; not TRANSACTION_ABSORBED */
  TRANSACTION_STRAY_RESPONSE, /* of no transaction. A 2xx of an INVITE may be forwarded by its Via;
                                 answers of other methods must not (RFC 4320 4.3) */
  /* of transactions_next */
  TRANSACTION_TIMEOUT,         /* client: no final answer. Server: never answered, or no ACK came */
  TRANSACTION_TRANSPORT_ERROR, /* client: not delivered; like a 503 (RFC 3261 16.9) */
  TRANSACTION_TERMINATED,      /* its time is over */
};
struct transaction_event {
  enum transaction_event_kind kind;
  bool client;
  enum sip_method method;
  struct handle handle;
  uint64_t user;
  struct handle invite;
  uint64_t invite_user;
};

/* Allocates nothing yet. The generator gives the secret of the table's hashes; it is not kept. */
void transactions_init(struct transactions *t, const struct transactions_config *config,
                       struct rng *rng);
void transactions_free(struct transactions *t);
/* Gives back what was not needed since the last time (pool_trim). */
void transactions_trim(struct transactions *t);

/* --- server transactions --- */

/* Takes any request. `msg` is borrowed for the call; a copy of its bytes is kept until the final
 * answer. A request is the same as an earlier one if its branch, sent-by and method are (RFC 3261
 * 17.2.3), or as RFC 2543 had it if the branch lacks the magic cookie. Identity is a keyed hash of
 * 128 bits. `from` with no flow and no address: the user's own request, which is answered to
 * nobody. */
struct transaction_event transactions_on_request(struct transactions *t, usec now,
                                                 const struct sip_message *msg,
                                                 const struct sip_target *from, struct outbox *out);

/* Sends a response and keeps what its repetition needs. False, and nothing is sent: the handle is
 * stale, an answer was final already (but further 2xx of an INVITE go out), or RFC 4320 forbids
 * it: a provisional answer other than 100 to a non-INVITE, a 100 to it over UDP (the table sends
 * that itself when it is time), a 408 to it (the transaction then ends unanswered).
 * The table sends 100 by itself: for INVITE after 200 ms without an answer, for others when
 * Timer E of the client has come to T2 (3.5 s). */
bool transactions_respond(struct transactions *t, usec now, struct handle server, uint16_t status,
                          struct slice response, struct outbox *out);

/* What is known of a live server transaction. */
struct transaction_view {
  enum sip_method method;
  struct slice request; /* bytes as received, until the final answer; then empty */
  struct sip_target from;
  uint64_t user;
};
bool transactions_view(const struct transactions *t, struct handle server,
                       struct transaction_view *out);
void transactions_set_user(struct transactions *t, struct handle server, uint64_t user);

/* --- client transactions --- */

struct transaction_request {
  struct sip_target to; /* an OUT_SEND's flow and peer; UDP is retransmitted */
  struct slice bytes;   /* the whole request; may lie in the outbox */
  struct slice branch;  /* of its topmost Via; unguessable, used once for each method */
  uint64_t user;
  const struct transaction_timing *timing; /* NULL: the table's */
};
/* Starts a client transaction and sends its request. ERR_FULL, ERR_MEMORY: nothing was sent.
 * ERR_UNSUPPORTED: an ACK has no transaction, send it directly. */
enum err transactions_send(struct transactions *t, usec now,
                           const struct transaction_request *request, struct outbox *out,
                           struct handle *handle) MUST_USE;

/* Cancels an INVITE (RFC 3261 9.1): its CANCEL leaves now if a provisional answer came, else with
 * the first one. The INVITE still ends by a response (487, usually) or, 64 * T1 after the
 * CANCEL left, by TRANSACTION_TIMEOUT. The CANCEL's own transaction gives no events. False: not
 * an INVITE under way. */
bool transactions_cancel(struct transactions *t, usec now, struct handle client,
                         struct outbox *out);

struct transaction_event transactions_on_response(struct transactions *t, usec now,
                                                  const struct sip_message *msg,
                                                  struct outbox *out);

/* --- time and transport --- */

/* Does the work that is due and tells one thing at a time: call until false. Stops early when the
 * outbox has no room for another message; the deadline then stays due. */
bool transactions_next(struct transactions *t, usec now, struct transaction_event *event,
                       struct outbox *out);
usec transactions_deadline(const struct transactions *t);

/* An OUT_SEND with this ticket was not delivered. False: not a ticket of a live transaction. The
 * event comes by transactions_next. */
bool transactions_on_undelivered(struct transactions *t, usec now, uint64_t ticket);
/* The flow is gone: client transactions that wait for an answer on it fail (events by
 * transactions_next); answers of server transactions go to the address instead. Visits every
 * transaction. */
void transactions_on_flow_closed(struct transactions *t, usec now, uint32_t flow);

#endif
