/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls to whom this peer holds the records of itself: what it takes from its store is judged as an
 * answer would be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/records.h"
#include "support/world.h"
#include "xml/body.h"

#define BOB "sip:bob@example.net"
#define LATE "2026-05-03T12:00:00.000Z" /* two days after the world begins */
#define SOON "2026-05-01T12:25:00.000Z"
#define CONTACT(attributes, uri)                                                   \
  "<contacts xmlns=\"urn:ietf:params:xml:ns:p2p-sip\"><contact" attributes ">" uri \
  "</contact>"                                                                     \
  "</contacts>"
#define RECORD(nonce, expires, version, contact) \
  TEST_RECORD(BOB, expires, nonce, expires, version, contact)
#define A "sip:bob@192.0.2.4"
#define B "sip:bob@192.0.2.5"

static struct net net;
static unsigned number;

static void begin(void) {
  net_open(&net, 1);
  net_add(&net, NULL, NET_NONE);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
}

static void end(void) { assert_true(net_close(&net)); }

static void put(const char *record) {
  static char body[8192], message[8192];
  char hex[KEY_HEX + 1] = "";
  struct endpoint from = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  struct key bob = net_key(&net, BOB);
  struct buf digits = buf_over(hex, KEY_HEX);
  key_put(&digits, &bob);
  int len = snprintf(body, sizeof body,
                     "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodCall><methodName>put-auth"
                     "</methodName><params><param>%s</param></params></methodCall>",
                     record);
  test_sign_records(&net.crypto, body, (size_t)len);
  number++;
  len = snprintf(message, sizeof message,
                 "LOCSER " BOB
                 " SIP/2.0\r\nVia: SIP/2.0/TCP 203.0.113.9:40001;branch=z9hG4bKp%u\r\n"
                 "From: <sip:a@a.example>;tag=1\r\nTo: <" BOB
                 ">\r\nCall-ID: p%u\r\n"
                 "CSeq: 1 LOCSER\r\nMax-Forwards: 70\r\nOverlay-Key: %s\r\n"
                 "Content-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s",
                 number, number, hex, len, body);
  assert_in_range(len, 1, (int)sizeof message - 1);
  net_inject(&net, 0, net_connect(&net, 0, &from), &from, slice_of(message, (size_t)len));
  net_run_for(&net, SEC(5));
  if (net_take(&net, "SIP/2.0 200", "copies=") == NULL)
    fail_msg("%s", net_take(&net, "SIP/2.0 4", "methodResponse")->text);
}

/* How many records the step that takes the call in has verified. */
static unsigned call(void) {
  char text[1024];
  struct endpoint from = net_stranger("127.0.0.1:40002", TRANSPORT_UDP);
  net_clear_inbox(&net);
  number++;
  int len = snprintf(text, sizeof text,
                     "INVITE " BOB
                     " SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:40002;branch=z9hG4bKi%u\r\n"
                     "From: <sip:al@example.net>;tag=b\r\nTo: <" BOB
                     ">\r\nCall-ID: i%u\r\n"
                     "CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:al@127.0.0.1:40002>\r\n"
                     "Content-Length: 0\r\n\r\n",
                     number, number);
  net_inject(&net, 0, 0, &from, slice_of(text, (size_t)len));
  unsigned verified = 0;
  for (uint32_t i = 0; i < net.box.count; i++) verified += net.box.item[i].kind == OUT_VERIFY;
  net_run_for(&net, SEC(1));
  return verified;
}

/* Of this call. */
static const struct net_letter *take(const char *line) {
  char id[32];
  snprintf(id, sizeof id, "Call-ID: i%u\r\n", number);
  return net_take(&net, line, id);
}

static bool rings(const char *uri) {
  char line[80];
  snprintf(line, sizeof line, "INVITE %s SIP/2.0\r\n", uri);
  return take(line) != NULL;
}

/* The final answer to the caller; 0: none. */
static unsigned answered(void) {
  const struct net_letter *letter;
  while ((letter = take("SIP/2.0 ")) != NULL)
    if (atoi(letter->text + 8) >= 200) return (unsigned)atoi(letter->text + 8);
  return 0;
}

static void a_call_reaches_who_is_in_the_store(void **state) {
  (void)state;
  begin();
  put(RECORD("n", LATE, "5", CONTACT("", A)));
  assert_int_equal(call(), 1);
  assert_true(rings(A));
  assert_int_equal(answered(), 0);
  end();
}

/* One that is not known at sight, so that reading is counted: the record, and its value. */
static void the_record_is_read_once(void **state) {
  (void)state;
  begin();
  put(RECORD("n", LATE, "5", "<string>" A "</string>"));
  uint64_t parsed = xml_reader_parsed(net.xml);
  assert_int_equal(call(), 1);
  assert_true(rings(A));
  assert_int_equal(xml_reader_parsed(net.xml) - parsed, 2);
  end();
}

static void each_device_is_called(void **state) {
  (void)state;
  begin();
  put(RECORD("n", LATE, "5", CONTACT("", A)));
  put(RECORD("m", LATE, "5", CONTACT("", B)));
  assert_int_equal(call(), 2);
  assert_true(rings(A));
  assert_true(rings(B));
  end();
}

static void an_older_version_is_not_called(void **state) {
  (void)state;
  begin();
  put(RECORD("n", LATE, "5", CONTACT("", A)));
  put(RECORD("n", LATE, "6", CONTACT("", B)));
  assert_int_equal(call(), 1);
  assert_true(rings(B));
  assert_false(rings(A));
  end();
}

static void what_does_not_verify_is_not_called(void **state) {
  (void)state;
  begin();
  put(RECORD("n", LATE, "5", CONTACT("", A)));
  put(RECORD("m", LATE, "5", CONTACT("", B)));
  net.refuse_text = A; /* it has been changed in the store, say */
  assert_int_equal(call(), 2);
  assert_true(rings(B));
  assert_false(rings(A));
  net.refuse_text = "192.0.2.";
  assert_int_equal(call(), 2);
  assert_int_equal(answered(), 480);
  assert_false(rings(A) || rings(B));
  end();
}

static void what_cannot_be_verified_now_is_no_answer(void **state) {
  (void)state;
  begin();
  put(RECORD("n", LATE, "5", CONTACT("", A)));
  net.verifier_busy = true;
  assert_int_equal(call(), 1);
  assert_false(rings(A));
  assert_in_range(answered(), 500, 599);
  end();
}

static void what_has_expired_is_not_called(void **state) {
  (void)state;
  begin();
  put(RECORD("n", SOON, "5", CONTACT("", A)));
  put(RECORD("m", LATE, "5", CONTACT(" expires=\"" SOON "\"", B)));
  assert_int_equal(call(), 2);
  assert_true(rings(A) && rings(B));
  net_run_for(&net, SEC(15 * 60));
  assert_int_equal(call(), 1); /* the other record is alive, its contact is not */
  assert_int_equal(answered(), 480);
  assert_false(rings(A) || rings(B));
  end();
}

static void nobody_is_there(void **state) {
  (void)state;
  begin();
  assert_int_equal(call(), 0);
  assert_int_equal(answered(), 480);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_call_reaches_who_is_in_the_store),
      cmocka_unit_test(the_record_is_read_once),
      cmocka_unit_test(each_device_is_called),
      cmocka_unit_test(an_older_version_is_not_called),
      cmocka_unit_test(what_does_not_verify_is_not_called),
      cmocka_unit_test(what_cannot_be_verified_now_is_no_answer),
      cmocka_unit_test(what_has_expired_is_not_called),
      cmocka_unit_test(nobody_is_there),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
