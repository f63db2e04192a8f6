/* SPDX-License-Identifier: BSD-2-Clause */
/* The peers that were known when the process last ran, in DIR/peers, an address a line, so that no
 * one address is needed to come back. Losing the file costs nothing but that. */
#ifndef HOST_REMEMBER_H
#define HOST_REMEMBER_H

#include "base/endpoint.h"
#include "node/node.h"

/* Appends remembered addresses to join[count..max); returns the new count. No file: nothing. */
unsigned remember_load(const char *data, struct endpoint *join, unsigned count, unsigned max);
/* Writes the peers that `node` knows; with none the file stays as it is. */
void remember_save(const char *data, const struct node *node);

#endif
