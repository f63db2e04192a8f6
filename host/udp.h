/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP in batches: recvmmsg and sendmmsg of UDP_BATCH datagrams on libuv's poll handle. */
#ifndef HOST_UDP_H
#define HOST_UDP_H

#include "host/loop.h"

#define UDP_BATCH 64u
#define UDP_SOCKETS_MAX NODE_LISTEN_MAX
#define UDP_QUEUE_MAX                                                        \
  1024u /* datagrams that the kernel did not take yet; the oldest goes first \
         */

struct udp *udp_new(struct loop *loop);
/* Binds one more socket; port 0: the system's choice, written back. */
enum err udp_listen(struct udp *udp, struct endpoint *at, struct why *why) MUST_USE;
/* Starts receiving. */
void udp_start(struct udp *udp);
/* Takes a datagram into the batch; bytes are borrowed until udp_flush. */
void udp_send(struct udp *udp, const struct endpoint *to, struct slice data);
void udp_flush(struct udp *udp);
/* Closes the handles; udp_free after the loop has ended. */
void udp_stop(struct udp *udp);
void udp_free(struct udp *udp);

struct udp_stats {
  uint64_t received, sent;
  uint64_t reads, writes; /* system calls that moved those */
  uint64_t queued;        /* had to wait for the kernel */
  uint64_t dropped;       /* pushed out of the queue, or refused by the kernel */
  uint64_t no_socket;     /* no socket of that family */
};
struct udp_stats udp_stats(const struct udp *udp);

#endif
