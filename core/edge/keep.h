/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP addresses that phones with Outbound registered from. A datagram's way never says that it has
 * ended; but a phone that began to send keep-alives, as it was told to (Flow-Timer), and has
 * stopped, is gone: its bindings go with it. A phone that never sends one is not judged
 * by its silence. */
#ifndef EDGE_KEEP_H
#define EDGE_KEEP_H

#include "edge/state.h"

/* What Flow-Timer says (RFC 5626 section 10), in seconds. Silence for twice as long is the end. */
#define KEEP_FLOW_TIMER_UDP_S 30u
#define KEEP_FLOW_TIMER_STREAM_S 120u
#define KEEP_SILENCE_MAX SEC(2 * KEEP_FLOW_TIMER_UDP_S)

void keep_init(struct edge *edge);
void keep_free(struct edge *edge);
/* A phone registers from there; *serial names this use of the address in tokens, and is not 0. It
 * is forgotten again if no binding comes of it. ERR_FULL, ERR_MEMORY. */
enum err keep_note(const struct edge_step *step, const struct endpoint *at,
                   uint32_t *serial) MUST_USE;
bool keep_is(const struct edge *edge, const struct endpoint *at, uint32_t serial);
/* A datagram came from there. */
void keep_on_heard(struct edge *edge, usec now, const struct endpoint *from, bool keep_alive);
void keep_on_timer(struct edge_step *step, struct timer *timer);

#endif
