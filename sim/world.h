/* SPDX-License-Identifier: BSD-2-Clause */
/* Many nodes of the shipping core under virtual time: for each a host, a disk and a place on a
 * network that is slow, loses, breaks and comes apart. Integers and one seed decide everything;
 * events happen in the order of (time, sequence); all that happens goes into one hash. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/crypto.h"
#include "base/memory.h"
#include "base/rng.h"
#include "node/inspect.h"
#include "node/node.h"
#include "sim/queue.h"
#include "sim/weather.h"

#define SIM_NONE UINT32_MAX
#define SIM_START_US SEC(1000)
#define SIM_WALL0 ((msec_wall)1777636800000)
#define SIM_ITEMS_A_TIME_MAX 4000000u /* steps without time passing: something is due for ever */

/* ---- disks ---- */
struct disk_write {
  struct record record; /* bytes owned; none: erase */
  bool is_erase, fails;
  uint64_t ticket;
};
/* Records as they are after a power failure, and the writes that are not synced yet. */
struct disk {
  struct record *record;
  uint32_t count, room;
  struct disk_write *tail; /* oldest first */
  uint32_t tail_count, tail_room;
  usec busy_until;
};

/* ---- peers ---- */
enum peer_state { PEER_OUT, PEER_UP, PEER_DOWN };
struct sim_peer {
  struct memory memory;
  uint64_t bytes, bytes_max; /* taken from memory */
  struct node *node;         /* while up */
  struct key id;
  enum peer_state state;
  uint32_t life;
  bool dark;    /* down: what is sent there vanishes, instead of being refused */
  bool leaving; /* asked to leave */
  bool left;    /* and it did, with all handed over */
  bool drops;   /* forwards nothing */
  uint8_t lies; /* enum lie */
  uint8_t side; /* of the partition */
  uint16_t x, y;
  int64_t skew_ms;
  usec paused_at, paused_until, uplink_free_at, tick_at, started_at, ended_at;
  uint32_t first_end; /* connections of this life: 2 * connection + end + 1, 0: none */
  struct disk disk;
  struct record *old; /* what a liar held once, and gives out */
  uint32_t old_count, old_room;
};

/* One connection. Flow 2c + e + 1 is its end e. When both ends are closed it is used again, but not
 * before all that is said of its flows has been heard. */
struct conn {
  uint32_t peer[2], life[2];
  uint32_t next_end[2], last_end[2]; /* those of the same peer, like first_end */
  uint32_t next;      /* of those from and to the same peers by hash; or of the closed ones */
  usec last_at[2];    /* when the last message to this end arrives: streams keep their order */
  usec stalled_at[2]; /* since when nothing gets through to this end; 0: all well */
  usec both_ways_at;  /* from then on the accepting end sends over it, too */
  usec hold_until[2]; /* nothing arrives at this end before, because the network was parted */
  bool open[2], broken;
};

struct world;
/* What the script, the ledger and the narrator hear of. */
struct world_watch {
  void *context;
  void (*act)(void *context, uint32_t what);
  void (*reply)(void *context, uint32_t peer, uint64_t ticket, const struct node_reply *reply);
  void (*trace)(void *context, uint32_t peer, const struct trace *trace);
  void (*event)(void *context, uint32_t peer, const struct event *event); /* NULL: not wanted */
  void (*gone)(void *context, uint32_t peer);    /* crashed or stopped; disk as it will be found */
  void (*stepped)(void *context, uint32_t peer); /* has taken an input; NULL: not wanted */
  /* sent to where no peer is; NULL: not wanted */
  void (*datagram)(void *context, uint32_t peer, const struct output *out);
};

struct world {
  struct weather weather;
  struct crypto *crypto;
  struct xml_reader *xml;
  struct memory memory;
  struct rng rng;
  usec now;
  struct queue queue;
  struct sim_peer *peer; /* peers_max, never moved */
  uint32_t peer_count, peers_max, up_count;
  struct conn *conn;
  uint32_t conn_count, conn_room;
  uint32_t closed_first, closed_last; /* connections to be used again, in that order */
  uint32_t *link;                     /* first connection of a bucket, by who opened it to whom */
  uint32_t link_room, link_count;
  uint32_t swept; /* connections below were looked at in this round: are they idle? */
  bool wiped;     /* a disk was, since the weather became calm */
  bool lying;     /* liars lie (sim/liar.h) */
  uint32_t liar_count;
  bool diverting;       /* the next request sent goes to anybody */
  bool parted, one_way; /* side 1 does not hear side 0; and, unless one_way, the reverse */
  struct outbox box;
  struct output *items;
  char *bytes;
  struct world_watch watch;
  uint64_t hash;                           /* of all that happened */
  uint64_t ring_changes, wrong_suspicions; /* traced; of peers that were up */
  uint64_t steps, at_once, messages, message_bytes, message_max, datagrams_lost;
  uint64_t stores, opened, ticket;
  char failure[400]; /* empty: all is well */
  usec failed_at;
};

void world_open(struct world *world, struct crypto *crypto, const struct weather *weather,
                uint32_t peers_max, uint64_t seed);
void world_close(struct world *world);
/* The first failure stays. printf format. */
void world_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline bool world_failed(const struct world *world) { return world->failure[0] != '\0'; }
void world_hash(struct world *world, const uint64_t *words, unsigned count);

/* A new peer, not yet up. SIM_NONE: no room. */
uint32_t world_add(struct world *world);
/* (i: which peer.) A life begins, with the disk as it is. joins: peers to join through, or none for
 * a new ring. */
void world_start(struct world *world, uint32_t i, const uint32_t *joins, unsigned count);
/* The first life of a peer begins at its place in a computed ring (node_place), with an empty disk.
 * by: whom to look for the ring by. */
void world_place(struct world *world, uint32_t i, const struct peer *ring, uint32_t count,
                 uint32_t at, uint32_t by);
/* It ends at once. dark: nobody is told. A random part of the unsynced tail is lost. */
void world_crash(struct world *world, uint32_t i, bool dark);
void world_wipe_disk(struct world *world, uint32_t i);
void world_pause(struct world *world, uint32_t i, usec until);
/* An act for the script at that time. */
void world_act(struct world *world, usec at, uint32_t what);
/* Asks; watch.reply hears the answer. Returns the ticket. */
uint64_t world_ask(struct world *world, uint32_t peer, const struct node_command *command);
/* Stops early at a failure. */
void world_run(struct world *world, usec until);

bool world_blocked(const struct world *world, uint32_t from, uint32_t to);
struct endpoint world_address(uint32_t peer);
uint32_t world_peer_at(const struct world *world, const struct endpoint *at);
static inline bool world_is_up(const struct world *world, uint32_t peer) {
  return world->peer[peer].state == PEER_UP;
}
static inline bool world_is_member(const struct world *world, uint32_t peer) {
  return world_is_up(world, peer) && node_stats(world->peer[peer].node).member;
}
/* Peers are linked by TLS, with identities that nobody else can show; datagrams prove
 * nothing: a laboratory. */
static inline bool world_proves(const struct world *world) { return world->weather.of[UDP] == 0; }
static inline msec_wall world_wall(const struct world *world, uint32_t peer) {
  return (msec_wall)((int64_t)(SIM_WALL0 + world->now / USEC_PER_MSEC) + world->peer[peer].skew_ms);
}
/* Owner of the records that this peer signs for the address. */
struct key world_owner(const struct world *world, uint32_t peer, struct slice address);

/* ---- for the files of this folder: net.c, disk.c ---- */
void world_step(struct world *world, uint32_t i, const struct input *input);
/* The event takes place in the life that the peer has now. */
void world_later(struct world *world, usec at, uint32_t peer, struct event *event);
bool dice(struct world *world, uint32_t of, uint32_t sides);
void net_send(struct world *world, uint32_t from, const struct output *out);
void net_close(struct world *world, uint32_t peer, uint32_t flow);
void net_on_message(struct world *world, struct event *event);
void net_on_flow(struct world *world, struct event *event);
void net_on_crash(struct world *world, uint32_t peer, bool dark);
/* Of one message now. */
usec net_latency(struct world *world, uint32_t from, uint32_t to);
void net_free(struct world *world);
void net_open(struct world *world);
/* Closes connections that nobody uses; from time to time. */
void net_sweep(struct world *world);
void disk_write(struct world *world, uint32_t peer, const struct output *out);
void disk_on_done(struct world *world, uint32_t peer);
/* A prefix of the tail was written, the rest never was. */
void disk_on_crash(struct world *world, uint32_t peer);
/* NULL: not there. */
const struct record *disk_find(const struct disk *disk, const struct record_id *id);
void disk_wipe(struct disk *disk);

#endif
