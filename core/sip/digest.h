/* SPDX-License-Identifier: BSD-2-Clause */
/* Digest authentication in SIP: RFC 7616 with the algorithms of RFC 8760 and the forms of RFC 2617
 * . Pure: what a nonce is worth, and who has which secret, is the caller's. */
#ifndef SIP_DIGEST_H
#define SIP_DIGEST_H

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/slice.h"

/* In order of preference. */
enum digest_algorithm { DIGEST_SHA256, DIGEST_MD5, DIGEST_ALGORITHMS };
#define DIGEST_HASH_BYTES_MAX 32u

#define DIGEST_NONCE_BYTES_MAX 128u
#define DIGEST_CNONCE_BYTES_MAX 256u
#define DIGEST_URI_BYTES_MAX 1024u

const char *digest_algorithm_name(enum digest_algorithm algorithm);
size_t digest_hash_bytes(enum digest_algorithm algorithm);

/* One Authorization or Proxy-Authorization value; slices of it, quotes taken off, escapes as they
 * stand. */
struct digest_credentials {
  enum digest_algorithm algorithm; /* MD5 where none is named */
  struct slice username, realm, nonce, uri, cnonce;
  struct slice nc_text;
  uint8_t response[DIGEST_HASH_BYTES_MAX];
  bool qop;    /* auth; false: the form of RFC 2069 */
  uint32_t nc; /* without qop: 1 */
};
/* ERR_UNSUPPORTED: another scheme, algorithm or qop, or a hashed user name. ERR_LIMIT: a value is
 * longer than above. ERR_SYNTAX: anything else that is wrong, also a parameter that comes twice or
 * is missing. Unknown parameters are skipped. */
enum err digest_read(struct slice value, struct digest_credentials *out) MUST_USE;

/* Is the response right? secret: H(user:realm:password) by the algorithm of the credentials. Takes
 * the same time wherever the response is wrong. */
bool digest_is_right(const struct crypto *crypto, const struct digest_credentials *credentials,
                     struct slice method, const uint8_t *secret);

struct digest_challenge {
  enum digest_algorithm algorithm;
  struct slice realm, nonce;
  bool stale;
};
/* Appends the value of a WWW-Authenticate or Proxy-Authenticate header, with qop="auth". */
void digest_put_challenge(struct buf *out, const struct digest_challenge *challenge);

#endif
