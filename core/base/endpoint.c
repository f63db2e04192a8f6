/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/endpoint.h"

#include <arpa/inet.h>

#define HOST_TEXT_MAX 46 /* INET6_ADDRSTRLEN: the longest literal and its NUL */

bool endpoint_same_address(const struct endpoint *a, const struct endpoint *b) {
  return a->port == b->port && a->family == b->family &&
         memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b) {
  return a->transport == b->transport && endpoint_same_address(a, b);
}

/* IPv4 in the last four of the sixteen bytes (RFC 4291 2.5.5.2). */
static bool is_mapped(const uint8_t addr[16]) {
  static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return memcmp(addr, prefix, sizeof prefix) == 0;
}

bool endpoint_is_loopback(const struct endpoint *e) {
  static const uint8_t one[16] = {[15] = 1};
  if (e->family == 4) return e->addr[0] == 127;
  if (e->family != 6) return false;
  if (is_mapped(e->addr)) return e->addr[12] == 127;
  return memcmp(e->addr, one, sizeof one) == 0;
}

bool endpoint_is_wildcard(const struct endpoint *e) {
  static const uint8_t zero[16];
  if (e->family == 6 && is_mapped(e->addr)) return memcmp(e->addr + 12, zero, 4) == 0;
  return e->family != 0 && memcmp(e->addr, zero, sizeof zero) == 0;
}

bool endpoint_is_stream(const struct endpoint *e) { return e->transport != TRANSPORT_UDP; }

bool endpoint_is_web(const struct endpoint *e) {
  return e->transport == TRANSPORT_WS || e->transport == TRANSPORT_WSS;
}

bool endpoint_is_framed(const struct endpoint *e) {
  return e->transport != TRANSPORT_TCP && e->transport != TRANSPORT_TLS;
}

bool endpoint_parse_host(struct slice host, struct endpoint *out) {
  bool bracketed = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
  if (bracketed) host = slice_of(host.at + 1, host.len - 2);
  if (host.len == 0 || host.len >= HOST_TEXT_MAX) return false;
  char text[HOST_TEXT_MAX];
  memcpy(text, host.at, host.len);
  text[host.len] = '\0';
  if (memchr(text, '\0', host.len) != NULL) return false;
  struct endpoint e = *out;
  memset(e.addr, 0, sizeof e.addr);
  if (!bracketed && inet_pton(AF_INET, text, e.addr) == 1)
    e.family = 4;
  else if (inet_pton(AF_INET6, text, e.addr) == 1)
    e.family = 6;
  else
    return false;
  *out = e;
  return true;
}

/* Splits off ":port". A bare IPv6 literal has several colons and therefore no port. */
static bool split_port(struct slice text, struct slice *host, struct slice *port) {
  *port = SLICE_EMPTY;
  *host = text;
  size_t end = text.len;
  if (text.len > 0 && text.at[0] == '[') {
    end = slice_find_byte(text, ']') + 1;
    if (end > text.len) return false;
  } else {
    size_t colon = slice_find_byte(text, ':');
    if (slice_find_byte(slice_skip(text, colon + 1), ':') == slice_skip(text, colon + 1).len)
      end = colon;
  }
  if (end == text.len) return true;
  if (text.at[end] != ':') return false;
  *host = slice_first(text, end);
  *port = slice_skip(text, end + 1);
  return port->len > 0;
}

bool endpoint_parse(struct slice text, enum transport transport, uint16_t default_port,
                    struct endpoint *out) {
  struct endpoint e = {.port = default_port, .transport = (uint8_t)transport};
  struct slice host, port;
  if (!split_port(text, &host, &port) || !endpoint_parse_host(host, &e)) return false;
  if (port.len > 0) {
    uint64_t n;
    if (!slice_to_u64(port, UINT16_MAX, &n)) return false;
    e.port = (uint16_t)n;
  }
  *out = e;
  return true;
}

void endpoint_put_host(struct buf *b, const struct endpoint *e) {
  char text[HOST_TEXT_MAX];
  if (e->family == 6 && inet_ntop(AF_INET6, e->addr, text, sizeof text) != NULL) {
    buf_put_char(b, '[');
    buf_put_cstr(b, text);
    buf_put_char(b, ']');
    return;
  }
  /* inet_ntop is ten times slower, and each hop writes three of them. */
  size_t len = 0;
  for (unsigned i = 0; i < 4; i++) {
    unsigned octet = e->family == 4 ? e->addr[i] : 0;
    if (i > 0) text[len++] = '.';
    if (octet >= 100) text[len++] = (char)('0' + octet / 100);
    if (octet >= 10) text[len++] = (char)('0' + octet / 10 % 10);
    text[len++] = (char)('0' + octet % 10);
  }
  buf_put(b, slice_of(text, len));
}

void endpoint_put(struct buf *b, const struct endpoint *e) {
  endpoint_put_host(b, e);
  buf_put_char(b, ':');
  buf_put_u64(b, e->port);
}

const char *transport_name(enum transport transport) {
  switch (transport) {
    case TRANSPORT_UDP:
      return "udp";
    case TRANSPORT_TCP:
      return "tcp";
    case TRANSPORT_TLS:
      return "tls";
    case TRANSPORT_WS:
      return "ws";
    case TRANSPORT_WSS:
      return "wss";
  }
  return "udp";
}

bool transport_parse(struct slice name, enum transport *out) {
  for (unsigned i = TRANSPORT_UDP; i <= TRANSPORT_WSS; i++) {
    if (!slice_equal_nocase(name, slice_cstr(transport_name((enum transport)i)))) continue;
    *out = (enum transport)i;
    return true;
  }
  return false;
}

/* ---- prefixes ---- */

static void clear_after(uint8_t addr[16], unsigned bits) {
  for (unsigned i = 0; i < 16; i++) {
    unsigned kept = bits > 8 * i ? bits - 8 * i : 0;
    if (kept < 8) addr[i] &= (uint8_t)(0xff00u >> kept);
  }
}

struct prefix prefix_of(const struct endpoint *e, unsigned bits4, unsigned bits6) {
  struct prefix p = {.family = e->family};
  if (e->family == 6 && is_mapped(e->addr)) {
    p.family = 4;
    memcpy(p.addr, e->addr + 12, 4);
  } else {
    memcpy(p.addr, e->addr, sizeof p.addr);
  }
  p.bits = (uint8_t)(p.family == 4 ? bits4 : bits6);
  clear_after(p.addr, p.bits);
  return p;
}

bool prefix_parse(struct slice text, struct prefix *out) {
  struct endpoint e = {0};
  size_t slash = slice_find_byte(text, '/');
  if (!endpoint_parse_host(slice_first(text, slash), &e)) return false;
  unsigned most = e.family == 4 ? 32 : 128;
  uint64_t bits = most;
  if (slash < text.len && !slice_to_u64(slice_skip(text, slash + 1), most, &bits)) return false;
  *out = prefix_of(&e, (unsigned)bits, (unsigned)bits);
  if (out->family != e.family) out->bits = (uint8_t)(bits > 96 ? bits - 96 : 0); /* mapped */
  clear_after(out->addr, out->bits);
  return true;
}

bool prefix_has(const struct prefix *prefix, const struct endpoint *e) {
  struct prefix own = prefix_of(e, prefix->bits, prefix->bits);
  return own.family == prefix->family && memcmp(own.addr, prefix->addr, sizeof own.addr) == 0;
}
