/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/record_model.h"

#include "base/immutable.h"
#include "base/succession.h"

static const struct slice secret = {"what no simulated peer knows", 28};

/* The hash is over both signed parts, and the owner stands in them. */
static void model_of(const struct crypto *crypto, struct slice both, uint8_t out[32]) {
  crypto->hmac_sha256(crypto->context, secret, both, out);
}

enum err record_model_sign(const struct crypto *crypto, const struct key *owner,
                           struct slice record, struct buf *out) {
  static const uint8_t none[RECORD_DIGEST_BYTES];
  struct record_layout layout;
  const char *why;
  enum err err = record_layout_read_unsigned(record, &layout, &why);
  if (err != OK) return err;
  uint8_t signature[32];
  char owner_text[KEY_HEX];
  struct buf digits = buf_over(owner_text, sizeof owner_text);
  key_put(&digits, owner);
  struct record_layout_signature parts = {.algorithm = RECORD_ECDSA_SHA256,
                                          .key_digest = none,
                                          .value_digest = none,
                                          .signature = slice_of(none, sizeof signature),
                                          .certificate = slice_of(owner->byte, KEY_BYTES)};
  size_t mark = out->len;
  record_layout_put_signed(out, &layout, buf_slice(&digits), &parts);
  if (out->overflow) return ERR_FULL;
  err = record_layout_read(slice_of(out->at + mark, out->len - mark), &layout, &why);
  if (err != OK) {
    buf_truncate(out, mark);
    return err;
  }
  model_of(crypto, layout.both, signature);
  struct buf place = buf_over(out->at + (layout.signature.at - out->at), layout.signature.len);
  buf_put_base64(&place, signature, sizeof signature);
  return OK;
}

static enum err verify_one(const struct crypto *crypto, struct slice record,
                           struct record_layout *out, const char **why) {
  struct record_layout layout;
  if (record_layout_read(record, &layout, why) != OK) return ERR_REFUSED;
  *out = layout;
  uint8_t wanted[32], there[32], owner[KEY_BYTES + 1];
  size_t len = sizeof there, owner_len = sizeof owner;
  model_of(crypto, layout.both, wanted);
  *why = "the signature is not of this record by this key";
  if (!base64_decode(layout.signature, there, &len) || len != sizeof wanted ||
      memcmp(wanted, there, sizeof wanted) != 0)
    return ERR_REFUSED;
  *why = "o:owner, or o:by, is not the hash of the certificate's key";
  bool same = base64_decode(layout.certificate, owner, &owner_len) && owner_len == KEY_BYTES &&
              memcmp(owner, layout.signer.byte, KEY_BYTES) == 0;
  return same ? OK : ERR_REFUSED;
}

enum err record_model_verify(const struct crypto *crypto, struct slice record, const char **why) {
  char text[SUCCESSION_BYTES_MAX];
  struct buf statement = buf_over(text, sizeof text);
  struct succession succession;
  struct record_layout layout;
  if (immutable_is_record(record)) return immutable_verify(crypto, record, why);
  if (verify_one(crypto, record, &layout, why) != OK) return ERR_REFUSED;
  struct slice before = slice_starts(layout.key_text, SUCCESSION_SCHEME)
                            ? succession_find(layout.content)
                            : SLICE_EMPTY;
  if (before.len == 0) return OK;
  *why = "o:before is not a statement that names this key";
  if (!succession_read(before, layout.key_text, &statement, &succession) ||
      !key_equal(&succession.to, &layout.owner))
    return ERR_REFUSED;
  return verify_one(crypto, buf_slice(&statement), &layout, why);
}
