/* SPDX-License-Identifier: BSD-2-Clause */
/* An error for people: what failed, why, and what to do about it. */
#ifndef HOST_WHY_H
#define HOST_WHY_H

#include <stddef.h>

#include "base/err.h"

struct why {
  char text[1024];
};

/* Writes the text (cut if too long) and returns err, so that `return why_say(...)` reads well. */
enum err why_say(struct why *why, enum err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* calloc that never returns NULL: a host that cannot allocate a few bytes ends with a message. */
void *host_take(size_t bytes);

#endif
