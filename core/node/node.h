/* SPDX-License-Identifier: BSD-2-Clause */
/* One peer, composed of edge, usage, locser, dht, overlay and sip: the public API of the core.
 * Bytes and time in, ordered outputs out. A step is total (any bytes, any state) and bounded;
 * longer work sets the deadline to now. The node reads no clock, opens nothing, and is not
 * thread-safe; many nodes may share one thread's outbox and xml_reader. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "base/crypto.h"
#include "base/err.h"
#include "base/memory.h"
#include "base/outbox.h"
#include "base/peer.h"
#include "base/usec.h"
#include "base/user.h"

struct xml_reader; /* xml/body.h: belongs to the thread */

/* ---- configuration: copied by node_new, slices included ---- */
#define NODE_DOMAINS_MAX 32u
#define NODE_LISTEN_MAX 16u
#define NODE_JOIN_MAX 16u
#define NODE_TRUSTED_MAX 16u

struct node_limits {
  uint32_t hops_max;         /* LOCSER requests being forwarded or awaited */
  uint32_t operations_max;   /* LOCSER requests being executed here */
  uint32_t retry_copies_max; /* requests kept until the next hop has taken them over */
  uint32_t records_max;
  uint64_t record_bytes_max;
  uint32_t bindings_max;
  uint32_t subscriptions_max; /* of phones to presence; 0, the default: all of it is left to them */
  uint32_t transactions_max;
  uint64_t transaction_bytes_max;
  uint32_t learnt_peers_max;
  /* */
  uint32_t owner_records_max; /* of one owner, removals included */
  uint64_t owner_bytes_max;
  uint32_t
      source_requests;   /* LOCSER requests a second from one address prefix; ten times as much */
  uint32_t source_puts;  /* at once, and for a proven peer. Writes */
  uint32_t source_bytes; /* bytes of writes and copies */
  uint32_t source_datagrams; /* requests of other methods over UDP */
};
/* How much a peer trusts what it is told of records; with proven links alone. */
enum node_wary {
  NODE_TRUSTS,
  NODE_LOOKS_AGAIN, /* where an answer may be a lie: 404, a refused signature */
  NODE_LOOKS_ALWAYS /* at each read: no peer alone can serve an old version */
};
/* May somebody watch an address whose owner has said nothing of him? */
enum node_watchers { NODE_WATCHERS_ALLOWED, NODE_WATCHERS_ASK, NODE_WATCHERS_BLOCKED };
enum node_digest { NODE_SHA256 = 1, NODE_MD5 = 2 };
/* Who may write what: the columns of the table in docs/spec/6-trust.md. */
enum node_policy { NODE_LABORATORY, NODE_CLOSED, NODE_OPEN };
struct node_config {
  struct key id;                 /* Peer-ID */
  uint32_t incarnation;          /* grows with each start: seconds since 1970, usually */
  struct endpoint advertise;     /* TCP address other peers reach; also written into Via */
  enum transport peer_transport; /* between peers: TLS with both certificates; TCP and UDP
                                    prove nobody's Peer-ID, for laboratories and the bench */
  struct slice overlay;          /* name, default "locser" */
  struct slice domain[NODE_DOMAINS_MAX];
  unsigned domain_count; /* none: every domain */
  struct endpoint listen[NODE_LISTEN_MAX];
  unsigned listen_count;
  struct endpoint join[NODE_JOIN_MAX]; /* none: first peer of a new ring */
  unsigned join_count;
  struct prefix trusted[NODE_TRUSTED_MAX]; /* addresses believed without proof */
  unsigned trusted_count;
  usec create_after_us; /* joined addresses are only remembered ones: begin a ring when none lets
                           this peer in for so long; 0: never */
  const struct user_secret *user; /* who has a password; in any order, copied */
  uint32_t user_count;
  unsigned digest_algorithms; /* offered: bits of enum node_digest */
  bool digest_off;
  bool record_route;
  bool redirect; /* */
  enum node_watchers watchers;
  enum node_wary wary;    /* NODE_LOOKS_AGAIN */
  bool strangers;         /* anybody may join the overlay: it is open, and no laboratory */
  unsigned successors;    /* r = 8 */
  unsigned replicas;      /* k = 3 */
  usec stabilize_us;      /* 5 s */
  usec lookup_timeout_us; /* deadline of one routed operation: 8 s */
  enum node_policy policy;
  struct node_limits limits;
  uint8_t seed[32]; /* the host's entropy, or the simulator's */
  const struct memory *memory;
  const struct crypto *crypto;
  struct xml_reader *xml;
};
/* Defaults for everything but id, advertise, seed, memory, crypto, xml. */
void node_config_defaults(struct node_config *config);

/* The thread's reader of bodies, for node_config.xml: a host or simulator sees no xml/.
 * salt: any random number. NULL: no memory. Free it after the nodes that share it. */
struct xml_reader *node_reader_new(const struct memory *memory, uint64_t salt);
void node_reader_free(struct xml_reader *reader);

/* ---- inputs ---- */
enum input_kind {
  IN_TICK,    /* the deadline passed (harmless at any time) */
  IN_CLOCK,   /* wall: wall-clock time now; before the first message, then at each jump or minute */
  IN_RESTORE, /* record: from the journal at start, already durable */
  IN_START,   /* restoring is over: create or join the ring */
  IN_MESSAGE, /* data: one framed message from peer, on flow. proven: the Peer-ID whose key the
                 other end of the flow has shown it holds, or NULL */
  IN_FLOW,    /* status OK: a flow was opened by an OUT_SEND to peer (information only);
                 else flow is closed, or (flow 0) a send with ticket to peer failed. proven as in
                 IN_MESSAGE */
  IN_STORED,  /* answer to OUT_STORE: ticket, status */
  IN_SIGNED,  /* answer to OUT_SIGN: ticket, status, data = whole record, signed */
  IN_VERIFIED, /* answer to OUT_VERIFY: ticket, status (OK or ERR_REFUSED). In a closed overlay:
                  issued, and data = what the signer's certificate is for: addresses and domains,
                  each ended by a newline */
  IN_USER,   /* answer to OUT_USER: ticket, status, record.owner = hash of the key that signs, data
                = its certificate in DER, record.bytes = that of the key that receives, or empty;
                before = the statement by which the key before it named this one, or empty.
                With ticket 0: data = an Address-of-Record that has its second key now */
  IN_OPENED, /* answer to OUT_OPEN: ticket, status OK: from now on OUT_SIGN signs with these keys */
  IN_SEALED, /* answer to OUT_SEAL: ticket, status, data = the sealed text */
  IN_UNSEALED, /* answer to OUT_UNSEAL: ticket, status (ERR_BUSY: not now; ERR_NOT_FOUND: for
                  another key; others: it never opens), data = what was inside */
  IN_RESOLVED, /* answer to OUT_RESOLVE: ticket, status (ERR_NOT_FOUND: there is no such name, or
                  nothing of that kind; others: nobody can say now), dns, dns_count */
  IN_COMMAND,  /* command, ticket: answered by OUT_REPLY */
};
struct input {
  enum input_kind kind;
  enum err status;
  uint32_t flow;
  uint64_t ticket;
  struct endpoint peer;
  struct slice data, before;
  msec_wall wall;
  struct record record;
  const struct node_command *command;
  const struct key *proven;
  bool issued;
  const struct dns_record *dns;
  unsigned dns_count;
};

/* ---- commands: typed; JSON is the host's ---- */
enum node_command_kind {
  COMMAND_STATUS,   /* one NODE_ROW_STATUS per field: text = name, text2 or n = value */
  COMMAND_RING,     /* predecessor, self, successors: text = role, key, at */
  COMMAND_PEERS,    /* every known peer: key, at, text = role, n = smoothed RTT in us (0 unknown) */
  COMMAND_RECORDS,  /* held here: key, text = key text, text2 = "live" or "removed", n = version,
                       n2 = expires (ms since 1970), n3 = bytes */
  COMMAND_BINDINGS, /* phones registered here: text = address, text2 = contact, at = where its
                       REGISTER came from, n = expires (ms since 1970) */
  COMMAND_LOOKUP,   /* uri: who is responsible; trace: a row per hop: key, at, n = us, n2 = hop */
  COMMAND_GET, /* uri: contacts: text = contact URI, text2 = Path, n = expires, n2 = q permille */
  COMMAND_PUT, /* uri, contact, expires_s: n = copies */
  COMMAND_REMOVE,    /* uri, contact: n = records removed */
  COMMAND_PUT_IMMUT, /* value, of 1 to 12000 bytes; expires_s: text = its key, n = copies */
  COMMAND_GET_IMMUT, /* uri, immut:HASH: text = the value in base64, n = expires */
  COMMAND_FETCH,     /* uri: a key text: key = owner, text = value, text2 = for `certificate:` the
                        certificate of the key that receives, in base64; of each verified record */
  COMMAND_STORE,     /* uri: "private:ADDRESS", value: signed for the address: n = copies */
  COMMAND_MESSAGE,   /* from uri to contact, both addresses, value: a text: kept for the recipient
 */
  COMMAND_PUBLISH,   /* puts the certificates of uri, an address, and its contacts here anew; uri
                        empty: this peer's own certificates, by which others seal to it */
  COMMAND_PRESENCE,  /* uri: text = the document that watchers of the address get here */
  COMMAND_WATCHERS, /* uri: text = who watches it, text2 = "active", "pending" or "blocked", at = by
                       which phone or peer, n = expires */
  COMMAND_ALLOW,
  COMMAND_ASK,
  COMMAND_BLOCK, /* uri, contact: may that address watch it? */
  COMMAND_LEAVE, /* hand records over and leave the ring; replied when done; 503: gone, but
                    not all was taken over */
};
struct node_command {
  enum node_command_kind kind;
  struct slice uri, contact, value;
  struct slice proof; /* allow, ask, block: asked for by the page */
  bool needs_proof;
  uint32_t expires_s; /* put; 0: 3600, of an immutable value a day */
  bool trace;         /* lookup */
};
struct node_row {
  struct slice text, text2;
  struct key key;
  bool has_key;
  struct endpoint at; /* family 0: none */
  bool has_number;    /* n is meaningful (status rows) */
  uint64_t n, n2, n3;
};
struct node_reply {
  enum node_command_kind kind;
  uint16_t code;     /* 200, or a SIP status that says why not */
  struct slice text; /* for people, when code is not 200 */
  unsigned row_count;
  const struct node_row *row;
};

/* ---- the node ---- */
struct node;
struct node *node_new(const struct node_config *config, usec now); /* NULL: no memory */
void node_free(struct node *node);
void node_step(struct node *node, usec now, const struct input *input, struct outbox *out);
/* When to step with IN_TICK at the latest; USEC_NEVER: no need. */
usec node_deadline(const struct node *node);
/* New domains, users, digest_algorithms, digest_off, record_route, redirect; other fields are
 * ignored. ERR_MEMORY leaves all as it was. */
enum err node_reconfigure(struct node *node, const struct node_config *config) MUST_USE;

/* Known peers, those it needs most first (successors, then others); for a host to remember. */
unsigned node_peers(const struct node *node, struct peer *out, unsigned max);

/* X(ENUM, "name", what was refused, and how). Each is counted in the status; the log has a line at
 * the first time and then one in a minute, which says how many there were since. */
#define NODE_LIMITS(X)                                                                        \
  X(LIMIT_OWNER, "owner-quota", "a write beyond the records or bytes of one owner: 403")      \
  X(LIMIT_COPIES, "owner-copies", "copies far beyond that quota: acknowledged, but not kept") \
  X(LIMIT_VALUES, "key-values",                                                               \
    "a write beyond the values of one owner or of all under a key: 403")                      \
  X(LIMIT_ROOM, "store-full", "a record for which this peer has no room: 503")                \
  X(LIMIT_PUTS, "source-puts", "writes of one source: 503")                                   \
  X(LIMIT_BYTES, "source-bytes", "bytes of writes and copies of one source: 503")             \
  X(LIMIT_REQUESTS, "source-requests", "LOCSER requests of one source: 503")                  \
  X(LIMIT_DATAGRAMS, "source-datagrams", "other requests over UDP from one prefix: dropped")  \
  X(LIMIT_SHARE, "source-share", "a source that holds half of a table already: 503")          \
  X(LIMIT_GUESSES, "source-passwords", "wrong passwords from one address prefix: 503")        \
  X(LIMIT_FULL, "table-full", "a request for which a table has no room: 503")                 \
  X(LIMIT_ANSWER, "answer-cut", "an answer larger than the request to an unproven address")   \
  X(LIMIT_UNPROVEN, "sender-unproven",                                                        \
    "a request by who has not proven to be the peer it names: 403")                           \
  X(LIMIT_FORGED, "record-forged", "a record whose signature or layout was refused: 403")     \
  X(LIMIT_OLDER, "record-older", "a write older than what is here, as a replay is: 412")      \
  X(LIMIT_BODY, "body-refused", "a body that is not XML as allowed, or too large: 400, 413")

enum node_limit {
#define LIMIT_ENUM(id, name, text) id,
  NODE_LIMITS(LIMIT_ENUM)
#undef LIMIT_ENUM
      NODE_LIMIT_COUNT
};

struct node_stats {
  uint64_t messages_in, messages_out, forwarded, delivered, originated, retries, refused, bad;
  uint64_t unproven;    /* requests refused since their sender did not prove who it says it is */
  uint64_t not_allowed; /* records refused, of writes, copies and reads, since their signer may not
                           write them */
  uint64_t bytes_in, bytes_out;
  uint64_t limit[NODE_LIMIT_COUNT]; /* times reached */
  uint32_t hops, operations, records, tombstones, bindings, transactions, known_peers;
  uint64_t record_bytes;
  bool member, ready; /* ready: member, and the whole own range is COMPLETE */
};
struct node_stats node_stats(const struct node *node);

#endif
