/* SPDX-License-Identifier: BSD-2-Clause */
/* a user's key names the one that follows it, by real keys on disk, and the
 * certificate record of the new one carries that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <openssl/evp.h>

#include "base/succession.h"
#include "crypto/record_sign.h"
#include "crypto/record_verify.h"
#include "crypto/user_keys.h"
#include "usage/certificate.h"

#define BOB SLICE("sip:bob@a.example")
#define BOB_KEY SLICE("certificate:bob@a.example")

static char folder[64];
static struct user_keys *keys;
static struct record_verifier *verifier;
static const char *why;
static char statement_text[SUCCESSION_BYTES_MAX];

static int setup(void **state) {
  struct key_error error;
  (void)state;
  strcpy(folder, "/tmp/locser-keys-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  keys = user_keys_open(folder, 10, &error);
  verifier = record_verifier_new(64, SLICE_EMPTY);
  return keys != NULL && verifier != NULL ? 0 : -1;
}

static int teardown(void **state) {
  char command[96];
  (void)state;
  user_keys_close(keys);
  record_verifier_free(verifier);
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

static msec_wall now(void) { return (msec_wall)time(NULL) * 1000; }

/* The owner, and the statement that its key came with. */
static struct slice before_of(struct slice address, struct key *owner) {
  static char signs_text[4096], receives_text[4096];
  struct buf signs = buf_over(signs_text, sizeof signs_text);
  struct buf receives = buf_over(receives_text, sizeof receives_text);
  struct buf before = buf_over(statement_text, sizeof statement_text);
  assert_int_equal(user_keys_certificates(keys, address, owner, &signs, &receives, &before), OK);
  return buf_slice(&before);
}

static struct slice sign(struct slice user, struct slice about, struct slice before, char *memory,
                         size_t room) {
  char plain_text[RECORD_BYTES_MAX];
  struct buf plain = buf_over(plain_text, sizeof plain_text), out = buf_over(memory, room);
  const struct certificate_new record = {.address = about,
                                         .version = 256,
                                         .since = 1,
                                         .expires = now() + 3600000,
                                         .signs = SLICE("one"),
                                         .receives = SLICE("two"),
                                         .before = before};
  certificate_put_record(&plain, &record);
  assert_int_equal(user_keys_sign(keys, user, buf_slice(&plain), &out), OK);
  return buf_slice(&out);
}

static bool names(struct slice record, const struct key *from, msec_wall at) {
  struct record_layout layout;
  struct certificate_value value;
  struct key key = {{0}};
  msec_wall named = 0;
  assert_int_equal(record_layout_read(record, &layout, &why), OK);
  assert_true(certificate_read_value(layout.content, &value));
  return certificate_read_before(value.before, layout.key_text, &layout.owner, at, &key, &named) &&
         key_equal(&key, from) && named + 60000 > now() && named <= now() + 60000;
}

static void new_keys_follow_the_old(void **state) {
  char memory[RECORD_BYTES_MAX];
  struct key one, two, three;
  (void)state;
  assert_int_equal(user_keys_succeed(keys, BOB), ERR_NOT_FOUND);
  assert_int_equal(before_of(BOB, &one).len, 0);
  struct slice plain = sign(BOB, BOB, SLICE_EMPTY, memory, sizeof memory);
  assert_int_equal(record_verify(verifier, plain, &why), OK);
  assert_false(names(plain, &one, now()));
  assert_int_equal(user_keys_succeed(keys, BOB), OK);
  struct slice before = before_of(BOB, &two);
  assert_false(key_equal(&one, &two));
  assert_true(before.len > 0);
  struct slice record = sign(BOB, BOB, before, memory, sizeof memory);
  assert_int_equal(record_verify(verifier, record, &why), OK);
  assert_true(names(record, &one, now()));
  assert_false(names(record, &one, now() + (msec_wall)91 * 86400000)); /* it has lapsed */
  assert_true(user_keys_follow(keys, BOB, &one));
  assert_false(user_keys_follow(keys, BOB, &two));
  user_keys_renew(keys); /* from the files */
  assert_true(user_keys_follow(keys, BOB, &one));
  EVP_PKEY *key = NULL;
  assert_int_equal(user_keys_key(keys, BOB, USER_RECEIVES, &key), OK); /* both are new */
  EVP_PKEY_free(key);
  assert_int_equal(user_keys_succeed(keys, BOB), OK);
  before = before_of(BOB, &three);
  record = sign(BOB, BOB, before, memory, sizeof memory);
  assert_int_equal(record_verify(verifier, record, &why), OK);
  assert_true(names(record, &two, now()));
  assert_false(user_keys_follow(keys, BOB, &one));
}

/* What is carried must be a good statement about this address that names this key. */
static void other_statements_are_refused(void **state) {
  static const struct slice carol = {"sip:carol@a.example", 19};
  char memory[RECORD_BYTES_MAX], copy[SUCCESSION_BYTES_MAX];
  struct key owner;
  (void)state;
  before_of(BOB, &owner);
  before_of(carol, &owner);
  assert_int_equal(user_keys_succeed(keys, BOB), OK);
  struct slice before = before_of(BOB, &owner);
  memcpy(copy, before.at, before.len);
  before = slice_of(copy, before.len);
  struct slice record = sign(carol, carol, before, memory, sizeof memory);
  assert_int_equal(record_verify(verifier, record, &why), ERR_REFUSED);
  assert_non_null(strstr(why, "the same address"));
  record = sign(carol, BOB, before, memory, sizeof memory);
  assert_int_equal(record_verify(verifier, record, &why), ERR_REFUSED);
  assert_non_null(strstr(why, "names another key"));
  record = sign(BOB, BOB, SLICE("no statement"), memory, sizeof memory);
  assert_int_equal(record_verify(verifier, record, &why), ERR_REFUSED);
  assert_non_null(strstr(why, "o:before"));
  /* Signed by nobody: another digit of the signature, and of the version that is signed. */
  const char *const places[] = {"<SignatureValue>", "o:version=\""};
  for (unsigned i = 0; i < 2; i++) {
    char forged[SUCCESSION_BYTES_MAX];
    memcpy(forged, copy, before.len);
    size_t at = slice_find(before, slice_cstr(places[i])) + strlen(places[i]) + 2;
    forged[at] = forged[at] == '5' ? '6' : '5';
    record = sign(BOB, BOB, slice_of(forged, before.len), memory, sizeof memory);
    assert_int_equal(record_verify(verifier, record, &why), ERR_REFUSED);
  }
  record = sign(BOB, BOB, before, memory, sizeof memory);
  assert_int_equal(record_verify(verifier, record, &why), OK);
}

/* The statement is a record like any other by its form; its value pins nothing. */
static void a_statement_is_no_certificate(void **state) {
  struct key owner;
  struct record_layout layout;
  struct certificate_value value;
  (void)state;
  before_of(BOB, &owner);
  assert_int_equal(user_keys_succeed(keys, BOB), OK);
  struct slice before = before_of(BOB, &owner);
  assert_int_equal(record_verify(verifier, before, &why), OK);
  assert_int_equal(record_layout_read(before, &layout, &why), OK);
  assert_true(slice_equal(layout.key_text, BOB_KEY));
  assert_false(certificate_read_value(layout.content, &value));
}

/* One that names a key which was never there, as a crash may leave it. */
static void a_statement_without_its_key_says_nothing(void **state) {
  char command[256];
  struct key one, two;
  (void)state;
  before_of(BOB, &one);
  snprintf(command, sizeof command, "cp '%s'/users/*.pem '%s/kept'", folder, folder);
  assert_int_equal(system(command), 0);
  assert_int_equal(user_keys_succeed(keys, BOB), OK);
  snprintf(command, sizeof command,
           "cd '%s'/users && rm -f *.rsa.pem *.crt && cp ../kept \"$(ls *.pem)\"", folder);
  assert_int_equal(system(command), 0);
  user_keys_renew(keys);
  assert_int_equal(before_of(BOB, &two).len, 0);
  assert_true(key_equal(&one, &two));
  assert_int_equal(user_keys_remove(keys, BOB), OK);
  snprintf(command, sizeof command, "ls '%s'/users | grep -q before", folder);
  assert_int_not_equal(system(command), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(new_keys_follow_the_old),
      TEST(other_statements_are_refused),
      TEST(a_statement_is_no_certificate),
      TEST(a_statement_without_its_key_says_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
