/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/report.h"

#define SECONDS "%llu.%03llu"
#define SECONDS_OF(us) N((us) / 1000000), N((us) / 1000 % 1000)
#define HUNDREDTHS "%llu.%02llu"
#define THOUSANDTHS "%llu.%02llu"
#define THOUSANDTHS_OF(n) N((n) / 1000), N((n) / 10 % 100)

/* ---- one run, for people ---- */

static void report_weather(FILE *out, const struct weather *weather) {
  fprintf(out, "weather ");
  for (unsigned i = 0; i < WEATHER_COUNT; i++)
    if (weather->of[i] != weather_calm(i)) fprintf(out, " %s=%u", weather_name(i), weather->of[i]);
  fprintf(out, "\n");
}

static void report_traffic(FILE *out, const struct figures *figures) {
  fprintf(out, "phase      seconds    bytes a peer and second: ring, copies, clients\n");
  for (unsigned i = 0; i < FIGURE_PHASES; i++) {
    if (figures->peer_ms[i] == 0) continue;
    const uint64_t *bytes = figures->traffic[i].bytes;
    fprintf(out, "  %-7s %8llu.%03llu %30llu %7llu %8llu\n", figure_phase_name(i),
            SECONDS_OF(figures->span[i]), N(figures_rate(figures, i, bytes[FIGURE_RING])),
            N(figures_rate(figures, i, bytes[FIGURE_COPIES])),
            N(figures_rate(figures, i, bytes[FIGURE_CLIENTS])));
  }
}

static void report_lookups(FILE *out, const struct sim_result *r) {
  const struct scale_result *s = &r->scale;
  uint64_t right = s->right > 0 ? s->right : 1;
  uint64_t span = s->upkeep_us / 1000 * (r->peers > 0 ? r->peers : 1);
  if (s->lookups == 0) return;
  fprintf(out, "lookups  %llu of %llu right, %llu excused; %llu ms in the mean, %llu ms at most\n",
          N(s->right), N(s->lookups), N(s->excused), N(s->took_sum / right / 1000),
          N(s->took_max / 1000));
  fprintf(out, "hops     " THOUSANDTHS " in the mean, %u for 99 of 100\n",
          THOUSANDTHS_OF(s->hops_sum * 1000 / right), scale_hops_p99(s));
  if (span == 0) return;
  fprintf(out, "upkeep   " THOUSANDTHS " messages and %llu bytes a peer and second\n",
          THOUSANDTHS_OF(s->upkeep_messages * 1000000 / span), N(s->upkeep_bytes * 1000 / span));
}

void report_result(FILE *out, const struct sim_options *options, const struct sim_result *r) {
  usec span = r->ended_at - SIM_START_US;
  fprintf(out, "seed %llu, %s: %u peers, %llu s of virtual time\n", N(options->seed),
          options->scenario->name, r->peers, N(span / USEC_PER_SEC));
  report_weather(out, &r->weather);
  fprintf(out,
          "happened %llu crashes, %llu returns, %llu leaves, %llu joins, %llu pauses, "
          "%llu partitions\n",
          N(r->crashes), N(r->returns), N(r->leaves), N(r->joins), N(r->pauses), N(r->partitions));
  fprintf(out,
          "clients  puts %llu of %llu, removals %llu of %llu, reads %llu of %llu right, "
          "%llu excused\n",
          N(r->ledger.puts_good), N(r->ledger.puts), N(r->ledger.removes_good),
          N(r->ledger.removes), N(r->ledger.gets_good), N(r->ledger.gets), N(r->ledger.excused));
  if (r->ledger.lied > 0)
    fprintf(out, "liars    reads %llu of %llu right, %llu old, %llu missed, %llu failed\n",
            N(r->ledger.lied_right), N(r->ledger.lied), N(r->ledger.lied_old),
            N(r->ledger.lied_missed), N(r->ledger.lied_failed));
  if (r->mail.sent > 0)
    fprintf(out,
            "mail     %llu left, %llu kept, %llu refused, %llu unanswered; %llu came, %llu of them "
            "again\n",
            N(r->mail.sent), N(r->mail.kept), N(r->mail.refused), N(r->mail.unanswered),
            N(r->mail.delivered), N(r->mail.repeats));
  if (r->buddies.notifies > 0)
    fprintf(out,
            "presence %llu changes, %llu watchers blocked, %llu NOTIFYs; all seen " SECONDS
            " s after healing; of the last %llu: %llu ms in the mean, %llu ms at most\n",
            N(r->buddies.changes), N(r->buddies.blocks), N(r->buddies.notifies),
            SECONDS_OF(r->buddies_settled_us), N(r->buddies.heard),
            N(r->buddies.took_sum / (r->buddies.heard + 1) / 1000), N(r->buddies.took_max / 1000));
  report_lookups(out, r);
  if (r->scale.lookups == 0)
    fprintf(out, "hops     " THOUSANDTHS " in the mean, %u for 99 of 100; %llu silent ones\n",
            THOUSANDTHS_OF(figures_hops_mean(&r->figures)), figures_hops_of(&r->figures, 990),
            N(r->figures.tries_again));
  fprintf(out,
          "ring     ideal " SECONDS " s after the last join, " SECONDS
          " s after faults; all healed in " SECONDS " s\n",
          SECONDS_OF(r->built_us), SECONDS_OF(r->ideal_max_us), SECONDS_OF(r->healed_max_us));
  if (r->ready_max_us > 0)
    fprintf(out,
            "restart  all ready after " SECONDS " s; copies sent: " HUNDREDTHS
            " times what is held\n",
            SECONDS_OF(r->ready_max_us), N(r->copies_max / 100), N(r->copies_max % 100));
  fprintf(out, "traffic  %llu messages, largest %llu bytes; %llu connections, %llu writes\n",
          N(r->messages), N(r->message_max), N(r->connections), N(r->stores));
  if (r->scale.lookups == 0) report_traffic(out, &r->figures);
  fprintf(out, "memory   %llu bytes a peer, %llu at most; of the simulator %llu a peer\n",
          N(r->memory_mean), N(r->memory_max), N(r->sim_bytes_per_peer));
  fprintf(out, "speed    %llu events in " SECONDS " s, %llu a second of a core's time\n",
          N(r->events), SECONDS_OF(r->took_us), N(r->events * 1000000 / (r->cpu_us + 1)));
  fprintf(out, "trace    %016llX\n", N(r->hash));
}

/* ---- one run, for programs ---- */

/* X(name, value), of a run `r` and its options `o` */
#define CSV_COLUMNS(X)                                           \
  X("seed", o->seed)                                             \
  X("peers", r->peers)                                           \
  X("peers_up", r->up)                                           \
  X("failed", r->failure[0] != '\0')                             \
  X("virtual_ms", (r->ended_at - SIM_START_US) / 1000)           \
  X("events", r->events)                                         \
  X("took_ms", r->took_us / 1000)                                \
  X("crashes", r->crashes)                                       \
  X("returns", r->returns)                                       \
  X("leaves", r->leaves)                                         \
  X("joins", r->joins)                                           \
  X("pauses", r->pauses)                                         \
  X("partitions", r->partitions)                                 \
  X("puts", r->ledger.puts)                                      \
  X("puts_good", r->ledger.puts_good)                            \
  X("removes", r->ledger.removes)                                \
  X("removes_good", r->ledger.removes_good)                      \
  X("gets", r->ledger.gets)                                      \
  X("gets_good", r->ledger.gets_good)                            \
  X("excused", r->ledger.excused)                                \
  X("lied", r->ledger.lied)                                      \
  X("lied_right", r->ledger.lied_right)                          \
  X("lied_old", r->ledger.lied_old)                              \
  X("lied_missed", r->ledger.lied_missed)                        \
  X("lied_failed", r->ledger.lied_failed)                        \
  X("built_ms", r->built_us / 1000)                              \
  X("ready_ms", r->ready_max_us / 1000)                          \
  X("copies_sent_100", r->copies_max)                            \
  X("ideal_ms", r->ideal_max_us / 1000)                          \
  X("healed_ms", r->healed_max_us / 1000)                        \
  X("hops_mean_1000", figures_hops_mean(&r->figures))            \
  X("hops_p50", figures_hops_of(&r->figures, 500))               \
  X("hops_p99", figures_hops_of(&r->figures, 990))               \
  X("silent_hops", r->figures.tries_again)                       \
  X("calls_ring", r->figures.calls[FIGURE_RING])                 \
  X("calls_copies", r->figures.calls[FIGURE_COPIES])             \
  X("calls_clients", r->figures.calls[FIGURE_CLIENTS])           \
  X("messages", r->messages)                                     \
  X("bytes", r->message_bytes)                                   \
  X("bytes_ring", figures_bytes(&r->figures, FIGURE_RING))       \
  X("bytes_copies", figures_bytes(&r->figures, FIGURE_COPIES))   \
  X("bytes_clients", figures_bytes(&r->figures, FIGURE_CLIENTS)) \
  X("message_max", r->message_max)                               \
  X("connections", r->connections)                               \
  X("writes", r->stores)                                         \
  X("memory_mean", r->memory_mean)                               \
  X("memory_max", r->memory_max)                                 \
  X("sim_memory", r->sim_bytes_per_peer)

/* Then, for each phase, bytes and messages a peer and second. */
static const char *const classes[] = {"ring", "copies", "clients"};

void report_csv_names(FILE *out) {
  fputs("scenario,trace", out);
#define CSV_NAME(name, value) fputs("," name, out);
  CSV_COLUMNS(CSV_NAME)
#undef CSV_NAME
  for (unsigned i = 0; i < FIGURE_PHASES; i++)
    for (unsigned k = 0; k < FIGURE_CLASSES; k++)
      fprintf(out, ",%s_%s_bytes_s,%s_%s_messages_1000_s", figure_phase_name(i), classes[k],
              figure_phase_name(i), classes[k]);
  for (unsigned i = 0; i < WEATHER_COUNT; i++) fprintf(out, ",%s", weather_name(i));
  fputs("\n", out);
}

void report_csv(FILE *out, const struct sim_options *o, const struct sim_result *r) {
  fprintf(out, "%s,%016llX", o->scenario->name, N(r->hash));
#define CSV_VALUE(name, value) fprintf(out, ",%llu", N(value));
  CSV_COLUMNS(CSV_VALUE)
#undef CSV_VALUE
  for (unsigned i = 0; i < FIGURE_PHASES; i++)
    for (unsigned k = 0; k < FIGURE_CLASSES; k++)
      fprintf(out, ",%llu,%llu", N(figures_rate(&r->figures, i, r->figures.traffic[i].bytes[k])),
              N(figures_rate(&r->figures, i, 1000 * r->figures.traffic[i].messages[k])));
  for (unsigned i = 0; i < WEATHER_COUNT; i++) fprintf(out, ",%u", r->weather.of[i]);
  fputs("\n", out);
}

/* ---- many runs ---- */

/* X(what people read, value) */
#define TOTALS(X)                                                               \
  X("peers", r->peers)                                                          \
  X("events", r->events)                                                        \
  X("virtual seconds", (r->ended_at - SIM_START_US) / USEC_PER_SEC)             \
  X("milliseconds it took", r->took_us / 1000)                                  \
  X("faults (all kinds)", r->crashes + r->leaves + r->pauses + r->partitions)   \
  X("clients' operations", r->ledger.puts + r->ledger.gets + r->ledger.removes) \
  X("hops, thousandths", figures_hops_mean(&r->figures))                        \
  X("ms until ideal", r->ideal_max_us / 1000)                                   \
  X("ms until healed", r->healed_max_us / 1000)                                 \
  X("largest message", r->message_max)

void report_add(struct report_totals *totals, const struct sim_result *r) {
  unsigned i = 0;
#define TOTALS_ADD(name, value)                                          \
  {                                                                      \
    struct report_spread *spread = &totals->of[i++];                     \
    uint64_t n = (value);                                                \
    if (totals->runs == 0 || n < spread->least) spread->least = n;       \
    if (totals->runs == 0 || n > spread->greatest) spread->greatest = n; \
    spread->sum += n;                                                    \
  }
  TOTALS(TOTALS_ADD)
#undef TOTALS_ADD
  totals->runs++;
  totals->failed += r->failure[0] != '\0';
}

void report_totals(FILE *out, const struct report_totals *totals) {
  static const char *const names[] = {
#define TOTALS_NAME(name, value) name,
      TOTALS(TOTALS_NAME)
#undef TOTALS_NAME
  };
  fprintf(out, "%llu runs, %llu failed\n%-22s %12s %12s %12s\n", N(totals->runs), N(totals->failed),
          "a run", "least", "mean", "greatest");
  for (unsigned i = 0; i < sizeof names / sizeof names[0] && totals->runs > 0; i++)
    fprintf(out, "%-22s %12llu %12llu %12llu\n", names[i], N(totals->of[i].least),
            N(totals->of[i].sum / totals->runs), N(totals->of[i].greatest));
}

/* ---- progress ---- */

#define TELL_TERMINAL_US 200000u
#define TELL_PIPE_US 10000000u

static void put_time(FILE *out, uint64_t seconds) {
  if (seconds >= 3600)
    fprintf(out, "%llu:%02llu h", N(seconds / 3600), N(seconds / 60 % 60));
  else if (seconds >= 60)
    fprintf(out, "%llu:%02llu min", N(seconds / 60), N(seconds % 60));
  else
    fprintf(out, "%llu s", N(seconds));
}

void report_progress(struct report_progress *report, uint64_t now_us,
                     const struct sim_progress *progress) {
  uint64_t since = now_us - report->told_us, took = now_us - report->began_us;
  if (since < (report->terminal ? TELL_TERMINAL_US : TELL_PIPE_US)) return;
  uint64_t events = progress->events < report->events_told ? 0 : report->events_told;
  uint64_t rate = (progress->events - events) * 1000000 / since;
  uint64_t all = report->seeds * 1000, done = report->seeds_done * 1000 + progress->done;
  report->told_us = now_us;
  report->events_told = progress->events;
  if (report->terminal) fputs("\r\033[K", report->out);
  if (report->seeds > 1)
    fprintf(report->out, "run %llu of %llu, ", N(report->seeds_done + 1), N(report->seeds));
  fprintf(report->out, "%s: %u peers, %llu s, %llu events a second, %llu%%",
          figure_phase_name(progress->phase), progress->up, N(progress->since / USEC_PER_SEC),
          N(rate), N(done * 100 / all));
  if (done > 0) {
    fputs(", about ", report->out);
    put_time(report->out, took / done * (all - done) / 1000000);
    fputs(" left", report->out);
  }
  if (!report->terminal) fputs("\n", report->out);
  report->line_is_open = report->terminal;
  fflush(report->out);
}

void report_progress_end(struct report_progress *report) {
  if (report->line_is_open) fputs("\r\033[K", report->out);
  report->line_is_open = false;
  fflush(report->out);
}

/* ---- series ---- */

void report_series_names(FILE *out) {
  fputs(
      "seed,second,phase,up,bytes_ring,bytes_copies,bytes_clients,messages_ring,"
      "messages_copies,messages_clients,gets,gets_good,puts,puts_good\n",
      out);
}

/* All phases up to now. */
static struct figure_traffic traffic_of(const struct figures *figures) {
  struct figure_traffic sum = {0};
  for (unsigned i = 0; i < FIGURE_PHASES; i++) {
    for (unsigned k = 0; k < FIGURE_CLASSES; k++) {
      sum.bytes[k] += figures->traffic[i].bytes[k];
      sum.messages[k] += figures->traffic[i].messages[k];
    }
  }
  return sum;
}

void report_series(struct report_series *series, const struct sim_progress *progress) {
  struct figure_traffic now = traffic_of(progress->figures);
  const struct figure_traffic *before = &series->before;
  fprintf(series->out, "%llu,%llu,%s,%u", N(series->seed), N(progress->since / USEC_PER_SEC),
          figure_phase_name(progress->phase), progress->up);
  for (unsigned k = 0; k < FIGURE_CLASSES; k++)
    fprintf(series->out, ",%llu", N(now.bytes[k] - before->bytes[k]));
  for (unsigned k = 0; k < FIGURE_CLASSES; k++)
    fprintf(series->out, ",%llu", N(now.messages[k] - before->messages[k]));
  fprintf(series->out, ",%llu,%llu,%llu,%llu\n", N(progress->ledger->gets),
          N(progress->ledger->gets_good), N(progress->ledger->puts),
          N(progress->ledger->puts_good));
  series->before = now;
}
