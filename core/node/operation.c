/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests that wait: for verification, the store, copies, or other peers (R-2.14,
 * */
#include "base/record_layout.h"
#include "locser/convert.h"
#include "node/internal.h"
#include "sip/print.h"
#include "usage/certificate.h"
#include "usage/message.h"

/* Past the dht's own deadline: a backstop that nothing outlives. */
#define OPERATION_GRACE SEC(1)
/* An answer with records is written as body and as message. */
#define FOUND_ITEMS 32u
#define FOUND_BYTES ((size_t)144 * 1024)

void *ticket_object(const struct pool *pool, uint64_t ticket) {
  uint32_t index = (uint32_t)ticket & TICKET_MASK;
  uint32_t next = index;
  void *object = pool_next(pool, &next);
  if (object == NULL || next != index + 1) return NULL;
  struct handle handle = pool_handle_of(pool, object);
  bool same = (handle.generation & TICKET_MASK) == (ticket >> TICKET_BITS & TICKET_MASK);
  return same ? object : NULL;
}

uint64_t operation_ticket(const struct node *node, const struct operation *op) {
  return tag_handle(TAG_OPERATION, pool_handle_of(&node->operations, op), 0);
}

struct operation *operation_of(const struct node *node, uint64_t ticket) {
  return tag_of(ticket) == TAG_OPERATION ? ticket_object(&node->operations, ticket) : NULL;
}

/* The lines a later answer needs of the request: all but the status line. */
static struct slice response_lines(struct step *s, const struct reply_to *to) {
  if (to->request == NULL) return to->head;
  char tag_text[16];
  struct buf tag = buf_over(tag_text, sizeof tag_text);
  reply_put_to_tag(&tag, s->node, to->request);
  size_t mark = outbox_mark(s->out);
  sip_put_response_head(&s->out->bytes, to->request, 200, NULL, buf_slice(&tag), &to->from);
  struct slice head = outbox_text(s->out, mark);
  return slice_skip(head, slice_find_byte(head, '\n') + 1);
}

struct operation *operation_open(struct step *s, enum operation_kind kind,
                                 const struct reply_to *to, struct slice body, usec deadline) {
  struct node *node = s->node;
  struct handle handle;
  /* Our own errands and pulls are nobody's share. */
  uint16_t source = to->errand != 0 || kind == OPERATION_PULLED ? 0 : s->source.row;
  if (!limits_hold(s, SOURCE_OPERATIONS, &node->operations, source, &to->from)) return NULL;
  struct operation *op = pool_take(&node->operations, &handle);
  if (op == NULL) {
    sources_release(&node->sources, source, SOURCE_OPERATIONS);
    return NULL;
  }
  op->source = source;
  struct slice head = response_lines(s, to);
  op->kind = kind;
  op->bytes_len = head.len + body.len;
  op->bytes = op->bytes_len > 0 ? memory_take(node->config.memory, op->bytes_len) : NULL;
  if (op->bytes_len > 0 && op->bytes == NULL) {
    sources_release(&node->sources, source, SOURCE_OPERATIONS);
    pool_give(&node->operations, handle);
    return NULL;
  }
  if (op->bytes != NULL && head.len > 0) memcpy(op->bytes, head.at, head.len);
  if (op->bytes != NULL && body.len > 0) memcpy(op->bytes + head.len, body.at, body.len);
  op->to = *to;
  op->to.request = NULL;
  op->to.head = slice_of(op->bytes, head.len);
  op->body = slice_of(op->bytes + head.len, body.len);
  op->timer.owner = operation_ticket(node, op);
  timers_set(&node->timers, &op->timer, deadline + OPERATION_GRACE);
  reply_trying(s, to); /* */
  return op;
}

static void drop_claims(struct node *node, struct claim *claims, unsigned count) {
  for (unsigned i = 0; claims != NULL && i < count; i++)
    memory_give(node->config.memory, claims[i].key_text, claims[i].key_len);
  memory_give(node->config.memory, claims, count * sizeof *claims);
}

void operation_close(struct node *node, struct operation *op) {
  drop_claims(node, op->claims, op->record_count);
  timers_clear(&node->timers, &op->timer);
  sources_release(&node->sources, op->source, SOURCE_OPERATIONS);
  memory_give(node->config.memory, op->bytes, op->bytes_len);
  memory_give(node->config.memory, op->extra, op->extra_len);
  memory_give(node->config.memory, op->records, op->record_count * sizeof *op->records);
  pool_give(&node->operations, pool_handle_of(&node->operations, op));
}

/* Answers and ends it. The answer may lead to anything, so the operation goes first: its text is
 * kept in the outbox until then. */
void operation_finish(struct step *s, struct operation *op, uint16_t status, const char *text,
                      struct slice lines, struct slice body) {
  struct reply_to to = op->to;
  to.head = outbox_copy(s->out, to.head);
  operation_close(s->node, op);
  if (status == 503) {
    reply_later(s, &to, text);
  } else if (text != NULL) {
    reply_fault(s, &to, status, text, lines);
  } else {
    reply_body(s, &to, status, lines, body);
  }
}

void operation_fault(struct step *s, struct operation *op, uint16_t status, const char *text) {
  operation_finish(s, op, status, text, SLICE_EMPTY, SLICE_EMPTY);
}

/* ---- records of a body: only what was read from their own bytes counts (R-4.12) ---- */

/* What is wrong in it names nobody. */
static void read_before(const struct record *record, struct slice before, msec_wall now,
                        struct claim *claim) {
  struct record_layout layout;
  const char *why;
  if (record_layout_read(record->bytes, &layout, &why) == OK)
    (void)certificate_read_before(before, layout.key_text, &layout.owner, now, &claim->before,
                                  &claim->named);
}

static enum err read_claim(struct node *node, msec_wall now, const struct xml_record *read,
                           struct record *record, struct claim *claim, const char **why) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf canonical = buf_over(text, sizeof text);
  enum err err = xml_record_identify(node->config.crypto, read, &canonical, record, why);
  if (err != OK) return err;
  struct certificate_value value = {0};
  if (record->lasting && !record->tombstone) (void)certificate_read_value(read->value, &value);
  claim->signer = read->signer;
  claim->since = value.since;
  if (value.before.len > 0) read_before(record, value.before, now, claim);
  claim->key_text = memory_take(node->config.memory, canonical.len);
  if (claim->key_text == NULL) return ERR_MEMORY;
  claim->key_len = canonical.len;
  memcpy(claim->key_text, text, canonical.len);
  return OK;
}

static bool lies_within(struct slice inner, struct slice outer) {
  uintptr_t from = (uintptr_t)outer.at, at = (uintptr_t)inner.at;
  return at >= from && at + inner.len <= from + outer.len;
}

/* The operation has a copy of the text that was read: its records are there, too. One that came
 * escaped was unescaped into the reader, which forgets it. */
static bool own_records(struct node *node, struct operation *op, struct slice text) {
  size_t escaped = 0, used = 0;
  for (unsigned i = 0; i < op->record_count; i++) {
    struct slice *bytes = &op->records[i].bytes;
    if (lies_within(*bytes, text))
      bytes->at = op->body.at + (bytes->at - text.at);
    else
      escaped += bytes->len;
  }
  if (escaped == 0) return true;
  op->extra = memory_take(node->config.memory, escaped);
  if (op->extra == NULL) return false;
  op->extra_len = escaped;
  for (unsigned i = 0; i < op->record_count; i++) {
    struct slice *bytes = &op->records[i].bytes;
    if (lies_within(*bytes, op->body)) continue;
    memcpy(op->extra + used, bytes->at, bytes->len);
    bytes->at = op->extra + used;
    used += bytes->len;
  }
  return true;
}

static enum err identify_records(const struct step *s, struct operation *op,
                                 const struct xml_body *body, struct slice text, const char **why) {
  struct node *node = s->node;
  if (body->record_count == 0) return OK;
  op->records = memory_take(node->config.memory, body->record_count * sizeof *op->records);
  op->claims = memory_take(node->config.memory, body->record_count * sizeof *op->claims);
  op->record_count = body->record_count;
  if (op->records == NULL || op->claims == NULL) return ERR_MEMORY;
  for (unsigned i = 0; i < body->record_count; i++) {
    enum err err = read_claim(node, node_wall(node, s->now), &body->record[i], &op->records[i],
                              &op->claims[i], why);
    if (err != OK) return err;
  }
  return own_records(node, op, text) ? OK : ERR_MEMORY;
}

/* body was read from text, of which the operation has a copy; the reader has not been used since.
 * False: answered and closed, but for a pull, which is only closed. */
bool operation_take_records(struct step *s, struct operation *op, const struct xml_body *body,
                            struct slice text) {
  const char *why = NULL;
  enum err err = identify_records(s, op, body, text, &why);
  if (err == OK) return true;
  if (op->kind == OPERATION_PULLED) {
    operation_close(s->node, op);
  } else if (err == ERR_MEMORY) {
    operation_fault(s, op, 503, "this peer has no memory for the records");
  } else {
    limits_note(s, LIMIT_BODY, &op->to.from);
    operation_fault(s, op, err == ERR_LIMIT ? 413 : 400, why);
  }
  return false;
}

void operation_verify_records(struct step *s, struct operation *op) {
  struct handle handle = pool_handle_of(&s->node->operations, op);
  op->pending = op->record_count;
  for (unsigned i = 0; i < op->record_count; i++) {
    struct output *out = outbox_add(s->out, OUT_VERIFY);
    out->ticket = tag_handle(TAG_OPERATION, handle, i);
    out->data = outbox_copy(s->out, op->records[i].bytes);
  }
}

/* ---- put-auth, remove-auth ---- */

void operation_put(struct step *s, struct operation *op, const struct xml_body *body,
                   struct slice text) {
  if (!operation_take_records(s, op, body, text)) return;
  if (op->records[0].tombstone != (op->method == XML_REMOVE_AUTH)) {
    operation_fault(s, op, 400,
                    op->method == XML_REMOVE_AUTH ? "remove-auth takes a removal (o:removed)"
                                                  : "a removal is written with remove-auth");
    return;
  }
  operation_verify_records(s, op);
}

static const char *refusal(enum dht_verdict verdict, uint16_t *status) {
  switch (verdict) {
    case DHT_NEW:
    case DHT_SAME:
      break;
    case DHT_OLDER:
      *status = 412;
      return "a newer version of this record is stored";
    case DHT_EXPIRED:
      *status = 400;
      return "the record has expired already";
    case DHT_TOO_BRIEF:
      *status = 423;
      return "the record would live less than 60 s";
    case DHT_TOO_LONG:
      *status = 400;
      return "the record would live longer than 7 days, or 90 under certificate:";
    case DHT_TOO_LARGE:
      *status = 413;
      return "the record is larger than 20480 bytes";
    case DHT_TOO_MANY:
      *status = 403;
      return "too many records of one owner or under one key";
    case DHT_OVER_QUOTA:
      *status = 403;
      return "this peer holds as many records or bytes of this owner as it may";
    case DHT_NO_ROOM:
      *status = 503;
      return "this peer has no room for more records";
  }
  *status = 200;
  return NULL;
}

static enum dht_verdict put_record(struct step *s, const struct operation *op,
                                   const struct record *record, struct dht_effects *fx) {
  struct node *node = s->node;
  return dht_put(node->dht, s->now, node_wall(node, s->now), record, op->copies_wanted,
                 op->timer.at - OPERATION_GRACE, operation_ticket(node, op), fx);
}

/* the same value is held, and for longer. Nothing is to be written, but copies made. */
static enum dht_verdict put_held(struct step *s, const struct operation *op,
                                 struct dht_effects *fx) {
  struct record held;
  uint32_t cursor = 0;
  msec_wall wall = node_wall(s->node, s->now);
  if (!dht_find(s->node->dht, wall, &op->key, &cursor, &held)) return DHT_NO_ROOM; /* in a moment */
  enum dht_verdict verdict = put_record(s, op, &held, fx);
  return verdict == DHT_NEW || verdict == DHT_SAME ? verdict : DHT_NO_ROOM;
}

struct slice operation_claimed_key(const struct claim *claim) {
  return slice_of(claim->key_text, claim->key_len);
}

/* a claim that is held, or on its way into the store, is not replaced while it lasts. */
static bool is_claimed(struct step *s, const struct operation *op) {
  const struct record *record = &op->records[0];
  const struct crypto *crypto = s->node->config.crypto;
  struct key nonce = crypto_key(crypto, SLICE(MESSAGE_CLAIM_NONCE));
  if (op->claims == NULL || record->tombstone || !key_equal(&record->nonce, &nonce) ||
      !slice_starts(operation_claimed_key(&op->claims[0]), SLICE("offline:")))
    return false;
  return dht_has_other_live(s->node->dht, node_wall(s->node, s->now), record);
}

static void put_now(struct step *s, struct operation *op) {
  if (is_claimed(s, op)) {
    operation_fault(s, op, 412, "somebody else has claimed what is here, for a while");
    return;
  }
  struct dht_effects fx;
  fx.count = 0;
  enum dht_verdict verdict = put_record(s, op, &op->records[0], &fx);
  if (verdict == DHT_OLDER && record_is_immutable(&op->records[0])) verdict = put_held(s, op, &fx);
  uint16_t status;
  const char *text = refusal(verdict, &status);
  if (verdict == DHT_OVER_QUOTA) limits_note(s, LIMIT_OWNER, &op->to.from);
  if (verdict == DHT_OLDER) limits_note(s, LIMIT_OLDER, &op->to.from);
  if (verdict == DHT_TOO_MANY) limits_note(s, LIMIT_VALUES, &op->to.from);
  if (verdict == DHT_NO_ROOM) limits_note(s, LIMIT_ROOM, &op->to.from);
  if (text != NULL) {
    operation_finish(s, op, status, text,
                     status == 423 ? SLICE("Min-Expires: 60\r\n") : SLICE_EMPTY, SLICE_EMPTY);
  }
  pump_dht(s, &fx);
}

/* ---- may this be written? (R-6.8) ---- */

struct write_request operation_request(const struct operation *op, unsigned item) {
  return (struct write_request){.key_text = operation_claimed_key(&op->claims[item]),
                                .owner = op->records[item].owner,
                                .removal = op->records[item].tombstone,
                                .since = op->claims[item].since,
                                .before = op->claims[item].before,
                                .named = op->claims[item].named};
}

static void take_event(struct step *s, struct operation *op) {
  uint16_t status = presence_take(s, op, operation_claimed_key(&op->claims[0]));
  if (status != 200) {
    operation_fault(s, op, status, "nobody here wants to know that");
    return;
  }
  size_t mark = outbox_mark(s->out);
  xml_put_answer(&s->out->bytes, 1, NULL, 0, NULL);
  operation_finish(s, op, 200, NULL, SLICE_EMPTY, outbox_text(s->out, mark));
}

/* A removal names the version it saw. In a range that is still FETCHING a newer one may be unknown
 * here, and the removal, acknowledged, would be void. */
static void put_allowed(struct step *s, struct operation *op) {
  const struct node *node = s->node;
  if (op->method == XML_EVENT_WATCH || op->method == XML_EVENT_NOTIFY) {
    take_event(s, op);
    return;
  }
  bool claims = slice_starts(operation_claimed_key(&op->claims[0]), SLICE("offline:"));
  if ((op->method == XML_REMOVE_AUTH || claims) && !op->asked_first &&
      overlay_is_responsible(node->overlay, &op->key) && !dht_is_complete(node->dht, &op->key))
    operation_find(s, op);
  else
    put_now(s, op);
}

/* A key that was pinned may have named another since it was remembered. */
static bool asks_again(struct step *s, struct operation *op, const struct write_request *request,
                       const struct write_signer *signer, struct pin_facts *facts) {
  struct slice address = write_address(s->node->config.policy, request->key_text);
  if (write_is_pin(s->node->config.policy, request->key_text) ||
      key_equal(&facts->pin.key, &signer->key) || !pins_doubt(s, address))
    return false;
  return !pins_ask(s, address, operation_ticket(s->node, op), facts);
}

static void put_judged(struct step *s, struct operation *op, const struct write_signer *signer,
                       const struct write_pin *pin) {
  const char *why = NULL;
  struct write_request request = operation_request(op, 0);
  switch (write_judge(s->node->config.policy, &request, signer, pin, node_wall(s->node, s->now),
                      &why)) {
    case WRITE_ALLOWED:
      put_allowed(s, op);
      break;
    case WRITE_REFUSED:
      pins_refused(s, &op->key, request.key_text, why);
      operation_fault(s, op, 403, why);
      break;
    case WRITE_UNSURE:
      operation_fault(s, op, 503, why);
      break;
  }
}

/* What is held of a range that is still FETCHING, or another's, may lack the pin: a second one must
 * not be made. */
static bool may_lack_pin(const struct node *node, const struct operation *op) {
  return !op->asked_first &&
         !(overlay_is_responsible(node->overlay, &op->key) && dht_is_complete(node->dht, &op->key));
}

static void put_good(struct step *s, struct operation *op, const struct verified *verified) {
  struct write_signer signer;
  struct pin_facts facts = {.pin = {.state = WRITE_PIN_NONE}};
  struct write_request request = operation_request(op, 0);
  enum write_mode mode = s->node->config.policy;
  pins_signer(&op->claims[0].signer, verified, &signer);
  if (write_is_pin(mode, request.key_text)) {
    if (may_lack_pin(s->node, op)) {
      operation_find(s, op);
      return;
    }
    pins_held(s, &op->key, &facts);
    if (facts.pin.state == WRITE_PIN_NONE && overlay_is_cut_off(s->node->overlay)) /* */
      facts.pin.state = WRITE_PIN_UNREACHABLE;
  } else if (write_needs_pin(mode, &request, &signer) &&
             (!pins_ask(s, write_address(mode, request.key_text), operation_ticket(s->node, op),
                        &facts) ||
              asks_again(s, op, &request, &signer, &facts))) {
    return; /* operation_on_pin goes on */
  }
  put_judged(s, op, &signer, &facts.pin);
}

static void put_verified(struct step *s, struct operation *op, const struct verified *verified) {
  bool immutable = record_is_immutable(&op->records[0]);
  if (verified->status == ERR_REFUSED) limits_note(s, LIMIT_FORGED, &op->to.from);
  if (verified->status != OK && verified->status != ERR_REFUSED) /* */
    operation_fault(s, op, 503, "this peer cannot verify the record now");
  else if (verified->status != OK && immutable)
    operation_fault(s, op, 400, "the key is not the hash of the immutable value");
  else if (verified->status != OK)
    operation_fault(s, op, 403, "the record's signature was refused");
  else if (immutable) /* nobody's: its hash says that it is right */
    put_allowed(s, op);
  else
    put_good(s, op, verified);
}

static void put_on_pin(struct step *s, struct operation *op, const struct pin_facts *facts) {
  struct write_signer signer;
  const struct verified nothing_more = {.status = OK};
  pins_signer(&op->claims[0].signer, &nothing_more, &signer);
  put_judged(s, op, &signer, &facts->pin);
}

/* the key that was pinned before has named this one. */
static void follow_pin(struct step *s, const struct operation *op) {
  struct slice key_text = operation_claimed_key(&op->claims[0]);
  enum write_mode mode = s->node->config.policy;
  struct dht_effects fx;
  fx.count = 0;
  if (!write_is_pin(mode, key_text) || key_is_zero(&op->claims[0].before)) return;
  (void)dht_drop_others(s->node->dht, s->now, &op->key, &op->records[0].owner, &fx);
  pins_learn(s, write_address(mode, key_text), NULL);
  pump_dht(s, &fx);
}

static void put_done(struct step *s, struct operation *op, enum err status, unsigned copies) {
  if (status == ERR_IO) {
    operation_fault(s, op, 503, "the store of this peer does not take the record");
    return;
  }
  if (status != OK) {
    operation_fault(s, op, 503, "fewer copies than wanted could be made in time");
    return;
  }
  follow_pin(s, op);
  struct xml_overlay stored = {.present = true, .copies = copies};
  outbox_trace(s->out, &(struct trace){.kind = op->method == XML_REMOVE_AUTH ? TRACE_RECORD_REMOVED
                                                                             : TRACE_RECORD_STORED,
                                       .at = s->now,
                                       .key = op->key,
                                       .n = copies});
  size_t mark = outbox_mark(s->out);
  xml_put_answer(&s->out->bytes, 1, NULL, 0, &stored);
  operation_finish(s, op, 200, NULL, SLICE_EMPTY, outbox_text(s->out, mark));
}

/* ---- get ---- */

bool operation_answer_records(struct step *s, const struct reply_to *to, const struct key *key,
                              const struct key *owner, const struct record_id *after) {
  struct node *node = s->node;
  struct slice texts[ANSWER_RECORDS_MAX];
  struct record_id last = {.key = *key};
  struct record record;
  bool more = false;
  uint32_t cursor = 0;
  unsigned count = 0;
  size_t bytes = 0;
  while (dht_find(node->dht, node_wall(node, s->now), key, &cursor, &record)) {
    struct record_id id = record_id_of(&record);
    if (owner != NULL && !key_equal(owner, &record.owner)) continue;
    if (after != NULL && record_id_compare(&id, after) <= 0) continue;
    if (count == ANSWER_RECORDS_MAX || bytes + record.bytes.len > ANSWER_BYTES_MAX) {
      more = true;
      break;
    }
    texts[count++] = record.bytes;
    bytes += record.bytes.len;
    last = id;
  }
  if (count == 0) return false;
  size_t mark = outbox_mark(s->out);
  if (more) {
    const struct xml_overlay page = {
        .present = true, .more = true, .has_after = true, .after = last};
    xml_put_answer(&s->out->bytes, -1, texts, count, &page);
  } else {
    xml_put_answer(&s->out->bytes, -1, texts, count, NULL);
  }
  struct slice body = outbox_text(s->out, mark);
  if (!endpoint_is_stream(&to->from) && to->errand == 0 && body.len > UDP_ANSWER_BYTES_MAX) {
    reply_fault(s, to, 413, "the answer is larger than 8192 bytes: ask over TCP", SLICE_EMPTY);
  } else {
    reply_body(s, to, 200, SLICE_EMPTY, body);
  }
  return true;
}

struct slice operation_held_records(struct step *s, const struct key *key) {
  struct node *node = s->node;
  struct record records[16];
  struct slice texts[16];
  const struct key zero = {{0}}, one = key_add_power(&zero, 0), before = key_distance(&one, key);
  bool more;
  unsigned count = dht_read_range(node->dht, node_wall(node, s->now), &before, key, NULL, records,
                                  sizeof records / sizeof records[0], &more);
  for (unsigned i = 0; i < count; i++) texts[i] = records[i].bytes;
  struct xml_overlay around = {.present = true};
  struct overlay_message state = {.method = OVERLAY_NEIGHBORS, .sender = node->self};
  const struct peer *predecessor = overlay_predecessor(node->overlay);
  if (predecessor != NULL) state.predecessor = *predecessor;
  state.successor_count =
      overlay_successors(node->overlay, state.successor, OVERLAY_SUCCESSORS_MAX);
  locser_overlay_to_xml(&state, &around);
  size_t mark = outbox_mark(s->out);
  xml_put_answer(&s->out->bytes, -1, texts, count, &around);
  return outbox_text(s->out, mark);
}

void operation_find(struct step *s, struct operation *op) {
  struct dht_effects fx;
  fx.count = 0;
  usec deadline = op->timer.at - OPERATION_GRACE;
  if (dht_find_wait(s->node->dht, s->now, &op->key, deadline, operation_ticket(s->node, op), &fx) !=
      OK) {
    operation_fault(s, op, 503, "this peer has as many searches under way as it can");
  }
  pump_dht(s, &fx);
}

/* Answers may be long, and many may wait for the same range: those a step has no room for come in
 * the next. */
static bool postpone_found(struct step *s, struct operation *op, enum err status) {
  if (outbox_has(s->out, FOUND_ITEMS, FOUND_BYTES)) return false;
  op->found = true;
  op->found_status = status;
  timers_set(&s->node->timers, &op->timer, s->now);
  return true;
}

void operation_on_found(struct step *s, struct operation *op, enum err status) {
  if (op->kind == OPERATION_PUT) {
    const struct verified again = {.status = OK};
    op->asked_first = true;
    if (status != OK && overlay_is_responsible(s->node->overlay, &op->key))
      operation_fault(s, op, 503, "this peer cannot be sure yet that it knows all under this key");
    else if (write_is_pin(s->node->config.policy, operation_claimed_key(&op->claims[0])))
      put_verified(s, op, &again);
    else
      put_now(s, op);
    return;
  }
  if (postpone_found(s, op, status)) return;
  struct reply_to to = op->to;
  to.head = outbox_copy(s->out, to.head);
  struct key key = op->key, owner = op->owner;
  bool has_owner = op->has_owner;
  operation_close(s->node, op);
  bool guess = status != OK && overlay_is_responsible(s->node->overlay, &key);
  if (!guess && operation_answer_records(s, &to, &key, has_owner ? &owner : NULL, NULL)) return;
  if (status == OK) {
    reply_fault(s, &to, 404, "no live record under this key", SLICE_EMPTY);
  } else {
    reply_later(s, &to, "this peer cannot be sure yet that it holds all records of its range");
  }
}

/* ---- what they wait for ---- */

void operation_on_pin(struct step *s, struct operation *op, unsigned item,
                      const struct pin_facts *facts) {
  if (op->claims == NULL || item >= op->record_count) return;
  if (op->kind == OPERATION_PUT)
    put_on_pin(s, op, facts);
  else if (op->kind == OPERATION_ACCEPT)
    copy_on_pin(s, op, item, facts);
}

void operation_on_verified(struct step *s, struct operation *op, unsigned item,
                           const struct verified *verified) {
  if (item >= op->record_count) return;
  if (op->kind == OPERATION_PUT) {
    put_verified(s, op, verified);
  } else {
    copy_on_verified(s, op, item, verified);
  }
}

void operation_on_done(struct step *s, struct operation *op, enum err status, unsigned copies) {
  if (op->kind == OPERATION_PUT) {
    put_done(s, op, status, copies);
  } else {
    copy_on_done(s, op, status);
  }
}

void operation_on_timer(struct step *s, struct operation *op) {
  if (op->kind == OPERATION_PULLED) {
    copy_on_timer(s, op);
  } else if (op->found) {
    operation_on_found(s, op, op->found_status);
  } else {
    operation_fault(s, op, 503, "no outcome before the deadline");
  }
}
