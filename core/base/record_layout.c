/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/record_layout.h"

#define DHT "urn:ietf:params:xml:ns:dht"
#define OVERLAY "urn:ietf:params:xml:ns:p2p-sip:overlay"
#define EXCLUSIVE "http://www.w3.org/2001/10/xml-exc-c14n#"
#define REFERENCE                                    \
  "\"><Transforms><Transform Algorithm=\"" EXCLUSIVE \
  "\"/></Transforms>"                                \
  "<DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><DigestValue>"

/* Canonical XML 1.0 section 2.2 puts attributes without namespace first, each group by name. */
#define RECORD "<dhtRecord xmlns=\"" DHT "\">"
#define KEY "<key xmlns=\"" DHT "\" Id=\"One\">"
#define VALUE "</key><value xmlns=\"" DHT "\" xmlns:o=\"" OVERLAY "\" Id=\"Two\" expires=\""
#define KEY_END "</key>"
#define NONCE "\" nonce=\""
#define BY "\" o:by=\""
#define FLOOR "\" o:floor=\""
#define OWNER "\" o:owner=\""
#define REMOVED "\" o:removed=\"true"
#define VERSION "\" o:version=\""
#define CONTENT "\">"
#define VALUE_END "</value>"
#define SIGNATURE "<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\">"
#define METHOD                                                 \
  "<SignedInfo><CanonicalizationMethod Algorithm=\"" EXCLUSIVE \
  "\"/>"                                                       \
  "<SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#"
#define FIRST "\"/><Reference URI=\"#One" REFERENCE
#define SECOND "</DigestValue></Reference><Reference URI=\"#Two" REFERENCE
#define SIGNATURE_VALUE "</DigestValue></Reference></SignedInfo><SignatureValue>"
#define CERTIFICATE "</SignatureValue><KeyInfo><X509Data><X509Certificate>"
#define CERTIFICATE_END "</X509Certificate></X509Data></KeyInfo></Signature>"
#define RECORD_END "</dhtRecord>"

/* What is left to read. The first part that is not there ends it. */
struct cursor {
  struct slice rest;
  const char *why;
};

static bool stands(const struct cursor *c, struct slice text) {
  return c->why == NULL && slice_starts(c->rest, text);
}

static void expect(struct cursor *c, struct slice text, const char *why) {
  if (c->why == NULL && !slice_starts(c->rest, text)) c->why = why;
  if (c->why == NULL) c->rest = slice_skip(c->rest, text.len);
}

static struct slice take(struct cursor *c, size_t len) {
  if (c->why != NULL) return SLICE_EMPTY;
  struct slice taken = slice_first(c->rest, len);
  c->rest = slice_skip(c->rest, len);
  return taken;
}

/* Up to the quote that ends an attribute. */
static struct slice take_attribute(struct cursor *c, const char *why) {
  struct slice text = take(c, slice_find_byte(c->rest, '"'));
  if (c->why == NULL && slice_find_byte(text, '<') < text.len) c->why = why;
  return text;
}

/* Text of an element without children. */
static struct slice take_text(struct cursor *c) { return take(c, slice_find_byte(c->rest, '<')); }

static struct slice take_base64(struct cursor *c, size_t least, size_t most, const char *why) {
  struct slice text = take_text(c);
  if (c->why != NULL) return SLICE_EMPTY;
  size_t bytes = text.len / 4 * 3;
  for (size_t i = text.len; i > 0 && i + 2 > text.len && text.at[i - 1] == '='; i--) bytes--;
  if (text.len % 4 != 0 || bytes < least || bytes > most) c->why = why;
  return text;
}

/* ---- reading ---- */

/* 40 digits, or nothing yet. */
static struct slice read_hash(struct cursor *c, struct key *out, const char *why) {
  struct slice text = take_attribute(c, why);
  if (c->why != NULL || text.len == 0) return text;
  char again[KEY_HEX];
  struct buf upper = buf_over(again, sizeof again);
  bool ok = key_parse(text, out);
  if (ok) key_put(&upper, out);
  if (!ok || !slice_equal(buf_slice(&upper), text)) c->why = why;
  return text;
}

static void read_head(struct cursor *c, struct record_layout *out) {
  static const char attributes[] =
      "value is not in the layout of a record: expires, nonce, o:by, o:floor, o:owner, o:removed, "
      "o:version";
  expect(c, SLICE(RECORD), "dhtRecord is not opened as the layout of a record says");
  out->key = c->rest;
  expect(c, SLICE(KEY), "key is not opened as the layout of a record says");
  out->key_text = take_text(c);
  out->value = slice_skip(c->rest, sizeof KEY_END - 1);
  expect(c, SLICE(VALUE), "value does not follow key as the layout of a record says");
  out->expires = take_attribute(c, attributes);
  expect(c, SLICE(NONCE), attributes);
  out->nonce = take_attribute(c, attributes);
  out->has_by = stands(c, SLICE(BY));
  if (out->has_by) {
    expect(c, SLICE(BY), attributes);
    out->by_text = read_hash(c, &out->signer, "o:by is not 40 upper-case hexadecimal digits");
  }
  expect(c, SLICE(FLOOR), attributes);
  out->floor = take_attribute(c, attributes);
  expect(c, SLICE(OWNER), attributes);
  out->owner_text = read_hash(c, &out->owner, "o:owner is not 40 upper-case hexadecimal digits");
  if (!out->has_by) out->signer = out->owner;
  out->removed = stands(c, SLICE(REMOVED));
  if (out->removed) expect(c, SLICE(REMOVED), attributes);
  if (c->why == NULL && out->has_by && !out->removed) c->why = "o:by stands only in a removal";
  expect(c, SLICE(VERSION), attributes);
  out->version = take_attribute(c, attributes);
  expect(c, SLICE(CONTENT), attributes);
}

/* Offset of the last occurrence of needle, or s.len. */
static size_t find_last(struct slice s, struct slice needle) {
  size_t last = s.len, from = 0, found;
  while ((found = slice_find(slice_skip(s, from), needle)) < s.len - from) {
    last = from + found;
    from = last + 1;
  }
  return last;
}

/* Canonical form has no comment and no CDATA section, and "<" stands for nothing else in it; the
 * third, "<?", it would keep. */
static void check_content(struct cursor *c, struct slice content) {
  unsigned tags = 0;
  if (slice_find_byte(content, '\0') < content.len) c->why = "value with a NUL byte";
  while (c->why == NULL) {
    content = slice_skip(content, slice_find_byte(content, '<'));
    if (content.len == 0) break;
    content = slice_skip(content, 1);
    tags++;
    char next = content.len > 0 ? content.at[0] : '!';
    if (next == '!' || next == '?')
      c->why = "value with a comment, a CDATA section, a declaration or a processing instruction";
  }
  if (c->why == NULL && tags > RECORD_TAGS_MAX) c->why = "dhtRecord of more than 120 elements";
}

static void read_content(struct cursor *c, struct record_layout *out, struct slice end) {
  if (c->why != NULL) return;
  size_t len = find_last(c->rest, end);
  if (len == c->rest.len) {
    c->why = "Signature does not follow value as the layout of a record says";
    return;
  }
  out->content = take(c, len);
  c->rest = slice_skip(c->rest, sizeof VALUE_END - 1);
  out->key = slice_between(out->key.at, out->value.at);
  out->value = slice_between(out->value.at, c->rest.at);
  out->both = slice_between(out->key.at, c->rest.at);
  check_content(c, out->content);
}

static void read_algorithm(struct cursor *c, struct record_layout *out) {
  struct slice name = take_attribute(c, "SignatureMethod");
  if (slice_equal(name, SLICE("ecdsa-sha256")))
    out->algorithm = RECORD_ECDSA_SHA256;
  else if (slice_equal(name, SLICE("rsa-sha256")))
    out->algorithm = RECORD_RSA_SHA256;
  else if (c->why == NULL)
    c->why = "SignatureMethod is neither ecdsa-sha256 nor rsa-sha256";
}

static void read_signature(struct cursor *c, struct record_layout *out) {
  const size_t digest = RECORD_DIGEST_BYTES;
  expect(c, SLICE(SIGNATURE), "Signature is not opened as the layout of a record says");
  expect(c, SLICE(METHOD), "CanonicalizationMethod or SignatureMethod is not one that is allowed");
  read_algorithm(c, out);
  expect(c, SLICE(FIRST), "the first Reference is not the key's, by exclusive C14N and SHA-256");
  out->key_digest = take_base64(c, digest, digest, "DigestValue of the key is not a SHA-256");
  expect(c, SLICE(SECOND),
         "the second Reference is not the value's, by exclusive C14N and SHA-256");
  out->value_digest = take_base64(c, digest, digest, "DigestValue of the value is not a SHA-256");
  expect(c, SLICE(SIGNATURE_VALUE), "SignedInfo has something besides its two References");
  out->signature = take_base64(c, 1, RECORD_SIGNATURE_MAX, "SignatureValue is not base64");
  expect(c, SLICE(CERTIFICATE), "KeyInfo is not one X509Certificate");
  out->certificate = take_base64(c, 1, RECORD_CERTIFICATE_MAX,
                                 "X509Certificate is not base64 of 2048 bytes at most");
  expect(c, SLICE(CERTIFICATE_END), "KeyInfo is not one X509Certificate");
}

static enum err end_reading(struct cursor *c, const char **why) {
  expect(c, SLICE(RECORD_END), "dhtRecord is not closed where the layout of a record says");
  if (c->why == NULL && c->rest.len > 0) c->why = "something follows the record";
  if (c->why == NULL) return OK;
  *why = c->why;
  return ERR_SYNTAX;
}

static bool is_too_long(struct slice record, const char **why) {
  if (record.len <= RECORD_BYTES_MAX) return false;
  *why = "dhtRecord larger than 20480 bytes";
  return true;
}

enum err record_layout_read(struct slice record, struct record_layout *out, const char **why) {
  *out = (struct record_layout){0};
  if (is_too_long(record, why)) return ERR_LIMIT;
  struct cursor c = {.rest = record};
  read_head(&c, out);
  if (c.why == NULL && out->owner_text.len == 0) c.why = "value without o:owner";
  if (c.why == NULL && out->has_by && out->by_text.len == 0) c.why = "o:by is empty";
  read_content(&c, out, SLICE(VALUE_END SIGNATURE));
  read_signature(&c, out);
  return end_reading(&c, why);
}

enum err record_layout_read_unsigned(struct slice record, struct record_layout *out,
                                     const char **why) {
  *out = (struct record_layout){0};
  if (is_too_long(record, why)) return ERR_LIMIT;
  struct cursor c = {.rest = record};
  read_head(&c, out);
  if (c.why == NULL && !out->has_by && out->owner_text.len != 0)
    c.why = "o:owner is the signer's to write";
  if (c.why == NULL && out->has_by && (out->owner_text.len == 0 || out->by_text.len != 0))
    c.why = "o:by is the signer's to write, and whose record it removes is said";
  read_content(&c, out, SLICE(VALUE_END RECORD_END));
  return end_reading(&c, why);
}

/* ---- writing ---- */

void record_layout_put_head(struct buf *out, const struct record_layout_head *head) {
  buf_put(out, SLICE(RECORD KEY));
  buf_put(out, head->key_text);
  buf_put(out, SLICE(VALUE));
  buf_put(out, head->expires);
  buf_put(out, SLICE(NONCE));
  buf_put(out, head->nonce);
  if (head->has_by) {
    buf_put(out, SLICE(BY));
    buf_put(out, head->by);
  }
  buf_put(out, SLICE(FLOOR));
  buf_put(out, head->floor);
  buf_put(out, SLICE(OWNER));
  buf_put(out, head->owner);
  if (head->removed) buf_put(out, SLICE(REMOVED));
  buf_put(out, SLICE(VERSION));
  buf_put(out, head->version);
  buf_put(out, SLICE(CONTENT));
}

void record_layout_put_unsigned_end(struct buf *out) { buf_put(out, SLICE(VALUE_END RECORD_END)); }

static void put_digest(struct buf *out, const uint8_t *digest) {
  if (digest != NULL) buf_put_base64(out, digest, RECORD_DIGEST_BYTES);
}

void record_layout_put_signed(struct buf *out, const struct record_layout *unsigned_record,
                              struct slice signer, const struct record_layout_signature *s) {
  bool by = unsigned_record->has_by;
  const struct record_layout_head head = {.key_text = unsigned_record->key_text,
                                          .expires = unsigned_record->expires,
                                          .nonce = unsigned_record->nonce,
                                          .floor = unsigned_record->floor,
                                          .version = unsigned_record->version,
                                          .removed = unsigned_record->removed,
                                          .owner = by ? unsigned_record->owner_text : signer,
                                          .has_by = by,
                                          .by = signer};
  record_layout_put_head(out, &head);
  buf_put(out, unsigned_record->content);
  buf_put(out, SLICE(VALUE_END SIGNATURE METHOD));
  buf_put(out, s->algorithm == RECORD_RSA_SHA256 ? SLICE("rsa-sha256") : SLICE("ecdsa-sha256"));
  buf_put(out, SLICE(FIRST));
  put_digest(out, s->key_digest);
  buf_put(out, SLICE(SECOND));
  put_digest(out, s->value_digest);
  buf_put(out, SLICE(SIGNATURE_VALUE));
  buf_put_base64(out, s->signature.at, s->signature.len);
  buf_put(out, SLICE(CERTIFICATE));
  buf_put_base64(out, s->certificate.at, s->certificate.len);
  buf_put(out, SLICE(CERTIFICATE_END RECORD_END));
}
