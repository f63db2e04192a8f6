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
/* Is it a signed record about one contact, as this project writes it? *value: the inner bytes of
 * its value, which read as the whole would. */
bool sight_contact(struct slice record, struct slice *value);

#endif
