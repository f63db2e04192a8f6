/* SPDX-License-Identifier: BSD-2-Clause */
/* Any stream, cut in any way: what comes out must be what comes out of the whole. The first byte
 * seeds the cuts. */
#include <stdlib.h>

#include "sip/framing.h"
#include "sip/message.h"

#define FRAMES_MAX 64

static void check(bool promise) {
  if (!promise) abort();
}

struct frames {
  struct {
    enum sip_frame_kind kind;
    size_t from, len; /* within the stream */
  } frame[FRAMES_MAX];
  unsigned count;
};

/* Feeds the stream in pieces of 1 to piece_max bytes. */
static void run(struct slice stream, uint32_t seed, size_t piece_max, struct frames *out) {
  size_t start = 0, end = 0, scanned = 0;
  out->count = 0;
  while (out->count < FRAMES_MAX) {
    struct slice window = slice_of(stream.at + start, end - start);
    struct sip_frame f = sip_frame_next(window, &scanned);
    check(f.used <= window.len && f.skip + f.len <= window.len);
    if (f.kind != SIP_FRAME_MORE) {
      out->frame[out->count].kind = f.kind;
      out->frame[out->count].from = start + f.skip;
      out->frame[out->count++].len = f.len;
    }
    if (f.kind == SIP_FRAME_BAD) return;
    check(f.kind == SIP_FRAME_MORE || (f.used > 0 && scanned == 0));
    start += f.used;
    if (f.kind != SIP_FRAME_MORE) continue;
    if (end == stream.len) return;
    seed = seed * 1103515245u + 12345u;
    size_t piece = 1 + (seed >> 16) % piece_max;
    end = stream.len - end < piece ? stream.len : end + piece;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct frames whole, cut;
  static struct sip_message m;
  struct sip_problem problem;
  if (size < 2) return 0;
  struct slice stream = slice_of(data + 1, size - 1);
  run(stream, 0, stream.len, &whole);
  run(stream, data[0], 1 + data[0] % 40u, &cut);
  check(whole.count == cut.count);
  for (unsigned i = 0; i < whole.count; i++) {
    check(whole.frame[i].kind == cut.frame[i].kind && whole.frame[i].from == cut.frame[i].from);
    check(whole.frame[i].len == cut.frame[i].len);
    if (whole.frame[i].kind != SIP_FRAME_MESSAGE) continue;
    /* A framed message that parses is used up to its last byte. */
    struct slice text = slice_of(stream.at + whole.frame[i].from, whole.frame[i].len);
    if (sip_message_parse(text, SIP_STREAM, &m, &problem) == OK) check(m.bytes.len == text.len);
  }
  return 0;
}
