/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/key.h"

#include "base/assert.h"

bool key_is_zero(const struct key *k) {
  static const struct key zero;
  return key_equal(k, &zero);
}

bool key_in_range_open_closed(const struct key *x, const struct key *from, const struct key *to) {
  bool after = key_compare(x, from) > 0;
  bool until = key_compare(x, to) <= 0;
  int order = key_compare(from, to);
  if (order == 0) return true;
  return order < 0 ? after && until : after || until;
}

bool key_in_range_open_open(const struct key *x, const struct key *from, const struct key *to) {
  if (key_equal(from, to)) return !key_equal(x, from);
  return !key_equal(x, to) && key_in_range_open_closed(x, from, to);
}

struct key key_distance(const struct key *from, const struct key *to) {
  struct key distance;
  unsigned borrow = 0;
  for (int i = KEY_BYTES - 1; i >= 0; i--) {
    unsigned less = from->byte[i] + borrow;
    borrow = to->byte[i] < less;
    distance.byte[i] = (uint8_t)(to->byte[i] - less);
  }
  return distance;
}

struct key key_add_power(const struct key *k, unsigned bit) {
  ASSERT(bit < KEY_BITS);
  struct key sum = *k;
  unsigned carry = 1u << (bit % 8);
  for (unsigned i = KEY_BYTES - bit / 8; i-- > 0 && carry != 0;) {
    carry += sum.byte[i];
    sum.byte[i] = (uint8_t)carry;
    carry >>= 8;
  }
  return sum;
}

struct key key_successor(const struct key *k) {
  return key_add_power(k, 0);
}

int key_top_bit(const struct key *k) {
  for (int i = 0; i < KEY_BYTES; i++) {
    if (k->byte[i] == 0) continue;
    int bit = 7;
    while ((k->byte[i] >> bit) == 0) bit--;
    return (KEY_BYTES - 1 - i) * 8 + bit;
  }
  return -1;
}

bool key_parse(struct slice hex, struct key *out) {
  if (hex.len != KEY_HEX) return false;
  struct key key;
  for (size_t i = 0; i < KEY_BYTES; i += 4) {
    uint64_t four;
    if (!slice_hex_to_u64(slice_of(hex.at + 2 * i, 8), &four)) return false;
    for (unsigned k = 0; k < 4; k++) key.byte[i + k] = (uint8_t)(four >> (24 - 8 * k));
  }
  *out = key;
  return true;
}

void key_put(struct buf *b, const struct key *k) { buf_put_hex(b, k->byte, KEY_BYTES); }
