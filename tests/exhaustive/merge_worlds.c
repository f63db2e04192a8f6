/* SPDX-License-Identifier: BSD-2-Clause */
/* every set of up to 4 versions of one record, of 8 (two version numbers, value or
 * tombstone, two floors), reaches replicas as puts and as copies, in every order, with every
 * repetition up to two (of sets of 4 only with --deep; else each once, and again after a crash),
 * while the journal takes its time, and once it fails, or the replica crashes and reads it back.
 * Replicas do not speak with each other while they merge, so whatever three of them went through,
 * each went through one of the histories here: all histories must end in one record, in
 * memory and in the journal, and no restart may bring an older one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "dht/dht.h"
#include "dht/merge.h"
#include "support/fake_ring.h"

#define WALL ((msec_wall)1777636800000)
#define UNIVERSE 8u
#define SET_MAX 4u
#define QUEUE_MAX 16u
#define PATH_MAX_ 40u
#define KNOWN_ROOM (1u << 18)

enum kind { ACT_COPY, ACT_PUT, ACT_STORED, ACT_STORE_FAILS, ACT_CRASH };
struct action {
  uint8_t kind, n;
};

struct write {
  uint32_t ticket;
  struct record record;
};

/* One replica: its store, its journal, and the writes on their way into it. */
static struct {
  struct dht *dht;
  bool has_row, has_promised;
  struct record row;      /* as the journal has it */
  struct record promised; /* the greatest of which somebody was told that it is durable */
  struct write queue[QUEUE_MAX];
  unsigned queued;
  uint8_t got[SET_MAX]; /* times, since the last crash */
  uint8_t crashes, failures;
} replica;

static struct record version[SET_MAX]; /* the set */
static unsigned versions;
static unsigned times; /* that each may arrive */
static struct record expected;

static struct overlay overlay;
static struct dht_effects fx;
static uint64_t known[KNOWN_ROOM];
static uint64_t states, transitions, ends;
static struct action path[PATH_MAX_];

static void *take_memory(void *context, size_t bytes) {
  (void)context;
  return malloc(bytes);
}
static void give_memory(void *context, void *at, size_t bytes) {
  (void)context, (void)bytes;
  free(at);
}
static const struct memory memory = {take_memory, give_memory, NULL};

/* The bytes decide the digest; the floor is part of them, so no two records have the same. */
static struct record make(unsigned n) {
  static const char bytes[UNIVERSE + 1] = "01234567";
  struct record r = {.version = 1 + (n & 1), .tombstone = (n & 2) != 0};
  r.floor = r.expires = WALL + ((n & 4) != 0 ? 100000 : 200000);
  r.digest.byte[0] = (uint8_t)(n * 5 % 8);
  r.key.byte[0] = r.owner.byte[0] = 1; /* no owner: immutable */
  r.bytes = slice_of(bytes + n, 1);
  return r;
}

static bool is_same(const struct record *a, const struct record *b) {
  return record_compare(a, b) == 0 && a->floor == b->floor;
}

static struct dht *start(void) {
  const uint8_t seed[16] = {1};
  const struct dht_limits limits = {.records_max = 2, .puts_max = 8};
  struct dht *dht = dht_new(&limits, &overlay, &memory, seed);
  ASSERT(dht != NULL);
  return dht;
}

static bool held(struct record *out) {
  uint32_t cursor = 0;
  return dht_each(replica.dht, &cursor, out);
}

static void carry_out(void) {
  for (unsigned i = 0; i < fx.count; i++) {
    const struct dht_effect *e = &fx.effect[i];
    if (e->kind == DHT_STORE) {
      ASSERT(replica.queued < QUEUE_MAX);
      struct write write = {e->ticket, e->record[0]};
      unsigned n = 0; /* bytes that last */
      while (n < versions && record_compare(&version[n], &write.record) != 0) n++;
      ASSERT(n < versions);
      write.record.bytes = version[n].bytes;
      replica.queue[replica.queued++] = write;
    } else if (e->kind == DHT_PUT_DONE && e->status == OK) {
      const struct record *done = &version[e->user];
      if (!replica.has_promised || record_compare(done, &replica.promised) > 0) {
        replica.promised = *done;
        replica.has_promised = true;
      }
    } else if (e->kind == DHT_PUT_DONE) {
      memset(replica.got, 0, sizeof replica.got);
    }
  }
  fx.count = 0;
}

static void deliver(unsigned n, bool copy) {
  replica.got[n]++;
  if (copy) {
    (void)dht_accept(replica.dht, SEC(1), WALL, &version[n], n, &fx);
  } else {
    (void)dht_put(replica.dht, SEC(1), WALL, &version[n], 1, SEC(5), n, &fx);
  }
}

static void stored(enum err status) {
  struct write done = replica.queue[0];
  replica.queued--;
  memmove(&replica.queue[0], &replica.queue[1], replica.queued * sizeof done);
  if (status == OK) {
    replica.row = done.record;
    replica.has_row = true;
  }
  if (done.ticket != 0) dht_on_stored(replica.dht, SEC(1), done.ticket, status, &fx);
}

/* What was not written yet is lost. After this, and after a write that failed, all is sent again:
 * by those who did not hear that it is durable, and by the others of the replica set, which compare
 * what they hold. */
static void crash(void) {
  dht_free(replica.dht);
  replica.dht = start();
  replica.queued = 0;
  memset(replica.got, 0, sizeof replica.got);
  replica.crashes++;
  if (!replica.has_row) return;
  enum err status = dht_restore(replica.dht, WALL, &replica.row, &fx);
  ASSERT(status == OK);
}

static void act(const struct action *action) {
  switch ((enum kind)action->kind) {
    case ACT_COPY:
    case ACT_PUT:
      deliver(action->n, action->kind == ACT_COPY);
      break;
    case ACT_STORED:
      stored(OK);
      break;
    case ACT_STORE_FAILS:
      replica.failures++;
      stored(ERR_IO);
      break;
    case ACT_CRASH:
      crash();
      break;
  }
  carry_out();
}

static unsigned actions(struct action *out) {
  unsigned count = 0;
  for (unsigned n = 0; n < versions; n++) {
    if (replica.got[n] >= times || replica.queued + 2 > QUEUE_MAX) continue;
    out[count++] = (struct action){ACT_COPY, (uint8_t)n};
    if (replica.got[n] == 0) out[count++] = (struct action){ACT_PUT, (uint8_t)n};
  }
  if (replica.queued > 0) {
    out[count++] = (struct action){ACT_STORED, 0};
    bool waited_for = replica.queue[0].ticket != 0;
    if (waited_for && replica.failures + replica.crashes == 0)
      out[count++] = (struct action){ACT_STORE_FAILS, 0};
  }
  if (replica.failures + replica.crashes == 0) out[count++] = (struct action){ACT_CRASH, 0};
  return count;
}

static const char *violation(void) {
  struct record now;
  bool has = held(&now);
  if (replica.has_promised && (!has || record_compare(&now, &replica.promised) < 0)) {
    return "what was said to be durable is gone";
  }
  if (replica.queued > 0) return NULL;
  if (has != replica.has_row || (has && !is_same(&now, &replica.row))) {
    return "the journal is at rest, and does not have what is in memory";
  }
  for (unsigned n = 0; n < versions; n++) {
    if (replica.got[n] == 0) return NULL;
  }
  ends++;
  return has && is_same(&now, &expected) ? NULL : "not what the same records end in elsewhere";
}

static uint8_t *put_record(uint8_t *at, const struct record *r) {
  memset(at, 0, 4);
  if (r == NULL) return at + 4;
  *at++ = 1;
  *at++ = (uint8_t)(r->version << 1 | r->tombstone);
  *at++ = r->digest.byte[0];
  *at++ = r->floor > WALL + 150000;
  return at;
}

/* False: its future was explored. */
static bool is_news(void) {
  uint8_t code[256], *at = code;
  struct record now;
  at = put_record(at, held(&now) ? &now : NULL);
  at = put_record(at, replica.has_row ? &replica.row : NULL);
  at = put_record(at, replica.has_promised ? &replica.promised : NULL);
  for (unsigned i = 0; i < replica.queued; i++) {
    at = put_record(at, &replica.queue[i].record);
    *at++ = replica.queue[i].ticket != 0;
  }
  memcpy(at, replica.got, sizeof replica.got);
  at += sizeof replica.got;
  *at++ = (uint8_t)(replica.crashes << 4 | replica.failures);
  uint64_t h = hash_bytes((struct hash_key){1, 2}, code, (size_t)(at - code)) | 1;
  size_t place = h / 2 % KNOWN_ROOM;
  while (known[place] != 0 && known[place] != h) place = (place + 1) % KNOWN_ROOM;
  if (known[place] == h) return false;
  known[place] = h;
  states++;
  return true;
}

static void replay(unsigned length) {
  dht_free(replica.dht);
  memset(&replica, 0, sizeof replica);
  replica.dht = start();
  for (unsigned i = 0; i < length; i++) act(&path[i]);
}

static const char *explore(unsigned depth) {
  struct action action[16];
  if (!is_news()) return NULL;
  unsigned count = actions(action);
  ASSERT(count == 0 || depth < PATH_MAX_);
  for (unsigned i = 0; i < count; i++) {
    if (i > 0) replay(depth);
    path[depth] = action[i];
    act(&action[i]);
    transitions++;
    const char *why = violation();
    if (why == NULL) why = explore(depth + 1);
    if (why == NULL) continue;
    static const char *words[] = {"copy", "put", "stored", "store fails", "crash, and restart"};
    const struct record *r = &version[action[i].n];
    bool about = action[i].kind <= ACT_PUT;
    fprintf(stderr, "  %2u  %s", depth + 1, words[action[i].kind]);
    if (about) {
      fprintf(stderr, " of %s %d, floor %d s", r->tombstone ? "tombstone" : "value",
              (int)r->version, (int)((r->floor - WALL) / 1000));
    }
    fprintf(stderr, "\n");
    return why;
  }
  return NULL;
}

static bool run(unsigned bits) {
  versions = 0;
  for (unsigned n = 0; n < UNIVERSE; n++) {
    if ((bits >> n & 1) != 0) version[versions++] = make(n);
  }
  expected = version[0];
  for (unsigned n = 1; n < versions; n++) expected = record_merge(&expected, &version[n]);
  memset(known, 0, sizeof known);
  replay(0);
  const char *why = explore(0);
  if (why != NULL) fprintf(stderr, "FAILED   %s (last action first)\n", why);
  return why == NULL;
}

int main(int argc, char **argv) {
  unsigned largest = SET_MAX, sets = 0, failed = 0;
  bool deep = argc == 2 && strcmp(argv[1], "--deep") == 0;
  if (argc == 2 && strcmp(argv[1], "--quick") == 0) largest = 2;
  fake_view(&overlay, 100, (const uint8_t[]){100}, 1);
  for (unsigned size = 1; size <= largest && failed == 0; size++) {
    times = size < SET_MAX || deep ? 2 : 1;
    for (unsigned bits = 0; bits < 1u << UNIVERSE && failed == 0; bits++) {
      if ((unsigned)__builtin_popcount(bits) != size) continue;
      sets++;
      failed += !run(bits);
    }
  }
  dht_free(replica.dht);
  printf("merges: %u sets, %llu states, %llu transitions, %llu ends\n", sets,
         (unsigned long long)states, (unsigned long long)transitions, (unsigned long long)ends);
  printf("%u passed, %u failed\n", sets - failed, failed);
  return failed == 0 ? 0 : 1;
}
