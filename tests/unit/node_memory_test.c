/* SPDX-License-Identifier: BSD-2-Clause */
/* A node without memory: each single allocation of a story fails once. Nothing crashes, nothing
 * leaks, what was refused can be had a little later, and a 200 still means that it is stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/world.h"

static struct net net;

static void test_a_node_is_made_or_not(void **state) {
  (void)state;
  unsigned failed = 0;
  net_open(&net, 1);
  for (uint64_t n = 1;; n++) {
    struct test_memory memory;
    test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
    memory.fail_once = n;
    struct node_config config = net.config;
    config.advertise = net_address(0);
    config.memory = &memory.memory;
    config.crypto = &net.crypto;
    config.xml = net.xml;
    struct node *node = node_new(&config, 0);
    if (node == NULL) failed++;
    bool reached = memory.asked >= n;
    node_free(node);
    assert_int_equal(memory.blocks, 0);
    if (!reached) break;
  }
  assert_true(failed > 3);
  assert_true(net_close(&net));
}

#define REGISTER                                                                               \
  "REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:40001;branch=z9hG4bKr;rport" \
  "\r\nFrom: <sip:al@example.net>;tag=a\r\nTo: <sip:al@example.net>\r\nCall-ID: r\r\n"         \
  "CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:al@127.0.0.1:40001>\r\n"              \
  "Content-Length: 0\r\n\r\n"
#define INVITE                                                                                  \
  "INVITE sip:al@example.net SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:40002;branch=z9hG4bKi;rport" \
  "\r\nFrom: <sip:bo@example.net>;tag=b\r\nTo: <sip:al@example.net>\r\nCall-ID: i\r\n"          \
  "CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:bo@127.0.0.1:40002>\r\n"                 \
  "Content-Length: 0\r\n\r\n"

static const char *user(unsigned n) {
  static char text[40];
  snprintf(text, sizeof text, "sip:u%u@example.net", n);
  return text;
}

/* Which allocation of node 0 fails: fail_once more from now. How many it asked for in all. */
static uint64_t story(uint64_t fail_once) {
  static const struct key ids[] = {{{0x10}}, {{0x60}}, {{0xb0}}};
  net_open(&net, 2);
  net.latency_min_us = net.latency_max_us = MSEC(5);
  net_add(&net, &ids[0], NET_NONE);
  struct test_memory *memory = &net.at[0].memory;
  uint64_t before = memory->asked;
  if (fail_once > 0) memory->fail_once = before + fail_once;
  net_add(&net, &ids[1], 0);
  net_run_for(&net, SEC(2));
  net_add(&net, &ids[2], 0);
  net_run_for(&net, SEC(2));
  bool stored[9] = {false};
  for (unsigned n = 0; n < 9; n++) {
    stored[n] = net_put(&net, n % 3, user(n), "sip:u@192.0.2.4")->code == 200;
  }
  struct endpoint phone = net_stranger("127.0.0.1:40001", TRANSPORT_UDP);
  struct endpoint caller = net_stranger("127.0.0.1:40002", TRANSPORT_UDP);
  net_inject(&net, 0, 0, &phone, SLICE(REGISTER));
  net_run_for(&net, SEC(1));
  net_inject(&net, 0, 0, &caller, SLICE(INVITE));
  net_run_for(&net, SEC(1));
  const struct node_command trace = {
      .kind = COMMAND_LOOKUP, .uri = slice_cstr(user(1)), .trace = true};
  net_command(&net, 0, &trace, SEC(10));
  net_kill(&net, 2, false);
  net_run_for(&net, SEC(20));
  for (unsigned n = 0; n < 9; n++) {
    const struct net_reply *reply = net_get(&net, n % 2, user(n));
    if (reply->code == 503) reply = net_get(&net, n % 2, user(n)); /* this was the one */
    if (stored[n] && !net_has_contact(reply, "sip:u@192.0.2.4")) {
      fail_msg("allocation %u fails: %s is lost: %u %s", (unsigned)fail_once, user(n), reply->code,
               reply->text);
    }
  }
  unsigned late = net_put(&net, 0, "sip:late@example.net", "sip:u@192.0.2.4")->code;
  if (late == 503) late = net_put(&net, 0, "sip:late@example.net", "sip:u@192.0.2.4")->code;
  if (late != 200) fail_msg("allocation %u fails: a late put: %u", (unsigned)fail_once, late);
  uint64_t asked = memory->asked - before;
  if (!net_close(&net)) fail_msg("allocation %u fails: memory is out", (unsigned)fail_once);
  return asked;
}

static void test_each_allocation_fails_once(void **state) {
  (void)state;
  uint64_t all = story(0);
  assert_true(all > 50);
  for (uint64_t n = 1; n <= all; n++) story(n);
  print_message("%u allocations\n", (unsigned)all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_node_is_made_or_not),
      cmocka_unit_test(test_each_allocation_fails_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
