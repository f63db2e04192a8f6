/* SPDX-License-Identifier: BSD-2-Clause */
/* What waits for somebody who has come back: read, claimed, read again, then
 * one after the other opened, verified, delivered and removed; and the claim is given back. */
#include "base/assert.h"
#include "base/record_layout.h"
#include "node/mail.h"

static uint64_t ticket_of(const struct node *node, const struct mailbox *box) {
  return tag_handle(TAG_MAILBOX, pool_handle_of(&node->mailboxes, box), 0);
}

struct mailbox *mailbox_of(const struct node *node, uint64_t ticket) {
  return tag_of(ticket) == TAG_MAILBOX ? ticket_object(&node->mailboxes, ticket) : NULL;
}

static void drop_letter(struct node *node, struct mailbox *box) {
  memory_give(node->config.memory, box->letter, box->letter_len);
  memory_give(node->config.memory, box->work, box->work_len);
  box->letter = box->work = NULL;
  box->letter_len = box->work_len = 0;
}

static void drop_items(struct node *node, struct mailbox *box) {
  for (unsigned i = 0; i < box->count; i++)
    memory_give(node->config.memory, box->item[i].bytes, box->item[i].len);
  box->count = box->at = 0;
}

static void drop(struct node *node, struct mailbox *box) {
  drop_letter(node, box);
  drop_items(node, box);
  timers_clear(&node->timers, &box->timer);
  memory_give(node->config.memory, box->text, box->text_len);
  pool_give(&node->mailboxes, pool_handle_of(&node->mailboxes, box));
}

void mailboxes_free(struct node *node) {
  uint32_t index = 0;
  struct mailbox *box;
  while ((box = pool_next(&node->mailboxes, &index)) != NULL) drop(node, box);
  pool_free(&node->mailboxes);
}

/* ---- reading ---- */

static void read_page(struct step *s, struct mailbox *box);

/* not before, so that a lamp does not flicker for what is delivered at once. */
static void end(struct step *s, struct mailbox *box) {
  if (box->counted)
    edge_on_waiting(s->node->edge, s->now, node_wall(s->node, s->now), box->address, box->waiting);
  drop(s->node, box);
}

static void pause(struct step *s, struct mailbox *box) {
  if (++box->tries >= MAILBOX_TRIES_MAX && !box->again) {
    if (box->stage == BOX_CLAIMING) late_end(s->node, box->address); /* all was seen by now */
    end(s, box);
    return;
  }
  drop_letter(s->node, box);
  drop_items(s->node, box);
  box->stage = BOX_PAUSING;
  box->claimed = false; /* it lapses by itself */
  timers_set(&s->node->timers, &box->timer, s->now + MAILBOX_PAUSE_US);
}

static void read_all(struct step *s, struct mailbox *box) {
  drop_items(s->node, box);
  box->has_after = box->left_out = box->counted = false;
  box->waiting = 0;
  read_page(s, box);
}

static void read_page(struct step *s, struct mailbox *box) {
  char text[XML_CANONICAL_BYTES_MAX + 16];
  struct buf key = buf_over(text, sizeof text);
  message_put_key(&key, box->address);
  box->stage = BOX_READING;
  struct errand *errand =
      key.overflow
          ? NULL
          : errand_open(s, ERRAND_GET, FOR_MAILBOX, ticket_of(s->node, box), buf_slice(&key), NULL);
  if (errand == NULL) {
    pause(s, box);
    return;
  }
  errand->after = box->after;
  errand->has_after = box->has_after;
  errand_start(s, errand);
}

static struct mailbox *find(const struct node *node, struct slice address) {
  uint32_t index = 0;
  struct mailbox *box;
  while ((box = pool_next(&node->mailboxes, &index)) != NULL)
    if (slice_equal(box->address, address)) return box;
  return NULL;
}

bool mailbox_is_open(const struct node *node, struct slice address) {
  return find(node, address) != NULL;
}

static struct mailbox *make(struct node *node, struct slice address) {
  struct handle handle;
  struct mailbox *box = pool_take(&node->mailboxes, &handle);
  if (box == NULL) return NULL;
  box->text = memory_take(node->config.memory, address.len);
  if (box->text == NULL) {
    pool_give(&node->mailboxes, handle);
    return NULL;
  }
  memcpy(box->text, address.at, address.len);
  box->text_len = address.len;
  box->address = slice_of(box->text, address.len);
  box->timer.owner = ticket_of(node, box);
  return box;
}

void mailbox_begin(struct step *s, struct slice address) {
  struct node *node = s->node;
  if (node->config.policy == WRITE_LABORATORY) return; /* nobody may remove another's records */
  struct mailbox *box = find(node, address);
  if (box != NULL) {
    box->again = true;
    box->tries = 0;
    if (box->stage == BOX_PAUSING) timers_set(&node->timers, &box->timer, s->now);
    return;
  }
  box = make(node, address);
  if (box != NULL) read_all(s, box);
}

void mailbox_begin_later(struct step *s, struct slice address) {
  struct node *node = s->node;
  if (node->config.policy == WRITE_LABORATORY) return;
  struct mailbox *box = find(node, address);
  if (box != NULL) {
    box->again = true;
    return;
  }
  box = make(node, address);
  if (box == NULL) return;
  box->stage = BOX_PAUSING;
  timers_set(&node->timers, &box->timer, s->now + MAILBOX_PAUSE_US);
}

/* The oldest are kept, in order. */
static void keep(struct node *node, struct mailbox *box, const struct xml_record *record) {
  unsigned at = box->count;
  if (record->version <= box->passed) return;
  while (at > 0 && box->item[at - 1].version > record->version) at--;
  if (at == MAILBOX_ITEMS_MAX) {
    box->left_out = true;
    return;
  }
  char *bytes = memory_take(node->config.memory, record->bytes.len);
  if (bytes == NULL) {
    box->left_out = true;
    return;
  }
  memcpy(bytes, record->bytes.at, record->bytes.len);
  if (box->count == MAILBOX_ITEMS_MAX) {
    struct mailbox_item *last = &box->item[--box->count];
    memory_give(node->config.memory, last->bytes, last->len);
    box->left_out = true;
  }
  memmove(&box->item[at + 1], &box->item[at], (box->count - at) * sizeof *box->item);
  box->item[at] = (struct mailbox_item){bytes, record->bytes.len, record->version};
  box->count++;
}

static void claim(struct step *s, struct mailbox *box);
static void open_next(struct step *s, struct mailbox *box);
static void release(struct step *s, struct mailbox *box);

static void all_read(struct step *s, struct mailbox *box) {
  if (box->count > 0 && box->item[0].version > box->oldest) { /* somebody delivers */
    box->oldest = box->item[0].version;
    box->tries = 0;
  }
  box->counted = true;
  if (box->claimed && box->count > 0)
    open_next(s, box);
  else if (box->claimed)
    release(s, box);
  else if (box->count > 0 && edge_has_phone(s->node->edge, s->now, box->address))
    claim(s, box);
  else if (box->again) {
    box->again = false;
    read_all(s, box);
  } else
    end(s, box);
}

void mailbox_on_records(struct step *s, struct mailbox *box, uint16_t status, struct slice text,
                        uint64_t refused) {
  struct xml_body body;
  const char *why;
  if (box->stage != BOX_READING) return;
  if (status == 404) {
    all_read(s, box);
    return;
  }
  if (status != 200 || xml_body_read(s->node->config.xml, text, &body, &why) != OK) {
    pause(s, box);
    return;
  }
  for (unsigned i = 0; i < body.record_count; i++)
    if ((refused >> i & 1) == 0 && !body.record[i].removed &&
        !message_is_claim(body.record[i].nonce)) {
      keep(s->node, box, &body.record[i]);
      box->waiting++;
    }
  bool more = body.overlay.more && body.overlay.has_after &&
              (!box->has_after || record_id_compare(&body.overlay.after, &box->after) > 0);
  box->after = body.overlay.after;
  box->has_after = more;
  if (more)
    read_page(s, box);
  else
    all_read(s, box);
}

/* ---- the claim (R-13.7) ---- */

static void claim(struct step *s, struct mailbox *box) {
  struct node *node = s->node;
  msec_wall now = node_wall(node, s->now);
  uint64_t version = now * 256;
  if (version <= box->claim.version + 1) version = box->claim.version + 2;
  box->stage = BOX_CLAIMING;
  box->claimed_until = now + MESSAGE_CLAIM_MS;
  struct buf value = buf_over(box->claim_text, sizeof box->claim_text);
  message_put_claim_value(&value, &node->self.id);
  box->claim = (struct message_stored){.nonce = SLICE(MESSAGE_CLAIM_NONCE),
                                       .value = buf_slice(&value),
                                       .version = version,
                                       .floor = box->claimed_until};
  size_t mark = outbox_mark(s->out);
  message_put_record(&s->out->bytes, box->address, box->claim.nonce, box->claim.value, version,
                     box->claimed_until);
  struct slice record = outbox_text(s->out, mark);
  if (!errand_put_record(s, FOR_MAILBOX, ticket_of(node, box), box->address, box->address, record,
                         1))
    pause(s, box);
}

static void write_removal(struct step *s, struct mailbox *box, const struct message_stored *stored,
                          bool own) {
  struct node *node = s->node;
  size_t mark = outbox_mark(s->out);
  message_put_removal(&s->out->bytes, node->config.crypto, box->address, stored, own);
  struct slice record = outbox_text(s->out, mark);
  if (!errand_put_record(s, FOR_MAILBOX, ticket_of(node, box), box->address, box->address, record,
                         1))
    pause(s, box);
}

static void release(struct step *s, struct mailbox *box) {
  drop_letter(s->node, box);
  drop_items(s->node, box);
  box->stage = BOX_RELEASING;
  box->claimed = false;
  write_removal(s, box, &box->claim, true);
}

/* ---- one letter ---- */

static bool read_item(const struct mailbox *box, struct record_layout *out) {
  const char *why;
  const struct mailbox_item *item = &box->item[box->at];
  return record_layout_read(slice_of(item->bytes, item->len), out, &why) == OK;
}

static void next(struct step *s, struct mailbox *box) {
  box->at++;
  open_next(s, box);
}

static void open_next(struct step *s, struct mailbox *box) {
  struct record_layout layout;
  drop_letter(s->node, box);
  if (node_wall(s->node, s->now) + MAILBOX_TIME_MS > box->claimed_until) {
    box->again = true; /* under a new claim */
    release(s, box);
    return;
  }
  if (box->at == box->count) {
    bool more = box->left_out || box->again;
    box->again = false;
    if (more)
      read_all(s, box);
    else
      release(s, box);
    return;
  }
  if (!read_item(box, &layout)) {
    next(s, box);
    return;
  }
  box->stage = BOX_OPENING;
  struct output *out = outbox_add(s->out, OUT_UNSEAL);
  out->ticket = ticket_of(s->node, box);
  out->data = outbox_copy(s->out, layout.content);
  out->text = outbox_copy(s->out, box->address);
}

/* Delivered, or never to be. */
static void remove_item(struct step *s, struct mailbox *box) {
  struct record_layout layout;
  uint64_t version = box->item[box->at].version;
  msec_wall floor = 0;
  if (!read_item(box, &layout) || !xml_time_parse(layout.floor, &floor)) {
    next(s, box);
    return;
  }
  box->stage = BOX_REMOVING;
  const struct message_stored stored = {.owner = layout.owner,
                                        .nonce = layout.nonce,
                                        .value = layout.content,
                                        .version = version,
                                        .floor = floor};
  write_removal(s, box, &stored, false);
}

void mailbox_on_written(struct step *s, struct mailbox *box, uint16_t status) {
  switch (box->stage) {
    case BOX_CLAIMING:
      box->claimed = status == 200;
      if (!box->claimed && status == 412) box->counted = false; /* who delivers it knows better */
      if (box->claimed)
        read_all(s, box); /* another may have delivered some of it meanwhile */
      else
        pause(s, box);
      break;
    case BOX_REMOVING:
      if (status == 200 && box->waiting > 0) box->waiting--;
      next(s, box); /* where it failed the message comes again, by the same id */
      break;
    case BOX_RELEASING: {
      bool again = box->again;
      box->again = false;
      if (again)
        read_all(s, box);
      else
        end(s, box);
      break;
    }
    case BOX_PAUSING:
    case BOX_READING:
    case BOX_OPENING:
    case BOX_VERIFYING:
    case BOX_PINNING:
    case BOX_DELIVERING:
      break;
  }
}

/* Is it about this address, and by the name under which it was stored? */
static bool is_for(const struct mailbox *box, const struct record_layout *inner) {
  char text[XML_CANONICAL_BYTES_MAX + 16], escaped[6 * (XML_CANONICAL_BYTES_MAX + 16)];
  struct buf key = buf_over(text, sizeof text), again = buf_over(escaped, sizeof escaped);
  struct record_layout outer;
  message_put_key(&key, box->address);
  xml_put_text(&again, buf_slice(&key));
  return !key.overflow && !again.overflow && read_item(box, &outer) && !inner->removed &&
         slice_equal(inner->key_text, buf_slice(&again)) && slice_equal(inner->nonce, outer.nonce);
}

/* ERR_SYNTAX: it is no letter. */
static enum err read_letter(struct node *node, struct mailbox *box, struct slice plain) {
  struct record_layout layout;
  const char *why;
  if (plain.len == 0) return ERR_SYNTAX;
  box->letter = memory_take(node->config.memory, plain.len);
  if (box->letter == NULL) return ERR_MEMORY;
  memcpy(box->letter, plain.at, plain.len);
  box->letter_len = plain.len;
  if (record_layout_read(slice_of(box->letter, box->letter_len), &layout, &why) != OK ||
      !is_for(box, &layout))
    return ERR_SYNTAX;
  box->work_len = layout.content.len + 1;
  box->work = memory_take(node->config.memory, box->work_len);
  if (box->work == NULL) return ERR_MEMORY;
  struct buf work = buf_over(box->work, box->work_len);
  box->message = (struct message){.to = box->address, .id = layout.nonce};
  box->signer = (struct write_signer){.key = layout.signer};
  return message_read_value(layout.content, &work, &box->message) &&
                 slice_starts(box->message.from, SLICE("sip:"))
             ? OK
             : ERR_SYNTAX;
}

void mailbox_on_unsealed(struct step *s, struct mailbox *box, enum err status, struct slice plain) {
  struct node *node = s->node;
  if (box->stage != BOX_OPENING) return;
  if (status == ERR_NOT_FOUND) { /* another home of the user may have the key */
    box->passed = box->item[box->at].version;
    next(s, box);
    return;
  }
  if (status == OK) status = read_letter(node, box, plain);
  if (status == ERR_REFUSED || status == ERR_SYNTAX) {
    remove_item(s, box); /* it never opens, or is none */
    return;
  }
  if (status != OK) {
    pause(s, box);
    return;
  }
  box->stage = BOX_VERIFYING;
  struct output *out = outbox_add(s->out, OUT_VERIFY);
  out->ticket = ticket_of(node, box);
  out->data = outbox_copy(s->out, slice_of(box->letter, box->letter_len));
}

/* ---- is it the sender's? (R-13.3) ---- */

static void deliver(struct step *s, struct mailbox *box) {
  const struct edge_mail mail = {.from = box->message.from,
                                 .id = box->message.id,
                                 .type = box->message.type,
                                 .body = box->message.body,
                                 .sent = box->message.sent};
  box->stage = BOX_DELIVERING;
  if (!edge_deliver(s->node->edge, s->now, ticket_of(s->node, box), box->address, &mail, s->out))
    release(s, box); /* nobody is here any more */
}

static void judge(struct step *s, struct mailbox *box, const struct write_pin *pin) {
  const struct write_request request = {.key_text = box->message.from, .owner = box->signer.key};
  const char *why = NULL;
  switch (write_judge(s->node->config.policy, &request, &box->signer, pin,
                      node_wall(s->node, s->now), &why)) {
    case WRITE_ALLOWED:
      deliver(s, box);
      break;
    case WRITE_REFUSED:
      remove_item(s, box); /* */
      break;
    case WRITE_UNSURE:
      pause(s, box);
      break;
  }
}

void mailbox_on_verified(struct step *s, struct mailbox *box, const struct verified *verified) {
  struct pin_facts facts = {.pin = {.state = WRITE_PIN_NONE}};
  struct key signer = box->signer.key;
  if (box->stage != BOX_VERIFYING) return;
  if (verified->status == ERR_REFUSED) {
    remove_item(s, box);
    return;
  }
  if (verified->status != OK) {
    pause(s, box);
    return;
  }
  pins_signer(&signer, verified, &box->signer);
  const struct write_request request = {.key_text = box->message.from, .owner = signer};
  enum write_mode mode = s->node->config.policy;
  box->stage = BOX_PINNING;
  if (write_needs_pin(mode, &request, &box->signer) &&
      !pins_ask(s, write_address(mode, request.key_text), ticket_of(s->node, box), &facts)) {
    box->signer.name_count = 0; /* the names end with this step; only a pin decides now */
    return;
  }
  judge(s, box, &facts.pin);
}

void mailbox_on_pin(struct step *s, struct mailbox *box, const struct pin_facts *facts) {
  if (box->stage == BOX_PINNING) judge(s, box, &facts->pin);
}

/* ---- the phone's answer (R-13.11) ---- */

static bool is_for_good(uint16_t status) {
  return (status >= 200 && status < 300) || status == 413 || status == 415 || status == 488 ||
         status >= 600;
}

void mailbox_on_delivered(struct step *s, uint64_t ticket, uint16_t status) {
  struct mailbox *box = mailbox_of(s->node, ticket);
  if (box == NULL || box->stage != BOX_DELIVERING) return;
  if (!is_for_good(status)) {
    late_end(s->node, box->address);
    release(s, box);
    return;
  }
  notice_send(s, &box->message, status < 300);
  remove_item(s, box);
}

void mailbox_on_timer(struct step *s, struct mailbox *box) {
  if (box->stage != BOX_PAUSING) return;
  box->again = false;
  read_all(s, box);
}
