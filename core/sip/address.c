/* SPDX-License-Identifier: BSD-2-Clause */
/* name-addr / addr-spec with header parameters. */
#include "sip/scan.h"
#include "sip/uri.h"

/* Display name and '<'. Returns p itself if this is no name-addr, NULL if it is a broken one. */
static const char *scan_display(const char *p, const char *end, struct slice *display) {
  const char *q = p, *name_end = p;
  if (*p == '"') {
    q = name_end = sip_scan_quoted(p, end);
    if (q == p) return NULL;
    q = sip_skip_ws(q, end);
    if (q == end || *q != '<') return NULL;
  } else {
    while (q < end && sip_is(*q, SIP_C_TOKEN)) {
      name_end = sip_span(q, end, SIP_C_TOKEN);
      q = sip_skip_ws(name_end, end);
    }
    if (q == end || *q != '<') return p;
  }
  *display = slice_between(p, name_end);
  return q + 1;
}

/* A URI without brackets ends where a parameter, a list or white space begins. */
static const char *bare_uri_end(const char *p, const char *end) {
  while (p < end && *p != ';' && *p != '?' && *p != ',' && *p != '<' && !sip_is(*p, SIP_C_WS)) p++;
  return p;
}

/* *( SEMI generic-param ) up to the end. */
static enum err parse_params(const char *p, const char *end, struct sip_address *out) {
  const char *from = NULL;
  for (p = sip_skip_ws(p, end); p < end;) {
    struct slice name, value;
    if (*p++ != ';') return ERR_SYNTAX;
    if (from == NULL) from = p;
    p = sip_scan_param(p, end, &name, &value);
    if (p == NULL) return ERR_SYNTAX;
    if (name.len != 3 || !slice_equal_nocase(name, SLICE("tag"))) continue;
    /* A second tag would let two readers see two dialogs. */
    if (value.len == 0 || out->tag.len > 0) return ERR_SYNTAX;
    if (sip_span(value.at, value.at + value.len, SIP_C_TOKEN) != value.at + value.len)
      return ERR_SYNTAX;
    out->tag = value;
  }
  if (from != NULL) out->params = slice_between(from, end);
  return OK;
}

enum err sip_address_parse(struct slice text, struct sip_address *out) {
  out->text = text;
  out->display = out->params = out->tag = SLICE_EMPTY;
  out->bracketed = false;
  out->uri = (struct sip_uri){0};
  if (text.len == 0) return ERR_SYNTAX;
  const char *end = text.at + text.len;
  const char *p = sip_skip_ws(text.at, end);
  if (p == end) return ERR_SYNTAX;
  const char *uri = scan_display(p, end, &out->display);
  if (uri == NULL) return ERR_SYNTAX;
  out->bracketed = uri > p;
  const char *stop = NULL;
  if (!out->bracketed)
    stop = bare_uri_end(uri, end);
  else if (uri < end)
    stop = memchr(uri, '>', (size_t)(end - uri));
  if (stop == NULL || sip_uri_parse(slice_between(uri, stop), &out->uri) != OK) return ERR_SYNTAX;
  return parse_params(out->bracketed ? stop + 1 : stop, end, out);
}
