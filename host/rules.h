/* SPDX-License-Identifier: BSD-2-Clause */
/* What owners of addresses decided about their watchers: the file `watchers` of
 * the data folder, a line each, in the order in which it was said. */
#ifndef HOST_RULES_H
#define HOST_RULES_H

#include "host/loop.h"
#include "host/why.h"

#define RULES_BYTES_MAX ((size_t)8 << 20) /* of the file: more is refused */

/* Adds one; COMMAND_ALLOW, COMMAND_ASK or COMMAND_BLOCK. False: it could not be kept. */
bool rules_keep(const char *data, const struct node_command *command, struct why *why);
/* Says to the node what is in the file. A line that is damaged is passed over; false: the file
 * cannot be read. */
bool rules_say(const char *data, struct loop *loop, struct why *why);

#endif
