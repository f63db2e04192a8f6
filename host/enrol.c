/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/enrol.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host/address.h"
#include "host/enrol_link.h"

#define ASK "join"
#define YES "welcome"
#define NO "refused "
#define NEW_PEER "locser new peer" /* the two roles, of one length */
#define OVERLAY_ "locser overlay "
#define PUBLIC_KEY_BYTES 1024u

/* ---- who invites ---- */

static void refuse(struct enrol_link *link, const char *reason) {
  char text[512];
  struct buf out = buf_over(text, sizeof text);
  buf_put_cstr(&out, NO);
  for (const char *at = reason; *at != '\0' && out.len < sizeof text - 2; at++)
    buf_put_char(&out, *at == '\n' ? ' ' : *at);
  buf_put_cstr(&out, "\n\n");
  (void)enrol_write(link, buf_slice(&out));
}

static bool welcome(const struct enrol_offer *offer, struct enrol_link *link, struct slice given) {
  static char text[ENROL_TEXT_BYTES];
  char head[128];
  struct buf first = buf_over(head, sizeof head), out = buf_over(text, sizeof text - 1);
  buf_put(&out, given);
  buf_put_cstr(&first, YES " ");
  if (!enrol_put_proof(&first, link, offer->invite, OVERLAY_, given)) return false;
  buf_put_char(&first, '\n');
  buf_put_char(&out, '\n');
  return !out.overflow && enrol_write(link, buf_slice(&first)) &&
         enrol_write(link, buf_slice(&out));
}

enum outcome { CAME_TO_NOTHING, USED }; /* */

/* A use is used once the CA has signed: the same line must never give two certificates. */
static enum outcome talk(const struct enrol_offer *offer, struct enrol_link *link) {
  static char given[ENROL_TEXT_BYTES - 256];
  char text[PUBLIC_KEY_BYTES];
  struct buf asked = buf_over(text, sizeof text), out = buf_over(given, sizeof given);
  struct why why = {""};
  if (!enrol_read(link, &asked)) return CAME_TO_NOTHING;
  struct slice key = buf_slice(&asked);
  if (!enrol_check_proof(&key, link, offer->invite, NEW_PEER, ASK)) {
    offer->say(offer->context, "refused: somebody does not know the secret of this invitation");
    refuse(link, "that is not the secret of the invitation open here: use the newest line");
    return CAME_TO_NOTHING;
  }
  if (offer->admit(offer->context, key, &out, &why) != OK || out.overflow) {
    offer->say(offer->context, why.text);
    refuse(link, why.text);
    return CAME_TO_NOTHING;
  }
  if (!welcome(offer, link, buf_slice(&out)))
    offer->say(offer->context, "let in, but the connection broke: invite it again");
  return USED;
}

static enum outcome serve_one(const struct enrol_offer *offer, SSL_CTX *context, int64_t until_ms) {
  int fd = accept4(offer->listener, NULL, NULL, SOCK_CLOEXEC);
  int64_t limit_ms = enrol_now_ms() + ENROL_CONNECTION_S * 1000;
  struct enrol_link link;
  if (fd < 0) return CAME_TO_NOTHING;
  enum outcome outcome = CAME_TO_NOTHING;
  if (enrol_open(&link, context, fd, true, limit_ms < until_ms ? limit_ms : until_ms))
    outcome = talk(offer, &link);
  enrol_close(&link);
  return outcome;
}

static enum err serve_all(const struct enrol_offer *offer, SSL_CTX *context, int64_t until_ms,
                          struct why *why) {
  unsigned used = 0, failures = 0;
  while (used < offer->uses) {
    if (failures == ENROL_FAILURES_MAX)
      return why_say(why, ERR_LIMIT,
                     "%u connections came to nothing: somebody plays with this port; invite again, "
                     "on another",
                     failures);
    if (!enrol_wait(offer->listener, false, until_ms))
      return why_say(why, ERR_TIMEOUT, "the invitation has run out; make a new one: locser invite");
    if (serve_one(offer, context, until_ms) == USED)
      used++;
    else
      failures++;
  }
  return OK;
}

enum err enrol_serve(const struct enrol_offer *offer, struct why *why) {
  SSL_CTX *context = enrol_context(offer->key, offer->certificate);
  if (context == NULL) return why_say(why, ERR_IO, "OpenSSL failed");
  int64_t left_s = (int64_t)offer->invite->until_s - (int64_t)time(NULL);
  enum err err = serve_all(offer, context, enrol_now_ms() + left_s * 1000, why);
  SSL_CTX_free(context);
  return err;
}

/* ---- who is invited ---- */

/* -1: nobody there. */
static int connect_to(const char *address, int64_t until_ms, struct why *why) {
  struct endpoint at;
  union address to;
  if (address_resolve(address, TRANSPORT_TCP, 0, &at, why) != OK) return -1;
  socklen_t len = address_of(&at, &to);
  int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int error = 0;
  socklen_t error_len = sizeof error;
  bool good = fd >= 0 && (connect(fd, &to.any, len) == 0 || errno == EINPROGRESS);
  if (!good) error = errno;
  if (good && !enrol_wait(fd, true, until_ms)) error = ETIMEDOUT;
  if (good && error == 0) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len);
  if (error == 0) return fd;
  (void)why_say(why, ERR_CLOSED, "%s: %s", address, strerror(error));
  if (fd >= 0) close(fd);
  return -1;
}

static enum err ask(struct enrol_link *link, const struct invite *invite, struct slice public_key,
                    struct buf *out, struct why *why) {
  char text[PUBLIC_KEY_BYTES];
  struct buf request = buf_over(text, sizeof text);
  size_t mark = out->len;
  buf_put_cstr(&request, ASK " ");
  bool good = enrol_put_proof(&request, link, invite, NEW_PEER, public_key);
  buf_put_char(&request, '\n');
  buf_put(&request, public_key);
  buf_put_char(&request, '\n');
  struct buf answer = buf_over(out->at + mark, out->cap - mark);
  if (!good || request.overflow || !enrol_write(link, buf_slice(&request)) ||
      !enrol_read(link, &answer))
    return why_say(why, ERR_CLOSED, "the connection broke while joining; ask for a new invitation");
  struct slice body = buf_slice(&answer);
  if (slice_starts(body, SLICE(NO)))
    return why_say(why, ERR_REFUSED, "refused: %.*s", SLICE_FMT(slice_trim(slice_skip(body, 8))));
  if (!enrol_check_proof(&body, link, invite, OVERLAY_, YES))
    return why_say(why, ERR_REFUSED,
                   "whoever answers there does not know the secret of the invitation: do not use "
                   "it again, and ask for a new one");
  memmove(out->at + mark, body.at, body.len);
  out->len = mark + body.len;
  return OK;
}

static enum err join_at(SSL_CTX *context, const char *address, const struct invite *invite,
                        struct slice public_key, struct buf *out, struct why *why) {
  int64_t until_ms = enrol_now_ms() + ENROL_CONNECTION_S * 1000;
  struct enrol_link link;
  int fd = connect_to(address, until_ms, why);
  if (fd < 0) return ERR_CLOSED;
  enum err err = enrol_open(&link, context, fd, false, until_ms)
                     ? ask(&link, invite, public_key, out, why)
                     : why_say(why, ERR_CLOSED, "%s: no invitation is open there", address);
  enrol_close(&link);
  return err;
}

enum err enrol_join(const struct invite *invite, struct slice public_key, struct buf *out,
                    struct why *why) {
  SSL_CTX *context = enrol_context(NULL, NULL);
  if (context == NULL) return why_say(why, ERR_IO, "OpenSSL failed");
  enum err err = ERR_CLOSED;
  for (unsigned i = 0; i < invite->count && err == ERR_CLOSED; i++)
    err = join_at(context, invite->address[i], invite, public_key, out, why);
  SSL_CTX_free(context);
  return err;
}
