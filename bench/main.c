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
    {"core", bench_core, "the core alone, no sockets: CPU for the requests of `wire`"},
    {"wire", bench_wire,
     "CPU of the server for one request of 832 bytes and its answer; loopback, 512 under way;\n"
     "  all checks of a message on, records signed, no digest, tracing off"},
    {"phones", bench_phones,
     "phones at one peer without passwords, and at Kamailio (one worker, -x fm) in the same run;\n"
     "  UDP, Record-Route; locserd: an overlay of this one peer, journal on, records signed"},
    {"presence", bench_presence,
     "from PUBLISH at one peer to NOTIFY at another, two locserds with TLS between them; and what\n"
     "  a subscription costs a peer"},
    {"messages", bench_messages,
     "messages for people who are away, at one peer alone: signed, sealed, stored; and opened,\n"
     "  verified, delivered and removed"},
    {"journal", bench_journal,
     "put-auth with the journal on: answered when durable (SQLite, WAL, synchronous=FULL,\n"
     "  one fsync for a group), one copy, each signed and verified"},
    {"sign", bench_sign,
     "a signed put at the storing peer, its store excluded; 1.00 is xmlsec's own verify"},
    {"memory", bench_memory, "an idle peer, and what each thing costs that a peer remembers"},
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
