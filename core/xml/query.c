/* SPDX-License-Identifier: BSD-2-Clause */
#include "xml/query.h"

#include "xml/reader.h"

#define BEFORE_METHOD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodCall><methodName>"
#define BEFORE_RECORD BEFORE_METHOD "get</methodName><params><param>"
#define BEFORE_KEY BEFORE_RECORD "<dhtRecord xmlns=\"" XML_NS_DHT "\"><key>"
#define AFTER_KEY "</key></dhtRecord>"
#define AFTER_RECORD "</param></params></methodCall>"

/* Stands for itself in XML, and is no white space. */
static bool is_plain(struct slice text) {
  for (size_t i = 0; i < text.len; i++) {
    char c = text.at[i];
    if (c <= ' ' || c > '~' || c == '&' || c == '<' || c == '>') return false;
  }
  return text.len > 0 && text.len <= XML_KEY_BYTES_MAX;
}

bool query_read(struct slice body, struct xml_body *out) {
  const struct slice end = SLICE(AFTER_KEY AFTER_RECORD);
  if (body.len < end.len || !slice_starts(body, SLICE(BEFORE_KEY))) return false;
  struct slice key = slice_skip(body, sizeof BEFORE_KEY - 1);
  if (key.len < end.len || !slice_equal(slice_skip(key, key.len - end.len), end)) return false;
  key = slice_first(key, key.len - end.len);
  if (!is_plain(key)) return false;
  struct slice record = slice_skip(body, sizeof BEFORE_RECORD - 1);
  out->call = true;
  out->method = XML_GET;
  out->method_name = slice_of(body.at + sizeof BEFORE_METHOD - 1, 3);
  out->record[0].bytes = slice_first(record, record.len - (sizeof AFTER_RECORD - 1));
  out->record[0].key_text = key;
  out->record_count = 1;
  return true;
}
