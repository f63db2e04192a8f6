/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/narrate.h"

#include <stdarg.h>
#include <stdlib.h>

#include "sim/ledger.h"

void narrator_open(struct narrator *narrator, const struct world *world) {
  *narrator = (struct narrator){.world = world};
  narrator->line = sim_take(NARRATOR_LINES * sizeof *narrator->line);
}

void narrator_close(struct narrator *narrator) { free(narrator->line); }

void narrate(struct narrator *narrator, const char *format, ...) {
  char *line = narrator->line[narrator->count++ % NARRATOR_LINES];
  usec since = narrator->world->now - SIM_START_US;
  int used = snprintf(line, 200, "%4llu.%06llu ", (unsigned long long)(since / USEC_PER_SEC),
                      (unsigned long long)(since % USEC_PER_SEC));
  va_list list;
  va_start(list, format);
  vsnprintf(line + used, 200 - (size_t)used, format, list);
  va_end(list);
  if (narrator->follow) fprintf(stderr, "%s\n", line);
}

void narrate_trace(struct narrator *narrator, uint32_t peer, const struct trace *trace) {
  uint32_t other = world_peer_at(narrator->world, &trace->peer);
  char where[24] = "";
  if (other != SIM_NONE) snprintf(where, sizeof where, " peer %u", other);
  narrate(narrator, "  %3u %-16s %02X%02X%s %u %llu %.*s %.*s", peer, trace_name(trace->kind),
          trace->key.byte[0], trace->key.byte[1], where, trace->status,
          (unsigned long long)trace->n, (int)(trace->a.len < 40 ? trace->a.len : 40),
          trace->a.len > 0 ? trace->a.at : "", (int)(trace->b.len < 40 ? trace->b.len : 40),
          trace->b.len > 0 ? trace->b.at : "");
}

static void narrate_message(struct narrator *narrator, uint32_t peer, const struct event *event) {
  struct slice text = slice_of(event->bytes, event->len);
  struct slice first = slice_first(text, slice_find_byte(text, '\r'));
  struct slice method = slice_skip(text, slice_find(text, SLICE("methodName>")) + 11);
  method = slice_first(method, slice_find_byte(method, '<'));
  struct slice key = slice_skip(text, slice_find(text, SLICE("Overlay-Key: ")));
  key = slice_skip(slice_first(key, slice_find_byte(key, '\r')), 13);
  narrate(narrator, "%3u -> %3u %.*s %.*s %.*s", event->from, peer,
          (int)(first.len < 60 ? first.len : 60), first.len > 0 ? first.at : "",
          (int)(method.len < 24 ? method.len : 24), method.len > 0 ? method.at : "",
          (int)(key.len < 60 ? key.len : 60), key.len > 0 ? key.at : "");
}

void narrate_event(struct narrator *narrator, uint32_t peer, const struct event *event) {
  if (event->kind == EVENT_MESSAGE)
    narrate_message(narrator, peer, event);
  else if (event->kind == EVENT_FLOW && event->status != OK)
    narrate(narrator, "%3u    %s %u to %u.%u.%u.%u", peer,
            event->flow != 0 ? "closed: flow" : "not sent: flow", event->flow, event->at.addr[0],
            event->at.addr[1], event->at.addr[2], event->at.addr[3]);
}

void narrator_print(const struct narrator *narrator, FILE *out, unsigned lines) {
  uint64_t first = narrator->count > lines ? narrator->count - lines : 0;
  if (narrator->count > NARRATOR_LINES && first < narrator->count - NARRATOR_LINES)
    first = narrator->count - NARRATOR_LINES;
  for (uint64_t i = first; i < narrator->count; i++)
    fprintf(out, "%s\n", narrator->line[i % NARRATOR_LINES]);
}

void narrator_print_ring(const struct world *world, FILE *out) {
  uint32_t *truth = sim_take((world->up_count + 1) * sizeof *truth);
  uint32_t count = truth_ring(world, truth);
  for (uint32_t i = 0; i < count; i++) {
    const struct sim_peer *peer = &world->peer[truth[i]];
    struct node_ring ring;
    node_inspect_ring(peer->node, &ring);
    fprintf(out, "%4u %02X%02X%s%s life %u, before it", truth[i], peer->id.byte[0],
            peer->id.byte[1], ring.member ? " member" : " out", ring.ready ? " ready" : "",
            peer->life);
    if (peer_is(&ring.predecessor))
      fprintf(out, " %u", world_peer_at(world, &ring.predecessor.at));
    else
      fputs(" nobody", out);
    fputs(", after it", out);
    for (unsigned k = 0; k < ring.successor_count; k++)
      fprintf(out, " %u", world_peer_at(world, &ring.successor[k].at));
    fputs("\n", out);
  }
  free(truth);
}
