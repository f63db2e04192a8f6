/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers that fell silent: routed around at once, probed at once and then after 1, 2, 4 ... 64 s,
 * and welcome again at the first answer. A full table forgets the one silent longest. */
#include "overlay/chord.h"

static struct doubt *find(const struct overlay *overlay, const struct key *id) {
  for (unsigned i = 0; i < overlay->doubt_count; i++) {
    if (key_equal(&overlay->doubts[i].peer.id, id)) return &overlay->doubts[i];
  }
  return NULL;
}

bool doubt_is(const struct overlay *overlay, const struct key *id) {
  return find(overlay, id) != NULL;
}

bool doubt_is_confirmed(const struct overlay *overlay, const struct key *id) {
  const struct doubt *doubt = find(overlay, id);
  return doubt != NULL && doubt->tries > 0;
}

bool doubt_same_life(const struct overlay *overlay, const struct peer *peer) {
  const struct doubt *doubt = find(overlay, &peer->id);
  return doubt != NULL && peer_same_life(&doubt->peer, peer);
}

static void next_probe(struct overlay *overlay) {
  overlay->doubt_at = USEC_NEVER;
  if (overlay->doubts == NULL) return;
  for (unsigned i = 0; i < overlay->doubt_count; i++) {
    if (overlay->doubts[i].waiting) continue;
    overlay->doubt_at = usec_min(overlay->doubt_at, overlay->doubts[i].probe_at);
  }
}

/* A neighbour that is in doubt no more is in the replica set again, though no pointer changed. */
static void take_out(struct overlay *overlay, struct doubt *doubt) {
  const struct key *self = &overlay->self.id, *id = &doubt->peer.id;
  if (peers_find(&overlay->list, self, id) != NULL) overlay->generation++;
  overlay->doubt_count--;
  *doubt = overlay->doubts[overlay->doubt_count];
  if (overlay->doubt_count == 0) {
    memory_give(overlay->memory, overlay->doubts, overlay->doubt_room * sizeof *overlay->doubts);
    overlay->doubts = NULL;
    overlay->doubt_room = 0;
  }
  next_probe(overlay);
}

static struct doubt *new_doubt(struct overlay *overlay) {
  if (overlay->doubt_count == overlay->doubt_room && overlay->doubt_room < DOUBTS_MAX) {
    uint8_t room = overlay->doubt_room == 0 ? 3 : (uint8_t)(overlay->doubt_room * 2);
    struct doubt *doubts = memory_take(overlay->memory, room * sizeof *doubts);
    if (doubts != NULL) {
      if (overlay->doubt_count > 0) {
        memcpy(doubts, overlay->doubts, overlay->doubt_count * sizeof *doubts);
      }
      memory_give(overlay->memory, overlay->doubts, overlay->doubt_room * sizeof *overlay->doubts);
      overlay->doubts = doubts;
      overlay->doubt_room = room;
    }
  }
  if (overlay->doubt_count < overlay->doubt_room) return &overlay->doubts[overlay->doubt_count++];
  struct doubt *oldest = overlay->doubts; /* NULL: no memory for a single one */
  for (unsigned i = 1; i < overlay->doubt_count; i++) {
    if (overlay->doubts[i].tries > oldest->tries) oldest = &overlay->doubts[i];
  }
  return oldest;
}

void doubt_add(struct overlay *overlay, const struct step *step, const struct peer *peer,
               usec probe_at) {
  (void)step;
  struct doubt *doubt = find(overlay, &peer->id);
  if (doubt != NULL) {
    if (peer->incarnation > doubt->peer.incarnation) doubt->peer = *peer;
    return;
  }
  doubt = new_doubt(overlay);
  if (doubt == NULL) return;
  *doubt = (struct doubt){.peer = *peer, .probe_at = probe_at};
  next_probe(overlay);
}

void doubt_clear(struct overlay *overlay, const struct step *step, const struct key *id) {
  struct doubt *doubt = find(overlay, id);
  if (doubt == NULL) return;
  if (step->trace != NULL) {
    outbox_trace(step->trace, &(struct trace){.kind = TRACE_PEER_ALIVE,
                                              .at = step->now,
                                              .key = doubt->peer.id,
                                              .peer = doubt->peer.at});
  }
  take_out(overlay, doubt);
}

void doubt_run(struct overlay *overlay, const struct step *step) {
  if (step->now < overlay->doubt_at) return;
  for (unsigned i = 0; i < overlay->doubt_count; i++) {
    struct doubt *doubt = &overlay->doubts[i];
    if (doubt->waiting || step->now < doubt->probe_at) continue;
    if (call_ask(overlay, step, &doubt->peer, OVERLAY_PING, CALL_PROBE) != NULL) {
      doubt->waiting = true;
    } else {
      doubt->probe_at = step->now + SEC(1);
    }
  }
  next_probe(overlay);
}

void doubt_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                    enum overlay_status status, const struct overlay_message *answer) {
  struct doubt *doubt = find(overlay, &call->to.id);
  if (doubt != NULL) doubt->waiting = false;
  if (status == OVERLAY_OK) {
    struct peer peer = call->to;
    peer.incarnation = answer->sender.incarnation;
    chord_proved(overlay, step, &peer);
  } else if (status == OVERLAY_BUSY) { /* not sent, or put off: no word on the peer */
    if (doubt != NULL) doubt->probe_at = step->now + SEC(1);
  } else if (status != OVERLAY_FAILED) { /* no member, or somebody else lives there */
    chord_lost(overlay, step, &call->to, false);
  } else if (doubt != NULL) {
    doubt->probe_at = step->now + jitter(overlay, SEC(1) << doubt->tries);
    doubt->tries++;
    bool lost = doubt->tries == DOUBT_TRIES_LOST || overlay->small;
    bool forget = doubt->tries >= DOUBT_TRIES_MAX;
    if (forget) take_out(overlay, doubt);
    if (lost && !forget) chord_lost(overlay, step, &call->to, true);
  }
  next_probe(overlay);
}
