/* SPDX-License-Identifier: BSD-2-Clause */
/* The load: requests kept under way in a fixed number, and a neighbour that answers what is passed
 * on to it. Over UDP in batches of LOAD_BATCH datagrams, or over one TCP connection each way. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <netinet/in.h>

#include "bench/message.h"
#include "bench/peer.h"
#include "bench/server.h"

#define LOAD_BATCH 64u
#define LOAD_WINDOW 512u
#define LOAD_STREAM_BYTES (1u << 20)

struct load_stream {
  int fd; /* -1: none */
  size_t in_done, in_len, out_len, scanned;
  char in[LOAD_STREAM_BYTES], out[LOAD_STREAM_BYTES];
};
struct load {
  int client, neighbour; /* UDP sockets */
  int listener;          /* TCP, at the port of `neighbour` */
  struct endpoint client_at, neighbour_at;
  struct bench_peer peer; /* the real peer at neighbour_at; node NULL: none */
  struct load_stream upstream, downstream;
  struct load *next; /* all that are open: their peers must not fall silent */
  uint64_t number;   /* of the last request */
  uint64_t good, bad;
  uint32_t under_way;
};

/* What one run measured of the server. */
struct load_result {
  uint64_t answers, lost, bad;
  double cpu_ns; /* of the server, for one request and its answer */
  double rate;   /* answers in a second */
};

bool load_open(struct load *load);
void load_close(struct load *load);
/* A real peer at neighbour_at joins the server's ring. False: not within 10 s. */
bool load_join(struct load *load, const struct server *server);

/* Requests in turn from `requests` for duration_us. over TCP: on one kept connection. */
void load_run(struct load *load, const struct server *server, const struct request *requests,
              unsigned count, enum transport over, uint32_t window, usec duration_us,
              struct load_result *result);
/* Sends messages made by `make` one after another, each once, until `count` were answered 200 or
 * 202, or nothing moves any more. Returns how many were. */
uint64_t load_each(struct load *load, const struct server *server, uint64_t count, uint32_t window,
                   size_t (*make)(struct load *load, uint64_t number, char *out, size_t cap));

#endif
