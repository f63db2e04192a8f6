/* SPDX-License-Identifier: BSD-2-Clause */
/* Edges and phones under virtual time. Messages between edges travel at once, messages to phones
 * are kept for the test to look at; the location service is a small table, or answers that the
 * test gives itself. */
#ifndef SUPPORT_EDGE_WORLD_H
#define SUPPORT_EDGE_WORLD_H

#include "crypto/openssl.h"
#include "edge/edge.h"
#include "support/memory.h"
#include "support/zone.h"

#define WORLD_EDGES 2u
#define WORLD_SENT_MAX 512u
#define WORLD_RECORDS_MAX 64u
#define WORLD_HELD_MAX 64u

/* A message to a phone. */
struct sent {
  unsigned edge;
  uint32_t flow;
  struct endpoint peer;
  uint64_t ticket;
  char *bytes; /* NUL-terminated */
  size_t len;
  bool taken;
};
struct world_record {
  bool used;
  char *aor, *text;
  struct contact contact;
};
/* A record by EDGE_KEEP. */
struct world_kept {
  char *key, *nonce, *value;
};
struct phone {
  unsigned edge;
  uint32_t flow; /* 0: UDP */
  struct endpoint at;
};
struct edge_world {
  struct test_memory memory;
  struct crypto crypto;
  struct test_memory reader_memory;
  struct xml_reader *xml;
  usec now;
  msec_wall wall;
  unsigned edge_count;
  struct edge *edge[WORLD_EDGES];
  struct endpoint at[WORLD_EDGES];
  struct sent sent[WORLD_SENT_MAX];
  unsigned sent_count, sent_next;
  struct world_record record[WORLD_RECORDS_MAX];
  struct world_kept kept[WORLD_RECORDS_MAX];
  unsigned kept_count, tells;
  bool keep_late; /* EDGE_KEEP is done and answered by the next world_advance */
  struct edge_call late[8];
  unsigned late_edge[8], late_count;
  uint64_t version;       /* of the last one told */
  bool dead[WORLD_EDGES]; /* answers nobody */
  enum err bind_status, locate_status;
  bool hold;                             /* calls are kept in held[] instead of being answered */
  struct edge_call held[WORLD_HELD_MAX]; /* texts owned by the world */
  unsigned held_edge[WORLD_HELD_MAX], held_count;
  const struct zone *zone; /* the DNS; NULL: it does not answer */
  unsigned names;          /* questions to it */
  unsigned looks, missed;  /* EDGE_ARRIVED, EDGE_MISSED */
  unsigned binds, unbinds, locates, traces[TRACE_KIND_COUNT];
};

void world_config(struct edge_world *w, struct edge_config *config, unsigned index);
/* An empty world, and the settings of its edge 0, to be changed for world_open_config. */
void world_begin(struct edge_world *w, struct edge_config *config);
/* Edges at 192.0.2.1:5060 and 192.0.2.2:5060, domain example.net, REGISTER from anywhere. */
void world_open(struct edge_world *w, unsigned edges);
/* The same with `config` for edge 0, made by world_begin. */
void world_open_config(struct edge_world *w, unsigned edges, const struct edge_config *config);
/* Fails the test if memory is out. */
void world_close(struct edge_world *w);

struct phone phone_udp(unsigned edge, const char *at);
struct phone phone_tcp(unsigned edge, const char *at, uint32_t flow);
/* ADDRESS:PORT, in a buffer that lives until 4 more calls. */
const char *phone_text(const struct phone *phone);

/* Line ends of `format` become CRLF. Content-Length must be right. */
void world_send(struct edge_world *w, const struct phone *phone, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* False: it does not parse. */
bool world_try_send(struct edge_world *w, const struct phone *phone, struct slice bytes);
/* The next message to that phone (by flow, or by address), or NULL. */
struct sent *world_next(struct edge_world *w, const struct phone *phone);
/* As world_next, and fails unless its start line begins with `start`. */
struct sent *world_expect(struct edge_world *w, const struct phone *phone, const char *start);
void world_expect_nothing(struct edge_world *w, const struct phone *phone);
/* The phone answers a request that it got; `lines` may be "" ("Contact: ...\n"). Record-Route is
 * copied. A UDP phone answers the edge that asked. */
void world_answer(struct edge_world *w, const struct phone *phone, const struct sent *request,
                  unsigned status, const char *lines);

/* A phone on UDP registers for USER@example.net, and is answered 200. cseq: another each time. */
void world_register(struct edge_world *w, const struct phone *phone, const char *user,
                    unsigned cseq, unsigned expires);

void world_advance(struct edge_world *w, usec us);
/* A record is there, as if some edge had put it. */
void world_keep(struct edge_world *w, const char *key, struct slice nonce, struct slice value);
/* What is due now, and nothing that follows. */
void world_tick(struct edge_world *w);
void world_close_flow(struct edge_world *w, unsigned edge, uint32_t flow);
void world_fail_ticket(struct edge_world *w, unsigned edge, uint64_t ticket);
/* Answers held call i. */
void world_release(struct edge_world *w, unsigned i, enum err status);
unsigned world_records(const struct edge_world *w, const char *aor);

/* ---- reading ---- */
bool sent_has(const struct sent *message, const char *text);
/* Value of the n-th header of that name (from 0), in a buffer that lives until 8 more calls. */
const char *sent_header(const struct sent *message, const char *name, unsigned n);
/* "Route: ...\r\n" lines of a dialog: the Record-Route of this message, as a caller (reversed) or
 * a callee uses it; until the next call. */
const char *sent_routes(const struct sent *message, bool caller);

#endif
