/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/xmlsec.h"

#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <libxml/xmlmemory.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <xmlsec/crypto.h>
#include <xmlsec/errors.h>
#include <xmlsec/openssl/evp.h>
#include <xmlsec/xmlsec.h>

/* ---- memory ---- */

static _Thread_local bool wiping;

static void give(void *at) {
  if (at != NULL && wiping) OPENSSL_cleanse(at, malloc_usable_size(at));
  free(at);
}

static void *resize(void *at, size_t bytes) {
  if (!wiping || at == NULL) return realloc(at, bytes);
  size_t old = malloc_usable_size(at);
  void *fresh = malloc(bytes);
  if (fresh == NULL) return NULL;
  memcpy(fresh, at, old < bytes ? old : bytes);
  give(at);
  return fresh;
}

void xmlsec_wipe_begin(void) { wiping = true; }
void xmlsec_wipe_end(void) { wiping = false; }

/* ---- once for the process ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool ready;

/* A stranger's bad record must not write to our log. */
static void ignore_error(void *context, xmlErrorPtr error) { (void)context, (void)error; }
static void ignore_failure(const char *file, int line, const char *function, const char *object,
                           const char *subject, int reason, const char *text) {
  (void)file, (void)line, (void)function, (void)object, (void)subject, (void)reason, (void)text;
}

static void start(void) {
  if (xmlMemSetup(give, malloc, resize, strdup) != 0) return;
  xmlInitParser();
  ready = xmlSecInit() >= 0 && xmlSecCryptoAppInit(NULL) >= 0 && xmlSecCryptoInit() >= 0;
  xmlSecErrorsSetCallback(ignore_failure); /* xmlSecInit sets its own */
}

bool xmlsec_start(void) {
  pthread_once(&once, start);
  if (ready) xmlSetStructuredErrorFunc(NULL, ignore_error); /* of this thread */
  return ready;
}

/* ---- texts and keys ---- */

xmlDocPtr xmlsec_parse(struct slice text) {
  xmlParserCtxtPtr parser = xmlNewParserCtxt();
  if (parser == NULL) return NULL;
  xmlDocPtr doc = xmlCtxtReadMemory(parser, text.at, (int)text.len, NULL, "UTF-8",
                                    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
  /* To libxml2 an undeclared prefix is no error of the document. */
  if (doc != NULL && (parser->wellFormed == 0 || parser->nsWellFormed == 0)) {
    xmlFreeDoc(doc);
    doc = NULL;
  }
  xmlFreeParserCtxt(parser);
  return doc;
}

xmlSecKeyPtr xmlsec_key(EVP_PKEY *key) {
  if (EVP_PKEY_up_ref(key) != 1) return NULL;
  xmlSecKeyDataPtr data = xmlSecOpenSSLEvpKeyAdopt(key);
  if (data == NULL) {
    EVP_PKEY_free(key);
    return NULL;
  }
  xmlSecKeyPtr made = xmlSecKeyCreate();
  if (made != NULL && xmlSecKeySetValue(made, data) >= 0) return made;
  if (made != NULL) xmlSecKeyDestroy(made);
  xmlSecKeyDataDestroy(data);
  return NULL;
}
