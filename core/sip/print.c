/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/print.h"

#include "sip/via_print.h"

static void put_crlf(struct buf *out) { buf_put(out, SLICE("\r\n")); }

void sip_put_header(struct buf *out, const char *name, struct slice value) {
  buf_put_cstr(out, name);
  buf_put(out, SLICE(": "));
  buf_put(out, value);
  put_crlf(out);
}

void sip_put_header_u64(struct buf *out, const char *name, uint64_t value) {
  buf_put_cstr(out, name);
  buf_put(out, SLICE(": "));
  buf_put_u64(out, value);
  put_crlf(out);
}

static void put_status_line(struct buf *out, uint16_t status, const char *reason) {
  buf_put(out, SLICE("SIP/2.0 "));
  buf_put_u64(out, status);
  buf_put_char(out, ' ');
  buf_put_cstr(out, reason == NULL ? sip_reason(status) : reason);
  put_crlf(out);
}

static void put_vias(struct buf *out, const struct sip_message *m, const struct endpoint *source) {
  const struct sip_header *top = sip_top_via_header(m);
  if (top == NULL) return;
  sip_put_marked_via(out, m, source);
  for (unsigned i = m->first[SIP_H_VIA] + 1u; i < m->header_count; i++)
    if (m->header[i].id == SIP_H_VIA) buf_put(out, m->header[i].line);
}

static void put_first(struct buf *out, const struct sip_message *m, enum sip_header_id id) {
  const struct sip_header *h = sip_header_first(m, id);
  if (h != NULL) buf_put(out, h->line);
}

/* After the value: a tag is a parameter of the header, bracketed or not (RFC 3261 20.39). */
static void put_to(struct buf *out, const struct sip_message *m, struct slice tag) {
  const struct sip_header *h = sip_header_first(m, SIP_H_TO);
  if (h == NULL) return;
  if (tag.len == 0 || m->to_tag.len > 0) {
    buf_put(out, h->line);
    return;
  }
  sip_put_between(out, h->line.at, h->value.at + h->value.len);
  buf_put(out, SLICE(";tag="));
  buf_put(out, tag);
  put_crlf(out);
}

void sip_put_response_head(struct buf *out, const struct sip_message *request, uint16_t status,
                           const char *reason, struct slice to_tag, const struct endpoint *source) {
  put_status_line(out, status, reason);
  put_vias(out, request, source);
  put_first(out, request, SIP_H_FROM);
  put_to(out, request, to_tag);
  put_first(out, request, SIP_H_CALL_ID);
  put_first(out, request, SIP_H_CSEQ);
  if (status != 100) return;
  const struct sip_header *timestamp = sip_header_named(request, "Timestamp");
  if (timestamp != NULL) buf_put(out, timestamp->line);
}

void sip_put_bare_response(struct buf *out, const struct sip_message *response, uint16_t status,
                           const char *reason) {
  put_status_line(out, status, reason);
  if (sip_top_via_header(response) != NULL) sip_put_via_rest(out, response);
  for (unsigned i = response->first[SIP_H_VIA] + 1u; i < response->header_count; i++)
    if (response->header[i].id == SIP_H_VIA) buf_put(out, response->header[i].line);
  put_first(out, response, SIP_H_FROM);
  put_first(out, response, SIP_H_TO);
  put_first(out, response, SIP_H_CALL_ID);
  put_first(out, response, SIP_H_CSEQ);
  sip_put_body(out, NULL, SLICE_EMPTY);
}

void sip_put_body(struct buf *out, const char *content_type, struct slice body) {
  if (body.len > 0) sip_put_header(out, "Content-Type", slice_cstr(content_type));
  sip_put_header_u64(out, "Content-Length", body.len);
  put_crlf(out);
  buf_put(out, body);
}

void sip_put_ack_or_cancel(struct buf *out, const struct sip_message *request,
                           enum sip_method method, struct slice to) {
  const struct sip_header *from = sip_header_first(request, SIP_H_FROM);
  const struct sip_header *own_to = sip_header_first(request, SIP_H_TO);
  if (to.len == 0 && own_to != NULL) to = own_to->value;
  buf_put_cstr(out, sip_method_name(method));
  buf_put_char(out, ' ');
  buf_put(out, request->uri_text);
  buf_put(out, SLICE(" SIP/2.0\r\n"));
  sip_put_header(out, "Via", request->via.text);
  sip_put_header_u64(out, "Max-Forwards", 70);
  for (unsigned i = 0; i < request->header_count; i++)
    if (request->header[i].id == SIP_H_ROUTE) buf_put(out, request->header[i].line);
  if (from != NULL) sip_put_header(out, "From", from->value);
  sip_put_header(out, "To", to);
  sip_put_header(out, "Call-ID", request->call_id);
  buf_put(out, SLICE("CSeq: "));
  buf_put_u64(out, request->cseq);
  buf_put_char(out, ' ');
  buf_put_cstr(out, sip_method_name(method));
  buf_put(out, SLICE("\r\nContent-Length: 0\r\n\r\n"));
}
