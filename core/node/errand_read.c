/* SPDX-License-Identifier: BSD-2-Clause */
/* What an errand reads: the records of a key are asked for, verified, judged by whose the address
 * is, and only then acted on. */
#include "locser/convert.h"
#include "node/errand.h"
#include "node/look.h"
#include "usage/location.h"

struct slice errand_address(const struct step *s, struct slice key_text) {
  enum write_mode mode = s->node->config.policy;
  const struct write_request request = {.key_text = key_text};
  const struct write_signer signer = {.issued = false};
  if (write_is_pin(mode, key_text) || !write_needs_pin(mode, &request, &signer)) return SLICE_EMPTY;
  return write_address(mode, key_text);
}

void errand_ask_for_pin_too(struct step *s, const struct errand *errand) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  struct pin_facts unused;
  if (xml_key_canonical(errand->key_text, &key) != OK) return;
  struct slice address = errand_address(s, buf_slice(&key));
  if (address.len > 0) (void)pins_ask(s, address, 0, &unused);
}

static bool set_records(struct node *node, struct errand *errand, unsigned count) {
  errand->record =
      count > 0 ? memory_take(node->config.memory, count * sizeof *errand->record) : NULL;
  if (errand->record != NULL) errand->record_count = count;
  return errand->record != NULL || count == 0;
}

static void begin_verifying(struct errand *errand) {
  errand->stage = STAGE_VERIFYING;
  errand->refused = 0;
  errand->unsure = false;
  errand->pending = errand->record_count;
}

static void verify(struct step *s, const struct errand *errand, unsigned item, struct slice bytes) {
  struct output *out = outbox_add(s->out, OUT_VERIFY);
  out->ticket = tag_handle(TAG_ERRAND, pool_handle_of(&s->node->errands, errand), item);
  out->data = outbox_copy(s->out, bytes);
}

/* ---- what this peer holds itself ---- */

/* Records of the errand's key, as many as an answer has; *bytes: of all. */
static unsigned find_held(const struct step *s, const struct errand *errand, struct record *out,
                          size_t *bytes) {
  const struct node *node = s->node;
  uint32_t cursor = 0;
  unsigned count = 0;
  *bytes = 0;
  while (count < ANSWER_RECORDS_MAX &&
         dht_find(node->dht, node_wall(node, s->now), &errand->key, &cursor, &out[count])) {
    if (*bytes + out[count].bytes.len > ANSWER_BYTES_MAX) break;
    *bytes += out[count++].bytes.len;
  }
  return count;
}

/* whom an address is at, where this peer is sure of it. An answer to itself would be
 * written only to be read. False: it is not, or holds nothing. */
static bool read_held(struct step *s, struct errand *errand) {
  struct node *node = s->node;
  struct record found[ANSWER_RECORDS_MAX];
  size_t bytes, at = 0;
  if (errand->for_whom != FOR_EDGE_LOCATE || !overlay_is_member(node->overlay) ||
      !overlay_is_responsible(node->overlay, &errand->key) ||
      !dht_is_complete(node->dht, &errand->key))
    return false;
  unsigned count = find_held(s, errand, found, &bytes);
  char *body = count > 0 ? memory_take(node->config.memory, bytes) : NULL;
  if (body == NULL) return false;
  if (!set_records(node, errand, count)) {
    memory_give(node->config.memory, body, bytes);
    return false;
  }
  errand->body = body;
  errand->body_len = bytes;
  errand->held = true;
  errand->asked = node->self;
  errand->asked_at = s->now;
  errand->tries++;
  begin_verifying(errand);
  for (unsigned i = 0; i < count; i++) {
    struct slice record = found[i].bytes;
    memcpy(body + at, record.at, record.len);
    at += record.len;
    errand->record[i] = (struct errand_record){found[i].owner, (uint32_t)record.len};
    verify(s, errand, i, record);
  }
  return true;
}

void errand_read(struct step *s, struct errand *errand) {
  if (read_held(s, errand)) return;
  size_t mark = outbox_mark(s->out);
  xml_put_query(&s->out->bytes, errand->key_text, NULL);
  struct slice query = outbox_text(s->out, mark);
  mark = outbox_mark(s->out);
  enum xml_method method = errand->kind == ERRAND_GET_IMMUT ? XML_GET_IMMUT : XML_GET;
  const struct xml_overlay page = {.present = true, .has_after = true, .after = errand->after};
  xml_put_call(&s->out->bytes, method, &query, 1, errand->has_after ? &page : NULL);
  errand_ask(s, errand, STAGE_READING, outbox_text(s->out, mark));
}

/* ---- answers ---- */

static bool is_of_key(const struct step *s, const struct errand *errand, struct slice key_text) {
  struct key key;
  return slice_equal(key_text, errand->key_text) ||
         (locser_key_of(s->node->config.crypto, key_text, &key) == OK &&
          key_equal(&key, &errand->key));
}

/* Keeps the answer. False: the errand is over. */
static bool take_answer(struct step *s, struct errand *errand, struct slice text,
                        struct xml_body *body) {
  struct node *node = s->node;
  const char *why;
  if (!errand_set_body(node, errand, text)) {
    errand_fail(s, errand, 503, "this peer has no memory for the answer");
    return false;
  }
  if (xml_body_read(node->config.xml, slice_of(errand->body, text.len), body, &why) != OK) {
    errand_fail(s, errand, 503, "the answer cannot be read");
    return false;
  }
  if (!set_records(node, errand, body->record_count)) {
    errand_fail(s, errand, 503, "this peer has no memory for the answer");
    return false;
  }
  for (unsigned i = 0; i < body->record_count; i++)
    errand->record[i] = (struct errand_record){.owner = body->record[i].owner};
  return true;
}

void errand_verify(struct step *s, struct errand *errand, struct slice answer) {
  struct xml_body body;
  if (!take_answer(s, errand, answer, &body)) return;
  begin_verifying(errand);
  for (unsigned i = 0; i < body.record_count; i++) {
    /* who answers with another key's records is not believed */
    if (!is_of_key(s, errand, body.record[i].key_text)) errand->refused |= (uint64_t)1 << i;
    verify(s, errand, i, body.record[i].bytes);
  }
  if (body.record_count == 0) errand_fail(s, errand, 404, "no live record under this key");
}

/* The record that binds the errand's contact, among the answer's: its version, owner and nonce. */
static bool find_own_record(struct step *s, struct errand *errand, struct slice text) {
  struct node *node = s->node;
  struct xml_body body;
  const char *why;
  if (xml_body_read(node->config.xml, text, &body, &why) != OK) return false;
  char want_text[64];
  struct buf want = buf_over(want_text, sizeof want_text);
  location_put_nonce(&want, node->config.crypto, &errand->contact);
  bool found = false;
  struct slice value = SLICE_EMPTY;
  for (unsigned i = 0; i < body.record_count; i++) {
    const struct xml_record *record = &body.record[i];
    if ((errand->refused >> i & 1) != 0) continue;
    bool same_nonce = slice_equal(record->nonce, buf_slice(&want));
    bool names_it = slice_find(record->value, errand->contact.uri) < record->value.len;
    if (!same_nonce && !(errand->for_whom == FOR_COMMAND && names_it)) continue;
    if (found && errand->version >= record->version) continue;
    found = true;
    errand->version = record->version;
    errand->owner = record->owner;
    errand->floor = record->floor > record->expires ? record->floor : record->expires;
    value = same_nonce ? SLICE_EMPTY : record->value;
  }
  if (value.len > 0) { /* a command names a contact by its URI: take its instance and reg-id too */
    struct contact contacts[CONTACTS_MAX];
    unsigned count = 0;
    if (xml_contacts_read(node->config.xml, value, contacts, &count, &why) != OK) return false;
    for (unsigned i = 0; i < count; i++) {
      if (!slice_equal(contacts[i].uri, errand->contact.uri)) continue;
      if (!errand_set_strings(node, errand, outbox_copy(s->out, errand->key_text), &contacts[i])) {
        return false;
      }
    }
  }
  return found;
}

/* A contact that was put while this peer was cut off is in nobody's answer before it was pushed
 * and would be back after its removal. True: this peer has a newer one than was seen. */
static bool has_newer(struct step *s, struct errand *errand) {
  const struct crypto *crypto = s->node->config.crypto;
  char text[KEY_HEX];
  struct buf name = buf_over(text, sizeof text);
  struct record record;
  uint32_t cursor = 0;
  bool found = false;
  location_put_nonce(&name, crypto, &errand->contact);
  struct key nonce = crypto_key(crypto, buf_slice(&name));
  while (dht_find(s->node->dht, node_wall(s->node, s->now), &errand->key, &cursor, &record)) {
    bool is_own = key_is_zero(&errand->owner) || key_equal(&record.owner, &errand->owner);
    if (!is_own || !key_equal(&record.nonce, &nonce) || record.version <= errand->version) continue;
    found = true;
    errand->version = record.version;
    errand->owner = record.owner;
    errand->floor = record.floor;
  }
  return found;
}

void errand_take_contact(struct step *s, struct errand *errand, struct slice answer) {
  bool found = find_own_record(s, errand, answer);
  if (errand->kind == ERRAND_REMOVE && has_newer(s, errand)) found = true;
  if (found || errand->kind == ERRAND_PUT)
    errand_sign_contact(s, errand);
  else
    errand_fail(s, errand, 404, "no such contact is stored");
}

static bool are_all_refused(const struct errand *errand) {
  return errand->record_count > 0 && errand->record_count < 64 &&
         errand->refused + 1 == (uint64_t)1 << errand->record_count;
}

/* After 412: the next version is above all that are there. */
static void outdo(struct step *s, struct errand *errand) {
  struct xml_body body;
  const char *why;
  if (xml_body_read(s->node->config.xml, slice_of(errand->body, errand->body_len), &body, &why) ==
      OK)
    for (unsigned i = 0; i < body.record_count; i++)
      if (body.record[i].version > errand->version) errand->version = body.record[i].version;
  if (errand->kind == ERRAND_STORE)
    grant_sign(s, errand);
  else
    certify_name(s, errand);
}

static void records_judged(struct step *s, struct errand *errand) {
  struct slice answer = slice_of(errand->body, errand->body_len);
  bool always = s->node->config.wary == NODE_LOOKS_ALWAYS;
  struct xml_record record;
  if (errand_may_look(s, errand) && (always || are_all_refused(errand)) &&
      look_begin(s, errand, answer, always))
    return;
  if (errand->kind == ERRAND_GET && s->node->config.policy != WRITE_LABORATORY &&
      are_all_refused(errand)) {
    errand_fail(s, errand, 404, "no live record by who may write under this key");
    return;
  }
  if (errand->kind == ERRAND_GET_IMMUT && !errand_immutable(s, errand, answer, &record)) {
    if (errand->tries < TRIES_MAX)
      errand_read(s, errand); /* by another way, perhaps */
    else
      errand_fail(s, errand, 503, "no peer answered with the value of this hash");
  } else if (errand->kind == ERRAND_GET || errand->kind == ERRAND_GET_IMMUT) {
    errand_finish(s, errand, 200, NULL, errand->held ? SLICE_EMPTY : outbox_copy(s->out, answer));
  } else if (errand->kind == ERRAND_CERTIFY || errand->kind == ERRAND_STORE) {
    outdo(s, errand);
  } else {
    errand_take_contact(s, errand, answer);
  }
}

/* a record whose signer may not have written it is not acted on. */
static bool may_be_written(struct step *s, const struct errand *errand, struct slice key_text,
                           const struct write_signer *signer, const struct write_pin *pin) {
  const struct write_request request = {.key_text = key_text, .owner = signer->key};
  const char *why = NULL;
  if (write_is_pin(s->node->config.policy, key_text)) return true; /* pins.c takes the winner */
  if (write_judge(s->node->config.policy, &request, signer, pin, node_wall(s->node, s->now),
                  &why) == WRITE_ALLOWED)
    return true;
  pins_refused(s, &errand->key, key_text, why);
  return false;
}

/* By pin or by the hash in the address. */
static void judge_answer(struct step *s, struct errand *errand, struct slice key_text,
                         const struct write_pin *pin) {
  for (unsigned i = 0; i < errand->record_count; i++) {
    const struct write_signer signer = {.key = errand->record[i].owner};
    if ((errand->refused >> i & 1) != 0) continue;
    if (!may_be_written(s, errand, key_text, &signer, pin)) errand->refused |= (uint64_t)1 << i;
  }
  records_judged(s, errand);
}

static void records_verified(struct step *s, struct errand *errand) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  if (errand->unsure) {
    errand_fail(s, errand, 503, "this peer cannot verify the records now");
    return;
  }
  if (s->node->config.policy != WRITE_OPEN || errand->kind == ERRAND_GET_IMMUT) {
    records_judged(s, errand);
    return;
  }
  if (!errand_put_key(s, errand, &key)) return;
  struct slice address = errand_address(s, buf_slice(&key));
  if (address.len > 0)
    errand_wait_for_pin(s, errand, address);
  else
    judge_answer(s, errand, buf_slice(&key), &(struct write_pin){.state = WRITE_PIN_NONE});
}

void errand_take_verified(struct step *s, struct errand *errand, struct slice answer) {
  struct xml_body body;
  if (!take_answer(s, errand, answer, &body)) return;
  errand->refused = 0;
  records_verified(s, errand);
}

/* does somebody else than the pinned key sign? */
static bool has_others(const struct errand *errand, const struct key *pinned) {
  for (unsigned i = 0; i < errand->record_count; i++)
    if ((errand->refused >> i & 1) == 0 && !key_equal(&errand->record[i].owner, pinned))
      return true;
  return false;
}

void errand_read_on_pin(struct step *s, struct errand *errand, const struct pin_facts *facts) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  if (!errand_put_key(s, errand, &key)) return;
  struct slice address = errand_address(s, buf_slice(&key));
  if (facts->pin.state == WRITE_PIN_KNOWN && has_others(errand, &facts->pin.key) &&
      pins_doubt(s, address)) {
    errand_wait_for_pin(s, errand, address);
    return;
  }
  if (facts->pin.state == WRITE_PIN_UNREACHABLE)
    errand_fail(s, errand, 503, "the certificate record of the address cannot be reached");
  else
    judge_answer(s, errand, buf_slice(&key), &facts->pin);
}

/* In a closed overlay the certificate says it all. */
static bool is_issued_for_key(struct step *s, struct errand *errand,
                              const struct verified *verified) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  struct write_signer signer;
  if (s->node->config.policy != WRITE_CLOSED || verified->status != OK ||
      errand->kind == ERRAND_GET_IMMUT)
    return true;
  if (xml_key_canonical(errand->key_text, &key) != OK) return false;
  pins_signer(&errand->pinned, verified, &signer);
  return may_be_written(s, errand, buf_slice(&key), &signer,
                        &(struct write_pin){.state = WRITE_PIN_NONE});
}

void errand_on_verified(struct step *s, struct errand *errand, unsigned item,
                        const struct verified *verified) {
  struct verified judged = *verified;
  if (!is_issued_for_key(s, errand, verified)) judged.status = ERR_REFUSED;
  if (errand->stage == STAGE_LOOKING) look_on_verified(s, errand, item, judged.status);
  if (errand->stage != STAGE_VERIFYING || errand->pending == 0) return;
  if (judged.status != OK && item < 64) errand->refused |= (uint64_t)1 << item;
  if (judged.status != OK && judged.status != ERR_REFUSED) errand->unsure = true;
  if (--errand->pending == 0) records_verified(s, errand);
}
