/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/slice.h"

static unsigned char lower(char c) {
  unsigned char u = (unsigned char)c;
  return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

static bool same_bytes(const char *a, const char *b, size_t len) {
  return len == 0 || memcmp(a, b, len) == 0;
}

static bool same_bytes_nocase(const char *a, const char *b, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
  return true;
}

bool slice_equal(struct slice a, struct slice b) {
  return a.len == b.len && same_bytes(a.at, b.at, a.len);
}

bool slice_equal_nocase(struct slice a, struct slice b) {
  return a.len == b.len && same_bytes_nocase(a.at, b.at, a.len);
}

int slice_compare(struct slice a, struct slice b) {
  size_t len = a.len < b.len ? a.len : b.len;
  int order = len == 0 ? 0 : memcmp(a.at, b.at, len);
  if (order != 0) return order;
  return (a.len > b.len) - (a.len < b.len);
}

bool slice_starts(struct slice s, struct slice prefix) {
  return s.len >= prefix.len && same_bytes(s.at, prefix.at, prefix.len);
}

bool slice_starts_nocase(struct slice s, struct slice prefix) {
  return s.len >= prefix.len && same_bytes_nocase(s.at, prefix.at, prefix.len);
}

bool slice_take(struct slice *rest, struct slice prefix) {
  if (!slice_starts(*rest, prefix)) return false;
  *rest = slice_skip(*rest, prefix.len);
  return true;
}

struct slice slice_take_until(struct slice *rest, char end) {
  struct slice taken = slice_first(*rest, slice_find_byte(*rest, end));
  *rest = slice_skip(*rest, taken.len);
  return taken;
}

size_t slice_find_byte(struct slice s, char c) {
  const char *found = s.len == 0 ? NULL : memchr(s.at, c, s.len);
  return found == NULL ? s.len : (size_t)(found - s.at);
}

size_t slice_find(struct slice s, struct slice needle) {
  if (needle.len == 0) return 0;
  size_t from = 0;
  while (s.len - from >= needle.len) {
    size_t span = s.len - from - needle.len + 1;
    const char *hit = memchr(s.at + from, needle.at[0], span);
    if (hit == NULL) break;
    if (memcmp(hit, needle.at, needle.len) == 0) return (size_t)(hit - s.at);
    from = (size_t)(hit - s.at) + 1;
  }
  return s.len;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct slice slice_trim(struct slice s) {
  while (s.len > 0 && is_blank(s.at[0])) s = slice_skip(s, 1);
  while (s.len > 0 && is_blank(s.at[s.len - 1])) s.len--;
  return s;
}

bool slice_to_u64(struct slice s, uint64_t max, uint64_t *out) {
  if (s.len == 0) return false;
  uint64_t n = 0;
  for (size_t i = 0; i < s.len; i++) {
    if (s.at[i] < '0' || s.at[i] > '9') return false;
    uint64_t digit = (uint64_t)(s.at[i] - '0');
    if (digit > max || n > (max - digit) / 10) return false;
    n = n * 10 + digit;
  }
  *out = n;
  return true;
}

/* Value + 1 of a hexadecimal digit; 0: none. */
static const uint8_t hex_digits[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};

bool slice_hex_to_u64(struct slice s, uint64_t *out) {
  if (s.len == 0 || s.len > 16) return false;
  uint64_t n = 0;
  bool good = true;
  for (size_t i = 0; i < s.len; i++) {
    unsigned digit = hex_digits[(unsigned char)s.at[i]];
    good = good && digit != 0;
    n = n << 4 | ((digit - 1) & 15);
  }
  if (good) *out = n;
  return good;
}
