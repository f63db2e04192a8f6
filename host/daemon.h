/* SPDX-License-Identifier: BSD-2-Clause */
/* locserd from the end of its command line to its exit: one peer, its carriers, its signals. */
#ifndef HOST_DAEMON_H
#define HOST_DAEMON_H

#include "host/config.h"
#include "host/loop.h"
#include "host/tls.h"

#define DAEMON_LEAVE_MS 10000 /* to hand records over; then it exits all the same */
#define DAEMON_DRAIN_MS 1000  /* to write what is left */

struct daemon_setup {
  struct settings *settings; /* settled; replaced by a reload */
  int argc;                  /* the command line, to read it again on SIGHUP */
  char *const *argv;
  const char *version;
  struct key peer_id;
  const struct crypto *crypto;
  struct tls_setup tls; /* key, certificate, trusted: lent by crypto/ */
  struct loop_keys keys;
  bool closed; /* the overlay has a CA */
  /* What a reload reads again beside the settings; false: *why says why not. NULL: nothing. */
  bool (*renew)(void *context, struct why *why);
  void *renew_context;
  /* Who has a password, read anew each time; forget wipes what read gave. NULL: nobody. */
  bool (*read_users)(void *context, const struct user_secret **user, uint32_t *count,
                     struct why *why);
  void (*forget_users)(void *context);
};

/* Runs until a signal or `locser leave`. Returns the exit status; the reason of a 1 is on standard
 * error. */
int daemon_run(const struct daemon_setup *setup);

#endif
