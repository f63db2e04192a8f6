/* SPDX-License-Identifier: BSD-2-Clause */
/* The certificates of this peer's users, put under `certificate:ADDRESS` before their first contact
 * so others know whose the address is, and how to encrypt to it. */
#include "base/succession.h"
#include "node/internal.h"
#include "usage/certificate.h"

/* Put again when half of the record's life is over. */
static bool lapses_soon(const struct step *s, const struct pin_facts *facts) {
  return facts->expires < node_wall(s->node, s->now) + CERTIFICATE_LIFE_MS / 2;
}

static struct slice address_of(const struct errand *errand) {
  return slice_skip(errand->key_text, slice_find_byte(errand->key_text, ':') + 1);
}

bool certify_is_due(const struct step *s, const struct pin_facts *facts) {
  return !facts->complete || lapses_soon(s, facts);
}

bool certify_begin(struct step *s, struct slice address, msec_wall since, enum errand_for for_whom,
                   uint64_t user) {
  char text[XML_CANONICAL_BYTES_MAX + 16];
  struct buf key_text = buf_over(text, sizeof text);
  certificate_put_key(&key_text, address);
  if (key_text.overflow) return false;
  struct errand *errand =
      errand_open(s, ERRAND_CERTIFY, for_whom, user, buf_slice(&key_text), NULL);
  if (errand == NULL) return false;
  errand->since = since;
  errand->command = COMMAND_PUBLISH;
  if (for_whom == FOR_ERRAND) { /* it has just asked */
    certify_name(s, errand);
    return true;
  }
  struct pin_facts facts;
  errand->stage = STAGE_PINNING;
  if (pins_ask(s, address_of(errand), errand_ticket(s->node, errand), &facts))
    certify_on_pin(s, errand, &facts);
  return true;
}

void certify_on_pin(struct step *s, struct errand *errand, const struct pin_facts *facts) {
  if (facts->pin.state == WRITE_PIN_UNREACHABLE) {
    errand_fail(s, errand, 503, "the certificate record of the address cannot be reached");
    return;
  }
  errand->facts = *facts;
  if (facts->pin.state == WRITE_PIN_KNOWN) {
    errand->pinned = facts->pin.key;
    errand->since = facts->pin.since;
  }
  certify_name(s, errand);
}

static struct slice put_address(struct step *s, const struct errand *errand) {
  size_t mark = outbox_mark(s->out);
  buf_put_cstr(&s->out->bytes, "sip:");
  buf_put(&s->out->bytes, address_of(errand));
  return outbox_text(s->out, mark);
}

void certify_name(struct step *s, struct errand *errand) {
  errand->stage = STAGE_NAMING;
  timers_set(&s->node->timers, &errand->timer, errand->deadline);
  struct slice address = put_address(s, errand);
  struct output *out = outbox_add(s->out, OUT_USER);
  out->ticket = errand_ticket(s->node, errand);
  out->text = address;
}

/* Would the record say nothing new? */
static bool is_there_already(const struct step *s, const struct errand *errand,
                             const struct record *user) {
  const struct pin_facts *facts = &errand->facts;
  return facts->pin.state == WRITE_PIN_KNOWN && (facts->complete || user->bytes.len == 0) &&
         !lapses_soon(s, facts);
}

/* has the key that is pinned named the one that is here? Others check that it is about this
 * address. */
static bool is_named(const struct step *s, const struct errand *errand, const struct key *owner,
                     struct slice before) {
  char base64[SUCCESSION_BYTES_MAX * 4 / 3 + 4];
  struct buf text = buf_over(base64, sizeof base64);
  struct record_layout layout;
  struct key from;
  msec_wall named;
  const char *why;
  buf_put_base64(&text, before.at, before.len);
  return !text.overflow && record_layout_read(before, &layout, &why) == OK &&
         certificate_read_before(buf_slice(&text), layout.key_text, owner,
                                 node_wall(s->node, s->now), &from, &named) &&
         key_equal(&from, &errand->pinned);
}

/* Phones of a new address that come at once each have it certified, and keys are slow: were each
 * put to say another `since`, one that is overtaken would be refused. 0: no other. */
static msec_wall since_under_way(const struct node *node, const struct errand *errand) {
  uint32_t index = 0;
  const struct errand *other;
  while ((other = pool_next(&node->errands, &index)) != NULL)
    if (other != errand && other->kind == ERRAND_CERTIFY && other->since != 0 &&
        slice_equal(other->key_text, errand->key_text))
      return other->since;
  return 0;
}

void certify_on_user(struct step *s, struct errand *errand, const struct record *user,
                     struct slice signs, struct slice before) {
  msec_wall now = node_wall(s->node, s->now);
  if (user == NULL) {
    errand_fail(s, errand, 503, "this peer has no key for the address; see its log");
    return;
  }
  bool follows = !key_is_zero(&errand->pinned) && !key_equal(&errand->pinned, &user->owner);
  if (follows && !is_named(s, errand, &user->owner, before)) {
    errand_fail(s, errand, 403, WRITE_OTHER_KEY);
    return;
  }
  errand->pinned = user->owner;
  if (!follows && is_there_already(s, errand, user)) {
    errand_finish(s, errand, 200, NULL, SLICE_EMPTY);
    return;
  }
  if (errand->since == 0) errand->since = since_under_way(s->node, errand);
  if (errand->since == 0) errand->since = now;
  errand->version = errand_next_version(s, errand);
  errand->floor = now + CERTIFICATE_LIFE_MS;
  errand->facts.complete = user->bytes.len > 0;
  const struct certificate_new record = {.address = address_of(errand),
                                         .version = errand->version,
                                         .since = errand->since,
                                         .expires = errand->floor,
                                         .signs = signs,
                                         .receives = user->bytes,
                                         .before = before};
  size_t mark = outbox_mark(s->out);
  certificate_put_record(&s->out->bytes, &record);
  struct slice unsigned_record = outbox_text(s->out, mark);
  errand_sign(s, errand, put_address(s, errand), unsigned_record);
}

void certify_done(struct step *s, struct errand *errand) {
  const struct pin_facts facts = {
      .pin = {.state = WRITE_PIN_KNOWN, .key = errand->owner, .since = errand->since},
      .expires = errand->floor,
      .complete = errand->facts.complete};
  pins_learn(s, address_of(errand), &facts);
}
