/* SPDX-License-Identifier: BSD-2-Clause */
/* locser-sim: the shipping core in worlds that are as bad as wanted, the same each time. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "crypto/openssl.h"
#include "sim/run.h"

static char replay_text[1024]; /* for a broken promise inside the core, too */

void assert_failed(const char *expression, const char *file, int line) {
  printf("%s:%d: broken promise: %s\nreplay: %s --explain\n", file, line, expression, replay_text);
  fflush(stdout);
  abort();
}

static uint64_t clock_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void usage(FILE *out) {
  fputs(
      "usage: locser-sim [--seed S] [--seeds N] [--peers N] [--scenario NAME] [--set NAME=NUMBER]\n"
      "                  [--explain] [--follow] [--progress] [--quiet]\n"
      "Runs peers of the shipping core under virtual time. Exits 1 at the first seed that breaks\n"
      "a rule, after printing the command that shows it again.\n\n"
      "  --seed S          first seed (1)\n"
      "  --seeds N         so many seeds, one after the other (1)\n"
      "  --peers N         peers at the beginning\n"
      "  --explain         tell the last events, and what each peer believes\n"
      "  --follow          tell all events while they happen, on standard error\n"
      "  --progress        rate and time on standard error\n"
      "  --quiet           one line a seed\n\nscenarios:\n",
      out);
  for (unsigned i = 0; scenario_at(i) != NULL; i++)
    fprintf(out, "  %-17s %s\n", scenario_at(i)->name, scenario_at(i)->text);
  fputs("\nnumbers for --set, and what they are in calm weather:\n", out);
  for (unsigned i = 0; i < WEATHER_COUNT; i++)
    fprintf(out, "  %-17s %-6u %s\n", weather_name(i), weather_calm(i), weather_text(i));
}

static void describe(const struct sim_options *options) {
  char *text = replay_text;
  size_t room = sizeof replay_text;
  int used = snprintf(text, room, "locser-sim --seed %llu --scenario %s",
                      (unsigned long long)options->seed, options->scenario->name);
  if (options->peers > 0)
    used += snprintf(text + used, room - (size_t)used, " --peers %u", options->peers);
  for (unsigned i = 0; i < WEATHER_COUNT && (size_t)used < room; i++)
    if (options->is_set[i])
      used += snprintf(text + used, room - (size_t)used, " --set %s=%u", weather_name(i),
                       options->set.of[i]);
}

#define N(x) ((unsigned long long)(x))

static void print_weather(const struct weather *weather) {
  printf("weather ");
  for (unsigned i = 0; i < WEATHER_COUNT; i++)
    if (weather->of[i] != weather_calm(i)) printf(" %s=%u", weather_name(i), weather->of[i]);
  printf("\n");
}

static void print_result(const struct sim_options *options, const struct sim_result *r) {
  uint64_t span = r->ended_at - SIM_START_US;
  printf("seed %llu, %s: %u peers, %llu s of virtual time\n", N(options->seed),
         options->scenario->name, r->peers, N(span / USEC_PER_SEC));
  print_weather(&r->weather);
  printf(
      "happened %llu crashes, %llu returns, %llu leaves, %llu joins, %llu pauses, "
      "%llu partitions\n",
      N(r->crashes), N(r->returns), N(r->leaves), N(r->joins), N(r->pauses), N(r->partitions));
  printf(
      "clients  puts %llu of %llu, removals %llu of %llu, reads %llu of %llu right, "
      "%llu excused\n",
      N(r->ledger.puts_good), N(r->ledger.puts), N(r->ledger.removes_good), N(r->ledger.removes),
      N(r->ledger.gets_good), N(r->ledger.gets), N(r->ledger.excused));
  printf("ring     ideal %llu.%03llu s after the last join, healed in %llu.%03llu s at most\n",
         N(r->built_us / 1000000), N(r->built_us / 1000 % 1000), N(r->healed_max_us / 1000000),
         N(r->healed_max_us / 1000 % 1000));
  printf(
      "traffic  %llu messages, %llu bytes a peer and second, largest %llu, %llu connections, "
      "%llu writes\n",
      N(r->messages), N(span == 0 ? 0 : r->message_bytes * 1000000 / span / (r->up + 1)),
      N(r->message_max), N(r->connections), N(r->stores));
  printf("memory   %llu bytes a peer, %llu at most; of the simulator %llu a peer\n",
         N(r->memory_mean), N(r->memory_max), N(r->sim_bytes_per_peer));
  printf("speed    %llu events in %llu.%03llu s, %llu a second\n", N(r->events),
         N(r->took_us / 1000000), N(r->took_us / 1000 % 1000),
         N(r->events * 1000000 / (r->took_us + 1)));
  printf("trace    %016llX\n", N(r->hash));
}

static bool run_one(const struct sim_options *options, struct crypto *crypto, bool quiet) {
  struct sim_result result;
  describe(options);
  sim_run(options, crypto, &result);
  if (quiet)
    printf("%llu %016llX %u peers, %llu events\n", N(options->seed), N(result.hash), result.peers,
           N(result.events));
  else
    print_result(options, &result);
  if (result.failure[0] == '\0') return true;
  uint64_t at = result.failed_at - SIM_START_US;
  printf("FAILED   at %llu.%06llu s: %s\nreplay: %s --explain\n", N(at / 1000000), N(at % 1000000),
         result.failure, replay_text);
  return false;
}

static uint64_t number(const char *text, uint64_t max) {
  uint64_t n;
  if (slice_to_u64(slice_cstr(text), max, &n)) return n;
  fprintf(stderr, "locser-sim: %s is no number up to %llu\n", text, N(max));
  exit(2);
}

static void read_set(struct sim_options *options, const char *text) {
  unsigned kind;
  uint32_t value;
  if (!weather_parse(slice_cstr(text), &kind, &value)) {
    fprintf(stderr, "locser-sim: %s: no such setting; --help lists them\n", text);
    exit(2);
  }
  options->set.of[kind] = value;
  options->is_set[kind] = true;
}

struct arguments {
  struct sim_options options;
  uint64_t seeds;
  bool quiet;
};

static void read_arguments(int argc, char **argv, struct arguments *out) {
  static const struct option names[] = {
      {"seed", 1, NULL, 's'},     {"seeds", 1, NULL, 'n'},    {"peers", 1, NULL, 'p'},
      {"scenario", 1, NULL, 'c'}, {"set", 1, NULL, 'w'},      {"explain", 0, NULL, 'e'},
      {"follow", 0, NULL, 'f'},   {"progress", 0, NULL, 'g'}, {"quiet", 0, NULL, 'q'},
      {"help", 0, NULL, 'h'},     {"version", 0, NULL, 'v'},  {NULL, 0, NULL, 0}};
  for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
    switch (c) {
      case 's':
        out->options.seed = number(optarg, UINT64_MAX);
        break;
      case 'n':
        out->seeds = number(optarg, 1000000);
        break;
      case 'p':
        out->options.peers = (uint32_t)number(optarg, 1000000);
        break;
      case 'c':
        out->options.scenario = scenario_find(optarg);
        if (out->options.scenario != NULL) break;
        fprintf(stderr, "locser-sim: there is no scenario %s; --help lists them\n", optarg);
        exit(2);
      case 'w':
        read_set(&out->options, optarg);
        break;
      case 'e':
        out->options.explain = true;
        break;
      case 'f':
        out->options.explain = out->options.follow = true;
        break;
      case 'g':
        out->options.progress = true;
        break;
      case 'q':
        out->quiet = true;
        break;
      case 'v':
        puts("locser-sim " LOCSER_VERSION);
        exit(0);
      case 'h':
        usage(stdout);
        exit(0);
      default:
        usage(stderr);
        exit(2);
    }
  }
}

int main(int argc, char **argv) {
  struct arguments arguments = {
      .options = {.seed = 1, .scenario = scenario_at(0), .clock_us = clock_us}, .seeds = 1};
  read_arguments(argc, argv, &arguments);
  struct crypto crypto;
  crypto_openssl(&crypto);
  bool good = true;
  for (uint64_t i = 0; i < arguments.seeds && good; i++) {
    good = run_one(&arguments.options, &crypto, arguments.quiet);
    arguments.options.seed++;
    fflush(stdout);
  }
  crypto_openssl_free(&crypto);
  return good ? 0 : 1;
}
