/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/run.h"

#include <stdlib.h>
#include <string.h>

#include "sim/check.h"
#include "sim/claim.h"

#define LOOK_US MSEC(250)         /* how often the world is looked at */
#define BUILD_US SEC(120)         /* a ring of many is there within that after the last join */
#define HEAL_US SEC(150)          /* a ring is ideal, its copies agree, within that */
#define ONE_RING_PEERS_MAX 64u    /* larger rings are looked at in quiet moments only */
#define PUT_US SEC(12)            /* in which each record is put */
#define EACH_CHANGE_PEERS_MAX 32u /* smaller ones after each event that changed them */
#define HEARD_PEERS_MAX 256u
#define ANSWER_US SEC(10) /* before a pointer is adopted; it may have to wait for another */
#define REST_US SEC(60)   /* in which everything must end once, probes of the dead, too */
#define EXPLAIN_LINES 200u

/* First successor, predecessor. Zero: none yet. */
struct near {
  struct key id[2];
  struct endpoint at[2];
};

struct run {
  const struct sim_options *options;
  struct world world;
  struct ledger ledger;
  struct script script;
  struct mail mail;
  struct buddies buddies;
  struct narrator narrator;
  struct sim_result *result;
  struct figures figures;
  struct claim_state claim;
  uint64_t ring_changes_seen;
  bool principals_held; /* the last time, and since then nobody went */
  uint32_t members_seen;
  struct near *near;   /* of each peer, in this life; NULL: there are too many of them */
  struct near adopted; /* in this step */
  bool joined;         /* in this step */
  usec *heard;         /* by [peer][other]: the last message */
  uint64_t began_us, began_cpu_us;
  usec expected_us; /* about so much virtual time */
};

/* ---- what the world tells ---- */

static void on_act(void *context, uint32_t what) {
  struct run *run = context;
  if (!mail_on_act(&run->mail, what) && !buddy_on_act(&run->buddies, what))
    script_on_act(&run->script, what);
}
static void on_reply(void *context, uint32_t peer, uint64_t ticket,
                     const struct node_reply *reply) {
  struct run *run = context;
  if (run->options->explain)
    narrate(&run->narrator, "%3u    answers command %u with %u, %u rows %.*s", peer, reply->kind,
            reply->code, reply->row_count, SLICE_FMT(reply->text));
  if (!mail_on_reply(&run->mail, ticket, reply) && !buddy_on_reply(&run->buddies, ticket, reply))
    script_on_reply(&run->script, peer, ticket, reply);
}
/* a first successor or predecessor nearer than the one before is adopted only when it has
 * just answered. What a joiner is told, it takes on trust. */
static void check_adopted(struct run *run, uint32_t peer) {
  const struct near *had = &run->near[peer], *has = &run->adopted;
  struct world *world = &run->world;
  const struct key *self = &world->peer[peer].id;
  for (unsigned k = 0; k < 2 && !run->joined; k++) {
    if (key_is_zero(&had->id[k]) || key_is_zero(&has->id[k])) continue;
    struct key before = k == 0 ? key_distance(self, &had->id[k]) : key_distance(&had->id[k], self);
    struct key now = k == 0 ? key_distance(self, &has->id[k]) : key_distance(&has->id[k], self);
    uint32_t other = world_peer_at(world, &has->at[k]);
    if (key_compare(&now, &before) >= 0 || other == SIM_NONE) continue;
    usec heard = run->heard[peer * world->peers_max + other];
    if (heard == 0 || world->now > heard + ANSWER_US)
      world_fail(world, "peer %u takes peer %u for its %s unasked", peer, other,
                 k == 0 ? "successor" : "predecessor");
  }
}

static void note_adopted(struct run *run, uint32_t peer) {
  if (run->near == NULL) return;
  check_adopted(run, peer);
  for (unsigned k = 0; k < 2; k++)
    if (!key_is_zero(&run->adopted.id[k])) run->near[peer].id[k] = run->adopted.id[k];
  run->adopted = (struct near){0};
  run->joined = false;
}

static void on_trace(void *context, uint32_t peer, const struct trace *trace) {
  struct run *run = context;
  if (trace->kind == TRACE_RING_SUCCESSOR || trace->kind == TRACE_RING_PREDECESSOR) {
    unsigned k = trace->kind == TRACE_RING_PREDECESSOR;
    run->adopted.id[k] = trace->key;
    run->adopted.at[k] = trace->peer;
  }
  if (trace->kind == TRACE_RING_JOINED) run->joined = true;
  figures_on_trace(&run->figures, trace);
  if (run->options->explain) narrate_trace(&run->narrator, peer, trace);
}
static void on_event(void *context, uint32_t peer, const struct event *event) {
  struct run *run = context;
  if (event->kind == EVENT_MESSAGE && run->heard != NULL && event->from < run->world.peers_max)
    run->heard[peer * run->world.peers_max + event->from] = run->world.now;
  figures_on_event(&run->figures, event);
  if (event->kind == EVENT_MESSAGE) claim_on_message(&run->world, event);
  if (run->options->explain) narrate_event(&run->narrator, peer, event);
}
static void on_gone(void *context, uint32_t peer) {
  struct run *run = context;
  if (run->options->explain) narrate(&run->narrator, "%3u    goes", peer);
  if (run->near != NULL) run->near[peer] = (struct near){0};
  run->principals_held = false;
  ledger_on_gone(&run->ledger, peer);
}

static void on_datagram(void *context, uint32_t peer, const struct output *out) {
  struct run *run = context;
  mail_on_datagram(&run->mail, peer, out);
  buddy_on_datagram(&run->buddies, peer, out);
}

/* ---- looking ---- */

/* No live peer was suspected, the network is whole, and fewer fail at once than a list has. */
static bool zave_holds(const struct run *run) {
  const uint32_t *of = run->world.weather.of;
  return run->world.wrong_suspicions == 0 && run->script.partitions == 0 &&
         run->script.pauses == 0 && of[LOSS] == 0 && of[BREAKS] == 0 &&
         run->options->scenario->begin == NULL && of[DROPPERS] == 0 && of[FAIL] == 0 &&
         !run->world.lying;
}

/* Zave's invariant. Only a failure may take the last principal that is needed away: her assumption
 * about failures, which those here do not keep to. Then it is seen again once it holds again. */
static void check_invariant(struct run *run) {
  struct world *world = &run->world;
  check_one_ring(world);
  if (world_failed(world)) return;
  struct check_principals found = check_principals(world);
  bool held = run->principals_held && found.members >= run->members_seen;
  run->principals_held = found.count >= found.needed;
  run->members_seen = found.members;
  if (held && !run->principals_held)
    world_fail(world, "of %u members only %u are principals, not %u, and nobody failed",
               found.members, found.count, found.needed);
}

/* After each event in which a ring pointer changed, or a peer went. */
static void look_at_ring(struct run *run) {
  struct world *world = &run->world;
  if (world->ring_changes == run->ring_changes_seen || world_failed(world)) return;
  if (world->up_count > EACH_CHANGE_PEERS_MAX) return;
  run->ring_changes_seen = world->ring_changes;
  check_lists(world);
  if (zave_holds(run)) check_invariant(run);
}

/* Who lost its last neighbour joins again. */
static void note_alone(struct run *run, uint32_t peer) {
  struct node_ring ring;
  if (run->near == NULL || key_is_zero(&run->near[peer].id[0]) || !world_is_up(&run->world, peer))
    return;
  node_inspect_ring(run->world.peer[peer].node, &ring);
  if (ring.successor_count == 0) run->near[peer] = (struct near){0};
}

static void on_stepped(void *context, uint32_t peer) {
  note_adopted(context, peer);
  note_alone(context, peer);
  look_at_ring(context);
}

static void look(struct run *run) {
  struct world *world = &run->world;
  if (world_failed(world)) return;
  if (world->wrong_suspicions > 0) ledger_doubt(&run->ledger);
  ledger_check_answers(&run->ledger);
  claim_look(&run->claim, run->script.returning);
  if (world->up_count > ONE_RING_PEERS_MAX) return;
  check_lists(world);
  if (zave_holds(run) && world->ring_changes != run->ring_changes_seen) check_invariant(run);
  run->ring_changes_seen = world->ring_changes;
}

/* Says how far it is. From here on it is this phase. */
static void tell(struct run *run, enum figure_phase phase) {
  const struct world *world = &run->world;
  usec since = world->now - SIM_START_US;
  bool new_second = since / USEC_PER_SEC != (run->figures.counted_at - SIM_START_US) / USEC_PER_SEC;
  figures_pass(&run->figures, phase);
  if (run->options->progress == NULL) return;
  uint64_t done = since * 1000 / run->expected_us;
  const struct sim_progress progress = {.phase = phase,
                                        .since = since,
                                        .up = world->up_count,
                                        .events = world->steps,
                                        .done = done < 990 ? (uint32_t)done : 990,
                                        .new_second = new_second,
                                        .figures = &run->figures,
                                        .ledger = &run->ledger.counts};
  run->options->progress(run->options->context, &progress);
}

static void on_progress(void *context, enum figure_phase phase) { tell(context, phase); }

/* For a while, looking. */
static void pass(struct run *run, usec span, enum figure_phase phase) {
  struct world *world = &run->world;
  tell(run, phase);
  for (usec end = world->now + span; world->now < end && !world_failed(world);) {
    world_run(world, usec_min(end, world->now + LOOK_US));
    look(run);
    tell(run, phase);
  }
}

/* ---- phases ---- */

static void wait_for_ideal(struct run *run, usec limit, enum figure_phase phase) {
  struct world *world = &run->world;
  uint32_t who = 0;
  for (usec end = world->now + limit; !world_failed(world);) {
    if (run->script.returning == 0 && check_is_ideal(world, &who)) return;
    if (world->now >= end)
      world_fail(world, "%s: the ring is not ideal after %llu s; first at peer %u",
                 figure_phase_name(phase), (unsigned long long)(limit / USEC_PER_SEC), who);
    pass(run, LOOK_US, phase);
  }
}

static void wait_for_copies(struct run *run, usec limit) {
  struct world *world = &run->world;
  const struct item *item;
  for (usec end = world->now + limit; !world_failed(world);) {
    item = ledger_differing(&run->ledger);
    if (item == NULL && ledger_busy(&run->ledger) == 0) return;
    if (world->now >= end) {
      char held[300] = "";
      if (item != NULL) ledger_tell(&run->ledger, item, held, sizeof held);
      world_fail(world, "the copies of %s (%s) do not agree after %llu s: %s",
                 item != NULL ? item->address : "(operations)",
                 item == NULL                  ? "they do not end"
                 : item->state == ITEM_LIVE    ? "live"
                 : item->state == ITEM_REMOVED ? "removed"
                                               : "unknown",
                 (unsigned long long)(limit / USEC_PER_SEC), held);
    }
    pass(run, LOOK_US, PHASE_HEAL);
  }
}

static void read_everything(struct run *run) {
  run->ledger.healed_at = run->world.now;
  ledger_read_all(&run->ledger);
  for (unsigned i = 0; i < 140 && ledger_busy(&run->ledger) > 0 && !world_failed(&run->world); i++)
    pass(run, LOOK_US, PHASE_READ);
}

static void be_calm(struct world *world) {
  static const enum weather_kind bad[] = {LOSS, DUPLICATE, REORDER, BREAKS, DISK_SLOW, DISK_FAIL};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    world->weather.of[bad[i]] = weather_calm(bad[i]);
}

static void heal(struct run *run) {
  struct world *world = &run->world;
  struct weather rough = world->weather;
  script_end_faults(&run->script);
  be_calm(world);
  for (unsigned i = 0; i < 200 && run->script.returning > 0 && !world_failed(world); i++)
    pass(run, LOOK_US, PHASE_HEAL);
  usec began = world->now;
  wait_for_ideal(run, HEAL_US, PHASE_HEAL);
  run->result->ideal_max_us = usec_max(run->result->ideal_max_us, world->now - began);
  run->ledger.strict = true;
  run->ledger.healed_at = USEC_NEVER;
  wait_for_copies(run, HEAL_US);
  run->result->healed_max_us = usec_max(run->result->healed_max_us, world->now - began);
  read_everything(run);
  ledger_rebase(&run->ledger);
  run->ledger.strict = false;
  world->wrong_suspicions = 0;
  world->weather = rough;
}

static usec pace_of_joins(uint32_t peers) { return peers <= 100 ? MSEC(200) : SEC(30) / peers; }

static void build(struct run *run, uint32_t peers) {
  struct world *world = &run->world;
  usec pace = pace_of_joins(peers);
  for (uint32_t i = 0; i < peers && !world_failed(world); i++) {
    script_join(&run->script);
    world_run(world, world->now + rng_between(&run->script.rng, pace / 2, pace + pace / 2));
    tell(run, PHASE_BUILD);
  }
  usec began = world->now;
  wait_for_ideal(run, BUILD_US, PHASE_BUILD);
  run->result->built_us = world->now - began;
  world->wrong_suspicions = 0;
}

static bool is_idle(const struct world *world, uint32_t peer) {
  struct node_work work = node_inspect_work(world->peer[peer].node);
  return work.hops == 0 && work.operations == 0 && work.errands == 0 && work.puts == 0 &&
         work.finds == 0 && work.pulls == 0 && work.pushes == 0;
}

/* Everything under way comes to an end: each peer is seen with nothing to do. */
static void rest(struct run *run) {
  struct world *world = &run->world;
  uint32_t count = world->peer_count, left = 0;
  bool *idle = sim_take(count * sizeof *idle);
  usec end = world->now + REST_US;
  do {
    left = 0;
    for (uint32_t i = 0; i < count; i++) {
      idle[i] = idle[i] || !world_is_up(world, i) || is_idle(world, i);
      left += !idle[i];
    }
    pass(run, MSEC(37), PHASE_REST);
  } while (left > 0 && world->now < end && !world_failed(world));
  for (uint32_t i = 0; i < count && left > 0; i++) {
    if (idle[i]) continue;
    struct node_work work = node_inspect_work(world->peer[i].node);
    world_fail(world,
               "peer %u never rests: %u hops, %u operations, %u errands, %u puts, %u finds, "
               "%u pulls, %u pushes",
               i, work.hops, work.operations, work.errands, work.puts, work.finds, work.pulls,
               work.pushes);
  }
  free(idle);
}

#define MAIL_KEYS_US SEC(30)
#define MAIL_COMES_US SEC(600) /* */

/* All that was kept comes. */
static void collect_mail(struct run *run) {
  struct world *world = &run->world;
  if (world->weather.of[MESSAGES] == 0 || world_failed(world)) return;
  struct weather rough = world->weather;
  be_calm(world);
  mail_collect(&run->mail);
  for (usec end = world->now + MAIL_COMES_US; world->now < end && !world_failed(world);) {
    if (mail_is_done(&run->mail)) break;
    pass(run, SEC(1), PHASE_READ);
  }
  mail_check(&run->mail);
  world->weather = rough;
}

#define BUDDIES_BEGIN_US SEC(30)
#define BUDDIES_SETTLE_US SEC(300) /* */
#define BUDDIES_QUIET_US SEC(10)

static void wait_for_buddies(struct run *run, usec limit) {
  struct world *world = &run->world;
  uint32_t who;
  for (usec end = world->now + limit; world->now < end && !world_failed(world);) {
    if (buddy_differs(&run->buddies, &who) == NULL) return;
    pass(run, SEC(1), PHASE_READ);
  }
  buddy_check(&run->buddies);
}

/* Each watcher sees the last state; then one more, and soon. */
static void settle_buddies(struct run *run) {
  struct world *world = &run->world;
  if (run->buddies.count == 0 || world_failed(world)) return;
  struct weather rough = world->weather;
  usec began = world->now;
  be_calm(world);
  wait_for_buddies(run, BUDDIES_SETTLE_US);
  run->result->buddies_settled_us = world->now - began;
  buddy_change_all(&run->buddies);
  pass(run, BUDDIES_QUIET_US, PHASE_READ);
  buddy_check(&run->buddies);
  usec bound = MSEC(world->weather.of[LOOKUP_MS]);
  if (run->buddies.counts.took_max > bound)
    world_fail(world, "a change came after %llu ms",
               (unsigned long long)(run->buddies.counts.took_max / 1000));
  world->weather = rough;
}

static void play(struct run *run, uint32_t peers) {
  struct world *world = &run->world;
  if (world->weather.of[LOOKUPS] > 0) {
    if (!run->options->explain) world->watch.event = NULL; /* figures of each message take long */
    scale_play(&run->script, peers, on_progress, run, &run->result->scale);
    return;
  }
  struct weather rough = world->weather;
  be_calm(world);
  build(run, peers);
  ledger_put_all(&run->ledger);
  pass(run, PUT_US, PHASE_PUT);
  if (world->weather.of[MESSAGES] > 0) {
    mail_register(&run->mail, MAIL_KEYS_US);
    pass(run, 2 * MAIL_KEYS_US, PHASE_PUT);
  }
  if (run->buddies.count > 0) {
    buddy_begin(&run->buddies, BUDDIES_BEGIN_US);
    pass(run, 2 * BUDDIES_BEGIN_US, PHASE_PUT);
    wait_for_buddies(run, BUDDIES_SETTLE_US);
  }
  world->weather = rough;
  for (unsigned round = 0; round < world->weather.of[ROUNDS] && !world_failed(world); round++) {
    script_begin_clients(&run->script);
    tell(run, PHASE_FAULTS);
    claim_begin(&run->claim);
    script_begin_faults(&run->script, round);
    if (round == 0) mail_begin(&run->mail, SEC(world->weather.of[FAULTS_S]));
    buddy_change(&run->buddies);
    const struct scenario *scenario = run->options->scenario;
    if (scenario->begin != NULL) scenario->begin(&run->script, round);
    pass(run, SEC(world->weather.of[FAULTS_S]), PHASE_FAULTS);
    claim_end(&run->claim);
    run->mail.sending = false;
    buddy_settle(&run->buddies);
    heal(run);
    settle_buddies(run);
  }
  collect_mail(run);
  be_calm(world);
  rest(run);
}

/* ---- the whole ---- */

static void report(struct run *run) {
  struct sim_result *result = run->result;
  const struct world *world = &run->world;
  const struct script *script = &run->script;
  uint64_t bytes = 0;
  memcpy(result->failure, world->failure, sizeof result->failure);
  result->failed_at = world->failed_at;
  result->ended_at = world->now;
  result->hash = world->hash;
  result->peers = world->peer_count;
  result->up = world->up_count;
  result->ledger = run->ledger.counts;
  result->mail = run->mail.counts;
  result->buddies = run->buddies.counts;
  result->events = world->steps;
  result->messages = world->messages;
  result->message_bytes = world->message_bytes;
  result->message_max = world->message_max;
  result->stores = world->stores;
  result->connections = world->opened;
  result->datagrams_lost = world->datagrams_lost;
  figures_pass(&run->figures, PHASE_REST);
  result->ready_max_us = run->claim.ready_max_us;
  result->copies_max = run->claim.copies_max;
  result->figures = run->figures;
  result->figures.world = NULL;
  result->figures.call = NULL;
  result->crashes = script->crashes;
  result->leaves = script->leaves;
  result->joins = script->joins;
  result->returns = script->returns;
  result->pauses = script->pauses;
  result->partitions = script->partitions;
  for (uint32_t i = 0; i < world->peer_count; i++) {
    const struct sim_peer *peer = &world->peer[i];
    if (peer->bytes_max > result->memory_max) result->memory_max = peer->bytes_max;
    if (peer->node == NULL) continue;
    bytes += peer->bytes;
  }
  if (world->up_count > 0) result->memory_mean = bytes / world->up_count;
  uint64_t own = (uint64_t)world->conn_room * sizeof *world->conn +
                 (uint64_t)world->link_room * sizeof *world->link + queue_bytes(&world->queue) +
                 result->scale.bytes + (uint64_t)world->peer_count * sizeof *world->peer;
  if (world->peer_count > 0) result->sim_bytes_per_peer = own / world->peer_count;
}

static void choose_weather(const struct sim_options *options, struct weather *weather,
                           uint32_t *peers) {
  struct rng rng;
  uint8_t bytes[16] = {'o'};
  for (unsigned i = 0; i < 8; i++) bytes[8 + i] = (uint8_t)(options->seed >> 8 * i);
  rng_init(&rng, bytes);
  options->scenario->weather(weather, &rng);
  for (unsigned i = 0; i < WEATHER_COUNT; i++)
    if (options->is_set[i]) weather->of[i] = options->set.of[i];
  *peers = (uint32_t)rng_between(&rng, 3, 24);
  if (options->scenario->peers > 0) *peers = options->scenario->peers;
  if (options->peers > 0) *peers = options->peers;
}

/* In a run where all goes well. */
static usec expected_us(const struct weather *weather, uint32_t peers) {
  usec round = SEC(weather->of[FAULTS_S]) + SEC(12);
  if (weather->of[LOOKUPS] > 0) return round + SEC(60);
  return peers * pace_of_joins(peers) + SEC(4) + PUT_US + weather->of[ROUNDS] * round + SEC(3);
}

static uint32_t records(const struct weather *weather, uint32_t peers) {
  if (weather->of[RECORDS] > 0) return weather->of[RECORDS];
  if (peers < 20) return 40;
  return peers > 200 ? 200 : 2 * peers;
}

void sim_run(const struct sim_options *options, struct crypto *crypto, struct sim_result *result) {
  struct run *run = sim_take(sizeof *run);
  struct weather weather;
  uint32_t peers;
  *result = (struct sim_result){0};
  run->options = options;
  run->result = result;
  if (options->clock_us != NULL) run->began_us = options->clock_us();
  if (options->cpu_us != NULL) run->began_cpu_us = options->cpu_us();
  choose_weather(options, &weather, &peers);
  result->weather = weather;
  uint32_t room = weather.of[LOOKUPS] > 0 ? peers + peers / 8 + 64 : 2 * peers + 64;
  if (room <= HEARD_PEERS_MAX) {
    run->near = sim_take(room * sizeof *run->near);
    run->heard = sim_take((size_t)room * room * sizeof *run->heard);
  }
  world_open(&run->world, crypto, &weather, room, options->seed);
  ledger_open(&run->ledger, &run->world, records(&weather, peers), options->seed);
  script_open(&run->script, &run->world, &run->ledger, options->seed);
  mail_open(&run->mail, &run->world, options->seed);
  buddy_open(&run->buddies, &run->world, options->seed);
  run->script.target = peers;
  narrator_open(&run->narrator, &run->world);
  run->narrator.follow = options->follow;
  run->world.watch = (struct world_watch){run,      on_act,  on_reply,   on_trace,
                                          on_event, on_gone, on_stepped, on_datagram};
  figures_open(&run->figures, &run->world);
  run->claim = (struct claim_state){.claim = options->scenario->claim,
                                    .world = &run->world,
                                    .ledger = &run->ledger,
                                    .figures = &run->figures};
  run->expected_us = expected_us(&weather, peers);
  play(run, peers);
  report(run);
  if (options->explain) {
    narrator_print(&run->narrator, stdout, EXPLAIN_LINES);
    narrator_print_ring(&run->world, stdout);
  }
  if (options->clock_us != NULL) result->took_us = options->clock_us() - run->began_us;
  if (options->cpu_us != NULL) result->cpu_us = options->cpu_us() - run->began_cpu_us;
  narrator_close(&run->narrator);
  figures_close(&run->figures);
  ledger_close(&run->ledger);
  mail_close(&run->mail);
  buddy_close(&run->buddies);
  world_close(&run->world);
  free(run->near);
  free(run->heard);
  free(run);
}
