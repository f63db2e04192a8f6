/* SPDX-License-Identifier: BSD-2-Clause */
/* A user's keys at several peers: the record under `private:ADDRESS` holds them,
 * sealed for the peers to which they were granted. The core never sees them: it finds the record,
 * and the host opens it. */
#include "node/internal.h"
#include "usage/certificate.h"

#define NONCE SLICE("private") /* one such record of an owner */
/* For people. */
#define NOT_CERTIFIED                                                                             \
  "the overlay's CA has issued no certificate in force to this peer for the address, and nobody " \
  "granted it one (locser user grant)"

/* "bob@example.net" of "private:bob@example.net" or "sip:bob@example.net". */
static struct slice address_in(struct slice key_text) {
  return slice_skip(key_text, slice_find_byte(key_text, ':') + 1);
}

static struct slice put_joined(struct step *s, const char *scheme, struct slice address) {
  size_t mark = outbox_mark(s->out);
  buf_put_cstr(&s->out->bytes, scheme);
  buf_put(&s->out->bytes, address);
  return outbox_text(s->out, mark);
}

/* ---- a put by a peer that has not the key ---- */

static bool may_be_anothers(const struct step *s, const struct errand *put) {
  if (s->node->config.policy == WRITE_CLOSED) return true; /* the CA knows, not this peer */
  return !key_is_zero(&put->holder) && !key_equal(&put->holder, &put->signer);
}

bool grant_look(struct step *s, struct errand *put) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  if (put->kind != ERRAND_PUT || put->for_whom == FOR_CLIENT || put->asked_for_grant ||
      !may_be_anothers(s, put) || xml_key_canonical(put->key_text, &key) != OK || key.overflow)
    return false;
  struct slice key_text = put_joined(s, "private:", address_in(buf_slice(&key)));
  struct errand *get =
      errand_open(s, ERRAND_GET, FOR_GRANT, errand_ticket(s->node, put), key_text, NULL);
  if (get == NULL) return false;
  put->asked_for_grant = true;
  put->stage = STAGE_ADOPTING;
  timers_set(&s->node->timers, &put->timer, put->deadline);
  errand_start(s, get);
  return true;
}

/* Its certificates are there when the grant is made, which is what the phrase asks for. */
static void refuse(struct step *s, struct errand *put) {
  bool closed = s->node->config.policy == WRITE_CLOSED;
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  (void)grant_publish(s, FOR_NOBODY, 0);
  /* The pinned key may have named the one that is here, and nobody heard of it. */
  if (!closed && xml_key_canonical(put->key_text, &key) == OK && !key.overflow)
    (void)certify_begin(s, address_in(buf_slice(&key)), 0, FOR_NOBODY, 0);
  errand_fail(s, put, 403, closed ? NOT_CERTIFIED : WRITE_OTHER_KEY);
}

/* The value by the key that the address has: in an open overlay the pinned one, in a closed one any
 * that the CA has certified for it, which was judged. Empty: none. */
static struct slice find_value(struct step *s, const struct errand *put, struct slice text,
                               uint64_t refused, struct key *owner) {
  struct xml_body body;
  const char *why;
  bool closed = s->node->config.policy == WRITE_CLOSED;
  if (xml_body_read(s->node->config.xml, text, &body, &why) != OK) return SLICE_EMPTY;
  for (unsigned i = 0; i < body.record_count; i++) {
    const struct xml_record *record = &body.record[i];
    if ((refused >> i & 1) != 0 || record->removed) continue;
    if (!closed && !key_equal(&record->owner, &put->holder)) continue;
    *owner = record->owner;
    return outbox_copy(s->out, record->value);
  }
  return SLICE_EMPTY;
}

void grant_on_answer(struct step *s, struct errand *put, uint16_t status, struct slice body,
                     uint64_t refused) {
  if (put->stage != STAGE_ADOPTING) return;
  struct key owner = {0};
  struct slice value = status == 200 ? find_value(s, put, body, refused, &owner) : SLICE_EMPTY;
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  if (value.len == 0 || xml_key_canonical(put->key_text, &key) != OK) {
    refuse(s, put);
    return;
  }
  struct slice address = put_joined(s, "sip:", address_in(buf_slice(&key)));
  struct output *out = outbox_add(s->out, OUT_OPEN);
  out->ticket = errand_ticket(s->node, put);
  out->text = address;
  out->data = value;
  out->record = (struct record){.owner = owner};
}

void grant_on_opened(struct step *s, struct errand *put, enum err status) {
  if (put->stage != STAGE_ADOPTING) return;
  if (status == OK)
    errand_sign_contact(s, put);
  else
    refuse(s, put);
}

/* ---- what the people of a peer ask for ---- */

void grant_sign(struct step *s, struct errand *store) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  if (!errand_put_key(s, store, &key)) return;
  store->version = errand_next_version(s, store);
  bool private = store->contact.instance.len == 0;
  msec_wall life = private ? CERTIFICATE_LIFE_MS : (msec_wall)store->granted_s * 1000;
  msec_wall expires = node_wall(s->node, s->now) + life;
  const struct xml_record_new record = {.key_text = buf_slice(&key),
                                        .nonce = private ? NONCE : store->contact.instance,
                                        .expires = expires,
                                        .floor = expires,
                                        .version = store->version,
                                        .value = store->contact.uri};
  size_t mark = outbox_mark(s->out);
  xml_put_record(&s->out->bytes, &record);
  struct slice unsigned_record = outbox_text(s->out, mark);
  struct slice signer = private ? put_joined(s, "sip:", address_in(buf_slice(&key)))
                                : outbox_copy(s->out, store->contact.path[0]);
  errand_sign(s, store, signer, unsigned_record);
}

void grant_tell_records(struct step *s, const struct errand *get, struct slice text) {
  struct node_row rows[XML_RECORDS_MAX];
  struct xml_body body;
  const char *why;
  unsigned count = 0;
  if (xml_body_read(s->node->config.xml, text, &body, &why) != OK) body.record_count = 0;
  for (unsigned i = 0; i < body.record_count; i++) {
    const struct xml_record *record = &body.record[i];
    struct certificate_value certificates = {0};
    if ((get->refused >> i & 1) != 0 || record->removed) continue;
    (void)certificate_read_value(record->value, &certificates);
    rows[count++] = (struct node_row){.key = record->owner,
                                      .has_key = true,
                                      .text = outbox_copy(s->out, record->value),
                                      .text2 = outbox_copy(s->out, certificates.receives)};
  }
  command_reply_rows(s, get->user, get->command, rows, count);
}

bool grant_publish(struct step *s, enum errand_for for_whom, uint64_t user) {
  char text[KEY_HEX + sizeof PEER_USER_DOMAIN];
  struct buf address = buf_over(text, sizeof text);
  key_put(&address, &s->node->self.id);
  buf_put_cstr(&address, PEER_USER_DOMAIN);
  return certify_begin(s, buf_slice(&address), 0, for_whom, user);
}
