/* SPDX-License-Identifier: BSD-2-Clause */
/* What a store knows of a record without reading it. A record is the exact bytes of one
 * self-contained dhtRecord, stored, copied and returned unchanged. */
#ifndef BASE_RECORD_H
#define BASE_RECORD_H

#include "base/key.h"
#include "base/slice.h"
#include "base/usec.h"

struct record {
  struct key key;     /* SHA-1 of the canonical text of <key> */
  struct key owner;   /* SHA-1 of the owner's SubjectPublicKeyInfo */
  struct key nonce;   /* SHA-1 of the nonce token; with key and owner: the identity */
  uint64_t version;   /* higher wins */
  msec_wall floor;    /* latest expiry ever signed for this identity; a tombstone lives so long */
  msec_wall expires;  /* of this version */
  bool tombstone;     /* this version removes */
  bool lasting;       /* may live for 90 days */
  struct key digest;  /* first 20 bytes of SHA-256 over bytes: the last tie-break */
  struct slice bytes; /* the dhtRecord; borrowed */
};

/* The identity of a record, which is also its place in a store: in the order of keys, owners,
 * nonces. Reading goes on after a place, so a page may end in the middle of a key. */
struct record_id {
  struct key key, owner, nonce;
};

/* An immutable value has no owner; no key hashes to zero. */
static inline bool record_is_immutable(const struct record *r) { return key_is_zero(&r->owner); }
static inline struct record_id record_id_of(const struct record *r) {
  return (struct record_id){r->key, r->owner, r->nonce};
}
/* <0, 0, >0. */
static inline int record_id_compare(const struct record_id *a, const struct record_id *b) {
  return memcmp(a, b, sizeof *a);
}

#endif
