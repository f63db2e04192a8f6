/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/passwords.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

#define NAME "passwords"
#define LOCK_NAME "lock" /* the one of user_keys.c */
#define ADDRESS_BYTES_MAX 300u
#define HEX_SHA256 64u
#define HEX_MD5 32u
#define LINE_BYTES_MAX (ADDRESS_BYTES_MAX + HEX_SHA256 + HEX_MD5 + 3)
#define FIRST_LINE "# locser user: ADDRESS, SHA-256 and MD5 of USER:DOMAIN:PASSWORD\n"

/* ---- reading ---- */

static bool read_hex(struct slice text, uint8_t *out, size_t bytes) {
  if (text.len != 2 * bytes) return false;
  for (size_t i = 0; i < bytes; i++) {
    uint64_t byte;
    if (!slice_hex_to_u64(slice_of(text.at + 2 * i, 2), &byte)) return false;
    out[i] = (uint8_t)byte;
  }
  return true;
}

/* What may stand in the file, in a header and in the text that is hashed. */
static bool is_address(struct slice address) {
  if (!slice_take(&address, SLICE("sip:")) || address.len > ADDRESS_BYTES_MAX - 4) return false;
  size_t at = slice_find_byte(address, '@');
  if (at == 0 || at + 1 >= address.len) return false;
  for (size_t i = 0; i < address.len; i++) {
    char c = address.at[i];
    if (c <= ' ' || c > '~' || c == '"' || c == '\\' || (c == '@' && i != at)) return false;
    if (c == ':' && i < at) return false;
  }
  return true;
}

static bool read_line(struct slice line, struct user_secret *out) {
  out->address = slice_take_until(&line, ' ');
  line = slice_skip(line, 1);
  struct slice sha256 = slice_take_until(&line, ' ');
  return is_address(out->address) && read_hex(sha256, out->sha256, sizeof out->sha256) &&
         read_hex(slice_skip(line, 1), out->md5, sizeof out->md5);
}

static enum err complain(struct key_error *why, enum err err, const char *dir, const char *reason) {
  char path[FILE_PATH_BYTES];
  if (file_path(path, dir, NAME, why) != OK) return ERR_LIMIT;
  return file_error(why, err, path, reason);
}

static int by_address(const void *a, const void *b) {
  const struct user_secret *left = a, *right = b;
  return slice_compare(left->address, right->address);
}

static enum err parse(const char *dir, struct passwords *out, struct key_error *why) {
  struct slice rest = slice_of(out->text, out->text_bytes);
  uint32_t lines = 0, room = 0;
  for (size_t i = 0; i < rest.len; i++) room += rest.at[i] == '\n';
  if (room > PASSWORDS_MAX + 1) room = PASSWORDS_MAX + 1;
  out->user = calloc((size_t)room + 1, sizeof *out->user);
  if (out->user == NULL) return complain(why, ERR_MEMORY, dir, "no memory");
  while (rest.len > 0) {
    char reason[64];
    struct slice line = slice_take_until(&rest, '\n');
    rest = slice_skip(rest, 1);
    lines++;
    if (line.len == 0 || line.at[0] == '#') continue;
    if (out->count == PASSWORDS_MAX) return complain(why, ERR_LIMIT, dir, "too many users");
    snprintf(reason, sizeof reason, "line %u is not as locser user writes it", lines);
    if (!read_line(line, &out->user[out->count])) return complain(why, ERR_CORRUPT, dir, reason);
    out->count++;
  }
  qsort(out->user, out->count, sizeof *out->user, by_address);
  for (uint32_t i = 1; i < out->count; i++)
    if (slice_equal(out->user[i - 1].address, out->user[i].address))
      return complain(why, ERR_CORRUPT, dir, "an address stands there twice");
  return OK;
}

static enum err load(const char *dir, struct passwords *out, struct key_error *why) {
  char path[FILE_PATH_BYTES];
  struct stat status;
  *out = (struct passwords){0};
  enum err err = file_path(path, dir, NAME, why);
  if (err != OK) return err;
  if (lstat(path, &status) != 0)
    return errno == ENOENT ? OK : file_error(why, ERR_IO, path, strerror(errno));
  if (status.st_size > (off_t)((PASSWORDS_MAX + 1) * LINE_BYTES_MAX))
    return file_error(why, ERR_LIMIT, path, "the file is too long");
  size_t room = (size_t)status.st_size + 2;
  out->text = calloc(room, 1);
  if (out->text == NULL) return file_error(why, ERR_MEMORY, path, "no memory");
  err = file_load(dir, NAME, true, out->text, room, &out->text_bytes, why);
  if (err == OK) err = parse(dir, out, why);
  if (err != OK) passwords_free(out);
  return err;
}

static enum err folder(char out[FILE_PATH_BYTES], const char *data_dir, struct key_error *why) {
  return file_path(out, data_dir, "users", why);
}

enum err passwords_load(const char *data_dir, struct passwords *out, struct key_error *why) {
  char dir[FILE_PATH_BYTES];
  *out = (struct passwords){0};
  enum err err = folder(dir, data_dir, why);
  return err == OK ? load(dir, out, why) : err;
}

void passwords_free(struct passwords *passwords) {
  if (passwords->text != NULL) OPENSSL_cleanse(passwords->text, passwords->text_bytes);
  if (passwords->user != NULL)
    OPENSSL_cleanse(passwords->user, passwords->count * sizeof *passwords->user);
  free(passwords->text);
  free(passwords->user);
  *passwords = (struct passwords){0};
}

/* ---- writing ---- */

static void put_hex(struct buf *out, const uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) buf_put_hex64(out, bytes[i], 2);
}

static void put_line(struct buf *out, const struct user_secret *user) {
  buf_put(out, user->address);
  buf_put_char(out, ' ');
  put_hex(out, user->sha256, sizeof user->sha256);
  buf_put_char(out, ' ');
  put_hex(out, user->md5, sizeof user->md5);
  buf_put_char(out, '\n');
}

/* All but `out`, and `in`; either may be NULL. */
static enum err save(const char *dir, const struct passwords *all, const struct user_secret *out,
                     const struct user_secret *in, struct key_error *why) {
  size_t room = sizeof FIRST_LINE + ((size_t)all->count + 1) * LINE_BYTES_MAX;
  char *memory = malloc(room);
  if (memory == NULL) return complain(why, ERR_MEMORY, dir, "no memory");
  struct buf text = buf_over(memory, room);
  buf_put_cstr(&text, FIRST_LINE);
  for (uint32_t i = 0; i < all->count; i++)
    if (&all->user[i] != out) put_line(&text, &all->user[i]);
  if (in != NULL) put_line(&text, in);
  enum err err = file_save(dir, NAME, buf_slice(&text), 0600, why);
  OPENSSL_cleanse(memory, room);
  free(memory);
  return err;
}

static bool make_secret(struct slice address, struct slice password, struct user_secret *out) {
  char memory[ADDRESS_BYTES_MAX + PASSWORD_BYTES_MAX + 2];
  struct buf text = buf_over(memory, sizeof memory);
  struct slice domain = slice_skip(address, 4);
  size_t len;
  buf_put(&text, slice_take_until(&domain, '@'));
  buf_put_char(&text, ':');
  buf_put(&text, slice_skip(domain, 1));
  buf_put_char(&text, ':');
  buf_put(&text, password);
  out->address = address;
  bool good = !text.overflow &&
              EVP_Q_digest(NULL, "SHA256", NULL, text.at, text.len, out->sha256, &len) == 1 &&
              EVP_Q_digest(NULL, "MD5", NULL, text.at, text.len, out->md5, &len) == 1;
  OPENSSL_cleanse(memory, sizeof memory);
  return good;
}

static bool is_password(struct slice password) {
  if (password.len == 0 || password.len > PASSWORD_BYTES_MAX) return false;
  for (size_t i = 0; i < password.len; i++)
    if ((unsigned char)password.at[i] < ' ' || password.at[i] == 127) return false;
  return true;
}

static const struct user_secret *find(const struct passwords *all, struct slice address) {
  for (uint32_t i = 0; i < all->count; i++)
    if (slice_equal(all->user[i].address, address)) return &all->user[i];
  return NULL;
}

/* -1: said why. */
static int lock_folder(const char *dir, struct key_error *why) {
  char path[FILE_PATH_BYTES];
  if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
    (void)file_error(why, ERR_IO, dir, strerror(errno));
    return -1;
  }
  if (file_path(path, dir, LOCK_NAME, why) != OK) return -1;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0 || flock(fd, LOCK_EX) != 0) {
    (void)file_error(why, ERR_IO, path, strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
  }
  return fd;
}

static enum err change(const char *data_dir, struct slice address, const struct user_secret *fresh,
                       bool must_be_there, struct key_error *why) {
  char dir[FILE_PATH_BYTES];
  struct passwords all;
  enum err err = folder(dir, data_dir, why);
  int lock = err == OK ? lock_folder(dir, why) : -1;
  if (lock < 0) return ERR_IO;
  err = load(dir, &all, why);
  if (err == OK) {
    const struct user_secret *old = find(&all, address);
    if (must_be_there && old == NULL)
      err = complain(why, ERR_NOT_FOUND, dir, "that address has no password");
    else if (!must_be_there && old != NULL)
      err = complain(why, ERR_EXISTS, dir, "that address has a password; say: locser user passwd");
    else if (old == NULL && all.count == PASSWORDS_MAX)
      err = complain(why, ERR_LIMIT, dir, "too many users");
    else
      err = save(dir, &all, old, fresh, why);
    passwords_free(&all);
  }
  close(lock);
  return err;
}

enum err passwords_set(const char *data_dir, struct slice address, struct slice password,
                       enum password_change kind, struct key_error *why) {
  struct user_secret fresh;
  if (!is_address(address))
    return file_error(why, ERR_SYNTAX, "ADDRESS", "must be USER@DOMAIN, as a phone writes it");
  if (!is_password(password))
    return file_error(why, ERR_SYNTAX, "the password", "must have 1 to 256 printable characters");
  if (!make_secret(address, password, &fresh))
    return file_error(why, ERR_UNSUPPORTED, "OpenSSL", "does not offer MD5 and SHA-256");
  enum err err = change(data_dir, address, &fresh, kind == PASSWORD_OTHER, why);
  OPENSSL_cleanse(&fresh, sizeof fresh);
  return err;
}

enum err passwords_remove(const char *data_dir, struct slice address, struct key_error *why) {
  return change(data_dir, address, NULL, true, why);
}
