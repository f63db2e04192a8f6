/* SPDX-License-Identifier: BSD-2-Clause */
/* What phones see: a registrar and a forking stateful proxy (RFC 3261 sections 10 and 16) whose
 * location service is the overlay. The edge sends SIP through the outbox; what it wants of the
 * location service it says in `struct edge_calls`, which the node carries out and answers. */
#ifndef EDGE_EDGE_H
#define EDGE_EDGE_H

#include "base/contact.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "base/peer.h"
#include "base/rng.h"
#include "base/user.h"
#include "sip/message.h"

struct edge_limits {
  uint32_t bindings_max;         /* of this home */
  uint32_t bindings_per_aor_max; /* at most 16 */
  uint32_t transactions_max;     /* server and client: half of it each */
  uint32_t forks_max;            /* branches of one request: 10, at most 16; more are left out */
  uint64_t bytes_max;            /* of stored messages */
  uint32_t subscriptions_max;    /* of presence; 0: it is none of this edge's business */
  uint32_t nonces_max;           /* of digest authentication, in use */
  uint32_t expires_min_s, expires_default_s, expires_max_s; /* 60, 3600, 86400 */
};

struct xml_reader; /* xml/body.h: belongs to the thread */

/* May somebody watch an address? */
enum event_decision { EVENT_ALLOW, EVENT_ASK, EVENT_BLOCK };

#define EDGE_DOMAINS_MAX 32u
#define EDGE_LISTEN_MAX 16u
#define EDGE_TRUSTED_MAX 16u
struct edge_config {
  struct edge_limits limits;
  struct slice domain[EDGE_DOMAINS_MAX]; /* none: every domain belongs to the overlay */
  unsigned domain_count;
  struct endpoint listen[EDGE_LISTEN_MAX]; /* what this peer answers to, for Route and R-URI */
  unsigned listen_count;
  struct endpoint advertise; /* written into Via, Record-Route and Path (transport varies) */
  struct prefix trusted[EDGE_TRUSTED_MAX]; /* sources that may have more than half of the table */
  unsigned trusted_count;
  const struct user_secret *user; /* who has a password; in any order */
  uint32_t user_count;
  unsigned algorithms; /* offered: 1 << DIGEST_..., at least one */
  bool digest_off;     /* --no-digest: REGISTER from anywhere, and no passwords */
  bool record_route;   /* on by default */
  bool redirect;       /* answer 302 with the contacts of an address in place of proxying */
  struct key id;       /* Peer-ID */
  bool alone;          /* presence is not told to other homes */
  enum event_decision watchers; /* of whom an address's owner has said nothing */
  const struct memory *memory;
  const struct crypto *crypto;
  struct xml_reader *xml;
  const uint8_t *seed; /* 16 bytes; keys the flow tokens */
  uint8_t ticket_tag;  /* of its OUT_SENDs: struct transactions_config */
};

enum edge_call_kind {
  EDGE_LOCATE,    /* contacts of aor; answer by edge_on_located */
  EDGE_BIND,      /* put the contact of aor; answer by edge_on_bound (user 0: not wanted) */
  EDGE_UNBIND,    /* remove it; the same */
  EDGE_KEEP,      /* put the record `value`; answer by edge_on_told */
  EDGE_FIND,      /* the values under the key `aor`; answer by edge_on_found */
  EDGE_TELL,      /* say `value` to the peer `to`; answer by edge_on_told */
  EDGE_MAIL,      /* a message for aor, who is away: answer by edge_on_kept */
  EDGE_ARRIVED,   /* a phone of aor registered, or asks what waits; not answered */
  EDGE_MISSED,    /* a message for aor may be on its way into its mailbox; not answered */
  EDGE_DELIVERED, /* status: what came of edge_deliver with that user; not answered */
};
/* A MESSAGE for somebody who is away, or was. */
struct edge_mail {
  struct slice from; /* canonical address */
  struct slice id;   /* 32 hexadecimal digits */
  struct slice type, body;
  msec_wall sent;
};
struct edge_call {
  enum edge_call_kind kind;
  uint64_t user;          /* the edge's, comes back */
  struct slice aor;       /* canonical "sip:bob@example.net"; texts lie in the outbox's bytes */
  struct contact contact; /* bind, unbind: Path already includes this peer's own if it needs one */
  uint32_t granted_s;     /* bind: granted Expires; keep, tell: the life of the record */
  /* keep, tell: aor is the text of the key. signer: the Address-of-Record whose key signs; empty:
   * the peer's own. value: the content of a record, nonce: its nonce */
  struct slice signer, nonce, value;
  struct peer to;
  bool watch;            /* tell: by event.watch, else event.notify */
  struct edge_mail mail; /* mail */
  uint16_t status;       /* delivered */
  bool fresh;            /* arrived: its contact was not in the overlay before */
};
/* Of one step; begins with count 0. What does not fit waits: the deadline is then due. Each call
 * with a user is answered once, in any order. */
#define EDGE_CALLS_MAX 40u
struct edge_calls {
  unsigned count;
  struct edge_call call[EDGE_CALLS_MAX];
};

struct edge;
struct edge *edge_new(const struct edge_config *config); /* NULL: no memory */
void edge_free(struct edge *edge);
/* Gives back what was not needed since the last time (pool_trim). */
void edge_trim(struct edge *edge);
/* Takes over domains, users, algorithms, digest_off and record_route. ERR_MEMORY: all stays as it
 * was. */
enum err edge_reconfigure(struct edge *edge, const struct edge_config *config) MUST_USE;

/* Any SIP message but LOCSER; `bytes` it was parsed from must live through the call, outside of the
 * outbox or in it. `flow` and `from`: where it came from; flow 0 for UDP. */
void edge_on_message(struct edge *edge, usec now, msec_wall wall, const struct sip_message *message,
                     uint32_t flow, const struct endpoint *from, struct edge_calls *calls,
                     struct outbox *out);
/* A STUN Binding request came from that UDP address, and was answered. */
void edge_on_keep_alive(struct edge *edge, usec now, const struct endpoint *from);
/* contacts are in no order; status OK with count 0: nobody is there (480); ERR_NOT_FOUND: nor does
 * anybody own the address (404, R-7.87); ERR_BUSY and others: cannot be known now (503 with
 * Retry-After). */
void edge_on_located(struct edge *edge, usec now, msec_wall wall, uint64_t user, enum err status,
                     const struct contact *contacts, unsigned count, struct edge_calls *calls,
                     struct outbox *out);
/* ERR_REFUSED: the overlay does not let this peer write that, and will not; why, for people, or
 * NULL, is what the phone is told. */
void edge_on_bound(struct edge *edge, usec now, msec_wall wall, uint64_t user, enum err status,
                   const char *why, struct edge_calls *calls, struct outbox *out);
/* Contents of the records under the key that somebody may have put who may. status as in
 * edge_on_located. */
void edge_on_found(struct edge *edge, usec now, msec_wall wall, uint64_t user, enum err status,
                   const struct slice *values, unsigned count, struct edge_calls *calls,
                   struct outbox *out);
/* The peer answered an EDGE_TELL, or the ring an EDGE_KEEP, with that status; 503: it did not. */
void edge_on_told(struct edge *edge, usec now, msec_wall wall, uint64_t user, uint16_t status,
                  struct edge_calls *calls, struct outbox *out);
/* Another home tells: `content` is that of a record under "presence:ADDRESS", `address`
 * "sip:ADDRESS", which its key has signed. Returns the status to answer. */
struct edge_event {
  bool watch;
  struct slice address, content;
  uint64_t version;
  msec_wall expires;
};
uint16_t edge_on_event(struct edge *edge, usec now, msec_wall wall, const struct edge_event *event,
                       struct edge_calls *calls, struct outbox *out);
/* 202: it is kept; else why not, with a static phrase or NULL. */
void edge_on_kept(struct edge *edge, usec now, msec_wall wall, uint64_t user, uint16_t status,
                  const char *why, struct edge_calls *calls, struct outbox *out);
/* Sends it to a phone of aor that is registered here; EDGE_DELIVERED follows. False: there is none,
 * or no room. */
bool edge_deliver(struct edge *edge, usec now, uint64_t user, struct slice aor,
                  const struct edge_mail *mail, struct outbox *out);
/* Sends it to aor, wherever his phones are, or has it kept (EDGE_MAIL). Nobody is told what came of
 * it. False: no room. */
bool edge_send(struct edge *edge, usec now, msec_wall wall, struct slice aor,
               const struct edge_mail *mail, struct edge_calls *calls, struct outbox *out);
/* So many messages wait for aor. */
void edge_on_waiting(struct edge *edge, usec now, msec_wall wall, struct slice aor, uint32_t count);
/* Is a phone of aor registered here? */
bool edge_has_phone(const struct edge *edge, usec now, struct slice aor);
/* The answer to an OUT_RESOLVE; the records are copied. */
void edge_on_resolved(struct edge *edge, usec now, msec_wall wall, uint64_t ticket, enum err status,
                      const struct dns_record *record, unsigned count, struct edge_calls *calls,
                      struct outbox *out);
/* A stream flow ended (its bindings go at once), or (flow 0) a send with this ticket could not be
 * delivered. */
void edge_on_flow_closed(struct edge *edge, usec now, msec_wall wall, uint32_t flow,
                         uint64_t ticket, struct edge_calls *calls, struct outbox *out);
void edge_on_tick(struct edge *edge, usec now, msec_wall wall, struct edge_calls *calls,
                  struct outbox *out);
usec edge_deadline(const struct edge *edge);

/* The address has a new key: its contacts are put anew. */
void edge_renew(struct edge *edge, usec now, msec_wall wall, struct slice aor,
                struct edge_calls *calls, struct outbox *out);
/* Does this domain (a host text, no port) belong to the overlay or to this peer? */
bool edge_serves(const struct edge *edge, struct slice host);

/* Bindings of phones whose home this is, in order of Address-of-Record: cursor 0 first. */
struct edge_binding {
  struct slice aor;
  struct contact contact;
  struct endpoint source; /* of the REGISTER */
  uint32_t flow;          /* 0: UDP */
};
bool edge_each_binding(const struct edge *edge, uint32_t *cursor, struct edge_binding *out);

/* Who watches an address here: cursor 0 first. The address is canonical. */
struct edge_watcher {
  struct slice aor;
  enum event_decision decision;
  struct endpoint at; /* where its SUBSCRIBE came from */
  usec expires_at;
};
bool edge_each_watcher(const struct edge *edge, struct slice aor, uint32_t *cursor,
                       struct edge_watcher *out);
/* What watchers of the address get here, in the outbox; empty: nothing is known of it. */
struct slice edge_presence(struct edge *edge, usec now, msec_wall wall, struct slice aor,
                           struct outbox *out);
/* Is that the To tag of a subscription to who watches the address, which only its owner has? */
bool edge_may_decide(const struct edge *edge, struct slice aor, struct slice tag);
/* The owner of an address says who may watch it; from now on, and of those who do. ERR_FULL,
 * ERR_MEMORY: nothing was changed. */
enum err edge_decide(struct edge *edge, usec now, msec_wall wall, struct slice aor,
                     struct slice watcher, enum event_decision decision, struct edge_calls *calls,
                     struct outbox *out) MUST_USE;

struct edge_stats {
  uint32_t bindings, transactions, calls; /* calls: INVITE contexts alive */
  uint32_t publications, subscriptions;
  uint64_t refused_full, refused_share; /* 503: no room for a transaction */
  uint64_t refused_guesses;             /* 503 */
};
struct edge_stats edge_stats(const struct edge *edge);

#endif
