/* SPDX-License-Identifier: BSD-2-Clause */
/* The transaction table around its machines: what it writes, how it matches, what it does when
 * full or without memory.. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "support/transactions.h"

/* --- what is written --- */

/* RFC 3261 17.1.1.3: the ACK's headers come from the INVITE, its To from the answer. */
static void test_ack_and_cancel(void **state) {
  (void)state;
  static struct table w;
  table_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  const char *routes = "Route: <sip:p1.example.net;lr>\r\nRoute: <sip:p2.example.net;lr>\r\n";
  assert_int_equal(table_send_request(&w, "INVITE", routes), OK);
  table_flush(&w);
  table_give_response(&w, 180, "INVITE", "z9hG4bKc1", "t1");
  assert_true(transactions_cancel(&w.t, w.now, w.client, &w.out));
  table_flush(&w);
  struct sip_message cancel = table_parsed(slice_of(w.sent, w.sent_len));
  assert_int_equal(cancel.method, SIP_CANCEL);
  assert_int_equal(cancel.to_tag.len, 0);
  assert_int_equal(sip_header_count(&cancel, SIP_H_ROUTE), 2);
  assert_true(slice_equal(cancel.via.branch, SLICE("z9hG4bKc1")));
  for (int again = 0; again < 2; again++) {
    table_give_response(&w, 487, "INVITE", "z9hG4bKc1", "t9");
    table_flush(&w);
    struct sip_message ack = table_parsed(slice_of(w.sent, w.sent_len));
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
  table_close(&w);
}

static void assert_reply_target(const char *via, enum transport transport, const char *expected) {
  struct table_text text;
  struct table_request parts = {.method = "OPTIONS", .via = via};
  struct sip_message msg = table_parsed(table_request_text(&text, &parts));
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

/* an answer to a client whose connection went leaves for its address, or its new
 * connection.
 */
static void test_flow_of_an_answer(void **state) {
  (void)state;
  static struct table w;
  table_open(&w, TRANSPORT_TCP, 100000, TEST_MEMORY_UNLIMITED);
  struct table_request parts = {.method = "OPTIONS", .via = SERVER_VIA};
  w.server = table_give_request(&w, &parts).handle;
  transactions_on_flow_closed(&w.t, w.now, 7);
  assert_true(table_respond(&w, 200, "OPTIONS"));
  assert_int_equal(w.out.item[0].flow, 0);
  assert_int_equal(w.out.item[0].peer.port, 5070);
  table_flush(&w);
  table_run(&w, SEC(1));

  w.server = table_give_request(&w, &parts).handle;
  struct table_text text;
  struct sip_message msg = table_parsed(table_request_text(&text, &parts));
  struct sip_target from = table_peer(&w);
  from.flow = 8;
  assert_int_equal(transactions_on_request(&w.t, w.now, &msg, &from, &w.out).kind,
                   TRANSACTION_ABSORBED);
  transactions_on_flow_closed(&w.t, w.now, 7);
  assert_true(table_respond(&w, 200, "OPTIONS"));
  assert_int_equal(w.out.item[0].flow, 8);
  table_close(&w);
}

/* The user's own request: nothing is sent to anybody, and it lives for four times as long. */
static void test_own_request(void **state) {
  (void)state;
  static struct table w;
  table_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  struct table_request parts = {.method = "MESSAGE", .via = SERVER_VIA};
  const struct sip_target nobody = {0};
  struct table_text text;
  struct sip_message msg = table_parsed(table_request_text(&text, &parts));
  struct transaction_event event = transactions_on_request(&w.t, w.now, &msg, &nobody, &w.out);
  assert_int_equal(event.kind, TRANSACTION_NEW);
  w.server = event.handle;
  struct transaction_view view;
  table_run(&w, SEC(100)); /* no 100 (Trying) either */
  assert_int_equal(w.sent_len, 0);
  assert_true(transactions_view(&w.t, w.server, &view));
  assert_true(view.request.len > 0);
  assert_true(table_respond(&w, 202, "MESSAGE"));
  assert_int_equal(w.out.count, 0);
  table_run(&w, SEC(200));
  assert_false(transactions_view(&w.t, w.server, &view));
  table_close(&w);
}

/* --- matching --- */

static void test_matching(void **state) {
  (void)state;
  static struct table w;
  table_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
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
    struct table_request parts = {.method = cases[i].method, .via = cases[i].via};
    struct transaction_event e = table_give_request(&w, &parts);
    assert_int_equal(e.kind, cases[i].same ? TRANSACTION_ABSORBED : TRANSACTION_NEW);
  }
  table_close(&w);
}

/* RFC 3261 17.2.3, requests whose branch has no magic cookie. */
static void test_matching_rfc2543(void **state) {
  (void)state;
  static const char *const vias[] = {"SIP/2.0/UDP old.example.net",
                                     "SIP/2.0/UDP old.example.net;branch=1"};
  static struct table w;
  for (size_t i = 0; i < sizeof vias / sizeof *vias; i++) {
    table_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
    const struct table_request invite = {.method = "INVITE", .via = vias[i]};
    struct transaction_event first = table_give_request(&w, &invite);
    assert_int_equal(first.kind, TRANSACTION_NEW);
    w.server = first.handle;
    assert_int_equal(table_give_request(&w, &invite).kind, TRANSACTION_ABSORBED);

    struct table_request cancel = invite;
    cancel.method = "CANCEL";
    struct transaction_event e = table_give_request(&w, &cancel);
    assert_int_equal(e.kind, TRANSACTION_CANCEL);
    assert_true(handle_same(e.invite, first.handle));

    struct table_request ack = invite;
    ack.method = "ACK";
    ack.to_tag = "t1"; /* of the answer, see table_respond() */
    assert_int_equal(table_give_request(&w, &ack).kind, TRANSACTION_STRAY_ACK);
    assert_true(table_respond(&w, 486, "INVITE"));
    struct table_request wrong = ack;
    wrong.to_tag = "t2";
    assert_int_equal(table_give_request(&w, &wrong).kind, TRANSACTION_STRAY_ACK);
    wrong = ack;
    wrong.call_id = "c2";
    assert_int_equal(table_give_request(&w, &wrong).kind, TRANSACTION_STRAY_ACK);
    assert_int_equal(table_give_request(&w, &ack).kind, TRANSACTION_ABSORBED);

    struct table_request other = invite;
    other.cseq = 2;
    assert_int_equal(table_give_request(&w, &other).kind, TRANSACTION_NEW);
    other = invite;
    other.uri = "sip:carol@192.0.2.9";
    assert_int_equal(table_give_request(&w, &other).kind, TRANSACTION_NEW);
    other = invite;
    other.from_tag = "f2";
    assert_int_equal(table_give_request(&w, &other).kind, TRANSACTION_NEW);
    other = invite;
    other.to_tag = "t2";
    assert_int_equal(table_give_request(&w, &other).kind, TRANSACTION_NEW);
    table_close(&w);
  }
}

static void test_cancel_matching(void **state) {
  (void)state;
  static struct table w;
  table_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  struct table_request invite = {.method = "INVITE", .via = SERVER_VIA};
  struct table_request cancel = {.method = "CANCEL", .via = SERVER_VIA};
  struct table_request stray = {.method = "CANCEL", .via = CLIENT_VIA};
  w.server = table_give_request(&w, &invite).handle;
  transactions_set_user(&w.t, w.server, 77);
  struct transaction_event e = table_give_request(&w, &cancel);
  assert_int_equal(e.kind, TRANSACTION_CANCEL);
  assert_true(handle_same(e.invite, w.server));
  assert_int_equal(e.invite_user, 77);
  assert_false(handle_same(e.handle, w.server));
  assert_int_equal(table_give_request(&w, &cancel).kind, TRANSACTION_ABSORBED);
  /* The CANCEL's own transaction is answered apart from the INVITE's. */
  struct table_text text;
  assert_true(transactions_respond(&w.t, w.now, e.handle, 200,
                                   table_response_text(&text, 200, "CANCEL", "z9hG4bKs1", "t1"),
                                   &w.out));
  assert_true(table_respond(&w, 487, "INVITE"));
  e = table_give_request(&w, &stray);
  assert_int_equal(e.kind, TRANSACTION_CANCEL);
  assert_false(handle_is(e.invite));
  table_close(&w);
}

/* The user's view: the request is there until the final answer. */
static void test_view(void **state) {
  (void)state;
  static struct table w;
  table_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  struct table_request parts = {.method = "INVITE", .via = SERVER_VIA, .body = "hello"};
  struct table_text text;
  struct slice bytes = table_request_text(&text, &parts);
  w.server = table_give_request(&w, &parts).handle;
  struct transaction_view view;
  assert_true(transactions_view(&w.t, w.server, &view));
  assert_int_equal(view.method, SIP_INVITE);
  assert_true(slice_equal(view.request, bytes));
  assert_int_equal(view.from.at.port, 5070);
  assert_true(table_respond(&w, 180, "INVITE"));
  assert_true(transactions_view(&w.t, w.server, &view));
  assert_true(slice_equal(view.request, bytes));
  assert_true(table_respond(&w, 200, "INVITE"));
  assert_true(transactions_view(&w.t, w.server, &view));
  assert_int_equal(view.request.len, 0);
  assert_int_equal(w.t.bytes_used, 0);
  assert_false(transactions_view(&w.t, HANDLE_NONE, &view));
  assert_false(transactions_respond(&w.t, w.now, HANDLE_NONE, 200, bytes, &w.out));
  assert_false(transactions_cancel(&w.t, w.now, HANDLE_NONE, &w.out));
  table_close(&w);
}

/* An answer is known by branch and CSeq method (RFC 3261 17.1.3), whatever the method is. */
static void test_matching_answers(void **state) {
  (void)state;
  static struct table w;
  table_open(&w, TRANSPORT_TCP, 100000, TEST_MEMORY_UNLIMITED);
  assert_int_equal(table_send_request(&w, "FOO", NULL), OK);
  struct handle foo = w.client;
  assert_int_equal(table_send_request(&w, "BAR", NULL), OK);
  assert_int_equal(table_send_request(&w, "OPTIONS", NULL), OK);
  assert_int_equal(table_give_response(&w, 200, "BAZ", "z9hG4bKc1", "t").kind,
                   TRANSACTION_STRAY_RESPONSE);
  assert_int_equal(table_give_response(&w, 200, "MESSAGE", "z9hG4bKc1", "t").kind,
                   TRANSACTION_STRAY_RESPONSE);
  assert_int_equal(table_give_response(&w, 200, "FOO", "z9hG4bKc2", "t").kind,
                   TRANSACTION_STRAY_RESPONSE);
  struct transaction_event e = table_give_response(&w, 200, "FOO", "z9hG4bKc1", "t");
  assert_int_equal(e.kind, TRANSACTION_RESPONSE);
  assert_true(handle_same(e.handle, foo));
  struct table_text text;
  struct table_request ack = {.method = "ACK", .via = CLIENT_VIA};
  const struct transaction_request request = {
      .to = table_peer(&w), .bytes = table_request_text(&text, &ack), .branch = SLICE("z9hG4bKc1")};
  assert_int_equal(transactions_send(&w.t, w.now, &request, &w.out, &w.client), ERR_UNSUPPORTED);
  table_close(&w);
}

/* Bytes are given back as soon as no repetition needs them. */
static void test_bytes_freed_early(void **state) {
  (void)state;
  static const struct {
    enum transport transport;
    const char *method;
    unsigned status;
    bool kept_before, kept_after; /* the final answer: by a client */
    bool answer_kept;             /* by a server */
  } cases[] = {
      {TRANSPORT_UDP, "INVITE", 200, true, false, false},
      {TRANSPORT_UDP, "INVITE", 299, true, false, false},
      {TRANSPORT_UDP, "INVITE", 300, true, true, true},
      {TRANSPORT_TCP, "INVITE", 299, true, false, false},
      {TRANSPORT_TCP, "INVITE", 300, true, false, false},
      {TRANSPORT_UDP, "OPTIONS", 200, true, false, true},
      {TRANSPORT_TCP, "OPTIONS", 200, false, false, false},
  };
  static struct table w;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    table_open(&w, cases[i].transport, 100000, TEST_MEMORY_UNLIMITED);
    assert_int_equal(table_send_request(&w, cases[i].method, NULL), OK);
    assert_int_equal(w.t.bytes_used > 0, cases[i].kept_before);
    table_give_response(&w, cases[i].status, cases[i].method, "z9hG4bKc1", "t1");
    assert_int_equal(w.t.bytes_used > 0, cases[i].kept_after);
    outbox_reset(&w.out);
    table_run(&w, SEC(100));
    table_assert_empty(&w);

    struct table_request parts = {.method = cases[i].method, .via = SERVER_VIA};
    w.server = table_give_request(&w, &parts).handle;
    struct transaction_view view;
    assert_true(transactions_view(&w.t, w.server, &view));
    assert_int_equal(w.t.bytes_used, view.request.len);
    assert_true(table_respond(&w, cases[i].status, cases[i].method));
    assert_int_equal(w.t.bytes_used, cases[i].answer_kept ? w.out.item[0].data.len : 0);
    table_close(&w);
  }
}

/* --- limits --- */

static enum err send_numbered(struct table *w, unsigned i) {
  struct table_text text;
  char via[80], branch[20];
  snprintf(branch, sizeof branch, "z9hG4bKn%u", i);
  snprintf(via, sizeof via, "SIP/2.0/UDP 192.0.2.1;branch=%s", branch);
  struct table_request parts = {.method = "OPTIONS", .via = via};
  struct transaction_request request = {.to = table_peer(w),
                                        .bytes = table_request_text(&text, &parts),
                                        .branch = slice_cstr(branch)};
  return transactions_send(&w->t, w->now, &request, &w->out, &w->client);
}

static enum transaction_event_kind give_numbered(struct table *w, unsigned i) {
  char via[80];
  snprintf(via, sizeof via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKn%u", i);
  struct table_request parts = {.method = "OPTIONS", .via = via};
  struct transaction_event e = table_give_request(w, &parts);
  if (e.kind == TRANSACTION_NEW) w->server = e.handle;
  return e.kind;
}

static void test_table_full(void **state) {
  (void)state;
  static struct table w;
  table_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  for (unsigned i = 0; i < SERVERS_MAX; i++)
    assert_int_equal(give_numbered(&w, i), TRANSACTION_NEW);
  assert_int_equal(give_numbered(&w, 100), TRANSACTION_FULL);
  assert_int_equal(give_numbered(&w, 1), TRANSACTION_ABSORBED); /* those inside live on */
  for (unsigned i = 0; i < CLIENTS_MAX; i++) assert_int_equal(send_numbered(&w, i), OK);
  uint32_t sent = w.out.count;
  assert_int_equal(send_numbered(&w, 100), ERR_FULL);
  assert_int_equal(w.out.count, sent);
  outbox_reset(&w.out);
  table_run(&w, SEC(100));
  table_assert_empty(&w);
  assert_int_equal(give_numbered(&w, 100), TRANSACTION_NEW);
  table_close(&w);
}

/* With no client left, a CANCEL still leaves, once. */
static void test_cancel_when_full(void **state) {
  (void)state;
  static struct table w;
  table_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  assert_int_equal(table_send_request(&w, "INVITE", NULL), OK);
  struct handle invite = w.client;
  for (unsigned i = 1; i < CLIENTS_MAX; i++) assert_int_equal(send_numbered(&w, i), OK);
  table_give_response(&w, 180, "INVITE", "z9hG4bKc1", "t1");
  outbox_reset(&w.out);
  assert_true(transactions_cancel(&w.t, w.now, invite, &w.out));
  assert_int_equal(w.out.count, 1);
  assert_true(slice_starts(w.out.item[0].data, SLICE("CANCEL ")));
  outbox_reset(&w.out);
  table_run(&w, SEC(100));
  table_assert_empty(&w);
  table_close(&w);
}

static void test_bytes_max(void **state) {
  (void)state;
  static struct table w;
  /* Room for one request: a second is refused, and so is its copy on the client side. */
  table_open(&w, TRANSPORT_UDP, 400, TEST_MEMORY_UNLIMITED);
  assert_int_equal(give_numbered(&w, 1), TRANSACTION_NEW);
  assert_int_equal(give_numbered(&w, 2), TRANSACTION_FULL);
  assert_int_equal(send_numbered(&w, 3), ERR_FULL);
  assert_int_equal(w.out.count, 0);
  assert_int_equal(w.t.server.used, 1);
  assert_int_equal(w.t.client.used, 0);
  assert_int_equal(w.t.map.used, 1);
  /* The answer goes out although it cannot be kept beside the request; then it is not repeated. */
  assert_true(table_respond(&w, 200, "OPTIONS"));
  assert_int_equal(w.out.count, 1);
  assert_int_equal(w.t.unkept, 1);
  outbox_reset(&w.out);
  assert_int_equal(give_numbered(&w, 1), TRANSACTION_ABSORBED);
  assert_int_equal(w.out.count, 0);
  table_close(&w);
}

/* No memory at any one allocation: whatever can go on does, nothing is lost or left behind. */
static void test_allocation_failure(void **state) {
  (void)state;
  static struct table w;
  bool whole = false;
  for (uint64_t fail_after = 0; !whole; fail_after++) {
    assert_true(fail_after < 60);
    table_open(&w, TRANSPORT_UDP, 100000, fail_after);
    unsigned refused = 0;
    struct table_request invite = {.method = "INVITE", .via = "SIP/2.0/UDP old.example.net"};
    struct transaction_event e = table_give_request(&w, &invite);
    refused += e.kind == TRANSACTION_FULL;
    w.server = e.handle;
    table_respond(&w, 180, "INVITE");
    table_respond(&w, 486, "INVITE");
    refused += give_numbered(&w, 1) == TRANSACTION_FULL;
    table_respond(&w, 200, "OPTIONS");
    refused += give_numbered(&w, 2) == TRANSACTION_FULL;
    bool sent = table_send_request(&w, "INVITE", NULL) == OK;
    refused += !sent;
    refused += send_numbered(&w, 9) != OK;
    if (sent) {
      struct handle client = w.client;
      e = table_give_response(&w, 180, "INVITE", "z9hG4bKc1", "t1");
      assert_int_equal(e.kind, TRANSACTION_RESPONSE);
      transactions_cancel(&w.t, w.now, client, &w.out);
      e = table_give_response(&w, 487, "INVITE", "z9hG4bKc1", "t1");
      assert_int_equal(e.kind, TRANSACTION_RESPONSE);
    }
    whole = refused == 0 && w.t.unkept == 0 && w.memory.taken < fail_after;
    table_run(&w, w.now + SEC(100));
    whole = whole && w.memory.taken < fail_after;
    table_assert_empty(&w);
    table_close(&w);
  }
}

/* A burst of due timers stops at the room of the outbox and goes on at the next step. */
static void test_outbox_bound(void **state) {
  (void)state;
  static struct table w;
  table_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  for (unsigned i = 0; i < CLIENTS_MAX; i++) assert_int_equal(send_numbered(&w, i), OK);
  outbox_reset(&w.out);
  w.out.limit = 3;
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
  table_close(&w);
}

/* Seeded random steps of every kind: nothing breaks, and in the end nothing is left. */
static void test_random_steps(void **state) {
  (void)state;
  static struct table w;
  static const char *const methods[] = {"INVITE", "OPTIONS", "ACK", "CANCEL", "FOO"};
  static const unsigned statuses[] = {100, 180, 200, 302, 408, 486};
  for (uint8_t seed = 0; seed < 30; seed++) {
    table_open(&w, seed % 2 == 0 ? TRANSPORT_UDP : TRANSPORT_TCP, 3000, TEST_MEMORY_UNLIMITED);
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
      struct table_request parts = {.method = method, .via = via};
      struct table_text text;
      struct transaction_request request = {.to = table_peer(&w),
                                            .bytes = table_request_text(&text, &parts),
                                            .branch = slice_cstr(strchr(via, 'z')),
                                            .user = 1};
      switch (rng_below(&rng, 7)) {
        case 0:
          w.server = table_give_request(&w, &parts).handle;
          break;
        case 1:
          table_respond(&w, status, method);
          break;
        case 2:
          if (strcmp(method, "CANCEL") == 0) break;
          if (transactions_send(&w.t, w.now, &request, &w.out, &w.client) == OK) started++;
          break;
        case 3:
          table_give_response(&w, status, method, strchr(via, 'z'), "t");
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
    /* INVITEs that ring or wait for their user stay for ever; all else ends. */
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
    table_close(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ack_and_cancel),    cmocka_unit_test(test_reply_target),
      cmocka_unit_test(test_flow_of_an_answer), cmocka_unit_test(test_own_request),
      cmocka_unit_test(test_matching),          cmocka_unit_test(test_matching_rfc2543),
      cmocka_unit_test(test_cancel_matching),   cmocka_unit_test(test_view),
      cmocka_unit_test(test_matching_answers),  cmocka_unit_test(test_bytes_freed_early),
      cmocka_unit_test(test_table_full),        cmocka_unit_test(test_cancel_when_full),
      cmocka_unit_test(test_bytes_max),         cmocka_unit_test(test_allocation_failure),
      cmocka_unit_test(test_outbox_bound),      cmocka_unit_test(test_random_steps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
