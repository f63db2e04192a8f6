/* SPDX-License-Identifier: BSD-2-Clause */
/* The presence of an address: documents of its devices made into one (RFC 3863, R-12.9). */
#ifndef USAGE_PRESENCE_H
#define USAGE_PRESENCE_H

#include "base/buf.h"
#include "base/err.h"

struct xml_reader;

/* May a device publish this? *why says what is wrong. */
enum err presence_check(struct xml_reader *reader, struct slice document,
                        const char **why) MUST_USE;

struct presence_part {
  struct slice document; /* was checked */
  uint32_t mark;         /* tells its ids from those of others; 0: they stay as they are */
};
/* Appends the document that joins these of one address, "sip:bob@example.net"; one for which there
 * is no room below `bytes_max` is left out. `registered`: a phone is there that never published. A
 * document of nothing says closed. It needs PRESENCE_FRAME_BYTES beside bytes_max. */
#define PRESENCE_FRAME_BYTES 2560u /* an address of 320 bytes three times, escaped */
void presence_compose(struct buf *out, struct slice aor, const struct presence_part *part,
                      unsigned count, bool registered, size_t bytes_max);

#endif
