/* SPDX-License-Identifier: BSD-2-Clause */
/* Presence documents (PIDF, RFC 3863) taken apart and joined without being understood: what is in
 * them (RPID and others) passes through as it was written. */
#ifndef XML_PIDF_H
#define XML_PIDF_H

#include "base/buf.h"
#include "base/err.h"

struct xml_reader;

#define XML_NS_PIDF "urn:ietf:params:xml:ns:pidf"

/* One document whose root is `presence` of RFC 3863, well-formed and within the limits of bodies
 * else ERR_SYNTAX or ERR_LIMIT, and *why says what is wrong. */
enum err xml_pidf_check(struct xml_reader *reader, struct slice document,
                        const char **why) MUST_USE;

/* Appends the children of the root of a document that was checked, each with the namespaces that
 * its root declared. mark: put before their ids, so that those of several documents differ; 0:
 * they stay as they are. Of what is no such document nothing sensible is written, but nothing
 * outside of it read. */
void xml_pidf_put_children(struct buf *out, struct slice document, uint32_t mark);

#endif
