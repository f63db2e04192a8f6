/* SPDX-License-Identifier: BSD-2-Clause */
/* TIER 1: records on the ring. Merge, k replicas, COMPLETE and FETCHING ranges, hand-over,
 * expiry, quotas (R-4.x, R-5.x). It knows records as metadata and bytes (base/record.h) and peers
 * through overlay.h; it knows no XML and no SIP. Reads are from memory; writes go to the journal
 * through DHT_STORE effects and count only once stored.
 *
 * Like the overlay it never sends: it appends effects, which the node carries out and answers. */
#ifndef DHT_DHT_H
#define DHT_DHT_H

#include "base/crypto.h"
#include "base/err.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "base/record.h"
#include "base/sync.h"
#include "overlay/overlay.h"

/* 0 stands for the default. */
struct dht_limits {
  uint32_t records_max;                 /* versions and tombstones held */
  uint64_t bytes_max;                   /* of records */
  uint32_t value_bytes_max;             /* 16384 */
  uint32_t values_per_owner_max;        /* 32 per key and owner */
  uint32_t values_per_key_max;          /* 4096 */
  uint32_t owner_records_max;           /* 4096 of one owner, removals included */
  uint64_t owner_bytes_max;             /* 16 MiB */
  uint32_t puts_max;                    /* puts under way */
  msec_wall lifetime_min, lifetime_max; /* 60 s, 7 days */
  unsigned replicas;                    /* k = 3 */
};

enum dht_verdict {
  DHT_NEW,        /* merged: it was not here, or is newer */
  DHT_SAME,       /* identical version is held: success */
  DHT_OLDER,      /* a newer version is held: 412 */
  DHT_EXPIRED,    /* expiry is in the past: 400 for a put, dropped for a replica */
  DHT_TOO_BRIEF,  /* lifetime under the minimum: 423 */
  DHT_TOO_LONG,   /* lifetime over the maximum: 400 */
  DHT_TOO_LARGE,  /* 413 */
  DHT_TOO_MANY,   /* per owner or per key: 403 with the limit named */
  DHT_OVER_QUOTA, /* of its owner: 403. A copy: far over it; it is not kept, which is no failure */
  DHT_NO_ROOM,    /* 503 */
};

enum dht_effect_kind {
  DHT_STORE,     /* record -> OUT_STORE; answer by dht_on_stored(ticket; 0: nobody waits) */
  DHT_ERASE,     /* record (identity) -> OUT_ERASE */
  DHT_PUSH,      /* overlay.replicate with records to `to`; answer by dht_on_pushed(ticket) */
  DHT_PULL,      /* overlay.replicate without records for range (from, to_key], after `after` if
                    has_after, at most `limit` if not 0, to `to`; answer by
                    dht_on_pulled(ticket) */
  DHT_SYNC,      /* overlay.sync with `part` and `until` to `to`; answer by dht_on_synced(ticket) */
  DHT_PUT_DONE,  /* a dht_put or dht_accept ended: user, status (OK or ERR_BUSY/ERR_TIMEOUT:
                    fewer copies than wanted; ERR_IO: the journal failed), copies */
  DHT_FIND_DONE, /* a dht_find_wait ended: user; status OK: look again with dht_find (an empty
                    answer is then a true 404); ERR_BUSY: cannot be sure: 503 */
  DHT_HANDED_OVER, /* dht_hand_over: status OK: everything is at the successors, or nobody else ever
                      was; else time is up, or they cannot be reached */
};
struct dht_effect {
  enum dht_effect_kind kind;
  uint32_t ticket;
  uint64_t user;
  enum err status;
  unsigned copies;
  struct peer to;
  struct key range_from, range_to;
  bool has_after;
  struct record_id after; /* cursor of a pull: the last record that is here already */
  unsigned limit;         /* pull: so many records are enough; 0: as many as there are */
  struct sync_part part;  /* sync: how it looks here */
  msec_wall until;        /* sync: records with a floor up to then are left out */
  bool stray;             /* push: not for a replica of ours: dht_pass_on is to follow there */
  bool last;              /* push: the range (range_from, range_to] is complete with this batch */
  unsigned record_count;
  struct record record[16]; /* borrowed from the store until the next dht_ call */
};
#define DHT_EFFECTS_MAX 24u
#define DHT_PUSH_BYTES_MAX 49152u /* of records in one push or pull answer */
/* Starts empty at each call (count = 0). What does not fit is done at the next tick, which is then
 * due at once. */
struct dht_effects {
  unsigned count;
  struct dht_effect effect[DHT_EFFECTS_MAX];
};

struct dht;
/* `overlay` is read only, for replica sets and ranges; it must outlive the dht. */
struct dht *dht_new(const struct dht_limits *limits, const struct overlay *overlay,
                    const struct memory *memory, const uint8_t seed[16]); /* NULL: no memory */
void dht_free(struct dht *dht);
/* Gives back what was not needed since the last time (pool_trim). */
void dht_trim(struct dht *dht);

/* Start-up: a record from the journal; it is durable already. Lapsed ones draw a DHT_ERASE. */
enum err dht_restore(struct dht *dht, msec_wall wall, const struct record *record,
                     struct dht_effects *fx) MUST_USE;

/* A put or remove at the responsible peer, already verified. copies_wanted: a success only
 * once durable on so many peers, and at best on min(k, live ring) before `deadline`. On
 * DHT_NEW and DHT_SAME a DHT_PUT_DONE with `user` follows (maybe in the same fx). */
enum dht_verdict dht_put(struct dht *dht, usec now, msec_wall wall, const struct record *record,
                         unsigned copies_wanted, usec deadline, uint64_t user,
                         struct dht_effects *fx);
/* A replica pushed by another peer or pulled from one: merged by the same rule, DHT_PUT_DONE when
 * durable here (no further copies are made from here). */
enum dht_verdict dht_accept(struct dht *dht, usec now, msec_wall wall, const struct record *record,
                            uint64_t user, struct dht_effects *fx);

/* A record of this key was pushed here as a stray, and is in: it goes on to whoever is nearer to
 * the key, after it, until it is at the responsible peer. */
void dht_pass_on(struct dht *dht, usec now, const struct key *key, struct dht_effects *fx);

/* Live records of a key, in owner/nonce order: start with cursor 0, false at the end. Tombstones
 * and lapsed ones are left out. *out borrows until the next dht_ call that changes the store. */
bool dht_find(const struct dht *dht, msec_wall wall, const struct key *key, uint32_t *cursor,
              struct record *out);
/* Forgets what owners other than this one have under the key: they may not write there.
 * What fx has no room for, or is being written, stays. Returns how many went. */
unsigned dht_drop_others(struct dht *dht, usec now, const struct key *key, const struct key *owner,
                         struct dht_effects *fx);
/* Are records of owners other than this one held under the key? Tombstones count. */
bool dht_has_others(const struct dht *dht, const struct key *key, const struct key *owner);
/* Is another record of this identity here that is no removal and has not lapsed, durable or on its
 * way to be? */
bool dht_has_other_live(const struct dht *dht, msec_wall wall, const struct record *record);
/* Highest version held for an identity, tombstones included; 0: none. */
uint64_t dht_version(const struct dht *dht, const struct key *key, const struct key *owner,
                     const struct key *nonce);
/* May an empty dht_find be answered 404? (key in a COMPLETE range) */
bool dht_is_complete(const struct dht *dht, const struct key *key);
/* Joined a short time ago, and has not got the records of its own range: whoever pulls from it
 * must not take the little it holds for all that there is. */
bool dht_is_newcomer(const struct dht *dht);
/* No newcomer, and one of the k that hold what is under the key, as far as this peer knows: what it
 * has of it is kept up to date. */
bool dht_is_holder(const struct dht *dht, const struct key *key);
/* For the answer to a pull of (from, to]. Vouches: all there is, is here; or was, until a
 * new owner came. False: others may hold more of it, and the answer says incomplete="true". */
bool dht_vouches_for(const struct dht *dht, const struct key *from, const struct key *to);
/* All of (from, to] was given to one who pulled it, there is no more, and it was vouched for: the
 * new owner need not be told of it. */
void dht_was_pulled(struct dht *dht, const struct key *from, const struct key *to);
/* Some of it is ours, or is being written: whoever pulls it now misses what comes next, and the
 * answer says owner="true". */
bool dht_takes_writes(const struct dht *dht, const struct key *from, const struct key *to);
/* Pulls this one key from whoever may hold it; DHT_FIND_DONE with `user` follows. ERR_FULL: 503. */
enum err dht_find_wait(struct dht *dht, usec now, const struct key *key, usec deadline,
                       uint64_t user, struct dht_effects *fx) MUST_USE;
/* Answers a pull of another peer: up to 16 records (tombstones included, live and unexpired) of
 * (from, to] after the cursor, in key order counted from `from`, at most DHT_PUSH_BYTES_MAX. The
 * next cursor is record_id_of the last one. There is `more`, too, where some of it is still to be
 * told to its new owner: whoever asks with that cursor has got these. */
unsigned dht_read_range(const struct dht *dht, msec_wall wall, const struct key *from,
                        const struct key *to, const struct record_id *after, struct record *out,
                        unsigned max, bool *more);

/* For simulators: the overlay was placed (overlay_place), and no record was ever written: all of
 * the own range is COMPLETE, and the replica set has what it needs. */
void dht_place(struct dht *dht, usec now);
/* The ring changed (overlay_generation): ranges to fetch, copies to make. */
void dht_on_ring(struct dht *dht, usec now, msec_wall wall, struct dht_effects *fx);
void dht_on_stored(struct dht *dht, usec now, uint32_t ticket, enum err status,
                   struct dht_effects *fx);
void dht_on_pushed(struct dht *dht, usec now, uint32_t ticket, enum err status,
                   struct dht_effects *fx);
/* The answer to a pull, after each of its records went through verification and dht_accept. status
 * OK: the answerer vouches that there is no more; ERR_BUSY: its answer said incomplete="true", its
 * records are in all the same; anything else: it failed, or not all of its records could be taken.
 * owner: it said owner="true". next_after is the cursor for the next batch when more. */
void dht_on_pulled(struct dht *dht, usec now, uint32_t ticket, enum err status, bool owner,
                   bool more, const struct record_id *next_after, struct dht_effects *fx);
/* Answers a comparison: nothing where the part is the same here, else finer parts, or the
 * records in it, or one part where one side has nothing. asked->after must lie before its upto. */
void dht_answer_sync(const struct dht *dht, const struct sync_part *asked, msec_wall until,
                     struct sync_view *out);
/* What the other peer answered. It is checked here; with a status other than OK, `view` is not
 * looked at. */
void dht_on_synced(struct dht *dht, usec now, uint32_t ticket, enum err status,
                   struct sync_view *view, struct dht_effects *fx);
/* Graceful leave: push every record held to the peers that will be responsible; a
 * DHT_HANDED_OVER follows at the end or at `deadline`. */
void dht_hand_over(struct dht *dht, usec now, msec_wall wall, usec deadline,
                   struct dht_effects *fx);
/* Timers: expiry, deadlines, retries, re-replication, dropping copies that are no longer ours
 * (after they were pushed to the responsible peer). */
void dht_on_tick(struct dht *dht, usec now, msec_wall wall, struct dht_effects *fx);
usec dht_deadline(const struct dht *dht);

struct dht_stats {
  uint32_t records, tombstones;
  uint64_t bytes;
  uint32_t puts, finds, pulls, pushes; /* under way */
  uint64_t syncs;                      /* exchanges of comparisons so far, pushes and pulls too */
  bool complete;                       /* the whole own range is COMPLETE */
};
struct dht_stats dht_stats(const struct dht *dht);
/* All records held, in key order; start with cursor 0. */
bool dht_each(const struct dht *dht, uint32_t *cursor, struct record *out);

#endif
