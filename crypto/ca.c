/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/ca.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/peer.h"
#include "crypto/certificate.h"
#include "crypto/key_file.h"
#include "crypto/pem.h"

#define KEY_NAME "ca.key"
#define CERTIFICATE_NAME "ca.pem"
#define LIST_NAME "revoked.pem"
#define ISSUED_NAME "issued"
#define DAY_S 86400L
#define BACK_S 3600L /* for clocks that are behind */

struct ca {
  EVP_PKEY *key;
  X509 *certificate;
};

static void ca_close(struct ca *ca) {
  EVP_PKEY_free(ca->key);
  X509_free(ca->certificate);
}

/* ---- PEM ---- */

static bool put_certificate(struct buf *out, X509 *certificate) {
  BIO *memory = BIO_new(BIO_s_mem());
  return pem_put(out, memory, memory != NULL && PEM_write_bio_X509(memory, certificate) == 1);
}

static bool put_list(struct buf *out, X509_CRL *list) {
  BIO *memory = BIO_new(BIO_s_mem());
  return pem_put(out, memory, memory != NULL && PEM_write_bio_X509_CRL(memory, list) == 1);
}

static enum err read_text(const char *dir, const char *name, char *text, struct slice *out,
                          struct key_error *why) {
  size_t len = 0;
  enum err err = file_load(dir, name, false, text, CA_PEM_BYTES, &len, why);
  *out = slice_of(text, len);
  return err;
}

static X509 *read_certificate(const char *dir, const char *name, struct key_error *why) {
  char text[CA_PEM_BYTES];
  struct slice pem;
  if (read_text(dir, name, text, &pem, why) != OK) return NULL;
  BIO *memory = BIO_new_mem_buf(pem.at, (int)pem.len);
  X509 *certificate = memory != NULL ? PEM_read_bio_X509(memory, NULL, NULL, NULL) : NULL;
  BIO_free(memory);
  if (certificate == NULL) (void)file_error(why, ERR_CORRUPT, name, "not a certificate in PEM");
  return certificate;
}

static X509_CRL *read_list(const char *dir, struct key_error *why) {
  char text[CA_PEM_BYTES];
  struct slice pem;
  if (read_text(dir, LIST_NAME, text, &pem, why) != OK) return NULL;
  BIO *memory = BIO_new_mem_buf(pem.at, (int)pem.len);
  X509_CRL *list = memory != NULL ? PEM_read_bio_X509_CRL(memory, NULL, NULL, NULL) : NULL;
  BIO_free(memory);
  if (list == NULL) (void)file_error(why, ERR_CORRUPT, LIST_NAME, "not a list in PEM");
  return list;
}

static enum err ca_open(const char *dir, struct ca *ca, struct key_error *why) {
  *ca = (struct ca){0};
  enum err err = key_file_load(dir, KEY_NAME, &ca->key, why);
  if (err == ERR_NOT_FOUND)
    return file_error(why, err, dir, "no overlay CA is here; make one: locser ca init");
  if (err != OK) return err;
  ca->certificate = read_certificate(dir, CERTIFICATE_NAME, why);
  if (ca->certificate != NULL) return OK;
  ca_close(ca);
  return ERR_CORRUPT;
}

/* ---- certificates ---- */

static bool extend(X509 *certificate, X509 *issuer, int nid, const char *value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
  bool good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return good;
}

static bool set_random_serial(X509 *certificate) {
  uint64_t serial;
  return RAND_bytes((unsigned char *)&serial, sizeof serial) == 1 &&
         ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1;
}

static X509 *certificate_for(EVP_PKEY *key, const char *name, long days) {
  X509 *x = X509_new();
  bool good = x != NULL && X509_set_version(x, X509_VERSION_3) == 1 && set_random_serial(x) &&
              X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                                         (const unsigned char *)name, -1, -1, 0) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(x), -BACK_S) != NULL &&
              X509_gmtime_adj(X509_getm_notAfter(x), days * DAY_S) != NULL &&
              X509_set_pubkey(x, key) == 1;
  if (good) return x;
  X509_free(x);
  return NULL;
}

static bool sign_own(X509 *x, EVP_PKEY *key) {
  return X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
         extend(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
         extend(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
         extend(x, x, NID_subject_key_identifier, "hash") && X509_sign(x, key, EVP_sha256()) > 0;
}

/* Also for the peer as a user, so that it may say how to encrypt to it. */
static bool sign_peer(X509 *x, const char *id, const struct ca *ca) {
  char name[KEY_HEX + 32];
  snprintf(name, sizeof name, "URI:sip:%s" PEER_USER_DOMAIN, id);
  return X509_set_issuer_name(x, X509_get_subject_name(ca->certificate)) == 1 &&
         extend(x, ca->certificate, NID_basic_constraints, "critical,CA:FALSE") &&
         extend(x, ca->certificate, NID_key_usage, "critical,digitalSignature") &&
         extend(x, ca->certificate, NID_ext_key_usage, "serverAuth,clientAuth") &&
         extend(x, ca->certificate, NID_subject_alt_name, name) &&
         extend(x, ca->certificate, NID_authority_key_identifier, "keyid:always") &&
         X509_sign(x, ca->key, EVP_sha256()) > 0;
}

/* S/MIME is what a user's certificate is for (RFC 3261 section 23.1); it opens no link. */
static bool sign_user(X509 *x, const struct ca *ca, struct slice name, bool receives) {
  bool whole_domain = slice_find_byte(name, '@') == name.len;
  return X509_set_issuer_name(x, X509_get_subject_name(ca->certificate)) == 1 &&
         extend(x, ca->certificate, NID_basic_constraints, "critical,CA:FALSE") &&
         extend(x, ca->certificate, NID_key_usage,
                receives ? "critical,keyEncipherment" : "critical,digitalSignature") &&
         extend(x, ca->certificate, NID_ext_key_usage, "emailProtection") &&
         extend(x, ca->certificate, NID_authority_key_identifier, "keyid:always") &&
         certificate_name_user(x, whole_domain ? GEN_DNS : GEN_URI, name) &&
         X509_sign(x, ca->key, EVP_sha256()) > 0;
}

static bool sign_list(X509_CRL *list, const struct ca *ca) {
  ASN1_TIME *now = X509_gmtime_adj(NULL, -BACK_S);
  ASN1_TIME *next = X509_gmtime_adj(NULL, (long)CA_LIST_DAYS * DAY_S);
  bool good = now != NULL && next != NULL && X509_CRL_set_version(list, X509_CRL_VERSION_2) == 1 &&
              X509_CRL_set_issuer_name(list, X509_get_subject_name(ca->certificate)) == 1 &&
              X509_CRL_set1_lastUpdate(list, now) == 1 &&
              X509_CRL_set1_nextUpdate(list, next) == 1 && X509_CRL_sort(list) == 1 &&
              X509_CRL_sign(list, ca->key, EVP_sha256()) > 0;
  ASN1_TIME_free(now);
  ASN1_TIME_free(next);
  return good;
}

static enum err save_certificate(const char *dir, const char *name, X509 *x,
                                 struct key_error *why) {
  char text[CA_PEM_BYTES];
  struct buf out = buf_over(text, sizeof text);
  if (!put_certificate(&out, x)) return file_error(why, ERR_MEMORY, name, "OpenSSL wrote nothing");
  return file_save(dir, name, buf_slice(&out), 0644, why);
}

static enum err save_list(const char *dir, X509_CRL *list, struct buf *out, struct key_error *why) {
  size_t mark = out->len;
  if (!put_list(out, list)) return file_error(why, ERR_MEMORY, LIST_NAME, "OpenSSL wrote nothing");
  return file_save(dir, LIST_NAME, slice_skip(buf_slice(out), mark), 0644, why);
}

/* ---- what is asked of it ---- */

static enum err make_folder(const char *path, struct key_error *why) {
  if (mkdir(path, 0700) == 0 || errno == EEXIST) return OK;
  return file_error(why, ERR_IO, path, strerror(errno));
}

static enum err begin_list(const char *dir, const struct ca *ca, struct key_error *why) {
  char text[CA_PEM_BYTES];
  struct buf out = buf_over(text, sizeof text);
  X509_CRL *list = X509_CRL_new();
  enum err err = list != NULL && sign_list(list, ca)
                     ? save_list(dir, list, &out, why)
                     : file_error(why, ERR_MEMORY, dir, "OpenSSL made no list");
  X509_CRL_free(list);
  return err;
}

enum err ca_init(const char *dir, const char *name, struct key_error *why) {
  char issued[FILE_PATH_BYTES], path[FILE_PATH_BYTES];
  struct stat status;
  struct ca ca = {0};
  enum err err = file_path(issued, dir, ISSUED_NAME, why);
  if (err == OK) err = file_path(path, dir, KEY_NAME, why);
  if (err == OK && lstat(path, &status) == 0)
    return file_error(why, ERR_EXISTS, path, "there is an overlay CA here already");
  if (err == OK) err = make_folder(dir, why);
  if (err == OK) err = make_folder(issued, why);
  if (err == OK) err = key_file_new(dir, KEY_NAME, &ca.key, why);
  if (err != OK) return err;
  ca.certificate = certificate_for(ca.key, name, CA_DAYS);
  if (ca.certificate == NULL || !sign_own(ca.certificate, ca.key))
    err = file_error(why, ERR_SYNTAX, name, "OpenSSL makes no certificate with this name");
  if (err == OK) err = save_certificate(dir, CERTIFICATE_NAME, ca.certificate, why);
  if (err == OK) err = begin_list(dir, &ca, why);
  ca_close(&ca);
  return err;
}

enum err ca_certificate(const char *dir, struct buf *out, struct key_error *why) {
  X509 *certificate = read_certificate(dir, CERTIFICATE_NAME, why);
  if (certificate == NULL) return ERR_NOT_FOUND;
  bool good = put_certificate(out, certificate);
  X509_free(certificate);
  return good ? OK : file_error(why, ERR_FULL, dir, "OpenSSL wrote nothing");
}

static EVP_PKEY *read_public_key(struct slice pem) {
  BIO *memory = BIO_new_mem_buf(pem.at, (int)pem.len);
  EVP_PKEY *key = memory != NULL ? PEM_read_bio_PUBKEY(memory, NULL, NULL, NULL) : NULL;
  BIO_free(memory);
  return key;
}

/* issued/PEER-ID.SERIAL.pem */
static enum err keep(const char *dir, const struct key *id, X509 *x, struct key_error *why) {
  char folder[FILE_PATH_BYTES], name[KEY_HEX + 32];
  uint64_t serial = 0;
  struct buf out = buf_over(name, sizeof name - 1);
  ASN1_INTEGER_get_uint64(&serial, X509_get0_serialNumber(x));
  key_put(&out, id);
  buf_put_char(&out, '.');
  buf_put_hex64(&out, serial, 16);
  buf_put_cstr(&out, ".pem");
  buf_put_char(&out, '\0');
  enum err err = file_path(folder, dir, ISSUED_NAME, why);
  return err != OK ? err : save_certificate(folder, name, x, why);
}

enum err ca_issue_peer(const char *dir, struct slice public_key, unsigned days, struct key *id,
                       struct buf *out, struct key_error *why) {
  struct ca ca;
  char name[KEY_HEX + 1];
  struct buf hex = buf_over(name, sizeof name);
  EVP_PKEY *key = read_public_key(public_key);
  if (key == NULL)
    return file_error(why, ERR_SYNTAX, "the peer's key",
                      "not a public key in PEM; the peer prints it: locser identity export");
  enum err err = ca_open(dir, &ca, why);
  if (err == OK && (!key_file_is_p256(key) || key_file_hash(key, id) != OK)) {
    err = file_error(why, ERR_REFUSED, "the peer's key", "not a P-256 key");
    ca_close(&ca);
  }
  if (err == OK) {
    key_put(&hex, id);
    buf_put_char(&hex, '\0');
    X509 *x = certificate_for(key, name, (long)days);
    if (x == NULL || !sign_peer(x, name, &ca))
      err = file_error(why, ERR_MEMORY, dir, "OpenSSL failed");
    if (err == OK) err = keep(dir, id, x, why);
    if (err == OK && (!put_certificate(out, x) || !put_certificate(out, ca.certificate)))
      err = file_error(why, ERR_FULL, dir, "OpenSSL wrote nothing");
    X509_free(x);
    ca_close(&ca);
  }
  EVP_PKEY_free(key);
  return err;
}

/* "sip:bob@example.net" or "example.net"; the host in lower case. */
static bool put_user_name(struct slice text, struct buf *out) {
  if (slice_starts(text, SLICE("sip:"))) text = slice_skip(text, 4);
  size_t at = slice_find_byte(text, '@');
  bool whole_domain = at == text.len;
  struct slice host = whole_domain ? text : slice_skip(text, at + 1);
  if (host.len == 0 || at == 0) return false;
  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] <= ' ' || text.at[i] > '~') return false;
  if (!whole_domain) buf_put_cstr(out, "sip:");
  if (!whole_domain) buf_put(out, slice_first(text, at + 1));
  for (size_t i = 0; i < host.len; i++)
    buf_put_char(out,
                 host.at[i] >= 'A' && host.at[i] <= 'Z' ? (char)(host.at[i] | 0x20) : host.at[i]);
  return !out->overflow;
}

static enum err issue_user_key(const char *dir, const struct ca *ca, EVP_PKEY *key,
                               struct slice name, unsigned days, struct buf *out,
                               struct key_error *why) {
  struct key id;
  char cn[65];
  bool receives = key_file_is_rsa(key);
  if ((!receives && !key_file_is_p256(key)) || key_file_hash(key, &id) != OK)
    return file_error(why, ERR_REFUSED, "the user's key", "neither P-256 nor RSA of 2048 bits");
  struct slice bare = slice_skip(name, slice_starts(name, SLICE("sip:")) ? 4 : 0);
  struct buf cn_text = buf_over(cn, sizeof cn - 1);
  if (bare.len < sizeof cn)
    buf_put(&cn_text, bare);
  else
    key_put(&cn_text, &id);
  cn[cn_text.len] = '\0';
  X509 *x = certificate_for(key, cn, (long)days);
  enum err err = x != NULL && sign_user(x, ca, name, receives)
                     ? keep(dir, &id, x, why)
                     : file_error(why, ERR_MEMORY, dir, "OpenSSL failed");
  if (err == OK && !put_certificate(out, x))
    err = file_error(why, ERR_FULL, dir, "OpenSSL wrote nothing");
  X509_free(x);
  return err;
}

enum err ca_issue_user(const char *dir, struct slice address, struct slice public_keys,
                       unsigned days, struct buf *out, struct key_error *why) {
  struct ca ca;
  char text[1024];
  struct buf name = buf_over(text, sizeof text);
  if (!put_user_name(address, &name))
    return file_error(why, ERR_SYNTAX, "the user", "say an address, bob@example.net, or a domain");
  enum err err = ca_open(dir, &ca, why);
  if (err != OK) return err;
  BIO *memory = BIO_new_mem_buf(public_keys.at, (int)public_keys.len);
  unsigned count = 0;
  for (EVP_PKEY *key; memory != NULL && err == OK && count < 2 &&
                      (key = PEM_read_bio_PUBKEY(memory, NULL, NULL, NULL)) != NULL;
       count++) {
    err = issue_user_key(dir, &ca, key, buf_slice(&name), days, out, why);
    EVP_PKEY_free(key);
  }
  BIO_free(memory);
  if (err == OK && count == 0)
    err = file_error(why, ERR_SYNTAX, "the user's keys",
                     "no public key in PEM; the home peer prints them: locser user request");
  if (err == OK && !put_certificate(out, ca.certificate))
    err = file_error(why, ERR_FULL, dir, "OpenSSL wrote nothing");
  ca_close(&ca);
  return err;
}

static bool is_named(X509 *certificate, struct slice name) {
  GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
  bool found = false;
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
    const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
    if (one->type != GEN_URI && one->type != GEN_DNS) continue;
    found = slice_equal(
        name, slice_of(ASN1_STRING_get0_data(one->d.ia5), (size_t)ASN1_STRING_length(one->d.ia5)));
  }
  GENERAL_NAMES_free(names);
  return found;
}

static bool take_back(X509_CRL *list, const X509 *certificate) {
  X509_REVOKED *revoked = X509_REVOKED_new();
  ASN1_TIME *now = X509_gmtime_adj(NULL, 0);
  bool good = revoked != NULL && now != NULL &&
              X509_REVOKED_set_serialNumber(
                  revoked, (ASN1_INTEGER *)X509_get0_serialNumber(certificate)) == 1 &&
              X509_REVOKED_set_revocationDate(revoked, now) == 1 &&
              X509_CRL_add0_revoked(list, revoked) == 1;
  ASN1_TIME_free(now);
  if (!good) X509_REVOKED_free(revoked);
  return good;
}

/* How many there were; less than 0: one could not be read. */
static int take_back_all(const char *dir, const struct key *id, struct slice user, X509_CRL *list,
                         struct key_error *why) {
  char folder[FILE_PATH_BYTES], name[KEY_HEX];
  struct buf hex = buf_over(name, sizeof name);
  int count = 0;
  if (id != NULL) key_put(&hex, id);
  if (file_path(folder, dir, ISSUED_NAME, why) != OK) return -1;
  DIR *open = opendir(folder);
  if (open == NULL) return 0;
  for (const struct dirent *entry; count >= 0 && (entry = readdir(open)) != NULL;) {
    struct slice file = slice_cstr(entry->d_name);
    if (file.len < KEY_HEX || (id != NULL && memcmp(file.at, name, KEY_HEX) != 0)) continue;
    X509 *certificate = read_certificate(folder, entry->d_name, why);
    X509_REVOKED *already = NULL;
    bool wanted = id != NULL || certificate == NULL || is_named(certificate, user);
    if (certificate == NULL || (wanted && X509_CRL_get0_by_cert(list, &already, certificate) == 0 &&
                                !take_back(list, certificate)))
      count = -1;
    else if (wanted)
      count++;
    X509_free(certificate);
  }
  closedir(open);
  return count;
}

enum err ca_revoke(const char *dir, struct slice who, struct buf *out, struct key_error *why) {
  struct ca ca;
  struct key id;
  char text[1024];
  struct buf name = buf_over(text, sizeof text);
  bool by_key = key_parse(who, &id);
  if (!by_key && !put_user_name(who, &name))
    return file_error(why, ERR_SYNTAX, "revoke",
                      "say a Peer-ID of 40 hexadecimal digits, or a user's address");
  enum err err = ca_open(dir, &ca, why);
  if (err != OK) return err;
  X509_CRL *list = read_list(dir, why);
  int count =
      list != NULL ? take_back_all(dir, by_key ? &id : NULL, buf_slice(&name), list, why) : -1;
  if (count < 0)
    err = ERR_CORRUPT;
  else if (count == 0)
    err = file_error(why, ERR_NOT_FOUND, dir,
                     "no certificate was issued for this Peer-ID or address");
  else if (!sign_list(list, &ca))
    err = file_error(why, ERR_MEMORY, dir, "OpenSSL signed no list");
  else
    err = save_list(dir, list, out, why);
  X509_CRL_free(list);
  ca_close(&ca);
  return err;
}
