/* SPDX-License-Identifier: BSD-2-Clause */
/* A slice borrows bytes that somebody else owns; it is not NUL-terminated. Passing one never
 * transfers ownership; the bytes must outlive the slice. at may be NULL only if len is 0. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
  const char *at;
  size_t len;
};

#define SLICE_EMPTY ((struct slice){0})
/* A string literal as a slice. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
/* For printf("%.*s", SLICE_FMT(s)) in hosts and tests. */
#define SLICE_FMT(s) (int)(s).len, (s).at

static inline struct slice slice_of(const void *at, size_t len) { return (struct slice){at, len}; }
static inline struct slice slice_cstr(const char *text) {
  return (struct slice){text, strlen(text)};
}
/* Bytes between two pointers into the same object. */
static inline struct slice slice_between(const char *from, const char *to) {
  return (struct slice){from, (size_t)(to - from)};
}
/* The part after the first n bytes; empty if there are fewer. */
static inline struct slice slice_skip(struct slice s, size_t n) {
  if (s.len == 0) return s;
  return n >= s.len ? (struct slice){s.at + s.len, 0} : (struct slice){s.at + n, s.len - n};
}
/* At most the first n bytes. */
static inline struct slice slice_first(struct slice s, size_t n) {
  return (struct slice){s.at, n < s.len ? n : s.len};
}

bool slice_equal(struct slice a, struct slice b);
/* ASCII letters compare without case. */
bool slice_equal_nocase(struct slice a, struct slice b);
/* Bytewise order, shorter first on a tie: <0, 0, >0. */
int slice_compare(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
/* Moves *rest past the prefix. False: it does not start with it, and is as it was. */
bool slice_take(struct slice *rest, struct slice prefix);
/* What comes before the first byte `end`, or all; *rest is left at that byte, or empty. */
struct slice slice_take_until(struct slice *rest, char end);
/* Offset of the first byte c, or s.len. */
size_t slice_find_byte(struct slice s, char c);
/* Offset of the first occurrence of needle, or s.len. */
size_t slice_find(struct slice s, struct slice needle);
/* Without SP, HTAB, CR and LF at both ends. */
struct slice slice_trim(struct slice s);
/* The whole slice as a decimal number <= max. False: empty, a non-digit, or over max; *out is
 * then untouched. */
bool slice_to_u64(struct slice s, uint64_t max, uint64_t *out);
/* The whole slice as 1 to 16 hexadecimal digits of either case. */
bool slice_hex_to_u64(struct slice s, uint64_t *out);

#endif
