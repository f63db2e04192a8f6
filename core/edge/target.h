/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef EDGE_TARGET_H
#define EDGE_TARGET_H

#include "base/contact.h"
#include "edge/state.h"

#define TARGET_CONTACTS_MAX 64u /* of one address, looked at; more are left out */

struct fork;

/* Joins the bindings held here with the contacts that the overlay gave, leaves duplicates out, and
 * adds what can be reached to the fork. Returns how many there are, reachable or not. */
unsigned target_add_contacts(struct edge_step *step, struct fork *fork, struct slice aor,
                             const struct contact *contacts, unsigned contact_count);

#endif
