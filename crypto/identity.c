/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/identity.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "crypto/certificate.h"

static enum err certify(struct identity *identity) {
  unsigned char der[RECORD_CERTIFICATE_MAX];
  const unsigned char *at = der;
  struct buf out = buf_over(der, sizeof der);
  enum err err = certificate_make(identity->key, &out);
  if (err != OK) return err;
  identity->certificate = d2i_X509(NULL, &at, (long)out.len);
  return identity->certificate != NULL ? OK : ERR_MEMORY;
}

enum err identity_open(const char *dir, struct identity *out, struct key_error *why) {
  *out = (struct identity){0};
  enum err err = key_file_open(dir, "identity", &out->key, why);
  if (err != OK) return err;
  err = key_file_hash(out->key, &out->peer_id);
  if (err == OK) err = certify(out);
  if (err != OK) {
    snprintf(why->text, sizeof why->text, "%.300s/identity: %s", dir, err_text(err));
    identity_close(out);
  }
  return err;
}

void identity_close(struct identity *identity) {
  EVP_PKEY_free(identity->key);
  X509_free(identity->certificate);
  *identity = (struct identity){.peer_id = identity->peer_id};
}
