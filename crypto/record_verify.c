/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/record_verify.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/immutable.h"
#include "base/succession.h"
#include "crypto/certificate.h"
#include "crypto/digest.h"
#include "crypto/rights.h"
#include "crypto/signature.h"

#define WAYS 4u
#define HASH_BYTES 32u

struct hash {
  uint8_t byte[HASH_BYTES];
};
/* A certificate that was read: by the hash of its base64 text. */
struct known_key {
  struct hash hash;
  struct certificate_key key; /* key NULL: none */
  uint64_t judged;            /* the rights are of that generation; 0: not asked for yet */
  struct rights rights;
};
struct record_verifier {
  pthread_mutex_t lock;
  struct hash policy;
  unsigned sets, key_sets;
  uint8_t *turn, *key_turn; /* which way of a set gives way next */
  struct hash *good;        /* sets x WAYS; all zero: none */
  struct known_key *known;
  struct record_verifier_stats stats;
  X509_STORE *trusted; /* NULL: open overlay */
  uint64_t generation; /* of what the CA took back */
};

static bool hash_of(struct slice first, struct slice second, struct hash *out) {
  return digest_sha256(first, second, out->byte);
}

static bool hash_equal(const struct hash *a, const struct hash *b) {
  return memcmp(a, b, sizeof *a) == 0;
}

struct record_verifier *record_verifier_new(unsigned remembered, struct slice policy) {
  ASSERT(remembered >= WAYS && (remembered & (remembered - 1)) == 0);
  struct record_verifier *v = calloc(1, sizeof *v);
  if (v == NULL) return NULL;
  v->sets = remembered / WAYS;
  v->key_sets = v->sets < 16 ? 1 : v->sets / 16;
  v->turn = calloc(v->sets, 1);
  v->key_turn = calloc(v->key_sets, 1);
  v->good = calloc(v->sets, WAYS * sizeof *v->good);
  v->known = calloc(v->key_sets, WAYS * sizeof *v->known);
  pthread_mutex_init(&v->lock, NULL);
  if (v->turn == NULL || v->key_turn == NULL || v->good == NULL || v->known == NULL ||
      !hash_of(policy, SLICE_EMPTY, &v->policy)) {
    record_verifier_free(v);
    return NULL;
  }
  return v;
}

void record_verifier_free(struct record_verifier *v) {
  if (v == NULL) return;
  for (unsigned i = 0; v->known != NULL && i < v->key_sets * WAYS; i++)
    EVP_PKEY_free(v->known[i].key.key);
  pthread_mutex_destroy(&v->lock);
  free(v->turn);
  free(v->key_turn);
  free(v->good);
  free(v->known);
  free(v);
}

/* SHA-256 bytes are spread evenly already. */
static unsigned set_of(const struct hash *hash, unsigned sets) {
  unsigned n = (unsigned)hash->byte[0] << 16 | (unsigned)hash->byte[1] << 8 | hash->byte[2];
  return n % sets;
}

/* ---- what was found good ---- */

static bool is_remembered(struct record_verifier *v, const struct hash *hash) {
  const struct hash *set = &v->good[(size_t)set_of(hash, v->sets) * WAYS];
  bool found = false;
  pthread_mutex_lock(&v->lock);
  for (unsigned i = 0; i < WAYS && !found; i++) found = hash_equal(&set[i], hash);
  if (found) v->stats.remembered++;
  pthread_mutex_unlock(&v->lock);
  return found;
}

static void remember(struct record_verifier *v, const struct hash *hash) {
  unsigned at = set_of(hash, v->sets);
  pthread_mutex_lock(&v->lock);
  v->stats.verified++;
  v->good[(size_t)at * WAYS + v->turn[at]++ % WAYS] = *hash;
  pthread_mutex_unlock(&v->lock);
}

/* ---- keys of certificates ---- */

static bool find_key(struct record_verifier *v, const struct hash *hash,
                     struct certificate_key *out) {
  const struct known_key *set = &v->known[(size_t)set_of(hash, v->key_sets) * WAYS];
  bool found = false;
  pthread_mutex_lock(&v->lock);
  for (unsigned i = 0; i < WAYS && !found; i++) {
    if (set[i].key.key == NULL || !hash_equal(&set[i].hash, hash)) continue;
    found = EVP_PKEY_up_ref(set[i].key.key) == 1;
    *out = set[i].key;
  }
  pthread_mutex_unlock(&v->lock);
  return found;
}

static void keep_key(struct record_verifier *v, const struct hash *hash,
                     const struct certificate_key *key) {
  if (EVP_PKEY_up_ref(key->key) != 1) return;
  unsigned at = set_of(hash, v->key_sets);
  pthread_mutex_lock(&v->lock);
  struct known_key *place = &v->known[(size_t)at * WAYS + v->key_turn[at]++ % WAYS];
  EVP_PKEY *old = place->key.key;
  *place = (struct known_key){.hash = *hash, .key = *key};
  pthread_mutex_unlock(&v->lock);
  EVP_PKEY_free(old);
}

/* The key of a base64 certificate; the caller frees it. */
static enum err open_key(struct record_verifier *v, struct slice text,
                         struct certificate_key *out) {
  struct hash hash;
  if (!hash_of(text, SLICE_EMPTY, &hash)) return ERR_MEMORY;
  if (find_key(v, &hash, out)) return OK;
  uint8_t der[RECORD_CERTIFICATE_MAX + 2];
  size_t len = sizeof der;
  if (!base64_decode(text, der, &len)) return ERR_SYNTAX;
  enum err err = certificate_read(slice_of(der, len), out);
  if (err == OK) keep_key(v, &hash, out);
  return err;
}

/* ---- a record ---- */

static const char *what_xmlsec_refuses(struct slice record, EVP_PKEY *key) {
  const char *why = NULL;
  struct signature_tree tree;
  if (!signature_tree_open(record, &tree))
    why = "the record is not well-formed, or an Id stands in it twice";
  else if (!signature_verify(&tree, key))
    why = "the signature is not of this record by this key";
  signature_tree_close(&tree);
  return why;
}

static void sha256(void *context, struct slice data, uint8_t out[32]) {
  (void)context;
  if (!digest_sha256(data, SLICE_EMPTY, out)) memset(out, 0, 32);
}

/* */
static const char *what_is_wrong_in(struct record_verifier *v, struct slice record,
                                    struct record_layout *out) {
  struct record_layout layout;
  const char *why = NULL;
  if (record_layout_read(record, &layout, &why) != OK) return why;
  *out = layout;
  if (!signature_digest_is(layout.key, layout.key_digest))
    return "DigestValue of the key is of other bytes than those of the key";
  if (!signature_digest_is(layout.value, layout.value_digest))
    return "DigestValue of the value is of other bytes than those of the value";
  struct certificate_key certificate;
  enum err err = open_key(v, layout.certificate, &certificate);
  if (err == ERR_UNSUPPORTED) return "the certificate's key is neither P-256 nor RSA of 2048 bits";
  if (err != OK) return "X509Certificate is not one certificate";
  if (certificate.algorithm != layout.algorithm)
    why = "SignatureMethod does not go with the certificate's key";
  else if (!key_equal(&certificate.owner, &layout.signer))
    why = "o:owner, or o:by, is not the hash of the certificate's key";
  else
    why = what_xmlsec_refuses(record, certificate.key);
  EVP_PKEY_free(certificate.key);
  return why;
}

/* a statement that a record carries is as good as the record. It carries none itself, so
 * there are two signatures at most. */
static const char *what_is_wrong_before(struct record_verifier *v,
                                        const struct record_layout *carrier) {
  char text[SUCCESSION_BYTES_MAX];
  struct buf statement = buf_over(text, sizeof text);
  struct succession succession;
  struct record_layout layout;
  struct slice base64 = slice_starts(carrier->key_text, SUCCESSION_SCHEME)
                            ? succession_find(carrier->content)
                            : SLICE_EMPTY;
  if (base64.len == 0) return NULL;
  if (!succession_read(base64, carrier->key_text, &statement, &succession))
    return "o:before is not a statement about the same address";
  if (!key_equal(&succession.to, &carrier->owner)) return "o:before names another key";
  return what_is_wrong_in(v, buf_slice(&statement), &layout);
}

/* Of an immutable value. */
static const char *what_is_wrong(struct record_verifier *v, struct slice record) {
  static const struct crypto hashes = {.sha256 = sha256};
  struct record_layout layout = {0};
  const char *why = NULL;
  if (immutable_is_record(record))
    return immutable_verify(&hashes, record, &why) == OK ? NULL : why;
  why = what_is_wrong_in(v, record, &layout);
  return why != NULL ? why : what_is_wrong_before(v, &layout);
}

enum err record_verify(struct record_verifier *v, struct slice record, const char **why) {
  struct hash hash;
  if (!hash_of(slice_of(v->policy.byte, HASH_BYTES), record, &hash)) {
    *why = "no memory";
    return ERR_MEMORY;
  }
  if (is_remembered(v, &hash)) return OK;
  const char *wrong = what_is_wrong(v, record);
  if (wrong == NULL) {
    remember(v, &hash);
    return OK;
  }
  pthread_mutex_lock(&v->lock);
  v->stats.refused++;
  pthread_mutex_unlock(&v->lock);
  *why = wrong;
  return ERR_REFUSED;
}

struct record_verifier_stats record_verifier_stats(struct record_verifier *v) {
  pthread_mutex_lock(&v->lock);
  struct record_verifier_stats stats = v->stats;
  pthread_mutex_unlock(&v->lock);
  return stats;
}

/* ---- a closed overlay (R-6.14) ---- */

void record_verifier_trust(struct record_verifier *v, X509_STORE *trusted) {
  pthread_mutex_lock(&v->lock);
  v->trusted = trusted;
  v->generation++;
  pthread_mutex_unlock(&v->lock);
}

static bool find_rights(struct record_verifier *v, const struct hash *hash, struct rights *out) {
  const struct known_key *set = &v->known[(size_t)set_of(hash, v->key_sets) * WAYS];
  bool found = false;
  pthread_mutex_lock(&v->lock);
  for (unsigned i = 0; i < WAYS && !found; i++) {
    found =
        set[i].judged == v->generation && set[i].key.key != NULL && hash_equal(&set[i].hash, hash);
    if (found) *out = set[i].rights;
  }
  pthread_mutex_unlock(&v->lock);
  return found;
}

static void keep_rights(struct record_verifier *v, const struct hash *hash, uint64_t generation,
                        const struct rights *rights) {
  struct known_key *set = &v->known[(size_t)set_of(hash, v->key_sets) * WAYS];
  pthread_mutex_lock(&v->lock);
  for (unsigned i = 0; i < WAYS; i++) {
    if (set[i].key.key == NULL || !hash_equal(&set[i].hash, hash)) continue;
    set[i].judged = generation;
    set[i].rights = *rights;
  }
  pthread_mutex_unlock(&v->lock);
}

/* The record has been verified. False: nobody asked for its signer's rights since the CA changed.
 */
static bool recall_rights(struct record_verifier *v, const struct record_layout *layout,
                          struct hash *hash, struct rights *out) {
  return hash_of(layout->certificate, SLICE_EMPTY, hash) && find_rights(v, hash, out);
}

static void judge_signer(struct record_verifier *v, struct slice record, struct rights *out) {
  struct record_layout layout;
  const char *why;
  struct hash hash;
  uint8_t der[RECORD_CERTIFICATE_MAX + 2];
  size_t len = sizeof der;
  *out = (struct rights){0};
  if (record_layout_read(record, &layout, &why) != OK || recall_rights(v, &layout, &hash, out) ||
      !base64_decode(layout.certificate, der, &len))
    return;
  pthread_mutex_lock(&v->lock);
  uint64_t generation = v->generation;
  pthread_mutex_unlock(&v->lock);
  rights_of(v->trusted, slice_of(der, len), out);
  keep_rights(v, &hash, generation, out);
}

static enum err say_rights(const struct rights *rights, struct buf *names, bool *issued) {
  time_t now = time(NULL);
  *issued = rights->issued && rights->from <= now && now < rights->until;
  if (*issued) buf_put(names, slice_of(rights->names, rights->names_len));
  return names->overflow ? ERR_MEMORY : OK;
}

enum err record_verify_for(void *context, struct slice record, struct buf *names, bool *issued,
                           const char **why) {
  struct record_verifier *v = context;
  struct rights rights = {0};
  enum err err = record_verify(v, record, why);
  if (err != OK || v->trusted == NULL) return err;
  judge_signer(v, record, &rights);
  return say_rights(&rights, names, issued);
}

bool record_recall_for(void *context, struct slice record, struct buf *names, bool *issued) {
  struct record_verifier *v = context;
  struct record_layout layout;
  struct rights rights;
  struct hash hash;
  const char *why;
  if (!hash_of(slice_of(v->policy.byte, HASH_BYTES), record, &hash) || !is_remembered(v, &hash))
    return false;
  if (v->trusted == NULL) return true;
  return record_layout_read(record, &layout, &why) == OK &&
         recall_rights(v, &layout, &hash, &rights) && say_rights(&rights, names, issued) == OK;
}
