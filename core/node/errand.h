/* SPDX-License-Identifier: BSD-2-Clause */
/* What errand.c, which asks, and errand_read.c, which judges what was read, share. */
#ifndef NODE_ERRAND_H
#define NODE_ERRAND_H

#include "base/plant.h"
#include "node/internal.h"

/* 11: a retry that never ends */
#define TRIES_MAX (PLANTED(11) ? UINT32_MAX : ERRAND_TRIES_MAX)

/* ---- errand.c ---- */
/* Sends the call, or executes it here. */
void errand_ask(struct step *s, struct errand *errand, enum errand_stage stage, struct slice body);
/* Copies; what was there goes. False: no memory. */
bool errand_set_body(struct node *node, struct errand *errand, struct slice body);
bool errand_set_strings(struct node *node, struct errand *errand, struct slice key_text,
                        const struct contact *contact);
bool errand_may_look(const struct step *s, const struct errand *errand);
/* The errand goes on in errand_on_pin, perhaps before this returns. */
void errand_wait_for_pin(struct step *s, struct errand *errand, struct slice address);

/* ---- errand_read.c ---- */
/* Asks for the records of the errand's key; those that this peer is sure of it has at once. */
void errand_read(struct step *s, struct errand *errand);
/* Has the records of an answer verified. */
void errand_verify(struct step *s, struct errand *errand, struct slice answer);
/* Records that need no more verification: what came of a second look. */
void errand_take_verified(struct step *s, struct errand *errand, struct slice answer);
/* What was read before a contact is removed, or put again: writes the contact, or says that there
 * is none to remove. */
void errand_take_contact(struct step *s, struct errand *errand, struct slice answer);
void errand_read_on_pin(struct step *s, struct errand *errand, const struct pin_facts *facts);
/* The address whose pin must be known before a record under this key is acted on; or empty. */
struct slice errand_address(const struct step *s, struct slice key_text);
/* Asks for its pin beside the read, so that a call takes no longer for it. */
void errand_ask_for_pin_too(struct step *s, const struct errand *errand);

#endif
