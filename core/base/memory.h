/* SPDX-License-Identifier: BSD-2-Clause */
/* The allocator is a parameter, so that tests can make it fail and simulators can count it.
 * take() returns memory aligned for any type, or NULL. give() takes back exactly what take()
 * gave, with the same size. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

struct memory {
  void *(*take)(void *context, size_t bytes);
  void (*give)(void *context, void *at, size_t bytes);
  void *context;
};

/* take() and clear; NULL if there is none. */
void *memory_take(const struct memory *memory, size_t bytes);
/* `at` may be NULL. */
void memory_give(const struct memory *memory, void *at, size_t bytes);

#endif
