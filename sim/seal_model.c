/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/seal_model.h"

#include "base/recipients.h"

#define PLAIN_MAX 16384u
#define TAG_BYTES 28u  /* as IV and tag of AES-GCM */
#define KEY_CIPHER 512 /* base64 of 3072 bits */

static const struct slice secret = {"what opens all models of seals", 30};

static const char BEGIN[] =
    "<EncryptedData xmlns=\"http://www.w3.org/2001/04/xmlenc#\"><EncryptionMethod "
    "Algorithm=\"http://www.w3.org/2009/xmlenc11#aes256-gcm\"></EncryptionMethod><KeyInfo "
    "xmlns=\"http://www.w3.org/2000/09/xmldsig#\">";
static const char KEY_BEGIN[] =
    "<EncryptedKey xmlns=\"http://www.w3.org/2001/04/xmlenc#\"><EncryptionMethod "
    "Algorithm=\"http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p\"><DigestMethod "
    "xmlns=\"http://www.w3.org/2000/09/xmldsig#\" "
    "Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha1\"></DigestMethod></EncryptionMethod>"
    "<KeyInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><KeyName>";
static const char KEY_MIDDLE[] = "</KeyName></KeyInfo><CipherData><CipherValue>";
static const char KEY_END[] = "</CipherValue></CipherData></EncryptedKey>";
static const char VALUE_BEGIN[] = "</KeyInfo><CipherData><CipherValue>";
static const char LAST_BEGIN[] = "</EncryptedKey></KeyInfo><CipherData><CipherValue>";
static const char END[] = "</CipherValue></CipherData></EncryptedData>";

/* The same both ways. iv: TAG_BYTES. */
static void mix(const struct crypto *crypto, const char *iv, uint8_t *bytes, size_t len) {
  uint8_t block[32], seed[TAG_BYTES + 4];
  memcpy(seed, iv, TAG_BYTES);
  for (size_t i = 0; i < len; i++) {
    if (i % sizeof block == 0) {
      for (unsigned k = 0; k < 4; k++) seed[TAG_BYTES + k] = (uint8_t)(i >> (8 * k));
      crypto->hmac_sha256(crypto->context, secret, slice_of(seed, sizeof seed), block);
    }
    bytes[i] ^= block[i % sizeof block];
  }
}

static void put_recipient(struct buf *out, const struct key *name) {
  buf_put_cstr(out, KEY_BEGIN);
  key_put(out, name);
  buf_put_cstr(out, KEY_MIDDLE);
  for (unsigned i = 0; i < KEY_CIPHER; i++) buf_put_char(out, 'A');
  buf_put_cstr(out, KEY_END);
}

enum err seal_model_make(const struct crypto *crypto, struct slice recipients, struct slice plain,
                         struct buf *out) {
  uint8_t bytes[TAG_BYTES + PLAIN_MAX], hash[32];
  struct recipient one;
  size_t mark = out->len;
  unsigned count = 0;
  if (plain.len == 0 || plain.len > PLAIN_MAX) return ERR_LIMIT;
  buf_put_cstr(out, BEGIN);
  for (; recipients_take(&recipients, &one); count++) put_recipient(out, &one.name);
  crypto->hmac_sha256(crypto->context, secret, plain, hash);
  memcpy(bytes, hash, TAG_BYTES);
  memcpy(bytes + TAG_BYTES, plain.at, plain.len);
  mix(crypto, (const char *)bytes, bytes + TAG_BYTES, plain.len);
  buf_put_cstr(out, VALUE_BEGIN);
  buf_put_base64(out, bytes, TAG_BYTES + plain.len);
  buf_put_cstr(out, END);
  enum err err = recipients.len > 0 || count == 0 ? ERR_SYNTAX : out->overflow ? ERR_FULL : OK;
  if (err != OK) buf_truncate(out, mark);
  return err;
}

enum err seal_model_open(const struct crypto *crypto, const struct key *name, struct slice sealed,
                         struct buf *plain) {
  uint8_t bytes[TAG_BYTES + PLAIN_MAX + 1], hash[32];
  char hex[KEY_HEX];
  struct buf digits = buf_over(hex, sizeof hex);
  size_t len = sizeof bytes, end = sealed.len - (sizeof END - 1);
  key_put(&digits, name);
  if (!slice_starts(sealed, slice_cstr(BEGIN)) || sealed.len < sizeof END) return ERR_SYNTAX;
  if (slice_find(sealed, buf_slice(&digits)) == sealed.len) return ERR_NOT_FOUND;
  /* the keys' cipher texts begin alike */
  struct slice last = slice_cstr(LAST_BEGIN);
  size_t at = slice_find(sealed, last) + last.len;
  if (at > end || !base64_decode(slice_of(sealed.at + at, end - at), bytes, &len) ||
      len <= TAG_BYTES)
    return ERR_REFUSED;
  mix(crypto, (const char *)bytes, bytes + TAG_BYTES, len - TAG_BYTES);
  struct slice words = slice_of(bytes + TAG_BYTES, len - TAG_BYTES);
  crypto->hmac_sha256(crypto->context, secret, words, hash);
  if (memcmp(hash, bytes, TAG_BYTES) != 0) return ERR_REFUSED;
  buf_put(plain, words);
  return plain->overflow ? ERR_FULL : OK;
}
