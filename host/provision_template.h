/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings of phones from templates (R-7.85; examples/provision): lines of words, an empty line,
 * and a text with {user}, {password} and so on in it. No I/O. */
#ifndef HOST_PROVISION_TEMPLATE_H
#define HOST_PROVISION_TEMPLATE_H

#include "base/buf.h"
#include "host/why.h"

#define PROVISION_TEMPLATE_BYTES_MAX 65536u
#define PROVISION_SETTINGS_BYTES_MAX 131072u /* of what a template becomes */

struct provision_template {
  struct slice vendor; /* as a phone says it; compared without case */
  struct slice name;   /* of the file that the phone fetches: "{mac}.cfg" */
  struct slice type;   /* text/xml */
  bool folder;         /* the phone is told the folder, and finds the name itself */
  bool xml;            /* values are escaped for XML */
  struct slice body;
};
struct provision_values {
  struct slice mac; /* empty: not known; a template that needs it does not fit */
  struct slice address, user, domain, password;
  struct slice host, port; /* where the peer listens for SIP over UDP: "192.0.2.1", "5060" */
};

/* The slices lie in text. ERR_SYNTAX: *why says what is wrong. */
enum err provision_template_read(struct slice text, struct provision_template *out,
                                 struct why *why) MUST_USE;
/* Appends text with its words replaced. False: it does not fit, or a value is missing or cannot be
 * said in these settings. */
bool provision_fill(struct slice text, const struct provision_values *values, bool xml,
                    struct buf *out) MUST_USE;

#endif
