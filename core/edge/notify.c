/* SPDX-License-Identifier: BSD-2-Clause */
/* NOTIFY: one at a time for each subscription, and of all so many in a time. What changes
 * while one is under way is told by one more after it, as it then is. */
#include "base/assert.h"
#include "edge/events.h"
#include "edge/fork.h"
#include "sip/print.h"

#define PAUSE_US MSEC(200) /* until answers make room */

static void arm(struct edge *edge, usec at) {
  struct presence *p = edge->presence;
  if (!p->pace.set) timers_set(&edge->timers, &p->pace, at);
}

void notify_queue(struct edge_step *step, struct subscription *subscription) {
  struct presence *p = step->edge->presence;
  if (subscription->queued) return;
  subscription->queued = true;
  if (handle_is(subscription->notify)) return; /* its answer will put it into the queue */
  uint32_t index = event_index(&p->subscriptions, subscription);
  subscription->queue_next = 0;
  struct subscription *last = event_at(&p->subscriptions, p->queue_last);
  if (last != NULL)
    last->queue_next = index;
  else
    p->queue_first = index;
  p->queue_last = index;
  arm(step->edge, step->now);
}

void notify_forget(struct edge *edge, struct subscription *subscription) {
  struct presence *p = edge->presence;
  if (!subscription->queued || handle_is(subscription->notify)) return;
  uint32_t own = event_index(&p->subscriptions, subscription), before = 0, i = p->queue_first;
  while (i != 0 && i != own) {
    before = i;
    i = ((struct subscription *)event_at(&p->subscriptions, i))->queue_next;
  }
  if (i == 0) return;
  if (before == 0)
    p->queue_first = subscription->queue_next;
  else
    ((struct subscription *)event_at(&p->subscriptions, before))->queue_next =
        subscription->queue_next;
  if (p->queue_last == own) p->queue_last = before;
}

/* ---- writing ---- */

static void put_state(struct buf *out, const struct subscription *subscription, usec now) {
  buf_put_cstr(out, "Subscription-State: ");
  if (subscription->end != NULL) {
    buf_put_cstr(out, "terminated;reason=");
    buf_put_cstr(out, subscription->end);
  } else {
    buf_put_cstr(out, subscription->decision == EVENT_ALLOW ? "active" : "pending");
    buf_put_cstr(out, ";expires=");
    usec left = subscription->expires_at > now ? subscription->expires_at - now : 0;
    buf_put_u64(out, (left + USEC_PER_SEC - 1) / USEC_PER_SEC);
  }
  buf_put_cstr(out, "\r\n");
}

static const struct {
  const char *event, *type;
} package[] = {
    [EVENT_PRESENCE] = {"presence", "application/pidf+xml"},
    [EVENT_WINFO] = {"presence.winfo", "application/watcherinfo+xml"},
    [EVENT_WAITING] = {"message-summary", "application/simple-message-summary"},
};

static void put_head(struct edge_step *step, const struct subscription *subscription,
                     struct slice branch) {
  struct buf *out = &step->out->bytes;
  struct endpoint sent_by = step->edge->config.advertise;
  sent_by.transport = subscription->from.transport;
  buf_put_cstr(out, "NOTIFY ");
  buf_put(out, subscription->target);
  buf_put_cstr(out, " SIP/2.0\r\n");
  sip_put_via(out, &sent_by, branch);
  buf_put(out, subscription->routes);
  sip_put_header_u64(out, "Max-Forwards", 70);
  buf_put_cstr(out, "From: ");
  buf_put(out, subscription->local);
  buf_put_cstr(out, ";tag=");
  buf_put_hex64(out, subscription->tag, 16);
  buf_put_cstr(out, "\r\n");
  sip_put_header(out, "To", subscription->remote);
  sip_put_header(out, "Call-ID", subscription->call_id);
  buf_put_cstr(out, "CSeq: ");
  buf_put_u64(out, subscription->cseq);
  buf_put_cstr(out, " NOTIFY\r\n");
  watch_put_contact(step, (enum transport)subscription->from.transport);
  buf_put_cstr(out, "Event: ");
  buf_put_cstr(out, package[subscription->package].event);
  if (subscription->id.len > 0) buf_put_cstr(out, ";id=");
  buf_put(out, subscription->id);
  buf_put_cstr(out, "\r\n");
  put_state(out, subscription, step->now);
}

/* Nothing is told to who is not allowed, or not yet. */
static struct slice body_of(struct edge_step *step, struct subscription *subscription) {
  struct presentity *presentity =
      event_at(&step->edge->presence->presentities, subscription->presentity);
  size_t mark = outbox_mark(step->out);
  switch (subscription->package) {
    case EVENT_PRESENCE:
      if (subscription->decision != EVENT_ALLOW || homes_hold(step, presentity, subscription))
        return SLICE_EMPTY;
      return compose_document(step, presentity);
    case EVENT_WINFO:
      compose_put_watchers(step, &step->out->bytes, presentity, subscription->version++);
      break;
    case EVENT_WAITING:
      waiting_put_summary(&step->out->bytes, presentity);
      break;
  }
  return outbox_text(step->out, mark);
}

static enum err send(struct edge_step *step, struct subscription *subscription) {
  struct edge *edge = step->edge;
  char branch_text[FORK_BRANCH_BYTES];
  struct buf branch = buf_over(branch_text, sizeof branch_text);
  buf_put_cstr(&branch, "z9hG4bK");
  buf_put_hex64(&branch, rng_u64(&edge->rng), 16);
  buf_put_hex64(&branch, rng_u64(&edge->rng), 16);
  struct slice body = body_of(step, subscription);
  size_t mark = outbox_mark(step->out);
  subscription->cseq++;
  put_head(step, subscription, buf_slice(&branch));
  sip_put_body(&step->out->bytes, package[subscription->package].type, body);
  struct handle own = pool_handle_of(&edge->presence->subscriptions, subscription);
  const struct transaction_request request = {
      .to = {.flow = subscription->flow, .at = subscription->from},
      .bytes = outbox_text(step->out, mark),
      .branch = buf_slice(&branch),
      .user = handle_pack(own) | EVENT_USER};
  return transactions_send(&edge->transactions, step->now, &request, step->out,
                           &subscription->notify);
}

/* Calls need transactions too: NOTIFYs that wait have no more than a quarter, and
 * with those that were answered they leave one. */
static bool has_room(const struct edge *edge) {
  const struct pool *clients = &edge->transactions.client;
  return edge->presence->notifying < clients->limit / 4 + 1 &&
         clients->used < clients->limit / 4 * 3 + 1;
}

void notify_on_timer(struct edge_step *step) {
  struct edge *edge = step->edge;
  struct presence *p = edge->presence;
  for (unsigned count = 0; p->queue_first != 0; count++) {
    struct subscription *subscription = event_at(&p->subscriptions, p->queue_first);
    ASSERT(subscription != NULL && subscription->queued && !handle_is(subscription->notify));
    if (count == EVENT_PACE_COUNT || !has_room(edge)) {
      arm(edge, step->now + (count > 0 ? EVENT_PACE_US : PAUSE_US));
      return;
    }
    if (send(step, subscription) != OK) {
      arm(edge, step->now + PAUSE_US);
      return;
    }
    p->queue_first = subscription->queue_next;
    if (p->queue_first == 0) p->queue_last = 0;
    subscription->queued = false;
    p->notifying++;
  }
}

/* ---- answers ---- */

static struct subscription *subscription_of(const struct edge *edge,
                                            const struct transaction_event *event) {
  struct subscription *subscription =
      pool_at(&edge->presence->subscriptions, handle_unpack(event->user & ~EVENT_USER));
  return subscription != NULL && handle_same(subscription->notify, event->handle) ? subscription
                                                                                  : NULL;
}

static void answered(struct edge_step *step, struct subscription *subscription, bool good) {
  subscription->notify = HANDLE_NONE;
  bool again = subscription->queued;
  subscription->queued = false;
  if (!good || (subscription->end != NULL && !again)) {
    subscription_free(step, subscription);
    return;
  }
  if (again) notify_queue(step, subscription);
}

/* RFC 6665 section 4.2.2: what refuses a NOTIFY wants no more, unless it says when. */
bool presence_on_response(struct edge_step *step, const struct transaction_event *event,
                          const struct sip_message *response) {
  if ((event->user & EVENT_USER) == 0) return false;
  struct subscription *subscription = subscription_of(step->edge, event);
  if (response->status < 200) return true;
  step->edge->presence->notifying--;
  if (subscription == NULL) return true;
  bool later = response->status >= 300 && sip_header_first(response, SIP_H_RETRY_AFTER) != NULL;
  answered(step, subscription, response->status < 300 || later);
  return true;
}

bool presence_on_ended(struct edge_step *step, const struct transaction_event *event) {
  if (!event->client || (event->user & EVENT_USER) == 0) return false;
  if (event->kind == TRANSACTION_TERMINATED) return true;
  struct subscription *subscription = subscription_of(step->edge, event);
  step->edge->presence->notifying--;
  if (subscription != NULL) answered(step, subscription, false);
  return true;
}
