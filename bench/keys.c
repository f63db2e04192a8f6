/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/keys.h"

#include "crypto/openssl.h"

const struct crypto *bench_crypto(void) {
  static struct crypto crypto;
  if (crypto.sha1 == NULL) crypto_openssl(&crypto);
  return &crypto;
}
