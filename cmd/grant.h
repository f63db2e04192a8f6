/* SPDX-License-Identifier: BSD-2-Clause */
/* `locser user grant`, `revoke` and `granted`: which peers may act for a user (R-6.9, R-6.47,
 * The
 * running locserd fetches and stores; keys are read and sealed here, and never go through its
 * control socket. Returns the exit status. */
#ifndef CMD_GRANT_H
#define CMD_GRANT_H

#include "crypto/user_keys.h"

enum grant_verb { GRANT_ADD, GRANT_REVOKE, GRANT_LIST };

/* control: path, or NULL. address: "sip:bob@example.net". peer: a Peer-ID, but for GRANT_LIST. */
int grant_run(enum grant_verb verb, const char *control, struct user_keys *keys,
              struct slice address, const char *peer);

#endif
