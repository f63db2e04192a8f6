/* SPDX-License-Identifier: BSD-2-Clause */
/* A peer that came back and has not got the records of its range yet: what it says to readers,
 * writers and other peers meanwhile.. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/records.h"
#include "support/world.h"

#define ADDRESS "sip:bob@example.net"
#define TEXT_MAX 4000

static struct net net;
static struct endpoint asker;
static uint32_t asker_flow[3];
static char key_hex[KEY_HEX + 1];
static unsigned number;

static void connect_to(uint32_t i) { asker_flow[i] = net_connect(&net, i, &asker); }

/* Node 1 has the Peer-ID of the address, so its record belongs there. */
static void begin(void) {
  net_open(&net, 1);
  net.latency_min_us = net.latency_max_us = MSEC(20);
  struct key key = net_key(&net, ADDRESS), other = key;
  other.byte[0] ^= 0x80;
  struct buf text = buf_over(key_hex, KEY_HEX);
  key_put(&text, &key);
  asker = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  net_add(&net, &other, NET_NONE);
  net_add(&net, &key, 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  connect_to(0);
  connect_to(1);
}

static unsigned ask(uint32_t node, const char *parameter, const char *body, char *answer) {
  static char text[TEXT_MAX];
  number++;
  int n = snprintf(text, sizeof text,
                   "LOCSER " ADDRESS
                   " SIP/2.0\r\n"
                   "Via: SIP/2.0/TCP 203.0.113.9:40001;branch=z9hG4bKf%u.\r\n"
                   "From: <sip:a@a.example>;tag=1\r\nTo: <" ADDRESS
                   ">\r\n"
                   "Call-ID: f%u@a.example\r\nCSeq: 1 LOCSER\r\nMax-Forwards: 70\r\n"
                   "Overlay-Key: %s%s\r\nContent-Type: text/xml\r\nContent-Length: %u\r\n\r\n%s",
                   number, number, key_hex, parameter, (unsigned)strlen(body), body);
  assert_in_range(n, 1, (int)sizeof text - 1);
  net_inject(&net, node, asker_flow[node], &asker, slice_of(text, (size_t)n));
  char branch[40];
  snprintf(branch, sizeof branch, "branch=z9hG4bKf%u.", number);
  const struct net_letter *letter = net_answer(&net, branch, SEC(8));
  if (letter != NULL && answer != NULL) snprintf(answer, TEXT_MAX, "%s", letter->text);
  return net_status(letter);
}

static unsigned get(uint32_t node, const char *parameter) {
  return ask(node, parameter,
             "<methodCall><methodName>get</methodName><params><param><dhtRecord "
             "xmlns=\"urn:ietf:params:xml:ns:dht\"><key>" ADDRESS
             "</key></dhtRecord></param></params></methodCall>",
             NULL);
}

/* A version of the one record, or its removal. */
static unsigned write_version(uint32_t node, unsigned version, bool removed) {
#define EXPIRES "2026-05-01T13:00:00.000Z"
  static const char put[] =
      TEST_RECORD(ADDRESS, EXPIRES, "N", EXPIRES, "%u",
                  "<contacts xmlns=\"urn:ietf:params:xml:ns:p2p-sip\"><contact>"
                  "sip:bob@192.0.2.4</contact></contacts>");
  static const char removal[] =
      TEST_RECORD_HEAD(ADDRESS, EXPIRES, "N", EXPIRES, " o:removed=\"true\"",
                       "%u") "<DigestValue>" TEST_OWNER_BASE64 "</DigestValue>" TEST_RECORD_TAIL;
  char record[TEXT_MAX / 2], body[TEXT_MAX / 2 + 200];
  snprintf(record, sizeof record, removed ? removal : put, version);
  test_sign_records(&net.crypto, record, strlen(record));
  snprintf(body, sizeof body,
           "<methodCall><methodName>%s</methodName><params><param>%s</param></params></methodCall>",
           removed ? "remove-auth" : "put-auth", record);
  return ask(node, "", body, NULL);
}

static bool is_fetching(uint32_t i) {
  struct node_stats stats = node_stats(net.at[i].node);
  return stats.member && !stats.ready;
}

/* Node 1 was away while its record was written again at node 0, and has just joined. */
static void come_back(unsigned version, bool removed) {
  net_kill(&net, 1, false);
  net_run_for(&net, SEC(20));
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  assert_int_equal(write_version(0, version, removed), 200);
  net_restart(&net, 1);
  for (unsigned i = 0; !is_fetching(1); i++) {
    assert_in_range(i, 0, 10000);
    net_run_for(&net, MSEC(1));
  }
  connect_to(1);
}

/* what the journal held is old; the others are asked before a read is answered from it. */
static void test_read(void **state) {
  (void)state;
  begin();
  assert_int_equal(write_version(0, 1000, false), 200);
  come_back(1001, true);
  unsigned status;
  do status = get(1, "");
  while (status == 503);
  assert_int_equal(status, 404);
  assert_true(net_close(&net));
}

/* A read that cannot be sure is told so. */
static void test_read_unsure(void **state) {
  (void)state;
  begin();
  assert_int_equal(write_version(0, 1000, false), 200);
  come_back(1001, true);
  net.at[0].paused = true;
  assert_int_equal(get(1, ""), 503);
  assert_true(net_close(&net));
}

/* The peer after the dead owner has not noticed yet, and missed the last write: it is not the one
 * to say what there is, so it asks. */
static void test_read_after_an_unnoticed_death(void **state) {
  (void)state;
  begin();
  struct key after = net_key(&net, ADDRESS);
  after.byte[0] ^= 0x20;
  net_add(&net, &after, 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  assert_int_equal(write_version(0, 1000, false), 200);
  connect_to(2);
  net.at[2].paused = true;
  assert_int_equal(write_version(0, 1001, true), 200);
  net_kill(&net, 1, true);
  net.at[2].paused = false;
  unsigned status = get(2, ";final");
  assert_true(status == 404 || status == 503);
  assert_true(net_close(&net));
}

/* A removal of what is not the newest any more does not succeed, and so is void without a word. */
static void test_removal(void **state) {
  (void)state;
  begin();
  assert_int_equal(write_version(0, 1000, false), 200);
  come_back(2000, false);
  unsigned status;
  do status = write_version(1, 1001, true);
  while (status == 503);
  assert_int_equal(status, 412);
  assert_true(net_close(&net));
}

/* the little that it holds is not taken for all there is. */
static void test_pull(void **state) {
  static char answer[TEXT_MAX];
  char body[800];
  (void)state;
  begin();
  come_back(1000, false);
  snprintf(body, sizeof body,
           "<methodCall><methodName>overlay.replicate</methodName><params><param><overlay "
           "xmlns=\"urn:ietf:params:xml:ns:p2p-sip:overlay\"><self "
           "id=\"2222222222222222222222222222222222222222\" at=\"192.0.2.2:5060\" "
           "incarnation=\"1\"/><range from=\"%s\" to=\"%s\"/></overlay></param></params>"
           "</methodCall>",
           key_hex, key_hex);
  assert_int_equal(ask(1, ";direct", body, NULL), 503);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  assert_int_equal(ask(1, ";direct", body, answer), 200);
  assert_non_null(strstr(answer, "incomplete=\"true\"")); /* of the whole ring */
  assert_non_null(strstr(answer, "owner=\"true\""));
  assert_true(net_close(&net));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_read),
      cmocka_unit_test(test_read_unsure),
      cmocka_unit_test(test_read_after_an_unnoticed_death),
      cmocka_unit_test(test_removal),
      cmocka_unit_test(test_pull),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
