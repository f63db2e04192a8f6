/* SPDX-License-Identifier: BSD-2-Clause */
#include "xml/sight.h"

#include "base/immutable.h"
#include "xml/reader.h"

#define BEFORE_METHOD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodCall><methodName>"
#define AFTER_METHOD "</methodName><params><param>"
#define BEFORE_KEY "<dhtRecord xmlns=\"" XML_NS_DHT "\"><key>"
#define AFTER_KEY "</key></dhtRecord>"
#define AFTER_RECORD "</param></params></methodCall>"
#define BEFORE_RECORDS                                                          \
  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodResponse><params><param>" \
  "<dhtRecords xmlns=\"" XML_NS_DHT "\">"
#define AFTER_RECORDS "</dhtRecords></param></params></methodResponse>"
#define END_OF_RECORD "</dhtRecord>"

/* ---- text ---- */

enum character {
  OF_TEXT = 1,      /* stands for itself in the text of an element */
  OF_ATTRIBUTE = 2, /* the same between quotes */
  OF_BASE64 = 4,
};
static unsigned kind_of(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' ||
      c == '/' || c == '=')
    return OF_TEXT | OF_ATTRIBUTE | OF_BASE64;
  if (c <= ' ' || c > '~' || c == '&' || c == '<') return 0;
  if (c == '>') return OF_ATTRIBUTE;
  return c == '"' ? OF_TEXT : OF_TEXT | OF_ATTRIBUTE;
}

static bool is_all(struct slice text, enum character kind) {
  for (size_t i = 0; i < text.len; i++)
    if ((kind_of(text.at[i]) & kind) == 0) return false;
  return text.len > 0;
}

/* The same, and spaces and the escapes that the writer has (write.c). */
static bool is_escaped(struct slice text, enum character kind) {
  static const char *const escapes[] = {"&lt;", "&amp;", "&quot;", "&gt;"};
  while (text.len > 0) {
    size_t len = text.at[0] == ' ' || (kind_of(text.at[0]) & kind) != 0 ? 1 : 0;
    for (unsigned i = 0; i < 4 && len == 0; i++)
      if (slice_starts(text, slice_cstr(escapes[i]))) len = slice_cstr(escapes[i]).len;
    if (len == 0) return false;
    text = slice_skip(text, len);
  }
  return true;
}

/* ---- values ---- */

/* As xml_put_contact_value writes it; which attributes, in which order. */
static bool is_contact(struct slice content) {
  static const char *const attributes[] = {" expires=\"", " priority=\"", " o:instance=\"",
                                           " o:path=\"", " o:reg-id=\""};
  if (!slice_take(&content, SLICE("<contacts xmlns=\"" XML_NS_SIP "\"><contact"))) return false;
  for (unsigned i = 0; i < sizeof attributes / sizeof *attributes; i++) {
    if (!slice_take(&content, slice_cstr(attributes[i]))) continue;
    if (!is_escaped(slice_take_until(&content, '"'), OF_ATTRIBUTE)) return false;
    if (!slice_take(&content, SLICE("\""))) return false;
  }
  return slice_take(&content, SLICE(">")) && is_escaped(slice_take_until(&content, '<'), OF_TEXT) &&
         slice_equal(content, SLICE("</contact></contacts>"));
}

static bool is_digest(struct slice content, struct slice *digest) {
  if (!slice_take(&content, SLICE("<DigestValue>"))) return false;
  *digest = slice_take_until(&content, '<');
  return is_all(*digest, OF_BASE64) && slice_equal(content, SLICE("</DigestValue>"));
}

/* ---- records ---- */

static bool is_signature(const struct record_layout *layout) {
  return is_all(layout->key_digest, OF_BASE64) && is_all(layout->value_digest, OF_BASE64) &&
         is_all(layout->signature, OF_BASE64) && is_all(layout->certificate, OF_BASE64);
}

/* All that is not between fixed texts of the layout is looked at here. */
static bool read_record(struct slice bytes, struct xml_record *out) {
  struct record_layout layout;
  const char *why;
  if (record_layout_read(bytes, &layout, &why) != OK) return false;
  *out = (struct xml_record){.bytes = bytes,
                             .key_text = layout.key_text,
                             .has_value = true,
                             .value = layout.content,
                             .nonce = layout.nonce,
                             .removed = layout.removed,
                             .has_owner = true,
                             .owner = layout.owner,
                             .signer = layout.signer};
  return is_all(layout.key_text, OF_TEXT) && !immutable_is_key(layout.key_text) &&
         layout.key_text.len <= XML_KEY_BYTES_MAX && is_all(layout.nonce, OF_ATTRIBUTE) &&
         xml_time_parse(layout.expires, &out->expires) &&
         xml_time_parse(layout.floor, &out->floor) &&
         slice_to_u64(layout.version, XML_VERSION_MAX, &out->version) && out->version > 0 &&
         (layout.removed ? is_digest(layout.content, &out->value_digest)
                         : is_contact(layout.content)) &&
         is_signature(&layout);
}

static bool read_query(struct slice bytes, struct xml_record *out) {
  struct slice key = bytes;
  if (!slice_take(&key, SLICE(BEFORE_KEY))) return false;
  size_t end = sizeof AFTER_KEY - 1;
  if (key.len < end || !slice_equal(slice_skip(key, key.len - end), SLICE(AFTER_KEY))) return false;
  key = slice_first(key, key.len - end);
  if (!is_all(key, OF_TEXT) || key.len > XML_KEY_BYTES_MAX) return false;
  *out = (struct xml_record){.bytes = bytes, .key_text = key};
  return true;
}

/* ---- bodies ---- */

static const struct {
  const char *name;
  enum xml_method method;
} methods[] = {{"get", XML_GET}, {"put-auth", XML_PUT_AUTH}, {"remove-auth", XML_REMOVE_AUTH}};

/* An answer with records and nothing else. In a record that is known its end stands once. */
static bool read_answer(struct slice records, struct xml_body *out) {
  const struct slice end = SLICE(END_OF_RECORD);
  unsigned count = 0;
  while (records.len > 0 && count < XML_RECORDS_MAX) {
    size_t len = slice_find(records, end) + end.len;
    if (len > records.len || !read_record(slice_first(records, len), &out->record[count])) break;
    records = slice_skip(records, len);
    count++;
  }
  if (records.len > 0 || count == 0) {
    out->record[0] = (struct xml_record){0};
    return false;
  }
  out->record_count = count;
  return true;
}

bool sight_contact(struct slice record, struct slice *value) {
  struct record_layout layout;
  const char *why;
  if (record_layout_read(record, &layout, &why) != OK || !is_contact(layout.content)) return false;
  *value = layout.content;
  return true;
}

bool sight_read(struct slice body, struct xml_body *out) {
  const struct slice after = SLICE(AFTER_RECORD);
  const struct slice after_all = SLICE(AFTER_RECORDS);
  struct slice rest = body;
  if (slice_take(&rest, SLICE(BEFORE_RECORDS))) {
    if (rest.len < after_all.len) return false;
    struct slice records = slice_first(rest, rest.len - after_all.len);
    return slice_equal(slice_skip(rest, records.len), after_all) && read_answer(records, out);
  }
  if (!slice_take(&rest, SLICE(BEFORE_METHOD))) return false;
  struct slice name = slice_take_until(&rest, '<');
  unsigned i = 0;
  while (i < 3 && !slice_equal(name, slice_cstr(methods[i].name))) i++;
  if (i == 3 || !slice_take(&rest, SLICE(AFTER_METHOD)) || rest.len < after.len) return false;
  struct slice record = slice_first(rest, rest.len - after.len);
  if (!slice_equal(slice_skip(rest, record.len), after)) return false;
  bool known = methods[i].method == XML_GET ? read_query(record, &out->record[0])
                                            : read_record(record, &out->record[0]);
  if (!known) {
    out->record[0] = (struct xml_record){0};
    return false;
  }
  out->call = true;
  out->method = methods[i].method;
  out->method_name = name;
  out->record_count = 1;
  return true;
}
