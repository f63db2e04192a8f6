/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/digest.h"

#include <openssl/evp.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;

static void fetch(void) { sha256 = EVP_MD_fetch(NULL, "SHA256", NULL); }

bool digest_sha256(struct slice first, struct slice second, uint8_t out[32]) {
  pthread_once(&once, fetch);
  EVP_MD_CTX *context = sha256 != NULL ? EVP_MD_CTX_new() : NULL;
  bool done = context != NULL && EVP_DigestInit_ex(context, sha256, NULL) == 1 &&
              EVP_DigestUpdate(context, first.at, first.len) == 1 &&
              (second.len == 0 || EVP_DigestUpdate(context, second.at, second.len) == 1) &&
              EVP_DigestFinal_ex(context, out, NULL) == 1;
  EVP_MD_CTX_free(context);
  return done;
}
