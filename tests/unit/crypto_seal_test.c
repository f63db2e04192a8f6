/* SPDX-License-Identifier: BSD-2-Clause */
/* Sealed texts (R-4.17, R-6.40 to R-6.42): what opens, for whom, and all that must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <libxml/c14n.h>
#include <libxml/relaxng.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "crypto/key_file.h"
#include "crypto/seal.h"
#include "crypto/xmlsec.h"

#define PEOPLE 3u
#define SECRET "the words that are for some eyes only"
#define ENC "http://www.w3.org/2001/04/xmlenc#"
#define SIG "http://www.w3.org/2000/09/xmldsig#"

struct fixture {
  struct seal_recipient person[PEOPLE];
  char memory[SEAL_BYTES_MAX], other[2 * SEAL_BYTES_MAX], plain_memory[SEAL_PLAIN_MAX + 1];
  struct slice sealed; /* SECRET for the first two */
  struct buf plain;
};

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  for (unsigned i = 0; i < PEOPLE; i++) {
    f->person[i].key = EVP_RSA_gen(3072);
    assert_int_equal(key_file_hash(f->person[i].key, &f->person[i].name), OK);
  }
  struct buf out = buf_over(f->memory, sizeof f->memory);
  assert_int_equal(seal_make(f->person, 2, SLICE(SECRET), &out), OK);
  f->sealed = buf_slice(&out);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  for (unsigned i = 0; i < PEOPLE; i++) EVP_PKEY_free(f->person[i].key);
  free(f);
  return 0;
}

static enum err open_by(struct fixture *f, unsigned who, struct slice sealed) {
  f->plain = buf_over(f->plain_memory, sizeof f->plain_memory);
  return seal_open(&f->person[who].name, f->person[who].key, sealed, &f->plain);
}

static void refuse(struct fixture *f, struct slice sealed, enum err err) {
  assert_int_equal(open_by(f, 0, sealed), err);
  assert_int_equal(f->plain.len, 0);
}

/* The good text with the `nth` occurrence (from 0) of `from` replaced. */
static struct slice replaced(struct fixture *f, const char *from, unsigned nth, const char *to) {
  size_t at = slice_find(f->sealed, slice_cstr(from));
  for (; nth > 0 && at < f->sealed.len; nth--)
    at += 1 + slice_find(slice_skip(f->sealed, at + 1), slice_cstr(from));
  assert_true(at < f->sealed.len);
  struct buf out = buf_over(f->other, sizeof f->other);
  buf_put(&out, slice_first(f->sealed, at));
  buf_put_cstr(&out, to);
  buf_put(&out, slice_skip(f->sealed, at + strlen(from)));
  assert_false(out.overflow);
  return buf_slice(&out);
}

/* From the `nth` begin to the first end behind it, both included. */
static struct slice part(struct slice text, const char *begin, unsigned nth, const char *end) {
  size_t at = slice_find(text, slice_cstr(begin));
  for (; nth > 0 && at < text.len; nth--)
    at += 1 + slice_find(slice_skip(text, at + 1), slice_cstr(begin));
  text = slice_skip(text, at);
  return slice_first(text, slice_find(text, slice_cstr(end)) + strlen(end));
}

/* ---- what opens ---- */

/* R-6.40 */
static void recipients_open_it(void **state) {
  struct fixture *f = *state;
  for (unsigned i = 0; i < 2; i++) {
    assert_int_equal(open_by(f, i, f->sealed), OK);
    assert_true(slice_equal(buf_slice(&f->plain), SLICE(SECRET)));
  }
  assert_int_equal(open_by(f, 2, f->sealed), ERR_NOT_FOUND);
  assert_true(slice_find(f->sealed, SLICE(SECRET)) == f->sealed.len);
}

/* R-6.40: by the name of one and the key of another nothing opens. */
static void anothers_key_does_not(void **state) {
  struct fixture *f = *state;
  f->plain = buf_over(f->plain_memory, sizeof f->plain_memory);
  assert_int_equal(seal_open(&f->person[0].name, f->person[1].key, f->sealed, &f->plain),
                   ERR_REFUSED);
  assert_int_equal(seal_open(&f->person[0].name, f->person[2].key, f->sealed, &f->plain),
                   ERR_REFUSED);
  assert_int_equal(f->plain.len, 0);
}

/* Fresh keys and IVs: the same words are never the same text. */
static void every_text_is_new(void **state) {
  struct fixture *f = *state;
  struct buf out = buf_over(f->other, sizeof f->other);
  assert_int_equal(seal_make(f->person, 2, SLICE(SECRET), &out), OK);
  for (unsigned i = 0; i < 3; i++)
    assert_false(slice_equal(part(f->sealed, "<CipherValue>", i, "</CipherValue>"),
                             part(buf_slice(&out), "<CipherValue>", i, "</CipherValue>")));
}

static void lengths_up_to_the_limit_open(void **state) {
  struct fixture *f = *state;
  static const size_t lengths[] = {1, 15, 16, 17, 4095, SEAL_PLAIN_MAX - 1, SEAL_PLAIN_MAX};
  char *text = malloc(SEAL_PLAIN_MAX + 1);
  memset(text, 'x', SEAL_PLAIN_MAX + 1);
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    struct buf out = buf_over(f->other, sizeof f->other);
    assert_int_equal(seal_make(f->person, PEOPLE, slice_of(text, lengths[i]), &out), OK);
    assert_true(out.len <= SEAL_BYTES_MAX);
    assert_int_equal(open_by(f, 2, buf_slice(&out)), OK);
    assert_true(slice_equal(buf_slice(&f->plain), slice_of(text, lengths[i])));
  }
  struct buf out = buf_over(f->other, sizeof f->other);
  assert_int_equal(seal_make(f->person, 1, slice_of(text, SEAL_PLAIN_MAX + 1), &out), ERR_LIMIT);
  assert_int_equal(seal_make(f->person, 1, SLICE_EMPTY, &out), ERR_LIMIT);
  free(text);
}

/* R-6.42: the most there can be, and no more. */
static void recipients_are_bounded(void **state) {
  struct fixture *f = *state;
  struct seal_recipient to[SEAL_RECIPIENTS_MAX + 1];
  static char text[SEAL_PLAIN_MAX];
  memset(text, 'y', sizeof text);
  for (unsigned i = 0; i <= SEAL_RECIPIENTS_MAX; i++) {
    to[i] = f->person[0];
    to[i].name.byte[0] = (uint8_t)(to[i].name.byte[0] + i);
  }
  struct buf out = buf_over(f->other, sizeof f->other);
  assert_int_equal(seal_make(to, SEAL_RECIPIENTS_MAX + 1, SLICE("x"), &out), ERR_LIMIT);
  assert_int_equal(seal_make(to, 0, SLICE("x"), &out), ERR_LIMIT);
  assert_int_equal(seal_make(to, SEAL_RECIPIENTS_MAX, slice_of(text, sizeof text), &out), OK);
  assert_true(out.len <= SEAL_BYTES_MAX);
  assert_int_equal(open_by(f, 0, buf_slice(&out)), OK);
  to[1] = to[0];
  buf_reset(&out);
  assert_int_equal(seal_make(to, 2, SLICE("x"), &out), ERR_LIMIT);
  assert_int_equal(out.len, 0);
}

static void other_keys_do_not_receive(void **state) {
  struct fixture *f = *state;
  EVP_PKEY *bad[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-256")};
  for (unsigned i = 0; i < 2; i++) {
    struct seal_recipient to = {f->person[0].name, bad[i]};
    struct buf out = buf_over(f->other, sizeof f->other);
    assert_int_equal(seal_make(&to, 1, SLICE("x"), &out), ERR_UNSUPPORTED);
    assert_int_equal(out.len, 0);
    assert_int_equal(seal_open(&to.name, bad[i], f->sealed, &f->plain), ERR_UNSUPPORTED);
    EVP_PKEY_free(bad[i]);
  }
}

static void without_room_there_is_nothing(void **state) {
  struct fixture *f = *state;
  for (size_t room = 0; room < f->sealed.len; room += 101) {
    struct buf out = buf_over(f->other, room);
    assert_int_equal(seal_make(f->person, 2, SLICE(SECRET), &out), ERR_FULL);
    assert_int_equal(out.len, 0);
  }
  for (size_t room = 0; room < strlen(SECRET); room += 5) {
    f->plain = buf_over(f->plain_memory, room);
    assert_int_equal(seal_open(&f->person[0].name, f->person[0].key, f->sealed, &f->plain),
                     ERR_FULL);
    assert_int_equal(f->plain.len, 0);
  }
}

/* R-6.41: white space between elements and in cipher texts is another's way to write the same. */
static void white_space_does_not_matter(void **state) {
  struct fixture *f = *state;
  struct buf out = buf_over(f->other, sizeof f->other);
  for (size_t i = 0; i < f->sealed.len; i++) {
    buf_put_char(&out, f->sealed.at[i]);
    bool between = i + 1 < f->sealed.len && f->sealed.at[i] == '>' && f->sealed.at[i + 1] == '<';
    if (between) buf_put_cstr(&out, "\n ");
  }
  assert_int_equal(open_by(f, 1, buf_slice(&out)), OK);
  assert_true(slice_equal(buf_slice(&f->plain), SLICE(SECRET)));
}

/* R-6.41: what is made is its own exclusive canonical form, so that it may stand in a record. */
static void it_is_canonical(void **state) {
  struct fixture *f = *state;
  xmlDocPtr doc = xmlReadMemory(f->sealed.at, (int)f->sealed.len, NULL, NULL, XML_PARSE_NONET);
  assert_non_null(doc);
  xmlChar *text = NULL;
  int len = xmlC14NDocDumpMemory(doc, NULL, XML_C14N_EXCLUSIVE_1_0, NULL, 0, &text);
  assert_true(len > 0 && slice_equal(slice_of(text, (size_t)len), f->sealed));
  xmlFree(text);
  xmlFreeDoc(doc);
}

/* R-3.35 */
static void it_follows_the_schema(void **state) {
  struct fixture *f = *state;
  xmlRelaxNGParserCtxtPtr parser = xmlRelaxNGNewParserCtxt(SOURCE_DIR "/docs/spec/sealed.rng");
  xmlRelaxNGPtr schema = xmlRelaxNGParse(parser);
  assert_non_null(schema);
  xmlRelaxNGValidCtxtPtr valid = xmlRelaxNGNewValidCtxt(schema);
  xmlDocPtr doc = xmlReadMemory(f->sealed.at, (int)f->sealed.len, NULL, NULL, XML_PARSE_NONET);
  assert_int_equal(xmlRelaxNGValidateDoc(valid, doc), 0);
  xmlFreeDoc(doc);
  xmlRelaxNGFreeValidCtxt(valid);
  xmlRelaxNGFree(schema);
  xmlRelaxNGFreeParserCtxt(parser);
}

/* ---- what does not ---- */

/* R-6.41 */
static void other_algorithms_are_refused(void **state) {
  struct fixture *f = *state;
  static const char *const content[] = {
      ENC "aes256-cbc",    ENC "aes128-cbc",
      ENC "tripledes-cbc", "http://www.w3.org/2009/xmlenc11#aes128-gcm",
      ENC "kw-aes256",     ""};
  static const char *const key[] = {ENC "rsa-1_5", "http://www.w3.org/2009/xmlenc11#rsa-oaep",
                                    ENC "kw-aes256", SIG "rsa-sha1", ""};
  static const char *const digest[] = {ENC "sha256", SIG "hmac-sha1",
                                       "http://www.w3.org/2001/04/xmldsig-more#md5"};
  for (size_t i = 0; i < sizeof content / sizeof content[0]; i++)
    refuse(f, replaced(f, "http://www.w3.org/2009/xmlenc11#aes256-gcm", 0, content[i]), ERR_SYNTAX);
  for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
    for (unsigned nth = 0; nth < 2; nth++) /* a recipient's that is not us, too */
      refuse(f, replaced(f, ENC "rsa-oaep-mgf1p", nth, key[i]), ERR_SYNTAX);
  for (size_t i = 0; i < sizeof digest / sizeof digest[0]; i++)
    refuse(f, replaced(f, SIG "sha1", 0, digest[i]), ERR_SYNTAX);
}

/* R-6.41: nothing points outside, or elsewhere in the text. */
static void references_are_refused(void **state) {
  struct fixture *f = *state;
  struct slice value = part(f->sealed, "<CipherValue>", 2, "</CipherValue>");
  char cipher[1024];
  snprintf(cipher, sizeof cipher, "%.*s", SLICE_FMT(value));
  static const char *const there[] = {
      "<CipherReference URI=\"http://127.0.0.1:9/x\"></CipherReference>",
      "<CipherReference URI=\"file:///etc/hostname\"></CipherReference>",
      "<CipherReference URI=\"\"></CipherReference>",
      "<CipherReference URI=\"#x\"></CipherReference>"};
  for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
    refuse(f, replaced(f, cipher, 0, there[i]), ERR_SYNTAX);
  static const char *const info[] = {
      "<RetrievalMethod URI=\"http://127.0.0.1:9/k\"></RetrievalMethod></KeyInfo><CipherData>",
      "<X509Data><X509Certificate>AAAA</X509Certificate></X509Data></KeyInfo><CipherData>",
      "<KeyName>0</KeyName></KeyInfo><CipherData>"};
  for (size_t i = 0; i < sizeof info / sizeof info[0]; i++)
    for (unsigned nth = 0; nth < 3; nth++)
      refuse(f, replaced(f, "</KeyInfo><CipherData>", nth, info[i]), ERR_SYNTAX);
  refuse(f,
         replaced(f, "</CipherData></EncryptedKey>", 0,
                  "</CipherData><ReferenceList><DataReference URI=\"#x\"></DataReference>"
                  "</ReferenceList></EncryptedKey>"),
         ERR_SYNTAX);
  refuse(f,
         replaced(f, "</CipherData></EncryptedKey>", 0,
                  "</CipherData><CarriedKeyName>k</CarriedKeyName></EncryptedKey>"),
         ERR_SYNTAX);
}

static void wrapping_is_refused(void **state) {
  struct fixture *f = *state;
  struct buf out = buf_over(f->other, sizeof f->other);
  buf_put_cstr(&out, "<a>");
  buf_put(&out, f->sealed);
  buf_put_cstr(&out, "</a>");
  refuse(f, buf_slice(&out), ERR_SYNTAX);
  buf_reset(&out);
  buf_put(&out, f->sealed);
  buf_put(&out, f->sealed);
  refuse(f, buf_slice(&out), ERR_SYNTAX);
  char whole[8192];
  snprintf(whole, sizeof whole, "<CipherData>%.*s", SLICE_FMT(f->sealed));
  refuse(f, replaced(f, "<CipherData>", 2, whole), ERR_SYNTAX);
  struct slice key = part(f->sealed, "<EncryptedKey", 0, "</EncryptedKey>");
  snprintf(whole, sizeof whole, "%.*s</KeyInfo><CipherData>", SLICE_FMT(key));
  refuse(f, replaced(f, "</KeyInfo><CipherData>", 2, whole), ERR_SYNTAX); /* one name twice */
}

static void attributes_and_extras_are_refused(void **state) {
  struct fixture *f = *state;
  static const char *const pairs[][2] = {
      {"<EncryptedData ", "<EncryptedData Type=\"" ENC "Element\" "},
      {"<EncryptedData ", "<EncryptedData Id=\"x\" "},
      {"<EncryptedKey ", "<EncryptedKey Recipient=\"x\" "},
      {"<CipherData>", "<CipherData xml:base=\"http://127.0.0.1\">"},
      {"<CipherData>", "<CipherData><!-- -->"},
      {"<CipherData>", "<CipherData><?x?>"},
      {"<CipherValue>", "<CipherValue><![CDATA[AAAA]]>"},
      {"<CipherValue>", "<CipherValue><b></b>"},
      {"<CipherData>", "<CipherData>text"},
      {"<EncryptedData ", "<!DOCTYPE a [<!ENTITY b \"c\">]><EncryptedData "},
      {"<KeyName>", "<KeyName>&amp;"},
      {"<KeyName>", "<KeyName>0"},
      {"</CipherData></EncryptedData>",
       "</CipherData><EncryptionProperties></EncryptionProperties></EncryptedData>"},
      {"</EncryptionMethod><KeyInfo", "<KeySize>128</KeySize></EncryptionMethod><KeyInfo"},
      {"</DigestMethod>", "</DigestMethod><OAEPparams>AAAA</OAEPparams>"},
      {"<EncryptedData xmlns=\"" ENC "\"", "<EncryptedData xmlns=\"urn:x\""},
      {"xmlns=\"" SIG "\"><KeyName>", "xmlns=\"" ENC "\"><KeyName>"},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
    refuse(f, replaced(f, pairs[i][0], 0, pairs[i][1]), ERR_SYNTAX);
}

/* A key that is not of 32 bytes, by the right hand. */
static void a_short_content_key_is_refused(void **state) {
  struct fixture *f = *state;
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(f->person[0].key, NULL);
  unsigned char cipher[512];
  size_t len = sizeof cipher;
  assert_int_equal(EVP_PKEY_encrypt_init(context), 1);
  assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING), 1);
  assert_int_equal(
      EVP_PKEY_encrypt(context, cipher, &len, (const unsigned char *)"0123456789abcdef", 16), 1);
  EVP_PKEY_CTX_free(context);
  char text[1024], old[1024];
  struct buf out = buf_over(text, sizeof text);
  buf_put_cstr(&out, "<CipherValue>");
  buf_put_base64(&out, cipher, len);
  buf_put_cstr(&out, "</CipherValue>");
  buf_put_char(&out, '\0');
  snprintf(old, sizeof old, "%.*s",
           SLICE_FMT(part(f->sealed, "<CipherValue>", 0, "</CipherValue>")));
  refuse(f, replaced(f, old, 0, text), ERR_REFUSED);
}

/* R-6.42: every cut, and every bit of the cipher texts: never OK, and only two answers. */
static void cuts_and_flips_are_refused(void **state) {
  struct fixture *f = *state;
  for (size_t len = 0; len < f->sealed.len; len += 7)
    refuse(f, slice_first(f->sealed, len), ERR_SYNTAX);
  unsigned refused = 0;
  for (size_t at = 3; at < f->sealed.len; at += 29) {
    memcpy(f->other, f->sealed.at, f->sealed.len);
    f->other[at] = (char)(f->other[at] ^ 1 << at % 7);
    enum err err = open_by(f, 0, slice_of(f->other, f->sealed.len));
    if (err == OK) { /* in what is another recipient's alone, or a blank */
      assert_true(slice_equal(buf_slice(&f->plain), SLICE(SECRET)));
      continue;
    }
    assert_true(err == ERR_SYNTAX || err == ERR_REFUSED || err == ERR_NOT_FOUND);
    assert_int_equal(f->plain.len, 0);
    if (err == ERR_REFUSED) refused++;
  }
  assert_true(refused > 5);
  struct slice last = part(f->sealed, "<CipherValue>", 2, "</CipherValue>");
  for (size_t at = strlen("<CipherValue>"); at + strlen("</CipherValue>") < last.len; at++) {
    memcpy(f->other, f->sealed.at, f->sealed.len);
    char *digit = f->other + (last.at - f->sealed.at) + at;
    if (*digit == '=' || digit[1] == '=') continue; /* not all its bits count */
    *digit = *digit == 'A' ? 'B' : 'A';
    enum err err = open_by(f, 0, slice_of(f->other, f->sealed.len));
    assert_true(err == ERR_REFUSED);
  }
}

static void huge_and_nothing_are_refused(void **state) {
  struct fixture *f = *state;
  char *text = malloc(SEAL_BYTES_MAX + 1);
  memset(text, ' ', SEAL_BYTES_MAX + 1);
  memcpy(text, f->sealed.at, f->sealed.len);
  assert_int_equal(open_by(f, 0, slice_of(text, SEAL_BYTES_MAX)), OK);
  refuse(f, slice_of(text, SEAL_BYTES_MAX + 1), ERR_SYNTAX);
  for (unsigned i = 0; i + 3 <= SEAL_BYTES_MAX; i += 3) memcpy(text + i, "<a>", 3);
  refuse(f, slice_of(text, SEAL_BYTES_MAX), ERR_SYNTAX);
  refuse(f, SLICE_EMPTY, ERR_SYNTAX);
  refuse(f, SLICE("<EncryptedData xmlns=\"" ENC "\"></EncryptedData>"), ERR_SYNTAX);
  free(text);
}

/* ---- the xmlsec1 tool ---- */

static bool run_tool(const char *command) {
  int status = system(command); /* NOLINT(cert-env33-c): words of this test alone */
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct place {
  char dir[64], command[1024];
};

static FILE *open_in(const struct place *place, const char *name, const char *mode) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", place->dir, name);
  FILE *file = fopen(path, mode);
  assert_non_null(file);
  return file;
}

static size_t read_in(const struct place *place, const char *name, char *at, size_t cap) {
  FILE *file = open_in(place, name, "re");
  size_t len = fread(at, 1, cap, file);
  fclose(file);
  return len;
}

static void make_place(struct place *place, EVP_PKEY *key) {
  snprintf(place->dir, sizeof place->dir, "/tmp/locser-seal-XXXXXX");
  assert_non_null(mkdtemp(place->dir));
  FILE *file = open_in(place, "key.pem", "we");
  assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
  fclose(file);
}

static void free_place(const struct place *place) {
  static const char *const names[] = {"key.pem", "sealed.xml", "plain.txt", "template.xml"};
  char path[128];
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    snprintf(path, sizeof path, "%s/%s", place->dir, names[i]);
    unlink(path);
  }
  rmdir(place->dir);
}

/* Ours opens there. */
static void the_tool_opens_ours(struct fixture *f, struct place *place) {
  struct key *name = &f->person[1].name;
  char hex[KEY_HEX + 1] = "", text[256];
  struct buf digits = buf_over(hex, KEY_HEX);
  key_put(&digits, name);
  FILE *file = open_in(place, "sealed.xml", "we");
  fwrite(f->sealed.at, 1, f->sealed.len, file);
  fclose(file);
  snprintf(place->command, sizeof place->command,
           "cd %s && xmlsec1 --decrypt --privkey-pem:%s key.pem --output plain.txt sealed.xml "
           "2>/dev/null",
           place->dir, hex);
  assert_true(run_tool(place->command));
  size_t len = read_in(place, "plain.txt", text, sizeof text);
  assert_true(slice_equal(slice_of(text, len), SLICE(SECRET)));
}

/* Theirs opens here: the shape of ours, without cipher texts, for the second alone. */
static void ours_opens_the_tools(struct fixture *f, struct place *place) {
  char hex[KEY_HEX + 1] = "";
  struct buf digits = buf_over(hex, KEY_HEX);
  key_put(&digits, &f->person[1].name);
  FILE *file = open_in(place, "template.xml", "we");
  struct slice rest = f->sealed;
  while (rest.len > 0) {
    size_t until = slice_find(rest, SLICE("<CipherValue>"));
    fwrite(rest.at, 1, until, file);
    rest = slice_skip(rest, until);
    if (rest.len == 0) break;
    fputs("<CipherValue></CipherValue>", file);
    rest = slice_skip(rest, part(rest, "<CipherValue>", 0, "</CipherValue>").len);
  }
  fclose(file);
  file = open_in(place, "plain.txt", "we");
  fputs("from the tool", file);
  fclose(file);
  snprintf(place->command, sizeof place->command,
           "cd %s && python3 -c \"import re;t=open('template.xml').read();"
           "k=re.findall('<EncryptedKey.*?</EncryptedKey>',t);"
           "open('template.xml','w').write(t.replace(k[0],''))\" && "
           "xmlsec1 --encrypt --privkey-pem:%s key.pem --session-key aes-256 "
           "--binary-data plain.txt --output sealed.xml template.xml",
           place->dir, hex);
  assert_true(run_tool(place->command));
  size_t len = read_in(place, "sealed.xml", f->other, sizeof f->other);
  struct slice sealed = slice_of(f->other, len);
  if (slice_starts(sealed, SLICE("<?xml")))
    sealed = slice_skip(sealed, slice_find_byte(sealed, '\n'));
  assert_int_equal(open_by(f, 1, slice_trim(sealed)), OK);
  assert_true(slice_equal(buf_slice(&f->plain), SLICE("from the tool")));
}

static void the_xmlsec1_tool_agrees(void **state) {
  struct fixture *f = *state;
  struct place place;
  if (!run_tool("command -v xmlsec1 >/dev/null")) {
    print_message("xmlsec1 is not installed: not tried against it\n");
    skip();
  }
  make_place(&place, f->person[1].key);
  the_tool_opens_ours(f, &place);
  ours_opens_the_tools(f, &place);
  free_place(&place);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(recipients_open_it),
      cmocka_unit_test(anothers_key_does_not),
      cmocka_unit_test(every_text_is_new),
      cmocka_unit_test(lengths_up_to_the_limit_open),
      cmocka_unit_test(recipients_are_bounded),
      cmocka_unit_test(other_keys_do_not_receive),
      cmocka_unit_test(without_room_there_is_nothing),
      cmocka_unit_test(white_space_does_not_matter),
      cmocka_unit_test(it_is_canonical),
      cmocka_unit_test(it_follows_the_schema),
      cmocka_unit_test(other_algorithms_are_refused),
      cmocka_unit_test(references_are_refused),
      cmocka_unit_test(wrapping_is_refused),
      cmocka_unit_test(attributes_and_extras_are_refused),
      cmocka_unit_test(a_short_content_key_is_refused),
      cmocka_unit_test(cuts_and_flips_are_refused),
      cmocka_unit_test(huge_and_nothing_are_refused),
      cmocka_unit_test(the_xmlsec1_tool_agrees),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
