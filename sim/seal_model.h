/* SPDX-License-Identifier: BSD-2-Clause */
/* A cheap model of sealing, for worlds of many peers: a text of the size and shape of a
 * sealed one, from which the words cannot be read, though anybody who knows the model could.
 * Deterministic. A certificate of the model is the name itself. */
#ifndef SIM_SEAL_MODEL_H
#define SIM_SEAL_MODEL_H

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"

#define SEAL_MODEL_ROOM(plain, count) (1024u + (plain)*4u / 3u + (count)*1024u)

/* As seal_users_make (crypto/seal_users.h). */
enum err seal_model_make(const struct crypto *crypto, struct slice recipients, struct slice plain,
                         struct buf *out) MUST_USE;
/* As seal_open (crypto/seal.h): `name` stands for its key. */
enum err seal_model_open(const struct crypto *crypto, const struct key *name, struct slice sealed,
                         struct buf *plain) MUST_USE;

#endif
