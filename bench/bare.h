/* SPDX-License-Identifier: BSD-2-Clause */
/* The yardstick: moving datagrams and nothing else. */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include "base/endpoint.h"

#define BARE_BATCH 64
#define BARE_BYTES 2048

/* A bound UDP socket of the loopback interface with buffers of 2 MB; -1: none. */
int bare_socket(struct endpoint *at);
/* See server_start_bare. Does not return. */
_Noreturn void bare_run(int fd, const struct endpoint *relay);

#endif
