/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge/order.h"

#include "edge/keep.h"
#include "edge/route.h"

/* Reads one REGISTER; the first refusal ends it. */
struct reader {
  struct order *order;
  const struct edge_step *step;
  const struct edge *edge;
  const struct edge_request *request;
  const struct sip_message *message;
  struct refusal *refusal;
};

static bool refuse(struct reader *r, uint16_t status, const char *reason) {
  *r->refusal = (struct refusal){status, reason};
  return false;
}

static enum err put_aor(struct buf *out, const struct sip_message *message, enum sip_header_id id) {
  const struct sip_header *header = sip_header_first(message, id);
  struct sip_address address;
  if (header == NULL || sip_address_parse(header->value, &address) != OK) return ERR_SYNTAX;
  if (address.uri.scheme != SIP_SCHEME_SIP && address.uri.scheme != SIP_SCHEME_SIPS)
    return ERR_SYNTAX;
  if (address.uri.user.len == 0) return ERR_UNSUPPORTED;
  enum err err = sip_uri_put_aor(out, &address.uri);
  if (err != OK) return err;
  return out->overflow ? ERR_LIMIT : OK;
}

enum err order_read_aor(struct order *order, const struct sip_message *message) {
  struct buf text = buf_over(order->aor_text, sizeof order->aor_text);
  enum err err = put_aor(&text, message, SIP_H_TO);
  order->aor = buf_slice(&text);
  return err;
}

/* Step 5: the address is ours: and the phone's own. */
static bool read_address(struct reader *r) {
  enum err err = order_read_aor(r->order, r->message);
  if (err == ERR_SYNTAX) return refuse(r, 400, "To Is Not A SIP Address");
  if (err == ERR_LIMIT) return refuse(r, 400, "Address In To Too Long");
  if (err != OK) return refuse(r, 404, "To Names No User");
  struct sip_uri uri;
  if (sip_uri_parse(r->order->aor, &uri) != OK) return refuse(r, 400, "To Is Not A SIP Address");
  if (!edge_serves(r->edge, uri.host)) return refuse(r, 404, "Domain Not Served Here");
  char from_text[ORDER_AOR_BYTES_MAX];
  struct buf from = buf_over(from_text, sizeof from_text);
  if (put_aor(&from, r->message, SIP_H_FROM) != OK || !slice_equal(buf_slice(&from), r->order->aor))
    return refuse(r, 403, "From And To Of REGISTER Differ");
  return true;
}

static bool read_path(struct reader *r) {
  struct sip_values values = sip_values_of(r->message, SIP_H_PATH);
  struct slice path;
  while (sip_values_next(&values, &path)) {
    struct sip_address address;
    if (sip_address_parse(path, &address) != OK || address.uri.host.len == 0)
      return refuse(r, 400, "Bad Path");
    if (r->order->path_count == CONTACT_PATHS_MAX || path.len > ORDER_PATH_BYTES_MAX)
      return refuse(r, 403, "Path Too Long");
    r->order->path[r->order->path_count++] = path;
  }
  if (r->order->path_count != 0 && !sip_values_have(r->message, SIP_H_SUPPORTED, "path"))
    return refuse(r, 421, NULL); /* */
  return true;
}

/* Seconds asked for. What is no number counts as the default (RFC 3261 20.19, RFC 4475 3.1.1.13:
 * what is too large a number is cut down). */
static uint32_t read_expires(const struct reader *r, struct slice text) {
  uint64_t seconds;
  if (slice_to_u64(text, UINT32_MAX, &seconds)) return (uint32_t)seconds;
  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] < '0' || text.at[i] > '9') return r->edge->config.limits.expires_default_s;
  return text.len == 0 ? r->edge->config.limits.expires_default_s : UINT32_MAX;
}

static bool grant(struct reader *r, const struct sip_address *address, uint32_t *granted_s) {
  const struct edge_limits *limits = &r->edge->config.limits;
  const struct sip_header *header = sip_header_first(r->message, SIP_H_EXPIRES);
  uint32_t asked = limits->expires_default_s;
  struct slice text;
  if (sip_param_get(address->params, "expires", &text))
    asked = read_expires(r, text);
  else if (header != NULL)
    asked = read_expires(r, header->value);
  if (asked != 0 && asked < limits->expires_min_s) return refuse(r, 423, NULL);
  *granted_s = asked < limits->expires_max_s ? asked : limits->expires_max_s;
  return true;
}

uint16_t order_read_q(struct slice params) {
  struct slice text;
  if (!sip_param_get(params, "q", &text) || text.len == 0 || text.at[0] != '0') return 1000;
  unsigned permille = 0;
  for (size_t i = 2; i < 5; i++) {
    unsigned digit = 0;
    if (i < text.len) {
      if (text.at[1] != '.' || text.at[i] < '0' || text.at[i] > '9') return 1000;
      digit = (unsigned)(text.at[i] - '0');
    }
    permille = permille * 10 + digit;
  }
  return (uint16_t)permille;
}

static struct slice unquoted(struct slice text) {
  if (text.len < 2 || text.at[0] != '"' || text.at[text.len - 1] != '"') return text;
  return slice_of(text.at + 1, text.len - 2);
}

/* Did the phone's first hop keep the flow: this peer, or one whose Path says so? No other may write
 * `ob` (RFC 5626 section 5.1). */
static bool has_flow(const struct reader *r) {
  if (r->order->first_hop) return true;
  for (unsigned i = 0; i < r->order->path_count; i++) {
    struct sip_address path;
    if (sip_address_parse(r->order->path[i], &path) == OK &&
        sip_param_get(path.uri.params, "ob", NULL))
      return true;
  }
  return false;
}

/* +sip.instance and reg-id (RFC 5626 sections 4.2 and 6, R-7.56). */
static bool read_instance(struct reader *r, struct slice params, struct contact *contact) {
  struct slice text;
  if (!sip_param_get(params, "+sip.instance", &text)) return true;
  contact->instance = unquoted(text);
  if (contact->instance.len > ORDER_INSTANCE_BYTES_MAX ||
      slice_find_byte(contact->instance, '"') != contact->instance.len)
    return refuse(r, 400, "Bad +sip.instance");
  uint64_t reg_id;
  if (!sip_param_get(params, "reg-id", &text)) return true;
  if (!slice_to_u64(text, INT32_MAX, &reg_id) || reg_id == 0) return refuse(r, 400, "Bad reg-id");
  if (contact->instance.len == 0) return true;
  if (has_flow(r))
    contact->reg_id = (uint32_t)reg_id;
  else if (sip_values_have(r->message, SIP_H_SUPPORTED, "outbound"))
    return refuse(r, 439, NULL);
  return true;
}

/* Not routed on the open Internet (RFC 1918, RFC 4193, link-local). */
static bool is_private(const struct endpoint *e) {
  const uint8_t *a = e->addr;
  if (e->family == 6) return (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80);
  return a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168) ||
         (a[0] == 169 && a[1] == 254);
}

/* Can other peers send to this contact without us? */
static bool is_direct(const struct reader *r, const struct sip_uri *uri) {
  const struct endpoint *from = &r->request->from, *self = &r->edge->config.advertise;
  struct endpoint at;
  if (from->transport != TRANSPORT_UDP || sip_uri_endpoint(uri, &at) != OK) return false;
  if (!endpoint_equal(&at, from)) return false;
  return endpoint_is_loopback(from) == endpoint_is_loopback(self) &&
         (!is_private(from) || is_private(self));
}

/* A token is good only while its flow is known to be open. */
static bool note_flow(struct reader *r, bool outbound, uint32_t *flow) {
  *flow = r->request->flow;
  if (*flow != 0 && route_note_flow(r->step->edge, *flow) != OK)
    return refuse(r, 503, "No Room For Another Connection");
  if (*flow == 0 && outbound && keep_note(r->step, &r->request->from, flow) != OK)
    return refuse(r, 503, "No Room For Another Flow");
  return true;
}

/* All contacts of a REGISTER that are put have the same: with Outbound it is but one. */
static bool make_own_path(struct reader *r, bool outbound) {
  struct order *order = r->order;
  if (order->own_path.len != 0) return true;
  struct buf text = buf_over(order->own_path_text, sizeof order->own_path_text);
  struct hop source = {0, r->request->from};
  if (!note_flow(r, outbound, &source.flow)) return false;
  if (outbound)
    route_put_path(&text, r->edge, TRANSPORT_TCP, &source);
  else
    route_put_own(&text, r->edge, TRANSPORT_TCP, &source);
  order->own_path = buf_slice(&text);
  return true;
}

static bool add_path(struct reader *r, const struct sip_uri *uri, struct change *change) {
  struct order *order = r->order;
  struct contact *contact = &change->contact;
  for (unsigned i = 0; i < order->path_count; i++) contact->path[i] = order->path[i];
  contact->path_count = order->path_count;
  change->outbound = contact->reg_id != 0;
  if (change->granted_s == 0 || contact->path_count != 0) return true;
  if (!change->outbound && is_direct(r, uri)) return true;
  if (!make_own_path(r, change->outbound)) return false;
  change->own_path = true;
  contact->path[contact->path_count++] = order->own_path;
  return true;
}

/* RFC 3261 10.3 step 7: a request that is not newer than the last one from there changes nothing.
 */
static bool check_order(struct reader *r, const struct binding *binding) {
  bool same_call = slice_equal(binding->call_id, r->message->call_id);
  if (binding->state != BINDING_LIVE) {
    if (same_call && binding->cseq == r->message->cseq) return refuse(r, 482, "Merged Request");
    return refuse(r, 503, "Another REGISTER Is Under Way");
  }
  if (same_call && r->message->cseq <= binding->cseq)
    return refuse(r, 500, "CSeq Not Higher Than Before");
  return true;
}

static bool find_existing(struct reader *r, struct change *change) {
  const struct bindings *table = &r->edge->bindings;
  uint32_t at = bindings_start(table, r->order->aor);
  struct binding *binding;
  while ((binding = bindings_next(table, r->order->aor, &at)) != NULL) {
    if (!contact_same_binding(&binding->contact, &change->contact)) continue;
    if (!check_order(r, binding)) return false;
    change->existing = binding;
  }
  return true;
}

/* nothing but the expiry changes, and the record is in the first half of its life. */
static bool can_keep(const struct reader *r, const struct change *change) {
  const struct binding *existing = change->existing;
  usec now = r->step->now;
  if (existing == NULL || !contact_same_record(&existing->contact, &change->contact)) return false;
  if (existing->record_until < now + SEC(change->granted_s)) return false;
  return now - existing->record_at <= existing->record_until - now;
}

static void decide(struct reader *r, struct change *change) {
  if (change->granted_s == 0) {
    change->kind = change->existing == NULL ? CHANGE_NOTHING : CHANGE_REMOVE;
    return;
  }
  /* The record is named by the URI as it was when the binding was made. */
  if (change->existing != NULL && change->contact.reg_id == 0)
    change->contact.uri = change->existing->contact.uri;
  change->kind = can_keep(r, change) ? CHANGE_KEEP : CHANGE_PUT;
}

/* Of two mentions of one binding in a request the later counts. */
static void forget_earlier(struct order *order, const struct change *change) {
  for (struct change *earlier = order->change; earlier < change; earlier++)
    if (contact_same_binding(&earlier->contact, &change->contact)) earlier->kind = CHANGE_NOTHING;
}

static bool read_contact(struct reader *r, struct slice text) {
  struct order *order = r->order;
  struct sip_address address;
  if (sip_address_parse(text, &address) != OK) return refuse(r, 400, "Bad Contact");
  if (order->count == ORDER_CONTACTS_MAX) return refuse(r, 403, "Too Many Contacts");
  if (address.uri.scheme != SIP_SCHEME_SIP && address.uri.scheme != SIP_SCHEME_SIPS)
    return refuse(r, 400, "Contact Is Not A SIP URI");
  if (address.uri.text.len > ORDER_URI_BYTES_MAX) return refuse(r, 400, "Contact Too Long");
  struct change *change = &order->change[order->count];
  *change = (struct change){.contact = {.uri = address.uri.text}};
  change->contact.q_permille = order_read_q(address.params);
  if (!read_instance(r, address.params, &change->contact)) return false;
  if (!grant(r, &address, &change->granted_s)) return false;
  if (!add_path(r, &address.uri, change)) return false;
  if (!find_existing(r, change)) return false;
  forget_earlier(order, change);
  decide(r, change);
  order->count++;
  return true;
}

/* Contact: * removes all, and must be alone, with Expires 0. */
static bool read_star(struct reader *r, unsigned values) {
  const struct sip_header *expires = sip_header_first(r->message, SIP_H_EXPIRES);
  if (values != 1) return refuse(r, 400, "Contact * Beside Another");
  if (expires == NULL || read_expires(r, expires->value) != 0)
    return refuse(r, 400, "Contact * Without Expires 0");
  const struct bindings *table = &r->edge->bindings;
  uint32_t at = bindings_start(table, r->order->aor);
  struct binding *binding;
  while ((binding = bindings_next(table, r->order->aor, &at)) != NULL) {
    if (!check_order(r, binding)) return false;
    r->order->change[r->order->count++] =
        (struct change){.kind = CHANGE_REMOVE, .contact = binding->contact, .existing = binding};
  }
  return true;
}

static bool read_contacts(struct reader *r) {
  struct sip_values values = sip_values_of(r->message, SIP_H_CONTACT);
  struct slice text;
  unsigned count = 0;
  bool star = false;
  while (sip_values_next(&values, &text)) {
    count++;
    star = star || slice_equal(text, SLICE("*"));
  }
  if (star) return read_star(r, count);
  values = sip_values_of(r->message, SIP_H_CONTACT);
  while (sip_values_next(&values, &text))
    if (!read_contact(r, text)) return false;
  return true;
}

/* */
static bool check_limits(struct reader *r) {
  const struct bindings *table = &r->edge->bindings;
  uint32_t held = 0;
  uint32_t at = bindings_start(table, r->order->aor);
  while (bindings_next(table, r->order->aor, &at) != NULL) held++;
  uint32_t added = 0, removed = 0;
  for (unsigned i = 0; i < r->order->count; i++) {
    const struct change *change = &r->order->change[i];
    added += change->kind == CHANGE_PUT && change->existing == NULL;
    removed += change->kind == CHANGE_REMOVE;
  }
  if (added != 0 && held + added - removed > r->edge->config.limits.bindings_per_aor_max)
    return refuse(r, 403, "Too Many Contacts Of This Address");
  return true;
}

/* RFC 5626 section 6: with reg-id, one contact and one flow for a REGISTER. */
static bool check_outbound(struct reader *r) {
  unsigned kept = 0, outbound = 0;
  for (unsigned i = 0; i < r->order->count; i++) {
    const struct change *change = &r->order->change[i];
    kept += change->granted_s != 0;
    outbound += change->granted_s != 0 && change->outbound;
  }
  if (outbound != 0 && kept > 1) return refuse(r, 400, "More Than One Contact With reg-id");
  return true;
}

void order_read_address(struct order *order, const struct edge_step *step,
                        const struct edge_request *request, struct refusal *refusal) {
  struct reader r = {order, step, step->edge, request, request->message, refusal};
  *refusal = (struct refusal){0};
  order->shown = false;
  (void)read_address(&r);
}

void order_read(struct order *order, const struct edge_step *step,
                const struct edge_request *request, struct refusal *refusal) {
  *refusal = (struct refusal){0};
  order->count = 0;
  order->path_count = 0;
  order->own_path = SLICE_EMPTY;
  struct reader r = {order, step, step->edge, request, request->message, refusal};
  order->first_hop = edge_is_first_hop(request->message);
  if (read_path(&r) && read_contacts(&r) && check_outbound(&r)) check_limits(&r);
}

bool order_needs_overlay(const struct order *order) {
  for (unsigned i = 0; i < order->count; i++)
    if (order->change[i].kind == CHANGE_PUT || order->change[i].kind == CHANGE_REMOVE) return true;
  return false;
}
