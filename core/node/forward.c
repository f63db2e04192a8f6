/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests on their way: forwarded for others, and our own. A forwarded request costs one small
 * entry; a silent hop is routed around by the hop next to it alone. */
#include "base/assert.h"
#include "base/plant.h"
#include "node/internal.h"
#include "sip/print.h"

#define DATAGRAM_BYTES_MAX 1300u /* */
#define OWN_HEAD_BYTES 800u      /* more than the head of a request of our own takes */
#define HOLD_MAX_US SEC(1)       /* */
#define HOP_ADDS_MAX 210u        /* bytes a hop adds to a request */

/* over UDP: the first silence may be a lost datagram. */
static bool may_be_lost(const struct link *link) {
  return link->peer.at.transport == TRANSPORT_UDP;
}

unsigned forward_next_hops(struct step *s, const struct key *key, const struct key *avoid,
                           unsigned avoid_count, struct peer *out, unsigned max, bool *final) {
  *final = false;
  unsigned count = overlay_next_hops(s->node->overlay, key, avoid, avoid_count, out, max, final);
  for (unsigned i = 0; i < count; i++)
    out[i].at.transport = (uint8_t)s->node->config.peer_transport;
  return count;
}

unsigned forward_around(struct step *s, const struct key *key, struct peer *out, unsigned max) {
  unsigned count = overlay_around(s->node->overlay, key, out, max);
  for (unsigned i = 0; i < count; i++)
    out[i].at.transport = (uint8_t)s->node->config.peer_transport;
  return count;
}

static void wait_for(struct step *s, struct hop *hop, usec patience) {
  timers_set(&s->node->hops.timers, &hop->timer, usec_min(s->now + patience, hop->deadline));
}

static struct link *link_of(const struct step *s, const struct hop *hop) {
  return links_at(&s->node->links, hop->link);
}

static void leave_link(struct step *s, struct hop *hop) {
  struct link *link = link_of(s, hop);
  if (link != NULL && link->waiting > 0) link->waiting--;
  hop->link = HANDLE_NONE;
}

static bool enter_link(struct step *s, struct hop *hop, const struct peer *to) {
  struct link *link = links_get(&s->node->links, s->now, to);
  if (link == NULL) return false;
  link->waiting++;
  hop->link = links_handle(&s->node->links, link);
  hop->sent_at = s->now;
  hop->tries++;
  wait_for(s, hop, link_patience(&s->node->links, link));
  return true;
}

static void drop_hop(struct node *node, struct hop *hop) {
  sources_release(&node->sources, hop->source, SOURCE_HOPS);
  hop_close(&node->hops, hop);
}

static void close_hop(struct step *s, struct hop *hop) {
  leave_link(s, hop);
  drop_hop(s->node, hop);
}

/* what is too long for a datagram goes to the same address over a stream. */
static enum transport transport_for(const struct step *s, const struct hop *hop, size_t bytes) {
  enum transport transport = (enum transport)link_of(s, hop)->peer.at.transport;
  return transport == TRANSPORT_UDP && bytes > DATAGRAM_BYTES_MAX ? TRANSPORT_TCP : transport;
}

static void send_to_link(struct step *s, const struct hop *hop, enum transport transport,
                         struct slice message) {
  struct output *out = outbox_add(s->out, OUT_SEND);
  out->peer = link_of(s, hop)->peer.at;
  out->peer.transport = (uint8_t)transport;
  if (!PLANTED(14)) out->expect = link_of(s, hop)->peer.id; /* 14: whoever is there will do */
  out->data = message;
  out->ticket = tag_handle(TAG_HOP, handle_unpack(hop->timer.owner), hop->tries);
}

static uint32_t deadline_ms_left(const struct hop *hop, usec now) {
  usec left = hop->deadline > now ? hop->deadline - now : 1;
  return (uint32_t)(usec_min(left, SEC(32)) + 999) / 1000; /* */
}

/* Writes and sends the request as forwarded: our Via, Max-Forwards, Overlay-Key with the time that
 * is left; the body and all else byte for byte. */
static void send_forwarded(struct step *s, struct hop *hop, const struct sip_message *request,
                           struct locser_target target, bool final, const struct endpoint *from) {
  char branch_text[64];
  struct buf branch = buf_over(branch_text, sizeof branch_text);
  hop->final = final;
  target.final = final;
  target.deadline_ms = deadline_ms_left(hop, s->now);
  size_t key_mark = outbox_mark(s->out);
  locser_target_put(&s->out->bytes, &target);
  struct slice key_line = outbox_text(s->out, key_mark);
  hop_put_branch(&branch, hop);
  enum transport transport = transport_for(s, hop, request->bytes.len + HOP_ADDS_MAX);
  struct endpoint sent_by = s->node->config.advertise;
  sent_by.transport = (uint8_t)transport;
  const struct sip_request_edit edit = {
      .via_sent_by = &sent_by,
      .via_branch = buf_slice(&branch),
      .source = from,
      .max_forwards = request->max_forwards < 0 ? 69 : request->max_forwards - 1,
      .lines_add = key_line,
      .headers_drop = (uint64_t)1 << SIP_H_OVERLAY_KEY,
  };
  size_t mark = outbox_mark(s->out);
  sip_put_forwarded_request(&s->out->bytes, request, &edit);
  send_to_link(s, hop, transport, outbox_text(s->out, mark));
  s->node->stats.forwarded++;
  outbox_trace(s->out, &(struct trace){.kind = TRACE_LOCSER_FORWARD,
                                       .at = s->now,
                                       .key = target.key,
                                       .peer = link_of(s, hop)->peer.at,
                                       .b = request->call_id});
}

void forward_request(struct step *s, const struct sip_message *request,
                     const struct locser_target *target, const struct peer *hint, uint32_t flow,
                     const struct endpoint *from) {
  struct node *node = s->node;
  const struct reply_to to = reply_to_sender(node, request, flow, from);
  bool stream = endpoint_is_stream(from);
  uint64_t upstream = stream ? 0 : hop_upstream(&node->hops, request);
  if (!stream && hop_of_upstream(&node->hops, upstream) != NULL) return; /* */
  struct peer next;
  bool final;
  if (hint != NULL) {
    next = *hint;
    next.at.transport = (uint8_t)node->config.peer_transport;
    final = true;
  } else if (forward_next_hops(s, &target->key, NULL, 0, &next, 1, &final) == 0) {
    reply_later(s, &to, "this peer knows no live peer nearer to the key");
    return;
  }
  /* no source holds more than half of the table. */
  bool held = limits_hold(s, SOURCE_HOPS, &node->hops.pool, s->source.row, from);
  struct hop *hop = held ? hop_open(&node->hops, HOP_FORWARD) : NULL;
  if (hop == NULL) {
    if (held) sources_release(&node->sources, s->source.row, SOURCE_HOPS);
    reply_later(s, &to, "this peer forwards as many requests as it can");
    return;
  }
  uint32_t ms = target->deadline_ms != 0 ? target->deadline_ms : LOOKUP_DEADLINE_MS;
  hop->deadline = s->now + MSEC(ms);
  hop->flow = flow;
  hop->source = s->source.row;
  hop->answer_max = (uint16_t)(to.answer_max < UINT16_MAX ? to.answer_max : UINT16_MAX);
  hop->ours = hint != NULL;
  hop->loop_tag = hop_loop_tag(&node->hops, &target->key, request->call_id);
  if (!enter_link(s, hop, &next)) {
    drop_hop(node, hop);
    reply_later(s, &to, "this peer has as many links in use as it can");
    return;
  }
  if (!stream && hop_note_upstream(&node->hops, hop, upstream) != OK) hop->came_by = 0;
  reply_trying(s, &to); /* */
  hop_keep_copy(&node->hops, hop, request->bytes, from);
  send_forwarded(s, hop, request, *target, final, from);
}

/* The answer to a forwarded request goes to its flow; a datagram where its Via says. */
static void answer_upstream(struct step *s, const struct hop *hop,
                            const struct sip_message *response) {
  struct sip_values vias = sip_values_of(response, SIP_H_VIA);
  struct slice text;
  struct sip_via via;
  struct endpoint to;
  sip_values_next(&vias, &text); /* ours */
  if (!sip_values_next(&vias, &text) || sip_via_parse(text, &via) != OK) return;
  if (sip_via_endpoint(&via, &to) != OK) {
    if (hop->flow == 0) return;
    to = (struct endpoint){0};
  }
  size_t mark = outbox_mark(s->out);
  sip_put_forwarded_response(&s->out->bytes, response, SLICE_EMPTY);
  struct slice message = outbox_text(s->out, mark);
  if (hop->answer_max != 0 && message.len > hop->answer_max) { /* */
    limits_note(s, LIMIT_ANSWER, &to);
    s->out->bytes.len = mark;
    bool asks_stream = response->status == 200;
    sip_put_bare_response(&s->out->bytes, response, asks_stream ? 413 : response->status,
                          asks_stream ? REPLY_ASK_STREAM : NULL);
    message = outbox_text(s->out, mark);
    if (message.len > hop->answer_max || response->status == 302) return;
  }
  struct output *out = outbox_add(s->out, OUT_SEND);
  out->flow = hop->flow;
  out->peer = to;
  out->data = message;
}

static bool read_copy(const struct hop_copy *copy, struct sip_message *request,
                      struct locser_target *target) {
  struct sip_problem problem;
  const char *why;
  enum sip_carrier carrier = endpoint_is_stream(&copy->from) ? SIP_STREAM : SIP_DATAGRAM;
  return sip_message_parse(slice_of(copy->bytes, copy->len), carrier, request, &problem) == OK &&
         locser_target_parse(request, target, &why) == OK;
}

/* Our own words to the previous hop, made from the kept copy. Without a copy the next hop had
 * taken over: silence, and the previous hop's deadline. */
static void refuse_upstream(struct step *s, struct hop *hop) {
  const struct hop_copy *copy = hop_copy_of(&s->node->hops, hop);
  if (copy == NULL) return;
  struct sip_message request;
  struct locser_target target;
  if (!read_copy(copy, &request, &target)) return;
  const struct reply_to to = reply_to_sender(s->node, &request, hop->flow, &copy->from);
  reply_later(s, &to, "no peer nearer to the key answered");
}

static void note_silence(struct step *s, const struct peer *peer) {
  outbox_trace(
      s->out,
      &(struct trace){.kind = TRACE_PEER_SUSPECT, .at = s->now, .key = peer->id, .peer = peer->at});
  struct overlay_calls calls;
  calls.count = 0;
  overlay_on_peer_silent(s->node->overlay, s->now, peer, &calls, s->out);
  pump_overlay(s, &calls);
}

/* this peer is the adjacent hop, so it alone retries, elsewhere. */
static bool retry_elsewhere(struct step *s, struct hop *hop) {
  struct node *node = s->node;
  const struct hop_copy *copy = hop_copy_of(&node->hops, hop);
  if (copy == NULL || hop->tries >= HOP_TRIES_MAX || s->now >= hop->deadline) return false;
  struct sip_message request;
  struct locser_target target;
  if (!read_copy(copy, &request, &target)) return false;
  struct key avoid[2];
  unsigned avoid_count = 0;
  struct link *silent = link_of(s, hop);
  if (silent != NULL) avoid[avoid_count++] = silent->peer.id;
  uint32_t index = hop->tried;
  struct link *before = index == POOL_NO_INDEX ? NULL : pool_next(&node->links.pool, &index);
  if (before != NULL) avoid[avoid_count++] = before->peer.id;
  struct peer next;
  bool final;
  if (forward_next_hops(s, &target.key, avoid, avoid_count, &next, 1, &final) == 0) return false;
  hop->tried = hop->link.index;
  leave_link(s, hop);
  hop->resent = hop->held = false;
  if (!enter_link(s, hop, &next)) return false;
  node->stats.retries++;
  outbox_trace(s->out,
               &(struct trace){
                   .kind = TRACE_LOCSER_RETRY, .at = s->now, .key = target.key, .peer = next.at});
  send_forwarded(s, hop, &request, target, final, &copy->from);
  return true;
}

/* the nearer predecessor that was believed in does not take the request, and its sender
 * believes in this peer. Where it said itself (`alive`) that it cannot be sure what there is, a
 * read here would be a guess. */
static bool execute_here(struct step *s, struct hop *hop, bool alive) {
  struct node *node = s->node;
  const struct hop_copy *copy = hop_copy_of(&node->hops, hop);
  struct sip_message request;
  struct locser_target target;
  if (!hop->ours || copy == NULL || s->now >= hop->deadline) return false;
  if (!read_copy(copy, &request, &target)) return false;
  if (alive && execute_is_read(s, request.body)) return false;
  const struct reply_to to = reply_to_sender(s->node, &request, hop->flow, &copy->from);
  struct handle handle = handle_unpack(hop->timer.owner);
  leave_link(s, hop);
  execute_request(s, &to, &target, request.body);
  hop = pool_at(&node->hops.pool, handle);
  if (hop != NULL) drop_hop(node, hop);
  return true;
}

/* Another try is made; this one may still be answered, if only late. */
static void errand_try_failed(struct step *s, struct hop *hop, const struct peer *silent,
                              bool gone) {
  struct errand *errand = errand_of(s->node, hop->user);
  bool current = errand != NULL && item_of(hop->user) == errand->tries;
  if (gone || !current || s->now >= hop->deadline) {
    close_hop(s, hop);
  } else {
    hop->given_up = true;
    timers_set(&s->node->hops.timers, &hop->timer, hop->deadline);
  }
  if (current) errand_on_silence(s, errand, silent);
}

/* Nothing came from the peer this hop waits for; gone: nor will anything. */
static void hop_failed(struct step *s, struct hop *hop, bool gone) {
  struct peer silent = {0};
  struct link *link = link_of(s, hop);
  if (link != NULL) silent = link->peer;
  uint64_t user = hop->user;
  switch ((enum hop_kind)hop->kind) {
    case HOP_FORWARD:
      if (!execute_here(s, hop, false) && !retry_elsewhere(s, hop)) {
        refuse_upstream(s, hop);
        close_hop(s, hop);
      }
      break;
    case HOP_ERRAND:
      errand_try_failed(s, hop, &silent, gone);
      break;
    case HOP_CALL:
      close_hop(s, hop);
      pump_on_answer(s, user, 0, SLICE_EMPTY, NULL, 0);
      break;
  }
}

static void on_silence(struct step *s, struct hop *hop, bool gone) {
  struct link *link = link_of(s, hop);
  struct peer silent = {0};
  bool suspect = link != NULL && !hop->taken_over && !hop->given_up && !key_is_zero(&link->peer.id);
  if (link != NULL) silent = link->peer;
  if (suspect) link->silent = true;
  struct handle handle = pool_handle_of(&s->node->hops.pool, hop);
  if (suspect) note_silence(s, &silent); /* first: who is asked next depends on it */
  hop = pool_at(&s->node->hops.pool, handle);
  if (hop != NULL) hop_failed(s, hop, gone);
}

/* */
static bool resend_datagram(struct step *s, struct hop *hop) {
  const struct hop_copy *copy = hop_copy_of(&s->node->hops, hop);
  struct link *link = link_of(s, hop);
  if (hop->resent || copy == NULL || link == NULL || !may_be_lost(link)) return false;
  if (hop->kind == HOP_FORWARD) {
    struct sip_message request;
    struct locser_target target;
    if (!read_copy(copy, &request, &target)) return false;
    send_forwarded(s, hop, &request, target, hop->final, &copy->from);
  } else {
    send_to_link(s, hop, transport_for(s, hop, copy->len),
                 outbox_copy(s->out, slice_of(copy->bytes, copy->len)));
  }
  hop->resent = true;
  wait_for(s, hop, 2 * link_patience(&s->node->links, link));
  return true;
}

/* behind the peer believed responsible nobody knows the key's place as well, so one silence
 * is not enough to go past it. It is in doubt from here on, and probed at once. */
static bool hold(struct step *s, struct hop *hop) {
  struct link *link = link_of(s, hop);
  if (!hop->final || hop->ours || hop->held || hop->resent || hop->given_up) return false;
  if (link == NULL) return false;
  if (!overlay_waits_for(s->node->overlay, &link->peer.id)) return false;
  struct peer silent = link->peer;
  hop->held = true;
  wait_for(s, hop, usec_min(link_patience(&s->node->links, link), HOLD_MAX_US));
  note_silence(s, &silent);
  return true;
}

void forward_on_timer(struct step *s) {
  struct timer *timer;
  while (outbox_has(s->out, 64, 224 * 1024) &&
         (timer = timers_pop(&s->node->hops.timers, s->now)) != NULL) {
    struct hop *hop = pool_at(&s->node->hops.pool, handle_unpack(timer->owner));
    ASSERT(hop != NULL);
    if (hop->taken_over || s->now >= hop->deadline) {
      if (hop->kind == HOP_FORWARD) {
        close_hop(s, hop); /* the previous hop's deadline is the same instant */
      } else {
        hop->taken_over = true; /* its way is long or stuck; the neighbour is not to blame */
        on_silence(s, hop, false);
      }
    } else if (!resend_datagram(s, hop) && !hold(s, hop)) {
      on_silence(s, hop, false);
    }
  }
}

void forward_on_undelivered(struct step *s, uint64_t ticket) {
  if (tag_of(ticket) != TAG_HOP) return;
  struct hop *hop = ticket_object(&s->node->hops.pool, ticket);
  if (hop == NULL || item_of(ticket) != hop->tries) return; /* an earlier try, given up already */
  hop->taken_over = false; /* the flow is gone: whoever took it over may be gone with it */
  on_silence(s, hop, true);
}

void forward_on_link_closed(struct step *s, const struct endpoint *at, const struct key *proven) {
  uint32_t index = 0;
  for (struct hop *hop; (hop = pool_next(&s->node->hops.pool, &index)) != NULL;) {
    const struct link *link = link_of(s, hop);
    if (link == NULL) continue;
    bool ended = proven != NULL ? key_equal(&link->peer.id, proven)
                                : endpoint_same_address(&link->peer.at, at);
    if (!ended) continue;
    hop->taken_over = false; /* whoever took it over may be gone with the link */
    hop->held = true;        /* no need to wait */
    timers_set(&s->node->hops.timers, &hop->timer, s->now);
  }
}

/* A 410 comes from another peer than the one that was meant, a 503 perhaps from one that is
 * no member: neither speaks for the peer's place in the ring. */
static void heard_from(struct step *s, struct hop *hop, uint16_t status) {
  struct link *link = link_of(s, hop);
  if (link == NULL) return;
  if (!hop->taken_over && !hop->resent) link_measured(&s->node->links, link, s->now - hop->sent_at);
  link->silent = false;
  if (key_is_zero(&link->peer.id)) return;
  struct peer peer = link->peer;
  peer.at.transport = TRANSPORT_TCP;
  if (status != 410 && status != 503) overlay_on_peer_alive(s->node->overlay, s->now, &peer);
  if (status == 410 || status == 482 || status == 503)
    overlay_on_peer_refused(s->node->overlay, &peer);
}

/* The peers that the Contacts of a 302 name. */
static unsigned peers_of_contacts(const struct sip_message *response, struct peer *out,
                                  unsigned max) {
  struct sip_values values = sip_values_of(response, SIP_H_CONTACT);
  struct slice text;
  struct sip_address address;
  unsigned count = 0;
  while (count < max && sip_values_next(&values, &text)) {
    out[count] = (struct peer){0};
    if (sip_address_parse(text, &address) == OK && key_parse(address.uri.user, &out[count].id) &&
        sip_uri_endpoint(&address.uri, &out[count].at) == OK)
      count++;
    else if (count == 0)
      return 0; /* the first is the next hop; there is none */
  }
  return count;
}

static void own_answer(struct step *s, struct hop *hop, const struct sip_message *response) {
  uint64_t user = hop->user;
  bool is_errand = hop->kind == HOP_ERRAND;
  struct peer contacts[NEXT_HOPS_TOLD];
  unsigned count =
      response->status == 302 ? peers_of_contacts(response, contacts, NEXT_HOPS_TOLD) : 0;
  close_hop(s, hop);
  if (is_errand) {
    struct errand *errand = errand_of(s->node, user);
    if (errand == NULL || !errand_wants(errand, item_of(user), response->status)) return;
    outbox_trace(s->out, &(struct trace){.kind = TRACE_LOCSER_ANSWER,
                                         .at = s->now,
                                         .key = errand->key,
                                         .status = response->status,
                                         .n = s->now - errand->asked_at,
                                         .b = response->call_id});
    errand_on_answer(s, errand, response->status, response->body, count > 0 ? contacts : NULL);
  } else {
    pump_on_answer(s, user, response->status, response->body, contacts, count);
  }
}

/* Only the peer that was asked may answer; of one that was known by its address alone, whoever
 * proved some Peer-ID there. */
static bool may_answer(struct step *s, const struct hop *hop) {
  const struct link *link = link_of(s, hop);
  if (link == NULL || !links_are_proven(s->node) || PLANTED(14)) return true;
  if (key_is_zero(&link->peer.id)) return s->proven != NULL;
  return sender_is(s, &link->peer.id);
}

/* */
static void learn_from(struct step *s, const struct sip_message *response) {
  struct peer named;
  if (response->status == 302 || peers_of_contacts(response, &named, 1) == 0) return;
  named.at.transport = TRANSPORT_TCP;
  struct overlay_calls calls;
  calls.count = 0;
  overlay_on_peer_named(s->node->overlay, s->now, &named, &calls);
  pump_overlay(s, &calls);
}

void forward_response(struct step *s, const struct sip_message *response) {
  bool current = false;
  struct hop *hop = hop_of_branch(&s->node->hops, response->via.branch, &current);
  if (hop == NULL || (current && !may_answer(s, hop))) { /* late, or not for us */
    s->node->stats.bad++;
    return;
  }
  if (current) heard_from(s, hop, response->status);
  if (current && response->status >= 200 && hop->kind != HOP_CALL) learn_from(s, response);
  if (response->status < 200) {
    hop->taken_over = true; /* */
    hop_drop_copy(&s->node->hops, hop);
    timers_set(&s->node->hops.timers, &hop->timer, hop->deadline);
  } else if (hop->kind != HOP_FORWARD) {
    own_answer(s, hop, response);
  } else if (response->status == 503 && (execute_here(s, hop, true) ||
                                         (!hop->final && retry_elsewhere(s, hop)))) { /* */
    return;
  } else {
    answer_upstream(s, hop, response);
    close_hop(s, hop);
  }
}

/* its To has no tag, so that it belongs to no dialog. */
static void put_own_request(struct step *s, const struct hop *hop, const struct own_request *own,
                            struct slice call_id) {
  struct node *node = s->node;
  struct buf *out = &s->out->bytes;
  char uri_text[160], branch_text[64];
  struct buf uri = buf_over(uri_text, sizeof uri_text);
  struct buf branch = buf_over(branch_text, sizeof branch_text);
  if (own->uri.len > 0) {
    buf_put(&uri, own->uri);
  } else {
    buf_put_cstr(&uri, "sip:");
    key_put(&uri, &own->target.key);
    buf_put_char(&uri, '@');
    endpoint_put(&uri, &own->to->at);
  }
  hop_put_branch(&branch, hop);
  struct endpoint sent_by = node->config.advertise;
  sent_by.transport = own->to->at.transport;
  buf_put_cstr(out, "LOCSER ");
  buf_put(out, buf_slice(&uri));
  buf_put_cstr(out, " SIP/2.0\r\n");
  sip_put_via(out, &sent_by, buf_slice(&branch));
  locser_target_put(out, &own->target);
  buf_put_cstr(out, "From: <sip:");
  key_put(out, &node->config.id);
  buf_put_char(out, '@');
  buf_put(out, slice_of(node->self_host, node->self_host_len));
  buf_put_cstr(out, ">;tag=");
  buf_put(out, slice_first(call_id, 8));
  buf_put_cstr(out, "\r\nTo: <");
  buf_put(out, buf_slice(&uri));
  buf_put_cstr(out, ">\r\nCall-ID: ");
  buf_put(out, call_id);
  buf_put_cstr(out, "\r\nCSeq: 1 LOCSER\r\nMax-Forwards: 70\r\n");
  if (own->redirect) buf_put_cstr(out, "Request-Disposition: redirect\r\n");
  sip_put_body(out, "text/xml", own->body);
}

bool forward_own(struct step *s, const struct own_request *own) {
  struct node *node = s->node;
  struct hop *hop = hop_open(&node->hops, own->kind);
  if (hop == NULL) return false;
  struct peer to = *own->to;
  to.at.transport = (uint8_t)node->config.peer_transport;
  char call_text[128];
  struct buf call_id = buf_over(call_text, sizeof call_text);
  buf_put_hex64(&call_id, rng_u64(&node->rng), 16);
  buf_put_char(&call_id, '@');
  buf_put(&call_id, slice_of(node->self_host, node->self_host_len));
  hop->deadline = own->deadline;
  hop->user = own->user;
  hop->final = own->target.final;
  hop->loop_tag = hop_loop_tag(&node->hops, &own->target.key, buf_slice(&call_id));
  if (!enter_link(s, hop, &to)) {
    hop_close(&node->hops, hop);
    return false;
  }
  struct own_request sent = *own;
  sent.to = &to;
  sent.target.has_key = true;
  sent.target.overlay = node->config.overlay;
  sent.target.deadline_ms = deadline_ms_left(hop, s->now);
  enum transport transport = transport_for(s, hop, own->body.len + OWN_HEAD_BYTES);
  size_t mark = outbox_mark(s->out);
  to.at.transport = (uint8_t)transport;
  put_own_request(s, hop, &sent, slice_of(call_text, call_id.len));
  struct slice message = outbox_text(s->out, mark);
  if (transport == TRANSPORT_UDP) hop_keep_copy(&node->hops, hop, message, &node->config.advertise);
  send_to_link(s, hop, transport, message);
  node->stats.originated++;
  if (own->kind == HOP_ERRAND) {
    outbox_trace(s->out, &(struct trace){.kind = TRACE_LOCSER_ORIGIN,
                                         .at = s->now,
                                         .key = own->target.key,
                                         .peer = to.at,
                                         .a = slice_cstr(own->method),
                                         .b = buf_slice(&call_id)});
  }
  return true;
}
