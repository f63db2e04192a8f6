/* SPDX-License-Identifier: BSD-2-Clause */
/* What a world is like: numbers drawn from the seed (a swarm of settings, each run another), set by
 * a scenario, or given on the command line as --set NAME=NUMBER. */
#ifndef SIM_WEATHER_H
#define SIM_WEATHER_H

#include "base/rng.h"
#include "base/slice.h"
#include "base/usec.h"

/* X(ENUM, "name", calm value, what it is) */
#define WEATHERS(X)                                                                                \
  X(LATENCY, "latency", 0,                                                                         \
    "0: between its ends; 1: table with a long tail; 2: map; 3: exponential, max in the mean")     \
  X(LATENCY_MIN_US, "latency-min-us", 1000, "")                                                    \
  X(LATENCY_MAX_US, "latency-max-us", 20000, "")                                                   \
  X(UDP, "udp", 0, "1: peers talk in datagrams")                                                   \
  X(LOSS, "loss", 0, "of 1000 datagrams")                                                          \
  X(DUPLICATE, "duplicate", 0, "of 1000 datagrams")                                                \
  X(REORDER, "reorder", 0, "of 1000 datagrams, held back by up to five latencies")                 \
  X(BREAKS, "breaks", 0, "of 100000 messages on streams, with which the connection breaks")        \
  X(UPLINK_KB, "uplink-kb", 0, "kilobytes a second that a peer can send; 0: no limit")             \
  X(DISK_US, "disk-us", 5000, "a write takes up to twice that")                                    \
  X(DISK_SLOW, "disk-slow", 0, "of 1000 writes that take 100 times as long")                       \
  X(DISK_FAIL, "disk-fail", 0, "of 1000 writes")                                                   \
  X(SKEW_MS, "skew-ms", 0, "wall clocks are wrong by up to that")                                  \
  X(SUCCESSORS, "successors", 8, "r")                                                              \
  X(REPLICAS, "replicas", 3, "k")                                                                  \
  X(STABILIZE_MS, "stabilize-ms", 5000, "")                                                        \
  X(LOOKUP_MS, "lookup-ms", 8000, "after which a peer gives up what it asked for")                 \
  X(LEARNT, "learnt", 1024, "peers learnt beyond fingers")                                         \
  X(CRASH_S, "crash-s", 0, "mean seconds between crashes; 0: none")                                \
  X(CRASHES, "crashes", 1, "at most so many at once")                                              \
  X(DARK, "dark", 0, "of 1000 crashes whose address does not even refuse")                         \
  X(RETURN, "return", 500, "of 1000 crashed peers that come back within a minute")                 \
  X(WIPE, "wipe", 0, "of 1000 crashed peers whose disk is lost")                                   \
  X(LEAVE_S, "leave-s", 0, "mean seconds between leaves")                                          \
  X(JOIN_S, "join-s", 0, "mean seconds between joins")                                             \
  X(PAUSE_S, "pause-s", 0, "mean seconds between peers that stand still for a while")              \
  X(PARTITION_S, "partition-s", 0, "mean seconds between partitions")                              \
  X(PARTITION_LONG_MS, "partition-long-ms", 5000, "a partition lasts so long at most")             \
  X(PARTITION_PART, "partition-part", 200, "of 1000 peers, at most, are on the smaller side")      \
  X(ONE_WAY, "one-way", 0, "of 1000 partitions")                                                   \
  X(DROPPERS, "droppers", 0, "of 1000 peers, which forward nothing")                               \
  X(LIARS, "liars", 0, "of 1000 peers, which do all of the next three while there are faults")     \
  X(MISROUTERS, "misrouters", 0, "of 1000 peers, which pass requests to anybody, or answer 404")   \
  X(DECEIVERS, "deceivers", 0, "of 1000 peers, which name false neighbours")                       \
  X(STALE, "stale", 0, "of 1000 peers, which give out old records, or none")                       \
  X(FORGERS, "forgers", 0, "of 1000 peers, which alter the records that they give out")            \
  X(WARY, "wary", 1, "peers look again where an answer may be a lie; 2: at each read; 0: never")   \
  X(LINK_IDLE_S, "link-idle-s", 0, "seconds after which an unused connection is closed; 0: never") \
  X(LOOKUPS, "lookups", 0, "a peer, in the phase of faults; if any, the ring is computed")         \
  X(TURNOVER, "turnover", 0, "of 1000 peers: so many come, and go, while there are lookups")       \
  X(OPERATIONS, "operations", 10, "puts, gets and removals in ten seconds")                        \
  X(RECORDS, "records", 0, "in all; 0: as many as suit the number of peers")                       \
  X(FAIL, "fail", 0, "of 1000 peers, which crash at once as faults begin, and stay down")          \
  X(FAULTS_S, "faults-s", 60, "length of the phase of faults")                                     \
  X(ROUNDS, "rounds", 2, "faults, then healing: so many times")                                    \
  X(IMMUTABLE, "immutable", 0, "of 1000 records, which are immutable values")                      \
  X(MESSAGES, "messages", 0, "left by users for each other while there are faults")                \
  X(USERS, "users", 100, "who leave messages; their keys are at all peers")                        \
  X(WATCHERS, "watchers", 0, "who watch others; their keys are at all peers")                      \
  X(WATCHED, "watched", 20, "who are watched by them")                                             \
  X(PINS, "pins", 0, "1: an open overlay, in which the first key of an address is pinned")

enum weather_kind {
#define WEATHER_ENUM(kind, name, calm, text) kind,
  WEATHERS(WEATHER_ENUM)
#undef WEATHER_ENUM
      WEATHER_COUNT
};

struct weather {
  uint32_t of[WEATHER_COUNT];
};

const char *weather_name(unsigned kind);
const char *weather_text(unsigned kind);
uint32_t weather_calm(unsigned kind);
/* "NAME=NUMBER". False: no such name, or no number. */
bool weather_parse(struct slice text, unsigned *kind, uint32_t *value);
void weather_set_calm(struct weather *weather);
/* Exponentially distributed, by comparisons alone. */
usec exponential(struct rng *rng, usec mean);
/* Each fault is in the world or not by the toss of a coin; how strong it is comes from the dice. */
void weather_draw(struct weather *weather, struct rng *rng);

#endif
