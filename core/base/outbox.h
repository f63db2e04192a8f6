/* SPDX-License-Identifier: BSD-2-Clause */
/* Outputs of a step, as ordered data. The outbox belongs to the thread: many steps of many nodes
 * may append before the host flushes and resets it. Before each step it must have room for
 * OUTBOX_STEP_ITEMS and OUTBOX_STEP_BYTES (outbox_ready); a step never needs more. */
#ifndef BASE_OUTBOX_H
#define BASE_OUTBOX_H

#include "base/buf.h"
#include "base/dns.h"
#include "base/endpoint.h"
#include "base/err.h"
#include "base/record.h"
#include "base/trace.h"

enum output_kind {
  OUT_SEND,   /* data = one whole message. flow != 0: on that flow; else by peer's transport and
                 address, over a kept link that is opened if needed. expect: over TLS, the Peer-ID
                 that the other end must have proven, or nothing is sent; all zero: anybody. ticket:
                 comes back in an IN_FLOW if a stream cannot deliver it */
  OUT_CLOSE,  /* flow: close it */
  OUT_STORE,  /* record: write it to the journal; answered by IN_STORED with ticket */
  OUT_ERASE,  /* record (key, owner, nonce): forget it in the journal; not answered */
  OUT_SIGN,   /* data = record without owner and Signature (base/record_layout.h), text =
                 Address-of-Record; answered by IN_SIGNED */
  OUT_VERIFY, /* data = record bytes; answered by IN_VERIFIED */
  OUT_USER,   /* text = Address-of-Record: whose key signs for it, and its certificates; answered by
                 IN_USER */
  OUT_OPEN, /* data = a value under `private:`, text = Address-of-Record, record.owner = who signed
               it: the host takes the user's keys in it, if they are for this peer; answered by
               IN_OPENED */
  OUT_SEAL, /* data = what to seal, 1 to 16384 bytes, text = for whom (base/recipients.h);
               answered by IN_SEALED */
  OUT_UNSEAL,  /* data = a sealed text, text = Address-of-Record whose second key opens it; answered
                  by IN_UNSEALED */
  OUT_RESOLVE, /* text = a domain name, resolve: what is wanted of it; answered by IN_RESOLVED */
  OUT_REPLY,   /* reply: the answer to an IN_COMMAND with the same ticket */
  OUT_TRACE,   /* trace */
};

struct node_reply; /* node/node.h */

struct output {
  enum output_kind kind;
  uint32_t flow;
  uint64_t ticket;
  struct endpoint peer;
  struct slice data; /* in the outbox's bytes */
  struct slice text;
  union {
    struct record
        record;         /* OUT_STORE, OUT_ERASE, OUT_OPEN (owner); bytes live until the next step */
    struct trace trace; /* OUT_TRACE */
    const struct node_reply *reply; /* OUT_REPLY, in the outbox's bytes */
    struct key expect;              /* OUT_SEND */
    enum dns_type resolve;          /* OUT_RESOLVE */
  };
};

#define OUTBOX_STEP_ITEMS 256
#define OUTBOX_STEP_BYTES ((size_t)512 * 1024)

struct outbox {
  struct output *item;
  uint32_t count, limit;
  struct buf bytes;
  uint64_t trace_mask; /* bit per trace_kind: which are wanted */
};

void outbox_init(struct outbox *box, struct output *items, uint32_t limit, void *bytes, size_t cap);
void outbox_reset(struct outbox *box);
/* Room for one more step? */
bool outbox_ready(const struct outbox *box);
/* Room for at least `items` more outputs and `bytes` more bytes within this step? Long work asks
 * and goes on at the next step. */
bool outbox_has(const struct outbox *box, uint32_t items, size_t bytes);
/* Appends a cleared output; never NULL (ASSERTs that the step stayed in its bound). */
struct output *outbox_add(struct outbox *box, enum output_kind kind);
/* Copies bytes into the outbox. */
struct slice outbox_copy(struct outbox *box, struct slice data);
/* As outbox_copy, but bytes that lie in the outbox already are not copied again. */
struct slice outbox_keep(struct outbox *box, struct slice data);
/* Room for `bytes` bytes aligned for any type, cleared. */
void *outbox_take(struct outbox *box, size_t bytes);
/* Starts a text in the outbox's own bytes: append to box->bytes, then outbox_text(box, start)
 * gives what was appended since. */
static inline size_t outbox_mark(const struct outbox *box) { return box->bytes.len; }
struct slice outbox_text(const struct outbox *box, size_t mark);
/* Adds an OUT_TRACE if its kind is wanted; the slices are copied. */
void outbox_trace(struct outbox *box, const struct trace *trace);

#endif
