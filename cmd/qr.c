/* SPDX-License-Identifier: BSD-2-Clause */
#include "cmd/qr.h"

#include <qrencode.h>

#define QUIET 4 /* modules around it (ISO/IEC 18004) */

static bool is_dark(const QRcode *code, int x, int y) {
  return x >= 0 && y >= 0 && x < code->width && y < code->width &&
         (code->data[y * code->width + x] & 1) != 0;
}

bool qr_print(FILE *to, const char *text) {
  static const char *const half[2][2] = {{"\u2588", "\u2580"}, {"\u2584", " "}}; /* what is light */
  QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
  if (code == NULL) return false;
  for (int y = -QUIET; y < code->width + QUIET; y += 2) { /* two rows of modules in a line */
    fputs("\033[97;40m", to);
    for (int x = -QUIET; x < code->width + QUIET; x++)
      fputs(half[is_dark(code, x, y)][is_dark(code, x, y + 1)], to);
    fputs("\033[0m\n", to);
  }
  QRcode_free(code);
  return true;
}
