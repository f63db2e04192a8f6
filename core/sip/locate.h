/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 3263 section 4: from a SIP URI to the addresses to try, in order. The procedure
 * keeps no state: it is run again, from the beginning, whenever one of its questions was answered,
 * and comes as far as the cache allows. */
#ifndef SIP_LOCATE_H
#define SIP_LOCATE_H

#include "sip/dns_cache.h"
#include "sip/uri.h"

#define LOCATE_HOPS_MAX 16u    /* addresses of one URI; more are left out */
#define LOCATE_SERVICES_MAX 8u /* NAPTR records of use; more are left out */
#define LOCATE_TARGETS_MAX 16u /* names that SRV records lead to; more are left out */
/* OUT_RESOLVEs of one run at most. */
#define LOCATE_QUESTIONS_MAX (1u + LOCATE_SERVICES_MAX + LOCATE_TARGETS_MAX)

/* Bits of locate_query.families. */
#define LOCATE_IPV4 1u
#define LOCATE_IPV6 2u

struct locate_query {
  const struct sip_uri *uri; /* sip or sips */
  unsigned transports;       /* bit (1 << enum transport): those that can be used; UDP, TCP, TLS */
  unsigned families;
  bool large; /* too long for UDP (RFC 3261 18.1.1): where the choice is free, streams first */
};
enum locate_status {
  LOCATE_FOUND,   /* at least one */
  LOCATE_ASKING,  /* an answer of the DNS is missing */
  LOCATE_NONE,    /* there is no such domain, or it offers no SIP */
  LOCATE_SILENT,  /* the DNS does not answer */
  LOCATE_FOREIGN, /* no transport, or family of addresses, in common */
  LOCATE_NO_ROOM, /* too many questions at once */
};
struct locate_result {
  unsigned count;
  struct endpoint at[LOCATE_HOPS_MAX];
};

/* `rng` chooses by weight (RFC 2782). */
enum locate_status locate_run(struct dns_cache *cache, usec now, const struct locate_query *query,
                              struct rng *rng, struct outbox *out, struct locate_result *result);

#endif
