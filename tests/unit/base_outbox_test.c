/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/outbox.h"

static struct output items[OUTBOX_STEP_ITEMS + 1];
static _Alignas(max_align_t) char bytes[OUTBOX_STEP_BYTES + 64];

static void test_step(void **state) {
  (void)state;
  struct outbox box;
  outbox_init(&box, items, OUTBOX_STEP_ITEMS + 1, bytes, sizeof bytes);
  assert_true(outbox_ready(&box));
  struct output *out = outbox_add(&box, OUT_SEND);
  assert_int_equal(out->kind, OUT_SEND);
  assert_int_equal(out->flow, 0);
  out->flow = 4;
  out->data = outbox_copy(&box, SLICE("hello"));
  assert_true(slice_equal(out->data, SLICE("hello")));
  assert_true(outbox_ready(&box));
  uint64_t *number = outbox_take(&box, sizeof *number);
  assert_int_equal((uintptr_t)number % _Alignof(max_align_t), 0);
  assert_true(*number == 0);
  assert_true(slice_equal(out->data, SLICE("hello")));
  size_t mark = outbox_mark(&box);
  buf_put_u64(&box.bytes, 42);
  assert_true(slice_equal(outbox_text(&box, mark), SLICE("42")));
  size_t before = outbox_mark(&box);
  assert_ptr_equal(outbox_keep(&box, slice_skip(out->data, 1)).at, out->data.at + 1);
  assert_int_equal(outbox_mark(&box), before);
  assert_ptr_equal(outbox_keep(&box, SLICE("far")).at, bytes + before);
  (void)outbox_add(&box, OUT_CLOSE);
  assert_false(outbox_ready(&box));
  assert_true(outbox_has(&box, OUTBOX_STEP_ITEMS - 1, 100));
  assert_false(outbox_has(&box, OUTBOX_STEP_ITEMS, 100));
  assert_false(outbox_has(&box, 1, sizeof bytes));
  outbox_reset(&box);
  assert_int_equal(box.count, 0);
  assert_int_equal(outbox_add(&box, OUT_TRACE)->flow, 0); /* cleared again */
}

static void test_trace(void **state) {
  (void)state;
  struct outbox box;
  outbox_init(&box, items, OUTBOX_STEP_ITEMS, bytes, sizeof bytes);
  char a[] = "INVITE";
  struct trace trace = {.kind = TRACE_SIP_IN, .status = 5, .a = slice_cstr(a)};
  outbox_trace(&box, &trace);
  assert_int_equal(box.count, 0);
  box.trace_mask = (uint64_t)1 << TRACE_SIP_IN;
  outbox_trace(&box, &trace);
  assert_int_equal(box.count, 1);
  a[0] = '#';
  assert_true(slice_equal(box.item[0].trace.a, SLICE("INVITE")));
  assert_int_equal(box.item[0].trace.status, 5);
  trace.kind = TRACE_SIP_OUT;
  outbox_trace(&box, &trace);
  assert_int_equal(box.count, 1);
}

static void test_names(void **state) {
  (void)state;
  assert_true(TRACE_KIND_COUNT <= 64); /* outbox.trace_mask has a bit for each */
  for (unsigned i = 0; i < TRACE_KIND_COUNT; i++) {
    assert_string_not_equal(trace_name((enum trace_kind)i), "unknown");
    assert_true(trace_level((enum trace_kind)i) <= TRACE_DEBUG);
    for (unsigned j = 0; j < i; j++)
      assert_string_not_equal(trace_name((enum trace_kind)i), trace_name((enum trace_kind)j));
  }
  assert_string_equal(trace_name(TRACE_KIND_COUNT), "unknown");
  assert_int_equal(trace_level(TRACE_STORE_FAILED), TRACE_ERROR);
  for (int i = OK; i <= ERR_CORRUPT; i++)
    for (int j = OK; j < i; j++)
      assert_string_not_equal(err_text((enum err)i), err_text((enum err)j));
  assert_string_equal(err_text((enum err)9999), "unknown error");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_step),
      cmocka_unit_test(test_trace),
      cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
