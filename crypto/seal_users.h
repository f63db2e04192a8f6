/* SPDX-License-Identifier: BSD-2-Clause */
/* Sealing for users and opening for one's own: what OUT_SEAL and OUT_UNSEAL ask for.
 * Safe in several threads. */
#ifndef CRYPTO_SEAL_USERS_H
#define CRYPTO_SEAL_USERS_H

#include "base/buf.h"
#include "base/err.h"

/* Seals for all in `recipients` (base/recipients.h). context: not used. ERR_SYNTAX: no list of
 * certificates; else as seal_make. */
enum err seal_users_make(void *context, struct slice recipients, struct slice plain,
                         struct buf *out) MUST_USE;
/* Opens with the second key of `address`. context: struct user_keys. ERR_NOT_FOUND: no such user
 * here, or it is not sealed for that key; else as seal_open. The caller wipes `plain`. */
enum err seal_users_open(void *context, struct slice address, struct slice sealed,
                         struct buf *plain) MUST_USE;

#endif
