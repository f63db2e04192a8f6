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

bool dht_is_complete(const struct dht *dht, const struct key *key) {
  if (PLANTED(8)) return dht->member; /* sure before it has the records */
  return parts_has(&dht->complete, key);
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

bool dht_takes_writes(const struct dht *dht, const struct key *from, const struct key *to) {
  struct ranges own = dht_own(dht), range, both;
  ranges_of(&range, from, to);
  ranges_both(&both, &own, &range);
  return both.count > 0 || is_being_written(dht, &range);
}

/* What is ours (again) is never among the ceded: ring.c. */
bool dht_vouches_for(struct dht *dht, const struct key *from, const struct key *to) {
  struct interval part[2];
  unsigned count = interval_cut(from, to, part);
  for (unsigned i = 0; i < count; i++)
    if (!parts_cover(&dht->ceded, &part[i]) && !parts_cover(&dht->complete, &part[i])) return false;
  struct ranges owed = parts_get(&dht->owed);
  for (unsigned i = 0; i < count; i++) (void)ranges_subtract(&owed, &part[i]);
  parts_set(&dht->owed, dht->memory, &owed);
  return true;
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
                            .pulls = dht->fetch.ticket != 0,
                            .syncs = dht->sync.exchanges};
  for (unsigned i = 0; i < dht->streams; i++) stats.pushes += dht->stream[i].ticket != 0;
  stats.complete = dht->own_known && dht_gaps(dht).count == 0;
  return stats;
}

/* ---- asking others for one key ---- */

static void find_finish(struct dht *dht, struct find *find, enum err status,
                        struct dht_effects *fx) {
  for (unsigned i = 0; i < find->source_count; i++) call_close(dht, find->source[i].ticket);
  timers_clear(&dht->timers, &find->timer);
  struct dht_effect *e = fx_add(fx, DHT_FIND_DONE);
  e->user = find->user;
  e->status = status;
  pool_give(&dht->finds, find->handle);
}

/* Is one sure, and has everybody been read who may have taken writes since: those before it? */
static bool find_is_sure(const struct find *find) {
  for (unsigned i = 0; i < find->source_count && find->source[i].read; i++)
    if (find->source[i].vouched) return true;
  return false;
}

/* Asks whom there is to ask, and ends when it is known what there is. */
static void find_advance(struct dht *dht, struct find *find, struct dht_effects *fx) {
  struct interval one = {find->key, find->key};
  unsigned waiting = 0, failed = 0;
  for (unsigned i = 0; i < find->source_count; i++) {
    if (find->source[i].ask) {
      find->source[i].ask = false;
      uint32_t ticket = fx_has(fx, 2) ? call_open(dht, CALL_FIND, find->handle, i) : 0;
      find->source[i].ticket = ticket;
      find->source[i].failed = ticket == 0;
      if (ticket != 0) {
        struct dht_effect *e = fx_add(fx, DHT_PULL);
        e->ticket = ticket;
        e->to = find->source[i].peer;
        e->range_from = interval_from(&one);
        e->range_to = find->key;
        e->has_after = find->source[i].has_after;
        e->after = find->source[i].after;
      }
    }
    waiting += find->source[i].ticket != 0;
    failed += find->source[i].failed;
  }
  if (find_is_sure(find) || dht_is_complete(dht, &find->key))
    find_finish(dht, find, OK, fx);
  else if (waiting == 0)
    find_finish(dht, find,
                failed == 0 && find->source_count > 0 && dht->was_complete ? OK : ERR_BUSY, fx);
}

void find_on_pulled(struct dht *dht, struct find *find, unsigned slot, enum err status, bool more,
                    const struct record_id *after, struct dht_effects *fx) {
  find->source[slot].ticket = 0;
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

void find_on_timer(struct dht *dht, struct find *find, struct dht_effects *fx) {
  find_finish(dht, find, dht_is_complete(dht, &find->key) ? OK : ERR_BUSY, fx);
}

/* The next two successors hold what the old owner held; after a join they may be as new as we are,
 * so that all are asked, and one must vouch. Where the key is not in our own range, our
 * view of the predecessor is stale, or the sender's view of us: it is asked, too. */
static void find_sources(const struct dht *dht, struct find *find) {
  struct peer peer[FIND_SOURCES];
  unsigned count =
      dht_live_successors(dht, peer, dht->was_complete ? DEATH_SOURCES : FETCH_SOURCES);
  const struct peer *predecessor = overlay_predecessor(dht->overlay);
  if (predecessor != NULL && !dht_is_own(dht, &find->key) &&
      !overlay_is_suspect(dht->overlay, &predecessor->id)) {
    bool known = false;
    for (unsigned i = 0; i < count; i++) known = known || peer_same(&peer[i], predecessor);
    if (!known && !peer_same(predecessor, overlay_self(dht->overlay))) peer[count++] = *predecessor;
  }
  find->source_count = count;
  for (unsigned i = 0; i < count; i++) {
    find->source[i].peer = peer[i];
    find->source[i].ask = true;
  }
}

enum err dht_find_wait(struct dht *dht, usec now, const struct key *key, usec deadline,
                       uint64_t user, struct dht_effects *fx) {
  dht_note_time(dht, now, NULL);
  struct handle handle;
  struct find *find = pool_take(&dht->finds, &handle);
  if (find == NULL) return ERR_FULL;
  find->handle = handle;
  find->key = *key;
  find->user = user;
  find->deadline = deadline;
  timer_set(dht, &find->timer, TIMER_FIND, handle_pack(handle), deadline);
  if (!dht_is_complete(dht, key)) find_sources(dht, find);
  find_advance(dht, find, fx);
  return OK;
}
