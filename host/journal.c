/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/journal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/journal_db.h"

#define PATH_BYTES 4096

struct queue {
  struct journal_write *first, **last;
  uint32_t count;
  size_t bytes;
};
struct journal {
  struct journal_setup setup;
  char path[PATH_BYTES];
  struct journal_db db;
  struct queue waiting;
  struct queue group; /* being written */
  uv_work_t work;
  bool working;
  enum err result; /* of the group, set by the thread */
  struct why result_why;
  struct journal_stats stats;
};

static void queue_clear(struct queue *queue) {
  *queue = (struct queue){0};
  queue->last = &queue->first;
}

static void queue_free(struct queue *queue) {
  for (struct journal_write *next, *at = queue->first; at != NULL; at = next) {
    next = at->next;
    free(at);
  }
  queue_clear(queue);
}

struct journal *journal_open(const struct journal_setup *setup, struct why *why) {
  struct journal *journal = host_take(sizeof *journal);
  journal->setup = *setup;
  snprintf(journal->path, sizeof journal->path, "%s", setup->path);
  journal->setup.path = journal->path;
  queue_clear(&journal->waiting);
  queue_clear(&journal->group);
  if (journal_db_open(&journal->db, journal->path, setup->bytes_max, why) == OK) return journal;
  free(journal);
  return NULL;
}

void journal_close(struct journal *journal) {
  struct why why = {""};
  if (journal->waiting.first != NULL &&
      journal_db_write(&journal->db, journal->waiting.first, &why) != OK)
    log_line(journal->setup.log, TRACE_ERROR, "journal: %u writes are lost: %s",
             journal->waiting.count, why.text);
  queue_free(&journal->waiting);
  queue_free(&journal->group);
  journal_db_close(&journal->db);
  free(journal);
}

bool journal_busy(const struct journal *journal) { return journal->working; }

struct journal_stats journal_stats(const struct journal *journal) {
  struct journal_stats stats = journal->stats;
  stats.waiting = journal->waiting.count + journal->group.count;
  return stats;
}

/* ---- reading ---- */

static bool column_key(sqlite3_stmt *row, int at, struct key *out) {
  if (sqlite3_column_bytes(row, at) != KEY_BYTES) return false;
  memcpy(out->byte, sqlite3_column_blob(row, at), KEY_BYTES);
  return true;
}

/* False: the row is not what was written. */
static bool read_row(const struct crypto *crypto, sqlite3_stmt *row, struct record *out) {
  uint8_t hash[32];
  if (!column_key(row, 0, &out->key) || !column_key(row, 1, &out->owner) ||
      !column_key(row, 2, &out->nonce) || !column_key(row, 7, &out->digest))
    return false;
  out->version = (uint64_t)sqlite3_column_int64(row, 3);
  out->floor = (msec_wall)sqlite3_column_int64(row, 4);
  out->expires = (msec_wall)sqlite3_column_int64(row, 5);
  out->tombstone = sqlite3_column_int(row, 6) != 0;
  const void *bytes = sqlite3_column_blob(row, 9);
  out->bytes = slice_of(bytes, bytes == NULL ? 0 : (size_t)sqlite3_column_bytes(row, 9));
  if (sqlite3_column_int(row, 8) != JOURNAL_RECORD_FORMAT) return false;
  crypto->sha256(crypto->context, out->bytes, hash);
  return memcmp(hash, out->digest.byte, KEY_BYTES) == 0;
}

static void say_damaged_row(const struct journal *journal, int64_t row) {
  log_often(journal->setup.log, LOG_JOURNAL, TRACE_ERROR,
            "%s: row %" PRId64 " is damaged and was left out; the others are served", journal->path,
            row);
}

enum err journal_restore(struct journal *journal, msec_wall now,
                         void (*each)(void *context, const struct record *record), void *context,
                         struct journal_restored *counts, struct why *why) {
  static const char sql[] =
      "SELECT key, owner, nonce, version, floor, expires, tombstone, digest, format, bytes, rowid"
      " FROM record";
  *counts = (struct journal_restored){0};
  sqlite3_stmt *row = NULL;
  int status = sqlite3_prepare_v2(journal->db.sqlite, sql, -1, &row, NULL);
  while (status == SQLITE_OK || status == SQLITE_ROW) {
    status = sqlite3_step(row);
    if (status != SQLITE_ROW) break;
    struct record record = {0};
    if (!read_row(journal->setup.crypto, row, &record)) {
      counts->damaged++;
      say_damaged_row(journal, sqlite3_column_int64(row, 10));
    } else if (record.floor <= now) {
      counts->lapsed++;
      journal_erase(journal, &record);
    } else {
      counts->records++;
      each(context, &record);
    }
  }
  sqlite3_finalize(row);
  if (status == SQLITE_DONE) return OK;
  return why_say(why, ERR_CORRUPT, "%s cannot be read to its end: %s. Nothing was changed",
                 journal->path, sqlite3_errmsg(journal->db.sqlite));
}

enum err journal_incarnation(struct journal *journal, uint32_t now_s, uint32_t *out,
                             struct why *why) {
  sqlite3 *sqlite = journal->db.sqlite;
  sqlite3_stmt *row = NULL;
  int64_t last = 0;
  int status = sqlite3_prepare_v2(sqlite, "SELECT max(incarnation) FROM start", -1, &row, NULL);
  if (status == SQLITE_OK) status = sqlite3_step(row);
  if (status == SQLITE_ROW) last = sqlite3_column_int64(row, 0);
  sqlite3_finalize(row);
  *out = last >= now_s && last < UINT32_MAX ? (uint32_t)last + 1 : now_s;
  char sql[128];
  snprintf(sql, sizeof sql,
           "BEGIN; DELETE FROM start; INSERT INTO start VALUES (%" PRIu32 "); COMMIT", *out);
  if (status == SQLITE_ROW) status = sqlite3_exec(sqlite, sql, NULL, NULL, NULL);
  if (status == SQLITE_OK) return OK;
  why_say(why, ERR_IO, "%s cannot be written: %s. Make room on its disk, or check who may write it",
          journal->path, sqlite3_errmsg(sqlite));
  if (sqlite3_get_autocommit(sqlite) == 0) sqlite3_exec(sqlite, "ROLLBACK", NULL, NULL, NULL);
  return ERR_IO;
}

/* ---- writing ---- */

static void enqueue(struct journal *journal, uint64_t ticket, bool erase,
                    const struct record *record) {
  size_t bytes = erase ? 0 : record->bytes.len;
  struct journal_write *write = host_take(sizeof *write + bytes);
  write->ticket = ticket;
  write->erase = erase;
  write->record = *record;
  if (bytes > 0) memcpy(write + 1, record->bytes.at, bytes);
  write->record.bytes = slice_of(write + 1, bytes);
  *journal->waiting.last = write;
  journal->waiting.last = &write->next;
  journal->waiting.count++;
  journal->waiting.bytes += sizeof *write + bytes;
}

void journal_store(struct journal *journal, uint64_t ticket, const struct record *record) {
  if (journal->waiting.bytes < JOURNAL_QUEUE_BYTES_MAX) {
    enqueue(journal, ticket, false, record);
    return;
  }
  journal->stats.failed++;
  journal->setup.stored(journal->setup.context, ticket, ERR_FULL);
}

void journal_erase(struct journal *journal, const struct record *record) {
  /* An erasure that is lost only costs room: its row is restored once more and lapses again. */
  if (journal->waiting.bytes < JOURNAL_QUEUE_BYTES_MAX) enqueue(journal, 0, true, record);
}

static void write_group(uv_work_t *work) {
  struct journal *journal = work->data;
  journal->result = journal_db_write(&journal->db, journal->group.first, &journal->result_why);
}

static void say_state(struct journal *journal) {
  bool failing = journal->result != OK;
  if (failing)
    log_often(journal->setup.log, LOG_JOURNAL, TRACE_ERROR,
              "journal: %s: records are refused until it can be written; make room on its disk",
              journal->result_why.text);
  else if (journal->stats.failing)
    log_line(journal->setup.log, TRACE_WARNING, "journal: %s can be written again", journal->path);
  journal->stats.failing = failing;
}

static void group_done(uv_work_t *work, int status) {
  struct journal *journal = work->data;
  journal->working = false;
  if (status != 0) journal->result = why_say(&journal->result_why, ERR_IO, "stopped");
  journal->stats.groups++;
  say_state(journal);
  struct queue group = journal->group;
  queue_clear(&journal->group);
  for (struct journal_write *next, *at = group.first; at != NULL; at = next) {
    next = at->next;
    if (journal->result != OK)
      journal->stats.failed++;
    else if (at->erase)
      journal->stats.erased++;
    else
      journal->stats.stored++;
    if (!at->erase) journal->setup.stored(journal->setup.context, at->ticket, journal->result);
    free(at);
  }
}

/* At most JOURNAL_GROUP_MAX from the front of what waits. */
static void take_group(struct journal *journal) {
  struct queue *waiting = &journal->waiting, *group = &journal->group;
  while (waiting->first != NULL && group->count < JOURNAL_GROUP_MAX) {
    struct journal_write *write = waiting->first;
    waiting->first = write->next;
    waiting->count--;
    waiting->bytes -= sizeof *write + write->record.bytes.len;
    write->next = NULL;
    *group->last = write;
    group->last = &write->next;
    group->count++;
  }
  if (waiting->first == NULL) waiting->last = &waiting->first;
}

void journal_submit(struct journal *journal) {
  if (journal->working || journal->waiting.first == NULL) return;
  take_group(journal);
  journal->work.data = journal;
  journal->working = true;
  if (uv_queue_work(journal->setup.uv, &journal->work, write_group, group_done) != 0)
    group_done(&journal->work, UV_ECANCELED);
}
