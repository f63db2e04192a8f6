/* SPDX-License-Identifier: BSD-2-Clause */
/* What the overlay does not take on trust from strangers: far answers, and many peers of
 * one network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/one_overlay.h"

static struct one_overlay one;
static const uint8_t ring[] = {110, 120, 130};

static void begin(void) {
  one_init(&one, 100, 3);
  one_join(&one, 90, ring, 3);
  one.overlay->strangers = true;
}

static bool is_plausible(uint8_t key_place, uint8_t place) {
  struct key key = one_key(key_place), id = one_key(place);
  return overlay_is_plausible(one.overlay, &key, &id);
}

/* Three successors within 30, so peers are 10 apart: 8 times that, rounded up to whole lists, is
 * 90. */
static void test_density_at_its_bound(void **state) {
  (void)state;
  begin();
  assert_true(is_plausible(150, 150));
  assert_true(is_plausible(150, 240));
  assert_false(is_plausible(150, 241));
  assert_false(is_plausible(150, 149));
  assert_true(is_plausible(250, 84)); /* past zero */
  assert_false(is_plausible(250, 85));
  one_free(&one);
}

/* Whom the first successor names right behind itself makes nobody else implausible: the pointers to
 * both sides, 20 apart, allow 4 times that. */
static void test_density_is_not_the_successors_word_alone(void **state) {
  (void)state;
  begin();
  for (uint8_t i = 1; i < 3; i++) {
    one.overlay->list.at[i].id = one.overlay->list.at[0].id;
    one.overlay->list.at[i].id.byte[KEY_BYTES - 1] = i;
  }
  assert_true(is_plausible(150, 230));
  assert_false(is_plausible(150, 231));
  one_free(&one);
}

static void test_small_rings_know_all(void **state) {
  (void)state;
  one_init(&one, 100, 8);
  overlay_create(one.overlay, one.now, NULL);
  assert_true(is_plausible(101, 100));
  one_free(&one);
}

/* An answer from half way round would take the place of every finger before it. */
static void test_a_far_answer_makes_no_finger(void **state) {
  (void)state;
  begin();
  struct overlay_call call = *one_wait(&one, OVERLAY_ROUTE);
  uint8_t asked = call.key.byte[0];
  uint8_t far = (uint8_t)(asked + 95);
  struct overlay_message answer = one_says(OVERLAY_ROUTE, far, 0, NULL, 0);
  one_answer(&one, &call, OVERLAY_OK, &answer);
  assert_null(one_call(&one, OVERLAY_PING, far));
  one_free(&one);
  begin();
  call = *one_wait(&one, OVERLAY_ROUTE);
  uint8_t near = (uint8_t)(call.key.byte[0] + 5);
  answer = one_says(OVERLAY_ROUTE, near, 0, NULL, 0);
  one_answer(&one, &call, OVERLAY_OK, &answer);
  assert_non_null(one_call(&one, OVERLAY_PING, near));
  one_free(&one);
}

/* ---- networks ---- */

static bool offer(uint8_t place, const char *at) {
  struct peer peer = {.id = one_key(place), .incarnation = 1};
  assert_true(endpoint_parse(slice_cstr(at), TRANSPORT_TCP, 5060, &peer.at));
  fingers_offer(one.overlay, one.now, &peer);
  const struct key *self = &one.overlay->self.id;
  return peers_find(&one.overlay->fingers, self, &peer.id) != NULL ||
         peers_find(&one.overlay->learnt, self, &peer.id) != NULL;
}

static void know_four_networks(void) {
  assert_true(offer(140, "198.51.100.1:5060"));
  assert_true(offer(142, "192.0.2.1:5060"));
  assert_true(offer(144, "[2001:db8:1::1]:5060"));
  assert_true(offer(146, "[2001:db8:2::1]:5060"));
}

static void test_few_of_one_network(void **state) {
  (void)state;
  begin();
  know_four_networks();
  assert_true(offer(150, "203.0.113.1:5060"));
  assert_true(offer(151, "203.0.113.2:5060"));
  assert_true(offer(152, "203.0.113.2:5061")); /* addresses and ports are cheap */
  assert_true(offer(153, "203.0.113.255:5060"));
  assert_false(offer(154, "203.0.113.3:5060"));
  assert_true(offer(155, "203.0.112.3:5060")); /* another network */
  assert_true(offer(160, "[2001:db8:3:1::1]:5060"));
  assert_true(offer(161, "[2001:db8:3:2::1]:5060"));
  assert_true(offer(162, "[2001:db8:3:3::1]:5060"));
  assert_true(offer(163, "[2001:db8:3:4::1]:5060"));
  assert_false(offer(164, "[2001:db8:3:5::1]:5060"));
  assert_true(offer(165, "[2001:db8:4::1]:5060"));
  one_free(&one);
}

/* Where they are all there is, they are taken. */
static void test_one_network_may_be_all_there_is(void **state) {
  (void)state;
  begin();
  for (uint8_t i = 0; i < 20; i++) {
    char at[32];
    struct buf text = buf_over(at, sizeof at - 1);
    buf_put_cstr(&text, "203.0.113.");
    buf_put_u64(&text, i + 1u);
    at[text.len] = '\0';
    assert_true(offer((uint8_t)(150 + i), at));
  }
  one_free(&one);
}

/* Laboratories, home networks, and overlays that not everybody may join. */
static void test_not_everywhere(void **state) {
  (void)state;
  static const char *const local[] = {"10.0.0.1",    "127.0.0.1",  "172.31.1.1",
                                      "192.168.0.1", "100.64.0.1", "169.254.1.1",
                                      "[fd00::1]",   "[fe80::1]",  "[::1]"};
  begin();
  know_four_networks();
  for (uint8_t k = 0; k < sizeof local / sizeof local[0]; k++)
    for (uint8_t i = 0; i < 6; i++) assert_true(offer((uint8_t)(150 + 8 * k + i), local[k]));
  one_free(&one);
  begin();
  know_four_networks();
  one.overlay->strangers = false;
  for (uint8_t i = 0; i < 6; i++) assert_true(offer((uint8_t)(150 + i), "203.0.113.1"));
  one_free(&one);
}

/* nobody is named for a place at or after the key that has not answered this peer. */
static void test_who_is_named_around_a_key(void **state) {
  (void)state;
  begin();
  struct peer out[8];
  struct peer learnt = one_peer(105);
  overlay_on_peer_alive(one.overlay, one.now, &learnt);
  learnt = one_peer(200);
  overlay_on_peer_alive(one.overlay, one.now, &learnt);
  struct key key = one_key(150);
  unsigned count = overlay_around(one.overlay, &key, out, 8);
  assert_in_range(count, 3, 8);
  assert_int_equal(out[0].id.byte[0], 130); /* the next hop */
  bool follows = false;
  for (unsigned i = 0; i < count; i++) follows = follows || out[i].id.byte[0] == 200;
  assert_true(follows);
  for (unsigned i = 0; i < count; i++)
    for (unsigned k = 0; k < i; k++) assert_false(peer_same(&out[i], &out[k]));
  one_free(&one);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_density_at_its_bound),
      cmocka_unit_test(test_density_is_not_the_successors_word_alone),
      cmocka_unit_test(test_small_rings_know_all),
      cmocka_unit_test(test_a_far_answer_makes_no_finger),
      cmocka_unit_test(test_few_of_one_network),
      cmocka_unit_test(test_one_network_may_be_all_there_is),
      cmocka_unit_test(test_not_everywhere),
      cmocka_unit_test(test_who_is_named_around_a_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
