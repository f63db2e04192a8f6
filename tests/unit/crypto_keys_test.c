/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys on disk: made once, the same ever after, never readable by others, never overwritten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/record_layout.h"
#include "crypto/certificate.h"
#include "crypto/identity.h"
#include "crypto/record_verify.h"
#include "crypto/user_keys.h"

struct folder {
  char path[64];
};

static int setup(void **state) {
  struct folder *folder = calloc(1, sizeof *folder);
  strcpy(folder->path, "/tmp/locser-keys-XXXXXX");
  *state = folder;
  return folder != NULL && mkdtemp(folder->path) != NULL ? 0 : -1;
}

static int teardown(void **state) {
  struct folder *folder = *state;
  char command[96];
  snprintf(command, sizeof command, "rm -rf '%s'", folder->path);
  int status = system(command);
  free(folder);
  return status;
}

static void in_folder(const struct folder *folder, const char *name, char out[128]) {
  snprintf(out, 128, "%s/%s", folder->path, name);
}

/* */
static void identity_stays(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  struct identity first, second;
  assert_int_equal(identity_open(folder->path, &first, &why), OK);
  assert_int_equal(identity_open(folder->path, &second, &why), OK);
  assert_true(key_equal(&first.peer_id, &second.peer_id));
  assert_false(key_is_zero(&first.peer_id));
  identity_close(&first);
  identity_close(&second);
  char path[128];
  struct stat status;
  in_folder(folder, "identity", path);
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0600);
  in_folder(folder, "identity.new", path);
  assert_int_equal(stat(path, &status), -1);
}

/* the Peer-ID is what `openssl pkey -pubout -outform DER | sha1sum` says. */
static void peer_id_is_the_hash_of_the_public_key(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  struct identity identity;
  assert_int_equal(identity_open(folder->path, &identity, &why), OK);
  char command[256], line[80] = "", hex[KEY_HEX + 1];
  snprintf(command, sizeof command,
           "openssl pkey -in %s/identity -pubout -outform DER 2>/dev/null | sha1sum", folder->path);
  FILE *pipe = popen(command, "r");
  assert_non_null(pipe);
  assert_non_null(fgets(line, sizeof line, pipe));
  pclose(pipe);
  struct key key;
  snprintf(hex, sizeof hex, "%.40s", line);
  assert_true(key_parse(slice_cstr(hex), &key));
  identity_close(&identity);
  if (strncmp(hex, "da39a3ee", 8) == 0) skip(); /* no openssl command here */
  assert_true(key_equal(&key, &identity.peer_id));
}

static void put_file(const char *path, const char *text, mode_t mode) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  close(fd);
}

static void damaged_identity_is_kept_and_refused(void **state) {
  struct folder *folder = *state;
  char path[128], text[32] = "";
  in_folder(folder, "identity", path);
  put_file(path, "not a key", 0600);
  struct key_error why;
  struct identity identity;
  assert_int_equal(identity_open(folder->path, &identity, &why), ERR_CORRUPT);
  assert_non_null(strstr(why.text, path));
  int fd = open(path, O_RDONLY);
  assert_int_equal(read(fd, text, sizeof text), 9);
  close(fd);
  assert_string_equal(text, "not a key");
}

static void identity_others_can_read_is_refused(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  struct identity identity;
  assert_int_equal(identity_open(folder->path, &identity, &why), OK);
  identity_close(&identity);
  char path[128];
  in_folder(folder, "identity", path);
  assert_int_equal(chmod(path, 0644), 0);
  assert_int_equal(identity_open(folder->path, &identity, &why), ERR_REFUSED);
  assert_non_null(strstr(why.text, "chmod 600"));
}

static void rest_of_a_crash_does_not_matter(void **state) {
  struct folder *folder = *state;
  char path[128];
  in_folder(folder, "identity.new", path);
  put_file(path, "half", 0600);
  struct key_error why;
  struct identity identity;
  assert_int_equal(identity_open(folder->path, &identity, &why), OK);
  identity_close(&identity);
}

static void no_folder_is_an_error(void **state) {
  (void)state;
  struct key_error why;
  struct identity identity;
  assert_int_equal(identity_open("/nonexistent/folder", &identity, &why), ERR_IO);
  assert_null(user_keys_open("/nonexistent/folder", 10, &why));
  assert_non_null(strstr(why.text, "/nonexistent/folder/users"));
}

/* */
static void one_key_for_each_address(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  struct user_keys *keys = user_keys_open(folder->path, 10, &why);
  assert_non_null(keys);
  struct key alice, bob, again;
  assert_int_equal(user_keys_owner(keys, SLICE("sip:alice@a.example"), &alice), OK);
  assert_int_equal(user_keys_owner(keys, SLICE("sip:bob@a.example"), &bob), OK);
  assert_false(key_equal(&alice, &bob));
  assert_int_equal(user_keys_owner(keys, SLICE("sip:alice@a.example"), &again), OK);
  assert_true(key_equal(&alice, &again));
  user_keys_close(keys);
  keys = user_keys_open(folder->path, 10, &why); /* the same after a restart, from disk */
  assert_int_equal(user_keys_owner(keys, SLICE("sip:alice@a.example"), &again), OK);
  assert_true(key_equal(&alice, &again));
  user_keys_close(keys);
}

static void keys_have_a_limit(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  struct user_keys *keys = user_keys_open(folder->path, 2, &why);
  struct key owner;
  assert_int_equal(user_keys_owner(keys, SLICE("sip:1@a.example"), &owner), OK);
  assert_int_equal(user_keys_owner(keys, SLICE("sip:2@a.example"), &owner), OK);
  assert_int_equal(user_keys_owner(keys, SLICE("sip:3@a.example"), &owner), ERR_FULL);
  assert_int_equal(user_keys_owner(keys, SLICE("sip:1@a.example"), &owner), OK);
  user_keys_close(keys);
  keys = user_keys_open(folder->path, 2, &why); /* counted from disk */
  assert_int_equal(user_keys_owner(keys, SLICE("sip:3@a.example"), &owner), ERR_FULL);
  user_keys_close(keys);
}

static struct slice unsigned_record(struct buf *out) {
  const struct record_layout_head head = {.key_text = SLICE("sip:bob@a.example"),
                                          .expires = SLICE("2026-05-01T12:00:00.000Z"),
                                          .nonce = SLICE("n"),
                                          .floor = SLICE("2026-05-01T12:00:00.000Z"),
                                          .version = SLICE("1")};
  record_layout_put_head(out, &head);
  record_layout_put_unsigned_end(out);
  return buf_slice(out);
}

static struct slice sign(struct user_keys *keys, char *memory, size_t cap) {
  char text[1024];
  struct buf plain = buf_over(text, sizeof text), out = buf_over(memory, cap);
  assert_int_equal(user_keys_sign(keys, SLICE("sip:bob@a.example"), unsigned_record(&plain), &out),
                   OK);
  return buf_slice(&out);
}

/* */
static void owner_of(struct user_keys *keys, struct slice address, struct key *owner) {
  assert_int_equal(user_keys_owner(keys, address, owner), OK);
}

/* Addresses that come together, one of them twice and one that has its key. */
static void keys_are_prepared_together(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  const struct slice all[] = {SLICE("sip:ann@example.net"), SLICE("sip:bob@example.net"),
                              SLICE("sip:ann@example.net"), SLICE("sip:eve@example.net"),
                              SLICE("sip:zoe@example.net")};
  struct user_keys *keys = user_keys_open(folder->path, 3, &why);
  struct key bob, ann, again;
  assert_non_null(keys);
  owner_of(keys, all[1], &bob);
  user_keys_prepare(keys, all, 5);
  user_keys_renew(keys); /* counts them anew */
  owner_of(keys, all[0], &ann);
  owner_of(keys, all[3], &again);
  assert_false(key_equal(&ann, &again));
  assert_int_equal(user_keys_owner(keys, all[4], &again), ERR_FULL);
  owner_of(keys, all[1], &again);
  assert_true(key_equal(&bob, &again));
  user_keys_prepare(keys, all, 4);
  user_keys_close(keys);
  keys = user_keys_open(folder->path, 3, &why);
  owner_of(keys, all[0], &again);
  assert_true(key_equal(&ann, &again));
  user_keys_close(keys);
  char path[128], command[320];
  in_folder(folder, "users", path);
  snprintf(command, sizeof command, "test $(ls %s/*.pem | wc -l) = 3 && ! ls %s/*.new 2>/dev/null",
           path, path);
  assert_int_equal(system(command), 0);
}

static void signs_for_an_address(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  const char *wrong;
  struct user_keys *keys = user_keys_open(folder->path, 10, &why);
  struct record_verifier *verifier = record_verifier_new(64, SLICE_EMPTY);
  struct key owner;
  char first_text[4096], second_text[4096];
  struct slice first = sign(keys, first_text, sizeof first_text);
  assert_int_equal(user_keys_owner(keys, SLICE("sip:bob@a.example"), &owner), OK);
  assert_int_equal(record_verify(verifier, first, &wrong), OK);
  struct record_layout layout, again;
  assert_int_equal(record_layout_read(first, &layout, &wrong), OK);
  assert_true(key_equal(&layout.owner, &owner));
  user_keys_close(keys);
  keys = user_keys_open(folder->path, 10, &why); /* the same certificate, from disk */
  struct slice second = sign(keys, second_text, sizeof second_text);
  assert_int_equal(record_layout_read(second, &again, &wrong), OK);
  assert_true(slice_equal(again.certificate, layout.certificate));
  assert_int_equal(record_verify(verifier, second, &wrong), OK);
  user_keys_close(keys);
  record_verifier_free(verifier);
}

/* A certificate is only a form of the key: a damaged one, or one of another key, is replaced. */
static void damaged_certificate_is_replaced(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  const char *wrong;
  struct record_verifier *verifier = record_verifier_new(64, SLICE_EMPTY);
  char text[4096], command[256];
  for (unsigned round = 0; round < 3; round++) {
    struct user_keys *keys = user_keys_open(folder->path, 10, &why);
    assert_int_equal(record_verify(verifier, sign(keys, text, sizeof text), &wrong), OK);
    struct key other;
    assert_int_equal(user_keys_owner(keys, SLICE("sip:eve@a.example"), &other), OK);
    user_keys_close(keys);
    snprintf(command, sizeof command,
             round == 0 ? "cd %s/users && for f in *.crt; do echo rubbish > $f; done"
                        : "cd %s/users && set -- *.crt && cp $1 t && cp $2 $1 && cp t $2",
             folder->path);
    assert_int_equal(system(command), 0);
  }
  record_verifier_free(verifier);
}

static void signing_refuses_what_is_no_record(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  struct user_keys *keys = user_keys_open(folder->path, 10, &why);
  char memory[512], text[1024];
  struct buf out = buf_over(memory, sizeof memory), plain = buf_over(text, sizeof text);
  struct slice bob = SLICE("sip:bob@a.example");
  assert_int_equal(user_keys_sign(keys, bob, SLICE("<dhtRecord>"), &out), ERR_SYNTAX);
  assert_int_equal(user_keys_sign(keys, bob, SLICE_EMPTY, &out), ERR_SYNTAX);
  assert_int_equal(user_keys_sign(keys, bob, unsigned_record(&plain), &out), ERR_FULL);
  user_keys_close(keys);
}

/* both keys, self-signed for the address, and the same after a restart. */
static void a_user_has_two_certificates(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  struct slice bob = SLICE("sip:bob@a.example");
  struct user_keys *keys = user_keys_open(folder->path, 10, &why);
  char one[2048], two[2048], again[2048];
  struct key owner;
  struct buf signs = buf_over(one, sizeof one), receives = buf_over(two, sizeof two);
  struct buf none = buf_over(NULL, 0); /* no key was there before */
  assert_int_equal(user_keys_certificates(keys, bob, &owner, &signs, &receives, &none), OK);
  assert_true(signs.len > 0);
  assert_int_equal(receives.len, 0); /* it is not waited for */
  EVP_PKEY *key = NULL;
  assert_int_equal(user_keys_key(keys, bob, USER_RECEIVES, &key), ERR_NOT_FOUND);
  assert_int_equal(user_keys_complete(keys, bob), OK);
  user_keys_close(keys);
  keys = user_keys_open(folder->path, 10, &why);
  signs = buf_over(again, sizeof again);
  assert_int_equal(user_keys_certificates(keys, bob, &owner, &signs, &receives, &none), OK);
  assert_true(slice_equal(buf_slice(&signs), slice_of(one, signs.len)));
  struct certificate_key read;
  assert_int_equal(certificate_read(buf_slice(&signs), &read), OK);
  assert_true(key_equal(&read.owner, &owner));
  EVP_PKEY_free(read.key);
  assert_int_equal(certificate_read(buf_slice(&receives), &read), OK);
  assert_int_equal(read.algorithm, RECORD_RSA_SHA256);
  assert_int_equal(EVP_PKEY_get_bits(read.key), USER_RSA_BITS);
  assert_int_equal(user_keys_key(keys, bob, USER_RECEIVES, &key), OK);
  assert_int_equal(EVP_PKEY_eq(key, read.key), 1);
  EVP_PKEY_free(key);
  EVP_PKEY_free(read.key);
  const unsigned char *at = (const unsigned char *)one;
  X509 *x = d2i_X509(NULL, &at, (long)signs.len);
  GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
  assert_int_equal(sk_GENERAL_NAME_num(names), 1);
  const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, 0);
  assert_int_equal(name->type, GEN_URI);
  assert_memory_equal(ASN1_STRING_get0_data(name->d.ia5), bob.at, bob.len);
  GENERAL_NAMES_free(names);
  X509_free(x);
  user_keys_close(keys);
}

/* A peer that ends does not wait for it. */
static void second_key_can_be_stopped(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  EVP_PKEY *key = NULL;
  struct user_keys *keys = user_keys_open(folder->path, 10, &why);
  user_keys_stop(keys);
  assert_int_equal(user_keys_complete(keys, SLICE("sip:bob@a.example")), ERR_CLOSED);
  assert_int_equal(user_keys_key(keys, SLICE("sip:bob@a.example"), USER_RECEIVES, &key),
                   ERR_NOT_FOUND);
  assert_int_equal(user_keys_key(keys, SLICE("sip:bob@a.example"), USER_SIGNS, &key), OK);
  EVP_PKEY_free(key);
  user_keys_close(keys);
}

/* Whatever an address looks like, its files stay in the folder, for their owner alone. */
static void any_address_is_a_safe_name(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  struct key owner;
  char command[256], text[8] = "";
  struct user_keys *keys = user_keys_open(folder->path, 10, &why);
  assert_int_equal(user_keys_owner(keys, SLICE("sip:../../x/.%00\n@a.example"), &owner), OK);
  char longest[1024];
  memset(longest, 'a', sizeof longest);
  assert_int_equal(user_keys_owner(keys, slice_of(longest, sizeof longest), &owner), OK);
  user_keys_close(keys);
  snprintf(command, sizeof command,
           "cd %s && ls -R | grep -c aor; find . -type f -perm /077 | wc -l; ls | wc -l",
           folder->path);
  FILE *pipe = popen(command, "r");
  assert_int_equal(fread(text, 1, 6, pipe), 6);
  pclose(pipe);
  assert_string_equal(text, "2\n0\n1\n");
}

static void count(void *context, struct slice address, const struct key *owner, bool complete) {
  struct slice *last = context;
  (void)owner;
  assert_false(complete);
  assert_true(slice_equal(address, SLICE("sip:bob@a.example")));
  last->len++;
}

/* A user moves: exported here, imported there, and removed here. */
static void a_user_can_be_carried(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  struct slice bob = SLICE("sip:bob@a.example"), seen = SLICE_EMPTY;
  char other_path[96], text[USER_PEM_BYTES];
  snprintf(other_path, sizeof other_path, "%s/other", folder->path);
  assert_int_equal(mkdir(other_path, 0700), 0);
  struct user_keys *here = user_keys_open(folder->path, 10, &why);
  struct user_keys *there = user_keys_open(other_path, 1, &why);
  struct buf pem = buf_over(text, sizeof text);
  struct key owner, carried, own;
  assert_int_equal(user_keys_export(here, bob, true, &pem), ERR_NOT_FOUND);
  assert_int_equal(user_keys_owner(here, bob, &owner), OK);
  assert_int_equal(user_keys_owner(there, bob, &own), OK); /* it has another one of its own */
  assert_int_equal(user_keys_export(here, bob, false, &pem), OK);
  assert_int_equal(user_keys_import(there, bob, buf_slice(&pem)), ERR_SYNTAX); /* public ones */
  buf_truncate(&pem, 0);
  assert_int_equal(user_keys_export(here, bob, true, &pem), OK);
  assert_int_equal(user_keys_import(there, SLICE("sip:c@a.example"), buf_slice(&pem)), ERR_FULL);
  assert_int_equal(user_keys_import(there, bob, buf_slice(&pem)), OK);
  assert_int_equal(user_keys_owner(there, bob, &carried), OK);
  assert_true(key_equal(&owner, &carried));
  assert_int_equal(user_keys_list(there, count, &seen), OK);
  assert_int_equal(seen.len, 1);
  assert_int_equal(user_keys_remove(here, bob), OK);
  assert_int_equal(user_keys_remove(here, bob), ERR_NOT_FOUND);
  assert_int_equal(user_keys_owner(here, bob, &carried), OK);
  assert_false(key_equal(&owner, &carried));
  user_keys_close(here);
  user_keys_close(there);
}

/* What was kept by an earlier version. */
static void keys_of_an_earlier_version_stay(void **state) {
  struct folder *folder = *state;
  struct key_error why;
  struct key owner, again;
  char command[256];
  struct user_keys *keys = user_keys_open(folder->path, 10, &why);
  assert_int_equal(user_keys_owner(keys, SLICE("sip:bob@a.example"), &owner), OK);
  user_keys_close(keys);
  snprintf(command, sizeof command, "cd %s && mv users keys && rm -f keys/*.aor", folder->path);
  assert_int_equal(system(command), 0);
  keys = user_keys_open(folder->path, 10, &why);
  assert_int_equal(user_keys_owner(keys, SLICE("sip:bob@a.example"), &again), OK);
  assert_true(key_equal(&owner, &again));
  user_keys_close(keys);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(identity_stays),
      TEST(peer_id_is_the_hash_of_the_public_key),
      TEST(damaged_identity_is_kept_and_refused),
      TEST(identity_others_can_read_is_refused),
      TEST(rest_of_a_crash_does_not_matter),
      TEST(no_folder_is_an_error),
      TEST(one_key_for_each_address),
      TEST(keys_have_a_limit),
      TEST(keys_are_prepared_together),
      TEST(signs_for_an_address),
      TEST(damaged_certificate_is_replaced),
      TEST(signing_refuses_what_is_no_record),
      TEST(a_user_has_two_certificates),
      TEST(second_key_can_be_stopped),
      TEST(any_address_is_a_safe_name),
      TEST(a_user_can_be_carried),
      TEST(keys_of_an_earlier_version_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
