/* SPDX-License-Identifier: BSD-2-Clause */
/* The core's door to hashes. They are pure and synchronous; anything slow (sign, verify, encrypt)
 * is a request with a ticket in the outbox instead. crypto/ implements it over OpenSSL; a
 * simulation at scale may put a cheap model behind the same door. */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <stdint.h>

#include "base/key.h"
#include "base/slice.h"

struct crypto {
  void (*sha1)(void *context, struct slice data, uint8_t out[20]);
  void (*sha256)(void *context, struct slice data, uint8_t out[32]);
  void (*hmac_sha256)(void *context, struct slice key, struct slice data, uint8_t out[32]);
  void (*md5)(void *context, struct slice data, uint8_t out[16]); /* digest of RFC 2617 only */
  void *context;
};

static inline struct key crypto_key(const struct crypto *crypto, struct slice text) {
  struct key key;
  crypto->sha1(crypto->context, text, key.byte);
  return key;
}

#endif
