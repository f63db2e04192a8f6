/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as the value of an Authorization header; a second line is the method. What is
 * read is inside of what was given and within its bounds, and no hash is made of more than that. */
#include <stdlib.h>
#include <string.h>

#include "sip/digest.h"

static void check(bool promise) {
  if (!promise) abort();
}

static bool within(struct slice inner, struct slice outer) {
  return inner.len == 0 || (inner.at >= outer.at && inner.at + inner.len <= outer.at + outer.len);
}

/* Reads every byte, as a hash does. */
static void fold(void *context, struct slice data, uint8_t *out, size_t bytes) {
  uint8_t sum = 1;
  (void)context;
  for (size_t i = 0; i < data.len; i++) sum = (uint8_t)(sum * 31 + (uint8_t)data.at[i]);
  memset(out, sum, bytes);
}

static void fold_32(void *context, struct slice data, uint8_t out[32]) {
  fold(context, data, out, 32);
}

static void fold_16(void *context, struct slice data, uint8_t out[16]) {
  fold(context, data, out, 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const struct crypto crypto = {.sha256 = fold_32, .md5 = fold_16};
  const uint8_t secret[DIGEST_HASH_BYTES_MAX] = {7};
  struct slice all = slice_of((const char *)data, size);
  struct slice value = slice_first(all, slice_find_byte(all, '\n'));
  struct slice method = slice_skip(all, value.len + 1);
  struct digest_credentials c;
  if (size == 0 || digest_read(value, &c) != OK) return 0;
  check(within(c.username, value) && within(c.realm, value) && within(c.nonce, value));
  check(within(c.uri, value) && within(c.cnonce, value) && within(c.nc_text, value));
  check(c.nonce.len <= DIGEST_NONCE_BYTES_MAX && c.uri.len <= DIGEST_URI_BYTES_MAX);
  check(c.cnonce.len <= DIGEST_CNONCE_BYTES_MAX && (c.qop || c.nc == 1));
  check((unsigned)c.algorithm < DIGEST_ALGORITHMS);
  (void)digest_is_right(&crypto, &c, method, secret);
  /* One bit of the response is not another response. */
  struct digest_credentials other = c;
  other.response[0] ^= 1;
  check(!digest_is_right(&crypto, &c, method, secret) ||
        !digest_is_right(&crypto, &other, method, secret));
  return 0;
}
