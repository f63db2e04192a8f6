/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/peer.h"

#include <stdlib.h>
#include <time.h>

#include "base/record_layout.h"
#include "bench/keys.h"
#include "crypto/record_verify.h"
#include "sim/record_model.h"
#include "xml/body.h"

static uint64_t read_clock(clockid_t clock, uint64_t per_second) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * per_second + (uint64_t)t.tv_nsec / (1000000000u / per_second);
}

usec bench_now(void) { return read_clock(CLOCK_MONOTONIC, 1000000); }
msec_wall bench_wall(void) { return read_clock(CLOCK_REALTIME, 1000); }

static void *take(void *context, size_t bytes) {
  struct peer_memory *memory = context;
  memory->taken++;
  memory->bytes += bytes;
  return malloc(bytes);
}

static void give(void *context, void *at, size_t bytes) {
  struct peer_memory *memory = context;
  memory->bytes -= bytes;
  free(at);
}

bool bench_peer_start(struct bench_peer *peer, const struct key *id, const struct endpoint *at,
                      const struct endpoint *join,
                      void (*send)(void *context, const struct output *output), void *context) {
  *peer = (struct bench_peer){.send = send, .context = context};
  peer->memory.memory = (struct memory){take, give, &peer->memory};
  peer->items = calloc(2 * OUTBOX_STEP_ITEMS, sizeof *peer->items);
  peer->bytes = malloc(2 * OUTBOX_STEP_BYTES);
  peer->xml = node_reader_new(&peer->memory.memory, 7);
  if (peer->items == NULL || peer->bytes == NULL || peer->xml == NULL) return false;
  outbox_init(&peer->box, peer->items, 2 * OUTBOX_STEP_ITEMS, peer->bytes, 2 * OUTBOX_STEP_BYTES);
  struct node_config config;
  node_config_defaults(&config);
  config.id = *id;
  config.incarnation = 1;
  config.advertise = *at;
  config.peer_transport = TRANSPORT_UDP;
  config.limits.owner_records_max = config.limits.records_max; /* one owner writes them all */
  config.limits.owner_bytes_max = config.limits.record_bytes_max;
  config.limits.subscriptions_max = 10000;
  config.memory = &peer->memory.memory;
  config.crypto = bench_crypto();
  config.xml = peer->xml;
  if (join != NULL) config.join[config.join_count++] = *join;
  peer->node = node_new(&config, bench_now());
  if (peer->node == NULL) return false;
  bench_peer_step(peer, &(struct input){.kind = IN_CLOCK, .wall = bench_wall()});
  bench_peer_step(peer, &(struct input){.kind = IN_START});
  return true;
}

void bench_peer_stop(struct bench_peer *peer) {
  if (peer->node != NULL) node_free(peer->node);
  if (peer->xml != NULL) node_reader_free(peer->xml);
  free(peer->items);
  free(peer->bytes);
  *peer = (struct bench_peer){0};
}

/* The answer to what the peer asks of its host; false: it asked nothing. */
static bool grant(const struct bench_peer *peer, const struct output *output, char *text,
                  size_t cap, struct input *input) {
  struct buf record = buf_over(text, cap);
  const char *why;
  *input = (struct input){.ticket = output->ticket, .status = OK};
  switch (output->kind) {
    case OUT_STORE:
      input->kind = IN_STORED;
      return true;
    case OUT_VERIFY:
      input->kind = IN_VERIFIED;
      if (peer->verifier != NULL) input->status = record_verify(peer->verifier, output->data, &why);
      return true;
    case OUT_SIGN: {
      struct key owner = crypto_key(bench_crypto(), output->text);
      input->status = record_model_sign(bench_crypto(), &owner, output->data, &record);
      input->kind = IN_SIGNED;
      input->data = buf_slice(&record);
      return true;
    }
    case OUT_USER:
    case OUT_OPEN:
    case OUT_SEAL:
    case OUT_UNSEAL:
    case OUT_RESOLVE:
    case OUT_SEND:
    case OUT_CLOSE:
    case OUT_ERASE:
    case OUT_REPLY:
    case OUT_TRACE:
      break;
  }
  return false;
}

void bench_peer_step(struct bench_peer *peer, const struct input *input) {
  char text[8192];
  struct input granted;
  node_step(peer->node, bench_now() + peer->ahead, input, &peer->box);
  for (uint32_t i = 0; i < peer->box.count; i++) {
    if (peer->box.item[i].kind == OUT_SEND && peer->send != NULL)
      peer->send(peer->context, &peer->box.item[i]);
    if (!grant(peer, &peer->box.item[i], text, sizeof text, &granted)) continue;
    if (outbox_ready(&peer->box))
      node_step(peer->node, bench_now() + peer->ahead, &granted, &peer->box);
  }
  outbox_reset(&peer->box);
  peer->deadline = node_deadline(peer->node);
}

void bench_peer_tick(struct bench_peer *peer) {
  for (int i = 0; i < 8 && peer->deadline <= bench_now() + peer->ahead; i++)
    bench_peer_step(peer, &(struct input){.kind = IN_TICK});
}
