/* SPDX-License-Identifier: BSD-2-Clause */
/* A message on its way into the overlay: the recipient's certificates, the
 * sender's signature, the seal, and a record by this peer's own key. */
#include "base/assert.h"
#include "base/recipients.h"
#include "node/mail.h"
#include "usage/certificate.h"

static uint64_t ticket_of(const struct node *node, const struct letter *letter) {
  return tag_handle(TAG_LETTER, pool_handle_of(&node->letters, letter), 0);
}

struct letter *letter_of(const struct node *node, uint64_t ticket) {
  return tag_of(ticket) == TAG_LETTER ? ticket_object(&node->letters, ticket) : NULL;
}

static void drop(struct node *node, struct letter *letter) {
  timers_clear(&node->timers, &letter->timer);
  memory_give(node->config.memory, letter->text, letter->text_len);
  pool_give(&node->letters, pool_handle_of(&node->letters, letter));
}

void letters_free(struct node *node) {
  uint32_t index = 0;
  struct letter *letter;
  while ((letter = pool_next(&node->letters, &index)) != NULL) drop(node, letter);
  pool_free(&node->letters);
  memory_give(node->config.memory, node->letter_rows, LETTER_ROWS * sizeof *node->letter_rows);
}

static void tell(struct step *s, enum letter_for for_whom, uint64_t user, uint16_t status,
                 const char *text) {
  struct edge_calls calls;
  calls.count = 0;
  switch (for_whom) {
    case LETTER_FOR_EDGE:
      edge_on_kept(s->node->edge, s->now, node_wall(s->node, s->now), user, status, text, &calls,
                   s->out);
      pump_edge(s, &calls);
      break;
    case LETTER_FOR_COMMAND:
      if (status == 202)
        command_reply_rows(s, user, COMMAND_MESSAGE, NULL, 0);
      else
        command_reply_text(s, user, COMMAND_MESSAGE, status, text);
      break;
  }
}

/* ---- one sender's, for one recipient, one after the other (R-13.8) ---- */

static bool same_way(const struct letter *a, const struct letter *b) {
  return slice_equal(a->message.from, b->message.from) && slice_equal(a->message.to, b->message.to);
}

static struct letter *next_of(const struct node *node, const struct letter *done) {
  uint32_t index = 0;
  struct letter *other, *first = NULL;
  while ((other = pool_next(&node->letters, &index)) != NULL)
    if (other != done && other->stage == LETTER_WAITING && same_way(other, done) &&
        (first == NULL || other->order < first->order))
      first = other;
  return first;
}

static bool waits(const struct node *node, const struct letter *letter) {
  uint32_t index = 0;
  const struct letter *other;
  while ((other = pool_next(&node->letters, &index)) != NULL)
    if (other != letter && same_way(other, letter)) return true;
  return false;
}

static void ask_for_certificates(struct step *s, struct letter *letter);

static void end(struct step *s, struct letter *letter, uint16_t status, const char *text) {
  struct node *node = s->node;
  enum letter_for for_whom = letter->for_whom;
  uint64_t user = letter->user;
  struct slice to = outbox_copy(s->out, letter->message.to);
  struct letter *next = next_of(node, letter);
  drop(node, letter);
  if (next != NULL) ask_for_certificates(s, next);
  tell(s, for_whom, user, status, text);
  if (status == 202 && edge_has_phone(node->edge, s->now, to)) mailbox_begin(s, to);
}

/* what may be otherwise in a moment is tried again, rather than by the phone. */
static void try_again(struct step *s, struct letter *letter, uint16_t status, const char *text) {
  if (s->now + LETTER_AGAIN_US > letter->patient_until) {
    end(s, letter, status, text);
    return;
  }
  letter->stage = LETTER_PAUSING;
  timers_set(&s->node->timers, &letter->timer, s->now + LETTER_AGAIN_US);
}

void letter_on_timer(struct step *s, struct letter *letter) {
  if (letter->stage == LETTER_PAUSING) ask_for_certificates(s, letter);
}

/* ---- quotas ---- */

/* */
static bool may_send(struct step *s, struct slice from) {
  struct node *node = s->node;
  if (node->letter_rows == NULL)
    node->letter_rows = memory_take(node->config.memory, LETTER_ROWS * sizeof *node->letter_rows);
  if (node->letter_rows == NULL) return false;
  usec *row = &node->letter_rows[hash_slice(node->hash, from) % LETTER_ROWS];
  if (*row > s->now + (LETTERS_BURST - 1) * LETTER_PAUSE_US) return false;
  *row = usec_max(*row, s->now) + LETTER_PAUSE_US;
  uint32_t index = 0, count = 0;
  const struct letter *other;
  while ((other = pool_next(&node->letters, &index)) != NULL)
    count += slice_equal(other->message.from, from);
  return count < LETTERS_OF_SENDER_MAX;
}

static struct slice put_text(char **at, struct slice text) {
  if (text.len > 0) memcpy(*at, text.at, text.len);
  struct slice copy = slice_of(*at, text.len);
  *at += text.len;
  return copy;
}

void letter_begin(struct step *s, enum letter_for for_whom, uint64_t user,
                  const struct message *message) {
  struct node *node = s->node;
  struct handle handle;
  if (message->body.len > MESSAGE_BODY_MAX || message->type.len > MESSAGE_TYPE_MAX) {
    tell(s, for_whom, user, 413, "Message Too Large To Be Kept");
    return;
  }
  if (!may_send(s, message->from)) {
    tell(s, for_whom, user, 403, "Too Many Messages For Those Who Are Away");
    return;
  }
  size_t len =
      message->from.len + message->to.len + message->id.len + message->type.len + message->body.len;
  struct letter *letter = pool_take(&node->letters, &handle);
  char *text = letter != NULL ? memory_take(node->config.memory, len) : NULL;
  if (text == NULL) {
    if (letter != NULL) pool_give(&node->letters, handle);
    tell(s, for_whom, user, 503, "Too Many Messages At Once");
    return;
  }
  *letter = (struct letter){.for_whom = for_whom,
                            .user = user,
                            .order = ++node->letter_order,
                            .patient_until = s->now + LETTER_PATIENCE_US,
                            .text = text,
                            .text_len = len,
                            .message.sent = message->sent};
  letter->timer.owner = ticket_of(node, letter);
  char *at = text;
  letter->message.from = put_text(&at, message->from);
  letter->message.to = put_text(&at, message->to);
  letter->message.id = put_text(&at, message->id);
  letter->message.type = put_text(&at, message->type);
  letter->message.body = put_text(&at, message->body);
  if (!waits(node, letter)) ask_for_certificates(s, letter);
}

/* ---- for whom ---- */

static void ask_for_certificates(struct step *s, struct letter *letter) {
  char text[XML_CANONICAL_BYTES_MAX + 16];
  struct buf key = buf_over(text, sizeof text);
  certificate_put_key(&key, letter->message.to);
  letter->stage = LETTER_NAMING;
  struct errand *errand = key.overflow
                              ? NULL
                              : errand_open(s, ERRAND_GET, FOR_LETTER, ticket_of(s->node, letter),
                                            buf_slice(&key), NULL);
  if (errand == NULL)
    try_again(s, letter, 503, "Too Many Messages At Once");
  else
    errand_start(s, errand);
}

/* The one that counts among those that may be there: the pinned key's, or the earliest. */
static bool find_recipient(struct step *s, struct slice text, uint64_t refused,
                           struct slice address, struct key *owner, struct slice *receives) {
  struct xml_body body;
  struct pin_facts facts = {.pin = {.state = WRITE_PIN_NONE}};
  msec_wall since = 0;
  const char *why;
  if (slice_starts(address, SLICE("sip:"))) address = slice_skip(address, 4);
  bool pinned = pins_recall(s, address, &facts) && facts.pin.state == WRITE_PIN_KNOWN;
  if (xml_body_read(s->node->config.xml, text, &body, &why) != OK) return false;
  for (unsigned i = 0; i < body.record_count; i++) {
    const struct xml_record *record = &body.record[i];
    struct certificate_value value;
    if ((refused >> i & 1) != 0 || record->removed ||
        !certificate_read_value(record->value, &value))
      continue;
    if (pinned && key_equal(&record->owner, &facts.pin.key)) since = 0;
    if (since != 0 && value.since >= since) continue;
    since = value.since;
    *owner = record->owner;
    *receives = value.receives;
    if (pinned && key_equal(&record->owner, &facts.pin.key)) break;
  }
  return since != 0;
}

void letter_on_certificates(struct step *s, struct letter *letter, uint16_t status,
                            struct slice body, uint64_t refused) {
  struct slice receives = SLICE_EMPTY;
  if (letter->stage != LETTER_NAMING) return;
  if (status == 404) {
    end(s, letter, 404, "Nobody Has This Address");
    return;
  }
  if (status != 200 ||
      !find_recipient(s, body, refused, letter->message.to, &letter->owner, &receives)) {
    try_again(s, letter, 503, "The Recipient's Certificates Cannot Be Reached");
    return;
  }
  letter->certificate_len = sizeof letter->certificate;
  if (receives.len == 0 ||
      !base64_decode(receives, letter->certificate, &letter->certificate_len)) {
    try_again(s, letter, 480, "No Key To Keep Messages For This Address With Yet");
    return;
  }
  letter->stage = LETTER_SIGNING;
  size_t mark = outbox_mark(s->out);
  message_put_letter(&s->out->bytes, &letter->message);
  struct slice record = outbox_text(s->out, mark);
  struct output *out = outbox_add(s->out, OUT_SIGN);
  out->ticket = ticket_of(s->node, letter);
  out->data = record;
  out->text = outbox_copy(s->out, letter->message.from);
}

void letter_on_signed(struct step *s, struct letter *letter, enum err status, struct slice record) {
  if (letter->stage != LETTER_SIGNING) return;
  if (status != OK) {
    try_again(s, letter, 503, "The Message Cannot Be Signed Now");
    return;
  }
  letter->stage = LETTER_SEALING;
  size_t mark = outbox_mark(s->out);
  recipients_put(&s->out->bytes, &letter->owner,
                 slice_of(letter->certificate, letter->certificate_len));
  struct slice recipients = outbox_text(s->out, mark);
  struct output *out = outbox_add(s->out, OUT_SEAL);
  out->ticket = ticket_of(s->node, letter);
  out->text = recipients;
  out->data = outbox_copy(s->out, record);
}

/* ---- into the overlay ---- */

static bool has_others(const struct node *node) {
  struct peer peer;
  return overlay_successors(node->overlay, &peer, 1) > 0;
}

void letter_on_sealed(struct step *s, struct letter *letter, enum err status, struct slice sealed) {
  struct node *node = s->node;
  char own_text[KEY_HEX + sizeof "sip:" PEER_USER_DOMAIN];
  struct buf own = buf_over(own_text, sizeof own_text);
  if (letter->stage != LETTER_SEALING) return;
  if (status != OK) {
    try_again(s, letter, 503, "The Message Cannot Be Sealed Now");
    return;
  }
  letter->stage = LETTER_WRITING;
  uint64_t version = node_wall(node, s->now) * 256;
  if (version <= node->letter_version) version = node->letter_version + 1;
  node->letter_version = version; /* order per sender */
  msec_wall expires = node_wall(node, s->now) + MESSAGE_LIFE_MS;
  size_t mark = outbox_mark(s->out);
  message_put_record(&s->out->bytes, letter->message.to, letter->message.id, sealed, version,
                     expires);
  struct slice record = outbox_text(s->out, mark);
  buf_put_cstr(&own, "sip:");
  key_put(&own, &node->self.id);
  buf_put_cstr(&own, PEER_USER_DOMAIN);
  if (!errand_put_record(s, FOR_LETTER, ticket_of(node, letter), letter->message.to,
                         buf_slice(&own), record, has_others(node) ? LETTER_COPIES : 1))
    try_again(s, letter, 503, "Too Many Messages At Once");
}

void letter_on_written(struct step *s, struct letter *letter, uint16_t status, const char *text) {
  if (letter->stage != LETTER_WRITING) return;
  (void)text;
  switch (status) {
    case 200:
    case 412: /* sent again by the phone, and stored by then */
      end(s, letter, 202, NULL);
      break;
    case 403:
      end(s, letter, 480, "Mailbox Full");
      break;
    case 413:
      end(s, letter, 413, "Message Too Large To Be Kept");
      break;
    default:
      try_again(s, letter, 503, "The Overlay Did Not Take The Message");
      break;
  }
}
