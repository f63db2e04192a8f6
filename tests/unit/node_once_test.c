/* SPDX-License-Identifier: BSD-2-Clause */
/* What a signed put costs, in counts: a hop reads neither body nor signature, and who stores it
 * reads the body once and has the record verified once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/records.h"
#include "support/world.h"
#include "xml/body.h"

#define BOB "sip:bob@example.net"
#define UNTIL "2026-05-03T12:00:00.000Z"
#define RECORD(value) TEST_RECORD(BOB, UNTIL, "n", UNTIL, "5", value)
#define CONTACT                                         \
  "<contacts xmlns=\"urn:ietf:params:xml:ns:p2p-sip\">" \
  "<contact>sip:bob@192.0.2.4</contact></contacts>"
#define BODY(record)                                                                          \
  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodCall><methodName>put-auth</methodName>" \
  "<params><param>" record "</param></params></methodCall>"

static struct net net;
static char message[8192];

/* A node alone, or one whose neighbour is responsible for BOB. */
static void begin(bool with_responsible) {
  const struct key before = {{0x01}};
  net_open(&net, 1);
  struct key bob = net_key(&net, BOB), other = before;
  if (with_responsible) net_add(&net, &other, NET_NONE);
  net_add(&net, &bob, with_responsible ? 0 : NET_NONE);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
}

struct cost {
  uint64_t parsed;
  unsigned verify, forwarded;
};

/* Of the step that takes the put in. */
static struct cost put(const char *body_text) {
  struct endpoint from = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  uint32_t flow = net_connect(&net, 0, &from);
  char key_text[KEY_HEX + 1] = "";
  struct buf hex = buf_over(key_text, KEY_HEX);
  struct key bob = net_key(&net, BOB);
  key_put(&hex, &bob);
  int head =
      snprintf(message, sizeof message,
               "LOCSER " BOB
               " SIP/2.0\r\nVia: SIP/2.0/TCP 203.0.113.9:40001;"
               "branch=z9hG4bK%p\r\nFrom: <sip:a@a.example>;tag=1\r\nTo: <" BOB
               ">\r\n"
               "Call-ID: %p\r\nCSeq: 1 LOCSER\r\nMax-Forwards: 70\r\nOverlay-Key: %s\r\n"
               "Content-Type: text/xml\r\nContent-Length: %zu\r\n\r\n",
               (const void *)body_text, (const void *)body_text, key_text, strlen(body_text));
  size_t len = (size_t)head + strlen(body_text);
  assert_true(len < sizeof message);
  memcpy(message + head, body_text, strlen(body_text));
  test_sign_records(&net.crypto, message + head, strlen(body_text));
  struct cost cost = {.parsed = xml_reader_parsed(net.xml)};
  net_inject(&net, 0, flow, &from, slice_of(message, len));
  cost.parsed = xml_reader_parsed(net.xml) - cost.parsed;
  for (uint32_t i = 0; i < net.box.count; i++) {
    cost.verify += net.box.item[i].kind == OUT_VERIFY;
    cost.forwarded +=
        net.box.item[i].kind == OUT_SEND && slice_starts(net.box.item[i].data, SLICE("LOCSER "));
  }
  return cost;
}

static bool is_stored(void) {
  net_run_for(&net, SEC(5));
  return net_take(&net, "SIP/2.0 200", "copies=") != NULL;
}

static void test_hop_reads_nothing(void **state) {
  (void)state;
  begin(true);
  struct cost cost = put(BODY(RECORD(CONTACT)));
  assert_int_equal(cost.forwarded, 1);
  assert_int_equal(cost.parsed, 0);
  assert_int_equal(cost.verify, 0);
  assert_true(is_stored());
  assert_true(net_close(&net));
}

static void test_store_reads_once(void **state) {
  (void)state;
  begin(false);
  struct cost sight = put(BODY(RECORD(CONTACT)));
  assert_int_equal(sight.parsed, 0);
  assert_int_equal(sight.verify, 1);
  assert_true(is_stored());
  struct cost other = put(BODY(TEST_RECORD(BOB, UNTIL, "m", UNTIL, "5", "<a></a>")));
  assert_int_equal(other.parsed, 1);
  assert_int_equal(other.verify, 1);
  assert_true(is_stored());
  assert_true(net_close(&net));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_hop_reads_nothing),
      cmocka_unit_test(test_store_reads_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
