/* SPDX-License-Identifier: BSD-2-Clause */
/* A second look finds what the responsible peer hides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/world.h"

#define NODES 10u
#define ADDRESS "sip:bob@example.net"
#define CONTACT "sip:bob@192.0.2.4"

static struct net net;
static uint32_t place[3]; /* responsible, and its replicas */
static bool lies[NODES];
static unsigned direct_gets;

static bool has(struct slice text, const char *word) {
  return slice_find(text, slice_cstr(word)) < text.len;
}

/* A get is answered 404 in the place of the peer that holds the record. */
static bool lie(struct net *in, uint32_t i, const struct input *input) {
  static const char *const names[] = {"Via:", "From:", "To:", "Call-ID:", "CSeq:"};
  struct slice text = input->data;
  if (!slice_starts(text, SLICE("LOCSER ")) || !has(text, "<methodName>get<")) return false;
  direct_gets += has(text, ";direct");
  if (!lies[i]) return false;
  char answer[4096];
  struct buf out = buf_over(answer, sizeof answer);
  buf_put_cstr(&out, "SIP/2.0 404 Not Found\r\n");
  for (struct slice rest = text; rest.len > 2;) {
    size_t end = slice_find_byte(rest, '\n') + 1;
    struct slice line = slice_first(rest, end);
    rest = slice_skip(rest, end);
    for (unsigned k = 0; k < 5 && line.len > 2; k++)
      if (slice_starts(line, slice_cstr(names[k]))) buf_put(&out, line);
    if (line.len <= 2) break;
  }
  buf_put_cstr(&out, "Content-Length: 0\r\n\r\n");
  net_say(in, i, input->flow, buf_slice(&out));
  return true;
}

static uint32_t next_of(const struct key *key) {
  struct key after = key_successor(key);
  return net_responsible(&net, &after);
}

static void begin(enum node_wary wary) {
  net_open(&net, 5);
  memset(lies, 0, sizeof lies);
  net.config.successors = 2; /* not a small ring */
  net.config.peer_transport = TRANSPORT_TLS;
  net.config.wary = wary;
  for (unsigned i = 0; i < NODES; i++) {
    struct key id = {{(uint8_t)(i * 25 + 3), 1}};
    net_add(&net, &id, i == 0 ? NET_NONE : 0);
    net_run_for(&net, SEC(1));
  }
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  struct key key = net_key(&net, ADDRESS);
  place[0] = net_responsible(&net, &key);
  for (unsigned i = 1; i < 3; i++) place[i] = next_of(&net.at[place[i - 1]].config.id);
  assert_int_equal(net_put(&net, 0, ADDRESS, CONTACT)->code, 200);
  net_run_for(&net, SEC(20));
  direct_gets = 0;
  net.on_hear = lie;
}

/* By somebody who holds no copy and is not the next hop before the key. */
static const struct net_reply *get(const char *address) {
  uint32_t asker = next_of(&net.at[next_of(&net.at[place[2]].config.id)].config.id);
  return net_get(&net, asker, address);
}

static void test_a_404_is_looked_at_again(void **state) {
  (void)state;
  begin(NODE_LOOKS_AGAIN);
  lies[place[0]] = true;
  const struct net_reply *reply = get(ADDRESS);
  assert_int_equal(reply->code, 200);
  assert_true(net_has_contact(reply, CONTACT));
  assert_true(direct_gets > 0);
  assert_true(net_close(&net));
}

static void test_two_holders_lie(void **state) {
  (void)state;
  begin(NODE_LOOKS_AGAIN);
  lies[place[0]] = lies[place[1]] = true;
  assert_int_equal(get(ADDRESS)->code, 200);
  assert_true(net_close(&net));
}

static void test_who_trusts_is_deceived(void **state) {
  (void)state;
  begin(NODE_TRUSTS);
  lies[place[0]] = true;
  assert_int_equal(get(ADDRESS)->code, 404);
  assert_int_equal(direct_gets, 0);
  assert_true(net_close(&net));
}

/* The normal case costs nothing. */
static void test_a_right_answer_is_not_looked_at(void **state) {
  (void)state;
  begin(NODE_LOOKS_AGAIN);
  assert_int_equal(get(ADDRESS)->code, 200);
  assert_int_equal(direct_gets, 0);
  assert_true(net_close(&net));
}

static void test_each_read_is_looked_at(void **state) {
  (void)state;
  begin(NODE_LOOKS_ALWAYS);
  assert_int_equal(get(ADDRESS)->code, 200);
  assert_true(direct_gets >= 3);
  assert_true(net_close(&net));
}

static void test_nobody_is_nobody(void **state) {
  (void)state;
  begin(NODE_LOOKS_AGAIN);
  assert_int_equal(get("sip:nobody@example.net")->code, 404);
  assert_in_range(direct_gets, 1, 9);
  assert_true(net_close(&net));
}

/* What was removed stays so: holders say that it was, too. */
static void test_removed_is_removed(void **state) {
  (void)state;
  begin(NODE_LOOKS_AGAIN);
  const struct node_command remove = {
      .kind = COMMAND_REMOVE, .uri = SLICE(ADDRESS), .contact = SLICE(CONTACT)};
  assert_int_equal(net_command(&net, 0, &remove, SEC(10))->code, 200);
  net_run_for(&net, SEC(5));
  assert_int_equal(get(ADDRESS)->code, 404);
  assert_true(direct_gets > 0);
  assert_true(net_close(&net));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_404_is_looked_at_again),
      cmocka_unit_test(test_two_holders_lie),
      cmocka_unit_test(test_who_trusts_is_deceived),
      cmocka_unit_test(test_a_right_answer_is_not_looked_at),
      cmocka_unit_test(test_each_read_is_looked_at),
      cmocka_unit_test(test_nobody_is_nobody),
      cmocka_unit_test(test_removed_is_removed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
