/* SPDX-License-Identifier: BSD-2-Clause */
#include "node/node.h"
#include "xml/body.h"

struct xml_reader *node_reader_new(const struct memory *memory, uint64_t salt) {
  return xml_reader_new(memory, salt);
}

void node_reader_free(struct xml_reader *reader) { xml_reader_free(reader); }
