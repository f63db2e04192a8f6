/* SPDX-License-Identifier: BSD-2-Clause */
/* What makes a peer a member of a closed overlay: in its data folder the overlay's
 * certificate (overlay-ca.pem), its own issued by that (certificate.pem), and the list of those
 * that were taken back (revoked.pem). Without the first the overlay is open. */
#ifndef CRYPTO_MEMBERSHIP_H
#define CRYPTO_MEMBERSHIP_H

#include "crypto/identity.h"

struct membership {
  X509 *certificate;   /* that this peer shows; NULL: open overlay */
  X509_STORE *trusted; /* what others' must lead to; NULL: open overlay */
};

/* On an error nothing is left open and *why says what to do. ERR_REFUSED: the overlay is closed and
 * has not let this peer in. */
enum err membership_open(const char *dir, const struct identity *identity, struct membership *out,
                         struct key_error *why) MUST_USE;
/* Reads revoked.pem again; what it takes back counts from now on. No such file: nothing happens. */
enum err membership_renew(const char *dir, struct membership *membership,
                          struct key_error *why) MUST_USE;
void membership_close(struct membership *membership);

/* What was read from a PEM text that an overlay CA gave. */
struct membership_import {
  bool overlay, certificate, revoked;
};
/* Puts each part of the text into its file. ERR_SYNTAX: there is nothing of use in it. ERR_REFUSED:
 * a certificate in it is for another peer's key, or is not by that CA; nothing is written. */
enum err membership_import(const char *dir, const struct identity *identity, struct slice pem,
                           struct membership_import *done, struct key_error *why) MUST_USE;
/* Are all certificates of this PEM text by the CA of the overlay that the data folder belongs to?
 * ERR_REFUSED: no, or the overlay is open. */
enum err membership_check_user(const char *dir, struct slice pem, struct key_error *why) MUST_USE;

#endif
