/* SPDX-License-Identifier: BSD-2-Clause */
/* A write: verdict, journal, copies, answer.
 *
 * Nothing is shown to readers, pushed or acknowledged before the journal has it: until then the
 * record belongs to the put. A store that fails leaves what was there before; the asker is told,
 * and a peer that pushed tries again. */
#include "base/assert.h"
#include "base/plant.h"
#include "dht/merge.h"
#include "dht/state.h"

/* What surrounds a value in its record: key, attributes, owner, signature. */
#define AROUND_VALUE_BYTES 4096u

/* ---- verdicts ---- */

static const struct record *newest(const struct entry *entry) {
  if (entry == NULL) return NULL;
  const struct record *best = entry->durable ? &entry->record : NULL;
  for (const struct put *p = entry->writes; p != NULL; p = p->older)
    if (best == NULL || record_compare(&p->record, best) > 0) best = &p->record;
  return best;
}

/* */
#define LASTING_MAX_MS ((msec_wall)90 * 86400 * 1000)
static msec_wall lifetime_max(const struct dht *dht, const struct record *record) {
  return record->lasting ? LASTING_MAX_MS : dht->limits.lifetime_max;
}

static enum dht_verdict judge_lifetime(const struct dht *dht, const struct record *record) {
  msec_wall wall = dht_wall(dht);
  if (record->expires <= wall) return DHT_EXPIRED;
  if (!record->tombstone && record->expires - wall < dht->limits.lifetime_min) return DHT_TOO_BRIEF;
  return record->floor > wall + lifetime_max(dht, record) ? DHT_TOO_LONG : DHT_NEW;
}

/* A copy that lapsed before its floor may still beat an older one that has not: it is taken. */
static enum dht_verdict judge_copy(const struct dht *dht, const struct record *record) {
  msec_wall wall = dht_wall(dht);
  if (record->floor <= wall) return DHT_EXPIRED;
  if (PLANTED(4) && record->tombstone) return DHT_EXPIRED; /* copies forget removals */
  return record->floor > wall + lifetime_max(dht, record) + CLOCK_SLACK_MS ? DHT_TOO_LONG : DHT_NEW;
}

/* Entries of this key (owner NULL) or of this owner under it; `live`: only those that count. */
static uint32_t count_values(const struct dht *dht, const struct key *key, const struct key *owner,
                             bool live) {
  struct record_id low = {.key = *key}, high;
  memset(&high, 0xFF, sizeof high);
  high.key = *key;
  if (owner != NULL) low.owner = high.owner = *owner;
  return store_rank(&dht->store, &high, live) - store_rank(&dht->store, &low, live);
}

/* what is there already can always be replaced or removed. */
static bool is_too_many(const struct dht *dht, const struct record *r, const struct record *held) {
  uint32_t per_owner = dht->limits.values_per_owner_max, per_key = dht->limits.values_per_key_max;
  if (held == NULL && (count_values(dht, &r->key, &r->owner, false) >= TOTAL_FACTOR * per_owner ||
                       count_values(dht, &r->key, NULL, false) >= TOTAL_FACTOR * per_key))
    return true;
  if (r->tombstone || (held != NULL && !held->tombstone)) return false;
  return count_values(dht, &r->key, &r->owner, true) >= per_owner ||
         count_values(dht, &r->key, NULL, true) >= per_key;
}

/* what is there already can always be removed, or replaced by what is no larger. A copy is
 * measured by a bound that what was acknowledged elsewhere under the quota does not reach while
 * ranges stay as they are: a peer is in the replica set of k ranges. */
static bool is_over_quota(const struct dht *dht, const struct record *r, bool copy,
                          const struct entry *entry) {
  const struct owner_use *use = store_owner(&dht->store, &r->owner);
  bool nobodys = record_is_immutable(r); /* */
  uint64_t entries_max = nobodys ? dht->limits.records_max / 4 : dht->limits.owner_records_max;
  uint64_t bytes_max = nobodys ? dht->limits.bytes_max / 4 : dht->limits.owner_bytes_max;
  uint64_t held = entry != NULL && entry->durable ? entry->record.bytes.len : 0;
  if (entry != NULL && (r->tombstone || r->bytes.len <= held)) return false;
  uint64_t factor = copy ? dht->limits.replicas + 1u : 1u;
  uint64_t entries = use != NULL ? use->entries : 0, bytes = use != NULL ? use->bytes : 0;
  return (entry == NULL && entries >= factor * entries_max) ||
         bytes - held + r->bytes.len > factor * bytes_max;
}

/* Removing what is held needs no room. */
static bool is_room(const struct dht *dht, const struct entry *entry, const struct record *r) {
  if (entry != NULL && r->tombstone) return true;
  uint64_t held = entry != NULL && entry->durable ? entry->record.bytes.len : 0;
  return dht->store.bytes - held + r->bytes.len <= dht->limits.bytes_max;
}

static enum dht_verdict judge(const struct dht *dht, const struct record *record, bool copy,
                              const struct entry *entry) {
  if (record->bytes.len == 0 ||
      record->bytes.len > (size_t)dht->limits.value_bytes_max + AROUND_VALUE_BYTES)
    return DHT_TOO_LARGE;
  enum dht_verdict verdict = copy ? judge_copy(dht, record) : judge_lifetime(dht, record);
  if (verdict == DHT_EXPIRED) return verdict;
  const struct record *held = newest(entry);
  if (held != NULL) {
    int order = record_compare(record, held);
    if (order == 0) return DHT_SAME;
    if (order < 0 && !PLANTED(7)) return DHT_OLDER; /* 7: the last to arrive wins */
  }
  if (verdict != DHT_NEW) return verdict;
  if (!copy && is_too_many(dht, record, held)) return DHT_TOO_MANY;
  if (is_over_quota(dht, record, copy, entry))
    return record_is_immutable(record) && !copy ? DHT_NO_ROOM : DHT_OVER_QUOTA;
  return is_room(dht, entry, record) ? DHT_NEW : DHT_NO_ROOM;
}

/* ---- the put and its entry ---- */

static void give_bytes(struct dht *dht, struct put *put) {
  if (put->record.bytes.len == 0) return;
  if (put->entry != NULL) store_discharge(&dht->store, &put->id.owner, put->record.bytes.len);
  char *at = NULL;
  memcpy(&at, &put->record.bytes.at, sizeof at);
  memory_give(dht->memory, at, put->record.bytes.len);
  put->record.bytes = SLICE_EMPTY;
}

static void unlink_write(struct dht *dht, struct put *put) {
  struct entry *entry = put->entry;
  give_bytes(dht, put);
  struct put **link = &entry->writes;
  while (*link != put) link = &(*link)->older;
  *link = put->older;
  put->entry = NULL;
  const struct record *held = newest(entry);
  if (held == NULL)
    store_remove(&dht->store, entry);
  else
    store_set_counts(&dht->store, entry, !held->tombstone);
}

void put_free(struct dht *dht, struct put *put) {
  if (put->entry != NULL) unlink_write(dht, put);
  give_bytes(dht, put);
  call_close(dht, put->store_ticket);
  for (unsigned i = 0; i < put->target_count; i++)
    if (put->target[i].state == TARGET_ASKED) call_close(dht, put->target[i].ticket);
  timers_clear(&dht->timers, &put->timer);
  if (put->copies)
    dht->put_count--;
  else
    dht->accept_count--;
  pool_give(&dht->puts, put->handle);
}

static struct put *put_new(struct dht *dht, const struct record *record, bool copies,
                           uint64_t user) {
  uint32_t *count = copies ? &dht->put_count : &dht->accept_count;
  struct handle handle;
  if (*count >= dht->limits.puts_max) return NULL;
  struct put *put = pool_take(&dht->puts, &handle);
  if (put == NULL) return NULL;
  ++*count;
  put->handle = handle;
  put->id = record_id_of(record);
  put->copies = copies;
  put->user = user;
  put->deadline = USEC_NEVER;
  return put;
}

/* The latest floor that is known of an identity. */
static msec_wall latest_floor(const struct entry *entry, msec_wall floor) {
  if (entry == NULL) return floor;
  if (entry->durable && entry->record.floor > floor) floor = entry->record.floor;
  for (const struct put *p = entry->writes; p != NULL; p = p->older)
    if (p->record.floor > floor) floor = p->record.floor;
  return floor;
}

/* Writes the record again with its later floor. Not while another write is on its way: the journal
 * would end with this one. */
static void pay_row(struct entry *entry, struct dht_effects *fx) {
  if (!entry->owes_row || !entry->durable || entry->writes != NULL) return;
  entry->owes_row = false;
  struct dht_effect *e = fx_add(fx, DHT_STORE); /* nobody waits: ticket 0 */
  e->record_count = 1;
  e->record[0] = entry->record;
}

/* Gives the put its entry, a copy of the bytes and the order to the journal. */
static bool put_store(struct dht *dht, struct put *put, struct entry *entry,
                      const struct record *record, struct dht_effects *fx) {
  char *bytes = dht->memory->take(dht->memory->context, record->bytes.len);
  if (bytes == NULL) return false;
  memcpy(bytes, record->bytes.at, record->bytes.len);
  put->record = *record;
  put->record.floor = latest_floor(entry, record->floor);
  put->record.bytes = slice_of(bytes, record->bytes.len);
  if (entry == NULL) entry = store_insert(&dht->store, &put->id);
  put->store_ticket = entry == NULL ? 0 : call_open(dht, CALL_STORE, put->handle, 0);
  if (put->store_ticket == 0) {
    if (entry != NULL && newest(entry) == NULL) store_remove(&dht->store, entry);
    return false;
  }
  store_charge(&dht->store, &put->id.owner, record->bytes.len);
  put->entry = entry;
  put->older = entry->writes;
  entry->writes = put;
  store_set_counts(&dht->store, entry, !newest(entry)->tombstone);
  struct dht_effect *e = fx_add(fx, DHT_STORE);
  e->ticket = put->store_ticket;
  e->record_count = 1;
  e->record[0] = put->record;
  return true;
}

/* ---- copies and the answer ---- */

/* A copy made in place of one that failed is beyond the replica set: when we die, nobody looks for
 * it there soon enough, so that it is none to promise. */
static unsigned copies_in_set(const struct dht *dht, const struct put *put) {
  struct peer live[COPIES_MAX];
  unsigned others = dht_live_successors(dht, live, dht->limits.replicas - 1);
  unsigned count = put->stored ? 1 : 0;
  for (unsigned i = 0; i < put->target_count; i++)
    for (unsigned k = 0; k < others && put->target[i].state == TARGET_HAS; k++)
      count += peer_same(&put->target[i].peer, &live[k]);
  return count;
}

static unsigned copies_made(const struct put *put) {
  unsigned count = put->stored ? 1 : 0;
  for (unsigned i = 0; i < put->target_count; i++) count += put->target[i].state == TARGET_HAS;
  return count;
}

static unsigned copies_asked(const struct put *put) {
  unsigned count = 0;
  for (unsigned i = 0; i < put->target_count; i++) count += put->target[i].state == TARGET_ASKED;
  return count;
}

static bool was_tried(const struct put *put, const struct peer *peer) {
  for (unsigned i = 0; i < put->target_count; i++)
    if (peer_same(&put->target[i].peer, peer)) return true;
  return false;
}

/* Answers and frees the put; what the replica set lacks is copied in its own time. */
static void put_finish(struct dht *dht, struct put *put, enum err status, struct dht_effects *fx) {
  if (!put->answered) {
    struct dht_effect *e = fx_add(fx, DHT_PUT_DONE);
    e->user = put->user;
    e->status = status;
    e->copies = copies_in_set(dht, put);
    put->answered = true;
  }
  if (put->entry != NULL) return; /* the journal has yet to answer */
  if (put->copies && put->stored) {
    struct put done = *put; /* its targets, while the streams may need room */
    put_free(dht, put);
    copies_add_key(dht, &done.id.key, done.target, done.target_count, fx);
  } else {
    put_free(dht, put);
  }
}

static bool push_to(struct dht *dht, struct put *put, const struct peer *peer,
                    const struct entry *entry, struct dht_effects *fx) {
  uint32_t ticket = call_open(dht, CALL_COPY, put->handle, put->target_count);
  if (ticket == 0) return false;
  put->target[put->target_count++] = (struct target){*peer, ticket, TARGET_ASKED};
  struct dht_effect *e = fx_add(fx, DHT_PUSH);
  e->ticket = ticket;
  e->to = *peer;
  e->record_count = 1;
  e->record[0] = entry->record;
  return true;
}

/* Once durable here: pushes until k have it, or nobody is left to ask, or time is up. A peer that
 * failed is replaced by the next of the replica set as it is now. */
static void put_advance(struct dht *dht, struct put *put, struct dht_effects *fx) {
  const struct entry *entry = store_find(&dht->store, &put->id);
  unsigned made = copies_made(put), asked = copies_asked(put);
  if (put->answered || entry == NULL || !entry->durable) { /* lapsed while we waited */
    put_finish(dht, put, OK, fx);
    return;
  }
  struct peer live[COPIES_MAX];
  unsigned others = dht_live_successors(dht, live, COPIES_MAX);
  bool in_time = dht->now < put->deadline;
  for (unsigned i = 0; i < others && in_time && made + asked < dht->limits.replicas; i++) {
    if (was_tried(put, &live[i])) continue;
    if (put->target_count == TARGETS_MAX || !fx_has(fx, 2)) break;
    if (!push_to(dht, put, &live[i], entry, fx)) break;
    asked++;
  }
  unsigned reachable = others + 1;
  unsigned goal = dht->limits.replicas < reachable ? dht->limits.replicas : reachable;
  if (made < goal && asked > 0 && in_time) return;
  put_finish(dht, put,
             copies_in_set(dht, put) >= put->wanted ? OK
             : in_time                              ? ERR_BUSY
                                                    : ERR_TIMEOUT,
             fx);
}

void put_on_stored(struct dht *dht, struct put *put, enum err status, struct dht_effects *fx) {
  struct entry *entry = put->entry;
  ASSERT(entry != NULL);
  put->store_ticket = 0;
  if (status != OK) {
    bool durable = entry->durable; /* or it goes with its last write */
    unlink_write(dht, put);
    if (durable) pay_row(entry, fx);
    put_finish(dht, put, ERR_IO, fx);
    return;
  }
  bool is_new = PLANTED(7) || !entry->durable || record_compare(&put->record, &entry->record) > 0;
  if (is_new) {
    struct record merged =
        entry->durable && !PLANTED(7) ? record_merge(&put->record, &entry->record) : put->record;
    store_discharge(&dht->store, &put->id.owner, put->record.bytes.len);
    store_set(&dht->store, entry, &merged); /* takes the bytes */
    put->record.bytes = SLICE_EMPTY;
  }
  unlink_write(dht, put);
  pay_row(entry, fx);
  put->stored = true;
  if (put->copies) {
    if (dht->own_known && !dht_is_own(dht, &put->id.key)) shed_add_stray(dht, &put->id.key, fx);
    put_advance(dht, put, fx);
    return;
  }
  struct key key = put->id.key;
  put_finish(dht, put, OK, fx);
  /* It reached the responsible peer from outside: the others of the set get it from here. */
  if (is_new && parts_has(&dht->complete, &key)) copies_add_key(dht, &key, NULL, 0, fx);
}

void put_on_pushed(struct dht *dht, struct put *put, unsigned slot, enum err status,
                   struct dht_effects *fx) {
  put->target[slot].state = status == OK ? TARGET_HAS : TARGET_FAILED;
  put_advance(dht, put, fx);
}

void put_on_timer(struct dht *dht, struct put *put, struct dht_effects *fx) {
  if (put->entry != NULL)
    put_finish(dht, put, ERR_TIMEOUT, fx);
  else
    put_advance(dht, put, fx);
}

/* A record that lost may have been given a later expiry than the winner: the winner stays until
 * then, or a copy of the loser could come back after it. */
static void raise_floor(struct dht *dht, struct entry *entry, const struct record *loser,
                        struct dht_effects *fx) {
  if (loser->floor > dht_wall(dht) + lifetime_max(dht, loser) + CLOCK_SLACK_MS) return;
  for (struct put *p = entry->writes; p != NULL; p = p->older) {
    if (loser->floor <= p->record.floor) continue;
    p->record.floor = loser->floor;
    entry->owes_row = true;
  }
  if (entry->durable && loser->floor > entry->record.floor) {
    store_set_floor(&dht->store, entry, loser->floor);
    entry->owes_row = true;
  }
  pay_row(entry, fx);
}

enum dht_verdict dht_put(struct dht *dht, usec now, msec_wall wall, const struct record *record,
                         unsigned copies_wanted, usec deadline, uint64_t user,
                         struct dht_effects *fx) {
  dht_note_time(dht, now, &wall);
  struct record_id id = record_id_of(record);
  struct entry *entry = store_find(&dht->store, &id);
  enum dht_verdict verdict = judge(dht, record, false, entry);
  if (verdict == DHT_OLDER) raise_floor(dht, entry, record, fx);
  if (verdict != DHT_NEW && verdict != DHT_SAME) return verdict;
  struct put *put = put_new(dht, record, true, user);
  if (put == NULL) return DHT_NO_ROOM;
  put->wanted = copies_wanted;
  put->deadline = deadline;
  bool is_held =
      verdict == DHT_SAME && entry->durable && record_compare(record, &entry->record) == 0;
  if (!is_held && !put_store(dht, put, entry, record, fx)) {
    put_free(dht, put);
    return DHT_NO_ROOM;
  }
  timer_set(dht, &put->timer, TIMER_PUT, handle_pack(put->handle), deadline);
  if (PLANTED(3) && !is_held) { /* acknowledged before the store */
    struct dht_effect *e = fx_add(fx, DHT_PUT_DONE);
    e->user = user;
    e->copies = dht->limits.replicas;
    put->answered = true;
  }
  if (is_held) {
    put->stored = true;
    put_advance(dht, put, fx);
  }
  return verdict;
}

enum dht_verdict dht_accept(struct dht *dht, usec now, msec_wall wall, const struct record *record,
                            uint64_t user, struct dht_effects *fx) {
  dht_note_time(dht, now, &wall);
  struct record_id id = record_id_of(record);
  struct entry *entry = store_find(&dht->store, &id);
  enum dht_verdict verdict = judge(dht, record, true, entry);
  if (verdict == DHT_OLDER) raise_floor(dht, entry, record, fx);
  if (verdict != DHT_NEW && verdict != DHT_SAME) return verdict;
  if (verdict == DHT_SAME && entry->durable && record_compare(record, &entry->record) == 0) {
    struct dht_effect *e = fx_add(fx, DHT_PUT_DONE);
    e->user = user;
    e->copies = 1;
    return verdict;
  }
  struct put *put = put_new(dht, record, false, user);
  if (put == NULL) return DHT_NO_ROOM;
  if (!put_store(dht, put, entry, record, fx)) {
    put_free(dht, put);
    return DHT_NO_ROOM;
  }
  return verdict;
}

enum err dht_restore(struct dht *dht, msec_wall wall, const struct record *record,
                     struct dht_effects *fx) {
  dht_note_time(dht, dht->now, &wall);
  struct record_id id = record_id_of(record);
  struct entry *entry = store_find(&dht->store, &id);
  if (record->floor <= wall) { /* the journal may forget it */
    if (entry != NULL || !fx_has(fx, 1)) return OK;
    struct dht_effect *e = fx_add(fx, DHT_ERASE);
    e->record_count = 1;
    e->record[0] = *record;
    e->record[0].bytes = SLICE_EMPTY;
    return OK;
  }
  if (entry != NULL && entry->durable && record_compare(record, &entry->record) <= 0) return OK;
  if (record->bytes.len == 0) return ERR_CORRUPT;
  if (dht->store.bytes + record->bytes.len > dht->limits.bytes_max) return ERR_FULL;
  char *bytes = dht->memory->take(dht->memory->context, record->bytes.len);
  if (bytes == NULL) return ERR_MEMORY;
  if (entry == NULL) entry = store_insert(&dht->store, &id);
  if (entry == NULL) {
    memory_give(dht->memory, bytes, record->bytes.len);
    return ERR_FULL;
  }
  memcpy(bytes, record->bytes.at, record->bytes.len);
  struct record own = *record;
  own.bytes = slice_of(bytes, record->bytes.len);
  store_set(&dht->store, entry, &own);
  store_set_counts(&dht->store, entry, !newest(entry)->tombstone);
  return OK;
}
