/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge/route.h"

#include "edge/keep.h"

/* A token is "f-" and, in hexadecimal: whose run made it (2 bytes), transport (1), flow (4), port
 * (2), address (4 or 16), and the first bytes of an HMAC over these. */
#define TOKEN_PREFIX SLICE("f-")
#define TOKEN_MAC_BYTES 10u /* as RFC 5626 section 5.2 suggests */
#define TOKEN_RUN_BYTES 2u
#define TOKEN_FIXED_BYTES (TOKEN_RUN_BYTES + 7u)
#define TOKEN_BYTES_MAX (TOKEN_FIXED_BYTES + 16u + TOKEN_MAC_BYTES)

static void token_mac(const struct edge *edge, const uint8_t *bytes, size_t len,
                      uint8_t out[TOKEN_MAC_BYTES]) {
  const struct crypto *crypto = edge->config.crypto;
  uint8_t mac[32];
  crypto->hmac_sha256(crypto->context, slice_of(edge->token_key, sizeof edge->token_key),
                      slice_of(bytes, len), mac);
  memcpy(out, mac, TOKEN_MAC_BYTES);
}

static void put_token(struct buf *out, const struct edge *edge, const struct hop *hop) {
  uint8_t token[TOKEN_BYTES_MAX];
  size_t address = hop->at.family == 6 ? 16 : 4;
  uint8_t *fixed = token + TOKEN_RUN_BYTES;
  memcpy(token, edge->token_run, TOKEN_RUN_BYTES);
  fixed[0] = hop->at.transport;
  for (unsigned i = 0; i < 4; i++) fixed[1 + i] = (uint8_t)(hop->flow >> (24 - 8 * i));
  fixed[5] = (uint8_t)(hop->at.port >> 8);
  fixed[6] = (uint8_t)hop->at.port;
  memcpy(token + TOKEN_FIXED_BYTES, hop->at.addr, address);
  size_t len = TOKEN_FIXED_BYTES + address;
  token_mac(edge, token, len, token + len);
  buf_put(out, TOKEN_PREFIX);
  buf_put_hex(out, token, len + TOKEN_MAC_BYTES);
}

static void put_own(struct buf *out, const struct edge *edge, enum transport transport,
                    const struct hop *token, bool sips, const char *end) {
  buf_put_cstr(out, sips ? "<sips:" : "<sip:");
  if (token != NULL) {
    put_token(out, edge, token);
    buf_put_char(out, '@');
  }
  endpoint_put(out, &edge->config.advertise);
  if (!sips || transport != TRANSPORT_TLS) {
    /* A URI says "ws" of both (RFC 7118 section 5.2, R-7.72); the token knows which. */
    buf_put_cstr(out, ";transport=");
    buf_put_cstr(out, transport_name(transport == TRANSPORT_WSS ? TRANSPORT_WS : transport));
  }
  buf_put_cstr(out, end);
}

void route_put_own(struct buf *out, const struct edge *edge, enum transport transport,
                   const struct hop *token) {
  put_own(out, edge, transport, token, false, ";lr>");
}

void route_put_record(struct buf *out, const struct edge *edge, enum transport transport,
                      const struct hop *token, bool secure) {
  bool sips = secure && (transport == TRANSPORT_TLS || transport == TRANSPORT_WSS);
  put_own(out, edge, transport, token, sips, ";lr>");
}

void route_put_path(struct buf *out, const struct edge *edge, enum transport transport,
                    const struct hop *token) {
  put_own(out, edge, transport, token, false, ";lr;ob>");
}

static uint64_t flow_hash(const struct edge *edge, uint32_t flow) {
  return hash_bytes(edge->hash, &flow, sizeof flow);
}

static bool flow_is_open(const struct edge *edge, uint32_t flow) {
  struct map_cursor cursor;
  uint64_t hash = flow_hash(edge, flow);
  for (uint32_t f = map_first(&edge->flows, hash, &cursor); f != MAP_END;
       f = map_next(&edge->flows, &cursor))
    if (f == flow) return true;
  return false;
}

enum err route_note_flow(struct edge *edge, uint32_t flow) {
  if (flow == 0 || flow == MAP_END || flow_is_open(edge, flow)) return OK;
  if (edge->flows.used >= EDGE_FLOWS_MAX) return ERR_FULL;
  return map_put(&edge->flows, flow_hash(edge, flow), flow);
}

void route_on_flow_closed(struct edge *edge, uint32_t flow) {
  map_remove(&edge->flows, flow_hash(edge, flow), flow);
}

static bool is_listened(const struct edge *edge, const struct endpoint *at) {
  const struct edge_settings *config = &edge->config;
  if (endpoint_same_address(at, &config->advertise)) return true;
  for (unsigned i = 0; i < config->listen_count; i++) {
    const struct endpoint *listen = &config->listen[i];
    if (endpoint_same_address(at, listen)) return true;
    if (endpoint_is_wildcard(listen) && endpoint_is_loopback(at) && at->port == listen->port)
      return true;
  }
  return false;
}

bool route_is_address(const struct edge *edge, const struct sip_uri *uri) {
  struct endpoint at;
  return sip_uri_endpoint(uri, &at) == OK && is_listened(edge, &at);
}

bool route_is_own(const struct edge *edge, const struct sip_uri *uri) {
  struct endpoint literal;
  if (endpoint_parse_host(uri->host, &literal)) return route_is_address(edge, uri);
  return uri->host.len != 0 && uri->user.at == NULL && edge_serves(edge, uri->host);
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static bool read_hex(struct slice text, uint8_t *out) {
  for (size_t i = 0; i < text.len; i += 2) {
    int high = hex_digit(text.at[i]), low = hex_digit(text.at[i + 1]);
    if (high < 0 || low < 0) return false;
    out[i / 2] = (uint8_t)(high << 4 | low);
  }
  return true;
}

enum route_token route_read_token(const struct edge *edge, const struct sip_uri *uri,
                                  struct hop *hop) {
  if (uri->user.at == NULL || !slice_starts(uri->user, TOKEN_PREFIX)) return ROUTE_TOKEN_NONE;
  struct slice text = slice_skip(uri->user, TOKEN_PREFIX.len);
  uint8_t token[TOKEN_BYTES_MAX], mac[TOKEN_MAC_BYTES];
  size_t len = text.len / 2;
  bool six = len == TOKEN_BYTES_MAX;
  if (text.len % 2 != 0 || (!six && len != TOKEN_BYTES_MAX - 12) || !read_hex(text, token))
    return ROUTE_TOKEN_FORGED;
  if (memcmp(token, edge->token_run, TOKEN_RUN_BYTES) != 0) return ROUTE_TOKEN_DEAD;
  token_mac(edge, token, len - TOKEN_MAC_BYTES, mac);
  uint8_t differs = 0;
  for (unsigned i = 0; i < TOKEN_MAC_BYTES; i++)
    differs |= (uint8_t)(mac[i] ^ token[len - TOKEN_MAC_BYTES + i]);
  if (differs != 0) return ROUTE_TOKEN_FORGED;
  const uint8_t *fixed = token + TOKEN_RUN_BYTES;
  struct hop found = {.at = {.family = six ? 6 : 4, .transport = fixed[0]}};
  for (unsigned i = 0; i < 4; i++) found.flow = found.flow << 8 | fixed[1 + i];
  found.at.port = (uint16_t)(fixed[5] << 8 | fixed[6]);
  memcpy(found.at.addr, token + TOKEN_FIXED_BYTES, six ? 16 : 4);
  if (found.at.transport == TRANSPORT_UDP) {
    if (found.flow != 0 && !keep_is(edge, &found.at, found.flow)) return ROUTE_TOKEN_DEAD;
    found.flow = 0;
  } else if (found.flow != 0 && !flow_is_open(edge, found.flow)) {
    return ROUTE_TOKEN_DEAD;
  }
  *hop = found;
  return ROUTE_TOKEN_GOOD;
}

/* A strict router before us has put our own Record-Route URI into the Request-URI, and the target
 * at the end of the Route values (RFC 3261 section 16.4). */
static bool is_strict(const struct edge *edge, const struct sip_uri *uri, unsigned count) {
  return count != 0 && sip_param_get(uri->params, "lr", NULL) && route_is_own(edge, uri);
}

static enum route_token take_own(const struct edge *edge, struct route_plan *plan,
                                 const struct sip_uri *uri) {
  plan->own++;
  plan->hop = (struct hop){0};
  plan->token = route_read_token(edge, uri, &plan->hop);
  return plan->token;
}

bool route_plan_read(struct route_plan *plan, const struct edge *edge,
                     const struct sip_message *message) {
  *plan = (struct route_plan){.uri = message->uri_text};
  struct sip_address route[ROUTES_MAX];
  unsigned count = 0;
  struct sip_values values = sip_values_of(message, SIP_H_ROUTE);
  struct slice text;
  while (sip_values_next(&values, &text)) {
    if (count == ROUTES_MAX || sip_address_parse(text, &route[count]) != OK) return false;
    if (route[count++].uri.host.len == 0) return false;
  }
  struct sip_uri uri;
  if (sip_uri_parse(message->uri_text, &uri) != OK) return false;
  if (is_strict(edge, &uri, count)) {
    if (take_own(edge, plan, &uri) == ROUTE_TOKEN_FORGED) return true;
    plan->rewrite = true;
    plan->uri = route[--count].uri.text;
  }
  unsigned drop = 0;
  while (drop < count && route_is_own(edge, &route[drop].uri))
    if (take_own(edge, plan, &route[drop++].uri) == ROUTE_TOKEN_FORGED) return true;
  plan->drop = plan->rewrite ? count + 1 : drop;
  for (unsigned i = drop; i < count; i++) plan->kept[plan->kept_count++] = route[i].text;
  return true;
}
