/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/user_keys.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "crypto/certificate.h"
#include "crypto/record_sign.h"

#define PATH_BYTES 4096
#define CACHE_SETS 1024u /* a power of two */
#define CACHE_WAYS 4u
#define CERTIFICATE_BYTES_MAX 1024u /* of one made here; one put in its place may be larger */

/* A key with its certificate. */
struct signer {
  EVP_PKEY *key; /* NULL: none */
  struct key owner;
  unsigned char *certificate; /* DER, OpenSSL's memory */
  size_t certificate_len;
};
struct cached {
  struct key address;
  struct signer signer;
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
    if (strlen(entry->d_name) == KEY_HEX + 4 && strcmp(entry->d_name + KEY_HEX, ".pem") == 0)
      count++;
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

static void signer_free(struct signer *signer) {
  EVP_PKEY_free(signer->key);
  OPENSSL_free(signer->certificate);
  *signer = (struct signer){0};
}

/* The cache keeps what it has. */
static enum err signer_copy(const struct signer *from, struct signer *to) {
  *to = *from;
  to->certificate = OPENSSL_memdup(from->certificate, from->certificate_len);
  if (to->certificate != NULL && EVP_PKEY_up_ref(to->key) == 1) return OK;
  OPENSSL_free(to->certificate);
  *to = (struct signer){0};
  return ERR_MEMORY;
}

void user_keys_close(struct user_keys *keys) {
  if (keys == NULL) return;
  for (unsigned i = 0; i < CACHE_SETS; i++)
    for (unsigned k = 0; k < CACHE_WAYS; k++) signer_free(&keys->cache[i][k].signer);
  pthread_mutex_destroy(&keys->lock);
  free(keys);
}

/* ---- what was read ---- */

/* SHA-1 bytes are spread evenly already. */
static struct cached *cache_set(struct user_keys *keys, const struct key *address) {
  uint32_t set = (uint32_t)address->byte[0] << 8 | address->byte[1];
  return keys->cache[set % CACHE_SETS];
}

static struct signer *cache_find(struct user_keys *keys, const struct key *address) {
  struct cached *set = cache_set(keys, address);
  for (unsigned i = 0; i < CACHE_WAYS; i++)
    if (set[i].signer.key != NULL && key_equal(&set[i].address, address)) return &set[i].signer;
  return NULL;
}

/* Takes the signer over. */
static struct signer *cache_put(struct user_keys *keys, const struct key *address,
                                const struct signer *signer) {
  struct cached *set = cache_set(keys, address);
  unsigned at = keys->turn++ % CACHE_WAYS;
  for (unsigned i = 0; i < CACHE_WAYS; i++)
    if (set[i].signer.key == NULL) at = i;
  signer_free(&set[at].signer);
  set[at] = (struct cached){*address, *signer};
  return &set[at].signer;
}

/* ---- files ---- */

static void name_file(const struct key *address, const char *end, char name[KEY_HEX + 8]) {
  struct buf text = buf_over(name, KEY_HEX + 8);
  key_put(&text, address);
  buf_put_cstr(&text, end);
  buf_put_char(&text, '\0');
}

/* The certificate there, if it is of this key. */
static bool load_certificate(const char *path, struct signer *signer) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
  fclose(file);
  if (certificate == NULL) return false;
  EVP_PKEY *of = X509_get0_pubkey(certificate);
  int len = of != NULL && EVP_PKEY_eq(of, signer->key) == 1
                ? i2d_X509(certificate, &signer->certificate)
                : 0;
  X509_free(certificate);
  signer->certificate_len = len > 0 ? (size_t)len : 0;
  return len > 0 && len <= (int)RECORD_CERTIFICATE_MAX;
}

static enum err save_certificate(const char *dir, const char *name, struct slice der) {
  const unsigned char *at = (const unsigned char *)der.at;
  X509 *certificate = d2i_X509(NULL, &at, (long)der.len);
  BIO *memory = BIO_new(BIO_s_mem());
  struct key_error why;
  char *text = NULL;
  long len = certificate != NULL && memory != NULL && PEM_write_bio_X509(memory, certificate) == 1
                 ? BIO_get_mem_data(memory, &text)
                 : 0;
  enum err err =
      len > 0 ? file_save(dir, name, slice_of(text, (size_t)len), 0600, &why) : ERR_MEMORY;
  BIO_free(memory);
  X509_free(certificate);
  return err;
}

/* It holds nothing that the key does not: one that is lost or damaged is made anew. */
static enum err open_certificate(struct user_keys *keys, const struct key *address,
                                 struct signer *signer) {
  char name[KEY_HEX + 8], path[PATH_BYTES + sizeof name], made[CERTIFICATE_BYTES_MAX];
  name_file(address, ".crt", name);
  snprintf(path, sizeof path, "%s/%s", keys->dir, name);
  if (load_certificate(path, signer)) return OK;
  OPENSSL_free(signer->certificate);
  struct buf der = buf_over(made, sizeof made);
  enum err err = certificate_make(signer->key, &der);
  if (err == OK) err = save_certificate(keys->dir, name, buf_slice(&der));
  signer->certificate = err == OK ? OPENSSL_memdup(made, der.len) : NULL;
  signer->certificate_len = der.len;
  return err == OK && signer->certificate == NULL ? ERR_MEMORY : err;
}

static enum err open_signer(struct user_keys *keys, const struct key *address,
                            struct signer *signer) {
  char name[KEY_HEX + 8], path[PATH_BYTES + sizeof name];
  name_file(address, ".pem", name);
  snprintf(path, sizeof path, "%s/%s", keys->dir, name);
  struct stat status;
  bool fresh = stat(path, &status) != 0;
  if (fresh && keys->files >= keys->files_max) return ERR_FULL;
  struct key_error why = {""};
  enum err err = key_file_open(keys->dir, name, &signer->key, &why);
  if (err != OK) return err;
  if (fresh) keys->files++;
  err = key_file_hash(signer->key, &signer->owner);
  if (err == OK) err = open_certificate(keys, address, signer);
  if (err != OK) signer_free(signer);
  return err;
}

/* ---- signing ---- */

/* A copy, to be freed. */
static enum err take_signer(struct user_keys *keys, struct slice address, struct signer *out) {
  struct key name;
  *out = (struct signer){0};
  if (EVP_Digest(address.at, address.len, name.byte, NULL, EVP_sha1(), NULL) != 1)
    return ERR_UNSUPPORTED;
  /* The lock is held over the file too: two threads must not make two keys for one address. */
  pthread_mutex_lock(&keys->lock);
  enum err err = OK;
  struct signer *signer = cache_find(keys, &name);
  if (signer == NULL) {
    struct signer opened = {0};
    err = open_signer(keys, &name, &opened);
    if (err == OK) signer = cache_put(keys, &name, &opened);
  }
  if (err == OK) err = signer_copy(signer, out);
  pthread_mutex_unlock(&keys->lock);
  return err;
}

enum err user_keys_owner(struct user_keys *keys, struct slice address, struct key *owner) {
  struct signer signer;
  enum err err = take_signer(keys, address, &signer);
  if (err != OK) return err;
  *owner = signer.owner;
  signer_free(&signer);
  return OK;
}

enum err user_keys_sign(void *context, struct slice address, struct slice record, struct buf *out) {
  struct signer signer;
  enum err err = take_signer(context, address, &signer);
  if (err != OK) return err;
  struct slice certificate = slice_of(signer.certificate, signer.certificate_len);
  err = record_sign(signer.key, certificate, record, out);
  signer_free(&signer);
  return err;
}
