/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/listen.h"

#include <string.h>
#include <unistd.h>

#include "host/address.h"
#include "host/tcp.h"
#include "host/udp.h"

#define SIP_PORT 5060
#define PORT_TRIES 64

/* Port 0 means "any": the same one for UDP and TCP, so one is looked for that is free in both. */
static uint16_t free_port(const struct endpoint *at) {
  for (int i = 0; i < PORT_TRIES; i++) {
    union address address;
    socklen_t len = address_of(at, &address);
    int stream = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int datagram = socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good = stream >= 0 && datagram >= 0 && bind(stream, &address.any, len) == 0 &&
                getsockname(stream, &address.any, &len) == 0 &&
                bind(datagram, &address.any, len) == 0;
    if (stream >= 0) close(stream);
    if (datagram >= 0) close(datagram);
    if (good) return address_to(&address, TRANSPORT_UDP).port;
  }
  return 0;
}

static enum err say_bind(struct why *why, enum err err, const char *listen, uint16_t port) {
  struct why reason = *why;
  if (err == ERR_EXISTS)
    return why_say(why, err,
                   "%.200s. Another program has that port (ss -lunpt 'sport = :%u' names it); stop "
                   "it, or choose another: --listen HOST:PORT",
                   reason.text, port);
  return why_say(why, err, "%.200s. Check --listen %.100s: it must be an address of this machine",
                 reason.text, listen);
}

static enum err listen_one(const char *text, struct udp *udp, struct tcp *tcp,
                           struct node_config *config, struct why *why) {
  bool only_udp = strncmp(text, "udp:", 4) == 0, only_tcp = strncmp(text, "tcp:", 4) == 0;
  struct endpoint at;
  struct why reason = {""};
  enum err err = address_resolve(only_udp || only_tcp ? text + 4 : text, TRANSPORT_UDP, SIP_PORT,
                                 &at, &reason);
  if (err != OK) return why_say(why, err, "listen: %s", reason.text);
  if (config->listen_count + (only_udp || only_tcp ? 1u : 2u) > NODE_LISTEN_MAX)
    return why_say(why, ERR_LIMIT, "listen: more than %u sockets (UDP and TCP count as two)",
                   NODE_LISTEN_MAX);
  if (at.port == 0 && !only_udp && !only_tcp) at.port = free_port(&at);
  struct endpoint both[2] = {at, at};
  both[0].transport = TRANSPORT_UDP;
  both[1].transport = TRANSPORT_TCP;
  for (unsigned i = only_tcp ? 1 : 0; i < (only_udp ? 1u : 2u); i++) {
    err = i == 0 ? udp_listen(udp, &both[i], why) : tcp_listen(tcp, &both[i], why);
    if (err != OK) return say_bind(why, err, text, at.port);
    config->listen[config->listen_count++] = both[i];
  }
  return OK;
}

static enum err set_advertise(const struct settings *settings, struct node_config *config,
                              struct why *why) {
  const char *text = settings_text(settings, SET_ADVERTISE);
  struct why reason = {""};
  if (*text != '\0') {
    enum err err =
        address_resolve(text, config->peer_transport, SIP_PORT, &config->advertise, &reason);
    return err == OK ? OK : why_say(why, err, "advertise: %s", reason.text);
  }
  for (unsigned i = 0; i < config->listen_count; i++) {
    config->advertise = config->listen[i];
    bool datagrams = config->listen[i].transport == TRANSPORT_UDP;
    if (datagrams == (config->peer_transport == TRANSPORT_UDP)) return OK;
  }
  return why_say(why, ERR_SYNTAX, "listen: no address that other peers could reach");
}

/* One name that does not resolve is no reason not to try the others. */
static enum err set_join(const struct settings *settings, struct node_config *config,
                         struct why *why) {
  const struct setting_value *join = &settings->value[SET_JOIN];
  struct why reason = {""};
  for (unsigned i = 0; i < join->count; i++) {
    struct endpoint *at = &config->join[config->join_count];
    if (address_resolve(join->text[i], config->peer_transport, SIP_PORT, at, &reason) != OK)
      continue;
    if (!endpoint_same_address(at, &config->advertise)) config->join_count++;
  }
  if (join->count == 0 || config->join_count > 0) return OK;
  return why_say(why, ERR_NOT_FOUND,
                 "join: none of the addresses given is another peer's (the last: '%.100s')",
                 join->text[join->count - 1]);
}

enum err listen_all(const struct settings *settings, struct udp *udp, struct tcp *tcp,
                    struct node_config *config, struct why *why) {
  const struct setting_value *listen = &settings->value[SET_LISTEN];
  enum err err = OK;
  for (unsigned i = 0; i < listen->count && err == OK; i++)
    err = listen_one(listen->text[i], udp, tcp, config, why);
  if (err == OK) err = set_advertise(settings, config, why);
  if (err == OK) err = set_join(settings, config, why);
  return err;
}
