/* SPDX-License-Identifier: BSD-2-Clause */
/* Carries out what overlay, dht and edge ask for, and hands them the answers. */
#include "locser/convert.h"
#include "node/look.h"
#include "node/mail.h"
#include "usage/location.h"

#define CALL_TIMEOUT SEC(3)      /* a direct call of the overlay */
#define REPLICATE_TIMEOUT SEC(6) /* includes the other's store */
#define PUSH_ITEMS_LEFT 48u      /* what the rest of a step needs beside a push */
#define PUSH_BYTES_LEFT ((size_t)128 * 1024)

/* ---- overlay ---- */

static void answer_overlay(struct step *s, uint32_t ticket, enum overlay_status status,
                           const struct overlay_message *answer) {
  struct overlay_calls calls;
  calls.count = 0;
  overlay_on_answer(s->node->overlay, s->now, ticket, status, answer, &calls, s->out);
  pump_overlay(s, &calls);
}

/* No room to send says nothing about the peer that was to be asked. */
static void call_failed(struct step *s, uint32_t ticket) {
  if (ticket != 0) answer_overlay(s, ticket, OVERLAY_BUSY, NULL);
}

static void call_overlay(struct step *s, const struct overlay_call *call) {
  struct xml_overlay xml = {0};
  locser_overlay_to_xml(&call->message, &xml);
  size_t mark = outbox_mark(s->out);
  xml_put_call(&s->out->bytes, locser_xml_method(call->message.method), NULL, 0, &xml);
  enum tag tag = call->ticket != 0 ? TAG_OVERLAY : TAG_NONE;
  const struct own_request own = {
      .kind = HOP_CALL,
      /* the method rides along: the answer's body does not say it */
      .user = tag_put(tag, call->ticket) | (uint64_t)call->message.method << 48,
      .to = &call->to,
      .target = {.key = call->routed ? call->key : call->to.id,
                 .direct = !call->routed,
                 .final = call->final},
      .body = outbox_text(s->out, mark),
      .deadline = s->now + CALL_TIMEOUT,
  };
  if (!forward_own(s, &own)) call_failed(s, call->ticket);
}

void pump_overlay(struct step *s, const struct overlay_calls *calls) {
  for (unsigned i = 0; i < calls->count; i++) call_overlay(s, &calls->call[i]);
}

static enum overlay_status overlay_status_of(uint16_t status) {
  switch (status) {
    case 200:
      return OVERLAY_OK;
    case 302:
      return OVERLAY_ELSEWHERE;
    case 410:
      return OVERLAY_NOT_ME;
    case 491:
      return OVERLAY_BUSY;
    case 503:
      return OVERLAY_NOT_JOINED;
    default:
      return OVERLAY_FAILED;
  }
}

static void overlay_answered(struct step *s, uint64_t user, uint16_t status, struct slice text,
                             const struct peer *contact) {
  enum overlay_status outcome = overlay_status_of(status);
  enum overlay_method method = (enum overlay_method)item_of(user);
  struct overlay_message answer = {.method = method};
  struct xml_body body;
  const char *why;
  if (outcome == OVERLAY_ELSEWHERE) {
    if (contact == NULL) {
      outcome = OVERLAY_FAILED;
    } else {
      answer.subject = *contact;
    }
  } else if (outcome == OVERLAY_OK) {
    if (xml_body_read(s->node->config.xml, text, &body, &why) != OK) {
      outcome = OVERLAY_FAILED;
    } else {
      locser_overlay_from_xml(&body.overlay, method, &answer);
    }
  }
  answer_overlay(s, (uint32_t)user, outcome, &answer);
}

/* ---- dht ---- */

static void push_ended(struct step *s, uint32_t ticket, enum err err) {
  struct dht_effects fx;
  fx.count = 0;
  dht_on_pushed(s->node->dht, s->now, ticket, err, &fx);
  pump_dht(s, &fx);
}

static void sync_ended(struct step *s, uint32_t ticket, enum err err, struct sync_view *view) {
  struct dht_effects fx;
  fx.count = 0;
  dht_on_synced(s->node->dht, s->now, ticket, err, view, &fx);
  pump_dht(s, &fx);
}

static void sync_answered(struct step *s, uint32_t ticket, uint16_t status, struct slice text) {
  struct xml_body body;
  const char *why;
  enum err err = status == 200 ? OK : status == 0 ? ERR_TIMEOUT : ERR_REFUSED;
  if (err == OK) err = xml_body_read(s->node->config.xml, text, &body, &why);
  if (err == OK && !body.overlay.present) err = ERR_SYNTAX;
  sync_ended(s, ticket, err, err == OK ? &body.sync : NULL);
}

static void pull_failed(struct step *s, uint32_t ticket) { copy_pulled(s, ticket, 0, SLICE_EMPTY); }

static bool replicate(struct step *s, const struct dht_effect *effect, enum tag tag,
                      struct slice body) {
  const struct own_request own = {
      .kind = HOP_CALL,
      .user = tag_put(tag, effect->ticket),
      .to = &effect->to,
      .target = {.key = effect->to.id, .direct = true},
      .body = body,
      .deadline = s->now + REPLICATE_TIMEOUT,
  };
  return forward_own(s, &own);
}

/* */
static struct slice replicate_body(struct step *s, const struct dht_effect *effect) {
  struct slice texts[16];
  struct xml_overlay xml = {.present = true,
                            .limit = effect->limit,
                            .stray = effect->stray,
                            .has_range = true,
                            .range_from = effect->range_from,
                            .range_to = effect->range_to,
                            .has_after = effect->has_after,
                            .after = effect->after};
  xml.peer[xml.peer_count++] = (struct xml_peer){.role = XML_PEER_SELF, .peer = s->node->self};
  for (unsigned i = 0; i < effect->record_count; i++) texts[i] = effect->record[i].bytes;
  if (effect->kind == DHT_PUSH) xml.more = !effect->last;
  size_t mark = outbox_mark(s->out);
  xml_put_call(&s->out->bytes, XML_OVERLAY_REPLICATE, texts, effect->record_count, &xml);
  return outbox_text(s->out, mark);
}

/* */
static struct slice sync_body(struct step *s, const struct dht_effect *effect) {
  struct sync_view view;
  view.until = effect->until;
  view.part_count = 1;
  view.part[0] = effect->part;
  view.item_count = 0;
  struct xml_overlay xml = {.present = true, .sync = &view};
  xml.peer[xml.peer_count++] = (struct xml_peer){.role = XML_PEER_SELF, .peer = s->node->self};
  size_t mark = outbox_mark(s->out);
  xml_put_call(&s->out->bytes, XML_OVERLAY_SYNC, NULL, 0, &xml);
  return outbox_text(s->out, mark);
}

/* A step is bounded: pushes beyond it fail, and are tried again. The body is written twice. */
static bool has_room_for(const struct step *s, const struct dht_effect *effect) {
  size_t bytes = 0;
  for (unsigned i = 0; i < effect->record_count; i++) bytes += effect->record[i].bytes.len;
  return outbox_has(s->out, PUSH_ITEMS_LEFT, 2 * bytes + PUSH_BYTES_LEFT);
}

/* Effects that carry records are written out first: the records are borrowed from the store. */
static bool carry_records(struct step *s, const struct dht_effect *effect) {
  switch (effect->kind) {
    case DHT_STORE:
    case DHT_ERASE: {
      bool store = effect->kind == DHT_STORE;
      struct output *out = outbox_add(s->out, store ? OUT_STORE : OUT_ERASE);
      out->ticket = tag_put(TAG_STORE, effect->ticket);
      out->record = effect->record[0];
      out->record.bytes = outbox_copy(s->out, effect->record[0].bytes);
      return true;
    }
    case DHT_PUSH:
      return has_room_for(s, effect) && replicate(s, effect, TAG_PUSH, replicate_body(s, effect));
    case DHT_PULL:
      return replicate(s, effect, TAG_PULL, replicate_body(s, effect));
    case DHT_SYNC:
      return replicate(s, effect, TAG_SYNC, sync_body(s, effect));
    case DHT_PUT_DONE:
    case DHT_FIND_DONE:
    case DHT_HANDED_OVER:
      break;
  }
  return true;
}

static void tell_outcome(struct step *s, const struct dht_effect *effect) {
  struct operation *op = operation_of(s->node, effect->user);
  switch (effect->kind) {
    case DHT_PUT_DONE:
      if (effect->status == ERR_IO) {
        outbox_trace(s->out, &(struct trace){.kind = TRACE_STORE_FAILED,
                                             .at = s->now,
                                             .key = op != NULL ? op->key : (struct key){0},
                                             .a = SLICE("the journal did not take a record")});
      }
      if (op != NULL) operation_on_done(s, op, effect->status, effect->copies);
      break;
    case DHT_FIND_DONE:
      if (op != NULL) operation_on_found(s, op, effect->status);
      break;
    case DHT_HANDED_OVER:
      command_left(s, effect->status == OK);
      break;
    case DHT_STORE:
    case DHT_ERASE:
    case DHT_PUSH:
    case DHT_PULL:
    case DHT_SYNC:
      break;
  }
}

static void could_not_send(struct step *s, enum dht_effect_kind kind, uint32_t ticket) {
  if (kind == DHT_PUSH) push_ended(s, ticket, ERR_FULL);
  if (kind == DHT_PULL) pull_failed(s, ticket);
  if (kind == DHT_SYNC) sync_ended(s, ticket, ERR_FULL, NULL);
}

void pump_dht(struct step *s, const struct dht_effects *fx) {
  enum dht_effect_kind kind[DHT_EFFECTS_MAX];
  uint32_t ticket[DHT_EFFECTS_MAX];
  unsigned refused = 0;
  for (unsigned i = 0; i < fx->count; i++) {
    const struct dht_effect *effect = &fx->effect[i];
    if (carry_records(s, effect)) continue;
    kind[refused] = effect->kind;
    ticket[refused++] = effect->ticket;
  }
  for (unsigned i = 0; i < fx->count; i++) tell_outcome(s, &fx->effect[i]);
  for (unsigned i = 0; i < refused; i++) could_not_send(s, kind[i], ticket[i]);
}

void pump_ring_changed(struct step *s) {
  struct node *node = s->node;
  /* What the dht does may itself show that a peer is gone: a few rounds, then the next step. */
  for (unsigned round = 0; round < 3; round++) {
    uint64_t generation = overlay_generation(node->overlay);
    if (generation == node->ring_generation) return;
    node->ring_generation = generation;
    struct dht_effects fx;
    fx.count = 0;
    dht_on_ring(node->dht, s->now, node_wall(node, s->now), &fx);
    pump_dht(s, &fx);
  }
}

void pump_on_answer(struct step *s, uint64_t user, uint16_t status, struct slice body,
                    const struct peer *contacts, unsigned count) {
  switch (tag_of(user)) {
    case TAG_OVERLAY:
      overlay_answered(s, user, status, body, count > 0 ? contacts : NULL);
      break;
    case TAG_LOOK:
      look_on_answer(s, user, status, body, contacts, count);
      break;
    case TAG_PUSH:
      push_ended(s, (uint32_t)user, status == 200 ? OK : status == 0 ? ERR_TIMEOUT : ERR_REFUSED);
      break;
    case TAG_PULL:
      copy_pulled(s, (uint32_t)user, status, body);
      break;
    case TAG_SYNC:
      sync_answered(s, (uint32_t)user, status, body);
      break;
    case TAG_HOP:
    case TAG_OPERATION:
    case TAG_ERRAND:
    case TAG_STORE:
    case TAG_PIN:
    case TAG_LETTER:
    case TAG_MAILBOX:
    case TAG_LATE:
    case TAG_NONE:
      break;
  }
}

/* ---- edge ---- */

static void edge_refused(struct step *s, const struct edge_call *call) {
  struct edge_calls calls;
  calls.count = 0;
  msec_wall wall = node_wall(s->node, s->now);
  if (call->kind == EDGE_LOCATE) {
    edge_on_located(s->node->edge, s->now, wall, call->user, ERR_BUSY, NULL, 0, &calls, s->out);
  } else if (call->user != 0) {
    edge_on_bound(s->node->edge, s->now, wall, call->user, ERR_BUSY, NULL, &calls, s->out);
  }
  pump_edge(s, &calls);
}

static void keep_mail(struct step *s, const struct edge_call *call) {
  const struct message message = {.from = call->mail.from,
                                  .to = call->aor,
                                  .id = call->mail.id,
                                  .type = call->mail.type,
                                  .body = call->mail.body,
                                  .sent = call->mail.sent};
  letter_begin(s, LETTER_FOR_EDGE, call->user, &message);
}

static void call_edge(struct step *s, const struct edge_call *call) {
  if (call->kind == EDGE_MAIL) {
    keep_mail(s, call);
    return;
  }
  if (call->kind == EDGE_ARRIVED) {
    mailbox_begin(s, call->aor);
    if (call->fresh) late_begin(s, call->aor);
    return;
  }
  if (call->kind == EDGE_MISSED) {
    mailbox_begin_later(s, call->aor);
    return;
  }
  if (call->kind == EDGE_DELIVERED) {
    mailbox_on_delivered(s, call->user, call->status);
    return;
  }
  bool locate = call->kind == EDGE_LOCATE;
  if (call->kind == EDGE_KEEP || call->kind == EDGE_FIND || call->kind == EDGE_TELL) {
    presence_begin(s, call);
    return;
  }
  enum errand_kind kind = locate                    ? ERRAND_GET
                          : call->kind == EDGE_BIND ? ERRAND_PUT
                                                    : ERRAND_REMOVE;
  struct errand *errand = errand_open(s, kind, locate ? FOR_EDGE_LOCATE : FOR_EDGE_BIND, call->user,
                                      call->aor, locate ? NULL : &call->contact);
  if (errand == NULL) {
    edge_refused(s, call);
    return;
  }
  errand->granted_s = call->granted_s;
  if (call->kind == EDGE_BIND) {
    outbox_trace(s->out, &(struct trace){.kind = TRACE_RECORD_PUT,
                                         .at = s->now,
                                         .key = errand->key,
                                         .a = errand->key_text,
                                         .b = errand->contact.uri});
  }
  errand_start(s, errand);
}

void pump_edge(struct step *s, const struct edge_calls *calls) {
  for (unsigned i = 0; i < calls->count; i++) call_edge(s, &calls->call[i]);
}
