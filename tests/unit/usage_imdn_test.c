/* SPDX-License-Identifier: BSD-2-Clause */
/* What a message asks for, and the notice that answers it (RFC 5438; ). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "usage/imdn.h"

#define HEAD "From: Alice <im:alice@example.com>\r\nTo: Bob <im:bob@example.com>\r\n"
#define NS "NS: imdn <urn:ietf:params:imdn>\r\n"
#define ID "imdn.Message-ID: 34jk324j\r\n"
#define BOTH "imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n"
#define PLAIN "\r\nContent-type: text/plain\r\nContent-length: 11\r\n\r\nHello World"

static struct imdn_request asked;

static bool asks_as(const char *type, const char *body) {
  return imdn_read(slice_cstr(type), slice_cstr(body), &asked);
}

static bool asks(const char *body) { return asks_as("message/cpim", body); }

static void who_asks_is_understood(void **state) {
  (void)state;
  /* RFC 5438 section 7.1.1.1 */
  assert_true(asks(HEAD NS ID "DateTime: 2006-04-04T12:16:49-05:00\r\n" BOTH PLAIN));
  assert_true(asked.positive && asked.negative);
  assert_true(slice_equal(asked.id, SLICE("34jk324j")));
  assert_true(slice_equal(asked.datetime, SLICE("2006-04-04T12:16:49-05:00")));
  assert_int_equal(asked.original.len, 0);
  assert_true(asks_as("Message/CPIM; charset=utf-8", HEAD NS ID BOTH PLAIN));
  assert_true(asks(HEAD "NS: x <urn:ietf:params:imdn>\n"
                        "x.Disposition-Notification: display , negative-delivery;a=b\n"
                        "x.Original-To: Bob <sip:b@c>\nx.Message-ID: <a/b@c>\n\n"));
  assert_true(!asked.positive && asked.negative);
  assert_true(slice_equal(asked.id, SLICE("<a/b@c>")));
  assert_true(slice_equal(asked.original, SLICE("sip:b@c")));
  assert_true(
      asks("NS: <urn:ietf:params:imdn>\nMessage-ID: 1\n"
           "Disposition-Notification: positive-delivery\n"));
}

static void who_does_not_is_left_alone(void **state) {
  static const char *const bodies[] = {
      "",
      "\r\n" NS ID BOTH,
      HEAD NS ID PLAIN,
      HEAD NS BOTH PLAIN,
      HEAD ID BOTH PLAIN,
      HEAD "NS: imdn <urn:other>\r\n" ID BOTH PLAIN,
      HEAD NS "Imdn.Message-ID: 1\r\n" BOTH PLAIN,
      HEAD NS "imdn.Message-ID: a b\r\n" BOTH PLAIN,
      HEAD NS "imdn.Message-ID: a\x01\r\n" BOTH PLAIN,
      HEAD NS ID "imdn.Disposition-Notification: display, processing\r\n" PLAIN,
      HEAD NS ID "imdn.Disposition-Notification: \r\n" PLAIN,
      HEAD NS ID BOTH "imdn.IMDN-Record-Route: <sip:other@example.net>\r\n" PLAIN,
      /* no notice of a notice, whatever it asks for */
      HEAD NS ID BOTH "\r\nContent-Type: message/imdn+xml\r\n\r\n",
      HEAD NS ID BOTH "\r\ncontent-type: text/xml\r\ncontent-disposition: NOTIFICATION;x\r\n\r\n",
  };
  (void)state;
  for (unsigned i = 0; i < sizeof bodies / sizeof *bodies; i++)
    if (asks(bodies[i])) fail_msg("%u: %s", i, bodies[i]);
  assert_false(asks_as("text/plain", HEAD NS ID BOTH PLAIN));
  assert_false(asks_as("message/cpimx", HEAD NS ID BOTH PLAIN));
  static char many[4096] = HEAD NS ID BOTH;
  for (unsigned i = 0; i < IMDN_LINES_MAX; i++) strcat(many, "X: y\r\n");
  assert_false(asks(many));
}

/* */
static void a_notice_says_what_became_of_it(void **state) {
  char text[4096];
  struct buf out = buf_over(text, sizeof text);
  (void)state;
  assert_true(asks(HEAD NS "imdn.Message-ID: a<&b\r\nimdn.Original-To: <sip:c@d>\r\n" BOTH PLAIN));
  struct imdn_notice notice = {.of = &asked,
                               .from = SLICE("sip:bob@example.net"),
                               .to = SLICE("sip:alice@example.net"),
                               .id = SLICE("77"),
                               .sent = 1777636800123,
                               .now = 1777636801000,
                               .delivered = true};
  imdn_put(&out, &notice);
  assert_false(out.overflow);
  const char *expected =
      "From: <sip:bob@example.net>\r\nTo: <sip:alice@example.net>\r\n"
      "DateTime: 2026-05-01T12:00:01.000Z\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
      "imdn.Message-ID: 77\r\n\r\nContent-Type: message/imdn+xml\r\n"
      "Content-Disposition: notification\r\nContent-Length: 366\r\n\r\n"
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
      "<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\r\n"
      "<message-id>a&lt;&amp;b</message-id>\r\n<datetime>2026-05-01T12:00:00.123Z</datetime>\r\n"
      "<recipient-uri>sip:bob@example.net</recipient-uri>\r\n"
      "<original-recipient-uri>sip:c@d</original-recipient-uri>\r\n"
      "<delivery-notification><status><delivered/></status></delivery-notification>\r\n"
      "</imdn>\r\n";
  const char *document = strstr(expected, "<?xml");
  assert_int_equal(buf_slice(&out).len, strlen(expected));
  assert_memory_equal(text, expected, strlen(expected));
  assert_int_equal(strlen(document), 366);
  struct imdn_request again;
  assert_false(imdn_read(SLICE(IMDN_TYPE), buf_slice(&out), &again));
  notice.delivered = false;
  out = buf_over(text, sizeof text);
  imdn_put(&out, &notice);
  assert_true(slice_find(buf_slice(&out), SLICE("<status><failed/></status>")) < out.len);
  out = buf_over(text, 300);
  imdn_put(&out, &notice);
  assert_true(out.overflow);
}

/* whatever is cut or changed, it is read without harm, and what is read is printable. */
static void nothing_in_it_does_harm(void **state) {
  static const char whole[] = HEAD NS ID
      "DateTime: 2006-04-04T12:16:49-05:00\r\n"
      "imdn.Original-To: <sip:c@d>\r\n" BOTH PLAIN;
  char body[sizeof whole];
  struct rng rng;
  const uint8_t seed[16] = {5};
  unsigned read = 0;
  (void)state;
  rng_init(&rng, seed);
  for (unsigned round = 0; round < 4000; round++) {
    size_t len = round < sizeof whole ? round : sizeof whole - 1;
    memcpy(body, whole, sizeof whole);
    for (uint64_t n = rng_below(&rng, 4); n > 0; n--)
      body[rng_below(&rng, sizeof whole - 1)] = (char)rng_below(&rng, 256);
    if (!imdn_read(SLICE(IMDN_TYPE), slice_of(body, len), &asked)) continue;
    const struct slice texts[] = {asked.id, asked.datetime, asked.original};
    for (unsigned i = 0; i < 3; i++)
      for (size_t k = 0; k < texts[i].len; k++)
        assert_true(texts[i].at[k] > ' ' && texts[i].at[k] <= '~');
    read++;
  }
  assert_in_range(read, 100, 3999);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(who_asks_is_understood),
      cmocka_unit_test(who_does_not_is_left_alone),
      cmocka_unit_test(a_notice_says_what_became_of_it),
      cmocka_unit_test(nothing_in_it_does_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
