/* SPDX-License-Identifier: BSD-2-Clause */
/* One SIP message, parsed in a single pass into slices of the received bytes: nothing is copied,
 * every header is kept byte for byte, values are parsed on demand by pure functions. RFC 3261
 * section 25. */
#ifndef SIP_MESSAGE_H
#define SIP_MESSAGE_H

#include "base/endpoint.h"
#include "base/err.h"
#include "base/slice.h"
#include "sip/uri.h"

#define SIP_HEADERS_MAX 160
#define SIP_MESSAGE_BYTES_MAX 65535u /* of a message, on any transport */

enum sip_method {
  SIP_METHOD_OTHER,
  SIP_INVITE,
  SIP_ACK,
  SIP_BYE,
  SIP_CANCEL,
  SIP_REGISTER,
  SIP_OPTIONS,
  SIP_MESSAGE,
  SIP_SUBSCRIBE,
  SIP_NOTIFY,
  SIP_PUBLISH,
  SIP_INFO,
  SIP_PRACK,
  SIP_UPDATE,
  SIP_REFER,
  SIP_LOCSER,
};

/* X(ENUM, "Canonical-Name", compact letter or 0) */
/* clang-format off */
#define SIP_HEADER_NAMES(X) \
  X(SIP_H_VIA, "Via", 'v') X(SIP_H_FROM, "From", 'f') X(SIP_H_TO, "To", 't') \
  X(SIP_H_CALL_ID, "Call-ID", 'i') X(SIP_H_CSEQ, "CSeq", 0) \
  X(SIP_H_MAX_FORWARDS, "Max-Forwards", 0) X(SIP_H_CONTENT_LENGTH, "Content-Length", 'l') \
  X(SIP_H_CONTENT_TYPE, "Content-Type", 'c') X(SIP_H_CONTENT_ENCODING, "Content-Encoding", 'e') \
  X(SIP_H_CONTACT, "Contact", 'm') X(SIP_H_ROUTE, "Route", 0) \
  X(SIP_H_RECORD_ROUTE, "Record-Route", 0) X(SIP_H_PATH, "Path", 0) \
  X(SIP_H_EXPIRES, "Expires", 0) X(SIP_H_MIN_EXPIRES, "Min-Expires", 0) \
  X(SIP_H_REQUIRE, "Require", 0) X(SIP_H_PROXY_REQUIRE, "Proxy-Require", 0) \
  X(SIP_H_SUPPORTED, "Supported", 'k') X(SIP_H_UNSUPPORTED, "Unsupported", 0) \
  X(SIP_H_ALLOW, "Allow", 0) X(SIP_H_ACCEPT, "Accept", 0) \
  X(SIP_H_AUTHORIZATION, "Authorization", 0) X(SIP_H_PROXY_AUTHORIZATION, "Proxy-Authorization", 0) \
  X(SIP_H_WWW_AUTHENTICATE, "WWW-Authenticate", 0) \
  X(SIP_H_PROXY_AUTHENTICATE, "Proxy-Authenticate", 0) \
  X(SIP_H_RETRY_AFTER, "Retry-After", 0) X(SIP_H_WARNING, "Warning", 0) X(SIP_H_DATE, "Date", 0) \
  X(SIP_H_EVENT, "Event", 'o') X(SIP_H_SUBJECT, "Subject", 's') \
  X(SIP_H_REQUEST_DISPOSITION, "Request-Disposition", 'd') \
  X(SIP_H_MAX_BREADTH, "Max-Breadth", 0) X(SIP_H_OVERLAY_KEY, "Overlay-Key", 0)
/* clang-format on */

enum sip_header_id {
  SIP_H_OTHER,
#define SIP_HEADER_ENUM(id, name, compact) id,
  SIP_HEADER_NAMES(SIP_HEADER_ENUM)
#undef SIP_HEADER_ENUM
      SIP_H_COUNT
};

struct sip_header {
  enum sip_header_id id;
  struct slice name;  /* as written */
  struct slice value; /* without white space at its ends; folds inside stand as received */
  struct slice line;  /* the whole header, folds and final CRLF included */
};

struct sip_via {
  struct slice text;      /* the whole value */
  struct slice transport; /* "UDP" */
  struct slice host;      /* sent-by host, IPv6 with brackets */
  uint16_t port;          /* 0: none given */
  struct slice branch;    /* empty: none */
  struct slice received;  /* empty: none */
  struct slice rport;     /* at == NULL: no rport; empty: a flag */
  struct slice params;
};

struct sip_message {
  struct slice bytes; /* what was parsed, body included; trailing octets of a datagram left out */
  bool request;
  enum sip_method method; /* requests: of the start line; responses: of CSeq */
  struct slice method_text;
  struct slice uri_text;   /* requests */
  uint16_t status;         /* responses */
  struct slice reason;     /* responses */
  struct slice start_line; /* with its CRLF */
  struct slice headers;    /* all headers, without the empty line */
  struct slice body;
  unsigned header_count;
  struct sip_header header[SIP_HEADERS_MAX];
  uint8_t first[SIP_H_COUNT]; /* index of the first header with this id, or SIP_NO_HEADER */
  struct sip_via via;         /* the topmost */
  uint32_t cseq;
  struct slice cseq_method;
  struct slice call_id;
  struct slice from_tag, to_tag; /* empty: none */
  int max_forwards;              /* -1: none */
};
#define SIP_NO_HEADER 255

/* Why a message was refused, for the answer it draws. */
struct sip_problem {
  uint16_t status;    /* 400, 413, 505; 0: drop silently (a response, an ACK, or no SIP at all) */
  const char *reason; /* a static phrase naming the wrong part, fit for a reason phrase */
};

enum sip_carrier { SIP_DATAGRAM, SIP_STREAM };

/* Parses start line, all header boundaries, and the values every element needs (top Via, CSeq,
 * Call-ID, From and To with tags, Max-Forwards, Content-Length). `bytes` must stay as long as
 * *out is used. On ERR_SYNTAX or ERR_LIMIT *problem names the first thing that is wrong and *out
 * holds whatever was understood, so that an answer can be made if via.host.len != 0; send it to
 * where the request came from, since its Via may be the wrong part. A datagram whose
 * Content-Length is larger than the body is a 400; octets after the body are cut off.
 * CR LF before the start line is skipped. A CSeq number is at most 2**32-1. Accepted for RFC 2543:
 * no Max-Forwards, no branch or one without the cookie, no From tag. */
enum err sip_message_parse(struct slice bytes, enum sip_carrier carrier, struct sip_message *out,
                           struct sip_problem *problem) MUST_USE;
/* *out is what parsing `to` gives, where the bytes of `message`, which was parsed without a
 * problem, have been copied to. */
void sip_message_move(struct sip_message *out, const struct sip_message *message, const char *to);

const char *sip_header_name(enum sip_header_id id);
enum sip_method sip_method_of(struct slice name);
const char *sip_method_name(enum sip_method method);

/* First header with this id, or NULL. */
const struct sip_header *sip_header_first(const struct sip_message *m, enum sip_header_id id);
/* First header of that name (any, also unknown ones), without case; NULL: none. */
const struct sip_header *sip_header_named(const struct sip_message *m, const char *name);
/* How many headers carry this id. */
unsigned sip_header_count(const struct sip_message *m, enum sip_header_id id);

/* Steps through the comma-separated values of all headers with one id, in order (Via, Contact,
 * Route, Require ...); commas inside quotes and <> do not count. */
struct sip_values {
  const struct sip_message *message;
  enum sip_header_id id;
  unsigned header; /* index of the header under way */
  struct slice rest;
  bool after_comma; /* an element follows, even if rest is empty */
};
struct sip_values sip_values_of(const struct sip_message *m, enum sip_header_id id);
bool sip_values_next(struct sip_values *values, struct slice *value);
/* Does the list hold this token (without case)? Parameters after ';' are left out of the
 * comparison. */
bool sip_values_have(const struct sip_message *m, enum sip_header_id id, const char *token);

enum err sip_via_parse(struct slice text, struct sip_via *out) MUST_USE;
/* Where a response to this Via goes: received and rport, else sent-by (RFC 3261 18.2.2, RFC
 * 3581). ERR_UNSUPPORTED: the sent-by is a name. */
enum err sip_via_endpoint(const struct sip_via *via, struct endpoint *out) MUST_USE;

#endif
