/* SPDX-License-Identifier: BSD-2-Clause */
/* SIP PnP: a desk phone that knows nobody asks a multicast group for its settings by SUBSCRIBE with
 * Event: ua-profile (RFC 6080), and is told a URL in the body of a NOTIFY. Pure:
 * a request in, what is asked and the two messages out. */
#ifndef SIP_PROFILE_H
#define SIP_PROFILE_H

#include "sip/message.h"

#define SIP_PROFILE_MAC_DIGITS 12u
#define SIP_PROFILE_REQUEST_BYTES_MAX 2048u /* a longer one is not looked at */
#define SIP_PROFILE_VALUE_BYTES_MAX 64u     /* of vendor and model */

struct sip_profile_asked {
  struct slice vendor, model; /* of the Event header field, without quotes; empty: not said */
  char mac[SIP_PROFILE_MAC_DIGITS + 1]; /* lower-case hexadecimal, with NUL */
};

/* 12 hexadecimal digits of either case, with ':' or '-' between pairs or without; out gets them in
 * lower case, with NUL. */
bool sip_profile_read_mac(struct slice text, char out[SIP_PROFILE_MAC_DIGITS + 1]) MUST_USE;

/* Is `m` a SUBSCRIBE, outside any dialog, for the profile of a device that takes a URL
 * (application/url), whose From, To or Request-URI names its MAC? False: nothing is answered. The
 * slices of *out lie in m. */
bool sip_profile_read(const struct sip_message *m, struct sip_profile_asked *out) MUST_USE;

/* One answer to a request that sip_profile_read takes. */
struct sip_profile_answer {
  const struct sip_message *request;
  const struct endpoint *source; /* where the request came from */
  const struct endpoint *self;   /* the socket that answers */
  struct slice tag, branch;      /* new ones; the branch with its cookie */
  struct slice url;
};
/* 200 to the SUBSCRIBE, and where it goes: always the address of the source, at its port where the
 * Via has rport, else at that of the Via. */
void sip_profile_put_ok(struct buf *out, const struct sip_profile_answer *answer,
                        struct endpoint *to);
/* The one NOTIFY, which ends the subscription, and where it goes: always the address of the source,
 * at the port of the Contact where that is the same address, else where it came from. */
void sip_profile_put_notify(struct buf *out, const struct sip_profile_answer *answer,
                            struct endpoint *to);

#endif
