/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/scan.h"

#include "base/endpoint.h"

/* One name per kind of character; the table below is then the ASCII chart. */
#define ALNUM                                                                                \
  (SIP_C_TOKEN | SIP_C_WORD | SIP_C_UNRESERVED | SIP_C_USER | SIP_C_PASSWORD | SIP_C_PARAM | \
   SIP_C_HNV | SIP_C_URIC | SIP_C_HOST | SIP_C_VALUE | SIP_C_QUOTED)
#define DIGIT (ALNUM | SIP_C_DIGIT | SIP_C_HEX)
#define HEXAL (ALNUM | SIP_C_ALPHA | SIP_C_HEX)
#define ALPHA (ALNUM | SIP_C_ALPHA)
#define MARK                                                                               \
  (SIP_C_UNRESERVED | SIP_C_USER | SIP_C_PASSWORD | SIP_C_PARAM | SIP_C_HNV | SIP_C_URIC | \
   SIP_C_QUOTED)
#define TOKEN (SIP_C_TOKEN | SIP_C_WORD | SIP_C_VALUE)
#define PLAIN SIP_C_QUOTED
#define DQUOTE (SIP_C_WORD | SIP_C_LIST)
#define BSLASH SIP_C_WORD
#define BANG (MARK | TOKEN)                /* ! * _ ' ~ */
#define HYPHEN (MARK | TOKEN | SIP_C_HOST) /* - . */
#define PAREN (MARK | SIP_C_WORD)
#define PERCENT (TOKEN | PLAIN) /* % ` */
#define PLUS (TOKEN | SIP_C_USER | SIP_C_PASSWORD | SIP_C_PARAM | SIP_C_HNV | SIP_C_URIC | PLAIN)
#define DOLLAR (SIP_C_USER | SIP_C_PASSWORD | SIP_C_PARAM | SIP_C_HNV | SIP_C_URIC | PLAIN)
#define AMP (SIP_C_USER | SIP_C_PASSWORD | SIP_C_PARAM | SIP_C_HNV | SIP_C_URIC | PLAIN)
#define COMMA (SIP_C_USER | SIP_C_PASSWORD | SIP_C_URIC | SIP_C_LIST | PLAIN)
#define EQUALS (SIP_C_USER | SIP_C_PASSWORD | SIP_C_HNV | SIP_C_URIC | PLAIN)
#define SEMI (SIP_C_USER | SIP_C_URIC | PLAIN)
#define SLASH (SIP_C_WORD | SIP_C_USER | SIP_C_PARAM | SIP_C_HNV | SIP_C_URIC | PLAIN)
#define QMARK (SIP_C_WORD | SIP_C_USER | SIP_C_HNV | SIP_C_URIC | PLAIN)
#define COLON (SIP_C_WORD | SIP_C_PARAM | SIP_C_HNV | SIP_C_URIC | SIP_C_VALUE | PLAIN)
#define AT (SIP_C_URIC | PLAIN)
#define BRACKET (SIP_C_WORD | SIP_C_PARAM | SIP_C_HNV | SIP_C_URIC | SIP_C_VALUE | PLAIN)
#define WORD (SIP_C_WORD | PLAIN) /* { } */
#define ANGLE (WORD | SIP_C_LIST) /* < > */
#define BLANK (SIP_C_WS | PLAIN)
#define HIGH8 PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN
#define HIGH32 HIGH8, HIGH8, HIGH8, HIGH8

/* clang-format off */
const uint16_t sip_classes[256] = {
    /* 00 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, BLANK, BLANK, 0, 0, BLANK, 0, 0,
    /* 10 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /*  !"#$%&' */ BLANK, BANG, DQUOTE, PLAIN, DOLLAR, PERCENT, AMP, BANG,
    /* ()*+,-./ */ PAREN, PAREN, BANG, PLUS, COMMA, HYPHEN, HYPHEN, SLASH,
    /* 01234567 */ DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT,
    /* 89:;<=>? */ DIGIT, DIGIT, COLON, SEMI, ANGLE, EQUALS, ANGLE, QMARK,
    /* @ABCDEFG */ AT, HEXAL, HEXAL, HEXAL, HEXAL, HEXAL, HEXAL, ALPHA,
    /* HIJKLMNO */ ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA,
    /* PQRSTUVW */ ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA,
    /* XYZ[\]^_ */ ALPHA, ALPHA, ALPHA, BRACKET, BSLASH, BRACKET, PLAIN, BANG,
    /* `abcdefg */ PERCENT, HEXAL, HEXAL, HEXAL, HEXAL, HEXAL, HEXAL, ALPHA,
    /* hijklmno */ ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA,
    /* pqrstuvw */ ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA, ALPHA,
    /* xyz{|}~  */ ALPHA, ALPHA, ALPHA, WORD, PLAIN, WORD, BANG, 0,
    /* 80 to FF: any UTF-8 */ HIGH32, HIGH32, HIGH32, HIGH32};
/* clang-format on */

bool sip_scan_number(struct slice text, uint32_t max, uint64_t *out) {
  uint64_t n = 0;
  if (text.len == 0) return false;
  for (size_t i = 0; i < text.len; i++) {
    if (!sip_is(text.at[i], SIP_C_DIGIT)) return false;
    n = n * 10 + (uint64_t)(text.at[i] - '0');
    if (n > max) n = (uint64_t)max + 1;
  }
  *out = n;
  return true;
}

const char *sip_scan_escaped(const char *p, const char *end, enum sip_class which) {
  for (;;) {
    p = sip_span(p, end, which);
    if (end - p < 3 || *p != '%' || !sip_is(p[1], SIP_C_HEX) || !sip_is(p[2], SIP_C_HEX)) return p;
    p += 3;
  }
}

const char *sip_scan_quoted(const char *p, const char *end) {
  const char *q = p;
  if (q == end || *q != '"') return p;
  for (q++; q < end; q++) {
    q = sip_span(q, end, SIP_C_QUOTED);
    if (q == end) break;
    if (*q == '"') return q + 1;
    if (*q != '\\' || ++q == end) break;
    if (*q == '\r' || *q == '\n') break;
  }
  return p;
}

/* Four numbers up to 255. */
static bool is_ipv4(const char *p, const char *end) {
  for (unsigned part = 0; part < 4; part++) {
    const char *from = p;
    unsigned n = 0;
    for (; p < end && p - from < 3 && sip_is(*p, SIP_C_DIGIT); p++)
      n = n * 10 + (unsigned)(*p - '0');
    if (p == from || n > 255) return false;
    if (part < 3 && (p == end || *p++ != '.')) return false;
  }
  return p == end;
}

/* No label is empty or begins or ends with '-'; the last begins with a letter, else the whole is
 * an IPv4 address. One dot may follow. */
static const char *scan_name(const char *from, const char *end) {
  const enum sip_class alnum = SIP_C_ALPHA | SIP_C_DIGIT;
  const char *last = NULL, *p = from;
  for (;;) {
    const char *label = p;
    p = sip_span(p, end, alnum);
    if (p == label) break;
    while (p < end && *p == '-') p = sip_span(p + 1, end, alnum);
    if (p[-1] == '-') return from;
    last = label;
    if (p == end || *p != '.') return sip_is(*last, SIP_C_ALPHA) || is_ipv4(from, p) ? p : from;
    p++;
  }
  /* After the last dot there is no label. */
  bool dot_at_end = last != NULL && sip_is(*last, SIP_C_ALPHA) && (p == end || *p != '-');
  return dot_at_end && (p == end || *p != '.') ? p : from;
}

const char *sip_scan_host(const char *p, const char *end) {
  struct endpoint address = {0};
  if (p == end || *p != '[') return scan_name(p, end);
  const char *close = memchr(p, ']', (size_t)(end - p));
  if (close == NULL) return p;
  return endpoint_parse_host(slice_between(p, close + 1), &address) ? close + 1 : p;
}

const char *sip_scan_port(const char *p, const char *end, uint16_t *port) {
  const char *stop = sip_span(p, end, SIP_C_DIGIT);
  uint64_t n;
  if (!sip_scan_number(slice_between(p, stop), UINT16_MAX, &n)) return p;
  if (n == 0 || n > UINT16_MAX) return p;
  *port = (uint16_t)n;
  return stop;
}

const char *sip_scan_param(const char *p, const char *end, struct slice *name,
                           struct slice *value) {
  const char *from = p = sip_skip_ws(p, end);
  p = sip_span(p, end, SIP_C_TOKEN);
  if (p == from) return NULL;
  *name = slice_between(from, p);
  *value = SLICE_EMPTY;
  p = sip_skip_ws(p, end);
  if (p == end || *p != '=') return p;
  from = p = sip_skip_ws(p + 1, end);
  p = p < end && *p == '"' ? sip_scan_quoted(p, end) : sip_span(p, end, SIP_C_VALUE);
  if (p == from) return NULL;
  *value = slice_between(from, p);
  return sip_skip_ws(p, end);
}

/* The first CR or LF, or end. */
static const char *find_line_end(const char *p, const char *end) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  /* Eight bytes at a time, looking for one below 0x0E: CR, LF, rarely a tab or a worse control.
   * The lowest mark is exact; those above it may come from its borrow. */
  const uint64_t ones = 0x0101010101010101u;
  while (end - p >= 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    uint64_t marks = (word - ones * 0x0E) & ~word & ones * 0x80;
    if (marks == 0) {
      p += 8;
      continue;
    }
    p += __builtin_ctzll(marks) >> 3;
    if (*p == '\r' || *p == '\n') return p;
    p++;
  }
#endif
  while (p < end && *p != '\r' && *p != '\n') p++;
  return p;
}

enum sip_line_kind sip_scan_line(const char *p, const char *end, bool folds, const char **next) {
  const char *from = p;
  for (;;) {
    p = find_line_end(p, end);
    if (p == end || (*p == '\r' && p + 1 == end)) return SIP_LINE_CUT;
    *next = p + 1;
    if (p[0] != '\r' || p[1] != '\n') return SIP_LINE_BARE;
    p += 2;
    *next = p;
    if (p == from + 2) return SIP_LINE_EMPTY;
    if (!folds || p == end || !sip_is_blank(*p)) return SIP_LINE_HEADER;
  }
}

const char *sip_scan_list_value(const char *p, const char *end) {
  bool angle = false;
  for (; p < end; p++) {
    if (!sip_is(*p, SIP_C_LIST)) continue;
    if (*p == ',' && !angle) return p;
    if (*p == '<') angle = true;
    if (*p == '>') angle = false;
    if (*p != '"' || angle) continue;
    const char *close = sip_scan_quoted(p, end);
    if (close == p) return end; /* never closed: no comma after it can be trusted */
    p = close - 1;
  }
  return end;
}
