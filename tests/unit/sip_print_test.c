/* SPDX-License-Identifier: BSD-2-Clause */
/* What is written, to the byte: responses (RFC 3261 8.2.6, 18.2.1, RFC 3581), forwarded messages
 * (16.6, 16.7), ACK and CANCEL (17.1.1.3, 9.1).: nothing else of a request changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sip/print.h"

#define START "INVITE sip:bob@example.com SIP/2.0\r\n"
#define OTHERS                               \
  "From: <sip:alice@example.com>;tag=f1\r\n" \
  "t : sip:bob@example.com\r\n"              \
  "Call-ID: a@b\r\nCSeq:  7 INVITE\r\n"

static char text[8192], printed[8192];
static struct sip_message m;
static struct buf out;
static const struct endpoint source = {
    .addr = {192, 0, 2, 9}, .port = 5099, .family = 4, .transport = TRANSPORT_UDP};
static const struct endpoint here = {
    .addr = {198, 51, 100, 1}, .port = 5060, .family = 4, .transport = TRANSPORT_TCP};

static int fresh(void **state) {
  (void)state;
  out = buf_over(printed, sizeof printed);
  return 0;
}

static void parse(const char *message) {
  struct sip_problem problem;
  size_t len = strlen(message);
  memcpy(text, message, len);
  if (sip_message_parse(slice_of(text, len), SIP_DATAGRAM, &m, &problem) != OK)
    fail_msg("%s", problem.reason);
}

static void assert_printed(const char *want) {
  buf_put_char(&out, '\0');
  assert_false(out.overflow);
  assert_string_equal(printed, want);
  fresh(NULL);
}

static void single_headers_are_written(void **state) {
  (void)state;
  struct endpoint udp6 = {.addr = {0x20, 0x01, 0x0d, 0xb8, [15] = 1},
                          .port = 5070,
                          .family = 6,
                          .transport = TRANSPORT_UDP};
  sip_put_header(&out, "Allow", SLICE("LOCSER"));
  sip_put_header_u64(&out, "Expires", 4294967296u);
  sip_put_via(&out, &udp6, SLICE("z9hG4bK1"));
  sip_put_via(&out, &here, SLICE("z9hG4bK2"));
  assert_printed(
      "Allow: LOCSER\r\nExpires: 4294967296\r\n"
      "Via: SIP/2.0/UDP [2001:db8::1]:5070;branch=z9hG4bK1;rport\r\n"
      "Via: SIP/2.0/TCP 198.51.100.1:5060;branch=z9hG4bK2\r\n");
  assert_string_equal(sip_reason(404), "Not Found");
  assert_string_equal(sip_reason(299), "Unknown");
  assert_string_equal(sip_reason(65535), "Unknown");
  sip_put_body(&out, "text/xml", SLICE("<a/>"));
  assert_printed("Content-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>");
  sip_put_body(&out, "text/xml", SLICE_EMPTY);
  assert_printed("Content-Length: 0\r\n\r\n");
}

/* The answer's Via, for a request with that Via from 192.0.2.9:5099. */
static void assert_marked(const char *via, const char *want) {
  char request[1024], answer[1024];
  struct buf r = buf_over(request, sizeof request), a = buf_over(answer, sizeof answer);
  buf_put_cstr(&r, START "Via: ");
  buf_put_cstr(&r, via);
  buf_put_cstr(&r, "\r\n" OTHERS "\r\n");
  buf_put_char(&r, '\0');
  parse(request);
  sip_put_response_head(&out, &m, 200, NULL, SLICE_EMPTY, &source);
  buf_put_cstr(&a, "SIP/2.0 200 OK\r\nVia: ");
  buf_put_cstr(&a, want);
  buf_put_cstr(&a, "\r\n" OTHERS);
  buf_put_char(&a, '\0');
  assert_printed(answer);
}

static void the_topmost_via_says_where_the_request_came_from(void **state) {
  (void)state;
  assert_marked("SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa",
                "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa");
  assert_marked("SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKa",
                "SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKa;received=192.0.2.9");
  assert_marked("SIP/2.0/UDP a.example.com", "SIP/2.0/UDP a.example.com;received=192.0.2.9");
  assert_marked("SIP/2.0/UDP 192.0.2.9;rport;branch=z9hG4bKa",
                "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa;received=192.0.2.9;rport=5099");
  /* What the sender claims to have been received from is not kept. */
  assert_marked("SIP/2.0/UDP 192.0.2.9 ; received=203.0.113.1; x=\";received=1\" ;rport=5",
                "SIP/2.0/UDP 192.0.2.9;x=\";received=1\";received=192.0.2.9;rport=5099");
  assert_marked("SIP/2.0/UDP a;rport , SIP/2.0/UDP b;rport\r\nVia: SIP/2.0/UDP c;rport",
                "SIP/2.0/UDP a;received=192.0.2.9;rport=5099 , SIP/2.0/UDP b;rport\r\n"
                "Via: SIP/2.0/UDP c;rport");
}

static void received_has_no_brackets(void **state) {
  (void)state;
  struct endpoint six = {.addr = {[15] = 1}, .port = 5, .family = 6};
  parse(START "Via: SIP/2.0/TCP [::2]:5060\r\n" OTHERS "\r\n");
  sip_put_response_head(&out, &m, 486, "Not Now", SLICE_EMPTY, &six);
  assert_printed("SIP/2.0 486 Not Now\r\nVia: SIP/2.0/TCP [::2]:5060;received=::1\r\n" OTHERS);
  sip_put_response_head(&out, &m, 486, NULL, SLICE_EMPTY, NULL);
  assert_printed("SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/TCP [::2]:5060\r\n" OTHERS);
}

static void a_to_tag_is_added_once(void **state) {
  (void)state;
  parse(START "v: SIP/2.0/UDP 192.0.2.9\r\n" OTHERS "Timestamp: 5\r\nX: y\r\n\r\n");
  sip_put_response_head(&out, &m, 100, NULL, SLICE_EMPTY, &source);
  assert_printed("SIP/2.0 100 Trying\r\nv: SIP/2.0/UDP 192.0.2.9\r\n" OTHERS "Timestamp: 5\r\n");
  sip_put_response_head(&out, &m, 180, NULL, SLICE("t1"), &source);
  assert_printed(
      "SIP/2.0 180 Ringing\r\nv: SIP/2.0/UDP 192.0.2.9\r\n"
      "From: <sip:alice@example.com>;tag=f1\r\nt : sip:bob@example.com;tag=t1\r\n"
      "Call-ID: a@b\r\nCSeq:  7 INVITE\r\n");
  parse(START
        "v: SIP/2.0/UDP 192.0.2.9\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\n ;tag=2 \r\n"
        "i: x\r\nCSeq: 1 INVITE\r\n\r\n");
  sip_put_response_head(&out, &m, 200, NULL, SLICE("t1"), &source);
  assert_printed(
      "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP 192.0.2.9\r\nFrom: <sip:a>;tag=1\r\n"
      "To: <sip:b>\r\n ;tag=2 \r\ni: x\r\nCSeq: 1 INVITE\r\n");
}

static void what_a_broken_request_lacks_is_left_out(void **state) {
  (void)state;
  struct sip_problem problem;
  struct slice broken = SLICE(START "Via: SIP/2.0/UDP a:b;rport;;\r\nCSeq: x\r\nCSeq: y\r\n\r\n");
  assert_int_equal(sip_message_parse(broken, SIP_DATAGRAM, &m, &problem), ERR_SYNTAX);
  sip_put_response_head(&out, &m, problem.status, problem.reason, SLICE("t"), &source);
  assert_printed(
      "SIP/2.0 400 Malformed Via Sent-By\r\n"
      "Via: SIP/2.0/UDP a:b;rport;;;received=192.0.2.9\r\nCSeq: x\r\n");
  assert_int_equal(sip_message_parse(SLICE("x\r\n\r\n"), SIP_DATAGRAM, &m, &problem), ERR_SYNTAX);
  sip_put_response_head(&out, &m, 400, NULL, SLICE("t"), &source);
  assert_printed("SIP/2.0 400 Bad Request\r\n");
}

#define ODD                                               \
  "rOuTe:<sip:p1;lr> , <sip:p2,x;lr>\r\n"                 \
  "X-Odd :\t a;;,\x01 b \r\n c\r\nRoute: <sip:p3;lr>\r\n" \
  "MAX-forwards:   010 \r\nRecord-Route: <sip:r;lr>\r\n"

#define VIA "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\n"

static void an_empty_edit_changes_nothing(void **state) {
  (void)state;
  const char *message = START VIA OTHERS ODD "l: 4\r\n\r\nbo\r\n";
  struct sip_request_edit edit = {.max_forwards = -1};
  parse(message);
  sip_put_forwarded_request(&out, &m, &edit);
  assert_printed(message);
}

static void new_headers_stand_before_the_old(void **state) {
  (void)state;
  struct sip_request_edit edit = {.uri = SLICE("sip:bob@192.0.2.4"),
                                  .via_sent_by = &here,
                                  .via_branch = SLICE("z9hG4bKn"),
                                  .source = &source,
                                  .max_forwards = 9,
                                  .routes_drop = 1,
                                  .routes_add = SLICE("Route: <sip:p0;lr>\r\n"),
                                  .lines_add = SLICE("Record-Route: <sip:us;lr>\r\n"),
                                  .headers_drop = (uint64_t)1 << SIP_H_SUBJECT};
  parse(START "Via: SIP/2.0/UDP a;branch=z9hG4bKa\r\n" OTHERS "s: gone\r\n \r\n" ODD "\r\nbody");
  sip_put_forwarded_request(&out, &m, &edit);
  assert_printed(
      "INVITE sip:bob@192.0.2.4 SIP/2.0\r\n"
      "Via: SIP/2.0/TCP 198.51.100.1:5060;branch=z9hG4bKn\r\n"
      "Record-Route: <sip:us;lr>\r\nRoute: <sip:p0;lr>\r\n"
      "Via: SIP/2.0/UDP a;branch=z9hG4bKa;received=192.0.2.9\r\n" OTHERS
      "rOuTe:<sip:p2,x;lr>\r\nX-Odd :\t a;;,\x01 b \r\n c\r\nRoute: <sip:p3;lr>\r\n"
      "MAX-forwards:   9\r\nRecord-Route: <sip:r;lr>\r\nContent-Length: 4\r\n\r\nbody");
}

static void routes_are_dropped_from_the_top(void **state) {
  (void)state;
  static const char *const left[] = {
      "rOuTe:<sip:p1;lr> , <sip:p2,x;lr>\r\nX: y\r\nRoute: <sip:p3;lr>\r\n",
      "rOuTe:<sip:p2,x;lr>\r\nX: y\r\nRoute: <sip:p3;lr>\r\n",
      "X: y\r\nRoute: <sip:p3;lr>\r\n",
      "X: y\r\n",
      "X: y\r\n",
  };
  for (unsigned drop = 0; drop < 5; drop++) {
    char want[1024];
    struct buf w = buf_over(want, sizeof want);
    struct sip_request_edit edit = {.max_forwards = -1, .routes_drop = drop};
    parse(START VIA OTHERS
          "rOuTe:<sip:p1;lr> , <sip:p2,x;lr>\r\nX: y\r\nRoute: <sip:p3;lr>\r\nl: 0\r\n\r\n");
    sip_put_forwarded_request(&out, &m, &edit);
    buf_put_cstr(&w, START VIA OTHERS);
    buf_put_cstr(&w, left[drop]);
    buf_put_cstr(&w, "l: 0\r\n\r\n");
    buf_put_char(&w, '\0');
    assert_printed(want);
  }
}

static void max_forwards_is_added_where_there_is_none(void **state) {
  (void)state;
  struct sip_request_edit edit = {.max_forwards = 70};
  parse(START VIA OTHERS "l: 0\r\n\r\n");
  sip_put_forwarded_request(&out, &m, &edit);
  assert_printed(START "Max-Forwards: 70\r\n" VIA OTHERS "l: 0\r\n\r\n");
}

static void octets_after_the_body_do_not_travel(void **state) {
  (void)state;
  struct sip_request_edit edit = {.max_forwards = -1};
  parse(START VIA OTHERS "l: 2\r\n\r\nabcd");
  sip_put_forwarded_request(&out, &m, &edit);
  assert_printed(START VIA OTHERS "l: 2\r\n\r\nab");
}

static void a_response_loses_its_topmost_via(void **state) {
  (void)state;
  parse("SIP/2.0 200 \r\n" VIA "v: SIP/2.0/UDP b\r\n" OTHERS "X: y\r\nl: 2\r\n\r\nab");
  sip_put_forwarded_response(&out, &m, SLICE_EMPTY);
  assert_printed("SIP/2.0 200 \r\nv: SIP/2.0/UDP b\r\n" OTHERS "X: y\r\nl: 2\r\n\r\nab");
  parse("SIP/2.0 200 OK\r\n" OTHERS "v:SIP/2.0/UDP a;x\r\n , SIP/2.0/UDP b \r\nX: y\r\n\r\nab");
  sip_put_forwarded_response(&out, &m, SLICE("Path: <sip:p>\r\n"));
  assert_printed("SIP/2.0 200 OK\r\nPath: <sip:p>\r\n" OTHERS
                 "v:SIP/2.0/UDP b \r\nX: y\r\nContent-Length: 2\r\n\r\nab");
}

static void ack_and_cancel_follow_their_invite(void **state) {
  (void)state;
  parse(
      START VIA
      "Via: SIP/2.0/UDP b\r\n"
      "f: <sip:a>;tag=1\r\nTo: <sip:b>\r\nCall-ID: x\r\nRoute: <sip:p1;lr>\r\nContact: <sip:a>\r\n"
      "CSeq: 7 INVITE\r\nRoute: <sip:p2;lr>\r\nMax-Forwards: 3\r\nl: 2\r\n\r\nab");
  sip_put_ack_or_cancel(&out, &m, SIP_ACK, SLICE("<sip:b>;tag=9"));
  assert_printed("ACK sip:bob@example.com SIP/2.0\r\n" VIA
                 "Max-Forwards: 70\r\nRoute: <sip:p1;lr>\r\nRoute: <sip:p2;lr>\r\n"
                 "From: <sip:a>;tag=1\r\nTo: <sip:b>;tag=9\r\nCall-ID: x\r\nCSeq: 7 ACK\r\n"
                 "Content-Length: 0\r\n\r\n");
  sip_put_ack_or_cancel(&out, &m, SIP_CANCEL, SLICE_EMPTY);
  assert_printed("CANCEL sip:bob@example.com SIP/2.0\r\n" VIA
                 "Max-Forwards: 70\r\nRoute: <sip:p1;lr>\r\nRoute: <sip:p2;lr>\r\n"
                 "From: <sip:a>;tag=1\r\nTo: <sip:b>\r\nCall-ID: x\r\nCSeq: 7 CANCEL\r\n"
                 "Content-Length: 0\r\n\r\n");
}

static void too_little_room_is_an_overflow(void **state) {
  (void)state;
  struct sip_request_edit edit = {.via_sent_by = &here, .max_forwards = 9};
  parse(START VIA OTHERS ODD "\r\nbody");
  sip_put_forwarded_request(&out, &m, &edit);
  size_t whole = out.len;
  for (size_t cap = 0; cap <= whole; cap++) {
    out = buf_over(printed, cap);
    sip_put_forwarded_request(&out, &m, &edit);
    assert_int_equal(out.overflow, cap < whole);
  }
}

/* RFC 3261 section 20.17; leap days, ends of years and of centuries. */
static void dates_are_those_of_the_calendar(void **state) {
  (void)state;
  static const struct {
    uint64_t seconds;
    const char *text;
  } rows[] = {
      {0, "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"},
      {1289690940, "Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n"},
      {951782399, "Date: Mon, 28 Feb 2000 23:59:59 GMT\r\n"},
      {951782400, "Date: Tue, 29 Feb 2000 00:00:00 GMT\r\n"},
      {1709251199, "Date: Thu, 29 Feb 2024 23:59:59 GMT\r\n"},
      {1798761599, "Date: Thu, 31 Dec 2026 23:59:59 GMT\r\n"},
      {4107542400, "Date: Mon, 01 Mar 2100 00:00:00 GMT\r\n"},
      {253402300799, "Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char memory[64];
    struct buf line = buf_over(memory, sizeof memory);
    sip_put_date(&line, rows[i].seconds * 1000 + 999);
    assert_int_equal(line.len, strlen(rows[i].text));
    assert_memory_equal(line.at, rows[i].text, line.len);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(single_headers_are_written, fresh),
      cmocka_unit_test_setup(the_topmost_via_says_where_the_request_came_from, fresh),
      cmocka_unit_test_setup(received_has_no_brackets, fresh),
      cmocka_unit_test_setup(a_to_tag_is_added_once, fresh),
      cmocka_unit_test_setup(what_a_broken_request_lacks_is_left_out, fresh),
      cmocka_unit_test_setup(an_empty_edit_changes_nothing, fresh),
      cmocka_unit_test_setup(new_headers_stand_before_the_old, fresh),
      cmocka_unit_test_setup(routes_are_dropped_from_the_top, fresh),
      cmocka_unit_test_setup(max_forwards_is_added_where_there_is_none, fresh),
      cmocka_unit_test_setup(octets_after_the_body_do_not_travel, fresh),
      cmocka_unit_test_setup(a_response_loses_its_topmost_via, fresh),
      cmocka_unit_test_setup(ack_and_cancel_follow_their_invite, fresh),
      cmocka_unit_test_setup(too_little_room_is_an_overflow, fresh),
      cmocka_unit_test(dates_are_those_of_the_calendar),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
