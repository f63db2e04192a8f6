/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/assert.h"
#include "base/immutable.h"
#include "base/plant.h"
#include "xml/reader.h" /* names of the namespaces */

/* Bytes of the character at text[i] if it is one that XML 1.0 allows, else 0 (RFC 3629; XML 1.0
 * section 2.2). */
static size_t character_len(struct slice text, size_t i) {
  uint8_t c = (uint8_t)text.at[i];
  if (c < 0x80) return c >= 0x20 || c == '\t' || c == '\n' || c == '\r';
  size_t len = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
  if (c < 0xC2 || c > 0xF4 || text.len - i < len) return 0;
  uint32_t code = c & (0x7Fu >> len);
  for (size_t k = 1; k < len; k++) {
    uint8_t next = (uint8_t)text.at[i + k];
    if ((next & 0xC0) != 0x80) return 0;
    code = code << 6 | (next & 0x3Fu);
  }
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  bool none = code == 0xFFFE || code == 0xFFFF;
  return code < least[len] || code > 0x10FFFF || surrogate || none ? 0 : len;
}

/* Canonical XML 1.0, section 2.3: text and attributes escape differently. */
static const char *escape_of(char c, bool attribute) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return attribute ? NULL : "&gt;";
    case '"':
      return attribute ? "&quot;" : NULL;
    case '\t':
      return attribute ? "&#x9;" : NULL;
    case '\n':
      return attribute ? "&#xA;" : NULL;
    case '\r':
      return "&#xD;";
    default:
      return NULL;
  }
}

static void put_escaped(struct buf *out, struct slice text, bool attribute) {
  for (size_t i = 0; i < text.len;) {
    size_t len = character_len(text, i);
    const char *escape = len == 1 ? escape_of(text.at[i], attribute) : NULL;
    if (len == 0)
      buf_put_char(out, '?');
    else if (escape != NULL)
      buf_put_cstr(out, escape);
    else
      buf_put(out, slice_of(text.at + i, len));
    i += len == 0 ? 1 : len;
  }
}

void xml_put_text(struct buf *out, struct slice text) { put_escaped(out, text, false); }

/* ` name="` ... `"` */
static void open_attribute(struct buf *out, const char *name) {
  buf_put_char(out, ' ');
  buf_put_cstr(out, name);
  buf_put_cstr(out, "=\"");
}

static void put_attribute(struct buf *out, const char *name, struct slice value) {
  open_attribute(out, name);
  put_escaped(out, value, true);
  buf_put_char(out, '"');
}

static void put_attribute_number(struct buf *out, const char *name, uint64_t n) {
  open_attribute(out, name);
  buf_put_u64(out, n);
  buf_put_char(out, '"');
}

static void put_attribute_time(struct buf *out, const char *name, msec_wall time) {
  open_attribute(out, name);
  xml_put_time(out, time);
  buf_put_char(out, '"');
}

static void put_attribute_key(struct buf *out, const char *name, const struct key *key) {
  open_attribute(out, name);
  key_put(out, key);
  buf_put_char(out, '"');
}

/* ---- records ---- */

#define RECORD_END "</dhtRecord>"

static void put_key(struct buf *out, struct slice key_text) {
  buf_put_cstr(out, "<key>");
  xml_put_text(out, key_text);
  buf_put_cstr(out, "</key>");
}

static void put_owner(struct buf *out, const struct key *owner) {
  buf_put_cstr(out, "<KeyInfo><KeyValue><DigestValue>");
  buf_put_base64(out, owner->byte, KEY_BYTES);
  buf_put_cstr(out, "</DigestValue></KeyValue></KeyInfo>");
}

void xml_put_query(struct buf *out, struct slice key_text, const struct key *owner) {
  buf_put_cstr(out, "<dhtRecord xmlns=\"" XML_NS_DHT "\">");
  put_key(out, key_text);
  if (owner != NULL) put_owner(out, owner);
  buf_put_cstr(out, RECORD_END);
}

void xml_put_record(struct buf *out, const struct xml_record_new *record) {
  /* "&quot;" is the longest escape; 24 characters a time, 20 a number. */
  char text[6 * (XML_KEY_BYTES_MAX + XML_NONCE_BYTES_MAX) + 68];
  struct buf escaped = buf_over(text, sizeof text);
  struct record_layout_head head = {.removed = record->removed, .has_by = record->owner != NULL};
  char owner_text[KEY_HEX];
  struct buf owner = buf_over(owner_text, sizeof owner_text);
  if (record->owner != NULL) key_put(&owner, record->owner);
  head.owner = buf_slice(&owner);
  size_t ends[5];
  xml_put_text(&escaped, record->key_text);
  ends[0] = escaped.len;
  put_escaped(&escaped, record->nonce, true);
  ends[1] = escaped.len;
  xml_put_time(&escaped, record->expires);
  ends[2] = escaped.len;
  xml_put_time(&escaped, record->floor);
  ends[3] = escaped.len;
  buf_put_u64(&escaped, record->version);
  ends[4] = escaped.len;
  head.key_text = slice_of(text, ends[0]);
  head.nonce = slice_of(text + ends[0], ends[1] - ends[0]);
  head.expires = slice_of(text + ends[1], ends[2] - ends[1]);
  head.floor = slice_of(text + ends[2], ends[3] - ends[2]);
  head.version = slice_of(text + ends[3], ends[4] - ends[3]);
  record_layout_put_head(out, &head);
  if (record->removed) {
    buf_put_cstr(out, "<DigestValue>");
    xml_put_text(out, record->value_digest);
    buf_put_cstr(out, "</DigestValue>");
  } else {
    buf_put(out, record->value);
  }
  record_layout_put_unsigned_end(out);
  if (escaped.overflow) out->overflow = true;
}

void xml_put_immutable(struct buf *out, struct slice key_text, msec_wall expires,
                       struct slice value) {
  char text[32];
  struct buf time = buf_over(text, sizeof text);
  xml_put_time(&time, expires);
  immutable_layout_put(out, key_text, buf_slice(&time), value);
}

/* q as "0.75": no more decimals than needed. */
static void put_q(struct buf *out, uint16_t permille) {
  char digits[3] = {(char)('0' + permille / 100 % 10), (char)('0' + permille / 10 % 10),
                    (char)('0' + permille % 10)};
  size_t len = 3;
  while (len > 1 && digits[len - 1] == '0') len--;
  open_attribute(out, "priority");
  buf_put_char(out, permille >= 1000 ? '1' : '0');
  buf_put_char(out, '.');
  buf_put(out, permille >= 1000 ? SLICE("0") : slice_of(digits, len));
  buf_put_char(out, '"');
}

void xml_put_contact_value(struct buf *out, const struct contact *contact) {
  buf_put_cstr(out, "<contacts xmlns=\"" XML_NS_SIP "\"><contact");
  /* In the order of canonical form. */
  if (contact->expires != 0) put_attribute_time(out, "expires", contact->expires);
  if (contact->q_permille < 1000) put_q(out, contact->q_permille);
  if (contact->instance.len > 0) put_attribute(out, "o:instance", contact->instance);
  if (contact->path_count > 0) open_attribute(out, "o:path");
  for (unsigned i = 0; i < contact->path_count && i < CONTACT_PATHS_MAX; i++) {
    if (i > 0) buf_put_cstr(out, ", ");
    put_escaped(out, contact->path[i], true);
  }
  if (contact->path_count > 0) buf_put_char(out, '"');
  if (contact->reg_id != 0) put_attribute_number(out, "o:reg-id", contact->reg_id);
  buf_put_char(out, '>');
  xml_put_text(out, contact->uri);
  buf_put_cstr(out, "</contact></contacts>");
}

/* ---- the overlay's own part ---- */

static const char *role_name(enum xml_peer_role role) {
  switch (role) {
    case XML_PEER_SELF:
      return "self";
    case XML_PEER_SUBJECT:
      return "subject";
    case XML_PEER_PREDECESSOR:
      return "predecessor";
    case XML_PEER_SUCCESSOR:
      return "successor";
    case XML_PEER_MEMBER:
      return "member";
  }
  return "member";
}

static void put_peer(struct buf *out, const struct xml_peer *peer) {
  buf_put_char(out, '<');
  buf_put_cstr(out, role_name(peer->role));
  put_attribute_key(out, "id", &peer->peer.id);
  open_attribute(out, "at");
  endpoint_put(out, &peer->peer.at);
  buf_put_char(out, '"');
  if (peer->peer.at.transport != TRANSPORT_TCP)
    put_attribute(out, "transport",
                  slice_cstr(transport_name((enum transport)peer->peer.at.transport)));
  if (peer->peer.incarnation != 0) put_attribute_number(out, "incarnation", peer->peer.incarnation);
  buf_put_cstr(out, "/>");
}

static bool is_last_of_key(const struct record_id *place) {
  for (unsigned i = 0; i < KEY_BYTES; i++)
    if (place->owner.byte[i] != 0xFF || place->nonce.byte[i] != 0xFF) return false;
  return true;
}

/* in overlay.sync, KEY alone is the place after all that is under it. */
static void put_place(struct buf *out, const char *name, const struct record_id *place,
                      bool may_be_short) {
  open_attribute(out, name);
  key_put(out, &place->key);
  if (!may_be_short || !is_last_of_key(place)) {
    buf_put_char(out, '.');
    key_put(out, &place->owner);
    buf_put_char(out, '.');
    key_put(out, &place->nonce);
  }
  buf_put_char(out, '"');
}

static void put_sync(struct buf *out, const struct sync_view *sync) {
  for (unsigned i = 0; i < sync->part_count; i++) {
    const struct sync_part *part = &sync->part[i];
    buf_put_cstr(out, "<part");
    /* the others begin where the one before them ends */
    if (i == 0 && part->has_after) put_place(out, "after", &part->after, true);
    put_place(out, "upto", &part->upto, true);
    if (part->known) put_attribute_number(out, "count", part->count);
    if (part->known) put_attribute_number(out, "digest", part->digest);
    buf_put_cstr(out, "/>");
  }
  for (unsigned i = 0; i < sync->item_count; i++) {
    const struct sync_item *item = &sync->item[i];
    buf_put_cstr(out, "<item");
    put_place(out, "at", &item->id, false);
    put_attribute_number(out, "version", item->version);
    put_attribute_key(out, "digest", &item->digest);
    if (item->tombstone) put_attribute(out, "removed", SLICE("true"));
    buf_put_cstr(out, "/>");
  }
}

static void put_overlay(struct buf *out, const struct xml_overlay *overlay) {
  buf_put_cstr(out, "<param><overlay xmlns=\"" XML_NS_OVERLAY "\"");
  if (overlay->copies != 0) put_attribute_number(out, "copies", overlay->copies);
  if (overlay->lost) put_attribute(out, "lost", SLICE("true"));
  if (overlay->more) put_attribute(out, "more", SLICE("true"));
  if (overlay->stray) put_attribute(out, "stray", SLICE("true"));
  if (overlay->incomplete) put_attribute(out, "incomplete", SLICE("true"));
  if (overlay->owner) put_attribute(out, "owner", SLICE("true"));
  if (overlay->has_after) put_place(out, "after", &overlay->after, false);
  if (overlay->limit != 0) put_attribute_number(out, "limit", overlay->limit);
  if (overlay->sync != NULL && overlay->sync->until != 0)
    put_attribute_time(out, "until", overlay->sync->until);
  if (overlay->time_us != 0) put_attribute_number(out, "time", overlay->time_us);
  if (overlay->load != 0) put_attribute_number(out, "load", overlay->load);
  buf_put_char(out, '>');
  for (unsigned i = 0; i < overlay->peer_count && i < XML_PEERS_MAX; i++)
    put_peer(out, &overlay->peer[i]);
  if (overlay->has_range) {
    buf_put_cstr(out, "<range");
    put_attribute_key(out, "from", &overlay->range_from);
    put_attribute_key(out, "to", &overlay->range_to);
    buf_put_cstr(out, "/>");
  }
  if (overlay->sync != NULL) put_sync(out, overlay->sync);
  buf_put_cstr(out, "</overlay></param>");
}

/* ---- the envelope ---- */

#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

static void put_records(struct buf *out, const struct slice *records, unsigned count) {
  ASSERT(records != NULL || count == 0);
  buf_put_cstr(out, "<param><dhtRecords xmlns=\"" XML_NS_DHT "\">");
  for (unsigned i = 0; i < count; i++) buf_put(out, records[i]);
  buf_put_cstr(out, "</dhtRecords></param>");
}

void xml_put_call(struct buf *out, enum xml_method method, const struct slice *records,
                  unsigned record_count, const struct xml_overlay *overlay) {
  buf_put_cstr(out, DECLARATION "<methodCall><methodName>");
  buf_put_cstr(out, xml_method_name(method));
  buf_put_cstr(out, "</methodName><params>");
  if (method == XML_OVERLAY_REPLICATE) {
    if (record_count > 0) put_records(out, records, record_count);
  } else {
    for (unsigned i = 0; i < record_count; i++) {
      buf_put_cstr(out, "<param>");
      buf_put(out, records[i]);
      buf_put_cstr(out, "</param>");
    }
  }
  if (overlay != NULL) put_overlay(out, overlay);
  buf_put_cstr(out, "</params></methodCall>");
}

/* Planted: the last letter of each contact is another one. */
static void forge(struct buf *out, size_t from) {
  const struct slice end = SLICE("</contact>");
  struct slice text = slice_of(out->at + from, out->len - from);
  for (size_t at; (at = slice_find(text, end)) < text.len; text = slice_skip(text, at + end.len))
    if (at > 0) out->at[out->len - text.len + at - 1] = '9';
}

void xml_put_answer(struct buf *out, int boolean, const struct slice *records,
                    unsigned record_count, const struct xml_overlay *overlay) {
  size_t mark = out->len;
  buf_put_cstr(out, DECLARATION "<methodResponse><params>");
  if (boolean >= 0) {
    buf_put_cstr(out, "<param><value><boolean>");
    buf_put_char(out, boolean != 0 ? '1' : '0');
    buf_put_cstr(out, "</boolean></value></param>");
  } else if (records != NULL || overlay == NULL || overlay->peer_count == 0) {
    put_records(out, records, record_count);
  }
  if (overlay != NULL) put_overlay(out, overlay);
  if (PLANTED(18)) forge(out, mark);
  (void)mark;
  buf_put_cstr(out, "</params></methodResponse>");
}

void xml_put_fault(struct buf *out, uint16_t code, struct slice text) {
  buf_put_cstr(out, DECLARATION
               "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>");
  buf_put_u64(out, code);
  buf_put_cstr(out, "</int></value></member><member><name>faultString</name><value><string>");
  xml_put_text(out, text);
  buf_put_cstr(out, "</string></value></member></struct></value></fault></methodResponse>");
}
