/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/message.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/keys.h"
#include "crypto/certificate.h"
#include "crypto/record_sign.h"
#include "sip/print.h"
#include "xml/body.h"

#define ANSWER_BODY_BYTES 436

static void put_number(char *at, uint64_t number) {
  for (int i = 15; i >= 0; i--, number >>= 4) at[i] = "0123456789abcdef"[number & 15];
}

static void put_head(struct buf *out, const struct endpoint *from, struct slice key_text,
                     const struct key *key, uint64_t number) {
  buf_put_cstr(out, "LOCSER ");
  buf_put(out, key_text);
  buf_put_cstr(out, " SIP/2.0\r\nVia: SIP/2.0/");
  buf_put_cstr(out, endpoint_is_stream(from) ? "TCP " : "UDP ");
  endpoint_put(out, from);
  buf_put_cstr(out, ";branch=z9hG4bK");
  buf_put_hex64(out, number, 16);
  buf_put_cstr(out, ";rport\r\nOverlay-Key: ");
  key_put(out, key);
  buf_put_cstr(out, ";overlay=locser;deadline=3900\r\nFrom: <sip:load@example.com>;" REQUEST_MARK
                    "\r\nTo: <");
  buf_put(out, key_text);
  buf_put_cstr(out, ">\r\nCall-ID: ");
  buf_put_hex64(out, number, 16);
  buf_put_cstr(out,
               "@example.com\r\nCSeq: 1 LOCSER\r\nMax-Forwards: 69\r\n"
               "Accept: text/xml, application/xml\r\n");
}

void request_make(struct request *out, const struct endpoint *from, struct slice key_text,
                  const struct key *key, bool loose) {
  char body_text[REQUEST_BYTES], query_text[512];
  struct buf body = buf_over(body_text, sizeof body_text);
  struct buf query = buf_over(query_text, sizeof query_text);
  struct buf all = buf_over(out->bytes, sizeof out->bytes);
  xml_put_query(&query, key_text, NULL);
  struct slice record = buf_slice(&query);
  xml_put_call(&body, XML_GET, &record, 1, NULL);
  if (loose) buf_put_char(&body, '\n');
  put_head(&all, from, key_text, key, 0);
  out->branch_at = slice_find(buf_slice(&all), SLICE("z9hG4bK")) + 7;
  out->call_at = slice_find(buf_slice(&all), SLICE("Call-ID: ")) + 9;
  buf_put_cstr(&all, "User-Agent: ");
  size_t rest = strlen("\r\nContent-Type: text/xml\r\nContent-Length: 000\r\n\r\n") + body.len;
  while (!all.overflow && all.len + rest < REQUEST_BYTES) buf_put_char(&all, 'x');
  buf_put_cstr(&all, "\r\n");
  sip_put_body(&all, "text/xml", buf_slice(&body));
  if (all.overflow || all.len != REQUEST_BYTES) {
    fprintf(stderr, "locser-bench: the request is not of %u bytes\n", REQUEST_BYTES);
    exit(1);
  }
}

/* One owner for all: 110 us for each signature is the client's cost. */
static enum err sign(struct slice record, struct buf *out) {
  static EVP_PKEY *key;
  static char memory[RECORD_CERTIFICATE_MAX];
  static struct buf certificate;
  if (key == NULL) {
    key = EVP_EC_gen("P-256");
    certificate = buf_over(memory, sizeof memory);
    if (key == NULL || certificate_make(key, &certificate) != OK) exit(1);
  }
  return record_sign(key, buf_slice(&certificate), record, out);
}

size_t request_make_put(char *out, size_t cap, const struct endpoint *from, struct slice key_text,
                        const struct key *key, uint64_t now_ms, uint64_t number, bool loose) {
  char value_text[512], record_text[2048], signed_text[4096], body_text[8192];
  struct buf value = buf_over(value_text, sizeof value_text);
  struct buf plain = buf_over(record_text, sizeof record_text);
  struct buf record = buf_over(signed_text, sizeof signed_text);
  struct buf body = buf_over(body_text, sizeof body_text);
  struct buf all = buf_over(out, cap);
  const struct contact contact = {.uri = SLICE("sip:bob@192.0.2.4:5060")};
  xml_put_contact_value(&value, &contact);
  const struct xml_record_new fresh = {.key_text = key_text,
                                       .nonce = SLICE("0"),
                                       .expires = now_ms + 3600000,
                                       .floor = now_ms + 3600000,
                                       .version = now_ms + number,
                                       .value = buf_slice(&value)};
  xml_put_record(&plain, &fresh);
  if (sign(buf_slice(&plain), &record) != OK) return 0;
  struct slice text = buf_slice(&record);
  xml_put_call(&body, XML_PUT_AUTH, &text, 1, NULL);
  if (loose) buf_put_char(&body, '\n');
  put_head(&all, from, key_text, key, number);
  sip_put_body(&all, "text/xml", buf_slice(&body));
  return all.overflow || body.overflow || record.overflow ? 0 : all.len;
}

void request_copy(const struct request *request, uint64_t number, char *out) {
  memcpy(out, request->bytes, REQUEST_BYTES);
  put_number(out + request->branch_at, number);
  put_number(out + request->call_at, number);
}

size_t answer_make(struct slice request, char *out, size_t cap) {
  static struct sip_message message;
  static char body[ANSWER_BODY_BYTES];
  struct sip_problem problem;
  if (body[0] == 0) memset(body, ' ', sizeof body);
  if (sip_message_parse(request, SIP_STREAM, &message, &problem) != OK || !message.request)
    return 0;
  struct buf all = buf_over(out, cap);
  sip_put_response_head(&all, &message, 200, NULL, SLICE("t"), NULL);
  sip_put_body(&all, "text/xml", slice_of(body, sizeof body));
  return all.overflow ? 0 : all.len;
}

struct key load_key(uint64_t n, char *text, size_t cap) {
  snprintf(text, cap, "sip:u%07llu@example.com", (unsigned long long)(n % 10000000));
  return crypto_key(bench_crypto(), slice_cstr(text));
}
