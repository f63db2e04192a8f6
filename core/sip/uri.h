/* SPDX-License-Identifier: BSD-2-Clause */
/* URIs and name-addr values as slices into the text they were parsed from. RFC 3261 19.1, 20.10,
 * 25.1. Parsing caches nothing and copies nothing. */
#ifndef SIP_URI_H
#define SIP_URI_H

#include "base/buf.h"
#include "base/endpoint.h"
#include "base/err.h"
#include "base/slice.h"

#define SIP_URI_PARAMS_MAX 32 /* and as many headers: bounds what comparing two URIs costs */

enum sip_scheme { SIP_SCHEME_SIP, SIP_SCHEME_SIPS, SIP_SCHEME_TEL, SIP_SCHEME_OTHER };

struct sip_uri {
  struct slice text; /* the whole URI */
  enum sip_scheme scheme;
  struct slice scheme_text;
  struct slice user;     /* escapes as they stand; at == NULL: no user part */
  struct slice password; /* at == NULL: none */
  struct slice host;     /* IPv6 with its brackets; empty for schemes other than sip and sips */
  uint16_t port;         /* 0: none given */
  struct slice params;   /* after the first ';', without it: "transport=udp;lr" */
  struct slice headers;  /* after '?' */
  struct slice opaque;   /* tel and others: all after the scheme's colon */
};

/* The whole slice is one absolute URI, else ERR_SYNTAX. A port is 1 to 65535, an empty parameter is
 * an error, and so are more than SIP_URI_PARAMS_MAX. */
enum err sip_uri_parse(struct slice text, struct sip_uri *out) MUST_USE;

/* Looks a parameter up in "a=1;b;c=\"x\"" (names without case, optional white space around ';'
 * and '='). *value may be NULL; a flag parameter gives an empty value, a quoted one keeps its
 * quotes. */
bool sip_param_get(struct slice params, const char *name, struct slice *value);
/* Steps through parameters: cuts the next one off *params. False at the end. */
bool sip_param_next(struct slice *params, struct slice *name, struct slice *value);

/* RFC 3261 19.1.4; a `gr` parameter in only one of them makes them differ (RFC 5627). */
bool sip_uri_equal(const struct sip_uri *a, const struct sip_uri *b);

/* The Address-of-Record that a sip or sips URI names, in canonical form: lower-case
 * scheme and host, sips as sip, unreserved escapes decoded, no port, parameters or headers.
 * Appends "sip:user@host". ERR_UNSUPPORTED for other schemes. */
enum err sip_uri_put_aor(struct buf *out, const struct sip_uri *uri) MUST_USE;

/* Where a request for this URI goes when its host (or maddr) is an IP literal: address, port
 * (default 5060, 5061 for TLS, 80 and 443 for WS and WSS) and transport parameter (default UDP; of
 * a sips URI TLS, or WSS for ws). ERR_UNSUPPORTED: the host is a name, or no such transport. */
enum err sip_uri_endpoint(const struct sip_uri *uri, struct endpoint *out) MUST_USE;

/* One Contact, From, To, Route, Record-Route or Path value. */
struct sip_address {
  struct slice text;    /* the whole value */
  struct slice display; /* as written, with quotes; empty: none */
  struct sip_uri uri;
  bool bracketed;      /* <...>; without it parameters belong to the header (RFC 3261 20.10) */
  struct slice params; /* header parameters after the URI, without the first ';' */
  struct slice tag;    /* of a From or To; empty: none */
};
/* The whole slice is one value, without a list's commas. Otherwise ERR_SYNTAX, also for "*". */
enum err sip_address_parse(struct slice text, struct sip_address *out) MUST_USE;

#endif
