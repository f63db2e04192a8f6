/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/trace.h"

const char *trace_name(enum trace_kind kind) {
  switch (kind) {
#define TRACE_NAME(kind, name, level, text) \
  case kind:                                \
    return name;
    TRACE_KINDS(TRACE_NAME)
#undef TRACE_NAME
    case TRACE_KIND_COUNT:
      break;
  }
  return "unknown";
}

enum trace_level trace_level(enum trace_kind kind) {
  switch (kind) {
#define TRACE_LEVEL(kind, name, level, text) \
  case kind:                                 \
    return level;
    TRACE_KINDS(TRACE_LEVEL)
#undef TRACE_LEVEL
    case TRACE_KIND_COUNT:
      break;
  }
  return TRACE_ERROR;
}
