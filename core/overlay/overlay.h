/* SPDX-License-Identifier: BSD-2-Clause */
/* TIER 0: key-based routing (Dabek et al. 2003), implemented by Chord as corrected by Zave. It
 * knows keys, peers and time; it knows nothing of SIP, XML or records. Nothing above knows Chord:
 * another DHT replaces the files of this folder behind this header.
 *
 * The overlay never sends: it appends calls to `struct overlay_calls`, which the binding turns
 * into LOCSER requests, and is told the answers. One call in, a bounded number of calls out. */
#ifndef OVERLAY_OVERLAY_H
#define OVERLAY_OVERLAY_H

#include "base/err.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "base/peer.h"
#include "base/rng.h"
#include "base/usec.h"

#define OVERLAY_SUCCESSORS_MAX 20u /* r of the paper's Table III; default 8 */
#define OVERLAY_MEMBERS_MAX 40u    /* 2r: below, every peer holds the full membership */
#define OVERLAY_REPLICAS_MAX 8u
#define OVERLAY_DENSITY_FACTOR 8u

/* ---- what peers say to each other ---- */
enum overlay_method {
  OVERLAY_JOIN,      /* to m with m < joiner < m's successor: may I come after you? */
  OVERLAY_LEAVE,     /* a member goes: sender, its predecessor and successors */
  OVERLAY_NEIGHBORS, /* state query */
  OVERLAY_NOTIFY,    /* the sender believes that it is your predecessor */
  OVERLAY_UPDATE,    /* subject joined or was lost: for finger tables (seed draft section 4) */
  OVERLAY_PING,      /* members alone answer OVERLAY_OK */
  OVERLAY_ROUTE,     /* routed by key: who is responsible? */
};
enum overlay_status {
  OVERLAY_OK,
  OVERLAY_BUSY,      /* 491: own stabilisation under way; ask again in 50-150 ms; counts as alive */
  OVERLAY_ELSEWHERE, /* join at a wrong place: subject names a better peer to ask */
  OVERLAY_NOT_JOINED, /* 503: not a member (yet, or any more); counts as dead for the ring */
  OVERLAY_NOT_ME,     /* 410: the address answers, but it is another peer */
  OVERLAY_FAILED,     /* no answer, connection refused, or any other refusal */
};
struct overlay_message {
  enum overlay_method method;
  struct peer sender;      /* answers: who answers */
  struct peer subject;     /* update: whom it is about; elsewhere: whom to ask; else none */
  bool lost;               /* update */
  struct peer predecessor; /* none: family 0 */
  unsigned successor_count;
  struct peer successor[OVERLAY_SUCCESSORS_MAX];
  unsigned member_count; /* small rings: full membership */
  struct peer member[OVERLAY_MEMBERS_MAX];
};

/* A call to be made. routed: by key, starting at `to` (a bootstrap address whose Peer-ID may be
 * unknown: all zero); else direct to `to`. */
struct overlay_call {
  uint32_t ticket; /* 0: no answer wanted */
  bool routed;
  bool final; /* routed: `to` is believed responsible */
  struct key key;
  struct peer to;
  struct overlay_message message;
};
#define OVERLAY_CALLS_MAX 48u /* of one step */
struct overlay_calls {
  unsigned count;
  struct overlay_call call[OVERLAY_CALLS_MAX];
};

/* ---- one peer's overlay ---- */
struct overlay_config {
  struct peer self;
  unsigned successors;  /* r, 2 to OVERLAY_SUCCESSORS_MAX */
  unsigned fingers_max; /* learnt peers beyond fingers: bytes budget / sizeof(struct peer) */
  bool strangers;       /* anybody may join: no network may fill the tables */
  usec stabilize_us;    /* period, jittered by 20 % */
  usec fingers_us;      /* period of finger repair */
  const struct memory *memory;
  const uint8_t *seed; /* 16 bytes */
};

struct overlay; /* private: overlay/chord.h */

struct overlay *overlay_new(const struct overlay_config *config); /* NULL: no memory */
void overlay_free(struct overlay *overlay);

/* First peer of a new ring: a member at once. */
void overlay_create(struct overlay *overlay, usec now, struct outbox *trace);
/* Join through these addresses (Peer-IDs unknown); retried with backoff and jitter for ever, all
 * addresses and every peer ever learnt in turn, never one host only. */
void overlay_join(struct overlay *overlay, usec now, const struct endpoint *bootstrap,
                  unsigned count, struct overlay_calls *calls);
/* For simulators: a member of a ring that is there already, as after a perfect join and a calm
 * while: predecessor, successors and fingers are right. ring: all members with Peer-IDs growing,
 * more than 2r; ring[at] is this peer. bootstrap: an address to look for the ring by. False: no
 * memory. */
bool overlay_place(struct overlay *overlay, usec now, const struct peer *ring, uint32_t count,
                   uint32_t at, const struct endpoint *bootstrap) MUST_USE;
/* Leave: tells predecessor and successors; no member afterwards. Hand-over comes first: the node
 * calls this when the records are safe. */
void overlay_leave(struct overlay *overlay, usec now, struct overlay_calls *calls,
                   struct outbox *trace);

/* In every function `trace` may be NULL: then nothing is traced.
 * A request arrived. Fills *answer (sender is always self); status says which outcome. sender is
 * unauthenticated until TRUST: it is never entered anywhere before it answered a call of ours. */
enum overlay_status overlay_on_request(struct overlay *overlay, usec now,
                                       const struct overlay_message *request,
                                       struct overlay_message *answer, struct overlay_calls *calls,
                                       struct outbox *trace);
/* The answer (or failure) of a call with a ticket. Each ticket is answered exactly once. answer
 * may be NULL unless status is OVERLAY_OK or OVERLAY_ELSEWHERE. */
void overlay_on_answer(struct overlay *overlay, usec now, uint32_t ticket,
                       enum overlay_status status, const struct overlay_message *answer,
                       struct overlay_calls *calls, struct outbox *trace);
void overlay_on_tick(struct overlay *overlay, usec now, struct overlay_calls *calls,
                     struct outbox *trace);
usec overlay_deadline(const struct overlay *overlay);

/* A member answered us in ordinary traffic (learnt peer; shortens routes): not for 410 and 503. Or
 * it did not answer, or answered that it is no member (suspect: routed around at once and probed).
 * Peer-IDs all zero are ignored. */
void overlay_on_peer_alive(struct overlay *overlay, usec now, const struct peer *peer);
void overlay_on_peer_silent(struct overlay *overlay, usec now, const struct peer *peer,
                            struct overlay_calls *calls, struct outbox *trace);
/* It does not want the request (410, 482, 503): if it is a learnt peer, another may do better. */
void overlay_on_peer_refused(struct overlay *overlay, const struct peer *peer);
/* An answer that passed says that this peer is responsible for its key. It is asked
 * itself before anything comes of that. */
void overlay_on_peer_named(struct overlay *overlay, usec now, const struct peer *peer,
                           struct overlay_calls *calls);

/* ---- key-based routing interface ---- */
bool overlay_is_member(const struct overlay *overlay);
/* Does it hold the full membership? For simulators. */
bool overlay_is_small(const struct overlay *overlay);
const struct peer *overlay_self(const struct overlay *overlay);
/* Key in (predecessor, self]; without a known predecessor only a ring of one answers true. */
bool overlay_is_responsible(const struct overlay *overlay, const struct key *key);
/* Alone, because several others fell silent, and still asking them: two minutes. More likely than
 * that all died is that this peer is cut off, and what it does not hold is elsewhere. */
bool overlay_is_cut_off(const struct overlay *overlay);
/* Next hops for key, best first, at most max, suspects and `avoid` (may be NULL) left out. *final:
 * the first of them is believed responsible: the first live successor at or after key, or a learnt
 * peer whose range it is in. 0: none. */
unsigned overlay_next_hops(const struct overlay *overlay, const struct key *key,
                           const struct key *avoid, unsigned avoid_count, struct peer *out,
                           unsigned max, bool *final);
/* Whom to ask about key besides, for those who go there by themselves: the next hops, then
 * known peers at and after the key, then known ones before it. At most max, no peer twice. */
unsigned overlay_around(const struct overlay *overlay, const struct key *key, struct peer *out,
                        unsigned max);
/* The peers that hold copies when this peer is responsible: self first, then live successors; at
 * most k, fewer in a small ring. */
unsigned overlay_replica_set(const struct overlay *overlay, unsigned k, struct peer *out);
/* (from, to] this peer is responsible for: (predecessor, self]; false when not known. */
bool overlay_range(const struct overlay *overlay, struct key *from, struct key *to);
const struct peer *overlay_predecessor(const struct overlay *overlay); /* NULL: none known */
/* It fell silent, and has not answered since. */
bool overlay_is_suspect(const struct overlay *overlay, const struct key *id);
/* A neighbour is not passed over for one silence: false for others, and when a probe was
 * not answered either. */
bool overlay_waits_for(const struct overlay *overlay, const struct key *id);
unsigned overlay_successors(const struct overlay *overlay, struct peer *out, unsigned max);
/* Every distinct peer this one would route to (successors, fingers, learnt), by Peer-ID. */
unsigned overlay_known_peers(const struct overlay *overlay, struct peer *out, unsigned max);
/* Could `id` be the first peer at or after `key`? Not where it is more than OVERLAY_DENSITY_FACTOR
 * times as far behind it as this peer's successors are from each other in the mean. */
bool overlay_is_plausible(const struct overlay *overlay, const struct key *key,
                          const struct key *id);
/* Counts up whenever predecessor, successors or membership changed: the update() upcall. */
uint64_t overlay_generation(const struct overlay *overlay);

#endif
