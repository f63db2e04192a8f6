/* SPDX-License-Identifier: BSD-2-Clause */
/* What is measured: another process, on core 0 where there is more than one. */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <stdio.h>
#include <time.h>

#include "base/endpoint.h"
#include "base/key.h"

struct server {
  pid_t pid;
  clockid_t clock;             /* its CPU time */
  struct endpoint at;          /* UDP, and for a peer TCP as well */
  char dir[64];                /* of a peer: data and control socket; removed at the end */
  struct key id;               /* of a peer */
  const uint64_t *allocations; /* so far; NULL: they are not counted */
  FILE *output;
};

/* The least that can be done: a loop of epoll, recvmmsg and sendmmsg of 64 datagrams. With `relay`
 * it sends on what comes from the second port to the first that ever sent, all else to the second
 * (relay->port); without, back to its sender. */
bool server_start_bare(struct server *server, const struct endpoint *relay);
/* locserd as it is (daemon_run), alone in a ring. transport: of its links to other peers. */
bool server_start_peer(struct server *server, const char *transport);
/* The program of that path instead, as anybody would start it. join: a peer to join; or NULL. */
bool server_start_program(struct server *server, const char *path, const struct endpoint *join);
/* locserd, which lies beside this program. False: it does not. */
bool server_find_program(char *path, size_t cap);
void server_stop(struct server *server);

/* User and system time in nanoseconds since it began. */
uint64_t server_cpu_ns(const struct server *server);
/* A number that `locser status` shows; 0 if there is none such. */
uint64_t server_number(const struct server *server, const char *name);

/* Has the certificate record of that address both certificates? */
bool server_has_second_key(const struct server *server, const char *address);

/* Keeps this process, the load, on core 1. */
void load_pin(void);

#endif
