/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge/best.h"

#include "base/assert.h"
#include "sip/print.h"

#define CHALLENGES_BYTES_MAX 4096u

/* Lower is better: a 6xx, then the lowest class; within it what tells the caller how to ask again,
 * and last what says only that a branch was silent or broken. */
static unsigned rank(uint16_t status) {
  if (status >= 600) return 0;
  unsigned rank = status / 100u * 10;
  switch (status) {
    case 401:
    case 407:
      return rank;
    case 415:
    case 420:
    case 484:
      return rank + 1;
    case 408:
    case 430:
    case 503:
      return rank + 9;
    default:
      return rank + 4;
  }
}

static bool is_better(const struct best *best, uint16_t status) {
  return best->status == 0 || rank(status) < rank(best->status);
}

void best_take_status(struct edge *edge, struct best *best, uint16_t status, const char *reason) {
  if (!is_better(best, status)) return;
  edge_drop(edge, &best->response);
  best->status = status;
  best->reason = reason;
}

static bool is_challenge(uint16_t status) { return status == 401 || status == 407; }

/* Adds the challenges of a response to those kept; without room they are left out. */
static void add_challenges(struct edge *edge, struct best *best,
                           const struct sip_message *response) {
  char memory[CHALLENGES_BYTES_MAX];
  struct buf text = buf_over(memory, sizeof memory);
  buf_put(&text, best->challenges);
  for (unsigned i = 0; i < response->header_count; i++) {
    const struct sip_header *header = &response->header[i];
    if (header->id == SIP_H_WWW_AUTHENTICATE || header->id == SIP_H_PROXY_AUTHENTICATE)
      buf_put(&text, header->line);
  }
  struct slice kept = text.len == 0 ? SLICE_EMPTY : edge_keep(edge, buf_slice(&text));
  if (kept.at == NULL) return;
  edge_drop(edge, &best->challenges);
  best->challenges = kept;
}

void best_take(struct edge *edge, struct best *best, const struct sip_message *response) {
  if (!is_better(best, response->status)) {
    if (is_challenge(response->status)) add_challenges(edge, best, response);
    return;
  }
  struct slice kept = edge_keep(edge, response->bytes);
  if (kept.at == NULL) { /* no room: its status must do */
    best_take_status(edge, best, response->status, NULL);
    return;
  }
  edge_drop(edge, &best->response);
  best->response = kept;
  best->status = response->status;
}

void best_put(struct buf *out, const struct best *best) {
  struct sip_message response;
  struct sip_problem problem;
  enum err parsed = sip_message_parse(best->response, SIP_DATAGRAM, &response, &problem);
  ASSERT(parsed == OK); /* it parsed when it came */
  struct slice lines = is_challenge(best->status) ? best->challenges : SLICE_EMPTY;
  sip_put_forwarded_response(out, &response, lines);
}

void best_clear(struct edge *edge, struct best *best) {
  edge_drop(edge, &best->response);
  edge_drop(edge, &best->challenges);
  best->status = 0;
}
