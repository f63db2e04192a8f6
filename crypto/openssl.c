/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/openssl.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>

struct doors {
  EVP_MD *sha1, *sha256, *md5;
  EVP_MD_CTX *digest;
  EVP_MAC *hmac;
  EVP_MAC_CTX *mac;
};

static _Noreturn void refuse(const char *what) {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  fprintf(stderr, "OpenSSL does not offer %s: %s\n", what, text);
  exit(1);
}

static void digest(struct doors *doors, const EVP_MD *kind, const char *name, struct slice data,
                   uint8_t *out) {
  if (EVP_DigestInit_ex2(doors->digest, kind, NULL) != 1 ||
      EVP_DigestUpdate(doors->digest, data.at, data.len) != 1 ||
      EVP_DigestFinal_ex(doors->digest, out, NULL) != 1)
    refuse(name);
}

static void sha1(void *context, struct slice data, uint8_t out[20]) {
  struct doors *doors = context;
  digest(doors, doors->sha1, "SHA-1", data, out);
}

static void sha256(void *context, struct slice data, uint8_t out[32]) {
  struct doors *doors = context;
  digest(doors, doors->sha256, "SHA-256", data, out);
}

static void md5(void *context, struct slice data, uint8_t out[16]) {
  struct doors *doors = context;
  digest(doors, doors->md5, "MD5", data, out);
}

static void hmac_sha256(void *context, struct slice key, struct slice data, uint8_t out[32]) {
  struct doors *doors = context;
  /* A NULL key means "the key of last time" to OpenSSL; an empty one must not. */
  const unsigned char *bytes =
      key.len > 0 ? (const unsigned char *)key.at : (const unsigned char *)"";
  size_t len = 0;
  if (EVP_MAC_init(doors->mac, bytes, key.len, NULL) != 1 ||
      EVP_MAC_update(doors->mac, (const unsigned char *)data.at, data.len) != 1 ||
      EVP_MAC_final(doors->mac, out, &len, 32) != 1 || len != 32)
    refuse("HMAC-SHA-256");
}

static EVP_MD *fetch(const char *name) {
  EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
  if (md == NULL) refuse(name);
  return md;
}

void crypto_openssl(struct crypto *crypto) {
  struct doors *doors = calloc(1, sizeof *doors);
  if (doors == NULL) refuse("memory");
  doors->sha1 = fetch("SHA1");
  doors->sha256 = fetch("SHA256");
  doors->md5 = fetch("MD5");
  doors->digest = EVP_MD_CTX_new();
  doors->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  doors->mac = doors->hmac != NULL ? EVP_MAC_CTX_new(doors->hmac) : NULL;
  char name[] = "SHA256";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                         OSSL_PARAM_construct_end()};
  if (doors->digest == NULL || doors->mac == NULL ||
      EVP_MAC_CTX_set_params(doors->mac, params) != 1)
    refuse("HMAC-SHA-256");
  *crypto = (struct crypto){sha1, sha256, hmac_sha256, md5, doors};
}

void crypto_openssl_free(struct crypto *crypto) {
  struct doors *doors = crypto->context;
  EVP_MD_free(doors->sha1);
  EVP_MD_free(doors->sha256);
  EVP_MD_free(doors->md5);
  EVP_MD_CTX_free(doors->digest);
  EVP_MAC_CTX_free(doors->mac);
  EVP_MAC_free(doors->hmac);
  free(doors);
  *crypto = (struct crypto){0};
}
