/* SPDX-License-Identifier: BSD-2-Clause */
/* A ring for tests of core/dht alone: the routing interface with a view that the test sets, in
 * place of core/overlay. Include it in one file of a test; the linker then leaves the real one in
 * its archive. */
#ifndef SUPPORT_FAKE_RING_H
#define SUPPORT_FAKE_RING_H

#include "overlay/overlay.h"

#define FAKE_PEERS_MAX 64u

struct overlay {
  struct peer self;
  bool member;
  struct peer predecessor;  /* family 0: none known */
  unsigned successor_count; /* live ones, nearest first */
  struct peer successor[FAKE_PEERS_MAX];
  bool knows_few; /* not all of the ring: keys after the last successor are routed there */
  uint64_t generation;
};

/* Peer number n (1 to 255) at this place of the ring: the first byte of its Peer-ID. */
static inline struct peer fake_peer(uint8_t place) {
  struct peer p = {.at = {.addr = {127, 0, 0, 1},
                          .port = (uint16_t)(5000 + place),
                          .family = 4,
                          .transport = TRANSPORT_TCP},
                   .incarnation = 1};
  p.id.byte[0] = place;
  return p;
}

/* The view of `self` on the ring of these places (sorted, self among them): everybody else, in
 * order; a ring of one has no predecessor. */
static inline void fake_view(struct overlay *o, uint8_t self, const uint8_t *places,
                             unsigned count) {
  unsigned at = 0;
  while (places[at] != self) at++;
  o->self = fake_peer(self);
  o->member = true;
  o->successor_count = 0;
  for (unsigned i = 1; i < count; i++)
    o->successor[o->successor_count++] = fake_peer(places[(at + i) % count]);
  o->predecessor = (struct peer){0};
  if (count > 1) o->predecessor = fake_peer(places[(at + count - 1) % count]);
  o->generation++;
}

bool overlay_is_member(const struct overlay *o) { return o->member; }
const struct peer *overlay_self(const struct overlay *o) { return &o->self; }
const struct peer *overlay_predecessor(const struct overlay *o) {
  return o->predecessor.at.family == 0 ? NULL : &o->predecessor;
}
bool overlay_range(const struct overlay *o, struct key *from, struct key *to) {
  if (!o->member || (o->predecessor.at.family == 0 && o->successor_count > 0)) return false;
  *from = o->successor_count == 0 ? o->self.id : o->predecessor.id;
  *to = o->self.id;
  return true;
}
bool overlay_is_responsible(const struct overlay *o, const struct key *key) {
  struct key from, to;
  return overlay_range(o, &from, &to) && key_in_range_open_closed(key, &from, &to);
}
unsigned overlay_replica_set(const struct overlay *o, unsigned k, struct peer *out) {
  unsigned n = 0;
  if (k > 0) out[n++] = o->self;
  for (unsigned i = 0; i < o->successor_count && n < k; i++) out[n++] = o->successor[i];
  return n;
}
unsigned overlay_successors(const struct overlay *o, struct peer *out, unsigned max) {
  unsigned n = 0;
  for (; n < o->successor_count && n < max; n++) out[n] = o->successor[n];
  return n;
}
unsigned overlay_known_peers(const struct overlay *o, struct peer *out, unsigned max) {
  return overlay_successors(o, out, max);
}
unsigned overlay_next_hops(const struct overlay *o, const struct key *key, const struct key *avoid,
                           unsigned avoid_count, struct peer *out, unsigned max, bool *final) {
  (void)avoid, (void)avoid_count;
  *final = true;
  if (max == 0) return 0;
  struct key at = o->self.id;
  for (unsigned i = 0; i < o->successor_count; i++) {
    if (key_in_range_open_closed(key, &at, &o->successor[i].id)) {
      out[0] = o->successor[i];
      return 1;
    }
    at = o->successor[i].id;
  }
  if (!o->knows_few || o->successor_count == 0) return 0;
  *final = false; /* the nearest before the key */
  out[0] = o->successor[o->successor_count - 1];
  return 1;
}
bool overlay_is_suspect(const struct overlay *o, const struct key *id) {
  (void)o, (void)id;
  return false;
}
bool overlay_is_cut_off(const struct overlay *o) {
  (void)o;
  return false;
}
uint64_t overlay_generation(const struct overlay *o) { return o->generation; }

#endif
