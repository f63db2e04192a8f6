/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages for somebody who is away, through whole nodes with the models of
 * signatures and seals. With real ones: tests/system/messages_test.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/peer.h"
#include "base/recipients.h"
#include "sim/record_model.h"
#include "sim/seal_model.h"
#include "support/world.h"
#include "usage/message.h"
#include "xml/body.h"

#define ALICE "sip:alice@example.net"
#define BOB "sip:bob@example.net"
#define MAILBOX "offline:bob@example.net"

static struct net net;
static unsigned number;

struct phone {
  const char *user, *host; /* "127.0.0.1:40001" */
  struct endpoint at;
};
static struct phone alice = {.user = ALICE, .host = "127.0.0.1:40001"};
static struct phone bob = {.user = BOB, .host = "127.0.0.1:40002"};

static void ring_of(unsigned count, enum node_policy policy) {
  net_open(&net, 7);
  net.latency_min_us = net.latency_max_us = MSEC(5);
  net.config.policy = policy;
  for (unsigned i = 0; i < count; i++) net_add(&net, NULL, i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  alice.at = net_stranger(alice.host, TRANSPORT_UDP);
  bob.at = net_stranger(bob.host, TRANSPORT_UDP);
}

static void end(void) { assert_true(net_close(&net)); }

/* ---- phones ---- */

static void send_request(const struct phone *phone, uint32_t node, const char *method,
                         const char *uri, const char *to, const char *lines, const char *body) {
  char text[16384], branch[32];
  snprintf(branch, sizeof branch, "z9hG4bKm%u;", ++number);
  int n = snprintf(text, sizeof text,
                   "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%srport\r\n"
                   "From: <%s>;tag=1\r\nTo: <%s>\r\nCall-ID: m%u\r\nCSeq: 1 %s\r\n"
                   "Max-Forwards: 70\r\n%sContent-Length: %zu\r\n\r\n%s",
                   method, uri, phone->host, branch, phone->user, to, number, method, lines,
                   strlen(body), body);
  assert_in_range(n, 1, (int)sizeof text - 1);
  net_inject(&net, node, 0, &phone->at, slice_of(text, (size_t)n));
}

/* Of the request that was sent last. */
static unsigned final_status(void) {
  char branch[32];
  snprintf(branch, sizeof branch, "z9hG4bKm%u;", number);
  return net_final(&net, branch, SEC(32));
}

static unsigned request(const struct phone *phone, uint32_t node, const char *method,
                        const char *uri, const char *to, const char *lines, const char *body) {
  send_request(phone, node, method, uri, to, lines, body);
  return final_status();
}

static unsigned registers(const struct phone *phone, uint32_t node, unsigned expires) {
  char lines[200];
  snprintf(lines, sizeof lines, "Contact: <sip:x@%s>\r\nExpires: %u\r\n", phone->host, expires);
  return request(phone, node, "REGISTER", "sip:example.net", phone->user, lines, "");
}

static unsigned says(const struct phone *phone, uint32_t node, const char *to, const char *text) {
  return request(phone, node, "MESSAGE", to, to, "Content-Type: text/plain\r\n", text);
}

static void answer_message(const struct net_letter *letter, uint32_t node, unsigned status) {
  static const char *const names[] = {"Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "};
  char answer[2048], *out = answer;
  struct endpoint from = letter->to;
  out += sprintf(out, "SIP/2.0 %u Well\r\n", status);
  for (unsigned i = 0; i < 5; i++) {
    const char *line = strstr(letter->text, names[i]);
    out += sprintf(out, "%.*s\r\n", (int)strcspn(line, "\r"), line);
  }
  out += sprintf(out, "Content-Length: 0\r\n\r\n");
  net_inject(&net, node, 0, &from, slice_of(answer, (size_t)(out - answer)));
  net_run_for(&net, MSEC(20)); /* before anything is sent again */
}

/* The next MESSAGE to anybody, with this in it; answered with `status`, or not (0). False: none. */
static bool hears(uint32_t node, const char *text, unsigned status, char call_id[80]) {
  for (usec stop = net.now + SEC(8); net.now < stop; net_run_for(&net, MSEC(5))) {
    const struct net_letter *letter = net_take(&net, "MESSAGE sip:", text);
    if (letter == NULL) continue;
    if (call_id != NULL) sscanf(strstr(letter->text, "Call-ID: "), "Call-ID: %79s", call_id);
    if (status != 0) answer_message(letter, node, status);
    return true;
  }
  return false;
}

/* Messages that are held live, at all nodes. */
static unsigned waiting(void) {
  struct key key = net_key(&net, MAILBOX);
  unsigned count = 0;
  for (uint32_t i = 0; i < net.count; i++)
    for (unsigned k = 0; net_runs(&net, i) && k < net.at[i].journal_count; k++)
      count += key_equal(&net.at[i].journal[k].key, &key) && !net.at[i].journal[k].tombstone;
  return count;
}

static void both_known(uint32_t alice_at, uint32_t bob_at) {
  assert_int_equal(registers(&alice, alice_at, 3600), 200);
  assert_int_equal(registers(&bob, bob_at, 3600), 200);
  assert_int_equal(registers(&bob, bob_at, 0), 200);
  net_run_for(&net, SEC(5));
}

/* ---- tests ---- */

static void test_kept_until_bob_is_back(void **state) {
  (void)state;
  ring_of(4, NODE_OPEN);
  both_known(0, 2);
  for (unsigned i = 0; i < 3; i++) {
    char text[16];
    snprintf(text, sizeof text, "word %u", i);
    assert_int_equal(says(&alice, 0, BOB, text), 202);
  }
  assert_int_equal(waiting(), 9);
  for (uint32_t i = 0; i < net.count; i++) /* neither text nor sender */
    for (unsigned k = 0; k < net.at[i].journal_count; k++) {
      struct key key = net_key(&net, MAILBOX);
      struct slice bytes = net.at[i].journal[k].bytes;
      if (!key_equal(&net.at[i].journal[k].key, &key)) continue;
      assert_int_equal(slice_find(bytes, SLICE("word")), bytes.len);
      assert_int_equal(slice_find(bytes, SLICE("alice")), bytes.len);
    }
  assert_int_equal(registers(&bob, 2, 3600), 200);
  char id[3][80];
  for (unsigned i = 0; i < 3; i++) { /* in order */
    char text[16];
    snprintf(text, sizeof text, "word %u", i);
    assert_true(hears(2, text, 200, id[i]));
  }
  assert_string_not_equal(id[0], id[1]);
  net_run_for(&net, SEC(3));
  assert_int_equal(waiting(), 0); /* the claim is gone, too */
  net_clear_inbox(&net);
  assert_false(hears(2, "word", 200, NULL));
  end();
}

/* */
static void test_what_is_not_kept(void **state) {
  static char large[MESSAGE_BODY_MAX + 2];
  (void)state;
  ring_of(3, NODE_OPEN);
  both_known(0, 2);
  memset(large, 'x', MESSAGE_BODY_MAX + 1);
  assert_int_equal(says(&alice, 0, BOB, large), 413);
  large[MESSAGE_BODY_MAX] = '\0';
  assert_int_equal(says(&alice, 0, BOB, large), 202);
  assert_int_equal(says(&alice, 0, "sip:nobody@example.net", "hi"), 404);
  assert_int_equal(says(&alice, 0, BOB, ""), 480);
  assert_int_equal(request(&alice, 0, "MESSAGE", BOB, BOB,
                           "Content-Type: application/im-iscomposing+xml\r\n", "<x/>"),
                   480);
  assert_int_equal(says(&alice, 1, BOB, "not from her home"), 480);
  assert_int_equal(waiting(), 3);
  end();
}

/* What is between nodes and about bob's mailbox is lost for a while. */
static usec lost_until;
static bool loses_mail(struct net *now, uint32_t node, const struct input *message) {
  (void)node;
  return now->now < lost_until && slice_find(message->data, SLICE(MAILBOX)) < message->data.len;
}

/* the phone need not try again itself. */
static void test_the_store_is_tried_again(void **state) {
  (void)state;
  ring_of(4, NODE_OPEN);
  struct key key = net_key(&net, MAILBOX);
  uint32_t stores = net_responsible(&net, &key), home = (stores + 1) % net.count;
  both_known(home, stores);
  net.on_hear = loses_mail;
  lost_until = net.now + SEC(10); /* an operation gives up after 8 s */
  assert_int_equal(says(&alice, home, BOB, "again and again"), 202);
  assert_true(net.now > lost_until);
  net.on_hear = NULL;
  assert_int_equal(registers(&bob, stores, 3600), 200);
  assert_true(hears(stores, "again and again", 200, NULL));
  net_run_for(&net, SEC(3));
  assert_int_equal(waiting(), 0);
  end();
}

/* bob's second key is made a moment after the first. */
static void test_a_key_that_is_late(void **state) {
  (void)state;
  ring_of(4, NODE_OPEN);
  net.one_certificate = true;
  both_known(0, 2);
  assert_int_equal(says(&alice, 0, BOB, "too early"), 480);
  net.one_certificate = false;
  send_request(&alice, 0, "MESSAGE", BOB, BOB, "Content-Type: text/plain\r\n", "in time");
  net_run_for(&net, SEC(3));
  net_step(&net, 2, &(struct input){.kind = IN_USER, .data = SLICE(BOB)});
  assert_int_equal(final_status(), 202);
  end();
}

static void test_a_laboratory_keeps_nothing(void **state) {
  (void)state;
  ring_of(2, NODE_LABORATORY);
  assert_int_equal(registers(&alice, 0, 3600), 200);
  assert_int_equal(says(&alice, 0, BOB, "hi"), 404);
  end();
}

static bool loses_letters(struct net *now, uint32_t node, const struct input *message) {
  return loses_mail(now, node, message) && slice_starts(message->data, SLICE("LOCSER ")) &&
         slice_find(message->data, SLICE(">put-auth<")) < message->data.len;
}

/* bob registers when it was seen that he is away, and before the message is stored. */
static void test_stored_after_the_register(void **state) {
  (void)state;
  ring_of(4, NODE_OPEN);
  struct key key = net_key(&net, MAILBOX);
  uint32_t stores = net_responsible(&net, &key), home = (stores + 1) % net.count;
  both_known(home, stores);
  net.on_hear = loses_letters;
  lost_until = net.now + SEC(4);
  send_request(&alice, home, "MESSAGE", BOB, BOB, "Content-Type: text/plain\r\n", "so close");
  unsigned sent = number;
  net_run_for(&net, SEC(1));
  assert_int_equal(registers(&bob, stores, 3600), 200);
  assert_int_equal(waiting(), 0);
  net_run_for(&net, SEC(1));
  number = sent;
  assert_int_equal(final_status(), 202);
  number += 2;
  net.on_hear = NULL;
  bool heard = false;
  for (unsigned i = 0; i < 6 && !heard; i++) heard = hears(stores, "so close", 200, NULL);
  assert_true(heard);
  net_run_for(&net, SEC(3));
  assert_int_equal(waiting(), 0);
  end();
}

static unsigned refused_copies;
static bool counts_refusals(struct net *now, uint32_t node, const struct input *message) {
  (void)now;
  (void)node;
  refused_copies += slice_starts(message->data, SLICE("SIP/2.0 503 "));
  return false;
}

/* replicas that do not know bob's key yet ask for it, and take the removals the first time
 * that these are pushed. */
static void test_removals_are_pushed_once(void **state) {
  (void)state;
  ring_of(6, NODE_OPEN);
  both_known(0, 2);
  assert_int_equal(says(&alice, 0, BOB, "one"), 202);
  refused_copies = 0;
  net.on_hear = counts_refusals;
  assert_int_equal(registers(&bob, 2, 3600), 200);
  assert_true(hears(2, "one", 200, NULL));
  net_run_for(&net, SEC(5));
  assert_int_equal(waiting(), 0);
  assert_int_equal(refused_copies, 0);
  end();
}

static bool loses_pins(struct net *now, uint32_t node, const struct input *message) {
  (void)now;
  (void)node;
  return slice_starts(message->data, SLICE("LOCSER ")) &&
         slice_find(message->data, SLICE(">get<")) < message->data.len &&
         slice_find(message->data, SLICE("certificate:bob")) < message->data.len;
}

/* who takes the range of a mailbox over has all of it, though it may not take the removals
 * in it while nobody can tell bob's key. */
static void test_a_range_waits_for_no_pin(void **state) {
  (void)state;
  ring_of(4, NODE_OPEN);
  both_known(0, 2);
  assert_int_equal(says(&alice, 0, BOB, "one"), 202);
  assert_int_equal(registers(&bob, 2, 3600), 200);
  assert_true(hears(2, "one", 200, NULL));
  net_run_for(&net, SEC(5));
  net.on_hear = loses_pins;
  struct key key = net_key(&net, MAILBOX);
  uint32_t joins = net_add(&net, &key, 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  assert_int_equal(net_responsible(&net, &key), joins);
  net.on_hear = NULL;
  end();
}

/* what the phone did not take stays, and comes again by the same id. */
static void test_the_phone_decides(void **state) {
  char first[80], again[80];
  (void)state;
  ring_of(3, NODE_OPEN);
  both_known(0, 2);
  assert_int_equal(says(&alice, 0, BOB, "one"), 202);
  assert_int_equal(says(&alice, 0, BOB, "two"), 202);
  assert_int_equal(registers(&bob, 2, 3600), 200);
  assert_true(hears(2, "one", 480, first));
  assert_false(hears(2, "\r\n\r\n", 200, NULL)); /* nor what is behind it */
  assert_int_equal(registers(&bob, 2, 0), 200);
  assert_int_equal(registers(&bob, 2, 3600), 200);
  assert_true(hears(2, "one", 415, again)); /* for good */
  assert_string_equal(first, again);
  assert_true(hears(2, "two", 200, NULL));
  net_run_for(&net, SEC(3));
  assert_int_equal(waiting(), 0);
  end();
}

#define RACE_WORDS 5u

/* bob's keys are at two peers, at which phones register at the same time. */
static void test_one_of_two_peers_delivers(void **state) {
  char text[160];
  struct buf value = buf_over(text, sizeof text);
  struct phone other = {.user = BOB, .host = "127.0.0.1:40003"};
  (void)state;
  ring_of(5, NODE_OPEN);
  other.at = net_stranger(other.host, TRANSPORT_UDP);
  both_known(0, 2);
  buf_put_cstr(&value, "<a xmlns=\"urn:x\">");
  key_put(&value, &net.at[2].config.id);
  buf_put_char(&value, ' ');
  key_put(&value, &net.at[3].config.id);
  buf_put_cstr(&value, "</a>");
  const struct node_command grant = {
      .kind = COMMAND_STORE, .uri = SLICE("private:bob@example.net"), .value = buf_slice(&value)};
  assert_int_equal(net_command(&net, 2, &grant, SEC(20))->code, 200);
  assert_int_equal(registers(&other, 3, 3600), 200);
  assert_int_equal(registers(&other, 3, 0), 200);
  char words[RACE_WORDS][16];
  for (unsigned i = 0; i < RACE_WORDS; i++) {
    snprintf(words[i], sizeof words[i], "race %u!", i);
    assert_int_equal(says(&alice, 0, BOB, words[i]), 202);
  }
  char lines[100], at[600];
  for (unsigned i = 0; i < 2; i++) {
    const struct phone *phone = i == 0 ? &bob : &other;
    snprintf(lines, sizeof lines, "Contact: <sip:x@%s>\r\nExpires: 600\r\n", phone->host);
    int n = snprintf(at, sizeof at,
                     "REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP %s;"
                     "branch=z9hG4bKrace%u;rport\r\nFrom: <" BOB ">;tag=1\r\nTo: <" BOB
                     ">\r\n"
                     "Call-ID: race%u\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n%s"
                     "Content-Length: 0\r\n\r\n",
                     phone->host, i, i, lines);
    net_inject(&net, 2 + i, 0, &phone->at, slice_of(at, (size_t)n));
  }
  /* Each comes to one of the two, in order, once: no other Call-ID, and none a second time. */
  for (unsigned i = 0; i < RACE_WORDS; i++) {
    const struct net_letter *letter = NULL;
    for (usec stop = net.now + SEC(60); letter == NULL && net.now < stop;) {
      net_run_for(&net, MSEC(5));
      letter = net_take(&net, "MESSAGE sip:", "race ");
    }
    assert_non_null(letter);
    assert_non_null(strstr(letter->text, words[i]));
    answer_message(letter, endpoint_equal(&letter->to, &bob.at) ? 2 : 3, 200);
  }
  net_run_for(&net, SEC(60)); /* whoever lost has looked again by then */
  assert_null(net_take(&net, "MESSAGE sip:", "race "));
  assert_int_equal(waiting(), 0);
  end();
}

/* words in alice's name by another's key; and what is no sealed text at all. */
static unsigned leave_for(const struct key *signer, struct slice value, const char *nonce,
                          msec_wall life) {
  static char plain_text[16384], text[20480], body[24576], call[32768];
  struct buf plain = buf_over(plain_text, sizeof plain_text), out = buf_over(text, sizeof text);
  struct buf record_call = buf_over(body, sizeof body);
  message_put_record(&plain, SLICE(BOB), slice_cstr(nonce), value, net_wall(&net) * 256,
                     net_wall(&net) + life);
  assert_int_equal(record_model_sign(&net.crypto, signer, buf_slice(&plain), &out), OK);
  struct slice record = buf_slice(&out);
  xml_put_call(&record_call, XML_PUT_AUTH, &record, 1, NULL);
  char hex[KEY_HEX + 1] = "", branch[32];
  struct buf digits = buf_over(hex, KEY_HEX);
  struct key key = net_key(&net, MAILBOX);
  struct endpoint stranger = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  key_put(&digits, &key);
  snprintf(branch, sizeof branch, "z9hG4bKleave%u", ++number);
  int n = snprintf(call, sizeof call,
                   "LOCSER sip:x@example.net SIP/2.0\r\nVia: SIP/2.0/TCP 203.0.113.9:40001;"
                   "branch=%s\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:x@example.net>\r\n"
                   "Call-ID: l%u\r\nCSeq: 1 LOCSER\r\nMax-Forwards: 70\r\nOverlay-Key: %s\r\n"
                   "Content-Type: text/xml\r\nContent-Length: %zu\r\n\r\n%.*s",
                   branch, number, hex, record_call.len, SLICE_FMT(buf_slice(&record_call)));
  net_inject(&net, 0, net_connect(&net, 0, &stranger), &stranger, slice_of(call, (size_t)n));
  return net_final(&net, branch, SEC(10));
}

static unsigned leave(const struct key *signer, struct slice value, const char *nonce) {
  return leave_for(signer, value, nonce, 3600000);
}

static void test_forged_words_are_removed(void **state) {
  static char letter_text[8192], signed_text[16384], to_text[256], sealed_text[32768];
  struct buf letter = buf_over(letter_text, sizeof letter_text),
             is_signed = buf_over(signed_text, sizeof signed_text),
             to = buf_over(to_text, sizeof to_text),
             sealed = buf_over(sealed_text, sizeof sealed_text);
  const struct key mallory = {{6, 6, 6}};
  (void)state;
  ring_of(3, NODE_OPEN);
  both_known(0, 2);
  const struct message message = {.from = SLICE(ALICE),
                                  .to = SLICE(BOB),
                                  .id = SLICE("FEDCBA9876543210FEDCBA9876543210"),
                                  .type = SLICE("text/plain"),
                                  .body = SLICE("send money"),
                                  .sent = net_wall(&net)};
  message_put_letter(&letter, &message);
  assert_int_equal(record_model_sign(&net.crypto, &mallory, buf_slice(&letter), &is_signed), OK);
  struct key owner = net_owner(&net, 2, SLICE(BOB));
  recipients_put(&to, &owner, slice_of(owner.byte, KEY_BYTES));
  assert_int_equal(seal_model_make(&net.crypto, buf_slice(&to), buf_slice(&is_signed), &sealed),
                   OK);
  assert_int_equal(leave(&mallory, buf_slice(&sealed), "FEDCBA9876543210FEDCBA9876543210"), 200);
  assert_int_equal(leave(&mallory, SLICE("<a xmlns=\"urn:x\">junk</a>"), "junk"), 200);
  assert_int_equal(says(&alice, 0, BOB, "it is me"), 202);
  assert_int_equal(registers(&bob, 2, 3600), 200);
  assert_true(hears(2, "it is me", 200, NULL));
  net_run_for(&net, SEC(3));
  assert_null(net_take(&net, "MESSAGE sip:", "money"));
  assert_int_equal(waiting(), 0);
  end();
}

/* more of them than the 16 that are held at once, and older than what is for bob. */
static void test_what_is_for_another_key_is_left(void **state) {
  static char to_text[256], sealed_text[32768];
  struct buf to = buf_over(to_text, sizeof to_text),
             sealed = buf_over(sealed_text, sizeof sealed_text);
  const struct key mallory = {{6, 6, 6}}, another = {{7, 7, 7}};
  const unsigned count = 17;
  (void)state;
  ring_of(3, NODE_OPEN);
  both_known(0, 2);
  recipients_put(&to, &another, slice_of(another.byte, KEY_BYTES));
  assert_int_equal(seal_model_make(&net.crypto, buf_slice(&to), SLICE("words"), &sealed), OK);
  for (unsigned i = 0; i < count; i++) {
    char nonce[8];
    snprintf(nonce, sizeof nonce, "n%u", i);
    assert_int_equal(leave(&mallory, buf_slice(&sealed), nonce), 200);
  }
  assert_int_equal(says(&alice, 0, BOB, "it is me"), 202);
  assert_int_equal(registers(&bob, 2, 3600), 200);
  assert_true(hears(2, "it is me", 200, NULL));
  net_run_for(&net, SEC(30));
  assert_int_equal(waiting(), 3 * count); /* and the claim was given back */
  end();
}

/* */
static void test_by_hand(void **state) {
  (void)state;
  ring_of(3, NODE_OPEN);
  both_known(0, 2);
  struct node_command send = {.kind = COMMAND_MESSAGE,
                              .uri = SLICE("alice@example.net"),
                              .contact = SLICE(BOB),
                              .value = SLICE("by hand")};
  assert_int_equal(net_command(&net, 0, &send, SEC(20))->code, 200);
  assert_int_equal(registers(&bob, 2, 3600), 200);
  assert_true(hears(2, "by hand", 200, NULL));
  send.contact = SLICE("sip:nobody@example.net");
  assert_int_equal(net_command(&net, 0, &send, SEC(20))->code, 404);
  send.contact = SLICE("tel:1");
  assert_int_equal(net_command(&net, 0, &send, SEC(20))->code, 400);
  end();
}

/* 32 for one recipient from one home; then the mailbox is full. */
static void test_limits(void **state) {
  (void)state;
  ring_of(3, NODE_OPEN);
  both_known(0, 2);
  for (unsigned i = 0; i < 32; i++) assert_int_equal(says(&alice, 0, BOB, "again"), 202);
  assert_int_equal(says(&alice, 0, BOB, "again"), 480);
  unsigned status = 480;
  for (unsigned i = 0; i < 200 && status == 480; i++) status = says(&alice, 0, BOB, "again");
  assert_int_equal(status, 403);
  assert_int_equal(registers(&bob, 2, 3600), 200);
  for (unsigned i = 0; i < 32; i++) assert_true(hears(2, "again", 200, NULL));
  net_run_for(&net, SEC(3));
  assert_int_equal(waiting(), 0);
  end();
}

static unsigned refused_claims;

static void count_refused_claims(struct net *w, uint32_t node, const struct output *send) {
  (void)w, (void)node;
  refused_claims += slice_find(send->data, SLICE("somebody else has claimed")) < send->data.len;
}

/* Bob comes back to a mailbox that another has claimed, who never says anything again. */
static void come_back_to_claimed(msec_wall life) {
  char text[100];
  struct buf claim = buf_over(text, sizeof text);
  ring_of(3, NODE_OPEN);
  both_known(0, 2);
  struct key key = net_key(&net, MAILBOX), owner = net_owner(&net, 2, SLICE(BOB));
  assert_int_not_equal(net_responsible(&net, &key), 2); /* who refuses, says so aloud */
  assert_int_equal(says(&alice, 0, BOB, "one"), 202);
  message_put_claim_value(&claim, &net.at[1].config.id);
  assert_int_equal(leave_for(&owner, buf_slice(&claim), MESSAGE_CLAIM_NONCE, life), 200);
  refused_claims = 0;
  net.on_send = count_refused_claims;
  assert_int_equal(registers(&bob, 2, 3600), 200);
}

/* */
static void test_a_claim_that_lasts_is_left_alone(void **state) {
  (void)state;
  come_back_to_claimed(3600000);
  net_run_for(&net, SEC(600));
  assert_int_equal(refused_claims, 5);
  assert_int_equal(registers(&bob, 2, 0), 200);
  assert_int_equal(registers(&bob, 2, 3600), 200);
  net_run_for(&net, SEC(5));
  assert_int_equal(refused_claims, 6);
  end();
}

/* */
static void test_a_claim_outlives_its_peer_for_a_while_only(void **state) {
  bool heard = false;
  (void)state;
  come_back_to_claimed(MESSAGE_CLAIM_MS);
  for (unsigned i = 0; i < 12 && !heard; i++) heard = hears(2, "one", 200, NULL);
  assert_true(heard);
  assert_in_range(refused_claims, 1, 4);
  net_run_for(&net, SEC(3));
  assert_int_equal(waiting(), 0);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_kept_until_bob_is_back),
      cmocka_unit_test(test_what_is_not_kept),
      cmocka_unit_test(test_the_store_is_tried_again),
      cmocka_unit_test(test_a_key_that_is_late),
      cmocka_unit_test(test_a_laboratory_keeps_nothing),
      cmocka_unit_test(test_stored_after_the_register),
      cmocka_unit_test(test_removals_are_pushed_once),
      cmocka_unit_test(test_a_range_waits_for_no_pin),
      cmocka_unit_test(test_the_phone_decides),
      cmocka_unit_test(test_one_of_two_peers_delivers),
      cmocka_unit_test(test_a_claim_that_lasts_is_left_alone),
      cmocka_unit_test(test_a_claim_outlives_its_peer_for_a_while_only),
      cmocka_unit_test(test_forged_words_are_removed),
      cmocka_unit_test(test_what_is_for_another_key_is_left),
      cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
