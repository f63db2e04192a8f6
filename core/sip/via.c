/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/via.h"

#include "sip/scan.h"

#define COOKIE "z9hG4bK" /* RFC 3261 8.1.1.7 */

/* "/" with white space around it, NULL if there is none. */
static const char *scan_slash(const char *p, const char *end) {
  p = sip_skip_ws(p, end);
  return p < end && *p == '/' ? sip_skip_ws(p + 1, end) : NULL;
}

/* sent-protocol and the white space after it: "SIP / 2.0 / UDP ". */
static const char *scan_protocol(const char *p, const char *end, struct sip_via *out) {
  const char *from = p;
  if (end - p > 8 && memcmp(p, "SIP/2.0/", 8) == 0) {
    p += 8;
  } else {
    for (unsigned part = 0; part < 2; part++) {
      p = sip_span(p, end, SIP_C_TOKEN);
      if (p == from) return NULL;
      p = from = scan_slash(p, end);
      if (p == NULL) return NULL;
    }
  }
  from = p;
  p = sip_span(p, end, SIP_C_TOKEN);
  out->transport = slice_between(from, p);
  return p > from && p < end && sip_is(*p, SIP_C_WS) ? sip_skip_ws(p, end) : NULL;
}

/* sent-by: host [COLON port]. What can be read of a broken one stays in out->host. */
static const char *scan_sent_by(const char *p, const char *end, struct sip_via *out) {
  const char *host = p;
  p = sip_scan_host(p, end);
  out->host = slice_between(host, p);
  if (p == host) {
    out->host = slice_between(host, sip_span(host, end, SIP_C_HOST));
    return NULL;
  }
  p = sip_skip_ws(p, end);
  if (p == end || *p != ':') return p;
  const char *port = sip_skip_ws(p + 1, end);
  p = sip_scan_port(port, end, &out->port);
  return p == port ? NULL : sip_skip_ws(p, end);
}

/* Keeps the parameters that matter. False: a second one of the same name, or a value that the
 * name does not allow. */
static bool take_param(struct slice name, struct slice value, struct sip_via *out) {
  if (name.len == 6 && slice_equal_nocase(name, SLICE("branch"))) {
    if (out->branch.len > 0 || value.len == 0 || value.at[0] == '"') return false;
    out->branch = value;
  } else if (name.len == 8 && slice_equal_nocase(name, SLICE("received"))) {
    if (out->received.len > 0 || value.len == 0) return false;
    out->received = value;
  } else if (name.len == 5 && slice_equal_nocase(name, SLICE("rport"))) {
    uint16_t port;
    if (out->rport.at != NULL) return false;
    if (value.len > 0 &&
        sip_scan_port(value.at, value.at + value.len, &port) != value.at + value.len)
      return false;
    /* A flag is known by at != NULL and no bytes. */
    out->rport = value.len > 0 ? value : slice_of(name.at + name.len, 0);
  }
  return true;
}

static const char *scan_params(const char *p, const char *end, struct sip_via *out) {
  const char *from = p;
  while (p < end && *p == ';') {
    struct slice name, value;
    p = sip_scan_param(p + 1, end, &name, &value);
    if (p == NULL || !take_param(name, value, out)) return NULL;
  }
  if (p > from) out->params = slice_between(from + 1, sip_trim_end(from + 1, p));
  return p;
}

const char *sip_via_scan(const char *p, const char *end, struct sip_via *out, const char **reason) {
  *out = (struct sip_via){0};
  *reason = "Malformed Via";
  const char *from = sip_skip_ws(p, end);
  /* For a broken value; also the place where the next value would begin. */
  p = scan_protocol(from, end, out);
  if (p != NULL) {
    *reason = "Malformed Via Sent-By";
    p = scan_sent_by(p, end, out);
  }
  if (p != NULL) {
    *reason = "Malformed Via Parameter";
    p = scan_params(p, end, out);
    if (p != NULL && p < end && *p != ',') {
      if (out->params.at == NULL) *reason = "Malformed Via Sent-By";
      p = NULL;
    }
  }
  if (p != NULL && slice_equal(out->branch, SLICE(COOKIE))) {
    *reason = "Via Branch Is Only The Magic Cookie"; /* RFC 4475 3.2.1 */
    p = NULL;
  }
  const char *stop = p != NULL ? p : sip_scan_list_value(from, end);
  out->text = slice_between(from, sip_trim_end(from, stop));
  return p;
}

enum err sip_via_parse(struct slice text, struct sip_via *out) {
  const char *reason;
  if (text.len == 0) text = SLICE("");
  const char *end = text.at + text.len;
  return sip_via_scan(text.at, end, out, &reason) == end ? OK : ERR_SYNTAX;
}

static uint16_t default_port(enum transport transport) {
  return transport == TRANSPORT_TLS || transport == TRANSPORT_WSS ? 5061 : 5060;
}

/* maddr is not followed: it would let strangers aim responses. The receiver of the request writes
 * `received` whenever the sent-by is not the address the request came from. */
enum err sip_via_endpoint(const struct sip_via *via, struct endpoint *out) {
  enum transport transport;
  if (!transport_parse(via->transport, &transport)) return ERR_UNSUPPORTED;
  *out = (struct endpoint){.transport = (uint8_t)transport};
  if (!endpoint_parse_host(via->received.len > 0 ? via->received : via->host, out))
    return ERR_UNSUPPORTED;
  uint64_t port = via->port != 0 ? via->port : default_port(transport);
  if (via->rport.len > 0 && !slice_to_u64(via->rport, UINT16_MAX, &port)) return ERR_SYNTAX;
  out->port = (uint16_t)port;
  return OK;
}
