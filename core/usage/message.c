/* SPDX-License-Identifier: BSD-2-Clause */
#include "usage/message.h"

#include "xml/body.h"

#define FROM SLICE("<o:from>")
#define SENT SLICE("</o:from><o:sent>")
#define TYPE SLICE("</o:sent><o:type>")
#define BODY SLICE("</o:type><o:body>")
#define END SLICE("</o:body>")

void message_put_key(struct buf *out, struct slice address) {
  if (slice_starts(address, SLICE("sip:"))) address = slice_skip(address, 4);
  buf_put_cstr(out, "offline:");
  buf_put(out, address);
}

void message_put_id(struct buf *out, const struct crypto *crypto, struct slice from,
                    struct slice call_id, uint64_t cseq) {
  uint8_t hash[32], number[8];
  for (unsigned i = 0; i < sizeof number; i++) number[i] = (uint8_t)(cseq >> 8 * i);
  crypto->sha256(crypto->context, from, hash);
  crypto->hmac_sha256(crypto->context, slice_of(hash, sizeof hash), call_id, hash);
  crypto->hmac_sha256(crypto->context, slice_of(hash, sizeof hash), slice_of(number, sizeof number),
                      hash);
  buf_put_hex(out, hash, MESSAGE_ID_BYTES / 2);
}

static void put_record(struct buf *out, struct slice to, struct xml_record_new *record) {
  char text[XML_KEY_BYTES_MAX];
  struct buf key = buf_over(text, sizeof text);
  message_put_key(&key, to);
  record->key_text = buf_slice(&key);
  if (key.overflow)
    out->overflow = true;
  else
    xml_put_record(out, record);
  record->key_text = SLICE_EMPTY; /* its text ends with this function */
}

/* The value is written at the end of `out`, the record after it, and the value then taken away. */
void message_put_letter(struct buf *out, const struct message *message) {
  size_t mark = out->len;
  buf_put(out, FROM);
  xml_put_text(out, message->from);
  buf_put(out, SENT);
  xml_put_time(out, message->sent);
  buf_put(out, TYPE);
  xml_put_text(out, message->type);
  buf_put(out, BODY);
  buf_put_base64(out, message->body.at, message->body.len);
  buf_put(out, END);
  if (out->overflow) return;
  size_t len = out->len - mark;
  struct xml_record_new record = {.nonce = message->id,
                                  .expires = message->sent + MESSAGE_LIFE_MS,
                                  .floor = message->sent + MESSAGE_LIFE_MS,
                                  .version = message->sent * 256,
                                  .value = slice_of(out->at + mark, len)};
  put_record(out, message->to, &record);
  if (out->overflow) return;
  memmove(out->at + mark, out->at + mark + len, out->len - mark - len);
  out->len -= len;
}

static bool take(struct slice *rest, struct slice before, struct slice *out) {
  if (!slice_take(rest, before)) return false;
  *out = slice_take_until(rest, '<');
  return true;
}

/* What xml_put_text escapes, unescaped. */
static struct slice plain_of(struct slice text, struct buf *work) {
  static const struct {
    struct slice escape;
    char is;
  } known[] = {{{"&amp;", 5}, '&'}, {{"&lt;", 4}, '<'}, {{"&gt;", 4}, '>'}, {{"&#xD;", 5}, '\r'}};
  size_t mark = work->len;
  while (text.len > 0) {
    unsigned i = 0;
    while (i < 4 && !slice_starts(text, known[i].escape)) i++;
    buf_put_char(work, i < 4 ? known[i].is : text.at[0]);
    text = slice_skip(text, i < 4 ? known[i].escape.len : 1);
  }
  return slice_of(work->at + mark, work->len - mark);
}

/* Nothing that could end a header line. */
static bool is_line(struct slice text, size_t max) {
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f) return false;
  return text.len > 0 && text.len <= max;
}

bool message_read_value(struct slice value, struct buf *work, struct message *out) {
  struct slice from, sent, type, body;
  if (!take(&value, FROM, &from) || !take(&value, SENT, &sent) || !take(&value, TYPE, &type) ||
      !take(&value, BODY, &body) || !slice_equal(value, END) || !xml_time_parse(sent, &out->sent))
    return false;
  out->from = plain_of(from, work);
  out->type = plain_of(type, work);
  size_t len = work->cap - work->len;
  if (work->overflow || body.len > MESSAGE_BODY_MAX * 2 ||
      !base64_decode(body, (uint8_t *)work->at + work->len, &len))
    return false;
  out->body = slice_of(work->at + work->len, len);
  work->len += len;
  return is_line(out->from, XML_KEY_BYTES_MAX) && is_line(out->type, MESSAGE_TYPE_MAX) &&
         out->body.len <= MESSAGE_BODY_MAX;
}

void message_put_record(struct buf *out, struct slice to, struct slice id, struct slice sealed,
                        uint64_t version, msec_wall expires) {
  struct xml_record_new record = {
      .nonce = id, .expires = expires, .floor = expires, .version = version, .value = sealed};
  put_record(out, to, &record);
}

void message_put_claim_value(struct buf *out, const struct key *peer) {
  buf_put_cstr(out, "<o:claim>");
  key_put(out, peer);
  buf_put_cstr(out, "</o:claim>");
}

void message_put_removal(struct buf *out, const struct crypto *crypto, struct slice to,
                         const struct message_stored *stored, bool own) {
  char text[(KEY_BYTES + 2) / 3 * 4];
  struct buf digest = buf_over(text, sizeof text);
  struct key hash = crypto_key(crypto, stored->value);
  buf_put_base64(&digest, hash.byte, KEY_BYTES);
  struct xml_record_new record = {.nonce = stored->nonce,
                                  .expires = stored->floor, /* */
                                  .floor = stored->floor,
                                  .version = stored->version + 1,
                                  .removed = true,
                                  .value_digest = buf_slice(&digest),
                                  .owner = own ? NULL : &stored->owner};
  put_record(out, to, &record);
}

bool message_is_claim(struct slice nonce) { return slice_equal(nonce, SLICE(MESSAGE_CLAIM_NONCE)); }
