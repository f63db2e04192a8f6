/* SPDX-License-Identifier: BSD-2-Clause */
/* A peer without sockets in this process, with counted memory: the neighbour of the one that is
 * measured, or itself the one whose memory is. What it wants of a journal and of keys is granted
 * at once. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "node/node.h"

struct record_verifier; /* crypto/record_verify.h */

struct peer_memory {
  struct memory memory;
  uint64_t taken; /* allocations so far */
  size_t bytes;   /* now out */
};
struct bench_peer {
  struct node *node;
  struct peer_memory memory;
  struct xml_reader *xml;
  struct outbox box;
  struct output *items;
  char *bytes;
  usec deadline;
  usec ahead;                       /* its clock is, of bench_now */
  struct record_verifier *verifier; /* NULL: every record is taken for good */
  void (*send)(void *context, const struct output *output);
  void *context;
};

/* join: a peer to join, or NULL. */
bool bench_peer_start(struct bench_peer *peer, const struct key *id, const struct endpoint *at,
                      const struct endpoint *join,
                      void (*send)(void *context, const struct output *output), void *context);
void bench_peer_stop(struct bench_peer *peer);
void bench_peer_step(struct bench_peer *peer, const struct input *input);
/* Its timers, if something is due. */
void bench_peer_tick(struct bench_peer *peer);

usec bench_now(void);
msec_wall bench_wall(void);

#endif
