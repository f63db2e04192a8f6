/* SPDX-License-Identifier: BSD-2-Clause */
/* Presence at the edge: PUBLISH (RFC 3903), SUBSCRIBE and NOTIFY (RFC 6665, 3856), who may
 * watch (docs/spec/12-presence.md). An address that is told of or watched here is a presentity; it
 * has the publications of its devices, the subscriptions of phones of this peer, and the rules of
 * its owner. Indexes of pools are kept plus 1; 0 is none. */
#ifndef EDGE_EVENTS_H
#define EDGE_EVENTS_H

#include "edge/presence.h"
#include "edge/state.h"

#define EVENT_DOCUMENT_MAX 11000u /* of a presentity: it fits a record */
#define EVENT_PUBLICATION_MAX 4096u
#define EVENT_PUBLICATIONS_MAX 8u /* of one address; the one not touched longest gives way */
/* full tables: 503 */
#define EVENT_WATCHED_MAX 256u        /* subscriptions of one watcher: 403 */
#define EVENT_WATCHERS_MAX 4096u      /* subscriptions to one address: 403 */
#define EVENT_RULES_MAX 256u          /* of one address */
#define EVENT_EXPIRES_MIN_S 60u       /* shorter: 423 */
#define EVENT_EXPIRES_DEFAULT_S 3600u /* and the longest that is granted */
#define EVENT_WAITING_EXPIRES_S 600u  /* of EVENT_WAITING: each refresh looks into the mailbox */
#define EVENT_PACE_COUNT 8u           /* NOTIFYs at once, then */
#define EVENT_PACE_US MSEC(8)         /* so many after so long: 1000 in a second */
/* In the `user` of the client transactions of NOTIFYs: those of forks have it not. */
#define EVENT_USER ((uint64_t)1 << 31)

enum event_package {
  EVENT_PRESENCE,
  EVENT_WINFO,   /* who watches (RFC 3857) */
  EVENT_WAITING, /* how many messages wait (RFC 3842) */
};

struct publication {
  struct timer timer; /* its end */
  uint32_t presentity, next;
  uint64_t tag;  /* SIP-ETag */
  uint32_t mark; /* of its ids */
  usec touched_at;
  struct slice body; /* owned */
};

struct rule {
  uint32_t next;
  enum event_decision decision;
  struct slice watcher; /* owned */
};

/* Another peer that tells the presence of an address. */
#define EVENT_HOMES_MAX 4u
struct home {
  struct peer peer;      /* none: no home */
  struct slice document; /* owned */
  uint64_t version, life;
  usec until;
  usec wait_until; /* it did not answer: not to be asked before */
  usec ask_at;     /* is it there still? */
  uint8_t tries;   /* in vain, since it last answered */
  bool trying;     /* the one that it is asked by meanwhile is under way */
  uint8_t turn;    /* of those that had this place: answers of another one are not for it */
};

/* A watcher whose phone is at another peer. Those of one peer are neighbours in the list. */
struct remote {
  struct timer timer; /* its end, unless it says again that it watches */
  uint32_t presentity, next;
  struct peer peer;
  uint64_t token;
  usec wait_until; /* its peer did not answer: not to be told before */
  enum event_decision decision;
  bool due; /* it is to be told */
  uint8_t tries;
  uint8_t batch;        /* of the messages under way, plus 1; 0: in none */
  struct slice watcher; /* owned */
};

struct presentity {
  struct slice aor; /* owned */
  uint64_t hash;
  uint32_t publications, subscriptions, rules;
  uint32_t publication_count, subscription_count, rule_count;
  uint32_t winfo_count;  /* of the subscriptions */
  struct slice document; /* owned; empty: to be composed anew */
  uint32_t waiting;      /* messages in its mailbox, when that was last looked at */
  /* remote.c */
  struct timer timer, again; /* again: somebody is to be told, or asked, that could not be before */
  uint32_t batches;          /* a bit for each message with the state that is under way */
  bool home;                 /* this peer says so in a record, since */
  usec home_at;
  uint64_t token; /* of the record that says that somebody here watches; 0: none */
  uint32_t remotes, remote_count;
  struct home *homes; /* EVENT_HOMES_MAX, owned; NULL: none */
  bool telling;
  uint8_t tries; /* to put those records */
  uint32_t tell_next;
};

/* What is told to one phone: a dialog that it made with SUBSCRIBE. */
struct subscription {
  struct timer timer; /* its end */
  uint32_t presentity, next, queue_next;
  enum event_package package;
  bool queued; /* a NOTIFY is to be sent */
  enum event_decision decision;
  const char *end;      /* the last NOTIFY says terminated, and this reason; NULL: it goes on */
  struct handle notify; /* client transaction under way */
  uint64_t tag;         /* ours in the dialog */
  uint32_t cseq, cseq_remote, version;
  uint32_t flow; /* the last SUBSCRIBE came from there */
  struct endpoint from;
  usec expires_at;
  uint64_t token; /* by which other homes know it */
  /* A bit, or a place, for each of the presentity's homes. */
  uint8_t told, asking;
  uint8_t granted[EVENT_HOMES_MAX]; /* 1 plus what it decided; 0: nothing yet */
  /* One owned block, and what lies in it. */
  struct slice text;
  struct slice call_id, local, remote;         /* values of To and From as the phone wrote them */
  struct slice remote_tag, target, routes, id; /* routes: whole lines; id: of Event */
  struct slice watcher;                        /* Address-of-Record */
};

struct event_request {
  struct slice aor, watcher; /* Request-URI and From */
  enum event_package package;
};

/* ---- events.c: tables ---- */
struct presentity *event_presentity(const struct edge *edge, struct slice aor);
/* Made if it is not there; NULL: no room. */
struct presentity *event_presentity_make(struct edge *edge, struct slice aor);
/* Drops it if nothing is left that needs it. */
void event_presentity_leave(struct edge_step *step, struct presentity *presentity);
uint32_t event_index(const struct pool *pool, const void *object); /* plus 1 */
void *event_at(const struct pool *pool, uint32_t index);
/* What is known of the address has changed: its watchers are told. `here`: by a phone of this peer,
 * so that watchers at other peers are told, too. */
void event_changed(struct edge_step *step, struct presentity *presentity, bool here);
enum event_decision event_judgement(const struct edge_step *step,
                                    const struct presentity *presentity,
                                    const struct subscription *subscription);
/* What becomes of a subscription, by its rule or by what homes said of it. */
void event_judge(struct edge_step *step, struct presentity *presentity,
                 struct subscription *subscription);
/* Tells those who subscribed to that package, and may know. */
void event_tell(struct edge_step *step, struct presentity *presentity, enum event_package package);
/* Who watches it has changed: its owner is told, if he asked (RFC 3857). */
void event_watchers_changed(struct edge_step *step, struct presentity *presentity);
/* Expires of a request, 0 to EVENT_EXPIRES_DEFAULT_S. False: 423 was answered. */
bool event_expires(struct edge_step *step, const struct edge_request *request, uint32_t *out);
enum event_decision event_decide(const struct edge *edge, const struct presentity *presentity,
                                 struct slice watcher);

/* ---- publish.c ---- */
void publish_on_request(struct edge_step *step, const struct edge_request *request,
                        struct slice aor);
void publish_on_timer(struct edge_step *step, struct timer *timer);
void publication_free(struct edge *edge, struct publication *publication);

/* ---- watch.c ---- */
void watch_on_request(struct edge_step *step, const struct edge_request *request,
                      const struct event_request *event);
/* A SUBSCRIBE in a dialog. */
void watch_on_refresh(struct edge_step *step, const struct edge_request *request);
void watch_on_timer(struct edge_step *step, struct timer *timer);
/* Its next NOTIFY will be the last. reason: RFC 6665 section 4.1.3. */
void watch_end(struct edge_step *step, struct subscription *subscription, const char *reason);
void subscription_free(struct edge_step *step, struct subscription *subscription);
void subscription_give(struct edge *edge, struct subscription *subscription);
uint64_t watch_flow_hash(const struct edge *edge, uint32_t flow);
void watch_put_contact(struct edge_step *step, enum transport transport);

/* ---- notify.c ---- */
void notify_queue(struct edge_step *step, struct subscription *subscription);
void notify_forget(struct edge *edge, struct subscription *subscription);
void notify_on_timer(struct edge_step *step);

/* ---- waiting.c: RFC 3842 ---- */
/* The mailbox of the address is to be looked at, now, or when what is on its way into it is there.
 */
void waiting_look(struct edge_step *step, struct slice aor, bool later);
void waiting_put_summary(struct buf *out, const struct presentity *presentity);

/* ---- remote.c: peers that watch an address of a phone of this peer (R-12.14 to) ---- */
void remote_on_change(struct edge_step *step, struct presentity *presentity);
void remote_on_watched(struct edge_step *step, struct presentity *presentity);
void remote_on_rule(struct edge_step *step, struct presentity *presentity, struct slice watcher);
void remote_on_timer(struct edge_step *step, struct timer *timer);

/* ---- homes.c: the homes of an address that is watched at this peer ---- */
void homes_forget(struct edge *edge, struct presentity *presentity);
/* What the homes say of it, own: and this one (NULL: it is none). */
enum event_decision homes_decision(const struct edge *edge, const struct subscription *subscription,
                                   const enum event_decision *own);
/* A home tells its state, but has not said yet whether this one may see it. */
bool homes_hold(const struct edge_step *step, const struct presentity *presentity,
                const struct subscription *subscription);

/* ---- compose.c ---- */
/* Does a phone of this peer show the address? */
bool compose_is_here(const struct edge_step *step, const struct presentity *presentity);
/* The document of the address, which lives until it changes; empty: no memory. */
struct slice compose_document(struct edge_step *step, struct presentity *presentity);
/* Of the phones of this peer alone; in the outbox. */
struct slice compose_here(struct edge_step *step, const struct presentity *presentity);
void compose_put_watchers(struct edge_step *step, struct buf *out,
                          const struct presentity *presentity, uint32_t version);

#endif
