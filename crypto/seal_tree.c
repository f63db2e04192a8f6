/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/seal_tree.h"

#include "crypto/xmlsec.h"

/* ---- writing ---- */

static void put_method(struct buf *out, const char *algorithm) {
  buf_put_cstr(out, "<EncryptionMethod Algorithm=\"");
  buf_put_cstr(out, algorithm);
  buf_put_cstr(out, "\">");
}

void seal_put_value_begin(struct buf *out) { buf_put_cstr(out, "<CipherData><CipherValue>"); }
static void put_value_end(struct buf *out) { buf_put_cstr(out, "</CipherValue></CipherData>"); }

void seal_put_key_begin(struct buf *out, const struct key *name) {
  buf_put_cstr(out, "<EncryptedKey xmlns=\"" SEAL_ENC "\">");
  put_method(out, SEAL_KEY_METHOD);
  buf_put_cstr(out, "<DigestMethod xmlns=\"" SEAL_SIG "\" Algorithm=\"" SEAL_DIGEST_METHOD
                    "\"></DigestMethod></EncryptionMethod>"
                    "<KeyInfo xmlns=\"" SEAL_SIG "\"><KeyName>");
  key_put(out, name);
  buf_put_cstr(out, "</KeyName></KeyInfo>");
  seal_put_value_begin(out);
}

void seal_put_key_end(struct buf *out) {
  put_value_end(out);
  buf_put_cstr(out, "</EncryptedKey>");
}

void seal_put_data_begin(struct buf *out) {
  buf_put_cstr(out, "<EncryptedData xmlns=\"" SEAL_ENC "\">");
  put_method(out, SEAL_CONTENT_METHOD);
  buf_put_cstr(out, "</EncryptionMethod>");
}

void seal_put_keys_begin(struct buf *out) { buf_put_cstr(out, "<KeyInfo xmlns=\"" SEAL_SIG "\">"); }
void seal_put_keys_end(struct buf *out) { buf_put_cstr(out, "</KeyInfo>"); }

void seal_put_data_end(struct buf *out) {
  put_value_end(out);
  buf_put_cstr(out, "</EncryptedData>");
}

/* ---- reading: the very tree that xmlsec gets is held against the shape ---- */

static xmlNodePtr skip_blank(xmlNodePtr node) {
  while (node != NULL && node->type == XML_TEXT_NODE && xmlIsBlankNode(node) != 0)
    node = node->next;
  return node;
}

/* Is this an element of that name, with no attribute but `algorithm`, if there is one? */
static bool is(const xmlNode *node, const char *ns, const char *name, const char *algorithm) {
  if (node == NULL || node->type != XML_ELEMENT_NODE || node->ns == NULL ||
      xmlStrEqual(node->name, (const xmlChar *)name) == 0 ||
      xmlStrEqual(node->ns->href, (const xmlChar *)ns) == 0)
    return false;
  const xmlAttr *attribute = node->properties;
  if (algorithm == NULL) return attribute == NULL;
  const xmlNode *text = attribute != NULL ? attribute->children : NULL;
  return text != NULL && attribute->next == NULL && attribute->ns == NULL &&
         xmlStrEqual(attribute->name, (const xmlChar *)"Algorithm") != 0 &&
         text->type == XML_TEXT_NODE && text->next == NULL &&
         xmlStrEqual(text->content, (const xmlChar *)algorithm) != 0;
}

/* Nothing but white space in it, or behind it. */
static bool is_empty(const xmlNode *node) { return skip_blank(node->children) == NULL; }
static bool is_last(const xmlNode *node) { return skip_blank(node->next) == NULL; }

/* The one text in it; empty if there is anything else. */
static struct slice only_text(const xmlNode *node) {
  const xmlNode *text = node->children;
  if (text == NULL || text->type != XML_TEXT_NODE || text->next != NULL || text->content == NULL)
    return SLICE_EMPTY;
  return slice_cstr((const char *)text->content);
}

static bool is_value(const xmlNode *data) {
  if (data == NULL || !is(data, SEAL_ENC, "CipherData", NULL)) return false;
  const xmlNode *value = skip_blank(data->children);
  return is(value, SEAL_ENC, "CipherValue", NULL) && is_last(value) &&
         slice_trim(only_text(value)).len > 0;
}

static bool is_key_method(const xmlNode *method) {
  if (!is(method, SEAL_ENC, "EncryptionMethod", SEAL_KEY_METHOD)) return false;
  const xmlNode *digest = skip_blank(method->children);
  return is(digest, SEAL_SIG, "DigestMethod", SEAL_DIGEST_METHOD) && is_empty(digest) &&
         is_last(digest);
}

static bool read_name(const xmlNode *info, struct key *out) {
  if (!is(info, SEAL_SIG, "KeyInfo", NULL)) return false;
  const xmlNode *name = skip_blank(info->children);
  return is(name, SEAL_SIG, "KeyName", NULL) && is_last(name) && key_parse(only_text(name), out);
}

static bool read_key(const xmlNode *node, struct key *name) {
  if (!is(node, SEAL_ENC, "EncryptedKey", NULL)) return false;
  const xmlNode *method = skip_blank(node->children);
  const xmlNode *info = is_key_method(method) ? skip_blank(method->next) : NULL;
  const xmlNode *value = info != NULL && read_name(info, name) ? skip_blank(info->next) : NULL;
  return is_value(value) && is_last(value);
}

static bool read_keys(xmlNodePtr info, struct seal_tree *tree) {
  if (!is(info, SEAL_SIG, "KeyInfo", NULL)) return false;
  for (xmlNodePtr node = skip_blank(info->children); node != NULL; node = skip_blank(node->next)) {
    unsigned at = tree->count;
    if (at == SEAL_RECIPIENTS_MAX || !read_key(node, &tree->name[at])) return false;
    for (unsigned i = 0; i < at; i++)
      if (key_equal(&tree->name[i], &tree->name[at])) return false;
    tree->key[tree->count++] = node;
  }
  return tree->count > 0;
}

static bool read_data(xmlNodePtr root, struct seal_tree *tree) {
  if (!is(root, SEAL_ENC, "EncryptedData", NULL) || root->prev != NULL || root->next != NULL)
    return false;
  xmlNodePtr method = skip_blank(root->children);
  if (!is(method, SEAL_ENC, "EncryptionMethod", SEAL_CONTENT_METHOD) || !is_empty(method))
    return false;
  xmlNodePtr info = skip_blank(method->next);
  if (!read_keys(info, tree)) return false;
  const xmlNode *value = skip_blank(info->next);
  return is_value(value) && is_last(value);
}

bool seal_tree_open(struct slice sealed, struct seal_tree *tree) {
  *tree = (struct seal_tree){0};
  /* No document type, entity, comment, CDATA section or processing instruction is ever parsed. */
  if (sealed.len > SEAL_BYTES_MAX || slice_find(sealed, SLICE("<!")) < sealed.len ||
      slice_find(sealed, SLICE("<?")) < sealed.len || !xmlsec_start())
    return false;
  tree->doc = xmlsec_parse(sealed);
  return tree->doc != NULL && read_data(xmlDocGetRootElement(tree->doc), tree);
}

void seal_tree_close(struct seal_tree *tree) {
  if (tree->doc != NULL) xmlFreeDoc(tree->doc);
  tree->doc = NULL;
}
