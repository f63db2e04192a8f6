/* SPDX-License-Identifier: BSD-2-Clause */
/* Contact records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/openssl.h"
#include "sim/record_model.h"
#include "support/memory.h"
#include "usage/location.h"
#include "xml/body.h"

#define AOR SLICE("sip:bob@example.net")
#define WALL ((msec_wall)1777636800000)

/* SLICE is no constant. */
#define TEXT(literal) \
  { "" literal, sizeof(literal) - 1 }
static const struct contact phone = {.uri = TEXT("sip:bob@192.0.2.4:5060;a=\"<&>\""),
                                     .path = {TEXT("<sip:t@192.0.2.1;lr>")},
                                     .path_count = 1,
                                     .instance = TEXT("<urn:uuid:1>"),
                                     .reg_id = 2,
                                     .q_permille = 700,
                                     .expires = WALL + 3600000};

static void assert_slice(struct slice got, const char *want) {
  if (!slice_equal(got, slice_cstr(want))) fail_msg("want %s, got %.*s", want, SLICE_FMT(got));
}

static void nonce_names_the_binding(void **state) {
  (void)state;
  struct crypto crypto;
  crypto_openssl(&crypto);
  char text[256], want[64];
  struct buf out = buf_over(text, sizeof text), expected = buf_over(want, sizeof want);
  location_put_nonce(&out, &crypto, &phone);
  struct key key = crypto_key(&crypto, SLICE("<urn:uuid:1> 2"));
  key_put(&expected, &key);
  assert_true(slice_equal(buf_slice(&out), buf_slice(&expected)));
  /* Without reg-id it is the URI (RFC 5626 section 6). */
  struct contact plain = phone;
  plain.reg_id = 0;
  buf_reset(&out);
  buf_reset(&expected);
  location_put_nonce(&out, &crypto, &plain);
  key = crypto_key(&crypto, phone.uri);
  key_put(&expected, &key);
  assert_true(slice_equal(buf_slice(&out), buf_slice(&expected)));
  crypto_openssl_free(&crypto);
}

static void record_life(void **state) {
  (void)state;
  assert_int_equal(location_record_expires(WALL, 60), WALL + 600000);
  assert_int_equal(location_record_expires(WALL, 300), WALL + 600000);
  assert_int_equal(location_record_expires(WALL, 3600), WALL + 7200000);
}

static void records_are_read_back(void **state) {
  (void)state;
  struct crypto crypto;
  crypto_openssl(&crypto);
  struct test_memory memory;
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  struct xml_reader *reader = xml_reader_new(&memory.memory, 1);
  char text[4096];
  struct buf out = buf_over(text, sizeof text);
  buf_put_cstr(&out, "before");
  location_put_record(&out, &crypto, AOR, &phone, 512, WALL + 7200000, WALL + 7200001);
  assert_false(out.overflow);
  struct slice bytes = slice_skip(buf_slice(&out), 6);
  struct xml_record record;
  const char *why;
  char signed_text[8192], signed_removal[8192];
  struct buf complete = buf_over(signed_text, sizeof signed_text);
  const struct key owner = {{1}};
  assert_int_equal(record_model_sign(&crypto, &owner, bytes, &complete), OK);
  assert_int_equal(xml_record_read(reader, buf_slice(&complete), &record, &why), OK);
  assert_slice(record.key_text, "sip:bob@example.net");
  assert_int_equal(record.version, 512);
  assert_int_equal(record.expires, WALL + 7200000);
  assert_int_equal(record.floor, WALL + 7200001);
  assert_int_equal(record.nonce.len, KEY_HEX);
  assert_false(record.removed);
  struct slice value = record.value; /* lies in bytes */
  struct contact contacts[CONTACTS_MAX];
  unsigned count = 0;
  assert_int_equal(xml_contacts_read(reader, value, contacts, &count, &why), OK);
  assert_int_equal(count, 1);
  assert_slice(contacts[0].uri, "sip:bob@192.0.2.4:5060;a=\"<&>\"");
  assert_slice(contacts[0].path[0], "<sip:t@192.0.2.1;lr>");
  assert_slice(contacts[0].instance, "<urn:uuid:1>");
  assert_int_equal(contacts[0].reg_id, 2);
  assert_int_equal(contacts[0].q_permille, 700);

  /* Its removal: the same identity, one version more, and the hash of this very value. */
  char removal[4096], want[64];
  struct buf gone = buf_over(removal, sizeof removal), digest = buf_over(want, sizeof want);
  location_put_removal(&gone, &crypto, AOR, &phone, 512, WALL + 7200001);
  struct key hash = crypto_key(&crypto, value);
  buf_put_base64(&digest, hash.byte, sizeof hash.byte);
  assert_false(gone.overflow);
  struct xml_record removed;
  struct buf whole = buf_over(signed_removal, sizeof signed_removal);
  assert_int_equal(record_model_sign(&crypto, &owner, buf_slice(&gone), &whole), OK);
  assert_int_equal(xml_record_read(reader, buf_slice(&whole), &removed, &why), OK);
  assert_true(removed.removed);
  assert_int_equal(removed.version, 513);
  assert_int_equal(removed.expires, removed.floor);
  assert_int_equal(removed.floor, WALL + 7200001);
  assert_true(slice_equal(removed.value_digest, buf_slice(&digest)));
  xml_reader_free(reader);
  crypto_openssl_free(&crypto);
}

/* Too little room is said by the flag, at every length. */
static void says_when_there_is_no_room(void **state) {
  (void)state;
  struct crypto crypto;
  crypto_openssl(&crypto);
  char text[4096], whole[4096];
  struct buf full = buf_over(whole, sizeof whole);
  location_put_record(&full, &crypto, AOR, &phone, 512, WALL, WALL);
  for (size_t cap = 0; cap < full.len; cap++) {
    struct buf out = buf_over(text, cap);
    location_put_record(&out, &crypto, AOR, &phone, 512, WALL, WALL);
    assert_true(out.overflow);
    out = buf_over(text, cap / 2);
    location_put_removal(&out, &crypto, AOR, &phone, 512, WALL);
    assert_true(out.overflow);
  }
  crypto_openssl_free(&crypto);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nonce_names_the_binding),
      cmocka_unit_test(record_life),
      cmocka_unit_test(records_are_read_back),
      cmocka_unit_test(says_when_there_is_no_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
