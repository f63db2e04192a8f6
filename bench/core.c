/* SPDX-License-Identifier: BSD-2-Clause */
/* The core alone: two peers in this process that hand each other their messages, and the steps of
 * one of them timed. What it takes from memory while forwarding is counted, and must be nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/message.h"
#include "bench/peer.h"

#define WINDOW 512u
#define STEPS 4096u
#define ROUNDS 25u

struct letter {
  struct endpoint from, to;
  size_t len;
  char bytes[2048];
};
struct core_bench {
  struct bench_peer near, far; /* measured; its neighbour */
  struct endpoint near_at, far_at, client_at;
  struct letter *letter; /* WINDOW of them */
  unsigned letters;
  struct request pass_on, own, loose;
  uint64_t number, answers;
};
static struct core_bench *bench;

/* ---- post ---- */

static void post(const struct endpoint *from, const struct output *output) {
  if (bench->letters == WINDOW || output->data.len > sizeof bench->letter->bytes) return;
  struct letter *letter = &bench->letter[bench->letters++];
  letter->from = *from;
  letter->to = output->peer;
  letter->len = output->data.len;
  memcpy(letter->bytes, output->data.at, output->data.len);
}
static void post_of_near(void *context, const struct output *output) {
  (void)context;
  if (output->peer.port == bench->client_at.port)
    bench->answers++;
  else
    post(&bench->near_at, output);
}
static void post_of_far(void *context, const struct output *output) {
  (void)context;
  post(&bench->far_at, output);
}

static void deliver(struct bench_peer *peer, const struct endpoint *from, struct slice data) {
  bench_peer_step(peer, &(struct input){.kind = IN_MESSAGE, .peer = *from, .data = data});
}

/* Letters cause letters, which wait for the next call. */
static void deliver_all(void) {
  static struct letter now[WINDOW];
  unsigned count = bench->letters;
  memcpy(now, bench->letter, count * sizeof *now);
  bench->letters = 0;
  for (unsigned i = 0; i < count; i++) {
    bool to_near = now[i].to.port == bench->near_at.port;
    deliver(to_near ? &bench->near : &bench->far, &now[i].from, slice_of(now[i].bytes, now[i].len));
  }
}

static bool meet(void) {
  for (usec begin = bench_now(); bench_now() - begin < SEC(5);) {
    deliver_all();
    bench_peer_tick(&bench->near);
    bench_peer_tick(&bench->far);
    struct node_stats near = node_stats(bench->near.node), far = node_stats(bench->far.node);
    if (near.ready && far.ready && near.known_peers > 0 && bench->letters == 0) return true;
  }
  return false;
}

/* ---- what is timed ---- */

static void send_request(const struct request *request) {
  char bytes[REQUEST_BYTES];
  request_copy(request, ++bench->number, bytes);
  deliver(&bench->near, &bench->client_at, slice_of(bytes, sizeof bytes));
}

/* Requests to the neighbour, whose answers are made beforehand of what was sent and not timed. */
static void forward(void *context, unsigned times) {
  uint64_t *out_ns = context;
  static char answer[WINDOW][ANSWER_BYTES_MAX];
  static size_t answer_len[WINDOW];
  uint64_t aside = 0;
  for (unsigned done = 0; done < times; done += WINDOW) {
    for (unsigned i = 0; i < WINDOW; i++) send_request(&bench->pass_on);
    uint64_t begin = bench_cpu_ns();
    unsigned count = bench->letters;
    for (unsigned i = 0; i < count; i++)
      answer_len[i] = answer_make(slice_of(bench->letter[i].bytes, bench->letter[i].len), answer[i],
                                  ANSWER_BYTES_MAX);
    bench->letters = 0;
    aside += bench_cpu_ns() - begin;
    for (unsigned i = 0; i < count; i++)
      deliver(&bench->near, &bench->far_at, slice_of(answer[i], answer_len[i]));
  }
  *out_ns = aside;
}

static void answer_get(void *context, unsigned times) {
  (void)context;
  for (unsigned i = 0; i < times; i++) send_request(&bench->own);
}

static void answer_loose(void *context, unsigned times) {
  (void)context;
  for (unsigned i = 0; i < times; i++) send_request(&bench->loose);
}

static double time_of(void (*run)(void *, unsigned)) {
  double best = 0;
  for (unsigned round = 0; round < ROUNDS; round++) {
    uint64_t aside = 0, begin = bench_cpu_ns();
    run(&aside, STEPS);
    double ns = (double)(bench_cpu_ns() - begin - aside) / STEPS;
    if (round == 0 || ns < best) best = ns;
  }
  return best;
}

/* ---- setting up ---- */

static bool put_record(const struct key *key, struct slice text) {
  char bytes[4096];
  uint64_t before = bench->answers;
  size_t len =
      request_make_put(bytes, sizeof bytes, &bench->client_at, text, key, bench_wall(), 1, false);
  deliver(&bench->near, &bench->client_at, slice_of(bytes, len));
  for (int i = 0; i < 20; i++) deliver_all();
  return bench->answers > before;
}

static bool make_requests(void) {
  const struct key near = {{0}}, far = key_add_power(&near, KEY_BITS - 1);
  bool made_far = false, made_near = false;
  for (uint64_t n = 0; !made_far || !made_near; n++) {
    char text[64];
    struct key key = load_key(n, text, sizeof text);
    bool is_far = key_in_range_open_closed(&key, &near, &far);
    if (is_far ? made_far : made_near) continue;
    request_make(is_far ? &bench->pass_on : &bench->own, &bench->client_at, slice_cstr(text), &key,
                 false);
    if (!is_far) request_make(&bench->loose, &bench->client_at, slice_cstr(text), &key, true);
    if (!is_far && !put_record(&key, slice_cstr(text))) return false;
    *(is_far ? &made_far : &made_near) = true;
  }
  return true;
}

static bool set_up(void) {
  bench = calloc(1, sizeof *bench);
  if (bench == NULL || (bench->letter = calloc(WINDOW, sizeof *bench->letter)) == NULL)
    return false;
  bench->near_at = (struct endpoint){.addr = {127, 0, 0, 1}, .port = 5061, .family = 4};
  bench->far_at = bench->client_at = bench->near_at;
  bench->far_at.port = 5062;
  bench->client_at.port = 5063;
  struct key near = {{0}}, far = key_add_power(&near, KEY_BITS - 1);
  near.byte[KEY_BYTES - 1] = 1; /* zero is no Peer-ID */
  return bench_peer_start(&bench->near, &near, &bench->near_at, NULL, post_of_near, NULL) &&
         bench_peer_start(&bench->far, &far, &bench->far_at, &bench->near_at, post_of_far, NULL) &&
         meet() && make_requests();
}

int bench_core(void) {
  bool good = set_up();
  int failed = 1;
  if (!good) {
    printf("  the two peers did not come together\n");
  } else {
    uint64_t aside = 0;
    forward(&aside, STEPS); /* tables grow to their size */
    uint64_t before = bench->near.memory.taken, answers = bench->answers;
    double forward_ns = time_of(forward);
    uint64_t taken = bench->near.memory.taken - before;
    uint64_t forwarded = bench->answers - answers;
    printf("  forward a request and its answer  %7.0f ns\n", forward_ns);
    printf("  answer a get as locser writes it  %7.0f ns\n", time_of(answer_get));
    printf("  answer a get written otherwise    %7.0f ns\n", time_of(answer_loose));
    printf("  memory taken while forwarding %llu requests: %llu times%s\n",
           (unsigned long long)forwarded, (unsigned long long)taken,
           taken > 0 ? "  FAILED (wanted: 0)" : "");
    failed = taken > 0 || forwarded < (uint64_t)ROUNDS * STEPS;
    if (forwarded < (uint64_t)ROUNDS * STEPS) printf("  answers are missing\n");
  }
  if (bench != NULL) {
    bench_peer_stop(&bench->near);
    bench_peer_stop(&bench->far);
    free(bench->letter);
    free(bench);
  }
  return failed;
}
