/* SPDX-License-Identifier: BSD-2-Clause */
/* The journal: what was acknowledged is there again, and a bad file is never taken for an empty
 * one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "crypto/openssl.h"
#include "host/journal.h"

#define ANSWERS_MAX 4096

struct world {
  char dir[64], path[96];
  uv_loop_t uv;
  struct crypto crypto;
  struct log log;
  char *log_text;
  size_t log_len;
  FILE *log_file;
  uint64_t bytes_max;
  struct journal *journal;
  enum err answer[ANSWERS_MAX]; /* by ticket */
  bool answered[ANSWERS_MAX];
  unsigned answers;
  unsigned restored;
  struct record last;
  char last_bytes[256];
};

static void on_stored(void *context, uint64_t ticket, enum err status) {
  struct world *w = context;
  assert_true(ticket < ANSWERS_MAX && !w->answered[ticket]);
  w->answered[ticket] = true;
  w->answer[ticket] = status;
  w->answers++;
}

static int setup(void **state) {
  struct world *w = calloc(1, sizeof *w);
  *state = w;
  strcpy(w->dir, "/tmp/locser-journal-XXXXXX");
  if (mkdtemp(w->dir) == NULL) return -1;
  snprintf(w->path, sizeof w->path, "%s/journal.db", w->dir);
  uv_loop_init(&w->uv);
  crypto_openssl(&w->crypto);
  w->log_file = open_memstream(&w->log_text, &w->log_len);
  log_init(&w->log, w->log_file, TRACE_DEBUG);
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  char command[96];
  if (w->journal != NULL) journal_close(w->journal);
  snprintf(command, sizeof command, "rm -rf '%s'", w->dir);
  int status = system(command);
  crypto_openssl_free(&w->crypto);
  uv_run(&w->uv, UV_RUN_DEFAULT);
  uv_loop_close(&w->uv);
  fclose(w->log_file);
  free(w->log_text);
  free(w);
  return status;
}

static bool open_journal(struct world *w, struct why *why) {
  struct journal_setup setup = {.path = w->path,
                                .bytes_max = w->bytes_max,
                                .crypto = &w->crypto,
                                .log = &w->log,
                                .uv = &w->uv,
                                .stored = on_stored,
                                .context = w};
  w->journal = journal_open(&setup, why);
  return w->journal != NULL;
}

static void must_open(struct world *w) {
  struct why why;
  if (!open_journal(w, &why)) fail_msg("%s", why.text);
}

static void close_journal(struct world *w) {
  journal_close(w->journal);
  w->journal = NULL;
}

/* A record whose identity is `name`. */
static struct record make(struct world *w, unsigned name, uint64_t version, struct slice bytes) {
  struct record record = {.version = version, .floor = 2000, .expires = 1500, .bytes = bytes};
  uint8_t hash[32];
  record.key.byte[0] = (uint8_t)(name >> 8);
  record.key.byte[1] = (uint8_t)name;
  record.owner.byte[19] = 7;
  record.nonce.byte[3] = 9;
  w->crypto.sha256(w->crypto.context, bytes, hash);
  memcpy(record.digest.byte, hash, KEY_BYTES);
  return record;
}

static void commit(struct world *w) {
  journal_submit(w->journal);
  while (journal_busy(w->journal)) {
    uv_run(&w->uv, UV_RUN_ONCE);
    journal_submit(w->journal);
  }
}

static void on_record(void *context, const struct record *record) {
  struct world *w = context;
  w->restored++;
  w->last = *record;
  assert_true(record->bytes.len <= sizeof w->last_bytes);
  memcpy(w->last_bytes, record->bytes.at, record->bytes.len);
  w->last.bytes.at = w->last_bytes;
}

static struct journal_restored restore(struct world *w) {
  struct journal_restored counts;
  struct why why;
  w->restored = 0;
  if (journal_restore(w->journal, 1000, on_record, w, &counts, &why) != OK)
    fail_msg("%s", why.text);
  return counts;
}

static void sql(struct world *w, const char *text) {
  sqlite3 *db;
  char *message = NULL;
  assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
  if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s", message);
  sqlite3_close(db);
}

static void what_was_stored_comes_back(void **state) {
  struct world *w = *state;
  must_open(w);
  struct record record = make(w, 1, UINT64_C(1) << 62, SLICE("<dhtRecord>1</dhtRecord>"));
  record.tombstone = true;
  journal_store(w->journal, 5, &record);
  commit(w);
  assert_true(w->answered[5] && w->answer[5] == OK);
  close_journal(w);
  must_open(w);
  assert_int_equal(restore(w).records, 1);
  assert_true(key_equal(&w->last.key, &record.key));
  assert_true(key_equal(&w->last.owner, &record.owner));
  assert_true(key_equal(&w->last.nonce, &record.nonce));
  assert_true(key_equal(&w->last.digest, &record.digest));
  assert_true(w->last.version == record.version && w->last.tombstone);
  assert_true(w->last.floor == 2000 && w->last.expires == 1500);
  assert_true(slice_equal(w->last.bytes, record.bytes));
}

static void one_row_for_each_identity(void **state) {
  struct world *w = *state;
  must_open(w);
  struct record first = make(w, 1, 1, SLICE("a")), second = make(w, 1, 2, SLICE("b"));
  struct record other = make(w, 2, 1, SLICE("c"));
  journal_store(w->journal, 1, &first);
  journal_store(w->journal, 2, &second);
  journal_store(w->journal, 3, &other);
  journal_erase(w->journal, &other);
  commit(w);
  assert_int_equal(w->answers, 3); /* an erasure is not answered */
  assert_int_equal(restore(w).records, 1);
  assert_int_equal(w->last.version, 2);
}

/* The bytes of an OUT_STORE live until the next step only. */
static void bytes_are_copied_at_once(void **state) {
  struct world *w = *state;
  must_open(w);
  char bytes[] = "mine";
  struct record record = make(w, 1, 1, slice_of(bytes, 4));
  journal_store(w->journal, 1, &record);
  memset(bytes, 'x', sizeof bytes);
  commit(w);
  assert_int_equal(restore(w).records, 1);
  assert_memory_equal(w->last.bytes.at, "mine", 4);
}

static void many_at_once_share_commits(void **state) {
  struct world *w = *state;
  must_open(w);
  for (unsigned i = 0; i < 1000; i++) {
    struct record record = make(w, i, 1, SLICE("x"));
    journal_store(w->journal, i, &record);
  }
  commit(w);
  assert_int_equal(w->answers, 1000);
  struct journal_stats stats = journal_stats(w->journal);
  assert_int_equal(stats.stored, 1000);
  assert_int_equal(stats.groups, (1000 + JOURNAL_GROUP_MAX - 1) / JOURNAL_GROUP_MAX);
  assert_int_equal(restore(w).records, 1000);
}

/* While a group is written the next one gathers, and each answer comes once. */
static void writes_during_a_commit_wait_for_the_next(void **state) {
  struct world *w = *state;
  must_open(w);
  struct record a = make(w, 1, 1, SLICE("a")), b = make(w, 2, 1, SLICE("b"));
  journal_store(w->journal, 1, &a);
  journal_submit(w->journal);
  journal_store(w->journal, 2, &b);
  journal_submit(w->journal);
  assert_int_equal(w->answers, 0); /* never before it is durable */
  commit(w);
  assert_int_equal(w->answers, 2);
  assert_int_equal(journal_stats(w->journal).groups, 2);
}

static void lapsed_rows_are_forgotten(void **state) {
  struct world *w = *state;
  must_open(w);
  struct record old = make(w, 1, 1, SLICE("old")), live = make(w, 2, 1, SLICE("live"));
  old.floor = 1000;
  journal_store(w->journal, 1, &old);
  journal_store(w->journal, 2, &live);
  commit(w);
  struct journal_restored counts = restore(w);
  assert_true(counts.records == 1 && counts.lapsed == 1);
  commit(w);
  counts = restore(w);
  assert_true(counts.records == 1 && counts.lapsed == 0);
}

static void a_damaged_row_is_left_out_and_named(void **state) {
  struct world *w = *state;
  must_open(w);
  for (unsigned i = 0; i < 3; i++) {
    struct record record = make(w, i, 1, SLICE("<dhtRecord/>"));
    journal_store(w->journal, i, &record);
  }
  commit(w);
  close_journal(w);
  sql(w, "UPDATE record SET bytes = x'3c64683f' WHERE rowid = 2");
  must_open(w);
  struct journal_restored counts = restore(w);
  assert_true(counts.records == 2 && counts.damaged == 1);
  fflush(w->log_file);
  assert_non_null(strstr(w->log_text, "row 2 is damaged"));
}

static void expect_refused(struct world *w, const char *says) {
  struct why why;
  struct stat before, after;
  assert_int_equal(stat(w->path, &before), 0);
  assert_false(open_journal(w, &why));
  if (strstr(why.text, says) == NULL) fail_msg("'%s' lacks '%s'", why.text, says);
  assert_non_null(strstr(why.text, w->path));
  assert_int_equal(stat(w->path, &after), 0); /* still there, as it was */
  assert_int_equal(before.st_size, after.st_size);
}

static void put_bytes(struct world *w, off_t at, const void *bytes, size_t len) {
  int fd = open(w->path, O_RDWR | O_CREAT, 0600);
  assert_true(fd >= 0);
  assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
  close(fd);
}

static void a_file_that_is_no_database_is_refused(void **state) {
  struct world *w = *state;
  char junk[8192];
  memset(junk, 'j', sizeof junk);
  put_bytes(w, 0, junk, sizeof junk);
  expect_refused(w, "is damaged");
}

static void an_empty_file_is_refused(void **state) {
  struct world *w = *state;
  put_bytes(w, 0, "", 0);
  expect_refused(w, "it is empty");
}

static void a_damaged_page_is_refused(void **state) {
  struct world *w = *state;
  must_open(w);
  for (unsigned i = 0; i < 500; i++) {
    struct record record = make(w, i, 1, SLICE("<dhtRecord>long enough to need pages</dhtRecord>"));
    journal_store(w->journal, i, &record);
  }
  commit(w);
  close_journal(w);
  char junk[4096];
  memset(junk, 0xa5, sizeof junk);
  put_bytes(w, 3 * 4096, junk, sizeof junk);
  expect_refused(w, "is damaged");
}

static void a_newer_schema_is_refused(void **state) {
  struct world *w = *state;
  must_open(w);
  close_journal(w);
  sql(w, "PRAGMA user_version = 99");
  expect_refused(w, "newer locserd");
}

static void the_file_of_another_program_is_refused(void **state) {
  struct world *w = *state;
  sql(w, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  expect_refused(w, "another program");
}

static void a_folder_that_is_not_there_is_named(void **state) {
  struct world *w = *state;
  struct why why;
  strcpy(w->path, "/nonexistent/folder/journal.db");
  assert_false(open_journal(w, &why));
  assert_non_null(strstr(why.text, "/nonexistent/folder/journal.db"));
}

/* A file that may not grow is what a full disk is to SQLite. */
static void a_full_disk_refuses_and_recovers(void **state) {
  struct world *w = *state;
  w->bytes_max = 65536;
  must_open(w);
  char bytes[200];
  memset(bytes, 'b', sizeof bytes);
  unsigned stored = 0, ticket = 0;
  for (; ticket < 1000; ticket++) {
    struct record record = make(w, ticket, 1, slice_of(bytes, sizeof bytes));
    journal_store(w->journal, ticket, &record);
    commit(w);
    assert_true(w->answered[ticket]);
    if (w->answer[ticket] != OK) break;
    stored++;
  }
  assert_true(stored > 50);
  assert_int_equal(w->answer[ticket], ERR_IO);
  assert_true(journal_stats(w->journal).failing);
  for (unsigned i = 0; i < 200; i++) { /* every one is refused, but not every one is logged */
    struct record record = make(w, 2000 + i, 1, slice_of(bytes, sizeof bytes));
    journal_store(w->journal, 2000 + i, &record);
    commit(w);
    assert_int_equal(w->answer[2000 + i], ERR_IO);
  }
  fflush(w->log_file);
  unsigned lines = 0;
  for (const char *at = w->log_text; (at = strstr(at, "full")) != NULL; at++) lines++;
  assert_true(lines >= 1 && lines <= LOG_BURST + 2);
  assert_int_equal(restore(w).records, stored); /* nothing that was acknowledged is lost */
  for (unsigned i = 0; i < 20; i++) {           /* and with room it goes on */
    struct record gone = make(w, i, 1, SLICE("b"));
    journal_erase(w->journal, &gone);
  }
  commit(w);
  struct record record = make(w, 3000, 1, slice_of(bytes, sizeof bytes));
  journal_store(w->journal, 3000, &record);
  commit(w);
  assert_int_equal(w->answer[3000], OK);
  assert_false(journal_stats(w->journal).failing);
  fflush(w->log_file);
  assert_non_null(strstr(w->log_text, "can be written again"));
}

/* A group is all or nothing. */
static void closing_writes_what_waits(void **state) {
  struct world *w = *state;
  must_open(w);
  struct record record = make(w, 1, 1, SLICE("late"));
  journal_store(w->journal, 1, &record);
  close_journal(w);
  must_open(w);
  assert_int_equal(restore(w).records, 1);
}

static void incarnations_grow(void **state) {
  struct world *w = *state;
  struct why why;
  uint32_t first, second, third, fourth;
  must_open(w);
  assert_int_equal(journal_incarnation(w->journal, 1000, &first, &why), OK);
  assert_int_equal(journal_incarnation(w->journal, 1000, &second, &why), OK);
  close_journal(w);
  must_open(w);
  assert_int_equal(journal_incarnation(w->journal, 10, &third, &why), OK); /* clock set back */
  assert_int_equal(journal_incarnation(w->journal, 5000, &fourth, &why), OK);
  assert_int_equal(first, 1000);
  assert_int_equal(second, 1001);
  assert_int_equal(third, 1002);
  assert_int_equal(fourth, 5000);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(what_was_stored_comes_back),
      TEST(one_row_for_each_identity),
      TEST(bytes_are_copied_at_once),
      TEST(many_at_once_share_commits),
      TEST(writes_during_a_commit_wait_for_the_next),
      TEST(lapsed_rows_are_forgotten),
      TEST(a_damaged_row_is_left_out_and_named),
      TEST(a_file_that_is_no_database_is_refused),
      TEST(an_empty_file_is_refused),
      TEST(a_damaged_page_is_refused),
      TEST(a_newer_schema_is_refused),
      TEST(the_file_of_another_program_is_refused),
      TEST(a_folder_that_is_not_there_is_named),
      TEST(a_full_disk_refuses_and_recovers),
      TEST(closing_writes_what_waits),
      TEST(incarnations_grow),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
