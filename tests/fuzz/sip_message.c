/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a message. What parses must still parse after each edit that the printer knows, and
 * carry the same headers; what does not parse must still be safe to answer. */
#include <stdlib.h>

#include "sip/framing.h"
#include "sip/print.h"

static char printed[1 << 19];
static const struct endpoint source = {
    .addr = {192, 0, 2, 7}, .port = 5070, .family = 4, .transport = TRANSPORT_UDP};

static void check(bool promise) {
  if (!promise) abort();
}

static bool within(struct slice inner, struct slice outer) {
  return inner.len == 0 || (inner.at >= outer.at && inner.at + inner.len <= outer.at + outer.len);
}

static void check_slices(const struct sip_message *m, struct slice all) {
  const char *p = m->headers.at;
  check(within(m->bytes, all) && within(m->start_line, all) && within(m->headers, all));
  check(within(m->body, all) && within(m->uri_text, all) && within(m->reason, all));
  check(within(m->via.text, all) && within(m->via.host, all) && within(m->via.params, all));
  check(within(m->from_tag, all) && within(m->to_tag, all) && within(m->call_id, all));
  check(m->header_count <= SIP_HEADERS_MAX);
  for (unsigned i = 0; i < m->header_count; i++) {
    const struct sip_header *h = &m->header[i];
    check(within(h->line, m->headers) && within(h->name, h->line) && within(h->value, h->line));
    check(h->line.at >= p);
    p = h->line.at + h->line.len;
  }
}

static void check_values(const struct sip_message *m) {
  for (unsigned id = SIP_H_OTHER + 1; id < SIP_H_COUNT; id++) {
    struct sip_values values = sip_values_of(m, (enum sip_header_id)id);
    struct slice value;
    struct sip_address address;
    struct sip_via via;
    struct endpoint endpoint;
    while (sip_values_next(&values, &value)) {
      check(within(value, m->headers));
      if (sip_address_parse(value, &address) == OK) check(address.uri.scheme_text.len > 0);
      if (sip_via_parse(value, &via) == OK && sip_via_endpoint(&via, &endpoint) == OK)
        check(endpoint.family != 0);
    }
  }
}

/* Reads back what was printed; with trouble on the way there is nothing to read. */
static bool read_back(const struct buf *out, struct sip_message *again) {
  struct sip_problem problem;
  if (out->overflow || out->len > SIP_MESSAGE_BYTES_MAX) return false;
  enum err err = sip_message_parse(buf_slice(out), SIP_STREAM, again, &problem);
  if (err == ERR_LIMIT) return false;
  check(err == OK);
  check(again->bytes.len == out->len);
  return true;
}

static void check_forwarded_request(const struct sip_message *m) {
  static struct sip_message again;
  struct buf out = buf_over(printed, sizeof printed);
  struct sip_request_edit edit = {
      .via_sent_by = &source,
      .via_branch = SLICE("z9hG4bKx"),
      .source = &source,
      .max_forwards = 9,
      .routes_drop = 1,
      .lines_add = SLICE("Record-Route: <sip:192.0.2.1;lr>\r\n"),
  };
  sip_put_forwarded_request(&out, m, &edit);
  if (!read_back(&out, &again)) return;
  check(slice_equal(again.body, m->body) && slice_equal(again.call_id, m->call_id));
  check(slice_equal(again.from_tag, m->from_tag) && again.max_forwards == 9);
  check(slice_equal(again.via.branch, edit.via_branch));
  check(sip_header_count(&again, SIP_H_VIA) == sip_header_count(m, SIP_H_VIA) + 1);
  check(sip_header_count(&again, SIP_H_OTHER) == sip_header_count(m, SIP_H_OTHER));
}

/* The answer reaches the one who asked, whatever the request's Via says. */
static void check_response(const struct sip_message *m, bool parsed) {
  static struct sip_message again;
  struct buf out = buf_over(printed, sizeof printed);
  struct endpoint to;
  sip_put_response_head(&out, m, 400, "Why", SLICE("tag1"), &source);
  sip_put_body(&out, "text/plain", SLICE("body"));
  if (!parsed || !read_back(&out, &again)) return;
  check(again.status == 400 && again.cseq == m->cseq && again.to_tag.len > 0);
  if (sip_via_endpoint(&again.via, &to) == OK) check(memcmp(to.addr, source.addr, 16) == 0);
}

static void check_forwarded_response(const struct sip_message *m) {
  static struct sip_message again;
  struct sip_problem problem;
  struct buf out = buf_over(printed, sizeof printed);
  sip_put_forwarded_response(&out, m, SLICE_EMPTY);
  struct sip_values vias = sip_values_of(m, SIP_H_VIA);
  struct slice value;
  struct sip_via next;
  if (!sip_values_next(&vias, &value) || !sip_values_next(&vias, &value)) return;
  if (sip_via_parse(value, &next) != OK) return; /* the next element's business */
  enum err err = sip_message_parse(buf_slice(&out), SIP_STREAM, &again, &problem);
  if (err == OK) check(slice_equal(again.via.text, value) && again.status == m->status);
}

static void check_ack(const struct sip_message *m) {
  static struct sip_message again;
  struct buf out = buf_over(printed, sizeof printed);
  sip_put_ack_or_cancel(&out, m, SIP_ACK, SLICE_EMPTY);
  if (!read_back(&out, &again)) return;
  check(again.method == SIP_ACK && again.cseq == m->cseq);
  check(slice_equal(again.via.text, m->via.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct sip_message m;
  struct slice all = slice_of(data, size);
  for (enum sip_carrier carrier = SIP_DATAGRAM; carrier <= SIP_STREAM; carrier++) {
    struct sip_problem problem;
    enum err err = sip_message_parse(all, carrier, &m, &problem);
    check_slices(&m, all);
    check_values(&m);
    check((err == OK) == (problem.reason == NULL));
    check_response(&m, err == OK && m.request);
    if (err != OK) continue;
    if (m.request) {
      check_forwarded_request(&m);
      check_ack(&m);
    } else {
      check_forwarded_response(&m);
    }
    size_t scanned = 0;
    struct sip_frame f = sip_frame_next(m.bytes, &scanned);
    if (carrier == SIP_STREAM && f.kind == SIP_FRAME_MESSAGE) check(f.len == m.bytes.len);
    if (carrier == SIP_STREAM) check(f.kind == SIP_FRAME_MESSAGE || m.headers.len > 16000);
  }
  return 0;
}
