/* SPDX-License-Identifier: BSD-2-Clause */
#include "sip/framing.h"

#include "sip/message.h"
#include "sip/names.h"
#include "sip/scan.h"

/* In *scanned, while a body is awaited: the head is done, the rest is the message's length. */
#define BODY_AWAITED ((size_t)1 << (sizeof(size_t) * 8 - 1))

enum head_end { HEAD_MORE, HEAD_WHOLE, HEAD_BAD };

/* Looks for the empty line. *scanned: where to go on, always the start of a line. *head: length of
 * the head, or of what may be shown of a bad one. */
static enum head_end find_head_end(const char *from, const char *end, size_t *scanned,
                                   size_t *head) {
  size_t have = (size_t)(end - from);
  const char *limit = have > SIP_HEAD_BYTES_MAX ? from + SIP_HEAD_BYTES_MAX : end;
  const char *p = from + *scanned, *next;
  for (;;) {
    enum sip_line_kind kind = sip_scan_line(p, limit, false, &next);
    if (kind == SIP_LINE_CUT) break;
    *head = (size_t)(next - from);
    if (kind == SIP_LINE_EMPTY) return HEAD_WHOLE;
    if (kind == SIP_LINE_BARE) return HEAD_BAD;
    p = next;
    *scanned = *head;
  }
  *head = SIP_HEAD_BYTES_MAX;
  return have >= SIP_HEAD_BYTES_MAX ? HEAD_BAD : HEAD_MORE;
}

/* The value of a line named Content-Length; false: it is another. */
static bool is_content_length(const char *p, const char *end, struct slice *value) {
  if ((*p | 0x20) != 'c' && (*p | 0x20) != 'l') return false;
  const char *name_end = sip_span(p, end, SIP_C_TOKEN);
  if (sip_header_of(slice_between(p, name_end)) != SIP_H_CONTENT_LENGTH) return false;
  const char *colon = name_end;
  while (sip_is_blank(*colon)) colon++;
  if (*colon != ':') return false;
  *value = slice_trim(slice_between(colon + 1, end));
  return true;
}

/* Exactly one Content-Length, a number. */
static bool find_content_length(const char *p, const char *end, uint64_t *length) {
  const char *next;
  bool found = false;
  if (sip_scan_line(p, end, false, &next) != SIP_LINE_HEADER) return false;
  for (p = next; sip_scan_line(p, end, true, &next) == SIP_LINE_HEADER; p = next) {
    struct slice value;
    if (!is_content_length(p, next, &value)) continue;
    if (found || !sip_scan_number(value, SIP_MESSAGE_BYTES_MAX, length)) return false;
    found = true;
  }
  return found;
}

/* The message at `from`: its frame with skip still 0. */
static struct sip_frame frame_message(const char *from, const char *end, size_t *scanned) {
  struct sip_frame frame = {.kind = SIP_FRAME_MORE};
  size_t have = (size_t)(end - from), at = *scanned;
  uint64_t length;
  if (at & BODY_AWAITED) {
    if (have < (at & ~BODY_AWAITED)) return frame;
    at = 0;
  }
  *scanned = 0;
  enum head_end found = find_head_end(from, end, &at, &frame.len);
  if (found == HEAD_MORE) {
    *scanned = at;
    return (struct sip_frame){.kind = SIP_FRAME_MORE};
  }
  frame.kind = SIP_FRAME_BAD;
  if (found == HEAD_BAD || !find_content_length(from, from + frame.len, &length)) return frame;
  if (length > SIP_MESSAGE_BYTES_MAX - frame.len) return frame;
  size_t total = frame.len + (size_t)length;
  if (have < total) {
    *scanned = total | BODY_AWAITED;
    return (struct sip_frame){.kind = SIP_FRAME_MORE};
  }
  frame.kind = SIP_FRAME_MESSAGE;
  frame.len = total;
  return frame;
}

struct sip_frame sip_frame_next(struct slice stream, size_t *scanned) {
  const struct sip_frame more = {.kind = SIP_FRAME_MORE};
  const char *p = stream.at;
  size_t skip = 0;
  if (stream.len < 2) return more;
  if (p[0] == '\r' && p[1] == '\n') {
    /* A CRLF that is alone so far may be the first half of a ping. */
    if (stream.len == 2 || (stream.len == 3 && p[2] == '\r')) return more;
    if (p[2] == '\r' && p[3] == '\n') return (struct sip_frame){.kind = SIP_FRAME_PING, .used = 4};
    skip = 2;
  }
  if (!sip_is(p[skip], SIP_C_TOKEN))
    return (struct sip_frame){.kind = SIP_FRAME_BAD, .skip = skip, .used = stream.len};
  struct sip_frame frame = frame_message(p + skip, p + stream.len, scanned);
  frame.used = skip;
  if (frame.kind == SIP_FRAME_MORE) return frame;
  frame.skip = skip;
  frame.used = frame.kind == SIP_FRAME_BAD ? stream.len : skip + frame.len;
  return frame;
}
