/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/weather.h"

static const struct {
  const char *name, *text;
  uint32_t calm;
} weathers[] = {
#define WEATHER_ROW(kind, name, calm, text) {name, text, calm},
    WEATHERS(WEATHER_ROW)
#undef WEATHER_ROW
};

const char *weather_name(unsigned kind) { return weathers[kind].name; }
const char *weather_text(unsigned kind) { return weathers[kind].text; }
uint32_t weather_calm(unsigned kind) { return weathers[kind].calm; }

bool weather_parse(struct slice text, unsigned *kind, uint32_t *value) {
  size_t equals = slice_find_byte(text, '=');
  struct slice name = slice_first(text, equals);
  uint64_t number;
  if (!slice_to_u64(slice_skip(text, equals + 1), 1000000000, &number)) return false;
  for (unsigned i = 0; i < WEATHER_COUNT; i++) {
    if (!slice_equal(name, slice_cstr(weathers[i].name))) continue;
    *kind = i;
    *value = (uint32_t)number;
    return true;
  }
  return false;
}

void weather_set_calm(struct weather *weather) {
  for (unsigned i = 0; i < WEATHER_COUNT; i++) weather->of[i] = weathers[i].calm;
}

/* Von Neumann 1951: where the first falling run of random numbers has an odd length its first one
 * is the fraction, else one more mean has passed. */
usec exponential(struct rng *rng, usec mean) {
  for (usec whole = 0;; whole += mean) {
    uint64_t first = rng_u64(rng) >> 32, last = first;
    unsigned run = 1;
    for (uint64_t next; (next = rng_u64(rng) >> 32) < last; last = next) run++;
    if (run % 2 == 1) return whole + mean * first / ((uint64_t)1 << 32);
  }
}

static void toss(struct weather *weather, struct rng *rng, enum weather_kind kind, uint32_t low,
                 uint32_t high) {
  /* Both are drawn always, so that one setting does not change the others. */
  bool is_there = rng_below(rng, 2) == 0;
  uint32_t value = (uint32_t)rng_between(rng, low, high);
  if (is_there) weather->of[kind] = value;
}

void weather_draw(struct weather *weather, struct rng *rng) {
  static const struct {
    enum weather_kind kind;
    uint32_t low, high;
  } dice[] = {
      {LATENCY, 1, 2},       {LATENCY_MAX_US, 2000, 80000},
      {UDP, 0, 1},           {LOSS, 1, 60},
      {DUPLICATE, 1, 60},    {REORDER, 1, 200},
      {BREAKS, 1, 300},      {UPLINK_KB, 100, 2000},
      {DISK_US, 100, 50000}, {DISK_SLOW, 1, 10},
      {DISK_FAIL, 1, 20},    {SKEW_MS, 1, 60000},
      {SUCCESSORS, 4, 10},   {STABILIZE_MS, 1000, 5000},
      {LEARNT, 0, 64},       {CRASH_S, 4, 20},
      {CRASHES, 2, 2},       {DARK, 1, 1000},
      {RETURN, 0, 1000},     {WIPE, 1, 1000},
      {LEAVE_S, 5, 30},      {JOIN_S, 4, 30},
      {PAUSE_S, 10, 60},     {PARTITION_S, 10, 40},
      {ONE_WAY, 1, 1000},    {PARTITION_LONG_MS, 100, 8000},
      {OPERATIONS, 5, 60},   {PARTITION_PART, 1, 500},
      {PINS, 1, 1},
  };
  weather_set_calm(weather);
  for (size_t i = 0; i < sizeof dice / sizeof dice[0]; i++)
    toss(weather, rng, dice[i].kind, dice[i].low, dice[i].high);
}
