/* SPDX-License-Identifier: BSD-2-Clause */
/* SIP PnP on a multicast group: the sockets, and who is answered. */
#ifndef HOST_PNP_H
#define HOST_PNP_H

#include "host/loop.h"
#include "host/provision.h"

#define PNP_ANSWERS_PER_S 20u /* to all phones together; ... */
#define PNP_ANSWERS_AT_ONCE 100u

struct pnp;

/* Listens on the group at the interface that has the address `at`, and answers from there. */
enum err pnp_new(struct loop *loop, struct provision *provision, const struct endpoint *group,
                 const struct endpoint *at, struct pnp **out, struct why *why) MUST_USE;
/* pnp may be NULL, here and below. */
void pnp_stop(struct pnp *pnp);
/* After the loop has ended. */
void pnp_free(struct pnp *pnp);

struct pnp_stats {
  uint64_t asked;    /* requests for settings */
  uint64_t answered; /* of these: an account waited */
  uint64_t limited;  /* dropped by the limit, or from outside the local networks */
};
struct pnp_stats pnp_stats(const struct pnp *pnp);

#endif
