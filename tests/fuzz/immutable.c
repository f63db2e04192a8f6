/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as the record of an immutable value, and as a manifest. What is taken for good is, when
 * written again from its parts, the same bytes. */
#include <stdlib.h>

#include "base/immutable.h"
#include "crypto/openssl.h"

static void check(bool promise) {
  if (!promise) abort();
}

static void try_record(const struct crypto *crypto, struct slice text) {
  static char again[32768];
  static uint8_t value[IMMUTABLE_BYTES_MAX + 2];
  struct buf out = buf_over(again, sizeof again);
  struct immutable_layout layout;
  const char *why = NULL;
  size_t len = sizeof value;
  bool good = immutable_verify(crypto, text, &why) == OK;
  check(good || why != NULL);
  if (!good) return;
  check(immutable_layout_read(text, &layout, &why) == OK);
  check(base64_decode(layout.base64, value, &len) && len <= IMMUTABLE_BYTES_MAX);
  immutable_layout_put(&out, layout.key_text, layout.expires, slice_of(value, len));
  check(slice_equal(buf_slice(&out), text));
}

static void try_manifest(struct slice text) {
  static char again[65536];
  struct buf out = buf_over(again, sizeof again);
  struct immutable_manifest manifest;
  const char *why = NULL;
  size_t sum = 0;
  if (immutable_manifest_read(text, &manifest, &why) != OK) {
    check(why != NULL);
    return;
  }
  check(manifest.total <= IMMUTABLE_TOTAL_MAX && manifest.count <= IMMUTABLE_FRAGMENTS_MAX);
  immutable_manifest_put(&out, manifest.total);
  for (unsigned i = 0; i < manifest.count; i++) {
    sum += immutable_manifest_size(&manifest, i);
    immutable_manifest_put_key(&out, immutable_manifest_key(&manifest, i));
  }
  check(sum == manifest.total && slice_equal(buf_slice(&out), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct crypto crypto;
  if (crypto.sha256 == NULL) crypto_openssl(&crypto);
  try_record(&crypto, slice_of(data, size));
  try_manifest(slice_of(data, size));
  return 0;
}
