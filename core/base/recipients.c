/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/recipients.h"

#define HEAD_BYTES (KEY_BYTES + 2u)

void recipients_put(struct buf *out, const struct key *name, struct slice certificate) {
  if (certificate.len > RECIPIENT_CERTIFICATE_MAX) {
    out->overflow = true;
    return;
  }
  buf_put(out, slice_of(name->byte, KEY_BYTES));
  buf_put_char(out, (char)(certificate.len >> 8));
  buf_put_char(out, (char)(certificate.len & 0xff));
  buf_put(out, certificate);
}

bool recipients_take(struct slice *rest, struct recipient *out) {
  if (rest->len < HEAD_BYTES) return false;
  const uint8_t *at = (const uint8_t *)rest->at;
  size_t len = (size_t)at[KEY_BYTES] << 8 | at[KEY_BYTES + 1];
  if (rest->len - HEAD_BYTES < len) return false;
  memcpy(out->name.byte, at, KEY_BYTES);
  out->certificate = slice_of(rest->at + HEAD_BYTES, len);
  *rest = slice_skip(*rest, HEAD_BYTES + len);
  return true;
}
