/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading: bytes become messages. A read that holds whole messages is framed where it lies; only
 * the front of a message that is not complete is kept. */
#include <string.h>

#include "host/address.h"
#include "host/clock.h"
#include "host/tcp_internal.h"
#include "sip/framing.h"

/* A message is at most 65535 bytes; framing calls anything longer bad before that. */
#define KEPT_BYTES_MAX ((size_t)72 * 1024)

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  struct conn *conn = handle->data;
  (void)suggested;
  *buf = uv_buf_init(conn->owner->read_buffer, TCP_READ_BYTES);
}

static void give_message(struct conn *conn, struct slice data) {
  conn->owner->stats.received++;
  conn->spoke = true;
  conn_used(conn);
  loop_step(conn->owner->loop,
            &(struct input){.kind = IN_MESSAGE,
                            .flow = conn->flow,
                            .peer = conn->peer,
                            .data = data,
                            .proven = conn->tls != NULL ? tls_proven(conn->tls) : NULL});
}

static void refuse_rest(struct conn *conn, struct slice head) {
  char text[ADDRESS_TEXT_BYTES];
  conn->owner->stats.bad++;
  log_often(conn->owner->loop->log, LOG_CONNECTION, TRACE_INFO,
            "tcp: what %s sent cannot be cut into messages; closing",
            address_text(&conn->peer, text));
  if (head.len > 0) give_message(conn, head);
  if (conn->state == CONN_OPEN) conn_last_words(conn);
}

/* Frames all of `stream`; returns how many bytes are done with. */
static size_t frame_all(struct conn *conn, struct slice stream) {
  size_t done = 0;
  while (conn->state == CONN_OPEN && done < stream.len) {
    struct slice rest = slice_skip(stream, done);
    struct sip_frame frame = sip_frame_next(rest, &conn->scanned);
    done += frame.used;
    struct slice message = slice_first(slice_skip(rest, frame.skip), frame.len);
    if (frame.kind == SIP_FRAME_MORE) break;
    if (frame.kind == SIP_FRAME_MESSAGE) {
      give_message(conn, message);
    } else if (frame.kind == SIP_FRAME_PING) {
      conn->spoke = true;
      conn_used(conn);
      conn_put(conn, SLICE("\r\n"), 0); /* RFC 5626 3.5.1 */
    } else {
      refuse_rest(conn, message);
      return stream.len;
    }
  }
  return done;
}

/* Room for `more` bytes behind in_len. False: a limit. */
static bool reserve(struct conn *conn, size_t more) {
  struct tcp *tcp = conn->owner;
  size_t need = conn->in_len + more, before = conn->in_cap;
  if (need <= conn->in_cap) return true;
  if (tcp->stats.in_bytes - before + 2 * need > TCP_IN_BYTES_MAX) return false;
  if (!spare_grow(&tcp->spare, &conn->in, conn->in_len, &conn->in_cap, need, false)) return false;
  tcp->stats.in_bytes += conn->in_cap - before;
  return true;
}

static void release(struct conn *conn) {
  spare_give(&conn->owner->spare, conn->in, conn->in_cap);
  conn->owner->stats.in_bytes -= conn->in_cap;
  conn->in = NULL;
  conn->in_len = conn->in_cap = 0;
}

static bool keep(struct conn *conn, struct slice rest) {
  if (!reserve(conn, rest.len)) return false;
  memcpy(conn->in + conn->in_len, rest.at, rest.len);
  conn->in_len += rest.len;
  return true;
}

static void give_up(struct conn *conn) {
  log_often(conn->owner->loop->log, LOG_CONNECTION, TRACE_WARNING,
            "tcp: no room for another message that is not complete; closing its connection");
  conn_close(conn, ERR_FULL);
}

/* Nothing is kept from before: frame in place. */
static void take_fresh(struct conn *conn, struct slice bytes) {
  size_t done = frame_all(conn, bytes);
  if (conn->state != CONN_OPEN || done == bytes.len) return;
  conn->begun_at = clock_monotonic();
  if (!keep(conn, slice_skip(bytes, done))) give_up(conn);
}

static void take_more(struct conn *conn, struct slice bytes) {
  if (conn->in_len + bytes.len > KEPT_BYTES_MAX + TCP_READ_BYTES || !keep(conn, bytes)) {
    give_up(conn);
    return;
  }
  size_t done = frame_all(conn, slice_of(conn->in, conn->in_len));
  if (conn->state == CONN_CLOSED) return; /* on_closed frees what is kept */
  conn->in_len -= done;
  if (conn->in_len == 0) {
    release(conn);
  } else if (done > 0) {
    memmove(conn->in, conn->in + done, conn->in_len);
    conn->begun_at = clock_monotonic();
  }
}

static void take_words(struct conn *conn, struct slice bytes) {
  if (conn->in_len > 0)
    take_more(conn, bytes);
  else
    take_fresh(conn, bytes);
}

/* ---- TLS ---- */

static void tls_failed(struct conn *conn) {
  char text[ADDRESS_TEXT_BYTES];
  conn->owner->stats.unproven++;
  log_often(conn->owner->loop->log, LOG_TLS, TRACE_INFO, "tls: %s: %s",
            address_text(&conn->peer, text), tls_reason(conn->tls));
  conn_flush(conn); /* the alert that says why */
  conn_close(conn, ERR_REFUSED);
}

/* The first bytes of an accepted connection say what it speaks. */
static bool begin_tls(struct conn *conn, struct slice bytes) {
  bool first = conn->accepted && !conn->spoke && conn->in_len == 0 && conn->tls == NULL;
  if (!first || (unsigned char)bytes.at[0] != TLS_FIRST_BYTE || conn->owner->tls == NULL)
    return true;
  conn->tls = tls_open(conn->owner->tls, true, NULL);
  if (conn->tls == NULL) return false;
  conn->peer.transport = TRANSPORT_TLS;
  conn->state = CONN_SHAKING;
  return true;
}

static void shaken(struct conn *conn) {
  struct tcp_stats *stats = &conn->owner->stats;
  stats->shaken++;
  stats->resumed += tls_resumed(conn->tls);
  conn_ready(conn);
}

static void take_wire(struct conn *conn, struct slice bytes) {
  char *plain = conn->owner->plain_buffer;
  enum tls_state state = tls_take(conn->tls, bytes);
  if (state == TLS_READY && conn->state == CONN_SHAKING) shaken(conn);
  while (conn->state == CONN_OPEN && state == TLS_READY) {
    size_t n = tls_read(conn->tls, plain, TCP_READ_BYTES, &state);
    if (n == 0) break;
    take_words(conn, slice_of(plain, n));
  }
  if (state == TLS_FAILED && conn->state != CONN_CLOSED) {
    tls_failed(conn);
  } else if (state == TLS_ENDED && conn->state == CONN_OPEN) {
    loop_settle(conn->owner->loop);
    conn_close(conn, ERR_CLOSED);
  } else {
    conn_flush(conn);
  }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  struct conn *conn = stream->data;
  if (n < 0) {
    /* Who asks and hangs up at once still gets what can be answered at once. */
    if (n == UV_EOF && conn->state == CONN_OPEN) loop_settle(conn->owner->loop);
    conn_close(conn, ERR_CLOSED);
    return;
  }
  if (n == 0 || (conn->state != CONN_OPEN && conn->state != CONN_SHAKING)) return;
  struct slice bytes = slice_of(buf->base, (size_t)n);
  conn->owner->stats.reads++;
  if (!begin_tls(conn, bytes)) {
    conn_close(conn, ERR_MEMORY);
    return;
  }
  if (conn->tls != NULL)
    take_wire(conn, bytes);
  else
    take_words(conn, bytes);
  conn_watch(conn);
}

void conn_read_start(struct conn *conn) {
  if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) != 0) conn_close(conn, ERR_IO);
}
