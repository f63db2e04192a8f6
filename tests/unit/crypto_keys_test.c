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

#include "base/record_layout.h"
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
  assert_non_null(strstr(why.text, "/nonexistent/folder/keys"));
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
             round == 0 ? "cd %s/keys && for f in *.crt; do echo rubbish > $f; done"
                        : "cd %s/keys && set -- *.crt && cp $1 t && cp $2 $1 && cp t $2",
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
      TEST(signs_for_an_address),
      TEST(damaged_certificate_is_replaced),
      TEST(signing_refuses_what_is_no_record),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
