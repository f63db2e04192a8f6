/* SPDX-License-Identifier: BSD-2-Clause */
/* which request is one for settings, and what answers it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sip/profile.h"

#define SNOM "MAC%3a00041312ABEF"
#define EVENT \
  "ua-profile;profile-type=\"device\";vendor=\"snom\";model=\"snom370\";version=\"7.1.30\""

#define URL "http://192.0.2.1:8088/provision/0123456789abcdef0123456789abcdef/00041312abef.xml"

static char bytes[4096];
static struct sip_message message;

static void parse(void) {
  struct sip_problem problem;
  enum err err = sip_message_parse(slice_cstr(bytes), SIP_DATAGRAM, &message, &problem);
  if (err != OK) fail_msg("%s: %s", problem.reason, bytes);
}

/* A request as phones send it, `via` and `contact` as given. */
static void ask(const char *method, const char *user, const char *event, const char *via,
                const char *more) {
  snprintf(bytes, sizeof bytes,
           "%s sip:%s@224.0.1.75 SIP/2.0\r\nVia: SIP/2.0/UDP %s\r\nMax-Forwards: 70\r\n"
           "From: <sip:%s@224.0.1.75>;tag=340460\r\nTo: <sip:%s@224.0.1.75>\r\n"
           "Call-ID: 17f3a\r\nCSeq: 1 %s\r\nEvent: %s\r\nExpires: 0\r\n%sContent-Length: 0\r\n\r\n",
           method, user, via, user, user, method, event, more);
  parse();
}

static bool reads(const char *method, const char *user, const char *event, const char *more) {
  struct sip_profile_asked asked;
  ask(method, user, event, "192.0.2.33:1036;rport", more);
  return sip_profile_read(&message, &asked);
}

static void macs(void **state) {
  (void)state;
  static const char *const good[] = {"00041312ABEF", "00:04:13:12:ab:ef", "00-04-13-12-AB-ef",
                                     "0004:1312:abef"};
  static const char *const bad[] = {"",
                                    "00041312abe",
                                    "00041312abef0",
                                    "00041312abeg",
                                    ":00041312abef",
                                    "00041312abef:",
                                    "00::041312abef",
                                    "000:41312abef",
                                    "00 04 13 12 ab ef"};
  char mac[SIP_PROFILE_MAC_DIGITS + 1];
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_true(sip_profile_read_mac(slice_cstr(good[i]), mac));
    assert_string_equal(mac, "00041312abef");
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_false(sip_profile_read_mac(slice_cstr(bad[i]), mac));
}

static void reads_what_phones_send(void **state) {
  (void)state;
  struct sip_profile_asked asked;
  ask("SUBSCRIBE", SNOM, EVENT, "192.0.2.33:1036;rport", "Accept: application/url\r\n");
  assert_true(sip_profile_read(&message, &asked));
  assert_string_equal(asked.mac, "00041312abef");
  assert_true(slice_equal(asked.vendor, SLICE("snom")));
  assert_true(slice_equal(asked.model, SLICE("snom370")));
  assert_true(reads("SUBSCRIBE", "MAC:001565abcdef", "ua-profile", ""));
  ask("SUBSCRIBE", "urn%3auuid%3a00000000-0000-1000-0000-00FF8D82EDCB", EVENT, "h", "");
  assert_true(sip_profile_read(&message, &asked));
  assert_string_equal(asked.mac, "00ff8d82edcb");
}

static void passes_over_the_rest(void **state) {
  (void)state;
  char large[2100];
  assert_false(reads("NOTIFY", SNOM, EVENT, ""));
  assert_false(reads("SUBSCRIBE", "bob", EVENT, ""));
  assert_false(reads("SUBSCRIBE", "MAC%3a00041312ABE", EVENT, ""));
  assert_false(reads("SUBSCRIBE", "00041312ABEF", EVENT, ""));
  assert_false(reads("SUBSCRIBE", SNOM, "presence", ""));
  assert_false(reads("SUBSCRIBE", SNOM, "ua-profile;profile-type=\"user\"", ""));
  assert_false(reads("SUBSCRIBE", SNOM, EVENT, "Accept: application/xml\r\n"));
  memset(large, 'x', sizeof large);
  memcpy(large, "X: ", 3);
  memcpy(large + sizeof large - 3, "\r\n", 3); /* its end, too */
  assert_false(reads("SUBSCRIBE", SNOM, EVENT, large));
  assert_true(reads("SUBSCRIBE", SNOM, EVENT, ""));
  char *tag = strstr(bytes, "\r\nCall-ID");
  memmove(tag + 6, tag, strlen(tag) + 1);
  memcpy(tag, ";tag=5", 6);
  parse();
  struct sip_profile_asked asked;
  assert_false(sip_profile_read(&message, &asked));
}

/* What a template or a log line could trip over is not taken for a name. */
static void names_are_plain(void **state) {
  (void)state;
  struct sip_profile_asked asked;
  ask("SUBSCRIBE", SNOM, "ua-profile;vendor=\"a\\\"b\";model=\"\xff\"", "h", "");
  assert_true(sip_profile_read(&message, &asked));
  assert_int_equal(asked.vendor.len, 0);
  assert_int_equal(asked.model.len, 0);
}

static struct endpoint at(const char *text) {
  struct endpoint e;
  assert_true(endpoint_parse(slice_cstr(text), TRANSPORT_UDP, 5060, &e));
  return e;
}

struct answers {
  char memory[4096];
  size_t ok_len, notify_len;
  struct endpoint ok_to, notify_to;
};

static struct answers answer(void) {
  struct answers out = {0};
  struct endpoint source = at("192.0.2.33:2048"), self = at("192.0.2.1:40000");
  struct buf buf = buf_over(out.memory, sizeof out.memory - 1);
  struct sip_profile_answer how = {
      &message,  &source, &self, SLICE("0123456789ABCDEF"), SLICE("z9hG4bK0123456789ABCDEF"),
      SLICE(URL)};
  sip_profile_put_ok(&buf, &how, &out.ok_to);
  out.ok_len = buf.len;
  sip_profile_put_notify(&buf, &how, &out.notify_to);
  out.notify_len = buf.len - out.ok_len;
  assert_false(buf.overflow);
  return out;
}

/* Wherever Via and Contact point, answers go to the address that asked. */
static void answers_go_back(void **state) {
  (void)state;
  static const struct {
    const char *via, *contact;
    uint16_t ok_port, notify_port;
  } rows[] = {
      {"192.0.2.33:1036;rport", "Contact: <sip:192.0.2.33:5062>\r\n", 2048, 5062},
      {"192.0.2.33:1036", "Contact: <sip:192.0.2.33>\r\n", 1036, 5060},
      {"198.51.100.7", "Contact: <sip:198.51.100.7:53>\r\n", 5060, 2048},
      {"phone.example:1036;rport", "Contact: <sip:phone.example>\r\n", 2048, 2048},
      {"192.0.2.33:1036;rport", "", 2048, 2048},
  };
  struct endpoint source = at("192.0.2.33:2048");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ask("SUBSCRIBE", SNOM, EVENT, rows[i].via, rows[i].contact);
    struct answers got = answer();
    assert_memory_equal(got.ok_to.addr, source.addr, sizeof source.addr);
    assert_memory_equal(got.notify_to.addr, source.addr, sizeof source.addr);
    assert_int_equal(got.ok_to.port, rows[i].ok_port);
    assert_int_equal(got.notify_to.port, rows[i].notify_port);
  }
}

static void the_notify_is_good_sip(void **state) {
  (void)state;
  struct sip_message notify;
  struct sip_problem problem;
  ask("SUBSCRIBE", SNOM, EVENT, "192.0.2.33:1036;rport", "Contact: <sip:192.0.2.33:1036>\r\n");
  struct answers got = answer();
  assert_int_equal(sip_message_parse(slice_of(got.memory + got.ok_len, got.notify_len),
                                     SIP_DATAGRAM, &notify, &problem),
                   OK);
  assert_true(slice_equal(notify.uri_text, SLICE("sip:192.0.2.33:1036")));
  assert_true(slice_equal(notify.to_tag, SLICE("340460")));
  assert_true(slice_equal(notify.from_tag, SLICE("0123456789ABCDEF")));
  assert_true(slice_equal(notify.call_id, SLICE("17f3a")));
  assert_true(slice_equal(notify.body, SLICE(URL)));
  assert_true(slice_starts(notify.via.host, SLICE("192.0.2.1")));
  assert_int_equal(
      sip_message_parse(slice_of(got.memory, got.ok_len), SIP_DATAGRAM, &notify, &problem), OK);
  assert_int_equal(notify.status, 200);
}

/* bytes of both answers to one of the request, for the least request that is answered. */
static void is_little_of_an_amplifier(void **state) {
  (void)state;
  snprintf(bytes, sizeof bytes,
           "SUBSCRIBE sip:a SIP/2.0\r\nv:SIP/2.0/UDP h;branch=z9hG4bKa\r\n"
           "f:<sip:MAC-00041312ABEF@a>;tag=1\r\nt:<sip:a>\r\ni:1\r\nCSeq:1 SUBSCRIBE\r\n"
           "o:ua-profile;vendor=snom\r\n\r\n");
  parse();
  struct sip_profile_asked asked;
  assert_true(sip_profile_read(&message, &asked));
  struct answers got = answer();
  size_t ratio = (got.ok_len + got.notify_len) * 10 / strlen(bytes);
  ask("SUBSCRIBE", SNOM, EVENT, "192.0.2.33:1036;rport", "Contact: <sip:192.0.2.33:1036>\r\n");
  got = answer();
  size_t usual = (got.ok_len + got.notify_len) * 10 / strlen(bytes);
  print_message("PnP: %zu.%zu bytes of answers to one of the least request, %zu.%zu of a usual\n",
                ratio / 10, ratio % 10, usual / 10, usual % 10);
  assert_true(ratio <= 46);
  assert_true(usual <= 23);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(macs),
      cmocka_unit_test(reads_what_phones_send),
      cmocka_unit_test(passes_over_the_rest),
      cmocka_unit_test(names_are_plain),
      cmocka_unit_test(answers_go_back),
      cmocka_unit_test(the_notify_is_good_sip),
      cmocka_unit_test(is_little_of_an_amplifier),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
