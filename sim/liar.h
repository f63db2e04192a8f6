/* SPDX-License-Identifier: BSD-2-Clause */
/* Adversaries: peers of the shipping core that keep their own state right, so that others trust
 * them, and lie to whoever asks. Each has one key, as everybody: it cannot speak as another
 * peer, nor sign for a user. They know each other. They lie while world->lying holds. */
#ifndef SIM_LIAR_H
#define SIM_LIAR_H

#include "sim/world.h"

#define LIAR_MARK 'x' /* the user part of a forged contact begins with it, and no other does */

enum lie {
  LIE_MISROUTE = 1,  /* passes requests on to anybody, or answers as if it were responsible */
  LIE_NEIGHBORS = 2, /* names peers of its kind, or such as do not exist, for its neighbours */
  LIE_STALE = 4,     /* of what it holds, gives out the oldest version, or says it has none */
  LIE_FORGE = 8,     /* of what it holds, gives out a contact with another address in it */
};

/* Which lies a new peer tells, drawn from the weather. */
uint8_t liar_draw(struct world *world);
/* A request arrives; true: the core never hears of it. */
bool liar_takes(struct world *world, const struct event *event);
/* True: something else was sent in its place. */
bool liar_sends(struct world *world, uint32_t from, const struct output *out);
/* A record gives way to a newer one: whoever gives out old ones keeps the first. */
void liar_keeps(struct sim_peer *peer, const struct record *older);
void liar_forgets(struct sim_peer *peer);

#endif
