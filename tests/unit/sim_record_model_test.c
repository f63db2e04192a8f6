/* SPDX-License-Identifier: BSD-2-Clause */
/* The model of a signature that simulations use: what it signed it finds good, and nothing
 * with another key, value or owner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/record_layout.h"
#include "crypto/openssl.h"
#include "sim/record_model.h"
#include "xml/body.h"

static void test_a_changed_byte_is_noticed(void **state) {
  static char text[4096], signed_text[8192];
  struct crypto crypto;
  struct record_layout layout;
  const struct key alice = {{1}}, eve = {{2}};
  const char *why = NULL;
  (void)state;
  crypto_openssl(&crypto);
  struct buf plain = buf_over(text, sizeof text), out = buf_over(signed_text, sizeof signed_text);
  const struct xml_record_new fresh = {.key_text = SLICE("sip:alice@example.net"),
                                       .nonce = SLICE("1"),
                                       .expires = 1777636800000,
                                       .floor = 1777636800000,
                                       .version = 5,
                                       .value = SLICE("<a></a>")};
  xml_put_record(&plain, &fresh);
  assert_int_equal(record_model_sign(&crypto, &alice, buf_slice(&plain), &out), OK);
  struct slice record = buf_slice(&out);
  assert_int_equal(record_model_verify(&crypto, record, &why), OK);
  assert_int_equal(record_layout_read(record, &layout, &why), OK);
  assert_true(key_equal(&layout.owner, &alice));
  size_t from = (size_t)(layout.both.at - signed_text), to = from + layout.both.len;
  for (size_t i = from; i < to; i++) {
    signed_text[i] ^= 1;
    assert_int_equal(record_model_verify(&crypto, record, &why), ERR_REFUSED);
    signed_text[i] ^= 1;
  }
  size_t signature = (size_t)(layout.signature.at - signed_text);
  signed_text[signature] = signed_text[signature] == 'A' ? 'B' : 'A';
  assert_int_equal(record_model_verify(&crypto, record, &why), ERR_REFUSED);
  buf_reset(&out);
  assert_int_equal(record_model_sign(&crypto, &eve, buf_slice(&plain), &out), OK);
  assert_int_equal(record_layout_read(buf_slice(&out), &layout, &why), OK);
  assert_false(key_equal(&layout.owner, &alice));
  crypto_openssl_free(&crypto);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_changed_byte_is_noticed)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
