/* SPDX-License-Identifier: BSD-2-Clause */
/* What a certificate is worth in a closed overlay: whether the overlay's CA issued it, for
 * which addresses and domains, and from when until when. */
#ifndef CRYPTO_RIGHTS_H
#define CRYPTO_RIGHTS_H

#include <openssl/types.h>
#include <time.h>

#include "base/slice.h"

#define RIGHTS_NAMES_BYTES 512u
struct rights {
  bool issued; /* by the overlay's CA, and not revoked; in force from `from` until `until` */
  time_t from, until;
  size_t names_len;
  char names[RIGHTS_NAMES_BYTES]; /* "bob@example.net" and "example.net", each ended by a newline;
                                     what has no room is left out */
};

/* trusted: the overlay's CA and what it took back (struct membership). */
void rights_of(X509_STORE *trusted, struct slice certificate, struct rights *out);

#endif
