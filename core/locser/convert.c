/* SPDX-License-Identifier: BSD-2-Clause */
#include "locser/convert.h"

#define KEY_TEXT_BYTES_MAX 1024u

static const struct {
  enum overlay_method overlay;
  enum xml_method xml;
} methods[] = {
    {OVERLAY_JOIN, XML_OVERLAY_JOIN},           {OVERLAY_LEAVE, XML_OVERLAY_LEAVE},
    {OVERLAY_NEIGHBORS, XML_OVERLAY_NEIGHBORS}, {OVERLAY_NOTIFY, XML_OVERLAY_NOTIFY},
    {OVERLAY_UPDATE, XML_OVERLAY_UPDATE},       {OVERLAY_PING, XML_OVERLAY_PING},
    {OVERLAY_ROUTE, XML_OVERLAY_ROUTE},
};
#define METHODS (sizeof methods / sizeof methods[0])

enum xml_method locser_xml_method(enum overlay_method method) {
  for (size_t i = 0; i < METHODS; i++) {
    if (methods[i].overlay == method) return methods[i].xml;
  }
  return XML_METHOD_UNKNOWN;
}

bool locser_overlay_method(enum xml_method method, enum overlay_method *out) {
  for (size_t i = 0; i < METHODS; i++) {
    if (methods[i].xml == method) {
      *out = methods[i].overlay;
      return true;
    }
  }
  return false;
}

static void add_peer(struct xml_overlay *out, enum xml_peer_role role, const struct peer *peer) {
  if (!peer_is(peer) || out->peer_count == XML_PEERS_MAX) return;
  out->peer[out->peer_count++] = (struct xml_peer){.role = role, .peer = *peer};
}

void locser_overlay_to_xml(const struct overlay_message *message, struct xml_overlay *out) {
  out->present = true;
  out->peer_count = 0;
  out->lost = message->lost;
  add_peer(out, XML_PEER_SELF, &message->sender);
  add_peer(out, XML_PEER_SUBJECT, &message->subject);
  add_peer(out, XML_PEER_PREDECESSOR, &message->predecessor);
  for (unsigned i = 0; i < message->successor_count; i++) {
    add_peer(out, XML_PEER_SUCCESSOR, &message->successor[i]);
  }
  for (unsigned i = 0; i < message->member_count; i++) {
    add_peer(out, XML_PEER_MEMBER, &message->member[i]);
  }
}

void locser_overlay_from_xml(const struct xml_overlay *overlay, enum overlay_method method,
                             struct overlay_message *out) {
  *out = (struct overlay_message){.method = method, .lost = overlay->lost};
  for (unsigned i = 0; i < overlay->peer_count; i++) {
    const struct peer *peer = &overlay->peer[i].peer;
    switch (overlay->peer[i].role) {
      case XML_PEER_SELF:
        out->sender = *peer;
        break;
      case XML_PEER_SUBJECT:
        out->subject = *peer;
        break;
      case XML_PEER_PREDECESSOR:
        out->predecessor = *peer;
        break;
      case XML_PEER_SUCCESSOR:
        if (out->successor_count < OVERLAY_SUCCESSORS_MAX) {
          out->successor[out->successor_count++] = *peer;
        }
        break;
      case XML_PEER_MEMBER:
        if (out->member_count < OVERLAY_MEMBERS_MAX) out->member[out->member_count++] = *peer;
        break;
    }
  }
}

enum err locser_key_of(const struct crypto *crypto, struct slice key_text, struct key *out) {
  char text[KEY_TEXT_BYTES_MAX];
  struct buf canonical = buf_over(text, sizeof text);
  if (xml_key_canonical(key_text, &canonical) != OK || canonical.overflow) return ERR_SYNTAX;
  *out = crypto_key(crypto, buf_slice(&canonical));
  return OK;
}
