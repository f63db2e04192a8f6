/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/membership.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "crypto/ca.h"

#define OVERLAY_NAME "overlay-ca.pem"
#define CERTIFICATE_NAME "certificate.pem"
#define REVOKED_NAME "revoked.pem"

/* One of each kind, as it came. */
struct parts {
  X509 *overlay, *certificate;
  X509_CRL *revoked;
};

static void parts_free(struct parts *parts) {
  X509_free(parts->overlay);
  X509_free(parts->certificate);
  X509_CRL_free(parts->revoked);
}

/* The first of each kind counts. */
static void take(struct parts *parts, X509_INFO *info) {
  if (info->x509 != NULL) {
    X509 **place = X509_check_ca(info->x509) != 0 ? &parts->overlay : &parts->certificate;
    if (*place == NULL && X509_up_ref(info->x509) == 1) *place = info->x509;
  }
  if (info->crl != NULL && parts->revoked == NULL && X509_CRL_up_ref(info->crl) == 1)
    parts->revoked = info->crl;
}

static void parts_read(struct slice pem, struct parts *parts) {
  BIO *memory = BIO_new_mem_buf(pem.at, (int)pem.len);
  STACK_OF(X509_INFO) *infos =
      memory != NULL ? PEM_X509_INFO_read_bio(memory, NULL, NULL, NULL) : NULL;
  BIO_free(memory);
  for (int i = 0; i < sk_X509_INFO_num(infos); i++) take(parts, sk_X509_INFO_value(infos, i));
  sk_X509_INFO_pop_free(infos, X509_INFO_free);
}

/* ERR_NOT_FOUND: no such file. */
static enum err parts_load(const char *dir, const char *name, struct parts *parts,
                           struct key_error *why) {
  char text[CA_PEM_BYTES];
  size_t len = 0;
  enum err err = file_load(dir, name, false, text, sizeof text, &len, why);
  if (err == OK) parts_read(slice_of(text, len), parts);
  return err;
}

static bool by_overlay(X509 *certificate, X509 *overlay) {
  return overlay != NULL && X509_check_issued(overlay, certificate) == X509_V_OK &&
         X509_verify(certificate, X509_get0_pubkey(overlay)) == 1;
}

static bool list_by_overlay(X509_CRL *list, X509 *overlay) {
  return overlay != NULL && X509_CRL_verify(list, X509_get0_pubkey(overlay)) == 1;
}

/* ---- opening (R-6.29) ---- */

static enum err check_own(const char *dir, const struct identity *identity,
                          const struct parts *parts, struct key_error *why) {
  if (parts->certificate == NULL)
    return file_error(why, ERR_REFUSED, dir,
                      "the overlay is closed (" OVERLAY_NAME
                      ") and this peer has no certificate; "
                      "ask its CA for one, and then: locser identity import FILE");
  if (EVP_PKEY_eq(X509_get0_pubkey(parts->certificate), identity->key) != 1 ||
      !by_overlay(parts->certificate, parts->overlay))
    return file_error(why, ERR_REFUSED, dir,
                      CERTIFICATE_NAME " is not for this peer's key, or not by " OVERLAY_NAME);
  return OK;
}

static X509_STORE *store_of(const struct parts *parts) {
  X509_STORE *store = X509_STORE_new();
  bool good = store != NULL && X509_STORE_add_cert(store, parts->overlay) == 1;
  if (good && parts->revoked != NULL)
    good = X509_STORE_add_crl(store, parts->revoked) == 1 &&
           X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1;
  if (good) return store;
  X509_STORE_free(store);
  return NULL;
}

static enum err load_all(const char *dir, struct parts *parts, struct key_error *why) {
  enum err err = parts_load(dir, OVERLAY_NAME, parts, why);
  if (err != OK) return err;
  if (parts->overlay == NULL)
    return file_error(why, ERR_CORRUPT, dir, OVERLAY_NAME " holds no certificate of a CA");
  err = parts_load(dir, CERTIFICATE_NAME, parts, why);
  if (err == OK || err == ERR_NOT_FOUND) err = parts_load(dir, REVOKED_NAME, parts, why);
  if (err != OK && err != ERR_NOT_FOUND) return err;
  if (parts->revoked != NULL && !list_by_overlay(parts->revoked, parts->overlay))
    return file_error(why, ERR_CORRUPT, dir, REVOKED_NAME " is not signed by " OVERLAY_NAME);
  return OK;
}

enum err membership_open(const char *dir, const struct identity *identity, struct membership *out,
                         struct key_error *why) {
  struct parts parts = {0};
  *out = (struct membership){0};
  enum err err = load_all(dir, &parts, why);
  bool closed = err != ERR_NOT_FOUND;
  if (err == OK) err = check_own(dir, identity, &parts, why);
  if (err == OK) {
    out->trusted = store_of(&parts);
    if (out->trusted == NULL) err = file_error(why, ERR_MEMORY, dir, "OpenSSL failed");
  }
  if (err == OK) {
    out->certificate = parts.certificate;
    parts.certificate = NULL;
  }
  parts_free(&parts);
  return closed ? err : OK;
}

enum err membership_renew(const char *dir, struct membership *membership, struct key_error *why) {
  struct parts parts = {0};
  if (membership->trusted == NULL) return OK;
  enum err err = load_all(dir, &parts, why);
  if (err == OK && parts.revoked != NULL &&
      (X509_STORE_add_crl(membership->trusted, parts.revoked) != 1 ||
       X509_STORE_set_flags(membership->trusted, X509_V_FLAG_CRL_CHECK) != 1))
    err = file_error(why, ERR_MEMORY, dir, "OpenSSL failed");
  parts_free(&parts);
  return err;
}

void membership_close(struct membership *membership) {
  X509_free(membership->certificate);
  X509_STORE_free(membership->trusted);
  *membership = (struct membership){0};
}

/* ---- importing ---- */

static enum err check_import(const char *dir, const struct identity *identity,
                             const struct parts *parts, X509 *overlay, struct key_error *why) {
  if (parts->overlay == NULL && parts->certificate == NULL && parts->revoked == NULL)
    return file_error(
        why, ERR_SYNTAX, dir,
        "nothing to import: neither a certificate nor a list of revoked ones, in PEM");
  if (overlay == NULL)
    return file_error(why, ERR_REFUSED, dir, "the certificate of the overlay's CA is missing");
  if (parts->certificate != NULL && !by_overlay(parts->certificate, overlay))
    return file_error(why, ERR_REFUSED, dir, "the certificate is not by the overlay's CA");
  if (parts->certificate != NULL &&
      EVP_PKEY_eq(X509_get0_pubkey(parts->certificate), identity->key) != 1)
    return file_error(why, ERR_REFUSED, dir, "the certificate is for another peer's key");
  if (parts->revoked != NULL && !list_by_overlay(parts->revoked, overlay))
    return file_error(why, ERR_REFUSED, dir, "the list is not signed by the overlay's CA");
  return OK;
}

static enum err save(const char *dir, const char *name, X509 *certificate, X509_CRL *list,
                     struct key_error *why) {
  char *text = NULL;
  BIO *memory = BIO_new(BIO_s_mem());
  bool good = memory != NULL && (certificate != NULL ? PEM_write_bio_X509(memory, certificate)
                                                     : PEM_write_bio_X509_CRL(memory, list)) == 1;
  long len = good ? BIO_get_mem_data(memory, &text) : 0;
  enum err err = len > 0 ? file_save(dir, name, slice_of(text, (size_t)len), 0644, why)
                         : file_error(why, ERR_MEMORY, name, "OpenSSL wrote nothing");
  BIO_free(memory);
  return err;
}

enum err membership_import(const char *dir, const struct identity *identity, struct slice pem,
                           struct membership_import *done, struct key_error *why) {
  struct parts parts = {0}, there = {0};
  struct key_error unused;
  *done = (struct membership_import){0};
  parts_read(pem, &parts);
  (void)parts_load(dir, OVERLAY_NAME, &there, &unused);
  X509 *overlay = parts.overlay != NULL ? parts.overlay : there.overlay;
  enum err err = check_import(dir, identity, &parts, overlay, why);
  if (err == OK && parts.certificate != NULL)
    err = save(dir, CERTIFICATE_NAME, parts.certificate, NULL, why);
  if (err == OK && parts.revoked != NULL) err = save(dir, REVOKED_NAME, NULL, parts.revoked, why);
  if (err == OK && parts.overlay != NULL) err = save(dir, OVERLAY_NAME, parts.overlay, NULL, why);
  if (err == OK)
    *done = (struct membership_import){.overlay = parts.overlay != NULL,
                                       .certificate = parts.certificate != NULL,
                                       .revoked = parts.revoked != NULL};
  parts_free(&parts);
  parts_free(&there);
  return err;
}

enum err membership_check_user(const char *dir, struct slice pem, struct key_error *why) {
  struct parts there = {0};
  BIO *memory = BIO_new_mem_buf(pem.at, (int)pem.len);
  enum err err = parts_load(dir, OVERLAY_NAME, &there, why);
  if (err == ERR_NOT_FOUND || (err == OK && there.overlay == NULL))
    err = file_error(why, ERR_REFUSED, dir,
                     "the overlay is open: users' certificates are made by the peer itself");
  for (X509 *x;
       err == OK && memory != NULL && (x = PEM_read_bio_X509(memory, NULL, NULL, NULL)) != NULL;
       X509_free(x))
    if (!by_overlay(x, there.overlay) && X509_cmp(x, there.overlay) != 0)
      err = file_error(why, ERR_REFUSED, dir, "a certificate is not by the overlay's CA");
  BIO_free(memory);
  parts_free(&there);
  return err;
}
