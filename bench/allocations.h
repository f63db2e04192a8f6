/* SPDX-License-Identifier: BSD-2-Clause */
/* Counts what a whole process takes from the heap, libraries included: malloc, calloc, realloc and
 * aligned_alloc of the C library stand behind the ones here. Not where a sanitizer has put its own
 * there, nor with another C library than glibc. */
#ifndef BENCH_ALLOCATIONS_H
#define BENCH_ALLOCATIONS_H

#include <stdbool.h>
#include <stdint.h>

bool allocations_can_count(void);
/* From now on in this process; *counter may lie in memory shared with others. */
void allocations_count_into(uint64_t *counter);

#endif
