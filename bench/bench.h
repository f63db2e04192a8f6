/* SPDX-License-Identifier: BSD-2-Clause */
/* The harness of locser-bench. A benchmark measures things side by side in one run and prints
 * their times and ratios; nothing is asserted about time, so that a slow machine fails nothing. To
 * add one: write it, declare it here, and give it a line in the table of main.c. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdint.h>

/* Returns 0, or 1 if it could not run (the reason is printed). */
int bench_parse(void);
int bench_core(void);
int bench_wire(void);
int bench_journal(void);
int bench_memory(void);
int bench_sign(void);
int bench_phones(void);
int bench_presence(void);
int bench_messages(void);

/* CPU time of this process, in nanoseconds. */
uint64_t bench_cpu_ns(void);

/* Of at most BENCH_VALUES_MAX values; they stay as they are. */
#define BENCH_VALUES_MAX 64u
double bench_median(const double *values, unsigned count);

/* One thing to measure. run does it `times` times. */
struct bench_case {
  const char *name;
  void (*run)(void *context, unsigned times);
  void *context;
  double best_ns; /* out: the shortest time of one, over all rounds */
};
/* Runs all cases in turn, `rounds` times, so that a disturbance does not hit only one of them. */
void bench_run(struct bench_case *cases, unsigned count, unsigned rounds, unsigned times);
/* One line for each case: its time, and how many times that of the first it is. */
void bench_print(const struct bench_case *cases, unsigned count);

#endif
