/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/rights.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "base/buf.h"

/* A URI "sip:..." or a domain, as the CA wrote it; nothing with a control character in it. */
static void put_name(struct buf *out, const GENERAL_NAME *name) {
  if (name->type != GEN_URI && name->type != GEN_DNS) return;
  struct slice text =
      slice_of(ASN1_STRING_get0_data(name->d.ia5), (size_t)ASN1_STRING_length(name->d.ia5));
  if (name->type == GEN_URI) {
    if (!slice_starts(text, SLICE("sip:"))) return;
    text = slice_skip(text, 4);
  }
  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] <= ' ' || text.at[i] > '~') return;
  if (text.len == 0 || text.len + 1 > out->cap - out->len) return;
  buf_put(out, text);
  buf_put_char(out, '\n');
}

static bool time_of(const ASN1_TIME *from, time_t *out) {
  struct tm tm;
  if (ASN1_TIME_to_tm(from, &tm) != 1) return false;
  *out = timegm(&tm);
  return true;
}

static bool is_issued(X509_STORE *trusted, X509 *certificate) {
  X509_STORE_CTX *context = X509_STORE_CTX_new();
  bool good = context != NULL && X509_STORE_CTX_init(context, trusted, certificate, NULL) == 1 &&
              X509_verify_cert(context) == 1;
  X509_STORE_CTX_free(context);
  return good;
}

void rights_of(X509_STORE *trusted, struct slice certificate, struct rights *out) {
  *out = (struct rights){0};
  const unsigned char *at = (const unsigned char *)certificate.at;
  X509 *x = d2i_X509(NULL, &at, (long)certificate.len);
  if (x != NULL && X509_check_ca(x) == 0 && is_issued(trusted, x) &&
      time_of(X509_get0_notBefore(x), &out->from) && time_of(X509_get0_notAfter(x), &out->until)) {
    struct buf names = buf_over(out->names, sizeof out->names);
    GENERAL_NAMES *list = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++)
      put_name(&names, sk_GENERAL_NAME_value(list, i));
    GENERAL_NAMES_free(list);
    out->names_len = names.len;
    out->issued = true;
  }
  X509_free(x);
}
