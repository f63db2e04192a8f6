/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096

static enum err say(struct why *why, const char *path, int error) {
  return why_say(why, ERR_IO, "data folder %s: %s; say --data DIR to use another", path,
                 strerror(error));
}

/* mkdir -p; folders made on the way are ours alone too. */
static enum err make_all(const char *path, struct why *why) {
  char part[PATH_BYTES];
  size_t len = strlen(path);
  if (len == 0 || len >= sizeof part) return say(why, path, ENAMETOOLONG);
  memcpy(part, path, len + 1);
  for (size_t i = 1; i <= len; i++) {
    if (part[i] != '/' && part[i] != '\0') continue;
    char end = part[i];
    part[i] = '\0';
    if (mkdir(part, 0700) != 0 && errno != EEXIST) return say(why, part, errno);
    part[i] = end;
  }
  struct stat status;
  if (stat(path, &status) != 0) return say(why, path, errno);
  return S_ISDIR(status.st_mode) ? OK : say(why, path, ENOTDIR);
}

enum err datadir_open(const char *path, int *lock, struct why *why) {
  char file[PATH_BYTES + 8], holder[24] = "";
  enum err err = make_all(path, why);
  if (err != OK) return err;
  snprintf(file, sizeof file, "%s/lock", path);
  int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return say(why, file, errno);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
    holder[n > 0 ? strcspn(holder, "\n") : 0] = '\0';
    close(fd);
    return why_say(
        why, ERR_EXISTS,
        "data folder %s: another locserd%s%s%s works there; stop it, or say --data DIR to "
        "use another",
        path, *holder != '\0' ? " (process " : "", holder, *holder != '\0' ? ")" : "");
  }
  int len = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
  /* Only for the message above: a full disk must not keep a peer from starting. */
  if (ftruncate(fd, 0) == 0 && pwrite(fd, holder, (size_t)len, 0) < 0) errno = 0;
  *lock = fd;
  return OK;
}
