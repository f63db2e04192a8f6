/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this folder share. A walk of one `get`: node.c (node_step) -> receive.c
 * (on_request, then the processing table) -> forward.c at a hop, or execute.c at the responsible
 * peer -> reply.c. What this peer wants itself goes errand.c -> forward.c, and its answer comes
 * back receive.c -> errand.c. */
#ifndef NODE_INTERNAL_H
#define NODE_INTERNAL_H

#include "base/hash.h"
#include "base/rng.h"
#include "base/timers.h"
#include "dht/dht.h"
#include "edge/edge.h"
#include "locser/hops.h"
#include "locser/links.h"
#include "locser/target.h"
#include "node/node.h"
#include "node/sources.h"
#include "overlay/overlay.h"
#include "sip/message.h"
#include "usage/write_policy.h"
#include "xml/body.h"

#define NODE_NAME_BYTES_MAX 64u
#define LOOKUP_DEADLINE_MS 4000u /* assumed where a request says nothing */
#define ANSWER_RECORDS_MAX 32u   /* */
#define ANSWER_BYTES_MAX 49152u
#define UDP_ANSWER_BYTES_MAX 8192u                                  /* */
#define UDP_ANSWER_RECORDS_BYTES_MAX (UDP_ANSWER_BYTES_MAX - 1024u) /* the rest is around them */
#define NEXT_HOPS_TOLD 8u                                           /* */
#define REPLY_ASK_STREAM "Ask Over TCP" /* reason of a 413 instead of a long 200 */
#define CLIENT_TIMEOUT SEC(5)           /* an errand for somebody without Overlay-Key */

/* What a 64-bit `user` or ticket of ours is about: tag in the top byte, item in the next (which
 * record of many), then 24 bits of generation and 24 of index, or a module's own 32-bit ticket.
 * Bit 63 is set, so that tickets of the edge's transactions, which share the outbox, differ. */
enum tag {
  TAG_HOP = 0x80,
  TAG_OPERATION,
  TAG_ERRAND,
  TAG_OVERLAY, /* direct call of the overlay */
  TAG_PUSH,
  TAG_PULL,
  TAG_SYNC,
  TAG_STORE,
  TAG_LOOK,
  TAG_PIN,
  TAG_LETTER,
  TAG_MAILBOX,
  TAG_LATE,
  TAG_NONE, /* a call whose answer nobody wants */
};
#define TICKET_BITS 24u
#define TICKET_MASK 0xffffffu
static inline uint64_t tag_put(enum tag tag, uint32_t ticket) {
  return (uint64_t)tag << 56 | ticket;
}
static inline uint64_t tag_handle(enum tag tag, struct handle h, unsigned item) {
  return (uint64_t)tag << 56 | (uint64_t)(item & 0xff) << 48 |
         (uint64_t)(h.generation & TICKET_MASK) << TICKET_BITS | (h.index & TICKET_MASK);
}
static inline enum tag tag_of(uint64_t ticket) { return (enum tag)(ticket >> 56); }
static inline unsigned item_of(uint64_t ticket) { return (unsigned)(ticket >> 48 & 0xff); }
/* The object a ticket names, or NULL if it is gone. */
void *ticket_object(const struct pool *pool, uint64_t ticket);

/* What is known of the key of an address: from its `certificate:` record. */
struct pin_facts {
  struct write_pin pin;
  msec_wall expires; /* of the record */
  bool complete;     /* it has both certificates */
};
/* One address whose pin is asked for, or was not long ago. Those who wait are told in steps of
 * their own, so that no step is long (pins.c). */
enum pin_stage { PIN_ASKING, PIN_TELLING, PIN_REMEMBERED };
struct pin {
  struct timer timer; /* telling: at once */
  struct key key;     /* of the `certificate:` record */
  enum pin_stage stage;
  struct pin_facts facts;
  usec until;            /* remembered */
  uint32_t first_waiter; /* index in `waiters` plus 1; 0: nobody */
};
struct pin_waiter {
  uint64_t ticket; /* of an operation's item, or an errand */
  uint32_t next;
};
struct pins {
  struct pool pool, waiters;
  struct map by_key;
  uint32_t asking, hand; /* hand: where the search for one to forget goes on */
};
#define PINS_MAX 4096u
#define PINS_ASKING_MAX 256u
#define PIN_WAITERS_MAX 8192u
#define PIN_REMEMBERED_US SEC(300) /* a pin that was found; none is not remembered */
#define PIN_SURE_US SEC(5) /* it is not asked for again so soon, whoever writes or is read */
#define PIN_NEWS_GRACE_US                                                 \
  SEC(1) /* for an older pin that was on its way when a newer one was put \
          */

/* What the policy asks about a record, read with it. */
struct claim {
  char *key_text; /* owned, canonical */
  size_t key_len;
  struct key signer;
  msec_wall since;   /* of a certificate; 0: none, or not in its layout */
  struct key before; /* the key that named this one; zero: none */
  msec_wall named;
};
/* What verification said of a record's signer. */
struct verified {
  enum err status;
  bool issued;
  struct slice names;
};

/* A request executed here that cannot be answered at once: it waits for verification, the store,
 * copies, or other peers. Or the records of a pull's answer on their way into the store.
 */
enum operation_kind {
  OPERATION_PUT,    /* put-auth, remove-auth */
  OPERATION_FIND,   /* get in a range that is still FETCHING */
  OPERATION_ACCEPT, /* a push from another peer */
  OPERATION_PULLED, /* the answer to our own pull */
  OPERATION_CLIENT, /* without Overlay-Key: an errand is under way */
};
struct reply_to {
  const struct sip_message *request; /* while it is being received; else NULL and head is set */
  struct slice head;                 /* a response's lines after its status line */
  uint32_t flow;
  struct endpoint from;
  uint64_t errand;     /* != 0: the request is our own, nothing is sent */
  uint32_t answer_max; /* bytes of an answer; 0: as many as it takes */
  bool names_self;     /* the answer says who made it */
};
struct operation {
  struct timer timer; /* gives up at the deadline */
  enum operation_kind kind;
  struct reply_to to;
  char *bytes; /* head, then body; owned */
  size_t bytes_len;
  struct slice body;
  struct key key;
  enum xml_method method;
  bool has_owner;
  struct key owner;
  unsigned copies_wanted;
  struct record *records; /* owned: what was read from the body; bytes lie in `bytes` or `extra` */
  struct claim *claims;   /* owned, one for each record; NULL: not read yet */
  unsigned record_count;
  char *extra; /* owned: a record that came escaped inside a string */
  size_t extra_len;
  unsigned pending, failed; /* records on their way through verification and store */
  uint32_t pull_ticket;
  bool incomplete, takes_writes, more, stray;
  uint16_t source; /* whose share of the table it is in */
  struct record_id after;
  bool asked_first; /* a search for what is held of the key went before the write */
  bool found;       /* a search is over, but its answer has to wait for the next step */
  enum err found_status;
};

/* Something this peer wants from the ring, for its edge, a command, or a client. */
enum errand_kind {
  ERRAND_GET,
  ERRAND_PUT,
  ERRAND_REMOVE,
  ERRAND_GET_IMMUT,
  ERRAND_PUT_IMMUT,
  ERRAND_CERTIFY, /* puts the certificates of an address (certify.c) */
  ERRAND_STORE,   /* puts a value (grant.c), which is in contact.uri: under `private:`, or with its
                     nonce in contact.instance and who signs in contact.path[0] */
  ERRAND_TELL,    /* the same, but told to the peer `to` by event.watch or event.notify */
  ERRAND_RECORD,  /* puts or removes a record that is there but for its signature: contact.uri, by
                     the key of the address in contact.instance */
  ERRAND_ROUTE,
  ERRAND_TRACE
};
enum errand_for {
  FOR_EDGE_LOCATE,
  FOR_EDGE_BIND,
  FOR_EDGE_FIND,
  FOR_EDGE_TELL,
  FOR_COMMAND,
  FOR_CLIENT,
  FOR_PIN,   /* of that pin: a get */
  FOR_GRANT, /* a get for a put that has not the address's key */
  FOR_LETTER,
  FOR_MAILBOX, /* of that one (mail.h) */
  FOR_ERRAND,  /* a put that waits for the certificates to be there */
  FOR_NOBODY
};
enum errand_stage {
  STAGE_READING,    /* a get is under way; also before a removal, or after a 412 */
  STAGE_VERIFYING,  /* the records of its answer */
  STAGE_PINNING,    /* who may write, or may have written, is being asked */
  STAGE_OWNING,     /* nobody is there: has the address an owner? */
  STAGE_CERTIFYING, /* a put: its certificates are put by another errand */
  STAGE_NAMING,     /* the key and certificates of an address are being fetched from the host */
  STAGE_ADOPTING,   /* a put: the address's key is looked for under `private:` */
  STAGE_SIGNING,
  STAGE_WRITING,
  STAGE_LOOKING, /* again, by itself: look.c */
  STAGE_ROUTING, /* overlay.route, or one hop of overlay.trace */
};
#define ERRAND_TRIES_MAX 16u
#define ERRAND_AVOID_MAX 4u
#define TRACE_HOPS_MAX 32u
struct trace_hop {
  struct peer peer;
  usec took_us;
};
struct look; /* look.h */
struct errand_record {
  struct key owner;
  uint32_t len; /* bytes in the body, where it is held */
};
struct errand {
  struct timer timer; /* the next try, or giving up */
  enum errand_kind kind;
  enum errand_for for_whom;
  enum errand_stage stage;
  enum node_command_kind command;
  uint64_t user; /* the edge's user, the command's ticket, or the client's operation */
  usec started_at, deadline, asked_at;
  struct key key;
  unsigned tries;     /* the last one's number is in the user of its hop */
  unsigned first_try; /* of the question that is being asked now */
  unsigned silences;
  unsigned slow_tries; /* of these, by a way that took too long */
  bool waiting;        /* for the timer, before the next try */
  bool learnt_version;
  bool looked;                        /* a second time */
  struct look *look;                  /* owned; while that is under way */
  bool recalled;                      /* the pin was remembered, not asked for */
  bool pinned_again;                  /* the pin was lost, or old, and is asked for once more */
  bool unowned;                       /* nobody is there, and the address is nobody's */
  struct key pinned;                  /* open overlay: the address's key; zero: not known */
  struct key holder;                  /* put: whose certificates the address has; zero: none */
  struct key signer;                  /* of the record last signed */
  bool asked_for_grant;               /* once */
  msec_wall since;                    /* certify: of the key; 0: now */
  struct pin_facts facts;             /* certify: what the ring has already */
  struct key avoid[ERRAND_AVOID_MAX]; /* peers that were silent */
  unsigned avoid_count;
  char *text; /* owned: key text and the strings of contact, one after the other */
  size_t text_len;
  struct slice key_text;
  struct contact contact;
  uint32_t granted_s;
  struct peer to;         /* tell */
  bool watch;             /* tell: by event.watch */
  unsigned copies;        /* wanted of a put; 0: what is usual */
  struct record_id after; /* get: what follows that */
  bool has_after;
  uint64_t version; /* of the record last signed, or to be outdone */
  struct key owner; /* remove: of the record to be removed */
  msec_wall floor;
  char *body; /* owned: the call to send, or the answer being verified */
  size_t body_len;
  struct errand_record *record; /* owned: of the answer */
  unsigned record_count;
  bool held;        /* the body is records of this peer's own, one after the other */
  uint64_t refused; /* bit per record of the answer: its signature, or who signed, was refused */
  bool unsure;      /* one could not be verified now */
  unsigned pending;
  struct trace_hop *hops; /* owned: TRACE_HOPS_MAX of a trace */
  unsigned hop_count;
  struct peer asked; /* trace: the hop being asked */
};

/* What is kept of node_config: the edge has its domains and addresses. */
struct node_settings {
  struct key id;
  struct endpoint advertise;
  enum transport peer_transport;
  struct slice overlay;
  struct endpoint *join; /* owned */
  unsigned join_count;
  struct prefix *trusted; /* owned */
  unsigned trusted_count;
  usec create_after_us, lookup_timeout_us;
  unsigned replicas;
  enum node_wary wary;
  enum write_mode policy;
  const struct memory *memory;
  const struct crypto *crypto;
  struct xml_reader *xml;
};

/* What the log knows of stats.limit, and since when. */
struct limits_told {
  uint64_t count[NODE_LIMIT_COUNT];
  usec at[NODE_LIMIT_COUNT];
};

struct node {
  struct node_settings config;
  char overlay_name[NODE_NAME_BYTES_MAX];
  struct rng rng;
  struct hash_key hash;
  usec wall_seen_at;
  msec_wall wall_seen;
  struct overlay *overlay;
  struct dht *dht;
  struct edge *edge;
  uint64_t ring_generation;
  usec trim_at;
  usec create_at; /* begin a ring then, if still outside; USEC_NEVER */
  struct links links;
  struct hops hops;
  struct pool operations;
  struct pool errands;
  struct pins pins;
  struct pool letters, mailboxes, lates; /* mail.h */
  uint64_t letter_order, letter_version; /* of the last one */
  usec *letter_rows;                     /* LETTER_ROWS, owned; NULL: not needed yet */
  struct timers timers;
  struct sources sources;
  struct node_stats stats;
  struct limits_told *told; /* owned; NULL: nothing was told yet */
  struct peer self;
  char self_host[64]; /* advertised HOST:PORT */
  uint8_t self_host_len;
  bool leaving;
  uint64_t leave_ticket;
};

/* One step's surroundings, handed down instead of four parameters. */
struct step {
  struct node *node;
  usec now;
  struct outbox *out;
  const struct key *proven; /* of the message being received; NULL: nobody's key was shown */
  struct source source;     /* of the LOCSER request being received, if it is measured */
};

static inline msec_wall node_wall(const struct node *node, usec now) {
  return node->wall_seen + (now - node->wall_seen_at) / 1000;
}
/* Requests in flight, per thousand of the limit. */
static inline uint32_t node_load_permille(const struct node *node) {
  return (uint32_t)((uint64_t)node->hops.pool.used * 1000 / node->hops.pool.limit);
}
/* 1 to 4 s, drawn at random. */
uint64_t node_retry_after(struct node *node);

/* ---- limits.c: limits against abuse ---- */
/* Is it of those that are believed without proof? */
bool limits_is_local(const struct node *node, const struct endpoint *at);
/* May it be sent more than it sent? */
bool limits_is_proven(const struct node *node, const struct endpoint *at);
/* Whose request is being received. Row 0: a neighbour's, or another that is not measured. */
struct source limits_source(const struct step *s, const struct endpoint *from);
/* Counts it, and tells the log now and then. */
void limits_note(struct step *s, enum node_limit limit, const struct endpoint *from);
/* False, and noted: the source of the request being received had as much as it may. */
bool limits_take(struct step *s, enum source_meter meter, size_t amount,
                 const struct endpoint *from);
/* False, and noted: the table is full, or the source holds its half. Else sources_release later. */
bool limits_hold(struct step *s, enum source_table table, const struct pool *pool, uint16_t row,
                 const struct endpoint *from);
/* A request over UDP that is no LOCSER; false, and noted: to be dropped. */
bool limits_datagram(struct step *s, const struct endpoint *from);

/* ---- receive.c: messages in, the processing table of R-2.x ---- */
void receive_message(struct step *s, const struct input *input);

/* ---- forward.c: requests on their way ---- */
/* hint: the peer that is believed responsible, or NULL: our own routing says. */
void forward_request(struct step *s, const struct sip_message *request,
                     const struct locser_target *target, const struct peer *hint, uint32_t flow,
                     const struct endpoint *from);
void forward_response(struct step *s, const struct sip_message *response);
/* Do connections between peers prove their Peer-IDs? */
static inline bool links_are_proven(const struct node *node) {
  return node->config.peer_transport == TRANSPORT_TLS;
}
/* Is this the Peer-ID that the sender of the message being received has proven? True as well where
 * nothing is ever proven. */
static inline bool sender_is(const struct step *s, const struct key *id) {
  return !links_are_proven(s->node) || (s->proven != NULL && key_equal(s->proven, id));
}
void forward_on_timer(struct step *s);
/* A send on this ticket could not be delivered. */
void forward_on_undelivered(struct step *s, uint64_t ticket);
/* A link was closed: what waits for the peer at that address, or with that Peer-ID, goes elsewhere,
 * as outbox room allows. */
void forward_on_link_closed(struct step *s, const struct endpoint *at, const struct key *proven);
/* Sends a request of our own. Returns false when there is no room (the caller reports failure). */
struct own_request {
  enum hop_kind kind;
  uint64_t user;
  const struct peer *to;
  struct locser_target target;
  struct slice uri; /* Request-URI; empty: sip:PEER-ID@HOST:PORT of `to` */
  struct slice body;
  const char *method; /* HOP_ERRAND: of the body, for the trace */
  usec deadline;
  bool redirect; /* Request-Disposition: redirect */
};
bool forward_own(struct step *s, const struct own_request *own);
/* Shared with receive.c: next hops without those the request has been through. */
/* the next hop, and whom else to ask. */
unsigned forward_around(struct step *s, const struct key *key, struct peer *out, unsigned max);
unsigned forward_next_hops(struct step *s, const struct key *key, const struct key *avoid,
                           unsigned avoid_count, struct peer *out, unsigned max, bool *final);

/* ---- reply.c: answers ---- */
struct reply_to reply_to_sender(const struct node *node, const struct sip_message *request,
                                uint32_t flow, const struct endpoint *from);
/* A final answer with a fault as body. lines: extra whole header lines. */
void reply_fault(struct step *s, const struct reply_to *to, uint16_t status, const char *text,
                 struct slice lines);
/* The same with Retry-After. */
void reply_later(struct step *s, const struct reply_to *to, const char *text);
/* A final answer with this body, whatever the status. */
void reply_body(struct step *s, const struct reply_to *to, uint16_t status, struct slice lines,
                struct slice body);
/* Any response to a request that is no LOCSER, or too broken for a body. */
void reply_plain(struct step *s, const struct sip_message *request, uint32_t flow,
                 const struct endpoint *from, uint16_t status, const char *reason,
                 struct slice lines);
/* The To tag of our answers: derived from the branch, so that a request sent again draws the same
 * one and none need be remembered. */
void reply_put_to_tag(struct buf *out, const struct node *node, const struct sip_message *request);
/* The Contact line of a 302: whom to ask. */
void reply_put_contact(struct buf *out, const struct peer *peer);
/* 100, if it came by a stream and is not our own. */
void reply_trying(struct step *s, const struct reply_to *to);

/* ---- execute.c: methods at the peer that is responsible, or named ---- */
void execute_request(struct step *s, const struct reply_to *to, const struct locser_target *target,
                     struct slice text);
/* Without Overlay-Key. */
void execute_client(struct step *s, const struct reply_to *to, const struct sip_message *request);
/* Is the body a get? */
bool execute_is_read(struct step *s, struct slice text);

/* ---- operation.c: requests that wait ---- */
struct operation *operation_open(struct step *s, enum operation_kind kind,
                                 const struct reply_to *to, struct slice body, usec deadline);
void operation_close(struct node *node, struct operation *op);
uint64_t operation_ticket(const struct node *node, const struct operation *op);
struct operation *operation_of(const struct node *node, uint64_t ticket);
/* Answers and ends it; operation_fault with a text for people. */
void operation_finish(struct step *s, struct operation *op, uint16_t status, const char *text,
                      struct slice lines, struct slice body);
void operation_fault(struct step *s, struct operation *op, uint16_t status, const char *text);
/* The records of a body that was read from `text`, of which the operation has a copy; the reader
 * has not been used since. False: answered and closed, but for a pull, which is only closed. */
bool operation_take_records(struct step *s, struct operation *op, const struct xml_body *body,
                            struct slice text);
void operation_verify_records(struct step *s, struct operation *op);
/* What one of them wants to write, and under which key; borrowed from the operation. */
struct write_request operation_request(const struct operation *op, unsigned item);
struct slice operation_claimed_key(const struct claim *claim);
/* put-auth or remove-auth; body and text as above. */
void operation_put(struct step *s, struct operation *op, const struct xml_body *body,
                   struct slice text);
void operation_find(struct step *s, struct operation *op);
void operation_on_verified(struct step *s, struct operation *op, unsigned item,
                           const struct verified *verified);
/* The pin that a write waited for. */
void operation_on_pin(struct step *s, struct operation *op, unsigned item,
                      const struct pin_facts *facts);
void operation_on_done(struct step *s, struct operation *op, enum err status, unsigned copies);
void operation_on_found(struct step *s, struct operation *op, enum err status);
void operation_on_timer(struct step *s, struct operation *op);
/* get: answers with what is held under the key; false if there is nothing. */
bool operation_answer_records(struct step *s, const struct reply_to *to, const struct key *key,
                              const struct key *owner, const struct record_id *after);

/* The body of an answer with all that is held under the key, removals too, whoever is responsible,
 * and this peer's neighbours. */
struct slice operation_held_records(struct step *s, const struct key *key);

/* ---- copy.c: records pushed to us, and pulled by us ---- */
/* A push; body and text as for operation_take_records. */
void copy_accept(struct step *s, struct operation *op, const struct xml_body *body,
                 struct slice text);
/* The answer to a pull of ours. */
void copy_pulled(struct step *s, uint32_t pull_ticket, uint16_t status, struct slice text);
/* What operation.c passes on for operations of these two kinds. */
void copy_on_verified(struct step *s, struct operation *op, unsigned item,
                      const struct verified *verified);
void copy_on_pin(struct step *s, struct operation *op, unsigned item,
                 const struct pin_facts *facts);
void copy_on_done(struct step *s, struct operation *op, enum err status);
void copy_on_timer(struct step *s, struct operation *op);

/* ---- grant.c: a user's keys from other peers, and to them (R-6.9) ---- */
/* A put was refused, since the address has another key: looks whether that key was granted to this
 * peer, and goes on if so. False: no use to look. */
bool grant_look(struct step *s, struct errand *put);
void grant_on_answer(struct step *s, struct errand *put, uint16_t status, struct slice body,
                     uint64_t refused);
void grant_on_opened(struct step *s, struct errand *put, enum err status);
/* ERRAND_STORE: signs the record. */
void grant_sign(struct step *s, struct errand *store);
void grant_tell_records(struct step *s, const struct errand *get, struct slice text);
/* Puts this peer's own certificates. False: no room. */
bool grant_publish(struct step *s, enum errand_for for_whom, uint64_t user);

/* ---- errand.c: what this peer wants; errand_result.c: what it got ---- */
/* key_text, and contact if not NULL, are copied. NULL: no room, or not a key. */
struct errand *errand_open(struct step *s, enum errand_kind kind, enum errand_for for_whom,
                           uint64_t user, struct slice key_text, const struct contact *contact);
/* Begins; the errand may be over when this returns. errand_write: with this call, written by the
 * caller. */
void errand_write(struct step *s, struct errand *errand, struct slice call);
void errand_start(struct step *s, struct errand *errand);
void errand_close(struct node *node, struct errand *errand);
uint64_t errand_ticket(const struct node *node, const struct errand *errand);
struct errand *errand_of(const struct node *node, uint64_t ticket);
/* Is this answer to that try still of use? A 200 is, however late, while the same is being asked.
 */
bool errand_wants(const struct errand *errand, unsigned try, uint16_t status);
/* contact: of a 302, or NULL. */
void errand_on_answer(struct step *s, struct errand *errand, uint16_t status, struct slice body,
                      const struct peer *contact);
void errand_on_silence(struct step *s, struct errand *errand, const struct peer *silent);
void errand_on_signed(struct step *s, struct errand *errand, enum err status, struct slice record);
void errand_on_verified(struct step *s, struct errand *errand, unsigned item,
                        const struct verified *verified);
void errand_on_pin(struct step *s, struct errand *errand, const struct pin_facts *facts);
/* user, signs, before: what IN_USER said; user NULL: it failed. */
void errand_on_user(struct step *s, struct errand *errand, const struct record *user,
                    struct slice signs, struct slice before);
/* The certificates that a put waited for are there (200), or not. */
void errand_on_certified(struct step *s, struct errand *errand, uint16_t status, const char *text);
/* The canonical text of its key; out has room for XML_CANONICAL_BYTES_MAX. False: it ended. */
bool errand_put_key(struct step *s, struct errand *errand, struct buf *out);
void errand_fail(struct step *s, struct errand *errand, uint16_t status, const char *text);
/* What a put signs, for that address. */
void errand_sign(struct step *s, struct errand *errand, struct slice address,
                 struct slice unsigned_record);
/* Puts, or removes, a record under `offline:` of an address, that is unsigned yet, signed by the
 * key of `signer`. False: no room. */
bool errand_put_record(struct step *s, enum errand_for for_whom, uint64_t user,
                       struct slice address, struct slice signer, struct slice unsigned_record,
                       unsigned copies);
uint64_t errand_next_version(const struct step *s, const struct errand *errand);
void errand_on_timer(struct step *s, struct errand *errand);
/* What came of a second look: records in `body` that need no more verification, or the peer that
 * is responsible; 404, 503. */
void errand_looked(struct step *s, struct errand *errand, uint16_t status, struct slice body,
                   const struct peer *responsible);
/* A put: signs the contact, by whatever key the host has now. */
void errand_sign_contact(struct step *s, struct errand *errand);
/* Hands the outcome to whoever wanted it, and ends the errand. text: for people, when status is
 * not 200. body: the answer. */
void errand_finish(struct step *s, struct errand *errand, uint16_t status, const char *text,
                   struct slice body);
/* The immutable value in an answer: its record, or false if it is another's or was refused. */
bool errand_immutable(struct step *s, const struct errand *errand, struct slice text,
                      struct xml_record *out);

/* ---- certify.c: who the users of this peer are, told to the ring (R-6.34) ---- */
/* Puts certificates; since 0: the key is new. for_whom FOR_ERRAND: user is that errand. False: no
 * room. */
bool certify_begin(struct step *s, struct slice address, msec_wall since, enum errand_for for_whom,
                   uint64_t user);
/* The first stages of such an errand; what follows is a put like any other. */
void certify_on_pin(struct step *s, struct errand *errand, const struct pin_facts *facts);
void certify_name(struct step *s, struct errand *errand);
/* It was put: what the ring has now. */
void certify_done(struct step *s, struct errand *errand);
void certify_on_user(struct step *s, struct errand *errand, const struct record *user,
                     struct slice signs, struct slice before);
/* Put again what is about to lapse, or lacks the second certificate? */
bool certify_is_due(const struct step *s, const struct pin_facts *facts);

/* ---- pins.c: which key an address has (R-6.35, R-6.36) ---- */
void pins_init(struct node *node, uint32_t operations_max);
void pins_free(struct node *node);
void pins_trim(struct node *node);
/* True: *out says what is known, or that it cannot be known now. False: the waiter (an operation's
 * item or an errand; 0: nobody) is told in a later step. */
bool pins_ask(struct step *s, struct slice address, uint64_t waiter, struct pin_facts *out);
/* What is remembered; false: nothing. */
bool pins_recall(const struct step *s, struct slice address, struct pin_facts *out);
/* Forgets what is remembered, unless it is quite fresh: a record was met whose signer is not the
 * pinned key, which may have named another since. True: ask again. */
bool pins_doubt(struct step *s, struct slice address);
/* Was it learnt so recently that the key is this one that others may be sure of another still? */
bool pins_is_news(const struct step *s, struct slice address, const struct key *owner);
/* The winner of what is held here under the key of a `certificate:` record. */
void pins_held(const struct step *s, const struct key *key, struct pin_facts *out);
/* A `certificate:` record was put, by this peer or at it; or what is remembered proved wrong
 * (NULL).
 */
void pins_learn(struct step *s, struct slice address, const struct pin_facts *facts);
/* The answer to its errand; status 404: there is none. */
void pins_on_answer(struct step *s, uint64_t ticket, struct slice key_text, uint16_t status,
                    struct slice body, uint64_t refused);
void pins_on_timer(struct step *s, uint64_t ticket);
/* Drops what others wrote under the address's own keys before it was known whose it is. */
void pins_drop_others(struct step *s, struct slice address, const struct key *owner);
/* A record was refused by the policy: counted, and told. */
void pins_refused(struct step *s, const struct key *key, struct slice key_text, const char *why);
/* The signer of a record, from what verification said. */
void pins_signer(const struct key *key, const struct verified *verified, struct write_signer *out);

/* ---- presence.c: what homes tell each other (R-12.14 to) ---- */
void presence_begin(struct step *s, const struct edge_call *call);
void presence_found(struct step *s, const struct errand *errand, uint16_t status,
                    struct slice body);
void presence_told(struct step *s, uint64_t user, uint16_t status);
/* event.watch, event.notify: like a write, it waits until it is known who signed. */
void presence_execute(struct step *s, const struct reply_to *to, const struct xml_body *body,
                      struct slice text, const struct locser_target *target);
/* It may have been written by who signed: returns the status to answer. */
uint16_t presence_take(struct step *s, const struct operation *op, struct slice key_text);

/* ---- command.c ---- */
void command_run(struct step *s, uint64_t ticket, const struct node_command *command);
void command_reply_text(struct step *s, uint64_t ticket, enum node_command_kind kind, uint16_t code,
                        const char *text);
void command_reply_rows(struct step *s, uint64_t ticket, enum node_command_kind kind,
                        const struct node_row *rows, unsigned count);
void command_left(struct step *s, bool handed_over);

/* ---- pump.c: carries out what overlay, dht and edge ask for ---- */
void pump_overlay(struct step *s, const struct overlay_calls *calls);
void pump_dht(struct step *s, const struct dht_effects *fx);
void pump_edge(struct step *s, const struct edge_calls *calls);
/* The answer to a direct call: status 0 is silence. contacts: of a 302, the best first. */
void pump_on_answer(struct step *s, uint64_t user, uint16_t status, struct slice body,
                    const struct peer *contacts, unsigned count);
void pump_ring_changed(struct step *s);

#endif
