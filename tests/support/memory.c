/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/memory.h"

#include <stdlib.h>
#include <string.h>

static void *take(void *context, size_t bytes) {
  struct test_memory *m = context;
  if (++m->asked == m->fail_once || m->taken >= m->fail_after) return NULL;
  void *at = malloc(bytes);
  if (at == NULL) abort();
  memset(at, 0xa5, bytes); /* nobody may count on cleared memory */
  m->taken++;
  m->blocks++;
  m->bytes += bytes;
  return at;
}

static void give(void *context, void *at, size_t bytes) {
  struct test_memory *m = context;
  if (m->blocks == 0 || m->bytes < bytes) abort();
  m->blocks--;
  m->bytes -= bytes;
  memset(at, 0x5a, bytes); /* a wrong size is a heap overflow that ASan reports */
  free(at);
}

void test_memory_init(struct test_memory *m, uint64_t fail_after) {
  *m = (struct test_memory){.memory = {take, give, m}, .fail_after = fail_after};
}
