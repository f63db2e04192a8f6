/* SPDX-License-Identifier: BSD-2-Clause */
/* STUN Binding: RFC 8489, with the samples of RFC 5769. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sip/stun.h"

static const char head[] = "\x00\x01\x00\x00\x21\x12\xa4\x42transaction1";

static struct endpoint from4(void) {
  struct endpoint e = {0};
  assert_true(endpoint_parse(SLICE("192.0.2.1:32853"), TRANSPORT_UDP, 0, &e));
  return e;
}

static struct endpoint from6(void) {
  struct endpoint e = {0};
  assert_true(
      endpoint_parse(SLICE("[2001:db8:1234:5678:11:2233:4455:6677]:32853"), TRANSPORT_UDP, 0, &e));
  return e;
}

/* A request with these attributes. */
static struct slice request(const char *attributes, size_t len) {
  static char bytes[2048];
  memcpy(bytes, head, 20);
  memcpy(bytes + 20, attributes, len);
  bytes[2] = (char)(unsigned char)(len >> 8);
  bytes[3] = (char)(unsigned char)len;
  return slice_of(bytes, 20 + len);
}

static struct slice answer(struct slice asked, struct endpoint from, enum stun_result result) {
  static char memory[STUN_ANSWER_BYTES_MAX];
  struct buf out = buf_over(memory, sizeof memory);
  assert_int_equal(stun_put_answer(&out, asked, &from), result);
  assert_false(out.overflow);
  return buf_slice(&out);
}

static void says_where_from(void **state) {
  (void)state;
  /* The address of RFC 5769 2.2: 0xa147 and 0xe112a643 after the XOR. */
  struct slice got = answer(request("", 0), from4(), STUN_BOUND);
  assert_int_equal(got.len, 32);
  assert_memory_equal(got.at, "\x01\x01\x00\x0c", 4);
  assert_memory_equal(got.at + 4, head + 4, 16);
  assert_memory_equal(got.at + 20, "\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43", 12);
  got = answer(request("", 0), from6(), STUN_BOUND);
  assert_int_equal(got.len, 44);
  assert_memory_equal(got.at + 20, "\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa", 12);
}

/* The request of RFC 5769 2.1, cut down to what is before its MESSAGE-INTEGRITY, would lose its
 * FINGERPRINT; a whole one made here is answered with one, and a wrong one is not STUN. */
static void minds_fingerprints(void **state) {
  (void)state;
  /* CRC-32 of the 20 bytes of this head (length 8) is what Python's zlib.crc32 says. */
  char bytes[28];
  memcpy(bytes, head, 20);
  bytes[3] = 8;
  memcpy(bytes + 20, "\x80\x28\x00\x04\xbb\x05\x05\x69", 8);
  struct slice got = answer(slice_of(bytes, 28), from4(), STUN_BOUND);
  assert_int_equal(got.len, 40);
  assert_memory_equal(got.at + 32, "\x80\x28\x00\x04", 4);
  assert_int_equal((unsigned char)got.at[3], 20);
  bytes[27] ^= 1;
  answer(slice_of(bytes, 28), from4(), STUN_NOTHING);
}

/* RFC 5769 2.1: a request of an ICE agent. PRIORITY and ICE-CONTROLLED; PRIORITY must be
 * understood, and is not: who sends checks of connectivity here is refused. */
static void refuses_the_sample_of_ice(void **state) {
  (void)state;
  static const char sample[] =
      "\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"
      "\x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff"
      "\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36"
      "\x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20"
      "\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49"
      "\xc1\xb5\x71\xa2\x80\x28\x00\x04\xe5\x7a\x3b\xcf";
  struct slice got = answer(slice_of(sample, sizeof sample - 1), from4(), STUN_REFUSED);
  assert_memory_equal(got.at, "\x01\x11", 2);
  assert_memory_equal(got.at + 20, "\x00\x09\x00\x04\x00\x00\x04\x14", 8);
  assert_memory_equal(got.at + 28, "\x00\x0a\x00\x02\x00\x24\x00\x00", 8);
  assert_memory_equal(got.at + 36, "\x80\x28\x00\x04", 4);
}

static void drops_what_is_none(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t len;
  } rows[] = {
      {"", 0},
      {head, 19},
      {"\x00\x01\x00\x00\x21\x12\xa4\x43transaction1", 20}, /* no magic cookie */
      {"\x00\x11\x00\x00\x21\x12\xa4\x42transaction1", 20}, /* an indication */
      {"\x01\x01\x00\x00\x21\x12\xa4\x42transaction1", 20}, /* an answer */
      {"\x00\x03\x00\x00\x21\x12\xa4\x42transaction1", 20}, /* Allocate */
      {"\x40\x01\x00\x00\x21\x12\xa4\x42transaction1", 20}, /* first bits */
      {"\x00\x01\x00\x04\x21\x12\xa4\x42transaction1", 20}, /* too short */
      {"\x00\x01\x00\x00\x21\x12\xa4\x42transaction1\x80\x22\x00\x00", 24},
      {"\x00\x01\x00\x03\x21\x12\xa4\x42transaction1abc", 23},
      {"\x00\x01\x00\x04\x21\x12\xa4\x42transaction1\x80\x22\x00\x04", 24},
      {"\x00\x01\x00\x04\x21\x12\xa4\x42transaction1\x80\x28\x00\x00", 24},
      {"OPTIONS sip:192.0.2.1 SIP/2.0\r\n\r\n", 33},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    answer(slice_of(rows[i].bytes, rows[i].len), from4(), STUN_NOTHING);
  assert_false(stun_is(SLICE("\r\n\r\nOPTIONS sip:192.0.2.1 SIP/2.0\r\n\r\n")));
}

/* whatever is asked, the answer is at most 2.2 times as large. */
static void is_no_amplifier(void **state) {
  (void)state;
  static char unknown[400];
  unsigned worst = 0;
  for (size_t count = 0; count <= 100; count++) {
    for (size_t i = 0; i < count; i++) memcpy(unknown + 4 * i, "\x00\x03\x00\x00", 4);
    struct slice asked = request(unknown, 4 * count);
    struct slice got = answer(asked, from6(), count == 0 ? STUN_BOUND : STUN_REFUSED);
    unsigned ratio = (unsigned)(got.len * 100 / asked.len);
    if (ratio > worst) worst = ratio;
  }
  print_message("STUN: at most %u.%02u bytes of answer to one of a request\n", worst / 100,
                worst % 100);
  assert_int_equal(worst, 220);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(says_where_from),           cmocka_unit_test(minds_fingerprints),
      cmocka_unit_test(refuses_the_sample_of_ice), cmocka_unit_test(drops_what_is_none),
      cmocka_unit_test(is_no_amplifier),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
