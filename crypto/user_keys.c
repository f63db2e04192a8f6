/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/user_keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/succession.h"
#include "crypto/certificate.h"
#include "crypto/record_sign.h"

#define PATH_BYTES 4096
#define CACHE_SETS 1024u /* a power of two */
#define CACHE_WAYS 4u
#define ADDRESS_BYTES_MAX 1040u /* a key text */

/* Of one address. key[USER_RECEIVES] may be NULL: not made yet. */
struct user {
  EVP_PKEY *key[2]; /* key[USER_SIGNS] NULL: none */
  struct key owner;
  unsigned char *certificate[2]; /* DER, OpenSSL's memory */
  size_t certificate_len[2];
  unsigned char *before; /* the statement of the key before, likewise; NULL: none */
  size_t before_len;
};
struct cached {
  struct key address;
  struct user user;
};
static const struct {
  const char *key, *certificate;
  enum key_file_kind kind;
} files[2] = {[USER_SIGNS] = {".pem", ".crt", KEY_FILE_P256},
              [USER_RECEIVES] = {".rsa.pem", ".rsa.crt", KEY_FILE_RSA}};
#define ADDRESS_END ".aor"
#define BEFORE_END ".before"
#define MADE_END ".rsa.made" /* a second key on its way: whoever makes it may be slow */
#define STATEMENT_DAYS 90    /* longer than a record of the key before lives */
#define LOCK_NAME "lock"     /* held while anything is written: locserd and locser may both write */

struct user_keys {
  char dir[PATH_BYTES];
  pthread_mutex_t writing; /* the folder and `users`; syncs are waited for under it */
  pthread_mutex_t lock;    /* the cache; taken within `writing`, and never for long */
  uint32_t users, users_max;
  uint32_t turn; /* which way of a set is replaced next */
  atomic_bool stopped;
  struct cached cache[CACHE_SETS][CACHE_WAYS];
};

static uint32_t count_users(const char *path) {
  uint32_t count = 0;
  DIR *dir = opendir(path);
  if (dir == NULL) return 0;
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
    if (strlen(entry->d_name) == KEY_HEX + 4 && strcmp(entry->d_name + KEY_HEX, ".pem") == 0)
      count++;
  closedir(dir);
  return count;
}

/* What an earlier version kept in "keys". */
static bool make_folder(struct user_keys *keys, const char *data_dir) {
  char before[PATH_BYTES];
  int len = snprintf(keys->dir, sizeof keys->dir, "%s/users", data_dir);
  int old = snprintf(before, sizeof before, "%s/keys", data_dir);
  if (len >= (int)sizeof keys->dir || old >= (int)sizeof before) {
    errno = ENAMETOOLONG;
    return false;
  }
  if (access(keys->dir, F_OK) != 0) (void)rename(before, keys->dir);
  return mkdir(keys->dir, 0700) == 0 || errno == EEXIST;
}

struct user_keys *user_keys_open(const char *data_dir, uint32_t users_max, struct key_error *why) {
  struct user_keys *keys = calloc(1, sizeof *keys);
  if (keys == NULL) {
    snprintf(why->text, sizeof why->text, "no memory for the keys of users");
    return NULL;
  }
  if (!make_folder(keys, data_dir)) {
    snprintf(why->text, sizeof why->text, "%.300s/users: %s", data_dir, strerror(errno));
    free(keys);
    return NULL;
  }
  pthread_mutex_init(&keys->writing, NULL);
  pthread_mutex_init(&keys->lock, NULL);
  keys->users_max = users_max;
  keys->users = count_users(keys->dir);
  return keys;
}

static void user_free(struct user *user) {
  for (unsigned i = 0; i < 2; i++) {
    EVP_PKEY_free(user->key[i]);
    OPENSSL_free(user->certificate[i]);
  }
  OPENSSL_free(user->before);
  *user = (struct user){0};
}

/* The cache keeps what it has. */
static enum err user_copy(const struct user *from, struct user *to) {
  *to = (struct user){.owner = from->owner};
  for (unsigned i = 0; i < 2; i++) {
    if (from->key[i] == NULL) continue;
    to->certificate[i] = OPENSSL_memdup(from->certificate[i], from->certificate_len[i]);
    to->certificate_len[i] = from->certificate_len[i];
    if (to->certificate[i] == NULL || EVP_PKEY_up_ref(from->key[i]) != 1) {
      user_free(to);
      return ERR_MEMORY;
    }
    to->key[i] = from->key[i];
  }
  if (from->before == NULL) return OK;
  to->before = OPENSSL_memdup(from->before, from->before_len);
  to->before_len = from->before_len;
  if (to->before == NULL) {
    user_free(to);
    return ERR_MEMORY;
  }
  return OK;
}

/* ---- what was read ---- */

/* SHA-1 bytes are spread evenly already. */
static struct cached *cache_set(struct user_keys *keys, const struct key *address) {
  uint32_t set = (uint32_t)address->byte[0] << 8 | address->byte[1];
  return keys->cache[set % CACHE_SETS];
}

static struct user *cache_find(struct user_keys *keys, const struct key *address) {
  struct cached *set = cache_set(keys, address);
  for (unsigned i = 0; i < CACHE_WAYS; i++)
    if (set[i].user.key[USER_SIGNS] != NULL && key_equal(&set[i].address, address))
      return &set[i].user;
  return NULL;
}

static void cache_drop(struct user_keys *keys, const struct key *address) {
  pthread_mutex_lock(&keys->lock);
  struct user *user = cache_find(keys, address);
  if (user != NULL) user_free(user);
  pthread_mutex_unlock(&keys->lock);
}

/* A copy, to be freed. ERR_NOT_FOUND: it is not there. */
static enum err cache_take(struct user_keys *keys, const struct key *address, struct user *out) {
  pthread_mutex_lock(&keys->lock);
  const struct user *user = cache_find(keys, address);
  enum err err = user != NULL ? user_copy(user, out) : ERR_NOT_FOUND;
  pthread_mutex_unlock(&keys->lock);
  return err;
}

/* Takes the user over. */
static void cache_put(struct user_keys *keys, const struct key *address, const struct user *user) {
  pthread_mutex_lock(&keys->lock);
  struct cached *set = cache_set(keys, address);
  unsigned at = keys->turn++ % CACHE_WAYS;
  for (unsigned i = 0; i < CACHE_WAYS; i++)
    if (set[i].user.key[USER_SIGNS] == NULL) at = i;
  user_free(&set[at].user);
  set[at] = (struct cached){*address, *user};
  pthread_mutex_unlock(&keys->lock);
}

void user_keys_renew(struct user_keys *keys) {
  pthread_mutex_lock(&keys->writing);
  pthread_mutex_lock(&keys->lock);
  for (unsigned i = 0; i < CACHE_SETS; i++)
    for (unsigned k = 0; k < CACHE_WAYS; k++) user_free(&keys->cache[i][k].user);
  pthread_mutex_unlock(&keys->lock);
  keys->users = count_users(keys->dir);
  pthread_mutex_unlock(&keys->writing);
}

void user_keys_close(struct user_keys *keys) {
  if (keys == NULL) return;
  user_keys_renew(keys);
  pthread_mutex_destroy(&keys->lock);
  pthread_mutex_destroy(&keys->writing);
  free(keys);
}

/* ---- files ---- */

static bool hash_address(struct slice address, struct key *out) {
  return EVP_Digest(address.at, address.len, out->byte, NULL, EVP_sha1(), NULL) == 1;
}

#define NAME_BYTES (KEY_HEX + 16)
static void name_file(const struct key *address, const char *end, char name[NAME_BYTES]) {
  struct buf text = buf_over(name, NAME_BYTES);
  key_put(&text, address);
  buf_put_cstr(&text, end);
  buf_put_char(&text, '\0');
}

static bool has_file(const struct user_keys *keys, const char *name) {
  char path[PATH_BYTES + NAME_BYTES];
  snprintf(path, sizeof path, "%s/%s", keys->dir, name);
  return access(path, F_OK) == 0;
}

static void drop_file(const struct user_keys *keys, const char *name) {
  char path[PATH_BYTES + NAME_BYTES];
  snprintf(path, sizeof path, "%s/%s", keys->dir, name);
  (void)unlink(path);
}

/* Two threads, or two processes, must not make two keys for one address. -1: it cannot be had. */
static int lock_folder(struct user_keys *keys) {
  char path[PATH_BYTES + NAME_BYTES];
  pthread_mutex_lock(&keys->writing);
  snprintf(path, sizeof path, "%s/%s", keys->dir, LOCK_NAME);
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0) (void)flock(fd, LOCK_EX);
  return fd;
}

static void unlock_folder(struct user_keys *keys, int fd) {
  if (fd >= 0) close(fd);
  pthread_mutex_unlock(&keys->writing);
}

/* The certificate there, if it is of this key. */
static bool load_certificate(const struct user_keys *keys, const char *name, unsigned which,
                             struct user *user) {
  char path[PATH_BYTES + NAME_BYTES];
  snprintf(path, sizeof path, "%s/%s", keys->dir, name);
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
  fclose(file);
  if (certificate == NULL) return false;
  EVP_PKEY *of = X509_get0_pubkey(certificate);
  int len = of != NULL && EVP_PKEY_eq(of, user->key[which]) == 1
                ? i2d_X509(certificate, &user->certificate[which])
                : 0;
  X509_free(certificate);
  user->certificate_len[which] = len > 0 ? (size_t)len : 0;
  return len > 0 && len <= (int)RECORD_CERTIFICATE_MAX;
}

/* hasty: of crypto/file.h. */
static enum err save_certificate(const char *dir, const char *name, X509 *certificate, bool hasty) {
  BIO *memory = BIO_new(BIO_s_mem());
  struct key_error why;
  char *text = NULL;
  long len = memory != NULL && PEM_write_bio_X509(memory, certificate) == 1
                 ? BIO_get_mem_data(memory, &text)
                 : 0;
  const struct file_new file = {name, slice_of(text, len > 0 ? (size_t)len : 0), hasty};
  enum err err = len > 0 ? file_save_many(dir, &file, 1, 0600, &why) : ERR_MEMORY;
  BIO_free(memory);
  return err;
}

static enum err save_der(const char *dir, const char *name, struct slice der) {
  const unsigned char *at = (const unsigned char *)der.at;
  X509 *certificate = d2i_X509(NULL, &at, (long)der.len);
  enum err err = certificate != NULL ? save_certificate(dir, name, certificate, true) : ERR_MEMORY;
  X509_free(certificate);
  return err;
}

/* It holds nothing that the key does not: one that is lost or damaged is made anew. */
static enum err open_certificate(struct user_keys *keys, const struct key *hash,
                                 struct slice address, unsigned which, struct user *user) {
  char name[NAME_BYTES], made[RECORD_CERTIFICATE_MAX];
  name_file(hash, files[which].certificate, name);
  if (load_certificate(keys, name, which, user)) return OK;
  OPENSSL_free(user->certificate[which]);
  user->certificate[which] = NULL;
  struct buf der = buf_over(made, sizeof made);
  enum err err = certificate_make_user(user->key[which], address, &der);
  if (err == OK) err = save_der(keys->dir, name, buf_slice(&der));
  if (err == OK) user->certificate[which] = OPENSSL_memdup(made, der.len);
  user->certificate_len[which] = der.len;
  return err == OK && user->certificate[which] == NULL ? ERR_MEMORY : err;
}

/* Says to people which address the other files are of. */
static enum err save_address(struct user_keys *keys, const struct key *hash, struct slice address) {
  char name[NAME_BYTES];
  struct key_error why;
  name_file(hash, ADDRESS_END, name);
  return has_file(keys, name) ? OK : file_save(keys->dir, name, address, 0600, &why);
}

static enum err open_key(struct user_keys *keys, const struct key *hash, struct slice address,
                         unsigned which, struct user *user) {
  char name[NAME_BYTES];
  struct key_error why;
  name_file(hash, files[which].key, name);
  enum err err = key_file_load_kind(keys->dir, name, files[which].kind, &user->key[which], &why);
  return err == OK ? open_certificate(keys, hash, address, which, user) : err;
}

/* The key that named this one; false: none did. */
static bool read_before(const struct user *user, struct key *from) {
  char text[SUCCESSION_BYTES_MAX], base64[SUCCESSION_BYTES_MAX * 4 / 3 + 4];
  struct buf statement = buf_over(text, sizeof text), encoded = buf_over(base64, sizeof base64);
  struct slice bytes = slice_of(user->before, user->before_len);
  struct record_layout layout;
  struct succession succession;
  const char *why;
  if (user->before == NULL || record_layout_read(bytes, &layout, &why) != OK) return false;
  buf_put_base64(&encoded, bytes.at, bytes.len);
  if (encoded.overflow ||
      !succession_read(buf_slice(&encoded), layout.key_text, &statement, &succession) ||
      !key_equal(&succession.to, &user->owner))
    return false;
  *from = succession.from;
  return true;
}

/* One that names another key than what is there was not followed to its end. */
static void open_before(const struct user_keys *keys, const struct key *hash, struct user *user) {
  char name[NAME_BYTES], text[SUCCESSION_BYTES_MAX];
  size_t len = 0;
  struct key_error why;
  struct key from;
  name_file(hash, BEFORE_END, name);
  if (!has_file(keys, name) ||
      file_load(keys->dir, name, true, text, sizeof text, &len, &why) != OK)
    return;
  user->before = OPENSSL_memdup(text, len);
  user->before_len = user->before != NULL ? len : 0;
  if (read_before(user, &from)) return;
  OPENSSL_free(user->before);
  user->before = NULL;
  user->before_len = 0;
}

/* The second key may be missing. */
static enum err open_user(struct user_keys *keys, const struct key *hash, struct slice address,
                          bool make, struct user *user) {
  char name[NAME_BYTES];
  struct key_error why = {""};
  name_file(hash, files[USER_SIGNS].key, name);
  if (!has_file(keys, name)) {
    if (!make) return ERR_NOT_FOUND;
    if (keys->users >= keys->users_max) return ERR_FULL;
    EVP_PKEY *key = NULL;
    enum err err = key_file_new(keys->dir, name, &key, &why);
    EVP_PKEY_free(key);
    if (err != OK) return err;
    keys->users++;
  }
  enum err err = open_key(keys, hash, address, USER_SIGNS, user);
  if (err == OK) err = key_file_hash(user->key[USER_SIGNS], &user->owner);
  if (err == OK) err = save_address(keys, hash, address);
  if (err == OK) {
    err = open_key(keys, hash, address, USER_RECEIVES, user);
    if (err == ERR_NOT_FOUND) err = OK;
  }
  if (err == OK) open_before(keys, hash, user);
  if (err != OK) user_free(user);
  return err;
}

/* A copy, to be freed. */
static enum err take_user(struct user_keys *keys, struct slice address, bool make,
                          struct user *out) {
  struct key hash;
  *out = (struct user){0};
  if (!hash_address(address, &hash)) return ERR_UNSUPPORTED;
  enum err err = cache_take(keys, &hash, out);
  if (err != ERR_NOT_FOUND) return err;
  int fd = lock_folder(keys);
  err = cache_take(keys, &hash, out);
  if (err == ERR_NOT_FOUND) {
    struct user opened = {0};
    err = open_user(keys, &hash, address, make, &opened);
    if (err == OK) {
      err = user_copy(&opened, out);
      cache_put(keys, &hash, &opened);
    }
  }
  unlock_folder(keys, fd);
  return err;
}

/* ---- many at once ---- */

struct fresh {
  struct key hash;
  struct slice address;
  char name[2][NAME_BYTES]; /* of the key, of the address */
  EVP_PKEY *key;
  BIO *text;
};

static bool is_fresh(const struct user_keys *keys, const struct fresh *fresh, unsigned count) {
  const struct fresh *last = &fresh[count];
  for (unsigned i = 0; i < count; i++)
    if (key_equal(&fresh[i].hash, &last->hash)) return false;
  return !has_file(keys, last->name[0]);
}

/* Returns how many: file[] has two for each. */
static unsigned make_fresh(const struct user_keys *keys, const struct slice *address,
                           unsigned count, struct fresh *fresh, struct file_new *file) {
  unsigned made = 0;
  for (unsigned i = 0; i < count && keys->users + made < keys->users_max; i++) {
    struct fresh *f = &fresh[made];
    struct slice text;
    if (!hash_address(address[i], &f->hash)) continue;
    name_file(&f->hash, files[USER_SIGNS].key, f->name[0]);
    name_file(&f->hash, ADDRESS_END, f->name[1]);
    if (!is_fresh(keys, fresh, made)) continue;
    f->address = address[i];
    f->key = EVP_EC_gen("P-256");
    f->text = f->key != NULL ? key_file_text(f->key, &text) : NULL;
    if (f->text == NULL) {
      EVP_PKEY_free(f->key);
      break;
    }
    file[2 * made] = (struct file_new){.name = f->name[0], .bytes = text};
    file[2 * made + 1] = (struct file_new){.name = f->name[1], .bytes = address[i]};
    made++;
  }
  return made;
}

/* What is on disk now, as if it had been read. */
static void remember_fresh(struct user_keys *keys, struct fresh *f) {
  struct user user = {.key = {[USER_SIGNS] = f->key}};
  f->key = NULL;
  if (key_file_hash(user.key[USER_SIGNS], &user.owner) == OK &&
      open_certificate(keys, &f->hash, f->address, USER_SIGNS, &user) == OK)
    cache_put(keys, &f->hash, &user);
  else
    user_free(&user);
}

static bool are_cached(struct user_keys *keys, const struct slice *address, unsigned count) {
  bool all = true;
  pthread_mutex_lock(&keys->lock);
  for (unsigned i = 0; i < count && all; i++) {
    struct key hash;
    all = hash_address(address[i], &hash) && cache_find(keys, &hash) != NULL;
  }
  pthread_mutex_unlock(&keys->lock);
  return all;
}

void user_keys_prepare(void *context, const struct slice *address, unsigned count) {
  struct user_keys *keys = context;
  if (are_cached(keys, address, count)) return;
  struct fresh *fresh = calloc(count, sizeof *fresh);
  struct file_new *file = calloc(count, 2 * sizeof *file);
  struct key_error why;
  if (fresh != NULL && file != NULL) {
    int fd = lock_folder(keys);
    unsigned made = make_fresh(keys, address, count, fresh, file);
    bool good = file_save_many(keys->dir, file, 2 * made, 0600, &why) == OK;
    keys->users = good ? keys->users + made : count_users(keys->dir);
    for (unsigned i = 0; i < made; i++) {
      if (good) remember_fresh(keys, &fresh[i]);
      EVP_PKEY_free(fresh[i].key);
      BIO_free(fresh[i].text);
    }
    unlock_folder(keys, fd);
  }
  free(fresh);
  free(file);
}

/* ---- signing ---- */

enum err user_keys_owner(struct user_keys *keys, struct slice address, struct key *owner) {
  struct user user;
  enum err err = take_user(keys, address, true, &user);
  if (err != OK) return err;
  *owner = user.owner;
  user_free(&user);
  return OK;
}

enum err user_keys_sign(void *context, struct slice address, struct slice record, struct buf *out) {
  struct user user;
  enum err err = take_user(context, address, true, &user);
  if (err != OK) return err;
  struct slice certificate =
      slice_of(user.certificate[USER_SIGNS], user.certificate_len[USER_SIGNS]);
  err = record_sign(user.key[USER_SIGNS], certificate, record, out);
  user_free(&user);
  return err;
}

enum err user_keys_certificates(void *context, struct slice address, struct key *owner,
                                struct buf *signs, struct buf *receives, struct buf *before) {
  struct user user;
  enum err err = take_user(context, address, true, &user);
  if (err != OK) return err;
  *owner = user.owner;
  buf_put(signs, slice_of(user.certificate[USER_SIGNS], user.certificate_len[USER_SIGNS]));
  if (user.key[USER_RECEIVES] != NULL)
    buf_put(receives,
            slice_of(user.certificate[USER_RECEIVES], user.certificate_len[USER_RECEIVES]));
  buf_put(before, slice_of(user.before, user.before_len));
  user_free(&user);
  return signs->overflow || receives->overflow || before->overflow ? ERR_FULL : OK;
}

enum err user_keys_key(struct user_keys *keys, struct slice address, enum user_key which,
                       EVP_PKEY **out) {
  struct user user;
  enum err err = take_user(keys, address, false, &user);
  if (err != OK) return err;
  *out = user.key[which];
  user.key[which] = NULL;
  user_free(&user);
  return *out != NULL ? OK : ERR_NOT_FOUND;
}

/* ---- the second key ---- */

void user_keys_stop(void *context) {
  struct user_keys *keys = context;
  atomic_store(&keys->stopped, true);
}

/* OpenSSL asks often, between candidates for the primes. */
static int goes_on(EVP_PKEY_CTX *context) {
  struct user_keys *keys = EVP_PKEY_CTX_get_app_data(context);
  return atomic_load(&keys->stopped) ? 0 : 1;
}

static EVP_PKEY *make_second(struct user_keys *keys) {
  EVP_PKEY *key = NULL;
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
  if (context == NULL) return NULL;
  EVP_PKEY_CTX_set_app_data(context, keys);
  EVP_PKEY_CTX_set_cb(context, goes_on);
  if (EVP_PKEY_keygen_init(context) != 1 ||
      EVP_PKEY_CTX_set_rsa_keygen_bits(context, USER_RSA_BITS) != 1 ||
      EVP_PKEY_keygen(context, &key) != 1)
    key = NULL;
  EVP_PKEY_CTX_free(context);
  return key;
}

enum err user_keys_complete(void *context, struct slice address) {
  struct user_keys *keys = context;
  struct user user;
  struct key hash;
  char name[NAME_BYTES], made[NAME_BYTES];
  struct key_error why;
  enum err err = take_user(keys, address, true, &user);
  if (err != OK) return err;
  bool there = user.key[USER_RECEIVES] != NULL;
  user_free(&user);
  if (there) return OK;
  EVP_PKEY *key = make_second(keys);
  if (key == NULL && atomic_load(&keys->stopped)) return ERR_CLOSED;
  if (key == NULL || !hash_address(address, &hash)) {
    EVP_PKEY_free(key);
    return ERR_MEMORY;
  }
  name_file(&hash, files[USER_RECEIVES].key, name);
  name_file(&hash, MADE_END, made);
  err = key_file_save(keys->dir, made, key, &why);
  EVP_PKEY_free(key);
  if (err != OK) return err;
  int fd = lock_folder(keys);
  if (!has_file(keys, name))
    err = file_rename(keys->dir, made, name, &why);
  else
    drop_file(keys, made);
  cache_drop(keys, &hash);
  unlock_folder(keys, fd);
  return err;
}

/* ---- carrying them elsewhere ---- */

enum err user_keys_export(struct user_keys *keys, struct slice address, bool secret,
                          struct buf *pem) {
  struct user user;
  enum err err = take_user(keys, address, false, &user);
  if (err != OK) return err;
  BIO *memory = BIO_new(secret ? BIO_s_secmem() : BIO_s_mem());
  bool good = memory != NULL;
  for (unsigned i = 0; i < 2 && good; i++) {
    if (user.key[i] == NULL) continue;
    const unsigned char *at = user.certificate[i];
    X509 *x = d2i_X509(NULL, &at, (long)user.certificate_len[i]);
    good = secret ? PEM_write_bio_PKCS8PrivateKey(memory, user.key[i], NULL, NULL, 0, NULL, NULL) ==
                            1 &&
                        x != NULL && PEM_write_bio_X509(memory, x) == 1
                  : PEM_write_bio_PUBKEY(memory, user.key[i]) == 1;
    X509_free(x);
  }
  char *text = NULL;
  long len = good ? BIO_get_mem_data(memory, &text) : 0;
  if (len > 0) buf_put(pem, slice_of(text, (size_t)len));
  BIO_free(memory);
  user_free(&user);
  return len <= 0 ? ERR_MEMORY : pem->overflow ? ERR_FULL : OK;
}

static unsigned read_private_keys(struct slice pem, EVP_PKEY *out[2]) {
  char no_password[] = "";
  BIO *memory = BIO_new_mem_buf(pem.at, (int)pem.len);
  unsigned count = 0;
  out[USER_SIGNS] = out[USER_RECEIVES] = NULL;
  for (EVP_PKEY *key; memory != NULL && count < 2 &&
                      (key = PEM_read_bio_PrivateKey(memory, NULL, NULL, no_password)) != NULL;) {
    unsigned which = key_file_is_rsa(key) ? USER_RECEIVES : USER_SIGNS;
    bool good = out[which] == NULL && (which == USER_RECEIVES || key_file_is_p256(key));
    if (!good) {
      EVP_PKEY_free(key);
      break;
    }
    out[which] = key;
    count++;
  }
  BIO_free(memory);
  return count;
}

/* Each certificate of the text that is of one of the keys becomes that key's. */
static unsigned save_certificates(struct user_keys *keys, const struct key *hash, struct slice pem,
                                  EVP_PKEY *const key[2], enum err *err) {
  BIO *memory = BIO_new_mem_buf(pem.at, (int)pem.len);
  unsigned count = 0;
  for (X509 *x;
       memory != NULL && *err == OK && (x = PEM_read_bio_X509(memory, NULL, NULL, NULL)) != NULL;
       X509_free(x)) {
    for (unsigned i = 0; i < 2 && *err == OK; i++) {
      char name[NAME_BYTES];
      if (key[i] == NULL || EVP_PKEY_eq(X509_get0_pubkey(x), key[i]) != 1) continue;
      name_file(hash, files[i].certificate, name);
      *err = save_certificate(keys->dir, name, x, false);
      count++;
    }
  }
  BIO_free(memory);
  return count;
}

static enum err save_keys(struct user_keys *keys, const struct key *hash, struct slice address,
                          EVP_PKEY *const key[2]) {
  char name[NAME_BYTES];
  struct key_error why;
  name_file(hash, files[USER_SIGNS].key, name);
  bool fresh = !has_file(keys, name);
  if (fresh && keys->users >= keys->users_max) return ERR_FULL;
  enum err err = OK;
  for (unsigned i = 0; i < 2 && err == OK; i++) {
    name_file(hash, files[i].certificate, name);
    drop_file(keys, name); /* of the key that goes */
    name_file(hash, files[i].key, name);
    if (key[i] != NULL)
      err = key_file_save(keys->dir, name, key[i], &why);
    else
      drop_file(keys, name);
  }
  if (err == OK && fresh) keys->users++;
  return err == OK ? save_address(keys, hash, address) : err;
}

enum err user_keys_import(struct user_keys *keys, struct slice address, struct slice pem) {
  struct key hash;
  EVP_PKEY *key[2];
  unsigned count = read_private_keys(pem, key);
  enum err err = count > 0 && key[USER_SIGNS] != NULL ? OK : ERR_SYNTAX;
  if (err == OK && !hash_address(address, &hash)) err = ERR_UNSUPPORTED;
  if (err == OK) {
    int fd = lock_folder(keys);
    char name[NAME_BYTES];
    err = save_keys(keys, &hash, address, key);
    name_file(&hash, BEFORE_END, name);
    if (err == OK) drop_file(keys, name); /* of the key that went */
    if (err == OK) (void)save_certificates(keys, &hash, pem, key, &err);
    cache_drop(keys, &hash);
    unlock_folder(keys, fd);
  }
  EVP_PKEY_free(key[USER_SIGNS]);
  EVP_PKEY_free(key[USER_RECEIVES]);
  return err;
}

/* ---- a key that follows another ---- */

static void put_key_text(struct buf *out, struct slice address) {
  buf_put(out, SUCCESSION_SCHEME);
  if (slice_starts(address, SLICE("sip:"))) address = slice_skip(address, 4);
  for (size_t i = 0; i < address.len; i++) {
    if (address.at[i] == '&')
      buf_put_cstr(out, "&amp;");
    else
      buf_put_char(out, address.at[i]);
  }
}

static enum err make_statement(const struct user *user, struct slice address,
                               const struct key *next, struct buf *out) {
  char plain_text[SUCCESSION_BYTES_MAX], key_text[ADDRESS_BYTES_MAX + 32], until[40];
  struct buf plain = buf_over(plain_text, sizeof plain_text);
  struct buf key = buf_over(key_text, sizeof key_text);
  struct timespec now;
  struct tm tm;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return ERR_IO;
  time_t end = now.tv_sec + (time_t)STATEMENT_DAYS * 86400;
  if (gmtime_r(&end, &tm) == NULL ||
      strftime(until, sizeof until, "%Y-%m-%dT%H:%M:%S.000Z", &tm) == 0)
    return ERR_IO;
  uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
  put_key_text(&key, address);
  succession_put_unsigned(&plain, buf_slice(&key), slice_cstr(until), ms * 256, next);
  if (plain.overflow || key.overflow) return ERR_LIMIT;
  return record_sign(user->key[USER_SIGNS],
                     slice_of(user->certificate[USER_SIGNS], user->certificate_len[USER_SIGNS]),
                     buf_slice(&plain), out);
}

/* The statement is there before the key that it names, and says nothing without it. */
static enum err save_next(struct user_keys *keys, struct slice address, EVP_PKEY *const next[2],
                          struct slice statement) {
  struct key hash;
  char name[NAME_BYTES];
  struct key_error why;
  if (!hash_address(address, &hash)) return ERR_UNSUPPORTED;
  int fd = lock_folder(keys);
  name_file(&hash, BEFORE_END, name);
  enum err err = file_save(keys->dir, name, statement, 0600, &why);
  if (err == OK) err = save_keys(keys, &hash, address, next);
  cache_drop(keys, &hash);
  unlock_folder(keys, fd);
  return err;
}

enum err user_keys_succeed(struct user_keys *keys, struct slice address) {
  struct user user;
  struct key owner;
  char text[SUCCESSION_BYTES_MAX + RECORD_SIGNATURE_ROOM];
  struct buf statement = buf_over(text, sizeof text);
  enum err err = take_user(keys, address, false, &user);
  if (err != OK) return err;
  EVP_PKEY *next[2] = {[USER_SIGNS] = EVP_EC_gen("P-256"), [USER_RECEIVES] = make_second(keys)};
  err = next[USER_SIGNS] != NULL && next[USER_RECEIVES] != NULL
            ? key_file_hash(next[USER_SIGNS], &owner)
            : ERR_MEMORY;
  if (err == OK) err = make_statement(&user, address, &owner, &statement);
  if (err == OK && statement.len > SUCCESSION_BYTES_MAX) err = ERR_LIMIT;
  if (err == OK) err = save_next(keys, address, next, buf_slice(&statement));
  EVP_PKEY_free(next[USER_SIGNS]);
  EVP_PKEY_free(next[USER_RECEIVES]);
  user_free(&user);
  return err;
}

bool user_keys_follow(struct user_keys *keys, struct slice address, const struct key *owner) {
  struct user user;
  struct key from;
  if (take_user(keys, address, false, &user) != OK) return false;
  bool follows = read_before(&user, &from) && key_equal(&from, owner);
  user_free(&user);
  return follows;
}

enum err user_keys_certify(struct user_keys *keys, struct slice address, struct slice pem,
                           unsigned *count) {
  struct user user;
  struct key hash;
  *count = 0;
  enum err err = take_user(keys, address, false, &user);
  if (err == OK && !hash_address(address, &hash)) err = ERR_UNSUPPORTED;
  if (err != OK) return err;
  int fd = lock_folder(keys);
  *count = save_certificates(keys, &hash, pem, user.key, &err);
  cache_drop(keys, &hash);
  unlock_folder(keys, fd);
  user_free(&user);
  return err == OK && *count == 0 ? ERR_REFUSED : err;
}

enum err user_keys_remove(struct user_keys *keys, struct slice address) {
  static const char *const ends[] = {".pem",     ".crt",      ".rsa.pem", ".rsa.crt",
                                     BEFORE_END, ADDRESS_END, MADE_END};
  struct key hash;
  char name[NAME_BYTES];
  if (!hash_address(address, &hash)) return ERR_UNSUPPORTED;
  int fd = lock_folder(keys);
  name_file(&hash, files[USER_SIGNS].key, name);
  bool there = has_file(keys, name);
  for (unsigned i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    name_file(&hash, ends[i], name);
    drop_file(keys, name);
  }
  cache_drop(keys, &hash);
  if (there && keys->users > 0) keys->users--;
  unlock_folder(keys, fd);
  return there ? OK : ERR_NOT_FOUND;
}

enum err user_keys_list(struct user_keys *keys,
                        void (*each)(void *context, struct slice address, const struct key *owner,
                                     bool complete),
                        void *context) {
  DIR *dir = opendir(keys->dir);
  if (dir == NULL) return ERR_IO;
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    char text[ADDRESS_BYTES_MAX + 1];
    size_t len = 0;
    struct key_error why;
    struct user user;
    struct slice name = slice_cstr(entry->d_name);
    if (name.len != KEY_HEX + 4 || strcmp(entry->d_name + KEY_HEX, ADDRESS_END) != 0) continue;
    if (file_load(keys->dir, entry->d_name, true, text, sizeof text, &len, &why) != OK) continue;
    struct slice address = slice_of(text, len);
    if (take_user(keys, address, false, &user) != OK) continue;
    each(context, address, &user.owner, user.key[USER_RECEIVES] != NULL);
    user_free(&user);
  }
  closedir(dir);
  return OK;
}
