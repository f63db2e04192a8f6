/* SPDX-License-Identifier: BSD-2-Clause */
#include "usage/certificate.h"

#include "base/record_layout.h"
#include "base/succession.h"
#include "xml/body.h"

/* The same for each put, so that a user has one such record. */
#define NONCE SLICE("certificate")
#define SINCE SLICE("<o:since>")
#define SIGNS                                                                      \
  SLICE(                                                                           \
      "</o:since><KeyInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><X509Data>" \
      "<X509Certificate>")
#define RECEIVES SLICE("</X509Certificate></X509Data><X509Data><X509Certificate>")
#define END SLICE("</X509Certificate></X509Data></KeyInfo>")

void certificate_put_key(struct buf *out, struct slice address) {
  if (slice_starts(address, SLICE("sip:"))) address = slice_skip(address, 4);
  buf_put_cstr(out, "certificate:");
  buf_put(out, address);
}

static void put_value(struct buf *out, const struct certificate_new *record) {
  buf_put(out, SINCE);
  xml_put_time(out, record->since);
  buf_put(out, SIGNS);
  buf_put_base64(out, record->signs.at, record->signs.len);
  if (record->receives.len > 0) buf_put(out, RECEIVES);
  buf_put_base64(out, record->receives.at, record->receives.len);
  buf_put(out, END);
  if (record->before.len > 0) succession_put(out, record->before);
}

void certificate_put_record(struct buf *out, const struct certificate_new *record) {
  char key_text[XML_KEY_BYTES_MAX],
      value_text[(2 * RECORD_CERTIFICATE_MAX + SUCCESSION_BYTES_MAX) * 4 / 3 + 512];
  struct buf key = buf_over(key_text, sizeof key_text);
  struct buf value = buf_over(value_text, sizeof value_text);
  certificate_put_key(&key, record->address);
  put_value(&value, record);
  const struct xml_record_new text = {.key_text = buf_slice(&key),
                                      .nonce = NONCE,
                                      .expires = record->expires,
                                      .floor = record->expires,
                                      .version = record->version,
                                      .value = buf_slice(&value)};
  if (key.overflow || value.overflow)
    out->overflow = true;
  else
    xml_put_record(out, &text);
}

/* Text up to the next tag. */
static bool take(struct slice *rest, struct slice before, struct slice *out) {
  if (!slice_starts(*rest, before)) return false;
  *rest = slice_skip(*rest, before.len);
  *out = slice_first(*rest, slice_find_byte(*rest, '<'));
  *rest = slice_skip(*rest, out->len);
  return out->len > 0;
}

static bool read_value(struct slice value, struct certificate_value *out) {
  struct slice since;
  *out = (struct certificate_value){0};
  if (!take(&value, SINCE, &since) || !xml_time_parse(since, &out->since) || out->since == 0 ||
      !take(&value, SIGNS, &out->signs))
    return false;
  if (slice_starts(value, RECEIVES) && !take(&value, RECEIVES, &out->receives)) return false;
  if (!slice_take(&value, END)) return false;
  out->before = succession_find(value);
  return value.len == 0 || succession_is_all(value);
}

bool certificate_read_value(struct slice value, struct certificate_value *out) {
  if (read_value(value, out)) return true;
  *out = (struct certificate_value){0};
  return false;
}

bool certificate_read_before(struct slice before, struct slice key_text, const struct key *owner,
                             msec_wall now, struct key *from, msec_wall *named) {
  char text[SUCCESSION_BYTES_MAX];
  struct buf statement = buf_over(text, sizeof text);
  struct succession succession;
  msec_wall until = 0;
  if (before.len == 0 || !succession_read(before, key_text, &statement, &succession) ||
      !key_equal(&succession.to, owner) || !xml_time_parse(succession.until, &until) ||
      until <= now)
    return false;
  *from = succession.from;
  *named = succession.version / 256;
  return true;
}
