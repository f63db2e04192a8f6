/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP and TCP under a node that only notes what it is given: framing, kept links, flows and their
 * ends, limits. Real sockets on loopback; the loop is run until what is expected has happened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "crypto/openssl.h"
#include "host/address.h"
#include "host/clock.h"
#include "host/journal.h"
#include "host/tcp.h"
#include "host/udp.h"

/* ---- a node that notes its inputs and sends what the test put ---- */

#define NOTES_MAX 4096u
#define MESSAGE "OPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc"
#define ANSWER "SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"

struct note {
  struct input input;
  char data[128];
};
struct wish {
  enum output_kind kind;
  uint32_t flow;
  uint64_t ticket;
  struct endpoint peer;
  struct slice data;
};
struct node {
  struct note note[NOTES_MAX];
  unsigned notes;
  struct wish wish[NOTES_MAX];
  unsigned wishes;
  bool answers; /* each message, on its flow, at once */
};

static struct node node;

void node_step(struct node *n, usec now, const struct input *input, struct outbox *out) {
  (void)now;
  if (input->kind != IN_TICK && n->notes < NOTES_MAX) {
    struct note *note = &n->note[n->notes++];
    note->input = *input;
    size_t len = input->data.len < sizeof note->data ? input->data.len : sizeof note->data;
    if (len > 0) memcpy(note->data, input->data.at, len);
  }
  if (input->kind == IN_MESSAGE && n->answers) {
    struct output *answer = outbox_add(out, OUT_SEND);
    answer->flow = input->flow;
    answer->peer = input->peer;
    answer->data = outbox_copy(out, SLICE(ANSWER));
  }
  if (input->kind != IN_TICK) return;
  for (unsigned i = 0; i < n->wishes && outbox_has(out, 1, n->wish[i].data.len); i++) {
    struct output *output = outbox_add(out, n->wish[i].kind);
    output->flow = n->wish[i].flow;
    output->ticket = n->wish[i].ticket;
    output->peer = n->wish[i].peer;
    output->data = outbox_copy(out, n->wish[i].data);
  }
  n->wishes = 0;
}
usec node_deadline(const struct node *n) {
  (void)n;
  return USEC_NEVER;
}

/* Asked for by the table of settings. */
void node_config_defaults(struct node_config *config) { *config = (struct node_config){0}; }

/* ---- one loop, with both carriers ---- */

struct world {
  struct loop loop;
  struct log log;
  FILE *log_file;
  char *log_text;
  size_t log_len;
  struct crypto crypto;
  char journal_path[64];
  struct endpoint udp_at, tcp_at;
};

static enum err no_sign(void *context, struct slice address, struct slice record, struct buf *out) {
  (void)context, (void)address, (void)record, (void)out;
  return ERR_UNSUPPORTED;
}
static enum err no_verify(void *context, struct slice record, struct buf *names, bool *issued,
                          const char **why) {
  (void)context, (void)record, (void)names, (void)issued, (void)why;
  return OK;
}
static bool recall_known(void *context, struct slice record, struct buf *names, bool *issued) {
  (void)context;
  if (!slice_equal(record, SLICE("known"))) return false;
  buf_put_cstr(names, "sip:bob@example.net");
  *issued = true;
  return true;
}
static void no_store(void *context, uint64_t ticket, enum err status) {
  (void)context, (void)ticket, (void)status;
}

static struct world *start(struct tcp_limits limits) {
  struct world *w = calloc(1, sizeof *w);
  struct why why;
  memset(&node, 0, sizeof node);
  w->log_file = open_memstream(&w->log_text, &w->log_len);
  log_init(&w->log, w->log_file, TRACE_DEBUG);
  crypto_openssl(&w->crypto);
  loop_init(&w->loop, &w->log,
            &(struct loop_keys){.sign = no_sign, .verify = no_verify, .recall = recall_known});
  strcpy(w->journal_path, "/tmp/locser-carry-XXXXXX");
  assert_non_null(mkdtemp(w->journal_path));
  strcat(w->journal_path, "/j");
  w->loop.journal = journal_open(&(struct journal_setup){.path = w->journal_path,
                                                         .crypto = &w->crypto,
                                                         .log = &w->log,
                                                         .uv = &w->loop.uv,
                                                         .stored = no_store},
                                 &why);
  w->loop.udp = udp_new(&w->loop);
  w->loop.tcp = tcp_new(&w->loop, &limits, NULL);
  assert_true(endpoint_parse(SLICE("127.0.0.1:0"), TRANSPORT_UDP, 1, &w->udp_at));
  w->tcp_at = w->udp_at;
  if (udp_listen(w->loop.udp, &w->udp_at, &why) != OK) fail_msg("%s", why.text);
  if (tcp_listen(w->loop.tcp, &w->tcp_at, &why) != OK) fail_msg("%s", why.text);
  w->loop.node = &node;
  udp_start(w->loop.udp);
  loop_start(&w->loop);
  return w;
}

static const struct prefix here = {.addr = {127}, .family = 4, .bits = 8};
static const struct tcp_limits wide = {.accepted_max = 16,
                                       .per_source_max = 16,
                                       .per_s_max = 1000,
                                       .trusted = &here,
                                       .trusted_count = 1,
                                       .links_max = 8,
                                       .link_idle_us = SEC(120),
                                       .accepted_idle_us = SEC(3600),
                                       .message_us = SEC(10)};

static int setup(void **state) {
  *state = start(wide);
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  udp_stop(w->loop.udp);
  tcp_stop(w->loop.tcp);
  loop_stop(&w->loop);
  uv_run(&w->loop.uv, UV_RUN_DEFAULT);
  w->loop.node = NULL;
  journal_close(w->loop.journal);
  udp_free(w->loop.udp);
  tcp_free(w->loop.tcp);
  loop_free(&w->loop);
  crypto_openssl_free(&w->crypto);
  unlink(w->journal_path);
  *strrchr(w->journal_path, '/') = '\0';
  rmdir(w->journal_path);
  fclose(w->log_file);
  free(w->log_text);
  free(w);
  return 0;
}

/* Turns of the loop until the condition holds; a test that waits in vain fails by its limit. */
#define UNTIL(w, condition)                                                        \
  do {                                                                             \
    usec give_up = clock_monotonic() + SEC(20);                                    \
    while (!(condition)) {                                                         \
      if (clock_monotonic() > give_up) fail_msg("never happened: %s", #condition); \
      uv_run(&(w)->loop.uv, UV_RUN_NOWAIT);                                        \
    }                                                                              \
  } while (0)

/* A few turns more, to see that something does not happen. */
static void turns(struct world *w) {
  for (int i = 0; i < 50; i++) uv_run(&w->loop.uv, UV_RUN_NOWAIT);
}

static void wish(struct world *w, struct wish wish) {
  node.wish[node.wishes++] = wish;
  loop_later(&w->loop, &(struct input){.kind = IN_TICK});
  loop_settle(&w->loop);
}

static unsigned count(enum input_kind kind) {
  unsigned n = 0;
  for (unsigned i = 0; i < node.notes; i++) n += node.note[i].input.kind == kind;
  return n;
}

static const struct note *last(enum input_kind kind) {
  for (unsigned i = node.notes; i-- > 0;)
    if (node.note[i].input.kind == kind) return &node.note[i];
  fail_msg("no such input");
  return NULL;
}

static int dial(const struct endpoint *to, int type) {
  union address address;
  socklen_t len = address_of(to, &address);
  int fd = socket(address.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_true(connect(fd, &address.any, len) == 0 || errno == EINPROGRESS);
  return fd;
}

static void say(struct world *w, int fd, const char *text, size_t len) {
  while (len > 0) {
    ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
    if (n > 0) {
      text += n;
      len -= (size_t)n;
    } else {
      assert_true(errno == EAGAIN || errno == ENOTCONN);
      uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    }
  }
}

/* Bytes that arrived at fd; -1: closed by the other side; 0: none yet. */
static ssize_t hear(int fd, char *out, size_t room) {
  ssize_t n = recv(fd, out, room, 0);
  if (n == 0) return -1;
  if (n < 0 && errno != EAGAIN) return -1;
  return n < 0 ? 0 : n;
}

static void listen_for_peer(int *fd, struct endpoint *at) {
  union address address;
  endpoint_parse(SLICE("127.0.0.1:0"), TRANSPORT_TCP, 1, at);
  socklen_t len = address_of(at, &address);
  *fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(*fd, &address.any, len), 0);
  assert_int_equal(listen(*fd, 16), 0);
  assert_int_equal(getsockname(*fd, &address.any, &len), 0);
  *at = address_to(&address, TRANSPORT_TCP);
}

/* ---- keys ---- */

/* */
static void a_record_found_good_before_takes_no_thread(void **state) {
  struct world *w = *state;
  wish(w, (struct wish){.kind = OUT_VERIFY, .ticket = 1, .data = SLICE("known")});
  assert_int_equal(w->loop.keys_busy, 0);
  assert_int_equal(count(IN_VERIFIED), 1);
  const struct note *note = last(IN_VERIFIED);
  assert_true(note->input.ticket == 1 && note->input.status == OK && note->input.issued);
  assert_memory_equal(note->data, "sip:bob@example.net", note->input.data.len);
  wish(w, (struct wish){.kind = OUT_VERIFY, .ticket = 2, .data = SLICE("other")});
  assert_int_equal(w->loop.keys_busy, 1);
  UNTIL(w, count(IN_VERIFIED) == 2);
  assert_true(last(IN_VERIFIED)->input.ticket == 2 && !last(IN_VERIFIED)->input.issued);
}

/* ---- UDP ---- */

static void datagrams_come_and_are_answered(void **state) {
  struct world *w = *state;
  node.answers = true;
  int fd = dial(&w->udp_at, SOCK_DGRAM);
  for (int i = 0; i < 100; i++) say(w, fd, MESSAGE, strlen(MESSAGE));
  UNTIL(w, count(IN_MESSAGE) == 100);
  const struct note *note = last(IN_MESSAGE);
  assert_int_equal(note->input.flow, 0);
  assert_int_equal(note->input.peer.transport, TRANSPORT_UDP);
  assert_memory_equal(note->data, MESSAGE, strlen(MESSAGE));
  char text[256];
  unsigned answers = 0;
  UNTIL(w, (answers += hear(fd, text, sizeof text) > 0) == 100);
  assert_int_equal(udp_stats(w->loop.udp).sent, 100);
  close(fd);
}

static void keep_alives_are_no_messages(void **state) {
  struct world *w = *state;
  int fd = dial(&w->udp_at, SOCK_DGRAM);
  say(w, fd, "\r\n\r\n", 4);
  say(w, fd, "\0\0\0\0", 4);
  say(w, fd, MESSAGE, strlen(MESSAGE));
  UNTIL(w, udp_stats(w->loop.udp).received == 3);
  turns(w);
  assert_int_equal(count(IN_MESSAGE), 1);
  close(fd);
}

static void the_largest_datagram_arrives_whole(void **state) {
  struct world *w = *state;
  static char big[65507];
  memset(big, 'x', sizeof big);
  int fd = dial(&w->udp_at, SOCK_DGRAM), room = 1 << 20;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  assert_int_equal(send(fd, big, sizeof big, 0), sizeof big);
  UNTIL(w, count(IN_MESSAGE) == 1);
  assert_int_equal(last(IN_MESSAGE)->input.data.len, sizeof big);
  close(fd);
}

static void no_socket_of_a_family_is_counted(void **state) {
  struct world *w = *state;
  struct wish one = {.kind = OUT_SEND, .data = SLICE(MESSAGE)};
  assert_true(endpoint_parse(SLICE("[::1]:5060"), TRANSPORT_UDP, 1, &one.peer));
  wish(w, one);
  assert_int_equal(udp_stats(w->loop.udp).no_socket, 1);
}

/* ---- accepted connections ---- */

static void messages_are_cut_from_the_stream(void **state) {
  struct world *w = *state;
  int fd = dial(&w->tcp_at, SOCK_STREAM);
  say(w, fd, MESSAGE MESSAGE MESSAGE, 3 * strlen(MESSAGE));
  UNTIL(w, count(IN_MESSAGE) == 3);
  uint32_t flow = last(IN_MESSAGE)->input.flow;
  assert_int_not_equal(flow, 0);
  for (size_t i = 0; i < strlen(MESSAGE); i++) { /* byte by byte */
    say(w, fd, &(MESSAGE)[i], 1);
    turns(w);
  }
  UNTIL(w, count(IN_MESSAGE) == 4);
  const struct note *note = last(IN_MESSAGE);
  assert_int_equal(note->input.flow, flow);
  assert_int_equal(note->input.data.len, strlen(MESSAGE));
  assert_memory_equal(note->data, MESSAGE, strlen(MESSAGE));
  assert_int_equal(tcp_stats(w->loop.tcp).in_bytes, 0); /* nothing is kept between messages */
  close(fd);
}

/* RFC 5626 3.5.1 */
static void a_ping_is_answered(void **state) {
  struct world *w = *state;
  char text[64];
  ssize_t n = 0;
  int fd = dial(&w->tcp_at, SOCK_STREAM);
  say(w, fd, "\r\n\r\n", 4);
  UNTIL(w, (n = hear(fd, text, sizeof text)) != 0);
  assert_int_equal(n, 2);
  assert_memory_equal(text, "\r\n", 2);
  assert_int_equal(count(IN_MESSAGE), 0);
  close(fd);
}

static void answers_leave_on_the_flow(void **state) {
  struct world *w = *state;
  char text[256];
  ssize_t n = 0;
  node.answers = true;
  int a = dial(&w->tcp_at, SOCK_STREAM), b = dial(&w->tcp_at, SOCK_STREAM);
  say(w, a, MESSAGE MESSAGE, 2 * strlen(MESSAGE));
  UNTIL(w, (n += hear(a, text + n, sizeof text - (size_t)n)) == (ssize_t)(2 * strlen(ANSWER)));
  assert_int_equal(hear(b, text, sizeof text), 0);
  close(a);
  close(b);
}

/* */
static void a_closed_flow_is_told_and_never_hit_again(void **state) {
  struct world *w = *state;
  int fd = dial(&w->tcp_at, SOCK_STREAM);
  say(w, fd, MESSAGE, strlen(MESSAGE));
  UNTIL(w, count(IN_MESSAGE) == 1);
  uint32_t flow = last(IN_MESSAGE)->input.flow;
  struct endpoint peer = last(IN_MESSAGE)->input.peer;
  close(fd);
  UNTIL(w, count(IN_FLOW) == 1);
  assert_int_equal(last(IN_FLOW)->input.flow, flow);
  assert_int_not_equal(last(IN_FLOW)->input.status, OK);
  int other = dial(&w->tcp_at, SOCK_STREAM); /* likely in the same slot */
  say(w, other, MESSAGE, strlen(MESSAGE));
  UNTIL(w, count(IN_MESSAGE) == 2);
  assert_int_not_equal(last(IN_MESSAGE)->input.flow, flow);
  wish(w, (struct wish){OUT_SEND, flow, 77, peer, SLICE(ANSWER)});
  UNTIL(w, count(IN_FLOW) == 2);
  assert_int_equal(last(IN_FLOW)->input.flow, 0);
  assert_int_equal(last(IN_FLOW)->input.ticket, 77);
  assert_int_equal(last(IN_FLOW)->input.status, ERR_CLOSED);
  char text[64];
  assert_int_equal(hear(other, text, sizeof text), 0);
  close(other);
}

/* An unusable Content-Length: what there is goes to the core, whose answer still arrives. */
static void a_lying_length_is_answered_and_closed(void **state) {
  struct world *w = *state;
  char text[256] = "";
  ssize_t n = 0, got;
  node.answers = true;
  int fd = dial(&w->tcp_at, SOCK_STREAM);
  const char *bad = "OPTIONS sip:a SIP/2.0\r\nContent-Length: -5\r\n\r\nrest that is never read";
  say(w, fd, bad, strlen(bad));
  UNTIL(w, (got = hear(fd, text + n, sizeof text - (size_t)n - 1)) < 0 || ((n += got), false));
  assert_string_equal(text, ANSWER);
  assert_int_equal(count(IN_MESSAGE), 1);
  assert_int_equal(tcp_stats(w->loop.tcp).bad, 1);
  close(fd);
  UNTIL(w, count(IN_FLOW) == 1);
}

/* A length longer than what comes: the message stays begun (and closes it in time). */
static void a_length_too_long_holds_only_its_own_flow(void **state) {
  struct world *w = *state;
  int liar = dial(&w->tcp_at, SOCK_STREAM), honest = dial(&w->tcp_at, SOCK_STREAM);
  const char *head = "OPTIONS sip:a SIP/2.0\r\nContent-Length: 4000\r\n\r\nshort";
  say(w, liar, head, strlen(head));
  say(w, honest, MESSAGE, strlen(MESSAGE));
  UNTIL(w, count(IN_MESSAGE) == 1);
  UNTIL(w, tcp_stats(w->loop.tcp).in_bytes > 0);
  turns(w);
  assert_int_equal(count(IN_MESSAGE), 1);
  close(liar);
  UNTIL(w, tcp_stats(w->loop.tcp).in_bytes == 0);
  close(honest);
}

/* */
static void a_stalled_message_is_closed(void **state) {
  teardown(state);
  struct tcp_limits limits = wide;
  limits.message_us = MSEC(50);
  struct world *w = *state = start(limits);
  char text[64];
  int fd = dial(&w->tcp_at, SOCK_STREAM);
  say(w, fd, MESSAGE, strlen(MESSAGE) - 1);
  UNTIL(w, hear(fd, text, sizeof text) < 0);
  UNTIL(w, count(IN_FLOW) == 1);
  assert_int_equal(last(IN_FLOW)->input.status, ERR_TIMEOUT);
  assert_int_equal(tcp_stats(w->loop.tcp).stalled, 1);
  close(fd);
}

static void more_than_the_limit_is_turned_away(void **state) {
  struct world *w = *state;
  int fd[40];
  for (unsigned i = 0; i < 40; i++) fd[i] = dial(&w->tcp_at, SOCK_STREAM);
  UNTIL(w, tcp_stats(w->loop.tcp).refused == 40 - wide.accepted_max);
  assert_int_equal(tcp_stats(w->loop.tcp).accepted_now, wide.accepted_max);
  say(w, fd[0], MESSAGE, strlen(MESSAGE)); /* those inside are not touched */
  UNTIL(w, count(IN_MESSAGE) == 1);
  close(fd[0]);
  UNTIL(w, tcp_stats(w->loop.tcp).accepted_now == wide.accepted_max - 1);
  int again = dial(&w->tcp_at, SOCK_STREAM);
  say(w, again, MESSAGE, strlen(MESSAGE));
  UNTIL(w, count(IN_MESSAGE) == 2);
  close(again);
  for (unsigned i = 1; i < 40; i++) close(fd[i]);
}

static void the_node_can_close_a_flow(void **state) {
  struct world *w = *state;
  char text[64];
  int fd = dial(&w->tcp_at, SOCK_STREAM);
  say(w, fd, MESSAGE, strlen(MESSAGE));
  UNTIL(w, count(IN_MESSAGE) == 1);
  struct note note = *last(IN_MESSAGE);
  node.wish[node.wishes++] =
      (struct wish){OUT_SEND, note.input.flow, 0, note.input.peer, SLICE(ANSWER)};
  wish(w, (struct wish){.kind = OUT_CLOSE, .flow = note.input.flow});
  UNTIL(w, hear(fd, text, sizeof text) > 0); /* first what was said */
  UNTIL(w, hear(fd, text, sizeof text) < 0);
  close(fd);
  UNTIL(w, count(IN_FLOW) == 1);
}

/* ---- links ---- */

/* */
static void a_link_is_opened_once_and_kept(void **state) {
  struct world *w = *state;
  struct endpoint at;
  int listener, fd = -1;
  char text[1024];
  ssize_t n = 0;
  listen_for_peer(&listener, &at);
  for (unsigned i = 0; i < 3; i++)
    node.wish[node.wishes++] = (struct wish){OUT_SEND, 0, i + 1, at, SLICE(MESSAGE)};
  loop_later(&w->loop, &(struct input){.kind = IN_TICK});
  loop_settle(&w->loop);
  UNTIL(w, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
  UNTIL(w, count(IN_FLOW) == 1 && last(IN_FLOW)->input.status == OK);
  UNTIL(w, (n += hear(fd, text + n, sizeof text - (size_t)n)) == (ssize_t)(3 * strlen(MESSAGE)));
  wish(w, (struct wish){OUT_SEND, 0, 4, at, SLICE(MESSAGE)});
  UNTIL(w, hear(fd, text, sizeof text) > 0);
  assert_int_equal(tcp_stats(w->loop.tcp).opened, 1);
  say(w, fd, ANSWER, strlen(ANSWER)); /* and answers come on it */
  UNTIL(w, count(IN_MESSAGE) == 1);
  assert_int_equal(last(IN_MESSAGE)->input.flow, last(IN_FLOW)->input.flow);
  close(fd);
  UNTIL(w, count(IN_FLOW) == 2 && last(IN_FLOW)->input.status != OK);
  wish(w, (struct wish){OUT_SEND, 0, 5, at, SLICE(MESSAGE)}); /* opened again when needed */
  UNTIL(w, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
  assert_int_equal(tcp_stats(w->loop.tcp).opened, 2);
  close(fd);
  close(listener);
}

static void a_refused_link_fails_every_ticket(void **state) {
  struct world *w = *state;
  struct endpoint at;
  int listener;
  listen_for_peer(&listener, &at);
  close(listener); /* a port where nobody listens */
  for (unsigned i = 0; i < 3; i++)
    node.wish[node.wishes++] = (struct wish){OUT_SEND, 0, i + 1, at, SLICE(MESSAGE)};
  wish(w, (struct wish){OUT_SEND, 0, 0, at, SLICE(MESSAGE)}); /* nobody waits for this one */
  UNTIL(w, count(IN_FLOW) == 3);
  uint64_t tickets = 0;
  for (unsigned i = 0; i < node.notes; i++) {
    if (node.note[i].input.kind != IN_FLOW) continue;
    assert_int_equal(node.note[i].input.flow, 0);
    assert_int_not_equal(node.note[i].input.status, OK);
    assert_true(endpoint_equal(&node.note[i].input.peer, &at));
    tickets |= UINT64_C(1) << node.note[i].input.ticket;
  }
  assert_int_equal(tickets, 2 | 4 | 8);
  turns(w);
  assert_int_equal(count(IN_FLOW), 3);
}

/* a request never goes out on a connection that the other side opened. */
static void accepted_connections_are_not_links(void **state) {
  struct world *w = *state;
  int fd = dial(&w->tcp_at, SOCK_STREAM);
  char text[64];
  say(w, fd, MESSAGE, strlen(MESSAGE));
  UNTIL(w, count(IN_MESSAGE) == 1);
  wish(w, (struct wish){OUT_SEND, 0, 9, last(IN_MESSAGE)->input.peer, SLICE(MESSAGE)});
  UNTIL(w, count(IN_FLOW) == 1); /* nobody listens at that port */
  assert_int_equal(last(IN_FLOW)->input.ticket, 9);
  assert_int_equal(hear(fd, text, sizeof text), 0);
  close(fd);
}

/* The other side does not read: memory is bounded, the flow ends, tickets fail. */
static void who_does_not_read_is_closed(void **state) {
  struct world *w = *state;
  struct endpoint at;
  int listener, fd = -1, small = 4096;
  static char big[60000];
  memset(big, 'x', sizeof big);
  listen_for_peer(&listener, &at);
  setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  wish(w, (struct wish){OUT_SEND, 0, 0, at, SLICE(MESSAGE)});
  UNTIL(w, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
  UNTIL(w, count(IN_FLOW) == 1);
  uint32_t flow = last(IN_FLOW)->input.flow;
  for (uint64_t i = 1; i <= 400 && count(IN_FLOW) == 1; i++) {
    wish(w, (struct wish){OUT_SEND, flow, i, at, slice_of(big, sizeof big)});
    turns(w);
  }
  UNTIL(w, count(IN_FLOW) > 10); /* those that waited, and the flow itself */
  bool told = false;
  for (unsigned i = 0; i < node.notes; i++)
    told |= node.note[i].input.kind == IN_FLOW && node.note[i].input.flow == flow &&
            node.note[i].input.status == ERR_FULL;
  assert_true(told);
  close(fd);
  close(listener);
}

static void a_full_table_gives_up_the_least_used_link(void **state) {
  struct world *w = *state;
  struct endpoint at[9];
  int listener[9], fd[9];
  for (unsigned i = 0; i < 9; i++) {
    listen_for_peer(&listener[i], &at[i]);
    wish(w, (struct wish){OUT_SEND, 0, i + 1, at[i], SLICE(MESSAGE)});
    UNTIL(w, (fd[i] = accept4(listener[i], NULL, NULL, SOCK_NONBLOCK)) >= 0);
    UNTIL(w, !tcp_writing(w->loop.tcp));
    turns(w);
  }
  assert_int_equal(tcp_stats(w->loop.tcp).links_now, wide.links_max);
  char text[256];
  UNTIL(w, hear(fd[0], text, sizeof text) < 0);
  for (unsigned i = 0; i < 9; i++) {
    close(fd[i]);
    close(listener[i]);
  }
}

static void a_taken_port_is_named(void **state) {
  struct world *w = *state;
  struct why why;
  struct endpoint udp = w->udp_at, tcp = w->tcp_at;
  char text[ADDRESS_TEXT_BYTES];
  assert_int_equal(udp_listen(w->loop.udp, &udp, &why), ERR_EXISTS);
  assert_non_null(strstr(why.text, address_text(&w->udp_at, text)));
  assert_int_equal(tcp_listen(w->loop.tcp, &tcp, &why), ERR_EXISTS);
  assert_non_null(strstr(why.text, address_text(&w->tcp_at, text)));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(a_record_found_good_before_takes_no_thread),
      TEST(datagrams_come_and_are_answered),
      TEST(keep_alives_are_no_messages),
      TEST(the_largest_datagram_arrives_whole),
      TEST(no_socket_of_a_family_is_counted),
      TEST(messages_are_cut_from_the_stream),
      TEST(a_ping_is_answered),
      TEST(answers_leave_on_the_flow),
      TEST(a_closed_flow_is_told_and_never_hit_again),
      TEST(a_lying_length_is_answered_and_closed),
      TEST(a_length_too_long_holds_only_its_own_flow),
      TEST(a_stalled_message_is_closed),
      TEST(more_than_the_limit_is_turned_away),
      TEST(the_node_can_close_a_flow),
      TEST(a_link_is_opened_once_and_kept),
      TEST(a_refused_link_fails_every_ticket),
      TEST(accepted_connections_are_not_links),
      TEST(who_does_not_read_is_closed),
      TEST(a_full_table_gives_up_the_least_used_link),
      TEST(a_taken_port_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
