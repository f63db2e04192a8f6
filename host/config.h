/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ways a setting comes in: the configuration file (libconfuse) and the command line. */
#ifndef HOST_CONFIG_H
#define HOST_CONFIG_H

#include "host/settings.h"

/* Reads a file. On an error *why says file, line, option and what it must be; what was read
 * before stays in `settings`. */
enum err config_read(struct settings *settings, const char *path, struct why *why) MUST_USE;

struct options {
  const char *config; /* --config, borrowed from argv; NULL: none */
  bool check_config, version, help;
};
/* Command line. An error's text starts with the option's name. */
enum err config_options(struct settings *settings, struct options *options, int argc,
                        char *const argv[], struct why *why) MUST_USE;
/* Defaults, then the file named by --config, then the command line, then settings_finish. */
enum err config_load(struct settings *settings, struct options *options, int argc,
                     char *const argv[], struct why *why) MUST_USE;
/* The text of --help. */
void config_help(FILE *to);

#endif
