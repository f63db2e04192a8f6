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
