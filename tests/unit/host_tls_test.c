/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS between two ends in memory. Who is let in, as whom, and who is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "crypto/certificate.h"
#include "crypto/key_file.h"
#include "host/tls.h"

struct side {
  EVP_PKEY *key;
  X509 *certificate;
  struct key id;
  struct tls *tls;
};

static void open_tls(struct side *side, X509_STORE *trusted) {
  struct why why = {""};
  const struct tls_setup setup = {
      .key = side->key, .certificate = side->certificate, .trusted = trusted};
  side->tls = tls_new(&setup, &why);
  assert_non_null(side->tls);
}

static void side_with(struct side *side, EVP_PKEY *key) {
  unsigned char der[4096];
  const unsigned char *at = der;
  struct buf out = buf_over(der, sizeof der);
  assert_non_null(key);
  *side = (struct side){.key = key};
  assert_int_equal(certificate_make(key, &out), OK);
  side->certificate = d2i_X509(NULL, &at, (long)out.len);
  assert_int_equal(key_file_hash(key, &side->id), OK);
}

static void side_new(struct side *side) {
  side_with(side, EVP_EC_gen("P-256"));
  open_tls(side, NULL);
}

static void side_free(struct side *side) {
  tls_free(side->tls);
  X509_free(side->certificate);
  EVP_PKEY_free(side->key);
}

/* All that one has for the other; the state of who takes it. */
static enum tls_state carry(struct tls_session *from, struct tls_session *to) {
  struct slice wire = tls_wire(from);
  enum tls_state state = tls_take(to, wire);
  tls_taken(from);
  return state;
}

static enum tls_state shake(struct tls_session *link, struct tls_session *accepted,
                            enum tls_state *at_accepted) {
  enum tls_state here = TLS_SHAKING;
  for (unsigned i = 0; i < 4; i++) {
    *at_accepted = carry(link, accepted);
    here = carry(accepted, link);
  }
  return here;
}

static void says(struct tls_session *from, struct tls_session *to, const char *text) {
  char heard[64] = "";
  enum tls_state state;
  assert_true(tls_write(from, slice_cstr(text)));
  carry(from, to);
  size_t n = tls_read(to, heard, sizeof heard - 1, &state);
  assert_int_equal(n, strlen(text));
  assert_string_equal(heard, text);
}

static void test_both_prove_their_keys(void **unused) {
  (void)unused;
  struct side a, b;
  enum tls_state at_b;
  side_new(&a);
  side_new(&b);
  struct tls_session *link = tls_open(a.tls, false, &b.id);
  struct tls_session *accepted = tls_open(b.tls, true, NULL);
  assert_int_equal((unsigned char)tls_wire(link).at[0], TLS_FIRST_BYTE);
  assert_null(tls_proven(link));
  assert_int_equal(shake(link, accepted, &at_b), TLS_READY);
  assert_int_equal(at_b, TLS_READY);
  assert_memory_equal(tls_proven(link), &b.id, sizeof b.id);
  assert_memory_equal(tls_proven(accepted), &a.id, sizeof a.id);
  says(link, accepted, "LOCSER");
  says(accepted, link, "SIP/2.0 200 OK");
  tls_close(link);
  tls_close(accepted);
  side_free(&a);
  side_free(&b);
}

static void test_another_peer_at_the_address(void **unused) {
  (void)unused;
  struct side a, b, c;
  enum tls_state at_b;
  side_new(&a);
  side_new(&b);
  side_new(&c);
  struct tls_session *link = tls_open(a.tls, false, &c.id);
  struct tls_session *accepted = tls_open(b.tls, true, NULL);
  assert_int_equal(shake(link, accepted, &at_b), TLS_FAILED);
  assert_null(tls_proven(link));
  assert_non_null(strstr(tls_reason(link), "another peer"));
  assert_false(tls_write(link, SLICE("x")));
  tls_close(link);
  tls_close(accepted);
  side_free(&a);
  side_free(&b);
  side_free(&c);
}

static void test_a_link_is_resumed(void **unused) {
  (void)unused;
  struct side a, b;
  enum tls_state at_b;
  side_new(&a);
  side_new(&b);
  for (unsigned i = 0; i < 2; i++) {
    char none[16];
    enum tls_state state;
    struct tls_session *link = tls_open(a.tls, false, &b.id);
    struct tls_session *accepted = tls_open(b.tls, true, NULL);
    assert_int_equal(shake(link, accepted, &at_b), TLS_READY);
    assert_int_equal(tls_read(link, none, sizeof none, &state), 0); /* the ticket */
    assert_int_equal(tls_resumed(link), i == 1);
    assert_memory_equal(tls_proven(accepted), &a.id, sizeof a.id);
    assert_memory_equal(tls_proven(link), &b.id, sizeof b.id);
    tls_close(link);
    tls_close(accepted);
  }
  side_free(&a);
  side_free(&b);
}

/* A ticket that was given to a phone, who has proven nothing, does not make a peer of it. */
static SSL *phone_new(SSL_CTX *context, const char *version) {
  int fixed = strcmp(version, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
  SSL *ssl = SSL_new(context);
  assert_non_null(ssl);
  SSL_set_min_proto_version(ssl, fixed);
  SSL_set_max_proto_version(ssl, fixed);
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(ssl);
  return ssl;
}

static enum tls_state phone_shakes(SSL *ssl, struct tls_session *accepted) {
  enum tls_state state = TLS_SHAKING;
  for (unsigned i = 0; i < 4; i++) {
    char *at;
    SSL_do_handshake(ssl);
    long len = BIO_get_mem_data(SSL_get_wbio(ssl), &at);
    state = tls_take(accepted, slice_of(at, (size_t)len));
    (void)BIO_reset(SSL_get_wbio(ssl));
    struct slice wire = tls_wire(accepted);
    if (wire.len > 0) BIO_write(SSL_get_rbio(ssl), wire.at, (int)wire.len);
    tls_taken(accepted);
  }
  return state;
}

static void test_a_phone_is_served_and_proves_nothing(void **unused) {
  (void)unused;
  struct side b;
  side_new(&b);
  SSL_CTX *context = SSL_CTX_new(TLS_method());
  const char *versions[] = {"1.2", "1.3"};
  for (unsigned i = 0; i < 2; i++) {
    SSL *ssl = phone_new(context, versions[i]);
    struct tls_session *accepted = tls_open(b.tls, true, NULL);
    char heard[16];
    size_t n = 0;
    enum tls_state state;
    assert_int_equal(phone_shakes(ssl, accepted), TLS_READY);
    assert_null(tls_proven(accepted));
    assert_int_equal(SSL_write(ssl, "REGISTER", 8), 8);
    assert_int_equal(phone_shakes(ssl, accepted), TLS_READY);
    assert_int_equal(tls_read(accepted, heard, sizeof heard, &state), 8);
    assert_true(tls_write(accepted, SLICE("200")));
    phone_shakes(ssl, accepted);
    assert_int_equal(SSL_read_ex(ssl, heard, sizeof heard, &n), 1);
    SSL_free(ssl);
    tls_close(accepted);
  }
  SSL_CTX_free(context);
  side_free(&b);
}

/* Says that it is a peer, but shows no key, or speaks an old version. */
static void test_a_peer_without_a_key(void **unused) {
  (void)unused;
  struct side b;
  side_new(&b);
  SSL_CTX *context = SSL_CTX_new(TLS_method());
  SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x06locser", 7);
  const char *versions[] = {"1.2", "1.3"};
  for (unsigned i = 0; i < 2; i++) {
    SSL *ssl = phone_new(context, versions[i]);
    struct tls_session *accepted = tls_open(b.tls, true, NULL);
    assert_int_equal(phone_shakes(ssl, accepted), TLS_FAILED);
    assert_null(tls_proven(accepted));
    assert_true(tls_reason(accepted)[0] != '\0');
    SSL_free(ssl);
    tls_close(accepted);
  }
  SSL_CTX_free(context);
  side_free(&b);
}

static void test_weak_keys_are_refused(void **unused) {
  (void)unused;
  EVP_PKEY *weak[] = {EVP_RSA_gen(1024), EVP_EC_gen("P-384")};
  for (unsigned i = 0; i < 2; i++) {
    struct side a, b;
    enum tls_state at_b;
    side_with(&a, weak[i]);
    side_new(&b);
    const struct tls_setup setup = {.key = a.key, .certificate = a.certificate};
    struct why why = {""};
    a.tls = tls_new(&setup, &why);
    if (a.tls != NULL) { /* OpenSSL itself may call the key too small */
      struct tls_session *link = tls_open(a.tls, false, &b.id);
      struct tls_session *accepted = tls_open(b.tls, true, NULL);
      shake(link, accepted, &at_b);
      assert_int_equal(at_b, TLS_FAILED);
      assert_null(tls_proven(accepted));
      tls_close(link);
      tls_close(accepted);
    }
    side_free(&a);
    side_free(&b);
  }
}

/* ---- a closed overlay ---- */

static X509 *issue(const struct side *ca, EVP_PKEY *key, const char *name, long from_s, long to_s) {
  X509 *x = X509_new();
  X509_set_version(x, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             (const unsigned char *)name, -1, -1, 0);
  X509_set_issuer_name(x, ca->certificate != NULL ? X509_get_subject_name(ca->certificate)
                                                  : X509_get_subject_name(x));
  X509_gmtime_adj(X509_getm_notBefore(x), from_s);
  X509_gmtime_adj(X509_getm_notAfter(x), to_s);
  X509_set_pubkey(x, key);
  X509_EXTENSION *basic =
      X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
                          ca->certificate == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
  X509_add_ext(x, basic, -1);
  X509_EXTENSION_free(basic);
  assert_true(X509_sign(x, ca->key, EVP_sha256()) > 0);
  return x;
}

static void member_new(struct side *side, const struct side *ca, X509_STORE *trusted, long to_s) {
  *side = (struct side){.key = EVP_EC_gen("P-256")};
  side->certificate = issue(ca, side->key, "peer", -100, to_s);
  assert_int_equal(key_file_hash(side->key, &side->id), OK);
  open_tls(side, trusted);
}

static void check_entry(const struct side *a, const struct side *b, bool let_in) {
  enum tls_state at_b;
  struct tls_session *link = tls_open(a->tls, false, &b->id);
  struct tls_session *accepted = tls_open(b->tls, true, NULL);
  shake(link, accepted, &at_b);
  assert_int_equal(at_b, let_in ? TLS_READY : TLS_FAILED);
  assert_int_equal(tls_proven(accepted) != NULL, let_in);
  tls_close(link);
  tls_close(accepted);
}

static void test_a_closed_overlay(void **unused) {
  (void)unused;
  struct side ca = {.key = EVP_EC_gen("P-256")}, other = {.key = EVP_EC_gen("P-256")};
  struct side member, second, expired, stranger, self_made;
  ca.certificate = issue(&ca, ca.key, "overlay CA", -100, 1000);
  other.certificate = issue(&other, other.key, "overlay CA", -100, 1000);
  X509_STORE *trusted = X509_STORE_new();
  X509_STORE_add_cert(trusted, ca.certificate);
  member_new(&member, &ca, trusted, 1000);
  member_new(&second, &ca, trusted, 1000);
  member_new(&expired, &ca, NULL, -10);
  member_new(&stranger, &other, NULL, 1000);
  side_new(&self_made);
  check_entry(&second, &member, true);
  check_entry(&expired, &member, false);
  check_entry(&stranger, &member, false);
  check_entry(&self_made, &member, false);
  struct side *all[] = {&member, &second, &expired, &stranger, &self_made, &ca, &other};
  for (unsigned i = 0; i < 7; i++) side_free(all[i]);
  X509_STORE_free(trusted);
}

static void test_noise(void **unused) {
  (void)unused;
  struct side b;
  side_new(&b);
  for (unsigned seed = 0; seed < 300; seed++) {
    struct tls_session *accepted = tls_open(b.tls, true, NULL);
    unsigned char bytes[600];
    uint32_t dice = seed * 2654435761u + 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
      dice = dice * 1664525u + 1013904223u;
      bytes[i] = (unsigned char)(dice >> 24);
    }
    bytes[0] = TLS_FIRST_BYTE;
    bytes[1] = 3;
    bytes[2] = 1;
    if (seed % 3 == 0) bytes[3] = 0, bytes[4] = (unsigned char)seed;
    tls_take(accepted, slice_of((const char *)bytes, sizeof bytes));
    assert_null(tls_proven(accepted));
    tls_close(accepted);
  }
  side_free(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_both_prove_their_keys),
      cmocka_unit_test(test_another_peer_at_the_address),
      cmocka_unit_test(test_a_link_is_resumed),
      cmocka_unit_test(test_a_phone_is_served_and_proves_nothing),
      cmocka_unit_test(test_a_peer_without_a_key),
      cmocka_unit_test(test_weak_keys_are_refused),
      cmocka_unit_test(test_a_closed_overlay),
      cmocka_unit_test(test_noise),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
