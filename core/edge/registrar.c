/* SPDX-License-Identifier: BSD-2-Clause */
/* The registrar of RFC 3261 section 10.3, with Path (RFC 3327). What a REGISTER changes is first
 * marked on the bindings and put into the overlay; when all of it was acknowledged the marks
 * become true and the phone gets its 200, else everything is put back. */
#include "base/assert.h"
#include "edge/gruu.h"
#include "edge/keep.h"
#include "edge/order.h"
#include "edge/route.h"
#include "edge/state.h"
#include "sip/print.h"
#include "usage/location.h"

#define REASON_BYTES 200u
#define REGISTRATIONS_MAX 200u /* under way at once */

/* A REGISTER that waits for the overlay. */
struct registration {
  struct handle transaction;
  struct slice request; /* owned */
  uint32_t flow;
  struct endpoint from;
  uint32_t waiting;
  bool failed, refused; /* refused: trying again is of no use */
  bool shown;           /* the password was */
  char reason[REASON_BYTES];
};

void registrar_init(struct edge *edge) {
  uint32_t limit = edge->config.limits.transactions_max;
  pool_init(&edge->registrations, edge->memory, sizeof(struct registration), 16,
            limit < REGISTRATIONS_MAX ? limit : REGISTRATIONS_MAX);
}

void registrar_free(struct edge *edge) {
  uint32_t index = 0;
  struct registration *registration;
  while ((registration = pool_next(&edge->registrations, &index)) != NULL)
    edge_drop(edge, &registration->request);
  pool_free(&edge->registrations);
}

static uint32_t seconds_left(usec until, usec now) {
  return until <= now ? 0 : (uint32_t)((until - now + USEC_PER_SEC - 1) / USEC_PER_SEC);
}

static void trace_binding(struct edge_step *step, enum trace_kind kind,
                          const struct binding *binding, uint32_t seconds) {
  outbox_trace(step->out, &(struct trace){.kind = kind,
                                          .at = step->now,
                                          .peer = binding->source,
                                          .a = binding->aor,
                                          .b = binding->contact.uri,
                                          .n = seconds});
}

/* ---- the 200 ---- */

static void put_contact_line(struct edge_step *step, const struct binding *binding, bool gruu) {
  struct buf *out = &step->out->bytes;
  const struct contact *contact = &binding->contact;
  buf_put_cstr(out, "Contact: <");
  buf_put(out, contact->uri);
  buf_put_cstr(out, ">;expires=");
  buf_put_u64(out, seconds_left(binding->expires_at, step->now));
  if (contact->q_permille < 1000) {
    buf_put_cstr(out, ";q=0.");
    for (unsigned digit = 100; digit > 0; digit /= 10)
      buf_put_u64(out, contact->q_permille / digit % 10);
  }
  if (contact->instance.len != 0) {
    buf_put_cstr(out, ";+sip.instance=\"");
    buf_put(out, contact->instance);
    buf_put_char(out, '"');
  }
  if (contact->reg_id != 0) {
    buf_put_cstr(out, ";reg-id=");
    buf_put_u64(out, contact->reg_id);
  }
  if (gruu) gruu_put_params(out, step->edge, binding);
  buf_put_cstr(out, "\r\n");
}

static bool is_shown(const struct binding *binding, usec now) {
  return binding->state == BINDING_LIVE && binding->expires_at > now;
}

/* The binding with Outbound that this very REGISTER made or refreshed, or NULL. */
static const struct binding *find_outbound(const struct edge_step *step,
                                           const struct sip_message *message, struct slice aor) {
  const struct bindings *table = &step->edge->bindings;
  uint32_t at = bindings_start(table, aor);
  const struct binding *binding;
  while ((binding = bindings_next(table, aor, &at)) != NULL)
    if (is_shown(binding, step->now) && binding->contact.reg_id != 0 &&
        binding->cseq == message->cseq && slice_equal(binding->call_id, message->call_id))
      return binding;
  return NULL;
}

/* RFC 5626 section 6, R-7.57. `ob` in the Path also says that STUN is answered (section 4.2.1). */
static void put_outbound(struct edge_step *step, const struct edge_request *request,
                         struct slice aor) {
  struct buf *out = &step->out->bytes;
  const struct sip_message *message = request->message;
  if (!sip_values_have(message, SIP_H_SUPPORTED, "outbound")) return;
  const struct binding *binding = find_outbound(step, message, aor);
  if (binding == NULL) return;
  sip_put_header(out, "Require", SLICE("outbound"));
  if (binding->flow == 0 && !binding->by_address) return; /* the flow is another's */
  if (sip_values_have(message, SIP_H_SUPPORTED, "path"))
    sip_put_header(out, "Path", binding->contact.path[0]);
  sip_put_header_u64(out, "Flow-Timer",
                     binding->flow == 0 ? KEEP_FLOW_TIMER_UDP_S : KEEP_FLOW_TIMER_STREAM_S);
}

/* RFC 3608, R-7.58. Of WebSocket the address would be another. */
static void put_service_route(struct edge_step *step, const struct edge_request *request) {
  enum transport transport = (enum transport)request->from.transport;
  if (transport == TRANSPORT_WS || transport == TRANSPORT_WSS) return;
  buf_put_cstr(&step->out->bytes, "Service-Route: ");
  route_put_own(&step->out->bytes, step->edge, transport, NULL);
  buf_put_cstr(&step->out->bytes, "\r\n");
}

static void answer_bindings(struct edge_step *step, const struct edge_request *request,
                            struct slice aor) {
  size_t mark = edge_reply_begin(step, request, 200, NULL);
  struct buf *out = &step->out->bytes;
  const struct bindings *table = &step->edge->bindings;
  uint32_t at = bindings_start(table, aor);
  const struct binding *binding;
  bool gruu = sip_values_have(request->message, SIP_H_SUPPORTED, "gruu");
  while ((binding = bindings_next(table, aor, &at)) != NULL)
    if (is_shown(binding, step->now)) put_contact_line(step, binding, gruu);
  struct sip_values paths = sip_values_of(request->message, SIP_H_PATH);
  struct slice path;
  while (sip_values_next(&paths, &path)) sip_put_header(out, "Path", path);
  put_outbound(step, request, aor);
  put_service_route(step, request);
  sip_put_header(out, "Supported", SLICE(EDGE_SUPPORTED));
  sip_put_date(out, step->wall); /* desk phones set their clock by it */
  edge_reply_end(step, request, 200, mark);
}

/* ---- marks, and what becomes of them ---- */

static void set_live(struct edge_step *step, struct binding *binding) {
  struct edge *edge = step->edge;
  binding->state = BINDING_LIVE;
  binding->registration = HANDLE_NONE;
  if (binding->closed) binding->expires_at = step->now;
  timers_set(&edge->timers, &binding->timer, binding->expires_at);
}

static void drop_binding(struct edge_step *step, struct binding *binding) {
  timers_clear(&step->edge->timers, &binding->timer);
  bindings_remove(&step->edge->bindings, binding);
}

static void mark(struct edge_step *step, struct binding *binding, enum binding_state state,
                 struct handle registration) {
  timers_clear(&step->edge->timers, &binding->timer);
  binding->state = state;
  binding->registration = registration;
  binding->acknowledged = false;
}

static void refresh(struct edge_step *step, struct binding *binding,
                    const struct sip_message *message, uint32_t granted_s, bool shown) {
  /* Without memory for a new Call-ID the old pair stands: a later REGISTER is then not refused. */
  if (binding_set_call_id(&step->edge->bindings, binding, message->call_id) == OK)
    binding->cseq = message->cseq;
  binding->granted_s = granted_s;
  binding->vouches = shown && binding->straight;
  binding->expires_at = step->now + SEC(granted_s);
  set_live(step, binding);
}

static void commit_binding(struct edge_step *step, struct binding *binding,
                           const struct sip_message *message, bool shown) {
  switch (binding->state) {
    case BINDING_LIVE:
      break;
    case BINDING_PUT:
      binding->vouches = shown && binding->straight;
      binding->expires_at = step->now + SEC(binding->granted_s);
      set_live(step, binding);
      trace_binding(step, TRACE_REGISTERED, binding, binding->granted_s);
      break;
    case BINDING_KEPT:
      refresh(step, binding, message, binding->granted_next_s, shown);
      break;
    case BINDING_REMOVED:
      trace_binding(step, TRACE_UNREGISTERED, binding, 0);
      drop_binding(step, binding);
      break;
    case BINDING_REPLACED:
      drop_binding(step, binding);
      break;
  }
}

static void put_record(struct edge_step *step, struct binding *binding, uint64_t user) {
  binding->record_at = step->now;
  binding->record_until =
      step->now + MSEC(location_record_expires(step->wall, binding->granted_s) - step->wall);
  binding->contact.expires = step->wall + (msec_wall)binding->granted_s * 1000;
  edge_call_add(step, EDGE_BIND, user, binding->aor, &binding->contact, binding->granted_s);
}

/* The overlay may have done part of what it was asked: it is told again how things stood. */
static void put_back(struct edge_step *step, struct binding *binding) {
  put_record(step, binding, 0);
  binding->record_until = step->now; /* nobody says whether it arrived: the next REGISTER puts */
  set_live(step, binding);
}

/* Will the record of this new binding be written over by the one of the binding it was to replace?
 * Its removal must then not be asked for: it could come last. */
static bool is_put_over(const struct edge *edge, const struct binding *fresh) {
  uint32_t at = bindings_start(&edge->bindings, fresh->aor);
  const struct binding *binding;
  while ((binding = bindings_next(&edge->bindings, fresh->aor, &at)) != NULL)
    if (binding->state == BINDING_REPLACED &&
        contact_same_binding(&binding->contact, &fresh->contact))
      return true;
  return false;
}

static void revert_binding(struct edge_step *step, struct binding *binding) {
  switch (binding->state) {
    case BINDING_LIVE:
      break;
    case BINDING_PUT:
      if (!is_put_over(step->edge, binding))
        edge_call_add(step, EDGE_UNBIND, 0, binding->aor, &binding->contact, 0);
      drop_binding(step, binding);
      break;
    case BINDING_KEPT:
      set_live(step, binding);
      break;
    case BINDING_REMOVED:
    case BINDING_REPLACED:
      put_back(step, binding);
      break;
  }
}

/* The bindings marked by one REGISTER: new ones first, while those they were to replace still say
 * so. */
static unsigned marked_by(const struct edge *edge, struct slice aor, struct handle registration,
                          struct binding *out[2 * ORDER_CONTACTS_MAX]) {
  unsigned count = 0;
  for (unsigned pass = 0; pass < 2; pass++) {
    uint32_t at = bindings_start(&edge->bindings, aor);
    struct binding *binding;
    while ((binding = bindings_next(&edge->bindings, aor, &at)) != NULL) {
      bool fresh = binding->state == BINDING_PUT;
      if (fresh != (pass == 0) || !handle_same(binding->registration, registration)) continue;
      ASSERT(count < 2 * ORDER_CONTACTS_MAX);
      out[count++] = binding;
    }
  }
  return count;
}

static void finish(struct edge_step *step, struct handle handle,
                   struct registration *registration) {
  struct edge *edge = step->edge;
  struct sip_message message;
  struct sip_problem problem;
  struct order order;
  enum err parsed = sip_message_parse(registration->request, SIP_DATAGRAM, &message, &problem);
  if (parsed == OK) parsed = order_read_aor(&order, &message);
  ASSERT(parsed == OK);
  struct edge_request request = {&message, registration->flow, registration->from,
                                 registration->transaction};
  struct binding *marked[2 * ORDER_CONTACTS_MAX];
  unsigned count = marked_by(edge, order.aor, handle, marked);
  bool fresh = false;
  for (unsigned i = 0; i < count; i++) {
    fresh = fresh || marked[i]->state == BINDING_PUT;
    if (registration->failed)
      revert_binding(step, marked[i]);
    else
      commit_binding(step, marked[i], &message, registration->shown);
  }
  presence_on_bindings(step, order.aor);
  if (registration->refused)
    edge_reply(step, &request, 403, registration->reason);
  else if (registration->failed)
    edge_reply_busy(step, &request, "The Overlay Did Not Take The Contact");
  else
    answer_bindings(step, &request, order.aor);
  if (!registration->failed && edge_has_phone(edge, step->now, order.aor) &&
      edge_calls_left(step) > 0) {
    edge_call_add(step, EDGE_ARRIVED, 0, order.aor, NULL, 0); /* */
    step->calls->call[step->calls->count - 1].fresh = fresh;  /* */
  }
  edge_drop(edge, &registration->request);
  pool_give(&edge->registrations, handle);
}

/* Another peer wrote it: what a Reason-Phrase may hold is kept of it (RFC 3261 section 25.1). */
static void set_reason(struct registration *registration, const char *why) {
  size_t len = 0;
  registration->refused = true;
  for (; why[len] != '\0' && len + 1 < REASON_BYTES; len++) registration->reason[len] = why[len];
  for (size_t i = 0; i < len; i++)
    if (why[i] < ' ' || why[i] > '~') registration->reason[i] = '_';
  registration->reason[len] = '\0';
}

void registrar_on_bound(struct edge_step *step, uint64_t user, enum err status, const char *why) {
  struct edge *edge = step->edge;
  struct binding *binding = bindings_at(&edge->bindings, handle_unpack(user));
  if (binding == NULL || binding->acknowledged) return;
  if (binding->state != BINDING_PUT && binding->state != BINDING_REMOVED) return;
  struct handle handle = binding->registration;
  struct registration *registration = pool_at(&edge->registrations, handle);
  ASSERT(registration != NULL && registration->waiting > 0);
  binding->acknowledged = true;
  if (status != OK) registration->failed = true;
  if (status == ERR_REFUSED && binding->state == BINDING_PUT)
    set_reason(registration, why != NULL ? why : "The Overlay Refuses The Contact");
  if (--registration->waiting == 0) finish(step, handle, registration);
}

/* ---- a REGISTER ---- */

/* False: it was answered. */
static bool is_allowed(struct edge_step *step, const struct edge_request *request,
                       struct order *order) {
  order->shown = auth_knows(step->edge, order->aor);
  if (order->shown) return auth_demand(step, request, order->aor, AUTH_REGISTRAR);
  if (step->edge->config.digest_off || endpoint_is_loopback(&request->from)) return true;
  edge_reply(step, request, 403, "No Password For This Address Here (locser user add)");
  return false;
}

static void drop_fresh(struct edge_step *step, struct order *order, unsigned count) {
  while (count-- > 0)
    if (order->change[count].kind == CHANGE_PUT) drop_binding(step, order->change[count].fresh);
}

static bool join_addresses(struct edge_step *step, const struct edge_request *request,
                           struct order *order) {
  if (request->flow != 0) return true;
  for (unsigned i = 0; i < order->count; i++) {
    const struct change *change = &order->change[i];
    if (change->kind != CHANGE_PUT || !change->outbound || !change->own_path) continue;
    if (binding_join_address(&step->edge->bindings, change->fresh, &request->from) == OK) continue;
    drop_fresh(step, order, order->count);
    return false;
  }
  return true;
}

/* New bindings for what is put; false: no room, and nothing has changed. */
static bool add_bindings(struct edge_step *step, const struct edge_request *request,
                         struct order *order, struct handle registration) {
  struct edge *edge = step->edge;
  const struct sip_message *message = request->message;
  for (unsigned i = 0; i < order->count; i++) {
    struct change *change = &order->change[i];
    if (change->kind != CHANGE_PUT) continue;
    uint32_t flow = change->own_path ? request->flow : 0;
    if (bindings_add(&edge->bindings, order->aor, &change->contact, message->call_id, flow,
                     &change->fresh) != OK) {
      drop_fresh(step, order, i);
      return false;
    }
    struct binding *fresh = change->fresh;
    fresh->timer.kind = EDGE_TIMER_BINDING;
    fresh->cseq = message->cseq;
    fresh->source = request->from;
    fresh->straight = change->contact.path_count == 0 || change->own_path;
    fresh->granted_s = change->granted_s;
    mark(step, fresh, BINDING_PUT, registration);
  }
  return join_addresses(step, request, order);
}

/* Marks the rest and asks the overlay; returns how many answers will come. */
static uint32_t begin_changes(struct edge_step *step, struct order *order,
                              struct handle registration) {
  struct edge *edge = step->edge;
  uint32_t waiting = 0;
  for (unsigned i = 0; i < order->count; i++) {
    struct change *change = &order->change[i];
    struct binding *existing = change->existing;
    switch (change->kind) {
      case CHANGE_NOTHING:
        break;
      case CHANGE_KEEP:
        mark(step, existing, BINDING_KEPT, registration);
        existing->granted_next_s = change->granted_s;
        break;
      case CHANGE_REMOVE:
        mark(step, existing, BINDING_REMOVED, registration);
        edge_call_add(step, EDGE_UNBIND, handle_pack(bindings_handle(&edge->bindings, existing)),
                      existing->aor, &existing->contact, 0);
        waiting++;
        break;
      case CHANGE_PUT:
        if (existing != NULL) mark(step, existing, BINDING_REPLACED, registration);
        put_record(step, change->fresh,
                   handle_pack(bindings_handle(&edge->bindings, change->fresh)));
        waiting++;
        break;
    }
  }
  return waiting;
}

static void begin(struct edge_step *step, const struct edge_request *request, struct order *order) {
  struct edge *edge = step->edge;
  if (edge_calls_left(step) < order->count) {
    edge_reply_busy(step, request, NULL);
    return;
  }
  struct handle handle;
  struct registration *registration = pool_take(&edge->registrations, &handle);
  if (registration == NULL) {
    edge_reply_busy(step, request, "Too Many Registrations At Once");
    return;
  }
  registration->request = edge_keep(edge, request->message->bytes);
  if (registration->request.at == NULL || !add_bindings(step, request, order, handle)) {
    edge_drop(edge, &registration->request);
    pool_give(&edge->registrations, handle);
    edge_reply_busy(step, request, "No Room For Another Contact");
    return;
  }
  registration->transaction = request->transaction;
  registration->flow = request->flow;
  registration->from = request->from;
  registration->shown = order->shown;
  registration->waiting = begin_changes(step, order, handle);
  ASSERT(registration->waiting > 0);
}

static void apply_at_once(struct edge_step *step, const struct edge_request *request,
                          struct order *order) {
  for (unsigned i = 0; i < order->count; i++)
    if (order->change[i].kind == CHANGE_KEEP)
      refresh(step, order->change[i].existing, request->message, order->change[i].granted_s,
              order->shown);
  answer_bindings(step, request, order->aor);
}

void registrar_on_request(struct edge_step *step, const struct edge_request *request) {
  struct order order;
  struct refusal refusal = {0};
  order_read_address(&order, step, request, &refusal);
  if (refusal.status == 0) {
    if (!is_allowed(step, request, &order)) return;
    order_read(&order, step, request, &refusal);
  }
  if (refusal.status == 503) {
    edge_reply_busy(step, request, refusal.reason);
  } else if (refusal.status != 0) {
    size_t at = edge_reply_begin(step, request, refusal.status, refusal.reason);
    if (refusal.status == 423)
      sip_put_header_u64(&step->out->bytes, "Min-Expires", step->edge->config.limits.expires_min_s);
    if (refusal.status == 421) sip_put_header(&step->out->bytes, "Require", SLICE("path"));
    edge_reply_end(step, request, refusal.status, at);
  } else if (order_needs_overlay(&order)) {
    begin(step, request, &order);
  } else {
    apply_at_once(step, request, &order);
  }
}

/* ---- the end of bindings ---- */

void registrar_on_timer(struct edge_step *step, struct timer *timer) {
  struct binding *binding = bindings_at(&step->edge->bindings, handle_unpack(timer->owner));
  ASSERT(binding != NULL && binding->state == BINDING_LIVE);
  trace_binding(step, TRACE_UNREGISTERED, binding, 0);
  edge_call_add(step, EDGE_UNBIND, 0, binding->aor, &binding->contact, 0);
  struct slice aor = outbox_copy(step->out, binding->aor);
  drop_binding(step, binding);
  presence_on_bindings(step, aor);
}

static void close_binding(struct edge_step *step, struct binding *binding) {
  struct edge *edge = step->edge;
  binding_leave_flow(&edge->bindings, binding);
  binding->closed = true;
  if (binding->state != BINDING_LIVE) return; /* set_live will see it */
  binding->expires_at = step->now;
  timers_set(&edge->timers, &binding->timer, step->now);
}

void registrar_on_flow_closed(struct edge_step *step, uint32_t flow) {
  struct binding *binding;
  while ((binding = bindings_of_flow(&step->edge->bindings, flow)) != NULL)
    close_binding(step, binding);
}

void registrar_on_address_silent(struct edge_step *step, const struct endpoint *at) {
  struct binding *binding;
  while ((binding = bindings_of_address(&step->edge->bindings, at)) != NULL)
    close_binding(step, binding);
}

void registrar_renew(struct edge_step *step, struct slice aor) {
  const struct bindings *table = &step->edge->bindings;
  uint32_t at = bindings_start(table, aor);
  struct binding *binding;
  while ((binding = bindings_next(table, aor, &at)) != NULL && edge_calls_left(step) > 0) {
    if (binding->state != BINDING_LIVE || binding->expires_at <= step->now) continue;
    put_record(step, binding, 0);
    binding->record_until = step->now; /* as in put_back */
  }
}
