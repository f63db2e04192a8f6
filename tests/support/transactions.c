/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/transactions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <cmocka.h>

static struct output outbox_items[2 * OUTBOX_STEP_ITEMS];
static _Alignas(max_align_t) char outbox_bytes[2 * OUTBOX_STEP_BYTES];

void table_open(struct table *w, enum transport transport, size_t bytes_max, uint64_t fail_after) {
  memset(w, 0, sizeof *w);
  w->transport = transport;
  test_memory_init(&w->memory, fail_after);
  outbox_init(&w->out, outbox_items, 2 * OUTBOX_STEP_ITEMS, outbox_bytes, sizeof outbox_bytes);
  struct rng rng;
  const uint8_t seed[16] = {1, 2, 3};
  rng_init(&rng, seed);
  const struct transactions_config config = {.memory = &w->memory.memory,
                                             .servers_max = SERVERS_MAX,
                                             .clients_max = CLIENTS_MAX,
                                             .bytes_max = bytes_max,
                                             .ticket_tag = 5};
  transactions_init(&w->t, &config, &rng);
}

void table_close(struct table *w) {
  transactions_free(&w->t);
  assert_int_equal(w->memory.blocks, 0);
  assert_int_equal(w->memory.bytes, 0);
  assert_int_equal(w->t.bytes_used, 0);
}

void table_assert_empty(const struct table *w) {
  assert_int_equal(w->t.server.used, 0);
  assert_int_equal(w->t.client.used, 0);
  assert_int_equal(w->t.map.used, 0);
  assert_int_equal(w->t.bytes_used, 0);
  assert_true(transactions_deadline(&w->t) == USEC_NEVER);
}

void table_tell(struct table *w, const char *what) {
  int n = snprintf(w->log + w->log_len, sizeof w->log - w->log_len, "%s%u %s",
                   w->log_len > 0 ? " | " : "", (unsigned)(w->now / USEC_PER_MSEC), what);
  w->log_len += (size_t)n;
  assert_true(w->log_len < sizeof w->log);
}

void table_flush(struct table *w) {
  for (uint32_t i = 0; i < w->out.count; i++) {
    const struct output *o = &w->out.item[i];
    assert_int_equal(o->kind, OUT_SEND);
    assert_int_equal(o->peer.transport, w->transport);
    assert_int_equal(o->ticket >> 24 & 0x7f, 5);
    struct sip_message msg;
    struct sip_problem problem;
    enum sip_carrier carrier = w->transport == TRANSPORT_UDP ? SIP_DATAGRAM : SIP_STREAM;
    assert_int_equal(sip_message_parse(o->data, carrier, &msg, &problem), OK);
    char what[40] = ">";
    if (msg.request)
      snprintf(what + 1, sizeof what - 1, "%.*s", SLICE_FMT(slice_first(msg.method_text, 30)));
    else
      snprintf(what + 1, sizeof what - 1, "%u", msg.status);
    table_tell(w, what);
    w->ticket = o->ticket;
    w->sent_len = o->data.len;
    memcpy(w->sent, o->data.at, o->data.len);
  }
  outbox_reset(&w->out);
}

void table_tell_event(struct table *w, const struct transaction_event *e) {
  static const char *const name[] = {
      [TRANSACTION_NEW] = "new",
      [TRANSACTION_CANCEL] = "cancel",
      [TRANSACTION_ABSORBED] = "absorbed",
      [TRANSACTION_STRAY_ACK] = "stray-ack",
      [TRANSACTION_FULL] = "full",
      [TRANSACTION_RESPONSE] = "response",
      [TRANSACTION_STRAY_RESPONSE] = "stray-response",
      [TRANSACTION_TIMEOUT] = "timeout",
      [TRANSACTION_TRANSPORT_ERROR] = "transport-error",
      [TRANSACTION_TERMINATED] = "terminated",
  };
  table_flush(w);
  table_tell(w, name[e->kind]);
}

void table_run(struct table *w, usec until) {
  for (int guard = 0; guard < 10000; guard++) {
    struct transaction_event e;
    while (transactions_next(&w->t, w->now, &e, &w->out)) table_tell_event(w, &e);
    table_flush(w);
    usec deadline = transactions_deadline(&w->t);
    assert_true(deadline > w->now);
    if (deadline > until) {
      w->now = until;
      return;
    }
    w->now = deadline;
  }
  fail_msg("time stands still");
}

struct slice table_request_text(struct table_text *text, const struct table_request *p) {
  const char *to_tag = p->to_tag != NULL ? p->to_tag : "";
  const char *body = p->body != NULL ? p->body : "";
  int n = snprintf(text->at, sizeof text->at,
                   "%s %s SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\n%s"
                   "From: <sip:alice@example.net>;tag=%s\r\nTo: <sip:bob@example.net>%s%s\r\n"
                   "Call-ID: %s\r\nCSeq: %u %s\r\nContent-Length: %u\r\n\r\n%s",
                   p->method, p->uri != NULL ? p->uri : "sip:bob@192.0.2.9", p->via,
                   p->extra != NULL ? p->extra : "", p->from_tag != NULL ? p->from_tag : "f1",
                   *to_tag ? ";tag=" : "", to_tag, p->call_id != NULL ? p->call_id : "c1",
                   p->cseq != 0 ? p->cseq : 1, p->method, (unsigned)strlen(body), body);
  assert_true(n > 0 && (size_t)n < sizeof text->at);
  return slice_of(text->at, (size_t)n);
}

struct slice table_response_text(struct table_text *text, unsigned status, const char *method,
                                 const char *branch, const char *to_tag) {
  int n = snprintf(text->at, sizeof text->at,
                   "SIP/2.0 %u Whatever\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=%s\r\n"
                   "From: <sip:alice@example.net>;tag=f1\r\nTo: <sip:bob@example.net>%s%s\r\n"
                   "Call-ID: c1\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
                   status, branch, to_tag[0] ? ";tag=" : "", to_tag, method);
  assert_true(n > 0 && (size_t)n < sizeof text->at);
  return slice_of(text->at, (size_t)n);
}

struct sip_target table_peer(const struct table *w) {
  struct sip_target target = {.flow = w->transport == TRANSPORT_UDP ? 0 : 7};
  assert_true(endpoint_parse(SLICE("192.0.2.1:5070"), w->transport, 0, &target.at));
  return target;
}

struct sip_message table_parsed(struct slice bytes) {
  struct sip_message msg;
  struct sip_problem problem;
  if (sip_message_parse(bytes, SIP_STREAM, &msg, &problem) != OK)
    fail_msg("%s in %.*s", problem.reason, SLICE_FMT(bytes));
  return msg;
}

struct transaction_event table_give_request(struct table *w, const struct table_request *parts) {
  struct table_text text;
  struct sip_message msg = table_parsed(table_request_text(&text, parts));
  struct sip_target from = table_peer(w);
  return transactions_on_request(&w->t, w->now, &msg, &from, &w->out);
}

struct transaction_event table_give_response(struct table *w, unsigned status, const char *method,
                                             const char *branch, const char *to_tag) {
  struct table_text text;
  struct sip_message msg = table_parsed(table_response_text(&text, status, method, branch, to_tag));
  return transactions_on_response(&w->t, w->now, &msg, &w->out);
}

enum err table_send_request(struct table *w, const char *method, const char *extra) {
  struct table_text text;
  struct table_request parts = {
      .method = method, .via = CLIENT_VIA, .extra = extra, .body = "v=0\r\n"};
  const struct transaction_request request = {.to = table_peer(w),
                                              .bytes = table_request_text(&text, &parts),
                                              .branch = SLICE("z9hG4bKc1"),
                                              .user = 42};
  return transactions_send(&w->t, w->now, &request, &w->out, &w->client);
}

bool table_respond(struct table *w, unsigned status, const char *method) {
  struct table_text text;
  return transactions_respond(&w->t, w->now, w->server, (uint16_t)status,
                              table_response_text(&text, status, method, "z9hG4bKs1", "t1"),
                              &w->out);
}
