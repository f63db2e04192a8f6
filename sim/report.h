/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs told to people (a summary, a line of progress) and to programs (comma-separated values). */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include <stdio.h>

#include "sim/run.h"

#define N(x) ((unsigned long long)(x))

void report_result(FILE *out, const struct sim_options *options, const struct sim_result *result);
/* One row a run, and the row of names above them. */
void report_csv_names(FILE *out);
void report_csv(FILE *out, const struct sim_options *options, const struct sim_result *result);

/* Many runs: least, mean, greatest. */
struct report_totals {
  uint64_t runs, failed;
  struct report_spread {
    uint64_t least, sum, greatest;
  } of[10];
};
void report_add(struct report_totals *totals, const struct sim_result *result);
void report_totals(FILE *out, const struct report_totals *totals);

/* One line, written over and over on a terminal; elsewhere a line now and then. */
struct report_progress {
  FILE *out;
  bool terminal, line_is_open;
  uint64_t seeds, seeds_done;
  uint64_t began_us, told_us; /* by the clock of the machine */
  uint64_t events_told;
};
void report_progress(struct report_progress *report, uint64_t now_us,
                     const struct sim_progress *progress);
/* Whatever comes next is not written over it. */
void report_progress_end(struct report_progress *report);

/* A row for each virtual second. */
struct report_series {
  FILE *out;
  struct figure_traffic before;
  uint64_t seed;
};
void report_series_names(FILE *out);
void report_series(struct report_series *series, const struct sim_progress *progress);

#endif
