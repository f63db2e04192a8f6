/* SPDX-License-Identifier: BSD-2-Clause */
/* A phone with flows to two peers of a ring is reached from any other,
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/world.h"

#define NODES 6u
#define BOB "sip:bob@example.net"

static struct net net;
static struct endpoint phone[NODES], caller;
static uint32_t flow[NODES];
static unsigned number;

static void begin(void) {
  net_open(&net, 7);
  net.config.digest_off = true;
  for (unsigned i = 0; i < NODES; i++) net_add(&net, NULL, i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  caller = net_stranger("203.0.113.200:5060", TRANSPORT_UDP);
}

static void end(void) { assert_true(net_close(&net)); }

static const struct net_letter *wait_for(const char *word1, const char *word2, usec limit) {
  for (usec stop = net.now + limit; net.now < stop; net_run_for(&net, MSEC(10))) {
    const struct net_letter *letter = net_take(&net, word1, word2);
    if (letter != NULL) return letter;
  }
  return NULL;
}

/* Bob's phone opens a connection to node i and registers over it; the 200. */
static const char *registers(unsigned i, unsigned reg_id) {
  char text[1000], branch[40], at[40];
  number++;
  snprintf(at, sizeof at, "203.0.113.9:%u", 40000 + i);
  phone[i] = net_stranger(at, TRANSPORT_TCP);
  flow[i] = net_connect(&net, i, &phone[i]);
  snprintf(branch, sizeof branch, "branch=z9hG4bKr%u.", number);
  int n = snprintf(text, sizeof text,
                   "REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.9;%s\r\n"
                   "From: <" BOB ">;tag=1\r\nTo: <" BOB
                   ">\r\nCall-ID: r%u\r\n"
                   "CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nSupported: path, outbound, gruu\r\n"
                   "Contact: <sip:bob@10.0.0.9;transport=tcp;ob>;reg-id=%u;"
                   "+sip.instance=\"<urn:uuid:1>\"\r\nContent-Length: 0\r\n\r\n",
                   branch, number, reg_id);
  net_inject(&net, i, flow[i], &phone[i], slice_of(text, (size_t)n));
  const struct net_letter *letter = wait_for(branch, "SIP/2.0 ", SEC(20));
  assert_non_null(letter);
  assert_int_equal(strncmp(letter->text, "SIP/2.0 200 ", 12), 0);
  assert_non_null(strstr(letter->text, "Require: outbound\r\n"));
  return letter->text;
}

/* Asks node i, from a phone of its own. */
static void request(unsigned i, const char *method, const char *uri) {
  char text[1200];
  number++;
  int n = snprintf(text, sizeof text,
                   "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.200;branch=z9hG4bKq%u;rport\r\n"
                   "From: <sip:alice@example.net>;tag=1\r\nTo: <" BOB
                   ">\r\nCall-ID: q%u\r\n"
                   "CSeq: 1 %s\r\nMax-Forwards: 70\r\nContact: <sip:alice@203.0.113.200>\r\n"
                   "Content-Length: 0\r\n\r\n",
                   method, uri, number, number, method);
  net_clear_inbox(&net);
  net_inject(&net, i, 0, &caller, slice_of(text, (size_t)n));
}

/* The node whose flow a request of this method came over; NODES: none within the limit. */
static unsigned reached(const char *method, usec limit) {
  char start[80];
  snprintf(start, sizeof start, "%s sip:bob@10.0.0.9;transport=tcp;ob SIP/2.0\r\n", method);
  const struct net_letter *letter = wait_for(start, "Max-Forwards: 68\r\n", limit);
  if (letter == NULL) return NODES;
  assert_int_equal(letter->flow, flow[letter->node]);
  return letter->node;
}

static void test_one_flow_and_then_the_other(void **state) {
  (void)state;
  begin();
  registers(1, 1);
  registers(2, 2);
  assert_int_equal(net_get(&net, 5, BOB)->row_count, 2);
  request(4, "INVITE", BOB);
  unsigned first = reached("INVITE", SEC(5));
  assert_true(first == 1 || first == 2);
  assert_int_equal(reached("INVITE", SEC(5)), NODES); /* never both */
  net_close_flow(&net, flow[first]);
  assert_int_equal(reached("INVITE", SEC(5)), 3 - first);
  /* The dead flow's binding goes at once, from any peer's view. */
  net_run_for(&net, SEC(5));
  assert_int_equal(net_get(&net, 5, BOB)->row_count, 1);
  end();
}

/* The record of a flow lives on when its peer dies. */
static void test_a_peer_dies(void **state) {
  (void)state;
  for (unsigned silent = 0; silent < 2; silent++) {
    begin();
    registers(1, 1);
    net_run_for(&net, SEC(1));
    registers(2, 2); /* the later one is tried first */
    net_kill(&net, 2, silent != 0);
    usec killed_at = net.now;
    request(4, "INVITE", BOB);
    assert_int_equal(reached("INVITE", SEC(10)), 1);
    print_message("the phone's peer %s: reached over its other flow after %u ms\n",
                  silent ? "vanished" : "was killed", (unsigned)((net.now - killed_at) / 1000));
    end();
  }
}

static const char *gruu_of(const char *answer, const char *param) {
  static char text[2][400];
  static unsigned next;
  char *out = text[next++ % 2];
  const char *at = strstr(answer, param);
  assert_non_null(at);
  at += strlen(param) + 2;
  snprintf(out, sizeof text[0], "%.*s", (int)strcspn(at, "\""), at);
  return out;
}

static void test_gruus_of_another_peer(void **state) {
  (void)state;
  begin();
  const char *ok = registers(2, 1);
  const char *public = gruu_of(ok, "pub-gruu"), *temporary = gruu_of(ok, "temp-gruu");
  request(4, "MESSAGE", public);
  assert_int_equal(reached("MESSAGE", SEC(5)), 2);
  request(4, "MESSAGE", temporary);
  assert_int_equal(reached("MESSAGE", SEC(5)), 2);
  net_close_flow(&net, flow[2]);
  net_run_for(&net, SEC(5));
  request(4, "MESSAGE", public);
  assert_non_null(wait_for("SIP/2.0 480 ", "CSeq: 1 MESSAGE", SEC(10)));
  request(4, "MESSAGE", temporary);
  assert_non_null(wait_for("SIP/2.0 404 ", "CSeq: 1 MESSAGE", SEC(10)));
  end();
}

#define TEST(f) cmocka_unit_test(f)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_one_flow_and_then_the_other),
      TEST(test_a_peer_dies),
      TEST(test_gruus_of_another_peer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
