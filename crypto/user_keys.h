/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of users: one P-256 key for each Address-of-Record, made by its home peer when it first
 * signs for it, kept in DIR/keys/<SHA-1 of the address>.pem with its certificate beside it in .crt
 * . What was read is remembered in a bounded table. Safe to use from several threads. */
#ifndef CRYPTO_USER_KEYS_H
#define CRYPTO_USER_KEYS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/key.h"
#include "crypto/key_file.h"

struct user_keys;

/* Makes data_dir/keys (0700) if it is not there. files_max: keys made at most, so that strangers'
 * registrations cannot fill the disk. NULL: *why says what to do. */
struct user_keys *user_keys_open(const char *data_dir, uint32_t files_max, struct key_error *why);
void user_keys_close(struct user_keys *keys);

/* The owner for whom this address's records are written. Makes the key if there is none.
 * ERR_FULL: files_max are there. Slow: reads, maybe writes and syncs a file. */
enum err user_keys_owner(struct user_keys *keys, struct slice address, struct key *owner) MUST_USE;

/* Answers OUT_SIGN: appends `record` signed (crypto/record_sign.h) for that address. context:
 * struct user_keys. ERR_FULL: out has no room, or too many keys. Slow as user_keys_owner. */
enum err user_keys_sign(void *context, struct slice address, struct slice record,
                        struct buf *out) MUST_USE;

#endif
