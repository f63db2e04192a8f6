/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/script.h"

#include <stdlib.h>

#define JOINS 4u /* addresses that a peer is told to join through */
#define LEFT_US SEC(15)
#define MANY 200u
#define SETTLED_US SEC(5) /* then others know a newcomer */

enum act {
  ACT_CLIENT,
  ACT_CRASH,
  ACT_RETURN,
  ACT_LEAVE,
  ACT_STOP, /* a leaver's process */
  ACT_JOIN,
  ACT_PAUSE,
  ACT_PART,
  ACT_UNPART,
};

void script_open(struct script *script, struct world *world, struct ledger *ledger, uint64_t seed) {
  *script = (struct script){.world = world, .ledger = ledger};
  uint8_t bytes[16] = {'s'};
  for (unsigned i = 0; i < 8; i++) bytes[8 + i] = (uint8_t)(seed >> 8 * i);
  rng_init(&script->rng, bytes);
}

static bool chance(struct script *script, enum weather_kind kind) {
  return rng_below(&script->rng, 1000) < script->world->weather.of[kind];
}

static void act_at(struct script *script, usec at, enum act act, uint32_t argument) {
  world_act(script->world, at, (uint32_t)act | argument << 8);
}

/* The next of a kind that comes every so many seconds in the mean; 0: never. */
static void act_again(struct script *script, enum weather_kind every_s, enum act act) {
  usec mean = SEC(script->world->weather.of[every_s]);
  if (mean == 0) return;
  act_at(script, script->world->now + rng_between(&script->rng, 1, 2 * mean), act, 0);
}

static void start(struct script *script, uint32_t peer) {
  uint32_t joins[JOINS];
  unsigned count = 0;
  struct world *world = script->world;
  for (unsigned tries = 0; tries < 4 * JOINS && count < JOINS && world->up_count > 0; tries++) {
    uint32_t other = truth_random_address(world, &script->rng);
    bool known = other == SIM_NONE || other == peer;
    for (unsigned k = 0; k < count; k++) known = known || joins[k] == other;
    if (!known) joins[count++] = other;
  }
  world_start(world, peer, joins, count);
}

void script_join(struct script *script) {
  uint32_t peer = world_add(script->world);
  if (peer == SIM_NONE) return;
  script->joins++;
  start(script, peer);
}

void script_crash(struct script *script, uint32_t peer, bool dark, usec back_us) {
  script->crashes++;
  world_crash(script->world, peer, dark);
  if (back_us == USEC_NEVER) return;
  script->returning++;
  act_at(script, script->world->now + back_us, ACT_RETURN, peer);
}

/* Would one that stands still find nobody any more of those it knew? Newcomers cannot know of it
 * then, nor it of them: two rings that nothing joins. */
static bool strands(const struct script *script, uint32_t victim) {
  const struct world *world = script->world;
  for (uint32_t i = 0; i < world->peer_count; i++) {
    const struct sim_peer *still = &world->peer[i];
    if (i == victim || !world_is_up(world, i) || still->paused_until <= world->now) continue;
    unsigned known = 0;
    for (uint32_t k = 0; k < world->peer_count; k++) {
      const struct sim_peer *other = &world->peer[k];
      known += k != i && k != victim && world_is_up(world, k) && !other->leaving &&
               other->paused_until <= world->now &&
               other->started_at + SETTLED_US < still->paused_at;
    }
    if (known == 0) return true;
  }
  return false;
}

/* Those that leave are as good as gone. Where there are many, some are always left, and one who
 * lets the others in: joiners wait for it for ever. */
static bool may_go(const struct script *script, uint32_t peer) {
  const struct world *world = script->world;
  uint32_t staying = 0, members = 0;
  if (peer == SIM_NONE) return false;
  if (world->up_count > MANY) return world->up_count * 2 > script->target;
  for (uint32_t i = 0; i < world->peer_count; i++) {
    if (!world_is_up(world, i) || world->peer[i].leaving) continue;
    staying++;
    members += i != peer && world_is_member(world, i);
  }
  return staying > 3 && staying * 2 > script->target && members > 0 && !strands(script, peer);
}

static void crash_some(struct script *script) {
  struct world *world = script->world;
  uint64_t count = rng_between(&script->rng, 1, world->weather.of[CRASHES]);
  for (; count > 0; count--) {
    uint32_t peer = truth_random_up(world, &script->rng);
    if (!may_go(script, peer)) return;
    bool dark = chance(script, DARK), back = chance(script, RETURN), wipe = chance(script, WIPE);
    usec pause = rng_between(&script->rng, MSEC(100), SEC(20));
    script_crash(script, peer, dark, back ? pause : USEC_NEVER);
    if (wipe) {
      world->wiped = true;
      world_wipe_disk(world, peer);
    }
  }
}

void script_leave(struct script *script) {
  struct world *world = script->world;
  uint32_t peer = truth_random_up(world, &script->rng);
  if (!may_go(script, peer)) return;
  struct sim_peer *leaver = &world->peer[peer];
  leaver->leaving = true;
  script->leaves++;
  act_at(script, world->now + LEFT_US, ACT_STOP, peer);
  world_ask(world, peer, &(struct node_command){.kind = COMMAND_LEAVE});
}

static void stop_left(struct script *script, uint32_t peer) {
  if (!world_is_up(script->world, peer) || !script->world->peer[peer].leaving) return;
  world_crash(script->world, peer, false);
  if (!chance(script, RETURN)) return;
  script->returning++;
  act_at(script, script->world->now + rng_between(&script->rng, MSEC(100), SEC(20)), ACT_RETURN,
         peer);
}

void script_on_reply(struct script *script, uint32_t peer, uint64_t ticket,
                     const struct node_reply *reply) {
  struct sim_peer *leaver = &script->world->peer[peer];
  if (reply->kind == COMMAND_LEAVE) {
    leaver->left = reply->code == 200;
    act_at(script, script->world->now, ACT_STOP, peer); /* its last words are on their way */
  } else {
    ledger_on_reply(script->ledger, peer, ticket, reply);
  }
}

static void part(struct script *script) {
  struct world *world = script->world;
  if (world->parted) return;
  uint64_t share = rng_between(&script->rng, 1, world->weather.of[PARTITION_PART]);
  for (uint32_t i = 0; i < world->peer_count; i++)
    world->peer[i].side = rng_below(&script->rng, 1000) < share;
  world->parted = true;
  world->one_way = chance(script, ONE_WAY);
  script->partitions++;
  ledger_doubt(script->ledger);
  usec span = rng_between(&script->rng, 1, MSEC(world->weather.of[PARTITION_LONG_MS]));
  act_at(script, world->now + span, ACT_UNPART, 0);
}

static void pause_one(struct script *script) {
  struct world *world = script->world;
  uint32_t peer = truth_random_up(world, &script->rng);
  if (peer == SIM_NONE) return;
  script->pauses++;
  ledger_doubt(script->ledger);
  world_pause(world, peer, world->now + rng_between(&script->rng, MSEC(10), SEC(10)));
}

static void operate(struct script *script) {
  uint32_t rate = script->world->weather.of[OPERATIONS];
  if (!script->clients || rate == 0) return;
  ledger_operate(script->ledger);
  usec mean = SEC(10) / rate;
  act_at(script, script->world->now + rng_between(&script->rng, 1, 2 * mean), ACT_CLIENT, 0);
}

static void fault(struct script *script, enum act act) {
  if (!script->faults) return;
  switch (act) {
    case ACT_CRASH:
      crash_some(script);
      act_again(script, CRASH_S, ACT_CRASH);
      break;
    case ACT_LEAVE:
      script_leave(script);
      act_again(script, LEAVE_S, ACT_LEAVE);
      break;
    case ACT_JOIN:
      if (script->world->up_count < 2 * script->target) script_join(script);
      act_again(script, JOIN_S, ACT_JOIN);
      break;
    case ACT_PAUSE:
      pause_one(script);
      act_again(script, PAUSE_S, ACT_PAUSE);
      break;
    case ACT_PART:
      part(script);
      act_again(script, PARTITION_S, ACT_PART);
      break;
    case ACT_CLIENT:
    case ACT_RETURN:
    case ACT_STOP:
    case ACT_UNPART:
      break;
  }
}

void script_on_act(struct script *script, uint32_t what) {
  enum act act = (enum act)(what & 255);
  uint32_t peer = what >> 8;
  switch (act) {
    case ACT_CLIENT:
      operate(script);
      break;
    case ACT_RETURN:
      script->returning--;
      script->returns++;
      start(script, peer);
      break;
    case ACT_STOP:
      stop_left(script, peer);
      break;
    case ACT_UNPART:
      script->world->parted = false;
      break;
    case ACT_CRASH:
    case ACT_LEAVE:
    case ACT_JOIN:
    case ACT_PAUSE:
    case ACT_PART:
      fault(script, act);
      break;
  }
}

/* At once, and for good. */
static void fail_some(struct script *script) {
  struct world *world = script->world;
  uint32_t count = (uint32_t)((uint64_t)world->up_count * world->weather.of[FAIL] / 1000);
  for (; count > 0 && world->up_count > 1; count--) {
    uint32_t peer = truth_random_up(world, &script->rng);
    if (peer == SIM_NONE) return;
    script_crash(script, peer, chance(script, DARK), USEC_NEVER);
  }
}

void script_begin_faults(struct script *script, unsigned round) {
  (void)round;
  script->faults = true;
  script->world->wiped = false;
  script->world->lying = script->world->liar_count > 0;
  fail_some(script);
  act_again(script, CRASH_S, ACT_CRASH);
  act_again(script, LEAVE_S, ACT_LEAVE);
  act_again(script, JOIN_S, ACT_JOIN);
  act_again(script, PAUSE_S, ACT_PAUSE);
  act_again(script, PARTITION_S, ACT_PART);
}

void script_begin_clients(struct script *script) {
  script->clients = true;
  act_at(script, script->world->now, ACT_CLIENT, 0);
}

void script_end_faults(struct script *script) {
  struct world *world = script->world;
  script->faults = script->clients = false;
  world->parted = world->lying = false;
  for (uint32_t i = 0; i < world->peer_count; i++) world->peer[i].paused_until = 0;
}
