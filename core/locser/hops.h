/* SPDX-License-Identifier: BSD-2-Clause */
/* LOCSER requests on their way: those forwarded for others and those this peer sent itself, each
 * waiting for the answer of the next hop. An entry is small (HOP_BYTES_MAX), found by the handle
 * inside the branch we gave it, and lives until the final answer or its deadline (R-2.x); it is
 * not a Timer J transaction, because every LOCSER method is idempotent. When the table is full the
 * request is refused with 503. */
#ifndef LOCSER_HOPS_H
#define LOCSER_HOPS_H

#include "base/hash.h"
#include "base/key.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/timers.h"
#include "sip/message.h"

#define HOP_BYTES_MAX 128u
#define HOP_COPY_BYTES 2032u /* longer requests are forwarded, but not retried */
#define HOP_SHORT_BYTES 992u /* nearly all are not longer */
#define HOP_TRIES_MAX 3u     /* the first and two retries (R-2.x) */

enum hop_kind {
  HOP_FORWARD, /* for another peer or client; user: unused */
  HOP_ERRAND,  /* routed, our own; user: the errand */
  HOP_CALL,    /* direct, our own; user: whose call it is */
};
struct hop {
  struct timer timer;
  usec sent_at;
  usec deadline;
  uint64_t user;
  uint64_t came_by;   /* forwarded from UDP: hash of the upstream branch; else 0 */
  struct handle link; /* the peer it was sent to */
  struct handle copy; /* the request as it came, until the next hop has taken it over */
  uint32_t flow;      /* upstream flow of a forwarded request */
  uint32_t loop_tag;
  uint32_t tried; /* link index of the try before */
  uint8_t kind;   /* enum hop_kind */
  uint8_t tries;
  uint8_t copy_size;   /* enum hop_copy_size */
  bool taken_over : 1; /* 100 seen: the next hop retries, not we */
  bool given_up : 1;   /* our own: another try is under way beside it; its answer is welcome */
  bool resent : 1;     /* UDP: sent twice to the same hop */
  bool final : 1;      /* sent to the peer believed responsible: its 503 is not tried elsewhere */
  bool held : 1;       /* it was silent, and is waited for as long as a probe of it takes */
  bool ours : 1; /* it came as final: if the nearer predecessor is silent, this peer executes it */
  uint16_t source;     /* forwarded: whose share of the table it is in; the node's */
  uint16_t answer_max; /* forwarded: bytes of the answer; 0: as many as it takes */
};
struct hop_copy {
  uint32_t len;
  struct endpoint from; /* whom it came from */
  char bytes[];
};
enum hop_copy_size { HOP_COPY_SHORT, HOP_COPY_LONG, HOP_COPY_SIZES };

struct hops {
  struct pool pool;
  struct pool copies[HOP_COPY_SIZES];
  uint32_t copies_max;    /* of both */
  struct map by_upstream; /* forwarded from UDP: to absorb retransmissions */
  struct timers timers;
  struct hash_key hash;
};

void hops_init(struct hops *hops, const struct memory *memory, struct hash_key hash,
               uint32_t hops_max, uint32_t copies_max);
void hops_free(struct hops *hops);
/* Gives back what was not needed since the last time (pool_trim). */
void hops_trim(struct hops *hops);
/* A cleared entry with its timer's owner set; NULL when full. */
struct hop *hop_open(struct hops *hops, enum hop_kind kind);
/* Releases the entry, its copy and its timer. */
void hop_close(struct hops *hops, struct hop *hop);
/* Keeps the request, as it came from `from`, for a retry; silently does without when it is long or
 * all copies are taken. */
void hop_keep_copy(struct hops *hops, struct hop *hop, struct slice message,
                   const struct endpoint *from);
const struct hop_copy *hop_copy_of(const struct hops *hops, const struct hop *hop);
void hop_drop_copy(struct hops *hops, struct hop *hop);

/* Branch of the try under way: magic cookie, loop tag, handle, number of the try. */
void hop_put_branch(struct buf *out, const struct hop *hop);
/* The entry a branch of ours names, or NULL. *current (may be NULL): it names the try under way,
 * not one given up before. */
struct hop *hop_of_branch(const struct hops *hops, struct slice branch, bool *current);
/* What a request carries through every peer unchanged: key and Call-ID. */
uint32_t hop_loop_tag(const struct hops *hops, const struct key *key, struct slice call_id);
/* Does a Via of the request, other than the topmost's sender, show that it went through this peer
 * already? (branch with our tag and our sent-by) */
bool hop_is_loop(const struct hops *hops, const struct sip_message *request,
                 const struct endpoint *self, uint32_t loop_tag);

/* Who sent the request, and by which branch, in 64 bits; never 0. */
uint64_t hop_upstream(const struct hops *hops, const struct sip_message *request);
/* Retransmissions over UDP: the entry that forwards this request already, or NULL. */
struct hop *hop_of_upstream(const struct hops *hops, uint64_t upstream);
/* ERR_MEMORY: retransmissions will not be recognised; harmless. */
enum err hop_note_upstream(struct hops *hops, struct hop *hop, uint64_t upstream) MUST_USE;

#endif
