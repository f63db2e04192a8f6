/* SPDX-License-Identifier: BSD-2-Clause */
/* Forwarding: the received bytes are copied in stretches as long as nothing changes in them. All
 * that is new goes to the top, so that a new Route or Record-Route stands before the older ones. */
#include "sip/print.h"
#include "sip/scan.h"
#include "sip/via_print.h"

/* A copy under way: bytes up to `from` are written or left out. */
struct splice {
  struct buf *out;
  const char *from;
};

/* Copies up to the header and goes on after it; its place is free for something else. */
static void splice_cut(struct splice *s, const struct sip_header *h) {
  sip_put_between(s->out, s->from, h->line.at);
  s->from = h->line.at + h->line.len;
}

static void splice_rest(struct splice *s, const struct sip_message *m) {
  sip_put_between(s->out, s->from, m->headers.at + m->headers.len);
}

static void put_end(struct buf *out, const struct sip_message *m) {
  if (m->first[SIP_H_CONTENT_LENGTH] == SIP_NO_HEADER)
    sip_put_header_u64(out, "Content-Length", m->body.len);
  buf_put(out, SLICE("\r\n"));
  buf_put(out, m->body);
}

static void put_request_line(struct buf *out, const struct sip_message *m, struct slice uri) {
  if (uri.len == 0) {
    buf_put(out, m->start_line);
    return;
  }
  buf_put(out, m->method_text);
  buf_put_char(out, ' ');
  buf_put(out, uri);
  buf_put(out, SLICE(" SIP/2.0\r\n"));
}

/* The header without its first values; nothing if none is left. *drop falls by those left out. */
static void put_without_values(struct buf *out, const struct sip_header *h, unsigned *drop) {
  const char *p = h->value.at, *end = h->value.at + h->value.len;
  while (*drop > 0 && p < end) {
    p = sip_scan_list_value(p, end);
    if (p < end) p = sip_skip_ws(p + 1, end);
    --*drop;
  }
  if (p == end) return;
  sip_put_between(out, h->line.at, h->value.at);
  sip_put_between(out, p, h->line.at + h->line.len);
}

/* What the edit makes of one header. */
static void edit_header(struct splice *s, const struct sip_message *m, unsigned index,
                        const struct sip_request_edit *edit, unsigned *routes_drop) {
  const struct sip_header *h = &m->header[index];
  if (h->id == SIP_H_OTHER) return;
  if (edit->headers_drop & (uint64_t)1 << h->id) {
    splice_cut(s, h);
  } else if (h->id == SIP_H_MAX_FORWARDS && edit->max_forwards >= 0) {
    splice_cut(s, h);
    sip_put_between(s->out, h->line.at, h->value.at);
    buf_put_u64(s->out, (uint64_t)edit->max_forwards);
    buf_put(s->out, SLICE("\r\n"));
  } else if (h->id == SIP_H_ROUTE && *routes_drop > 0) {
    splice_cut(s, h);
    put_without_values(s->out, h, routes_drop);
  } else if (h->id == SIP_H_VIA && index == m->first[SIP_H_VIA] && edit->source != NULL) {
    splice_cut(s, h);
    sip_put_marked_via(s->out, m, edit->source);
  }
}

void sip_put_forwarded_request(struct buf *out, const struct sip_message *request,
                               const struct sip_request_edit *edit) {
  unsigned routes_drop = edit->routes_drop;
  put_request_line(out, request, edit->uri);
  if (edit->via_sent_by != NULL) sip_put_via(out, edit->via_sent_by, edit->via_branch);
  buf_put(out, edit->lines_add);
  buf_put(out, edit->routes_add);
  if (edit->max_forwards >= 0 && request->first[SIP_H_MAX_FORWARDS] == SIP_NO_HEADER)
    sip_put_header_u64(out, "Max-Forwards", (uint64_t)edit->max_forwards);

  struct splice s = {out, request->headers.at};
  for (unsigned i = 0; i < request->header_count; i++)
    edit_header(&s, request, i, edit, &routes_drop);
  splice_rest(&s, request);
  put_end(out, request);
}

void sip_put_forwarded_response(struct buf *out, const struct sip_message *response,
                                struct slice lines_add) {
  const struct sip_header *via = sip_top_via_header(response);
  struct splice s = {out, response->headers.at};
  buf_put(out, response->start_line);
  buf_put(out, lines_add);
  if (via != NULL) {
    splice_cut(&s, via);
    sip_put_via_rest(out, response);
  }
  splice_rest(&s, response);
  put_end(out, response);
}
