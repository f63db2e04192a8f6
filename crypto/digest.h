/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to crypto: SHA-256 on any thread. OpenSSL 3 looks its implementation up, under a lock,
 * each time that EVP_sha256() is used; here it is looked up once. */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include <stdint.h>

#include "base/slice.h"

/* Of both, one after the other. False: no memory, or OpenSSL has no SHA-256. */
bool digest_sha256(struct slice first, struct slice second, uint8_t out[32]);

#endif
