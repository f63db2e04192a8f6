/* SPDX-License-Identifier: BSD-2-Clause */
/* The peer's own key, DIR/identity: made at the first start, the same ever after. Its
 * hash is the Peer-ID. Other peers are shown a certificate for it. */
#ifndef CRYPTO_IDENTITY_H
#define CRYPTO_IDENTITY_H

#include "crypto/key_file.h"

struct identity {
  EVP_PKEY *key;
  X509 *certificate; /* self-signed */
  struct key peer_id;
};

/* dir must exist. On an error nothing is left open and *why says what to do. */
enum err identity_open(const char *dir, struct identity *out, struct key_error *why) MUST_USE;
void identity_close(struct identity *identity);

#endif
