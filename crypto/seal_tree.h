/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to crypto: the one shape of a sealed text (R-6.41), written and read. */
#ifndef CRYPTO_SEAL_TREE_H
#define CRYPTO_SEAL_TREE_H

#include <libxml/tree.h>

#include "base/buf.h"
#include "base/key.h"
#include "crypto/seal.h"

#define SEAL_ENC "http://www.w3.org/2001/04/xmlenc#"
#define SEAL_SIG "http://www.w3.org/2000/09/xmldsig#"
#define SEAL_CONTENT_METHOD "http://www.w3.org/2009/xmlenc11#aes256-gcm"
#define SEAL_KEY_METHOD SEAL_ENC "rsa-oaep-mgf1p"
#define SEAL_DIGEST_METHOD SEAL_SIG "sha1"

/* What opens the EncryptedKey of `name`; enc: it declares the namespace itself. The cipher text
 * (base64) comes next, then seal_put_value_end and seal_put_key_end. */
void seal_put_key_begin(struct buf *out, const struct key *name);
void seal_put_key_end(struct buf *out);
/* <EncryptedData><EncryptionMethod/>; then, if there are recipients, KeyInfo around their keys;
 * then seal_put_value_begin, base64 and seal_put_data_end. */
void seal_put_data_begin(struct buf *out);
void seal_put_keys_begin(struct buf *out);
void seal_put_keys_end(struct buf *out);
void seal_put_value_begin(struct buf *out);
void seal_put_data_end(struct buf *out);

struct seal_tree {
  xmlDocPtr doc;
  unsigned count;
  struct key name[SEAL_RECIPIENTS_MAX];
  xmlNodePtr key[SEAL_RECIPIENTS_MAX]; /* EncryptedKey */
};

/* False: not well-formed, or anything at all is there that R-6.41 does not have. To be closed
 * either way. */
bool seal_tree_open(struct slice sealed, struct seal_tree *tree);
void seal_tree_close(struct seal_tree *tree);

#endif
