/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/err.h"

const char *err_text(enum err err) {
  switch (err) {
    case OK:
      return "ok";
    case ERR_SYNTAX:
      return "malformed";
    case ERR_LIMIT:
      return "over the limit";
    case ERR_FULL:
      return "no room left";
    case ERR_MEMORY:
      return "out of memory";
    case ERR_NOT_FOUND:
      return "not found";
    case ERR_EXISTS:
      return "exists already";
    case ERR_STALE:
      return "out of date";
    case ERR_BUSY:
      return "busy, try again";
    case ERR_TIMEOUT:
      return "timed out";
    case ERR_CLOSED:
      return "connection closed";
    case ERR_REFUSED:
      return "refused";
    case ERR_UNSUPPORTED:
      return "not supported";
    case ERR_IO:
      return "input or output failed";
    case ERR_CORRUPT:
      return "stored data is damaged";
  }
  return "unknown error";
}
