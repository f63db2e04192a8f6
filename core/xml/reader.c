/* SPDX-License-Identifier: BSD-2-Clause */
#include "xml/reader.h"

/* expat joins the parts of a name by this; it refuses it inside of a namespace's own name. */
#define SEPARATOR '\n'

struct xml_reader *xml_reader_new(const struct memory *memory, uint64_t salt) {
  struct xml_reader *r = memory_take(memory, sizeof *r);
  if (r == NULL) return NULL;
  r->memory = memory;
  /* 0 would make expat look for entropy itself. */
  r->salt = (unsigned long)salt | 1;
  const XML_Char separator[2] = {SEPARATOR, 0};
  r->parser = XML_ParserCreate_MM("UTF-8", NULL, separator);
  if (r->parser == NULL) {
    memory_give(memory, r, sizeof *r);
    return NULL;
  }
  return r;
}

void xml_reader_free(struct xml_reader *reader) {
  if (reader == NULL) return;
  XML_ParserFree(reader->parser);
  memory_give(reader->memory, reader, sizeof *reader);
}

void reader_refuse(struct xml_reader *r, enum err err, const char *why) {
  if (r->why != NULL) return;
  r->err = err;
  r->why = why;
  r->line = (unsigned)XML_GetCurrentLineNumber(r->parser);
  r->column = (unsigned)XML_GetCurrentColumnNumber(r->parser) + 1;
  XML_StopParser(r->parser, XML_FALSE);
}

const char *reader_event_from(const struct xml_reader *r) {
  return r->document.at + XML_GetCurrentByteIndex(r->parser);
}

const char *reader_event_to(const struct xml_reader *r) {
  return reader_event_from(r) + XML_GetCurrentByteCount(r->parser);
}

struct slice reader_keep(struct xml_reader *r, struct slice text) {
  size_t from = r->scratch.len;
  buf_put(&r->scratch, text);
  if (r->scratch.overflow) {
    reader_refuse(r, ERR_LIMIT, "too much text");
    return SLICE_EMPTY;
  }
  return slice_of(r->scratch.at + from, text.len);
}

/* "uri\nlocal\nprefix", "uri\nlocal" or "local". */
struct name {
  uint32_t space;
  struct slice local;
  struct slice prefix;
};

static uint32_t space_of(struct slice uri) {
  if (slice_equal(uri, SLICE(XML_NS_DHT))) return NS_DHT;
  if (slice_equal(uri, SLICE(XML_NS_SIP))) return NS_SIP;
  if (slice_equal(uri, SLICE(XML_NS_OVERLAY))) return NS_OVERLAY;
  if (slice_equal(uri, SLICE(XML_NS_DSIG))) return NS_DSIG;
  return NS_OTHER;
}

static struct name split_name(const XML_Char *text) {
  struct slice all = slice_cstr(text);
  size_t first = slice_find_byte(all, SEPARATOR);
  if (first == all.len) return (struct name){NS_NONE, all, SLICE_EMPTY};
  struct slice rest = slice_skip(all, first + 1);
  size_t second = slice_find_byte(rest, SEPARATOR);
  return (struct name){space_of(slice_first(all, first)), slice_first(rest, second),
                       slice_skip(rest, second + 1)};
}

const char *reader_attribute(const XML_Char **attributes, const char *name, bool ours) {
  for (; *attributes != NULL; attributes += 2) {
    if (!ours) { /* a name without a namespace is there as it is, and no other has its bytes */
      if (strcmp(attributes[0], name) == 0) return attributes[1];
      continue;
    }
    struct name n = split_name(attributes[0]);
    if (n.space == NS_OVERLAY && slice_equal(n.local, slice_cstr(name))) return attributes[1];
  }
  return NULL;
}

/* A record is stored without what is around it, so every namespace it uses must be declared in
 * it. */
static void check_declared_inside(struct xml_reader *r, struct name name) {
  if (name.space == NS_NONE || slice_equal(name.prefix, SLICE("xml"))) return;
  for (unsigned i = r->binding_count; i-- > 0;) {
    if (!slice_equal(slice_cstr(r->binding[i].prefix), name.prefix)) continue;
    if (r->binding[i].depth < r->record_depth) r->foreign = true;
    return;
  }
}

static void check_record_limits(struct xml_reader *r) {
  if (r->depth - r->record_depth >= XML_RECORD_DEPTH_MAX)
    reader_refuse(r, ERR_LIMIT, "dhtRecord nested deeper than 12");
  else if (r->elements - r->record_elements > XML_RECORD_ELEMENTS_MAX)
    reader_refuse(r, ERR_LIMIT, "dhtRecord of more than 120 elements");
}

static const struct rule *find_rule(const struct xml_reader *r, struct name name) {
  enum element parent = r->root;
  if (r->depth > 1) {
    const struct rule *rule = r->frame[r->depth - 2].rule;
    parent = rule == NULL ? EL_OTHER : rule->element;
  }
  for (unsigned i = 0; i < r->rule_count; i++) {
    const struct rule *rule = &r->rules[i];
    if ((rule->parents & IN(parent)) != 0 && (rule->spaces & name.space) != 0 &&
        slice_equal(name.local, slice_cstr(rule->name)))
      return rule;
  }
  return NULL;
}

static void on_start(void *user, const XML_Char *text, const XML_Char **attributes) {
  struct xml_reader *r = user;
  if (r->why != NULL) return;
  if (r->depth == XML_DEPTH_MAX) {
    reader_refuse(r, ERR_LIMIT, "elements nested deeper than 16");
    return;
  }
  if (++r->elements > XML_ELEMENTS_MAX) {
    reader_refuse(r, ERR_LIMIT, "more than 8192 elements");
    return;
  }
  struct name name = split_name(text);
  if (r->depth > 0) {
    struct frame *parent = &r->frame[r->depth - 1];
    if (parent->collects) parent->text_to = r->scratch.len;
    parent->collects = false;
  }
  r->depth++;
  const struct rule *rule = find_rule(r, name);
  if (r->depth == 1) r->is_known_root = rule != NULL;
  r->frame[r->depth - 1] = (struct frame){.rule = rule,
                                          .text_from = r->scratch.len,
                                          .text_to = r->scratch.len,
                                          .collects = rule != NULL && rule->text};
  if (rule != NULL && rule->start != NULL) rule->start(r, rule, attributes);
  unsigned count = 0;
  if (r->record_depth != 0) check_declared_inside(r, name);
  for (const XML_Char **a = attributes; *a != NULL; a += 2, count++)
    if (r->record_depth != 0) check_declared_inside(r, split_name(*a));
  if (r->record_depth != 0) check_record_limits(r);
  if (count > XML_ATTRIBUTES_MAX)
    reader_refuse(r, ERR_LIMIT, "element with more than 24 attributes");
  /* The attributes went into the scratch before the text does. */
  if (r->frame[r->depth - 1].collects)
    r->frame[r->depth - 1].text_from = r->frame[r->depth - 1].text_to = r->scratch.len;
}

static void on_end(void *user, const XML_Char *text) {
  struct xml_reader *r = user;
  (void)text;
  if (r->why != NULL) return;
  struct frame *frame = &r->frame[r->depth - 1];
  if (frame->collects) frame->text_to = r->scratch.len;
  const struct rule *rule = frame->rule;
  if (rule != NULL && rule->end != NULL)
    rule->end(r, rule,
              slice_of(r->scratch.at + frame->text_from, frame->text_to - frame->text_from));
  r->depth--;
}

static void on_text(void *user, const XML_Char *text, int len) {
  struct xml_reader *r = user;
  if (r->why != NULL || r->depth == 0 || !r->frame[r->depth - 1].collects) return;
  buf_put(&r->scratch, slice_of(text, (size_t)len));
  if (r->scratch.overflow) reader_refuse(r, ERR_LIMIT, "too much text");
}

static void on_namespace(void *user, const XML_Char *prefix, const XML_Char *uri) {
  struct xml_reader *r = user;
  (void)uri;
  if (r->why != NULL) return;
  struct slice text = prefix == NULL ? SLICE_EMPTY : slice_cstr(prefix);
  if (r->binding_count == BINDINGS_MAX || text.len > PREFIX_BYTES_MAX) {
    reader_refuse(r, ERR_LIMIT,
                  text.len > PREFIX_BYTES_MAX ? "namespace prefix longer than 31 bytes"
                                              : "more than 48 namespace declarations in force");
    return;
  }
  struct binding *b = &r->binding[r->binding_count++];
  *b = (struct binding){.depth = r->depth + 1};
  if (text.len > 0) memcpy(b->prefix, text.at, text.len);
}

static void on_namespace_end(void *user, const XML_Char *prefix) {
  struct xml_reader *r = user;
  (void)prefix;
  if (r->why == NULL && r->binding_count > 0) r->binding_count--;
}

/* */
static void on_doctype(void *user, const XML_Char *name, const XML_Char *system_id,
                       const XML_Char *public_id, int has_subset) {
  (void)name, (void)system_id, (void)public_id, (void)has_subset;
  reader_refuse(user, ERR_SYNTAX, "DOCTYPE is not allowed");
}

static void on_instruction(void *user, const XML_Char *target, const XML_Char *data) {
  (void)target, (void)data;
  reader_refuse(user, ERR_SYNTAX, "processing instructions are not allowed");
}

static void on_declaration(void *user, const XML_Char *version, const XML_Char *encoding,
                           int standalone) {
  (void)version, (void)standalone;
  if (encoding != NULL && !slice_equal_nocase(slice_cstr(encoding), SLICE("UTF-8")))
    reader_refuse(user, ERR_SYNTAX, "XML encoding is not UTF-8");
}

/* expat forgets its handlers and its salt at each reset. */
static void prepare(struct xml_reader *r) {
  XML_ParserReset(r->parser, "UTF-8");
  XML_SetHashSalt(r->parser, r->salt);
  XML_SetReturnNSTriplet(r->parser, 1);
  XML_SetUserData(r->parser, r);
  XML_SetElementHandler(r->parser, on_start, on_end);
  XML_SetCharacterDataHandler(r->parser, on_text);
  XML_SetNamespaceDeclHandler(r->parser, on_namespace, on_namespace_end);
  XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
  XML_SetProcessingInstructionHandler(r->parser, on_instruction);
  XML_SetXmlDeclHandler(r->parser, on_declaration);
}

/* Which element is open where another one's end tag came, for those that people write. */
static const char *unclosed_element(const struct xml_reader *r) {
  const struct rule *rule = r->depth == 0 ? NULL : r->frame[r->depth - 1].rule;
  if (rule == NULL) return "an element is not closed";
  static const struct {
    enum element element;
    const char *why;
  } phrases[] = {
      {EL_CALL, "methodCall is not closed"},
      {EL_RESPONSE, "methodResponse is not closed"},
      {EL_METHOD_NAME, "methodName is not closed"},
      {EL_PARAMS, "params is not closed"},
      {EL_PARAM, "param is not closed"},
      {EL_RECORD, "dhtRecord is not closed"},
      {EL_KEY, "key is not closed"},
      {EL_VALUE, "value is not closed"},
      {EL_KEY_INFO, "KeyInfo is not closed"},
      {EL_KEY_VALUE, "KeyValue is not closed"},
      {EL_OVERLAY, "overlay is not closed"},
      {EL_RECORDS, "dhtRecords is not closed"},
  };
  for (unsigned i = 0; i < sizeof phrases / sizeof *phrases; i++)
    if (phrases[i].element == rule->element) return phrases[i].why;
  return "an element is not closed";
}

static const char *syntax_phrase(const struct xml_reader *r, int code) {
  switch (code) {
    case XML_ERROR_NO_ELEMENTS:
      return "body without an element";
    case XML_ERROR_TAG_MISMATCH:
      return unclosed_element(r);
    case XML_ERROR_UNCLOSED_TOKEN:
      return "body ends inside of a tag";
    case XML_ERROR_UNCLOSED_CDATA_SECTION:
      return "CDATA section is not closed";
    case XML_ERROR_PARTIAL_CHAR:
      return "body ends inside of a character";
    case XML_ERROR_DUPLICATE_ATTRIBUTE:
      return "attribute given twice";
    case XML_ERROR_JUNK_AFTER_DOC_ELEMENT:
      return "something follows the root element";
    case XML_ERROR_UNDEFINED_ENTITY:
      return "entity is not one of the five predefined ones";
    case XML_ERROR_BAD_CHAR_REF:
      return "character reference to no character";
    case XML_ERROR_UNBOUND_PREFIX:
      return "namespace prefix is not declared";
    case XML_ERROR_XML_DECL:
    case XML_ERROR_MISPLACED_XML_PI:
      return "XML declaration is malformed";
    case XML_ERROR_UNKNOWN_ENCODING:
    case XML_ERROR_INCORRECT_ENCODING:
      return "XML encoding is not UTF-8";
    default:
      return "not well-formed XML, or not UTF-8";
  }
}

/* "<?xml ...>" without "?>", as in Figure 1 of the seed draft. */
static bool declaration_is_open(struct slice document) {
  if (!slice_starts(document, SLICE("<?xml ")) && !slice_starts(document, SLICE("<?xml\t")))
    return false;
  size_t end = slice_find_byte(document, '>');
  return end == document.len || document.at[end - 1] != '?';
}

static void note_syntax_error(struct xml_reader *r) {
  if (r->why != NULL) return;
  int code = (int)XML_GetErrorCode(r->parser);
  r->line = (unsigned)XML_GetCurrentLineNumber(r->parser);
  r->column = (unsigned)XML_GetCurrentColumnNumber(r->parser) + 1;
  r->err = code == XML_ERROR_NO_MEMORY ? ERR_MEMORY : ERR_SYNTAX;
  if (code == XML_ERROR_NO_MEMORY)
    r->why = "no memory for the XML parser";
  else if (declaration_is_open(r->document))
    r->why = "XML declaration is not closed by ?>";
  else if (code == XML_ERROR_NO_ELEMENTS && r->depth > 0)
    r->why = unclosed_element(r);
  else
    r->why = syntax_phrase(r, code);
}

void reader_begin(struct xml_reader *r) {
  r->scratch = buf_over(r->scratch_bytes, sizeof r->scratch_bytes);
  r->err = OK;
  r->why = NULL;
  r->line = r->column = 0;
  r->body = NULL;
  r->record = NULL;
  r->record_count = r->record_limit = 0;
  r->record_depth = 0;
  r->foreign = false;
  r->member = MEMBER_OTHER;
  r->embedded_count = 0;
  r->contact = NULL;
  r->contact_count = 0;
}

/* expat would believe a byte order mark of UTF-16; every UTF-16 document has a NUL byte. */
static bool is_parsable(struct xml_reader *r, const struct slice *pieces, unsigned count) {
  size_t total = 0;
  bool has_nul = false;
  for (unsigned i = 0; i < count; i++) {
    total += pieces[i].len;
    has_nul = has_nul || slice_find_byte(pieces[i], 0) < pieces[i].len;
  }
  if (total == 0)
    r->why = "body is empty";
  else if (total > XML_BODY_BYTES_MAX)
    r->why = "body larger than 65536 bytes";
  else if (has_nul)
    r->why = "body holds a NUL byte, or is not UTF-8";
  if (r->why != NULL) r->err = total > XML_BODY_BYTES_MAX ? ERR_LIMIT : ERR_SYNTAX;
  return r->why == NULL;
}

enum err reader_parse(struct xml_reader *r, const struct rule *rules, unsigned rule_count,
                      enum element root, const struct slice *pieces, unsigned count) {
  r->rules = rules;
  r->rule_count = rule_count;
  r->root = root;
  r->depth = 0;
  r->elements = 0;
  r->binding_count = 0;
  r->record_depth = 0;
  r->is_known_root = false;
  r->document = count == 1 ? pieces[0] : SLICE_EMPTY;
  if (!is_parsable(r, pieces, count)) return r->err;
  prepare(r);
  r->parsed++;
  for (unsigned i = 0; i < count && r->why == NULL; i++)
    if (XML_Parse(r->parser, pieces[i].at, (int)pieces[i].len, i + 1 == count) != XML_STATUS_OK)
      note_syntax_error(r);
  return r->err;
}

enum err reader_result(const struct xml_reader *r, const char **why) {
  if (r->why != NULL) *why = r->why;
  return r->err;
}

void xml_reader_where(const struct xml_reader *reader, unsigned *line, unsigned *column) {
  *line = reader->line;
  *column = reader->column;
}

uint64_t xml_reader_parsed(const struct xml_reader *reader) { return reader->parsed; }
