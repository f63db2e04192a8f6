/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to core/xml: the few bodies that nearly every reading and writing consists of, known at
 * sight. */
#ifndef XML_SIGHT_H
#define XML_SIGHT_H

#include "xml/body.h"

/* Is the body, byte for byte, as this project writes it: a `get` with a key of plain characters, a
 * `put-auth` or `remove-auth` of one record about one contact, or an answer with such records? Then
 * *out, cleared by the caller, is filled as expat would have it filled (tests compare the two, with
 * every single byte changed, too), at a tenth of the cost. False: *out is untouched but for its
 * records, the first of them cleared; let expat read it. */
bool sight_read(struct slice body, struct xml_body *out);

/* The same of one such record by itself; *out is filled in either case. */
bool sight_record(struct slice bytes, struct xml_record *out);

/* A contact as it stands in a value, escaped; at NULL: not given. */
struct contact_text {
  struct slice expires, priority, instance, path, reg_id, uri;
};
/* Are these the inner bytes of a value with one contact, as this project writes it? The prefix o is
 * taken for our namespace. The texts may still be wrong. */
bool sight_contact(struct slice value, struct contact_text *out);
/* Appends the text of such a contact without its escapes. */
void sight_unescape(struct buf *out, struct slice text);

#endif
