/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings: the command line, the file, their errors, and the example that documents them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/config.h"

#define ARGS_MAX 16

struct loaded {
  struct settings settings;
  struct options options;
  struct why why;
  enum err err;
};

/* Runs config_load on words ended by NULL. */
static void load(struct loaded *out, const char *const *words) {
  char *argv[ARGS_MAX] = {(char *)"locserd"};
  int argc = 1;
  for (; *words != NULL; words++) argv[argc++] = (char *)(uintptr_t)*words;
  out->why.text[0] = '\0';
  out->err = config_load(&out->settings, &out->options, argc, argv, &out->why);
}
#define LOAD(out, ...) load(out, (const char *const[]){__VA_ARGS__, NULL})

static void expect_error(const char *text, const char *const *words) {
  struct loaded l;
  load(&l, words);
  assert_int_not_equal(l.err, OK);
  if (strstr(l.why.text, text) == NULL) fail_msg("'%s' lacks '%s'", l.why.text, text);
  settings_free(&l.settings);
}
#define EXPECT_ERROR(text, ...) expect_error(text, (const char *const[]){__VA_ARGS__, NULL})

static char path[] = "/tmp/locser-conf-XXXXXX";

static void put_file(const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static int setup(void **state) {
  (void)state;
  int fd = mkstemp(path);
  return fd < 0 || close(fd) != 0;
}

static int teardown(void **state) {
  (void)state;
  return unlink(path);
}

/* it listens to nobody but this machine. */
static void without_words_everything_has_its_default(void **state) {
  (void)state;
  struct loaded l;
  struct node_config node;
  node_config_defaults(&node);
  load(&l, (const char *const[]){NULL});
  assert_int_equal(l.err, OK);
  assert_string_equal(settings_text(&l.settings, SET_LISTEN), "127.0.0.1:5060");
  assert_string_equal(settings_text(&l.settings, SET_OVERLAY), "locser");
  assert_int_equal(l.settings.value[SET_JOIN].count, 0);
  assert_false(settings_flag(&l.settings, SET_NO_DIGEST));
  assert_int_equal(settings_number(&l.settings, SET_SUCCESSORS), node.successors);
  assert_int_equal(settings_number(&l.settings, SET_HOPS_MAX), node.limits.hops_max);
  settings_free(&l.settings);
}

static void default_data_folder(void **state) {
  (void)state;
  if (geteuid() == 0) {
    char *data = settings_default_data();
    assert_string_equal(data, "/var/lib/locser");
    free(data);
    return;
  }
  setenv("XDG_STATE_HOME", "/state", 1);
  char *data = settings_default_data();
  assert_string_equal(data, "/state/locser");
  free(data);
  unsetenv("XDG_STATE_HOME");
  setenv("HOME", "/home/x", 1);
  data = settings_default_data();
  assert_string_equal(data, "/home/x/.local/state/locser");
  free(data);
}

static void the_whole_command_line(void **state) {
  (void)state;
  struct loaded l;
  LOAD(&l, "--data", "/d", "--domain", "a.example", "--domain", "b.example", "--overlay", "lab",
       "--listen", "udp:127.0.0.1:5070", "--listen=tcp:[::1]:5071", "--advertise", "192.0.2.1:5060",
       "--no-digest");
  assert_int_equal(l.err, OK);
  assert_string_equal(settings_text(&l.settings, SET_DATA), "/d");
  assert_string_equal(settings_text(&l.settings, SET_CONTROL), "/d/control");
  assert_int_equal(l.settings.value[SET_DOMAIN].count, 2);
  assert_string_equal(l.settings.value[SET_DOMAIN].text[1], "b.example");
  assert_int_equal(l.settings.value[SET_LISTEN].count, 2);
  assert_string_equal(l.settings.value[SET_LISTEN].text[0], "udp:127.0.0.1:5070");
  assert_true(settings_flag(&l.settings, SET_NO_DIGEST));
  settings_free(&l.settings);
}

static void flags_that_end_early(void **state) {
  (void)state;
  struct loaded l;
  LOAD(&l, "--version");
  assert_true(l.err == OK && l.options.version);
  settings_free(&l.settings);
  LOAD(&l, "--help");
  assert_true(l.err == OK && l.options.help);
  settings_free(&l.settings);
  LOAD(&l, "--check-config");
  assert_true(l.err == OK && l.options.check_config);
  settings_free(&l.settings);
}

static void wrong_words_are_named(void **state) {
  (void)state;
  EXPECT_ERROR("--frob is not an option", "--frob");
  EXPECT_ERROR("--data needs a value", "--data");
  EXPECT_ERROR("'word' is not an option", "word");
  EXPECT_ERROR("--listen: 'nonsense:port' is not [udp|tcp:]HOST:PORT", "--listen", "nonsense:port");
  EXPECT_ERROR("--listen: 'udp:'", "--listen", "udp:");
  EXPECT_ERROR("--listen: '256.1.1.1:1'", "--listen", "256.1.1.1:1");
  EXPECT_ERROR("--join: '127.0.0.1:65536'", "--join", "127.0.0.1:65536");
  EXPECT_ERROR("--log: 'loud' is none of error|warning|info|debug", "--log", "loud");
  EXPECT_ERROR("--successors: '1' is no number from 2 to 16", "--successors", "1");
  EXPECT_ERROR("--successors: '17' is no number", "--successors", "17");
  EXPECT_ERROR("--overlay: 'a b' is no name", "--overlay", "a b");
  EXPECT_ERROR("--data: must not be empty", "--data", "");
}

static void what_only_shows_together(void **state) {
  (void)state;
  EXPECT_ERROR("--advertise HOST:PORT", "--listen", "0.0.0.0:5060");
  EXPECT_ERROR("--advertise HOST:PORT", "--listen", "tcp:[::]:5060");
  EXPECT_ERROR("no address anybody can reach", "--advertise", "0.0.0.0:5060");
  EXPECT_ERROR("--listen tcp:HOST:PORT", "--listen", "udp:127.0.0.1:5060");
  EXPECT_ERROR("replicas", "--successors", "2", "--replicas", "4");
  struct loaded l;
  LOAD(&l, "--listen", "0.0.0.0:5060", "--advertise", "192.0.2.1:5060");
  assert_int_equal(l.err, OK);
  settings_free(&l.settings);
}

static void lists_have_an_end(void **state) {
  (void)state;
  struct settings settings;
  struct why why;
  settings_init(&settings);
  for (unsigned i = 0; i < NODE_JOIN_MAX; i++)
    assert_int_equal(settings_put(&settings, SET_JOIN, "127.0.0.1:1", FROM_COMMAND_LINE, &why), OK);
  assert_int_equal(settings_put(&settings, SET_JOIN, "127.0.0.1:1", FROM_COMMAND_LINE, &why),
                   ERR_LIMIT);
  settings_free(&settings);
}

static void the_file_is_read(void **state) {
  (void)state;
  struct loaded l;
  put_file(
      "# comment\ndata = \"/from/file\"\ndomain = {\"a.example\", \"b.example\"}\n"
      "no-digest = true\nsuccessors = 4\n");
  LOAD(&l, "--config", path);
  if (l.err != OK) fail_msg("%s", l.why.text);
  assert_string_equal(settings_text(&l.settings, SET_DATA), "/from/file");
  assert_int_equal(l.settings.value[SET_DOMAIN].count, 2);
  assert_true(settings_flag(&l.settings, SET_NO_DIGEST));
  assert_int_equal(settings_number(&l.settings, SET_SUCCESSORS), 4);
  assert_string_equal(settings_text(&l.settings, SET_LISTEN), "127.0.0.1:5060");
  settings_free(&l.settings);
}

static void the_command_line_wins(void **state) {
  (void)state;
  struct loaded l;
  put_file("data = \"/from/file\"\ndomain = {\"a.example\", \"b.example\"}\n");
  LOAD(&l, "--config", path, "--domain", "c.example", "--data", "/from/line");
  assert_int_equal(l.err, OK);
  assert_string_equal(settings_text(&l.settings, SET_DATA), "/from/line");
  assert_int_equal(l.settings.value[SET_DOMAIN].count, 1);
  assert_string_equal(settings_text(&l.settings, SET_DOMAIN), "c.example");
  settings_free(&l.settings);
}

static void errors_of_the_file_name_line_and_option(void **state) {
  (void)state;
  char where[64];
  const struct {
    const char *text;
    int line;
    const char *says;
  } wrong[] = {
      {"\nfrobnicate = 1\n", 2, "frobnicate"},
      {"\n\nlog = \"loud\"\n", 3, "log: 'loud' is none of"},
      {"successors = 99\n", 1, "successors: '99' is no number from 2 to 16"},
      {"listen = {\"127.0.0.1:5060\",\n \"x:y:z\"}\n", 2, "listen: 'x:y:z'"},
      {"no-digest = perhaps\n", 1, "no-digest"},
      {"data \"/x\"\n", 1, "data"},
      {"successors = many\n", 1, "successors"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    put_file(wrong[i].text);
    snprintf(where, sizeof where, "%s:%d: ", path, wrong[i].line);
    EXPECT_ERROR(where, "--config", path);
    EXPECT_ERROR(wrong[i].says, "--config", path);
  }
  EXPECT_ERROR("/nonexistent/locserd.conf: No such file", "--config", "/nonexistent/locserd.conf");
}

static char *example_text(void) {
  FILE *file = fopen(SOURCE_DIR "/examples/locserd.conf", "r");
  assert_non_null(file);
  char *text = calloc(1, 65536);
  assert_true(fread(text, 1, 65535, file) > 0);
  fclose(file);
  return text;
}

static void the_example_is_good(void **state) {
  (void)state;
  struct loaded l;
  LOAD(&l, "--config", SOURCE_DIR "/examples/locserd.conf");
  if (l.err != OK) fail_msg("%s", l.why.text);
  settings_free(&l.settings);
}

/* Every setting stands in the example, commented out, and its value there is the default. */
static void the_example_shows_every_setting_and_its_default(void **state) {
  (void)state;
  char *text = example_text();
  struct settings settings;
  settings_init(&settings);
  for (unsigned i = 0; i < SETTING_COUNT; i++) {
    const struct setting_info *info = setting_info((enum setting)i);
    char line[128], number[32];
    snprintf(line, sizeof line, "\n#%s = ", info->name);
    const char *at = strstr(text, line);
    if (at == NULL) fail_msg("examples/locserd.conf lacks %s", info->name);
    at += strlen(line);
    snprintf(number, sizeof number, "%llu\n",
             (unsigned long long)settings_number(&settings, (enum setting)i));
    if (info->kind == SETTING_NUMBER && strncmp(at, number, strlen(number)) != 0)
      fail_msg("examples/locserd.conf: the default of %s is %s", info->name, number);
    if (info->kind == SETTING_FLAG) assert_int_equal(strncmp(at, "false", 5), 0);
    const char *word = settings_text(&settings, (enum setting)i);
    if (info->kind == SETTING_CHOICE) assert_int_equal(strncmp(at + 1, word, strlen(word)), 0);
  }
  settings_free(&settings);
  free(text);
}

/* With its comment signs taken off, every line is understood too. */
static void the_example_uncommented_is_good(void **state) {
  (void)state;
  char *text = example_text(), *out = calloc(1, 65536);
  for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    bool setting = line[0] == '#' && line[1] != ' ';
    strcat(strcat(out, setting ? line + 1 : line), "\n");
  }
  put_file(out);
  struct loaded l;
  LOAD(&l, "--config", path);
  if (l.err != OK) fail_msg("%s", l.why.text);
  assert_int_equal(l.settings.value[SET_JOIN].count, 2);
  settings_free(&l.settings);
  free(text);
  free(out);
}

static void a_reload_knows_what_needs_a_restart(void **state) {
  (void)state;
  struct loaded a, b;
  LOAD(&a, "--data", "/x");
  LOAD(&b, "--data", "/x", "--domain", "a.example", "--log", "debug", "--no-digest");
  assert_null(settings_restart_needed(&a.settings, &b.settings));
  settings_free(&b.settings);
  LOAD(&b, "--data", "/x", "--listen", "127.0.0.1:7");
  assert_string_equal(settings_restart_needed(&a.settings, &b.settings), "listen");
  settings_free(&a.settings);
  settings_free(&b.settings);
}

static void help_names_every_setting(void **state) {
  (void)state;
  char *text = NULL;
  size_t len = 0;
  FILE *memory = open_memstream(&text, &len);
  config_help(memory);
  fclose(memory);
  for (unsigned i = 0; i < SETTING_COUNT; i++) {
    char option[64];
    snprintf(option, sizeof option, "--%s", setting_info((enum setting)i)->name);
    if (strstr(text, option) == NULL) fail_msg("--help lacks %s", option);
  }
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_words_everything_has_its_default),
      cmocka_unit_test(default_data_folder),
      cmocka_unit_test(the_whole_command_line),
      cmocka_unit_test(flags_that_end_early),
      cmocka_unit_test(wrong_words_are_named),
      cmocka_unit_test(what_only_shows_together),
      cmocka_unit_test(lists_have_an_end),
      cmocka_unit_test(the_file_is_read),
      cmocka_unit_test(the_command_line_wins),
      cmocka_unit_test(errors_of_the_file_name_line_and_option),
      cmocka_unit_test(the_example_is_good),
      cmocka_unit_test(the_example_shows_every_setting_and_its_default),
      cmocka_unit_test(the_example_uncommented_is_good),
      cmocka_unit_test(a_reload_knows_what_needs_a_restart),
      cmocka_unit_test(help_names_every_setting),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
