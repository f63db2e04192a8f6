/* SPDX-License-Identifier: BSD-2-Clause */
/* Zave's operations at one peer, the test being all others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/one_overlay.h"

static struct one_overlay one;
static const uint8_t far_ring[] = {110, 120, 130};

/* Peer 100 of a large ring, r = 3, its first stabilisation under way. */
static void begin(void) {
  one_init(&one, 100, 3);
  one_join(&one, 90, far_ring, 3);
}

static void answer_successor(uint8_t place, uint8_t predecessor, const uint8_t *list,
                             unsigned count) {
  struct overlay_message m = one_says(OVERLAY_NEIGHBORS, place, predecessor, list, count);
  one_answer(&one, one_wait(&one, OVERLAY_NEIGHBORS), OVERLAY_OK, &m);
}

/* list := m's list, predecessor := m, member, in one step; then stabilise at once. */
static void test_join_takes_the_lists_of_the_peer_before(void **state) {
  (void)state;
  begin();
  assert_string_equal(one_list(&one), "110 120 130");
  assert_int_equal(overlay_predecessor(one.overlay)->id.byte[0], 90);
  const struct overlay_call *call = one_call(&one, OVERLAY_NEIGHBORS, 110);
  assert_non_null(call);
  assert_int_not_equal(call->ticket, 0);
  one_free(&one);
}

static void test_join_refuses_a_place_that_is_not_its_own(void **state) {
  (void)state;
  const uint8_t wrong[] = {50, 60, 70}; /* 100 is not between 10 and 50 */
  one_init(&one, 100, 3);
  struct endpoint bootstrap = one_peer(10).at;
  overlay_join(one.overlay, one.now, &bootstrap, 1, &one.calls);
  struct overlay_message route = one_says(OVERLAY_ROUTE, 50, 10, wrong, 3);
  one_answer(&one, one_wait(&one, OVERLAY_ROUTE), OVERLAY_OK, &route);
  struct overlay_message join = one_says(OVERLAY_JOIN, 10, 0, wrong, 3);
  one_answer(&one, one_wait(&one, OVERLAY_JOIN), OVERLAY_OK, &join);
  assert_false(overlay_is_member(one.overlay));
  one_wait(&one, OVERLAY_ROUTE); /* and it starts again */
  one_free(&one);
}

/* */
static void test_join_follows_elsewhere_sixteen_times(void **state) {
  (void)state;
  one_init(&one, 100, 3);
  struct endpoint bootstrap = one_peer(10).at;
  overlay_join(one.overlay, one.now, &bootstrap, 1, &one.calls);
  struct overlay_message route = one_says(OVERLAY_ROUTE, 110, 20, NULL, 0);
  one_answer(&one, one_wait(&one, OVERLAY_ROUTE), OVERLAY_OK, &route);
  uint8_t place = 20;
  for (int i = 0; i < 16; i++) {
    struct overlay_message m = {.method = OVERLAY_JOIN, .subject = one_peer(++place)};
    const struct overlay_call *call = one_wait(&one, OVERLAY_JOIN);
    assert_int_equal(call->to.id.byte[0], place - 1);
    one_answer(&one, call, OVERLAY_ELSEWHERE, &m);
  }
  struct overlay_message m = {.method = OVERLAY_JOIN, .subject = one_peer(99)};
  one_answer(&one, one_wait(&one, OVERLAY_JOIN), OVERLAY_ELSEWHERE, &m);
  assert_null(one_call(&one, OVERLAY_JOIN, 99));
  one_wait(&one, OVERLAY_ROUTE);
  one_free(&one);
}

static void test_stabilise_takes_head_and_rest_from_one_answer(void **state) {
  (void)state;
  const uint8_t list[] = {140, 150, 160};
  begin();
  answer_successor(110, 100, list, 3);
  assert_string_equal(one_list(&one), "110 140 150"); /* s, then s's list without its last */
  one_free(&one);
}

/* published Chord's mistake: 105 is said to exist, and is not adopted before it answers. */
static void test_unanswered_pointer_is_never_adopted(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140}, better[] = {110, 120, 130};
  begin();
  answer_successor(110, 105, list, 3);
  assert_string_equal(one_list(&one), "110 120 130");
  const struct overlay_call *call = one_call(&one, OVERLAY_NEIGHBORS, 105);
  assert_non_null(call);
  assert_null(one_call(&one, OVERLAY_NOTIFY, 110)); /* not while it may have to be 105 */
  one_answer(&one, call, OVERLAY_FAILED, NULL);     /* dead: list unchanged, notify the first */
  assert_string_equal(one_list(&one), "110 120 130");
  assert_non_null(one_call(&one, OVERLAY_NOTIFY, 110));
  one_free(&one);

  begin();
  answer_successor(110, 105, list, 3);
  struct overlay_message m = one_says(OVERLAY_NEIGHBORS, 105, 90, better, 3);
  one_answer(&one, one_call(&one, OVERLAY_NEIGHBORS, 105), OVERLAY_OK, &m);
  assert_string_equal(one_list(&one), "105 110 120");
  assert_non_null(one_call(&one, OVERLAY_NOTIFY, 105));
  one_free(&one);
}

static void test_dead_successor_is_dropped_and_the_next_notified(void **state) {
  (void)state;
  const enum overlay_status dead[] = {OVERLAY_FAILED, OVERLAY_NOT_JOINED, OVERLAY_NOT_ME};
  for (unsigned i = 0; i < 3; i++) {
    begin();
    one_answer(&one, one_wait(&one, OVERLAY_NEIGHBORS), dead[i], NULL);
    if (dead[i] == OVERLAY_FAILED) { /* asked again, at once */
      assert_string_equal(one_list(&one), "110 120 130");
      one_answer(&one, one_call(&one, OVERLAY_NEIGHBORS, 110), OVERLAY_FAILED, NULL);
    }
    assert_string_equal(one_list(&one), "120 130");
    assert_non_null(one_call(&one, OVERLAY_NOTIFY, 120));
    assert_non_null(one_call(&one, OVERLAY_NEIGHBORS, 120)); /* at once */
    one_free(&one);
  }
}

/* an answer in between, and the next silence is a first one. */
static void test_one_silence_does_not_drop_a_successor(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  begin();
  for (int round = 0; round < 4; round++) {
    one_answer(&one, one_wait(&one, OVERLAY_NEIGHBORS), OVERLAY_FAILED, NULL);
    assert_string_equal(one_list(&one), "110 120 130");
    if (round % 2 == 0) {
      answer_successor(110, 100, list, 3);
    } else {
      one_answer(&one, one_wait(&one, OVERLAY_NEIGHBORS), OVERLAY_BUSY, NULL);
    }
    assert_string_equal(one_list(&one), "110 120 130");
  }
  one_free(&one);
}

/* 105 was cut off, alone or with us. It is told of us; its list does not replace ours. */
static void test_a_list_without_our_head_is_not_taken(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140}, with_us[] = {100}, after[] = {120, 130},
                right[] = {107, 110, 120};
  const struct {
    const uint8_t *list;
    unsigned count;
    const char *ours;
  } it[] = {{NULL, 0, "110 120 130"},
            {with_us, 1, "110 120 130"},
            {after, 2, "110 120 130"},
            {right, 3, "105 107 110"}};
  for (unsigned i = 0; i < 4; i++) {
    begin();
    answer_successor(110, 105, list, 3);
    struct overlay_message m = one_says(OVERLAY_NEIGHBORS, 105, 90, it[i].list, it[i].count);
    one_answer(&one, one_call(&one, OVERLAY_NEIGHBORS, 105), OVERLAY_OK, &m);
    assert_string_equal(one_list(&one), it[i].ours);
    assert_non_null(one_call(&one, OVERLAY_NOTIFY, 105));
    assert_false(one.overlay->small);
    one_free(&one);
  }
}

static void test_a_first_successor_that_is_alone_is_no_member(void **state) {
  (void)state;
  begin();
  answer_successor(110, 0, NULL, 0);
  assert_string_equal(one_list(&one), "120 130");
  one_free(&one);
}

/* what changes in the list is told to the peer before, whose list has it, too; but for the
 * last of the list. */
static void test_changes_of_the_list_are_told_to_the_peer_before(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140}, last[] = {120, 125, 130}, newcomer[] = {115, 120, 130},
                lost[] = {130, 140};
  begin();
  answer_successor(110, 100, list, 3); /* a joiner notifies it once in any case */
  answer_successor(110, 100, last, 3);
  assert_null(one_call(&one, OVERLAY_NOTIFY, 90));
  answer_successor(110, 100, newcomer, 3);
  assert_non_null(one_call(&one, OVERLAY_NOTIFY, 90));
  answer_successor(110, 100, lost, 2);
  assert_string_equal(one_list(&one), "110 130 140");
  assert_non_null(one_call(&one, OVERLAY_NOTIFY, 90));
  for (int i = 0; i < 2; i++)
    one_answer(&one, one_wait(&one, OVERLAY_NEIGHBORS), OVERLAY_FAILED, NULL);
  assert_string_equal(one_list(&one), "130 140");
  assert_non_null(one_call(&one, OVERLAY_NOTIFY, 90));
  one_free(&one);
}

/* The other side of it: it asks within 0.24 s, however quiet its rounds were. */
static void test_the_first_successor_asks_to_be_asked(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  begin();
  for (int round = 0; round < 15; round++) answer_successor(110, 100, list, 3);
  for (int told = 0; told < 2; told++) {
    if (told) one_request(&one, OVERLAY_NOTIFY, 110);
    usec since = one.now;
    one_wait(&one, OVERLAY_NEIGHBORS);
    assert_true((one.now - since <= MSEC(245)) == told);
    answer_successor(110, 100, list, 3);
  }
  one_free(&one);
}

/* */
static void test_state_queries_are_answered_busy_while_waiting(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  begin();
  assert_int_equal(one_request(&one, OVERLAY_NEIGHBORS, 90), OVERLAY_BUSY);
  assert_int_equal(one_request(&one, OVERLAY_JOIN, 105), OVERLAY_BUSY);
  assert_int_equal(one_request(&one, OVERLAY_PING, 90), OVERLAY_OK);
  assert_int_equal(one_request(&one, OVERLAY_NOTIFY, 90), OVERLAY_OK);
  assert_int_equal(one_request(&one, OVERLAY_UPDATE, 90), OVERLAY_OK);
  assert_int_equal(one_request(&one, OVERLAY_LEAVE, 200), OVERLAY_OK);
  assert_int_equal(one_request(&one, OVERLAY_ROUTE, 200), OVERLAY_OK);
  one_free(&one);

  begin();
  answer_successor(110, 100, list, 3);
  assert_int_equal(one_request(&one, OVERLAY_NEIGHBORS, 90), OVERLAY_OK);
  assert_int_equal(one.answer.successor_count, 3);
  assert_int_equal(one.answer.predecessor.id.byte[0], 90);
  assert_int_equal(one_request(&one, OVERLAY_JOIN, 105), OVERLAY_OK);
  one_free(&one);
}

static void test_busy_successor_is_alive_and_asked_again_within_150_ms(void **state) {
  (void)state;
  begin();
  one_answer(&one, one_wait(&one, OVERLAY_NEIGHBORS), OVERLAY_BUSY, NULL);
  assert_string_equal(one_list(&one), "110 120 130");
  usec asked = one.now;
  assert_null(one_call(&one, OVERLAY_NEIGHBORS, 110));
  const struct overlay_call *call = one_wait(&one, OVERLAY_NEIGHBORS);
  assert_int_equal(call->to.id.byte[0], 110);
  assert_in_range(one.now - asked, MSEC(50), MSEC(151));
  one_free(&one);
}

/* quiet stabilisation comes every 5 s, give or take 20 %; no two peers in step. */
static void test_quiet_rounds_are_slow_and_jittered(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  struct overlay_message m = one_says(OVERLAY_NEIGHBORS, 110, 100, list, 3);
  struct overlay_message last = one_says(OVERLAY_NEIGHBORS, 130, 120, list + 2, 1);
  usec asked = 0, shortest = USEC_NEVER, longest = 0;
  begin();
  for (int round = 0; round < 60; round++) {
    const struct overlay_call *call = one_wait(&one, OVERLAY_NEIGHBORS);
    bool head = call->to.id.byte[0] == 110;
    if (head && round > 20) {
      shortest = usec_min(shortest, one.now - asked);
      longest = usec_max(longest, one.now - asked);
    }
    if (head) asked = one.now;
    one_answer(&one, call, OVERLAY_OK, head ? &m : &last);
  }
  assert_in_range(shortest, SEC(4), SEC(5));
  assert_in_range(longest, SEC(5), SEC(6) + MSEC(2));
  one_free(&one);
}

/* Rectify */
static void test_notifier_is_adopted_after_its_own_answer(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  struct overlay_message m = one_says(OVERLAY_NEIGHBORS, 110, 100, list, 3);
  begin();
  struct overlay_call call = *one_wait(&one, OVERLAY_NEIGHBORS);
  one_request(&one, OVERLAY_NOTIFY, 95); /* waits: an operation is under way */
  one_request(&one, OVERLAY_NOTIFY, 97); /* better */
  one_request(&one, OVERLAY_NOTIFY, 96); /* not better than 97 */
  one_answer(&one, &call, OVERLAY_OK, &m);
  assert_int_equal(overlay_predecessor(one.overlay)->id.byte[0], 90);
  const struct overlay_call *ping = one_call(&one, OVERLAY_PING, 97);
  assert_non_null(ping);
  assert_null(one_call(&one, OVERLAY_PING, 95));
  m = one_says(OVERLAY_PING, 97, 0, NULL, 0);
  one_answer(&one, ping, OVERLAY_OK, &m);
  assert_int_equal(overlay_predecessor(one.overlay)->id.byte[0], 97);

  one_request(&one, OVERLAY_NOTIFY, 80); /* farther: only if 97 is dead */
  ping = one_call(&one, OVERLAY_PING, 97);
  assert_non_null(ping);
  one_answer(&one, ping, OVERLAY_OK, &m);
  assert_int_equal(overlay_predecessor(one.overlay)->id.byte[0], 97);

  one_request(&one, OVERLAY_NOTIFY, 80); /* it is asked again first */
  one_answer(&one, one_call(&one, OVERLAY_PING, 97), OVERLAY_FAILED, NULL);
  assert_null(one_call(&one, OVERLAY_PING, 80));
  ping = one_call(&one, OVERLAY_PING, 97);
  assert_non_null(ping);
  one_answer(&one, ping, OVERLAY_OK, &m);
  assert_int_equal(overlay_predecessor(one.overlay)->id.byte[0], 97);

  one_request(&one, OVERLAY_NOTIFY, 80);
  one_answer(&one, one_call(&one, OVERLAY_PING, 97), OVERLAY_NOT_JOINED, NULL);
  m = one_says(OVERLAY_PING, 80, 0, NULL, 0);
  one_answer(&one, one_call(&one, OVERLAY_PING, 80), OVERLAY_OK, &m);
  assert_int_equal(overlay_predecessor(one.overlay)->id.byte[0], 80);
  one_free(&one);
}

/* the predecessor is dead, but nobody has noticed; a newcomer right after us says hello. */
static void test_newcomer_after_us_is_no_predecessor(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140}, newcomers[] = {110, 120, 130};
  begin();
  answer_successor(110, 100, list, 3);
  one_request(&one, OVERLAY_NOTIFY, 105);
  for (unsigned i = 0; i < 2; i++) {
    const struct overlay_call *old = one_call(&one, OVERLAY_PING, 90);
    if (old != NULL) one_answer(&one, old, OVERLAY_FAILED, NULL);
    struct overlay_message m = one_says(OVERLAY_PING, 105, 0, NULL, 0);
    const struct overlay_call *new = one_call(&one, OVERLAY_PING, 105);
    if (new != NULL) one_answer(&one, new, OVERLAY_OK, &m);
    if (i > 0) break;
    answer_successor(105, 100, newcomers, 3);
    assert_string_equal(one_list(&one), "105 110 120");
    one_request(&one, OVERLAY_NOTIFY, 105); /* by now it is the first successor */
  }
  assert_int_equal(overlay_predecessor(one.overlay)->id.byte[0], 90);
  one_free(&one);
}

static void test_notifier_that_is_no_member_is_not_adopted(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  begin();
  answer_successor(110, 100, list, 3);
  one_request(&one, OVERLAY_NOTIFY, 95);
  one_answer(&one, one_call(&one, OVERLAY_PING, 95), OVERLAY_NOT_JOINED, NULL);
  assert_int_equal(overlay_predecessor(one.overlay)->id.byte[0], 90);
  one_free(&one);
}

/* the leaver is asked itself; nobody can talk a living peer out of the ring. */
static void test_leave_is_a_hint(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  begin();
  answer_successor(110, 100, list, 3);
  one_request(&one, OVERLAY_LEAVE, 110);
  assert_string_equal(one_list(&one), "110 120 130");
  const struct overlay_call *call = one_call(&one, OVERLAY_NEIGHBORS, 110);
  assert_non_null(call);
  one_answer(&one, call, OVERLAY_NOT_JOINED, NULL);
  assert_string_equal(one_list(&one), "120 130");
  one_free(&one);
}

/* */
static void test_leaver_tells_its_neighbours_and_is_no_member(void **state) {
  (void)state;
  begin();
  uint32_t ticket = one_wait(&one, OVERLAY_NEIGHBORS)->ticket;
  one.calls.count = 0;
  overlay_leave(one.overlay, one.now, &one.calls, NULL);
  assert_int_equal(one.calls.count, 4); /* three successors and the predecessor */
  assert_non_null(one_call(&one, OVERLAY_LEAVE, 90));
  assert_false(overlay_is_member(one.overlay));
  assert_int_equal(overlay_deadline(one.overlay), USEC_NEVER);
  assert_int_equal(one_request(&one, OVERLAY_PING, 90), OVERLAY_NOT_JOINED);
  struct overlay_message late = one_says(OVERLAY_NEIGHBORS, 110, 100, far_ring, 3);
  one.calls.count = 0;
  overlay_on_answer(one.overlay, one.now, ticket, OVERLAY_OK, &late, &one.calls, NULL);
  assert_int_equal(one.calls.count, 0);
  assert_string_equal(one_list(&one), "");
  one_free(&one);
}

/* A peer that started again did not keep its place; its former life is a failure. */
static void test_next_life_is_another_peer(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  begin();
  uint64_t generation = overlay_generation(one.overlay);
  struct overlay_message m = one_says(OVERLAY_NEIGHBORS, 110, 100, list, 3);
  m.sender.incarnation = 2;
  one_answer(&one, one_wait(&one, OVERLAY_NEIGHBORS), OVERLAY_OK, &m);
  assert_string_equal(one_list(&one), "120 130");
  assert_true(overlay_generation(one.overlay) > generation);
  const struct overlay_call *call = one_call(&one, OVERLAY_NEIGHBORS, 110); /* as a newcomer */
  assert_non_null(call);
  one_answer(&one, call, OVERLAY_OK, &m);
  assert_string_equal(one_list(&one), "110 120 130");
  assert_int_equal(one.overlay->list.at[0].incarnation, 2);
  one_free(&one);
}

static void test_answer_of_another_peer_is_no_answer(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  begin();
  struct overlay_message m = one_says(OVERLAY_NEIGHBORS, 111, 100, list, 3);
  one_answer(&one, one_wait(&one, OVERLAY_NEIGHBORS), OVERLAY_OK, &m); /* asked: 110 */
  assert_string_equal(one_list(&one), "120 130");
  one_free(&one);
}

static void test_late_and_repeated_answers_change_nothing(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140}, other[] = {170, 180, 190};
  begin();
  struct overlay_call call = *one_wait(&one, OVERLAY_NEIGHBORS);
  struct overlay_message m = one_says(OVERLAY_NEIGHBORS, 110, 100, list, 3);
  one_answer(&one, &call, OVERLAY_OK, &m);
  struct overlay_message n = one_says(OVERLAY_NEIGHBORS, 110, 100, other, 3);
  one_answer(&one, &call, OVERLAY_OK, &n);
  one_answer(&one, &call, OVERLAY_FAILED, NULL);
  call.ticket = 0;
  one_answer(&one, &call, OVERLAY_FAILED, NULL);
  call.ticket = 12345;
  one_answer(&one, &call, OVERLAY_OK, NULL);
  assert_string_equal(one_list(&one), "110 120 130");
  one_free(&one);
}

static void test_a_ticket_never_answered_does_not_stop_the_peer(void **state) {
  (void)state;
  begin();
  for (int i = 0; i < 2; i++) {
    one.now += ANSWER_LOST_US;
    one.calls.count = 0;
    overlay_on_tick(one.overlay, one.now, &one.calls, NULL);
  }
  assert_string_equal(one_list(&one), "120 130");
  assert_non_null(one_call(&one, OVERLAY_NEIGHBORS, 120));
  one_free(&one);
}

static void test_hostile_lists_are_cut_where_they_lie(void **state) {
  (void)state;
  static const struct {
    uint8_t list[4];
    unsigned count;
    const char *want;
  } cases[] = {
      {{120, 120, 130}, 3, "110 120"}, /* twice the same */
      {{130, 120, 140}, 3, "110 130"}, /* out of order */
      {{110, 120, 130}, 3, "110"},     /* names itself */
      {{105, 120, 130}, 3, "110 90"},  /* past us: as if 110 and 90 were all */
      {{120, 130, 140, 150}, 4, "110 120 130"},
      {{0}, 0, "120 130"}, /* alone: no member */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    begin();
    answer_successor(110, 100, cases[i].list, cases[i].count);
    assert_string_equal(one_list(&one), cases[i].want);
    one_free(&one);
  }
}

static void test_requests_in_our_own_name_are_refused(void **state) {
  (void)state;
  for (int method = OVERLAY_JOIN; method < OVERLAY_ROUTE; method++) { /* our route may come home */
    begin();
    assert_int_equal(one_request(&one, (enum overlay_method)method, 100), OVERLAY_FAILED);
    assert_int_equal(one_request(&one, (enum overlay_method)method, 0), OVERLAY_FAILED);
    one_free(&one);
  }
}

/* the joiner belongs elsewhere.: between(m, j, m's first successor). */
static void test_join_is_checked_by_the_peer_before(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  begin();
  answer_successor(110, 100, list, 3);
  assert_int_equal(one_request(&one, OVERLAY_JOIN, 125), OVERLAY_ELSEWHERE);
  assert_int_equal(one.answer.subject.id.byte[0], 120);
  assert_int_equal(one_request(&one, OVERLAY_JOIN, 99), OVERLAY_ELSEWHERE);
  assert_int_equal(one.answer.subject.id.byte[0], 130);
  assert_int_equal(one_request(&one, OVERLAY_JOIN, 105), OVERLAY_OK);
  assert_int_equal(one_request(&one, OVERLAY_JOIN, 106), OVERLAY_BUSY); /* one at a time */
  assert_int_equal(one_request(&one, OVERLAY_JOIN, 105), OVERLAY_OK);   /* its repetition */
  one.now += ADMISSION_US;
  assert_int_equal(one_request(&one, OVERLAY_JOIN, 106), OVERLAY_OK);
  assert_string_equal(one_list(&one), "110 120 130"); /* admitting changes nothing here */
  one_free(&one);
}

/* */
static void test_a_peer_that_loses_all_successors_joins_again(void **state) {
  (void)state;
  begin();
  for (int i = 0; i < 6; i++) { /* each twice */
    one_answer(&one, one_wait(&one, OVERLAY_NEIGHBORS), OVERLAY_FAILED, NULL);
  }
  assert_true(overlay_is_member(one.overlay));
  const struct key key = one_key(7);
  assert_true(overlay_is_responsible(one.overlay, &key));
  bool asked[256] = {false};
  for (int i = 0; i < 40; i++) {
    const struct overlay_call *call = one_wait(&one, OVERLAY_ROUTE);
    asked[call->to.at.addr[3]] = true;
    assert_true(key_equal(&call->key, &one.overlay->self.id));
    one_answer(&one, call, OVERLAY_FAILED, NULL);
  }
  assert_true(asked[90] && asked[110] && asked[120] && asked[130]);
  one_free(&one);
}

/* */
static void test_update_enters_nobody_who_does_not_answer(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  begin();
  answer_successor(110, 100, list, 3);
  struct overlay_message update = {
      .method = OVERLAY_UPDATE, .sender = one_peer(60), .subject = one_peer(200)};
  one.calls.count = 0;
  overlay_on_request(one.overlay, one.now, &update, &one.answer, &one.calls, NULL);
  const struct overlay_call *ping = one_call(&one, OVERLAY_PING, 200);
  assert_non_null(ping);
  assert_int_equal(one.overlay->fingers.count, 0);
  uint32_t ticket = ping->ticket;
  one.calls.count = 0;
  overlay_on_request(one.overlay, one.now, &update, &one.answer, &one.calls, NULL);
  assert_null(one_call(&one, OVERLAY_PING, 200)); /* one ping is enough */
  struct overlay_message pong = one_says(OVERLAY_PING, 200, 0, NULL, 0);
  overlay_on_answer(one.overlay, one.now, ticket, OVERLAY_OK, &pong, &one.calls, NULL);
  assert_int_equal(one.overlay->fingers.count, 1);

  update.lost = true; /* probed, not dropped on the word of another */
  one.calls.count = 0;
  overlay_on_request(one.overlay, one.now, &update, &one.answer, &one.calls, NULL);
  assert_int_equal(one.overlay->fingers.count, 1);
  one_answer(&one, one_call(&one, OVERLAY_PING, 200), OVERLAY_FAILED, NULL);
  assert_int_equal(one.overlay->fingers.count, 0);
  one_free(&one);
}

static void test_every_allocation_may_fail(void **state) {
  (void)state;
  const uint8_t list[] = {120, 130, 140};
  for (uint64_t fail = 2; fail < 12; fail++) {
    one_init(&one, 100, 3);
    one.memory.fail_after = fail;
    struct endpoint bootstrap = one_peer(90).at;
    overlay_join(one.overlay, one.now, &bootstrap, 1, &one.calls);
    for (int i = 0; i < 20; i++) {
      usec at = overlay_deadline(one.overlay);
      one.now = at == USEC_NEVER ? one.now + SEC(1) : usec_max(at, one.now);
      one.calls.count = 0;
      overlay_on_tick(one.overlay, one.now, &one.calls, NULL);
      struct peer silent = one_peer(110);
      overlay_on_peer_silent(one.overlay, one.now, &silent, &one.calls, NULL);
      if (i == 10) one.memory.fail_after = TEST_MEMORY_UNLIMITED;
    }
    struct overlay_message route = one_says(OVERLAY_ROUTE, 110, 90, far_ring + 1, 2);
    if (!overlay_is_member(one.overlay)) {
      one.now += ANSWER_LOST_US;
      one.calls.count = 0;
      overlay_on_tick(one.overlay, one.now, &one.calls, NULL);
      one_answer(&one, one_wait(&one, OVERLAY_ROUTE), OVERLAY_OK, &route);
      struct overlay_message join = one_says(OVERLAY_JOIN, 90, 0, far_ring, 3);
      one_answer(&one, one_wait(&one, OVERLAY_JOIN), OVERLAY_OK, &join);
    }
    answer_successor(110, 100, list, 3);
    assert_string_equal(one_list(&one), "110 120 130");
    one_free(&one);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_join_takes_the_lists_of_the_peer_before),
      cmocka_unit_test(test_join_refuses_a_place_that_is_not_its_own),
      cmocka_unit_test(test_join_follows_elsewhere_sixteen_times),
      cmocka_unit_test(test_stabilise_takes_head_and_rest_from_one_answer),
      cmocka_unit_test(test_unanswered_pointer_is_never_adopted),
      cmocka_unit_test(test_dead_successor_is_dropped_and_the_next_notified),
      cmocka_unit_test(test_one_silence_does_not_drop_a_successor),
      cmocka_unit_test(test_a_list_without_our_head_is_not_taken),
      cmocka_unit_test(test_a_first_successor_that_is_alone_is_no_member),
      cmocka_unit_test(test_changes_of_the_list_are_told_to_the_peer_before),
      cmocka_unit_test(test_the_first_successor_asks_to_be_asked),
      cmocka_unit_test(test_state_queries_are_answered_busy_while_waiting),
      cmocka_unit_test(test_busy_successor_is_alive_and_asked_again_within_150_ms),
      cmocka_unit_test(test_quiet_rounds_are_slow_and_jittered),
      cmocka_unit_test(test_notifier_is_adopted_after_its_own_answer),
      cmocka_unit_test(test_newcomer_after_us_is_no_predecessor),
      cmocka_unit_test(test_notifier_that_is_no_member_is_not_adopted),
      cmocka_unit_test(test_leave_is_a_hint),
      cmocka_unit_test(test_leaver_tells_its_neighbours_and_is_no_member),
      cmocka_unit_test(test_next_life_is_another_peer),
      cmocka_unit_test(test_answer_of_another_peer_is_no_answer),
      cmocka_unit_test(test_late_and_repeated_answers_change_nothing),
      cmocka_unit_test(test_a_ticket_never_answered_does_not_stop_the_peer),
      cmocka_unit_test(test_hostile_lists_are_cut_where_they_lie),
      cmocka_unit_test(test_requests_in_our_own_name_are_refused),
      cmocka_unit_test(test_join_is_checked_by_the_peer_before),
      cmocka_unit_test(test_a_peer_that_loses_all_successors_joins_again),
      cmocka_unit_test(test_update_enters_nobody_who_does_not_answer),
      cmocka_unit_test(test_every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
