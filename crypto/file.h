/* SPDX-License-Identifier: BSD-2-Clause */
/* Small files that are there whole or not at all: written beside their place, synced, renamed. */
#ifndef CRYPTO_FILE_H
#define CRYPTO_FILE_H

#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"

/* Says what went wrong, for people: file, reason, what to do. */
struct key_error {
  char text[512];
};

#define FILE_PATH_BYTES 4096u

/* Writes the reason; returns err. */
enum err file_error(struct key_error *why, enum err err, const char *path, const char *reason);
/* dir/name. ERR_LIMIT: too long. */
enum err file_path(char *out, const char *dir, const char *name, struct key_error *why) MUST_USE;
/* Replaces what is at dir/name. ERR_IO: nothing has changed. */
enum err file_save(const char *dir, const char *name, struct slice bytes, mode_t mode,
                   struct key_error *why) MUST_USE;
/* Several at once, which costs hardly more syncs than one. ERR_IO: some may be replaced, each whole
 * or not at all. */
struct file_new {
  const char *name;
  struct slice bytes;
  bool hasty; /* not synced: a crash may cut it, so its reader must be able to do without */
};
enum err file_save_many(const char *dir, const struct file_new *files, unsigned count, mode_t mode,
                        struct key_error *why) MUST_USE;
/* Gives what was saved another name in the same folder, for good. */
enum err file_rename(const char *dir, const char *from, const char *to,
                     struct key_error *why) MUST_USE;
/* Reads at most cap bytes, and not through a symbolic link. ERR_NOT_FOUND: no such file (why is
 * set). ERR_LIMIT: longer. secret: ERR_REFUSED where others may read it. */
enum err file_load(const char *dir, const char *name, bool secret, char *at, size_t cap,
                   size_t *len, struct key_error *why) MUST_USE;

#endif
