/* SPDX-License-Identifier: BSD-2-Clause */
/* A second look: where an answer may be a lie, this peer goes to the key by
 * itself. It asks peers before the key who comes next, several at each distance, and those at or
 * after the key what they hold; each has proven its Peer-ID, so nobody is made up, and whoever is
 * hidden by one is named by another. The highest version that any of them holds wins.
 *
 * A look belongs to an errand, is made at most once for it, and is bounded in peers asked, in
 * memory and by the errand's deadline. */
#ifndef NODE_LOOK_H
#define NODE_LOOK_H

#include "node/internal.h"

#define LOOK_PEERS_MAX 64u            /* known of; the farthest from the key goes */
#define LOOK_ASKS_MAX 48u             /* asked in all */
#define LOOK_AT_ONCE 6u               /* under way */
#define LOOK_NAMES_MAX NEXT_HOPS_TOLD /* believed of one answer */
#define LOOK_OWN_MAX 20u              /* of those this peer knows itself, to begin with */
#define LOOK_MORE 2u         /* answers after the key beyond the copies that there should be */
#define LOOK_BEFORE 6u       /* of the nearest before the key have to answer */
#define LOOK_BEFORE_WIDE 8u  /* where what was found is too far from the key */
#define LOOK_RECORDS_MAX 16u /* of one answer */

/* False: this errand has looked already, or there is no memory or no reason; nothing happened.
 * Else the errand is told by errand_looked, perhaps before this returns. known: the answer that
 * was there already, or empty. sure: or 404, so that nothing found is an answer. */
bool look_begin(struct step *s, struct errand *errand, struct slice known, bool sure);
/* The answer of a peer that was asked; 0: none came. */
void look_on_answer(struct step *s, uint64_t user, uint16_t status, struct slice body,
                    const struct peer *contacts, unsigned count);
void look_on_verified(struct step *s, struct errand *errand, unsigned item, enum err status);
/* The errand's time is up: what is known has to do. */
void look_on_timer(struct step *s, struct errand *errand);
void look_free(struct node *node, struct errand *errand);

#endif
