/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulator's figures: what a message is for, hops, rates, and the totals of many
 * runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/figures.h"
#include "sim/report.h"

static struct world world;
static struct figures figures;

static void begin(void) {
  memset(&world, 0, sizeof world);
  world.now = SEC(100);
  world.up_count = 10;
  world.peers_max = 10;
  figures_open(&figures, &world);
}

static void arrive(const char *text) {
  struct event *event = event_new(EVENT_MESSAGE, slice_cstr(text));
  figures_on_event(&figures, event);
  free(event);
}

#define REQUEST(call, forwards, method)                                    \
  "LOCSER sip:a@b SIP/2.0\r\nCall-ID: " call "\r\nMax-Forwards: " forwards \
  "\r\n\r\n<methodCall>"                                                   \
  "<methodName>" method "</methodName></methodCall>"
#define ANSWER(call) "SIP/2.0 200 OK\r\nCall-ID: " call "\r\n\r\n<methodResponse/>"

static void test_an_answer_counts_where_its_request_does(void **state) {
  (void)state;
  begin();
  arrive(REQUEST("1", "70", "overlay.neighbors"));
  arrive(REQUEST("2", "70", "overlay.replicate"));
  arrive(REQUEST("3", "70", "get"));
  arrive(REQUEST("4", "70", "overlay.sync"));
  const struct figure_traffic *traffic = &figures.traffic[PHASE_BUILD];
  assert_int_equal(traffic->messages[FIGURE_RING], 1);
  assert_int_equal(traffic->messages[FIGURE_COPIES], 2);
  assert_int_equal(traffic->messages[FIGURE_CLIENTS], 1);
  arrive(ANSWER("3"));
  arrive(ANSWER("2"));
  arrive(ANSWER("9")); /* of a request that was not seen */
  assert_int_equal(traffic->messages[FIGURE_RING], 2);
  assert_int_equal(traffic->messages[FIGURE_COPIES], 3);
  assert_int_equal(traffic->messages[FIGURE_CLIENTS], 2);
  assert_int_equal(traffic->bytes[FIGURE_CLIENTS],
                   strlen(REQUEST("3", "70", "get")) + strlen(ANSWER("3")));
  figures_pass(&figures, PHASE_PUT);
  arrive(ANSWER("3"));
  assert_int_equal(traffic->messages[FIGURE_CLIENTS], 2);
  assert_int_equal(figures_bytes(&figures, FIGURE_CLIENTS),
                   strlen(REQUEST("3", "70", "get")) + 2 * strlen(ANSWER("3")));
  figures_close(&figures);
}

/* A request that arrives and is executed in the same step. */
static void take_hops(const char *text, const char *method) {
  arrive(text);
  world.steps++;
  figures_on_trace(&figures,
                   &(struct trace){.kind = TRACE_LOCSER_DELIVER, .a = slice_cstr(method)});
}

static void test_hops(void **state) {
  (void)state;
  begin();
  assert_int_equal(figures_hops_mean(&figures), 0);
  take_hops(REQUEST("1", "70", "get"), "get");
  take_hops(REQUEST("2", "69", "get"), "get");
  take_hops(REQUEST("3", "64", "get"), "get");
  take_hops(REQUEST("4", "64", "overlay.route"), "overlay.route"); /* no client's */
  assert_int_equal(figures.hops[1], 1);
  assert_int_equal(figures.hops[2], 1);
  assert_int_equal(figures.hops[7], 1);
  assert_int_equal(figures_hops_mean(&figures), 3333);
  assert_int_equal(figures_hops_of(&figures, 1), 1);
  assert_int_equal(figures_hops_of(&figures, 333), 1);
  assert_int_equal(figures_hops_of(&figures, 334), 2);
  assert_int_equal(figures_hops_of(&figures, 667), 7);
  assert_int_equal(figures_hops_of(&figures, 1000), 7);
  assert_int_equal(figures.calls[FIGURE_CLIENTS], 3);
  assert_int_equal(figures.calls[FIGURE_RING], 1);
  figures_close(&figures);
}

static void test_percentiles_of_many(void **state) {
  (void)state;
  begin();
  for (unsigned i = 1; i <= 70; i++) figures.hops[i] = 10;
  assert_int_equal(figures_hops_mean(&figures), 35500);
  assert_int_equal(figures_hops_of(&figures, 500), 35);
  assert_int_equal(figures_hops_of(&figures, 990), 70);
  assert_int_equal(figures_hops_of(&figures, 14), 1);
  assert_int_equal(figures_hops_of(&figures, 15), 2);
  figures_close(&figures);
}

static void test_rates(void **state) {
  (void)state;
  begin();
  world.now += SEC(20);
  figures_pass(&figures, PHASE_FAULTS);
  world.up_count = 5;
  world.now += SEC(10);
  figures_pass(&figures, PHASE_HEAL);
  assert_int_equal(figures.span[PHASE_BUILD], SEC(20));
  assert_int_equal(figures.peer_ms[PHASE_BUILD], 200000);
  assert_int_equal(figures_rate(&figures, PHASE_BUILD, 4000), 20);
  assert_int_equal(figures_rate(&figures, PHASE_FAULTS, 4000), 80);
  assert_int_equal(figures_rate(&figures, PHASE_REST, 4000), 0); /* nobody was there */
  figures_close(&figures);
}

/* Many runs in one: least, mean and greatest of each figure, and how many failed. */
static void test_totals_of_runs(void **state) {
  (void)state;
  static struct sim_result result;
  struct report_totals totals = {0};
  const uint64_t largest[] = {900, 300, 600, 201};
  for (unsigned i = 0; i < 4; i++) {
    result = (struct sim_result){.message_max = largest[i]};
    if (i == 2) snprintf(result.failure, sizeof result.failure, "a rule is broken");
    report_add(&totals, &result);
  }
  char text[4096] = "";
  FILE *out = fmemopen(text, sizeof text, "w");
  assert_non_null(out);
  report_totals(out, &totals);
  fclose(out);
  assert_non_null(strstr(text, "4 runs, 1 failed\n"));
  assert_int_equal(totals.runs, 4);
  bool found = false;
  for (unsigned i = 0; i < 10; i++) {
    if (totals.of[i].greatest != 900) continue;
    found = true;
    assert_int_equal(totals.of[i].least, 201);
    assert_int_equal(totals.of[i].sum, 2001);
  }
  assert_true(found);
  assert_non_null(strstr(text, " 201          500          900\n"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_an_answer_counts_where_its_request_does),
      cmocka_unit_test(test_hops),
      cmocka_unit_test(test_percentiles_of_many),
      cmocka_unit_test(test_rates),
      cmocka_unit_test(test_totals_of_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
