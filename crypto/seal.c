/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <xmlsec/crypto.h>
#include <xmlsec/xmlenc.h>

#include "crypto/seal_tree.h"
#include "crypto/xmlsec.h"

#define CONTENT_KEY_BYTES 32u
#define RSA_BITS_MIN 3072
#define RSA_BITS_MAX 4096

bool seal_key_fits(const EVP_PKEY *key) {
  return key != NULL && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= RSA_BITS_MIN &&
         EVP_PKEY_get_bits(key) <= RSA_BITS_MAX;
}

/* ---- xmlsec with a key that is given: it reads no KeyInfo and looks for nothing ---- */

static bool restrict_to(xmlSecEncCtxPtr context, xmlSecTransformId method) {
  context->transformCtx.enabledUris = xmlSecTransformUriTypeNone;
  return xmlSecPtrListAdd(&context->transformCtx.enabledTransforms, (void *)method) >= 0;
}

/* Takes `key` over. */
static bool begin(xmlSecEncCtxPtr context, xmlSecKeyPtr key, bool content) {
  if (xmlSecEncCtxInitialize(context, NULL) < 0) {
    if (key != NULL) xmlSecKeyDestroy(key);
    return false;
  }
  context->mode = content ? xmlEncCtxModeEncryptedData : xmlEncCtxModeEncryptedKey;
  context->encKey = key;
  return key != NULL &&
         restrict_to(context, content ? xmlSecTransformAes256GcmId : xmlSecTransformRsaOaepId);
}

static xmlSecKeyPtr content_key(const uint8_t bytes[CONTENT_KEY_BYTES]) {
  xmlSecKeyDataPtr data = xmlSecKeyDataCreate(xmlSecKeyDataAesId);
  if (data == NULL) return NULL;
  xmlSecKeyPtr key = NULL;
  if (xmlSecOpenSSLKeyDataAesSet(data, bytes, CONTENT_KEY_BYTES) >= 0) key = xmlSecKeyCreate();
  if (key != NULL && xmlSecKeySetValue(key, data) >= 0) return key;
  if (key != NULL) xmlSecKeyDestroy(key);
  xmlSecKeyDataDestroy(data);
  return NULL;
}

/* ---- making ---- */

/* Appends without the white space with which xmlsec breaks lines. */
static void put_base64(struct buf *out, const xmlSecEncCtx *context) {
  const xmlSecByte *at = xmlSecBufferGetData(context->result);
  size_t len = xmlSecBufferGetSize(context->result);
  if (context->resultBase64Encoded == 0) {
    buf_put_base64(out, at, len);
    return;
  }
  for (size_t i = 0; i < len; i++)
    if (at[i] > ' ') buf_put_char(out, (char)at[i]);
}

/* Encrypts as the text at `mark` of out says, which has no cipher text yet, and appends it. */
static bool encrypt(xmlSecKeyPtr key, bool content, struct slice text, struct slice plain,
                    struct buf *out) {
  xmlSecEncCtx context;
  xmlDocPtr doc = xmlsec_parse(text);
  bool good = begin(&context, key, content) && doc != NULL &&
              xmlSecEncCtxBinaryEncrypt(&context, xmlDocGetRootElement(doc),
                                        (const xmlSecByte *)plain.at, (xmlSecSize)plain.len) >= 0 &&
              context.result != NULL;
  if (good) put_base64(out, &context);
  xmlSecEncCtxFinalize(&context);
  if (doc != NULL) xmlFreeDoc(doc);
  return good && !out->overflow;
}

static bool put_key(struct buf *out, const struct seal_recipient *to, struct slice secret) {
  char text[1024];
  struct buf empty = buf_over(text, sizeof text);
  seal_put_key_begin(&empty, &to->name);
  seal_put_key_end(&empty);
  seal_put_key_begin(out, &to->name);
  bool good = encrypt(xmlsec_key(to->key), false, buf_slice(&empty), secret, out);
  seal_put_key_end(out);
  return good;
}

static bool put_all(struct buf *out, const struct seal_recipient *to, unsigned count,
                    const uint8_t secret[CONTENT_KEY_BYTES], struct slice plain) {
  char text[512];
  struct buf empty = buf_over(text, sizeof text);
  seal_put_data_begin(&empty);
  seal_put_value_begin(&empty);
  seal_put_data_end(&empty);
  seal_put_data_begin(out);
  seal_put_keys_begin(out);
  bool good = true;
  for (unsigned i = 0; good && i < count; i++)
    good = put_key(out, &to[i], slice_of(secret, CONTENT_KEY_BYTES));
  seal_put_keys_end(out);
  seal_put_value_begin(out);
  good = good && encrypt(content_key(secret), true, buf_slice(&empty), plain, out);
  seal_put_data_end(out);
  return good;
}

static enum err check(const struct seal_recipient *to, unsigned count, struct slice plain) {
  if (count == 0 || count > SEAL_RECIPIENTS_MAX || plain.len == 0 || plain.len > SEAL_PLAIN_MAX)
    return ERR_LIMIT;
  for (unsigned i = 0; i < count; i++) {
    if (!seal_key_fits(to[i].key)) return ERR_UNSUPPORTED;
    for (unsigned k = 0; k < i; k++)
      if (key_equal(&to[i].name, &to[k].name)) return ERR_LIMIT;
  }
  return OK;
}

enum err seal_make(const struct seal_recipient *to, unsigned count, struct slice plain,
                   struct buf *out) {
  uint8_t secret[CONTENT_KEY_BYTES];
  size_t mark = out->len;
  enum err err = check(to, count, plain);
  if (err != OK) return err;
  if (!xmlsec_start() || RAND_priv_bytes(secret, sizeof secret) != 1) return ERR_MEMORY;
  xmlsec_wipe_begin();
  bool good = put_all(out, to, count, secret, plain);
  xmlsec_wipe_end();
  OPENSSL_cleanse(secret, sizeof secret);
  good = good && !out->overflow;
  if (!good) buf_truncate(out, mark);
  return good ? OK : out->overflow ? ERR_FULL : ERR_MEMORY;
}

/* ---- opening ---- */

static bool decrypt(xmlSecKeyPtr key, bool content, xmlNodePtr node, struct buf *out) {
  xmlSecEncCtx context;
  xmlSecBufferPtr found = NULL;
  if (begin(&context, key, content)) found = xmlSecEncCtxDecryptToBuffer(&context, node);
  if (found != NULL) buf_put(out, slice_of(xmlSecBufferGetData(found), xmlSecBufferGetSize(found)));
  xmlSecEncCtxFinalize(&context);
  return found != NULL;
}

/* One answer for all that can go wrong with cipher texts: an oracle tells nothing. */
static enum err open_with(const struct seal_tree *tree, unsigned mine, EVP_PKEY *key,
                          struct buf *plain) {
  uint8_t secret[CONTENT_KEY_BYTES + 1] = {0};
  struct buf found = buf_over(secret, sizeof secret);
  bool good = decrypt(xmlsec_key(key), false, tree->key[mine], &found);
  good = good && found.len == CONTENT_KEY_BYTES && !found.overflow;
  good = good && decrypt(content_key(secret), true, xmlDocGetRootElement(tree->doc), plain);
  OPENSSL_cleanse(secret, sizeof secret);
  if (plain->overflow) return ERR_FULL;
  return good ? OK : ERR_REFUSED;
}

enum err seal_open(const struct key *name, EVP_PKEY *key, struct slice sealed, struct buf *plain) {
  struct seal_tree tree;
  size_t mark = plain->len;
  enum err err = ERR_SYNTAX;
  if (!seal_key_fits(key)) return ERR_UNSUPPORTED;
  if (seal_tree_open(sealed, &tree)) {
    unsigned mine = 0;
    while (mine < tree.count && !key_equal(&tree.name[mine], name)) mine++;
    xmlsec_wipe_begin();
    err = mine < tree.count ? open_with(&tree, mine, key, plain) : ERR_NOT_FOUND;
    xmlsec_wipe_end();
  }
  seal_tree_close(&tree);
  if (err == OK && plain->len - mark > SEAL_PLAIN_MAX) err = ERR_REFUSED;
  if (err != OK && plain->len > mark) {
    OPENSSL_cleanse(plain->at + mark, plain->len - mark);
    buf_truncate(plain, mark);
  }
  return err;
}
