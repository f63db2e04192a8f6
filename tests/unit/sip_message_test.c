/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole messages: what is read on the way, and what is refused with which words (R-1.2, R-1.4,
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sip/message.h"

static struct sip_message m;
static struct sip_problem problem;
static char bytes[SIP_MESSAGE_BYTES_MAX + 4096];

static enum err parse(struct slice text, enum sip_carrier carrier) {
  return sip_message_parse(text, carrier, &m, &problem);
}

static void assert_text(struct slice got, const char *want) {
  if (!slice_equal(got, slice_cstr(want))) fail_msg("%.*s, not %s", SLICE_FMT(got), want);
}

static void assert_refused(const char *text, enum sip_carrier carrier, uint16_t status,
                           const char *reason) {
  enum err err = parse(slice_cstr(text), carrier);
  if (err == OK) fail_msg("accepted: %s", text);
  if (problem.status != status || strcmp(problem.reason, reason) != 0)
    fail_msg("%u %s for: %s", problem.status, problem.reason, text);
}

#define START "LOCSER sip:bob@example.com SIP/2.0\r\n"
#define VIA "Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKx;rport\r\n"
#define FROM "From: Alice <sip:alice@example.com>;tag=f1\r\n"
#define TO "To: <sip:bob@example.com>\r\n"
#define CALL_ID "Call-ID: a@b\r\n"
#define CSEQ "CSeq: 7 LOCSER\r\n"
#define HEAD START VIA FROM TO CALL_ID CSEQ
#define END "Content-Length: 0\r\n\r\n"

static void a_request_is_read_on_the_way(void **state) {
  (void)state;
  const char *text = HEAD "Max-Forwards: 69\r\nX-Odd :  a \t b  \r\nContent-Length: 4\r\n\r\nbody";
  assert_int_equal(parse(slice_cstr(text), SIP_STREAM), OK);
  assert_true(m.request);
  assert_int_equal(m.method, SIP_LOCSER);
  assert_text(m.uri_text, "sip:bob@example.com");
  assert_text(m.start_line, START);
  assert_text(m.via.host, "192.0.2.1");
  assert_int_equal(m.via.port, 5070);
  assert_text(m.from_tag, "f1");
  assert_int_equal(m.to_tag.len, 0);
  assert_text(m.call_id, "a@b");
  assert_int_equal(m.cseq, 7);
  assert_int_equal(m.max_forwards, 69);
  assert_text(m.body, "body");
  assert_int_equal(m.header_count, 8);
  assert_text(m.header[6].name, "X-Odd");
  assert_text(m.header[6].value, "a \t b");
  assert_text(m.header[6].line, "X-Odd :  a \t b  \r\n");
  assert_null(problem.reason);
}

static void a_response_is_read_on_the_way(void **state) {
  (void)state;
  const char *text =
      "sip/2.0 487 Request Terminated\r\n" VIA FROM
      "t: <sip:bob@example.com> ; tag = t1\r\ni: x\r\nCSeq:1\r\n\tINVITE\r\nl:0\r\n\r\n";
  assert_int_equal(parse(slice_cstr(text), SIP_STREAM), OK);
  assert_false(m.request);
  assert_int_equal(m.status, 487);
  assert_text(m.reason, "Request Terminated");
  assert_int_equal(m.method, SIP_INVITE);
  assert_text(m.to_tag, "t1");
  assert_int_equal(m.max_forwards, -1);
}

static void header_lines_are_the_bytes_received(void **state) {
  (void)state;
  const char *text = HEAD "Subject: one\r\n two\r\n\t three\r\nEmpty:\r\nBlank: \r\n \r\n" END;
  assert_int_equal(parse(slice_cstr(text), SIP_STREAM), OK);
  const char *p = m.headers.at;
  for (unsigned i = 0; i < m.header_count; i++) {
    assert_ptr_equal(m.header[i].line.at, p);
    p += m.header[i].line.len;
  }
  assert_ptr_equal(p, m.headers.at + m.headers.len);
  assert_text(sip_header_first(&m, SIP_H_SUBJECT)->value, "one\r\n two\r\n\t three");
  const struct sip_header *empty = sip_header_named(&m, "Empty");
  assert_int_equal(empty->value.len, 0);
  assert_ptr_equal(empty->value.at, empty->line.at + strlen("Empty:"));
  assert_int_equal(sip_header_named(&m, "Blank")->value.len, 0);
}

static void a_missing_header_is_named(void **state) {
  (void)state;
  assert_refused(START FROM TO CALL_ID CSEQ END, SIP_DATAGRAM, 400, "Missing Via");
  assert_refused(START VIA TO CALL_ID CSEQ END, SIP_DATAGRAM, 400, "Missing From");
  assert_refused(START VIA FROM CALL_ID CSEQ END, SIP_DATAGRAM, 400, "Missing To");
  assert_refused(START VIA FROM TO CSEQ END, SIP_DATAGRAM, 400, "Missing Call-ID");
  assert_refused(START VIA FROM TO CALL_ID END, SIP_DATAGRAM, 400, "Missing CSeq");
  assert_refused(HEAD "\r\n", SIP_STREAM, 400, "Missing Content-Length");
  assert_int_equal(parse(slice_cstr(HEAD "\r\n"), SIP_DATAGRAM), OK);
}

static void a_second_header_is_named(void **state) {
  (void)state;
  assert_refused(HEAD FROM END, SIP_DATAGRAM, 400, "More Than One From");
  assert_refused(HEAD TO END, SIP_DATAGRAM, 400, "More Than One To");
  assert_refused(HEAD "i: x\r\n" END, SIP_DATAGRAM, 400, "More Than One Call-ID");
  assert_refused(HEAD CSEQ END, SIP_DATAGRAM, 400, "More Than One CSeq");
  assert_refused(HEAD "l: 0\r\n" END, SIP_DATAGRAM, 400, "More Than One Content-Length");
  assert_refused(HEAD "Max-Forwards: 1\r\nMax-Forwards: 1\r\n" END, SIP_DATAGRAM, 400,
                 "More Than One Max-Forwards");
  assert_refused(HEAD "Overlay-Key: 1\r\nOverlay-Key: 2\r\n" END, SIP_DATAGRAM, 400,
                 "More Than One Overlay-Key");
  assert_int_equal(parse(slice_cstr(HEAD VIA "Contact: *\r\nContact: *\r\n" END), SIP_STREAM), OK);
}

static void a_malformed_header_is_named(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {START FROM TO CALL_ID CSEQ "Via: x\r\n" END, "Malformed Via"},
      {START FROM TO CALL_ID CSEQ "Via:\r\n" END, "Malformed Via"},
      {START FROM TO CALL_ID CSEQ "Via: SIP/2.0/UDP a,\r\n" END, "Malformed Via"},
      {START FROM TO CALL_ID CSEQ "Via: SIP/2.0/UDP a b\r\n" END, "Malformed Via Sent-By"},
      {START FROM TO CALL_ID CSEQ "Via: SIP/2.0/UDP a;;b\r\n" END, "Malformed Via Parameter"},
      {START FROM TO CALL_ID CSEQ "Via: SIP/2.0/UDP a;branch=z9hG4bK\r\n" END,
       "Via Branch Is Only The Magic Cookie"},
      {START VIA TO CALL_ID CSEQ "From: A, <sip:a@b>\r\n" END, "Malformed From"},
      {START VIA FROM CALL_ID CSEQ "To: <sip:a@b>;tag\r\n" END, "Malformed To"},
      {START VIA FROM TO CSEQ "Call-ID: a b\r\n" END, "Malformed Call-ID"},
      {START VIA FROM TO CSEQ "Call-ID: a@b@c\r\n" END, "Malformed Call-ID"},
      {START VIA FROM TO CSEQ "Call-ID: @b\r\n" END, "Malformed Call-ID"},
      {START VIA FROM TO CSEQ "Call-ID:\r\n" END, "Malformed Call-ID"},
      {START VIA FROM TO CALL_ID "CSeq: LOCSER\r\n" END, "Malformed CSeq"},
      {START VIA FROM TO CALL_ID "CSeq: 1\r\n" END, "Malformed CSeq"},
      {START VIA FROM TO CALL_ID "CSeq: -1 LOCSER\r\n" END, "Malformed CSeq"},
      {START VIA FROM TO CALL_ID "CSeq: 1 LOCSER x\r\n" END, "Malformed CSeq"},
      {START VIA FROM TO CALL_ID "CSeq: 1 INVITE\r\n" END, "CSeq Method Is Not The Request Method"},
      {START VIA FROM TO CALL_ID "CSeq: 1 locser\r\n" END, "CSeq Method Is Not The Request Method"},
      {START VIA FROM TO CALL_ID "CSeq: 4294967296 LOCSER\r\n" END, "CSeq Number Too Large"},
      {HEAD "Max-Forwards: x\r\n" END, "Malformed Max-Forwards"},
      {HEAD "Max-Forwards:\r\n" END, "Malformed Max-Forwards"},
      {HEAD "Max-Forwards: 256\r\n" END, "Max-Forwards Over 255"},
      {HEAD "Content-Length: -1\r\n\r\n", "Malformed Content-Length"},
      {HEAD "Content-Length: 1 1\r\n\r\n", "Malformed Content-Length"},
      {HEAD "Content-Length: 0x1\r\n\r\n", "Malformed Content-Length"},
      {HEAD "No colon\r\n" END, "Malformed Header Name"},
      {HEAD ": x\r\n" END, "Malformed Header Name"},
      {HEAD "A(b): x\r\n" END, "Malformed Header Name"},
      {START " Folded: x\r\n" VIA FROM TO CALL_ID CSEQ END, "Malformed Header Name"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_refused(cases[i][0], SIP_STREAM, 400, cases[i][1]);
  assert_int_equal(
      parse(slice_cstr(START VIA FROM TO CALL_ID "CSeq: 4294967295 LOCSER\r\n" END), SIP_STREAM),
      OK);
  assert_int_equal(m.cseq, 4294967295u);
}

#define REST VIA FROM TO CALL_ID CSEQ END

static void a_malformed_start_line_is_named(void **state) {
  (void)state;
  static const struct {
    const char *text;
    uint16_t status;
    const char *reason;
  } cases[] = {
      {"LOCSER\r\n" REST, 400, "Malformed Request-Line"},
      {"LOCSER sip:a@b\r\n" REST, 400, "Malformed Request-Line"},
      {"LOCSER SIP/2.0\r\n" REST, 400, "Malformed Request-Line"},
      {" LOCSER sip:a@b SIP/2.0\r\n" REST, 400, "Malformed Request-Line"},
      {"LOC(SER sip:a@b SIP/2.0\r\n" REST, 400, "Malformed Method"},
      {"LOCSER\tsip:a@b SIP/2.0\r\n" REST, 400, "Malformed Method"},
      {"LOCSER  sip:a@b SIP/2.0\r\n" REST, 400, "Extra White Space in Request-Line"},
      {"LOCSER sip:a@b  SIP/2.0\r\n" REST, 400, "Extra White Space in Request-Line"},
      {"LOCSER sip:a@b SIP/2.0 \r\n" REST, 400, "Extra White Space in Request-Line"},
      {"LOCSER sip:a@b; lr SIP/2.0\r\n" REST, 400, "White Space in Request-URI"},
      {"LOCSER <sip:a@b> SIP/2.0\r\n" REST, 400, "Malformed Request-URI"},
      {"LOCSER sip:a@b?x=y SIP/2.0\r\n" REST, 400, "Headers in Request-URI"},
      {"LOCSER sip:a@b SIP/3.0\r\n" REST, 505, "SIP Version Not Supported"},
      {"LOCSER sip:a@b SIP/2.00\r\n" REST, 505, "SIP Version Not Supported"},
      {"LOCSER sip:a@b SIP/x\r\n" REST, 400, "Malformed SIP Version"},
      {"LOCSER sip:a@b HTTP/1.1\r\n" REST, 400, "Malformed SIP Version"},
      {"LOCSER sip:a@b SIP/2.0\n" REST, 0, "Line Does Not End In CR LF"},
      {"SIP/2.0 2000 OK\r\n" REST, 0, "Malformed Status-Code"},
      {"SIP/2.0 20 OK\r\n" REST, 0, "Malformed Status-Code"},
      {"SIP/2.0 099 OK\r\n" REST, 0, "Malformed Status-Code"},
      {"SIP/2.0 700 OK\r\n" REST, 0, "Malformed Status-Code"},
      {"SIP/2.0 200OK\r\n" REST, 0, "Malformed Status-Code"},
      {"SIP/2.0\r\n" REST, 0, "Malformed Status-Code"},
      {"SIP/3.0 200 OK\r\n" REST, 0, "SIP Version Not Supported"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_refused(cases[i].text, SIP_STREAM, cases[i].status, cases[i].reason);
  assert_int_equal(parse(slice_cstr("LOCSER x:y sip/2.0\r\n" REST), SIP_STREAM), OK);
  assert_int_equal(parse(slice_cstr("SIP/2.0 200\r\n" REST), SIP_STREAM), OK);
  assert_int_equal(m.reason.len, 0);
}

static void line_ends_are_cr_lf(void **state) {
  (void)state;
  assert_refused(START VIA "From: <sip:a@b>\n", SIP_DATAGRAM, 400, "Line Does Not End In CR LF");
  assert_refused(HEAD "X: a\rb\r\n" END, SIP_DATAGRAM, 400, "Line Does Not End In CR LF");
  assert_refused(HEAD "X: a\n b\r\n" END, SIP_DATAGRAM, 400, "Line Does Not End In CR LF");
  assert_refused(HEAD "X: a\r\n", SIP_DATAGRAM, 400, "Missing Empty Line After Headers");
  assert_refused(HEAD "X: a", SIP_DATAGRAM, 400, "Missing Empty Line After Headers");
  assert_int_equal(parse(slice_cstr("\r\n\r\n" HEAD END), SIP_DATAGRAM), OK);
  assert_ptr_equal(m.bytes.at, m.start_line.at);
}

/* Nothing that is not clearly a request with a Via draws an answer. */
static void noise_is_dropped(void **state) {
  (void)state;
  static const char *const noise[] = {"", "\r\n", "\r\n\r\n", "x", "\x16\x03\x01", "\r", "\n"};
  for (size_t i = 0; i < sizeof noise / sizeof *noise; i++) {
    assert_int_equal(parse(slice_cstr(noise[i]), SIP_DATAGRAM), ERR_SYNTAX);
    assert_true(problem.status == 0 || m.via.host.len == 0);
  }
  assert_int_equal(parse(SLICE_EMPTY, SIP_DATAGRAM), ERR_SYNTAX);
  assert_int_equal(problem.status, 0);
}

static void an_ack_is_never_answered(void **state) {
  (void)state;
  assert_refused("ACK sip:a@b SIP/2.0\r\n" VIA FROM TO CALL_ID "CSeq: 1 INVITE\r\n" END,
                 SIP_DATAGRAM, 0, "CSeq Method Is Not The Request Method");
}

static void the_body_is_as_long_as_it_says(void **state) {
  (void)state;
  const char *five = HEAD "Content-Length: 5\r\n\r\nbody";
  assert_refused(five, SIP_DATAGRAM, 400, "Body Shorter Than Content-Length");
  assert_refused(five, SIP_STREAM, 400, "Body Shorter Than Content-Length");
  assert_int_equal(parse(slice_cstr(HEAD "Content-Length: 3\r\n\r\nbody"), SIP_DATAGRAM), OK);
  assert_text(m.body, "bod");
  assert_memory_equal(m.bytes.at + m.bytes.len, "y", 1);
  assert_int_equal(parse(slice_cstr(HEAD "\r\nbody"), SIP_DATAGRAM), OK);
  assert_text(m.body, "body");
  /* Any length that is too large, even for a number. */
  assert_refused(HEAD "Content-Length: 99999999999999999999999\r\n\r\n", SIP_DATAGRAM, 400,
                 "Body Shorter Than Content-Length");
  assert_refused(HEAD "Content-Length: 65536\r\n\r\n", SIP_STREAM, 413, "Message Too Large");
}

static struct slice with_headers(unsigned count, const char *line) {
  struct buf b = buf_over(bytes, sizeof bytes);
  buf_put_cstr(&b, HEAD);
  for (unsigned i = 6; i < count; i++) buf_put_cstr(&b, line);
  buf_put_cstr(&b, END);
  assert_false(b.overflow);
  return buf_slice(&b);
}

static void there_are_at_most_160_headers(void **state) {
  (void)state;
  assert_int_equal(parse(with_headers(SIP_HEADERS_MAX, "X: y\r\n"), SIP_STREAM), OK);
  assert_int_equal(m.header_count, SIP_HEADERS_MAX);
  assert_int_equal(parse(with_headers(SIP_HEADERS_MAX + 1, "X: y\r\n"), SIP_STREAM), ERR_LIMIT);
  assert_int_equal(problem.status, 413);
  assert_string_equal(problem.reason, "Too Many Headers");
  assert_true(m.via.host.len > 0);
}

static void a_message_is_at_most_65535_bytes(void **state) {
  (void)state;
  struct buf b = buf_over(bytes, sizeof bytes);
  buf_put_cstr(&b, HEAD "\r\n");
  size_t fill = SIP_MESSAGE_BYTES_MAX - b.len;
  memset(bytes + b.len, 'x', fill + 1);
  assert_int_equal(parse(slice_of(bytes, SIP_MESSAGE_BYTES_MAX), SIP_DATAGRAM), OK);
  assert_int_equal(m.body.len, fill);
  assert_int_equal(parse(slice_of(bytes, SIP_MESSAGE_BYTES_MAX + 1), SIP_DATAGRAM), ERR_LIMIT);
  assert_int_equal(problem.status, 413);
}

/* A name of 65543 letters has the low bits of the length of a known one. */
static void a_very_long_name_is_unknown(void **state) {
  (void)state;
  struct buf b = buf_over(bytes, sizeof bytes);
  buf_put_cstr(&b, HEAD);
  buf_put_cstr(&b, "Expires");
  memset(bytes + b.len, 's', 65536);
  b.len += 65536;
  buf_put_cstr(&b, ": 1\r\n" END);
  assert_int_equal(parse(buf_slice(&b), SIP_DATAGRAM), ERR_LIMIT);
  assert_null(sip_header_first(&m, SIP_H_EXPIRES));
}

/* Whatever is cut off, the parser says so and does not look further. */
static void every_prefix_is_refused(void **state) {
  (void)state;
  static const char text[] = HEAD "Subject: a\r\n b\r\nContent-Length: 4\r\n\r\nbody";
  for (size_t len = 0; len < sizeof text - 1; len++) {
    char *copy = bytes + sizeof bytes - len; /* at the end of its object */
    memcpy(copy, text, len);
    if (parse(slice_of(copy, len), SIP_STREAM) == OK) fail_msg("accepted: %zu bytes", len);
    assert_non_null(problem.reason);
  }
}

static void assert_moved(struct slice got, struct slice want) {
  assert_ptr_equal(got.at, want.at);
  assert_int_equal(got.len, want.len);
}

static void assert_same_via(const struct sip_via *a, const struct sip_via *b) {
  assert_moved(a->text, b->text);
  assert_moved(a->transport, b->transport);
  assert_moved(a->host, b->host);
  assert_moved(a->branch, b->branch);
  assert_moved(a->received, b->received);
  assert_moved(a->rport, b->rport);
  assert_moved(a->params, b->params);
  assert_int_equal(a->port, b->port);
}

static void assert_same_message(const struct sip_message *a, const struct sip_message *b) {
  assert_moved(a->bytes, b->bytes);
  assert_moved(a->method_text, b->method_text);
  assert_moved(a->uri_text, b->uri_text);
  assert_moved(a->reason, b->reason);
  assert_moved(a->start_line, b->start_line);
  assert_moved(a->headers, b->headers);
  assert_moved(a->body, b->body);
  assert_moved(a->cseq_method, b->cseq_method);
  assert_moved(a->call_id, b->call_id);
  assert_moved(a->from_tag, b->from_tag);
  assert_moved(a->to_tag, b->to_tag);
  assert_same_via(&a->via, &b->via);
  assert_true(a->request == b->request && a->method == b->method && a->status == b->status);
  assert_true(a->cseq == b->cseq && a->max_forwards == b->max_forwards);
  assert_memory_equal(a->first, b->first, sizeof a->first);
  assert_int_equal(a->header_count, b->header_count);
  for (unsigned i = 0; i < a->header_count; i++) {
    assert_int_equal(a->header[i].id, b->header[i].id);
    assert_moved(a->header[i].name, b->header[i].name);
    assert_moved(a->header[i].value, b->header[i].value);
    assert_moved(a->header[i].line, b->header[i].line);
  }
}

static void a_moved_message_is_as_if_parsed_there(void **state) {
  (void)state;
  static const char *const texts[] = {
      HEAD END,
      "\r\n" HEAD
      "Max-Forwards: 69\r\nVia: SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bKy;"
      "received=192.0.2.9\r\nX-Odd :  a \t b  \r\nSubject: a\r\n b\r\nRoute: <sip:a;lr>,\r\n "
      "<sip:b>"
      "\r\nSupported:\r\nContent-Length: 4\r\n\r\nbody and more",
      "SIP/2.0 200\r\n" VIA FROM "t: <sip:b@c>;tag=t1\r\ni: x\r\nCSeq:1\r\n\tINVITE\r\nl:0\r\n\r\n",
  };
  static struct sip_message moved, other;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    assert_int_equal(parse(slice_cstr(texts[i]), SIP_DATAGRAM), OK);
    memcpy(bytes, m.bytes.at, m.bytes.len);
    memset(&moved, 0xa5, sizeof moved);
    sip_message_move(&moved, &m, bytes);
    enum err err = sip_message_parse(slice_of(bytes, m.bytes.len), SIP_DATAGRAM, &other, &problem);
    assert_int_equal(err, OK);
    assert_same_message(&moved, &other);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_moved_message_is_as_if_parsed_there),
      cmocka_unit_test(a_request_is_read_on_the_way),
      cmocka_unit_test(a_response_is_read_on_the_way),
      cmocka_unit_test(header_lines_are_the_bytes_received),
      cmocka_unit_test(a_missing_header_is_named),
      cmocka_unit_test(a_second_header_is_named),
      cmocka_unit_test(a_malformed_header_is_named),
      cmocka_unit_test(a_malformed_start_line_is_named),
      cmocka_unit_test(line_ends_are_cr_lf),
      cmocka_unit_test(noise_is_dropped),
      cmocka_unit_test(an_ack_is_never_answered),
      cmocka_unit_test(the_body_is_as_long_as_it_says),
      cmocka_unit_test(there_are_at_most_160_headers),
      cmocka_unit_test(a_message_is_at_most_65535_bytes),
      cmocka_unit_test(a_very_long_name_is_unknown),
      cmocka_unit_test(every_prefix_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
