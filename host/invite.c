/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/invite.h"

#include <ctype.h>
#include <stdio.h>

#include "host/address.h"

static const struct slice scheme = {"locser://", 9};

void invite_put(struct buf *out, const struct invite *invite) {
  buf_put(out, scheme);
  for (unsigned i = 0; i < invite->count; i++) {
    if (i > 0) buf_put_char(out, ',');
    buf_put_cstr(out, invite->address[i]);
  }
  buf_put_char(out, '/');
  buf_put_cstr(out, invite->overlay);
  buf_put_cstr(out, "?ca=");
  buf_put_hex(out, invite->ca, sizeof invite->ca);
  buf_put_cstr(out, "&key=");
  buf_put_hex(out, invite->secret, sizeof invite->secret);
  buf_put_cstr(out, "&until=");
  buf_put_u64(out, invite->until_s);
}

/* What stands before the next `stop`, which goes as well. */
static struct slice take_until(struct slice *rest, const char *stop) {
  size_t at = slice_find(*rest, slice_cstr(stop));
  struct slice taken = slice_first(*rest, at);
  *rest = slice_skip(*rest, at + strlen(stop));
  return taken;
}

static bool copy_text(struct slice text, char out[INVITE_TEXT_BYTES]) {
  if (text.len == 0 || text.len >= INVITE_TEXT_BYTES) return false;
  memcpy(out, text.at, text.len);
  out[text.len] = '\0';
  return true;
}

static bool read_addresses(struct slice list, struct invite *out) {
  for (out->count = 0; list.len > 0; out->count++) {
    if (out->count == INVITE_ADDRESSES_MAX) return false;
    char *text = out->address[out->count];
    if (!copy_text(take_until(&list, ","), text) || !address_plausible(text, 0)) return false;
  }
  return out->count > 0;
}

/* The characters that locserd takes for a name of an overlay. */
static bool read_overlay(struct slice name, struct invite *out) {
  static const char others[] = "-.!%*_+`'~";
  for (size_t i = 0; i < name.len; i++)
    if (!isalnum((unsigned char)name.at[i]) &&
        memchr(others, name.at[i], sizeof others - 1) == NULL)
      return false;
  return copy_text(name, out->overlay);
}

static bool read_hex(struct slice text, uint8_t *out, size_t bytes) {
  if (text.len != 2 * bytes) return false;
  for (size_t i = 0; i < bytes; i++) {
    uint64_t n;
    if (!slice_hex_to_u64(slice_first(slice_skip(text, 2 * i), 2), &n)) return false;
    out[i] = (uint8_t)n;
  }
  return true;
}

enum err invite_parse(struct slice line, struct invite *out, struct why *why) {
  struct slice rest = slice_trim(line);
  *out = (struct invite){0};
  bool good = slice_starts_nocase(rest, scheme);
  rest = slice_skip(rest, scheme.len);
  good = good && read_addresses(take_until(&rest, "/"), out) &&
         read_overlay(take_until(&rest, "?ca="), out) &&
         read_hex(take_until(&rest, "&key="), out->ca, sizeof out->ca) &&
         read_hex(take_until(&rest, "&until="), out->secret, sizeof out->secret) &&
         slice_to_u64(rest, UINT32_MAX, &out->until_s);
  return good ? OK
              : why_say(why, ERR_SYNTAX,
                        "this is no invitation: give the whole line that locser invite printed, "
                        "from locser:// on, in quotes");
}
