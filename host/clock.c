/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/clock.h"

#include <time.h>

static uint64_t read_us(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

usec clock_monotonic(void) { return read_us(CLOCK_MONOTONIC); }

msec_wall clock_wall(void) { return read_us(CLOCK_REALTIME) / 1000u; }

int64_t clock_offset_us(void) {
  return (int64_t)(read_us(CLOCK_REALTIME) - read_us(CLOCK_MONOTONIC));
}
