/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages in. on_request is the processing table of the specification, row by row (R-2.1 to
 * */
#include "base/plant.h"
#include "node/internal.h"
#include "sip/print.h"
#include "sip/stun.h"

static void put_tags_not_supported(struct buf *lines, const struct sip_message *request,
                                   enum sip_header_id id) {
  struct sip_values values = sip_values_of(request, id);
  struct slice tag;
  while (sip_values_next(&values, &tag)) sip_put_header(lines, "Unsupported", tag);
}

/* this peer offers no extension that a LOCSER could require. */
static bool refuse_extensions(struct step *s, const struct reply_to *to,
                              const struct sip_message *request) {
  char text[512];
  struct buf lines = buf_over(text, sizeof text);
  put_tags_not_supported(&lines, request, SIP_H_REQUIRE);
  put_tags_not_supported(&lines, request, SIP_H_PROXY_REQUIRE);
  if (lines.len == 0 && !lines.overflow) return false;
  reply_fault(s, to, 420, "this peer supports no extension of LOCSER; see Unsupported",
              buf_slice(&lines));
  return true;
}

static bool is_my_overlay(const struct node *node, struct slice name) {
  return name.len == 0 || slice_equal_nocase(name, node->config.overlay);
}

static bool wants_redirect(const struct sip_message *request) {
  return sip_values_have(request, SIP_H_REQUEST_DISPOSITION, "redirect");
}

/* and the 302 of a traced hop. */
static void redirect(struct step *s, const struct reply_to *to, const struct sip_message *request,
                     const struct peer *next, unsigned count) {
  char text[192 * NEXT_HOPS_TOLD];
  struct buf lines = buf_over(text, sizeof text);
  for (unsigned i = 0; i < count; i++) reply_put_contact(&lines, &next[i]);
  struct xml_body body;
  const char *why;
  bool traced = request->body.len > 0 &&
                xml_body_read(s->node->config.xml, request->body, &body, &why) == OK && body.call &&
                body.method == XML_OVERLAY_TRACE;
  if (!traced) {
    reply_fault(s, to, 302, "this peer is not responsible for the key; ask the one in Contact",
                buf_slice(&lines));
    return;
  }
  struct xml_overlay hop = {.present = true};
  hop.peer[hop.peer_count++] = (struct xml_peer){.role = XML_PEER_SELF, .peer = s->node->self};
  hop.peer[hop.peer_count++] = (struct xml_peer){.role = XML_PEER_SUBJECT, .peer = next[0]};
  hop.load = node_load_permille(s->node);
  size_t mark = outbox_mark(s->out);
  xml_put_answer(&s->out->bytes, -1, NULL, 0, &hop);
  reply_body(s, to, 302, buf_slice(&lines), outbox_text(s->out, mark));
}

/* for a key that is somebody else's. */
static void pass_on(struct step *s, const struct reply_to *to, const struct sip_message *request,
                    const struct locser_target *target, const struct peer *hint) {
  struct node *node = s->node;
  if (PLANTED(17) && execute_is_read(s, request->body)) { /* it answers for everybody */
    if (wants_redirect(request)) {
      redirect(s, to, request, &node->self, 1);
    } else {
      execute_request(s, to, target, request->body);
    }
    return;
  }
  uint32_t tag = hop_loop_tag(&node->hops, &target->key, request->call_id);
  /* Going down to nearer predecessors, after it was `final`, ends by itself; it may have
   * come through here before, on its way up. */
  if (hint == NULL && hop_is_loop(&node->hops, request, &node->config.advertise, tag)) {
    reply_fault(s, to, 482, "the request has been through this peer already", SLICE_EMPTY);
    return;
  }
  if (request->max_forwards == 0) { /* */
    reply_fault(s, to, 483, "Max-Forwards is used up before a responsible peer was reached",
                SLICE_EMPTY);
    return;
  }
  if (wants_redirect(request)) {
    struct peer next[NEXT_HOPS_TOLD];
    unsigned count = forward_around(s, &target->key, next, NEXT_HOPS_TOLD);
    if (count == 0) {
      reply_later(s, to, "this peer knows no live peer nearer to the key");
    } else {
      redirect(s, to, request, next, count);
    }
    return;
  }
  forward_request(s, request, target, hint, to->flow, &to->from);
}

/* */
static bool is_media_understood(const struct sip_message *request) {
  const struct sip_header *header = sip_header_first(request, SIP_H_CONTENT_TYPE);
  if (request->body.len == 0 || header == NULL) return true;
  size_t end = slice_find_byte(header->value, ';');
  struct slice type = slice_trim(slice_first(header->value, end)), charset;
  if (!slice_equal_nocase(type, SLICE("text/xml")) &&
      !slice_equal_nocase(type, SLICE("application/xml"))) {
    return false;
  }
  if (sip_param_get(slice_skip(header->value, end + 1), "charset", &charset) &&
      !slice_equal_nocase(charset, SLICE("utf-8")) &&
      !slice_equal_nocase(charset, SLICE("\"utf-8\""))) {
    return false;
  }
  const struct sip_header *encoding = sip_header_first(request, SIP_H_CONTENT_ENCODING);
  return encoding == NULL || slice_equal_nocase(encoding->value, SLICE("identity"));
}

/* False: refused. Only who executes a request cares what its body is. */
static bool accept_media(struct step *s, const struct reply_to *to,
                         const struct sip_message *request) {
  if (is_media_understood(request)) return true;
  reply_fault(s, to, 415, "the body of a LOCSER request is text/xml in UTF-8, not encoded",
              SLICE("Accept: text/xml, application/xml\r\n"));
  return false;
}

static void deliver(struct step *s, const struct reply_to *to, const struct sip_message *request,
                    const struct locser_target *target) {
  if (accept_media(s, to, request)) execute_request(s, to, target, request->body);
}

/* The ring's own questions are about a place: their Request-URI repeats the key. */
static bool is_about_a_place(const struct sip_message *request, const struct key *key) {
  struct slice uri = request->uri_text;
  struct key place;
  if (!slice_starts_nocase(uri, SLICE("sip:"))) return false;
  struct slice user = slice_skip(uri, 4);
  user = slice_first(user, slice_find_byte(user, '@'));
  return key_parse(user, &place) && key_equal(&place, key);
}

static bool came_from(const struct step *s, const struct sip_message *request,
                      const struct peer *peer) {
  struct endpoint at;
  if (links_are_proven(s->node)) return s->proven != NULL && sender_is(s, &peer->id);
  if (!endpoint_parse_host(request->via.host, &at)) return false;
  at.port = request->via.port != 0 ? request->via.port : 5060;
  return endpoint_same_address(&at, &peer->at);
}

/* The sender believes that this peer is responsible; this peer's own pointers say otherwise. One of
 * the two is stale. */
static void on_final(struct step *s, const struct reply_to *to, const struct sip_message *request,
                     const struct locser_target *target) {
  const struct peer *nearer = overlay_predecessor(s->node->overlay);
  bool is_nearer = nearer != NULL && !overlay_is_suspect(s->node->overlay, &nearer->id) &&
                   !key_in_range_open_closed(&target->key, &nearer->id, &s->node->config.id);
  if (!is_nearer || came_from(s, request, nearer)) {
    deliver(s, to, request, target);
  } else {
    pass_on(s, to, request, target, nearer);
  }
}

static void on_request(struct step *s, const struct sip_message *request,
                       const struct input *input) {
  struct node *node = s->node;
  struct reply_to to = reply_to_sender(node, request, input->flow, &input->peer);
  struct locser_target target; /* */
  const char *why;
  if (locser_target_parse(request, &target, &why) != OK) {
    reply_plain(s, request, input->flow, &input->peer, 400, why, SLICE_EMPTY);
    return;
  }
  if (refuse_extensions(s, &to, request)) return;
  s->source = limits_source(s, &input->peer);
  if (!limits_take(s, SOURCE_REQUESTS, 1, &input->peer)) { /* */
    reply_later(s, &to, "this peer takes no more requests from one source for now");
    return;
  }
  if (!is_my_overlay(node, target.overlay)) { /* */
    reply_fault(s, &to, 488, "this peer belongs to another overlay", SLICE_EMPTY);
  } else if (!target.has_key) { /* */
    if (accept_media(s, &to, request)) execute_client(s, &to, request);
  } else if (target.direct) { /* */
    if (key_equal(&target.key, &node->config.id)) {
      deliver(s, &to, request, &target);
    } else {
      reply_fault(s, &to, 410, "another peer lives at this address", SLICE_EMPTY);
    }
  } else if (!overlay_is_member(node->overlay)) { /* */
    reply_later(s, &to, "this peer has not joined the overlay yet");
  } else if (overlay_is_responsible(node->overlay, &target.key)) { /* */
    to.names_self = !is_about_a_place(request, &target.key);       /* */
    deliver(s, &to, request, &target);
  } else if (target.final) { /* */
    on_final(s, &to, request, &target);
  } else {
    pass_on(s, &to, request, &target, NULL);
  }
}

/* What every LOCSER must carry beyond what any SIP message must; NULL: all is there.
 */
static const char *what_is_missing(const struct sip_message *request) {
  if (request->max_forwards < 0) return "Missing Max-Forwards";
  if (request->from_tag.len == 0) return "Missing Tag In From";
  if (request->body.len > 0 && sip_header_first(request, SIP_H_CONTENT_TYPE) == NULL) {
    return "Missing Content-Type";
  }
  return NULL;
}

/* From anybody, on every transport. */
static void on_locser(struct step *s, const struct sip_message *request,
                      const struct input *input) {
  const char *missing = what_is_missing(request);
  if (missing != NULL) {
    reply_plain(s, request, input->flow, &input->peer, 400, missing, SLICE_EMPTY);
  } else {
    on_request(s, request, input);
  }
}

static void on_bad_message(struct step *s, const struct sip_message *message,
                           const struct input *input, const struct sip_problem *problem) {
  s->node->stats.bad++;
  outbox_trace(s->out, &(struct trace){.kind = TRACE_SIP_BAD,
                                       .at = s->now,
                                       .peer = input->peer,
                                       .status = problem->status,
                                       .a = slice_cstr(problem->reason)});
  bool can_answer = message->request && message->method != SIP_ACK && problem->status != 0 &&
                    message->via.host.len > 0;
  if (!can_answer) return;
  reply_plain(s, message, input->flow, &input->peer, problem->status, problem->reason, SLICE_EMPTY);
}

static void trace_message(struct step *s, const struct sip_message *message,
                          const struct endpoint *peer, enum trace_kind kind) {
  outbox_trace(s->out, &(struct trace){.kind = kind,
                                       .at = s->now,
                                       .peer = *peer,
                                       .status = message->status,
                                       .a = message->method_text,
                                       .b = message->call_id});
}

/* counted like other requests over UDP. */
static void on_stun(struct step *s, const struct input *input) {
  if (!limits_datagram(s, &input->peer)) return;
  size_t mark = outbox_mark(s->out);
  enum stun_result result = stun_put_answer(&s->out->bytes, input->data, &input->peer);
  if (result == STUN_NOTHING) return;
  struct output *send = outbox_add(s->out, OUT_SEND);
  send->peer = input->peer;
  send->data = outbox_text(s->out, mark);
  if (result == STUN_BOUND) edge_on_keep_alive(s->node->edge, s->now, &input->peer);
}

void receive_message(struct step *s, const struct input *input) {
  struct sip_message message;
  struct sip_problem problem;
  enum sip_carrier carrier = endpoint_is_framed(&input->peer) ? SIP_DATAGRAM : SIP_STREAM;
  s->node->stats.messages_in++;
  s->node->stats.bytes_in += input->data.len;
  if (carrier == SIP_DATAGRAM && stun_is(input->data)) {
    on_stun(s, input);
    return;
  }
  bool good = sip_message_parse(input->data, carrier, &message, &problem) == OK;
  /* An ACK is never answered, and answers to LOCSER are no larger than the request. */
  bool is_answered = (!good || message.request) && message.method != SIP_ACK;
  if (is_answered && message.method != SIP_LOCSER && !limits_datagram(s, &input->peer)) return;
  if (!good) {
    on_bad_message(s, &message, input, &problem);
    return;
  }
  trace_message(s, &message, &input->peer, TRACE_SIP_IN);
  if (message.method == SIP_LOCSER) {
    if (message.request) {
      on_locser(s, &message, input);
    } else {
      forward_response(s, &message);
    }
    return;
  }
  struct edge_stats before = edge_stats(s->node->edge);
  struct edge_calls calls;
  calls.count = 0;
  edge_on_message(s->node->edge, s->now, node_wall(s->node, s->now), &message, input->flow,
                  &input->peer, &calls, s->out);
  struct edge_stats after = edge_stats(s->node->edge);
  if (after.refused_full > before.refused_full) limits_note(s, LIMIT_FULL, &input->peer);
  if (after.refused_share > before.refused_share) limits_note(s, LIMIT_SHARE, &input->peer);
  if (after.refused_guesses > before.refused_guesses) limits_note(s, LIMIT_GUESSES, &input->peer);
  pump_edge(s, &calls);
}
