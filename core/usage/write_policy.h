/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may write what: the one function for the one table of docs/spec/6-trust.md (R-4.16, R-6.8,
 * Pure: what a certificate is worth, and what is pinned, the caller has found
 * out. That the record is signed by this signer is not asked here (crypto/record_verify.h). */
#ifndef USAGE_WRITE_POLICY_H
#define USAGE_WRITE_POLICY_H

#include "base/key.h"
#include "base/slice.h"
#include "base/usec.h"

enum write_mode {
  WRITE_LABORATORY, /* any key under any text; only its own records */
  WRITE_CLOSED,     /* the overlay has a CA */
  WRITE_OPEN,       /* it has none: the first key of an address stays its key */
};

#define WRITE_NAMES_MAX 8u
struct write_signer {
  struct key key;                      /* SHA-1 of the SubjectPublicKeyInfo */
  bool issued;                         /* by the overlay's CA, in force, not revoked */
  struct slice names[WRITE_NAMES_MAX]; /* that it was issued for: "bob@example.net" in canonical
                                          form, or a domain in lower case */
  unsigned name_count;
};

/* The `certificate:` record of the address, as far as it is known. */
enum write_pin_state { WRITE_PIN_NONE, WRITE_PIN_KNOWN, WRITE_PIN_UNREACHABLE };
struct write_pin {
  enum write_pin_state state;
  struct key key;
  msec_wall since;
  struct key before; /* the key that named this one as its successor; zero: none */
  msec_wall named;   /* when it did */
};

struct write_request {
  struct slice key_text; /* canonical */
  struct key owner;      /* of the record */
  bool removal;
  msec_wall since;   /* signed in a `certificate:` record: when this key was made; else 0 */
  struct key before; /* such a record: as in struct write_pin */
  msec_wall named;
};

enum write_verdict {
  WRITE_ALLOWED,
  WRITE_REFUSED, /* 403 */
  WRITE_UNSURE,  /* 503: the pin cannot be reached */
};

/* For people. */
#define WRITE_OTHER_KEY                                                                       \
  "another key is pinned for this address: register where its key is, or have it granted to " \
  "this peer there (locser user grant)"

/* The address that a key text is about, whose pin an open overlay asks for: "bob@example.net".
 * Empty: none, and no pin is asked for. */
struct slice write_address(enum write_mode mode, struct slice key_text);

/* Must the pin be known to judge this? Where not, write_judge does not look at it. */
bool write_needs_pin(enum write_mode mode, const struct write_request *request,
                     const struct write_signer *signer);
/* Is this key where an address's key is pinned: "certificate:...", in an open overlay, of an
 * address that needs a pin? */
bool write_is_pin(enum write_mode mode, struct slice key_text);

/* Of two pins of one address that have met: does a win? The one that the other named as its
 * successor; of two that one key named, the one named first; else the earlier since, then
 * the one named later, then the smaller key hash. A put never gets so far: it is refused
 * where another key is pinned, unless that one named it, or whoever sees a pin could write an
 * earlier one. */
bool write_pin_wins(const struct write_pin *a, const struct write_pin *b);

/* *why, a static phrase for people, is set unless WRITE_ALLOWED. */
enum write_verdict write_judge(enum write_mode mode, const struct write_request *request,
                               const struct write_signer *signer, const struct write_pin *pin,
                               msec_wall now, const char **why);

/* A copy that another peer sends: some peer took it as a write. It is refused where what
 * is known here refuses it; where the pin is not known, it is taken, but for the removal of another
 * owner's record. Of two pins that meet, the one that wins is taken. pin: for `certificate:` the
 * winner of those held here, else of what is remembered. */
enum write_verdict write_judge_copy(enum write_mode mode, const struct write_request *request,
                                    const struct write_signer *signer, const struct write_pin *pin,
                                    msec_wall now, const char **why);

#endif
