/* SPDX-License-Identifier: BSD-2-Clause */
/* One overlay driven by hand: the test is all other peers. Peer n has the Peer-ID n in its top
 * byte, so a ring of 256 places is easy to read. */
#ifndef SUPPORT_ONE_OVERLAY_H
#define SUPPORT_ONE_OVERLAY_H

#include "overlay/chord.h"
#include "support/memory.h"

struct one_overlay {
  struct test_memory memory;
  struct overlay *overlay;
  usec now;
  struct overlay_calls calls; /* of the last step */
  struct overlay_message answer;
};

struct peer one_peer(uint8_t place);
struct key one_key(uint8_t place);
void one_init(struct one_overlay *one, uint8_t place, unsigned successors);
void one_free(struct one_overlay *one);
/* A member whose list and predecessor are these, ended by 0; with r or more successors in a ring
 * that is not small. Got by joining, as others are. */
void one_join(struct one_overlay *one, uint8_t predecessor, const uint8_t *successors,
              unsigned count);
/* Time passes; ticks while calls are made until one of them is `method` (answer wanted). */
const struct overlay_call *one_wait(struct one_overlay *one, enum overlay_method method);
/* The call of the last step that is `method`, to `place`; NULL: none. */
const struct overlay_call *one_call(struct one_overlay *one, enum overlay_method method,
                                    uint8_t place);
void one_answer(struct one_overlay *one, const struct overlay_call *call,
                enum overlay_status status, const struct overlay_message *message);
/* What peer `place` says: predecessor (0: none) and successors. */
struct overlay_message one_says(enum overlay_method method, uint8_t place, uint8_t predecessor,
                                const uint8_t *successors, unsigned count);
enum overlay_status one_request(struct one_overlay *one, enum overlay_method method, uint8_t from);
/* The places of the successor list, as "10 20 30". */
const char *one_list(const struct one_overlay *one);

#endif
