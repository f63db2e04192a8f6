/* SPDX-License-Identifier: BSD-2-Clause */
/* Enrolment in a closed overlay by an invitation: over TLS 1.3 both ends prove
 * that they know the secret of the line, tied to this very connection; then the new peer's public
 * key goes one way, and what makes it a member comes back. Blocking; for a command, not a peer. */
#ifndef HOST_ENROL_H
#define HOST_ENROL_H

#include <openssl/types.h>

#include "host/invite.h"

#define ENROL_CONNECTION_S 10   /* one connection at most */
#define ENROL_FAILURES_MAX 100u /* connections that come to nothing, until the invitation ends */
#define ENROL_TEXT_BYTES 65536u /* longest answer */

struct enrol_offer {
  const struct invite *invite;
  int listener;      /* listening socket; stays the caller's */
  unsigned uses;     /* peers let in until it ends */
  EVP_PKEY *key;     /* for TLS: any, it proves nothing; with its certificate */
  X509 *certificate; /* both borrowed */
  /* Appends what the peer with this public key (PEM) gets: lines "peer HOST:PORT", then PEM, with
   * no empty line. ERR_REFUSED, ERR_SYNTAX: *why goes to that peer. */
  enum err (*admit)(void *context, struct slice public_key, struct buf *out, struct why *why);
  /* Says what happened, a line each. */
  void (*say)(void *context, const char *text);
  void *context;
};
/* Serves until all uses are used (OK), the time is over (ERR_TIMEOUT), too much went wrong
 * (ERR_LIMIT) or the system failed (ERR_IO). */
enum err enrol_serve(const struct enrol_offer *offer, struct why *why) MUST_USE;

/* Asks at the addresses of the invitation, one after the other, and appends what `admit` gave
 * there, by someone who knows the secret. Nothing else about it is checked. ERR_REFUSED: the other
 * end said no, or does not know the secret. ERR_CLOSED: nobody answers. */
enum err enrol_join(const struct invite *invite, struct slice public_key, struct buf *out,
                    struct why *why) MUST_USE;

#endif
