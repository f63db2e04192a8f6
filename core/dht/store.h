/* SPDX-License-Identifier: BSD-2-Clause */
/* The records a peer holds, in the order of their identities: a treap whose nodes count what is
 * below them, so that positions and quotas are found in logarithmic time and a cursor is a plain
 * number. An entry comes with the first write of its identity; until that write is durable it
 * holds nothing that a reader may see. */
#ifndef DHT_STORE_H
#define DHT_STORE_H

#include "base/hash.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/record.h"
#include "base/rng.h"
#include "base/sync.h"
#include "base/timers.h"

struct put;

struct entry {
  struct record record; /* its identity always; the rest, with bytes of its own, once durable */
  bool durable;
  bool counts;        /* the newest version, durable or not, is no tombstone */
  bool owes_row;      /* the journal has an earlier floor than memory */
  bool shed;          /* this version is safe at the responsible peer, and may go */
  bool told;          /* it was safe there while we were near enough to keep it */
  bool shedding;      /* it is on the way there */
  struct put *writes; /* under way, newest first */
  struct timer lapse; /* at its floor, in milliseconds since 1970 */
  struct handle handle;
  struct entry *left, *right;
  uint64_t priority;
  uint64_t mark;             /* of the durable record, for digests */
  uint32_t size, live, held; /* entries below and here; those that count; durable ones */
  uint64_t sum;              /* of the marks of the durable ones */
  msec_wall least;           /* of their floors */
};

/* What is here of one owner. */
struct owner_use {
  struct key owner;
  uint32_t entries; /* removals and writes under way included; 0: to be forgotten */
  uint64_t bytes;   /* of records, those under way included */
};

struct store {
  const struct memory *memory;
  struct pool pool;
  struct pool owners;       /* struct owner_use */
  struct map owner_of_hash; /* by keyed hash of the owner */
  struct hash_key hash;
  struct rng rng; /* priorities that a stranger cannot foresee */
  struct entry *root;
  struct timers lapses;
  uint64_t bytes;      /* of durable records */
  uint32_t tombstones; /* durable ones */
  uint32_t records;    /* durable ones, tombstones included */
};

void store_init(struct store *store, const struct memory *memory, uint32_t records_max,
                const uint8_t seed[16]);
void store_free(struct store *store);

/* NULL: nothing is here of that owner. */
const struct owner_use *store_owner(const struct store *store, const struct key *owner);
/* Bytes of writes under way, of an owner who has an entry. */
void store_charge(struct store *store, const struct key *owner, size_t bytes);
void store_discharge(struct store *store, const struct key *owner, size_t bytes);

struct entry *store_find(const struct store *store, const struct record_id *id);
/* A new entry, holding nothing; the identity must not be there. NULL: no room. */
struct entry *store_insert(struct store *store, const struct record_id *id);
/* The entry and its bytes go. */
void store_remove(struct store *store, struct entry *entry);

/* The first entry after id, or NULL. */
struct entry *store_after(const struct store *store, const struct record_id *id);
/* Entry number n in order, or NULL. */
struct entry *store_at(const struct store *store, uint32_t n);
/* Entries before id; with `count_live`, only those that count. */
uint32_t store_rank(const struct store *store, const struct record_id *id, bool count_live);

/* Takes over `record` and its bytes (from memory_take of this store's memory) as the durable
 * version; the old bytes go. */
void store_set(struct store *store, struct entry *entry, const struct record *record);
/* A later one than it has. */
void store_set_floor(struct store *store, struct entry *entry, msec_wall floor);
void store_set_counts(struct store *store, struct entry *entry, bool counts);

/* The first durable record after `after` (NULL: from the start) with a key in [first, last]. */
struct entry *store_next_in(const struct store *store, const struct key *first,
                            const struct key *last, const struct record_id *after);

/* Fills in count and digest of `part`, over durable records with a floor after `until`: in
 * logarithmic time, and more for each record that is left out. *budget is the number of entries
 * that may still be looked at; where it runs out, the part stays unknown. */
void store_digest(const struct store *store, struct sync_part *part, msec_wall until,
                  unsigned *budget);

#endif
