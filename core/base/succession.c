/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/succession.h"

#define NONCE SLICE("successor")
#define NEXT SLICE("<o:successor>")
#define NEXT_END SLICE("</o:successor>")
#define BEFORE SLICE("<o:before>")
#define BEFORE_END SLICE("</o:before>")

void succession_put_unsigned(struct buf *out, struct slice key_text, struct slice until,
                             uint64_t version, const struct key *next) {
  char digits[24];
  struct buf number = buf_over(digits, sizeof digits);
  buf_put_u64(&number, version);
  const struct record_layout_head head = {.key_text = key_text,
                                          .expires = until,
                                          .nonce = NONCE,
                                          .floor = until,
                                          .version = buf_slice(&number)};
  record_layout_put_head(out, &head);
  buf_put(out, NEXT);
  key_put(out, next);
  buf_put(out, NEXT_END);
  record_layout_put_unsigned_end(out);
}

void succession_put(struct buf *out, struct slice statement) {
  buf_put(out, BEFORE);
  buf_put_base64(out, statement.at, statement.len);
  buf_put(out, BEFORE_END);
}

static bool ends(struct slice s, struct slice end) {
  return s.len >= end.len && slice_equal(slice_skip(s, s.len - end.len), end);
}

struct slice succession_find(struct slice content) {
  if (!ends(content, BEFORE_END)) return SLICE_EMPTY;
  struct slice text = slice_first(content, content.len - BEFORE_END.len);
  size_t at = text.len;
  while (at > 0 && text.at[at - 1] != '>') at--;
  if (!ends(slice_first(text, at), BEFORE)) return SLICE_EMPTY;
  return slice_skip(text, at);
}

bool succession_is_all(struct slice text) {
  size_t around = BEFORE.len + BEFORE_END.len;
  return text.len > around && succession_find(text).len == text.len - around;
}

bool succession_read(struct slice base64, struct slice key_text, struct buf *statement,
                     struct succession *out) {
  uint8_t bytes[SUCCESSION_BYTES_MAX + 3];
  size_t len = sizeof bytes;
  struct record_layout layout;
  const char *why;
  *out = (struct succession){0};
  if (!base64_decode(base64, bytes, &len) || len > SUCCESSION_BYTES_MAX) return false;
  buf_put(statement, slice_of(bytes, len));
  if (statement->overflow || record_layout_read(buf_slice(statement), &layout, &why) != OK)
    return false;
  struct slice next = slice_skip(layout.content, NEXT.len);
  if (layout.removed || !slice_equal(layout.key_text, key_text) ||
      !slice_starts(key_text, SUCCESSION_SCHEME) || !slice_equal(layout.nonce, NONCE) ||
      !slice_starts(layout.content, NEXT) || !ends(next, NEXT_END) ||
      !slice_to_u64(layout.version, (uint64_t)1 << 62, &out->version))
    return false;
  out->from = layout.owner;
  out->until = layout.expires;
  return key_parse(slice_first(next, next.len - NEXT_END.len), &out->to);
}
