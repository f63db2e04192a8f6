/* SPDX-License-Identifier: BSD-2-Clause */
/* Parsing one message many times, by this parser and by libosip2 as a yardstick. */
#ifndef BENCH_SIP_PARSE_H
#define BENCH_SIP_PARSE_H

#include <stdbool.h>

#include "base/slice.h"

/* False: the message was refused. */
bool sip_parse_times(struct slice message, unsigned times);
/* False: refused, or libosip2 was not there at build time. */
bool osip_parse_times(struct slice message, unsigned times);
/* The edits of one hop as well: parse, push a Via, lower Max-Forwards, print. */
bool sip_forward_times(struct slice message, unsigned times);

#endif
