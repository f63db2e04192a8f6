/* SPDX-License-Identifier: BSD-2-Clause */
/* Time. `usec` is monotonic microseconds since an arbitrary origin and always a parameter.
 * `msec_wall` is milliseconds since 1970-01-01 UTC, a separate input used for expiry dates and
 * signatures only. */
#ifndef BASE_USEC_H
#define BASE_USEC_H

#include <stdint.h>

typedef uint64_t usec;
typedef uint64_t msec_wall;

#define USEC_NEVER UINT64_MAX
#define USEC_PER_MSEC ((usec)1000)
#define USEC_PER_SEC ((usec)1000000)
#define MSEC(n) ((usec)(n)*USEC_PER_MSEC)
#define SEC(n) ((usec)(n)*USEC_PER_SEC)

static inline usec usec_min(usec a, usec b) { return a < b ? a : b; }
static inline usec usec_max(usec a, usec b) { return a > b ? a : b; }

#endif
