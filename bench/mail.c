/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages for people who are away: SENDERS phones leave them, the others come back and get them.
 * One peer alone, of an open overlay: each message is signed, sealed, stored, and on its way back
 * opened, verified, delivered and removed, with real keys and the journal on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/load.h"

#define SENDERS 2u
#define RECIPIENTS 2u
#define PER_MAILBOX 30u /* less than one home may leave in one */
#define MESSAGES (RECIPIENTS * PER_MAILBOX)
#define WINDOW 32u
#define TEXT_BYTES 100
#define BYTES 4096u
#define KEYS_US 240000000 /* RSA keys, on a machine that has other work */
#define KEY_LOOK_US 100000
#define STUCK_US 20000000

static uint64_t number; /* of requests: branches, Call-IDs and CSeqs */

static size_t make_register(struct load *load, uint64_t user, unsigned expires, char *out) {
  unsigned long long n = ++number, who = user % (SENDERS + RECIPIENTS);
  return (size_t)snprintf(
      out, BYTES,
      "REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKm%llu;"
      "rport\r\nMax-Forwards: 70\r\nFrom: <sip:m%llu@example.net>;tag=1\r\n"
      "To: <sip:m%llu@example.net>\r\nCall-ID: m%llu@127.0.0.1\r\nCSeq: %llu REGISTER\r\n"
      "Contact: <sip:m%llu@127.0.0.1:%u>\r\nExpires: %u\r\nContent-Length: 0\r\n\r\n",
      load->client_at.port, n, who, who, who, n, who, load->client_at.port, expires);
}

static size_t make_come(struct load *load, uint64_t user, char *out, size_t cap) {
  (void)cap;
  return make_register(load, user, 3600, out);
}

static size_t make_return(struct load *load, uint64_t user, char *out, size_t cap) {
  (void)cap;
  return make_register(load, SENDERS + user, 3600, out);
}

static size_t make_go(struct load *load, uint64_t user, char *out, size_t cap) {
  (void)cap;
  return make_register(load, SENDERS + user, 0, out);
}

static size_t make_message(struct load *load, uint64_t which, char *out, size_t cap) {
  unsigned long long n = ++number, from = which % SENDERS,
                     to = SENDERS + which / SENDERS % RECIPIENTS;
  return (size_t)snprintf(
      out, cap,
      "MESSAGE sip:m%llu@example.net SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;"
      "branch=z9hG4bKm%llu;rport\r\nMax-Forwards: 70\r\nFrom: <sip:m%llu@example.net>;tag=1\r\n"
      "To: <sip:m%llu@example.net>\r\nCall-ID: t%llu@127.0.0.1\r\nCSeq: 1 MESSAGE\r\n"
      "Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%0*llu",
      to, load->client_at.port, n, from, to, n, TEXT_BYTES, TEXT_BYTES, n);
}

static bool is_ready(struct load *load, const struct server *server) {
  usec begin = bench_now();
  const unsigned all = SENDERS + RECIPIENTS;
  while (load_each(load, server, all, 4, make_come) < all)
    if (bench_now() - begin > KEYS_US) return false;
  while (load_each(load, server, RECIPIENTS, 4, make_go) < RECIPIENTS)
    if (bench_now() - begin > KEYS_US) return false;
  for (unsigned i = 0; i < all; i++) { /* a second key is made in its own time */
    char address[32];
    snprintf(address, sizeof address, "m%u@example.net", i);
    while (!server_has_second_key(server, address)) {
      usleep(KEY_LOOK_US);
      if (bench_now() - begin > KEYS_US) return false;
    }
  }
  return true;
}

/* ---- the phones of those who are back ---- */

static void answer(struct load *load, const struct server *server, const char *request) {
  static const char *const names[] = {
      "\r\nVia: ", "\r\nFrom: ", "\r\nTo: ", "\r\nCall-ID: ", "\r\nCSeq: "};
  char bytes[BYTES];
  struct buf out = buf_over(bytes, sizeof bytes);
  buf_put_cstr(&out, "SIP/2.0 200 OK\r\n");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *line = strstr(request, names[i]);
    if (line != NULL) buf_put(&out, slice_of(line + 2, strcspn(line + 2, "\n") + 1));
  }
  buf_put_cstr(&out, "Content-Length: 0\r\n\r\n");
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(server->at.port)};
  memcpy(&to.sin_addr, server->at.addr, 4);
  sendto(load->client, out.at, out.len, 0, (struct sockaddr *)&to, sizeof to);
}

/* What is sent again, on a machine that has other work, counts once. */
static bool is_new(const char *request) {
  static bool heard[1u << 16];
  unsigned id = 0;
  const char *line = strstr(request, "\r\nCall-ID: ");
  if (line == NULL || sscanf(line + 11, "%4x", &id) != 1 || heard[id & 0xffff]) return false;
  return heard[id & 0xffff] = true;
}

static uint64_t deliver(struct load *load, const struct server *server, uint64_t wanted) {
  char bytes[BYTES];
  uint64_t heard = 0;
  usec moved = bench_now();
  for (uint64_t i = 0; i < RECIPIENTS; i++) {
    size_t len = make_return(load, i, bytes, sizeof bytes);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(server->at.port)};
    memcpy(&to.sin_addr, server->at.addr, 4);
    sendto(load->client, bytes, len, 0, (struct sockaddr *)&to, sizeof to);
  }
  while (heard < wanted && bench_now() - moved < STUCK_US) {
    ssize_t len = recv(load->client, bytes, sizeof bytes - 1, MSG_DONTWAIT);
    if (len <= 0) continue;
    bytes[len] = '\0';
    if (strncmp(bytes, "MESSAGE ", 8) != 0) continue;
    answer(load, server, bytes);
    if (!is_new(bytes)) continue;
    heard++;
    moved = bench_now();
  }
  return heard;
}

static double seconds_since(usec begin) { return (double)(bench_now() - begin) / 1e6; }

static bool run(struct load *load, const struct server *server) {
  if (!is_ready(load, server)) return false;
  uint64_t bytes = server_number(server, "record-bytes"),
           records = server_number(server, "records");
  uint64_t cpu = server_cpu_ns(server);
  usec begin = bench_now();
  uint64_t kept = load_each(load, server, MESSAGES, WINDOW, make_message);
  double seconds = seconds_since(begin), cpu_us = (double)(server_cpu_ns(server) - cpu) / 1e3;
  records = server_number(server, "records") - records;
  bytes = server_number(server, "record-bytes") - bytes;
  printf(
      "  stored:    %6.0f/s, %6.0f us of CPU each, %u under way; %.0f bytes each at each of its"
      " three peers, %d of them its text\n",
      (double)kept / seconds, cpu_us / MESSAGES, WINDOW,
      (double)bytes / (double)(records > 0 ? records : 1), TEXT_BYTES);
  cpu = server_cpu_ns(server);
  begin = bench_now();
  uint64_t heard = deliver(load, server, kept);
  cpu_us = (double)(server_cpu_ns(server) - cpu) / 1e3;
  printf("  delivered: %6.0f/s, %6.0f us of CPU each, to %u phones\n",
         (double)heard / seconds_since(begin), cpu_us / (double)(heard > 0 ? heard : 1),
         RECIPIENTS);
  return kept == MESSAGES && heard == kept;
}

int bench_messages(void) {
  struct server server = {0};
  struct load *load = malloc(sizeof *load);
  char path[4096];
  if (load == NULL || !load_open(load)) return 1;
  load_pin();
  bool good = server_find_program(path, sizeof path) && server_start_program(&server, path, NULL) &&
              run(load, &server);
  if (!good) printf("  not every message was stored and delivered\n");
  server_stop(&server);
  load_close(load);
  free(load);
  return !good;
}
