/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to crypto: a record in libxml2's tree, and xmlsec at work on it. */
#ifndef CRYPTO_SIGNATURE_H
#define CRYPTO_SIGNATURE_H

#include <libxml/tree.h>
#include <openssl/types.h>

#include "base/record_layout.h"

struct signature_tree {
  xmlDocPtr doc;
  xmlNodePtr key, value, signature;
};

/* False: libxml2 does not read the record, or sees another tree than the layout has: exactly key,
 * value and Signature in dhtRecord, nothing between them, Id "One" and "Two" once each. To be
 * closed either way. */
bool signature_tree_open(struct slice record, struct signature_tree *tree);
void signature_tree_close(struct signature_tree *tree);

/* Lets xmlsec verify the Signature with `key`, or fill it in. Nothing is read from KeyInfo, no
 * other transforms than the layout's are enabled. */
bool signature_verify(const struct signature_tree *tree, EVP_PKEY *key);
bool signature_make(const struct signature_tree *tree, EVP_PKEY *key);

/* Is `text` the base64 of the SHA-256 of `part`? This ties what xmlsec digested to the bytes of
 * the record: only those that are their own canonical form have this digest. */
bool signature_digest_is(struct slice part, struct slice text);

#endif
