/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies: records that others push to us, and those in the answers to our pulls. Each is verified,
 * judged by what is known here, and merged. */
#include "base/assert.h"
#include "node/internal.h"

void copy_accept(struct step *s, struct operation *op, const struct xml_body *body,
                 struct slice text) {
  if (operation_take_records(s, op, body, text)) operation_verify_records(s, op);
}

static void pass_on(struct step *s, const struct operation *op) {
  for (unsigned i = 0; i < op->record_count; i++) {
    struct dht_effects fx;
    fx.count = 0;
    dht_pass_on(s->node->dht, s->now, &op->records[i].key, &fx);
    pump_dht(s, &fx);
  }
}

/* Where a key has records of two owners now, the pin is looked up, and what is not the pinned key's
 * is dropped. */
static void settle_owners(struct step *s, const struct operation *op) {
  enum write_mode mode = s->node->config.policy;
  for (unsigned i = 0; mode == WRITE_OPEN && i < op->record_count; i++) {
    const struct record *record = &op->records[i];
    const struct write_request request = operation_request(op, i);
    const struct write_signer signer = {.key = record->owner};
    struct pin_facts facts;
    if (write_is_pin(mode, request.key_text) || !write_needs_pin(mode, &request, &signer) ||
        !dht_has_others(s->node->dht, &record->key, &record->owner))
      continue;
    struct slice address = write_address(mode, request.key_text);
    if (pins_ask(s, address, 0, &facts) && facts.pin.state == WRITE_PIN_KNOWN)
      pins_drop_others(s, address, &facts.pin.key);
  }
}

static void copies_are_in(struct step *s, struct operation *op) {
  settle_owners(s, op);
  if (op->kind == OPERATION_PULLED) {
    uint32_t ticket = op->pull_ticket;
    bool more = op->more, owner = op->takes_writes, all = op->failed == 0;
    enum err status = !all ? ERR_REFUSED : op->incomplete ? ERR_BUSY : OK;
    struct record_id after = op->after;
    operation_close(s->node, op);
    struct dht_effects fx;
    fx.count = 0;
    dht_on_pulled(s->node->dht, s->now, ticket, status, owner, more, &after, &fx);
    pump_dht(s, &fx);
  } else if (op->failed > 0) {
    operation_fault(s, op, 503, "not every record could be stored");
  } else {
    struct xml_overlay self = {.present = true};
    self.peer[self.peer_count++] = (struct xml_peer){.role = XML_PEER_SELF, .peer = s->node->self};
    if (op->stray) pass_on(s, op);
    size_t mark = outbox_mark(s->out);
    xml_put_answer(&s->out->bytes, 1, NULL, 0, &self);
    operation_finish(s, op, 200, NULL, SLICE_EMPTY, outbox_text(s->out, mark));
  }
}

static void copy_is_in(struct step *s, struct operation *op, bool failed) {
  ASSERT(op->pending > 0);
  if (failed) op->failed++;
  if (--op->pending == 0) copies_are_in(s, op);
}

/* what is known here decides. A pin that is not sure is asked for: where the copy was
 * pushed, it waits for that; a range must not wait for a pin that may be in it. False: it
 * waits. */
static bool judge_copy(struct step *s, struct operation *op, unsigned item,
                       const struct verified *verified, struct pin_facts *facts,
                       enum write_verdict *verdict) {
  struct node *node = s->node;
  enum write_mode mode = node->config.policy;
  const char *why = NULL;
  struct write_signer signer;
  struct write_request request = operation_request(op, item);
  struct slice address = write_address(mode, request.key_text);
  bool is_pin = write_is_pin(mode, request.key_text);
  pins_signer(&op->claims[item].signer, verified, &signer);
  *facts = (struct pin_facts){.pin = {.state = WRITE_PIN_UNREACHABLE}};
  if (is_pin)
    pins_held(s, &op->records[item].key, facts);
  else if (write_needs_pin(mode, &request, &signer))
    (void)pins_recall(s, address, facts);
  *verdict = write_judge_copy(mode, &request, &signer, &facts->pin, node_wall(node, s->now), &why);
  if (*verdict == WRITE_REFUSED && !is_pin && facts->pin.state == WRITE_PIN_KNOWN &&
      !key_equal(&facts->pin.key, &signer.key) && pins_doubt(s, address))
    *verdict = WRITE_UNSURE; /* */
  if (*verdict == WRITE_REFUSED) pins_refused(s, &op->records[item].key, request.key_text, why);
  if (*verdict != WRITE_UNSURE) return true;
  bool waits = op->kind == OPERATION_ACCEPT;
  uint64_t ticket = tag_handle(TAG_OPERATION, pool_handle_of(&node->operations, op), item);
  struct pin_facts asked;
  return pins_ask(s, address, waits ? ticket : 0, &asked) || !waits;
}

/* It is the pin of its address, and wins over the one that was held. */
static void follow_copy(struct step *s, const struct operation *op, unsigned item,
                        const struct pin_facts *held) {
  const struct record *record = &op->records[item];
  struct slice key_text = operation_claimed_key(&op->claims[item]);
  enum write_mode mode = s->node->config.policy;
  if (!write_is_pin(mode, key_text) || held->pin.state != WRITE_PIN_KNOWN || record->tombstone ||
      key_equal(&held->pin.key, &record->owner))
    return;
  struct dht_effects fx;
  fx.count = 0;
  (void)dht_drop_others(s->node->dht, s->now, &record->key, &record->owner, &fx);
  pins_learn(s, write_address(mode, key_text), NULL);
  pump_dht(s, &fx);
}

/* merged like a put, and no further copies. */
static void merge_copy(struct step *s, struct operation *op, unsigned item) {
  struct node *node = s->node;
  struct dht_effects fx;
  fx.count = 0;
  enum dht_verdict verdict = dht_accept(node->dht, s->now, node_wall(node, s->now),
                                        &op->records[item], operation_ticket(node, op), &fx);
  if (verdict == DHT_NO_ROOM) limits_note(s, LIMIT_ROOM, &op->to.from);
  if (verdict == DHT_OVER_QUOTA) limits_note(s, LIMIT_COPIES, &op->to.from); /* */
  if (verdict == DHT_NO_ROOM || verdict == DHT_TOO_MANY || verdict == DHT_TOO_LARGE) {
    copy_is_in(s, op, true);
  } else if (verdict != DHT_NEW && verdict != DHT_SAME) {
    copy_is_in(s, op, false); /* lapsed, or a newer version is held: as good as stored */
  }
  pump_dht(s, &fx);
}

/* Refused: there is nothing to be stored. Unsure: it is pushed again. */
static void copy_judged(struct step *s, struct operation *op, unsigned item,
                        enum write_verdict verdict) {
  if (verdict == WRITE_ALLOWED)
    merge_copy(s, op, item);
  else
    copy_is_in(s, op, verdict == WRITE_UNSURE && op->kind != OPERATION_PULLED);
}

void copy_on_verified(struct step *s, struct operation *op, unsigned item,
                      const struct verified *verified) {
  enum write_verdict verdict = WRITE_ALLOWED;
  struct pin_facts facts = {.pin = {.state = WRITE_PIN_NONE}};
  if (verified->status == ERR_REFUSED) limits_note(s, LIMIT_FORGED, &op->to.from);
  if (verified->status != OK) {
    copy_is_in(s, op, true);
    return;
  }
  if (!record_is_immutable(&op->records[item])) {
    if (!judge_copy(s, op, item, verified, &facts, &verdict)) return; /* operation_on_pin goes on */
    if (verdict == WRITE_ALLOWED) follow_copy(s, op, item, &facts);
  }
  copy_judged(s, op, item, verdict);
}

/* Only in an open overlay is a pin asked for, where certificates count for nothing. */
void copy_on_pin(struct step *s, struct operation *op, unsigned item,
                 const struct pin_facts *facts) {
  struct write_request request = operation_request(op, item);
  const struct write_signer signer = {.key = op->claims[item].signer};
  const char *why = NULL;
  enum write_verdict verdict = write_judge_copy(s->node->config.policy, &request, &signer,
                                                &facts->pin, node_wall(s->node, s->now), &why);
  if (verdict == WRITE_REFUSED) pins_refused(s, &op->records[item].key, request.key_text, why);
  copy_judged(s, op, item, verdict);
}

void copy_on_done(struct step *s, struct operation *op, enum err status) {
  copy_is_in(s, op, status != OK);
}

static void pull_failed(struct step *s, uint32_t ticket, enum err err) {
  struct dht_effects fx;
  fx.count = 0;
  dht_on_pulled(s->node->dht, s->now, ticket, err, false, false, &(struct record_id){0}, &fx);
  pump_dht(s, &fx);
}

void copy_pulled(struct step *s, uint32_t pull_ticket, uint16_t status, struct slice text) {
  struct xml_body body;
  const char *why;
  if (status != 200 || xml_body_read(s->node->config.xml, text, &body, &why) != OK) {
    pull_failed(s, pull_ticket, status == 0 ? ERR_TIMEOUT : ERR_REFUSED);
    return;
  }
  const struct reply_to nobody = {.errand = 0};
  struct operation *op = operation_open(s, OPERATION_PULLED, &nobody, text,
                                        s->now + s->node->config.lookup_timeout_us);
  if (op == NULL) {
    pull_failed(s, pull_ticket, ERR_FULL);
    return;
  }
  op->pull_ticket = pull_ticket;
  op->more = body.overlay.more;
  op->incomplete = body.overlay.incomplete;
  op->takes_writes = body.overlay.owner;
  op->after = body.overlay.after;
  if (!operation_take_records(s, op, &body, text)) {
    pull_failed(s, pull_ticket, ERR_SYNTAX);
  } else if (op->record_count == 0) {
    copies_are_in(s, op);
  } else {
    operation_verify_records(s, op);
  }
}

void copy_on_timer(struct step *s, struct operation *op) {
  op->failed++;
  copies_are_in(s, op);
}
