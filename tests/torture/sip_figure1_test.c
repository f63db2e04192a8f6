/* SPDX-License-Identifier: BSD-2-Clause */
/* Figure 1 of the seed draft as printed, and its corrected twin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sip/print.h"

#ifndef SOURCE_DIR
#define SOURCE_DIR "."
#endif

static char bytes[4096];
static struct sip_message m;
static struct sip_problem problem;

static struct slice load(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail_msg("there is no %s", path);
  size_t len = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  return slice_of(bytes, len);
}

static void as_printed_the_via_is_wrong(void **state) {
  (void)state;
  struct slice text = load(SOURCE_DIR "/tests/torture/figure1.txt");
  assert_int_equal(sip_message_parse(text, SIP_DATAGRAM, &m, &problem), ERR_SYNTAX);
  assert_int_equal(problem.status, 400);
  assert_string_equal(problem.reason, "Malformed Via Sent-By");
}

/* The 400 can be made from what was understood, and says where the request came from. */
static void the_400_can_be_answered(void **state) {
  (void)state;
  char answer[1024];
  struct buf out = buf_over(answer, sizeof answer);
  struct endpoint source = {
      .addr = {127, 0, 0, 1}, .port = 5099, .family = 4, .transport = TRANSPORT_UDP};
  struct slice text = load(SOURCE_DIR "/tests/torture/figure1.txt");
  assert_int_equal(sip_message_parse(text, SIP_DATAGRAM, &m, &problem), ERR_SYNTAX);
  assert_true(m.via.host.len > 0);
  sip_put_response_head(&out, &m, problem.status, problem.reason, SLICE("t1"), &source);
  sip_put_body(&out, "text/plain", SLICE_EMPTY);
  buf_put_char(&out, '\0');
  assert_false(out.overflow);
  assert_string_equal(answer,
                      "SIP/2.0 400 Malformed Via Sent-By\r\n"
                      "Via: SIP/2.0/UDP sip:alice@100.101.102.103;branch=y9gG4bL376csuhks"
                      ";received=127.0.0.1\r\n"
                      "From: Alice <sip:alice@atlanta.example.com>;tag=2948351372\r\n"
                      "To: Bob <sip:bob@biloxi.example.com>;tag=t1\r\n"
                      "Call-ID: 12345601@atlanta.example.com\r\n"
                      "CSeq: 1 LOCSER\r\n"
                      "Content-Length: 0\r\n\r\n");
}

static void the_corrected_twin_is_read(void **state) {
  (void)state;
  struct slice text = load(SOURCE_DIR "/tests/torture/figure1-corrected.txt");
  for (enum sip_carrier carrier = SIP_DATAGRAM; carrier <= SIP_STREAM; carrier++) {
    assert_int_equal(sip_message_parse(text, carrier, &m, &problem), OK);
    assert_int_equal(m.method, SIP_LOCSER);
    assert_int_equal(m.bytes.len, text.len);
    const struct sip_header *key = sip_header_first(&m, SIP_H_OVERLAY_KEY);
    assert_non_null(key);
    assert_true(slice_equal(key->value, SLICE("125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A9")));
    assert_int_equal(m.max_forwards, 70);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(as_printed_the_via_is_wrong),
      cmocka_unit_test(the_400_can_be_answered),
      cmocka_unit_test(the_corrected_twin_is_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
