/* SPDX-License-Identifier: BSD-2-Clause */
#include "locser/target.h"

#define DEADLINE_MS_MAX 600000u

enum err locser_target_parse(const struct sip_message *request, struct locser_target *out,
                             const char **why) {
  *out = (struct locser_target){0};
  const struct sip_header *header = sip_header_first(request, SIP_H_OVERLAY_KEY);
  if (header == NULL) return OK;
  if (sip_header_count(request, SIP_H_OVERLAY_KEY) > 1) {
    *why = "More Than One Overlay-Key";
    return ERR_SYNTAX;
  }
  size_t end = slice_find_byte(header->value, ';');
  if (!key_parse(slice_trim(slice_first(header->value, end)), &out->key)) {
    *why = "Overlay-Key Is Not 40 Hexadecimal Digits";
    return ERR_SYNTAX;
  }
  out->has_key = true;
  struct slice params = slice_skip(header->value, end + 1);
  struct slice value;
  if (sip_param_get(params, "overlay", &value)) out->overlay = value;
  out->direct = sip_param_get(params, "direct", NULL);
  out->final = sip_param_get(params, "final", NULL);
  if (sip_param_get(params, "deadline", &value)) {
    uint64_t ms;
    if (!slice_to_u64(value, UINT32_MAX, &ms)) {
      *why = "Malformed deadline In Overlay-Key";
      return ERR_SYNTAX;
    }
    out->deadline_ms = ms > DEADLINE_MS_MAX ? DEADLINE_MS_MAX : (uint32_t)ms;
  }
  return OK;
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
  buf_put_cstr(out, "\r\n");
}
