/* SPDX-License-Identifier: BSD-2-Clause */
/* What an edge answers by itself, what it refuses to forward, and where Route leads: RFC 3261
 * 16.3, 16.4 and 16.12, RFC 5393, R-7.20 to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/edge_world.h"

static void send(struct edge_world *w, const struct phone *phone, const char *method,
                 const char *uri, const char *to_tag, const char *lines) {
  static unsigned n;
  world_send(w, phone,
             "%s %s SIP/2.0\nVia: SIP/2.0/%s 192.0.2.8:5068;branch=z9hG4bKx%u;rport\n%s%s"
             "From: <sip:alice@example.net>;tag=al\nTo: <sip:bob@example.net>%s\n"
             "Call-ID: c%u\nCSeq: 1 %s\nContact: <sip:alice@192.0.2.8:5068>\n"
             "Content-Length: 0\n\n",
             method, uri, phone->flow == 0 ? "UDP" : "TCP", n,
             strstr(lines, "Max-Forwards") != NULL ? "" : "Max-Forwards: 70\n", lines, to_tag, n,
             method);
  n++;
}

#define US "Route: <sip:192.0.2.1:5060;lr>\n"

static struct edge_world w; /* opened anew by each test */

/* Each row: a request, and the start of the first answer; has: text in it. */
static void answers_by_itself(void **state) {
  (void)state;
  static const struct {
    const char *method, *uri, *to_tag, *lines, *start, *has;
  } rows[] = {
      /* */
      {"OPTIONS", "sip:192.0.2.1", "", "", "SIP/2.0 200 ", "Allow: INVITE, ACK, BYE, CANCEL"},
      {"OPTIONS", "sip:192.0.2.1:5060", "", "", "SIP/2.0 200 ", "LOCSER"},
      {"OPTIONS", "sip:example.net", "", "Max-Forwards: 0\n", "SIP/2.0 200 ", "Accept: text/xml"},
      {"OPTIONS", "sip:example.net", "", "Route: <sip:example.net;lr>\n", "SIP/2.0 200 ",
       "Supported: path"},
      {"OPTIONS", "sip:example.net", "", "Require: foo\n", "SIP/2.0 420 ", "Unsupported: foo"},
      {"INVITE", "sip:example.net", "", "", "SIP/2.0 405 ", "Allow: INVITE"},
      {"BYE", "sip:192.0.2.1", ";tag=x", "", "SIP/2.0 405 ", "Allow: "},
      {"WHATEVER", "sip:192.0.2.1", "", "", "SIP/2.0 501 ", ""},
      /* RFC 3261 16.3 */
      {"INVITE", "tel:+1", "", "", "SIP/2.0 416 ", ""},
      {"MESSAGE", "sips:bob@example.net", "", "", "SIP/2.0 480 ", ""},
      {"MESSAGE", "sips:bob@192.0.2.9", "", "", "SIP/2.0 404 ", ""}, /* */
      {"INVITE", "unknown:bob", "", "", "SIP/2.0 416 ", ""},
      {"MESSAGE", "sip:bob@example.net", "", "Max-Forwards: 0\n", "SIP/2.0 483 ", ""},
      {"OPTIONS", "sip:bob@example.net", "", "Max-Forwards: 0\n", "SIP/2.0 483 ", ""},
      {"MESSAGE", "sip:bob@example.net", "", "Proxy-Require: path, bar\n", "SIP/2.0 420 ",
       "Unsupported: bar"},
      {"MESSAGE", "sip:bob@example.net", "", "", "SIP/2.0 480 ", ""},
      /* */
      {"MESSAGE", "sip:bob@gone.example", "", US, "SIP/2.0 404 ", "Domain Does Not Exist"},
      {"MESSAGE", "sip:bob@example.net", "", "Route: <sip:gone.example;lr>\n", "SIP/2.0 404 ", ""},
      {"MESSAGE", "sip:bob@example.net", "", "Route: <tel:+1;lr>\n", "SIP/2.0 4", ""},
      {"MESSAGE", "sip:bob@silent.example", "", US, "SIP/2.0 504 ", "DNS"},
      {"MESSAGE", "sip:bob@192.0.2.9;transport=ws", "", "", "SIP/2.0 404 ", "Transport"},
      {"MESSAGE", "sip:bob@192.0.2.9;transport=sctp", "", "", "SIP/2.0 404 ", ""},
      /* */
      {"BYE", "sip:bob@example.net", ";tag=x", "", "SIP/2.0 404 ", "Dialog"},
      /* and tokens that this peer has not made (RFC 5626 5.3.1) */
      {"MESSAGE", "sip:bob@192.0.2.9", "", "Route: <sip:f-00@192.0.2.1;lr>\n", "SIP/2.0 403 ", ""},
      {"MESSAGE", "sip:bob@192.0.2.9", "",
       "Route: <sip:f-0100000007A410C0000209112233445566778899AA@192.0.2.1;lr>\n", "SIP/2.0 403 ",
       ""},
      {"MESSAGE", "sip:bob@192.0.2.9", "", "Route: bad bad\n", "SIP/2.0 400 ", ""},
      /* A call to an address without user, a Max-Breadth that is used up (RFC 5393). */
      {"MESSAGE", "sip:@example.net", "", "", "SIP/2.0 4", ""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    static const struct zone zone = {{"SILENT A silent.example"}};
    world_open(&w, 1);
    w.zone = &zone;
    struct phone alice = phone_udp(0, "192.0.2.8:5068");
    char text[1200];
    snprintf(text, sizeof text,
             "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.8:5068;branch=z9hG4bKx\r\n"
             "From: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: c\r\nCSeq: 1 %s\r\n\r\n",
             rows[i].method, rows[i].uri, rows[i].method);
    struct sip_message parsed;
    struct sip_problem problem;
    if (sip_message_parse(slice_cstr(text), SIP_DATAGRAM, &parsed, &problem) == OK) {
      send(&w, &alice, rows[i].method, rows[i].uri, rows[i].to_tag, rows[i].lines);
      struct sent *answer = world_next(&w, &alice);
      if (answer == NULL)
        fail_msg("row %zu: nothing", i);
      else if (strncmp(answer->bytes, rows[i].start, strlen(rows[i].start)) != 0 ||
               !sent_has(answer, rows[i].has))
        fail_msg("row %zu: %s", i, answer->bytes);
    } else if (strncmp(rows[i].start, "SIP/2.0 4", 9) != 0) {
      fail_msg("row %zu does not parse: %s", i, problem.reason);
    }
    world_close(&w);
  }
}

static void breadth_is_used_up(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(0, "192.0.2.9:5060");
  send(&w, &alice, "MESSAGE", "sip:bob@192.0.2.9", "", "Max-Breadth: 0\n");
  world_expect(&w, &alice, "SIP/2.0 440 ");
  world_expect_nothing(&w, &bob);
  world_close(&w);
}

/* an address in the Request-URI or in a Route is followed. */
static void follows_addresses(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(0, "192.0.2.9:5060");
  struct phone proxy = phone_udp(0, "192.0.2.30:5080");
  send(&w, &alice, "MESSAGE", "sip:bob@192.0.2.9", "", US);
  struct sent *got = world_expect(&w, &bob, "MESSAGE sip:bob@192.0.2.9 ");
  assert_null(sent_header(got, "Route", 0));
  assert_string_equal(sent_header(got, "Max-Forwards", 0), "69");
  send(&w, &alice, "MESSAGE", "sip:bob@example.org", "",
       "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.30:5080;lr>, <sip:x.example;lr>\n");
  got = world_expect(&w, &proxy, "MESSAGE sip:bob@example.org ");
  assert_string_equal(sent_header(got, "Route", 0), "<sip:192.0.2.30:5080;lr>, <sip:x.example;lr>");
  assert_int_equal(w.locates, 0);
  world_close(&w);
}

/* RFC 3261 16.4 and 16.6 step 6: strict routers before and behind. */
static void minds_strict_routers(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(0, "192.0.2.9:5060");
  struct phone proxy = phone_udp(0, "192.0.2.30:5080");
  send(&w, &alice, "BYE", "sip:192.0.2.1:5060;lr", ";tag=x", "Route: <sip:bob@192.0.2.9>\n");
  struct sent *got = world_expect(&w, &bob, "BYE sip:bob@192.0.2.9 ");
  assert_null(sent_header(got, "Route", 0));
  send(&w, &alice, "BYE", "sip:192.0.2.1:5060;lr", ";tag=x",
       "Route: <sip:192.0.2.30:5080;lr>, <sip:bob@192.0.2.9>\n");
  got = world_expect(&w, &proxy, "BYE sip:bob@192.0.2.9 ");
  assert_string_equal(sent_header(got, "Route", 0), "<sip:192.0.2.30:5080;lr>");
  assert_null(sent_header(got, "Route", 1));
  send(&w, &alice, "BYE", "sip:bob@192.0.2.9", ";tag=x",
       "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.30:5080>, <sip:192.0.2.31;lr>\n");
  got = world_expect(&w, &proxy, "BYE sip:192.0.2.30:5080 ");
  assert_string_equal(sent_header(got, "Route", 0), "<sip:192.0.2.31;lr>");
  assert_string_equal(sent_header(got, "Route", 1), "<sip:bob@192.0.2.9>");
  world_close(&w);
}

/* the same request again is a loop, one that has changed on its way is a spiral. */
static void tells_loops_from_spirals(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), far = phone_udp(0, "192.0.2.30:5080");
  send(&w, &alice, "MESSAGE", "sip:bob@192.0.2.30:5080", "", "");
  struct sent *got = world_expect(&w, &far, "MESSAGE ");
  char again[4000], *after = strstr(got->bytes, "\r\n") + 2;
  snprintf(again, sizeof again,
           "MESSAGE sip:bob@192.0.2.30:5080 SIP/2.0\r\n"
           "Via: SIP/2.0/UDP 192.0.2.30:5080;branch=z9hG4bKfar\r\n%s",
           after);
  assert_true(world_try_send(&w, &far, slice_cstr(again)));
  world_expect(&w, &far, "SIP/2.0 482 ");
  snprintf(again, sizeof again,
           "MESSAGE sip:bob@192.0.2.31 SIP/2.0\r\n"
           "Via: SIP/2.0/UDP 192.0.2.30:5080;branch=z9hG4bKfar2\r\n%s",
           after);
  assert_true(world_try_send(&w, &far, slice_cstr(again)));
  struct phone other = phone_udp(0, "192.0.2.31:5060");
  got = world_expect(&w, &other, "MESSAGE ");
  /* Without port in the Via the answers go to 5060; what it goes on with is forwarded. */
  assert_string_equal(sent_header(got, "Max-Forwards", 0), "68");
  world_close(&w);
}

/* A flow token works while its flow is open; then 430 (RFC 5626 5.3.1). */
static void a_token_dies_with_its_flow(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), tcp = phone_tcp(0, "192.0.2.9:40001", 7);
  world_send(&w, &tcp,
             "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKr\n"
             "Max-Forwards: 70\nFrom: <sip:bob@example.net>;tag=a\nTo: <sip:bob@example.net>\n"
             "Call-ID: r\nCSeq: 1 REGISTER\nContact: <sip:bob@192.0.2.9;transport=tcp>\n"
             "Content-Length: 0\n\n");
  world_expect(&w, &tcp, "SIP/2.0 200 ");
  char route[200];
  snprintf(route, sizeof route, "Route: %.*s\n", SLICE_FMT(w.record[0].contact.path[0]));
  send(&w, &alice, "MESSAGE", "sip:bob@192.0.2.9;transport=tcp", "", route);
  world_expect(&w, &tcp, "MESSAGE ");
  world_close_flow(&w, 0, 7);
  send(&w, &alice, "MESSAGE", "sip:bob@192.0.2.9;transport=tcp", "", route);
  world_expect(&w, &alice, "SIP/2.0 430 "); /* the first one: its flow broke under it */
  world_expect(&w, &alice, "SIP/2.0 430 ");
  /* One digit changed. */
  char *digit = strchr(route, '@') - 1;
  *digit = *digit == '0' ? '1' : '0';
  send(&w, &alice, "MESSAGE", "sip:bob@192.0.2.9;transport=tcp", "", route);
  world_expect(&w, &alice, "SIP/2.0 403 ");
  world_close(&w);
}

/* Nothing is ever answered to an ACK, and a response of no transaction goes nowhere (RFC 6026). */
static void drops_what_has_no_transaction(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(0, "192.0.2.9:5060");
  static const char *const uris[] = {"sip:bob@example.net", "sip:192.0.2.1", "tel:+1",
                                     "sip:bob@example.org"};
  for (unsigned i = 0; i < 4; i++) send(&w, &alice, "ACK", uris[i], ";tag=x", "");
  send(&w, &alice, "ACK", "sip:bob@192.0.2.9", ";tag=x", "Max-Forwards: 0\n");
  send(&w, &alice, "ACK", "sip:bob@192.0.2.9", ";tag=x", "Route: <sip:f-00@192.0.2.1;lr>\n");
  world_send(&w, &alice,
             "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnone\n"
             "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKb\nFrom: <sip:a@b>;tag=1\n"
             "To: <sip:b@b>;tag=2\nCall-ID: c\nCSeq: 1 INVITE\nContent-Length: 0\n\n");
  assert_int_equal(w.sent_count, 0);
  /* The same ACK twice leaves twice with the same branch (RFC 3261 16.11). */
  for (unsigned i = 0; i < 2; i++)
    world_send(&w, &alice,
               "ACK sip:bob@192.0.2.9 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.8:5068;branch=z9hG4bKa\n"
               "Max-Forwards: 70\nFrom: <sip:a@b>;tag=1\nTo: <sip:b@b>;tag=2\nCall-ID: c\n"
               "CSeq: 1 ACK\nContent-Length: 0\n\n");
  struct sent *one = world_expect(&w, &bob, "ACK "), *two = world_expect(&w, &bob, "ACK ");
  assert_string_equal(one->bytes, two->bytes);
  world_close(&w);
}

/* An answer without a Via of ours to go on with is a broken next hop. */
static void a_response_without_way_back(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(0, "192.0.2.9:5060");
  send(&w, &alice, "MESSAGE", "sip:bob@192.0.2.9", "", "");
  struct sent *got = world_expect(&w, &bob, "MESSAGE ");
  world_send(&w, &bob,
             "SIP/2.0 200 OK\nVia: %s\nFrom: <sip:a@b>;tag=1\nTo: <sip:b@b>;tag=2\n"
             "Call-ID: %s\nCSeq: 1 MESSAGE\nContent-Length: 0\n\n",
             sent_header(got, "Via", 0), sent_header(got, "Call-ID", 0));
  world_expect(&w, &alice, "SIP/2.0 502 ");
  world_close(&w);
}

/* with no domain configured every name belongs to the overlay. */
static void serves_every_domain(void **state) {
  (void)state;
  struct edge_config config;
  world_begin(&w, &config);
  config.domain_count = 0;
  world_open_config(&w, 1, &config);
  assert_true(edge_serves(w.edge[0], SLICE("anything.example")));
  assert_true(edge_serves(w.edge[0], SLICE("192.0.2.1")));
  assert_false(edge_serves(w.edge[0], SLICE("192.0.2.2")));
  config.domain[0] = SLICE("Other.example");
  config.domain_count = 1;
  assert_int_equal(edge_reconfigure(w.edge[0], &config), OK);
  assert_false(edge_serves(w.edge[0], SLICE("anything.example")));
  assert_true(edge_serves(w.edge[0], SLICE("oTHER.EXAMPLE")));
  world_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_by_itself),
      cmocka_unit_test(breadth_is_used_up),
      cmocka_unit_test(follows_addresses),
      cmocka_unit_test(minds_strict_routers),
      cmocka_unit_test(tells_loops_from_spirals),
      cmocka_unit_test(a_token_dies_with_its_flow),
      cmocka_unit_test(drops_what_has_no_transaction),
      cmocka_unit_test(a_response_without_way_back),
      cmocka_unit_test(serves_every_domain),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
