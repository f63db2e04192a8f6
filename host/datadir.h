/* SPDX-License-Identifier: BSD-2-Clause */
/* The data folder: made if missing (0700), and locked while a locserd works in it. */
#ifndef HOST_DATADIR_H
#define HOST_DATADIR_H

#include "host/why.h"

/* *lock: a descriptor that holds the lock; close it at the end. ERR_EXISTS: another locserd works
 * there. */
enum err datadir_open(const char *path, int *lock, struct why *why) MUST_USE;

#endif
