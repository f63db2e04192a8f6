/* SPDX-License-Identifier: BSD-2-Clause */
/* For the files of sip/ only; sip_header_name and the method names are in sip/message.h. */
#ifndef SIP_NAMES_H
#define SIP_NAMES_H

#include "sip/message.h"

/* The header with this name, full or compact, without case; SIP_H_OTHER: unknown here. */
enum sip_header_id sip_header_of(struct slice name);

#endif
