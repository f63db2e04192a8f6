/* SPDX-License-Identifier: BSD-2-Clause */
/* The two clocks (base/usec.h), read here and nowhere else. */
#ifndef HOST_CLOCK_H
#define HOST_CLOCK_H

#include "base/usec.h"

usec clock_monotonic(void);
msec_wall clock_wall(void);
/* Wall clock in microseconds minus monotonic clock: changes when somebody sets the clock. */
int64_t clock_offset_us(void);

#endif
