/* SPDX-License-Identifier: BSD-2-Clause */
/* TIER 2, the SIP location service: where an Address-of-Record can be reached, as records under
 * the key of its URI (R-4.18, draft-singh-p2p-sip-01 4.1). Pure: it writes and reads records; the
 * node carries them. */
#ifndef USAGE_LOCATION_H
#define USAGE_LOCATION_H

#include "base/buf.h"
#include "base/contact.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/record.h"

/* Nonce token of a contact: 40 hex digits of SHA-1 over instance, a space and reg-id in decimal,
 * or, where it has not both, over the Contact URI. The text that is hashed needs room in
 * `out` for a moment. */
void location_put_nonce(struct buf *out, const struct crypto *crypto,
                        const struct contact *contact);
/* A contact record lives twice the granted Expires, at least 600 s. */
msec_wall location_record_expires(msec_wall wall, uint32_t granted_s);
/* An unsigned record that binds `aor` (canonical) to the contact. version. `out` needs room
 * for the record and once more for its value. */
void location_put_record(struct buf *out, const struct crypto *crypto, struct slice aor,
                         const struct contact *contact, uint64_t version, msec_wall expires,
                         msec_wall floor);
/* The unsigned removal of the record that `version_killed` names; its own version is one more
 * . The contact is as it was put, its `expires` included. */
void location_put_removal(struct buf *out, const struct crypto *crypto, struct slice aor,
                          const struct contact *contact, uint64_t version_killed, msec_wall floor);

#endif
