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
  return true;
}

#define BESIDE_BYTES (FILE_PATH_BYTES + 8)
static enum err name_beside(char out[BESIDE_BYTES], const char *dir, const char *name,
                            struct key_error *why) {
  char path[FILE_PATH_BYTES];
  enum err err = file_path(path, dir, name, why);
  if (err == OK) snprintf(out, BESIDE_BYTES, "%s.new", path);
  return err;
}

static enum err write_beside(const char *dir, const struct file_new *file, mode_t mode,
                             struct key_error *why) {
  char beside[BESIDE_BYTES];
  enum err err = name_beside(beside, dir, file->name, why);
  if (err != OK) return err;
  unlink(beside); /* left by a crash; nobody else writes in a locked data folder */
  int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0) return file_error(why, ERR_IO, beside, strerror(errno));
  errno = EIO;
  if (!write_all(fd, file->bytes)) err = file_error(why, ERR_IO, beside, strerror(errno));
  /* The disk begins with all of them before the first is waited for. */
  if (err == OK && !file->hasty) (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
  close(fd);
  return err;
}

static bool sync_beside(const char *beside) {
  int fd = open(beside, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  bool good = fsync(fd) == 0;
  int error = errno;
  close(fd);
  errno = error;
  return good;
}

static enum err put_in_place(const char *dir, const struct file_new *file, struct key_error *why) {
  char beside[BESIDE_BYTES], path[FILE_PATH_BYTES];
  enum err err = name_beside(beside, dir, file->name, why);
  if (err == OK) err = file_path(path, dir, file->name, why);
  if (err != OK) return err;
  if ((file->hasty || sync_beside(beside)) && rename(beside, path) == 0) return OK;
  return file_error(why, ERR_IO, path, strerror(errno));
}

enum err file_save_many(const char *dir, const struct file_new *files, unsigned count, mode_t mode,
                        struct key_error *why) {
  enum err err = OK;
  char beside[BESIDE_BYTES];
  bool sync = false;
  for (unsigned i = 0; i < count && err == OK; i++) err = write_beside(dir, &files[i], mode, why);
  for (unsigned i = 0; i < count && err == OK; i++) err = put_in_place(dir, &files[i], why);
  for (unsigned i = 0; i < count; i++) sync = sync || !files[i].hasty;
  if (err == OK && sync && !sync_dir(dir)) err = file_error(why, ERR_IO, dir, strerror(errno));
  for (unsigned i = 0; i < count && err != OK; i++) {
    struct key_error unused;
    if (name_beside(beside, dir, files[i].name, &unused) == OK) unlink(beside);
  }
  return err;
}

enum err file_save(const char *dir, const char *name, struct slice bytes, mode_t mode,
                   struct key_error *why) {
  const struct file_new file = {name, bytes, false};
  return file_save_many(dir, &file, 1, mode, why);
}

enum err file_rename(const char *dir, const char *from, const char *to, struct key_error *why) {
  char before[FILE_PATH_BYTES], after[FILE_PATH_BYTES];
  enum err err = file_path(before, dir, from, why);
  if (err == OK) err = file_path(after, dir, to, why);
  if (err != OK) return err;
  if (rename(before, after) == 0 && sync_dir(dir)) return OK;
  return file_error(why, ERR_IO, after, strerror(errno));
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
