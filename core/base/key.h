/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys and Peer-IDs: 160-bit numbers on one ring, big-endian. Interval names say their ends:
 * (a, b] is "open_closed". An interval whose ends are equal is the whole ring (for open_open:
 * the whole ring but that point), as Chord needs it. Source: Stoica et al. 2003, Zave 2016. */
#ifndef BASE_KEY_H
#define BASE_KEY_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

#define KEY_BYTES 20
#define KEY_BITS 160
#define KEY_HEX 40

struct key {
  uint8_t byte[KEY_BYTES];
};

bool key_equal(const struct key *a, const struct key *b);
/* As numbers from 0: <0, 0, >0. */
int key_compare(const struct key *a, const struct key *b);
bool key_is_zero(const struct key *k);
/* x in (from, to], going clockwise; from == to: always true. */
bool key_in_range_open_closed(const struct key *x, const struct key *from, const struct key *to);
/* x in (from, to), going clockwise; from == to: true unless x is that point. */
bool key_in_range_open_open(const struct key *x, const struct key *from, const struct key *to);
/* to - from modulo 2^160: how far clockwise. */
struct key key_distance(const struct key *from, const struct key *to);
/* k + 2^bit modulo 2^160; bit < KEY_BITS. */
struct key key_add_power(const struct key *k, unsigned bit);
/* k + 1 modulo 2^160. */
struct key key_successor(const struct key *k);
/* Index of the highest bit set, or -1 for zero. */
int key_top_bit(const struct key *k);
/* Exactly 40 hexadecimal digits of either case. */
bool key_parse(struct slice hex, struct key *out);
/* 40 digits, upper case as in Figure 1 of the seed draft. */
void key_put(struct buf *b, const struct key *k);

#endif
