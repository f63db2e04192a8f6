/* SPDX-License-Identifier: BSD-2-Clause */
/* Presence: how long a change takes from a phone's PUBLISH at one peer to the NOTIFY for a phone at
 * another, and how many bytes a watcher costs. */
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bare.h"
#include "bench/bench.h"
#include "bench/peer.h"
#include "bench/server.h"
#include "edge/events.h"

#define CHANGES 300u
#define LIMIT_US 30000000
#define AGAIN_US 500000
#define BYTES 8192u
#define WATCHERS 3000u
#define REST_US SEC(60) /* of the peer's time, in which transactions end */

/* ---- two peers ---- */

struct phone {
  int fd;
  struct endpoint at, peer;
  const char *user;
  unsigned cseq;
  char etag[32];
};

static void say(struct phone *phone, const char *text, size_t len) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(phone->peer.port)};
  memcpy(&to.sin_addr, phone->peer.addr, 4);
  sendto(phone->fd, text, len, 0, (struct sockaddr *)&to, sizeof to);
}

static void ask(struct phone *phone, const char *method, const char *to, const char *lines,
                const char *body) {
  char text[BYTES];
  bool registers = strcmp(method, "REGISTER") == 0;
  phone->cseq++;
  int len = snprintf(
      text, sizeof text,
      "%s sip:%s%sexample.net SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bK%s%u;rport\r\n"
      "Max-Forwards: 70\r\nFrom: <sip:%s@example.net>;tag=1\r\nTo: <sip:%s@example.net>\r\n"
      "Call-ID: %s%s\r\nCSeq: %u %s\r\nContact: <sip:%s@127.0.0.1:%u>\r\n%s"
      "Content-Length: %zu\r\n\r\n%s",
      method, registers ? "" : to, registers ? "" : "@", phone->at.port, phone->user, phone->cseq,
      phone->user, to, phone->user, method, phone->cseq, method, phone->user, phone->at.port, lines,
      strlen(body), body);
  say(phone, text, (size_t)len);
}

static struct slice line_of(struct slice text, const char *name) {
  struct slice line = slice_skip(text, slice_find(text, slice_cstr(name)));
  line = slice_skip(line, 2);
  return slice_first(line, slice_find(line, SLICE("\r\n")) + 2);
}

static void answer(struct phone *phone, struct slice request) {
  static const char *const names[] = {
      "\r\nVia: ", "\r\nFrom: ", "\r\nTo: ", "\r\nCall-ID: ", "\r\nCSeq: "};
  char text[BYTES];
  struct buf out = buf_over(text, sizeof text);
  buf_put_cstr(&out, "SIP/2.0 200 OK\r\n");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    buf_put(&out, line_of(request, names[i]));
  buf_put_cstr(&out, "Content-Length: 0\r\n\r\n");
  say(phone, text, out.len);
}

/* The next message that begins with `start` and has `has` in it; others are passed over, NOTIFYs
 * answered. False: not in time. */
static bool hear(struct phone *phone, const char *start, const char *has, usec limit_us,
                 char *text) {
  for (usec end = bench_now() + limit_us; bench_now() < end;) {
    struct pollfd wait = {.fd = phone->fd, .events = POLLIN};
    if (poll(&wait, 1, (int)((end - bench_now()) / 1000)) <= 0) continue;
    ssize_t len = recv(phone->fd, text, BYTES - 1, 0);
    struct slice message = slice_of(text, len > 0 ? (size_t)len : 0);
    if (slice_starts(message, SLICE("NOTIFY "))) answer(phone, message);
    text[message.len] = '\0';
    if (slice_starts(message, slice_cstr(start)) && strstr(text, has) != NULL) return true;
  }
  return false;
}

/* Asked until it is answered 200: at the beginning a peer may be busy. */
static bool ask_well(struct phone *phone, const char *method, const char *to, const char *lines,
                     const char *body, char *text) {
  for (usec end = bench_now() + LIMIT_US; bench_now() < end;) {
    ask(phone, method, to, lines, body);
    if (hear(phone, "SIP/2.0 200", method, AGAIN_US, text)) return true;
  }
  return false;
}

static bool publish(struct phone *phone, unsigned number, char *text) {
  char lines[160], body[320];
  snprintf(lines, sizeof lines, "Event: presence\r\nContent-Type: application/pidf+xml\r\n%s%s%s",
           phone->etag[0] != '\0' ? "SIP-If-Match: " : "", phone->etag,
           phone->etag[0] != '\0' ? "\r\n" : "");
  snprintf(body, sizeof body,
           "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"x\"><tuple id=\"t\"><status>"
           "<basic>open</basic></status><note>number %u.</note></tuple></presence>",
           number);
  ask(phone, "PUBLISH", phone->user, lines, body);
  if (!hear(phone, "SIP/2.0 200", "PUBLISH", LIMIT_US, text)) return false;
  struct slice tag = slice_skip(line_of(slice_cstr(text), "\r\nSIP-ETag: "), 10);
  snprintf(phone->etag, sizeof phone->etag, "%.16s", tag.at);
  return true;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static bool change(struct phone *bob, struct phone *alice) {
  static double took_ms[CHANGES];
  char text[BYTES], note[40];
  if (!ask_well(bob, "REGISTER", "bob", "Expires: 600\r\n", "", text) ||
      !ask_well(alice, "REGISTER", "alice", "Expires: 600\r\n", "", text) ||
      !publish(bob, CHANGES, text))
    return false;
  ask(alice, "SUBSCRIBE", "bob", "Event: presence\r\nExpires: 600\r\n", "");
  if (!hear(alice, "NOTIFY ", "number ", LIMIT_US, text)) return false;
  for (unsigned i = 0; i < CHANGES; i++) {
    usec begin = bench_now();
    snprintf(note, sizeof note, "number %u.", i);
    if (!publish(bob, i, text) || !hear(alice, "NOTIFY ", note, LIMIT_US, text)) return false;
    took_ms[i] = (double)(bench_now() - begin) / 1e3;
  }
  qsort(took_ms, CHANGES, sizeof *took_ms, compare);
  printf("  PUBLISH to NOTIFY across two peers: p50 %.2f ms, p99 %.2f ms, of %u\n",
         took_ms[CHANGES / 2], took_ms[CHANGES * 99 / 100], CHANGES);
  return true;
}

static bool print_change(void) {
  struct server first = {0}, second = {0};
  struct phone bob = {.user = "bob"}, alice = {.user = "alice"};
  char path[4096];
  bob.fd = bare_socket(&bob.at);
  alice.fd = bare_socket(&alice.at);
  bool good = bob.fd >= 0 && alice.fd >= 0 && server_find_program(path, sizeof path) &&
              server_start_program(&first, path, NULL) &&
              server_start_program(&second, path, &first.at);
  bob.peer = first.at;
  alice.peer = second.at;
  good = good && change(&bob, &alice);
  if (!good) printf("  two peers could not be started, or a NOTIFY did not come\n");
  server_stop(&second);
  server_stop(&first);
  if (bob.fd >= 0) close(bob.fd);
  if (alice.fd >= 0) close(alice.fd);
  return good;
}

/* ---- bytes ---- */

static struct heard {
  unsigned answered, count;
  size_t len[64];
  char text[64][BYTES];
} heard;

static void on_sent(void *context, const struct output *output) {
  (void)context;
  heard.answered += slice_starts(output->data, SLICE("SIP/2.0 200"));
  if (!slice_starts(output->data, SLICE("NOTIFY ")) || heard.count == 64) return;
  heard.len[heard.count] = output->data.len < BYTES ? output->data.len : 0;
  memcpy(heard.text[heard.count], output->data.at, heard.len[heard.count]);
  heard.count++;
}

static void say_in(struct bench_peer *peer, const struct endpoint *from, struct slice text) {
  bench_peer_step(peer, &(struct input){.kind = IN_MESSAGE, .peer = *from, .data = text});
}

static void answer_all(struct bench_peer *peer, const struct endpoint *from) {
  static const char *const names[] = {
      "\r\nVia: ", "\r\nFrom: ", "\r\nTo: ", "\r\nCall-ID: ", "\r\nCSeq: "};
  while (heard.count > 0) {
    unsigned last = --heard.count;
    char text[BYTES];
    struct buf out = buf_over(text, sizeof text);
    buf_put_cstr(&out, "SIP/2.0 200 OK\r\n");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
      buf_put(&out, line_of(slice_of(heard.text[last], heard.len[last]), names[i]));
    buf_put_cstr(&out, "Content-Length: 0\r\n\r\n");
    say_in(peer, from, buf_slice(&out));
  }
}

static void pass(struct bench_peer *peer, const struct endpoint *from, usec span) {
  for (usec end = peer->ahead + span; peer->ahead < end; peer->ahead += MSEC(10)) {
    bench_peer_tick(peer);
    answer_all(peer, from);
  }
}

static bool subscribe(struct bench_peer *peer, const struct endpoint *from, unsigned first,
                      unsigned count) {
  char text[1024];
  heard.answered = 0;
  for (unsigned i = first; i < first + count; i++) {
    int len = snprintf(text, sizeof text,
                       "SUBSCRIBE sip:bob@example.com SIP/2.0\r\n"
                       "Via: SIP/2.0/UDP 127.0.0.1:5063;branch=z9hG4bKs%07u;rport\r\n"
                       "Max-Forwards: 70\r\nFrom: <sip:w%07u@example.com>;tag=1\r\n"
                       "To: <sip:bob@example.com>\r\nCall-ID: s%07u@127.0.0.1\r\n"
                       "CSeq: 1 SUBSCRIBE\r\nEvent: presence\r\nExpires: 3600\r\n"
                       "Contact: <sip:w%07u@127.0.0.1:5063>\r\nContent-Length: 0\r\n\r\n",
                       i, i, i, i);
    say_in(peer, from, slice_of(text, (size_t)len));
    pass(peer, from, MSEC(10));
  }
  pass(peer, from, REST_US);
  return heard.answered == count;
}

static bool print_bytes(void) {
  const struct endpoint at = {.addr = {127, 0, 0, 1}, .port = 5061, .family = 4};
  const struct endpoint client = {.addr = {127, 0, 0, 1}, .port = 5063, .family = 4};
  const struct key id = {{1}};
  struct bench_peer peer;
  if (!bench_peer_start(&peer, &id, &at, NULL, on_sent, NULL)) return false;
  bool good = subscribe(&peer, &client, 0, 1);
  size_t before = peer.memory.bytes;
  good = good && subscribe(&peer, &client, 1, WATCHERS);
  double bytes = (double)(peer.memory.bytes - before) / WATCHERS;
  printf(
      "  watcher: %.0f bytes at the peer of his phone; at each home of whom he watches elsewhere "
      "%zu and his address\n",
      bytes, sizeof(struct remote));
  bench_peer_stop(&peer);
  if (!good) printf("  not every SUBSCRIBE was answered 200\n");
  return good;
}

int bench_presence(void) {
  bool good = print_change();
  return print_bytes() && good ? 0 : 1;
}
