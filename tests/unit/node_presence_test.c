/* SPDX-License-Identifier: BSD-2-Clause */
/* Presence through whole nodes, with the model of signatures: what of it the ring keeps. The homes
 * themselves: edge_presence_test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/world.h"

#define BOB "sip:bob@example.net"
#define HOST "127.0.0.1:40002"
#define HOME 2u

static struct net net;
static unsigned number;

static unsigned request(const char *method, const char *uri, const char *lines, const char *body) {
  const struct endpoint from = net_stranger(HOST, TRANSPORT_UDP);
  char text[2048], branch[32];
  snprintf(branch, sizeof branch, "z9hG4bKp%u;", ++number);
  int n = snprintf(text, sizeof text,
                   "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP " HOST
                   ";branch=%srport\r\n"
                   "From: <" BOB ">;tag=1\r\nTo: <" BOB
                   ">\r\nCall-ID: p%u\r\nCSeq: 1 %s\r\n"
                   "Max-Forwards: 70\r\n%sContent-Length: %zu\r\n\r\n%s",
                   method, uri, branch, number, method, lines, strlen(body), body);
  net_inject(&net, HOME, 0, &from, slice_of(text, (size_t)n));
  return net_final(&net, branch, SEC(20));
}

static bool is_home_known(struct net *w) {
  struct key key = net_key(w, "presence:bob@example.net");
  for (uint32_t i = 0; i < w->count; i++)
    for (unsigned k = 0; k < w->at[i].journal_count; k++)
      if (key_equal(&w->at[i].journal[k].key, &key)) return true;
  return false;
}

/* R-12.14: whose key may sign for a new address nobody knows before its first REGISTER, and the
 * record that says where its home is, is refused. The home hears of that and puts it again. */
static void test_who_publishes_first_is_found_later(void **state) {
  (void)state;
  net_open(&net, 7);
  net.config.policy = NODE_OPEN;
  net.config.limits.subscriptions_max = 64;
  for (unsigned i = 0; i < 4; i++) net_add(&net, NULL, i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  assert_int_equal(request("PUBLISH", BOB,
                           "Event: presence\r\nExpires: 600\r\n"
                           "Content-Type: application/pidf+xml\r\n",
                           "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"" BOB "\"/>"),
                   200);
  net_run_for(&net, SEC(4));
  assert_false(is_home_known(&net));
  assert_int_equal(
      request("REGISTER", "sip:example.net", "Contact: <sip:x@" HOST ">\r\nExpires: 600\r\n", ""),
      200);
  assert_true(net_run_while(&net, is_home_known, SEC(1), SEC(60)));
  assert_true(net_close(&net));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_who_publishes_first_is_found_later),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
