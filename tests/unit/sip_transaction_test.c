/* SPDX-License-Identifier: BSD-2-Clause */
/* The transaction machines as stories under virtual time: each is a list of steps and the whole
 * log of what was sent (">METHOD" or ">STATUS") and told, with milliseconds.. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "sip/transaction.h"
#include "support/memory.h"

#define SERVERS_MAX 8u
#define CLIENTS_MAX 8u

struct world {
  struct test_memory memory;
  struct transactions t;
  struct outbox out;
  usec now;
  enum transport transport;
  struct handle client, server;
  uint64_t ticket; /* of the last thing sent */
  char log[4096];
  size_t log_len;
  char sent[SIP_MESSAGE_BYTES_MAX]; /* the last thing sent */
  size_t sent_len;
};

static struct output outbox_items[2 * OUTBOX_STEP_ITEMS];
static _Alignas(max_align_t) char outbox_bytes[2 * OUTBOX_STEP_BYTES];

static void world_open(struct world *w, enum transport transport, size_t bytes_max,
                       uint64_t fail_after) {
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

static void world_close(struct world *w) {
  transactions_free(&w->t);
  assert_int_equal(w->memory.blocks, 0);
  assert_int_equal(w->memory.bytes, 0);
  assert_int_equal(w->t.bytes_used, 0);
}

static void assert_nothing_left(const struct world *w) {
  assert_int_equal(w->t.server.used, 0);
  assert_int_equal(w->t.client.used, 0);
  assert_int_equal(w->t.map.used, 0);
  assert_int_equal(w->t.bytes_used, 0);
  assert_true(transactions_deadline(&w->t) == USEC_NEVER);
}

static void tell(struct world *w, const char *what) {
  int n = snprintf(w->log + w->log_len, sizeof w->log - w->log_len, "%s%u %s",
                   w->log_len > 0 ? " | " : "", (unsigned)(w->now / USEC_PER_MSEC), what);
  w->log_len += (size_t)n;
  assert_true(w->log_len < sizeof w->log);
}

/* Logs and takes what lies in the outbox. */
static void flush(struct world *w) {
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
    tell(w, what);
    w->ticket = o->ticket;
    w->sent_len = o->data.len;
    memcpy(w->sent, o->data.at, o->data.len);
  }
  outbox_reset(&w->out);
}

static void tell_event(struct world *w, const struct transaction_event *e) {
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
  flush(w);
  tell(w, name[e->kind]);
}

/* Works through all that is due until `until`. */
static void run(struct world *w, usec until) {
  for (int guard = 0; guard < 10000; guard++) {
    struct transaction_event e;
    while (transactions_next(&w->t, w->now, &e, &w->out)) tell_event(w, &e);
    flush(w);
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

struct text {
  char at[2048];
};

struct request_parts {
  const char *method, *uri, *via, *from_tag, *to_tag, *call_id, *extra, *body;
  unsigned cseq;
};

static struct slice request_text(struct text *text, const struct request_parts *p) {
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

static struct slice response_text(struct text *text, unsigned status, const char *method,
                                  const char *branch, const char *to_tag) {
  int n = snprintf(text->at, sizeof text->at,
                   "SIP/2.0 %u Whatever\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=%s\r\n"
                   "From: <sip:alice@example.net>;tag=f1\r\nTo: <sip:bob@example.net>%s%s\r\n"
                   "Call-ID: c1\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
                   status, branch, to_tag[0] ? ";tag=" : "", to_tag, method);
  assert_true(n > 0 && (size_t)n < sizeof text->at);
  return slice_of(text->at, (size_t)n);
}

static struct sip_target target_of(const struct world *w) {
  struct sip_target target = {.flow = w->transport == TRANSPORT_UDP ? 0 : 7};
  assert_true(endpoint_parse(SLICE("192.0.2.1:5070"), w->transport, 0, &target.at));
  return target;
}

static struct sip_message parsed(struct slice bytes) {
  struct sip_message msg;
  struct sip_problem problem;
  if (sip_message_parse(bytes, SIP_STREAM, &msg, &problem) != OK)
    fail_msg("%s in %.*s", problem.reason, SLICE_FMT(bytes));
  return msg;
}

static struct transaction_event give_request(struct world *w, const struct request_parts *parts) {
  struct text text;
  struct sip_message msg = parsed(request_text(&text, parts));
  struct sip_target from = target_of(w);
  return transactions_on_request(&w->t, w->now, &msg, &from, &w->out);
}

static struct transaction_event give_response(struct world *w, unsigned status, const char *method,
                                              const char *branch, const char *to_tag) {
  struct text text;
  struct sip_message msg = parsed(response_text(&text, status, method, branch, to_tag));
  return transactions_on_response(&w->t, w->now, &msg, &w->out);
}

#define SERVER_VIA "SIP/2.0/UDP phone.example.net:5070;branch=z9hG4bKs1;rport"
#define CLIENT_VIA "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKc1"

static enum err send_request(struct world *w, const char *method, const char *extra) {
  struct text text;
  struct request_parts parts = {
      .method = method, .via = CLIENT_VIA, .extra = extra, .body = "v=0\r\n"};
  const struct transaction_request request = {.to = target_of(w),
                                              .bytes = request_text(&text, &parts),
                                              .branch = SLICE("z9hG4bKc1"),
                                              .user = 42};
  return transactions_send(&w->t, w->now, &request, &w->out, &w->client);
}

static bool respond(struct world *w, unsigned status, const char *method) {
  struct text text;
  return transactions_respond(&w->t, w->now, w->server, (uint16_t)status,
                              response_text(&text, status, method, "z9hG4bKs1", "t1"), &w->out);
}

/* --- stories --- */

enum op {
  DONE,
  SEND,
  CANCEL,
  RECEIVE,
  RECEIVE_CANCEL,
  REQUEST,
  ACK_ELSE,
  RESPOND,
  UNDELIVERED,
  CLOSED
};

struct step {
  unsigned at_ms;
  enum op op;
  unsigned status;
};
struct story {
  const char *name;
  enum transport transport;
  const char *method; /* of the transaction told of */
  struct step step[12];
  const char *log;
};

static void do_request(struct world *w, const char *method, const char *via) {
  struct request_parts parts = {.method = method, .via = via};
  struct transaction_event e = give_request(w, &parts);
  if (e.kind == TRANSACTION_NEW) w->server = e.handle;
  tell_event(w, &e);
}

static void do_step(struct world *w, const char *method, const struct step *step) {
  struct transaction_event e;
  switch (step->op) {
    case DONE:
      break;
    case SEND:
      assert_int_equal(send_request(w, method, NULL), OK);
      break;
    case CANCEL:
      tell(w, transactions_cancel(&w->t, w->now, w->client, &w->out) ? "cancelling" : "too-late");
      break;
    case RECEIVE:
      e = give_response(w, step->status, method, "z9hG4bKc1", "t1");
      if (e.kind == TRANSACTION_RESPONSE) assert_int_equal(e.user, 42);
      tell_event(w, &e);
      break;
    case RECEIVE_CANCEL:
      e = give_response(w, step->status, "CANCEL", "z9hG4bKc1", "t1");
      tell_event(w, &e);
      break;
    case REQUEST:
      do_request(w, step->status == 0 ? method : "ACK", SERVER_VIA);
      break;
    case ACK_ELSE:
      do_request(w, "ACK", "SIP/2.0/UDP phone.example.net:5070;branch=z9hG4bKs2;rport");
      break;
    case RESPOND:
      if (!respond(w, step->status, method)) tell(w, "refused");
      break;
    case UNDELIVERED:
      if (!transactions_on_undelivered(&w->t, w->now, w->ticket)) tell(w, "no-ticket");
      break;
    case CLOSED:
      transactions_on_flow_closed(&w->t, w->now, 7);
      break;
  }
  flush(w);
}

#define ACK 1 /* a REQUEST with this status is the ACK on the transaction's branch */

static const struct story stories[] = {
    /* Client INVITE: RFC 3261 Figure 5, RFC 6026 Figure 5. */
    {"client INVITE: Timers A and B",
     TRANSPORT_UDP,
     "INVITE",
     {{0, SEND, 0}},
     "0 >INVITE | 500 >INVITE | 1500 >INVITE | 3500 >INVITE | 7500 >INVITE | 15500 >INVITE | "
     "31500 >INVITE | 32000 timeout"},
    {"client INVITE: Timer B alone on a stream",
     TRANSPORT_TCP,
     "INVITE",
     {{0, SEND, 0}},
     "0 >INVITE | 32000 timeout"},
    {"client INVITE: a provisional answer stops A and B; 2xx, Timer M",
     TRANSPORT_UDP,
     "INVITE",
     {{0, SEND, 0},
      {600, RECEIVE, 100},
      {700, RECEIVE, 180},
      {90000, RECEIVE, 200},
      {90100, RECEIVE, 200},
      {90200, RECEIVE, 183},
      {90300, RECEIVE, 486},
      {121999, RECEIVE, 200},
      {122001, RECEIVE, 200}},
     "0 >INVITE | 500 >INVITE | 600 response | 700 response | 90000 response | 90100 response | "
     "90200 absorbed | 90300 absorbed | 121999 response | 122000 terminated | "
     "122001 stray-response"},
    {"client INVITE: 2xx at once",
     TRANSPORT_TCP,
     "INVITE",
     {{0, SEND, 0}, {10, RECEIVE, 200}},
     "0 >INVITE | 10 response | 32010 terminated"},
    {"client INVITE: refusal is ACKed, again for each repetition, Timer D",
     TRANSPORT_UDP,
     "INVITE",
     {{0, SEND, 0},
      {100, RECEIVE, 486},
      {600, RECEIVE, 486},
      {700, RECEIVE, 180},
      {800, RECEIVE, 200},
      {32200, RECEIVE, 486}},
     "0 >INVITE | 100 >ACK | 100 response | 600 >ACK | 600 absorbed | 700 absorbed | "
     "800 absorbed | 32100 terminated | 32200 stray-response"},
    {"client INVITE: refusal after a provisional answer",
     TRANSPORT_UDP,
     "INVITE",
     {{0, SEND, 0}, {100, RECEIVE, 180}, {40000, RECEIVE, 603}},
     "0 >INVITE | 100 response | 40000 >ACK | 40000 response | 72000 terminated"},
    {"client INVITE: refusal on a stream, Timer D is 0",
     TRANSPORT_TCP,
     "INVITE",
     {{0, SEND, 0}, {100, RECEIVE, 302}, {200, RECEIVE, 302}},
     "0 >INVITE | 100 >ACK | 100 response | 100 terminated | 200 stray-response"},
    {"client INVITE: not delivered",
     TRANSPORT_TCP,
     "INVITE",
     {{0, SEND, 0}, {50, UNDELIVERED, 0}, {60, UNDELIVERED, 0}},
     "0 >INVITE | 50 transport-error | 60 no-ticket"},
    {"client INVITE: the ACK is not delivered",
     TRANSPORT_UDP,
     "INVITE",
     {{0, SEND, 0}, {50, RECEIVE, 404}, {60, UNDELIVERED, 0}},
     "0 >INVITE | 50 >ACK | 50 response | 32050 terminated"},
    {"client INVITE: the flow closes while it rings",
     TRANSPORT_TLS,
     "INVITE",
     {{0, SEND, 0}, {50, RECEIVE, 180}, {60, CLOSED, 0}},
     "0 >INVITE | 50 response | 60 transport-error"},

    /* CANCEL of a client: RFC 3261 9.1. */
    {"CANCEL waits for a provisional answer",
     TRANSPORT_UDP,
     "INVITE",
     {{0, SEND, 0},
      {100, CANCEL, 0},
      {200, CANCEL, 0},
      {700, RECEIVE, 100},
      {800, RECEIVE_CANCEL, 200},
      {900, RECEIVE, 487},
      {1000, CANCEL, 0}},
     "0 >INVITE | 100 cancelling | 200 cancelling | 500 >INVITE | 700 >CANCEL | 700 response | "
     "800 absorbed | 900 >ACK | 900 response | 1000 too-late | 32900 terminated"},
    {"CANCEL of a ringing INVITE that is never answered",
     TRANSPORT_UDP,
     "INVITE",
     {{0, SEND, 0},
      {100, RECEIVE, 180},
      {1000, CANCEL, 0},
      {1700, RECEIVE, 180},
      {3000, RECEIVE_CANCEL, 200}},
     "0 >INVITE | 100 response | 1000 cancelling | 1000 >CANCEL | 1500 >CANCEL | "
     "1700 response | 2500 >CANCEL | 3000 absorbed | 33000 timeout"},
    {"CANCEL that meets a 2xx",
     TRANSPORT_TCP,
     "INVITE",
     {{0, SEND, 0},
      {100, RECEIVE, 180},
      {200, CANCEL, 0},
      {210, RECEIVE, 200},
      {220, RECEIVE_CANCEL, 481}},
     "0 >INVITE | 100 response | 200 cancelling | 200 >CANCEL | 210 response | 220 absorbed | "
     "32210 terminated"},
    {"CANCEL wanted, final answer first",
     TRANSPORT_TCP,
     "INVITE",
     {{0, SEND, 0}, {10, CANCEL, 0}, {20, RECEIVE, 404}},
     "0 >INVITE | 10 cancelling | 20 >ACK | 20 response | 20 terminated"},
    {"CANCEL is for INVITE only",
     TRANSPORT_TCP,
     "OPTIONS",
     {{0, SEND, 0}, {10, CANCEL, 0}, {20, RECEIVE, 200}},
     "0 >OPTIONS | 10 too-late | 20 response | 20 terminated"},

    /* Client non-INVITE: RFC 3261 Figure 6. */
    {"client non-INVITE: Timers E and F",
     TRANSPORT_UDP,
     "OPTIONS",
     {{0, SEND, 0}},
     "0 >OPTIONS | 500 >OPTIONS | 1500 >OPTIONS | 3500 >OPTIONS | 7500 >OPTIONS | "
     "11500 >OPTIONS | 15500 >OPTIONS | 19500 >OPTIONS | 23500 >OPTIONS | 27500 >OPTIONS | "
     "31500 >OPTIONS | 32000 timeout"},
    {"client non-INVITE: Timer F alone on a stream",
     TRANSPORT_TCP,
     "FOO",
     {{0, SEND, 0}},
     "0 >FOO | 32000 timeout"},
    {"client non-INVITE: Proceeding repeats every T2; Timer K",
     TRANSPORT_UDP,
     "REGISTER",
     {{0, SEND, 0},
      {600, RECEIVE, 100},
      {10000, RECEIVE, 200},
      {10100, RECEIVE, 200},
      {14999, RECEIVE, 200},
      {15001, RECEIVE, 200}},
     "0 >REGISTER | 500 >REGISTER | 600 response | 1500 >REGISTER | 5500 >REGISTER | "
     "9500 >REGISTER | 10000 response | 10100 absorbed | 14999 absorbed | 15000 terminated | "
     "15001 stray-response"},
    {"client non-INVITE: Timer F runs in Proceeding too",
     TRANSPORT_TCP,
     "REGISTER",
     {{0, SEND, 0}, {600, RECEIVE, 100}},
     "0 >REGISTER | 600 response | 32000 timeout"},
    {"client non-INVITE: Timer K is 0 on a stream",
     TRANSPORT_TLS,
     "LOCSER",
     {{0, SEND, 0}, {5, RECEIVE, 404}},
     "0 >LOCSER | 5 response | 5 terminated"},
    {"client non-INVITE: not delivered after 100",
     TRANSPORT_TCP,
     "MESSAGE",
     {{0, SEND, 0}, {5, RECEIVE, 100}, {6, UNDELIVERED, 0}},
     "0 >MESSAGE | 5 response | 6 transport-error"},
    {"client non-INVITE: closed after the answer",
     TRANSPORT_UDP,
     "MESSAGE",
     {{0, SEND, 0}, {5, RECEIVE, 202}, {6, UNDELIVERED, 0}},
     "0 >MESSAGE | 5 response | 5005 terminated"},

    /* Server INVITE: RFC 3261 Figure 7, RFC 6026 Figure 1. */
    {"server INVITE: 100 by itself, repeated with the last answer",
     TRANSPORT_UDP,
     "INVITE",
     {{0, REQUEST, 0},
      {100, REQUEST, 0},
      {500, REQUEST, 0},
      {600, RESPOND, 180},
      {1500, REQUEST, 0},
      {2000, RESPOND, 200},
      {3500, REQUEST, 0},
      {3600, RESPOND, 200},
      {3700, RESPOND, 486},
      {3800, RESPOND, 180},
      {3900, REQUEST, ACK}},
     "0 new | 100 absorbed | 200 >100 | 500 >100 | 500 absorbed | 600 >180 | 1500 >180 | "
     "1500 absorbed | 2000 >200 | 3500 absorbed | 3600 >200 | 3700 refused | 3800 refused | "
     "3900 stray-ack | 34000 terminated"},
    {"server INVITE: no 100 of its own after an early answer",
     TRANSPORT_UDP,
     "INVITE",
     {{0, REQUEST, 0}, {199, RESPOND, 183}, {300, RESPOND, 180}, {1000, RESPOND, 200}},
     "0 new | 199 >183 | 300 >180 | 1000 >200 | 33000 terminated"},
    {"server INVITE: refusal, Timers G and H",
     TRANSPORT_UDP,
     "INVITE",
     {{0, REQUEST, 0}, {100, RESPOND, 486}, {400, REQUEST, 0}, {450, RESPOND, 486}},
     "0 new | 100 >486 | 400 >486 | 400 absorbed | 450 refused | 600 >486 | 1600 >486 | "
     "3600 >486 | 7600 >486 | 11600 >486 | 15600 >486 | 19600 >486 | 23600 >486 | 27600 >486 | "
     "31600 >486 | 32100 timeout"},
    {"server INVITE: ACK stops Timer G, Timer I absorbs",
     TRANSPORT_UDP,
     "INVITE",
     {{0, REQUEST, 0},
      {10, REQUEST, ACK},
      {100, RESPOND, 404},
      {700, REQUEST, ACK},
      {800, REQUEST, ACK},
      {900, REQUEST, 0},
      {950, RESPOND, 404},
      {5699, REQUEST, ACK},
      {5701, REQUEST, ACK}},
     "0 new | 10 absorbed | 100 >404 | 600 >404 | 700 absorbed | 800 absorbed | 900 absorbed | "
     "950 refused | 5699 absorbed | 5700 terminated | 5701 stray-ack"},
    {"server INVITE: on a stream no Timer G, Timer I is 0",
     TRANSPORT_TCP,
     "INVITE",
     {{0, REQUEST, 0}, {100, RESPOND, 404}, {20000, REQUEST, ACK}, {20001, REQUEST, ACK}},
     "0 new | 100 >404 | 20000 absorbed | 20000 terminated | 20001 stray-ack"},
    {"server INVITE: Timer H on a stream",
     TRANSPORT_TCP,
     "INVITE",
     {{0, REQUEST, 0}, {250, RESPOND, 404}},
     "0 new | 200 >100 | 250 >404 | 32250 timeout"},
    {"server INVITE: the ACK of a 2xx has a branch of its own",
     TRANSPORT_TCP,
     "INVITE",
     {{0, REQUEST, 0}, {100, RESPOND, 200}, {150, ACK_ELSE, 0}},
     "0 new | 100 >200 | 150 stray-ack | 32100 terminated"},

    /* Server non-INVITE: RFC 3261 Figure 8 with RFC 4320. */
    {"server non-INVITE: Timer J",
     TRANSPORT_UDP,
     "REGISTER",
     {{0, REQUEST, 0},
      {500, REQUEST, 0},
      {1000, RESPOND, 200},
      {1500, REQUEST, 0},
      {1600, RESPOND, 200},
      {32999, REQUEST, 0},
      {33001, RESPOND, 200}},
     "0 new | 500 absorbed | 1000 >200 | 1500 >200 | 1500 absorbed | 1600 refused | "
     "32999 >200 | 32999 absorbed | 33000 terminated | 33001 refused"},
    {"server non-INVITE: Timer J is 0 on a stream",
     TRANSPORT_TCP,
     "FOO",
     {{0, REQUEST, 0}, {10, RESPOND, 501}, {11, REQUEST, 0}, {12, RESPOND, 501}},
     "0 new | 10 >501 | 10 terminated | 11 new | 12 >501 | 12 terminated"},
    {"server non-INVITE: 100 by itself once Timer E is T2, then never again",
     TRANSPORT_UDP,
     "MESSAGE",
     {{0, REQUEST, 0}, {3600, REQUEST, 0}, {5000, RESPOND, 200}},
     "0 new | 3500 >100 | 3600 >100 | 3600 absorbed | 5000 >200 | 37000 terminated"},
    {"server non-INVITE: 100 at any time on a stream",
     TRANSPORT_TCP,
     "MESSAGE",
     {{0, REQUEST, 0}, {1, RESPOND, 100}, {5000, RESPOND, 200}},
     "0 new | 1 >100 | 5000 >200 | 5000 terminated"},
    {"server non-INVITE: RFC 4320 refuses",
     TRANSPORT_UDP,
     "MESSAGE",
     {{0, REQUEST, 0},
      {1, RESPOND, 100},
      {2, RESPOND, 183},
      {3, RESPOND, 408},
      {500, REQUEST, 0},
      {600, RESPOND, 200}},
     "0 new | 1 refused | 2 refused | 3 refused | 500 absorbed | 600 refused | "
     "32003 terminated"},
    {"server non-INVITE: never answered",
     TRANSPORT_TCP,
     "MESSAGE",
     {{0, REQUEST, 0}},
     "0 new | 3500 >100 | 32000 timeout"},
    {"server: the ACK of nothing", TRANSPORT_UDP, "INVITE", {{0, REQUEST, ACK}}, "0 stray-ack"},
};

static void test_stories(void **state) {
  (void)state;
  static struct world w;
  for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
    const struct story *story = &stories[i];
    world_open(&w, story->transport, 100000, TEST_MEMORY_UNLIMITED);
    for (const struct step *step = story->step; step->op != DONE; step++) {
      run(&w, MSEC(step->at_ms));
      do_step(&w, story->method, step);
    }
    run(&w, w.now + SEC(100));
    if (strcmp(w.log, story->log) != 0)
      fail_msg("%s:\n  is     %s\n  should %s", story->name, w.log, story->log);
    assert_nothing_left(&w);
    assert_int_equal(w.t.unkept, 0);
    world_close(&w);
  }
}

/* Timers of a client scale with its own T1, and B and F can be set apart. */
static void test_timing_of_its_own(void **state) {
  (void)state;
  static struct world w;
  world_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  struct text text;
  struct request_parts parts = {.method = "OPTIONS", .via = CLIENT_VIA};
  const struct transaction_timing timing = {20000, 80000, 50000, 350000};
  struct transaction_request request = {.to = target_of(&w),
                                        .bytes = request_text(&text, &parts),
                                        .branch = SLICE("z9hG4bKc1"),
                                        .timing = &timing};
  assert_int_equal(transactions_send(&w.t, w.now, &request, &w.out, &w.client), OK);
  flush(&w);
  run(&w, SEC(10));
  assert_string_equal(w.log,
                      "0 >OPTIONS | 20 >OPTIONS | 60 >OPTIONS | 140 >OPTIONS | "
                      "220 >OPTIONS | 300 >OPTIONS | 350 timeout");
  world_close(&w);
}

/* --- what is written --- */

/* RFC 3261 17.1.1.3: the ACK's headers come from the INVITE, its To from the answer. */
static void test_ack_and_cancel(void **state) {
  (void)state;
  static struct world w;
  world_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  const char *routes = "Route: <sip:p1.example.net;lr>\r\nRoute: <sip:p2.example.net;lr>\r\n";
  assert_int_equal(send_request(&w, "INVITE", routes), OK);
  flush(&w);
  give_response(&w, 180, "INVITE", "z9hG4bKc1", "t1");
  assert_true(transactions_cancel(&w.t, w.now, w.client, &w.out));
  flush(&w);
  struct sip_message cancel = parsed(slice_of(w.sent, w.sent_len));
  assert_int_equal(cancel.method, SIP_CANCEL);
  assert_int_equal(cancel.to_tag.len, 0);
  assert_int_equal(sip_header_count(&cancel, SIP_H_ROUTE), 2);
  assert_true(slice_equal(cancel.via.branch, SLICE("z9hG4bKc1")));
  for (int again = 0; again < 2; again++) {
    give_response(&w, 487, "INVITE", "z9hG4bKc1", "t9");
    flush(&w);
    struct sip_message ack = parsed(slice_of(w.sent, w.sent_len));
    assert_int_equal(ack.method, SIP_ACK);
    assert_true(slice_equal(ack.uri_text, SLICE("sip:bob@192.0.2.9")));
    assert_int_equal(sip_header_count(&ack, SIP_H_VIA), 1);
    assert_true(slice_equal(ack.via.text, SLICE(CLIENT_VIA)));
    assert_true(slice_equal(ack.to_tag, SLICE("t9")));
    assert_true(slice_equal(ack.from_tag, SLICE("f1")));
    assert_true(slice_equal(ack.call_id, SLICE("c1")));
    assert_int_equal(ack.cseq, 1);
    assert_true(slice_equal(ack.cseq_method, SLICE("ACK")));
    assert_int_equal(sip_header_count(&ack, SIP_H_ROUTE), 2);
    assert_int_equal(ack.body.len, 0);
  }
  world_close(&w);
}

static void assert_reply_target(const char *via, enum transport transport, const char *expected) {
  struct text text;
  struct request_parts parts = {.method = "OPTIONS", .via = via};
  struct sip_message msg = parsed(request_text(&text, &parts));
  struct sip_target from = {.flow = 3};
  assert_true(endpoint_parse(SLICE("192.0.2.1:4444"), transport, 0, &from.at));
  struct sip_target to = sip_reply_target(&msg, &from);
  char out[64];
  struct buf b = buf_over(out, sizeof out);
  endpoint_put(&b, &to.at);
  assert_true(slice_equal(buf_slice(&b), slice_cstr(expected)));
  assert_int_equal(to.flow, 3);
  assert_int_equal(to.at.transport, transport);
}

/* A received parameter that the sender wrote must not send the answer elsewhere. */
static void test_reply_target(void **state) {
  (void)state;
  assert_reply_target("SIP/2.0/UDP a.example.net:5070;branch=z9hG4bK1;rport", TRANSPORT_UDP,
                      "192.0.2.1:4444");
  assert_reply_target("SIP/2.0/UDP a.example.net:5070;branch=z9hG4bK1", TRANSPORT_UDP,
                      "192.0.2.1:5070");
  assert_reply_target("SIP/2.0/UDP a.example.net;branch=z9hG4bK1", TRANSPORT_UDP, "192.0.2.1:5060");
  assert_reply_target("SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1;received=198.51.100.8",
                      TRANSPORT_UDP, "192.0.2.1:5060");
  assert_reply_target("SIP/2.0/TCP 198.51.100.7;branch=z9hG4bK1;rport", TRANSPORT_TCP,
                      "192.0.2.1:5060");
  assert_reply_target("SIP/2.0/TLS 198.51.100.7;branch=z9hG4bK1;rport", TRANSPORT_TLS,
                      "192.0.2.1:5061");
  assert_reply_target("SIP/2.0/WS 1.invalid;branch=z9hG4bK1;rport", TRANSPORT_WS, "192.0.2.1:4444");
}

/* An answer to a client whose connection went leaves for its address, or its new connection. */
static void test_flow_of_an_answer(void **state) {
  (void)state;
  static struct world w;
  world_open(&w, TRANSPORT_TCP, 100000, TEST_MEMORY_UNLIMITED);
  struct request_parts parts = {.method = "OPTIONS", .via = SERVER_VIA};
  w.server = give_request(&w, &parts).handle;
  transactions_on_flow_closed(&w.t, w.now, 7);
  assert_true(respond(&w, 200, "OPTIONS"));
  assert_int_equal(w.out.item[0].flow, 0);
  assert_int_equal(w.out.item[0].peer.port, 5070);
  flush(&w);
  run(&w, SEC(1));

  w.server = give_request(&w, &parts).handle;
  struct text text;
  struct sip_message msg = parsed(request_text(&text, &parts));
  struct sip_target from = target_of(&w);
  from.flow = 8;
  assert_int_equal(transactions_on_request(&w.t, w.now, &msg, &from, &w.out).kind,
                   TRANSACTION_ABSORBED);
  transactions_on_flow_closed(&w.t, w.now, 7);
  assert_true(respond(&w, 200, "OPTIONS"));
  assert_int_equal(w.out.item[0].flow, 8);
  world_close(&w);
}

/* --- matching --- */

static void test_matching(void **state) {
  (void)state;
  static struct world w;
  world_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  static const struct {
    const char *method, *via;
    bool same;
  } cases[] = {
      {"OPTIONS", "SIP/2.0/UDP host.example.net;branch=z9hG4bKa", false},
      {"OPTIONS", "SIP/2.0/UDP HOST.example.net;x=y;branch=z9hG4bKa", true},
      {"OPTIONS", "SIP/2.0/UDP host.example.net:5060;branch=z9hG4bKa", false},
      {"OPTIONS", "SIP/2.0/UDP other.example.net;branch=z9hG4bKa", false},
      {"OPTIONS", "SIP/2.0/UDP host.example.net;branch=z9hG4bKb", false},
      {"MESSAGE", "SIP/2.0/UDP host.example.net;branch=z9hG4bKa", false},
      {"FOO", "SIP/2.0/UDP host.example.net;branch=z9hG4bKa", false},
      {"BAR", "SIP/2.0/UDP host.example.net;branch=z9hG4bKa", false},
      {"FOO", "SIP/2.0/UDP host.example.net;branch=z9hG4bKa", true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct request_parts parts = {.method = cases[i].method, .via = cases[i].via};
    struct transaction_event e = give_request(&w, &parts);
    assert_int_equal(e.kind, cases[i].same ? TRANSACTION_ABSORBED : TRANSACTION_NEW);
  }
  world_close(&w);
}

/* RFC 3261 17.2.3, requests whose branch has no magic cookie. */
static void test_matching_rfc2543(void **state) {
  (void)state;
  static const char *const vias[] = {"SIP/2.0/UDP old.example.net",
                                     "SIP/2.0/UDP old.example.net;branch=1"};
  static struct world w;
  for (size_t i = 0; i < sizeof vias / sizeof *vias; i++) {
    world_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
    const struct request_parts invite = {.method = "INVITE", .via = vias[i]};
    struct transaction_event first = give_request(&w, &invite);
    assert_int_equal(first.kind, TRANSACTION_NEW);
    w.server = first.handle;
    assert_int_equal(give_request(&w, &invite).kind, TRANSACTION_ABSORBED);

    struct request_parts cancel = invite;
    cancel.method = "CANCEL";
    struct transaction_event e = give_request(&w, &cancel);
    assert_int_equal(e.kind, TRANSACTION_CANCEL);
    assert_true(handle_same(e.invite, first.handle));

    struct request_parts ack = invite;
    ack.method = "ACK";
    ack.to_tag = "t1"; /* of the answer, see respond() */
    assert_int_equal(give_request(&w, &ack).kind, TRANSACTION_STRAY_ACK);
    assert_true(respond(&w, 486, "INVITE"));
    struct request_parts wrong = ack;
    wrong.to_tag = "t2";
    assert_int_equal(give_request(&w, &wrong).kind, TRANSACTION_STRAY_ACK);
    wrong = ack;
    wrong.call_id = "c2";
    assert_int_equal(give_request(&w, &wrong).kind, TRANSACTION_STRAY_ACK);
    assert_int_equal(give_request(&w, &ack).kind, TRANSACTION_ABSORBED);

    struct request_parts other = invite;
    other.cseq = 2;
    assert_int_equal(give_request(&w, &other).kind, TRANSACTION_NEW);
    other = invite;
    other.uri = "sip:carol@192.0.2.9";
    assert_int_equal(give_request(&w, &other).kind, TRANSACTION_NEW);
    other = invite;
    other.from_tag = "f2";
    assert_int_equal(give_request(&w, &other).kind, TRANSACTION_NEW);
    other = invite;
    other.to_tag = "t2";
    assert_int_equal(give_request(&w, &other).kind, TRANSACTION_NEW);
    world_close(&w);
  }
}

static void test_cancel_matching(void **state) {
  (void)state;
  static struct world w;
  world_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  struct request_parts invite = {.method = "INVITE", .via = SERVER_VIA};
  struct request_parts cancel = {.method = "CANCEL", .via = SERVER_VIA};
  struct request_parts stray = {.method = "CANCEL", .via = CLIENT_VIA};
  w.server = give_request(&w, &invite).handle;
  transactions_set_user(&w.t, w.server, 77);
  struct transaction_event e = give_request(&w, &cancel);
  assert_int_equal(e.kind, TRANSACTION_CANCEL);
  assert_true(handle_same(e.invite, w.server));
  assert_int_equal(e.invite_user, 77);
  assert_false(handle_same(e.handle, w.server));
  assert_int_equal(give_request(&w, &cancel).kind, TRANSACTION_ABSORBED);
  /* The CANCEL's own transaction is answered apart from the INVITE's. */
  struct text text;
  assert_true(transactions_respond(&w.t, w.now, e.handle, 200,
                                   response_text(&text, 200, "CANCEL", "z9hG4bKs1", "t1"), &w.out));
  assert_true(respond(&w, 487, "INVITE"));
  e = give_request(&w, &stray);
  assert_int_equal(e.kind, TRANSACTION_CANCEL);
  assert_false(handle_is(e.invite));
  world_close(&w);
}

/* The user's view: the request is there until the final answer. */
static void test_view(void **state) {
  (void)state;
  static struct world w;
  world_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  struct request_parts parts = {.method = "INVITE", .via = SERVER_VIA, .body = "hello"};
  struct text text;
  struct slice bytes = request_text(&text, &parts);
  w.server = give_request(&w, &parts).handle;
  struct transaction_view view;
  assert_true(transactions_view(&w.t, w.server, &view));
  assert_int_equal(view.method, SIP_INVITE);
  assert_true(slice_equal(view.request, bytes));
  assert_int_equal(view.from.at.port, 5070);
  assert_true(respond(&w, 180, "INVITE"));
  assert_true(transactions_view(&w.t, w.server, &view));
  assert_true(slice_equal(view.request, bytes));
  assert_true(respond(&w, 200, "INVITE"));
  assert_true(transactions_view(&w.t, w.server, &view));
  assert_int_equal(view.request.len, 0);
  assert_int_equal(w.t.bytes_used, 0);
  assert_false(transactions_view(&w.t, HANDLE_NONE, &view));
  assert_false(transactions_respond(&w.t, w.now, HANDLE_NONE, 200, bytes, &w.out));
  assert_false(transactions_cancel(&w.t, w.now, HANDLE_NONE, &w.out));
  world_close(&w);
}

/* --- limits --- */

static enum err send_numbered(struct world *w, unsigned i) {
  struct text text;
  char via[80], branch[20];
  snprintf(branch, sizeof branch, "z9hG4bKn%u", i);
  snprintf(via, sizeof via, "SIP/2.0/UDP 192.0.2.1;branch=%s", branch);
  struct request_parts parts = {.method = "OPTIONS", .via = via};
  struct transaction_request request = {
      .to = target_of(w), .bytes = request_text(&text, &parts), .branch = slice_cstr(branch)};
  return transactions_send(&w->t, w->now, &request, &w->out, &w->client);
}

static enum transaction_event_kind give_numbered(struct world *w, unsigned i) {
  char via[80];
  snprintf(via, sizeof via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKn%u", i);
  struct request_parts parts = {.method = "OPTIONS", .via = via};
  struct transaction_event e = give_request(w, &parts);
  if (e.kind == TRANSACTION_NEW) w->server = e.handle;
  return e.kind;
}

static void test_table_full(void **state) {
  (void)state;
  static struct world w;
  world_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  for (unsigned i = 0; i < SERVERS_MAX; i++)
    assert_int_equal(give_numbered(&w, i), TRANSACTION_NEW);
  assert_int_equal(give_numbered(&w, 100), TRANSACTION_FULL);
  assert_int_equal(give_numbered(&w, 1), TRANSACTION_ABSORBED); /* those inside live on */
  for (unsigned i = 0; i < CLIENTS_MAX; i++) assert_int_equal(send_numbered(&w, i), OK);
  uint32_t sent = w.out.count;
  assert_int_equal(send_numbered(&w, 100), ERR_FULL);
  assert_int_equal(w.out.count, sent);
  outbox_reset(&w.out);
  run(&w, SEC(100));
  assert_nothing_left(&w);
  assert_int_equal(give_numbered(&w, 100), TRANSACTION_NEW);
  world_close(&w);
}

/* With no client left, a CANCEL still leaves, once. */
static void test_cancel_when_full(void **state) {
  (void)state;
  static struct world w;
  world_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  assert_int_equal(send_request(&w, "INVITE", NULL), OK);
  struct handle invite = w.client;
  for (unsigned i = 1; i < CLIENTS_MAX; i++) assert_int_equal(send_numbered(&w, i), OK);
  give_response(&w, 180, "INVITE", "z9hG4bKc1", "t1");
  outbox_reset(&w.out);
  assert_true(transactions_cancel(&w.t, w.now, invite, &w.out));
  assert_int_equal(w.out.count, 1);
  assert_true(slice_starts(w.out.item[0].data, SLICE("CANCEL ")));
  outbox_reset(&w.out);
  run(&w, SEC(100));
  assert_nothing_left(&w);
  world_close(&w);
}

static void test_bytes_max(void **state) {
  (void)state;
  static struct world w;
  /* Room for one request: a second is refused, and so is its copy on the client side. */
  world_open(&w, TRANSPORT_UDP, 400, TEST_MEMORY_UNLIMITED);
  assert_int_equal(give_numbered(&w, 1), TRANSACTION_NEW);
  assert_int_equal(give_numbered(&w, 2), TRANSACTION_FULL);
  assert_int_equal(send_numbered(&w, 3), ERR_FULL);
  assert_int_equal(w.out.count, 0);
  assert_int_equal(w.t.server.used, 1);
  assert_int_equal(w.t.client.used, 0);
  assert_int_equal(w.t.map.used, 1);
  /* The answer goes out although it cannot be kept beside the request; then it is not repeated. */
  assert_true(respond(&w, 200, "OPTIONS"));
  assert_int_equal(w.out.count, 1);
  assert_int_equal(w.t.unkept, 1);
  outbox_reset(&w.out);
  assert_int_equal(give_numbered(&w, 1), TRANSACTION_ABSORBED);
  assert_int_equal(w.out.count, 0);
  world_close(&w);
}

/* No memory at any one allocation: whatever can go on does, nothing is lost or left behind. */
static void test_allocation_failure(void **state) {
  (void)state;
  static struct world w;
  bool whole = false;
  for (uint64_t fail_after = 0; !whole; fail_after++) {
    assert_true(fail_after < 60);
    world_open(&w, TRANSPORT_UDP, 100000, fail_after);
    unsigned refused = 0;
    struct request_parts invite = {.method = "INVITE", .via = "SIP/2.0/UDP old.example.net"};
    struct transaction_event e = give_request(&w, &invite);
    refused += e.kind == TRANSACTION_FULL;
    w.server = e.handle;
    respond(&w, 180, "INVITE");
    respond(&w, 486, "INVITE");
    refused += give_numbered(&w, 1) == TRANSACTION_FULL;
    respond(&w, 200, "OPTIONS");
    refused += give_numbered(&w, 2) == TRANSACTION_FULL;
    bool sent = send_request(&w, "INVITE", NULL) == OK;
    refused += !sent;
    refused += send_numbered(&w, 9) != OK;
    if (sent) {
      struct handle client = w.client;
      e = give_response(&w, 180, "INVITE", "z9hG4bKc1", "t1");
      assert_int_equal(e.kind, TRANSACTION_RESPONSE);
      transactions_cancel(&w.t, w.now, client, &w.out);
      e = give_response(&w, 487, "INVITE", "z9hG4bKc1", "t1");
      assert_int_equal(e.kind, TRANSACTION_RESPONSE);
    }
    whole = refused == 0 && w.t.unkept == 0 && w.memory.taken < fail_after;
    run(&w, w.now + SEC(100));
    whole = whole && w.memory.taken < fail_after;
    assert_nothing_left(&w);
    world_close(&w);
  }
}

/* A burst of due timers stops at the room of the outbox and goes on at the next step. */
static void test_outbox_bound(void **state) {
  (void)state;
  static struct world w;
  world_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  for (unsigned i = 0; i < CLIENTS_MAX; i++) assert_int_equal(send_numbered(&w, i), OK);
  outbox_init(&w.out, outbox_items, 3, outbox_bytes, sizeof outbox_bytes);
  struct transaction_event e;
  uint32_t sent = 0;
  w.now = MSEC(500);
  for (int step = 0; step < 4; step++) {
    assert_false(transactions_next(&w.t, w.now, &e, &w.out));
    sent += w.out.count;
    outbox_reset(&w.out);
    assert_int_equal(transactions_deadline(&w.t) <= w.now, sent < CLIENTS_MAX);
  }
  assert_int_equal(sent, CLIENTS_MAX);
  world_close(&w);
}

/* Seeded random steps of every kind: nothing breaks, and in the end nothing is left. */
static void test_random_steps(void **state) {
  (void)state;
  static struct world w;
  static const char *const methods[] = {"INVITE", "OPTIONS", "ACK", "CANCEL", "FOO"};
  static const unsigned statuses[] = {100, 180, 200, 302, 408, 486};
  for (uint8_t seed = 0; seed < 30; seed++) {
    world_open(&w, seed % 2 == 0 ? TRANSPORT_UDP : TRANSPORT_TCP, 3000, TEST_MEMORY_UNLIMITED);
    const uint8_t bytes[16] = {seed};
    struct rng rng;
    rng_init(&rng, bytes);
    uint32_t client_ends = 0, started = 0;
    for (int step = 0; step < 400; step++) {
      const char *method = methods[rng_below(&rng, 5)];
      unsigned status = statuses[rng_below(&rng, 6)];
      char via[80];
      snprintf(via, sizeof via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKr%u",
               (unsigned)rng_below(&rng, 3));
      struct request_parts parts = {.method = method, .via = via};
      struct text text;
      struct transaction_request request = {.to = target_of(&w),
                                            .bytes = request_text(&text, &parts),
                                            .branch = slice_cstr(strchr(via, 'z')),
                                            .user = 1};
      switch (rng_below(&rng, 7)) {
        case 0:
          w.server = give_request(&w, &parts).handle;
          break;
        case 1:
          respond(&w, status, method);
          break;
        case 2:
          if (strcmp(method, "CANCEL") == 0) break;
          if (transactions_send(&w.t, w.now, &request, &w.out, &w.client) == OK) started++;
          break;
        case 3:
          give_response(&w, status, method, strchr(via, 'z'), "t");
          break;
        case 4:
          transactions_cancel(&w.t, w.now, w.client, &w.out);
          break;
        case 5:
          if (rng_below(&rng, 10) == 0) transactions_on_flow_closed(&w.t, w.now, 7);
          break;
        default:
          w.now += rng_below(&rng, SEC(3));
          struct transaction_event e;
          while (transactions_next(&w.t, w.now, &e, &w.out)) client_ends += e.client;
          break;
      }
      assert_true(w.t.bytes_used <= 3000);
      outbox_reset(&w.out);
    }
    /* INVITEs that ring, or wait for an answer of the user, would stay: cancel and answer. */
    for (uint32_t index = 0; pool_next(&w.t.client, &index) != NULL;)
      transactions_on_flow_closed(&w.t, w.now, 7);
    for (int round = 0; round < 200; round++) {
      struct transaction_event e;
      while (transactions_next(&w.t, w.now, &e, &w.out)) client_ends += e.client;
      outbox_reset(&w.out);
      w.now += SEC(1);
    }
    uint32_t left = w.t.client.used;
    assert_int_equal(client_ends + left, started);
    if (w.transport == TRANSPORT_TCP) assert_int_equal(left, 0);
    world_close(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_stories),
      cmocka_unit_test(test_timing_of_its_own),
      cmocka_unit_test(test_ack_and_cancel),
      cmocka_unit_test(test_reply_target),
      cmocka_unit_test(test_flow_of_an_answer),
      cmocka_unit_test(test_matching),
      cmocka_unit_test(test_matching_rfc2543),
      cmocka_unit_test(test_cancel_matching),
      cmocka_unit_test(test_view),
      cmocka_unit_test(test_table_full),
      cmocka_unit_test(test_cancel_when_full),
      cmocka_unit_test(test_bytes_max),
      cmocka_unit_test(test_allocation_failure),
      cmocka_unit_test(test_outbox_bound),
      cmocka_unit_test(test_random_steps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
