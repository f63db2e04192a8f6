/* SPDX-License-Identifier: BSD-2-Clause */
/* What the core asks of the DNS, and what it is told. */
#ifndef BASE_DNS_H
#define BASE_DNS_H

#include "base/endpoint.h"
#include "base/slice.h"

enum dns_type {
  DNS_ADDRESS, /* A and AAAA, whichever there are */
  DNS_SRV,     /* RFC 2782 */
  DNS_NAPTR,   /* RFC 3403 */
};

#define DNS_NAME_BYTES_MAX 253u
#define DNS_RECORDS_MAX 16u /* of one answer; what comes after them is left out */

struct dns_record {
  uint32_t ttl_s;
  struct endpoint address;     /* ADDRESS: family and addr */
  uint16_t order;              /* NAPTR; SRV: priority. Lower first */
  uint16_t preference;         /* NAPTR: lower first; SRV: weight */
  uint16_t port;               /* SRV */
  struct slice flags, service; /* NAPTR */
  struct slice name; /* SRV: target; NAPTR: replacement. Without a final dot; empty: the root */
};

#endif
