/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/digest.h"

#include "sip/scan.h"

#define METHOD_BYTES_MAX 64u

static const struct {
  const char *name;
  size_t bytes;
} algorithms[DIGEST_ALGORITHMS] = {[DIGEST_SHA256] = {"SHA-256", 32}, [DIGEST_MD5] = {"MD5", 16}};

const char *digest_algorithm_name(enum digest_algorithm algorithm) {
  return algorithms[algorithm].name;
}

size_t digest_hash_bytes(enum digest_algorithm algorithm) { return algorithms[algorithm].bytes; }

/* ---- reading ---- */

enum field {
  FIELD_USERNAME,
  FIELD_REALM,
  FIELD_NONCE,
  FIELD_URI,
  FIELD_RESPONSE,
  FIELD_ALGORITHM,
  FIELD_CNONCE,
  FIELD_QOP,
  FIELD_NC,
  FIELD_USERHASH,
  FIELDS
};
static const char *const field_names[FIELDS] = {
    [FIELD_USERNAME] = "username", [FIELD_REALM] = "realm",       [FIELD_NONCE] = "nonce",
    [FIELD_URI] = "uri",           [FIELD_RESPONSE] = "response", [FIELD_ALGORITHM] = "algorithm",
    [FIELD_CNONCE] = "cnonce",     [FIELD_QOP] = "qop",           [FIELD_NC] = "nc",
    [FIELD_USERHASH] = "userhash",
};

static struct slice unquoted(struct slice text) {
  if (text.len < 2 || text.at[0] != '"') return text;
  return slice_of(text.at + 1, text.len - 2);
}

/* False: malformed. field[i].at == NULL: not there. */
static bool read_fields(const char *p, const char *end, struct slice field[FIELDS]) {
  while (p < end) {
    struct slice name, value;
    p = sip_scan_param(p, end, &name, &value);
    if (p == NULL || value.at == NULL) return false;
    for (unsigned i = 0; i < FIELDS; i++) {
      if (!slice_equal_nocase(name, slice_cstr(field_names[i]))) continue;
      if (field[i].at != NULL) return false;
      field[i] = unquoted(value);
    }
    p = sip_skip_ws(p, end);
    if (p == end) break;
    if (*p != ',') return false;
    p = sip_skip_ws(p + 1, end);
  }
  return true;
}

static bool read_algorithm(struct slice text, enum digest_algorithm *out) {
  *out = DIGEST_MD5;
  if (text.at == NULL) return true;
  for (unsigned i = 0; i < DIGEST_ALGORITHMS; i++) {
    if (!slice_equal_nocase(text, slice_cstr(algorithms[i].name))) continue;
    *out = (enum digest_algorithm)i;
    return true;
  }
  return false;
}

static bool read_hex(struct slice text, uint8_t *out, size_t bytes) {
  if (text.len != 2 * bytes) return false;
  for (size_t i = 0; i < bytes; i++) {
    uint64_t byte;
    if (!slice_hex_to_u64(slice_of(text.at + 2 * i, 2), &byte)) return false;
    out[i] = (uint8_t)byte;
  }
  return true;
}

static enum err read_counted(const struct slice field[FIELDS], struct digest_credentials *out) {
  uint64_t count;
  out->qop = field[FIELD_QOP].at != NULL;
  out->nc = 1;
  if (!out->qop) return OK;
  if (!slice_equal_nocase(field[FIELD_QOP], SLICE("auth"))) return ERR_UNSUPPORTED;
  out->cnonce = field[FIELD_CNONCE];
  out->nc_text = field[FIELD_NC];
  if (out->cnonce.at == NULL || out->nc_text.len > 8 || !slice_hex_to_u64(out->nc_text, &count))
    return ERR_SYNTAX;
  if (out->cnonce.len > DIGEST_CNONCE_BYTES_MAX) return ERR_LIMIT;
  out->nc = (uint32_t)count;
  return OK;
}

enum err digest_read(struct slice value, struct digest_credentials *out) {
  const struct slice scheme = SLICE("Digest");
  struct slice field[FIELDS] = {0};
  *out = (struct digest_credentials){0};
  const char *end = value.at + value.len;
  if (!slice_starts_nocase(value, scheme) || value.len == scheme.len ||
      !sip_is(value.at[scheme.len], SIP_C_WS))
    return ERR_UNSUPPORTED;
  if (!read_fields(sip_skip_ws(value.at + scheme.len, end), end, field)) return ERR_SYNTAX;
  if (!read_algorithm(field[FIELD_ALGORITHM], &out->algorithm) ||
      slice_equal_nocase(field[FIELD_USERHASH], SLICE("true")))
    return ERR_UNSUPPORTED;
  for (unsigned i = 0; i < FIELD_RESPONSE; i++)
    if (field[i].at == NULL) return ERR_SYNTAX;
  out->username = field[FIELD_USERNAME];
  out->realm = field[FIELD_REALM];
  out->nonce = field[FIELD_NONCE];
  out->uri = field[FIELD_URI];
  if (out->nonce.len > DIGEST_NONCE_BYTES_MAX || out->uri.len > DIGEST_URI_BYTES_MAX)
    return ERR_LIMIT;
  if (!read_hex(field[FIELD_RESPONSE], out->response, algorithms[out->algorithm].bytes))
    return ERR_SYNTAX;
  return read_counted(field, out);
}

/* ---- the response ---- */

static void put_hex(struct buf *out, const uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) buf_put_hex64(out, bytes[i], 2);
}

static void hash(const struct crypto *crypto, enum digest_algorithm algorithm, struct slice text,
                 uint8_t *out) {
  if (algorithm == DIGEST_SHA256)
    crypto->sha256(crypto->context, text, out);
  else
    crypto->md5(crypto->context, text, out);
}

static bool hash_request(const struct crypto *crypto, const struct digest_credentials *credentials,
                         struct slice method, uint8_t *out) {
  char memory[METHOD_BYTES_MAX + 1 + DIGEST_URI_BYTES_MAX];
  struct buf text = buf_over(memory, sizeof memory);
  buf_put(&text, method);
  buf_put_char(&text, ':');
  buf_put(&text, credentials->uri);
  if (text.overflow) return false;
  hash(crypto, credentials->algorithm, buf_slice(&text), out);
  return true;
}

bool digest_is_right(const struct crypto *crypto, const struct digest_credentials *credentials,
                     struct slice method, const uint8_t *secret) {
  char memory[DIGEST_NONCE_BYTES_MAX + DIGEST_CNONCE_BYTES_MAX + 4 * DIGEST_HASH_BYTES_MAX + 32];
  struct buf text = buf_over(memory, sizeof memory);
  uint8_t request[DIGEST_HASH_BYTES_MAX], right[DIGEST_HASH_BYTES_MAX];
  size_t bytes = algorithms[credentials->algorithm].bytes;
  if (!hash_request(crypto, credentials, method, request)) return false;
  put_hex(&text, secret, bytes);
  buf_put_char(&text, ':');
  buf_put(&text, credentials->nonce);
  if (credentials->qop) {
    buf_put_char(&text, ':');
    buf_put(&text, credentials->nc_text);
    buf_put_char(&text, ':');
    buf_put(&text, credentials->cnonce);
    buf_put_cstr(&text, ":auth");
  }
  buf_put_char(&text, ':');
  put_hex(&text, request, bytes);
  if (text.overflow) return false;
  hash(crypto, credentials->algorithm, buf_slice(&text), right);
  unsigned wrong = 0;
  for (size_t i = 0; i < bytes; i++) wrong |= (unsigned)(right[i] ^ credentials->response[i]);
  return wrong == 0;
}

/* ---- challenges ---- */

void digest_put_challenge(struct buf *out, const struct digest_challenge *challenge) {
  buf_put_cstr(out, "Digest realm=\"");
  buf_put(out, challenge->realm);
  buf_put_cstr(out, "\", nonce=\"");
  buf_put(out, challenge->nonce);
  buf_put_cstr(out, "\", algorithm=");
  buf_put_cstr(out, algorithms[challenge->algorithm].name);
  buf_put_cstr(out, ", qop=\"auth\"");
  if (challenge->stale) buf_put_cstr(out, ", stale=true");
}
