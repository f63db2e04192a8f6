/* SPDX-License-Identifier: BSD-2-Clause */
/* put-auth with the journal on: each is answered once it is durable (SQLite, WAL,
 * synchronous=FULL), which one fsync does for a group. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/load.h"

static uint64_t first;

static size_t make_put(struct load *load, uint64_t number, char *out, size_t cap) {
  char text[64];
  struct key key = load_key(first + number, text, sizeof text);
  return request_make_put(out, cap, &load->client_at, slice_cstr(text), &key, bench_wall(),
                          first + number, false);
}

static bool run(struct load *load, const struct server *server, uint64_t count, uint32_t window) {
  uint64_t groups = server_number(server, "journal_groups");
  uint64_t cpu = server_cpu_ns(server);
  usec begin = bench_now();
  uint64_t good = load_each(load, server, count, window, make_put);
  double seconds = (double)(bench_now() - begin) / 1e6;
  double cpu_us = (double)(server_cpu_ns(server) - cpu) / 1e3 / (double)count;
  groups = server_number(server, "journal_groups") - groups;
  printf("  %3u under way: %7.0f puts/s, %6.1f us of CPU each, %5.1f puts in a group\n", window,
         (double)good / seconds, cpu_us, (double)good / (double)(groups > 0 ? groups : 1));
  first += count;
  return good == count;
}

int bench_journal(void) {
  struct server server = {0};
  struct load *load = malloc(sizeof *load);
  if (load == NULL || !load_open(load)) return 1;
  load_pin();
  bool good = server_start_peer(&server, "udp") && run(load, &server, 200, 1) &&
              run(load, &server, 6000, 32) && run(load, &server, 20000, 512);
  if (!good) printf("  not every put was answered 200\n");
  server_stop(&server);
  load_close(load);
  free(load);
  return !good;
}
