/* SPDX-License-Identifier: BSD-2-Clause */
/* Parameters after ';', of URIs and of header values. Well-formedness was checked when the value
 * was parsed; these only cut. */
#include "sip/scan.h"
#include "sip/uri.h"

/* Up to the next ';' outside quotes. */
static const char *param_end(const char *p, const char *end) {
  for (; p < end && *p != ';'; p++) {
    if (*p != '"') continue;
    const char *close = sip_scan_quoted(p, end);
    if (close > p) p = close - 1;
  }
  return p;
}

bool sip_param_next(struct slice *params, struct slice *name, struct slice *value) {
  if (params->len == 0) return false;
  const char *end = params->at + params->len;
  const char *p = params->at;
  while (p < end && (*p == ';' || sip_is(*p, SIP_C_WS))) p++;
  if (p == end) {
    *params = slice_between(end, end);
    return false;
  }
  const char *stop = param_end(p, end);
  *params = slice_between(stop, end);
  const char *equals = memchr(p, '=', (size_t)(stop - p));
  *name = slice_between(p, sip_trim_end(p, equals == NULL ? stop : equals));
  *value = SLICE_EMPTY;
  if (equals != NULL) *value = slice_trim(slice_between(equals + 1, stop));
  return true;
}

bool sip_param_get(struct slice params, const char *name, struct slice *value) {
  struct slice wanted = slice_cstr(name), found, text;
  while (sip_param_next(&params, &found, &text)) {
    if (!slice_equal_nocase(found, wanted)) continue;
    if (value != NULL) *value = text;
    return true;
  }
  return false;
}
