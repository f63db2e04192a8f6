/* SPDX-License-Identifier: BSD-2-Clause */
/* What a hop does with requests on their way, and with their answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/asker.h"
#include "support/records.h"

static struct net net;
static struct asker asker = {.net = &net};

static struct key key_of(uint8_t first) { return (struct key){{first, 1}}; }
static bool has(const char *word) { return strstr(asker.answer, word) != NULL; }
static void end(void) { assert_true(net_close(&net)); }
#define ASK(...) asker_ask(&asker, &(struct ask){__VA_ARGS__})

static unsigned count_letters(const char *word) {
  unsigned n = 0;
  while (net_take(&net, word, "SIP/2.0 ") != NULL) n++;
  return n;
}

/* what a hop writes; and what it says when it sees that
 * again. */
static void test_what_a_hop_changes_and_loops(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  struct key key = key_of(0x30);
  asker_watch(&asker, 0);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ";what=ever;deadline=7000;flag"),
                       .via = "X-Unknown:  kept  as it is\n"),
                   404);
  assert_int_equal(asker.seen_count, 1);
  assert_non_null(strstr(asker.seen, ";what=ever"));
  assert_non_null(strstr(asker.seen, ";flag"));
  assert_non_null(strstr(asker.seen, ";final"));
  assert_non_null(strstr(asker.seen, ";deadline=7000"));
  assert_non_null(strstr(asker.seen, "X-Unknown:  kept  as it is\r\n"));
  assert_non_null(strstr(asker.seen, "Max-Forwards: 69\r\n"));
  assert_true(strlen(asker.seen) <= strlen(asker.sent) + 160 + strlen(";final"));
  /* the body byte for byte */
  assert_string_equal(strstr(asker.seen, "\r\n\r\n"), strstr(asker.sent, "\r\n\r\n"));
  /* only one Via added, and the answer came without it */
  assert_null(strstr(asker.answer, "10.0.0.1"));
  /* The same request again, with the Via that node 0 has put in: a loop. */
  const char *via = strstr(asker.seen, "Via: ");
  char own[200];
  size_t len = strcspn(via, "\r");
  assert_true(len + 2 < sizeof own);
  memcpy(own, via, len);
  own[len] = '\n';
  own[len + 1] = 0;
  char call_id[40];
  snprintf(call_id, sizeof call_id, "call%u@a.example", asker.number);
  char lines[300];
  snprintf(lines, sizeof lines, "%s%s", asker_key_line(&key, ""), own);
  assert_int_equal(ASK(.lines = lines, .call_id = call_id), 482);
  /* With another Call-ID it is a spiral of somebody else's, not a loop. */
  assert_int_equal(ASK(.lines = lines), 404);
  /* of a parameter longer than any buffer of ours */
  char params[2100] = ";long=";
  memset(params + 6, 'x', 2000);
  assert_int_equal(ASK(.lines = asker_key_line(&key, params)), 404);
  assert_non_null(strstr(asker.seen, params));
  end();
}

static char passed[20000]; /* the final answer that node 0 heard */
static bool note_answer(struct net *w, uint32_t node, const struct input *message) {
  (void)w;
  if (node != 0 || !slice_starts(message->data, SLICE("SIP/2.0 2"))) return false;
  if (slice_find(message->data, SLICE("@a.example")) == message->data.len) return false;
  snprintf(passed, sizeof passed, "%.*s", SLICE_FMT(message->data));
  return false;
}

/* one final answer goes back, without the own Via and else byte for byte; a 100 of
 * the next hop does not; what comes again is counted, and answers nobody else's request. */
static void test_one_answer_is_passed_back(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  const char *uri;
  struct key key = asker_key_of_node(&net, 1, &uri);
  static char body[3000];
  snprintf(body, sizeof body,
           "<methodCall><methodName>put-auth</methodName><params><param>" TEST_RECORD(
               "%s", "2026-05-03T12:00:00.000Z", "n", "2026-05-03T12:00:00.000Z", "5",
               "<a></a>") "</param></params></methodCall>",
           uri);
  asker_watch(&asker, 0);
  net.on_hear = note_answer;
  asker_send(&asker, &(struct ask){.lines = asker_key_line(&key, ""), .body = body});
  net_run_for(&net, SEC(2));
  assert_int_equal(count_letters("SIP/2.0 100"), 1);
  assert_int_equal(asker_wait(&asker, 0), 200);
  const char *via = strstr(asker.seen, "branch=z9hG4bK") + strlen("branch=z9hG4bK");
  assert_true(strspn(via, "0123456789abcdefABCDEF") >= 8);
  const char *own = strstr(passed, "Via: "), *rest = strstr(own, "\r\n") + 2;
  assert_memory_equal(passed, asker.answer, (size_t)(own - passed));
  assert_string_equal(rest, asker.answer + (own - passed));
  uint64_t bad = node_stats(net.at[0].node).bad;
  net.at[1].paused = true;
  asker_send(&asker, &(struct ask){.lines = asker_key_line(&key, ""), .body = body});
  net_clear_inbox(&net);
  net_inject(&net, 0, 0, &asker.at, slice_cstr(passed));
  assert_int_equal(node_stats(net.at[0].node).bad, bad + 1);
  assert_int_equal(net.inbox_count, 0);
  end();
}

static unsigned refusals, refusals_max;
/* Whoever hears a request of the asker's says 503, past its core. */
static bool refuse(struct net *w, uint32_t node, const struct input *message) {
  static char text[4000];
  struct buf out = buf_over(text, sizeof text);
  struct slice rest = message->data;
  if (node == 0 || !slice_starts(rest, SLICE("LOCSER ")) || refusals == refusals_max) return false;
  if (slice_find(rest, SLICE("@a.example")) == rest.len) return false;
  refusals++;
  buf_put_cstr(&out, "SIP/2.0 503 Service Unavailable\r\nRetry-After: 3\r\nContent-Length: 0\r\n");
  for (;;) { /* all header lines but the first and those of the body */
    rest = slice_skip(rest, slice_find(rest, SLICE("\r\n")) + 2);
    struct slice line = slice_first(rest, slice_find(rest, SLICE("\r\n")) + 2);
    if (!slice_starts(line, SLICE("Content-"))) buf_put(&out, line);
    if (line.len == 2) break;
  }
  net_say(w, node, message->flow, buf_slice(&out));
  return true;
}

static unsigned ask_refused(const struct key *key, unsigned max) {
  refusals = 0;
  refusals_max = max;
  asker_watch(&asker, 0);
  net.on_hear = refuse;
  return ASK(.lines = asker_key_line(key, ""));
}

static void ring_of_16(void) {
  net_open(&net, 3);
  net.config.successors = 2; /* not a small ring: routes are longer */
  for (unsigned i = 0; i < 16; i++) {
    struct key id = key_of((uint8_t)(i * 16));
    net_add(&net, &id, i == 0 ? NET_NONE : 0);
    net_run_for(&net, SEC(1));
  }
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  asker_move(&asker, "203.0.113.9:40001", TRANSPORT_TCP, 0);
}

/* another way is tried, at most twice more, but for what the responsible peer says. */
static void test_503_of_the_next_hop(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  struct key key = key_of(0x30);
  assert_int_equal(ask_refused(&key, 1), 503);
  assert_true(has("Retry-After: 3\r\n"));
  assert_int_equal(asker.seen_count, 1);
  assert_non_null(strstr(asker.seen, ";final"));
  end();
  ring_of_16();
  key = key_of(7 * 16 - 1);
  assert_int_equal(ask_refused(&key, 1), 404);
  assert_int_equal(asker.seen_count, 2);
  assert_int_equal(ask_refused(&key, 9), 503);
  assert_in_range(asker.seen_count, 2, 3);
  end();
}

static size_t datagram_max;
static void note_datagram(struct net *w, uint32_t node, const struct output *out) {
  (void)w, (void)node;
  if (out->peer.transport == TRANSPORT_UDP && slice_starts(out->data, SLICE("LOCSER ")) &&
      out->data.len > datagram_max)
    datagram_max = out->data.len;
}

/* between peers that speak by UDP. */
static void test_longer_than_a_datagram(void **state) {
  (void)state;
  net_open(&net, 5);
  net.config.peer_transport = TRANSPORT_UDP;
  net_add(&net, &asker_ring_id[0], NET_NONE);
  net_add(&net, &asker_ring_id[1], 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  asker_move(&asker, "203.0.113.9:40001", TRANSPORT_TCP, 0);
  const char *uri;
  struct key key = asker_key_of_node(&net, 1, &uri);
  asker_watch(&asker, 0);
  assert_int_equal(ASK(.lines = asker_key_line(&key, "")), 404);
  assert_int_equal(asker.seen_transport, TRANSPORT_UDP);
  static char body[1500];
  int n = snprintf(body, sizeof body, "%s", ASKER_GET(ASKER_BOB));
  memset(body + n, ' ', 1200 - (size_t)n);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ""), .body = body), 404);
  assert_int_equal(asker.seen_transport, TRANSPORT_TCP);
  assert_non_null(strstr(asker.seen, "Via: SIP/2.0/TCP 10.0.0.1:5060;"));
  net.on_send = note_datagram; /* what the peer itself asks: a record is longer */
  assert_int_equal(net_put(&net, 0, uri, "sip:bob@192.0.2.4")->code, 200);
  net_run_for(&net, SEC(30));
  assert_in_range(datagram_max, 200, 1300);
  end();
}

/* */
static void test_final(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  struct key bob = net_key(&net, ASKER_BOB);
  uint32_t home = net_responsible(&net, &bob);
  assert_int_equal(net_put(&net, home, ASKER_BOB, "sip:bob@192.0.2.4")->code, 200);
  uint32_t other = (home + 1) % 3;
  asker_move(&asker, "203.0.113.9:40001", TRANSPORT_TCP, other);
  asker_watch(&asker, other);
  /* a copy may be old, so the request goes to who is responsible */
  assert_int_equal(ASK(.lines = asker_key_line(&bob, ";final"), .node = other), 200);
  assert_int_equal(asker.seen_count, 1);
  assert_int_equal(ASK(.lines = asker_key_line(&bob, ""), .node = other), 200);
  assert_int_equal(asker.seen_count, 2);
  /* where that one is silent, a copy is enough to answer a read */
  net.at[home].paused = true;
  assert_int_equal(ASK(.lines = asker_key_line(&bob, ";final"), .node = other), 200);
  end();
}

/* the next hop is silent. The 100 comes at once; the adjacent hop alone
 * goes elsewhere. */
static void test_silent_hop(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  const char *uri;
  struct key bob = asker_key_of_node(&net, 1, &uri);
  assert_int_equal(net_put(&net, 0, uri, "sip:bob@192.0.2.4")->code, 200);
  net.at[1].paused = true;
  char body[500];
  snprintf(body, sizeof body, ASKER_GET("%s"), uri);
  uint64_t retries = node_stats(net.at[0].node).retries;
  usec asked_at = net.now;
  asker_send(&asker, &(struct ask){.lines = asker_key_line(&bob, ""), .body = body});
  net_run_for(&net, 1);
  assert_int_equal(count_letters("SIP/2.0 100"), 1);
  assert_int_equal(asker_wait(&asker, SEC(4)), 200); /* node 2 holds a copy */
  assert_true(net.now - asked_at < SEC(2));
  assert_int_equal(node_stats(net.at[0].node).retries, retries + 1);
  /* the silent one is known for it now: no waiting at all */
  asked_at = net.now;
  asker_send(&asker, &(struct ask){.lines = asker_key_line(&bob, ""), .body = body});
  assert_int_equal(asker_wait(&asker, SEC(4)), 200);
  assert_true(net.now - asked_at <= MSEC(150));
  end();
}

/* nobody is left; 503 with Retry-After before the deadline.: never 408. */
static void test_all_silent(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  net.at[1].paused = net.at[2].paused = true;
  struct key key = key_of(0x30);
  usec asked_at = net.now;
  asker_send(&asker, &(struct ask){.lines = asker_key_line(&key, ";deadline=4000")});
  unsigned status = asker_wait(&asker, SEC(10));
  assert_true(net.now - asked_at <= SEC(4) + MSEC(10));
  assert_int_equal(status, 503);
  assert_true(has("Retry-After: "));
  net_run_for(&net, SEC(10));
  struct node_stats stats = node_stats(net.at[0].node);
  assert_true(stats.retries <= 2 + 1);
  end();
}

/* closed connection: elsewhere at once. */
static void test_closed_link(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  const char *uri;
  struct key bob = asker_key_of_node(&net, 1, &uri);
  assert_int_equal(net_put(&net, 0, uri, "sip:bob@192.0.2.4")->code, 200);
  char body[500];
  snprintf(body, sizeof body, ASKER_GET("%s"), uri);
  net.at[1].paused = true; /* it does not even say 100 */
  asker_send(&asker, &(struct ask){.lines = asker_key_line(&bob, ""), .body = body});
  net_kill(&net, 1, false);
  usec killed_at = net.now;
  assert_int_equal(asker_wait(&asker, SEC(4)), 200);
  assert_true(net.now - killed_at <= MSEC(300)); /* node 2 asks, too, before it answers */
  end();
}

/* after the 100 the next hop retries, not this one.: at the deadline the entry goes
 * back without a word. */
static void test_taken_over(void **state) {
  (void)state;
  ring_of_16();
  struct key key = key_of(15 * 16 - 1); /* of the last */
  asker_watch(&asker, 0);
  net.at[15].paused = true;
  uint64_t retries = node_stats(net.at[0].node).retries;
  asker_send(&asker, &(struct ask){.lines = asker_key_line(&key, ";deadline=3000")});
  (void)asker_wait(&asker, SEC(6));
  /* node 0 either is adjacent to the silent peer and retries, or has handed it on for good */
  uint64_t more = node_stats(net.at[0].node).retries - retries;
  /* it comes back as final, since node 0 follows the silent one: down to that one, once */
  assert_int_equal(asker.seen_count, 2 + more);
  net_run_for(&net, SEC(6));
  end();
}

/* no entry left. */
static void test_pool_full(void **state) {
  (void)state;
  net_open(&net, 4);
  net.config.limits.hops_max = 40;
  net_add(&net, &asker_ring_id[0], NET_NONE);
  net_add(&net, &asker_ring_id[1], 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  net_run_for(&net, SEC(20));
  asker_move(&asker, "203.0.113.9:40001", TRANSPORT_TCP, 0);
  net.at[1].paused = true;
  struct key key = key_of(0x30);
  for (unsigned i = 0; i < 60; i++) {
    asker_send(&asker, &(struct ask){.lines = asker_key_line(&key, "")});
  }
  net_run_for(&net, 1);
  assert_in_range(count_letters("SIP/2.0 503"), 20, 25); /* a few are used by the node itself */
  net_clear_inbox(&net);
  net.at[1].paused = false;
  net_run_for(&net, SEC(30));
  assert_in_range(node_stats(net.at[0].node).hops, 0, 4);
  assert_int_equal(ASK(.lines = asker_key_line(&key, "")), 404);
  end();
}

/* no room for a copy, or too long for one: forwarded all the same. */
static void test_no_copies(void **state) {
  (void)state;
  net_open(&net, 5);
  net.config.limits.retry_copies_max = 1;
  net_add(&net, &asker_ring_id[0], NET_NONE);
  net_add(&net, &asker_ring_id[1], 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  asker_move(&asker, "203.0.113.9:40001", TRANSPORT_TCP, 0);
  struct key key = key_of(0x30);
  for (unsigned i = 0; i < 10; i++)
    asker_send(&asker, &(struct ask){.lines = asker_key_line(&key, "")});
  net_run_for(&net, SEC(2));
  assert_int_equal(count_letters("SIP/2.0 404"), 10);
  static char body[6000];
  int n = snprintf(body, sizeof body, "%s<!--", ASKER_GET(ASKER_BOB));
  memset(body + n, 'x', 4000);
  memcpy(body + n + 4000, "-->", 4);
  assert_int_equal(ASK(.lines = asker_key_line(&key, ""), .body = body), 404);
  end();
}

/* forwarding takes no memory, once the tables have grown. */
static void test_forwarding_takes_no_memory(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  struct key key = key_of(0x30);
  for (unsigned transport = 0; transport < 2; transport++) {
    asker.at.transport = transport == 0 ? TRANSPORT_TCP : TRANSPORT_UDP;
    for (unsigned i = 0; i < 64; i++)
      asker_send(&asker, &(struct ask){.lines = asker_key_line(&key, "")});
    net_run_for(&net, SEC(2));
    net_clear_inbox(&net);
    uint64_t taken = net.at[0].memory.taken;
    for (unsigned round = 0; round < 20; round++) {
      for (unsigned i = 0; i < 8; i++)
        asker_send(&asker, &(struct ask){.lines = asker_key_line(&key, "")});
      net_run_for(&net, MSEC(100));
    }
    assert_int_equal(net.at[0].memory.taken, taken);
    net_run_for(&net, SEC(1));
    unsigned answered = 0;
    while (net_take(&net, "SIP/2.0 404", "") != NULL) answered++;
    assert_int_equal(answered, 160);
    net_clear_inbox(&net);
  }
  end();
}

/* a datagram repeated is forwarded once, and there is no 100 on UDP. The answer
 * goes to where the request came from, also when it is asked elsewhere (RFC 3581). */
static void test_datagrams(void **state) {
  (void)state;
  asker_ring(&asker, 3);
  const char *uri;
  struct key bob = asker_key_of_node(&net, 1, &uri);
  assert_int_equal(net_put(&net, 0, uri, "sip:bob@192.0.2.4")->code, 200);
  char body[500];
  snprintf(body, sizeof body, ASKER_GET("%s"), uri);
  asker_move(&asker, "198.51.100.7:6000", TRANSPORT_UDP, 0); /* not what its Via says */
  static char message[3000];
  for (unsigned silent = 0; silent < 2; silent++) {
    net.at[1].paused = silent == 1;
    size_t len = asker_write(&asker, &(struct ask){.lines = asker_key_line(&bob, ""), .body = body},
                             message, sizeof message);
    asker_watch(&asker, 0);
    for (unsigned i = 0; i < 3; i++) net_inject(&net, 0, 0, &asker.at, slice_of(message, len));
    assert_int_equal(asker.seen_count, 1);
    char branch[40];
    snprintf(branch, sizeof branch, "branch=z9hG4bKt%u", asker.number);
    net_run_for(&net, SEC(2));
    const struct net_letter *letter = net_take(&net, branch, "SIP/2.0 ");
    assert_non_null(letter);
    assert_memory_equal(letter->text, "SIP/2.0 200", 11);
    assert_int_equal(letter->to.addr[0], 198);
    assert_null(net_take(&net, branch, "SIP/2.0 "));
    assert_int_equal(asker.seen_count, 1 + silent);
  }
  end();
}

int main(int argc, char **argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_a_hop_changes_and_loops),
      cmocka_unit_test(test_one_answer_is_passed_back),
      cmocka_unit_test(test_503_of_the_next_hop),
      cmocka_unit_test(test_longer_than_a_datagram),
      cmocka_unit_test(test_final),
      cmocka_unit_test(test_silent_hop),
      cmocka_unit_test(test_all_silent),
      cmocka_unit_test(test_closed_link),
      cmocka_unit_test(test_taken_over),
      cmocka_unit_test(test_pool_full),
      cmocka_unit_test(test_no_copies),
      cmocka_unit_test(test_forwarding_takes_no_memory),
      cmocka_unit_test(test_datagrams),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
