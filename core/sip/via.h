/* SPDX-License-Identifier: BSD-2-Clause */
/* For the files of sip/ only; sip_via_parse is in sip/message.h. */
#ifndef SIP_VIA_H
#define SIP_VIA_H

#include "sip/message.h"

/* The first Via value at p. Returns its end: `end` or the comma after it. NULL: malformed, *reason
 * says which part, and *out holds what was understood up to there (text always). */
const char *sip_via_scan(const char *p, const char *end, struct sip_via *out, const char **reason);

#endif
