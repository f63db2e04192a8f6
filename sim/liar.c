/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/liar.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define ANSWER_BYTES 65536u
#define NAMED 8u        /* neighbours that a lie names */
#define INVENTED_BIT 96 /* invented ones are about 2^96 away from where they are wanted */
#define NOBODY 65000u   /* no peer has that number */

#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

uint8_t liar_draw(struct world *world) {
  const uint32_t *of = world->weather.of;
  if (dice(world, of[LIARS], 1000)) return LIE_MISROUTE | LIE_NEIGHBORS | LIE_STALE;
  unsigned lies = 0;
  if (dice(world, of[MISROUTERS], 1000)) lies |= LIE_MISROUTE;
  if (dice(world, of[DECEIVERS], 1000)) lies |= LIE_NEIGHBORS;
  if (dice(world, of[STALE], 1000)) lies |= LIE_STALE;
  if (dice(world, of[FORGERS], 1000)) lies |= LIE_FORGE;
  return (uint8_t)lies;
}

/* ---- reading what others ask ---- */

struct question {
  struct slice text;
  struct key key;
  bool routed, redirect, get, route;
};

static bool has(struct slice text, struct slice word) { return slice_find(text, word) < text.len; }

static bool read_question(const struct event *event, struct question *out) {
  struct slice text = slice_of(event->bytes, event->len);
  if (!slice_starts(text, SLICE("LOCSER "))) return false;
  struct slice line = slice_skip(text, slice_find(text, SLICE("\r\nOverlay-Key: ")) + 15);
  line = slice_first(line, slice_find_byte(line, '\r'));
  *out = (struct question){.text = text,
                           .routed = !has(line, SLICE(";direct")),
                           .redirect = has(text, SLICE("Request-Disposition: redirect")),
                           .get = has(text, SLICE("<methodName>get<")),
                           .route = has(text, SLICE("<methodName>overlay.route<"))};
  if (out->routed || !out->get) return key_parse(slice_first(line, KEY_HEX), &out->key);
  return true; /* what is asked of this very peer: the key is in the body alone */
}

/* ---- whom lies name ---- */

/* The liar that comes first after `key`, or, back, before it. */
static struct peer accomplice(const struct world *world, const struct key *key, bool back) {
  struct peer best = {0};
  struct key least = {{0}};
  for (uint32_t i = 0; i < world->peer_count; i++) {
    const struct sim_peer *peer = &world->peer[i];
    if (peer->lies == 0 || peer->state != PEER_UP || key_equal(&peer->id, key)) continue;
    struct key distance = back ? key_distance(&peer->id, key) : key_distance(key, &peer->id);
    if (peer_is(&best) && key_compare(&distance, &least) >= 0) continue;
    least = distance;
    best = (struct peer){peer->id, world_address(i), peer->life};
  }
  return best;
}

/* Somebody just after the key, or before it, who does not exist: at nobody's address, or at a
 * liar's, who cannot prove that Peer-ID. */
static struct peer invented(struct world *world, const struct key *key, bool back, unsigned nth) {
  const struct key zero = {{0}};
  struct key step = key_add_power(&zero, INVENTED_BIT + nth);
  struct peer peer = {.at = world_address(NOBODY + nth), .incarnation = 1};
  peer.id = back ? key_distance(&step, key) : key_add_power(key, INVENTED_BIT + nth);
  if (dice(world, 1, 2)) peer.at = accomplice(world, key, back).at;
  return peer;
}

/* ---- writing answers ---- */

static void put_peer(struct buf *out, const char *role, const struct peer *peer) {
  if (!peer_is(peer)) return;
  buf_put_char(out, '<');
  buf_put_cstr(out, role);
  buf_put_cstr(out, " id=\"");
  key_put(out, &peer->id);
  buf_put_cstr(out, "\" at=\"");
  endpoint_put(out, &peer->at);
  buf_put_cstr(out, "\" incarnation=\"");
  buf_put_u64(out, peer->incarnation);
  buf_put_cstr(out, "\"/>");
}

/* A state of the ring around this peer as it would have others believe it. */
static void put_state(struct world *world, uint32_t liar, const struct key *as,
                      struct slice records, struct buf *out) {
  const struct sim_peer *self = &world->peer[liar];
  const struct peer own = {*as, world_address(liar), self->life};
  bool invents = dice(world, 1, 2);
  struct peer before =
      invents ? invented(world, &self->id, true, 0) : accomplice(world, &self->id, true);
  buf_put_cstr(out, DECLARATION "<methodResponse><params>");
  buf_put(out, records);
  buf_put_cstr(out, "<param><overlay xmlns=\"urn:ietf:params:xml:ns:p2p-sip:overlay\">");
  put_peer(out, "self", &own);
  put_peer(out, "predecessor", &before);
  struct key at = self->id;
  for (unsigned i = 0; i < NAMED; i++) {
    struct peer next =
        invents ? invented(world, &self->id, false, i) : accomplice(world, &at, false);
    if (!peer_is(&next) || key_equal(&next.id, &self->id)) break;
    put_peer(out, "successor", &next);
    at = next.id;
  }
  buf_put_cstr(out, "</overlay></param></params></methodResponse>");
}

static void put_lengths(struct buf *out, struct slice body) {
  ASSERT(body.at != NULL);
  buf_put_cstr(out, "Content-Type: text/xml\r\nContent-Length: ");
  buf_put_u64(out, body.len);
  buf_put_cstr(out, "\r\n\r\n");
  buf_put(out, body);
}

/* The lines of a request that an answer repeats. */
static void put_repeated(struct buf *out, struct slice request) {
  static const struct slice names[] = {
      {"Via:", 4}, {"From:", 5}, {"To:", 3}, {"Call-ID:", 8}, {"CSeq:", 5}};
  for (struct slice rest = request; rest.len > 2;) {
    size_t end = slice_find_byte(rest, '\n') + 1;
    struct slice line = slice_first(rest, end);
    rest = slice_skip(rest, end);
    if (line.len <= 2) return;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
      if (!slice_starts(line, names[i])) continue;
      buf_put(out, slice_first(line, line.len - 2));
      if (i == 2 && !has(line, SLICE(";tag="))) buf_put_cstr(out, ";tag=liar");
      buf_put_cstr(out, "\r\n");
    }
  }
}

static void answer(struct world *world, const struct event *event, const char *status,
                   const struct peer *contact, struct slice body) {
  char *text = sim_take(ANSWER_BYTES);
  struct buf out = buf_over(text, ANSWER_BYTES);
  buf_put_cstr(&out, "SIP/2.0 ");
  buf_put_cstr(&out, status);
  buf_put_cstr(&out, "\r\n");
  put_repeated(&out, slice_of(event->bytes, event->len));
  if (contact != NULL) {
    buf_put_cstr(&out, "Contact: <sip:");
    key_put(&out, &contact->id);
    buf_put_char(&out, '@');
    endpoint_put(&out, &contact->at);
    buf_put_cstr(&out, ";transport=tls>\r\n");
  }
  put_lengths(&out, body);
  const struct output send = {
      .kind = OUT_SEND, .flow = event->flow, .peer = event->at, .data = buf_slice(&out)};
  if (!out.overflow) net_send(world, event->peer, &send);
  free(text);
}

static void answer_fault(struct world *world, const struct event *event, const char *status,
                         const char *code, const struct peer *contact) {
  char text[400];
  struct buf body = buf_over(text, sizeof text);
  buf_put_cstr(&body, DECLARATION
               "<methodResponse><fault><value><struct><member>"
               "<name>faultCode</name><value><int>");
  buf_put_cstr(&body, code);
  buf_put_cstr(&body,
               "</int></value></member><member><name>faultString</name><value><string>"
               "no</string></value></member></struct></value></fault></methodResponse>");
  answer(world, event, status, contact, buf_slice(&body));
}

static void answer_nothing(struct world *world, const struct event *event) {
  answer_fault(world, event, "404 Not Found", "404", NULL);
}

static void answer_records(struct world *world, const struct event *event,
                           const struct record *records, uint32_t count) {
  char *text = sim_take(ANSWER_BYTES), *all = sim_take(ANSWER_BYTES);
  struct buf body = buf_over(text, ANSWER_BYTES), parts = buf_over(all, ANSWER_BYTES);
  buf_put_cstr(&parts, "<param><dhtRecords xmlns=\"urn:ietf:params:xml:ns:dht\">");
  for (uint32_t i = 0; i < count; i++) buf_put(&parts, records[i].bytes);
  buf_put_cstr(&parts, "</dhtRecords></param>");
  put_state(world, event->peer, &world->peer[event->peer].id, buf_slice(&parts), &body);
  answer(world, event, "200 OK", NULL, buf_slice(&body));
  free(text);
  free(all);
}

static void answer_state(struct world *world, const struct event *event, const struct key *as) {
  char *text = sim_take(ANSWER_BYTES);
  struct buf body = buf_over(text, ANSWER_BYTES);
  put_state(world, event->peer, as, SLICE_EMPTY, &body);
  answer(world, event, "200 OK", NULL, buf_slice(&body));
  free(text);
}

/* ---- lies ---- */

/* The key of a record that this peer holds, named in the request by its address. */
static const struct record *held(const struct disk *disk, const struct question *question) {
  for (uint32_t i = 0; i < disk->count; i++) {
    const struct record *record = &disk->record[i];
    if (question->routed) {
      if (key_equal(&record->key, &question->key)) return record;
      continue;
    }
    struct slice key = slice_skip(record->bytes, slice_find(record->bytes, SLICE("<key")));
    key = slice_skip(key, slice_find_byte(key, '>') + 1);
    key = slice_first(key, slice_find_byte(key, '<'));
    if (key.len > 0 && has(question->text, key)) return record;
  }
  return NULL;
}

static bool gives_old(struct world *world, const struct event *event,
                      const struct question *question) {
  const struct sim_peer *peer = &world->peer[event->peer];
  const struct record *record = question->get ? held(&peer->disk, question) : NULL;
  struct record old[16];
  uint32_t count = 0;
  if (record == NULL) return false;
  for (uint32_t i = 0; i < peer->old_count && count < 16; i++)
    if (key_equal(&peer->old[i].key, &record->key)) old[count++] = peer->old[i];
  if (count > 0 || !question->routed)
    answer_records(world, event, old, count);
  else
    answer_nothing(world, event);
  return true;
}

/* "sip:u7@..." becomes "sip:x7@...": the signature is not of that. */
static bool forges(struct world *world, const struct event *event,
                   const struct question *question) {
  const struct record *record =
      question->get ? held(&world->peer[event->peer].disk, question) : NULL;
  if (record == NULL) return false;
  size_t at = slice_find(record->bytes, SLICE("<contact "));
  at += slice_find(slice_skip(record->bytes, at), SLICE(">sip:u"));
  if (at >= record->bytes.len) return false;
  struct record forged = *record;
  char *bytes = sim_take(record->bytes.len);
  memcpy(bytes, record->bytes.at, record->bytes.len);
  bytes[at + 5] = LIAR_MARK;
  forged.bytes = slice_of(bytes, record->bytes.len);
  answer_records(world, event, &forged, 1);
  free(bytes);
  return true;
}

/* Asked as somebody it has invented: it plays that peer, to whoever does not look at its key. */
static bool poses(struct world *world, const struct event *event, const struct question *question) {
  bool as_itself = key_equal(&question->key, &world->peer[event->peer].id);
  if (question->routed || question->get || as_itself) return false;
  answer_state(world, event, &question->key);
  return true;
}

static bool misroutes(struct world *world, const struct event *event,
                      const struct question *question) {
  if (!question->routed) return false;
  if (question->redirect) {
    struct peer next = dice(world, 1, 2) ? invented(world, &question->key, dice(world, 1, 2), 0)
                                         : accomplice(world, &question->key, dice(world, 1, 2));
    answer_fault(world, event, "302 Moved Temporarily", "302", &next);
  } else if (question->get && dice(world, 1, 2)) {
    answer_nothing(world, event);
  } else if (question->route && dice(world, 1, 2)) {
    answer_state(world, event, &world->peer[event->peer].id);
  } else {
    world->diverting = true;
    return false;
  }
  return true;
}

bool liar_takes(struct world *world, const struct event *event) {
  const struct sim_peer *peer = &world->peer[event->peer];
  struct question question;
  world->diverting = false;
  if (!world->lying || peer->lies == 0 || !read_question(event, &question)) return false;
  if ((peer->lies & LIE_STALE) != 0 && gives_old(world, event, &question)) return true;
  if ((peer->lies & LIE_FORGE) != 0 && forges(world, event, &question)) return true;
  if ((peer->lies & LIE_NEIGHBORS) != 0 && poses(world, event, &question)) return true;
  return (peer->lies & LIE_MISROUTE) != 0 && misroutes(world, event, &question);
}

/* To anybody but the one that the core chose. */
static void divert(struct world *world, uint32_t from, const struct output *out) {
  struct output other = *out;
  uint32_t to = (uint32_t)rng_below(&world->rng, world->peer_count);
  enum transport transport = (enum transport)out->peer.transport;
  other.peer = world_address(to);
  other.peer.transport = (uint8_t)transport;
  other.expect = world->peer[to].id;
  net_send(world, from, &other);
}

/* With what holds them; empty: there are none. */
static struct slice records_of(struct slice text) {
  struct slice from = slice_skip(text, slice_find(text, SLICE("<param><dhtRecords")));
  size_t end = slice_find(from, SLICE("</dhtRecords></param>"));
  return end < from.len ? slice_first(from, end + sizeof "</dhtRecords></param>" - 1) : SLICE_EMPTY;
}

static void send_state(struct world *world, uint32_t from, const struct output *out) {
  const struct sim_peer *peer = &world->peer[from];
  char *text = sim_take(ANSWER_BYTES), *state = sim_take(ANSWER_BYTES);
  struct buf message = buf_over(text, ANSWER_BYTES), body = buf_over(state, ANSWER_BYTES);
  struct output other = *out;
  put_state(world, from, &peer->id, records_of(out->data), &body);
  buf_put_cstr(&message, "SIP/2.0 200 OK\r\n");
  put_repeated(&message, out->data);
  put_lengths(&message, buf_slice(&body));
  other.data = buf_slice(&message);
  net_send(world, from, &other);
  free(text);
  free(state);
}

bool liar_sends(struct world *world, uint32_t from, const struct output *out) {
  const struct sim_peer *peer = &world->peer[from];
  bool diverting = world->diverting;
  if (!world->lying || peer->lies == 0) return false;
  if (diverting && out->flow == 0 && slice_starts(out->data, SLICE("LOCSER ")) &&
      !has(out->data, SLICE(";direct"))) {
    world->diverting = false;
    divert(world, from, out);
    return true;
  }
  if ((peer->lies & LIE_NEIGHBORS) == 0 || !slice_starts(out->data, SLICE("SIP/2.0 200")) ||
      !has(out->data, SLICE("<successor ")))
    return false;
  send_state(world, from, out);
  return true;
}

/* ---- what was ---- */

void liar_keeps(struct sim_peer *peer, const struct record *older) {
  struct record_id id = record_id_of(older);
  if ((peer->lies & LIE_STALE) == 0 || older->tombstone) return;
  for (uint32_t i = 0; i < peer->old_count; i++) {
    struct record_id other = record_id_of(&peer->old[i]);
    if (record_id_compare(&id, &other) == 0) return;
  }
  peer->old = sim_grow(peer->old, &peer->old_room, peer->old_count, sizeof *peer->old);
  char *bytes = sim_take(older->bytes.len);
  memcpy(bytes, older->bytes.at, older->bytes.len);
  peer->old[peer->old_count] = *older;
  peer->old[peer->old_count++].bytes = slice_of(bytes, older->bytes.len);
}

void liar_forgets(struct sim_peer *peer) {
  for (uint32_t i = 0; i < peer->old_count; i++) free((void *)(uintptr_t)peer->old[i].bytes.at);
  free(peer->old);
  peer->old = NULL;
  peer->old_count = peer->old_room = 0;
}
