/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing SIP: new messages line by line, forwarded ones by splicing the received bytes. All
 * append to a struct buf, whose sticky overflow flag is the only error. */
#ifndef SIP_PRINT_H
#define SIP_PRINT_H

#include "base/buf.h"
#include "base/usec.h"
#include "sip/message.h"

void sip_put_header(struct buf *out, const char *name, struct slice value);
void sip_put_header_u64(struct buf *out, const char *name, uint64_t value);
/* "Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n" (RFC 3261 section 20.17); years up to 9999. */
void sip_put_date(struct buf *out, msec_wall wall);
/* Standard phrase ("Not Found"); "Unknown" for a code without one. */
const char *sip_reason(uint16_t status);

/* "Via: SIP/2.0/UDP host:port;branch=...;rport\r\n" (rport only on UDP). */
void sip_put_via(struct buf *out, const struct endpoint *sent_by, struct slice branch);

/* The head of a response to `request` (RFC 3261 8.2.6): status line, all Via (the topmost with
 * received and rport set from `source` as RFC 3261 18.2.1 and RFC 3581 want), From, To with
 * `to_tag` added unless it has a tag or to_tag is empty, Call-ID, CSeq; for 100 also Timestamp.
 * reason NULL: the standard phrase. Works on a partly parsed request: missing headers are left
 * out. */
void sip_put_response_head(struct buf *out, const struct sip_message *request, uint16_t status,
                           const char *reason, struct slice to_tag, const struct endpoint *source);
/* Content-Type (if the body is not empty), Content-Length, empty line, body. */
void sip_put_body(struct buf *out, const char *content_type, struct slice body);

/* What changes between a request as received and as forwarded. Cleared fields change nothing,
 * but max_forwards, which is 0 when cleared: set it always. All that is new stands right after the
 * request line, in this order: Via, lines_add, routes_add, Max-Forwards. */
struct sip_request_edit {
  struct slice uri;                   /* new Request-URI */
  const struct endpoint *via_sent_by; /* push a Via with via_branch */
  struct slice via_branch;
  const struct endpoint *source; /* set received/rport on the Via that was topmost */
  int max_forwards;              /* value to write; -1: leave; added if the request has none */
  unsigned routes_drop;          /* leave out this many Route values from the top */
  struct slice routes_add;       /* whole "Route: ...\r\n" lines */
  struct slice lines_add;        /* whole header lines (Record-Route, Path ...) */
  uint64_t headers_drop;         /* bit (1 << enum sip_header_id): leave these headers out */
};
/* Appends the whole forwarded request; unknown headers and the body byte for byte. A compact or
 * odd spelling stays as it was. Content-Length is written if the request had none. */
void sip_put_forwarded_request(struct buf *out, const struct sip_message *request,
                               const struct sip_request_edit *edit);
/* Appends the response without its topmost Via value. lines_add: whole header lines, put right
 * after the status line. Content-Length is written if the response had none. */
void sip_put_forwarded_response(struct buf *out, const struct sip_message *response,
                                struct slice lines_add);
/* The least there is to a response without its topmost Via value: status line, Via, From, To,
 * Call-ID, CSeq, no body. reason NULL: the standard phrase. */
void sip_put_bare_response(struct buf *out, const struct sip_message *response, uint16_t status,
                           const char *reason);
/* ACK for a non-2xx final answer and CANCEL: RFC 3261 17.1.1.3 and 9.1. `request` is the INVITE as
 * sent; `method` SIP_ACK or SIP_CANCEL; `to` is the To value of the response for ACK, else the
 * request's own. */
void sip_put_ack_or_cancel(struct buf *out, const struct sip_message *request,
                           enum sip_method method, struct slice to);

#endif
