/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 3263 section 4, all of its branches, with answers that the test gives (R-7.27, R-7.46,
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sip/locate.h"
#include "support/memory.h"
#include "support/zone.h"

#define ALL (1u << TRANSPORT_UDP | 1u << TRANSPORT_TCP | 1u << TRANSPORT_TLS)

static struct test_memory memory;
static struct dns_cache cache;
static struct rng rng;
static usec now;
static unsigned questions; /* asked in the last find() */
static struct locate_result result;
static struct outbox box;
static struct output item[OUTBOX_STEP_ITEMS];
static char bytes[64 * 1024];

static int set_up(void **state) {
  (void)state;
  static const uint8_t seed[16] = {7};
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  rng_init(&rng, seed);
  dns_cache_init(&cache, &memory.memory, &rng);
  outbox_init(&box, item, OUTBOX_STEP_ITEMS, bytes, sizeof bytes);
  now = SEC(100);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  dns_cache_free(&cache);
  return memory.blocks == 0 ? 0 : -1;
}

static void give_answer(const struct zone *zone, const struct output *question) {
  struct zone_answer answer;
  zone_ask(zone, question, &answer);
  assert_true(
      dns_cache_put(&cache, now, question->ticket, answer.status, answer.record, answer.count));
}

static struct locate_query query_of(const char *text, struct sip_uri *uri) {
  assert_int_equal(sip_uri_parse(slice_cstr(text), uri), OK);
  return (struct locate_query){
      .uri = uri, .transports = ALL, .families = LOCATE_IPV4 | LOCATE_IPV6};
}

static enum locate_status find_with(const struct zone *zone, const struct locate_query *query) {
  questions = 0;
  for (unsigned round = 0; round < 6; round++) {
    outbox_reset(&box);
    enum locate_status status = locate_run(&cache, now, query, &rng, &box, &result);
    if (status != LOCATE_ASKING) return status;
    assert_in_range(box.count, 1, LOCATE_QUESTIONS_MAX);
    for (uint32_t i = 0; i < box.count; i++) give_answer(zone, &item[i]);
    questions += box.count;
  }
  fail_msg("asks without end");
  return LOCATE_ASKING;
}

static const char *found(void) {
  static char text[1024];
  struct buf out = buf_over(text, sizeof text - 1);
  for (unsigned i = 0; i < result.count; i++) {
    if (i > 0) buf_put_char(&out, ' ');
    buf_put_cstr(&out, transport_name((enum transport)result.at[i].transport));
    buf_put_char(&out, ':');
    endpoint_put(&out, &result.at[i]);
  }
  text[out.len] = 0;
  return text;
}

static void expect(const struct zone *zone, const char *uri, const char *want) {
  struct sip_uri parsed;
  struct locate_query query = query_of(uri, &parsed);
  enum locate_status status = find_with(zone, &query);
  if (status != LOCATE_FOUND) result.count = 0;
  assert_string_equal(found(), want);
  now += SEC(7200); /* forgets */
}

static void expect_status(const struct zone *zone, const char *uri, enum locate_status want) {
  struct sip_uri parsed;
  struct locate_query query = query_of(uri, &parsed);
  assert_int_equal(find_with(zone, &query), want);
  now += SEC(7200);
}

static const struct zone none = {{NULL}};

/* 4.1, 4.2: numeric, no DNS at all. */
static void numbers_are_not_asked_for(void **state) {
  (void)state;
  expect(&none, "sip:a@192.0.2.9", "udp:192.0.2.9:5060");
  expect(&none, "sip:a@[2001:db8::9]:5070", "udp:[2001:db8::9]:5070");
  expect(&none, "sips:a@192.0.2.9", "tls:192.0.2.9:5061");
  expect(&none, "sip:a@192.0.2.9;transport=tcp", "tcp:192.0.2.9:5060");
  expect(&none, "sip:a@example.com;maddr=192.0.2.8", "udp:192.0.2.8:5060");
  assert_int_equal(questions, 0);
  expect_status(&none, "sip:a@192.0.2.9;transport=sctp", LOCATE_FOREIGN);
  expect_status(&none, "sips:a@192.0.2.9;transport=udp", LOCATE_FOREIGN);
}

/* 4.1: NAPTR, by order and preference; those that cannot be used are left out. */
static void naptr_chooses_the_transport(void **state) {
  (void)state;
  static const struct zone zone = {{
      "NAPTR example.com 50 20 s SIP+D2T _sip._tcp.other.example",
      "NAPTR example.com 50 10 s SIPS+D2T _sips._tcp.example.com",
      "NAPTR example.com 90 10 S sip+d2u _sip._udp.example.com",
      "NAPTR example.com 10 10 s SIP+D2S _sip._sctp.example.com",
      "NAPTR example.com 10 10 u E2U+sip .",
      "SRV _sips._tcp.example.com 0 0 5081 one.example.com",
      "SRV _sip._tcp.other.example 0 0 5070 two.example.com",
      "SRV _sip._udp.example.com 0 0 5060 two.example.com",
      "A one.example.com 192.0.2.1",
      "A two.example.com 192.0.2.2",
  }};
  expect(&zone, "sip:a@example.com", "tls:192.0.2.1:5081 tcp:192.0.2.2:5070 udp:192.0.2.2:5060");
  expect(&zone, "sips:a@EXAMPLE.com", "tls:192.0.2.1:5081");
  /* A transport, or a port, is given: NAPTR is not asked for. */
  expect(&zone, "sip:a@example.com;transport=udp", "udp:192.0.2.2:5060");
  assert_int_equal(questions, 2);
}

static void domain_of_other_transports_only(void **state) {
  (void)state;
  static const struct zone zone = {{
      "NAPTR example.com 10 10 s SIP+D2S _sip._sctp.example.com",
      "SRV _sip._udp.example.com 0 0 5060 one.example.com",
      "A one.example.com 192.0.2.1",
      "A example.com 192.0.2.1",
  }};
  expect_status(&zone, "sip:a@example.com", LOCATE_FOREIGN);
  static const struct zone plain = {{
      "NAPTR example.com 10 10 s SIP+D2U _sip._udp.example.com",
      "SRV _sip._udp.example.com 0 0 5060 one.example.com",
      "A one.example.com 192.0.2.1",
  }};
  expect_status(&plain, "sips:a@example.com", LOCATE_FOREIGN); /* never less than asked for */
}

/* 4.1: no NAPTR: a question for the SRV records of each transport. */
static void srv_without_naptr(void **state) {
  (void)state;
  static const struct zone zone = {{
      "SRV _sip._tcp.example.com 0 0 5080 one.example.com",
      "SRV _sips._tcp.example.com 0 0 5081 one.example.com",
      "A one.example.com 192.0.2.1 2001:db8::1",
  }};
  expect(&zone, "sip:a@example.com", "tcp:192.0.2.1:5080 tcp:[2001:db8::1]:5080");
  expect(&zone, "sips:a@example.com", "tls:192.0.2.1:5081 tls:[2001:db8::1]:5081");
  expect(&zone, "sips:a@example.com;transport=tcp", "tls:192.0.2.1:5081 tls:[2001:db8::1]:5081");
}

/* 4.2: neither: the addresses of the domain, with the default transport and port. */
static void addresses_alone(void **state) {
  (void)state;
  static const struct zone zone = {{"A example.com 192.0.2.1"}};
  expect(&zone, "sip:a@example.com", "udp:192.0.2.1:5060");
  assert_int_equal(questions, 1 + 2 + 1);
  expect(&zone, "sips:a@example.com", "tls:192.0.2.1:5061");
  expect(&zone, "sip:a@example.com;transport=tcp", "tcp:192.0.2.1:5060");
  expect(&zone, "sip:a@example.com:5090", "udp:192.0.2.1:5090");
  assert_int_equal(questions, 1); /* a port: no SRV */
  expect(&zone, "sip:a@example.com:5090;transport=tcp", "tcp:192.0.2.1:5090");
  expect(&zone, "sips:a@example.com:5090", "tls:192.0.2.1:5090");
  expect(&zone, "sip:a@192.0.2.7;maddr=example.com", "udp:192.0.2.1:5060");
  expect_status(&zone, "sip:a@other.example", LOCATE_NONE);
}

/* RFC 2782: priority first; the root as target: there is no such service. */
static void priorities(void **state) {
  (void)state;
  static const struct zone zone = {{
      "SRV _sip._udp.example.com 20 0 5060 late.example.com",
      "SRV _sip._udp.example.com 10 0 5060 early.example.com",
      "SRV _sip._udp.example.com 30 0 5060 nowhere.example.com",
      "A early.example.com 192.0.2.1",
      "A late.example.com 192.0.2.2",
      "A example.com 192.0.2.3",
      "SRV _sip._udp.closed.example 0 0 5060 .",
      "A closed.example 192.0.2.4",
  }};
  expect(&zone, "sip:a@example.com", "udp:192.0.2.1:5060 udp:192.0.2.2:5060");
  expect_status(&zone, "sip:a@closed.example", LOCATE_NONE);
}

/* RFC 2782: weights 1 and 3, and one of 0 that is almost never first. */
static void weights(void **state) {
  (void)state;
  static const struct zone zone = {{
      "SRV _sip._udp.example.com 0 30 5060 three.example.com",
      "SRV _sip._udp.example.com 0 0 5060 zero.example.com",
      "SRV _sip._udp.example.com 0 10 5060 one.example.com",
      "A zero.example.com 192.0.2.10",
      "A one.example.com 192.0.2.11",
      "A three.example.com 192.0.2.13",
  }};
  unsigned first[4] = {0};
  struct sip_uri uri;
  struct locate_query query = query_of("sip:a@example.com", &uri);
  for (unsigned i = 0; i < 2000; i++) {
    assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
    assert_int_equal(result.count, 3);
    first[result.at[0].addr[3] - 10]++;
  }
  assert_in_range(first[0], 1, 120); /* 1 of 41 */
  assert_in_range(first[1], 400, 600);
  assert_in_range(first[3], 1300, 1600);
}

/* 18.1.1 of RFC 3261: too long for UDP. */
static void large_requests_go_by_streams(void **state) {
  (void)state;
  static const struct zone zone = {{
      "SRV _sip._udp.example.com 0 0 5060 one.example.com",
      "SRV _sip._tcp.example.com 0 0 5060 one.example.com",
      "A one.example.com 192.0.2.1",
      "A plain.example 192.0.2.2",
  }};
  struct sip_uri uri;
  struct locate_query query = query_of("sip:a@example.com", &uri);
  query.large = true;
  assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
  assert_string_equal(found(), "tcp:192.0.2.1:5060 udp:192.0.2.1:5060");
  query = query_of("sip:a@plain.example", &uri);
  query.large = true;
  assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
  assert_string_equal(found(), "tcp:192.0.2.2:5060 udp:192.0.2.2:5060");
  query = query_of("sip:a@plain.example;transport=udp", &uri); /* the URI says so */
  query.large = true;
  assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
  assert_string_equal(found(), "udp:192.0.2.2:5060");
}

static void families_and_transports_of_this_peer(void **state) {
  (void)state;
  static const struct zone zone = {
      {"A both.example 192.0.2.1 2001:db8::1", "A six.example 2001:db8::6"}};
  struct sip_uri uri;
  struct locate_query query = query_of("sip:a@both.example", &uri);
  query.families = LOCATE_IPV6;
  assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
  assert_string_equal(found(), "udp:[2001:db8::1]:5060");
  query = query_of("sip:a@six.example", &uri);
  query.families = LOCATE_IPV4;
  assert_int_equal(find_with(&zone, &query), LOCATE_FOREIGN);
  query = query_of("sips:a@both.example", &uri);
  query.transports = 1u << TRANSPORT_UDP;
  assert_int_equal(find_with(&zone, &query), LOCATE_FOREIGN);
}

/* A server that does not answer for NAPTR or SRV is gone on from; without addresses it is not known
 * whether there is such a domain. */
static void silence(void **state) {
  (void)state;
  static const struct zone zone = {{
      "SILENT NAPTR example.com",
      "SILENT SRV _sip._udp.example.com",
      "A example.com 192.0.2.1",
      "SILENT A silent.example",
  }};
  expect(&zone, "sip:a@example.com", "udp:192.0.2.1:5060");
  expect_status(&zone, "sip:a@silent.example", LOCATE_SILENT);
}

/* what is known is not asked for again before it lapses. */
static void answers_are_kept(void **state) {
  (void)state;
  static const struct zone zone = {{"A example.com 192.0.2.1"}};
  struct sip_uri uri;
  struct locate_query query = query_of("sip:a@example.com", &uri);
  assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
  assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
  assert_int_equal(questions, 0);
  now += SEC(DNS_TTL_NOTHING_S); /* of "there is no NAPTR"; the address counts for 60 s */
  assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
  assert_int_equal(questions, 3);
  now += SEC(60) - SEC(DNS_TTL_NOTHING_S);
  assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
  assert_int_equal(questions, 4);
}

static void what_is_no_name_is_not_asked_for(void **state) {
  (void)state;
  static const char *const uris[] = {"sip:a@x.invalid", "sip:a@invalid;transport=udp"};
  for (unsigned i = 0; i < 2; i++) expect_status(&none, uris[i], LOCATE_NONE);
  assert_int_equal(questions, 0);
  static const struct zone zone = {{
      "SRV _sip._udp.example.com 0 0 5060 not/a.name",
      "SRV _sip._udp.example.com 0 0 5060 double..dot",
      "SRV _sip._udp.example.com 0 0 0 one.example.com",
      "A one.example.com 192.0.2.1",
  }};
  expect_status(&zone, "sip:a@example.com", LOCATE_NONE);
}

/* the table has a limit; what lapses next makes room, questions under way do not. */
static void a_full_cache(void **state) {
  (void)state;
  static const struct zone zone = {{"A known.example 192.0.2.1"}};
  struct sip_uri uri;
  struct locate_query query = query_of("sip:a@known.example:5060", &uri);
  assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
  char text[64];
  now++;
  for (unsigned i = 0; i < DNS_CACHE_ENTRIES; i++) {
    snprintf(text, sizeof text, "n%u.example", i);
    outbox_reset(&box);
    struct dns_answer asked = dns_cache_ask(&cache, now, DNS_ADDRESS, slice_cstr(text), &box);
    assert_int_equal(asked.state, DNS_ASKED); /* the known one made room for the last */
  }
  outbox_reset(&box);
  assert_int_equal(locate_run(&cache, now, &query, &rng, &box, &result), LOCATE_NO_ROOM);
  assert_int_equal(box.count, 0);
  now += DNS_QUESTION_TIME; /* nobody will answer those */
  assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
}

/* Late, repeated and made-up answers. */
static void answers_nobody_asked_for(void **state) {
  (void)state;
  outbox_reset(&box);
  assert_int_equal(dns_cache_ask(&cache, now, DNS_SRV, SLICE("a.example"), &box).state, DNS_ASKED);
  uint64_t ticket = item[0].ticket;
  assert_false(dns_cache_put(&cache, now, ticket + ((uint64_t)2 << 32), OK, NULL, 0));
  assert_false(dns_cache_put(&cache, now, 0, OK, NULL, 0));
  assert_true(dns_cache_put(&cache, now, ticket, ERR_NOT_FOUND, NULL, 0));
  assert_false(dns_cache_put(&cache, now, ticket, ERR_NOT_FOUND, NULL, 0));
}

/* More records than are looked at. */
static void a_large_domain(void **state) {
  (void)state;
  static char line[16][64];
  struct zone zone = {{NULL}};
  for (unsigned i = 0; i < 16; i++) {
    snprintf(line[i], sizeof line[i], "SRV _sip._udp.example.com %u 0 5060 h%u.example", i, i);
    zone.line[i] = line[i];
  }
  for (unsigned i = 0; i < 12; i++) {
    static char address[12][64];
    snprintf(address[i], sizeof address[i], "A h%u.example 192.0.2.%u 2001:db8::%u", i, i, i);
    zone.line[16 + i] = address[i];
  }
  struct sip_uri uri;
  struct locate_query query = query_of("sip:a@example.com", &uri);
  assert_int_equal(find_with(&zone, &query), LOCATE_FOUND);
  assert_int_equal(result.count, LOCATE_HOPS_MAX);
}

/* Without memory a name is not known, and nothing is lost. */
static void without_memory(void **state) {
  (void)state;
  static const struct zone zone = {{
      "NAPTR example.com 10 10 s SIP+D2U _sip._udp.example.com",
      "SRV _sip._udp.example.com 0 0 5060 one.example.com",
      "A one.example.com 192.0.2.1",
  }};
  for (unsigned left = 0; left < 40; left++) {
    tear_down(NULL);
    set_up(NULL);
    memory.fail_after = left;
    struct sip_uri uri;
    struct locate_query query = query_of("sip:a@example.com", &uri);
    enum locate_status status = find_with(&zone, &query);
    assert_true(status == LOCATE_FOUND || status == LOCATE_NO_ROOM || status == LOCATE_SILENT);
  }
  memory.fail_after = TEST_MEMORY_UNLIMITED;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(numbers_are_not_asked_for),
      TEST(naptr_chooses_the_transport),
      TEST(domain_of_other_transports_only),
      TEST(srv_without_naptr),
      TEST(addresses_alone),
      TEST(priorities),
      TEST(weights),
      TEST(large_requests_go_by_streams),
      TEST(families_and_transports_of_this_peer),
      TEST(silence),
      TEST(answers_are_kept),
      TEST(what_is_no_name_is_not_asked_for),
      TEST(a_full_cache),
      TEST(answers_nobody_asked_for),
      TEST(a_large_domain),
      TEST(without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
