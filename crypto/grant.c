/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/grant.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/peer.h"
#include "crypto/seal_tree.h"

#define FIRST_LINE "locser user keys 1 " /* then the address and a line end, then PEM */
#define VALUE_BYTES_MAX 16384u           /* */

struct slice grant_peer_address(const struct key *peer, char out[GRANT_PEER_BYTES]) {
  struct buf text = buf_over(out, GRANT_PEER_BYTES);
  buf_put_cstr(&text, "sip:");
  key_put(&text, peer);
  buf_put_cstr(&text, PEER_USER_DOMAIN);
  return buf_slice(&text);
}

static enum err import_key(struct user_keys *keys, struct slice address, EVP_PKEY *key) {
  BIO *memory = BIO_new(BIO_s_secmem());
  char *pem = NULL;
  bool good =
      memory != NULL && PEM_write_bio_PKCS8PrivateKey(memory, key, NULL, NULL, 0, NULL, NULL) == 1;
  long len = good ? BIO_get_mem_data(memory, &pem) : 0;
  enum err err = len > 0 ? user_keys_import(keys, address, slice_of(pem, (size_t)len)) : ERR_MEMORY;
  BIO_free(memory);
  return err;
}

static enum err import_certificate(struct user_keys *keys, struct slice address,
                                   X509 *certificate) {
  BIO *memory = BIO_new(BIO_s_mem());
  char *pem = NULL;
  unsigned count;
  bool good = memory != NULL && PEM_write_bio_X509(memory, certificate) == 1;
  long len = good ? BIO_get_mem_data(memory, &pem) : 0;
  enum err err =
      len > 0 ? user_keys_certify(keys, address, slice_of(pem, (size_t)len), &count) : ERR_MEMORY;
  BIO_free(memory);
  return err;
}

enum err grant_add_peer(struct user_keys *keys, const struct key *peer, EVP_PKEY *key,
                        X509 *certificate) {
  char text[GRANT_PEER_BYTES];
  struct slice address = grant_peer_address(peer, text);
  EVP_PKEY *there = NULL;
  enum err err = user_keys_key(keys, address, USER_SIGNS, &there);
  bool same = err == OK && EVP_PKEY_eq(there, key) == 1;
  EVP_PKEY_free(there);
  if (err == ERR_NOT_FOUND || (err == OK && !same)) err = import_key(keys, address, key);
  if (err == OK && certificate != NULL) err = import_certificate(keys, address, certificate);
  return err;
}

static void put_first_line(struct buf *out, struct slice address) {
  buf_put_cstr(out, FIRST_LINE);
  buf_put(out, address);
  buf_put_char(out, '\n');
}

enum err grant_make(struct user_keys *keys, struct slice address, const struct seal_recipient *to,
                    unsigned count, struct buf *out) {
  char memory[SEAL_PLAIN_MAX];
  struct buf plain = buf_over(memory, sizeof memory);
  size_t mark = out->len;
  if (count > GRANT_PEERS_MAX) return ERR_LIMIT;
  put_first_line(&plain, address);
  enum err err = user_keys_complete(keys, address);
  if (err == OK) err = user_keys_export(keys, address, true, &plain);
  if (err == OK && plain.overflow) err = ERR_LIMIT;
  if (err == OK) err = seal_make(to, count, buf_slice(&plain), out);
  OPENSSL_cleanse(memory, sizeof memory);
  if (err == OK && out->len - mark > VALUE_BYTES_MAX) {
    buf_truncate(out, mark);
    err = ERR_LIMIT;
  }
  return err;
}

/* Is the first private key in it that of the record's owner? */
static bool is_owners(struct slice pem, const struct key *owner) {
  char no_password[] = "";
  struct key hash;
  BIO *memory = BIO_new_mem_buf(pem.at, (int)pem.len);
  EVP_PKEY *key = memory != NULL ? PEM_read_bio_PrivateKey(memory, NULL, NULL, no_password) : NULL;
  bool good = key != NULL && key_file_is_p256(key) && key_file_hash(key, &hash) == OK &&
              key_equal(&hash, owner);
  EVP_PKEY_free(key);
  BIO_free(memory);
  return good;
}

enum err grant_take(struct user_keys *keys, struct slice address, const struct key *owner,
                    const struct key *peer, EVP_PKEY *key, struct slice sealed) {
  char memory[SEAL_PLAIN_MAX], line[1024];
  struct buf plain = buf_over(memory, sizeof memory), first = buf_over(line, sizeof line);
  put_first_line(&first, address);
  if (first.overflow) return ERR_REFUSED;
  enum err err = seal_open(peer, key, sealed, &plain);
  if (err == ERR_SYNTAX) err = ERR_REFUSED;
  struct slice pem = slice_skip(buf_slice(&plain), first.len);
  if (err == OK && user_keys_follow(keys, address, owner)) err = ERR_REFUSED; /* they are older */
  if (err == OK && (!slice_starts(buf_slice(&plain), buf_slice(&first)) || !is_owners(pem, owner) ||
                    user_keys_import(keys, address, pem) != OK))
    err = ERR_REFUSED;
  OPENSSL_cleanse(memory, sizeof memory);
  return err;
}

enum err grant_open(void *context, struct slice address, const struct key *owner,
                    struct slice sealed) {
  const struct grant_opener *opener = context;
  char text[GRANT_PEER_BYTES];
  EVP_PKEY *key = NULL;
  struct slice own = grant_peer_address(&opener->peer, text);
  enum err err = user_keys_key(opener->keys, own, USER_RECEIVES, &key);
  if (err == OK) err = grant_take(opener->keys, address, owner, &opener->peer, key, sealed);
  EVP_PKEY_free(key);
  return err;
}

unsigned grant_names(struct slice sealed, struct key *names, unsigned max) {
  struct seal_tree tree;
  unsigned count = 0;
  if (seal_tree_open(sealed, &tree))
    for (; count < tree.count && count < max; count++) names[count] = tree.name[count];
  seal_tree_close(&tree);
  return count;
}
