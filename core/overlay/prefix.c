/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers of one network among those beyond the ring's own pointers: who rents one network
 * must not fill the tables by which routes are chosen. */
#include "overlay/chord.h"

#define PREFIX_OTHERS 4u /* networks; where fewer are known, one network may be all there is */

static bool has_first(const struct endpoint *e, uint8_t a, uint8_t mask_b, uint8_t b) {
  return e->addr[0] == a && (e->addr[1] & mask_b) == b;
}

/* Loopback, and addresses that are no part of the Internet (RFC 1918, RFC 3927, RFC 6598, RFC
 * 4193, RFC 4291): laboratories and home networks. */
static bool is_local(const struct endpoint *e) {
  if (endpoint_is_loopback(e)) return true;
  if (e->family == 4)
    return e->addr[0] == 10 || has_first(e, 172, 0xf0, 16) || has_first(e, 192, 0xff, 168) ||
           has_first(e, 169, 0xff, 254) || has_first(e, 100, 0xc0, 64);
  return (e->addr[0] & 0xfe) == 0xfc || has_first(e, 0xfe, 0xc0, 0x80);
}

struct count {
  struct prefix own, other[PREFIX_OTHERS];
  unsigned same, others;
};

static void count_in(struct count *count, const struct peers *peers) {
  for (uint32_t i = 0; i < peers->count; i++) {
    const struct endpoint *at = &peers->at[i].at;
    bool known = false;
    if (prefix_has(&count->own, at)) {
      count->same++;
      continue;
    }
    for (unsigned k = 0; k < count->others && !known; k++) known = prefix_has(&count->other[k], at);
    if (!known && count->others < PREFIX_OTHERS)
      count->other[count->others++] = prefix_of(at, PREFIX_BITS4, PREFIX_BITS6);
  }
}

bool prefix_is_full(const struct overlay *overlay, const struct peer *peer) {
  if (!overlay->strangers || is_local(&peer->at)) return false;
  struct count count = {.own = prefix_of(&peer->at, PREFIX_BITS4, PREFIX_BITS6)};
  count_in(&count, &overlay->fingers);
  count_in(&count, &overlay->learnt);
  return count.same >= PREFIX_PEERS_MAX && count.others == PREFIX_OTHERS;
}
