/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a body, a record and a value. Records that were read must read alone, and as a
 * store would read them again. */
#include <stdlib.h>

#include "xml/body.h"

static void *take(void *context, size_t bytes) {
  (void)context;
  return malloc(bytes);
}
static void give(void *context, void *at, size_t bytes) {
  (void)context, (void)bytes;
  free(at);
}

static void check(bool promise) {
  if (!promise) abort();
}

static bool within(struct slice inner, struct slice outer) {
  return inner.len == 0 || (inner.at >= outer.at && inner.at + inner.len <= outer.at + outer.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct memory memory = {take, give, NULL};
  static struct xml_reader *reader, *second;
  static struct xml_body body;
  if (reader == NULL) reader = xml_reader_new(&memory, 1);
  if (second == NULL) second = xml_reader_new(&memory, 2);
  struct slice text = slice_of(data, size);
  const char *why = NULL;
  struct contact contact[CONTACTS_MAX];
  unsigned count;
  enum err err = xml_body_read(reader, text, &body, &why);
  check(err == OK || why != NULL);
  check(body.record_count <= XML_RECORDS_MAX && body.overlay.peer_count <= XML_PEERS_MAX);
  for (unsigned i = 0; err == OK && i < body.record_count; i++) {
    struct xml_record again;
    const struct xml_record *r = &body.record[i];
    check(within(r->value, r->bytes));
    if (!r->has_value) continue;
    check(xml_record_read(second, r->bytes, &again, &why) == OK);
    check(slice_equal(again.bytes, r->bytes) && slice_equal(again.key_text, r->key_text) &&
          slice_equal(again.nonce, r->nonce) && slice_equal(again.value, r->value) &&
          again.version == r->version && again.floor == r->floor && again.removed == r->removed);
    err = xml_contacts_read(second, r->bytes, contact, &count, &why);
    err = OK;
  }
  why = NULL;
  err = xml_contacts_read(reader, text, contact, &count, &why);
  check(err == OK || (why != NULL && count == 0));
  char key[2048];
  struct buf out = buf_over(key, sizeof key);
  if (xml_key_canonical(text, &out) == OK) { /* canonical text is its own canonical text */
    char twice[2048];
    struct buf out2 = buf_over(twice, sizeof twice);
    check(xml_key_canonical(buf_slice(&out), &out2) == OK);
    check(slice_equal(buf_slice(&out), buf_slice(&out2)));
  }
  msec_wall time;
  if (xml_time_parse(text, &time)) {
    out = buf_over(key, sizeof key);
    xml_put_time(&out, time);
    msec_wall back;
    check(xml_time_parse(buf_slice(&out), &back) && back == time);
  }
  return 0;
}
