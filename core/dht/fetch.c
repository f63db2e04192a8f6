/* SPDX-License-Identifier: BSD-2-Clause */
/* Filling our own range. What was not COMPLETE before is a gap; gaps are read one after
 * the other, batch by batch, from those who may hold their records.
 *
 * After a join that is the old owner, a successor of ours: not always the first, if others joined
 * at the same time. It vouches for what it gave up only once it knows that somebody is there,
 * because until then it still takes writes; so we ask round for a while until one vouches. What the
 * nearer ones have taken since is read, too. After a predecessor's death nobody can vouch: the next
 * two successors are read through. */
#include "dht/state.h"

static bool is_alone(const struct dht *dht) {
  struct peer other;
  return dht_live_successors(dht, &other, 1) == 0;
}

/* The first gap in our own range; false: there is none. */
static bool first_gap(const struct dht *dht, struct interval *gap) {
  struct ranges missing = dht_gaps(dht);
  if (missing.count > 0) *gap = missing.item[0];
  return missing.count > 0;
}

/* Is there time to look for the old owner, and for those after it to learn of us? */
static bool is_asking_round(const struct fetch *f) {
  return f->joining && f->vouch_tries < FETCH_VOUCH_TRIES;
}

bool fetch_needs_no_vouch(const struct dht *dht) {
  const struct fetch *f = dht->fetch;
  return dht->was_complete || (f != NULL && f->joining && !is_asking_round(f));
}

bool fetch_had_no_vouch(const struct dht *dht) {
  const struct fetch *f = dht->fetch;
  return f != NULL && is_asking_round(f) && f->vouch_tries > 0;
}

static void fetch_later(struct dht *dht, usec delay) {
  timer_set(dht, &dht->fetch_timer, TIMER_FETCH, 0, dht->now + delay);
}

/* Peers that restarted together do not ask together. */
static usec jittered(struct dht *dht, usec delay) {
  return delay - delay / 5 + rng_below(&dht->store.rng, delay / 5 * 2 + 1);
}

static void fetch_stop(struct dht *dht) {
  timers_clear(&dht->timers, &dht->fetch_timer);
  if (dht->fetch == NULL) return;
  call_close(dht, dht->fetch->ticket);
  dht->fetch->ticket = 0;
  dht->fetch->active = false;
}

void fetch_free(struct dht *dht) {
  fetch_stop(dht);
  memory_give(dht->memory, dht->fetch, sizeof *dht->fetch);
  dht->fetch = NULL;
}

/* Nothing is missing. What was read is no use for what will be. */
static void fetch_end(struct dht *dht) {
  found_forget(dht);
  fetch_free(dht);
  if (dht->own_known) dht->was_complete = true;
}

/* Reading goes on where the ring changed, or one failed, before all were read: in a ring that never
 * rests no range would be filled otherwise. */
static bool goes_on(const struct dht *dht, const struct interval *gap) {
  const struct fetch *f = dht->fetch;
  return f->source_count > 0 && f->joining == !dht->was_complete &&
         interval_has(&f->gap, &gap->first) && interval_has(&f->gap, &gap->last);
}

static bool was_read(const struct fetch *before, const struct peer *peer) {
  for (unsigned i = 0; i < before->source_count; i++)
    if (before->read[i] && dht_same_life(&before->peer[i], peer)) return true;
  return false;
}

/* False: no memory. */
static bool fetch_begin(struct dht *dht, const struct interval *gap) {
  if (dht->fetch == NULL) dht->fetch = memory_take(dht->memory, sizeof *dht->fetch);
  struct fetch *f = dht->fetch;
  if (f == NULL) return false;
  const struct fetch before = *f;
  bool same = goes_on(dht, gap);
  if (!same) f->failures = 0;
  f->gap = *gap;
  f->active = true;
  f->joining = !dht->was_complete;
  f->source_count = dht_live_successors(dht, f->peer, f->joining ? FETCH_SOURCES : DEATH_SOURCES);
  f->needed = f->source_count;
  f->has_after = f->vouched = f->sure = false;
  for (unsigned i = 0; i < FETCH_SOURCES; i++)
    f->read[i] = same && i < f->source_count && was_read(&before, &f->peer[i]);
  return true;
}

static void fetch_pull(struct dht *dht, struct dht_effects *fx) {
  struct fetch *f = dht->fetch;
  uint32_t ticket = fx_has(fx, 1) ? call_open(dht, CALL_FETCH, HANDLE_NONE, 0) : 0;
  if (ticket == 0) {
    fetch_later(dht, fx_has(fx, 1) ? FETCH_RETRY_US : 0);
    return;
  }
  f->ticket = ticket;
  struct dht_effect *e = fx_add(fx, DHT_PULL);
  e->ticket = ticket;
  e->to = f->peer[f->source];
  e->range_from = interval_from(&f->gap);
  e->range_to = f->gap.last;
  e->has_after = f->has_after;
  e->after = f->after;
  fetch_later(dht, ANSWER_LOST_US);
}

static void fetch_next_source(struct dht *dht, unsigned from, struct dht_effects *fx);

static void fetch_next_gap(struct dht *dht, struct dht_effects *fx) {
  struct interval gap;
  if (!first_gap(dht, &gap)) {
    fetch_end(dht);
    return;
  }
  if (fetch_begin(dht, &gap) && dht->fetch->source_count > 0)
    fetch_next_source(dht, 0, fx);
  else
    fetch_later(dht, FETCH_RETRY_US);
}

/* The gap is COMPLETE. The replica set gets what came in. */
static void fetch_filled(struct dht *dht, struct dht_effects *fx) {
  struct interval gap = dht->fetch->gap;
  dht->fetch->source_count = 0;
  struct ranges complete = parts_get(&dht->complete);
  if (!ranges_add(&complete, &gap)) {
    fetch_stop(dht); /* cannot be: both sets lie in one range of the ring */
    return;
  }
  parts_keep(&dht->complete, dht->memory, &complete);
  copies_add(dht, &gap, fx);
  fetch_next_gap(dht, fx);
}

/* The first from this one on that has not been read; else the verdict. */
static void fetch_next_source(struct dht *dht, unsigned from, struct dht_effects *fx) {
  struct fetch *f = dht->fetch;
  f->has_after = false;
  for (f->source = from; f->source < f->needed; f->source++)
    if (!f->read[f->source]) {
      fetch_pull(dht, fx);
      return;
    }
  bool all = f->needed > 0;
  for (unsigned i = 0; i < f->needed; i++) all = all && f->read[i];
  if (all && (f->sure || !is_asking_round(f))) {
    fetch_filled(dht, fx);
    return;
  }
  if (is_asking_round(f)) {
    f->vouch_tries++;
    f->active = false;
    memset(f->read, 0, sizeof f->read); /* all are asked again, whether they vouch now */
    fetch_later(dht, jittered(dht, f->vouch_tries * FETCH_VOUCH_US));
    return;
  }
  usec delay = FETCH_RETRY_US << (f->failures < 6 ? f->failures : 6);
  f->failures++;
  f->active = false;
  usec max = f->joining ? FETCH_JOIN_MAX_US : RETRY_MAX_US;
  fetch_later(dht, jittered(dht, usec_min(delay, max)));
}

void fetch_restart(struct dht *dht, struct dht_effects *fx) {
  struct fetch *f = dht->fetch;
  struct interval gap;
  if (dht->own_known && is_alone(dht)) { /* a ring of one */
    fetch_end(dht);
    struct ranges own = dht_own(dht);
    parts_keep(&dht->complete, dht->memory, &own);
    return;
  }
  if (!first_gap(dht, &gap)) {
    fetch_end(dht);
    return;
  }
  /* The same gap from the same peers goes on. */
  struct peer peer[FETCH_SOURCES];
  unsigned count =
      dht_live_successors(dht, peer, dht->was_complete ? DEATH_SOURCES : FETCH_SOURCES);
  bool same =
      f != NULL && f->active && memcmp(&gap, &f->gap, sizeof gap) == 0 && count == f->source_count;
  for (unsigned i = 0; same && i < count; i++) same = peer_same(&peer[i], &f->peer[i]);
  if (same) return;
  found_forget(dht);
  fetch_stop(dht);
  fetch_next_gap(dht, fx);
}

void fetch_on_pulled(struct dht *dht, enum err status, bool owner, bool more,
                     const struct record_id *after, struct dht_effects *fx) {
  struct fetch *f = dht->fetch;
  bool first_page = !f->has_after;
  f->ticket = 0;
  timers_clear(&dht->timers, &dht->fetch_timer);
  if (!f->active) return;
  if (status != OK && status != ERR_BUSY) {
    fetch_next_source(dht, f->source + 1, fx);
    return;
  }
  f->vouched = (first_page || f->vouched) && status == OK && !owner;
  f->owner = (!first_page && f->owner) || owner;
  if (!f->vouched && !f->sure && is_asking_round(f)) {
    fetch_next_source(dht, f->source + 1, fx);
    return;
  }
  if (more && !(f->has_after && record_id_compare(after, &f->after) <= 0)) {
    f->has_after = true;
    f->after = *after;
    fetch_pull(dht, fx);
    return;
  }
  /* Who takes writes is read again when it has learnt of us; and where the cursor does not move,
   * that was no answer. */
  f->read[f->source] = !more && !f->owner;
  if (!f->read[f->source] || !f->vouched || f->sure) {
    fetch_next_source(dht, f->source + 1, fx);
  } else if (!f->joining || f->source == 0) {
    fetch_filled(dht, fx);
  } else { /* back to those before it */
    f->sure = true;
    f->needed = f->source;
    f->source = 0;
    f->has_after = false;
    fetch_pull(dht, fx);
  }
}

void fetch_on_timer(struct dht *dht, struct dht_effects *fx) {
  struct fetch *f = dht->fetch;
  if (f != NULL && f->ticket != 0) { /* the answer was lost */
    call_close(dht, f->ticket);
    f->ticket = 0;
    fetch_next_source(dht, f->source + 1, fx);
  } else if (f != NULL && f->active && f->source_count > 0) {
    fetch_pull(dht, fx); /* there was no room for it */
  } else {
    fetch_next_gap(dht, fx);
  }
}
