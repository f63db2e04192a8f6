/* SPDX-License-Identifier: BSD-2-Clause */
/* The other end of host/control.h: asks a running locserd and prints its answers. */
#ifndef HOST_CLIENT_H
#define HOST_CLIENT_H

#include <jansson.h>

#include "host/why.h"

#define CLIENT_WAIT_S 30 /* for one answer; longer than any deadline of the peer */

struct client_link; /* a connection; client.c */

/* path NULL: $LOCSER_CONTROL, else the control socket in the default data folder. NULL: nobody
 * answers there; *why says what to do. */
struct client_link *client_open(const char *path, struct why *why);
void client_close(struct client_link *link);
/* Sends one request (params is stolen, may be NULL) and waits for its answer. A new reference to
 * the result, or NULL: *status is then the error's code (0: the connection broke). */
json_t *client_call(struct client_link *link, const char *method, json_t *params, int *status,
                    struct why *why);
/* The params of the next notification; NULL: the connection ended. Waits for ever. */
json_t *client_next(struct client_link *link);

#endif
