/* SPDX-License-Identifier: BSD-2-Clause */
/* Many nodes of the shipping core in one process under virtual time: a plain host for each, a
 * network between them that is slow, loses and breaks, and journals. All is decided by integers
 * and one seed; events happen in the order of (time, sequence). Strangers outside of the world
 * send raw text and read what comes back. */
#ifndef SUPPORT_WORLD_H
#define SUPPORT_WORLD_H

#include "base/rng.h"
#include "crypto/openssl.h"
#include "node/node.h"
#include "support/memory.h"

#define NET_NODES_MAX 80u
#define NET_NONE UINT32_MAX
#define NET_WALL0 ((msec_wall)1777636800000)
#define NET_INBOX_MAX 1024u

struct net_event;
struct net_flow;

/* One peer: a node, and what its host keeps for it. */
struct net_node {
  struct node *node; /* NULL: not running */
  struct node_config config;
  uint32_t life; /* also its incarnation */
  bool silent;   /* when not running: what is sent to it vanishes, instead of being refused */
  bool paused;   /* runs, but hears and does nothing: what is sent to it vanishes */
  unsigned side; /* nodes of different sides do not hear each other */
  usec tick_at;
  struct record *journal;
  unsigned journal_count;
  uint32_t link[NET_NODES_MAX]; /* flow opened to that node, 0: none */
  struct key taken,
      taken_owner;   /* hash of the address whose keys it was granted, and their owner */
  char before[2048]; /* the statement that those keys came with */
  size_t before_len;
  struct test_memory memory;
};

/* What came out to somebody outside of the world. NUL-terminated. */
struct net_letter {
  uint32_t node, flow;
  struct endpoint to;
  char *text;
  size_t len;
};

/* The reply to a command, copied. */
struct net_reply {
  bool done;
  uint64_t ticket;
  uint16_t code;
  char text[200];
  unsigned row_count;
  struct node_row *row; /* its texts are NUL-terminated copies */
};

struct net {
  /* To be set between net_open and net_add, or at any time. */
  struct node_config config; /* of nodes added from now on */
  usec latency_min_us, latency_max_us;
  unsigned loss_permille;   /* of datagrams */
  usec refuse_us;           /* until a connection to nobody fails */
  usec journal_us, keys_us; /* how long storing, signing and verifying take */
  bool verifier_busy;       /* it cannot say anything */
  unsigned journal_fail_permille;
  const char *refuse_text; /* records that contain this are refused by verification */
  const char
      *issued_names;    /* closed overlay: every signer has a certificate for these; NULL: none */
  bool one_certificate; /* users have no second key yet */
  uint64_t signatures;  /* asked for */
  void (*on_trace)(struct net *net, uint32_t node, const struct trace *trace);
  void (*on_send)(struct net *net, uint32_t node, const struct output *send);
  /* True: the node never hears of it. */
  bool (*on_hear)(struct net *net, uint32_t node, const struct input *message);
  void *context;

  usec now;
  struct rng rng;
  struct crypto crypto;
  struct xml_reader *xml;
  struct test_memory memory; /* of the reader */
  uint32_t count;
  struct net_node *at; /* NET_NODES_MAX */
  struct outbox box;
  struct output *items;
  char *bytes;
  struct net_event **heap;
  uint32_t heap_count, heap_room;
  uint64_t sequence;
  uint64_t steps, steps_at_once; /* inputs in all; at this very time */
  struct net_flow *flow;
  uint32_t flow_count, flow_room;
  uint64_t ticket;
  struct net_letter inbox[NET_INBOX_MAX];
  unsigned inbox_count;
  struct net_reply reply[64]; /* by ticket modulo 64 */
  uint64_t messages, opened;  /* between nodes; connections */
};

void net_open(struct net *net, unsigned seed);
/* False: a node did not give all its memory back. */
bool net_close(struct net *net);

/* A node that joins through `join` (NET_NONE: it is the first of a ring). id NULL: random. It
 * starts at once. More addresses to join by: net->config.join[1] and on. */
uint32_t net_add(struct net *net, const struct key *id, uint32_t join);
/* Who signs for that address at that node: each makes a key of its own. */
struct key net_owner(const struct net *net, uint32_t i, struct slice address);
/* Node i has this address, whether it runs or not. */
struct endpoint net_address(uint32_t i);
/* At once, without a word. silent: what is sent there vanishes, instead of being refused. */
void net_kill(struct net *net, uint32_t i, bool silent);
/* A new life at the same address with the journal and the Peer-ID it had. */
void net_restart(struct net *net, uint32_t i);
static inline bool net_runs(const struct net *net, uint32_t i) { return net->at[i].node != NULL; }
unsigned net_running(const struct net *net);

void net_step(struct net *net, uint32_t i, const struct input *input);
void net_run_until(struct net *net, usec at);
static inline void net_run_for(struct net *net, usec span) { net_run_until(net, net->now + span); }
/* In steps of `every` until it holds; false: not within `limit`. */
bool net_run_while(struct net *net, bool (*holds)(struct net *net), usec every, usec limit);
static inline msec_wall net_wall(const struct net *net) {
  return NET_WALL0 + net->now / USEC_PER_MSEC;
}

/* ---- the truth, to compare with ---- */
/* Who is responsible for the key, by the Peer-IDs of all that run. */
uint32_t net_responsible(const struct net *net, const struct key *key);
struct key net_key(const struct net *net, const char *canonical);
/* Every node that runs is a member, has the right predecessor and first successor, and has all
 * of its range. */
bool net_is_ready(struct net *net);
/* What each node that runs believes of the ring, to standard error: for a test that failed. */
void net_print(struct net *net);

/* ---- commands ---- */
uint64_t net_ask(struct net *net, uint32_t i, const struct node_command *command);
/* The reply, valid until 64 more commands; done is false if there is none yet. */
const struct net_reply *net_reply_of(const struct net *net, uint64_t ticket);
/* Asks and runs until the reply is there, at most `limit`; never NULL. */
const struct net_reply *net_command(struct net *net, uint32_t i, const struct node_command *command,
                                    usec limit);
const struct net_reply *net_put(struct net *net, uint32_t i, const char *uri, const char *contact);
const struct net_reply *net_get(struct net *net, uint32_t i, const char *uri);
bool net_has_contact(const struct net_reply *reply, const char *contact);

/* ---- strangers ---- */
/* An address outside of the world ("203.0.113.9:5070"). */
struct endpoint net_stranger(const char *at, enum transport transport);
/* A new connection of a stranger to node i. */
uint32_t net_connect(struct net *net, uint32_t i, const struct endpoint *from);
/* One message, at once. flow 0 with a datagram. The bytes are copied. */
void net_inject(struct net *net, uint32_t i, uint32_t flow, const struct endpoint *from,
                struct slice message);
/* The first letter that contains all of `words`, taken out of the inbox; NULL: none. It lives
 * until the inbox has been filled again. */
const struct net_letter *net_take(struct net *net, const char *word1, const char *word2);
/* The final answer that has this in it, within `limit`, taken as by net_take; NULL: none. */
const struct net_letter *net_answer(struct net *net, const char *branch, usec limit);
/* Of an answer; 0: NULL. */
unsigned net_status(const struct net_letter *answer);
/* net_status of net_answer. */
unsigned net_final(struct net *net, const char *branch, usec limit);
void net_clear_inbox(struct net *net);
/* Gives that address another owner at node i, whom the one before has named. */
struct key net_succeed(struct net *net, uint32_t i, struct slice address);
/* Node i says this on one of its flows, past its core. */
void net_say(struct net *net, uint32_t i, uint32_t flow, struct slice message);
void net_close_flow(struct net *net, uint32_t flow);

#endif
