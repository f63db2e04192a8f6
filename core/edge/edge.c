/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge/edge.h"

#include "base/assert.h"
#include "edge/fork.h"
#include "edge/keep.h"
#include "edge/order.h"
#include "edge/redirect.h"
#include "edge/route.h"
#include "edge/state.h"
#include "edge/target.h"
#include "sip/print.h"

/* What one event may need of a step's outbox. */
#define EVENT_ITEMS 40u
#define EVENT_BYTES ((size_t)2 * SIP_MESSAGE_BYTES_MAX)

/* ---- life ---- */

static void give_domains(struct edge *edge) {
  memory_give(edge->memory, edge->config.domain, edge->config.domain_bytes);
}

static enum err copy_domains(struct edge *edge, const struct edge_config *config) {
  struct edge_settings *own = &edge->config;
  size_t slices = config->domain_count * sizeof *own->domain, bytes = slices;
  for (unsigned i = 0; i < config->domain_count; i++) bytes += config->domain[i].len;
  char *block = NULL;
  if (config->domain_count > 0) {
    block = memory_take(edge->memory, bytes);
    if (block == NULL) return ERR_MEMORY;
  }
  give_domains(edge);
  own->domain = (void *)block;
  own->domain_bytes = bytes;
  own->domain_count = config->domain_count;
  if (block == NULL) return OK;
  char *text = block + slices;
  for (unsigned i = 0; i < config->domain_count; i++) {
    struct slice domain = config->domain[i];
    if (domain.len > 0) memcpy(text, domain.at, domain.len);
    own->domain[i] = slice_of(text, domain.len);
    text += domain.len;
  }
  return OK;
}

static enum err copy_listen(struct edge *edge, const struct edge_config *config) {
  size_t bytes = config->listen_count * sizeof config->listen[0];
  if (bytes == 0) return OK;
  edge->config.listen = memory_take(edge->memory, bytes);
  if (edge->config.listen == NULL) return ERR_MEMORY;
  memcpy(edge->config.listen, config->listen, bytes);
  edge->config.listen_count = config->listen_count;
  return OK;
}

static enum err copy_trusted(struct edge *edge, const struct edge_config *config) {
  size_t bytes = config->trusted_count * sizeof config->trusted[0];
  if (bytes == 0) return OK;
  edge->config.trusted = memory_take(edge->memory, bytes);
  if (edge->config.trusted == NULL) return ERR_MEMORY;
  memcpy(edge->config.trusted, config->trusted, bytes);
  edge->config.trusted_count = config->trusted_count;
  return OK;
}

static void give_config(struct edge *edge) {
  give_domains(edge);
  memory_give(edge->memory, edge->config.trusted,
              edge->config.trusted_count * sizeof *edge->config.trusted);
  memory_give(edge->memory, edge->config.listen,
              edge->config.listen_count * sizeof *edge->config.listen);
}

static void init_tables(struct edge *edge) {
  const struct edge_limits *limits = &edge->config.limits;
  uint32_t servers = limits->transactions_max / 2;
  struct transactions_config transactions = {
      .memory = edge->memory,
      .servers_max = servers == 0 ? 1 : servers,
      .clients_max = servers == 0 ? 1 : limits->transactions_max - servers,
      .bytes_max = (size_t)(limits->bytes_max - limits->bytes_max / 4),
      .ticket_tag = edge->config.ticket_tag,
  };
  transactions_init(&edge->transactions, &transactions, &edge->rng);
  edge->bytes_max = limits->bytes_max / 4;
  edge->hash = (struct hash_key){rng_u64(&edge->rng), rng_u64(&edge->rng)};
  bindings_init(&edge->bindings, edge->memory, edge->hash, limits->bindings_max);
  map_init(&edge->flows, edge->memory);
  keep_init(edge);
  registrar_init(edge);
  fork_init(edge);
  messages_init(edge);
}

static void make_keys(struct edge *edge, const struct edge_config *config) {
  const struct crypto *crypto = config->crypto;
  struct slice seed = slice_of(config->seed, 16);
  uint8_t run[32];
  crypto->hmac_sha256(crypto->context, seed, SLICE("flow tokens"), edge->token_key);
  crypto->hmac_sha256(crypto->context, seed, SLICE("GRUUs"), edge->gruu_key);
  crypto->hmac_sha256(crypto->context, seed, SLICE("run"), run);
  memcpy(edge->token_run, run, sizeof edge->token_run);
}

struct edge *edge_new(const struct edge_config *config) {
  struct edge *edge = memory_take(config->memory, sizeof *edge);
  if (edge == NULL) return NULL;
  edge->memory = config->memory;
  edge->config = (struct edge_settings){.limits = config->limits,
                                        .advertise = config->advertise,
                                        .digest_off = config->digest_off,
                                        .algorithms = config->algorithms,
                                        .record_route = config->record_route,
                                        .redirect = config->redirect,
                                        .crypto = config->crypto,
                                        .ticket_tag = config->ticket_tag,
                                        .watchers = config->watchers,
                                        .alone = config->alone,
                                        .self = {.id = config->id, .at = config->advertise},
                                        .xml = config->xml};
  if (edge->config.limits.bindings_per_aor_max > ORDER_CONTACTS_MAX)
    edge->config.limits.bindings_per_aor_max = ORDER_CONTACTS_MAX;
  if (copy_domains(edge, config) != OK || copy_listen(edge, config) != OK ||
      copy_trusted(edge, config) != OK) {
    give_config(edge);
    memory_give(config->memory, edge, sizeof *edge);
    return NULL;
  }
  rng_init(&edge->rng, config->seed);
  make_keys(edge, config);
  init_tables(edge);
  auth_init(edge, slice_of((const char *)config->seed, 16));
  if (auth_copy_users(edge, config, &edge->auth.users) != OK) {
    edge_free(edge);
    return NULL;
  }
  return edge;
}

void edge_free(struct edge *edge) {
  if (edge == NULL) return;
  fork_free_all(edge);
  presence_free(edge);
  messages_free(edge);
  registrar_free(edge);
  bindings_free(&edge->bindings);
  auth_free(edge);
  if (edge->names != NULL) dns_cache_free(&edge->names->cache);
  memory_give(edge->memory, edge->names, sizeof *edge->names);
  memory_give(edge->memory, edge->view, sizeof *edge->view);
  map_free(&edge->flows);
  keep_free(edge);
  transactions_free(&edge->transactions);
  give_config(edge);
  memory_give(edge->memory, edge, sizeof *edge);
}

void edge_trim(struct edge *edge) {
  pool_trim(&edge->forks);
  pool_trim(&edge->deliveries);
  pool_trim(&edge->registrations);
  pool_trim(&edge->bindings.pool);
  pool_trim(&edge->keeps);
  presence_trim(edge);
  if (edge->names != NULL) dns_cache_trim(&edge->names->cache);
  transactions_trim(&edge->transactions);
}

enum err edge_reconfigure(struct edge *edge, const struct edge_config *config) {
  struct auth_users users;
  enum err err = auth_copy_users(edge, config, &users);
  if (err != OK) return err;
  err = copy_domains(edge, config);
  if (err != OK) {
    auth_give_users(edge, &users);
    return err;
  }
  auth_take_users(edge, &users);
  edge->config.algorithms = config->algorithms;
  edge->config.digest_off = config->digest_off;
  edge->config.record_route = config->record_route;
  edge->config.redirect = config->redirect;
  edge->config.watchers = config->watchers;
  return OK;
}

/* ---- for the other files ---- */

struct slice edge_keep(struct edge *edge, struct slice bytes) {
  if (bytes.len == 0 || bytes.len > edge->bytes_max - edge->bytes) return SLICE_EMPTY;
  char *at = memory_take(edge->memory, bytes.len);
  if (at == NULL) return SLICE_EMPTY;
  memcpy(at, bytes.at, bytes.len);
  edge->bytes += bytes.len;
  return slice_of(at, bytes.len);
}

void edge_drop(struct edge *edge, struct slice *kept) {
  memory_give(edge->memory, (void *)(uintptr_t)kept->at, kept->len);
  edge->bytes -= kept->len;
  *kept = SLICE_EMPTY;
}

size_t edge_reply_begin(struct edge_step *step, const struct edge_request *request, uint16_t status,
                        const char *reason) {
  if (reason == NULL) reason = sip_reason(status);
  if (status >= 300)
    outbox_trace(step->out, &(struct trace){.kind = TRACE_REFUSED,
                                            .at = step->now,
                                            .peer = request->from,
                                            .status = status,
                                            .a = request->message->method_text,
                                            .b = slice_cstr(reason)});
  size_t mark = outbox_mark(step->out);
  char memory[16];
  struct buf tag = buf_over(memory, sizeof memory);
  if (status > 100) buf_put_hex64(&tag, rng_u64(&step->edge->rng), 16);
  sip_put_response_head(&step->out->bytes, request->message, status, reason, buf_slice(&tag),
                        &request->from);
  return mark;
}

void edge_reply_end(struct edge_step *step, const struct edge_request *request, uint16_t status,
                    size_t mark) {
  sip_put_body(&step->out->bytes, NULL, SLICE_EMPTY);
  struct slice response = outbox_text(step->out, mark);
  if (handle_is(request->transaction)) {
    transactions_respond(&step->edge->transactions, step->now, request->transaction, status,
                         response, step->out);
    return;
  }
  struct sip_target from = {.flow = request->flow, .at = request->from};
  struct sip_target to = sip_reply_target(request->message, &from);
  struct output *send = outbox_add(step->out, OUT_SEND);
  send->flow = to.flow;
  send->peer = to.at;
  send->data = response;
}

void edge_reply(struct edge_step *step, const struct edge_request *request, uint16_t status,
                const char *reason) {
  edge_reply_end(step, request, status, edge_reply_begin(step, request, status, reason));
}

void edge_reply_busy(struct edge_step *step, const struct edge_request *request,
                     const char *reason) {
  size_t mark = edge_reply_begin(step, request, 503, reason);
  sip_put_header_u64(&step->out->bytes, "Retry-After", rng_between(&step->edge->rng, 2, 6));
  edge_reply_end(step, request, 503, mark);
}

unsigned edge_calls_left(const struct edge_step *step) {
  return EDGE_CALLS_MAX - step->calls->count;
}

void edge_call_add(struct edge_step *step, enum edge_call_kind kind, uint64_t user,
                   struct slice aor, const struct contact *contact, uint32_t granted_s) {
  ASSERT(edge_calls_left(step) > 0);
  struct edge_call *call = &step->calls->call[step->calls->count++];
  *call = (struct edge_call){.kind = kind, .user = user, .granted_s = granted_s};
  call->aor = outbox_copy(step->out, aor);
  if (contact == NULL) return;
  call->contact = *contact;
  call->contact.uri = outbox_copy(step->out, contact->uri);
  call->contact.instance = outbox_copy(step->out, contact->instance);
  for (unsigned i = 0; i < contact->path_count; i++)
    call->contact.path[i] = outbox_copy(step->out, contact->path[i]);
}

bool edge_is_first_hop(const struct sip_message *message) {
  struct sip_values vias = sip_values_of(message, SIP_H_VIA);
  struct slice via;
  return sip_values_next(&vias, &via) && !sip_values_next(&vias, &via);
}

bool edge_supports(struct slice tag) {
  struct slice rest = SLICE(EDGE_SUPPORTED);
  while (rest.len != 0) {
    struct slice one = slice_trim(slice_take_until(&rest, ','));
    rest = slice_skip(rest, 1);
    if (slice_equal_nocase(tag, one)) return true;
  }
  return false;
}

bool edge_serves(const struct edge *edge, struct slice host) {
  const struct edge_settings *config = &edge->config;
  struct endpoint literal;
  if (endpoint_parse_host(host, &literal)) {
    for (unsigned i = 0; i <= config->listen_count; i++) {
      struct endpoint own = i == 0 ? config->advertise : config->listen[i - 1];
      literal.port = own.port;
      if (endpoint_same_address(&literal, &own)) return true;
      if (endpoint_is_wildcard(&own) && endpoint_is_loopback(&literal)) return true;
    }
    return false;
  }
  if (config->domain_count == 0) return host.len != 0; /* */
  for (unsigned i = 0; i < config->domain_count; i++)
    if (slice_equal_nocase(host, config->domain[i])) return true;
  return false;
}

/* ---- messages ---- */

static void on_cancel(struct edge_step *step, const struct edge_request *request,
                      const struct transaction_event *event) {
  if (!handle_is(event->invite)) {
    edge_reply(step, request, 481, NULL); /* */
    return;
  }
  edge_reply(step, request, 200, NULL);
  fork_on_cancel(step, event->invite_user);
}

bool edge_is_trusted(const struct edge *edge, const struct endpoint *at) {
  for (unsigned i = 0; i < edge->config.trusted_count; i++)
    if (prefix_has(&edge->config.trusted[i], at)) return true;
  return false;
}

static void on_request(struct edge_step *step, struct edge_request *request) {
  struct sip_target from = {.flow = request->flow,
                            .at = request->from,
                            .limited = !edge_is_trusted(step->edge, &request->from)};
  struct transaction_event event = transactions_on_request(&step->edge->transactions, step->now,
                                                           request->message, &from, step->out);
  request->transaction = event.handle;
  switch (event.kind) {
    case TRANSACTION_NEW:
      proxy_on_request(step, request);
      break;
    case TRANSACTION_CANCEL:
      on_cancel(step, request, &event);
      break;
    case TRANSACTION_STRAY_ACK:
      request->transaction = HANDLE_NONE;
      proxy_on_ack(step, request);
      break;
    case TRANSACTION_FULL:
      request->transaction = HANDLE_NONE;
      edge_reply_busy(step, request, "Too Many Requests At Once");
      break;
    case TRANSACTION_ABSORBED:
    case TRANSACTION_RESPONSE:
    case TRANSACTION_STRAY_RESPONSE:
    case TRANSACTION_TIMEOUT:
    case TRANSACTION_TRANSPORT_ERROR:
    case TRANSACTION_TERMINATED:
      break;
  }
}

void edge_on_message(struct edge *edge, usec now, msec_wall wall, const struct sip_message *message,
                     uint32_t flow, const struct endpoint *from, struct edge_calls *calls,
                     struct outbox *out) {
  struct edge_step step = {edge, now, wall, calls, out};
  if (flow == 0) keep_on_heard(edge, now, from, false);
  if (message->request) {
    struct edge_request request = {message, flow, *from, HANDLE_NONE};
    on_request(&step, &request);
    return;
  }
  /* A response of no transaction goes nowhere (RFC 6026 section 8.9). */
  struct transaction_event event = transactions_on_response(&edge->transactions, now, message, out);
  if (event.kind != TRANSACTION_RESPONSE) return;
  if (messages_is_user(event.user))
    messages_on_response(&step, event.user, message->status);
  else if (!presence_on_response(&step, &event, message))
    fork_on_response(&step, &event, message);
}

void edge_on_keep_alive(struct edge *edge, usec now, const struct endpoint *from) {
  keep_on_heard(edge, now, from, true);
}

static void trace_located(struct edge_step *step, struct slice aor, uint16_t status,
                          unsigned count) {
  outbox_trace(step->out, &(struct trace){.kind = TRACE_LOCATED,
                                          .at = step->now,
                                          .key = crypto_key(step->edge->config.crypto, aor),
                                          .status = status,
                                          .a = aor,
                                          .n = count});
}

void edge_on_located(struct edge *edge, usec now, msec_wall wall, uint64_t user, enum err status,
                     const struct contact *contacts, unsigned count, struct edge_calls *calls,
                     struct outbox *out) {
  struct edge_step step = {edge, now, wall, calls, out};
  struct slice aor, instance;
  struct fork *fork = fork_located(edge, user, &aor, &instance);
  if (fork == NULL) return;
  bool sure = status == OK || status == ERR_NOT_FOUND;
  const struct contact *all[TARGET_CONTACTS_MAX];
  bool first = fork_is_first_location(fork);
  unsigned found = target_collect(&step, aor, instance, contacts, status == OK ? count : 0, all);
  trace_located(&step, aor, found != 0 ? 200 : sure ? 404 : 503, found);
  if (found != 0 && first && edge->config.redirect && redirect_answer(&step, fork, all, found))
    return;
  target_add_contacts(&step, fork, all, found);
  bool unowned = status == ERR_NOT_FOUND && !auth_knows(edge, aor);
  if (found == 0 && !sure && first) {
    if (!messages_keep(&step, fork)) /* else */
      fork_refuse(&step, fork, 503, "Location Cannot Be Known Now");
  } else if (found == 0 && unowned && first) {
    fork_refuse(&step, fork, 404, "Nobody Has This Address"); /* */
  } else if (found != 0 || !first || !messages_keep(&step, fork)) {
    fork_run(&step, fork);
  }
}

void edge_on_bound(struct edge *edge, usec now, msec_wall wall, uint64_t user, enum err status,
                   const char *why, struct edge_calls *calls, struct outbox *out) {
  struct edge_step step = {edge, now, wall, calls, out};
  registrar_on_bound(&step, user, status, why);
}

void edge_renew(struct edge *edge, usec now, msec_wall wall, struct slice aor,
                struct edge_calls *calls, struct outbox *out) {
  registrar_renew(&(struct edge_step){edge, now, wall, calls, out}, aor);
}

void edge_on_resolved(struct edge *edge, usec now, msec_wall wall, uint64_t ticket, enum err status,
                      const struct dns_record *record, unsigned count, struct edge_calls *calls,
                      struct outbox *out) {
  if (edge->names != NULL && dns_cache_put(&edge->names->cache, now, ticket, status, record, count))
    fork_on_names(edge, now);
  edge_on_tick(edge, now, wall, calls, out);
}

void edge_on_flow_closed(struct edge *edge, usec now, msec_wall wall, uint32_t flow,
                         uint64_t ticket, struct edge_calls *calls, struct outbox *out) {
  if (flow != 0) {
    route_on_flow_closed(edge, flow);
    registrar_on_flow_closed(&(struct edge_step){edge, now, wall, calls, out}, flow);
    presence_on_flow_closed(&(struct edge_step){edge, now, wall, calls, out}, flow);
    transactions_on_flow_closed(&edge->transactions, now, flow);
  }
  if (ticket != 0) transactions_on_undelivered(&edge->transactions, now, ticket);
  edge_on_tick(edge, now, wall, calls, out);
}

/* ---- time ---- */

static bool has_room(const struct edge_step *step) {
  return edge_calls_left(step) > 0 && outbox_has(step->out, EVENT_ITEMS, EVENT_BYTES);
}

void edge_on_tick(struct edge *edge, usec now, msec_wall wall, struct edge_calls *calls,
                  struct outbox *out) {
  struct edge_step step = {edge, now, wall, calls, out};
  struct transaction_event event;
  while (has_room(&step) && transactions_next(&edge->transactions, now, &event, out))
    if (event.client && messages_is_user(event.user))
      messages_on_ended(&step, &event);
    else if (!presence_on_ended(&step, &event))
      fork_on_ended(&step, &event);
  while (has_room(&step)) {
    struct timer *timer = timers_pop(&edge->timers, now);
    if (timer == NULL) break;
    if (timer->kind == EDGE_TIMER_BINDING)
      registrar_on_timer(&step, timer);
    else if (timer->kind == EDGE_TIMER_KEEP)
      keep_on_timer(&step, timer);
    else if (timer->kind >= EDGE_TIMER_PUBLICATION)
      presence_on_timer(&step, timer);
    else
      fork_on_timer(&step, timer);
  }
}

usec edge_deadline(const struct edge *edge) {
  return usec_min(timers_deadline(&edge->timers), transactions_deadline(&edge->transactions));
}

/* ---- views ---- */

bool edge_each_binding(const struct edge *edge, uint32_t *cursor, struct edge_binding *out) {
  const struct binding *binding;
  while ((binding = bindings_each(&edge->bindings, cursor)) != NULL) {
    if (binding->state == BINDING_PUT || binding->closed) continue;
    *out = (struct edge_binding){binding->aor, binding->contact, binding->source, binding->flow};
    return true;
  }
  return false;
}

struct edge_stats edge_stats(const struct edge *edge) {
  return (struct edge_stats){
      .bindings = edge->bindings.count,
      .transactions = edge->transactions.server.used + edge->transactions.client.used,
      .calls = edge->calls,
      .publications = edge->presence == NULL ? 0 : edge->presence->publications.used,
      .subscriptions = edge->presence == NULL ? 0 : edge->presence->subscriptions.used,
      .refused_full = edge->transactions.refused_full,
      .refused_share = edge->transactions.refused_share,
      .refused_guesses = edge->auth.refused_guesses,
  };
}
