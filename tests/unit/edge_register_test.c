/* SPDX-License-Identifier: BSD-2-Clause */
/* The registrar: RFC 3261 section 10.3, RFC 3327, R-7.1 to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/edge_world.h"

#define BOB "sip:bob@example.net"

struct registering {
  const char *call_id;
  unsigned cseq;
  const char *lines; /* Contact, Expires, Path ... */
};

static void send_register(struct edge_world *w, const struct phone *phone,
                          const struct registering *r) {
  static unsigned branch;
  world_send(w, phone,
             "REGISTER sip:example.net SIP/2.0\n"
             "Via: SIP/2.0/%s %s;branch=z9hG4bKr%u;rport\n"
             "Max-Forwards: 70\n"
             "From: Bob <sip:bob@example.net>;tag=a\n"
             "To: <sip:bob@example.net>\n"
             "Call-ID: %s\nCSeq: %u REGISTER\n%sContent-Length: 0\n\n",
             phone->flow == 0 ? "UDP" : "TCP", phone_text(phone), branch++, r->call_id, r->cseq,
             r->lines);
}

static struct sent *registered(struct edge_world *w, const struct phone *phone, unsigned cseq,
                               const char *lines, const char *start) {
  send_register(w, phone, &(struct registering){"reg-1", cseq, lines});
  return world_expect(w, phone, start);
}

static struct edge_world w; /* opened anew by each test */

/* 200 only after the overlay has acknowledged. */
static void answers_after_the_overlay(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  w.hold = true;
  send_register(&w, &bob, &(struct registering){"c", 1, "Contact: <sip:bob@192.0.2.9:5070>\n"});
  world_expect_nothing(&w, &bob);
  assert_int_equal(w.held_count, 1);
  assert_int_equal(w.held[0].kind, EDGE_BIND);
  assert_int_equal(w.held[0].granted_s, 3600);
  assert_string_equal(w.held[0].aor.at, BOB);
  assert_int_equal(w.held[0].contact.path_count, 0); /* its own public address: Figure 2 */
  assert_int_equal(w.held[0].contact.expires, w.wall + 3600 * 1000);
  world_release(&w, 0, OK);
  struct sent *ok = world_expect(&w, &bob, "SIP/2.0 200 ");
  assert_true(sent_has(ok, "Contact: <sip:bob@192.0.2.9:5070>;expires=3600\r\n"));
  assert_true(sent_has(ok, ";tag="));
  assert_true(sent_has(ok, "Date: Fri, 01 May 2026 12:00:00 GMT\r\n"));
  assert_int_equal(w.traces[TRACE_REGISTERED], 1);
  assert_int_equal(edge_stats(w.edge[0]).bindings, 1);
  world_close(&w);
}

/* what the overlay does not take is not there; what was there stays. */
static void reverts_when_the_overlay_refuses(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  registered(&w, &bob, 1, "Contact: <sip:bob@192.0.2.9:5070>\n", "SIP/2.0 200 ");
  w.bind_status = ERR_BUSY;
  struct sent *busy =
      registered(&w, &bob, 2, "Contact: <sip:bob@192.0.2.9:5070>;q=0.5, <sip:bob@192.0.2.10>\n",
                 "SIP/2.0 503 ");
  assert_true(sent_has(busy, "Retry-After: "));
  w.bind_status = OK;
  struct sent *ok = registered(&w, &bob, 3, "", "SIP/2.0 200 ");
  assert_true(sent_has(ok, "Contact: <sip:bob@192.0.2.9:5070>;expires=3600\r\n"));
  assert_false(sent_has(ok, "192.0.2.10"));
  /* A removal that fails leaves the binding too. */
  w.bind_status = ERR_TIMEOUT;
  registered(&w, &bob, 4, "Contact: *\nExpires: 0\n", "SIP/2.0 503 ");
  w.bind_status = OK;
  ok = registered(&w, &bob, 5, "", "SIP/2.0 200 ");
  assert_true(sent_has(ok, "Contact: <sip:bob@192.0.2.9:5070>;expires=3600\r\n"));
  world_close(&w);
}

/* */
static void refreshes_without_traffic(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  const char *contact = "Contact: <sip:bob@192.0.2.9:5070>\nExpires: 60\n";
  registered(&w, &bob, 1, contact, "SIP/2.0 200 ");
  for (unsigned i = 2; i <= 7; i++) { /* the record lives 600 s */
    world_advance(&w, SEC(50));
    struct sent *ok = registered(&w, &bob, i, contact, "SIP/2.0 200 ");
    assert_true(sent_has(ok, ";expires=60\r\n"));
    assert_int_equal(w.binds, 1);
  }
  world_advance(&w, SEC(50));
  registered(&w, &bob, 8, contact, "SIP/2.0 200 ");
  assert_int_equal(w.binds, 2);
  /* A new q changes the record. */
  registered(&w, &bob, 9, "Contact: <sip:bob@192.0.2.9:5070>;q=0.3\nExpires: 60\n", "SIP/2.0 200 ");
  assert_int_equal(w.binds, 3);
  assert_int_equal(world_records(&w, BOB), 1);
  world_close(&w);
}

/* A longer Expires than the record lives is a new record. */
static void a_longer_refresh_is_put(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  registered(&w, &bob, 1, "Contact: <sip:bob@192.0.2.9:5070>;expires=60\n", "SIP/2.0 200 ");
  world_advance(&w, SEC(10));
  registered(&w, &bob, 2, "Contact: <sip:bob@192.0.2.9:5070>;expires=3600\n", "SIP/2.0 200 ");
  assert_int_equal(w.binds, 2);
  world_close(&w);
}

/* What the overlay may have done in part is told how things stood, and not asked to remove the
 * record that is put back. */
static void puts_the_old_record_back(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  registered(&w, &bob, 1, "Contact: <sip:bob@192.0.2.9:5070>\n", "SIP/2.0 200 ");
  w.hold = true;
  send_register(&w, &bob,
                &(struct registering){"reg-1", 2,
                                      "Contact: <sip:bob@192.0.2.9:5070>;q=0.5, "
                                      "<sip:new@192.0.2.10>\n"});
  assert_int_equal(w.held_count, 2);
  world_release(&w, 0, ERR_TIMEOUT);
  world_expect_nothing(&w, &bob);
  world_release(&w, 1, OK);
  world_expect(&w, &bob, "SIP/2.0 503 ");
  assert_int_equal(w.held_count, 4);
  unsigned put = 0, removed = 0;
  for (unsigned i = 2; i < 4; i++) {
    const struct edge_call *call = &w.held[i];
    assert_int_equal(call->user, 0);
    put += call->kind == EDGE_BIND && call->contact.q_permille == 1000 &&
           strcmp(call->contact.uri.at, "sip:bob@192.0.2.9:5070") == 0;
    removed += call->kind == EDGE_UNBIND && strcmp(call->contact.uri.at, "sip:new@192.0.2.10") == 0;
  }
  assert_int_equal(put, 1);
  assert_int_equal(removed, 1);
  world_close(&w);
}

/* RFC 5626 section 6: with and without reg-id are different bindings, whatever the URI. */
static void outbound_and_plain_are_apart(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  registered(&w, &bob, 1, "Contact: <sip:bob@192.0.2.9:5070>\n", "SIP/2.0 200 ");
  registered(&w, &bob, 2,
             "Contact: <sip:bob@192.0.2.9:5070>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\n",
             "SIP/2.0 200 ");
  assert_int_equal(edge_stats(w.edge[0]).bindings, 2);
  world_close(&w);
}

/* */
static void lapses(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  registered(&w, &bob, 1, "Contact: <sip:bob@192.0.2.9:5070>;expires=60\n", "SIP/2.0 200 ");
  world_advance(&w, SEC(59));
  assert_int_equal(world_records(&w, BOB), 1);
  world_advance(&w, SEC(2));
  assert_int_equal(world_records(&w, BOB), 0);
  assert_int_equal(w.traces[TRACE_UNREGISTERED], 1);
  assert_int_equal(edge_stats(w.edge[0]).bindings, 0);
  world_close(&w);
}

/* RFC 3261 10.3 step 6. */
static void removes_all_by_star(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  registered(&w, &bob, 1, "Contact: <sip:bob@192.0.2.9:5070>, <sip:bob@192.0.2.10>;q=0.25\n",
             "SIP/2.0 200 ");
  assert_int_equal(world_records(&w, BOB), 2);
  registered(&w, &bob, 2, "Contact: *\n", "SIP/2.0 400 ");
  registered(&w, &bob, 3, "Contact: *\nExpires: 60\n", "SIP/2.0 400 ");
  registered(&w, &bob, 4, "Contact: *, <sip:bob@192.0.2.11>\nExpires: 0\n", "SIP/2.0 400 ");
  struct sent *ok = registered(&w, &bob, 5, "", "SIP/2.0 200 ");
  assert_true(sent_has(ok, "<sip:bob@192.0.2.10>;expires=3600;q=0.250\r\n"));
  ok = registered(&w, &bob, 6, "Contact: *\nExpires: 0\n", "SIP/2.0 200 ");
  assert_false(sent_has(ok, "Contact:"));
  assert_int_equal(world_records(&w, BOB), 0);
  /* Removing what is not there is no error. */
  registered(&w, &bob, 7, "Contact: <sip:bob@192.0.2.9:5070>;expires=0\n", "SIP/2.0 200 ");
  world_close(&w);
}

/* RFC 3261 10.3 step 7. */
static void keeps_the_order_of_cseq(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  const char *contact = "Contact: <sip:bob@192.0.2.9:5070>\n";
  registered(&w, &bob, 5, contact, "SIP/2.0 200 ");
  registered(&w, &bob, 5, contact, "SIP/2.0 500 ");
  registered(&w, &bob, 4, "Contact: *\nExpires: 0\n", "SIP/2.0 500 ");
  registered(&w, &bob, 6, contact, "SIP/2.0 200 ");
  /* Another Call-ID counts anew. */
  send_register(&w, &bob, &(struct registering){"other", 1, contact});
  world_expect(&w, &bob, "SIP/2.0 200 ");
  /* While one waits, the same again by another way is merged, a newer one has to wait. */
  w.hold = true;
  send_register(&w, &bob, &(struct registering){"m", 1, "Contact: <sip:bob@192.0.2.44>\n"});
  send_register(&w, &bob, &(struct registering){"m", 1, "Contact: <sip:bob@192.0.2.44>\n"});
  world_expect(&w, &bob, "SIP/2.0 482 ");
  send_register(&w, &bob, &(struct registering){"m", 2, "Contact: <sip:bob@192.0.2.44>\n"});
  world_expect(&w, &bob, "SIP/2.0 503 ");
  world_release(&w, 0, OK);
  world_expect(&w, &bob, "SIP/2.0 200 ");
  world_close(&w);
}

/* */
static void grants_expires(void **state) {
  (void)state;
  static const struct {
    const char *lines, *start, *has;
  } rows[] = {
      {"Contact: <sip:b@192.0.2.9>\n", "SIP/2.0 200 ", ";expires=3600"},
      {"Contact: <sip:b@192.0.2.9>\nExpires: 120\n", "SIP/2.0 200 ", ";expires=120"},
      {"Contact: <sip:b@192.0.2.9>;expires=90\nExpires: 120\n", "SIP/2.0 200 ", ";expires=90"},
      {"Contact: <sip:b@192.0.2.9>\nExpires: 7200\n", "SIP/2.0 200 ", ";expires=3600"},
      {"Contact: <sip:b@192.0.2.9>\nExpires: 59\n", "SIP/2.0 423 ", "Min-Expires: 60\r\n"},
      {"Contact: <sip:b@192.0.2.9>;expires=1\n", "SIP/2.0 423 ", "Min-Expires: 60\r\n"},
      /* RFC 4475 3.1.2.4 scalarlg: too large a number is cut down. */
      {"Contact: <sip:b@192.0.2.9>;expires=280297596632815\n", "SIP/2.0 200 ", ";expires=3600"},
      {"Contact: <sip:b@192.0.2.9>\nExpires: soon\n", "SIP/2.0 200 ", ";expires=3600"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_open(&w, 1);
    struct phone bob = phone_udp(0, "192.0.2.9:5070");
    struct sent *answer = registered(&w, &bob, 1, rows[i].lines, rows[i].start);
    if (!sent_has(answer, rows[i].has)) fail_msg("%s: %s", rows[i].lines, answer->bytes);
    world_close(&w);
  }
}

/* */
static void allows_only_this_machine(void **state) {
  (void)state;
  struct edge_config config;
  world_begin(&w, &config);
  config.digest_off = false;
  world_open_config(&w, 1, &config);
  struct phone far = phone_udp(0, "192.0.2.9:5070"), near = phone_udp(0, "127.0.0.1:5070");
  struct sent *no = registered(&w, &far, 1, "Contact: <sip:b@192.0.2.9>\n", "SIP/2.0 403 ");
  assert_true(sent_has(no, "locser user add"));
  registered(&w, &near, 2, "Contact: <sip:b@127.0.0.1:5070>\n", "SIP/2.0 200 ");
  config.digest_off = true;
  assert_int_equal(edge_reconfigure(w.edge[0], &config), OK);
  registered(&w, &far, 3, "Contact: <sip:b@192.0.2.9>\n", "SIP/2.0 200 ");
  world_close(&w);
}

/* */
static void refuses_what_is_not_ours(void **state) {
  (void)state;
  static const struct {
    const char *uri, *from, *to, *lines, *start;
  } rows[] = {
      {"sip:example.net", BOB, BOB, "", "SIP/2.0 200 "},
      {"sip:example.net;transport=udp", BOB, BOB, "", "SIP/2.0 200 "},
      {"sip:192.0.2.1", "sip:bob@192.0.2.1", "sip:bob@192.0.2.1", "", "SIP/2.0 200 "},
      {"sip:EXAMPLE.NET", "sip:bob@Example.net:5062", "sips:bob@example.NET", "", "SIP/2.0 200 "},
      {"sip:example.net", "sip:alice@example.net", BOB, "", "SIP/2.0 403 "},
      {"sip:example.net", "tel:+1", BOB, "", "SIP/2.0 403 "},
      {"sip:example.net", BOB, "sip:example.net", "", "SIP/2.0 404 "},
      {"sip:example.net", BOB, "sip:bob@example.org", "", "SIP/2.0 404 "},
      {"sip:example.org", "sip:bob@example.org", "sip:bob@example.org", "", "SIP/2.0 404 "},
      {"tel:+1", BOB, BOB, "", "SIP/2.0 416 "},
      {"sips:example.net", BOB, BOB, "", "SIP/2.0 200 "},
      {"sip:example.net", BOB, BOB, "Require: path, gruu, foo, 100rel\n", "SIP/2.0 420 "},
      {"sip:example.net", BOB, BOB, "Contact: <tel:+1>\n", "SIP/2.0 400 "},
      {"sip:example.net", BOB, BOB, "Contact: <sip:b@192.0.2.9>;reg-id=1;+sip.instance=\"<u>\"\n",
       "SIP/2.0 200 "},
      {"sip:example.net", BOB, BOB, "Contact: <sip:b@192.0.2.9>;reg-id=0;+sip.instance=\"<u>\"\n",
       "SIP/2.0 400 "},
      /* RFC 4475 3.1.2.11 regbadct: headers in an unbracketed URI. */
      {"sip:example.net", BOB, BOB, "Contact: sip:user@example.com?Route=%3Csip:s.example.com%3E\n",
       "SIP/2.0 400 "},
      /* RFC 4475 3.1.1.5 escnull; 3.1.1.7... names with escaped escapes. */
      {"sip:example.net", "sip:null-%00-null@example.net", "sip:null-%00-null@example.net",
       "Contact: <sip:%00@host5.example.com>, <sip:%00%00@host5.example.com>\n", "SIP/2.0 200 "},
      {"sip:example.net", "sip:%25@example.net", "sip:%25@example.net", "", "SIP/2.0 200 "},
      /* What does not parse is named in the answer. */
      {"sip:example.net", BOB, BOB, "Contact: <sip:b@192.0.2.9\n", "SIP/2.0 400 Bad Contact"},
      {"sip:example.net", BOB, BOB, "Contact: <sip:b@192.0.2.9>,,<sip:c@192.0.2.9>\n",
       "SIP/2.0 400 Bad Contact"},
      {"sip:example.net", BOB, BOB, "Contact: <sip:b@192.0.2.9:99999>\n",
       "SIP/2.0 400 Bad Contact"},
      {"sip:example.net", BOB, BOB, "Contact: <sip:b@192.0.2.9>;reg-id=x;+sip.instance=\"<u>\"\n",
       "SIP/2.0 400 Bad reg-id"},
      {"sip:example.net", BOB, BOB, "Supported: path\nPath: <sip:p@\n", "SIP/2.0 400 Bad Path"},
      {"sip:example.net", BOB, BOB, "Supported: path\nPath: *\n", "SIP/2.0 400 Bad Path"},
      {"sip:example.net", BOB, BOB, "Supported: path\nPath: <tel:+1555>\n", "SIP/2.0 400 Bad Path"},
      {"sip:example.net", BOB, BOB, "Path: <sip:192.0.2.7;lr>\n", "SIP/2.0 421 "},
      {"sip:example.net", BOB, BOB, "Route: <sip:>\n", "SIP/2.0 400 Bad Route"},
      {"sip:example.net", BOB, BOB, "Route: <sip:192.0.2.1;lr>, \n", "SIP/2.0 400 Bad Route"},
      {"sip:example.net", BOB, BOB, "Contact: <sip:b@192.0.2.9>;expires=59\n", "SIP/2.0 423 "},
      {"sip:example.net", BOB, BOB, "Contact: <sip:b@192.0.2.9>;expires=forever;q=9\n",
       "SIP/2.0 200 "},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_open(&w, 1);
    struct phone bob = phone_udp(0, "192.0.2.9:5070");
    world_send(&w, &bob,
               "REGISTER %s SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK1\n"
               "Max-Forwards: 70\nFrom: <%s>;tag=a\nTo: <%s>\nCall-ID: c\nCSeq: 1 REGISTER\n"
               "%sContent-Length: 0\n\n",
               rows[i].uri, rows[i].from, rows[i].to, rows[i].lines);
    struct sent *answer = world_next(&w, &bob);
    assert_non_null(answer);
    if (strncmp(answer->bytes, rows[i].start, strlen(rows[i].start)) != 0)
      fail_msg("row %zu: %s", i, answer->bytes);
    if (i == 11) {
      assert_true(sent_has(answer, "Unsupported: foo\r\n"));
      assert_true(sent_has(answer, "Unsupported: 100rel\r\n"));
      assert_false(sent_has(answer, "Unsupported: path"));
    }
    if (i == 16) assert_int_equal(world_records(&w, "sip:null-%00-null@example.net"), 2);
    world_close(&w);
  }
}

/* RFC 4475 3.1.2.12 to 3.1.2.14: parameters and headers of Contact URIs. */
static void keeps_odd_contacts_apart(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  registered(&w, &bob, 1, "Contact: sip:+19725552222@gw1.example.net;unknownparam\n",
             "SIP/2.0 200 ");
  struct sent *ok = registered(
      &w, &bob, 2, "Contact: <sip:+19725552222@gw1.example.net;unknownparam>\n", "SIP/2.0 200 ");
  /* cparam01 has the parameter at the header, cparam02 at the URI; RFC 3261 19.1.4: an unknown
   * parameter in only one of two URIs is ignored, so it is the same binding. */
  assert_true(sent_has(ok, "<sip:+19725552222@gw1.example.net>;expires="));
  assert_int_equal(world_records(&w, BOB), 1);
  ok = registered(&w, &bob, 3, "Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\n",
                  "SIP/2.0 200 ");
  assert_true(sent_has(ok, "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>;expires="));
  assert_int_equal(world_records(&w, BOB), 2);
  world_close(&w);
}

/* NAT and streams. */
static void adds_its_own_path(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone nat = phone_udp(0, "192.0.2.77:33000"), tcp = phone_tcp(0, "192.0.2.9:40001", 7);
  w.hold = true;
  send_register(&w, &nat, &(struct registering){"n", 1, "Contact: <sip:bob@10.0.0.5:5060>\n"});
  send_register(
      &w, &tcp,
      &(struct registering){"t", 1, "Contact: <sip:bob@192.0.2.9:40001;transport=tcp>\n"});
  assert_int_equal(w.held_count, 2);
  for (unsigned i = 0; i < 2; i++) {
    assert_int_equal(w.held[i].contact.path_count, 1);
    const char *path = w.held[i].contact.path[0].at;
    assert_non_null(strstr(path, "@192.0.2.1:5060;transport=tcp;lr>"));
    assert_int_equal(strncmp(path, "<sip:f-", 7), 0);
  }
  assert_string_not_equal(w.held[0].contact.path[0].at, w.held[1].contact.path[0].at);
  world_release(&w, 0, OK);
  world_release(&w, 1, OK);
  world_expect(&w, &nat, "SIP/2.0 200 ");
  struct sent *ok = world_expect(&w, &tcp, "SIP/2.0 200 ");
  assert_false(sent_has(ok, "Path:")); /* the phone did not send one (RFC 3327 5.3) */
  world_close(&w);
}

/* A phone on this machine is not at an address that other peers can use. */
static void loopback_is_not_reachable_from_outside(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone near = phone_udp(0, "127.0.0.1:5070");
  w.hold = true;
  send_register(&w, &near, &(struct registering){"n", 1, "Contact: <sip:bob@127.0.0.1:5070>\n"});
  assert_int_equal(w.held[0].contact.path_count, 1);
  world_release(&w, 0, OK);
  world_close(&w);
}

/* RFC 3327 section 5.3. */
static void takes_the_path_of_others(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  const char *path =
      "Path: <sip:p1.example.com;lr>, <sip:192.0.2.50;lr>\n"
      "Contact: <sip:bob@10.1.1.1>\n";
  struct sent *no = registered(&w, &bob, 1, path, "SIP/2.0 421 ");
  assert_true(sent_has(no, "Require: path\r\n"));
  char lines[256];
  snprintf(lines, sizeof lines, "%sSupported: 100rel, path\n", path);
  w.hold = true;
  send_register(&w, &bob, &(struct registering){"p", 2, lines});
  assert_int_equal(w.held[0].contact.path_count, 2);
  assert_string_equal(w.held[0].contact.path[0].at, "<sip:p1.example.com;lr>");
  world_release(&w, 0, OK);
  struct sent *ok = world_expect(&w, &bob, "SIP/2.0 200 ");
  assert_string_equal(sent_header(ok, "Path", 0), "<sip:p1.example.com;lr>");
  assert_string_equal(sent_header(ok, "Path", 1), "<sip:192.0.2.50;lr>");
  world_close(&w);
}

/* RFC 5626: the same instance and reg-id is the same binding, wherever it has moved. */
static void moves_an_instance(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone a = phone_tcp(0, "192.0.2.9:40001", 7), b = phone_tcp(0, "192.0.2.9:40002", 8);
  const char *contact =
      "Contact: <sip:bob@192.0.2.9:%u;transport=tcp>;"
      "+sip.instance=\"<urn:uuid:1>\";reg-id=1\n";
  char lines[256];
  snprintf(lines, sizeof lines, contact, 40001);
  send_register(&w, &a, &(struct registering){"i", 1, lines});
  world_expect(&w, &a, "SIP/2.0 200 ");
  snprintf(lines, sizeof lines, contact, 40002);
  send_register(&w, &b, &(struct registering){"i", 2, lines});
  struct sent *ok = world_expect(&w, &b, "SIP/2.0 200 ");
  assert_true(sent_has(ok,
                       ":40002;transport=tcp>;expires=3600;+sip.instance=\"<urn:uuid:1>\""
                       ";reg-id=1\r\n"));
  assert_false(sent_has(ok, ":40001"));
  assert_int_equal(world_records(&w, BOB), 1);
  /* The old flow ends: the binding has left it already. */
  world_close_flow(&w, 0, 7);
  assert_int_equal(world_records(&w, BOB), 1);
  world_close_flow(&w, 0, 8);
  assert_int_equal(world_records(&w, BOB), 0);
  world_close(&w);
}

/* also when the flow ends while the overlay is being asked. */
static void a_closed_flow_takes_its_bindings(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone tcp = phone_tcp(0, "192.0.2.9:40001", 7);
  w.hold = true;
  send_register(&w, &tcp, &(struct registering){"t", 1, "Contact: <sip:bob@192.0.2.9:40001>\n"});
  world_close_flow(&w, 0, 7);
  w.hold = false;
  world_release(&w, 0, OK);
  world_advance(&w, SEC(1));
  assert_int_equal(w.unbinds, 1);
  assert_int_equal(world_records(&w, BOB), 0);
  assert_int_equal(edge_stats(w.edge[0]).bindings, 0);
  world_close(&w);
}

/* More bindings on a flow than one step may ask the overlay about. */
static void a_flow_of_many_bindings_closes(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone tcp = phone_tcp(0, "192.0.2.9:40001", 7);
  for (unsigned i = 0; i < 60; i++) {
    world_send(&w, &tcp,
               "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKm%u\n"
               "Max-Forwards: 70\nFrom: <sip:u%u@example.net>;tag=a\nTo: <sip:u%u@example.net>\n"
               "Call-ID: c%u\nCSeq: 1 REGISTER\nContact: <sip:u@192.0.2.9>\nContent-Length: 0\n\n",
               i, i, i, i);
    world_expect(&w, &tcp, "SIP/2.0 200 ");
  }
  assert_int_equal(edge_stats(w.edge[0]).bindings, 60);
  uint32_t cursor = 0;
  struct edge_binding binding, before = {0};
  unsigned seen = 0;
  for (; edge_each_binding(w.edge[0], &cursor, &binding); before = binding, seen++) {
    if (seen > 0) assert_true(slice_compare(before.aor, binding.aor) <= 0);
    assert_int_equal(binding.flow, 7);
  }
  assert_int_equal(seen, 60);
  world_close_flow(&w, 0, 7);
  assert_int_equal(edge_stats(w.edge[0]).bindings, 0);
  assert_int_equal(w.unbinds, 60);
  world_close(&w);
}

/* */
static void tables_have_limits(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  char lines[128];
  for (unsigned i = 0; i < 16; i++) {
    snprintf(lines, sizeof lines, "Contact: <sip:bob@192.0.2.%u>\n", 100 + i);
    registered(&w, &bob, i + 1, lines, "SIP/2.0 200 ");
  }
  registered(&w, &bob, 17, "Contact: <sip:bob@192.0.2.99>\n", "SIP/2.0 403 ");
  registered(&w, &bob, 18, "Contact: <sip:bob@192.0.2.100>\n", "SIP/2.0 200 ");
  registered(&w, &bob, 19, "Contact: <sip:bob@192.0.2.100>;expires=0, <sip:bob@192.0.2.99>\n",
             "SIP/2.0 200 ");
  unsigned refused = 0;
  for (unsigned i = 0; i < 60; i++) {
    world_send(&w, &bob,
               "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5070;"
               "branch=z9hG4bKm%u\nMax-Forwards: 70\nFrom: <sip:u%u@example.net>;tag=a\n"
               "To: <sip:u%u@example.net>\nCall-ID: c%u\nCSeq: 1 REGISTER\n"
               "Contact: <sip:u@192.0.2.9>\nContent-Length: 0\n\n",
               i, i, i, i);
    struct sent *answer = world_next(&w, &bob);
    assert_non_null(answer);
    if (!sent_has(answer, "SIP/2.0 503")) continue;
    assert_true(sent_has(answer, "Retry-After: "));
    refused++;
  }
  assert_true(refused > 0);
  assert_true(edge_stats(w.edge[0]).bindings <= 64);
  world_close(&w);
}

/* A retransmission draws the same answer, and a Route that names us is no route. */
static void absorbs_and_strips(void **state) {
  (void)state;
  world_open(&w, 1);
  struct phone bob = phone_udp(0, "192.0.2.9:5070");
  const char *text =
      "REGISTER sip:example.net;transport=udp SIP/2.0\n"
      "Via: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK1;rport\n"
      "Route: <sip:192.0.2.1:5060;transport=udp;lr>\n"
      "Max-Forwards: 0\nFrom: <sip:bob@example.net>;tag=a\n"
      "To: <sip:bob@example.net>\nCall-ID: c\nCSeq: 1 REGISTER\n"
      "Contact: <sip:bob@192.0.2.9:5070>\nContent-Length: 0\n\n";
  world_send(&w, &bob, "%s", text);
  struct sent *first = world_expect(&w, &bob, "SIP/2.0 200 ");
  world_send(&w, &bob, "%s", text);
  struct sent *second = world_expect(&w, &bob, "SIP/2.0 200 ");
  assert_string_equal(first->bytes, second->bytes);
  assert_true(sent_has(first, "received=192.0.2.9"));
  assert_true(sent_has(first, "rport=5070"));
  assert_int_equal(w.binds, 1);
  world_close(&w);
}

/* Every allocation fails once: an answer or silence, never a leak or a half-made binding. */
static void survives_without_memory(void **state) {
  (void)state;
  for (uint64_t after = 0; after < 60; after++) {
    w = (struct edge_world){0};
    test_memory_init(&w.memory, after);
    crypto_openssl(&w.crypto);
    world_open_config(&w, 1, NULL);
    if (w.edge[0] == NULL) {
      w.edge_count = 0;
      world_close(&w);
      continue;
    }
    struct phone tcp = phone_tcp(0, "192.0.2.9:40001", 7);
    const char *contact = "Contact: <sip:bob@192.0.2.9:40001>, <sip:bob@192.0.2.10>\n";
    send_register(&w, &tcp, &(struct registering){"t", 1, contact});
    const struct sent *answer = world_next(&w, &tcp);
    assert_non_null(answer);
    assert_true(sent_has(answer, "SIP/2.0 200") || sent_has(answer, "SIP/2.0 503"));
    w.memory.fail_after = w.memory.taken; /* now never again */
    send_register(&w, &tcp, &(struct registering){"t", 2, "Contact: *\nExpires: 0\n"});
    answer = world_next(&w, &tcp);
    assert_non_null(answer);
    w.memory.fail_after = TEST_MEMORY_UNLIMITED;
    send_register(&w, &tcp, &(struct registering){"t", 3, contact});
    world_expect(&w, &tcp, "SIP/2.0 200 ");
    world_close(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_after_the_overlay),
      cmocka_unit_test(reverts_when_the_overlay_refuses),
      cmocka_unit_test(refreshes_without_traffic),
      cmocka_unit_test(a_longer_refresh_is_put),
      cmocka_unit_test(puts_the_old_record_back),
      cmocka_unit_test(outbound_and_plain_are_apart),
      cmocka_unit_test(lapses),
      cmocka_unit_test(removes_all_by_star),
      cmocka_unit_test(keeps_the_order_of_cseq),
      cmocka_unit_test(grants_expires),
      cmocka_unit_test(allows_only_this_machine),
      cmocka_unit_test(refuses_what_is_not_ours),
      cmocka_unit_test(keeps_odd_contacts_apart),
      cmocka_unit_test(adds_its_own_path),
      cmocka_unit_test(loopback_is_not_reachable_from_outside),
      cmocka_unit_test(takes_the_path_of_others),
      cmocka_unit_test(moves_an_instance),
      cmocka_unit_test(a_closed_flow_takes_its_bindings),
      cmocka_unit_test(a_flow_of_many_bindings_closes),
      cmocka_unit_test(tables_have_limits),
      cmocka_unit_test(absorbs_and_strips),
      cmocka_unit_test(survives_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
