/* SPDX-License-Identifier: BSD-2-Clause */
/* What two URIs have in common: equality (RFC 3261 19.1.4), the canonical Address-of-Record
 * and the endpoint a URI names. */
#include "sip/scan.h"
#include "sip/uri.h"

static int hex_value(char c) {
  if (sip_is(c, SIP_C_DIGIT)) return c - '0';
  return (c | 0x20) - 'a' + 10;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }

/* One character of escaped text as RFC 3261 19.1.4 compares it: an escape of an unreserved
 * character is that character; any other escape is a value of its own. */
static int next_character(struct slice *text) {
  unsigned char c = (unsigned char)text->at[0];
  bool escape = c == '%' && text->len >= 3 && sip_is(text->at[1], SIP_C_HEX) &&
                sip_is(text->at[2], SIP_C_HEX);
  if (!escape) {
    *text = slice_skip(*text, 1);
    return c;
  }
  int value = hex_value(text->at[1]) * 16 + hex_value(text->at[2]);
  *text = slice_skip(*text, 3);
  return sip_is((char)value, SIP_C_UNRESERVED) ? value : 256 + value;
}

static bool same_escaped(struct slice a, struct slice b, bool nocase) {
  while (a.len > 0 && b.len > 0) {
    int x = next_character(&a), y = next_character(&b);
    if (nocase && x < 128 && y < 128) {
      x = lower((char)x);
      y = lower((char)y);
    }
    if (x != y) return false;
  }
  return a.len == 0 && b.len == 0;
}

enum found { FOUND_NONE, FOUND_OTHER, FOUND_EQUAL };

/* The best that params have for this name: it, the name with another value only, or nothing. */
static enum found find_param(struct slice params, struct slice name, struct slice value) {
  enum found best = FOUND_NONE;
  struct slice other, other_value;
  while (best != FOUND_EQUAL && sip_param_next(&params, &other, &other_value)) {
    if (!same_escaped(other, name, true)) continue;
    best = same_escaped(other_value, value, true) ? FOUND_EQUAL : FOUND_OTHER;
  }
  return best;
}

/* A parameter that both have must agree; these must not stand in one alone. */
static bool counts_alone(struct slice name) {
  static const char *const names[] = {"user", "ttl", "method", "maddr", "transport", "gr"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (same_escaped(name, slice_cstr(names[i]), true)) return true;
  return false;
}

static bool params_agree(struct slice a, struct slice b) {
  struct slice name, value;
  while (sip_param_next(&a, &name, &value)) {
    enum found found = find_param(b, name, value);
    if (found == FOUND_OTHER || (found == FOUND_NONE && counts_alone(name))) return false;
  }
  return true;
}

static bool cut_header(struct slice *headers, struct slice *name, struct slice *value) {
  if (headers->len == 0) return false;
  struct slice piece = slice_first(*headers, slice_find_byte(*headers, '&'));
  *headers = slice_skip(*headers, piece.len + 1);
  *name = slice_first(piece, slice_find_byte(piece, '='));
  *value = slice_skip(piece, name->len + 1);
  return true;
}

/* Every header of a is among those of b. */
static bool headers_within(struct slice a, struct slice b) {
  struct slice name, value, other_name, other_value;
  while (cut_header(&a, &name, &value)) {
    struct slice rest = b;
    bool found = false;
    while (!found && cut_header(&rest, &other_name, &other_value))
      found = same_escaped(name, other_name, true) && same_escaped(value, other_value, false);
    if (!found) return false;
  }
  return true;
}

bool sip_uri_equal(const struct sip_uri *a, const struct sip_uri *b) {
  if (!slice_equal_nocase(a->scheme_text, b->scheme_text)) return false;
  if (a->scheme == SIP_SCHEME_TEL || a->scheme == SIP_SCHEME_OTHER)
    return slice_equal(a->opaque, b->opaque);
  if ((a->user.at == NULL) != (b->user.at == NULL)) return false;
  if ((a->password.at == NULL) != (b->password.at == NULL)) return false;
  return same_escaped(a->user, b->user, false) && same_escaped(a->password, b->password, false) &&
         slice_equal_nocase(a->host, b->host) && a->port == b->port &&
         params_agree(a->params, b->params) && params_agree(b->params, a->params) &&
         headers_within(a->headers, b->headers) && headers_within(b->headers, a->headers);
}

/* Escapes of unreserved characters decoded, the digits of the others in upper case. */
static void put_canonical_user(struct buf *out, struct slice user) {
  static const char hex[] = "0123456789ABCDEF";
  while (user.len > 0) {
    int c = next_character(&user);
    if (c < 256) {
      buf_put_char(out, (char)c);
      continue;
    }
    buf_put_char(out, '%');
    buf_put_char(out, hex[(c - 256) >> 4]);
    buf_put_char(out, hex[(c - 256) & 15]);
  }
}

enum err sip_uri_put_aor(struct buf *out, const struct sip_uri *uri) {
  if (uri->scheme != SIP_SCHEME_SIP && uri->scheme != SIP_SCHEME_SIPS) return ERR_UNSUPPORTED;
  buf_put_cstr(out, "sip:");
  if (uri->user.at != NULL) {
    put_canonical_user(out, uri->user);
    buf_put_char(out, '@');
  }
  for (size_t i = 0; i < uri->host.len; i++) buf_put_char(out, lower(uri->host.at[i]));
  return OK;
}

static uint16_t default_port(uint8_t transport) {
  switch ((enum transport)transport) {
    case TRANSPORT_UDP:
    case TRANSPORT_TCP:
      return 5060;
    case TRANSPORT_TLS:
      return 5061;
    case TRANSPORT_WS:
      return 80;
    case TRANSPORT_WSS:
      return 443;
  }
  return 5060;
}

enum err sip_uri_endpoint(const struct sip_uri *uri, struct endpoint *out) {
  if (uri->scheme != SIP_SCHEME_SIP && uri->scheme != SIP_SCHEME_SIPS) return ERR_UNSUPPORTED;
  struct slice host = uri->host, value;
  enum transport transport = TRANSPORT_UDP;
  if (sip_param_get(uri->params, "transport", &value) && !transport_parse(value, &transport))
    return ERR_UNSUPPORTED;
  if (uri->scheme == SIP_SCHEME_SIPS)
    transport =
        transport == TRANSPORT_WS || transport == TRANSPORT_WSS ? TRANSPORT_WSS : TRANSPORT_TLS;
  if (sip_param_get(uri->params, "maddr", &value)) host = value;
  *out = (struct endpoint){.transport = (uint8_t)transport};
  if (!endpoint_parse_host(host, out)) return ERR_UNSUPPORTED;
  out->port = uri->port != 0 ? uri->port : default_port(out->transport);
  return OK;
}
