/* SPDX-License-Identifier: BSD-2-Clause */
/* 3xx followed and given, sips, and what passes untouched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/edge_world.h"

static struct edge_world w; /* opened anew by each test */
static struct phone alice, bob, carol, far;

static void open_world(bool redirect) {
  struct edge_config config;
  world_begin(&w, &config);
  config.redirect = redirect;
  world_open_config(&w, 2, &config);
  alice = phone_udp(0, "192.0.2.8:5068");
  bob = phone_udp(0, "192.0.2.9:5069");
  carol = phone_udp(0, "192.0.2.10:5070");
  far = phone_udp(0, "192.0.2.50:5060");
}

static void close_world(void) {
  world_advance(&w, SEC(400));
  for (unsigned i = 0; i < 2; i++) {
    assert_int_equal(edge_stats(w.edge[i]).transactions, 0);
    assert_int_equal(edge_stats(w.edge[i]).calls, 0);
  }
  world_close(&w);
}

static void bind_phone(const struct phone *phone, const char *user, const char *contact) {
  static unsigned n;
  world_send(
      &w, phone,
      "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKr%u;rport\n"
      "Max-Forwards: 70\nFrom: <sip:%s@example.net>;tag=a\nTo: <sip:%s@example.net>\n"
      "Call-ID: r%u\nCSeq: 1 REGISTER\nContact: %s\nContent-Length: 0\n\n",
      n, user, user, n, contact);
  n++;
  world_expect(&w, phone, "SIP/2.0 200 ");
}

static void request(const char *method, const char *uri, const char *lines) {
  world_send(&w, &alice,
             "%s %s SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.8:5068;branch=z9hG4bKa;rport\n"
             "Max-Forwards: 70\n%sFrom: <sip:alice@example.net>;tag=al\n"
             "To: <sip:bob@example.net>\nCall-ID: call\nCSeq: 1 %s\n"
             "Contact: <sip:alice@192.0.2.8:5068>\nContent-Length: 0\n\n",
             method, uri, lines, method);
}

static void refuse(const struct phone *phone, const char *start, unsigned status,
                   const char *lines) {
  world_answer(&w, phone, world_expect(&w, phone, start), status, lines);
  world_expect(&w, phone, "ACK ");
}

static void two_phones(void) {
  bind_phone(&bob, "bob", "<sip:bob@192.0.2.9:5069>");
  bind_phone(&carol, "carol", "<sip:carol@192.0.2.10:5070>");
}

/* To an address elsewhere: it is asked, and the 302 is not passed on. */
static void a_302_is_followed(void **state) {
  (void)state;
  open_world(false);
  two_phones();
  request("INVITE", "sip:bob@example.net", "");
  refuse(&bob, "INVITE ", 302, "Contact: <sip:bob@192.0.2.50?Subject=x>\n");
  world_answer(&w, &far, world_expect(&w, &far, "INVITE sip:bob@192.0.2.50 SIP/2.0"), 200,
               "Contact: <sip:bob@192.0.2.50>\n");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 200 ");
  close_world();
}

/* To another address of the overlay: it is looked up; the one first called is not called again. */
static void a_302_within_the_overlay(void **state) {
  (void)state;
  open_world(false);
  two_phones();
  request("INVITE", "sip:bob@example.net", "");
  refuse(&bob, "INVITE ", 302, "Contact: <sip:carol@example.net>\n");
  assert_int_equal(w.locates, 2);
  refuse(&carol, "INVITE sip:carol@192.0.2.10:5070 ", 302,
         "Contact: <sip:bob@example.net>, <sip:carol@EXAMPLE.net>\n");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 302 "); /* nothing new in it: it is passed on */
  assert_int_equal(w.locates, 2);
  close_world();
}

static void a_302_to_nobody(void **state) {
  (void)state;
  open_world(false);
  two_phones();
  request("INVITE", "sip:bob@example.net", "");
  refuse(&bob, "INVITE ", 302, "Contact: <sip:nobody@example.net>\n");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 480 ");
  close_world();
}

/* By q, the best first; then the last resort. */
static void q_of_a_300_counts(void **state) {
  (void)state;
  open_world(false);
  two_phones();
  request("INVITE", "sip:bob@example.net", "");
  refuse(&bob, "INVITE ", 300,
         "Contact: <sip:x@192.0.2.50>;q=0.4, <sip:carol@example.net>;q=0.9\n");
  world_expect_nothing(&w, &far);
  refuse(&carol, "INVITE ", 486, "");
  refuse(&far, "INVITE sip:x@192.0.2.50 ", 404, "");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 4");
  close_world();
}

/* Bounded: each answer names new places, until there may be no more branches. */
static void redirections_without_end(void **state) {
  (void)state;
  open_world(false);
  bind_phone(&far, "bob", "<sip:bob@192.0.2.50>");
  request("INVITE", "sip:bob@example.net", "");
  char line[64];
  unsigned count = 0;
  for (; count < 30; count++) {
    struct sent *got = world_next(&w, &far);
    if (got == NULL) break;
    snprintf(line, sizeof line, "Contact: <sip:n%u@192.0.2.50>\n", count);
    world_answer(&w, &far, got, 302, line);
    world_expect(&w, &far, "ACK ");
  }
  assert_int_equal(count, 10);
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 302 ");
  close_world();
}

/* RFC 3261 16.7 step 4: of a domain that is not ours the caller decides. */
static void others_302_is_passed_on(void **state) {
  (void)state;
  open_world(false);
  two_phones();
  request("INVITE", "sip:x@192.0.2.50", "");
  refuse(&far, "INVITE ", 302, "Contact: <sip:carol@192.0.2.10:5070>\n");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  assert_true(sent_has(world_expect(&w, &alice, "SIP/2.0 302 "), "Contact: <sip:carol@192.0.2.10"));
  world_expect_nothing(&w, &carol);
  close_world();
}

static void cancelled_while_a_302_is_looked_up(void **state) {
  (void)state;
  open_world(false);
  two_phones();
  request("INVITE", "sip:bob@example.net", "");
  w.hold = true;
  refuse(&bob, "INVITE ", 302, "Contact: <sip:carol@example.net>\n");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  request("CANCEL", "sip:bob@example.net", "");
  world_expect(&w, &alice, "SIP/2.0 200 ");
  world_expect(&w, &alice, "SIP/2.0 487 ");
  world_release(&w, 0, OK);
  world_expect_nothing(&w, &carol);
  w.hold = false;
  close_world();
}

static void a_lookup_of_a_302_that_is_never_answered(void **state) {
  (void)state;
  open_world(false);
  two_phones();
  request("INVITE", "sip:bob@example.net", "");
  w.hold = true;
  refuse(&bob, "INVITE ", 302, "Contact: <sip:carol@example.net>\n");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_advance(&w, SEC(33));
  world_expect(&w, &alice, "SIP/2.0 500 ");
  w.hold = false;
  close_world();
}

/* ---- redirect mode ---- */

static void redirects(void **state) {
  (void)state;
  open_world(true);
  two_phones();
  struct phone nat = phone_udp(0, "192.0.2.70:33000");
  bind_phone(&nat, "bob", "<sip:bob@10.0.0.5>;q=0.5");
  request("INVITE", "sip:bob@example.net", "");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  struct sent *answer = world_expect(&w, &alice, "SIP/2.0 302 ");
  assert_string_equal(sent_header(answer, "Contact", 0), "<sip:bob@192.0.2.9:5069>");
  const char *second = sent_header(answer, "Contact", 1);
  assert_int_equal(strncmp(second, "<sip:bob@10.0.0.5?Route=%3Csip:f-", 33), 0);
  assert_non_null(strstr(second, "%3Blr%3E>;q=0.500"));
  world_expect_nothing(&w, &bob);
  request("ACK", "sip:bob@example.net", "");
  close_world();
  open_world(true); /* nobody to be named */
  request("MESSAGE", "sip:bob@example.net", "");
  world_expect(&w, &alice, "SIP/2.0 480 ");
  close_world();
}

/* ---- sips ---- */

static void sips_goes_by_tls_alone(void **state) {
  (void)state;
  open_world(false);
  two_phones();
  request("MESSAGE", "sips:bob@example.net", "");
  assert_true(sent_has(world_expect(&w, &alice, "SIP/2.0 480 "), "TLS"));
  world_expect_nothing(&w, &bob);
  world_close(&w);
  open_world(false);
  two_phones();
  struct phone safe = phone_tcp(0, "192.0.2.71:33000", 7);
  safe.at.transport = TRANSPORT_TLS;
  bind_phone(&safe, "bob", "<sip:bob@192.0.2.71:33000;transport=tls>");
  request("MESSAGE", "sips:bob@example.net", "");
  struct sent *got = world_expect(&w, &safe, "MESSAGE sip:bob@192.0.2.71:33000;transport=tls ");
  world_expect_nothing(&w, &bob);
  world_answer(&w, &safe, got, 200, "");
  world_expect(&w, &alice, "SIP/2.0 200 ");
  close_world();
}

/* Through another peer: the link to it is TLS, and it is told to take as much care. */
static void sips_through_another_peer(void **state) {
  (void)state;
  open_world(false);
  struct phone safe = phone_tcp(1, "192.0.2.71:33000", 7);
  safe.at.transport = TRANSPORT_TLS;
  bind_phone(&safe, "bob", "<sip:bob@192.0.2.71:33000;transport=tls>");
  request("MESSAGE", "sips:bob@example.net", "");
  struct phone peer = phone_udp(0, "192.0.2.2:5060");
  peer.at.transport = TRANSPORT_TLS; /* the world carries TCP between edges: here it is seen */
  struct sent *got = world_expect(&w, &peer, "MESSAGE sips:bob@192.0.2.71:33000;transport=tls ");
  assert_non_null(sent_header(got, "Route", 0));
  /* The far peer, by its token, goes on by TLS. */
  struct phone plain = phone_tcp(1, "192.0.2.72:33000", 8);
  world_send(&w, &plain,
             "MESSAGE sips:x@192.0.2.9 SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.72;branch=z9hG4bKp\n"
             "Max-Forwards: 70\nFrom: <sip:a@b>;tag=1\nTo: <sip:b@b>\nCall-ID: p\n"
             "CSeq: 1 MESSAGE\nRoute: %s\nContent-Length: 0\n\n",
             sent_header(got, "Route", 0));
  world_expect(&w, &safe, "MESSAGE sips:x@192.0.2.9 ");
  world_close(&w);
}

static struct slice bytes_of(const struct sent *sent) { return slice_of(sent->bytes, sent->len); }

/* A message of one edge to the other, over the TLS link that this test is. */
static void carry(unsigned from, const char *start) {
  static const char *const at[] = {"192.0.2.1:5060", "192.0.2.2:5060"};
  struct phone to = phone_udp(from, at[1 - from]), link = phone_tcp(1 - from, at[from], 90);
  struct phone back = phone_tcp(from, at[1 - from], 90);
  to.at.transport = link.at.transport = TRANSPORT_TLS;
  struct sent *sent =
      start[0] == 'S' ? world_expect(&w, &back, start) : world_expect(&w, &to, start);
  assert_true(world_try_send(&w, &link, bytes_of(sent)));
}

/* From alice through the edge `at`, by the route set that this message gives. */
static void bye(const struct phone *phone, const char *uri, const char *routes, const char *tags) {
  world_send(&w, phone,
             "BYE %s SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.70:33000;branch=z9hG4bKbye%u\n"
             "Max-Forwards: 70\n%s%sCall-ID: call\nCSeq: 2 BYE\nContent-Length: 0\n\n",
             uri, phone->edge, tags, routes);
}

/* RFC 3261 16.6 step 4, RFC 5630: Record-Route says sips, and what follows in the dialog goes over
 * TLS between the peers as well. */
static void a_dialog_of_sips(void **state) {
  (void)state;
  open_world(false);
  struct phone caller = phone_tcp(0, "192.0.2.70:33000", 6),
               safe = phone_tcp(1, "192.0.2.71:33000", 7);
  caller.at.transport = safe.at.transport = TRANSPORT_TLS;
  bind_phone(&safe, "bob", "<sip:bob@192.0.2.71:33000;transport=tls>");
  world_send(
      &w, &caller,
      "INVITE sips:bob@example.net SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.70:33000;branch=z9hG4bKi\n"
      "Max-Forwards: 70\nFrom: <sip:alice@example.net>;tag=al\nTo: <sip:bob@example.net>\n"
      "Call-ID: call\nCSeq: 1 INVITE\nContact: <sips:alice@192.0.2.70:33000>\n"
      "Content-Length: 0\n\n");
  carry(0, "INVITE sips:");
  struct sent *got = world_expect(&w, &safe, "INVITE sips:");
  for (unsigned n = 0; n < 4; n++)
    assert_int_equal(strncmp(sent_header(got, "Record-Route", n), "<sips:", 6), 0);
  char callee[2048];
  snprintf(callee, sizeof callee, "%s", sent_routes(got, false));
  world_answer(&w, &safe, got, 200, "Contact: <sips:bob@192.0.2.71:33000>\n");
  carry(1, "SIP/2.0 100 ");
  carry(1, "SIP/2.0 200 ");
  world_expect(&w, &caller, "SIP/2.0 100 ");
  got = world_expect(&w, &caller, "SIP/2.0 200 ");
  bye(&caller, "sips:bob@192.0.2.71:33000", sent_routes(got, true),
      "From: <sip:alice@example.net>;tag=al\nTo: <sip:bob@example.net>;tag=x\n");
  carry(0, "BYE sips:");
  world_expect(&w, &safe, "BYE sips:bob@192.0.2.71:33000 ");
  bye(&safe, "sips:alice@192.0.2.70:33000", callee,
      "From: <sip:bob@example.net>;tag=x\nTo: <sip:alice@example.net>;tag=al\n");
  carry(1, "BYE sips:");
  world_expect(&w, &caller, "BYE sips:alice@192.0.2.70:33000 ");
  world_close(&w);
}

/* ---- untouched ---- */

/* header fields that are the phones' own, and bodies, arrive byte for byte. */
static void what_is_between_phones_passes_untouched(void **state) {
  (void)state;
  static const char *const methods[] = {"INVITE", "PRACK", "UPDATE", "REFER", "INFO", "NOTIFY"};
  static const char lines[] =
      "Require:  100rel , timer\r\nSupported: replaces,100rel,timer\r\n"
      "Session-Expires: 1800;refresher=uac\r\nMin-SE:   90\r\nRSeq: 7\r\nRAck: 7 1 INVITE\r\n"
      "Refer-To: <sip:carol@example.net?Replaces=a%40b%3Bto-tag%3Dc>\r\nReferred-By: <sip:a@b>\r\n"
      "Replaces: 98732@x\r\n ;from-tag=r33th4x0r;to-tag=ff87ff\r\nX-Odd : \t\"\xc3\xa4\"\r\n";
  static const char body[] = "v=0\r\nc=IN IP4 10.0.0.1\r\na=crypto:1 x\n\0\xff\x01y";
  for (unsigned i = 0; i < sizeof methods / sizeof *methods; i++) {
    open_world(false);
    char text[2048];
    int head = snprintf(text, sizeof text,
                        "%s sip:x@192.0.2.50 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.8:5068;branch="
                        "z9hG4bKa;rport\r\nMax-Forwards: 70\r\n%sFrom: <sip:a@b>;tag=1\r\n"
                        "To: <sip:x@b>;tag=2\r\nCall-ID: c\r\nCSeq: 3 %s\r\n"
                        "Content-Type: application/x\r\nContent-Length: %zu\r\n\r\n",
                        methods[i], lines, methods[i], sizeof body - 1);
    memcpy(text + head, body, sizeof body - 1);
    assert_true(world_try_send(&w, &alice, slice_of(text, (size_t)head + sizeof body - 1)));
    struct sent *got = world_expect(&w, &far, methods[i]);
    assert_true(sent_has(got, lines));
    assert_true(got->len > sizeof body);
    assert_memory_equal(got->bytes + got->len - (sizeof body - 1), body, sizeof body - 1);
    world_close(&w);
  }
}

/* RFC 5393 5.3.3: with less breadth than contacts they are asked one after the other. */
static void little_breadth(void **state) {
  (void)state;
  open_world(false);
  bind_phone(&bob, "bob", "<sip:bob@192.0.2.9:5069>");
  bind_phone(&far, "bob", "<sip:bob@192.0.2.50>");
  request("INVITE", "sip:bob@example.net", "Max-Breadth: 1\n");
  struct sent *got = world_next(&w, &far);
  const struct phone *first = got != NULL ? &far : &bob, *second = got != NULL ? &bob : &far;
  if (got == NULL) got = world_expect(&w, &bob, "INVITE ");
  assert_string_equal(sent_header(got, "Max-Breadth", 0), "1");
  world_expect_nothing(&w, second);
  world_answer(&w, first, got, 486, "");
  world_expect(&w, first, "ACK ");
  refuse(second, "INVITE ", 486, "");
  world_expect(&w, &alice, "SIP/2.0 100 ");
  world_expect(&w, &alice, "SIP/2.0 486 ");
  close_world();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_302_is_followed),
      cmocka_unit_test(a_302_within_the_overlay),
      cmocka_unit_test(a_302_to_nobody),
      cmocka_unit_test(q_of_a_300_counts),
      cmocka_unit_test(redirections_without_end),
      cmocka_unit_test(others_302_is_passed_on),
      cmocka_unit_test(cancelled_while_a_302_is_looked_up),
      cmocka_unit_test(a_lookup_of_a_302_that_is_never_answered),
      cmocka_unit_test(redirects),
      cmocka_unit_test(sips_goes_by_tls_alone),
      cmocka_unit_test(sips_through_another_peer),
      cmocka_unit_test(a_dialog_of_sips),
      cmocka_unit_test(what_is_between_phones_passes_untouched),
      cmocka_unit_test(little_breadth),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
