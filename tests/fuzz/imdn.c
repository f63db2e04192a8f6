/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as the body of a message of CPIM: what is read is inside of it, within its
 * bounds and printable, and the notice made from it asks for none. */
#include <stdlib.h>
#include <string.h>

#include "usage/imdn.h"

static void check(bool promise) {
  if (!promise) abort();
}

static void check_text(struct slice inner, struct slice outer, size_t max) {
  check(inner.len <= max);
  check(inner.len == 0 || (inner.at >= outer.at && inner.at + inner.len <= outer.at + outer.len));
  for (size_t i = 0; i < inner.len; i++) check(inner.at[i] > ' ' && inner.at[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct slice body = slice_of((const char *)data, size);
  struct imdn_request asked, again;
  char text[8192];
  struct buf out = buf_over(text, sizeof text);
  if (!imdn_read(SLICE("Message/CPIM"), body, &asked)) return 0;
  check(asked.positive || asked.negative);
  check(asked.id.len > 0);
  check_text(asked.id, body, IMDN_ID_MAX);
  check_text(asked.datetime, body, IMDN_TIME_MAX);
  check_text(asked.original, body, IMDN_URI_MAX);
  const struct imdn_notice notice = {.of = &asked,
                                     .from = SLICE("sip:b@example.net"),
                                     .to = SLICE("sip:a@example.net"),
                                     .id = SLICE("1"),
                                     .delivered = size % 2 == 0};
  imdn_put(&out, &notice);
  check(!out.overflow);
  check(!imdn_read(SLICE(IMDN_TYPE), buf_slice(&out), &again));
  return 0;
}
