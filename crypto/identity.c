/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/identity.h"

#include <openssl/evp.h>
#include <stdio.h>

enum err identity_open(const char *dir, struct identity *out, struct key_error *why) {
  *out = (struct identity){0};
  enum err err = key_file_open(dir, "identity", &out->key, why);
  if (err != OK) return err;
  err = key_file_hash(out->key, &out->peer_id);
  if (err != OK) {
    snprintf(why->text, sizeof why->text, "%.300s/identity: %s", dir, err_text(err));
    identity_close(out);
  }
  return err;
}

void identity_close(struct identity *identity) {
  EVP_PKEY_free(identity->key);
  identity->key = NULL;
}
