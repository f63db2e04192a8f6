/* SPDX-License-Identifier: BSD-2-Clause */
/* Signs a record by xmlsec, in the layout of . */
#ifndef CRYPTO_RECORD_SIGN_H
#define CRYPTO_RECORD_SIGN_H

#include <openssl/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends `record` (as the core writes it: o:owner empty, no Signature) with owner and Signature.
 * key: private, P-256 or RSA of 2048 to 4096 bits. certificate: DER, of the same key. What is
 * appended verifies; else nothing is: ERR_SYNTAX: not in the layout, or not in canonical form;
 * ERR_LIMIT: over 20480 bytes when signed; ERR_UNSUPPORTED: the certificate is not the key's, or
 * the key not one of the two kinds; ERR_FULL: no room in out. Safe in several threads. */
enum err record_sign(EVP_PKEY *key, struct slice certificate, struct slice record,
                     struct buf *out) MUST_USE;

#endif
