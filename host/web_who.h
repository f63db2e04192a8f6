/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may ask the page's server: what Host, Origin and token say. No I/O. */
#ifndef HOST_WEB_WHO_H
#define HOST_WEB_WHO_H

#include "base/endpoint.h"
#include "base/slice.h"
#include "host/settings.h"

#define WEB_TOKEN_BYTES_MAX 128u
#define WEB_TOKEN_COOKIE "locser-token"

struct web_who {
  const struct setting_value *names, *origins;
  char token[WEB_TOKEN_BYTES_MAX + 1]; /* empty: none */
  bool token_always;                   /* from this machine too */
};
/* What a request carries; empty: the header field is not there. */
struct web_request {
  struct slice host, origin, cookie, authorization;
  struct endpoint from;
  bool secure; /* over TLS */
};

/* An address, localhost, or one of our names; with or without port. Another name that leads here
 * is the trick of a stranger's DNS. True also means that it may be written into a header. */
bool web_host_good(const struct web_who *who, struct slice host);
bool web_host_is_loopback(struct slice host);
/* Absent (no browser), the page's own, or one of ours. */
bool web_origin_good(const struct web_who *who, const struct web_request *request);
/* From this machine, called by an address of it; or with the token. */
bool web_token_good(const struct web_who *who, const struct web_request *request);
/* Is this the token? The time taken does not tell how much of it is right. */
bool web_token_equal(const struct web_who *who, struct slice text);
/* 16 to WEB_TOKEN_BYTES_MAX letters, digits, - and _. */
bool web_token_plausible(struct slice text);

/* DIR/web-token, made with mode 0600 if it is not there; or that file, which must be there. */
enum err web_token_load(struct web_who *who, const char *file, const char *data, struct why *why);

#endif
