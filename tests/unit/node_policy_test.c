/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may write what, through whole nodes: each cell of the table of docs/spec/6-trust.md,
 * by writes, by copies and by reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/succession.h"
#include "sim/record_model.h"
#include "support/world.h"
#include "usage/certificate.h"
#include "xml/body.h"

#define BOB "sip:bob@example.net"
#define BOB_PIN "certificate:bob@example.net"
#define CONTACT                                                  \
  "<contacts xmlns=\"urn:ietf:params:xml:ns:p2p-sip\"><contact>" \
  "sip:bob@192.0.2.4</contact></contacts>"
#define MINUTE ((msec_wall)60000)

static struct net net;
static struct endpoint asker;
static struct key one = {{1, 1}}, two = {{2, 2}}, stranger = {{3, 3}};
static unsigned number;
static char last[8192];

static void ring_of(unsigned count, enum node_policy policy) {
  net_open(&net, 3);
  net.latency_min_us = net.latency_max_us = MSEC(5);
  net.config.policy = policy;
  asker = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  for (unsigned i = 0; i < count; i++) net_add(&net, NULL, i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
}

static void end(void) { assert_true(net_close(&net)); }

static uint64_t refused_by_all(void) {
  uint64_t count = 0;
  for (uint32_t i = 0; i < net.count; i++)
    if (net_runs(&net, i)) count += node_stats(net.at[i].node).not_allowed;
  return count;
}

/* ---- records ---- */

struct what {
  const char *key;
  const struct key *owner;
  const char *value;        /* NULL: a removal */
  msec_wall since;          /* != 0: certificates */
  const struct key *by;     /* a removal of another's record: who signs */
  const struct key *before; /* who named the owner, and when */
  msec_wall named;
  uint64_t version;
};

static struct slice statement(const struct what *what) {
  static char plain_text[2048], text[4096];
  struct buf plain = buf_over(plain_text, sizeof plain_text), out = buf_over(text, sizeof text);
  char until_text[40];
  struct buf until = buf_over(until_text, sizeof until_text);
  if (what->before == NULL) return SLICE_EMPTY;
  xml_put_time(&until, net_wall(&net) + 60 * MINUTE);
  succession_put_unsigned(&plain, SLICE(BOB_PIN), buf_slice(&until), what->named * 256,
                          what->owner);
  assert_int_equal(record_model_sign(&net.crypto, what->before, buf_slice(&plain), &out), OK);
  return buf_slice(&out);
}

static struct slice write_record(const struct what *what, char *text, size_t room) {
  static char plain_text[8192];
  struct buf plain = buf_over(plain_text, sizeof plain_text), out = buf_over(text, room);
  msec_wall expires = net_wall(&net) + 60 * MINUTE;
  if (what->since != 0) {
    const struct certificate_new record = {.address = SLICE("bob@example.net"),
                                           .version = what->version,
                                           .since = what->since,
                                           .expires = expires,
                                           .signs = SLICE("one"),
                                           .receives = SLICE("two"),
                                           .before = statement(what)};
    certificate_put_record(&plain, &record);
  } else {
    const struct xml_record_new record = {
        .key_text = slice_cstr(what->key),
        .nonce = SLICE("n"),
        .expires = expires,
        .floor = expires,
        .version = what->version,
        .removed = what->value == NULL,
        .value = slice_cstr(what->value != NULL ? what->value : ""),
        .owner = what->by != NULL ? what->owner : NULL,
        .value_digest = what->value == NULL ? SLICE("2jmj7l5rSw0yVb/vlWAYkK/YBwk=") : SLICE_EMPTY};
    xml_put_record(&plain, &record);
  }
  const struct key *signer = what->by != NULL ? what->by : what->owner;
  assert_int_equal(record_model_sign(&net.crypto, signer, buf_slice(&plain), &out), OK);
  return buf_slice(&out);
}

/* ---- asking node 0 ---- */

static unsigned send_body(uint32_t node, const char *key, const char *parameter,
                          struct slice body) {
  static char text[16384];
  char hex[KEY_HEX + 1] = "", branch[40];
  struct key hash = key[0] == '=' ? net.at[node].config.id : net_key(&net, key);
  struct buf digits = buf_over(hex, KEY_HEX);
  key_put(&digits, &hash);
  number++;
  int n = snprintf(text, sizeof text,
                   "LOCSER sip:x@example.net SIP/2.0\r\n"
                   "Via: SIP/2.0/TCP 203.0.113.9:40001;branch=z9hG4bKp%u.\r\n"
                   "From: <sip:a@a.example>;tag=1\r\nTo: <sip:x@example.net>\r\n"
                   "Call-ID: p%u@a.example\r\nCSeq: 1 LOCSER\r\nMax-Forwards: 70\r\n"
                   "Overlay-Key: %s%s\r\nContent-Type: text/xml\r\nContent-Length: %u\r\n\r\n%.*s",
                   number, number, hex, parameter, (unsigned)body.len, SLICE_FMT(body));
  assert_in_range(n, 1, (int)sizeof text - 1);
  uint32_t flow = net_connect(&net, node, &asker);
  net_inject(&net, node, flow, &asker, slice_of(text, (size_t)n));
  snprintf(branch, sizeof branch, "branch=z9hG4bKp%u.", number);
  const struct net_letter *letter = net_answer(&net, branch, SEC(10));
  if (letter != NULL) snprintf(last, sizeof last, "%s", letter->text);
  return net_status(letter);
}

static unsigned put_at(uint32_t node, const struct what *what) {
  static char record[8192], body[8700];
  struct slice text = write_record(what, record, sizeof record);
  struct buf call = buf_over(body, sizeof body);
  bool removal = what->value == NULL && what->since == 0;
  xml_put_call(&call, removal ? XML_REMOVE_AUTH : XML_PUT_AUTH, &text, 1, NULL);
  return send_body(node, what->since != 0 ? BOB_PIN : what->key, "", buf_slice(&call));
}
#define PUT(...) put_at(0, &(struct what){.value = CONTACT, .version = ++number, __VA_ARGS__})
#define REMOVE(...) put_at(0, &(struct what){.version = ++number, __VA_ARGS__})
#define PIN(of, at) PUT(.owner = (of), .since = (at))

/* As a peer that pushes a copy. */
static unsigned push(uint32_t node, const struct what *what) {
  static char record[8192], body[8700];
  struct slice text = write_record(what, record, sizeof record);
  struct buf call = buf_over(body, sizeof body);
  struct xml_overlay self = {.present = true, .has_range = true};
  self.peer[self.peer_count++] =
      (struct xml_peer){.role = XML_PEER_SELF, .peer = {{{9}}, net_address(0), 1}};
  xml_put_call(&call, XML_OVERLAY_REPLICATE, &text, 1, &self);
  return send_body(node, "=", ";direct", buf_slice(&call));
}
#define PUSH(...) push(0, &(struct what){.value = CONTACT, .version = ++number, __VA_ARGS__})

static bool holds(uint32_t node, const char *key, const struct key *owner) {
  struct key hash = net_key(&net, key);
  for (unsigned i = 0; i < net.at[node].journal_count; i++) {
    const struct record *record = &net.at[node].journal[i];
    if (key_equal(&record->key, &hash) && key_equal(&record->owner, owner)) return true;
  }
  return false;
}

/* ---- the table ---- */

/* "any key" */
static void test_laboratory(void **state) {
  (void)state;
  ring_of(1, NODE_LABORATORY);
  assert_int_equal(PUT(.key = BOB, .owner = &one), 200);
  assert_int_equal(PUT(.key = BOB, .owner = &two), 200);
  assert_int_equal(PUT(.key = "presence:bob@example.net", .owner = &two), 200);
  assert_int_equal(PIN(&two, 1), 200);
  assert_int_equal(net_put(&net, 0, BOB, "sip:bob@192.0.2.7")->code, 200);
  assert_int_equal(refused_by_all(), 0);
  assert_int_equal(net.signatures, 1); /* no certificates are put */
  end();
}

/* first come; then nobody else. */
static void test_open_pins(void **state) {
  (void)state;
  ring_of(3, NODE_OPEN);
  static const char *const own[] = {BOB, "presence:bob@example.net", "private:bob@example.net"};
  msec_wall now = net_wall(&net);
  for (unsigned i = 0; i < 3; i++) assert_int_equal(PUT(.key = own[i], .owner = &one), 403);
  assert_non_null(strstr(last, "no key is pinned"));
  assert_int_equal(refused_by_all(), 3);
  assert_int_equal(PIN(&one, now - 10 * MINUTE), 403);
  assert_non_null(strstr(last, "5 minutes"));
  assert_int_equal(PIN(&one, now + 10 * MINUTE), 403);
  assert_int_equal(PIN(&one, now - 4 * MINUTE), 200);
  for (unsigned i = 0; i < 3; i++) {
    assert_int_equal(PUT(.key = own[i], .owner = &one), 200);
    assert_int_equal(PUT(.key = own[i], .owner = &two), 403);
    assert_non_null(strstr(last, "locser user grant"));
    assert_int_equal(REMOVE(.key = own[i], .owner = &two), 403);
  }
  assert_int_equal(PIN(&two, now), 403); /* a second pin, whatever its since */
  assert_int_equal(PIN(&two, now - 5 * MINUTE + 1), 403);
  assert_int_equal(PIN(&one, now - 4 * MINUTE - 1), 403);
  assert_int_equal(PIN(&one, now - 4 * MINUTE), 200); /* refreshed */
  for (unsigned i = 0; i < 3; i++) assert_int_equal(REMOVE(.key = own[i], .owner = &one), 200);
  end();
}

/* Inboxes and services are for any key; immutable values for none. */
static void test_open_others(void **state) {
  (void)state;
  ring_of(2, NODE_OPEN);
  static const char *const any[] = {"offline:bob@example.net", "subscribe:presence:bob@example.net",
                                    "stun"};
  for (unsigned i = 0; i < 3; i++) {
    assert_int_equal(PUT(.key = any[i], .owner = &one), 200);
    assert_int_equal(PUT(.key = any[i], .owner = &two), 200);
    assert_int_equal(REMOVE(.key = any[i], .owner = &two), 200);
  }
  assert_int_equal(refused_by_all(), 0);
  end();
}

/* the address's own key removes what others left for it, and nobody else does. */
static void test_own_inbox(void **state) {
  (void)state;
  ring_of(3, NODE_OPEN);
  static const char *const inbox = "offline:bob@example.net";
  assert_int_equal(PIN(&one, net_wall(&net)), 200);
  assert_int_equal(PUT(.key = inbox, .owner = &two), 200);
  assert_int_equal(REMOVE(.key = inbox, .owner = &two, .by = &stranger), 403);
  net_run_for(&net, SEC(2));
  unsigned there = 0, left = 0;
  for (uint32_t i = 0; i < 3; i++) there += holds(i, inbox, &two);
  assert_int_equal(there, 3);
  assert_int_equal(REMOVE(.key = inbox, .owner = &two, .by = &one), 200);
  net_run_for(&net, SEC(5));
  for (uint32_t i = 0; i < 3; i++) left += node_stats(net.at[i].node).tombstones;
  assert_int_equal(left, 3);
  assert_int_equal(PUT(.key = BOB, .owner = &one), 200); /* under no other key */
  assert_int_equal(REMOVE(.key = BOB, .owner = &one, .by = &two), 403);
  end();
}

/* */
static void test_open_hash(void **state) {
  (void)state;
  char hex[KEY_HEX + 1] = "", address[80];
  struct buf digits = buf_over(hex, KEY_HEX);
  key_put(&digits, &one);
  snprintf(address, sizeof address, "sip:%s@example.net", hex);
  ring_of(2, NODE_OPEN);
  assert_int_equal(PUT(.key = address, .owner = &two), 403);
  assert_int_equal(PUT(.key = address, .owner = &one), 200);
  assert_int_equal(net_get(&net, 1, address)->code, 200);
  end();
}

/* */
static void test_closed(void **state) {
  (void)state;
  ring_of(2, NODE_CLOSED);
  static const char *const keys[] = {BOB, "offline:bob@example.net", "stun"};
  for (unsigned i = 0; i < 3; i++) assert_int_equal(PUT(.key = keys[i], .owner = &one), 403);
  net.issued_names = "carol@example.net\nexample.org\n";
  assert_int_equal(PUT(.key = BOB, .owner = &one), 403);
  assert_non_null(strstr(last, "certificate in force"));
  assert_int_equal(PIN(&one, net_wall(&net)), 403);
  assert_int_equal(PUT(.key = keys[1], .owner = &one), 200);
  assert_int_equal(PUT(.key = keys[2], .owner = &one), 200);
  net.issued_names = "carol@example.net\nbob@example.net\n";
  assert_int_equal(PUT(.key = BOB, .owner = &one), 200);
  net.issued_names = "example.net\n";
  assert_int_equal(PUT(.key = BOB, .owner = &two), 200);
  assert_int_equal(PIN(&one, net_wall(&net)), 200);
  assert_int_equal(net_get(&net, 1, BOB)->code, 200);
  net.issued_names = NULL; /* revoked: what is held is not believed either */
  assert_int_equal(net_get(&net, 1, BOB)->code, 404);
  end();
}

/* ---- copies: R-6.35 ---- */

static void test_copies_are_judged(void **state) {
  (void)state;
  ring_of(1, NODE_OPEN);
  assert_int_equal(PIN(&one, net_wall(&net)), 200);
  assert_int_equal(PUT(.key = BOB, .owner = &one), 200); /* the pin is remembered now */
  assert_int_equal(PUSH(.key = BOB, .owner = &two), 200);
  net_run_for(&net, SEC(1));
  assert_false(holds(0, BOB, &two));
  assert_true(holds(0, BOB, &one));
  assert_int_equal(refused_by_all(), 1);
  assert_int_equal(PUSH(.owner = &two, .since = net_wall(&net)), 200); /* a later pin */
  net_run_for(&net, SEC(1));
  assert_false(holds(0, BOB_PIN, &two));
  end();
}

/* A copy of which nothing is known is taken; where there are two owners, the pin is looked up, and
 * what is not the pinned key's goes. */
static void test_smuggled_copy_goes(void **state) {
  (void)state;
  ring_of(1, NODE_OPEN);
  assert_int_equal(PIN(&one, net_wall(&net)), 200);
  assert_int_equal(PUSH(.key = BOB, .owner = &two), 200);
  assert_true(holds(0, BOB, &two));
  assert_int_equal(net_get(&net, 0, BOB)->code, 404); /* nobody acts on it */
  assert_true(refused_by_all() > 0);
  net_run_for(&net, SEC(1));
  assert_false(holds(0, BOB, &two));
  net_kill(&net, 0, false); /* nothing is remembered */
  net_restart(&net, 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  assert_int_equal(PUSH(.key = BOB, .owner = &one), 200);
  assert_int_equal(PUSH(.key = BOB, .owner = &two), 200);
  net_run_for(&net, SEC(1));
  assert_true(holds(0, BOB, &one));
  assert_false(holds(0, BOB, &two));
  end();
}

/* pins that were made apart meet as copies: the earlier one counts, everywhere. */
static void test_pins_meet(void **state) {
  (void)state;
  for (unsigned earlier_first = 0; earlier_first < 2; earlier_first++) {
    ring_of(1, NODE_OPEN);
    msec_wall now = net_wall(&net);
    const msec_wall since[2] = {now - 60 * MINUTE, now - 30 * MINUTE};
    const struct key *owner[2] = {&one, &two};
    for (unsigned i = 0; i < 2; i++) {
      unsigned which = i ^ !earlier_first;
      assert_int_equal(PUSH(.owner = owner[which], .since = since[which]), 200);
      net_run_for(&net, SEC(1));
    }
    assert_true(holds(0, BOB_PIN, &one));
    assert_false(holds(0, BOB_PIN, &two));
    assert_int_equal(PUT(.key = BOB, .owner = &two), 403);
    assert_int_equal(PUT(.key = BOB, .owner = &one), 200);
    end();
  }
}

/* ---- a key that follows another: to R-6.69 ---- */

#define FOLLOW(of, from, at) \
  PUT(.owner = (of), .since = (at), .before = (from), .named = net_wall(&net))

static void test_a_key_is_followed(void **state) {
  (void)state;
  struct key three = {{3, 3}};
  ring_of(3, NODE_OPEN);
  msec_wall since = net_wall(&net);
  assert_int_equal(PIN(&one, since), 200);
  assert_int_equal(PUT(.key = BOB, .owner = &one), 200);
  assert_int_equal(net_get(&net, 2, BOB)->code, 200); /* the pin is remembered all over */
  assert_int_equal(FOLLOW(&two, &three, since), 403); /* named by nobody who may */
  assert_int_equal(FOLLOW(&two, &one, since), 200);
  for (uint32_t i = 0; i < 3; i++) {
    assert_true(holds(i, BOB_PIN, &two));
    assert_false(holds(i, BOB_PIN, &one));
  }
  assert_int_equal(PUT(.key = BOB, .owner = &one), 403);
  assert_int_equal(PUT(.key = BOB, .owner = &two), 200);
  assert_int_equal(PIN(&one, since), 403);
  assert_int_equal(FOLLOW(&three, &one, since), 403); /* the old key names nobody any more */
  const struct net_reply *reply = net_get(&net, 2, BOB);
  assert_int_equal(reply->code, 200);
  assert_int_equal(reply->row_count, 1);
  assert_int_equal(FOLLOW(&three, &two, since), 200);
  assert_int_equal(PUT(.key = BOB, .owner = &two), 403);
  assert_int_equal(PUT(.key = BOB, .owner = &three), 200);
  end();
}

/* As copies: whatever the old key says later, and in whatever order they come. */
static void test_successions_meet(void **state) {
  (void)state;
  struct key three = {{3, 3}};
  for (unsigned order = 0; order < 6; order++) {
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    ring_of(1, NODE_OPEN);
    msec_wall since = net_wall(&net) - MINUTE;
    const struct what copies[3] = {
        {.owner = &one, .since = since, .version = number + 1},
        {.owner = &two, .since = since, .before = &one, .named = since + 10, .version = number + 2},
        {.owner = &three,
         .since = since,
         .before = &one,
         .named = since + 20,
         .version = number + 3}};
    number += 3;
    for (unsigned i = 0; i < 3; i++) {
      assert_int_equal(push(0, &copies[orders[order][i]]), 200);
      net_run_for(&net, SEC(1));
    }
    assert_true(holds(0, BOB_PIN, &two));
    assert_false(holds(0, BOB_PIN, &one));
    assert_false(holds(0, BOB_PIN, &three));
    assert_int_equal(PUT(.key = BOB, .owner = &two), 200);
    assert_int_equal(PUT(.key = BOB, .owner = &one), 403);
    end();
  }
}

/* A home whose key was changed: it says so when it is asked to, or at the next refusal. */
static void test_a_home_goes_on_with_a_new_key(void **state) {
  (void)state;
  for (unsigned told = 0; told < 2; told++) {
    ring_of(3, NODE_OPEN);
    assert_int_equal(net_put(&net, 1, BOB, "sip:bob@192.0.2.4")->code, 200);
    struct key next = net_succeed(&net, 1, SLICE(BOB));
    const struct node_command publish = {.kind = COMMAND_PUBLISH, .uri = SLICE(BOB)};
    if (told == 1) assert_int_equal(net_command(&net, 1, &publish, SEC(20))->code, 200);
    if (told == 0) {
      assert_int_equal(net_put(&net, 1, BOB, "sip:bob@192.0.2.5")->code, 403);
      net_run_for(&net, SEC(5));
    }
    for (uint32_t i = 0; i < 3; i++) assert_true(holds(i, BOB_PIN, &next));
    assert_int_equal(net_put(&net, 1, BOB, "sip:bob@192.0.2.5")->code, 200);
    assert_int_equal(net_get(&net, 2, BOB)->row_count, 1); /* what the old key wrote is nobody's */
    end();
  }
}

/* ---- the pin cannot be reached ---- */

static void test_pin_unreachable(void **state) {
  (void)state;
  net_open(&net, 3);
  net.latency_min_us = net.latency_max_us = MSEC(5);
  net.config.policy = NODE_OPEN;
  net.config.limits.operations_max = 1;
  asker = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  struct key sip = net_key(&net, BOB), pin = net_key(&net, BOB_PIN);
  net_add(&net, &sip, NET_NONE); /* each is responsible for one of the two */
  net_add(&net, &pin, 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  assert_int_equal(PIN(&one, net_wall(&net)), 200);
  net.latency_min_us = net.latency_max_us = SEC(1);
  /* the one request that this peer may have under way */
  net_ask(&net, 0, &(struct node_command){.kind = COMMAND_LOOKUP, .uri = SLICE(BOB_PIN)});
  assert_int_equal(PUT(.key = BOB, .owner = &one), 503);
  assert_non_null(strstr(last, "cannot be reached"));
  assert_int_equal(refused_by_all(), 0);
  net.latency_min_us = net.latency_max_us = MSEC(5);
  net_run_for(&net, SEC(60));
  assert_int_equal(PUT(.key = BOB, .owner = &one), 200);
  end();
}

/* a verifier that cannot say anything refuses nothing. */
static void test_a_busy_verifier(void **state) {
  (void)state;
  ring_of(1, NODE_OPEN);
  assert_int_equal(PIN(&one, net_wall(&net)), 200);
  assert_int_equal(PUT(.key = BOB, .owner = &one), 200);
  net.verifier_busy = true;
  assert_int_equal(PUT(.key = BOB, .owner = &one), 503);
  assert_non_null(strstr(last, "\r\nRetry-After: "));
  assert_int_equal(net_get(&net, 0, BOB)->code, 503);
  assert_int_equal(PUSH(.key = BOB, .owner = &one), 503); /* a copy is not acknowledged */
  net.verifier_busy = false;
  assert_int_equal(refused_by_all(), 0);
  assert_int_equal(PUT(.key = BOB, .owner = &one), 200);
  assert_int_equal(net_get(&net, 0, BOB)->code, 200);
  end();
}

/* ---- homes ---- */

static unsigned certificates_in_pin(void) {
  struct key hash = net_key(&net, BOB_PIN);
  unsigned count = 0;
  for (unsigned i = 0; i < net.at[0].journal_count; i++) {
    struct slice rest = net.at[0].journal[i].bytes;
    if (!key_equal(&net.at[0].journal[i].key, &hash)) continue;
    rest = slice_first(rest, slice_find(rest, SLICE("<Signature")));
    for (;;) {
      size_t at = slice_find(rest, SLICE("<X509Certificate>"));
      if (at == rest.len) return count;
      rest = slice_skip(rest, at + 1);
      count++;
    }
  }
  return count;
}

/* who comes first has the address; another home has not, and says what to do. */
static void test_two_homes(void **state) {
  (void)state;
  ring_of(3, NODE_OPEN);
  struct key mine = net_owner(&net, 1, SLICE(BOB));
  assert_int_equal(net_put(&net, 1, BOB, "sip:bob@192.0.2.4")->code, 200);
  for (uint32_t i = 0; i < 3; i++) assert_true(holds(i, BOB_PIN, &mine));
  const struct net_reply *reply = net_put(&net, 2, BOB, "sip:bob@192.0.2.5");
  assert_int_equal(reply->code, 403);
  assert_non_null(strstr(reply->text, "locser user grant"));
  assert_int_equal(net_put(&net, 1, BOB, "sip:bob@192.0.2.6")->code, 200);
  reply = net_get(&net, 2, BOB);
  assert_int_equal(reply->code, 200);
  assert_int_equal(reply->row_count, 2);
  uint64_t before = net.signatures;
  assert_int_equal(net_put(&net, 1, BOB, "sip:bob@192.0.2.7")->code, 200);
  assert_int_equal(net.signatures, before + 1); /* certificates are not put again */
  end();
}

/* The ring lost the pin: the next put of a contact puts it again. */
static void test_a_lost_pin_is_put_again(void **state) {
  (void)state;
  ring_of(2, NODE_OPEN);
  struct key mine = net_owner(&net, 0, SLICE(BOB));
  assert_int_equal(net_put(&net, 0, BOB, "sip:bob@192.0.2.4")->code, 200);
  for (uint32_t i = 0; i < 2; i++) {
    net_kill(&net, i, false);
    unsigned kept = 0;
    for (unsigned k = 0; k < net.at[i].journal_count; k++)
      if (!net.at[i].journal[k].lasting)
        net.at[i].journal[kept++] = net.at[i].journal[k];
      else
        free((void *)(uintptr_t)net.at[i].journal[k].bytes.at);
    net.at[i].journal_count = kept;
  }
  for (uint32_t i = 0; i < 2; i++) net_restart(&net, i);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  assert_false(holds(0, BOB_PIN, &mine));
  assert_int_equal(net_get(&net, 1, BOB)->code, 404);
  assert_int_equal(net_put(&net, 0, BOB, "sip:bob@192.0.2.5")->code, 200);
  assert_true(holds(0, BOB_PIN, &mine));
  assert_int_equal(net_get(&net, 1, BOB)->row_count, 2);
  end();
}

/* The second key may come later; the record then has both certificates. */
static void test_second_certificate(void **state) {
  (void)state;
  ring_of(2, NODE_OPEN);
  net.one_certificate = true;
  assert_int_equal(net_put(&net, 0, BOB, "sip:bob@192.0.2.4")->code, 200);
  assert_int_equal(certificates_in_pin(), 1);
  net.one_certificate = false;
  net_step(&net, 0, &(struct input){.kind = IN_USER, .data = SLICE(BOB)});
  net_run_for(&net, SEC(5));
  assert_int_equal(certificates_in_pin(), 2);
  uint64_t before = net.signatures;
  net_step(&net, 0, &(struct input){.kind = IN_USER, .data = SLICE(BOB)});
  net_run_for(&net, SEC(5));
  assert_true(net.signatures <= before + 1); /* asked for, and nothing is new */
  end();
}

/* Replays: of an older version, and of a removal. */
static void test_replays(void **state) {
  (void)state;
  ring_of(1, NODE_OPEN);
  assert_int_equal(PIN(&one, net_wall(&net)), 200);
  struct what put = {.key = BOB, .owner = &one, .value = CONTACT, .version = 1000};
  struct what removal = {.key = BOB, .owner = &one, .version = 1001};
  assert_int_equal(put_at(0, &put), 200);
  assert_int_equal(put_at(0, &removal), 200);
  assert_int_equal(put_at(0, &put), 412);
  put.version = 2000;
  assert_int_equal(put_at(0, &put), 200);
  assert_int_equal(put_at(0, &removal), 412);
  assert_int_equal(net_get(&net, 0, BOB)->code, 200);
  end();
}

static unsigned pins_asked;
static void note_pin_asked(struct net *w, uint32_t node, const struct output *out) {
  (void)w;
  struct slice key = SLICE("<methodName>get<"), pin = SLICE(">" BOB_PIN "<");
  bool asks = slice_starts(out->data, SLICE("LOCSER ")) &&
              slice_find(out->data, key) < out->data.len &&
              slice_find(out->data, pin) < out->data.len;
  if (node == 0 && asks) pins_asked++;
}

/* each is responsible for one of the two, so that the judge must ask for the pin. */
static void test_a_pin_is_remembered_for_5_minutes(void **state) {
  (void)state;
  net_open(&net, 3);
  net.latency_min_us = net.latency_max_us = MSEC(5);
  net.config.policy = NODE_OPEN;
  asker = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  struct key sip = net_key(&net, BOB), pin = net_key(&net, BOB_PIN);
  net_add(&net, &sip, NET_NONE);
  net_add(&net, &pin, 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  net.on_send = note_pin_asked;
  pins_asked = 0;
  for (unsigned i = 1; i <= 3; i++) { /* that there is none is not remembered */
    assert_int_equal(PUT(.key = BOB, .owner = &one), 403);
    assert_int_equal(pins_asked, i);
  }
  assert_int_equal(PIN(&one, net_wall(&net)), 200);
  pins_asked = 0;
  usec asked_at = net.now;
  assert_int_equal(PUT(.key = BOB, .owner = &one), 200);
  assert_int_equal(pins_asked, 1);
  while (net.now < asked_at + SEC(299)) {
    assert_int_equal(PUT(.key = BOB, .owner = &one), 200);
    net_run_for(&net, SEC(20));
  }
  assert_int_equal(pins_asked, 1);
  net_run_until(&net, asked_at + SEC(301));
  assert_int_equal(PUT(.key = BOB, .owner = &one), 200);
  assert_int_equal(pins_asked, 2);
  end();
}

/* One address whose pin many ask for at once: each is told, in steps that stay in their bounds. */
static void test_many_wait_for_one_pin(void **state) {
  (void)state;
  ring_of(2, NODE_OPEN);
  uint64_t ticket[60];
  char contact[60][32];
  for (unsigned i = 0; i < 60; i++) {
    snprintf(contact[i], sizeof contact[i], "sip:bob@192.0.2.%u", i % 30);
    ticket[i] =
        net_ask(&net, 0,
                &(struct node_command){
                    .kind = COMMAND_PUT, .uri = SLICE(BOB), .contact = slice_cstr(contact[i])});
  }
  net_run_for(&net, SEC(10));
  for (unsigned i = 0; i < 60; i++) {
    const struct net_reply *reply = net_reply_of(&net, ticket[i]);
    assert_true(reply->done);
    assert_true(reply->code == 200 || reply->code == 412);
  }
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_laboratory),
      cmocka_unit_test(test_open_pins),
      cmocka_unit_test(test_open_others),
      cmocka_unit_test(test_own_inbox),
      cmocka_unit_test(test_open_hash),
      cmocka_unit_test(test_closed),
      cmocka_unit_test(test_copies_are_judged),
      cmocka_unit_test(test_smuggled_copy_goes),
      cmocka_unit_test(test_pins_meet),
      cmocka_unit_test(test_a_key_is_followed),
      cmocka_unit_test(test_successions_meet),
      cmocka_unit_test(test_a_home_goes_on_with_a_new_key),
      cmocka_unit_test(test_pin_unreachable),
      cmocka_unit_test(test_a_busy_verifier),
      cmocka_unit_test(test_two_homes),
      cmocka_unit_test(test_a_lost_pin_is_put_again),
      cmocka_unit_test(test_second_certificate),
      cmocka_unit_test(test_replays),
      cmocka_unit_test(test_a_pin_is_remembered_for_5_minutes),
      cmocka_unit_test(test_many_wait_for_one_pin),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
