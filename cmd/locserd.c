/* SPDX-License-Identifier: BSD-2-Clause */
/* locserd(8): the options, what crypto/ lends to host/, and off. */
#include <stdio.h>
#include <unistd.h>

#include "crypto/grant.h"
#include "crypto/membership.h"
#include "crypto/openssl.h"
#include "crypto/passwords.h"
#include "crypto/record_verify.h"
#include "crypto/seal_users.h"
#include "crypto/user_keys.h"
#include "host/config.h"
#include "host/daemon.h"
#include "host/datadir.h"
#include "host/dumps.h"

#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define RECORDS_REMEMBERED 16384u /* found good: 32 bytes each */

static int fail(int status, const char *text) {
  fprintf(stderr, "locserd: %s\n", text);
  return status;
}

struct member {
  const char *data;
  struct membership membership;
  struct user_keys *keys;
  struct record_verifier *verifier;
  struct passwords passwords;
};

static bool read_users(void *context, const struct user_secret **user, uint32_t *count,
                       struct why *why) {
  struct member *member = context;
  struct key_error reason = {""};
  if (passwords_load(member->data, &member->passwords, &reason) != OK) {
    (void)why_say(why, ERR_REFUSED, "%s", reason.text);
    return false;
  }
  *user = member->passwords.user;
  *count = member->passwords.count;
  return true;
}

static void forget_users(void *context) {
  struct member *member = context;
  passwords_free(&member->passwords);
}

static bool renew(void *context, struct why *why) {
  struct member *member = context;
  struct key_error reason = {""};
  if (membership_renew(member->data, &member->membership, &reason) == OK) {
    user_keys_renew(member->keys);
    if (member->membership.trusted != NULL)
      record_verifier_trust(member->verifier, member->membership.trusted);
    return true;
  }
  (void)why_say(why, ERR_REFUSED, "%s", reason.text);
  return false;
}

static int run_with_keys(struct daemon_setup *setup, const struct identity *identity,
                         struct member *member) {
  struct key_error why = {""};
  const struct membership *membership = &member->membership;
  uint32_t keys_max = (uint32_t)settings_number(setup->settings, SET_USER_KEYS_MAX);
  keys_max += keys_max < UINT32_MAX; /* the peer itself */
  struct user_keys *keys = user_keys_open(member->data, keys_max, &why);
  if (keys == NULL) return fail(EXIT_FAILED, why.text);
  struct grant_opener opener = {keys, identity->peer_id};
  if (grant_add_peer(keys, &identity->peer_id, identity->key, membership->certificate) != OK) {
    user_keys_close(keys);
    return fail(EXIT_FAILED, "this peer's key cannot be put among the keys of users");
  }
  struct record_verifier *verifier = record_verifier_new(RECORDS_REMEMBERED, SLICE_EMPTY);
  if (verifier == NULL) {
    user_keys_close(keys);
    return fail(EXIT_FAILED, "no memory");
  }
  setup->peer_id = identity->peer_id;
  setup->tls =
      (struct tls_setup){.key = identity->key,
                         .certificate = membership->certificate != NULL ? membership->certificate
                                                                        : identity->certificate,
                         .trusted = membership->trusted};
  setup->renew = renew;
  setup->renew_context = member;
  setup->read_users = read_users;
  setup->forget_users = forget_users;
  setup->closed = membership->trusted != NULL;
  setup->keys = (struct loop_keys){.sign = user_keys_sign,
                                   .verify = record_verify_for,
                                   .recall = record_recall_for,
                                   .user = user_keys_certificates,
                                   .prepare = user_keys_prepare,
                                   .complete = user_keys_complete,
                                   .stop = user_keys_stop,
                                   .open = grant_open,
                                   .seal = seal_users_make,
                                   .unseal = seal_users_open,
                                   .signer = keys,
                                   .verifier = verifier,
                                   .opener = &opener};
  member->keys = keys;
  member->verifier = verifier;
  if (setup->closed) record_verifier_trust(verifier, membership->trusted);
  int status = daemon_run(setup);
  record_verifier_free(verifier);
  user_keys_close(keys);
  return status;
}

static int run_as_member(struct daemon_setup *setup, const char *data) {
  struct key_error why = {""};
  struct identity identity;
  struct member member = {.data = data};
  if (identity_open(data, &identity, &why) != OK) return fail(EXIT_FAILED, why.text);
  int status = membership_open(data, &identity, &member.membership, &why) == OK
                   ? run_with_keys(setup, &identity, &member)
                   : fail(EXIT_FAILED, why.text);
  membership_close(&member.membership);
  identity_close(&identity);
  return status;
}

static int run(struct settings *settings, int argc, char **argv) {
  struct why why = {""};
  int lock;
  if (!settings_flag(settings, SET_CORE_DUMPS)) dumps_forbid(); /* */
  char data[4096];                                              /* a reload replaces the settings */
  snprintf(data, sizeof data, "%s", settings_text(settings, SET_DATA));
  if (datadir_open(data, &lock, &why) != OK) return fail(EXIT_FAILED, why.text);
  struct crypto crypto;
  crypto_openssl(&crypto);
  struct daemon_setup setup = {.settings = settings,
                               .argc = argc,
                               .argv = argv,
                               .version = LOCSER_VERSION,
                               .crypto = &crypto};
  int status = run_as_member(&setup, data);
  crypto_openssl_free(&crypto);
  close(lock);
  return status;
}

int main(int argc, char **argv) {
  struct settings settings;
  struct options options;
  struct why why = {""};
  int status = 0;
  enum err err = config_load(&settings, &options, argc, argv, &why);
  if (err != OK) {
    status = fail(EXIT_USAGE, why.text);
  } else if (options.help) {
    config_help(stdout);
  } else if (options.version) {
    printf("locserd %s\n", LOCSER_VERSION);
  } else if (options.check_config) {
    printf("%s: good\n", options.config != NULL ? options.config : "the settings");
  } else {
    status = run(&settings, argc, argv);
  }
  settings_free(&settings);
  return status;
}
