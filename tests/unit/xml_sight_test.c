/* SPDX-License-Identifier: BSD-2-Clause */
/* A `get`, `put-auth` or `remove-auth`, an answer of records and a contact that are known at sight
 * read as expat reads them; anything that is nearly one is left to expat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/memory.h"
#include "support/records.h"
#include "xml/body.h"
#include "xml/reader.h"
#include "xml/sight.h"

static struct slice write_get(struct buf *out, struct slice key_text) {
  char text[4096];
  struct buf query = buf_over(text, sizeof text);
  xml_put_query(&query, key_text, NULL);
  struct slice record = buf_slice(&query);
  buf_reset(out);
  xml_put_call(out, XML_GET, &record, 1, NULL);
  assert_false(out->overflow);
  return buf_slice(out);
}

/* The same document with a space where it changes nothing. */
static struct slice loosen(struct buf *out, struct slice body) {
  size_t call = slice_find(body, SLICE("</methodCall>"));
  size_t at = call < body.len ? call : slice_find(body, SLICE("</methodResponse>"));
  buf_reset(out);
  buf_put(out, slice_first(body, at));
  buf_put_char(out, ' ');
  buf_put(out, slice_skip(body, at));
  assert_false(out->overflow);
  return buf_slice(out);
}

static void assert_same_slice(struct slice a, struct slice b) {
  assert_int_equal(a.len, b.len);
  assert_memory_equal(a.at, b.at, a.len);
}

static void known_at_sight_reads_as_expat_reads_it(void **state) {
  static const char *const keys[] = {"sip:bob@example.com", "sip:o'neil\"@a.b", "tel:+1-201", "x"};
  (void)state;
  static struct xml_body sight, expat;
  static char a[8192], b[8192];
  struct buf tight_text = buf_over(a, sizeof a), loose_text = buf_over(b, sizeof b);
  struct test_memory memory;
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  struct xml_reader *reader = xml_reader_new(&memory.memory, 1);
  const char *why = NULL;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    struct slice tight = write_get(&tight_text, slice_cstr(keys[i]));
    struct slice loose = loosen(&loose_text, tight);
    memset(&sight, 0xa5, sizeof sight);
    memset(&expat, 0xa5, sizeof expat);
    assert_false(sight_read(loose, &expat));
    assert_int_equal(xml_body_read(reader, loose, &expat, &why), OK);
    assert_int_equal(xml_body_read(reader, tight, &sight, &why), OK);
    assert_true(sight.call && expat.call);
    assert_int_equal(sight.method, expat.method);
    assert_same_slice(sight.method_name, expat.method_name);
    assert_int_equal(sight.record_count, expat.record_count);
    assert_same_slice(sight.record[0].bytes, expat.record[0].bytes);
    assert_same_slice(sight.record[0].key_text, expat.record[0].key_text);
    assert_false(sight.record[0].has_owner || sight.record[0].has_value || sight.record[0].removed);
    assert_false(sight.fault || sight.has_boolean || sight.overlay.present ||
                 sight.overlay.has_after || sight.overlay.has_range);
    assert_int_equal(sight.overlay.peer_count, 0);
  }
  xml_reader_free(reader);
}

static void plain_keys_are_known_at_sight(void **state) {
  static struct xml_body body;
  static char a[8192];
  (void)state;
  struct buf text = buf_over(a, sizeof a);
  assert_true(sight_read(write_get(&text, SLICE("sip:bob@example.com")), &body));
}

static void what_needs_a_parser_is_left_to_it(void **state) {
  static const char *const keys[] = {"sip:a&b@c", "a<b", "a b",  " a",
                                     "a\n",       "",    "\x7f", "\xc3\xa9"};
  static struct xml_body body;
  static char a[8192], long_key[XML_KEY_BYTES_MAX + 1];
  (void)state;
  struct buf text = buf_over(a, sizeof a);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    assert_false(sight_read(write_get(&text, slice_cstr(keys[i])), &body));
  memset(long_key, 'k', sizeof long_key);
  assert_false(sight_read(write_get(&text, slice_of(long_key, sizeof long_key)), &body));
  struct slice whole = write_get(&text, SLICE("sip:bob@example.com"));
  for (size_t len = 0; len < whole.len; len++)
    assert_false(sight_read(slice_first(whole, len), &body));
  for (size_t i = 0; i < whole.len; i++) { /* a changed byte, but in the key, is another body */
    a[i] ^= 1;
    if (sight_read(whole, &body)) assert_non_null(memchr("sip:bob@example.com", a[i] ^ 1, 19));
    a[i] ^= 1;
  }
}

/* ---- writes ---- */

#define CONTACT(attributes, text)                                                   \
  "<contacts xmlns=\"urn:ietf:params:xml:ns:p2p-sip\"><contact" attributes ">" text \
  "</contact></contacts>"
#define BEFORE "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodCall><methodName>"
#define AFTER "</param></params></methodCall>"
#define PUT(content)                                                                    \
  BEFORE "put-auth</methodName><params><param>" TEST_RECORD(                            \
      "sip:bob@example.com", "2026-05-01T12:00:00.000Z", "A1'", "2026-05-01T13:00:00Z", \
      "455500000000000", content) AFTER
#define REMOVE(digest)                                                                 \
  BEFORE "remove-auth</methodName><params><param>" TEST_RECORD_HEAD(                   \
      "sip:bob@example.com", "2026-05-01T12:00:00.000Z", "A1", "2026-05-01T12:00:00Z", \
      " o:removed=\"true\"", "455500000000001") "<DigestValue>" digest                 \
                                                "</DigestValue>" TEST_RECORD_TAIL AFTER

static const char plain_put[] = PUT(CONTACT(" priority=\"0.7\"", "sip:bob@192.0.2.4:5060"));
static const char removal[] = REMOVE("2jmj7l5rSw0yVb/vlWAYkK/YBwk=");

#define RECORD(nonce, content)                                                                  \
  TEST_RECORD("sip:bob@example.com", "2026-05-01T12:00:00.000Z", nonce, "2026-05-01T13:00:00Z", \
              "455500000000000", content)
#define ANSWER(records)                                                         \
  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodResponse><params><param>" \
  "<dhtRecords xmlns=\"" XML_NS_DHT "\">" records                               \
  "</dhtRecords></param></params></methodResponse>"
static const char answer[] = ANSWER(RECORD("A1", CONTACT("", "sip:bob@192.0.2.4")));

static void assert_same_record(const struct xml_record *a, const struct xml_record *b) {
  assert_same_slice(a->bytes, b->bytes);
  assert_same_slice(a->key_text, b->key_text);
  assert_same_slice(a->value, b->value);
  assert_same_slice(a->value_digest, b->value_digest);
  assert_same_slice(a->nonce, b->nonce);
  assert_same_slice(a->key_hash, b->key_hash);
  assert_true(a->has_value && b->has_value && a->has_owner && b->has_owner);
  assert_true(a->removed == b->removed && a->version == b->version);
  assert_true(a->expires == b->expires && a->floor == b->floor);
  assert_true(key_equal(&a->owner, &b->owner) && key_equal(&a->signer, &b->signer));
}

/* False: it is not known at sight. */
static bool reads_as_expat_does(struct xml_reader *reader, struct slice tight) {
  static struct xml_body sight, expat;
  static char text[8192];
  struct buf loose_text = buf_over(text, sizeof text);
  const char *why = NULL;
  uint64_t parsed = xml_reader_parsed(reader);
  if (!sight_read(tight, &sight)) return false;
  assert_int_equal(xml_body_read(reader, tight, &sight, &why), OK);
  assert_int_equal(xml_reader_parsed(reader), parsed);
  struct slice loose = loosen(&loose_text, tight);
  assert_int_equal(xml_body_read(reader, loose, &expat, &why), OK);
  assert_int_equal(xml_reader_parsed(reader), parsed + 1);
  assert_true(sight.call == expat.call && sight.method == expat.method);
  if (sight.call) assert_same_slice(sight.method_name, expat.method_name);
  assert_int_equal(sight.record_count, expat.record_count);
  assert_true(sight.record_count > 0 && (sight.record_count == 1 || !sight.call));
  for (unsigned i = 0; i < sight.record_count && !(sight.call && sight.method == XML_GET); i++) {
    struct xml_record alone;
    assert_same_record(&sight.record[i], &expat.record[i]);
    assert_int_equal(xml_record_read(reader, sight.record[i].bytes, &alone, &why), OK);
    assert_same_record(&alone, &expat.record[i]);
  }
  assert_int_equal(xml_reader_parsed(reader), parsed + 1);
  assert_false(sight.fault || sight.has_boolean || sight.overlay.present);
  return true;
}

static struct xml_reader *reader_over(struct test_memory *memory) {
  test_memory_init(memory, TEST_MEMORY_UNLIMITED);
  return xml_reader_new(&memory->memory, 1);
}

static struct xml_reader *new_reader(void) {
  static struct test_memory memory;
  return reader_over(&memory);
}

static void writes_known_at_sight_read_as_expat_reads_them(void **state) {
  static const char *const known[] = {
      plain_put,
      removal,
      PUT(CONTACT("", "sip:b o?b&amp;c&gt;\"'@[::1]")),
      PUT(CONTACT(" expires=\"2026-05-01T12:00:00.000Z\" priority=\"0.5\" "
                  "o:instance=\"&lt;urn:uuid:00&gt;\" o:path=\"&lt;sip:a;lr>, &lt;sip:b>\" "
                  "o:reg-id=\"1\"",
                  "sip:bob@192.0.2.4")),
      answer,
      ANSWER(RECORD("A1", CONTACT("", "sip:bob@192.0.2.4"))
                 RECORD("A2", CONTACT(" priority=\"0.5\"", "sip:bob@192.0.2.5"))),
  };
  (void)state;
  struct xml_reader *reader = new_reader();
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    assert_true(reads_as_expat_does(reader, slice_cstr(known[i])));
  xml_reader_free(reader);
}

static void other_writes_are_left_to_expat(void **state) {
  static const char *const other[] = {
      PUT("<string>sip:bob@192.0.2.4</string>"),
      PUT(""),
      PUT(CONTACT(" priority=\"0.7\" priority=\"0.7\"", "a")),
      PUT(CONTACT(" o:reg-id=\"1\" o:path=\"a\"", "a")),
      PUT(CONTACT(" priority=\"0.7", "a")),
      PUT(CONTACT(" priority=\"<\"", "a")),
      PUT(CONTACT(" x:priority=\"1\"", "a")),
      PUT(CONTACT("", "a&b")),
      PUT(CONTACT("", "a&#65;")),
      PUT(CONTACT("", "a]]>")),
      PUT(CONTACT("", "\x01")),
      PUT(CONTACT("", "\xc3\xa9")),
      PUT(CONTACT("", "a<b/>")),
      PUT(CONTACT("", "a") "<x/>"),
      ANSWER(""),
      ANSWER(RECORD("A1", CONTACT("", "a")) "<dhtRecord/>"),
      ANSWER(RECORD("A1", CONTACT("", "a")) RECORD("A2", "<string>a</string>")),
      ANSWER(RECORD("A1", CONTACT("", "a"))) "</dhtRecord>",
      REMOVE("a b"),
      REMOVE(""),
      REMOVE("2jmj7l5rSw0yVb/vlWAYkK/YBwk=</DigestValue><DigestValue>AA=="),
  };
  static struct xml_body body;
  (void)state;
  for (size_t i = 0; i < sizeof other / sizeof *other; i++)
    assert_false(sight_read(slice_cstr(other[i]), &body));
}

/* Whatever byte is changed, and into whatever: it is left to expat, or read as expat reads it. */
static void change_every_byte(struct xml_reader *reader, const char *whole) {
  static const char into[] = "<>&'\" =;x0\t\n\x80";
  static char text[8192];
  size_t len = strlen(whole), known = 0;
  assert_true(len < sizeof text);
  memcpy(text, whole, len);
  for (size_t i = 0; i < len; i++) {
    char before = text[i];
    for (size_t k = 0; k < sizeof into; k++) { /* NUL is one of them */
      text[i] = into[k];
      known += reads_as_expat_does(reader, slice_of(text, len));
    }
    text[i] = before;
  }
  assert_true(known > 100 && known < len * sizeof into / 2);
}

static void a_changed_byte_never_makes_them_disagree(void **state) {
  (void)state;
  struct xml_reader *reader = new_reader();
  change_every_byte(reader, plain_put);
  change_every_byte(reader, removal);
  change_every_byte(reader, answer);
  xml_reader_free(reader);
}

/* ---- contacts ---- */

static void assert_same_contact(const struct contact *a, const struct contact *b) {
  assert_same_slice(a->uri, b->uri);
  assert_same_slice(a->instance, b->instance);
  assert_int_equal(a->path_count, b->path_count);
  for (unsigned i = 0; i < a->path_count; i++) assert_same_slice(a->path[i], b->path[i]);
  assert_int_equal(a->reg_id, b->reg_id);
  assert_int_equal(a->q_permille, b->q_permille);
  assert_true(a->expires == b->expires);
}

/* Reads a value, and the same with a space where it changes nothing. True: the first was read
 * without expat. */
static bool contact_reads_as_expat_does(struct xml_reader *first, struct xml_reader *second,
                                        struct slice value) {
  struct contact sight[CONTACTS_MAX], expat[CONTACTS_MAX];
  static char text[8192];
  struct buf loose = buf_over(text, sizeof text);
  unsigned count = 0, expat_count = 0;
  const char *why = NULL, *expat_why = NULL;
  size_t end = slice_find(value, SLICE("</contacts>"));
  buf_put(&loose, slice_first(value, end));
  buf_put_char(&loose, ' ');
  buf_put(&loose, slice_skip(value, end));
  uint64_t parsed = xml_reader_parsed(first), other = xml_reader_parsed(second);
  enum err err = xml_contacts_read(first, value, sight, &count, &why);
  assert_int_equal(err,
                   xml_contacts_read(second, buf_slice(&loose), expat, &expat_count, &expat_why));
  assert_int_equal(xml_reader_parsed(second), other + 1);
  assert_int_equal(count, expat_count);
  if (err != OK) assert_ptr_equal(why, expat_why);
  for (unsigned i = 0; i < count; i++) assert_same_contact(&sight[i], &expat[i]);
  return xml_reader_parsed(first) == parsed;
}

static struct xml_reader *second_reader(void) {
  static struct test_memory memory;
  return reader_over(&memory);
}

static const char full_contact[] = CONTACT(
    " expires=\"2026-05-01T12:00:00.000Z\" priority=\"0.5\" "
    "o:instance=\"&lt;urn:uuid:00&gt;\" o:path=\"&lt;sip:a;lr>, &quot;&amp;\" "
    "o:reg-id=\"1\"",
    " sip:b&amp;b@192.0.2.4 ");

static void contacts_known_at_sight_read_as_expat_reads_them(void **state) {
  static const char *const values[] = {full_contact, CONTACT("", "sip:bob@192.0.2.4"),
                                       CONTACT(" o:instance=\"\" o:path=\"\"", "a"),
                                       CONTACT(" o:path=\"a,b,c,d\"", "a")};
  (void)state;
  struct xml_reader *first = new_reader(), *second = second_reader();
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    assert_true(contact_reads_as_expat_does(first, second, slice_cstr(values[i])));
  xml_reader_free(first);
  xml_reader_free(second);
}

/* What is written so, but wrong, is refused by expat's reader, which says where. */
static void other_contacts_are_left_to_expat(void **state) {
  static const char *const values[] = {
      CONTACT("", ""),
      CONTACT("", "  "),
      CONTACT(" priority=\"\"", "a"),
      CONTACT(" priority=\"2\"", "a"),
      CONTACT(" expires=\"never\"", "a"),
      CONTACT(" o:reg-id=\"4294967296\"", "a"),
      CONTACT(" o:path=\"a,b,c,d,e\"", "a"),
      CONTACT(" o:path=\"a\" o:path=\"b\"", "a"),
      CONTACT(" priority=\"1\" expires=\"2026-05-01T12:00:00.000Z\"", "a"),
      CONTACT(" o:instance=\"&#60;\"", "a"),
      CONTACT(" o:instance=\"a\tb\"", "a"),
      CONTACT("", "&unknown;"),
      CONTACT("", "a<b/>"),
      CONTACT("", "\xc3\xa9"),
      "<contacts xmlns=\"urn:ietf:params:xml:ns:p2p-sip\"><contact>a</contact><contact>b</contact>"
      "</contacts>",
      CONTACT("", "a") CONTACT("", "b"),
  };
  (void)state;
  struct xml_reader *first = new_reader(), *second = second_reader();
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    assert_false(contact_reads_as_expat_does(first, second, slice_cstr(values[i])));
  xml_reader_free(first);
  xml_reader_free(second);
}

static void a_changed_byte_never_makes_contacts_disagree(void **state) {
  static const char others[] = "\"&<>'; \n\t\x01\x80\xc3,=/:10aZ";
  static char text[1024];
  (void)state;
  struct xml_reader *first = new_reader(), *second = second_reader();
  struct buf out = buf_over(text, sizeof text);
  buf_put_cstr(&out, full_contact);
  unsigned known = 0;
  for (size_t i = 0; i < out.len; i++) {
    char was = text[i];
    for (size_t j = 0; j < sizeof others - 1; j++) {
      text[i] = others[j];
      if (slice_find(buf_slice(&out), SLICE("</contacts>")) == out.len) continue;
      if (contact_reads_as_expat_does(first, second, buf_slice(&out))) known++;
    }
    text[i] = was;
  }
  assert_true(known > 500);
  xml_reader_free(first);
  xml_reader_free(second);
}

static void a_shorter_body_is_no_write(void **state) {
  static struct xml_body body;
  (void)state;
  for (size_t len = 0; len < sizeof plain_put - 1; len++)
    assert_false(sight_read(slice_of(plain_put, len), &body));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_at_sight_reads_as_expat_reads_it),
      cmocka_unit_test(plain_keys_are_known_at_sight),
      cmocka_unit_test(what_needs_a_parser_is_left_to_it),
      cmocka_unit_test(writes_known_at_sight_read_as_expat_reads_them),
      cmocka_unit_test(other_writes_are_left_to_expat),
      cmocka_unit_test(a_changed_byte_never_makes_them_disagree),
      cmocka_unit_test(contacts_known_at_sight_read_as_expat_reads_them),
      cmocka_unit_test(other_contacts_are_left_to_expat),
      cmocka_unit_test(a_changed_byte_never_makes_contacts_disagree),
      cmocka_unit_test(a_shorter_body_is_no_write),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
