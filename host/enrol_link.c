/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/enrol_link.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const unsigned char protocol[] = "\x0dlocser-join/1"; /* as in the extension */

int64_t enrol_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

SSL_CTX *enrol_context(EVP_PKEY *key, X509 *certificate) {
  SSL_CTX *context = SSL_CTX_new(TLS_method());
  if (context == NULL) return NULL;
  bool good = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
              SSL_CTX_set_num_tickets(context, 0) == 1 &&
              SSL_CTX_set_alpn_protos(context, protocol, protocol[0] + 1u) == 0;
  /* The certificate proves nothing: what is told over the connection does, by its exporter. */
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (key != NULL)
    good = good && SSL_CTX_use_certificate(context, certificate) == 1 &&
           SSL_CTX_use_PrivateKey(context, key) == 1;
  if (good) return context;
  SSL_CTX_free(context);
  return NULL;
}

bool enrol_wait(int fd, bool writing, int64_t until_ms) {
  for (;;) {
    int64_t left = until_ms - enrol_now_ms();
    struct pollfd poller = {.fd = fd, .events = writing ? POLLOUT : POLLIN};
    if (left <= 0) return false;
    int n = poll(&poller, 1, left > 1000000 ? 1000000 : (int)left);
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return false;
  }
}

/* After a call of SSL that did not succeed: may it be tried again? */
static bool again(struct enrol_link *link, int result) {
  int error = SSL_get_error(link->ssl, result);
  ERR_clear_error();
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return false;
  return enrol_wait(link->fd, error == SSL_ERROR_WANT_WRITE, link->until_ms);
}

bool enrol_open(struct enrol_link *link, SSL_CTX *context, int fd, bool accepted,
                int64_t until_ms) {
  *link = (struct enrol_link){.fd = fd, .ssl = SSL_new(context), .until_ms = until_ms};
  if (link->ssl == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || SSL_set_fd(link->ssl, fd) != 1)
    return false;
  for (;;) {
    int result = accepted ? SSL_accept(link->ssl) : SSL_connect(link->ssl);
    if (result == 1) return true;
    if (!again(link, result)) return false;
  }
}

void enrol_close(struct enrol_link *link) {
  if (link->ssl != NULL && SSL_is_init_finished(link->ssl) == 1) SSL_shutdown(link->ssl);
  ERR_clear_error();
  SSL_free(link->ssl);
  close(link->fd);
}

/* A byte at a time decides nothing here: what is behind the empty line is never read. */
bool enrol_read(struct enrol_link *link, struct buf *out) {
  while (out->len < out->cap) {
    int n = SSL_read(link->ssl, out->at + out->len, (int)(out->cap - out->len));
    if (n <= 0) {
      if (!again(link, n)) return false;
      continue;
    }
    out->len += (size_t)n;
    size_t end = slice_find(buf_slice(out), SLICE("\n\n"));
    if (end == out->len) continue;
    buf_truncate(out, end + 1);
    return true;
  }
  return false;
}

bool enrol_write(struct enrol_link *link, struct slice text) {
  while (text.len > 0) {
    int n = SSL_write(link->ssl, text.at, (int)text.len);
    if (n > 0)
      text = slice_skip(text, (size_t)n);
    else if (!again(link, n))
      return false;
  }
  return true;
}

/* ---- proofs (R-6.44) ---- */

static bool make_proof(uint8_t out[ENROL_PROOF_BYTES], struct enrol_link *link,
                       const struct invite *invite, const char *role, struct slice text) {
  static const char label[] = "EXPORTER-locser-join";
  uint8_t said[64 + EVP_MAX_MD_SIZE];
  struct buf b = buf_over(said, sizeof said);
  uint8_t channel[ENROL_PROOF_BYTES], digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  if (SSL_export_keying_material(link->ssl, channel, sizeof channel, label, sizeof label - 1, NULL,
                                 0, 0) != 1 ||
      EVP_Digest(text.at, text.len, digest, &len, EVP_sha256(), NULL) != 1)
    return false;
  buf_put_cstr(&b, role); /* of one length, so that no two proofs say the same bytes */
  buf_put(&b, slice_of(channel, sizeof channel));
  buf_put(&b, slice_of(digest, len));
  len = 0;
  bool good = !b.overflow && HMAC(EVP_sha256(), invite->secret, (int)sizeof invite->secret, said,
                                  b.len, out, &len) != NULL;
  OPENSSL_cleanse(channel, sizeof channel);
  OPENSSL_cleanse(said, sizeof said);
  return good && len == ENROL_PROOF_BYTES;
}

bool enrol_put_proof(struct buf *out, struct enrol_link *link, const struct invite *invite,
                     const char *role, struct slice text) {
  uint8_t proof[ENROL_PROOF_BYTES];
  if (!make_proof(proof, link, invite, role, text)) return false;
  buf_put_hex(out, proof, sizeof proof);
  return !out->overflow;
}

bool enrol_check_proof(struct slice *text, struct enrol_link *link, const struct invite *invite,
                       const char *role, const char *word) {
  char digits[2 * ENROL_PROOF_BYTES];
  struct buf proof = buf_over(digits, sizeof digits);
  struct slice said = slice_first(*text, slice_find_byte(*text, '\n'));
  *text = slice_skip(*text, said.len + 1);
  size_t head = strlen(word) + 1;
  return slice_starts(said, slice_cstr(word)) && said.len == head + sizeof digits &&
         enrol_put_proof(&proof, link, invite, role, *text) &&
         CRYPTO_memcmp(said.at + head, digits, sizeof digits) == 0;
}
