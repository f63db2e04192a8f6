/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/user_keys.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES 4096
#define CACHE_SETS 4096u /* a power of two */
#define CACHE_WAYS 4u

struct cached {
  struct key address;
  struct key owner;
  bool taken;
};
struct user_keys {
  char dir[PATH_BYTES];
  pthread_mutex_t lock;
  uint32_t files, files_max;
  uint32_t turn; /* which way of a set is replaced next */
  struct cached cache[CACHE_SETS][CACHE_WAYS];
};

static uint32_t count_files(const char *path) {
  uint32_t count = 0;
  DIR *dir = opendir(path);
  if (dir == NULL) return 0;
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
    if (strlen(entry->d_name) == KEY_HEX + 4) count++;
  closedir(dir);
  return count;
}

struct user_keys *user_keys_open(const char *data_dir, uint32_t files_max, struct key_error *why) {
  struct user_keys *keys = calloc(1, sizeof *keys);
  if (keys == NULL) {
    snprintf(why->text, sizeof why->text, "no memory for the keys of users");
    return NULL;
  }
  int len = snprintf(keys->dir, sizeof keys->dir, "%s/keys", data_dir);
  if (len >= (int)sizeof keys->dir || (mkdir(keys->dir, 0700) != 0 && errno != EEXIST)) {
    snprintf(why->text, sizeof why->text, "%.300s/keys: %s", data_dir, strerror(errno));
    free(keys);
    return NULL;
  }
  pthread_mutex_init(&keys->lock, NULL);
  keys->files_max = files_max;
  keys->files = count_files(keys->dir);
  return keys;
}

void user_keys_close(struct user_keys *keys) {
  if (keys == NULL) return;
  pthread_mutex_destroy(&keys->lock);
  free(keys);
}

/* SHA-1 bytes are spread evenly already. */
static struct cached *cache_set(struct user_keys *keys, const struct key *address) {
  uint32_t set = (uint32_t)address->byte[0] << 8 | address->byte[1];
  return keys->cache[set % CACHE_SETS];
}

static bool cache_find(struct user_keys *keys, const struct key *address, struct key *owner) {
  struct cached *set = cache_set(keys, address);
  for (unsigned i = 0; i < CACHE_WAYS; i++) {
    if (!set[i].taken || !key_equal(&set[i].address, address)) continue;
    *owner = set[i].owner;
    return true;
  }
  return false;
}

static void cache_put(struct user_keys *keys, const struct key *address, const struct key *owner) {
  struct cached *set = cache_set(keys, address);
  unsigned at = keys->turn++ % CACHE_WAYS;
  for (unsigned i = 0; i < CACHE_WAYS; i++)
    if (!set[i].taken) at = i;
  set[at] = (struct cached){*address, *owner, true};
}

static enum err read_owner(struct user_keys *keys, const struct key *address, struct key *owner) {
  char name[KEY_HEX + 8], path[PATH_BYTES + sizeof name];
  struct buf text = buf_over(name, sizeof name);
  key_put(&text, address);
  buf_put(&text, SLICE(".pem"));
  buf_put_char(&text, '\0');
  snprintf(path, sizeof path, "%s/%s", keys->dir, name);
  struct stat status;
  bool fresh = stat(path, &status) != 0;
  if (fresh && keys->files >= keys->files_max) return ERR_FULL;
  EVP_PKEY *key = NULL;
  struct key_error why = {""};
  enum err err = key_file_open(keys->dir, name, &key, &why);
  if (err != OK) return err;
  if (fresh) keys->files++;
  err = key_file_hash(key, owner);
  EVP_PKEY_free(key);
  return err;
}

enum err user_keys_owner(struct user_keys *keys, struct slice address, struct key *owner) {
  struct key name;
  if (EVP_Digest(address.at, address.len, name.byte, NULL, EVP_sha1(), NULL) != 1)
    return ERR_UNSUPPORTED;
  /* The lock is held over the file too: two threads must not make two keys for one address. */
  pthread_mutex_lock(&keys->lock);
  enum err err = OK;
  if (!cache_find(keys, &name, owner)) {
    err = read_owner(keys, &name, owner);
    if (err == OK) cache_put(keys, &name, owner);
  }
  pthread_mutex_unlock(&keys->lock);
  return err;
}

enum err user_keys_sign(void *context, struct slice address, struct slice record, struct buf *out) {
  struct slice end = SLICE("</dhtRecord>");
  if (record.len < end.len || !slice_equal(slice_skip(record, record.len - end.len), end))
    return ERR_SYNTAX;
  struct key owner;
  enum err err = user_keys_owner(context, address, &owner);
  if (err != OK) return err;
  buf_put(out, slice_first(record, record.len - end.len));
  buf_put(out, SLICE("<KeyInfo><KeyValue><DigestValue>"));
  buf_put_base64(out, owner.byte, sizeof owner.byte);
  buf_put(out, SLICE("</DigestValue></KeyValue></KeyInfo>"));
  buf_put(out, end);
  return out->overflow ? ERR_FULL : OK;
}

enum err user_keys_verify(void *context, struct slice record) {
  (void)context;
  (void)record;
  return OK;
}
