/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS on a stream, as a filter of bytes: what the socket gave goes in, the other side's words come
 * out, and back. It touches no socket. Between peers it is TLS 1.3 with both certificates, and the
 * other end's key is its Peer-ID; who opens such a connection says so by the application
 * protocol "locser" (RFC 7301). Anybody else is a phone: it is shown a certificate and asked for
 * none. */
#ifndef HOST_TLS_H
#define HOST_TLS_H

#include <openssl/types.h>

#include "base/key.h"
#include "base/slice.h"
#include "host/why.h"

#define TLS_SESSIONS_MAX 256u /* kept to resume links, by Peer-ID; the newest wins its place */
#define TLS_FIRST_BYTE 0x16   /* of every TLS stream, and of no SIP message (RFC 8446 5.1) */

struct tls_setup {
  EVP_PKEY *key;     /* of the peer; borrowed */
  X509 *certificate; /* for that key; borrowed */
  /* Closed overlay: what a peer's certificate must lead to; borrowed. NULL: any key is welcome. */
  X509_STORE *trusted;
  /* What phones are shown: PEM files, a chain and its key. NULL: the peer's own. */
  const char *phone_chain_file, *phone_key_file;
};

struct tls; /* belongs to one thread */
/* NULL: *why says what to do. */
struct tls *tls_new(const struct tls_setup *setup, struct why *why);
void tls_free(struct tls *tls);
/* Reads what phones are shown, and keeps it aside until tls_show_fresh; chain_file "":
 * nothing is read. False: *why says what to do. Connections that are there keep what they were
 * shown. */
bool tls_read_fresh(struct tls *tls, const char *chain_file, const char *key_file, struct why *why);
void tls_show_fresh(struct tls *tls);
/* Whoever shakes hands in this context, of another library, is shown what phones are, then. It must
 * end before tls does. */
void tls_lend(struct tls *tls, SSL_CTX *context);

struct tls_session;
/* accepted: the other side speaks first. expect: the Peer-ID it must have, or NULL or all zero:
 * anybody's (only for links opened). NULL: no memory. */
struct tls_session *tls_open(struct tls *tls, bool accepted, const struct key *expect);
void tls_close(struct tls_session *session);

enum tls_state {
  TLS_SHAKING,
  TLS_READY,
  TLS_ENDED,  /* the other side said that it has no more to say */
  TLS_FAILED, /* bad bytes, a certificate that is not accepted, or another Peer-ID */
};
/* Bytes from the socket; then read with tls_read until it gives nothing. */
enum tls_state tls_take(struct tls_session *session, struct slice wire);
/* Decrypted bytes, at most cap; 0: no more for now. */
size_t tls_read(struct tls_session *session, void *at, size_t cap, enum tls_state *state);
/* Encrypts; only when TLS_READY. False: it failed. */
bool tls_write(struct tls_session *session, struct slice words);
/* Bytes for the socket: borrowed until the next call; tls_taken says that they are on their way. */
struct slice tls_wire(struct tls_session *session);
void tls_taken(struct tls_session *session);
/* Asks for the end: adds the alert that says so to tls_wire. */
void tls_say_end(struct tls_session *session);

/* The Peer-ID it has proven or, before that, must prove; all zero: anybody's. */
const struct key *tls_expected(const struct tls_session *session);
/* The Peer-ID that the other end has proven; NULL: it is a phone, or not ready. */
const struct key *tls_proven(const struct tls_session *session);
/* Would its certificate be accepted now? True for whoever showed none. */
bool tls_still_trusted(struct tls_session *session);
bool tls_resumed(const struct tls_session *session);
/* Why it failed, for people; static or of the session. */
const char *tls_reason(const struct tls_session *session);

#endif
