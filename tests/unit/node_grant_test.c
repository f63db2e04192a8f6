/* SPDX-License-Identifier: BSD-2-Clause */
/* A user's keys at several peers, through whole nodes with the model of keys. With
 * real ones: tests/system/grant_test.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/peer.h"
#include "support/world.h"

#define BOB "sip:bob@example.net"
#define PRIVATE "private:bob@example.net"

static struct net net;

static void ring_of(unsigned count, enum node_policy policy) {
  net_open(&net, 5);
  net.latency_min_us = net.latency_max_us = MSEC(5);
  net.config.policy = policy;
  for (unsigned i = 0; i < count; i++) net_add(&net, NULL, i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
}

static void end(void) { assert_true(net_close(&net)); }

/* Bob's contact at that node. */
static unsigned put(uint32_t i) {
  char contact[64];
  snprintf(contact, sizeof contact, "sip:bob@192.0.2.%u", i + 1);
  return net_put(&net, i, BOB, contact)->code;
}

static const struct net_reply *fetch(uint32_t i, const char *key) {
  const struct node_command command = {.kind = COMMAND_FETCH, .uri = slice_cstr(key)};
  return net_command(&net, i, &command, SEC(20));
}

static const char *certificate_key(uint32_t i, char out[80]) {
  struct buf text = buf_over(out, 80);
  buf_put_cstr(&text, "certificate:");
  key_put(&text, &net.at[i].config.id);
  buf_put_cstr(&text, PEER_USER_DOMAIN);
  buf_put_char(&text, '\0');
  return out;
}

/* A value for these two, stored by node `by`. */
static unsigned grant(uint32_t by, uint32_t a, uint32_t b) {
  char text[160];
  struct buf value = buf_over(text, sizeof text);
  buf_put_cstr(&value, "<a xmlns=\"urn:x\">");
  key_put(&value, &net.at[a].config.id);
  buf_put_char(&value, ' ');
  key_put(&value, &net.at[b].config.id);
  buf_put_cstr(&value, "</a>");
  const struct node_command command = {
      .kind = COMMAND_STORE, .uri = SLICE(PRIVATE), .value = buf_slice(&value)};
  return net_command(&net, by, &command, SEC(20))->code;
}

static void test_without_a_grant_it_is_403(void **state) {
  (void)state;
  char key[80];
  ring_of(5, NODE_OPEN);
  assert_int_equal(put(0), 200);
  assert_int_equal(put(1), 403);
  assert_non_null(strstr(net_put(&net, 1, BOB, "sip:bob@192.0.2.9")->text, "grant"));
  net_run_for(&net, SEC(5)); /* and it says how to encrypt to it, so that a grant can be made */
  const struct net_reply *reply = fetch(0, certificate_key(1, key));
  assert_int_equal(reply->code, 200);
  assert_int_equal(reply->row_count, 1);
  assert_true(key_equal(&reply->row[0].key, &net.at[1].config.id));
  assert_true(reply->row[0].text2.len > 0);
  end();
}

static void test_who_was_granted_goes_on(void **state) {
  (void)state;
  ring_of(5, NODE_OPEN);
  assert_int_equal(put(0), 200);
  assert_int_equal(grant(0, 0, 1), 200);
  assert_int_equal(put(1), 200);
  assert_int_equal(put(2), 403);
  assert_int_equal(grant(1, 1, 2), 200); /* who was granted may grant: one record, the newest */
  assert_int_equal(put(2), 200);
  assert_int_equal(put(3), 403);
  const struct net_reply *reply = fetch(4, PRIVATE);
  assert_int_equal(reply->row_count, 1);
  reply = net_get(&net, 4, BOB);
  assert_true(net_has_contact(reply, "sip:bob@192.0.2.1"));
  assert_true(net_has_contact(reply, "sip:bob@192.0.2.2"));
  assert_true(net_has_contact(reply, "sip:bob@192.0.2.3"));
  end();
}

/* Another's record under the address is nobody's grant. */
static void test_a_grant_by_another_is_refused(void **state) {
  (void)state;
  ring_of(5, NODE_OPEN);
  assert_int_equal(put(0), 200);
  assert_int_equal(grant(3, 1, 3), 403);
  assert_int_equal(put(1), 403);
  assert_int_equal(fetch(4, PRIVATE)->code, 404);
  end();
}

/* In a closed overlay the CA's word counts, not who came first. */
static void test_in_a_closed_overlay(void **state) {
  (void)state;
  ring_of(3, NODE_CLOSED);
  net.issued_names = "bob@example.net\n";
  assert_int_equal(put(0), 200);
  assert_int_equal(put(1), 200);
  net.issued_names = NULL;
  assert_int_equal(put(2), 403);
  end();
}

static void test_what_is_stored(void **state) {
  (void)state;
  ring_of(2, NODE_OPEN);
  const struct node_command bad[] = {
      {.kind = COMMAND_STORE, .uri = SLICE(BOB), .value = SLICE("<a></a>")},
      {.kind = COMMAND_STORE, .uri = SLICE(PRIVATE), .value = SLICE("")}};
  for (unsigned i = 0; i < 2; i++)
    assert_int_equal(net_command(&net, 0, &bad[i], SEC(20))->code, 400);
  const struct node_command publish = {.kind = COMMAND_PUBLISH};
  for (unsigned i = 0; i < 2; i++) { /* at whichever of the two it is kept; and once more */
    assert_int_equal(net_command(&net, i, &publish, SEC(20))->code, 200);
    assert_int_equal(net_command(&net, i, &publish, SEC(20))->code, 200);
  }
  end();
}

/* What is written here without having been asked for must not count among what is asked for. */
static void test_pins_learnt_do_not_count_as_asked_for(void **state) {
  (void)state;
  ring_of(3, NODE_OPEN);
  const struct node_command publish = {.kind = COMMAND_PUBLISH};
  for (unsigned i = 0; i < 3; i++) assert_int_equal(put(0), 200);
  for (uint32_t i = 0; i < 3; i++) {
    char uri[64];
    assert_int_equal(net_command(&net, i, &publish, SEC(20))->code, 200);
    for (unsigned k = 0; k < 4; k++) {
      snprintf(uri, sizeof uri, "sip:u%u-%u@example.net", i, k);
      assert_int_equal(net_put(&net, i, uri, "sip:u@192.0.2.7")->code, 200);
    }
  }
  end();
}

/* phones of a new address at one peer at the same moment. Keys take as long as a busy pool
 * of threads needs, so what was begun first may end last. */
static void test_phones_of_a_new_address_at_once(void **state) {
  (void)state;
  ring_of(5, NODE_OPEN);
  for (unsigned i = 0; i < 10; i++) {
    char uri[64];
    uint64_t ticket[3];
    snprintf(uri, sizeof uri, "sip:new%u@example.net", i);
    for (unsigned k = 0; k < 3; k++) {
      char contact[64];
      snprintf(contact, sizeof contact, "sip:phone%u@192.0.2.7", k);
      const struct node_command command = {
          .kind = COMMAND_PUT, .uri = slice_cstr(uri), .contact = slice_cstr(contact)};
      ticket[k] = net_ask(&net, 0, &command);
      net.keys_us = MSEC(60 - 25 * k);
      net_run_for(&net, MSEC(5 + 2 * i));
    }
    for (unsigned ms = 0; ms < 400; ms++) {
      net.keys_us = MSEC(1 + (ms + i) * 7 % 40);
      net_run_for(&net, MSEC(1));
    }
    net_run_for(&net, SEC(8));
    for (unsigned k = 0; k < 3; k++) {
      const struct net_reply *reply = net_reply_of(&net, ticket[k]);
      if (!reply->done || reply->code != 200)
        fail_msg("address %u, phone %u: %u %s", i, k, reply->code, reply->text);
    }
  }
  end();
}

/* Nodes 1 to 3 keep Bob's pin, node 0 his grants; 4 is his home. */
static void ring_apart(void) {
  struct key at[6];
  net_open(&net, 5);
  net.latency_min_us = net.latency_max_us = MSEC(5);
  net.config.policy = NODE_OPEN;
  at[0] = net_key(&net, PRIVATE);
  at[1] = net_key(&net, "certificate:bob@example.net");
  for (unsigned i = 2; i < 5; i++) at[i] = key_add_power(&at[i - 1], 0);
  at[5] = key_add_power(&at[0], 0);
  for (unsigned i = 0; i < 6; i++) net_add(&net, &at[i], i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
}

static struct key change_key(void) {
  struct key next = net_succeed(&net, 4, SLICE(BOB));
  const struct node_command publish = {.kind = COMMAND_PUBLISH, .uri = SLICE(BOB)};
  assert_int_equal(net_command(&net, 4, &publish, SEC(20))->code, 200);
  return next;
}

/* who judges asked for the pin a moment ago, holds none, and so has not heard that
 * the address has a new key. Whose key it is waits; anybody else is refused at once. */
static void test_a_new_key_that_few_know(void **state) {
  (void)state;
  ring_apart();
  assert_int_equal(put(4), 200);
  assert_int_equal(grant(4, 4, 2), 200);
  (void)change_key();
  usec begin = net.now;
  assert_int_equal(grant(3, 3, 4), 403);
  assert_true(net.now < begin + SEC(1));
  assert_int_equal(grant(4, 4, 3), 200);
  assert_true(net.now < begin + SEC(7));
  assert_int_equal(put(4), 200);
  end();
}

/* The same of a contact, which the home puts by itself. */
static void test_a_contact_under_a_new_key(void **state) {
  (void)state;
  ring_apart();
  assert_int_equal(put(4), 200);
  (void)change_key();
  assert_int_equal(put(4), 200);
  end();
}

/* Who was refused remembers the key that was pinned then; a grant of the next one is found. */
static void test_a_grant_of_a_new_key(void **state) {
  (void)state;
  for (unsigned wait_s = 0; wait_s < 20; wait_s += 10) {
    ring_apart();
    assert_int_equal(put(4), 200);
    assert_int_equal(put(5), 403);
    (void)change_key();
    assert_int_equal(grant(4, 4, 5), 200);
    net_run_for(&net, SEC(wait_s));
    assert_int_equal(put(5), 200);
    end();
  }
}

static bool holds(uint32_t i, const char *key_text, const struct key *owner) {
  struct key key = net_key(&net, key_text);
  for (unsigned k = 0; k < net.at[i].journal_count; k++) {
    const struct record *record = &net.at[i].journal[k];
    if (key_equal(&record->key, &key) && key_equal(&record->owner, owner)) return true;
  }
  return false;
}

/* nor does who keeps copies count on the key that was pinned once. */
static void test_copies_under_a_new_key(void **state) {
  (void)state;
  ring_apart();
  assert_int_equal(put(4), 200);
  assert_int_equal(put(5), 403);
  struct key next = change_key();
  net_run_for(&net, SEC(6));
  assert_int_equal(grant(4, 4, 5), 200);
  net_run_for(&net, SEC(10));
  assert_true(holds(0, PRIVATE, &next));
  assert_true(holds(5, PRIVATE, &next));
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_without_a_grant_it_is_403),
      cmocka_unit_test(test_who_was_granted_goes_on),
      cmocka_unit_test(test_a_grant_by_another_is_refused),
      cmocka_unit_test(test_in_a_closed_overlay),
      cmocka_unit_test(test_what_is_stored),
      cmocka_unit_test(test_pins_learnt_do_not_count_as_asked_for),
      cmocka_unit_test(test_phones_of_a_new_address_at_once),
      cmocka_unit_test(test_a_new_key_that_few_know),
      cmocka_unit_test(test_a_contact_under_a_new_key),
      cmocka_unit_test(test_a_grant_of_a_new_key),
      cmocka_unit_test(test_copies_under_a_new_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
