/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/buf.h"

#include "base/assert.h"

void buf_truncate(struct buf *b, size_t len) {
  ASSERT(len <= b->len);
  b->len = len;
}

void buf_put_u64(struct buf *b, uint64_t n) {
  if (n < 10) {
    buf_put_char(b, (char)('0' + n));
    return;
  }
  char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + n % 10);
    n /= 10;
  } while (n != 0);
  buf_put(b, slice_of(digits + at, sizeof digits - at));
}

void buf_put_hex64(struct buf *b, uint64_t n, unsigned digits) {
  ASSERT(digits >= 1 && digits <= 16);
  char *at = buf_reserve(b, digits);
  if (at == NULL) return;
  for (unsigned i = digits; i-- > 0; n >>= 4) at[i] = "0123456789abcdef"[n & 15];
}

void buf_put_hex(struct buf *b, const void *bytes, size_t len) {
  static const char digits[] = "0123456789ABCDEF";
  const uint8_t *from = bytes;
  if (len == 0) return;
  char *at = len > SIZE_MAX / 2 ? buf_reserve(b, SIZE_MAX) : buf_reserve(b, 2 * len);
  if (at == NULL) return;
  for (size_t i = 0; i < len; i++, at += 2) {
    at[0] = digits[from[i] >> 4];
    at[1] = digits[from[i] & 15];
  }
}

void buf_put_base64(struct buf *b, const void *bytes, size_t len) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const uint8_t *from = bytes;
  if (len == 0) return;
  char *at = buf_reserve(b, len > SIZE_MAX / 2 ? SIZE_MAX : (len + 2) / 3 * 4);
  if (at == NULL) return;
  for (; len >= 3; len -= 3, from += 3) {
    uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
    for (int shift = 18; shift >= 0; shift -= 6) *at++ = alphabet[bits >> shift & 63];
  }
  if (len == 0) return;
  uint32_t bits = (uint32_t)from[0] << 16 | (len == 2 ? (uint32_t)from[1] << 8 : 0);
  *at++ = alphabet[bits >> 18 & 63];
  *at++ = alphabet[bits >> 12 & 63];
  *at++ = len == 2 ? alphabet[bits >> 6 & 63] : '=';
  *at = '=';
}

static int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

bool base64_decode(struct slice text, uint8_t *out, size_t *out_len) {
  if (text.len % 4 != 0) return false;
  size_t padding = 0;
  while (padding < 2 && padding < text.len && text.at[text.len - 1 - padding] == '=') padding++;
  size_t bytes = text.len / 4 * 3 - padding;
  if (bytes > *out_len) return false;
  size_t digits = text.len - padding;
  size_t done = 0;
  uint32_t bits = 0;
  unsigned held = 0;
  for (size_t i = 0; i < digits; i++) {
    int digit = base64_digit(text.at[i]);
    if (digit < 0) return false;
    bits = (bits << 6 | (uint32_t)digit) & 0xfff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out[done++] = (uint8_t)(bits >> held);
    }
  }
  /* One text per value: the bits that padding leaves over must be zero (RFC 4648 section 3.5). */
  if ((bits & ((1u << held) - 1)) != 0) return false;
  *out_len = done;
  return true;
}
