/* SPDX-License-Identifier: BSD-2-Clause */
/* URIs and addresses: RFC 3261 19.1, 20.10, 25.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sip/uri.h"

static struct sip_uri parse(const char *text) {
  struct sip_uri uri;
  if (sip_uri_parse(slice_cstr(text), &uri) != OK) fail_msg("refused: %s", text);
  return uri;
}

static void assert_text(struct slice got, const char *want) {
  if (!slice_equal(got, slice_cstr(want))) fail_msg("%.*s, not %s", SLICE_FMT(got), want);
}

static void every_part_is_found(void **state) {
  (void)state;
  struct sip_uri u = parse("sips:al;ice%40:pa&ss@Atlanta.example.COM:5061;transport=tcp;lr?a=b&c=");
  assert_int_equal(u.scheme, SIP_SCHEME_SIPS);
  assert_text(u.scheme_text, "sips");
  assert_text(u.user, "al;ice%40");
  assert_text(u.password, "pa&ss");
  assert_text(u.host, "Atlanta.example.COM");
  assert_int_equal(u.port, 5061);
  assert_text(u.params, "transport=tcp;lr");
  assert_text(u.headers, "a=b&c=");
  u = parse("SIP:[2001:db8::1]");
  assert_int_equal(u.scheme, SIP_SCHEME_SIP);
  assert_null(u.user.at);
  assert_null(u.password.at);
  assert_text(u.host, "[2001:db8::1]");
  assert_int_equal(u.port, 0);
  u = parse("sip:a:@b");
  assert_non_null(u.password.at);
  assert_int_equal(u.password.len, 0);
  u = parse("tel:+358-9-123;phone-context=x");
  assert_int_equal(u.scheme, SIP_SCHEME_TEL);
  assert_text(u.opaque, "+358-9-123;phone-context=x");
  u = parse("soap.beep://192.0.2.103:3002");
  assert_int_equal(u.scheme, SIP_SCHEME_OTHER);
  assert_text(u.scheme_text, "soap.beep");
}

static void broken_uris_are_refused(void **state) {
  (void)state;
  static const char *const broken[] = {
      "",
      "sip",
      "sip:",
      ":a",
      "1sip:a",
      "sip:@a",
      "sip:a@",
      "sip:a@b@c",
      "sip:a b@c",
      "sip:a@b c",
      "sip:a@b:",
      "sip:a@b:0",
      "sip:a@b:65536",
      "sip:a@b:5x",
      "sip:a@b:99999999999999999999",
      "sip:a@b;",
      "sip:a@b;;lr",
      "sip:a@b;lr;",
      "sip:a@b;=x",
      "sip:a@b;lr=",
      "sip:a@b;l r",
      "sip:a@b?",
      "sip:a@b?x",
      "sip:a@b?=y",
      "sip:a@b?x=y&",
      "sip:a@b?x=y&&z=1",
      "sip:a@b?x=<",
      "sip:a%4@b",
      "sip:a%zz@b",
      "sip:%",
      "sip:a\"b@c",
      "sip:a#b@c",
      "sip:a@-b",
      "sip:a@b-",
      "sip:a@b..c",
      "sip:a@.b",
      "sip:a@b.-c",
      "sip:a@b-.c",
      "sip:a@1.2.3",
      "sip:a@1.2.3.256",
      "sip:a@1.2.3.4.5",
      "sip:a@1.2.3.4.",
      "sip:a@b.1",
      "sip:a@b_c",
      "sip:a@[::1",
      "sip:a@[::g]",
      "sip:a@[1.2.3.4]",
      "sip:a@[]",
      "sip:a@::1",
      "sip:a@b/c",
      "<sip:a@b>",
      "tel:",
      "tel:1 2",
      "x:a\"",
      "sip:a@b\x01",
      "sip:\xc3\xa4@b",
      "sip:a@b..",
      "sip:.",
      "sip:a@b>",
  };
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    struct sip_uri uri;
    if (sip_uri_parse(slice_cstr(broken[i]), &uri) == OK) fail_msg("accepted: %s", broken[i]);
  }
  struct sip_uri uri;
  assert_int_equal(sip_uri_parse(SLICE_EMPTY, &uri), ERR_SYNTAX);
  assert_int_equal(sip_uri_parse(slice_of("sip:a@b\0c", 9), &uri), ERR_SYNTAX);
}

static void odd_but_right_uris_are_read(void **state) {
  (void)state;
  static const char *const good[] = {
      "sip:b",           "sip:1.2.3.4",    "sip:a@b.",
      "sip:a@x--y.c1",   "sip:0.a",        "sip:a@b;x=[/:&+$]",
      "sip:&=+$,;?/@b",  "sip:a:&=+$,@b",  "sip:a@b?[]/?:+$=",
      "sip:%00@b",       "sip:a@b;%6c%72", "sips:a@255.255.255.255:65535",
      "sip:-_.!~*'()@b", "x-y+z.1:a",      "http://[::1]/?a&b",
  };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) parse(good[i]);
}

static void parameters_have_a_limit(void **state) {
  (void)state;
  char text[256];
  struct buf b = buf_over(text, sizeof text);
  struct sip_uri uri;
  buf_put_cstr(&b, "sip:a@b");
  for (unsigned i = 0; i < SIP_URI_PARAMS_MAX; i++) buf_put_cstr(&b, ";p=1");
  assert_int_equal(sip_uri_parse(buf_slice(&b), &uri), OK);
  buf_put_cstr(&b, ";p");
  assert_int_equal(sip_uri_parse(buf_slice(&b), &uri), ERR_SYNTAX);
  buf_reset(&b);
  buf_put_cstr(&b, "sip:a@b?h=");
  for (unsigned i = 1; i < SIP_URI_PARAMS_MAX; i++) buf_put_cstr(&b, "&h=1");
  assert_int_equal(sip_uri_parse(buf_slice(&b), &uri), OK);
  buf_put_cstr(&b, "&h=");
  assert_int_equal(sip_uri_parse(buf_slice(&b), &uri), ERR_SYNTAX);
}

static void parameters_are_looked_up(void **state) {
  (void)state;
  struct slice params = SLICE("a=1; B = \"x;y=\\\"z\" ;lr;empty=; c"), name, value;
  assert_true(sip_param_get(params, "A", &value));
  assert_text(value, "1");
  assert_true(sip_param_get(params, "b", &value));
  assert_text(value, "\"x;y=\\\"z\"");
  assert_true(sip_param_get(params, "lr", &value));
  assert_int_equal(value.len, 0);
  assert_true(sip_param_get(params, "c", NULL));
  assert_false(sip_param_get(params, "y", NULL));
  assert_false(sip_param_get(SLICE_EMPTY, "y", NULL));
  unsigned count = 0;
  while (sip_param_next(&params, &name, &value)) count++;
  assert_int_equal(count, 5);
}

/* The examples of RFC 3261 19.1.4, and those of RFC 5627. */
static void uris_compare_as_rfc_3261_says(void **state) {
  (void)state;
  static const struct {
    const char *a, *b;
    bool equal;
  } pairs[] = {
      {"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true},
      {"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true},
      {"sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on", true},
      {"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
       "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", true},
      {"sip:alice@atlanta.com?subject=project%20x&priority=urgent",
       "sip:alice@atlanta.com?priority=urgent&subject=project%20x", true},
      {"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false},
      {"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false},
      {"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false},
      {"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false},
      {"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false},
      {"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false},
      {"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false},
      {"sip:a@b", "sips:a@b", false},
      {"sip:a@b", "sip:b", false},
      {"sip:a:x@b", "sip:a@b", false},
      {"sip:a:x@b", "sip:a:y@b", false},
      {"sip:a%3bb@c", "sip:a;b@c", false},
      {"sip:a%3bb@c", "sip:a%3Bb@c", true},
      {"sip:%00@c", "sip:%00%00@c", false},
      {"sip:a@b;gr=1", "sip:a@b", false},
      {"sip:a@b;gr=1", "sip:a@b;gr=2", false},
      {"sip:a@b;maddr=1.2.3.4", "sip:a@b", false},
      {"sip:a@b;x=1;x=2", "sip:a@b;x=2;x=1", true},
      {"sip:a@b?x=1&x=1", "sip:a@b?x=1", true},
      {"sip:a@b?x=1", "sip:a@b?x=2", false},
      {"tel:1", "TEL:1", true},
      {"tel:1", "tel:2", false},
      {"x:a", "y:a", false},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    struct sip_uri a = parse(pairs[i].a), b = parse(pairs[i].b);
    if (sip_uri_equal(&a, &b) != pairs[i].equal || sip_uri_equal(&b, &a) != pairs[i].equal)
      fail_msg("%s and %s", pairs[i].a, pairs[i].b);
    assert_true(sip_uri_equal(&a, &a));
  }
}

/* R-1.7 (a) */
static void the_address_of_record_is_canonical(void **state) {
  (void)state;
  static const char *const pairs[][2] = {
      {"sip:bob@biloxi.example.com", "sip:bob@biloxi.example.com"},
      {"SIPS:Bob@BILOXI.example.com:5061;user=phone?a=b", "sip:Bob@biloxi.example.com"},
      {"sip:%62%6Fb@x", "sip:bob@x"},
      {"sip:a%3ab%40%2f@x", "sip:a%3Ab%40%2F@x"},
      {"sip:a:secret@x", "sip:a@x"},
      {"sip:%00%7E@[2001:DB8::1]", "sip:%00~@[2001:db8::1]"},
      {"sip:Example.COM", "sip:example.com"},
      {"sip:a;b=c@x", "sip:a;b=c@x"},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    char text[128];
    struct buf b = buf_over(text, sizeof text);
    struct sip_uri uri = parse(pairs[i][0]);
    assert_int_equal(sip_uri_put_aor(&b, &uri), OK);
    assert_text(buf_slice(&b), pairs[i][1]);
  }
  char text[8];
  struct buf b = buf_over(text, sizeof text);
  struct sip_uri uri = parse("tel:1");
  assert_int_equal(sip_uri_put_aor(&b, &uri), ERR_UNSUPPORTED);
  assert_int_equal(b.len, 0);
}

static void endpoints_have_their_defaults(void **state) {
  (void)state;
  static const struct {
    const char *uri;
    enum transport transport;
    const char *address; /* NULL: none */
  } cases[] = {
      {"sip:a@192.0.2.1", TRANSPORT_UDP, "192.0.2.1:5060"},
      {"sip:192.0.2.1:7;transport=TCP", TRANSPORT_TCP, "192.0.2.1:7"},
      {"sip:[2001:db8::1];transport=tls", TRANSPORT_TLS, "[2001:db8::1]:5061"},
      {"sips:192.0.2.1", TRANSPORT_TLS, "192.0.2.1:5061"},
      {"sips:192.0.2.1;transport=tcp", TRANSPORT_TLS, "192.0.2.1:5061"},
      {"sips:192.0.2.1;transport=ws", TRANSPORT_WSS, "192.0.2.1:443"},
      {"sip:192.0.2.1;transport=ws", TRANSPORT_WS, "192.0.2.1:80"},
      {"sip:a@example.com;maddr=192.0.2.9", TRANSPORT_UDP, "192.0.2.9:5060"},
      {"sip:a@example.com", TRANSPORT_UDP, NULL},
      {"sip:192.0.2.1;transport=sctp", TRANSPORT_UDP, NULL},
      {"sip:192.0.2.1;maddr=name", TRANSPORT_UDP, NULL},
      {"tel:1", TRANSPORT_UDP, NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct sip_uri uri = parse(cases[i].uri);
    struct endpoint got, want;
    enum err err = sip_uri_endpoint(&uri, &got);
    assert_int_equal(err, cases[i].address == NULL ? ERR_UNSUPPORTED : OK);
    if (err != OK) continue;
    assert_true(endpoint_parse(slice_cstr(cases[i].address), cases[i].transport, 0, &want));
    assert_true(endpoint_equal(&got, &want));
  }
}

static void addresses_are_taken_apart(void **state) {
  (void)state;
  struct sip_address a;
  assert_int_equal(
      sip_address_parse(SLICE("\"A \\\"B\\\", C\" \r\n <sip:a@b;lr;x=\"> ;tag=1;q=0.5"), &a),
      ERR_SYNTAX);
  assert_int_equal(
      sip_address_parse(SLICE("\"A \\\"B\\\", <C\"\r\n <sip:a@b;lr> ; tag = 1\r\n\t;q=0.5"), &a),
      OK);
  assert_text(a.display, "\"A \\\"B\\\", <C\"");
  assert_text(a.uri.text, "sip:a@b;lr");
  assert_text(a.uri.params, "lr");
  assert_text(a.params, " tag = 1\r\n\t;q=0.5");
  assert_text(a.tag, "1");
  assert_true(a.bracketed);
  assert_int_equal(sip_address_parse(SLICE("Two  Words<sip:a@b>"), &a), OK);
  assert_text(a.display, "Two  Words");
  assert_int_equal(sip_address_parse(SLICE("sip:a@b;lr ;tag=x-y.!%*_+`'~"), &a), OK);
  assert_false(a.bracketed);
  assert_int_equal(a.uri.params.len, 0);
  assert_text(a.params, "lr ;tag=x-y.!%*_+`'~");
  assert_text(a.tag, "x-y.!%*_+`'~");
  assert_int_equal(sip_address_parse(SLICE("<tel:1>;+sip.instance=\"<urn:uuid:x>\""), &a), OK);
  assert_int_equal(a.display.len, 0);
  assert_text(a.params, "+sip.instance=\"<urn:uuid:x>\"");
}

static void broken_addresses_are_refused(void **state) {
  (void)state;
  static const char *const broken[] = {
      "",
      " ",
      "*",
      "Alice",
      "Alice <sip:a@b",
      "Alice sip:a@b",
      "<>",
      "< sip:a@b>",
      "<sip:a@b >",
      "\"A <sip:a@b>",
      "\"A\" sip:a@b",
      "\"A\"",
      "A, B <sip:a@b>",
      "A@B <sip:a@b>",
      "<sip:a@b>x",
      "<sip:a@b>;",
      "<sip:a@b>;;",
      "<sip:a@b>;tag",
      "<sip:a@b>;tag=",
      "<sip:a@b>;tag=\"x\"",
      "<sip:a@b>;tag=[x]",
      "<sip:a@b>;tag=1;TAG=2",
      "<sip:a@b>;x=\"y",
      "<sip:a@b>;x=y z",
      "<sip:a@b>,<sip:c@d>",
      "sip:a@b?x=y",
      "sip:a@b, sip:c",
      "sip:a@b>",
      "<sip:a@b>;x=@",
      "\xc3\xa4 <sip:a@b>",
      "\"\x01\" <sip:a@b>",
      "\"a\\",
      "<sip:a@b><sip:a@b>",
  };
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    struct sip_address a;
    if (sip_address_parse(slice_cstr(broken[i]), &a) == OK) fail_msg("accepted: %s", broken[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_part_is_found),
      cmocka_unit_test(broken_uris_are_refused),
      cmocka_unit_test(odd_but_right_uris_are_read),
      cmocka_unit_test(parameters_have_a_limit),
      cmocka_unit_test(parameters_are_looked_up),
      cmocka_unit_test(uris_compare_as_rfc_3261_says),
      cmocka_unit_test(the_address_of_record_is_canonical),
      cmocka_unit_test(endpoints_have_their_defaults),
      cmocka_unit_test(addresses_are_taken_apart),
      cmocka_unit_test(broken_addresses_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
