/* SPDX-License-Identifier: BSD-2-Clause */
/* The log: one line for each event, levels, and limits that a flood from the network meets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "host/log.h"

static usec now_us;
static usec test_clock(void) { return now_us; }

struct world {
  struct log log;
  char *text;
  size_t len;
  FILE *file;
};

static int setup(void **state) {
  struct world *w = calloc(1, sizeof *w);
  *state = w;
  w->file = open_memstream(&w->text, &w->len);
  log_init(&w->log, w->file, TRACE_INFO);
  w->log.clock = test_clock;
  now_us = SEC(1000);
  return w->file == NULL;
}

static int teardown(void **state) {
  struct world *w = *state;
  fclose(w->file);
  free(w->text);
  free(w);
  return 0;
}

static unsigned lines(struct world *w) {
  unsigned count = 0;
  fflush(w->file);
  for (const char *at = w->text; (at = strchr(at, '\n')) != NULL; at++) count++;
  return count;
}

static void levels_choose(void **state) {
  struct world *w = *state;
  log_line(&w->log, TRACE_DEBUG, "no");
  log_often(&w->log, LOG_JOURNAL, TRACE_DEBUG, "no");
  log_trace(&w->log, &(struct trace){.kind = TRACE_SIP_IN});
  assert_int_equal(lines(w), 0);
  log_line(&w->log, TRACE_INFO, "yes %d", 7);
  log_trace(&w->log, &(struct trace){.kind = TRACE_RING_LEFT});
  assert_int_equal(lines(w), 2);
  assert_non_null(strstr(w->text, "info    yes 7\n"));
  assert_non_null(strstr(w->text, "info    ring.left\n"));
}

static void masks_follow_levels(void **state) {
  (void)state;
  uint64_t error = log_trace_mask(TRACE_ERROR), debug = log_trace_mask(TRACE_DEBUG);
  assert_true(error >> TRACE_STORE_FAILED & 1);
  assert_false(error >> TRACE_SIP_IN & 1);
  assert_true(debug == (UINT64_C(1) << TRACE_KIND_COUNT) - 1);
}

static void a_flood_is_cut_and_counted(void **state) {
  struct world *w = *state;
  for (int i = 0; i < 100000; i++) log_often(&w->log, LOG_CONNECTION, TRACE_WARNING, "flood");
  assert_int_equal(lines(w), LOG_BURST);
  log_often(&w->log, LOG_JOURNAL, TRACE_WARNING, "another kind is heard");
  assert_int_equal(lines(w), LOG_BURST + 1);
  now_us += LOG_REFILL_US;
  log_often(&w->log, LOG_CONNECTION, TRACE_WARNING, "flood");
  assert_int_equal(lines(w), LOG_BURST + 2);
  char said[64];
  snprintf(said, sizeof said, "(%u more like this were left out)", 100000 - LOG_BURST);
  assert_non_null(strstr(w->text, said));
  log_often(&w->log, LOG_CONNECTION, TRACE_WARNING, "flood");
  assert_int_equal(lines(w), LOG_BURST + 2);
}

/* what attacks cause is told once a minute, each kind by itself. */
static void an_attack_is_told_once_a_minute(void **state) {
  struct world *w = *state;
  const struct trace refused = {.kind = TRACE_NOT_ALLOWED, .a = SLICE("sip:bob@example.net")};
  for (unsigned minute = 0; minute < 3; minute++) {
    for (int i = 0; i < 1000; i++) {
      log_often(&w->log, LOG_REFUSED, TRACE_WARNING, "forged");
      log_often(&w->log, LOG_TLS, TRACE_INFO, "not let in");
      log_often(&w->log, LOG_AWAY, TRACE_WARNING, "turned away");
      log_trace(&w->log, &refused);
    }
    assert_int_equal(lines(w), 4 * (minute + 1));
    now_us += LOG_RARE_US;
  }
  assert_non_null(strstr(w->text, "forged (999 more like this were left out)"));
}

static void traces_of_strangers_are_cut_too(void **state) {
  struct world *w = *state;
  log_init(&w->log, w->file, TRACE_DEBUG);
  w->log.clock = test_clock;
  struct trace bad = {.kind = TRACE_SIP_BAD, .a = SLICE("x")};
  for (int i = 0; i < 100000; i++) log_trace(&w->log, &bad);
  assert_int_equal(lines(w), LOG_BURST_DEBUG);
}

static void a_quiet_time_never_saves_up_more_than_a_burst(void **state) {
  struct world *w = *state;
  now_us += SEC(1000000);
  for (int i = 0; i < 1000; i++) log_often(&w->log, LOG_CONTROL, TRACE_WARNING, "x");
  assert_int_equal(lines(w), LOG_BURST);
}

/* What a stranger wrote cannot begin a line of its own or hide in control characters. */
static void fields_stay_on_their_line(void **state) {
  struct world *w = *state;
  char long_text[4000];
  memset(long_text, 'y', sizeof long_text);
  struct trace trace = {.kind = TRACE_REGISTERED,
                        .a = SLICE("a\n2026 error forged\x1b[2J"),
                        .b = slice_of(long_text, sizeof long_text),
                        .n = 60};
  log_trace(&w->log, &trace);
  assert_int_equal(lines(w), 1);
  assert_null(strchr(w->text, '\x1b'));
  assert_non_null(strstr(w->text, "phone.registered n=60 a=a_2026_error_forged_[2J b=yyy"));
  assert_true(w->len < 1000);
}

static void level_names_are_read_back(void **state) {
  (void)state;
  enum trace_level level;
  for (unsigned i = TRACE_ERROR; i <= TRACE_DEBUG; i++) {
    assert_true(log_level_parse(slice_cstr(log_level_name((enum trace_level)i)), &level));
    assert_int_equal(level, i);
  }
  assert_false(log_level_parse(SLICE("loud"), &level));
  assert_false(log_level_parse(SLICE_EMPTY, &level));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(levels_choose),
      TEST(masks_follow_levels),
      TEST(a_flood_is_cut_and_counted),
      TEST(an_attack_is_told_once_a_minute),
      TEST(traces_of_strangers_are_cut_too),
      TEST(a_quiet_time_never_saves_up_more_than_a_burst),
      TEST(fields_stay_on_their_line),
      TEST(level_names_are_read_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
