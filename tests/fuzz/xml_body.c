/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a body, a record and a value. Records that were read must read alone, and as a
 * store would read them again. */
#include <stdlib.h>

#include "xml/body.h"
#include "xml/sight.h"

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

static bool same(const struct xml_record *a, const struct xml_record *b) {
  return slice_equal(a->bytes, b->bytes) && slice_equal(a->key_text, b->key_text) &&
         slice_equal(a->nonce, b->nonce) && slice_equal(a->value, b->value) &&
         slice_equal(a->value_digest, b->value_digest) && a->has_value == b->has_value &&
         a->version == b->version && a->floor == b->floor && a->expires == b->expires &&
         a->removed == b->removed && a->has_owner == b->has_owner &&
         key_equal(&a->owner, &b->owner) && key_equal(&a->signer, &b->signer);
}

/* What is known at sight, expat reads in the same way; it is made to by a line end behind. */
static void compare(struct xml_reader *reader, struct slice text) {
  static struct xml_body sight, expat;
  static char loose[XML_BODY_BYTES_MAX];
  const char *why;
  sight.record[0] = (struct xml_record){0};
  sight.call = false;
  if (text.len + 1 > sizeof loose || !sight_read(text, &sight)) return;
  memcpy(loose, text.at, text.len);
  loose[text.len] = '\n';
  check(xml_body_read(reader, slice_of(loose, text.len + 1), &expat, &why) == OK);
  check(expat.call == sight.call && (!sight.call || expat.method == sight.method));
  check(expat.record_count == sight.record_count && sight.record_count > 0);
  for (unsigned i = 0; i < sight.record_count; i++) check(same(&sight.record[i], &expat.record[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct memory memory = {take, give, NULL};
  static struct xml_reader *reader, *second;
  static struct xml_body body;
  if (reader == NULL) reader = xml_reader_new(&memory, 1);
  if (second == NULL) second = xml_reader_new(&memory, 2);
  struct slice text = slice_of(data, size);
  compare(reader, text);
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
    unsigned of_value;
    if (xml_contacts_read(second, r->bytes, contact, &count, &why) == OK)
      check(xml_contacts_read(second, r->value, contact, &of_value, &why) == OK &&
            of_value == count);
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
