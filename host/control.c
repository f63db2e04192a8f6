/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket: clients, lines, queues. What the lines mean is control_call.c's. */
#include "host/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/control_internal.h"

#define BACKLOG 64

/* ---- clients ---- */

static void on_client_closed(uv_handle_t *handle) {
  struct client *client = handle->data;
  client->owner->closing--;
  free(client->line);
  free(client->out);
  free(client->writing);
  free(client);
}

void client_drop(struct client *client) {
  if (client->dropped) return;
  client->dropped = true;
  struct control *control = client->owner;
  struct client **at = &control->clients;
  while (*at != client) at = &(*at)->next;
  *at = client->next;
  control->client_count--;
  control->closing++;
  call_forget(control, client);
  uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void on_client_written(uv_write_t *request, int status) {
  struct client *client = request->data;
  free(client->writing);
  client->writing = NULL;
  client->writing_len = 0;
  if (client->dropped) return;
  if (status != 0)
    client_drop(client);
  else
    client_flush(client);
}

void client_flush(struct client *client) {
  if (client->dropped || client->writing != NULL || client->out_len == 0) return;
  client->writing = client->out;
  client->writing_len = client->out_len;
  client->out = NULL;
  client->out_len = client->out_cap = 0;
  uv_buf_t buf = uv_buf_init(client->writing, (unsigned)client->writing_len);
  client->write.data = client;
  if (uv_write(&client->write, (uv_stream_t *)&client->pipe, &buf, 1, on_client_written) != 0)
    client_drop(client);
}

void client_put(struct client *client, const char *line, size_t len) {
  if (client->dropped) return;
  if (client->out_len + client->writing_len + len > CONTROL_OUT_BYTES_MAX) {
    log_often(client->owner->loop->log, LOG_CONTROL, TRACE_WARNING,
              "control: a client does not read; it was dropped");
    client_drop(client);
    return;
  }
  if (client->out_len + len > client->out_cap) {
    size_t cap = client->out_cap > 0 ? client->out_cap : 1024;
    while (cap < client->out_len + len) cap *= 2;
    char *out = host_take(cap);
    if (client->out_len > 0) memcpy(out, client->out, client->out_len);
    free(client->out);
    client->out = out;
    client->out_cap = cap;
  }
  memcpy(client->out + client->out_len, line, len);
  client->out_len += len;
}

/* ---- lines ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  struct client *client = handle->data;
  (void)suggested;
  if (client->line == NULL) client->line = host_take(CONTROL_LINE_BYTES_MAX);
  *buf = uv_buf_init(client->line + client->line_len,
                     (unsigned)(CONTROL_LINE_BYTES_MAX - client->line_len));
}

static void take_lines(struct client *client) {
  size_t from = 0;
  while (!client->dropped) {
    char *end = memchr(client->line + from, '\n', client->line_len - from);
    if (end == NULL) break;
    size_t len = (size_t)(end - client->line) - from;
    call_line(client, slice_of(client->line + from, len));
    from += len + 1;
  }
  if (client->dropped) return;
  client->line_len -= from;
  memmove(client->line, client->line + from, client->line_len);
  if (client->line_len == CONTROL_LINE_BYTES_MAX) {
    call_refuse_line(client);
    client_flush(client);
    client_drop(client);
  } else if (client->line_len == 0) {
    free(client->line);
    client->line = NULL;
  }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  struct client *client = stream->data;
  (void)buf;
  if (n < 0) {
    client_drop(client);
    return;
  }
  client->line_len += (size_t)n;
  if (n > 0) take_lines(client);
}

static void on_connection(uv_stream_t *stream, int status) {
  struct control *control = stream->data;
  if (status != 0) return;
  struct client *client = host_take(sizeof *client);
  client->owner = control;
  client->pipe.data = client;
  uv_pipe_init(&control->loop->uv, &client->pipe, 0);
  client->next = control->clients;
  control->clients = client;
  control->client_count++;
  if (uv_accept(stream, (uv_stream_t *)&client->pipe) != 0 ||
      uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) != 0) {
    client_drop(client);
  } else if (control->client_count > CONTROL_CLIENTS_MAX) {
    log_often(control->loop->log, LOG_CONTROL, TRACE_WARNING,
              "control: more than %u clients; the new one was refused", CONTROL_CLIENTS_MAX);
    client_drop(client);
  }
}

/* ---- the socket ---- */

/* A socket file left by a crash answers nobody. */
static enum err clear_stale(const char *path, struct why *why) {
  struct stat status;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (lstat(path, &status) != 0) return OK;
  if (!S_ISSOCK(status.st_mode))
    return why_say(why, ERR_EXISTS,
                   "control socket %s: a file of another kind is there; say "
                   "--control PATH",
                   path);
  memcpy(address.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return why_say(why, ERR_IO, "control socket: %s", strerror(errno));
  bool alive = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
  close(fd);
  if (alive)
    return why_say(why, ERR_EXISTS,
                   "control socket %s: another locserd answers there; stop it (locser --control %s "
                   "leave), or say --control PATH",
                   path, path);
  unlink(path);
  return OK;
}

static enum err bind_socket(struct control *control, struct why *why) {
  const char *path = control->path;
  if (strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
    return why_say(why, ERR_LIMIT,
                   "control socket %s: the path is longer than a socket's may be (%zu bytes); say "
                   "--control PATH",
                   path, sizeof((struct sockaddr_un *)NULL)->sun_path - 1);
  enum err err = clear_stale(path, why);
  if (err != OK) return err;
  mode_t before = umask(0177); /* never open to others, not even between two calls */
  int status = uv_pipe_bind(&control->pipe, path);
  umask(before);
  if (status == 0) {
    control->bound = true;
    status = uv_listen((uv_stream_t *)&control->pipe, BACKLOG, on_connection);
  }
  if (status == 0 && chmod(path, 0600) != 0) status = -errno;
  if (status == 0) return OK;
  return why_say(why, ERR_IO, "control socket %s: %s", path, uv_strerror(status));
}

struct control *control_new(struct loop *loop, const char *path, const struct control_hooks *hooks,
                            struct why *why) {
  struct control *control = host_take(sizeof *control);
  control->loop = loop;
  control->hooks = *hooks;
  control->path = host_take(strlen(path) + 1);
  memcpy(control->path, path, strlen(path));
  control->last_ticket = CONTROL_LEAVE_TICKET;
  uv_pipe_init(&loop->uv, &control->pipe, 0);
  control->pipe.data = control;
  if (bind_socket(control, why) == OK) return control;
  control_stop(control);
  uv_run(&loop->uv, UV_RUN_NOWAIT);
  control_free(control);
  return NULL;
}

void control_flush(struct control *control) {
  if (control == NULL) return;
  for (struct client *next, *client = control->clients; client != NULL; client = next) {
    next = client->next;
    client_flush(client);
  }
}

bool control_writing(const struct control *control) {
  for (const struct client *client = control->clients; client != NULL; client = client->next)
    if (client->out_len + client->writing_len > 0) return true;
  return false;
}

void control_stop(struct control *control) {
  while (control->clients != NULL) client_drop(control->clients);
  if (control->bound) unlink(control->path);
  uv_close((uv_handle_t *)&control->pipe, NULL);
}

void control_free(struct control *control) {
  call_free(control);
  free(control->path);
  free(control);
}
