/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to crypto: libxml2 and xmlsec made ready once for the process. */
#ifndef CRYPTO_XMLSEC_H
#define CRYPTO_XMLSEC_H

#include <libxml/tree.h>
#include <openssl/types.h>
#include <xmlsec/keys.h>

#include "base/slice.h"

/* For each thread before it uses either library. False: they do not start. */
bool xmlsec_start(void);

/* Text without external parts read. NULL: not well-formed, with or without namespaces. */
xmlDocPtr xmlsec_parse(struct slice text);

/* Borrows `key`. NULL: no memory, or not a key for xmlsec. Free with xmlSecKeyDestroy. */
xmlSecKeyPtr xmlsec_key(EVP_PKEY *key);

/* Between these two, what this thread's libxml2 and xmlsec give back is wiped first: there are
 * secrets in it. */
void xmlsec_wipe_begin(void);
void xmlsec_wipe_end(void);

#endif
