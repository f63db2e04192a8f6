/* SPDX-License-Identifier: BSD-2-Clause */
/* What is told about messages that are kept, through whole nodes with the
 * models of signatures and seals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/world.h"

#define ALICE "sip:alice@example.net"
#define BOB "sip:bob@example.net"

static struct net net;
static unsigned number;

struct phone {
  const char *user, *host;
  uint32_t home;
  struct endpoint at;
};
static struct phone alice = {.user = ALICE, .host = "127.0.0.1:40001", .home = 0};
static struct phone bob = {.user = BOB, .host = "127.0.0.1:40002", .home = 2};

static void ring_like(unsigned count, bool redirect) {
  net_open(&net, 7);
  net.config.redirect = redirect;
  net.latency_min_us = net.latency_max_us = MSEC(5);
  net.config.policy = NODE_OPEN;
  net.config.limits.subscriptions_max = 64;
  for (unsigned i = 0; i < count; i++) net_add(&net, NULL, i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  alice.at = net_stranger(alice.host, TRANSPORT_UDP);
  bob.at = net_stranger(bob.host, TRANSPORT_UDP);
}

static void ring_of(unsigned count) { ring_like(count, false); }

static void end(void) { assert_true(net_close(&net)); }

/* ---- phones ---- */

static void tell(const struct phone *phone, const char *method, const char *uri, const char *to,
                 const char *lines, const char *body) {
  char text[16384];
  number++;
  int n = snprintf(text, sizeof text,
                   "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKn%u;rport\r\n"
                   "From: <%s>;tag=1\r\nTo: <%s>\r\nCall-ID: n%u\r\nCSeq: 1 %s\r\n"
                   "Max-Forwards: 70\r\n%sContent-Length: %zu\r\n\r\n%s",
                   method, uri, phone->host, number, phone->user, to, number, method, lines,
                   strlen(body), body);
  assert_in_range(n, 1, (int)sizeof text - 1);
  net_inject(&net, phone->home, 0, &phone->at, slice_of(text, (size_t)n));
}

static unsigned answer(unsigned of) {
  char branch[32];
  snprintf(branch, sizeof branch, "z9hG4bKn%u;", of);
  return net_final(&net, branch, SEC(20));
}

static unsigned request(const struct phone *phone, const char *method, const char *uri,
                        const char *to, const char *lines, const char *body) {
  tell(phone, method, uri, to, lines, body);
  return answer(number);
}

static unsigned registers(const struct phone *phone, unsigned expires) {
  char lines[200];
  snprintf(lines, sizeof lines, "Contact: <sip:x@%s>\r\nExpires: %u\r\n", phone->host, expires);
  return request(phone, "REGISTER", "sip:example.net", phone->user, lines, "");
}

static unsigned says(const struct phone *phone, const char *to, const char *type,
                     const char *text) {
  char lines[200];
  snprintf(lines, sizeof lines, "Content-Type: %s\r\n", type);
  return request(phone, "MESSAGE", to, to, lines, text);
}

/* The next request like that to this phone, with this in it, answered with `status`; its text, or
 * NULL. What the phone sent itself is not looked at. */
static const char *hears(const struct phone *phone, const char *method, const char *text,
                         unsigned status, usec limit) {
  char start[64], reply[2048], *out = reply;
  snprintf(start, sizeof start, "%s sip:x@%s ", method, phone->host);
  for (usec stop = net.now + limit; net.now < stop; net_run_for(&net, MSEC(5))) {
    const struct net_letter *letter = net_take(&net, start, text);
    if (letter == NULL) continue;
    out += sprintf(out, "SIP/2.0 %u Well\r\n", status);
    static const char *const names[] = {"Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "};
    for (unsigned i = 0; i < 5; i++)
      for (const char *line = strstr(letter->text, names[i]); line != NULL;
           line = i == 0 ? strstr(line + 1, names[i]) : NULL)
        out += sprintf(out, "%.*s\r\n", (int)strcspn(line, "\r"), line);
    out += sprintf(out, "Content-Length: 0\r\n\r\n");
    net_inject(&net, phone->home, 0, &phone->at, slice_of(reply, (size_t)(out - reply)));
    net_run_for(&net, MSEC(20)); /* before anything is sent again */
    return letter->text;
  }
  return NULL;
}

/* ---- message waiting ---- */

static void both_known(void) {
  assert_int_equal(registers(&alice, 3600), 200);
  assert_int_equal(registers(&bob, 3600), 200);
  net_run_for(&net, SEC(5));
}

static unsigned subscribes(const struct phone *phone) {
  char lines[200];
  snprintf(lines, sizeof lines,
           "Event: message-summary\r\nContact: <sip:x@%s>\r\nExpires: 3600\r\n", phone->host);
  return request(phone, "SUBSCRIBE", phone->user, phone->user, lines, "");
}

static bool shows(const struct phone *phone, const char *text) {
  return hears(phone, "NOTIFY", text, 200, SEC(40)) != NULL;
}

/* what the phone does not take now lights its lamp, until it has taken it. */
static void test_the_lamp(void **state) {
  (void)state;
  ring_of(4);
  both_known();
  assert_int_equal(registers(&bob, 0), 200);
  assert_int_equal(says(&alice, BOB, "text/plain", "one"), 202);
  assert_int_equal(says(&alice, BOB, "text/plain", "two"), 202);
  assert_int_equal(registers(&bob, 3600), 200);
  assert_int_equal(subscribes(&bob), 200);
  assert_true(shows(&bob, "Messages-Waiting: no"));
  assert_non_null(hears(&bob, "MESSAGE", "one", 480, SEC(20)));
  /* it asked what waits while that was under way: tried once more */
  assert_non_null(hears(&bob, "MESSAGE", "one", 480, SEC(20)));
  assert_true(
      shows(&bob, "Messages-Waiting: yes\r\nMessage-Account: " BOB "\r\nText-Message: 2/0\r\n"));
  assert_int_equal(registers(&bob, 0), 200);
  assert_int_equal(registers(&bob, 3600), 200);
  assert_non_null(hears(&bob, "MESSAGE", "one", 200, SEC(20)));
  assert_non_null(hears(&bob, "MESSAGE", "two", 200, SEC(20)));
  assert_true(shows(&bob, "Messages-Waiting: no"));
  end();
}

/* it is lit, too, for somebody who has no phone here that takes messages. */
static void test_a_lamp_alone(void **state) {
  struct phone lamp = bob;
  (void)state;
  ring_of(3);
  both_known();
  assert_int_equal(registers(&bob, 0), 200);
  assert_int_equal(says(&alice, BOB, "text/plain", "one"), 202);
  lamp.home = 1; /* it asks there, and registers nowhere */
  assert_int_equal(subscribes(&lamp), 200);
  assert_true(shows(&lamp, "Messages-Waiting: no"));
  assert_true(shows(&lamp, "Text-Message: 1/0"));
  assert_null(hears(&bob, "MESSAGE", "one", 200, SEC(2)));
  end();
}

/* the phone is there, and does not take it; its home looks soon. */
static void test_missed_just_now(void **state) {
  (void)state;
  ring_of(4);
  both_known();
  assert_int_equal(subscribes(&bob), 200);
  assert_true(shows(&bob, "Messages-Waiting: no"));
  tell(&alice, "MESSAGE", BOB, BOB, "Content-Type: text/plain\r\n", "not now");
  unsigned mine = number;
  assert_non_null(hears(&bob, "MESSAGE", "not now", 480, SEC(20)));
  assert_int_equal(answer(mine), 202);
  assert_non_null(hears(&bob, "MESSAGE", "not now", 480, SEC(40)));
  assert_true(shows(&bob, "Text-Message: 1/0"));
  end();
}

/* ---- notices of delivery ---- */

#define CPIM(wishes)                                                \
  "From: <" ALICE ">\r\nTo: <" BOB                                  \
  ">\r\nNS: imdn <urn:ietf:params:imdn>\r\n"                        \
  "imdn.Message-ID: mine\r\nimdn.Disposition-Notification: " wishes \
  "\r\n\r\nContent-Type: text/plain\r\n\r\nhello"
#define DELIVERED "<message-id>mine</message-id>"

static void leaves(const char *wishes_body) {
  both_known();
  assert_int_equal(registers(&bob, 0), 200);
  assert_int_equal(says(&alice, BOB, "message/cpim", wishes_body), 202);
}

/* alice is gone when bob gets it, bob when alice gets the notice. */
static void test_never_at_the_same_time(void **state) {
  (void)state;
  ring_of(4);
  leaves(CPIM("positive-delivery, negative-delivery"));
  assert_int_equal(registers(&alice, 0), 200);
  assert_int_equal(registers(&bob, 3600), 200);
  assert_non_null(hears(&bob, "MESSAGE", "hello", 200, SEC(20)));
  net_run_for(&net, SEC(5));
  assert_int_equal(registers(&bob, 0), 200);
  net_clear_inbox(&net);
  assert_int_equal(registers(&alice, 3600), 200);
  const char *notice = hears(&alice, "MESSAGE", DELIVERED, 200, SEC(20));
  assert_non_null(notice);
  assert_non_null(strstr(notice, "<status><delivered/></status>"));
  assert_non_null(strstr(notice, "From: <" BOB ">"));
  assert_non_null(strstr(notice, "Content-Type: message/cpim\r\n"));
  assert_null(hears(&alice, "MESSAGE", "", 200, SEC(3)));
  assert_int_equal(registers(&bob, 3600), 200); /* and no notice of that */
  assert_null(hears(&bob, "MESSAGE", "", 200, SEC(8)));
  end();
}

/* a sender who is there hears of it at once. */
static void notice_to_who_is_there(bool redirect) {
  ring_like(4, redirect);
  leaves(CPIM("positive-delivery"));
  assert_int_equal(registers(&bob, 3600), 200);
  assert_non_null(hears(&bob, "MESSAGE", "hello", 200, SEC(20)));
  const char *notice = hears(&alice, "MESSAGE", DELIVERED, 200, SEC(5));
  assert_non_null(notice);
  assert_non_null(strstr(notice, "<status><delivered/></status>"));
  end();
}

static void test_notice_to_who_is_there(void **state) {
  (void)state;
  notice_to_who_is_there(false);
}

/* A peer that redirects its phones does not wait for one to follow. */
static void test_notice_of_who_redirects(void **state) {
  (void)state;
  notice_to_who_is_there(true);
}

/* a phone that is registered and silent gets it when it is back. */
static void test_a_silent_sender(void **state) {
  (void)state;
  ring_of(3);
  leaves(CPIM("positive-delivery"));
  assert_int_equal(registers(&bob, 3600), 200);
  assert_non_null(hears(&bob, "MESSAGE", "hello", 200, SEC(20)));
  net_run_for(&net, SEC(60));
  net_clear_inbox(&net);
  assert_int_equal(registers(&alice, 0), 200);
  assert_int_equal(registers(&alice, 3600), 200);
  assert_non_null(hears(&alice, "MESSAGE", DELIVERED, 200, SEC(20)));
  end();
}

/* the phone has no use for it, and never will. */
static void test_refused_for_good(void **state) {
  (void)state;
  ring_of(3);
  leaves(CPIM("negative-delivery"));
  assert_int_equal(registers(&bob, 3600), 200);
  assert_non_null(hears(&bob, "MESSAGE", "hello", 480, SEC(20))); /* not for good */
  assert_null(hears(&alice, "MESSAGE", "", 200, SEC(5)));
  assert_int_equal(registers(&bob, 0), 200);
  assert_int_equal(registers(&bob, 3600), 200);
  assert_non_null(hears(&bob, "MESSAGE", "hello", 415, SEC(20)));
  const char *notice = hears(&alice, "MESSAGE", DELIVERED, 200, SEC(5));
  assert_non_null(notice);
  assert_non_null(strstr(notice, "<status><failed/></status>"));
  end();
}

static void test_nothing_unasked(void **state) {
  (void)state;
  ring_of(3);
  leaves(CPIM("negative-delivery, display"));
  assert_int_equal(says(&alice, BOB, "text/plain", CPIM("positive-delivery")), 202);
  assert_int_equal(registers(&bob, 3600), 200);
  assert_non_null(hears(&bob, "MESSAGE", "hello", 200, SEC(20)));
  assert_non_null(hears(&bob, "MESSAGE", "hello", 415, SEC(20)));
  assert_null(hears(&alice, "MESSAGE", "", 200, SEC(8)));
  end();
}

/* what a phone makes itself is a message like another. */
static void test_a_phone_of_its_own(void **state) {
  (void)state;
  ring_of(3);
  both_known();
  net_run_for(&net, SEC(5));
  assert_int_equal(registers(&alice, 0), 200);
  assert_int_equal(says(&bob, ALICE, "message/imdn+xml", "<imdn>bare</imdn>"), 202);
  assert_int_equal(says(&bob, ALICE, "message/cpim", "NS: x\r\n\r\n<imdn>wrapped</imdn>"), 202);
  assert_int_equal(registers(&alice, 3600), 200);
  const char *bare = hears(&alice, "MESSAGE", "bare", 200, SEC(20));
  assert_non_null(bare);
  assert_non_null(strstr(bare, "Content-Type: message/imdn+xml\r\n"));
  assert_non_null(hears(&alice, "MESSAGE", "wrapped", 200, SEC(20)));
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_lamp),
      cmocka_unit_test(test_a_lamp_alone),
      cmocka_unit_test(test_missed_just_now),
      cmocka_unit_test(test_never_at_the_same_time),
      cmocka_unit_test(test_notice_to_who_is_there),
      cmocka_unit_test(test_notice_of_who_redirects),
      cmocka_unit_test(test_a_silent_sender),
      cmocka_unit_test(test_refused_for_good),
      cmocka_unit_test(test_nothing_unasked),
      cmocka_unit_test(test_a_phone_of_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
