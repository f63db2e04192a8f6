/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/endpoint.h"

static void assert_prints(const struct endpoint *e, const char *text) {
  char out[80];
  struct buf b = buf_over(out, sizeof out);
  endpoint_put(&b, e);
  assert_true(slice_equal(buf_slice(&b), slice_cstr(text)));
}

static void test_parse_and_print(void **state) {
  (void)state;
  static const struct {
    const char *text, *printed;
  } good[] = {
      {"192.0.2.1:5080", "192.0.2.1:5080"},
      {"192.0.2.1", "192.0.2.1:5060"},
      {"0.0.0.0:0", "0.0.0.0:0"},
      {"[2001:db8::1]:65535", "[2001:db8::1]:65535"},
      {"[2001:DB8:0:0::1]", "[2001:db8::1]:5060"},
      {"2001:db8::1", "[2001:db8::1]:5060"},
      {"::", "[::]:5060"},
      {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1"},
  };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    struct endpoint e, again;
    assert_true(endpoint_parse(slice_cstr(good[i].text), TRANSPORT_TCP, 5060, &e));
    assert_prints(&e, good[i].printed);
    assert_true(endpoint_parse(slice_cstr(good[i].printed), TRANSPORT_TCP, 1, &again));
    assert_true(endpoint_equal(&e, &again));
  }
  static const char *const bad[] = {
      "",
      ":",
      ":5060",
      "192.0.2.1:",
      "192.0.2.1:65536",
      "192.0.2.1:5060x",
      "192.0.2.1:-1",
      "192.0.2",
      "192.0.2.256",
      "example.com",
      "example.com:5060",
      "[192.0.2.1]",
      "[::1",
      "[::1]5060",
      "[::1]:",
      "[]",
      "::1]",
      "[::1]]",
      "[::1]:5060:1",
      " 192.0.2.1",
      "192.0.2.1 ",
      "::g",
      "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222:3333",
  };
  struct endpoint kept = {.port = 77};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_false(endpoint_parse(slice_cstr(bad[i]), TRANSPORT_UDP, 5060, &kept));
    assert_int_equal(kept.port, 77);
  }
  assert_false(endpoint_parse(slice_of("1.2.3.4\0.", 9), TRANSPORT_UDP, 5060, &kept));
}

static void test_host(void **state) {
  (void)state;
  struct endpoint e = {.port = 9, .transport = TRANSPORT_TLS};
  assert_true(endpoint_parse_host(SLICE("[::1]"), &e));
  assert_int_equal(e.family, 6);
  assert_true(endpoint_parse_host(SLICE("10.1.2.3"), &e));
  assert_int_equal(e.family, 4);
  assert_int_equal(e.addr[15], 0); /* nothing left of the IPv6 address */
  assert_int_equal(e.port, 9);
  assert_int_equal(e.transport, TRANSPORT_TLS);
  assert_false(endpoint_parse_host(SLICE("10.1.2.3:5060"), &e));
}

static void test_classes(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool loopback, wildcard;
  } cases[] = {
      {"127.0.0.1", true, false},
      {"127.9.9.9", true, false},
      {"128.0.0.1", false, false},
      {"0.0.0.0", false, true},
      {"::1", true, false},
      {"::", false, true},
      {"::2", false, false},
      {"::ffff:127.0.0.1", true, false},
      {"::ffff:0.0.0.0", false, true},
      {"::7f00:1", false, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct endpoint e = {0};
    assert_true(endpoint_parse_host(slice_cstr(cases[i].text), &e));
    assert_int_equal(endpoint_is_loopback(&e), cases[i].loopback);
    assert_int_equal(endpoint_is_wildcard(&e), cases[i].wildcard);
  }
  struct endpoint none = {0};
  assert_false(endpoint_is_loopback(&none));
  assert_false(endpoint_is_wildcard(&none));
  struct endpoint a, b;
  assert_true(endpoint_parse(SLICE("192.0.2.1:5060"), TRANSPORT_UDP, 0, &a));
  b = a;
  b.transport = TRANSPORT_TCP;
  assert_false(endpoint_equal(&a, &b));
  assert_true(endpoint_same_address(&a, &b));
  assert_true(endpoint_is_stream(&b));
  assert_false(endpoint_is_stream(&a));
  b.port++;
  assert_false(endpoint_same_address(&a, &b));
}

static void test_transport_names(void **state) {
  (void)state;
  for (unsigned i = TRANSPORT_UDP; i <= TRANSPORT_WSS; i++) {
    enum transport back;
    assert_true(transport_parse(slice_cstr(transport_name((enum transport)i)), &back));
    assert_int_equal(back, i);
  }
  enum transport t;
  assert_true(transport_parse(SLICE("WsS"), &t));
  assert_int_equal(t, TRANSPORT_WSS);
  assert_false(transport_parse(SLICE("sctp"), &t));
  assert_false(transport_parse(SLICE(""), &t));
}

static bool within(const char *prefix, const char *address) {
  struct prefix p;
  struct endpoint e;
  assert_true(prefix_parse(slice_cstr(prefix), &p));
  assert_true(endpoint_parse(slice_cstr(address), TRANSPORT_UDP, 5060, &e));
  return prefix_has(&p, &e);
}

static void test_prefixes(void **state) {
  (void)state;
  assert_true(within("192.0.2.0/24", "192.0.2.255:9"));
  assert_false(within("192.0.2.0/24", "192.0.3.0"));
  assert_true(within("192.0.2.77/25", "192.0.2.1")); /* what is beyond the bits is ignored */
  assert_false(within("192.0.2.77/25", "192.0.2.128"));
  assert_true(within("192.0.2.1", "192.0.2.1") && !within("192.0.2.1", "192.0.2.2"));
  assert_true(within("0.0.0.0/0", "8.8.8.8") && !within("0.0.0.0/0", "2001:db8::1"));
  assert_true(within("2001:db8::/33", "[2001:db8:7fff::1]:9"));
  assert_false(within("2001:db8::/33", "[2001:db8:8000::1]:9"));
  assert_true(within("::1", "[::1]:9") && !within("::1", "[::2]:9"));
  assert_true(within("127.0.0.0/8", "[::ffff:127.3.2.1]:9"));
  assert_true(within("::ffff:192.0.2.0/120", "192.0.2.9"));
  assert_false(within("::ffff:192.0.2.0/120", "192.0.3.9"));
  struct prefix p;
  static const char *const bad[] = {"", "/8", "192.0.2.1/", "192.0.2.1/33", "::/129", "a/8", "1/8"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_false(prefix_parse(slice_cstr(bad[i]), &p));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_parse_and_print), cmocka_unit_test(test_host),
      cmocka_unit_test(test_classes),         cmocka_unit_test(test_transport_names),
      cmocka_unit_test(test_prefixes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
