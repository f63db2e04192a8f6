/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/stoica.h"

#include "sim/report.h"

#define CELLS 8u

/* As remembered; the paper itself was not at hand. */
static const struct paper_cell {
  uint32_t of_100;
  const char *path, *timeouts, *failed;
} paper2[] = {{0, "3.84", "0.00", "0"},  {10, "4.03", "0.60", "0"}, {20, "4.22", "1.17", "0"},
              {30, "4.44", "2.02", "0"}, {40, "4.69", "3.23", "0"}, {50, "5.09", "5.10", "0"}},
  paper3[] = {{5, "-", "-", "0"},  {10, "-", "-", "0"}, {15, "-", "-", "2"},  {20, "-", "-", "5"},
              {25, "-", "-", "6"}, {30, "-", "-", "8"}, {35, "-", "-", "16"}, {40, "-", "-", "15"}};

static uint64_t hops_mean(const struct stoica_cell *cell) { /* hundredths */
  uint64_t sum = 0, count = 0;
  for (uint64_t i = 0; i <= STOICA_HOPS_MAX; i++) {
    sum += i * cell->hops[i];
    count += cell->hops[i];
  }
  return count == 0 ? 0 : (100 * sum + count / 2) / count;
}

static uint32_t hops_of(const struct stoica_cell *cell, uint32_t of_100) {
  uint64_t count = 0, below = 0;
  for (uint32_t i = 0; i <= STOICA_HOPS_MAX; i++) count += cell->hops[i];
  for (uint32_t i = 0; i < STOICA_HOPS_MAX; i++) {
    below += cell->hops[i];
    if (below * 100 >= count * of_100) return i;
  }
  return STOICA_HOPS_MAX;
}

static void print_head(FILE *out, unsigned table) {
  if (table == 2)
    fprintf(out, "Table II: a part of the peers fails at once; lookups before any repair\n");
  else
    fprintf(out, "Table III: joins and failures all the time, stabilisation each 30 s\n");
  fprintf(out,
          "                         path length           timeouts      failed lookups     old   "
          "records\n"
          "%-8s mode     mean  p1 p99  paper    mean  paper  of 10,000  paper  owner  lost of "
          "(of 10,000 asked, longest)\n",
          table == 2 ? "failed" : "rate");
}

static void print_cell(FILE *out, const struct stoica_cell *cell, const struct paper_cell *paper) {
  uint64_t mean = hops_mean(cell), lookups = cell->lookups > 0 ? cell->lookups : 1;
  uint64_t timeouts = (100 * cell->timeouts + lookups / 2) / lookups;
  if (cell->table == 2)
    fprintf(out, "%3u %%    ", paper->of_100);
  else
    fprintf(out, "0.%02u/s   ", paper->of_100);
  fprintf(out,
          "%-7s %2llu.%02llu  %2u  %2u  %5s  %3llu.%02llu  %5s  %9llu  %5s  %5u  %4u %u"
          " (%u, %llu.%03llu s; took %llu s)\n",
          cell->learnt ? "learnt" : "plain", N(mean / 100), N(mean % 100), hops_of(cell, 1),
          hops_of(cell, 99), paper->path, N(timeouts / 100), N(timeouts % 100), paper->timeouts,
          N((uint64_t)(cell->wrong + cell->unanswered) * 10000 / lookups), paper->failed,
          cell->early, cell->records_lost, cell->records, cell->lookups,
          N(cell->took_longest / USEC_PER_SEC),
          N(cell->took_longest % USEC_PER_SEC / USEC_PER_MSEC), N(cell->took_us / USEC_PER_SEC));
  if (cell->wrong + cell->unanswered > 0)
    fprintf(out, "FAILED   %u lookups without an answer, %u ended at a wrong peer\n",
            cell->unanswered, cell->wrong);
  if (cell->failure[0] != '\0') fprintf(out, "FAILED   %s\n", cell->failure);
  fflush(out);
}

bool stoica_table(const struct sim_options *options, struct crypto *crypto, unsigned table,
                  const struct stoica_part *part, FILE *out) {
  const struct paper_cell *paper = table == 2 ? paper2 : paper3;
  size_t count = table == 2 ? sizeof paper2 / sizeof *paper2 : sizeof paper3 / sizeof *paper3;
  bool good = true;
  print_head(out, table);
  for (unsigned learnt = 0; learnt < 2; learnt++) {
    if (learnt != 0 ? part->without_learnt : part->without_plain) continue;
    for (size_t i = 0; i < count; i++) {
      if (part->one_row && paper[i].of_100 != part->row) continue;
      struct stoica_cell cell = {.table = table, .learnt = learnt != 0};
      if (table == 2)
        cell.failed_of_100 = paper[i].of_100;
      else
        cell.churn_of_100 = paper[i].of_100;
      stoica_run(options, crypto, &cell);
      print_cell(out, &cell, &paper[i]);
      good = good && cell.failure[0] == '\0' && cell.wrong + cell.unanswered == 0;
    }
  }
  return good;
}
