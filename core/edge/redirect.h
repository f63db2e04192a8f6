/* SPDX-License-Identifier: BSD-2-Clause */
/* 3xx answers: those of phones, which are followed (RFC 3261 16.7 step 4), and this peer's own
 * where it redirects in place of proxying. */
#ifndef EDGE_REDIRECT_H
#define EDGE_REDIRECT_H

#include "edge/fork_state.h"

/* Adds the Contacts of a 300, 301 or 302 as further branches. False: none was new. */
bool redirect_follow(struct edge_step *step, struct fork *fork, const struct branch *branch,
                     const struct sip_message *response);
/* The branch names an address of the overlay: its contacts are asked for. */
void redirect_locate(struct edge_step *step, struct fork *fork, struct branch *branch);
/* Answers 302 with these contacts, and ends the context. False: none of them can be named;
 * nothing was done. */
bool redirect_answer(struct edge_step *step, struct fork *fork,
                     const struct contact *const *contact, unsigned count);

#endif
