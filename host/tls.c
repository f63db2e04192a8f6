/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "host/address.h"

#define RSA_BITS_MIN 2048
#define REASON_BYTES 128u

static const unsigned char protocol[] = "\x06locser"; /* as it stands in the extension */

struct kept_session {
  struct key peer_id;
  SSL_SESSION *session;
};
struct tls {
  SSL_CTX *peers, *phones;
  SSL_CTX *fresh; /* NULL: none is kept aside */
  X509_STORE *trusted;
  struct kept_session kept[TLS_SESSIONS_MAX];
};
struct tls_session {
  struct tls *tls;
  SSL *ssl;
  BIO *in, *out; /* owned by ssl */
  struct key expect, proven;
  bool accepted, has_proven;
  enum tls_state state;
  char reason[REASON_BYTES];
};

static struct tls_session *session_of(const SSL *ssl) { return SSL_get_app_data(ssl); }

static void say(struct tls_session *session, const char *text) {
  if (session->reason[0] == '\0') snprintf(session->reason, sizeof session->reason, "%s", text);
}

/* ---- certificates of peers ---- */

/* SHA-1 of the DER SubjectPublicKeyInfo. */
static bool peer_id_of(const X509 *certificate, struct key *out) {
  unsigned char *der = NULL;
  int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (len <= 0) return false;
  SHA1(der, (size_t)len, out->byte);
  OPENSSL_free(der);
  return true;
}

static bool is_strong(const X509 *certificate) {
  EVP_PKEY *key = X509_get0_pubkey(certificate);
  if (key == NULL) return false;
  if (EVP_PKEY_is_a(key, "RSA")) return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN;
  char group[32] = "";
  return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
         strcmp(group, SN_X9_62_prime256v1) == 0;
}

/* In place of OpenSSL's own: in an open overlay the key is the identity, and its certificate need
 * not lead anywhere; in a closed one it must lead to the CA and be neither expired nor revoked. */
static int verify_peer(X509_STORE_CTX *store, void *context) {
  const struct tls *tls = context;
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  struct tls_session *session = session_of(ssl);
  const X509 *leaf = X509_STORE_CTX_get0_cert(store);
  if (leaf == NULL || !is_strong(leaf)) {
    say(session, "its certificate has no key of an accepted kind");
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
  }
  if (tls->trusted == NULL) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  if (X509_verify_cert(store) == 1) return 1;
  say(session, X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
  return 0;
}

bool tls_still_trusted(struct tls_session *session) {
  X509 *leaf = SSL_get0_peer_certificate(session->ssl);
  if (session->tls->trusted == NULL || leaf == NULL) return true;
  X509_STORE_CTX *store = X509_STORE_CTX_new();
  bool good = store != NULL &&
              X509_STORE_CTX_init(store, session->tls->trusted, leaf,
                                  SSL_get_peer_cert_chain(session->ssl)) == 1 &&
              X509_verify_cert(store) == 1;
  if (!good)
    say(session, store == NULL ? "no memory"
                               : X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
  X509_STORE_CTX_free(store);
  return good;
}

/* ---- contexts ---- */

static bool offers_locser(SSL *ssl) {
  const unsigned char *at;
  size_t len;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &at,
                                &len) != 1)
    return false;
  for (size_t i = 2; i < len; i += 1u + at[i])
    if (len - i >= sizeof protocol - 1 && memcmp(at + i, protocol, sizeof protocol - 1) == 0)
      return true;
  return false;
}

/* Phones and peers come to the same port: a peer says so at once. */
static int on_hello(SSL *ssl, int *alert, void *context) {
  const struct tls *tls = context;
  (void)alert;
  if (offers_locser(ssl)) return SSL_CLIENT_HELLO_SUCCESS;
  SSL_set_SSL_CTX(ssl, tls->phones);
  SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
  return SSL_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 ? SSL_CLIENT_HELLO_SUCCESS
                                                             : SSL_CLIENT_HELLO_ERROR;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *context) {
  (void)ssl;
  (void)context;
  for (unsigned i = 0; i < in_len; i += 1u + in[i]) {
    if (in_len - i < sizeof protocol - 1 || memcmp(in + i, protocol, sizeof protocol - 1) != 0)
      continue;
    *out = in + i + 1;
    *out_len = protocol[0];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK; /* a phone that offers something else is served all the same */
}

static struct kept_session *kept_place(struct tls *tls, const struct key *id) {
  return &tls->kept[id->byte[KEY_BYTES - 1] % TLS_SESSIONS_MAX];
}

/* A ticket for the next connection to the same peer has come. */
static int on_ticket(SSL *ssl, SSL_SESSION *ticket) {
  struct tls_session *session = session_of(ssl);
  if (session == NULL || session->accepted || !session->has_proven) return 0;
  struct kept_session *kept = kept_place(session->tls, &session->proven);
  SSL_SESSION_free(kept->session);
  *kept = (struct kept_session){session->proven, ticket};
  return 1; /* it is ours now */
}

static SSL_CTX *context_new(int version_min) {
  SSL_CTX *context = SSL_CTX_new(TLS_method());
  if (context == NULL) return NULL;
  SSL_CTX_set_min_proto_version(context, version_min);
  SSL_CTX_set_options(
      context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
  return context;
}

static bool set_up_peers(struct tls *tls, const struct tls_setup *setup) {
  SSL_CTX *context = tls->peers = context_new(TLS1_3_VERSION);
  if (context == NULL) return false;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  SSL_CTX_set_cert_verify_callback(context, verify_peer, tls);
  SSL_CTX_set_client_hello_cb(context, on_hello, tls);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, on_ticket);
  if (setup->trusted != NULL) SSL_CTX_set1_cert_store(context, setup->trusted);
  return SSL_CTX_set_session_id_context(context, protocol, sizeof protocol - 1) == 1 &&
         SSL_CTX_set_alpn_protos(context, protocol, sizeof protocol - 1) == 0 &&
         SSL_CTX_use_certificate(context, setup->certificate) == 1 &&
         SSL_CTX_use_PrivateKey(context, setup->key) == 1;
}

static const char *last_error(void) {
  const char *text = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return text != NULL ? text : "it failed";
}

static SSL_CTX *phones_new(void) {
  SSL_CTX *context = context_new(TLS1_2_VERSION);
  if (context != NULL) SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  return context;
}

static bool read_phones(SSL_CTX *context, const char *chain_file, const char *key_file,
                        struct why *why) {
  if (context != NULL && SSL_CTX_use_certificate_chain_file(context, chain_file) == 1 &&
      SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) == 1 &&
      SSL_CTX_check_private_key(context) == 1)
    return true;
  (void)why_say(why, ERR_IO,
                "tls-certificate, tls-key: %s. Both must be PEM files that this user may read, the "
                "certificate (with its chain) and its key",
                last_error());
  return false;
}

static bool set_up_phones(struct tls *tls, const struct tls_setup *setup, struct why *why) {
  tls->phones = phones_new();
  if (setup->phone_chain_file != NULL)
    return read_phones(tls->phones, setup->phone_chain_file, setup->phone_key_file, why);
  if (tls->phones != NULL && SSL_CTX_use_certificate(tls->phones, setup->certificate) == 1 &&
      SSL_CTX_use_PrivateKey(tls->phones, setup->key) == 1)
    return true;
  (void)why_say(why, ERR_IO, "tls: the peer's own key cannot be shown: %s", last_error());
  return false;
}

bool tls_read_fresh(struct tls *tls, const char *chain_file, const char *key_file,
                    struct why *why) {
  SSL_CTX_free(tls->fresh);
  tls->fresh = NULL;
  if (chain_file[0] == '\0') return true;
  tls->fresh = phones_new();
  return read_phones(tls->fresh, chain_file, key_file, why);
}

void tls_show_fresh(struct tls *tls) {
  if (tls->fresh == NULL) return;
  SSL_CTX_free(tls->phones);
  tls->phones = tls->fresh;
  tls->fresh = NULL;
}

static int show_phones(SSL *ssl, void *context) {
  const struct tls *tls = context;
  STACK_OF(X509) *chain = NULL;
  SSL_certs_clear(ssl);
  return SSL_CTX_get0_chain_certs(tls->phones, &chain) == 1 &&
         SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(tls->phones),
                              SSL_CTX_get0_privatekey(tls->phones), chain, 1) == 1;
}

void tls_lend(struct tls *tls, SSL_CTX *context) { SSL_CTX_set_cert_cb(context, show_phones, tls); }

struct tls *tls_new(const struct tls_setup *setup, struct why *why) {
  struct tls *tls = host_take(sizeof *tls);
  tls->trusted = setup->trusted;
  if (!set_up_peers(tls, setup)) {
    (void)why_say(why, ERR_IO, "tls: the peer's own key cannot be used: %s", last_error());
  } else if (set_up_phones(tls, setup, why)) {
    return tls;
  }
  tls_free(tls);
  return NULL;
}

void tls_free(struct tls *tls) {
  if (tls == NULL) return;
  for (unsigned i = 0; i < TLS_SESSIONS_MAX; i++) SSL_SESSION_free(tls->kept[i].session);
  SSL_CTX_free(tls->peers);
  SSL_CTX_free(tls->phones);
  SSL_CTX_free(tls->fresh);
  free(tls);
}

/* ---- sessions ---- */

static void resume(struct tls_session *session) {
  const struct kept_session *kept = kept_place(session->tls, &session->expect);
  if (kept->session != NULL && key_equal(&kept->peer_id, &session->expect))
    SSL_set_session(session->ssl, kept->session);
}

struct tls_session *tls_open(struct tls *tls, bool accepted, const struct key *expect) {
  struct tls_session *session = host_take(sizeof *session);
  session->tls = tls;
  session->accepted = accepted;
  session->ssl = SSL_new(tls->peers);
  session->in = BIO_new(BIO_s_mem());
  session->out = BIO_new(BIO_s_mem());
  if (session->ssl == NULL || session->in == NULL || session->out == NULL) {
    BIO_free(session->in);
    BIO_free(session->out);
    session->in = session->out = NULL;
    tls_close(session);
    return NULL;
  }
  SSL_set_app_data(session->ssl, session);
  SSL_set_bio(session->ssl, session->in, session->out);
  if (expect != NULL) session->expect = *expect;
  if (accepted) {
    SSL_set_accept_state(session->ssl);
  } else {
    SSL_set_connect_state(session->ssl);
    if (!key_is_zero(&session->expect)) resume(session);
    (void)tls_take(session, SLICE_EMPTY); /* the first words */
  }
  return session;
}

void tls_close(struct tls_session *session) {
  if (session == NULL) return;
  /* OpenSSL forgets the ticket of a connection that ended without both alerts, as many do. */
  if (session->ssl != NULL && session->state != TLS_FAILED)
    SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(session->ssl);
  free(session);
}

static void fail(struct tls_session *session) {
  session->state = TLS_FAILED;
  say(session, last_error());
  ERR_clear_error();
}

/* The handshake is done: who is it? */
static void meet(struct tls_session *session) {
  X509 *leaf = SSL_get0_peer_certificate(session->ssl);
  session->state = TLS_READY;
  if (leaf == NULL) return; /* a phone; a peer would not have got here without */
  /* A resumed session was verified when it began: its certificate may be revoked by now. */
  bool trusted = !SSL_session_reused(session->ssl) || tls_still_trusted(session);
  if (!trusted || !peer_id_of(leaf, &session->proven)) {
    fail(session);
  } else if (!key_is_zero(&session->expect) && !key_equal(&session->expect, &session->proven)) {
    say(session, "another peer answers at this address");
    fail(session);
  } else {
    session->has_proven = true;
  }
}

enum tls_state tls_take(struct tls_session *session, struct slice wire) {
  if (session->state > TLS_READY) return session->state;
  if (wire.len > 0 && BIO_write(session->in, wire.at, (int)wire.len) != (int)wire.len)
    fail(session);
  if (session->state != TLS_SHAKING) return session->state;
  int done = SSL_do_handshake(session->ssl);
  if (done == 1)
    meet(session);
  else if (SSL_get_error(session->ssl, done) != SSL_ERROR_WANT_READ)
    fail(session);
  return session->state;
}

size_t tls_read(struct tls_session *session, void *at, size_t cap, enum tls_state *state) {
  size_t n = 0;
  if (session->state == TLS_READY && SSL_read_ex(session->ssl, at, cap, &n) != 1) {
    n = 0;
    switch (SSL_get_error(session->ssl, 0)) {
      case SSL_ERROR_WANT_READ:
        break;
      case SSL_ERROR_ZERO_RETURN:
        session->state = TLS_ENDED;
        break;
      default:
        fail(session);
    }
  }
  *state = session->state;
  return n;
}

bool tls_write(struct tls_session *session, struct slice words) {
  size_t n = 0;
  if (session->state != TLS_READY) return false;
  if (words.len == 0) return true;
  if (SSL_write_ex(session->ssl, words.at, words.len, &n) == 1 && n == words.len) return true;
  fail(session);
  return false;
}

struct slice tls_wire(struct tls_session *session) {
  char *at = NULL;
  long len = BIO_get_mem_data(session->out, &at);
  return len > 0 ? slice_of(at, (size_t)len) : SLICE_EMPTY;
}

void tls_taken(struct tls_session *session) { (void)BIO_reset(session->out); }

void tls_say_end(struct tls_session *session) {
  if (session->state == TLS_READY) SSL_shutdown(session->ssl);
  ERR_clear_error();
}

const struct key *tls_proven(const struct tls_session *session) {
  return session != NULL && session->has_proven && session->state != TLS_FAILED ? &session->proven
                                                                                : NULL;
}

const struct key *tls_expected(const struct tls_session *session) {
  return session->has_proven ? &session->proven : &session->expect;
}

bool tls_resumed(const struct tls_session *session) {
  return SSL_session_reused(session->ssl) == 1;
}

const char *tls_reason(const struct tls_session *session) { return session->reason; }
