/* SPDX-License-Identifier: BSD-2-Clause */
/* Questions to the DNS, by c-ares on the loop (docs/adr/0011-c-ares.md). What is done with the
 * answers, and how long they count, is the core's matter. */
#ifndef HOST_DNS_H
#define HOST_DNS_H

#include "base/dns.h"
#include "host/loop.h"
#include "host/settings.h"

struct dns;

/* Servers as given by `dns`, else those of the system, read now. NULL: *why says why. */
struct dns *dns_new(struct loop *loop, const struct setting_value *servers, struct why *why);
/* Questions under way end without an answer; the handles are closed as the loop runs on. */
void dns_stop(struct dns *dns);
/* After the loop has ended. */
void dns_free(struct dns *dns);
/* Carries an OUT_RESOLVE out; an IN_RESOLVED follows. */
void dns_resolve(struct dns *dns, uint64_t ticket, enum dns_type type, struct slice name);

#endif
