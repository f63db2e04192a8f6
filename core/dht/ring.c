/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring changed: what is ours now, what is missing, who should have copies. */
#include "base/plant.h"
#include "dht/state.h"

/* What was COMPLETE here and has a new owner: we may vouch for it until newer writes are there. */
static void cede(struct dht *dht, const struct ranges *own) {
  struct ranges complete = parts_get(&dht->complete), ceded = parts_get(&dht->ceded), lost;
  ranges_minus(&lost, &complete, own);
  if (lost.count == 0) return;
  for (unsigned i = 0; i < lost.count; i++) (void)ranges_add(&ceded, &lost.item[i]);
  parts_keep(&dht->ceded, dht->memory, &ceded);
  timer_set(dht, &dht->ceded_timer, TIMER_CEDED, 0, dht->now + CEDED_US);
}

/* A newcomer pulls what is its own now. A peer that was only believed dead, or cut off, does not:
 * it missed what was written here meanwhile, so it is sent that. */
static void owe(struct dht *dht, const struct ranges *own) {
  struct ranges before = dht_own(dht), owed = parts_get(&dht->owed), lost;
  ranges_minus(&lost, &before, own);
  ranges_minus(&owed, &owed, own);
  parts_set(&dht->owed, dht->memory, &owed);
  if (PLANTED(10) || !dht->own_known || lost.count == 0) return;
  for (unsigned i = 0; i < lost.count; i++) parts_add(&dht->owed, dht->memory, &lost.item[i]);
  timer_set(dht, &dht->owed_timer, TIMER_OWED, 0, dht->now + OWED_US);
}

static void forget_membership(struct dht *dht) {
  dht->own_known = false;
  parts_clear(&dht->complete, dht->memory);
  parts_clear(&dht->ceded, dht->memory);
  parts_clear(&dht->owed, dht->memory);
  dht->was_complete = false;
}

void dht_place(struct dht *dht, usec now) {
  struct key from, to;
  struct peer set[COPIES_MAX];
  dht_note_time(dht, now, NULL);
  if (!overlay_range(dht->overlay, &from, &to)) return;
  struct ranges own;
  ranges_of(&own, &from, &to);
  parts_keep(&dht->complete, dht->memory, &own);
  dht->own_from = from;
  dht->own_to = to;
  dht->member = dht->own_known = dht->was_complete = true;
  unsigned count = dht_live_successors(dht, set, dht->limits.replicas - 1);
  for (unsigned i = 0; i < count; i++) {
    dht->stream[SLOT_COPIES + i].kind = STREAM_COPY;
    dht->stream[SLOT_COPIES + i].to = set[i];
  }
}

void dht_on_ring(struct dht *dht, usec now, msec_wall wall, struct dht_effects *fx) {
  struct key from, to;
  dht_note_time(dht, now, &wall);
  bool was_member = dht->member;
  dht->member = overlay_is_member(dht->overlay);
  if (!was_member) dht->newcomer_until = now + NEWCOMER_US;
  if (!dht->member) {
    forget_membership(dht);
  } else if (overlay_range(dht->overlay, &from, &to)) {
    struct ranges own;
    ranges_of(&own, &from, &to);
    cede(dht, &own);
    owe(dht, &own);
    struct ranges complete = parts_get(&dht->complete);
    ranges_both(&complete, &complete, &own);
    parts_keep(&dht->complete, dht->memory, &complete);
    if (!dht->own_known || !key_equal(&from, &dht->own_from)) hand_over_again(dht);
    struct ranges ceded = parts_get(&dht->ceded);
    ranges_minus(&ceded, &ceded, &own);
    parts_keep(&dht->ceded, dht->memory, &ceded);
    dht->own_from = from;
    dht->own_to = to;
    dht->own_known = true;
  }
  /* Else the predecessor is not known just now: what was ours stays ours until it is. */
  fetch_restart(dht, fx);
  copies_on_ring(dht, fx);
  shed_on_ring(dht);
  if (!PLANTED(10)) sync_on_ring(dht); /* or a comparison would tell it */
}
