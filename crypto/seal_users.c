/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/seal_users.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/recipients.h"
#include "crypto/seal.h"
#include "crypto/user_keys.h"

/* The public key of a certificate, which the caller frees; NULL: it is none. Whether the
 * certificate counts was judged when it was read. */
static EVP_PKEY *key_of(struct slice der) {
  const unsigned char *at = (const unsigned char *)der.at;
  X509 *certificate = d2i_X509(NULL, &at, (long)der.len);
  EVP_PKEY *key = certificate != NULL ? X509_get_pubkey(certificate) : NULL;
  X509_free(certificate);
  return key;
}

enum err seal_users_make(void *context, struct slice recipients, struct slice plain,
                         struct buf *out) {
  struct seal_recipient to[SEAL_RECIPIENTS_MAX];
  struct recipient one;
  unsigned count = 0;
  enum err err = OK;
  (void)context;
  while (err == OK && count < SEAL_RECIPIENTS_MAX && recipients_take(&recipients, &one)) {
    to[count] = (struct seal_recipient){.name = one.name, .key = key_of(one.certificate)};
    if (to[count++].key == NULL) err = ERR_SYNTAX;
  }
  if (err == OK && recipients.len > 0) err = count == SEAL_RECIPIENTS_MAX ? ERR_LIMIT : ERR_SYNTAX;
  if (err == OK) err = seal_make(to, count, plain, out);
  for (unsigned i = 0; i < count; i++) EVP_PKEY_free(to[i].key);
  return err;
}

enum err seal_users_open(void *context, struct slice address, struct slice sealed,
                         struct buf *plain) {
  struct user_keys *keys = context;
  EVP_PKEY *key = NULL;
  struct key owner;
  enum err err = user_keys_key(keys, address, USER_RECEIVES, &key);
  if (err == OK) err = user_keys_owner(keys, address, &owner);
  if (err == OK) err = seal_open(&owner, key, sealed, plain);
  EVP_PKEY_free(key);
  return err;
}
