/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing: messages of one turn are gathered and written at once; what the kernel does not take
 * is given to libuv, and more gathers behind it. */
#include <string.h>

#include "host/address.h"
#include "host/clock.h"
#include "host/tcp_internal.h"

static void free_tickets(struct tcp_spare *spare, struct ticket **first) {
  for (struct ticket *next; *first != NULL; *first = next) {
    next = (*first)->next;
    spare_give_ticket(spare, *first);
  }
}

static void fail(struct conn *conn, struct ticket **first, enum err why) {
  for (struct ticket *at = *first; at != NULL; at = at->next)
    loop_later(
        conn->owner->loop,
        &(struct input){.kind = IN_FLOW, .ticket = at->ticket, .status = why, .peer = conn->peer});
  free_tickets(&conn->owner->spare, first);
}

void conn_fail_tickets(struct conn *conn, enum err why) {
  fail(conn, &conn->writing_tickets, why);
  fail(conn, &conn->out_tickets, why);
  fail(conn, &conn->words_tickets, why);
}

void conn_free_out(struct conn *conn) {
  struct tcp_spare *spare = &conn->owner->spare;
  spare_give(spare, conn->out, conn->out_cap);
  spare_give(spare, conn->writing, conn->writing_cap);
  spare_give(spare, conn->words, conn->words_cap);
  conn->out = conn->writing = conn->words = NULL;
  conn->out_cap = conn->writing_cap = conn->words_cap = 0;
  free_tickets(&conn->owner->spare, &conn->words_tickets);
  free_tickets(&conn->owner->spare, &conn->out_tickets);
  free_tickets(&conn->owner->spare, &conn->writing_tickets);
}

/* False: no memory. */
static bool append(struct tcp_spare *spare, char **at, size_t *len, size_t *cap,
                   struct slice data) {
  if (data.len == 0) return true; /* nothing, maybe at no address */
  size_t need = *len + data.len;
  if (need > *cap && !spare_grow(spare, at, *len, cap, need, true)) return false;
  memcpy(*at + *len, data.at, data.len);
  *len = need;
  return true;
}

static bool append_out(struct conn *conn, struct slice data) {
  return append(&conn->owner->spare, &conn->out, &conn->out_len, &conn->out_cap, data);
}

static bool gather(struct conn *conn, struct slice data) {
  if (conn->tls == NULL) return append_out(conn, data);
  return append(&conn->owner->spare, &conn->words, &conn->words_len, &conn->words_cap, data);
}

static void put_ticket(struct conn *conn, uint64_t number) {
  struct ticket **list = conn->tls == NULL ? &conn->out_tickets : &conn->words_tickets;
  struct ticket *ticket = spare_ticket(&conn->owner->spare);
  *ticket = (struct ticket){number, *list};
  *list = ticket;
}

bool conn_put(struct conn *conn, struct slice data, uint64_t ticket) {
  struct tcp *tcp = conn->owner;
  if (ticket != 0) put_ticket(conn, ticket);
  if (conn_waiting(conn) + data.len > TCP_OUT_BYTES_MAX || !gather(conn, data)) {
    char text[ADDRESS_TEXT_BYTES];
    log_often(tcp->loop->log, LOG_CONNECTION, TRACE_WARNING,
              "tcp: %s does not read what it is sent; closing", address_text(&conn->peer, text));
    conn_close(conn, ERR_FULL);
    return false;
  }
  if (!conn->dirty) {
    conn->dirty = true;
    conn->dirty_next = tcp->dirty;
    tcp->dirty = conn;
  }
  return true;
}

/* ---- the end of a connection ---- */

static void on_shutdown(uv_shutdown_t *request, int status) {
  struct conn *conn = request->data;
  if (status != 0) conn_close(conn, ERR_CLOSED);
}

/* Closing with unread bytes would reset the connection and could destroy the last answer on its
 * way, so the other side is given a moment to read it. */
static void linger(struct conn *conn) {
  conn->state = CONN_LINGER;
  conn_used(conn);
  conn->shutdown.data = conn;
  if (uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->tcp, on_shutdown) != 0)
    conn_close(conn, ERR_CLOSED);
  else
    conn_watch(conn);
}

void conn_last_words(struct conn *conn) {
  if (conn->state <= CONN_SHAKING) conn_close(conn, ERR_CLOSED);
  if (conn->state != CONN_OPEN) return;
  conn->state = CONN_LAST_WORDS;
  if (!conn->dirty) { /* tcp_flush comes by and ends it */
    conn->dirty = true;
    conn->dirty_next = conn->owner->dirty;
    conn->owner->dirty = conn;
  }
}

/* ---- writing ---- */

static void on_written(uv_write_t *request, int status) {
  struct conn *conn = request->data;
  if (conn->state == CONN_CLOSED) return;
  spare_give(&conn->owner->spare, conn->writing, conn->writing_cap);
  conn->writing = NULL;
  conn->writing_len = conn->writing_cap = 0;
  if (status != 0) {
    conn_close(conn, ERR_CLOSED);
    return;
  }
  free_tickets(&conn->owner->spare, &conn->writing_tickets);
  conn_used(conn);
  conn_flush(conn);
}

static void drop_out(struct conn *conn) {
  spare_give(&conn->owner->spare, conn->out, conn->out_cap);
  conn->out = NULL;
  conn->out_len = conn->out_cap = 0;
  free_tickets(&conn->owner->spare, &conn->out_tickets);
}

/* Hands what is left over from `written` on to libuv. */
static void write_rest(struct conn *conn, size_t written) {
  conn->writing = conn->out;
  conn->writing_len = conn->out_len;
  conn->writing_cap = conn->out_cap;
  conn->writing_tickets = conn->out_tickets;
  conn->write_at = clock_monotonic();
  conn->out = NULL;
  conn->out_len = conn->out_cap = 0;
  conn->out_tickets = NULL;
  uv_buf_t rest = uv_buf_init(conn->writing + written, (unsigned)(conn->writing_len - written));
  conn->write.data = conn;
  if (uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &rest, 1, on_written) != 0)
    conn_close(conn, ERR_CLOSED);
  else
    conn_watch(conn);
}

static void move_tickets(struct ticket **from, struct ticket **to) {
  while (*to != NULL) to = &(*to)->next;
  *to = *from;
  *from = NULL;
}

/* What was gathered is encrypted, and with what TLS itself has to say it goes to the wire. */
static bool seal(struct conn *conn) {
  if (conn->tls == NULL) return true;
  if (conn->state != CONN_SHAKING) {
    if (!tls_write(conn->tls, slice_of(conn->words, conn->words_len))) return false;
    spare_give(&conn->owner->spare, conn->words, conn->words_cap);
    conn->words = NULL;
    conn->words_len = conn->words_cap = 0;
    move_tickets(&conn->words_tickets, &conn->out_tickets);
    if (conn->state == CONN_LAST_WORDS) tls_say_end(conn->tls);
  }
  bool good = append_out(conn, tls_wire(conn->tls));
  tls_taken(conn->tls);
  return good;
}

void conn_flush(struct conn *conn) {
  if (conn->state < CONN_SHAKING || conn->state > CONN_LAST_WORDS) return;
  if (conn->writing != NULL) return; /* on_written goes on */
  if (!seal(conn)) {
    conn_close(conn, ERR_CLOSED);
    return;
  }
  if (conn->out_len > 0) {
    uv_buf_t all = uv_buf_init(conn->out, (unsigned)conn->out_len);
    conn->owner->stats.writes++;
    int n = uv_try_write((uv_stream_t *)&conn->tcp, &all, 1);
    if (n < 0 && n != UV_EAGAIN) {
      conn_close(conn, ERR_CLOSED);
      return;
    }
    if (n < (int)conn->out_len) {
      write_rest(conn, n > 0 ? (size_t)n : 0);
      return;
    }
    drop_out(conn);
  }
  if (conn->state == CONN_LAST_WORDS) linger(conn);
}
