/* SPDX-License-Identifier: BSD-2-Clause */
/* Forwarding and answering by locserd itself, beside a loop that only moves datagrams. */
#include <signal.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/load.h"

#define KEYS 256u
#define ROUNDS 7u
#define ROUND_US 350000
#define LOOKS 20u
#define LOOK_US 100000
#define FORWARD_MAX 2.0
#define GET_MAX 2.6
#define TCP_MAX 1.0

enum kind { BARE_RELAY, FORWARD_UDP, FORWARD_TCP, BARE_ANSWER, ANSWER_GET, ANSWER_OTHER, KINDS };
struct subject {
  struct server server;
  struct load *load;
  struct request request[KEYS];
  enum transport over;
  double cpu_ns[ROUNDS];
  double rate;
  uint64_t answers, lost, bad;
};
static struct subject *subject; /* KINDS of them */

/* The keys that the server passes on, or those that it answers itself. */
static void make_requests(struct subject *s, bool passed_on, bool loose) {
  struct endpoint from = s->load->client_at;
  from.transport = (uint8_t)s->over;
  unsigned made = 0;
  for (uint64_t n = 0; made < KEYS; n++) {
    char text[64];
    struct key key = load_key(n, text, sizeof text);
    struct key far = key_add_power(&s->server.id, KEY_BITS - 1);
    bool is_far = key_in_range_open_closed(&key, &s->server.id, &far);
    if (passed_on && !is_far) continue;
    request_make(&s->request[made++], &from, slice_cstr(text), &key, loose);
  }
}

static size_t make_put(struct load *load, uint64_t number, char *out, size_t cap) {
  char text[64];
  struct key key = load_key(number, text, sizeof text);
  return request_make_put(out, cap, &load->client_at, slice_cstr(text), &key, bench_wall(), number,
                          false);
}

static bool start_one(enum kind kind) {
  struct subject *s = &subject[kind];
  s->load = malloc(sizeof *s->load);
  if (s->load == NULL || !load_open(s->load)) return false;
  s->over = kind == FORWARD_TCP ? TRANSPORT_TCP : TRANSPORT_UDP;
  bool good = kind == BARE_RELAY    ? server_start_bare(&s->server, &s->load->neighbour_at)
              : kind == BARE_ANSWER ? server_start_bare(&s->server, NULL)
                                    : server_start_peer(&s->server, transport_name(s->over));
  if (!good) return false;
  if (kind == FORWARD_UDP || kind == FORWARD_TCP) good = load_join(s->load, &s->server);
  make_requests(s, kind == FORWARD_UDP || kind == FORWARD_TCP, kind == ANSWER_OTHER);
  if (kind == ANSWER_GET || kind == ANSWER_OTHER)
    good = load_each(s->load, &s->server, KEYS, 16, make_put) == KEYS;
  return good;
}

static void run_one(struct subject *s, usec duration, double *cpu_ns) {
  struct load_result result;
  load_run(s->load, &s->server, s->request, KEYS, s->over, LOAD_WINDOW, duration, &result);
  *cpu_ns = result.cpu_ns;
  if (result.rate > s->rate) s->rate = result.rate;
  s->answers += result.answers;
  s->lost += result.lost;
  s->bad += result.bad;
}

/* ---- printing ---- */

static double least(const double *values) {
  double best = values[0];
  for (unsigned i = 1; i < ROUNDS; i++)
    if (values[i] < best) best = values[i];
  return best;
}

/* Of each round by itself: what disturbs the machine for a while disturbs both. */
static double ratio(const struct subject *s, const struct subject *one) {
  double ratios[ROUNDS];
  for (unsigned i = 0; i < ROUNDS; i++) ratios[i] = s->cpu_ns[i] / one->cpu_ns[i];
  return bench_median(ratios, ROUNDS);
}

static void print_one(const struct subject *s, const char *name, const struct subject *one) {
  printf("  %-44s %6.2f us (least %5.2f)  %5.2f  %7.0f/s", name,
         bench_median(s->cpu_ns, ROUNDS) / 1e3, least(s->cpu_ns) / 1e3, ratio(s, one), s->rate);
  if (s->lost + s->bad > 0)
    printf("  (%llu lost, %llu refused)", (unsigned long long)s->lost, (unsigned long long)s->bad);
  printf("\n");
}

static void print_goal(const char *what, enum kind kind, enum kind one, double limit) {
  double r = ratio(&subject[kind], &subject[one]);
  double of_least = least(subject[kind].cpu_ns) / least(subject[one].cpu_ns);
  printf("  %-44s %6.2f (of the least times %.2f; wanted: at most %.1f)%s\n", what, r, of_least,
         limit, r > limit ? "  MISSED" : "");
}

static void print_batches(const struct subject *s, const char *name, const char *protocol) {
  char reads[32], writes[32], in[32], out[32];
  snprintf(reads, sizeof reads, "%s_reads", protocol);
  snprintf(writes, sizeof writes, "%s_writes", protocol);
  snprintf(in, sizeof in, "%s_received", protocol);
  snprintf(out, sizeof out, "%s_sent", protocol);
  double read_calls = (double)server_number(&s->server, reads);
  double write_calls = (double)server_number(&s->server, writes);
  printf("  %s: %.1f messages per read, %.1f per write\n", name,
         (double)server_number(&s->server, in) / (read_calls > 0 ? read_calls : 1),
         (double)server_number(&s->server, out) / (write_calls > 0 ? write_calls : 1));
}

/* The gate. A peer has other work as well, seconds apart, that may allocate: of several short
 * looks one without any proves that forwarding does not. */
static int check_allocations(struct subject *s, const char *name) {
  uint64_t fewest = UINT64_MAX, most = 0;
  double unused;
  if (s->server.allocations == NULL) {
    printf("  allocations: cannot be counted in this build\n");
    return 0;
  }
  for (unsigned look = 0; look < LOOKS && fewest > 0; look++) {
    uint64_t before = *s->server.allocations, answers = s->answers;
    run_one(s, LOOK_US, &unused);
    uint64_t taken = *s->server.allocations - before;
    if (s->answers - answers < LOAD_WINDOW || taken >= fewest) continue;
    fewest = taken;
    most = s->answers - answers;
  }
  printf("  allocations of the process while forwarding %llu requests over %s: %llu%s\n",
         (unsigned long long)most, name, (unsigned long long)fewest,
         fewest > 0 ? "  FAILED (wanted: 0)" : "");
  return fewest > 0;
}

static void print_all(void) {
  const struct subject *relay = &subject[BARE_RELAY], *answer = &subject[BARE_ANSWER];
  print_one(relay, "bare recvmmsg/sendmmsg: 2 in, 2 out", relay);
  print_one(&subject[FORWARD_UDP], "forward over UDP: request and answer", relay);
  print_one(&subject[FORWARD_TCP], "forward over kept TCP links: the same", relay);
  print_one(answer, "bare recvmmsg/sendmmsg: 1 in, 1 out", answer);
  print_one(&subject[ANSWER_GET], "answer a get as locser writes it", answer);
  print_one(&subject[ANSWER_OTHER], "answer a get written otherwise (expat)", answer);
  print_goal("forward over UDP / bare", FORWARD_UDP, BARE_RELAY, FORWARD_MAX);
  print_goal("answer a get / bare", ANSWER_GET, BARE_ANSWER, GET_MAX);
  print_goal("forward over TCP / over UDP", FORWARD_TCP, FORWARD_UDP, TCP_MAX);
  print_batches(&subject[FORWARD_UDP], "forward over UDP", "udp");
  print_batches(&subject[FORWARD_TCP], "forward over TCP", "tcp");
  print_batches(&subject[ANSWER_GET], "answer over UDP", "udp");
}

int bench_wire(void) {
  int failed = 0;
  double unused;
  subject = calloc(KINDS, sizeof *subject);
  if (subject == NULL) return 1;
  signal(SIGPIPE, SIG_IGN);
  load_pin();
  for (unsigned i = 0; i < KINDS && !failed; i++) {
    if (start_one((enum kind)i)) continue;
    printf("  server %u of this benchmark could not be started\n", i);
    failed = 1;
  }
  for (unsigned i = 0; i < KINDS && !failed; i++) run_one(&subject[i], 200000, &unused);
  for (unsigned round = 0; round < ROUNDS && !failed; round++)
    for (unsigned i = 0; i < KINDS; i++) run_one(&subject[i], ROUND_US, &subject[i].cpu_ns[round]);
  if (!failed) {
    print_all();
    failed |= check_allocations(&subject[FORWARD_UDP], "UDP");
    failed |= check_allocations(&subject[FORWARD_TCP], "TCP");
  }
  for (unsigned i = 0; i < KINDS; i++) {
    server_stop(&subject[i].server);
    if (subject[i].load != NULL) load_close(subject[i].load);
    free(subject[i].load);
  }
  free(subject);
  return failed;
}
