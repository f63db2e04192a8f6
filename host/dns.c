/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/dns.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "host/address.h"

#define TIMEOUT_MS 2000 /* for the first try at each server */
#define TRIES 2
#define WATCH_MS 250 /* while questions are under way: c-ares looks for those that are late */
#define SERVERS_TEXT_BYTES 512

struct watched {
  struct dns *dns;
  ares_socket_t fd;
  uv_poll_t poll;
  struct watched *next;
};

struct question {
  struct dns *dns;
  uint64_t ticket;
  enum dns_type type;
};

struct dns {
  struct loop *loop;
  ares_channel channel;
  struct watched *watched;
  uv_timer_t timer;
  bool stopped;
};

/* ---- sockets and time ---- */

static void on_closed(uv_handle_t *handle) { free(handle->data); }

static void on_ready(uv_poll_t *poll, int status, int events) {
  struct watched *w = poll->data;
  bool all = status < 0;
  ares_socket_t readable = all || events & UV_READABLE ? w->fd : ARES_SOCKET_BAD;
  ares_socket_t writable = all || events & UV_WRITABLE ? w->fd : ARES_SOCKET_BAD;
  ares_process_fd(w->dns->channel, readable, writable);
}

static void on_timer(uv_timer_t *timer) {
  struct dns *dns = timer->data;
  ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  if (dns->watched == NULL) uv_timer_stop(timer);
  loop_settle(dns->loop);
}

static struct watched *watch(struct dns *dns, ares_socket_t fd) {
  for (struct watched *w = dns->watched; w != NULL; w = w->next)
    if (w->fd == fd) return w;
  struct watched *w = host_take(sizeof *w);
  w->dns = dns;
  w->fd = fd;
  w->poll.data = w;
  if (uv_poll_init(&dns->loop->uv, &w->poll, fd) != 0) {
    free(w); /* the question ends by its time */
    return NULL;
  }
  w->next = dns->watched;
  dns->watched = w;
  return w;
}

static void unwatch(struct dns *dns, ares_socket_t fd) {
  for (struct watched **at = &dns->watched; *at != NULL; at = &(*at)->next) {
    struct watched *w = *at;
    if (w->fd != fd) continue;
    *at = w->next;
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, on_closed);
    return;
  }
}

static void on_socket(void *context, ares_socket_t fd, int readable, int writable) {
  struct dns *dns = context;
  if (!readable && !writable) {
    unwatch(dns, fd);
    return;
  }
  struct watched *w = watch(dns, fd);
  if (w != NULL)
    uv_poll_start(&w->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_ready);
  if (!uv_is_active((uv_handle_t *)&dns->timer))
    uv_timer_start(&dns->timer, on_timer, WATCH_MS, WATCH_MS);
}

/* ---- answers ---- */

static void give(struct question *question, int status, const struct dns_record *record,
                 unsigned count) {
  struct dns *dns = question->dns;
  struct input input = {.kind = IN_RESOLVED,
                        .ticket = question->ticket,
                        .status = status == ARES_SUCCESS ? OK : ERR_IO,
                        .dns = record,
                        .dns_count = count};
  if (status == ARES_ENODATA || status == ARES_ENOTFOUND) input.status = ERR_NOT_FOUND;
  if (dns->loop->carrying_out)
    loop_later(dns->loop, &input);
  else if (!dns->stopped)
    loop_step(dns->loop, &input);
  free(question);
}

static void on_addresses(void *context, int status, int timeouts, struct ares_addrinfo *result) {
  struct dns_record record[DNS_RECORDS_MAX] = {0};
  unsigned count = 0;
  (void)timeouts;
  for (const struct ares_addrinfo_node *node = result == NULL ? NULL : result->nodes;
       node != NULL && count < DNS_RECORDS_MAX; node = node->ai_next) {
    union address address;
    if (node->ai_addrlen > sizeof address) continue;
    memcpy(&address, node->ai_addr, node->ai_addrlen);
    record[count++] = (struct dns_record){.ttl_s = node->ai_ttl > 0 ? (uint32_t)node->ai_ttl : 0,
                                          .address = address_to(&address, TRANSPORT_UDP)};
  }
  give(context, status, record, count);
  if (result != NULL) ares_freeaddrinfo(result);
}

static uint32_t read_u16(const unsigned char *at) { return (uint32_t)at[0] << 8 | at[1]; }

/* Moves past a name. */
static bool skip_name(const unsigned char **at, const unsigned char *bytes, int len) {
  char *name;
  long used;
  if (ares_expand_name(*at, bytes, len, &name, &used) != ARES_SUCCESS) return false;
  ares_free_string(name);
  *at += used;
  return true;
}

/* The least TTL of an answer's records: c-ares leaves it out of those of SRV and NAPTR. */
static uint32_t least_ttl(const unsigned char *bytes, int len) {
  if (len < HFIXEDSZ) return 0;
  const unsigned char *at = bytes + HFIXEDSZ, *end = bytes + len;
  uint32_t questions = read_u16(bytes + 4), answers = read_u16(bytes + 6), least = UINT32_MAX;
  for (; questions > 0; questions--) {
    if (!skip_name(&at, bytes, len) || end - at < QFIXEDSZ) return 0;
    at += QFIXEDSZ;
  }
  for (; answers > 0; answers--) {
    if (!skip_name(&at, bytes, len) || end - at < RRFIXEDSZ) return 0;
    uint32_t ttl_s = read_u16(at + 4) << 16 | read_u16(at + 6), data = read_u16(at + 8);
    if (end - at - RRFIXEDSZ < (ptrdiff_t)data) return 0;
    at += RRFIXEDSZ + data;
    if (ttl_s < least) least = ttl_s;
  }
  return least;
}

static unsigned read_srv(const struct ares_srv_reply *reply, uint32_t ttl_s,
                         struct dns_record out[DNS_RECORDS_MAX]) {
  unsigned count = 0;
  for (; reply != NULL && count < DNS_RECORDS_MAX; reply = reply->next)
    out[count++] = (struct dns_record){.ttl_s = ttl_s,
                                       .order = reply->priority,
                                       .preference = reply->weight,
                                       .port = reply->port,
                                       .name = slice_cstr(reply->host)};
  return count;
}

static unsigned read_naptr(const struct ares_naptr_reply *reply, uint32_t ttl_s,
                           struct dns_record out[DNS_RECORDS_MAX]) {
  unsigned count = 0;
  for (; reply != NULL && count < DNS_RECORDS_MAX; reply = reply->next)
    out[count++] = (struct dns_record){.ttl_s = ttl_s,
                                       .order = reply->order,
                                       .preference = reply->preference,
                                       .flags = slice_cstr((const char *)reply->flags),
                                       .service = slice_cstr((const char *)reply->service),
                                       .name = slice_cstr(reply->replacement)};
  return count;
}

static void on_answer(void *context, int status, int timeouts, unsigned char *bytes, int len) {
  struct question *question = context;
  struct dns_record record[DNS_RECORDS_MAX] = {0};
  unsigned count = 0;
  struct ares_srv_reply *srv = NULL;
  struct ares_naptr_reply *naptr = NULL;
  (void)timeouts;
  if (status == ARES_SUCCESS) {
    uint32_t ttl_s = least_ttl(bytes, len);
    if (question->type == DNS_SRV) {
      status = ares_parse_srv_reply(bytes, len, &srv);
      count = read_srv(srv, ttl_s, record);
    } else {
      status = ares_parse_naptr_reply(bytes, len, &naptr);
      count = read_naptr(naptr, ttl_s, record);
    }
  }
  give(question, status, record, count);
  ares_free_data(srv);
  ares_free_data(naptr);
}

/* ---- questions ---- */

void dns_resolve(struct dns *dns, uint64_t ticket, enum dns_type type, struct slice name) {
  char text[DNS_NAME_BYTES_MAX + 1];
  struct question *question = host_take(sizeof *question);
  *question = (struct question){dns, ticket, type};
  ASSERT(name.len <= DNS_NAME_BYTES_MAX);
  memcpy(text, name.at, name.len);
  text[name.len] = '\0';
  struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC};
  if (type == DNS_ADDRESS)
    ares_getaddrinfo(dns->channel, text, NULL, &hints, on_addresses, question);
  else
    ares_query(dns->channel, text, ns_c_in, type == DNS_SRV ? ns_t_srv : ns_t_naptr, on_answer,
               question);
}

/* ---- life ---- */

static int set_servers(struct dns *dns, const struct setting_value *servers) {
  char text[SERVERS_TEXT_BYTES] = "";
  for (unsigned i = 0; i < servers->count; i++) {
    size_t len = strlen(text);
    snprintf(text + len, sizeof text - len, "%s%s", i > 0 ? "," : "", servers->text[i]);
  }
  return servers->count == 0 ? ARES_SUCCESS : ares_set_servers_ports_csv(dns->channel, text);
}

struct dns *dns_new(struct loop *loop, const struct setting_value *servers, struct why *why) {
  struct dns *dns = host_take(sizeof *dns);
  *dns = (struct dns){.loop = loop};
  struct ares_options options = {.flags = ARES_FLAG_NOSEARCH,
                                 .timeout = TIMEOUT_MS,
                                 .tries = TRIES,
                                 .sock_state_cb = on_socket,
                                 .sock_state_cb_data = dns};
  int status = ares_library_init(ARES_LIB_INIT_ALL);
  if (status == ARES_SUCCESS) {
    status = ares_init_options(
        &dns->channel, &options,
        ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) ares_library_cleanup();
  }
  if (status != ARES_SUCCESS) {
    (void)why_say(why, ERR_IO, "dns: %s", ares_strerror(status));
    free(dns);
    return NULL;
  }
  status = set_servers(dns, servers);
  if (status != ARES_SUCCESS) {
    (void)why_say(why, ERR_IO, "dns: %s", ares_strerror(status));
    ares_destroy(dns->channel);
    ares_library_cleanup();
    free(dns);
    return NULL;
  }
  uv_timer_init(&loop->uv, &dns->timer);
  dns->timer.data = dns;
  return dns;
}

void dns_stop(struct dns *dns) {
  dns->stopped = true;
  ares_destroy(dns->channel);
  uv_close((uv_handle_t *)&dns->timer, NULL);
}

void dns_free(struct dns *dns) {
  free(dns);
  ares_library_cleanup();
}
