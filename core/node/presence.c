/* SPDX-License-Identifier: BSD-2-Clause */
/* What homes tell each other of presence: the edge says what, and this carries
 * it. What is told is a record in the layout of all, signed by the key of the address it
 * is about, but told to one peer instead of stored. */
#include "usage/presence.h"
#include "locser/convert.h"
#include "node/internal.h"

static void found(struct step *s, uint64_t user, enum err status, const struct slice *values,
                  unsigned count) {
  struct edge_calls calls;
  calls.count = 0;
  edge_on_found(s->node->edge, s->now, node_wall(s->node, s->now), user, status, values, count,
                &calls, s->out);
  pump_edge(s, &calls);
}

void presence_told(struct step *s, uint64_t user, uint16_t status) {
  struct edge_calls calls;
  calls.count = 0;
  /* 200, 403 and 404 are answers; of the rest nobody knows. */
  uint16_t known = status == 200 || status == 403 || status == 404 ? status : 503;
  edge_on_told(s->node->edge, s->now, node_wall(s->node, s->now), user, known, &calls, s->out);
  pump_edge(s, &calls);
}

static void refused(struct step *s, const struct edge_call *call) {
  if (call->kind == EDGE_FIND) found(s, call->user, ERR_BUSY, NULL, 0);
  if (call->kind != EDGE_FIND) presence_told(s, call->user, 503);
}

/* Its own key is that of the address of this peer. */
static struct slice own_address(struct step *s) {
  size_t mark = outbox_mark(s->out);
  buf_put_cstr(&s->out->bytes, "sip:");
  key_put(&s->out->bytes, &s->node->self.id);
  buf_put_cstr(&s->out->bytes, PEER_USER_DOMAIN);
  return outbox_text(s->out, mark);
}

void presence_begin(struct step *s, const struct edge_call *call) {
  bool find = call->kind == EDGE_FIND, tell = call->kind == EDGE_TELL;
  struct contact contact = {.uri = call->value, .instance = call->nonce, .path_count = 1};
  if (!find) contact.path[0] = call->signer.len > 0 ? call->signer : own_address(s);
  enum errand_kind kind = find ? ERRAND_GET : tell ? ERRAND_TELL : ERRAND_STORE;
  enum errand_for for_whom = find ? FOR_EDGE_FIND : FOR_EDGE_TELL;
  struct errand *errand =
      errand_open(s, kind, for_whom, call->user, call->aor, find ? NULL : &contact);
  if (errand == NULL) {
    refused(s, call);
    return;
  }
  errand->granted_s = call->granted_s;
  errand->to = call->to;
  errand->watch = call->watch;
  errand_start(s, errand);
}

static enum err err_of(uint16_t status) {
  if (status == 200) return OK;
  return status == 404 ? ERR_NOT_FOUND : ERR_BUSY;
}

void presence_found(struct step *s, const struct errand *errand, uint16_t status,
                    struct slice body_text) {
  struct slice values[XML_RECORDS_MAX];
  struct xml_body body;
  const char *why;
  unsigned count = 0;
  if (status == 200 && xml_body_read(s->node->config.xml, body_text, &body, &why) == OK)
    for (unsigned i = 0; i < body.record_count; i++)
      if ((errand->refused >> i & 1) == 0 && !body.record[i].removed)
        values[count++] = outbox_copy(s->out, body.record[i].value);
  found(s, errand->user, err_of(status), values, count);
}

/* ---- at the other end ---- */

/* it names the peer that has proven to be it. */
static bool is_from_sender(const struct step *s, struct slice content) {
  char text[PRESENCE_TEXT_MAX];
  struct buf room = buf_over(text, sizeof text);
  struct presence_value value;
  return presence_read_value(content, &room, &value) && sender_is(s, &value.from.id);
}

void presence_execute(struct step *s, const struct reply_to *to, const struct xml_body *body,
                      struct slice text, const struct locser_target *target) {
  const struct xml_record *record = &body->record[0];
  struct key key;
  if (!target->direct) {
    reply_fault(s, to, 400, "the method needs the parameter direct in Overlay-Key", SLICE_EMPTY);
    return;
  }
  if (body->record_count != 1 || record->removed || record->immutable ||
      locser_key_of(s->node->config.crypto, record->key_text, &key) != OK) {
    reply_fault(s, to, 400, "the call takes one dhtRecord with a value", SLICE_EMPTY);
    return;
  }
  if (!is_from_sender(s, record->value)) {
    s->node->stats.unproven++;
    limits_note(s, LIMIT_UNPROVEN, &to->from);
    reply_fault(s, to, 403, "it does not name the Peer-ID that this connection has proven",
                SLICE_EMPTY);
    return;
  }
  uint32_t ms = target->deadline_ms != 0 ? target->deadline_ms : LOOKUP_DEADLINE_MS;
  struct operation *op =
      operation_open(s, OPERATION_PUT, to, text, s->now + MSEC(ms) - MSEC(ms) / 8);
  if (op == NULL) {
    reply_later(s, to, "this peer has as many requests waiting as it can");
    return;
  }
  op->key = key;
  op->method = body->method;
  operation_put(s, op, body, text);
}

uint16_t presence_take(struct step *s, const struct operation *op, struct slice key_text) {
  struct slice scheme = SLICE("presence:");
  struct edge_calls calls;
  struct xml_record record;
  const char *why;
  calls.count = 0;
  if (!slice_starts(key_text, scheme) ||
      xml_record_read(s->node->config.xml, op->records[0].bytes, &record, &why) != OK)
    return 400;
  size_t mark = outbox_mark(s->out);
  buf_put_cstr(&s->out->bytes, "sip:");
  buf_put(&s->out->bytes, slice_skip(key_text, scheme.len));
  /* The edge reads documents by the same reader. */
  const struct edge_event event = {.watch = op->method == XML_EVENT_WATCH,
                                   .address = outbox_text(s->out, mark),
                                   .content = outbox_copy(s->out, record.value),
                                   .version = record.version,
                                   .expires = record.expires};
  uint16_t status =
      edge_on_event(s->node->edge, s->now, node_wall(s->node, s->now), &event, &calls, s->out);
  pump_edge(s, &calls);
  return status;
}
