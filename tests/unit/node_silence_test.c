/* SPDX-License-Identifier: BSD-2-Clause */
/* Silence, and what comes after it: answers that are late, failures that are, and `final` requests
 * for a key whose own peer is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/world.h"

static struct net net;
static struct endpoint asker;
static uint32_t asker_flow;
static uint64_t tickets[16]; /* of the requests that node 0 sent */
static usec sent_at[16];
static unsigned ticket_count;

static void see(struct net *world, uint32_t node, const struct output *send) {
  if (node != 0 || !slice_starts(send->data, SLICE("LOCSER sip:u"))) return;
  if (ticket_count == 16) return;
  sent_at[ticket_count] = world->now;
  tickets[ticket_count++] = send->ticket;
}

/* Nodes 0, 1, 2 in the order of their Peer-IDs. */
static void begin(void) {
  const struct key ids[] = {{{0x10}}, {{0x60}}, {{0xb0}}};
  net_open(&net, 1);
  for (unsigned i = 0; i < 3; i++) net_add(&net, &ids[i], i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  net_run_for(&net, SEC(20));
  ticket_count = 0;
  net.on_send = see;
}

static void connect_to(uint32_t node) {
  asker = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  asker_flow = net_connect(&net, node, &asker);
}

static void end(void) { assert_true(net_close(&net)); }

/* An address whose key belongs to the node. */
static struct key key_of(uint32_t node, char *uri, size_t room) {
  for (unsigned n = 0;; n++) {
    snprintf(uri, room, "sip:u%u@example.net", n);
    struct key key = net_key(&net, uri);
    if (net_responsible(&net, &key) == node) return key;
  }
}

static void ask(uint32_t node, const char *uri, const struct key *key, const char *params) {
  static const char body[] =
      "<methodCall><methodName>overlay.route</methodName><params><param><overlay "
      "xmlns=\"urn:ietf:params:xml:ns:p2p-sip:overlay\"><self "
      "id=\"2222222222222222222222222222222222222222\" at=\"192.0.2.2:5060\" incarnation=\"1\"/>"
      "</overlay></param></params></methodCall>";
  char text[2000], hex[KEY_HEX + 1] = "";
  struct buf out = buf_over(hex, KEY_HEX);
  key_put(&out, key);
  int n = snprintf(text, sizeof text,
                   "LOCSER %s SIP/2.0\r\nVia: SIP/2.0/TCP 203.0.113.9:40001;branch=z9hG4bKt\r\n"
                   "Overlay-Key: %s%s\r\nFrom: <sip:a@a.example>;tag=1\r\nTo: <%s>\r\n"
                   "Call-ID: c\r\nCSeq: 1 LOCSER\r\nMax-Forwards: 70\r\n"
                   "Content-Type: text/xml\r\nContent-Length: %u\r\n\r\n%s",
                   uri, hex, params, uri, (unsigned)strlen(body), body);
  net_inject(&net, node, asker_flow, &asker, slice_of(text, (size_t)n));
}

static const char *answer_within(usec limit) {
  for (usec stop = net.now + limit; net.now < stop; net_run_for(&net, MSEC(10))) {
    const struct net_letter *letter;
    while ((letter = net_take(&net, "branch=z9hG4bKt", "SIP/2.0 ")) != NULL)
      if (strncmp(letter->text, "SIP/2.0 100", 11) != 0) return letter->text;
  }
  return "";
}

/* the network says late that a try could not be sent. It was given up before; that another
 * peer works on the request now has nothing to do with it. */
static void test_an_earlier_try_fails_late(void **state) {
  (void)state;
  char uri[40];
  begin();
  connect_to(0);
  struct key key = key_of(1, uri, sizeof uri);
  net.at[1].paused = true;
  ask(0, uri, &key, "");
  while (ticket_count < 2) net_run_for(&net, 1000);
  net_step(
      &net, 0,
      &(struct input){
          .kind = IN_FLOW, .status = ERR_CLOSED, .ticket = tickets[0], .peer = net_address(1)});
  assert_non_null(strstr(answer_within(SEC(3)), "SIP/2.0 200"));
  assert_int_equal(ticket_count, 2);
  end();
}

/* who is asked with `final` executes when the nearer predecessor that it believed in is
 * silent, and goes nowhere else. */
static void test_final_when_the_predecessor_is_silent(void **state) {
  (void)state;
  char uri[40], id[80];
  begin();
  connect_to(0);
  struct key key = key_of(2, uri, sizeof uri);
  net.at[2].paused = true;
  ask(0, uri, &key, ";final;deadline=4000");
  const char *answer = answer_within(SEC(4));
  assert_non_null(strstr(answer, "SIP/2.0 200"));
  snprintf(id, sizeof id, "self id=\"1000");
  assert_non_null(strstr(answer, id));
  assert_int_equal(ticket_count, 1);
  /* it is in doubt now: the next one is not sent there at all */
  ask(0, uri, &key, ";final;deadline=4000");
  assert_non_null(strstr(answer_within(MSEC(50)), "SIP/2.0 200"));
  assert_int_equal(ticket_count, 1);
  end();
}

static const struct net_reply *look_up(const char *uri) {
  const struct node_command command = {.kind = COMMAND_LOOKUP, .uri = slice_cstr(uri)};
  return net_command(&net, 0, &command, SEC(9));
}

/* Eight nodes, of which node 0 has measured the links that it needs for the address. */
static void begin_large(uint32_t owner, char *uri, size_t room) {
  net_open(&net, 3);
  net.config.successors = 2; /* not a small ring, where whoever is late is left out */
  net.config.limits.learnt_peers_max = 0;
  for (unsigned i = 0; i < 8; i++) {
    struct key id = {{(uint8_t)(i * 32), 1}};
    net_add(&net, &id, i == 0 ? NET_NONE : 0);
    net_run_for(&net, SEC(1));
  }
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  (void)key_of(owner, uri, room);
  for (unsigned i = 0; i < 10; i++) assert_int_equal(look_up(uri)->code, 200);
  ticket_count = 0;
  net.on_send = see;
}

/* all are suddenly slower than the patience of any link. What was given up answers all the
 * same. */
static void test_late_answers_count(void **state) {
  (void)state;
  char uri[40];
  begin_large(4, uri, sizeof uri); /* by way of another */
  net.latency_min_us = net.latency_max_us = MSEC(150);
  usec asked_at = net.now;
  const struct net_reply *reply = look_up(uri);
  assert_int_equal(reply->code, 200);
  assert_int_equal(reply->row[0].key.byte[0], 128);
  assert_in_range(net.now - asked_at, MSEC(600), MSEC(630)); /* of the first try */
  assert_true(ticket_count > 1);
  end();
}

/* Whoever says 100 to node 0 says nothing more. */
static bool stop_there(struct net *world, uint32_t node, const struct input *message) {
  for (uint32_t i = 1; node == 0 && i < world->count; i++) {
    struct endpoint at = net_address(i);
    if (endpoint_equal(&at, &message->peer) && slice_starts(message->data, SLICE("SIP/2.0 100")))
      world->at[i].paused = true;
  }
  return false;
}

/* only a way that is too long is given more time the next time, not a silent hop (swarm,
 * seed 2845). */
static void test_a_silence_makes_nobody_patient(void **state) {
  (void)state;
  char uri[40];
  begin_large(5, uri, sizeof uri); /* by way of 4 */
  net.at[4].paused = true;
  net.on_hear = stop_there;
  assert_int_equal(look_up(uri)->code, 200);
  assert_true(ticket_count > 2);
  assert_in_range(sent_at[1] - sent_at[0], MSEC(200), MSEC(1000));
  assert_int_equal(sent_at[2] - sent_at[1], MSEC(2500));
  end();
}

/* the peer after the responsible one is dead, so that who comes next would execute whatever
 * it is told is its own. One slow answer is no reason to tell it so. */
static void test_who_is_responsible_is_waited_for(void **state) {
  (void)state;
  char uri[40];
  begin_large(1, uri, sizeof uri);
  net.at[2].paused = true;
  net.latency_min_us = net.latency_max_us = MSEC(150);
  const struct net_reply *reply = look_up(uri);
  assert_int_equal(reply->code, 200);
  assert_int_equal(reply->row[0].key.byte[0], 32);
  assert_int_equal(ticket_count, 1);
  end();
}

/* a second silence is enough, and those that come later need not wait at all. */
static void test_who_is_silent_twice_is_passed_over(void **state) {
  (void)state;
  char uri[40];
  begin_large(1, uri, sizeof uri);
  net.at[1].paused = true;
  usec asked_at = net.now;
  const struct net_reply *reply = look_up(uri);
  assert_int_equal(reply->code, 200);
  assert_int_equal(reply->row[0].key.byte[0], 64);
  assert_in_range(net.now - asked_at, MSEC(400), MSEC(1000));
  assert_int_equal(ticket_count, 2);
  asked_at = net.now;
  assert_int_equal(look_up(uri)->code, 200);
  assert_in_range(net.now - asked_at, 0, MSEC(100));
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_an_earlier_try_fails_late),
      cmocka_unit_test(test_final_when_the_predecessor_is_silent),
      cmocka_unit_test(test_late_answers_count),
      cmocka_unit_test(test_a_silence_makes_nobody_patient),
      cmocka_unit_test(test_who_is_responsible_is_waited_for),
      cmocka_unit_test(test_who_is_silent_twice_is_passed_over),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
