/* SPDX-License-Identifier: BSD-2-Clause */
/* The notifier's side of subscriptions (RFC 6665 section 4.2, RFC 3856; ). */
#include "base/assert.h"
#include "edge/events.h"
#include "sip/print.h"

#define TEXT_BYTES_MAX 4096u /* of one dialog */

/* ---- the lists they are in ---- */

static uint64_t tag_hash(const struct edge *edge, uint64_t tag) {
  return hash_bytes(edge->hash, &tag, sizeof tag);
}

uint64_t watch_flow_hash(const struct edge *edge, uint32_t flow) {
  return hash_bytes(edge->hash, &flow, sizeof flow);
}

/* Where its last SUBSCRIBE came from. False: no memory. */
static bool set_flow(struct edge *edge, struct subscription *subscription,
                     const struct edge_request *request) {
  struct presence *p = edge->presence;
  uint32_t index = event_index(&p->subscriptions, subscription) - 1;
  if (request->flow != subscription->flow) {
    if (request->flow != 0 &&
        map_put(&p->by_flow, watch_flow_hash(edge, request->flow), index) != OK)
      return false;
    if (subscription->flow != 0)
      map_remove(&p->by_flow, watch_flow_hash(edge, subscription->flow), index);
  }
  subscription->flow = request->flow;
  subscription->from = request->from;
  return true;
}

static struct presentity *presentity_of(const struct edge *edge,
                                        const struct subscription *subscription) {
  return event_at(&edge->presence->presentities, subscription->presentity);
}

static struct subscription *find(const struct edge *edge, uint64_t tag) {
  const struct presence *p = edge->presence;
  struct map_cursor cursor;
  if (p == NULL || p->subscriptions.used == 0) return NULL;
  for (uint32_t i = map_first(&p->by_tag, tag_hash(edge, tag), &cursor); i != MAP_END;
       i = map_next(&p->by_tag, &cursor)) {
    struct subscription *subscription = pool_at_index(&p->subscriptions, i);
    if (subscription->tag == tag) return subscription;
  }
  return NULL;
}

static uint32_t count_of_watcher(const struct edge *edge, struct slice watcher) {
  struct map_cursor cursor;
  uint32_t count = 0;
  if (edge->presence == NULL) return 0;
  for (uint32_t i =
           map_first(&edge->presence->by_watcher, hash_slice(edge->hash, watcher), &cursor);
       i != MAP_END; i = map_next(&edge->presence->by_watcher, &cursor))
    count++;
  return count;
}

void subscription_give(struct edge *edge, struct subscription *subscription) {
  struct presence *p = edge->presence;
  uint32_t index = event_index(&p->subscriptions, subscription) - 1;
  map_remove(&p->by_tag, tag_hash(edge, subscription->tag), index);
  map_remove(&p->by_watcher, hash_slice(edge->hash, subscription->watcher), index);
  if (subscription->flow != 0)
    map_remove(&p->by_flow, watch_flow_hash(edge, subscription->flow), index);
  edge_drop(edge, &subscription->text);
  pool_give(&p->subscriptions, pool_handle_of(&p->subscriptions, subscription));
}

void subscription_free(struct edge_step *step, struct subscription *subscription) {
  struct edge *edge = step->edge;
  struct presence *p = edge->presence;
  struct presentity *presentity = presentity_of(edge, subscription);
  uint32_t own = event_index(&p->subscriptions, subscription), *link = &presentity->subscriptions;
  while (*link != own) link = &((struct subscription *)event_at(&p->subscriptions, *link))->next;
  *link = subscription->next;
  presentity->subscription_count--;
  enum event_package package = subscription->package;
  presentity->winfo_count -= package == EVENT_WINFO;
  timers_clear(&edge->timers, &subscription->timer);
  notify_forget(edge, subscription);
  subscription_give(edge, subscription);
  if (package == EVENT_PRESENCE) event_watchers_changed(step, presentity);
  event_presentity_leave(step, presentity);
}

void watch_end(struct edge_step *step, struct subscription *subscription, const char *reason) {
  subscription->end = reason;
  timers_clear(&step->edge->timers, &subscription->timer);
  notify_queue(step, subscription);
}

void watch_on_timer(struct edge_step *step, struct timer *timer) {
  struct subscription *subscription =
      pool_at(&step->edge->presence->subscriptions, handle_unpack(timer->owner));
  ASSERT(subscription != NULL);
  watch_end(step, subscription, "timeout");
}

/* ---- what is kept of a dialog ---- */

/* Where each text begins and how long it is, in the block being written. */
struct cut {
  size_t from, len;
};

static struct cut put_cut(struct buf *out, struct slice text) {
  struct cut cut = {out->len, text.len};
  buf_put(out, text);
  return cut;
}

static struct slice cut_of(struct slice block, struct cut cut) {
  return slice_of(block.at + cut.from, cut.len);
}

static struct cut put_routes(struct buf *out, const struct sip_message *message) {
  struct cut cut = {out->len, 0};
  struct sip_values values = sip_values_of(message, SIP_H_RECORD_ROUTE);
  struct slice route;
  while (sip_values_next(&values, &route)) sip_put_header(out, "Route", route);
  cut.len = out->len - cut.from;
  return cut;
}

static struct slice value_of(const struct sip_message *message, enum sip_header_id id) {
  const struct sip_header *header = sip_header_first(message, id);
  return header == NULL ? SLICE_EMPTY : header->value;
}

/* The URI of the one Contact; empty: there is none that can be asked. */
static struct slice read_target(const struct sip_message *message) {
  struct sip_values values = sip_values_of(message, SIP_H_CONTACT);
  struct slice text;
  struct sip_address address;
  if (!sip_values_next(&values, &text) || sip_address_parse(text, &address) != OK ||
      (address.uri.scheme != SIP_SCHEME_SIP && address.uri.scheme != SIP_SCHEME_SIPS))
    return SLICE_EMPTY;
  return address.uri.text;
}

static struct slice read_event_id(const struct sip_message *message) {
  struct slice event = value_of(message, SIP_H_EVENT), id = SLICE_EMPTY;
  struct slice params = slice_skip(event, slice_find_byte(event, ';') + 1);
  return sip_param_get(params, "id", &id) ? id : SLICE_EMPTY;
}

static void set_texts(struct subscription *subscription, struct slice block,
                      const struct cut cut[8]) {
  subscription->text = block;
  subscription->call_id = cut_of(block, cut[0]);
  subscription->local = cut_of(block, cut[1]);
  subscription->remote = cut_of(block, cut[2]);
  subscription->remote_tag = cut_of(block, cut[3]);
  subscription->target = cut_of(block, cut[4]);
  subscription->routes = cut_of(block, cut[5]);
  subscription->id = cut_of(block, cut[6]);
  subscription->watcher = cut_of(block, cut[7]);
}

static bool keep_dialog(struct edge *edge, struct subscription *subscription,
                        const struct sip_message *message, struct slice target,
                        struct slice watcher) {
  char memory[TEXT_BYTES_MAX];
  struct buf text = buf_over(memory, sizeof memory);
  const struct cut cut[8] = {
      put_cut(&text, message->call_id),
      put_cut(&text, value_of(message, SIP_H_TO)),
      put_cut(&text, value_of(message, SIP_H_FROM)),
      put_cut(&text, message->from_tag),
      put_cut(&text, target),
      put_routes(&text, message),
      put_cut(&text, read_event_id(message)),
      put_cut(&text, watcher),
  };
  if (text.overflow) return false;
  struct slice block = edge_keep(edge, buf_slice(&text));
  if (block.at == NULL) return false;
  set_texts(subscription, block, cut);
  return true;
}

/* A new Contact takes the place of the one before (RFC 3261 section 12.2.1.2). */
static bool keep_target(struct edge *edge, struct subscription *subscription, struct slice target) {
  char memory[TEXT_BYTES_MAX];
  struct buf text = buf_over(memory, sizeof memory);
  if (target.len == 0 || slice_equal(target, subscription->target)) return true;
  const struct cut cut[8] = {
      put_cut(&text, subscription->call_id),
      put_cut(&text, subscription->local),
      put_cut(&text, subscription->remote),
      put_cut(&text, subscription->remote_tag),
      put_cut(&text, target),
      put_cut(&text, subscription->routes),
      put_cut(&text, subscription->id),
      put_cut(&text, subscription->watcher),
  };
  if (text.overflow) return false;
  struct slice block = edge_keep(edge, buf_slice(&text));
  if (block.at == NULL) return false;
  edge_drop(edge, &subscription->text);
  set_texts(subscription, block, cut);
  return true;
}

/* ---- answers ---- */

void watch_put_contact(struct edge_step *step, enum transport transport) {
  struct buf *out = &step->out->bytes;
  buf_put_cstr(out, "Contact: <sip:");
  endpoint_put(out, &step->edge->config.advertise);
  buf_put_cstr(out, ";transport=");
  buf_put_cstr(out, transport_name(transport == TRANSPORT_WSS ? TRANSPORT_WS : transport));
  buf_put_cstr(out, ">\r\n");
}

static void accept(struct edge_step *step, const struct edge_request *request, uint64_t tag,
                   uint32_t expires_s) {
  const struct sip_message *message = request->message;
  struct buf *out = &step->out->bytes;
  char memory[16];
  struct buf text = buf_over(memory, sizeof memory);
  buf_put_hex64(&text, tag, 16);
  size_t mark = outbox_mark(step->out);
  sip_put_response_head(out, message, 200, sip_reason(200), buf_slice(&text), &request->from);
  struct sip_values values = sip_values_of(message, SIP_H_RECORD_ROUTE);
  struct slice route;
  while (sip_values_next(&values, &route)) sip_put_header(out, "Record-Route", route);
  watch_put_contact(step, (enum transport)request->from.transport);
  sip_put_header_u64(out, "Expires", expires_s);
  sip_put_header(out, "Allow-Events", SLICE(EDGE_EVENTS));
  edge_reply_end(step, request, 200, mark);
}

/* ---- a new subscription ---- */

static struct subscription *add(struct edge_step *step, const struct edge_request *request,
                                const struct event_request *event) {
  struct edge *edge = step->edge;
  struct handle handle;
  struct presentity *presentity = event_presentity_make(edge, event->aor);
  struct presence *p = edge->presence;
  struct subscription *subscription = NULL;
  if (presentity != NULL) subscription = pool_take(&p->subscriptions, &handle);
  if (subscription == NULL) {
    if (presentity != NULL) event_presentity_leave(step, presentity);
    return NULL;
  }
  subscription->tag = rng_u64(&edge->rng);
  bool kept = keep_dialog(edge, subscription, request->message, read_target(request->message),
                          event->watcher);
  if (!kept || map_put(&p->by_tag, tag_hash(edge, subscription->tag), handle.index) != OK ||
      map_put(&p->by_watcher, hash_slice(edge->hash, subscription->watcher), handle.index) != OK ||
      !set_flow(edge, subscription, request)) {
    subscription_give(edge, subscription);
    event_presentity_leave(step, presentity);
    return NULL;
  }
  subscription->timer.kind = EDGE_TIMER_SUBSCRIPTION;
  subscription->timer.owner = handle_pack(handle);
  subscription->presentity = event_index(&p->presentities, presentity);
  subscription->next = presentity->subscriptions;
  presentity->subscriptions = handle.index + 1;
  presentity->subscription_count++;
  return subscription;
}

static uint32_t limited(enum event_package package, uint32_t expires_s) {
  bool longer = package == EVENT_WAITING && expires_s > EVENT_WAITING_EXPIRES_S;
  return longer ? EVENT_WAITING_EXPIRES_S : expires_s;
}

static void begin(struct edge_step *step, const struct edge_request *request,
                  const struct event_request *event, uint32_t expires_s) {
  struct edge *edge = step->edge;
  struct subscription *subscription = add(step, request, event);
  if (subscription == NULL) {
    edge_reply_busy(step, request, "No Room For Another Subscription");
    return;
  }
  struct presentity *presentity = presentity_of(edge, subscription);
  subscription->package = event->package;
  presentity->winfo_count += event->package == EVENT_WINFO;
  subscription->cseq_remote = request->message->cseq;
  subscription->expires_at = step->now + SEC(expires_s);
  subscription->token = rng_u64(&edge->rng);
  subscription->decision = event->package == EVENT_PRESENCE ? EVENT_ASK : EVENT_ALLOW;
  if (event->package == EVENT_PRESENCE)
    subscription->decision = event_judgement(step, presentity, subscription);
  accept(step, request, subscription->tag, expires_s);
  if (subscription->decision == EVENT_BLOCK)
    watch_end(step, subscription, "rejected");
  else if (expires_s == 0)
    watch_end(step, subscription, "timeout"); /* RFC 6665 section 4.4.3: it only asks */
  else {
    timers_set(&edge->timers, &subscription->timer, subscription->expires_at);
    notify_queue(step, subscription);
  }
  if (event->package == EVENT_WAITING) waiting_look(step, event->aor, false);
  if (event->package != EVENT_PRESENCE) return;
  event_watchers_changed(step, presentity);
  if (expires_s != 0) remote_on_watched(step, presentity);
}

void watch_on_request(struct edge_step *step, const struct edge_request *request,
                      const struct event_request *event) {
  const struct edge *edge = step->edge;
  const struct presentity *presentity = event_presentity(edge, event->aor);
  uint32_t expires_s;
  if (!event_expires(step, request, &expires_s)) return;
  if (read_target(request->message).len == 0)
    edge_reply(step, request, 400, "SUBSCRIBE Without Contact");
  else if (request->message->from_tag.len == 0)
    edge_reply(step, request, 400, "SUBSCRIBE Without Tag In From");
  else if (count_of_watcher(edge, event->watcher) >= EVENT_WATCHED_MAX)
    edge_reply(step, request, 403, "Too Many Subscriptions Of This Address");
  else if (presentity != NULL && presentity->subscription_count >= EVENT_WATCHERS_MAX)
    edge_reply(step, request, 403, "Too Many Watch This Address");
  else
    begin(step, request, event, limited(event->package, expires_s));
}

bool edge_may_decide(const struct edge *edge, struct slice aor, struct slice tag) {
  uint64_t number;
  if (tag.len != 16 || !slice_hex_to_u64(tag, &number)) return false;
  const struct subscription *subscription = find(edge, number);
  return subscription != NULL && subscription->package == EVENT_WINFO &&
         subscription->end == NULL && slice_equal(presentity_of(edge, subscription)->aor, aor);
}

/* ---- in a dialog ---- */

static struct subscription *find_dialog(const struct edge *edge,
                                        const struct sip_message *message) {
  uint64_t tag;
  if (message->to_tag.len != 16 || !slice_hex_to_u64(message->to_tag, &tag)) return NULL;
  struct subscription *subscription = find(edge, tag);
  if (subscription == NULL || subscription->end != NULL ||
      !slice_equal(subscription->call_id, message->call_id) ||
      !slice_equal(subscription->remote_tag, message->from_tag))
    return NULL;
  return subscription;
}

void watch_on_refresh(struct edge_step *step, const struct edge_request *request) {
  struct edge *edge = step->edge;
  const struct sip_message *message = request->message;
  struct subscription *subscription = find_dialog(edge, message);
  uint32_t expires_s;
  if (subscription == NULL) {
    edge_reply(step, request, 481, NULL);
    return;
  }
  if (message->cseq <= subscription->cseq_remote) {
    edge_reply(step, request, 500, "CSeq Not Higher Than Before");
    return;
  }
  if (!event_expires(step, request, &expires_s)) return;
  expires_s = limited(subscription->package, expires_s);
  if (!keep_target(edge, subscription, read_target(message)) ||
      !set_flow(edge, subscription, request)) {
    edge_reply_busy(step, request, "No Room For Another Contact");
    return;
  }
  subscription->cseq_remote = message->cseq;
  subscription->expires_at = step->now + SEC(expires_s);
  accept(step, request, subscription->tag, expires_s);
  if (expires_s == 0) {
    watch_end(step, subscription, "timeout");
    return;
  }
  timers_set(&edge->timers, &subscription->timer, subscription->expires_at);
  notify_queue(step, subscription);
  if (subscription->package == EVENT_WAITING) waiting_look(step, subscription->watcher, false);
}
