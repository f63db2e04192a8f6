/* SPDX-License-Identifier: BSD-2-Clause */
/* A cheap model of signing, for worlds in which the price of real signatures would be paid a
 * million times: records of the real layout, in which SignatureValue is an HMAC of key
 * and value with a secret that peers, liars among them, do not know. Deterministic. */
#ifndef SIM_RECORD_MODEL_H
#define SIM_RECORD_MODEL_H

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"

/* As record_sign (crypto/record_sign.h), for that owner. ERR_SYNTAX: not in the layout. ERR_FULL:
 * no room in out. */
enum err record_model_sign(const struct crypto *crypto, const struct key *owner,
                           struct slice record, struct buf *out) MUST_USE;
/* As record_verify: OK, or ERR_REFUSED with *why. */
enum err record_model_verify(const struct crypto *crypto, struct slice record,
                             const char **why) MUST_USE;

#endif
