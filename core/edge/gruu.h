/* SPDX-License-Identifier: BSD-2-Clause */
/* Globally routable URIs of one phone (RFC 5627, R-7.63, R-7.64, R-7.65, R-7.66). A public one is
 * the address with the instance in `gr`: any peer finds the phone by the records of the address. A
 * temporary one shows neither address nor instance: its user part names the peer that made it,
 * which alone can read the rest. Nothing is kept of it: it is good while a binding of the same
 * instance and Call-ID is held there, and no longer than the run of that peer. */
#ifndef EDGE_GRUU_H
#define EDGE_GRUU_H

#include "edge/route.h"
#include "edge/state.h"

#define GRUU_TEXT_BYTES 1024u

/* ";pub-gruu=...;temp-gruu=..." for the Contact line of a 200; nothing without +sip.instance. */
void gruu_put_params(struct buf *out, struct edge *edge, const struct binding *binding);

enum gruu_kind {
  GRUU_NONE,      /* an ordinary URI */
  GRUU_INSTANCE,  /* of that instance of an address */
  GRUU_ELSEWHERE, /* temporary, of another peer */
  GRUU_UNKNOWN,   /* temporary, and not made by this run of this peer, or not good any more: 404 */
};
struct gruu {
  enum gruu_kind kind;
  struct slice aor, instance; /* of GRUU_INSTANCE, in `text`; instance as in a contact */
  struct endpoint home;       /* of GRUU_ELSEWHERE */
  char text[GRUU_TEXT_BYTES];
};
/* The URI is of a domain that is served here. */
void gruu_read(struct gruu *gruu, const struct edge *edge, const struct sip_uri *uri);
/* A binding held here that requests for it can be sent to; `hop`: over that way if it can be. NULL:
 * none. */
const struct binding *gruu_binding(const struct edge *edge, const struct gruu *gruu, usec now,
                                   const struct hop *hop);

#endif
