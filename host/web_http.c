/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP: the files of the page, POST /api, and whether a connection may become a WebSocket. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/address.h"
#include "host/web_files.h"
#include "host/web_internal.h"

#define CHUNK_BYTES 16384u
#define FIELD_BYTES 512u
#define HEAD_BYTES 4096u
#define PATH_BYTES 4096

/* ---- answers ---- */

struct head {
  unsigned char memory[LWS_PRE + HEAD_BYTES];
  unsigned char *at;
  bool full;
};

static void add(struct lws *wsi, struct head *head, const char *name, const char *value) {
  unsigned char *end = head->memory + sizeof head->memory;
  if (lws_add_http_header_by_name(wsi, (const unsigned char *)name, (const unsigned char *)value,
                                  (int)strlen(value), &head->at, end) != 0)
    head->full = true;
}

/* Nothing inline, nothing from elsewhere. host: checked, or empty. */
static void add_policy(struct web_client *client, struct head *head, struct slice host) {
  char text[1024];
  snprintf(text, sizeof text,
           "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' %s%.*s; "
           "img-src 'self' data:; media-src 'self' blob:; font-src 'self'; manifest-src 'self'; "
           "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
           host.len == 0           ? ""
           : web_is_secure(client) ? "wss://"
                                   : "ws://",
           (int)host.len, host.len > 0 ? host.at : "");
  add(client->wsi, head, "content-security-policy:", text);
}

static void begin(struct web_client *client, struct head *head, unsigned status, const char *type,
                  size_t len) {
  head->at = head->memory + LWS_PRE;
  head->full = lws_add_http_common_headers(client->wsi, status, type, len, &head->at,
                                           head->memory + sizeof head->memory) != 0;
  add(client->wsi, head, "x-content-type-options:", "nosniff");
  add(client->wsi, head, "referrer-policy:", "no-referrer");
  add(client->wsi, head, "cross-origin-resource-policy:", "same-origin");
}

static bool finish(struct web_client *client, struct head *head) {
  return !head->full &&
         lws_finalize_write_http_header(client->wsi, head->memory + LWS_PRE, &head->at,
                                        head->memory + sizeof head->memory) == 0;
}

/* A short text, at once. False: the connection is gone. */
static bool say_with(struct web_client *client, unsigned status, const char *text, const char *name,
                     const char *value) {
  struct head head;
  unsigned char body[LWS_PRE + 512];
  size_t len = (size_t)snprintf((char *)body + LWS_PRE, sizeof body - LWS_PRE, "%s\n", text);
  begin(client, &head, status, "text/plain; charset=utf-8", len);
  add(client->wsi, &head, "cache-control:", "no-store");
  if (name != NULL) add(client->wsi, &head, name, value);
  add_policy(client, &head, SLICE_EMPTY);
  if (!finish(client, &head)) return false;
  return lws_write(client->wsi, body + LWS_PRE, len, LWS_WRITE_HTTP_FINAL) >= 0;
}

static void note_refusal(struct web_client *client, unsigned status, const char *text) {
  char from[ADDRESS_TEXT_BYTES];
  client->web->stats.refused++;
  log_often(client->web->loop->log, LOG_WEB, TRACE_INFO, "web: %s: %u %s",
            address_text(&client->from, from), status, text);
}

static int refuse(struct web_client *client, unsigned status, const char *text) {
  note_refusal(client, status, text);
  if (!say_with(client, status, text, NULL, NULL)) return -1;
  return lws_http_transaction_completed(client->wsi) ? -1 : 0;
}

/* What was not read of such a request is not waited for. */
static int refuse_and_close(struct web_client *client, unsigned status, const char *text) {
  (void)refuse(client, status, text);
  return -1;
}

int web_http_refuse(struct web_client *client, unsigned status, const char *text) {
  return refuse(client, status, text);
}

void web_http_free(struct web_client *client) {
  free(client->answer.owned);
  client->answer = (struct web_answer){0};
  client->answering = false;
}

/* Writes what there is room for, and comes again. */
static int write_body(struct web_client *client) {
  struct web_answer *answer = &client->answer;
  unsigned char chunk[LWS_PRE + CHUNK_BYTES];
  while (answer->sent < answer->len) {
    if (lws_send_pipe_choked(client->wsi)) {
      lws_set_timeout(client->wsi, PENDING_TIMEOUT_HTTP_CONTENT, WEB_TIMEOUT_S);
      lws_callback_on_writable(client->wsi);
      return 0;
    }
    size_t left = answer->len - answer->sent, n = left < CHUNK_BYTES ? left : CHUNK_BYTES;
    memcpy(chunk + LWS_PRE, answer->body + answer->sent, n);
    if (lws_write(client->wsi, chunk + LWS_PRE, n,
                  n == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < (int)n)
      return -1;
    answer->sent += n;
  }
  web_http_free(client);
  return lws_http_transaction_completed(client->wsi) ? -1 : 0;
}

int web_http_serve(struct web_client *client, const char *type) {
  struct head head;
  begin(client, &head, 200, type, client->answer.len);
  add(client->wsi, &head, "cache-control:", "no-store");
  add_policy(client, &head, SLICE_EMPTY);
  if (!finish(client, &head)) return -1;
  client->answering = true;
  return write_body(client);
}

/* ---- who asks ---- */

struct asked {
  struct web_request request;
  char host[FIELD_BYTES], origin[FIELD_BYTES], cookie[4 * FIELD_BYTES], authorization[FIELD_BYTES];
};

static bool read_who(struct web_client *client, struct asked *asked) {
  struct web_request *request = &asked->request;
  struct lws *wsi = client->wsi;
  *request = (struct web_request){.from = client->from, .secure = web_is_secure(client)};
  return web_header(wsi, WSI_TOKEN_HOST, asked->host, sizeof asked->host, &request->host) &&
         web_header(wsi, WSI_TOKEN_ORIGIN, asked->origin, sizeof asked->origin, &request->origin) &&
         web_header(wsi, WSI_TOKEN_HTTP_COOKIE, asked->cookie, sizeof asked->cookie,
                    &request->cookie) &&
         web_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, asked->authorization,
                    sizeof asked->authorization, &request->authorization);
}

/* Why a request is refused before it is looked at; 0: it is not. */
static unsigned refusal(const struct web_client *client, const struct asked *asked,
                        const char **text) {
  if (!web_host_good(&client->web->who, asked->request.host)) {
    *text = "Misdirected request: call this peer by its address, or say --web-name.";
    return 421;
  }
  if (!web_origin_good(&client->web->who, &asked->request)) {
    *text = "Forbidden: a page of another site asks (--web-origin allows it).";
    return 403;
  }
  return 0;
}

/* ---- files ---- */

static const char *type_of(const char *name) {
  static const struct {
    const char *end, *type;
  } types[] = {{".html", "text/html; charset=utf-8"},
               {".js", "text/javascript; charset=utf-8"},
               {".css", "text/css; charset=utf-8"},
               {".svg", "image/svg+xml"},
               {".png", "image/png"},
               {".ico", "image/x-icon"},
               {".json", "application/json"},
               {".map", "application/json"},
               {".txt", "text/plain; charset=utf-8"},
               {".webmanifest", "application/manifest+json"},
               {".woff2", "font/woff2"},
               {".mp3", "audio/mpeg"},
               {".wav", "audio/wav"}};
  size_t len = strlen(name);
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    size_t end = strlen(types[i].end);
    if (len > end && strcmp(name + len - end, types[i].end) == 0) return types[i].type;
  }
  return NULL;
}

static bool name_good(const char *name) {
  if (*name == '\0' || *name == '.') return false;
  for (; *name != '\0'; name++) {
    bool letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');
    if (!letter && !(*name >= '0' && *name <= '9') && strchr(".-_", *name) == NULL) return false;
  }
  return true;
}

/* A file of --web-root, as it is now. */
static bool read_file(const char *root, const char *name, struct web_answer *answer) {
  char path[PATH_BYTES];
  struct stat status;
  if ((size_t)snprintf(path, sizeof path, "%s/%s", root, name) >= sizeof path) return false;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size >= 0 &&
      (size_t)status.st_size <= WEB_FILE_BYTES_MAX) {
    answer->owned = host_take((size_t)status.st_size + 1);
    ssize_t n = read(fd, answer->owned, (size_t)status.st_size);
    answer->body = answer->owned;
    answer->len = n > 0 ? (size_t)n : 0;
  }
  close(fd);
  return answer->owned != NULL;
}

static bool find_file(const struct web *web, const char *name, struct web_answer *answer) {
  const char *root = settings_text(web->setup.settings, SET_WEB_ROOT);
  if (*root != '\0') return read_file(root, name, answer);
  for (size_t i = 0; i < web_file_count; i++) {
    if (strcmp(web_files[i].name, name) != 0) continue;
    answer->body = (const char *)web_files[i].bytes;
    answer->len = web_files[i].len;
    return true;
  }
  return false;
}

static int serve_file(struct web_client *client, struct slice host, const char *name,
                      bool head_only) {
  struct head head;
  const char *type = name_good(name) ? type_of(name) : NULL;
  web_http_free(client);
  if (type == NULL || !find_file(client->web, name, &client->answer))
    return refuse(client, 404, "Not found.");
  begin(client, &head, 200, type, client->answer.len);
  add(client->wsi, &head, "cache-control:", "no-cache");
  add_policy(client, &head, host);
  if (!finish(client, &head)) return -1;
  client->answering = true;
  if (head_only) client->answer.sent = client->answer.len;
  return write_body(client);
}

/* ---- requests ---- */

/* `/?token=...` becomes a cookie, and leaves the address line and the history. */
static int log_in(struct web_client *client, struct slice token) {
  char cookie[WEB_TOKEN_BYTES_MAX + 128];
  if (!web_token_equal(&client->web->who, token)) return refuse(client, 401, "Wrong token.");
  snprintf(cookie, sizeof cookie,
           WEB_TOKEN_COOKIE "=%s; Path=/; Max-Age=31536000; HttpOnly; SameSite=Strict%s",
           client->web->who.token, web_is_secure(client) ? "; Secure" : "");
  struct head head;
  begin(client, &head, 303, "text/plain; charset=utf-8", 0);
  add(client->wsi, &head, "location:", "/");
  add(client->wsi, &head, "set-cookie:", cookie);
  add(client->wsi, &head, "cache-control:", "no-store");
  if (!finish(client, &head)) return -1;
  return lws_http_transaction_completed(client->wsi) ? -1 : 0;
}

/* The body follows. */
static int begin_api(struct web_client *client) {
  char type_text[FIELD_BYTES], length_text[32];
  struct slice type, length;
  uint64_t bytes;
  if (!web_header(client->wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, type_text, sizeof type_text, &type) ||
      !slice_equal_nocase(slice_trim(slice_first(type, slice_find_byte(type, ';'))),
                          SLICE("application/json")))
    return refuse_and_close(client, 415, "Content-Type: application/json, please.");
  if (!web_header(client->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, length_text, sizeof length_text,
                  &length) ||
      !slice_to_u64(slice_trim(length), UINT64_MAX, &bytes))
    return refuse_and_close(client, 411, "Content-Length, please.");
  if (bytes > WEB_MESSAGE_BYTES_MAX) return refuse_and_close(client, 413, "Too long.");
  if (bytes == 0) return refuse_and_close(client, 400, "A JSON-RPC request, please.");
  web_forget_in(client);
  client->wanted = WEB_EVENTS; /* a body is welcome */
  return 0;
}

int web_http_request(struct web_client *client, const char *path) {
  struct asked asked;
  char args_text[FIELD_BYTES];
  struct slice args;
  const char *text = "";
  char *uri;
  int uri_len, method = lws_http_get_uri_and_method(client->wsi, &uri, &uri_len);
  client->wanted = WEB_HTTP;
  if (!read_who(client, &asked) ||
      !web_header(client->wsi, WSI_TOKEN_HTTP_URI_ARGS, args_text, sizeof args_text, &args))
    return refuse_and_close(client, 431, "A header field is too long.");
  unsigned status = refusal(client, &asked, &text);
  if (status != 0) return refuse_and_close(client, status, text);
  bool reads = method == LWSHUMETH_GET || method == LWSHUMETH_HEAD;
  bool has_body = lws_hdr_total_length(client->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
                  lws_hdr_total_length(client->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
  if (reads && has_body) return refuse_and_close(client, 400, "A body is not expected.");
  if (reads && strcmp(path, "/") == 0 && slice_take(&args, SLICE("token=")))
    return log_in(client, args);
  struct slice wanted = slice_cstr(path);
  if (client->web->setup.provision != NULL && slice_take(&wanted, SLICE("/provision/")) &&
      !has_body)
    return web_provision(client, wanted, method == LWSHUMETH_GET);
  if (!web_token_good(&client->web->who, &asked.request))
    return refuse_and_close(client, 401,
                            "From another machine the token is needed once: http://.../?token=..."
                            "It is in the file web-token of the peer's data folder.");
  if (method == LWSHUMETH_POST && strcmp(path, "/api") == 0) return begin_api(client);
  if (!reads) return refuse_and_close(client, 405, "GET, please.");
  const char *name = strcmp(path, "/") == 0 ? "index.html" : path + 1;
  return serve_file(client, asked.request.host, name, method == LWSHUMETH_HEAD);
}

int web_http_body(struct web_client *client, const void *bytes, size_t len) {
  if (client->wanted != WEB_EVENTS) return 0; /* refused, and thrown away */
  return web_gather(client, bytes, len) ? 0 : -1;
}

int web_http_body_end(struct web_client *client) {
  if (client->wanted != WEB_EVENTS) return 0;
  lws_set_timeout(client->wsi, PENDING_TIMEOUT_HTTP_CONTENT, WEB_TIMEOUT_S);
  web_ask(client, slice_of(client->in, client->in_len));
  web_forget_in(client);
  return 0;
}

void web_http_answer_json(struct web_client *client, char *text) {
  web_http_free(client);
  if (text == NULL) {
    web_drop(client);
    return;
  }
  client->answer = (struct web_answer){.body = text, .owned = text, .len = strlen(text)};
  lws_callback_on_writable(client->wsi);
}

int web_http_writable(struct web_client *client) {
  if (client->dropped) return -1;
  if (client->answer.body == NULL) return 0;
  return client->answering ? write_body(client) : web_http_serve(client, "application/json");
}

/* ---- WebSockets ---- */

/* Is `name` the first of ours in the list? libwebsockets takes the first that it knows. */
static bool offers(struct slice list, struct slice name) {
  static const struct slice known[] = {{"http", 4}, {"sip", 3}, {"locser", 6}};
  while (list.len > 0) {
    struct slice one = slice_trim(slice_take_until(&list, ','));
    list = slice_skip(list, 1);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
      if (slice_equal(one, known[i])) return slice_equal(one, name);
  }
  return false;
}

/* Answered; libwebsockets goes on with the next request. */
static int no_upgrade(struct web_client *client, unsigned status, const char *text) {
  note_refusal(client, status, text);
  bool version = status == 426;
  return say_with(client, status, text, version ? "sec-websocket-version:" : NULL, "13") ? 1 : -1;
}

int web_http_upgrade(struct web_client *client, const char *to) {
  struct asked asked;
  char list_text[FIELD_BYTES], version_text[16];
  struct slice list, version, path;
  const char *text = "";
  char *uri;
  int uri_len;
  if (strcasecmp(to, "websocket") != 0) return no_upgrade(client, 400, "Only to WebSocket.");
  if (lws_http_get_uri_and_method(client->wsi, &uri, &uri_len) != LWSHUMETH_GET)
    return no_upgrade(client, 405, "GET, please.");
  path = slice_of(uri, (size_t)uri_len);
  if (!read_who(client, &asked) ||
      !web_header(client->wsi, WSI_TOKEN_PROTOCOL, list_text, sizeof list_text, &list) ||
      !web_header(client->wsi, WSI_TOKEN_VERSION, version_text, sizeof version_text, &version))
    return no_upgrade(client, 431, "A header field is too long.");
  unsigned status = refusal(client, &asked, &text);
  if (status != 0) return no_upgrade(client, status, text);
  if (!slice_equal(version, SLICE("13"))) return no_upgrade(client, 426, "Version 13, please.");
  bool events = slice_equal(path, SLICE("/events"));
  if (!events && !slice_equal(path, SLICE("/sip")) && !slice_equal(path, SLICE("/")))
    return no_upgrade(client, 404, "There are /sip and /events.");
  if (!offers(list, events ? SLICE("locser") : SLICE("sip")))
    return no_upgrade(client, 400,
                      events ? "The subprotocol is locser." : "The subprotocol is sip (RFC 7118).");
  if (events && !web_token_good(&client->web->who, &asked.request))
    return no_upgrade(client, 401, "The token is needed.");
  if (events && client->web->stats.watchers >= WEB_EVENT_CLIENTS_MAX)
    return no_upgrade(client, 503, "Enough watch already.");
  client->wanted = events ? WEB_EVENTS : WEB_SIP;
  return 0;
}
