/* SPDX-License-Identifier: BSD-2-Clause */
/* Bodies as strangers send them. Each is refused with a phrase
 * that names the part, and the next body is read as if nothing had been. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>

#include "support/memory.h"
#include "support/records.h"
#include "xml/body.h"

struct fixture {
  struct test_memory memory;
  struct xml_reader *reader;
  struct xml_body body;
};

static int setup(void **state) {
  static struct fixture f;
  test_memory_init(&f.memory, TEST_MEMORY_UNLIMITED);
  f.reader = xml_reader_new(&f.memory.memory, 7);
  *state = &f;
  return f.reader == NULL;
}
static int teardown(void **state) {
  struct fixture *f = *state;
  xml_reader_free(f->reader);
  return f->memory.blocks != 0;
}

static const char *const good =
    "<methodCall><methodName>get</methodName><params><param><dhtRecord><key>k</key></dhtRecord>"
    "</param></params></methodCall>";

/* From memory of exactly this size, so that ASan sees a read past its end. */
static void refused(struct fixture *f, struct slice text, enum err expected, const char *why) {
  char *exact = malloc(text.len + (text.len == 0));
  assert_non_null(exact);
  memcpy(exact, text.at, text.len);
  const char *reason = NULL;
  enum err err = xml_body_read(f->reader, slice_of(exact, text.len), &f->body, &reason);
  if (err != expected || reason == NULL || strcmp(reason, why) != 0)
    fail_msg("%.60s: %s (%s), expected %s (%s)", text.at, err_text(err),
             reason == NULL ? "none" : reason, err_text(expected), why);
  free(exact);
  reason = NULL;
  assert_int_equal(xml_body_read(f->reader, slice_cstr(good), &f->body, &reason), OK);
  assert_int_equal(f->body.record_count, 1);
}
static void bad(struct fixture *f, const char *text, const char *why) {
  refused(f, slice_cstr(text), ERR_SYNTAX, why);
}

#define IN_PARAM(text)                                                \
  "<methodCall><methodName>put-auth</methodName><params><param>" text \
  "</param></params></methodCall>"

static void test_declarations(void **state) {
  struct fixture *f = *state;
  bad(f, "<!DOCTYPE methodCall><methodCall/>", "DOCTYPE is not allowed");
  bad(f, "<!DOCTYPE methodCall SYSTEM \"file:///etc/passwd\"><methodCall/>",
      "DOCTYPE is not allowed");
  bad(f,
      "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;\">]>"
      "<methodCall><methodName>&c;</methodName></methodCall>",
      "DOCTYPE is not allowed");
  bad(f, "<?php echo 1 ?><methodCall/>", "processing instructions are not allowed");
  bad(f, "<methodCall><?x y?></methodCall>", "processing instructions are not allowed");
  bad(f, "<methodCall><methodName>&nbsp;</methodName></methodCall>",
      "entity is not one of the five predefined ones");
  bad(f, "<methodCall><methodName>&#0;</methodName></methodCall>",
      "character reference to no character");
}

static void test_encodings(void **state) {
  struct fixture *f = *state;
  bad(f, "<?xml version='1.0' encoding='ISO-8859-1'?><methodCall/>", "XML encoding is not UTF-8");
  bad(f, "<?xml version='1.0' encoding='UTF-16'?><methodCall/>", "XML encoding is not UTF-8");
  bad(f, "<?xml version='1.0' encoding='nonesuch'?><methodCall/>", "XML encoding is not UTF-8");
  refused(f, SLICE("\xff\xfe<\0m\0/\0>\0"), ERR_SYNTAX, "body holds a NUL byte, or is not UTF-8");
  refused(f, SLICE("<\0m\0/\0>\0"), ERR_SYNTAX, "body holds a NUL byte, or is not UTF-8");
  refused(f, SLICE("\0<\0m\0/\0>"), ERR_SYNTAX, "body holds a NUL byte, or is not UTF-8");
  bad(f, "<methodCall>\xe9</methodCall>", "not well-formed XML, or not UTF-8");
  bad(f, "<methodCall>\xc0\xaf</methodCall>", "not well-formed XML, or not UTF-8");
  refused(f, SLICE("<methodCall>a\0b</methodCall>"), ERR_SYNTAX,
          "body holds a NUL byte, or is not UTF-8");
  const char *why = NULL;
  assert_int_equal(xml_body_read(f->reader,
                                 SLICE("<?xml version='1.0' encoding='utf-8'?><methodCall>"
                                       "<methodName>get</methodName></methodCall>"),
                                 &f->body, &why),
                   OK);
}

static void test_not_well_formed(void **state) {
  struct fixture *f = *state;
  bad(f, "", "body is empty");
  bad(f, "   ", "body without an element");
  bad(f, "hello", "not well-formed XML, or not UTF-8");
  bad(f, "<methodCall", "body ends inside of a tag");
  bad(f, "<methodCall>", "methodCall is not closed");
  bad(f, "<methodCall></methodResponse>", "methodCall is not closed");
  bad(f, IN_PARAM("<dhtRecord><key>k</dhtRecord>"), "key is not closed");
  bad(f, IN_PARAM("<dhtRecord><key>k</key>"), "dhtRecord is not closed");
  bad(f, "<methodCall/><methodCall/>", "something follows the root element");
  bad(f, "<methodCall a='1' a='2'/>", "attribute given twice");
  bad(f, "<methodCall><o:x/></methodCall>", "namespace prefix is not declared");
  bad(f, "<a/>", "root is neither methodCall nor methodResponse");
  bad(f, "<methodCall/>", "methodCall without methodName");
  bad(f, "<methodCall><methodName> </methodName></methodCall>", "methodCall without methodName");
  bad(f, "<methodCall><methodName>get</methodName><methodName>put</methodName></methodCall>",
      "methodCall with two methodNames");
  bad(f, IN_PARAM("<value><base64>***</base64></value>"), "base64 argument is not base64");
  bad(f, IN_PARAM("<value><string>&lt;dhtRecord></string></value>"), "dhtRecord is not closed");
  bad(f, IN_PARAM("<value><string>&lt;!DOCTYPE a></string></value>"), "DOCTYPE is not allowed");
}

/* Cut at every place, a body is refused and nothing outside of it is touched. */
static void test_truncated(void **state) {
  struct fixture *f = *state;
  size_t len = strlen(good);
  for (size_t cut = 0; cut < len; cut++) {
    char *exact = malloc(cut + 1);
    assert_non_null(exact);
    memcpy(exact, good, cut);
    const char *why = NULL;
    assert_int_equal(xml_body_read(f->reader, slice_of(exact, cut), &f->body, &why), ERR_SYNTAX);
    assert_non_null(why);
    free(exact);
  }
}

#define O "xmlns='urn:ietf:params:xml:ns:p2p-sip:overlay'"
#define OO "xmlns:o='urn:ietf:params:xml:ns:p2p-sip:overlay'"

static void test_records(void **state) {
  struct fixture *f = *state;
  bad(f, IN_PARAM("<dhtRecord/>"), "dhtRecord without key");
  bad(f, IN_PARAM("<dhtRecord><key> </key></dhtRecord>"), "dhtRecord without key");
  bad(f, IN_PARAM("<dhtRecord><key>a</key><key>b</key></dhtRecord>"), "dhtRecord with two keys");
  bad(f, IN_PARAM("<dhtRecord><key/><key>b</key></dhtRecord>"), "dhtRecord with two keys");
  bad(f, IN_PARAM("<dhtRecord><key>a</key><value/><value/></dhtRecord>"),
      "dhtRecord with two values");
  bad(f, IN_PARAM("<dhtRecord><key>a</key><value expires='tomorrow'/></dhtRecord>"),
      "expires is not a dateTime in UTC");
  bad(f,
      IN_PARAM("<dhtRecord " OO "><key>a</key><value o:floor='2026-02-30T00:00:00Z'/></dhtRecord>"),
      "o:floor is not a dateTime in UTC");
  bad(f, IN_PARAM("<dhtRecord " OO "><key>a</key><value o:version='0'/></dhtRecord>"),
      "o:version is not a number from 1 to 2^62");
  bad(f,
      IN_PARAM("<dhtRecord " OO
               "><key>a</key><value o:version='4611686018427387905'/></dhtRecord>"),
      "o:version is not a number from 1 to 2^62");
  bad(f, IN_PARAM("<dhtRecord " OO "><key>a</key><value o:removed='yes'/></dhtRecord>"),
      "o:removed is neither true nor false");
  bad(f,
      IN_PARAM("<dhtRecord><key>a</key><KeyInfo><KeyValue><DigestValue>AQID</DigestValue>"
               "</KeyValue></KeyInfo></dhtRecord>"),
      "owner (DigestValue in KeyValue) is not base64 of 20 bytes");
  bad(f,
      IN_PARAM("<dhtRecord><key>a</key><KeyInfo><KeyValue>"
               "<DigestValue>AQIDBAUGBwgJCgsMDQ4PEBESExQ=</DigestValue>"
               "<DigestValue>AQIDBAUGBwgJCgsMDQ4PEBESExQ=</DigestValue></KeyValue></KeyInfo>"
               "</dhtRecord>"),
      "dhtRecord with two owners");
}

#define RECORD_HEAD                                                                                \
  TEST_RECORD_HEAD("sip:bob@example.net", "2026-05-01T12:00:00Z", "n", "2026-05-01T12:00:00Z", "", \
                   "1")
#define RECORD(content) RECORD_HEAD content TEST_RECORD_TAIL
#define SIGNATURE_ELEMENTS 18

/* a record is stored without its surroundings and must be readable without them. */
static void test_records_stand_alone(void **state) {
  struct fixture *f = *state;
  const char *why = NULL;
  bad(f,
      "<methodCall " OO
      "><methodName>put</methodName><params><param><dhtRecord><key>a</key>"
      "<value o:version='1'/></dhtRecord></param></params></methodCall>",
      "dhtRecord uses a namespace declared outside of it");
  bad(f,
      "<methodCall><methodName>put</methodName><params><param>"
      "<dhtRecords xmlns='urn:ietf:params:xml:ns:dht'><dhtRecord><key>a</key><value/></dhtRecord>"
      "</dhtRecords></param></params></methodCall>",
      "dhtRecord uses a namespace declared outside of it");
  bad(f,
      "<methodCall xmlns:x='u:x'><methodName>put</methodName><params><param>" RECORD(
          "<x:a></x:a>") "</param></params></methodCall>",
      "dhtRecord uses a namespace declared outside of it");
  /* declared again inside: fine, and so is a query, which is never stored */
  assert_int_equal(
      xml_body_read(f->reader,
                    SLICE("<methodCall " OO "><methodName>put</methodName><params><param>" RECORD(
                        "") "</param><param><dhtRecords xmlns='urn:ietf:params:xml:ns:dht'>"
                            "<dhtRecord><key>a</key></dhtRecord></dhtRecords></param></params>"
                            "</methodCall>"),
                    &f->body, &why),
      OK);
  assert_int_equal(f->body.record_count, 2);
}

/* whatever expat takes for key and value, it is what the layout says is signed. */
static void test_records_have_one_reading(void **state) {
  struct fixture *f = *state;
#define PUT(record)                                                \
  "<methodCall><methodName>put</methodName><params><param>" record \
  "</param></params></"                                            \
  "methodCall>"
  bad(f, PUT(RECORD("a</value><value xmlns=\"urn:other\">b")),
      "dhtRecord whose key and value are not where its layout has them");
  bad(f, PUT(RECORD("a</value><value>b")), "dhtRecord with two values");
  bad(f, PUT(RECORD("a</value><key>b</key><value xmlns=\"urn:other\">c")),
      "dhtRecord with two keys");
  bad(f, PUT(RECORD("a<!-- b -->")),
      "value with a comment, a CDATA section, a declaration or a processing instruction");
  bad(f, PUT(RECORD("<![CDATA[a]]>")),
      "value with a comment, a CDATA section, a declaration or a processing instruction");
  bad(f, PUT("<dhtRecord><key>a</key><value>b</value></dhtRecord>"),
      "dhtRecord is not opened as the layout of a record says");
  /* */
  bad(f,
      PUT("<dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\" "
          "xmlns:o=\"urn:ietf:params:xml:ns:p2p-sip:overlay\"><key>sip:bob@example.net</key>"
          "<value expires=\"2026-05-01T12:00:00.000Z\" nonce=\"n1\" o:version=\"7\" "
          "o:floor=\"2026-05-01T12:00:01Z\">b</value><KeyInfo><KeyValue><DigestValue>"
          "AQIDBAUGBwgJCgsMDQ4PEBESExQ=</DigestValue></KeyValue></KeyInfo></dhtRecord>"),
      "dhtRecord is not opened as the layout of a record says");
}

/* */
static void test_overlay_part(void **state) {
  struct fixture *f = *state;
#define ID "00000000000000000000000000000000000000AA"
  bad(f, IN_PARAM("<overlay " O "/><overlay " O "/>"), "two overlay elements");
  bad(f, IN_PARAM("<overlay " O " copies='many'/>"), "copies is not a number");
  bad(f, IN_PARAM("<overlay " O " time='-1'/>"), "time is not a number");
  bad(f, IN_PARAM("<overlay " O " load=''/>"), "load is not a number");
  bad(f, IN_PARAM("<overlay " O " more='maybe'/>"),
      "attribute of overlay is neither true nor false");
  bad(f, IN_PARAM("<overlay " O " after='" ID ".'/>"),
      "after is not KEY.OWNER.NONCE of 40 digits each");
  bad(f, IN_PARAM("<overlay " O " after='" ID "." ID "." ID "." ID "'/>"),
      "after is not KEY.OWNER.NONCE of 40 digits each");
  bad(f, IN_PARAM("<overlay " O "><self at='192.0.2.1:5060'/></overlay>"),
      "id of a peer is not 40 hexadecimal digits");
  bad(f, IN_PARAM("<overlay " O "><self id='" ID "'/></overlay>"),
      "at of a peer is not ADDRESS:PORT of a known transport");
  bad(f, IN_PARAM("<overlay " O "><self id='" ID "' at='192.0.2.1'/></overlay>"),
      "at of a peer is not ADDRESS:PORT of a known transport");
  bad(f, IN_PARAM("<overlay " O "><self id='" ID "' at='host.example.com:5060'/></overlay>"),
      "at of a peer is not ADDRESS:PORT of a known transport");
  bad(f, IN_PARAM("<overlay " O "><self id='" ID "' at='192.0.2.1:1' transport='sctp'/></overlay>"),
      "at of a peer is not ADDRESS:PORT of a known transport");
  bad(f,
      IN_PARAM("<overlay " O "><self id='" ID "' at='192.0.2.1:1' incarnation='4294967296'/>"
               "</overlay>"),
      "incarnation is not a number below 2^32");
  static const char *const once[] = {"self", "subject", "predecessor"};
  for (unsigned i = 0; i < 3; i++) {
    char text[400], peer[120];
    snprintf(peer, sizeof peer, "<%s id='" ID "' at='192.0.2.1:1'/>", once[i]);
    snprintf(text, sizeof text, IN_PARAM("<overlay " O ">%s%s</overlay>"), peer, peer);
    bad(f, text, "two self, subject or predecessor");
  }
  bad(f, IN_PARAM("<overlay " O "><range from='" ID "'/></overlay>"),
      "range without from and to of 40 digits each");
  bad(f,
      IN_PARAM("<overlay " O "><range from='" ID "' to='" ID "'/><range from='" ID "' to='" ID
               "'/></overlay>"),
      "two ranges");
}

/* */
static void test_comparison(void **state) {
  struct fixture *f = *state;
#define LATER "00000000000000000000000000000000000000AB"
#define PLACE ID "." ID "." ID
#define SYNC(text) IN_PARAM("<overlay " O ">" text "</overlay>")
  const char *place = "places of a part are not KEY.OWNER.NONCE of 40 digits each";
  bad(f, SYNC("<part/>"), place);
  bad(f, SYNC("<part upto='12'/>"), place);
  bad(f, SYNC("<part upto='" LATER "' after=''/>"), place);
  bad(f, SYNC("<part upto='" ID "' after='" ID "'/>"), "a part ends before it begins");
  bad(f, SYNC("<part upto='" ID "' after='" LATER "'/>"), "a part ends before it begins");
  bad(f, SYNC("<part upto='" ID "' count='4294967296' digest='1'/>"), "count is not a number");
  bad(f, SYNC("<part upto='" ID "' count='1' digest='18446744073709551616'/>"),
      "digest is not a number");
  bad(f, IN_PARAM("<overlay " O " until='soon'/>"), "until is not a dateTime");
  bad(f, IN_PARAM("<overlay " O " limit='-1'/>"), "limit is not a number");
  const char *item = "an item lacks at, version or digest";
  bad(f, SYNC("<item/>"), item);
  bad(f, SYNC("<item at='" PLACE "' version='1'/>"), item);
  bad(f, SYNC("<item at='" PLACE "' digest='" ID "'/>"), item);
  bad(f, SYNC("<item version='1' digest='" ID "'/>"), item);
  bad(f, SYNC("<item at='" PLACE "' version='4611686018427387905' digest='" ID "'/>"),
      "version is not a number up to 2^62");
  bad(f, SYNC("<item at='" PLACE "' version='1' digest='" ID "' removed='2'/>"),
      "attribute of overlay is neither true nor false");
#define FOUR(text) text text text text
  refused(f, SLICE(SYNC(FOUR(FOUR("<part upto='" ID "'/>")) "<part upto='" ID "'/>")), ERR_LIMIT,
          "more than 16 parts");
#define ITEM "<item at='" PLACE "' version='1' digest='" ID "'/>"
  refused(f, SLICE(SYNC(FOUR(FOUR(ITEM)) ITEM)), ERR_LIMIT, "more than 16 items");
  const char *why;
  assert_int_equal(xml_body_read(f->reader, SLICE(SYNC(FOUR(FOUR(ITEM)))), &f->body, &why), OK);
  assert_int_equal(f->body.sync.item_count, 16);
}

static char big[2 * XML_BODY_BYTES_MAX];

static void put_many(struct buf *out, const char *text, unsigned count) {
  for (unsigned i = 0; i < count; i++) buf_put_cstr(out, text);
}

/* `head`, so many times `unit`, `tail`: read at the bound, refused one above it. */
static void at_the_bound(struct fixture *f, const char *head, const char *unit, unsigned bound,
                         const char *tail, const char *phrase) {
  for (unsigned extra = 0; extra <= 1; extra++) {
    struct buf out = buf_over(big, sizeof big);
    buf_put_cstr(&out, head);
    put_many(&out, unit, bound + extra);
    buf_put_cstr(&out, tail);
    assert_false(out.overflow);
    const char *why = "none";
    if (extra == 1) {
      refused(f, buf_slice(&out), ERR_LIMIT, phrase);
    } else if (xml_body_read(f->reader, buf_slice(&out), &f->body, &why) != OK) {
      fail_msg("refused at the bound: %s", why);
    }
  }
}

static void test_limits(void **state) {
  struct fixture *f = *state;
  at_the_bound(f, "<methodCall><methodName>a</methodName><params><param>",
               "<dhtRecord><key>k</key></dhtRecord>", XML_RECORDS_MAX,
               "</param></params></methodCall>", "more than 64 records");
  at_the_bound(f, "<methodCall><methodName>a</methodName><params><param><overlay " O ">",
               "<member id='" ID "' at='192.0.2.1:5060'/>", XML_PEERS_MAX,
               "</overlay></param></params></methodCall>", "more than 64 peers");
  at_the_bound(f, "<methodCall><methodName>a</methodName>", "<a/>", XML_ELEMENTS_MAX - 2,
               "</methodCall>", "more than 8192 elements");
  at_the_bound(f, "<methodCall><methodName>a</methodName>", " ",
               XML_BODY_BYTES_MAX - (unsigned)strlen("<methodCall><methodName>a</methodName>"
                                                     "</methodCall>"),
               "</methodCall>", "body larger than 65536 bytes");
  at_the_bound(f, "<methodCall><methodName>a</methodName><params><param>" RECORD_HEAD, "<a/>",
               XML_RECORD_ELEMENTS_MAX - 3 - SIGNATURE_ELEMENTS,
               TEST_RECORD_TAIL "</param></params></methodCall>",
               "dhtRecord of more than 120 elements");
  at_the_bound(f, "<methodCall><methodName>a</methodName><params><param><dhtRecord><key>", "k",
               XML_KEY_BYTES_MAX, "</key></dhtRecord></param></params></methodCall>",
               "key longer than 1024 bytes");
}

static void test_depth(void **state) {
  struct fixture *f = *state;
  for (unsigned depth = XML_DEPTH_MAX; depth <= XML_DEPTH_MAX + 1; depth++) {
    struct buf out = buf_over(big, sizeof big);
    buf_put_cstr(&out, "<methodCall><methodName>a</methodName>");
    put_many(&out, "<a>", depth - 1);
    put_many(&out, "</a>", depth - 1);
    buf_put_cstr(&out, "</methodCall>");
    const char *why = NULL;
    if (depth > XML_DEPTH_MAX)
      refused(f, buf_slice(&out), ERR_LIMIT, "elements nested deeper than 16");
    else
      assert_int_equal(xml_body_read(f->reader, buf_slice(&out), &f->body, &why), OK);
  }
  /* A record as deep as may be fits where it stands deepest: in the dhtRecords of an answer. */
  for (unsigned depth = XML_RECORD_DEPTH_MAX; depth <= XML_RECORD_DEPTH_MAX + 1; depth++) {
    struct buf out = buf_over(big, sizeof big);
    bool fits = depth == XML_RECORD_DEPTH_MAX;
    buf_put_cstr(&out, fits ? "<methodResponse><params><param><dhtRecords>"
                            : "<methodResponse><params><param>");
    buf_put_cstr(&out, RECORD_HEAD);
    put_many(&out, "<a>", depth - 2);
    put_many(&out, "</a>", depth - 2);
    buf_put_cstr(&out, TEST_RECORD_TAIL);
    buf_put_cstr(&out, fits ? "</dhtRecords></param></params></methodResponse>"
                            : "</param></params></methodResponse>");
    const char *why = NULL;
    if (fits)
      assert_int_equal(xml_body_read(f->reader, buf_slice(&out), &f->body, &why), OK);
    else
      refused(f, buf_slice(&out), ERR_LIMIT, "dhtRecord nested deeper than 12");
  }
}

static void test_attributes_and_namespaces(void **state) {
  struct fixture *f = *state;
  for (unsigned count = XML_ATTRIBUTES_MAX; count <= XML_ATTRIBUTES_MAX + 1; count++) {
    struct buf out = buf_over(big, sizeof big);
    buf_put_cstr(&out, "<methodCall><methodName>a</methodName><x");
    for (unsigned i = 0; i < count; i++) {
      buf_put_cstr(&out, " a");
      buf_put_u64(&out, i);
      buf_put_cstr(&out, "=''");
    }
    buf_put_cstr(&out, "/></methodCall>");
    const char *why = NULL;
    if (count > XML_ATTRIBUTES_MAX)
      refused(f, buf_slice(&out), ERR_LIMIT, "element with more than 24 attributes");
    else
      assert_int_equal(xml_body_read(f->reader, buf_slice(&out), &f->body, &why), OK);
  }
  for (unsigned count = 48; count <= 49; count++) {
    struct buf out = buf_over(big, sizeof big);
    buf_put_cstr(&out, "<methodCall><methodName>a</methodName><x");
    for (unsigned i = 0; i < count; i++) {
      buf_put_cstr(&out, " xmlns:a");
      buf_put_u64(&out, i);
      buf_put_cstr(&out, "='u'");
    }
    buf_put_cstr(&out, "/></methodCall>");
    const char *why = NULL;
    if (count > 48)
      refused(f, buf_slice(&out), ERR_LIMIT, "more than 48 namespace declarations in force");
    else
      assert_int_equal(xml_body_read(f->reader, buf_slice(&out), &f->body, &why), OK);
  }
  refused(f, SLICE("<methodCall xmlns:a2345678901234567890123456789012='u'/>"), ERR_LIMIT,
          "namespace prefix longer than 31 bytes");
}

/* Escaped again and again: an embedded document is not searched for further ones. */
static void test_embedded_once(void **state) {
  struct fixture *f = *state;
  const char *why = NULL;
  assert_int_equal(
      xml_body_read(f->reader,
                    SLICE(IN_PARAM("<value><string>&lt;value>&lt;string>&amp;lt;dhtRecord>"
                                   "&amp;lt;key>k&amp;lt;/key>&amp;lt;/dhtRecord>&lt;/string>"
                                   "&lt;/value></string></value>")),
                    &f->body, &why),
      OK);
  assert_int_equal(f->body.record_count, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_declarations),
      TEST(test_encodings),
      TEST(test_not_well_formed),
      TEST(test_truncated),
      TEST(test_records),
      TEST(test_records_stand_alone),
      TEST(test_records_have_one_reading),
      TEST(test_overlay_part),
      TEST(test_limits),
      TEST(test_depth),
      TEST(test_attributes_and_namespaces),
      TEST(test_embedded_once),
      TEST(test_comparison),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
