/* SPDX-License-Identifier: BSD-2-Clause */
/* A private key in a file of its own (PEM, PKCS #8); a P-256 one is made when it is first asked
 * for. It appears whole or not at all: written beside its place, synced, renamed. */
#ifndef CRYPTO_KEY_FILE_H
#define CRYPTO_KEY_FILE_H

#include <openssl/types.h>

#include "base/err.h"
#include "base/key.h"
#include "crypto/file.h"

/* Reads the key at dir/name; if there is no such file, makes one (mode 0600). The caller frees
 * *out with EVP_PKEY_free. ERR_IO: the file system failed. ERR_CORRUPT: the file is there and is no
 * P-256 key; it is never overwritten. ERR_REFUSED: others may read it. */
enum err key_file_open(const char *dir, const char *name, EVP_PKEY **out,
                       struct key_error *why) MUST_USE;
/* The same, but there must be one: else ERR_NOT_FOUND. */
enum err key_file_load(const char *dir, const char *name, EVP_PKEY **out,
                       struct key_error *why) MUST_USE;
enum key_file_kind { KEY_FILE_P256, KEY_FILE_RSA /* of 2048 to 4096 bits */ };
enum err key_file_load_kind(const char *dir, const char *name, enum key_file_kind kind,
                            EVP_PKEY **out, struct key_error *why) MUST_USE;
/* The key in PEM, in memory that the caller frees with BIO_free, which wipes it. *out empty: it
 * cannot be written. */
BIO *key_file_text(EVP_PKEY *key, struct slice *out) MUST_USE;
/* Mode 0600, in place of whatever is there. */
enum err key_file_save(const char *dir, const char *name, EVP_PKEY *key,
                       struct key_error *why) MUST_USE;
/* A new one in place of whatever is there. */
enum err key_file_new(const char *dir, const char *name, EVP_PKEY **out,
                      struct key_error *why) MUST_USE;
bool key_file_is_p256(EVP_PKEY *key);
bool key_file_is_rsa(EVP_PKEY *key);
/* SHA-1 of the DER SubjectPublicKeyInfo. */
enum err key_file_hash(EVP_PKEY *key, struct key *out) MUST_USE;

#endif
