/* SPDX-License-Identifier: BSD-2-Clause */
/* A user's keys on their way to other peers: the value of the record under
 * `private:` is a sealed text for the peers that were granted them. */
#ifndef CRYPTO_GRANT_H
#define CRYPTO_GRANT_H

#include "crypto/seal.h"
#include "crypto/user_keys.h"

#define GRANT_PEERS_MAX 8u /* that fit into a record, with certificates made here */

#define GRANT_PEER_BYTES 64u
/* The peer as a user (base/peer.h). */
struct slice grant_peer_address(const struct key *peer, char out[GRANT_PEER_BYTES]);
/* Puts the peer's own key into the store under that address, and the certificate that an overlay's
 * CA gave it (NULL: none). The second key is made as any user's is. */
enum err grant_add_peer(struct user_keys *keys, const struct key *peer, EVP_PKEY *key,
                        X509 *certificate) MUST_USE;

/* Appends the sealed keys of this user, both made if need be. ERR_LIMIT: too many peers, or their
 * certificates too long for a record (out has 16384 bytes of it). Else as seal_make. */
enum err grant_make(struct user_keys *keys, struct slice address, const struct seal_recipient *to,
                    unsigned count, struct buf *out) MUST_USE;

/* Takes the keys of `address` into the store, in place of any there. owner: of the record in which
 * `sealed` was found, and it must be the hash of the key in it. ERR_NOT_FOUND: it is not for
 * `peer`. ERR_REFUSED: it does not open, is not what it should be, or is of a key that named the
 * one that is here. */
enum err grant_take(struct user_keys *keys, struct slice address, const struct key *owner,
                    const struct key *peer, EVP_PKEY *key, struct slice sealed) MUST_USE;

/* Answers OUT_OPEN by grant_take; context: struct grant_opener. */
struct grant_opener {
  struct user_keys *keys;
  struct key peer;
};
enum err grant_open(void *context, struct slice address, const struct key *owner,
                    struct slice sealed) MUST_USE;

/* The peers it names, at most `max`; 0: not a sealed text. */
unsigned grant_names(struct slice sealed, struct key *names, unsigned max);

#endif
