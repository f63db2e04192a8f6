/* SPDX-License-Identifier: BSD-2-Clause */
/* For whom something is sealed, as one text (OUT_SEAL): for each the name by which it finds its key
 * (20 bytes), the length of its certificate (2 bytes, big-endian), and the certificate in DER. */
#ifndef BASE_RECIPIENTS_H
#define BASE_RECIPIENTS_H

#include "base/buf.h"
#include "base/key.h"

#define RECIPIENT_CERTIFICATE_MAX 4096u

struct recipient {
  struct key name; /* Peer-ID, or owner of a user's records */
  struct slice certificate;
};

/* Longer certificates than RECIPIENT_CERTIFICATE_MAX overflow `out`. */
void recipients_put(struct buf *out, const struct key *name, struct slice certificate);
/* Takes the first one off; false: there is none, or it is broken (*rest is then not empty). */
bool recipients_take(struct slice *rest, struct recipient *out);

#endif
