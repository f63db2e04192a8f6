/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/record_sign.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/record_layout.h"
#include "crypto/certificate.h"
#include "crypto/signature.h"

#define WORK_BYTES (RECORD_BYTES_MAX + RECORD_SIGNATURE_ROOM)

/* Decodes the base64 text of an element, in which xmlsec breaks lines. */
static bool take_base64(xmlNodePtr node, uint8_t *out, size_t *len) {
  xmlChar *text = xmlNodeGetContent(node);
  if (text == NULL) return false;
  size_t kept = 0;
  for (size_t i = 0; text[i] != 0; i++)
    if (text[i] > ' ') text[kept++] = text[i];
  bool good = base64_decode(slice_of(text, kept), out, len);
  xmlFree(text);
  return good;
}

static xmlNodePtr find_element(xmlNodePtr from, const char *name) {
  for (xmlNodePtr node = from; node != NULL; node = node->next)
    if (xmlStrEqual(node->name, (const xmlChar *)name) != 0) return node;
  return NULL;
}

struct made {
  uint8_t key_digest[RECORD_DIGEST_BYTES], value_digest[RECORD_DIGEST_BYTES];
  uint8_t signature[RECORD_SIGNATURE_MAX];
  size_t signature_len;
};

static bool take_digest(xmlNodePtr reference, uint8_t out[RECORD_DIGEST_BYTES]) {
  size_t len = RECORD_DIGEST_BYTES;
  xmlNodePtr node = reference == NULL ? NULL : find_element(reference->children, "DigestValue");
  return node != NULL && take_base64(node, out, &len) && len == RECORD_DIGEST_BYTES;
}

static bool take_made(xmlNodePtr signature, struct made *made) {
  xmlNodePtr info = find_element(signature->children, "SignedInfo");
  xmlNodePtr value = find_element(signature->children, "SignatureValue");
  xmlNodePtr first = info == NULL ? NULL : find_element(info->children, "Reference");
  xmlNodePtr second = first == NULL ? NULL : find_element(first->next, "Reference");
  made->signature_len = sizeof made->signature;
  return value != NULL && take_digest(first, made->key_digest) &&
         take_digest(second, made->value_digest) &&
         take_base64(value, made->signature, &made->signature_len);
}

static enum err sign_in(char *work, EVP_PKEY *key, struct slice certificate,
                        const struct record_layout *layout, struct slice owner,
                        enum record_algorithm algorithm, struct made *made) {
  struct buf text = buf_over(work, WORK_BYTES);
  const struct record_layout_signature empty = {.algorithm = algorithm, .certificate = certificate};
  record_layout_put_signed(&text, layout, owner, &empty);
  if (text.overflow) return ERR_LIMIT;
  struct signature_tree tree;
  bool good = signature_tree_open(buf_slice(&text), &tree) && signature_make(&tree, key) &&
              take_made(tree.signature, made);
  signature_tree_close(&tree);
  return good ? OK : ERR_SYNTAX;
}

/* The digests that xmlsec made are of these very bytes: the record was written in canonical form.
 */
static enum err check_made(struct slice record) {
  struct record_layout layout;
  const char *why;
  enum err err = record_layout_read(record, &layout, &why);
  if (err != OK) return err;
  return signature_digest_is(layout.key, layout.key_digest) &&
                 signature_digest_is(layout.value, layout.value_digest)
             ? OK
             : ERR_SYNTAX;
}

static enum err put_signed(char *work, EVP_PKEY *key, struct slice certificate,
                           const struct record_layout *layout, struct buf *out) {
  struct certificate_key of;
  enum err err = certificate_read(certificate, &of);
  if (err != OK) return ERR_UNSUPPORTED;
  bool same = EVP_PKEY_eq(of.key, key) == 1;
  EVP_PKEY_free(of.key);
  if (!same) return ERR_UNSUPPORTED;
  char owner_text[KEY_HEX];
  struct buf owner = buf_over(owner_text, sizeof owner_text);
  key_put(&owner, &of.owner);
  struct made made;
  err = sign_in(work, key, certificate, layout, buf_slice(&owner), of.algorithm, &made);
  if (err != OK) return err;
  size_t mark = out->len;
  const struct record_layout_signature signature = {
      .algorithm = of.algorithm,
      .key_digest = made.key_digest,
      .value_digest = made.value_digest,
      .signature = slice_of(made.signature, made.signature_len),
      .certificate = certificate};
  record_layout_put_signed(out, layout, buf_slice(&owner), &signature);
  if (out->overflow) return ERR_FULL;
  err = check_made(slice_of(out->at + mark, out->len - mark));
  if (err != OK) buf_truncate(out, mark);
  return err;
}

enum err record_sign(EVP_PKEY *key, struct slice certificate, struct slice record,
                     struct buf *out) {
  struct record_layout layout;
  const char *why;
  enum err err = record_layout_read_unsigned(record, &layout, &why);
  if (err != OK) return err;
  char *work = malloc(WORK_BYTES);
  if (work == NULL) return ERR_MEMORY;
  err = put_signed(work, key, certificate, &layout, out);
  free(work);
  return err;
}
