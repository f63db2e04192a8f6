/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/journal_db.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/journal.h"

#define APPLICATION_ID 0x4c435352 /* "LCSR" */
#define PAGE_BYTES 4096

static const char schema_sql[] =
    "CREATE TABLE record ("
    " key BLOB NOT NULL, owner BLOB NOT NULL, nonce BLOB NOT NULL,"
    " version INTEGER NOT NULL, floor INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " tombstone INTEGER NOT NULL, digest BLOB NOT NULL,"
    " format INTEGER NOT NULL, bytes BLOB NOT NULL,"
    " UNIQUE (key, owner, nonce));"
    "CREATE TABLE start (incarnation INTEGER NOT NULL);"
    "PRAGMA application_id = 1279480658;"
    "PRAGMA user_version = 1;";

static const char store_sql[] =
    "INSERT INTO record (key, owner, nonce, version, floor, expires, tombstone, digest, format,"
    " bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    " ON CONFLICT (key, owner, nonce) DO UPDATE SET version = ?4, floor = ?5, expires = ?6,"
    " tombstone = ?7, digest = ?8, format = ?9, bytes = ?10";
static const char erase_sql[] = "DELETE FROM record WHERE key = ?1 AND owner = ?2 AND nonce = ?3";

static enum err exec(struct journal_db *db, const char *sql, struct why *why) {
  char *message = NULL;
  int status = sqlite3_exec(db->sqlite, sql, NULL, NULL, &message);
  if (status == SQLITE_OK) return OK;
  why_say(why, ERR_IO, "%s: %s", db->path, message != NULL ? message : sqlite3_errstr(status));
  sqlite3_free(message);
  return status == SQLITE_CORRUPT || status == SQLITE_NOTADB ? ERR_CORRUPT : ERR_IO;
}

/* The first column of the first row, as text and as number. */
static enum err ask(struct journal_db *db, const char *sql, char text[128], int64_t *number,
                    struct why *why) {
  sqlite3_stmt *statement = NULL;
  int status = sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL);
  if (status == SQLITE_OK) status = sqlite3_step(statement);
  if (status == SQLITE_ROW) {
    const unsigned char *found = sqlite3_column_text(statement, 0);
    if (text != NULL) sqlite3_snprintf(128, text, "%s", found != NULL ? (const char *)found : "");
    if (number != NULL) *number = sqlite3_column_int64(statement, 0);
  }
  sqlite3_finalize(statement);
  if (status == SQLITE_ROW || status == SQLITE_DONE) return OK;
  why_say(why, ERR_IO, "%s: %s", db->path, sqlite3_errmsg(db->sqlite));
  return status == SQLITE_CORRUPT || status == SQLITE_NOTADB ? ERR_CORRUPT : ERR_IO;
}

static enum err say_damaged(const struct journal_db *db, const char *reason, struct why *why) {
  return why_say(why, ERR_CORRUPT,
                 "%s is damaged (%.200s). Nothing was changed. Put a copy back; or, to start "
                 "without the records that only this peer holds, move it away: mv '%s' '%s.bad'",
                 db->path, reason, db->path, db->path);
}

/* Tells our file from a foreign one, a newer one, and an empty one that is to be filled. */
static enum err check_format(struct journal_db *db, bool *empty, struct why *why) {
  int64_t application = 0, version = 0, tables = 0;
  enum err err = ask(db, "PRAGMA application_id", NULL, &application, why);
  if (err == OK) err = ask(db, "PRAGMA user_version", NULL, &version, why);
  if (err == OK) err = ask(db, "SELECT count(*) FROM sqlite_schema", NULL, &tables, why);
  if (err != OK) return err;
  *empty = application == 0 && version == 0 && tables == 0;
  if (*empty) return OK;
  if (application != APPLICATION_ID)
    return why_say(why, ERR_UNSUPPORTED,
                   "%s is an SQLite file of another program; it was left as it is. Choose another "
                   "folder: --data DIR",
                   db->path);
  if (version > JOURNAL_SCHEMA)
    return why_say(why, ERR_UNSUPPORTED,
                   "%s was written by a newer locserd (schema %lld; this one knows %d); it was "
                   "left as it is. Run the newer locserd, or choose another folder: --data DIR",
                   db->path, (long long)version, JOURNAL_SCHEMA);
  return OK;
}

static enum err check_integrity(struct journal_db *db, struct why *why) {
  char text[128] = "";
  enum err err = ask(db, "PRAGMA quick_check(1)", text, NULL, why);
  if (err == OK && strcmp(text, "ok") != 0) err = why_say(why, ERR_CORRUPT, "%s", text);
  return err;
}

static enum err set_modes(struct journal_db *db, uint64_t bytes_max, struct why *why) {
  char mode[128] = "", sql[160];
  enum err err = ask(db, "PRAGMA journal_mode = WAL", mode, NULL, why);
  if (err != OK) return err;
  if (strcmp(mode, "wal") != 0)
    return why_say(why, ERR_IO, "%s: the file system cannot share memory (SQLite WAL needs it)",
                   db->path);
  err = exec(db,
             "PRAGMA synchronous = FULL; PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY;"
             "PRAGMA journal_size_limit = 4194304",
             why);
  if (err != OK || bytes_max == 0) return err;
  sqlite3_snprintf(sizeof sql, sql, "PRAGMA max_page_count = %llu",
                   (unsigned long long)(bytes_max / PAGE_BYTES));
  return exec(db, sql, why);
}

static enum err prepare(struct journal_db *db, const char *sql, sqlite3_stmt **out,
                        struct why *why) {
  int status = sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
  if (status == SQLITE_OK) return OK;
  return why_say(why, ERR_CORRUPT, "%s: %s", db->path, sqlite3_errmsg(db->sqlite));
}

static enum err open_checked(struct journal_db *db, uint64_t bytes_max, struct why *why) {
  bool empty = false;
  enum err err = check_format(db, &empty, why);
  if (err == OK && !empty) err = check_integrity(db, why);
  if (err == OK) err = set_modes(db, bytes_max, why);
  if (err == OK && empty) {
    char sql[sizeof schema_sql + 32];
    sqlite3_snprintf(sizeof sql, sql, "BEGIN;%s COMMIT;", schema_sql);
    err = exec(db, sql, why);
  }
  if (err == OK) err = prepare(db, store_sql, &db->store, why);
  if (err == OK) err = prepare(db, erase_sql, &db->erase, why);
  if (err != ERR_CORRUPT) return err;
  struct why reason = *why;
  return say_damaged(db, reason.text, why);
}

enum err journal_db_open(struct journal_db *db, const char *path, uint64_t bytes_max,
                         struct why *why) {
  *db = (struct journal_db){.path = path};
  struct stat status;
  bool existed = stat(path, &status) == 0;
  /* An empty file is no journal of ours any more than a full one of somebody else's: it is what a
   * crash of the disk leaves. SQLite would fill it without a word. */
  if (existed && status.st_size == 0) return say_damaged(db, "it is empty", why);
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path, &db->sqlite, flags, NULL) != SQLITE_OK) {
    why_say(why, ERR_IO, "%s: %s. Check that the folder exists and that this user may write there",
            path, sqlite3_errmsg(db->sqlite));
    journal_db_close(db);
    return ERR_IO;
  }
  sqlite3_extended_result_codes(db->sqlite, 0);
  sqlite3_busy_timeout(db->sqlite, 2000); /* somebody looks into it with sqlite3(1) */
  enum err err = open_checked(db, bytes_max, why);
  if (err == OK) return OK;
  journal_db_close(db);
  if (!existed) unlink(path); /* half made, by us, just now */
  return err;
}

void journal_db_close(struct journal_db *db) {
  sqlite3_finalize(db->store);
  sqlite3_finalize(db->erase);
  sqlite3_close(db->sqlite);
  db->store = db->erase = NULL;
  db->sqlite = NULL;
}

static void bind_key(sqlite3_stmt *statement, int at, const struct key *key) {
  sqlite3_bind_blob(statement, at, key->byte, KEY_BYTES, SQLITE_STATIC);
}

static int write_one(struct journal_db *db, const struct journal_write *write) {
  const struct record *record = &write->record;
  sqlite3_stmt *statement = write->erase ? db->erase : db->store;
  bind_key(statement, 1, &record->key);
  bind_key(statement, 2, &record->owner);
  bind_key(statement, 3, &record->nonce);
  if (!write->erase) {
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)record->version);
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)record->floor);
    sqlite3_bind_int64(statement, 6, (sqlite3_int64)record->expires);
    sqlite3_bind_int(statement, 7, record->tombstone);
    bind_key(statement, 8, &record->digest);
    sqlite3_bind_int(statement, 9, JOURNAL_RECORD_FORMAT);
    sqlite3_bind_blob64(statement, 10, record->bytes.at, record->bytes.len, SQLITE_STATIC);
  }
  sqlite3_step(statement);
  return sqlite3_reset(statement);
}

enum err journal_db_write(struct journal_db *db, const struct journal_write *first,
                          struct why *why) {
  int status = sqlite3_exec(db->sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  for (; first != NULL && status == SQLITE_OK; first = first->next) status = write_one(db, first);
  if (status == SQLITE_OK) status = sqlite3_exec(db->sqlite, "COMMIT", NULL, NULL, NULL);
  if (status == SQLITE_OK) return OK;
  why_say(why, ERR_IO, "%s: %s", db->path, sqlite3_errmsg(db->sqlite));
  if (sqlite3_get_autocommit(db->sqlite) == 0)
    sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
  return ERR_IO;
}
