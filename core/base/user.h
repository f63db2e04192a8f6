/* SPDX-License-Identifier: BSD-2-Clause */
/* A user with a password, as digest authentication knows it: never the password itself. */
#ifndef BASE_USER_H
#define BASE_USER_H

#include <stdint.h>

#include "base/slice.h"

/* H(user:realm:password) of RFC 7616 section 3.4.2; the realm is the domain. Whoever has them can
 * register as that user, at any peer that knows the same password. */
struct user_secret {
  struct slice address; /* canonical: "sip:bob@example.net" */
  uint8_t sha256[32], md5[16];
};

#endif
