/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/figures.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define FORWARDS 70u    /* Max-Forwards as sent by originators */
#define NAME_WITHIN 160 /* bytes of a body in which its method's name begins */

void figures_open(struct figures *figures, const struct world *world) {
  *figures = (struct figures){.world = world, .counted_at = world->now};
  figures->call_room = 4096;
  while (figures->call_room < 4 * world->peers_max) figures->call_room *= 2;
  figures->call = sim_take(figures->call_room * sizeof *figures->call);
}

void figures_close(struct figures *figures) {
  free(figures->call);
  figures->call = NULL;
}

void figures_pass(struct figures *figures, enum figure_phase phase) {
  usec span = figures->world->now - figures->counted_at;
  figures->span[figures->phase] += span;
  figures->peer_ms[figures->phase] += span * figures->world->up_count / USEC_PER_MSEC;
  figures->counted_at = figures->world->now;
  figures->phase = phase;
}

/* ---- messages ---- */

struct message {
  bool is_request;
  struct slice call_id, body;
  uint32_t forwards;
};

static struct slice value_of(struct slice line, struct slice name) {
  return slice_trim(slice_skip(line, name.len));
}

/* Peers write these header fields in full, one a line. */
static void read_message(struct slice text, struct message *out) {
  const struct slice call_id = SLICE("Call-ID:"), forwards = SLICE("Max-Forwards:");
  uint64_t n = FORWARDS;
  *out = (struct message){.is_request = slice_starts(text, SLICE("LOCSER "))};
  while (text.len > 0) {
    size_t end = slice_find_byte(text, '\n');
    struct slice line = slice_first(text, end);
    text = slice_skip(text, end + 1);
    if (line.len <= 1) break;
    if (slice_starts(line, call_id)) out->call_id = value_of(line, call_id);
    if (slice_starts(line, forwards) && slice_to_u64(value_of(line, forwards), FORWARDS, &n))
      out->forwards = (uint32_t)n;
  }
  out->body = text;
}

static enum figure_class class_of(struct slice method) {
  if (!slice_starts(method, SLICE("overlay."))) return FIGURE_CLIENTS;
  bool copies = slice_starts(method, SLICE("overlay.replicate")) ||
                slice_starts(method, SLICE("overlay.sync"));
  return copies ? FIGURE_COPIES : FIGURE_RING;
}

/* An answer does not say what it answers: its request passed here. Newer ones take the place of
 * older ones; what is not found again counts as the ring's. */
static enum figure_class class_of_message(struct figures *figures, const struct message *message) {
  const struct hash_key plain = {0, 0};
  uint64_t hash = hash_slice(plain, message->call_id) & ~(uint64_t)3;
  uint64_t *slot = &figures->call[hash >> 32 & (figures->call_room - 1)];
  if (!message->is_request)
    return (*slot & ~(uint64_t)3) == hash && (*slot & 3) != 0 ? (enum figure_class)((*slot & 3) - 1)
                                                              : FIGURE_RING;
  struct slice name = slice_first(message->body, NAME_WITHIN);
  enum figure_class class =
      class_of(slice_skip(name, slice_find(name, SLICE("methodName>")) + strlen("methodName>")));
  *slot = hash | (uint64_t)(class + 1);
  return class;
}

void figures_on_event(struct figures *figures, const struct event *event) {
  if (event->kind != EVENT_MESSAGE || event->held) return;
  struct message message;
  read_message(slice_of(event->bytes, event->len), &message);
  enum figure_class class = class_of_message(figures, &message);
  figures->traffic[figures->phase].messages[class]++;
  figures->traffic[figures->phase].bytes[class] += event->len;
  if (!message.is_request) return;
  figures->hops_here = FORWARDS - message.forwards + 1;
  figures->step = figures->world->steps + 1;
}

void figures_on_trace(struct figures *figures, const struct trace *trace) {
  if (trace->kind == TRACE_LOCSER_RETRY) figures->tries_again++;
  if (trace->kind != TRACE_LOCSER_DELIVER) return;
  enum figure_class class = class_of(trace->a);
  figures->calls[class]++;
  if (class == FIGURE_CLIENTS && figures->step == figures->world->steps)
    figures->hops[figures->hops_here]++;
}

/* ---- sums ---- */

const char *figure_phase_name(enum figure_phase phase) {
  static const char *const names[] = {"build", "put", "faults", "heal", "read", "rest"};
  return names[phase];
}

uint64_t figures_bytes(const struct figures *figures, enum figure_class class) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < FIGURE_PHASES; i++) sum += figures->traffic[i].bytes[class];
  return sum;
}

static uint64_t hops_count(const struct figures *figures) {
  uint64_t count = 0;
  for (unsigned i = 0; i <= FIGURE_HOPS_MAX; i++) count += figures->hops[i];
  return count;
}

uint64_t figures_hops_mean(const struct figures *figures) {
  uint64_t sum = 0, count = hops_count(figures);
  for (unsigned i = 0; i <= FIGURE_HOPS_MAX; i++) sum += i * figures->hops[i];
  return count == 0 ? 0 : sum * 1000 / count;
}

uint32_t figures_hops_of(const struct figures *figures, uint32_t of_1000) {
  uint64_t count = hops_count(figures), below = 0;
  for (uint32_t i = 0; i < FIGURE_HOPS_MAX; i++) {
    below += figures->hops[i];
    if (below * 1000 >= count * of_1000) return i;
  }
  return FIGURE_HOPS_MAX;
}

uint64_t figures_rate(const struct figures *figures, enum figure_phase phase, uint64_t count) {
  uint64_t peer_ms = figures->peer_ms[phase];
  return peer_ms == 0 ? 0 : count * 1000 / peer_ms;
}
