/* SPDX-License-Identifier: BSD-2-Clause */
/* locser-sim: the shipping core in worlds that are as bad as wanted, the same each time. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "crypto/openssl.h"
#include "sim/report.h"
#include "sim/stoica.h"

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

static uint64_t cpu_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void usage(FILE *out) {
  fputs(
      "usage: locser-sim [--seed S] [--seeds N] [--peers N] [--scenario NAME] [--set NAME=NUMBER]\n"
      "                  [--csv FILE] [--series FILE] [--keep-going] [--explain] [--follow]\n"
      "                  [--progress] [--quiet]\n"
      "       locser-sim --table 2|3|all [--row N] [--mode plain|learnt] [--seed S] [--peers N]\n"
      "                  [--set NAME=NUMBER]\n"
      "Runs peers of the shipping core under virtual time. Exits 1 at the first seed that breaks\n"
      "a rule, after printing the command that shows it again.\n\n"
      "  --seed S          first seed (1)\n"
      "  --seeds N         so many seeds, one after the other (1)\n"
      "  --peers N         peers at the beginning\n"
      "  --table T         play Table II or III of Stoica et al. 2003, or both\n"
      "  --row N           of it only the row of N percent, or of N joins in 100 s\n"
      "  --mode M          only plain (fingers alone), or with learnt peers\n"
      "  --keep-going      go on after a seed that breaks a rule\n"
      "  --csv FILE        a row of figures for each run; -: on standard output\n"
      "  --series FILE     a row for each virtual second\n"
      "  --explain         tell the last events, and what each peer believes\n"
      "  --follow          tell all events while they happen, on standard error\n"
      "  --progress        rate and time left on standard error, even where that is no terminal\n"
      "  --quiet           one line a seed, no progress, no summary\n\nscenarios:\n",
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

struct arguments {
  struct sim_options options;
  uint64_t seeds;
  bool quiet, keep_going, progress;
  unsigned tables; /* bits 2 and 3 */
  struct stoica_part part;
  FILE *csv;
  struct report_series series;
  struct report_progress report;
  struct report_totals totals;
};

static void on_progress(void *context, const struct sim_progress *progress) {
  struct arguments *arguments = context;
  if (arguments->series.out != NULL && progress->new_second)
    report_series(&arguments->series, progress);
  if (arguments->progress) report_progress(&arguments->report, clock_us(), progress);
}

static void tell_result(struct arguments *arguments, const struct sim_result *result) {
  const struct sim_options *options = &arguments->options;
  report_progress_end(&arguments->report);
  if (arguments->csv != NULL) report_csv(arguments->csv, options, result);
  if (arguments->csv != stdout && (arguments->quiet || arguments->seeds > 1))
    printf("%llu %016llX %u peers, %llu events\n", N(options->seed), N(result->hash), result->peers,
           N(result->events));
  else if (arguments->csv != stdout)
    report_result(stdout, options, result);
  if (result->failure[0] == '\0') return;
  uint64_t at = result->failed_at - SIM_START_US;
  fprintf(arguments->csv == stdout ? stderr : stdout,
          "FAILED   at %llu.%06llu s: %s\nreplay: %s --explain\n", N(at / 1000000), N(at % 1000000),
          result->failure, replay_text);
}

static bool run_one(struct arguments *arguments, struct crypto *crypto) {
  static struct sim_result result;
  describe(&arguments->options);
  arguments->series.seed = arguments->options.seed;
  arguments->series.before = (struct figure_traffic){0};
  sim_run(&arguments->options, crypto, &result);
  tell_result(arguments, &result);
  report_add(&arguments->totals, &result);
  arguments->report.seeds_done++;
  return result.failure[0] == '\0';
}

static FILE *open_file(const char *name) {
  FILE *file = strcmp(name, "-") == 0 ? stdout : fopen(name, "w");
  if (file != NULL) return file;
  fprintf(stderr, "locser-sim: cannot write %s: %s\n", name, strerror(errno));
  exit(2);
}

static uint64_t number(const char *text, uint64_t max) {
  uint64_t n;
  if (slice_to_u64(slice_cstr(text), max, &n)) return n;
  fprintf(stderr, "locser-sim: %s is no number up to %llu\n", text, N(max));
  exit(2);
}

static unsigned tables(const char *text) {
  if (strcmp(text, "all") == 0) return 1u << 2 | 1u << 3;
  if (strcmp(text, "2") == 0 || strcmp(text, "3") == 0) return 1u << (text[0] - '0');
  fprintf(stderr, "locser-sim: the tables are 2, 3 and all\n");
  exit(2);
}

static void read_mode(struct stoica_part *part, const char *text) {
  part->without_learnt = strcmp(text, "plain") == 0;
  part->without_plain = strcmp(text, "learnt") == 0;
  if (part->without_learnt || part->without_plain) return;
  fprintf(stderr, "locser-sim: the modes are plain and learnt\n");
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

static void read_arguments(int argc, char **argv, struct arguments *out) {
  static const struct option names[] = {
      {"seed", 1, NULL, 's'},     {"seeds", 1, NULL, 'n'},    {"peers", 1, NULL, 'p'},
      {"scenario", 1, NULL, 'c'}, {"set", 1, NULL, 'w'},      {"explain", 0, NULL, 'e'},
      {"follow", 0, NULL, 'f'},   {"progress", 0, NULL, 'g'}, {"quiet", 0, NULL, 'q'},
      {"csv", 1, NULL, 't'},      {"series", 1, NULL, 'r'},   {"keep-going", 0, NULL, 'k'},
      {"table", 1, NULL, 'T'},    {"row", 1, NULL, 'R'},      {"mode", 1, NULL, 'M'},
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
        out->progress = true;
        break;
      case 'q':
        out->quiet = true;
        break;
      case 'k':
        out->keep_going = true;
        break;
      case 't':
        out->csv = open_file(optarg);
        break;
      case 'r':
        out->series.out = open_file(optarg);
        break;
      case 'T':
        out->tables = tables(optarg);
        break;
      case 'R':
        out->part.one_row = true;
        out->part.row = (uint32_t)number(optarg, 100);
        break;
      case 'M':
        read_mode(&out->part, optarg);
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

static bool run_all(struct arguments *arguments) {
  struct crypto crypto;
  crypto_openssl(&crypto);
  bool good = true;
  for (unsigned table = 2; table <= 3; table++) {
    if ((arguments->tables >> table & 1) != 0)
      good = stoica_table(&arguments->options, &crypto, table, &arguments->part, stdout) && good;
  }
  uint64_t seeds = arguments->tables != 0 ? 0 : arguments->seeds;
  for (uint64_t i = 0; i < seeds && (good || arguments->keep_going); i++) {
    good = run_one(arguments, &crypto) && good;
    arguments->options.seed++;
    fflush(stdout);
  }
  crypto_openssl_free(&crypto);
  return good;
}

int main(int argc, char **argv) {
  static struct arguments arguments = {.seeds = 1};
  arguments.options = (struct sim_options){.seed = 1,
                                           .scenario = scenario_at(0),
                                           .clock_us = clock_us,
                                           .cpu_us = cpu_us,
                                           .context = &arguments};
  read_arguments(argc, argv, &arguments);
  bool terminal = isatty(STDERR_FILENO) != 0;
  if (terminal && !arguments.quiet && !arguments.options.follow) arguments.progress = true;
  if (arguments.progress || arguments.series.out != NULL) arguments.options.progress = on_progress;
  arguments.report = (struct report_progress){
      .out = stderr, .terminal = terminal, .seeds = arguments.seeds, .began_us = clock_us()};
  arguments.report.told_us = arguments.report.began_us;
  if (arguments.csv != NULL) report_csv_names(arguments.csv);
  if (arguments.series.out != NULL) report_series_names(arguments.series.out);
  bool good = run_all(&arguments);
  if (arguments.seeds > 1 && !arguments.quiet && arguments.csv != stdout)
    report_totals(stdout, &arguments.totals);
  bool written = (arguments.csv == NULL || fclose(arguments.csv) == 0) &&
                 (arguments.series.out == NULL || fclose(arguments.series.out) == 0);
  if (!written) fprintf(stderr, "locser-sim: a file could not be written\n");
  return !written ? 2 : good ? 0 : 1;
}
