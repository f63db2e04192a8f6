/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/signature.h"

#include <libxml/valid.h>
#include <openssl/evp.h>
#include <xmlsec/crypto.h>
#include <xmlsec/xmldsig.h>

#include "base/buf.h"
#include "crypto/digest.h"
#include "crypto/xmlsec.h"

/* ---- the tree ---- */

static bool is_element(const xmlNode *node, const char *name) {
  return node != NULL && node->type == XML_ELEMENT_NODE &&
         xmlStrEqual(node->name, (const xmlChar *)name) != 0;
}

static bool add_id(xmlDocPtr doc, xmlNodePtr node, const char *id) {
  xmlAttrPtr attribute = xmlHasProp(node, (const xmlChar *)"Id");
  return attribute != NULL && xmlAddID(NULL, doc, (const xmlChar *)id, attribute) != NULL;
}

bool signature_tree_open(struct slice record, struct signature_tree *tree) {
  *tree = (struct signature_tree){0};
  if (!xmlsec_start() || record.len > RECORD_BYTES_MAX + RECORD_SIGNATURE_ROOM) return false;
  tree->doc = xmlsec_parse(record);
  xmlNodePtr root = tree->doc == NULL ? NULL : xmlDocGetRootElement(tree->doc);
  if (!is_element(root, "dhtRecord") || root->prev != NULL || root->next != NULL) return false;
  tree->key = root->children;
  tree->value = is_element(tree->key, "key") ? tree->key->next : NULL;
  tree->signature = is_element(tree->value, "value") ? tree->value->next : NULL;
  return is_element(tree->signature, "Signature") && tree->signature->next == NULL &&
         add_id(tree->doc, tree->key, "One") && add_id(tree->doc, tree->value, "Two");
}

void signature_tree_close(struct signature_tree *tree) {
  if (tree->doc != NULL) xmlFreeDoc(tree->doc);
  tree->doc = NULL;
}

/* ---- xmlsec ---- */

static bool set_key(xmlSecDSigCtxPtr context, EVP_PKEY *key) {
  context->signKey = xmlsec_key(key);
  return context->signKey != NULL;
}

/* The layout says this already; xmlsec is told, too. */
static bool restrict_to_layout(xmlSecDSigCtxPtr context) {
  context->flags |= XMLSEC_DSIG_FLAGS_IGNORE_MANIFESTS;
  context->enabledReferenceUris = xmlSecTransformUriTypeSameDocument;
  return xmlSecDSigCtxEnableReferenceTransform(context, xmlSecTransformExclC14NId) >= 0 &&
         xmlSecDSigCtxEnableReferenceTransform(context, xmlSecTransformSha256Id) >= 0 &&
         xmlSecDSigCtxEnableSignatureTransform(context, xmlSecTransformExclC14NId) >= 0 &&
         xmlSecDSigCtxEnableSignatureTransform(context, xmlSecTransformEcdsaSha256Id) >= 0 &&
         xmlSecDSigCtxEnableSignatureTransform(context, xmlSecTransformRsaSha256Id) >= 0;
}

typedef int (*xmlsec_work)(xmlSecDSigCtxPtr context, xmlNodePtr node);

static bool run(const struct signature_tree *tree, EVP_PKEY *key, xmlsec_work work) {
  xmlSecDSigCtx context;
  if (xmlSecDSigCtxInitialize(&context, NULL) < 0) return false;
  bool good = restrict_to_layout(&context) && set_key(&context, key) &&
              work(&context, tree->signature) >= 0 && context.status == xmlSecDSigStatusSucceeded &&
              xmlSecPtrListGetSize(&context.signedInfoReferences) == 2;
  xmlSecDSigCtxFinalize(&context);
  return good;
}

bool signature_verify(const struct signature_tree *tree, EVP_PKEY *key) {
  return run(tree, key, xmlSecDSigCtxVerify);
}

bool signature_make(const struct signature_tree *tree, EVP_PKEY *key) {
  return run(tree, key, xmlSecDSigCtxSign);
}

bool signature_digest_is(struct slice part, struct slice text) {
  uint8_t digest[RECORD_DIGEST_BYTES], said[RECORD_DIGEST_BYTES + 1];
  size_t len = sizeof said;
  return base64_decode(text, said, &len) && len == sizeof digest &&
         digest_sha256(part, SLICE_EMPTY, digest) && memcmp(digest, said, sizeof digest) == 0;
}
