/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of the load: LOCSER requests of one size, and the answer of a peer that only looks
 * at the header fields it must copy. */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

#include "base/endpoint.h"
#include "base/key.h"
#include "base/slice.h"

#define REQUEST_BYTES 832u
#define ANSWER_BYTES_MAX 2048u
#define REQUEST_MARK "tag=bench" /* in From: a request of the load, not of a peer */

struct request {
  char bytes[REQUEST_BYTES];
  size_t branch_at, call_at; /* 16 digits each, different in every copy sent */
};
/* get of key_text, padded to REQUEST_BYTES. loose: with a line end after the body where locser
 * writes none, as others may. */
void request_make(struct request *out, const struct endpoint *from, struct slice key_text,
                  const struct key *key, bool loose);
/* put-auth of a record that lives for an hour, wanting one copy. Returns its length. */
size_t request_make_put(char *out, size_t cap, const struct endpoint *from, struct slice key_text,
                        const struct key *key, uint64_t now_ms, uint64_t number, bool loose);
/* Writes a copy with branch and Call-ID of its own. */
void request_copy(const struct request *request, uint64_t number, char *out);
/* 200 with a body of 436 bytes. Returns its length; 0: not a request. */
size_t answer_make(struct slice request, char *out, size_t cap);
/* Key text number n of the load, and its key. */
struct key load_key(uint64_t n, char *text, size_t cap);

#endif
