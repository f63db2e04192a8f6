/* SPDX-License-Identifier: BSD-2-Clause */
/* Contacts as draft-singh-p2p-sip-01 section 4.1 writes them, with what SIP needs beside.
 */
#include "xml/record.h"
#include "xml/sight.h"

/* "0.75" -> 750: at most three decimals, 0 to 1. */
static bool parse_q(struct slice text, uint16_t *out) {
  size_t point = slice_find_byte(text, '.');
  struct slice whole = slice_first(text, point);
  struct slice decimals = slice_skip(text, point + 1);
  uint64_t n;
  if (!slice_to_u64(whole, 1, &n) || decimals.len > 3) return false;
  uint64_t permille = n * 1000, unit = 100;
  for (size_t i = 0; i < decimals.len; i++, unit /= 10) {
    if (decimals.at[i] < '0' || decimals.at[i] > '9') return false;
    permille += unit * (uint64_t)(decimals.at[i] - '0');
  }
  if (permille > 1000) return false;
  *out = (uint16_t)permille;
  return true;
}

/* The values of a Path header field, cut at the commas outside of <> and quotes. */
static bool split_path(struct slice text, struct contact *out) {
  bool quoted = false, angled = false;
  size_t from = 0;
  for (size_t i = 0; i <= text.len; i++) {
    char c = i < text.len ? text.at[i] : ',';
    if (c == '\\' && quoted && i + 1 < text.len)
      i++;
    else if (c == '"' && !angled)
      quoted = !quoted;
    else if (!quoted && c == '<')
      angled = true;
    else if (!quoted && c == '>')
      angled = false;
    if (c != ',' || ((quoted || angled) && i < text.len)) continue;
    struct slice value = slice_trim(slice_of(text.at + from, i - from));
    from = i + 1;
    if (value.len == 0) continue;
    if (out->path_count == CONTACT_PATHS_MAX) return false;
    out->path[out->path_count++] = value;
  }
  return true;
}

static struct contact *add_contact(struct xml_reader *r) {
  if (r->contact_count == CONTACTS_MAX) {
    reader_refuse(r, ERR_LIMIT, "more than 32 contacts");
    return NULL;
  }
  struct contact *c = &r->contact[r->contact_count++];
  *c = (struct contact){.q_permille = 1000};
  return c;
}

/* What is given; all of it is in the scratch. */
static enum err set_contact(struct contact *c, const struct contact_text *text, const char **why) {
  uint64_t n = 0;
  c->instance = text->instance;
  if (text->priority.at != NULL && !parse_q(text->priority, &c->q_permille))
    *why = "priority of a contact is not a number from 0 to 1";
  else if (text->expires.at != NULL && !xml_time_parse(text->expires, &c->expires))
    *why = "expires of a contact is not a dateTime in UTC";
  else if (text->reg_id.at != NULL && !slice_to_u64(text->reg_id, UINT32_MAX, &n))
    *why = "o:reg-id of a contact is not a number below 2^32";
  else if (text->path.at != NULL && !split_path(text->path, c)) {
    *why = "contact with more than 4 Path values";
    return ERR_LIMIT;
  }
  c->reg_id = (uint32_t)n;
  return *why == NULL ? OK : ERR_SYNTAX;
}

static struct slice kept(struct xml_reader *r, const XML_Char **attributes, const char *name,
                         bool ours) {
  const char *value = reader_attribute(attributes, name, ours);
  return value == NULL ? SLICE_EMPTY : reader_keep(r, slice_cstr(value));
}

static void start_contact(struct xml_reader *r, const struct rule *rule,
                          const XML_Char **attributes) {
  struct contact *c = add_contact(r);
  (void)rule;
  if (c == NULL) return;
  const struct contact_text text = {.priority = kept(r, attributes, "priority", false),
                                    .expires = kept(r, attributes, "expires", false),
                                    .instance = kept(r, attributes, "instance", true),
                                    .reg_id = kept(r, attributes, "reg-id", true),
                                    .path = kept(r, attributes, "path", true)};
  const char *why = NULL;
  enum err err = set_contact(c, &text, &why);
  if (err != OK) reader_refuse(r, err, why);
}

static void end_contact(struct xml_reader *r, const struct rule *rule, struct slice text) {
  (void)rule;
  r->contact[r->contact_count - 1].uri = slice_trim(text);
  if (slice_trim(text).len == 0) reader_refuse(r, ERR_SYNTAX, "contact without a URI");
}

static void end_plain(struct xml_reader *r, const struct rule *rule, struct slice text) {
  struct contact *c = add_contact(r);
  if (c != NULL) end_contact(r, rule, text);
}

/* In a value's own bytes, or in the record that they are in. */
#define CONTACTS_SPACES (NS_NONE | NS_DHT | NS_SIP)
static const struct rule rules[] = {
    {IN(EL_CONTACTS_DOCUMENT), NS_NONE, "value", EL_VALUE, false, 0, NULL, NULL},
    {IN(EL_VALUE), NS_NONE | NS_DHT, "dhtRecord", EL_RECORD, false, 0, NULL, NULL},
    {IN(EL_RECORD), NS_NONE | NS_DHT, "value", EL_VALUE, false, 0, NULL, NULL},
    {IN(EL_VALUE), CONTACTS_SPACES, "contacts", EL_CONTACTS, false, 0, NULL, NULL},
    {IN(EL_VALUE), NS_NONE | NS_DHT, "string", EL_SCALAR, true, 0, NULL, end_plain},
    {IN(EL_CONTACTS), CONTACTS_SPACES, "contact", EL_SCALAR, true, 0, start_contact, end_contact},
};

/* Without escapes, in the scratch. */
static struct slice unescaped(struct xml_reader *r, struct slice text) {
  if (text.at == NULL) return text;
  size_t from = r->scratch.len;
  sight_unescape(&r->scratch, text);
  return slice_of(r->scratch.at + from, r->scratch.len - from);
}

/* What is wrong is left to expat, which says where. */
static bool read_at_sight(struct xml_reader *r, struct slice value) {
  struct contact_text text;
  const char *why = NULL;
  if (!sight_contact(value, &text)) return false;
  struct contact *c = add_contact(r); /* the first: there is room */
  text.priority = unescaped(r, text.priority);
  text.expires = unescaped(r, text.expires);
  text.instance = unescaped(r, text.instance);
  text.reg_id = unescaped(r, text.reg_id);
  text.path = unescaped(r, text.path);
  c->uri = slice_trim(unescaped(r, text.uri));
  return set_contact(c, &text, &why) == OK && !r->scratch.overflow && c->uri.len > 0;
}

static void begin(struct xml_reader *reader, struct contact *out) {
  reader_begin(reader);
  reader->contact = out;
}

enum err xml_contacts_read(struct xml_reader *reader, struct slice value, struct contact *out,
                           unsigned *count, const char **why) {
  const struct slice pieces[] = {SLICE("<value xmlns:o=\"" XML_NS_OVERLAY "\">"), value,
                                 SLICE("</value>")};
  *count = 0;
  begin(reader, out);
  if (read_at_sight(reader, value)) {
    *count = 1;
    return OK;
  }
  begin(reader, out);
  enum err err =
      reader_parse(reader, rules, sizeof rules / sizeof *rules, EL_CONTACTS_DOCUMENT, pieces, 3);
  if (err == OK) *count = reader->contact_count;
  return reader_result(reader, why);
}
