/* SPDX-License-Identifier: BSD-2-Clause */
/* locser user add, passwd, remove, list: the passwords of users. */
#ifndef CMD_PASSWORD_H
#define CMD_PASSWORD_H

#include "base/slice.h"
#include "crypto/passwords.h"

struct password_words {
  const char *data, *control; /* control NULL: in the data folder */
  const char *given;          /* on the command line; NULL: it is asked for */
  bool none;                  /* passwd: take it away */
  bool generate;              /* make one, and print it */
  const char *provision; /* it waits for this phone, in place of being printed (cmd/provision.h) */
};

/* Each returns an exit status and has said why. A running locserd is told. */
int password_set(const struct password_words *words, struct slice address,
                 enum password_change change);
/* *there: had it one? Only then is anything changed. */
int password_remove(const struct password_words *words, struct slice address, bool *there);

#endif
