/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits against abuse: who is measured, and what is said of it.
 */
#include "node/internal.h"

#define TOLD_US SEC(60) /* between two lines about the same limit */

static bool is_trusted(const struct node *node, const struct endpoint *at) {
  for (unsigned i = 0; i < node->config.trusted_count; i++)
    if (prefix_has(&node->config.trusted[i], at)) return true;
  return false;
}

bool limits_is_local(const struct node *node, const struct endpoint *at) {
  return is_trusted(node, at);
}

bool limits_is_proven(const struct node *node, const struct endpoint *at) {
  return endpoint_is_stream(at) || node->config.peer_transport == TRANSPORT_UDP ||
         is_trusted(node, at);
}

static bool is_neighbour(const struct node *node, const struct key *id) {
  struct peer successors[OVERLAY_SUCCESSORS_MAX];
  const struct peer *predecessor = overlay_predecessor(node->overlay);
  if (predecessor != NULL && key_equal(&predecessor->id, id)) return true;
  unsigned count = overlay_successors(node->overlay, successors, OVERLAY_SUCCESSORS_MAX);
  for (unsigned i = 0; i < count; i++)
    if (key_equal(&successors[i].id, id)) return true;
  return false;
}

struct source limits_source(const struct step *s, const struct endpoint *from) {
  const struct node *node = s->node;
  if (s->proven != NULL) {
    if (is_neighbour(node, s->proven)) return (struct source){0};
    return sources_of_peer(&node->sources, s->proven);
  }
  /* In a laboratory a peer cannot be told from a stranger. */
  if (!links_are_proven(node) || is_trusted(node, from)) return (struct source){0};
  return sources_of_address(&node->sources, from);
}

void limits_note(struct step *s, enum node_limit limit, const struct endpoint *from) {
  static const char *const names[] = {
#define LIMIT_NAME(id, name, text) name,
      NODE_LIMITS(LIMIT_NAME)
#undef LIMIT_NAME
  };
  struct node *node = s->node;
  const struct endpoint nowhere = {.family = 0};
  uint64_t count = ++node->stats.limit[limit];
  if (node->told == NULL) node->told = memory_take(node->config.memory, sizeof *node->told);
  if (node->told == NULL) return; /* counted, and told when there is memory */
  struct limits_told *told = node->told;
  if (told->count[limit] != 0 && s->now < told->at[limit] + TOLD_US) return;
  outbox_trace(s->out, &(struct trace){.kind = TRACE_LIMIT,
                                       .at = s->now,
                                       .peer = from != NULL ? *from : nowhere,
                                       .n = count - told->count[limit],
                                       .a = slice_cstr(names[limit])});
  told->count[limit] = count;
  told->at[limit] = s->now;
}

bool limits_take(struct step *s, enum source_meter meter, size_t amount,
                 const struct endpoint *from) {
  static const enum node_limit limit_of[SOURCE_METERS] = {
      [SOURCE_REQUESTS] = LIMIT_REQUESTS,
      [SOURCE_PUTS] = LIMIT_PUTS,
      [SOURCE_BYTES] = LIMIT_BYTES,
      [SOURCE_DATAGRAMS] = LIMIT_DATAGRAMS,
  };
  if (sources_take(&s->node->sources, s->source, meter, (uint32_t)amount, s->now)) return true;
  limits_note(s, limit_of[meter], from);
  return false;
}

bool limits_hold(struct step *s, enum source_table table, const struct pool *pool, uint16_t row,
                 const struct endpoint *from) {
  if (pool->used >= pool->limit) {
    limits_note(s, LIMIT_FULL, from);
    return false;
  }
  if (sources_hold(&s->node->sources, row, table, pool->limit, s->now)) return true;
  limits_note(s, LIMIT_SHARE, from);
  return false;
}

bool limits_datagram(struct step *s, const struct endpoint *from) {
  if (limits_is_proven(s->node, from)) return true;
  s->source = sources_of_address(&s->node->sources, from);
  bool good = limits_take(s, SOURCE_DATAGRAMS, 1, from);
  s->source = (struct source){0};
  return good;
}
