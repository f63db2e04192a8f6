/* SPDX-License-Identifier: BSD-2-Clause */
/* One peer at work: a libuv loop, a node, an outbox, and what carries bytes for them. Everything
 * that happens becomes an input of the node at once (loop_step) or, where it happens while outputs
 * are being carried out, after them (loop_later). Outputs are carried out in order, for a whole
 * turn of the loop together (loop_settle), so that what goes one way leaves in one system call. */
#ifndef HOST_LOOP_H
#define HOST_LOOP_H

#include <uv.h>

#include "host/log.h"
#include "host/settings.h"
#include "node/node.h"

struct dns;
struct udp;
struct tcp;
struct journal;
struct control;
struct web;
struct keys_request;
struct keys_wanted;

/* What crypto/ does for OUT_SIGN, OUT_VERIFY, OUT_USER, OUT_OPEN, OUT_SEAL and OUT_UNSEAL. Called
 * on pool threads, several at a time, where nothing else is said. */
struct loop_keys {
  enum err (*sign)(void *signer, struct slice address, struct slice record, struct buf *out);
  /* ERR_REFUSED: *why, a static phrase, says what is wrong. issued and names as in IN_VERIFIED. */
  enum err (*verify)(void *verifier, struct slice record, struct buf *names, bool *issued,
                     const char **why);
  /* What verify would say at once: OK, from memory. False: it has to work. On the loop's own
   * thread; NULL: there is no such memory. */
  bool (*recall)(void *verifier, struct slice record, struct buf *names, bool *issued);
  /* Appends the certificates, and the statement of the key before; `receives` and `before` may stay
   * empty. */
  enum err (*user)(void *signer, struct slice address, struct key *owner, struct buf *signs,
                   struct buf *receives, struct buf *before);
  /* Before `user` for each of them: makes together what is missing. NULL: there is no such thing.
   */
  void (*prepare)(void *signer, const struct slice *address, unsigned count);
  /* Makes what `user` had not: takes long. NULL: it is never made. */
  enum err (*complete)(void *signer, struct slice address);
  void (*stop)(void *signer); /* ends that early */
  /* Takes the user's keys out of the value of a record by `owner`; NULL: never. */
  enum err (*open)(void *opener, struct slice address, const struct key *owner,
                   struct slice sealed);
  /* As seal_users_make and seal_users_open (crypto/seal_users.h); NULL: never. */
  enum err (*seal)(void *signer, struct slice recipients, struct slice plain, struct buf *out);
  enum err (*unseal)(void *signer, struct slice address, struct slice sealed, struct buf *plain);
  void *signer, *verifier, *opener;
};

struct loop_later; /* an input that waits; loop.c */

struct loop {
  uv_loop_t uv;
  struct node *node;
  struct outbox box;
  struct log *log;
  struct loop_keys keys;
  struct udp *udp;
  struct tcp *tcp;
  struct dns *dns;
  struct journal *journal;
  struct control *control;
  struct web *web;   /* NULL: no page and no WebSockets */
  uint64_t log_mask; /* trace kinds that the log wants; the control socket adds its own */
  int64_t clock_offset_us;
  uint32_t keys_busy; /* requests of OUT_SIGN, OUT_VERIFY and OUT_USER in the thread pool */
  struct keys_request *users_first, *users_last; /* OUT_USER that wait for the next batch */
  bool users_busy;                               /* a batch of them is in the thread pool */
  struct keys_wanted *wanted_first;              /* users whose second key is to be made (keys.c) */
  uint32_t wanted;

  uv_check_t after_poll;
  uv_idle_t more; /* runs while inputs wait that this turn had no time for */
  uv_timer_t deadline;
  uv_timer_t minute;
  uint64_t deadline_ms; /* loop time for which `deadline` is armed; UINT64_MAX: it is not */
  bool carrying_out;    /* outputs are being carried out: inputs must wait */
  struct loop_later *later_first, **later_last;
  struct output *items; /* of the outbox */
  char *bytes;
};

#define LOOP_OUTBOX_ITEMS (4u * OUTBOX_STEP_ITEMS)
#define LOOP_OUTBOX_BYTES (2u * OUTBOX_STEP_BYTES)
/* Flows of WebSockets; those of TCP are below. */
#define LOOP_FLOW_WEB 0x80000000u
/* Tickets of commands that the web asks; those of the control socket are below. */
#define LOOP_TICKET_WEB (UINT64_C(1) << 63)

#define LOOP_ROUNDS 8 /* outputs, their completions, their outputs ... in one turn */

/* Prepares everything but the node and the carriers, which the daemon puts in. */
void loop_init(struct loop *loop, struct log *log, const struct loop_keys *keys);
/* Stops what would keep uv_run going. */
void loop_stop(struct loop *loop);
/* After uv_run has ended: frees. node, udp, tcp, journal and control are their makers'. */
void loop_free(struct loop *loop);
/* The node is there and clock, journal and IN_START may reach it: starts the timers. */
void loop_start(struct loop *loop);

/* Gives the node one input, now. Never from within the carrying out of outputs. */
void loop_step(struct loop *loop, const struct input *input);
/* The same, for one of many that came together at `now`. */
void loop_step_at(struct loop *loop, usec now, const struct input *input);
/* Gives it soon; data, record bytes and answers of the DNS are copied. */
void loop_later(struct loop *loop, const struct input *input);
/* Makes sure of a loop_settle in this turn, where neither timer nor poll of ours will. */
void loop_soon(struct loop *loop);
/* Carries out outputs and gives waiting inputs until nothing is left, or LOOP_ROUNDS. Needed at
 * the end of a timer; after input and output of the kernel the loop does it itself. */
void loop_settle(struct loop *loop);
/* Tells the node the wall clock if it was set, or always. */
void loop_clock(struct loop *loop, bool always);

#endif
