/* SPDX-License-Identifier: BSD-2-Clause */
/* locser(1): one command to a running locserd, printed for people or as JSON. */
#ifndef HOST_CLI_H
#define HOST_CLI_H

enum cli_exit {
  CLI_DONE = 0,
  CLI_REFUSED = 1,   /* nothing found, or the peer said no */
  CLI_USAGE = 2,     /* error in the command line */
  CLI_NO_DAEMON = 3, /* nobody answers on the control socket */
};

/* Reads the command line, asks, prints; returns the exit status. */
int cli_run(int argc, char *const argv[], const char *version);

#endif
