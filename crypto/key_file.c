/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/key_file.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#define PEM_BYTES_MAX 4096

static EVP_PKEY *make_key(void) { return EVP_EC_gen("P-256"); }

bool key_file_is_p256(EVP_PKEY *key) {
  char group[32];
  size_t len = 0;
  return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 &&
         strcmp(group, "prime256v1") == 0;
}

BIO *key_file_text(EVP_PKEY *key, struct slice *out) {
  BIO *memory = BIO_new(BIO_s_secmem());
  char *text = NULL;
  bool good =
      memory != NULL && PEM_write_bio_PKCS8PrivateKey(memory, key, NULL, NULL, 0, NULL, NULL) == 1;
  long len = good ? BIO_get_mem_data(memory, &text) : 0;
  *out = slice_of(text, len > 0 ? (size_t)len : 0);
  return memory;
}

enum err key_file_save(const char *dir, const char *name, EVP_PKEY *key, struct key_error *why) {
  struct slice text;
  BIO *memory = key_file_text(key, &text);
  enum err err = text.len > 0 ? file_save(dir, name, text, 0600, why)
                              : file_error(why, ERR_MEMORY, name, "OpenSSL wrote no key");
  BIO_free(memory);
  return err;
}

bool key_file_is_rsa(EVP_PKEY *key) {
  return EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= 2048 &&
         EVP_PKEY_get_bits(key) <= 4096;
}

static EVP_PKEY *parse(const char *text, size_t len, enum key_file_kind kind) {
  char no_password[] = ""; /* without it OpenSSL would ask at the terminal */
  BIO *memory = BIO_new_mem_buf(text, (int)len);
  EVP_PKEY *key = memory == NULL ? NULL : PEM_read_bio_PrivateKey(memory, NULL, NULL, no_password);
  BIO_free(memory);
  bool good = key != NULL && (kind == KEY_FILE_RSA ? key_file_is_rsa(key) : key_file_is_p256(key));
  if (good) return key;
  EVP_PKEY_free(key);
  return NULL;
}

enum err key_file_load_kind(const char *dir, const char *name, enum key_file_kind kind,
                            EVP_PKEY **out, struct key_error *why) {
  char text[PEM_BYTES_MAX], path[FILE_PATH_BYTES];
  size_t len = 0;
  enum err err = file_load(dir, name, true, text, sizeof text, &len, why);
  if (err != OK && err != ERR_LIMIT) return err;
  *out = err == OK ? parse(text, len, kind) : NULL;
  OPENSSL_cleanse(text, sizeof text);
  if (*out != NULL) return OK;
  err = file_path(path, dir, name, why);
  return err != OK ? err
                   : file_error(why, ERR_CORRUPT, path,
                                kind == KEY_FILE_RSA
                                    ? "not an RSA private key in PEM; restore it from a copy, or "
                                      "move it away to get a new one"
                                    : "not a P-256 private key in PEM; restore it from a copy, or "
                                      "move it away to get a new one (and with it a new "
                                      "identity)");
}

enum err key_file_load(const char *dir, const char *name, EVP_PKEY **out, struct key_error *why) {
  return key_file_load_kind(dir, name, KEY_FILE_P256, out, why);
}

enum err key_file_new(const char *dir, const char *name, EVP_PKEY **out, struct key_error *why) {
  EVP_PKEY *key = make_key();
  if (key == NULL) return file_error(why, ERR_MEMORY, name, "OpenSSL made no key");
  enum err err = key_file_save(dir, name, key, why);
  if (err == OK)
    *out = key;
  else
    EVP_PKEY_free(key);
  return err;
}

enum err key_file_open(const char *dir, const char *name, EVP_PKEY **out, struct key_error *why) {
  enum err err = key_file_load(dir, name, out, why);
  return err == ERR_NOT_FOUND ? key_file_new(dir, name, out, why) : err;
}

enum err key_file_hash(EVP_PKEY *key, struct key *out) {
  unsigned char *der = NULL;
  int len = i2d_PUBKEY(key, &der);
  if (len <= 0) return ERR_MEMORY;
  bool good = EVP_Digest(der, (size_t)len, out->byte, NULL, EVP_sha1(), NULL) == 1;
  OPENSSL_free(der);
  return good ? OK : ERR_UNSUPPORTED;
}
