/* SPDX-License-Identifier: BSD-2-Clause */
/* What an idle peer costs its machine, and what each thing costs that a peer remembers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/message.h"
#include "bench/peer.h"
#include "bench/server.h"
#include "locser/hops.h"

#define IDLE_KIB_MAX 8192u
#define SETTLE_US 1500000
#define THINGS 3000u

/* ---- an idle peer ---- */

static bool read_rollup(pid_t pid, unsigned long *private_kib, unsigned long *rss_kib) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) return false;
  *private_kib = *rss_kib = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    unsigned long kib;
    if (sscanf(line, "Private_Clean: %lu", &kib) == 1 ||
        sscanf(line, "Private_Dirty: %lu", &kib) == 1)
      *private_kib += kib;
    if (sscanf(line, "Rss: %lu", &kib) == 1) *rss_kib = kib;
  }
  fclose(file);
  return true;
}

static int print_idle(void) {
  struct server server;
  char path[4096];
  unsigned long private_kib = 0, rss_kib = 0;
  if (!server_find_program(path, sizeof path)) {
    printf("  idle locserd: there is none beside this program\n");
    return 1;
  }
  bool good = server_start_program(&server, path, NULL);
  usleep(SETTLE_US);
  good = good && read_rollup(server.pid, &private_kib, &rss_kib);
  server_stop(&server);
  bool missed = !good || private_kib >= IDLE_KIB_MAX;
  printf("  idle locserd: %lu KiB private, %lu KiB resident (wanted: private below %u KiB)%s\n",
         private_kib, rss_kib, IDLE_KIB_MAX, missed ? "  FAILED" : "");
  return missed;
}

/* ---- things remembered ---- */

static unsigned answered;

static void count_answer(void *context, const struct output *output) {
  (void)context;
  answered += slice_starts(output->data, SLICE("SIP/2.0 200"));
}

static size_t write_register(char *out, size_t cap, uint64_t n) {
  return (size_t)snprintf(
      out, cap,
      "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5063;branch=z9hG4bKr%07llu;"
      "rport\r\nMax-Forwards: 70\r\nFrom: <sip:p%07llu@example.com>;tag=r\r\n"
      "To: <sip:p%07llu@example.com>\r\nCall-ID: r%07llu\r\nCSeq: 1 REGISTER\r\n"
      "Contact: <sip:p@127.0.0.1:5063>;expires=3600\r\nContent-Length: 0\r\n\r\n",
      (unsigned long long)n, (unsigned long long)n, (unsigned long long)n, (unsigned long long)n);
}

/* Bytes that one more of them takes. */
static double cost(struct bench_peer *peer, const struct endpoint *client, bool of_record) {
  char bytes[4096], text[64];
  size_t before = peer->memory.bytes;
  answered = 0;
  for (uint64_t n = 0; n < THINGS; n++) {
    struct key key = load_key(n, text, sizeof text);
    size_t len = of_record ? request_make_put(bytes, sizeof bytes, client, slice_cstr(text), &key,
                                              bench_wall(), n, false)
                           : write_register(bytes, sizeof bytes, n);
    struct input input = {.kind = IN_MESSAGE, .peer = *client, .data = slice_of(bytes, len)};
    bench_peer_step(peer, &input);
    bench_peer_tick(peer);
  }
  return answered < THINGS ? 0 : (double)(peer->memory.bytes - before) / THINGS;
}

static int print_things(void) {
  const struct endpoint at = {.addr = {127, 0, 0, 1}, .port = 5061, .family = 4};
  const struct endpoint client = {.addr = {127, 0, 0, 1}, .port = 5063, .family = 4};
  const struct key id = {{1}};
  struct bench_peer peer;
  printf("  request being forwarded: %zu bytes, and %zu more until the next hop took it over\n",
         sizeof(struct hop), sizeof(struct hop_copy) + HOP_SHORT_BYTES);
  if (!bench_peer_start(&peer, &id, &at, NULL, count_answer, NULL)) return 1;
  size_t empty = peer.memory.bytes;
  double record = cost(&peer, &client, true);
  double bytes = (double)node_stats(peer.node).record_bytes / THINGS;
  printf("  peer that holds nothing: %zu bytes, its XML reader included\n", empty);
  printf("  record stored: %.0f bytes, %.0f of them its text\n", record, bytes);
  double binding = cost(&peer, &client, false);
  printf(
      "  phone registered: %.0f bytes, its record in the overlay and the transaction, kept for "
      "32 s, included\n",
      binding);
  bench_peer_stop(&peer);
  if (record > 0 && binding > 0) return 0;
  printf("  not every request was answered 200\n");
  return 1;
}

int bench_memory(void) {
  int failed = print_idle();
  return print_things() | failed;
}
