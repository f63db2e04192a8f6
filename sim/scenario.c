/* SPDX-License-Identifier: BSD-2-Clause */
/* One row, one weather and, where needed, one script: a new scenario is a new row. */
#include <string.h>

#include "sim/script.h"

static void calm(struct weather *weather, struct rng *rng) {
  (void)rng;
  weather_set_calm(weather);
}

static void churn(struct weather *weather, struct rng *rng) {
  calm(weather, rng);
  weather->of[LATENCY] = 1;
  weather->of[LATENCY_MAX_US] = 60000;
  weather->of[CRASH_S] = 12;
  weather->of[LEAVE_S] = 20;
  weather->of[JOIN_S] = 6;
  weather->of[DARK] = 500;
  weather->of[OPERATIONS] = 30;
}

/* One copy only: whoever leaves hands over, or all is lost. */
static void leaves(struct weather *weather, struct rng *rng) {
  calm(weather, rng);
  weather->of[REPLICAS] = 1;
  weather->of[LEAVE_S] = 5;
  weather->of[JOIN_S] = 5;
}

/* Short lists, and peers that die without a word while others join. */
static void edges(struct weather *weather, struct rng *rng) {
  churn(weather, rng);
  weather->of[SUCCESSORS] = 4;
  weather->of[CRASH_S] = 3;
  weather->of[LEAVE_S] = 0;
  weather->of[JOIN_S] = 2;
  weather->of[DARK] = 1000;
  weather->of[RETURN] = 200;
  weather->of[LEARNT] = 0;
}

static void disks(struct weather *weather, struct rng *rng) {
  calm(weather, rng);
  weather->of[DISK_US] = 30000;
  weather->of[DISK_SLOW] = 20;
  weather->of[DISK_FAIL] = 50;
  weather->of[CRASH_S] = 15;
  weather->of[RETURN] = 900;
  weather->of[OPERATIONS] = 40;
}

static void partition(struct weather *weather, struct rng *rng) {
  calm(weather, rng);
  weather->of[LATENCY] = 2;
  weather->of[LATENCY_MAX_US] = 150000;
  weather->of[PARTITION_S] = 15;
  weather->of[PARTITION_LONG_MS] = 8000;
  weather->of[ONE_WAY] = 300;
}

static void datagrams(struct weather *weather, struct rng *rng) {
  churn(weather, rng);
  weather->of[UDP] = 1;
  weather->of[LOSS] = 30;
  weather->of[DUPLICATE] = 20;
  weather->of[REORDER] = 100;
}

static void stormy(struct weather *weather, struct rng *rng) {
  calm(weather, rng);
  weather->of[UPLINK_KB] = 1000;
  weather->of[FAULTS_S] = 30;
  weather->of[OPERATIONS] = 150;
}

/* Clients go on long after everybody has to be ready again. */
static void storm(struct weather *weather, struct rng *rng) {
  stormy(weather, rng);
  weather->of[FAULTS_S] = 75;
}

static void idle(struct weather *weather, struct rng *rng) {
  calm(weather, rng);
  weather->of[OPERATIONS] = 0;
  weather->of[ROUNDS] = 1;
}

/* So many that some lose nearly all of their successors, and some records all of their copies. */
static void failure(struct weather *weather, struct rng *rng) {
  calm(weather, rng);
  weather->of[FAIL] = 300;
  weather->of[DARK] = 500;
  weather->of[OPERATIONS] = 0;
  weather->of[FAULTS_S] = 0;
}

/* Half of what is written are immutable values, anybody's. */
static void immutable(struct weather *weather, struct rng *rng) {
  churn(weather, rng);
  weather->of[DISK_FAIL] = 10;
  weather->of[IMMUTABLE] = 500;
}

/* People who are away, and peers that come and go. Disks are not lost, so nothing may be. */
static void messages(struct weather *weather, struct rng *rng) {
  calm(weather, rng);
  weather->of[LATENCY] = 1;
  weather->of[LATENCY_MAX_US] = 60000;
  weather->of[CRASH_S] = 12;
  weather->of[RETURN] = 1000;
  weather->of[LEAVE_S] = 30;
  weather->of[JOIN_S] = 15;
  weather->of[DARK] = 500;
  weather->of[PINS] = 1;
  weather->of[MESSAGES] = 1000;
  weather->of[FAULTS_S] = 120;
  weather->of[ROUNDS] = 1;
}

/* People who watch each other's state, at peers that come and go. */
static void presence(struct weather *weather, struct rng *rng) {
  messages(weather, rng);
  weather->of[MESSAGES] = 0;
  weather->of[RETURN] = 500;
  weather->of[WATCHERS] = 60;
  weather->of[FAULTS_S] = 180;
}

/* Everybody loses power in the same second, and is back within the next ten. */
static void restart_all(struct script *script, unsigned round) {
  (void)round;
  struct world *world = script->world;
  for (uint32_t i = 0; i < world->peer_count; i++) {
    usec back = SEC(1) + rng_below(&script->rng, SEC(10));
    if (world_is_up(world, i)) script_crash(script, i, false, back);
  }
}

static void join_many(struct script *script, unsigned round) {
  (void)round;
  for (uint32_t i = 0; i < script->target; i++) script_join(script);
}

/* Random Peer-IDs, as a closed overlay gives them out; each record is written several times. */
static void liars(struct weather *weather, struct rng *rng) {
  calm(weather, rng);
  weather->of[LIARS] = 300;
  weather->of[LEARNT] = 64;
  weather->of[OPERATIONS] = 300;
  weather->of[FAULTS_S] = 60;
  weather->of[ROUNDS] = 1;
}

static void forgers(struct weather *weather, struct rng *rng) {
  liars(weather, rng);
  weather->of[LIARS] = 0;
  weather->of[FORGERS] = 300;
}

/* As the papers have it: stabilisation every 30 s; on a map, up to 150 ms from end to end. */
static void million(struct weather *weather, struct rng *rng) {
  calm(weather, rng);
  weather->of[LATENCY] = 2;
  weather->of[LATENCY_MIN_US] = 2000;
  weather->of[LATENCY_MAX_US] = 150000;
  weather->of[STABILIZE_MS] = 30000;
  weather->of[LEARNT] = 64;
  weather->of[LINK_IDLE_S] = 30;
  weather->of[LOOKUPS] = 10;
  weather->of[TURNOVER] = 10;
  weather->of[DARK] = 500;
  weather->of[RETURN] = 0;
  weather->of[FAULTS_S] = 600;
}

static const struct scenario scenarios[] = {
    {"swarm", "every kind of fault is there or not, by the toss of a coin", 0, weather_draw, NULL,
     CLAIM_NONE},
    {"calm", "nothing goes wrong", 20, calm, NULL, CLAIM_NONE},
    {"idle", "nothing goes wrong, and nobody asks anything", 20, idle, NULL, CLAIM_IDLE},
    {"churn", "peers crash, leave and join", 24, churn, NULL, CLAIM_NONE},
    {"leaves", "one copy of each record, and peers that leave and join", 16, leaves, NULL,
     CLAIM_NONE},
    {"edges", "short successor lists, silent crashes and joins all the time", 24, edges, NULL,
     CLAIM_NONE},
    {"failure", "three of ten peers crash at once, for good", 60, failure, NULL, CLAIM_NONE},
    {"disks", "writes are slow or fail, and crashes lose what was not synced", 16, disks, NULL,
     CLAIM_NONE},
    {"partition", "the network comes apart for some seconds", 20, partition, NULL, CLAIM_NONE},
    {"datagrams", "churn over UDP that loses, doubles and reorders", 16, datagrams, NULL,
     CLAIM_NONE},
    {"immutable", "churn, and half of the records are immutable values", 20, immutable, NULL,
     CLAIM_NONE},
    {"storm", "all restart at once", 30, storm, restart_all, CLAIM_READY},
    {"million", "a computed ring of very many peers, which come, go and look keys up", 10000,
     million, NULL, CLAIM_NONE},
    {"liars", "three of ten peers lie about records, routes and neighbours", 100, liars, NULL,
     CLAIM_LIARS},
    {"forgers", "three of ten peers alter the records that they give out", 30, forgers, NULL,
     CLAIM_LIARS},
    {"messages", "messages for people who are away, under churn", 24, messages, NULL, CLAIM_NONE},
    {"presence", "people watch each other's state, under churn", 24, presence, NULL, CLAIM_NONE},
    {"crowd", "the ring doubles at once", 24, stormy, join_many, CLAIM_NONE},
};

const struct scenario *scenario_at(unsigned i) {
  return i < sizeof scenarios / sizeof scenarios[0] ? &scenarios[i] : NULL;
}

const struct scenario *scenario_find(const char *name) {
  for (unsigned i = 0; scenario_at(i) != NULL; i++)
    if (strcmp(scenarios[i].name, name) == 0) return &scenarios[i];
  return NULL;
}
