/* SPDX-License-Identifier: BSD-2-Clause */
/* every interleaving of joins, failures, leaves, timers and messages in rings of 1
 * to 5 peers, to the depth that the table states, on the shipping overlay. Zave's invariant is
 * checked in every state, and from a sample of them a fair run must reach her Ideal state.
 *
 * States are known by 64 bits of a hash of what decides their future; one that is met again is
 * explored again only if it is met with more depth left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/hash.h"
#include "support/small_world.h"

#define DEPTH_MAX 250u
#define SAMPLE 1024u /* of the states at the end, one in so many is run on */

struct scenario {
  const char *name;
  unsigned peers, ring, r;
  bool fingers;
  bool joining; /* from every moment while one more joins; else from the ring at rest */
  struct small_budget budget[3]; /* --quick, as it is, --deep */
  unsigned depth;                /* 0: all that the budget allows, to the end */
};

static const struct scenario scenarios[] = {
    {"one", 2, 1, 2, false, false, {{1, 1, 0, 1, 0, 0}, {2, 1, 0, 2, 0, 0}, {2, 1, 1, 3, 0, 0}}, 0},
    {"two", 2, 2, 2, false, false, {{1, 1, 0, 1, 0, 0}, {1, 1, 1, 2, 0, 0}, {1, 1, 1, 3, 0, 0}}, 0},
    {"two-grow",
     3,
     2,
     2,
     false,
     false,
     {{1, 0, 0, 1, 0, 0}, {1, 1, 0, 1, 0, 0}, {1, 0, 1, 1, 0, 0}},
     0},
    {"two-both",
     3,
     1,
     2,
     false,
     false,
     {{2, 0, 0, 0, 0, 0}, {2, 0, 0, 1, 0, 0}, {2, 1, 0, 1, 0, 0}},
     0},
    {"three",
     3,
     3,
     2,
     false,
     false,
     {{0, 1, 0, 2, 0, 0}, {0, 2, 0, 3, 0, 0}, {0, 2, 1, 3, 0, 0}},
     0},
    {"three-leave",
     3,
     3,
     2,
     false,
     false,
     {{0, 0, 1, 1, 0, 0}, {0, 0, 1, 2, 0, 0}, {0, 1, 1, 2, 0, 0}},
     0},
    {"three-merge",
     3,
     3,
     2,
     false,
     false,
     {{0, 1, 0, 0, 1, 0}, {0, 1, 0, 1, 1, 0}, {0, 1, 0, 2, 1, 0}},
     0},
    {"three-grow",
     4,
     3,
     2,
     false,
     false,
     {{1, 0, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 0}, {1, 2, 0, 0, 0, 0}},
     0},
    {"three-3",
     4,
     3,
     3,
     false,
     false,
     {{1, 0, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 0}, {1, 1, 0, 0, 0, 0}},
     0},
    {"four",
     4,
     4,
     2,
     false,
     false,
     {{0, 1, 0, 1, 0, 0}, {0, 1, 0, 2, 0, 0}, {0, 1, 0, 3, 0, 0}},
     0},
    {"four-fingers",
     4,
     4,
     2,
     true,
     false,
     {{0, 1, 0, 0, 0, 0}, {0, 1, 0, 1, 0, 0}, {0, 1, 0, 2, 0, 0}},
     0},
    {"three-joins",
     4,
     3,
     2,
     false,
     true,
     {{0, 0, 0, 0, 0, 0}, {0, 1, 0, 0, 0, 0}, {0, 2, 0, 0, 0, 0}},
     0},
    {"all", 4, 3, 2, false, false, {{2, 2, 2, 9, 1, 0}, {2, 2, 2, 9, 1, 0}, {2, 2, 2, 9, 1, 0}}, 7},
    {"suspect",
     3,
     3,
     2,
     false,
     false,
     {{0, 0, 0, 1, 0, 1}, {0, 0, 0, 2, 0, 1}, {0, 1, 0, 2, 0, 1}},
     0},
};
#define SCENARIOS (sizeof scenarios / sizeof *scenarios)

struct search {
  const struct scenario *scenario;
  struct small_budget budget;
  unsigned depth;
  bool to_the_end; /* the budget ends it, not the depth */
  uint64_t *known; /* fingerprints; 0: free */
  uint8_t *met_at; /* the depth */
  size_t room, states;
  uint64_t transitions, ends, fair_runs;
  unsigned deepest;
  unsigned moment; /* steps of the join before */
  const char *violation;
  unsigned violation_at;
  struct small_action path[DEPTH_MAX];
  uint8_t *copy[DEPTH_MAX + 1];
};

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t fingerprint(void) {
  static uint8_t code[SMALL_CODE_MAX];
  size_t len = small_world_encode(code);
  uint64_t h = hash_bytes((struct hash_key){0x736d616c6c, 0x776f726c64}, code, len);
  return h == 0 ? 1 : h;
}

static void grow(struct search *s) {
  size_t old = s->room;
  uint64_t *known = s->known;
  uint8_t *met_at = s->met_at;
  s->room = old == 0 ? 1u << 16 : old * 2;
  s->known = calloc(s->room, sizeof *s->known);
  s->met_at = calloc(s->room, 1);
  ASSERT(s->known != NULL && s->met_at != NULL);
  for (size_t i = 0; i < old; i++) {
    if (known[i] == 0) continue;
    size_t at = known[i] & (s->room - 1);
    while (s->known[at] != 0) at = (at + 1) & (s->room - 1);
    s->known[at] = known[i];
    s->met_at[at] = met_at[i];
  }
  free(known);
  free(met_at);
}

/* False: it was explored from here, as deep as we would. */
static bool is_news(struct search *s, uint64_t h, unsigned depth) {
  if (s->states * 2 >= s->room) grow(s);
  size_t at = h & (s->room - 1);
  while (s->known[at] != 0 && s->known[at] != h) at = (at + 1) & (s->room - 1);
  if (s->known[at] == h) {
    if (s->to_the_end || s->met_at[at] <= depth) return false;
  } else {
    s->known[at] = h;
    s->states++;
  }
  s->met_at[at] = (uint8_t)depth;
  return true;
}

/* The world is not the same afterwards. */
static void run_on(struct search *s, unsigned depth) {
  s->fair_runs++;
  s->violation = small_world_fair_run();
  s->violation_at = depth;
}

static const char *violation(const struct search *s, const struct small_action *action,
                             unsigned connected) {
  bool suspected = s->budget.suspicions > small_world.left.suspicions;
  const char *why = small_world_violation(suspected);
  bool gone = action->kind == ACT_FAIL || action->kind == ACT_LEAVE;
  if (why != NULL || suspected || gone) return why;
  unsigned lost = connected & ~small_world_connected();
  if (action->kind == ACT_JOIN) lost &= ~(1u << action->a); /* in its former life */
  return lost == 0 ? NULL : "a member has dropped its last live successor";
}

static void explore(struct search *s, unsigned depth) {
  uint64_t h = fingerprint();
  if (!is_news(s, h, depth)) return;
  if (depth > s->deepest) s->deepest = depth;
  struct small_action action[SMALL_ACTIONS_MAX];
  unsigned count = depth == s->depth ? 0 : small_world_actions(action);
  if (count == 0) {
    s->ends++;
    if (depth < s->depth || h % SAMPLE == 0) run_on(s, depth);
    return;
  }
  if (s->copy[depth] == NULL) s->copy[depth] = malloc(SMALL_COPY_MAX);
  ASSERT(s->copy[depth] != NULL);
  small_world_save(s->copy[depth]);
  unsigned connected = small_world_connected();
  if (h % SAMPLE == 0) run_on(s, depth);
  for (unsigned i = 0; i < count && s->violation == NULL; i++) {
    if (i > 0 || h % SAMPLE == 0) small_world_restore(s->copy[depth]);
    s->path[depth] = action[i];
    small_world_act(&action[i]);
    s->transitions++;
    s->violation = violation(s, &action[i], connected);
    if (s->violation != NULL) {
      s->violation_at = depth + 1;
      return;
    }
    explore(s, depth + 1);
  }
}

/* False: the join is over before this moment. */
static bool begin(const struct search *s, const char **why) {
  const struct scenario *c = s->scenario;
  *why = small_world_begin(c->peers, c->ring, c->r, c->fingers, &s->budget);
  if (*why != NULL || !c->joining) return *why != NULL || s->moment == 0;
  return small_world_join_until(c->ring, s->moment, &s->budget);
}

static void search(struct search *s, const struct scenario *c, const struct small_budget *budget,
                   unsigned depth) {
  memset(s, 0, sizeof *s);
  s->scenario = c;
  s->budget = *budget;
  s->to_the_end = depth == 0;
  s->depth = depth == 0 || depth > DEPTH_MAX ? DEPTH_MAX : depth;
  while (s->violation == NULL && begin(s, &s->violation)) {
    if (s->violation == NULL) explore(s, 0);
    if (s->violation == NULL) s->moment++;
  }
  free(s->known);
  free(s->met_at);
  for (unsigned i = 0; i <= DEPTH_MAX; i++) free(s->copy[i]);
}

static void tell(const struct search *s) {
  const char *why;
  printf("FAILED   %s after %u actions on a ring of %u", s->violation, s->violation_at,
         s->scenario->ring);
  if (s->scenario->joining)
    printf(" that %u has been joining for %u steps", s->scenario->ring, s->moment);
  printf(":\n");
  begin(s, &why);
  for (unsigned i = 0; i < s->violation_at; i++) {
    char text[256];
    small_world_describe(&s->path[i], text, sizeof text);
    printf("  %2u  %s\n", i + 1, text);
    small_world_act(&s->path[i]);
  }
}

/* The first found is seldom the shortest. */
static void shorten(struct search *s) {
  static struct search shorter;
  double until = seconds() + 60;
  while (s->violation_at > 1 && seconds() < until) {
    struct small_budget budget = s->budget;
    search(&shorter, s->scenario, &budget, s->violation_at - 1);
    if (shorter.violation == NULL) return;
    *s = shorter;
  }
}

static bool run(const struct scenario *c, const struct small_budget *b, unsigned depth) {
  static struct search s;
  double from = seconds();
  search(&s, c, b, depth);
  printf(
      "%-12s ring %u, peers %u, r %u, joins %u, fails %u, leaves %u, timers %u, merges %u, lost %u:"
      " %s %2u, %8zu states, %9llu transitions, %5llu ends, %5llu fair runs, %6.2f s\n",
      c->name, c->ring, c->peers, c->r, b->joins, b->fails, b->leaves, b->timers, b->merges,
      b->suspicions, s.to_the_end ? "all, deepest" : "depth", s.deepest, s.states,
      (unsigned long long)s.transitions, (unsigned long long)s.ends,
      (unsigned long long)s.fair_runs, seconds() - from);
  fflush(stdout);
  if (s.violation == NULL) return true;
  shorten(&s);
  tell(&s);
  return false;
}

static int usage(void) {
  fprintf(stderr,
          "usage: ring_worlds [--quick|--deep] [--budget J,F,L,T,M,S] [--depth N] [NAME...]\n"
          "joins, failures, leaves, timers, looks for another ring, messages lost\n");
  return 2;
}

/* False: not six numbers. */
static bool read_budget(const char *text, struct small_budget *out) {
  unsigned n[6];
  if (sscanf(text, "%u,%u,%u,%u,%u,%u", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5]) != 6)
    return false;
  *out = (struct small_budget){(uint8_t)n[0], (uint8_t)n[1], (uint8_t)n[2],
                               (uint8_t)n[3], (uint8_t)n[4], (uint8_t)n[5]};
  return true;
}

int main(int argc, char **argv) {
  unsigned how = 1, failed = 0, ran = 0;
  const char *depth = NULL, *budget = NULL;
  struct small_budget given = {0};
  int first = 1;
  for (; first < argc && argv[first][0] == '-'; first++) {
    bool more = first + 1 < argc;
    if (strcmp(argv[first], "--quick") == 0) {
      how = 0;
    } else if (strcmp(argv[first], "--deep") == 0) {
      how = 2;
    } else if (strcmp(argv[first], "--depth") == 0 && more) {
      depth = argv[++first];
    } else if (strcmp(argv[first], "--budget") == 0 && more) {
      budget = argv[++first];
      if (!read_budget(budget, &given)) return usage();
    } else {
      return usage();
    }
  }
  for (unsigned i = 0; i < SCENARIOS; i++) {
    const struct scenario *c = &scenarios[i];
    bool wanted = first == argc;
    for (int a = first; a < argc; a++) wanted = wanted || strcmp(argv[a], c->name) == 0;
    if (!wanted) continue;
    ran++;
    failed += !run(c, budget != NULL ? &given : &c->budget[how],
                   depth != NULL              ? (unsigned)strtoul(depth, NULL, 10)
                   : how == 0 && c->depth > 5 ? 5
                                              : c->depth);
  }
  if (ran == 0) return usage();
  printf("%u passed, %u failed\n", ran - failed, failed);
  return failed == 0 ? 0 : 1;
}
