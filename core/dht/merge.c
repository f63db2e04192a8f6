/* SPDX-License-Identifier: BSD-2-Clause */
#include "dht/merge.h"

int record_compare(const struct record *a, const struct record *b) {
  if (a->version != b->version) return a->version < b->version ? -1 : 1;
  if (a->tombstone != b->tombstone) return a->tombstone ? 1 : -1;
  return key_compare(&a->digest, &b->digest);
}

struct record record_merge(const struct record *a, const struct record *b) {
  struct record winner = record_compare(a, b) >= 0 ? *a : *b;
  winner.floor = a->floor > b->floor ? a->floor : b->floor;
  return winner;
}
