/* SPDX-License-Identifier: BSD-2-Clause */
/* Which version a put has, whatever the clock, and that a record is what its own bytes say
 * (R-4.12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/records.h"
#include "support/world.h"

#define BOB "sip:bob@example.net"
#define CONTACT "sip:bob@192.0.2.4"
#define OTHER_CONTACT "sip:bob@198.51.100.7"
#define UNTIL "2026-05-03T12:00:00.000Z"

static struct net net;

static void begin(void) {
  net_open(&net, 1);
  net_add(&net, NULL, NET_NONE);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
}

static uint64_t stored_version(void) {
  assert_int_equal(net.at[0].journal_count, 1);
  return net.at[0].journal[0].version;
}

static void test_version_follows_the_clock_and_outdoes_what_was_seen(void **state) {
  (void)state;
  begin();
  msec_wall before = net_wall(&net);
  assert_int_equal(net_put(&net, 0, BOB, CONTACT)->code, 200);
  uint64_t first = stored_version();
  assert_in_range(first, before * 256, net_wall(&net) * 256);
  net_step(&net, 0, &(struct input){.kind = IN_CLOCK, .wall = net_wall(&net) - 60000});
  assert_int_equal(net_put(&net, 0, BOB, CONTACT)->code, 200);
  assert_int_equal(stored_version(), first + 256);
  assert_true(net_close(&net));
}

/* What stands around the record names somebody else, and other numbers. */
static void test_a_record_is_what_its_bytes_say(void **state) {
  static char message[8192];
  char body[4096], hex[KEY_HEX + 1] = "";
  struct buf out = buf_over(hex, KEY_HEX);
  (void)state;
  begin();
  struct key bob = net_key(&net, BOB), owner;
  key_put(&out, &bob);
  int len =
      snprintf(body, sizeof body,
               "<methodCall o:version=\"9\" xmlns:o=\"urn:ietf:params:xml:ns:p2p-sip:overlay\" "
               "expires=\"2026-05-02T00:00:00.000Z\"><methodName>put</methodName><params "
               "nonce=\"other\"><param><o:owner>00</o:owner></param><param>%s</param></params>"
               "</methodCall>",
               TEST_RECORD(BOB, UNTIL, "n", UNTIL, "5", "<a></a>"));
  test_sign_records(&net.crypto, body, (size_t)len);
  int all = snprintf(message, sizeof message,
                     "LOCSER sip:carol@example.net SIP/2.0\r\nVia: SIP/2.0/TCP 203.0.113.9:40001;"
                     "branch=z9hG4bKv\r\nFrom: <sip:eve@a.example>;tag=1\r\n"
                     "To: <sip:carol@example.net>\r\nCall-ID: v\r\nCSeq: 1 LOCSER\r\n"
                     "Max-Forwards: 70\r\nContact: <sip:eve@192.0.2.66>\r\nExpires: 1\r\n"
                     "Overlay-Key: %s\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s",
                     hex, len, body);
  struct endpoint from = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  net_inject(&net, 0, net_connect(&net, 0, &from), &from, slice_of(message, (size_t)all));
  net_run_for(&net, SEC(5));
  assert_non_null(net_take(&net, "SIP/2.0 200", ""));
  assert_int_equal(stored_version(), 5);
  const struct record *record = &net.at[0].journal[0];
  assert_true(key_parse(SLICE(TEST_OWNER), &owner));
  assert_true(key_equal(&record->key, &bob) && key_equal(&record->owner, &owner));
  struct key nonce = net_key(&net, "n");
  assert_true(key_equal(&record->nonce, &nonce));
  assert_true(record->expires == record->floor && record->expires > net_wall(&net) + 86400000);
  assert_true(net_close(&net));
}

static bool is_cut_off(struct net *w, uint32_t node, const struct input *message) {
  (void)w, (void)message;
  return node == 0;
}

static const struct net_reply *removes(uint32_t node) {
  return net_command(
      &net, node,
      &(struct node_command){.kind = COMMAND_REMOVE, .uri = SLICE(BOB), .contact = SLICE(CONTACT)},
      SEC(20));
}

enum elsewhere { NOTHING, THE_CONTACT, ANOTHER_CONTACT };

/* what this peer alone has, from while it was cut off, does not outlive its removal. */
static void removal_after_a_split(enum elsewhere has) {
  net_open(&net, 1);
  for (unsigned i = 0; i < 3; i++) net_add(&net, NULL, i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  if (has != NOTHING) {
    const char *contact = has == THE_CONTACT ? CONTACT : OTHER_CONTACT;
    assert_int_equal(net_put(&net, 0, BOB, contact)->code, 200);
  }
  net.on_hear = is_cut_off;
  net_run_for(&net, SEC(10));
  assert_int_equal(net_put(&net, 0, BOB, CONTACT)->code, 200);
  net.on_hear = NULL;
  assert_true(net_run_while(&net, net_is_ready, MSEC(20), SEC(60)));
  assert_int_equal(removes(0)->code, 200);
  net_run_for(&net, SEC(60));
  for (uint32_t i = 0; i < 3; i++) {
    const struct net_reply *left = net_get(&net, i, BOB);
    assert_int_equal(left->code, has == ANOTHER_CONTACT ? 200 : 404);
    assert_false(net_has_contact(left, CONTACT));
  }
  assert_true(net_close(&net));
}

static void test_removal_after_a_split(void **state) {
  (void)state;
  removal_after_a_split(NOTHING);
  removal_after_a_split(THE_CONTACT);
  removal_after_a_split(ANOTHER_CONTACT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_version_follows_the_clock_and_outdoes_what_was_seen),
      cmocka_unit_test(test_a_record_is_what_its_bytes_say),
      cmocka_unit_test(test_removal_after_a_split),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
