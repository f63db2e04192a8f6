/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum err why_say(struct why *why, enum err err, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(why->text, sizeof why->text, format, args);
  va_end(args);
  return err;
}

void *host_take(size_t bytes) {
  void *at = calloc(1, bytes > 0 ? bytes : 1);
  if (at != NULL) return at;
  fputs("locserd: out of memory\n", stderr);
  _exit(1);
}
