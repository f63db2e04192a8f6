/* SPDX-License-Identifier: BSD-2-Clause */
/* Immutable values: a record whose key is the hash of its value,
 * in one layout; and the manifest that lists the fragments of what is larger than one value. Slices
 * borrow from what was read. Nothing here allocates. */
#ifndef BASE_IMMUTABLE_H
#define BASE_IMMUTABLE_H

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/slice.h"

#define IMMUTABLE_SCHEME "immut:"
#define IMMUTABLE_HASH_BYTES 32u   /* SHA-256 */
#define IMMUTABLE_KEY_BYTES 70u    /* the scheme and 64 digits */
#define IMMUTABLE_BYTES_MAX 12000u /* of one value: in base64 it fits */
#define IMMUTABLE_TOTAL_MAX 1048576u
#define IMMUTABLE_FRAGMENTS_MAX 88u /* of the largest total */

/* ---- one record ---- */

struct immutable_layout {
  struct slice key_text; /* "immut:" and 64 digits in lower case */
  struct slice expires;  /* text of the attribute; not looked at */
  struct slice content;  /* of the value element */
  struct slice base64;   /* in it: 1 to IMMUTABLE_BYTES_MAX bytes; its digits are not looked at */
};
/* Cuts a whole record. ERR_SYNTAX: not in the layout of, ERR_LIMIT: the value is too large;
 * *why, a static phrase, names what is wrong. */
enum err immutable_layout_read(struct slice record, struct immutable_layout *out,
                               const char **why) MUST_USE;
/* key_text as immutable_put_key writes it; value of 1 to IMMUTABLE_BYTES_MAX bytes. */
void immutable_layout_put(struct buf *out, struct slice key_text, struct slice expires,
                          struct slice value);
void immutable_put_key(struct buf *out, const struct crypto *crypto, struct slice value);
/* Is the text of a key one of an immutable value, by its scheme? */
static inline bool immutable_is_key(struct slice key_text) {
  return slice_starts_nocase(slice_trim(key_text), SLICE(IMMUTABLE_SCHEME));
}
/* Does the record begin as that layout does? */
bool immutable_is_record(struct slice record);
/* OK: the record is in the layout, and its key is the hash of its value. ERR_REFUSED: not so; *why
 * is a static phrase. */
enum err immutable_verify(const struct crypto *crypto, struct slice record,
                          const char **why) MUST_USE;

/* ---- fragments ---- */

/* A value that has to be cut: too large for one record, or begins as a manifest does. */
static inline bool immutable_needs_fragments(struct slice value) {
  return value.len > IMMUTABLE_BYTES_MAX || (value.len > 0 && value.at[0] == '\0');
}
static inline bool immutable_is_manifest(struct slice value) {
  return value.len > 0 && value.at[0] == '\0';
}
/* Fragment i of a value; empty beyond the last. */
struct slice immutable_fragment(struct slice value, unsigned i);

struct immutable_manifest {
  size_t total;
  unsigned count;
  struct slice keys; /* count times a NUL byte and IMMUTABLE_KEY_BYTES */
};
/* ERR_SYNTAX, ERR_LIMIT: *why, a static phrase, says what is wrong. */
enum err immutable_manifest_read(struct slice value, struct immutable_manifest *out,
                                 const char **why) MUST_USE;
/* i < count */
struct slice immutable_manifest_key(const struct immutable_manifest *manifest, unsigned i);
/* How many bytes fragment i has. */
size_t immutable_manifest_size(const struct immutable_manifest *manifest, unsigned i);
/* Writing: first the total, then the key of each fragment in turn. */
void immutable_manifest_put(struct buf *out, size_t total);
void immutable_manifest_put_key(struct buf *out, struct slice key_text);

#endif
