/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands of the people who run this peer. */
#include "base/immutable.h"
#include "base/plant.h"
#include "locser/convert.h"
#include "node/mail.h"

#define COMMAND_ROWS_MAX 512u /* in one reply; a list that is longer says so in its text */
#define COMMAND_TEXT_BYTES_MAX 131072u
#define LEAVE_TIMEOUT SEC(8)

void command_reply_rows(struct step *s, uint64_t ticket, enum node_command_kind kind,
                        const struct node_row *rows, unsigned count) {
  struct node_row *copy = outbox_take(s->out, (count > 0 ? count : 1) * sizeof *copy);
  if (count > 0) memcpy(copy, rows, count * sizeof *copy);
  struct node_reply *reply = outbox_take(s->out, sizeof *reply);
  *reply = (struct node_reply){.kind = kind, .code = 200, .row_count = count, .row = copy};
  struct output *out = outbox_add(s->out, OUT_REPLY);
  out->ticket = ticket;
  out->reply = reply;
}

void command_reply_text(struct step *s, uint64_t ticket, enum node_command_kind kind, uint16_t code,
                        const char *text) {
  struct node_reply *reply = outbox_take(s->out, sizeof *reply);
  *reply = (struct node_reply){.kind = kind, .code = code, .text = slice_cstr(text)};
  struct output *out = outbox_add(s->out, OUT_REPLY);
  out->ticket = ticket;
  out->reply = reply;
}

static struct node_row number(const char *name, uint64_t n) {
  return (struct node_row){.text = slice_cstr(name), .has_number = true, .n = n};
}

static struct node_row text_row(const char *name, struct slice text) {
  return (struct node_row){.text = slice_cstr(name), .text2 = text};
}

static struct slice kind_of(const struct node *node) {
  switch (node->config.policy) {
    case WRITE_LABORATORY:
      return SLICE("laboratory");
    case WRITE_CLOSED:
      return SLICE("closed");
    case WRITE_OPEN:
      break;
  }
  return SLICE("open");
}

static void run_status(struct step *s, uint64_t ticket) {
  struct node *node = s->node;
  struct node_stats stats = node_stats(node);
  const char *state = node->leaving   ? "leaving"
                      : !stats.member ? "joining"
                      : stats.ready   ? "ready"
                                      : "member";
  const struct node_row rows[] = {
      {.text = SLICE("peer-id"), .key = node->self.id, .has_key = true, .at = node->self.at},
      text_row("overlay", node->config.overlay),
      text_row("overlay-kind", kind_of(node)),
      text_row("state", slice_cstr(state)),
      number("known-peers", stats.known_peers),
      number("records", stats.records),
      number("tombstones", stats.tombstones),
      number("record-bytes", stats.record_bytes),
      number("bindings", stats.bindings),
      number("transactions", stats.transactions),
      number("requests-in-flight", stats.hops),
      number("requests-waiting", stats.operations),
      number("messages-in", stats.messages_in),
      number("messages-out", stats.messages_out),
      number("bytes-in", stats.bytes_in),
      number("bytes-out", stats.bytes_out),
      number("forwarded", stats.forwarded),
      number("delivered", stats.delivered),
      number("originated", stats.originated),
      number("retries", stats.retries),
      number("refused", stats.refused),
      number("unproven", stats.unproven),
      number("not-allowed", stats.not_allowed),
      number("bad-messages", stats.bad),
#define LIMIT_ROW(id, name, text) number("limit-" name, stats.limit[id]),
      NODE_LIMITS(LIMIT_ROW)
#undef LIMIT_ROW
  };
  command_reply_rows(s, ticket, COMMAND_STATUS, rows, sizeof rows / sizeof rows[0]);
}

static struct node_row peer_row(const char *role, const struct peer *peer) {
  return (struct node_row){
      .text = slice_cstr(role), .key = peer->id, .has_key = true, .at = peer->at};
}

static void run_ring(struct step *s, uint64_t ticket) {
  struct node *node = s->node;
  struct node_row rows[OVERLAY_SUCCESSORS_MAX + 2];
  struct peer successors[OVERLAY_SUCCESSORS_MAX];
  unsigned count = 0;
  const struct peer *predecessor = overlay_predecessor(node->overlay);
  if (predecessor != NULL) rows[count++] = peer_row("predecessor", predecessor);
  rows[count++] = peer_row("self", &node->self);
  unsigned found = overlay_successors(node->overlay, successors, OVERLAY_SUCCESSORS_MAX);
  for (unsigned i = 0; i < found; i++) rows[count++] = peer_row("successor", &successors[i]);
  command_reply_rows(s, ticket, COMMAND_RING, rows, count);
}

static void run_peers(struct step *s, uint64_t ticket) {
  struct node *node = s->node;
  struct peer *peers = outbox_take(s->out, COMMAND_ROWS_MAX * sizeof *peers);
  struct node_row *rows = outbox_take(s->out, COMMAND_ROWS_MAX * sizeof *rows);
  unsigned count = overlay_known_peers(node->overlay, peers, COMMAND_ROWS_MAX);
  for (unsigned i = 0; i < count; i++) {
    struct peer peer = peers[i];
    peer.at.transport = (uint8_t)node->config.peer_transport;
    const struct link *link = links_find(&node->links, &peer);
    rows[i] = peer_row(link != NULL && link->silent ? "suspect" : "peer", &peers[i]);
    if (link != NULL) rows[i].n = link->rtt.srtt_us;
  }
  command_reply_rows(s, ticket, COMMAND_PEERS, rows, count);
}

static void run_records(struct step *s, uint64_t ticket) {
  struct node *node = s->node;
  struct node_row *rows = outbox_take(s->out, COMMAND_ROWS_MAX * sizeof *rows);
  struct record record;
  uint32_t cursor = 0;
  unsigned count = 0;
  while (count < COMMAND_ROWS_MAX && dht_each(node->dht, &cursor, &record)) {
    struct xml_record xml;
    const char *why;
    struct node_row *row = &rows[count++];
    *row = (struct node_row){.key = record.key,
                             .has_key = true,
                             .text2 = record.tombstone ? SLICE("removed") : SLICE("live"),
                             .n = record.version,
                             .n2 = record.expires,
                             .n3 = record.bytes.len};
    if (xml_record_read(node->config.xml, record.bytes, &xml, &why) == OK) {
      row->text = outbox_copy(s->out, xml.key_text);
    }
  }
  command_reply_rows(s, ticket, COMMAND_RECORDS, rows, count);
}

static void run_bindings(struct step *s, uint64_t ticket) {
  struct node_row *rows = outbox_take(s->out, COMMAND_ROWS_MAX * sizeof *rows);
  struct edge_binding binding;
  size_t bytes = 0;
  uint32_t cursor = 0;
  unsigned count = 0;
  while (count < COMMAND_ROWS_MAX && bytes < COMMAND_TEXT_BYTES_MAX &&
         edge_each_binding(s->node->edge, &cursor, &binding)) {
    rows[count++] = (struct node_row){.text = outbox_copy(s->out, binding.aor),
                                      .text2 = outbox_copy(s->out, binding.contact.uri),
                                      .at = binding.source,
                                      .n = binding.contact.expires};
    bytes += binding.aor.len + binding.contact.uri.len;
  }
  command_reply_rows(s, ticket, COMMAND_BINDINGS, rows, count);
}

/* ---- presence (R-12.11) ---- */

/* "sip:bob@example.net" in its canonical form; empty, and answered: it is no address. */
static struct slice read_address(struct step *s, uint64_t ticket, enum node_command_kind kind,
                                 struct slice uri) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  if (xml_key_canonical(uri, &key) == OK && !key.overflow &&
      slice_starts(buf_slice(&key), SLICE("sip:")))
    return outbox_copy(s->out, buf_slice(&key));
  command_reply_text(s, ticket, kind, 400, "not an address such as sip:bob@example.net");
  return SLICE_EMPTY;
}

static void run_presence(struct step *s, uint64_t ticket, struct slice uri) {
  struct slice aor = read_address(s, ticket, COMMAND_PRESENCE, uri);
  if (aor.len == 0) return;
  const struct node_row row = {
      .text = edge_presence(s->node->edge, s->now, node_wall(s->node, s->now), aor, s->out)};
  if (row.text.len > 0)
    command_reply_rows(s, ticket, COMMAND_PRESENCE, &row, 1);
  else
    command_reply_text(s, ticket, COMMAND_PRESENCE, 404,
                       "nobody registered here has this address, and nobody here watches it");
}

static void run_watchers(struct step *s, uint64_t ticket, struct slice uri) {
  static const char *const states[] = {"active", "pending", "blocked"};
  struct slice aor = read_address(s, ticket, COMMAND_WATCHERS, uri);
  struct edge_watcher watcher;
  uint32_t cursor = 0;
  unsigned count = 0;
  if (aor.len == 0) return;
  struct node_row *rows = outbox_take(s->out, COMMAND_ROWS_MAX * sizeof *rows);
  msec_wall wall = node_wall(s->node, s->now);
  while (count < COMMAND_ROWS_MAX && edge_each_watcher(s->node->edge, aor, &cursor, &watcher)) {
    usec left = watcher.expires_at > s->now ? watcher.expires_at - s->now : 0;
    rows[count++] = (struct node_row){.text = outbox_copy(s->out, watcher.aor),
                                      .text2 = slice_cstr(states[watcher.decision]),
                                      .at = watcher.at,
                                      .n = wall + left / 1000};
  }
  command_reply_rows(s, ticket, COMMAND_WATCHERS, rows, count);
}

static void run_decide(struct step *s, uint64_t ticket, const struct node_command *command) {
  struct slice aor = read_address(s, ticket, command->kind, command->uri);
  struct slice watcher =
      aor.len == 0 ? aor : read_address(s, ticket, command->kind, command->contact);
  struct edge_calls calls;
  calls.count = 0;
  if (watcher.len == 0) return;
  if (command->needs_proof && !edge_may_decide(s->node->edge, aor, command->proof)) {
    command_reply_text(
        s, ticket, command->kind, 403,
        "the proof is not the tag of a subscription to presence.winfo of the address");
    return;
  }
  enum event_decision decision = command->kind == COMMAND_ALLOW ? EVENT_ALLOW
                                 : command->kind == COMMAND_ASK ? EVENT_ASK
                                                                : EVENT_BLOCK;
  enum err err = edge_decide(s->node->edge, s->now, node_wall(s->node, s->now), aor, watcher,
                             decision, &calls, s->out);
  pump_edge(s, &calls);
  if (err == OK)
    command_reply_rows(s, ticket, command->kind, NULL, 0);
  else
    command_reply_text(s, ticket, command->kind, 503, "no room for one more rule of this address");
}

static void run_errand(struct step *s, uint64_t ticket, const struct node_command *command,
                       enum errand_kind kind) {
  const struct contact contact = {.uri = command->contact, .q_permille = 1000};
  bool has_contact = kind == ERRAND_PUT || kind == ERRAND_REMOVE;
  struct sip_uri uri;
  if (has_contact && sip_uri_parse(command->contact, &uri) != OK) {
    command_reply_text(s, ticket, command->kind, 400, "the contact is not a URI");
    return;
  }
  struct key key;
  if (locser_key_of(s->node->config.crypto, command->uri, &key) != OK) {
    command_reply_text(s, ticket, command->kind, 400, "not an address such as sip:bob@example.net");
    return;
  }
  struct errand *errand =
      errand_open(s, kind, FOR_COMMAND, ticket, command->uri, has_contact ? &contact : NULL);
  if (errand == NULL) {
    command_reply_text(s, ticket, command->kind, 503,
                       "this peer carries out as many commands as it can");
    return;
  }
  errand->command = command->kind;
  errand->granted_s = command->expires_s > 0 ? command->expires_s : 3600;
  if (kind == ERRAND_PUT) {
    errand->contact.expires = node_wall(s->node, s->now) + (msec_wall)errand->granted_s * 1000;
  }
  errand_start(s, errand);
}

#define IMMUTABLE_LIFE_S 86400u

static void run_put_immutable(struct step *s, uint64_t ticket, const struct node_command *command) {
  char key_bytes[IMMUTABLE_KEY_BYTES];
  struct buf key = buf_over(key_bytes, sizeof key_bytes);
  if (command->value.len == 0 || command->value.len > IMMUTABLE_BYTES_MAX) {
    command_reply_text(s, ticket, command->kind, 413, "an immutable value has 1 to 12000 bytes");
    return;
  }
  immutable_put_key(&key, s->node->config.crypto, command->value);
  struct errand *errand =
      errand_open(s, ERRAND_PUT_IMMUT, FOR_COMMAND, ticket, buf_slice(&key), NULL);
  if (errand == NULL) {
    command_reply_text(s, ticket, command->kind, 503,
                       "this peer carries out as many commands as it can");
    return;
  }
  errand->command = command->kind;
  uint32_t life_s = command->expires_s > 0 ? command->expires_s : IMMUTABLE_LIFE_S;
  size_t mark = outbox_mark(s->out);
  xml_put_immutable(&s->out->bytes, errand->key_text,
                    node_wall(s->node, s->now) + (msec_wall)life_s * 1000, command->value);
  struct slice record = outbox_text(s->out, mark);
  mark = outbox_mark(s->out);
  xml_put_call(&s->out->bytes, XML_PUT_IMMUT, &record, 1, NULL);
  errand_write(s, errand, outbox_text(s->out, mark));
}

static void run_store(struct step *s, uint64_t ticket, const struct node_command *command) {
  const struct contact value = {.uri = command->value};
  struct errand *errand = NULL;
  if (slice_starts(command->uri, SLICE("private:")) && command->value.len > 0)
    errand = errand_open(s, ERRAND_STORE, FOR_COMMAND, ticket, command->uri, &value);
  if (errand == NULL) {
    command_reply_text(s, ticket, command->kind, 400, "not private:ADDRESS, or no room");
    return;
  }
  errand->command = command->kind;
  errand_start(s, errand);
}

static bool publish_user(struct step *s, uint64_t ticket, struct slice uri) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  if (xml_key_canonical(uri, &key) != OK || key.overflow ||
      !slice_starts(buf_slice(&key), SLICE("sip:"))) {
    command_reply_text(s, ticket, COMMAND_PUBLISH, 400,
                       "not an address such as sip:bob@example.net");
    return true;
  }
  return certify_begin(s, slice_skip(buf_slice(&key), 4), 0, FOR_COMMAND, ticket);
}

static void run_publish(struct step *s, uint64_t ticket, struct slice uri) {
  if (uri.len > 0 ? !publish_user(s, ticket, uri) : !grant_publish(s, FOR_COMMAND, ticket))
    command_reply_text(s, ticket, COMMAND_PUBLISH, 503,
                       "this peer carries out as many commands as it can");
}

/* */
static void run_message(struct step *s, uint64_t ticket, const struct node_command *command) {
  char from_text[XML_CANONICAL_BYTES_MAX], to_text[XML_CANONICAL_BYTES_MAX],
      id_text[MESSAGE_ID_BYTES];
  struct buf from = buf_over(from_text, sizeof from_text), to = buf_over(to_text, sizeof to_text);
  struct buf id = buf_over(id_text, sizeof id_text);
  const struct slice sip = SLICE("sip:");
  if (xml_key_canonical(command->uri, &from) != OK || from.overflow ||
      xml_key_canonical(command->contact, &to) != OK || to.overflow ||
      !slice_starts(buf_slice(&from), sip) || !slice_starts(buf_slice(&to), sip) ||
      command->value.len == 0) {
    command_reply_text(s, ticket, command->kind, 400,
                       "two addresses such as sip:bob@example.net, and a text");
    return;
  }
  buf_put_hex64(&id, rng_u64(&s->node->rng), 16);
  buf_put_hex64(&id, rng_u64(&s->node->rng), 16);
  const struct message message = {.from = buf_slice(&from),
                                  .to = buf_slice(&to),
                                  .id = buf_slice(&id),
                                  .type = SLICE("text/plain;charset=UTF-8"),
                                  .body = command->value,
                                  .sent = node_wall(s->node, s->now)};
  letter_begin(s, LETTER_FOR_COMMAND, ticket, &message);
}

static void run_leave(struct step *s, uint64_t ticket) {
  struct node *node = s->node;
  if (node->leaving) {
    command_reply_text(s, ticket, COMMAND_LEAVE, 491, "this peer is leaving already");
    return;
  }
  node->leaving = true;
  node->leave_ticket = ticket;
  if (PLANTED(5) || !overlay_is_member(node->overlay)) { /* 5: gone before handing over */
    command_left(s, true);
    return;
  }
  struct dht_effects fx;
  fx.count = 0;
  dht_hand_over(node->dht, s->now, node_wall(node, s->now), s->now + LEAVE_TIMEOUT, &fx);
  pump_dht(s, &fx);
}

void command_left(struct step *s, bool handed_over) {
  struct node *node = s->node;
  if (!node->leaving) return;
  struct overlay_calls calls;
  calls.count = 0;
  overlay_leave(node->overlay, s->now, &calls, s->out);
  pump_overlay(s, &calls);
  if (handed_over)
    command_reply_rows(s, node->leave_ticket, COMMAND_LEAVE, NULL, 0);
  else
    command_reply_text(s, node->leave_ticket, COMMAND_LEAVE, 503,
                       "left, but not all records could be handed over: what no other peer has is "
                       "found again when this one is back");
}

void command_run(struct step *s, uint64_t ticket, const struct node_command *command) {
  switch (command->kind) {
    case COMMAND_STATUS:
      run_status(s, ticket);
      break;
    case COMMAND_RING:
      run_ring(s, ticket);
      break;
    case COMMAND_PEERS:
      run_peers(s, ticket);
      break;
    case COMMAND_RECORDS:
      run_records(s, ticket);
      break;
    case COMMAND_BINDINGS:
      run_bindings(s, ticket);
      break;
    case COMMAND_LOOKUP:
      run_errand(s, ticket, command, command->trace ? ERRAND_TRACE : ERRAND_ROUTE);
      break;
    case COMMAND_GET:
      run_errand(s, ticket, command, ERRAND_GET);
      break;
    case COMMAND_GET_IMMUT:
      if (immutable_is_key(command->uri))
        run_errand(s, ticket, command, ERRAND_GET_IMMUT);
      else
        command_reply_text(s, ticket, command->kind, 400, "not a key immut:HASH");
      break;
    case COMMAND_PUT_IMMUT:
      run_put_immutable(s, ticket, command);
      break;
    case COMMAND_PUT:
      run_errand(s, ticket, command, ERRAND_PUT);
      break;
    case COMMAND_REMOVE:
      run_errand(s, ticket, command, ERRAND_REMOVE);
      break;
    case COMMAND_FETCH:
      run_errand(s, ticket, command, ERRAND_GET);
      break;
    case COMMAND_STORE:
      run_store(s, ticket, command);
      break;
    case COMMAND_MESSAGE:
      run_message(s, ticket, command);
      break;
    case COMMAND_PUBLISH:
      run_publish(s, ticket, command->uri);
      break;
    case COMMAND_PRESENCE:
      run_presence(s, ticket, command->uri);
      break;
    case COMMAND_WATCHERS:
      run_watchers(s, ticket, command->uri);
      break;
    case COMMAND_ALLOW:
    case COMMAND_ASK:
    case COMMAND_BLOCK:
      run_decide(s, ticket, command);
      break;
    case COMMAND_LEAVE:
      run_leave(s, ticket);
      break;
  }
}
