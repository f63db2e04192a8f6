/* SPDX-License-Identifier: BSD-2-Clause */
/* The transaction machines as stories under virtual time: each is a list of steps and the whole
 * log of what was sent (">METHOD" or ">STATUS") and told, with milliseconds.. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/transactions.h"

enum op {
  DONE,
  SEND,
  CANCEL,
  RECEIVE,
  RECEIVE_CANCEL,
  REQUEST,
  ACK_ELSE,
  RESPOND,
  UNDELIVERED,
  CLOSED
};

struct step {
  unsigned at_ms;
  enum op op;
  unsigned status;
};
struct story {
  const char *name;
  enum transport transport;
  const char *method; /* of the transaction told of */
  struct step step[12];
  const char *log;
};

static void do_request(struct table *w, const char *method, const char *via) {
  struct table_request parts = {.method = method, .via = via};
  struct transaction_event e = table_give_request(w, &parts);
  if (e.kind == TRANSACTION_NEW) w->server = e.handle;
  table_tell_event(w, &e);
}

static void do_step(struct table *w, const char *method, const struct step *step) {
  struct transaction_event e;
  switch (step->op) {
    case DONE:
      break;
    case SEND:
      assert_int_equal(table_send_request(w, method, NULL), OK);
      break;
    case CANCEL:
      table_tell(
          w, transactions_cancel(&w->t, w->now, w->client, &w->out) ? "cancelling" : "too-late");
      break;
    case RECEIVE:
      e = table_give_response(w, step->status, method, "z9hG4bKc1", "t1");
      if (e.kind == TRANSACTION_RESPONSE) assert_int_equal(e.user, 42);
      table_tell_event(w, &e);
      break;
    case RECEIVE_CANCEL:
      e = table_give_response(w, step->status, "CANCEL", "z9hG4bKc1", "t1");
      table_tell_event(w, &e);
      break;
    case REQUEST:
      do_request(w, step->status == 0 ? method : "ACK", SERVER_VIA);
      break;
    case ACK_ELSE:
      do_request(w, "ACK", "SIP/2.0/UDP phone.example.net:5070;branch=z9hG4bKs2;rport");
      break;
    case RESPOND:
      if (!table_respond(w, step->status, method)) table_tell(w, "refused");
      break;
    case UNDELIVERED:
      if (!transactions_on_undelivered(&w->t, w->now, w->ticket)) table_tell(w, "no-ticket");
      break;
    case CLOSED:
      transactions_on_flow_closed(&w->t, w->now, step->status != 0 ? step->status : 7);
      break;
  }
  table_flush(w);
}

#define ACK 1 /* a REQUEST with this status is the ACK on the transaction's branch */

/* clang-format off */
static const struct story stories[] = {
    /* Client INVITE: RFC 3261 Figure 5, RFC 6026 Figure 5. */
    {"client INVITE: Timers A and B", TRANSPORT_UDP, "INVITE",
     {{0, SEND, 0}},
     "0 >INVITE | 500 >INVITE | 1500 >INVITE | 3500 >INVITE | 7500 >INVITE | 15500 >INVITE | "
     "31500 >INVITE | 32000 timeout"},
    {"client INVITE: Timer B alone on a stream", TRANSPORT_TCP, "INVITE",
     {{0, SEND, 0}},
     "0 >INVITE | 32000 timeout"},
    {"client INVITE: a provisional answer stops A and B; 2xx, Timer M", TRANSPORT_UDP, "INVITE",
     {{0, SEND, 0}, {600, RECEIVE, 100}, {700, RECEIVE, 180}, {90000, RECEIVE, 200},
      {90100, RECEIVE, 200},
      {90200, RECEIVE, 183}, {90300, RECEIVE, 486}, {121999, RECEIVE, 200}, {122001, RECEIVE, 200}},
     "0 >INVITE | 500 >INVITE | 600 response | 700 response | 90000 response | "
     "90100 response | 90200 absorbed | 90300 absorbed | 121999 response | 122000 terminated | "
     "122001 stray-response"},
    {"client INVITE: 2xx at once", TRANSPORT_TCP, "INVITE",
     {{0, SEND, 0}, {10, RECEIVE, 200}},
     "0 >INVITE | 10 response | 32010 terminated"},
    {"client INVITE: refusal is ACKed, again for each repetition, Timer D", TRANSPORT_UDP, "INVITE",
     {{0, SEND, 0}, {100, RECEIVE, 486}, {600, RECEIVE, 486}, {700, RECEIVE, 180},
      {800, RECEIVE, 200},
      {32200, RECEIVE, 486}},
     "0 >INVITE | 100 >ACK | 100 response | 600 >ACK | 600 absorbed | 700 absorbed | "
     "800 absorbed | 32100 terminated | 32200 stray-response"},
    {"client INVITE: refusal after a provisional answer", TRANSPORT_UDP, "INVITE",
     {{0, SEND, 0}, {100, RECEIVE, 180}, {40000, RECEIVE, 603}},
     "0 >INVITE | 100 response | 40000 >ACK | 40000 response | 72000 terminated"},
    {"client INVITE: refusal on a stream, Timer D is 0", TRANSPORT_TCP, "INVITE",
     {{0, SEND, 0}, {100, RECEIVE, 302}, {200, RECEIVE, 302}},
     "0 >INVITE | 100 >ACK | 100 response | 100 terminated | 200 stray-response"},
    {"client INVITE: not delivered", TRANSPORT_TCP, "INVITE",
     {{0, SEND, 0}, {50, UNDELIVERED, 0}, {60, UNDELIVERED, 0}},
     "0 >INVITE | 50 transport-error | 60 no-ticket"},
    {"client INVITE: the ACK is not delivered", TRANSPORT_UDP, "INVITE",
     {{0, SEND, 0}, {50, RECEIVE, 404}, {60, UNDELIVERED, 0}},
     "0 >INVITE | 50 >ACK | 50 response | 32050 terminated"},
    {"client INVITE: the flow closes while it rings", TRANSPORT_TLS, "INVITE",
     {{0, SEND, 0}, {50, RECEIVE, 180}, {60, CLOSED, 0}},
     "0 >INVITE | 50 response | 60 transport-error"},

    {"client INVITE: another flow closes, then its own after the answer", TRANSPORT_TLS, "INVITE",
     {{0, SEND, 0}, {50, CLOSED, 8}, {60, RECEIVE, 200}, {70, CLOSED, 7}},
     "0 >INVITE | 60 response | 32060 terminated"},

    /* CANCEL of a client: RFC 3261 9.1. */
    {"CANCEL waits for a provisional answer", TRANSPORT_UDP, "INVITE",
     {{0, SEND, 0}, {100, CANCEL, 0}, {200, CANCEL, 0}, {700, RECEIVE, 100},
      {800, RECEIVE_CANCEL, 200},
      {900, RECEIVE, 487}, {1000, CANCEL, 0}},
     "0 >INVITE | 100 cancelling | 200 cancelling | 500 >INVITE | 700 >CANCEL | 700 response | "
     "800 absorbed | 900 >ACK | 900 response | 1000 too-late | 32900 terminated"},
    {"CANCEL of a ringing INVITE that is never answered", TRANSPORT_UDP, "INVITE",
     {{0, SEND, 0}, {100, RECEIVE, 180}, {1000, CANCEL, 0}, {1700, RECEIVE, 180},
      {3000, RECEIVE_CANCEL, 200}},
     "0 >INVITE | 100 response | 1000 cancelling | 1000 >CANCEL | 1500 >CANCEL | "
     "1700 response | 2500 >CANCEL | 3000 absorbed | 33000 timeout"},
    {"CANCEL that meets a 2xx", TRANSPORT_TCP, "INVITE",
     {{0, SEND, 0}, {100, RECEIVE, 180}, {200, CANCEL, 0}, {210, RECEIVE, 200},
      {220, RECEIVE_CANCEL, 481}},
     "0 >INVITE | 100 response | 200 cancelling | 200 >CANCEL | 210 response | 220 absorbed | "
     "32210 terminated"},
    {"CANCEL wanted, final answer first", TRANSPORT_TCP, "INVITE",
     {{0, SEND, 0}, {10, CANCEL, 0}, {20, RECEIVE, 404}},
     "0 >INVITE | 10 cancelling | 20 >ACK | 20 response | 20 terminated"},
    {"CANCEL is for INVITE only", TRANSPORT_TCP, "OPTIONS",
     {{0, SEND, 0}, {10, CANCEL, 0}, {20, RECEIVE, 200}},
     "0 >OPTIONS | 10 too-late | 20 response | 20 terminated"},

    /* Client non-INVITE: RFC 3261 Figure 6. */
    {"client non-INVITE: Timers E and F", TRANSPORT_UDP, "OPTIONS",
     {{0, SEND, 0}},
     "0 >OPTIONS | 500 >OPTIONS | 1500 >OPTIONS | 3500 >OPTIONS | 7500 >OPTIONS | "
     "11500 >OPTIONS | 15500 >OPTIONS | 19500 >OPTIONS | 23500 >OPTIONS | 27500 >OPTIONS | "
     "31500 >OPTIONS | 32000 timeout"},
    {"client non-INVITE: Timer F alone on a stream", TRANSPORT_TCP, "FOO",
     {{0, SEND, 0}},
     "0 >FOO | 32000 timeout"},
    {"client non-INVITE: Proceeding repeats every T2; Timer K", TRANSPORT_UDP, "REGISTER",
     {{0, SEND, 0}, {600, RECEIVE, 100}, {10000, RECEIVE, 200}, {10100, RECEIVE, 200},
      {14999, RECEIVE, 200}, {15001, RECEIVE, 200}},
     "0 >REGISTER | 500 >REGISTER | 600 response | 1500 >REGISTER | 5500 >REGISTER | "
     "9500 >REGISTER | 10000 response | 10100 absorbed | 14999 absorbed | 15000 terminated | "
     "15001 stray-response"},
    {"client non-INVITE: Timer F runs in Proceeding too", TRANSPORT_TCP, "REGISTER",
     {{0, SEND, 0}, {600, RECEIVE, 100}},
     "0 >REGISTER | 600 response | 32000 timeout"},
    {"client non-INVITE: Timer K is 0 on a stream", TRANSPORT_TLS, "LOCSER",
     {{0, SEND, 0}, {5, RECEIVE, 404}},
     "0 >LOCSER | 5 response | 5 terminated"},
    {"client non-INVITE: not delivered after 100", TRANSPORT_TCP, "MESSAGE",
     {{0, SEND, 0}, {5, RECEIVE, 100}, {6, UNDELIVERED, 0}},
     "0 >MESSAGE | 5 response | 6 transport-error"},
    {"client non-INVITE: closed after the answer", TRANSPORT_UDP, "MESSAGE",
     {{0, SEND, 0}, {5, RECEIVE, 202}, {6, UNDELIVERED, 0}},
     "0 >MESSAGE | 5 response | 5005 terminated"},

    /* Server INVITE: RFC 3261 Figure 7, RFC 6026 Figure 1. */
    {"server INVITE: 100 by itself, repeated with the last answer", TRANSPORT_UDP, "INVITE",
     {{0, REQUEST, 0}, {100, REQUEST, 0}, {500, REQUEST, 0}, {600, RESPOND, 180},
      {1500, REQUEST, 0},
      {2000, RESPOND, 200}, {3500, REQUEST, 0}, {3600, RESPOND, 200}, {3700, RESPOND, 486},
      {3800, RESPOND, 180}, {3900, REQUEST, ACK}},
     "0 new | 100 absorbed | 200 >100 | 500 >100 | 500 absorbed | 600 >180 | 1500 >180 | "
     "1500 absorbed | 2000 >200 | 3500 absorbed | 3600 >200 | 3700 refused | 3800 refused | "
     "3900 stray-ack | 34000 terminated"},
    {"server INVITE: no 100 of its own after an early answer", TRANSPORT_UDP, "INVITE",
     {{0, REQUEST, 0}, {199, RESPOND, 183}, {300, RESPOND, 180}, {1000, RESPOND, 200}},
     "0 new | 199 >183 | 300 >180 | 1000 >200 | 33000 terminated"},
    {"server INVITE: refusal, Timers G and H", TRANSPORT_UDP, "INVITE",
     {{0, REQUEST, 0}, {100, RESPOND, 486}, {400, REQUEST, 0}, {450, RESPOND, 486}},
     "0 new | 100 >486 | 400 >486 | 400 absorbed | 450 refused | 600 >486 | 1600 >486 | "
     "3600 >486 | 7600 >486 | 11600 >486 | 15600 >486 | 19600 >486 | 23600 >486 | 27600 >486 | "
     "31600 >486 | 32100 timeout"},
    {"server INVITE: ACK stops Timer G, Timer I absorbs", TRANSPORT_UDP, "INVITE",
     {{0, REQUEST, 0}, {10, REQUEST, ACK}, {100, RESPOND, 404}, {700, REQUEST, ACK},
      {800, REQUEST, ACK},
      {900, REQUEST, 0}, {950, RESPOND, 404}, {5699, REQUEST, ACK}, {5701, REQUEST, ACK}},
     "0 new | 10 absorbed | 100 >404 | 600 >404 | 700 absorbed | 800 absorbed | 900 absorbed | "
     "950 refused | 5699 absorbed | 5700 terminated | 5701 stray-ack"},
    {"server INVITE: on a stream no Timer G, Timer I is 0", TRANSPORT_TCP, "INVITE",
     {{0, REQUEST, 0}, {100, RESPOND, 404}, {20000, REQUEST, ACK}, {20001, REQUEST, ACK}},
     "0 new | 100 >404 | 20000 absorbed | 20000 terminated | 20001 stray-ack"},
    {"server INVITE: Timer H on a stream", TRANSPORT_TCP, "INVITE",
     {{0, REQUEST, 0}, {250, RESPOND, 404}},
     "0 new | 200 >100 | 250 >404 | 32250 timeout"},
    {"server INVITE: the ACK of a 2xx has a branch of its own", TRANSPORT_TCP, "INVITE",
     {{0, REQUEST, 0}, {100, RESPOND, 200}, {150, ACK_ELSE, 0}},
     "0 new | 100 >200 | 150 stray-ack | 32100 terminated"},

    /* Server non-INVITE: RFC 3261 Figure 8 with RFC 4320. */
    {"server non-INVITE: Timer J", TRANSPORT_UDP, "REGISTER",
     {{0, REQUEST, 0}, {500, REQUEST, 0}, {1000, RESPOND, 200}, {1500, REQUEST, 0},
      {1600, RESPOND, 200},
      {32999, REQUEST, 0}, {33001, RESPOND, 200}},
     "0 new | 500 absorbed | 1000 >200 | 1500 >200 | 1500 absorbed | 1600 refused | "
     "32999 >200 | 32999 absorbed | 33000 terminated | 33001 refused"},
    {"server non-INVITE: Timer J is 0 on a stream", TRANSPORT_TCP, "FOO",
     {{0, REQUEST, 0}, {10, RESPOND, 501}, {11, REQUEST, 0}, {12, RESPOND, 501}},
     "0 new | 10 >501 | 10 terminated | 11 new | 12 >501 | 12 terminated"},
    {"server non-INVITE: 100 by itself once Timer E is T2, then never again",
     TRANSPORT_UDP, "MESSAGE",
     {{0, REQUEST, 0}, {3600, REQUEST, 0}, {5000, RESPOND, 200}},
     "0 new | 3500 >100 | 3600 >100 | 3600 absorbed | 5000 >200 | 37000 terminated"},
    {"server non-INVITE: 100 at any time on a stream", TRANSPORT_TCP, "MESSAGE",
     {{0, REQUEST, 0}, {1, RESPOND, 100}, {5000, RESPOND, 200}},
     "0 new | 1 >100 | 5000 >200 | 5000 terminated"},
    {"server non-INVITE: RFC 4320 refuses", TRANSPORT_UDP, "MESSAGE",
     {{0, REQUEST, 0}, {1, RESPOND, 100}, {2, RESPOND, 183}, {3, RESPOND, 408}, {500, REQUEST, 0},
      {600, RESPOND, 200}},
     "0 new | 1 refused | 2 refused | 3 refused | 500 absorbed | 600 refused | "
     "32003 terminated"},
    {"server non-INVITE: never answered", TRANSPORT_TCP, "MESSAGE",
     {{0, REQUEST, 0}},
     "0 new | 3500 >100 | 32000 timeout"},
    {"server: the ACK of nothing", TRANSPORT_UDP, "INVITE",
     {{0, REQUEST, ACK}},
     "0 stray-ack"},
};
/* clang-format on */

static void test_stories(void **state) {
  (void)state;
  static struct table w;
  for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
    const struct story *story = &stories[i];
    table_open(&w, story->transport, 100000, TEST_MEMORY_UNLIMITED);
    for (const struct step *step = story->step; step->op != DONE; step++) {
      table_run(&w, MSEC(step->at_ms));
      do_step(&w, story->method, step);
    }
    table_run(&w, w.now + SEC(100));
    if (strcmp(w.log, story->log) != 0)
      fail_msg("%s:\n  is     %s\n  should %s", story->name, w.log, story->log);
    table_assert_empty(&w);
    assert_int_equal(w.t.unkept, 0);
    table_close(&w);
  }
}

/* Timers of a client scale with its own T1, and B and F can be set apart. */
static void test_timing_of_its_own(void **state) {
  (void)state;
  static struct table w;
  table_open(&w, TRANSPORT_UDP, 100000, TEST_MEMORY_UNLIMITED);
  struct table_text text;
  struct table_request parts = {.method = "OPTIONS", .via = CLIENT_VIA};
  const struct transaction_timing timing = {20000, 80000, 50000, 350000};
  struct transaction_request request = {.to = table_peer(&w),
                                        .bytes = table_request_text(&text, &parts),
                                        .branch = SLICE("z9hG4bKc1"),
                                        .timing = &timing};
  assert_int_equal(transactions_send(&w.t, w.now, &request, &w.out, &w.client), OK);
  table_flush(&w);
  table_run(&w, SEC(10));
  assert_string_equal(w.log,
                      "0 >OPTIONS | 20 >OPTIONS | 60 >OPTIONS | 140 >OPTIONS | "
                      "220 >OPTIONS | 300 >OPTIONS | 350 timeout");
  table_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_stories),
      cmocka_unit_test(test_timing_of_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
