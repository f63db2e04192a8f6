/* SPDX-License-Identifier: BSD-2-Clause */
/* The core's door to hashes (base/crypto.h), implemented over OpenSSL 3. The digests are fetched
 * once and their contexts are reused, so a hash allocates nothing. One door belongs to one
 * thread. */
#ifndef CRYPTO_OPENSSL_H
#define CRYPTO_OPENSSL_H

#include "base/crypto.h"

/* Fills in the door. Ends the process with a message if OpenSSL offers no SHA-1, SHA-256, HMAC or
 * MD5 (a broken or restricted installation): nothing works without them. */
void crypto_openssl(struct crypto *crypto);
void crypto_openssl_free(struct crypto *crypto);

#endif
