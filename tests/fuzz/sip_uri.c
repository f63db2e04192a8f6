/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a URI, an address and a list of parameters. The first line is one URI, the second
 * another to compare it with. */
#include <stdlib.h>

#include "sip/uri.h"

static void check(bool promise) {
  if (!promise) abort();
}

static bool within(struct slice inner, struct slice outer) {
  return inner.len == 0 || (inner.at >= outer.at && inner.at + inner.len <= outer.at + outer.len);
}

static void check_parts(const struct sip_uri *uri, struct slice text) {
  check(within(uri->scheme_text, text) && within(uri->user, text) && within(uri->password, text));
  check(within(uri->host, text) && within(uri->params, text) && within(uri->headers, text));
  check(within(uri->opaque, text));
}

/* An Address-of-Record is its own Address-of-Record. */
static void check_aor(const struct sip_uri *uri) {
  static char once_bytes[1 << 17], twice_bytes[1 << 17];
  struct buf once = buf_over(once_bytes, sizeof once_bytes);
  struct buf twice = buf_over(twice_bytes, sizeof twice_bytes);
  struct sip_uri again;
  if (sip_uri_put_aor(&once, uri) != OK || once.overflow) return;
  check(sip_uri_parse(buf_slice(&once), &again) == OK);
  check(sip_uri_put_aor(&twice, &again) == OK && !twice.overflow);
  check(slice_equal(buf_slice(&once), buf_slice(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct slice all = slice_of(data, size), text = slice_first(all, slice_find_byte(all, '\n'));
  struct slice other = slice_skip(all, text.len + 1), name, value;
  struct sip_uri one, two;
  struct sip_address address;
  struct endpoint endpoint;
  if (size == 0) return 0;
  if (sip_uri_parse(text, &one) == OK) {
    check_parts(&one, text);
    check(sip_uri_equal(&one, &one));
    check_aor(&one);
    if (sip_uri_endpoint(&one, &endpoint) == OK) check(endpoint.port != 0 && endpoint.family != 0);
    if (sip_uri_parse(other, &two) == OK)
      check(sip_uri_equal(&one, &two) == sip_uri_equal(&two, &one));
  }
  if (sip_address_parse(text, &address) == OK) {
    check_parts(&address.uri, text);
    check(within(address.display, text) && within(address.params, text));
    check(within(address.tag, text));
  }
  struct slice params = text;
  while (sip_param_next(&params, &name, &value)) check(within(name, text) && within(value, text));
  return 0;
}
