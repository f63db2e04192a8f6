/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err file_error(struct key_error *why, enum err err, const char *path, const char *reason) {
  snprintf(why->text, sizeof why->text, "%.300s: %.200s", path, reason);
  return err;
}

enum err file_path(char *out, const char *dir, const char *name, struct key_error *why) {
  if (snprintf(out, FILE_PATH_BYTES, "%s/%s", dir, name) < (int)FILE_PATH_BYTES) return OK;
  return file_error(why, ERR_LIMIT, dir, "the path is too long");
}

static bool sync_dir(const char *dir) {
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  bool good = fsync(fd) == 0;
  close(fd);
  return good;
}

static bool write_all(int fd, struct slice bytes) {
  while (bytes.len > 0) {
    ssize_t n = write(fd, bytes.at, bytes.len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = slice_skip(bytes, (size_t)n);
  }
  return fsync(fd) == 0;
}

enum err file_save(const char *dir, const char *name, struct slice bytes, mode_t mode,
                   struct key_error *why) {
  char path[FILE_PATH_BYTES], beside[FILE_PATH_BYTES + 8];
  enum err err = file_path(path, dir, name, why);
  if (err != OK) return err;
  snprintf(beside, sizeof beside, "%s.new", path);
  unlink(beside); /* left by a crash; nobody else writes in a locked data folder */
  int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0) return file_error(why, ERR_IO, beside, strerror(errno));
  errno = EIO;
  bool good = write_all(fd, bytes);
  int error = errno;
  close(fd);
  if (good && (rename(beside, path) != 0 || !sync_dir(dir))) {
    good = false;
    error = errno;
  }
  if (good) return OK;
  unlink(beside);
  return file_error(why, ERR_IO, path, strerror(error));
}

static enum err load(int fd, const char *path, bool secret, char *at, size_t cap, size_t *len,
                     struct key_error *why) {
  struct stat status;
  if (fstat(fd, &status) != 0) return file_error(why, ERR_IO, path, strerror(errno));
  if (secret && (status.st_mode & 077) != 0)
    return file_error(why, ERR_REFUSED, path,
                      "others may read this private key; say: chmod 600 on it");
  *len = 0;
  for (ssize_t n = 1; n > 0 && *len < cap; *len += (size_t)n) {
    n = read(fd, at + *len, cap - *len);
    if (n < 0) return file_error(why, ERR_IO, path, strerror(errno));
  }
  return *len < cap ? OK : file_error(why, ERR_LIMIT, path, "the file is too long");
}

enum err file_load(const char *dir, const char *name, bool secret, char *at, size_t cap,
                   size_t *len, struct key_error *why) {
  char path[FILE_PATH_BYTES];
  enum err err = file_path(path, dir, name, why);
  if (err != OK) return err;
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return file_error(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, path, strerror(errno));
  err = load(fd, path, secret, at, cap, len, why);
  close(fd);
  return err;
}
