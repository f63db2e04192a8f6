/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/certificate.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "crypto/key_file.h"

/* A CN has at most 64 characters (RFC 5280 appendix A.1): a longer address stands in the SAN only.
 */
static bool add_cn(X509_NAME *name, const struct key *owner, struct slice address) {
  char digits[KEY_HEX];
  struct buf text = buf_over(digits, sizeof digits);
  key_put(&text, owner);
  return (address.len > 0 && address.len <= 64 &&
          X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)address.at,
                                     (int)address.len, -1, 0) == 1) ||
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)digits,
                                    sizeof digits, -1, 0) == 1;
}

static bool set_name(X509 *certificate, const struct key *owner, struct slice address) {
  X509_NAME *name = X509_NAME_new();
  bool good = name != NULL && add_cn(name, owner, address) &&
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

bool certificate_name_user(X509 *certificate, int type, struct slice name) {
  GENERAL_NAMES *names = GENERAL_NAMES_new();
  GENERAL_NAME *one = GENERAL_NAME_new();
  ASN1_IA5STRING *text = ASN1_IA5STRING_new();
  bool good = names != NULL && one != NULL && text != NULL &&
              ASN1_STRING_set(text, name.at, (int)name.len) == 1 &&
              sk_GENERAL_NAME_push(names, one) > 0;
  if (good) {
    GENERAL_NAME_set0_value(one, type, text);
    good = X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
  } else {
    GENERAL_NAME_free(one);
    ASN1_IA5STRING_free(text);
  }
  GENERAL_NAMES_free(names);
  return good;
}

static bool fill(X509 *certificate, EVP_PKEY *key, const struct key *owner, struct slice address) {
  struct slice cn = slice_skip(address, slice_find_byte(address, ':') + 1);
  return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate, owner) &&
         set_name(certificate, owner, cn) &&
         (address.len == 0 || certificate_name_user(certificate, GEN_URI, address)) &&
         ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "19700101000000Z") == 1 &&
         ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "99991231235959Z") == 1 &&
         X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, EVP_sha256()) > 0;
}

enum err certificate_make(EVP_PKEY *key, struct buf *out) {
  return certificate_make_user(key, SLICE_EMPTY, out);
}

enum err certificate_make_user(EVP_PKEY *key, struct slice address, struct buf *out) {
  struct key owner;
  enum err err = key_file_hash(key, &owner);
  if (err != OK) return err;
  X509 *certificate = X509_new();
  if (certificate == NULL) return ERR_MEMORY;
  unsigned char *der = NULL;
  int len = fill(certificate, key, &owner, address) ? i2d_X509(certificate, &der) : -1;
  X509_free(certificate);
  if (len <= 0) return ERR_UNSUPPORTED;
  buf_put(out, slice_of(der, (size_t)len));
  OPENSSL_free(der);
  return out->overflow ? ERR_FULL : OK;
}

/* What stands before the 64 bytes of the point in the SubjectPublicKeyInfo of an uncompressed P-256
 * key: RFC 5480. */
static const unsigned char p256_head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                          0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                          0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

/* One key has one owner, whoever encodes it: the SubjectPublicKeyInfo has the bytes that OpenSSL
 * would write. For P-256, whose form is fixed, they are compared without writing them, which takes
 * OpenSSL 3 longer than to verify a signature. */
static bool is_usual_form(EVP_PKEY *key, bool p256, const unsigned char *there, int len) {
  if (p256)
    return len == (int)sizeof p256_head + 64 && memcmp(there, p256_head, sizeof p256_head) == 0;
  unsigned char *ours = NULL;
  int ours_len = i2d_PUBKEY(key, &ours);
  bool same = ours_len == len && memcmp(there, ours, (size_t)len) == 0;
  OPENSSL_free(ours);
  return same;
}

static enum err read_key(X509 *certificate, struct certificate_key *out) {
  EVP_PKEY *key = X509_get_pubkey(certificate);
  if (key == NULL) return ERR_UNSUPPORTED;
  bool p256 = key_file_is_p256(key);
  unsigned char *there = NULL;
  int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &there);
  bool good = (p256 || key_file_is_rsa(key)) && len > 0 && is_usual_form(key, p256, there, len) &&
              EVP_Digest(there, (size_t)len, out->owner.byte, NULL, EVP_sha1(), NULL) == 1;
  OPENSSL_free(there);
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
