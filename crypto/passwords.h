/* SPDX-License-Identifier: BSD-2-Clause */
/* The users of a peer who have passwords, in DIR/users/passwords: a line each, an address and what
 * digest authentication needs of the password (base/user.h), which itself is nowhere. 0600, and
 * there whole or not at all. Safe beside another process. */
#ifndef CRYPTO_PASSWORDS_H
#define CRYPTO_PASSWORDS_H

#include "base/err.h"
#include "base/user.h"
#include "crypto/file.h"

#define PASSWORDS_MAX 10000u
#define PASSWORD_BYTES_MAX 256u

struct passwords {
  struct user_secret *user; /* owned; each address at most once */
  uint32_t count;
  char *text; /* owned; the addresses lie in it */
  size_t text_bytes;
};

/* No file: none. ERR_CORRUPT: a line is not as written here; ERR_REFUSED: others may read the file;
 * ERR_LIMIT: more than PASSWORDS_MAX. *out is then empty, and *why says what to do. */
enum err passwords_load(const char *data_dir, struct passwords *out,
                        struct key_error *why) MUST_USE;
/* Wipes them, too. */
void passwords_free(struct passwords *passwords);

enum password_change { PASSWORD_NEW, PASSWORD_OTHER };
/* address: canonical, "sip:bob@example.net". ERR_SYNTAX: it has no user or domain, or a character
 * that no address has; or the password is empty, too long, or has control characters. ERR_EXISTS:
 * it has one already (NEW). ERR_NOT_FOUND: it has none (OTHER). */
enum err passwords_set(const char *data_dir, struct slice address, struct slice password,
                       enum password_change kind, struct key_error *why) MUST_USE;
/* ERR_NOT_FOUND: the address has none. */
enum err passwords_remove(const char *data_dir, struct slice address,
                          struct key_error *why) MUST_USE;

#endif
