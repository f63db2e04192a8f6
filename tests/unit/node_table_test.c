/* SPDX-License-Identifier: BSD-2-Clause */
/* The processing table of a LOCSER request, row by row, by one node with
 * neighbours that are fakes of the world or real. What a hop does is in node_hops_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/asker.h"
#include "support/records.h"

static struct net net;
static struct asker asker = {.net = &net};

static struct key key_of(uint8_t first) { return (struct key){{first, 1}}; }
static bool has(const char *word) { return strstr(asker.answer, word) != NULL; }
static void end(void) { assert_true(net_close(&net)); }
#define ASK(...) asker_ask(&asker, &(struct ask){__VA_ARGS__})

#define OVERLAY_BODY(method)                                                                  \
  "<methodCall><methodName>" method                                                           \
  "</methodName><params><param><overlay "                                                     \
  "xmlns=\"urn:ietf:params:xml:ns:p2p-sip:overlay\"><self "                                   \
  "id=\"2222222222222222222222222222222222222222\" at=\"192.0.2.2:5060\" incarnation=\"1\"/>" \
  "</overlay></param></params></methodCall>"

#define RECORD(key, nonce, version, value) \
  TEST_RECORD(key, "2026-05-03T12:00:00.000Z", nonce, "2026-05-03T12:00:00.000Z", version, value)
#define PUT_BODY(record)                                                \
  "<methodCall><methodName>put-auth</methodName><params><param>" record \
  "</param></params>"                                                   \
  "</methodCall>"

/* */
static void test_syntax(void **state) {
  (void)state;
  asker_ring(&asker, 1);
  struct key key = key_of(1);
  char lines[300];
  assert_int_equal(ASK(.lines = "Overlay-Key: 1234\n"), 400);
  assert_true(has("400 Overlay-Key"));
  assert_int_equal(ASK(.lines = "Overlay-Key: \n"), 400);
  snprintf(lines, sizeof lines, "Overlay-Key: %sA\n", asker_hex(&key));
  assert_int_equal(ASK(.lines = lines), 400);
  snprintf(lines, sizeof lines, "Overlay-Key: %s\nOverlay-Key: %s\n", asker_hex(&key),
           asker_hex(&key));
  assert_int_equal(ASK(.lines = lines), 400);
  assert_true(has("Overlay-Key"));
  snprintf(lines, sizeof lines, "Overlay-Key: %s, %s\n", asker_hex(&key), asker_hex(&key));
  assert_int_equal(ASK(.lines = lines), 400);
  snprintf(lines, sizeof lines, "Overlay-Key: %s;a=b, %s\n", asker_hex(&key), asker_hex(&key));
  assert_int_equal(ASK(.lines = lines), 400);
  assert_true(has("Overlay-Key"));
  assert_int_equal(ASK(.lines = asker_key_line(&key, ";x=\"a,b\"")), 404);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ";deadline=0")), 400);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ";deadline=32001")), 400);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ";deadline=32000")), 404);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ""), .hops = ""), 400);
  assert_true(has("Max-Forwards"));
  assert_int_equal(ASK(.lines = asker_key_line(&key, ""), .call_id = "a b"), 400);
  assert_true(has("Call-ID"));
  end();
}

/* */
static void test_extensions(void **state) {
  (void)state;
  asker_ring(&asker, 1);
  assert_int_equal(ASK(.lines = "Require: nothing, at-all\nProxy-Require: this\n"), 420);
  assert_true(has("Unsupported: nothing") && has("at-all") && has("this"));
  end();
}

/* */
static void test_overlay_name(void **state) {
  (void)state;
  asker_ring(&asker, 1);
  struct key key = key_of(1);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ";overlay=other")), 488);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ";overlay=LocSer")), 404);
  assert_int_equal(ASK(.lines = asker_key_line(&asker_ring_id[0], ";direct;overlay=other")), 488);
  end();
}

/* */
static void test_direct(void **state) {
  (void)state;
  asker_ring(&asker, 1);
  assert_int_equal(ASK(.lines = asker_key_line(&asker_ring_id[1], ";direct"),
                       .body = OVERLAY_BODY("overlay.ping")),
                   410);
  assert_int_equal(ASK(.lines = asker_key_line(&asker_ring_id[0], ";direct"),
                       .body = OVERLAY_BODY("overlay.ping")),
                   200);
  assert_int_equal(
      ASK(.lines = asker_key_line(&asker_ring_id[0], ""), .body = OVERLAY_BODY("overlay.ping")),
      400);
  assert_true(has("direct"));
  assert_int_equal(
      ASK(.lines = asker_key_line(&asker_ring_id[0], ""), .body = OVERLAY_BODY("overlay.nonsense")),
      501);
  assert_int_equal(
      ASK(.lines = asker_key_line(&asker_ring_id[0], ""), .body = OVERLAY_BODY("overlay.route")),
      200);
  assert_int_equal(ASK(.lines = asker_key_line(&asker_ring_id[0], ";direct"),
                       .body = "<methodCall><methodName>overlay.notify</methodName></methodCall>"),
                   400);
  assert_true(has("o:self"));
  const char *watch = "<methodCall><methodName>event.watch</methodName><params><param>" RECORD(
      "presence:bob@example.net", "n", "5", "<a/>") "</param></params></methodCall>";
  assert_int_equal(ASK(.lines = asker_key_line(&asker_ring_id[0], ""), .body = watch), 400);
  assert_true(has("direct"));
  assert_int_equal(ASK(.lines = asker_key_line(&asker_ring_id[0], ";direct"),
                       .body = OVERLAY_BODY("event.notify")),
                   400);
  assert_true(has("one dhtRecord"));
  assert_int_equal(ASK(.lines = asker_key_line(&asker_ring_id[0], ";direct"), .body = watch), 403);
  assert_int_equal(node_stats(net.at[0].node).records, 0);
  end();
}

static unsigned retry_after(void) {
  const char *line = strstr(asker.answer, "\r\nRetry-After: ");
  assert_non_null(line);
  return (unsigned)atoi(line + strlen("\r\nRetry-After: "));
}

/* not joined; but direct is answered.: no two are told to come back together.:
 * a client is told the same, not that there is nothing. */
static void test_not_joined(void **state) {
  (void)state;
  net_open(&net, 2);
  net_add(&net, &asker_ring_id[0], 1); /* there is no node 1 */
  asker_move(&asker, "203.0.113.9:40001", TRANSPORT_TCP, 0);
  net_run_for(&net, SEC(5));
  struct key key = key_of(1);
  unsigned told[5] = {0};
  for (unsigned i = 0; i < 40; i++) {
    assert_int_equal(ASK(.lines = asker_key_line(&key, "")), 503);
    unsigned seconds = retry_after();
    assert_in_range(seconds, 1, 4);
    told[seconds]++;
  }
  for (unsigned i = 1; i <= 4; i++) assert_true(told[i] > 0);
  /* let in, but only a member says that it is alive */
  assert_int_equal(ASK(.lines = asker_key_line(&asker_ring_id[0], ";direct"),
                       .body = OVERLAY_BODY("overlay.ping")),
                   503);
  assert_true(has("not a member"));
  assert_int_equal(ASK(.lines = asker_key_line(&asker_ring_id[1], ";direct"),
                       .body = OVERLAY_BODY("overlay.ping")),
                   410);
  asker_move(&asker, "127.0.0.1:40001", TRANSPORT_TCP, 0);
  assert_int_equal(ASK(.lines = ""), 503);
  assert_in_range(retry_after(), 1, 4);
  end();
}

/* */
static void test_somebody_elses_key(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  struct key key = key_of(0x30), mine = key_of(0xf0);
  assert_int_equal(ASK(.lines = asker_key_line(&mine, ""), .hops = "Max-Forwards: 0\n"), 404);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ""), .hops = "Max-Forwards: 0\n"), 483);
  assert_int_equal(ASK(.lines = asker_key_line(&key, "")), 404);
  char lines[300];
  snprintf(lines, sizeof lines, "%sRequest-Disposition: redirect\n", asker_key_line(&key, ""));
  assert_int_equal(ASK(.lines = lines), 302);
  char contact[120];
  snprintf(contact, sizeof contact, "Contact: <sip:%s@10.0.0.2:5060;transport=tcp>",
           asker_hex(&asker_ring_id[1]));
  assert_true(has(contact));
  end();
}

/* */
static void test_keys_that_do_not_fit(void **state) {
  (void)state;
  asker_ring(&asker, 1);
  struct key bob = net_key(&net, ASKER_BOB), wrong = key_of(7);
  assert_int_equal(ASK(.lines = asker_key_line(&wrong, ""),
                       .body = PUT_BODY(RECORD(ASKER_BOB, "n", "5", "<a/>"))),
                   400);
  assert_true(has("does not hash"));
  assert_int_equal(node_stats(net.at[0].node).records, 0);
  assert_int_equal(
      ASK(.lines = asker_key_line(&bob, ""), .body = PUT_BODY(RECORD(ASKER_BOB, "n", "5", "<a/>"))),
      200);
  assert_int_equal(node_stats(net.at[0].node).records, 1);
  /* routed by one, answered by the other */
  assert_int_equal(ASK(.lines = asker_key_line(&wrong, "")), 200);
  assert_int_equal(
      ASK(.lines = asker_key_line(&wrong, ""), .body = ASKER_GET("sip:eve@example.net")), 404);
  assert_true(has("does not hash"));
  static const char courtesy[] =
      "<methodCall><methodName>get</methodName><params><param><dhtRecord><key>" ASKER_BOB
      "</key><KeyInfo><KeyValue>%s</KeyValue></KeyInfo></dhtRecord></param></params></methodCall>";
  char body[600];
  snprintf(body, sizeof body, courtesy, asker_hex(&bob));
  assert_int_equal(ASK(.lines = asker_key_line(&bob, ""), .body = body), 200);
  snprintf(body, sizeof body, courtesy, asker_hex(&wrong));
  assert_int_equal(ASK(.lines = asker_key_line(&bob, ""), .body = body), 400);
  snprintf(body, sizeof body, courtesy, "something");
  assert_int_equal(ASK(.lines = asker_key_line(&bob, ""), .body = body), 400);
  end();
}

/* */
static void test_media(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  struct key mine = key_of(0xf0), key = key_of(0x30);
  assert_int_equal(ASK(.lines = asker_key_line(&mine, ""), .type = "text/plain"), 415);
  assert_true(has("Accept: text/xml"));
  assert_int_equal(ASK(.lines = asker_key_line(&mine, ""), .type = "application/xml;charset=UTF-8"),
                   404);
  assert_int_equal(ASK(.lines = asker_key_line(&mine, ""), .type = "text/xml;charset=iso-8859-1"),
                   415);
  char lines[300];
  snprintf(lines, sizeof lines, "%sContent-Encoding: gzip\n", asker_key_line(&mine, ""));
  assert_int_equal(ASK(.lines = lines), 415);
  /* a hop does not care: it is the responsible peer that refuses, here the body itself */
  asker_watch(&asker, 0);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ""), .type = "image/png"), 415);
  assert_int_equal(asker.seen_count, 1);
  end();
}

/* */
static void test_bodies(void **state) {
  (void)state;
  asker_ring(&asker, 1);
  struct key key = key_of(1);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ""), .body = "<a>"), 400);
  assert_true(has("faultCode") && has("line"));
  assert_int_equal(ASK(.lines = asker_key_line(&key, ""), .body = ""), 400);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ""), .body = "<methodResponse/>"), 400);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ""), .body = ASKER_GET("")), 400);
  static char deep[2000];
  char *at = deep;
  at += sprintf(at, "<methodCall><methodName>get</methodName><params>");
  for (unsigned i = 0; i < 40; i++) at += sprintf(at, "<a>");
  for (unsigned i = 0; i < 40; i++) at += sprintf(at, "</a>");
  sprintf(at, "</params></methodCall>");
  assert_int_equal(ASK(.lines = asker_key_line(&key, ""), .body = deep), 413);
  end();
}

/* : whoever is responsible, the request goes to nobody. */
static void test_clients(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  asker_watch(&asker, 0);
  assert_int_equal(ASK(.lines = ""), 403); /* a stranger */
  asker_move(&asker, "127.0.0.1:40001", TRANSPORT_TCP, 0);
  assert_int_equal(ASK(.lines = ""), 404);
  assert_int_equal(ASK(.lines = "", .body = OVERLAY_BODY("overlay.ping")), 400);
  for (uint32_t i = 0; i < 3; i++) {
    const char *uri;
    char contact[80];
    (void)asker_key_of_node(&net, i, &uri);
    assert_int_equal(net_put(&net, 0, uri, "sip:bob@192.0.2.4")->code, 200);
    assert_int_equal(ASK(.lines = "", .body = "", .uri = uri), 200);
    assert_true(has("Contact: <sip:bob@192.0.2.4>;q=1.000;expires="));
    snprintf(contact, sizeof contact, "<key xmlns=\"urn:ietf:params:xml:ns:dht\" Id=\"One\">%s<",
             uri);
    assert_true(has(contact));
  }
  assert_int_equal(
      ASK(.lines = "", .body = "", .via = "Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKx\n"), 403);
  assert_int_equal(asker.seen_count, 0);
  end();
}

/* */
static void test_what_clients_put_is_verified(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  asker_move(&asker, "127.0.0.1:40001", TRANSPORT_TCP, 0);
  net.refuse_text = "forged";
  assert_int_equal(ASK(.lines = "", .body = PUT_BODY(RECORD(ASKER_BOB, "n", "5", "<a/>"))), 200);
  assert_int_equal(ASK(.lines = "", .body = PUT_BODY(RECORD(ASKER_BOB, "n", "6", "<forged/>"))),
                   403);
  assert_int_equal(
      ASK(.lines = "", .body = PUT_BODY(TEST_RECORD_HEAD(ASKER_BOB, "2026-05-03T12:00:00.000Z", "n",
                                                         "2026-05-03T12:00:00.000Z", "",
                                                         "7") "<a/></value></dhtRecord>")),
      400);
  assert_true(has("Signature"));
  assert_int_equal(ASK(.lines = ""), 200);
  assert_true(has("o:version=\"5\""));
  end();
}

static bool lose_reads(struct net *w, uint32_t node, const struct input *message) {
  (void)w, (void)node;
  return slice_find(message->data, SLICE("<methodName>get<")) < message->data.len;
}

/* the others live, but nobody answers what is asked for the client. */
static void test_clients_are_told_of_silence(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  asker_move(&asker, "127.0.0.1:40001", TRANSPORT_TCP, 0);
  net.on_hear = lose_reads;
  const char *uri;
  (void)asker_key_of_node(&net, 1, &uri);
  assert_int_equal(ASK(.lines = "", .body = "", .uri = uri), 503);
  assert_in_range(retry_after(), 1, 4);
  end();
}

/* two others fell silent at once, then nobody asks them any more; of two peers, one has
 * died. */
static void test_cut_off(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  struct key key = net_key(&net, ASKER_BOB);
  const char *line = asker_key_line(&key, "");
  assert_int_equal(ASK(.lines = line), 404);
  net_kill(&net, 1, true);
  net_kill(&net, 2, true);
  net_run_for(&net, SEC(20));
  assert_int_equal(ASK(.lines = line), 503);
  assert_in_range(retry_after(), 1, 4);
  net_run_for(&net, SEC(180));
  assert_int_equal(ASK(.lines = line), 404);
  end();

  asker_ring(&asker, 2);
  net_kill(&net, 1, true);
  net_run_for(&net, SEC(20));
  assert_int_equal(ASK(.lines = line), 404);
  end();
}

/* */
static unsigned leaves(uint32_t node) {
  return net_command(&net, node, &(struct node_command){.kind = COMMAND_LEAVE}, SEC(20))->code;
}

static void test_leaving_while_cut_off(void **state) {
  (void)state;
  static const usec silent[] = {0, MSEC(300), MSEC(600), MSEC(900), SEC(2), SEC(20)};
  for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
    const char *uri;
    asker_ring(&asker, 3);
    (void)asker_key_of_node(&net, 0, &uri);
    assert_int_equal(net_put(&net, 0, uri, "sip:x@192.0.2.7")->code, 200);
    net_kill(&net, 1, true);
    net_kill(&net, 2, true);
    net_run_for(&net, silent[i]);
    assert_int_equal(leaves(0), 503);
    end();
  }
  asker_ring(&asker, 2);
  assert_int_equal(leaves(1), 200);
  assert_int_equal(leaves(0), 200);
  end();
}

/* */
static void test_every_transport(void **state) {
  (void)state;
  asker_ring(&asker, 1);
  struct key key = key_of(1);
  for (enum transport by = TRANSPORT_UDP; by <= TRANSPORT_WSS; by++) {
    asker_move(&asker, "203.0.113.9:40001", by, 0);
    assert_int_equal(ASK(.lines = asker_key_line(&key, "")), 404);
  }
  end();
}

static char routed[4000], direct[4000]; /* the last that node 2 asked for itself */
static void note_own(struct net *w, uint32_t node, const struct output *out) {
  (void)w;
  if (node != 2 || !slice_starts(out->data, SLICE("LOCSER ")) || out->data.len >= sizeof routed)
    return;
  bool is_direct = slice_find(out->data, SLICE(";direct")) < out->data.len;
  bool is_get = slice_find(out->data, SLICE(">get<")) < out->data.len;
  if (is_direct || is_get)
    snprintf(is_direct ? direct : routed, sizeof routed, "%.*s", SLICE_FMT(out->data));
}

static void assert_starts(const char *text, const char *start) {
  if (strncmp(text, start, strlen(start)) != 0) fail_msg("%s: %s", start, text);
}

/* what a peer writes of its own. */
static void test_what_an_originator_writes(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  net.on_send = note_own;
  const char *uri;
  char text[200], presence[60];
  struct key key = asker_key_of_node(&net, 1, &uri);
  assert_int_equal(net_get(&net, 2, uri)->code, 404);
  snprintf(text, sizeof text, "LOCSER %s SIP/2.0\r\n", uri);
  assert_starts(routed, text);
  snprintf(text, sizeof text, "\r\nTo: <%s>\r\n", uri); /* no tag, so no dialog */
  assert_non_null(strstr(routed, text));
  assert_non_null(strstr(routed, "\r\nCSeq: 1 LOCSER\r\nMax-Forwards: 70\r\n"));
  snprintf(text, sizeof text, "\r\nOverlay-Key: %s;", asker_hex(&key));
  assert_non_null(strstr(routed, text));
  /* about no address */
  unsigned n = 0;
  do {
    snprintf(presence, sizeof presence, "presence:u%u@example.net", n++);
    key = net_key(&net, presence);
  } while (net_responsible(&net, &key) != 1);
  assert_int_equal(net_get(&net, 2, presence)->code, 404);
  snprintf(text, sizeof text, "LOCSER sip:%s@10.0.0.2:5060 SIP/2.0\r\n", asker_hex(&key));
  assert_starts(routed, text);
  /* to a peer, about itself */
  net_run_for(&net, SEC(20));
  assert_starts(direct, "LOCSER sip:");
  assert_memory_equal(direct + strlen("LOCSER sip:") + KEY_HEX, "@10.0.0.", strlen("@10.0.0."));
  snprintf(text, sizeof text, "\r\nOverlay-Key: %.*s;", KEY_HEX, direct + strlen("LOCSER sip:"));
  assert_non_null(strstr(direct, text));
  snprintf(text, sizeof text, "<self id=\"%s\" at=\"10.0.0.3:5060\"", asker_hex(&asker_ring_id[2]));
  assert_non_null(strstr(text, "B0"));
  assert_non_null(strstr(direct, text));
  end();
}

/* */
static void test_other_methods(void **state) {
  (void)state;
  asker_ring(&asker, 1);
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
    net_inject(&net, 0, asker.flow, &asker.at, slice_of(text, (size_t)n));
    net_run_for(&net, SEC(1));
    const struct net_letter *letter = net_take(&net, asks[i][1], "CSeq: 1 ");
    if (letter == NULL) fail_msg("%s: %s", asks[i][0], net.inbox[0].text);
    if (i == 0) assert_non_null(strstr(letter->text, "LOCSER"));
  }
  end();
}

/* ---- hops ---- */

/* */
static void test_large_answer_over_udp(void **state) {
  (void)state;
  asker_ring(&asker, 1);
  struct key bob = net_key(&net, ASKER_BOB);
  static char body[20000], value[9000];
  memset(value, 'v', 5000);
  for (unsigned n = 0; n < 2; n++) {
    static char record[12000];
    snprintf(record, sizeof record, PUT_BODY(RECORD(ASKER_BOB, "%u", "5", "%s")), n, value);
    snprintf(body, sizeof body, "%s", record);
    assert_int_equal(ASK(.lines = asker_key_line(&bob, ""), .body = body), 200);
  }
  assert_int_equal(ASK(.lines = asker_key_line(&bob, "")), 200);
  asker_move(&asker, "198.51.100.7:6000", TRANSPORT_UDP, 0);
  assert_int_equal(ASK(.lines = asker_key_line(&bob, "")), 413);
  assert_true(has("TCP"));
  end();
}

#define PULL_BODY                                                                             \
  "<methodCall><methodName>overlay.replicate</methodName><params><param><overlay "            \
  "xmlns=\"urn:ietf:params:xml:ns:p2p-sip:overlay\"><self "                                   \
  "id=\"2222222222222222222222222222222222222222\" at=\"192.0.2.2:5060\" incarnation=\"1\"/>" \
  "<range from=\"2222222222222222222222222222222222222222\" "                                 \
  "to=\"2222222222222222222222222222222222222222\"/></overlay></param></params></methodCall>"

/* a datagram gets a page that fits, a stream the whole. */
static void test_pull_over_udp_is_cut(void **state) {
  (void)state;
  asker_ring(&asker, 1);
  struct key bob = net_key(&net, ASKER_BOB);
  static char record[12000], value[3001];
  memset(value, 'v', 3000);
  for (unsigned n = 0; n < 4; n++) {
    snprintf(record, sizeof record, PUT_BODY(RECORD(ASKER_BOB, "%u", "5", "%s")), n, value);
    assert_int_equal(ASK(.lines = asker_key_line(&bob, ""), .body = record), 200);
  }
  assert_int_equal(ASK(.lines = asker_key_line(&asker_ring_id[0], ";direct"), .body = PULL_BODY),
                   200);
  assert_true(strlen(asker.answer) > 12000 && !has("more="));
  asker_move(&asker, "198.51.100.7:6000", TRANSPORT_UDP, 0);
  assert_int_equal(ASK(.lines = asker_key_line(&asker_ring_id[0], ";direct"), .body = PULL_BODY),
                   200);
  assert_true(strlen(strstr(asker.answer, "\r\n\r\n")) <= 8192 + 4 && has("more=") &&
              has("after="));
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

/* the budgets of what a peer writes, IPv4. */
static void test_size_budgets(void **state) {
  (void)state;
  static const char uri[] = "sip:someone-with-a-name@provider.example"; /* 40 characters */
  static const char contact[] = "sip:someone-with-a-name@192.0.2.234:50600;transport=tcp;ob=1";
  assert_int_equal(strlen(uri), 40);
  assert_int_equal(strlen(contact), 60);
  asker_ring(&asker, 3);
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

/* many who wait for the same range, each for a large answer, are answered when it is there:
 * not all in one step, which is bounded. */
static void test_many_large_answers_at_once(void **state) {
  (void)state;
  static const struct key late = {{0x80}};
  static char value[15000], body[20000];
  asker_ring(&asker, 1);
  struct key bob = net_key(&net, ASKER_BOB);
  memset(value, 'v', sizeof value - 1);
  for (unsigned n = 0; n < 3; n++) {
    snprintf(body, sizeof body, PUT_BODY(RECORD(ASKER_BOB, "%u", "5", "%s")), n, value);
    assert_int_equal(ASK(.lines = asker_key_line(&bob, ""), .body = body), 200);
  }
  net.latency_min_us = net.latency_max_us = MSEC(100);
  uint32_t second = net_add(&net, &late, 0);
  for (unsigned n = 0; n < 10000 && !node_stats(net.at[second].node).member; n++) {
    net_run_for(&net, MSEC(1));
  }
  assert_int_equal(net_responsible(&net, &bob), second);
  assert_false(node_stats(net.at[second].node).ready); /* */
  net_clear_inbox(&net);
  asker_move(&asker, "203.0.113.9:40001", TRANSPORT_TCP, second);
  for (unsigned n = 0; n < 40; n++) {
    asker_send(&asker, &(struct ask){.lines = asker_key_line(&bob, ""), .node = second});
  }
  net_run_for(&net, SEC(10));
  unsigned answered = 0;
  while (net_take(&net, "SIP/2.0 200", "CSeq: 1 LOCSER") != NULL) answered++;
  assert_int_equal(answered, 40);
  end();
}

/* what the store says becomes a status. */
static void test_writes_refused(void **state) {
  (void)state;
  asker_ring(&asker, 1);
  struct key bob = net_key(&net, ASKER_BOB);
  const char *line = asker_key_line(&bob, "");
  char lines[100];
  snprintf(lines, sizeof lines, "%s", line);
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(ASKER_BOB, "n", "5", "<a/>"))), 200);
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(ASKER_BOB, "n", "5", "<a/>"))), 200);
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(ASKER_BOB, "n", "4", "<a/>"))), 412);
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(ASKER_BOB, "", "6", "<a/>"))), 400);
  net.refuse_text = "forged";
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(ASKER_BOB, "n", "6", "<forged/>"))),
                   403);
  net.journal_fail_permille = 1000;
  assert_int_equal(ASK(.lines = lines, .body = PUT_BODY(RECORD(ASKER_BOB, "m", "6", "<a/>"))), 503);
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
      cmocka_unit_test(test_keys_that_do_not_fit),
      cmocka_unit_test(test_media),
      cmocka_unit_test(test_bodies),
      cmocka_unit_test(test_clients),
      cmocka_unit_test(test_what_clients_put_is_verified),
      cmocka_unit_test(test_clients_are_told_of_silence),
      cmocka_unit_test(test_cut_off),
      cmocka_unit_test(test_leaving_while_cut_off),
      cmocka_unit_test(test_every_transport),
      cmocka_unit_test(test_what_an_originator_writes),
      cmocka_unit_test(test_other_methods),
      cmocka_unit_test(test_large_answer_over_udp),
      cmocka_unit_test(test_pull_over_udp_is_cut),
      cmocka_unit_test(test_size_budgets),
      cmocka_unit_test(test_many_large_answers_at_once),
      cmocka_unit_test(test_writes_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
