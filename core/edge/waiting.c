/* SPDX-License-Identifier: BSD-2-Clause */
/* Message waiting (RFC 3842): what is told of a mailbox to phones that subscribed to it (R-13.20 to
 * How many messages are in it the node says, who looks at it. */
#include "edge/events.h"

#define SHOWN_MAX 9999u /* displays are narrow */

void waiting_look(struct edge_step *step, struct slice aor, bool later) {
  if (edge_calls_left(step) == 0) return; /* the next SUBSCRIBE or REGISTER looks */
  edge_call_add(step, later ? EDGE_MISSED : EDGE_ARRIVED, 0, aor, NULL, 0);
}

void waiting_put_summary(struct buf *out, const struct presentity *presentity) {
  uint32_t count = presentity->waiting < SHOWN_MAX ? presentity->waiting : SHOWN_MAX;
  buf_put_cstr(out, "Messages-Waiting: ");
  buf_put_cstr(out, count > 0 ? "yes" : "no");
  buf_put_cstr(out, "\r\nMessage-Account: ");
  buf_put(out, presentity->aor);
  buf_put_cstr(out, "\r\nText-Message: ");
  buf_put_u64(out, count);
  buf_put_cstr(out, "/0\r\n");
}

void edge_on_waiting(struct edge *edge, usec now, msec_wall wall, struct slice aor,
                     uint32_t count) {
  struct edge_step step = {edge, now, wall, NULL, NULL};
  struct presentity *presentity = event_presentity(edge, aor);
  if (presentity == NULL || presentity->waiting == count) return;
  presentity->waiting = count;
  event_tell(&step, presentity, EVENT_WAITING);
}
