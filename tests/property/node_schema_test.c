/* SPDX-License-Identifier: BSD-2-Clause */
/* Every body that nodes write in the life of a ring, calls, answers and faults, is valid against
 * docs/spec/locser.rng; and no method goes unseen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <cmocka.h>

#include "base/immutable.h"
#include "base/succession.h"
#include "crypto/seal.h"
#include "support/records.h"
#include "support/world.h"
#include "xml/body.h"

#define METHODS (XML_OVERLAY_TRACE + 1)

static struct net net;
static xmlRelaxNGPtr schema;
static struct seen {
  unsigned calls[METHODS], answers, records, faults, pages, parts, items, signed_ones, immutable;
  unsigned certificates, statements, sealed;
} seen;

static int begin(void **state) {
  (void)state;
  xmlRelaxNGParserCtxtPtr parser = xmlRelaxNGNewParserCtxt(SOURCE_DIR "/docs/spec/locser.rng");
  schema = parser == NULL ? NULL : xmlRelaxNGParse(parser);
  xmlRelaxNGFreeParserCtxt(parser);
  return schema == NULL;
}

static int finish(void **state) {
  (void)state;
  xmlRelaxNGFree(schema);
  return 0;
}

static bool is_valid(struct slice body) {
  xmlDocPtr doc = xmlReadMemory(body.at, (int)body.len, "body", NULL, XML_PARSE_NONET);
  if (doc == NULL) return false;
  xmlRelaxNGValidCtxtPtr context = xmlRelaxNGNewValidCtxt(schema);
  bool valid = context != NULL && xmlRelaxNGValidateDoc(context, doc) == 0;
  xmlRelaxNGFreeValidCtxt(context);
  xmlFreeDoc(doc);
  return valid;
}

/* A statement is a record too, though it travels in base64. */
static void note_value(struct slice value) {
  uint8_t bytes[SUCCESSION_BYTES_MAX];
  size_t len = sizeof bytes;
  struct slice before = succession_find(value);
  seen.certificates += slice_starts(value, SLICE("<o:since>"));
  seen.sealed += slice_starts(value, SLICE("<EncryptedData "));
  if (before.len == 0) return;
  assert_true(base64_decode(before, bytes, &len));
  if (!is_valid(slice_of(bytes, len))) fail_msg("not valid: %.*s", (int)len, (char *)bytes);
  seen.statements++;
}

static void note(struct net *w, const struct xml_body *body) {
  if (body->call) seen.calls[body->method]++;
  if (!body->call && !body->fault) seen.answers++;
  seen.faults += body->fault;
  seen.records += body->record_count > 0 && !body->call;
  seen.pages += body->overlay.has_after;
  seen.parts += body->sync.part_count > 0;
  seen.items += body->sync.item_count > 0;
  for (unsigned i = 0; i < body->record_count; i++) {
    seen.immutable += body->record[i].immutable;
    note_value(body->record[i].value);
    seen.signed_ones += body->record[i].has_value && !body->record[i].immutable;
  }
  (void)w;
}

static void check(struct net *w, uint32_t node, const struct output *out) {
  static struct xml_body body;
  const char *why = NULL;
  (void)node;
  struct slice text = out->data;
  size_t at = slice_find(text, SLICE("\r\n\r\n"));
  text = slice_skip(text, at + 4);
  if (text.len == 0 || slice_find(out->data, SLICE("text/xml")) > at) return;
  if (!is_valid(text)) fail_msg("not valid: %.*s", SLICE_FMT(text));
  assert_int_equal(xml_body_read(w->xml, text, &body, &why), OK);
  note(w, &body);
}

static void kill_restart(uint32_t i) {
  net_kill(&net, i, false);
  net_run_for(&net, SEC(60));
  net_restart(&net, i);
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
}

static void ask(enum node_command_kind kind, const char *uri, bool trace) {
  const struct node_command command = {
      .kind = kind, .uri = slice_cstr(uri), .contact = SLICE("sip:x@192.0.2.4"), .trace = trace};
  (void)net_command(&net, net_runs(&net, 1) ? 1 : 2, &command, SEC(12));
}

/* What no peer writes of itself: a stranger's bodies draw faults, and pages. */
static void talk(const char *target, const char *body) {
  static unsigned number;
  static char message[8192];
  struct endpoint from = net_stranger("203.0.113.9:40001", TRANSPORT_TCP);
  uint32_t flow = net_connect(&net, 0, &from);
  int len = snprintf(message, sizeof message,
                     "LOCSER sip:a@a.example SIP/2.0\r\nVia: SIP/2.0/TCP 203.0.113.9:40001;"
                     "branch=z9hG4bKs%u\r\nFrom: <sip:a@a.example>;tag=1\r\nTo: <sip:a@a.example>"
                     "\r\nCall-ID: s%u\r\nCSeq: 1 LOCSER\r\nMax-Forwards: 70\r\nOverlay-Key: %s\r\n"
                     "Content-Type: text/xml\r\nContent-Length: %zu\r\n\r\n%s",
                     number, number, target, strlen(body), body);
  number++;
  net_inject(&net, 0, flow, &from, slice_of(message, (size_t)len));
  net_run_for(&net, SEC(1));
}

#define CALL(method, params) \
  "<methodCall><methodName>" method "</methodName><params>" params "</params></methodCall>"

static void draw_faults(void) {
  char direct[100], hex[KEY_HEX + 1] = "";
  struct buf out = buf_over(hex, KEY_HEX);
  key_put(&out, &net.at[0].config.id);
  snprintf(direct, sizeof direct, "%s;direct", hex);
  talk(hex, CALL("nonsense", ""));
  talk(hex, "<methodCall>&lt;");
  talk(hex, CALL("put", "<param><dhtRecord><key>&lt;&amp;\"</key></dhtRecord></param>"));
  talk(hex, CALL("get-auth", "<param><dhtRecord><key>a</key></dhtRecord></param>"));
  talk(direct, CALL("overlay.join", ""));
  talk(direct, CALL("overlay.replicate", ""));
  talk(direct, CALL("overlay.sync", ""));
  talk("0000000000000000000000000000000000000001;direct", CALL("overlay.ping", ""));
}

static const char *hex_of(const struct key *key) {
  static char text[2][KEY_HEX + 1];
  static unsigned turn;
  char *at = text[turn++ % 2];
  struct buf out = buf_over(at, KEY_HEX);
  key_put(&out, key);
  return at;
}

/* The records of one key, of which the asker knows nothing. */
static void draw_items(void) {
  char direct[100], body[1000];
  snprintf(direct, sizeof direct, "%s;direct", hex_of(&net.at[0].config.id));
  for (unsigned i = 0; i < net.at[0].journal_count && i < 5; i++) {
    struct key key = net.at[0].journal[i].key, before = key;
    unsigned byte = KEY_BYTES;
    while (before.byte[--byte]-- == 0) assert_true(byte > 0);
    snprintf(body, sizeof body,
             CALL("overlay.sync",
                  "<param><overlay xmlns=\"urn:ietf:params:xml:ns:p2p-sip:overlay\" "
                  "until=\"2026-05-01T12:30:00.000Z\"><part after=\"%s\" upto=\"%s\"/></overlay>"
                  "</param>"),
             hex_of(&before), hex_of(&key));
    talk(direct, body);
  }
}

/* Certificates, a key that follows another, and keys under seal. */
static void draw_certificates(void) {
  char memory[SEAL_BYTES_MAX];
  struct buf sealed = buf_over(memory, sizeof memory);
  struct seal_recipient to = {net.at[9].config.id, EVP_RSA_gen(3072)};
  assert_int_equal(seal_make(&to, 1, SLICE("keys"), &sealed), OK);
  EVP_PKEY_free(to.key);
  (void)net_succeed(&net, 9, SLICE("sip:u3@example.net"));
  const struct node_command commands[] = {
      {.kind = COMMAND_PUBLISH, .uri = SLICE("sip:u3@example.net")},
      {.kind = COMMAND_STORE, .uri = SLICE("private:u3@example.net"), .value = buf_slice(&sealed)}};
  for (unsigned i = 0; i < 2; i++)
    assert_int_equal(net_command(&net, 9, &commands[i], SEC(12))->code, 200);
  ask(COMMAND_FETCH, "certificate:u3@example.net", false);
  ask(COMMAND_FETCH, "private:u3@example.net", false);
}

static void test_life_of_a_ring(void **state) {
  (void)state;
  char uri[64], contact[64];
  memset(&seen, 0, sizeof seen);
  assert_false(is_valid(SLICE("<methodCall><methodName>get</methodName></methodCall>")));
  net_open(&net, 11);
  net.config.policy = NODE_OPEN;
  net.on_send = check;
  for (unsigned i = 0; i < 20; i++) {
    net_add(&net, NULL, i == 0 ? NET_NONE : 0);
    net_run_for(&net, SEC(2));
  }
  assert_true(net_run_while(&net, net_is_ready, MSEC(500), SEC(120)));
  for (unsigned i = 0; i < 60; i++) {
    snprintf(uri, sizeof uri, "sip:u%u@example.net", i / 3);
    snprintf(contact, sizeof contact, "sip:u%u@192.0.2.%u;a=\"<&>\"", i, i);
    (void)net_put(&net, i % 20, uri, contact);
    snprintf(contact, sizeof contact, "value %u", i);
    const struct node_command put = {.kind = COMMAND_PUT_IMMUT, .value = slice_cstr(contact)};
    (void)net_command(&net, i % 20, &put, SEC(12));
  }
  for (unsigned i = 0; i < 40; i++) { /* more than fit into one answer */
    snprintf(contact, sizeof contact, "sip:many@192.0.2.%u", i);
    (void)net_put(&net, i % 20, "offline:many@example.net", contact); /* anybody may */
  }
  ask(COMMAND_GET, "offline:many@example.net", false);
  ask(COMMAND_GET, "sip:u3@example.net", false);
  ask(COMMAND_GET, "sip:nobody@example.net", false);
  ask(COMMAND_GET_IMMUT, "immut:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
      false);
  ask(COMMAND_LOOKUP, "sip:u3@example.net", false);
  ask(COMMAND_LOOKUP, "sip:u3@example.net", true);
  (void)net_put(&net, 2, "sip:x@example.net", "sip:x@192.0.2.4");
  const struct node_command removal = {.kind = COMMAND_REMOVE,
                                       .uri = SLICE("sip:x@example.net"),
                                       .contact = SLICE("sip:x@192.0.2.4")};
  assert_int_equal(net_command(&net, 2, &removal, SEC(12))->code, 200);
  draw_certificates();
  draw_faults();
  draw_items();
  kill_restart(5);
  kill_restart(9);
  net_run_for(&net, SEC(200)); /* comparing what is held */
  const struct node_command leave = {.kind = COMMAND_LEAVE};
  (void)net_command(&net, 7, &leave, SEC(60));
  net_kill(&net, 7, false);
  net_run_for(&net, SEC(60));
  static const enum xml_method expected[] = {
      XML_GET,
      XML_PUT_AUTH,
      XML_REMOVE_AUTH,
      XML_PUT_IMMUT,
      XML_GET_IMMUT,
      XML_OVERLAY_JOIN,
      XML_OVERLAY_LEAVE,
      XML_OVERLAY_NEIGHBORS,
      XML_OVERLAY_NOTIFY,
      XML_OVERLAY_UPDATE,
      XML_OVERLAY_PING,
      XML_OVERLAY_ROUTE,
      XML_OVERLAY_TRACE,
      XML_OVERLAY_REPLICATE,
      XML_OVERLAY_SYNC,
  };
  for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++)
    if (seen.calls[expected[i]] == 0) fail_msg("%s was never sent", xml_method_name(expected[i]));
  const struct {
    const char *name;
    unsigned count, least;
  } kinds[] = {
      {"answers", seen.answers, 100},
      {"answers with records", seen.records, 2},
      {"faults", seen.faults, 8},
      {"pages", seen.pages, 1},
      {"parts", seen.parts, 1},
      {"items", seen.items, 1},
      {"signed", seen.signed_ones, 60},
      {"immutable", seen.immutable, 60},
      {"certificates", seen.certificates, 20},
      {"statements", seen.statements, 2},
      {"sealed", seen.sealed, 2},
  };
  for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (kinds[i].count < kinds[i].least) fail_msg("%u %s", kinds[i].count, kinds[i].name);
  assert_true(net_close(&net));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_life_of_a_ring)};
  return cmocka_run_group_tests(tests, begin, finish);
}
