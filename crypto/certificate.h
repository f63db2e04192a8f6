/* SPDX-License-Identifier: BSD-2-Clause */
/* The X.509 certificates that travel with records: one is made for each key that signs,
 * and one that came is read for its key. Whether a CA issued it is another question. */
#ifndef CRYPTO_CERTIFICATE_H
#define CRYPTO_CERTIFICATE_H

#include <openssl/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/key.h"
#include "base/record_layout.h"

/* Appends a self-signed certificate in DER for `key`: subject and issuer CN are the owner's 40
 * digits, valid from 1970 to the date that RFC 5280 4.1.2.5 has for "no end". The serial number
 * comes from the key, so all but its signature is the same each time. */
enum err certificate_make(EVP_PKEY *key, struct buf *out) MUST_USE;
/* The same for a user's key: CN and subjectAltName (a URI) are the address "sip:bob@example.net"
 * (R-6.32). */
enum err certificate_make_user(EVP_PKEY *key, struct slice address, struct buf *out) MUST_USE;
/* Puts one subjectAltName into a certificate that is being made: GEN_URI or GEN_DNS. */
bool certificate_name_user(X509 *certificate, int type, struct slice name);

/* What a certificate says about its key. */
struct certificate_key {
  EVP_PKEY *key;    /* the reader's to free */
  struct key owner; /* SHA-1 of the DER SubjectPublicKeyInfo, as it stands in the certificate */
  enum record_algorithm algorithm; /* that goes with this kind of key */
};
/* Reads one certificate, with nothing behind it. ERR_SYNTAX: not a certificate. ERR_UNSUPPORTED:
 * neither P-256 nor RSA of 2048 to 4096 bits. */
enum err certificate_read(struct slice der, struct certificate_key *out) MUST_USE;

#endif
