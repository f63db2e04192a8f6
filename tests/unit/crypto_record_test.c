/* SPDX-License-Identifier: BSD-2-Clause */
/* Signed records: what verifies, and everything that must not. Where a trick needs a valid
 * signature, xmlsec makes one for it, and says that it is valid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <libxml/parser.h>
#include <openssl/dsa.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xmlsec/crypto.h>
#include <xmlsec/openssl/evp.h>
#include <xmlsec/xmldsig.h>
#include <xmlsec/xmlsec.h>
#include <cmocka.h>

#include "base/record_layout.h"
#include "crypto/certificate.h"
#include "crypto/key_file.h"
#include "crypto/record_sign.h"
#include "crypto/record_verify.h"
#include "crypto/signature.h"

#define ROOM (2 * RECORD_BYTES_MAX)
#define CONTACTS                                                                \
  "<contacts xmlns=\"urn:ietf:params:xml:ns:p2p-sip\"><contact o:reg-id=\"1\">" \
  "sip:bob@192.0.2.4:5060</contact></contacts>"

struct fixture {
  struct record_verifier *verifier;
  EVP_PKEY *key;
  char certificate_memory[RECORD_CERTIFICATE_MAX];
  struct slice certificate;
  char memory[ROOM], other[ROOM];
  struct slice record; /* a good one, in memory */
  const char *why;
};

static struct slice make_certificate(EVP_PKEY *key, char *memory) {
  struct buf out = buf_over(memory, RECORD_CERTIFICATE_MAX);
  assert_int_equal(certificate_make(key, &out), OK);
  return buf_slice(&out);
}

static struct record_layout_head head_of(const char *key_text) {
  return (struct record_layout_head){.key_text = slice_cstr(key_text),
                                     .expires = SLICE("2026-05-01T12:00:00.000Z"),
                                     .nonce = SLICE("5D0C"),
                                     .floor = SLICE("2026-05-01T12:00:00.000Z"),
                                     .version = SLICE("455500000000000")};
}

static struct slice put_unsigned(struct buf *out, const char *key_text, struct slice content) {
  const struct record_layout_head head = head_of(key_text);
  size_t mark = out->len;
  record_layout_put_head(out, &head);
  buf_put(out, content);
  record_layout_put_unsigned_end(out);
  assert_false(out->overflow);
  return slice_of(out->at + mark, out->len - mark);
}

static enum err sign_content(EVP_PKEY *key, struct slice certificate, struct slice content,
                             struct buf *out) {
  char *memory = malloc(ROOM);
  struct buf text = buf_over(memory, ROOM);
  struct slice record = put_unsigned(&text, "sip:bob@biloxi.example.com", content);
  enum err err = record_sign(key, certificate, record, out);
  free(memory);
  return err;
}

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  f->verifier = record_verifier_new(64, SLICE("open"));
  f->key = EVP_EC_gen("P-256");
  f->certificate = make_certificate(f->key, f->certificate_memory);
  struct buf out = buf_over(f->memory, sizeof f->memory);
  assert_int_equal(sign_content(f->key, f->certificate, SLICE(CONTACTS), &out), OK);
  f->record = buf_slice(&out);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  record_verifier_free(f->verifier);
  EVP_PKEY_free(f->key);
  free(f);
  return 0;
}

/* The good record with the one occurrence of `from` replaced. */
static struct slice replaced(struct fixture *f, const char *from, const char *to) {
  size_t at = slice_find(f->record, slice_cstr(from));
  assert_true(at < f->record.len);
  struct buf out = buf_over(f->other, sizeof f->other);
  buf_put(&out, slice_first(f->record, at));
  buf_put_cstr(&out, to);
  buf_put(&out, slice_skip(f->record, at + strlen(from)));
  assert_false(out.overflow);
  return buf_slice(&out);
}

static void refuse(struct fixture *f, struct slice record, const char *why) {
  f->why = NULL;
  assert_int_equal(record_verify(f->verifier, record, &f->why), ERR_REFUSED);
  assert_string_equal(f->why, why);
}

static void refuse_replaced(struct fixture *f, const char *from, const char *to, const char *why) {
  refuse(f, replaced(f, from, to), why);
}

/* ---- what is good ---- */

/* R-4.14, R-4.29 */
static void signed_record_verifies(void **state) {
  struct fixture *f = *state;
  assert_int_equal(record_verify(f->verifier, f->record, &f->why), OK);
  struct record_layout layout;
  assert_int_equal(record_layout_read(f->record, &layout, &f->why), OK);
  struct key owner;
  assert_int_equal(key_file_hash(f->key, &owner), OK);
  assert_true(key_equal(&layout.owner, &owner));
  assert_true(slice_equal(layout.content, SLICE(CONTACTS)));
}

/* What xmlsec thinks of a stranger's record is not ours to print. */
static void a_bad_record_prints_nothing(void **state) {
  struct fixture *f = *state;
  FILE *caught = tmpfile();
  int errors = dup(STDERR_FILENO);
  assert_non_null(caught);
  assert_true(errors >= 0 && dup2(fileno(caught), STDERR_FILENO) >= 0);
  struct signature_tree tree;
  EVP_PKEY *other = EVP_RSA_gen(2048); /* a key of another kind than the method wants */
  bool good = signature_tree_open(f->record, &tree) && signature_verify(&tree, other);
  signature_tree_close(&tree);
  EVP_PKEY_free(other);
  fflush(stderr);
  dup2(errors, STDERR_FILENO);
  close(errors);
  assert_false(good);
  assert_int_equal(lseek(fileno(caught), 0, SEEK_END), 0);
  fclose(caught);
}

/* R-4.14: RSA is accepted as well. */
static void rsa_verifies(void **state) {
  struct fixture *f = *state;
  EVP_PKEY *key = EVP_RSA_gen(2048);
  char memory[RECORD_CERTIFICATE_MAX];
  struct slice certificate = make_certificate(key, memory);
  struct buf out = buf_over(f->other, sizeof f->other);
  assert_int_equal(sign_content(key, certificate, SLICE(CONTACTS), &out), OK);
  assert_int_equal(record_verify(f->verifier, buf_slice(&out), &f->why), OK);
  assert_true(slice_find(buf_slice(&out), SLICE("#rsa-sha256")) < out.len);
  EVP_PKEY_free(key);
}

/* R-1.30: the table's contact record, key of 40 characters, contact of 60. */
static void contact_record_keeps_its_budget(void **state) {
  struct fixture *f = *state;
  struct buf text = buf_over(f->memory, sizeof f->memory),
             out = buf_over(f->other, sizeof f->other);
  struct record_layout_head head = head_of("sip:someone-with-a-name@provider.example");
  head.nonce = SLICE("47D6F61B0B77A8C4EE417212ED1CC560E0DB22EA");
  record_layout_put_head(&text, &head);
  buf_put_cstr(&text,
               "<contacts xmlns=\"urn:ietf:params:xml:ns:p2p-sip\"><contact "
               "expires=\"2026-05-01T12:00:00.000Z\" priority=\"0.7\">"
               "sip:someone-with-a-name@192.0.2.234:50600;transport=tcp;ob=1</contact></contacts>");
  record_layout_put_unsigned_end(&text);
  assert_int_equal(record_sign(f->key, f->certificate, buf_slice(&text), &out), OK);
  assert_in_range(out.len, 1000, 2200);
}

/* R-4.21: the largest value fits with the certificate that is made here. */
static void largest_value_is_signed(void **state) {
  struct fixture *f = *state;
  char *content = malloc(16384);
  memset(content, 'x', 16384);
  struct buf out = buf_over(f->other, sizeof f->other);
  assert_int_equal(sign_content(f->key, f->certificate, slice_of(content, 16384), &out), OK);
  assert_int_equal(record_verify(f->verifier, buf_slice(&out), &f->why), OK);
  assert_true(out.len <= RECORD_BYTES_MAX);
  free(content);
}

static void removal_verifies(void **state) {
  struct fixture *f = *state;
  char memory[2048];
  struct buf text = buf_over(memory, sizeof memory), out = buf_over(f->other, sizeof f->other);
  struct record_layout_head head = head_of("sip:bob@biloxi.example.com");
  head.removed = true;
  record_layout_put_head(&text, &head);
  buf_put_cstr(&text, "<DigestValue>2jmj7l5rSw0yVb/vlWAYkK/YBwk=</DigestValue>");
  record_layout_put_unsigned_end(&text);
  assert_int_equal(record_sign(f->key, f->certificate, buf_slice(&text), &out), OK);
  assert_int_equal(record_verify(f->verifier, buf_slice(&out), &f->why), OK);
  refuse(f, slice_of(out.at, out.len - 1),
         "dhtRecord is not closed where the layout of a record says");
}

/* R-4.43 */
static void removal_by_another_key_verifies(void **state) {
  struct fixture *f = *state;
  char memory[2048];
  struct buf text = buf_over(memory, sizeof memory), out = buf_over(f->other, sizeof f->other);
  struct record_layout_head head = head_of("offline:bob@biloxi.example.com");
  struct record_layout layout;
  struct key own;
  head.removed = true;
  head.has_by = true;
  head.owner = SLICE("0102030405060708090A0B0C0D0E0F1011121314");
  record_layout_put_head(&text, &head);
  buf_put_cstr(&text, "<DigestValue>2jmj7l5rSw0yVb/vlWAYkK/YBwk=</DigestValue>");
  record_layout_put_unsigned_end(&text);
  assert_int_equal(record_sign(f->key, f->certificate, buf_slice(&text), &out), OK);
  assert_int_equal(record_verify(f->verifier, buf_slice(&out), &f->why), OK);
  assert_int_equal(record_layout_read(buf_slice(&out), &layout, &f->why), OK);
  assert_int_equal(key_file_hash(f->key, &own), OK);
  assert_true(key_equal(&layout.signer, &own));
  assert_int_equal(layout.owner.byte[19], 0x14);
  size_t by = slice_find(buf_slice(&out), SLICE("o:by=\"")) + 6;
  f->other[by] = f->other[by] == '0' ? '1' : '0';
  refuse(f, buf_slice(&out), "DigestValue of the value is of other bytes than those of the value");
  head.removed = false; /* nothing but a removal */
  text.len = 0;
  record_layout_put_head(&text, &head);
  record_layout_put_unsigned_end(&text);
  assert_int_equal(record_sign(f->key, f->certificate, buf_slice(&text), &out), ERR_SYNTAX);
}

/* ---- altered ---- */

static void altered_record_is_refused(void **state) {
  struct fixture *f = *state;
  const char *key = "DigestValue of the key is of other bytes than those of the key";
  const char *value = "DigestValue of the value is of other bytes than those of the value";
  refuse_replaced(f, "sip:bob@biloxi", "sip:eve@biloxi", key);
  refuse_replaced(f, "192.0.2.4", "192.0.2.5", value);
  refuse_replaced(f, "o:version=\"4555", "o:version=\"4556", value);
  refuse_replaced(f, "nonce=\"5D0C", "nonce=\"5D0D", value);
  refuse_replaced(f, "\" o:version", "\" o:removed=\"true\" o:version", value);
}

/* The digests made to fit the altered value: only the signature itself is wrong then. */
static void altered_digest_is_refused(void **state) {
  struct fixture *f = *state;
  struct slice record = replaced(f, "192.0.2.4", "192.0.2.5");
  struct record_layout layout;
  assert_int_equal(record_layout_read(record, &layout, &f->why), OK);
  uint8_t digest[32];
  assert_int_equal(EVP_Digest(layout.value.at, layout.value.len, digest, NULL, EVP_sha256(), NULL),
                   1);
  struct buf text = buf_over(f->other + (layout.value_digest.at - f->other), 44);
  buf_put_base64(&text, digest, sizeof digest);
  refuse(f, record, "the signature is not of this record by this key");
}

/* R-4.30: the certificate decides nothing but whether it is the owner's. */
static void other_certificate_is_refused(void **state) {
  struct fixture *f = *state;
  EVP_PKEY *other = EVP_EC_gen("P-256");
  char memory[RECORD_CERTIFICATE_MAX], digits[KEY_HEX + 1] = "", owner_digits[KEY_HEX + 1] = "";
  struct slice certificate = make_certificate(other, memory);
  struct record_layout layout;
  assert_int_equal(record_layout_read(f->record, &layout, &f->why), OK);
  struct buf out = buf_over(f->other, sizeof f->other);
  buf_put(&out, slice_between(f->record.at, layout.certificate.at));
  buf_put_base64(&out, certificate.at, certificate.len);
  buf_put(&out, slice_skip(f->record, (size_t)(layout.certificate.at - f->record.at) +
                                          layout.certificate.len));
  refuse(f, buf_slice(&out), "o:owner, or o:by, is not the hash of the certificate's key");
  /* Nor does it sign for it. */
  struct key owner;
  assert_int_equal(key_file_hash(other, &owner), OK);
  struct buf text = buf_over(digits, KEY_HEX);
  key_put(&text, &owner);
  memcpy(owner_digits, layout.owner_text.at, KEY_HEX);
  refuse_replaced(f, owner_digits, digits,
                  "DigestValue of the value is of other bytes than those of the value");
  assert_int_equal(sign_content(f->key, certificate, SLICE(CONTACTS), &out), ERR_UNSUPPORTED);
  EVP_PKEY_free(other);
}

/* ---- algorithms (R-4.14) ---- */

static void weak_algorithms_are_refused(void **state) {
  struct fixture *f = *state;
  const char *method = "SignatureMethod is neither ecdsa-sha256 nor rsa-sha256";
  const char *family = "CanonicalizationMethod or SignatureMethod is not one that is allowed";
  const char *reference = "the first Reference is not the key's, by exclusive C14N and SHA-256";
  const char *more = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
  static const char *const old[] = {
      "rsa-sha1",
      "dsa-sha1",
      "hmac-sha1",
  };
  for (unsigned i = 0; i < sizeof old / sizeof *old; i++) {
    char uri[80];
    snprintf(uri, sizeof uri, "http://www.w3.org/2000/09/xmldsig#%s", old[i]);
    refuse_replaced(f, more, uri, family);
  }
  refuse_replaced(f, more, "http://www.w3.org/2009/xmldsig11#dsa-sha256", family);
  static const char *const others[] = {"ecdsa-sha1",   "rsa-md5", "hmac-sha256", "ecdsa-sha224",
                                       "hmac-md5",     "rsa-pss", "rsa-sha224",  "ecdsa-sha256 ",
                                       "ECDSA-SHA256", "",        "rsa-sha512"};
  for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
    refuse_replaced(f, "ecdsa-sha256", others[i], method);
  refuse_replaced(f, "ecdsa-sha256", "rsa-sha256",
                  "SignatureMethod does not go with the certificate's key");
  refuse_replaced(f, "http://www.w3.org/2001/04/xmlenc#sha256",
                  "http://www.w3.org/2000/09/xmldsig#sha1", reference);
  refuse_replaced(f, "http://www.w3.org/2001/04/xmlenc#sha256",
                  "http://www.w3.org/2001/04/xmldsig-more#md5", reference);
  refuse_replaced(f, "<CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#",
                  "<CanonicalizationMethod Algorithm=\"http://www.w3.org/TR/2001/"
                  "REC-xml-c14n-20010315",
                  family);
  refuse_replaced(f, "ecdsa-sha256\"/>",
                  "ecdsa-sha256\"><HMACOutputLength>1</HMACOutputLength>"
                  "</SignatureMethod>",
                  reference);
}

static void weak_keys_are_refused(void **state) {
  struct fixture *f = *state;
  EVP_PKEY *weak[] = {EVP_EC_gen("P-384"), EVP_EC_gen("secp256k1"), EVP_RSA_gen(1024)};
  for (unsigned i = 0; i < sizeof weak / sizeof *weak; i++) {
    char memory[RECORD_CERTIFICATE_MAX];
    struct certificate_key read;
    struct slice certificate = make_certificate(weak[i], memory);
    assert_int_equal(certificate_read(certificate, &read), ERR_UNSUPPORTED);
    struct buf out = buf_over(f->other, sizeof f->other);
    assert_int_equal(sign_content(weak[i], certificate, SLICE(CONTACTS), &out), ERR_UNSUPPORTED);
    assert_int_equal(out.len, 0);
    struct record_layout layout;
    assert_int_equal(record_layout_read(f->record, &layout, &f->why), OK);
    buf_put(&out, slice_between(f->record.at, layout.certificate.at));
    buf_put_base64(&out, certificate.at, certificate.len);
    buf_put(&out, slice_skip(f->record, (size_t)(layout.certificate.at - f->record.at) +
                                            layout.certificate.len));
    refuse(f, buf_slice(&out), "the certificate's key is neither P-256 nor RSA of 2048 bits");
    EVP_PKEY_free(weak[i]);
  }
}

/* ---- references and transforms ---- */

#define TRANSFORMS                                                                 \
  "<Transforms><Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>" \
  "</Transforms>"

static void other_references_are_refused(void **state) {
  struct fixture *f = *state;
  const char *first = "the first Reference is not the key's, by exclusive C14N and SHA-256";
  const char *second = "the second Reference is not the value's, by exclusive C14N and SHA-256";
  static const char *const uris[] = {"#Two",
                                     "",
                                     "#xpointer(id('One'))",
                                     "#xpointer(/)",
                                     "#xmlns(a=b)xpointer(//key)",
                                     "http://example.com/key",
                                     "file:///etc/passwd",
                                     "#one"};
  for (unsigned i = 0; i < sizeof uris / sizeof *uris; i++) {
    char reference[128];
    snprintf(reference, sizeof reference, "<Reference URI=\"%s\">", uris[i]);
    refuse_replaced(f, "<Reference URI=\"#One\">", reference, first);
    if (i > 0) refuse_replaced(f, "<Reference URI=\"#Two\">", reference, second);
  }
  refuse_replaced(f, "<Reference URI=\"#One\">", "<Reference>", first);
  refuse_replaced(f, "<Reference URI=\"#One\">",
                  "<Reference URI=\"#One\" Type=\"http://www.w3.org/2000/09/xmldsig#Manifest\">",
                  first);
  refuse_replaced(f, "<Reference URI=\"#Two\">", "<Reference URI=\"#One\">", second);
  refuse_replaced(f, TRANSFORMS, "", first);
  static const char *const transforms[] = {
      "http://www.w3.org/TR/1999/REC-xpath-19991116",
      "http://www.w3.org/2002/06/xmldsig-filter2",
      "http://www.w3.org/TR/1999/REC-xslt-19991116",
      "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
      "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
      "http://www.w3.org/2000/09/xmldsig#base64",
  };
  for (unsigned i = 0; i < sizeof transforms / sizeof *transforms; i++) {
    char text[160];
    snprintf(text, sizeof text, "<Transforms><Transform Algorithm=\"%s\"/></Transforms>",
             transforms[i]);
    refuse_replaced(f, TRANSFORMS, text, first);
  }
  refuse_replaced(f, TRANSFORMS,
                  "<Transforms><Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">"
                  "<InclusiveNamespaces xmlns=\"http://www.w3.org/2001/10/xml-exc-c14n#\" "
                  "PrefixList=\"#default\"/></Transform></Transforms>",
                  first);
  refuse_replaced(f, "</Reference></SignedInfo>",
                  "</Reference><Reference URI=\"#Two\"></Reference></SignedInfo>",
                  "SignedInfo has something besides its two References");
  refuse_replaced(f, "</SignatureValue>", "</SignatureValue><Object>x</Object>",
                  "KeyInfo is not one X509Certificate");
}

static struct slice without(struct fixture *f, const char *from, const char *to) {
  size_t at = slice_find(f->record, slice_cstr(from)), end = slice_find(f->record, slice_cstr(to));
  assert_true(at < end && end < f->record.len);
  struct buf out = buf_over(f->other, sizeof f->other);
  buf_put(&out, slice_first(f->record, at));
  buf_put(&out, slice_skip(f->record, end));
  return buf_slice(&out);
}

static void missing_parts_are_refused(void **state) {
  struct fixture *f = *state;
  refuse(f, without(f, "<Reference URI=\"#One\">", "<Reference URI=\"#Two\">"),
         "the first Reference is not the key's, by exclusive C14N and SHA-256");
  refuse(f,
         without(f, "</DigestValue></Reference><Reference URI=\"#Two\">",
                 "</DigestValue></Reference></SignedInfo>"),
         "the second Reference is not the value's, by exclusive C14N and SHA-256");
  refuse(f, without(f, "<Signature ", "</dhtRecord>"),
         "Signature does not follow value as the layout of a record says");
  refuse(f, without(f, "<KeyInfo>", "</Signature>"), "KeyInfo is not one X509Certificate");
  refuse(f, without(f, "<key ", "<value "), "key is not opened as the layout of a record says");
  refuse(
      f, without(f, " o:owner", " o:version"),
      "value is not in the layout of a record: expires, nonce, o:by, o:floor, o:owner, o:removed, "
      "o:version");
  refuse(f, SLICE_EMPTY, "dhtRecord is not opened as the layout of a record says");
}

/* R-4.15: what was written before there were signatures. */
static void unsigned_record_is_refused(void **state) {
  struct fixture *f = *state;
  struct buf out = buf_over(f->other, sizeof f->other);
  refuse(f, put_unsigned(&out, "sip:bob@biloxi.example.com", SLICE(CONTACTS)),
         "value without o:owner");
}

static void other_key_infos_are_refused(void **state) {
  struct fixture *f = *state;
  static const char *const infos[] = {
      "<KeyInfo><KeyName>bob@biloxi.example.com</KeyName><X509Data>",
      "<KeyInfo><RetrievalMethod URI=\"http://example.com/bob.crt\"/><X509Data>",
      "<KeyInfo><KeyValue><RSAKeyValue/></KeyValue><X509Data>",
      "<KeyInfo><X509Data><X509IssuerSerial/>",
      "<KeyInfo><X509Data><X509Certificate>AAAA</X509Certificate>",
      "<KeyInfo Id=\"One\"><X509Data>",
  };
  for (unsigned i = 0; i < sizeof infos / sizeof *infos; i++)
    refuse_replaced(f, "<KeyInfo><X509Data>", infos[i], "KeyInfo is not one X509Certificate");
  refuse_replaced(f, "</X509Data>", "</X509Data><KeyName>bob</KeyName>",
                  "KeyInfo is not one X509Certificate");
  refuse_replaced(f, "<X509Certificate>MII", "<X509Certificate>MIJ",
                  "X509Certificate is not one certificate");
}

/* ---- around and inside ---- */

static void what_surrounds_a_record_is_refused(void **state) {
  struct fixture *f = *state;
  const char *head = "dhtRecord is not opened as the layout of a record says";
  struct buf out = buf_over(f->other, sizeof f->other);
  buf_put(&out, f->record);
  buf_put_char(&out, '\n');
  refuse(f, buf_slice(&out), "something follows the record");
  buf_truncate(&out, f->record.len);
  buf_put(&out, f->record); /* which makes all between the first value and the last one content */
  refuse(f, buf_slice(&out), "DigestValue of the value is of other bytes than those of the value");
  refuse_replaced(f, "<dhtRecord ", "<?xml version=\"1.0\"?><dhtRecord ", head);
  refuse_replaced(f, "<dhtRecord ", "<!DOCTYPE dhtRecord [<!ENTITY a \"b\">]><dhtRecord ", head);
  refuse_replaced(f, "<dhtRecord ", "\xEF\xBB\xBF<dhtRecord ", head);
  refuse_replaced(f, "<dhtRecord ", "<dhtRecord Id=\"One\" ", head);
  refuse_replaced(f, "</key><value ", "</key> <value ",
                  "value does not follow key as the layout of a record says");
  refuse_replaced(f, "</key><value ", "</key><!-- --><value ",
                  "value does not follow key as the layout of a record says");
  refuse_replaced(f, "</key><value ", "</key><key></key><value ",
                  "value does not follow key as the layout of a record says");
  refuse_replaced(f, "bob@", "<!-- -->bob@",
                  "value does not follow key as the layout of a record says");
}

/* Whatever would make xmlsec and a reader of the bytes see two different things. */
static void tricks_inside_are_refused(void **state) {
  struct fixture *f = *state;
  const char *markup =
      "value with a comment, a CDATA section, a declaration or a processing instruction";
  const char *value = "DigestValue of the value is of other bytes than those of the value";
  refuse_replaced(f, "192.0.2.4", "192.0.<!-- -->2.4", markup);
  refuse_replaced(f, "192.0.2.4", "192.0.<?x?>2.4", markup);
  refuse_replaced(f, "192.0.2.4", "<![CDATA[192.0.2.4]]>", markup);
  refuse_replaced(f, "192.0.2.4", "192.0.2.&#52;", value);
  refuse_replaced(f, "o:reg-id=\"1\"", "o:reg-id='1'", value);
  refuse_replaced(f, "o:reg-id=\"1\">", "o:reg-id=\"1\" >", value);
}

static void large_and_deep_are_refused(void **state) {
  struct fixture *f = *state;
  memset(f->other, 'x', sizeof f->other);
  refuse(f, slice_of(f->other, RECORD_BYTES_MAX + 1), "dhtRecord larger than 20480 bytes");
  char deep[8 * 256] = "";
  for (unsigned i = 0; i < 256; i++) strcat(deep, "<a>");
  refuse_replaced(f, "<contacts", deep, "dhtRecord of more than 120 elements");
  char nul[] = "x";
  struct slice record = replaced(f, "192.0.2.4", nul);
  char *at = f->other + slice_find(record, SLICE("@x")) + 1;
  *at = '\0';
  refuse(f, record, "value with a NUL byte");
}

/* ---- validly signed by xmlsec, and yet not a record ---- */

#define DHT "urn:ietf:params:xml:ns:dht"
#define VALUE_TAG                                                                             \
  "<value xmlns=\"" DHT                                                                       \
  "\" xmlns:o=\"urn:ietf:params:xml:ns:p2p-sip:overlay\" Id=\"Two\" "                         \
  "expires=\"2026-05-01T12:00:00.000Z\" nonce=\"5D0C\" o:floor=\"2026-05-01T12:00:00.000Z\" " \
  "o:owner=\"%s\" o:version=\"455500000000000\">"
#define REFERENCE(id)                                                                   \
  "<Reference URI=\"" id "\">" TRANSFORMS                                               \
  "<DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><DigestValue/>" \
  "</Reference>"
#define SIGNATURE(references)                                                       \
  "<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><SignedInfo>"            \
  "<CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>" \
  "<SignatureMethod "                                                               \
  "Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256\"/>" references  \
  "</SignedInfo><SignatureValue/><KeyInfo><X509Data><X509Certificate>%s"            \
  "</X509Certificate></X509Data></KeyInfo></Signature>"

static xmlNodePtr find_signature(xmlNodePtr node) {
  for (; node != NULL; node = node->next) {
    if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, "Signature") == 0)
      return node;
    xmlNodePtr found = find_signature(node->children);
    if (found != NULL) return found;
  }
  return NULL;
}

/* The first of each Id becomes one, as with software that is careless about the others. */
static void add_ids(xmlDocPtr doc, xmlNodePtr node) {
  for (; node != NULL; node = node->next) {
    if (node->type != XML_ELEMENT_NODE) continue;
    xmlAttrPtr id = xmlHasProp(node, (const xmlChar *)"Id");
    if (id != NULL && xmlGetID(doc, id->children->content) == NULL)
      xmlAddID(NULL, doc, id->children->content, id);
    add_ids(doc, node->children);
  }
}

static bool by_xmlsec(xmlDocPtr doc, EVP_PKEY *key, bool sign) {
  xmlSecDSigCtxPtr context = xmlSecDSigCtxCreate(NULL);
  EVP_PKEY_up_ref(key);
  context->signKey = xmlSecKeyCreate();
  xmlSecKeySetValue(context->signKey, xmlSecOpenSSLEvpKeyAdopt(key));
  xmlNodePtr node = find_signature(xmlDocGetRootElement(doc));
  int done = sign ? xmlSecDSigCtxSign(context, node) : xmlSecDSigCtxVerify(context, node);
  bool good = done >= 0 && context->status == xmlSecDSigStatusSucceeded;
  xmlSecDSigCtxDestroy(context);
  return good;
}

/* `text` (with places for the owner, then the certificate) signed as it is, in f->other. */
static struct slice signed_as_it_is(struct fixture *f, const char *text) {
  char owner[KEY_HEX + 1] = "", certificate[RECORD_CERTIFICATE_MAX * 4 / 3] = "", all[8192];
  struct record_layout layout;
  assert_int_equal(record_layout_read(f->record, &layout, &f->why), OK);
  memcpy(owner, layout.owner_text.at, KEY_HEX);
  memcpy(certificate, layout.certificate.at, layout.certificate.len);
  int len = snprintf(all, sizeof all, text, owner, certificate);
  xmlDocPtr doc = xmlReadMemory(all, len, NULL, NULL, XML_PARSE_NONET);
  assert_non_null(doc);
  add_ids(doc, xmlDocGetRootElement(doc));
  assert_true(by_xmlsec(doc, f->key, true));
  xmlBufferPtr dump = xmlBufferCreate();
  xmlNodeDump(dump, doc, xmlDocGetRootElement(doc), 0, 0);
  struct buf out = buf_over(f->other, sizeof f->other);
  for (const xmlChar *at = xmlBufferContent(dump); *at != 0; at++)
    if (*at != '\n') buf_put_char(&out, (char)*at);
  xmlBufferFree(dump);
  xmlFreeDoc(doc);
  doc = xmlReadMemory(out.at, (int)out.len, NULL, NULL, XML_PARSE_NONET);
  add_ids(doc, xmlDocGetRootElement(doc));
  assert_true(by_xmlsec(doc, f->key, false)); /* a valid signature, to xmlsec */
  xmlFreeDoc(doc);
  return buf_slice(&out);
}

#define KEY_PART "<key xmlns=\"" DHT "\" Id=\"One\">sip:bob@biloxi.example.com</key>"
#define BOTH REFERENCE("#One") REFERENCE("#Two")
#define OPEN "<dhtRecord xmlns=\"" DHT "\">"
#define CLOSE "</dhtRecord>"

static void what_is_signed_the_same_way_is_good(void **state) {
  struct fixture *f = *state;
  struct slice record =
      signed_as_it_is(f, OPEN KEY_PART VALUE_TAG CONTACTS "</value>" SIGNATURE(BOTH) CLOSE);
  assert_int_equal(record_verify(f->verifier, record, &f->why), OK);
}

static void valid_signatures_of_others_are_refused(void **state) {
  struct fixture *f = *state;
  const char *first = "the first Reference is not the key's, by exclusive C14N and SHA-256";
  const char *value = "DigestValue of the value is of other bytes than those of the value";
  refuse(f,
         signed_as_it_is(f, OPEN KEY_PART VALUE_TAG CONTACTS
                         "</value>" SIGNATURE(BOTH REFERENCE("#One")) CLOSE),
         "SignedInfo has something besides its two References");
  refuse(f,
         signed_as_it_is(
             f, OPEN KEY_PART VALUE_TAG CONTACTS "</value>" SIGNATURE(REFERENCE("#One")) CLOSE),
         "the second Reference is not the value's, by exclusive C14N and SHA-256");
  refuse(f,
         signed_as_it_is(f, OPEN KEY_PART VALUE_TAG CONTACTS
                         "</value>" SIGNATURE(REFERENCE("#Two") REFERENCE("#One")) CLOSE),
         first);
  /* Two values that together look like one to who cuts bytes. */
  refuse(
      f,
      signed_as_it_is(f, OPEN KEY_PART VALUE_TAG "a</value><value>b</value>" SIGNATURE(BOTH) CLOSE),
      value);
  /* Not in canonical form. */
  refuse(f, signed_as_it_is(f, OPEN KEY_PART VALUE_TAG "<a/></value>" SIGNATURE(BOTH) CLOSE),
         value);
  refuse(f,
         signed_as_it_is(
             f, OPEN KEY_PART VALUE_TAG "<a b=\"1\" a=\"2\">x</a></value>" SIGNATURE(BOTH) CLOSE),
         value);
  refuse(
      f,
      signed_as_it_is(f, OPEN KEY_PART VALUE_TAG
                      "<b:a xmlns:b=\"u:b\" xmlns:c=\"u:c\">x</b:a></value>" SIGNATURE(BOTH) CLOSE),
      value);
}

/* Signature wrapping: the signed value stands elsewhere, another is in its place. */
static void wrapping_is_refused(void **state) {
  struct fixture *f = *state;
  struct record_layout good;
  assert_int_equal(record_layout_read(f->record, &good, &f->why), OK);
  char value[1024] = "", evil[1024] = "", record[8192];
  memcpy(value, good.value.at, good.value.len);
  memcpy(evil, value, sizeof evil);
  memcpy(strstr(evil, "192.0.2.4"), "192.0.2.5", 9);
  struct slice signature =
      slice_between(good.both.at + good.both.len, f->record.at + f->record.len);
  signature.len -= sizeof CLOSE - 1;
  static const char *const shapes[] = {
      /* key, evil value, signature, then the signed value: behind, or in an Object */
      OPEN KEY_PART "%2$s%3$s<x>%1$s</x>" CLOSE,
      OPEN KEY_PART "%2$s%3$s%1$s" CLOSE,
      OPEN KEY_PART "%1$s%2$s%3$s" CLOSE,
      OPEN KEY_PART "%2$s%1$s%3$s" CLOSE,
      OPEN "<x>%1$s</x>" KEY_PART "%2$s%3$s" CLOSE,
      OPEN KEY_PART "<x>%1$s</x>%2$s%3$s" CLOSE,
      "<dhtRecords>" OPEN KEY_PART "%1$s%3$s" CLOSE "%2$s</dhtRecords>",
  };
  for (unsigned i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    char signature_text[4096] = "";
    memcpy(signature_text, signature.at, signature.len);
    int len = snprintf(record, sizeof record, shapes[i], value, evil, signature_text);
    f->why = NULL;
    assert_int_equal(record_verify(f->verifier, slice_of(record, (size_t)len), &f->why),
                     ERR_REFUSED);
    assert_non_null(f->why);
  }
  /* The signed value inside of the evil one: the bytes of the layout are the outer ones. */
  struct buf text = buf_over(f->other, sizeof f->other);
  buf_put_cstr(&text, OPEN KEY_PART);
  buf_put(&text, slice_first(good.value, good.value.len - good.content.len - 8));
  buf_put_cstr(&text, "evil");
  buf_put(&text, good.value);
  buf_put_cstr(&text, "</value>");
  buf_put(&text, signature);
  buf_put_cstr(&text, CLOSE);
  refuse(f, buf_slice(&text), "DigestValue of the value is of other bytes than those of the value");
}

/* The owner's own doing, but no reader may be led astray by it. */
static void second_ids_change_nothing(void **state) {
  struct fixture *f = *state;
  struct buf out = buf_over(f->other, sizeof f->other);
  assert_int_equal(sign_content(f->key, f->certificate, SLICE("<a Id=\"One\">x</a>"), &out), OK);
  assert_int_equal(record_verify(f->verifier, buf_slice(&out), &f->why), OK);
  buf_reset(&out);
  assert_int_equal(sign_content(f->key, f->certificate, SLICE("<a xml:id=\"One\">x</a>"), &out),
                   ERR_SYNTAX);
  assert_int_equal(out.len, 0);
  assert_int_equal(sign_content(f->key, f->certificate, SLICE("<b:a>x</b:a>"), &out), ERR_SYNTAX);
  assert_int_equal(sign_content(f->key, f->certificate, SLICE("<a>x</b>"), &out), ERR_SYNTAX);
  assert_int_equal(sign_content(f->key, f->certificate, SLICE("&x;"), &out), ERR_SYNTAX);
  assert_int_equal(sign_content(f->key, f->certificate, SLICE("<a/>"), &out), ERR_SYNTAX);
  assert_int_equal(sign_content(f->key, f->certificate, SLICE("a > b"), &out), ERR_SYNTAX);
  assert_int_equal(sign_content(f->key, f->certificate, SLICE("\xFF"), &out), ERR_SYNTAX);
}

/* ---- remembered (R-4.32) ---- */

static void record_is_verified_once(void **state) {
  struct fixture *f = *state;
  for (unsigned i = 0; i < 5; i++)
    assert_int_equal(record_verify(f->verifier, f->record, &f->why), OK);
  struct record_verifier_stats stats = record_verifier_stats(f->verifier);
  assert_int_equal(stats.verified, 1);
  assert_int_equal(stats.remembered, 4);
  refuse_replaced(f, "192.0.2.4", "192.0.2.5",
                  "DigestValue of the value is of other bytes than those of the value");
  assert_int_equal(record_verifier_stats(f->verifier).refused, 1);
}

/* Nothing is worked out: what was not found good, or not since the CA changed, is not known. */
static void what_is_remembered_is_told_at_once(void **state) {
  struct fixture *f = *state;
  char text[64];
  struct buf names = buf_over(text, sizeof text);
  bool issued = true;
  X509_STORE *trusted = X509_STORE_new();
  assert_false(record_recall_for(f->verifier, f->record, &names, &issued));
  assert_int_equal(record_verify(f->verifier, f->record, &f->why), OK);
  assert_true(record_recall_for(f->verifier, f->record, &names, &issued));
  assert_false(
      record_recall_for(f->verifier, slice_first(f->record, f->record.len - 1), &names, &issued));
  for (unsigned i = 0; i < 2; i++) { /* R-6.14: and again when the CA took something back */
    record_verifier_trust(f->verifier, trusted);
    assert_false(record_recall_for(f->verifier, f->record, &names, &issued));
    issued = true;
    assert_int_equal(record_verify_for(f->verifier, f->record, &names, &issued, &f->why), OK);
    assert_false(issued);
    issued = true;
    assert_true(record_recall_for(f->verifier, f->record, &names, &issued));
    assert_false(issued);
  }
  assert_int_equal(names.len, 0);
  assert_int_equal(record_verifier_stats(f->verifier).verified, 1);
  record_verifier_trust(f->verifier, NULL);
  X509_STORE_free(trusted);
}

static void memory_is_bounded(void **state) {
  struct fixture *f = *state;
  struct record_verifier *small = record_verifier_new(4, SLICE("open"));
  for (unsigned i = 0; i < 9; i++) {
    char content[16];
    snprintf(content, sizeof content, "%u", i);
    struct buf out = buf_over(f->other, sizeof f->other);
    assert_int_equal(sign_content(f->key, f->certificate, slice_cstr(content), &out), OK);
    assert_int_equal(record_verify(small, buf_slice(&out), &f->why), OK);
    assert_int_equal(record_verify(small, buf_slice(&out), &f->why), OK);
    if (i == 0) assert_int_equal(record_verify(small, f->record, &f->why), OK);
  }
  struct record_verifier_stats stats = record_verifier_stats(small);
  assert_int_equal(stats.verified, 10);
  assert_int_equal(stats.remembered, 9);
  assert_int_equal(record_verify(small, f->record, &f->why), OK);
  assert_int_equal(record_verifier_stats(small).verified, 11); /* it had given way */
  record_verifier_free(small);
}

static void *verify_often(void *context) {
  struct fixture *f = context;
  const char *why = NULL;
  bool good = true;
  for (unsigned i = 0; i < 50; i++) {
    good = good && record_verify(f->verifier, f->record, &why) == OK;
    /* The last is in nobody's memory, so it goes all the way each time. */
    good = good && record_verify(f->verifier, slice_first(f->record, f->record.len - 1), &why) ==
                       ERR_REFUSED;
  }
  return good ? f : NULL;
}

static void threads_may_share_a_verifier(void **state) {
  pthread_t threads[4];
  for (unsigned i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, verify_often, *state), 0);
  for (unsigned i = 0; i < 4; i++) {
    void *good = NULL;
    pthread_join(threads[i], &good);
    assert_non_null(good);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(signed_record_verifies),
      TEST(a_bad_record_prints_nothing),
      TEST(rsa_verifies),
      TEST(contact_record_keeps_its_budget),
      TEST(largest_value_is_signed),
      TEST(removal_verifies),
      TEST(removal_by_another_key_verifies),
      TEST(altered_record_is_refused),
      TEST(altered_digest_is_refused),
      TEST(other_certificate_is_refused),
      TEST(weak_algorithms_are_refused),
      TEST(weak_keys_are_refused),
      TEST(other_references_are_refused),
      TEST(missing_parts_are_refused),
      TEST(unsigned_record_is_refused),
      TEST(other_key_infos_are_refused),
      TEST(what_surrounds_a_record_is_refused),
      TEST(tricks_inside_are_refused),
      TEST(large_and_deep_are_refused),
      TEST(what_is_signed_the_same_way_is_good),
      TEST(valid_signatures_of_others_are_refused),
      TEST(wrapping_is_refused),
      TEST(second_ids_change_nothing),
      TEST(record_is_verified_once),
      TEST(what_is_remembered_is_told_at_once),
      TEST(memory_is_bounded),
      TEST(threads_may_share_a_verifier),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
