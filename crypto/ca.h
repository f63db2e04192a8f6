/* SPDX-License-Identifier: BSD-2-Clause */
/* The certificate authority of a closed overlay: a folder with a P-256
 * key, its certificate, every certificate it issued, and the list of those it took back. It is used
 * by hand, on a machine that need not be a peer. */
#ifndef CRYPTO_CA_H
#define CRYPTO_CA_H

#include "base/buf.h"
#include "base/err.h"
#include "base/key.h"
#include "crypto/file.h"

#define CA_DAYS 3650u       /* its own certificate */
#define CA_PEER_DAYS 397u   /* those it issues, unless said otherwise */
#define CA_LIST_DAYS 3650u  /* a list of revoked ones counts until there is a newer one */
#define CA_PEM_BYTES 65536u /* room for what these functions append, and the longest file read */

/* Makes the folder's key, certificate and empty list. name: of the overlay. ERR_EXISTS: there is
 * one already, and it stays. */
enum err ca_init(const char *dir, const char *name, struct key_error *why) MUST_USE;
/* Appends the overlay's certificate, PEM. */
enum err ca_certificate(const char *dir, struct buf *out, struct key_error *why) MUST_USE;
/* For a peer's public key (PEM, as `locser identity export` prints it): appends its certificate and
 * then the CA's own, PEM, and keeps a copy. id: its Peer-ID. ERR_SYNTAX: no public key.
 * ERR_REFUSED: a key of a kind that peers do not have. */
enum err ca_issue_peer(const char *dir, struct slice public_key, unsigned days, struct key *id,
                       struct buf *out, struct key_error *why) MUST_USE;
/* For the public keys of a user (one or two, PEM, as `locser user request` prints them): appends a
 * certificate for each and then the CA's own, and keeps copies. address:
 * "bob@example.net", or a domain: a key that may write for all of it. ERR_SYNTAX: no address, or no
 * key. */
enum err ca_issue_user(const char *dir, struct slice address, struct slice public_keys,
                       unsigned days, struct buf *out, struct key_error *why) MUST_USE;
/* Takes back every certificate of that Peer-ID, or of that user's address or domain, and appends
 * the new list, PEM. ERR_NOT_FOUND: none was issued for it. */
enum err ca_revoke(const char *dir, struct slice who, struct buf *out,
                   struct key_error *why) MUST_USE;

#endif
