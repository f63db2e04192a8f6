/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/assert.h"

#include <stdlib.h>

/* Weak: a host that can report the place before it dies defines its own. */
__attribute__((weak)) void assert_failed(const char *expression, const char *file, int line) {
  (void)expression;
  (void)file;
  (void)line;
  abort();
}
