/* SPDX-License-Identifier: BSD-2-Clause */
/* The bodies of LOCSER: XML-RPC envelopes around dhtRecord elements and the overlay's own
 * messages (R-3.x). Reading is by expat (no DTD, no entities beyond the five, bounded depth and
 * size); writing is our own, escaping. A decoded body borrows: element texts are unescaped into
 * the reader's scratch, records are slices of the body itself (their exact bytes). */
#ifndef XML_BODY_H
#define XML_BODY_H

#include "base/buf.h"
#include "base/contact.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/memory.h"
#include "base/peer.h"
#include "base/record.h"
#include "base/record_layout.h"
#include "base/slice.h"
#include "base/sync.h"

/* */
#define XML_BODY_BYTES_MAX 65535u
#define XML_DEPTH_MAX 16u
#define XML_ELEMENTS_MAX 8192u
#define XML_ATTRIBUTES_MAX 24u
#define XML_RECORDS_MAX 64u /* in one body */
#define XML_PEERS_MAX 64u   /* in one body: 40 members, 20 successors, self, subject, predecessor */
/* A record that was once taken fits every envelope, with the others of a page. */
#define XML_RECORD_DEPTH_MAX 12u
#define XML_RECORD_ELEMENTS_MAX 120u
/* */
#define XML_RECORD_BYTES_MAX RECORD_BYTES_MAX
#define XML_VALUE_BYTES_MAX 16384u
#define XML_KEY_BYTES_MAX 1024u
#define XML_NONCE_BYTES_MAX 128u
#define XML_VERSION_MAX ((uint64_t)1 << 62)
#define XML_SCRATCH_BYTES (2 * XML_BODY_BYTES_MAX)

enum xml_method {
  XML_METHOD_UNKNOWN,
  XML_GET,
  XML_GET_AUTH,
  XML_PUT_AUTH,
  XML_REMOVE_AUTH, /* put, remove are names of the last two */
  XML_PUT_IMMUT,
  XML_GET_IMMUT,
  XML_OVERLAY_JOIN,
  XML_OVERLAY_LEAVE,
  XML_OVERLAY_NEIGHBORS,
  XML_OVERLAY_NOTIFY,
  XML_OVERLAY_UPDATE,
  XML_OVERLAY_PING,
  XML_OVERLAY_ROUTE,
  XML_OVERLAY_REPLICATE,
  XML_OVERLAY_SYNC,
  XML_OVERLAY_TRACE,
  XML_EVENT_WATCH,
  XML_EVENT_NOTIFY,
};
const char *xml_method_name(enum xml_method method);

/* Parts of a record that the core acts on. One with a value is in the layout of, and key and
 * value are those that are signed there. Times as milliseconds since 1970. */
struct xml_record {
  struct slice bytes;    /* the dhtRecord element, exactly as received */
  struct slice key_text; /* text of <key>, unescaped, trimmed; empty if there is none */
  bool has_value;
  struct slice value;        /* inner bytes of <value>, as received */
  struct slice value_digest; /* removal: DigestValue inside <value>, base64 text; else empty */
  struct slice nonce;        /* attribute texts, unescaped; empty: none */
  msec_wall expires;         /* 0: none */
  uint64_t version;
  msec_wall floor;
  bool removed;   /* o:removed="true" */
  bool immutable; /* in the layout of: owner and nonce are nobody's, version is expires */
  bool has_owner;
  struct key owner;      /* o:owner; of a query: KeyInfo/KeyValue/DigestValue */
  struct key signer;     /* of a record with a value: the owner, or o:by */
  struct slice key_hash; /* plain text of KeyInfo/KeyValue (Figure 1's courtesy copy) */
};

enum xml_peer_role {
  XML_PEER_SELF,
  XML_PEER_SUBJECT,
  XML_PEER_PREDECESSOR,
  XML_PEER_SUCCESSOR,
  XML_PEER_MEMBER,
};
struct xml_peer {
  enum xml_peer_role role;
  struct peer peer;
};

/* The overlay's own part of a body: <overlay xmlns="urn:ietf:params:xml:ns:p2p-sip:overlay">
 * (R-3.10 to R-3.14, R-3.29 to R-3.32). */
struct xml_overlay {
  bool present;
  unsigned peer_count;
  struct xml_peer peer[XML_PEERS_MAX];
  bool lost;      /* update: the subject is gone */
  bool has_range; /* replicate: (from, to] */
  struct key range_from, range_to;
  bool has_after; /* cursor: go on after this record */
  struct record_id after;
  uint32_t limit;     /* a pull: so many records are enough; 0: none given */
  bool more;          /* there is more after the last record */
  bool stray;         /* a push: to be passed on to the responsible peer */
  bool incomplete;    /* answer to a pull: others may hold more of the range */
  bool owner;         /* the same: it is responsible for some of the range, and takes writes */
  uint32_t copies;    /* put answer, and wish in a put; 0: none given */
  usec time_us, load; /* trace: microseconds taken here; load in permille */
  const struct sync_view *sync; /* writing: `until` if not 0, parts and items; NULL: none */
};

struct xml_body {
  bool call;              /* methodCall, else methodResponse */
  enum xml_method method; /* calls */
  struct slice method_name;
  bool fault; /* responses */
  uint16_t fault_code;
  struct slice fault_text;
  bool has_boolean, boolean;
  unsigned record_count;
  struct xml_record record[XML_RECORDS_MAX]; /* beyond the count, and but for the first: anything */
  struct xml_overlay overlay;
  struct sync_view sync; /* overlay.sync; until is 0 if there is none */
};

/* A reusable parser: 8 kB of expat plus scratch; belongs to the thread (or simulator), not to a
 * node. */
struct xml_reader;
/* salt: any random number, set again after every reset. NULL: no memory. The reader is taken from
 * `memory`; expat inside of it has its own allocator, since its hooks carry no context. */
struct xml_reader *xml_reader_new(const struct memory *memory, uint64_t salt);
void xml_reader_free(struct xml_reader *reader);
/* *out borrows from `body` and from the reader until its next use. On an error *why is a static
 * phrase that says which part is wrong. A record given as escaped string or base64 (draft-singh
 * 3.4) is unescaped first: its bytes then lie in the scratch. */
enum err xml_body_read(struct xml_reader *reader, struct slice body, struct xml_body *out,
                       const char **why) MUST_USE;
/* Where the last error was, counted from 1; line 0: not at a certain place. */
void xml_reader_where(const struct xml_reader *reader, unsigned *line, unsigned *column);
/* Documents that expat was given so far; bodies known at sight (xml/sight.h) are not among them. */
uint64_t xml_reader_parsed(const struct xml_reader *reader);
/* Reads one stored dhtRecord. */
enum err xml_record_read(struct xml_reader *reader, struct slice bytes, struct xml_record *out,
                         const char **why) MUST_USE;

/* Is it complete and within its bounds, as a record to be stored must be?
 * ERR_SYNTAX or ERR_LIMIT and *why names the part. */
enum err xml_record_check(const struct xml_record *record, const char **why) MUST_USE;
/* What a store needs to know of a record: checks it and computes the hashes. out->bytes borrows
 * as record->bytes does. `canonical`, empty and of XML_CANONICAL_BYTES_MAX, gets the text of its
 * key. */
#define XML_CANONICAL_BYTES_MAX (XML_KEY_BYTES_MAX + 16) /* "sip:" may be put before it */
enum err xml_record_identify(const struct crypto *crypto, const struct xml_record *record,
                             struct buf *canonical, struct record *out, const char **why) MUST_USE;

/* Contacts (draft-singh 4.1; Path, instance and reg-id in our namespace), at most CONTACTS_MAX,
 * else ERR_LIMIT. Reads <contacts> in the bytes of a record, or in the inner bytes of a
 * value, in which the prefix o is then taken for our namespace; also the plain
 * <string>uri</string> form. */
enum err xml_contacts_read(struct xml_reader *reader, struct slice value, struct contact *out,
                           unsigned *count, const char **why) MUST_USE;

/* ---- writing ---- */
/* Of an element, in canonical form. */
void xml_put_text(struct buf *out, struct slice text);
void xml_put_time(struct buf *out, msec_wall time); /* xs:dateTime, UTC, milliseconds */
bool xml_time_parse(struct slice text, msec_wall *out);

struct xml_record_new {
  struct slice key_text;
  struct slice nonce;
  msec_wall expires, floor;
  uint64_t version;
  bool removed;
  struct slice value;        /* inner XML, written as it is */
  struct slice value_digest; /* removal: base64 text */
  const struct key *owner;   /* removal: of another owner's record; NULL: of one's own */
};
/* A dhtRecord in the layout of, but without Signature and with an empty o:owner, or o:by,
 * which the signer fills in (OUT_SIGN). A key text or nonce over its bound overflows `out`. */
void xml_put_record(struct buf *out, const struct xml_record_new *record);
/* The dhtRecord of an immutable value; key_text by immutable_put_key. */
void xml_put_immutable(struct buf *out, struct slice key_text, msec_wall expires,
                       struct slice value);
void xml_put_contact_value(struct buf *out, const struct contact *contact);

/* Calls: the envelope around records (may be none) and an overlay part (may be
 * NULL). For get and get-auth the caller passes one record text made by xml_put_query. Whatever is
 * written is valid against docs/spec/locser.rng. */
void xml_put_call(struct buf *out, enum xml_method method, const struct slice *records,
                  unsigned record_count, const struct xml_overlay *overlay);
/* A dhtRecord with just the key (get), optionally with an owner filter (get-auth). */
void xml_put_query(struct buf *out, struct slice key_text, const struct key *owner);
/* Answers: a boolean (0, 1), or dhtRecords (boolean < 0, and records given or no peers in the
 * overlay part), plus what the overlay part says, if given. */
void xml_put_answer(struct buf *out, int boolean, const struct slice *records,
                    unsigned record_count, const struct xml_overlay *overlay);
void xml_put_fault(struct buf *out, uint16_t code, struct slice text);

/* The canonical text of a key: appended to out, which is left as it was on an
 * error. ERR_SYNTAX: empty, or breaks the rules of its scheme; ERR_LIMIT: no room in out. */
enum err xml_key_canonical(struct slice key_text, struct buf *out) MUST_USE;

#endif
