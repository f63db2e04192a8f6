/* SPDX-License-Identifier: BSD-2-Clause */
/* The presence of an address: documents of its devices made into one (RFC 3863, R-12.9). */
#ifndef USAGE_PRESENCE_H
#define USAGE_PRESENCE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/peer.h"

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

/* What homes say to each other, and put into records. */
enum presence_kind {
  PRESENCE_HOME,  /* a record: presence of the address of the key is told by this peer */
  PRESENCE_PEER,  /* a record: somebody at this peer watches the address of the key */
  PRESENCE_HERE,  /* a new home: say again who watches */
  PRESENCE_WATCH, /* the address of the key watches `text`, as `token` */
  PRESENCE_STATE, /* of the address of the key, to the watchers `token`: `decision`, `text` */
};
#define PRESENCE_TOKEN_BYTES 16u /* hexadecimal digits */
#define PRESENCE_TOKENS_MAX 32u  /* in one PRESENCE_STATE, with a space between them */
#define PRESENCE_TEXT_MAX 14000u /* bytes of `text` */
#define PRESENCE_VALUE_MAX 19000u
enum presence_decision { PRESENCE_ACTIVE, PRESENCE_PENDING, PRESENCE_REJECTED, PRESENCE_GONE };
struct presence_value {
  enum presence_kind kind;
  struct peer from; /* the peer that says so */
  struct slice token;
  uint64_t life; /* STATE: another one has forgotten who watched, and what it had decided */
  enum presence_decision decision; /* PRESENCE_STATE; GONE: this peer is no home of it any more */
  struct slice text;               /* WATCH: an Address-of-Record; STATE, active: a document */
};
/* The content of a record's <value>. */
void presence_put_value(struct buf *out, const struct presence_value *value);
/* The content as presence_put_value writes it. `room` gets the text, which out->text borrows.
 * False: it is not of that form, or there is no room. */
bool presence_read_value(struct slice content, struct buf *room, struct presence_value *out);

#endif
