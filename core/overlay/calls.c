/* SPDX-License-Identifier: BSD-2-Clause */
/* Making calls and keeping account of those that will be answered. */
#include "overlay/chord.h"

void message_begin(struct overlay_message *message, enum overlay_method method,
                   const struct peer *sender) {
  message->method = method;
  message->sender = *sender;
  message->subject = (struct peer){0};
  message->lost = false;
  message->predecessor = (struct peer){0};
  message->successor_count = 0;
  message->member_count = 0;
}

void message_add_state(struct overlay_message *message, const struct overlay *overlay) {
  message->predecessor = overlay->predecessor;
  message->successor_count = overlay->list.count;
  for (unsigned i = 0; i < overlay->list.count; i++) message->successor[i] = overlay->list.at[i];
  if (!overlay->small) return;
  message->member_count = overlay->members.count;
  for (unsigned i = 0; i < overlay->members.count; i++) {
    message->member[i] = overlay->members.at[i];
  }
}

static struct overlay_call *call_new(struct overlay *overlay, const struct step *step,
                                     const struct peer *to, enum overlay_method method) {
  if (step->calls == NULL || step->calls->count >= OVERLAY_CALLS_MAX) return NULL;
  struct overlay_call *call = &step->calls->call[step->calls->count++];
  call->ticket = 0;
  call->routed = false;
  call->final = false;
  call->key = to->id;
  call->to = *to;
  message_begin(&call->message, method, &overlay->self);
  return call;
}

struct overlay_call *call_tell(struct overlay *overlay, const struct step *step,
                               const struct peer *to, enum overlay_method method) {
  return call_new(overlay, step, to, method);
}

static bool pending_reserve(struct overlay *overlay) {
  if (overlay->pending_count < overlay->pending_room) return true;
  if (overlay->pending_room >= PENDING_MAX) return false;
  uint8_t room = overlay->pending_room == 0 ? 2 : (uint8_t)(overlay->pending_room * 2);
  struct pending *pending = memory_take(overlay->memory, room * sizeof *pending);
  if (pending == NULL) return false;
  if (overlay->pending_count > 0) {
    memcpy(pending, overlay->pending, overlay->pending_count * sizeof *pending);
  }
  memory_give(overlay->memory, overlay->pending, overlay->pending_room * sizeof *pending);
  overlay->pending = pending;
  overlay->pending_room = room;
  return true;
}

struct overlay_call *call_ask(struct overlay *overlay, const struct step *step,
                              const struct peer *to, enum overlay_method method,
                              enum purpose purpose) {
  if (!pending_reserve(overlay)) return NULL;
  struct overlay_call *call = call_new(overlay, step, to, method);
  if (call == NULL) return NULL;
  if (++overlay->ticket == 0) overlay->ticket = 1;
  call->ticket = overlay->ticket;
  overlay->pending[overlay->pending_count++] = (struct pending){
      .to = *to, .ticket = call->ticket, .purpose = (uint8_t)purpose, .since = step->now};
  return call;
}

struct overlay_call *call_route(struct overlay *overlay, const struct step *step,
                                const struct peer *to, const struct key *key, bool final,
                                enum purpose purpose, uint8_t bit) {
  struct overlay_call *call = call_ask(overlay, step, to, OVERLAY_ROUTE, purpose);
  if (call == NULL) return NULL;
  call->routed = true;
  call->final = final;
  call->key = *key;
  struct pending *pending = &overlay->pending[overlay->pending_count - 1];
  pending->to.id = (struct key){{0}}; /* whoever is responsible answers */
  pending->bit = bit;
  return call;
}

bool call_is_pending(const struct overlay *overlay, enum purpose purpose, const struct key *to) {
  for (unsigned i = 0; i < overlay->pending_count; i++) {
    const struct pending *p = &overlay->pending[i];
    if (p->purpose == purpose && key_equal(&p->to.id, to)) return true;
  }
  return false;
}

unsigned call_count(const struct overlay *overlay, enum purpose purpose) {
  unsigned count = 0;
  for (unsigned i = 0; i < overlay->pending_count; i++) {
    count += overlay->pending[i].purpose == purpose;
  }
  return count;
}

bool call_take(struct overlay *overlay, uint32_t ticket, struct pending *out) {
  for (unsigned i = 0; i < overlay->pending_count; i++) {
    if (overlay->pending[i].ticket != ticket) continue;
    *out = overlay->pending[i];
    overlay->pending_count--;
    memmove(&overlay->pending[i], &overlay->pending[i + 1],
            (overlay->pending_count - i) * sizeof *overlay->pending);
    if (overlay->pending_count == 0 && overlay->pending_room > 4) {
      memory_give(overlay->memory, overlay->pending,
                  overlay->pending_room * sizeof *overlay->pending);
      overlay->pending = NULL;
      overlay->pending_room = 0;
    }
    return true;
  }
  return false;
}

usec pause_between(struct overlay *overlay, usec now, usec low, usec high) {
  return now + rng_between(&overlay->rng, low, high);
}
