/* SPDX-License-Identifier: BSD-2-Clause */
/* R-1.6, R-1.7: the published vectors of docs/spec/1-message.md, and what is no key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/openssl.h"
#include "xml/body.h"

struct vector {
  const char *text, *canonical, *key;
};
static const struct vector vectors[] = {
    {"sip:bob@biloxi.example.com", "sip:bob@biloxi.example.com",
     "125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A9"},
    {"bob@biloxi.example.com", "sip:bob@biloxi.example.com",
     "125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A9"},
    {"sips:bob@Biloxi.Example.COM:5061;transport=tcp", "sip:bob@biloxi.example.com",
     "125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A9"},
    {"SIP:%62ob@biloxi.example.com;user=phone", "sip:bob@biloxi.example.com",
     "125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A9"},
    {"sip:bob@biloxi.example.com;Replica=1;lr", "sip:bob@biloxi.example.com;replica=1",
     "8ACB445DEFE98CF98B21BD8836F5909F5B4B4874"},
    {"sip:Bob@biloxi.example.com", "sip:Bob@biloxi.example.com",
     "67C54C96959CF941A3F73E09FD1BB710C0813977"},
    {"sip:a%2fb@example.net", "sip:a%2Fb@example.net", "F7F3E1098294D3B202C2D25BB98806624C225E65"},
    {"sip:bob:secret@biloxi.example.com?subject=x", "sip:bob@biloxi.example.com",
     "125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A9"},
    {"sip:biloxi.example.com", "sip:biloxi.example.com",
     "F07025D4C139B8BC5AAADAEA1A44F2DBA19CB7D3"},
    {"sip:bob@[2001:DB8::1]:5060", "sip:bob@[2001:db8::1]",
     "958155DBC41B7BC565EFCA9C4AD9A19348A78F0A"},
    {"certificate:bob@Biloxi.example.com", "certificate:bob@biloxi.example.com",
     "5861ED6CDB4F07D3AFE9367F498FF76815117F2F"},
    {"certificate:sip:bob@biloxi.example.com", "certificate:bob@biloxi.example.com",
     "5861ED6CDB4F07D3AFE9367F498FF76815117F2F"},
    {"subscribe:Presence:bob@biloxi.example.com", "subscribe:presence:bob@biloxi.example.com",
     "DDC17DA3FC0F05F07FDC406D676A71ECC6DCA1AD"},
    {"presence:bob@biloxi.example.com", "presence:bob@biloxi.example.com",
     "89D0788AD7DBDC0001B12463B233A4C6E982794E"},
    {"offline:sips:bob@biloxi.example.com", "offline:bob@biloxi.example.com",
     "AC4D651C104CB871DB25F4B37FEDA8A244419BE3"},
    {"private:bob@Biloxi.example.com:secret", "private:bob@Biloxi.example.com:secret",
     "A4929DF8530644A828075D3F3F7CC3C6B4219054"},
    {"immut:2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824",
     "immut:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
     "6E29FDA0FF3FADF9F768D7EAF7867F0EFF3D137A"},
    {"urn:example:Anything", "urn:example:Anything", "EFEB57E10F7720241CBE41D5D970AD26B6A8C3CA"},
};

static void test_vectors(void **state) {
  struct crypto crypto;
  (void)state;
  crypto_openssl(&crypto);
  for (unsigned i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    char text[128];
    struct buf out = buf_over(text, sizeof text);
    assert_int_equal(xml_key_canonical(slice_cstr(vectors[i].text), &out), OK);
    if (!slice_equal(buf_slice(&out), slice_cstr(vectors[i].canonical)))
      fail_msg("%s gives %.*s", vectors[i].text, SLICE_FMT(buf_slice(&out)));
    struct key expected, key = crypto_key(&crypto, buf_slice(&out));
    assert_true(key_parse(slice_cstr(vectors[i].key), &expected));
    if (!key_equal(&key, &expected)) fail_msg("key of %s", vectors[i].text);
  }
  crypto_openssl_free(&crypto);
}

static void gives(const char *from, const char *to) {
  char text[128];
  struct buf out = buf_over(text, sizeof text);
  assert_int_equal(xml_key_canonical(slice_cstr(from), &out), OK);
  if (!slice_equal(buf_slice(&out), slice_cstr(to)))
    fail_msg("%s gives %.*s", from, SLICE_FMT(buf_slice(&out)));
}

static void test_more_forms(void **state) {
  (void)state;
  gives(" \tsip:bob@example.net\r\n", "sip:bob@example.net");
  gives("bob@example.net:5070;x=y", "sip:bob@example.net");
  gives("b%6F%62%40@example.net", "sip:bob%40@example.net");
  gives("sip:bob;phone-context=x@example.net", "sip:bob;phone-context=x@example.net");
  gives("sip:bob@example.net;lr;REPLICA=2;x", "sip:bob@example.net;replica=2");
  gives("sip:bob@example.net;replica", "sip:bob@example.net;replica");
  gives("sip:example.net?to=a", "sip:example.net");
  gives("SUBSCRIBE:message-summary:SIPS:bob@Example.net",
        "subscribe:message-summary:bob@example.net");
  gives("PRIVATE:A@B", "PRIVATE:A@B");
  gives("x", "x");
}

static void test_a_canonical_text_stays(void **state) {
  (void)state;
  for (unsigned i = 0; i < sizeof vectors / sizeof *vectors; i++)
    gives(vectors[i].canonical, vectors[i].canonical);
}

static void test_no_keys(void **state) {
  static const char *const texts[] = {
      "",
      " ",
      "sip:",
      "sip:@example.net",
      "sip::pw@example.net",
      "sip:bob@",
      "sip:bob@exa mple.net",
      "sip:b ob@example.net",
      "sip:b%4@example.net",
      "sip:b%zz@example.net",
      "sip:b<@example.net",
      "sip:bob@example.net:port",
      "sip:bob@example.net:70000",
      "sip:bob@[::1",
      "sip:bob@[]",
      "sip:bob@[::1]x",
      "sip:bob@example.net;replica=1;replica=2",
      "sip:bob@ex@mple.net",
      "certificate:biloxi.example.com",
      "certificate:",
      "offline:sip:",
      "subscribe:bob@example.net",
      "subscribe::bob@example.net",
      "subscribe:pre sence:bob@example.net",
      "immut:00",
      "immut:ZCF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824",
      "sip:b\xc3\xb6@example.net"};
  (void)state;
  for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
    char text[128];
    struct buf out = buf_over(text, sizeof text);
    buf_put_char(&out, '=');
    if (xml_key_canonical(slice_cstr(texts[i]), &out) != ERR_SYNTAX || out.len != 1)
      fail_msg("\"%s\" was taken", texts[i]);
  }
}

static void test_no_room(void **state) {
  (void)state;
  for (size_t cap = 0; cap < sizeof "sip:bob@example.net" - 1; cap++) {
    char text[64];
    struct buf out = buf_over(text, cap);
    assert_int_equal(xml_key_canonical(SLICE("sip:bob@example.net"), &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    assert_false(out.overflow);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_more_forms),
      cmocka_unit_test(test_a_canonical_text_stays),
      cmocka_unit_test(test_no_keys),
      cmocka_unit_test(test_no_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
