/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/allocations.h"

#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif

static uint64_t *counter;

void allocations_count_into(uint64_t *into) { counter = into; }

#if defined(__GLIBC__) && !defined(SANITIZED)

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *at, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

bool allocations_can_count(void) { return true; }

static void count(void) {
  if (counter != NULL) __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t bytes) {
  count();
  return __libc_malloc(bytes);
}

void *calloc(size_t number, size_t bytes) {
  count();
  return __libc_calloc(number, bytes);
}

void *realloc(void *at, size_t bytes) {
  count();
  return __libc_realloc(at, bytes);
}

void *aligned_alloc(size_t align, size_t bytes) {
  count();
  return __libc_memalign(align, bytes);
}

#else

bool allocations_can_count(void) { return false; }

#endif
