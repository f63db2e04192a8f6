/* SPDX-License-Identifier: BSD-2-Clause */
/* One place where a user can be reached: what a registrar learns from a Contact, a location
 * record carries, and a proxy forks to. All slices are borrowed. */
#ifndef BASE_CONTACT_H
#define BASE_CONTACT_H

#include "base/slice.h"
#include "base/usec.h"

#define CONTACT_PATHS_MAX 4u
#define CONTACTS_MAX 32u /* of one record or one Address-of-Record */

struct contact {
  struct slice uri;                     /* the Contact URI, without <> */
  struct slice path[CONTACT_PATHS_MAX]; /* Path values (name-addr), in order; RFC 3327 */
  unsigned path_count;
  struct slice instance; /* +sip.instance without its quotes; empty: none */
  uint32_t reg_id;       /* RFC 5626; 0: none */
  uint16_t q_permille;   /* 0 to 1000; 1000 unless given */
  msec_wall expires;     /* absolute */
};

#endif
