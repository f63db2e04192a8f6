/* SPDX-License-Identifier: BSD-2-Clause */
/* Any datagram as STUN: the first byte says from which family of address it comes. */
#include <stdlib.h>

#include "sip/stun.h"

static void check(bool promise) {
  if (!promise) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char memory[STUN_ANSWER_BYTES_MAX];
  struct buf out = buf_over(memory, sizeof memory);
  struct endpoint from = {.port = 5060, .family = 4, .addr = {192, 0, 2, 1}};
  if (size == 0) return 0;
  if (data[0] & 1) from.family = 6;
  struct slice request = slice_of(data + 1, size - 1);
  enum stun_result result = stun_put_answer(&out, request, &from);
  check(!out.overflow);
  check((result == STUN_NOTHING) == (out.len == 0));
  if (result == STUN_NOTHING) return 0;
  check(stun_is(request));
  check(stun_is(buf_slice(&out)) && out.len * 10 <= request.len * 22);
  check((size_t)((unsigned char)out.at[2] << 8 | (unsigned char)out.at[3]) == out.len - 20);
  /* An answer is not answered. */
  size_t mark = out.len;
  check(stun_put_answer(&out, slice_first(buf_slice(&out), mark), &from) == STUN_NOTHING);
  check(out.len == mark);
  return 0;
}
