/* SPDX-License-Identifier: BSD-2-Clause */
#include "xml/pidf.h"

#include "xml/reader.h"

static const struct rule rules[] = {
    {IN(EL_DOCUMENT), NS_OTHER, "presence", EL_OTHER, false, 0, NULL, NULL},
};

/* A tag in a well-formed document: "<name attributes>", "<name/>" or "</name>". */
struct tag {
  struct slice text;       /* from '<' to '>' */
  struct slice name;       /* with its prefix */
  struct slice attributes; /* what is between the name and the end of the tag */
  bool closes, empty;
};

static const char *find_after(const char *at, const char *end, struct slice what) {
  struct slice rest = slice_between(at, end);
  size_t offset = slice_find(rest, what);
  return offset == rest.len ? end : at + offset + what.len;
}

static const char *tag_end(const char *at, const char *end) {
  char quote = 0;
  for (; at < end; at++) {
    if (quote != 0)
      quote = *at == quote ? 0 : quote;
    else if (*at == '"' || *at == '\'')
      quote = *at;
    else if (*at == '>')
      return at + 1;
  }
  return end;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static void cut_tag(struct tag *tag, const char *from, const char *to) {
  struct slice inner = slice_between(from + 1, to);
  tag->text = slice_between(from, to);
  if (inner.len > 0) inner.len--; /* '>' */
  tag->closes = slice_take(&inner, SLICE("/"));
  tag->empty = !tag->closes && inner.len > 0 && inner.at[inner.len - 1] == '/';
  if (tag->empty) inner.len--;
  size_t len = 0;
  while (len < inner.len && !is_space(inner.at[len])) len++;
  tag->name = slice_first(inner, len);
  tag->attributes = slice_skip(inner, len);
}

/* The next tag; comments, CDATA sections and the declaration are passed over. */
static bool next_tag(const char **at, const char *end, struct tag *tag) {
  for (;;) {
    while (*at < end && **at != '<') (*at)++;
    if (*at >= end) return false;
    struct slice rest = slice_between(*at, end);
    if (slice_starts(rest, SLICE("<!--"))) {
      *at = find_after(*at + 4, end, SLICE("-->"));
    } else if (slice_starts(rest, SLICE("<![CDATA["))) {
      *at = find_after(*at, end, SLICE("]]>"));
    } else if (slice_starts(rest, SLICE("<?"))) {
      *at = find_after(*at, end, SLICE("?>"));
    } else {
      const char *from = *at;
      *at = tag_end(from, end);
      cut_tag(tag, from, *at);
      return true;
    }
  }
}

struct attribute {
  struct slice name, text; /* text: name="value" as it stands */
  struct slice value;
};

static bool next_attribute(struct slice *rest, struct attribute *out) {
  while (rest->len > 0 && is_space(rest->at[0])) *rest = slice_skip(*rest, 1);
  if (rest->len == 0) return false;
  const char *from = rest->at;
  size_t equals = slice_find_byte(*rest, '=');
  out->name = slice_trim(slice_first(*rest, equals));
  *rest = slice_skip(*rest, equals + 1);
  while (rest->len > 0 && is_space(rest->at[0])) *rest = slice_skip(*rest, 1);
  if (rest->len == 0) return false;
  char quote = rest->at[0];
  *rest = slice_skip(*rest, 1);
  out->value = slice_first(*rest, slice_find_byte(*rest, quote));
  *rest = slice_skip(*rest, out->value.len + 1);
  out->text = slice_between(from, rest->at);
  return true;
}

static bool declares(const struct tag *tag, struct slice name) {
  struct slice rest = tag->attributes;
  struct attribute attribute;
  while (next_attribute(&rest, &attribute))
    if (slice_equal(attribute.name, name)) return true;
  return false;
}

static void put_attribute(struct buf *out, const struct attribute *attribute, uint32_t mark) {
  buf_put_char(out, ' ');
  if (mark == 0 || !slice_equal(attribute->name, SLICE("id"))) {
    buf_put(out, attribute->text);
    return;
  }
  buf_put_cstr(out, "id=\"p");
  buf_put_hex64(out, mark, 8);
  buf_put_char(out, '-');
  /* A quotation mark may stand in apostrophes. */
  for (size_t i = 0; i < attribute->value.len; i++) {
    char c = attribute->value.at[i];
    if (c == '"')
      buf_put_cstr(out, "&quot;");
    else
      buf_put_char(out, c);
  }
  buf_put_char(out, '"');
}

static void put_start(struct buf *out, const struct tag *child, const struct tag *root,
                      uint32_t mark) {
  struct attribute attribute;
  struct slice rest = root->attributes;
  buf_put_char(out, '<');
  buf_put(out, child->name);
  while (next_attribute(&rest, &attribute)) {
    bool space = slice_equal(attribute.name, SLICE("xmlns"));
    if (!space && !slice_starts(attribute.name, SLICE("xmlns:"))) continue;
    if (space && slice_equal(attribute.value, SLICE(XML_NS_PIDF))) continue;
    if (declares(child, attribute.name)) continue;
    buf_put_char(out, ' ');
    buf_put(out, attribute.text);
  }
  rest = child->attributes;
  while (next_attribute(&rest, &attribute)) put_attribute(out, &attribute, mark);
  buf_put_cstr(out, child->empty ? "/>" : ">");
}

void xml_pidf_put_children(struct buf *out, struct slice document, uint32_t mark) {
  const char *at = document.at, *end = document.at + document.len;
  struct tag root, tag;
  unsigned depth = 0;
  const char *content = NULL;
  if (document.len == 0 || !next_tag(&at, end, &root) || root.empty) return;
  while (next_tag(&at, end, &tag)) {
    if (tag.closes) {
      if (depth == 0) return;
      if (--depth == 0) buf_put(out, slice_between(content, at));
      continue;
    }
    if (depth == 0) {
      put_start(out, &tag, &root, mark);
      content = at;
    }
    if (!tag.empty) depth++;
  }
}

enum err xml_pidf_check(struct xml_reader *reader, struct slice document, const char **why) {
  reader_begin(reader);
  enum err err =
      reader_parse(reader, rules, sizeof rules / sizeof *rules, EL_DOCUMENT, &document, 1);
  if (err == OK) {
    const char *at = document.at;
    struct tag root;
    struct attribute attribute;
    struct slice space = SLICE("xmlns:"), rest;
    if (!reader->is_known_root || !next_tag(&at, document.at + document.len, &root)) {
      *why = "the root is no presence element";
      return ERR_SYNTAX;
    }
    size_t colon = slice_find_byte(root.name, ':');
    struct slice prefix = slice_first(root.name, colon == root.name.len ? 0 : colon);
    rest = root.attributes;
    while (next_attribute(&rest, &attribute)) {
      struct slice name = attribute.name;
      bool same = prefix.len == 0 ? slice_equal(name, SLICE("xmlns"))
                                  : slice_take(&name, space) && slice_equal(name, prefix);
      if (same && slice_equal(attribute.value, SLICE(XML_NS_PIDF))) return OK;
    }
    *why = "the root is of another namespace than " XML_NS_PIDF;
    return ERR_SYNTAX;
  }
  return reader_result(reader, why);
}
