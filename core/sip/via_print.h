/* SPDX-License-Identifier: BSD-2-Clause */
/* For the files of sip/ only: edits of the topmost Via. */
#ifndef SIP_VIA_PRINT_H
#define SIP_VIA_PRINT_H

#include "sip/print.h"

/* The header that holds the topmost Via; NULL: none was understood. */
const struct sip_header *sip_top_via_header(const struct sip_message *m);
/* Appends that header as a whole, with received and rport of its first value set from `source`
 * where RFC 3261 18.2.1 and RFC 3581 section 4 want them. */
void sip_put_marked_via(struct buf *out, const struct sip_message *m,
                        const struct endpoint *source);
/* Appends that header without its first value; nothing if it had only one. */
void sip_put_via_rest(struct buf *out, const struct sip_message *m);
/* Text between two pointers into one message. */
void sip_put_between(struct buf *out, const char *from, const char *to);

#endif
