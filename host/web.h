/* SPDX-License-Identifier: BSD-2-Clause */
/* The page's server (docs/web.md): files, SIP over WebSocket (RFC 7118), and a feed of events, by
 * libwebsockets on our loop. A SIP WebSocket is a flow as a TCP connection is: its number is at
 * least LOOP_FLOW_WEB, and not used again for two billion connections. */
#ifndef HOST_WEB_H
#define HOST_WEB_H

#include "host/loop.h"

#define WEB_LISTENERS_MAX 2u
/* */
#define WEB_MESSAGE_BYTES_MAX 65535u            /* received, of any kind: more closes (1009) */
#define WEB_SIP_BYTES_MAX ((size_t)1 << 20)     /* waiting on one SIP WebSocket; more: closed */
#define WEB_EVENT_BYTES_MAX ((size_t)256 << 10) /* for one events client; more is lost, counted */
#define WEB_EVENT_CLIENTS_MAX 16u
#define WEB_PENDING_MAX 16u /* questions of one client at once */
#define WEB_HEADER_BYTES_MAX 8192u
#define WEB_FIRST_MESSAGE_S 30 /* a SIP WebSocket must have sent one */
#define WEB_TIMEOUT_S 15       /* a request, an answer, a handshake */
#define WEB_PING_S 25          /* a WebSocket silent for so long is asked whether it lives ... */
#define WEB_HANGUP_S 40        /* ... and closed here */
#define WEB_FILE_BYTES_MAX ((size_t)8 << 20) /* of --web-root */

struct provision;
struct tls;

struct web_setup {
  struct loop *loop;
  struct tls *tls;             /* whose certificate --web-tls shows */
  struct provision *provision; /* settings for phones; NULL: none are served */
  const struct settings *settings;
  const struct node_config *config; /* lives as long as the web, and is up to date */
  const char *version;
  /* Adds the host's own rows to the object that answers `status` (a json_t *). */
  void (*status)(void *context, void *object);
  /* Keeps what an address's owner decided. */
  bool (*decide)(void *context, const struct node_command *command, struct why *why);
  void *context;
};

/* OK with *web NULL: it is off, or nobody asked for it and the port is taken. */
enum err web_new(const struct web_setup *setup, struct web **out, struct why *why) MUST_USE;
/* web may be NULL, here and below. On the flow, if it is open; else IN_FLOW says why not. */
void web_send(struct web *web, struct loop *loop, uint32_t flow, const struct endpoint *peer,
              uint64_t ticket, struct slice data);
/* Closes the flow once what was sent on it is written. */
void web_close_flow(struct web *web, uint32_t flow);
void web_reply(struct web *web, uint64_t ticket, const struct node_reply *reply);
/* Which trace kinds somebody watches. */
uint64_t web_trace_mask(const struct web *web);
void web_trace(struct web *web, const struct trace *trace);
bool web_writing(const struct web *web);
/* Closes all handles; web_free after the loop has ended. */
void web_stop(struct web *web);
void web_free(struct web *web);

struct web_stats {
  uint32_t clients, flows, watchers; /* connections; of these SIP WebSockets; events */
  uint64_t received, sent;           /* SIP messages */
  uint64_t refused, bad, lost;       /* connections and requests; WebSockets; events */
};
struct web_stats web_stats(const struct web *web);
unsigned web_listen_count(const struct web *web);
/* "http://127.0.0.1:8088" */
const char *web_address(const struct web *web, unsigned i, char out[80]);
/* "http://192.0.2.1:8088/provision/", by https and a name where there are these; `at` stands for
 * every address. False: nothing is served. */
bool web_provision_base(const struct web *web, const struct endpoint *at, char *out, size_t cap);

#endif
