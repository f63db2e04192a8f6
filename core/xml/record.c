/* SPDX-License-Identifier: BSD-2-Clause */
#include "xml/record.h"
#include "base/immutable.h"
#include "base/record_layout.h"
#include "xml/sight.h"

void record_start(struct xml_reader *r, const struct rule *rule, const XML_Char **attributes) {
  (void)rule, (void)attributes;
  if (r->record_count == r->record_limit) {
    reader_refuse(r, ERR_LIMIT, "more than 64 records");
    return;
  }
  r->record[r->record_count] = (struct xml_record){0};
  r->record_from = reader_event_from(r);
  r->record_depth = r->depth;
  r->record_elements = r->elements - 1;
  r->foreign = false;
  r->key_inner = SLICE_EMPTY;
}

static struct xml_record *current(struct xml_reader *r) { return &r->record[r->record_count]; }

static bool same_place(struct slice a, struct slice b) { return a.at == b.at && a.len == b.len; }

/* One text for each time, or there would be several records of the same value and life. */
static bool is_written_so(struct slice text, msec_wall time) {
  char again[32];
  struct buf out = buf_over(again, sizeof again);
  xml_put_time(&out, time);
  return time != 0 && slice_equal(buf_slice(&out), text);
}

/* the same for an immutable value. It has no version: the later expiry wins. */
static void check_immutable(struct xml_reader *r, struct xml_record *record) {
  struct immutable_layout layout;
  const char *why;
  enum err err = immutable_layout_read(record->bytes, &layout, &why);
  if (err != OK) {
    reader_refuse(r, err, why);
  } else if (!same_place(layout.key_text, r->key_inner) ||
             !same_place(layout.content, record->value)) {
    reader_refuse(r, ERR_SYNTAX, "dhtRecord whose key and value are not where its layout has them");
  } else if (!is_written_so(layout.expires, record->expires)) {
    reader_refuse(r, ERR_SYNTAX, "expires of an immutable value has not three decimals");
  }
  record->immutable = true;
  record->has_owner = true;
  record->owner = (struct key){0};
  record->version = record->expires;
  record->floor = record->expires;
}

/* what is acted on are the very bytes that the layout says are signed. */
static void check_layout(struct xml_reader *r, struct xml_record *record) {
  struct record_layout layout;
  const char *why;
  enum err err = record_layout_read(record->bytes, &layout, &why);
  if (err != OK) {
    reader_refuse(r, err, why);
  } else if (!same_place(layout.key_text, r->key_inner) ||
             !same_place(layout.content, record->value)) {
    reader_refuse(r, ERR_SYNTAX, "dhtRecord whose key and value are not where its layout has them");
  }
  record->has_owner = true;
  record->owner = layout.owner;
  record->signer = layout.signer;
}

void record_end(struct xml_reader *r, const struct rule *rule, struct slice text) {
  struct xml_record *record = current(r);
  (void)rule, (void)text;
  record->bytes = slice_between(r->record_from, reader_event_to(r));
  r->record_depth = 0;
  if (record->key_text.len == 0)
    reader_refuse(r, ERR_SYNTAX, "dhtRecord without key");
  else if (record->has_value && r->foreign) /* a query is never stored */
    reader_refuse(r, ERR_SYNTAX, "dhtRecord uses a namespace declared outside of it");
  else if (record->has_value && immutable_is_key(record->key_text))
    check_immutable(r, record);
  else if (record->has_value)
    check_layout(r, record);
  if (r->why == NULL) r->record_count++;
}

void record_start_key(struct xml_reader *r, const struct rule *rule, const XML_Char **attributes) {
  (void)rule, (void)attributes;
  /* The scratch is never at NULL, so that an empty first key is noticed, too. */
  if (current(r)->key_text.at != NULL) reader_refuse(r, ERR_SYNTAX, "dhtRecord with two keys");
  r->key_inner = slice_of(reader_event_to(r), 0);
}

void record_end_key(struct xml_reader *r, const struct rule *rule, struct slice text) {
  struct xml_record *record = current(r);
  text = slice_trim(text);
  if (rule->element == EL_KEY) r->key_inner = slice_between(r->key_inner.at, reader_event_from(r));
  /* <key><string>: the child ended first. */
  if (rule->element == EL_KEY && record->key_text.at != NULL) return;
  if (record->key_text.len != 0)
    reader_refuse(r, ERR_SYNTAX, "dhtRecord with two keys");
  else if (text.len > XML_KEY_BYTES_MAX)
    reader_refuse(r, ERR_LIMIT, "key longer than 1024 bytes");
  else
    record->key_text = text;
}

static void read_time(struct xml_reader *r, const char *text, msec_wall *out, const char *why) {
  if (text != NULL && !xml_time_parse(slice_cstr(text), out)) reader_refuse(r, ERR_SYNTAX, why);
}

static void read_version(struct xml_reader *r, const char *text, uint64_t *out) {
  if (text == NULL) return;
  if (!slice_to_u64(slice_cstr(text), XML_VERSION_MAX, out) || *out == 0)
    reader_refuse(r, ERR_SYNTAX, "o:version is not a number from 1 to 2^62");
}

static void read_removed(struct xml_reader *r, const char *text, bool *out) {
  if (text == NULL) return;
  struct slice s = slice_cstr(text);
  *out = slice_equal(s, SLICE("true")) || slice_equal(s, SLICE("1"));
  if (!*out && !slice_equal(s, SLICE("false")) && !slice_equal(s, SLICE("0")))
    reader_refuse(r, ERR_SYNTAX, "o:removed is neither true nor false");
}

void record_start_value(struct xml_reader *r, const struct rule *rule,
                        const XML_Char **attributes) {
  struct xml_record *record = current(r);
  (void)rule;
  if (record->has_value) {
    reader_refuse(r, ERR_SYNTAX, "dhtRecord with two values");
    return;
  }
  record->has_value = true;
  r->value_from = reader_event_to(r);
  const char *nonce = reader_attribute(attributes, "nonce", false);
  if (nonce != NULL) record->nonce = reader_keep(r, slice_cstr(nonce));
  read_time(r, reader_attribute(attributes, "expires", false), &record->expires,
            "expires is not a dateTime in UTC");
  read_time(r, reader_attribute(attributes, "floor", true), &record->floor,
            "o:floor is not a dateTime in UTC");
  read_version(r, reader_attribute(attributes, "version", true), &record->version);
  read_removed(r, reader_attribute(attributes, "removed", true), &record->removed);
}

void record_end_value(struct xml_reader *r, const struct rule *rule, struct slice text) {
  (void)rule, (void)text;
  current(r)->value = slice_between(r->value_from, reader_event_from(r));
}

void record_end_value_digest(struct xml_reader *r, const struct rule *rule, struct slice text) {
  (void)rule;
  current(r)->value_digest = slice_trim(text);
}

void record_end_key_value(struct xml_reader *r, const struct rule *rule, struct slice text) {
  (void)rule;
  current(r)->key_hash = slice_trim(text);
}

void record_end_owner(struct xml_reader *r, const struct rule *rule, struct slice text) {
  struct xml_record *record = current(r);
  (void)rule;
  size_t len = sizeof record->owner.byte;
  if (record->has_owner)
    reader_refuse(r, ERR_SYNTAX, "dhtRecord with two owners");
  else if (!base64_decode(slice_trim(text), record->owner.byte, &len) || len != KEY_BYTES)
    reader_refuse(r, ERR_SYNTAX, "owner (DigestValue in KeyValue) is not base64 of 20 bytes");
  record->has_owner = true;
}

enum err xml_record_read(struct xml_reader *reader, struct slice bytes, struct xml_record *out,
                         const char **why) {
  static const struct rule rules[] = {XML_RECORD_RULES(IN(EL_RECORD_DOCUMENT))};
  reader_begin(reader);
  if (sight_record(bytes, out)) return OK;
  *out = (struct xml_record){0};
  reader->record = out;
  reader->record_limit = 1;
  enum err err =
      reader_parse(reader, rules, sizeof rules / sizeof *rules, EL_RECORD_DOCUMENT, &bytes, 1);
  if (err == OK && reader->record_count != 1) {
    *why = "root is not dhtRecord";
    return ERR_SYNTAX;
  }
  return reader_result(reader, why);
}

/* visible characters. */
static bool nonce_is_token(struct slice nonce) {
  for (size_t i = 0; i < nonce.len; i++)
    if (nonce.at[i] <= ' ' || nonce.at[i] > '~') return false;
  return true;
}

static const char *what_is_missing(const struct xml_record *record) {
  if (record->key_text.len == 0) return "dhtRecord without key";
  if (!record->has_value) return "dhtRecord without value";
  if (record->immutable) return NULL;
  if (record->nonce.len == 0) return "value without nonce";
  if (!nonce_is_token(record->nonce)) return "nonce is not a token";
  if (record->expires == 0) return "value without expires";
  if (record->version == 0) return "value without o:version";
  if (record->floor == 0) return "value without o:floor";
  if (record->floor < record->expires) return "o:floor is before expires";
  if (!record->has_owner) return "dhtRecord without owner";
  if (record->removed && record->floor != record->expires)
    return "removal whose expires is not its o:floor";
  if (record->removed && record->value_digest.len == 0) return "removal without DigestValue";
  return NULL;
}

static const char *what_is_too_large(const struct xml_record *record) {
  if (record->nonce.len > XML_NONCE_BYTES_MAX) return "nonce longer than 128 bytes";
  if (record->value.len > XML_VALUE_BYTES_MAX) return "value larger than 16384 bytes";
  if (record->bytes.len > XML_RECORD_BYTES_MAX) return "dhtRecord larger than 20480 bytes";
  return NULL;
}

enum err xml_record_check(const struct xml_record *record, const char **why) {
  const char *wrong = what_is_missing(record);
  const char *large = what_is_too_large(record);
  if (wrong == NULL && large == NULL) return OK;
  *why = wrong != NULL ? wrong : large;
  return wrong != NULL ? ERR_SYNTAX : ERR_LIMIT;
}

enum err xml_record_identify(const struct crypto *crypto, const struct xml_record *record,
                             struct buf *canonical, struct record *out, const char **why) {
  enum err err = xml_record_check(record, why);
  if (err != OK) return err;
  err = xml_key_canonical(record->key_text, canonical);
  if (err != OK) {
    *why = "key breaks the rules of its scheme";
    return err;
  }
  uint8_t digest[32];
  crypto->sha256(crypto->context, record->bytes, digest);
  *out = (struct record){.key = crypto_key(crypto, buf_slice(canonical)),
                         .owner = record->owner,
                         .version = record->version,
                         .floor = record->floor,
                         .expires = record->expires,
                         .tombstone = record->removed,
                         .lasting = slice_starts(buf_slice(canonical), SLICE("certificate:")) ||
                                    slice_starts(buf_slice(canonical), SLICE("private:")),
                         .bytes = record->bytes};
  memcpy(out->digest.byte, digest, KEY_BYTES);
  if (!record->immutable) out->nonce = crypto_key(crypto, record->nonce);
  return OK;
}
