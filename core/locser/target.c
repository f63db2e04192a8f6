/* SPDX-License-Identifier: BSD-2-Clause */
#include "locser/target.h"

#define DEADLINE_MS_MAX 32000u /* */

/* A comma outside quotes: a list, which this header field is not. */
static bool has_comma(struct slice value) {
  bool quoted = false;
  for (size_t i = 0; i < value.len; i++) {
    char c = value.at[i];
    if (c == '"') quoted = !quoted;
    if (c == '\\' && quoted) i++;
    if (c == ',' && !quoted) return true;
  }
  return false;
}

enum err locser_target_parse(const struct sip_message *request, struct locser_target *out,
                             const char **why) {
  *out = (struct locser_target){0};
  const struct sip_header *header = sip_header_first(request, SIP_H_OVERLAY_KEY);
  if (header == NULL) return OK;
  if (sip_header_count(request, SIP_H_OVERLAY_KEY) > 1) {
    *why = "More Than One Overlay-Key";
    return ERR_SYNTAX;
  }
  if (has_comma(header->value)) {
    *why = "Overlay-Key Is A List";
    return ERR_SYNTAX;
  }
  size_t end = slice_find_byte(header->value, ';');
  if (!key_parse(slice_trim(slice_first(header->value, end)), &out->key)) {
    *why = "Overlay-Key Is Not 40 Hexadecimal Digits";
    return ERR_SYNTAX;
  }
  out->has_key = true;
  struct slice value;
  out->params = slice_skip(header->value, end + 1);
  if (sip_param_get(out->params, "overlay", &value)) out->overlay = value;
  out->direct = sip_param_get(out->params, "direct", NULL);
  out->final = sip_param_get(out->params, "final", NULL);
  if (sip_param_get(out->params, "deadline", &value)) {
    uint64_t ms;
    if (!slice_to_u64(value, DEADLINE_MS_MAX, &ms) || ms == 0) {
      *why = "The deadline In Overlay-Key Is Not 1 To 32000";
      return ERR_SYNTAX;
    }
    out->deadline_ms = (uint32_t)ms;
  }
  return OK;
}

static bool is_known(struct slice name) {
  return slice_equal_nocase(name, SLICE("overlay")) || slice_equal_nocase(name, SLICE("direct")) ||
         slice_equal_nocase(name, SLICE("final")) || slice_equal_nocase(name, SLICE("deadline"));
}

static void put_unknown_params(struct buf *out, struct slice params) {
  struct slice name, value;
  while (sip_param_next(&params, &name, &value)) {
    if (is_known(name)) continue;
    buf_put_char(out, ';');
    /* name, '=' and value stand together as they came */
    buf_put(out, value.len > 0 ? slice_between(name.at, value.at + value.len) : name);
  }
}

void locser_target_put(struct buf *out, const struct locser_target *target) {
  buf_put_cstr(out, "Overlay-Key: ");
  key_put(out, &target->key);
  if (target->overlay.len > 0) {
    buf_put_cstr(out, ";overlay=");
    buf_put(out, target->overlay);
  }
  if (target->direct) buf_put_cstr(out, ";direct");
  if (target->final) buf_put_cstr(out, ";final");
  if (target->deadline_ms > 0) {
    buf_put_cstr(out, ";deadline=");
    buf_put_u64(out, target->deadline_ms);
  }
  put_unknown_params(out, target->params);
  buf_put_cstr(out, "\r\n");
}
