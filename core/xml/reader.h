/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to core/xml: expat, a stack of the open elements, and a table of rules that says which
 * element is known in which place. What no rule knows is skipped with all it holds (R-3.6). */
#ifndef XML_READER_H
#define XML_READER_H

#include <expat.h>

#include "xml/body.h"

/* Known places. The number is a bit in rule.parents. */
enum element {
  EL_DOCUMENT, /* what a body is in */
  EL_EMBEDDED, /* what an argument given as text is in */
  EL_RECORD_DOCUMENT,
  EL_CONTACTS_DOCUMENT,
  EL_OTHER, /* not known here */
  EL_CALL,
  EL_RESPONSE,
  EL_METHOD_NAME,
  EL_PARAMS,
  EL_PARAM,
  EL_ARGUMENT, /* XML-RPC's value in a param */
  EL_SCALAR,   /* what holds text only */
  EL_FAULT,
  EL_FAULT_VALUE,
  EL_STRUCT,
  EL_MEMBER,
  EL_MEMBER_VALUE,
  EL_RECORDS,
  EL_RECORD,
  EL_KEY,
  EL_VALUE,
  EL_KEY_INFO,
  EL_KEY_VALUE,
  EL_OVERLAY,
  EL_PEER,
  EL_CONTACTS,
  EL_COUNT
};
#define IN(element) ((uint32_t)1 << (element))

/* Namespaces, as bits of rule.spaces. */
#define NS_NONE 1u    /* none at all */
#define NS_DHT 2u     /* urn:ietf:params:xml:ns:dht */
#define NS_SIP 4u     /* urn:ietf:params:xml:ns:p2p-sip */
#define NS_OVERLAY 8u /* urn:ietf:params:xml:ns:p2p-sip:overlay */
#define NS_DSIG 16u   /* http://www.w3.org/2000/09/xmldsig# */
#define NS_OTHER 32u

#define XML_NS_DHT "urn:ietf:params:xml:ns:dht"
#define XML_NS_SIP "urn:ietf:params:xml:ns:p2p-sip"
#define XML_NS_OVERLAY "urn:ietf:params:xml:ns:p2p-sip:overlay"
#define XML_NS_DSIG "http://www.w3.org/2000/09/xmldsig#"

struct xml_reader;

struct rule {
  uint32_t parents; /* IN(...) */
  uint32_t spaces;  /* NS_... */
  const char *name;
  enum element element;
  bool text; /* collect its character data, up to its first child */
  uint8_t tag;
  /* attributes: name, value, name, value, NULL. Either may be NULL. */
  void (*start)(struct xml_reader *, const struct rule *, const XML_Char **attributes);
  void (*end)(struct xml_reader *, const struct rule *, struct slice text);
};

struct frame {
  const struct rule *rule; /* NULL: not known */
  size_t text_from, text_to;
  bool collects;
};

/* A namespace declaration in force. */
#define PREFIX_BYTES_MAX 31u
#define BINDINGS_MAX 48u
struct binding {
  char prefix[PREFIX_BYTES_MAX + 1];
  unsigned depth; /* of the element that declares it */
};

struct xml_reader {
  const struct memory *memory;
  XML_Parser parser;
  unsigned long salt;
  uint64_t parsed;

  const struct rule *rules;
  unsigned rule_count;
  enum element root;
  struct frame frame[XML_DEPTH_MAX];
  unsigned depth;
  unsigned elements;
  struct binding binding[BINDINGS_MAX];
  unsigned binding_count;
  bool is_known_root;    /* a rule knew the root element */
  struct slice document; /* given to expat in one piece; empty: in several */

  enum err err;
  const char *why;
  unsigned line, column;

  /* What is being read. */
  struct xml_body *body;
  struct xml_record *record;
  unsigned record_count, record_limit;
  unsigned record_depth;    /* 0: not inside of a record */
  unsigned record_elements; /* before it */
  const char *record_from;
  bool foreign;           /* the record uses a namespace declared outside of it */
  struct slice key_inner; /* between the tags of the record's key */
  const char *value_from;
  enum { MEMBER_OTHER, MEMBER_CODE, MEMBER_STRING } member;
  struct slice embedded[XML_RECORDS_MAX]; /* arguments given as text */
  unsigned embedded_count;
  struct contact *contact;
  unsigned contact_count;

  struct buf scratch;
  char scratch_bytes[XML_SCRATCH_BYTES];
};

/* Forgets what was read before; the scratch is empty. */
void reader_begin(struct xml_reader *r);
/* Parses document, made of `count` pieces (slices of it need exactly one), under `root`. */
enum err reader_parse(struct xml_reader *r, const struct rule *rules, unsigned rule_count,
                      enum element root, const struct slice *pieces, unsigned count);
/* The first refusal counts; nothing more is read after it. why is static. */
void reader_refuse(struct xml_reader *r, enum err err, const char *why);
/* Place in the document of the current event, and just after it. */
const char *reader_event_from(const struct xml_reader *r);
const char *reader_event_to(const struct xml_reader *r);
/* Copies into the scratch. */
struct slice reader_keep(struct xml_reader *r, struct slice text);
/* Value of an attribute without namespace, or in the overlay's; NULL: none. */
const char *reader_attribute(const XML_Char **attributes, const char *name, bool ours);
/* Ends as reader_parse does, with *why set on an error. */
enum err reader_result(const struct xml_reader *r, const char **why);

#endif
