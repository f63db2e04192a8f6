/* SPDX-License-Identifier: BSD-2-Clause */
/* A statement by which the key of an address names the key that follows it: a record in
 * the layout of, signed by the old key, which the new key's certificate record carries. Who
 * verifies and who acts on it cut it here. Nothing here verifies a signature. */
#ifndef BASE_SUCCESSION_H
#define BASE_SUCCESSION_H

#include "base/buf.h"
#include "base/key.h"
#include "base/record_layout.h"

#define SUCCESSION_BYTES_MAX 6144u /* of a statement */
#define SUCCESSION_SCHEME SLICE("certificate:")

/* Appends an unsigned statement, to be signed by the old key. key_text: "certificate:ADDRESS",
 * escaped already; until: a dateTime; version: as of any record. */
void succession_put_unsigned(struct buf *out, struct slice key_text, struct slice until,
                             uint64_t version, const struct key *next);

/* Appends the element that carries a signed statement at the end of a value. */
void succession_put(struct buf *out, struct slice statement);
/* That element's base64 at the end of a value; empty: there is none. */
struct slice succession_find(struct slice content);
/* Is `text` that element and nothing else? */
bool succession_is_all(struct slice text);

struct succession {
  struct key from, to; /* keys of owners */
  uint64_t version;    /* time of the statement in ms since 1970, times 256 */
  struct slice until;  /* dateTime, of the statement's bytes */
};
/* Decodes what succession_find found into `statement`, and reads it. False: it is not in the
 * layout, or not about key_text, as escaped as in the record that carries it. */
bool succession_read(struct slice base64, struct slice key_text, struct buf *statement,
                     struct succession *out);

#endif
