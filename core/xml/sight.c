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

/* Sets of characters of ASCII: bit c of the 128. */
struct characters {
  uint64_t low, high;
};
/* What stands for itself in the text of an element: visible, and none of & < >. */
static const struct characters of_text = {0xafffffbe00000000, 0x7fffffffffffffff};
/* The same between quotes: none of " & <. */
static const struct characters of_attribute = {0xefffffba00000000, 0x7fffffffffffffff};
static const struct characters of_base64 = {0x23ff880000000000, 0x07fffffe07fffffe};

static bool is_of(char c, const struct characters *set) {
  uint8_t n = (uint8_t)c;
  return n < 128 && ((n < 64 ? set->low : set->high) >> (n & 63) & 1) != 0;
}

static bool is_all(struct slice text, const struct characters *set) {
  for (size_t i = 0; i < text.len; i++)
    if (!is_of(text.at[i], set)) return false;
  return text.len > 0;
}

/* Those that the writer has (write.c). 0: the text does not begin with one. */
static size_t escape_len(struct slice text, char *out) {
  static const char *const escapes[] = {"&lt;", "&amp;", "&quot;", "&gt;"};
  for (unsigned i = 0; i < 4; i++) {
    if (!slice_starts(text, slice_cstr(escapes[i]))) continue;
    *out = "<&\">"[i];
    return slice_cstr(escapes[i]).len;
  }
  return 0;
}

/* Such characters, spaces and escapes. */
static bool is_escaped(struct slice text, const struct characters *set) {
  char c;
  while (text.len > 0) {
    size_t len = text.at[0] == ' ' || is_of(text.at[0], set) ? 1 : escape_len(text, &c);
    if (len == 0) return false;
    text = slice_skip(text, len);
  }
  return true;
}

void sight_unescape(struct buf *out, struct slice text) {
  while (text.len > 0) {
    size_t plain = slice_find_byte(text, '&');
    buf_put(out, slice_first(text, plain));
    text = slice_skip(text, plain);
    char c;
    size_t len = escape_len(text, &c);
    if (len == 0) return;
    buf_put_char(out, c);
    text = slice_skip(text, len);
  }
}

/* ---- values ---- */

static bool take_attribute(struct slice *content, struct slice name, struct slice *out) {
  *out = SLICE_EMPTY;
  if (!slice_take(content, name)) return true;
  *out = slice_take_until(content, '"');
  return is_escaped(*out, &of_attribute) && slice_take(content, SLICE("\""));
}

/* As xml_put_contact_value writes it; which attributes, in which order. */
bool sight_contact(struct slice content, struct contact_text *out) {
  if (!slice_take(&content, SLICE("<contacts xmlns=\"" XML_NS_SIP "\"><contact")) ||
      !take_attribute(&content, SLICE(" expires=\""), &out->expires) ||
      !take_attribute(&content, SLICE(" priority=\""), &out->priority) ||
      !take_attribute(&content, SLICE(" o:instance=\""), &out->instance) ||
      !take_attribute(&content, SLICE(" o:path=\""), &out->path) ||
      !take_attribute(&content, SLICE(" o:reg-id=\""), &out->reg_id) ||
      !slice_take(&content, SLICE(">")))
    return false;
  out->uri = slice_take_until(&content, '<');
  return is_escaped(out->uri, &of_text) && slice_equal(content, SLICE("</contact></contacts>"));
}

static bool is_contact(struct slice content) {
  struct contact_text text;
  return sight_contact(content, &text);
}

static bool is_digest(struct slice content, struct slice *digest) {
  if (!slice_take(&content, SLICE("<DigestValue>"))) return false;
  *digest = slice_take_until(&content, '<');
  return is_all(*digest, &of_base64) && slice_equal(content, SLICE("</DigestValue>"));
}

/* ---- records ---- */

static bool is_signature(const struct record_layout *layout) {
  return is_all(layout->key_digest, &of_base64) && is_all(layout->value_digest, &of_base64) &&
         is_all(layout->signature, &of_base64) && is_all(layout->certificate, &of_base64);
}

/* All that is not between fixed texts of the layout is looked at here. */
bool sight_record(struct slice bytes, struct xml_record *out) {
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
  return is_all(layout.key_text, &of_text) && !immutable_is_key(layout.key_text) &&
         layout.key_text.len <= XML_KEY_BYTES_MAX && is_all(layout.nonce, &of_attribute) &&
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
  if (!is_all(key, &of_text) || key.len > XML_KEY_BYTES_MAX) return false;
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
    if (len > records.len || !sight_record(slice_first(records, len), &out->record[count])) break;
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
                                            : sight_record(record, &out->record[0]);
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
