/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/immutable.h"

#define RECORD "<dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\"><key>"
#define VALUE "</key><value expires=\""
#define CONTENT "\">"
#define BASE64 "<base64>"
#define BASE64_END "</base64>"
#define RECORD_END "</value></dhtRecord>"

/* ---- one record ---- */

static bool is_key(struct slice text) {
  if (text.len != IMMUTABLE_KEY_BYTES || !slice_take(&text, SLICE(IMMUTABLE_SCHEME))) return false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.at[i];
    if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return false;
  }
  return true;
}

bool immutable_is_record(struct slice record) {
  return slice_starts(record, SLICE(RECORD IMMUTABLE_SCHEME));
}

static enum err refuse(enum err err, const char **why, const char *text) {
  *why = text;
  return err;
}

enum err immutable_layout_read(struct slice record, struct immutable_layout *out,
                               const char **why) {
  struct slice rest = record;
  *out = (struct immutable_layout){0};
  if (!slice_take(&rest, SLICE(RECORD)))
    return refuse(ERR_SYNTAX, why, "dhtRecord of an immutable value is not opened as R-4.36 says");
  out->key_text = slice_take_until(&rest, '<');
  if (!is_key(out->key_text))
    return refuse(ERR_SYNTAX, why, "key is not immut: and 64 digits in lower case");
  if (!slice_take(&rest, SLICE(VALUE)))
    return refuse(ERR_SYNTAX, why, "value of an immutable value has expires alone");
  out->expires = slice_take_until(&rest, '"');
  if (!slice_take(&rest, SLICE(CONTENT BASE64)))
    return refuse(ERR_SYNTAX, why, "an immutable value is one base64 element");
  const char *from = rest.at - (sizeof BASE64 - 1);
  out->base64 = slice_take_until(&rest, '<');
  if (!slice_take(&rest, SLICE(BASE64_END)))
    return refuse(ERR_SYNTAX, why, "an immutable value is one base64 element");
  out->content = slice_between(from, rest.at);
  if (!slice_equal(rest, SLICE(RECORD_END)))
    return refuse(ERR_SYNTAX, why, "something follows an immutable value in its record");
  if (out->base64.len == 0 || out->base64.len % 4 != 0)
    return refuse(ERR_SYNTAX, why, "an immutable value is empty, or not base64");
  if (out->base64.len > (IMMUTABLE_BYTES_MAX + 2) / 3 * 4)
    return refuse(ERR_LIMIT, why, "an immutable value larger than 12000 bytes: cut it");
  return OK;
}

void immutable_layout_put(struct buf *out, struct slice key_text, struct slice expires,
                          struct slice value) {
  buf_put(out, SLICE(RECORD));
  buf_put(out, key_text);
  buf_put(out, SLICE(VALUE));
  buf_put(out, expires);
  buf_put(out, SLICE(CONTENT BASE64));
  buf_put_base64(out, value.at, value.len);
  buf_put(out, SLICE(BASE64_END RECORD_END));
}

static const char lower_digits[] = "0123456789abcdef";

void immutable_put_key(struct buf *out, const struct crypto *crypto, struct slice value) {
  uint8_t hash[IMMUTABLE_HASH_BYTES];
  crypto->sha256(crypto->context, value, hash);
  buf_put(out, SLICE(IMMUTABLE_SCHEME));
  for (unsigned i = 0; i < IMMUTABLE_HASH_BYTES; i++) {
    buf_put_char(out, lower_digits[hash[i] >> 4]);
    buf_put_char(out, lower_digits[hash[i] & 15]);
  }
}

enum err immutable_verify(const struct crypto *crypto, struct slice record, const char **why) {
  struct immutable_layout layout;
  if (immutable_layout_read(record, &layout, why) != OK) return ERR_REFUSED;
  uint8_t value[IMMUTABLE_BYTES_MAX + 2];
  size_t len = sizeof value;
  if (!base64_decode(layout.base64, value, &len) || len == 0)
    return refuse(ERR_REFUSED, why, "an immutable value is not base64");
  char text[IMMUTABLE_KEY_BYTES];
  struct buf key = buf_over(text, sizeof text);
  immutable_put_key(&key, crypto, slice_of(value, len));
  if (slice_equal(buf_slice(&key), layout.key_text)) return OK;
  return refuse(ERR_REFUSED, why, "the key is not the hash of the immutable value");
}

/* ---- fragments ---- */

struct slice immutable_fragment(struct slice value, unsigned i) {
  return slice_first(slice_skip(value, (size_t)i * IMMUTABLE_BYTES_MAX), IMMUTABLE_BYTES_MAX);
}

enum err immutable_manifest_read(struct slice value, struct immutable_manifest *out,
                                 const char **why) {
  uint64_t total;
  *out = (struct immutable_manifest){0};
  if (!immutable_is_manifest(value)) return refuse(ERR_SYNTAX, why, "not a manifest");
  struct slice rest = slice_skip(value, 1);
  struct slice number = slice_take_until(&rest, '\0');
  if (!slice_to_u64(number, UINT32_MAX, &total) || number.at[0] == '0')
    return refuse(ERR_SYNTAX, why, "the manifest does not begin with a length");
  if (total > IMMUTABLE_TOTAL_MAX)
    return refuse(ERR_LIMIT, why, "the manifest is of more than 1048576 bytes");
  out->total = (size_t)total;
  out->count = (unsigned)((total + IMMUTABLE_BYTES_MAX - 1) / IMMUTABLE_BYTES_MAX);
  out->keys = rest;
  if (rest.len != (size_t)out->count * (IMMUTABLE_KEY_BYTES + 1))
    return refuse(ERR_SYNTAX, why,
                  "the manifest does not list as many fragments as its length has");
  for (unsigned i = 0; i < out->count; i++)
    if (rest.at[(size_t)i * (IMMUTABLE_KEY_BYTES + 1)] != '\0' ||
        !is_key(immutable_manifest_key(out, i)))
      return refuse(ERR_SYNTAX, why, "the manifest lists what is no key of a fragment");
  return OK;
}

struct slice immutable_manifest_key(const struct immutable_manifest *manifest, unsigned i) {
  size_t at = (size_t)i * (IMMUTABLE_KEY_BYTES + 1) + 1;
  return slice_first(slice_skip(manifest->keys, at), IMMUTABLE_KEY_BYTES);
}

size_t immutable_manifest_size(const struct immutable_manifest *manifest, unsigned i) {
  size_t before = (size_t)i * IMMUTABLE_BYTES_MAX;
  size_t rest = manifest->total > before ? manifest->total - before : 0;
  return rest < IMMUTABLE_BYTES_MAX ? rest : IMMUTABLE_BYTES_MAX;
}

void immutable_manifest_put(struct buf *out, size_t total) {
  buf_put_char(out, '\0');
  buf_put_u64(out, total);
}

void immutable_manifest_put_key(struct buf *out, struct slice key_text) {
  buf_put_char(out, '\0');
  buf_put(out, key_text);
}
