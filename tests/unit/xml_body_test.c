/* SPDX-License-Identifier: BSD-2-Clause */
/* Bodies as they should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/memory.h"
#include "support/records.h"
#include "xml/body.h"

struct fixture {
  struct test_memory memory;
  struct xml_reader *reader;
  struct xml_body body;
  const char *why;
};

static int setup(void **state) {
  static struct fixture f;
  test_memory_init(&f.memory, TEST_MEMORY_UNLIMITED);
  f.reader = xml_reader_new(&f.memory.memory, 42);
  *state = &f;
  return f.reader == NULL;
}
static int teardown(void **state) {
  struct fixture *f = *state;
  xml_reader_free(f->reader);
  return f->memory.blocks != 0;
}

static enum err read_text(struct fixture *f, const char *text) {
  f->why = NULL;
  return xml_body_read(f->reader, slice_cstr(text), &f->body, &f->why);
}
static void read_ok(struct fixture *f, const char *text) {
  enum err err = read_text(f, text);
  if (err != OK) fail_msg("%s: %s", err_text(err), f->why);
}
static void assert_slice(struct slice s, const char *expected) {
  if (!slice_equal(s, slice_cstr(expected)))
    fail_msg("\"%.*s\", expected \"%s\"", SLICE_FMT(s), expected);
}

#define FIGURE_1                                                                        \
  " <methodName>get</methodName>\n <params>\n  <param>\n"                               \
  "   <dhtRecord>\n    <key>bob@biloxi.example.com</key>\n"                             \
  "    <KeyInfo>\n     <KeyValue>C83B247AC4F5D91E23A9B6CD2F32B912CAD7209E</KeyValue>\n" \
  "    </KeyInfo>\n   </dhtRecord>\n"

static void test_figure_1_as_printed(void **state) {
  struct fixture *f = *state;
  assert_int_equal(read_text(f, "<?xml version=\"1.0\" encoding=\"UTF-8\">\n<methodCall>\n" FIGURE_1
                                "  <param>\n </params>\n</methodCall>\n"),
                   ERR_SYNTAX);
  assert_string_equal(f->why, "XML declaration is not closed by ?>");
  assert_int_equal(
      read_text(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodCall>\n" FIGURE_1
                   "  <param>\n </params>\n</methodCall>\n"),
      ERR_SYNTAX);
  assert_string_equal(f->why, "param is not closed");
  unsigned line, column;
  xml_reader_where(f->reader, &line, &column);
  assert_int_equal(line, 12);
  assert_int_equal(column, 3);
}

static void test_figure_1_corrected(void **state) {
  struct fixture *f = *state;
  read_ok(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodCall>\n" FIGURE_1
             "  </param>\n </params>\n</methodCall>\n");
  assert_true(f->body.call);
  assert_int_equal(f->body.method, XML_GET);
  assert_slice(f->body.method_name, "get");
  assert_int_equal(f->body.record_count, 1);
  const struct xml_record *r = &f->body.record[0];
  assert_slice(r->key_text, "bob@biloxi.example.com");
  assert_slice(r->key_hash, "C83B247AC4F5D91E23A9B6CD2F32B912CAD7209E");
  assert_false(r->has_owner);
  assert_false(r->has_value);
  assert_slice(slice_first(r->bytes, 11), "<dhtRecord>");
  assert_slice(slice_skip(r->bytes, r->bytes.len - 12), "</dhtRecord>");
}

static void test_with_namespaces_and_prefixes(void **state) {
  struct fixture *f = *state;
  read_ok(f,
          "<methodCall><methodName> get-auth </methodName><params><param>"
          "<d:dhtRecord xmlns:d='urn:ietf:params:xml:ns:dht' "
          "xmlns:s='http://www.w3.org/2000/09/xmldsig#'><d:key>\n sip:a&amp;b@example.net </d:key>"
          "<s:KeyInfo><s:KeyValue><s:DigestValue>AQIDBAUGBwgJCgsMDQ4PEBESExQ=</s:DigestValue>"
          "</s:KeyValue></s:KeyInfo></d:dhtRecord></param></params></methodCall>");
  assert_int_equal(f->body.method, XML_GET_AUTH);
  assert_int_equal(f->body.record_count, 1);
  assert_slice(f->body.record[0].key_text, "sip:a&b@example.net");
  assert_true(f->body.record[0].has_owner);
  assert_int_equal(f->body.record[0].owner.byte[0], 1);
  assert_int_equal(f->body.record[0].owner.byte[19], 20);
  assert_int_equal(f->body.record[0].key_hash.len, 0);
}

#define RECORD                                                                                 \
  TEST_RECORD("sip:bob@example.net", "2026-05-01T12:00:00.000Z", "n1", "2026-05-01T12:00:01Z", \
              "7", "<string>a &lt; b</string>")

static void assert_record(const struct xml_record *r) {
  assert_slice(r->bytes, RECORD);
  assert_slice(r->value, "<string>a &lt; b</string>");
  assert_slice(r->nonce, "n1");
  assert_int_equal(r->version, 7);
  assert_int_equal(r->expires, 1777636800000);
  assert_int_equal(r->floor, 1777636801000);
  assert_false(r->removed);
  assert_true(r->has_owner);
}

/* the exact bytes, whatever stands around them. */
static void test_exact_bytes_of_a_put(void **state) {
  struct fixture *f = *state;
  read_ok(f,
          "<?xml version='1.0'?><!-- \xc3\xa9 --><methodCall><methodName>put</methodName>\r\n"
          "<params><param>" RECORD "</param></params></methodCall>");
  assert_int_equal(f->body.method, XML_PUT_AUTH);
  assert_int_equal(f->body.record_count, 1);
  assert_record(&f->body.record[0]);
}

/* */
static void test_escaped_string(void **state) {
  struct fixture *f = *state;
  read_ok(f,
          "<methodCall><methodName>put-auth</methodName><params><param><value><string>"
          "&lt;dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\">&lt;key "
          "xmlns=\"urn:ietf:params:xml:ns:dht\" Id=\"One\">sip:bob@example.net&lt;/key><![CDATA["
          "<value xmlns=\"urn:ietf:params:xml:ns:dht\" "
          "xmlns:o=\"urn:ietf:params:xml:ns:p2p-sip:overlay\" Id=\"Two\" "
          "expires=\"2026-05-01T12:00:00.000Z\" nonce=\"n1\" o:floor=\"2026-05-01T12:00:01Z\" "
          "o:owner=\"" TEST_OWNER
          "\" o:version=\"7\"><string>a &lt; b</string></value>" TEST_SIGNATURE
          "]]>&lt;/dhtRecord></string></value></param></params></methodCall>");
  assert_int_equal(f->body.record_count, 1);
  assert_record(&f->body.record[0]);
}

static void test_base64_and_untyped_value(void **state) {
  struct fixture *f = *state;
  char text[4096];
  struct buf out = buf_over(text, sizeof text);
  buf_put_cstr(&out,
               "<methodCall><methodName>put-auth</methodName><params><param><value><base64>\n");
  buf_put_base64(&out, RECORD, 57); /* a line, as MIME cuts them */
  buf_put_cstr(&out, "\r\n");
  buf_put_base64(&out, &RECORD[57], sizeof RECORD - 1 - 57);
  buf_put_cstr(&out,
               "\r\n</base64></value></param><param><value>"
               "&lt;dhtRecord>&lt;key>k&lt;/key>&lt;/dhtRecord></value></param>"
               "<param><value><string>no markup</string></value></param></params></methodCall>");
  buf_put_char(&out, 0);
  assert_false(out.overflow);
  read_ok(f, text);
  assert_int_equal(f->body.record_count, 2);
  assert_record(&f->body.record[0]);
  assert_slice(f->body.record[1].key_text, "k");
}

static void test_answers(void **state) {
  struct fixture *f = *state;
  read_ok(f,
          "<methodResponse><params><param><value><boolean>1</boolean></value></param><param>"
          "<overlay xmlns='urn:ietf:params:xml:ns:p2p-sip:overlay' copies='3'/></param></params>"
          "</methodResponse>");
  assert_false(f->body.call);
  assert_true(f->body.has_boolean && f->body.boolean);
  assert_true(f->body.overlay.present);
  assert_int_equal(f->body.overlay.copies, 3);
  read_ok(
      f,
      "<methodResponse><params><param><dhtRecords xmlns='urn:ietf:params:xml:ns:dht'>" RECORD RECORD
      "</dhtRecords></param></params></methodResponse>");
  assert_int_equal(f->body.record_count, 2);
  assert_record(&f->body.record[0]);
  assert_record(&f->body.record[1]);
  assert_false(f->body.has_boolean);
  assert_false(f->body.overlay.present);
}

/* */
static void test_faults(void **state) {
  struct fixture *f = *state;
  read_ok(f,
          "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>404"
          "</int></value></member><member><name>faultString</name><value><string>no &lt;such"
          "&gt;</string></value></member></struct></value></fault></methodResponse>");
  assert_true(f->body.fault);
  assert_int_equal(f->body.fault_code, 404);
  assert_slice(f->body.fault_text, "no <such>");
  /* as others write it: i4, an untyped string, another order, more members */
  read_ok(f,
          "<methodResponse><fault><value><struct><member><name>faultString</name><value>why"
          "</value></member><member><name>more</name><value><int>3</int></value></member>"
          "<member><name>faultCode</name><value><i4>503</i4></value></member></struct></value>"
          "</fault></methodResponse>");
  assert_int_equal(f->body.fault_code, 503);
  assert_slice(f->body.fault_text, "why");
}

#define O "xmlns='urn:ietf:params:xml:ns:p2p-sip:overlay'"
#define ID_A "00000000000000000000000000000000000000AA"
#define ID_B "00000000000000000000000000000000000000bb"

/* */
static void test_overlay_part(void **state) {
  struct fixture *f = *state;
  read_ok(f, "<methodCall><methodName>overlay.update</methodName><params><param><overlay " O
             " lost='true' after='" ID_A "." ID_B "' more='1' incomplete='0'><self id='" ID_A
             "' at='192.0.2.7:5060' incarnation='3'/><subject id='" ID_B
             "' at='[2001:db8::1]:5070' transport='udp'/><range from='" ID_A "' to='" ID_B
             "'/><news kind='later'><self/></news></overlay></param></params></methodCall>");
  const struct xml_overlay *o = &f->body.overlay;
  assert_int_equal(f->body.method, XML_OVERLAY_UPDATE);
  assert_true(o->present && o->lost && o->more && !o->incomplete && o->has_range && o->has_after);
  assert_int_equal(o->after.key.byte[19], 0xAA);
  assert_int_equal(o->after.owner.byte[19], 0xBB);
  assert_int_equal(o->after.nonce.byte[0], 0xFF); /* left out, passes over all */
  assert_int_equal(o->range_from.byte[19], 0xAA);
  assert_int_equal(o->range_to.byte[19], 0xBB);
  assert_int_equal(o->peer_count, 2);
  assert_int_equal(o->peer[0].role, XML_PEER_SELF);
  assert_int_equal(o->peer[0].peer.incarnation, 3);
  assert_int_equal(o->peer[0].peer.at.transport, TRANSPORT_TCP);
  assert_int_equal(o->peer[1].role, XML_PEER_SUBJECT);
  assert_int_equal(o->peer[1].peer.at.family, 6);
  assert_int_equal(o->peer[1].peer.at.port, 5070);
  assert_int_equal(o->peer[1].peer.at.transport, TRANSPORT_UDP);
}

/* elements of our own namespace are not recognised without it. */
static void test_overlay_needs_its_namespace(void **state) {
  struct fixture *f = *state;
  read_ok(f,
          "<methodCall><methodName>overlay.ping</methodName><params><param><overlay><self id='x'/>"
          "</overlay></param></params></methodCall>");
  assert_false(f->body.overlay.present);
}

/* with all they hold, even where it would mean something elsewhere. */
static void test_unknown_is_ignored(void **state) {
  struct fixture *f = *state;
  read_ok(f,
          "<methodCall later='yes'><methodName>get</methodName><extra><dhtRecord/></extra>noise"
          "<params><param><x:dhtRecord xmlns:x='urn:other'><key>no</key></x:dhtRecord>"
          "<dhtRecord id='1'><key>k</key><Signature><key>inner</key></Signature></dhtRecord>"
          "</param></params></methodCall>");
  assert_int_equal(f->body.record_count, 1);
  assert_slice(f->body.record[0].key_text, "k");
}

static void test_method_names(void **state) {
  struct fixture *f = *state;
  read_ok(f, "<methodCall><methodName>stir</methodName></methodCall>");
  assert_int_equal(f->body.method, XML_METHOD_UNKNOWN);
  assert_slice(f->body.method_name, "stir");
  read_ok(f, "<methodCall><methodName>remove</methodName></methodCall>");
  assert_int_equal(f->body.method, XML_REMOVE_AUTH);
  assert_string_equal(xml_method_name(XML_REMOVE_AUTH), "remove-auth");
  assert_string_equal(xml_method_name(XML_PUT_AUTH), "put-auth");
  assert_string_equal(xml_method_name(XML_OVERLAY_TRACE), "overlay.trace");
  assert_string_equal(xml_method_name(XML_METHOD_UNKNOWN), "unknown");
}

static void test_no_memory(void **state) {
  struct test_memory m;
  (void)state;
  test_memory_init(&m, 0);
  assert_null(xml_reader_new(&m.memory, 1));
  xml_reader_free(NULL);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_figure_1_as_printed),
      TEST(test_figure_1_corrected),
      TEST(test_with_namespaces_and_prefixes),
      TEST(test_exact_bytes_of_a_put),
      TEST(test_escaped_string),
      TEST(test_base64_and_untyped_value),
      TEST(test_answers),
      TEST(test_faults),
      TEST(test_overlay_part),
      TEST(test_overlay_needs_its_namespace),
      TEST(test_unknown_is_ignored),
      TEST(test_method_names),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
