/* SPDX-License-Identifier: BSD-2-Clause */
/* One peer's Chord state, private to this folder (tests and checkers may look).
 *
 * The ring proper is Zave's corrected Chord (Alloy model of 2016), R-5.2:
 * - `list` is the successor list. A list shorter than r stands for one padded with (last + 1), as
 *   hers is: a padding names nobody, so it is never asked and counts as dead.
 * - One operation at a time: while it waits for an answer that may change the ring state, state
 *   queries are answered BUSY. `operation` is its ticket.
 *
 * Small rings (members.c, R-5.13): her proof needs r + 1 members. Below 2r a peer holds the full
 * membership instead, and `list` and `predecessor` follow from it. */
#ifndef OVERLAY_CHORD_H
#define OVERLAY_CHORD_H

#include "overlay/overlay.h"
#include "overlay/peers.h"

#define PACE_MIN_US MSEC(200)      /* stabilisation while the ring changes around us */
#define PACE_ROUNDS 5u             /* so many quiet rounds before the pace slows down */
#define BUSY_RETRY_MIN_US MSEC(50) /* */
#define BUSY_RETRY_MAX_US MSEC(150)
#define ADMISSION_US MSEC(500) /* one joiner after us at a time, so long at most */
#define ANSWER_LOST_US SEC(64) /* a ticket the binding never answered */
#define PENDING_MAX 32u
#define DOUBTS_MAX 24u
#define DOUBT_TRIES_LOST 3 /* silences after which fingers and learnt peers go */
#define DOUBT_TRIES_MAX 8  /* probed at once, after 1, 2, 4 ... 64 s: then forgotten */
/* Of a pair, the one that remains has all records of the other. */
#define CUT_OFF_SILENT 2
#define REMEMBERED_MAX 8u
#define LEARNT_LIFE_S 1800u       /* a learnt peer not heard of so long goes */
#define LEARN_CALLS_MAX 2u        /* named peers asked at a time */
#define FINGERS_MAX 64u           /* distinct fingers; a million peers have about 20 */
#define FINGER_QUICK_US MSEC(100) /* pace of the first round of finger repair */
#define ANNOUNCE_US MSEC(250)     /* pace of announcing ourselves after a join */
#define ANNOUNCE_AFTER_US SEC(1)
#define UPDATES_MAX 16u   /* */
#define WRAP_ROUNDS 16u   /* quiet rounds between looks at the size of the ring */
#define JOIN_HOPS_MAX 16u /* */
#define BOOTSTRAPS_MAX 64u

#define MERGE_US SEC(60)     /* between looks for our own place from outside, or ... */
#define MERGE_ROUNDS 12u     /* ... so many periods of stabilisation if that is longer */
#define MERGE_SOON_US SEC(5) /* after a loss, which may have been a split */

enum purpose {
  CALL_JOIN_ROUTE,  /* who is responsible for my Peer-ID? */
  CALL_JOIN,        /* operation: may I come after you? */
  CALL_SUCCESSOR,   /* operation: stabilise from successor */
  CALL_PREDECESSOR, /* operation: stabilise from predecessor */
  CALL_RECTIFY_OLD, /* operation: does my predecessor still live? */
  CALL_RECTIFY_NEW, /* operation: does the notifier live? */
  CALL_WRAP,        /* operation: does my last successor's list come round to me? */
  CALL_GOSSIP,      /* small ring: whom do you know? */
  CALL_VERIFY,      /* ping before entering, or before believing a loss */
  CALL_PROBE,       /* ping of a doubtful peer */
  CALL_FINGER,      /* who is responsible for self + 2^bit? */
  CALL_MERGE,       /* who is responsible for my Peer-ID, as seen by a remembered peer? */
  CALL_LEARN,       /* a peer named as responsible: do you live, and what is your range? */
  CALL_ANNOUNCE,    /* who is first after predecessor - 2^bit? It should know us. */
};

struct pending {
  struct peer to; /* Peer-ID zero: not known before the answer */
  uint32_t ticket;
  uint8_t purpose; /* enum purpose */
  uint8_t bit;
  usec since;
};

/* A peer that fell silent: routed around, probed with growing pauses, welcome when it answers. */
struct doubt {
  struct peer peer;
  usec probe_at;
  uint8_t tries; /* silent probes so far */
  bool waiting;
};

/* Of a learnt peer. */
struct learnt_note {
  struct key from;  /* it is responsible for (from, its Peer-ID], it said */
  uint32_t heard_s; /* when it answered last, in seconds */
  bool has_range;
};

enum overlay_state { OVERLAY_OUT, OVERLAY_JOINING, OVERLAY_MEMBER };

struct overlay {
  const struct memory *memory;
  struct peer self;
  struct rng rng;
  usec stabilize_us, fingers_us;
  uint32_t learnt_max;
  uint8_t r;
  uint8_t state;  /* enum overlay_state */
  bool strangers; /* anybody may join */
  bool small;     /* below 2r: members is the full membership */

  /* the ring; all sets are sorted clockwise from self */
  struct peer predecessor; /* family 0: none */
  struct peers list;       /* at most r */
  struct peers members;    /* small ring: the others, at most 2r */
  uint64_t answered;       /* bit per member: it answered us itself */
  uint64_t generation;

  /* what is under way */
  uint32_t operation;      /* ticket of the one operation, or 0 */
  uint32_t ticket;         /* last one given */
  struct pending *pending; /* oldest first */
  uint8_t pending_count, pending_room;
  bool rectified;       /* the last operation was a rectify: stabilising goes first */
  bool announce_hint;   /* newly joined: the peer we came after should hear of it */
  uint8_t busy_answers; /* in a row */
  uint8_t wrap_rounds;  /* quiet rounds until the size of the ring is looked at again */
  uint8_t gossip_turn;
  uint8_t quiet_rounds;
  struct peer notifier;                       /* the best one waiting; family 0: none */
  struct peer hint;                           /* perhaps a nearer successor; family 0: none */
  struct key silent_head, silent_predecessor; /* silent once: asked again first */
  usec stabilize_at, pace_us;

  /* admitting */
  struct key admitted;
  usec admitted_until;

  /* joining */
  struct endpoint *bootstrap;
  uint8_t bootstrap_count;
  uint16_t join_tries;
  uint8_t join_hops, join_busy;
  bool join_waiting;
  uint32_t join_turn;
  struct peer join_target; /* whom to ask again after BUSY; family 0: start with a route */
  usec join_at;            /* USEC_NEVER: not joining */
  usec merge_at;
  struct endpoint remembered[REMEMBERED_MAX];
  uint8_t remembered_count, remembered_next;

  /* beyond the successors; correctness does not depend on these */
  struct peers fingers, learnt;
  struct learnt_note *learnt_note; /* of learnt, entry by entry; learnt.room of them */
  uint32_t learnt_turn;            /* next to be looked at */
  usec fingers_at;
  uint8_t finger_bit;       /* next to repair; KEY_BITS: start again */
  bool fingers_complete;    /* went round once since the join */
  struct peer subject;      /* told of by overlay.update: who joined, or is lost; family 0: none */
  struct key subject_after; /* it comes, or came, right after this */
  bool subject_lost;
  uint8_t announce_bit; /* the next is one below; 0: done */
  uint8_t announce_left;
  usec announce_at;

  struct doubt *doubts; /* taken when first needed, given back when empty */
  uint8_t doubt_count, doubt_room;
  usec doubt_at; /* no probe is due before */
};

/* What every step has at hand. calls may be NULL where none may be made. */
struct step {
  usec now;
  struct overlay_calls *calls;
  struct outbox *trace;
};

/* ---- calls.c: making calls, reading messages ---- */
void message_begin(struct overlay_message *message, enum overlay_method method,
                   const struct peer *sender);
/* Predecessor, successors and, in a small ring, members. */
void message_add_state(struct overlay_message *message, const struct overlay *overlay);
/* A direct call without answer; dropped if the step's calls are full. NULL then. */
struct overlay_call *call_tell(struct overlay *overlay, const struct step *step,
                               const struct peer *to, enum overlay_method method);
/* A direct call that is answered; NULL: full or no memory, nothing happened. */
struct overlay_call *call_ask(struct overlay *overlay, const struct step *step,
                              const struct peer *to, enum overlay_method method,
                              enum purpose purpose);
/* A call routed to key, by way of `to`. */
struct overlay_call *call_route(struct overlay *overlay, const struct step *step,
                                const struct peer *to, const struct key *key, bool final,
                                enum purpose purpose, uint8_t bit);
/* True if a call for this purpose to this Peer-ID is under way. */
bool call_is_pending(const struct overlay *overlay, enum purpose purpose, const struct key *to);
unsigned call_count(const struct overlay *overlay, enum purpose purpose);
/* Takes the entry out; false: no such ticket. */
bool call_take(struct overlay *overlay, uint32_t ticket, struct pending *out);
/* now + a random pause in [low, high]. */
usec pause_between(struct overlay *overlay, usec now, usec low, usec high);

/* ---- chord.c: the ring ---- */
/* Makes list = head (NULL: none) and the rest of its answer, at most r, cut before it
 * comes round to self or is out of order. True: it came round, the list is the whole ring. */
bool chord_take_list(struct overlay *overlay, const struct peer *head,
                     const struct overlay_message *answer);
/* The last successor is gone: a ring of one that looks for its ring. */
void chord_isolated(struct overlay *overlay, const struct step *step);
bool peer_same_life(const struct peer *a, const struct peer *b);
/* +- 20 % (R-5.30). */
usec jitter(struct overlay *overlay, usec period);
/* Something changed: stabilise soon, and often for a while. */
void chord_hurry(struct overlay *overlay, usec now);
/* A quiet round is over: when is the next? */
void chord_relax(struct overlay *overlay, usec now);
/* Changes are noted for generation and trace by taking a view before and comparing after. */
struct ring_view {
  struct peer predecessor, head;
  uint64_t digest; /* of successors and members */
};
struct ring_view ring_view(const struct overlay *overlay);
/* True: something differs from *old. */
bool ring_changed(struct overlay *overlay, const struct step *step, const struct ring_view *old);
/* Starts whatever is due: at most one operation. Every entry point ends with it. */
void chord_run(struct overlay *overlay, const struct step *step);
/* `peer` answered us just now and is a member. */
void chord_proved(struct overlay *overlay, const struct step *step, const struct peer *peer);
/* `peer` did not answer, is no member, or lives another life. silent: worth probing; a member of a
 * small ring first. */
void chord_lost(struct overlay *overlay, const struct step *step, const struct peer *peer,
                bool silent);
/* Pings peer unless that is under way. */
void chord_verify(struct overlay *overlay, const struct step *step, const struct peer *peer);
void chord_remember(struct overlay *overlay, const struct endpoint *at);

/* ---- stabilize.c: Zave's operations ---- */
void stabilize_start(struct overlay *overlay, const struct step *step);
void rectify_start(struct overlay *overlay, const struct step *step);
void stabilize_answered(struct overlay *overlay, const struct step *step,
                        const struct pending *call, enum overlay_status status,
                        const struct overlay_message *answer);
void rectify_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                      enum overlay_status status, const struct overlay_message *answer);
/* A sender says that it may be a neighbour. */
void stabilize_notified(struct overlay *overlay, const struct step *step,
                        const struct peer *sender);

/* ---- join.c ---- */
void join_begin(struct overlay *overlay, usec at);
void join_run(struct overlay *overlay, const struct step *step);
/* A ring that was split finds itself: each peer looks for its own place by way of remembered
 * peers, and whoever else holds it is a neighbour from the other part. */
void merge_run(struct overlay *overlay, const struct step *step);
usec merge_period(const struct overlay *overlay);
void merge_soon(struct overlay *overlay, usec now);
void merge_answered(struct overlay *overlay, const struct step *step, enum overlay_status status,
                    const struct overlay_message *answer);
void join_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                   enum overlay_status status, const struct overlay_message *answer);
enum overlay_status join_request(struct overlay *overlay, const struct step *step,
                                 const struct overlay_message *request,
                                 struct overlay_message *answer);

/* ---- members.c: small rings ---- */
/* A ring of one. */
void members_alone(struct overlay *overlay);
/* The membership is head and, clockwise, all that its answer names; answered is head alone.
 * False: no memory. */
bool members_take(struct overlay *overlay, const struct step *step, const struct peer *head,
                  const struct overlay_message *answer);
/* The ring turned out smaller than 2r. last_answer NULL: the list is the whole of it; else the
 * list, then the last successor's list until it comes round. False: it does not, or no memory. */
bool members_close(struct overlay *overlay, const struct step *step,
                   const struct overlay_message *last_answer);
/* A later life of peer is a member: what was asked of an earlier one says nothing about it
 * (R-5.13). */
bool members_hold_later_life(const struct overlay *overlay, const struct peer *peer);
void members_enter(struct overlay *overlay, const struct step *step, const struct peer *peer);
void members_drop(struct overlay *overlay, const struct step *step, const struct key *id);
/* Pings members that have not answered us yet. */
void members_prove(struct overlay *overlay, const struct step *step);
void members_gossip(struct overlay *overlay, const struct step *step);
void members_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                      enum overlay_status status, const struct overlay_message *answer);

/* ---- fingers.c ---- */
void fingers_run(struct overlay *overlay, const struct step *step);
void fingers_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                      enum overlay_status status, const struct overlay_message *answer);
/* A peer that answered us: a better finger, or a learnt peer. */
void fingers_offer(struct overlay *overlay, usec now, const struct peer *peer);
/* Would fingers_offer make it a finger? */
bool fingers_want(const struct overlay *overlay, const struct key *id);
void fingers_forget(struct overlay *overlay, const struct key *id);
void fingers_restart(struct overlay *overlay, usec now);
/* Tells those who should have subject, right after `after`, as a finger. */
void fingers_announce(struct overlay *overlay, usec at, const struct peer *subject,
                      const struct key *after, bool lost);

/* ---- learnt.c ---- */
/* It answered us just now. from: what it is responsible for begins there; NULL: not said. */
void learnt_put(struct overlay *overlay, usec now, const struct peer *peer, const struct key *from);
/* The same, where it is known already. */
void learnt_heard(struct overlay *overlay, usec now, const struct peer *peer);
bool learnt_forget(struct overlay *overlay, const struct key *id);
/* Lets some of those go that were not heard of for long. */
void learnt_sweep(struct overlay *overlay, usec now);
void learnt_free(struct overlay *overlay);
/* The learnt peer that said it is responsible for key, if that is likely; NULL. */
const struct peer *learnt_responsible(const struct overlay *overlay, const struct key *key);
void learnt_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                     enum overlay_status status, const struct overlay_message *answer);

/* ---- prefix.c ---- */
#define PREFIX_PEERS_MAX 4u /* of one network */
#define PREFIX_BITS4 24u
#define PREFIX_BITS6 48u
/* Are there as many fingers and learnt peers of its network as there may be? Only where anybody may
 * join, and where peers of other networks are known. */
bool prefix_is_full(const struct overlay *overlay, const struct peer *peer);

/* ---- routing.c ---- */
/* The known peer, not in doubt, that comes closest before key; none: false. */
bool routing_preceding(const struct overlay *overlay, const struct key *key, struct peer *out);

/* ---- doubts.c ---- */
bool doubt_is(const struct overlay *overlay, const struct key *id);
/* In doubt, and a probe of it was silent, too. */
bool doubt_is_confirmed(const struct overlay *overlay, const struct key *id);
/* In doubt in this very life (incarnation 0: any)? */
bool doubt_same_life(const struct overlay *overlay, const struct peer *peer);
void doubt_add(struct overlay *overlay, const struct step *step, const struct peer *peer,
               usec probe_at);
void doubt_clear(struct overlay *overlay, const struct step *step, const struct key *id);
void doubt_run(struct overlay *overlay, const struct step *step);
void doubt_answered(struct overlay *overlay, const struct step *step, const struct pending *call,
                    enum overlay_status status, const struct overlay_message *answer);

#endif
