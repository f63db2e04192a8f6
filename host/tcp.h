/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP and TLS over it: accepted connections, and links opened to other peers, which are kept and
 * shared. The node knows each as a flow: a number that is not used again for two
 * billion connections. Messages of one turn to one flow leave in one write. Every port takes both:
 * the first byte of a connection says which it is. A connection whose other end has proven a
 * Peer-ID carries messages to that peer whoever opened it (R-1.28, RFC 5923). */
#ifndef HOST_TCP_H
#define HOST_TCP_H

#include "host/loop.h"

#define TCP_LISTENERS_MAX NODE_LISTEN_MAX
#define TCP_OUT_BYTES_MAX ((size_t)1 << 20) /* waiting on one connection; more: it is closed */
#define TCP_IN_BYTES_MAX ((size_t)64 << 20) /* begun messages, all connections; more: closed */
#define TCP_CONNECT_US SEC(3)
#define TCP_FIRST_MESSAGE_US SEC(30) /* an accepted connection must have sent one */
#define TCP_WRITE_US SEC(20)         /* the other side must take what is written */
#define TCP_LINGER_US SEC(2)         /* after the last answer, for the other side to read it */
#define TCP_EVICT_IDLE_US SEC(60)    /* a full table gives up an accepted one idle for so long */

struct tcp_limits {
  uint32_t accepted_max, per_source_max, links_max;
  uint32_t per_s_max; /* accepted from one address prefix in a second; ten times as many at once */
  const struct prefix *trusted; /* borrowed: not limited as sources */
  unsigned trusted_count;
  usec link_idle_us, accepted_idle_us, message_us;
};

struct tls;
/* tls: borrowed; NULL: plain connections only. */
struct tcp *tcp_new(struct loop *loop, const struct tcp_limits *limits, struct tls *tls);
/* Binds one more listener; port 0: the system's choice, written back. */
enum err tcp_listen(struct tcp *tcp, struct endpoint *at, struct why *why) MUST_USE;
/* flow != 0: on that flow, else on a link to peer, which is opened if there is none. expect: over
 * TLS, the Peer-ID that its other end must prove; NULL or all zero: anybody's. Bytes are copied.
 * What cannot be delivered comes back as IN_FLOW if it has a ticket. */
void tcp_send(struct tcp *tcp, uint32_t flow, const struct endpoint *peer, const struct key *expect,
              uint64_t ticket, struct slice data);
/* Closes the flow once what was sent on it is written. */
void tcp_close_flow(struct tcp *tcp, uint32_t flow);
/* Closes links to peers whose certificate does not count any more: revoked, or expired. */
void tcp_close_untrusted(struct tcp *tcp);
/* Writes what tcp_send gathered. */
void tcp_flush(struct tcp *tcp);
/* Does anything still wait to be written on an open connection? */
bool tcp_writing(const struct tcp *tcp);
/* Closes all handles; tcp_free after the loop has ended. */
void tcp_stop(struct tcp *tcp);
void tcp_free(struct tcp *tcp);

struct tcp_stats {
  uint64_t received, sent;            /* messages */
  uint64_t reads, writes;             /* system calls that moved those */
  uint64_t accepted, opened, refused; /* connections; refused: a limit */
  uint64_t bad, stalled;              /* connections closed for bad bytes, for a stall */
  uint64_t shaken, resumed, unproven; /* TLS: agreed on; of these resumed; failed */
  uint64_t undeliverable; /* messages to flows that are gone, or with no room for a link */
  uint32_t accepted_now, links_now;
  size_t in_bytes;
};
struct tcp_stats tcp_stats(const struct tcp *tcp);

#endif
