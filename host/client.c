/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/settings.h"

#define ANSWER_BYTES_MAX ((size_t)256 << 20)

struct client_link {
  int fd;
  char *path;
  char *in;
  size_t len, cap;
};

static char *find_path(const char *given) {
  const char *text = given != NULL ? given : getenv("LOCSER_CONTROL");
  if (text != NULL && *text != '\0') {
    size_t len = strlen(text) + 1;
    return memcpy(host_take(len), text, len);
  }
  char *data = settings_default_data();
  char *path = data != NULL ? settings_control_path(data) : NULL;
  free(data);
  return path;
}

static enum err connect_to(struct client_link *link, struct why *why) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t len = strlen(link->path);
  if (len >= sizeof address.sun_path)
    return why_say(why, ERR_LIMIT, "%s: too long for the path of a socket", link->path);
  memcpy(address.sun_path, link->path, len);
  link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (link->fd >= 0 && connect(link->fd, (struct sockaddr *)&address, sizeof address) == 0)
    return OK;
  return why_say(why, ERR_CLOSED,
                 "no locserd answers at %s (%s). Start one, or say where it is: --control PATH or "
                 "LOCSER_CONTROL=PATH",
                 link->path, strerror(errno));
}

struct client_link *client_open(const char *path, struct why *why) {
  struct client_link *link = host_take(sizeof *link);
  link->fd = -1;
  link->path = find_path(path);
  if (link->path == NULL) {
    why_say(why, ERR_NOT_FOUND, "there is no home directory; say --control PATH");
  } else if (connect_to(link, why) == OK) {
    return link;
  }
  client_close(link);
  return NULL;
}

void client_close(struct client_link *link) {
  if (link->fd >= 0) close(link->fd);
  free(link->path);
  free(link->in);
  free(link);
}

static bool send_line(struct client_link *link, json_t *request) {
  char *text = json_dumps(request, JSON_COMPACT);
  if (text == NULL) return false;
  size_t len = strlen(text) + 1, at = 0;
  text[len - 1] = '\n';
  while (at < len) {
    ssize_t n = send(link->fd, text + at, len - at, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    at += (size_t)n;
  }
  free(text);
  return at == len;
}

static bool read_more(struct client_link *link) {
  if (link->len == link->cap) {
    size_t cap = link->cap > 0 ? link->cap * 2 : 65536;
    char *in = cap <= ANSWER_BYTES_MAX ? realloc(link->in, cap) : NULL;
    if (in == NULL) return false;
    link->in = in;
    link->cap = cap;
  }
  ssize_t n;
  do {
    n = recv(link->fd, link->in + link->len, link->cap - link->len, 0);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) return false;
  link->len += (size_t)n;
  return true;
}

/* The next object that locserd sent, or NULL. */
static json_t *next_object(struct client_link *link) {
  char *end;
  size_t searched = 0;
  while ((end = link->len > searched ? memchr(link->in + searched, '\n', link->len - searched)
                                     : NULL) == NULL) {
    searched = link->len;
    if (!read_more(link)) return NULL;
  }
  size_t len = (size_t)(end - link->in);
  json_t *object = json_loadb(link->in, len, 0, NULL);
  link->len -= len + 1;
  memmove(link->in, end + 1, link->len);
  return object;
}

static void wait_at_most(struct client_link *link, int seconds) {
  struct timeval limit = {.tv_sec = seconds};
  setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

json_t *client_call(struct client_link *link, const char *method, json_t *params, int *status,
                    struct why *why) {
  json_t *request = json_pack("{s:s, s:i, s:s, s:o*}", "jsonrpc", "2.0", "id", 1, "method", method,
                              "params", params);
  *status = 0;
  wait_at_most(link, CLIENT_WAIT_S);
  bool sent = send_line(link, request);
  json_decref(request);
  json_t *answer = NULL;
  while (sent && (answer = next_object(link)) != NULL && json_object_get(answer, "id") == NULL)
    json_decref(answer); /* a notification */
  if (answer == NULL) {
    why_say(why, ERR_CLOSED, "locserd at %s gave no answer%s", link->path,
            errno == EAGAIN ? " in time" : "; it may have ended");
    return NULL;
  }
  json_t *result = json_incref(json_object_get(answer, "result"));
  if (result == NULL) {
    const char *text = NULL;
    json_unpack(answer, "{s:{s:i, s:s}}", "error", "code", status, "message", &text);
    why_say(why, ERR_REFUSED, "%s", text != NULL && *text != '\0' ? text : "refused");
  }
  json_decref(answer);
  return result;
}

json_t *client_next(struct client_link *link) {
  wait_at_most(link, 0);
  for (json_t *object; (object = next_object(link)) != NULL; json_decref(object)) {
    json_t *params = json_incref(json_object_get(object, "params"));
    if (params == NULL) continue;
    json_decref(object);
    return params;
  }
  return NULL;
}
