/* SPDX-License-Identifier: BSD-2-Clause */
/* Records that are somebody else's: a write taken here for a key of another peer is sent on to it,
 * and a copy that is not ours any more is sent to the responsible peer and, when it arrived safely
 * and a while has passed, dropped. Also the last of it: handing all over. */
#include "dht/state.h"

#define KNOWN_MAX 64u

/* The nearest at or after the key, up to `last`. */
static struct peer nearest_after(const struct dht *dht, const struct key *key,
                                 const struct peer *last) {
  struct peer known[KNOWN_MAX], best = *last;
  unsigned count = overlay_known_peers(dht->overlay, known, KNOWN_MAX);
  struct key least = key_distance(key, &best.id);
  for (unsigned i = 0; i < count; i++) {
    struct key distance = key_distance(key, &known[i].id);
    if (key_compare(&distance, &least) >= 0) continue;
    least = distance;
    best = known[i];
  }
  return best;
}

bool shed_next_hop(const struct dht *dht, const struct key *key, struct peer *out) {
  bool final = false;
  const struct peer *predecessor = overlay_predecessor(dht->overlay);
  if (predecessor == NULL || dht_is_own(dht, key)) return false;
  /* Often it is the one before us, who came between us and the one before, or one a little farther:
   * a copy for it is of no use at the peer before the key, where a route would lead. */
  bool known = overlay_next_hops(dht->overlay, key, NULL, 0, out, 1, &final) > 0;
  if (!known || (!final && key_in_range_open_closed(key, &out->id, &predecessor->id)))
    *out = nearest_after(dht, key, predecessor);
  return true;
}

/* The farther of two before us: nearer is a smaller distance to us. */
static int compare_distance(const struct key *self, const struct key *a, const struct key *b) {
  struct key da = key_distance(a, self), db = key_distance(b, self);
  return key_compare(&da, &db);
}

/* What we hold as one of k: from the k-th peer before us, or `margin` more, since not each of those
 * known need be alive. Peers that we do not know only make it larger. */
static void compute_keep(const struct dht *dht, unsigned margin, struct ranges *keep) {
  const struct key *self = &overlay_self(dht->overlay)->id;
  struct peer known[KNOWN_MAX];
  unsigned count = overlay_known_peers(dht->overlay, known, KNOWN_MAX);
  unsigned wanted = dht->limits.replicas + margin;
  if (count < wanted || !dht->own_known) {
    ranges_of(keep, self, self); /* all of the ring */
    return;
  }
  for (unsigned i = 0; i < wanted; i++) { /* the nearest first: few, so a plain selection */
    unsigned best = i;
    for (unsigned k = i + 1; k < count; k++)
      if (compare_distance(self, &known[k].id, &known[best].id) < 0) best = k;
    struct peer swap = known[i];
    known[i] = known[best];
    known[best] = swap;
  }
  ranges_of(keep, &known[wanted - 1].id, self);
}

static void outside_of_keep(const struct dht *dht, unsigned margin, struct ranges *outside) {
  const struct key *self = &overlay_self(dht->overlay)->id;
  struct ranges all, keep;
  compute_keep(dht, margin, &keep);
  ranges_of(&all, self, self);
  ranges_minus(outside, &all, &keep);
}

bool dht_is_holder(const struct dht *dht, const struct key *key) {
  struct ranges keep;
  if (dht_is_newcomer(dht)) return false;
  compute_keep(dht, 0, &keep);
  return ranges_has(&keep, key);
}

static void note_kept(struct dht *dht) {
  struct ranges keep;
  compute_keep(dht, 0, &keep);
  for (unsigned i = 0; i < keep.count; i++) parts_add(&dht->kept, dht->memory, &keep.item[i]);
}

/* Who was one of k since a copy was pushed may by now be the only one that has it. */
static void look_at_kept(struct dht *dht, const struct ranges *outside) {
  struct ranges kept = parts_get(&dht->kept), again;
  ranges_both(&again, outside, &kept);
  parts_set(&dht->shed_again, dht->memory, &again);
  parts_clear(&dht->kept, dht->memory);
  note_kept(dht);
}

/* Those just beyond the k of a replica set push theirs, too, but keep it: nobody compares it with
 * them, and it may be what the others lack. */
static void shed_start(struct dht *dht, struct dht_effects *fx) {
  struct stream *s = &dht->stream[SLOT_SHED];
  struct ranges outside;
  if (!dht->member || !dht->own_known || s->kind != STREAM_NONE || dht->drop_at != 0) return;
  outside_of_keep(dht, 0, &outside);
  look_at_kept(dht, &outside);
  if (outside.count == 0) return;
  parts_set(&s->todo, dht->memory, &outside);
  s->kind = STREAM_SHED;
  stream_step(dht, s, fx);
}

static void shed_later(struct dht *dht, usec delay) {
  timer_set(dht, &dht->shed_timer, TIMER_SHED, 0, dht->now + delay);
}

/* Alone, all is ours. */
static bool has_others(const struct dht *dht) {
  struct peer other;
  return dht->member && dht_live_successors(dht, &other, 1) > 0;
}

void shed_on_ring(struct dht *dht) {
  if (dht->member) note_kept(dht);
  if (has_others(dht)) {
    if (!dht->shed_timer.set) shed_later(dht, SHED_US);
    return;
  }
  stream_stop(dht, &dht->stream[SLOT_SHED]);
  stream_stop(dht, &dht->stream[SLOT_STRAYS]);
  timers_clear(&dht->timers, &dht->shed_timer);
  timers_clear(&dht->timers, &dht->owed_timer);
  parts_clear(&dht->owed, dht->memory);
  dht->drop_at = 0;
}

void shed_add_stray(struct dht *dht, const struct key *key, struct dht_effects *fx) {
  struct stream *s = &dht->stream[SLOT_STRAYS];
  s->kind = STREAM_SHED;
  stream_add_key(dht, s, key);
  stream_step(dht, s, fx);
}

void dht_pass_on(struct dht *dht, usec now, const struct key *key, struct dht_effects *fx) {
  struct peer hop;
  dht_note_time(dht, now, NULL);
  if (!dht->own_known || !shed_next_hop(dht, key, &hop)) return;
  struct key there = key_distance(key, &hop.id);
  struct key here = key_distance(key, &overlay_self(dht->overlay)->id);
  if (key_compare(&there, &here) < 0) shed_add_stray(dht, key, fx); /* so that it ends */
}

void shed_owed(struct dht *dht, struct dht_effects *fx) {
  struct stream *s = &dht->stream[SLOT_STRAYS];
  if (dht->owed.count == 0) return;
  s->kind = STREAM_SHED;
  struct ranges owed = parts_get(&dht->owed);
  for (unsigned i = 0; i < owed.count; i++) stream_add(dht, s, &owed.item[i]);
  parts_clear(&dht->owed, dht->memory);
  stream_step(dht, s, fx);
}

bool shed_needs_push(const struct dht *dht, struct entry *entry, const struct ranges *may_go) {
  if (parts_has(&dht->shed_again, &entry->record.key)) entry->shed = entry->told = false;
  return !entry->shed && (!entry->told || ranges_has(may_go, &entry->record.key));
}

void shed_may_go(const struct dht *dht, struct ranges *out) {
  outside_of_keep(dht, SHED_MARGIN, out);
}

void shed_on_safe(struct dht *dht, struct stream *stream) {
  struct ranges may_go;
  if (stream->slot != SLOT_SHED) return;
  shed_may_go(dht, &may_go);
  const struct interval *part = parts_first(&stream->todo);
  struct record_id at = stream->progress->after;
  bool has_at = stream->has_after;
  for (struct entry *e;
       (e = store_next_in(&dht->store, &part->first, &part->last, has_at ? &at : NULL)) != NULL;) {
    at = record_id_of(&e->record);
    has_at = true;
    if (record_id_compare(&at, &stream->progress->batch_last) > 0) break;
    if (e->shedding && ranges_has(&may_go, &at.key))
      e->shed = true;
    else if (e->shedding)
      e->told = true;
    e->shedding = false;
  }
}

void shed_pushed_all(struct dht *dht) {
  struct stream *s = &dht->stream[SLOT_SHED];
  stream_stop(dht, s);
  dht->drop_at = dht->now + HOLD_DOWN_US;
  shed_later(dht, HOLD_DOWN_US);
}

/* What was shed and is still not ours goes. False: more than there was room for. */
static bool drop_shed(struct dht *dht, struct dht_effects *fx) {
  struct ranges outside;
  shed_may_go(dht, &outside);
  for (unsigned i = 0; i < outside.count; i++) {
    struct record_id at;
    bool has_at = false;
    unsigned looked = 0;
    for (struct entry *e;
         (e = store_next_in(&dht->store, &outside.item[i].first, &outside.item[i].last,
                            has_at ? &at : NULL)) != NULL;) {
      at = record_id_of(&e->record);
      has_at = true;
      if (looked++ == 4096) break; /* the next round has fewer to pass by */
      if (!e->shed || e->writes != NULL || parts_has(&dht->kept, &at.key)) continue;
      if (!fx_has(fx, 1)) return false;
      dht_forget(dht, e, fx);
    }
  }
  return true;
}

void shed_on_timer(struct dht *dht, struct dht_effects *fx) {
  if (dht->drop_at != 0 && dht->now >= dht->drop_at) {
    if (!drop_shed(dht, fx)) {
      shed_later(dht, 0);
      return;
    }
    dht->drop_at = 0;
  }
  shed_start(dht, fx);
  if (!dht->shed_timer.set) shed_later(dht, SHED_US);
}

/* ---- leaving ---- */

void hand_over_done(struct dht *dht, enum err status, struct dht_effects *fx) {
  stream_stop(dht, &dht->stream[SLOT_HAND_OVER]);
  dht->hand_over_deadline = 0;
  if (status == OK && overlay_is_cut_off(dht->overlay)) status = ERR_CLOSED;
  struct dht_effect *e = fx_add(fx, DHT_HANDED_OVER);
  e->status = status;
}

/* The i-th peer before us, i from 0. False: so many are not known. */
static bool known_before(const struct dht *dht, unsigned i, struct key *out) {
  struct peer known[KNOWN_MAX];
  unsigned count = overlay_known_peers(dht->overlay, known, KNOWN_MAX);
  *out = dht->own_from;
  for (; i > 0; i--) {
    const struct key *best = NULL, *last = out;
    for (unsigned k = 0; k < count; k++) {
      const struct key *id = &known[k].id;
      if (!key_in_range_open_open(id, &dht->own_to, last)) continue;
      if (best == NULL || compare_distance(last, id, best) < 0) best = id;
    }
    if (best == NULL) return false;
    *out = *best;
  }
  return true;
}

/* First our own range, to who will be responsible. Then, when we are gone, each of the k ranges
 * that we hold has a copy less: those of the i-th peer before us (0: our own) will be missing at
 * our (k - i)-th successor. */
bool hand_over_next(struct dht *dht, struct dht_effects *fx) {
  struct stream *s = &dht->stream[SLOT_HAND_OVER];
  const struct key *self = &dht->own_to;
  unsigned k = dht->limits.replicas;
  struct peer live[COPIES_MAX];
  unsigned count = dht_live_successors(dht, live, COPIES_MAX);
  for (; dht->hand_over_stage <= k; dht->hand_over_stage++) {
    unsigned i = dht->hand_over_stage == 0 ? 0 : dht->hand_over_stage - 1;
    unsigned place = dht->hand_over_stage == 0 ? 0 : k - 1 - i;
    if (place >= count || (dht->hand_over_stage > 0 && k == 1)) continue;
    struct key from, to = *self;
    if ((i > 0 && !known_before(dht, i - 1, &to)) || !known_before(dht, i, &from)) continue;
    struct ranges part;
    ranges_of(&part, &from, &to);
    stream_stop(dht, s);
    s->kind = STREAM_HAND_OVER;
    s->to = live[place];
    parts_set(&s->todo, dht->memory, &part);
    dht->hand_over_stage++;
    stream_step(dht, s, fx);
    return true;
  }
  return false;
}

/* What is ours now is more, or less, than what was pushed. */
void hand_over_again(struct dht *dht) { dht->hand_over_stage = 0; }

/* All that could take something fell silent just now: they may be back, or be found dead. */
bool hand_over_waits(const struct dht *dht) {
  struct peer other;
  return dht_live_successors(dht, &other, 1) == 0 &&
         overlay_successors(dht->overlay, &other, 1) > 0;
}

void dht_hand_over(struct dht *dht, usec now, msec_wall wall, usec deadline,
                   struct dht_effects *fx) {
  struct peer other;
  struct stream *s = &dht->stream[SLOT_HAND_OVER];
  dht_note_time(dht, now, &wall);
  stream_stop(dht, s);
  dht->hand_over_deadline = deadline;
  dht->hand_over_stage = 0;
  bool waits = hand_over_waits(dht);
  if (!dht->own_known || (!waits && dht_live_successors(dht, &other, 1) == 0)) {
    hand_over_done(dht, OK, fx); /* nobody is there to take anything */
    return;
  }
  s->kind = STREAM_HAND_OVER;
  shed_owed(dht, fx); /* later there is nobody to tell it */
  if (waits)
    stream_step(dht, s, fx);
  else
    (void)hand_over_next(dht, fx);
}
