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

static void ring_of(unsigned count) {
  net_open(&net, 7);
  net.latency_min_us = net.latency_max_us = MSEC(5);
  net.config.policy = NODE_OPEN;
  net.config.limits.subscriptions_max = 64;
  for (unsigned i = 0; i < count; i++) net_add(&net, NULL, i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  alice.at = net_stranger(alice.host, TRANSPORT_UDP);
  bob.at = net_stranger(bob.host, TRANSPORT_UDP);
}

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
  for (usec stop = net.now + SEC(20); net.now < stop; net_run_for(&net, MSEC(5))) {
    const struct net_letter *letter;
    while ((letter = net_take(&net, branch, "SIP/2.0 ")) != NULL)
      if (atoi(letter->text + 8) >= 200) return (unsigned)atoi(letter->text + 8);
  }
  return 0;
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_lamp),
      cmocka_unit_test(test_a_lamp_alone),
      cmocka_unit_test(test_missed_just_now),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
