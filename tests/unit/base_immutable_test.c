/* SPDX-License-Identifier: BSD-2-Clause */
/* The layout of an immutable value, and manifests, well formed and not (R-4.36, R-4.37, R-4.39,
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/immutable.h"
#include "base/record_layout.h"
#include "crypto/openssl.h"
#include "crypto/record_verify.h"
#include "sim/record_model.h"
#include "support/memory.h"
#include "xml/body.h"

#define HELLO "immut:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define UNTIL "2026-05-01T12:00:00.000Z"
#define HEAD "<dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\"><key>"
#define RECORD(key, expires, content) \
  HEAD key "</key><value expires=\"" expires "\">" content "</value></dhtRecord>"
#define GOOD RECORD(HELLO, UNTIL, "<base64>aGVsbG8=</base64>")

static struct crypto crypto;
static struct xml_reader *reader;
static struct test_memory memory;
static struct record_verifier *verifier;

static int begin(void **state) {
  (void)state;
  crypto_openssl(&crypto);
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  reader = xml_reader_new(&memory.memory, 1);
  verifier = record_verifier_new(16, SLICE("test"));
  return reader == NULL || verifier == NULL;
}

static int finish(void **state) {
  (void)state;
  xml_reader_free(reader);
  record_verifier_free(verifier);
  crypto_openssl_free(&crypto);
  return 0;
}

/* Would a peer take it: does the core read it, and the verifier find it good? */
static bool is_taken(struct slice record) {
  struct xml_record read;
  struct record identified;
  const char *why = NULL;
  enum err err = xml_record_read(reader, record, &read, &why);
  char text[XML_CANONICAL_BYTES_MAX];
  struct buf canonical = buf_over(text, sizeof text);
  if (err == OK) err = xml_record_identify(&crypto, &read, &canonical, &identified, &why);
  assert_true(err == OK || why != NULL);
  if (err != OK) return false;
  enum err verified = record_verify(verifier, record, &why);
  assert_int_equal(verified, record_model_verify(&crypto, record, &why));
  if (verified == OK && read.immutable)
    assert_int_equal(immutable_verify(&crypto, record, &why), OK);
  return verified == OK;
}

static void test_good(void **state) {
  struct xml_record read;
  struct record record;
  struct immutable_layout layout;
  const char *why;
  char text[400];
  struct buf out = buf_over(text, sizeof text);
  (void)state;
  char key_text[IMMUTABLE_KEY_BYTES];
  struct buf key = buf_over(key_text, sizeof key_text);
  immutable_put_key(&key, &crypto, SLICE("hello"));
  xml_put_immutable(&out, buf_slice(&key), 1777636800000, SLICE("hello"));
  assert_true(slice_equal(buf_slice(&out), SLICE(GOOD)));
  assert_true(is_taken(SLICE(GOOD)));
  assert_int_equal(immutable_layout_read(SLICE(GOOD), &layout, &why), OK);
  assert_true(slice_equal(layout.base64, SLICE("aGVsbG8=")));
  assert_int_equal(xml_record_read(reader, SLICE(GOOD), &read, &why), OK);
  assert_true(read.immutable);
  char canonical_text[XML_CANONICAL_BYTES_MAX];
  struct buf canonical = buf_over(canonical_text, sizeof canonical_text);
  assert_int_equal(xml_record_identify(&crypto, &read, &canonical, &record, &why), OK);
  struct key expected = crypto_key(&crypto, SLICE(HELLO));
  assert_true(key_equal(&record.key, &expected));
  assert_true(record_is_immutable(&record) && key_is_zero(&record.nonce));
  assert_false(record.tombstone);
  assert_true(record.version == 1777636800000 && record.expires == 1777636800000 &&
              record.floor == record.expires);
}

static void test_malformed(void **state) {
  static const char *const bad[] = {
      RECORD("immut:2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824", UNTIL,
             "<base64>aGVsbG8=</base64>"),
      RECORD("IMMUT:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", UNTIL,
             "<base64>aGVsbG8=</base64>"),
      RECORD(" " HELLO, UNTIL, "<base64>aGVsbG8=</base64>"),
      RECORD("immut:2cf24dba", UNTIL, "<base64>aGVsbG8=</base64>"),
      RECORD("immut:&#50;cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b98", UNTIL,
             "<base64>aGVsbG8=</base64>"),
      RECORD(HELLO, "2026-05-01T12:00:00Z", "<base64>aGVsbG8=</base64>"),
      RECORD(HELLO, "2026-05-01T12:00:00.00Z", "<base64>aGVsbG8=</base64>"),
      RECORD(HELLO, "", "<base64>aGVsbG8=</base64>"),
      RECORD(HELLO, "1970-01-01T00:00:00.000Z", "<base64>aGVsbG8=</base64>"),
      RECORD(HELLO, UNTIL, "<base64>aGVsbG8</base64>"),
      RECORD(HELLO, UNTIL, "<base64>aGVsbG9=</base64>"),
      RECORD(HELLO, UNTIL, "<base64>aGVs\nbG8=</base64>"),
      RECORD(HELLO, UNTIL, "<base64>aGVsbG8= </base64>"),
      RECORD(HELLO, UNTIL, "<base64>aGVsbG9v</base64>"),
      RECORD(HELLO, UNTIL, "<base64>&#97;GVsbG8=</base64>"),
      RECORD(HELLO, UNTIL, "<base64></base64>"),
      RECORD(HELLO, UNTIL, "<base64/>"),
      RECORD(HELLO, UNTIL, "<base64>aGVsbG8=</base64><base64>aGVsbG8=</base64>"),
      RECORD(HELLO, UNTIL, "<base64>aGVsbG8=</base64> "),
      RECORD(HELLO, UNTIL, "<base64><!-- --></base64>"),
      RECORD(HELLO, UNTIL, "<base64><![CDATA[aGVsbG8=]]></base64>"),
      RECORD(HELLO, UNTIL, "<string>hello</string>"),
      RECORD(HELLO, UNTIL, "hello"),
      RECORD(HELLO, UNTIL "\" nonce=\"1", "<base64>aGVsbG8=</base64>"),
      RECORD(HELLO, UNTIL,
             "<base64>aGVsbG8=</base64></value><value expires=\"" UNTIL
             "\"><base64>aGVsbG8=</base64>"),
      RECORD(HELLO "</key><key>" HELLO, UNTIL, "<base64>aGVsbG8=</base64>"),
      RECORD("sip:bob@example.net", UNTIL, "<base64>aGVsbG8=</base64>"),
      "<dhtRecord xmlns=\"urn:ietf:params:xml:ns:dht\"><key>" HELLO "</key></dhtRecord>",
  };
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (is_taken(slice_cstr(bad[i]))) fail_msg("%s", bad[i]);
}

/* A changed byte is another record, or none; only its life may change. */
static void test_every_byte(void **state) {
  static const char into[] = "<>&'\"= 0a5A\n\x80";
  char text[] = GOOD;
  struct xml_record read;
  const char *why;
  (void)state;
  size_t expires = slice_find(SLICE(GOOD), SLICE(UNTIL)), taken = 0;
  for (size_t i = 0; i < sizeof text - 1; i++) {
    char before = text[i];
    for (size_t k = 0; k < sizeof into; k++) {
      text[i] = into[k];
      if (text[i] == before || !is_taken(slice_of(text, sizeof text - 1))) continue;
      assert_in_range(i, expires, expires + sizeof UNTIL - 2);
      assert_int_equal(xml_record_read(reader, slice_of(text, sizeof text - 1), &read, &why), OK);
      taken++;
    }
    text[i] = before;
  }
  assert_true(taken > 0);
}

static void test_size(void **state) {
  static char value[IMMUTABLE_BYTES_MAX + 1], text[20000];
  (void)state;
  for (size_t len = IMMUTABLE_BYTES_MAX - 3; len <= sizeof value; len++) {
    char key_text[IMMUTABLE_KEY_BYTES];
    struct buf key = buf_over(key_text, sizeof key_text), out = buf_over(text, sizeof text);
    immutable_put_key(&key, &crypto, slice_of(value, len));
    xml_put_immutable(&out, buf_slice(&key), 1777636800000, slice_of(value, len));
    assert_false(out.overflow);
    assert_true(out.len <= RECORD_BYTES_MAX);
    assert_int_equal(is_taken(buf_slice(&out)), len <= IMMUTABLE_BYTES_MAX);
  }
}

/* ---- manifests ---- */

static struct slice write_manifest(struct buf *out, size_t total, unsigned count) {
  buf_reset(out);
  immutable_manifest_put(out, total);
  for (unsigned i = 0; i < count; i++) immutable_manifest_put_key(out, SLICE(HELLO));
  assert_false(out->overflow);
  return buf_slice(out);
}

static enum err read_manifest(struct slice value) {
  struct immutable_manifest manifest;
  const char *why = NULL;
  enum err err = immutable_manifest_read(value, &manifest, &why);
  assert_true(err == OK || why != NULL);
  return err;
}

static void test_manifest(void **state) {
  static char text[IMMUTABLE_BYTES_MAX];
  struct buf out = buf_over(text, sizeof text);
  struct immutable_manifest manifest;
  const char *why;
  (void)state;
  static const size_t totals[] = {1, IMMUTABLE_BYTES_MAX, IMMUTABLE_BYTES_MAX + 1, 30000,
                                  IMMUTABLE_TOTAL_MAX};
  static const unsigned counts[] = {1, 1, 2, 3, IMMUTABLE_FRAGMENTS_MAX};
  for (unsigned i = 0; i < 5; i++) {
    struct slice value = write_manifest(&out, totals[i], counts[i]);
    assert_true(immutable_is_manifest(value));
    assert_int_equal(immutable_manifest_read(value, &manifest, &why), OK);
    assert_int_equal(manifest.total, totals[i]);
    assert_int_equal(manifest.count, counts[i]);
    size_t sum = 0;
    for (unsigned k = 0; k < manifest.count; k++) {
      assert_true(slice_equal(immutable_manifest_key(&manifest, k), SLICE(HELLO)));
      sum += immutable_manifest_size(&manifest, k);
      assert_in_range(immutable_manifest_size(&manifest, k), 1, IMMUTABLE_BYTES_MAX);
    }
    assert_int_equal(sum, totals[i]);
    assert_int_equal(immutable_manifest_size(&manifest, manifest.count), 0);
  }
}

static void test_hostile_manifests(void **state) {
  static char text[2 * IMMUTABLE_BYTES_MAX];
  struct buf out = buf_over(text, sizeof text);
  (void)state;
  assert_int_equal(read_manifest(SLICE_EMPTY), ERR_SYNTAX);
  assert_int_equal(read_manifest(SLICE("x")), ERR_SYNTAX);
  assert_int_equal(read_manifest(SLICE("\0")), ERR_SYNTAX);
  assert_int_equal(read_manifest(SLICE("\0\0")), ERR_SYNTAX);
  assert_int_equal(read_manifest(SLICE("\0"
                                       "0")),
                   ERR_SYNTAX);
  assert_int_equal(read_manifest(SLICE("\0"
                                       "1")),
                   ERR_SYNTAX);
  assert_int_equal(read_manifest(SLICE("\0"
                                       "-1")),
                   ERR_SYNTAX);
  assert_int_equal(read_manifest(SLICE("\0"
                                       "99999999999999999999999")),
                   ERR_SYNTAX);
  assert_int_equal(read_manifest(write_manifest(&out, IMMUTABLE_TOTAL_MAX + 1, 88)), ERR_LIMIT);
  assert_int_equal(read_manifest(write_manifest(&out, 30000, 2)), ERR_SYNTAX);
  assert_int_equal(read_manifest(write_manifest(&out, 30000, 4)), ERR_SYNTAX);
  assert_int_equal(read_manifest(SLICE("\0"
                                       "01\0" HELLO)),
                   ERR_SYNTAX);
  assert_int_equal(read_manifest(SLICE("\0"
                                       "1\0" HELLO)),
                   OK);
  struct slice whole = write_manifest(&out, 30000, 3);
  for (size_t len = 0; len < whole.len; len++)
    assert_int_equal(read_manifest(slice_first(whole, len)), ERR_SYNTAX);
  for (size_t i = 0; i < whole.len; i++) { /* no byte is without meaning */
    text[i] ^= 0x40;
    assert_int_not_equal(read_manifest(whole), OK);
    text[i] ^= 0x40;
  }
}

static void test_cutting(void **state) {
  static char value[30000];
  (void)state;
  struct slice whole = slice_of(value, sizeof value);
  memset(value, 'x', sizeof value);
  assert_int_equal(immutable_fragment(whole, 0).len, 12000);
  assert_int_equal(immutable_fragment(whole, 2).len, 6000);
  assert_ptr_equal(immutable_fragment(whole, 2).at, value + 24000);
  assert_int_equal(immutable_fragment(whole, 3).len, 0);
  assert_int_equal(immutable_fragment(slice_first(whole, 24000), 2).len, 0);
  assert_false(immutable_needs_fragments(slice_first(whole, 12000)));
  assert_true(immutable_needs_fragments(slice_first(whole, 12001)));
  assert_true(immutable_needs_fragments(SLICE("\0")));
  assert_false(immutable_needs_fragments(SLICE("")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_good),       cmocka_unit_test(test_malformed),
      cmocka_unit_test(test_every_byte), cmocka_unit_test(test_size),
      cmocka_unit_test(test_manifest),   cmocka_unit_test(test_hostile_manifests),
      cmocka_unit_test(test_cutting),
  };
  return cmocka_run_group_tests(tests, begin, finish);
}
