/* SPDX-License-Identifier: BSD-2-Clause */
/* What this peer wants from the ring: it asks, asks again elsewhere when a hop is silent or busy,
 * and gives up at the deadline. */
#include "node/errand.h"
#include "base/assert.h"
#include "locser/convert.h"
#include "node/look.h"
#include "usage/location.h"
#include "usage/message.h"

/* The first try may take this long before another is made beside it, so that a path that died
 * behind the first hop costs no more; each further one longer, since all may just be slow. What was
 * given up may still answer. */
#define TRY_TIMEOUT MSEC(2500)
#define LOOK_SILENCES 1u /* */
#define LOOK_REFUSALS 2u

uint64_t errand_ticket(const struct node *node, const struct errand *errand) {
  return tag_handle(TAG_ERRAND, pool_handle_of(&node->errands, errand), 0);
}

struct errand *errand_of(const struct node *node, uint64_t ticket) {
  return tag_of(ticket) == TAG_ERRAND ? ticket_object(&node->errands, ticket) : NULL;
}

/* ---- opening and closing ---- */

static size_t strings_len(struct slice key_text, const struct contact *contact) {
  size_t len = key_text.len;
  if (contact == NULL) return len;
  len += contact->uri.len + contact->instance.len;
  for (unsigned i = 0; i < contact->path_count; i++) len += contact->path[i].len;
  return len;
}

static struct slice put_string(char **at, struct slice s) {
  if (s.len > 0) memcpy(*at, s.at, s.len);
  struct slice copy = slice_of(*at, s.len);
  *at += s.len;
  return copy;
}

bool errand_set_strings(struct node *node, struct errand *errand, struct slice key_text,
                        const struct contact *contact) {
  size_t len = strings_len(key_text, contact);
  char *text = len > 0 ? memory_take(node->config.memory, len) : NULL;
  if (text == NULL) return false;
  char *at = text;
  struct slice key_copy = put_string(&at, key_text);
  if (contact != NULL) {
    struct contact copy = *contact;
    copy.uri = put_string(&at, contact->uri);
    copy.instance = put_string(&at, contact->instance);
    for (unsigned i = 0; i < contact->path_count; i++) {
      copy.path[i] = put_string(&at, contact->path[i]);
    }
    errand->contact = copy;
  }
  memory_give(node->config.memory, errand->text, errand->text_len);
  errand->text = text;
  errand->text_len = len;
  errand->key_text = key_copy;
  return true;
}

struct errand *errand_open(struct step *s, enum errand_kind kind, enum errand_for for_whom,
                           uint64_t user, struct slice key_text, const struct contact *contact) {
  struct node *node = s->node;
  struct handle handle;
  struct key key;
  if (locser_key_of(node->config.crypto, key_text, &key) != OK) return NULL;
  struct errand *errand = pool_take(&node->errands, &handle);
  if (errand == NULL) return NULL;
  errand->kind = kind;
  errand->for_whom = for_whom;
  errand->user = user;
  errand->key = key;
  errand->started_at = s->now;
  errand->deadline = s->now + node->config.lookup_timeout_us * (PLANTED(11) ? 1000 : 1);
  if (!errand_set_strings(node, errand, key_text, contact)) {
    pool_give(&node->errands, handle);
    return NULL;
  }
  errand->timer.owner = errand_ticket(node, errand);
  timers_set(&node->timers, &errand->timer, errand->deadline);
  return errand;
}

static void drop_body(struct node *node, struct errand *errand) {
  memory_give(node->config.memory, errand->body, errand->body_len);
  memory_give(node->config.memory, errand->record, errand->record_count * sizeof *errand->record);
  errand->record = NULL;
  errand->record_count = 0;
  errand->held = false;
  errand->body = NULL;
  errand->body_len = 0;
}

bool errand_set_body(struct node *node, struct errand *errand, struct slice body) {
  char *copy = memory_take(node->config.memory, body.len > 0 ? body.len : 1);
  if (copy == NULL) return false;
  if (body.len > 0) memcpy(copy, body.at, body.len);
  drop_body(node, errand);
  errand->body = copy;
  errand->body_len = body.len > 0 ? body.len : 1;
  return true;
}

void errand_close(struct node *node, struct errand *errand) {
  timers_clear(&node->timers, &errand->timer);
  drop_body(node, errand);
  look_free(node, errand);
  memory_give(node->config.memory, errand->text, errand->text_len);
  memory_give(node->config.memory, errand->hops, TRACE_HOPS_MAX * sizeof *errand->hops);
  pool_give(&node->errands, pool_handle_of(&node->errands, errand));
}

void errand_fail(struct step *s, struct errand *errand, uint16_t status, const char *text) {
  errand_finish(s, errand, status, text, SLICE_EMPTY);
}

/* ---- asking ---- */

static void ask_later(struct step *s, struct errand *errand, usec pause) {
  if (s->now + pause >= errand->deadline || errand->tries >= TRIES_MAX) {
    errand_fail(s, errand, 503, "no peer could answer before the deadline");
    return;
  }
  errand->waiting = true;
  timers_set(&s->node->timers, &errand->timer, s->now + pause);
}

static usec short_pause(struct node *node) { return rng_between(&node->rng, MSEC(50), MSEC(150)); }

static const char *method_of(const struct errand *errand) {
  switch (errand->kind) {
    case ERRAND_GET:
      break;
    case ERRAND_PUT:
      if (errand->stage == STAGE_WRITING) return xml_method_name(XML_PUT_AUTH);
      break;
    case ERRAND_CERTIFY:
    case ERRAND_STORE:
      if (errand->stage == STAGE_WRITING) return xml_method_name(XML_PUT_AUTH);
      break;
    case ERRAND_REMOVE:
      if (errand->stage == STAGE_WRITING) return xml_method_name(XML_REMOVE_AUTH);
      break;
    case ERRAND_TELL:
      return xml_method_name(errand->watch ? XML_EVENT_WATCH : XML_EVENT_NOTIFY);
    case ERRAND_RECORD:
      return xml_method_name(XML_PUT_AUTH);
    case ERRAND_GET_IMMUT:
      return xml_method_name(XML_GET_IMMUT);
    case ERRAND_PUT_IMMUT:
      return xml_method_name(XML_PUT_IMMUT);
    case ERRAND_ROUTE:
      return xml_method_name(XML_OVERLAY_ROUTE);
    case ERRAND_TRACE:
      return xml_method_name(XML_OVERLAY_TRACE);
  }
  return xml_method_name(XML_GET);
}

static void ask_peer(struct step *s, struct errand *errand, const struct peer *to, bool final) {
  struct own_request own = {
      .kind = HOP_ERRAND,
      .user = tag_handle(TAG_ERRAND, pool_handle_of(&s->node->errands, errand), ++errand->tries),
      .to = to,
      .target = {.key = errand->key, .final = final},
      .body = slice_of(errand->body, errand->body_len),
      .method = method_of(errand),
      .deadline = errand->deadline,
      .redirect = errand->kind == ERRAND_TRACE,
  };
  if (errand->kind == ERRAND_TELL)
    own.target = (struct locser_target){.key = to->id, .direct = true};
  /* */
  if (slice_starts_nocase(errand->key_text, SLICE("sip:"))) own.uri = errand->key_text;
  errand->asked = *to;
  errand->asked_at = s->now;
  usec patience = (errand->slow_tries + 1) * TRY_TIMEOUT;
  timers_set(&s->node->timers, &errand->timer, usec_min(errand->deadline, s->now + patience));
  if (!forward_own(s, &own)) ask_later(s, errand, short_pause(s->node));
}

static void ask(struct step *s, struct errand *errand) {
  struct node *node = s->node;
  errand->waiting = false;
  timers_set(&node->timers, &errand->timer, errand->deadline);
  if (!overlay_is_member(node->overlay)) {
    ask_later(s, errand, MSEC(200));
  } else if (errand->kind == ERRAND_TELL) {
    ask_peer(s, errand, &errand->to, false);
  } else if (overlay_is_responsible(node->overlay, &errand->key)) {
    const struct reply_to to = {.errand = errand_ticket(node, errand)};
    const struct locser_target target = {.has_key = true, .key = errand->key};
    errand->tries++;
    errand->asked = node->self;
    errand->asked_at = s->now;
    if (errand->stage == STAGE_ROUTING) {
      errand_finish(s, errand, 200, NULL, SLICE_EMPTY);
      return;
    }
    execute_request(s, &to, &target, slice_of(errand->body, errand->body_len));
  } else {
    struct peer next;
    bool final;
    if (forward_next_hops(s, &errand->key, errand->avoid, errand->avoid_count, &next, 1, &final) ==
        0) {
      errand->avoid_count = 0; /* everybody was silent: they may be back */
      ask_later(s, errand, short_pause(node));
    } else {
      ask_peer(s, errand, &next, final);
    }
  }
}

void errand_ask(struct step *s, struct errand *errand, enum errand_stage stage, struct slice body) {
  if (!errand_set_body(s->node, errand, body)) {
    errand_fail(s, errand, 503, "this peer has no memory for the request");
    return;
  }
  errand->stage = stage;
  errand->first_try = errand->tries + 1;
  errand->avoid_count = 0;
  ask(s, errand);
}

static void route(struct step *s, struct errand *errand) {
  struct xml_overlay self = {.present = true};
  self.peer[self.peer_count++] = (struct xml_peer){.role = XML_PEER_SELF, .peer = s->node->self};
  enum xml_method method = errand->kind == ERRAND_TRACE ? XML_OVERLAY_TRACE : XML_OVERLAY_ROUTE;
  size_t mark = outbox_mark(s->out);
  xml_put_call(&s->out->bytes, method, NULL, 0, &self);
  errand_ask(s, errand, STAGE_ROUTING, outbox_text(s->out, mark));
}

/* R-4.x: a put's version follows the clock and outdoes what was seen. */
uint64_t errand_next_version(const struct step *s, const struct errand *errand) {
  uint64_t by_clock = node_wall(s->node, s->now) * 256;
  uint64_t by_sight = errand->version + 256;
  return by_clock > by_sight ? by_clock : by_sight;
}

bool errand_put_key(struct step *s, struct errand *errand, struct buf *out) {
  if (xml_key_canonical(errand->key_text, out) == OK && !out->overflow) return true;
  errand_fail(s, errand, 400, "the address is no key");
  return false;
}

void errand_sign(struct step *s, struct errand *errand, struct slice address,
                 struct slice unsigned_record) {
  errand->stage = STAGE_SIGNING;
  struct output *out = outbox_add(s->out, OUT_SIGN);
  out->ticket = errand_ticket(s->node, errand);
  out->data = unsigned_record;
  out->text = outbox_copy(s->out, address);
}

static void sign(struct step *s, struct errand *errand) {
  struct node *node = s->node;
  char aor_text[XML_CANONICAL_BYTES_MAX];
  struct buf aor = buf_over(aor_text, sizeof aor_text);
  if (!errand_put_key(s, errand, &aor)) return;
  size_t mark = outbox_mark(s->out);
  if (errand->kind == ERRAND_REMOVE) {
    location_put_removal(&s->out->bytes, node->config.crypto, buf_slice(&aor), &errand->contact,
                         errand->version, errand->floor);
  } else {
    errand->version = errand_next_version(s, errand);
    msec_wall expires = location_record_expires(node_wall(node, s->now), errand->granted_s);
    location_put_record(&s->out->bytes, node->config.crypto, buf_slice(&aor), &errand->contact,
                        errand->version, expires, expires);
  }
  errand_sign(s, errand, buf_slice(&aor), outbox_text(s->out, mark));
}

void errand_sign_contact(struct step *s, struct errand *errand) { sign(s, errand); }

/* ---- whose address is it? (R-6.34, R-6.36) ---- */

void errand_wait_for_pin(struct step *s, struct errand *errand, struct slice address) {
  struct pin_facts facts;
  errand->stage = STAGE_PINNING;
  timers_set(&s->node->timers, &errand->timer, errand->deadline);
  errand->recalled = pins_ask(s, address, errand_ticket(s->node, errand), &facts);
  if (errand->recalled) errand_on_pin(s, errand, &facts);
}

/* A contact is put after the certificates of its address. */
static void put(struct step *s, struct errand *errand) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  if (!errand_put_key(s, errand, &key)) return;
  if (s->node->config.policy == WRITE_LABORATORY || !slice_starts(buf_slice(&key), SLICE("sip:")))
    sign(s, errand);
  else
    errand_wait_for_pin(s, errand, slice_skip(buf_slice(&key), 4));
}

static void put_on_pin(struct step *s, struct errand *errand, const struct pin_facts *facts) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  bool open = s->node->config.policy == WRITE_OPEN;
  if (!errand_put_key(s, errand, &key)) return;
  struct slice address = slice_skip(buf_slice(&key), 4);
  switch (facts->pin.state) {
    case WRITE_PIN_NONE:
      errand->stage = STAGE_CERTIFYING;
      if (!certify_begin(s, address, 0, FOR_ERRAND, errand_ticket(s->node, errand)))
        errand_fail(s, errand, 503, "this peer has as many requests of its own as it can");
      break;
    case WRITE_PIN_UNREACHABLE:
      if (open)
        errand_fail(s, errand, 503, "the certificate record of the address cannot be reached");
      else
        sign(s, errand);
      break;
    case WRITE_PIN_KNOWN:
      errand->holder = facts->pin.key;
      if (open) errand->pinned = facts->pin.key;
      if (certify_is_due(s, facts))
        (void)certify_begin(s, address, facts->pin.since, FOR_NOBODY, 0);
      sign(s, errand);
      break;
  }
}

void errand_on_certified(struct step *s, struct errand *errand, uint16_t status, const char *text) {
  if (errand->stage != STAGE_CERTIFYING) return;
  if (status == 200 || s->node->config.policy == WRITE_CLOSED)
    sign(s, errand); /* where a CA says who may write, the contact is judged by that alone */
  else
    errand_fail(s, errand, status, text);
}

void errand_on_user(struct step *s, struct errand *errand, const struct record *user,
                    struct slice signs, struct slice before) {
  if (errand->stage == STAGE_NAMING) certify_on_user(s, errand, user, signs, before);
}

/* A second look asks for all records of a key. */
static bool is_plain_get(const struct step *s, struct slice text) {
  struct xml_body body;
  const char *why;
  return xml_body_read(s->node->config.xml, text, &body, &why) == OK && body.method == XML_GET &&
         !body.record[0].has_owner && !body.overlay.has_after;
}

void errand_write(struct step *s, struct errand *errand, struct slice call) {
  errand_ask(s, errand, STAGE_WRITING, call);
}

void errand_start(struct step *s, struct errand *errand) {
  if (errand->for_whom == FOR_CLIENT) {
    struct operation *op = operation_of(s->node, errand->user);
    ASSERT(op != NULL);
    errand->looked = !is_plain_get(s, op->body);
    bool reads = errand->kind == ERRAND_GET || errand->kind == ERRAND_GET_IMMUT;
    if (errand->kind == ERRAND_GET) errand_ask_for_pin_too(s, errand);
    errand_ask(s, errand, reads ? STAGE_READING : STAGE_WRITING, op->body);
    return;
  }
  switch (errand->kind) {
    case ERRAND_GET:
    case ERRAND_GET_IMMUT:
    case ERRAND_REMOVE:
      errand_ask_for_pin_too(s, errand);
      errand_read(s, errand);
      break;
    case ERRAND_PUT:
      put(s, errand);
      break;
    case ERRAND_CERTIFY:
      certify_name(s, errand);
      break;
    case ERRAND_PUT_IMMUT: /* errand_write begins it */
      break;
    case ERRAND_STORE:
    case ERRAND_TELL:
      grant_sign(s, errand);
      break;
    case ERRAND_RECORD:
      errand_sign(s, errand, errand->contact.instance, outbox_copy(s->out, errand->contact.uri));
      break;
    case ERRAND_TRACE:
      errand->hops = memory_take(s->node->config.memory, TRACE_HOPS_MAX * sizeof *errand->hops);
      if (errand->hops == NULL) {
        errand_fail(s, errand, 503, "this peer has no memory for the trace");
        return;
      }
      errand->hops[errand->hop_count++] = (struct trace_hop){.peer = s->node->self};
      route(s, errand);
      break;
    case ERRAND_ROUTE:
      route(s, errand);
      break;
  }
}

/* The pin that was remembered may have been lost by the ring since, or have a successor.
 */
static bool puts_again(const struct step *s, const struct errand *errand) {
  return errand->kind == ERRAND_PUT && errand->for_whom != FOR_CLIENT &&
         s->node->config.policy == WRITE_OPEN && !errand->pinned_again;
}

static void put_again(struct step *s, struct errand *errand) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  if (!errand_put_key(s, errand, &key)) return;
  errand->pinned_again = true;
  errand->pinned = (struct key){0};
  drop_body(s->node, errand);
  pins_learn(s, slice_skip(buf_slice(&key), 4), NULL);
  put(s, errand);
}

bool errand_put_record(struct step *s, enum errand_for for_whom, uint64_t user,
                       struct slice address, struct slice signer, struct slice unsigned_record,
                       unsigned copies) {
  char text[XML_CANONICAL_BYTES_MAX + 16];
  struct buf key = buf_over(text, sizeof text);
  const struct contact contact = {.uri = unsigned_record, .instance = signer};
  message_put_key(&key, address);
  if (key.overflow) return false;
  struct errand *errand = errand_open(s, ERRAND_RECORD, for_whom, user, buf_slice(&key), &contact);
  if (errand == NULL) return false;
  errand->copies = copies;
  errand_start(s, errand);
  return true;
}

void errand_on_signed(struct step *s, struct errand *errand, enum err status, struct slice record) {
  if (errand->stage != STAGE_SIGNING) return;
  if (status != OK) {
    errand_fail(s, errand, 503, "the record could not be signed; see this peer's log");
    return;
  }
  struct xml_record read;
  const char *why;
  if (xml_record_read(s->node->config.xml, record, &read, &why) != OK) {
    errand_fail(s, errand, 500, "the signed record cannot be read");
    return;
  }
  if (errand->kind == ERRAND_REMOVE && !key_equal(&read.owner, &errand->owner)) {
    errand_fail(s, errand, 403,
                "the contact was stored by another peer, which alone can remove it");
    return;
  }
  if (errand->kind != ERRAND_REMOVE && !key_is_zero(&errand->pinned) &&
      !key_equal(&read.owner, &errand->pinned)) {
    errand->signer = read.owner;
    if (errand->recalled && puts_again(s, errand))
      put_again(s, errand);
    else if (!grant_look(s, errand))
      errand_fail(s, errand, 403, WRITE_OTHER_KEY);
    return;
  }
  errand->signer = read.owner;
  if (errand->kind == ERRAND_CERTIFY) errand->owner = read.owner;
  size_t mark = outbox_mark(s->out);
  enum xml_method method = read.removed ? XML_REMOVE_AUTH : XML_PUT_AUTH;
  if (errand->kind == ERRAND_TELL) method = errand->watch ? XML_EVENT_WATCH : XML_EVENT_NOTIFY;
  const struct xml_overlay wish = {.present = true, .copies = errand->copies};
  xml_put_call(&s->out->bytes, method, &record, 1, errand->copies > 0 ? &wish : NULL);
  errand_ask(s, errand, STAGE_WRITING, outbox_text(s->out, mark));
}

/* ---- answers ---- */

/* Is it worth a second look? What this peer answers itself is no lie; in a laboratory nobody can be
 * told from anybody. */
bool errand_may_look(const struct step *s, const struct errand *errand) {
  const struct node *node = s->node;
  return node->config.wary != NODE_TRUSTS && links_are_proven(node) && !errand->looked &&
         errand->for_whom != FOR_MAILBOX && /* */
         errand->kind != ERRAND_TRACE && errand->kind != ERRAND_TELL &&
         errand->kind != ERRAND_GET_IMMUT && errand->kind != ERRAND_PUT_IMMUT &&
         !peer_same(&errand->asked, &node->self);
}

void errand_on_pin(struct step *s, struct errand *errand, const struct pin_facts *facts) {
  if (errand->stage == STAGE_OWNING) {
    errand->unowned = facts->pin.state == WRITE_PIN_NONE;
    errand_fail(s, errand, 404, NULL);
    return;
  }
  if (errand->stage != STAGE_PINNING) return;
  if (errand->kind == ERRAND_CERTIFY)
    certify_on_pin(s, errand, facts);
  else if (errand->body != NULL)
    errand_read_on_pin(s, errand, facts);
  else
    put_on_pin(s, errand, facts);
}

static void on_trace_hop(struct step *s, struct errand *errand, uint16_t status,
                         const struct peer *next) {
  if (!peer_same(&errand->asked, &s->node->self)) {
    errand->hops[errand->hop_count++] =
        (struct trace_hop){.peer = errand->asked, .took_us = s->now - errand->asked_at};
  }
  if (status == 200) {
    errand_finish(s, errand, 200, NULL, SLICE_EMPTY);
  } else if (next == NULL) {
    errand_fail(s, errand, status, "a hop did not say where to go on");
  } else if (errand->hop_count == TRACE_HOPS_MAX) {
    errand_fail(s, errand, 483, "more hops than a trace shows");
  } else {
    ask_peer(s, errand, next, false);
  }
}

static void avoid_peer(struct errand *errand, const struct peer *peer) {
  if (!key_is_zero(&peer->id) && errand->avoid_count < ERRAND_AVOID_MAX)
    errand->avoid[errand->avoid_count++] = peer->id;
}

/* so many tries went wrong that somebody on the way may want them to. */
static bool looks_for_way(struct step *s, struct errand *errand, unsigned after) {
  return errand->tries - errand->first_try + 1 >= after && errand_may_look(s, errand) &&
         errand->for_whom != FOR_CLIENT && look_begin(s, errand, SLICE_EMPTY, false);
}

/* Whoever refuses says why, for people. */
static const char *fault_of(struct step *s, struct slice text) {
  struct xml_body body;
  const char *why;
  if (text.len == 0 || xml_body_read(s->node->config.xml, text, &body, &why) != OK || !body.fault)
    return NULL;
  char *copy = outbox_take(s->out, body.fault_text.len + 1);
  if (body.fault_text.len > 0) memcpy(copy, body.fault_text.at, body.fault_text.len);
  return copy;
}

/* this peer heard a moment ago that the key is the address's, and who refuses may be sure
 * of the one before. Where the pin was only asked for because of a refusal, that is no news. */
static bool is_ahead(struct step *s, const struct errand *errand) {
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  if (errand->for_whom == FOR_CLIENT || errand->kind == ERRAND_CERTIFY ||
      errand->stage != STAGE_WRITING || (errand->pinned_again && !errand->asked_for_grant) ||
      xml_key_canonical(errand->key_text, &key) != OK)
    return false;
  struct slice address = errand_address(s, buf_slice(&key));
  return address.len > 0 && pins_is_news(s, address, &errand->signer);
}

static void on_error(struct step *s, struct errand *errand, uint16_t status, struct slice body) {
  switch (status) {
    case 491:
      ask_later(s, errand, short_pause(s->node));
      break;
    case 410:
    case 482:
    case 483:
    case 503:
      if (looks_for_way(s, errand, LOOK_REFUSALS)) break;
      ask_later(s, errand, 2 * short_pause(s->node));
      break;
    case 404:
      if (errand->kind == ERRAND_TELL) {
        errand_fail(s, errand, 404, "the peer knows nothing of it");
        break;
      }
      if (errand->stage == STAGE_READING && errand_may_look(s, errand) &&
          look_begin(s, errand, SLICE_EMPTY, true))
        break;
      if (errand->stage == STAGE_READING &&
          (errand->kind == ERRAND_PUT || errand->kind == ERRAND_REMOVE))
        errand_take_contact(s, errand, SLICE_EMPTY);
      else
        errand_fail(s, errand, 404, "no live record under this key");
      break;
    case 412:
      if (errand->for_whom != FOR_CLIENT && errand->kind != ERRAND_TELL &&
          errand->kind != ERRAND_RECORD && !errand->learnt_version) {
        errand->learnt_version = true;
        errand_read(s, errand);
        break;
      }
      errand_fail(s, errand, 412, "a newer version of this record is stored");
      break;
    case 403:
      if (is_ahead(s, errand))
        ask_later(s, errand, 5 * short_pause(s->node));
      else if (puts_again(s, errand))
        put_again(s, errand);
      else if (!grant_look(s, errand))
        errand_fail(s, errand, status, fault_of(s, body));
      break;
    default:
      errand_fail(s, errand, status, fault_of(s, body));
      break;
  }
}

static bool is_asking(const struct errand *errand) {
  return errand->stage == STAGE_READING || errand->stage == STAGE_WRITING ||
         errand->stage == STAGE_ROUTING;
}

bool errand_wants(const struct errand *errand, unsigned try, uint16_t status) {
  if (!is_asking(errand) || try < errand->first_try) return false;
  return status == 200 || (try == errand->tries && !errand->waiting);
}

/* of the answer to overlay.route. */
static bool is_near_enough(const struct step *s, const struct errand *errand, struct slice text) {
  struct xml_body body;
  const char *why;
  if (xml_body_read(s->node->config.xml, text, &body, &why) != OK) return false;
  for (unsigned i = 0; i < body.overlay.peer_count; i++)
    if (body.overlay.peer[i].role == XML_PEER_SELF)
      return overlay_is_plausible(s->node->overlay, &errand->key, &body.overlay.peer[i].peer.id);
  return false;
}

void errand_on_answer(struct step *s, struct errand *errand, uint16_t status, struct slice body,
                      const struct peer *contact) {
  if (errand->waiting && status != 200) return; /* late answer to an earlier try */
  errand->waiting = false;
  timers_set(&s->node->timers, &errand->timer, errand->deadline);
  if (errand->kind == ERRAND_TRACE && (status == 200 || status == 302)) {
    on_trace_hop(s, errand, status, contact);
  } else if (status != 200) {
    bool looks = status == 404 && errand->stage == STAGE_READING && errand_may_look(s, errand);
    if (errand->for_whom == FOR_CLIENT && !looks && status != 491 && status != 503 &&
        status != 410 && status != 482 && status != 483) {
      errand_finish(s, errand, status, NULL, outbox_copy(s->out, body)); /* the peer's own words */
    } else {
      on_error(s, errand, status, body);
    }
  } else if (errand->stage == STAGE_READING) {
    errand_verify(s, errand, body);
  } else if (errand->kind == ERRAND_ROUTE && !is_near_enough(s, errand, body) &&
             errand_may_look(s, errand) && look_begin(s, errand, body, false)) {
    return;
  } else {
    if (errand->kind == ERRAND_CERTIFY) certify_done(s, errand);
    errand_finish(s, errand, 200, NULL, outbox_copy(s->out, body));
  }
}

void errand_on_silence(struct step *s, struct errand *errand, const struct peer *silent) {
  if (errand->waiting) return;
  errand->silences++;
  if (errand->kind == ERRAND_TRACE) {
    errand_fail(s, errand, 503, "a hop did not answer");
    return;
  }
  if (errand->kind == ERRAND_TELL && errand->silences > 1) {
    errand_fail(s, errand, 503, "the peer did not answer");
    return;
  }
  avoid_peer(errand, silent);
  if (s->now < errand->deadline && errand->stage == STAGE_READING &&
      looks_for_way(s, errand, LOOK_SILENCES))
    return;
  if (s->now >= errand->deadline || errand->tries >= TRIES_MAX) {
    errand_fail(s, errand, 503, "no peer could answer before the deadline");
  } else {
    ask(s, errand);
  }
}

static void read_again(struct step *s, struct errand *errand) {
  const struct operation *op = operation_of(s->node, errand->user);
  if (errand->for_whom == FOR_CLIENT && op != NULL)
    errand_ask(s, errand, STAGE_READING, op->body);
  else
    errand_read(s, errand);
}

/* Where to write, or who is responsible. */
static void looked_for_peer(struct step *s, struct errand *errand, const struct peer *responsible) {
  if (errand->kind == ERRAND_ROUTE) {
    struct xml_overlay self = {.present = true};
    self.peer[self.peer_count++] = (struct xml_peer){.role = XML_PEER_SELF, .peer = *responsible};
    size_t mark = outbox_mark(s->out);
    xml_put_answer(&s->out->bytes, -1, NULL, 0, &self);
    errand_finish(s, errand, 200, NULL, outbox_text(s->out, mark));
  } else {
    errand->stage = STAGE_WRITING;
    ask_peer(s, errand, responsible, true);
  }
}

void errand_looked(struct step *s, struct errand *errand, uint16_t status, struct slice body,
                   const struct peer *responsible) {
  timers_set(&s->node->timers, &errand->timer, errand->deadline);
  bool for_peer = responsible != NULL;
  if (status == 503 && s->now >= errand->deadline) {
    errand_fail(s, errand, 503, "no peer could answer before the deadline");
  } else if (for_peer && status == 200) {
    looked_for_peer(s, errand, responsible);
  } else if (for_peer) {
    errand->stage = errand->kind == ERRAND_ROUTE ? STAGE_ROUTING : STAGE_WRITING;
    ask_later(s, errand, short_pause(s->node));
  } else if (status == 503) {
    read_again(s, errand);
  } else if (status == 200) {
    errand_take_verified(s, errand, body);
  } else if (status == 404) {
    errand->stage = STAGE_READING;
    on_error(s, errand, 404, SLICE_EMPTY);
  } else {
    errand_fail(s, errand, 503, "no peer answered");
  }
}

void errand_on_timer(struct step *s, struct errand *errand) {
  if (errand->stage == STAGE_LOOKING) {
    look_on_timer(s, errand);
    return;
  }
  if (errand->stage == STAGE_OWNING) {
    errand_fail(s, errand, 404, NULL); /* whether anybody owns it is not known */
  } else if (errand->waiting && s->now < errand->deadline) {
    ask(s, errand);
  } else if (is_asking(errand) && s->now < errand->deadline) {
    struct peer slow = errand->asked; /* its way is long or stuck: another is tried beside it */
    errand->slow_tries++;
    errand_on_silence(s, errand, &slow);
  } else {
    errand_fail(s, errand, 503, "no peer could answer before the deadline");
  }
}
