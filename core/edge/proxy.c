/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of a request: RFC 3261 sections 16.3 to 16.5. It is answered here, looked up, or
 * follows its Route. */
#include "base/assert.h"
#include "edge/fork.h"
#include "edge/gruu.h"
#include "edge/target.h"
#include "sip/print.h"

/* ---- checks ---- */

/* Is it one of ours in form? Few of others are, and only then it costs a hash to be sure. */
static bool may_be_own(struct slice branch) {
  return branch.len == FORK_BRANCH_BYTES && slice_starts(branch, SLICE(FORK_BRANCH_BEGIN));
}

static bool is_own_branch(const struct edge *edge, const struct sip_message *message,
                          struct slice branch) {
  char memory[FORK_BRANCH_BYTES];
  struct buf own = buf_over(memory, sizeof memory);
  if (!may_be_own(branch)) return false;
  fork_put_branch(&own, edge, message, 0);
  return slice_starts(branch, slice_first(buf_slice(&own), own.len - 16));
}

/* has this very request been through this peer? Our branches begin with a keyed hash. */
static bool is_loop(const struct edge *edge, const struct sip_message *message) {
  struct sip_values vias = sip_values_of(message, SIP_H_VIA);
  struct slice text;
  if (is_own_branch(edge, message, message->via.branch)) return true;
  (void)sip_values_next(&vias, &text); /* the topmost: it has been read */
  while (sip_values_next(&vias, &text)) {
    struct sip_via via;
    if (sip_via_parse(text, &via) == OK && is_own_branch(edge, message, via.branch)) return true;
  }
  return false;
}

/* 420 with the tags that are not understood (R-7.23; RFC 3261 8.2.2.3). True: it was sent. */
static bool refuse_extensions(struct edge_step *step, const struct edge_request *request,
                              enum sip_header_id id) {
  struct sip_values tags = sip_values_of(request->message, id);
  struct slice tag;
  bool all = true;
  while (sip_values_next(&tags, &tag)) all = all && edge_supports(tag);
  if (all) return false;
  size_t mark = edge_reply_begin(step, request, 420, NULL);
  tags = sip_values_of(request->message, id);
  while (sip_values_next(&tags, &tag))
    if (!edge_supports(tag)) sip_put_header(&step->out->bytes, "Unsupported", tag);
  edge_reply_end(step, request, 420, mark);
  return true;
}

/* ---- requests for this peer itself ---- */

static void answer_options(struct edge_step *step, const struct edge_request *request) {
  size_t mark = edge_reply_begin(step, request, 200, NULL);
  struct buf *out = &step->out->bytes;
  sip_put_header(out, "Allow", SLICE(EDGE_ALLOW));
  sip_put_header(out, "Accept", SLICE("text/xml, application/xml")); /* */
  sip_put_header(out, "Supported", SLICE(EDGE_SUPPORTED));
  edge_reply_end(step, request, 200, mark);
}

/* */
static void answer_own(struct edge_step *step, const struct edge_request *request) {
  enum sip_method method = request->message->method;
  if (method == SIP_METHOD_OTHER) {
    edge_reply(step, request, 501, NULL);
  } else if (method == SIP_SUBSCRIBE) {
    presence_on_own(step, request);
  } else if (method != SIP_OPTIONS && method != SIP_REGISTER) {
    size_t mark = edge_reply_begin(step, request, 405, NULL);
    sip_put_header(&step->out->bytes, "Allow", SLICE(EDGE_ALLOW));
    edge_reply_end(step, request, 405, mark);
  } else if (refuse_extensions(step, request, SIP_H_REQUIRE)) {
    return;
  } else if (method == SIP_OPTIONS) {
    answer_options(step, request);
  } else {
    registrar_on_request(step, request);
  }
}

/* ---- where it goes ---- */

struct decision {
  uint16_t status; /* not 0: refuse */
  const char *reason;
  bool locate; /* look the Request-URI up */
  struct gruu gruu;
  struct fork_target target;
  unsigned drop;
};

static void decision_init(struct decision *d) {
  d->status = 0;
  d->reason = NULL;
  d->locate = false;
  d->gruu.kind = GRUU_NONE;
  d->target = (struct fork_target){0};
  d->drop = 0;
}

static bool is_reachable(const struct hop *hop) {
  if (hop->at.family == 0) return false;
  return hop->flow != 0 || hop->at.transport == TRANSPORT_UDP || hop->at.transport == TRANSPORT_TCP;
}

static bool refuse(struct decision *d, uint16_t status, const char *reason) {
  d->status = status;
  d->reason = reason;
  return false;
}

static void put_route(struct buf *out, struct slice value) {
  buf_put_cstr(out, "Route: ");
  buf_put(out, value);
  buf_put_cstr(out, "\r\n");
}

/* RFC 3261 16.6 step 6: before a strict router the Request-URI travels as the last Route, and the
 * router's own URI in its place. */
static void make_strict(struct decision *d, struct route_plan *plan, struct slice first,
                        struct buf *routes) {
  for (unsigned i = 1; i < plan->kept_count; i++) put_route(routes, plan->kept[i]);
  buf_put_cstr(routes, "Route: <");
  buf_put(routes, plan->uri);
  buf_put_cstr(routes, ">\r\n");
  d->target.uri = first;
}

/* Inside a dialog a Route is what a peer wrote into Record-Route: for sips, to itself by TLS
 * (R-7.34). */
static bool is_link(const struct edge_request *request, const struct hop *hop) {
  return request->message->to_tag.len != 0 && hop->at.transport == TRANSPORT_TLS;
}

static bool follow_route(struct decision *d, const struct edge_request *request,
                         struct route_plan *plan, struct buf *routes) {
  struct sip_address next;
  if (sip_address_parse(plan->kept[0], &next) != OK) return refuse(d, 400, "Bad Route");
  if (next.uri.scheme != SIP_SCHEME_SIP && next.uri.scheme != SIP_SCHEME_SIPS)
    return refuse(d, 416, "Route Is No SIP URI");
  if (sip_uri_endpoint(&next.uri, &d->target.hop.at) != OK)
    d->target.next = next.uri.text;
  else if (!is_reachable(&d->target.hop) && !is_link(request, &d->target.hop))
    return refuse(d, 404, "Transport Is Not Offered");
  bool strict = !sip_param_get(next.uri.params, "lr", NULL);
  if (!strict && !plan->rewrite) return true;
  if (strict)
    make_strict(d, plan, next.uri.text, routes);
  else
    for (unsigned i = 0; i < plan->kept_count; i++) put_route(routes, plan->kept[i]);
  struct sip_values all = sip_values_of(request->message, SIP_H_ROUTE);
  struct slice route;
  for (d->drop = 0; sip_values_next(&all, &route);) d->drop++;
  return true;
}

static bool is_own_domain(const struct edge *edge, const struct sip_uri *uri) {
  struct endpoint literal;
  return endpoint_parse_host(uri->host, &literal) ? route_is_address(edge, uri)
                                                  : edge_serves(edge, uri->host);
}

/* A GRUU leads to one phone, inside a dialog too: at once if it is held here, so that an
 * ACK can follow. */
static bool follow_gruu(struct decision *d, const struct edge *edge, usec now, struct buf *routes) {
  const struct binding *binding;
  switch (d->gruu.kind) {
    case GRUU_NONE:
      return true;
    case GRUU_UNKNOWN:
      return refuse(d, 404, "GRUU Is Not Known");
    case GRUU_ELSEWHERE:
      d->target.hop.at = d->gruu.home;
      return true;
    case GRUU_INSTANCE:
      break;
  }
  binding = gruu_binding(edge, &d->gruu, now, NULL);
  d->locate = binding == NULL || !target_of_contact(edge, &binding->contact, &d->target, routes);
  return true;
}

/* By the Request-URI (RFC 3261 16.5). */
static bool follow_uri(struct decision *d, const struct edge *edge, usec now,
                       const struct edge_request *request, const struct sip_uri *uri,
                       struct buf *routes) {
  bool own = is_own_domain(edge, uri);
  if (own) gruu_read(&d->gruu, edge, uri);
  if (own && d->gruu.kind != GRUU_NONE) {
    bool in_dialog = request->message->to_tag.len != 0;
    if (in_dialog || d->gruu.kind != GRUU_INSTANCE) return follow_gruu(d, edge, now, routes);
  }
  if (own && d->gruu.kind == GRUU_NONE && request->message->to_tag.len != 0)
    return refuse(d, 404, "Request Inside A Dialog Names No Phone"); /* */
  if (own) {
    d->locate = true;
    return true;
  }
  if (sip_uri_endpoint(uri, &d->target.hop.at) != OK) {
    if (request->message->method == SIP_REGISTER)
      return refuse(d, 404, "Domain Outside The Overlay");
    d->target.next = uri->text; /* */
    return true;
  }
  if (!is_reachable(&d->target.hop)) return refuse(d, 404, "Transport Is Not Offered");
  return true;
}

/* Over the flow that a token names. A phone knows itself by its Contact, so a GRUU of it gives way
 * to that. */
static bool follow_token(struct decision *d, const struct edge *edge, usec now,
                         const struct route_plan *plan, const struct sip_uri *uri) {
  const struct binding *binding = NULL;
  d->target.hop = plan->hop;
  d->target.by_token = true;
  if (!is_own_domain(edge, uri)) return true;
  gruu_read(&d->gruu, edge, uri);
  if (d->gruu.kind == GRUU_INSTANCE) binding = gruu_binding(edge, &d->gruu, now, &plan->hop);
  if (binding != NULL) d->target.uri = binding->contact.uri;
  return true;
}

static void decide(struct decision *d, const struct edge_step *step,
                   const struct edge_request *request, struct route_plan *plan,
                   const struct sip_uri *uri, struct buf *routes) {
  const struct edge *edge = step->edge;
  d->drop = plan->drop;
  d->target.uri = plan->uri;
  d->target.q_permille = 1000;
  bool good;
  if (plan->kept_count != 0) {
    good = follow_route(d, request, plan, routes);
  } else if (plan->token == ROUTE_TOKEN_DEAD) {
    good = refuse(d, 430, NULL);
  } else if (plan->token == ROUTE_TOKEN_GOOD) {
    good = follow_token(d, edge, step->now, plan, uri);
  } else {
    good = follow_uri(d, edge, step->now, request, uri, routes);
  }
  d->target.secure |= uri->scheme == SIP_SCHEME_SIPS; /* */
  d->target.routes = buf_slice(routes);
  if (good && routes->overflow) refuse(d, 400, "Route Too Long");
}

/* ---- requests ---- */

static void reply_or_drop(struct edge_step *step, const struct edge_request *request,
                          uint16_t status, const char *reason) {
  if (request->message->method != SIP_ACK) edge_reply(step, request, status, reason);
}

/* A token of the very flow that the request came over, and no other Route of ours: the phone sends
 * out through us (RFC 5626 section 5.3.2). */
static void forget_own_flow(struct route_plan *plan, const struct edge_request *request) {
  if (plan->token != ROUTE_TOKEN_GOOD || plan->own != 1) return;
  const struct hop *hop = &plan->hop;
  bool same = hop->flow != 0 ? hop->flow == request->flow
                             : request->flow == 0 && endpoint_equal(&hop->at, &request->from);
  if (!same) return;
  plan->token = ROUTE_TOKEN_NONE;
  plan->hop = (struct hop){0};
}

/* False: the request was answered (or, an ACK, dropped). */
static bool check(struct edge_step *step, const struct edge_request *request,
                  struct route_plan *plan, struct sip_uri *uri) {
  const struct edge *edge = step->edge;
  if (!route_plan_read(plan, edge, request->message)) {
    bool target = sip_uri_parse(request->message->uri_text, uri) != OK;
    reply_or_drop(step, request, 400, target ? "Bad Request-URI" : "Bad Route");
    return false;
  }
  forget_own_flow(plan, request);
  if (plan->token == ROUTE_TOKEN_FORGED) {
    reply_or_drop(step, request, 403, "Route Was Not Made By This Peer");
  } else if (sip_uri_parse(plan->uri, uri) != OK || uri->host.len == 0) {
    reply_or_drop(step, request, 416, NULL);
  } else if (uri->headers.at != NULL) {
    reply_or_drop(step, request, 400, "Request-URI Has Headers"); /* RFC 4475 3.1.2.11 */
  } else {
    return true;
  }
  return false;
}

static bool check_forwarding(struct edge_step *step, const struct edge_request *request) {
  const struct sip_message *message = request->message;
  if (message->max_forwards == 0) {
    reply_or_drop(step, request, 483, NULL);
  } else if (is_loop(step->edge, message)) {
    reply_or_drop(step, request, 482, "Loop Detected");
  } else {
    return message->method == SIP_ACK || !refuse_extensions(step, request, SIP_H_PROXY_REQUIRE);
  }
  return false;
}

static bool is_for_us(const struct edge *edge, const struct edge_request *request,
                      const struct route_plan *plan, const struct sip_uri *uri) {
  if (plan->kept_count != 0 || plan->hop.at.family != 0) return false;
  if (request->message->method == SIP_REGISTER) {
    /* Some phones put a user part into the Request-URI of REGISTER. */
    struct endpoint literal;
    return endpoint_parse_host(uri->host, &literal) ? route_is_address(edge, uri)
                                                    : edge_serves(edge, uri->host);
  }
  return uri->user.len == 0 && route_is_own(edge, uri);
}

/* The caller's side of Record-Route may name its flow: it must be known to be open. */
static bool note_caller(struct edge_step *step, const struct edge_request *request) {
  if (route_note_flow(step->edge, request->flow) == OK) return true;
  edge_reply_busy(step, request, "No Room For Another Connection");
  return false;
}

static void start(struct edge_step *step, const struct edge_request *request,
                  const struct decision *d) {
  if (!note_caller(step, request)) return;
  char memory[512];
  struct buf text = buf_over(memory, sizeof memory);
  struct sip_uri uri;
  bool is_gruu = d->gruu.kind == GRUU_INSTANCE;
  if (d->locate && !is_gruu &&
      (sip_uri_parse(d->target.uri, &uri) != OK || uri.user.len == 0 ||
       sip_uri_put_aor(&text, &uri) != OK || text.overflow)) {
    edge_reply(step, request, 404, NULL);
    return;
  }
  struct fork *fork = fork_new(step, request, d->drop, d->target.uri, d->target.secure);
  if (fork == NULL) {
    edge_reply_busy(step, request, "Too Many Requests At Once");
    return;
  }
  if (request->message->method == SIP_INVITE) edge_reply(step, request, 100, NULL); /* */
  if (d->locate && is_gruu)
    fork_locate(step, fork, d->gruu.aor, d->gruu.instance);
  else if (d->locate)
    fork_locate(step, fork, buf_slice(&text), SLICE_EMPTY);
  else if (fork_add(step, fork, &d->target) != OK)
    fork_refuse(step, fork, 503, NULL);
  else
    fork_run(step, fork);
}

void proxy_on_request(struct edge_step *step, const struct edge_request *request) {
  struct route_plan plan;
  struct sip_uri uri;
  if (!check(step, request, &plan, &uri)) return;
  if (is_for_us(step->edge, request, &plan, &uri)) {
    answer_own(step, request);
    return;
  }
  if (!check_forwarding(step, request)) return;
  /* What comes by a token was let in by another peer, or belongs to a dialog. */
  if (plan.token == ROUTE_TOKEN_NONE && request->message->to_tag.len == 0 &&
      !auth_demand_caller(step, request))
    return;
  if (plan.token == ROUTE_TOKEN_NONE && plan.kept_count == 0 &&
      presence_on_request(step, request, &uri))
    return;
  char memory[TARGET_ROUTES_BYTES_MAX];
  struct buf routes = buf_over(memory, sizeof memory);
  struct decision decision;
  decision_init(&decision);
  decide(&decision, step, request, &plan, &uri, &routes);
  if (decision.status != 0)
    edge_reply(step, request, decision.status, decision.reason);
  else
    start(step, request, &decision);
}

/* An ACK of a 2xx has no transaction and is never answered (RFC 3261 16.11 for the branch: the
 * same for a repetition of the same ACK). */
void proxy_on_ack(struct edge_step *step, const struct edge_request *request) {
  struct edge *edge = step->edge;
  struct route_plan plan;
  struct sip_uri uri;
  if (!check(step, request, &plan, &uri) || !check_forwarding(step, request)) return;
  char memory[TARGET_ROUTES_BYTES_MAX], branch_memory[FORK_BRANCH_BYTES];
  struct buf routes = buf_over(memory, sizeof memory);
  struct decision d;
  decision_init(&d);
  decide(&d, step, request, &plan, &uri, &routes);
  if (d.status != 0 || d.locate) return;
  /* Where the name is not known yet it will be when the 2xx, and with it the ACK, is repeated. */
  if (d.target.next.len != 0 &&
      !fork_name_hop(step, d.target.next, request->message->bytes.len, &d.target.hop))
    return;
  if (d.target.secure && d.target.hop.at.transport != TRANSPORT_TLS &&
      d.target.hop.at.transport != TRANSPORT_WSS)
    return;
  struct buf branch = buf_over(branch_memory, sizeof branch_memory);
  fork_put_branch(&branch, edge, request->message,
                  hash_slice(edge->hash, request->message->via.branch));
  struct fork_print print = {
      .request = request, .target = &d.target, .drop = d.drop, .branch = buf_slice(&branch)};
  size_t mark = outbox_mark(step->out);
  fork_put_request(&step->out->bytes, edge, &print);
  struct output *send = outbox_add(step->out, OUT_SEND);
  send->flow = d.target.hop.flow;
  send->peer = d.target.hop.at;
  send->data = outbox_text(step->out, mark);
}
