/* SPDX-License-Identifier: BSD-2-Clause */
/* The overlay's messages as bodies, and bodies as the overlay's messages (R-3.x). */
#ifndef LOCSER_CONVERT_H
#define LOCSER_CONVERT_H

#include "base/crypto.h"
#include "overlay/overlay.h"
#include "xml/body.h"

/* XML_METHOD_UNKNOWN, or the method of the body. */
enum xml_method locser_xml_method(enum overlay_method method);
/* False: not a method of the overlay's own state machine. */
bool locser_overlay_method(enum xml_method method, enum overlay_method *out);

void locser_overlay_to_xml(const struct overlay_message *message, struct xml_overlay *out);
/* Lists longer than the overlay takes are cut; roles that a message has no place for are left
 * out. The content is unauthenticated and unchecked: the overlay judges it. */
void locser_overlay_from_xml(const struct xml_overlay *overlay, enum overlay_method method,
                             struct overlay_message *out);

/* SHA-1 of the canonical form of a key's text. ERR_SYNTAX: no key. */
enum err locser_key_of(const struct crypto *crypto, struct slice key_text,
                       struct key *out) MUST_USE;

#endif
