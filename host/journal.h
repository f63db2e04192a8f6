/* SPDX-License-Identifier: BSD-2-Clause */
/* Where records survive a restart: DIR/journal.db, SQLite in WAL mode with synchronous=FULL. A row
 * is what OUT_STORE gave and what IN_RESTORE takes. Writes are committed in groups on the
 * thread pool: while one group is written, the next one gathers. */
#ifndef HOST_JOURNAL_H
#define HOST_JOURNAL_H

#include <uv.h>

#include "base/crypto.h"
#include "base/record.h"
#include "host/log.h"
#include "host/why.h"

#define JOURNAL_SCHEMA 1        /* of the file; a newer one is refused */
#define JOURNAL_RECORD_FORMAT 2 /* of a row's bytes: 2 = signed dhtRecord; 1 had none */
#define JOURNAL_GROUP_MAX 512u  /* writes in one transaction */
#define JOURNAL_QUEUE_BYTES_MAX ((size_t)64 << 20) /* waiting writes; beyond: ERR_FULL */

struct journal;

struct journal_setup {
  const char *path;
  uint64_t bytes_max; /* of the file; 0: none. Reaching it is like a full disk */
  const struct crypto *crypto;
  struct log *log;
  uv_loop_t *uv;
  /* Called in the loop for each store, once it is durable (OK) or has failed. */
  void (*stored)(void *context, uint64_t ticket, enum err status);
  void *context;
};

/* Opens or makes the file. A file that is damaged, newer, foreign or unreadable is an error and
 * stays as it is: never a silent start with nothing. NULL: *why names the file and says what to
 * do. */
struct journal *journal_open(const struct journal_setup *setup, struct why *why);
/* Writes what waits, synchronously (its `stored` is not called any more), and closes. No group may
 * be under way: see journal_busy. */
void journal_close(struct journal *journal);
/* A group is being written in the thread pool. */
bool journal_busy(const struct journal *journal);

struct journal_restored {
  uint64_t records; /* given to `each` */
  uint64_t lapsed;  /* past their floor: forgotten */
  uint64_t damaged; /* bytes do not fit their digest: left out and logged, not erased */
};
/* Every row, in no special order; the record's bytes live during the call. */
enum err journal_restore(struct journal *journal, msec_wall now,
                         void (*each)(void *context, const struct record *record), void *context,
                         struct journal_restored *counts, struct why *why) MUST_USE;
/* A number greater than at every earlier start, and at least `now_s`. */
enum err journal_incarnation(struct journal *journal, uint32_t now_s, uint32_t *out,
                             struct why *why) MUST_USE;

/* Queue a write; everything is copied. Order is kept. */
void journal_store(struct journal *journal, uint64_t ticket, const struct record *record);
void journal_erase(struct journal *journal, const struct record *record);
/* Starts a group if something waits and none is under way: once in each turn of the loop. */
void journal_submit(struct journal *journal);

struct journal_stats {
  uint64_t stored, erased, failed, groups;
  uint32_t waiting;
  bool failing; /* the last group could not be written */
};
struct journal_stats journal_stats(const struct journal *journal);

#endif
