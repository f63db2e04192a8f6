/* SPDX-License-Identifier: BSD-2-Clause */
/* Letters and the records around them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/record_layout.h"
#include "crypto/openssl.h"
#include "usage/message.h"

#define BOB SLICE("sip:bob@example.net")
#define ID SLICE("00112233445566778899AABBCCDDEEFF")

static struct slice letter_of(const struct message *message, struct buf *out,
                              struct record_layout *layout) {
  const char *why = NULL;
  message_put_letter(out, message);
  assert_false(out->overflow);
  assert_int_equal(record_layout_read_unsigned(buf_slice(out), layout, &why), OK);
  return layout->content;
}

static void a_letter_is_read_as_written(void **state) {
  char text[16384], memory[8192], body[MESSAGE_BODY_MAX];
  struct buf out = buf_over(text, sizeof text), work = buf_over(memory, sizeof memory);
  struct record_layout layout;
  struct message read = {0};
  (void)state;
  for (size_t i = 0; i < sizeof body; i++) body[i] = (char)i;
  const struct message message = {.from = SLICE("sip:a&b@example.net"),
                                  .to = BOB,
                                  .id = ID,
                                  .type = SLICE("text/plain;x=\"<&>\""),
                                  .body = slice_of(body, sizeof body),
                                  .sent = 1777636800123};
  struct slice value = letter_of(&message, &out, &layout);
  assert_true(slice_equal(layout.key_text, SLICE("offline:bob@example.net")));
  assert_true(slice_equal(layout.nonce, ID));
  assert_true(message_read_value(value, &work, &read));
  assert_true(slice_equal(read.from, message.from));
  assert_true(slice_equal(read.type, message.type));
  assert_true(slice_equal(read.body, message.body));
  assert_true(read.sent == message.sent);
  for (size_t cut = 0; cut < value.len; cut += 1 + cut / 8) {
    work = buf_over(memory, sizeof memory);
    assert_false(message_read_value(slice_first(value, cut), &work, &read));
  }
  work = buf_over(memory, 100); /* no room */
  assert_false(message_read_value(value, &work, &read));
}

static bool reads(const char *value) {
  char memory[8192];
  struct buf work = buf_over(memory, sizeof memory);
  struct message read;
  return message_read_value(slice_cstr(value), &work, &read);
}

static void what_is_no_letter_is_refused(void **state) {
  (void)state;
#define SENT "</o:from><o:sent>2026-05-01T12:00:00.000Z</o:sent><o:type>"
  assert_true(reads("<o:from>sip:a@b" SENT "text/plain</o:type><o:body>aGk=</o:body>"));
  assert_true(reads("<o:from>sip:a@b" SENT "text/plain</o:type><o:body></o:body>"));
  assert_false(reads("<o:from>" SENT "text/plain</o:type><o:body>aGk=</o:body>"));
  assert_false(reads("<o:from>sip:a@b" SENT "</o:type><o:body>aGk=</o:body>"));
  /* nothing that a header line could end with */
  assert_false(reads("<o:from>sip:a@b&#xD;" SENT "text/plain</o:type><o:body>aGk=</o:body>"));
  assert_false(reads("<o:from>sip:a@b" SENT "text/plain\nX: y</o:type><o:body>aGk=</o:body>"));
  assert_false(reads("<o:from>sip:a@b" SENT "text/plain</o:type><o:body>a?k=</o:body>"));
  assert_false(reads("<o:from>sip:a@b" SENT "text/plain</o:type><o:body>aGk=</o:body> "));
  assert_false(reads(""));
}

/* */
static void the_id_follows_from_the_request(void **state) {
  struct crypto crypto;
  char text[4][MESSAGE_ID_BYTES];
  (void)state;
  crypto_openssl(&crypto);
  for (unsigned i = 0; i < 4; i++) {
    struct buf id = buf_over(text[i], sizeof text[i]);
    message_put_id(&id, &crypto, i == 2 ? SLICE("sip:a@b") : BOB, SLICE("call"), i == 3 ? 2 : 1);
    assert_int_equal(id.len, MESSAGE_ID_BYTES);
    assert_false(id.overflow);
  }
  assert_memory_equal(text[0], text[1], MESSAGE_ID_BYTES);
  assert_memory_not_equal(text[0], text[2], MESSAGE_ID_BYTES);
  assert_memory_not_equal(text[0], text[3], MESSAGE_ID_BYTES);
  crypto_openssl_free(&crypto);
}

static void a_removal_names_whose_record_it_is(void **state) {
  struct crypto crypto;
  char text[2048];
  struct buf out = buf_over(text, sizeof text);
  struct record_layout layout;
  const char *why = NULL;
  const struct message_stored stored = {
      .owner = {{7}}, .nonce = ID, .value = SLICE("<x/>"), .version = 41, .floor = 1777636800123};
  (void)state;
  crypto_openssl(&crypto);
  message_put_removal(&out, &crypto, BOB, &stored, false);
  assert_int_equal(record_layout_read_unsigned(buf_slice(&out), &layout, &why), OK);
  assert_true(layout.removed && layout.has_by && key_equal(&layout.owner, &stored.owner));
  assert_true(slice_equal(layout.version, SLICE("42")) && slice_equal(layout.nonce, ID));
  out.len = 0;
  message_put_removal(&out, &crypto, BOB, &stored, true);
  assert_int_equal(record_layout_read_unsigned(buf_slice(&out), &layout, &why), OK);
  assert_true(layout.removed && !layout.has_by && layout.owner_text.len == 0);
  assert_true(message_is_claim(SLICE("claim")) && !message_is_claim(ID));
  crypto_openssl_free(&crypto);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_letter_is_read_as_written),
      cmocka_unit_test(what_is_no_letter_is_refused),
      cmocka_unit_test(the_id_follows_from_the_request),
      cmocka_unit_test(a_removal_names_whose_record_it_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
