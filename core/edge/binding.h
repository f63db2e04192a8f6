/* SPDX-License-Identifier: BSD-2-Clause */
/* Bindings of the phones whose home this peer is, in order of Address-of-Record. A binding owns
 * one block that all its texts lie in. While a REGISTER waits for the overlay, a new binding stands
 * beside the one it will replace, so that all or nothing can be kept. */
#ifndef EDGE_BINDING_H
#define EDGE_BINDING_H

#include "base/contact.h"
#include "base/endpoint.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/timers.h"

enum binding_state {
  BINDING_LIVE,
  BINDING_PUT,      /* new: its record is on the way, it counts when the REGISTER succeeds */
  BINDING_REPLACED, /* a BINDING_PUT of the same name will take its place */
  BINDING_KEPT,     /* will be refreshed, its record stays */
  BINDING_REMOVED,  /* the removal of its record is on the way */
};

struct binding {
  struct slice text; /* the owned block */
  struct slice aor, call_id;
  struct contact contact; /* as in the record: own Path included, expires as of the last put */
  uint32_t cseq;
  uint32_t flow;          /* 0: UDP */
  struct endpoint source; /* where the REGISTER came from */
  bool by_address;        /* it is found by `source` (bindings_of_address) */
  uint32_t granted_s;
  usec expires_at;
  usec record_at;     /* when the record was put */
  usec record_until;  /* when it lapses in the overlay */
  struct timer timer; /* set while BINDING_LIVE */
  enum binding_state state;
  struct handle registration; /* the REGISTER under way, unless BINDING_LIVE */
  uint32_t granted_next_s;    /* BINDING_KEPT: granted by that REGISTER */
  bool acknowledged;          /* BINDING_PUT, BINDING_REMOVED: the overlay answered */
  bool closed;                /* its stream flow ended */
  bool straight;              /* its phone sends to this peer, not through another proxy */
  bool vouches;               /* the user's password was shown: for */
};

struct bindings {
  const struct memory *memory;
  struct pool pool;
  struct map flows; /* hash of a flow or of an address -> pool index */
  struct hash_key hash;
  uint32_t *order; /* pool indexes by (aor, time of entry) */
  uint32_t count, capacity;
};

void bindings_init(struct bindings *table, const struct memory *memory, struct hash_key hash,
                   uint32_t limit);
void bindings_free(struct bindings *table);
/* Copies the texts of aor, contact and call_id; everything else is left for the caller. ERR_FULL:
 * the limit is reached; ERR_MEMORY. */
enum err bindings_add(struct bindings *table, struct slice aor, const struct contact *contact,
                      struct slice call_id, uint32_t flow, struct binding **out) MUST_USE;
/* The Call-ID of the last REGISTER that refreshed the binding. ERR_MEMORY changes nothing. */
enum err binding_set_call_id(struct bindings *table, struct binding *binding,
                             struct slice call_id) MUST_USE;
/* The caller has cleared its timer. */
void bindings_remove(struct bindings *table, struct binding *binding);
struct binding *bindings_at(const struct bindings *table, struct handle handle);
struct handle bindings_handle(const struct bindings *table, const struct binding *binding);

/* Bindings of one address: *at counts from bindings_start; NULL at the end. */
uint32_t bindings_start(const struct bindings *table, struct slice aor);
struct binding *bindings_next(const struct bindings *table, struct slice aor, uint32_t *at);
/* All, in order: *at from 0. */
struct binding *bindings_each(const struct bindings *table, uint32_t *at);
/* Some binding of that flow, or NULL. `flow` 0 finds nothing. */
struct binding *bindings_of_flow(const struct bindings *table, uint32_t flow);
/* The binding is reached at this UDP address, and there alone: it is found by it from now on.
 * ERR_MEMORY. */
enum err binding_join_address(struct bindings *table, struct binding *binding,
                              const struct endpoint *source) MUST_USE;
/* Some binding that joined that address, or NULL. */
struct binding *bindings_of_address(const struct bindings *table, const struct endpoint *at);
uint64_t binding_address_hash(struct hash_key hash, const struct endpoint *at);
/* The flow or the address is gone: the binding is no longer found by it. */
void binding_leave_flow(struct bindings *table, struct binding *binding);

/* Do these name the same binding of one address? By +sip.instance and reg-id where both have both
 * (RFC 5626 section 6), else by the rules for URIs (RFC 3261 section 19.1.4). */
bool contact_same_binding(const struct contact *a, const struct contact *b);
/* Would a record of the one be the record of the other, but for its times? */
bool contact_same_record(const struct contact *a, const struct contact *b);

#endif
