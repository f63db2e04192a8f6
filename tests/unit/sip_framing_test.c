/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams cut into messages (RFC 3261 18.3, RFC 5626 3.5.1, R-1.29, R-7.26): what is found, and
 * that it does not depend on how the bytes were cut: every two pieces, byte by byte, and seeded
 * cuts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "sip/framing.h"
#include "sip/message.h"

#define FRAMES_MAX 32

struct frames {
  struct {
    enum sip_frame_kind kind;
    size_t from, len;
  } frame[FRAMES_MAX];
  unsigned count;
  size_t used; /* bytes dropped from the front when the stream ended */
};

static char stream_bytes[200000];

/* Takes all frames that are whole in the first `end` bytes. False: bad, the stream is over. */
static bool take(struct slice stream, size_t end, size_t *start, size_t *scanned,
                 struct frames *out) {
  for (;;) {
    struct sip_frame f = sip_frame_next(slice_of(stream.at + *start, end - *start), scanned);
    if (f.kind != SIP_FRAME_MORE) {
      assert_true(out->count < FRAMES_MAX);
      out->frame[out->count].kind = f.kind;
      out->frame[out->count].from = *start + f.skip;
      out->frame[out->count++].len = f.len;
    }
    if (f.kind == SIP_FRAME_BAD) return false;
    *start += f.used;
    out->used = *start;
    if (f.kind == SIP_FRAME_MORE) return true;
    assert_int_equal(*scanned, 0);
  }
}

/* The stream arrives in pieces that end at `cut` and at the end. */
static struct frames cut_once(struct slice stream, size_t cut) {
  struct frames out = {0};
  size_t start = 0, scanned = 0;
  if (take(stream, cut, &start, &scanned, &out)) take(stream, stream.len, &start, &scanned, &out);
  return out;
}

static struct frames cut_randomly(struct slice stream, struct rng *rng, size_t piece_max) {
  struct frames out = {0};
  size_t start = 0, scanned = 0, end = 0;
  while (end < stream.len) {
    size_t piece = (size_t)rng_between(rng, 1, piece_max);
    end = stream.len - end < piece ? stream.len : end + piece;
    if (!take(stream, end, &start, &scanned, &out)) break;
  }
  return out;
}

static void assert_same(const struct frames *a, const struct frames *b) {
  assert_int_equal(a->count, b->count);
  assert_int_equal(a->used, b->used);
  for (unsigned i = 0; i < a->count; i++) {
    assert_int_equal(a->frame[i].kind, b->frame[i].kind);
    assert_int_equal(a->frame[i].from, b->frame[i].from);
    assert_int_equal(a->frame[i].len, b->frame[i].len);
  }
}

/* The frames of the whole stream, having checked that no cut changes them. */
static struct frames frames_of(struct slice stream) {
  const uint8_t seed[16] = {7};
  struct rng rng;
  rng_init(&rng, seed);
  struct frames whole = cut_once(stream, stream.len), other;
  for (size_t cut = 0; cut < stream.len; cut++) {
    other = cut_once(stream, cut);
    assert_same(&whole, &other);
  }
  for (unsigned round = 0; round < 200; round++) {
    other = cut_randomly(stream, &rng, 1 + round);
    assert_same(&whole, &other);
  }
  return whole;
}

static void assert_frame(const struct frames *f, unsigned index, enum sip_frame_kind kind,
                         size_t from, size_t len) {
  assert_true(index < f->count);
  assert_int_equal(f->frame[index].kind, kind);
  assert_int_equal(f->frame[index].from, from);
  assert_int_equal(f->frame[index].len, len);
}

#define ONE "X sip:a SIP/2.0\r\nl:\t3 \r\n\r\nabc"
#define TWO "Y sip:a SIP/2.0\r\nA: b\r\n  Content-Length: 9\r\nContent-Length :\r\n 2\r\n\r\n\r\n"
#define THREE "SIP/2.0 200 OK\r\nCONTENT-LENGTH: 0\r\nLx: 5\r\n\r\n"

static void messages_follow_each_other(void **state) {
  (void)state;
  struct frames f = frames_of(SLICE(ONE TWO THREE ONE));
  size_t one = strlen(ONE), two = strlen(TWO), three = strlen(THREE);
  assert_int_equal(f.count, 4);
  assert_frame(&f, 0, SIP_FRAME_MESSAGE, 0, one);
  assert_frame(&f, 1, SIP_FRAME_MESSAGE, one, two);
  assert_frame(&f, 2, SIP_FRAME_MESSAGE, one + two, three);
  assert_frame(&f, 3, SIP_FRAME_MESSAGE, one + two + three, one);
  assert_int_equal(f.used, 2 * one + two + three);
}

static void line_ends_between_messages_are_pings_in_pairs(void **state) {
  (void)state;
  struct frames f = frames_of(SLICE("\r\n\r\n" ONE "\r\n" ONE "\r\n\r\n\r\n" ONE "\r\n\r\n\r\n"));
  size_t one = strlen(ONE);
  assert_int_equal(f.count, 6);
  assert_frame(&f, 0, SIP_FRAME_PING, 0, 0);
  assert_frame(&f, 1, SIP_FRAME_MESSAGE, 4, one);
  assert_frame(&f, 2, SIP_FRAME_MESSAGE, 6 + one, one);
  assert_frame(&f, 3, SIP_FRAME_PING, 6 + 2 * one, 0);
  assert_frame(&f, 4, SIP_FRAME_MESSAGE, 12 + 2 * one, one);
  assert_frame(&f, 5, SIP_FRAME_PING, 12 + 3 * one, 0);
}

static void what_is_not_whole_waits(void **state) {
  (void)state;
  struct frames f = frames_of(SLICE("X sip:a SIP/2.0\r\nl: 4\r\n\r\nabc"));
  assert_int_equal(f.count, 0);
  assert_int_equal(f.used, 0);
  f = frames_of(SLICE("\r\nX sip:a"));
  assert_int_equal(f.count, 0);
  assert_int_equal(f.used, 2);
  f = frames_of(SLICE("\r\n"));
  assert_int_equal(f.count + f.used, 0);
}

/* The head of a bad message is given, so that it can be answered. */
static void a_lying_length_is_bad(void **state) {
  (void)state;
  static const char *const heads[] = {
      "X sip:a SIP/2.0\r\nA: b\r\n\r\n",
      "X sip:a SIP/2.0\r\nl: 1\r\nl: 1\r\n\r\n",
      "X sip:a SIP/2.0\r\nl: -1\r\n\r\n",
      "X sip:a SIP/2.0\r\nl:\r\n\r\n",
      "X sip:a SIP/2.0\r\nl: 1 1\r\n\r\n",
      "X sip:a SIP/2.0\r\nl 1\r\n\r\n",
      "X sip:a SIP/2.0\r\nl: 65535\r\n\r\n",
      "X sip:a SIP/2.0\r\n\r\n",
      "X sip:a SIP/2.0\r\nl: 18446744073709551617\r\n\r\n",
  };
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    char text[256];
    size_t len = strlen(heads[i]);
    snprintf(text, sizeof text, "%sabc", heads[i]);
    struct frames f = frames_of(slice_of(text, len + 3));
    assert_int_equal(f.count, 1);
    assert_frame(&f, 0, SIP_FRAME_BAD, 0, len);
  }
}

static void what_is_not_sip_is_bad_at_once(void **state) {
  (void)state;
  struct frames f = frames_of(SLICE("\x16\x03\x01\x02"));
  assert_int_equal(f.count, 1);
  assert_frame(&f, 0, SIP_FRAME_BAD, 0, 0);
  f = frames_of(SLICE("\r\n<html>"));
  assert_frame(&f, 0, SIP_FRAME_BAD, 2, 0);
  f = frames_of(SLICE("\rX"));
  assert_frame(&f, 0, SIP_FRAME_BAD, 0, 0);
  f = frames_of(SLICE("X sip:a SIP/2.0\nl: 0\n\n"));
  assert_frame(&f, 0, SIP_FRAME_BAD, 0, 16);
  f = frames_of(SLICE("X sip:a SIP/2.0\r\nl: 0\rm: 1\r\n"));
  assert_frame(&f, 0, SIP_FRAME_BAD, 0, 22);
}

/* A message whose head has `head` bytes and whose body has `body`. */
static struct slice sized(size_t head, size_t body) {
  struct buf b = buf_over(stream_bytes, sizeof stream_bytes);
  buf_put_cstr(&b, "X sip:a SIP/2.0\r\nl: ");
  buf_put_u64(&b, body);
  buf_put_cstr(&b, "\r\nA: ");
  assert_true(b.len + 4 <= head);
  while (b.len < head - 4) buf_put_char(&b, 'x');
  buf_put_cstr(&b, "\r\n\r\n");
  while (b.len < head + body) buf_put_char(&b, '\n');
  assert_false(b.overflow);
  return buf_slice(&b);
}

static void limits_hold_at_the_byte(void **state) {
  (void)state;
  struct slice s = sized(SIP_HEAD_BYTES_MAX, 3);
  struct frames f = cut_once(s, 17);
  assert_frame(&f, 0, SIP_FRAME_MESSAGE, 0, s.len);
  f = cut_once(sized(SIP_HEAD_BYTES_MAX + 1, 3), 17);
  assert_frame(&f, 0, SIP_FRAME_BAD, 0, SIP_HEAD_BYTES_MAX);
  f = cut_once(slice_first(sized(SIP_HEAD_BYTES_MAX + 1, 3), SIP_HEAD_BYTES_MAX), 17);
  assert_frame(&f, 0, SIP_FRAME_BAD, 0, SIP_HEAD_BYTES_MAX);
  s = sized(100, SIP_MESSAGE_BYTES_MAX - 100);
  f = cut_once(s, 17);
  assert_frame(&f, 0, SIP_FRAME_MESSAGE, 0, SIP_MESSAGE_BYTES_MAX);
  f = cut_once(sized(100, SIP_MESSAGE_BYTES_MAX - 99), 17);
  assert_frame(&f, 0, SIP_FRAME_BAD, 0, 100);
}

/* A head that arrives byte by byte is not read again from its start each time. */
static void scanned_moves_on(void **state) {
  (void)state;
  struct slice s = SLICE("X sip:a SIP/2.0\r\nA: b\r\nC: d");
  size_t scanned = 0;
  assert_int_equal(sip_frame_next(s, &scanned).kind, SIP_FRAME_MORE);
  assert_int_equal(scanned, slice_find(s, SLICE("C:")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_follow_each_other),
      cmocka_unit_test(line_ends_between_messages_are_pings_in_pairs),
      cmocka_unit_test(what_is_not_whole_waits),
      cmocka_unit_test(a_lying_length_is_bad),
      cmocka_unit_test(what_is_not_sip_is_bad_at_once),
      cmocka_unit_test(limits_hold_at_the_byte),
      cmocka_unit_test(scanned_moves_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
