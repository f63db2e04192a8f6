/* SPDX-License-Identifier: BSD-2-Clause */
/* One TCP connection of the load, cut into messages. */
#ifndef BENCH_LOAD_STREAM_H
#define BENCH_LOAD_STREAM_H

#include "bench/load.h"

/* A listener at this address; -1: none. */
int stream_listen(const struct endpoint *at);
/* Accepts a connection if none is open. */
void stream_accept(struct load_stream *stream, int listener);
bool stream_connect(struct load_stream *stream, const struct endpoint *to);
void stream_close(struct load_stream *stream);
/* The next whole message that has come, good until the next call; false: none yet. */
bool stream_next(struct load_stream *stream, struct slice *message);
/* Gathered until stream_flush; what finds no room is lost. */
void stream_put(struct load_stream *stream, struct slice data);
void stream_flush(struct load_stream *stream);

#endif
