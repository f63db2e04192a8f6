/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define PEM_BYTES_MAX 4096

static enum err say(struct key_error *why, enum err err, const char *path, const char *reason) {
  snprintf(why->text, sizeof why->text, "%.300s: %s", path, reason);
  return err;
}

static EVP_PKEY *make_key(void) { return EVP_EC_gen("P-256"); }

static bool is_p256(EVP_PKEY *key) {
  char group[32];
  size_t len = 0;
  return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 &&
         strcmp(group, "prime256v1") == 0;
}

static bool sync_dir(const char *dir) {
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  bool good = fsync(fd) == 0;
  close(fd);
  return good;
}

static bool write_all(int fd, const char *at, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, at, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    len -= (size_t)n;
  }
  return true;
}

/* The PEM text goes through memory, so that the descriptor is ours to sync. */
static bool write_pem(int fd, EVP_PKEY *key) {
  BIO *memory = BIO_new(BIO_s_secmem());
  if (memory == NULL) return false;
  char *text = NULL;
  bool good = PEM_write_bio_PKCS8PrivateKey(memory, key, NULL, NULL, 0, NULL, NULL) == 1;
  long len = good ? BIO_get_mem_data(memory, &text) : 0;
  good = good && len > 0 && write_all(fd, text, (size_t)len) && fsync(fd) == 0;
  BIO_free(memory);
  return good;
}

static enum err save(const char *dir, const char *path, EVP_PKEY *key, struct key_error *why) {
  char temporary[PATH_BYTES];
  if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
    return say(why, ERR_IO, path, "the path is too long");
  unlink(temporary); /* left by a crash; nobody else writes in a locked data folder */
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return say(why, ERR_IO, temporary, strerror(errno));
  errno = EIO;
  bool good = write_pem(fd, key);
  int error = errno;
  close(fd);
  if (good && (rename(temporary, path) != 0 || !sync_dir(dir))) {
    good = false;
    error = errno;
  }
  if (good) return OK;
  unlink(temporary);
  return say(why, ERR_IO, path, strerror(error));
}

static enum err load(int fd, const char *path, EVP_PKEY **out, struct key_error *why) {
  struct stat status;
  if (fstat(fd, &status) != 0) return say(why, ERR_IO, path, strerror(errno));
  if ((status.st_mode & 077) != 0)
    return say(why, ERR_REFUSED, path, "others may read this private key; say: chmod 600 on it");
  char text[PEM_BYTES_MAX];
  ssize_t len = read(fd, text, sizeof text);
  if (len < 0) return say(why, ERR_IO, path, strerror(errno));
  char no_password[] = ""; /* without it OpenSSL would ask at the terminal */
  BIO *memory = BIO_new_mem_buf(text, (int)len);
  EVP_PKEY *key = memory == NULL ? NULL : PEM_read_bio_PrivateKey(memory, NULL, NULL, no_password);
  BIO_free(memory);
  OPENSSL_cleanse(text, sizeof text);
  if (key == NULL || !is_p256(key)) {
    EVP_PKEY_free(key);
    return say(why, ERR_CORRUPT, path,
               "not a P-256 private key in PEM; restore it from a copy, or move it away to get a "
               "new one (and with it a new identity)");
  }
  *out = key;
  return OK;
}

enum err key_file_open(const char *dir, const char *name, EVP_PKEY **out, struct key_error *why) {
  char path[PATH_BYTES];
  if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
    return say(why, ERR_IO, dir, "the path is too long");
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0) {
    enum err err = load(fd, path, out, why);
    close(fd);
    return err;
  }
  if (errno != ENOENT) return say(why, ERR_IO, path, strerror(errno));
  EVP_PKEY *key = make_key();
  if (key == NULL) return say(why, ERR_MEMORY, path, "OpenSSL made no key");
  enum err err = save(dir, path, key, why);
  if (err != OK) {
    EVP_PKEY_free(key);
    return err;
  }
  *out = key;
  return OK;
}

enum err key_file_hash(EVP_PKEY *key, struct key *out) {
  unsigned char *der = NULL;
  int len = i2d_PUBKEY(key, &der);
  if (len <= 0) return ERR_MEMORY;
  bool good = EVP_Digest(der, (size_t)len, out->byte, NULL, EVP_sha1(), NULL) == 1;
  OPENSSL_free(der);
  return good ? OK : ERR_UNSUPPORTED;
}
