/* SPDX-License-Identifier: BSD-2-Clause */
/* `locser put --immutable` and `locser get immut:HASH`: cuts a file into fragments and joins them
 * again. */
#ifndef HOST_CLI_IMMUTABLE_H
#define HOST_CLI_IMMUTABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/client.h"

/* path: - for standard input; at most IMMUTABLE_TOTAL_MAX bytes. seconds: 0: as locserd has it.
 * Prints the key to get it by. Returns an exit status of host/cli.h. */
int cli_put_immutable(struct client_link *link, const char *path, uint64_t seconds, bool json);
/* Writes the value to standard output once it is whole, and nothing else. */
int cli_get_immutable(struct client_link *link, const char *key, bool json);

#endif
