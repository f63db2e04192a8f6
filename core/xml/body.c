/* SPDX-License-Identifier: BSD-2-Clause */
#include "xml/body.h"

#include <stddef.h>

#include "xml/record.h"
#include "xml/sight.h"

struct method {
  const char *name;
  enum xml_method method;
};
/* The first name of a method is the one that is written. */
static const struct method methods[] = {
    {"get", XML_GET},
    {"get-auth", XML_GET_AUTH},
    {"put-auth", XML_PUT_AUTH},
    {"put", XML_PUT_AUTH},
    {"remove-auth", XML_REMOVE_AUTH},
    {"remove", XML_REMOVE_AUTH},
    {"put-immut", XML_PUT_IMMUT},
    {"get-immut", XML_GET_IMMUT},
    {"overlay.join", XML_OVERLAY_JOIN},
    {"overlay.leave", XML_OVERLAY_LEAVE},
    {"overlay.neighbors", XML_OVERLAY_NEIGHBORS},
    {"overlay.notify", XML_OVERLAY_NOTIFY},
    {"overlay.update", XML_OVERLAY_UPDATE},
    {"overlay.ping", XML_OVERLAY_PING},
    {"overlay.route", XML_OVERLAY_ROUTE},
    {"overlay.replicate", XML_OVERLAY_REPLICATE},
    {"overlay.sync", XML_OVERLAY_SYNC},
    {"overlay.trace", XML_OVERLAY_TRACE},
    {"event.watch", XML_EVENT_WATCH},
    {"event.notify", XML_EVENT_NOTIFY},
};
#define METHODS (sizeof methods / sizeof *methods)

const char *xml_method_name(enum xml_method method) {
  for (unsigned i = 0; i < METHODS; i++)
    if (methods[i].method == method) return methods[i].name;
  return "unknown";
}

static enum xml_method method_of(struct slice name) {
  for (unsigned i = 0; i < METHODS; i++)
    if (slice_equal(name, slice_cstr(methods[i].name))) return methods[i].method;
  return XML_METHOD_UNKNOWN;
}

/* ---- the envelope ---- */

static void start_call(struct xml_reader *r, const struct rule *rule, const XML_Char **attributes) {
  (void)rule, (void)attributes;
  r->body->call = true;
}

static void end_method_name(struct xml_reader *r, const struct rule *rule, struct slice text) {
  (void)rule;
  if (r->body->method_name.at != NULL) {
    reader_refuse(r, ERR_SYNTAX, "methodCall with two methodNames");
    return;
  }
  r->body->method_name = slice_trim(text);
  r->body->method = method_of(r->body->method_name);
}

/* Figure 1 of the seed draft closes its param by a second <param> (R-1.19). */
static void start_param_in_param(struct xml_reader *r, const struct rule *rule,
                                 const XML_Char **attributes) {
  (void)rule, (void)attributes;
  reader_refuse(r, ERR_SYNTAX, "param is not closed");
}

static void end_boolean(struct xml_reader *r, const struct rule *rule, struct slice text) {
  (void)rule;
  text = slice_trim(text);
  r->body->has_boolean = true;
  r->body->boolean = slice_equal(text, SLICE("1")) || slice_equal(text, SLICE("true"));
}

/* An argument given as text is parsed after the document it stands in. */
static void embed(struct xml_reader *r, struct slice text) {
  text = slice_trim(text);
  if (text.len == 0 || text.at[0] != '<') return; /* some other string */
  if (r->embedded_count == XML_RECORDS_MAX)
    reader_refuse(r, ERR_LIMIT, "more than 64 records");
  else
    r->embedded[r->embedded_count++] = text;
}

static void end_string(struct xml_reader *r, const struct rule *rule, struct slice text) {
  (void)rule;
  embed(r, text);
}

/* Takes the white space out in place; text lies in the scratch. */
static struct slice without_space(struct xml_reader *r, struct slice text) {
  char *at = r->scratch.at + (text.at - r->scratch.at);
  size_t len = 0;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.at[i];
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') at[len++] = c;
  }
  return slice_of(at, len);
}

static void end_base64(struct xml_reader *r, const struct rule *rule, struct slice text) {
  (void)rule;
  text = without_space(r, text);
  size_t len = r->scratch.cap - r->scratch.len;
  char *at = r->scratch.at + r->scratch.len;
  if (!base64_decode(text, (uint8_t *)at, &len)) {
    reader_refuse(r, ERR_SYNTAX, "base64 argument is not base64");
    return;
  }
  r->scratch.len += len;
  embed(r, slice_of(at, len));
}

/* ---- faults ---- */

static void start_fault(struct xml_reader *r, const struct rule *rule,
                        const XML_Char **attributes) {
  (void)rule, (void)attributes;
  r->body->fault = true;
}

static void start_member(struct xml_reader *r, const struct rule *rule,
                         const XML_Char **attributes) {
  (void)rule, (void)attributes;
  r->member = MEMBER_OTHER;
}

static void end_member_name(struct xml_reader *r, const struct rule *rule, struct slice text) {
  (void)rule;
  text = slice_trim(text);
  if (slice_equal(text, SLICE("faultCode")))
    r->member = MEMBER_CODE;
  else if (slice_equal(text, SLICE("faultString")))
    r->member = MEMBER_STRING;
  else
    r->member = MEMBER_OTHER;
}

/* <value>text</value>, or <value><string>text</string></value>: then the inner one ends first. */
static void end_member_value(struct xml_reader *r, const struct rule *rule, struct slice text) {
  uint64_t code;
  (void)rule;
  if (r->member == MEMBER_STRING && r->body->fault_text.len == 0) r->body->fault_text = text;
  if (r->member == MEMBER_CODE && slice_to_u64(slice_trim(text), UINT16_MAX, &code))
    r->body->fault_code = (uint16_t)code;
}

/* ---- the overlay's own part ---- */

static void read_number(struct xml_reader *r, const XML_Char **attributes, const char *name,
                        uint64_t max, uint64_t *out, const char *why) {
  const char *text = reader_attribute(attributes, name, false);
  if (text != NULL && !slice_to_u64(slice_cstr(text), max, out)) reader_refuse(r, ERR_SYNTAX, why);
}

static bool read_flag(struct xml_reader *r, const XML_Char **attributes, const char *name) {
  const char *text = reader_attribute(attributes, name, false);
  if (text == NULL) return false;
  struct slice s = slice_cstr(text);
  if (slice_equal(s, SLICE("true")) || slice_equal(s, SLICE("1"))) return true;
  if (!slice_equal(s, SLICE("false")) && !slice_equal(s, SLICE("0")))
    reader_refuse(r, ERR_SYNTAX, "attribute of overlay is neither true nor false");
  return false;
}

/* KEY, KEY.OWNER or KEY.OWNER.NONCE; what is left out passes over all of them. */
static bool parse_place(struct slice text, struct record_id *out) {
  struct key *part[] = {&out->key, &out->owner, &out->nonce};
  memset(out, 0xFF, sizeof *out);
  for (unsigned i = 0; i < 3; i++) {
    if (!key_parse(slice_first(text, KEY_HEX), part[i])) return false;
    text = slice_skip(text, KEY_HEX);
    if (text.len == 0) return true;
    if (text.at[0] != '.') return false;
    text = slice_skip(text, 1);
  }
  return false;
}

static void start_overlay(struct xml_reader *r, const struct rule *rule,
                          const XML_Char **attributes) {
  struct xml_overlay *overlay = &r->body->overlay;
  (void)rule;
  if (overlay->present) {
    reader_refuse(r, ERR_SYNTAX, "two overlay elements");
    return;
  }
  overlay->present = true;
  uint64_t copies = 0;
  read_number(r, attributes, "copies", UINT32_MAX, &copies, "copies is not a number");
  overlay->copies = (uint32_t)copies;
  uint64_t limit = 0;
  read_number(r, attributes, "limit", UINT32_MAX, &limit, "limit is not a number");
  overlay->limit = (uint32_t)limit;
  read_number(r, attributes, "time", UINT64_MAX, &overlay->time_us, "time is not a number");
  read_number(r, attributes, "load", UINT64_MAX, &overlay->load, "load is not a number");
  overlay->lost = read_flag(r, attributes, "lost");
  overlay->more = read_flag(r, attributes, "more");
  overlay->stray = read_flag(r, attributes, "stray");
  overlay->incomplete = read_flag(r, attributes, "incomplete");
  overlay->owner = read_flag(r, attributes, "owner");
  const char *after = reader_attribute(attributes, "after", false);
  overlay->has_after = after != NULL;
  if (after != NULL && !parse_place(slice_cstr(after), &overlay->after))
    reader_refuse(r, ERR_SYNTAX, "after is not KEY.OWNER.NONCE of 40 digits each");
  const char *until = reader_attribute(attributes, "until", false);
  if (until != NULL && !xml_time_parse(slice_cstr(until), &r->body->sync.until))
    reader_refuse(r, ERR_SYNTAX, "until is not a dateTime");
}

/* "192.0.2.1:5060" and the transport beside it. */
static bool read_address(const XML_Char **attributes, struct endpoint *out) {
  const char *at = reader_attribute(attributes, "at", false);
  const char *name = reader_attribute(attributes, "transport", false);
  enum transport transport = TRANSPORT_TCP;
  if (at == NULL) return false;
  if (name != NULL && !transport_parse(slice_cstr(name), &transport)) return false;
  return endpoint_parse(slice_cstr(at), transport, 0, out) && out->port != 0;
}

static bool has_role(const struct xml_overlay *overlay, enum xml_peer_role role) {
  for (unsigned i = 0; i < overlay->peer_count; i++)
    if (overlay->peer[i].role == role) return true;
  return false;
}

/* */
static void start_peer(struct xml_reader *r, const struct rule *rule, const XML_Char **attributes) {
  struct xml_overlay *overlay = &r->body->overlay;
  enum xml_peer_role role = (enum xml_peer_role)rule->tag;
  bool many = role == XML_PEER_SUCCESSOR || role == XML_PEER_MEMBER;
  if (!many && has_role(overlay, role)) {
    reader_refuse(r, ERR_SYNTAX, "two self, subject or predecessor");
    return;
  }
  if (overlay->peer_count == XML_PEERS_MAX) {
    reader_refuse(r, ERR_LIMIT, "more than 64 peers");
    return;
  }
  struct xml_peer *peer = &overlay->peer[overlay->peer_count++];
  *peer = (struct xml_peer){.role = role};
  const char *id = reader_attribute(attributes, "id", false);
  if (id == NULL || !key_parse(slice_cstr(id), &peer->peer.id))
    reader_refuse(r, ERR_SYNTAX, "id of a peer is not 40 hexadecimal digits");
  else if (!read_address(attributes, &peer->peer.at))
    reader_refuse(r, ERR_SYNTAX, "at of a peer is not ADDRESS:PORT of a known transport");
  uint64_t incarnation = 0;
  read_number(r, attributes, "incarnation", UINT32_MAX, &incarnation,
              "incarnation is not a number below 2^32");
  peer->peer.incarnation = (uint32_t)incarnation;
}

static void start_range(struct xml_reader *r, const struct rule *rule,
                        const XML_Char **attributes) {
  struct xml_overlay *overlay = &r->body->overlay;
  (void)rule;
  const char *from = reader_attribute(attributes, "from", false);
  const char *to = reader_attribute(attributes, "to", false);
  if (overlay->has_range)
    reader_refuse(r, ERR_SYNTAX, "two ranges");
  else if (from == NULL || !key_parse(slice_cstr(from), &overlay->range_from) || to == NULL ||
           !key_parse(slice_cstr(to), &overlay->range_to))
    reader_refuse(r, ERR_SYNTAX, "range without from and to of 40 digits each");
  overlay->has_range = true;
}

/* ---- overlay.sync (R-3.33) ---- */

static bool read_place(const XML_Char **attributes, const char *name, struct record_id *out) {
  const char *text = reader_attribute(attributes, name, false);
  return text != NULL && parse_place(slice_cstr(text), out);
}

static void start_part(struct xml_reader *r, const struct rule *rule, const XML_Char **attributes) {
  struct sync_view *sync = &r->body->sync;
  (void)rule;
  if (sync->part_count == SYNC_PARTS_MAX) {
    reader_refuse(r, ERR_LIMIT, "more than 16 parts");
    return;
  }
  struct sync_part *part = &sync->part[sync->part_count++];
  *part = (struct sync_part){.known = reader_attribute(attributes, "digest", false) != NULL};
  part->has_after = reader_attribute(attributes, "after", false) != NULL;
  uint64_t count = 0;
  read_number(r, attributes, "count", UINT32_MAX, &count, "count is not a number");
  part->count = (uint32_t)count;
  read_number(r, attributes, "digest", UINT64_MAX, &part->digest, "digest is not a number");
  if (!read_place(attributes, "upto", &part->upto) ||
      (part->has_after && !read_place(attributes, "after", &part->after)))
    reader_refuse(r, ERR_SYNTAX, "places of a part are not KEY.OWNER.NONCE of 40 digits each");
  else if (part->has_after && record_id_compare(&part->after, &part->upto) >= 0)
    reader_refuse(r, ERR_SYNTAX, "a part ends before it begins");
}

static void start_item(struct xml_reader *r, const struct rule *rule, const XML_Char **attributes) {
  struct sync_view *sync = &r->body->sync;
  (void)rule;
  if (sync->item_count == SYNC_ITEMS_MAX) {
    reader_refuse(r, ERR_LIMIT, "more than 16 items");
    return;
  }
  struct sync_item *item = &sync->item[sync->item_count++];
  *item = (struct sync_item){.tombstone = read_flag(r, attributes, "removed")};
  const char *digest = reader_attribute(attributes, "digest", false);
  read_number(r, attributes, "version", XML_VERSION_MAX, &item->version,
              "version is not a number up to 2^62");
  if (!read_place(attributes, "at", &item->id) || digest == NULL ||
      !key_parse(slice_cstr(digest), &item->digest) || item->version == 0)
    reader_refuse(r, ERR_SYNTAX, "an item lacks at, version or digest");
}

/* clang-format off */
#define ARGUMENT (IN(EL_PARAM) | IN(EL_EMBEDDED))
#define PEER(name, role) \
  {IN(EL_OVERLAY), NS_OVERLAY, name, EL_PEER, false, role, start_peer, NULL}

static const struct rule rules[] = {
    {IN(EL_DOCUMENT), NS_NONE, "methodCall", EL_CALL, false, 0, start_call, NULL},
    {IN(EL_DOCUMENT), NS_NONE, "methodResponse", EL_RESPONSE, false, 0, NULL, NULL},
    {IN(EL_CALL), NS_NONE, "methodName", EL_METHOD_NAME, true, 0, NULL, end_method_name},
    {IN(EL_CALL) | IN(EL_RESPONSE), NS_NONE, "params", EL_PARAMS, false, 0, NULL, NULL},
    {IN(EL_PARAMS), NS_NONE, "param", EL_PARAM, false, 0, NULL, NULL},
    {IN(EL_PARAM), NS_NONE, "param", EL_OTHER, false, 0, start_param_in_param, NULL},
    {IN(EL_PARAM), NS_NONE, "value", EL_ARGUMENT, true, 0, NULL, end_string},
    {IN(EL_ARGUMENT), NS_NONE, "string", EL_SCALAR, true, 0, NULL, end_string},
    {IN(EL_ARGUMENT), NS_NONE, "base64", EL_SCALAR, true, 0, NULL, end_base64},
    {IN(EL_ARGUMENT), NS_NONE, "boolean", EL_SCALAR, true, 0, NULL, end_boolean},
    {IN(EL_RESPONSE), NS_NONE, "fault", EL_FAULT, false, 0, start_fault, NULL},
    {IN(EL_FAULT), NS_NONE, "value", EL_FAULT_VALUE, false, 0, NULL, NULL},
    {IN(EL_FAULT_VALUE), NS_NONE, "struct", EL_STRUCT, false, 0, NULL, NULL},
    {IN(EL_STRUCT), NS_NONE, "member", EL_MEMBER, false, 0, start_member, NULL},
    {IN(EL_MEMBER), NS_NONE, "name", EL_SCALAR, true, 0, NULL, end_member_name},
    {IN(EL_MEMBER), NS_NONE, "value", EL_MEMBER_VALUE, true, 0, NULL, end_member_value},
    {IN(EL_MEMBER_VALUE), NS_NONE, "int", EL_SCALAR, true, 0, NULL, end_member_value},
    {IN(EL_MEMBER_VALUE), NS_NONE, "i4", EL_SCALAR, true, 0, NULL, end_member_value},
    {IN(EL_MEMBER_VALUE), NS_NONE, "string", EL_SCALAR, true, 0, NULL, end_member_value},
    {ARGUMENT, XML_RECORD_SPACES, "dhtRecords", EL_RECORDS, false, 0, NULL, NULL},
    {ARGUMENT, NS_OVERLAY, "overlay", EL_OVERLAY, false, 0, start_overlay, NULL},
    PEER("self", XML_PEER_SELF),
    PEER("subject", XML_PEER_SUBJECT),
    PEER("predecessor", XML_PEER_PREDECESSOR),
    PEER("successor", XML_PEER_SUCCESSOR),
    PEER("member", XML_PEER_MEMBER),
    {IN(EL_OVERLAY), NS_OVERLAY, "range", EL_SCALAR, false, 0, start_range, NULL},
    {IN(EL_OVERLAY), NS_OVERLAY, "part", EL_SCALAR, false, 0, start_part, NULL},
    {IN(EL_OVERLAY), NS_OVERLAY, "item", EL_SCALAR, false, 0, start_item, NULL},
    XML_RECORD_RULES(ARGUMENT | IN(EL_RECORDS)),
};
/* clang-format on */

static enum err parse(struct xml_reader *r, enum element root, struct slice text) {
  return reader_parse(r, rules, sizeof rules / sizeof *rules, root, &text, 1);
}

/* What only the whole document shows. */
static const char *what_is_missing(const struct xml_reader *r, const struct xml_body *body) {
  if (!r->is_known_root) return "root is neither methodCall nor methodResponse";
  if (body->call && body->method_name.len == 0) return "methodCall without methodName";
  return NULL;
}

/* All but the tables, which are large and counted; a reader of the first record need not count. */
static void clear(struct xml_body *body) {
  struct xml_overlay *overlay = &body->overlay;
  memset(body, 0, offsetof(struct xml_body, record));
  body->record[0] = (struct xml_record){0};
  memset(overlay, 0, offsetof(struct xml_overlay, peer));
  size_t tail = offsetof(struct xml_overlay, lost);
  memset((char *)overlay + tail, 0, sizeof *overlay - tail);
  body->sync.until = 0;
  body->sync.part_count = body->sync.item_count = 0;
}

enum err xml_body_read(struct xml_reader *reader, struct slice body, struct xml_body *out,
                       const char **why) {
  clear(out);
  reader_begin(reader);
  if (sight_read(body, out)) return OK;
  reader->body = out;
  reader->record = out->record;
  reader->record_limit = XML_RECORDS_MAX;
  enum err err = parse(reader, EL_DOCUMENT, body);
  const char *missing = err == OK ? what_is_missing(reader, out) : NULL;
  for (unsigned i = 0; i < reader->embedded_count && err == OK && missing == NULL; i++)
    err = parse(reader, EL_EMBEDDED, reader->embedded[i]);
  out->record_count = reader->record_count;
  if (missing != NULL) {
    *why = missing;
    return ERR_SYNTAX;
  }
  return reader_result(reader, why);
}
