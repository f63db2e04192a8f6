/* SPDX-License-Identifier: BSD-2-Clause */
/* Verifies signed records by xmlsec, and remembers which it has found
 * good, so that a record that is read again and again is verified once. Safe in several threads:
 * it runs on those of the pool. */
#ifndef CRYPTO_RECORD_VERIFY_H
#define CRYPTO_RECORD_VERIFY_H

#include <openssl/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct record_verifier;

/* remembered: records found good that it keeps at most, a power of two from 4; the oldest of a
 * set of four gives way. Their certificates' keys are kept beside, a sixteenth as many. policy:
 * whatever beside the record decides (trusted CAs, revocations); it is part of what is remembered.
 * NULL: no memory. */
struct record_verifier *record_verifier_new(unsigned remembered, struct slice policy);
void record_verifier_free(struct record_verifier *verifier);

/* OK: the record is an immutable value under the hash of its value, or it is in the layout
 * of, its key and value bytes are signed by the key whose
 * certificate it carries, and o:owner is that key's hash. ERR_REFUSED: not so; *why is a static
 * phrase. ERR_MEMORY: cannot say. Bounded by the length of a record. */
enum err record_verify(struct record_verifier *verifier, struct slice record,
                       const char **why) MUST_USE;

/* The overlay is closed: what a signer may do is asked of this CA (crypto/rights.h), which must
 * live as long as the verifier. Called again, with it or another, when the CA took something back.
 */
void record_verifier_trust(struct record_verifier *verifier, X509_STORE *trusted);

/* Answers OUT_VERIFY: context is the struct record_verifier. In a closed overlay *issued says
 * whether the signer's certificate is the CA's and in force now, and names gets what it is for
 * (room: RIGHTS_NAMES_BYTES). */
enum err record_verify_for(void *context, struct slice record, struct buf *names, bool *issued,
                           const char **why) MUST_USE;

/* The same from memory alone, without waiting: true, and as OK above, if the record was found good
 * before and, in a closed overlay, its signer's certificate was judged since the CA last took
 * something back. False: says nothing; ask record_verify_for. Costs a hash or two. */
bool record_recall_for(void *context, struct slice record, struct buf *names,
                       bool *issued) MUST_USE;

struct record_verifier_stats {
  uint64_t verified, remembered, refused;
};
struct record_verifier_stats record_verifier_stats(struct record_verifier *verifier);

#endif
