/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to core/dht: one peer's tier 1. */
#ifndef DHT_STATE_H
#define DHT_STATE_H

#include "base/timers.h"
#include "dht/dht.h"
#include "dht/ranges.h"
#include "dht/store.h"

#define BATCH_RECORDS 16u
#define COPIES_MAX OVERLAY_REPLICAS_MAX
#define TARGETS_MAX 8u /* peers that one put is pushed to, replacements included */
#define FINDS_MAX 256u
#define DEATH_SOURCES 2u                         /* these have the copies */
#define FETCH_SOURCES (OVERLAY_REPLICAS_MAX - 1) /* a join: the nearest may be as new as we are */
#define FIND_SOURCES (FETCH_SOURCES + 1)
#define FIND_ASKED 2u  /* of these, at a time */
#define FOUND_MAX 256u /* keys of gaps that are known to be all here; beyond, the oldest goes */
#define FETCH_VOUCH_TRIES 4u     /* a join waits so often for the old owner to know of it */
#define FETCH_VOUCH_US MSEC(300) /* the first time; longer each time, 3 s in all */
#define FETCH_RETRY_US MSEC(500)
#define FETCH_JOIN_MAX_US SEC(1) /* others who joined after us may wait for us in their turn */
#define RETRY_MIN_US MSEC(500)
#define RETRY_MAX_US SEC(30)
#define ANSWER_LOST_US SEC(40) /* longer than any transaction: the answer was lost here */
#define CEDED_US SEC(30)       /* so long an old owner vouches for what it gave up */
#define NEWCOMER_US SEC(20)    /* then a ring in which nobody has its records settles without */
#define OWED_US SEC(5)         /* a new owner pulls what we gave up by then, or we push it */
#define HAND_OVER_LOOK_US MSEC(100)
#define HAND_OVER_TRIES 2u   /* of copies, which are somewhere else, too */
#define SHED_US SEC(60)      /* between looks for copies that are not ours */
#define HOLD_DOWN_US SEC(60) /* between the copy's safe arrival and dropping it here */
#define SHED_MARGIN 2u       /* nearer predecessors than k that may be gone */
#define CLOCK_SLACK_MS ((msec_wall)300000) /* peers' clocks differ by so much at most */
#define TOTAL_FACTOR 4u /* tombstones included, an owner or key has so many times more */

enum timer_kind {
  TIMER_PUT,
  TIMER_FIND,
  TIMER_FETCH,
  TIMER_STREAM,
  TIMER_SHED,
  TIMER_CEDED,
  TIMER_OWED,
  TIMER_SYNC
};

/* A request under way: what its answer belongs to. Its handle is in the ticket. */
enum call_kind { CALL_STORE, CALL_COPY, CALL_FIND, CALL_FETCH, CALL_STREAM, CALL_SYNC };
struct call {
  struct handle handle;
  uint32_t ticket;
  enum call_kind kind;
  struct handle owner; /* put or find */
  unsigned slot;       /* target, source, or stream */
};

enum target_state { TARGET_ASKED, TARGET_HAS, TARGET_FAILED };
struct target {
  struct peer peer;
  uint32_t ticket;
  enum target_state state;
};

/* A write: from the verdict until it is durable on enough peers. */
struct put {
  struct handle handle;
  struct record_id id;
  struct record record; /* until it is durable: bytes of its own */
  struct entry *entry;  /* until it is durable */
  struct put *older;    /* of the same entry */
  uint64_t user;
  unsigned wanted;
  usec deadline;
  bool copies;   /* dht_put: make copies */
  bool stored;   /* durable here */
  bool answered; /* DHT_PUT_DONE was given */
  uint32_t store_ticket;
  uint8_t target_count;
  struct target target[TARGETS_MAX];
  struct timer timer;
};

/* dht_find_wait. */
struct find {
  struct handle handle;
  struct key key;
  uint64_t user;
  usec deadline;
  struct timer timer;
  bool waits;     /* for the one that asks for the same key */
  bool settles;   /* without one that vouches, if all are read */
  bool lasts;     /* what it finds out stays so, unless the ring changes: */
  uint32_t rings; /* then this is not dht.rings any more */
  unsigned source_count;
  struct {
    struct peer peer;
    uint32_t ticket; /* 0: not asked (any more) */
    struct record_id after;
    bool has_after, ask, failed;
    bool read, vouched; /* to the end; and it was sure that it had all there is */
  } source[FIND_SOURCES];
};

/* Keys in gaps that were asked for, of which all there is is here. */
struct found {
  unsigned count, next; /* `next` is the place of the oldest, when all are taken */
  struct key key[FOUND_MAX];
};

/* Filling the gaps of our own range, one after the other. */
struct fetch {
  struct interval gap;
  bool active, joining; /* joining: nothing was COMPLETE before */
  bool sure;            /* a source vouched, and was read */
  unsigned source_count, source;
  unsigned needed; /* of the sources, nearest first, that are to be read */
  struct peer peer[FETCH_SOURCES];
  bool read[FETCH_SOURCES];       /* read through to the end */
  bool has_after, vouched, owner; /* of the source that is being read */
  struct record_id after;
  uint32_t ticket; /* 0: none under way */
  unsigned vouch_tries, failures;
};

/* Records on their way to one peer, batch by batch, each acknowledged before the next. */
enum stream_kind { STREAM_NONE, STREAM_COPY, STREAM_HAND_OVER, STREAM_SHED };
/* How far a stream is. Most have nothing to send nearly always, and none. */
struct progress {
  struct parts added;     /* while a batch was under way */
  struct record_id after; /* position in the first interval of todo, if has_after */
  struct record_id batch_last;
};
struct stream {
  enum stream_kind kind;
  unsigned slot; /* in dht.stream */
  struct peer to;
  struct parts todo;         /* what is left, in order */
  struct progress *progress; /* owned; NULL: nothing of todo was sent yet */
  bool has_after, batch_more;
  uint32_t ticket; /* 0: none under way */
  unsigned failures;
  struct timer timer;
};
/* These, then the copies: one for each other peer of the replica set. */
#define SLOT_HAND_OVER 0
#define SLOT_SHED 1
#define SLOT_STRAYS 2
#define SLOT_COPIES 3
#define STREAMS_MAX (SLOT_COPIES + COPIES_MAX - 1)

/* Comparing with replicas, round after round. */
struct sync_run;
struct sync {
  struct timer timer;   /* the next round or, in one, the next step */
  struct sync_run *run; /* the comparison under way; owned; NULL: none */
  unsigned next;        /* of the round: replica and interval */
  bool differed;        /* in this round, anything */
  bool soon;            /* the ring changed meanwhile */
  unsigned repeats;     /* rounds since all agreed */
  uint64_t exchanges;
};

struct dht {
  const struct memory *memory;
  const struct overlay *overlay;
  struct dht_limits limits;
  struct store store;
  struct pool calls, puts, finds;
  uint32_t put_count, accept_count;
  struct timers timers;
  usec now;       /* of the last call */
  msec_wall wall; /* at wall_at */
  usec wall_at;

  bool member;
  bool own_known;
  struct key own_from, own_to; /* (predecessor, self], if own_known */
  struct parts complete;       /* part of own: all records there are, are here */
  struct parts ceded;          /* was COMPLETE here until its new owner came */
  bool was_complete;           /* anything was, since we became a member */
  usec newcomer_until;         /* what we hold without that does not count before */
  struct timer ceded_timer;
  struct parts owed; /* was ours, and its new owner has not pulled it yet */
  struct timer owed_timer;
  struct fetch *fetch; /* owned; NULL: nothing is missing, or no memory */
  struct timer fetch_timer;
  struct found *found; /* owned; NULL: none */
  uint32_t rings;      /* so many times all that was found had to be forgotten */
  usec hand_over_deadline;
  uint8_t hand_over_stage; /* the next: 0: our own range; i + 1: copies of the i-th before us */
  struct timer shed_timer;
  struct parts kept;       /* held as one of k at any time since the last look */
  struct parts shed_again; /* of that, what is not now: pushed even if it was before */
  struct sync sync;
  usec drop_at; /* the hold-down is over: what was shed may go; 0: nothing was */
  unsigned streams;
  struct stream stream[]; /* `streams` of them */
};

/* ---- dht.c ---- */
/* Notes the time; every public call with a clock begins so. */
void dht_note_time(struct dht *dht, usec now, const msec_wall *wall);
msec_wall dht_wall(const struct dht *dht);
bool fx_has(const struct dht_effects *fx, unsigned effects);
/* Cleared but for its records. The caller made sure of room. */
struct dht_effect *fx_add(struct dht_effects *fx, enum dht_effect_kind kind);
/* 0: no room. */
uint32_t call_open(struct dht *dht, enum call_kind kind, struct handle owner, unsigned slot);
struct call *call_find(const struct dht *dht, uint32_t ticket);
/* Its answer will find nothing. 0 is allowed. */
void call_close(struct dht *dht, uint32_t ticket);
void timer_set(struct dht *dht, struct timer *timer, enum timer_kind kind, uint64_t owner, usec at);
/* Our own range; empty if it is not known. */
struct ranges dht_own(const struct dht *dht);
bool dht_is_own(const struct dht *dht, const struct key *key);
/* Gaps in it: what may be missing here. */
struct ranges dht_gaps(const struct dht *dht);
/* Removes a durable record from memory and journal; needs room for one effect. */
void dht_forget(struct dht *dht, struct entry *entry, struct dht_effects *fx);
/* Live predecessor and successors other than self, nearest successors first. */
unsigned dht_live_successors(const struct dht *dht, struct peer *out, unsigned max);
/* The same peer, not restarted in between. */
bool dht_same_life(const struct peer *a, const struct peer *b);

/* ---- put.c ---- */
void put_on_stored(struct dht *dht, struct put *put, enum err status, struct dht_effects *fx);
void put_on_pushed(struct dht *dht, struct put *put, unsigned slot, enum err status,
                   struct dht_effects *fx);
void put_on_timer(struct dht *dht, struct put *put, struct dht_effects *fx);
void put_free(struct dht *dht, struct put *put);

/* ---- find.c ---- */
void find_on_pulled(struct dht *dht, struct find *find, unsigned slot, enum err status, bool owner,
                    bool more, const struct record_id *after, struct dht_effects *fx);
/* The ring changed: others may have taken writes, or may be to ask. */
void found_forget(struct dht *dht);
void find_on_timer(struct dht *dht, struct find *find, struct dht_effects *fx);

/* ---- fetch.c ---- */
/* Who has been read through has said all that there is to say. */
bool fetch_needs_no_vouch(const struct dht *dht);
/* A newcomer: all have been asked, and none vouched, or not for all of it; they will be again. */
bool fetch_had_no_vouch(const struct dht *dht);
/* Our own range or the peers to ask may have changed: look again what is missing. */
void fetch_restart(struct dht *dht, struct dht_effects *fx);
void fetch_on_pulled(struct dht *dht, enum err status, bool owner, bool more,
                     const struct record_id *after, struct dht_effects *fx);
void fetch_on_timer(struct dht *dht, struct dht_effects *fx);
void fetch_free(struct dht *dht);

/* ---- stream.c ---- */
void stream_add(struct dht *dht, struct stream *stream, const struct interval *interval);
void stream_add_key(struct dht *dht, struct stream *stream, const struct key *key);
void stream_stop(struct dht *dht, struct stream *stream);
void stream_step(struct dht *dht, struct stream *stream, struct dht_effects *fx);
void stream_on_pushed(struct dht *dht, struct stream *stream, enum err status,
                      struct dht_effects *fx);
void stream_on_timer(struct dht *dht, struct stream *stream, struct dht_effects *fx);

/* ---- copies.c ---- */
/* The other peers of our replica set. */
unsigned copies_peers(const struct dht *dht, struct peer out[COPIES_MAX]);
/* These may have changed: what they lack. */
void copies_on_ring(struct dht *dht, struct dht_effects *fx);
/* A range of our own was filled: the others of the replica set get it, too. */
void copies_add(struct dht *dht, const struct interval *interval, struct dht_effects *fx);
/* Others of the replica set lack some of our own range still, and were not silent twice. */
bool copies_lack(const struct dht *dht);
/* One record that `has` of the replica set hold already. */
void copies_add_key(struct dht *dht, const struct key *key, const struct target *has,
                    unsigned has_count, struct dht_effects *fx);

/* ---- shed.c ---- */
void shed_on_ring(struct dht *dht);
/* A write was taken here for a key that another peer is responsible for. */
void shed_add_stray(struct dht *dht, const struct key *key, struct dht_effects *fx);
/* What new owners did not pull in time: they think that they have it all. */
void shed_owed(struct dht *dht, struct dht_effects *fx);
void shed_on_timer(struct dht *dht, struct dht_effects *fx);
/* A batch arrived safely; all did. */
void shed_on_safe(struct dht *dht, struct stream *stream);
void shed_pushed_all(struct dht *dht);
/* What is so far from us that it may go when it is safe. */
void shed_may_go(const struct dht *dht, struct ranges *out);
bool shed_needs_push(const struct dht *dht, struct entry *entry, const struct ranges *may_go);
/* Whom to push a record of this key to; false: nobody better than us is known. */
bool shed_next_hop(const struct dht *dht, const struct key *key, struct peer *out);
/* Begins the next part of it. False: that was all. */
bool hand_over_next(struct dht *dht, struct dht_effects *fx);
bool hand_over_waits(const struct dht *dht);
void hand_over_again(struct dht *dht);
void hand_over_done(struct dht *dht, enum err status, struct dht_effects *fx);

/* ---- sync.c ---- */
void sync_on_ring(struct dht *dht);
void sync_on_timer(struct dht *dht, struct dht_effects *fx);
/* Each is the answer to the one call of dht->sync.run. */
void sync_on_answer(struct dht *dht, enum err status, struct sync_view *view,
                    struct dht_effects *fx);
void sync_on_pushed(struct dht *dht, enum err status, struct dht_effects *fx);
void sync_on_pulled(struct dht *dht, enum err status, bool more, const struct record_id *after,
                    struct dht_effects *fx);
void sync_stop(struct dht *dht);

#endif
