/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t bench_cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double time_once(const struct bench_case *c, unsigned times) {
  uint64_t start = bench_cpu_ns();
  c->run(c->context, times);
  return (double)(bench_cpu_ns() - start) / times;
}

void bench_run(struct bench_case *cases, unsigned count, unsigned rounds, unsigned times) {
  for (unsigned i = 0; i < count; i++) cases[i].best_ns = time_once(&cases[i], times);
  for (unsigned round = 1; round < rounds; round++) {
    for (unsigned i = 0; i < count; i++) {
      double ns = time_once(&cases[i], times);
      if (ns < cases[i].best_ns) cases[i].best_ns = ns;
    }
  }
}

void bench_print(const struct bench_case *cases, unsigned count) {
  for (unsigned i = 0; i < count; i++)
    printf("  %-36s %9.0f ns  %6.2f\n", cases[i].name, cases[i].best_ns,
           cases[i].best_ns / cases[0].best_ns);
}

static int by_value(const void *a, const void *b) {
  const double *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

double bench_median(const double *values, unsigned count) {
  double sorted[BENCH_VALUES_MAX];
  if (count > BENCH_VALUES_MAX) abort();
  memcpy(sorted, values, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, by_value);
  return sorted[count / 2];
}
