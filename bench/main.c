/* SPDX-License-Identifier: BSD-2-Clause */
/* locser-bench [NAME...]: runs the named benchmarks, or all. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"

static const struct {
  const char *name;
  int (*run)(void);
  const char *what;
} benchmarks[] = {
    {"parse", bench_parse, "parsing a LOCSER request of 832 bytes; 1.00 is this parser"},
    {"core", bench_core, "CPU of the core alone for the same requests, no sockets"},
    {"wire", bench_wire,
     "CPU of the server for requests of 832 bytes on loopback, 512 under way, checks on"},
};
#define BENCHMARKS (sizeof benchmarks / sizeof *benchmarks)

static bool is_asked(const char *name, int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], name) == 0) return true;
  return argc == 1;
}

static bool exists(const char *name) {
  for (size_t i = 0; i < BENCHMARKS; i++)
    if (strcmp(benchmarks[i].name, name) == 0) return true;
  return false;
}

static int usage(const char *wrong) {
  fprintf(stderr, "locser-bench: there is no benchmark %s; there are:\n", wrong);
  for (size_t i = 0; i < BENCHMARKS; i++)
    fprintf(stderr, "  %-10s %s\n", benchmarks[i].name, benchmarks[i].what);
  return 2;
}

int main(int argc, char **argv) {
  int failed = 0;
  for (int i = 1; i < argc; i++)
    if (!exists(argv[i])) return usage(argv[i]);
  for (size_t i = 0; i < BENCHMARKS; i++) {
    if (!is_asked(benchmarks[i].name, argc, argv)) continue;
    printf("%s: %s\n", benchmarks[i].name, benchmarks[i].what);
    failed |= benchmarks[i].run();
    fflush(stdout);
  }
  return failed;
}
