/* SPDX-License-Identifier: BSD-2-Clause */
/* Typed answers and trace events as the JSON that host/control.h promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <cmocka.h>

#include "host/reply_json.h"

static void expect(json_t *value, const char *text) {
  char *got = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
  assert_string_equal(got, text);
  free(got);
  json_decref(value);
}

static struct endpoint at(const char *text) {
  struct endpoint e;
  assert_true(endpoint_parse(slice_cstr(text), TRANSPORT_TCP, 5060, &e));
  return e;
}

#define ID "0000000000000000000000000000000000000007"
static const struct key id = {.byte = {[19] = 7}};

static void status_is_an_object(void **state) {
  (void)state;
  const struct node_row row[] = {
      {.text = SLICE("peer"), .key = id, .has_key = true},
      {.text = SLICE("address"), .at = at("192.0.2.1:5060")},
      {.text = SLICE("state"), .text2 = SLICE("member")},
      {.text = SLICE("zero"), .has_number = true},
      {.text = SLICE("many"), .has_number = true, .n = UINT64_MAX},
  };
  expect(reply_to_json(&(struct node_reply){COMMAND_STATUS, 200, SLICE_EMPTY, 5, row}),
         "{\"peer\":\"" ID
         "\",\"address\":\"192.0.2.1:5060\",\"state\":\"member\",\"zero\":0,"
         "\"many\":9223372036854775807}");
}

static void rows_are_an_array(void **state) {
  (void)state;
  const struct node_row hop = {.key = id, .at = at("[2001:db8::1]:5060"), .n = 1500, .n2 = 2};
  expect(reply_to_json(&(struct node_reply){COMMAND_LOOKUP, 200, SLICE_EMPTY, 1, &hop}),
         "[{\"hop\":2,\"peer\":\"" ID "\",\"address\":\"[2001:db8::1]:5060\",\"us\":1500}]");
  const struct node_row self = {.text = SLICE("self"), .key = id, .at = at("192.0.2.1:1")};
  expect(reply_to_json(&(struct node_reply){COMMAND_RING, 200, SLICE_EMPTY, 1, &self}),
         "[{\"role\":\"self\",\"peer\":\"" ID "\",\"address\":\"192.0.2.1:1\"}]");
  const struct node_row contact = {
      .text = SLICE("sip:b@c"), .text2 = SLICE("<sip:p;lr>"), .n = 5000, .n2 = 500};
  expect(reply_to_json(&(struct node_reply){COMMAND_GET, 200, SLICE_EMPTY, 1, &contact}),
         "[{\"contact\":\"sip:b@c\",\"path\":\"<sip:p;lr>\",\"expires\":5000,\"q\":0.5}]");
  expect(reply_to_json(&(struct node_reply){.kind = COMMAND_RECORDS, .code = 200}), "[]");
}

static void writes_say_how_many(void **state) {
  (void)state;
  const struct node_row three = {.n = 3};
  expect(reply_to_json(&(struct node_reply){COMMAND_PUT, 200, SLICE_EMPTY, 1, &three}),
         "{\"copies\":3}");
  expect(reply_to_json(&(struct node_reply){COMMAND_REMOVE, 200, SLICE_EMPTY, 1, &three}),
         "{\"removed\":3}");
  expect(reply_to_json(&(struct node_reply){.kind = COMMAND_LEAVE, .code = 200}), "true");
}

static void traces_leave_out_what_they_lack(void **state) {
  (void)state;
  struct trace trace = {.kind = TRACE_RING_LEFT, .at = 1000};
  expect(trace_to_json(&trace, 500), "{\"name\":\"ring.left\",\"time\":1500}");
  trace = (struct trace){.kind = TRACE_LOCSER_ANSWER,
                         .at = 1,
                         .key = id,
                         .peer = at("192.0.2.1:5060"),
                         .status = 200,
                         .n = 42,
                         .a = SLICE("get"),
                         .b = SLICE("call-id")};
  expect(trace_to_json(&trace, 0),
         "{\"name\":\"locser.answer\",\"time\":1,\"key\":\"" ID
         "\",\"peer\":\"192.0.2.1:5060\","
         "\"transport\":\"tcp\",\"status\":200,\"n\":42,\"a\":\"get\",\"b\":\"call-id\"}");
}

/* Strangers' bytes need not be UTF-8; JSON must be. */
static void bytes_of_strangers_become_text(void **state) {
  (void)state;
  expect(text_to_json(SLICE("a\xff\"b\n")), "\"a?\\\"b\\n\"");
  expect(text_to_json(SLICE("\xc3\xa4")), "\"\xc3\xa4\"");
  expect(text_to_json(SLICE_EMPTY), "\"\"");
  struct slice zero = {"a\0b", 3};
  expect(text_to_json(zero), "\"a\\u0000b\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(status_is_an_object),
      cmocka_unit_test(rows_are_an_array),
      cmocka_unit_test(writes_say_how_many),
      cmocka_unit_test(traces_leave_out_what_they_lack),
      cmocka_unit_test(bytes_of_strangers_become_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
