/* SPDX-License-Identifier: BSD-2-Clause */
/* From the settings listen, advertise and join to sockets and addresses. */
#ifndef HOST_LISTEN_H
#define HOST_LISTEN_H

#include "host/loop.h"

/* Binds every socket and fills in listen, advertise and join of `config`. */
enum err listen_all(const struct settings *settings, struct udp *udp, struct tcp *tcp,
                    struct node_config *config, struct why *why) MUST_USE;

#endif
