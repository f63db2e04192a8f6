/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto/pem.h"

bool pem_put(struct buf *out, BIO *memory, bool good) {
  char *text = NULL;
  long len = good && memory != NULL ? BIO_get_mem_data(memory, &text) : 0;
  if (text != NULL && len > 0) buf_put(out, slice_of(text, (size_t)len));
  BIO_free(memory);
  return len > 0 && !out->overflow;
}
