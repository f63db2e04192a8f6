/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to core/xml: the one body that nearly every reading consists of, known at sight. */
#ifndef XML_QUERY_H
#define XML_QUERY_H

#include "xml/body.h"

/* Is the body, byte for byte, a `get` as xml_put_call and xml_put_query write it, with a key of
 * plain characters? Then *out, cleared by the caller, is filled as expat would have it filled (a
 * test compares the two), at a tenth of the cost. False: *out is untouched, let expat read it. */
bool query_read(struct slice body, struct xml_body *out);

#endif
