/* SPDX-License-Identifier: BSD-2-Clause */
/* GRUUs: RFC 5627, R-7.63 to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/edge_world.h"

#define PUBLIC "sip:bob@example.net;gr=urn:uuid:1"

static struct edge_world w; /* opened anew by each test */

/* Bob's phone registers; the answer. lines: more of its header. */
static struct sent *registers(const struct phone *phone, unsigned instance, const char *call_id,
                              unsigned cseq, const char *lines) {
  static unsigned n;
  world_send(&w, phone,
             "REGISTER sip:example.net SIP/2.0\n"
             "Via: SIP/2.0/%s 192.0.2.9;branch=z9hG4bKreg%u;rport\n"
             "Max-Forwards: 70\nFrom: <sip:bob@example.net>;tag=a\nTo: <sip:bob@example.net>\n"
             "Call-ID: %s\nCSeq: %u REGISTER\n%s"
             "Contact: <sip:bob@10.0.0.%u>;+sip.instance=\"<urn:uuid:%u>\"\n"
             "Content-Length: 0\n\n",
             phone->flow == 0 ? "UDP" : "TCP", ++n, call_id, cseq, lines, instance, instance);
  return world_expect(&w, phone, "SIP/2.0 200 ");
}

#define GRUU "Supported: gruu\n"

/* The value of a parameter of the first Contact with that instance; "" if there is none. */
static const char *gruu_of(const struct sent *ok, const char *param) {
  static char text[8][512];
  static unsigned next;
  char *out = text[next++ % 8];
  const char *at = strstr(ok->bytes, param);
  out[0] = 0;
  if (at == NULL) return out;
  at += strlen(param) + 2; /* =" */
  snprintf(out, 512, "%.*s", (int)strcspn(at, "\""), at);
  return out;
}

static void request(const struct phone *alice, const char *method, const char *uri,
                    const char *to_tag, const char *routes) {
  static unsigned n;
  while (world_next(&w, alice) != NULL) {
  }
  n++;
  world_send(&w, alice,
             "%s %s SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.8:5068;branch=z9hG4bKq%u;rport\n"
             "Max-Forwards: 70\n%sFrom: <sip:alice@example.net>;tag=al\n"
             "To: <sip:bob@example.net>%s\nCall-ID: c%u\nCSeq: 1 %s\n"
             "Contact: <sip:alice@192.0.2.8:5068>\nContent-Length: 0\n\n",
             method, uri, n, routes, to_tag, n, method);
}

static void hands_them_out(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_tcp(0, "192.0.2.9:42000", 6);
  struct sent *ok = registers(&bob, 1, "r", 1, "");
  assert_false(sent_has(ok, "gruu=")); /* it did not ask */
  ok = registers(&bob, 1, "r", 2, GRUU);
  assert_string_equal(gruu_of(ok, "pub-gruu"), PUBLIC);
  const char *one = gruu_of(ok, "temp-gruu");
  assert_int_equal(strncmp(one, "sip:tg-", 7), 0);
  assert_non_null(strstr(one, "@example.net;gr"));
  assert_null(strstr(one, "bob"));
  const char *two = gruu_of(registers(&bob, 1, "r", 3, GRUU), "temp-gruu");
  assert_string_not_equal(one, two);
  /* No two look alike beyond the home's address and the mark of its run. */
  unsigned same = 0, len = (unsigned)strlen(one);
  assert_int_equal(len, strlen(two));
  for (unsigned i = 24; i + 15 < len; i++) same += one[i] == two[i];
  assert_true(same < len / 4);
  /* An instance that a parameter cannot hold as it stands, and none. */
  world_send(&w, &bob,
             "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKz\n"
             "Max-Forwards: 70\nFrom: <sip:eve@example.net>;tag=a\nTo: <sip:eve@example.net>\n"
             "Call-ID: e\nCSeq: 1 REGISTER\n" GRUU
             "Contact: <sip:e@10.0.0.1>;+sip.instance="
             "\"<x; y=%%>\", <sip:e@10.0.0.2>\nContent-Length: 0\n\n");
  ok = world_expect(&w, &bob, "SIP/2.0 200 ");
  assert_string_equal(gruu_of(ok, "pub-gruu"), "sip:eve@example.net;gr=x%3B%20y%3D%25");
  assert_null(strstr(strstr(ok->bytes, "10.0.0.2"), "gruu="));
  struct phone alice = phone_udp(0, "192.0.2.8:5068");
  request(&alice, "MESSAGE", "sip:eve@example.net;gr=x%3b%20y%3d%25", "", "");
  world_expect(&w, &bob, "MESSAGE sip:e@10.0.0.1 ");
  world_close(&w);
}

/* a phone on UDP whose record has no Path answers with its GRUU. The caller's peer
 * has no binding of it, and the ACK comes nevertheless. */
static void an_ack_finds_a_gruu_that_is_held_elsewhere(void **state) {
  (void)state;
  world_open(&w, 2);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_udp(1, "192.0.2.9:5070");
  world_send(&w, &bob,
             "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKz\n"
             "Max-Forwards: 70\nFrom: <sip:bob@example.net>;tag=a\nTo: <sip:bob@example.net>\n"
             "Call-ID: e\nCSeq: 1 REGISTER\n" GRUU
             "Contact: <sip:bob@192.0.2.9:5070>;+sip.instance=\"<urn:uuid:1>\"\n"
             "Content-Length: 0\n\n");
  struct sent *ok = world_expect(&w, &bob, "SIP/2.0 200 ");
  assert_false(sent_has(ok, "Path:"));
  char contact[600];
  snprintf(contact, sizeof contact, "Contact: <%s>\n", gruu_of(ok, "pub-gruu"));
  request(&alice, "INVITE", "sip:bob@example.net", "", "");
  struct sent *invite = world_expect(&w, &bob, "INVITE sip:bob@192.0.2.9:5070 ");
  world_answer(&w, &bob, invite, 200, contact);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  struct sent *final = world_expect(&w, &alice, "SIP/2.0 200 ");
  char routes[4096], back[4096];
  snprintf(back, sizeof back, "%s", sent_routes(invite, false));
  snprintf(routes, sizeof routes, "%s", sent_routes(final, true));
  request(&alice, "ACK", PUBLIC, ";tag=t42000", routes);
  world_expect(&w, &bob, "ACK ");
  request(&alice, "BYE", PUBLIC, ";tag=t42000", routes);
  world_expect(&w, &bob, "BYE ");
  bob = phone_udp(0, "192.0.2.9:5070"); /* to where the Route says */
  request(&bob, "BYE", "sip:alice@192.0.2.8:5068", ";tag=al", back);
  world_expect(&w, &alice, "BYE sip:alice@192.0.2.8:5068 ");
  world_close(&w);
}

/* from the peer itself and from another. */
static void leads_to_one_phone(void **state) {
  (void)state;
  for (unsigned edges = 1; edges <= 2; edges++) {
    world_open(&w, edges);
    unsigned home = edges - 1;
    struct phone alice = phone_udp(0, "192.0.2.8:5068");
    struct phone one = phone_tcp(home, "192.0.2.9:42000", 6);
    struct phone two = phone_tcp(home, "192.0.2.10:42000", 7);
    const char *temporary = gruu_of(registers(&one, 1, "r1", 1, GRUU), "temp-gruu");
    registers(&two, 2, "r2", 1, GRUU);
    request(&alice, "MESSAGE", "sip:bob@example.net", "", "");
    world_expect(&w, &one, "MESSAGE ");
    world_expect(&w, &two, "MESSAGE ");
    request(&alice, "MESSAGE", PUBLIC, "", "");
    world_expect(&w, &one, "MESSAGE sip:bob@10.0.0.1 ");
    world_expect_nothing(&w, &two);
    request(&alice, "MESSAGE", temporary, "", "");
    struct sent *got = world_expect(&w, &one, "MESSAGE sip:bob@10.0.0.1 ");
    world_expect_nothing(&w, &two);
    world_answer(&w, &one, got, 200, "");
    world_expect(&w, &alice, "SIP/2.0 200 ");
    request(&alice, "MESSAGE", "sip:bob@example.net;gr=urn:uuid:3", "", "");
    world_expect(&w, &alice, "SIP/2.0 480 ");
    request(&alice, "MESSAGE", "sip:nobody@example.net;gr=urn:uuid:1", "", "");
    world_expect(&w, &alice, "SIP/2.0 480 ");
    world_expect_nothing(&w, &one);
    world_close(&w);
  }
}

/* Linphone puts its GRUU into Contact, so ACK and BYE of a call name it. */
static void is_followed_inside_a_dialog(void **state) {
  (void)state;
  for (unsigned i = 0; i < 4; i++) {
    bool temporary = i % 2 != 0;
    world_open(&w, i < 2 ? 1 : 2);
    struct phone alice = phone_udp(0, "192.0.2.8:5068");
    struct phone bob = phone_tcp(i < 2 ? 0 : 1, "192.0.2.9:42000", 6);
    struct sent *ok = registers(&bob, 1, "r", 1, GRUU);
    const char *gruu = gruu_of(ok, temporary ? "temp-gruu" : "pub-gruu");
    char contact[600];
    snprintf(contact, sizeof contact, "Contact: <%s>\n", gruu);
    request(&alice, "INVITE", "sip:bob@example.net", "", "");
    struct sent *got = world_expect(&w, &bob, "INVITE ");
    world_answer(&w, &bob, got, 200, contact);
    world_expect(&w, &alice, "SIP/2.0 100 ");
    ok = world_expect(&w, &alice, "SIP/2.0 200 ");
    char routes[4096];
    snprintf(routes, sizeof routes, "%s", sent_routes(ok, true));
    request(&alice, "ACK", gruu, ";tag=t42000", routes);
    world_expect(&w, &bob, "ACK sip:bob@10.0.0.1 ");
    request(&alice, "BYE", gruu, ";tag=t42000", routes);
    world_expect(&w, &bob, "BYE sip:bob@10.0.0.1 ");
    /* Without the Route that a peer with Record-Route writes. */
    request(&alice, "BYE", gruu, ";tag=t42000", "");
    world_expect(&w, &bob, "BYE sip:bob@10.0.0.1 ");
    world_expect_nothing(&w, &bob);
    request(&alice, "BYE", "sip:bob@example.net", ";tag=t42000", "");
    world_expect(&w, &alice, "SIP/2.0 404 "); /* holds for others */
    world_close(&w);
  }
}

/* RFC 5627 5.1 and 5.4: what ends a temporary one. */
static void a_temporary_one_ends(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_tcp(0, "192.0.2.9:42000", 6);
  char first[512], second[512];
  snprintf(first, sizeof first, "%s", gruu_of(registers(&bob, 1, "r", 1, GRUU), "temp-gruu"));
  snprintf(second, sizeof second, "%s", gruu_of(registers(&bob, 1, "r", 2, GRUU), "temp-gruu"));
  for (unsigned i = 0; i < 2; i++) { /* all of one Call-ID are good */
    request(&alice, "MESSAGE", i == 0 ? first : second, "", "");
    world_expect(&w, &bob, "MESSAGE ");
  }
  char third[512];
  snprintf(third, sizeof third, "%s", gruu_of(registers(&bob, 1, "new", 1, GRUU), "temp-gruu"));
  request(&alice, "MESSAGE", first, "", "");
  world_expect(&w, &alice, "SIP/2.0 404 ");
  request(&alice, "MESSAGE", third, "", "");
  world_expect(&w, &bob, "MESSAGE ");
  world_close_flow(&w, 0, 6);
  request(&alice, "MESSAGE", third, "", "");
  world_expect(&w, &alice, "SIP/2.0 404 ");
  request(&alice, "MESSAGE", PUBLIC, "", "");
  world_expect(&w, &alice, "SIP/2.0 480 ");
  world_close(&w);
}

static void cannot_be_forged(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone alice = phone_udp(0, "192.0.2.8:5068"), bob = phone_tcp(0, "192.0.2.9:42000", 6);
  char gruu[512], uri[512];
  snprintf(gruu, sizeof gruu, "%s", gruu_of(registers(&bob, 1, "r", 1, GRUU), "temp-gruu"));
  size_t from = (size_t)(strchr(gruu + 7, '-') - gruu) + 1, to = (size_t)(strchr(gruu, '@') - gruu);
  for (size_t i = from; i < to; i++) {
    snprintf(uri, sizeof uri, "%s", gruu);
    uri[i] = uri[i] == '0' ? '1' : '0';
    world_advance(&w, SEC(1)); /* transactions end */
    request(&alice, "MESSAGE", uri, "", "");
    world_expect(&w, &alice, "SIP/2.0 404 ");
  }
  for (size_t cut = from; cut < to; cut++) {
    snprintf(uri, sizeof uri, "%.*s%s", (int)cut, gruu, gruu + to);
    world_advance(&w, SEC(1)); /* transactions end */
    request(&alice, "MESSAGE", uri, "", "");
    world_expect(&w, &alice, "SIP/2.0 404 ");
  }
  static const char *const rows[] = {
      "sip:tg-@example.net;gr",
      "sip:tg-13C4C0000201@example.net;gr",
      "sip:bob@example.net;gr",
      "sip:tg-zz-00@example.net;gr",
      "sip:tg-0000C0000201-00@example.net;gr",
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    request(&alice, "MESSAGE", rows[i], "", "");
    world_expect(&w, &alice, "SIP/2.0 4");
  }
  world_expect_nothing(&w, &bob);
  assert_int_equal(w.locates, 0);
  world_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hands_them_out),
      cmocka_unit_test(an_ack_finds_a_gruu_that_is_held_elsewhere),
      cmocka_unit_test(leads_to_one_phone),
      cmocka_unit_test(is_followed_inside_a_dialog),
      cmocka_unit_test(a_temporary_one_ends),
      cmocka_unit_test(cannot_be_forged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
