/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections: their tables, limits, deadlines and ends. */
#include "host/tcp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "host/address.h"
#include "host/clock.h"
#include "host/tcp_internal.h"

#define BACKLOG 512
#define KEEPALIVE_S 60
#define USER_TIMEOUT_MS 15000 /* a link whose other end is gone ends, even while it is silent */
#define CHUNK_CONNS 16u

static void *take(void *context, size_t bytes) {
  (void)context;
  return malloc(bytes);
}

static void give(void *context, void *at, size_t bytes) {
  (void)context;
  (void)bytes;
  free(at);
}

static void on_timer(uv_timer_t *timer);

struct tcp *tcp_new(struct loop *loop, const struct tcp_limits *limits, struct tls *tls) {
  struct tcp *tcp = host_take(sizeof *tcp);
  tcp->loop = loop;
  tcp->limits = *limits;
  tcp->memory = (struct memory){take, give, NULL};
  pool_init(&tcp->conns, &tcp->memory, sizeof(struct conn), CHUNK_CONNS,
            limits->accepted_max + limits->links_max);
  map_init(&tcp->flows, &tcp->memory);
  map_init(&tcp->links, &tcp->memory);
  map_init(&tcp->sources, &tcp->memory);
  map_init(&tcp->proven, &tcp->memory);
  tcp->tls = tls;
  uv_random(NULL, NULL, &tcp->hash, sizeof tcp->hash, 0, NULL);
  const uint32_t per_s[SOURCE_METERS] = {[SOURCE_REQUESTS] = limits->per_s_max};
  sources_init(&tcp->connecting, &tcp->memory, tcp->hash, per_s);
  uv_random(NULL, NULL, &tcp->last_flow, sizeof tcp->last_flow, 0, NULL);
  tcp->read_buffer = host_take(TCP_READ_BYTES);
  if (tls != NULL) tcp->plain_buffer = host_take(TCP_READ_BYTES);
  uv_timer_init(&loop->uv, &tcp->timer);
  tcp->timer.data = tcp;
  tcp->timer_at = USEC_NEVER;
  return tcp;
}

struct tcp_stats tcp_stats(const struct tcp *tcp) {
  return tcp->stats;
}

/* ---- tables ---- */

/* Of a link by address and transport, of a source by its prefix. */
static uint64_t hash_of(const struct tcp *tcp, const struct endpoint *e, bool link) {
  return link ? hash_bytes(tcp->hash, e, sizeof *e) : tcp_source_hash(tcp, e);
}

static uint64_t hash_of_id(const struct tcp *tcp, const struct key *id) {
  return hash_bytes(tcp->hash, id, sizeof *id);
}

static struct conn *conn_at(struct tcp *tcp, uint32_t index) {
  return pool_next(&tcp->conns, &index);
}

static struct conn *find_flow(struct tcp *tcp, uint32_t flow) {
  struct map_cursor cursor;
  uint32_t index = map_first(&tcp->flows, flow, &cursor);
  return index == MAP_END ? NULL : conn_at(tcp, index);
}

/* What was opened for somebody else, or for anybody, must not get what is for one peer alone. */
static bool leads_to(const struct conn *conn, const struct key *id) {
  return conn->tls == NULL || id == NULL || key_is_zero(id) ||
         key_equal(tls_expected(conn->tls), id);
}

static struct conn *find_link(struct tcp *tcp, const struct endpoint *peer, const struct key *id) {
  struct map_cursor cursor;
  for (uint32_t i = map_first(&tcp->links, hash_of(tcp, peer, true), &cursor); i != MAP_END;
       i = map_next(&tcp->links, &cursor)) {
    struct conn *conn = conn_at(tcp, i);
    if (endpoint_equal(&conn->peer, peer) && conn->state <= CONN_OPEN && leads_to(conn, id))
      return conn;
  }
  return NULL;
}

/* Whoever opened it. */
static struct conn *find_proven(struct tcp *tcp, const struct key *id) {
  struct map_cursor cursor;
  for (uint32_t i = map_first(&tcp->proven, hash_of_id(tcp, id), &cursor); i != MAP_END;
       i = map_next(&tcp->proven, &cursor)) {
    struct conn *conn = conn_at(tcp, i);
    if (conn->state == CONN_OPEN && key_equal(tls_expected(conn->tls), id)) return conn;
  }
  return NULL;
}

static uint32_t next_flow(struct tcp *tcp) {
  struct map_cursor cursor;
  do {
    tcp->last_flow = (tcp->last_flow + 1) % LOOP_FLOW_WEB;
  } while (tcp->last_flow == 0 || map_first(&tcp->flows, tcp->last_flow, &cursor) != MAP_END);
  return tcp->last_flow;
}

/* Which of a kind was unused for longest; NULL: none that may go. */
static struct conn *least_used(struct tcp *tcp, bool accepted, usec unused_since) {
  struct conn *best = NULL;
  uint32_t index = 0;
  for (struct conn *conn; (conn = pool_next(&tcp->conns, &index)) != NULL;) {
    if (conn->accepted != accepted || conn->state != CONN_OPEN || conn->used_at > unused_since)
      continue;
    if (conn_waiting(conn) > 0 || conn->in_len > 0) continue;
    if (best == NULL || conn->used_at < best->used_at) best = conn;
  }
  return best;
}

static void enter(struct conn *conn) {
  struct tcp *tcp = conn->owner;
  uint64_t hash = hash_of(tcp, &conn->peer, !conn->accepted);
  enum err err = map_put(&tcp->flows, conn->flow, conn->handle.index);
  if (err == OK)
    err = map_put(conn->accepted ? &tcp->sources : &tcp->links, hash, conn->handle.index);
  if (err != OK) host_take(SIZE_MAX / 2); /* ends the process with its message */
  if (conn->accepted)
    tcp->stats.accepted_now++;
  else
    tcp->stats.links_now++;
}

static void leave(struct conn *conn) {
  struct tcp *tcp = conn->owner;
  map_remove(&tcp->flows, conn->flow, conn->handle.index);
  map_remove(conn->accepted ? &tcp->sources : &tcp->links,
             hash_of(tcp, &conn->peer, !conn->accepted), conn->handle.index);
  if (conn->entered)
    map_remove(&tcp->proven, hash_of_id(tcp, tls_expected(conn->tls)), conn->handle.index);
  if (conn->accepted)
    tcp->stats.accepted_now--;
  else
    tcp->stats.links_now--;
}

/* ---- beginning and end ---- */

static struct conn *conn_new(struct tcp *tcp, bool accepted) {
  struct handle handle;
  struct conn *conn = pool_take(&tcp->conns, &handle);
  if (conn == NULL) return NULL;
  conn->handle = handle;
  conn->owner = tcp;
  conn->accepted = accepted;
  conn->flow = next_flow(tcp);
  conn->used_at = clock_monotonic();
  conn->tcp.data = conn;
  if (uv_tcp_init(&tcp->loop->uv, &conn->tcp) == 0) return conn;
  pool_give(&tcp->conns, handle);
  return NULL;
}

static void on_closed(uv_handle_t *handle) {
  struct conn *conn = handle->data;
  free(conn->in);
  tls_close(conn->tls);
  conn_free_out(conn);
  pool_give(&conn->owner->conns, conn->handle);
}

/* A handle that never got into the tables. */
static void discard(struct conn *conn) {
  conn->state = CONN_CLOSED;
  uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void undirty(struct conn *conn) {
  if (!conn->dirty) return;
  struct conn **at = &conn->owner->dirty;
  while (*at != conn) at = &(*at)->dirty_next;
  *at = conn->dirty_next;
  conn->dirty = false;
}

void conn_close(struct conn *conn, enum err why) {
  if (conn->state == CONN_CLOSED) return;
  bool known = conn->accepted || conn->state > CONN_SHAKING;
  struct tcp *tcp = conn->owner;
  conn->state = CONN_CLOSED;
  undirty(conn);
  leave(conn);
  tcp->stats.in_bytes -= conn->in_cap;
  if (!tcp->stopped) {
    conn_fail_tickets(conn, why);
    if (known)
      loop_later(tcp->loop,
                 &(struct input){.kind = IN_FLOW,
                                 .flow = conn->flow,
                                 .status = why,
                                 .peer = conn->peer,
                                 .proven = conn->tls != NULL ? tls_proven(conn->tls) : NULL});
  }
  uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void set_options(struct conn *conn) {
  uv_os_fd_t fd;
  unsigned timeout_ms = USER_TIMEOUT_MS;
  uv_tcp_nodelay(&conn->tcp, 1);
  uv_tcp_keepalive(&conn->tcp, 1, KEEPALIVE_S);
  if (uv_fileno((uv_handle_t *)&conn->tcp, &fd) == 0)
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

/* ---- deadlines ---- */

static usec conn_deadline(const struct conn *conn) {
  const struct tcp_limits *limits = &conn->owner->limits;
  usec deadline = USEC_NEVER;
  switch (conn->state) {
    case CONN_CONNECTING:
    case CONN_SHAKING:
      return conn->used_at + TCP_CONNECT_US;
    case CONN_OPEN:
    case CONN_LAST_WORDS:
      if (conn->in_len > 0) deadline = conn->begun_at + limits->message_us; /* */
      if (conn->writing_len > 0) return usec_min(deadline, conn->write_at + TCP_WRITE_US);
      if (conn->accepted && !conn->spoke)
        return usec_min(deadline, conn->used_at + TCP_FIRST_MESSAGE_US);
      return usec_min(deadline, conn->used_at + (conn->accepted ? limits->accepted_idle_us
                                                                : limits->link_idle_us));
    case CONN_LINGER:
      return conn->used_at + TCP_LINGER_US;
    case CONN_CLOSED:
      break;
  }
  return USEC_NEVER;
}

static void arm(struct tcp *tcp, usec deadline) {
  usec now = clock_monotonic();
  tcp->timer_at = deadline;
  if (deadline == USEC_NEVER)
    uv_timer_stop(&tcp->timer);
  else
    uv_timer_start(&tcp->timer, on_timer, deadline > now ? (deadline - now) / USEC_PER_MSEC + 1 : 1,
                   0);
}

void conn_watch(struct conn *conn) {
  usec deadline = conn_deadline(conn);
  if (deadline < conn->owner->timer_at) arm(conn->owner, deadline);
}

void conn_used(struct conn *conn) { conn->used_at = clock_monotonic(); }

static void on_timer(uv_timer_t *timer) {
  struct tcp *tcp = timer->data;
  usec now = clock_monotonic(), first = USEC_NEVER;
  uint32_t index = 0;
  char text[ADDRESS_TEXT_BYTES];
  for (struct conn *conn; (conn = pool_next(&tcp->conns, &index)) != NULL;) {
    usec deadline = conn_deadline(conn);
    if (deadline > now) {
      first = usec_min(first, deadline);
      continue;
    }
    bool stalled = conn->in_len > 0 || conn->writing_len > 0;
    if (stalled) {
      tcp->stats.stalled++;
      log_often(tcp->loop->log, LOG_CONNECTION, TRACE_INFO, "tcp: %s stalled and was closed",
                address_text(&conn->peer, text));
    }
    conn_close(conn, stalled || conn->state <= CONN_SHAKING ? ERR_TIMEOUT : ERR_CLOSED);
  }
  arm(tcp, first);
  loop_settle(tcp->loop);
}

/* ---- accepting ---- */

/* Full: the one unused for longest goes, if for long enough; else the new one. */
static bool make_room(struct tcp *tcp) {
  if (tcp->stats.accepted_now < tcp->limits.accepted_max) return true;
  usec now = clock_monotonic();
  struct conn *idle =
      now < TCP_EVICT_IDLE_US ? NULL : least_used(tcp, true, now - TCP_EVICT_IDLE_US);
  if (idle != NULL) conn_close(idle, ERR_LIMIT);
  return tcp->stats.accepted_now < tcp->limits.accepted_max;
}

static bool peer_of(const struct conn *conn, struct endpoint *out) {
  union address address;
  int len = sizeof address;
  if (uv_tcp_getpeername(&conn->tcp, &address.any, &len) != 0) return false;
  *out = address_to(&address, TRANSPORT_TCP);
  return true;
}

static void free_handle(uv_handle_t *handle) { free(handle); }

/* Accepts and closes, so that the caller sees it at once instead of waiting in the backlog. */
static void turn_away(struct tcp *tcp, uv_stream_t *stream, const char *why) {
  uv_tcp_t *handle = host_take(sizeof *handle);
  tcp->stats.refused++;
  log_often(tcp->loop->log, LOG_AWAY, TRACE_WARNING, "tcp: a connection was refused: %s", why);
  uv_tcp_init(&tcp->loop->uv, handle);
  uv_accept(stream, (uv_stream_t *)handle);
  uv_close((uv_handle_t *)handle, free_handle);
}

static void on_connection(uv_stream_t *stream, int status) {
  struct tcp *tcp = ((struct listener *)stream->data)->owner;
  if (status != 0) return;
  struct conn *conn = conn_new(tcp, true);
  if (conn == NULL && make_room(tcp)) conn = conn_new(tcp, true);
  if (conn == NULL) {
    turn_away(tcp, stream, "too many at once");
    return;
  }
  if (uv_accept(stream, (uv_stream_t *)&conn->tcp) != 0 || !peer_of(conn, &conn->peer)) {
    discard(conn);
    return;
  }
  const char *why = tcp_source_refuse(tcp, &conn->peer);
  if (why == NULL && !make_room(tcp)) why = "too many at once"; /* nobody goes for who is refused */
  if (why != NULL) {
    char text[ADDRESS_TEXT_BYTES];
    tcp->stats.refused++;
    log_often(tcp->loop->log, LOG_AWAY, TRACE_WARNING, "tcp: a connection from %s was refused: %s",
              address_text(&conn->peer, text), why);
    discard(conn);
    return;
  }
  conn->state = CONN_OPEN;
  tcp->stats.accepted++;
  enter(conn);
  set_options(conn);
  conn_read_start(conn);
  conn_watch(conn);
}

enum err tcp_listen(struct tcp *tcp, struct endpoint *at, struct why *why) {
  char text[ADDRESS_TEXT_BYTES];
  union address address;
  address_of(at, &address);
  ASSERT(tcp->listeners < TCP_LISTENERS_MAX);
  struct listener *listener = &tcp->listener[tcp->listeners];
  listener->owner = tcp;
  listener->tcp.data = listener;
  int status = uv_tcp_init_ex(&tcp->loop->uv, &listener->tcp, address.any.sa_family);
  if (status != 0) return why_say(why, ERR_IO, "tcp: no socket: %s", uv_strerror(status));
  tcp->listeners++; /* from here on tcp_stop closes it */
  status = uv_tcp_bind(&listener->tcp, &address.any, at->family == 6 ? UV_TCP_IPV6ONLY : 0);
  /* libuv says that an address is taken at the listen only. */
  if (status == 0) status = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, on_connection);
  int len = sizeof address;
  if (status == 0) status = uv_tcp_getsockname(&listener->tcp, &address.any, &len);
  if (status != 0)
    return why_say(why, status == UV_EADDRINUSE ? ERR_EXISTS : ERR_IO, "tcp %s: %s",
                   address_text(at, text), uv_strerror(status));
  *at = address_to(&address, TRANSPORT_TCP);
  return OK;
}

/* ---- opening ---- */

static void on_connected(uv_connect_t *request, int status) {
  struct conn *conn = request->data;
  if (conn->state != CONN_CONNECTING) return;
  if (status != 0) {
    conn_close(conn, status == UV_ETIMEDOUT ? ERR_TIMEOUT : ERR_CLOSED);
    return;
  }
  conn_used(conn);
  set_options(conn);
  conn_read_start(conn);
  conn->state = conn->tls != NULL ? CONN_SHAKING : CONN_OPEN;
  if (conn->tls == NULL) conn_ready(conn);
  conn_flush(conn);
  conn_watch(conn);
}

void conn_ready(struct conn *conn) {
  struct tcp *tcp = conn->owner;
  const struct key *proven = conn->tls != NULL ? tls_proven(conn->tls) : NULL;
  conn->state = CONN_OPEN;
  conn_used(conn);
  if (proven != NULL) {
    if (map_put(&tcp->proven, hash_of_id(tcp, proven), conn->handle.index) != OK)
      host_take(SIZE_MAX / 2); /* ends the process with its message */
    conn->entered = true;
  }
  if (!conn->accepted)
    loop_later(
        tcp->loop,
        &(struct input){.kind = IN_FLOW, .flow = conn->flow, .peer = conn->peer, .proven = proven});
}

static struct conn *open_link(struct tcp *tcp, const struct endpoint *peer,
                              const struct key *expect) {
  if (tcp->stats.links_now >= tcp->limits.links_max) {
    struct conn *idle = least_used(tcp, false, USEC_NEVER);
    if (idle == NULL) return NULL;
    conn_close(idle, ERR_LIMIT);
  }
  if (peer->transport == TRANSPORT_TLS && tcp->tls == NULL) return NULL;
  struct conn *conn = conn_new(tcp, false);
  if (conn == NULL) return NULL;
  union address address;
  address_of(peer, &address);
  conn->peer = *peer;
  conn->state = CONN_CONNECTING;
  conn->connect.data = conn;
  bool wants_tls = peer->transport == TRANSPORT_TLS;
  if (wants_tls) conn->tls = tls_open(tcp->tls, false, expect);
  if ((wants_tls && conn->tls == NULL) ||
      uv_tcp_connect(&conn->connect, &conn->tcp, &address.any, on_connected) != 0) {
    discard(conn);
    return NULL;
  }
  tcp->stats.opened++;
  enter(conn);
  conn_watch(conn);
  return conn;
}

/* ---- the node's outputs ---- */

static void undeliverable(struct tcp *tcp, uint64_t ticket, const struct endpoint *peer,
                          enum err why) {
  tcp->stats.undeliverable++;
  if (ticket == 0) return;
  loop_later(tcp->loop,
             &(struct input){.kind = IN_FLOW, .ticket = ticket, .status = why, .peer = *peer});
}

/* a connection that the other side opened is one only if it has proven that id. */
static struct conn *link_to(struct tcp *tcp, const struct endpoint *peer, const struct key *id) {
  bool tls = peer->transport == TRANSPORT_TLS;
  struct conn *conn = tls && !key_is_zero(id) ? find_proven(tcp, id) : NULL;
  if (conn == NULL) conn = find_link(tcp, peer, tls ? id : NULL);
  return conn == NULL && !tcp->stopped ? open_link(tcp, peer, id) : conn;
}

void tcp_send(struct tcp *tcp, uint32_t flow, const struct endpoint *peer, const struct key *expect,
              uint64_t ticket, struct slice data) {
  static const struct key anybody;
  struct conn *conn =
      flow != 0 ? find_flow(tcp, flow) : link_to(tcp, peer, expect != NULL ? expect : &anybody);
  if (conn == NULL || conn->state > CONN_LAST_WORDS) {
    undeliverable(tcp, ticket, peer, flow != 0 ? ERR_CLOSED : ERR_FULL);
    return;
  }
  if (!conn_put(conn, data, ticket)) return;
  tcp->stats.sent++;
  if (conn->state == CONN_OPEN) conn_used(conn);
}

void tcp_close_flow(struct tcp *tcp, uint32_t flow) {
  struct conn *conn = find_flow(tcp, flow);
  if (conn != NULL) conn_last_words(conn);
}

void tcp_close_untrusted(struct tcp *tcp) {
  uint32_t index = 0;
  for (struct conn *conn; (conn = pool_next(&tcp->conns, &index)) != NULL;)
    if (conn->state == CONN_OPEN && conn->entered && !tls_still_trusted(conn->tls))
      conn_close(conn, ERR_REFUSED);
}

void tcp_flush(struct tcp *tcp) {
  struct conn *conn = tcp->dirty;
  tcp->dirty = NULL;
  for (struct conn *next; conn != NULL; conn = next) {
    next = conn->dirty_next;
    conn->dirty = false;
    conn_flush(conn);
  }
}

bool tcp_writing(const struct tcp *tcp) {
  uint32_t index = 0;
  for (struct conn *conn; (conn = pool_next(&tcp->conns, &index)) != NULL;)
    if ((conn->state == CONN_OPEN || conn->state == CONN_LAST_WORDS) && conn_waiting(conn) > 0)
      return true;
  return false;
}

void tcp_stop(struct tcp *tcp) {
  tcp->stopped = true;
  uint32_t index = 0;
  for (struct conn *conn; (conn = pool_next(&tcp->conns, &index)) != NULL;)
    conn_close(conn, ERR_CLOSED);
  for (unsigned i = 0; i < tcp->listeners; i++)
    uv_close((uv_handle_t *)&tcp->listener[i].tcp, NULL);
  uv_close((uv_handle_t *)&tcp->timer, NULL);
}

void tcp_free(struct tcp *tcp) {
  pool_free(&tcp->conns);
  map_free(&tcp->flows);
  map_free(&tcp->links);
  map_free(&tcp->sources);
  sources_free(&tcp->connecting);
  map_free(&tcp->proven);
  spare_free(&tcp->spare);
  free(tcp->read_buffer);
  free(tcp->plain_buffer);
  free(tcp);
}
