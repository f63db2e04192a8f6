/* SPDX-License-Identifier: BSD-2-Clause */
/* Comparing what two peers hold. The responsible peer asks each of
 * its replicas about its own range, one after the other: with one digest where all is well. What
 * differs is cut finer by the one that answers, until few records are left, which are then named;
 * only those that differ travel, as pushes and pulls. Who answers remembers nothing.
 *
 * Between two peers there are at most two such comparisons, one from each side. */
#include "base/assert.h"
#include "dht/merge.h"
#include "dht/state.h"

/* */
#define TASKS_MAX 64u
#define EXCHANGES_MAX 1024u /* of one comparison; what is left is for the next */
#define ANSWER_BUDGET 8192u /* entries looked at for one answer */
#define COMPARE_BUDGET 2048u
#define LOOK_MAX 64u /* own records beside one list */
#define TASKS_A_STEP 8u
#define SYNC_SOON_US SEC(5) /* after a change of the ring; copies are under way before that */
#define SYNC_AGAIN_US SEC(2)
#define SYNC_PERIOD_US SEC(60)
#define SYNC_MARGIN_MS (CLOCK_SLACK_MS + 30000) /* what lapses so soon is left out */

enum task_kind { TASK_COMPARE, TASK_PUSH, TASK_PULL };
struct task {
  enum task_kind kind;
  struct sync_part part; /* count and digest: theirs */
};

/* One comparison. */
struct sync_run {
  struct peer to;
  msec_wall until;
  uint32_t ticket;
  bool differed;      /* anything did */
  bool cut_short;     /* not all that differs was looked at */
  unsigned exchanges; /* so far */
  struct task at;     /* what the call under way is about; its count and digest: ours */
  struct record_id pushed;
  unsigned task_count;
  struct task task[TASKS_MAX]; /* the last is next */
  unsigned want, want_count;   /* of `wanted`, those from `want` on are still to be pulled */
  struct {
    struct record_id id;
    bool joined; /* follows on the one before it at the other peer */
  } wanted[SYNC_ITEMS_MAX];
};

static void sync_later(struct dht *dht, usec delay) {
  timer_set(dht, &dht->sync.timer, TIMER_SYNC, 0, dht->now + delay);
}

static usec jittered(struct dht *dht, usec delay) {
  return rng_between(&dht->store.rng, delay - delay / 5, delay + delay / 5); /* */
}

void sync_stop(struct dht *dht) {
  if (dht->sync.run == NULL) return;
  call_close(dht, dht->sync.run->ticket);
  memory_give(dht->memory, dht->sync.run, sizeof *dht->sync.run);
  dht->sync.run = NULL;
}

/* ---- answering ---- */

static const struct entry *next_in(const struct dht *dht, const struct sync_part *part,
                                   const struct record_id *at) {
  const struct record_id *after = at != NULL ? at : part->has_after ? &part->after : NULL;
  const struct entry *e =
      after != NULL ? store_after(&dht->store, after) : store_at(&dht->store, 0);
  while (e != NULL && !e->durable) {
    struct record_id id = record_id_of(&e->record);
    e = store_after(&dht->store, &id);
  }
  if (e == NULL) return NULL;
  struct record_id id = record_id_of(&e->record);
  return record_id_compare(&id, &part->upto) <= 0 ? e : NULL;
}

static void list_items(const struct dht *dht, const struct sync_part *part, msec_wall until,
                       struct sync_view *out) {
  struct record_id at;
  const struct record_id *after = NULL;
  for (const struct entry *e; (e = next_in(dht, part, after)) != NULL; after = &at) {
    at = record_id_of(&e->record);
    if (e->record.floor <= until) continue;
    ASSERT(out->item_count < SYNC_ITEMS_MAX); /* they were counted */
    out->item[out->item_count++] =
        (struct sync_item){at, e->record.version, e->record.digest, e->record.tombstone};
  }
}

/* Entries up to this place. */
static uint32_t rank_past(const struct store *store, const struct record_id *id) {
  return store_rank(store, id, false) + (store_find(store, id) != NULL);
}

/* In pieces of as many entries each. */
static void split(const struct dht *dht, const struct sync_part *part, msec_wall until,
                  unsigned *budget, struct sync_view *out) {
  const struct store *store = &dht->store;
  uint32_t from = part->has_after ? rank_past(store, &part->after) : 0;
  uint32_t count = rank_past(store, &part->upto) - from;
  unsigned pieces = count < SYNC_PARTS_MAX ? count : SYNC_PARTS_MAX;
  struct sync_part piece = *part;
  for (unsigned i = 1; i <= pieces; i++) {
    piece.upto = part->upto;
    if (i < pieces) {
      uint32_t place = from + (uint32_t)((uint64_t)count * i / pieces);
      const struct entry *last = store_at(store, place - 1), *next = store_at(store, place);
      ASSERT(last != NULL && next != NULL);
      piece.upto = record_id_of(&last->record);
      if (!key_equal(&last->record.key, &next->record.key)) { /* a whole key is shorter to say */
        memset(&piece.upto.owner, 0xFF, KEY_BYTES);
        memset(&piece.upto.nonce, 0xFF, KEY_BYTES);
      }
    }
    store_digest(store, &piece, until, budget);
    out->part[out->part_count++] = piece;
    piece.has_after = true;
    piece.after = piece.upto;
  }
}

static bool is_equal(const struct sync_part *a, const struct sync_part *b) {
  return a->known && b->known && a->count == b->count && a->digest == b->digest;
}

void dht_answer_sync(const struct dht *dht, const struct sync_part *asked, msec_wall until,
                     struct sync_view *out) {
  unsigned budget = ANSWER_BUDGET;
  struct sync_part mine = *asked;
  out->until = 0;
  out->part_count = out->item_count = 0;
  store_digest(&dht->store, &mine, until, &budget);
  if (is_equal(asked, &mine)) return;
  bool is_empty = mine.known && (mine.count == 0 || (asked->known && asked->count == 0));
  if (is_empty) { /* one of us has nothing: all of it, or nothing, is to be moved */
    out->part[out->part_count++] = mine;
  } else if (mine.known && mine.count <= SYNC_ITEMS_MAX) {
    list_items(dht, &mine, until, out);
  } else {
    split(dht, &mine, until, &budget, out);
  }
}

/* ---- asking ---- */

static bool call(struct dht *dht, enum dht_effect_kind kind, struct dht_effects *fx,
                 struct dht_effect **out) {
  struct sync_run *run = dht->sync.run;
  run->ticket = call_open(dht, CALL_SYNC, HANDLE_NONE, 0);
  if (run->ticket == 0) {
    run->cut_short = true;
    return false;
  }
  struct dht_effect *e = fx_add(fx, kind);
  e->ticket = run->ticket;
  e->to = run->to;
  *out = e;
  run->exchanges++;
  dht->sync.exchanges++;
  sync_later(dht, ANSWER_LOST_US);
  return true;
}

static bool ask(struct dht *dht, const struct sync_part *mine, struct dht_effects *fx) {
  struct dht_effect *e;
  if (!call(dht, DHT_SYNC, fx, &e)) return false;
  dht->sync.run->at = (struct task){TASK_COMPARE, *mine};
  e->part = *mine;
  e->until = dht->sync.run->until;
  return true;
}

/* So many records of the part, from its beginning. */
static bool pull(struct dht *dht, const struct sync_part *part, unsigned limit,
                 struct dht_effects *fx) {
  struct dht_effect *e;
  if (!call(dht, DHT_PULL, fx, &e)) return false;
  dht->sync.run->at = (struct task){TASK_PULL, *part};
  struct interval keys = {.last = part->upto.key};
  if (part->has_after) keys.first = part->after.key;
  e->range_from = interval_from(&keys);
  e->range_to = keys.last;
  e->has_after = part->has_after;
  e->after = part->after;
  e->limit = limit;
  return true;
}

static struct record_id place_before(const struct record_id *id) {
  struct record_id place = *id;
  uint8_t byte[sizeof place];
  memcpy(byte, &place, sizeof byte);
  for (size_t i = sizeof byte; i-- > 0;)
    if (byte[i]-- != 0) break;
  memcpy(&place, byte, sizeof byte);
  return place;
}

static bool pull_wanted(struct dht *dht, struct dht_effects *fx) {
  struct sync_run *run = dht->sync.run;
  static const struct record_id zero;
  struct record_id first = run->wanted[run->want].id;
  struct sync_part part = {.after = place_before(&first)};
  part.has_after = record_id_compare(&first, &zero) != 0;
  unsigned limit = 0;
  do part.upto = run->wanted[run->want + limit++].id;
  while (run->want + limit < run->want_count && run->wanted[run->want + limit].joined);
  if (!pull(dht, &part, limit, fx)) return false;
  run->want += limit;
  run->at.part.count = 0; /* no page after this one */
  return true;
}

static bool fits(const struct dht_effect *push, const struct record *record) {
  size_t bytes = record->bytes.len;
  for (unsigned i = 0; i < push->record_count; i++) bytes += push->record[i].bytes.len;
  return push->record_count == 0 ||
         (push->record_count < BATCH_RECORDS && bytes <= DHT_PUSH_BYTES_MAX);
}

/* The next batch of a part of which they have nothing. False: there is none. */
static bool push_batch(struct dht *dht, struct task *task, struct dht_effects *fx) {
  struct sync_run *run = dht->sync.run;
  struct dht_effect *e;
  if (next_in(dht, &task->part, NULL) == NULL || !call(dht, DHT_PUSH, fx, &e)) return false;
  run->at = *task;
  run->pushed = task->part.upto;
  unsigned looked = 0;
  struct record_id at;
  const struct record_id *after = NULL;
  for (const struct entry *own; (own = next_in(dht, &task->part, after)) != NULL; after = &at) {
    if (!fits(e, &own->record) || looked++ == LOOK_MAX) {
      run->pushed = at;
      break;
    }
    at = record_id_of(&own->record);
    if (own->record.floor > run->until) e->record[e->record_count++] = own->record;
  }
  if (e->record_count > 0) return true;
  fx->count--; /* all of these lapse soon */
  call_close(dht, run->ticket);
  run->ticket = 0;
  task->part.has_after = true;
  task->part.after = run->pushed;
  return false;
}

/* ---- one comparison ---- */

static void begin_next(struct dht *dht, struct dht_effects *fx);

static void run_ended(struct dht *dht, bool failed, struct dht_effects *fx) {
  struct sync_run *run = dht->sync.run;
  dht->sync.differed = dht->sync.differed || run->differed || run->cut_short || failed;
  sync_stop(dht);
  begin_next(dht, fx);
}

static void add_task(struct sync_run *run, enum task_kind kind, const struct sync_part *part) {
  if (run->task_count == TASKS_MAX) {
    run->cut_short = true;
    return;
  }
  run->task[run->task_count++] = (struct task){kind, *part};
}

/* False: nothing was to be done for it. */
static bool begin_task(struct dht *dht, struct task *task, struct dht_effects *fx) {
  struct sync_run *run = dht->sync.run;
  struct sync_part mine = task->part;
  unsigned budget = COMPARE_BUDGET;
  switch (task->kind) {
    case TASK_COMPARE:
      store_digest(&dht->store, &mine, run->until, &budget);
      if (is_equal(&task->part, &mine)) return false;
      if (task->part.known && task->part.count == 0) {
        add_task(run, TASK_PUSH, &task->part);
        return false;
      }
      if (task->part.known && mine.known && mine.count == 0) {
        add_task(run, TASK_PULL, &task->part);
        return false;
      }
      return ask(dht, &mine, fx);
    case TASK_PUSH:
      if (push_batch(dht, task, fx)) return true;
      if (next_in(dht, &task->part, NULL) != NULL) add_task(run, TASK_PUSH, &task->part);
      return false;
    case TASK_PULL:
      return pull(dht, &task->part, BATCH_RECORDS, fx);
  }
  return false;
}

static void run_step(struct dht *dht, struct dht_effects *fx) {
  struct sync_run *run = dht->sync.run;
  for (unsigned i = 0; i < TASKS_A_STEP && fx_has(fx, 2); i++) {
    if (run->exchanges >= EXCHANGES_MAX) {
      run->cut_short = true;
      run_ended(dht, false, fx);
      return;
    }
    if (run->want < run->want_count) {
      if (pull_wanted(dht, fx)) return;
      run->want = run->want_count;
    } else if (run->task_count == 0) {
      run_ended(dht, false, fx);
      return;
    } else {
      struct task task = run->task[--run->task_count];
      if (begin_task(dht, &task, fx)) return;
    }
  }
  sync_later(dht, fx_has(fx, 2) ? 1 : 0); /* the next step goes on */
}

/* ---- answers to ours ---- */

/* Do these parts make up what was asked about, and say more than was known? */
static bool take_parts(const struct dht *dht, struct sync_view *view) {
  const struct sync_run *run = dht->sync.run;
  const struct sync_part *asked = &run->at.part;
  bool has_after = asked->has_after;
  struct record_id after = asked->after;
  for (unsigned i = 0; i < view->part_count; i++) {
    struct sync_part *part = &view->part[i];
    part->has_after = has_after;
    part->after = after;
    if (has_after && record_id_compare(&part->upto, &after) <= 0) return false;
    has_after = true;
    after = part->upto;
  }
  if (record_id_compare(&after, &asked->upto) != 0) return false;
  if (view->part_count > 1) return true;
  return view->part[0].known && (view->part[0].count == 0 || (asked->known && asked->count == 0));
}

static void on_parts(struct dht *dht, const struct sync_view *view) {
  struct sync_run *run = dht->sync.run;
  for (unsigned i = view->part_count; i-- > 0;) { /* the first of them is next */
    struct sync_part mine = view->part[i];
    unsigned budget = COMPARE_BUDGET;
    store_digest(&dht->store, &mine, run->until, &budget);
    if (!is_equal(&view->part[i], &mine)) add_task(run, TASK_COMPARE, &view->part[i]);
  }
}

static bool are_items_sound(const struct sync_part *asked, const struct sync_view *view) {
  for (unsigned i = 0; i < view->item_count; i++) {
    if (!sync_part_has(asked, &view->item[i].id)) return false;
    if (i > 0 && record_id_compare(&view->item[i - 1].id, &view->item[i].id) >= 0) return false;
  }
  return true;
}

static int compare_with(const struct entry *own, const struct sync_item *item) {
  const struct record other = {
      .version = item->version, .tombstone = item->tombstone, .digest = item->digest};
  return record_compare(&own->record, &other);
}

/* Their records of the part beside ours: what is better here goes into `push`, what is better there
 * is wanted. What there was no room for is compared again. */
static void merge_list(struct dht *dht, const struct sync_view *view, struct dht_effect *push) {
  struct sync_run *run = dht->sync.run;
  struct sync_part rest = run->at.part;
  unsigned i = 0, looked = 0;
  bool wanted_last = false;
  const struct entry *own = next_in(dht, &rest, NULL);
  run->want = run->want_count = 0;
  while (own != NULL || i < view->item_count) {
    struct record_id id;
    int order = own == NULL ? 1 : -1;
    if (own != NULL) id = record_id_of(&own->record);
    if (own != NULL && i < view->item_count) order = record_id_compare(&id, &view->item[i].id);
    bool pushes = order < 0 ? own->record.floor > run->until
                            : order == 0 && compare_with(own, &view->item[i]) > 0;
    bool wants = order > 0 || (order == 0 && compare_with(own, &view->item[i]) < 0);
    if ((pushes && !fits(push, &own->record)) || looked++ == LOOK_MAX) {
      rest.known = false;
      add_task(run, TASK_COMPARE, &rest);
      return;
    }
    if (pushes) push->record[push->record_count++] = own->record;
    if (wants) {
      run->wanted[run->want_count].id = view->item[i].id;
      run->wanted[run->want_count++].joined = wanted_last;
    }
    rest.has_after = true;
    rest.after = order > 0 ? view->item[i].id : id;
    if (order >= 0) {
      i++;
      wanted_last = wants;
    }
    if (order <= 0) own = next_in(dht, &run->at.part, &id);
  }
}

static void on_items(struct dht *dht, const struct sync_view *view, struct dht_effects *fx) {
  struct sync_run *run = dht->sync.run;
  struct dht_effect *push;
  if (!call(dht, DHT_PUSH, fx, &push)) return;
  merge_list(dht, view, push);
  run->pushed = run->at.part.upto; /* nothing more is to be pushed after it */
  if (push->record_count > 0) {
    run->at.kind = TASK_PUSH;
    return;
  }
  fx->count--;
  call_close(dht, run->ticket);
  run->ticket = 0;
}

void sync_on_answer(struct dht *dht, enum err status, struct sync_view *view,
                    struct dht_effects *fx) {
  struct sync_run *run = dht->sync.run;
  run->ticket = 0;
  bool is_sound = status == OK && run->at.kind == TASK_COMPARE &&
                  (view->part_count == 0 || view->item_count == 0) &&
                  (view->part_count == 0 || take_parts(dht, view)) &&
                  are_items_sound(&run->at.part, view);
  if (!is_sound) {
    run_ended(dht, true, fx);
    return;
  }
  if (view->part_count > 0 || view->item_count > 0) run->differed = true;
  if (view->part_count > 0) on_parts(dht, view);
  if (view->item_count > 0) on_items(dht, view, fx);
  if (run->ticket == 0) run_step(dht, fx);
}

void sync_on_pushed(struct dht *dht, enum err status, struct dht_effects *fx) {
  struct sync_run *run = dht->sync.run;
  run->ticket = 0;
  if (status != OK) {
    run_ended(dht, true, fx);
    return;
  }
  struct sync_part rest = run->at.part;
  rest.has_after = true;
  rest.after = run->pushed;
  if (record_id_compare(&rest.after, &rest.upto) < 0) add_task(run, TASK_PUSH, &rest);
  run_step(dht, fx);
}

void sync_on_pulled(struct dht *dht, enum err status, bool more, const struct record_id *after,
                    struct dht_effects *fx) {
  struct sync_run *run = dht->sync.run;
  run->ticket = 0;
  if (status != OK && status != ERR_BUSY) {
    run_ended(dht, true, fx);
    return;
  }
  struct sync_part rest = run->at.part;
  bool is_page = rest.count > 0;
  if (is_page && more && sync_part_has(&rest, after) && record_id_compare(after, &rest.upto) < 0) {
    rest.has_after = true;
    rest.after = *after;
    add_task(run, TASK_PULL, &rest);
  }
  run_step(dht, fx);
}

/* ---- one round: every replica, every interval of our own range ---- */

static void round_over(struct dht *dht) {
  struct sync *sync = &dht->sync;
  sync->next = 0;
  usec delay = SYNC_PERIOD_US;
  if (sync->differed) { /* was it healed? */
    delay = usec_min(SYNC_AGAIN_US << sync->repeats, SYNC_PERIOD_US);
    if (sync->repeats < 5) sync->repeats++;
  } else {
    sync->repeats = 0;
  }
  if (sync->soon) delay = usec_min(delay, SYNC_SOON_US);
  sync->differed = sync->soon = false;
  sync_later(dht, jittered(dht, delay));
}

static void begin_next(struct dht *dht, struct dht_effects *fx) {
  struct sync *sync = &dht->sync;
  struct peer peer[COPIES_MAX];
  unsigned count = copies_peers(dht, peer);
  if (count == 0) {
    timers_clear(&dht->timers, &sync->timer); /* until the ring changes */
    return;
  }
  if (dht_gaps(dht).count > 0) { /* what is being fetched need not be compared yet */
    sync_later(dht, SYNC_SOON_US);
    return;
  }
  const struct ranges ours = dht_own(dht);
  if (sync->next >= count * ours.count) {
    round_over(dht);
    return;
  }
  sync->run = memory_take(dht->memory, sizeof *sync->run);
  if (sync->run == NULL) {
    sync_later(dht, SYNC_PERIOD_US);
    return;
  }
  const struct interval *own = &ours.item[sync->next % ours.count];
  sync->run->to = peer[sync->next / ours.count];
  sync->run->until = dht_wall(dht) + SYNC_MARGIN_MS;
  sync->next++;
  struct sync_part all = {.upto = {.key = own->last}};
  memset(&all.upto.owner, 0xFF, KEY_BYTES);
  memset(&all.upto.nonce, 0xFF, KEY_BYTES);
  all.after = place_before(&(struct record_id){.key = own->first});
  all.has_after = !key_is_zero(&own->first);
  add_task(sync->run, TASK_COMPARE, &all);
  run_step(dht, fx);
}

void sync_on_ring(struct dht *dht) {
  struct sync *sync = &dht->sync;
  struct peer peer[COPIES_MAX];
  unsigned count = copies_peers(dht, peer);
  bool is_partner = false;
  for (unsigned i = 0; i < count && sync->run != NULL; i++)
    is_partner = is_partner || peer_same(&peer[i], &sync->run->to);
  if (!is_partner) sync_stop(dht);
  sync->next = 0;
  sync->repeats = 0;
  if (count == 0) {
    timers_clear(&dht->timers, &sync->timer);
  } else if (sync->run != NULL) {
    sync->soon = true;
  } else {
    usec delay = jittered(dht, SYNC_SOON_US);
    if (!sync->timer.set || sync->timer.at > dht->now + delay) sync_later(dht, delay);
  }
}

void sync_on_timer(struct dht *dht, struct dht_effects *fx) {
  struct sync_run *run = dht->sync.run;
  if (run == NULL)
    begin_next(dht, fx);
  else if (run->ticket != 0) /* the answer was lost */
    run_ended(dht, true, fx);
  else
    run_step(dht, fx);
}
