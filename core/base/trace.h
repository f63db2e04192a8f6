/* SPDX-License-Identifier: BSD-2-Clause */
/* One typed list of trace events, none of which carries a key, a credential or a body. It
 * feeds log text, JSON for the dashboard and the ladder of the demo, golden traces and coverage
 * marks. Tracing costs nothing while its bit is off. */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include "base/endpoint.h"
#include "base/key.h"
#include "base/slice.h"
#include "base/usec.h"

enum trace_level { TRACE_ERROR, TRACE_WARNING, TRACE_INFO, TRACE_DEBUG };

/* X(ENUM, "name", level, "what happened, and what the fields mean") */
#define TRACE_KINDS(X)                                                                            \
  X(TRACE_SIP_IN, "sip.in", TRACE_DEBUG,                                                          \
    "a SIP message arrived: peer, status or 0, a=method, b=Call-ID")                              \
  X(TRACE_SIP_OUT, "sip.out", TRACE_DEBUG,                                                        \
    "a SIP message leaves: peer, status or 0, a=method, b=Call-ID")                               \
  X(TRACE_SIP_BAD, "sip.bad", TRACE_DEBUG, "bytes that are not SIP: peer, status, a=reason")      \
  X(TRACE_LOCSER_ORIGIN, "locser.origin", TRACE_DEBUG,                                            \
    "this peer starts a LOCSER: key, peer=next hop, a=method name, b=Call-ID")                    \
  X(TRACE_LOCSER_FORWARD, "locser.forward", TRACE_DEBUG,                                          \
    "a LOCSER is forwarded: key, peer=next hop, b=Call-ID")                                       \
  X(TRACE_LOCSER_DELIVER, "locser.deliver", TRACE_DEBUG,                                          \
    "a LOCSER is executed here: key, n=Max-Forwards left, a=method name, b=Call-ID")              \
  X(TRACE_LOCSER_ANSWER, "locser.answer", TRACE_DEBUG,                                            \
    "an answer to a LOCSER of this peer: key, status, n=microseconds, b=Call-ID")                 \
  X(TRACE_LOCSER_RETRY, "locser.retry", TRACE_INFO,                                               \
    "a hop did not answer, another is tried: key, peer=silent hop")                               \
  X(TRACE_PEER_SUSPECT, "peer.suspect", TRACE_INFO, "a peer is silent: key=Peer-ID, peer")        \
  X(TRACE_PEER_ALIVE, "peer.alive", TRACE_DEBUG,                                                  \
    "a peer answered for the first time, or again: key=Peer-ID, peer")                            \
  X(TRACE_RING_JOINED, "ring.joined", TRACE_INFO,                                                 \
    "this peer is a member of the ring: key=Peer-ID, peer=successor")                             \
  X(TRACE_RING_LEFT, "ring.left", TRACE_INFO, "this peer left the ring")                          \
  X(TRACE_RING_SUCCESSOR, "ring.successor", TRACE_INFO, "new first successor: key=Peer-ID, peer") \
  X(TRACE_RING_PREDECESSOR, "ring.predecessor", TRACE_INFO, "new predecessor: key=Peer-ID, peer") \
  X(TRACE_RECORD_PUT, "record.put", TRACE_DEBUG,                                                  \
    "a home puts a contact: key, a=Address-of-Record, b=Contact")                                 \
  X(TRACE_RECORD_STORED, "record.stored", TRACE_DEBUG,                                            \
    "a record is durable here: key, n=copies known")                                              \
  X(TRACE_RECORD_REMOVED, "record.removed", TRACE_DEBUG, "a tombstone replaced a record: key")    \
  X(TRACE_RECORD_EXPIRED, "record.expired", TRACE_DEBUG, "a record lapsed: key")                  \
  X(TRACE_RANGE_COMPLETE, "range.complete", TRACE_INFO,                                           \
    "this peer holds all records of its range: n=records")                                        \
  X(TRACE_STORE_FAILED, "store.failed", TRACE_ERROR,                                              \
    "the journal did not take a record: key, a=why")                                              \
  X(TRACE_REGISTERED, "phone.registered", TRACE_INFO,                                             \
    "a phone registered: peer, a=Address-of-Record, b=Contact, n=seconds")                        \
  X(TRACE_UNREGISTERED, "phone.unregistered", TRACE_INFO,                                         \
    "a binding ended: a=Address-of-Record, b=Contact")                                            \
  X(TRACE_LOCATED, "phone.located", TRACE_DEBUG,                                                  \
    "contacts of an Address-of-Record: key, status, a=Address-of-Record, n=contacts")             \
  X(TRACE_LIMIT, "limit", TRACE_WARNING,                                                          \
    "a limit was reached, or a forgery refused: peer, a=which, n=times since the last such line") \
  X(TRACE_NOT_ALLOWED, "record.not-allowed", TRACE_WARNING,                                       \
    "a record was refused, whose signer may not write it: key, a=key text, b=why")                \
  X(TRACE_REFUSED, "refused", TRACE_DEBUG,                                                        \
    "a request was refused: peer, status, a=method, b=reason")

enum trace_kind {
#define TRACE_ENUM(kind, name, level, text) kind,
  TRACE_KINDS(TRACE_ENUM)
#undef TRACE_ENUM
      TRACE_KIND_COUNT
};

struct trace {
  enum trace_kind kind;
  usec at;
  struct key key;
  struct endpoint peer;
  uint32_t status;
  uint64_t n;
  struct slice a, b; /* borrowed until the outbox is emptied */
};

const char *trace_name(enum trace_kind kind);
enum trace_level trace_level(enum trace_kind kind);

#endif
