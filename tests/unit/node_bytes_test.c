/* SPDX-License-Identifier: BSD-2-Clause */
/* What a peer costs in bytes, all memory of the core included but the thread's reader and outbox.
 * The gates lie a little above what is measured: who needs more says so here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/world.h"

#define ALONE_BYTES_MAX 8320u
#define RING_BYTES_MAX 13184u /* of a peer of 64, on average */
#define RING_PEER_BYTES_MAX \
  26624u /* of the one through which all joined, and which all ask at times */
#define BINDING_BYTES_MAX 2600u /* with its signed record, and its share of the tables */
#define PHONES 64u

static struct net net;

static size_t bytes_of(uint32_t i) { return net.at[i].memory.bytes; }

static void test_a_peer_alone(void **state) {
  (void)state;
  net_open(&net, 1);
  net_add(&net, NULL, NET_NONE);
  net_run_for(&net, SEC(60));
  print_message("alone: %zu bytes\n", bytes_of(0));
  assert_in_range(bytes_of(0), 1, ALONE_BYTES_MAX);
  assert_true(net_close(&net));
}

static void test_a_peer_of_a_ring(void **state) {
  (void)state;
  const uint32_t peers = 64;
  size_t sum = 0, most = 0;
  net_open(&net, 2);
  for (uint32_t i = 0; i < peers; i++) {
    net_add(&net, NULL, i == 0 ? NET_NONE : i - 1);
    net_run_for(&net, MSEC(500));
  }
  net_run_for(&net, SEC(60));
  assert_true(net_is_ready(&net));
  for (uint32_t i = 0; i < peers; i++) {
    sum += bytes_of(i);
    if (bytes_of(i) > most) most = bytes_of(i);
  }
  print_message("in a ring of %u: %zu bytes, %zu at most\n", peers, sum / peers, most);
  assert_in_range(sum / peers, 1, RING_BYTES_MAX);
  assert_in_range(most, 1, RING_PEER_BYTES_MAX);
  assert_true(net_close(&net));
}

static void test_a_binding(void **state) {
  (void)state;
  char text[600];
  net_open(&net, 3);
  net_add(&net, NULL, NET_NONE);
  net_run_for(&net, SEC(60));
  size_t before = bytes_of(0);
  struct endpoint phone = net_stranger("127.0.0.1:40001", TRANSPORT_UDP);
  for (unsigned n = 0; n < PHONES; n++) {
    int len = snprintf(
        text, sizeof text,
        "REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:40001;branch=z9hG4bKr%u;"
        "rport\r\nFrom: <sip:p%03u@example.net>;tag=a\r\nTo: <sip:p%03u@example.net>\r\n"
        "Call-ID: %u@127.0.0.1\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n"
        "Contact: <sip:p%03u@127.0.0.1:40001>;expires=3600\r\nContent-Length: 0\r\n\r\n",
        n, n, n, n, n);
    net_inject(&net, 0, 0, &phone, slice_of(text, (size_t)len));
    net_run_for(&net, MSEC(10));
  }
  size_t during = bytes_of(0);
  net_run_for(&net, SEC(90)); /* the transactions are over */
  assert_int_equal(node_stats(net.at[0].node).bindings, PHONES);
  size_t each = (bytes_of(0) - before) / PHONES;
  print_message("a binding: %zu bytes, %zu while its REGISTER is remembered\n", each,
                (during - before) / PHONES);
  assert_in_range(each, 1, BINDING_BYTES_MAX);
  assert_true(net_close(&net));
}

/* What many requests at once took is there again when they are over. */
static void test_a_burst_is_given_back(void **state) {
  (void)state;
  char uri[40];
  const uint32_t peers = 8;
  net_open(&net, 4);
  for (uint32_t i = 0; i < peers; i++) {
    net_add(&net, NULL, i == 0 ? NET_NONE : 0);
    net_run_for(&net, SEC(1));
  }
  net_run_for(&net, SEC(60));
  size_t before = bytes_of(0), most = 0;
  for (unsigned n = 0; n < 400; n++) {
    snprintf(uri, sizeof uri, "sip:nobody%u@example.net", n);
    net_ask(&net, 0, &(struct node_command){.kind = COMMAND_GET, .uri = slice_cstr(uri)});
  }
  for (unsigned n = 0; n < 100; n++) {
    net_run_for(&net, MSEC(1));
    if (bytes_of(0) > most) most = bytes_of(0);
  }
  net_run_for(&net, SEC(60));
  print_message("a burst: %zu bytes before, %zu in it, %zu after\n", before, most, bytes_of(0));
  assert_true(most > 10 * before);
  assert_in_range(bytes_of(0), 1, before + before / 2);
  assert_true(net_close(&net));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_peer_alone),
      cmocka_unit_test(test_a_peer_of_a_ring),
      cmocka_unit_test(test_a_binding),
      cmocka_unit_test(test_a_burst_is_given_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
