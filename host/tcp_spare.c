/* SPDX-License-Identifier: BSD-2-Clause */
/* Buffers and tickets that were used and will be again: a kept link forwards without a call of the
 * allocator. */
#include <stdlib.h>
#include <string.h>

#include "host/tcp_internal.h"

#define BYTES_FIRST 2048u

/* The largest, or the smallest that is large enough; NULL: none is. */
static struct spare_buffer *choose(struct tcp_spare *spare, size_t need, bool largest) {
  struct spare_buffer *best = NULL;
  for (unsigned i = 0; i < spare->buffers; i++) {
    struct spare_buffer *b = &spare->buffer[i];
    if (b->cap >= need && (best == NULL || (b->cap > best->cap) == largest)) best = b;
  }
  return best;
}

bool spare_grow(struct tcp_spare *spare, char **at, size_t len, size_t *cap, size_t need,
                bool largest) {
  struct spare_buffer grown = {NULL, *cap > 0 ? *cap : BYTES_FIRST};
  struct spare_buffer *kept = choose(spare, need, largest);
  if (kept != NULL) {
    grown = *kept;
    spare->bytes -= kept->cap;
    *kept = spare->buffer[--spare->buffers];
  } else {
    while (grown.cap < need) grown.cap *= 2;
    grown.at = malloc(grown.cap);
    if (grown.at == NULL) return false;
  }
  if (len > 0) memcpy(grown.at, *at, len);
  spare_give(spare, *at, *cap);
  *at = grown.at;
  *cap = grown.cap;
  return true;
}

void spare_give(struct tcp_spare *spare, char *at, size_t cap) {
  if (at == NULL) return;
  if (spare->buffers == TCP_SPARE_BUFFERS || spare->bytes + cap > TCP_SPARE_BYTES_MAX) {
    struct spare_buffer *smallest = choose(spare, 0, false);
    if (smallest == NULL || smallest->cap >= cap ||
        spare->bytes - smallest->cap + cap > TCP_SPARE_BYTES_MAX) {
      free(at);
      return;
    }
    free(smallest->at);
    spare->bytes -= smallest->cap;
    *smallest = spare->buffer[--spare->buffers];
  }
  spare->buffer[spare->buffers++] = (struct spare_buffer){at, cap};
  spare->bytes += cap;
}

struct ticket *spare_ticket(struct tcp_spare *spare) {
  struct ticket *ticket = spare->ticket;
  if (ticket == NULL) return host_take(sizeof *ticket);
  spare->ticket = ticket->next;
  spare->tickets--;
  return ticket;
}

void spare_give_ticket(struct tcp_spare *spare, struct ticket *ticket) {
  if (spare->tickets == TCP_SPARE_TICKETS) {
    free(ticket);
    return;
  }
  ticket->next = spare->ticket;
  spare->ticket = ticket;
  spare->tickets++;
}

void spare_free(struct tcp_spare *spare) {
  while (spare->buffers > 0) free(spare->buffer[--spare->buffers].at);
  for (struct ticket *next; spare->ticket != NULL; spare->ticket = next) {
    next = spare->ticket->next;
    free(spare->ticket);
  }
}
