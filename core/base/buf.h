/* SPDX-License-Identifier: BSD-2-Clause */
/* An append-only text buffer over memory that the caller owns. An append that does not fit
 * appends nothing and sets `overflow`, which stays set: check once, at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

struct buf {
  char *at;
  size_t len;
  size_t cap;
  bool overflow;
};

static inline struct buf buf_over(void *memory, size_t cap) {
  return (struct buf){memory, 0, cap, false};
}
static inline struct slice buf_slice(const struct buf *b) { return (struct slice){b->at, b->len}; }
static inline void buf_reset(struct buf *b) {
  b->len = 0;
  b->overflow = false;
}
/* Forget what was appended after `len` (a value of b->len taken earlier). */
void buf_truncate(struct buf *b, size_t len);

/* Room for len more bytes, appended as they are; or NULL, with the overflow flag set. */
static inline char *buf_reserve(struct buf *b, size_t len) {
  if (b->overflow || len > b->cap - b->len) {
    b->overflow = true;
    return NULL;
  }
  char *at = b->at + b->len;
  b->len += len;
  return at;
}
static inline void buf_put(struct buf *b, struct slice s) {
  if (s.at == NULL || s.len == 0) return;
  char *at = buf_reserve(b, s.len);
  if (at != NULL) memcpy(at, s.at, s.len);
}
static inline void buf_put_cstr(struct buf *b, const char *text) { buf_put(b, slice_cstr(text)); }
static inline void buf_put_char(struct buf *b, char c) {
  char *at = buf_reserve(b, 1);
  if (at != NULL) *at = c;
}
void buf_put_u64(struct buf *b, uint64_t n);
/* Lower-case hexadecimal, exactly `digits` digits (1 to 16). */
void buf_put_hex64(struct buf *b, uint64_t n, unsigned digits);
/* Each byte as two upper-case hexadecimal digits. */
void buf_put_hex(struct buf *b, const void *bytes, size_t len);
/* Standard base64 with padding (RFC 4648 section 4). */
void buf_put_base64(struct buf *b, const void *bytes, size_t len);
/* Decodes base64 (padding required, no white space) into out; *out_len in: room, out: bytes.
 * False: not base64 or no room. */
bool base64_decode(struct slice text, uint8_t *out, size_t *out_len);

#endif
