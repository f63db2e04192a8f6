/* SPDX-License-Identifier: BSD-2-Clause */
/* put-immut and get-immut at real nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/immutable.h"
#include "support/records.h"
#include "support/world.h"
#include "xml/body.h"

#define HELLO "immut:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define BASE64 "aGVsbG8="
#define BOB "sip:bob@example.net"
#define DAY ((msec_wall)86400000)

static struct net net;
static struct endpoint asker;
static uint32_t flow;
static char answer[65536];
static unsigned number;

static void begin(unsigned count) {
  net_open(&net, 3);
  for (unsigned i = 0; i < count; i++) net_add(&net, NULL, i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  net_run_for(&net, SEC(20));
  asker = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  flow = net_connect(&net, 0, &asker);
}

static void end(void) { assert_true(net_close(&net)); }

static const char *record_of(const char *key, const char *base64, msec_wall life) {
  static char text[4][2000];
  static unsigned turn;
  char *at = text[turn++ % 4], when[40] = "";
  struct buf time = buf_over(when, sizeof when - 1);
  xml_put_time(&time, net_wall(&net) + life);
  snprintf(at, 2000,
           "<dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\"><key>%s</key><value expires=\"%s\">"
           "<base64>%s</base64></value></dhtRecord>",
           key, when, base64);
  return at;
}

static const char *query_of(const char *key) {
  static char text[300];
  snprintf(text, sizeof text,
           "<dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\"><key>%s</key></dhtRecord>", key);
  return text;
}

/* The status of the answer, which is in `answer`; 0: none came. key: that Overlay-Key is made of.
 */
static unsigned ask(const char *key, const char *method, const char *record) {
  static char message[8192];
  char body[4096], hex[KEY_HEX + 1] = "", branch[32];
  struct key id = net_key(&net, key);
  struct buf out = buf_over(hex, KEY_HEX);
  key_put(&out, &id);
  int len = snprintf(body, sizeof body,
                     "<methodCall><methodName>%s</methodName><params><param>%s</param></params>"
                     "</methodCall>",
                     method, record);
  test_sign_records(&net.crypto, body, (size_t)len);
  snprintf(branch, sizeof branch, "branch=z9hG4bKi%u", ++number);
  int all = snprintf(message, sizeof message,
                     "LOCSER sip:x@a.example SIP/2.0\r\nVia: SIP/2.0/TCP 203.0.113.9:40001;%s\r\n"
                     "From: <sip:a@a.example>;tag=1\r\nTo: <sip:x@a.example>\r\nCall-ID: c%u\r\n"
                     "CSeq: 1 LOCSER\r\nMax-Forwards: 70\r\nOverlay-Key: %s\r\n"
                     "Content-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s",
                     branch, number, hex, len, body);
  assert_in_range(all, 1, sizeof message - 1);
  net_inject(&net, 0, flow, &asker, slice_of(message, (size_t)all));
  const struct net_letter *letter = net_answer(&net, branch, SEC(12));
  if (letter != NULL) {
    assert_true(letter->len < sizeof answer);
    memcpy(answer, letter->text, letter->len + 1);
  }
  return net_status(letter);
}

static unsigned put(msec_wall life) {
  return ask(HELLO, "put-immut", record_of(HELLO, BASE64, life));
}

static bool says(const char *words) { return strstr(answer, words) != NULL; }

static unsigned holders(const char *key_text, msec_wall *expires) {
  struct key key = net_key(&net, key_text);
  unsigned count = 0;
  for (uint32_t i = 0; i < net.count; i++)
    for (unsigned k = 0; k < net.at[i].journal_count; k++) {
      if (!key_equal(&net.at[i].journal[k].key, &key)) continue;
      count++;
      if (count == 1 || net.at[i].journal[k].expires < *expires)
        *expires = net.at[i].journal[k].expires;
    }
  return count;
}

static void test_put_and_get(void **state) {
  msec_wall expires = 0;
  (void)state;
  begin(5);
  assert_int_equal(ask(HELLO, "get-immut", query_of(HELLO)), 404);
  assert_int_equal(put(DAY), 200);
  assert_true(says("copies=\"3\""));
  assert_int_equal(holders(HELLO, &expires), 3);
  assert_int_equal(ask(HELLO, "get-immut", query_of(HELLO)), 200);
  assert_true(says("<base64>" BASE64 "</base64>"));
  assert_int_equal(ask(HELLO, "get", query_of(HELLO)), 200);
  assert_true(says("<base64>" BASE64 "</base64>"));
  end();
}

/* the same again is no error and makes no second record; the longest life stays. */
static void test_again(void **state) {
  msec_wall first = 0, later = 0, shorter = 0;
  (void)state;
  begin(5);
  assert_int_equal(put(DAY), 200);
  (void)holders(HELLO, &first);
  assert_int_equal(put(2 * DAY), 200);
  assert_int_equal(holders(HELLO, &later), 3);
  assert_true(later >= first + DAY);
  assert_int_equal(put(DAY / 2), 200);
  assert_true(says("copies=\"3\""));
  assert_int_equal(holders(HELLO, &shorter), 3);
  assert_true(shorter == later);
  assert_int_equal(ask(HELLO, "get-immut", query_of(HELLO)), 200);
  assert_null(strstr(strstr(answer, "<dhtRecord ") + 1, "<dhtRecord "));
  end();
}

/* */
static void test_refused(void **state) {
  (void)state;
  begin(1);
  const char *signed_one = TEST_RECORD(HELLO, "2026-05-03T12:00:00.000Z", "n",
                                       "2026-05-03T12:00:00.000Z", "5", "<a></a>");
  assert_int_equal(ask(HELLO, "put-immut", record_of(HELLO, "aGVsbG9v", DAY)), 400);
  assert_true(says("not the hash"));
  assert_int_equal(ask(HELLO, "put-auth", record_of(HELLO, BASE64, DAY)), 400);
  assert_int_equal(ask(HELLO, "remove-auth", record_of(HELLO, BASE64, DAY)), 400);
  assert_int_equal(ask(HELLO, "get-auth", query_of(HELLO)), 400);
  assert_int_equal(ask(HELLO, "put-auth", signed_one), 400);
  assert_int_equal(ask(HELLO, "put-immut", signed_one), 400);
  assert_int_equal(ask(HELLO, "put-immut", query_of(HELLO)), 400);
  assert_int_equal(ask(BOB, "get-immut", query_of(BOB)), 400);
  assert_int_equal(ask(BOB, "put-immut", record_of(BOB, BASE64, DAY)), 400);
  assert_int_equal(ask(BOB, "put-immut", record_of(HELLO, BASE64, DAY)), 400); /* */
  assert_int_equal(put(59000), 423);
  assert_int_equal(put(8 * DAY), 400);
  assert_int_equal(put((msec_wall)-1000), 400);
  assert_int_equal(net.at[0].journal_count, 0);
  assert_int_equal(put(61000), 200);
  end();
}

/* it lapses like any other record; a restart and the peers keep it until then. */
static void test_life(void **state) {
  (void)state;
  begin(5);
  assert_int_equal(put(MSEC(1) * 3600), 200); /* an hour */
  struct key key = net_key(&net, HELLO);
  net_kill(&net, net_responsible(&net, &key) == 0 ? 1 : net_responsible(&net, &key), false);
  net_run_for(&net, SEC(60));
  assert_int_equal(ask(HELLO, "get-immut", query_of(HELLO)), 200);
  net_run_for(&net, SEC(3600));
  assert_int_equal(ask(HELLO, "get-immut", query_of(HELLO)), 404);
  end();
}

/* by a peer's commands; what was altered on the way is not handed out. */
static void test_commands(void **state) {
  (void)state;
  begin(5);
  const struct node_command put_command = {.kind = COMMAND_PUT_IMMUT, .value = SLICE("hello")};
  const struct node_command get = {.kind = COMMAND_GET_IMMUT, .uri = SLICE(HELLO)};
  const struct net_reply *reply = net_command(&net, 0, &put_command, SEC(10));
  assert_int_equal(reply->code, 200);
  assert_true(slice_equal(reply->row[0].text, SLICE(HELLO)));
  assert_int_equal(reply->row[0].n, 3);
  for (uint32_t i = 0; i < 5; i++) {
    reply = net_command(&net, i, &get, SEC(10));
    assert_int_equal(reply->code, 200);
    assert_true(slice_equal(reply->row[0].text, SLICE(BASE64)));
  }
  net.refuse_text = BASE64; /* every verifier finds it wrong */
  assert_int_equal(net_command(&net, 0, &get, SEC(20))->code, 503);
  net.refuse_text = NULL;
  const struct node_command none = {.kind = COMMAND_GET_IMMUT, .uri = SLICE(BOB)};
  assert_int_equal(net_command(&net, 0, &none, SEC(10))->code, 400);
  static char large[IMMUTABLE_BYTES_MAX + 1];
  const struct node_command over = {.kind = COMMAND_PUT_IMMUT,
                                    .value = slice_of(large, sizeof large)};
  assert_int_equal(net_command(&net, 0, &over, SEC(10))->code, 413);
  end();
}

/* Copies that differ in life alone meet: two halves of a ring that were apart. */
static void test_meet(void **state) {
  msec_wall expires = 0;
  (void)state;
  begin(5);
  assert_int_equal(put(DAY), 200);
  struct key key = net_key(&net, HELLO);
  uint32_t owner = net_responsible(&net, &key);
  net_kill(&net, owner, false);
  net_run_for(&net, SEC(60));
  if (owner == 0) {
    end();
    fail_msg("another seed, please: the peer that is asked died");
  }
  assert_int_equal(put(3 * DAY), 200);
  net_restart(&net, owner); /* with the journal it had */
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  net_run_for(&net, SEC(400));
  assert_in_range(holders(HELLO, &expires), 3, 5);
  assert_int_equal(ask(HELLO, "get-immut", query_of(HELLO)), 200);
  for (uint32_t i = 0; i < net.at[owner].journal_count; i++)
    if (key_equal(&net.at[owner].journal[i].key, &key))
      assert_true(net.at[owner].journal[i].expires > net_wall(&net) + 2 * DAY);
  end();
}

int main(int argc, char **argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_put_and_get), cmocka_unit_test(test_again),
      cmocka_unit_test(test_refused),     cmocka_unit_test(test_life),
      cmocka_unit_test(test_commands),    cmocka_unit_test(test_meet),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
