/* SPDX-License-Identifier: BSD-2-Clause */
/* STUN Binding on the SIP port: how a phone on UDP keeps its way to us open and learns that its
 * address has changed (RFC 5626 sections 3.5.2 and 8, RFC 8489, RFC 5389). Pure: one datagram in,
 * at most one out. */
#ifndef SIP_STUN_H
#define SIP_STUN_H

#include "base/buf.h"
#include "base/endpoint.h"

#define STUN_ANSWER_BYTES_MAX 1024u

/* Is this STUN and not SIP? By its first two bits, its length and the magic cookie (RFC 8489
 * section 5). */
bool stun_is(struct slice datagram);

enum stun_result {
  STUN_NOTHING, /* not a well-formed Binding request: nothing is written, nothing is answered */
  STUN_BOUND,   /* a success with XOR-MAPPED-ADDRESS */
  STUN_REFUSED, /* 420: it asks for what is not understood (RFC 8489 section 6.3.1) */
};
/* Appends the answer to what came from there. The answer has at most 2.2 bytes for one of the
 * request. */
enum stun_result stun_put_answer(struct buf *out, struct slice request,
                                 const struct endpoint *from);

#endif
