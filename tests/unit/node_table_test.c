/* SPDX-License-Identifier: BSD-2-Clause */
/* The processing table of a LOCSER request, row by row (R-2.1 to R-2.12), and what a hop does
 * (R-2.15 to R-2.25), by one node with neighbours that are fakes of the world or real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/records.h"
#include "support/world.h"

static struct net net;
static struct endpoint asker;
static uint32_t asker_flow;
static char last[65536]; /* the answer taken last */

static const struct key low = {{0x10}}, middle = {{0x60}}, high = {{0xb0}};

static struct key key_of(uint8_t first) { return (struct key){{first, 1}}; }

static const char *hex(const struct key *key) {
  static char text[4][KEY_HEX + 1];
  static unsigned turn;
  char *at = text[turn++ % 4];
  struct buf out = buf_over(at, KEY_HEX);
  key_put(&out, key);
  at[KEY_HEX] = 0;
  return at;
}

/* Nodes 0, 1, 2 at 10.., 60.., B0..: node 0 is asked. */
static void ring_of(unsigned count) {
  const struct key ids[] = {low, middle, high};
  net_open(&net, 1);
  prefix_parse(SLICE("198.51.100.7"), &net.config.trusted[net.config.trusted_count++]);
  for (unsigned i = 0; i < count; i++) net_add(&net, &ids[i], i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  net_run_for(&net, SEC(20));
  asker = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  asker_flow = net_connect(&net, 0, &asker);
}

static void end(void) { assert_true(net_close(&net)); }

#define GET_BODY(key)                                                              \
  "<?xml version=\"1.0\"?><methodCall><methodName>get</methodName><params><param>" \
  "<dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\"><key>" key                      \
  "</key></dhtRecord></param>"                                                     \
  "</params></methodCall>"
#define BOB "sip:bob@example.net"
#define OVERLAY_BODY(method)                                                                  \
  "<methodCall><methodName>" method                                                           \
  "</methodName><params><param><overlay "                                                     \
  "xmlns=\"urn:ietf:params:xml:ns:p2p-sip:overlay\"><self "                                   \
  "id=\"2222222222222222222222222222222222222222\" at=\"192.0.2.2:5060\" incarnation=\"1\"/>" \
  "</overlay></param></params></methodCall>"

static unsigned number; /* of requests: branch and Call-ID */

struct ask {
  const char *lines; /* header lines, with \n; Overlay-Key among them */
  const char *body, *type, *call_id, *via, *hops;
  uint32_t node;
};

/* A request by the asker's stream, or by UDP if `via` says so. */
static size_t write_request(char *out, size_t room, const struct ask *ask) {
  char text[60000], via[100];
  const char *body = ask->body != NULL ? ask->body : GET_BODY(BOB);
  number++;
  snprintf(via, sizeof via, "Via: SIP/2.0/%s 203.0.113.9:40001;branch=z9hG4bKt%u\n",
           asker.transport == TRANSPORT_UDP ? "UDP" : "TCP", number);
  char type[100] = "";
  if (body[0] != 0) {
    snprintf(type, sizeof type, "Content-Type: %s\n", ask->type != NULL ? ask->type : "text/xml");
  }
  char call_id[64];
  snprintf(call_id, sizeof call_id, "call%u@a.example", number);
  size_t len = 0;
  int n =
      snprintf(text, sizeof text,
               "LOCSER sip:bob@example.net SIP/2.0\n%s%sFrom: <sip:a@a.example>;tag=1\n"
               "To: <sip:bob@example.net>\nCall-ID: %s\nCSeq: 1 LOCSER\n%s%s%s"
               "Content-Length: %u\n\n",
               ask->via != NULL ? ask->via : "", via, ask->call_id != NULL ? ask->call_id : call_id,
               ask->hops != NULL ? ask->hops : "Max-Forwards: 70\n", type, ask->lines,
               (unsigned)strlen(body));
  for (int i = 0; i < n; i++) {
    assert_true(len + 2 < room);
    if (text[i] == '\n') out[len++] = '\r';
    out[len++] = text[i];
  }
  assert_true(len + strlen(body) < room);
  memcpy(out + len, body, strlen(body));
  test_sign_records(&net.crypto, out + len, strlen(body));
  return len + strlen(body);
}

static void send_request(const struct ask *ask) {
  static char message[66000];
  size_t len = write_request(message, sizeof message, ask);
  net_inject(&net, ask->node, asker.transport == TRANSPORT_UDP ? 0 : asker_flow, &asker,
             slice_of(message, len));
}

static bool keep(const struct net_letter *letter) {
  if (letter == NULL) return false;
  assert_true(letter->len < sizeof last);
  memcpy(last, letter->text, letter->len + 1);
  return true;
}

/* The final answer to the request sent last, within `limit`; 0: none. Its text is in `last`. */
static unsigned answer_within(usec limit) {
  char branch[32];
  snprintf(branch, sizeof branch, "branch=z9hG4bKt%u", number);
  for (usec stop = net.now + limit;;) {
    const struct net_letter *letter;
    while ((letter = net_take(&net, branch, "SIP/2.0 ")) != NULL) {
      assert_true(keep(letter));
      unsigned status = (unsigned)atoi(last + 8);
      if (status >= 200) return status;
    }
    if (net.now >= stop) return 0;
    net_run_for(&net, MSEC(10));
  }
}

static unsigned ask_status(const struct ask *ask) {
  send_request(ask);
  return answer_within(SEC(12));
}

static bool has(const char *word) { return strstr(last, word) != NULL; }

static const char *key_line(const struct key *key, const char *params) {
  static char text[4][4000];
  static unsigned turn;
  char *at = text[turn++ % 4];
  snprintf(at, 4000, "Overlay-Key: %s%s\n", hex(key), params);
  return at;
}

#define ASK(...) ask_status(&(struct ask){__VA_ARGS__})

/* R-2.1, R-1.2, R-1.3, R-1.4, R-1.14 */
static void test_syntax(void **state) {
  (void)state;
  ring_of(1);
  struct key key = key_of(1);
  char lines[300];
  assert_int_equal(ASK(.lines = "Overlay-Key: 1234\n"), 400);
  assert_true(has("400 Overlay-Key"));
  assert_int_equal(ASK(.lines = "Overlay-Key: \n"), 400);
  snprintf(lines, sizeof lines, "Overlay-Key: %sA\n", hex(&key));
  assert_int_equal(ASK(.lines = lines), 400);
  snprintf(lines, sizeof lines, "Overlay-Key: %s\nOverlay-Key: %s\n", hex(&key), hex(&key));
  assert_int_equal(ASK(.lines = lines), 400);
  assert_true(has("Overlay-Key"));
  snprintf(lines, sizeof lines, "Overlay-Key: %s, %s\n", hex(&key), hex(&key));
  assert_int_equal(ASK(.lines = lines), 400);
  snprintf(lines, sizeof lines, "Overlay-Key: %s;a=b, %s\n", hex(&key), hex(&key));
  assert_int_equal(ASK(.lines = lines), 400);
  assert_true(has("Overlay-Key"));
  assert_int_equal(ASK(.lines = key_line(&key, ";x=\"a,b\"")), 404);
  assert_int_equal(ASK(.lines = key_line(&key, ";deadline=0")), 400);
  assert_int_equal(ASK(.lines = key_line(&key, ";deadline=32001")), 400);
  assert_int_equal(ASK(.lines = key_line(&key, ";deadline=32000")), 404);
  assert_int_equal(ASK(.lines = key_line(&key, ""), .hops = ""), 400);
  assert_true(has("Max-Forwards"));
  assert_int_equal(ASK(.lines = key_line(&key, ""), .call_id = "a b"), 400);
  assert_true(has("Call-ID"));
  end();
}

/* R-2.2 */
static void test_extensions(void **state) {
  (void)state;
  ring_of(1);
  assert_int_equal(ASK(.lines = "Require: nothing, at-all\nProxy-Require: this\n"), 420);
  assert_true(has("Unsupported: nothing") && has("at-all") && has("this"));
  end();
}

/* R-2.3, R-1.11 */
static void test_overlay_name(void **state) {
  (void)state;
  ring_of(1);
  struct key key = key_of(1);
  assert_int_equal(ASK(.lines = key_line(&key, ";overlay=other")), 488);
  assert_int_equal(ASK(.lines = key_line(&key, ";overlay=LocSer")), 404);
  assert_int_equal(ASK(.lines = key_line(&low, ";direct;overlay=other")), 488);
  end();
}

/* R-2.4, R-1.12, R-2.12 */
static void test_direct(void **state) {
  (void)state;
  ring_of(1);
  assert_int_equal(ASK(.lines = key_line(&middle, ";direct"), .body = OVERLAY_BODY("overlay.ping")),
                   410);
  assert_int_equal(ASK(.lines = key_line(&low, ";direct"), .body = OVERLAY_BODY("overlay.ping")),
                   200);
  assert_int_equal(ASK(.lines = key_line(&low, ""), .body = OVERLAY_BODY("overlay.ping")), 400);
  assert_true(has("direct"));
  assert_int_equal(ASK(.lines = key_line(&low, ""), .body = OVERLAY_BODY("overlay.nonsense")), 501);
  assert_int_equal(ASK(.lines = key_line(&low, ""), .body = OVERLAY_BODY("overlay.route")), 200);
  end();
}

/* R-2.6: not joined; but direct is answered. */
static void test_not_joined(void **state) {
  (void)state;
  net_open(&net, 2);
  net_add(&net, &low, 1); /* there is no node 1 */
  asker = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  asker_flow = net_connect(&net, 0, &asker);
  net_run_for(&net, SEC(5));
  struct key key = key_of(1);
  assert_int_equal(ASK(.lines = key_line(&key, "")), 503);
  assert_true(has("Retry-After: "));
  /* let in, but only a member says that it is alive (R-3.26) */
  assert_int_equal(ASK(.lines = key_line(&low, ";direct"), .body = OVERLAY_BODY("overlay.ping")),
                   503);
  assert_true(has("not a member"));
  assert_int_equal(ASK(.lines = key_line(&middle, ";direct"), .body = OVERLAY_BODY("overlay.ping")),
                   410);
  end();
}

/* R-2.7 to R-2.10 */
static void test_somebody_elses_key(void **state) {
  (void)state;
  ring_of(3);
  struct key key = key_of(0x30), mine = key_of(0xf0);
  assert_int_equal(ASK(.lines = key_line(&mine, ""), .hops = "Max-Forwards: 0\n"), 404);
  assert_int_equal(ASK(.lines = key_line(&key, ""), .hops = "Max-Forwards: 0\n"), 483);
  assert_int_equal(ASK(.lines = key_line(&key, "")), 404);
  char lines[300];
  snprintf(lines, sizeof lines, "%sRequest-Disposition: redirect\n", key_line(&key, ""));
  assert_int_equal(ASK(.lines = lines), 302);
  char contact[120];
  snprintf(contact, sizeof contact, "Contact: <sip:%s@10.0.0.2:5060;transport=tcp>", hex(&middle));
  assert_true(has(contact));
  end();
}

static char seen[70000];
static uint32_t seen_node;
static unsigned seen_count;
/* Keeps what `seen_node` sends that is a LOCSER request with the asker's Call-ID. */
static void see(struct net *w, uint32_t node, const struct output *out) {
  char call_id[32];
  (void)w;
  if (node != seen_node || out->data.len >= sizeof seen) return;
  snprintf(call_id, sizeof call_id, "call%u@", number);
  if (!slice_starts(out->data, SLICE("LOCSER "))) return;
  if (slice_find(out->data, slice_cstr(call_id)) == out->data.len) return;
  memcpy(seen, out->data.at, out->data.len);
  seen[out->data.len] = 0;
  seen_count++;
}

/* R-2.8, R-1.18, R-1.15, R-1.14, R-1.30: what a hop writes; and what it says when it sees that
 * again. */
static void test_what_a_hop_changes_and_loops(void **state) {
  (void)state;
  ring_of(3);
  struct key key = key_of(0x30);
  seen_node = 0;
  seen_count = 0;
  net.on_send = see;
  static char sent[66000];
  struct ask ask = {.lines = key_line(&key, ";what=ever;deadline=7000;flag"),
                    .via = "X-Unknown:  kept  as it is\n"};
  size_t sent_len = write_request(sent, sizeof sent, &ask);
  net_inject(&net, 0, asker_flow, &asker, slice_of(sent, sent_len));
  assert_int_equal(answer_within(SEC(5)), 404);
  assert_int_equal(seen_count, 1);
  assert_non_null(strstr(seen, ";what=ever"));
  assert_non_null(strstr(seen, ";flag"));
  assert_non_null(strstr(seen, ";final"));
  assert_non_null(strstr(seen, ";deadline=7000"));
  assert_non_null(strstr(seen, "X-Unknown:  kept  as it is\r\n"));
  assert_non_null(strstr(seen, "Max-Forwards: 69\r\n"));
  assert_true(strlen(seen) <= sent_len + 160 + strlen(";final"));
  /* the body byte for byte */
  sent[sent_len] = 0;
  assert_string_equal(strstr(seen, "\r\n\r\n"), strstr(sent, "\r\n\r\n"));
  /* only one Via added, and the answer came without it */
  assert_null(strstr(last, "10.0.0.1"));
  /* The same request again, with the Via that node 0 has put in: a loop. */
  const char *via = strstr(seen, "Via: ");
  char own[200];
  size_t len = strcspn(via, "\r");
  assert_true(len + 2 < sizeof own);
  memcpy(own, via, len);
  own[len] = '\n';
  own[len + 1] = 0;
  char call_id[40];
  snprintf(call_id, sizeof call_id, "call%u@a.example", number);
  char lines[300];
  snprintf(lines, sizeof lines, "%s%s", key_line(&key, ""), own);
  assert_int_equal(ASK(.lines = lines, .call_id = call_id), 482);
  /* With another Call-ID it is a spiral of somebody else's, not a loop. */
  assert_int_equal(ASK(.lines = lines), 404);
  /* R-1.15 of a parameter longer than any buffer of ours */
  char params[2100] = ";long=";
  memset(params + 6, 'x', 2000);
  assert_int_equal(ASK(.lines = key_line(&key, params)), 404);
  assert_non_null(strstr(seen, params));
  end();
}

/* R-1.13, R-5.8 */
static void test_final(void **state) {
  (void)state;
  ring_of(3);
  struct key bob = net_key(&net, BOB);
  uint32_t home = net_responsible(&net, &bob);
  assert_int_equal(net_put(&net, home, BOB, "sip:bob@192.0.2.4")->code, 200);
  uint32_t other = (home + 1) % 3;
  asker_flow = net_connect(&net, other, &asker);
  seen_node = other;
  seen_count = 0;
  net.on_send = see;
  /* a copy may be old, so the request goes to who is responsible */
  assert_int_equal(ASK(.lines = key_line(&bob, ";final"), .node = other), 200);
  assert_int_equal(seen_count, 1);
  assert_int_equal(ASK(.lines = key_line(&bob, ""), .node = other), 200);
  assert_int_equal(seen_count, 2);
  /* where that one is silent, a copy is enough to answer a read */
  net.at[home].paused = true;
  assert_int_equal(ASK(.lines = key_line(&bob, ";final"), .node = other), 200);
  end();
}

#define RECORD(key, nonce, version, value) \
  TEST_RECORD(key, "2026-05-03T12:00:00.000Z", nonce, "2026-05-03T12:00:00.000Z", version, value)
#define PUT_BODY(record)                                                \
  "<methodCall><methodName>put-auth</methodName><params><param>" record \
  "</param></params>"                                                   \
  "</methodCall>"

/* R-1.9, R-1.10, R-3.17, R-2.26 */
static void test_keys_that_do_not_fit(void **state) {
  (void)state;
  ring_of(1);
  struct key bob = net_key(&net, BOB), wrong = key_of(7);
  assert_int_equal(
      ASK(.lines = key_line(&wrong, ""), .body = PUT_BODY(RECORD(BOB, "n", "5", "<a/>"))), 400);
  assert_true(has("does not hash"));
  assert_int_equal(node_stats(net.at[0].node).records, 0);
  assert_int_equal(
      ASK(.lines = key_line(&bob, ""), .body = PUT_BODY(RECORD(BOB, "n", "5", "<a/>"))), 200);
  assert_int_equal(node_stats(net.at[0].node).records, 1);
  /* routed by one, answered by the other */
  assert_int_equal(ASK(.lines = key_line(&wrong, "")), 200);
  assert_int_equal(ASK(.lines = key_line(&wrong, ""), .body = GET_BODY("sip:eve@example.net")),
                   404);
  assert_true(has("does not hash"));
  static const char courtesy[] =
      "<methodCall><methodName>get</methodName><params><param><dhtRecord><key>" BOB
      "</key><KeyInfo><KeyValue>%s</KeyValue></KeyInfo></dhtRecord></param></params></methodCall>";
  char body[600];
  snprintf(body, sizeof body, courtesy, hex(&bob));
  assert_int_equal(ASK(.lines = key_line(&bob, ""), .body = body), 200);
  snprintf(body, sizeof body, courtesy, hex(&wrong));
  assert_int_equal(ASK(.lines = key_line(&bob, ""), .body = body), 400);
  snprintf(body, sizeof body, courtesy, "something");
  assert_int_equal(ASK(.lines = key_line(&bob, ""), .body = body), 400);
  end();
}

/* R-1.16, R-1.17 */
static void test_media(void **state) {
  (void)state;
  ring_of(3);
  struct key mine = key_of(0xf0), key = key_of(0x30);
  assert_int_equal(ASK(.lines = key_line(&mine, ""), .type = "text/plain"), 415);
  assert_true(has("Accept: text/xml"));
  assert_int_equal(ASK(.lines = key_line(&mine, ""), .type = "application/xml;charset=UTF-8"), 404);
  assert_int_equal(ASK(.lines = key_line(&mine, ""), .type = "text/xml;charset=iso-8859-1"), 415);
  char lines[300];
  snprintf(lines, sizeof lines, "%sContent-Encoding: gzip\n", key_line(&mine, ""));
  assert_int_equal(ASK(.lines = lines), 415);
  /* a hop does not care: it is the responsible peer that refuses, here the body itself */
  seen_node = 0;
  seen_count = 0;
  net.on_send = see;
  assert_int_equal(ASK(.lines = key_line(&key, ""), .type = "image/png"), 415);
  assert_int_equal(seen_count, 1);
  end();
}

/* R-3.9, R-3.5, R-2.12, R-2.27 */
static void test_bodies(void **state) {
  (void)state;
  ring_of(1);
  struct key key = key_of(1);
  assert_int_equal(ASK(.lines = key_line(&key, ""), .body = "<a>"), 400);
  assert_true(has("faultCode") && has("line"));
  assert_int_equal(ASK(.lines = key_line(&key, ""), .body = ""), 400);
  assert_int_equal(ASK(.lines = key_line(&key, ""), .body = "<methodResponse/>"), 400);
  assert_int_equal(ASK(.lines = key_line(&key, ""), .body = GET_BODY("")), 400);
  static char deep[2000];
  char *at = deep;
  at += sprintf(at, "<methodCall><methodName>get</methodName><params>");
  for (unsigned i = 0; i < 40; i++) at += sprintf(at, "<a>");
  for (unsigned i = 0; i < 40; i++) at += sprintf(at, "</a>");
  sprintf(at, "</params></methodCall>");
  assert_int_equal(ASK(.lines = key_line(&key, ""), .body = deep), 413);
  end();
}

/* R-8.1, R-8.2, R-8.4, R-8.5, R-8.7 */
static void test_clients(void **state) {
  (void)state;
  ring_of(1);
  assert_int_equal(ASK(.lines = ""), 403); /* a stranger */
  asker = net_stranger("127.0.0.1:40001", TRANSPORT_TCP);
  asker_flow = net_connect(&net, 0, &asker);
  assert_int_equal(ASK(.lines = ""), 404);
  assert_int_equal(
      ASK(.lines = "", .body = PUT_BODY(RECORD("sip:al@example.net", "n", "5", "<a/>"))), 200);
  assert_int_equal(ASK(.lines = "", .body = OVERLAY_BODY("overlay.ping")), 400);
  assert_int_equal(net_put(&net, 0, BOB, "sip:bob@192.0.2.4")->code, 200);
  assert_int_equal(ASK(.lines = "", .body = ""), 200);
  assert_true(has("Contact: <sip:bob@192.0.2.4>;q=1.000;expires="));
  assert_int_equal(
      ASK(.lines = "", .body = "", .via = "Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKx\n"), 403);
  end();
}

/* R-2.31, R-2.32 */
static void test_other_methods(void **state) {
  (void)state;
  ring_of(1);
  static const char *const asks[][2] = {{"OPTIONS sip:10.0.0.1:5060", "SIP/2.0 200"},
                                        {"CANCEL sip:10.0.0.1:5060", "SIP/2.0 481"},
                                        {"PUBLISH sip:10.0.0.1:5060", "SIP/2.0 405"},
                                        {"NOSUCH sip:10.0.0.1:5060", "SIP/2.0 501"}};
  for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
    char text[600];
    size_t name = strcspn(asks[i][0], " ");
    int n = snprintf(text, sizeof text,
                     "%s SIP/2.0\r\nVia: SIP/2.0/TCP 203.0.113.9:40001;branch=z9hG4bKo%zu\r\n"
                     "From: <sip:a@a.example>;tag=1\r\nTo: <sip:10.0.0.1:5060>\r\nCall-ID: o%zu\r\n"
                     "CSeq: 1 %.*s\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
                     asks[i][0], i, i, (int)name, asks[i][0]);
    net_inject(&net, 0, asker_flow, &asker, slice_of(text, (size_t)n));
    net_run_for(&net, SEC(1));
    const struct net_letter *letter = net_take(&net, asks[i][1], "CSeq: 1 ");
    if (letter == NULL) fail_msg("%s: %s", asks[i][0], net.inbox[0].text);
    if (i == 0) assert_non_null(strstr(letter->text, "LOCSER"));
  }
  end();
}

/* ---- hops ---- */

static unsigned count_letters(const char *word) {
  unsigned n = 0;
  while (net_take(&net, word, "SIP/2.0 ") != NULL) n++;
  return n;
}

/* R-2.17, R-2.18, R-2.19: the next hop is silent. The 100 comes at once; the adjacent hop alone
 * goes elsewhere. */
static void test_silent_hop(void **state) {
  (void)state;
  ring_of(3);
  struct key bob = {{0}};
  char uri[40] = "";
  for (unsigned n = 0; net_responsible(&net, &bob) != 1; n++) { /* a key of node 1 */
    snprintf(uri, sizeof uri, "sip:u%u@example.net", n);
    bob = net_key(&net, uri);
  }
  assert_int_equal(net_put(&net, 0, uri, "sip:bob@192.0.2.4")->code, 200);
  net.at[1].paused = true;
  char body[500];
  snprintf(body, sizeof body, GET_BODY("%s"), uri);
  uint64_t retries = node_stats(net.at[0].node).retries;
  usec asked_at = net.now;
  send_request(&(struct ask){.lines = key_line(&bob, ""), .body = body});
  net_run_for(&net, 1);
  assert_int_equal(count_letters("SIP/2.0 100"), 1);
  assert_int_equal(answer_within(SEC(4)), 200); /* node 2 holds a copy */
  assert_true(net.now - asked_at < SEC(2));
  assert_int_equal(node_stats(net.at[0].node).retries, retries + 1);
  /* the silent one is known for it now: no waiting at all */
  asked_at = net.now;
  send_request(&(struct ask){.lines = key_line(&bob, ""), .body = body});
  assert_int_equal(answer_within(SEC(4)), 200);
  assert_true(net.now - asked_at <= MSEC(150));
  end();
}

/* R-2.21: nobody is left; 503 with Retry-After before the deadline. R-2.30: never 408. */
static void test_all_silent(void **state) {
  (void)state;
  ring_of(3);
  net.at[1].paused = net.at[2].paused = true;
  struct key key = key_of(0x30);
  usec asked_at = net.now;
  send_request(&(struct ask){.lines = key_line(&key, ";deadline=4000")});
  unsigned status = answer_within(SEC(10));
  assert_true(net.now - asked_at <= SEC(4) + MSEC(10));
  assert_int_equal(status, 503);
  assert_true(has("Retry-After: "));
  net_run_for(&net, SEC(10));
  struct node_stats stats = node_stats(net.at[0].node);
  assert_true(stats.retries <= 2 + 1);
  end();
}

/* R-2.19: closed connection: elsewhere at once. */
static void test_closed_link(void **state) {
  (void)state;
  ring_of(3);
  struct key bob = {{0}};
  char uri[40] = "";
  for (unsigned n = 0; net_responsible(&net, &bob) != 1; n++) {
    snprintf(uri, sizeof uri, "sip:u%u@example.net", n);
    bob = net_key(&net, uri);
  }
  assert_int_equal(net_put(&net, 0, uri, "sip:bob@192.0.2.4")->code, 200);
  char body[500];
  snprintf(body, sizeof body, GET_BODY("%s"), uri);
  net.at[1].paused = true; /* it does not even say 100 */
  send_request(&(struct ask){.lines = key_line(&bob, ""), .body = body});
  net_kill(&net, 1, false);
  usec killed_at = net.now;
  assert_int_equal(answer_within(SEC(4)), 200);
  assert_true(net.now - killed_at <= MSEC(300)); /* node 2 asks, too, before it answers */
  end();
}

/* R-2.20: after the 100 the next hop retries, not this one. R-1.14: at the deadline the entry goes
 * back without a word (R-2.21). */
static void test_taken_over(void **state) {
  (void)state;
  net_open(&net, 3);
  net.config.successors = 2; /* not a small ring: routes are longer */
  const unsigned count = 16;
  for (unsigned i = 0; i < count; i++) {
    struct key id = key_of((uint8_t)(i * 16));
    net_add(&net, &id, i == 0 ? NET_NONE : 0);
    net_run_for(&net, SEC(1));
  }
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  asker = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  asker_flow = net_connect(&net, 0, &asker);
  struct key key = key_of(15 * 16 - 1); /* of the last */
  seen_node = 0;
  seen_count = 0;
  net.on_send = see;
  net.at[15].paused = true;
  uint64_t retries = node_stats(net.at[0].node).retries;
  send_request(&(struct ask){.lines = key_line(&key, ";deadline=3000")});
  (void)answer_within(SEC(6));
  /* node 0 either is adjacent to the silent peer and retries, or has handed it on for good */
  uint64_t more = node_stats(net.at[0].node).retries - retries;
  /* it comes back as final, since node 0 follows the silent one: down to that one, once (R-2.8) */
  assert_int_equal(seen_count, 2 + more);
  net_run_for(&net, SEC(6));
  end();
}

/* R-2.15, R-2.11: no entry left. */
static void test_pool_full(void **state) {
  (void)state;
  net_open(&net, 4);
  net.config.limits.hops_max = 40;
  net_add(&net, &low, NET_NONE);
  net_add(&net, &middle, 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  net_run_for(&net, SEC(20));
  asker = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  asker_flow = net_connect(&net, 0, &asker);
  net.at[1].paused = true;
  struct key key = key_of(0x30);
  for (unsigned i = 0; i < 60; i++) {
    send_request(&(struct ask){.lines = key_line(&key, "")});
  }
  net_run_for(&net, 1);
  assert_in_range(count_letters("SIP/2.0 503"), 20, 25); /* a few are used by the node itself */
  net_clear_inbox(&net);
  net.at[1].paused = false;
  net_run_for(&net, SEC(30));
  assert_in_range(node_stats(net.at[0].node).hops, 0, 4);
  assert_int_equal(ASK(.lines = key_line(&key, "")), 404);
  end();
}

/* R-2.20: no room for a copy, or too long for one: forwarded all the same. */
static void test_no_copies(void **state) {
  (void)state;
  net_open(&net, 5);
  net.config.limits.retry_copies_max = 1;
  net_add(&net, &low, NET_NONE);
  net_add(&net, &middle, 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  asker = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  asker_flow = net_connect(&net, 0, &asker);
  struct key key = key_of(0x30);
  for (unsigned i = 0; i < 10; i++) send_request(&(struct ask){.lines = key_line(&key, "")});
  net_run_for(&net, SEC(2));
  assert_int_equal(count_letters("SIP/2.0 404"), 10);
  static char body[6000];
  int n = snprintf(body, sizeof body, "%s<!--", GET_BODY(BOB));
  memset(body + n, 'x', 4000);
  memcpy(body + n + 4000, "-->", 4);
  assert_int_equal(ASK(.lines = key_line(&key, ""), .body = body), 404);
  end();
}

/* R-2.25: forwarding takes no memory, once the tables have grown. */
static void test_forwarding_takes_no_memory(void **state) {
  (void)state;
  ring_of(3);
  struct key key = key_of(0x30);
  for (unsigned transport = 0; transport < 2; transport++) {
    asker.transport = transport == 0 ? TRANSPORT_TCP : TRANSPORT_UDP;
    for (unsigned i = 0; i < 64; i++) send_request(&(struct ask){.lines = key_line(&key, "")});
    net_run_for(&net, SEC(2));
    net_clear_inbox(&net);
    uint64_t taken = net.at[0].memory.taken;
    for (unsigned round = 0; round < 20; round++) {
      for (unsigned i = 0; i < 8; i++) send_request(&(struct ask){.lines = key_line(&key, "")});
      net_run_for(&net, MSEC(100));
    }
    assert_int_equal(net.at[0].memory.taken, taken);
    net_run_for(&net, SEC(1));
    unsigned answered = 0;
    while (net_take(&net, "SIP/2.0 404", "") != NULL) answered++;
    assert_int_equal(answered, 160);
    net_clear_inbox(&net);
  }
  end();
}

/* R-2.36, R-2.14: a datagram repeated is forwarded once, and there is no 100 on UDP. The answer
 * goes to where the request came from, also when it is asked elsewhere (RFC 3581). */
static void test_datagrams(void **state) {
  (void)state;
  ring_of(3);
  struct key bob = {{0}};
  char uri[40] = "";
  for (unsigned n = 0; net_responsible(&net, &bob) != 1; n++) {
    snprintf(uri, sizeof uri, "sip:u%u@example.net", n);
    bob = net_key(&net, uri);
  }
  assert_int_equal(net_put(&net, 0, uri, "sip:bob@192.0.2.4")->code, 200);
  char body[500];
  snprintf(body, sizeof body, GET_BODY("%s"), uri);
  asker = net_stranger("198.51.100.7:6000", TRANSPORT_UDP); /* not what its Via says */
  static char message[3000];
  for (unsigned silent = 0; silent < 2; silent++) {
    net.at[1].paused = silent == 1;
    size_t len = write_request(message, sizeof message,
                               &(struct ask){.lines = key_line(&bob, ""), .body = body});
    seen_node = 0;
    seen_count = 0;
    net.on_send = see;
    for (unsigned i = 0; i < 3; i++) net_inject(&net, 0, 0, &asker, slice_of(message, len));
    assert_int_equal(seen_count, 1);
    char branch[40];
    snprintf(branch, sizeof branch, "branch=z9hG4bKt%u", number);
    net_run_for(&net, SEC(2));
    const struct net_letter *letter = net_take(&net, branch, "SIP/2.0 ");
    assert_non_null(letter);
    assert_memory_equal(letter->text, "SIP/2.0 200", 11);
    assert_int_equal(letter->to.addr[0], 198);
    assert_null(net_take(&net, branch, "SIP/2.0 "));
    assert_int_equal(seen_count, 1 + silent);
  }
  end();
}

/* R-1.24 */
static void test_large_answer_over_udp(void **state) {
  (void)state;
  ring_of(1);
  struct key bob = net_key(&net, BOB);
  static char body[20000], value[9000];
  memset(value, 'v', 5000);
  for (unsigned n = 0; n < 2; n++) {
    static char record[12000];
    snprintf(record, sizeof record, PUT_BODY(RECORD(BOB, "%u", "5", "%s")), n, value);
    snprintf(body, sizeof body, "%s", record);
    assert_int_equal(ASK(.lines = key_line(&bob, ""), .body = body), 200);
  }
  assert_int_equal(ASK(.lines = key_line(&bob, "")), 200);
  asker = net_stranger("198.51.100.7:6000", TRANSPORT_UDP);
  assert_int_equal(ASK(.lines = key_line(&bob, "")), 413);
  assert_true(has("TCP"));
  end();
}

#define PULL_BODY                                                                             \
  "<methodCall><methodName>overlay.replicate</methodName><params><param><overlay "            \
  "xmlns=\"urn:ietf:params:xml:ns:p2p-sip:overlay\"><self "                                   \
  "id=\"2222222222222222222222222222222222222222\" at=\"192.0.2.2:5060\" incarnation=\"1\"/>" \
  "<range from=\"2222222222222222222222222222222222222222\" "                                 \
  "to=\"2222222222222222222222222222222222222222\"/></overlay></param></params></methodCall>"

/* R-1.24: a datagram gets a page that fits, a stream the whole. */
static void test_pull_over_udp_is_cut(void **state) {
  (void)state;
  ring_of(1);
  struct key bob = net_key(&net, BOB);
  static char record[12000], value[3001];
  memset(value, 'v', 3000);
  for (unsigned n = 0; n < 4; n++) {
    snprintf(record, sizeof record, PUT_BODY(RECORD(BOB, "%u", "5", "%s")), n, value);
    assert_int_equal(ASK(.lines = key_line(&bob, ""), .body = record), 200);
  }
  assert_int_equal(ASK(.lines = key_line(&low, ";direct"), .body = PULL_BODY), 200);
  assert_true(strlen(last) > 12000 && !has("more="));
  asker = net_stranger("198.51.100.7:6000", TRANSPORT_UDP);
  assert_int_equal(ASK(.lines = key_line(&low, ";direct"), .body = PULL_BODY), 200);
  assert_true(strlen(strstr(last, "\r\n\r\n")) <= 8192 + 4 && has("more=") && has("after="));
  end();
}

static size_t get_bytes, head_bytes, state_bytes, record_bytes;
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static bool holds(const struct output *out, const char *word) {
  return slice_find(out->data, slice_cstr(word)) < out->data.len;
}

static void measure(struct net *w, uint32_t node, const struct output *out) {
  (void)w, (void)node;
  size_t head = slice_find(out->data, SLICE("\r\n\r\n")) + 2; /* with its last line end */
  if (holds(out, "<methodName>get<")) get_bytes = larger(get_bytes, out->data.len);
  if (slice_starts(out->data, SLICE("SIP/2.0 200"))) head_bytes = larger(head_bytes, head);
  if (holds(out, "<successor ")) state_bytes = larger(state_bytes, out->data.len);
}

/* R-1.30: the budgets of what a peer writes, IPv4. */
static void test_size_budgets(void **state) {
  (void)state;
  static const char uri[] = "sip:someone-with-a-name@provider.example"; /* 40 characters */
  static const char contact[] = "sip:someone-with-a-name@192.0.2.234:50600;transport=tcp;ob=1";
  assert_int_equal(strlen(uri), 40);
  assert_int_equal(strlen(contact), 60);
  ring_of(3);
  struct key key = net_key(&net, uri);
  uint32_t by = (net_responsible(&net, &key) + 1) % 3;
  net.on_send = measure;
  assert_int_equal(net_put(&net, by, uri, contact)->code, 200);
  assert_int_equal(net_get(&net, by, uri)->code, 200);
  net_run_for(&net, SEC(20));
  record_bytes = net.at[by].journal[0].bytes.len;
  assert_in_range(get_bytes, 100, 900);
  assert_in_range(head_bytes, 100, 600);
  assert_in_range(record_bytes, 100, 1700); /* the model's certificate is short */
  assert_in_range(state_bytes, 100, 1900);
  end();
  net_open(&net, 6); /* a ring of 15, with all members */
  state_bytes = 0;
  net.on_send = measure;
  for (unsigned i = 0; i < 15; i++) {
    net_add(&net, NULL, i == 0 ? NET_NONE : 0);
    net_run_for(&net, SEC(1));
  }
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  net_run_for(&net, SEC(20));
  assert_in_range(state_bytes, 1900, 3600);
  end();
}

/* R-5.9: many who wait for the same range, each for a large answer, are answered when it is there:
 * not all in one step, which is bounded. */
static void test_many_large_answers_at_once(void **state) {
  (void)state;
  static const struct key late = {{0x80}};
  static char value[15000], body[20000];
  ring_of(1);
  struct key bob = net_key(&net, BOB);
  memset(value, 'v', sizeof value - 1);
  for (unsigned n = 0; n < 3; n++) {
    snprintf(body, sizeof body, PUT_BODY(RECORD(BOB, "%u", "5", "%s")), n, value);
    assert_int_equal(ASK(.lines = key_line(&bob, ""), .body = body), 200);
  }
  net.latency_min_us = net.latency_max_us = MSEC(100);
  uint32_t second = net_add(&net, &late, 0);
  for (unsigned n = 0; n < 10000 && !node_stats(net.at[second].node).member; n++) {
    net_run_for(&net, MSEC(1));
  }
  assert_int_equal(net_responsible(&net, &bob), second);
  assert_false(node_stats(net.at[second].node).ready);
  net_clear_inbox(&net);
  asker_flow = net_connect(&net, second, &asker);
  for (unsigned n = 0; n < 40; n++) {
    send_request(&(struct ask){.lines = key_line(&bob, ""), .node = second});
  }
  net_run_for(&net, SEC(10));
  unsigned answered = 0;
  while (net_take(&net, "SIP/2.0 200", "CSeq: 1 LOCSER") != NULL) answered++;
  assert_int_equal(answered, 40);
  end();
}

/* R-4.5, R-4.23, R-2.26: what the store says becomes a status. */
static void test_writes_refused(void **state) {
  (void)state;
  ring_of(1);
  struct key bob = net_key(&net, BOB);
  const char *line = key_line(&bob, "");
  char lines[100];
  snprintf(lines, sizeof lines, "%s", line);
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(BOB, "n", "5", "<a/>"))), 200);
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(BOB, "n", "5", "<a/>"))), 200);
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(BOB, "n", "4", "<a/>"))), 412);
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(BOB, "", "6", "<a/>"))), 400);
  net.refuse_text = "forged";
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(BOB, "n", "6", "<forged/>"))), 403);
  net.journal_fail_permille = 1000;
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(BOB, "m", "6", "<a/>"))), 503);
  assert_true(has("Retry-After: "));
  end();
}

int main(int argc, char **argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_syntax),
      cmocka_unit_test(test_extensions),
      cmocka_unit_test(test_overlay_name),
      cmocka_unit_test(test_direct),
      cmocka_unit_test(test_not_joined),
      cmocka_unit_test(test_somebody_elses_key),
      cmocka_unit_test(test_what_a_hop_changes_and_loops),
      cmocka_unit_test(test_final),
      cmocka_unit_test(test_keys_that_do_not_fit),
      cmocka_unit_test(test_media),
      cmocka_unit_test(test_bodies),
      cmocka_unit_test(test_clients),
      cmocka_unit_test(test_other_methods),
      cmocka_unit_test(test_silent_hop),
      cmocka_unit_test(test_all_silent),
      cmocka_unit_test(test_closed_link),
      cmocka_unit_test(test_taken_over),
      cmocka_unit_test(test_pool_full),
      cmocka_unit_test(test_no_copies),
      cmocka_unit_test(test_forwarding_takes_no_memory),
      cmocka_unit_test(test_datagrams),
      cmocka_unit_test(test_large_answer_over_udp),
      cmocka_unit_test(test_pull_over_udp_is_cut),
      cmocka_unit_test(test_size_budgets),
      cmocka_unit_test(test_writes_refused),
      cmocka_unit_test(test_many_large_answers_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
