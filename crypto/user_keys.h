/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of users, kept by their home peer: for each Address-of-Record ("sip:bob@host",
 * canonical) a P-256 key that signs, made when it is first asked for, and an RSA key that
 * receives, made later (user_keys_complete). Each has a certificate: self-signed, or what an
 * overlay's CA issued. They lie in DIR/users under the SHA-1 of the address: .pem, .crt, .rsa.pem,
 * .rsa.crt, .before (the statement of the key before) and .aor with the address itself; all 0600,
 * each there whole or not at all. What was read is remembered in a bounded table. Safe in several
 * threads, and beside another process. */
#ifndef CRYPTO_USER_KEYS_H
#define CRYPTO_USER_KEYS_H

#include <openssl/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/key.h"
#include "crypto/key_file.h"

#define USER_RSA_BITS 3072u
#define USER_PEM_BYTES 16384u /* room for what user_keys_export appends */

enum user_key { USER_SIGNS, USER_RECEIVES };
struct user_keys;

/* Makes data_dir/users (0700) if it is not there. users_max: users made at most, so that strangers'
 * registrations cannot fill the disk. NULL: *why says what to do. */
struct user_keys *user_keys_open(const char *data_dir, uint32_t users_max, struct key_error *why);
void user_keys_close(struct user_keys *keys);
/* Forgets what was read: another process may have changed it. */
void user_keys_renew(struct user_keys *keys);

/* The owner for whom this address's records are written. Makes the first key if there is
 * none. ERR_FULL: users_max are there. Slow: reads, maybe writes and syncs a file. */
enum err user_keys_owner(struct user_keys *keys, struct slice address, struct key *owner) MUST_USE;
/* Makes the first keys of all these addresses that have none, with few syncs: what is called for
 * each of them next is quick. What cannot be made here will fail there. */
void user_keys_prepare(void *context, const struct slice *address, unsigned count);
/* Answers OUT_SIGN: appends `record` signed (crypto/record_sign.h) for that address. context:
 * struct user_keys. ERR_FULL: out has no room, or too many users. Slow as user_keys_owner. */
enum err user_keys_sign(void *context, struct slice address, struct slice record,
                        struct buf *out) MUST_USE;
/* Answers OUT_USER: the owner, and the certificates in DER. `receives` stays empty while the second
 * key is not made; `before` is a statement of the key before (base/succession.h), or empty. Slow as
 * user_keys_owner. */
enum err user_keys_certificates(void *context, struct slice address, struct key *owner,
                                struct buf *signs, struct buf *receives,
                                struct buf *before) MUST_USE;
/* Makes the second key if it is missing: takes up to seconds of one processor. ERR_CLOSED: stopped.
 */
enum err user_keys_complete(void *context, struct slice address) MUST_USE;
/* Ends every user_keys_complete soon, in whatever thread it is, and lets none begin. */
void user_keys_stop(void *context);
/* One of the keys, to decrypt or sign with; the caller frees it. ERR_NOT_FOUND: no such user, or
 * the second key is not made yet. */
enum err user_keys_key(struct user_keys *keys, struct slice address, enum user_key which,
                       EVP_PKEY **out) MUST_USE;

/* Appends the user's keys in PEM. secret: private keys with their certificates, in the form
 * user_keys_import takes; whoever gets it is that user, so seal it and wipe it. Else the public
 * keys alone. ERR_NOT_FOUND: no such user here. */
enum err user_keys_export(struct user_keys *keys, struct slice address, bool secret,
                          struct buf *pem) MUST_USE;
/* Adds a user, in place of the keys that it may have here. ERR_SYNTAX: not what was exported.
 * ERR_FULL: users_max are there. */
enum err user_keys_import(struct user_keys *keys, struct slice address, struct slice pem) MUST_USE;
/* Puts new keys in place of those that are here, and a statement by which the old one names the new
 * . The old ones are gone then. Takes up to seconds. ERR_NOT_FOUND: no such user. */
enum err user_keys_succeed(struct user_keys *keys, struct slice address) MUST_USE;
/* Did that owner's key name the one that is here as its successor? */
bool user_keys_follow(struct user_keys *keys, struct slice address, const struct key *owner);
/* Takes certificates for keys that are here (an overlay's CA issued them; the caller has checked
 * that). ERR_REFUSED: none of them is for a key of this user. */
enum err user_keys_certify(struct user_keys *keys, struct slice address, struct slice pem,
                           unsigned *count) MUST_USE;
/* Forgets the user for good. ERR_NOT_FOUND: no such user. */
enum err user_keys_remove(struct user_keys *keys, struct slice address) MUST_USE;
/* Every user here, in no order. complete: both keys are there. */
enum err user_keys_list(struct user_keys *keys,
                        void (*each)(void *context, struct slice address, const struct key *owner,
                                     bool complete),
                        void *context) MUST_USE;

#endif
