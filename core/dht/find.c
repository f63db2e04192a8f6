/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading: from memory, and where that may not be all there is, from whoever may hold more (R-5.8,
 * */
#include "base/plant.h"
#include "dht/state.h"

bool dht_find(const struct dht *dht, msec_wall wall, const struct key *key, uint32_t *cursor,
              struct record *out) {
  struct record_id low = {.key = *key};
  uint32_t first = store_rank(&dht->store, &low, false);
  for (;;) {
    const struct entry *e = store_at(&dht->store, first + *cursor);
    if (e == NULL || !key_equal(&e->record.key, key)) return false;
    ++*cursor;
    if (!e->durable || e->record.tombstone || e->record.expires <= wall) continue;
    *out = e->record;
    return true;
  }
}

static struct entry *first_under(const struct dht *dht, const struct key *key) {
  struct record_id low = {.key = *key};
  return store_at(&dht->store, store_rank(&dht->store, &low, false));
}

bool dht_has_others(const struct dht *dht, const struct key *key, const struct key *owner) {
  struct record_id after = {.key = *key, .owner = *owner};
  const struct entry *e = first_under(dht, key);
  if (e == NULL || !key_equal(&e->record.key, key)) return false;
  if (!key_equal(&e->record.owner, owner)) return true;
  memset(&after.nonce, 0xFF, sizeof after.nonce);
  e = store_after(&dht->store, &after);
  return e != NULL && key_equal(&e->record.key, key);
}

unsigned dht_drop_others(struct dht *dht, usec now, const struct key *key, const struct key *owner,
                         struct dht_effects *fx) {
  unsigned dropped = 0;
  dht_note_time(dht, now, NULL);
  struct entry *e = first_under(dht, key);
  while (e != NULL && key_equal(&e->record.key, key) && fx_has(fx, 1)) {
    struct record_id id = record_id_of(&e->record);
    if (!key_equal(&e->record.owner, owner) && e->durable && e->writes == NULL) {
      dht_forget(dht, e, fx);
      dropped++;
    }
    e = store_after(&dht->store, &id);
  }
  return dropped;
}

bool dht_has_other_live(const struct dht *dht, msec_wall wall, const struct record *record) {
  struct record_id id = record_id_of(record);
  const struct entry *e = store_find(&dht->store, &id);
  if (e == NULL) return false;
  const struct record *newest = e->writes != NULL ? &e->writes->record : &e->record;
  return (e->writes != NULL || e->durable) && !newest->tombstone && newest->expires > wall &&
         !key_equal(&newest->digest, &record->digest);
}

uint64_t dht_version(const struct dht *dht, const struct key *key, const struct key *owner,
                     const struct key *nonce) {
  struct record_id id = {*key, *owner, *nonce};
  const struct entry *e = store_find(&dht->store, &id);
  uint64_t version = 0;
  if (e == NULL) return 0;
  if (e->durable) version = e->record.version;
  for (const struct put *p = e->writes; p != NULL; p = p->older)
    if (p->record.version > version) version = p->record.version;
  return version;
}

static bool was_found(const struct dht *dht, const struct key *key) {
  for (unsigned i = 0; dht->found != NULL && i < dht->found->count; i++)
    if (key_equal(&dht->found->key[i], key)) return true;
  return false;
}

bool dht_is_complete(const struct dht *dht, const struct key *key) {
  if (PLANTED(8)) return dht->member; /* sure before it has the records */
  return parts_has(&dht->complete, key) || was_found(dht, key);
}

bool dht_is_newcomer(const struct dht *dht) {
  return !dht->was_complete && dht->now < dht->newcomer_until;
}

/* A write that is under way is in no answer to a pull before the journal has it. */
static bool is_being_written(const struct dht *dht, const struct ranges *range) {
  uint32_t index = 0;
  for (const struct put *p; (p = pool_next(&dht->puts, &index)) != NULL;)
    if (p->entry != NULL && ranges_has(range, &p->id.key)) return true;
  return false;
}

static bool have_common(const struct ranges *a, const struct ranges *b) {
  struct ranges both;
  ranges_both(&both, a, b);
  return both.count > 0;
}

bool dht_takes_writes(const struct dht *dht, const struct key *from, const struct key *to) {
  struct ranges own = dht_own(dht), range;
  ranges_of(&range, from, to);
  return have_common(&own, &range) || is_being_written(dht, &range);
}

/* What is ours (again) is never among the ceded: ring.c. */
bool dht_vouches_for(const struct dht *dht, const struct key *from, const struct key *to) {
  struct interval part[2];
  unsigned count = interval_cut(from, to, part);
  for (unsigned i = 0; i < count; i++)
    if (!parts_cover(&dht->ceded, &part[i]) && !parts_cover(&dht->complete, &part[i])) return false;
  return true;
}

void dht_was_pulled(struct dht *dht, const struct key *from, const struct key *to) {
  struct interval part[2];
  unsigned count = interval_cut(from, to, part);
  struct ranges owed = parts_get(&dht->owed);
  for (unsigned i = 0; i < count; i++) (void)ranges_subtract(&owed, &part[i]);
  parts_set(&dht->owed, dht->memory, &owed);
}

/* Is any of it still to be told to its new owner? */
static bool owes(const struct dht *dht, const struct key *from, const struct key *to) {
  struct ranges owed = parts_get(&dht->owed), range;
  ranges_of(&range, from, to);
  return have_common(&owed, &range);
}

unsigned dht_read_range(const struct dht *dht, msec_wall wall, const struct key *from,
                        const struct key *to, const struct record_id *after, struct record *out,
                        unsigned max, bool *more) {
  struct interval part[2];
  unsigned parts = interval_cut(from, to, part), count = 0, i = 0;
  size_t bytes = 0;
  *more = false;
  if (parts == 2 && after != NULL && interval_has(&part[1], &after->key)) i = 1;
  for (; i < parts; i++) {
    const struct record_id *at = after;
    if (at != NULL && !interval_has(&part[i], &at->key)) at = NULL;
    struct record_id last;
    for (const struct entry *e;
         (e = store_next_in(&dht->store, &part[i].first, &part[i].last, at)) != NULL;) {
      last = record_id_of(&e->record);
      at = &last;
      if (e->record.floor <= wall) continue;
      if (count == max || (count > 0 && bytes + e->record.bytes.len > DHT_PUSH_BYTES_MAX)) {
        *more = true;
        return count;
      }
      out[count++] = e->record;
      bytes += e->record.bytes.len;
    }
  }
  /* An answer may be lost: who asks for what comes after these has them. */
  *more = count > 0 && owes(dht, from, to);
  return count;
}

bool dht_each(const struct dht *dht, uint32_t *cursor, struct record *out) {
  for (const struct entry *e; (e = store_at(&dht->store, *cursor)) != NULL;) {
    ++*cursor;
    if (!e->durable) continue;
    *out = e->record;
    return true;
  }
  return false;
}

struct dht_stats dht_stats(const struct dht *dht) {
  struct dht_stats stats = {.records = dht->store.records - dht->store.tombstones,
                            .tombstones = dht->store.tombstones,
                            .bytes = dht->store.bytes,
                            .puts = dht->put_count,
                            .finds = dht->finds.used,
                            .pulls = dht->fetch != NULL && dht->fetch->ticket != 0,
                            .syncs = dht->sync.exchanges};
  for (unsigned i = 0; i < dht->streams; i++) stats.pushes += dht->stream[i].ticket != 0;
  stats.complete = dht->own_known && dht_gaps(dht).count == 0;
  return stats;
}

/* ---- asking others for one key ---- */

void found_forget(struct dht *dht) {
  memory_give(dht->memory, dht->found, sizeof *dht->found);
  dht->found = NULL;
  dht->rings++;
}

static void found_add(struct dht *dht, const struct key *key) {
  if (dht->found == NULL) dht->found = memory_take(dht->memory, sizeof *dht->found);
  if (dht->found == NULL) return; /* it is asked for again */
  struct found *found = dht->found;
  found->key[found->next] = *key;
  found->next = (found->next + 1) % FOUND_MAX;
  if (found->count < FOUND_MAX) found->count++;
}

/* Those that wait for this one look again: what it found out holds for them, too, or they ask for
 * themselves. */
static void wake_waiting(struct dht *dht, const struct key *key) {
  uint32_t index = 0;
  for (struct find *find; (find = pool_next(&dht->finds, &index)) != NULL;)
    if (find->waits && key_equal(&find->key, key))
      timer_set(dht, &find->timer, TIMER_FIND, handle_pack(find->handle), dht->now);
}

static void find_finish(struct dht *dht, struct find *find, enum err status,
                        struct dht_effects *fx) {
  for (unsigned i = 0; i < find->source_count; i++) call_close(dht, find->source[i].ticket);
  timers_clear(&dht->timers, &find->timer);
  struct dht_effect *e = fx_add(fx, DHT_FIND_DONE);
  e->user = find->user;
  e->status = status;
  if (!find->waits) wake_waiting(dht, &find->key);
  pool_give(&dht->finds, find->handle);
}

/* So many, the nearest, have been read of which the last vouches; 0: none does. What those before
 * it hold was taken since, or is as old. */
static unsigned sure_sources(const struct find *find) {
  for (unsigned i = 0; i < find->source_count && find->source[i].read; i++)
    if (find->source[i].vouched) return i + 1;
  return 0;
}

static void find_pull(struct dht *dht, struct find *find, unsigned slot, struct dht_effects *fx) {
  const struct interval one = {find->key, find->key};
  uint32_t ticket = fx_has(fx, 2) ? call_open(dht, CALL_FIND, find->handle, slot) : 0;
  find->source[slot].ask = false;
  find->source[slot].ticket = ticket;
  find->source[slot].failed = ticket == 0;
  if (ticket == 0) return;
  struct dht_effect *e = fx_add(fx, DHT_PULL);
  e->ticket = ticket;
  e->to = find->source[slot].peer;
  e->range_from = interval_from(&one);
  e->range_to = find->key;
  e->has_after = find->source[slot].has_after;
  e->after = find->source[slot].after;
}

/* All there is is here, by the same measure as for a range (fetch.c): nobody takes writes for it
 * any more. Where others joined at the same time, only the nearest is believed. */
static void find_is_known(struct dht *dht, struct find *find, unsigned sure) {
  bool nearest = find->settles || sure == 1;
  if (find->lasts && nearest && find->rings == dht->rings && dht_is_own(dht, &find->key) &&
      !dht_is_complete(dht, &find->key))
    found_add(dht, &find->key);
}

/* Asks whom there is to ask, the nearest first, and ends when it is known what there is. */
static void find_advance(struct dht *dht, struct find *find, struct dht_effects *fx) {
  unsigned waiting = 0, failed = 0, sure = sure_sources(find);
  for (unsigned i = 0; sure == 0 && i < find->source_count; i++) {
    if (find->source[i].vouched) break; /* those behind it have no more to say */
    if (find->source[i].ask && waiting < FIND_ASKED) find_pull(dht, find, i, fx);
    waiting += find->source[i].ticket != 0;
    failed += find->source[i].failed;
  }
  if (sure > 0 || dht_is_complete(dht, &find->key)) {
    find_is_known(dht, find, sure);
    find_finish(dht, find, OK, fx);
  } else if (waiting == 0) {
    bool all = failed == 0 && find->source_count > 0 && find->settles;
    if (all) find_is_known(dht, find, 0);
    find_finish(dht, find, all ? OK : ERR_BUSY, fx);
  }
}

void find_on_pulled(struct dht *dht, struct find *find, unsigned slot, enum err status, bool owner,
                    bool more, const struct record_id *after, struct dht_effects *fx) {
  find->source[slot].ticket = 0;
  if (owner) find->lasts = false;
  if (status != OK && status != ERR_BUSY) {
    find->source[slot].failed = true;
  } else if (more) {
    find->source[slot].ask = true;
    /* A cursor that does not move would go on for ever. */
    if (find->source[slot].has_after && record_id_compare(after, &find->source[slot].after) <= 0) {
      find->source[slot].ask = false;
      find->source[slot].failed = true;
    }
    find->source[slot].has_after = true;
    find->source[slot].after = *after;
  } else {
    find->source[slot].read = true;
    find->source[slot].vouched = status == OK;
  }
  find_advance(dht, find, fx);
}

/* The next two successors hold what the old owner held; after a join they may be as new as we are,
 * so that all are asked, and one must vouch. While the fetch knows of none that does, the next two
 * may still vouch for this key. Where the key is not in our own range, our
 * view of the predecessor is stale, or the sender's view of us: it is asked, too. */
static void find_sources(const struct dht *dht, struct find *find) {
  struct peer peer[FIND_SOURCES];
  bool few = dht->was_complete || fetch_had_no_vouch(dht);
  unsigned count = dht_live_successors(dht, peer, few ? DEATH_SOURCES : FETCH_SOURCES);
  const struct peer *predecessor = overlay_predecessor(dht->overlay);
  if (predecessor != NULL && !dht_is_own(dht, &find->key) &&
      !overlay_is_suspect(dht->overlay, &predecessor->id)) {
    bool known = false;
    for (unsigned i = 0; i < count; i++) known = known || peer_same(&peer[i], predecessor);
    if (!known && !peer_same(predecessor, overlay_self(dht->overlay))) peer[count++] = *predecessor;
  }
  find->settles = dht->was_complete || (fetch_needs_no_vouch(dht) && dht_is_own(dht, &find->key));
  find->source_count = count;
  for (unsigned i = 0; i < count; i++) {
    find->source[i].peer = peer[i];
    find->source[i].ask = true;
  }
}

static void find_begin(struct dht *dht, struct find *find, struct dht_effects *fx) {
  find->waits = false;
  find->lasts = true;
  find->rings = dht->rings;
  timer_set(dht, &find->timer, TIMER_FIND, handle_pack(find->handle), find->deadline);
  if (!dht_is_complete(dht, &find->key)) find_sources(dht, find);
  find_advance(dht, find, fx);
}

void find_on_timer(struct dht *dht, struct find *find, struct dht_effects *fx) {
  if (find->waits && dht->now < find->deadline)
    find_begin(dht, find, fx);
  else
    find_finish(dht, find, dht_is_complete(dht, &find->key) ? OK : ERR_BUSY, fx);
}

/* One that asks for the same key, and that others may wait for. */
static bool is_asked_for(const struct dht *dht, const struct key *key) {
  uint32_t index = 0;
  for (const struct find *find; (find = pool_next(&dht->finds, &index)) != NULL;)
    if (!find->waits && key_equal(&find->key, key)) return true;
  return false;
}

enum err dht_find_wait(struct dht *dht, usec now, const struct key *key, usec deadline,
                       uint64_t user, struct dht_effects *fx) {
  dht_note_time(dht, now, NULL);
  bool waits = !dht_is_complete(dht, key) && is_asked_for(dht, key);
  struct handle handle;
  struct find *find = pool_take(&dht->finds, &handle);
  if (find == NULL) return ERR_FULL;
  find->handle = handle;
  find->key = *key;
  find->user = user;
  find->deadline = deadline;
  find->waits = waits;
  if (waits)
    timer_set(dht, &find->timer, TIMER_FIND, handle_pack(handle), deadline);
  else
    find_begin(dht, find, fx);
  return OK;
}
