/* SPDX-License-Identifier: BSD-2-Clause */
/* Learnt peers: who is named is asked before it is used, whose range is known is
 * reached in one hop, and who is silent, refuses or is not heard of goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/one_overlay.h"

#define ENTRY_BYTES_MAX 72u

static struct one_overlay one;
static const uint8_t ring[] = {110, 120, 130};

static void begin(void) {
  one_init(&one, 100, 3);
  one_join(&one, 90, ring, 3);
}

static void name(uint8_t place) {
  struct peer peer = one_peer(place);
  one.calls.count = 0;
  overlay_on_peer_named(one.overlay, one.now, &peer, &one.calls);
}

/* It is named, asked, and says that it is responsible from there on. */
static void learn(uint8_t place, uint8_t predecessor) {
  name(place);
  struct overlay_message says = one_says(OVERLAY_NEIGHBORS, place, predecessor, NULL, 0);
  const struct overlay_call *call = one_call(&one, OVERLAY_NEIGHBORS, place);
  assert_non_null(call);
  one_answer(&one, call, OVERLAY_OK, &says);
}

static bool is_known(uint8_t place) {
  const struct key id = one_key(place);
  return peers_find(&one.overlay->learnt, &one.overlay->self.id, &id) != NULL;
}

/* Where a request for the key goes first; *final: as the responsible one. */
static uint8_t way_to(uint8_t place, bool *final) {
  const struct key key = one_key(place);
  struct peer next;
  if (overlay_next_hops(one.overlay, &key, NULL, 0, &next, 1, final) == 0) return 0;
  return next.id.byte[0];
}

static void test_who_is_named_is_asked_first(void **state) {
  (void)state;
  bool final;
  begin();
  name(150);
  assert_non_null(one_call(&one, OVERLAY_NEIGHBORS, 150));
  assert_false(is_known(150));
  assert_int_equal(way_to(145, &final), 130);
  one_answer(&one, one_call(&one, OVERLAY_NEIGHBORS, 150), OVERLAY_NOT_ME, NULL);
  assert_false(is_known(150));
  learn(150, 140);
  assert_true(is_known(150));
  name(150); /* known by now */
  assert_int_equal(one.calls.count, 0);
  one_free(&one);
}

static void test_two_are_asked_at_a_time(void **state) {
  (void)state;
  begin();
  name(150);
  name(160);
  name(150);
  assert_int_equal(one.calls.count, 0);
  name(170);
  assert_int_equal(one.calls.count, 0);
  name(100); /* oneself */
  name(110); /* a successor */
  assert_int_equal(one.calls.count, 0);
  one_free(&one);
}

static void test_a_key_in_a_known_range_is_one_hop_away(void **state) {
  (void)state;
  bool final;
  begin();
  learn(150, 140);
  for (uint8_t place = 141; place <= 150; place++) {
    assert_int_equal(way_to(place, &final), 150);
    assert_false(final); /* who has come between since is not known here */
  }
  assert_int_equal(way_to(140, &final), 130); /* its predecessor's */
  assert_false(final);
  assert_int_equal(way_to(151, &final), 150);
  assert_false(final);
  /* a nearer one has come between: it is the better guess, though its range is not known */
  struct peer nearer = one_peer(146);
  overlay_on_peer_alive(one.overlay, one.now, &nearer);
  assert_int_equal(way_to(145, &final), 130);
  assert_false(final);
  assert_int_equal(way_to(147, &final), 150);
  one_free(&one);
}

/* The own list spans 30 places. */
static void test_a_range_that_is_too_wide_is_not_believed(void **state) {
  (void)state;
  bool final;
  begin();
  learn(200, 169);
  assert_int_not_equal(way_to(190, &final), 200);
  learn(240, 210);
  assert_int_equal(way_to(220, &final), 240);
  one_free(&one);
}

static void test_who_is_silent_or_refuses_goes(void **state) {
  (void)state;
  bool final;
  begin();
  struct peer finger = one_peer(116), peer = one_peer(160);
  finger.id.byte[0] = 132; /* so that the others are no fingers */
  overlay_on_peer_alive(one.overlay, one.now, &finger);
  learn(160, 150);
  assert_null(peers_find(&one.overlay->fingers, &one.overlay->self.id, &peer.id));
  one.calls.count = 0;
  overlay_on_peer_silent(one.overlay, one.now, &peer, &one.calls, NULL);
  assert_false(is_known(160));
  assert_null(one_call(&one, OVERLAY_PING, 160)); /* not worth probing */
  assert_int_not_equal(way_to(155, &final), 160);
  learn(160, 150);
  overlay_on_peer_refused(one.overlay, &peer);
  assert_false(is_known(160));
  one_free(&one);
}

static void test_who_is_not_heard_of_goes(void **state) {
  (void)state;
  begin();
  learn(150, 140);
  learn(200, 190);
  usec learnt_at = one.now;
  struct peer heard = one_peer(200);
  learnt_sweep(one.overlay, learnt_at + SEC(LEARNT_LIFE_S) - SEC(60));
  assert_true(is_known(150));
  overlay_on_peer_alive(one.overlay, learnt_at + SEC(LEARNT_LIFE_S) - SEC(60), &heard);
  learnt_sweep(one.overlay, learnt_at + SEC(LEARNT_LIFE_S) + SEC(2));
  assert_false(is_known(150));
  assert_true(is_known(200));
  one_free(&one);
}

/* The budget in bytes: what is learnt costs no more than this an entry, however many. */
static void test_bytes(void **state) {
  (void)state;
  begin();
  one.overlay->learnt_max = 4096;
  size_t before = one.memory.bytes;
  for (unsigned i = 0; i < 20000; i++) {
    struct peer peer = one_peer((uint8_t)(131 + i * 7 % 120));
    peer.id.byte[1] = (uint8_t)i;
    peer.id.byte[2] = (uint8_t)(i >> 8);
    overlay_on_peer_alive(one.overlay, one.now, &peer);
  }
  assert_int_equal(one.overlay->learnt.count, 4096);
  size_t bytes = one.memory.bytes - before;
  print_message("4,096 learnt peers: %zu bytes\n", bytes);
  assert_in_range(bytes, 4096, 4096 * ENTRY_BYTES_MAX + 1024); /* and some fingers */
  one_free(&one);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_who_is_named_is_asked_first),
      cmocka_unit_test(test_two_are_asked_at_a_time),
      cmocka_unit_test(test_a_key_in_a_known_range_is_one_hop_away),
      cmocka_unit_test(test_a_range_that_is_too_wide_is_not_believed),
      cmocka_unit_test(test_who_is_silent_or_refuses_goes),
      cmocka_unit_test(test_who_is_not_heard_of_goes),
      cmocka_unit_test(test_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
