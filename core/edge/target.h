/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef EDGE_TARGET_H
#define EDGE_TARGET_H

#include "base/contact.h"
#include "edge/state.h"

#define TARGET_CONTACTS_MAX 64u /* of one address, looked at; more are left out */

struct fork;
struct fork_target;

/* Joins the bindings held here with the contacts that the overlay gave, leaves duplicates out, and
 * adds what can be reached to the fork. instance: of that one alone, or empty. Returns how many
 * there are, reachable or not. */
unsigned target_add_contacts(struct edge_step *step, struct fork *fork, struct slice aor,
                             struct slice instance, const struct contact *contacts,
                             unsigned contact_count);
#define TARGET_ROUTES_BYTES_MAX 4096u
/* Where this contact is reached. False: nowhere. *routes needs room for the Route lines. */
bool target_of_contact(const struct edge *edge, const struct contact *contact,
                       struct fork_target *target, struct buf *routes);
/* A binding held here that requests can be sent to now. */
bool target_is_bound(const struct binding *binding, usec now);

#endif
