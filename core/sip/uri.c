/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/uri.h"

#include "sip/scan.h"

static enum sip_scheme scheme_of(struct slice text) {
  if (slice_equal_nocase(text, SLICE("sip"))) return SIP_SCHEME_SIP;
  if (slice_equal_nocase(text, SLICE("sips"))) return SIP_SCHEME_SIPS;
  if (slice_equal_nocase(text, SLICE("tel"))) return SIP_SCHEME_TEL;
  return SIP_SCHEME_OTHER;
}

/* user [":" password] "@" */
static const char *parse_userinfo(const char *p, const char *at_sign, struct sip_uri *out) {
  const char *stop = sip_scan_escaped(p, at_sign, SIP_C_USER);
  if (stop == p) return NULL;
  out->user = slice_between(p, stop);
  if (stop < at_sign) {
    if (*stop != ':') return NULL;
    p = stop + 1;
    stop = sip_scan_escaped(p, at_sign, SIP_C_PASSWORD);
    if (stop < at_sign) return NULL;
    out->password = slice_between(p, stop);
  }
  return at_sign + 1;
}

/* *( ";" pname ["=" pvalue] ), p at the first ';' or at what follows. */
static const char *parse_params(const char *p, const char *end, struct sip_uri *out) {
  const char *from = p;
  for (unsigned count = 0; p < end && *p == ';'; count++) {
    if (count == SIP_URI_PARAMS_MAX) return NULL;
    const char *name = ++p;
    p = sip_scan_escaped(p, end, SIP_C_PARAM);
    if (p == name) return NULL;
    if (p == end || *p != '=') continue;
    const char *value = ++p;
    p = sip_scan_escaped(p, end, SIP_C_PARAM);
    if (p == value) return NULL;
  }
  if (p > from) out->params = slice_between(from + 1, p);
  return p;
}

/* Each piece between '&' is hname "=" hvalue. */
static bool headers_well_formed(struct slice headers) {
  const char *p = headers.at, *end = headers.at + headers.len;
  if (sip_scan_escaped(p, end, SIP_C_HNV) != end) return false;
  for (unsigned count = 0; count < SIP_URI_PARAMS_MAX; count++) {
    size_t piece = slice_find_byte(slice_between(p, end), '&');
    size_t equals = slice_find_byte(slice_of(p, piece), '=');
    if (equals == 0 || equals == piece) return false;
    if (p + piece == end) return true;
    p += piece + 1;
  }
  return false;
}

static enum err parse_sip(const char *p, const char *end, struct sip_uri *out) {
  /* '@' stands unescaped nowhere else in a SIP URI. */
  const char *at_sign = p < end ? memchr(p, '@', (size_t)(end - p)) : NULL;
  if (at_sign != NULL) p = parse_userinfo(p, at_sign, out);
  if (p == NULL) return ERR_SYNTAX;

  const char *host = p;
  p = sip_scan_host(p, end);
  if (p == host) return ERR_SYNTAX;
  out->host = slice_between(host, p);
  if (p < end && *p == ':') {
    const char *port = p + 1;
    p = sip_scan_port(port, end, &out->port);
    if (p == port) return ERR_SYNTAX;
  }

  p = parse_params(p, end, out);
  if (p == NULL) return ERR_SYNTAX;
  if (p == end) return OK;
  if (*p != '?') return ERR_SYNTAX;
  out->headers = slice_between(p + 1, end);
  return headers_well_formed(out->headers) ? OK : ERR_SYNTAX;
}

enum err sip_uri_parse(struct slice text, struct sip_uri *out) {
  *out = (struct sip_uri){.text = text};
  if (text.len == 0) return ERR_SYNTAX;
  const char *p = text.at, *end = text.at + text.len;
  if (!sip_is(*p, SIP_C_ALPHA)) return ERR_SYNTAX;
  while (p < end && (sip_is(*p, SIP_C_HOST) || *p == '+')) p++;
  if (p == end || *p != ':') return ERR_SYNTAX;
  out->scheme_text = slice_between(text.at, p);
  out->scheme = scheme_of(out->scheme_text);
  p++;
  if (out->scheme == SIP_SCHEME_SIP || out->scheme == SIP_SCHEME_SIPS)
    return parse_sip(p, end, out);
  out->opaque = slice_between(p, end);
  return p < end && sip_scan_escaped(p, end, SIP_C_URIC) == end ? OK : ERR_SYNTAX;
}
