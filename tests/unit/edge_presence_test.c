/* SPDX-License-Identifier: BSD-2-Clause */
/* Presence at one peer: RFC 3903, 6665, 3856, 3857; docs/spec/12-presence.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/edge_world.h"
#include "usage/presence.h"

#define BOB "sip:bob@example.net"
#define ALICE "sip:alice@example.net"
#define EVE "sip:eve@example.net"
#define TUPLE(id, basic) "<tuple id=\"" id "\"><status><basic>" basic "</basic></status></tuple>"
#define PIDF(children)                                                      \
  "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" " \
  "entity=\"pres:x\">" children "</presence>"

static struct edge_world w; /* opened anew by each test */
static unsigned branch;

static struct sent *publish(const struct phone *phone, const char *user, const char *lines,
                            const char *body, const char *start) {
  branch++;
  world_send(&w, phone,
             "PUBLISH sip:%s@example.net SIP/2.0\n"
             "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKp%u;rport\n"
             "Max-Forwards: 70\nFrom: <sip:%s@example.net>;tag=p\nTo: <sip:%s@example.net>\n"
             "Call-ID: p%u\nCSeq: 1 PUBLISH\nEvent: presence\n%s"
             "Content-Type: application/pidf+xml\nContent-Length: %u\n\n%s",
             user, branch, user, user, branch, lines, (unsigned)strlen(body), body);
  return world_expect(&w, phone, start);
}

struct asking {
  const char *from, *to, *call_id, *to_tag;
  unsigned cseq;
  const char *event, *lines;
};

static void ask(const struct phone *phone, const struct asking *a) {
  branch++;
  world_send(&w, phone,
             "SUBSCRIBE %s SIP/2.0\n"
             "Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKs%u;rport\n"
             "Max-Forwards: 70\nFrom: <%s>;tag=f%s\nTo: <%s>%s%s\n"
             "Call-ID: %s\nCSeq: %u SUBSCRIBE\n%sContact: <sip:me@192.0.2.8:5080>\n%s"
             "Content-Length: 0\n\n",
             a->to_tag[0] != 0 ? "sip:192.0.2.1:5060;transport=udp" : a->to, branch, a->from,
             a->call_id, a->to, a->to_tag[0] != 0 ? ";tag=" : "", a->to_tag, a->call_id, a->cseq,
             a->event, a->lines);
}

static const char *to_tag(const struct sent *message) {
  const char *tag = strstr(sent_header(message, "To", 0), ";tag=");
  assert_non_null(tag);
  return tag + 5;
}

/* Subscribes, and takes the first NOTIFY, which is answered. */
static struct sent *watch(const struct phone *phone, const char *from, const char *to,
                          const char *call_id) {
  ask(phone, &(struct asking){from, to, call_id, "", 1, "Event: presence\n", "Expires: 600\n"});
  world_expect(&w, phone, "SIP/2.0 200");
  world_advance(&w, 0);
  struct sent *notify = world_expect(&w, phone, "NOTIFY sip:me@192.0.2.8:5080 SIP/2.0");
  world_answer(&w, phone, notify, 200, "");
  return notify;
}

static struct sent *next_notify(const struct phone *phone) {
  world_advance(&w, MSEC(100));
  struct sent *notify = world_expect(&w, phone, "NOTIFY ");
  world_answer(&w, phone, notify, 200, "");
  return notify;
}

static struct phone bob, alice;

static int open_world(void **state) {
  (void)state;
  world_open(&w, 1);
  bob = phone_udp(0, "192.0.2.9:5070");
  alice = phone_udp(0, "192.0.2.8:5080");
  return 0;
}

static int close_world(void **state) {
  (void)state;
  world_close(&w);
  return 0;
}

/* publish, refresh, modify, remove, each with a new tag; 412. */
static void a_publication_lives_by_its_tag(void **state) {
  (void)state;
  char lines[96], first[64];
  struct sent *answer =
      publish(&bob, "bob", "Expires: 300\n", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  snprintf(first, sizeof first, "%s", sent_header(answer, "SIP-ETag", 0));
  assert_string_equal(sent_header(answer, "Expires", 0), "300");
  snprintf(lines, sizeof lines, "SIP-If-Match: %s\n", first);
  answer = publish(&bob, "bob", lines, "", "SIP/2.0 200");
  assert_string_not_equal(sent_header(answer, "SIP-ETag", 0), first);
  publish(&bob, "bob", lines, "", "SIP/2.0 412"); /* the tag of before */
  snprintf(lines, sizeof lines, "SIP-If-Match: %s\n", sent_header(answer, "SIP-ETag", 0));
  answer = publish(&bob, "bob", lines, PIDF(TUPLE("a", "closed")), "SIP/2.0 200");
  snprintf(lines, sizeof lines, "SIP-If-Match: %s\nExpires: 0\n",
           sent_header(answer, "SIP-ETag", 0));
  publish(&bob, "bob", lines, "", "SIP/2.0 200");
  publish(&bob, "bob", lines, "", "SIP/2.0 412");
  assert_int_equal(edge_stats(w.edge[0]).publications, 0);
}

/* */
static void what_is_wrong_is_refused(void **state) {
  (void)state;
  struct sent *answer = publish(&bob, "bob", "Expires: 59\n", PIDF(""), "SIP/2.0 423");
  assert_string_equal(sent_header(answer, "Min-Expires", 0), "60");
  publish(&bob, "bob", "", "<presence>", "SIP/2.0 400");
  publish(&bob, "bob", "", "<presence/>", "SIP/2.0 400");
  publish(&bob, "bob", "", "", "SIP/2.0 400");
  publish(&bob, "bob", "Content-Encoding: gzip\n", PIDF(""), "SIP/2.0 415");
  world_send(&w, &bob,
             "PUBLISH " BOB
             " SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx;rport\n"
             "Max-Forwards: 70\nFrom: <" BOB ">;tag=p\nTo: <" BOB
             ">\nCall-ID: x\n"
             "CSeq: 1 PUBLISH\nEvent: dialog\nContent-Length: 0\n\n");
  answer = world_expect(&w, &bob, "SIP/2.0 489");
  assert_string_equal(sent_header(answer, "Allow-Events", 0),
                      "presence, presence.winfo, message-summary");
  world_send(&w, &bob,
             "PUBLISH " ALICE
             " SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKy;rport\n"
             "Max-Forwards: 70\nFrom: <" BOB ">;tag=p\nTo: <" ALICE
             ">\nCall-ID: y\n"
             "CSeq: 1 PUBLISH\nEvent: presence\nContent-Length: 0\n\n");
  world_expect(&w, &bob, "SIP/2.0 403");
  assert_int_equal(edge_stats(w.edge[0]).publications, 0);
}

/* the dialog, from the first NOTIFY to the last. */
static void a_subscription_tells_and_ends(void **state) {
  (void)state;
  struct sent *notify = watch(&alice, ALICE, BOB, "c1");
  assert_string_equal(sent_header(notify, "Subscription-State", 0), "active;expires=600");
  assert_string_equal(sent_header(notify, "Event", 0), "presence");
  assert_true(sent_has(notify, "<basic>closed</basic>"));
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  notify = next_notify(&alice);
  assert_true(sent_has(notify, "entity=\"" BOB "\""));
  assert_true(sent_has(notify, TUPLE("a", "open")));
  const char *tag = strstr(sent_header(notify, "From", 0), ";tag=") + 5;
  char own[32];
  snprintf(own, sizeof own, "%s", tag);
  ask(&alice, &(struct asking){ALICE, BOB, "c1", own, 2, "Event: presence\n", "Expires: 900\n"});
  struct sent *answer = world_expect(&w, &alice, "SIP/2.0 200");
  assert_string_equal(to_tag(answer), own);
  assert_string_equal(sent_header(answer, "Expires", 0), "900");
  next_notify(&alice);
  ask(&alice, &(struct asking){ALICE, BOB, "c1", own, 3, "Event: presence\n", "Expires: 0\n"});
  world_expect(&w, &alice, "SIP/2.0 200");
  notify = next_notify(&alice);
  assert_string_equal(sent_header(notify, "Subscription-State", 0), "terminated;reason=timeout");
  assert_int_equal(edge_stats(w.edge[0]).subscriptions, 0);
  ask(&alice, &(struct asking){ALICE, BOB, "c1", own, 4, "Event: presence\n", ""});
  world_expect(&w, &alice, "SIP/2.0 481");
}

static void it_lapses_and_ends_by_a_refusal(void **state) {
  (void)state;
  watch(&alice, ALICE, BOB, "c1");
  world_advance(&w, SEC(600));
  struct sent *notify = world_expect(&w, &alice, "NOTIFY ");
  assert_string_equal(sent_header(notify, "Subscription-State", 0), "terminated;reason=timeout");
  world_answer(&w, &alice, notify, 200, "");
  assert_int_equal(edge_stats(w.edge[0]).subscriptions, 0);
  watch(&alice, ALICE, BOB, "c2");
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  world_advance(&w, 0);
  world_answer(&w, &alice, world_expect(&w, &alice, "NOTIFY "), 481, "");
  assert_int_equal(edge_stats(w.edge[0]).subscriptions, 0);
}

/* Who does not answer is forgotten, too. */
static void silence_ends_it(void **state) {
  (void)state;
  ask(&alice, &(struct asking){ALICE, BOB, "c1", "", 1, "Event: presence\n", ""});
  world_expect(&w, &alice, "SIP/2.0 200");
  world_advance(&w, SEC(40));
  assert_int_equal(edge_stats(w.edge[0]).subscriptions, 0);
}

/* a phone that never publishes is shown by its registration. */
static void a_registration_shows(void **state) {
  (void)state;
  watch(&alice, ALICE, BOB, "c1");
  world_register(&w, &bob, "bob", 1, 600);
  struct sent *notify = next_notify(&alice);
  assert_true(sent_has(notify, "<basic>open</basic>"));
  assert_false(sent_has(notify, "192.0.2.9")); /* not where it is */
  world_register(&w, &bob, "bob", 2, 0);
  assert_true(sent_has(next_notify(&alice), "<basic>closed</basic>"));
  world_register(&w, &bob, "bob", 3, 60);
  assert_true(sent_has(next_notify(&alice), "<basic>open</basic>"));
  world_advance(&w, SEC(61));
  assert_true(sent_has(next_notify(&alice), "<basic>closed</basic>"));
}

/* several devices in one document; ids differ, what is foreign passes with its namespaces.
 */
static void devices_are_joined(void **state) {
  (void)state;
  watch(&alice, ALICE, BOB, "c1");
  publish(&bob, "bob", "", PIDF(TUPLE("t", "closed")), "SIP/2.0 200");
  next_notify(&alice);
  publish(&bob, "bob", "",
          "<p:presence xmlns:p='urn:ietf:params:xml:ns:pidf' xmlns:r=\"urn:rpid\" entity=\"x\">"
          "<!-- <p:tuple> --><p:tuple id='t'><p:status><p:basic>open</p:basic></p:status>"
          "<p:note><![CDATA[</p:tuple>]]></p:note></p:tuple><r:person id=\"q\"/></p:presence>",
          "SIP/2.0 200");
  struct sent *notify = next_notify(&alice);
  const char *body = strstr(notify->bytes, "\r\n\r\n") + 4;
  const char *why = NULL;
  assert_true(sent_has(notify,
                       "<r:person xmlns:p='urn:ietf:params:xml:ns:pidf' "
                       "xmlns:r=\"urn:rpid\" id=\"p"));
  assert_true(sent_has(notify, "<![CDATA[</p:tuple>]]>"));
  assert_true(sent_has(notify, "-t\""));
  assert_false(sent_has(notify, "id=\"t\""));
  assert_false(sent_has(notify, "id='t'"));
  assert_false(sent_has(notify, "<!--"));
  assert_int_equal(presence_check(w.xml, slice_cstr(body), &why), OK);
  world_advance(&w, SEC(3700));
  assert_int_equal(edge_stats(w.edge[0]).publications, 0);
}

/* what does not fit is left out, and no document is larger. */
static void a_document_has_a_bound(void **state) {
  (void)state;
  static char body[4200];
  watch(&alice, ALICE, BOB, "c1");
  for (unsigned i = 0; i < 12; i++) {
    char note[3601];
    memset(note, 'a' + (int)i, 3600);
    note[3600] = 0;
    snprintf(body, sizeof body, PIDF("<note>%s</note>" TUPLE("t", "open")), note);
    publish(&bob, "bob", "", body, "SIP/2.0 200");
    next_notify(&alice);
    world_advance(&w, SEC(1));
  }
  assert_int_equal(edge_stats(w.edge[0]).publications, 8);
  world_register(&w, &bob, "bob", 1, 600);
  struct sent *notify = next_notify(&alice);
  assert_true(notify->len < 12500);
  assert_true(sent_has(notify, "llllllll")); /* the last one */
  assert_false(sent_has(notify, "eeeeeeee"));
  memset(body, 'x', sizeof body - 1);
  publish(&bob, "bob", "", body, "SIP/2.0 413");
}

static void decide(const char *watcher, enum event_decision decision) {
  static struct output items[OUTBOX_STEP_ITEMS];
  static char bytes[OUTBOX_STEP_BYTES];
  struct outbox out;
  struct edge_calls calls = {0};
  outbox_init(&out, items, OUTBOX_STEP_ITEMS, bytes, sizeof bytes);
  assert_int_equal(edge_decide(w.edge[0], w.now, w.wall, SLICE(BOB), slice_cstr(watcher), decision,
                               &calls, &out),
                   OK);
}

/* ask, allow, block. */
static void its_owner_decides(void **state) {
  (void)state;
  world_close(&w);
  struct edge_config config;
  world_begin(&w, &config);
  config.watchers = EVENT_ASK;
  world_open_config(&w, 1, &config);
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  struct sent *notify = watch(&alice, ALICE, BOB, "c1");
  assert_string_equal(sent_header(notify, "Subscription-State", 0), "pending;expires=600");
  assert_false(sent_has(notify, "basic"));
  publish(&bob, "bob", "", PIDF(TUPLE("b", "open")), "SIP/2.0 200");
  world_advance(&w, SEC(1));
  world_expect_nothing(&w, &alice);
  decide(ALICE, EVENT_ALLOW);
  notify = next_notify(&alice);
  assert_memory_equal(sent_header(notify, "Subscription-State", 0), "active", 6);
  assert_true(sent_has(notify, TUPLE("a", "open")) || sent_has(notify, "-a\""));
  decide(ALICE, EVENT_BLOCK);
  notify = next_notify(&alice);
  assert_string_equal(sent_header(notify, "Subscription-State", 0), "terminated;reason=rejected");
  assert_false(sent_has(notify, "basic"));
  publish(&bob, "bob", "", PIDF(TUPLE("c", "open")), "SIP/2.0 200");
  world_advance(&w, SEC(1));
  world_expect_nothing(&w, &alice);
  ask(&alice, &(struct asking){ALICE, BOB, "c2", "", 1, "Event: presence\n", ""});
  world_expect(&w, &alice, "SIP/2.0 200");
  notify = next_notify(&alice);
  assert_string_equal(sent_header(notify, "Subscription-State", 0), "terminated;reason=rejected");
}

/* who watches is told to the one who is watched, and to no other. */
static void its_owner_learns_who_watches(void **state) {
  (void)state;
  ask(&bob, &(struct asking){BOB, BOB, "w", "", 1, "Event: presence.winfo\n", ""});
  world_expect(&w, &bob, "SIP/2.0 200");
  struct sent *notify = next_notify(&bob);
  assert_string_equal(sent_header(notify, "Content-Type", 0), "application/watcherinfo+xml");
  assert_true(sent_has(notify, "version=\"0\""));
  watch(&alice, ALICE, BOB, "c1");
  notify = next_notify(&bob);
  assert_true(sent_has(notify, "version=\"1\""));
  assert_true(sent_has(notify, "status=\"active\">" ALICE "</watcher>"));
  ask(&alice, &(struct asking){ALICE, BOB, "w2", "", 1, "Event: presence.winfo\n", ""});
  world_expect(&w, &alice, "SIP/2.0 403");
  struct edge_watcher row;
  uint32_t cursor = 0;
  assert_true(edge_each_watcher(w.edge[0], SLICE(BOB), &cursor, &row));
  assert_true(slice_equal(row.aor, SLICE(ALICE)));
  assert_false(edge_each_watcher(w.edge[0], SLICE(BOB), &cursor, &row));
}

/* one at a time for each, and the last state counts. */
static void changes_in_between_are_one(void **state) {
  (void)state;
  watch(&alice, ALICE, BOB, "c1");
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  world_advance(&w, 0);
  struct sent *first = world_expect(&w, &alice, "NOTIFY ");
  publish(&bob, "bob", "", PIDF(TUPLE("b", "open")), "SIP/2.0 200");
  publish(&bob, "bob", "", PIDF(TUPLE("c", "open")), "SIP/2.0 200");
  world_advance(&w, MSEC(400));
  world_expect_nothing(&w, &alice);
  world_answer(&w, &alice, first, 200, "");
  struct sent *second = next_notify(&alice);
  assert_true(sent_has(second, "-c\""));
  world_advance(&w, SEC(1));
  world_expect_nothing(&w, &alice);
}

/* a fan-out is paced. */
static void many_are_told_in_turn(void **state) {
  (void)state;
  for (unsigned i = 0; i < 40; i++) {
    char call_id[16];
    snprintf(call_id, sizeof call_id, "m%u", i);
    watch(&alice, ALICE, BOB, call_id);
    world_advance(&w, SEC(7)); /* transactions end */
  }
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  world_advance(&w, 0);
  for (unsigned i = 0; i < 8; i++) world_expect(&w, &alice, "NOTIFY ");
  world_expect_nothing(&w, &alice);
  world_advance(&w, MSEC(8));
  for (unsigned i = 0; i < 8; i++) world_expect(&w, &alice, "NOTIFY ");
  world_expect_nothing(&w, &alice);
}

/* a full table answers 503, and the end of a flow ends what goes over it. */
static void tables_have_limits(void **state) {
  (void)state;
  struct phone tcp = phone_tcp(0, "192.0.2.8:40000", 7);
  for (unsigned i = 0; i < 64; i++) {
    char call_id[16];
    snprintf(call_id, sizeof call_id, "m%u", i);
    ask(&tcp, &(struct asking){ALICE, BOB, call_id, "", 1, "Event: presence\n", ""});
    world_expect(&w, &tcp, "SIP/2.0 200");
    world_advance(&w, MSEC(100));
    world_answer(&w, &tcp, world_expect(&w, &tcp, "NOTIFY "), 200, "");
    world_advance(&w, SEC(10));
  }
  world_advance(&w, SEC(40));
  ask(&tcp, &(struct asking){ALICE, BOB, "more", "", 1, "Event: presence\n", ""});
  world_expect(&w, &tcp, "SIP/2.0 503");
  world_close_flow(&w, 0, 7);
  assert_int_equal(edge_stats(w.edge[0]).subscriptions, 0);
}

/* What is no business of presence goes to the phone, as before. */
static void others_pass(void **state) {
  (void)state;
  world_register(&w, &bob, "bob", 1, 600);
  ask(&alice, &(struct asking){ALICE, BOB, "d", "", 1, "Event: dialog\n", ""});
  world_expect(&w, &bob, "SUBSCRIBE sip:bob@192.0.2.9:5070 SIP/2.0");
  ask(&alice, &(struct asking){ALICE, BOB, "e", "", 1, "", ""});
  world_expect(&w, &alice, "SIP/2.0 489");
}

/* ---- between homes ---- */

static struct phone dora; /* at the other peer */

static int open_two(void **state) {
  (void)state;
  world_open(&w, 2);
  bob = phone_udp(0, "192.0.2.9:5070");
  alice = phone_udp(0, "192.0.2.8:5080");
  dora = phone_udp(1, "192.0.2.8:5080");
  return 0;
}

static struct sent *next_of_two(const struct phone *phone) {
  world_advance(&w, MSEC(300));
  return next_notify(phone);
}

/* whoever comes later finds the other; a change goes to the watcher's peer. */
static void homes_find_each_other(void **state) {
  bool bob_first = *state != NULL;
  if (bob_first) world_register(&w, &bob, "bob", 1, 600);
  world_advance(&w, SEC(1));
  struct sent *notify = watch(&dora, ALICE, BOB, "c1");
  assert_true(sent_has(notify, "<basic>closed</basic>"));
  if (!bob_first) {
    world_advance(&w, SEC(1));
    world_register(&w, &bob, "bob", 1, 600);
  }
  notify = next_of_two(&dora);
  assert_true(sent_has(notify, "<basic>open</basic>"));
  assert_false(sent_has(notify, "192.0.2.9"));
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  notify = next_of_two(&dora);
  assert_true(sent_has(notify, TUPLE("a", "open")));
  world_expect_nothing(&w, &dora);
  for (unsigned i = 0; i < w.kept_count; i++) assert_null(strstr(w.kept[i].value, "alice"));
  world_register(&w, &bob, "bob", 2, 0);
}

/* both begin before the record of either is there. */
static void two_that_begin_at_once_find_each_other(void **state) {
  (void)state;
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  ask(&dora, &(struct asking){ALICE, BOB, "c1", "", 1, "Event: presence\n", ""});
  world_expect(&w, &dora, "SIP/2.0 200");
  w.keep_late = true;
  world_tick(&w);
  assert_int_equal(w.late_count, 2);
  world_answer(&w, &dora, world_expect(&w, &dora, "NOTIFY "), 200, "");
  assert_true(sent_has(next_of_two(&dora), TUPLE("a", "open")));
}

/* rejected, and nothing more. */
static void who_is_blocked_elsewhere_gets_no_more(void **state) {
  (void)state;
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  world_advance(&w, SEC(1));
  watch(&dora, ALICE, BOB, "c1");
  assert_true(sent_has(next_of_two(&dora), TUPLE("a", "open")));
  struct edge_watcher row;
  uint32_t cursor = 0;
  assert_true(edge_each_watcher(w.edge[0], SLICE(BOB), &cursor, &row));
  assert_true(slice_equal(row.aor, SLICE(ALICE)));
  decide(ALICE, EVENT_BLOCK);
  struct sent *notify = next_of_two(&dora);
  assert_string_equal(sent_header(notify, "Subscription-State", 0), "terminated;reason=rejected");
  unsigned tells = w.tells;
  publish(&bob, "bob", "", PIDF(TUPLE("b", "open")), "SIP/2.0 200");
  world_advance(&w, SEC(1));
  world_expect_nothing(&w, &dora);
  assert_true(w.tells <= tells + 1); /* which is answered 404, and ends it */
  cursor = 0;
  assert_false(edge_each_watcher(w.edge[0], SLICE(BOB), &cursor, &row));
}

/* what a home that died has said counts no more. */
static void a_dead_home_is_forgotten(void **state) {
  (void)state;
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  world_advance(&w, SEC(1));
  ask(&dora, &(struct asking){ALICE, BOB, "c1", "", 1, "Event: presence\n", ""});
  world_expect(&w, &dora, "SIP/2.0 200");
  next_of_two(&dora);
  assert_true(sent_has(next_of_two(&dora), TUPLE("a", "open")));
  w.dead[0] = true;
  world_advance(&w, SEC(700));
  struct sent *notify = world_expect(&w, &dora, "NOTIFY ");
  assert_true(sent_has(notify, "<basic>closed</basic>"));
  world_answer(&w, &dora, notify, 200, "");
}

static void watch_and_see(const char *from, const char *to, const char *call_id) {
  ask(&dora, &(struct asking){from, to, call_id, "", 1, "Event: presence\n", "Expires: 3600\n"});
  world_expect(&w, &dora, "SIP/2.0 200");
  for (unsigned i = 0; i < 8; i++) {
    world_advance(&w, MSEC(100));
    for (struct sent *more; (more = world_next(&w, &dora)) != NULL;)
      world_answer(&w, &dora, more, 200, "");
  }
}

/* of a change a peer is told once, however many watch there. */
static void a_peer_is_told_once(void **state) {
  (void)state;
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  for (unsigned i = 0; i < 20; i++) {
    char call_id[16];
    snprintf(call_id, sizeof call_id, "m%u", i);
    watch_and_see(ALICE, BOB, call_id);
  }
  unsigned tells = w.tells, heard = 0;
  publish(&bob, "bob", "", PIDF(TUPLE("b", "open")), "SIP/2.0 200");
  for (unsigned i = 0; i < 10; i++) {
    world_advance(&w, MSEC(40));
    for (struct sent *more; (more = world_next(&w, &dora)) != NULL; heard++) {
      assert_true(sent_has(more, "b\""));
      world_answer(&w, &dora, more, 200, "");
    }
  }
  assert_int_equal(w.tells, tells + 1);
  assert_int_equal(heard, 20);
}

/* so many at once, and the others in turn. */
static void homes_are_told_in_turn(void **state) {
  (void)state;
  char user[20][8], address[40];
  for (unsigned i = 0; i < 20; i++) {
    snprintf(user[i], sizeof user[i], "u%u", i);
    snprintf(address, sizeof address, "sip:u%u@example.net", i);
    publish(&bob, user[i], "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
    watch_and_see(ALICE, address, user[i]);
  }
  unsigned tells = w.tells;
  for (unsigned i = 0; i < 20; i++)
    publish(&bob, user[i], "", PIDF(TUPLE("b", "open")), "SIP/2.0 200");
  world_advance(&w, 0);
  assert_int_equal(w.tells, tells + 8);
  world_advance(&w, MSEC(16));
  assert_int_equal(w.tells, tells + 16);
  world_advance(&w, MSEC(16));
  assert_int_equal(w.tells, tells + 20);
}

/* another watcher of the same peer sees it; he does not, before he is let. */
static void who_is_blocked_sees_nothing_at_first(void **state) {
  (void)state;
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  watch_and_see(ALICE, BOB, "c1");
  decide(EVE, EVENT_BLOCK);
  struct sent *notify = watch(&dora, EVE, BOB, "c2");
  assert_memory_equal(sent_header(notify, "Subscription-State", 0), "pending", 7);
  assert_false(sent_has(notify, "basic"));
  notify = next_of_two(&dora);
  assert_string_equal(sent_header(notify, "Subscription-State", 0), "terminated;reason=rejected");
  assert_false(sent_has(notify, "basic"));
}

/* his peer does not hear that he is blocked; what is published then waits for that. */
static void who_is_blocked_is_told_so_first(void **state) {
  (void)state;
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  watch_and_see(ALICE, BOB, "c1");
  watch_and_see(EVE, BOB, "c2");
  w.dead[1] = true;
  decide(EVE, EVENT_BLOCK);
  world_advance(&w, SEC(1));
  w.dead[1] = false;
  publish(&bob, "bob", "", PIDF(TUPLE("b", "open")), "SIP/2.0 200");
  world_advance(&w, SEC(1));
  world_expect_nothing(&w, &dora);
  unsigned rejected = 0, shown = 0;
  for (unsigned i = 0; i < 20; i++) {
    world_advance(&w, MSEC(300));
    struct sent *more = world_next(&w, &dora);
    if (more == NULL) continue;
    bool ends = strstr(sent_header(more, "Subscription-State", 0), "rejected") != NULL;
    rejected += ends;
    shown += sent_has(more, "b\"");
    assert_true(ends != sent_has(more, "b\""));
    world_answer(&w, &dora, more, 200, "");
  }
  assert_int_equal(rejected, 1);
  assert_int_equal(shown, 1);
}

/* a phone was at four peers before, of which nobody knows that they are gone. */
static void homes_that_are_gone_leave_their_place(void **state) {
  (void)state;
  for (unsigned i = 0; i < 4; i++) {
    char text[300], nonce[60];
    struct buf content = buf_over(text, sizeof text), name = buf_over(nonce, sizeof nonce);
    struct presence_value value = {.kind = PRESENCE_HOME, .from = {.id = {{(uint8_t)(50 + i)}}}};
    assert_true(endpoint_parse(SLICE("192.0.2.77:5060"), TRANSPORT_TCP, 5060, &value.from.at));
    presence_put_value(&content, &value);
    buf_put_cstr(&name, "home-");
    key_put(&name, &value.from.id);
    world_keep(&w, "presence:bob@example.net", buf_slice(&name), buf_slice(&content));
  }
  watch_and_see(ALICE, BOB, "c1");
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  bool shown = false;
  for (unsigned i = 0; i < 200 && !shown; i++) {
    world_advance(&w, MSEC(300));
    for (struct sent *more; (more = world_next(&w, &dora)) != NULL;) {
      shown = shown || strstr(more->bytes, TUPLE("a", "open")) != NULL;
      world_answer(&w, &dora, more, 200, "");
    }
  }
  assert_true(shown);
}

/* a peer that was silent for long, and has a new watcher. */
static void who_was_silent_is_told_at_once(void **state) {
  (void)state;
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  watch_and_see(EVE, BOB, "c1");
  w.dead[1] = true;
  decide(EVE, EVENT_BLOCK);
  world_advance(&w, SEC(60)); /* of the tries after 35 and 75 s the second is to come */
  w.dead[1] = false;
  ask(&dora, &(struct asking){ALICE, BOB, "c2", "", 1, "Event: presence\n", "Expires: 600\n"});
  bool shown = false;
  for (unsigned i = 0; i < 10; i++) {
    world_advance(&w, MSEC(300));
    for (struct sent *more; (more = world_next(&w, &dora)) != NULL;) {
      if (strncmp(more->bytes, "NOTIFY", 6) != 0) continue;
      shown = shown || strstr(more->bytes, TUPLE("a", "open")) != NULL;
      world_answer(&w, &dora, more, 200, "");
    }
  }
  assert_true(shown);
}

/* a phone publishes before it registers; the ring does not know yet whose address that is.
 */
static void a_record_that_is_refused_is_put_again(void **state) {
  (void)state;
  w.bind_status = ERR_REFUSED;
  publish(&bob, "bob", "", PIDF(TUPLE("a", "open")), "SIP/2.0 200");
  world_advance(&w, SEC(1));
  assert_int_equal(w.kept_count, 0);
  w.bind_status = OK;
  world_advance(&w, SEC(10));
  assert_int_equal(w.kept_count, 1);
  watch(&dora, ALICE, BOB, "c1");
  assert_true(sent_has(next_of_two(&dora), TUPLE("a", "open")));
}

/* what is not of the form is refused, and what nobody asked for is 404. */
static void strangers_are_refused(void **state) {
  (void)state;
  static struct output items[OUTBOX_STEP_ITEMS];
  static char bytes[OUTBOX_STEP_BYTES];
  struct outbox out;
  struct edge_calls calls = {0};
  char text[400];
  struct buf content = buf_over(text, sizeof text);
  struct presence_value value = {.kind = PRESENCE_STATE,
                                 .from = {.id = {{9}}, .at = w.at[1]},
                                 .token = SLICE("0123456789abcdef")};
  presence_put_value(&content, &value);
  struct edge_event event = {
      .address = SLICE(BOB), .content = buf_slice(&content), .expires = w.wall + 1000};
  outbox_init(&out, items, OUTBOX_STEP_ITEMS, bytes, sizeof bytes);
  assert_int_equal(edge_on_event(w.edge[0], w.now, w.wall, &event, &calls, &out), 404);
  event.watch = true;
  assert_int_equal(edge_on_event(w.edge[0], w.now, w.wall, &event, &calls, &out), 400);
  event.content.len--;
  assert_int_equal(edge_on_event(w.edge[0], w.now, w.wall, &event, &calls, &out), 400);
  buf_reset(&content);
  value.kind = PRESENCE_WATCH;
  value.text = SLICE(BOB);
  presence_put_value(&content, &value);
  event.content = buf_slice(&content);
  assert_int_equal(edge_on_event(w.edge[0], w.now, w.wall, &event, &calls, &out), 404);
  event.expires = w.wall;
  assert_int_equal(edge_on_event(w.edge[0], w.now, w.wall, &event, &calls, &out), 400);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
#define TWO(f) cmocka_unit_test_setup_teardown(f, open_two, close_world)
  const struct CMUnitTest tests[] = {
      TEST(a_publication_lives_by_its_tag),
      TEST(what_is_wrong_is_refused),
      TEST(a_subscription_tells_and_ends),
      TEST(it_lapses_and_ends_by_a_refusal),
      TEST(silence_ends_it),
      TEST(a_registration_shows),
      TEST(devices_are_joined),
      TEST(a_document_has_a_bound),
      TEST(its_owner_decides),
      TEST(its_owner_learns_who_watches),
      TEST(changes_in_between_are_one),
      TEST(many_are_told_in_turn),
      TEST(tables_have_limits),
      TEST(others_pass),
      TWO(homes_find_each_other),
      cmocka_unit_test_prestate_setup_teardown(homes_find_each_other, open_two, close_world, &w),
      TWO(two_that_begin_at_once_find_each_other),
      TWO(who_is_blocked_elsewhere_gets_no_more),
      TWO(a_dead_home_is_forgotten),
      TWO(a_peer_is_told_once),
      TWO(homes_are_told_in_turn),
      TWO(who_is_blocked_sees_nothing_at_first),
      TWO(who_is_blocked_is_told_so_first),
      TWO(homes_that_are_gone_leave_their_place),
      TWO(who_was_silent_is_told_at_once),
      TWO(a_record_that_is_refused_is_put_again),
      TWO(strangers_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
