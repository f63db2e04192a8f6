/* SPDX-License-Identifier: BSD-2-Clause */
/* A sealed text with changes: each three bytes put one byte somewhere. What opens is what was
 * sealed. And the bytes themselves, as a sealed text: what opens nobody sealed. */
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/seal.h"

static void check(bool promise) {
  if (!promise) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct seal_recipient me;
  static char good[SEAL_BYTES_MAX], text[SEAL_BYTES_MAX], memory[SEAL_PLAIN_MAX];
  static size_t len;
  if (me.key == NULL) {
    struct buf out = buf_over(good, sizeof good);
    me.key = EVP_RSA_gen(3072);
    check(seal_make(&me, 1, SLICE("secret"), &out) == OK);
    len = out.len;
  }
  memcpy(text, good, len);
  for (size_t i = 0; i + 2 < size; i += 3)
    text[((size_t)data[i] << 8 | data[i + 1]) % len] = (char)data[i + 2];
  struct buf plain = buf_over(memory, sizeof memory);
  enum err err = seal_open(&me.name, me.key, slice_of(text, len), &plain);
  if (err == OK)
    check(slice_equal(buf_slice(&plain), SLICE("secret")));
  else
    check(plain.len == 0 && (err == ERR_SYNTAX || err == ERR_NOT_FOUND || err == ERR_REFUSED));
  plain = buf_over(memory, sizeof memory);
  check(seal_open(&me.name, me.key, slice_of(data, size), &plain) != OK && plain.len == 0);
  return 0;
}
