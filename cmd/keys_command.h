/* SPDX-License-Identifier: BSD-2-Clause */
/* `locser identity` and `locser ca`: they work on files, with or without a running locserd. */
#ifndef CMD_KEYS_COMMAND_H
#define CMD_KEYS_COMMAND_H

#include <stdbool.h>

/* Is the first word one of these? */
bool keys_command_is(const char *word);
/* argv[1] is "identity" or "ca". Returns the exit status (enum cli_exit). */
int keys_command(int argc, char *const argv[]);

#endif
