/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/load.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bare.h"
#include "bench/load_stream.h"

#define BYTES 4096
#define STUCK_US 200000 /* so long without an answer: what is under way is lost */
#define ALIVE_US 10000
#define JOIN_US 10000000

struct batch {
  struct mmsghdr message[LOAD_BATCH];
  struct iovec vec[LOAD_BATCH];
  struct sockaddr_in address[LOAD_BATCH];
  char bytes[LOAD_BATCH][BYTES];
};
static struct batch in, out;
static struct load *loads;

static struct sockaddr_in address_of(const struct endpoint *at) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(at->port)};
  memcpy(&address.sin_addr, at->addr, 4);
  return address;
}

static struct endpoint endpoint_of(const struct sockaddr_in *address) {
  struct endpoint at = {.port = ntohs(address->sin_port), .family = 4};
  memcpy(at.addr, &address->sin_addr, 4);
  return at;
}

static void prepare(struct batch *batch) {
  for (unsigned i = 0; i < LOAD_BATCH; i++) {
    batch->vec[i] = (struct iovec){batch->bytes[i], BYTES};
    batch->message[i].msg_hdr = (struct msghdr){.msg_name = &batch->address[i],
                                                .msg_namelen = sizeof batch->address[i],
                                                .msg_iov = &batch->vec[i],
                                                .msg_iovlen = 1};
  }
}

static unsigned take_batch(int fd) {
  for (unsigned i = 0; i < LOAD_BATCH; i++) in.vec[i].iov_len = BYTES;
  int count = recvmmsg(fd, in.message, LOAD_BATCH, MSG_DONTWAIT, NULL);
  return count < 0 ? 0 : (unsigned)count;
}

static bool is_of_load(struct slice data) {
  return slice_find(data, SLICE(REQUEST_MARK)) < data.len;
}

/* ---- the neighbour ---- */

static void send_of_peer(void *context, const struct output *output) {
  struct load *load = context;
  if (output->flow != 0) {
    stream_put(&load->downstream, output->data);
    return;
  }
  struct sockaddr_in to = address_of(&output->peer);
  sendto(load->neighbour, output->data.at, output->data.len, 0, (struct sockaddr *)&to, sizeof to);
}

static void be_neighbour(struct load *load) {
  unsigned count = take_batch(load->neighbour), answers = 0;
  for (unsigned i = 0; i < count; i++) {
    struct slice data = slice_of(in.bytes[i], in.message[i].msg_len);
    if (is_of_load(data)) {
      size_t len = answer_make(data, out.bytes[answers], BYTES);
      out.vec[answers].iov_len = len;
      out.address[answers] = in.address[i];
      if (len > 0) answers++;
    } else if (load->peer.node != NULL) {
      struct input input = {.kind = IN_MESSAGE, .peer = endpoint_of(&in.address[i]), .data = data};
      bench_peer_step(&load->peer, &input);
    }
  }
  if (answers > 0) sendmmsg(load->neighbour, out.message, answers, 0);
  if (load->listener >= 0) stream_accept(&load->downstream, load->listener);
  struct slice message;
  while (stream_next(&load->downstream, &message)) {
    if (is_of_load(message)) {
      size_t len = answer_make(message, out.bytes[0], BYTES);
      stream_put(&load->downstream, slice_of(out.bytes[0], len));
    } else if (load->peer.node != NULL) {
      struct input input = {
          .kind = IN_MESSAGE, .flow = 1, .peer = load->client_at, .data = message};
      input.peer.transport = TRANSPORT_TCP;
      bench_peer_step(&load->peer, &input);
    }
  }
  stream_flush(&load->downstream);
  if (load->peer.node != NULL) bench_peer_tick(&load->peer);
}

/* The others' peers, which must not fall silent while this load has its turn. */
static void keep_alive(const struct load *load, usec now) {
  static usec done_at;
  if (now - done_at < ALIVE_US) return;
  done_at = now;
  for (struct load *other = loads; other != NULL; other = other->next)
    if (other != load && other->peer.node != NULL) be_neighbour(other);
}

/* ---- the client ---- */

static void count_answer(struct load *load, struct slice data) {
  if (slice_starts(data, SLICE("SIP/2.0 1"))) return;
  bool echoed = slice_starts(data, SLICE("LOCSER ")); /* by the bare loop */
  if (echoed || slice_starts(data, SLICE("SIP/2.0 20")))
    load->good++;
  else
    load->bad++;
  if (load->under_way > 0) load->under_way--;
}

static void take_answers(struct load *load) {
  struct slice message;
  unsigned count = take_batch(load->client);
  for (unsigned i = 0; i < count; i++)
    count_answer(load, slice_of(in.bytes[i], in.message[i].msg_len));
  while (stream_next(&load->upstream, &message)) count_answer(load, message);
}

static void send_requests(struct load *load, const struct server *server,
                          const struct request *requests, unsigned count, enum transport over,
                          uint32_t window) {
  char bytes[REQUEST_BYTES];
  unsigned wanted = load->under_way < window ? window - load->under_way : 0;
  if (wanted > LOAD_BATCH) wanted = LOAD_BATCH;
  for (unsigned i = 0; i < wanted; i++) {
    uint64_t number = ++load->number;
    const struct request *request = &requests[number % count];
    if (over == TRANSPORT_TCP) {
      request_copy(request, number, bytes);
      stream_put(&load->upstream, slice_of(bytes, sizeof bytes));
      continue;
    }
    request_copy(request, number, out.bytes[i]);
    out.vec[i].iov_len = REQUEST_BYTES;
    out.address[i] = address_of(&server->at);
  }
  load->under_way += wanted;
  if (over == TRANSPORT_TCP)
    stream_flush(&load->upstream);
  else if (wanted > 0)
    sendmmsg(load->client, out.message, wanted, 0);
}

void load_run(struct load *load, const struct server *server, const struct request *requests,
              unsigned count, enum transport over, uint32_t window, usec duration_us,
              struct load_result *result) {
  *result = (struct load_result){0};
  load->good = load->bad = load->under_way = 0;
  if (over == TRANSPORT_TCP && load->upstream.fd < 0) stream_connect(&load->upstream, &server->at);
  usec begin = bench_now(), moved = begin, now = begin;
  uint64_t cpu = server_cpu_ns(server), seen = 0;
  for (; now - begin < duration_us; now = bench_now()) {
    send_requests(load, server, requests, count, over, window);
    be_neighbour(load);
    keep_alive(load, now);
    take_answers(load);
    if (load->good != seen) {
      seen = load->good;
      moved = now;
    } else if (now - moved > STUCK_US) {
      result->lost += load->under_way;
      load->under_way = 0;
      moved = now;
    }
  }
  while (load->under_way > 0 && bench_now() - now < STUCK_US) {
    be_neighbour(load);
    take_answers(load);
  }
  result->lost += load->under_way;
  result->answers = load->good;
  result->bad = load->bad;
  uint64_t done = load->good + load->bad;
  result->cpu_ns = (double)(server_cpu_ns(server) - cpu) / (double)(done > 0 ? done : 1);
  result->rate = (double)load->good * 1e6 / (double)(bench_now() - begin);
}

uint64_t load_each(struct load *load, const struct server *server, uint64_t count, uint32_t window,
                   size_t (*make)(struct load *load, uint64_t number, char *out, size_t cap)) {
  struct sockaddr_in to = address_of(&server->at);
  uint64_t sent = 0, seen = 0;
  usec moved = bench_now();
  load->good = load->bad = load->under_way = 0;
  while (load->good + load->bad < count && bench_now() - moved < 10 * STUCK_US) {
    unsigned batch = 0;
    while (load->under_way < window && sent < count && batch < LOAD_BATCH) {
      out.vec[batch].iov_len = make(load, sent++, out.bytes[batch], BYTES);
      out.address[batch++] = to;
      load->under_way++;
    }
    if (batch > 0) sendmmsg(load->client, out.message, batch, 0);
    take_answers(load);
    keep_alive(load, bench_now());
    if (load->good + load->bad == seen) continue;
    seen = load->good + load->bad;
    moved = bench_now();
  }
  return load->good;
}

/* ---- the ring of two ---- */

/* Opposite of the server, so that each is responsible for half of the keys. */
static struct key opposite(const struct key *id) { return key_add_power(id, KEY_BITS - 1); }

bool load_join(struct load *load, const struct server *server) {
  struct key id = opposite(&server->id);
  struct endpoint join = server->at;
  join.transport = TRANSPORT_TCP;
  if (!bench_peer_start(&load->peer, &id, &load->neighbour_at, &join, send_of_peer, load))
    return false;
  usec begin = bench_now();
  bool ready = false;
  while (!ready && bench_now() - begin < JOIN_US) {
    be_neighbour(load);
    keep_alive(load, bench_now());
    ready = node_stats(load->peer.node).ready && server_number(server, "known-peers") > 0;
  }
  return ready;
}

bool load_open(struct load *load) {
  memset(load, 0, sizeof *load);
  load->upstream.fd = load->downstream.fd = -1;
  load->client = bare_socket(&load->client_at);
  load->neighbour = bare_socket(&load->neighbour_at);
  load->listener = stream_listen(&load->neighbour_at);
  load->next = loads;
  loads = load;
  prepare(&in);
  prepare(&out);
  return load->client >= 0 && load->neighbour >= 0 && load->listener >= 0;
}

void load_close(struct load *load) {
  struct load **link = &loads;
  while (*link != NULL && *link != load) link = &(*link)->next;
  if (*link != NULL) *link = load->next;
  if (load->peer.node != NULL) bench_peer_stop(&load->peer);
  if (load->client >= 0) close(load->client);
  if (load->neighbour >= 0) close(load->neighbour);
  if (load->listener >= 0) close(load->listener);
  stream_close(&load->upstream);
  stream_close(&load->downstream);
}
