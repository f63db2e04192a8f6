/* SPDX-License-Identifier: BSD-2-Clause */
/* What a request says of itself, in five lines: Host, Origin, Cookie, Authorization, and whether it
 * came from this machine. Without the token, and from elsewhere or by a strange name, nobody gets
 * in; what passes as a Host may be written into a header field. */
#include <assert.h>

#include "host/web_who.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char token[] = "0123456789ABCDEF0123456789ABCDEF";

static struct slice line(struct slice *rest) {
  struct slice one = slice_take_until(rest, '\n');
  *rest = slice_skip(*rest, 1);
  return one;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static const struct setting_value names = {.count = 1, .text = {(char *)"phone.example.net"}};
  static const struct setting_value none = {0};
  struct web_who who = {.names = &names, .origins = &none};
  memcpy(who.token, token, sizeof token);
  struct slice rest = slice_of(data, len);
  struct web_request request = {0};
  request.host = line(&rest);
  request.origin = line(&rest);
  request.cookie = line(&rest);
  request.authorization = line(&rest);
  struct slice from = line(&rest).len % 2 == 0 ? SLICE("192.0.2.1") : SLICE("127.0.0.1");
  bool parsed = endpoint_parse(from, TRANSPORT_WS, 1, &request.from);
  assert(parsed);
  bool good = web_host_good(&who, request.host);
  for (size_t i = 0; good && i < request.host.len; i++)
    assert(request.host.at[i] > ' ' && request.host.at[i] < 0x7f &&
           memchr(";,'\"", request.host.at[i], 4) == NULL);
  bool origin = web_origin_good(&who, &request);
  assert(!origin || request.origin.len == 0 || request.origin.len > request.host.len);
  bool said = slice_find(request.cookie, slice_cstr(token)) < request.cookie.len ||
              slice_find(request.authorization, slice_cstr(token)) < request.authorization.len;
  if (web_token_good(&who, &request))
    assert(said || (endpoint_is_loopback(&request.from) && web_host_is_loopback(request.host)));
  return 0;
}
