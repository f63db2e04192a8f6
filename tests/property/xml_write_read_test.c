/* SPDX-License-Identifier: BSD-2-Clause */
/* What the writer writes, the reader reads back as the same: texts of any characters, records,
 * contacts and whole bodies. Seeded, so that a failure repeats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/rng.h"
#include "crypto/certificate.h"
#include "crypto/openssl.h"
#include "crypto/record_sign.h"
#include "sim/record_model.h"
#include "support/memory.h"
#include "xml/body.h"

static struct test_memory memory;
static struct xml_reader *reader;
static struct rng rng;
static struct xml_body body;

static int setup(void **state) {
  (void)state;
  const uint8_t seed[16] = {3};
  rng_init(&rng, seed);
  test_memory_init(&memory, TEST_MEMORY_UNLIMITED);
  reader = xml_reader_new(&memory.memory, 99);
  return reader == NULL;
}
static int teardown(void **state) {
  (void)state;
  xml_reader_free(reader);
  return memory.blocks != 0;
}

static void put_utf8(struct buf *out, uint32_t c) {
  if (c < 0x80) {
    buf_put_char(out, (char)c);
  } else if (c < 0x800) {
    buf_put_char(out, (char)(0xC0 | c >> 6));
    buf_put_char(out, (char)(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    buf_put_char(out, (char)(0xE0 | c >> 12));
    buf_put_char(out, (char)(0x80 | (c >> 6 & 0x3F)));
    buf_put_char(out, (char)(0x80 | (c & 0x3F)));
  } else {
    buf_put_char(out, (char)(0xF0 | c >> 18));
    buf_put_char(out, (char)(0x80 | (c >> 12 & 0x3F)));
    buf_put_char(out, (char)(0x80 | (c >> 6 & 0x3F)));
    buf_put_char(out, (char)(0x80 | (c & 0x3F)));
  }
}

/* Characters that XML allows, those with a meaning often. */
static uint32_t random_character(void) {
  static const char special[] = "&<>\"']]>\t\r\n -;#x0=/!?";
  switch (rng_below(&rng, 4)) {
    case 0:
      return (uint8_t)special[rng_below(&rng, sizeof special - 1)];
    case 1:
      return (uint32_t)rng_between(&rng, 0x20, 0x7E);
    case 2:
      return (uint32_t)rng_between(&rng, 0x80, 0xD7FF);
    default:
      return (uint32_t)rng_between(&rng, 0x10000, 0x10FFFF);
  }
}

/* Not empty, and with no white space at its ends, which readers trim. */
static struct slice random_text(struct buf *out, unsigned max) {
  size_t from = out->len;
  buf_put_char(out, 'a');
  for (uint64_t n = rng_below(&rng, max); n > 0; n--) put_utf8(out, random_character());
  buf_put_char(out, 'z');
  return slice_of(out->at + from, out->len - from);
}

static struct slice random_token(struct buf *out) {
  size_t from = out->len;
  for (uint64_t n = rng_between(&rng, 1, 40); n > 0; n--)
    buf_put_char(out, (char)rng_between(&rng, '!', '~'));
  return slice_of(out->at + from, out->len - from);
}

static struct key random_key(void) {
  struct key k;
  rng_fill(&rng, &k, sizeof k);
  return k;
}

static msec_wall random_time(void) { return rng_below(&rng, 253402300799999); }

static void read_back(struct slice text) {
  const char *why = NULL;
  if (xml_body_read(reader, text, &body, &why) != OK) fail_msg("%s in %.*s", why, SLICE_FMT(text));
}

static void test_texts(void **state) {
  (void)state;
  for (unsigned round = 0; round < 3000; round++) {
    char a[1024], b[8192];
    struct buf source = buf_over(a, sizeof a), out = buf_over(b, sizeof b);
    struct slice text = random_text(&source, 60);
    xml_put_fault(&out, 500, text);
    assert_false(out.overflow);
    read_back(buf_slice(&out));
    assert_true(body.fault && body.fault_code == 500);
    assert_true(slice_equal(body.fault_text, text));
  }
}

/* Bytes that are no characters become '?', and what stands beside them stays. */
static void test_any_bytes(void **state) {
  (void)state;
  for (unsigned round = 0; round < 3000; round++) {
    char a[64], b[8192];
    struct buf out = buf_over(b, sizeof b);
    rng_fill(&rng, a, sizeof a);
    a[0] = 'a';
    a[sizeof a - 1] = 'z';
    xml_put_fault(&out, 500, slice_of(a, sizeof a));
    read_back(buf_slice(&out));
    assert_true(body.fault_text.len >= 2);
    assert_int_equal(body.fault_text.at[0], 'a');
    assert_int_equal(body.fault_text.at[body.fault_text.len - 1], 'z');
  }
  char b[1024];
  struct buf out = buf_over(b, sizeof b);
  xml_put_text(&out, SLICE("\x01|\xc0\x80|\xed\xa0\x80|\xef\xbf\xbe|\xf4\x90\x80\x80|\xc3"));
  assert_true(slice_equal(buf_slice(&out), SLICE("?|??|???|???|????|?")));
}

static void test_records_in_bodies(void **state) {
  (void)state;
  struct crypto crypto;
  crypto_openssl(&crypto);
  for (unsigned round = 0; round < 1000; round++) {
    char a[8192], u[8192], s[8192], v[4096], b[16384];
    struct buf source = buf_over(a, sizeof a), text = buf_over(u, sizeof u);
    struct buf signed_text = buf_over(s, sizeof s), value = buf_over(v, sizeof v);
    struct buf out = buf_over(b, sizeof b);
    struct key owner = random_key();
    buf_put_cstr(&value, "<string>");
    xml_put_text(&value, random_text(&source, 40));
    buf_put_cstr(&value, "</string>");
    struct xml_record_new n = {.key_text = random_text(&source, 40),
                               .nonce = random_token(&source),
                               .expires = random_time(),
                               .floor = random_time(),
                               .version = rng_between(&rng, 1, XML_VERSION_MAX),
                               .removed = rng_below(&rng, 2) == 0,
                               .value = buf_slice(&value),
                               .value_digest = random_token(&source)};
    xml_put_record(&text, &n);
    assert_int_equal(record_model_sign(&crypto, &owner, buf_slice(&text), &signed_text), OK);
    struct slice records[2] = {buf_slice(&signed_text), buf_slice(&signed_text)};
    bool call = rng_below(&rng, 2) == 0;
    if (call)
      xml_put_call(&out, XML_PUT_AUTH, records, 1, NULL);
    else
      xml_put_answer(&out, -1, records, 2, NULL);
    assert_false(out.overflow || signed_text.overflow || source.overflow);
    read_back(buf_slice(&out));
    assert_int_equal(body.record_count, call ? 1 : 2);
    for (unsigned i = 0; i < body.record_count; i++) {
      const struct xml_record *r = &body.record[i];
      assert_true(slice_equal(r->bytes, records[0]));
      assert_true(slice_equal(r->key_text, n.key_text));
      assert_true(slice_equal(r->nonce, n.nonce));
      assert_true(r->expires == n.expires && r->floor == n.floor && r->version == n.version);
      assert_true(r->removed == n.removed);
      assert_true(n.removed ? slice_equal(r->value_digest, n.value_digest)
                            : slice_equal(r->value, n.value));
      assert_true(r->has_owner && key_equal(&r->owner, &owner));
    }
  }
  crypto_openssl_free(&crypto);
}

/* whatever the text, it is written in canonical form, or xmlsec would digest other bytes.
 */
static void test_records_are_canonical(void **state) {
  (void)state;
  EVP_PKEY *key = EVP_EC_gen("P-256");
  char certificate_memory[RECORD_CERTIFICATE_MAX];
  struct buf certificate = buf_over(certificate_memory, sizeof certificate_memory);
  assert_int_equal(certificate_make(key, &certificate), OK);
  for (unsigned round = 0; round < 200; round++) {
    char a[8192], u[8192], s[16384], v[4096];
    struct buf source = buf_over(a, sizeof a), text = buf_over(u, sizeof u);
    struct buf signed_text = buf_over(s, sizeof s), value = buf_over(v, sizeof v);
    struct contact contact = {.uri = random_text(&source, 40),
                              .instance = random_text(&source, 40),
                              .path = {random_text(&source, 40), random_text(&source, 40)},
                              .path_count = (uint8_t)rng_below(&rng, 3),
                              .reg_id = (uint32_t)rng_below(&rng, 3),
                              .q_permille = (uint16_t)rng_below(&rng, 1001),
                              .expires = random_time()};
    xml_put_contact_value(&value, &contact);
    struct xml_record_new n = {.key_text = random_text(&source, 40),
                               .nonce = random_text(&source, 20),
                               .expires = random_time(),
                               .floor = random_time(),
                               .version = rng_between(&rng, 1, XML_VERSION_MAX),
                               .removed = rng_below(&rng, 4) == 0,
                               .value = buf_slice(&value),
                               .value_digest = random_token(&source)};
    xml_put_record(&text, &n);
    assert_false(text.overflow || value.overflow || source.overflow);
    assert_int_equal(record_sign(key, buf_slice(&certificate), buf_slice(&text), &signed_text), OK);
  }
  EVP_PKEY_free(key);
}

static struct endpoint random_endpoint(void) {
  struct endpoint e = {.family = rng_below(&rng, 2) == 0 ? 4 : 6};
  rng_fill(&rng, e.addr, e.family == 4 ? 4 : 16);
  e.port = (uint16_t)rng_between(&rng, 1, 65535);
  e.transport = (uint8_t)rng_below(&rng, 3);
  return e;
}

static void test_overlay_parts(void **state) {
  (void)state;
  static const enum xml_method methods[] = {XML_OVERLAY_JOIN,   XML_OVERLAY_LEAVE,
                                            XML_OVERLAY_NOTIFY, XML_OVERLAY_UPDATE,
                                            XML_OVERLAY_ROUTE,  XML_OVERLAY_REPLICATE};
  for (unsigned round = 0; round < 1000; round++) {
    static struct xml_overlay o;
    char b[32768];
    struct buf out = buf_over(b, sizeof b);
    memset(&o, 0, sizeof o);
    o.present = true;
    o.peer_count = (unsigned)rng_below(&rng, XML_PEERS_MAX + 1);
    for (unsigned i = 0; i < o.peer_count;
         i++) { /* at most one of each of the first three */
      enum xml_peer_role role = i < 3 && rng_below(&rng, 2) == 0
                                    ? (enum xml_peer_role)i
                                    : (enum xml_peer_role)rng_between(&rng, 3, 4);
      o.peer[i] =
          (struct xml_peer){role, {random_key(), random_endpoint(), (uint32_t)rng_u64(&rng)}};
    }
    o.lost = rng_below(&rng, 2) == 0;
    o.more = rng_below(&rng, 2) == 0;
    o.stray = rng_below(&rng, 2) == 0;
    o.incomplete = rng_below(&rng, 2) == 0;
    o.owner = rng_below(&rng, 2) == 0;
    o.copies = (uint32_t)rng_below(&rng, 4);
    o.time_us = rng_u64(&rng);
    o.load = rng_below(&rng, 1001);
    o.has_range = rng_below(&rng, 2) == 0;
    if (o.has_range) {
      o.range_from = random_key();
      o.range_to = random_key();
    }
    o.has_after = rng_below(&rng, 2) == 0;
    if (o.has_after) o.after = (struct record_id){random_key(), random_key(), random_key()};
    enum xml_method method = methods[rng_below(&rng, sizeof methods / sizeof *methods)];
    if (rng_below(&rng, 2) == 0)
      xml_put_call(&out, method, NULL, 0, &o);
    else
      xml_put_answer(&out, 1, NULL, 0, &o);
    assert_false(out.overflow);
    read_back(buf_slice(&out));
    assert_int_equal(body.record_count, 0);
    /* Peers beyond the count are not cleared. */
    unsigned count = body.overlay.peer_count;
    assert_int_equal(count, o.peer_count);
    memset(body.overlay.peer + count, 0, (XML_PEERS_MAX - count) * sizeof *body.overlay.peer);
    assert_memory_equal(&body.overlay, &o, sizeof o);
  }
}

static struct record_id random_place(void) {
  struct record_id place = {random_key(), random_key(), random_key()};
  if (rng_below(&rng, 2) == 0) { /* written short */
    memset(&place.owner, 0xFF, sizeof place.owner);
    memset(&place.nonce, 0xFF, sizeof place.nonce);
  }
  return place;
}

static int compare_places(const void *a, const void *b) { return record_id_compare(a, b); }

/* */
static void test_comparisons(void **state) {
  (void)state;
  for (unsigned round = 0; round < 500; round++) {
    struct sync_view view = {.until = 1 + rng_below(&rng, 4000000000000)};
    struct record_id place[SYNC_PARTS_MAX + 1];
    char b[32768];
    struct buf out = buf_over(b, sizeof b);
    view.part_count = (unsigned)rng_below(&rng, SYNC_PARTS_MAX + 1);
    view.item_count = (unsigned)rng_below(&rng, SYNC_ITEMS_MAX + 1);
    for (unsigned i = 0; i <= view.part_count; i++) place[i] = random_place();
    qsort(place, view.part_count + 1, sizeof *place, compare_places);
    for (unsigned i = 0; i < view.part_count; i++) {
      struct sync_part *part = &view.part[i];
      part->upto = place[i + 1];
      part->has_after = i == 0 && rng_below(&rng, 2) == 0;
      if (part->has_after) part->after = place[0];
      part->known = rng_below(&rng, 4) > 0;
      part->count = part->known ? (uint32_t)rng_u64(&rng) : 0;
      part->digest = part->known ? rng_u64(&rng) : 0;
    }
    for (unsigned i = 0; i < view.item_count; i++)
      view.item[i] = (struct sync_item){random_place(), 1 + rng_below(&rng, XML_VERSION_MAX),
                                        random_key(), rng_below(&rng, 2) == 0};
    struct xml_overlay o = {.present = true, .sync = &view, .limit = (uint32_t)rng_below(&rng, 3)};
    if (rng_below(&rng, 2) == 0)
      xml_put_call(&out, XML_OVERLAY_SYNC, NULL, 0, &o);
    else
      xml_put_answer(&out, -1, NULL, 0, &o);
    assert_false(out.overflow);
    read_back(buf_slice(&out));
    assert_int_equal(body.overlay.limit, o.limit);
    assert_int_equal(body.sync.part_count, view.part_count);
    assert_int_equal(body.sync.item_count, view.item_count);
    memset(body.sync.part + view.part_count, 0,
           (SYNC_PARTS_MAX - view.part_count) * sizeof *view.part);
    memset(body.sync.item + view.item_count, 0,
           (SYNC_ITEMS_MAX - view.item_count) * sizeof *view.item);
    assert_memory_equal(&body.sync, &view, sizeof view);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
      cmocka_unit_test_setup_teardown(test_any_bytes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_records_in_bodies, setup, teardown),
      cmocka_unit_test_setup_teardown(test_records_are_canonical, setup, teardown),
      cmocka_unit_test_setup_teardown(test_overlay_parts, setup, teardown),
      cmocka_unit_test_setup_teardown(test_comparisons, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
