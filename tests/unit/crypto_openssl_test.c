/* SPDX-License-Identifier: BSD-2-Clause */
/* The door to hashes against published vectors: FIPS 180-4, RFC 1321, RFC 4231. */
#include "crypto/openssl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

static void expect(const uint8_t *bytes, size_t len, const char *hex) {
  char text[80];
  struct buf b = buf_over(text, sizeof text);
  buf_put_hex(&b, bytes, len);
  buf_put_char(&b, '\0');
  assert_string_equal(text, hex);
}

static void hashes_of_vectors(void **state) {
  (void)state;
  struct crypto crypto;
  crypto_openssl(&crypto);
  uint8_t out[32];
  for (int again = 0; again < 3; again++) { /* contexts are reused */
    crypto.sha1(crypto.context, SLICE("abc"), out);
    expect(out, 20, "A9993E364706816ABA3E25717850C26C9CD0D89D");
    crypto.sha256(crypto.context, SLICE("abc"), out);
    expect(out, 32, "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD");
    crypto.md5(crypto.context, SLICE("message digest"), out);
    expect(out, 16, "F96B697D7CB7938D525A2F31AAF161D0");
    crypto.sha1(crypto.context, SLICE_EMPTY, out);
    expect(out, 20, "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709");
  }
  crypto_openssl_free(&crypto);
}

static void hmac_of_vectors(void **state) {
  (void)state;
  struct crypto crypto;
  crypto_openssl(&crypto);
  uint8_t out[32];
  for (int again = 0; again < 2; again++) {
    crypto.hmac_sha256(crypto.context, SLICE("Jefe"), SLICE("what do ya want for nothing?"), out);
    expect(out, 32, "5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843");
    /* An empty key is a key, not "the key of last time". */
    crypto.hmac_sha256(crypto.context, SLICE_EMPTY, SLICE_EMPTY, out);
    expect(out, 32, "B613679A0814D9EC772F95D778C35FC5FF1697C493715653C6C712144292C5AD");
  }
  crypto_openssl_free(&crypto);
}

/* the key of an address is the SHA-1 of its canonical text. */
static void key_of_an_address(void **state) {
  (void)state;
  struct crypto crypto;
  crypto_openssl(&crypto);
  struct key key = crypto_key(&crypto, SLICE("sip:bob@biloxi.example.com"));
  expect(key.byte, sizeof key.byte, "125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A9");
  crypto_openssl_free(&crypto);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hashes_of_vectors),
      cmocka_unit_test(hmac_of_vectors),
      cmocka_unit_test(key_of_an_address),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
