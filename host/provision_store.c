/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/provision_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/clock.h"
#include "sip/profile.h"

#define PATH_BYTES 4096

bool provision_read_mac(struct slice text, char out[PROVISION_MAC_DIGITS + 1]) {
  return sip_profile_read_mac(text, out);
}

static bool path_of(char path[PATH_BYTES], const char *data, const char *key) {
  return snprintf(path, PATH_BYTES, "%s/" PROVISION_FOLDER "/%s", data, key) < PATH_BYTES;
}

static bool is_key(const char *name) {
  return strlen(name) == PROVISION_KEY_DIGITS &&
         strspn(name, "0123456789abcdef") == PROVISION_KEY_DIGITS;
}

void provision_account_put(struct buf *out, const struct provision_account *account) {
  buf_put_cstr(out, "address ");
  buf_put_cstr(out, account->address);
  if (account->mac[0] != '\0') {
    buf_put_cstr(out, "\nmac ");
    buf_put_cstr(out, account->mac);
  }
  buf_put_cstr(out, "\npassword ");
  buf_put_cstr(out, account->password);
  buf_put_cstr(out, "\n");
}

static bool keep(struct slice value, char *out, size_t cap) {
  if (value.len == 0 || value.len >= cap) return false;
  memcpy(out, value.at, value.len);
  out[value.len] = '\0';
  return true;
}

static bool read_lines(struct slice text, struct provision_account *out) {
  while (text.len > 0) {
    struct slice line = slice_take_until(&text, '\n');
    text = slice_skip(text, 1);
    if (slice_take(&line, SLICE("address ")) ? keep(line, out->address, sizeof out->address)
        : slice_take(&line, SLICE("mac "))   ? keep(line, out->mac, sizeof out->mac)
                                             : slice_take(&line, SLICE("password ")) &&
                                                 keep(line, out->password, sizeof out->password))
      continue;
    return false;
  }
  return out->address[0] != '\0' && out->password[0] != '\0';
}

bool provision_account_read(const char *data, const char *key, struct provision_account *out) {
  char path[PATH_BYTES], text[PROVISION_FILE_BYTES_MAX];
  struct stat status;
  memset(out, 0, sizeof *out);
  if (!is_key(key) || !path_of(path, data, key)) return false;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  bool good = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 077) == 0;
  ssize_t n = good ? read(fd, text, sizeof text) : -1;
  close(fd);
  if (n <= 0 || (size_t)n == sizeof text) return false;
  memcpy(out->key, key, PROVISION_KEY_DIGITS + 1);
  out->until_s = (int64_t)status.st_mtime + PROVISION_WAITS_S;
  good = read_lines(slice_of(text, (size_t)n), out);
  explicit_bzero(text, sizeof text);
  return good;
}

unsigned provision_each(const char *data,
                        void (*each)(void *context, const struct provision_account *account),
                        void *context) {
  char path[PATH_BYTES];
  unsigned count = 0;
  struct provision_account account;
  DIR *folder = path_of(path, data, "") ? opendir(path) : NULL;
  if (folder == NULL) return 0;
  int64_t now_s = (int64_t)(clock_wall() / 1000);
  for (struct dirent *entry; count < PROVISION_WAITING_MAX && (entry = readdir(folder)) != NULL;) {
    if (!provision_account_read(data, entry->d_name, &account)) continue;
    if (account.until_s <= now_s) {
      (void)provision_remove(data, account.key);
      continue;
    }
    each(context, &account);
    count++;
  }
  explicit_bzero(&account, sizeof account);
  closedir(folder);
  return count;
}

bool provision_remove(const char *data, const char *key) {
  char path[PATH_BYTES];
  return is_key(key) && path_of(path, data, key) && unlink(path) == 0;
}
