/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections: accepted here, so that limits hold and errors are clear; spoken by libwebsockets. */
#include "host/web.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "host/address.h"
#include "host/tls.h"
#include "host/web_internal.h"

#define BACKLOG 128
#define ACCEPTS_AT_ONCE 32
#define IN_BYTES_MIN 4096u
#define OTHER_DESCRIPTORS 8u /* of libwebsockets itself */

/* ---- clients ---- */

struct web_client *web_client_of(struct web *web, uint32_t number) {
  struct web_client *client = web->client[(number % LOOP_FLOW_WEB) % web->client_max];
  return client != NULL && client->number == number ? client : NULL;
}

bool web_is_secure(const struct web_client *client) {
  return client->from.transport == TRANSPORT_WSS;
}

/* The number says the slot, and is new. */
static uint32_t next_number(struct web *web, uint32_t slot) {
  web->serial = (web->serial + 1) % (LOOP_FLOW_WEB / web->client_max - 1);
  return LOOP_FLOW_WEB + web->serial * web->client_max + slot;
}

static struct web_client *client_new(struct web *web, const struct endpoint *from) {
  uint32_t slot = 0;
  while (slot < web->client_max && web->client[slot] != NULL) slot++;
  if (slot == web->client_max) return NULL;
  struct web_client *client = host_take(sizeof *client);
  client->web = web;
  client->from = *from;
  client->number = next_number(web, slot);
  client->last = &client->first;
  web->client[slot] = client;
  web->stats.clients++;
  return client;
}

static void client_free(struct web_client *client) {
  struct web *web = client->web;
  web->client[(client->number % LOOP_FLOW_WEB) % web->client_max] = NULL;
  web->stats.clients--;
  for (struct web_words *next, *words = client->first; words != NULL; words = next) {
    next = words->next;
    free(words);
  }
  web_http_free(client);
  web_expect_message(client, 0);
  free(client->in);
  free(client);
}

/* ---- what comes ---- */

bool web_gather(struct web_client *client, const void *bytes, size_t len) {
  size_t need = client->in_len + len;
  if (need > WEB_MESSAGE_BYTES_MAX) return false;
  if (need > client->in_cap) {
    size_t cap = client->in_cap > 0 ? client->in_cap : IN_BYTES_MIN;
    while (cap < need) cap *= 2;
    char *grown = host_take(cap);
    if (client->in_len > 0) memcpy(grown, client->in, client->in_len);
    free(client->in);
    client->in = grown;
    client->in_cap = cap;
  }
  if (len > 0) memcpy(client->in + client->in_len, bytes, len);
  client->in_len = need;
  return true;
}

void web_forget_in(struct web_client *client) {
  client->in_len = 0;
  if (client->in_cap <= IN_BYTES_MIN) return;
  free(client->in);
  client->in = NULL;
  client->in_cap = 0;
}

bool web_header(struct lws *wsi, enum lws_token_indexes token, char *memory, size_t cap,
                struct slice *out) {
  int len = lws_hdr_total_length(wsi, token);
  *out = SLICE_EMPTY;
  if (len <= 0) return true;
  len = lws_hdr_copy(wsi, memory, (int)cap, token);
  if (len < 0) return false;
  *out = slice_of(memory, (size_t)len);
  return true;
}

static int refuse(struct web_client *client, enum lws_close_status status, const char *why) {
  char text[ADDRESS_TEXT_BYTES];
  client->web->stats.bad++;
  log_often(client->web->loop->log, LOG_WEB, TRACE_INFO, "web: %s: %s; closing",
            address_text(&client->from, text), why);
  lws_close_reason(client->wsi, status, NULL, 0);
  return -1;
}

static void on_alarm(lws_sorted_usec_list_t *alarm) {
  struct web_client *client = lws_container_of(alarm, struct web_client, alarm);
  refuse(client, LWS_CLOSE_STATUS_POLICY_VIOLATION, "no message in time");
  web_drop(client);
}

void web_expect_message(struct web_client *client, uint64_t seconds) {
  if (seconds == 0)
    lws_sul_cancel(&client->alarm);
  else
    lws_sul_schedule(client->web->context, 0, &client->alarm, on_alarm, (lws_usec_t)SEC(seconds));
}

/* A frame, or a part of one: a message is given on when it is whole (RFC 6455 section 5.4). */
static int on_receive(struct web_client *client, const void *bytes, size_t len) {
  struct web *web = client->web;
  if (client->dropped) return -1;
  if (client->in_len == 0 && client->kind == WEB_SIP)
    web_expect_message(client, settings_number(web->setup.settings, SET_MESSAGE_TIME));
  if (!web_gather(client, bytes, len))
    return refuse(client, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "a message is too long");
  if (lws_remaining_packet_payload(client->wsi) != 0 || !lws_is_final_fragment(client->wsi))
    return 0;
  if (client->kind == WEB_SIP)
    web_sip_message(client);
  else
    web_ask(client, slice_of(client->in, client->in_len));
  web_forget_in(client);
  return client->dropped ? -1 : 0;
}

/* ---- what goes ---- */

bool web_put(struct web_client *client, struct slice text, bool binary, uint64_t ticket,
             size_t bytes_max) {
  if (client->dropped) return false;
  if (client->waiting + text.len > bytes_max) {
    web_drop(client);
    return false;
  }
  struct web_words *words = host_take(sizeof *words + LWS_PRE + text.len);
  words->ticket = ticket;
  words->binary = binary;
  words->len = text.len;
  memcpy(words->bytes + LWS_PRE, text.at, text.len);
  *client->last = words;
  client->last = &words->next;
  client->waiting += text.len;
  lws_callback_on_writable(client->wsi);
  return true;
}

void web_drop(struct web_client *client) {
  if (client->dropped) return;
  client->dropped = true;
  lws_set_timeout(client->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

static int on_writable(struct web_client *client) {
  while (client->first != NULL) {
    struct web_words *words = client->first;
    if (lws_send_pipe_choked(client->wsi)) break;
    int n = lws_write(client->wsi, words->bytes + LWS_PRE, words->len,
                      words->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
    if (n < (int)words->len) return -1;
    client->waiting -= words->len;
    client->first = words->next;
    if (client->first == NULL) client->last = &client->first;
    free(words);
  }
  if (client->first != NULL)
    lws_callback_on_writable(client->wsi);
  else if (client->closing)
    return -1;
  return 0;
}

/* ---- callbacks of libwebsockets ---- */

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t len) {
  struct web_client *client = lws_get_opaque_user_data(wsi);
  if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS) { /* it begins to serve TLS */
    const struct web *web = lws_context_user(lws_get_context(wsi));
    tls_lend(web->setup.tls, user);
  }
  if (client == NULL) return 0; /* its own */
  client->wsi = wsi;
  switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
      return web_http_request(client, in);
    case LWS_CALLBACK_HTTP_BODY:
      return web_http_body(client, in, len);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
      return web_http_body_end(client);
    case LWS_CALLBACK_HTTP_WRITEABLE:
      return web_http_writable(client);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
      return web_http_upgrade(client, in);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
    case LWS_CALLBACK_ESTABLISHED:
      return -1; /* a WebSocket without a subprotocol of ours */
    case LWS_CALLBACK_WSI_DESTROY:
      client_free(client);
      lws_set_opaque_user_data(wsi, NULL);
      return 0;
    default:
      return 0;
  }
}

static int on_websocket(struct lws *wsi, enum lws_callback_reasons reason, enum web_kind kind,
                        const void *in, size_t len) {
  struct web_client *client = lws_get_opaque_user_data(wsi);
  if (client == NULL) return 0;
  switch ((int)reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
      return client->wanted == kind ? 0 : -1;
    case LWS_CALLBACK_ESTABLISHED:
      client->kind = kind;
      client->open = true;
      if (kind == WEB_SIP)
        web_sip_open(client);
      else
        web_events_open(client);
      return 0;
    case LWS_CALLBACK_RECEIVE:
      return on_receive(client, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
      return client->dropped ? -1 : on_writable(client);
    case LWS_CALLBACK_CLOSED:
      if (!client->open) return 0;
      client->open = false;
      client->dropped = true;
      if (kind == WEB_SIP)
        web_sip_close(client);
      else
        web_events_close(client);
      return 0;
    default:
      return 0;
  }
}

static int on_sip(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len) {
  (void)user;
  return on_websocket(wsi, reason, WEB_SIP, in, len);
}

static int on_events(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t len) {
  (void)user;
  return on_websocket(wsi, reason, WEB_EVENTS, in, len);
}

static const struct lws_protocols protocols[] = {
    {"http", on_http, 0, 4096, 0, NULL, 0},
    {"sip", on_sip, 0, 16384, 0, NULL, 0},
    {"locser", on_events, 0, 4096, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

/* ---- listening ---- */

static const char *why_not(const struct web *web, const struct endpoint *from) {
  if (web->stats.clients >= web->client_max) return "all connections are taken";
  if (endpoint_is_loopback(from)) return NULL;
  uint32_t same = 0;
  for (uint32_t i = 0; i < web->client_max; i++) {
    const struct web_client *client = web->client[i];
    same += client != NULL && memcmp(client->from.addr, from->addr, sizeof from->addr) == 0;
  }
  return same >= web->per_source_max ? "too many connections from there" : NULL;
}

static void accept_one(struct web_listener *listener, int fd, const union address *address) {
  struct web *web = listener->web;
  struct endpoint from = address_to(address, listener->secure ? TRANSPORT_WSS : TRANSPORT_WS);
  const char *refused = why_not(web, &from);
  if (refused != NULL) {
    char text[ADDRESS_TEXT_BYTES];
    web->stats.refused++;
    log_often(web->loop->log, LOG_WEB, TRACE_WARNING, "web: %s was refused: %s",
              address_text(&from, text), refused);
    close(fd);
    return;
  }
  struct web_client *client = client_new(web, &from);
  ASSERT(client != NULL);
  lws_adopt_desc_t adopt = {.vh = listener->vhost,
                            .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
                            .fd = {.sockfd = fd},
                            .vh_prot_name = protocols[0].name,
                            .opaque = client};
  if (lws_adopt_descriptor_vhost_via_info(&adopt) == NULL) web->stats.refused++;
}

static void on_connection(uv_poll_t *poll, int status, int events) {
  struct web_listener *listener = poll->data;
  (void)events;
  if (status < 0) return;
  for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
    union address address;
    socklen_t len = sizeof address;
    memset(&address, 0, sizeof address);
    int fd = accept4(listener->fd, &address.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    accept_one(listener, fd, &address);
  }
}

static int bind_to(struct endpoint *at) {
  union address address;
  socklen_t len = address_of(at, &address);
  int one = 1;
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (address.any.sa_family == AF_INET6)
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (bind(fd, &address.any, len) == 0 && listen(fd, BACKLOG) == 0 &&
      getsockname(fd, &address.any, &len) == 0) {
    *at = address_to(&address, (enum transport)at->transport);
    return fd;
  }
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static enum err vhost_new(struct web *web, struct web_listener *listener, struct why *why) {
  const struct settings *settings = web->setup.settings;
  static const lws_retry_bo_t alive = {.secs_since_valid_ping = WEB_PING_S,
                                       .secs_since_valid_hangup = WEB_HANGUP_S};
  struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN_SERVER,
      .protocols = protocols,
      .vhost_name = listener->secure ? "wss" : "ws",
      .keepalive_timeout = WEB_TIMEOUT_S,
      .timeout_secs = WEB_TIMEOUT_S,
      .retry_and_idle_policy = &alive,
      .server_string = "locser",
      .alpn = "http/1.1", /* HTTP/2 would be another road to the same place */
      .options = LWS_SERVER_OPTION_VALIDATE_UTF8};
  if (listener->secure) {
    info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.ssl_cert_filepath = settings_text(settings, SET_TLS_CERTIFICATE);
    info.ssl_private_key_filepath = settings_text(settings, SET_TLS_KEY);
  }
  listener->vhost = lws_create_vhost(web->context, &info);
  if (listener->vhost != NULL) return OK;
  return why_say(why, ERR_IO, "%s: libwebsockets cannot serve it%s",
                 listener->secure ? "web-tls" : "web",
                 listener->secure ? "; look at tls-certificate and tls-key" : "");
}

/* OK without a listener: the port is taken, and nobody asked for it. */
static enum err add_listener(struct web *web, enum setting setting, struct why *why) {
  const struct settings *settings = web->setup.settings;
  const char *text = settings_text(settings, setting);
  struct web_listener *listener = &web->listener[web->listeners];
  struct why reason = {""};
  *listener = (struct web_listener){.web = web, .secure = setting == SET_WEB_TLS};
  enum transport transport = listener->secure ? TRANSPORT_WSS : TRANSPORT_WS;
  if (address_resolve(text, transport, 0, &listener->at, &reason) != OK)
    return why_say(why, ERR_SYNTAX, "%s: %s", setting_info(setting)->name, reason.text);
  listener->fd = bind_to(&listener->at);
  if (listener->fd < 0 && settings->value[setting].source == FROM_DEFAULT) {
    log_line(web->loop->log, TRACE_INFO,
             "web: no page, since %s cannot be had (%s); --web HOST:PORT gives it another place",
             text, strerror(errno));
    return OK;
  }
  if (listener->fd < 0)
    return why_say(why, ERR_IO, "%s %s: %s", setting_info(setting)->name, text, strerror(errno));
  enum err err = vhost_new(web, listener, why);
  if (err != OK) {
    close(listener->fd);
    return err;
  }
  uv_poll_init(&web->loop->uv, &listener->poll, listener->fd);
  listener->poll.data = listener;
  uv_poll_start(&listener->poll, UV_READABLE, on_connection);
  web->listeners++;
  return OK;
}

/* ---- life ---- */

static enum err context_new(struct web *web, struct why *why) {
  void *loops[] = {&web->loop->uv};
  struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN,
      .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                 LWS_SERVER_OPTION_VALIDATE_UTF8 |
                 (settings_text(web->setup.settings, SET_WEB_TLS)[0] != '\0'
                      ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT
                      : 0),
      .foreign_loops = loops,
      .user = web,
      .fd_limit_per_thread = web->client_max + OTHER_DESCRIPTORS,
      .max_http_header_data = WEB_HEADER_BYTES_MAX,
      .max_http_header_pool = (unsigned short)web->client_max,
      .timeout_secs = WEB_TIMEOUT_S};
  lws_set_log_level(0, NULL);
  web->context = lws_create_context(&info);
  if (web->context != NULL) return OK;
  return why_say(why, ERR_IO,
                 "web: libwebsockets cannot start (is its part for libuv there, the package "
                 "libwebsockets-evlib-uv?); --web off goes on without");
}

/* Only who is not on this machine needs a token, and only then is one made. */
static enum err load_token(struct web *web, struct why *why) {
  const struct settings *settings = web->setup.settings;
  const char *file = settings_text(settings, SET_WEB_TOKEN);
  bool needed = *file != '\0' || web->who.names->count > 0;
  for (unsigned i = 0; i < web->listeners; i++)
    needed = needed || !endpoint_is_loopback(&web->listener[i].at);
  if (!needed) return OK;
  enum err err = web_token_load(&web->who, file, settings_text(settings, SET_DATA), why);
  if (err == OK)
    log_line(
        web->loop->log, TRACE_INFO,
        "web: others than this machine need the token in %s%s: open http://HOST:PORT/?token=...",
        *file != '\0' ? file : settings_text(settings, SET_DATA),
        *file != '\0' ? "" : "/web-token");
  return err;
}

static enum err start(struct web *web, struct why *why) {
  const struct settings *settings = web->setup.settings;
  bool plain = strcmp(settings_text(settings, SET_WEB), "off") != 0;
  bool secure = settings->value[SET_WEB_TLS].count > 0;
  enum err err = context_new(web, why);
  if (err == OK && plain) err = add_listener(web, SET_WEB, why);
  if (err == OK && secure) err = add_listener(web, SET_WEB_TLS, why);
  return err == OK ? load_token(web, why) : err;
}

enum err web_new(const struct web_setup *setup, struct web **out, struct why *why) {
  const struct settings *settings = setup->settings;
  *out = NULL;
  bool plain = strcmp(settings_text(settings, SET_WEB), "off") != 0;
  if (!plain && settings->value[SET_WEB_TLS].count == 0) return OK;
  struct web *web = host_take(sizeof *web);
  web->setup = *setup;
  web->loop = setup->loop;
  web->who.names = &settings->value[SET_WEB_NAME];
  web->who.origins = &settings->value[SET_WEB_ORIGIN];
  web->client_max = (uint32_t)settings_number(settings, SET_WEB_CONNECTIONS_MAX);
  web->per_source_max = (uint32_t)settings_number(settings, SET_CONNECTIONS_PER_SOURCE_MAX);
  web->client = host_take(web->client_max * sizeof(struct web_client *));
  web->last_ticket = LOOP_TICKET_WEB + WEB_STATE_PARTS; /* those before are web_events.c's */
  uv_random(NULL, NULL, &web->serial, sizeof web->serial, 0, NULL);
  uv_timer_init(&web->loop->uv, &web->second);
  web->second.data = web;
  *out = web;
  return start(web, why);
}

bool web_writing(const struct web *web) {
  if (web == NULL) return false;
  for (uint32_t i = 0; i < web->client_max; i++)
    if (web->client[i] != NULL && web->client[i]->first != NULL && !web->client[i]->dropped)
      return true;
  return false;
}

static void on_listener_closed(uv_handle_t *handle) {
  struct web_listener *listener = handle->data;
  close(listener->fd);
}

void web_stop(struct web *web) {
  if (web == NULL) return;
  web->stopped = true;
  for (unsigned i = 0; i < web->listeners; i++)
    uv_close((uv_handle_t *)&web->listener[i].poll, on_listener_closed);
  uv_close((uv_handle_t *)&web->second, NULL);
  if (web->context != NULL) lws_context_destroy(web->context);
}

/* libwebsockets lets go of what it had on the loop, and a second time of the rest. */
void web_free(struct web *web) {
  if (web == NULL) return;
  if (web->context != NULL) lws_context_destroy(web->context);
  for (uint32_t i = 0; i < web->client_max; i++)
    if (web->client[i] != NULL) client_free(web->client[i]);
  web_ask_free(web);
  web_events_free(web);
  free(web->client);
  free(web);
}

struct web_stats web_stats(const struct web *web) {
  return web != NULL ? web->stats : (struct web_stats){0};
}

unsigned web_listen_count(const struct web *web) { return web != NULL ? web->listeners : 0; }

const char *web_address(const struct web *web, unsigned i, char out[80]) {
  char text[ADDRESS_TEXT_BYTES];
  snprintf(out, 80, "%s://%s", web->listener[i].secure ? "https" : "http",
           address_text(&web->listener[i].at, text));
  return out;
}
