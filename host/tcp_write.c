/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing: messages of one turn are gathered and written at once; what the kernel does not take
 * is given to libuv, and more gathers behind it. */
#include <stdlib.h>
#include <string.h>

#include "host/address.h"
#include "host/clock.h"
#include "host/tcp_internal.h"

static void free_tickets(struct ticket **first) {
  for (struct ticket *next; *first != NULL; *first = next) {
    next = (*first)->next;
    free(*first);
  }
}

static void fail(struct conn *conn, struct ticket **first, enum err why) {
  for (struct ticket *at = *first; at != NULL; at = at->next)
    loop_later(
        conn->owner->loop,
        &(struct input){.kind = IN_FLOW, .ticket = at->ticket, .status = why, .peer = conn->peer});
  free_tickets(first);
}

void conn_fail_tickets(struct conn *conn, enum err why) {
  fail(conn, &conn->writing_tickets, why);
  fail(conn, &conn->out_tickets, why);
}

void conn_free_out(struct conn *conn) {
  free(conn->out);
  free(conn->writing);
  conn->out = conn->writing = NULL;
  free_tickets(&conn->out_tickets);
  free_tickets(&conn->writing_tickets);
}

static bool reserve(struct conn *conn, size_t more) {
  size_t need = conn->out_len + more, cap = conn->out_cap > 0 ? conn->out_cap : 2048;
  if (need <= conn->out_cap) return true;
  while (cap < need) cap *= 2;
  char *out = realloc(conn->out, cap);
  if (out == NULL) return false;
  conn->out = out;
  conn->out_cap = cap;
  return true;
}

static void put_ticket(struct conn *conn, uint64_t number) {
  struct ticket *ticket = host_take(sizeof *ticket);
  *ticket = (struct ticket){number, conn->out_tickets};
  conn->out_tickets = ticket;
}

bool conn_put(struct conn *conn, struct slice data, uint64_t ticket) {
  struct tcp *tcp = conn->owner;
  if (ticket != 0) put_ticket(conn, ticket);
  if (conn->out_len + conn->writing_len + data.len > TCP_OUT_BYTES_MAX ||
      !reserve(conn, data.len)) {
    char text[ADDRESS_TEXT_BYTES];
    log_often(tcp->loop->log, LOG_CONNECTION, TRACE_WARNING,
              "tcp: %s does not read what it is sent; closing", address_text(&conn->peer, text));
    conn_close(conn, ERR_FULL);
    return false;
  }
  memcpy(conn->out + conn->out_len, data.at, data.len);
  conn->out_len += data.len;
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
  if (conn->state == CONN_CONNECTING) conn_close(conn, ERR_CLOSED);
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
  free(conn->writing);
  conn->writing = NULL;
  conn->writing_len = 0;
  if (status != 0) {
    conn_close(conn, ERR_CLOSED);
    return;
  }
  free_tickets(&conn->writing_tickets);
  conn_used(conn);
  conn_flush(conn);
}

static void drop_out(struct conn *conn) {
  free(conn->out);
  conn->out = NULL;
  conn->out_len = conn->out_cap = 0;
  free_tickets(&conn->out_tickets);
}

/* Hands what is left over from `written` on to libuv. */
static void write_rest(struct conn *conn, size_t written) {
  conn->writing = conn->out;
  conn->writing_len = conn->out_len;
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

void conn_flush(struct conn *conn) {
  if (conn->state != CONN_OPEN && conn->state != CONN_LAST_WORDS) return;
  if (conn->writing != NULL) return; /* on_written goes on */
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
