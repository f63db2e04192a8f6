/* SPDX-License-Identifier: BSD-2-Clause */
/* What is sealed for users by their certificates, and opened by their keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/recipients.h"
#include "base/record_layout.h"
#include "crypto/seal.h"
#include "crypto/seal_users.h"
#include "crypto/user_keys.h"

#define ALICE SLICE("sip:alice@a.example")
#define WORDS SLICE("words for alice")

static void put_user(struct user_keys *keys, struct slice address, struct buf *list) {
  char first[RECORD_CERTIFICATE_MAX], second[RECORD_CERTIFICATE_MAX], statement[8192];
  struct buf signs = buf_over(first, sizeof first), receives = buf_over(second, sizeof second),
             before = buf_over(statement, sizeof statement);
  struct key owner;
  assert_int_equal(user_keys_complete(keys, address), OK);
  assert_int_equal(user_keys_certificates(keys, address, &owner, &signs, &receives, &before), OK);
  recipients_put(list, &owner, buf_slice(&receives));
}

static void opened_by_the_user_alone(void **state) {
  char folder[] = "/tmp/locser-seal-XXXXXX", to[4096], plain_text[SEAL_PLAIN_MAX], command[64];
  static char text[SEAL_BYTES_MAX];
  struct key_error why;
  struct buf list = buf_over(to, sizeof to), sealed = buf_over(text, sizeof text),
             plain = buf_over(plain_text, sizeof plain_text);
  (void)state;
  assert_non_null(mkdtemp(folder));
  struct user_keys *keys = user_keys_open(folder, 10, &why);
  assert_non_null(keys);
  put_user(keys, ALICE, &list);
  assert_int_equal(seal_users_make(keys, buf_slice(&list), WORDS, &sealed), OK);
  assert_int_equal(slice_find(buf_slice(&sealed), WORDS), sealed.len);
  assert_int_equal(seal_users_open(keys, ALICE, buf_slice(&sealed), &plain), OK);
  assert_true(slice_equal(buf_slice(&plain), WORDS));

  struct slice bob = SLICE("sip:bob@a.example");
  assert_int_equal(seal_users_open(keys, bob, buf_slice(&sealed), &plain), ERR_NOT_FOUND);
  assert_int_equal(user_keys_complete(keys, bob), OK);
  assert_int_equal(seal_users_open(keys, bob, buf_slice(&sealed), &plain), ERR_NOT_FOUND);
  assert_int_equal(seal_users_open(keys, ALICE, SLICE("<x/>"), &plain), ERR_SYNTAX);

  size_t before = sealed.len;
  struct slice cut = slice_first(buf_slice(&list), list.len - 1);
  assert_int_equal(seal_users_make(keys, cut, WORDS, &sealed), ERR_SYNTAX);
  list.at[30] ^= 0x55; /* in the certificate */
  assert_int_equal(seal_users_make(keys, buf_slice(&list), WORDS, &sealed), ERR_SYNTAX);
  assert_int_equal(seal_users_make(keys, SLICE_EMPTY, WORDS, &sealed), ERR_LIMIT);
  assert_int_equal(sealed.len, before);
  user_keys_close(keys);
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  assert_int_equal(system(command), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(opened_by_the_user_alone)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
