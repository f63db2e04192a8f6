/* SPDX-License-Identifier: BSD-2-Clause */
/* `locser invite` and `locser join`: how a new peer becomes a member of a closed overlay
 * . Return the exit status. */
#ifndef CMD_INVITE_H
#define CMD_INVITE_H

int cmd_invite(int argc, char *const argv[]);
int cmd_join(int argc, char *const argv[]);

#endif
