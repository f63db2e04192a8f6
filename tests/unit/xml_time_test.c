/* SPDX-License-Identifier: BSD-2-Clause */
/* dates. The expected numbers come from GNU date. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "xml/body.h"

static const struct {
  const char *text;
  msec_wall time;
} vectors[] = {
    {"1970-01-01T00:00:00.000Z", 0},
    {"2000-02-29T23:59:59.999Z", 951868799999},
    {"2006-12-31T18:00:00.000Z", 1167588000000},
    {"2026-05-01T12:00:00.000Z", 1777636800000},
    {"2100-02-28T00:00:00.001Z", 4107456000001},
    {"2100-03-01T00:00:00.000Z", 4107542400000},
    {"9999-12-31T23:59:59.999Z", 253402300799999},
};

static void test_vectors(void **state) {
  (void)state;
  for (unsigned i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    char text[32];
    struct buf out = buf_over(text, sizeof text);
    msec_wall time = 1;
    assert_true(xml_time_parse(slice_cstr(vectors[i].text), &time));
    assert_true(time == vectors[i].time);
    xml_put_time(&out, time);
    assert_true(slice_equal(buf_slice(&out), slice_cstr(vectors[i].text)));
  }
}

static void test_forms(void **state) {
  msec_wall time;
  (void)state;
  assert_true(xml_time_parse(SLICE("1970-01-01T00:00:01Z"), &time) && time == 1000);
  assert_true(xml_time_parse(SLICE("1970-01-01T00:00:01.5Z"), &time) && time == 1500);
  assert_true(xml_time_parse(SLICE("1970-01-01T00:00:01.05Z"), &time) && time == 1050);
  static const char *const bad[] = {
      "",
      "1970-01-01",
      "1970-01-01T00:00:00",
      "1970-01-01 00:00:00Z",
      "1970-01-01T00:00:00z",
      "1969-12-31T23:59:59Z",
      "1970-00-01T00:00:00Z",
      "1970-13-01T00:00:00Z",
      "1970-01-00T00:00:00Z",
      "1970-04-31T00:00:00Z",
      "1900-02-29T00:00:00Z",
      "2100-02-29T00:00:00Z",
      "1970-01-01T24:00:00Z",
      "1970-01-01T00:60:00Z",
      "1970-01-01T00:00:60Z",
      "1970-01-01T00:00:00.Z",
      "1970-01-01T00:00:00.0000Z",
      "1970-01-01T00:00:00.x0Z",
      "1970-01-01T00:00:00+00:00",
      "1970-01-01T00:00:00ZZ",
      "+970-01-01T00:00:00Z",
      " 1970-01-01T00:00:00Z",
  };
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
    if (xml_time_parse(slice_cstr(bad[i]), &time)) fail_msg("\"%s\" was taken", bad[i]);
}

/* Every day for 400 years, and what lies beyond the last year. */
static void test_every_day(void **state) {
  (void)state;
  for (msec_wall day = 0; day < 146097 + 400; day++) {
    char text[32];
    struct buf out = buf_over(text, sizeof text);
    msec_wall back = 0, time = day * 86400000 + day % 86400000;
    xml_put_time(&out, time);
    assert_true(xml_time_parse(buf_slice(&out), &back));
    assert_true(back == time);
  }
  char text[32];
  struct buf out = buf_over(text, sizeof text);
  xml_put_time(&out, UINT64_MAX);
  assert_true(slice_equal(buf_slice(&out), SLICE("9999-12-31T23:59:59.999Z")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_forms),
      cmocka_unit_test(test_every_day),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
