/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of two records of one identity wins. A pure comparison of the two: no
 * clock, no sender, no history; so merging is commutative, associative and idempotent. */
#ifndef DHT_MERGE_H
#define DHT_MERGE_H

#include "base/record.h"

/* <0: a loses, 0: they are the same record, >0: a wins. */
int record_compare(const struct record *a, const struct record *b);
/* The winner, with the later floor of the two. Its bytes are borrowed as the winner's were. */
struct record record_merge(const struct record *a, const struct record *b);

#endif
