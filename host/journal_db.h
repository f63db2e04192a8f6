/* SPDX-License-Identifier: BSD-2-Clause */
/* The SQLite file below host/journal.h: opening with its checks, rows, and one transaction. */
#ifndef HOST_JOURNAL_DB_H
#define HOST_JOURNAL_DB_H

#include <sqlite3.h>

#include "base/record.h"
#include "host/why.h"

struct journal_db {
  sqlite3 *sqlite;
  sqlite3_stmt *store, *erase;
  const char *path; /* borrowed */
};

/* One write that waits. The record's bytes follow the struct. */
struct journal_write {
  struct journal_write *next;
  uint64_t ticket;
  bool erase;
  struct record record;
};

enum err journal_db_open(struct journal_db *db, const char *path, uint64_t bytes_max,
                         struct why *why) MUST_USE;
void journal_db_close(struct journal_db *db);
/* All of them or none, durable on return. May run on any one thread at a time. */
enum err journal_db_write(struct journal_db *db, const struct journal_write *first,
                          struct why *why) MUST_USE;

#endif
