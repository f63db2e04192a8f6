/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of presence, and which requests are its own. */
#include "edge/events.h"

#include "base/assert.h"
#include "edge/order.h"
#include "edge/route.h"
#include "sip/print.h"

/* ---- life ---- */

/* Most peers of an overlay have no phones: what this takes is taken when it is needed. */
static bool make_tables(struct edge *edge) {
  const struct edge_limits *limits = &edge->config.limits;
  uint32_t subscriptions = limits->subscriptions_max, bindings = limits->bindings_max;
  if (edge->presence != NULL) return true;
  struct presence *p = memory_take(edge->memory, sizeof *p);
  if (p == NULL) return false;
  pool_init(&p->presentities, edge->memory, sizeof(struct presentity), 64,
            subscriptions + bindings);
  pool_init(&p->publications, edge->memory, sizeof(struct publication), 64, bindings);
  pool_init(&p->subscriptions, edge->memory, sizeof(struct subscription), 64, subscriptions);
  pool_init(&p->remotes, edge->memory, sizeof(struct remote), 64, subscriptions);
  pool_init(&p->rules, edge->memory, sizeof(struct rule), 64, subscriptions);
  map_init(&p->by_aor, edge->memory);
  map_init(&p->by_tag, edge->memory);
  map_init(&p->by_watcher, edge->memory);
  map_init(&p->by_flow, edge->memory);
  p->life = rng_u64(&edge->rng) | 1;
  p->pace.kind = EDGE_TIMER_NOTIFY;
  p->tell.kind = EDGE_TIMER_TELL;
  edge->presence = p;
  return true;
}

void presence_free(struct edge *edge) {
  struct presence *p = edge->presence;
  uint32_t index = 0;
  struct subscription *subscription;
  struct publication *publication;
  struct presentity *presentity;
  struct remote *remote;
  struct rule *rule;
  if (p == NULL) return;
  while ((subscription = pool_next(&p->subscriptions, &index)) != NULL)
    edge_drop(edge, &subscription->text);
  for (index = 0; (publication = pool_next(&p->publications, &index)) != NULL;)
    edge_drop(edge, &publication->body);
  for (index = 0; (rule = pool_next(&p->rules, &index)) != NULL;) edge_drop(edge, &rule->watcher);
  for (index = 0; (remote = pool_next(&p->remotes, &index)) != NULL;)
    edge_drop(edge, &remote->watcher);
  for (index = 0; (presentity = pool_next(&p->presentities, &index)) != NULL;) {
    edge_drop(edge, &presentity->aor);
    edge_drop(edge, &presentity->document);
    homes_forget(edge, presentity);
  }
  pool_free(&p->remotes);
  pool_free(&p->presentities);
  pool_free(&p->publications);
  pool_free(&p->subscriptions);
  pool_free(&p->rules);
  map_free(&p->by_aor);
  map_free(&p->by_tag);
  map_free(&p->by_watcher);
  map_free(&p->by_flow);
  memory_give(edge->memory, p, sizeof *p);
  edge->presence = NULL;
}

void presence_trim(struct edge *edge) {
  struct presence *p = edge->presence;
  if (p == NULL) return;
  pool_trim(&p->presentities);
  pool_trim(&p->publications);
  pool_trim(&p->subscriptions);
  pool_trim(&p->rules);
  pool_trim(&p->remotes);
}

/* ---- presentities ---- */

uint32_t event_index(const struct pool *pool, const void *object) {
  return pool_handle_of(pool, object).index + 1;
}

void *event_at(const struct pool *pool, uint32_t index) {
  return index == 0 ? NULL : pool_at_index(pool, index - 1);
}

struct presentity *event_presentity(const struct edge *edge, struct slice aor) {
  const struct presence *p = edge->presence;
  struct map_cursor cursor;
  uint64_t hash = hash_slice(edge->hash, aor);
  if (p == NULL || p->presentities.used == 0) return NULL;
  for (uint32_t i = map_first(&p->by_aor, hash, &cursor); i != MAP_END;
       i = map_next(&p->by_aor, &cursor)) {
    struct presentity *presentity = pool_at_index(&p->presentities, i);
    if (slice_equal(presentity->aor, aor)) return presentity;
  }
  return NULL;
}

struct presentity *event_presentity_make(struct edge *edge, struct slice aor) {
  struct presentity *presentity = event_presentity(edge, aor);
  struct handle handle;
  if (presentity != NULL) return presentity;
  if (!make_tables(edge)) return NULL;
  struct presence *p = edge->presence;
  presentity = pool_take(&p->presentities, &handle);
  if (presentity == NULL) return NULL;
  presentity->aor = edge_keep(edge, aor);
  presentity->hash = hash_slice(edge->hash, aor);
  if (presentity->aor.at == NULL || map_put(&p->by_aor, presentity->hash, handle.index) != OK) {
    edge_drop(edge, &presentity->aor);
    pool_give(&p->presentities, handle);
    return NULL;
  }
  return presentity;
}

void event_presentity_leave(struct edge_step *step, struct presentity *presentity) {
  struct edge *edge = step->edge;
  struct presence *p = edge->presence;
  struct handle handle = pool_handle_of(&p->presentities, presentity);
  if (presentity->publications != 0 || presentity->subscriptions != 0 || presentity->rules != 0 ||
      presentity->home || presentity->remotes != 0 || presentity->telling || presentity->timer.set)
    return;
  timers_clear(&edge->timers, &presentity->timer);
  timers_clear(&edge->timers, &presentity->again);
  homes_forget(edge, presentity);
  map_remove(&p->by_aor, presentity->hash, handle.index);
  edge_drop(edge, &presentity->aor);
  edge_drop(edge, &presentity->document);
  pool_give(&p->presentities, handle);
}

void event_tell(struct edge_step *step, struct presentity *presentity, enum event_package package) {
  struct presence *p = step->edge->presence;
  struct subscription *subscription;
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&p->subscriptions, i);
    if (subscription->package != package || subscription->decision != EVENT_ALLOW) continue;
    if (package != EVENT_PRESENCE || !homes_hold(step, presentity, subscription))
      notify_queue(step, subscription);
  }
}

enum event_decision event_judgement(const struct edge_step *step,
                                    const struct presentity *presentity,
                                    const struct subscription *subscription) {
  bool here = compose_is_here(step, presentity) || presentity->home;
  enum event_decision own = event_decide(step->edge, presentity, subscription->watcher);
  if (slice_equal(presentity->aor, subscription->watcher)) return own;
  enum event_decision all = homes_decision(step->edge, subscription, here ? &own : NULL);
  bool waits = all == EVENT_ALLOW && subscription->decision == EVENT_ASK &&
               homes_hold(step, presentity, subscription);
  return waits ? EVENT_ASK : all;
}

void event_judge(struct edge_step *step, struct presentity *presentity,
                 struct subscription *subscription) {
  if (subscription->package != EVENT_PRESENCE || subscription->end != NULL) return;
  enum event_decision decision = event_judgement(step, presentity, subscription);
  if (decision == subscription->decision) return;
  subscription->decision = decision;
  if (decision == EVENT_BLOCK)
    watch_end(step, subscription, "rejected");
  else
    notify_queue(step, subscription);
}

void event_changed(struct edge_step *step, struct presentity *presentity, bool here) {
  struct subscription *subscription;
  edge_drop(step->edge, &presentity->document);
  for (uint32_t i = presentity->subscriptions; i != 0 && here; i = subscription->next) {
    subscription = event_at(&step->edge->presence->subscriptions, i);
    event_judge(step, presentity, subscription);
  }
  event_tell(step, presentity, EVENT_PRESENCE);
  if (here) remote_on_change(step, presentity);
}

void event_watchers_changed(struct edge_step *step, struct presentity *presentity) {
  if (presentity->winfo_count > 0) event_tell(step, presentity, EVENT_WINFO);
}

void presence_on_bindings(struct edge_step *step, struct slice aor) {
  struct edge *edge = step->edge;
  struct presentity *presentity = event_presentity(edge, aor);
  if (edge->config.limits.subscriptions_max == 0) return;
  /* Where there is no room, other peers do not learn of it, and nothing else is lost. */
  if (presentity == NULL && !edge->config.alone) presentity = event_presentity_make(edge, aor);
  if (presentity == NULL) return;
  event_changed(step, presentity, true);
  event_presentity_leave(step, presentity);
}

/* ---- who may watch ---- */

static struct rule *find_rule(const struct edge *edge, const struct presentity *presentity,
                              struct slice watcher) {
  struct rule *rule;
  for (uint32_t i = presentity->rules; i != 0; i = rule->next) {
    rule = event_at(&edge->presence->rules, i);
    if (slice_equal(rule->watcher, watcher)) return rule;
  }
  return NULL;
}

enum event_decision event_decide(const struct edge *edge, const struct presentity *presentity,
                                 struct slice watcher) {
  const struct rule *rule = find_rule(edge, presentity, watcher);
  if (slice_equal(presentity->aor, watcher)) return EVENT_ALLOW;
  return rule != NULL ? rule->decision : edge->config.watchers;
}

static enum err set_rule(struct edge *edge, struct presentity *presentity, struct slice watcher,
                         enum event_decision decision) {
  struct presence *p = edge->presence;
  struct rule *rule = find_rule(edge, presentity, watcher);
  struct handle handle;
  if (rule == NULL) {
    if (presentity->rule_count >= EVENT_RULES_MAX) return ERR_FULL;
    rule = pool_take(&p->rules, &handle);
    if (rule == NULL) return ERR_FULL;
    rule->watcher = edge_keep(edge, watcher);
    if (rule->watcher.at == NULL) {
      pool_give(&p->rules, handle);
      return ERR_MEMORY;
    }
    rule->next = presentity->rules;
    presentity->rules = handle.index + 1;
    presentity->rule_count++;
  }
  rule->decision = decision;
  return OK;
}

enum err edge_decide(struct edge *edge, usec now, msec_wall wall, struct slice aor,
                     struct slice watcher, enum event_decision decision, struct edge_calls *calls,
                     struct outbox *out) {
  struct edge_step step = {edge, now, wall, calls, out};
  if (edge->config.limits.subscriptions_max == 0) return ERR_UNSUPPORTED;
  struct presentity *presentity = event_presentity_make(edge, aor);
  if (presentity == NULL) return ERR_FULL;
  const struct presence *p = edge->presence;
  enum err err = set_rule(edge, presentity, watcher, decision);
  struct subscription *subscription;
  for (uint32_t i = presentity->subscriptions; i != 0 && err == OK; i = subscription->next) {
    subscription = event_at(&p->subscriptions, i);
    event_judge(&step, presentity, subscription);
  }
  if (err == OK) remote_on_rule(&step, presentity, watcher);
  if (err == OK) event_watchers_changed(&step, presentity);
  event_presentity_leave(&step, presentity);
  return err;
}

/* ---- requests ---- */

bool event_expires(struct edge_step *step, const struct edge_request *request, uint32_t *out) {
  const struct sip_header *header = sip_header_first(request->message, SIP_H_EXPIRES);
  uint64_t seconds;
  *out = EVENT_EXPIRES_DEFAULT_S;
  if (header == NULL) return true;
  if (!slice_to_u64(header->value, UINT32_MAX, &seconds)) return true;
  if (seconds != 0 && seconds < EVENT_EXPIRES_MIN_S) {
    size_t mark = edge_reply_begin(step, request, 423, NULL);
    sip_put_header_u64(&step->out->bytes, "Min-Expires", EVENT_EXPIRES_MIN_S);
    edge_reply_end(step, request, 423, mark);
    return false;
  }
  if (seconds < *out) *out = (uint32_t)seconds;
  return true;
}

/* */
static void refuse_event(struct edge_step *step, const struct edge_request *request) {
  size_t mark = edge_reply_begin(step, request, 489, NULL);
  sip_put_header(&step->out->bytes, "Allow-Events", SLICE(EDGE_EVENTS));
  edge_reply_end(step, request, 489, mark);
}

static bool put_from(struct buf *out, const struct sip_message *message) {
  const struct sip_header *header = sip_header_first(message, SIP_H_FROM);
  struct sip_address address;
  return header != NULL && sip_address_parse(header->value, &address) == OK &&
         address.uri.user.len != 0 && sip_uri_put_aor(out, &address.uri) == OK && !out->overflow;
}

/* May who sent this act for the address? Its password was asked for, if it has one. */
static bool may_act_for(const struct edge *edge, const struct edge_request *request,
                        struct slice aor) {
  return auth_knows(edge, aor) || edge->config.digest_off || endpoint_is_loopback(&request->from);
}

static bool is_served(const struct edge *edge, struct slice aor) {
  struct sip_uri uri;
  return sip_uri_parse(aor, &uri) == OK && edge_serves(edge, uri.host);
}

static void take_request(struct edge_step *step, const struct edge_request *request,
                         const struct event_request *event) {
  bool own = slice_equal(event->watcher, event->aor);
  if (!may_act_for(step->edge, request, event->watcher))
    edge_reply(step, request, 403, "No Password For This Address Here (locser user add)");
  else if (request->message->method == SIP_PUBLISH && !own)
    edge_reply(step, request, 403, "From And Request-URI Of PUBLISH Differ");
  else if (request->message->method == SIP_PUBLISH)
    publish_on_request(step, request, event->aor);
  else if (event->package == EVENT_WINFO && !own)
    edge_reply(step, request, 403, "Only Its Owner Learns Who Watches");
  else
    watch_on_request(step, request, event);
}

static bool read_package(struct slice text, enum event_package *out) {
  static const struct slice name[] = {[EVENT_PRESENCE] = {"presence", 8},
                                      [EVENT_WINFO] = {"presence.winfo", 14},
                                      [EVENT_WAITING] = {"message-summary", 15}};
  for (unsigned i = 0; i < sizeof name / sizeof name[0]; i++) {
    if (!slice_equal_nocase(text, name[i])) continue;
    *out = (enum event_package)i;
    return true;
  }
  return false;
}

bool presence_on_request(struct edge_step *step, const struct edge_request *request,
                         const struct sip_uri *uri) {
  const struct edge *edge = step->edge;
  const struct sip_message *message = request->message;
  bool publish = message->method == SIP_PUBLISH;
  if (edge->config.limits.subscriptions_max == 0 || message->to_tag.len != 0 ||
      uri->user.len == 0 || sip_param_get(uri->params, "gr", NULL))
    return false;
  if (!publish && message->method != SIP_SUBSCRIBE) return false;
  if (endpoint_parse_host(uri->host, &(struct endpoint){0}) ? !route_is_address(edge, uri)
                                                            : !edge_serves(edge, uri->host))
    return false;
  const struct sip_header *header = sip_header_first(message, SIP_H_EVENT);
  struct slice package = SLICE_EMPTY;
  if (header != NULL)
    package = slice_trim(slice_first(header->value, slice_find_byte(header->value, ';')));
  struct event_request event = {.package = EVENT_PRESENCE};
  bool known = read_package(package, &event.package);
  if (publish ? !known || event.package != EVENT_PRESENCE : package.len == 0) {
    refuse_event(step, request);
    return true;
  }
  if (!known) return false; /* the phone's own business */
  char aor_text[ORDER_AOR_BYTES_MAX], from_text[ORDER_AOR_BYTES_MAX];
  struct buf aor = buf_over(aor_text, sizeof aor_text);
  struct buf from = buf_over(from_text, sizeof from_text);
  if (sip_uri_put_aor(&aor, uri) != OK || aor.overflow) {
    edge_reply(step, request, 400, "Address In Request-URI Too Long");
    return true;
  }
  /* Who is not of this overlay has proven nothing; the phone may answer. */
  if (!put_from(&from, message) || !is_served(edge, buf_slice(&from))) return false;
  event.aor = buf_slice(&aor);
  event.watcher = buf_slice(&from);
  if (event.package == EVENT_WAITING && !slice_equal(event.aor, event.watcher))
    return false; /* of a mailbox that is somebody's phone, as an answering machine */
  take_request(step, request, &event);
  return true;
}

void presence_on_own(struct edge_step *step, const struct edge_request *request) {
  if (request->message->to_tag.len == 0)
    refuse_event(step, request);
  else
    watch_on_refresh(step, request);
}

void presence_on_timer(struct edge_step *step, struct timer *timer) {
  if (timer->kind == EDGE_TIMER_PUBLICATION)
    publish_on_timer(step, timer);
  else if (timer->kind == EDGE_TIMER_SUBSCRIPTION)
    watch_on_timer(step, timer);
  else if (timer->kind == EDGE_TIMER_NOTIFY)
    notify_on_timer(step);
  else
    remote_on_timer(step, timer);
}

void presence_on_flow_closed(struct edge_step *step, uint32_t flow) {
  struct presence *p = step->edge->presence;
  struct map_cursor cursor;
  uint32_t index;
  if (p == NULL || flow == 0) return;
  while ((index = map_first(&p->by_flow, watch_flow_hash(step->edge, flow), &cursor)) != MAP_END) {
    struct subscription *subscription = pool_at_index(&p->subscriptions, index);
    ASSERT(subscription->flow == flow);
    subscription_free(step, subscription);
  }
}

/* ---- views ---- */

struct slice edge_presence(struct edge *edge, usec now, msec_wall wall, struct slice aor,
                           struct outbox *out) {
  struct edge_calls calls;
  calls.count = 0;
  struct edge_step step = {edge, now, wall, &calls, out};
  struct presentity *presentity = event_presentity(edge, aor);
  if (presentity == NULL) return SLICE_EMPTY;
  if (!compose_is_here(&step, presentity) && presentity->homes == NULL) return SLICE_EMPTY;
  return outbox_keep(out, compose_document(&step, presentity));
}

/* The cursor counts. */
bool edge_each_watcher(const struct edge *edge, struct slice aor, uint32_t *cursor,
                       struct edge_watcher *out) {
  const struct presentity *presentity = event_presentity(edge, aor);
  const struct subscription *subscription;
  const struct remote *remote;
  uint32_t skip = (*cursor)++;
  if (presentity == NULL) return false;
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&edge->presence->subscriptions, i);
    if (subscription->package != EVENT_PRESENCE || skip-- > 0) continue;
    *out = (struct edge_watcher){.aor = subscription->watcher,
                                 .decision = subscription->decision,
                                 .at = subscription->from,
                                 .expires_at = subscription->expires_at};
    return true;
  }
  for (uint32_t i = presentity->remotes; i != 0; i = remote->next) {
    remote = event_at(&edge->presence->remotes, i);
    if (skip-- > 0) continue;
    *out = (struct edge_watcher){.aor = remote->watcher,
                                 .decision = remote->decision,
                                 .at = remote->peer.at,
                                 .expires_at = remote->timer.at};
    return true;
  }
  return false;
}
