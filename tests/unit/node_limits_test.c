/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits against abuse at their bounds: what one source may ask for, how much it may hold, and what
 * is sent to an address that may be somebody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/sources.h"
#include "support/memory.h"
#include "support/records.h"
#include "support/world.h"

/* ---- the table of sources ---- */

static struct test_memory memory;

static struct sources make(uint32_t per_s) {
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  uint32_t each[SOURCE_METERS];
  for (unsigned i = 0; i < SOURCE_METERS; i++) each[i] = per_s;
  struct sources sources;
  sources_init(&sources, &memory.memory, (struct hash_key){1, 2}, each);
  return sources;
}

static struct endpoint at(const char *text) {
  struct endpoint e;
  assert_true(endpoint_parse(slice_cstr(text), TRANSPORT_UDP, 5060, &e));
  return e;
}

static uint16_t row(const struct sources *sources, const char *text) {
  struct endpoint e = at(text);
  return sources_of_address(sources, &e).row;
}

/* a prefix is one source, whatever the port. */
static void test_a_prefix_is_one_source(void **state) {
  (void)state;
  struct sources s = make(1);
  assert_int_equal(row(&s, "192.0.2.1:1"), row(&s, "192.0.2.255:60000"));
  assert_int_not_equal(row(&s, "192.0.2.1"), row(&s, "192.0.3.1"));
  assert_int_equal(row(&s, "[::ffff:192.0.2.1]:1"), row(&s, "192.0.2.9"));
  assert_int_equal(row(&s, "[2001:db8:1::1]:1"), row(&s, "[2001:db8:1:ffff::2]:1"));
  assert_int_not_equal(row(&s, "[2001:db8:1::1]:1"), row(&s, "[2001:db8:2::1]:1"));
  sources_free(&s);
  assert_int_equal(memory.blocks, 0);
}

/* ten seconds' worth at once, then the rate, never more. */
static void test_a_meter_at_its_bound(void **state) {
  (void)state;
  struct sources s = make(5);
  struct source source = {.row = 7}, peer = {.row = 8, .peer = true}, free = {0};
  usec now = SEC(100);
  for (unsigned i = 0; i < 50; i++) assert_true(sources_take(&s, source, SOURCE_PUTS, 1, now));
  assert_false(sources_take(&s, source, SOURCE_PUTS, 1, now));
  assert_true(sources_take(&s, source, SOURCE_BYTES, 50, now)); /* meters are apart */
  assert_false(sources_take(&s, source, SOURCE_PUTS, 1, now + MSEC(199)));
  assert_true(sources_take(&s, source, SOURCE_PUTS, 1, now + MSEC(200)));
  assert_false(sources_take(&s, source, SOURCE_PUTS, 1, now + MSEC(200)));
  for (unsigned i = 0; i < 500; i++) assert_true(sources_take(&s, peer, SOURCE_PUTS, 1, now));
  assert_false(sources_take(&s, peer, SOURCE_PUTS, 1, now));
  for (unsigned i = 0; i < 10000; i++) assert_true(sources_take(&s, free, SOURCE_PUTS, 1, now));
  now += SEC(1000); /* a long rest earns no more than one burst */
  assert_true(sources_take(&s, source, SOURCE_PUTS, 50, now));
  assert_false(sources_take(&s, source, SOURCE_PUTS, 1, now));
  sources_free(&s);
  assert_int_equal(memory.blocks, 0);
}

/* */
static void test_a_source_holds_half_of_a_table(void **state) {
  (void)state;
  struct sources s = make(1);
  for (unsigned i = 0; i < 8; i++) assert_true(sources_hold(&s, 3, SOURCE_HOPS, 16, SEC(1)));
  assert_false(sources_hold(&s, 3, SOURCE_HOPS, 16, SEC(1)));
  assert_true(sources_hold(&s, 4, SOURCE_HOPS, 16, SEC(1)));
  assert_true(sources_hold(&s, 3, SOURCE_OPERATIONS, 16, SEC(1)));
  sources_release(&s, 3, SOURCE_HOPS);
  assert_true(sources_hold(&s, 3, SOURCE_HOPS, 16, SEC(1)));
  assert_false(sources_hold(&s, 3, SOURCE_HOPS, 16, SEC(1)));
  for (unsigned i = 0; i < 100; i++) assert_true(sources_hold(&s, 0, SOURCE_HOPS, 16, SEC(1)));
  sources_free(&s);
  assert_int_equal(memory.blocks, 0);
}

static void test_without_memory_who_is_measured_is_refused(void **state) {
  (void)state;
  struct sources s = make(5);
  memory.fail_after = 0;
  assert_false(sources_take(&s, (struct source){.row = 1}, SOURCE_PUTS, 1, SEC(1)));
  assert_true(sources_take(&s, (struct source){0}, SOURCE_PUTS, 1, SEC(1)));
  sources_free(&s);
  assert_int_equal(memory.blocks, 0);
}

/* who asked for a little once is forgotten; who used up a meter or holds something is not.
 */
static void test_idle_sources_need_no_memory(void **state) {
  (void)state;
  struct sources s = make(1);
  usec now = SEC(100);
  for (unsigned i = 0; i < 10; i++)
    assert_true(sources_take(&s, (struct source){.row = 1}, SOURCE_PUTS, 1, now));
  assert_true(sources_hold(&s, 2, SOURCE_HOPS, 2, now));
  for (uint16_t row = 3; row <= SOURCE_ROWS; row++) {
    now += MSEC(500);
    struct source source = {.row = row};
    assert_true(sources_take(&s, source, SOURCE_REQUESTS, 1, now));
    if (row == 15) assert_false(sources_take(&s, (struct source){.row = 1}, SOURCE_PUTS, 7, now));
  }
  assert_true(s.rows.used <= 16);
  assert_false(sources_hold(&s, 2, SOURCE_HOPS, 2, now));
  sources_release(&s, 2, SOURCE_HOPS);
  sources_free(&s);
  assert_int_equal(memory.blocks, 0);
}

/* all sources at once have the rows there are, and nobody is pushed out. */
static void test_the_table_at_its_bound(void **state) {
  (void)state;
  struct sources s = make(1);
  for (unsigned round = 0; round < 2; round++)
    for (uint16_t row = 1; row <= SOURCE_ROWS; row++)
      assert_int_equal(sources_take(&s, (struct source){.row = row}, SOURCE_PUTS, 10, SEC(1)),
                       round == 0);
  assert_int_equal(s.rows.used, SOURCE_ROWS);
  sources_free(&s);
  assert_int_equal(memory.blocks, 0);
}

/* ---- a peer ---- */

#define BOB "sip:bob@example.net"
#define CALL_BODY(method, inner)                                                            \
  "<?xml version=\"1.0\"?><methodCall><methodName>" method                                  \
  "</methodName><params><param><dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\"><key>" inner \
  "</key></dhtRecord></param></params></methodCall>"
#define GET_BODY CALL_BODY("get", BOB)

static struct net net;
static unsigned number;
static struct endpoint victim; /* whose address the request claims to come from */
static uint32_t flow;
static bool trusts_victim; /* its network is on the address list */

static void open_ring(unsigned count) {
  const struct key ids[] = {{{0x10}}, {{0x60}}, {{0xb0}}};
  net.config.trusted_count = trusts_victim;
  prefix_parse(SLICE("198.51.100.0/24"), &net.config.trusted[0]);
  for (unsigned i = 0; i < count; i++) net_add(&net, &ids[i], i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  net_run_for(&net, SEC(20));
  net_clear_inbox(&net);
}

static void begin(void) {
  net_open(&net, 5);
  net.config.digest_off = true;
  trusts_victim = false;
  victim = net_stranger("198.51.100.7:5060", TRANSPORT_UDP);
  flow = 0;
}

static void end(void) { assert_true(net_close(&net)); }

static uint64_t limited(enum node_limit limit) { return node_stats(net.at[0].node).limit[limit]; }

struct ask {
  const char *method, *uri, *lines, *body;
};

static size_t write_request(char *out, size_t room, const struct ask *ask) {
  const char *method = ask->method != NULL ? ask->method : "LOCSER";
  const char *body = ask->body != NULL ? ask->body : "";
  char record[3000];
  snprintf(record, sizeof record, "%s", body);
  test_sign_records(&net.crypto, record, strlen(record));
  number++;
  char host[80];
  struct buf b = buf_over(host, sizeof host - 1);
  endpoint_put(&b, &victim);
  host[b.len] = 0;
  int n = snprintf(out, room,
                   "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%u\r\nMax-Forwards: 70\r\n"
                   "From: <sip:a@a.example>;tag=1\r\nTo: <sip:a@a.example>\r\nCall-ID: %u\r\n"
                   "CSeq: 1 %s\r\n%sContent-Length: %zu\r\n\r\n%s",
                   method, ask->uri != NULL ? ask->uri : BOB,
                   victim.transport == TRANSPORT_UDP ? "UDP" : "TCP", host, number, number, method,
                   ask->lines != NULL ? ask->lines : "", strlen(record), record);
  assert_in_range(n, 1, room - 1);
  return (size_t)n;
}

struct traffic {
  size_t in, out;
  unsigned answers, status; /* of the last */
  char text[6000];
};

/* Sends the request so many times and lets `span` go by. */
static struct traffic send_times(const struct ask *ask, unsigned times, usec span) {
  static char message[9000];
  static struct traffic t;
  memset(&t, 0, sizeof t);
  size_t len = write_request(message, sizeof message, ask);
  for (unsigned i = 0; i < times; i++) {
    net_inject(&net, 0, flow, &victim, slice_of(message, len));
    t.in += len;
  }
  for (usec stop = net.now + span; net.now < stop;) {
    net_run_for(&net, MSEC(100));
    const struct net_letter *letter;
    while ((letter = net_take(&net, "SIP/2.0 ", "")) != NULL) {
      if (letter->to.addr[0] != victim.addr[0]) continue;
      t.out += letter->len;
      t.answers++;
      t.status = (unsigned)atoi(letter->text + 8);
      snprintf(t.text, sizeof t.text, "%s", letter->text);
    }
  }
  return t;
}

static const char *key_line(const struct key *key, const char *parameters) {
  static char line[120];
  char hex[KEY_HEX + 1];
  struct buf out = buf_over(hex, KEY_HEX);
  key_put(&out, key);
  hex[KEY_HEX] = 0;
  snprintf(line, sizeof line, "Overlay-Key: %s%s\r\n", hex, parameters);
  return line;
}

/* whatever is asked, and however often, to an unproven address goes no more than
 * came from there. */
static void test_no_answer_is_larger_than_the_request(void **state) {
  (void)state;
  begin();
  open_ring(3);
  struct key bob = net_key(&net, BOB), here = {{0x08}}, far = {{0x30}};
  assert_int_equal(net_put(&net, 0, BOB, "sip:bob@192.0.2.4")->code, 200);
  static const char long_get[] = CALL_BODY("get", BOB) "<!-- so much that an answer would fit: "
      "........................................................................................"
      "........................................................................................"
      "........................................................................................"
      "........................................................................................"
      "-->";
  const struct ask asks[] = {
      {.lines = key_line(&bob, ""), .body = NULL},
      {.lines = "", .body = NULL},
      {.lines = "Overlay-Key: 12\r\n"},
      {.lines = "Require: a,b,c,d,e,f,g\r\n"},
  };
  size_t in = 0, out = 0;
  char line[200];
  for (unsigned round = 0; round < 64; round++) {
    const struct key *key = round & 1 ? &bob : round & 2 ? &here : &far;
    const char *parameters = round & 4 ? ";direct" : round & 8 ? ";overlay=other" : "";
    const char *body = round & 16 ? GET_BODY : round % 3 == 0 ? long_get : "";
    snprintf(line, sizeof line, "%s%s%s", key_line(key, parameters),
             body[0] != 0 ? "Content-Type: text/xml\r\n" : "",
             round & 32 ? "Request-Disposition: redirect\r\n" : "");
    struct ask ask = {.lines = line, .body = body};
    if (round < 4) ask = asks[round];
    unsigned times = 1 + round % 3;
    struct traffic t = send_times(&ask, times, SEC(10));
    if (t.out > t.in || t.answers > times) fail_msg("%zu to %zu: %s", t.in, t.out, t.text);
    in += t.in;
    out += t.out;
  }
  printf("LOCSER over UDP before proof: %zu bytes in, %zu out, ratio %.2f\n", in, out,
         (double)out / (double)in);
  assert_true(limited(LIMIT_ANSWER) > 0);
  end();
}

/* what does not fit is asked for over TCP, here and at the end of a way. */
static void test_a_result_that_does_not_fit(void **state) {
  (void)state;
  begin();
  open_ring(3);
  for (unsigned n = 0, seen = 0; seen != 3; n++) {
    char uri[40], body[500], line[200];
    assert_true(n < 100);
    snprintf(uri, sizeof uri, "sip:u%u@example.net", n);
    struct key key = net_key(&net, uri);
    seen |= net_responsible(&net, &key) == 0 ? 1 : 2;
    assert_int_equal(net_put(&net, 0, uri, "sip:bob@192.0.2.4")->code, 200);
    snprintf(body, sizeof body, CALL_BODY("get", "%s"), uri);
    snprintf(line, sizeof line, "%sContent-Type: text/xml\r\n", key_line(&key, ""));
    struct traffic t = send_times(&(struct ask){.lines = line, .body = body}, 1, SEC(5));
    assert_int_equal(t.status, 413);
    assert_non_null(strstr(t.text, "Ask Over TCP"));
    assert_null(strstr(t.text,
                       "<"
                       "methodResponse"));
  }
  end();
}

/* at the bound, and what it lets out. */
static void test_other_methods_over_udp(void **state) {
  (void)state;
  static const struct {
    const char *method, *uri, *lines;
    double most; /* bytes out for one in */
  } cases[] = {
      {"OPTIONS", "sip:10.0.0.1", "", 3.0},
      {"REGISTER", "sip:a.example", "Contact: <sip:b@198.51.100.7>\r\n", 3.0},
      {"INVITE", "sip:nobody@example.net", "",
       16.0}, /* its refusal is sent until there is an ACK */
  };
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    begin();
    net.config.limits.source_datagrams = 2; /* 20 at once */
    open_ring(1);
    const struct ask ask = {cases[i].method, cases[i].uri, cases[i].lines, NULL};
    struct traffic one = send_times(&ask, 1, SEC(40));
    double ratio = (double)one.out / (double)one.in;
    printf(
        "%s over UDP before proof: %zu bytes in, %zu out in %u answers, ratio %.2f; 2 requests a "
        "second from one prefix\n",
        cases[i].method, one.in, one.out, one.answers, ratio);
    assert_true(one.answers > 0 && ratio < cases[i].most);
    unsigned answered = 0;
    for (unsigned n = 0; n < 30; n++) answered += send_times(&ask, 1, 0).answers;
    struct traffic rest = send_times(&ask, 1, MSEC(300));
    assert_in_range(answered + rest.answers, 20, 40);
    assert_int_equal(limited(LIMIT_DATAGRAMS), 11);
    victim = net_stranger("198.51.101.7:5060", TRANSPORT_UDP); /* another prefix is not to blame */
    assert_true(send_times(&ask, 1, MSEC(300)).answers > 0);
    end();
  }
}

/* STUN counts as well, and beyond the bound nothing is said. */
static void test_stun_over_udp(void **state) {
  (void)state;
  static const char binding[] = "\x00\x01\x00\x00\x21\x12\xa4\x42transaction1";
  begin();
  net.config.limits.source_datagrams = 2; /* 20 at once */
  open_ring(1);
  for (unsigned n = 0; n < 30; n++) net_inject(&net, 0, 0, &victim, slice_of(binding, 20));
  net_run_for(&net, MSEC(10));
  assert_int_equal(net.inbox_count, 20);
  assert_int_equal(net.inbox[0].len, 32);
  assert_true(endpoint_equal(&net.inbox[0].to, &victim));
  assert_memory_equal(net.inbox[0].text + 8, "transaction1", 12);
  assert_int_equal(limited(LIMIT_DATAGRAMS), 10);
  /* On a stream it is no message at all (RFC 5626 section 3.5.1). */
  net_clear_inbox(&net);
  struct endpoint tcp = net_stranger("198.51.101.7:5060", TRANSPORT_TCP);
  net_inject(&net, 0, net_connect(&net, 0, &tcp), &tcp, slice_of(binding, 20));
  assert_int_equal(net.inbox_count, 0);
  end();
}

#define EXPIRES "2026-05-03T12:00:00.000Z"
#define PUT_BODY(key, nonce)                                                  \
  "<methodCall><methodName>put-auth</methodName><params><param>" TEST_RECORD( \
      key, EXPIRES, nonce, EXPIRES, "5", "<a/>") "</param></params></methodCall>"

/* A peer whose links prove who others are, alone; and a stranger's connection to it. */
static void begin_proven(const char *from) {
  begin();
  net.config.peer_transport = TRANSPORT_TLS;
  victim = net_stranger(from, TRANSPORT_TCP);
}

static struct traffic put(unsigned n) {
  char body[2500], nonce[12], line[200];
  struct key bob = net_key(&net, BOB);
  snprintf(nonce, sizeof nonce, "n%u", n);
  snprintf(body, sizeof body, PUT_BODY(BOB, "%s"), nonce);
  snprintf(line, sizeof line, "%sContent-Type: text/xml\r\n", key_line(&bob, ""));
  return send_times(&(struct ask){.lines = line, .body = body}, 1, 0);
}

static unsigned count_answers(const char *status) {
  unsigned count = 0;
  net_run_for(&net, MSEC(200));
  while (net_take(&net, status, "") != NULL) count++;
  net_clear_inbox(&net);
  return count;
}

/* at the bound, for a prefix; others, this machine and what the peer itself wants
 * are served all the while. */
static void test_writes_of_one_prefix(void **state) {
  (void)state;
  begin_proven("198.51.100.7:5060");
  net.config.limits.source_puts = 1; /* 10 at once */
  open_ring(1);
  flow = net_connect(&net, 0, &victim);
  for (unsigned n = 0; n < 14; n++) put(n % 14);
  net_run_for(&net, MSEC(200));
  unsigned good = 0, later = 0;
  const struct net_letter *letter;
  while ((letter = net_take(&net, "SIP/2.0 ", "")) != NULL) {
    good += strncmp(letter->text, "SIP/2.0 200", 11) == 0;
    bool refused = strncmp(letter->text, "SIP/2.0 503", 11) == 0;
    later += refused && strstr(letter->text, "Retry-After: ") != NULL;
  }
  assert_int_equal(good, 10);
  assert_int_equal(later, 4);
  assert_int_equal(limited(LIMIT_PUTS), 4);
  victim = net_stranger("198.51.100.200:9", TRANSPORT_TCP); /* the same prefix */
  flow = net_connect(&net, 0, &victim);
  put(20);
  assert_int_equal(count_answers("SIP/2.0 503"), 1);
  victim = net_stranger("198.51.101.7:9", TRANSPORT_TCP); /* another */
  flow = net_connect(&net, 0, &victim);
  put(21);
  assert_int_equal(count_answers("SIP/2.0 200"), 1);
  assert_int_equal(net_put(&net, 0, BOB, "sip:bob@192.0.2.4")->code, 200);
  end();
}

static unsigned lines_told;
static uint64_t times_told;
static void count_lines(struct net *w, uint32_t node, const struct trace *trace) {
  (void)w, (void)node;
  if (trace->kind != TRACE_LIMIT || !slice_equal(trace->a, SLICE("source-requests"))) return;
  lines_told++;
  times_told += trace->n;
}

/* requests, reads too; and one line in a minute says so. */
static void test_requests_of_one_prefix_are_told_once(void **state) {
  (void)state;
  begin_proven("198.51.100.7:5060");
  net.config.limits.source_requests = 1;
  open_ring(1);
  net.on_trace = count_lines;
  lines_told = 0;
  times_told = 0;
  flow = net_connect(&net, 0, &victim);
  struct key bob = net_key(&net, BOB);
  char line[200];
  snprintf(line, sizeof line, "%sContent-Type: text/xml\r\n", key_line(&bob, ""));
  const struct ask get = {.lines = line, .body = GET_BODY};
  unsigned served = 0;
  for (unsigned n = 0; n < 30; n++) served += send_times(&get, 1, MSEC(100)).status == 404;
  assert_int_equal(served, 12); /* ten, and two in the next two seconds */
  assert_int_equal(limited(LIMIT_REQUESTS), 18);
  assert_int_equal(lines_told, 1);
  net_run_for(&net, SEC(57));
  for (unsigned n = 0; n < 12; n++) send_times(&get, 1, MSEC(100));
  assert_int_equal(lines_told, 2);
  assert_int_equal(times_told, 19);
  end();
}

/* with limits that let strangers do next to nothing, and a stranger who does all he can,
 * neighbours write, copy, join and take over as ever. */
static void test_neighbours_are_never_starved(void **state) {
  (void)state;
  begin_proven("198.51.100.7:5060");
  net.config.limits.source_requests = 1;
  net.config.limits.source_puts = 1;
  net.config.limits.source_bytes = 8192;
  open_ring(3);
  flow = net_connect(&net, 0, &victim);
  struct key bob = net_key(&net, BOB);
  char line[200];
  snprintf(line, sizeof line, "%sContent-Type: text/xml\r\n", key_line(&bob, ""));
  const struct ask get = {.lines = line, .body = GET_BODY};
  for (unsigned batch = 0; batch < 10; batch++) {
    char uri[40][40];
    uint64_t ticket[40];
    for (unsigned k = 0; k < 40; k++) {
      snprintf(uri[k], sizeof uri[k], "sip:u%u@example.net", batch * 40 + k);
      send_times(&get, 1, 0);
      ticket[k] = net_ask(&net, 1 + k % 2,
                          &(struct node_command){.kind = COMMAND_PUT,
                                                 .uri = slice_cstr(uri[k]),
                                                 .contact = SLICE("sip:bob@192.0.2.4")});
    }
    net_run_for(&net, MSEC(200));
    for (unsigned k = 0; k < 40; k++) assert_int_equal(net_reply_of(&net, ticket[k])->code, 200);
  }
  assert_true(limited(LIMIT_REQUESTS) > 300);
  assert_int_equal(limited(LIMIT_PUTS), 0);
  assert_int_equal(limited(LIMIT_BYTES), 0);
  const struct key id = {{0x30}};
  net_add(&net, &id, 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  net_kill(&net, 1, true);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  for (unsigned n = 0; n < 400; n++) {
    char uri[40];
    snprintf(uri, sizeof uri, "sip:u%u@example.net", n);
    const struct net_reply *reply = net_get(&net, 2, uri);
    assert_true(net_has_contact(reply, "sip:bob@192.0.2.4"));
  }
  end();
}

/* one prefix has at most half of the table, and others get in. */
static void test_half_of_the_operations(void **state) {
  (void)state;
  begin_proven("198.51.100.7:5060");
  net.config.limits.operations_max = 16;
  net.keys_us = SEC(1); /* all wait for verification */
  open_ring(1);
  flow = net_connect(&net, 0, &victim);
  for (unsigned n = 0; n < 9; n++) put(n);
  assert_int_equal(limited(LIMIT_SHARE), 1);
  assert_int_equal(node_stats(net.at[0].node).operations, 8);
  victim = net_stranger("198.51.101.7:5060", TRANSPORT_TCP);
  flow = net_connect(&net, 0, &victim);
  for (unsigned n = 10; n < 18; n++) put(n);
  assert_int_equal(node_stats(net.at[0].node).operations, 16);
  assert_int_equal(limited(LIMIT_FULL), 0);
  victim = net_stranger("198.51.102.7:5060", TRANSPORT_TCP);
  flow = net_connect(&net, 0, &victim);
  put(18); /* full: 503 for anybody */
  assert_int_equal(limited(LIMIT_FULL), 1);
  net_run_for(&net, SEC(3));
  assert_int_equal(count_answers("SIP/2.0 200"), 16);
  put(19);
  net_run_for(&net, SEC(3));
  assert_int_equal(count_answers("SIP/2.0 200"), 1);
  end();
}

/* an address on the list is believed: it is answered in full, asks as a
 * client, and writes as one over a stream only. */
static void test_an_address_on_the_list(void **state) {
  (void)state;
  begin();
  trusts_victim = true;
  open_ring(1);
  assert_int_equal(net_put(&net, 0, BOB, "sip:bob@192.0.2.4")->code, 200);
  const struct ask get = {.lines = "Content-Type: text/xml\r\n", .body = GET_BODY};
  struct traffic t = send_times(&get, 1, SEC(2));
  assert_int_equal(t.status, 200);
  assert_true(t.out > t.in);
  const struct ask put = {.lines = "Content-Type: text/xml\r\n", .body = PUT_BODY(BOB, "n")};
  assert_int_equal(send_times(&put, 1, SEC(2)).status, 403);
  victim.transport = TRANSPORT_TCP;
  flow = net_connect(&net, 0, &victim);
  assert_int_equal(send_times(&put, 1, SEC(2)).status, 200);
  victim = net_stranger("198.51.101.7:5060", TRANSPORT_TCP);
  flow = net_connect(&net, 0, &victim);
  assert_int_equal(send_times(&get, 1, SEC(2)).status, 403);
  end();
}

/* for phones: INVITEs that ring. */
static void test_half_of_the_transactions(void **state) {
  (void)state;
  begin();
  victim = net_stranger("198.51.100.7:5060", TRANSPORT_TCP);
  net.config.limits.transactions_max = 32; /* 16 of servers */
  open_ring(1);
  flow = net_connect(&net, 0, &victim);
  struct ask ask = {.method = "REGISTER",
                    .uri = "sip:a.example",
                    .lines = "Contact: <sip:a@198.51.100.7;transport=tcp>\r\n"};
  assert_int_equal(send_times(&ask, 1, SEC(1)).status, 200);
  ask = (struct ask){.method = "INVITE", .uri = "sip:a@a.example"};
  for (unsigned n = 0; n < 8; n++) send_times(&ask, 1, MSEC(300));
  assert_int_equal(limited(LIMIT_SHARE), 0);
  assert_int_equal(send_times(&ask, 1, MSEC(300)).status, 503);
  assert_int_equal(limited(LIMIT_SHARE), 1);
  victim = net_stranger("198.51.101.7:5060", TRANSPORT_TCP);
  flow = net_connect(&net, 0, &victim);
  for (unsigned n = 0; n < 8; n++) assert_int_not_equal(send_times(&ask, 1, 0).status, 503);
  net_run_for(&net, MSEC(300));
  assert_int_equal(limited(LIMIT_SHARE), 1);
  assert_int_equal(limited(LIMIT_FULL), 0);
  end();
}

/* at the bound, and what is there can still be replaced and removed. */
static void test_quota_of_one_owner(void **state) {
  (void)state;
  begin_proven("198.51.100.7:5060");
  net.config.limits.owner_records_max = 5;
  open_ring(1);
  flow = net_connect(&net, 0, &victim);
  for (unsigned n = 0; n < 5; n++) put(n);
  assert_int_equal(count_answers("SIP/2.0 200"), 5);
  put(5);
  assert_int_equal(count_answers("SIP/2.0 403"), 1);
  assert_int_equal(limited(LIMIT_OWNER), 1);
  put(4);
  assert_int_equal(count_answers("SIP/2.0 200"), 1);
  assert_int_equal(net_put(&net, 0, BOB, "sip:bob@192.0.2.4")->code, 200); /* another owner */
  assert_int_equal(node_stats(net.at[0].node).records, 6);
  end();
}

#define TEST(f) cmocka_unit_test(f)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_idle_sources_need_no_memory),
      TEST(test_the_table_at_its_bound),
      TEST(test_a_prefix_is_one_source),
      TEST(test_a_meter_at_its_bound),
      TEST(test_a_source_holds_half_of_a_table),
      TEST(test_without_memory_who_is_measured_is_refused),
      TEST(test_idle_sources_need_no_memory),
      TEST(test_the_table_at_its_bound),
      TEST(test_no_answer_is_larger_than_the_request),
      TEST(test_a_result_that_does_not_fit),
      TEST(test_other_methods_over_udp),
      TEST(test_stun_over_udp),
      TEST(test_writes_of_one_prefix),
      TEST(test_requests_of_one_prefix_are_told_once),
      TEST(test_neighbours_are_never_starved),
      TEST(test_half_of_the_operations),
      TEST(test_half_of_the_transactions),
      TEST(test_an_address_on_the_list),
      TEST(test_quota_of_one_owner),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
