/* SPDX-License-Identifier: BSD-2-Clause */
/* A transport address: protocol, IP address and port. Compared field by field, so an unused tail
 * of `addr` is always zero. */
#ifndef BASE_ENDPOINT_H
#define BASE_ENDPOINT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS, TRANSPORT_WS, TRANSPORT_WSS };

struct endpoint {
  uint8_t addr[16];  /* IPv4 in the first four bytes */
  uint16_t port;     /* host order */
  uint8_t family;    /* 0: none, 4 or 6 */
  uint8_t transport; /* enum transport */
};

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
/* The same family, address and port, whatever the transport. */
bool endpoint_same_address(const struct endpoint *a, const struct endpoint *b);
bool endpoint_is_loopback(const struct endpoint *e);
bool endpoint_is_wildcard(const struct endpoint *e);
/* TCP, TLS, WS, WSS. */
bool endpoint_is_stream(const struct endpoint *e);
/* WS, WSS. */
bool endpoint_is_web(const struct endpoint *e);
/* UDP, WS, WSS: the transport itself says where a message ends (RFC 7118 section 5). */
bool endpoint_is_framed(const struct endpoint *e);
/* "192.0.2.1:5060", "[2001:db8::1]:5060", or without port (then default_port). Names are not
 * resolved: false. */
bool endpoint_parse(struct slice text, enum transport transport, uint16_t default_port,
                    struct endpoint *out);
/* An IP literal alone, with or without brackets. */
bool endpoint_parse_host(struct slice host, struct endpoint *out);
/* "192.0.2.1:5060" or "[2001:db8::1]:5060". */
void endpoint_put(struct buf *b, const struct endpoint *e);
/* The address alone; IPv6 in brackets. */
void endpoint_put_host(struct buf *b, const struct endpoint *e);
/* All addresses whose first `bits` are those of `addr`. */
struct prefix {
  uint8_t addr[16]; /* as in struct endpoint; zero beyond the first `bits` */
  uint8_t family;   /* 4 or 6 */
  uint8_t bits;
};
/* "192.0.2.0/24", "2001:db8::/32", or an address alone. False: neither. */
bool prefix_parse(struct slice text, struct prefix *out);
/* The first `bits4` bits of an IPv4 address (mapped into IPv6 as well), `bits6` of another. */
struct prefix prefix_of(const struct endpoint *e, unsigned bits4, unsigned bits6);
bool prefix_has(const struct prefix *prefix, const struct endpoint *e);

/* "udp", "tcp", "tls", "ws", "wss": as in a transport parameter. */
const char *transport_name(enum transport transport);
bool transport_parse(struct slice name, enum transport *out);

#endif
