/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/address.h"

#include <ctype.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define HOST_BYTES 256

socklen_t address_of(const struct endpoint *endpoint, union address *out) {
  memset(out, 0, sizeof *out);
  if (endpoint->family == 4) {
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(endpoint->port);
    memcpy(&out->v4.sin_addr, endpoint->addr, 4);
    return sizeof out->v4;
  }
  out->v6.sin6_family = AF_INET6;
  out->v6.sin6_port = htons(endpoint->port);
  memcpy(&out->v6.sin6_addr, endpoint->addr, 16);
  return sizeof out->v6;
}

struct endpoint address_to(const union address *address, enum transport transport) {
  struct endpoint e = {.transport = (uint8_t)transport};
  if (address->any.sa_family == AF_INET) {
    e.family = 4;
    e.port = ntohs(address->v4.sin_port);
    memcpy(e.addr, &address->v4.sin_addr, 4);
  } else if (address->any.sa_family == AF_INET6) {
    e.family = 6;
    e.port = ntohs(address->v6.sin6_port);
    memcpy(e.addr, &address->v6.sin6_addr, 16);
  }
  return e;
}

const char *address_text(const struct endpoint *endpoint, char out[ADDRESS_TEXT_BYTES]) {
  struct buf b = buf_over(out, ADDRESS_TEXT_BYTES);
  endpoint_put(&b, endpoint);
  buf_put_char(&b, '\0');
  return out;
}

/* Splits "name:port"; literals were tried before. */
static bool split(const char *text, uint16_t default_port, char host[HOST_BYTES], uint16_t *port) {
  const char *colon = strchr(text, ':');
  size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
  if (len == 0 || len >= HOST_BYTES || (colon == NULL && default_port == 0)) return false;
  for (size_t i = 0; i < len; i++)
    if (!isalnum((unsigned char)text[i]) && strchr("-._", text[i]) == NULL) return false;
  memcpy(host, text, len);
  host[len] = '\0';
  *port = default_port;
  if (colon == NULL) return true;
  uint64_t n;
  if (!slice_to_u64(slice_cstr(colon + 1), UINT16_MAX, &n)) return false;
  *port = (uint16_t)n;
  return true;
}

/* A literal that lacks its port is no literal where the port must be given. */
static bool literal(const char *text, enum transport transport, uint16_t default_port,
                    struct endpoint *out) {
  struct endpoint probe;
  if (!endpoint_parse(slice_cstr(text), transport, default_port, out)) return false;
  if (default_port != 0) return true;
  return endpoint_parse(slice_cstr(text), transport, 1, &probe) && probe.port == out->port;
}

bool address_plausible(const char *text, uint16_t default_port) {
  struct endpoint e;
  char host[HOST_BYTES];
  uint16_t port;
  bool all_digits = strspn(text, "0123456789.:") == strlen(text);
  return literal(text, TRANSPORT_UDP, default_port, &e) ||
         (!all_digits && split(text, default_port, host, &port));
}

enum err address_resolve(const char *text, enum transport transport, uint16_t default_port,
                         struct endpoint *out, struct why *why) {
  if (literal(text, transport, default_port, out)) return OK;
  char host[HOST_BYTES];
  uint16_t port;
  if (!address_plausible(text, default_port) || !split(text, default_port, host, &port))
    return why_say(why, ERR_SYNTAX, "'%.200s' is not HOST:PORT", text);
  struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
  int status = getaddrinfo(host, NULL, &hints, &found);
  if (status != 0 || found == NULL)
    return why_say(why, ERR_NOT_FOUND, "'%.200s' has no address: %s", host, gai_strerror(status));
  union address address;
  memset(&address, 0, sizeof address);
  const struct addrinfo *best = found; /* IPv4 first: what "localhost" usually means */
  for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
    if (at->ai_family == AF_INET && best->ai_family != AF_INET) best = at;
  memcpy(&address, best->ai_addr,
         best->ai_addrlen < sizeof address ? best->ai_addrlen : sizeof address);
  freeaddrinfo(found);
  *out = address_to(&address, transport);
  out->port = port;
  return OK;
}
