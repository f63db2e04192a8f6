/* SPDX-License-Identifier: BSD-2-Clause */
/* What OpenSSL wrote into memory, as text. */
#ifndef CRYPTO_PEM_H
#define CRYPTO_PEM_H

#include <openssl/bio.h>
#include <stdbool.h>

#include "base/buf.h"

/* Appends what is in `memory`, and frees it; it may be NULL. False: nothing was written into it
 * (`good` is false), or there is no room. */
bool pem_put(struct buf *out, BIO *memory, bool good);

#endif
