/* SPDX-License-Identifier: BSD-2-Clause */
/* A request as it is forwarded: RFC 3261 section 16.6. All else of it, and the body, stays as it is
 * (R-7.30, R-7.51). */
#include "edge/fork.h"
#include "sip/print.h"

static void add_part(uint64_t *tag, struct hash_key key, struct slice part) {
  *tag = hash_slice((struct hash_key){key.k0 ^ *tag, key.k1}, part);
}

uint64_t fork_loop_tag(const struct edge *edge, const struct sip_message *message) {
  struct hash_key key = edge->hash;
  uint64_t tag = hash_bytes(key, &message->cseq, sizeof message->cseq);
  add_part(&tag, key, message->uri_text);
  add_part(&tag, key, message->call_id);
  add_part(&tag, key, message->from_tag);
  add_part(&tag, key, message->to_tag);
  struct sip_values routes = sip_values_of(message, SIP_H_ROUTE);
  struct slice route;
  while (sip_values_next(&routes, &route)) add_part(&tag, key, route);
  return tag;
}

void fork_put_branch(struct buf *out, const struct edge *edge, const struct sip_message *message,
                     uint64_t unique) {
  buf_put_cstr(out, FORK_BRANCH_BEGIN);
  buf_put_hex64(out, fork_loop_tag(edge, message), 16);
  buf_put_hex64(out, unique, 16);
}

/* Does the way back to the caller need a token: is the caller a phone (one Via) that is reached
 * only by the flow or address the request came from? */
static bool caller_needs_token(const struct edge_request *request) {
  const struct sip_message *message = request->message;
  if (!edge_is_first_hop(message)) return false;
  if (request->flow != 0) return true;
  struct sip_values contacts = sip_values_of(message, SIP_H_CONTACT);
  struct slice text;
  struct sip_address contact;
  struct endpoint at;
  if (!sip_values_next(&contacts, &text) || sip_address_parse(text, &contact) != OK) return false;
  if (sip_param_get(contact.uri.params, "ob", NULL)) return true; /* RFC 5626 section 5.3.2 */
  return sip_uri_endpoint(&contact.uri, &at) != OK || !endpoint_equal(&at, &request->from);
}

static void put_record_route(struct buf *out, const struct edge *edge, enum transport transport,
                             const struct hop *token, bool secure) {
  buf_put_cstr(out, "Record-Route: ");
  route_put_record(out, edge, transport, token, secure);
  buf_put_cstr(out, "\r\n");
}

/* Two values where the sides differ, so that each side comes back over what it has and the last
 * own value always says where to go on (R-7.19; RFC 5658). */
static void put_record_routes(struct buf *out, const struct edge *edge,
                              const struct edge_request *request,
                              const struct fork_target *target) {
  enum transport from = (enum transport)request->from.transport;
  enum transport to = (enum transport)target->hop.at.transport;
  struct hop caller = {request->flow, request->from};
  bool caller_token = caller_needs_token(request);
  bool two = from != to || caller_token || target->by_token;
  if (two) put_record_route(out, edge, to, target->by_token ? &target->hop : NULL, target->secure);
  put_record_route(out, edge, from, caller_token ? &caller : NULL, target->secure);
}

/* REGISTER of a phone with Outbound at another's registrar: this is its edge proxy (RFC 5626 5.1,
 * */
static void put_path(struct buf *out, const struct edge *edge, const struct edge_request *request,
                     enum transport transport) {
  const struct sip_message *message = request->message;
  if (message->method != SIP_REGISTER || !edge_is_first_hop(message) ||
      !sip_values_have(message, SIP_H_SUPPORTED, "path"))
    return;
  struct sip_values contacts = sip_values_of(message, SIP_H_CONTACT);
  struct slice text;
  struct sip_address contact;
  struct hop source = {request->flow, request->from};
  if (!sip_values_next(&contacts, &text) || sip_address_parse(text, &contact) != OK ||
      !sip_param_get(contact.params, "reg-id", NULL))
    return;
  buf_put_cstr(out, "Path: ");
  route_put_path(out, edge, transport, &source);
  buf_put_cstr(out, "\r\n");
}

#define FORWARD_LINES_MAX 1024u

void fork_put_request(struct buf *out, const struct edge *edge, const struct fork_print *print) {
  const struct edge_request *request = print->request;
  const struct sip_message *message = request->message;
  char memory[FORWARD_LINES_MAX];
  struct buf lines = buf_over(memory, sizeof memory);
  if (print->record_route) put_record_routes(&lines, edge, request, print->target);
  put_path(&lines, edge, request, (enum transport)print->target->hop.at.transport);
  struct endpoint sent_by = edge->config.advertise;
  sent_by.transport = print->target->hop.at.transport;
  struct sip_request_edit edit = {
      .uri = print->target->uri,
      .via_sent_by = &sent_by,
      .via_branch = print->branch,
      .source = &request->from,
      .max_forwards = message->max_forwards < 0 ? 70 : message->max_forwards - 1,
      .routes_drop = print->drop,
      .routes_add = print->target->routes,
  };
  if (print->breadth != 0) {
    sip_put_header_u64(&lines, "Max-Breadth", print->breadth);
    edit.headers_drop = (uint64_t)1 << SIP_H_MAX_BREADTH;
  }
  /* A response to a challenge is good for guessing at home what the password is. */
  if (auth_consumes(edge, request)) edit.headers_drop |= (uint64_t)1 << SIP_H_PROXY_AUTHORIZATION;
  edit.lines_add = buf_slice(&lines);
  sip_put_forwarded_request(out, message, &edit);
}
