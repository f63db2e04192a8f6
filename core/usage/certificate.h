/* SPDX-License-Identifier: BSD-2-Clause */
/* TIER 2, users' certificates: the record under `certificate:bob@example.net` says which key the
 * address has, since when, and how to encrypt to it. In an open overlay it pins the key.
 * Pure, and of one layout, so that reading it needs no parser. */
#ifndef USAGE_CERTIFICATE_H
#define USAGE_CERTIFICATE_H

#include "base/buf.h"
#include "base/key.h"
#include "base/slice.h"
#include "base/usec.h"

#define CERTIFICATE_LIFE_MS ((msec_wall)80 * 24 * 3600 * 1000) /* allows 90 days */

/* "certificate:bob@example.net" for "sip:bob@example.net" or "bob@example.net". */
void certificate_put_key(struct buf *out, struct slice address);

struct certificate_new {
  struct slice address;
  uint64_t version;
  msec_wall since, expires;
  struct slice signs, receives; /* certificates in DER; `receives` may be empty: not made yet */
  struct slice before;          /* the statement of the key before it, or empty */
};
/* An unsigned record. */
void certificate_put_record(struct buf *out, const struct certificate_new *record);

struct certificate_value {
  msec_wall since;
  struct slice signs, receives; /* base64; `receives` may be empty */
  struct slice before;          /* base64 of a statement; may be empty */
};
/* Of the bytes between the tags of <value>. False: not in the layout of; *out is empty. */
bool certificate_read_value(struct slice value, struct certificate_value *out);

/* The key that named `owner` as its successor, by a statement that a verified record of that key
 * text carries, and when. False: none, or it has lapsed. key_text: escaped. */
bool certificate_read_before(struct slice before, struct slice key_text, const struct key *owner,
                             msec_wall now, struct key *from, msec_wall *named);

#endif
