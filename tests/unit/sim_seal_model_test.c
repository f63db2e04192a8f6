/* SPDX-License-Identifier: BSD-2-Clause */
/* The model of sealing, and the list of those for whom something is sealed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/recipients.h"
#include "crypto/openssl.h"
#include "sim/seal_model.h"

static const struct key alice = {{1, 2, 3}}, bob = {{9, 8, 7}};
#define WORDS "words that nobody else may read"

static void for_those_named_and_no_others(void **state) {
  struct crypto crypto;
  char to[256], text[SEAL_MODEL_ROOM(sizeof WORDS, 1)], plain[256];
  struct buf recipients = buf_over(to, sizeof to), sealed = buf_over(text, sizeof text),
             out = buf_over(plain, sizeof plain);
  (void)state;
  crypto_openssl(&crypto);
  recipients_put(&recipients, &alice, slice_of(alice.byte, KEY_BYTES));
  assert_int_equal(seal_model_make(&crypto, buf_slice(&recipients), SLICE(WORDS), &sealed), OK);
  assert_int_equal(slice_find(buf_slice(&sealed), SLICE("words")), sealed.len);
  assert_int_equal(seal_model_open(&crypto, &bob, buf_slice(&sealed), &out), ERR_NOT_FOUND);
  assert_int_equal(seal_model_open(&crypto, &alice, buf_slice(&sealed), &out), OK);
  assert_true(slice_equal(buf_slice(&out), SLICE(WORDS)));
  char *cipher = text + sealed.len - 60; /* base64 of the words' end */
  *cipher = *cipher == 'A' ? 'B' : 'A';
  assert_int_equal(seal_model_open(&crypto, &alice, buf_slice(&sealed), &out), ERR_REFUSED);
  assert_int_equal(seal_model_open(&crypto, &alice, SLICE("<EncryptedData>"), &out), ERR_SYNTAX);
  assert_int_equal(seal_model_make(&crypto, SLICE("short"), SLICE(WORDS), &sealed), ERR_SYNTAX);
  crypto_openssl_free(&crypto);
}

static void a_list_is_read_as_written_or_not_at_all(void **state) {
  char to[256];
  struct buf list = buf_over(to, sizeof to);
  struct recipient one;
  (void)state;
  recipients_put(&list, &alice, SLICE("certificate"));
  recipients_put(&list, &bob, SLICE_EMPTY);
  struct slice rest = buf_slice(&list), cut = slice_first(rest, 25);
  assert_true(recipients_take(&rest, &one));
  assert_true(key_equal(&one.name, &alice) && slice_equal(one.certificate, SLICE("certificate")));
  assert_true(recipients_take(&rest, &one));
  assert_true(key_equal(&one.name, &bob) && one.certificate.len == 0 && rest.len == 0);
  assert_false(recipients_take(&rest, &one));
  assert_false(recipients_take(&cut, &one));
  assert_int_equal(cut.len, 25);
  list.len = 0;
  recipients_put(&list, &alice, slice_of(to, RECIPIENT_CERTIFICATE_MAX + 1));
  assert_true(list.overflow);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(for_those_named_and_no_others),
      cmocka_unit_test(a_list_is_read_as_written_or_not_at_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
