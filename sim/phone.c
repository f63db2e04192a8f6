/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/phone.h"

#include <stdio.h>
#include <string.h>

/* The line of a header, which is given as "\r\nName: ". */
static size_t put_line(char *out, size_t room, struct slice text, const char *name) {
  size_t at = slice_find(text, slice_cstr(name));
  struct slice line = slice_skip(text, at + 2);
  line = slice_first(line, slice_find(line, SLICE("\r\n")) + 2);
  if (at == text.len || line.len >= room) return 0;
  memcpy(out, line.at, line.len);
  return line.len;
}

size_t phone_put_answer(char *out, size_t room, struct slice request, const char *status) {
  static const char *const lines[] = {
      "\r\nVia: ", "\r\nFrom: ", "\r\nTo: ", "\r\nCall-ID: ", "\r\nCSeq: "};
  static const char end[] = "Content-Length: 0\r\n\r\n";
  size_t len = (size_t)sprintf(out, "SIP/2.0 %s\r\n", status);
  for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++)
    len += put_line(out + len, room - len - sizeof end, request, lines[i]);
  return len + (size_t)sprintf(out + len, "%s", end);
}
