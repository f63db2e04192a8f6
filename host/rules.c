/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define LINE_BYTES 2200 /* two addresses of 1024 bytes */

static const struct {
  const char *word;
  enum node_command_kind kind;
} words[] = {{"allow", COMMAND_ALLOW}, {"ask", COMMAND_ASK}, {"block", COMMAND_BLOCK}};

static bool complain(struct why *why, const char *path) {
  (void)why_say(why, ERR_IO, "%s: %s", path, strerror(errno));
  return false;
}

/* A line holds no address with white space. */
static bool fits(struct slice text) {
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.at[i] <= ' ') return false;
  return text.len > 0 && text.len <= 1024;
}

bool rules_keep(const char *data, const struct node_command *command, struct why *why) {
  char path[PATH_BYTES], line[LINE_BYTES];
  const char *word = "ask";
  struct stat info;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (words[i].kind == command->kind) word = words[i].word;
  if (!fits(command->uri) || !fits(command->contact)) {
    (void)why_say(why, ERR_IO, "not two addresses such as sip:bob@example.net");
    return false;
  }
  snprintf(path, sizeof path, "%s/watchers", data);
  int len = snprintf(line, sizeof line, "%s %.*s %.*s\n", word, SLICE_FMT(command->uri),
                     SLICE_FMT(command->contact));
  int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return complain(why, path);
  bool good = fstat(file, &info) == 0;
  if (good && (size_t)info.st_size + (size_t)len > RULES_BYTES_MAX) {
    close(file);
    (void)why_say(why, ERR_IO, "%s has as many lines as it may", path);
    return false;
  }
  good = good && write(file, line, (size_t)len) == len && fsync(file) == 0;
  if (!good) complain(why, path);
  close(file);
  return good;
}

static void say(struct loop *loop, struct slice line) {
  struct slice word = slice_take_until(&line, ' ');
  line = slice_skip(line, 1);
  struct node_command command = {.uri = slice_take_until(&line, ' ')};
  command.contact = slice_skip(line, 1);
  if (!fits(command.uri) || !fits(command.contact)) return;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (!slice_equal(word, slice_cstr(words[i].word))) continue;
    command.kind = words[i].kind;
    loop_step(loop, &(struct input){.kind = IN_COMMAND, .command = &command});
  }
}

bool rules_say(const char *data, struct loop *loop, struct why *why) {
  char path[PATH_BYTES], line[LINE_BYTES];
  snprintf(path, sizeof path, "%s/watchers", data);
  FILE *file = fopen(path, "re");
  if (file == NULL) return errno == ENOENT || complain(why, path);
  while (fgets(line, sizeof line, file) != NULL) say(loop, slice_trim(slice_cstr(line)));
  bool good = ferror(file) == 0;
  if (!good) complain(why, path);
  fclose(file);
  return good;
}
