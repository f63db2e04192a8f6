/* SPDX-License-Identifier: BSD-2-Clause */
#include "usage/presence.h"

#include "xml/body.h"
#include "xml/pidf.h"

enum err presence_check(struct xml_reader *reader, struct slice document, const char **why) {
  return xml_pidf_check(reader, document, why);
}

static void put_attribute_text(struct buf *out, struct slice text) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.at[i] == '"')
      buf_put_cstr(out, "&quot;");
    else
      xml_put_text(out, slice_of(text.at + i, 1));
  }
}

/* A tuple that says no more than whether somebody is there. */
static void put_basic(struct buf *out, struct slice aor, bool open) {
  buf_put_cstr(out, "<tuple id=\"");
  buf_put_cstr(out, open ? "registered" : "nobody");
  buf_put_cstr(out, "\"><status><basic>");
  buf_put_cstr(out, open ? "open" : "closed");
  buf_put_cstr(out, "</basic></status>");
  if (open) {
    buf_put_cstr(out, "<contact>");
    xml_put_text(out, aor);
    buf_put_cstr(out, "</contact>");
  }
  buf_put_cstr(out, "</tuple>");
}

void presence_compose(struct buf *out, struct slice aor, const struct presence_part *part,
                      unsigned count, bool registered, size_t bytes_max) {
  size_t from = out->len;
  buf_put_cstr(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"" XML_NS_PIDF
                    "\" entity=\"");
  put_attribute_text(out, aor);
  buf_put_cstr(out, "\">");
  size_t before = out->len;
  for (unsigned i = 0; i < count && !out->overflow; i++) {
    size_t used = out->len - from, left = out->cap - out->len;
    size_t room = used < bytes_max ? bytes_max - used : 0;
    struct buf piece = buf_over(out->at + out->len, room < left ? room : left);
    xml_pidf_put_children(&piece, part[i].document, part[i].mark);
    if (!piece.overflow) out->len += piece.len;
  }
  if (registered || out->len == before) put_basic(out, aor, registered);
  buf_put_cstr(out, "</presence>\n");
}

/* ---- between homes ---- */

static const char *const kinds[] = {"home", "peer", "here", "watch", "state"};
static const char *const decisions[] = {"active", "pending", "rejected", "gone"};

/* Its attributes are in the order of their names, as canonical XML wants them. */
void presence_put_value(struct buf *out, const struct presence_value *value) {
  buf_put_cstr(out, "<o:presence at=\"");
  endpoint_put(out, &value->from.at);
  buf_put_cstr(out, "\" id=\"");
  key_put(out, &value->from.id);
  buf_put_cstr(out, "\" kind=\"");
  buf_put_cstr(out, kinds[value->kind]);
  if (value->kind == PRESENCE_STATE) {
    buf_put_cstr(out, "\" life=\"");
    buf_put_hex64(out, value->life, PRESENCE_TOKEN_BYTES);
    buf_put_cstr(out, "\" state=\"");
    buf_put_cstr(out, decisions[value->decision]);
  }
  if (value->token.len > 0) buf_put_cstr(out, "\" token=\"");
  buf_put(out, value->token);
  buf_put_cstr(out, "\">");
  buf_put_base64(out, value->text.at, value->text.len);
  buf_put_cstr(out, "</o:presence>");
}

static bool take_text(struct slice *rest, struct slice name, struct slice *out) {
  if (!slice_take(rest, name)) return false;
  *out = slice_first(*rest, slice_find_byte(*rest, '"'));
  *rest = slice_skip(*rest, out->len + 1);
  return true;
}

/* One, or, of a state, several with a space between them. */
static bool are_tokens(struct slice text, enum presence_kind kind) {
  size_t each = PRESENCE_TOKEN_BYTES + 1;
  if (kind != PRESENCE_STATE || text.len <= PRESENCE_TOKEN_BYTES)
    return text.len == PRESENCE_TOKEN_BYTES;
  if (text.len % each != PRESENCE_TOKEN_BYTES || text.len / each >= PRESENCE_TOKENS_MAX)
    return false;
  for (size_t i = PRESENCE_TOKEN_BYTES; i < text.len; i += each)
    if (text.at[i] != ' ') return false;
  return true;
}

static bool find_name(const char *const *names, unsigned count, struct slice text, unsigned *out) {
  for (*out = 0; *out < count; (*out)++)
    if (slice_equal(text, slice_cstr(names[*out]))) return true;
  return false;
}

bool presence_read_value(struct slice content, struct buf *room, struct presence_value *out) {
  struct slice at, id, kind, state = SLICE_EMPTY, life = SLICE_EMPTY, rest = content;
  unsigned number;
  *out = (struct presence_value){.token = SLICE_EMPTY};
  if (!take_text(&rest, SLICE("<o:presence at=\""), &at) ||
      !take_text(&rest, SLICE(" id=\""), &id) || !take_text(&rest, SLICE(" kind=\""), &kind))
    return false;
  if (!endpoint_parse(at, TRANSPORT_TCP, 5060, &out->from.at) || !key_parse(id, &out->from.id) ||
      !find_name(kinds, sizeof kinds / sizeof *kinds, kind, &number))
    return false;
  out->kind = (enum presence_kind)number;
  bool is_state = out->kind == PRESENCE_STATE;
  if (is_state && (!take_text(&rest, SLICE(" life=\""), &life) ||
                   life.len != PRESENCE_TOKEN_BYTES || !slice_hex_to_u64(life, &out->life)))
    return false;
  bool has_state = take_text(&rest, SLICE(" state=\""), &state);
  if (has_state != is_state) return false;
  if (has_state && !find_name(decisions, sizeof decisions / sizeof *decisions, state, &number))
    return false;
  if (has_state) out->decision = (enum presence_decision)number;
  if (take_text(&rest, SLICE(" token=\""), &out->token) && !are_tokens(out->token, out->kind))
    return false;
  if (!slice_take(&rest, SLICE(">"))) return false;
  struct slice base64 = slice_first(rest, slice_find_byte(rest, '<'));
  if (!slice_equal(slice_skip(rest, base64.len), SLICE("</o:presence>"))) return false;
  if (base64.len == 0) return true;
  size_t len = base64.len / 4 * 3;
  char *text = len > PRESENCE_TEXT_MAX + 3 ? NULL : buf_reserve(room, len);
  if (text == NULL || !base64_decode(base64, (uint8_t *)text, &len)) return false;
  out->text = slice_of(text, len);
  return true;
}
