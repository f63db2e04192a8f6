/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge/gruu.h"

#include "base/assert.h"
#include "edge/target.h"

/* "tg-", the home's port and address in hexadecimal, "-", and in hexadecimal: run (2 bytes), salt
 * (8), what is hidden (16 * n), HMAC (10). Hidden are the proof of instance and Call-ID (8), the
 * length of the user part (1), the user part, and zeros. */
#define PREFIX SLICE("tg-")
#define RUN_BYTES 2u
#define SALT_BYTES 8u
#define PROOF_BYTES 8u
#define MAC_BYTES 10u
#define BLOCK 16u
#define USER_BYTES_MAX 87u /* a longer one gets no temporary GRUU */
#define HIDDEN_BYTES_MAX 96u
#define SEALED_BYTES_MAX (RUN_BYTES + SALT_BYTES + HIDDEN_BYTES_MAX + MAC_BYTES)

/* HMAC over a purpose and two texts, the first of which has a length before it. */
static void mac_of(const struct edge *edge, char purpose, struct slice a, struct slice b,
                   uint8_t out[32]) {
  char memory[GRUU_TEXT_BYTES];
  struct buf text = buf_over(memory, sizeof memory);
  buf_put_char(&text, purpose);
  buf_put_u64(&text, a.len);
  buf_put_char(&text, ' ');
  buf_put(&text, a);
  buf_put(&text, b);
  const struct crypto *crypto = edge->config.crypto;
  crypto->hmac_sha256(crypto->context, slice_of(edge->gruu_key, sizeof edge->gruu_key),
                      buf_slice(&text), out);
}

/* Of fixed length: an instance and a Call-ID have no common bound. */
static void prove(const struct edge *edge, const struct binding *binding,
                  uint8_t out[PROOF_BYTES]) {
  uint8_t call[32], proof[32];
  const struct crypto *crypto = edge->config.crypto;
  crypto->sha256(crypto->context, binding->call_id, call);
  mac_of(edge, 'p', slice_of(call, sizeof call), binding->contact.instance, proof);
  memcpy(out, proof, PROOF_BYTES);
}

/* The same hides and shows. */
static void mask(const struct edge *edge, const uint8_t *salt, uint8_t *bytes, size_t len) {
  uint8_t stream[32];
  for (size_t i = 0; i < len; i++) {
    char block = (char)('0' + i / sizeof stream);
    if (i % sizeof stream == 0)
      mac_of(edge, 's', slice_of(salt, SALT_BYTES), slice_of(&block, 1), stream);
    bytes[i] ^= stream[i % sizeof stream];
  }
}

static void put_lower(struct buf *out, struct slice host) {
  for (size_t i = 0; i < host.len; i++) {
    char c = host.at[i];
    buf_put_char(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
  }
}

static void seal(const struct edge *edge, const uint8_t *bytes, size_t len, struct slice host,
                 uint8_t out[MAC_BYTES]) {
  char memory[256];
  struct buf lower = buf_over(memory, sizeof memory);
  uint8_t mac[32];
  put_lower(&lower, slice_first(host, sizeof memory));
  mac_of(edge, 'm', slice_of(bytes, len), buf_slice(&lower), mac);
  memcpy(out, mac, MAC_BYTES);
}

/* ---- writing ---- */

/* "<urn:...>" or "urn:..." */
static struct slice bare(struct slice instance) {
  if (instance.len < 2 || instance.at[0] != '<' || instance.at[instance.len - 1] != '>')
    return instance;
  return slice_of(instance.at + 1, instance.len - 2);
}

/* What a parameter of a URI may hold as it stands (RFC 3261 section 25.1, paramchar). */
static bool is_plain(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return slice_find_byte(SLICE("-_.!~*'()[]/:&+$"), c) != SLICE("-_.!~*'()[]/:&+$").len;
}

static void put_public(struct buf *out, const struct binding *binding) {
  struct slice instance = bare(binding->contact.instance);
  buf_put_cstr(out, ";pub-gruu=\"");
  buf_put(out, binding->aor);
  buf_put_cstr(out, ";gr=");
  for (size_t i = 0; i < instance.len; i++) {
    char c = instance.at[i];
    if (is_plain(c)) {
      buf_put_char(out, c);
    } else {
      buf_put_char(out, '%');
      buf_put_hex(out, &c, 1);
    }
  }
  buf_put_char(out, '"');
}

static void put_home(struct buf *out, const struct endpoint *at) {
  uint8_t port[2] = {(uint8_t)(at->port >> 8), (uint8_t)at->port};
  buf_put_hex(out, port, sizeof port);
  buf_put_hex(out, at->addr, at->family == 6 ? 16 : 4);
}

static void put_temporary(struct buf *out, struct edge *edge, const struct binding *binding) {
  struct slice user = slice_skip(binding->aor, 4); /* after "sip:" */
  struct slice host = slice_skip(user, slice_find_byte(user, '@') + 1);
  user = slice_first(user, slice_find_byte(user, '@'));
  if (user.len > USER_BYTES_MAX || host.len == 0) return;
  uint8_t bytes[SEALED_BYTES_MAX] = {0};
  uint8_t *salt = bytes + RUN_BYTES, *hidden = salt + SALT_BYTES;
  size_t len = (PROOF_BYTES + 1 + user.len + BLOCK - 1) / BLOCK * BLOCK;
  memcpy(bytes, edge->token_run, RUN_BYTES);
  rng_fill(&edge->rng, salt, SALT_BYTES);
  prove(edge, binding, hidden);
  hidden[PROOF_BYTES] = (uint8_t)user.len;
  memcpy(hidden + PROOF_BYTES + 1, user.at, user.len);
  mask(edge, salt, hidden, len);
  len += RUN_BYTES + SALT_BYTES;
  seal(edge, bytes, len, host, bytes + len);
  buf_put_cstr(out, ";temp-gruu=\"sip:");
  buf_put(out, PREFIX);
  put_home(out, &edge->config.advertise);
  buf_put_char(out, '-');
  buf_put_hex(out, bytes, len + MAC_BYTES);
  buf_put_char(out, '@');
  buf_put(out, host);
  buf_put_cstr(out, ";gr\"");
}

void gruu_put_params(struct buf *out, struct edge *edge, const struct binding *binding) {
  if (binding->contact.instance.len == 0) return;
  put_public(out, binding);
  put_temporary(out, edge, binding);
}

/* ---- reading ---- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/* Returns how many bytes; 0: not hexadecimal, or more than `room`. */
static size_t read_hex(struct slice text, uint8_t *out, size_t room) {
  if (text.len % 2 != 0 || text.len / 2 > room) return 0;
  for (size_t i = 0; i < text.len; i += 2) {
    int high = hex_digit(text.at[i]), low = hex_digit(text.at[i + 1]);
    if (high < 0 || low < 0) return 0;
    out[i / 2] = (uint8_t)(high << 4 | low);
  }
  return text.len / 2;
}

static bool put_instance(struct buf *out, struct slice value) {
  buf_put_char(out, '<');
  for (size_t i = 0; i < value.len; i++) {
    uint8_t byte;
    if (value.at[i] != '%') {
      buf_put_char(out, value.at[i]);
    } else if (i + 2 < value.len && read_hex(slice_of(value.at + i + 1, 2), &byte, 1) == 1) {
      buf_put_char(out, (char)byte);
      i += 2;
    } else {
      return false;
    }
  }
  buf_put_char(out, '>');
  return !out->overflow;
}

static bool read_public(struct gruu *gruu, const struct sip_uri *uri, struct slice value) {
  struct buf text = buf_over(gruu->text, sizeof gruu->text);
  if (uri->user.len == 0 || sip_uri_put_aor(&text, uri) != OK || text.overflow) return false;
  gruu->aor = buf_slice(&text);
  struct slice all = gruu->aor;
  if (!put_instance(&text, value)) return false;
  gruu->instance = slice_skip(buf_slice(&text), all.len);
  return true;
}

static bool read_home(struct slice text, struct endpoint *home) {
  uint8_t bytes[18] = {0};
  size_t len = read_hex(text, bytes, sizeof bytes);
  if (len != 6 && len != 18) return false;
  *home = (struct endpoint){.port = (uint16_t)(bytes[0] << 8 | bytes[1]),
                            .family = len == 6 ? 4 : 6,
                            .transport = TRANSPORT_TCP};
  memcpy(home->addr, bytes + 2, len - 2);
  return home->port != 0;
}

/* Whose it is, if it was made by this run of this peer. */
static bool unseal(const struct edge *edge, struct slice text, struct slice host,
                   uint8_t hidden[HIDDEN_BYTES_MAX], size_t *len) {
  uint8_t bytes[SEALED_BYTES_MAX], mac[MAC_BYTES], differs = 0;
  size_t all = read_hex(text, bytes, sizeof bytes);
  if (all < RUN_BYTES + SALT_BYTES + BLOCK + MAC_BYTES || host.len > 255) return false;
  size_t sealed = all - MAC_BYTES;
  seal(edge, bytes, sealed, host, mac);
  for (unsigned i = 0; i < MAC_BYTES; i++) differs |= (uint8_t)(mac[i] ^ bytes[sealed + i]);
  if (differs != 0) return false;
  *len = sealed - RUN_BYTES - SALT_BYTES;
  memcpy(hidden, bytes + RUN_BYTES + SALT_BYTES, *len);
  mask(edge, bytes + RUN_BYTES, hidden, *len);
  return hidden[PROOF_BYTES] + PROOF_BYTES + 1u <= *len;
}

/* The instance is that of a binding with the same Call-ID as when it was made (RFC 5627 5.1). */
static bool find_instance(struct gruu *gruu, const struct edge *edge, const uint8_t *proof,
                          struct buf *text) {
  const struct bindings *table = &edge->bindings;
  uint32_t at = bindings_start(table, gruu->aor);
  const struct binding *binding;
  while ((binding = bindings_next(table, gruu->aor, &at)) != NULL) {
    uint8_t own[PROOF_BYTES];
    if (binding->contact.instance.len == 0 || binding->closed) continue;
    prove(edge, binding, own);
    if (memcmp(own, proof, PROOF_BYTES) != 0) continue;
    size_t mark = text->len;
    buf_put(text, binding->contact.instance);
    gruu->instance = slice_skip(buf_slice(text), mark);
    return !text->overflow;
  }
  return false;
}

static bool read_temporary(struct gruu *gruu, const struct edge *edge, struct slice sealed,
                           struct slice host) {
  uint8_t hidden[HIDDEN_BYTES_MAX];
  size_t len;
  if (!unseal(edge, sealed, host, hidden, &len)) return false;
  struct buf text = buf_over(gruu->text, sizeof gruu->text);
  buf_put_cstr(&text, "sip:");
  buf_put(&text, slice_of(hidden + PROOF_BYTES + 1, hidden[PROOF_BYTES]));
  buf_put_char(&text, '@');
  put_lower(&text, host);
  if (text.overflow) return false;
  gruu->aor = buf_slice(&text);
  return find_instance(gruu, edge, hidden, &text);
}

void gruu_read(struct gruu *gruu, const struct edge *edge, const struct sip_uri *uri) {
  struct slice value, rest = uri->user;
  gruu->kind = GRUU_NONE;
  if (!sip_param_get(uri->params, "gr", &value)) return;
  gruu->kind = GRUU_UNKNOWN;
  if (value.len != 0) {
    if (read_public(gruu, uri, value)) gruu->kind = GRUU_INSTANCE;
    return;
  }
  if (!slice_take(&rest, PREFIX)) return;
  struct slice home = slice_take_until(&rest, '-');
  if (!read_home(home, &gruu->home)) return;
  if (!endpoint_same_address(&gruu->home, &edge->config.advertise))
    gruu->kind = GRUU_ELSEWHERE;
  else if (read_temporary(gruu, edge, slice_skip(rest, 1), uri->host))
    gruu->kind = GRUU_INSTANCE;
}

const struct binding *gruu_binding(const struct edge *edge, const struct gruu *gruu, usec now,
                                   const struct hop *hop) {
  const struct bindings *table = &edge->bindings;
  uint32_t at = bindings_start(table, gruu->aor);
  const struct binding *binding, *found = NULL;
  while ((binding = bindings_next(table, gruu->aor, &at)) != NULL) {
    if (!target_is_bound(binding, now)) continue;
    if (!slice_equal(binding->contact.instance, gruu->instance)) continue;
    bool same = hop != NULL && (hop->flow != 0 ? binding->flow == hop->flow
                                               : endpoint_equal(&binding->source, &hop->at));
    if (same) return binding;
    found = binding;
  }
  return found;
}
