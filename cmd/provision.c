/* SPDX-License-Identifier: BSD-2-Clause */
#include "cmd/provision.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/qr.h"
#include "crypto/file.h"
#include "host/cli.h"
#include "host/client.h"
#include "host/provision_store.h"
#include "host/settings.h"

#define LINPHONE_FILE "linphone.xml" /* by the template of that name */

static bool say(const char *text) {
  fprintf(stderr, "locser: %s\n", text);
  return false;
}

bool provision_word_good(const char *word) {
  char mac[PROVISION_MAC_DIGITS + 1];
  return strcmp(word, PROVISION_FOR_QR) == 0 || provision_read_mac(slice_cstr(word), mac) ||
         say("--provision wants the MAC that is on the phone, such as 00:04:13:1a:2b:3c, or qr");
}

/* ---- what waits already ---- */

struct search {
  const char *data, *mac; /* mac NULL: any */
  struct slice address;
  bool remove;
  unsigned found;
  struct provision_account account; /* the last that was found; without password */
};

static void look(void *context, const struct provision_account *account) {
  struct search *search = context;
  bool same_phone =
      search->mac != NULL && search->mac[0] != '\0' && strcmp(search->mac, account->mac) == 0;
  if (!same_phone && !slice_equal(search->address, slice_cstr(account->address))) return;
  if (search->remove) (void)provision_remove(search->data, account->key);
  search->found++;
  search->account = *account;
  OPENSSL_cleanse(search->account.password, sizeof search->account.password);
}

void provision_forget(const char *data, struct slice address) {
  struct search search = {.data = data, .address = address, .remove = true};
  (void)provision_each(data, look, &search);
}

/* ---- one more ---- */

static bool make_key(char key[PROVISION_KEY_DIGITS + 1]) {
  unsigned char random[PROVISION_KEY_DIGITS / 2];
  if (RAND_bytes(random, sizeof random) != 1) return say("OpenSSL has no random numbers");
  for (size_t i = 0; i < sizeof random; i++) snprintf(key + 2 * i, 3, "%02x", random[i]);
  return true;
}

static bool save(const char *data, const struct provision_account *account) {
  char folder[FILE_PATH_BYTES], text[PROVISION_FILE_BYTES_MAX];
  struct buf out = buf_over(text, sizeof text - 1);
  struct key_error why = {""};
  if (file_path(folder, data, PROVISION_FOLDER, &why) != OK) return say(why.text);
  if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
    perror(folder);
    return false;
  }
  provision_account_put(&out, account);
  enum err err =
      out.overflow ? ERR_LIMIT : file_save(folder, account->key, buf_slice(&out), 0600, &why);
  OPENSSL_cleanse(text, sizeof text);
  return err == OK || say(err == ERR_LIMIT ? "the address is too long" : why.text);
}

bool provision_put(const char *data, struct slice address, const char *password, const char *word) {
  struct provision_account account = {0};
  if (strcmp(word, PROVISION_FOR_QR) != 0 && !provision_read_mac(slice_cstr(word), account.mac))
    return false;
  snprintf(account.address, sizeof account.address, "%.*s", SLICE_FMT(address));
  snprintf(account.password, sizeof account.password, "%s", password);
  struct search search = {.data = data, .mac = account.mac, .address = address, .remove = true};
  bool good = make_key(account.key);
  if (good && provision_each(data, look, &search) - search.found >= PROVISION_WAITING_MAX)
    good = say("as many accounts as there may be wait for a phone already");
  good = good && save(data, &account);
  OPENSSL_cleanse(account.password, sizeof account.password);
  return good;
}

/* ---- where it is ---- */

/* "http://192.0.2.1:8088/provision/"; empty: said why. */
static void ask_base(const char *data, const char *control, char *out, size_t cap) {
  struct why why = {""};
  int status;
  char *path = control == NULL ? settings_control_path(data) : NULL;
  struct client_link *link = client_open(control != NULL ? control : path, &why);
  free(path);
  *out = '\0';
  json_t *answer = link != NULL ? client_call(link, "status", NULL, &status, &why) : NULL;
  if (link != NULL) client_close(link);
  const char *base = json_string_value(json_object_get(answer, "provision"));
  if (base != NULL && *base != '\0' && snprintf(out, cap, "%s", base) >= (int)cap) *out = '\0';
  if (*out == '\0')
    say(answer == NULL ? "it waits, but no locserd answers; start one with --provision"
                       : "it waits, but the running locserd serves no settings; start it with "
                         "--provision");
  json_decref(answer);
}

int provision_show(const char *data, const char *control, struct slice address) {
  struct search search = {.data = data, .address = address};
  char base[256], url[512];
  (void)provision_each(data, look, &search);
  if (search.found == 0) {
    say("nothing waits for a phone of that address; locser user add (or passwd) ADDRESS --generate "
        "--provision qr");
    return CLI_REFUSED;
  }
  ask_base(data, control, base, sizeof base);
  if (base[0] == '\0') return CLI_REFUSED;
  if (search.account.mac[0] != '\0') {
    printf("The settings wait for phone %s: start it, or restart it.\n", search.account.mac);
    return CLI_DONE;
  }
  snprintf(url, sizeof url, "%s%s/" LINPHONE_FILE, base, search.account.key);
  (void)qr_print(stdout, url);
  printf("%s\nGood once, and for 24 hours.\n", url);
  return CLI_DONE;
}
