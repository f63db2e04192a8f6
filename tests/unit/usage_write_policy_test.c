/* SPDX-License-Identifier: BSD-2-Clause */
/* the table of who may write what, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>
#include <cmocka.h>

#include "usage/write_policy.h"

#define NOW ((msec_wall)1777600000000)
#define MINUTES(n) ((msec_wall)(n)*60 * 1000)

static const struct key alice = {{0xA1}}, bob = {{0xB0}}, eve = {{0xE0}};

static struct write_signer issued(const struct key *key, const char *name) {
  struct write_signer signer = {.key = *key, .issued = true};
  if (name != NULL) signer.names[signer.name_count++] = slice_cstr(name);
  return signer;
}

static struct write_signer anybody(const struct key *key) {
  return (struct write_signer){.key = *key};
}

static struct write_pin pinned(const struct key *key, msec_wall since) {
  return (struct write_pin){.state = WRITE_PIN_KNOWN, .key = *key, .since = since};
}
static const struct write_pin no_pin = {.state = WRITE_PIN_NONE};
static const struct write_pin unreachable = {.state = WRITE_PIN_UNREACHABLE};

static struct write_request put(const char *text, const struct key *owner, msec_wall since) {
  return (struct write_request){.key_text = slice_cstr(text), .owner = *owner, .since = since};
}

static enum write_verdict judge(enum write_mode mode, struct write_request request,
                                struct write_signer signer, struct write_pin pin) {
  const char *why = NULL;
  enum write_verdict verdict = write_judge(mode, &request, &signer, &pin, NOW, &why);
  assert_true((verdict == WRITE_ALLOWED) == (why == NULL));
  return verdict;
}

#define OWN_KEYS                                                                  \
  {                                                                               \
    "sip:bob@example.net", "presence:bob@example.net", "private:bob@example.net", \
        "sip:bob@example.net;replica=2", "certificate:bob@example.net"            \
  }

/* */
static void closed_overlay_asks_for_the_address(void **state) {
  (void)state;
  static const char *const texts[] = OWN_KEYS;
  for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct write_request request = put(texts[i], &bob, NOW);
    assert_int_equal(judge(WRITE_CLOSED, request, issued(&bob, "bob@example.net"), no_pin),
                     WRITE_ALLOWED);
    assert_int_equal(judge(WRITE_CLOSED, request, issued(&bob, "example.net"), no_pin),
                     WRITE_ALLOWED);
    assert_int_equal(judge(WRITE_CLOSED, request, issued(&bob, "alice@example.net"), no_pin),
                     WRITE_REFUSED);
    assert_int_equal(judge(WRITE_CLOSED, request, issued(&bob, "example.com"), no_pin),
                     WRITE_REFUSED);
    assert_int_equal(judge(WRITE_CLOSED, request, issued(&bob, "bob@example.ne"), no_pin),
                     WRITE_REFUSED);
    assert_int_equal(judge(WRITE_CLOSED, request, issued(&bob, NULL), no_pin), WRITE_REFUSED);
    /* What another CA issued, or what has been revoked, is worth nothing, a pin neither. */
    struct write_signer foreign = issued(&bob, "bob@example.net");
    foreign.issued = false;
    assert_int_equal(judge(WRITE_CLOSED, request, foreign, pinned(&bob, NOW)), WRITE_REFUSED);
  }
  assert_int_equal(
      judge(WRITE_CLOSED, put("sip:example.net", &bob, 0), issued(&bob, "example.net"), no_pin),
      WRITE_ALLOWED);
}

/* */
static void open_overlay_asks_for_the_pinned_key(void **state) {
  (void)state;
  static const char *const texts[] = OWN_KEYS;
  for (unsigned i = 0; i < 4; i++) {
    struct write_request request = put(texts[i], &bob, 0);
    assert_int_equal(judge(WRITE_OPEN, request, anybody(&bob), pinned(&bob, 1)), WRITE_ALLOWED);
    assert_int_equal(judge(WRITE_OPEN, request, anybody(&bob), pinned(&eve, 1)), WRITE_REFUSED);
    assert_int_equal(judge(WRITE_OPEN, request, anybody(&bob), no_pin), WRITE_REFUSED);
    assert_int_equal(judge(WRITE_OPEN, request, anybody(&bob), unreachable), WRITE_UNSURE);
    /* A certificate of somebody's CA is no pin. */
    assert_int_equal(judge(WRITE_OPEN, request, issued(&bob, "bob@example.net"), pinned(&eve, 1)),
                     WRITE_REFUSED);
  }
}

/* first come, and key continuity. */
static void open_overlay_pins_the_first_key(void **state) {
  (void)state;
  const char *text = "certificate:bob@example.net";
  static const struct {
    msec_wall since;
    enum write_verdict verdict;
  } first[] = {
      {NOW, WRITE_ALLOWED},
      {NOW - MINUTES(5), WRITE_ALLOWED},
      {NOW - MINUTES(5) - 1, WRITE_REFUSED},
      {NOW + MINUTES(5), WRITE_ALLOWED},
      {NOW + MINUTES(5) + 1, WRITE_REFUSED},
      {0, WRITE_REFUSED},
      {UINT64_MAX, WRITE_REFUSED},
  };
  for (unsigned i = 0; i < sizeof first / sizeof *first; i++)
    assert_int_equal(judge(WRITE_OPEN, put(text, &bob, first[i].since), anybody(&bob), no_pin),
                     first[i].verdict);
  msec_wall long_ago = NOW - MINUTES(100000), just_now = NOW - MINUTES(1);
#define PUT(who, since, pin) judge(WRITE_OPEN, put(text, &(who), since), anybody(&(who)), pin)
  assert_int_equal(PUT(bob, long_ago, pinned(&bob, long_ago)), WRITE_ALLOWED);
  assert_int_equal(PUT(bob, long_ago - 1, pinned(&bob, long_ago)), WRITE_REFUSED);
  assert_int_equal(PUT(eve, NOW, pinned(&bob, long_ago)), WRITE_REFUSED);
  assert_int_equal(PUT(eve, long_ago - 1, pinned(&bob, long_ago)), WRITE_REFUSED);
  assert_int_equal(PUT(eve, just_now - 1, pinned(&bob, just_now)), WRITE_REFUSED);
  assert_int_equal(PUT(bob, NOW, unreachable), WRITE_UNSURE);
  struct write_request removal = put(text, &eve, NOW);
  removal.removal = true;
  assert_int_equal(judge(WRITE_OPEN, removal, anybody(&eve), no_pin), WRITE_REFUSED);
  assert_int_equal(judge(WRITE_OPEN, removal, anybody(&eve), pinned(&eve, just_now)),
                   WRITE_ALLOWED);
}

/* the earlier since, then the smaller hash; never both or neither. */
static void pins_that_meet_are_ordered(void **state) {
  (void)state;
  const struct write_pin early = pinned(&eve, 1), late = pinned(&bob, 2), same = pinned(&bob, 1);
  assert_true(write_pin_wins(&early, &late) && !write_pin_wins(&late, &early));
  assert_true(write_pin_wins(&same, &early) && !write_pin_wins(&early, &same));
  assert_false(write_pin_wins(&same, &same));
}

/* the pinned key names the one that follows it, and nobody else does. */
static void a_key_names_its_successor(void **state) {
  (void)state;
  static const char text[] = "certificate:bob@example.net";
  struct write_request request = put(text, &eve, 10);
  request.before = bob;
  assert_int_equal(judge(WRITE_OPEN, request, anybody(&eve), pinned(&bob, 10)), WRITE_ALLOWED);
  assert_int_equal(judge(WRITE_OPEN, request, anybody(&eve), pinned(&bob, 11)), WRITE_REFUSED);
  assert_int_equal(judge(WRITE_OPEN, request, anybody(&eve), pinned(&alice, 10)), WRITE_REFUSED);
  request.before = alice;
  assert_int_equal(judge(WRITE_OPEN, request, anybody(&eve), pinned(&bob, 10)), WRITE_REFUSED);
  assert_int_equal(judge(WRITE_OPEN, put(text, &bob, 10), anybody(&bob), pinned(&eve, 10)),
                   WRITE_REFUSED); /* the key before is nobody now */
  struct write_pin first = pinned(&bob, 10), next = pinned(&eve, 10), other = pinned(&alice, 10);
  next.before = other.before = bob;
  next.named = 100;
  other.named = 101;
  first.since = 9; /* whatever it says afterwards */
  assert_true(write_pin_wins(&next, &first) && !write_pin_wins(&first, &next));
  assert_true(write_pin_wins(&next, &other) && !write_pin_wins(&other, &next));
  struct write_pin third = pinned(&alice, 10); /* of one line, and what stood between is lost */
  third.before = eve;
  third.named = 200;
  first.since = 10;
  assert_true(write_pin_wins(&third, &first) && !write_pin_wins(&first, &third));
}

/* */
static void key_hash_belongs_to_its_key(void **state) {
  (void)state;
  static const char *const texts[] = {
      "sip:b000000000000000000000000000000000000000@example.net",
      "presence:B000000000000000000000000000000000000000@example.net",
      "certificate:b000000000000000000000000000000000000000@example.net"};
  for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
    assert_int_equal(judge(WRITE_OPEN, put(texts[i], &bob, 0), anybody(&bob), unreachable),
                     WRITE_ALLOWED);
    assert_int_equal(judge(WRITE_OPEN, put(texts[i], &eve, NOW), anybody(&eve), no_pin),
                     WRITE_REFUSED);
    assert_int_equal(judge(WRITE_OPEN, put(texts[i], &eve, NOW), anybody(&eve), pinned(&eve, 0)),
                     WRITE_REFUSED);
  }
}

/* */
static void address_empties_its_own_inbox(void **state) {
  (void)state;
  static const char *const texts[] = {"offline:bob@example.net",
                                      "subscribe:presence:bob@example.net"};
  for (unsigned i = 0; i < 2; i++) {
    struct write_request message = put(texts[i], &alice, 0), removal = message;
    removal.removal = true;
    assert_int_equal(judge(WRITE_OPEN, message, anybody(&alice), no_pin), WRITE_ALLOWED);
    assert_int_equal(judge(WRITE_CLOSED, message, anybody(&alice), no_pin), WRITE_REFUSED);
    assert_int_equal(judge(WRITE_CLOSED, message, issued(&alice, "alice@home.com"), no_pin),
                     WRITE_ALLOWED);
    assert_int_equal(judge(WRITE_OPEN, removal, anybody(&alice), no_pin), WRITE_ALLOWED);
    assert_int_equal(judge(WRITE_OPEN, removal, anybody(&bob), pinned(&bob, 1)), WRITE_ALLOWED);
    assert_int_equal(judge(WRITE_OPEN, removal, anybody(&eve), pinned(&bob, 1)), WRITE_REFUSED);
    assert_int_equal(judge(WRITE_OPEN, removal, anybody(&bob), unreachable), WRITE_UNSURE);
    assert_int_equal(judge(WRITE_OPEN, removal, anybody(&bob), no_pin), WRITE_REFUSED);
    assert_int_equal(judge(WRITE_CLOSED, removal, issued(&bob, "bob@example.net"), no_pin),
                     WRITE_ALLOWED);
    assert_int_equal(judge(WRITE_CLOSED, removal, issued(&eve, "eve@example.net"), no_pin),
                     WRITE_REFUSED);
    assert_int_equal(judge(WRITE_OPEN, message, anybody(&bob), pinned(&bob, 1)), WRITE_REFUSED);
  }
}

/* nobody writes another's record, whatever else he may. */
static void nobody_writes_for_another(void **state) {
  (void)state;
  static const char *const texts[] = {"sip:bob@example.net", "certificate:bob@example.net",
                                      "urn:service:turn", "private:bob@example.net"};
  static const enum write_mode modes[] = {WRITE_LABORATORY, WRITE_CLOSED, WRITE_OPEN};
  for (unsigned m = 0; m < 3; m++)
    for (unsigned i = 0; i < 4; i++) {
      struct write_request request = put(texts[i], &alice, NOW);
      assert_int_equal(judge(modes[m], request, issued(&bob, "bob@example.net"), pinned(&bob, NOW)),
                       WRITE_REFUSED);
      request.removal = true;
      assert_int_equal(judge(modes[m], request, issued(&bob, "bob@example.net"), pinned(&bob, NOW)),
                       WRITE_REFUSED);
    }
}

/* */
static void others_and_immutable(void **state) {
  (void)state;
  struct write_request service = put("urn:service:turn", &eve, 0);
  assert_int_equal(judge(WRITE_OPEN, service, anybody(&eve), unreachable), WRITE_ALLOWED);
  assert_int_equal(judge(WRITE_CLOSED, service, anybody(&eve), no_pin), WRITE_REFUSED);
  assert_int_equal(judge(WRITE_CLOSED, service, issued(&eve, NULL), no_pin), WRITE_ALLOWED);
  assert_int_equal(
      judge(WRITE_LABORATORY, put("sip:bob@example.net", &eve, 0), anybody(&eve), no_pin),
      WRITE_ALLOWED);
  static const enum write_mode modes[] = {WRITE_LABORATORY, WRITE_CLOSED, WRITE_OPEN};
  for (unsigned m = 0; m < 3; m++)
    assert_int_equal(judge(modes[m], put("immut:00", &eve, 0), issued(&eve, NULL), no_pin),
                     WRITE_REFUSED);
}

static void says_whose_pin_is_asked_for(void **state) {
  (void)state;
#define ASKS(mode, text, address) \
  assert_true(slice_equal(write_address(mode, SLICE(text)), slice_cstr(address)))
  ASKS(WRITE_OPEN, "sip:bob@example.net", "bob@example.net");
  ASKS(WRITE_OPEN, "sip:bob@example.net;replica=1", "bob@example.net");
  ASKS(WRITE_OPEN, "subscribe:presence:bob@example.net", "bob@example.net");
  ASKS(WRITE_OPEN, "certificate:bob@example.net", "bob@example.net");
  ASKS(WRITE_OPEN, "urn:service:turn", "");
  ASKS(WRITE_OPEN, "subscribe:", "");
  ASKS(WRITE_OPEN, "", "");
  ASKS(WRITE_CLOSED, "sip:bob@example.net", "");
  ASKS(WRITE_LABORATORY, "sip:bob@example.net", "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(closed_overlay_asks_for_the_address),
      cmocka_unit_test(open_overlay_asks_for_the_pinned_key),
      cmocka_unit_test(open_overlay_pins_the_first_key),
      cmocka_unit_test(pins_that_meet_are_ordered),
      cmocka_unit_test(a_key_names_its_successor),
      cmocka_unit_test(key_hash_belongs_to_its_key),
      cmocka_unit_test(address_empties_its_own_inbox),
      cmocka_unit_test(nobody_writes_for_another),
      cmocka_unit_test(others_and_immutable),
      cmocka_unit_test(says_whose_pin_is_asked_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
