/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/message.h"

#include "sip/names.h"
#include "sip/scan.h"
#include "sip/via.h"

#define MISSING(id, name, compact) [id] = "Missing " name,
#define MALFORMED(id, name, compact) [id] = "Malformed " name,
#define REPEATED(id, name, compact) [id] = "More Than One " name,
static const char *const missing[SIP_H_COUNT] = {SIP_HEADER_NAMES(MISSING)};
static const char *const malformed[SIP_H_COUNT] = {SIP_HEADER_NAMES(MALFORMED)};
static const char *const repeated[SIP_H_COUNT] = {SIP_HEADER_NAMES(REPEATED)};

#define BIT(id) ((uint64_t)1 << (id))
/* Headers of which a message has at most one (RFC 3261 7.3.1 and section 20, R-1.4). */
static const uint64_t single =
    BIT(SIP_H_FROM) | BIT(SIP_H_TO) | BIT(SIP_H_CALL_ID) | BIT(SIP_H_CSEQ) |
    BIT(SIP_H_MAX_FORWARDS) | BIT(SIP_H_CONTENT_LENGTH) | BIT(SIP_H_CONTENT_TYPE) |
    BIT(SIP_H_EXPIRES) | BIT(SIP_H_MIN_EXPIRES) | BIT(SIP_H_RETRY_AFTER) | BIT(SIP_H_DATE) |
    BIT(SIP_H_EVENT) | BIT(SIP_H_SUBJECT) | BIT(SIP_H_MAX_BREADTH) | BIT(SIP_H_OVERLAY_KEY);

struct parser {
  struct sip_message *out;
  struct sip_problem problem; /* the first one met */
  bool bad;
  bool too_large;
  bool has_length;
  uint64_t content_length;
};

/* Parsing goes on after a problem, so that an answer can be made. */
static void refuse(struct parser *ps, uint16_t status, const char *reason) {
  if (ps->bad) return;
  ps->bad = true;
  ps->problem = (struct sip_problem){status, reason};
}

static void refuse_size(struct parser *ps, const char *reason) {
  refuse(ps, 413, reason); /* R-1.29 */
  ps->too_large = true;
}

/* "SIP/" 1*DIGIT "." 1*DIGIT: some SIP version. */
static bool is_version(struct slice text) {
  if (!slice_starts_nocase(text, SLICE("SIP/"))) return false;
  const char *p = text.at + 4, *end = text.at + text.len;
  const char *dot = sip_span(p, end, SIP_C_DIGIT);
  if (dot == p || dot == end || *dot != '.') return false;
  return dot + 1 < end && sip_span(dot + 1, end, SIP_C_DIGIT) == end;
}

static void check_version(struct parser *ps, struct slice text) {
  if (text.len == 7 && memcmp(text.at, "SIP/2.0", 7) == 0) return;
  if (slice_equal_nocase(text, SLICE("SIP/2.0"))) return;
  if (is_version(text))
    refuse(ps, 505, "SIP Version Not Supported");
  else
    refuse(ps, 400, "Malformed SIP Version");
}

static void check_request_uri(struct parser *ps, struct slice text) {
  struct sip_uri uri;
  const char *p = text.at, *end = text.at + text.len;
  if (sip_uri_parse(text, &uri) == OK) {
    /* RFC 3261 19.1.1: headers do not stand in a Request-URI. */
    if (uri.headers.len > 0) refuse(ps, 400, "Headers in Request-URI");
    return;
  }
  if (text.len > 0 && (sip_is(*p, SIP_C_WS) || sip_is(end[-1], SIP_C_WS)))
    refuse(ps, 400, "Extra White Space in Request-Line");
  while (p < end && !sip_is(*p, SIP_C_WS)) p++;
  refuse(ps, 400, p < end ? "White Space in Request-URI" : "Malformed Request-URI");
}

/* Method SP Request-URI SP SIP-Version, [p, end) without CRLF. */
static void parse_request_line(struct parser *ps, const char *p, const char *end) {
  struct sip_message *m = ps->out;
  const char *stop = sip_span(p, end, SIP_C_TOKEN);
  m->method_text = slice_between(p, stop);
  m->method = sip_method_of(m->method_text);
  if (stop == p || stop == end || *stop != ' ') {
    refuse(ps, 400, stop < end && stop > p ? "Malformed Method" : "Malformed Request-Line");
    return;
  }
  if (sip_is_blank(end[-1])) refuse(ps, 400, "Extra White Space in Request-Line");
  end = sip_trim_end(stop, end);
  const char *version = end;
  while (version > stop && version[-1] != ' ') version--;
  if (version <= stop + 1) {
    refuse(ps, 400, "Malformed Request-Line");
    return;
  }
  m->uri_text = slice_between(stop + 1, version - 1);
  check_version(ps, slice_between(version, end));
  check_request_uri(ps, m->uri_text);
}

/* SIP-Version SP Status-Code SP Reason-Phrase. The SP before an empty reason may be missing. */
static void parse_status_line(struct parser *ps, const char *p, const char *end) {
  struct sip_message *m = ps->out;
  const char *code = memchr(p, ' ', (size_t)(end - p));
  if (code == NULL) code = end;
  check_version(ps, slice_between(p, code));
  if (code < end) code++;
  const char *stop = sip_span(code, end, SIP_C_DIGIT);
  uint64_t status;
  if (stop - code != 3 || (stop < end && *stop != ' ') ||
      !sip_scan_number(slice_between(code, stop), 999, &status) || status < 100 || status > 699) {
    refuse(ps, 0, "Malformed Status-Code");
    return;
  }
  m->status = (uint16_t)status;
  m->reason = stop < end ? slice_between(stop + 1, end) : slice_of(end, 0);
}

static void parse_start_line(struct parser *ps) {
  const char *p = ps->out->start_line.at;
  const char *end = p + ps->out->start_line.len - 2;
  ps->out->request = !slice_starts_nocase(slice_between(p, end), SLICE("SIP/"));
  if (ps->out->request)
    parse_request_line(ps, p, end);
  else
    parse_status_line(ps, p, end);
}

static bool parse_cseq(struct parser *ps, struct slice value) {
  struct sip_message *m = ps->out;
  const char *p = value.at, *end = value.at + value.len;
  const char *stop = sip_span(p, end, SIP_C_DIGIT);
  uint64_t number;
  if (!sip_scan_number(slice_between(p, stop), UINT32_MAX, &number)) return false;
  if (number > UINT32_MAX) {
    refuse(ps, 400, "CSeq Number Too Large");
    return true;
  }
  p = sip_skip_ws(stop, end);
  if (p == stop || p == end || sip_span(p, end, SIP_C_TOKEN) != end) return false;
  m->cseq = (uint32_t)number;
  m->cseq_method = slice_between(p, end);
  if (!m->request) {
    m->method = sip_method_of(m->cseq_method);
    m->method_text = m->cseq_method;
  } else if (!slice_equal(m->cseq_method, m->method_text)) {
    refuse(ps, 400, "CSeq Method Is Not The Request Method");
  }
  return true;
}

/* callid = word [ "@" word ] */
static bool parse_call_id(struct parser *ps, struct slice value) {
  const char *p = value.at, *end = value.at + value.len;
  const char *stop = sip_span(p, end, SIP_C_WORD);
  if (stop == p) return false;
  if (stop < end) {
    if (*stop != '@' || stop + 1 == end) return false;
    if (sip_span(stop + 1, end, SIP_C_WORD) != end) return false;
  }
  ps->out->call_id = value;
  return true;
}

static bool parse_max_forwards(struct parser *ps, struct slice value) {
  uint64_t n;
  if (!sip_scan_number(value, 255, &n)) return false;
  if (n > 255) refuse(ps, 400, "Max-Forwards Over 255");
  ps->out->max_forwards = (int)(n > 255 ? 255 : n);
  return true;
}

static bool parse_content_length(struct parser *ps, struct slice value) {
  ps->has_length = sip_scan_number(value, SIP_MESSAGE_BYTES_MAX, &ps->content_length);
  return ps->has_length;
}

static bool parse_address(struct slice value, struct slice *tag) {
  struct sip_address address;
  enum err err = sip_address_parse(value, &address);
  *tag = address.tag;
  return err == OK;
}

static void parse_top_via(struct parser *ps, struct slice value) {
  const char *reason, *end = value.at + value.len;
  const char *comma = sip_via_scan(value.at, end, &ps->out->via, &reason);
  if (comma == NULL)
    refuse(ps, 400, reason);
  else if (comma < end && sip_skip_ws(comma + 1, end) == end)
    refuse(ps, 400, malformed[SIP_H_VIA]);
}

/* The values that every element needs; the others wait until somebody asks. */
static void parse_value(struct parser *ps, const struct sip_header *h) {
  bool good = true;
  /* One case for each header that is read here, the rest by default. */
  if (h->id == SIP_H_VIA)
    parse_top_via(ps, h->value);
  else if (h->id == SIP_H_FROM)
    good = parse_address(h->value, &ps->out->from_tag);
  else if (h->id == SIP_H_TO)
    good = parse_address(h->value, &ps->out->to_tag);
  else if (h->id == SIP_H_CSEQ)
    good = parse_cseq(ps, h->value);
  else if (h->id == SIP_H_CALL_ID)
    good = parse_call_id(ps, h->value);
  else if (h->id == SIP_H_MAX_FORWARDS)
    good = parse_max_forwards(ps, h->value);
  else if (h->id == SIP_H_CONTENT_LENGTH)
    good = parse_content_length(ps, h->value);
  if (!good) refuse(ps, 400, malformed[h->id]);
}

/* One header: [p, end) with its folds and CRLF. */
static void parse_header(struct parser *ps, const char *p, const char *end) {
  struct sip_message *m = ps->out;
  if (m->header_count == SIP_HEADERS_MAX) {
    refuse_size(ps, "Too Many Headers");
    return;
  }
  const char *name_end = sip_span(p, end, SIP_C_TOKEN);
  const char *colon = name_end;
  while (sip_is_blank(*colon)) colon++;
  if (name_end == p || *colon != ':') {
    refuse(ps, 400, "Malformed Header Name");
    return;
  }
  struct sip_header *h = &m->header[m->header_count];
  const char *value = sip_skip_ws(colon + 1, end);
  h->name = slice_between(p, name_end);
  h->line = slice_between(p, end);
  if (value == end) value = end = colon + 1; /* empty: before the CRLF, not behind it */
  h->value = slice_between(value, sip_trim_end(value, end));
  h->id = sip_header_of(h->name);
  if (h->id == SIP_H_OTHER) {
    m->header_count++;
    return;
  }
  if (m->first[h->id] == SIP_NO_HEADER) {
    m->first[h->id] = (uint8_t)m->header_count;
    parse_value(ps, h);
  } else if (single & BIT(h->id)) {
    refuse(ps, 400, repeated[h->id]);
  }
  m->header_count++;
}

/* Start line and headers. Returns the first byte of the body; NULL: the head does not end. */
static const char *parse_head(struct parser *ps, const char *p, const char *end) {
  struct sip_message *m = ps->out;
  const char *next;
  enum sip_line_kind kind = sip_scan_line(p, end, false, &next);
  if (kind == SIP_LINE_HEADER) {
    m->start_line = slice_between(p, next);
    parse_start_line(ps);
    m->headers = slice_of(next, 0);
  }
  while (kind == SIP_LINE_HEADER) {
    p = next;
    kind = sip_scan_line(p, end, true, &next);
    if (kind != SIP_LINE_HEADER) break;
    parse_header(ps, p, next);
    m->headers.len = (size_t)(next - m->headers.at);
  }
  if (kind == SIP_LINE_EMPTY) return next;
  refuse(ps, 400,
         kind == SIP_LINE_CUT ? "Missing Empty Line After Headers" : "Line Does Not End In CR LF");
  return NULL;
}

static void check_mandatory(struct parser *ps) {
  static const enum sip_header_id mandatory[] = {SIP_H_VIA, SIP_H_FROM, SIP_H_TO, SIP_H_CALL_ID,
                                                 SIP_H_CSEQ};
  for (size_t i = 0; i < sizeof mandatory / sizeof *mandatory; i++)
    if (ps->out->first[mandatory[i]] == SIP_NO_HEADER) refuse(ps, 400, missing[mandatory[i]]);
}

static void take_body(struct parser *ps, const char *body, const char *end,
                      enum sip_carrier carrier) {
  size_t have = (size_t)(end - body);
  size_t want = ps->has_length ? (size_t)ps->content_length : have;
  if (!ps->has_length && carrier == SIP_STREAM &&
      ps->out->first[SIP_H_CONTENT_LENGTH] == SIP_NO_HEADER)
    refuse(ps, 400, missing[SIP_H_CONTENT_LENGTH]);
  if (want > SIP_MESSAGE_BYTES_MAX && carrier == SIP_STREAM) refuse_size(ps, "Message Too Large");
  if (want > have) refuse(ps, 400, "Body Shorter Than Content-Length");
  ps->out->body = slice_of(body, want < have ? want : have);
}

/* All but the header table, which is large and counted. */
static void clear(struct sip_message *m) {
  size_t tail = offsetof(struct sip_message, first);
  memset(m, 0, offsetof(struct sip_message, header));
  memset((char *)m + tail, 0, sizeof *m - tail);
  memset(m->first, SIP_NO_HEADER, sizeof m->first);
  m->max_forwards = -1;
}

enum err sip_message_parse(struct slice bytes, enum sip_carrier carrier, struct sip_message *out,
                           struct sip_problem *problem) {
  struct parser ps = {.out = out};
  if (bytes.len == 0) bytes = SLICE("");
  const char *p = bytes.at, *end = bytes.at + bytes.len;
  clear(out);
  /* RFC 3261 7.5: line ends before the start line. */
  while (end - p >= 2 && p[0] == '\r' && p[1] == '\n') p += 2;
  out->bytes = slice_between(p, end);
  if (bytes.len > SIP_MESSAGE_BYTES_MAX) refuse_size(&ps, "Message Too Large");
  const char *body = parse_head(&ps, p, end);
  check_mandatory(&ps);
  if (body != NULL) {
    take_body(&ps, body, end, carrier);
    out->bytes = slice_between(p, out->body.at + out->body.len);
  }
  *problem = ps.problem;
  if (!ps.bad) return OK;
  /* Neither a response nor an ACK is ever answered. */
  if (!out->request || out->method == SIP_ACK) problem->status = 0;
  return ps.too_large ? ERR_LIMIT : ERR_SYNTAX;
}

static void shift(struct slice *text, struct slice from, const char *to) {
  uintptr_t at = (uintptr_t)text->at - (uintptr_t)from.at;
  if (text->at != NULL && at <= from.len) text->at = to + at;
}

static void shift_via(struct sip_via *via, struct slice from, const char *to) {
  struct slice *const parts[] = {&via->text,   &via->transport, &via->host, &via->branch,
                                 &via->params, &via->received,  &via->rport};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) shift(parts[i], from, to);
}

void sip_message_move(struct sip_message *out, const struct sip_message *message, const char *to) {
  size_t tail = offsetof(struct sip_message, first);
  const struct slice from = message->bytes;
  memcpy(out, message, offsetof(struct sip_message, header));
  memcpy(out->header, message->header, message->header_count * sizeof message->header[0]);
  memcpy((char *)out + tail, (const char *)message + tail, sizeof *out - tail);
  struct slice *const parts[] = {&out->bytes,    &out->method_text, &out->uri_text,
                                 &out->reason,   &out->start_line,  &out->headers,
                                 &out->body,     &out->call_id,     &out->cseq_method,
                                 &out->from_tag, &out->to_tag};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) shift(parts[i], from, to);
  for (unsigned i = 0; i < out->header_count; i++) {
    shift(&out->header[i].name, from, to);
    shift(&out->header[i].value, from, to);
    shift(&out->header[i].line, from, to);
  }
  shift_via(&out->via, from, to);
}
