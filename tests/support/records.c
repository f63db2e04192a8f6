/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/records.h"

#include "base/assert.h"
#include "base/record_layout.h"
#include "sim/record_model.h"

static void sign(const struct crypto *crypto, char *record, size_t len) {
  char plain_text[RECORD_BYTES_MAX], signed_text[RECORD_BYTES_MAX];
  struct buf plain = buf_over(plain_text, sizeof plain_text);
  struct buf out = buf_over(signed_text, sizeof signed_text);
  struct record_layout layout;
  const char *why;
  if (record_layout_read(slice_of(record, len), &layout, &why) != OK) return;
  const struct record_layout_head head = {.key_text = layout.key_text,
                                          .expires = layout.expires,
                                          .nonce = layout.nonce,
                                          .floor = layout.floor,
                                          .version = layout.version,
                                          .removed = layout.removed};
  record_layout_put_head(&plain, &head);
  buf_put(&plain, layout.content);
  record_layout_put_unsigned_end(&plain);
  enum err err = record_model_sign(crypto, &layout.owner, buf_slice(&plain), &out);
  ASSERT(err == OK && out.len == len);
  memcpy(record, signed_text, len);
}

void test_sign_records(const struct crypto *crypto, char *text, size_t len) {
  const struct slice start = SLICE("<dhtRecord "), end = SLICE("</dhtRecord>");
  size_t at = 0;
  while (at < len) {
    struct slice rest = slice_of(text + at, len - at);
    size_t from = slice_find(rest, start);
    size_t to = from + slice_find(slice_skip(rest, from), end) + end.len;
    if (from == rest.len || to > rest.len) return;
    sign(crypto, text + at + from, to - from);
    at += to;
  }
}
