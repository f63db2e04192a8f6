/* SPDX-License-Identifier: BSD-2-Clause */
/* Methods of a LOCSER body, at the peer that is responsible for the key or is named by it (R-2.12,
 * section 3), and for those who ask without Overlay-Key (section 8). */
#include "base/immutable.h"
#include "base/plant.h"
#include "locser/convert.h"
#include "node/internal.h"
#include "sip/print.h"

static void refuse_body(struct step *s, const struct reply_to *to, enum err err, const char *why) {
  limits_note(s, LIMIT_BODY, &to->from);
  char text[160];
  struct buf fault = buf_over(text, sizeof text - 1);
  buf_put_cstr(&fault, why != NULL ? why : "the body cannot be read");
  unsigned line = 0, column = 0;
  xml_reader_where(s->node->config.xml, &line, &column);
  if (line > 0) {
    buf_put_cstr(&fault, " (line ");
    buf_put_u64(&fault, line);
    buf_put_cstr(&fault, ", column ");
    buf_put_u64(&fault, column);
    buf_put_char(&fault, ')');
  }
  text[fault.len] = '\0';
  reply_fault(s, to, err == ERR_LIMIT ? 413 : 400, text, SLICE_EMPTY);
}

/* ---- the overlay's own methods ---- */

/* what the overlay says, as a body.
 */
static void answer_state(struct step *s, const struct reply_to *to, enum overlay_method method,
                         const struct overlay_message *answer) {
  struct xml_overlay xml = {0};
  locser_overlay_to_xml(answer, &xml);
  bool is_state = method == OVERLAY_JOIN || method == OVERLAY_NEIGHBORS || method == OVERLAY_ROUTE;
  size_t mark = outbox_mark(s->out);
  xml_put_answer(&s->out->bytes, is_state ? -1 : 1, NULL, 0, &xml);
  reply_body(s, to, 200, SLICE_EMPTY, outbox_text(s->out, mark));
}

static void answer_elsewhere(struct step *s, const struct reply_to *to, const struct peer *better) {
  char text[192];
  struct buf lines = buf_over(text, sizeof text);
  reply_put_contact(&lines, better);
  reply_fault(s, to, 302, "another peer is nearer to this place; ask the one in Contact",
              buf_slice(&lines));
}

/* Every request names its sender, a hint that the overlay checks. */
static void execute_overlay(struct step *s, const struct reply_to *to, enum overlay_method method,
                            const struct xml_body *body) {
  struct overlay_message request, answer;
  struct overlay_calls calls;
  calls.count = 0;
  locser_overlay_from_xml(&body->overlay, method, &request);
  if (!peer_is(&request.sender) || key_is_zero(&request.sender.id)) {
    reply_fault(s, to, 400, "the request does not say who sends it (o:self)", SLICE_EMPTY);
    return;
  }
  /* overlay.route comes from afar, and its sender is checked before it is believed. */
  if (to->errand == 0 && method != OVERLAY_ROUTE && !sender_is(s, &request.sender.id)) {
    s->node->stats.unproven++;
    limits_note(s, LIMIT_UNPROVEN, &to->from);
    reply_fault(s, to, 403, "o:self is not the Peer-ID that this connection has proven",
                SLICE_EMPTY);
    return;
  }
  enum overlay_status status =
      overlay_on_request(s->node->overlay, s->now, &request, &answer, &calls, s->out);
  switch (status) {
    case OVERLAY_OK:
      answer_state(s, to, method, &answer);
      break;
    case OVERLAY_BUSY:
      reply_fault(s, to, 491, "busy with its own stabilisation; ask again in 50 to 150 ms",
                  SLICE_EMPTY);
      break;
    case OVERLAY_ELSEWHERE:
      answer_elsewhere(s, to, &answer.subject);
      break;
    case OVERLAY_NOT_ME:
      reply_fault(s, to, 410, "another peer lives at this address", SLICE_EMPTY);
      break;
    case OVERLAY_NOT_JOINED:
    case OVERLAY_FAILED:
      reply_later(s, to, "this peer is not a member of the ring");
      break;
  }
  pump_overlay(s, &calls);
}

static void execute_trace(struct step *s, const struct reply_to *to) {
  struct xml_overlay hop = {.present = true, .load = node_load_permille(s->node)};
  hop.peer[hop.peer_count++] = (struct xml_peer){.role = XML_PEER_SELF, .peer = s->node->self};
  size_t mark = outbox_mark(s->out);
  xml_put_answer(&s->out->bytes, -1, NULL, 0, &hop);
  reply_body(s, to, 200, SLICE_EMPTY, outbox_text(s->out, mark));
}

/* ---- copies ---- */

/* So many of them as fit into one answer; one always. */
static unsigned page_of(const struct reply_to *to, const struct record *records, unsigned count) {
  size_t room = endpoint_is_stream(&to->from) ? ANSWER_BYTES_MAX : UDP_ANSWER_RECORDS_BYTES_MAX;
  size_t bytes = 0;
  for (unsigned i = 0; i < count; i++) {
    bytes += records[i].bytes.len;
    if (i > 0 && bytes > room) return i;
  }
  return count;
}

static void answer_pull(struct step *s, const struct reply_to *to,
                        const struct xml_overlay *asked) {
  struct node *node = s->node;
  struct record records[16];
  struct slice texts[16];
  struct xml_overlay page = {.present = true};
  unsigned max = asked->limit > 0 && asked->limit < 16 ? asked->limit : 16;
  unsigned count =
      dht_read_range(node->dht, node_wall(node, s->now), &asked->range_from, &asked->range_to,
                     asked->has_after ? &asked->after : NULL, records, max, &page.more);
  page.incomplete = !dht_vouches_for(node->dht, &asked->range_from, &asked->range_to);
  page.owner = dht_takes_writes(node->dht, &asked->range_from, &asked->range_to);
  unsigned fitting = page_of(to, records, count);
  page.more = page.more || fitting < count;
  count = fitting;
  if (!page.more && !page.incomplete)
    dht_was_pulled(node->dht, &asked->range_from, &asked->range_to);
  for (unsigned i = 0; i < count; i++) texts[i] = records[i].bytes;
  if (count > 0) {
    page.has_after = page.more;
    page.after = record_id_of(&records[count - 1]);
  }
  size_t mark = outbox_mark(s->out);
  xml_put_answer(&s->out->bytes, -1, texts, count, &page);
  reply_body(s, to, 200, SLICE_EMPTY, outbox_text(s->out, mark));
}

static void execute_replicate(struct step *s, const struct reply_to *to,
                              const struct xml_body *body, struct slice text) {
  if (links_are_proven(s->node) && s->proven == NULL) { /* */
    s->node->stats.unproven++;
    limits_note(s, LIMIT_UNPROVEN, &to->from);
    reply_fault(s, to, 403, "only a peer may copy records: connect with TLS and a key",
                SLICE_EMPTY);
    return;
  }
  if (body->record_count == 0) {
    if (!body->overlay.has_range) {
      reply_fault(s, to, 400, "overlay.replicate carries neither records nor a range", SLICE_EMPTY);
    } else if (!overlay_is_member(s->node->overlay)) {
      reply_later(s, to, "this peer is not a member of the ring");
    } else if (dht_is_newcomer(s->node->dht)) {
      reply_later(s, to, "this peer has not got the records of its own range yet");
    } else {
      answer_pull(s, to, &body->overlay);
    }
    return;
  }
  if (!limits_take(s, SOURCE_BYTES, text.len, &to->from)) { /* */
    reply_later(s, to, "this peer takes no more copies from one source for now");
    return;
  }
  struct operation *op =
      operation_open(s, OPERATION_ACCEPT, to, text, s->now + s->node->config.lookup_timeout_us);
  if (op == NULL) {
    reply_later(s, to, "this peer has as many requests waiting as it can");
    return;
  }
  op->stray = body->overlay.stray;
  copy_accept(s, op, body, text);
}

/* */
static void execute_sync(struct step *s, const struct reply_to *to, const struct xml_body *body) {
  const struct sync_view *asked = &body->sync;
  if (asked->part_count != 1 || asked->item_count > 0 || asked->until == 0) {
    reply_fault(s, to, 400, "overlay.sync takes until and one part", SLICE_EMPTY);
    return;
  }
  if (!overlay_is_member(s->node->overlay)) {
    reply_later(s, to, "this peer is not a member of the ring");
    return;
  }
  struct sync_view view;
  dht_answer_sync(s->node->dht, &asked->part[0], asked->until, &view);
  struct xml_overlay answer = {.present = true, .sync = &view};
  answer.peer[answer.peer_count++] =
      (struct xml_peer){.role = XML_PEER_SELF, .peer = s->node->self};
  size_t mark = outbox_mark(s->out);
  xml_put_answer(&s->out->bytes, -1, NULL, 0, &answer);
  reply_body(s, to, 200, SLICE_EMPTY, outbox_text(s->out, mark));
}

/* ---- data ---- */

static const struct key *owner_filter(const struct xml_body *body) {
  return body->record[0].has_owner ? &body->record[0].owner : NULL;
}

static void answer_nothing(struct step *s, const struct reply_to *to, bool disagree) {
  reply_fault(s, to, 404,
              disagree ? "no live record under <key>, which does not hash to Overlay-Key"
                       : "no live record under this key",
              SLICE_EMPTY);
}

/* get, and get-auth with its owner filter. */
static void execute_get(struct step *s, const struct reply_to *to, const struct xml_body *body,
                        struct slice text, const struct key *key,
                        const struct locser_target *target) {
  struct node *node = s->node;
  const struct key *owner = owner_filter(body);
  const struct record_id *after = body->overlay.has_after ? &body->overlay.after : NULL;
  if (target->direct) { /* asked of this very peer */
    const struct key *told = PLANTED(17) ? &node->config.id : key; /* 17: it has nothing */
    reply_body(s, to, 200, SLICE_EMPTY, operation_held_records(s, told));
    return;
  }
  if (PLANTED(17) && to->errand == 0) { /* nor has anybody */
    answer_nothing(s, to, false);
    return;
  }
  bool sure = overlay_is_responsible(node->overlay, key) && dht_is_complete(node->dht, key);
  /* What is held of a range that is still FETCHING, or somebody else's, may be old: from the
   * journal, or a copy that missed a write. */
  bool asks_first = !sure && after == NULL && !PLANTED(13); /* 13: reads are guesses */
  if (!asks_first && operation_answer_records(s, to, key, owner, after)) return;
  bool disagree = target->has_key && !key_equal(key, &target->key); /* */
  if (sure && !disagree && overlay_is_cut_off(node->overlay)) {     /* */
    reply_later(s, to, "this peer cannot reach the others, and one of them may have it");
    return;
  }
  if (disagree || sure || after != NULL) {
    answer_nothing(s, to, disagree);
    return;
  }
  struct operation *op =
      operation_open(s, OPERATION_FIND, to, text, s->now + node->config.lookup_timeout_us);
  if (op == NULL) {
    reply_later(s, to, "this peer has as many requests waiting as it can");
    return;
  }
  op->key = *key;
  op->has_owner = owner != NULL;
  if (owner != NULL) op->owner = *owner;
  operation_find(s, op);
}

/* put-auth and remove-auth, with the copies wanted. */
static void execute_write(struct step *s, const struct reply_to *to, const struct xml_body *body,
                          struct slice text, const struct key *key,
                          const struct locser_target *target) {
  if (target->has_key && !key_equal(key, &target->key)) { /* */
    reply_fault(s, to, 400, "<key> does not hash to Overlay-Key", SLICE_EMPTY);
    return;
  }
  /* what this peer wants itself was measured where it came from. */
  if (to->errand == 0 && (!limits_take(s, SOURCE_PUTS, 1, &to->from) ||
                          !limits_take(s, SOURCE_BYTES, text.len, &to->from))) {
    reply_later(s, to, "this peer takes no more writes from one source for now");
    return;
  }
  uint32_t ms = target->deadline_ms != 0 ? target->deadline_ms : LOOKUP_DEADLINE_MS;
  /* The answer must still reach the sender before its own deadline. */
  usec deadline = s->now + MSEC(ms) - MSEC(ms) / 8;
  struct operation *op = operation_open(s, OPERATION_PUT, to, text, deadline);
  if (op == NULL) {
    reply_later(s, to, "this peer has as many requests waiting as it can");
    return;
  }
  op->key = *key;
  op->method = body->method;
  op->copies_wanted = body->overlay.copies > 0 ? body->overlay.copies : 1;
  operation_put(s, op, body, text);
}

/* text in KeyValue repeats Overlay-Key, as in Figure 1 of the seed draft, or is wrong. */
static bool is_courtesy_copy(const struct xml_record *query, const struct key *key) {
  struct key copy;
  return query->key_hash.len == 0 || (key_parse(query->key_hash, &copy) && key_equal(&copy, key));
}

static bool is_read(enum xml_method method) {
  return method == XML_GET || method == XML_GET_AUTH || method == XML_GET_IMMUT;
}

static bool is_data(enum xml_method method) {
  return is_read(method) || method == XML_PUT_AUTH || method == XML_REMOVE_AUTH ||
         method == XML_PUT_IMMUT;
}

/* Method and record must be of one kind; a plain get reads either. */
static const char *what_does_not_fit(const struct xml_body *body) {
  bool immutable = immutable_is_key(body->record[0].key_text);
  bool method = body->method == XML_PUT_IMMUT || body->method == XML_GET_IMMUT;
  if (body->method == XML_GET || immutable == method) return NULL;
  return immutable ? "what is under immut: is neither signed nor removed; put-immut writes it and "
                     "get-immut reads it"
                   : "put-immut and get-immut take a key immut: with a SHA-256";
}

static void execute_data(struct step *s, const struct reply_to *to,
                         const struct locser_target *target, const struct xml_body *body,
                         struct slice text) {
  struct key key;
  if (body->record_count != 1) {
    reply_fault(s, to, 400, "the call takes one dhtRecord", SLICE_EMPTY);
    return;
  }
  if (locser_key_of(s->node->config.crypto, body->record[0].key_text, &key) != OK) {
    reply_fault(s, to, 400, "<key> is empty or not a key of a known scheme", SLICE_EMPTY);
    return;
  }
  bool read = is_read(body->method);
  const char *unfit = what_does_not_fit(body);
  if (unfit != NULL) {
    reply_fault(s, to, 400, unfit, SLICE_EMPTY);
  } else if (read && !is_courtesy_copy(&body->record[0], target->has_key ? &target->key : &key)) {
    reply_fault(s, to, 400, "KeyValue is neither an owner nor the same as Overlay-Key",
                SLICE_EMPTY);
  } else if (body->method == XML_GET_AUTH && !body->record[0].has_owner) {
    reply_fault(s, to, 400, "get-auth names no owner (KeyInfo/KeyValue/DigestValue)", SLICE_EMPTY);
  } else if (read) {
    execute_get(s, to, body, text, &key, target);
  } else {
    execute_write(s, to, body, text, &key, target);
  }
}

static bool is_about_copies(enum xml_method method) {
  return method == XML_OVERLAY_REPLICATE || method == XML_OVERLAY_SYNC;
}

static void refuse_unknown(struct step *s, const struct reply_to *to) {
  reply_fault(s, to, 501, "this peer does not know the methodName", SLICE_EMPTY);
}

static bool read_call(struct step *s, const struct reply_to *to, struct slice text,
                      struct xml_body *body) {
  const char *why = NULL;
  enum err err = text.len == 0 ? ERR_SYNTAX : xml_body_read(s->node->config.xml, text, body, &why);
  if (text.len == 0) {
    reply_fault(s, to, 400, "the request has no body", SLICE_EMPTY);
    return false;
  }
  if (err != OK) {
    refuse_body(s, to, err, why);
    return false;
  }
  if (!body->call) {
    reply_fault(s, to, 400, "the body is not a methodCall", SLICE_EMPTY);
    return false;
  }
  return true;
}

void execute_request(struct step *s, const struct reply_to *to, const struct locser_target *target,
                     struct slice text) {
  struct xml_body body;
  if (!read_call(s, to, text, &body)) return;
  s->node->stats.delivered++;
  if (to->request != NULL) {
    outbox_trace(s->out, &(struct trace){.kind = TRACE_LOCSER_DELIVER,
                                         .at = s->now,
                                         .key = target->key,
                                         .peer = to->from,
                                         .n = (uint64_t)to->request->max_forwards,
                                         .a = body.method_name,
                                         .b = to->request->call_id});
  }
  enum overlay_method method;
  bool routed_only = body.method == XML_OVERLAY_ROUTE || body.method == XML_OVERLAY_TRACE;
  if (is_data(body.method)) {
    execute_data(s, to, target, &body, text);
  } else if (body.method == XML_EVENT_WATCH || body.method == XML_EVENT_NOTIFY) { /* */
    presence_execute(s, to, &body, text, target);
  } else if (body.method == XML_OVERLAY_TRACE) {
    execute_trace(s, to);
  } else if (!routed_only && !target->direct &&
             (locser_overlay_method(body.method, &method) || is_about_copies(body.method))) {
    /* */
    reply_fault(s, to, 400, "the method needs the parameter direct in Overlay-Key", SLICE_EMPTY);
  } else if (locser_overlay_method(body.method, &method)) {
    execute_overlay(s, to, method, &body);
  } else if (body.method == XML_OVERLAY_REPLICATE) {
    execute_replicate(s, to, &body, text);
  } else if (body.method == XML_OVERLAY_SYNC) {
    execute_sync(s, to, &body);
  } else {
    refuse_unknown(s, to);
  }
}

bool execute_is_read(struct step *s, struct slice text) {
  struct xml_body body;
  const char *why;
  return xml_body_read(s->node->config.xml, text, &body, &why) == OK && body.call &&
         is_read(body.method);
}

/* ---- section 8 ---- */

static bool has_one_via(const struct sip_message *request) {
  struct sip_values vias = sip_values_of(request, SIP_H_VIA);
  struct slice text;
  unsigned count = 0;
  while (count < 2 && sip_values_next(&vias, &text)) count++;
  return count == 1;
}

static struct slice query_for_uri(struct step *s, struct slice uri) {
  size_t mark = outbox_mark(s->out);
  xml_put_query(&s->out->bytes, uri, NULL);
  struct slice query = outbox_text(s->out, mark);
  mark = outbox_mark(s->out);
  xml_put_call(&s->out->bytes, XML_GET, &query, 1, NULL);
  return outbox_text(s->out, mark);
}

/* One Via: a local proxy must not ask for strangers. Whoever writes from another machine shows by
 * the connection that it is there. */
static bool may_ask(const struct step *s, const struct reply_to *to,
                    const struct sip_message *request, enum xml_method method) {
  bool here = endpoint_is_loopback(&to->from) || endpoint_is_stream(&to->from);
  return limits_is_local(s->node, &to->from) && has_one_via(request) && (here || is_read(method));
}

void execute_client(struct step *s, const struct reply_to *to, const struct sip_message *request) {
  struct slice text = request->body;
  if (text.len == 0) text = query_for_uri(s, request->uri_text); /* */
  struct xml_body body;
  if (!read_call(s, to, text, &body)) return;
  if (body.method == XML_METHOD_UNKNOWN) {
    refuse_unknown(s, to);
  } else if (!is_data(body.method)) { /* */
    reply_fault(s, to, 400, "without Overlay-Key only get and put methods are allowed",
                SLICE_EMPTY);
  } else if (!may_ask(s, to, request, body.method)) { /* */
    reply_fault(s, to, 403, "LOCSER without Overlay-Key is for local clients, with one Via",
                SLICE_EMPTY);
  } else if (body.record_count != 1) {
    reply_fault(s, to, 400, "the call takes one dhtRecord", SLICE_EMPTY);
  } else {
    struct key key;
    if (locser_key_of(s->node->config.crypto, body.record[0].key_text, &key) != OK) {
      reply_fault(s, to, 400, "<key> is empty or not a key of a known scheme", SLICE_EMPTY);
      return;
    }
    struct operation *op = operation_open(s, OPERATION_CLIENT, to, text, s->now + CLIENT_TIMEOUT);
    if (op == NULL) {
      reply_later(s, to, "this peer has as many requests waiting as it can");
      return;
    }
    bool immutable = immutable_is_key(body.record[0].key_text);
    enum errand_kind kind = is_read(body.method) ? (immutable ? ERRAND_GET_IMMUT : ERRAND_GET)
                                                 : (immutable ? ERRAND_PUT_IMMUT : ERRAND_PUT);
    struct errand *errand = errand_open(s, kind, FOR_CLIENT, operation_ticket(s->node, op),
                                        body.record[0].key_text, NULL);
    if (errand == NULL) {
      operation_close(s->node, op);
      reply_later(s, to, "this peer has as many requests of its own as it can");
      return;
    }
    errand_start(s, errand);
  }
}
