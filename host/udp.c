/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "host/address.h"

#define DATAGRAM_BYTES 65536u
/* Buffers a power of two apart would all fall into the same few lines of the caches. */
#define BUFFER_STRIDE (DATAGRAM_BYTES + 1088u)
#define SOCKET_BUFFER_BYTES (1 << 20)
#define ROUNDS_MAX 4u /* batches in one turn: TCP and timers want theirs too */
#define ROUTES 256u   /* a power of two */

struct waiting {
  struct waiting *next;
  struct endpoint to;
  size_t len;
  char bytes[];
};
struct udp_socket {
  uv_poll_t poll;
  struct udp *udp;
  int fd;
  struct endpoint at;
  struct waiting *first, **last;
  uint32_t waiting;
};
/* By which socket a peer last reached us: answers leave by the same (RFC 3581 4). */
struct route {
  struct endpoint peer;
  uint8_t socket;
};
struct udp {
  struct loop *loop;
  struct udp_socket socket[UDP_SOCKETS_MAX];
  unsigned sockets;
  char *buffers; /* UDP_BATCH of them; only touched pages count */
  struct mmsghdr in[UDP_BATCH], out[UDP_BATCH];
  struct iovec in_vec[UDP_BATCH], out_vec[UDP_BATCH];
  union address in_from[UDP_BATCH], out_to[UDP_BATCH];
  struct endpoint out_peer[UDP_BATCH];
  unsigned out_count, out_socket; /* a batch is for one socket */
  struct route route[ROUTES];     /* used with more than one socket only */
  struct udp_stats stats;
};

struct udp_stats udp_stats(const struct udp *udp) {
  return udp->stats;
}

struct udp *udp_new(struct loop *loop) {
  struct udp *udp = host_take(sizeof *udp);
  udp->loop = loop;
  udp->buffers = mmap(NULL, UDP_BATCH * BUFFER_STRIDE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT(udp->buffers != MAP_FAILED);
  for (unsigned i = 0; i < UDP_BATCH; i++) {
    udp->in_vec[i] = (struct iovec){udp->buffers + i * BUFFER_STRIDE, DATAGRAM_BYTES};
    udp->in[i].msg_hdr.msg_iov = &udp->in_vec[i];
    udp->in[i].msg_hdr.msg_iovlen = 1;
    udp->in[i].msg_hdr.msg_name = &udp->in_from[i];
    udp->out[i].msg_hdr.msg_iov = &udp->out_vec[i];
    udp->out[i].msg_hdr.msg_iovlen = 1;
    udp->out[i].msg_hdr.msg_name = &udp->out_to[i];
  }
  return udp;
}

enum err udp_listen(struct udp *udp, struct endpoint *at, struct why *why) {
  char text[ADDRESS_TEXT_BYTES];
  union address address;
  socklen_t len = address_of(at, &address);
  ASSERT(udp->sockets < UDP_SOCKETS_MAX);
  int fd = socket(address.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return why_say(why, ERR_IO, "udp: no socket: %s", strerror(errno));
  int on = 1, room = SOCKET_BUFFER_BYTES;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room); /* less is slower, not wrong */
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  if (at->family == 6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(fd, &address.any, len) != 0 || getsockname(fd, &address.any, &len) != 0) {
    int error = errno;
    close(fd);
    return why_say(why, error == EADDRINUSE ? ERR_EXISTS : ERR_IO, "udp %s: %s",
                   address_text(at, text), strerror(error));
  }
  struct udp_socket *s = &udp->socket[udp->sockets++];
  *at = address_to(&address, TRANSPORT_UDP);
  *s = (struct udp_socket){.udp = udp, .fd = fd, .at = *at};
  s->last = &s->first;
  uv_poll_init(&udp->loop->uv, &s->poll, fd);
  s->poll.data = s;
  return OK;
}

/* ---- choosing the socket ---- */

static struct route *route_of(struct udp *udp, const struct endpoint *peer) {
  uint32_t hash = peer->port;
  for (unsigned i = 0; i < sizeof peer->addr; i++) hash = hash * 31u + peer->addr[i];
  return &udp->route[(hash ^ hash >> 8) % ROUTES];
}

static void note_route(struct udp *udp, const struct endpoint *peer, unsigned index) {
  if (udp->sockets > 1) *route_of(udp, peer) = (struct route){*peer, (uint8_t)index};
}

static bool suits(const struct udp_socket *s, const struct endpoint *to, bool closely) {
  if (s->at.family != to->family) return false;
  return !closely || endpoint_is_wildcard(&s->at) ||
         endpoint_is_loopback(&s->at) == endpoint_is_loopback(to);
}

/* UDP_SOCKETS_MAX: none. */
static unsigned choose_socket(struct udp *udp, const struct endpoint *to) {
  const struct route *route = route_of(udp, to);
  if (udp->sockets > 1 && endpoint_same_address(&route->peer, to)) return route->socket;
  for (int closely = 1; closely >= 0; closely--)
    for (unsigned i = 0; i < udp->sockets; i++)
      if (suits(&udp->socket[i], to, closely == 1)) return i;
  return UDP_SOCKETS_MAX;
}

/* ---- sending ---- */

static void on_event(uv_poll_t *poll, int status, int events);

static void watch(struct udp_socket *s) {
  uv_poll_start(&s->poll, UV_READABLE | (s->first != NULL ? UV_WRITABLE : 0), on_event);
}

static void drop_oldest(struct udp_socket *s) {
  struct waiting *oldest = s->first;
  s->first = oldest->next;
  if (s->first == NULL) s->last = &s->first;
  s->waiting--;
  s->udp->stats.dropped++;
  free(oldest);
}

static void enqueue(struct udp_socket *s, const struct endpoint *to, struct slice data) {
  if (s->waiting >= UDP_QUEUE_MAX) drop_oldest(s);
  struct waiting *w = host_take(sizeof *w + data.len);
  w->to = *to;
  w->len = data.len;
  memcpy(w->bytes, data.at, data.len);
  bool idle = s->first == NULL;
  *s->last = w;
  s->last = &w->next;
  s->waiting++;
  s->udp->stats.queued++;
  if (idle) watch(s);
}

static void say_refused(struct udp *udp, const struct endpoint *to, int error) {
  char text[ADDRESS_TEXT_BYTES];
  udp->stats.dropped++;
  log_often(udp->loop->log, LOG_DATAGRAM, TRACE_WARNING, "udp: nothing can be sent to %s: %s",
            address_text(to, text), strerror(error));
}

static bool must_wait(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS;
}

void udp_flush(struct udp *udp) {
  struct udp_socket *s = &udp->socket[udp->out_socket];
  unsigned at = 0;
  while (at < udp->out_count && s->first == NULL) {
    int n = sendmmsg(s->fd, udp->out + at, udp->out_count - at, 0);
    if (n > 0) {
      at += (unsigned)n;
      udp->stats.writes++;
      udp->stats.sent += (unsigned)n;
    } else if (must_wait(errno)) {
      break;
    } else if (errno != EINTR) {
      say_refused(udp, &udp->out_peer[at], errno);
      at++;
    }
  }
  for (; at < udp->out_count; at++)
    enqueue(s, &udp->out_peer[at], slice_of(udp->out_vec[at].iov_base, udp->out_vec[at].iov_len));
  udp->out_count = 0;
}

void udp_send(struct udp *udp, const struct endpoint *to, struct slice data) {
  unsigned index = choose_socket(udp, to);
  if (index == UDP_SOCKETS_MAX) {
    udp->stats.no_socket++;
    return;
  }
  if (udp->out_count == UDP_BATCH || (udp->out_count > 0 && udp->out_socket != index))
    udp_flush(udp);
  unsigned i = udp->out_count++;
  udp->out_socket = index;
  udp->out_peer[i] = *to;
  udp->out_vec[i] = (struct iovec){(void *)(uintptr_t)data.at, data.len};
  udp->out[i].msg_hdr.msg_namelen = address_of(to, &udp->out_to[i]);
}

static void send_waiting(struct udp_socket *s) {
  while (s->first != NULL) {
    struct waiting *w = s->first;
    union address to;
    socklen_t len = address_of(&w->to, &to);
    if (sendto(s->fd, w->bytes, w->len, 0, &to.any, len) < 0) {
      if (must_wait(errno) || errno == EINTR) break;
      say_refused(s->udp, &w->to, errno);
    } else {
      s->udp->stats.sent++;
    }
    s->first = w->next;
    s->waiting--;
    free(w);
  }
  if (s->first == NULL) s->last = &s->first;
  watch(s);
}

/* ---- receiving ---- */

/* Line ends and zero bytes that phones send to keep a NAT open (RFC 5626 4.4.1 and older). */
static bool is_keep_alive(struct slice data) {
  if (data.len > 4) return false;
  for (size_t i = 0; i < data.len; i++)
    if (data.at[i] != '\r' && data.at[i] != '\n' && data.at[i] != '\0') return false;
  return true;
}

static unsigned receive(struct udp_socket *s) {
  struct udp *udp = s->udp;
  for (unsigned i = 0; i < UDP_BATCH; i++) udp->in[i].msg_hdr.msg_namelen = sizeof(union address);
  int n = recvmmsg(s->fd, udp->in, UDP_BATCH, MSG_DONTWAIT, NULL);
  if (n <= 0) return 0;
  udp->stats.reads++;
  udp->stats.received += (unsigned)n;
  for (int i = 0; i < n; i++) {
    struct input input = {.kind = IN_MESSAGE,
                          .peer = address_to(&udp->in_from[i], TRANSPORT_UDP),
                          .data = slice_of(udp->in_vec[i].iov_base, udp->in[i].msg_len)};
    if (is_keep_alive(input.data)) continue;
    note_route(udp, &input.peer, (unsigned)(s - udp->socket));
    loop_step(udp->loop, &input);
  }
  return (unsigned)n;
}

static void on_event(uv_poll_t *poll, int status, int events) {
  struct udp_socket *s = poll->data;
  if (status < 0) events = UV_READABLE | UV_WRITABLE; /* reading or writing will say what it is */
  if (events & UV_WRITABLE) send_waiting(s);
  if (events & UV_READABLE)
    for (unsigned round = 0; round < ROUNDS_MAX && receive(s) == UDP_BATCH; round++) continue;
}

void udp_start(struct udp *udp) {
  for (unsigned i = 0; i < udp->sockets; i++) watch(&udp->socket[i]);
}

static void on_closed(uv_handle_t *handle) {
  struct udp_socket *s = handle->data;
  close(s->fd);
}

void udp_stop(struct udp *udp) {
  for (unsigned i = 0; i < udp->sockets; i++)
    uv_close((uv_handle_t *)&udp->socket[i].poll, on_closed);
}

void udp_free(struct udp *udp) {
  for (unsigned i = 0; i < udp->sockets; i++)
    while (udp->socket[i].first != NULL) drop_oldest(&udp->socket[i]);
  munmap(udp->buffers, UDP_BATCH * BUFFER_STRIDE);
  free(udp);
}
