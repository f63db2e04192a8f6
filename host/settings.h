/* SPDX-License-Identifier: BSD-2-Clause */
/* Every setting of locserd, in one table: the configuration file, the command line, --help and
 * the tests are all made from it. A name means the same everywhere: `domain = {"example.com"}` in
 * the file is `--domain example.com`. */
#ifndef HOST_SETTINGS_H
#define HOST_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "host/why.h"
#include "node/node.h"

enum setting_kind {
  SETTING_TEXT,
  SETTING_LIST,   /* may be repeated */
  SETTING_FLAG,   /* false unless given */
  SETTING_NUMBER, /* low to high */
  SETTING_CHOICE, /* one of the words in `value`, separated by | */
};

#define SETTING_LIST_MAX 32u /* the longest list of all */

/* X(ENUM, "name", kind, "VALUE", low, high, "meaning") */
#define SETTINGS(X)                                                                               \
  X(SET_DATA, "data", SETTING_TEXT, "DIR", 0, 0, "where the key and the journal are kept")        \
  X(SET_DOMAIN, "domain", SETTING_LIST, "NAME", 0, NODE_DOMAINS_MAX,                              \
    "a domain whose addresses live in this overlay (none: every domain)")                         \
  X(SET_OVERLAY, "overlay", SETTING_TEXT, "NAME", 0, 0, "name of the overlay")                    \
  X(SET_LISTEN, "listen", SETTING_LIST, "[udp|tcp:]HOST:PORT", 0, NODE_LISTEN_MAX,                \
    "listen there; without prefix on both UDP and TCP")                                           \
  X(SET_ADVERTISE, "advertise", SETTING_TEXT, "HOST:PORT", 0, 0,                                  \
    "address by which others reach this peer")                                                    \
  X(SET_JOIN, "join", SETTING_LIST, "HOST:PORT", 0, NODE_JOIN_MAX,                                \
    "a peer of the ring to join (none: first peer of a new ring)")                                \
  X(SET_CONTROL, "control", SETTING_TEXT, "PATH", 0, 0, "control socket")                         \
  X(SET_WEB, "web", SETTING_TEXT, "HOST:PORT|off", 0, 0,                                          \
    "the page, and SIP over WebSocket (default: 127.0.0.1:8088 if it is free)")                   \
  X(SET_WEB_TLS, "web-tls", SETTING_TEXT, "HOST:PORT", 0, 0,                                      \
    "the same by https and wss, with the certificate of tls-certificate")                         \
  X(SET_WEB_NAME, "web-name", SETTING_LIST, "NAME", 0, SETTING_LIST_MAX,                          \
    "a name by which browsers may call the page, beside addresses and localhost")                 \
  X(SET_WEB_ORIGIN, "web-origin", SETTING_LIST, "ORIGIN", 0, SETTING_LIST_MAX,                    \
    "another site whose pages may use these WebSockets, such as https://phone.example")           \
  X(SET_WEB_TOKEN, "web-token", SETTING_TEXT, "FILE", 0, 0,                                       \
    "ask everybody for the token in FILE (default: only who is not on this machine)")             \
  X(SET_WEB_ROOT, "web-root", SETTING_TEXT, "DIR", 0, 0,                                          \
    "serve the files of DIR in place of those in the program")                                    \
  X(SET_PROVISION, "provision", SETTING_FLAG, "", 0, 0,                                           \
    "give desk phones that ask on the LAN (SIP PnP) the settings that wait for them")             \
  X(SET_PROVISION_GROUP, "provision-group", SETTING_TEXT, "ADDRESS:PORT", 0, 0,                   \
    "the multicast group on which they ask")                                                      \
  X(SET_PROVISION_TEMPLATES, "provision-templates", SETTING_TEXT, "DIR", 0, 0,                    \
    "templates of settings in place of those in the program")                                     \
  X(SET_DNS, "dns", SETTING_LIST, "ADDRESS:PORT", 0, 4,                                           \
    "a DNS server for domains outside the overlay (none: those of this machine)")                 \
  X(SET_NO_DIGEST, "no-digest", SETTING_FLAG, "", 0, 0,                                           \
    "ask nobody for a password, and accept REGISTER from everywhere")                             \
  X(SET_DIGEST, "digest", SETTING_CHOICE, "both|sha-256|md5", 0, 0,                               \
    "algorithms in which phones are asked for passwords")                                         \
  X(SET_NO_RECORD_ROUTE, "no-record-route", SETTING_FLAG, "", 0, 0,                               \
    "leave the path of a call once it is set up")                                                 \
  X(SET_REDIRECT, "redirect", SETTING_FLAG, "", 0, 0,                                             \
    "tell callers the contacts of an address (302) in place of proxying")                         \
  X(SET_WATCHERS, "watchers", SETTING_CHOICE, "allow|ask|block", 0, 0,                            \
    "who may see the presence of an address that says nothing of him (allow)")                    \
  X(SET_LOG, "log", SETTING_CHOICE, "error|warning|info|debug", 0, 0, "log level")                \
  X(SET_PEER_TRANSPORT, "peer-transport", SETTING_CHOICE, "tls|tcp|udp", 0, 0,                    \
    "how peers reach each other; all but tls only with --lab")                                    \
  X(SET_LAB, "lab", SETTING_FLAG, "", 0, 0,                                                       \
    "a laboratory: peers may talk plainly, and nobody's Peer-ID is proven")                       \
  X(SET_TLS_CERTIFICATE, "tls-certificate", SETTING_TEXT, "FILE", 0, 0,                           \
    "certificate chain for phones, PEM (none: the peer's own)")                                   \
  X(SET_TLS_KEY, "tls-key", SETTING_TEXT, "FILE", 0, 0, "its key, PEM")                           \
  X(SET_SUCCESSORS, "successors", SETTING_NUMBER, "N", 2, 16, "length of the successor list")     \
  X(SET_REPLICAS, "replicas", SETTING_NUMBER, "N", 1, 8, "copies of each record")                 \
  X(SET_STABILIZE, "stabilize-ms", SETTING_NUMBER, "MS", 100, 600000,                             \
    "time between two looks at the neighbours")                                                   \
  X(SET_LOOKUP_TIMEOUT, "lookup-timeout-ms", SETTING_NUMBER, "MS", 500, 60000,                    \
    "deadline of one lookup")                                                                     \
  X(SET_HOPS_MAX, "hops-max", SETTING_NUMBER, "N", 16, 1000000,                                   \
    "requests being forwarded at once")                                                           \
  X(SET_OPERATIONS_MAX, "operations-max", SETTING_NUMBER, "N", 16, 100000,                        \
    "requests being executed at once")                                                            \
  X(SET_RETRY_COPIES_MAX, "retry-copies-max", SETTING_NUMBER, "N", 0, 1000000,                    \
    "requests kept until the next hop has taken them over")                                       \
  X(SET_RECORDS_MAX, "records-max", SETTING_NUMBER, "N", 16, 100000000, "records held")           \
  X(SET_RECORD_BYTES_MAX, "record-bytes-max", SETTING_NUMBER, "BYTES", 65536, 1099511627776,      \
    "bytes of the records held")                                                                  \
  X(SET_BINDINGS_MAX, "bindings-max", SETTING_NUMBER, "N", 1, 10000000,                           \
    "registrations of phones held")                                                               \
  X(SET_SUBSCRIPTIONS_MAX, "subscriptions-max", SETTING_NUMBER, "N", 0, 10000000,                 \
    "subscriptions to presence; 0: none, it is left to the phones")                               \
  X(SET_TRANSACTIONS_MAX, "transactions-max", SETTING_NUMBER, "N", 16, 1000000,                   \
    "SIP transactions at once")                                                                   \
  X(SET_TRANSACTION_BYTES_MAX, "transaction-bytes-max", SETTING_NUMBER, "BYTES", 262144,          \
    68719476736, "bytes of the messages they keep")                                               \
  X(SET_LEARNT_PEERS_MAX, "learnt-peers-max", SETTING_NUMBER, "N", 0, 100000,                     \
    "peers remembered from traffic")                                                              \
  X(SET_CONNECTIONS_MAX, "connections-max", SETTING_NUMBER, "N", 1, 100000,                       \
    "connections accepted")                                                                       \
  X(SET_CONNECTIONS_PER_SOURCE_MAX, "connections-per-source-max", SETTING_NUMBER, "N", 1, 100000, \
    "connections accepted from one address other than this machine")                              \
  X(SET_SOURCE_CONNECTIONS, "source-connections", SETTING_NUMBER, "N", 1, 1000000,                \
    "connections accepted in a second from one address prefix; ten times as many at once")        \
  X(SET_LINKS_MAX, "links-max", SETTING_NUMBER, "N", 4, 100000, "connections opened to others")   \
  X(SET_LINK_IDLE, "link-idle-s", SETTING_NUMBER, "S", 10, 86400,                                 \
    "close an opened connection that was not used for so long")                                   \
  X(SET_ACCEPTED_IDLE, "connection-idle-s", SETTING_NUMBER, "S", 10, 604800,                      \
    "close an accepted connection that was not used for so long")                                 \
  X(SET_MESSAGE_TIME, "message-time-s", SETTING_NUMBER, "S", 1, 600,                              \
    "close a connection on which a begun message takes longer")                                   \
  X(SET_WEB_CONNECTIONS_MAX, "web-connections-max", SETTING_NUMBER, "N", 1, 10000,                \
    "connections of browsers")                                                                    \
  X(SET_USER_KEYS_MAX, "user-keys-max", SETTING_NUMBER, "N", 1, 10000000,                         \
    "keys made for addresses that register here")                                                 \
  X(SET_OWNER_RECORDS_MAX, "owner-records-max", SETTING_NUMBER, "N", 1, 100000000,                \
    "records of one owner held, removals included")                                               \
  X(SET_OWNER_BYTES_MAX, "owner-bytes-max", SETTING_NUMBER, "BYTES", 4096, 1099511627776,         \
    "bytes of the records of one owner held")                                                     \
  X(SET_SOURCE_REQUESTS, "source-requests", SETTING_NUMBER, "N", 1, 1000000,                      \
    "LOCSER requests a second from one address prefix; ten times as many at once, or for a peer") \
  X(SET_SOURCE_PUTS, "source-puts", SETTING_NUMBER, "N", 1, 1000000, "the same for writes")       \
  X(SET_SOURCE_BYTES, "source-bytes", SETTING_NUMBER, "BYTES", 8192, 1000000000,                  \
    "the same for bytes of writes and copies")                                                    \
  X(SET_SOURCE_DATAGRAMS, "source-datagrams", SETTING_NUMBER, "N", 1, 1000000,                    \
    "the same for requests of other methods over UDP")                                            \
  X(SET_TRUSTED, "trusted-address", SETTING_LIST, "ADDRESS[/BITS]", 0, NODE_TRUSTED_MAX,          \
    "addresses believed without proof and not limited, or none (default: this machine)")          \
  X(SET_CORE_DUMPS, "core-dumps", SETTING_FLAG, "", 0, 0,                                         \
    "let a crash leave a core file, with keys in it")                                             \
  X(SET_JOURNAL_BYTES_MAX, "journal-bytes-max", SETTING_NUMBER, "BYTES", 65536, 1099511627776,    \
    "size of the journal file")

enum setting {
#define SETTING_ENUM(id, name, kind, value, low, high, text) id,
  SETTINGS(SETTING_ENUM)
#undef SETTING_ENUM
      SETTING_COUNT
};

struct setting_info {
  const char *name;
  enum setting_kind kind;
  const char *value;
  uint64_t low, high; /* numbers: bounds; lists: high = entries at most */
  const char *text;
};
const struct setting_info *setting_info(enum setting setting);

enum setting_source { FROM_DEFAULT, FROM_FILE, FROM_COMMAND_LINE };
struct setting_value {
  enum setting_source source;
  unsigned count;               /* texts held */
  char *text[SETTING_LIST_MAX]; /* owned */
  uint64_t number;              /* SETTING_NUMBER, SETTING_FLAG */
};
struct settings {
  struct setting_value value[SETTING_COUNT];
};

/* Every default, those of the core from node_config_defaults. */
void settings_init(struct settings *settings);
void settings_free(struct settings *settings);
/* Is `text` good for this setting by itself? why: what it must be. */
enum err setting_check(enum setting setting, const char *text, struct why *why) MUST_USE;
/* Checks and takes a value. A value of a stronger source replaces, a second one of the same
 * source is added to a list, a weaker one is ignored. */
enum err settings_put(struct settings *settings, enum setting setting, const char *text,
                      enum setting_source source, struct why *why) MUST_USE;
/* What only shows when all is known: wildcard without advertise, no TCP to be reached by, ... */
enum err settings_finish(struct settings *settings, struct why *why) MUST_USE;

/* The value, or "" if there is none. */
const char *settings_text(const struct settings *settings, enum setting setting);
uint64_t settings_number(const struct settings *settings, enum setting setting);
bool settings_flag(const struct settings *settings, enum setting setting);
/* The name of the first setting that differs and needs a restart, or NULL. */
const char *settings_restart_needed(const struct settings *running, const struct settings *fresh);

/* DIR/control, $XDG_STATE_HOME/locser and so on. Owned by the caller. NULL: no home is known. */
char *settings_default_data(void);
char *settings_control_path(const char *data_dir);

#endif
