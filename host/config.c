/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/config.h"

#include <confuse.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

/* libconfuse's error and validation callbacks carry no context of ours. */
static _Thread_local struct why *reading_why;
static _Thread_local bool reading_failed;

static void on_error(cfg_t *cfg, const char *format, va_list args) {
  if (reading_failed) return; /* the first error is the one to mend */
  reading_failed = true;
  char text[512];
  vsnprintf(text, sizeof text, format, args);
  const char *file = cfg != NULL && cfg->filename != NULL ? cfg->filename : "configuration";
  why_say(reading_why, ERR_SYNTAX, "%s:%d: %s", file, cfg != NULL ? cfg->line : 0, text);
}

static bool find_setting(const char *name, enum setting *out) {
  for (unsigned i = 0; i < SETTING_COUNT; i++) {
    if (strcmp(setting_info((enum setting)i)->name, name) != 0) continue;
    *out = (enum setting)i;
    return true;
  }
  return false;
}

/* The last value of the option as text, as the command line would give it. */
static const char *last_value(const struct setting_info *info, cfg_opt_t *opt, char number[32]) {
  unsigned last = cfg_opt_size(opt) - 1;
  if (info->kind == SETTING_FLAG) return cfg_opt_getnbool(opt, last) ? "true" : "false";
  if (info->kind != SETTING_NUMBER) {
    const char *text = cfg_opt_getnstr(opt, last);
    return text != NULL ? text : "";
  }
  snprintf(number, 32, "%ld", cfg_opt_getnint(opt, last));
  return number;
}

/* Called for each value while its line is known. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt) {
  enum setting setting;
  char number[32];
  struct why why = {""};
  if (!find_setting(opt->name, &setting) || cfg_opt_size(opt) == 0) return 0;
  const struct setting_info *info = setting_info(setting);
  enum err err = setting_check(setting, last_value(info, opt, number), &why);
  if (err == OK && info->kind == SETTING_LIST && cfg_opt_size(opt) > info->high)
    err = why_say(&why, ERR_LIMIT, "given more than %" PRIu64 " times", info->high);
  if (err == OK) return 0;
  cfg_error(cfg, "%s: %s", opt->name, why.text);
  return -1;
}

static void fill_options(cfg_opt_t options[SETTING_COUNT + 1]) {
  for (unsigned i = 0; i < SETTING_COUNT; i++) {
    const struct setting_info *info = setting_info((enum setting)i);
    cfg_opt_t flag = CFG_BOOL(info->name, cfg_false, CFGF_NODEFAULT);
    cfg_opt_t number = CFG_INT(info->name, 0, CFGF_NODEFAULT);
    cfg_opt_t list = CFG_STR_LIST(info->name, NULL, CFGF_NODEFAULT);
    cfg_opt_t text = CFG_STR(info->name, NULL, CFGF_NODEFAULT);
    if (info->kind == SETTING_FLAG)
      options[i] = flag;
    else if (info->kind == SETTING_NUMBER)
      options[i] = number;
    else
      options[i] = info->kind == SETTING_LIST ? list : text;
  }
  cfg_opt_t end = CFG_END();
  options[SETTING_COUNT] = end;
}

static enum err take_values(struct settings *settings, cfg_t *cfg, struct why *why) {
  for (unsigned i = 0; i < SETTING_COUNT; i++) {
    const struct setting_info *info = setting_info((enum setting)i);
    cfg_opt_t *opt = cfg_getopt(cfg, info->name);
    for (unsigned n = 0; n < cfg_opt_size(opt); n++) {
      char number[32];
      bool is_text = info->kind == SETTING_LIST || info->kind == SETTING_TEXT;
      const char *text = is_text ? cfg_opt_getnstr(opt, n) : last_value(info, opt, number);
      if (text == NULL) continue;
      enum err err = settings_put(settings, (enum setting)i, text, FROM_FILE, why);
      if (err != OK) return err;
    }
  }
  return OK;
}

enum err config_read(struct settings *settings, const char *path, struct why *why) {
  cfg_opt_t options[SETTING_COUNT + 1];
  fill_options(options);
  cfg_t *cfg = cfg_init(options, CFGF_NONE);
  if (cfg == NULL) return why_say(why, ERR_MEMORY, "%s: no memory to read it", path);
  reading_why = why;
  reading_failed = false;
  cfg_set_error_function(cfg, on_error);
  for (unsigned i = 0; i < SETTING_COUNT; i++)
    cfg_set_validate_func(cfg, setting_info((enum setting)i)->name, on_value);
  int status = cfg_parse(cfg, path);
  enum err err = OK;
  if (status == CFG_FILE_ERROR)
    err = why_say(why, ERR_IO, "%s: %s", path, strerror(errno));
  else if (status != CFG_SUCCESS || reading_failed)
    err = reading_failed ? ERR_SYNTAX : why_say(why, ERR_SYNTAX, "%s: not understood", path);
  if (err == OK) err = take_values(settings, cfg, why);
  cfg_free(cfg);
  return err;
}

/* ---- command line ---- */

enum { OPTION_CONFIG = SETTING_COUNT, OPTION_CHECK, OPTION_VERSION, OPTION_HELP, OPTION_COUNT };

/* Values of getopt_long start above the characters it uses itself. */
#define OPTION_BASE 1000

static void fill_long_options(struct option out[OPTION_COUNT + 1]) {
  memset(out, 0, (OPTION_COUNT + 1) * sizeof out[0]);
  for (int i = 0; i < SETTING_COUNT; i++) {
    const struct setting_info *info = setting_info((enum setting)i);
    int argument = info->kind == SETTING_FLAG ? no_argument : required_argument;
    out[i] = (struct option){info->name, argument, NULL, OPTION_BASE + i};
  }
  out[OPTION_CONFIG] =
      (struct option){"config", required_argument, NULL, OPTION_BASE + OPTION_CONFIG};
  out[OPTION_CHECK] =
      (struct option){"check-config", no_argument, NULL, OPTION_BASE + OPTION_CHECK};
  out[OPTION_VERSION] = (struct option){"version", no_argument, NULL, OPTION_BASE + OPTION_VERSION};
  out[OPTION_HELP] = (struct option){"help", no_argument, NULL, OPTION_BASE + OPTION_HELP};
}

static enum err take_option(struct settings *settings, struct options *options, int which,
                            const char *argument, struct why *why) {
  if (which == OPTION_CONFIG) options->config = argument;
  if (which == OPTION_CHECK) options->check_config = true;
  if (which == OPTION_VERSION) options->version = true;
  if (which == OPTION_HELP) options->help = true;
  if (which >= SETTING_COUNT) return OK;
  enum setting setting = (enum setting)which;
  struct why reason = {""};
  enum err err = settings_put(settings, setting, argument != NULL ? argument : "true",
                              FROM_COMMAND_LINE, &reason);
  if (err == OK) return OK;
  return why_say(why, err, "--%s: %s", setting_info(setting)->name, reason.text);
}

enum err config_options(struct settings *settings, struct options *options, int argc,
                        char *const argv[], struct why *why) {
  struct option known[OPTION_COUNT + 1];
  fill_long_options(known);
  *options = (struct options){0};
  optind = 0; /* glibc: start afresh; a reload reads the same command line again */
  opterr = 0;
  for (int c; (c = getopt_long(argc, argv, "+:h", known, NULL)) != -1;) {
    const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
    if (c == ':') return why_say(why, ERR_SYNTAX, "%s needs a value; see --help", word);
    if (c == '?') return why_say(why, ERR_SYNTAX, "%s is not an option here; see --help", word);
    int which = c == 'h' ? OPTION_HELP : c - OPTION_BASE;
    enum err err = take_option(settings, options, which, optarg, why);
    if (err != OK) return err;
  }
  if (optind < argc)
    return why_say(why, ERR_SYNTAX, "'%s' is not an option; see --help", argv[optind]);
  return OK;
}

enum err config_load(struct settings *settings, struct options *options, int argc,
                     char *const argv[], struct why *why) {
  settings_init(settings);
  enum err err = config_options(settings, options, argc, argv, why);
  if (err != OK || options->version || options->help) return err;
  if (options->config != NULL) err = config_read(settings, options->config, why);
  return err == OK ? settings_finish(settings, why) : err;
}

static void help_setting(FILE *to, enum setting setting) {
  const struct setting_info *info = setting_info(setting);
  char left[80];
  snprintf(left, sizeof left, "--%s%s%s%s", info->name, *info->value != '\0' ? " " : "",
           info->value, info->kind == SETTING_LIST ? "..." : "");
  fprintf(to, "  %-36s %s\n", left, info->text);
}

void config_help(FILE *to) {
  fputs(
      "usage: locserd [OPTION]...\n"
      "A peer: SIP registrar, proxy and part of a ring. Without options: a new ring on this\n"
      "machine, listening on 127.0.0.1:5060, UDP and TCP.\n\n",
      to);
  for (unsigned i = 0; i < SET_PEER_TRANSPORT; i++) help_setting(to, (enum setting)i);
  fputs("\n", to);
  fprintf(to, "  %-36s %s\n", "--config FILE", "read settings from FILE; options win");
  fprintf(to, "  %-36s %s\n", "--check-config", "say whether the settings are good, and exit");
  fprintf(to, "  %-36s %s\n", "--version", "print the version and exit");
  fprintf(to, "  %-36s %s\n\n", "--help", "print this and exit");
  fputs("Timers and limits:\n", to);
  for (unsigned i = SET_PEER_TRANSPORT; i < SETTING_COUNT; i++) help_setting(to, (enum setting)i);
}
