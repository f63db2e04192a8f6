/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes for some eyes only: XML-Enc by xmlsec, AES-256-GCM under a fresh key that RSA-OAEP carries
 * to each recipient. What is sealed is secret and whole, but not signed:
 * who sealed it is the record's matter. Safe in several threads. */
#ifndef CRYPTO_SEAL_H
#define CRYPTO_SEAL_H

#include <openssl/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/key.h"

#define SEAL_PLAIN_MAX 16384u
#define SEAL_RECIPIENTS_MAX 16u
#define SEAL_BYTES_MAX 40960u /* of a sealed text, written or read */

struct seal_recipient {
  struct key name; /* Peer-ID, or owner of a user's records: where to look for one's own */
  EVP_PKEY *key;   /* RSA of 3072 to 4096 bits; borrowed */
};

/* Appends one EncryptedData in exclusive canonical form, so that it may be the value of a record.
 * On an error nothing is appended. ERR_LIMIT: plain is empty or longer than SEAL_PLAIN_MAX, or
 * there are no recipients, too many, or two of one name. ERR_UNSUPPORTED: a key of another kind.
 * ERR_FULL: no room in out. */
enum err seal_make(const struct seal_recipient *to, unsigned count, struct slice plain,
                   struct buf *out) MUST_USE;

/* Appends what is inside; the caller wipes it. key: private. ERR_SYNTAX: not a sealed text as
 * wants it. ERR_NOT_FOUND: it is, but not for `name`. ERR_REFUSED: it does not open; why is
 * never said. ERR_FULL: no room in plain, which SEAL_PLAIN_MAX always is. On an error nothing is
 * appended. At most one operation with the private key, after the whole text was checked. */
enum err seal_open(const struct key *name, EVP_PKEY *key, struct slice sealed,
                   struct buf *plain) MUST_USE;

/* An RSA key that may receive? */
bool seal_key_fits(const EVP_PKEY *key);

#endif
