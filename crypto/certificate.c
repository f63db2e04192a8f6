/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/certificate.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "crypto/key_file.h"

static bool set_name(X509 *certificate, const struct key *owner) {
  char digits[KEY_HEX];
  struct buf text = buf_over(digits, sizeof digits);
  key_put(&text, owner);
  X509_NAME *name = X509_NAME_new();
  bool good = name != NULL &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)digits,
                                         sizeof digits, -1, 0) == 1 &&
              X509_set_subject_name(certificate, name) == 1 &&
              X509_set_issuer_name(certificate, name) == 1;
  X509_NAME_free(name);
  return good;
}

static bool set_serial(X509 *certificate, const struct key *owner) {
  uint64_t serial = 0;
  for (unsigned i = 0; i < 8; i++) serial = serial << 8 | owner->byte[i];
  serial = serial >> 1 | 1; /* positive, and never 0 */
  return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial) == 1;
}

static bool fill(X509 *certificate, EVP_PKEY *key, const struct key *owner) {
  return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate, owner) &&
         set_name(certificate, owner) &&
         ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "19700101000000Z") == 1 &&
         ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "99991231235959Z") == 1 &&
         X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, EVP_sha256()) > 0;
}

enum err certificate_make(EVP_PKEY *key, struct buf *out) {
  struct key owner;
  enum err err = key_file_hash(key, &owner);
  if (err != OK) return err;
  X509 *certificate = X509_new();
  if (certificate == NULL) return ERR_MEMORY;
  unsigned char *der = NULL;
  int len = fill(certificate, key, &owner) ? i2d_X509(certificate, &der) : -1;
  X509_free(certificate);
  if (len <= 0) return ERR_UNSUPPORTED;
  buf_put(out, slice_of(der, (size_t)len));
  OPENSSL_free(der);
  return out->overflow ? ERR_FULL : OK;
}

static bool is_p256(EVP_PKEY *key) {
  char group[32];
  size_t len = 0;
  return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 &&
         strcmp(group, "prime256v1") == 0;
}

static bool is_rsa(EVP_PKEY *key) {
  return EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= 2048 &&
         EVP_PKEY_get_bits(key) <= 4096;
}

/* The bytes that the certificate has, not what we would write for the same key: the owner of a
 * key must not depend on who encodes it. A key in another encoding than OpenSSL's is refused, so
 * both are the same. */
static enum err read_key(X509 *certificate, struct certificate_key *out) {
  EVP_PKEY *key = X509_get_pubkey(certificate);
  if (key == NULL) return ERR_UNSUPPORTED;
  bool p256 = is_p256(key);
  unsigned char *there = NULL, *ours = NULL;
  int there_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &there);
  int ours_len = i2d_PUBKEY(key, &ours);
  bool good = (p256 || is_rsa(key)) && there_len > 0 && there_len == ours_len &&
              memcmp(there, ours, (size_t)ours_len) == 0 &&
              EVP_Digest(ours, (size_t)ours_len, out->owner.byte, NULL, EVP_sha1(), NULL) == 1;
  OPENSSL_free(there);
  OPENSSL_free(ours);
  if (!good) {
    EVP_PKEY_free(key);
    return ERR_UNSUPPORTED;
  }
  out->key = key;
  out->algorithm = p256 ? RECORD_ECDSA_SHA256 : RECORD_RSA_SHA256;
  return OK;
}

enum err certificate_read(struct slice der, struct certificate_key *out) {
  *out = (struct certificate_key){0};
  const unsigned char *at = (const unsigned char *)der.at;
  X509 *certificate = d2i_X509(NULL, &at, (long)der.len);
  bool whole = certificate != NULL && at == (const unsigned char *)der.at + der.len;
  enum err err = whole ? read_key(certificate, out) : ERR_SYNTAX;
  X509_free(certificate);
  return err;
}
