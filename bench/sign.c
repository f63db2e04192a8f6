/* SPDX-License-Identifier: BSD-2-Clause */
/* What a signed put costs the peer that stores it, its store excluded, beside xmlsec alone. */
#include <libxml/parser.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmlsec/openssl/evp.h>
#include <xmlsec/xmldsig.h>

#include "base/record_layout.h"
#include "bench/bench.h"
#include "bench/keys.h"
#include "bench/message.h"
#include "bench/peer.h"
#include "crypto/certificate.h"
#include "crypto/record_verify.h"

/* Short rounds, and many: on a busy machine one of them is undisturbed. */
#define ROUNDS 40u
#define TIMES 35u
#define PUTS (ROUNDS * TIMES) /* of each kind: known at sight, and left to expat */
#define PUT_BYTES 4096u

struct put {
  size_t len, record_at, record_len;
  char bytes[PUT_BYTES];
};
struct bench {
  struct bench_peer peer;
  struct record_verifier *verifier, *forgetful; /* the latter remembers next to nothing */
  EVP_PKEY *key;
  struct endpoint client;
  struct put *put; /* 2 * PUTS, no two records of the same bytes */
  unsigned next, next_loose;
  unsigned answered, failed;
};

static struct slice record_of(const struct put *put) {
  return slice_of(put->bytes + put->record_at, put->record_len);
}

/* ---- xmlsec, as one would use it ---- */

static void add_id(xmlDocPtr doc, xmlNodePtr node, const char *id) {
  xmlAddID(NULL, doc, (const xmlChar *)id, xmlHasProp(node, (const xmlChar *)"Id"));
}

static bool verify_plainly(struct slice record, EVP_PKEY *key) {
  xmlDocPtr doc = xmlReadMemory(record.at, (int)record.len, NULL, NULL, XML_PARSE_NONET);
  if (doc == NULL) return false;
  xmlNodePtr first = xmlDocGetRootElement(doc)->children;
  add_id(doc, first, "One");
  add_id(doc, first->next, "Two");
  xmlSecDSigCtxPtr context = xmlSecDSigCtxCreate(NULL);
  EVP_PKEY_up_ref(key);
  context->signKey = xmlSecKeyCreate();
  xmlSecKeySetValue(context->signKey, xmlSecOpenSSLEvpKeyAdopt(key));
  bool good = xmlSecDSigCtxVerify(context, first->next->next) >= 0 &&
              context->status == xmlSecDSigStatusSucceeded;
  xmlSecDSigCtxDestroy(context);
  xmlFreeDoc(doc);
  return good;
}

static EVP_PKEY *key_of(struct slice record) {
  struct record_layout layout;
  struct certificate_key read;
  const char *why;
  uint8_t der[RECORD_CERTIFICATE_MAX + 2];
  size_t len = sizeof der;
  bool good = record_layout_read(record, &layout, &why) == OK &&
              base64_decode(layout.certificate, der, &len) &&
              certificate_read(slice_of(der, len), &read) == OK;
  return good ? read.key : NULL;
}

static void run_xmlsec(void *context, unsigned times) {
  struct bench *b = context;
  for (unsigned i = 0; i < times; i++) b->failed += !verify_plainly(record_of(&b->put[i]), b->key);
}

static void run_xmlsec_and_certificate(void *context, unsigned times) {
  struct bench *b = context;
  for (unsigned i = 0; i < times; i++) {
    EVP_PKEY *key = key_of(record_of(&b->put[i]));
    b->failed += !verify_plainly(record_of(&b->put[i]), key);
    EVP_PKEY_free(key);
  }
}

/* ---- ours ---- */

static void run_verify(void *context, unsigned times) {
  struct bench *b = context;
  const char *why;
  for (unsigned i = 0; i < times; i++)
    b->failed += record_verify(b->forgetful, record_of(&b->put[i]), &why) != OK;
}

static void run_verify_again(void *context, unsigned times) {
  struct bench *b = context;
  const char *why;
  for (unsigned i = 0; i < times; i++)
    b->failed += record_verify(b->verifier, record_of(&b->put[0]), &why) != OK;
}

static void count_answer(void *context, const struct output *output) {
  struct bench *b = context;
  b->answered += slice_starts(output->data, SLICE("SIP/2.0 200"));
}

static void step_put(struct bench *b, const struct put *put) {
  const struct input input = {
      .kind = IN_MESSAGE, .peer = b->client, .data = slice_of(put->bytes, put->len)};
  bench_peer_step(&b->peer, &input);
}

static void run_put(void *context, unsigned times) {
  struct bench *b = context;
  for (unsigned i = 0; i < times; i++) step_put(b, &b->put[b->next++ % PUTS]);
}

static void run_loose_put(void *context, unsigned times) {
  struct bench *b = context;
  for (unsigned i = 0; i < times; i++) step_put(b, &b->put[PUTS + b->next_loose++ % PUTS]);
}

static bool make_puts(struct bench *b) {
  b->put = calloc((size_t)2 * PUTS, sizeof *b->put);
  for (unsigned i = 0; b->put != NULL && i < 2 * PUTS; i++) {
    struct put *put = &b->put[i];
    char text[64];
    struct key key = load_key(i % 100 + i / PUTS * 100, text, sizeof text);
    put->len = request_make_put(put->bytes, sizeof put->bytes, &b->client, slice_cstr(text), &key,
                                bench_wall(), 1000000 + i, i >= PUTS);
    struct slice all = slice_of(put->bytes, put->len);
    put->record_at = slice_find(all, SLICE("<dhtRecord "));
    size_t end = slice_find(all, SLICE("</dhtRecord>"));
    if (put->len == 0 || end == all.len) return false;
    put->record_len = end + sizeof "</dhtRecord>" - 1 - put->record_at;
  }
  return b->put != NULL;
}

int bench_sign(void) {
  const struct endpoint at = {.addr = {127, 0, 0, 1}, .port = 5061, .family = 4};
  const struct key id = {{1}};
  struct bench b = {.client = {.addr = {127, 0, 0, 1}, .port = 5063, .family = 4}};
  b.verifier = record_verifier_new(16384, SLICE("bench"));
  b.forgetful = record_verifier_new(4, SLICE("bench"));
  if (b.verifier == NULL || b.forgetful == NULL || !make_puts(&b) ||
      !bench_peer_start(&b.peer, &id, &at, NULL, count_answer, &b))
    return 1;
  b.peer.verifier = b.verifier;
  b.key = key_of(record_of(&b.put[0]));
  struct bench_case cases[] = {
      {"xmlsec's own verify, key at hand", run_xmlsec, &b, 0},
      {"the same, and the certificate read", run_xmlsec_and_certificate, &b, 0},
      {"record_verify", run_verify, &b, 0},
      {"record_verify, seen before", run_verify_again, &b, 0},
      {"a put, from message to answer", run_put, &b, 0},
      {"a put whose body needs the parser", run_loose_put, &b, 0},
  };
  const unsigned count = sizeof cases / sizeof *cases;
  printf("  a put of %zu bytes, a record of %zu\n", b.put[0].len, b.put[0].record_len);
  bench_run(cases, count, ROUNDS, TIMES);
  bench_print(cases, count);
  printf(
      "  The key of the certificate is remembered from an earlier record in all but the second.\n");
  bool good = b.failed == 0 && b.answered == 2 * PUTS;
  if (!good) printf("  %u refused, %u of %u puts answered 200\n", b.failed, b.answered, 2 * PUTS);
  bench_peer_stop(&b.peer);
  record_verifier_free(b.verifier);
  record_verifier_free(b.forgetful);
  EVP_PKEY_free(b.key);
  free(b.put);
  return !good;
}
