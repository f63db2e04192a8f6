/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef EDGE_TARGET_H
#define EDGE_TARGET_H

#include "base/contact.h"
#include "edge/state.h"

#define TARGET_CONTACTS_MAX 64u /* of one address, looked at; more are left out */

struct fork;
struct fork_target;

/* Joins the bindings held here with the contacts that the overlay gave, and leaves duplicates out.
 * instance: of that one alone, or empty. They come from the highest q down, so that a limit on
 * branches drops the last. Of equal q those held here come first, then the latest: of the flows of
 * a phone that one is likeliest to be alive. Returns how many there are, reachable or not. */
unsigned target_collect(const struct edge_step *step, struct slice aor, struct slice instance,
                        const struct contact *contacts, unsigned contact_count,
                        const struct contact *out[TARGET_CONTACTS_MAX]);
/* Adds those that can be reached to the fork. */
void target_add_contacts(struct edge_step *step, struct fork *fork,
                         const struct contact *const *contact, unsigned count);
#define TARGET_ROUTES_BYTES_MAX 4096u
/* Where this contact is reached. False: nowhere. *routes needs room for the Route lines. */
bool target_of_contact(const struct edge *edge, const struct contact *contact,
                       struct fork_target *target, struct buf *routes);
/* Is the hop by a transport that this peer can send over, or still to be found? */
bool target_has_transport(const struct fork_target *target);
/* The URI without headers: they are for who dials it, not for a Request-URI (RFC 3261 19.1.5). */
struct slice target_without_headers(const struct sip_uri *uri);
/* A binding held here that requests can be sent to now. */
bool target_is_bound(const struct binding *binding, usec now);

#endif
