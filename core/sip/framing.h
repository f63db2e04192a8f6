/* SPDX-License-Identifier: BSD-2-Clause */
/* Cutting a byte stream into SIP messages (RFC 3261 18.3, RFC 5626 3.5.1). Pure: the host keeps
 * the bytes of each connection and calls this until it says "more". The result never depends on
 * how the bytes were cut into reads. */
#ifndef SIP_FRAMING_H
#define SIP_FRAMING_H

#include "base/slice.h"

enum sip_frame_kind {
  SIP_FRAME_MORE,    /* no whole message yet */
  SIP_FRAME_MESSAGE, /* bytes [skip, skip+len) are one message */
  SIP_FRAME_PING,    /* CRLFCRLF between messages: answer CRLF */
  SIP_FRAME_BAD,     /* not SIP, too large, or no usable Content-Length: answer if a Via can be
                        read (bytes [skip, skip+len) is what there is of the head), then close */
};
struct sip_frame {
  enum sip_frame_kind kind;
  size_t skip; /* bytes before the message: line ends of a keep-alive */
  size_t len;  /* of the message */
  size_t used; /* drop so many bytes from the front of the buffer; with MORE: skipped line ends */
};

#define SIP_HEAD_BYTES_MAX 16384u

/* state: bytes of the head that were scanned by earlier calls, 0 at the start of each message;
 * kept by the caller per connection so that a head arriving byte by byte costs linear time. */
struct sip_frame sip_frame_next(struct slice stream, size_t *scanned);

#endif
