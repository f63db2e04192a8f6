/* SPDX-License-Identifier: BSD-2-Clause */
/* sd_notify without its library: one datagram to $NOTIFY_SOCKET, if a supervisor set it. */
#ifndef HOST_NOTIFY_H
#define HOST_NOTIFY_H

void notify(const char *state); /* "READY=1" */

#endif
