/* SPDX-License-Identifier: BSD-2-Clause */
/* Records on their own, and the contacts in them,
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/openssl.h"
#include "sim/record_model.h"
#include "support/memory.h"
#include "support/records.h"
#include "xml/body.h"

struct fixture {
  struct test_memory memory;
  struct xml_reader *reader;
  struct xml_record record;
  struct contact contact[CONTACTS_MAX];
  unsigned contact_count;
  const char *why;
};

static int setup(void **state) {
  static struct fixture f;
  test_memory_init(&f.memory, TEST_MEMORY_UNLIMITED);
  f.reader = xml_reader_new(&f.memory.memory, 1);
  *state = &f;
  return f.reader == NULL;
}
static int teardown(void **state) {
  struct fixture *f = *state;
  xml_reader_free(f->reader);
  return f->memory.blocks != 0;
}
static void assert_slice(struct slice s, const char *expected) {
  if (!slice_equal(s, slice_cstr(expected)))
    fail_msg("\"%.*s\", expected \"%s\"", SLICE_FMT(s), expected);
}

static const struct key owner = {
    {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}};
#define T0 ((msec_wall)1777636800000)

static struct slice write_record(struct buf *unsigned_text, struct buf *out,
                                 const struct xml_record_new *n) {
  xml_put_record(unsigned_text, n);
  struct crypto crypto;
  crypto_openssl(&crypto);
  assert_int_equal(record_model_sign(&crypto, &owner, buf_slice(unsigned_text), out), OK);
  crypto_openssl_free(&crypto);
  assert_false(unsigned_text->overflow || out->overflow);
  return buf_slice(out);
}

/* byte for byte. */
static void test_written_form(void **state) {
  struct fixture *f = *state;
  char a[2048], b[4096];
  struct buf ua = buf_over(a, sizeof a), ub = buf_over(b, sizeof b);
  struct slice bytes =
      write_record(&ua, &ub,
                   &(struct xml_record_new){.key_text = SLICE("sip:bob@biloxi.example.com"),
                                            .nonce = SLICE("5D0C"),
                                            .expires = T0,
                                            .floor = T0,
                                            .version = 455500000000000,
                                            .value = SLICE("<x></x>")});
  char text[] = TEST_RECORD("sip:bob@biloxi.example.com", "2026-05-01T12:00:00.000Z", "5D0C",
                            "2026-05-01T12:00:00.000Z", "455500000000000", "<x></x>");
  struct crypto crypto;
  crypto_openssl(&crypto);
  test_sign_records(&crypto, text, sizeof text - 1);
  crypto_openssl_free(&crypto);
  assert_slice(bytes, text);
  assert_int_equal(xml_record_read(f->reader, bytes, &f->record, &f->why), OK);
  assert_true(f->record.bytes.at == b && f->record.bytes.len == bytes.len);
  assert_slice(f->record.value, "<x></x>");
  assert_int_equal(xml_record_check(&f->record, &f->why), OK);
}

static void test_removal(void **state) {
  struct fixture *f = *state;
  char a[2048], b[4096];
  struct buf ua = buf_over(a, sizeof a), ub = buf_over(b, sizeof b);
  struct slice bytes =
      write_record(&ua, &ub,
                   &(struct xml_record_new){.key_text = SLICE("sip:bob@biloxi.example.com"),
                                            .nonce = SLICE("5D0C"),
                                            .expires = T0,
                                            .floor = T0,
                                            .version = 9,
                                            .removed = true,
                                            .value_digest = SLICE("2jmj7l5rSw0yVb/vlWAYkK/YBwk=")});
  assert_int_equal(xml_record_read(f->reader, bytes, &f->record, &f->why), OK);
  assert_true(f->record.removed);
  assert_slice(f->record.value_digest, "2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
  assert_int_equal(xml_record_check(&f->record, &f->why), OK);
}

static void test_identify(void **state) {
  struct fixture *f = *state;
  struct crypto crypto;
  crypto_openssl(&crypto);
  char a[2048], b[4096];
  struct buf ua = buf_over(a, sizeof a), ub = buf_over(b, sizeof b);
  struct slice bytes =
      write_record(&ua, &ub,
                   &(struct xml_record_new){.key_text = SLICE("sips:bob@Biloxi.example.com"),
                                            .nonce = SLICE("n"),
                                            .expires = T0,
                                            .floor = T0 + 1,
                                            .version = 9});
  assert_int_equal(xml_record_read(f->reader, bytes, &f->record, &f->why), OK);
  struct record r;
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf canonical = buf_over(text, sizeof text);
  assert_int_equal(xml_record_identify(&crypto, &f->record, &canonical, &r, &f->why), OK);
  assert_true(slice_equal(buf_slice(&canonical), SLICE("sip:bob@biloxi.example.com")));
  struct key key, nonce = crypto_key(&crypto, SLICE("n"));
  assert_true(key_parse(SLICE("125F04C6C5BD5E1CA7BBAD060DEC34C0A38BE3A9"), &key));
  assert_true(key_equal(&r.key, &key));
  assert_true(key_equal(&r.owner, &owner));
  assert_true(key_equal(&r.nonce, &nonce));
  assert_int_equal(r.version, 9);
  assert_true(r.expires == T0 && r.floor == T0 + 1 && !r.tombstone);
  uint8_t digest[32];
  crypto.sha256(crypto.context, bytes, digest);
  assert_memory_equal(r.digest.byte, digest, KEY_BYTES);
  f->record.key_text = SLICE("sip:");
  buf_truncate(&canonical, 0);
  assert_int_equal(xml_record_identify(&crypto, &f->record, &canonical, &r, &f->why), ERR_SYNTAX);
  assert_string_equal(f->why, "key breaks the rules of its scheme");
  crypto_openssl_free(&crypto);
}

/* every part that may be missing or out of its bounds has its own phrase. */
static void test_check_names_the_part(void **state) {
  struct fixture *f = *state;
  static char big[XML_RECORD_BYTES_MAX + 1];
  memset(big, 'n', sizeof big);
  const struct xml_record good = {.key_text = SLICE("k"),
                                  .has_value = true,
                                  .nonce = SLICE("n"),
                                  .expires = 5,
                                  .floor = 5,
                                  .version = 1,
                                  .has_owner = true};
  assert_int_equal(xml_record_check(&good, &f->why), OK);
#define WRONG(change, error, phrase)                        \
  do {                                                      \
    struct xml_record r = good;                             \
    change;                                                 \
    f->why = NULL;                                          \
    assert_int_equal(xml_record_check(&r, &f->why), error); \
    assert_string_equal(f->why, phrase);                    \
  } while (0)
  WRONG(r.key_text.len = 0, ERR_SYNTAX, "dhtRecord without key");
  WRONG(r.has_value = false, ERR_SYNTAX, "dhtRecord without value");
  WRONG(r.nonce.len = 0, ERR_SYNTAX, "value without nonce");
  WRONG(r.nonce = SLICE("a b"), ERR_SYNTAX, "nonce is not a token");
  WRONG(r.expires = 0, ERR_SYNTAX, "value without expires");
  WRONG(r.version = 0, ERR_SYNTAX, "value without o:version");
  WRONG(r.floor = 0, ERR_SYNTAX, "value without o:floor");
  WRONG(r.floor = 4, ERR_SYNTAX, "o:floor is before expires");
  WRONG(r.has_owner = false, ERR_SYNTAX, "dhtRecord without owner");
  WRONG((r.removed = true, r.floor = 6), ERR_SYNTAX, "removal whose expires is not its o:floor");
  WRONG(r.removed = true, ERR_SYNTAX, "removal without DigestValue");
  WRONG(r.nonce = slice_of(big, 129), ERR_LIMIT, "nonce longer than 128 bytes");
  WRONG(r.value = slice_of(big, 16385), ERR_LIMIT, "value larger than 16384 bytes");
  WRONG(r.bytes = slice_of(big, 20481), ERR_LIMIT, "dhtRecord larger than 20480 bytes");
  struct xml_record at_bound = good;
  at_bound.nonce = slice_of(big, 128);
  at_bound.value = slice_of(big, 16384);
  at_bound.bytes = slice_of(big, 20480);
  assert_int_equal(xml_record_check(&at_bound, &f->why), OK);
}

static void test_not_a_record(void **state) {
  struct fixture *f = *state;
  assert_int_equal(xml_record_read(f->reader, SLICE("<key>a</key>"), &f->record, &f->why),
                   ERR_SYNTAX);
  assert_string_equal(f->why, "root is not dhtRecord");
  assert_int_equal(xml_record_read(f->reader, SLICE_EMPTY, &f->record, &f->why), ERR_SYNTAX);
  assert_string_equal(f->why, "body is empty");
}

/* ---- contacts ---- */

static void read_contacts(struct fixture *f, const char *text) {
  if (xml_contacts_read(f->reader, slice_cstr(text), f->contact, &f->contact_count, &f->why) != OK)
    fail_msg("%s", f->why);
}

static void test_contact_written_and_read(void **state) {
  struct fixture *f = *state;
  char text[1024], a[2048], b[4096];
  struct buf value = buf_over(text, sizeof text);
  struct buf ua = buf_over(a, sizeof a), ub = buf_over(b, sizeof b);
  const struct contact contact = {
      .uri = SLICE("sip:bob@192.0.2.4;x=\"&\""),
      .path = {SLICE("<sip:p1.example.net;lr>"), SLICE("\"a, \\\"b\" <sip:p2,x@example.net;lr>")},
      .path_count = 2,
      .instance = SLICE("<urn:uuid:1>"),
      .reg_id = 2,
      .q_permille = 50,
      .expires = T0};
  xml_put_contact_value(&value, &contact);
  struct slice bytes =
      write_record(&ua, &ub,
                   &(struct xml_record_new){.key_text = SLICE("sip:bob@example.net"),
                                            .nonce = SLICE("n"),
                                            .expires = T0,
                                            .floor = T0,
                                            .version = 1,
                                            .value = buf_slice(&value)});
  /* from the record, and from its value alone */
  for (unsigned i = 0; i < 2; i++) {
    const struct slice from = i == 0 ? bytes : buf_slice(&value);
    assert_int_equal(xml_contacts_read(f->reader, from, f->contact, &f->contact_count, &f->why),
                     OK);
    assert_int_equal(f->contact_count, 1);
    const struct contact *c = &f->contact[0];
    assert_slice(c->uri, "sip:bob@192.0.2.4;x=\"&\"");
    assert_slice(c->instance, "<urn:uuid:1>");
    assert_int_equal(c->reg_id, 2);
    assert_int_equal(c->q_permille, 50);
    assert_true(c->expires == T0);
    assert_int_equal(c->path_count, 2);
    assert_slice(c->path[0], "<sip:p1.example.net;lr>");
    assert_slice(c->path[1], "\"a, \\\"b\" <sip:p2,x@example.net;lr>");
  }
}

/* As draft-singh-p2p-sip-01 prints them. */
static void test_contacts_of_others(void **state) {
  struct fixture *f = *state;
  read_contacts(f,
                "<contacts xmlns='urn:ietf:params:xml:ns:p2p-sip'><contact displayName='Bob' "
                "priority='0.7' user='x'> sip:bob@192.1.2.3:5060 </contact>"
                "<contact>sip:bob@192.1.2.4</contact></contacts>");
  assert_int_equal(f->contact_count, 2);
  assert_slice(f->contact[0].uri, "sip:bob@192.1.2.3:5060");
  assert_int_equal(f->contact[0].q_permille, 700);
  assert_int_equal(f->contact[1].q_permille, 1000);
  assert_int_equal(f->contact[1].reg_id, 0);
  read_contacts(f, "<string>sip:alice@192.1.2.3:5060</string>");
  assert_int_equal(f->contact_count, 1);
  assert_slice(f->contact[0].uri, "sip:alice@192.1.2.3:5060");
  read_contacts(f, "plain text");
  assert_int_equal(f->contact_count, 0);
}

static void bad_contacts(struct fixture *f, const char *text, enum err expected, const char *why) {
  f->why = NULL;
  enum err err =
      xml_contacts_read(f->reader, slice_cstr(text), f->contact, &f->contact_count, &f->why);
  assert_int_equal(err, expected);
  assert_string_equal(f->why, why);
  assert_int_equal(f->contact_count, 0);
}

static void test_bad_contacts(void **state) {
  struct fixture *f = *state;
  static const char *const q[] = {"1.001", "2", "-1", "0.1234", "", ".", "0.x", "1.5"};
  for (unsigned i = 0; i < sizeof q / sizeof *q; i++) {
    char text[128];
    struct buf out = buf_over(text, sizeof text);
    buf_put_cstr(&out, "<contacts><contact priority='");
    buf_put_cstr(&out, q[i]);
    buf_put_cstr(&out, "'>sip:a@b</contact></contacts>");
    buf_put_char(&out, 0);
    bad_contacts(f, text, ERR_SYNTAX, "priority of a contact is not a number from 0 to 1");
  }
  bad_contacts(f, "<contacts><contact/></contacts>", ERR_SYNTAX, "contact without a URI");
  bad_contacts(f, "<contacts><contact expires='soon'>a</contact></contacts>", ERR_SYNTAX,
               "expires of a contact is not a dateTime in UTC");
  bad_contacts(f, "<contacts><contact o:reg-id='x'>a</contact></contacts>", ERR_SYNTAX,
               "o:reg-id of a contact is not a number below 2^32");
  bad_contacts(f, "<contacts><contact o:path='a,b,c,d,e'>a</contact></contacts>", ERR_LIMIT,
               "contact with more than 4 Path values");
  bad_contacts(f, "</value><value>", ERR_SYNTAX, "something follows the root element");
}

static void test_contacts_at_the_bound(void **state) {
  struct fixture *f = *state;
  for (unsigned count = CONTACTS_MAX; count <= CONTACTS_MAX + 1; count++) {
    char text[4096];
    struct buf out = buf_over(text, sizeof text);
    buf_put_cstr(&out, "<contacts>");
    for (unsigned i = 0; i < count; i++) buf_put_cstr(&out, "<contact>sip:a@b</contact>");
    buf_put_cstr(&out, "</contacts>");
    buf_put_char(&out, 0);
    if (count == CONTACTS_MAX) {
      read_contacts(f, text);
      assert_int_equal(f->contact_count, CONTACTS_MAX);
    } else {
      bad_contacts(f, text, ERR_LIMIT, "more than 32 contacts");
    }
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_written_form),         TEST(test_removal),      TEST(test_identify),
      TEST(test_check_names_the_part), TEST(test_not_a_record), TEST(test_contact_written_and_read),
      TEST(test_contacts_of_others),   TEST(test_bad_contacts), TEST(test_contacts_at_the_bound),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
