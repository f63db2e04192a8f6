/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by tcp.c (connections), tcp_read.c and tcp_write.c; nobody else includes it. */
#ifndef HOST_TCP_INTERNAL_H
#define HOST_TCP_INTERNAL_H

#include "base/hash.h"
#include "base/map.h"
#include "base/pool.h"
#include "host/tcp.h"
#include "host/tls.h"
#include "node/sources.h"

enum conn_state {
  CONN_CONNECTING,
  CONN_SHAKING, /* TLS is being agreed on: what is put waits */
  CONN_OPEN,
  CONN_LAST_WORDS, /* nothing more is read; closed when all is written */
  CONN_LINGER,     /* shut down for writing; what arrives is thrown away until it ends */
  CONN_CLOSED,     /* out of the tables; libuv still holds the memory */
};

struct ticket {
  uint64_t ticket;
  struct ticket *next;
};
/* tcp_spare.c */
#define TCP_SPARE_BUFFERS 8u
#define TCP_SPARE_BYTES_MAX ((size_t)2 << 20)
#define TCP_SPARE_TICKETS 1024u
struct spare_buffer {
  char *at;
  size_t cap;
};
struct tcp_spare {
  struct spare_buffer buffer[TCP_SPARE_BUFFERS];
  unsigned buffers, tickets;
  size_t bytes;
  struct ticket *ticket;
};
/* Makes room for `need` bytes, keeping the first `len`. largest: more will come. False: no
 * memory, and nothing has changed. */
bool spare_grow(struct tcp_spare *spare, char **at, size_t len, size_t *cap, size_t need,
                bool largest);
/* Takes a buffer back; NULL is allowed. */
void spare_give(struct tcp_spare *spare, char *at, size_t cap);
struct ticket *spare_ticket(struct tcp_spare *spare);
void spare_give_ticket(struct tcp_spare *spare, struct ticket *ticket);
void spare_free(struct tcp_spare *spare);

struct conn {
  uv_tcp_t tcp;
  uv_connect_t connect;
  uv_write_t write;
  uv_shutdown_t shutdown;
  struct tcp *owner;
  struct handle handle; /* of the pool */
  struct endpoint peer;
  uint32_t flow;
  enum conn_state state;
  bool accepted;
  bool spoke;   /* sent a whole message or a ping: accepted ones must */
  bool entered; /* in the table of proven Peer-IDs */
  bool dirty;   /* in tcp->dirty */
  struct conn *dirty_next;
  usec used_at;  /* last message or ping in either direction; before that: begin of the state */
  usec begun_at; /* first byte of the message that is not complete yet */
  usec write_at; /* begin of the write under way */
  /* the front of a message that is not complete */
  char *in;
  size_t in_len, in_cap, scanned;
  struct tls_session *tls; /* NULL: plain */
  /* gathered; over TLS: before it is encrypted */
  char *words;
  size_t words_len, words_cap;
  struct ticket *words_tickets;
  /* for the wire, and being written by uv_write */
  char *out, *writing;
  size_t out_len, out_cap, writing_len, writing_cap;
  struct ticket *out_tickets, *writing_tickets;
};

struct listener {
  uv_tcp_t tcp;
  struct tcp *owner;
};
struct tcp {
  struct loop *loop;
  struct tcp_limits limits;
  struct memory memory;
  struct pool conns;
  struct map flows;          /* flow -> index in conns */
  struct map links;          /* endpoint -> index: opened ones */
  struct map sources;        /* address prefix -> index: accepted ones */
  struct sources connecting; /* how often, by prefix: SOURCE_REQUESTS */
  struct map proven;         /* Peer-ID -> index: those that have shown its key */
  struct tls *tls;           /* borrowed; NULL: plain connections only */
  struct hash_key hash;
  struct listener listener[TCP_LISTENERS_MAX];
  struct endpoint listen_at[TCP_LISTENERS_MAX];
  unsigned listeners;
  uint32_t last_flow;
  struct conn *dirty; /* something was gathered for them */
  uv_timer_t timer;
  usec timer_at; /* what it is armed for; USEC_NEVER: it is not */
  char *read_buffer;
  char *plain_buffer; /* what TLS decrypted of it */
  struct tcp_spare spare;
  bool stopped;
  struct tcp_stats stats;
};

/* ---- tcp_source.c ---- */
uint64_t tcp_source_hash(const struct tcp *tcp, const struct endpoint *peer);
/* Why a connection from there is refused now; NULL: it is not, and counts. */
const char *tcp_source_refuse(struct tcp *tcp, const struct endpoint *peer);

#define TCP_READ_BYTES 65536u

/* tcp.c */
/* Out of the tables, tickets failed, the node told, the handle closed. Harmless if done. */
void conn_close(struct conn *conn, enum err why);
/* Makes sure that the deadlines of this connection are looked at in time. */
void conn_watch(struct conn *conn);
void conn_used(struct conn *conn);
/* TLS is agreed on: the node may be told, and what waits is written. */
void conn_ready(struct conn *conn);
/* Bytes that are not written yet. */
static inline size_t conn_waiting(const struct conn *conn) {
  return conn->words_len + conn->out_len + conn->writing_len;
}

/* tcp_read.c */
void conn_read_start(struct conn *conn);

/* tcp_write.c */
/* False: its queue was full and it is closed. ticket 0: none. */
bool conn_put(struct conn *conn, struct slice data, uint64_t ticket);
void conn_flush(struct conn *conn);
/* Answers what is gathered, then closes. */
void conn_last_words(struct conn *conn);
/* IN_FLOW with flow 0 for each ticket that was not written. */
void conn_fail_tickets(struct conn *conn, enum err why);
void conn_free_out(struct conn *conn);

#endif
