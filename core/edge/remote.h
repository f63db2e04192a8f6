/* SPDX-License-Identifier: BSD-2-Clause */
/* What remote.c and homes.c share: how homes are told something, in turn. */
#ifndef EDGE_REMOTE_H
#define EDGE_REMOTE_H

#include "edge/events.h"
#include "usage/presence.h"

#define REMOTE_STATE_LIFE_S 1300u /* of what a home says */
#define REMOTE_WATCH_LIFE_S 1300u /* of what a watcher's peer says and gets */
#define REMOTE_WATCH_REFRESH SEC(600)
#define REMOTE_RETRY SEC(5)
#define REMOTE_CALLS_SPARE 8u

/* `user` of a call: the handle of a presentity, or of a subscription (USER_WATCH), and these bits
 * of the index. place: of the batch, or of the home and its
 * turn. */
enum remote_user { USER_WATCH, USER_BATCH, USER_HOMES, USER_PEERS };
#define REMOTE_PLACES 32u
uint64_t remote_put_user(struct handle handle, enum remote_user kind, unsigned place);

struct slice remote_put_key(struct edge_step *step, const char *scheme, struct slice aor);
struct slice remote_put_token(struct edge_step *step, uint64_t token);
/* A message to that peer; its nonce is the kind and the first token. */
struct edge_call *remote_tell(struct edge_step *step, uint64_t user, struct slice key,
                              const struct peer *to, struct presence_value *value, const char *kind,
                              uint32_t life_s);
/* May one more leave now? `count` have in this turn. */
bool remote_may_tell(const struct edge_step *step, unsigned count);
/* It is looked through for what there is to tell: in its turn, or at that time. */
void remote_queue(struct edge_step *step, struct presentity *presentity);
void remote_wake(struct edge_step *step, struct presentity *presentity, usec at);
/* The wait after so many tries in vain. */
usec remote_pause(uint8_t tries);

/* ---- homes.c ---- */
/* False: there is more to tell than may be now. */
bool homes_tell(struct edge_step *step, struct presentity *presentity, unsigned *count);
void homes_on_told(struct edge_step *step, struct subscription *subscription, unsigned place_turn,
                   uint16_t status);
/* A home was found, in a record. */
void homes_take(struct edge_step *step, struct presentity *presentity, const struct peer *peer);
/* All are asked again, one after the other. */
void homes_ask_all(struct edge_step *step, struct presentity *presentity);
/* Is each still there? */
void homes_on_again(struct edge_step *step, struct presentity *presentity);
uint16_t homes_on_state(struct edge_step *step, const struct edge_event *event,
                        const struct presence_value *value);
uint16_t homes_on_here(struct edge_step *step, const struct edge_event *event,
                       const struct presence_value *value, uint64_t token);

#endif
