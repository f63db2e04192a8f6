/* SPDX-License-Identifier: BSD-2-Clause */
/* Between struct endpoint and the socket addresses of the system. */
#ifndef HOST_ADDRESS_H
#define HOST_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/endpoint.h"
#include "host/why.h"

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

#define ADDRESS_TEXT_BYTES 64

/* Returns the length of the address. IPv4 in IPv6 is never made: sockets are of one family. */
socklen_t address_of(const struct endpoint *endpoint, union address *out);
struct endpoint address_to(const union address *address, enum transport transport);
/* "127.0.0.1:5060" with NUL. */
const char *address_text(const struct endpoint *endpoint, char out[ADDRESS_TEXT_BYTES]);

/* HOST:PORT, where HOST may be a name, which is resolved (this may block; only at start). Its
 * first IPv4 address is taken, else its first. default_port 0: the port must be given. */
enum err address_resolve(const char *text, enum transport transport, uint16_t default_port,
                         struct endpoint *out, struct why *why) MUST_USE;
/* The shape of HOST:PORT alone, without asking anybody. */
bool address_plausible(const char *text, uint16_t default_port);

#endif
