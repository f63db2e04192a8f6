/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/outbox.h"

#include <stdalign.h>

#include "base/assert.h"

void outbox_init(struct outbox *box, struct output *items, uint32_t limit, void *bytes,
                 size_t cap) {
  *box = (struct outbox){.item = items, .limit = limit, .bytes = buf_over(bytes, cap)};
}

void outbox_reset(struct outbox *box) {
  box->count = 0;
  buf_reset(&box->bytes);
}

bool outbox_has(const struct outbox *box, uint32_t items, size_t bytes) {
  return box->limit - box->count >= items && box->bytes.cap - box->bytes.len >= bytes;
}

bool outbox_ready(const struct outbox *box) {
  return outbox_has(box, OUTBOX_STEP_ITEMS, OUTBOX_STEP_BYTES);
}

struct output *outbox_add(struct outbox *box, enum output_kind kind) {
  ASSERT(box->count < box->limit);
  struct output *output = &box->item[box->count++];
  memset(output, 0, sizeof *output);
  output->kind = kind;
  return output;
}

struct slice outbox_copy(struct outbox *box, struct slice data) {
  size_t mark = outbox_mark(box);
  buf_put(&box->bytes, data);
  return outbox_text(box, mark);
}

struct slice outbox_keep(struct outbox *box, struct slice data) {
  uintptr_t first = (uintptr_t)box->bytes.at;
  uintptr_t at = (uintptr_t)data.at;
  bool inside =
      at >= first && at - first <= box->bytes.len && data.len <= box->bytes.len - (at - first);
  return inside ? data : outbox_copy(box, data);
}

void *outbox_take(struct outbox *box, size_t bytes) {
  struct buf *b = &box->bytes;
  size_t align = alignof(max_align_t);
  size_t gap = (align - (uintptr_t)(b->at + b->len) % align) % align;
  ASSERT(!b->overflow && b->cap - b->len >= gap && b->cap - b->len - gap >= bytes);
  void *at = b->at + b->len + gap;
  b->len += gap + bytes;
  memset(at, 0, bytes);
  return at;
}

struct slice outbox_text(const struct outbox *box, size_t mark) {
  ASSERT(!box->bytes.overflow && mark <= box->bytes.len);
  return slice_of(box->bytes.at + mark, box->bytes.len - mark);
}

void outbox_trace(struct outbox *box, const struct trace *trace) {
  if ((box->trace_mask >> trace->kind & 1) == 0) return;
  struct output *output = outbox_add(box, OUT_TRACE);
  output->trace = *trace;
  output->trace.a = outbox_copy(box, trace->a);
  output->trace.b = outbox_copy(box, trace->b);
}
