/* SPDX-License-Identifier: BSD-2-Clause */
/* How long a peer waits for a sign of life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "locser/links.h"
#include "support/memory.h"

static struct test_memory memory;
static struct links links;

static struct link *link_to(uint8_t n) {
  const struct peer peer = {.id = {{n}}, .at = {.addr = {10, 0, 0, n}, .port = 5060, .family = 4}};
  return links_get(&links, 0, &peer);
}

static void begin(void) {
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  links_init(&links, &memory.memory, (struct hash_key){1, 2}, 8);
}

static void end(void) {
  links_free(&links);
  assert_int_equal(memory.bytes, 0);
}

static void test_one_lucky_round_trip_says_little(void **state) {
  (void)state;
  begin();
  struct link *link = link_to(1);
  assert_int_equal(link_patience(&links, link), LINK_PATIENCE_UNKNOWN);
  usec last = LINK_PATIENCE_UNKNOWN;
  for (unsigned i = 0; i < LINK_SAMPLES; i++) {
    link_measured(&links, link, MSEC(10));
    usec patience = link_patience(&links, link);
    assert_true(patience <= last);
    if (i == 0) assert_true(patience > SEC(1));
    last = patience;
  }
  assert_int_equal(last, LINK_PATIENCE_MIN);
  end();
}

static void test_unknown_links_are_taken_for_usual_ones(void **state) {
  (void)state;
  begin();
  for (unsigned i = 0; i < 100; i++) link_measured(&links, link_to(1), MSEC(100));
  usec patience = link_patience(&links, link_to(2));
  assert_in_range(patience, MSEC(300), MSEC(700));
  for (unsigned i = 0; i < 100; i++) link_measured(&links, link_to(1), SEC(2));
  assert_int_equal(link_patience(&links, link_to(2)), LINK_PATIENCE_UNKNOWN);
  assert_int_equal(link_patience(&links, link_to(1)), LINK_PATIENCE_MAX);
  end();
}

/* who is said to live at a peer's address takes nothing from that peer. */
static void test_an_address_is_not_a_peer(void **state) {
  (void)state;
  begin();
  struct link *true_one = link_to(1);
  for (unsigned i = 0; i < LINK_SAMPLES; i++) link_measured(&links, true_one, MSEC(10));
  struct peer other = true_one->peer;
  other.id.byte[0] = 99;
  struct link *invented = links_get(&links, 0, &other);
  assert_ptr_not_equal(invented, true_one);
  assert_int_equal(true_one->peer.id.byte[0], 1);
  assert_int_equal(link_patience(&links, true_one), LINK_PATIENCE_MIN);
  assert_ptr_equal(link_to(1), true_one);
  assert_ptr_equal(links_find(&links, &other), invented);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_lucky_round_trip_says_little),
      cmocka_unit_test(test_unknown_links_are_taken_for_usual_ones),
      cmocka_unit_test(test_an_address_is_not_a_peer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
