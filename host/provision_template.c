/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/provision_template.h"

/* ---- words ---- */

static bool value_of(struct slice word, const struct provision_values *values, struct slice *out) {
  const struct {
    struct slice word, value;
  } known[] = {
      {SLICE("mac"), values->mac},           {SLICE("address"), values->address},
      {SLICE("user"), values->user},         {SLICE("domain"), values->domain},
      {SLICE("password"), values->password}, {SLICE("host"), values->host},
      {SLICE("port"), values->port},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (!slice_equal(word, known[i].word)) continue;
    *out = known[i].value;
    return true;
  }
  return false;
}

static void put_escaped(struct buf *out, struct slice value) {
  for (size_t i = 0; i < value.len; i++) {
    char c = value.at[i];
    if (c == '&')
      buf_put_cstr(out, "&amp;");
    else if (c == '<')
      buf_put_cstr(out, "&lt;");
    else if (c == '>')
      buf_put_cstr(out, "&gt;");
    else if (c == '"')
      buf_put_cstr(out, "&quot;");
    else if (c == '\'')
      buf_put_cstr(out, "&apos;");
    else
      buf_put_char(out, c);
  }
}

/* One line of printable text: a value cannot begin a setting of its own. */
static bool sayable(struct slice value) {
  for (size_t i = 0; i < value.len; i++)
    if ((unsigned char)value.at[i] < ' ' || value.at[i] == 0x7f) return false;
  return value.len > 0;
}

/* "{word}" at the front of text: its word. Braces around anything else are text. */
static bool take_word(struct slice *text, struct slice *word) {
  size_t len = 0;
  struct slice rest = slice_skip(*text, 1);
  while (len < rest.len && ((rest.at[len] >= 'a' && rest.at[len] <= 'z') || rest.at[len] == '-'))
    len++;
  if (len == 0 || len == rest.len || rest.at[len] != '}') return false;
  *word = slice_first(rest, len);
  *text = slice_skip(rest, len + 1);
  return true;
}

bool provision_fill(struct slice text, const struct provision_values *values, bool xml,
                    struct buf *out) {
  struct slice word, value;
  while (text.len > 0) {
    buf_put(out, slice_take_until(&text, '{'));
    if (text.len == 0) break;
    if (!take_word(&text, &word)) {
      buf_put_char(out, '{');
      text = slice_skip(text, 1);
      continue;
    }
    if (!value_of(word, values, &value) || !sayable(value)) return false;
    if (xml)
      put_escaped(out, value);
    else
      buf_put(out, value);
  }
  return !out->overflow;
}

/* ---- the head ---- */

static struct slice take_line(struct slice *text) {
  struct slice line = slice_take_until(text, '\n');
  *text = slice_skip(*text, 1);
  return slice_trim(line);
}

static enum err read_line(struct slice line, struct provision_template *out, struct why *why) {
  struct slice rest = line, word = slice_take_until(&rest, ' ');
  rest = slice_trim(rest);
  bool good = rest.len > 0;
  if (slice_equal(word, SLICE("vendor"))) {
    out->vendor = rest;
  } else if (slice_equal(word, SLICE("name"))) {
    out->name = rest;
    good = good && slice_find_byte(rest, '/') == rest.len;
  } else if (slice_equal(word, SLICE("type"))) {
    out->type = rest;
  } else if (slice_equal(word, SLICE("tell"))) {
    out->folder = slice_equal(rest, SLICE("folder"));
    good = out->folder || slice_equal(rest, SLICE("file"));
  } else if (slice_equal(word, SLICE("escape"))) {
    out->xml = slice_equal(rest, SLICE("xml"));
    good = out->xml || slice_equal(rest, SLICE("nothing"));
  } else {
    good = false;
  }
  if (good) return OK;
  return why_say(why, ERR_SYNTAX, "'%.*s' is no line of a template",
                 SLICE_FMT(slice_first(line, 80)));
}

/* A word that nobody knows is a mistake that no phone would show. */
static enum err check_words(struct slice text, struct why *why) {
  const struct provision_values none = {0};
  struct slice word, value;
  while (text.len > 0) {
    (void)slice_take_until(&text, '{');
    if (text.len == 0) return OK;
    if (!take_word(&text, &word))
      text = slice_skip(text, 1);
    else if (!value_of(word, &none, &value))
      return why_say(why, ERR_SYNTAX, "{%.*s} is not known", SLICE_FMT(slice_first(word, 80)));
  }
  return OK;
}

enum err provision_template_read(struct slice text, struct provision_template *out,
                                 struct why *why) {
  *out = (struct provision_template){0};
  for (;;) {
    if (text.len == 0) return why_say(why, ERR_SYNTAX, "there are no settings after the head");
    struct slice line = take_line(&text);
    if (line.len == 0) break;
    if (line.at[0] == '#') continue;
    enum err err = read_line(line, out, why);
    if (err != OK) return err;
  }
  out->body = text;
  if (out->vendor.len == 0 || out->name.len == 0 || out->type.len == 0)
    return why_say(why, ERR_SYNTAX, "vendor, name and type must be said");
  enum err err = check_words(out->name, why);
  return err == OK ? check_words(out->body, why) : err;
}
