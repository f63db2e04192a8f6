/* SPDX-License-Identifier: BSD-2-Clause */
/* The best refusal that the branches of a request have drawn so far (RFC 3261 section 16.7, steps
 * 6 and 7). */
#ifndef EDGE_BEST_H
#define EDGE_BEST_H

#include "edge/state.h"

struct best {
  uint16_t status;         /* 0: none */
  const char *reason;      /* where there is no response; NULL: the standard phrase */
  struct slice response;   /* owned, as received; empty: made here */
  struct slice challenges; /* owned: header lines of the other 401 and 407 */
};

/* An answer that nobody sent: 408, 503 ...; reason: static, or NULL. */
void best_take_status(struct edge *edge, struct best *best, uint16_t status, const char *reason);
void best_take(struct edge *edge, struct best *best, const struct sip_message *response);
/* The kept response as it is forwarded. */
void best_put(struct buf *out, const struct best *best);
void best_clear(struct edge *edge, struct best *best);

#endif
