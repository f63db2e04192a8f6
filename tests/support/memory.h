/* SPDX-License-Identifier: BSD-2-Clause */
/* An allocator for tests: counts what is out, checks sizes on return, and fails on demand. */
#ifndef SUPPORT_MEMORY_H
#define SUPPORT_MEMORY_H

#include <stdint.h>

#include "base/memory.h"

#define TEST_MEMORY_UNLIMITED UINT64_MAX

struct test_memory {
  struct memory memory;
  uint64_t fail_after; /* so many allocations succeed, then all fail */
  uint64_t fail_once;  /* so many were asked for when one fails, that one alone; 0: none */
  uint64_t asked;      /* allocations asked for so far */
  uint64_t taken;      /* allocations that succeeded so far */
  uint64_t blocks;     /* now out */
  size_t bytes;        /* now out */
};

/* Must stay where it is while its memory is used. fail_after = TEST_MEMORY_UNLIMITED: never. */
void test_memory_init(struct test_memory *m, uint64_t fail_after);

#endif
