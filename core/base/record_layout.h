/* SPDX-License-Identifier: BSD-2-Clause */
/* The one layout of a signed dhtRecord: its bytes are a fixed text with holes, and the
 * parts that are signed are their own exclusive canonical form. Who signs, who verifies and who
 * acts on a record cut it here, at the same bytes; so no two parsers can disagree about what was
 * signed (docs/adr/0006-one-layout-of-signed-records.md). Nothing here computes a signature. */
#ifndef BASE_RECORD_LAYOUT_H
#define BASE_RECORD_LAYOUT_H

#include "base/err.h"
#include "base/key.h"
#include "base/slice.h"

#define RECORD_BYTES_MAX 20480u      /* */
#define RECORD_TAGS_MAX 240u         /* start and end tags: 120 elements */
#define RECORD_CERTIFICATE_MAX 2048u /* bytes of DER */
#define RECORD_SIGNATURE_MAX 512u    /* bytes: RSA of 4096 bits */
#define RECORD_SIGNATURE_ROOM 5120u  /* bytes that signing adds at most, owner included */
#define RECORD_DIGEST_BYTES 32u      /* SHA-256 */

enum record_algorithm { RECORD_ECDSA_SHA256, RECORD_RSA_SHA256 };

/* Slices into the record. Attribute and element texts are escaped, as they stand there. */
struct record_layout {
  struct slice key;      /* the key element, tags included: what the first reference digests */
  struct slice value;    /* the value element likewise: the second reference */
  struct slice both;     /* key and value, which follow each other */
  struct slice key_text; /* between the tags */
  struct slice content;
  struct slice expires, nonce, floor, version;
  bool removed;
  struct slice owner_text; /* 40 digits; empty: not signed yet */
  struct key owner;
  bool has_by;          /* a removal of another owner's record */
  struct slice by_text; /* as owner_text */
  struct key signer;    /* `by`, or the owner */
  enum record_algorithm algorithm;
  struct slice key_digest, value_digest, signature, certificate; /* base64 */
};

/* Cuts a whole signed record. ERR_LIMIT: too long, or too many tags. ERR_SYNTAX: not in the
 * layout; *why, a static phrase, names the first part that is not. */
enum err record_layout_read(struct slice record, struct record_layout *out,
                            const char **why) MUST_USE;
/* Cuts a record that is to be signed: it ends after value, and o:by, or else
 * o:owner, is empty. */
enum err record_layout_read_unsigned(struct slice record, struct record_layout *out,
                                     const char **why) MUST_USE;

/* ---- writing ---- */
struct record_layout_head {
  struct slice key_text; /* this and the next six: escaped already */
  struct slice expires, nonce, floor, version;
  bool removed;
  struct slice owner; /* 40 digits, or empty */
  bool has_by;
  struct slice by; /* likewise */
};
/* From <dhtRecord> to the tag that opens value. */
void record_layout_put_head(struct buf *out, const struct record_layout_head *head);
/* "</value></dhtRecord>" */
void record_layout_put_unsigned_end(struct buf *out);

struct record_layout_signature {
  enum record_algorithm algorithm;
  const uint8_t *key_digest, *value_digest; /* RECORD_DIGEST_BYTES each; NULL: left empty */
  struct slice signature, certificate;      /* bytes; a signature may be empty */
};
/* A record to be signed, with its signer (40 digits) and its signature put in. */
void record_layout_put_signed(struct buf *out, const struct record_layout *unsigned_record,
                              struct slice signer, const struct record_layout_signature *signature);

#endif
