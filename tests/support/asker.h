/* SPDX-License-Identifier: BSD-2-Clause */
/* A stranger who asks the peers of a world by LOCSER, reads what comes back, and watches what a
 * peer makes of it. Of each failure that it is told it checks what holds for all. */
#ifndef SUPPORT_ASKER_H
#define SUPPORT_ASKER_H

#include "support/world.h"

#define ASKER_BOB "sip:bob@example.net"
#define ASKER_GET(key)                                                             \
  "<?xml version=\"1.0\"?><methodCall><methodName>get</methodName><params><param>" \
  "<dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\"><key>" key                      \
  "</key></dhtRecord></param>"                                                     \
  "</params></methodCall>"

struct ask {
  const char *lines; /* header lines, with \n; Overlay-Key among them */
  const char *body;  /* NULL: ASKER_GET(ASKER_BOB). Records in it are signed. */
  const char *uri, *type, *call_id, *via, *hops;
  uint32_t node;
};
struct asker {
  struct net *net; /* set by the test */
  struct endpoint at;
  uint32_t flow;
  unsigned number;        /* of requests: in branch and Call-ID */
  char sent[66000];       /* the request sent last */
  char answer[65536];     /* the final answer taken last */
  uint32_t watched;       /* a node */
  char seen[70000];       /* the last that it sent on of the asker's requests */
  uint8_t seen_transport; /* by which */
  unsigned seen_count;
};

/* Opens the world: up to three nodes at 10.., 60.. and B0.., settled, and a connection to the
 * first. 198.51.100.7 is on their address list. */
void asker_ring(struct asker *asker, unsigned count);
extern const struct key asker_ring_id[3];
/* From now on it asks that node, over a new connection or by datagrams. */
void asker_move(struct asker *asker, const char *at, enum transport transport, uint32_t node);
size_t asker_write(struct asker *asker, const struct ask *ask, char *out, size_t room);
void asker_send(struct asker *asker, const struct ask *ask);
/* Status of the final answer to the request sent last, within `limit`; 0: none. */
unsigned asker_wait(struct asker *asker, usec limit);
unsigned asker_ask(struct asker *asker, const struct ask *ask);
void asker_watch(struct asker *asker, uint32_t node);

/* The first key of the form sip:uN@example.net that is that node's; *uri is static. */
struct key asker_key_of_node(const struct net *net, uint32_t node, const char **uri);
/* "Overlay-Key: ...\n", static: of the last four calls. */
const char *asker_key_line(const struct key *key, const char *params);
const char *asker_hex(const struct key *key);

#endif
