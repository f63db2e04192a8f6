/* SPDX-License-Identifier: BSD-2-Clause */
/* For the files of sip/ only: character classes and the small scanners they share. A scanner
 * takes a position and the end of the text and returns the position after what it matched, which
 * is the position it got if it matched nothing. RFC 3261 25.1. */
#ifndef SIP_SCAN_H
#define SIP_SCAN_H

#include "base/slice.h"

enum sip_class {
  SIP_C_WS = 1 << 0, /* SP HTAB, and CR LF: inside a header value they are a fold */
  SIP_C_DIGIT = 1 << 1,
  SIP_C_HEX = 1 << 2,
  SIP_C_ALPHA = 1 << 3,
  SIP_C_TOKEN = 1 << 4,
  SIP_C_WORD = 1 << 5, /* of a Call-ID */
  SIP_C_UNRESERVED = 1 << 6,
  SIP_C_USER = 1 << 7, /* unreserved / user-unreserved */
  SIP_C_PASSWORD = 1 << 8,
  SIP_C_PARAM = 1 << 9,   /* paramchar without escapes */
  SIP_C_HNV = 1 << 10,    /* URI headers, with '=' and '&' */
  SIP_C_URIC = 1 << 11,   /* reserved / unreserved, and the brackets of an IPv6reference */
  SIP_C_HOST = 1 << 12,   /* letters, digits, '-', '.' */
  SIP_C_VALUE = 1 << 13,  /* gen-value without quotes: token or host */
  SIP_C_QUOTED = 1 << 14, /* stands for itself in a quoted string */
  SIP_C_LIST = 1 << 15,   /* matters between the values of a list: , < > " */
};

extern const uint16_t sip_classes[256];

static inline bool sip_is(char c, enum sip_class which) {
  return (sip_classes[(unsigned char)c] & which) != 0;
}
static inline const char *sip_span(const char *p, const char *end, enum sip_class which) {
  while (end - p >= 4) {
    if (!sip_is(p[0], which)) return p;
    if (!sip_is(p[1], which)) return p + 1;
    if (!sip_is(p[2], which)) return p + 2;
    if (!sip_is(p[3], which)) return p + 3;
    p += 4;
  }
  while (p < end && sip_is(*p, which)) p++;
  return p;
}
static inline const char *sip_skip_ws(const char *p, const char *end) {
  return sip_span(p, end, SIP_C_WS);
}
/* [from, to) without white space at its end. */
static inline const char *sip_trim_end(const char *from, const char *to) {
  while (to > from && sip_is(to[-1], SIP_C_WS)) to--;
  return to;
}
static inline bool sip_is_blank(char c) { return c == ' ' || c == '\t'; }
/* The whole slice as a number; one over `max` gives max + 1. False: empty or not all digits. */
bool sip_scan_number(struct slice text, uint32_t max, uint64_t *out);
/* A run of class characters and %HH escapes. Stops at a broken escape. */
const char *sip_scan_escaped(const char *p, const char *end, enum sip_class which);
/* A quoted string with its quotes; p itself if it is none or is not closed. */
const char *sip_scan_quoted(const char *p, const char *end);
/* A host: name, IPv4 address or IPv6 address in brackets. */
const char *sip_scan_host(const char *p, const char *end);
/* A port, 1 to 65535. */
const char *sip_scan_port(const char *p, const char *end, uint16_t *port);

/* One header parameter, p after its ';': generic-param with white space around it. value->at is
 * NULL for a flag. NULL: malformed. */
const char *sip_scan_param(const char *p, const char *end, struct slice *name, struct slice *value);

enum sip_line_kind {
  SIP_LINE_HEADER,
  SIP_LINE_EMPTY, /* CRLF: the head ends here */
  SIP_LINE_CUT,   /* no line end up to the end of the text */
  SIP_LINE_BARE,  /* CR without LF or LF without CR */
};
/* One header with its folds, or the start line (which has no folds: see `folds`). *next is the
 * byte after the CRLF, for BARE the byte after the one that is wrong. */
enum sip_line_kind sip_scan_line(const char *p, const char *end, bool folds, const char **next);

/* Position after the value that starts at p in a comma-separated list: its comma, or end. Commas
 * in quotes and in <> do not count. */
const char *sip_scan_list_value(const char *p, const char *end);

#endif
