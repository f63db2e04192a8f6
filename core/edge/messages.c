/* SPDX-License-Identifier: BSD-2-Clause */
/* MESSAGE for somebody who is away: given to the node to be kept, and sent to the
 * phone when it is back. */
#include "base/assert.h"
#include "edge/events.h"
#include "edge/fork_state.h"
#include "edge/order.h"
#include "edge/target.h"
#include "sip/print.h"
#include "usage/message.h"

#define DELIVERIES_MAX 1024u

struct delivery {
  uint64_t user; /* the node's */
  bool told;
};

void messages_init(struct edge *edge) {
  pool_init(&edge->deliveries, edge->memory, sizeof(struct delivery), 64, DELIVERIES_MAX);
}

void messages_free(struct edge *edge) { pool_free(&edge->deliveries); }

/* ---- to be kept ---- */

/* Is the sender registered here, where the request comes from? Whoever has a password has shown it
 * (R-7.40). */
static bool is_at_home(const struct edge *edge, usec now, const struct edge_request *request,
                       struct slice from) {
  uint32_t at = bindings_start(&edge->bindings, from);
  const struct binding *binding;
  while ((binding = bindings_next(&edge->bindings, from, &at)) != NULL)
    if (target_is_bound(binding, now) && binding->flow == request->flow &&
        (request->flow != 0 || endpoint_equal(&binding->source, &request->from)))
      return true;
  return false;
}

/* What says something only at this moment (RFC 3994). */
static bool is_passing(struct slice type) {
  return slice_starts_nocase(type, SLICE("application/im-iscomposing"));
}

static bool read_address(const struct sip_message *message, enum sip_header_id id,
                         struct buf *aor) {
  const struct sip_header *header = sip_header_first(message, id);
  struct sip_address address;
  return header != NULL && sip_address_parse(header->value, &address) == OK &&
         address.uri.user.len != 0 && sip_uri_put_aor(aor, &address.uri) == OK && !aor->overflow;
}

bool messages_keep(struct edge_step *step, struct fork *fork) {
  struct edge *edge = step->edge;
  struct sip_message memory;
  struct edge_request request;
  char from_text[ORDER_AOR_BYTES_MAX], id_text[MESSAGE_ID_BYTES];
  struct buf from = buf_over(from_text, sizeof from_text), id = buf_over(id_text, sizeof id_text);
  if (fork->keeping || fork->finished || fork->cancelled || fork->first_aor.len == 0 ||
      fork->instance.len != 0 || !fork_view_request(edge, fork, &memory, &request))
    return false;
  const struct sip_message *message = request.message;
  if (message->method != SIP_MESSAGE || message->body.len == 0 ||
      !read_address(message, SIP_H_FROM, &from) ||
      !(fork->own || is_at_home(edge, step->now, &request, buf_slice(&from))) ||
      edge_calls_left(step) == 0)
    return false;
  const struct sip_header *type = sip_header_first(message, SIP_H_CONTENT_TYPE);
  if (type == NULL || is_passing(type->value) ||
      sip_header_first(message, SIP_H_CONTENT_ENCODING) != NULL)
    return false;
  if (message->body.len > MESSAGE_BODY_MAX || type->value.len > MESSAGE_TYPE_MAX) { /* */
    fork_refuse(step, fork, 413, "Message Too Large To Be Kept");
    return true;
  }
  message_put_id(&id, edge->config.crypto, buf_slice(&from), message->call_id, message->cseq);
  fork->locating = fork->keeping = true;
  fork->locating_until = step->now + FORK_LOCATE_TIMEOUT;
  timers_set(&edge->timers, &fork->timer, fork->locating_until);
  edge_call_add(step, EDGE_MAIL, fork_user(edge, fork), fork->first_aor, NULL, 0);
  struct edge_call *call = &step->calls->call[step->calls->count - 1];
  call->mail = (struct edge_mail){.from = outbox_copy(step->out, buf_slice(&from)),
                                  .id = outbox_copy(step->out, buf_slice(&id)),
                                  .type = outbox_copy(step->out, type->value),
                                  .body = outbox_copy(step->out, message->body),
                                  .sent = step->wall};
  return true;
}

static bool is_asked_about(const struct edge *edge, struct slice aor) {
  const struct presentity *presentity = event_presentity(edge, aor);
  const struct subscription *subscription;
  for (uint32_t i = presentity == NULL ? 0 : presentity->subscriptions; i != 0;
       i = subscription->next) {
    subscription = event_at(&edge->presence->subscriptions, i);
    if (subscription->package == EVENT_WAITING && subscription->end == NULL) return true;
  }
  return false;
}

void messages_missed(struct edge_step *step, const struct fork *fork) {
  struct sip_message memory;
  struct edge_request request;
  char text[ORDER_AOR_BYTES_MAX];
  struct buf aor = buf_over(text, sizeof text);
  if (step->edge->presence == NULL || !fork_view_request(step->edge, fork, &memory, &request) ||
      request.message->method != SIP_MESSAGE || !read_address(request.message, SIP_H_TO, &aor))
    return;
  if (is_asked_about(step->edge, buf_slice(&aor))) waiting_look(step, buf_slice(&aor), true);
}

void edge_on_kept(struct edge *edge, usec now, msec_wall wall, uint64_t user, uint16_t status,
                  const char *why, struct edge_calls *calls, struct outbox *out) {
  struct edge_step step = {edge, now, wall, calls, out};
  struct slice aor, instance;
  struct fork *fork = fork_located(edge, user, &aor, &instance);
  if (fork != NULL && fork->keeping) fork_refuse(&step, fork, status, why);
}

/* ---- to be delivered ---- */

/* The binding that is newest: of several phones the one that has just come. */
static const struct binding *phone_of(const struct edge *edge, usec now, struct slice aor) {
  uint32_t at = bindings_start(&edge->bindings, aor);
  const struct binding *binding, *best = NULL;
  while ((binding = bindings_next(&edge->bindings, aor, &at)) != NULL)
    if (target_is_bound(binding, now) && binding->state != BINDING_REMOVED &&
        (best == NULL || binding->record_at >= best->record_at))
      best = binding;
  return best;
}

bool edge_has_phone(const struct edge *edge, usec now, struct slice aor) {
  return phone_of(edge, now, aor) != NULL;
}

static void put_address(struct buf *out, const char *name, struct slice address) {
  buf_put_cstr(out, name);
  buf_put_cstr(out, ": <");
  buf_put(out, address);
  buf_put_cstr(out, ">");
}

static void put_line(struct buf *out, const char *name, struct slice a, struct slice b) {
  buf_put_cstr(out, name);
  buf_put_cstr(out, ": ");
  buf_put(out, a);
  buf_put(out, b);
  buf_put_cstr(out, "\r\n");
}

/* the same Call-ID and From tag whenever it is sent again, whoever sends it. */
static void put_message(struct buf *out, const struct edge *edge, const struct fork_target *target,
                        struct slice branch, struct slice aor, const struct edge_mail *mail) {
  struct endpoint sent_by = edge->config.advertise;
  sent_by.transport = target->hop.at.transport;
  buf_put_cstr(out, "MESSAGE ");
  buf_put(out, target->uri);
  buf_put_cstr(out, " SIP/2.0\r\n");
  sip_put_via(out, &sent_by, branch);
  buf_put(out, target->routes);
  buf_put_cstr(out, "Max-Forwards: 70\r\n");
  put_address(out, "From", mail->from);
  buf_put_cstr(out, ";tag=");
  buf_put(out, slice_first(mail->id, 16));
  buf_put_cstr(out, "\r\n");
  put_address(out, "To", aor);
  buf_put_cstr(out, "\r\n");
  put_line(out, "Call-ID", mail->id, SLICE("@offline.invalid"));
  buf_put_cstr(out, "CSeq: 1 MESSAGE\r\n");
  sip_put_date(out, mail->sent);
  put_line(out, "Content-Type", mail->type, SLICE_EMPTY);
  sip_put_header_u64(out, "Content-Length", mail->body.len);
  buf_put_cstr(out, "\r\n");
  buf_put(out, mail->body);
}

bool edge_deliver(struct edge *edge, usec now, uint64_t user, struct slice aor,
                  const struct edge_mail *mail, struct outbox *out) {
  const struct binding *binding = phone_of(edge, now, aor);
  char memory[TARGET_ROUTES_BYTES_MAX], branch_text[32];
  struct buf routes = buf_over(memory, sizeof memory);
  struct buf branch = buf_over(branch_text, sizeof branch_text);
  struct fork_target target;
  struct handle handle, client;
  if (binding == NULL || !target_of_contact(edge, &binding->contact, &target, &routes))
    return false;
  struct delivery *delivery = pool_take(&edge->deliveries, &handle);
  if (delivery == NULL) return false;
  delivery->user = user;
  buf_put_cstr(&branch, "z9hG4bK");
  buf_put_hex64(&branch, rng_u64(&edge->rng), 16);
  size_t mark = outbox_mark(out);
  put_message(&out->bytes, edge, &target, buf_slice(&branch), aor, mail);
  const struct transaction_request send = {.to = {.flow = target.hop.flow, .at = target.hop.at},
                                           .bytes = outbox_text(out, mark),
                                           .branch = buf_slice(&branch),
                                           .user = handle_pack(handle) | MESSAGES_USER};
  if (transactions_send(&edge->transactions, now, &send, out, &client) == OK) return true;
  pool_give(&edge->deliveries, handle);
  return false;
}

/* ---- this peer's own ---- */

bool edge_send(struct edge *edge, usec now, msec_wall wall, struct slice aor,
               const struct edge_mail *mail, struct edge_calls *calls, struct outbox *out) {
  struct edge_step step = {edge, now, wall, calls, out};
  const struct fork_target target = {.uri = aor, .hop.at.transport = TRANSPORT_UDP};
  const struct sip_target nobody = {0};
  struct sip_message message;
  struct sip_problem problem;
  char branch_text[32];
  struct buf branch = buf_over(branch_text, sizeof branch_text);
  buf_put_cstr(&branch, "z9hG4bK");
  buf_put_hex64(&branch, rng_u64(&edge->rng), 16);
  size_t mark = outbox_mark(out);
  put_message(&out->bytes, edge, &target, buf_slice(&branch), aor, mail);
  struct slice bytes = outbox_text(out, mark);
  if (sip_message_parse(bytes, SIP_DATAGRAM, &message, &problem) != OK) return false;
  struct transaction_event event =
      transactions_on_request(&edge->transactions, now, &message, &nobody, out);
  if (event.kind != TRANSACTION_NEW) return false;
  const struct edge_request request = {&message, 0, edge->config.advertise, event.handle};
  struct fork *fork = fork_new(&step, &request, 0, aor, false);
  if (fork == NULL) return false; /* its transaction ends by itself */
  fork->own = true;
  fork_locate(&step, fork, aor, SLICE_EMPTY);
  return true;
}

static void tell(struct edge_step *step, struct delivery *delivery, uint16_t status) {
  if (delivery->told || edge_calls_left(step) == 0) return;
  delivery->told = true;
  edge_call_add(step, EDGE_DELIVERED, delivery->user, SLICE_EMPTY, NULL, 0);
  step->calls->call[step->calls->count - 1].status = status;
}

static struct delivery *delivery_of(const struct edge *edge, uint64_t user) {
  return pool_at(&edge->deliveries, handle_unpack(user & ~MESSAGES_USER));
}

void messages_on_response(struct edge_step *step, uint64_t user, uint16_t status) {
  struct delivery *delivery = delivery_of(step->edge, user);
  if (delivery != NULL && status >= 200) tell(step, delivery, status);
}

void messages_on_ended(struct edge_step *step, const struct transaction_event *event) {
  struct delivery *delivery = delivery_of(step->edge, event->user);
  if (delivery == NULL) return;
  tell(step, delivery, event->kind == TRANSACTION_TRANSPORT_ERROR ? 503 : 408);
  pool_give(&step->edge->deliveries, pool_handle_of(&step->edge->deliveries, delivery));
}
