/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/memory.h"

#include <string.h>

void *memory_take(const struct memory *memory, size_t bytes) {
  void *at = memory->take(memory->context, bytes);
  if (at != NULL) memset(at, 0, bytes);
  return at;
}

void memory_give(const struct memory *memory, void *at, size_t bytes) {
  if (at != NULL) memory->give(memory->context, at, bytes);
}
