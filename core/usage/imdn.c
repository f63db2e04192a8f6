/* SPDX-License-Identifier: BSD-2-Clause */
#include "usage/imdn.h"

#include "xml/body.h"

#define NAMESPACE SLICE("urn:ietf:params:imdn")

/* ---- reading ---- */

/* A line without its end, which is CRLF, or LF where it came so. */
static struct slice take_line(struct slice *rest) {
  struct slice line = slice_first(*rest, slice_find_byte(*rest, '\n'));
  *rest = slice_skip(*rest, line.len + 1);
  if (line.len > 0 && line.at[line.len - 1] == '\r') line.len--;
  return line;
}

/* A part of a head. */
struct field {
  struct slice name, value;
};

/* False: the head ends. */
static bool take_field(struct slice *rest, unsigned *lines, struct field *out) {
  struct slice line = take_line(rest);
  (*lines)++;
  size_t colon = slice_find_byte(line, ':');
  out->name = slice_trim(slice_first(line, colon));
  out->value = slice_trim(slice_skip(line, colon + 1));
  return line.len > 0 && *lines <= IMDN_LINES_MAX;
}

/* Printable and one word: more than a token of RFC 3862, as some write more. */
static bool is_word(struct slice text, size_t max) {
  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] <= ' ' || text.at[i] > '~') return false;
  return text.len > 0 && text.len <= max;
}

/* RFC 3339, as far as what it is made of. */
static bool is_datetime(struct slice text) {
  for (size_t i = 0; i < text.len; i++) {
    char c = text.at[i];
    struct slice other = SLICE("-+:.TZtz");
    if ((c < '0' || c > '9') && slice_find_byte(other, c) == other.len) return false;
  }
  return text.len >= 20 && text.len <= IMDN_TIME_MAX;
}

/* The URI in <>. */
static struct slice read_uri(struct slice value, size_t max) {
  struct slice uri = slice_skip(value, slice_find_byte(value, '<') + 1);
  size_t end = slice_find_byte(uri, '>');
  bool ends = end < uri.len;
  uri = slice_first(uri, end);
  return ends && is_word(uri, max) ? uri : SLICE_EMPTY;
}

/* "imdn <urn:ietf:params:imdn>": the prefix of its names from here on; without one they have none.
 */
static bool read_namespace(struct slice value, struct slice *prefix) {
  if (!slice_equal(read_uri(value, NAMESPACE.len), NAMESPACE)) return false;
  *prefix = slice_trim(slice_first(value, slice_find_byte(value, '<')));
  return true;
}

static bool is_named(struct slice name, struct slice prefix, const char *local) {
  if (prefix.len > 0 && (!slice_take(&name, prefix) || !slice_take(&name, SLICE("."))))
    return false;
  return slice_equal(name, slice_cstr(local));
}

static void read_wishes(struct slice value, struct imdn_request *out) {
  while (value.len > 0) {
    struct slice one = slice_first(value, slice_find_byte(value, ','));
    value = slice_skip(value, one.len + 1);
    one = slice_trim(slice_first(one, slice_find_byte(one, ';')));
    if (slice_equal(one, SLICE("positive-delivery"))) out->positive = true;
    if (slice_equal(one, SLICE("negative-delivery"))) out->negative = true;
  }
}

static bool is_type(struct slice value, struct slice type) {
  return slice_equal_nocase(slice_trim(slice_first(value, slice_find_byte(value, ';'))), type);
}

/* The head of what is inside says whether it is a notice (RFC 5438 section 9). */
static bool is_notice(struct slice rest, unsigned *lines) {
  struct field field;
  while (take_field(&rest, lines, &field)) {
    if (slice_equal_nocase(field.name, SLICE("Content-Disposition")) &&
        is_type(field.value, SLICE("notification")))
      return true;
    if (slice_equal_nocase(field.name, SLICE("Content-Type")) &&
        is_type(field.value, SLICE("message/imdn+xml")))
      return true;
  }
  return *lines > IMDN_LINES_MAX;
}

bool imdn_read(struct slice type, struct slice body, struct imdn_request *out) {
  struct slice prefix = SLICE_EMPTY;
  struct field field;
  unsigned lines = 0;
  bool known = false, routed = false;
  *out = (struct imdn_request){0};
  if (!is_type(type, SLICE(IMDN_TYPE))) return false;
  while (take_field(&body, &lines, &field)) {
    if (slice_equal(field.name, SLICE("NS")))
      known |= read_namespace(field.value, &prefix);
    else if (!known)
      continue;
    else if (is_named(field.name, prefix, "Message-ID"))
      out->id = field.value;
    else if (is_named(field.name, prefix, "Disposition-Notification"))
      read_wishes(field.value, out);
    else if (is_named(field.name, prefix, "Original-To"))
      out->original = read_uri(field.value, IMDN_URI_MAX);
    else if (is_named(field.name, prefix, "IMDN-Record-Route"))
      routed = true;
    else if (slice_equal(field.name, SLICE("DateTime")) && is_datetime(field.value))
      out->datetime = field.value;
  }
  return !routed && (out->positive || out->negative) && is_word(out->id, IMDN_ID_MAX) &&
         !is_notice(body, &lines);
}

/* ---- writing ---- */

static void put_line(struct buf *out, const char *before, struct slice value, const char *after) {
  buf_put_cstr(out, before);
  buf_put(out, value);
  buf_put_cstr(out, after);
}

static void put_element(struct buf *out, const char *name, struct slice text) {
  put_line(out, "<", slice_cstr(name), ">");
  xml_put_text(out, text);
  put_line(out, "</", slice_cstr(name), ">\r\n");
}

static void put_document(struct buf *out, const struct imdn_notice *notice) {
  const struct imdn_request *of = notice->of;
  char memory[IMDN_TIME_MAX];
  struct buf sent = buf_over(memory, sizeof memory);
  xml_put_time(&sent, notice->sent);
  buf_put_cstr(out,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
               "<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\r\n");
  put_element(out, "message-id", of->id);
  put_element(out, "datetime", of->datetime.len > 0 ? of->datetime : buf_slice(&sent));
  put_element(out, "recipient-uri", notice->from);
  if (of->original.len > 0) put_element(out, "original-recipient-uri", of->original);
  buf_put_cstr(out, "<delivery-notification><status><");
  buf_put_cstr(out, notice->delivered ? "delivered" : "failed");
  buf_put_cstr(out, "/></status></delivery-notification>\r\n</imdn>\r\n");
}

void imdn_put(struct buf *out, const struct imdn_notice *notice) {
  char memory[IMDN_DOCUMENT_MAX];
  struct buf document = buf_over(memory, sizeof memory);
  put_document(&document, notice);
  out->overflow |= document.overflow;
  put_line(out, "From: <", notice->from, ">\r\n");
  put_line(out, "To: <", notice->to, ">\r\nDateTime: ");
  xml_put_time(out, notice->now);
  buf_put_cstr(out, "\r\nNS: imdn <urn:ietf:params:imdn>\r\n");
  put_line(out, "imdn.Message-ID: ", notice->id, "\r\n\r\n");
  buf_put_cstr(out,
               "Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n"
               "Content-Length: ");
  buf_put_u64(out, document.len);
  put_line(out, "\r\n\r\n", buf_slice(&document), "");
}
