/* SPDX-License-Identifier: BSD-2-Clause */
/* What simulated phones say. */
#ifndef SIM_PHONE_H
#define SIM_PHONE_H

#include "base/slice.h"

/* An answer to that request, for instance with "200 OK". Returns its length; a line for which there
 * is no room is left out. room: 64 bytes more than the status line at least. */
size_t phone_put_answer(char *out, size_t room, struct slice request, const char *status);

#endif
