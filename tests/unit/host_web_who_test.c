/* SPDX-License-Identifier: BSD-2-Clause */
/* who may ask the page's server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "host/web_who.h"

static struct setting_value names = {.count = 1, .text = {(char *)"phone.example.net"}};
static struct setting_value origins = {.count = 1, .text = {(char *)"https://other.example"}};

static struct web_who who_with(const char *token, bool always) {
  struct web_who who = {.names = &names, .origins = &origins, .token_always = always};
  snprintf(who.token, sizeof who.token, "%s", token);
  return who;
}

static bool host(const char *text) {
  struct web_who who = who_with("", false);
  return web_host_good(&who, slice_cstr(text));
}

static void hosts(void **state) {
  (void)state;
  assert_true(host("127.0.0.1"));
  assert_true(host("127.0.0.1:8088"));
  assert_true(host("[::1]:8088"));
  assert_true(host("192.0.2.7:1"));
  assert_true(host("localhost"));
  assert_true(host("LocalHost:8088"));
  assert_true(host("phone.example.net"));
  assert_true(host("PHONE.example.net:443"));
  assert_false(host(""));
  assert_false(host("example.net"));
  assert_false(host("phone.example.net.evil.example"));
  assert_false(host("localhost.evil.example"));
  assert_false(host("localhost:"));
  assert_false(host("localhost:99999"));
  assert_false(host("localhost:80:80"));
  assert_false(host("127.0.0.1:x"));
  assert_false(host("127.0.0.1, localhost"));
  assert_false(host("127.0.0.1;script-src *"));
  assert_false(host("user@localhost"));
  assert_false(host("localhost\r\nX: y"));
}

static void loopback_hosts(void **state) {
  (void)state;
  assert_true(web_host_is_loopback(SLICE("127.9.9.9:80")));
  assert_true(web_host_is_loopback(SLICE("[::1]")));
  assert_true(web_host_is_loopback(SLICE("localhost:8088")));
  assert_false(web_host_is_loopback(SLICE("192.0.2.1")));
  assert_false(web_host_is_loopback(SLICE("phone.example.net")));
  assert_false(web_host_is_loopback(SLICE_EMPTY));
}

static bool origin(const char *text, const char *at, bool secure) {
  struct web_who who = who_with("", false);
  struct web_request request = {
      .host = slice_cstr(at), .origin = slice_cstr(text), .secure = secure};
  return web_origin_good(&who, &request);
}

static void origins_of_pages(void **state) {
  (void)state;
  assert_true(origin("", "localhost:8088", false)); /* no browser */
  assert_true(origin("http://localhost:8088", "localhost:8088", false));
  assert_true(origin("https://localhost", "localhost", true));
  assert_true(origin("https://other.example", "localhost", false));
  assert_false(origin("null", "localhost", false));
  assert_false(origin("http://localhost", "localhost", true));
  assert_false(origin("https://localhost", "localhost", false));
  assert_false(origin("http://localhost:8089", "localhost:8088", false));
  assert_false(origin("http://localhost:8088.evil.example", "localhost:8088", false));
  assert_false(origin("https://other.example:8443", "localhost", false));
}

static const char token[] = "0123456789ABCDEF";

static bool may(const struct web_who *who, const char *from, const char *at, const char *cookie,
                const char *authorization) {
  struct web_request request = {.host = slice_cstr(at),
                                .cookie = slice_cstr(cookie),
                                .authorization = slice_cstr(authorization)};
  assert_true(endpoint_parse(slice_cstr(from), TRANSPORT_WS, 1, &request.from));
  return web_token_good(who, &request);
}

static void tokens(void **state) {
  (void)state;
  struct web_who none = who_with("", false), open = who_with(token, false),
                 closed = who_with(token, true);
  assert_true(may(&none, "127.0.0.1", "localhost", "", ""));
  assert_true(may(&open, "[::1]", "[::1]:8088", "", ""));
  assert_false(may(&open, "127.0.0.1", "phone.example.net", "", "")); /* a proxy's, perhaps */
  assert_false(may(&open, "192.0.2.1", "127.0.0.1", "", ""));
  assert_false(may(&closed, "127.0.0.1", "localhost", "", ""));
  assert_true(may(&closed, "127.0.0.1", "localhost", "", "Bearer 0123456789ABCDEF"));
  assert_true(may(&open, "192.0.2.1", "192.0.2.9", "a=b; locser-token=0123456789ABCDEF; c", ""));
  assert_false(may(&open, "192.0.2.1", "192.0.2.9", "locser-token=0123456789ABCDE", ""));
  assert_false(may(&open, "192.0.2.1", "192.0.2.9", "xlocser-token=0123456789ABCDEF", ""));
  assert_false(may(&open, "192.0.2.1", "192.0.2.9", "locser-token=", "Bearer "));
  assert_false(may(&none, "192.0.2.1", "192.0.2.9", "locser-token=", "Bearer "));
  assert_true(web_token_plausible(SLICE("0123456789abc-_Z")));
  assert_false(web_token_plausible(SLICE("0123456789abcde")));
  assert_false(web_token_plausible(SLICE("0123456789abcdef;")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hosts),
      cmocka_unit_test(loopback_hosts),
      cmocka_unit_test(origins_of_pages),
      cmocka_unit_test(tokens),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
