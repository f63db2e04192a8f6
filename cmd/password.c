/* SPDX-License-Identifier: BSD-2-Clause */
#include "cmd/password.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cmd/provision.h"
#include "host/cli.h"
#include "host/client.h"
#include "host/settings.h"

#define GENERATED_LETTERS 20u /* 100 bits */

static int fail(const char *text) {
  fprintf(stderr, "locser: %s\n", text);
  return CLI_REFUSED;
}

/* ---- where it comes from ---- */

/* One line without its end, unseen where it is typed. False: none. */
static bool read_line(const char *prompt, char *out, size_t cap) {
  struct termios before, silent;
  bool typed = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &before) == 0;
  if (typed) {
    fputs(prompt, stderr);
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  bool good = fgets(out, (int)cap, stdin) != NULL;
  if (typed) {
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
  }
  if (good) out[strcspn(out, "\r\n")] = '\0';
  return good;
}

static bool ask(char *out, size_t cap) {
  char again[PASSWORD_BYTES_MAX + 3];
  bool typed = isatty(STDIN_FILENO) == 1;
  (void)setvbuf(stdin, NULL, _IONBF, 0); /* a buffer would keep it */
  bool good = read_line("Password: ", out, cap);
  if (!good) fail("no password came on standard input");
  if (good && typed) {
    good = read_line("Again: ", again, sizeof again) && strcmp(out, again) == 0;
    if (!good) fail("the two are not the same");
  }
  OPENSSL_cleanse(again, sizeof again);
  return good;
}

/* Letters that are not taken for others. */
static bool generate(char *out) {
  static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789-";
  unsigned char random[GENERATED_LETTERS];
  if (RAND_bytes(random, sizeof random) != 1) {
    fail("OpenSSL has no random numbers");
    return false;
  }
  for (size_t i = 0; i < sizeof random; i++) out[i] = letters[random[i] % 32];
  out[GENERATED_LETTERS] = '\0';
  return true;
}

static bool find_password(const struct password_words *words, char *out, size_t cap) {
  if (words->generate) return generate(out);
  if (words->given == NULL) return ask(out, cap);
  if (snprintf(out, cap, "%s", words->given) < (int)cap) return true;
  fail("the password is too long");
  return false;
}

/* ---- the running locserd ---- */

static int tell(const struct password_words *words) {
  struct why why = {""};
  int status;
  char *path = words->control == NULL ? settings_control_path(words->data) : NULL;
  struct client_link *link = client_open(words->control != NULL ? words->control : path, &why);
  free(path);
  if (link == NULL) {
    puts("No locserd answers; it reads this when it starts.");
    return CLI_DONE;
  }
  json_t *answer = client_call(link, "users", NULL, &status, &why);
  client_close(link);
  json_decref(answer);
  if (answer != NULL) {
    puts("The running locserd has taken it over.");
    return CLI_DONE;
  }
  fprintf(stderr, "locser: saved, but the running locserd did not take it over: %s\n", why.text);
  return CLI_REFUSED;
}

int password_set(const struct password_words *words, struct slice address,
                 enum password_change change) {
  char password[PASSWORD_BYTES_MAX + 3];
  struct key_error why = {""};
  if (!find_password(words, password, sizeof password)) {
    OPENSSL_cleanse(password, sizeof password); /* one that was typed once */
    return CLI_REFUSED;
  }
  enum err err = passwords_set(words->data, address, slice_cstr(password), change, &why);
  if (err == OK) provision_forget(words->data, address); /* with a password that is no more */
  bool put = err == OK && words->provision != NULL &&
             provision_put(words->data, address, password, words->provision);
  if (err == OK && words->generate && !put) printf("password: %s\n", password);
  OPENSSL_cleanse(password, sizeof password);
  if (err != OK) return fail(why.text);
  int status = tell(words);
  if (put && status == CLI_DONE) return provision_show(words->data, words->control, address);
  return words->provision == NULL || put ? status : CLI_REFUSED;
}

int password_remove(const struct password_words *words, struct slice address, bool *there) {
  struct key_error why = {""};
  enum err err = passwords_remove(words->data, address, &why);
  if (err == OK) provision_forget(words->data, address);
  *there = err == OK;
  if (err == ERR_NOT_FOUND) return CLI_DONE;
  return err == OK ? tell(words) : fail(why.text);
}
