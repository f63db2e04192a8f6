/* SPDX-License-Identifier: BSD-2-Clause */
/* What an errand got, handed to whoever wanted it. */
#include "base/assert.h"
#include "base/immutable.h"
#include "locser/convert.h"
#include "node/mail.h"
#include "sip/print.h"

static void copy_contact(struct step *s, struct contact *contact) {
  contact->uri = outbox_copy(s->out, contact->uri);
  contact->instance = outbox_copy(s->out, contact->instance);
  for (unsigned i = 0; i < contact->path_count; i++) {
    contact->path[i] = outbox_copy(s->out, contact->path[i]);
  }
}

/* Those of one record that live, after the first `count`. */
static unsigned add_contacts(struct step *s, const struct xml_record *record, struct contact *out,
                             unsigned count) {
  struct contact contacts[CONTACTS_MAX];
  unsigned found = 0;
  const char *why;
  msec_wall now = node_wall(s->node, s->now);
  if (xml_contacts_read(s->node->config.xml, record->value, contacts, &found, &why) != OK)
    return count;
  for (unsigned i = 0; i < found && count < CONTACTS_MAX; i++) {
    if (contacts[i].expires == 0) contacts[i].expires = record->expires;
    if (contacts[i].expires <= now) continue;
    copy_contact(s, &contacts[i]);
    out[count++] = contacts[i];
  }
  return count;
}

static unsigned held_contacts(struct step *s, const struct errand *errand, struct contact *out) {
  unsigned count = 0;
  size_t at = 0;
  for (unsigned i = 0; i < errand->record_count; i++) {
    struct xml_record record;
    const char *why;
    struct slice bytes = slice_of(errand->body + at, errand->record[i].len);
    at += bytes.len;
    if ((errand->refused >> i & 1) == 0 &&
        xml_record_read(s->node->config.xml, bytes, &record, &why) == OK)
      count = add_contacts(s, &record, out, count);
  }
  return count;
}

/* Contacts in the records of an answer that were not refused and live, copied into the outbox. */
static unsigned contacts_of(struct step *s, const struct errand *errand, struct slice text,
                            struct contact *out) {
  struct xml_body body;
  const char *why;
  unsigned count = 0;
  if (errand->held) return held_contacts(s, errand, out);
  if (xml_body_read(s->node->config.xml, text, &body, &why) != OK) return 0;
  for (unsigned i = 0; i < body.record_count; i++)
    if ((errand->refused >> i & 1) == 0) count = add_contacts(s, &body.record[i], out, count);
  return count;
}

bool errand_immutable(struct step *s, const struct errand *errand, struct slice text,
                      struct xml_record *out) {
  struct node *node = s->node;
  struct xml_body body;
  const char *why;
  if (xml_body_read(node->config.xml, text, &body, &why) != OK) return false;
  for (unsigned i = 0; i < body.record_count; i++) {
    struct key key;
    *out = body.record[i];
    if ((errand->refused >> i & 1) == 0 && out->immutable &&
        locser_key_of(node->config.crypto, out->key_text, &key) == OK &&
        key_equal(&key, &errand->key))
      return true;
  }
  return false;
}

static enum err err_of_status(uint16_t status) {
  if (status == 200) return OK;
  if (status == 404) return ERR_NOT_FOUND;
  return status == 503 ? ERR_BUSY : ERR_REFUSED;
}

static enum err err_of_location(const struct errand *errand, uint16_t status) {
  if (status == 404) return errand->unowned ? ERR_NOT_FOUND : OK;
  return err_of_status(status);
}

static void tell_edge_located(struct step *s, const struct errand *errand, uint16_t status,
                              const struct contact *contacts, unsigned count) {
  struct edge_calls calls;
  calls.count = 0;
  edge_on_located(s->node->edge, s->now, node_wall(s->node, s->now), errand->user,
                  err_of_location(errand, status), contacts, count, &calls, s->out);
  pump_edge(s, &calls);
}

/* nobody is there; has the address an owner? True: the answer comes later. */
static bool asks_for_owner(struct step *s, struct errand *errand, uint16_t status, unsigned count) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  struct pin_facts facts;
  bool nobody = status == 404 || (status == 200 && count == 0);
  if (errand->for_whom != FOR_EDGE_LOCATE || errand->stage == STAGE_OWNING || !nobody) return false;
  if (s->node->config.policy == WRITE_LABORATORY) return false; /* there are no owners */
  if (xml_key_canonical(errand->key_text, &key) != OK || key.overflow) return false;
  errand->stage = STAGE_OWNING;
  timers_set(&s->node->timers, &errand->timer, errand->deadline);
  struct slice address = slice_skip(buf_slice(&key), slice_find_byte(buf_slice(&key), ':') + 1);
  if (!pins_ask(s, address, errand_ticket(s->node, errand), &facts)) return true;
  errand->unowned = facts.pin.state == WRITE_PIN_NONE;
  return false;
}

/* Only 403 says that nothing will change by itself. */
static enum err err_of_bind(uint16_t status) {
  if (status == 200) return OK;
  return status == 403 ? ERR_REFUSED : ERR_BUSY;
}

static void tell_edge_bound(struct step *s, uint64_t user, enum errand_kind kind, uint16_t status,
                            const char *text) {
  if (kind == ERRAND_REMOVE && status == 404) status = 200; /* gone is gone */
  struct edge_calls calls;
  calls.count = 0;
  edge_on_bound(s->node->edge, s->now, node_wall(s->node, s->now), user, err_of_bind(status), text,
                &calls, s->out);
  pump_edge(s, &calls);
}

static uint32_t copies_of(struct step *s, struct slice text) {
  struct xml_body body;
  const char *why;
  if (xml_body_read(s->node->config.xml, text, &body, &why) != OK) return 0;
  return body.overlay.copies;
}

static void tell_command_contacts(struct step *s, const struct errand *errand,
                                  const struct contact *contacts, unsigned count) {
  struct node_row rows[CONTACTS_MAX];
  for (unsigned i = 0; i < count; i++) {
    rows[i] =
        (struct node_row){.text = contacts[i].uri,
                          .text2 = contacts[i].path_count > 0 ? contacts[i].path[0] : SLICE_EMPTY,
                          .n = contacts[i].expires,
                          .n2 = contacts[i].q_permille};
  }
  if (count == 0) {
    command_reply_text(s, errand->user, errand->command, 404, "no live contact is stored");
  } else {
    command_reply_rows(s, errand->user, errand->command, rows, count);
  }
}

static void tell_command_route(struct step *s, const struct errand *errand, struct slice text) {
  struct xml_body body;
  const char *why;
  struct node_row row = {.text = SLICE("responsible"), .n = s->now - errand->started_at};
  if (errand->tries > 0 && peer_same(&errand->asked, &s->node->self)) {
    row.key = s->node->self.id;
    row.at = s->node->self.at;
    row.has_key = true;
  } else if (xml_body_read(s->node->config.xml, text, &body, &why) == OK) {
    for (unsigned i = 0; i < body.overlay.peer_count; i++) {
      if (body.overlay.peer[i].role != XML_PEER_SELF) continue;
      row.key = body.overlay.peer[i].peer.id;
      row.at = body.overlay.peer[i].peer.at;
      row.has_key = true;
    }
  }
  command_reply_rows(s, errand->user, errand->command, &row, 1);
}

static void tell_command_trace(struct step *s, const struct errand *errand) {
  struct node_row rows[TRACE_HOPS_MAX];
  for (unsigned i = 0; i < errand->hop_count; i++) {
    rows[i] = (struct node_row){.key = errand->hops[i].peer.id,
                                .has_key = true,
                                .at = errand->hops[i].peer.at,
                                .n = errand->hops[i].took_us,
                                .n2 = i};
  }
  command_reply_rows(s, errand->user, errand->command, rows, errand->hop_count);
}

/* The value as base64, and until when it lives. */
static void tell_command_immutable(struct step *s, const struct errand *errand, struct slice text) {
  struct xml_record record;
  struct immutable_layout layout;
  const char *why;
  if (!errand_immutable(s, errand, text, &record) ||
      immutable_layout_read(record.bytes, &layout, &why) != OK) {
    command_reply_text(s, errand->user, errand->command, 503, "the answer cannot be read");
    return;
  }
  const struct node_row row = {.text = outbox_copy(s->out, layout.base64), .n = record.expires};
  command_reply_rows(s, errand->user, errand->command, &row, 1);
}

static void tell_command(struct step *s, const struct errand *errand, uint16_t status,
                         const char *text, struct slice body, const struct contact *contacts,
                         unsigned count) {
  if (status != 200) {
    command_reply_text(s, errand->user, errand->command, status,
                       text != NULL ? text : "the responsible peer refused");
    return;
  }
  struct node_row row = {.has_number = true, .n = 1};
  switch (errand->kind) {
    case ERRAND_GET:
      if (errand->command == COMMAND_FETCH)
        grant_tell_records(s, errand, body);
      else
        tell_command_contacts(s, errand, contacts, count);
      break;
    case ERRAND_PUT:
    case ERRAND_STORE:
    case ERRAND_TELL:
      row.n = copies_of(s, body); /* fall through */
    case ERRAND_REMOVE:
      row.text = errand->kind == ERRAND_REMOVE ? SLICE("removed") : SLICE("copies");
      command_reply_rows(s, errand->user, errand->command, &row, 1);
      break;
    case ERRAND_GET_IMMUT:
      tell_command_immutable(s, errand, body);
      break;
    case ERRAND_PUT_IMMUT:
      row.text = errand->key_text;
      row.n = copies_of(s, body);
      command_reply_rows(s, errand->user, errand->command, &row, 1);
      break;
    case ERRAND_RECORD:
    case ERRAND_CERTIFY:
      command_reply_rows(s, errand->user, errand->command, NULL, 0);
      break;
    case ERRAND_ROUTE:
      tell_command_route(s, errand, body);
      break;
    case ERRAND_TRACE:
      tell_command_trace(s, errand);
      break;
  }
}

/* A Path as the value of a Route inside a URI (RFC 3261 19.1.1: what is not an hvalue is escaped).
 */
static void put_escaped(struct buf *out, struct slice text) {
  static const char plain[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()";
  for (size_t i = 0; i < text.len; i++) {
    if (memchr(plain, text.at[i], sizeof plain - 1) != NULL) {
      buf_put_char(out, text.at[i]);
    } else {
      buf_put_char(out, '%');
      buf_put_hex(out, &text.at[i], 1);
    }
  }
}

static void put_contact_line(struct buf *out, const struct contact *contact, msec_wall now) {
  buf_put_cstr(out, "Contact: <");
  buf_put(out, contact->uri);
  for (unsigned i = 0; i < contact->path_count; i++) {
    bool has_headers = i > 0 || slice_find_byte(contact->uri, '?') < contact->uri.len;
    buf_put_cstr(out, has_headers ? "&Route=" : "?Route=");
    put_escaped(out, contact->path[i]);
  }
  unsigned q = contact->q_permille >= 1000 ? 1000 : contact->q_permille;
  buf_put_cstr(out, ">;q=");
  buf_put_char(out, (char)('0' + q / 1000));
  buf_put_char(out, '.');
  buf_put_char(out, (char)('0' + q / 100 % 10));
  buf_put_char(out, (char)('0' + q / 10 % 10));
  buf_put_char(out, (char)('0' + q % 10));
  buf_put_cstr(out, ";expires=");
  buf_put_u64(out, (contact->expires - now + 999) / 1000);
  buf_put_cstr(out, "\r\n");
}

/* the contacts once more, best q first, for servers that parse no XML. */
static struct slice contact_lines(struct step *s, const struct contact *contacts, unsigned count) {
  msec_wall now = node_wall(s->node, s->now);
  size_t mark = outbox_mark(s->out);
  bool written[CONTACTS_MAX] = {false};
  for (unsigned n = 0; n < count; n++) {
    unsigned best = count;
    for (unsigned i = 0; i < count; i++) {
      if (written[i]) continue;
      if (best == count || contacts[i].q_permille > contacts[best].q_permille) best = i;
    }
    written[best] = true;
    put_contact_line(&s->out->bytes, &contacts[best], now);
  }
  return outbox_text(s->out, mark);
}

/* What could not be asked is 503, never 404. */
static void tell_client(struct step *s, const struct errand *errand, uint16_t status,
                        const char *text, struct slice body, const struct contact *contacts,
                        unsigned count) {
  struct operation *op = operation_of(s->node, errand->user);
  if (op == NULL) return;
  struct reply_to to = op->to;
  to.head = outbox_copy(s->out, to.head);
  operation_close(s->node, op);
  if (status == 200) {
    reply_body(s, &to, 200, contact_lines(s, contacts, count), body);
  } else if (body.len > 0) {
    reply_body(s, &to, status, SLICE_EMPTY, body);
  } else if (status == 503) {
    reply_later(s, &to, text);
  } else {
    reply_fault(s, &to, status, text != NULL ? text : "refused", SLICE_EMPTY);
  }
}

/* what was signed by the key before counts no more, and a grant may have been made. */
static void renew_contacts(struct step *s, struct slice key_text) {
  char text[XML_CANONICAL_BYTES_MAX + 16];
  struct buf aor = buf_over(text, sizeof text);
  struct edge_calls calls;
  calls.count = 0;
  buf_put_cstr(&aor, "sip:");
  buf_put(&aor, slice_skip(key_text, slice_find_byte(key_text, ':') + 1));
  if (aor.overflow) return;
  edge_renew(s->node->edge, s->now, node_wall(s->node, s->now), buf_slice(&aor), &calls, s->out);
  pump_edge(s, &calls);
}

void errand_finish(struct step *s, struct errand *errand, uint16_t status, const char *text,
                   struct slice body) {
  struct contact contacts[CONTACTS_MAX];
  unsigned count = 0;
  bool contacts_wanted = errand->kind == ERRAND_GET && errand->for_whom != FOR_PIN &&
                         errand->for_whom != FOR_EDGE_FIND && errand->for_whom != FOR_LETTER &&
                         errand->for_whom != FOR_MAILBOX;
  if (status == 200 && contacts_wanted) {
    count = contacts_of(s, errand, body, contacts);
  }
  if (asks_for_owner(s, errand, status, count)) return;
  if (contacts_wanted) {
    outbox_trace(s->out, &(struct trace){.kind = TRACE_LOCATED,
                                         .at = s->now,
                                         .key = errand->key,
                                         .status = status,
                                         .a = errand->key_text,
                                         .n = count});
  }
  struct errand done = *errand; /* what follows may need its place in the pool */
  struct slice key_text = outbox_copy(s->out, errand->key_text);
  done.key_text = key_text;
  struct trace_hop hops[TRACE_HOPS_MAX];
  if (errand->hop_count > 0) memcpy(hops, errand->hops, errand->hop_count * sizeof *hops);
  done.hops = hops;
  errand_close(s->node, errand);
  switch (done.for_whom) {
    case FOR_PIN:
      pins_on_answer(s, done.user, key_text, status, body, done.refused);
      break;
    case FOR_GRANT: {
      struct errand *waiting = errand_of(s->node, done.user);
      if (waiting != NULL) grant_on_answer(s, waiting, status, body, done.refused);
      break;
    }
    case FOR_ERRAND: {
      struct errand *waiting = errand_of(s->node, done.user);
      if (waiting != NULL) errand_on_certified(s, waiting, status, text);
      break;
    }
    case FOR_LETTER: {
      struct letter *letter = letter_of(s->node, done.user);
      if (letter != NULL && done.kind == ERRAND_GET)
        letter_on_certificates(s, letter, status, body, done.refused);
      else if (letter != NULL)
        letter_on_written(s, letter, status, text);
      break;
    }
    case FOR_MAILBOX: {
      struct mailbox *box = mailbox_of(s->node, done.user);
      if (box != NULL && done.kind == ERRAND_GET)
        mailbox_on_records(s, box, status, body, done.refused);
      else if (box != NULL)
        mailbox_on_written(s, box, status);
      break;
    }
    case FOR_NOBODY:
      break;
    case FOR_EDGE_LOCATE:
      tell_edge_located(s, &done, status, contacts, count);
      break;
    case FOR_EDGE_FIND:
      presence_found(s, &done, status, body);
      break;
    case FOR_EDGE_TELL:
      presence_told(s, done.user, status);
      break;
    case FOR_EDGE_BIND:
      tell_edge_bound(s, done.user, done.kind, status, text);
      break;
    case FOR_COMMAND:
      tell_command(s, &done, status, text, body, contacts, count);
      if (done.kind == ERRAND_CERTIFY) renew_contacts(s, key_text);
      break;
    case FOR_CLIENT:
      tell_client(s, &done, status, text, body, contacts, count);
      break;
  }
}
