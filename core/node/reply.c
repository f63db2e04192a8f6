/* SPDX-License-Identifier: BSD-2-Clause */
#include "node/internal.h"
#include "sip/print.h"

#define BODY_TYPE "text/xml"

uint64_t node_retry_after(struct node *node) { return rng_between(&node->rng, 1, 4); }

/* Where a response goes: the flow it came by; a datagram also where its Via says (RFC
 * 3581). */
static void send_response(struct step *s, uint32_t flow, const struct endpoint *from,
                          struct slice message) {
  struct output *out = outbox_add(s->out, OUT_SEND);
  out->flow = flow;
  out->peer = *from;
  out->data = message;
}

void reply_put_to_tag(struct buf *out, const struct node *node, const struct sip_message *request) {
  struct hash_key mixed = {node->hash.k0 ^ 0x746f2d746167, node->hash.k1};
  buf_put_hex64(out, hash_slice(mixed, request->via.branch), 16);
}

/* other methods are limited by their number. */
struct reply_to reply_to_sender(const struct node *node, const struct sip_message *request,
                                uint32_t flow, const struct endpoint *from) {
  struct reply_to to = {.request = request, .flow = flow, .from = *from};
  if (request->method == SIP_LOCSER && !limits_is_proven(node, from))
    to.answer_max = (uint32_t)request->bytes.len;
  return to;
}

static void put_head(struct step *s, const struct reply_to *to, uint16_t status,
                     const char *reason) {
  struct buf *bytes = &s->out->bytes;
  if (to->request != NULL) {
    char tag_text[16];
    struct buf tag = buf_over(tag_text, sizeof tag_text);
    reply_put_to_tag(&tag, s->node, to->request);
    sip_put_response_head(bytes, to->request, status, reason, buf_slice(&tag), &to->from);
  } else {
    buf_put_cstr(bytes, "SIP/2.0 ");
    buf_put_u64(bytes, status);
    buf_put_char(bytes, ' ');
    buf_put_cstr(bytes, reason != NULL ? reason : sip_reason(status));
    buf_put_cstr(bytes, "\r\n");
    buf_put(bytes, to->head);
  }
}

/* The statuses are those of the table under; 408 is none of them. */
static bool is_refusal(uint16_t status) { return status >= 400 && status != 404 && status != 491; }

/* Sends it if it is small enough. */
static bool send_answer(struct step *s, const struct reply_to *to, uint16_t status,
                        const char *reason, struct slice lines, struct slice body) {
  size_t mark = outbox_mark(s->out);
  bool names_self = to->names_self && to->answer_max == 0 && status != 302;
  put_head(s, to, status, reason);
  if (names_self) reply_put_contact(&s->out->bytes, &s->node->self);
  buf_put(&s->out->bytes, lines);
  sip_put_body(&s->out->bytes, body.len > 0 ? BODY_TYPE : NULL, body);
  struct slice message = outbox_text(s->out, mark);
  if (to->answer_max != 0 && message.len > to->answer_max) {
    s->out->bytes.len = mark;
    return false;
  }
  send_response(s, to->flow, &to->from, message);
  return true;
}

/* to an unproven address no more than came from there: without body, then without
 * what may be left out, then nothing. */
static void answer(struct step *s, const struct reply_to *to, uint16_t status, const char *reason,
                   struct slice lines, struct slice body) {
  if (to->answer_max != 0 && status >= 300) body = SLICE_EMPTY;
  if (send_answer(s, to, status, reason, lines, body)) return;
  limits_note(s, LIMIT_ANSWER, &to->from);
  if (status == 200) { /* the asker would miss what it asked for */
    status = 413;
    reason = REPLY_ASK_STREAM;
    lines = SLICE_EMPTY;
  }
  if (send_answer(s, to, status, reason, lines, SLICE_EMPTY)) return;
  if (status != 302) (void)send_answer(s, to, status, reason, SLICE_EMPTY, SLICE_EMPTY);
}

void reply_body(struct step *s, const struct reply_to *to, uint16_t status, struct slice lines,
                struct slice body) {
  if (is_refusal(status)) s->node->stats.refused++;
  if (to->errand != 0) {
    struct errand *errand = errand_of(s->node, to->errand);
    if (errand != NULL) errand_on_answer(s, errand, status, body, NULL);
    return;
  }
  answer(s, to, status, NULL, lines, body);
}

void reply_fault(struct step *s, const struct reply_to *to, uint16_t status, const char *text,
                 struct slice lines) {
  size_t mark = outbox_mark(s->out);
  xml_put_fault(&s->out->bytes, status, slice_cstr(text));
  struct slice body = outbox_text(s->out, mark);
  if (is_refusal(status)) {
    outbox_trace(s->out, &(struct trace){.kind = TRACE_REFUSED,
                                         .at = s->now,
                                         .peer = to->from,
                                         .status = status,
                                         .a = SLICE("LOCSER"),
                                         .b = slice_cstr(text)});
  }
  reply_body(s, to, status, lines, body);
}

void reply_later(struct step *s, const struct reply_to *to, const char *text) {
  char line[32];
  struct buf lines = buf_over(line, sizeof line);
  sip_put_header_u64(&lines, "Retry-After", node_retry_after(s->node));
  reply_fault(s, to, 503, text, buf_slice(&lines));
}

void reply_plain(struct step *s, const struct sip_message *request, uint32_t flow,
                 const struct endpoint *from, uint16_t status, const char *reason,
                 struct slice lines) {
  struct reply_to to = reply_to_sender(s->node, request, flow, from);
  s->node->stats.refused++;
  outbox_trace(s->out, &(struct trace){.kind = TRACE_REFUSED,
                                       .at = s->now,
                                       .peer = *from,
                                       .status = status,
                                       .a = request->method_text,
                                       .b = slice_cstr(reason != NULL ? reason : "")});
  answer(s, &to, status, reason, lines, SLICE_EMPTY);
}

void reply_put_contact(struct buf *out, const struct peer *peer) {
  buf_put_cstr(out, "Contact: <sip:");
  key_put(out, &peer->id);
  buf_put_char(out, '@');
  endpoint_put(out, &peer->at);
  buf_put_cstr(out, ";transport=");
  buf_put_cstr(out, transport_name(peer->at.transport));
  buf_put_cstr(out, ">\r\n");
}

void reply_trying(struct step *s, const struct reply_to *to) {
  if (to->errand != 0 || !endpoint_is_stream(&to->from) || to->request == NULL) return;
  size_t mark = outbox_mark(s->out);
  sip_put_response_head(&s->out->bytes, to->request, 100, NULL, SLICE_EMPTY, &to->from);
  sip_put_body(&s->out->bytes, NULL, SLICE_EMPTY);
  send_response(s, to->flow, &to->from, outbox_text(s->out, mark));
}
