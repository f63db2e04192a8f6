/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by control.c (the socket) and control_call.c (what lines mean); nobody else includes it.
 */
#ifndef HOST_CONTROL_INTERNAL_H
#define HOST_CONTROL_INTERNAL_H

#include <jansson.h>

#include "host/control.h"

struct client {
  uv_pipe_t pipe;
  uv_write_t write;
  struct control *owner;
  struct client *next;
  char *line; /* CONTROL_LINE_BYTES_MAX, while a line is not complete */
  size_t line_len;
  char *out, *writing; /* gathered; being written */
  size_t out_len, out_cap, writing_len;
  uint32_t pending;
  bool traces;
  bool dropped;
};
/* A command the node has not answered yet. */
struct pending {
  struct pending *next;
  uint64_t ticket;       /* 0: a `leave` */
  struct client *client; /* NULL: gone */
  json_t *id;
  bool status; /* COMMAND_STATUS: the host adds its own */
};
struct control {
  struct loop *loop;
  struct control_hooks hooks;
  char *path;
  uv_pipe_t pipe;
  bool bound;
  struct client *clients;
  uint32_t client_count, closing, tracing;
  struct pending *pending;
  uint64_t last_ticket;
};

/* control.c */
void client_put(struct client *client, const char *line, size_t len);
void client_flush(struct client *client);
void client_drop(struct client *client);

/* control_call.c */
void call_line(struct client *client, struct slice line);
void call_refuse_line(struct client *client); /* too long */
void call_forget(struct control *control, struct client *client);
void call_free(struct control *control);

#endif
