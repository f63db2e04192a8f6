/* SPDX-License-Identifier: BSD-2-Clause */
/* Two stories of a small ring as their traces, compared line by line with tests/golden/NAME.trace.
 * A change of behaviour shows here as a change of text, to be judged by reading it. Write the files
 * anew with
 *   LOCSER_GOLDEN=write build-asan/tests/node_trace_test
 * and look at the difference before it is committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/world.h"

#ifndef SOURCE_DIR
#define SOURCE_DIR "."
#endif

static struct net net;
static char got[1 << 18];
static struct buf text;
static usec began_at;

static void put_number(usec n, unsigned digits) {
  char digit[24];
  unsigned len = 0;
  for (; n > 0 || len < digits; n /= 10) digit[len++] = (char)('0' + n % 10);
  while (len > 0) buf_put_char(&text, digit[--len]);
}

static void put_field(const char *name, struct slice value) {
  if (value.len == 0) return;
  buf_put_char(&text, ' ');
  buf_put_cstr(&text, name);
  buf_put_char(&text, '=');
  buf_put(&text, value);
}

/* Call-IDs are random and stay out: field b is shown where it is something else. */
static void note(struct net *w, uint32_t node, const struct trace *trace) {
  usec since = trace->at - began_at;
  (void)w;
  put_number(since / 1000, 5);
  buf_put_char(&text, '.');
  put_number(since % 1000, 3);
  buf_put_cstr(&text, " peer");
  put_number(node, 1);
  buf_put_char(&text, ' ');
  buf_put_cstr(&text, trace_name(trace->kind));
  if (!key_is_zero(&trace->key)) {
    buf_put_cstr(&text, " key=");
    buf_put_hex(&text, trace->key.byte, 4);
  }
  if (trace->peer.family != 0) {
    buf_put_char(&text, ' ');
    endpoint_put(&text, &trace->peer);
  }
  if (trace->status != 0) {
    buf_put_char(&text, ' ');
    put_number(trace->status, 3);
  }
  if (trace->n != 0) {
    buf_put_cstr(&text, " n=");
    put_number(trace->n, 1);
  }
  put_field("a", trace->a);
  if (trace->kind == TRACE_RECORD_PUT) put_field("b", trace->b);
  buf_put_char(&text, '\n');
}

static void say(const char *line) {
  buf_put_cstr(&text, "# ");
  buf_put_cstr(&text, line);
  buf_put_char(&text, '\n');
  began_at = net.now;
  net.on_trace = note;
}

static void compare(const char *name) {
  static char want[sizeof got];
  char path[4096];
  snprintf(path, sizeof path, "%s/tests/golden/%s.trace", SOURCE_DIR, name);
  assert_false(text.overflow);
  const char *what = getenv("LOCSER_GOLDEN");
  if (what != NULL && strcmp(what, "write") == 0) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text.at, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
    return;
  }
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail_msg("there is no %s", path);
  size_t len = fread(want, 1, sizeof want, file);
  fclose(file);
  struct slice a = buf_slice(&text), b = slice_of(want, len);
  for (unsigned line = 1; a.len > 0 || b.len > 0; line++) {
    struct slice left = slice_first(a, slice_find_byte(a, '\n'));
    struct slice right = slice_first(b, slice_find_byte(b, '\n'));
    if (!slice_equal(left, right)) {
      fail_msg("%s line %u:\n  is     %.*s\n  wanted %.*s", path, line, SLICE_FMT(left),
               SLICE_FMT(right));
    }
    a = slice_skip(a, left.len + 1);
    b = slice_skip(b, right.len + 1);
  }
}

/* Peers at 10.., 60.., B0.., and nothing random in how long a message takes. */
static void ring_of_three(void) {
  static const struct key ids[] = {{{0x10}}, {{0x60}}, {{0xb0}}};
  net_open(&net, 3);
  text = buf_over(got, sizeof got);
  net.latency_min_us = net.latency_max_us = MSEC(10);
  for (unsigned i = 0; i < 3; i++) net_add(&net, &ids[i], i == 0 ? NET_NONE : 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(60)));
  net_run_for(&net, SEC(30));
}

static void test_put_and_get(void **state) {
  (void)state;
  ring_of_three();
  say("peer 0 puts a contact");
  assert_int_equal(net_put(&net, 0, "sip:bob@example.net", "sip:bob@192.0.2.4")->code, 200);
  net.on_trace = NULL;
  net_run_for(&net, SEC(1));
  say("peer 1 asks for it");
  assert_true(net_has_contact(net_get(&net, 1, "sip:bob@example.net"), "sip:bob@192.0.2.4"));
  compare("put_and_get");
  assert_true(net_close(&net));
}

static void test_a_fourth_joins(void **state) {
  (void)state;
  static const struct key between = {{0x40}};
  static const char *const users[] = {"sip:a@example.net", "sip:b@example.net", "sip:c@example.net",
                                      "sip:d@example.net"};
  ring_of_three();
  for (unsigned i = 0; i < 4; i++) {
    assert_int_equal(net_put(&net, i % 3, users[i], "sip:x@192.0.2.4")->code, 200);
  }
  say("a fourth peer joins between the first and the second, and takes over its range");
  net_add(&net, &between, 0);
  assert_true(net_run_while(&net, net_is_ready, MSEC(10), SEC(60)));
  net.on_trace = NULL;
  for (unsigned i = 0; i < 4; i++) {
    assert_true(net_has_contact(net_get(&net, 3, users[i]), "sip:x@192.0.2.4"));
  }
  compare("a_fourth_joins");
  assert_true(net_close(&net));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_put_and_get),
      cmocka_unit_test(test_a_fourth_joins),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
