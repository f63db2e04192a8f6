/* SPDX-License-Identifier: BSD-2-Clause */
#include "usage/location.h"

#include "xml/body.h"

#define RECORD_LIFE_MIN ((msec_wall)600 * 1000)

void location_put_nonce(struct buf *out, const struct crypto *crypto,
                        const struct contact *contact) {
  size_t mark = out->len;
  if (contact->instance.len != 0 && contact->reg_id != 0) {
    buf_put(out, contact->instance);
    buf_put_char(out, ' ');
    buf_put_u64(out, contact->reg_id);
  } else {
    buf_put(out, contact->uri);
  }
  if (out->overflow) return;
  struct key nonce = crypto_key(crypto, slice_of(out->at + mark, out->len - mark));
  buf_truncate(out, mark);
  key_put(out, &nonce);
}

msec_wall location_record_expires(msec_wall wall, uint32_t granted_s) {
  msec_wall life = (msec_wall)granted_s * 2 * 1000;
  return wall + (life < RECORD_LIFE_MIN ? RECORD_LIFE_MIN : life);
}

/* The value is written at the end of `out`, the record after it, and the value then taken away:
 * no second buffer, and no limit but that of `out`. */
static void drop_front(struct buf *out, size_t mark, size_t len) {
  if (out->overflow) return;
  memmove(out->at + mark, out->at + mark + len, out->len - mark - len);
  out->len -= len;
}

static void put_record(struct buf *out, const struct crypto *crypto, const struct contact *contact,
                       size_t mark, struct xml_record_new *record) {
  char nonce_text[KEY_HEX];
  /* Room for the text that is hashed, then for the hash. */
  struct buf nonce = buf_over(nonce_text, sizeof nonce_text);
  size_t before = out->len;
  location_put_nonce(out, crypto, contact);
  if (out->overflow) return;
  buf_put(&nonce, slice_of(out->at + before, out->len - before));
  buf_truncate(out, before);
  record->nonce = buf_slice(&nonce);
  xml_put_record(out, record);
  record->nonce = SLICE_EMPTY; /* its text ends with this function */
  drop_front(out, mark, before - mark);
}

void location_put_record(struct buf *out, const struct crypto *crypto, struct slice aor,
                         const struct contact *contact, uint64_t version, msec_wall expires,
                         msec_wall floor) {
  size_t mark = out->len;
  xml_put_contact_value(out, contact);
  struct xml_record_new record = {
      .key_text = aor, .expires = expires, .floor = floor, .version = version};
  if (out->overflow) return;
  record.value = slice_of(out->at + mark, out->len - mark);
  put_record(out, crypto, contact, mark, &record);
}

void location_put_removal(struct buf *out, const struct crypto *crypto, struct slice aor,
                          const struct contact *contact, uint64_t version_killed, msec_wall floor) {
  size_t mark = out->len;
  xml_put_contact_value(out, contact);
  if (out->overflow) return;
  struct key digest = crypto_key(crypto, slice_of(out->at + mark, out->len - mark));
  buf_truncate(out, mark);
  char digest_memory[(KEY_BYTES + 2) / 3 * 4];
  struct buf digest_text = buf_over(digest_memory, sizeof digest_memory);
  buf_put_base64(&digest_text, digest.byte, sizeof digest.byte);
  struct xml_record_new record = {.key_text = aor,
                                  .expires = floor, /* */
                                  .floor = floor,
                                  .version = version_killed + 1,
                                  .removed = true,
                                  .value_digest = buf_slice(&digest_text)};
  put_record(out, crypto, contact, mark, &record);
}
