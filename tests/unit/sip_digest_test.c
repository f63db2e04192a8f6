/* SPDX-License-Identifier: BSD-2-Clause */
/* Digest authentication as text: RFC 7616, RFC 2617, RFC 2069, RFC 8760. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/openssl.h"
#include "sip/digest.h"

static struct crypto crypto;

static int open_crypto(void **state) {
  (void)state;
  crypto_openssl(&crypto);
  return 0;
}

static int close_crypto(void **state) {
  (void)state;
  crypto_openssl_free(&crypto);
  return 0;
}

static bool is_right(const char *value, const char *who, const char *method) {
  struct digest_credentials c;
  uint8_t secret[DIGEST_HASH_BYTES_MAX];
  assert_int_equal(digest_read(slice_cstr(value), &c), OK);
  if (c.algorithm == DIGEST_SHA256)
    crypto.sha256(crypto.context, slice_cstr(who), secret);
  else
    crypto.md5(crypto.context, slice_cstr(who), secret);
  return digest_is_right(&crypto, &c, slice_cstr(method), secret);
}

#define RFC7616                                                                            \
  "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", " \
  "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, "                  \
  "cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, "
#define MUFASA7616 "Mufasa:http-auth@example.org:Circle of Life"

/* RFC 7616 section 3.9.1, both algorithms. */
static void knows_the_examples_of_rfc7616(void **state) {
  (void)state;
  assert_true(is_right(RFC7616 "response=\"8ca523f5e9506fed4657c9700eebdbec\", algorithm=MD5, "
                               "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
                       MUFASA7616, "GET"));
  const char *sha256 = RFC7616
      "response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\", "
      "algorithm=SHA-256";
  assert_true(is_right(sha256, MUFASA7616, "GET"));
  assert_false(is_right(sha256, MUFASA7616, "PUT"));
  assert_false(is_right(sha256, MUFASA7616 ".", "GET"));
  /* Upper case, and quotes where there should be none: as some phones write it. */
  assert_true(
      is_right("DIGEST username=\"Mufasa\",realm=\"http-auth@example.org\" ,\r\n "
               "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\","
               "uri=\"/dir/index.html\",nc=\"00000001\",Qop=\"AUTH\",algorithm=\"md5\","
               "cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\","
               "response=\"8CA523F5E9506FED4657C9700EEBDBEC\"",
               MUFASA7616, "GET"));
}

/* RFC 2617 section 3.5; and without qop, RFC 2069 section 2.4 as its erratum 749 has it. */
static void knows_the_older_forms(void **state) {
  (void)state;
  assert_true(
      is_right("Digest username=\"Mufasa\", realm=\"testrealm@host.com\", "
               "nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", "
               "qop=auth, nc=00000001, cnonce=\"0a4f113b\", "
               "response=\"6629fae49393a05397450978507c4ef1\", "
               "opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
               "Mufasa:testrealm@host.com:Circle Of Life", "GET"));
  const char *bare =
      "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", "
      "nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", "
      "response=\"1949323746fe6a43ef61f9606e7febea\"";
  struct digest_credentials c;
  assert_true(is_right(bare, "Mufasa:testrealm@host.com:CircleOfLife", "GET"));
  assert_int_equal(digest_read(slice_cstr(bare), &c), OK);
  assert_false(c.qop);
  assert_int_equal(c.nc, 1);
}

static enum err read(const char *value) {
  struct digest_credentials c;
  return digest_read(slice_cstr(value), &c);
}

#define MD5_HEX "8ca523f5e9506fed4657c9700eebdbec"
#define REST "realm=\"r\", nonce=\"n\", uri=\"sip:r\", response=\"" MD5_HEX "\""

static void refuses_what_it_cannot_use(void **state) {
  (void)state;
  assert_int_equal(read("Digest username=\"u\", " REST), OK);
  assert_int_equal(read("Digest username=\"u\", " REST ","), OK); /* a comma too many */
  assert_int_equal(read("Digest username=\"u\", new=\"thing\", flag=on, " REST), OK);
  assert_int_equal(read("Basic dTpw"), ERR_UNSUPPORTED);
  assert_int_equal(read("Digestusername=\"u\", " REST), ERR_UNSUPPORTED);
  assert_int_equal(read("Digest"), ERR_UNSUPPORTED);
  assert_int_equal(read(""), ERR_UNSUPPORTED);
  assert_int_equal(read("Digest username=\"u\", algorithm=MD5-sess, " REST), ERR_UNSUPPORTED);
  assert_int_equal(read("Digest username=\"u\", algorithm=SHA-512-256, " REST), ERR_UNSUPPORTED);
  assert_int_equal(read("Digest username=\"u\", userhash=true, " REST), ERR_UNSUPPORTED);
  assert_int_equal(read("Digest username=\"u\", qop=auth-int, " REST), ERR_UNSUPPORTED);
  assert_int_equal(read("Digest " REST), ERR_SYNTAX);
  assert_int_equal(read("Digest username=\"u\", username=\"v\", " REST), ERR_SYNTAX);
  assert_int_equal(read("Digest username=\"u, " REST), ERR_SYNTAX);
  assert_int_equal(read("Digest username, " REST), ERR_SYNTAX);
  assert_int_equal(read("Digest username=\"u\" " REST), ERR_SYNTAX);
  assert_int_equal(read("Digest ,"), ERR_SYNTAX);
  assert_int_equal(read("Digest  "), ERR_SYNTAX);
  /* A response of the wrong length, or no digits. */
  assert_int_equal(read("Digest username=\"u\", algorithm=SHA-256, " REST), ERR_SYNTAX);
  assert_int_equal(read("Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:r\", "
                        "response=\"8ca523f5e9506fed4657c9700eebdbex\""),
                   ERR_SYNTAX);
  /* qop needs its companions, and the count its eight digits at most. */
  assert_int_equal(read("Digest username=\"u\", qop=auth, nc=1, " REST), ERR_SYNTAX);
  assert_int_equal(read("Digest username=\"u\", qop=auth, cnonce=\"c\", " REST), ERR_SYNTAX);
  assert_int_equal(read("Digest username=\"u\", qop=auth, nc=1, cnonce=\"c\", " REST), OK);
  assert_int_equal(read("Digest username=\"u\", qop=auth, nc=100000000, cnonce=\"c\", " REST),
                   ERR_SYNTAX);
}

/* Each bounded value at its bound, and one byte over. */
static void bounds_what_is_hashed(void **state) {
  (void)state;
  static const struct {
    const char *format;
    unsigned max;
  } rows[] = {
      {"Digest username=\"u\", realm=\"r\", uri=\"sip:r\", response=\"" MD5_HEX "\", nonce=\"%s\"",
       DIGEST_NONCE_BYTES_MAX},
      {"Digest username=\"u\", realm=\"r\", nonce=\"n\", response=\"" MD5_HEX "\", uri=\"%s\"",
       DIGEST_URI_BYTES_MAX},
      {"Digest username=\"u\", qop=auth, nc=00000001, " REST ", cnonce=\"%s\"",
       DIGEST_CNONCE_BYTES_MAX},
  };
  static char fill[DIGEST_URI_BYTES_MAX + 2], text[2048];
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    for (unsigned over = 0; over < 2; over++) {
      struct digest_credentials c;
      const uint8_t secret[DIGEST_HASH_BYTES_MAX] = {0};
      memset(fill, 'x', sizeof fill);
      fill[rows[i].max + over] = 0;
      struct buf b = buf_over(text, sizeof text);
      const char *at = strstr(rows[i].format, "%s");
      buf_put(&b, slice_between(rows[i].format, at));
      buf_put_cstr(&b, fill);
      buf_put_cstr(&b, at + 2);
      assert_int_equal(digest_read(buf_slice(&b), &c), over ? ERR_LIMIT : OK);
      if (!over) assert_false(digest_is_right(&crypto, &c, SLICE("REGISTER"), secret));
    }
  }
  char method[80];
  memset(method, 'M', sizeof method);
  struct digest_credentials c;
  const uint8_t secret[DIGEST_HASH_BYTES_MAX] = {0};
  assert_int_equal(digest_read(SLICE("Digest username=\"u\", " REST), &c), OK);
  assert_false(digest_is_right(&crypto, &c, slice_of(method, sizeof method), secret));
}

/* RFC 8760 section 2.3: a header for each algorithm, the preferred first, is the caller's. */
static void writes_a_challenge(void **state) {
  (void)state;
  char memory[256];
  struct buf out = buf_over(memory, sizeof memory);
  digest_put_challenge(&out, &(struct digest_challenge){.algorithm = DIGEST_SHA256,
                                                        .realm = SLICE("example.net"),
                                                        .nonce = SLICE("abc"),
                                                        .stale = true});
  assert_true(slice_equal(buf_slice(&out),
                          SLICE("Digest realm=\"example.net\", nonce=\"abc\", algorithm=SHA-256, "
                                "qop=\"auth\", stale=true")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(knows_the_examples_of_rfc7616),
      cmocka_unit_test(knows_the_older_forms),
      cmocka_unit_test(refuses_what_it_cannot_use),
      cmocka_unit_test(bounds_what_is_hashed),
      cmocka_unit_test(writes_a_challenge),
  };
  return cmocka_run_group_tests(tests, open_crypto, close_crypto);
}
