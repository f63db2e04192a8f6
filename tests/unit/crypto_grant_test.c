/* SPDX-License-Identifier: BSD-2-Clause */
/* a user's keys go from one peer's store to another's, and to nobody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "crypto/grant.h"

static const struct slice bob = {"sip:bob@example.net", 19};
static const struct slice alice = {"sip:alice@example.net", 21};

struct fixture {
  char dir[2][64];
  struct user_keys *here, *there;
  struct seal_recipient peer[3];
  struct key owner;
  char memory[2 * SEAL_BYTES_MAX];
  struct slice sealed; /* bob's, for the first two */
};

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  struct key_error why;
  for (unsigned i = 0; i < 2; i++) {
    snprintf(f->dir[i], sizeof f->dir[i], "/tmp/locser-grant-XXXXXX");
    assert_non_null(mkdtemp(f->dir[i]));
  }
  f->here = user_keys_open(f->dir[0], 10, &why);
  f->there = user_keys_open(f->dir[1], 10, &why);
  for (unsigned i = 0; i < 3; i++) {
    f->peer[i].key = EVP_RSA_gen(3072);
    assert_int_equal(key_file_hash(f->peer[i].key, &f->peer[i].name), OK);
  }
  struct buf out = buf_over(f->memory, sizeof f->memory);
  assert_int_equal(user_keys_owner(f->here, bob, &f->owner), OK);
  assert_int_equal(grant_make(f->here, bob, f->peer, 2, &out), OK);
  f->sealed = buf_slice(&out);
  *state = f;
  return 0;
}

static void empty_folder(const char *path) {
  char name[512];
  DIR *dir = opendir(path);
  if (dir == NULL) return;
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    if (entry->d_name[0] != '.' || entry->d_name[1] > '.') unlink(name);
  }
  closedir(dir);
  rmdir(path);
}

static int teardown(void **state) {
  struct fixture *f = *state;
  user_keys_close(f->here);
  user_keys_close(f->there);
  for (unsigned i = 0; i < 3; i++) EVP_PKEY_free(f->peer[i].key);
  for (unsigned i = 0; i < 2; i++) {
    char users[128];
    snprintf(users, sizeof users, "%s/users", f->dir[i]);
    empty_folder(users);
    empty_folder(f->dir[i]);
  }
  free(f);
  return 0;
}

static enum err take(struct fixture *f, unsigned who, struct slice address,
                     const struct key *owner) {
  return grant_take(f->there, address, owner, &f->peer[who].name, f->peer[who].key, f->sealed);
}

static bool has(struct fixture *f, struct slice address) {
  EVP_PKEY *key = NULL;
  enum err err = user_keys_key(f->there, address, USER_SIGNS, &key);
  EVP_PKEY_free(key);
  return err == OK;
}

static void both_keys_arrive(void **state) {
  struct fixture *f = *state;
  struct key owner;
  assert_int_equal(take(f, 1, bob, &f->owner), OK);
  assert_int_equal(user_keys_owner(f->there, bob, &owner), OK);
  assert_true(key_equal(&owner, &f->owner));
  for (unsigned i = USER_SIGNS; i <= USER_RECEIVES; i++) {
    EVP_PKEY *from, *to;
    assert_int_equal(user_keys_key(f->here, bob, (enum user_key)i, &from), OK);
    assert_int_equal(user_keys_key(f->there, bob, (enum user_key)i, &to), OK);
    assert_int_equal(EVP_PKEY_eq(from, to), 1);
    EVP_PKEY_free(from);
    EVP_PKEY_free(to);
  }
}

static void it_fits_into_a_record(void **state) {
  struct fixture *f = *state;
  struct seal_recipient to[GRANT_PEERS_MAX + 1];
  struct buf out = buf_over(f->memory, sizeof f->memory);
  for (unsigned i = 0; i <= GRANT_PEERS_MAX; i++) {
    to[i] = f->peer[0];
    to[i].name.byte[0] = (uint8_t)(to[i].name.byte[0] + i);
  }
  assert_int_equal(grant_make(f->here, bob, to, GRANT_PEERS_MAX, &out), OK);
  assert_true(out.len <= 16384);
  struct key names[SEAL_RECIPIENTS_MAX];
  assert_int_equal(grant_names(buf_slice(&out), names, SEAL_RECIPIENTS_MAX), GRANT_PEERS_MAX);
  assert_true(key_equal(&names[0], &to[0].name));
  assert_int_equal(grant_names(SLICE("<a></a>"), names, SEAL_RECIPIENTS_MAX), 0);
  assert_int_equal(grant_make(f->here, bob, to, GRANT_PEERS_MAX + 1, &out), ERR_LIMIT);
}

static void others_get_nothing(void **state) {
  struct fixture *f = *state;
  assert_int_equal(take(f, 2, bob, &f->owner), ERR_NOT_FOUND);
  assert_false(has(f, bob));
}

/* Bob's keys in a record of somebody else, or under another address, are no keys of theirs. */
static void what_it_is_not_is_refused(void **state) {
  struct fixture *f = *state;
  struct key other = f->owner;
  other.byte[0] ^= 1;
  assert_int_equal(take(f, 0, bob, &other), ERR_REFUSED);
  assert_int_equal(take(f, 0, alice, &f->owner), ERR_REFUSED);
  f->sealed = slice_first(f->sealed, f->sealed.len - 1);
  assert_int_equal(take(f, 0, bob, &f->owner), ERR_REFUSED);
  struct buf out = buf_over(f->memory, sizeof f->memory);
  assert_int_equal(
      seal_make(f->peer, 1, SLICE("locser user keys 1 sip:bob@example.net\nPEM?"), &out), OK);
  f->sealed = buf_slice(&out);
  assert_int_equal(take(f, 0, bob, &f->owner), ERR_REFUSED);
  assert_false(has(f, bob) || has(f, alice));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(both_keys_arrive),
      TEST(it_fits_into_a_record),
      TEST(others_get_nothing),
      TEST(what_it_is_not_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
