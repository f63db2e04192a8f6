/* SPDX-License-Identifier: BSD-2-Clause */
/* Records on their way to a peer: one batch under way at a time, the next when it is acknowledged,
 * a failed one again after a growing pause. */
#include "dht/state.h"

/* todo always begins at the position, so what comes before it is a part of its own. */
void stream_add(struct dht *dht, struct stream *stream, const struct interval *interval) {
  if (stream->ticket != 0) {
    parts_add(&stream->progress->added, dht->memory, interval);
    return;
  }
  if (stream->has_after && interval_has(interval, &stream->progress->after.key))
    stream->has_after = false;
  const struct interval *part = parts_first(&stream->todo);
  struct key first = part != NULL ? part->first : interval->first;
  parts_add(&stream->todo, dht->memory, interval);
  if (!key_equal(&first, &parts_first(&stream->todo)->first)) stream->has_after = false;
}

static void stream_take_added(struct dht *dht, struct stream *stream) {
  const struct interval *part;
  while ((part = parts_first(&stream->progress->added)) != NULL) {
    stream_add(dht, stream, part);
    parts_remove_first(&stream->progress->added, dht->memory);
  }
}

void stream_add_key(struct dht *dht, struct stream *stream, const struct key *key) {
  stream_add(dht, stream, &(struct interval){*key, *key});
}

/* False: no memory. */
static bool has_progress(struct dht *dht, struct stream *stream) {
  if (stream->progress == NULL)
    stream->progress = memory_take(dht->memory, sizeof *stream->progress);
  return stream->progress != NULL;
}

static void drop_progress(struct dht *dht, struct stream *stream) {
  if (stream->progress == NULL) return;
  parts_clear(&stream->progress->added, dht->memory);
  memory_give(dht->memory, stream->progress, sizeof *stream->progress);
  stream->progress = NULL;
  stream->has_after = false;
}

void stream_stop(struct dht *dht, struct stream *stream) {
  unsigned slot = stream->slot;
  call_close(dht, stream->ticket);
  timers_clear(&dht->timers, &stream->timer);
  parts_clear(&stream->todo, dht->memory);
  drop_progress(dht, stream);
  *stream = (struct stream){.slot = slot};
}

static void stream_later(struct dht *dht, struct stream *stream, usec delay) {
  timer_set(dht, &stream->timer, TIMER_STREAM, stream->slot, dht->now + delay);
}

/* Does this record belong into a batch to this peer? Shed records go each to their own next hop,
 * so a batch ends where the next hop changes. */
static bool fits_batch(const struct dht *dht, const struct stream *stream, const struct entry *e,
                       struct peer *to, bool first) {
  struct peer hop;
  if (stream->kind != STREAM_SHED) return true;
  if (!shed_next_hop(dht, &e->record.key, &hop)) return false;
  if (first) *to = hop;
  return peer_same(to, &hop);
}

/* Fills a batch from the first interval of todo. 0: there is nothing (left) in it. */
static unsigned stream_batch(struct dht *dht, struct stream *stream, struct dht_effect *out) {
  const struct interval *part = parts_first(&stream->todo);
  struct record_id at = stream->progress->after;
  bool has_at = stream->has_after;
  unsigned count = 0, looked = 0;
  size_t bytes = 0;
  struct ranges may_go;
  may_go.count = 0;
  stream->batch_more = false;
  if (stream->slot == SLOT_SHED) shed_may_go(dht, &may_go);
  for (struct entry *e;
       (e = store_next_in(&dht->store, &part->first, &part->last, has_at ? &at : NULL)) != NULL;) {
    bool fits = fits_batch(dht, stream, e, &stream->to, count == 0);
    if (count == BATCH_RECORDS || looked++ == 8 * BATCH_RECORDS || (count > 0 && !fits) ||
        (count > 0 && bytes + e->record.bytes.len > DHT_PUSH_BYTES_MAX)) {
      stream->batch_more = true;
      break;
    }
    at = record_id_of(&e->record);
    has_at = true;
    if (stream->slot == SLOT_SHED) e->shedding = false;
    if (!fits || e->record.floor <= dht_wall(dht)) continue;
    if (stream->slot == SLOT_SHED && !shed_needs_push(dht, e, &may_go)) continue;
    if (stream->slot == SLOT_SHED) e->shedding = true;
    out->record[count++] = e->record;
    bytes += e->record.bytes.len;
  }
  if (has_at) stream->progress->batch_last = at;
  out->record_count = count;
  out->range_from = interval_from(part);
  out->range_to = part->last;
  out->last = !stream->batch_more;
  return count;
}

static void stream_ended(struct dht *dht, struct stream *stream, struct dht_effects *fx) {
  timers_clear(&dht->timers, &stream->timer);
  if (stream->kind == STREAM_HAND_OVER) {
    if (dht->stream[SLOT_STRAYS].todo.count > 0 || /* these know what nobody else may */
        copies_lack(dht) || hand_over_waits(dht))
      stream_later(dht, stream, HAND_OVER_LOOK_US);
    else if (!hand_over_next(dht, fx))
      hand_over_done(dht, OK, fx);
  }
  if (stream->slot == SLOT_SHED) shed_pushed_all(dht);
}

/* Moves on behind the batch that is done. */
static void stream_advance(struct dht *dht, struct stream *stream) {
  stream->has_after = stream->batch_more;
  stream->progress->after = stream->progress->batch_last;
  if (stream->batch_more) {
    parts_first(&stream->todo)->first = stream->progress->after.key;
    return;
  }
  parts_remove_first(&stream->todo, dht->memory);
}

void stream_step(struct dht *dht, struct stream *stream, struct dht_effects *fx) {
  if (stream->kind == STREAM_NONE || stream->ticket != 0) return;
  if (stream->todo.count > 0 && !has_progress(dht, stream)) {
    stream_later(dht, stream, RETRY_MIN_US);
    return;
  }
  for (unsigned rounds = 0; stream->todo.count > 0; rounds++) {
    if (!fx_has(fx, 2) || rounds == RANGES_MAX) {
      stream_later(dht, stream, 0);
      return;
    }
    struct dht_effect *e = fx_add(fx, DHT_PUSH);
    if (stream_batch(dht, stream, e) == 0) {
      fx->count--;
      stream_advance(dht, stream);
      continue;
    }
    e->to = stream->to;
    e->stray = stream->kind == STREAM_SHED;
    e->ticket = stream->ticket = call_open(dht, CALL_STREAM, HANDLE_NONE, stream->slot);
    if (stream->ticket == 0) {
      fx->count--;
      stream_later(dht, stream, RETRY_MIN_US);
    } else {
      stream_later(dht, stream, ANSWER_LOST_US);
    }
    return;
  }
  drop_progress(dht, stream);
  stream_ended(dht, stream, fx);
}

/* A leaver has no time to wait for one that is silent. */
static void choose_other(struct dht *dht, struct stream *stream) {
  struct peer live[COPIES_MAX];
  unsigned count = dht_live_successors(dht, live, COPIES_MAX);
  if (count == 0) return;
  stream->to = live[stream->failures % count];
  stream->has_after = false;
}

void stream_on_pushed(struct dht *dht, struct stream *stream, enum err status,
                      struct dht_effects *fx) {
  stream->ticket = 0;
  if (stream->kind == STREAM_NONE) return;
  if (status == OK) {
    stream->failures = 0;
    if (stream->kind == STREAM_SHED) shed_on_safe(dht, stream);
    stream_advance(dht, stream);
    stream_take_added(dht, stream);
    stream_step(dht, stream, fx);
    return;
  }
  stream_take_added(dht, stream);
  usec delay = RETRY_MIN_US << (stream->failures < 6 ? stream->failures : 6);
  stream->failures++;
  if (stream->kind == STREAM_HAND_OVER && dht->hand_over_stage > 1) {
    if (stream->failures == HAND_OVER_TRIES) parts_clear(&stream->todo, dht->memory);
  } else if (stream->kind == STREAM_HAND_OVER) {
    choose_other(dht, stream);
  }
  stream_later(dht, stream,
               stream->kind == STREAM_HAND_OVER ? RETRY_MIN_US : usec_min(delay, RETRY_MAX_US));
}

void stream_on_timer(struct dht *dht, struct stream *stream, struct dht_effects *fx) {
  if (stream->kind == STREAM_HAND_OVER && dht->now >= dht->hand_over_deadline) {
    hand_over_done(dht, ERR_TIMEOUT, fx);
    return;
  }
  if (stream->ticket != 0) {
    call_close(dht, stream->ticket);
    stream_on_pushed(dht, stream, ERR_TIMEOUT, fx);
    return;
  }
  stream_step(dht, stream, fx);
}
