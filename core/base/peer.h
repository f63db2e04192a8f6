/* SPDX-License-Identifier: BSD-2-Clause */
/* How one peer names another: its place on the ring, where it listens, and which of its lives is
 * meant. */
#ifndef BASE_PEER_H
#define BASE_PEER_H

#include "base/endpoint.h"
#include "base/key.h"

struct peer {
  struct key id;        /* Peer-ID: SHA-1 of the DER SubjectPublicKeyInfo */
  struct endpoint at;   /* its advertised address; never changed on an unauthenticated word */
  uint32_t incarnation; /* grows with each start of the peer; 0: not known */
};

/* A peer is a user as well, "sip:PEER-ID@overlay.invalid": so others find by which key it receives
 * (R-6.47). */
#define PEER_USER_DOMAIN "@overlay.invalid"

static inline bool peer_is(const struct peer *p) { return p->at.family != 0; }
static inline bool peer_same(const struct peer *a, const struct peer *b) {
  return key_equal(&a->id, &b->id);
}

#endif
