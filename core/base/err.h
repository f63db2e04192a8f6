/* SPDX-License-Identifier: BSD-2-Clause */
/* Operating errors: what a caller must be ready for. A broken promise inside the program is an
 * ASSERT (base/assert.h); a mistake of the other side of a link is a value and a 4xx. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_USE __attribute__((warn_unused_result))

enum err {
  OK = 0,
  ERR_SYNTAX,      /* the bytes do not follow their grammar */
  ERR_LIMIT,       /* larger, longer or deeper than the stated limit */
  ERR_FULL,        /* the table or buffer has no room left */
  ERR_MEMORY,      /* the allocator gave nothing */
  ERR_NOT_FOUND,   /* no such thing */
  ERR_EXISTS,      /* it is there already */
  ERR_STALE,       /* older than what is held */
  ERR_BUSY,        /* ask again shortly */
  ERR_TIMEOUT,     /* no answer in time */
  ERR_CLOSED,      /* the flow or connection is gone */
  ERR_REFUSED,     /* not allowed, or the other side said no */
  ERR_UNSUPPORTED, /* understood, but not offered here */
  ERR_IO,          /* the operating system failed us */
  ERR_CORRUPT,     /* stored bytes are not what was stored */
};

/* A short lower-case phrase for people ("no room left"); static storage, never NULL. */
const char *err_text(enum err err);

#endif
