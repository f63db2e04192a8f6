/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by web.c (connections), web_http.c, web_ask.c, web_events.c and web_sip.c; nobody else
 * includes it. */
#ifndef HOST_WEB_INTERNAL_H
#define HOST_WEB_INTERNAL_H

#include <jansson.h>
#include <libwebsockets.h>

#include "host/web.h"
#include "host/web_who.h"

enum web_kind { WEB_HTTP, WEB_SIP, WEB_EVENTS };

/* A message that waits to be written. */
struct web_words {
  struct web_words *next;
  uint64_t ticket; /* 0: none */
  size_t len;
  bool binary;
  unsigned char bytes[]; /* LWS_PRE bytes of room, then the text */
};

struct web_answer {
  const char *body; /* static, or `owned` */
  char *owned;
  size_t len, sent;
};

/* One connection; from its being accepted to LWS_CALLBACK_WSI_DESTROY. */
struct web_client {
  struct web *web;
  struct lws *wsi;
  struct endpoint from;         /* transport: WS or WSS */
  uint32_t number;              /* names it in tickets; of a SIP WebSocket the flow */
  enum web_kind kind;           /* WEB_HTTP until a WebSocket is open */
  enum web_kind wanted;         /* while it is being opened */
  bool open;                    /* a WebSocket that was announced */
  bool dropped;                 /* no more is sent; being closed */
  bool closing;                 /* closed when all is written */
  lws_sorted_usec_list_t alarm; /* a SIP WebSocket that owes a message */
  char *in;                     /* a message or request body that is not complete */
  size_t in_len, in_cap;
  struct web_words *first, **last; /* waiting */
  size_t waiting;
  uint64_t lost; /* events since the last that was put */
  unsigned pending;
  bool answering; /* HTTP: the answer is being written */
  struct web_answer answer;
};

/* A question that the node has not answered yet. */
struct web_pending {
  struct web_pending *next;
  uint64_t ticket;
  uint32_t number; /* of the client */
  enum node_command_kind kind;
  json_t *id;
  json_t *params; /* of a decision: to be kept once the node has taken it; else NULL */
};

struct web_listener {
  uv_poll_t poll;
  struct web *web;
  struct lws_vhost *vhost;
  struct endpoint at;
  int fd;
  bool secure;
};

#define WEB_STATE_PARTS 5u

struct web {
  struct web_setup setup;
  struct loop *loop;
  struct web_who who;
  struct lws_context *context;
  struct web_listener listener[WEB_LISTENERS_MAX];
  unsigned listeners;
  struct web_client **client; /* by slot */
  uint32_t client_max, per_source_max;
  uint32_t serial; /* number = serial * client_max + slot, below LOOP_FLOW_WEB */
  struct web_pending *pending;
  uint64_t last_ticket;
  uv_timer_t second;
  bool ticking, stopped;
  json_t *state[WEB_STATE_PARTS]; /* of what is told every second */
  unsigned state_waiting;
  struct web_stats stats;
};

/* web.c */
struct web_client *web_client_of(struct web *web, uint32_t number);
/* Bytes for the other side as one message; false: no room, and it is being closed. */
bool web_put(struct web_client *client, struct slice text, bool binary, uint64_t ticket,
             size_t bytes_max);
/* Ends the connection without a callback into us from within. */
void web_drop(struct web_client *client);
/* Adds to client->in. False: too long. */
bool web_gather(struct web_client *client, const void *bytes, size_t len);
void web_forget_in(struct web_client *client);
/* A message must be whole in time, or the connection is dropped; 0: none is owed. */
void web_expect_message(struct web_client *client, uint64_t seconds);
/* The header field, or empty. False: it does not fit. */
bool web_header(struct lws *wsi, enum lws_token_indexes token, char *memory, size_t cap,
                struct slice *out);
bool web_is_secure(const struct web_client *client);

/* web_http.c */
int web_http_request(struct web_client *client, const char *path);
int web_http_body(struct web_client *client, const void *bytes, size_t len);
int web_http_body_end(struct web_client *client);
int web_http_writable(struct web_client *client);
/* May it become a WebSocket? 0: yes, of client->wanted; else it was answered. */
int web_http_upgrade(struct web_client *client, const char *to);
/* The JSON that answers POST /api, owned by us from now on. */
void web_http_answer_json(struct web_client *client, char *text);
void web_http_free(struct web_client *client);

/* For web_provision.c: a refusal in a line of text; an answer of `type` that is not to be kept,
 * whose owned body is in client->answer. */
int web_http_refuse(struct web_client *client, unsigned status, const char *text);
int web_http_serve(struct web_client *client, const char *type);

/* web_provision.c: KEY/NAME behind /provision/ (R-7.84) */
int web_provision(struct web_client *client, struct slice path, bool get);

/* web_ask.c */
void web_ask(struct web_client *client, struct slice text);
void web_ask_free(struct web *web);

/* web_events.c */
void web_events_open(struct web_client *client);
void web_events_close(struct web_client *client);
/* The part of a state; takes over the reference. */
void web_events_part(struct web *web, unsigned part, json_t *value);
void web_events_free(struct web *web);
/* JSON as one message; takes over the reference. Events may be lost, answers not. */
void web_events_put(struct web_client *client, json_t *object, bool may_be_lost);

/* web_sip.c */
void web_sip_open(struct web_client *client);
void web_sip_message(struct web_client *client);
void web_sip_close(struct web_client *client);
void web_sip_undelivered(struct loop *loop, uint64_t ticket, const struct endpoint *peer,
                         enum err why);

#endif
